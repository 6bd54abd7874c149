//! Steps that replace a file that the program expects. The program must not wait for the replacement, fill up, or reach
//! another file through it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::bounded;
use crate::docker::{has, nothing_left};
use crate::project::{Project, until};
use crate::survival::worker_of;

#[test]
fn command_files_that_are_no_files_fail_their_step_and_not_the_run() {
    for (name, reason) in [
        ("GITHUB_OUTPUT", "GITHUB_OUTPUT: cannot be read: "),
        ("GITHUB_ENV", "GITHUB_ENV: cannot be read: "),
        ("GITHUB_PATH", "GITHUB_PATH: cannot be read: "),
        ("GITHUB_STATE", "GITHUB_STATE: cannot be read: "),
    ] {
        let project = Project::of_jobs(&format!(
            r#"
  a:
    runs-on: ubuntu-latest
    timeout-minutes: 1
    steps:
      - {{run: 'rm "${name}"; mkfifo "${name}"', continue-on-error: true}}
      - {{run: 'ln -sf /dev/zero "${name}"', continue-on-error: true}}
      - {{run: 'truncate -s 300G "${name}"', continue-on-error: true}}
      - {{run: 'rm "${name}"; ln -s /etc/passwd "${name}"', continue-on-error: true}}
      - {{run: 'rm "${name}"; ln -s "${name}" "${name}"', continue-on-error: true}}
      - run: echo after"#
        ));
        let said = bounded(&project, &["run", "--trust"]);
        said.expect(0, &["a FIFO, not a regular file", "larger than the limit", "leads out of its folder", "after"]);
        assert!(said.text().matches(reason).count() >= 5, "{}", said.text());
    }
}

#[test]
fn what_a_step_leaves_keeps_no_later_step_from_starting() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - {run: 'printf "A=1\0\nB=2\n" >> "$GITHUB_ENV"; printf "/a\0b\n" >> "$GITHUB_PATH"'}
      - run: echo "B is $B"
  b:
    runs-on: ubuntu-latest
    steps:
      - {run: 'commands=$(dirname "$GITHUB_OUTPUT"); rm -r "$commands"; ln -s / "$commands"', continue-on-error: true}
      - run: echo after"#,
    );
    let said = bounded(&project, &["run", "--trust"]);
    said.expect(1, &["B is 2", "GITHUB_ENV: `A` is dropped", "GITHUB_PATH: a folder is dropped"]);
    said.expect(1, &["cannot create the step's command files: the path leads out of its folder"]);
}

#[test]
fn a_summary_that_is_no_file_is_dropped() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - run: rm "$GITHUB_STEP_SUMMARY"; mkfifo "$GITHUB_STEP_SUMMARY"
      - run: ln -sf /etc/passwd "$GITHUB_STEP_SUMMARY""#,
    );
    let said = bounded(&project, &["run", "--trust"]);
    said.expect(0, &["summary is dropped: a FIFO", "summary is dropped: the path leads out"]);
    assert!(!String::from_utf8_lossy(&project.everything_written()).contains("root:x:0"));
}

#[test]
fn matchers_local_actions_and_hashed_files_that_are_no_files_are_refused() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - {run: 'mkfifo m.json; echo "::add-matcher::m.json"', continue-on-error: true}
      - {run: 'echo "::add-matcher::/dev/zero"', continue-on-error: true}
      - {run: 'echo "::remove-matcher::x"; truncate -s 300G big.json; echo "::add-matcher::big.json"', continue-on-error: true}
      - run: mkdir -p one two three; mkfifo one/action.yml; ln -s /dev/zero two/action.yml; ln -s /etc/passwd three/action.yml
      - {uses: ./one, continue-on-error: true}
      - {uses: ./two, continue-on-error: true}
      - {uses: ./three, continue-on-error: true}
      - {run: 'echo ${{ hashFiles(''m.json'') }}', continue-on-error: true}
      - {run: 'echo ${{ hashFiles(''two/action.yml'') }}', continue-on-error: true}
      - run: echo after"#,
    );
    let said = bounded(&project, &["run", "--trust"]);
    said.expect(
        0,
        &[
            "cannot read m.json: a FIFO",
            "cannot read /dev/zero: a device",
            "cannot read big.json: larger than the limit",
            "one/action.yml cannot be read: a FIFO",
            "two/action.yml cannot be read: the path leads out",
            "three/action.yml cannot be read: the path leads out",
            "m.json: a FIFO",
            "after",
        ],
    );
}

#[test]
fn scripts_are_not_written_through_a_link() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo precious > "$HOME_FILE"; for n in 1 2 3 4 5; do ln -s "$HOME_FILE" "$RUNNER_TEMP/$n-x.sh"; done
      - {id: x, run: echo overwritten}"#,
    );
    let file = project.state().join("precious");
    fs::create_dir_all(project.state()).expect("made");
    let mut command = project.command(&["run", "--trust"]);
    command.env("HOME_FILE", &file);
    let done = command.output().expect("starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert_eq!(fs::read_to_string(file).expect("there"), "precious\n");
}

/// A job whose `hashFiles` would never end.
const ENDLESS: &str = r"
  a:
    runs-on: ubuntu-latest
    steps:
      - run: truncate -s 900G endless
      - run: echo ${{ hashFiles('endless') }}";

#[test]
fn a_link_in_the_place_of_the_folders_of_a_later_job_fails_it_and_empties_nothing() {
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
    let precious = project.home().join("precious");
    let jobs = format!(
        "on: push\njobs:\n  a: {{runs-on: ubuntu-latest, steps: [{{run: 'ln -s {precious} $RUNNER_TEMP/../../b'}}]}}\n  \
         b: {{needs: a, runs-on: ubuntu-latest, steps: [{{run: echo reached}}]}}\n",
        precious = precious.display()
    );
    project.write(".github/workflows/ci.yml", &jobs);
    project.commit();
    for folder in ["_temp", "_tools", "_control"] {
        fs::create_dir_all(precious.join(folder)).expect("made");
        fs::write(precious.join(folder).join("own"), "kept").expect("written");
    }
    let said = bounded(&project, &["run", "--trust"]);
    let folder = project.run_folder().join("work/b");
    let reason = format!("cannot create the job's folder {}: the path leads out of its folder", folder.display());
    said.expect(1, &[&reason]);
    assert!(!said.out().contains("reached"), "{}", said.text());
    let left: Vec<_> =
        walkdir::WalkDir::new(&precious).into_iter().flatten().map(|entry| entry.path().to_owned()).collect();
    assert_eq!(left.iter().filter(|path| path.is_file()).count(), 3, "{left:?}");
    assert_eq!(left.len(), 7, "nothing is made there: {left:?}");
}

#[test]
fn a_cancel_ends_a_run_that_hashes_without_end() {
    for cancel in [&["cancel"][..], &["cancel", "--force"]] {
        let project = Project::of_jobs(ENDLESS);
        project.run(&["--detach"]).expect(0, &[]);
        until("the first step has ended", || {
            (project.show()["jobs"][0]["steps"][1]["status"] == "success").then_some(())
        });
        bounded(&project, cancel).expect(0, &[]);
        until("the run has ended", || (project.show()["status"] == "cancelled").then_some(()));
    }
}

#[test]
fn the_time_limit_of_a_job_ends_its_hashing() {
    let project = Project::of_jobs(&ENDLESS.replace("    steps:", "    timeout-minutes: 0.03\n    steps:"));
    let said = bounded(&project, &["run", "--trust"]);
    assert!(said.code() != 0 && said.text().contains("the job exceeded its limit"), "{}", said.text());
}

#[test]
fn interrupts_leave_a_run_whose_worker_does_not_answer() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: 'echo on; sleep 1000'}]}");
    let notices = project.home().join("notices");
    let mut command = project.command(&["run", "--trust"]);
    command.stdout(Stdio::null()).stderr(fs::File::create(&notices).expect("made"));
    let mut printer = command.spawn().expect("starts");
    let runs = project.state().join("runs");
    let folder = until("the run has started", || fs::read_dir(&runs).ok()?.flatten().next().map(|entry| entry.path()));
    until("the step runs", || project.call(&["logs"]).out().contains("on\n").then_some(()));
    let worker = worker_of(&folder.to_string_lossy());
    let signal = |name: &str, pid: u32| {
        let done = std::process::Command::new("kill").args([name, &pid.to_string()]).status().expect("kill starts");
        assert!(done.success());
    };
    signal("-STOP", worker as u32);
    signal("-INT", printer.id());
    // Signals of the same kind are merged while they are pending.
    until("the first interrupt has arrived", || {
        fs::read_to_string(&notices).expect("text").contains("Ctrl-C again ends it at once").then_some(())
    });
    signal("-INT", printer.id());
    let ended = until("the printer leaves", || printer.try_wait().expect("a child"));
    signal("-CONT", worker as u32);
    assert!(!ended.success());
    bounded(&project, &["cancel", "--force"]);
    until("the run has ended", || (project.show()["status"] == "cancelled").then_some(()));
}

#[test]
fn a_container_reaches_no_file_of_this_machine_through_links() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let outer = tempfile::tempdir().expect("a folder");
    fs::create_dir(outer.path().join("folder")).expect("made");
    fs::set_permissions(outer.path().join("folder"), fs::Permissions::from_mode(0o700)).expect("set");
    fs::write(outer.path().join("secret"), "STOLEN=1\n").expect("written");
    let at = outer.path().display();
    let project = Project::of_jobs(&format!(
        r#"
  a:
    runs-on: ubuntu-latest
    container: 'ci-base:local'
    steps:
      - {{id: one, run: 'ln -sf {at}/secret "$GITHUB_OUTPUT"', continue-on-error: true}}
      - run: test -z '${{{{ steps.one.outputs.STOLEN }}}}'
      - run: |
          for path in /__w/_temp /__w/_temp/_runner_file_commands /__w/_temp/_github_home /__w/_temp/_github_workflow /__w/_tools /__w/_control /__w/repository /__w/repository/repository; do
            if mv "$path" "$path.moved" 2>/dev/null; then ln -s {at}/folder "$path"; echo "replaced $path"; fi
            if rmdir "$path" 2>/dev/null; then echo "removed $path"; fi
          done
          exit 0
      - {{run: 'ln -s {at}/secret m.json; echo "::add-matcher::m.json"', continue-on-error: true}}
      - {{run: 'echo "::add-matcher::/etc/hostname"', continue-on-error: true}}
      - {{run: 'ln -s {at}/secret hashed; true'}}
      - {{run: 'echo ${{{{ hashFiles(''hashed'') }}}}', continue-on-error: true}}
      - {{run: 'mkdir -p act; ln -s {at}/secret act/action.yml'}}
      - {{uses: ./act, continue-on-error: true}}
      - {{uses: 'docker://ci-base:local', with: {{entrypoint: /bin/ls, args: /github/workspace}}}}
      - run: echo after"#
    ));
    let said = bounded(&project, &["run", "--trust"]);
    said.expect(
        0,
        &[
            "cannot read m.json: the path leads out",
            "cannot read /etc/hostname: the path leads out",
            "hashed: the path leads out",
            "act/action.yml cannot be read: the path leads out",
            "after",
        ],
    );
    for word in ["replaced ", "removed ", "STOLEN"] {
        assert!(!said.out().lines().any(|line| line.trim_start().starts_with(word)), "{word}: {}", said.text());
    }
    let folder = outer.path().join("folder");
    assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&folder).expect("there").count(), 0);
    assert_eq!(fs::read_to_string(outer.path().join("secret")).expect("there"), "STOLEN=1\n");
    nothing_left(&project.run_id());
}

#[test]
fn an_action_that_a_step_writes_and_whose_server_does_not_answer_holds_no_step() {
    // The server never accepts a connection.
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = format!("http://{}", server.local_addr().expect("bound"));
    let write =
        "mkdir a; echo 'runs: {using: composite, steps: [{uses: octo/slow@v1}]}' > a/action.yml; touch \"$DOOR\"";
    for limit in [", timeout-minutes: 0.03", ""] {
        let project = Project::of_jobs(&format!(
            "\n  a: {{runs-on: ubuntu-latest, steps: [{{run: {write:?}, env: {{DOOR: '${{{{ github.workspace }}}}/door'}}}}, {{uses: ./a{limit}}}]}}"
        ));
        project.configure(&format!("[actions]\n'octo/slow' = '{address}'\n"));
        if !limit.is_empty() {
            bounded(&project, &["run", "--trust"]).expect(1, &["timed out"]);
            continue;
        }
        project.run(&["--detach"]).expect(0, &[]);
        until("the second step runs", || {
            let run = project.show();
            let steps = run["jobs"][0]["steps"].as_array()?;
            let is_it = |step: &&serde_json::Value| step["name"].as_str().is_some_and(|name| name.contains("./a"));
            (steps.iter().find(is_it)?["status"] == "in_progress").then_some(())
        });
        bounded(&project, &["cancel", "latest", "--force"]).expect(0, &[]);
        until("the run has ended", || (project.show()["status"] == "cancelled").then_some(()));
    }
}
