//! Tests of jobs with background steps.

use tokio::time::Instant;

use super::*;

/// Returns a sandbox whose scripts have one command: `sleep SECONDS`, `fail SECONDS`, `serve` until TERM, `hang` until
/// KILL, and `leave VALUE SECONDS`, which leaves an output, a variable and a folder.
fn commands() -> ScriptedSandbox {
    ScriptedSandbox::new(|launch| {
        let script = script_of(launch);
        let words: Vec<_> = script.split_whitespace().collect();
        let after = |script: ProcessScript| {
            let seconds = words.last().and_then(|word| word.parse().ok()).unwrap_or(0);
            script.after(Duration::from_secs(seconds))
        };
        Ok(match words[0] {
            "fail" => after(ProcessScript::exits(1)),
            "serve" => ProcessScript::until(Interrupt::Term),
            "hang" => ProcessScript::until(Interrupt::Kill),
            "leave" => {
                write_command_file(launch, "GITHUB_OUTPUT", &format!("o={}\n", words[1]));
                write_command_file(launch, "GITHUB_ENV", &format!("E={}\n", words[1]));
                write_command_file(launch, "GITHUB_PATH", &format!("/{}\n", words[1]));
                after(ProcessScript::exits(0))
            }
            _ => after(ProcessScript::exits(0)),
        })
    })
}

fn steps(steps: &[&str]) -> String {
    format!("    steps:\n      - {}\n", steps.join("\n      - "))
}

/// Runs a job. Returns it with the time that it took, in seconds.
async fn timed(written: &[&str]) -> (Ran, f64) {
    let began = Instant::now();
    let ran = run(&steps(written), commands()).await;
    (ran, began.elapsed().as_secs_f64())
}

/// Returns the conclusions of the steps of the file, by name.
fn ends(ran: &Ran) -> Vec<(String, Conclusion)> {
    let own = |name: &str| name == "Set up job" || name == "Complete job";
    ran.conclusions().into_iter().filter(|(name, _)| !own(name)).collect()
}

#[tokio::test(start_paused = true)]
async fn background_steps_run_beside_others_and_end_in_their_own_time() {
    use Conclusion::Success;
    let (ran, took) = timed(&[
        "{name: a, run: sleep 60, background: true}",
        "{name: b, run: sleep 20, background: true}",
        "{name: c, run: sleep 30}",
        "{name: all, wait-all: }",
        "{name: d, run: sleep 5}",
    ])
    .await;
    assert_eq!(ends(&ran), named(&[("b", Success), ("c", Success), ("a", Success), ("all", Success), ("d", Success)]));
    assert_eq!((took.round(), ran.end.conclusion), (65.0, Success));
    let started = ran.outlet.events().into_iter().filter_map(|event| match event {
        Event::StepStarted { name, .. } => Some(name),
        _ => None,
    });
    let started: Vec<_> = started.collect();
    assert_eq!(started[1..6], ["a", "b", "c", "all", "d"]);
    assert_eq!(ran.outlet.log("a", 5), "a: success\nb: success\n");
}

#[tokio::test(start_paused = true)]
async fn a_parallel_group_is_its_steps_and_a_wait_for_them() {
    use Conclusion::{Failure, Skipped, Success};
    let group = "parallel: [{name: a, id: a, run: leave x 40}, {name: b, run: sleep 50}]";
    let (ran, took) = timed(&[group, "{name: c, run: 'sleep 1 ${{ steps.a.outputs.o }}'}"]).await;
    let expected = [("a", Success), ("b", Success), ("Parallel group", Success), ("c", Success)];
    assert_eq!((ends(&ran), took.round()), (named(&expected), 50.0));
    let group = "parallel: [{name: a, run: fail 40}, {name: b, run: sleep 50}]";
    let (ran, took) = timed(&[group, "{name: c, run: sleep 1}"]).await;
    let expected = [("a", Failure), ("b", Success), ("Parallel group", Failure), ("c", Skipped)];
    assert_eq!((ends(&ran), took.round()), (named(&expected), 50.0));
    assert_eq!(ran.end.reason.as_deref(), Some("a: exit code 1"));
}

#[tokio::test(start_paused = true)]
async fn what_a_background_step_leaves_exists_after_its_wait() {
    let show = "run: 'sleep 0 ${{ steps.a.outputs.o }}-${{ steps.a.outcome }}-${{ env.E }}'";
    for control in ["wait: a", "wait: [a]", "wait-all: ", "cancel: a"] {
        let written = [
            "{id: a, run: leave x 1, background: true}",
            &format!("{{{show}}}"),
            "{run: sleep 9}",
            &format!("{{{control}}}"),
            &format!("{{{show}}}"),
        ];
        let (ran, _) = timed(&written).await;
        let seen =
            |name: &str| ran.sandbox.launched_with(name).into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>();
        assert_eq!(seen("E"), ["", "", "", "x"], "{control}");
        assert_eq!(seen("PATH"), ["/bin", "/bin", "/bin", "/x:/bin"], "{control}");
        let names: Vec<_> = ends(&ran).into_iter().map(|(name, _)| name).collect();
        let planned = "Run sleep 0 ${{ steps.a.outputs.o }}-${{ steps.a.outcome }}-${{ env.E }}";
        assert!(names.contains(&planned.to_owned()), "{names:?}");
        let started = ran
            .outlet
            .events()
            .into_iter()
            .any(|event| matches!(event, Event::StepStarted { name, .. } if name == "Run sleep 0 x-success-x"));
        assert!(started, "{control}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_value_is_not_overwritten_by_an_earlier_wait() {
    let (ran, _) = timed(&[
        "{id: a, run: leave x 1, background: true}",
        "{id: b, run: leave y 5, background: true}",
        "{run: leave z 0}",
        "{wait: a}",
        "{run: sleep 0}",
        "{run: leave w 0}",
        "{wait: b}",
        "{run: sleep 0}",
    ])
    .await;
    let seen: Vec<_> = ran.sandbox.launched_with("E").into_iter().map(Option::unwrap_or_default).collect();
    assert_eq!(seen, ["", "", "", "x", "x", "y"]);
    assert_eq!(ran.sandbox.launched_with("PATH").pop().flatten().as_deref(), Some("/y:/w:/x:/z:/bin"));
}

#[tokio::test(start_paused = true)]
async fn at_most_ten_run_at_once() {
    let many: Vec<_> = (0..12).map(|at| format!("{{name: s{at}, run: sleep {}, background: true}}", 60 + at)).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let (ran, took) = timed(&many).await;
    // s10 and s11 start when s0 and s1 have ended.
    assert_eq!((took.round(), ran.end.conclusion), (132.0, Conclusion::Success));
    let last = ran.conclusions();
    assert_eq!(last[13], ("Wait for all background steps".to_owned(), Conclusion::Success));
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_at_the_wait() {
    use Conclusion::{Cancelled, Failure, Skipped, Success};
    type Case<'c> = (&'c [&'c str], &'c [(&'c str, Conclusion)], Conclusion);
    let (bad, late) = ("{id: bad, name: bad, run: fail 0, background: true}", "{name: late, run: sleep 1}");
    let allowed = "{id: bad, name: bad, run: fail 0, background: true, continue-on-error: true}";
    let cases: [Case<'_>; 7] = [
        (
            &[bad, late, "{name: w, wait: bad}", late, "{name: f, run: sleep 1, if: failure()}"],
            &[("bad", Failure), ("late", Success), ("w", Failure), ("late", Skipped), ("f", Success)],
            Failure,
        ),
        (&[bad, late], &[("bad", Failure), ("late", Success), ("Wait for all background steps", Failure)], Failure),
        (&[allowed, "{name: w, wait: bad}", late], &[("bad", Success), ("w", Success), ("late", Success)], Success),
        (
            &[bad, "{name: w, wait-all: , continue-on-error: true}", late],
            &[("bad", Failure), ("w", Success), ("late", Success)],
            Success,
        ),
        // `bad` had failed before it could be cancelled.
        (
            &[bad, late, "{name: c, cancel: bad}", late],
            &[("bad", Failure), ("late", Success), ("c", Success), ("late", Success)],
            Failure,
        ),
        (
            &[
                "{id: s, name: s, run: serve, background: true}",
                late,
                "{name: c, cancel: s}",
                "{name: w, wait: s}",
                late,
            ],
            &[("late", Success), ("s", Cancelled), ("c", Success), ("w", Cancelled), ("late", Success)],
            Success,
        ),
        (
            &["{name: one, run: fail 0}", bad, "{name: w, wait: bad}"],
            &[("one", Failure), ("bad", Skipped), ("w", Success)],
            Failure,
        ),
    ];
    for (written, expected, conclusion) in cases {
        let (ran, _) = timed(written).await;
        assert_eq!((ends(&ran), ran.end.conclusion), (named(expected), conclusion), "{written:?}");
        let failed = conclusion == Conclusion::Failure;
        assert_eq!(ran.end.reason.is_some_and(|reason| reason.contains("exit code 1")), failed, "{written:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_describes_what_it_waited_for() {
    let (ran, _) = timed(&[
        "{id: a, name: a, run: fail 1, background: true, continue-on-error: true}",
        "{id: b, name: b, run: sleep 0, background: true}",
        "{id: c, name: c, run: fail 0, background: true}",
        "{wait: [a, b, c], continue-on-error: true}",
    ])
    .await;
    let log = "a: failure (exit code 1), allowed\nb: success\nc: failure (exit code 1)\n";
    assert_eq!((ran.outlet.log("a", 5).as_str(), ran.end.conclusion), (log, Conclusion::Success));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_step_gets_term_and_later_kill() {
    for (script, signals, expected) in [
        ("serve", vec![Interrupt::Term, Interrupt::Kill], 2.0),
        ("hang", vec![Interrupt::Term, Interrupt::Kill, Interrupt::Kill], 9.5),
    ] {
        let server = format!("{{id: s, name: s, run: {script}, background: true}}");
        let (ran, took) = timed(&[&server, "{name: a, run: sleep 2}", "{name: c, cancel: s}"]).await;
        let sent: Vec<_> = ran.sandbox.signals().into_iter().map(|(signal, _)| signal).collect();
        // The last signal kills the rest of the step's process group.
        assert_eq!((sent, took), (signals, expected), "{script}");
        assert_eq!(ran.end.conclusion, Conclusion::Success);
        let reason = ran.steps().into_iter().find(|(name, ..)| name == "s").expect("ended").2;
        assert_eq!(reason, "cancelled by a later step");
        assert_eq!(ran.outlet.log("a", 4), "s: cancelled (cancelled by a later step)\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_waits_for_its_turn_is_cancelled_without_a_start() {
    let mut written: Vec<_> = (0..10).map(|_| "{run: sleep 60, background: true}").collect();
    written.extend(["{id: s, run: serve, background: true}", "{run: sleep 1}", "{cancel: s}", "{run: sleep 1}"]);
    let (ran, took) = timed(&written).await;
    assert_eq!((took.round(), ran.end.conclusion), (60.0, Conclusion::Success));
    assert_eq!(ran.sandbox.launched_with("CI").len(), 12);
    assert!(ran.sandbox.signals().is_empty());
}

#[tokio::test(start_paused = true)]
async fn limits_and_cancels_reach_background_steps() {
    use Conclusion::{Cancelled, Failure, Skipped, Success, TimedOut};
    let run_asked = async |written: &[&str], asked: Cancellation| {
        let (ask, stopped) = watch::channel(Cancellation::None);
        let job = format!("    timeout-minutes: 10\n{}", steps(written));
        let asks = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            ask.send_replace(asked);
        };
        let began = Instant::now();
        let (ran, ()) = tokio::join!(run_with(&job, commands(), stopped, |_, _| ()), asks);
        let mut ended = ends(&ran);
        ended.sort_by_key(|(name, _)| ["a", "b", "w", "tidy"].iter().position(|known| known == name));
        (ended, ran.end.conclusion, began.elapsed().as_secs())
    };
    let (a, b, tidy) = (
        "{name: a, run: serve, background: true}",
        "{name: b, run: serve, background: true, if: always()}",
        "{name: tidy, run: sleep 0, if: always()}",
    );
    let expected = [("a", Cancelled), ("w", Cancelled), ("tidy", Success)];
    let ran = run_asked(&[a, "{name: w, wait-all: }", tidy], Cancellation::Cancel).await;
    // INT is ignored for 7.5 s.
    assert_eq!(ran, (named(&expected), Cancelled, 37));
    let ran = run_asked(&[a, b, "{name: w, wait-all: }", tidy], Cancellation::Force).await;
    let expected = [("a", Cancelled), ("b", Cancelled), ("w", Cancelled), ("tidy", Skipped)];
    assert_eq!(ran, (named(&expected), Cancelled, 30));
    let expected = [("a", Cancelled), ("w", Cancelled), ("tidy", Success)];
    let ran = run_asked(&[a, "{name: w, wait-all: }", tidy], Cancellation::None).await;
    assert_eq!(ran, (named(&expected), TimedOut, 607));
    let limited = "{name: a, id: a, run: serve, background: true, timeout-minutes: 1}";
    let ran = run_asked(&[limited, "{name: w, wait: a}", tidy], Cancellation::None).await;
    assert_eq!(ran, (named(&[("a", Failure), ("w", Failure), ("tidy", Success)]), Failure, 67));
}

#[tokio::test(start_paused = true)]
async fn a_job_resumes_only_where_no_background_step_is_open() {
    let (ran, _) = timed(&[
        "{run: sleep 1}",
        "{id: a, run: leave x 1, background: true}",
        "{run: sleep 3}",
        "{wait: a}",
        "parallel: [{run: sleep 1}, {run: sleep 2}]",
        "{run: sleep 1}",
    ])
    .await;
    let kept = ran.outlet.checkpoints();
    assert_eq!(kept.iter().map(|checkpoint| checkpoint.done).collect::<Vec<_>>(), [1, 4, 7, 8]);
    assert_eq!((kept[0].env.get("E"), kept[1].env["E"].as_str()), (None, "x"));
}

#[tokio::test(start_paused = true)]
async fn a_composite_action_may_run_in_the_background() {
    let (_stop, stopped) = watch::channel(Cancellation::None);
    let job = steps(&[
        "{id: use, uses: $/act, background: true}",
        "{run: sleep 2}",
        "{wait: use}",
        "{run: 'sleep ${{ steps.use.outputs.o }}'}",
    ]);
    let ran = run_with(&job, commands(), stopped, |run, _| {
        let folder = run.repository.join("act");
        std::fs::create_dir_all(&folder).expect("made");
        let manifest = "outputs: {o: {value: '${{ steps.in.outputs.o }}'}}\nruns:\n  using: composite\n  steps:\n    - {id: in, shell: bash, run: leave 7 1}\n    - {shell: bash, run: 'sleep 5 ${{ env.E }}'}\n";
        std::fs::write(folder.join("action.yml"), manifest).expect("written");
    })
    .await;
    assert_eq!(ran.end.reason, None);
    let seen: Vec<_> = ran.sandbox.launched_with("E").into_iter().map(Option::unwrap_or_default).collect();
    // The steps of the action see the variable immediately.
    assert_eq!(seen, ["", "", "7", "7"]);
    let started = ran
        .outlet
        .events()
        .into_iter()
        .any(|event| matches!(event, Event::StepStarted { name, .. } if name == "Run sleep 7"));
    assert!(started);
}
