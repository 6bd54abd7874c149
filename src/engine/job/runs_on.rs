//! Where a job runs: matches its `runs-on` labels with this machine and the configuration.
//!
//! A job that cannot run here never silently runs somewhere else: it is skipped with the reason, and the run does not
//! succeed unless the configuration allows it to skip such jobs.

use crate::workflow::expr::{Scope, Value};
use crate::workflow::syntax::StepsJob;

use crate::engine::Options;
use crate::engine::sandbox::providers::{Placement, Providers};

/// Labels that mean this machine, in addition to its operating system, its architecture, and the labels of GitHub's
/// runners with the same system (such as `ubuntu-24.04`).
const OWN_LABELS: &[&str] = &["self-hosted", "host"];

/// Name of the provider for this machine.
const HOST: &str = "host";

/// Why a job cannot run here. The message fits into "not runnable here (…)".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine) enum PlaceError {
    /// The labels cannot be evaluated.
    #[error("its `runs-on` cannot be evaluated: {0}")]
    Evaluation(String),
    /// `runs-on` is empty.
    #[error("its `runs-on` names no label")]
    NoLabel,
    /// A label is neither one of this machine nor mapped by the configuration.
    #[error(
        "no runner for `{0}`; this machine is {machine}, and `[runs-on]` in the configuration does not map the label",
        machine = this_machine()
    )]
    UnknownLabel(String),
    /// A label or an option names an unknown sandbox.
    #[error("unknown sandbox `{0}`")]
    UnknownSandbox(String),
}

impl PlaceError {
    /// Whether the job needs another machine.
    pub(in crate::engine) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::UnknownLabel(_))
    }
}

/// Returns where a job without a `container` runs, by its labels or by the options that override them.
///
/// # Errors
/// The job cannot run here.
pub(in crate::engine) fn place(
    job: &StepsJob,
    scope: &Scope<'_>,
    options: &Options,
    providers: &Providers,
) -> Result<Placement, PlaceError> {
    let mut sandbox = HOST;
    if !options.any_runner {
        let value = job.runs_on.evaluate(scope).map_err(|error| PlaceError::Evaluation(error.to_string()))?;
        let labels = labels(&value);
        if labels.is_empty() {
            return Err(PlaceError::NoLabel);
        }
        for label in &labels {
            let found = of_label(label, options).ok_or_else(|| PlaceError::UnknownLabel(label.clone()))?;
            if found != HOST {
                sandbox = found;
            }
        }
    }
    let sandbox = options.sandbox.as_deref().unwrap_or(sandbox);
    let placement = providers.place(sandbox, &options.image);
    placement.ok_or_else(|| PlaceError::UnknownSandbox(sandbox.to_owned()))
}

fn labels(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(Value::to_text).collect(),
        Value::Object(group) => group.get("labels").map(labels).unwrap_or_default(),
        Value::Null => Vec::new(),
        other => vec![other.to_text()],
    }
}

/// Returns the name of the sandbox in which jobs with a label run, or `None` if they cannot run here.
fn of_label<'o>(label: &str, options: &'o Options) -> Option<&'o str> {
    let label = label.to_ascii_lowercase();
    if let Some(sandbox) = options.runs_on.get(&label) {
        return Some(sandbox);
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
    // The labels of GitHub's Linux runners on ARM end in `-arm`, as in `ubuntu-24.04-arm`.
    let right_arch = !label.ends_with("-arm") || arch == "arm64";
    let here = (label.starts_with(hosted) && right_arch)
        || label == os
        || label == arch
        || OWN_LABELS.contains(&label.as_str());
    here.then_some(HOST)
}

fn this_machine() -> &'static str {
    match std::env::consts::OS {
        "macos" => "macOS",
        "windows" => "Windows",
        _ => "Linux",
    }
}
