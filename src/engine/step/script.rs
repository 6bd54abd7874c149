//! A `run:` step: its script in a file, its shell, its working directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::workflow::expr::Scope;
use crate::workflow::template::Template;

use super::process;
use super::process::Invocation;
use super::shell::Shell;
use super::{Ran, StepScope, Steps, Task};
use crate::engine::outlet::StepLog;
use crate::engine::workspace::hash_files::WorkspaceFiles;

/// What a `run:` step says.
pub(in crate::engine) struct Run<'s> {
    pub(in crate::engine) script: &'s Template,
    pub(in crate::engine) shell: Option<&'s Template>,
    pub(in crate::engine) working_directory: Option<&'s Template>,
}

/// Runs the script to its end.
pub(in crate::engine) async fn run(
    steps: &mut Steps<'_>,
    frame: &StepScope,
    task: &Task<'_>,
    run: &Run<'_>,
    log: &mut dyn StepLog,
) -> Ran {
    match prepare(steps, frame, task, run).await {
        Ok((invocation, script)) => {
            let ran = process::execute(steps, frame, task, &invocation, log).await;
            // It may hold a secret that an expression put there. Left behind it would be found by the job's end.
            if let Err(error) = fs::remove_file(&script) {
                tracing::warn!(script = %script.display(), %error, "cannot remove a step's script");
            }
            ran
        }
        Err(reason) => Ran::failed(reason),
    }
}

async fn prepare(
    steps: &Steps<'_>,
    frame: &StepScope,
    task: &Task<'_>,
    run: &Run<'_>,
) -> Result<(Invocation, PathBuf), String> {
    let place = steps.place;
    let host = WorkspaceFiles::at(&place.workspace);
    let scope = Scope { contexts: &task.ready.contexts, status: frame.functions(), host: &host };
    let text = |template: &Template, what: &str| match template.evaluate(&scope) {
        Ok(value) => Ok(value.to_text()),
        Err(error) => Err(format!("`{what}`: {error}")),
    };
    let optional = |template: Option<&Template>, what: &str| {
        template.map(|template| text(template, what)).transpose().map(|text| text.filter(|text| !text.is_empty()))
    };
    // `defaults.run` does not reach into composite actions.
    let defaults = frame.action.is_none().then_some(&place.defaults);
    let shell = run.shell.or(defaults.and_then(|defaults| defaults.shell.as_ref()));
    let folder = run.working_directory.or(defaults.and_then(|defaults| defaults.working_directory.as_ref()));
    let body = text(run.script, "run")?;
    let shell = optional(shell, "shell")?;
    let folder = optional(folder, "working-directory")?;
    let path = steps.search_path(&task.ready.overlay);
    let sandbox = place.sandbox.as_ref();
    let shell = Shell::find(shell.as_deref(), sandbox, &path).await?;
    let script = place.temp.join(format!("{}-{}{}", task.number, task.step.id, shell.extension()));
    fs::write(&script, shell.script(&body)).map_err(|error| format!("cannot write the step's script: {error}"))?;
    if place.is_container() {
        // Whoever the container's user is must read it.
        fs::set_permissions(&script, fs::Permissions::from_mode(0o644))
            .map_err(|error| format!("cannot open the step's script to the container: {error}"))?;
    }
    let inside = sandbox.inside(&place.workspace);
    let cwd = folder.map_or_else(|| inside.clone(), |folder| inside.join(folder));
    // A folder of the container alone is the container's to know.
    let here = sandbox.outside(&cwd);
    if (!place.is_container() || here.starts_with(&place.workspace)) && !here.is_dir() {
        return Err(format!("the working directory {} does not exist", cwd.display()));
    }
    let (program, args) = shell.command(&sandbox.inside(&script));
    Ok((Invocation { program, args, cwd, files: vec![script.clone()], ..Invocation::default() }, script))
}
