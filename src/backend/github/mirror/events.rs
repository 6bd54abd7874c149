//! Converts the differences between a snapshot of a remote run and its mirror into events with the server's times.
//!
//! Only differences become events, so a repeated snapshot adds nothing. A job in progress can override the server's own
//! state of the run, which may lag behind.

use crate::backend::github::wire::checks::Annotation as WireAnnotation;
use crate::backend::github::wire::deployments::{Approval, PendingDeployment};
use crate::backend::github::wire::repository::{ConcurrencyGroup, GroupMember};
use crate::backend::github::wire::runs::{Job as WireJob, Run as WireRun};
use crate::backend::github::wire::words::{AnnotationLevel, Status};
use crate::model::{
    Annotation, Conclusion, EndReason, Event, Gate, JobId, Level, Phase, Record, Run, StepKind, StepNumber,
    StepOutline, Timestamp,
};
use crate::store::runs::RunStore;

use super::graph::Layout;
use super::{jobs, reviews};

/// An event with its time.
pub type Timed = (Timestamp, Event);

/// A run, as a server describes it.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'s> {
    /// The run, or one attempt of it.
    pub run: &'s WireRun,
    /// Jobs of the attempt, of all pages; `None` for a run that is only listed.
    pub jobs: Option<(&'s [WireJob], &'s Layout)>,
    /// Deployments that wait for protection rules, if they were requested.
    pub pending: &'s [PendingDeployment],
    /// Completed reviews, if they were requested.
    pub approvals: &'s [Approval],
    /// Concurrency groups of the run with their members, if they were requested.
    pub groups: &'s [ConcurrencyGroup],
    /// The concurrency group in which a newer run replaced this one; `None` if none did, or if it is not known.
    pub superseded: Option<&'s str>,
}

impl<'s> Snapshot<'s> {
    /// Returns a snapshot of a run that is only listed.
    #[must_use]
    pub fn listed(run: &'s WireRun) -> Self {
        Self { run, jobs: None, pending: &[], approvals: &[], groups: &[], superseded: None }
    }
}

/// What is known about a run, and the events that were added to it.
pub(super) struct Diff {
    store: RunStore,
    known: Run,
    events: Vec<Timed>,
}

impl Diff {
    fn new(known: &Run) -> Self {
        let mut store = RunStore::default();
        store.resume(known.clone());
        Self { store, known: known.clone(), events: Vec::new() }
    }

    /// Returns the run with all added events applied.
    pub(super) fn run(&self) -> &Run {
        self.store.run(&self.known.info.id).unwrap_or(&self.known)
    }

    pub(super) fn add(&mut self, at: Timestamp, event: Event) {
        let seq = self.run().seq.saturating_add(1);
        let record = Record { seq, at, event };
        self.store.apply(&self.known.info.id, &record);
        self.events.push((record.at, record.event));
    }
}

/// Returns the events that a snapshot adds to a run. A snapshot of an earlier attempt than the known one adds nothing.
/// Nor does a snapshot of an attempt that has already ended, unless the attempt was mirrored without jobs until now.
#[must_use]
pub fn events(known: &Run, snapshot: &Snapshot<'_>) -> Vec<Timed> {
    let attempt = snapshot.run.run_attempt.unwrap_or(1).max(1);
    let mut diff = Diff::new(known);
    let has_jobs = known.jobs.values().any(|job| job.attempt == known.attempt);
    let lists_jobs = snapshot.jobs.is_some_and(|(listed, _)| !listed.is_empty());
    let is_new = attempt > known.attempt;
    let phase = phase(snapshot);
    // The run had been mirrored without jobs, and now they have arrived.
    let starts_over = attempt == known.attempt
        && known.phase.is_done()
        && !has_jobs
        && lists_jobs
        && is_definite(snapshot, &phase, &known.phase);
    if attempt < known.attempt || (known.phase.is_done() && !is_new && !starts_over) {
        return Vec::new();
    }
    let (name, started) = (name(snapshot.run), started(snapshot.run, known));
    match &phase {
        Phase::Waiting(gate) if !starts_over => {
            if is_new || (known.phase != phase && known.phase != Phase::Stopping) {
                let at = if is_new { started } else { updated(snapshot.run, started) };
                diff.add(at, Event::RunWaiting { gate: gate.clone(), attempt, name });
            }
        }
        _ => {
            if is_new || starts_over || matches!(known.phase, Phase::Waiting(_) | Phase::Queued) {
                diff.add(started, Event::RunStarted { attempt, name });
            }
        }
    }
    if let Some((listed, layout)) = snapshot.jobs.filter(|(listed, _)| !(listed.is_empty() && phase.is_done())) {
        jobs::add(&mut diff, snapshot, listed, layout, started);
        reviews::add(&mut diff, snapshot, updated(snapshot.run, started));
    }
    if let Phase::Done(conclusion) = phase
        && has_ended(&diff, snapshot)
    {
        let run = diff.run();
        let ends = run.jobs.values().filter(|job| job.attempt == attempt).filter_map(|job| job.finished);
        let at = ends.max().unwrap_or_else(|| updated(snapshot.run, started)).max(started);
        let reason = match &snapshot.run.conclusion {
            Some(ending) => ending.conclusion().1.map(|word| format!("it ended as `{word}`")),
            None => Some("the server reported no conclusion".to_owned()),
        };
        jobs::close_unlisted(&mut diff, conclusion, at);
        let replaced = snapshot.superseded.filter(|_| conclusion == Conclusion::Cancelled);
        let replaced = replaced.map(|group| EndReason::GroupYielded { group: group.to_owned(), to: NEWER.to_owned() });
        diff.add(at, Event::RunFinished { conclusion, reason: replaced.or(reason.map(EndReason::Message)) });
    }
    diff.events
}

/// Whether a snapshot is reliable enough to record an attempt once more from its start, although the end of the attempt
/// is recorded. `phase` is the phase of the run in the snapshot, `known` the recorded one. All states must be known to
/// this version, and jobs that have ended must have a conclusion. A run that ended without a conclusion must be
/// recorded as such.
fn is_definite(snapshot: &Snapshot<'_>, phase: &Phase, known: &Phase) -> bool {
    let is_known = |status: &Option<Status>| status.as_ref().is_some_and(|word| !matches!(word, Status::Other(_)));
    let has_ended = |job: &WireJob| job.conclusion.is_some() && is_completed(job.status.as_ref(), true);
    let listed = snapshot.jobs.map(|(listed, _)| listed).unwrap_or_default();
    let mut jobs = listed.iter().filter(|job| job.id.is_some());
    match phase {
        // Some servers never give a conclusion.
        Phase::Done(_) if snapshot.run.conclusion.is_none() => phase == known,
        Phase::Done(_) => jobs.all(has_ended),
        // The run of a fork was approved, or a server repeats a run as the same attempt.
        _ => is_known(&snapshot.run.status) && jobs.all(|job| is_known(&job.status)),
    }
}

/// Whether the end of a run can be recorded, which requires that all its jobs have ended.
fn has_ended(diff: &Diff, snapshot: &Snapshot<'_>) -> bool {
    let run = diff.run();
    match snapshot.jobs {
        Some((listed, _)) => listed
            .iter()
            .filter(|job| job.id.is_some())
            .all(|job| is_completed(job.status.as_ref(), job.conclusion.is_some())),
        // A list of runs has no jobs, and some may have been in progress when the run was last fetched. Without a
        // conclusion, the run is fetched.
        None => {
            snapshot.run.conclusion.is_some()
                && run.jobs.values().all(|job| job.attempt < run.attempt || job.phase.is_done())
        }
    }
}

pub(super) fn is_completed(status: Option<&Status>, has_conclusion: bool) -> bool {
    status.map_or(has_conclusion, |status| *status == Status::Completed)
}

/// Returns the name of a run: its title, as lists of runs show it.
fn name(run: &WireRun) -> String {
    let names = [&run.display_title, &run.name, &run.path];
    names.into_iter().flatten().find(|name| !name.is_empty()).cloned().unwrap_or_default()
}

fn started(run: &WireRun, known: &Run) -> Timestamp {
    run.run_started_at.or(run.created_at).map_or(known.info.created, |time| time.0)
}

fn updated(run: &WireRun, started: Timestamp) -> Timestamp {
    run.updated_at.map_or(started, |time| time.0).max(started)
}

/// Returns the phase of a run. A job in progress takes precedence over the server's state of the run, unless that is
/// `completed`, `waiting` or `pending`.
fn phase(snapshot: &Snapshot<'_>) -> Phase {
    let run = snapshot.run;
    if is_completed(run.status.as_ref(), run.conclusion.is_some()) {
        return Phase::Done(run.conclusion.as_ref().map_or(Conclusion::Neutral, |ending| ending.conclusion().0));
    }
    let listed = snapshot.jobs.map(|(listed, _)| listed).unwrap_or_default();
    let has = |wanted: Status| listed.iter().any(|job| job.status.as_ref() == Some(&wanted));
    match &run.status {
        Some(Status::Waiting) => Phase::Waiting(protection(snapshot.pending.first(), None)),
        Some(Status::Pending) => Phase::Waiting(concurrency(snapshot, None)),
        _ if has(Status::InProgress) => Phase::Running,
        Some(Status::Queued | Status::Requested) if !has(Status::Completed) => {
            let labels = listed.iter().find(|job| job.labels.is_some()).map(jobs::labels).unwrap_or_default();
            Phase::Waiting(Gate::Runner(labels))
        }
        Some(Status::Other(word)) if listed.is_empty() => Phase::Waiting(Gate::Other(word.clone())),
        _ => Phase::Running,
    }
}

fn environment_of(pending: &PendingDeployment) -> Option<&str> {
    pending.environment.as_ref().and_then(|environment| environment.name.as_deref())
}

/// Returns the waiting deployment of a job by its environment. If no name matches, returns the only deployment, if
/// there is just one.
pub(super) fn of_environment<'s>(snapshot: &Snapshot<'s>, name: Option<&str>) -> Option<&'s PendingDeployment> {
    let named = snapshot.pending.iter().find(|pending| name.is_some() && environment_of(pending) == name);
    named.or(if let [only] = snapshot.pending { Some(only) } else { None })
}

/// Returns the gate that a deployment waits for. `name` is the environment's name from the workflow file.
pub(super) fn protection(pending: Option<&PendingDeployment>, name: Option<&str>) -> Gate {
    pending.map_or_else(
        || Gate::Protection(name.unwrap_or_default().to_owned()),
        |pending| reviews::review(pending, name.unwrap_or_default()).gate(),
    )
}

/// Returns the gate of a run, or of one of its jobs, that waits for a concurrency group. The names of the group and its
/// holder are empty if they are not known.
pub(super) fn concurrency(snapshot: &Snapshot<'_>, job: Option<u64>) -> Gate {
    let (mut group, mut holder) = (String::new(), String::new());
    for known in snapshot.groups {
        let members = known.group_members.as_ref().map(|members| members.items.as_slice()).unwrap_or_default();
        // The members are in order, and the holder comes first.
        let is_ours = |member: &GroupMember| {
            member.run_id == snapshot.run.id && (job.is_none() || member.job_id.is_none() || member.job_id == job)
        };
        let Some(place) = members.iter().position(is_ours) else { continue };
        // The group may list only this run, with its position.
        if members[place].position.unwrap_or(place as u64) == 0 {
            continue;
        }
        group = known.group_name.clone().unwrap_or_default();
        if let Some(first) = members.first().filter(|first| first.run_id != members[place].run_id) {
            let names = [first.run_name.clone(), first.run_id.map(|id| id.to_string()), first.job_name.clone()];
            holder = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
        }
        break;
    }
    Gate::Concurrency { group, holder }
}

/// Stands for the name of the run that replaced another one in its concurrency group, which the server does not report.
const NEWER: &str = "a newer run";

/// Text before and after the name of the group in the annotation that a job gets when its run is replaced in a
/// concurrency group.
const SUPERSEDED: (&str, &str) = ("Canceling since a higher priority waiting request for '", "' exists");

/// Returns the concurrency group in which a run was replaced by a newer one. `annotations` are the annotations of the
/// run, by job id. `None` if no annotation names such a group.
#[must_use]
pub fn superseded(annotations: &[(u64, Vec<WireAnnotation>)]) -> Option<&str> {
    let mut messages =
        annotations.iter().flat_map(|(_, all)| all).filter_map(|annotation| annotation.message.as_deref());
    messages.find_map(|message| message.strip_prefix(SUPERSEDED.0)?.strip_suffix(SUPERSEDED.1))
}

/// Path of an annotation that is about a job itself.
const NO_FILE: &str = ".github";

/// Returns the annotations of a job that are not known yet. `all` are the annotations of its check run, in order.
///
/// The server does not report the step of an annotation. It is assigned to the failed step, else to the last step of
/// the workflow file that started, else to the first step. A job without steps gets an extra one.
#[must_use]
pub fn annotations(known: &Run, job: &JobId, all: &[WireAnnotation]) -> Vec<Timed> {
    let Some(found) = known.jobs.get(job) else { return Vec::new() };
    let count = found.steps.iter().map(|step| step.annotations.len()).sum();
    let at = found.finished.or(found.started).or(known.finished).unwrap_or(known.info.created);
    let failed = found.steps.iter().find(|step| step.phase.conclusion().is_some_and(Conclusion::is_bad));
    let main = || found.steps.iter().rev().find(|step| step.kind == StepKind::Main && step.started.is_some());
    let number = failed.or_else(main).or(found.steps.first()).map(|step| step.number);
    let mut events = Vec::new();
    if number.is_none() && all.len() > count {
        let outline = StepOutline {
            number: StepNumber(1),
            name: "Annotations".to_owned(),
            kind: StepKind::Job,
            background: false,
            label: None,
        };
        events.push((at, Event::StepsPlanned { job: job.clone(), steps: vec![outline] }));
    }
    let step = number.unwrap_or(StepNumber(1));
    events.extend(
        all.iter()
            .skip(count)
            .map(|annotation| (at, Event::Annotated { job: job.clone(), step, annotation: of_wire(annotation) })),
    );
    events
}

fn of_wire(wire: &WireAnnotation) -> Annotation {
    let file = wire.path.clone().filter(|path| !path.is_empty() && path != NO_FILE);
    let in_file = |place: Option<u32>| place.filter(|_| file.is_some());
    Annotation {
        level: wire.annotation_level.as_ref().map_or(Level::Notice, AnnotationLevel::level),
        message: wire.message.as_deref().unwrap_or_default().to_owned(),
        title: wire.title.clone().filter(|title| !title.is_empty()),
        line: in_file(wire.start_line),
        end_line: in_file(wire.end_line),
        column: in_file(wire.start_column),
        end_column: in_file(wire.end_column),
        file,
    }
}
