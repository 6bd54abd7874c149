//! Another attempt of a run: which jobs' results stand, and which go on in the middle.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::engine::Resumed;
use crate::engine::attempt::CarriedJob;
use crate::engine::checkpoint::Checkpoint;
use crate::engine::scheduler::Ending;
use crate::model::{Job, JobId, RerunScope, Run, Step, StepKind, StepNumber};
use crate::store::folder::RunFolder;

use super::{Mode, checkpoints};

/// The jobs of an earlier attempt whose results stand.
pub(super) fn kept(mode: &Mode, before: &Run) -> IndexMap<JobId, CarriedJob> {
    let again: Vec<&JobId> = match mode {
        Mode::Start | Mode::Rerun(RerunScope::All) => return IndexMap::new(),
        Mode::Rerun(RerunScope::Failed) | Mode::Resume => {
            let bad = before.jobs.values().filter(|job| {
                job.phase.conclusion().is_none_or(|conclusion| conclusion.is_bad() && !job.allowed_failure)
            });
            bad.map(|job| &job.id).collect()
        }
        Mode::Rerun(RerunScope::Job(wanted)) => {
            before.jobs.keys().filter(|id| *id == wanted || before.jobs[*id].key == wanted.as_str()).collect()
        }
        Mode::Rerun(RerunScope::Step { job, .. }) => before.jobs.keys().filter(|id| *id == job).collect(),
    };
    let again = with_dependants(before, again);
    let stand = before.jobs.values().filter(|job| !again.contains(&&job.id));
    let kept = stand.filter_map(|job| {
        let ending = Ending { conclusion: job.phase.conclusion()?, allowed_failure: job.allowed_failure };
        Some((job.id.clone(), CarriedJob { ending, outputs: job.outputs.clone() }))
    });
    kept.collect()
}

/// These jobs, everything that needs them, their callers, and what they call.
fn with_dependants<'r>(run: &'r Run, first: Vec<&'r JobId>) -> Vec<&'r JobId> {
    let mut again = first;
    loop {
        let more: Vec<_> = run
            .jobs
            .values()
            .filter(|job| !again.contains(&&job.id))
            .filter(|job| {
                let needs = job.needs.iter().any(|need| again.contains(&need));
                let called = job.caller.as_ref().is_some_and(|caller| again.contains(&caller));
                let calls = again.iter().any(|other| run.jobs[*other].caller.as_ref() == Some(&job.id));
                needs || called || calls
            })
            .map(|job| &job.id)
            .collect();
        if more.is_empty() {
            return again;
        }
        again.extend(more);
    }
}

/// The jobs that go on in the middle: all that a lost worker left there, or the one that runs again from a step on.
///
/// # Errors
/// Why the job cannot run again from that step. What a lost worker left and cannot go on starts from its first step.
pub fn resumed(
    mode: &Mode,
    folder: &RunFolder,
    before: &Run,
    secrets: &IndexMap<String, String>,
) -> Result<HashMap<JobId, Resumed>, String> {
    match mode {
        Mode::Start | Mode::Rerun(RerunScope::All | RerunScope::Failed | RerunScope::Job(_)) => Ok(HashMap::new()),
        Mode::Rerun(RerunScope::Step { job, step }) => {
            let job = before.jobs.get(job).ok_or_else(|| format!("there is no job {job}"))?;
            let checkpoint =
                before_step(folder, job, *step)?.map(|checkpoint| checkpoint.opened(secrets)).transpose()?;
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
                    tracing::warn!(job = %job.id, %reason, "starts again from its first step");
                    None
                }
            });
            Ok(opened.collect())
        }
    }
}

/// How a job stood before one of its steps; nothing before its first one.
///
/// # Errors
/// Why it cannot run again from there.
pub fn before_step(folder: &RunFolder, job: &Job, step: StepNumber) -> Result<Option<Checkpoint>, String> {
    let mut steps = job.steps.iter().filter(|step| step.kind == StepKind::Main);
    let Some(done) = steps.clone().position(|one| one.number == step) else {
        return Err(format!("step {step} of {} is none of the workflow's own", job.name));
    };
    if let Some(open) = steps.find(|one| one.number < step && !one.phase.is_done()) {
        return Err(format!("{} has not come to step {step}: step {} has not ended", job.name, open.number));
    }
    if done == 0 {
        return Ok(None);
    }
    let gone = || format!("what {} left is gone: run the whole job again", job.name);
    if !folder.work().join(job.id.as_str()).is_dir() {
        return Err(gone());
    }
    let written = checkpoints::read(&folder.checkpoint(&job.id));
    let checkpoint = written.into_iter().find(|checkpoint| checkpoint.done == done).ok_or_else(gone)?;
    match &checkpoint.not_resumable {
        Some(reason) => Err(format!("{} cannot go on from step {step}: {reason}; run the whole job again", job.name)),
        None => Ok(Some(checkpoint)),
    }
}

/// The steps of the file that had ended: what stands before them is done anew.
fn finished(job: &Job, done: usize) -> Vec<Step> {
    job.steps.iter().filter(|step| step.kind == StepKind::Main).take(done).cloned().collect()
}
