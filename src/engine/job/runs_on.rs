//! Where a job can run: its `runs-on` labels against what this machine is and what the configuration maps.
//!
//! A job that cannot run here is never run somewhere else in silence: it is skipped with the reason, and the run is no
//! success.

use crate::workflow::expr::{Scope, Value};
use crate::workflow::syntax::StepsJob;

use crate::engine::Options;

/// Labels of GitHub's own Linux runners are `ubuntu-` and a version; these are the others that mean this machine.
const OWN_LABELS: &[&str] = &["self-hosted", "host"];

/// Where a job's steps run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Placement {
    /// On this machine.
    Host,
    /// In a container of this image, as if it were the machine.
    Image(String),
    /// In the container that the job asks for.
    Container,
}

/// Finds a place for a job on this machine.
///
/// # Errors
/// Why there is none, fit to stand in "not runnable here (…)".
pub(in crate::engine) fn place(job: &StepsJob, scope: &Scope<'_>, options: &Options) -> Result<Placement, String> {
    let found = if options.any_runner {
        Placement::Host
    } else {
        let value = job.runs_on.evaluate(scope);
        let value = value.map_err(|error| format!("its `runs-on` cannot be evaluated: {error}"))?;
        let labels = labels(&value);
        if labels.is_empty() {
            return Err("its `runs-on` names no label".to_owned());
        }
        let mut found = Placement::Host;
        for label in &labels {
            match of_label(label, options) {
                Some(Placement::Host) => {}
                Some(other) => found = other,
                None => {
                    return Err(format!(
                        "no runner for `{label}`; this machine is {}, and `[runs-on]` in the configuration maps no \
                         such label",
                        this_machine()
                    ));
                }
            }
        }
        found
    };
    if job.container.is_some() {
        return Ok(Placement::Container);
    }
    Ok(options.sandbox.as_deref().map_or(found, |sandbox| named(sandbox, options)))
}

/// What the configuration or a flag calls a place: `host`, `docker`, `docker:image`.
fn named(sandbox: &str, options: &Options) -> Placement {
    match sandbox.split_once(':') {
        Some(("docker", image)) => Placement::Image(image.to_owned()),
        _ if sandbox == "docker" => Placement::Image(options.image.clone()),
        _ => Placement::Host,
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

/// Where jobs with a label run; nothing when that is not here.
fn of_label(label: &str, options: &Options) -> Option<Placement> {
    let label = label.to_ascii_lowercase();
    if let Some(sandbox) = options.runs_on.get(&label) {
        return Some(named(sandbox, options));
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
    let here = (label.starts_with(hosted) && right_arch)
        || label == os
        || label == arch
        || OWN_LABELS.contains(&label.as_str());
    here.then_some(Placement::Host)
}

fn this_machine() -> &'static str {
    match std::env::consts::OS {
        "macos" => "macOS",
        "windows" => "Windows",
        _ => "Linux",
    }
}
