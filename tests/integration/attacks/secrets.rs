//! Secrets: nothing that is printed, stored or passed on may contain them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cuelight::visible::Visible;
use cuelight::visible::row::plain;

use crate::docker::{docker, has};
use crate::project::Project;
use crate::survival::{kill, worker_of};

#[test]
fn a_secret_is_masked_however_it_is_coloured() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - env: {S: '${{ secrets.TOKEN }}'}
        run: |
          echo "plain $S"
          printf 'grep %s\033[01;31m%s\033[m\033[K%s\n' "${S:0:3}" "${S:3:4}" "${S:7}"
          for ((i = 0; i < ${#S}; i++)); do printf '\033[3%dm%s' $((i % 8)) "${S:i:1}"; done; echo
          printf 'link %s\033]8;;http://x\007%s\033]8;;\007\n' "${S:0:5}" "${S:5}"
          printf 'back %s\b\b%s nul %s\0%s\n' "${S:0:4}" "${S:4}" "${S:0:4}" "${S:4}"
          for between in '\u200b' '\u00ad\ufe0f' '\U000e0041' '\033[\033[0m' '\033[12\030' '\033[1\bm' '\033(B' '\033'; do
            printf "dropped %s$between%s\n" "${S:0:4}" "${S:4}"; printf "dropped ${S:0:1}$between%s\n" "${S:1}"
            printf "::warning::annotated ${S:0:9}$between%s\n" "${S:9}"
          done
          printf '%s\342\200' "${S:0:7}"; sleep 0.2; printf '\213%s\n' "${S:7}"
          printf '%s' "${S:0:6}"; printf '\033[1'; sleep 0.2; printf 'm%s\n' "${S:6}""#,
    );
    let mut command = project.command(&["run", "--trust", "--secret", "TOKEN"]);
    let said = command.env("TOKEN", "hunter2-hunter2").output().expect("starts");
    assert!(said.status.success());
    for bytes in [said.stdout, said.stderr, project.everything_written(), project.call(&["show"]).0.stdout] {
        for line in bytes.split(|byte| *byte == b'\n') {
            let seen = |reading: &[u8]| String::from_utf8_lossy(reading).contains("hunter2-hunter2");
            let readings = Visible::readings(line);
            let is_seen = seen(line) || readings.iter().any(|reading| seen(reading.text()));
            assert!(!is_seen, "{}", line.escape_ascii());
        }
    }
}

#[test]
fn a_secret_that_the_cursor_assembles_is_covered() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - env: {S: '${{ secrets.TOKEN }}'}
        run: |
          printf 'X%.0s' {1..8}; printf '%s\r%s\n' "${S:8}" "${S:0:8}"
          printf '%s_%s\033[9D%s\n' "${S:0:6}" "${S:7}" "${S:6:1}"
          printf '%s\033[1G\033[8@%s\n' "${S:8}" "${S:0:8}"
          printf '%s__%s\033[9G\033[2P\n' "${S:0:8}" "${S:8}"
          printf '%s?\b' "${S:0:14}"; sleep 0.2; printf '%s\n' "${S:14}"
          printf '        %s' "${S:8}"; sleep 0.2; printf '\r%s' "${S:0:8}"; sleep 0.2; printf ' done\n'"#,
    );
    let mut command = project.command(&["run", "--trust", "--secret", "TOKEN"]);
    let said = command.env("TOKEN", "hunter2-hunter2").output().expect("starts");
    assert!(said.status.success());
    let logs = project.call(&["logs"]).0.stdout;
    assert!(String::from_utf8_lossy(&logs).matches("***").count() >= 5, "{}", logs.escape_ascii());
    for bytes in [said.stdout, said.stderr, project.everything_written(), logs] {
        for line in bytes.split(|byte| *byte == b'\n') {
            assert!(!plain(line).contains("hunter2-hunter2"), "{}", line.escape_ascii());
        }
    }
}

#[test]
fn a_named_secret_reaches_only_the_steps_that_map_it() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - run: test -z "$TOKEN" && test -z "$SAME" && ! env | grep -q hunter2
      - {env: {GIVEN: '${{ secrets.TOKEN }}'}, run: 'test "$GIVEN" = hunter2-hunter2'}"#,
    );
    let mut command = project.command(&["run", "--trust", "--secret", "TOKEN"]);
    let said = command.env("TOKEN", "hunter2-hunter2").env("SAME", "hunter2-hunter2").output().expect("starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn what_was_masked_at_run_time_is_in_no_checkpoint_and_no_later_attempt_prints_it() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - run: |
          S=$(cat "$DOOR/source")
          echo "::add-mask::$S"
          echo $S > "$DOOR/file"
          echo "$S=x" >> "$GITHUB_OUTPUT"; echo "V_found=$S" >> "$GITHUB_ENV"
      - run: cat "$DOOR/file"; if test -e "$DOOR/wait"; then echo $$ > "$DOOR/waiting"; sleep 1000; fi
      - run: cat "$DOOR/file"; test ! -e "$DOOR/fail""#,
    );
    let door = tempfile::tempdir().expect("a folder");
    let call = |args: &[&str]| {
        let said = project.command(args).env("DOOR", door.path()).output().expect("starts");
        format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
    };
    let mut all = Vec::new();
    fs::write(door.path().join("fail"), "").expect("written");
    fs::write(door.path().join("source"), "found-out-1\n").expect("written");
    all.push(call(&["run", "--trust"]));
    all.push(call(&["rerun", "--trust", "--failed"]));
    all.push(call(&["rerun", "--trust", "--job", "a", "--from-step", "3"]));
    fs::write(door.path().join("wait"), "").expect("written");
    let _ = call(&["rerun", "--trust", "--detach"]);
    let folder = project.run_folder();
    crate::project::until("the step waits", || door.path().join("waiting").exists().then_some(()));
    kill(worker_of(&folder.to_string_lossy()));
    fs::remove_file(door.path().join("wait")).expect("removed");
    all.push(call(&["resume", "--trust"]));
    all.push(call(&["show"]));
    let written = String::from_utf8_lossy(&project.everything_written()).into_owned();
    for text in all.iter().chain([&written]) {
        assert!(!text.contains("found-out-1"), "{text}");
    }
}

#[test]
fn credentials_in_the_address_of_a_remote_are_written_nowhere() {
    let project = Project::of_jobs(
        r"
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: git remote -v; cat .git/config; exit 1",
    );
    let remote =
        ["-C", &project.root().to_string_lossy(), "remote", "add", "origin", "https://me:gh0tok3n@github.com/o/r.git"]
            .map(str::to_owned);
    assert!(std::process::Command::new("git").args(remote).status().expect("git starts").success());
    project.call(&["trust"]);
    let said = project.run(&[]);
    said.expect(1, &["https://github.com/o/r.git"]);
    let written = String::from_utf8_lossy(&project.everything_written()).into_owned();
    for text in [said.text(), written, project.call(&["trust", "--list"]).text()] {
        assert!(!text.contains("gh0tok3n"), "{text}");
    }
}

/// Collects all files below a folder that other users could read, because no private folder contains them.
fn open_to_others(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let data = entry.metadata().expect("there");
        if data.permissions().mode().trailing_zeros() >= 6 || data.is_symlink() {
            continue;
        }
        found.push(entry.path().display().to_string());
        if data.is_dir() {
            open_to_others(&entry.path(), found);
        }
    }
}

#[test]
fn files_are_private_whatever_the_umask() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    concurrency: one
    steps: [{run: 'test "$(umask)" = 0000'}]"#,
    );
    fs::create_dir(project.state()).expect("made");
    fs::set_permissions(project.state(), fs::Permissions::from_mode(0o777)).expect("set");
    let script = format!("umask 0; {0} trust && {0} run && {0} runs", env!("CARGO_BIN_EXE_cuelight"));
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &script]).current_dir(project.root());
    let same = project.command(&[]);
    command.envs(same.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = command.output().expect("starts");
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    let mut found = Vec::new();
    open_to_others(&project.state(), &mut found);
    open_to_others(&project.state().parent().expect("a parent").join("cache"), &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_memory_of_the_worker_is_dumped_nowhere() {
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    steps:
      - run: |
          for pid in $(pgrep -f " worker $STATE"); do grep 'Max core' /proc/$pid/limits; done
          ulimit -c"#,
    );
    let state = project.state();
    let said = project.command(&["run", "--trust"]).env("STATE", &state).output().expect("starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(regex::Regex::new(r"Max core file size +0 ").expect("compiles").is_match(&text), "{text}");
}

#[test]
fn neither_the_workers_log_nor_a_kept_image_holds_the_environment_of_a_container() {
    if !has(&["ci-base:local"]) {
        return;
    }
    let project = Project::of_jobs(
        r#"
  a:
    runs-on: ubuntu-latest
    container: {image: 'ci-base:local', env: {GIVEN: '${{ secrets.TOKEN }}', OTHER: plain-value}}
    steps:
      - {run: 'test "${#GIVEN}" = 15 && test "$OTHER" = plain-value && exit 3'}"#,
    );
    let mut command = project.command(&["run", "--trust", "--secret", "TOKEN"]);
    command.env("TOKEN", "hunter2-hunter2").env("CUELIGHT_LOG", "trace");
    let said = command.output().expect("starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("exit code 3"), "{text}");
    assert!(!String::from_utf8_lossy(&project.everything_written()).contains("hunter2"));
    let image = format!("cuelight-kept:{}-a", project.run_id());
    let kept = docker(&["image", "inspect", &image]).expect("it is kept");
    let history = docker(&["history", "--no-trunc", &image]).expect("it has a history");
    assert!(!kept.contains("hunter2") && !kept.contains("GIVEN") && !kept.contains("plain-value"), "{kept}");
    assert!(!history.contains("hunter2"), "{history}");
    let _ = docker(&["image", "rm", &image]);
}
