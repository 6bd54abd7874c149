//! Records in any order, with any losses.

use proptest::prelude::*;

use super::*;

fn any_event() -> impl Strategy<Value = Event> {
    let id = || prop::sample::select(vec!["a", "b", "b-2", "ghost"]);
    let job = || id().prop_map(JobId::new);
    let step = || (1_u32..4).prop_map(StepNumber);
    let conclusion = || {
        prop::sample::select(vec![Conclusion::Success, Conclusion::Failure, Conclusion::Cancelled, Conclusion::Skipped])
    };
    prop_oneof![
        (1_u32..4).prop_map(started),
        (1_u32..4).prop_map(|attempt| Event::RunWaiting { gate: Gate::Capacity, attempt, name: "n".to_owned() }),
        (prop::collection::vec((id(), id()), 0..4), prop::option::of(job())).prop_map(|(jobs, replaces)| {
            Event::JobsPlanned { jobs: jobs.iter().map(|(id, need)| outline(id, &[need])).collect(), replaces }
        }),
        job().prop_map(|job| Event::JobWaiting { job, gate: Gate::Capacity }),
        job().prop_map(|job| Event::JobStarted {
            job,
            name: "n".to_owned(),
            sandbox: "host".to_owned(),
            environment: None
        }),
        (job(), prop::collection::vec(step(), 0..4)).prop_map(|(job, steps)| Event::StepsPlanned {
            job,
            steps: steps
                .into_iter()
                .map(|number| StepOutline {
                    number,
                    name: "s".to_owned(),
                    kind: StepKind::Post,
                    background: false,
                    label: None
                })
                .collect(),
        }),
        (job(), step()).prop_map(|(job, step)| Event::StepStarted { job, step, name: "s".to_owned() }),
        (job(), step(), 1..4_i32).prop_map(|(job, step, pgid)| Event::ProcessStarted { job, step, pgid }),
        (job(), step(), any::<u64>(), any::<u64>()).prop_map(|(job, step, first, count)| Event::Output {
            job,
            step,
            output: LineRange { first, count }
        }),
        job().prop_map(|job| Event::RunnerFound { job, log: RunnerLog { runner: "r".to_owned(), unavailable: None } }),
        (job(), step(), any::<u64>(), any::<u64>()).prop_map(|(job, step, line, bytes)| Event::LineGrew {
            job,
            step,
            line,
            bytes
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
        Just(Event::Ordered { command: Command::Cancel, reply: Reply::Accepted, by: None }),
        prop::collection::vec((0_u64..3, job()), 0..3).prop_map(|reviews| Event::ReviewsPending {
            environments: reviews
                .into_iter()
                .map(|(id, job)| PendingReview { jobs: vec![job], ..testing::pending_review(id, "prod", &["maria"]) })
                .collect(),
        }),
        (0_u64..3, any::<bool>()).prop_map(|(id, approve)| Event::Ordered {
            command: Command::Review { environments: vec![id], approve, comment: String::new() },
            reply: Reply::Accepted,
            by: None,
        }),
        any::<bool>().prop_map(|approved| Event::Reviewed {
            environments: vec!["prod".to_owned()],
            approved,
            by: "maria".to_owned(),
            comment: String::new(),
        }),
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

/// Whether no phase of the same attempt moved backwards, except for a run that waits again or had no jobs.
fn only_forward(before: &Run, after: &Run) -> bool {
    let jobs = before.jobs.values().all(|job| {
        let Some(now) = after.jobs.get(&job.id).filter(|now| now.attempt == job.attempt) else { return true };
        let same = |step: &Step| now.steps.iter().find(|other| other.number == step.number);
        moves_forward(&job.phase, &now.phase)
            && job.steps.iter().all(|step| same(step).is_some_and(|now| moves_forward(&step.phase, &now.phase)))
    });
    let waits_again = before.phase == Phase::Running && matches!(after.phase, Phase::Waiting(_));
    let starts_over = before.phase.is_done() && after.phase == Phase::Running && !has_jobs(before);
    let forward = moves_forward(&before.phase, &after.phase) || waits_again || starts_over;
    jobs && (before.attempt < after.attempt || forward)
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
