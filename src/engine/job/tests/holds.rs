//! Tests of failed steps that are held.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::engine::hold::Holds;
use crate::model::{HeldOrder, JobId, StepNumber};

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
        assert!(run.holds.order(&JobId::new("a"), StepNumber(2), HeldOrder::Retry));
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
async fn a_hold_ends_with_the_time_of_its_job() {
    let ran = retried("    timeout-minutes: 10\n    steps: [run: first]\n", None).await;
    let held = ran.outlet.events().into_iter().find_map(|event| match event {
        Event::StepHeld { until, .. } => Some(until),
        _ => None,
    });
    let limit = crate::store::clock::now().0 + 10 * 60 * 1000;
    assert!(held.expect("it was held").0 <= limit, "not an hour");
    assert_eq!(ran.conclusions()[1].1, Conclusion::Failure);
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
