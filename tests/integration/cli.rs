//! The command line around runs: lists, logs, settings, trust, leftovers, and error messages.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};

use crate::project::{Project, until};

const MIXED: &str = "name: Mixed
on: push
jobs:
  good:
    runs-on: ubuntu-latest
    steps:
      - name: Greet
        run: |
          echo '::group::Inner'
          echo hidden
          echo '::endgroup::'
          printf '\\033[32mhello\\033[0m\\n'
  bad:
    name: Bad one
    runs-on: ubuntu-latest
    steps:
      - name: Break
        run: |
          echo '::group::Tests'
          echo 'src/a.c:3:1: error: it broke'
          echo '::endgroup::'
          echo '::warning file=b.c,line=4::careful'
          exit 2
";

#[test]
fn output_names_the_failure_and_the_next_command() {
    let project = Project::new(MIXED);
    let said = project.run(&[]);
    said.expect(
        1,
        &[
            "good    │   ▸ Inner (1 line)\n",
            "good    │   hello\n",
            "Bad one │   ▾ Tests\nBad one │     src/a.c:3:1: error: it broke\n",
            "✗ Bad one › Break (exit code 2)\n    src/a.c:3:1: error: it broke\n\n",
            "warning  b.c:4: careful  Bad one › Break\n",
            "--failed",
        ],
    );
    assert!(!said.out().contains("hidden") && !said.out().contains('\u{1b}'), "{}", said.out());
}

#[test]
fn an_output_on_a_full_disk_is_named() {
    let project = Project::new(MIXED);
    for args in [&["run", "--trust"][..], &["runs"], &["plan"], &["config"], &["keys"], &["logs"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
        let said = project.command(args).stdout(full).output().expect("starts");
        let text = String::from_utf8_lossy(&said.stderr);
        assert!(text.contains("cannot write to standard output: the disk is full"), "{args:?}: {text}");
        assert!(!text.contains("os error"), "{args:?}: {text}");
    }
}

#[test]
fn cleaning_removes_copies_of_actions_whose_fetch_was_killed() {
    let project = Project::new(MIXED);
    let mut ended = std::process::Command::new("true").spawn().expect("starts");
    ended.wait().expect("ends");
    // This path is in the cache of the tests' `XDG_CACHE_HOME`; server, owner and repository are folders of it.
    let copies = project.home().join("cache/cuelight/actions/github.com/o/n");
    let copy = copies.join(format!("aa.partial-{}-0", ended.id()));
    fs::create_dir_all(&copy).expect("made");
    project.call(&["clean", "--dry-run"]).expect(0, &["1 incomplete copy of actions would be removed\n"]);
    assert!(copy.exists());
    project.call(&["clean"]).expect(0, &["1 incomplete copy of actions removed\n"]);
    assert!(!copy.exists());
}

#[test]
fn inside_github_actions_the_output_uses_its_commands() {
    let project = Project::new(MIXED);
    let said = project.command(&["run", "--trust"]).env("GITHUB_ACTIONS", "true").output().expect("starts");
    let text = String::from_utf8_lossy(&said.stdout);
    for part in ["::warning file=b.c,line=4::careful\n", "::group::good › Greet\n", "::endgroup::\n"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn runs_are_listed_shown_and_read() {
    let project = Project::new(MIXED);
    project.call(&["runs"]).expect(0, &["There are no runs of local/repository yet"]);
    project.call(&["show"]).expect(3, &["there is no run"]);
    project.run(&[]).expect(1, &[]);
    let id = project.show()["id"].as_str().expect("an id").to_owned();
    project.call(&["runs"]).expect(0, &[&id, "Mixed", "main", "push", "failure"]);
    let listed = project.call(&["runs", "--json"]).out();
    let listed: serde_json::Value = serde_json::from_str(listed.trim()).expect("a line of JSON");
    assert_eq!((listed["id"].as_str(), listed["name"].as_str()), (Some(id.as_str()), Some("Mixed")));
    let shown = project.show();
    for (field, value) in listed.as_object().expect("an object") {
        assert_eq!(shown.get(field), Some(value), "`runs` and `show` share the names of fields");
    }
    project.call(&["show", &id[id.len() - 4..]]).expect(0, &["✗ Mixed", "Bad one", "exit code 2", "Greet"]);
    project.call(&["logs"]).expect(0, &["good / 2 Greet\n", "hidden\n", "Bad one / 2 Break\n"]);
    let failed = project.call(&["logs", "--failed"]).out();
    assert!(failed.contains("it broke") && !failed.contains("hello"), "{failed}");
    assert_eq!(project.call(&["logs", "--job", "good", "--step", "2"]).out(), "▸ Inner\nhidden\nhello\n");
    project.call(&["logs", "--job", "goood"]).expect(3, &["no job `goood`; did you mean `good`?"]);
    project.call(&["logs", "--step", "9"]).expect(3, &["no step `9`", "cuelight show"]);
    let records = project.call(&["attach", "--json"]);
    records.expect(1, &[]);
    let journal = fs::read_to_string(project.run_folder().join("events.jsonl")).expect("a journal");
    let told: Vec<_> = journal.lines().skip(1).map(str::to_owned).collect();
    assert_eq!(records.out().lines().collect::<Vec<_>>(), told, "the journal after its version");
}

#[test]
fn job_summaries_are_printed_as_they_were_written() {
    let steps =
        r##"[{run: 'echo "# Built" >> $GITHUB_STEP_SUMMARY'}, {run: 'echo "- **two**" >> $GITHUB_STEP_SUMMARY'}]"##;
    let quiet = "  quiet: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n";
    let project = Project::of_jobs(&format!("  loud: {{runs-on: ubuntu-latest, steps: {steps}}}\n{quiet}"));
    project.run(&[]).expect(0, &[]);
    assert_eq!(project.call(&["logs", "--summary"]).out(), "# Built\n\n- **two**\n\n");
    project.call(&["logs", "--summary", "--job", "quiet"]).expect(0, &["no job of", "wrote a summary"]);
}

#[test]
fn mistyped_names_get_a_suggestion() {
    let project = Project::new(MIXED);
    for (meant, command) in [("ls", "runs"), ("stop", "cancel"), ("login", "auth login")] {
        project.call(&[meant]).expect(2, &[&format!("did you mean `cuelight {command}`?")]);
    }
    project.call(&["dmeo"]).expect(2, &["neither a command nor a run", "did you mean `cuelight demo`?"]);
    project.call(&["run", "--evnet", "push"]).expect(2, &["--event"]);
    project.run(&["cii"]).expect(3, &["did you mean `ci`?"]);
    project.run(&["--input", "novalue"]).expect(2, &["--input takes NAME=VALUE, not `novalue`"]);
    project.run(&["--secret", "NO_SUCH_VARIABLE"]).expect(2, &["no variable NO_SUCH_VARIABLE"]);
    project.run(&["--event-path", "nowhere.json"]).expect(3, &["nowhere.json"]);
    project.write("event.json", "{\n  'x'\n}");
    project.run(&["--event-path", "event.json"]).expect(2, &["event.json:2:3"]);
}

#[test]
fn settings_have_layers_and_errors_have_positions() {
    let project = Project::new(MIXED);
    let file = project.configure("keep_runs = 3\nmax_parallel = 7\n[keys]\nyank = \"Y\"\n");
    project.write(".cuelight.toml", "max_parallel = 5\n");
    let said = project.call(&["config"]);
    let place = format!("keep_runs = 3  # {}:1:1\n", file.display());
    said.expect(
        0,
        &[&place, "max_parallel = 5  # ", ".cuelight.toml:1:1\n", "yank = [\"Y\"]", "motion = true  # default\n"],
    );
    let said = project.command(&["config"]).env("CUELIGHT_MAX_PARALLEL", "2").output().expect("starts");
    assert!(String::from_utf8_lossy(&said.stdout).contains("max_parallel = 2  # CUELIGHT_MAX_PARALLEL\n"));
    project.configure("[keys]\nyakn = \"Y\"\n");
    let place = format!("{}:2:1: `keys.yakn`", file.display());
    project.call(&["config"]).expect(2, &[&place, "did you mean `yank`?"]);
    project.call(&["doctor"]).expect(1, &[&place]);
    project.configure("[keys]\nwrap = ['ctrl-w']\nzoom = ['ctrl-w z']\n");
    let prefix = "config.toml:2:1: `ctrl-w` means `wrap` and also starts `ctrl-w z` (`zoom`, Log)";
    project.call(&["keys"]).expect(2, &[prefix]);
    project.configure("keep_run = 3\n");
    project.run(&[]).expect(2, &["config.toml:1:1: unknown setting `keep_run`; did you mean `keep_runs`?"]);
    project.configure("");
    project.write(".cuelight.toml", "keep_runs = 0\n");
    project.run(&[]).expect(2, &[".cuelight.toml:1:1: `keep_runs` cannot be set in a repository"]);
}

#[test]
fn trust_is_bound_to_the_repository_and_its_origin() {
    let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
    let none = "no repository is trusted; `cuelight trust` trusts the one of this folder";
    project.call(&["trust", "--list"]).expect(0, &[none]);
    project.call(&["trust"]).expect(0, &["is trusted"]);
    let git = project.root().join(".git").canonicalize().expect("a folder");
    let root = project.root().canonicalize().expect("a folder");
    project.call(&["trust", "--list"]).expect(0, &[&root.display().to_string(), "no origin"]);
    let config = fs::read_to_string(git.join("config")).expect("readable");
    fs::write(git.join("config"), format!("{config}[remote \"origin\"]\n\turl = https://elsewhere.example/x\n"))
        .expect("written");
    project.call(&["run"]).expect(4, &["its origin has changed since it was trusted"]);
    fs::write(git.join("config"), config).expect("written");
    project.call(&["run"]).expect(0, &["hi"]);
    // Another clone at the same path is a different repository.
    let (aside, again) = (git.with_file_name("aside"), git.with_file_name("again"));
    fs::rename(&git, &aside).expect("moved");
    let copied = std::process::Command::new("cp").arg("-r").args([&aside, &again]).status().expect("cp starts");
    assert!(copied.success());
    fs::rename(&again, &git).expect("moved");
    project.call(&["run"]).expect(4, &["not the repository that was trusted at this path"]);
}

/// Lets a step go on that reads a line from a FIFO. Fails if no step opens it.
#[track_caller]
fn let_go(pipe: &Path) {
    // Without a reader, an open that may not block is an error.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let writer = until("a step reads", || rustix::fs::open(pipe, flags, Mode::empty()).ok());
    fs::File::from(writer).write_all(b"go\n").expect("the step reads");
}

#[test]
fn old_runs_are_removed_and_running_ones_are_not() {
    let project = Project::new(
        "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'test ! -e \"$WAIT\" || read line < \"$WAIT\"'}]}}\n",
    );
    for _ in 0..3 {
        project.run(&[]).expect(0, &[]);
    }
    project.call(&["clean"]).expect(0, &["0 runs removed"]);
    project.call(&["clean", "--keep", "1", "--dry-run"]).expect(0, &["2 runs would be removed"]);
    project.call(&["clean", "--keep", "2"]).expect(0, &["1 run removed"]);
    assert_eq!(project.call(&["runs", "--json"]).out().lines().count(), 2);
    let pipe = project.state().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
    assert!(made.success());
    let live = project.command(&["run", "--trust", "--detach"]).env("WAIT", &pipe).output().expect("starts");
    let live = String::from_utf8_lossy(&live.stdout).trim().to_owned();
    project.call(&["clean", "--all"]).expect(0, &["2 runs removed"]);
    let_go(&pipe);
    project.call(&["attach", &live]).expect(0, &["success"]);
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let project = Project::new(
        "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'yes some line | head -n 200000'}]}}\n",
    );
    project.run(&[]).expect(0, &[]);
    for args in [&["logs"][..], &["attach"]] {
        let mut child =
            project.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
        let said = child.wait_with_output().expect("it ends");
        assert_eq!((said.status.code(), String::from_utf8_lossy(&said.stderr).as_ref()), (Some(0), ""), "{args:?}");
    }
}

/// Starts a command, reads the first line of its output, closes that, and lets the step that waits at `pipe` go on.
/// Returns the exit code and what the command says about errors.
fn closed_after_a_line(project: &Project, args: &[&str], pipe: &Path) -> (Option<i32>, String) {
    let mut command = project.command(args);
    command.env("WAIT", pipe).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
    let_go(pipe);
    let said = child.wait_with_output().expect("it ends");
    (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned())
}

#[test]
fn a_command_whose_output_is_closed_has_the_exit_code_of_its_run() {
    let step = "run: 'read line < \"$WAIT\"; echo late; exit 3'";
    let project = Project::new(&format!("on: push\njobs: {{a: {{runs-on: ubuntu-latest, steps: [{{{step}}}]}}}}\n"));
    let pipe = project.home().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
    assert!(made.success());
    for args in [&["run", "--trust"][..], &["run", "--trust", "--json"], &["run", "--trust", "--linear"]] {
        let (code, errors) = closed_after_a_line(&project, args, &pipe);
        assert_eq!(code, Some(1), "{args:?}: {errors}");
        assert!(!errors.contains("error:"), "{args:?}: {errors}");
        project.call(&["show"]).expect(0, &["failure"]);
    }
    for args in [&["rerun", "--trust"][..], &["attach"], &["logs", "--follow"]] {
        if args[0] != "rerun" {
            let live = project.command(&["run", "--trust", "--detach"]).env("WAIT", &pipe).output().expect("starts");
            assert!(live.status.success(), "{live:?}");
        }
        let (code, errors) = closed_after_a_line(&project, args, &pipe);
        assert_eq!(code, Some(1), "{args:?}: {errors}");
    }
    // A pipeline with `pipefail` sees what `lint` found, however much of it is read.
    let broken = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo, uses: a/b@v1}]}}\n";
    project.write(".github/workflows/broken.yml", broken);
    let lint = "set -o pipefail; \"$0\" lint broken | true";
    let mut shell = std::process::Command::new("bash");
    let shell = shell.current_dir(project.root()).args(["-c", lint, env!("CARGO_BIN_EXE_cuelight")]);
    assert_eq!(shell.output().expect("bash starts").status.code(), Some(1));
    // A listing has no result besides what is read of it.
    let mut list = project.command(&["runs"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(list.stdout.take());
    let said = list.wait_with_output().expect("it ends");
    assert_eq!((said.status.code(), String::from_utf8_lossy(&said.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_broken_workflow_is_shown_in_the_same_form_by_every_command() {
    let project = Project::new(MIXED);
    let at = project.root().join(".github/workflows/x.yml");
    fs::write(&at, b"on: push\nname: \xff\n").expect("written");
    let not_text = ["error: the byte 0xFF is not UTF-8 [syntax-check]", " --> .github/workflows/x.yml:2:7", "= help: "];
    for args in [&["run", "x", "--trust"][..], &["plan", "x"], &["plan", "x", "--format", "json"], &["lint", "x"]] {
        project.call(args).expect(1, &not_text);
    }
    fs::write(&at, "on: push\njobs: [").expect("written");
    for args in [&["run", "x", "--trust"][..], &["plan", "x"], &["lint", "x"]] {
        project.call(args).expect(1, &["error: unclosed bracket", " --> .github/workflows/x.yml:2:7", "= help: "]);
    }
}

#[test]
fn doctor_lists_the_installed_tools() {
    let project = Project::new(MIXED);
    project.call(&["doctor"]).expect(0, &["git version", "can be written", "0 kept", "settings", "terminal"]);
}

#[test]
fn every_command_that_looks_at_runs_closes_those_that_lost_their_worker() {
    let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
    project.run(&[]).expect(0, &[]);
    let journal = project.run_folder().join("events.jsonl");
    let whole = fs::read_to_string(&journal).expect("a journal");
    let (without_end, _) = whole.trim_end().rsplit_once('\n').expect("records");
    let mark = project.state().join("active").join(project.run_id());
    for args in [&["runs"][..], &["show"], &["logs"], &["screenshot"], &["doctor"], &["trust", "--list"], &["keys"]] {
        fs::write(&journal, format!("{without_end}\n")).expect("written");
        fs::write(&mark, "").expect("written");
        let said = project.call(args);
        said.expect(0, &[]);
        let has_ended = fs::read_to_string(&journal).expect("a journal").contains("worker_lost");
        assert_eq!(has_ended, args != ["keys"] && args != ["doctor"], "{args:?}");
        if args == ["doctor"] {
            said.expect(0, &["0 in progress; 1 lost the worker: the next command that reads runs ends it"]);
        }
    }
}

#[test]
fn every_shell_has_completions() {
    let project = Project::new(MIXED);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        project.call(&["completions", shell]).expect(0, &["cuelight", "CUELIGHT_COMPLETE"]);
    }
}

#[test]
fn a_run_is_told_in_sentences_without_signs() {
    let project = Project::of_jobs(
        "  build: {runs-on: ubuntu-latest, steps: [{name: Compile, run: 'echo from the step'}]}\n\
         \x20 test: {needs: build, runs-on: ubuntu-latest, steps: [{name: Check, run: 'echo a.c:3: wrong; exit 3'}]}\n",
    );
    let told = ["CI: started, main@", "\nbuild: started\n", "\nbuild: success in ", "\ntest: step 2, Check\n"];
    let end = ["\ntest: step 2, Check: failure, exit code 3\n", "\nfailed: test, step Check: ", "\nCI: failure in "];
    for said in
        [project.run(&["--linear"]), project.call(&["attach", "--linear"]), project.call(&["--linear", "latest"])]
    {
        said.expect(1, &[&told[..], &end].concat());
        assert!(said.text().is_ascii() && !said.text().contains("from the step"), "{}", said.text());
    }
    project.call_with("CUELIGHT_LINEAR", "1", &["attach"]).expect(1, &told);
}

#[test]
fn all_runs_are_told_in_sentences_until_an_interrupt() {
    let project = Project::of_jobs("  build: {runs-on: ubuntu-latest, steps: [{run: 'sleep 2'}]}\n");
    let output = project.home().join("sentences");
    let file = fs::File::create(&output).expect("a file");
    let mut child = project.command(&["--linear"]).stdout(file).spawn().expect("the program starts");
    let told = |text: &str| fs::read_to_string(&output).expect("readable").contains(text).then_some(());
    until("the runs are listed", || told("no runs of local/repository; changes follow"));
    project.run(&[]).expect(0, &[]);
    until("the end is told", || told("CI on main: success in "));
    // The newest run is followed again when another one appears, and is not printed again.
    project.run(&[]).expect(0, &[]);
    until("the second run is told", || {
        let text = fs::read_to_string(&output).expect("readable");
        (text.matches("CI on main: success in ").count() == 2).then_some(())
    });
    let text = fs::read_to_string(&output).expect("readable");
    assert_eq!(text.matches("CI, build: success in ").count(), 2, "{text}");
    project.call(&["runs", "--linear"]).expect(0, &["CI on main: success in "]);
    project.call(&["show", "--linear"]).expect(0, &["build: success in ", "\nCI: success in "]);
    let interrupt = |child: &mut Child| {
        let pid = Pid::from_raw(child.id().cast_signed()).expect("it runs");
        kill_process(pid, Signal::INT).expect("it runs");
        assert_eq!(child.wait().expect("it ends").code(), Some(130));
    };
    interrupt(&mut child);
    // In another repository, the runs of this one are printed only on request.
    let other = Project::of_jobs("  build: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
    for (args, begin) in [(&["--linear"][..], "no runs of local/repository"), (&["--linear", "--all"], "runs of all")] {
        let file = fs::File::create(&output).expect("a file");
        let mut command = project.command(args);
        let mut child = command.current_dir(other.root()).stdout(file).spawn().expect("the program starts");
        until("the runs are listed", || told(begin));
        // The list follows its heading.
        let is_all = args.len() == 2;
        if is_all {
            until("the runs of the other repository", || told("CI on main: success in "));
        }
        interrupt(&mut child);
        assert_eq!(told("CI on main: success in ").is_some(), is_all, "{args:?}");
    }
    project.call_with("CUELIGHT_LINEAR", "1", &[]).expect(0, &["CI on main: success in "]);
}

#[test]
fn the_variable_for_sentences_takes_true_and_false_only() {
    let project = Project::of_jobs("  build: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
    let plan = |value: &str| project.call_with("CUELIGHT_LINEAR", value, &["plan", "ci"]);
    for (value, is_linear) in [("true", true), ("1", true), ("false", false), ("0", false), ("", false)] {
        let said = plan(value);
        said.expect(0, &[]);
        assert_eq!(said.out().starts_with("1 job\n"), is_linear, "{value}: {}", said.text());
    }
    plan("no").expect(2, &["CUELIGHT_LINEAR: must be true or false, not `no`"]);
}

#[test]
fn a_replay_in_sentences_names_the_true_reason() {
    let project = Project::of_jobs("  build: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
    project.run(&[]).expect(0, &[]);
    project.call(&["replay", "--linear"]).expect(2, &["the linear mode does not open", "`cuelight show`"]);
    project.call(&["replay"]).expect(2, &["a replay needs a terminal"]);
}
