//! A shell in the environment of a running or failed job, with the variables of its step.

use crate::engine::checkpoint::FailedStep;
use crate::engine::sandbox::provider::{FollowedLine, Provider, ProviderError};
use crate::engine::sandbox::providers::Providers;
use crate::model::{Conclusion, Job, LookupError, Run, RunId};
use crate::store::folder::RunFolder;
use crate::store::spec::RunSpec;
use crate::store::{StoreError, seal};
use crate::worker::{checkpoints, control};

use super::secrets;
use super::secrets::{SecretError, SecretSource};

pub use crate::engine::sandbox::terminal::{Input, Shell, ShellRequest, Terminal};

/// Why a shell cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The named job is missing or not unique.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A step is named with the job.
    #[error("a shell or a debugger is for a whole job: name `{job}` without its step `{step}`")]
    OfStep {
        /// The job, as named.
        job: String,
        /// The step, as named.
        step: String,
    },
    /// No job is named, and no job of the run is running or has failed.
    #[error("no job of {run} runs or has failed: name one of {}", jobs.join(", "))]
    NoJob {
        /// The run.
        run: RunId,
        /// Ids of its jobs.
        jobs: Vec<String>,
    },
    /// The job has not started.
    #[error("{job} has not started")]
    NotStarted {
        /// Name of the job.
        job: String,
    },
    /// No provider of this program has this kind of machine.
    #[error("{job} ran on an unknown kind of machine: {machine}")]
    UnknownMachine {
        /// Name of the job.
        job: String,
        /// Description of the machine in the journal.
        machine: String,
    },
    /// The folder of the run was not created on this machine. Its records of the step would choose the program of the
    /// shell, and its environment.
    #[error("the folder of {0} was not made on this machine: its files would choose what the shell runs")]
    Foreign(RunId),
    /// The run's folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret of the failed step has no value.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The provider refuses or fails.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// Returns the job with this id, key or name; without a name, the first one that runs, or else the first that failed.
///
/// # Errors
/// No job or more than one has the name, a step is named as well (`JOB/STEP`), or no name is given and no job is running
/// or has failed.
pub fn job<'r>(run: &'r Run, wanted: Option<&str>) -> Result<&'r Job, ShellError> {
    if let Some(wanted) = wanted {
        return match run.job_and_step(Some(wanted), None) {
            (Some(job), Some(step)) => Err(ShellError::OfStep { job: job.to_owned(), step: step.to_owned() }),
            (job, _) => Ok(run.job_named(job.unwrap_or(wanted))?),
        };
    }
    let has_failed = |job: &&Job| job.phase.conclusion().is_some_and(Conclusion::is_bad) && job.started.is_some();
    let jobs = || run.jobs.values();
    jobs().find(|job| job.phase.is_active()).or_else(|| jobs().find(has_failed)).ok_or_else(|| ShellError::NoJob {
        run: run.info.id.clone(),
        jobs: run.jobs.keys().map(ToString::to_string).collect(),
    })
}

/// A shell for a job.
pub struct JobShell {
    /// The shell.
    pub shell: Box<dyn Shell>,
    /// Script of the step whose environment the shell has, without its secrets. `None` for a running step or a service,
    /// and for a step without a script.
    pub script: Option<String>,
}

/// Opens a shell for a job: in the running job, in a container of one of its services, or in the files of its held or
/// last failed step. A job with a held step gets the environment of that step, even if another one runs beside it.
/// `sources` are the sources of the secrets of that step; the worker of a job in progress has them already.
///
/// # Errors
/// The job has not started, nothing of it is left, the folder of the run was not created on this machine, or a secret
/// of its failed step is missing.
pub async fn open(
    run: &RunFolder,
    job: &Job,
    service: Option<&str>,
    sources: &[SecretSource],
) -> Result<JobShell, ShellError> {
    if !job.phase.is_active() && !job.phase.is_done() {
        return Err(ShellError::NotStarted { job: job.name.clone() });
    }
    let providers = Providers::of_this_process();
    let provider = provider_of(&providers, job)?;
    if !seal::is_valid(run)? {
        return Err(ShellError::Foreign(run.id().clone()));
    }
    let is_running = job.steps.iter().any(|step| step.phase.is_active()) && job.held().next().is_none();
    let failed = if is_running || service.is_some() { None } else { failed_step(run, job, sources).await? };
    let script = failed.as_ref().and_then(FailedStep::shown_script);
    Ok(JobShell { shell: provider.shell(&ShellRequest { run, job, service, failed }).await?, script })
}

/// Follows the log of a service of a running job until its container ends, or `line` breaks. `line` gets each line,
/// beginning with the last ones.
///
/// # Errors
/// The job does not run, or has no running service of this name.
pub async fn follow_log(
    run: &RunFolder,
    job: &Job,
    service: &str,
    line: &mut FollowedLine<'_>,
) -> Result<(), ShellError> {
    let providers = Providers::of_this_process();
    let request = ShellRequest { run, job, service: Some(service), failed: None };
    Ok(provider_of(&providers, job)?.follow_log(&request, line).await?)
}

/// Returns the provider of the machine that a job ran on.
fn provider_of<'p>(providers: &'p Providers, job: &Job) -> Result<&'p dyn Provider, ShellError> {
    // Journals of earlier versions do not record where a job ran.
    let machine = job.sandbox.as_deref().unwrap_or("host");
    providers
        .of_machine(machine)
        .ok_or_else(|| ShellError::UnknownMachine { job: job.name.clone(), machine: machine.to_owned() })
}

/// Returns the environment and the folder of the held or last failed step, with the secrets that it needs: without
/// `sources`, those that the worker of a job in progress has. `None` if they were not kept.
async fn failed_step(run: &RunFolder, job: &Job, sources: &[SecretSource]) -> Result<Option<FailedStep>, SecretError> {
    if sources.is_empty()
        && job.phase.is_active()
        && let Ok(Some(held)) = control::environment(&run.socket(), &job.id).await
    {
        return Ok(Some(held));
    }
    let last = checkpoints::read(&run.checkpoint(&job.id)).pop();
    let Some(step) = last.and_then(|last| last.failed) else { return Ok(None) };
    if !step.needs_secrets() {
        return Ok(Some(step));
    }
    Ok(Some(step.opened(&secrets::of_run(&RunSpec::read(run)?, sources)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Event, JobId, Record, RunInfo, Timestamp, testing};
    use crate::store::runs::RunStore;

    /// Returns a run with a job that has started on a machine, or with a waiting job without one.
    fn run(machine: Option<&str>) -> Run {
        let mut store = RunStore::default();
        let info = RunInfo::default();
        let run = info.id.clone();
        store.open(info);
        let id = JobId::new("a");
        let planned = Event::JobsPlanned { jobs: vec![testing::outline("a", "Test", &[])], replaces: None };
        let mut events = vec![testing::run_started(1), planned];
        if let Some(machine) = machine {
            events.push(Event::JobStarted {
                job: id.clone(),
                name: "Test".to_owned(),
                sandbox: machine.to_owned(),
                environment: None,
            });
        }
        for (seq, event) in (1..).zip(events) {
            store.apply(&run, &Record { seq, at: Timestamp(seq), event });
        }
        store.run(&run).expect("open").clone()
    }

    #[test]
    fn a_step_is_no_place_for_a_shell() {
        let run = run(Some("host"));
        let error = |wanted: &str| job(&run, Some(wanted)).expect_err(wanted).to_string();
        assert_eq!(
            error("Test/Unit tests"),
            "a shell or a debugger is for a whole job: name `Test` without its step `Unit tests`"
        );
        assert!(error("Tset/2").contains("has no job `Tset/2`"));
        assert_eq!(job(&run, Some("a/")).expect("found").name, "Test");
    }

    #[tokio::test]
    async fn a_job_without_a_machine_has_no_shell() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::at(home.path());
        let refusal = async |machine: Option<&str>| {
            let job = run(machine).jobs[&JobId::new("a")].clone();
            open(&folder, &job, None, &[]).await.err().expect("no shell").to_string()
        };
        assert_eq!(refusal(None).await, "Test has not started");
        assert_eq!(refusal(Some("moon 1")).await, "Test ran on an unknown kind of machine: moon 1");
    }
}
