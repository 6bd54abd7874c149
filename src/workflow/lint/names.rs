//! Reports names of shells and variables that GitHub accepts but a runner cannot use.

use super::{add_steps, jobs_with_steps, steps};
use crate::model::nearest;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::parse::{entries, get};
use crate::workflow::syntax::{JobBody, RunDefaults, StepAction, StepsJob, Workflow};
use crate::workflow::template::{Template, TemplateKind};

/// Shells that runners know by name, from GitHub's page on workflow syntax.
const SHELLS: &[&str] = &["bash", "sh", "pwsh", "python", "cmd", "powershell"];

/// Shells that only Windows runners have.
const WINDOWS_SHELLS: &[&str] = &["cmd", "powershell"];

/// Reports unknown shells, and shells that the job's operating system does not have.
pub(super) fn shells(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    shell_of(&workflow.defaults, None, found);
    for job in jobs_with_steps(workflow) {
        let system = system(job);
        shell_of(&job.defaults, system, found);
        let mut steps = Vec::new();
        add_steps(&job.steps, &mut steps);
        for step in steps {
            if let StepAction::Run { shell: Some(shell), .. } = &step.action {
                check_shell(shell, system, found);
            }
        }
    }
}

fn shell_of(defaults: &RunDefaults, system: Option<&str>, found: &mut Vec<Diagnostic>) {
    defaults.shell.iter().for_each(|shell| check_shell(shell, system, found));
}

fn check_shell(shell: &Template, system: Option<&str>, found: &mut Vec<Diagnostic>) {
    let Some(written) = shell.literal().filter(|text| !text.contains("{0}")) else { return };
    let name = written.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    let known = SHELLS.contains(&name.as_str()) && !written.trim().contains(char::is_whitespace);
    if !known {
        let message = format!("unknown shell `{written}`");
        let hint = match nearest(&name, SHELLS.iter().copied()).filter(|near| *near != name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}, or a command with `{{0}}` for the script", SHELLS.join(", ")),
        };
        found.push(Diagnostic::warning("shell-name", shell.span, message).hint(hint));
    } else if let Some(system) = system.filter(|system| is_missing(&name, system)) {
        let message = format!("shell `{written}` is not available on {system}");
        let hint = match name.as_str() {
            "powershell" => "write `pwsh`",
            "sh" => "write `bash`, which all runners have",
            _ => "write `bash`, or run the job on Windows",
        };
        found.push(Diagnostic::warning("shell-name", shell.span, message).hint(hint));
    }
}

/// Whether an operating system lacks a shell that runners know by name.
fn is_missing(shell: &str, system: &str) -> bool {
    if system == "windows" { shell == "sh" } else { WINDOWS_SHELLS.contains(&shell) }
}

/// Returns the operating system of a job, if its labels name one.
fn system(job: &StepsJob) -> Option<&'static str> {
    let labels = match &job.runs_on.kind {
        TemplateKind::Sequence(labels) => labels.as_slice(),
        _ => std::slice::from_ref(&job.runs_on),
    };
    let of = |label: &Template| {
        let label = label.literal()?.to_ascii_lowercase();
        [("ubuntu", "linux"), ("linux", "linux"), ("macos", "macos"), ("windows", "windows")]
            .into_iter()
            .find_map(|(start, system)| label.starts_with(start).then_some(system))
    };
    labels.iter().find_map(of)
}

/// Reports invalid names of environment variables.
pub(super) fn variables(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    let of_jobs = workflow.jobs.iter().filter_map(|job| match &job.body {
        JobBody::Steps(body) => Some(body),
        JobBody::Call { .. } => None,
    });
    let of_containers = of_jobs.clone().flat_map(|body| {
        let services = body.services.iter().map(|(_, service)| service);
        body.container.iter().chain(services).filter_map(|container| get(container, "env"))
    });
    let envs = workflow.env.iter().chain(of_jobs.filter_map(|body| body.env.as_ref()));
    let envs = envs.chain(of_containers).chain(steps(workflow).filter_map(|step| step.env.as_ref()));
    for (name, _) in envs.flat_map(entries) {
        let bad = name.value.chars().find(|c| matches!(c, '=' | '&') || c.is_whitespace());
        if let Some(bad) = bad.filter(|_| !name.value.contains("${{")) {
            let message = format!("invalid variable name `{}`: it contains `{bad}`", name.value);
            let hint = "use letters, digits and `_`";
            found.push(Diagnostic::warning("env-var", name.span, message).hint(hint));
        }
    }
}
