//! The fold: records in, what is true out.
//!
//! [`RunStore::apply`] is total and idempotent: it cannot fail, and a record that was folded already changes nothing.
//! Whatever order a crash leaves behind, no phase moves backwards within an attempt: what has ended stays ended.

use indexmap::IndexMap;

use crate::model::{Command, Gate};
use crate::model::{
    Conclusion, Event, Job, JobId, JobOutline, Phase, Record, Reply, Run, RunId, RunInfo, Step, StepKind, StepNumber,
    StepOutline, Timestamp,
};

/// Any number of runs and how far they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunStore {
    runs: IndexMap<RunId, Run>,
}

impl RunStore {
    /// Makes a run known. One that is known already stays as it is.
    pub fn open(&mut self, info: RunInfo) {
        self.runs.entry(info.id.clone()).or_insert_with(|| Run {
            name: info.workflow.clone(),
            info,
            attempt: 0,
            phase: Phase::Queued,
            reason: None,
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
            let waited = *attempt == run.attempt && matches!(run.phase, Phase::Waiting(_));
            if *attempt > run.attempt || waited {
                run.attempt = *attempt;
                run.name.clone_from(name);
                run.phase = Phase::Running;
                run.reason = None;
                run.started = Some(at);
                run.finished = None;
            }
        }
        Event::RunWaiting { gate, attempt, name } => {
            if *attempt > run.attempt || matches!(run.phase, Phase::Queued | Phase::Waiting(_)) {
                run.attempt = run.attempt.max(*attempt);
                run.name.clone_from(name);
                run.phase = Phase::Waiting(gate.clone());
                run.reason = None;
                run.started = None;
                run.finished = None;
            }
        }
        Event::JobsPlanned { jobs, replaces } => {
            if !run.phase.is_done() {
                plan(run, jobs, replaces.as_ref());
            }
        }
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
        Event::ImagePulled { job, image, done, total } => {
            if let Some(job) = run.jobs.get_mut(job).filter(|job| !job.phase.is_active() && !job.phase.is_done()) {
                job.phase = Phase::Waiting(Gate::Resource(pulling(image, *done, *total)));
            }
        }
        Event::Ordered { .. } | Event::Unknown => {}
        Event::JobWaiting { job, .. }
        | Event::Decided { job, .. }
        | Event::JobStarted { job, .. }
        | Event::JobFinished { job, .. }
        | Event::StepsPlanned { job, .. }
        | Event::ServiceChanged { job, .. }
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
    let entry = replaces.and_then(|id| run.jobs.get_full(id));
    // The first leg may have its entry's id. Then the entry stays: as that leg, or as its result of an earlier attempt.
    let stays =
        entry.is_some_and(|(_, id, job)| job.attempt < run.attempt || outlines.iter().any(|outline| outline.id == *id));
    let place = entry.map(|(place, ..)| place);
    if let (Some(place), false) = (place, stays) {
        run.jobs.shift_remove_index(place);
    }
    // Where the next leg goes.
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
        // Whoever needed the entry needs what took its place.
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
        explanation: None,
        started: None,
        finished: None,
        outputs: IndexMap::new(),
        services: IndexMap::new(),
        steps: Vec::new(),
    }
}

/// What a job waits for whose image is on its way.
fn pulling(image: &str, done: u64, total: u64) -> String {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    match total {
        0 => format!("the image {image}"),
        _ => format!("the image {image}: {:.0} of {:.0} MB", megabytes(done), megabytes(total)),
    }
}

fn fold_job(job: &mut Job, at: Timestamp, event: &Event) {
    if job.phase.is_done() {
        return;
    }
    match event {
        Event::JobWaiting { gate, .. } if !job.phase.is_active() => job.phase = Phase::Waiting(gate.clone()),
        Event::Decided { step: None, explanation, .. } => job.explanation = Some(explanation.clone()),
        Event::Decided { step: Some(number), explanation, .. } => {
            step(job, *number).explanation = Some(explanation.clone());
        }
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
        Event::ServiceChanged { service, .. } => drop(job.services.insert(service.name.clone(), service.clone())),
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
            step.lines = step.lines.max(output.first.saturating_add(output.count));
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
        let end = match conclusion {
            _ if !step.phase.is_active() => Conclusion::Skipped,
            // Nobody said that it succeeded.
            Conclusion::Success | Conclusion::Skipped => Conclusion::Failure,
            other => other,
        };
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
                    explanation: None,
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
    use crate::model::testing;
    use crate::model::{EndReason, LineRange};
    use proptest::prelude::*;

    fn info() -> RunInfo {
        testing::info(RunId::new("r"), Timestamp(1))
    }

    fn outline(id: &str, needs: &[&str]) -> JobOutline {
        testing::outline(id, id, needs)
    }

    fn finished(job: &str, conclusion: Conclusion) -> Event {
        testing::job_finished(job, conclusion, None)
    }

    fn folded(events: &[Event]) -> Run {
        let mut store = RunStore::default();
        store.open(info());
        for (index, event) in events.iter().enumerate() {
            let seq = index as u64 + 1;
            store.apply(&RunId::new("r"), &Record { seq, at: Timestamp(seq * 10), event: event.clone() });
        }
        store.run(&RunId::new("r")).expect("open").clone()
    }

    fn started(attempt: u32) -> Event {
        testing::run_started(attempt)
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
            Event::RunFinished { conclusion: Conclusion::Failure, reason: Some(EndReason::WorkerLost) },
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

    #[test]
    fn a_first_leg_with_its_entrys_id_takes_the_entrys_name_and_place() {
        let matrix = |legs: Vec<JobOutline>| Event::JobsPlanned { jobs: legs, replaces: Some(JobId::new("m")) };
        let leg = |id: &str, name: &str| JobOutline { name: name.to_owned(), ..outline(id, &["a"]) };
        let first = [
            started(1),
            planned(vec![outline("a", &[]), outline("m", &["a"]), outline("z", &["m"])]),
            matrix(vec![leg("m", "m (1)"), leg("m-2", "m (2)")]),
        ];
        let run = folded(&first);
        let names: Vec<_> = run.jobs.values().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["a", "m (1)", "m (2)", "z"]);
        assert_eq!(run.jobs[&JobId::new("z")].needs, [JobId::new("m"), JobId::new("m-2")]);

        // Only the second leg runs again: the result of the first stands.
        let again = [
            finished("a", Conclusion::Success),
            finished("m", Conclusion::Success),
            finished("m-2", Conclusion::Failure),
            Event::RunFinished { conclusion: Conclusion::Failure, reason: None },
            started(2),
            planned(vec![outline("z", &["m"])]),
            matrix(vec![leg("m-2", "m (2)")]),
        ];
        let run = folded(&[&first[..], &again[..]].concat());
        let phases: Vec<_> = run.jobs.values().map(|job| (job.id.as_str(), job.attempt, job.phase.word())).collect();
        assert_eq!(phases, [("a", 1, "success"), ("m", 1, "success"), ("m-2", 2, "waiting"), ("z", 2, "waiting")]);
        assert_eq!(run.jobs[&JobId::new("z")].needs, [JobId::new("m"), JobId::new("m-2")]);
    }

    #[test]
    fn a_step_of_which_nobody_said_that_it_ended_did_not_succeed() {
        let job = JobId::new("a");
        let begun = [
            started(1),
            planned(vec![outline("a", &[])]),
            Event::JobStarted { job: job.clone(), name: "a".to_owned(), sandbox: "host".to_owned() },
            Event::StepStarted { job: job.clone(), step: StepNumber(1), name: "x".to_owned() },
        ];
        for (end, word) in [(Conclusion::Success, "failure"), (Conclusion::Cancelled, "cancelled")] {
            let run = folded(&[&begun[..], &[finished("a", end)]].concat());
            assert_eq!(run.jobs[&job].steps[0].phase.word(), word);
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let id = || prop::sample::select(vec!["a", "b", "b-2", "ghost"]);
        let job = || id().prop_map(JobId::new);
        let step = || (1_u32..4).prop_map(StepNumber);
        let conclusion = || {
            prop::sample::select(vec![
                Conclusion::Success,
                Conclusion::Failure,
                Conclusion::Cancelled,
                Conclusion::Skipped,
            ])
        };
        prop_oneof![
            (1_u32..4).prop_map(started),
            (1_u32..4).prop_map(|attempt| Event::RunWaiting { gate: Gate::Capacity, attempt, name: "n".to_owned() }),
            (prop::collection::vec((id(), id()), 0..4), prop::option::of(job())).prop_map(|(jobs, replaces)| {
                Event::JobsPlanned { jobs: jobs.iter().map(|(id, need)| outline(id, &[need])).collect(), replaces }
            }),
            job().prop_map(|job| Event::JobWaiting { job, gate: Gate::Capacity }),
            job().prop_map(|job| Event::JobStarted { job, name: "n".to_owned(), sandbox: "host".to_owned() }),
            (job(), prop::collection::vec(step(), 0..4)).prop_map(|(job, steps)| Event::StepsPlanned {
                job,
                steps: steps
                    .into_iter()
                    .map(|number| StepOutline { number, name: "s".to_owned(), kind: StepKind::Post })
                    .collect(),
            }),
            (job(), step()).prop_map(|(job, step)| Event::StepStarted { job, step, name: "s".to_owned() }),
            (job(), step(), 1..4_i32).prop_map(|(job, step, pgid)| Event::ProcessStarted { job, step, pgid }),
            (job(), step(), any::<u64>(), any::<u64>()).prop_map(|(job, step, first, count)| Event::Output {
                job,
                step,
                output: LineRange { first, count }
            }),
            (job(), step(), conclusion()).prop_map(|(job, step, conclusion)| Event::StepFinished {
                job,
                step,
                outcome: conclusion,
                conclusion,
                exit_code: None,
                signal: None,
                reason: None,
            }),
            (id(), conclusion()).prop_map(|(job, conclusion)| finished(job, conclusion)),
            Just(Event::Ordered { command: Command::Cancel, reply: Reply::Accepted }),
            conclusion().prop_map(|conclusion| Event::RunFinished { conclusion, reason: None }),
            Just(Event::Unknown),
        ]
    }

    fn moves_forward(before: &Phase, after: &Phase) -> bool {
        let rank = |phase: &Phase| match phase {
            Phase::Queued => 0,
            Phase::Waiting(_) => 1,
            Phase::Running => 2,
            Phase::Stopping => 3,
            Phase::Done(_) => 4,
        };
        rank(before) <= rank(after) && (!before.is_done() || before == after)
    }

    /// Within an attempt, whatever is still known is at least as far as it was.
    fn only_forward(before: &Run, after: &Run) -> bool {
        let jobs = before.jobs.values().all(|job| {
            let Some(now) = after.jobs.get(&job.id).filter(|now| now.attempt == job.attempt) else { return true };
            let same = |step: &Step| now.steps.iter().find(|other| other.number == step.number);
            moves_forward(&job.phase, &now.phase)
                && job.steps.iter().all(|step| same(step).is_some_and(|now| moves_forward(&step.phase, &now.phase)))
        });
        jobs && (before.attempt < after.attempt || moves_forward(&before.phase, &after.phase))
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(events in prop::collection::vec(any_event(), 0..40), cut in 0_usize..40) {
            let records: Vec<_> = events.into_iter().enumerate()
                .map(|(index, event)| Record { seq: index as u64 + 1, at: Timestamp(index as u64), event }).collect();
            let id = RunId::new("r");
            let mut once = RunStore::default();
            once.open(info());
            for record in &records {
                once.apply(&id, record);
            }
            let mut twice = RunStore::default();
            twice.open(info());
            for record in records.iter().take(cut).chain(&records).chain(&records) {
                twice.apply(&id, record);
            }
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn any_order_and_any_loss_is_survived_and_nothing_goes_back(
            events in prop::collection::vec((any_event(), 1_u64..100), 0..60),
            in_order in any::<bool>(),
        ) {
            let id = RunId::new("r");
            let mut store = RunStore::default();
            store.open(info());
            for (number, (event, seq)) in (1..).zip(events) {
                let before = store.run(&id).expect("open").clone();
                let seq = if in_order { number } else { seq };
                let record = Record { seq, at: Timestamp(seq), event };
                store.apply(&id, &record);
                let run = store.run(&id).expect("open");
                prop_assert!(only_forward(&before, run), "{before:#?}\n{record:?}\n{run:#?}");
                prop_assert!(run.jobs.iter().all(|(id, job)| *id == job.id));
                prop_assert!(run.jobs.values().all(|job| job.steps.is_sorted_by_key(|step| step.number)));
                let all_ended = run.jobs.values().all(|job| {
                    job.phase.is_done() && job.steps.iter().all(|step| step.phase.is_done())
                });
                prop_assert!(!run.phase.is_done() || all_ended, "{run:#?}");
            }
        }
    }
}
