//! The fold: records in, what is true out.
//!
//! [`RunStore::apply`] is total and idempotent: it cannot fail, and a record that was folded already changes nothing.
//! Whatever order a crash leaves behind, no phase moves backwards within an attempt: what has ended stays ended.

use indexmap::IndexMap;

use crate::model::{Command, Gate};
use crate::model::{
    Conclusion, Event, Job, JobId, JobOutline, Phase, Record, Reply, Run, RunId, Step, StepKind, StepNumber,
    StepOutline, Timestamp,
};

/// What is known about a run before its first record.
#[derive(Clone, Debug, PartialEq)]
pub struct RunHeader {
    /// Its id.
    pub id: RunId,
    /// The workflow's file.
    pub workflow: String,
    /// The event.
    pub event: String,
    /// The branch or tag, short.
    pub ref_name: String,
    /// The commit.
    pub sha: String,
    /// When it was created.
    pub created: Timestamp,
}

/// Any number of runs and how far they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunStore {
    runs: IndexMap<RunId, Run>,
}

impl RunStore {
    /// Makes a run known. One that is known already stays as it is.
    pub fn open(&mut self, header: RunHeader) {
        self.runs.entry(header.id.clone()).or_insert_with(|| Run {
            id: header.id,
            name: header.workflow.clone(),
            workflow: header.workflow,
            event: header.event,
            ref_name: header.ref_name,
            sha: header.sha,
            attempt: 0,
            phase: Phase::Queued,
            reason: None,
            created: header.created,
            started: None,
            finished: None,
            jobs: IndexMap::new(),
            seq: 0,
        });
    }

    /// Forgets a run.
    pub fn close(&mut self, id: &RunId) {
        self.runs.shift_remove(id);
    }

    /// A run.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// All runs, in the order in which they became known.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values()
    }

    /// Folds a record in. News of an unknown run, job or step, and news that came already, change nothing.
    pub fn apply(&mut self, id: &RunId, record: &Record) {
        let Some(run) = self.runs.get_mut(id) else { return };
        if record.seq <= run.seq {
            return;
        }
        run.seq = record.seq;
        fold(run, record.at, &record.event);
    }
}

fn fold(run: &mut Run, at: Timestamp, event: &Event) {
    match event {
        Event::RunStarted { attempt, name } => {
            if *attempt > run.attempt {
                run.attempt = *attempt;
                run.name.clone_from(name);
                run.phase = Phase::Running;
                run.reason = None;
                run.started = Some(at);
                run.finished = None;
            }
        }
        Event::RunWaiting { gate } => {
            if !run.phase.is_done() {
                run.phase = Phase::Waiting(gate.clone());
            }
        }
        Event::JobsPlanned { jobs, replaces } => plan(run, jobs, replaces.as_ref()),
        Event::Ordered { command: Command::Cancel | Command::ForceCancel, reply: Reply::Accepted } => {
            if !run.phase.is_done() {
                run.phase = Phase::Stopping;
            }
        }
        Event::RunFinished { conclusion, reason } => {
            if !run.phase.is_done() {
                run.phase = Phase::Done(*conclusion);
                run.reason.clone_from(reason);
                run.finished = Some(at);
                // Nobody saw how what was under way ended; what never began did not fail.
                let cancelled = *conclusion == Conclusion::Cancelled;
                let lost = if cancelled { Conclusion::Cancelled } else { Conclusion::Failure };
                for job in run.jobs.values_mut() {
                    let end = if job.phase.is_active() { lost } else { Conclusion::Cancelled };
                    close_job(job, end, at);
                }
            }
        }
        Event::Ordered { .. } | Event::Unknown => {}
        Event::JobWaiting { job, .. }
        | Event::JobStarted { job, .. }
        | Event::JobFinished { job, .. }
        | Event::StepsPlanned { job, .. }
        | Event::StepStarted { job, .. }
        | Event::ProcessStarted { job, .. }
        | Event::Output { job, .. }
        | Event::Annotated { job, .. }
        | Event::StepFinished { job, .. } => {
            if let Some(job) = run.jobs.get_mut(job) {
                fold_job(job, at, event);
            }
        }
    }
}

/// New entries, or entries of a new attempt: a job that is planned again starts over.
fn plan(run: &mut Run, outlines: &[JobOutline], replaces: Option<&JobId>) {
    let place = replaces.and_then(|id| run.jobs.get_index_of(id));
    if let Some(place) = place {
        run.jobs.shift_remove_index(place);
    }
    for (offset, outline) in outlines.iter().enumerate() {
        let job = queued(outline, run.attempt);
        match (run.jobs.get_mut(&outline.id), place) {
            (Some(known), _) if known.attempt < run.attempt => *known = job,
            (Some(_), _) => {}
            (None, Some(place)) => {
                let place = (place + offset).min(run.jobs.len());
                run.jobs.shift_insert(place, outline.id.clone(), job);
            }
            (None, None) => drop(run.jobs.insert(outline.id.clone(), job)),
        }
    }
    if let Some(replaced) = replaces {
        // Whoever needed the entry needs what took its place.
        for job in run.jobs.values_mut() {
            if let Some(at) = job.needs.iter().position(|need| need == replaced) {
                job.needs.splice(at..=at, outlines.iter().map(|outline| outline.id.clone()));
            }
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
        caller: outline.caller.clone(),
        sandbox: None,
        attempt,
        phase: if outline.needs.is_empty() { Phase::Queued } else { Phase::Waiting(Gate::Needs) },
        allowed_failure: false,
        reason: None,
        started: None,
        finished: None,
        outputs: IndexMap::new(),
        steps: Vec::new(),
    }
}

fn fold_job(job: &mut Job, at: Timestamp, event: &Event) {
    if job.phase.is_done() {
        return;
    }
    match event {
        Event::JobWaiting { gate, .. } if !job.phase.is_active() => job.phase = Phase::Waiting(gate.clone()),
        Event::JobStarted { name, sandbox, .. } => {
            job.phase = Phase::Running;
            job.name.clone_from(name);
            job.sandbox = Some(sandbox.clone());
            job.started.get_or_insert(at);
        }
        Event::JobFinished { conclusion, allowed_failure, reason, outputs, environment_url, .. } => {
            job.allowed_failure = *allowed_failure;
            job.reason.clone_from(reason);
            job.outputs.clone_from(outputs);
            job.environment_url.clone_from(environment_url);
            close_job(job, *conclusion, at);
        }
        Event::StepsPlanned { steps, .. } => {
            for outline in steps {
                step(job, outline.number).plan(outline);
            }
        }
        Event::StepStarted { step: number, name, .. } => {
            let step = step(job, *number);
            if !step.phase.is_done() {
                step.phase = Phase::Running;
                step.name.clone_from(name);
                step.started.get_or_insert(at);
            }
        }
        Event::ProcessStarted { step: number, pgid, .. } => {
            let step = step(job, *number);
            if !step.phase.is_done() && !step.process_groups.contains(pgid) {
                step.process_groups.push(*pgid);
            }
        }
        Event::Output { step: number, output, .. } => {
            let step = step(job, *number);
            step.lines = step.lines.max(output.first + output.count);
        }
        Event::Annotated { step: number, annotation, .. } => step(job, *number).annotations.push(annotation.clone()),
        Event::StepFinished { step: number, outcome, conclusion, exit_code, signal, reason, .. } => {
            let step = step(job, *number);
            if !step.phase.is_done() {
                step.outcome = Some(*outcome);
                step.exit_code = *exit_code;
                step.signal = *signal;
                step.reason.clone_from(reason);
                step.close(*conclusion, at);
            }
        }
        _ => {}
    }
}

/// Ends a job and, with it, whatever of it nobody will tell about any more.
fn close_job(job: &mut Job, conclusion: Conclusion, at: Timestamp) {
    if job.phase.is_done() {
        return;
    }
    let began = job.phase.is_active();
    for step in &mut job.steps {
        let end = if step.phase.is_active() { conclusion } else { Conclusion::Skipped };
        if !step.phase.is_done() {
            step.close(end, at);
        }
    }
    if began {
        job.finished = Some(at);
    }
    job.phase = Phase::Done(conclusion);
}

/// The step with this number, made if it was never announced.
fn step(job: &mut Job, number: StepNumber) -> &mut Step {
    let place = match job.steps.binary_search_by_key(&number, |step| step.number) {
        Ok(place) => place,
        Err(place) => {
            job.steps.insert(
                place,
                Step {
                    number,
                    name: format!("Step {number}"),
                    kind: StepKind::Main,
                    phase: Phase::Queued,
                    outcome: None,
                    exit_code: None,
                    signal: None,
                    reason: None,
                    started: None,
                    finished: None,
                    lines: 0,
                    annotations: Vec::new(),
                    process_groups: Vec::new(),
                },
            );
            place
        }
    };
    &mut job.steps[place]
}

impl Step {
    fn plan(&mut self, outline: &StepOutline) {
        self.kind = outline.kind;
        if self.phase == Phase::Queued {
            self.name.clone_from(&outline.name);
        }
    }

    fn close(&mut self, conclusion: Conclusion, at: Timestamp) {
        if self.phase.is_active() {
            self.finished = Some(at);
        }
        self.phase = Phase::Done(conclusion);
        self.process_groups.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LineRange;
    use proptest::prelude::*;

    fn header() -> RunHeader {
        let text = |text: &str| text.to_owned();
        RunHeader {
            id: RunId::new("r"),
            workflow: text("ci.yml"),
            event: text("push"),
            ref_name: text("main"),
            sha: text("abc"),
            created: Timestamp(1),
        }
    }

    fn outline(id: &str, needs: &[&str]) -> JobOutline {
        JobOutline {
            id: JobId::new(id),
            key: id.to_owned(),
            name: id.to_owned(),
            needs: needs.iter().map(JobId::new).collect(),
            environment: None,
            caller: None,
        }
    }

    fn finished(job: &str, conclusion: Conclusion) -> Event {
        Event::JobFinished {
            job: JobId::new(job),
            conclusion,
            allowed_failure: false,
            reason: None,
            outputs: IndexMap::new(),
            environment_url: None,
        }
    }

    fn folded(events: &[Event]) -> Run {
        let mut store = RunStore::default();
        store.open(header());
        for (index, event) in events.iter().enumerate() {
            let seq = index as u64 + 1;
            store.apply(&RunId::new("r"), &Record { seq, at: Timestamp(seq * 10), event: event.clone() });
        }
        store.run(&RunId::new("r")).expect("open").clone()
    }

    fn started(attempt: u32) -> Event {
        Event::RunStarted { attempt, name: "CI".to_owned() }
    }

    fn planned(jobs: Vec<JobOutline>) -> Event {
        Event::JobsPlanned { jobs, replaces: None }
    }

    #[test]
    fn what_a_dead_worker_left_open_is_closed_with_its_run() {
        let job = JobId::new("a");
        let run = folded(&[
            started(1),
            planned(vec![outline("a", &[]), outline("b", &["a"])]),
            Event::JobStarted { job: job.clone(), name: "a".to_owned(), sandbox: "host".to_owned() },
            Event::StepStarted { job: job.clone(), step: StepNumber(2), name: "x".to_owned() },
            Event::ProcessStarted { job: job.clone(), step: StepNumber(2), pgid: 7 },
            Event::RunFinished { conclusion: Conclusion::Failure, reason: Some("worker lost".to_owned()) },
            finished("a", Conclusion::Success),
        ]);
        assert_eq!(run.phase, Phase::Done(Conclusion::Failure));
        assert_eq!(run.jobs[&job].phase, Phase::Done(Conclusion::Failure));
        assert_eq!(run.jobs[&job].steps[0].phase, Phase::Done(Conclusion::Failure));
        assert!(run.jobs[&job].steps[0].process_groups.is_empty());
        assert_eq!(run.jobs[&JobId::new("b")].phase, Phase::Done(Conclusion::Cancelled));
    }

    #[test]
    fn a_new_attempt_starts_only_its_own_jobs_over() {
        let run = folded(&[
            started(1),
            planned(vec![outline("a", &[]), outline("b", &["a"])]),
            finished("a", Conclusion::Success),
            finished("b", Conclusion::Failure),
            Event::RunFinished { conclusion: Conclusion::Failure, reason: None },
            started(2),
            planned(vec![outline("b", &["a"])]),
        ]);
        assert_eq!((run.attempt, &run.phase, run.finished), (2, &Phase::Running, None));
        assert_eq!(run.jobs[&JobId::new("a")].phase, Phase::Done(Conclusion::Success));
        assert_eq!(
            (&run.jobs[&JobId::new("b")].phase, run.jobs[&JobId::new("b")].attempt),
            (&Phase::Waiting(Gate::Needs), 2)
        );
    }

    #[test]
    fn legs_take_the_place_of_their_entry_and_are_needed_in_its_stead() {
        let run = folded(&[
            started(1),
            planned(vec![outline("a", &[]), outline("m", &["a"]), outline("z", &["m"])]),
            Event::JobsPlanned {
                jobs: vec![outline("m-1", &["a"]), outline("m-2", &["a"])],
                replaces: Some(JobId::new("m")),
            },
        ]);
        assert_eq!(run.jobs.keys().map(JobId::as_str).collect::<Vec<_>>(), ["a", "m-1", "m-2", "z"]);
        assert_eq!(run.jobs[&JobId::new("z")].needs, [JobId::new("m-1"), JobId::new("m-2")]);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let job = prop_oneof![Just(JobId::new("a")), Just(JobId::new("b")), Just(JobId::new("ghost"))];
        let step = (1_u32..4).prop_map(StepNumber);
        let conclusion = prop_oneof![Just(Conclusion::Success), Just(Conclusion::Failure), Just(Conclusion::Skipped)];
        prop_oneof![
            (1_u32..4).prop_map(started),
            Just(planned(vec![outline("a", &[]), outline("b", &["a"])])),
            Just(Event::JobsPlanned { jobs: vec![outline("c", &[])], replaces: Some(JobId::new("b")) }),
            job.clone().prop_map(|job| Event::JobStarted { job, name: "n".to_owned(), sandbox: "host".to_owned() }),
            (job.clone(), step.clone()).prop_map(|(job, step)| Event::StepStarted { job, step, name: "s".to_owned() }),
            (job.clone(), step.clone(), 0_u64..9, 0_u64..9).prop_map(|(job, step, first, count)| Event::Output {
                job,
                step,
                output: LineRange { first, count }
            }),
            (job.clone(), step, conclusion.clone()).prop_map(|(job, step, conclusion)| Event::StepFinished {
                job,
                step,
                outcome: conclusion,
                conclusion,
                exit_code: None,
                signal: None,
                reason: None,
            }),
            (job, conclusion.clone()).prop_map(|(job, conclusion)| finished(job.as_str(), conclusion)),
            conclusion.prop_map(|conclusion| Event::RunFinished { conclusion, reason: None }),
        ]
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(events in prop::collection::vec(any_event(), 0..40), cut in 0_usize..40) {
            let records: Vec<_> = events.into_iter().enumerate()
                .map(|(index, event)| Record { seq: index as u64 + 1, at: Timestamp(index as u64), event }).collect();
            let id = RunId::new("r");
            let mut once = RunStore::default();
            once.open(header());
            for record in &records {
                once.apply(&id, record);
            }
            let mut twice = RunStore::default();
            twice.open(header());
            for record in records.iter().take(cut).chain(&records).chain(&records) {
                twice.apply(&id, record);
            }
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn no_order_panics_and_nothing_ended_begins_again_within_an_attempt(
            events in prop::collection::vec(any_event(), 0..60),
            seqs in prop::collection::vec(1_u64..100, 60),
        ) {
            let id = RunId::new("r");
            let mut store = RunStore::default();
            store.open(header());
            let mut ended: IndexMap<(u32, JobId), Phase> = IndexMap::new();
            for (event, seq) in events.into_iter().zip(seqs) {
                store.apply(&id, &Record { seq, at: Timestamp(seq), event });
                for job in store.run(&id).expect("open").jobs.values().filter(|job| job.phase.is_done()) {
                    let before = ended.entry((job.attempt, job.id.clone())).or_insert_with(|| job.phase.clone());
                    prop_assert_eq!(&*before, &job.phase);
                }
            }
        }
    }
}
