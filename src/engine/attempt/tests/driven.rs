//! The state machine with its driver.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_step_ends_its_job_and_leaves_nothing_behind() {
    let run = Driven::new(Arc::default(), ScriptedSandbox::new(|_| panic!("the sandbox broke")));
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Failure);
    let (conclusion, reason) = run.end_of("a");
    assert_eq!(conclusion, Conclusion::Failure);
    assert_eq!(reason, "internal error: the job's task panicked: the sandbox broke");
    assert_eq!(run.end_of("b").0, Conclusion::Skipped);
    assert!(!run.home.path().join("work/a/_temp").exists(), "folders that may hold secrets are removed");
    assert_eq!(run.sandbox.reaped(), ["cuelight/20261126-120000-0001@/a/"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_outside_the_steps_also_ends_the_job() {
    let outlet = MemoryOutlet::observed(|event| {
        assert!(!matches!(event, Event::JobStarted { .. }), "cannot start");
    });
    let run = Driven::new(outlet, ScriptedSandbox::always(ProcessScript::exits(0)));
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Failure);
    let (conclusion, reason) = run.end_of("a");
    assert_eq!(conclusion, Conclusion::Failure);
    assert_eq!(reason, "internal error: the job's task panicked: cannot start");
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_job_waits_for_its_group_ends_the_job() {
    let run = Driven::new(Arc::default(), ScriptedSandbox::always(ProcessScript::exits(0)));
    assert_eq!(run.run(GROUP).await.conclusion, Conclusion::Failure);
    let reason = "internal error: the wait for its group panicked: no group one";
    assert_eq!(run.end_of("a"), (Conclusion::Failure, reason.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_fails_in_fetch_fails_the_step() {
    let sandbox = ScriptedSandbox::always(ProcessScript::exits(0)).failing_in_fetch("", io::ErrorKind::ConnectionReset);
    let run = Driven::new(Arc::default(), sandbox);
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Failure);
    let (conclusion, reason) = run.end_of("a");
    assert_eq!(conclusion, Conclusion::Failure);
    assert_eq!(reason, "GITHUB_ENV: cannot be fetched from the machine of the step: connection reset");
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_is_too_large_to_fetch_fails_no_step() {
    let sandbox = ScriptedSandbox::always(ProcessScript::exits(0))
        .failing_in_fetch("GITHUB_STEP_SUMMARY", io::ErrorKind::FileTooLarge);
    let outlet = Arc::<MemoryOutlet>::default();
    let run = Driven::new(Arc::clone(&outlet), sandbox);
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Success);
    let log = outlet.log("a", 2);
    assert!(log.contains("the step's summary is dropped: cannot be fetched"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_between_starting_and_started_ends_the_job_before_its_first_step() {
    // The cancel is requested while the planned jobs are recorded: the task of `a` is spawned afterwards, and has not
    // run when the cancel is handled.
    let stop = watch::channel(Cancellation::None).0;
    let asks = stop.clone();
    let outlet = MemoryOutlet::observed(move |event| {
        if let Event::JobsPlanned { .. } = event {
            asks.send_replace(Cancellation::Cancel);
        }
    });
    let run = Driven { stop, ..Driven::new(outlet, ScriptedSandbox::always(ProcessScript::exits(0))) };
    assert_eq!(run.run(PAIR).await.conclusion, Conclusion::Cancelled);
    assert_eq!(run.end_of("a"), (Conclusion::Cancelled, "cancelled before it started".to_owned()));
    assert_eq!(run.end_of("b").0, Conclusion::Skipped);
    assert!(run.sandbox.launched_with("CI").is_empty(), "no process was started");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_a_running_step_and_still_runs_always_steps() {
    let jobs = "  a:\n    runs-on: x\n    steps:\n      - run: sleep\n      - run: echo\n      - run: tidy\n        if: always()\n";
    let sandbox = ScriptedSandbox::new(|launch| {
        Ok(if script_of(launch) == "sleep" { ProcessScript::until(Interrupt::Int) } else { ProcessScript::exits(0) })
    });
    let run = Driven::new(Arc::default(), sandbox);
    let cancels = async {
        run.outlet.recorded(|event| matches!(event, Event::StepStarted { name, .. } if name == "Run sleep")).await;
        run.stop.send_replace(Cancellation::Cancel);
    };
    let (end, ()) = tokio::join!(run.run(jobs), cancels);
    assert_eq!(end.conclusion, Conclusion::Cancelled);
    let steps = run.outlet.events().into_iter().filter_map(|event| match event {
        Event::StepFinished { step, conclusion, .. } => Some((step.0, conclusion)),
        _ => None,
    });
    assert_eq!(
        steps.collect::<Vec<_>>(),
        [
            (1, Conclusion::Success),
            (2, Conclusion::Cancelled),
            (3, Conclusion::Skipped),
            (4, Conclusion::Success),
            (5, Conclusion::Success),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_outlet_that_fails_ends_the_run() {
    let outlet = Arc::<MemoryOutlet>::default();
    let failing = Arc::clone(&outlet);
    let sandbox = ScriptedSandbox::new(move |_| {
        failing.fail("no space left");
        Ok(ProcessScript::exits(0))
    });
    let run = Driven::new(outlet, sandbox);
    let end = run.run(ALWAYS).await;
    assert_eq!((end.conclusion, end.reason.as_deref()), (Conclusion::Failure, Some("no space left")));
    assert_eq!(run.end_of("b"), (Conclusion::Cancelled, "cancelled before it started".to_owned()));
}
