//! Decides for another attempt of a run which jobs keep their results, and which resume in the middle.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::engine::Resumed;
use crate::engine::attempt::CarriedJob;
use crate::engine::checkpoint::{Checkpoint, NotResumable};
use crate::engine::scheduler::Ending;
use crate::model::{Job, JobId, RerunScope, Run, Step, StepKind, StepNumber};
use crate::store::folder::RunFolder;

use super::{Mode, checkpoints};

/// Why a job cannot be re-run from one of its steps.
#[derive(Debug, thiserror::Error)]
pub enum StepRerunError {
    /// The run has no such job.
    #[error("no such job: {0}")]
    NoJob(JobId),
    /// The step does not exist, or was added by the runner.
    #[error("step {step} of {job} is not in the workflow file")]
    NotInFile {
        /// Name of the job.
        job: String,
        /// Number of the step.
        step: StepNumber,
    },
    /// An earlier step has not ended.
    #[error("{job} has not reached step {step}: step {open} has not ended")]
    NotReached {
        /// Name of the job.
        job: String,
        /// Number of the step.
        step: StepNumber,
        /// First step that has not ended.
        open: StepNumber,
    },
    /// The workspace of the job, or its state before the step, was removed.
    #[error("the files of {0} were removed: re-run the whole job")]
    Gone(String),
    /// The state before the step was not kept.
    #[error("{job} cannot continue from step {step}: {reason}; re-run the whole job")]
    NotKept {
        /// Name of the job.
        job: String,
        /// Number of the step.
        step: StepNumber,
        /// Why it was not kept.
        reason: String,
    },
    /// A background step was still running before the step.
    #[error(
        "{job} cannot continue from step {step}: a background step before it had not been waited for; re-run it from \
         step {earlier}"
    )]
    Background {
        /// Name of the job.
        job: String,
        /// Number of the step.
        step: StepNumber,
        /// Last step before it from which the job can continue.
        earlier: StepNumber,
    },
    /// The state before the step needs a secret that was not given.
    #[error(transparent)]
    Sealed(NotResumable),
}

/// Returns the jobs of an earlier attempt that keep their results.
pub(super) fn kept(mode: &Mode, before: &Run) -> IndexMap<JobId, CarriedJob> {
    let scope = match mode {
        Mode::Start => return IndexMap::new(),
        Mode::Rerun(scope) => scope,
        Mode::Resume | Mode::Abort { .. } => &RerunScope::Failed,
    };
    let again = before.jobs_of(scope);
    let stand = before.jobs.values().filter(|job| !again.contains(&&job.id));
    let kept = stand.filter_map(|job| {
        let ending = Ending { conclusion: job.phase.conclusion()?, allowed_failure: job.allowed_failure };
        Some((job.id.clone(), CarriedJob { ending, outputs: job.outputs.clone() }))
    });
    kept.collect()
}

/// Returns the jobs that resume in the middle: those left by a lost worker, or the one that is re-run from a step.
///
/// # Errors
/// The job cannot be re-run from that step. A job of a lost worker that cannot resume is not an error: it starts over.
pub fn resumed(
    mode: &Mode,
    folder: &RunFolder,
    before: &Run,
    secrets: &IndexMap<String, String>,
) -> Result<HashMap<JobId, Resumed>, StepRerunError> {
    match mode {
        Mode::Start | Mode::Abort { .. } | Mode::Rerun(RerunScope::All | RerunScope::Failed | RerunScope::Job(_)) => {
            Ok(HashMap::new())
        }
        Mode::Rerun(RerunScope::Step { job, step }) => {
            let job = before.jobs.get(job).ok_or_else(|| StepRerunError::NoJob(job.clone()))?;
            let checkpoint = before_step(folder, job, *step)?.map(|checkpoint| checkpoint.opened(secrets));
            let checkpoint = checkpoint.transpose().map_err(StepRerunError::Sealed)?;
            let resumed = checkpoint.map(|checkpoint| {
                let why = format!("kept from attempt {}", before.attempt);
                Resumed { finished: finished(job, checkpoint.done), checkpoint, why }
            });
            Ok(resumed.map(|resumed| (job.id.clone(), resumed)).into_iter().collect())
        }
        Mode::Resume => {
            let kept = kept(mode, before);
            let begun = before.jobs.values().filter(|job| !kept.contains_key(&job.id));
            let left = begun.filter_map(|job| Some((job, checkpoints::read(&folder.checkpoint(&job.id)).pop()?)));
            let opened = left.filter_map(|(job, checkpoint)| match checkpoint.opened(secrets) {
                Ok(checkpoint) => {
                    let why = "done before the worker was lost".to_owned();
                    Some((job.id.clone(), Resumed { finished: finished(job, checkpoint.done), checkpoint, why }))
                }
                Err(reason) => {
                    tracing::warn!(job = %job.id, %reason, "starts over from its first step");
                    None
                }
            });
            Ok(opened.collect())
        }
    }
}

/// Returns the state of a job before one of its steps; `None` before the first step.
fn before_step(folder: &RunFolder, job: &Job, step: StepNumber) -> Result<Option<Checkpoint>, StepRerunError> {
    let name = || job.name.clone();
    let mut steps = job.steps.iter().filter(|step| step.kind == StepKind::Main);
    let Some(done) = steps.clone().position(|one| one.number == step) else {
        return Err(StepRerunError::NotInFile { job: name(), step });
    };
    if let Some(open) = steps.find(|one| one.number < step && !one.phase.is_done()) {
        return Err(StepRerunError::NotReached { job: name(), step, open: open.number });
    }
    if done == 0 {
        return Ok(None);
    }
    if !folder.job_work(&job.id).is_dir() {
        return Err(StepRerunError::Gone(name()));
    }
    let written = checkpoints::read(&folder.checkpoint(&job.id));
    let before = written.iter().map(|checkpoint| checkpoint.done).filter(|kept| *kept < done).max();
    // A job that went back to an earlier step has several; the last is of the try that the later steps continued.
    let found = written.into_iter().rfind(|checkpoint| checkpoint.done == done);
    let of_file: Vec<_> = job.steps.iter().filter(|step| step.kind == StepKind::Main).collect();
    // No checkpoint is kept between the start of a background step and its wait.
    let skipped = &of_file[before.unwrap_or(0)..done];
    if found.is_none() && skipped.iter().any(|step| step.background) {
        return Err(StepRerunError::Background { job: name(), step, earlier: skipped[0].number });
    }
    let checkpoint = found.ok_or_else(|| StepRerunError::Gone(name()))?;
    match checkpoint.not_resumable.clone() {
        Some(reason) => Err(StepRerunError::NotKept { job: name(), step, reason }),
        None => Ok(Some(checkpoint)),
    }
}

/// Returns the first `done` steps of a job that are in the workflow file. Steps that the runner added before them run
/// again.
fn finished(job: &Job, done: usize) -> Vec<Step> {
    job.steps.iter().filter(|step| step.kind == StepKind::Main).take(done).cloned().collect()
}
