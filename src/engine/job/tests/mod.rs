//! Tests of whole jobs: their steps, the state passed between steps, and how the job ends.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::watch;

mod background;
mod composite;
mod holds;

use super::end::JobEnd;
use super::spec::JobSpec;
use super::task::JobTask;
use crate::engine::RunContext;
use crate::engine::cancel::Cancellation;
use crate::engine::context::texts;
use crate::engine::hold::Holds;
use crate::engine::sandbox::Interrupt;
use crate::engine::slot::Slot;
use crate::engine::testing::sandbox::{ProcessScript, ScriptedSandbox, script_of, write_command_file};
use crate::engine::testing::{MemoryOutlet, plan, scripted_run};
use crate::model::{Conclusion, Event};
use crate::workflow::expr::{Contexts, Status, Value};

/// A job that has ended.
struct Ran {
    end: JobEnd,
    outlet: Arc<MemoryOutlet>,
    sandbox: Arc<ScriptedSandbox>,
    home: tempfile::TempDir,
}

impl Ran {
    /// Returns name, conclusion and reason of every ended step, in order.
    fn steps(&self) -> Vec<(String, Conclusion, String)> {
        let events = self.outlet.events();
        let name = |number| {
            let planned = events.iter().filter_map(|event| match event {
                Event::StepsPlanned { steps, .. } => steps.iter().find(|step| step.number == number),
                _ => None,
            });
            planned.map(|step| step.name.clone()).next_back().unwrap_or_default()
        };
        let ended = events.iter().filter_map(|event| match event {
            Event::StepFinished { step, conclusion, reason, .. } => {
                Some((name(*step), *conclusion, reason.clone().unwrap_or_default()))
            }
            _ => None,
        });
        ended.collect()
    }

    fn conclusions(&self) -> Vec<(String, Conclusion)> {
        self.steps().into_iter().map(|(name, conclusion, _)| (name, conclusion)).collect()
    }
}

/// Runs the job `a` of a workflow. `change` can modify the run and the outlet first.
async fn run_with(
    job: &str,
    sandbox: ScriptedSandbox,
    stop: watch::Receiver<Cancellation>,
    change: impl FnOnce(&mut RunContext, &MemoryOutlet),
) -> Ran {
    run_beside(job, sandbox, stop, change, async |_| ()).await
}

/// Runs the job `a` of a workflow, and what a person does meanwhile.
async fn run_beside(
    job: &str,
    sandbox: ScriptedSandbox,
    stop: watch::Receiver<Cancellation>,
    change: impl FnOnce(&mut RunContext, &MemoryOutlet),
    person: impl AsyncFnOnce(Arc<RunContext>),
) -> Ran {
    let home = tempfile::tempdir().expect("a folder");
    let (outlet, sandbox) = (Arc::<MemoryOutlet>::default(), Arc::new(sandbox));
    let mut run = scripted_run(home.path(), &outlet, &sandbox);
    change(&mut run, &outlet);
    let plan = plan(&format!("  a:\n    runs-on: x\n{job}"), &[]);
    let planned = &plan.jobs()[0];
    let mut contexts = Contexts::default();
    contexts.set("github", Value::object(run.github.clone()));
    contexts.set("secrets", texts(&IndexMap::new()));
    let spec = JobSpec {
        id: planned.id.clone(),
        name: planned.name.clone(),
        definition: Arc::clone(&planned.definition),
        workflow: Arc::clone(&planned.workflow),
        contexts,
        status: Status { success: true, failure: false, cancelled: false },
        ignores_cancel: false,
        resumed: None,
    };
    let slot = Slot::new(spec.id.clone(), tokio::sync::mpsc::unbounded_channel().0);
    let run = Arc::new(run);
    let (end, ()) = tokio::join!(JobTask::new(Arc::clone(&run), spec, stop, slot).run(), person(run));
    Ran { end, outlet, sandbox, home }
}

async fn run(job: &str, sandbox: ScriptedSandbox) -> Ran {
    let (_stop, stopped) = watch::channel(Cancellation::None);
    run_with(job, sandbox, stopped, |_, _| ()).await
}

/// Returns a sandbox in which scripts exit with the code in their text, as in `exit 1`; any other script succeeds.
fn exits() -> ScriptedSandbox {
    ScriptedSandbox::new(|launch| {
        let code = script_of(launch).strip_prefix("exit ").and_then(|code| code.trim().parse().ok());
        Ok(ProcessScript::exits(code.unwrap_or(0)))
    })
}

fn named(steps: &[(&str, Conclusion)]) -> Vec<(String, Conclusion)> {
    steps.iter().map(|(name, conclusion)| ((*name).to_owned(), *conclusion)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_step_shows_its_expressions_until_they_can_be_evaluated() {
    let name = r#"echo ${{ 1 }} "${{ steps.one.outcome }}" ${{ env.E }}; ls"#;
    let job = format!("    env: {{E: e}}\n    steps: [{{id: one, run: first}}, {{run: '{name}'}}]\n");
    let ran = run(&job, exits()).await;
    let planned = r#"Run echo 1 "${{ steps.one.outcome }}" ${{ env.E }}; ls"#;
    assert_eq!(ran.conclusions()[2], (planned.to_owned(), Conclusion::Success));
    let events = ran.outlet.events();
    let started = events.iter().filter_map(|event| match event {
        Event::StepStarted { name, .. } => Some(name.as_str()),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>()[2], r#"Run echo 1 "success" e; ls"#);
}

#[tokio::test(start_paused = true)]
async fn steps_run_in_order_and_a_failure_skips_those_without_a_status_function() {
    use Conclusion::{Failure, Skipped, Success};
    type Case<'c> = (&'c str, &'c [(&'c str, Conclusion)], Conclusion);
    let cases: [Case<'_>; 5] = [
        ("      - run: one\n      - run: two\n", &[("Run one", Success), ("Run two", Success)], Success),
        ("      - run: exit 1\n      - run: two\n", &[("Run exit 1", Failure), ("Run two", Skipped)], Failure),
        (
            "      - run: exit 1\n      - {run: two, if: always()}\n      - {run: three, if: failure()}\n",
            &[("Run exit 1", Failure), ("Run two", Success), ("Run three", Success)],
            Failure,
        ),
        (
            "      - {run: exit 1, continue-on-error: true}\n      - run: two\n",
            &[("Run exit 1", Success), ("Run two", Success)],
            Success,
        ),
        ("      - {run: one, if: false}\n", &[("Run one", Skipped)], Success),
    ];
    for (steps, expected, conclusion) in cases {
        let ran = run(&format!("    steps:\n{steps}"), exits()).await;
        let mut all = vec![("Set up job", Success)];
        all.extend_from_slice(expected);
        all.push(("Complete job", Success));
        assert_eq!(ran.conclusions(), named(&all), "{steps}");
        assert_eq!(ran.end.conclusion, conclusion, "{steps}");
        assert!(!ran.home.path().join("work/a/_temp").exists());
    }
}

#[tokio::test(start_paused = true)]
async fn outputs_variables_and_folders_reach_the_next_step() {
    let sandbox = ScriptedSandbox::new(|launch| {
        if script_of(launch) == "first" {
            write_command_file(launch, "GITHUB_OUTPUT", "o=out\n");
            write_command_file(launch, "GITHUB_ENV", "E=env\n");
            write_command_file(launch, "GITHUB_PATH", "/added\n");
            write_command_file(launch, "GITHUB_STEP_SUMMARY", "# Hi");
        }
        Ok(ProcessScript::exits(0))
    });
    let job = "    env: {E: job, J: job}\n    outputs: {o: '${{ steps.one.outputs.o }}-${{ env.E }}'}\n    steps:\n      - {id: one, run: first}\n      - run: 'second ${{ steps.one.outputs.o }}'\n        env: {S: '${{ env.E }}'}\n";
    let ran = run(job, sandbox).await;
    assert_eq!(ran.end.outputs["o"], "out-env");
    let seen =
        |name: &str| ran.sandbox.launched_with(name).into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>();
    assert_eq!(seen("E"), ["job", "env"]);
    assert_eq!(seen("J"), ["job", "job"]);
    assert_eq!(seen("S"), ["", "env"]);
    assert_eq!(seen("PATH"), ["/bin", "/added:/bin"]);
    assert_eq!(ran.outlet.summaries(), ["# Hi"]);
    let started = |name: &str| {
        ran.outlet.events().iter().any(|event| matches!(event, Event::StepStarted { name: known, .. } if known == name))
    };
    assert!(started("Run second out"), "the name is evaluated when the step starts");
    let checkpoints = ran.outlet.checkpoints();
    assert_eq!(checkpoints.iter().map(|checkpoint| checkpoint.done).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((checkpoints[0].env["E"].as_str(), checkpoints[0].steps["one"].outputs["o"].as_str()), ("env", "out"));
}

#[tokio::test(start_paused = true)]
async fn an_output_that_holds_a_secret_is_dropped() {
    let sandbox = ScriptedSandbox::always(ProcessScript::exits(0).writing("::add-mask::hidden\n"));
    let job = "    outputs: {safe: plain, leak: 'a hidden text'}\n    steps: [run: one]\n";
    let ran = run(job, sandbox).await;
    assert_eq!(ran.end.outputs.keys().collect::<Vec<_>>(), ["safe"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_may_be_allowed_to() {
    let ran = run("    continue-on-error: true\n    steps: [run: exit 3]\n", exits()).await;
    assert_eq!((ran.end.conclusion, ran.end.allowed_failure), (Conclusion::Failure, true));
    assert_eq!(ran.end.reason.as_deref(), Some("exit code 3"));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_output_fails_complete_job() {
    let ran = run("    outputs: {o: \"${{ fromJSON('{') }}\"}\n    steps: [run: one]\n", exits()).await;
    assert_eq!(ran.end.conclusion, Conclusion::Failure);
    let (name, conclusion, reason) = ran.steps().pop().expect("steps");
    assert_eq!((name.as_str(), conclusion), ("Complete job", Conclusion::Failure));
    assert!(reason.starts_with("output `o`: "), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_times_out_ends_its_step_with_the_reason() {
    let job = "    timeout-minutes: 2\n    steps:\n      - run: sleep\n      - {run: tidy, if: always()}\n";
    let sandbox = ScriptedSandbox::new(|launch| {
        Ok(if script_of(launch) == "sleep" { ProcessScript::until(Interrupt::Int) } else { ProcessScript::exits(0) })
    });
    let ran = run(job, sandbox).await;
    assert_eq!(ran.end.conclusion, Conclusion::TimedOut);
    assert_eq!(ran.end.reason.as_deref(), Some("the job exceeded its limit of 2 minutes"));
    assert_eq!(
        ran.conclusions()[1..3],
        named(&[("Run sleep", Conclusion::Cancelled), ("Run tidy", Conclusion::Success)])
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_that_times_out_fails_and_the_job_continues() {
    let job = "    steps:\n      - {run: sleep, timeout-minutes: 1}\n      - {run: tidy, if: failure()}\n";
    let sandbox = ScriptedSandbox::new(|launch| {
        Ok(if script_of(launch) == "sleep" { ProcessScript::until(Interrupt::Term) } else { ProcessScript::exits(0) })
    });
    let ran = run(job, sandbox).await;
    assert_eq!(ran.end.conclusion, Conclusion::Failure);
    assert_eq!(ran.end.reason.as_deref(), Some("timed out after 1 minute (60 s)"));
    assert_eq!(ran.conclusions()[2], ("Run tidy".to_owned(), Conclusion::Success));
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_hold_runs_out_fails_as_it_did() {
    let (_stop, stopped) = watch::channel(Cancellation::None);
    let held = |run: &mut RunContext, _: &MemoryOutlet| run.holds = Arc::new(Holds::new(Some(Duration::from_mins(1))));
    let ran = run_with("    steps: [run: exit 1, run: two]\n", exits(), stopped, held).await;
    let why = "exit code 1; held for 1 minute, and nobody decided how its job goes on";
    assert_eq!((ran.end.conclusion, ran.end.reason.as_deref()), (Conclusion::Failure, Some(why)));
    assert!(ran.outlet.log("a", 2).ends_with("##[warning]held for 1 minute, and nobody decided how its job goes on\n"));
    assert_eq!(
        ran.conclusions()[1..3],
        named(&[("Run exit 1", Conclusion::Failure), ("Run two", Conclusion::Skipped)])
    );
    let of_holds = |event: &Event| matches!(event, Event::StepHeld { .. } | Event::StepReleased { .. });
    let events: Vec<Event> = ran.outlet.events().into_iter().filter(of_holds).collect();
    let [Event::StepHeld { step: held, reason, .. }, Event::StepReleased { step, order: None, .. }] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((held, reason.as_deref()), (step, Some("exit code 1")));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_cancelled_before_never_starts() {
    let (_stop, stopped) = watch::channel(Cancellation::Force);
    let ran = run_with("    steps: [run: one]\n", exits(), stopped, |_, _| ()).await;
    assert_eq!(
        (ran.end.conclusion, ran.end.reason.as_deref()),
        (Conclusion::Cancelled, Some("cancelled before it started"))
    );
    assert!(ran.steps().is_empty() && ran.sandbox.launched_with("CI").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_action_of_the_own_repository_needs_no_checkout() {
    let sandbox = ScriptedSandbox::new(|launch| {
        let script = script_of(launch);
        Ok(ProcessScript::exits(0).writing(&format!("{script}\n")))
    });
    let (_stop, stopped) = watch::channel(Cancellation::None);
    let job = "    steps:\n      - uses: $/acts/outer\n";
    let ran = run_with(job, sandbox, stopped, |run, _| {
        let action = |name: &str, steps: &str| {
            let folder = run.repository.join("acts").join(name);
            std::fs::create_dir_all(&folder).expect("made");
            let manifest = format!("runs:\n  using: Composite\n  steps:\n    - {{shell: bash, run: '{name} ${{{{ github.action_repository }}}}'}}\n{steps}");
            std::fs::write(folder.join("action.yml"), manifest).expect("written");
        };
        action("outer", "    - uses: $/acts/inner\n");
        action("inner", "");
    })
    .await;
    assert_eq!(ran.end.reason, None);
    assert_eq!(ran.outlet.log("a", 2), "outer \ninner \n".replace(" \n", " o/r\n"));
}

#[tokio::test(start_paused = true)]
async fn an_own_action_that_does_not_exist_is_missed_before_the_first_step() {
    let ran = run("    steps: [{run: one}, {uses: $/none}]\n", exits()).await;
    let reason = "not started: `$/none` has no action.yml, action.yaml or Dockerfile (of o/r)";
    assert_eq!(ran.end.reason.as_deref(), Some(reason));
}

#[tokio::test(start_paused = true)]
async fn env_and_defaults_may_be_computed_and_must_be_mappings() {
    let computed = |json: &str| format!("\"${{{{ fromJSON('{}') }}}}\"", json.replace('"', "\\\""));
    let job = |env: &str, run: &str, own: &str| {
        format!(
            "    env: {env}\n    defaults: {{run: {run}}}\n    steps: [{{run: 'echo ${{{{ env.A }}}}${{{{ env.B }}}}', env: {own}}}]\n"
        )
    };
    let sandbox = || {
        ScriptedSandbox::new(|launch| {
            let (script, shell) = (script_of(launch), launch.program.display().to_string());
            Ok(ProcessScript::exits(0).writing(&format!("{shell} {script}\n")))
        })
    };
    let (env, run_in_sh, own) =
        (computed("{\"A\": \"1\"}"), computed("{\"shell\": \"sh\"}"), computed("{\"B\": \"2\"}"));
    let ran = run(&job(&env, &run_in_sh, &own), sandbox()).await;
    assert_eq!((ran.end.reason.as_deref(), ran.outlet.log("a", 2).as_str()), (None, "/bin/sh echo 12\n"));
    let wrong = computed("[]");
    for (job, reason) in [
        (job(&wrong, &run_in_sh, &own), "`env` of the job: must be a mapping, not Array"),
        (job(&env, &wrong, &own), "`defaults.run`: must be a mapping, not Array"),
        (job(&env, &run_in_sh, &wrong), "`env`: must be a mapping, not Array"),
    ] {
        let ran = run(&job, sandbox()).await;
        let found = ran.end.reason.expect(reason);
        assert!(found.ends_with(reason), "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_that_does_not_exist_fails_its_step() {
    let ran = run("    steps: [uses: ./none]\n", exits()).await;
    let reason = "there is no action.yml in ./none of the workspace; is actions/checkout missing before this step?";
    assert_eq!(ran.end.reason.as_deref(), Some(reason));
}

#[tokio::test(start_paused = true)]
async fn defaults_and_working_directory_reach_a_script() {
    let job = "    defaults: {run: {shell: sh}}\n    steps:\n      - run: one\n      - {run: two, shell: bash}\n      - {run: three, working-directory: none}\n";
    let programs = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&programs);
    let sandbox = ScriptedSandbox::new(move |launch| {
        seen.lock().expect("not poisoned").push(launch.program.display().to_string());
        Ok(ProcessScript::exits(0))
    });
    let ran = run(job, sandbox).await;
    assert_eq!(*programs.lock().expect("not poisoned"), ["/bin/sh", "/bin/bash"]);
    let reason = ran.end.reason.expect("a reason");
    assert!(reason.starts_with("the working directory ") && reason.ends_with("/none does not exist"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_folder_cannot_be_made_ends_there() {
    let (_stop, stopped) = watch::channel(Cancellation::None);
    let ran = run_with("    steps: [run: one]\n", exits(), stopped, |run, _| {
        std::fs::write(&run.work, "a file in its place").expect("written");
    })
    .await;
    assert_eq!(ran.conclusions(), named(&[("Set up job", Conclusion::Failure)]));
    assert!(ran.end.reason.expect("a reason").starts_with("cannot create the job's folder "));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_for_a_job_that_lacks_an_action() {
    let ran = run("    steps: [uses: other/action@v1]\n", exits()).await;
    assert_eq!(ran.end.conclusion, Conclusion::Failure);
    let reason = ran.end.reason.clone().expect("a reason");
    assert!(reason.starts_with("not started: `other/action@v1`"), "{reason}");
    assert!(ran.steps().is_empty());
}

#[tokio::test(start_paused = true)]
async fn later_steps_see_the_artifacts_that_a_step_declares() {
    let sandbox = ScriptedSandbox::new(|launch| {
        let script = script_of(launch);
        let file = |name: &str| {
            let (_, path) = launch.env.iter().find(|(known, _)| known == name).expect(name);
            std::path::PathBuf::from(path)
        };
        if script == "declare" {
            std::fs::write(launch.cwd.join("made"), "hello").expect("written");
            std::fs::write(file("GITHUB_ARTIFACTS"), "made\n").expect("written");
        }
        if script == "wrong" {
            std::fs::write(file("GITHUB_ARTIFACTS"), "made\n\nnone\n").expect("written");
        }
        let list = std::fs::read_to_string(file("GITHUB_ARTIFACTS_LIST")).expect("always there");
        Ok(ProcessScript::exits(0).writing(&format!("{list}\n")))
    });
    let ran = run("    steps: [{run: declare}, {run: wrong}, {run: read, if: always()}]\n", sandbox).await;
    let none = r#"{"version":1,"subjects":[]}"#;
    let one = r#"{"version":1,"subjects":[{"name":"made","digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","kind":"file"}]}"#;
    assert_eq!(
        ran.outlet.log("a", 2),
        format!("{none}\nCaptured 1 artifact subject(s) from this step (job total: 1).\n")
    );
    assert!(ran.outlet.log("a", 3).starts_with(&format!("{one}\n##[error]GITHUB_ARTIFACTS: line 3: cannot read none")));
    assert_eq!((ran.outlet.log("a", 4), ran.end.conclusion), (format!("{one}\n"), Conclusion::Failure));
}
