//! Converts the differences in the jobs of a run and their steps into events.

use std::collections::HashSet;

use indexmap::IndexMap;

use crate::backend::github::wire::runs::{Job as WireJob, Step as WireStep};
use crate::backend::github::wire::words::{Ending, Status};
use crate::model::{
    Conclusion, Event, Gate, Job, JobId, JobOutline, Phase, StepKind, StepNumber, StepOutline, Timestamp,
};

use super::events::{Diff, Snapshot, concurrency, is_completed, of_environment, protection};
use super::graph::Layout;

/// Shown in place of the machine of a job that calls a workflow.
const CALLER: &str = "called workflow";

/// Adds the jobs of an attempt and what happened in them.
pub(super) fn add(diff: &mut Diff, snapshot: &Snapshot<'_>, listed: &[WireJob], layout: &Layout, started: Timestamp) {
    let fresh = fresh(diff, snapshot, listed, layout);
    plan(diff, layout, &fresh, started);
    let mut in_order: Vec<&WireJob> = listed.iter().collect();
    in_order.sort_by_key(|job| (job.started_at.or(job.created_at), job.id));
    // The reason why a job waits depends on the jobs that it needs.
    let (waiting, begun): (Vec<_>, Vec<_>) = in_order
        .into_iter()
        .partition(|job| matches!(job.status, Some(Status::Waiting | Status::Pending)) && job.conclusion.is_none());
    for jobs in [begun, waiting] {
        for job in jobs {
            for id in job.id.and_then(|id| layout.listed.get(&id)).into_iter().flatten() {
                if fresh.contains(id) {
                    add_job(diff, snapshot, job, id, started);
                }
            }
        }
        add_callers(diff);
    }
}

/// Returns the jobs that belong to this attempt. Jobs carried over from an earlier one are listed again by some
/// servers, and omitted by others.
fn fresh(diff: &Diff, snapshot: &Snapshot<'_>, listed: &[WireJob], layout: &Layout) -> HashSet<JobId> {
    let run = diff.run();
    let attempt = run.attempt;
    let is_earlier = |id: &JobId| run.jobs.get(id).is_some_and(|job| job.attempt < attempt && job.phase.is_done());
    let is_carried = |id: &JobId, job: &WireJob| {
        let is_old = job.run_attempt.is_some_and(|of_job| of_job < attempt)
            || (job.completed_at.is_some() && job.completed_at < snapshot.run.run_started_at);
        is_old && is_earlier(id)
    };
    let mut fresh = HashSet::new();
    let mut found = HashSet::new();
    for job in listed {
        for id in job.id.and_then(|id| layout.listed.get(&id)).into_iter().flatten() {
            found.insert(id);
            if !is_carried(id, job) {
                fresh.insert(id.clone());
            }
        }
    }
    fresh.extend(layout.jobs.iter().map(|job| &job.id).filter(|id| !is_earlier(id)).cloned());
    // A job that is not listed belongs to this attempt if one of its needs does; a caller, if one of the jobs that it
    // calls does.
    loop {
        let repeated = |job: &&JobOutline| {
            !found.contains(&job.id) && !fresh.contains(&job.id) && job.needs.iter().any(|need| fresh.contains(need))
                || !fresh.contains(&job.id)
                    && layout
                        .jobs
                        .iter()
                        .any(|other| other.caller.as_ref() == Some(&job.id) && fresh.contains(&other.id))
        };
        let more: Vec<JobId> = layout.jobs.iter().filter(repeated).map(|job| job.id.clone()).collect();
        if more.is_empty() {
            return fresh;
        }
        fresh.extend(more);
    }
}

/// Adds [`Event::JobsPlanned`] for jobs that are new or have changed.
fn plan(diff: &mut Diff, layout: &Layout, fresh: &HashSet<JobId>, at: Timestamp) {
    let is_news = |diff: &Diff, outline: &JobOutline| {
        let run = diff.run();
        fresh.contains(&outline.id)
            && run.jobs.get(&outline.id).is_none_or(|job| job.attempt < run.attempt || differs(job, outline))
    };
    let outline = |id: &JobId| layout.jobs.iter().find(|job| job.id == *id);
    for (entry, legs) in &layout.legs {
        if diff.run().jobs.contains_key(entry) {
            let jobs: Vec<JobOutline> =
                legs.iter().filter_map(outline).filter(|job| is_news(diff, job)).cloned().collect();
            if !jobs.is_empty() {
                diff.add(at, Event::JobsPlanned { jobs, replaces: Some(entry.clone()) });
            }
        }
    }
    let jobs: Vec<JobOutline> = layout.jobs.iter().filter(|job| is_news(diff, job)).cloned().collect();
    if !jobs.is_empty() {
        diff.add(at, Event::JobsPlanned { jobs, replaces: None });
    }
}

/// Whether a job has not started and differs from its outline.
fn differs(job: &Job, outline: &JobOutline) -> bool {
    let is_open = !job.phase.is_active() && !job.phase.is_done();
    is_open
        && (job.name != outline.name
            || job.needs != outline.needs
            || job.remote != outline.remote
            || job.caller != outline.caller)
}

fn add_job(diff: &mut Diff, snapshot: &Snapshot<'_>, wire: &WireJob, id: &JobId, run_started: Timestamp) {
    let Some(job) = diff.run().jobs.get(id).filter(|job| !job.phase.is_done()) else { return };
    let has_open_needs =
        job.needs.iter().any(|need| diff.run().jobs.get(need).is_some_and(|need| !need.phase.is_done()));
    let queued = wire.created_at.map_or(run_started, |time| time.0);
    let started = wire.started_at.map_or(queued, |time| time.0);
    let steps = wire.steps.as_ref().map(|steps| steps.items.as_slice()).unwrap_or_default();
    let gate = match &wire.status {
        _ if is_completed(wire.status.as_ref(), wire.conclusion.is_some()) => None,
        Some(Status::InProgress) => None,
        Some(Status::Waiting | Status::Pending) if has_open_needs => Some(Gate::Needs),
        Some(Status::Waiting) => {
            Some(protection(of_environment(snapshot, job.environment.as_deref()), job.environment.as_deref()))
        }
        Some(Status::Pending) => Some(concurrency(snapshot, wire.id)),
        Some(Status::Other(word)) if steps.is_empty() => Some(Gate::Other(word.clone())),
        Some(Status::Queued | Status::Requested) | None => Some(Gate::Runner(labels(wire))),
        Some(_) => None,
    };
    if let Some(gate) = gate {
        if job.phase != Phase::Waiting(gate.clone()) && !job.phase.is_active() {
            diff.add(queued, Event::JobWaiting { job: id.clone(), gate });
        }
        return;
    }
    let ending = wire.conclusion.as_ref().filter(|_| is_completed(wire.status.as_ref(), true));
    let is_skipped = matches!(ending, Some(Ending::Skipped));
    let is_done = is_completed(wire.status.as_ref(), wire.conclusion.is_some());
    if !job.phase.is_active() && !is_skipped && (!is_done || wire.has_run()) {
        let (name, environment) = (wire.name.clone().unwrap_or_else(|| job.name.clone()), None);
        diff.add(started, Event::JobStarted { job: id.clone(), name, sandbox: runner(wire), environment });
    }
    if !is_skipped {
        add_steps(diff, id, steps, started);
    }
    if is_done {
        let last = steps.iter().filter_map(|step| step.completed_at).max();
        let at = wire.completed_at.or(last).map_or(started, |time| time.0).max(started);
        let (conclusion, reason) = ended(wire.conclusion.as_ref());
        diff.add(at, job_finished(id, conclusion, reason));
    }
}

/// Returns the labels that the runner of a job must have.
pub(super) fn labels(job: &WireJob) -> Vec<String> {
    job.labels.as_ref().map(|labels| labels.items.clone()).unwrap_or_default()
}

/// Returns the runner of a job: its name, and the labels by which it was chosen.
fn runner(job: &WireJob) -> String {
    let labels = Some(labels(job)).filter(|labels| !labels.is_empty()).map(|labels| labels.join(", "));
    let name = job.runner_name.as_ref().filter(|name| !name.is_empty());
    match (name, labels) {
        (Some(name), Some(labels)) => format!("{name} ({labels})"),
        (Some(name), None) => name.clone(),
        (None, Some(labels)) => labels,
        (None, None) => "runner".to_owned(),
    }
}

/// Returns how a job or step ended, with the server's word as the reason if the model has no conclusion for it.
fn ended(ending: Option<&Ending>) -> (Conclusion, Option<String>) {
    match ending.map(Ending::conclusion) {
        Some((conclusion, word)) => (conclusion, word.map(|word| format!("it ended as `{word}`"))),
        None => (Conclusion::Neutral, Some("the server reported no conclusion".to_owned())),
    }
}

fn job_finished(job: &JobId, conclusion: Conclusion, reason: Option<String>) -> Event {
    Event::JobFinished {
        job: job.clone(),
        conclusion,
        allowed_failure: false,
        reason,
        outputs: IndexMap::new(),
        environment_url: None,
    }
}

/// Adds the steps of a job that has started.
fn add_steps(diff: &mut Diff, id: &JobId, wire: &[WireStep], job_started: Timestamp) {
    let numbered = || wire.iter().filter_map(|step| Some((StepNumber(step.number?), step)));
    let outlines: Vec<StepOutline> = numbered()
        .map(|(number, step)| {
            let name = step.name.clone().unwrap_or_else(|| format!("Step {number}"));
            StepOutline { number, kind: kind(&name), name, background: false, label: None }
        })
        .collect();
    let is_known = |outline: &StepOutline| {
        diff.run().jobs[id].steps.iter().any(|step| step.number == outline.number && step.name == outline.name)
    };
    if !outlines.iter().all(is_known) {
        diff.add(job_started, Event::StepsPlanned { job: id.clone(), steps: outlines.clone() });
    }
    for ((number, step), outline) in numbered().zip(outlines) {
        let Some(known) = diff.run().jobs[id].steps.iter().find(|known| known.number == number) else { continue };
        let is_done = is_completed(step.status.as_ref(), step.conclusion.is_some());
        let runs = step.status == Some(Status::InProgress);
        if known.phase.is_done() || !(is_done || runs) {
            continue;
        }
        let (conclusion, reason) = ended(step.conclusion.as_ref());
        let is_skipped = is_done && conclusion == Conclusion::Skipped;
        let started = step.started_at.map_or(job_started, |time| time.0);
        if !known.phase.is_active() && !is_skipped && step.started_at.is_some() {
            diff.add(started, Event::StepStarted { job: id.clone(), step: number, name: outline.name });
        }
        if is_done {
            let at = step.completed_at.map_or(started, |time| time.0).max(started);
            let (outcome, exit_code, signal) = (conclusion, None, None);
            let job = id.clone();
            diff.add(at, Event::StepFinished { job, step: number, outcome, conclusion, exit_code, signal, reason });
        }
    }
}

/// Returns the kind of a step, which its name shows: runners name their own steps in a fixed way.
fn kind(name: &str) -> StepKind {
    match name {
        "Set up job" | "Complete job" | "Initialize containers" | "Stop containers" => StepKind::Job,
        _ if name.starts_with("Post ") => StepKind::Post,
        _ if name.starts_with("Pre ") => StepKind::Pre,
        _ => StepKind::Main,
    }
}

/// Starts and ends the jobs that call workflows together with the jobs that they call, because servers do not list
/// callers.
fn add_callers(diff: &mut Diff) {
    let of_attempt = |job: &&Job| job.attempt == diff.run().attempt;
    // Callers come before the jobs that they call.
    let ids: Vec<JobId> = diff.run().jobs.values().rev().filter(of_attempt).map(|job| job.id.clone()).collect();
    for id in ids {
        let run = diff.run();
        let called: Vec<&Job> = run.jobs.values().filter(|job| job.caller.as_ref() == Some(&id)).collect();
        let caller = &run.jobs[&id];
        if called.is_empty() || caller.phase.is_done() {
            continue;
        }
        let has_ended = called.iter().all(|job| job.phase.is_done());
        let first = called.iter().filter_map(|job| job.started).min();
        let last = called.iter().filter_map(|job| job.finished).max().or(first).or(run.started).unwrap_or_default();
        let started = first.filter(|_| !caller.phase.is_active()).map(|first| {
            let (job, name, sandbox) = (id.clone(), caller.name.clone(), CALLER.to_owned());
            (first, Event::JobStarted { job, name, sandbox, environment: None })
        });
        let ended = has_ended.then(|| (last, job_finished(&id, worst(&called), None)));
        for (at, event) in started.into_iter().chain(ended) {
            diff.add(at, event);
        }
    }
}

/// Returns the conclusion of a job that calls these jobs, by GitHub's rules.
fn worst(called: &[&Job]) -> Conclusion {
    let has = |wanted: Conclusion| called.iter().any(|job| job.phase.conclusion() == Some(wanted));
    let bad = called
        .iter()
        .filter_map(|job| job.phase.conclusion())
        .find(|conclusion| conclusion.is_bad() && *conclusion != Conclusion::Cancelled);
    match bad {
        Some(bad) => bad,
        None if has(Conclusion::Cancelled) => Conclusion::Cancelled,
        None if called.iter().all(|job| job.phase.conclusion() == Some(Conclusion::Skipped)) => Conclusion::Skipped,
        None => Conclusion::Success,
    }
}

/// Ends the jobs of the file that the server did not list although the run has ended.
pub(super) fn close_unlisted(diff: &mut Diff, conclusion: Conclusion, at: Timestamp) {
    let run = diff.run();
    let calls = |id: &JobId| run.jobs.values().any(|job| job.caller.as_ref() == Some(id));
    let is_open = |job: &&Job| !job.phase.is_active() && !job.phase.is_done() && !calls(&job.id);
    let open: Vec<JobId> = run.jobs.values().filter(is_open).map(|job| job.id.clone()).collect();
    for job in open {
        let (ended, reason) = match conclusion {
            Conclusion::Cancelled => (Conclusion::Cancelled, None),
            _ => (Conclusion::Skipped, Some("the server does not list it".to_owned())),
        };
        diff.add(at, job_finished(&job, ended, reason));
    }
    add_callers(diff);
}
