//! Tests of runs as their records describe them.

mod properties;
mod reviews;

use super::*;
use crate::model::testing;
use crate::model::{
    EndReason, HeldOrder, JobId, JobOutline, LineRange, PendingReview, RunnerLog, Step, StepKind, StepNumber,
    StepOutline, Summary,
};

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
fn a_job_and_its_step_are_named_together_or_apart() {
    let outlines = [("a", "Build"), ("call.inner", "call / inner"), ("t", "Test")];
    let outlines = outlines.map(|(id, name)| testing::outline(id, name, &[]));
    let run = folded(&[started(1), planned(outlines.into())]);
    for (job, step, expected) in [
        (None, None, (None, None)),
        (None, Some("3"), (None, Some("3"))),
        (Some("a"), None, (Some("a"), None)),
        (Some("a"), Some("3"), (Some("a"), Some("3"))),
        (Some("a/3"), None, (Some("a"), Some("3"))),
        (Some("build/Run ./x"), None, (Some("build"), Some("Run ./x"))),
        (Some("a/3"), Some("4"), (Some("a"), Some("4"))),
        (Some("a/"), None, (Some("a"), None)),
        (Some("call / inner"), None, (Some("call / inner"), None)),
        (Some("call / inner/2"), None, (Some("call / inner"), Some("2"))),
        (Some("call / inner / Say it"), None, (Some("call / inner"), Some("Say it"))),
        (Some("biuld/3"), None, (Some("biuld/3"), None)),
    ] {
        assert_eq!(run.job_and_step(job, step), expected, "{job:?} {step:?}");
    }
}

#[test]
fn what_a_dead_worker_left_open_is_closed_with_its_run() {
    let job = JobId::new("a");
    let run = folded(&[
        started(1),
        planned(vec![outline("a", &[]), outline("b", &["a"])]),
        Event::JobStarted { job: job.clone(), name: "a".to_owned(), sandbox: "host".to_owned(), environment: None },
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
    let kept = |job: &str| run.kept_from(&run.jobs[&JobId::new(job)]);
    assert_eq!((kept("a").as_deref(), kept("b")), (Some("kept from attempt 1"), None));
    let jobs = &run.document()["jobs"];
    assert_eq!(
        (&jobs[0]["reason"], &jobs[0]["attempt"], &jobs[1]["attempt"]),
        (&"kept from attempt 1".into(), &1.into(), &2.into())
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

    // Only the second leg runs again: the result of the first is kept.
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
fn a_step_without_a_recorded_end_did_not_succeed() {
    let job = JobId::new("a");
    let begun = [
        started(1),
        planned(vec![outline("a", &[])]),
        Event::JobStarted { job: job.clone(), name: "a".to_owned(), sandbox: "host".to_owned(), environment: None },
        Event::StepStarted { job: job.clone(), step: StepNumber(1), name: "x".to_owned() },
    ];
    for (end, word) in [(Conclusion::Success, "failure"), (Conclusion::Cancelled, "cancelled")] {
        let run = folded(&[&begun[..], &[finished("a", end)]].concat());
        assert_eq!(run.jobs[&job].steps[0].phase.word(), word);
    }
}

#[test]
fn a_held_step_of_a_dead_worker_failed_and_the_hold_of_failed_steps_is_that_of_the_attempt() {
    let (job, step) = (JobId::new("a"), StepNumber(1));
    let start =
        Event::JobStarted { job: job.clone(), name: "a".to_owned(), sandbox: "host".to_owned(), environment: None };
    let step_started = Event::StepStarted { job: job.clone(), step, name: "x".to_owned() };
    let held = Event::StepHeld { job, step, reason: Some("exit code 1".to_owned()), until: Timestamp(99) };
    let hold = Event::Ordered { command: Command::Hold { on: true }, reply: Reply::Accepted, by: None };
    let mut events = vec![started(1), hold, planned(vec![outline("a", &[])]), start, step_started, held];
    let run = folded(&events);
    assert!(run.holds && run.progress().is_held() && run.jobs[0].progress().is_held());
    assert_eq!(run.progress(), Summary::from(&run).phase);
    events.push(Event::RunFinished { conclusion: Conclusion::Failure, reason: Some(EndReason::WorkerLost) });
    let run = folded(&events);
    let step = &run.jobs[0].steps[0];
    assert_eq!((&step.phase, step.finished), (&Phase::Done(Conclusion::Failure), Some(Timestamp(70))));
    events.push(started(2));
    assert!(!folded(&events).holds);
}

#[test]
fn each_attempt_has_its_own_working_tree() {
    let read = |attempt, sha: &str, files: &[&str]| Event::WorkingTreeRead {
        attempt,
        tree: WorkingTree::new("main", sha, files.iter().map(|file| (*file).to_owned()).collect()),
    };
    let ended = || Event::RunFinished { conclusion: Conclusion::Success, reason: None };
    let mut events = vec![started(1), read(1, "aaaaaaaaa", &["b", "a", "b"])];
    let run = folded(&events);
    assert_eq!((run.info.version().as_str(), run.uncommitted()), ("main@aaaaaaa+2", &["a".to_owned(), "b".into()][..]));
    assert_eq!(run.named_attempt().as_deref(), Some("main@aaaaaaa+2"));
    events.extend([ended(), read(2, "bbbbbbbbb", &["c"]), started(2)]);
    let run = folded(&events);
    assert_eq!(run.info.version(), "main@bbbbbbb+1");
    assert_eq!(run.trees[&1].version(), "main@aaaaaaa+2");
    assert_eq!(run.named_attempt().as_deref(), Some("attempt 2 with main@bbbbbbb+1"));
    assert_eq!(Summary::from(&run).info, run.info);
    assert_eq!(run.document()["attempts"][1]["dirty"], serde_json::json!(["c"]));
    // A journal of an older version has no such events.
    let run = folded(&[started(1), ended(), started(2)]);
    assert_eq!((run.named_attempt().as_deref(), run.trees.len()), (Some("attempt 2"), 1));
}

#[test]
fn a_job_that_goes_back_queues_its_steps_again_and_a_step_held_before_it_runs_has_not_begun() {
    let job = || JobId::new("a");
    let outline = |number, kind| StepOutline { number, name: "x".to_owned(), kind, background: false, label: None };
    let kinds = [StepKind::Job, StepKind::Main, StepKind::Main, StepKind::Main, StepKind::Main];
    let steps = (1..).zip(kinds).map(|(number, kind)| outline(StepNumber(number), kind)).collect();
    let mut events = vec![started(1), planned(vec![self::outline("a", &[])])];
    events.push(Event::JobStarted { job: job(), name: "a".to_owned(), sandbox: "host".to_owned(), environment: None });
    events.push(Event::StepsPlanned { job: job(), steps });
    for number in 1..=3 {
        events.push(Event::StepStarted { job: job(), step: StepNumber(number), name: "x".to_owned() });
        events.push(testing::step_finished("a", number, Conclusion::Success, 0, None));
    }
    events.push(Event::StepStarted { job: job(), step: StepNumber(4), name: "x".to_owned() });
    let held = |step, reason: Option<&str>| {
        let reason = reason.map(str::to_owned);
        Event::StepHeld { job: job(), step: StepNumber(step), reason, until: Timestamp(99) }
    };
    let released = |step, order| Event::StepReleased { job: job(), step: StepNumber(step), order };
    let note = |step| {
        let annotation = testing::annotation("a.rs", 1, "no");
        Event::Annotated { job: job(), step: StepNumber(step), annotation }
    };
    let notes =
        |events: &[Event]| folded(events).jobs[0].steps.iter().map(|step| step.annotations.len()).collect::<Vec<_>>();
    let words = |events: &[Event]| {
        let run = folded(events);
        run.jobs[0].steps.iter().map(|step| (step.phase.word(), step.started.is_some())).collect::<Vec<_>>()
    };
    events.extend([note(2), note(3), note(4)]);
    events.push(held(4, Some("exit code 1")));
    let released_for = |order| [&events[..], &[released(4, Some(order))]].concat();
    assert_eq!(notes(&released_for(HeldOrder::Retry)), [0, 1, 1, 0, 0], "a retry repeats only its step");
    assert_eq!(notes(&released_for(HeldOrder::Continue)), [0, 1, 1, 1, 0]);
    assert_eq!(notes(&released_for(HeldOrder::RetryFrom(StepNumber(3)))), [0, 1, 0, 0, 0]);
    events.push(released(4, Some(HeldOrder::RetryFrom(StepNumber(3)))));
    let queued = ("queued", false);
    assert_eq!(words(&events), [("success", true), ("success", true), queued, queued, queued]);

    // A record of the same order that follows no hold changes nothing.
    let again = released(4, Some(HeldOrder::RetryFrom(StepNumber(2))));
    assert_eq!(words(&[&events[..], &[again]].concat()), words(&events));

    events.push(held(3, None));
    let run = folded(&events);
    assert!(run.progress().is_held() && !run.progress().is_held_after_failure());
    let lost = Event::RunFinished { conclusion: Conclusion::Failure, reason: Some(EndReason::WorkerLost) };
    assert_eq!(words(&[&events[..], &[lost]].concat())[2], ("skipped", false));
    events.push(released(3, Some(HeldOrder::Continue)));
    assert_eq!(words(&events)[2], queued);
}

#[test]
fn a_run_that_ended_without_jobs_starts_over_and_gets_its_jobs() {
    let stub = [started(1), Event::RunFinished { conclusion: Conclusion::Failure, reason: None }];
    let opened = [
        started(1),
        planned(vec![outline("a", &[])]),
        finished("a", Conclusion::Failure),
        Event::RunFinished { conclusion: Conclusion::Failure, reason: None },
    ];
    let run = folded(&[&stub[..], &opened[..]].concat());
    assert_eq!((&run.phase, run.jobs.len(), run.started), (&Phase::Done(Conclusion::Failure), 1, Some(Timestamp(30))));
    let again = folded(&[&stub[..], &opened[..], &opened[..]].concat());
    assert_eq!(again.finished, run.finished, "a run with jobs does not start over");
}

#[test]
fn a_run_that_is_in_progress_may_wait_again_and_keeps_its_start() {
    let waits = Event::RunWaiting { gate: Gate::Review("p".to_owned()), attempt: 1, name: "n".to_owned() };
    let run = folded(&[started(1), waits.clone()]);
    assert_eq!((run.phase.word(), run.started), ("waiting", Some(Timestamp(10))));
    let run = folded(&[started(1), waits, started(1)]);
    assert_eq!((run.phase, run.started), (Phase::Running, Some(Timestamp(10))));
}

#[test]
fn log_and_annotations_of_a_job_may_come_after_its_end() {
    let job = JobId::new("a");
    let step = |number| StepOutline {
        number: StepNumber(number),
        name: "s".to_owned(),
        kind: StepKind::Main,
        background: false,
        label: None,
    };
    let output =
        |number| Event::Output { job: job.clone(), step: StepNumber(number), output: LineRange { first: 0, count: 7 } };
    let run = folded(&[
        started(1),
        planned(vec![outline("a", &[])]),
        Event::StepsPlanned { job: job.clone(), steps: vec![step(1)] },
        finished("a", Conclusion::Failure),
        output(1),
        output(2),
        Event::StepsPlanned { job: job.clone(), steps: vec![step(1), step(3)] },
        output(3),
        Event::Annotated {
            job: job.clone(),
            step: StepNumber(1),
            annotation: testing::annotation("src/a.rs", 1, "no"),
        },
    ]);
    let steps: Vec<_> =
        run.jobs[&job].steps.iter().map(|step| (step.number.0, step.phase.word(), step.lines)).collect();
    assert_eq!(steps, [(1, "skipped", 7), (3, "neutral", 7)]);
    assert_eq!(run.jobs[&job].steps[0].annotations.len(), 1);
}
