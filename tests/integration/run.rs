//! Runs and their reports: results of jobs and steps in messages, exit codes and files.

use std::fs;

use crate::project::{Project, Said, until};

/// Returns a workflow on push with these jobs.
fn workflow(jobs: &str) -> String {
    format!("name: CI\non: [push, workflow_dispatch]\njobs:\n{jobs}")
}

/// Creates a project with a job `a` that has these steps.
fn steps(steps: &str) -> Project {
    Project::new(&workflow(&format!("  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}")))
}

#[test]
fn a_failed_job_fails_the_run_and_skips_dependent_jobs() {
    let project = Project::new(&workflow(
        "
  a: {runs-on: ubuntu-latest, steps: [{run: exit 7}]}
  b: {runs-on: ubuntu-latest, needs: a, steps: [{run: echo never}]}
  c: {runs-on: ubuntu-latest, needs: b, steps: [{run: echo never}]}
  d: {runs-on: ubuntu-latest, needs: a, if: always(), steps: [{run: echo cleanup}]}
  e: {runs-on: ubuntu-latest, needs: a, if: failure(), steps: [{run: echo alarm}]}
  f: {runs-on: ubuntu-latest, needs: d, steps: [{run: echo never}]}",
    ));
    let said = project.run(&[]);
    said.expect(1, &["exit code 7", "cleanup", "alarm", "needs `a`, which failed"]);
    assert!(!said.out().contains("never\n"), "{}", said.out());
    let run = project.show();
    assert_eq!(run["status"], "failure");
    let status = |id: &str| project.job(id)["status"].as_str().expect("a word").to_owned();
    assert_eq!(
        ["a", "b", "c", "d", "e", "f"].map(status),
        ["failure", "skipped", "skipped", "success", "success", "skipped"]
    );
    project.call(&["runs"]).expect(0, &["failure"]);
}

#[test]
fn a_step_that_times_out_reports_its_limit() {
    let project = steps("      - {run: sleep 90, timeout-minutes: 0.05}\n      - {run: echo after, if: always()}");
    project.run(&[]).expect(1, &["timed out after 0.05 minutes (3 s)", "after"]);
    let step = &project.job("a")["steps"][1];
    assert_eq!(step["signal"], 2, "sleep ends at INT, before anything stronger: {step}");
}

#[test]
fn a_job_that_cannot_run_here_is_reported_and_the_run_does_not_succeed() {
    let project = Project::new(&workflow(
        "
  a: {runs-on: windows-2022, steps: [{run: echo never}]}
  b: {runs-on: ubuntu-latest, steps: [{uses: nobody/nothing@v9}, {run: echo never}]}
  c: {runs-on: ubuntu-latest, container: alpine, steps: [{run: echo never}]}
  d: {runs-on: ubuntu-latest, steps: [{run: echo fine}]}",
    ));
    // Without an engine or its image, a container is refused before the job starts.
    let said = Said(
        project
            .command(&["run", "--trust", "--offline"])
            .env("DOCKER_HOST", "unix:///nowhere")
            .output()
            .expect("starts"),
    );
    said.expect(
        1,
        &[
            "not runnable here (no runner for `windows-2022`",
            "not started: `nobody/nothing@v9` is not in the cache, and --offline is set",
            "not started: its container (alpine) needs a container engine: no container engine answers (unix:///nowhere",
            "fine",
        ],
    );
    assert!(!said.out().contains("never\n"));
    assert_eq!(
        (project.job("a")["status"].clone(), project.job("b")["status"].clone()),
        ("skipped".into(), "failure".into())
    );
    assert_eq!(project.job("b")["started"], serde_json::Value::Null, "it never started");
    assert_eq!(project.job("c")["status"], "failure");
}

#[test]
fn ends_of_jobs_are_reported_accurately() {
    let project = steps(
        "      - {name: silent, run: 'true'}\n      - {name: signal, run: 'kill -SEGV $$', continue-on-error: true}\n      - run: |\n          echo two\n          echo lines\n      - {name: reads, run: 'cat; echo read all'}",
    );
    project.run(&[]).expect(0, &["killed by SIGSEGV", "Run echo two", "read all"]);
    let job = project.job("a");
    assert_eq!((job["steps"][1]["lines"].clone(), job["steps"][2]["outcome"].clone()), (0.into(), "failure".into()));
    assert_eq!(job["steps"][2]["status"], "success");
    assert!(!project.run_folder().join("logs/a/002.log").exists(), "a silent step has no log");
}

#[test]
fn outputs_environment_and_path_reach_later_steps() {
    let project = Project::new(&workflow(
        r#"
  make:
    runs-on: ubuntu-latest
    strategy: {matrix: {n: [1, 2]}}
    outputs: {"last-${{ 1 }}": x, sum: "${{ steps.s.outputs.sum }}"}
    steps:
      - {id: s, run: 'echo "sum=4$(( 1 + 1 ))" >> "$GITHUB_OUTPUT"'}
      - run: |
          echo "WORD=kept" >> "$GITHUB_ENV"
          mkdir -p "$RUNNER_TEMP/bin"
          printf '#!/bin/sh\necho tool\n' > "$RUNNER_TEMP/bin/tool" && chmod +x "$RUNNER_TEMP/bin/tool"
          echo "$RUNNER_TEMP/bin" >> "$GITHUB_PATH"
      - run: test "$WORD" = kept && test "$(tool)" = tool && test "$GITHUB_JOB" = make && test "$CI" = true
  use:
    runs-on: ubuntu-latest
    needs: make
    steps:
      - run: test "${{ needs.make.outputs.sum }}" = 42 && test "${{ needs.make.result }}" = success"#
            .replace(r#""last-${{ 1 }}": x, "#, "")
            .as_str(),
    ));
    project.run(&[]).expect(0, &["make (1)", "make (2)"]);
}

#[test]
fn secrets_never_reach_disk_or_screen() {
    let project = steps(
        r#"      - run: |
          printf 'hun'; sleep 0.1; printf 'ter2-'; sleep 0.1; echo 'secret'
          printf '%s' "$KEY" | base64
          printf 'x%s' "$KEY" | base64
          echo "uri: hunter2%2Dsecret $KEY"
          echo "::error file=a.c,line=1::bad $KEY"
          echo "token=$KEY" >> "$GITHUB_OUTPUT"
          echo "FROM_KEY=$KEY" >> "$GITHUB_ENV"
          echo "::add-mask::found-""out"
          echo "now found-""out is hidden"
        env: {KEY: "${{ secrets.KEY }}"}
      - {name: "named ${{ secrets.KEY }}", run: 'test ${#FROM_KEY} = 14'}
      - run: exit 1"#,
    );
    let said = project.run(&["--secret", "KEY=hunter2-secret"]);
    said.expect(1, &["***", "named ***"]);
    let json = project.call(&["attach", "--json"]);
    let written = String::from_utf8_lossy(&project.everything_written()).into_owned();
    for hidden in ["hunter2-secret", "aHVudGVyMi1zZWNyZX", "h1bnRlcjItc2VjcmV0", "is found-out", "now found-out"] {
        for (place, text) in [("lines", said.text()), ("json", json.text()), ("disk", written.clone())] {
            assert!(!text.contains(hidden), "{hidden} is on {place}");
        }
    }
}

#[test]
fn hostile_output_is_stored_completely_in_bounded_memory() {
    let project = steps(
        r"      - {name: long, run: 'head -c 30000000 /dev/zero | tr \\0 x; echo'}
      - {name: bytes, run: 'printf ''a\000b\377\376c\n'''}
      - {name: many, run: seq 1 300000}
      - {name: daemon, run: 'sleep 3001 & echo started'}",
    );
    project.run(&["--json"]).expect(0, &[]);
    let log = |step: u32| fs::read(project.run_folder().join(format!("logs/a/{step:03}.log"))).expect("a log");
    assert_eq!(log(2).len(), 30_000_001);
    assert_eq!(log(3), b"a\0b\xff\xfec\n");
    let many = log(4);
    assert!(many.starts_with(b"1\n2\n") && many.ends_with(b"299999\n300000\n"));
    assert_eq!(project.job("a")["steps"][3]["lines"], 300_000);
    let left = std::process::Command::new("pgrep").args(["-f", "^sleep 3001$"]).output();
    assert!(left.is_ok_and(|left| left.stdout.is_empty()), "the daemon is gone with its job");
}

#[test]
fn a_matrix_fails_fast_by_default() {
    let jobs = |fail_fast: bool| {
        workflow(&format!(
            "
  a:
    runs-on: ubuntu-latest
    strategy: {{fail-fast: {fail_fast}, max-parallel: 2, matrix: {{n: [1, 2, 3]}}}}
    steps: [{{run: 'test ${{{{ matrix.n }}}} != 1 || exit 3; sleep ${{{{ matrix.n }}}}'}}]"
        ))
    };
    let fast = Project::new(&jobs(true));
    fast.run(&["--max-parallel", "3"]).expect(1, &["exit code 3"]);
    assert_eq!(
        (fast.job("a.2")["status"].clone(), fast.job("a.3")["status"].clone()),
        ("cancelled".into(), "cancelled".into())
    );
    let slow = Project::new(&jobs(false));
    slow.run(&["--max-parallel", "3"]).expect(1, &[]);
    assert_eq!(
        (slow.job("a.2")["status"].clone(), slow.job("a.3")["status"].clone()),
        ("success".into(), "success".into())
    );
}

#[test]
fn cancelling_still_runs_always_steps_and_force_does_not() {
    let text = "      - {run: 'touch \"$MARK\"; sleep 60'}\n      - {run: echo never}\n      - {run: echo cleaned, if: always()}";
    for (args, cleaned) in [(&["cancel"][..], true), (&["cancel", "--force"][..], false)] {
        let project = steps(text);
        let mark = project.state().join("mark");
        fs::create_dir_all(project.state()).expect("made");
        let done = project.command(&["run", "--trust", "--detach"]).env("MARK", &mark).output().expect("starts");
        assert!(done.status.success());
        until("the step runs", || mark.exists().then_some(()));
        project.call(args).expect(0, &["is being cancelled"]);
        let said = project.call(&["attach"]);
        said.expect(130, &["cancelled"]);
        assert_eq!(
            (said.out().contains("cleaned\n"), said.out().contains("never\n")),
            (cleaned, false),
            "{}",
            said.out()
        );
        project.call(&["cancel"]).expect(4, &["has ended"]);
    }
}

#[test]
fn failed_jobs_are_rerun_and_the_others_keep_their_results() {
    let project = Project::new(&workflow(
        "
  a:
    runs-on: ubuntu-latest
    outputs: {x: '${{ steps.x.outputs.x }}'}
    steps: [{id: x, run: 'echo x=1 >> $GITHUB_OUTPUT; echo made-x'}]
  b: {runs-on: ubuntu-latest, needs: a, steps: [{run: 'test ${{ needs.a.outputs.x }} = 1; test -e \"$MARK\"'}]}
  c: {runs-on: ubuntu-latest, needs: b, steps: [{run: echo last}]}",
    ));
    let mark = project.state().join("mark");
    let run = project.command(&["run", "--trust"]).env("MARK", &mark).output().expect("starts");
    assert_eq!(run.status.code(), Some(1));
    fs::write(&mark, "").expect("written");
    let again = project.command(&["rerun", "--trust", "--failed"]).env("MARK", &mark).output().expect("starts");
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert_eq!(again.status.code(), Some(0), "{text}");
    assert!(text.contains("attempt 2") && text.contains("last") && text.matches("made-x").count() <= 1, "{text}");
    assert_eq!((project.show()["attempt"].clone(), project.show()["status"].clone()), (2.into(), "success".into()));
    project.call(&["rerun", "--trust", "--failed"]).expect(4, &["no job failed"]);
}

#[test]
fn a_run_that_is_named_twice_is_one_run() {
    let project = Project::new(&workflow(
        "
  a: {runs-on: ubuntu-latest, steps: [{run: echo done}]}",
    ));
    project.call(&["run", "--trust"]).expect(0, &["done"]);
    let id = project.show()["id"].as_str().expect("a text").to_owned();
    let said = project.call(&["delete", &id, "latest"]);
    said.expect(0, &["is deleted"]);
    assert!(!said.out().contains(" of 2"), "{}", said.out());
}

#[test]
fn a_job_is_rerun_from_a_step_with_its_files() {
    let project = Project::new(&workflow(
        "
  a:
    runs-on: ubuntu-latest
    steps:
      - {id: x, run: 'echo begun; echo x=one >> $GITHUB_OUTPUT; echo Y=two >> $GITHUB_ENV; touch made'}
      - {name: Gate, run: 'test -e \"$MARK\"'}
      - {run: 'test -e made; echo got ${{ steps.x.outputs.x }} $Y'}
  b: {runs-on: ubuntu-latest, needs: a, steps: [{run: echo last}]}",
    ));
    let mark = project.state().join("mark");
    assert_eq!(project.command(&["run", "--trust"]).env("MARK", &mark).status().expect("starts").code(), Some(1));
    fs::write(&mark, "").expect("written");
    project.call(&["rerun", "--trust", "--job", "a", "--from-step", "9"]).expect(3, &["no step `9`"]);
    project.call(&["rerun", "--trust", "--job", "a", "--from-step", "1"]).expect(4, &["not in the workflow file"]);
    // The only job that failed is meant: `b` was skipped.
    let again = ["rerun", "--trust", "--from-step", "Gate"];
    let said = project.command(&again).env("MARK", &mark).output().expect("starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(0), "{text}");
    assert!(text.contains("got one two") && text.contains("last"), "{text}");
    assert!(
        text.contains("  kept from attempt 1") && !text.contains("begun\n"),
        "its lines were printed before: {text}"
    );
    let job = project.job("a");
    assert_eq!(job["steps"][1]["reason"], "kept from attempt 1");
    project.call(&["logs", "--job", "a"]).expect(0, &["begun", "got one two"]);
    // The job succeeded, so its files were removed.
    project.call(&again).expect(2, &["name the job of the step, one of a, b"]);
    project
        .call(&["rerun", "--trust", "--job", "a", "--from-step", "Gate"])
        .expect(4, &["the files of its jobs were removed"]);
}

#[test]
fn a_rerun_from_a_step_keeps_the_summary_and_the_annotations_of_earlier_steps() {
    let project = Project::new(&workflow(
        "
  a:
    runs-on: ubuntu-latest
    steps:
      - run: 'echo \"::warning file=a.rs,line=1::ann one\"; echo first >> $GITHUB_STEP_SUMMARY'
      - {name: Gate, run: 'echo gate >> $GITHUB_STEP_SUMMARY; test -e \"$MARK\"'}",
    ));
    let mark = project.state().join("mark");
    let call = |words: &[&str]| project.call_with("MARK", &mark, words);
    call(&["run", "--trust"]).expect(1, &["a.rs:1: ann one"]);
    fs::write(&mark, "").expect("written");
    call(&["rerun", "--trust", "--job", "a", "--from-step", "Gate"]).expect(0, &["a.rs:1: ann one"]);
    assert_eq!(project.job("a")["steps"][1]["annotations"][0]["message"], "ann one");
    assert_eq!(project.call(&["logs", "--summary"]).out(), "first\n\ngate\n\n");
}

#[test]
fn lines_that_were_not_carried_out_as_commands_are_shown_as_they_are() {
    let project = steps(
        "      - run: |
          echo '::stop-commands::pause-here'
          echo '::warning::not'
          echo '::pause-here::'
          echo '::warning::real'
",
    );
    project.run(&[]).expect(0, &["Warning: real"]);
    let log = "::stop-commands::***\n::warning::not\n::***::\nWarning: real\n";
    assert_eq!(project.call(&["logs", "--job", "a", "--step", "2"]).out(), log);
}

#[test]
fn trust_is_asked_once_and_can_be_revoked() {
    let project = steps("      - {run: echo hi}");
    project.call(&["run"]).expect(4, &["is not trusted", "cuelight trust"]);
    project.call(&["trust"]).expect(0, &[]);
    project.call(&["run"]).expect(0, &["hi"]);
    project.call(&["trust", "--revoke"]).expect(0, &[]);
    project.call(&["run"]).expect(4, &["is not trusted"]);
}

#[test]
fn invalid_input_is_reported_with_its_position_and_a_hint() {
    let project = Project::new("on: push\njobs:\n  a:\n    run-on: ubuntu-latest\n    steps: [{run: x}]\n");
    project.run(&[]).expect(1, &["ci.yml:4:5", "run-on", "did you mean `runs-on`?"]);
    project.call(&["run", "--trust", "ic"]).expect(3, &["there is no workflow `ic`", "ci.yml"]);
    project.call(&["show", "2000"]).expect(3, &["there is no run"]);
    project.write(".github/workflows/ci.yml", "on: push\njobs:\n  a: {runs-on: ubuntu-latest, steps: [{run: x}]}\n");
    project.run(&["ci", "--event", "schedule"]).expect(2, &["does not run on `schedule`", "push"]);
    project.run(&["--job", "zz"]).expect(3, &["no job `zz`"]);
    let nowhere = tempfile::tempdir().expect("a folder");
    let said = project.command(&["run"]).current_dir(nowhere.path()).output().expect("starts");
    assert!(String::from_utf8_lossy(&said.stderr).contains("git init"));
}

#[test]
fn an_event_runs_only_matching_workflows() {
    let one = |on: &str, said: &str| {
        format!("on: {on}\njobs: {{a: {{runs-on: ubuntu-latest, steps: [{{run: echo {said}}}]}}}}\n")
    };
    let project = Project::new(&one("push", "from-ci"));
    project.write(".github/workflows/docs.yml", &one("{push: {paths: ['docs/**']}}", "from-docs"));
    project.write(".github/workflows/pages.yml", &one("{push: {branches: [pages]}}", "from-pages"));
    project.write(".github/workflows/triage.yml", &one("{issues: {types: [opened]}}", "from-triage"));
    project.commit();
    project.commit();
    project.call(&["plan"]).expect(
        0,
        &[
            "ci.yml      runs ",
            "docs.yml    skipped  no file changed since HEAD^",
            "pages.yml   skipped ",
            "triage.yml  skipped  does not run on `push`; its events are issues",
        ],
    );
    project.write("docs/a.md", "new");
    let said = project.run(&[]);
    said.expect(0, &["from-ci", "from-docs", "docs.yml: "]);
    assert!(!said.text().contains("from-pages"), "{}", said.text());
    project.write("event.json", r#"{"action": "closed"}"#);
    let closed = ["--event", "issues", "--event-path", "event.json"];
    project.run(&closed).expect(3, &["no workflow runs on this `issues`", "triage.yml: ", "closed"]);
    project.write("event.json", r#"{"action": "opened"}"#);
    project.run(&closed).expect(0, &["from-triage"]);
    project.call(&[&["plan", "--format", "json"], &closed[..]].concat()).expect(0, &[r#""decision":"runs""#]);
    project.write(".github/workflows/broken.yml", "on: push\njobs: {}\n");
    let said = project.run(&[]);
    said.expect(1, &["broken.yml:2:", "from-ci", "from-docs"]);
    let broken = ["broken   line 2: `jobs` must not be empty", "broken.yml has errors: `cuelight lint broken.yml`"];
    project.call(&["plan"]).expect(1, &broken);
    project.call(&["plan", "--format", "json"]).expect(1, &[r#""decision":"broken""#]);
    project.call(&["plan", "ci"]).expect(0, &[]);
    for mistyped in [&["plan"][..], &["plan", "ci"], &["plan", "ci", "--format", "json"]] {
        let call = [mistyped, &["--event", "pul_request"]].concat();
        project.call(&call).expect(2, &["did you mean `pull_request`?"]);
    }
    project.run(&["ci", "--event", "pul_request"]).expect(2, &["did you mean `pull_request`?"]);
    project.run(&["--event", "pul_request"]).expect(2, &["did you mean `pull_request`?"]);
}

#[test]
fn composite_actions_and_called_workflows_of_the_repository_run() {
    let project = Project::new(&workflow(
        "
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - {id: g, uses: ./greet, with: {who: you}}
      - run: test '${{ steps.g.outputs.said }}' = 'hello you'
  b:
    needs: a
    uses: ./.github/workflows/called.yml
    with: {count: 3}
  c: {runs-on: ubuntu-latest, needs: b, steps: [{run: 'test ${{ needs.b.outputs.twice }} = 6'}]}",
    ));
    project.write(
        "greet/action.yml",
        "name: Greet\ndescription: Greets\ninputs: {who: {default: me}}\noutputs: {said: {value: '${{ steps.s.outputs.said }}'}}\nruns:\n  using: composite\n  steps:\n    - {id: s, shell: bash, run: 'echo \"said=hello ${{ inputs.who }}\" >> $GITHUB_OUTPUT'}\n",
    );
    project.write(
        ".github/workflows/called.yml",
        "on:\n  workflow_call:\n    inputs: {count: {type: number, required: true}}\n    outputs: {twice: {value: '${{ jobs.t.outputs.twice }}'}}\njobs:\n  t:\n    runs-on: ubuntu-latest\n    outputs: {twice: '${{ steps.t.outputs.twice }}'}\n    steps: [{id: t, run: 'echo twice=$(( ${{ inputs.count }} * 2 )) >> $GITHUB_OUTPUT'}]\n",
    );
    project.commit();
    project.run(&["ci"]).expect(0, &["b / t"]);
}

#[test]
fn a_job_with_a_snapshot_runs_and_makes_no_image() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, snapshot: image, steps: [{run: echo ran}]}");
    project.run(&[]).expect(0, &["ran", "no image of the runner is created here"]);
}

#[test]
fn what_has_no_name_is_named_once() {
    let job = "{runs-on: ubuntu-latest, steps: [{run: echo hi}]}";
    let project = Project::new(&format!("on: push\njobs: {{a: {job}}}\n"));
    assert_eq!(project.call(&["plan", "ci"]).out(), "a\n");
    let path = ".github/workflows/ci.yml";
    let shown = [project.run(&[]), project.call(&["attach"]), project.call(&["show"])];
    for said in shown {
        said.expect(0, &[]);
        let head: Vec<String> = said.out().lines().take(2).map(str::to_owned).collect();
        assert_eq!(head.join("\n").matches(path).count(), 1, "{head:?}");
    }
    let named = job.replace("{runs-on", "{name: Bee, runs-on");
    project.write(path, &format!("name: Checks\non: push\njobs: {{a: {named}}}\n"));
    assert_eq!(project.call(&["plan", "ci"]).out(), format!("a{}Bee\n", " ".repeat(20)));
    project.run(&[]).expect(0, &["Checks (.github/workflows/ci.yml on push"]);
}

#[test]
fn a_plan_is_drawn_like_on_the_screen() {
    let job = |name: &str, needs: &str| {
        format!("\n  {name}: {{runs-on: ubuntu-latest, needs: [{needs}], steps: [{{run: x}}]}}")
    };
    let project = Project::of_jobs(&[job("lint", ""), job("test", "lint"), job("build", "test, lint")].concat());
    let last = format!("\nbuild{}needs ", " ".repeat(17));
    project.call(&["plan", "ci"]).expect(0, &["○ lint ─────────▶ · test ─────────▶ · build", &last]);
    let svg = project.call(&["plan", "ci", "--format", "svg"]);
    svg.expect(0, &["<svg", "lint", "<polygon"]);
    let ascii = project.command(&["plan", "ci"]).env("LC_ALL", "C").output().expect("starts");
    assert!(String::from_utf8_lossy(&ascii.stdout).contains("> . test"), "{ascii:?}");
}

#[test]
fn a_run_is_restricted_to_legs_and_gets_variables() {
    let project = Project::of_jobs(
        "  test:
    strategy: {matrix: {os: [ubuntu-latest, ubuntu-22.04], v: [1, 2]}}
    runs-on: ${{ matrix.os }}
    env: {MODE: slow}
    steps: [{run: 'echo v${{ matrix.v }} on ${{ matrix.os }} is $MODE ${{ env.MODE }}'}]
",
    );
    let said = project.run(&["--job", "test", "--matrix", "os=ubuntu-latest", "--matrix", "v=2", "--env", "MODE=fast"]);
    said.expect(0, &["v2 on ubuntu-latest is fast fast"]);
    assert!(!said.out().contains("v1 on") && !said.out().contains("ubuntu-22.04"), "{}", said.text());
    project.call(&["runs"]).expect(0, &["  test, os=ubuntu-latest and 1 more of CI  "]);
    project.call(&["show"]).expect(0, &[" · attempt 1 · only test, os=ubuntu-latest and 1 more"]);
    assert_eq!(project.show()["only"], serde_json::json!(["test", "os=ubuntu-latest", "v=2"]));
    project
        .run(&["--matrix", "v=3"])
        .expect(2, &["no job with `3` as the value of `v` in its matrix; the values are 1, 2"]);
}
