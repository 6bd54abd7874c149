//! Unusual moments and sizes: commands before the worker listens, copied folders, and data that grows without end.

use std::fs;
use std::process::{Command, Stdio};

use super::bounded;
use crate::project::{Project, until};
use crate::survival::{kill, pids, until_none, worker_of};

const SLEEPS: &str = "\n  a: {runs-on: ubuntu-latest, steps: [{run: 'sleep 1000'}]}";

#[test]
fn an_order_right_after_the_start_is_obeyed() {
    let project = Project::of_jobs(SLEEPS);
    for _ in 0..10 {
        let id = project.run(&["--detach"]).expect(0, &[]).out().trim().to_owned();
        bounded(&project, &["cancel", &id]).expect(0, &[]);
        until("the run has ended", || project.call(&["show", &id]).text().contains("cancelled").then_some(()));
    }
}

#[test]
fn an_interrupt_right_after_the_start_cancels_the_run() {
    let project = Project::of_jobs(SLEEPS);
    project.call(&["trust"]);
    for pause in [0, 2, 5, 10, 20, 40] {
        let before = fs::read_dir(project.state().join("runs")).into_iter().flatten().count();
        let mut command = project.command(&["run"]);
        let mut printer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        // The folder of the run is created just before its worker starts.
        until("the run is there", || {
            (fs::read_dir(project.state().join("runs")).into_iter().flatten().count() > before).then_some(())
        });
        std::thread::sleep(std::time::Duration::from_millis(pause));
        let done = Command::new("kill").args(["-INT", &printer.id().to_string()]).status().expect("kill starts");
        assert!(done.success());
        let ended = until("the printer ends", || printer.try_wait().expect("a child"));
        // The interrupt either came before the start, whose folder then may lack the run, or it was kept and cancelled
        // the run.
        assert!(ended.code() == Some(130) || ended.code().is_none(), "{ended:?}");
        if ended.code().is_some() {
            let run = project.show();
            assert_eq!(run["status"], "cancelled", "{run}");
        }
        let _ = project.call(&["cancel", "--force"]);
    }
}

#[test]
fn a_copied_state_folder_does_not_end_the_originals_processes() {
    let project = Project::of_jobs(
        "\n  a: {runs-on: ubuntu-latest, steps: [{run: 'echo $$ > \"$DOOR/waiting\"; exec -a \"$DOOR/sleeper\" sleep 1000'}]}",
    );
    let door = tempfile::tempdir().expect("a folder");
    let done = project.command(&["run", "--trust", "--detach"]).env("DOOR", door.path()).output().expect("starts");
    assert!(done.status.success());
    until("the step runs", || door.path().join("waiting").exists().then_some(()));
    let copy = door.path().join("copy");
    let copied = Command::new("cp").arg("-a").arg(project.state()).arg(&copy).status().expect("cp starts");
    // Some versions of `cp` cannot copy the socket of the worker, so the exit code does not matter.
    assert!(copy.join("runs").exists(), "{copied}");
    let said = project.command(&["runs"]).env("CUELIGHT_STATE_DIR", &copy).output().expect("starts");
    assert!(String::from_utf8_lossy(&said.stdout).contains("worker lost"), "{}", String::from_utf8_lossy(&said.stdout));
    let sleeper = door.path().join("sleeper").display().to_string();
    // The shell may not have become the sleeper yet.
    let sleeps = || (pids(|command| command.starts_with(&sleeper)).len() == 1).then_some(());
    until("the original goes on", sleeps);
    assert_eq!(project.show()["status"], "in_progress");
    // The end of the original run is noticed as usual.
    let folder = project.run_folder();
    kill(worker_of(&folder.to_string_lossy()));
    project.call(&["runs"]).expect(0, &["worker lost"]);
    until_none(|command| command.starts_with(&sleeper));
}

#[test]
fn outputs_without_end_are_refused_in_words() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    outputs: {x: '${{ steps.big.outputs.x }}'}
    steps:
      - {run: 'head -c 100000000 /dev/zero | tr "\0" x | sed "s/^/x=/" >> "$GITHUB_OUTPUT"', continue-on-error: true}
      - {id: big, run: 'head -c 3000000 /dev/zero | tr "\0" x | sed "s/^/x=/" >> "$GITHUB_OUTPUT"'}
      - run: echo after"#,
    );
    let said = bounded(&project, &["run", "--trust"]);
    said.expect(1, &["GITHUB_OUTPUT: cannot be read: larger than the limit", "the limit is 1048576", "after"]);
}

#[test]
fn two_thousand_masks_take_no_time() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps: [{run: 'for n in $(seq 2000); do echo "::add-mask::masked-value-$n-$n"; done; echo masked-value-1999-1999 end'}]"#,
    );
    bounded(&project, &["run", "--trust"]).expect(0, &["*** end"]);
}

#[test]
fn a_journal_at_the_last_number_is_refused_in_words() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: exit 1}]}");
    project.run(&[]).expect(1, &[]);
    let path = project.run_folder().join("events.jsonl");
    let text = fs::read_to_string(&path).expect("there");
    let last = text.lines().last().expect("a line");
    let seq = last.split_once("\"seq\":").and_then(|(_, rest)| rest.split_once(',')).expect("a number").0;
    fs::write(&path, text.replace(&format!("\"seq\":{seq},"), &format!("\"seq\":{},", u64::MAX))).expect("written");
    for command in [&["show"][..], &["rerun", "--trust"], &["runs"], &["logs"]] {
        let said = bounded(&project, command);
        assert!(!said.text().contains("panicked"), "{command:?}: {}", said.text());
    }
}

#[test]
fn a_huge_journal_is_read_in_little_memory() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}");
    project.run(&[]).expect(0, &[]);
    let path = project.run_folder().join("events.jsonl");
    let text = fs::read_to_string(&path).expect("there");
    let output = text.lines().find(|line| line.contains("\"output\"")).expect("a record of output").to_owned();
    let (head, tail) = text.split_at(text.find(&output).expect("there"));
    fs::write(&path, [head.to_owned(), format!("{output}\n").repeat(1_500_000), tail.to_owned()].concat())
        .expect("written");
    assert!(fs::metadata(&path).expect("there").len() > 100_000_000);
    let script = format!("ulimit -v 600000; exec {} show", env!("CARGO_BIN_EXE_cuelight"));
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(project.root());
    let same = project.command(&[]);
    command.envs(same.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = command.output().expect("starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn several_cleaners_at_once_remove_everything_and_complain_about_nothing() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}");
    for _ in 0..6 {
        project.run(&[]).expect(0, &[]);
    }
    let cleaners: Vec<_> = (0..4)
        .map(|_| {
            project.command(&["clean", "--all"]).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts")
        })
        .collect();
    for cleaner in cleaners {
        let said = cleaner.wait_with_output().expect("ends");
        let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{text}");
    }
    assert_eq!(fs::read_dir(project.state().join("runs")).expect("there").count(), 0);
}

#[test]
fn paths_that_are_not_text_work_or_are_refused_in_words() {
    use std::os::unix::ffi::OsStrExt;
    let project = Project::of_jobs(
        "\n  a:\n    runs-on: ubuntu-latest\n    steps: [{uses: actions/checkout@v4}, {run: \"ls | wc -l; echo ${{ hashFiles('**') }}\"}]",
    );
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff\xfe");
    fs::write(project.root().join(odd), "x").expect("written");
    project.commit();
    let said = bounded(&project, &["run", "--trust"]);
    assert!(!said.text().contains("panicked"), "{}", said.text());
    let state = project.state().join(odd);
    let mut command = project.command(&["run"]);
    let said = command.env("CUELIGHT_STATE_DIR", &state).output().expect("starts");
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(!text.contains("panicked"), "{text}");
}
