//! Tests of failed steps that are held.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::engine::hold::Holds;
use crate::model::capabilities::Unavailable;
use crate::model::{HeldOrder, JobId, StepNumber};
use crate::workflow::breakpoints::Breakpoint;

const MINUTE: Duration = Duration::from_mins(1);

/// Runs a job whose first step fails in its first try, and takes 40 seconds in each further try. A person retries the
/// step after the time `after`; with `None`, its hold of one hour runs out.
async fn retried(job: &str, after: Option<Duration>) -> Ran {
    let tries = AtomicUsize::new(0);
    let sandbox = ScriptedSandbox::new(move |launch| {
        Ok(match script_of(launch).as_str() {
            "first" if tries.fetch_add(1, Ordering::Relaxed) == 0 => ProcessScript::exits(1),
            "first" => ProcessScript::exits(0).after(Duration::from_secs(40)),
            "serve" => ProcessScript::until(Interrupt::Int),
            _ => ProcessScript::exits(0),
        })
    });
    let (_stop, stopped) = watch::channel(Cancellation::None);
    let hold = |run: &mut RunContext, _: &MemoryOutlet| run.holds = Arc::new(Holds::new(Some(60 * MINUTE)));
    run_beside(job, sandbox, stopped, hold, async |run: Arc<RunContext>| {
        let Some(after) = after else { return };
        sleep(after).await;
        assert_eq!(run.holds.order(&JobId::new("a"), StepNumber(2), HeldOrder::Retry).map(drop), Ok(()));
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn each_try_has_the_whole_time_limit_of_its_step() {
    let job = "    steps: [{run: first, timeout-minutes: 1}]\n";
    let ran = retried(job, Some(5 * MINUTE)).await;
    assert_eq!((ran.end.conclusion, ran.end.reason.as_deref()), (Conclusion::Success, None));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_job_stands_still_during_a_hold() {
    let job = |minutes: &str| format!("    timeout-minutes: {minutes}\n    steps: [run: first]\n");
    let ran = retried(&job("10"), Some(30 * MINUTE)).await;
    assert_eq!((ran.end.conclusion, ran.end.reason.as_deref()), (Conclusion::Success, None));
    let held = ran.outlet.events().into_iter().find_map(|event| match event {
        Event::StepHeld { until, .. } => Some(until),
        _ => None,
    });
    let limit = crate::store::clock::now().0 + 50 * 60 * 1000;
    assert!(held.expect("it was held").0 >= limit, "an hour, not the time of the job");
    // Afterwards, the job has the rest of its time.
    let ran = retried(&job("0.5"), Some(30 * MINUTE)).await;
    assert_eq!(ran.end.conclusion, Conclusion::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_job_does_not_resume_from_a_hold_beside_which_background_steps_run() {
    let beside = "background steps ran beside the step that was held";
    for (steps, expected) in [
        ("{run: first}", None),
        ("{run: first}, {id: b, run: serve, background: true}", None),
        ("{id: b, run: serve, background: true}, {run: first}", Some(beside)),
    ] {
        let ran = retried(&format!("    steps: [{steps}]\n"), None).await;
        let checkpoints = ran.outlet.checkpoints();
        let held = checkpoints.iter().find(|checkpoint| checkpoint.failed.is_some()).expect("stored while it is held");
        assert_eq!(held.not_resumable.as_deref(), expected, "{steps}");
    }
}

/// Runs a job with the scripts of [`exits`] whose failed steps are held, and whose `breakpoints` are `a/STEP`. A person
/// then gives orders, each to the step with this number a minute after the last, and gets the expected answer.
async fn ordered(job: &str, breakpoints: &[&str], orders: &[(u32, HeldOrder, Result<(), Unavailable>)]) -> Ran {
    let plan = plan(&format!("  a:\n    runs-on: x\n{job}"), &[]);
    let breakpoints = breakpoints.iter().flat_map(|text| Breakpoint::of(&plan, text).expect("a step")).collect();
    let hold = |run: &mut RunContext, _: &MemoryOutlet| {
        run.holds = Arc::new(Holds::new(Some(MINUTE)).with_breakpoints(breakpoints, 60 * MINUTE));
    };
    let (_stop, stopped) = watch::channel(Cancellation::None);
    run_beside(job, exits(), stopped, hold, async |run: Arc<RunContext>| {
        for (step, order, expected) in orders {
            sleep(MINUTE).await;
            let answer = run.holds.order(&JobId::new("a"), StepNumber(*step), *order).map(drop);
            assert_eq!(answer, *expected, "{step} {order:?}");
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_job_that_goes_back_forgets_the_failures_after_the_step() {
    let job = "    steps: [run: one, run: exit 3, {if: failure(), run: exit 4}, {if: success(), run: five}]\n";
    let back = |step| HeldOrder::RetryFrom(StepNumber(step));
    let ran =
        ordered(job, &[], &[(3, HeldOrder::Continue, Ok(())), (4, back(3), Ok(())), (3, HeldOrder::Skip, Ok(()))])
            .await;
    assert_eq!((ran.end.conclusion, ran.end.reason.as_deref()), (Conclusion::Success, None));
    let expected = [
        ("Run one", Conclusion::Success),
        ("Run exit 3", Conclusion::Failure),
        ("Run exit 3", Conclusion::Success),
        ("Run exit 4", Conclusion::Skipped),
        ("Run five", Conclusion::Success),
    ];
    assert_eq!(ran.conclusions()[1..6], named(&expected));
    let last = ran.outlet.checkpoints().pop().expect("stored");
    assert_eq!((last.done, last.status.word()), (4, "success"));
    let log = ran.outlet.log("a", 3);
    assert!(log.contains("The step runs again; its result was failure"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_back_only_to_steps_that_can_be_undone() {
    let back = |step| HeldOrder::RetryFrom(StepNumber(step));
    let no = || Err(Unavailable::NotEarlier);
    // 2: one, 3: background, 4: two, 5: held, 6: wait.
    let job = "    steps: [run: one, {id: b, run: b, background: true}, run: two, run: exit 5, {wait: b}]\n";
    let orders = [
        (5, back(1), no()),
        (5, back(2), no()),
        (5, back(3), no()),
        (5, back(6), no()),
        (5, back(9), no()),
        (4, back(4), Err(Unavailable::NotHeld)),
        (5, back(4), Ok(())),
        (5, back(5), Ok(())),
        (5, HeldOrder::Skip, Ok(())),
    ];
    let ran = ordered(job, &[], &orders).await;
    assert_eq!(ran.end.conclusion, Conclusion::Success);
    let twos = ran.conclusions().iter().filter(|(name, _)| name == "Run two").count();
    assert_eq!(twos, 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_with_a_breakpoint_runs_is_skipped_or_fails_without_a_decision() {
    let job = "    steps: [run: one, {run: two, id: stop}, {if: always(), run: three}]\n";
    let reason = |ran: &Ran| ran.steps()[2].2.clone();
    for order in [HeldOrder::Continue, HeldOrder::Retry] {
        let ran = ordered(job, &["a/stop"], &[(3, order, Ok(()))]).await;
        assert_eq!((ran.end.conclusion, ran.conclusions()[2].1), (Conclusion::Success, Conclusion::Success));
    }
    let ran = ordered(job, &["a/stop"], &[(3, HeldOrder::Skip, Ok(()))]).await;
    assert_eq!((ran.end.conclusion, ran.conclusions()[2].1), (Conclusion::Success, Conclusion::Skipped));
    assert_eq!(reason(&ran), "skipped by a person before it ran");
    let ran = ordered(job, &["a/stop"], &[]).await;
    assert_eq!((ran.end.conclusion, ran.conclusions()[2].1), (Conclusion::Failure, Conclusion::Failure));
    assert_eq!(reason(&ran), "did not run: held for 60 minutes, and nobody decided how its job goes on");
    assert_eq!(ran.conclusions()[3].1, Conclusion::Success, "a step with always() runs");
    let is_start = |event: &Event| matches!(event, Event::StepStarted { step: StepNumber(3), .. });
    assert!(!ran.outlet.events().iter().any(is_start));

    // A breakpoint stops again after the job went back before it, and one before a control step holds, too.
    let back = HeldOrder::RetryFrom(StepNumber(2));
    let ran = ordered(job, &["a/3"], &[(3, back, Ok(())), (3, HeldOrder::Continue, Ok(()))]).await;
    let names: Vec<_> = ran.conclusions().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[1..4], ["Run one", "Run one", "Run two"]);
    let job = "    steps: [{id: b, run: b, background: true}, {wait: b, id: w}, run: last]\n";
    let ran =
        ordered(job, &["a/w", "a/b"], &[(3, HeldOrder::Continue, Ok(())), (2, HeldOrder::Continue, Ok(()))]).await;
    assert_eq!(ran.end.conclusion, Conclusion::Success);

    // A step that does not run is not held.
    let ran = ordered("    steps: [{if: false, run: one, id: stop}, run: two]\n", &["a/stop"], &[]).await;
    assert_eq!((ran.end.conclusion, ran.conclusions()[1].1), (Conclusion::Success, Conclusion::Skipped));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_a_breakpoint_without_running_the_step() {
    let plan = plan("  a:\n    runs-on: x\n    steps: [{run: two, id: stop}]\n", &[]);
    let breakpoints = Breakpoint::of(&plan, "a/stop").expect("a step");
    let (stop, stopped) = watch::channel(Cancellation::None);
    let hold = |run: &mut RunContext, _: &MemoryOutlet| {
        run.holds = Arc::new(Holds::new(None).with_breakpoints(breakpoints, 60 * MINUTE));
    };
    let ran = run_beside("    steps: [{run: two, id: stop}]\n", exits(), stopped, hold, async |_| {
        sleep(MINUTE).await;
        stop.send_replace(Cancellation::Cancel);
    })
    .await;
    assert_eq!((ran.end.conclusion, ran.conclusions()[1].1), (Conclusion::Cancelled, Conclusion::Skipped));
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_without_a_process_has_a_shell_with_the_environment_of_the_job() {
    let earlier = "{run: exit 3, continue-on-error: true, env: {OTHER: step}}";
    for (failing, own) in
        [("{uses: ./missing, env: {OWN: mine}}", Some("mine")), ("{if: \"fromJSON('{')\", run: x}", None)]
    {
        let job = format!("    env: {{OF: job}}\n    steps: [{earlier}, {failing}]\n");
        let ran = ordered(&job, &[], &[]).await;
        let failed = ran.outlet.checkpoints().pop().and_then(|last| last.failed).expect("recorded");
        let variable = |name: &str| failed.env.get(name).map(String::as_str);
        assert_eq!(
            (variable("OF"), variable("OWN"), variable("CI"), variable("OTHER")),
            (Some("job"), own, Some("true"), None),
            "{failing}"
        );
        assert!(std::path::Path::new(&failed.cwd).starts_with(ran.home.path()), "{}", failed.cwd);
    }
}

#[tokio::test(start_paused = true)]
async fn the_environment_of_a_held_step_is_there_as_long_as_it_is_held() {
    for steps in [
        "{run: exit 4, env: {OWN: mine}}",
        "{id: b, run: exit 4, background: true, env: {OWN: mine}}, {wait: b}",
        "{uses: ./missing, env: {OWN: mine}}",
    ] {
        let (_stop, stopped) = watch::channel(Cancellation::None);
        let hold = |run: &mut RunContext, _: &MemoryOutlet| run.holds = Arc::new(Holds::new(Some(60 * MINUTE)));
        let job = format!("    steps: [{steps}]\n");
        run_beside(&job, exits(), stopped, hold, async |run: Arc<RunContext>| {
            sleep(MINUTE).await;
            let environment = || run.holds.environment(&JobId::new("a"));
            let held = environment().unwrap_or_else(|| panic!("{steps}"));
            assert_eq!(held.env.get("OWN").map(String::as_str), Some("mine"), "{steps}");
            drop(run.holds.order(&JobId::new("a"), StepNumber(2), HeldOrder::Continue).expect("held"));
            assert_eq!(environment(), None, "{steps}");
        })
        .await;
    }
}
