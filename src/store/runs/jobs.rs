//! Adds the planned jobs to a run, starts them over in a later attempt, and replaces a job by the legs of its matrix.

use std::collections::VecDeque;

use indexmap::IndexMap;

use crate::model::{Gate, Job, JobId, JobOutline, Phase, Run};

/// Adds jobs, or starts them over in a new attempt. With `replaces`, the jobs are the matrix legs of that job and take
/// its place.
pub(super) fn plan(run: &mut Run, outlines: &[JobOutline], replaces: Option<&JobId>) {
    let entry = replaces.and_then(|id| run.jobs.get_full(id));
    // The replaced entry stays if it is the result of an earlier attempt, or if one of the legs has its id.
    let stays =
        entry.is_some_and(|(_, id, job)| job.attempt < run.attempt || outlines.iter().any(|outline| outline.id == *id));
    let place = entry.map(|(place, ..)| place);
    if let (Some(place), false) = (place, stays) {
        run.jobs.shift_remove_index(place);
    }
    // Position of the next leg.
    let mut next = place.map(|place| place + usize::from(stays));
    for outline in outlines {
        let job = queued(outline, run.attempt);
        if let Some((known_at, _, known)) = run.jobs.get_full_mut(&outline.id) {
            next = next.map(|next| next.max(known_at + 1));
            if known.attempt < run.attempt {
                *known = job;
            } else if !known.phase.is_active() && !known.phase.is_done() {
                *known = Job { phase: known.phase.clone(), steps: std::mem::take(&mut known.steps), ..job };
            }
        } else if let Some(place) = next {
            run.jobs.shift_insert(place, outline.id.clone(), job);
            next = Some(place + 1);
        } else {
            run.jobs.insert(outline.id.clone(), job);
        }
    }
    if let Some(replaced) = replaces {
        // Jobs that needed the entry now need its legs.
        for job in run.jobs.values_mut() {
            if let Some(at) = job.needs.iter().position(|need| need == replaced) {
                job.needs.remove(at);
                let leg = Some(replaced).filter(|_| stays);
                let mut legs: Vec<_> = leg.into_iter().chain(outlines.iter().map(|outline| &outline.id)).collect();
                legs.dedup();
                legs.retain(|leg| !job.needs.contains(leg));
                let legs: Vec<_> = legs.into_iter().cloned().collect();
                job.needs.splice(at..at, legs);
            }
        }
    }
}

/// Lets the jobs that wait on their own wait for the group of their run: what they waited for before is over, for
/// example the review of a deployment, which then waits for its turn.
pub(super) fn wait_for(run: &mut Run, group: &Gate) {
    for job in run.jobs.values_mut().filter(|job| job.attempt == run.attempt) {
        if matches!(&job.phase, Phase::Waiting(gate) if *gate != Gate::Needs) {
            job.phase = Phase::Waiting(group.clone());
        }
    }
}

fn queued(outline: &JobOutline, attempt: u32) -> Job {
    Job {
        id: outline.id.clone(),
        key: outline.key.clone(),
        name: outline.name.clone(),
        needs: outline.needs.clone(),
        environment: outline.environment.clone(),
        environment_url: None,
        deployment_page: None,
        caller: outline.caller.clone(),
        remote: outline.remote,
        sandbox: None,
        runner_log: None,
        attempt,
        phase: if outline.needs.is_empty() { Phase::Queued } else { Phase::Waiting(Gate::Needs) },
        allowed_failure: false,
        reason: None,
        explanation: None,
        started: None,
        finished: None,
        outputs: IndexMap::new(),
        services: IndexMap::new(),
        traffic: VecDeque::new(),
        steps: Vec::new(),
    }
}
