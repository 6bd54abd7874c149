//! Tests of jobs whose steps use composite actions.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_steps_of_a_composite_action_share_the_record_of_the_step_that_uses_it() {
    let sandbox = ScriptedSandbox::new(|launch| {
        let script = script_of(launch);
        if script == "make" {
            let folder = launch.cwd.join("act");
            std::fs::create_dir_all(&folder).expect("made");
            let manifest = "name: x\ndescription: x\ninputs: {who: {description: d, default: you}}\noutputs: {o: {description: d, value: '${{ steps.in.outputs.o }}'}}\nruns:\n  using: composite\n  steps:\n    - {id: in, shell: bash, run: 'hello ${{ inputs.who }}'}\n";
            std::fs::write(folder.join("action.yml"), manifest).expect("written");
        }
        if script.starts_with("hello") {
            write_command_file(launch, "GITHUB_OUTPUT", &format!("o={script}\n"));
        }
        Ok(ProcessScript::exits(0).writing(&format!("{script}\n")))
    });
    let job = "    outputs: {o: '${{ steps.use.outputs.o }}'}\n    steps:\n      - run: make\n      - {id: use, uses: ./act, with: {who: me}}\n";
    let ran = run(job, sandbox).await;
    assert_eq!(ran.end.reason, None);
    assert_eq!(ran.end.outputs["o"], "hello me");
    assert_eq!(ran.outlet.log("a", 3), "hello me\n");
    assert_eq!(ran.conclusions()[2], ("Run ./act".to_owned(), Conclusion::Success));
}

/// Runs a job. Its script `make` writes local composite actions with these steps; all other scripts print themselves
/// and exit with the code in their text. The script `sleep` ends when it is interrupted.
async fn run_composites(actions: &[(&'static str, String)], job: &str, cancel_at: &'static str) -> Ran {
    let actions = actions.to_vec();
    let (stop, stopped) = watch::channel(Cancellation::None);
    let sandbox = ScriptedSandbox::new(move |launch| {
        let script = script_of(launch);
        if script == "make" {
            for (name, steps) in &actions {
                let folder = launch.cwd.join(name);
                std::fs::create_dir_all(&folder).expect("made");
                let text = format!("runs:\n  using: composite\n  steps:\n{steps}");
                std::fs::write(folder.join("action.yml"), text).expect("written");
            }
        }
        if !cancel_at.is_empty() && script.contains(cancel_at) {
            stop.send(Cancellation::Cancel).expect("watched");
        }
        if script.starts_with("sleep") {
            return Ok(ProcessScript::until(Interrupt::Int));
        }
        let code = script.strip_prefix("exit ").and_then(|code| code.trim().parse().ok());
        Ok(ProcessScript::exits(code.unwrap_or(0)).writing(&format!("{script}\n")))
    });
    run_with(&format!("    steps:\n      - run: make\n{job}"), sandbox, stopped, |_, _| ()).await
}

/// Steps of a composite action that print the status of the action and of the job, and which status functions hold.
const SEEN: &str = concat!(
    "    - {if: always(), shell: bash, run: 'job=${{ job.status }} action=${{ github.action_status }}'}\n",
    "    - {shell: bash, run: default}\n",
    "    - {if: success(), shell: bash, run: success}\n",
    "    - {if: failure(), shell: bash, run: failure}\n",
    "    - {if: cancelled(), shell: bash, run: cancelled}\n",
);

#[tokio::test(start_paused = true)]
async fn a_composite_action_has_a_status_beside_that_of_the_job() {
    let watch = "    - {id: bad, shell: bash, run: exit 3}\n    - {if: always(), shell: bash, run: 'bad=${{ steps.bad.outcome }}'}\n";
    let nested = "    - {uses: ./report}\n    - {name: 'Break ${{ 1 }}', shell: bash, run: exit 4}\n    - {if: always(), uses: ./report}\n";
    let actions =
        [("watch", format!("{watch}{SEEN}")), ("report", SEEN.to_owned()), ("nested", format!("{nested}{SEEN}"))];
    let ran = run_composites(&actions, "      - uses: ./watch\n      - {uses: ./report, if: always()}\n", "").await;
    assert_eq!(ran.outlet.log("a", 3), "exit 3\nbad=failure\njob=success action=failure\nfailure\n");
    assert_eq!(ran.outlet.log("a", 4), "job=failure action=success\ndefault\nsuccess\n");
    assert_eq!(ran.end.reason.as_deref(), Some("bad: exit code 3"));

    let ran = run_composites(&actions, "      - uses: ./nested\n", "").await;
    let inner = "job=success action=success\ndefault\nsuccess\n";
    let expected = format!("{inner}exit 4\n{inner}job=success action=failure\nfailure\n");
    assert_eq!(ran.outlet.log("a", 3), expected);
    assert_eq!(ran.end.reason.as_deref(), Some("Break 1: exit code 4"));
}

#[tokio::test(start_paused = true)]
async fn a_step_without_a_name_is_called_by_its_script_in_the_reason_of_its_action() {
    let actions =
        [("plain", "    - {shell: bash, run: exit 5}\n".to_owned()), ("outer", "    - {uses: ./plain}\n".to_owned())];
    let ran = run_composites(&actions, "      - uses: ./plain\n", "").await;
    assert_eq!(ran.end.reason.as_deref(), Some("Run exit 5: exit code 5"));
    let ran = run_composites(&actions, "      - uses: ./outer\n", "").await;
    assert_eq!(ran.end.reason.as_deref(), Some("Run ./plain: Run exit 5: exit code 5"));
}

#[tokio::test(start_paused = true)]
async fn in_a_cancelled_job_a_composite_action_runs_all_its_steps_if_its_step_runs() {
    let actions = [("report", format!("{SEEN}    - {{uses: ./inner}}\n")), ("inner", SEEN.to_owned())];
    let job = "      - run: sleep\n      - uses: ./report\n      - {uses: ./report, if: cancelled()}\n";
    let ran = run_composites(&actions, job, "sleep").await;
    assert_eq!(ran.end.conclusion, Conclusion::Cancelled);
    assert_eq!(ran.outlet.log("a", 4), "", "it has no status function");
    let seen = "job=cancelled action=success\ndefault\nsuccess\ncancelled\n";
    assert_eq!(ran.outlet.log("a", 5), seen.repeat(2));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_inside_a_composite_action_ends_its_steps_without_a_status_function() {
    let actions = [("work", format!("    - {{shell: bash, run: sleep}}\n{SEEN}"))];
    for condition in ["", ", if: always()"] {
        let ran = run_composites(&actions, &format!("      - {{uses: ./work{condition}}}\n"), "sleep").await;
        assert_eq!(ran.outlet.log("a", 3), "job=cancelled action=cancelled\ncancelled\n", "{condition}");
        assert_eq!(ran.conclusions()[2].1, Conclusion::Cancelled, "{condition}");
    }
}
