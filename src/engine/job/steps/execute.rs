//! Runs the process of a step: builds its environment, and applies its results.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use indexmap::IndexMap;

use crate::engine::blocking::in_place;
use crate::engine::checkpoint::FailedStep;
use crate::engine::job::folders;
use crate::engine::outlet::StepLog;
use crate::engine::results::JobVariables;
use crate::engine::sandbox::{Launch, Sandbox};
use crate::engine::step::artifacts::{ArtifactError, Place};
use crate::engine::step::command_files;
use crate::engine::step::command_files::{CommandFiles, Left};
use crate::engine::step::end::StepEnd;
use crate::engine::step::env;
use crate::engine::step::env::Layers;
use crate::engine::step::invocation::Invocation;
use crate::engine::step::process;
use crate::engine::step::process::{Ended, StepProcess};
use crate::files::Folder;
use crate::model::{Conclusion, StepNumber};
use crate::store::space_hint;
use crate::workflow::expr::Value;

use super::scope::{Completed, RunningStep, StepScope};
use super::{Steps, Written};

/// An error while adding the artifacts of a step to the artifacts of its job.
#[derive(Debug, thiserror::Error)]
enum DeclareError {
    /// A declared line is invalid.
    #[error(transparent)]
    Line(#[from] ArtifactError),
    /// The list for later steps cannot be written.
    #[error("cannot write the list of artifacts: {source}{}", space_hint(.source))]
    List { source: io::Error },
    /// The list cannot be copied to the sandbox of the job.
    #[error("cannot copy the list of artifacts to the container: {0}")]
    Send(io::Error),
}

impl Steps<'_> {
    /// Runs the process of a step, and updates the job with the variables, folders, summary and artifacts that the
    /// process wrote. Returns the outputs and the saved state of the step. Removes the files that were written for the
    /// process.
    pub(super) async fn execute(
        &mut self,
        scope: &StepScope,
        step: &RunningStep<'_>,
        mut invocation: Invocation,
        log: &mut dyn StepLog,
    ) -> Completed {
        if let Some(remark) = &invocation.remark {
            log.write(format!("{remark}\n").as_bytes());
        }
        let command_files = match CommandFiles::create(&self.job.temp, self.job.is_container()) {
            Ok(files) => files,
            Err(error) => {
                let hint = space_hint(&error);
                return Completed::failed(format!("cannot create the step's command files: {error}{hint}"));
            }
        };
        let own_sandbox = invocation.sandbox.take();
        let sandbox: &dyn Sandbox = own_sandbox.as_deref().unwrap_or(&*self.job.sandbox);
        let services = match self.job.services(invocation.client, sandbox).await {
            Ok(services) => services,
            Err(error) => {
                log.write(format!("Artifacts and caches are not available: {error}\n").as_bytes());
                JobVariables::default()
            }
        };
        let env = self.environment(scope, step, &invocation, own_sandbox.as_deref(), &services, &command_files);
        let Invocation { program, args, cwd, files, script, .. } = invocation;
        let launch = Launch { program, args, cwd, env, background: self.written.is_some() };
        let process = StepProcess { launch: &launch, sandbox, command_files, files: &files, limits: step.limits() };
        let ran = process::run(&self.context(step.number), process, &mut self.cancel, &mut self.matchers, log).await;
        for file in &files {
            // An expression may have put a secret into the file. If the file cannot be removed now, it is removed when
            // the job ends.
            if let Err(error) = remove(&self.job.temp, file) {
                tracing::warn!(file = %file.display(), %error, "cannot remove a step's file");
            }
        }
        let Ended { mut end, mut left } = match ran {
            Ok(ended) => ended,
            Err(error) => return Completed::failed(error.to_string()),
        };
        if let Err(error) = self.declare_artifacts(&left.artifacts, step.number, sandbox, log).await {
            log.write(format!("##[error]{error}\n").as_bytes());
            if end.outcome == Conclusion::Success {
                end = StepEnd {
                    outcome: Conclusion::Failure,
                    conclusion: Conclusion::Failure,
                    reason: Some(error.to_string()),
                    ..end
                };
            }
        }
        if end.outcome == Conclusion::Failure && own_sandbox.is_none() {
            // Files of the job to which these variables lead are removed with the job.
            let gone = self.job.machine_variables();
            self.failed = Some(failed_step(launch.env, &launch.cwd, sandbox.inherited(), &gone, script));
        }
        self.take_in(step.number, &mut left);
        Completed { outputs: left.outputs, state: left.state, ..Completed::of(end) }
    }

    /// Adds the artifacts that a step declared to the artifacts of the job, and writes the list of all artifacts for
    /// later steps.
    ///
    /// # Errors
    /// A line is invalid, or the list cannot be written or copied.
    async fn declare_artifacts(
        &self,
        declared: &str,
        number: StepNumber,
        sandbox: &dyn Sandbox,
        log: &mut dyn StepLog,
    ) -> Result<(), DeclareError> {
        if declared.is_empty() {
            return Ok(());
        }
        let job = self.job;
        let place = Place { sandbox, workspace: &job.workspace, temp: &job.temp };
        let (new, all) = in_place(|| job.artifacts.declare(declared, place, number))?;
        let list = CommandFiles::replace(&job.temp, command_files::ARTIFACTS_LIST, &job.artifacts.list());
        list.map_err(|source| DeclareError::List { source })?;
        let sent = job.sandbox.send(&job.temp.join(command_files::FOLDER)).await;
        sent.map_err(DeclareError::Send)?;
        if new > 0 {
            log.write(format!("Captured {new} artifact subject(s) from this step (job total: {all}).\n").as_bytes());
        }
        Ok(())
    }

    /// Returns the complete environment of a step's process.
    fn environment(
        &self,
        scope: &StepScope,
        step: &RunningStep<'_>,
        invocation: &Invocation,
        own_sandbox: Option<&dyn Sandbox>,
        services: &JobVariables,
        command_files: &CommandFiles,
    ) -> Vec<(OsString, OsString)> {
        let job = self.job;
        let mut github = scope.action.as_ref().map_or(&job.github, |action| &action.github).clone();
        github.insert("action".to_owned(), Value::string(step.step.id.clone()));
        for (name, value) in &invocation.github {
            github.insert((*name).to_owned(), Value::string(value.clone()));
        }
        let sandbox = own_sandbox.unwrap_or(&*job.sandbox);
        let inside = |path: &Path| sandbox.inside(path).to_string_lossy().into_owned();
        let translate = |path: &str| inside(&job.sandbox.outside(Path::new(path)));
        let command_files: Vec<_> =
            command_files.variables().map(|(name, path)| (name, inside(Path::new(&path)))).collect();
        env::environment(&Layers {
            sandbox: sandbox.environment(),
            machine: &if own_sandbox.is_some() { Vec::new() } else { job.machine_variables() },
            job: &self.env,
            step: &step.prepared.overlay,
            action: &invocation.variables,
            github: &github,
            runner: &job.runner,
            services: &services.variables,
            git: &services.git,
            command_files: &command_files,
            tracking_id: &job.tracking_id,
            // Folders of the job's sandbox do not exist in the container of an action.
            path: if own_sandbox.is_some() { &[] } else { &self.path },
            translate: own_sandbox.is_some().then_some(&translate),
        })
    }

    /// Returns the environment and folder that `cuelight shell` gets for a step without a process in the job's sandbox:
    /// the environment of the job with `env` of the step, `overlay`, in the workspace.
    pub(super) fn without_process(&self, overlay: &IndexMap<String, String>) -> FailedStep {
        let job = self.job;
        let machine = job.machine_variables();
        let env = env::environment(&Layers {
            sandbox: job.sandbox.environment(),
            machine: &machine,
            job: &self.env,
            step: overlay,
            action: &IndexMap::new(),
            github: &job.github,
            runner: &job.runner,
            services: &[],
            git: &[],
            command_files: &[],
            tracking_id: &job.tracking_id,
            path: &self.path,
            translate: None,
        });
        failed_step(env, &job.sandbox.inside(&job.workspace), job.sandbox.inherited(), &machine, None)
    }

    /// Returns the search path for the programs of a step.
    pub(super) fn search_path(&self, overlay: &IndexMap<String, String>) -> OsString {
        let own = overlay.get("PATH").or_else(|| self.env.get("PATH")).map(OsStr::new);
        env::search_path(Some(own.unwrap_or_else(|| folders::search_path(&*self.job.sandbox))), &self.path)
    }

    fn take_in(&mut self, number: StepNumber, left: &mut Left) {
        self.masked |= left.masked;
        self.write(Written { env: std::mem::take(&mut left.env), path: std::mem::take(&mut left.path) });
        if !left.summary.is_empty() {
            self.job.shared.outlet.summary(&self.job.id, number, &left.summary);
        }
    }
}

/// Removes a file in the folder `temp`, without following a link with which a step may have replaced the folder.
fn remove(temp: &Path, file: &Path) -> io::Result<()> {
    let (above, name) = Folder::above(temp)?;
    above.remove(&name.join(file.file_name().unwrap_or_default()))
}

/// Returns the working directory of a process, the variables in which its environment differs from what a shell in the
/// sandbox has by itself, except those in `gone`, and its script, for `cuelight shell`.
fn failed_step(
    env: Vec<(OsString, OsString)>,
    cwd: &Path,
    inherited: &[(OsString, OsString)],
    gone: &[(&'static str, String)],
    script: Option<String>,
) -> FailedStep {
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    let is_gone =
        |(name, value): &(OsString, OsString)| gone.iter().any(|(gone, of)| name == gone && value == of.as_str());
    let own = env.iter().filter(|entry| !inherited.contains(entry) && !is_gone(entry));
    let env = own.map(|(name, value)| (text(name), text(value))).collect();
    FailedStep { env, cwd: text(cwd.as_os_str()), script }
}
