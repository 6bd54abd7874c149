//! Names that GitHub takes as they are and a runner cannot use: of shells and of variables.

use super::{jobs_with_steps, steps};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::parse::{entries, get};
use crate::workflow::schema::nearest;
use crate::workflow::syntax::{JobBody, RunDefaults, StepAction, StepsJob, Workflow};
use crate::workflow::template::{Template, TemplateKind};

/// The shells that runners know by name, after GitHub's page on workflow syntax.
const SHELLS: &[&str] = &["bash", "sh", "pwsh", "python", "cmd", "powershell"];

/// Those that only Windows has.
const OF_WINDOWS: &[&str] = &["cmd", "powershell"];

/// Shells that no runner knows, or not the one that the job runs on.
pub(super) fn shells(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    shell_of(&workflow.defaults, None, found);
    for job in jobs_with_steps(workflow) {
        let system = system(job);
        shell_of(&job.defaults, system, found);
        for step in &job.steps {
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
        let message = format!("`{written}` is no shell that runners know");
        let hint = match nearest(&name, SHELLS.iter().copied()).filter(|near| *near != name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}, or a command with `{{0}}` for the script", SHELLS.join(", ")),
        };
        found.push(Diagnostic::warning("shell-name", shell.span, message).hint(hint));
    } else if let Some(system) = system.filter(|system| *system != "windows" && OF_WINDOWS.contains(&name.as_str())) {
        let message = format!("the shell `{written}` is not there on {system}");
        let hint = if name == "powershell" { "write `pwsh`" } else { "write `bash`, or run the job on Windows" };
        found.push(Diagnostic::warning("shell-name", shell.span, message).hint(hint));
    }
}

/// The system that a job runs on, when its label tells.
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

/// Variables with names that no shell can read.
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
            let message = format!("`{}` is no name of a variable: it has `{bad}` in it", name.value);
            let hint = "write letters, digits and `_`";
            found.push(Diagnostic::warning("env-var", name.span, message).hint(hint));
        }
    }
}
