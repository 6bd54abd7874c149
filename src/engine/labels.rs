//! Where a job can run: its `runs-on` labels against what this machine is and what the configuration maps.
//!
//! A job that cannot run here is never run somewhere else in silence: it is skipped with the reason, and the run is no
//! success.

use crate::workflow::expr::{Scope, Value};
use crate::workflow::syntax::StepsJob;

use super::Options;

/// Labels of GitHub's own Linux runners are `ubuntu-` and a version; these are the others that mean this machine.
const OWN_LABELS: &[&str] = &["self-hosted", "host"];

/// Finds a place for a job on this machine.
///
/// # Errors
/// Why there is none, fit to stand in "not runnable here (…)".
pub(super) fn place(job: &StepsJob, scope: &Scope<'_>, options: &Options) -> Result<(), String> {
    if job.container.is_some() {
        return Err("it has a `container:`, and this version runs jobs on the host only".to_owned());
    }
    if let Some((name, _)) = job.services.first() {
        return Err(format!("it needs the service `{}`, and this version starts no services", name.value));
    }
    if options.any_runner {
        return Ok(());
    }
    let value = job.runs_on.evaluate(scope).map_err(|error| format!("its `runs-on` cannot be evaluated: {error}"))?;
    let labels = labels(&value);
    if labels.is_empty() {
        return Err("its `runs-on` names no label".to_owned());
    }
    match labels.iter().find(|label| !is_here(label, options)) {
        None => Ok(()),
        Some(label) => Err(format!(
            "no runner for `{label}`; this machine is {}, and `[runs-on]` in the configuration maps no such label",
            this_machine()
        )),
    }
}

fn labels(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(Value::to_text).collect(),
        Value::Object(group) => group.get("labels").map(labels).unwrap_or_default(),
        Value::Null => Vec::new(),
        other => vec![other.to_text()],
    }
}

fn is_here(label: &str, options: &Options) -> bool {
    let label = label.to_ascii_lowercase();
    if let Some(sandbox) = options.runs_on.get(&label) {
        return sandbox == "host";
    }
    let (os, hosted) = match this_machine() {
        "macOS" => ("macos", "macos-"),
        "Windows" => ("windows", "windows-"),
        _ => ("linux", "ubuntu-"),
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    // GitHub's hosted Linux runners on ARM are `ubuntu-24.04-arm`.
    let right_arch = !label.ends_with("-arm") || arch == "arm64";
    (label.starts_with(hosted) && right_arch) || label == os || label == arch || OWN_LABELS.contains(&label.as_str())
}

fn this_machine() -> &'static str {
    match std::env::consts::OS {
        "macos" => "macOS",
        "windows" => "Windows",
        _ => "Linux",
    }
}
