//! Disks that fill up. The run must end with the reason, its logs must stay, and none of its processes may be left
//! running.

use std::process::{Command, Output};

use crate::docker::skip;
use crate::project::Project;
use crate::survival::until_none;

/// Calls the program with a limit on the size of files. Beyond the limit, writes fail as on a full disk.
pub(super) fn limited(project: &Project, kilobytes: u32, args: &str) -> Output {
    let script = format!("ulimit -f {kilobytes}; exec {} {args}", env!("CARGO_BIN_EXE_cuelight"));
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(project.root());
    let same = project.command(&[]);
    command.envs(same.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().expect("starts")
}

pub(super) fn text(said: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
}

/// Asserts that nothing of the run is left: no process with its state folder, no ballast, no temporary files.
#[track_caller]
pub(super) fn nothing_left(project: &Project) {
    let state = project.state().to_string_lossy().into_owned();
    until_none(|command| command.contains(&state));
    let folder = project.run_folder();
    assert!(!folder.join("ballast").exists() && !folder.join("control.sock").exists());
    assert!(!folder.join("work/a/_temp").exists());
}

#[test]
fn a_log_at_its_limit_ends_the_run_and_what_was_logged_stays() {
    for (step, words) in [
        ("for n in 1 2 3; do echo kept $n; done; yes", "kept 3"),
        ("echo kept; yes | head -c 90000000; sleep 1000", "kept"),
        ("trap '' INT TERM; echo kept; yes & yes & wait", "kept"),
    ] {
        let project =
            Project::of_jobs(&format!("\n  a:\n    runs-on: ubuntu-latest\n    steps: [{{run: \"{step}\"}}]"));
        let said = limited(&project, 1024, "run --trust");
        let text = text(&said);
        assert_eq!(said.status.code(), Some(1), "{text}");
        assert!(text.contains("cannot write") && text.contains("ulimit -f"), "{text}");
        let run = project.show();
        assert_eq!(run["status"], "failure", "{run}");
        assert!(run["reason"].as_str().is_some_and(|reason| reason.contains("cannot write")), "{run}");
        project.call(&["logs"]).expect(0, &[words]);
        nothing_left(&project);
    }
}

#[test]
fn a_worker_whose_own_log_cannot_be_written_goes_on() {
    // The log of the worker already exceeds the limit, so every write to it fails.
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}");
    let script = format!("exec env CUELIGHT_LOG=trace {} run --trust 2>&1", env!("CARGO_BIN_EXE_cuelight"));
    let state = project.state();
    std::fs::create_dir_all(&state).expect("made");
    let mut command = Command::new("bash");
    command.args(["-c", &format!("ulimit -f 64; {script}")]).current_dir(project.root());
    let same = project.command(&[]);
    command.envs(same.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = command.output().expect("starts");
    assert_eq!(said.status.code(), Some(0), "{}", text(&said));
    nothing_left(&project);
}

#[test]
fn a_command_at_the_limit_ends_in_words_and_not_by_a_signal() {
    let project =
        Project::of_jobs(&format!("\n  a: {{runs-on: ubuntu-latest, steps: [{{run: 'true {}'}}]}}", "x".repeat(3000)));
    project.call(&["trust"]);
    for args in ["run", "run --detach", "completions bash > out"] {
        let said = limited(&project, 1, args);
        let text = text(&said);
        assert!(matches!(said.status.code(), Some(1..=9)), "{args}: {:?} {text}", said.status);
        assert!(text.contains("cannot") || text.contains("File too large"), "{args}: {text}");
    }
}

/// Runs a script in a mount namespace in which `$DISK` is a small disk. `None` if that is not allowed.
pub(super) fn on_small_disk(project: &Project, megabytes: u32, script: &str) -> Option<String> {
    let disk = project.root().parent().expect("a parent").join("disk");
    std::fs::create_dir_all(&disk).expect("made");
    let (disk, program) = (disk.display(), env!("CARGO_BIN_EXE_cuelight"));
    let whole = format!(
        "mount -t tmpfs -o size={megabytes}m tmpfs {disk} || exit 99
         export DISK={disk} CUELIGHT_STATE_DIR={disk}/state PATH=\"$(dirname {program}):$PATH\"
         {script}"
    );
    let same = project.command(&[]);
    let ran = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(arguments).args(["bash", "-c", &whole]).current_dir(project.root());
        command.envs(same.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let done = command.env("CUELIGHT_STATE_DIR", "").output().ok()?;
        (done.status.success()).then(|| text(&done))
    };
    let found = ran(&["--mount"]).or_else(|| ran(&["--mount", "--user", "--map-root-user"]));
    if found.is_none() {
        skip("no mount namespace for a small disk is allowed here");
    }
    found
}

#[test]
fn a_full_disk_is_the_reason_of_the_end() {
    for (name, step) in [
        ("a log", "echo kept; yes"),
        ("a log, and processes that do not want to end", "trap '' INT TERM; echo kept; (trap '' INT TERM; yes) & yes"),
        (
            "the workspace",
            "echo kept; cat /dev/zero > big || true; for n in 1 2 3 4 5; do echo more; sleep 0.1; done; yes",
        ),
        (
            "the workspace, again and again",
            "echo kept; while :; do cat /dev/zero >> big; done 2>/dev/null & sleep 0.3; yes",
        ),
        ("many files", "echo kept; n=0; while echo x > f$n 2>/dev/null; do n=$((n+1)); done; yes"),
    ] {
        let project =
            Project::of_jobs(&format!("\n  a:\n    runs-on: ubuntu-latest\n    steps: [{{run: \"{step}\"}}]"));
        let script = "cuelight run --trust > /dev/null 2>&1; echo code $?
            cuelight show --json; cuelight logs | head -n 3; cuelight runs
            echo left $(ls $DISK/state/runs/*/ballast $DISK/state/runs/*/work/a/_temp 2>/dev/null)
            echo processes $(pgrep -f \"worker $DISK\")";
        let Some(said) = on_small_disk(&project, 3, script) else { return };
        for word in ["code 1\n", "\"status\":\"failure\"", "the disk is full", "kept", "left\n", "processes\n"] {
            assert!(said.contains(word), "{name}: `{word}` is not in:\n{said}");
        }
        assert!(!said.contains("worker lost"), "{name}:\n{said}");
    }
}

#[test]
fn a_disk_that_is_full_from_the_beginning_is_refused_in_words() {
    let project = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}");
    let script = "mkdir -p $DISK/state; cat /dev/zero > $DISK/big 2>/dev/null; cuelight run --trust; echo code $?; rm $DISK/big; cuelight run --trust; echo code $?";
    let Some(said) = on_small_disk(&project, 2, script) else { return };
    assert!(said.contains("No space left") && said.contains("code 5\n") && said.contains("code 0\n"), "{said}");
}

#[test]
fn actions_and_workspaces_for_which_there_is_no_space_fail_with_that_reason() {
    let big = |folder: &std::path::Path| {
        // Random blocks, which git cannot compress.
        let mut number = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (number >> 56) as u8
        })
        .take(6_000_000)
        .collect();
        std::fs::write(folder.join("big"), noise).expect("written");
    };
    let action = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{uses: o/n@v1}]}");
    let server = action.home().join("server/o/n");
    std::fs::create_dir_all(&server).expect("made");
    std::fs::write(server.join("action.yml"), "name: n\nruns: {using: composite, steps: []}\n").expect("written");
    big(&server);
    let git = "git init -q; git config uploadpack.allowAnySHA1InWant true; git add -A; git -c user.name=T -c user.email=t@t commit -qm x; git tag v1";
    let made = Command::new("bash").args(["-c", git]).current_dir(&server).status().expect("starts");
    assert!(made.success());
    let address = action.home().join("server");
    action.configure(&format!("[actions]\n\"o/n\" = \"file://{}\"\n", address.display()));
    let workspace = Project::of_jobs("\n  a: {runs-on: ubuntu-latest, steps: [{uses: actions/checkout@v4}]}");
    big(&workspace.root());
    // The reason is that of the step or, if the step fills the disk completely, that of the run.
    for project in [action, workspace] {
        let script = "export XDG_CACHE_HOME=$DISK/cache; cuelight run --trust; echo code $?";
        let Some(said) = on_small_disk(&project, 4, script) else { return };
        assert!(said.contains("the disk is full") && said.contains("code 1\n"), "{said}");
    }
}
