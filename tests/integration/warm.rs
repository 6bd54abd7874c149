//! Jobs that start with the dependency folders of earlier runs. The state folder is on a mounted image of a file system
//! that can clone files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::docker::{docker, has, skip_even_in_ci};
use crate::project::{Project, until};
use crate::survival::{kill, worker_of};

/// Size of the file system: XFS needs at least 300 MB.
const SIZE: u64 = 400 << 20;

/// A mounted file system in a file. It is unmounted on drop. Not every machine may mount file systems, not even for
/// automated checks.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts a new file system. The test is skipped if the program that makes the file system or the right to mount is
    /// missing.
    fn new(kind: &str, place: &Path) -> Option<Self> {
        let image = place.with_extension(kind);
        File::create(&image).and_then(|file| file.set_len(SIZE)).expect("made");
        fs::create_dir_all(place).expect("made");
        let made = as_root(&[&format!("mkfs.{kind}"), "-q", &image.to_string_lossy()]);
        let place_text = place.to_string_lossy();
        if !made || !as_root(&["mount", "-o", "loop", &image.to_string_lossy(), &place_text]) {
            skip_even_in_ci(&format!("no {kind} file system can be made and mounted here"));
            return None;
        }
        let mounted = Self(place.to_owned());
        assert!(as_root(&["chmod", "0777", &place_text]));
        Some(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A worker may still move a folder.
        let unmounted = as_root(&["umount", &self.0.to_string_lossy()]);
        if !unmounted {
            as_root(&["umount", "--lazy", &self.0.to_string_lossy()]);
        }
    }
}

fn as_root(words: &[&str]) -> bool {
    let words = if rustix::process::geteuid().is_root() { words.to_vec() } else { [&["sudo", "-n"], words].concat() };
    Command::new(words[0]).args(&words[1..]).output().is_ok_and(|done| done.status.success())
}

/// Runs the workflow, waits until the worker has ended, and returns the log of the checkout.
#[track_caller]
fn run(project: &Project, args: &[&str], code: i32) -> String {
    project.run(args).expect(code, &[]);
    project.call(&["attach"]);
    let id = project.show()["id"].as_str().expect("an id").to_owned();
    let lock = File::open(project.state().join("runs").join(&id).join("lock")).expect("a lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared).expect("the worker has ended");
    project.call(&["logs", &id]).out()
}

const NODE: &str = "
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          cat node_modules/made-by 2> /dev/null || echo cold
          test ! -e node_modules || test \"$(readlink node_modules/.bin/tool)\" = ../tool/main
          test ! -e node_modules || test -x node_modules/tool/main
          test ! -e node_modules || test \"$(stat -c %Y node_modules/tool/main)\" = 1000000000
          mkdir -p node_modules/.bin node_modules/tool
          echo made-by-$GITHUB_RUN_NUMBER > node_modules/made-by
          echo code > node_modules/tool/main
          touch -d @1000000000 node_modules/tool/main
          chmod +x node_modules/tool/main
          ln -sf ../tool/main node_modules/.bin/tool
          test ! -e fail
";

fn starts_warm_on(kind: &str) {
    let project = Project::of_jobs(NODE);
    project.write("package-lock.json", "{}");
    project.write(".gitignore", "node_modules\n");
    project.commit();
    let Some(_mounted) = Mounted::new(kind, &project.state()) else { return };
    let log = run(&project, &[], 0);
    assert!(log.contains("cold") && !log.contains("Warm start"), "{log}");
    let log = run(&project, &[], 0);
    assert!(log.contains("made-by-1\n"), "{log}");
    let line = "Warm start: node_modules (3 files, 0.0 MB) comes from run 20";
    assert!(log.contains(line) && log.contains("because package-lock.json is the same."), "{log}");

    // A run that fails leaves nothing to later ones.
    project.write("fail", "");
    assert!(run(&project, &[], 1).contains("made-by-2\n"));
    fs::remove_file(project.root().join("fail")).expect("removed");
    assert!(run(&project, &[], 0).contains("made-by-2\n"));

    // A job with other lock files does not use the stored folder.
    project.write("package-lock.json", "{\"packages\": {}}");
    let log = run(&project, &[], 0);
    assert!(log.contains("cold") && !log.contains("Warm start"), "{log}");
    project.write("package-lock.json", "{}");
    assert!(run(&project, &[], 0).contains("made-by-4\n"));

    // A cold run leaves its folder to later ones.
    let log = run(&project, &["--no-warm-start"], 0);
    assert!(log.contains("cold") && !log.contains("Warm start"), "{log}");
    assert!(run(&project, &[], 0).contains("made-by-7\n"));

    // Warm starts can be turned off in the settings, and `clean` removes entries beyond the limits.
    let off =
        project.command(&["run", "--trust"]).env("CUELIGHT_WARM_START_ENABLED", "false").output().expect("starts");
    assert!(String::from_utf8_lossy(&off.stdout).contains("cold"), "{off:?}");
    let folders = || entries(&project.state().join("warm")).len();
    assert_eq!(folders(), 2);
    for entry in entries(&project.state().join("warm")) {
        let old = std::time::SystemTime::UNIX_EPOCH;
        File::options().append(true).open(entry).and_then(|file| file.set_modified(old)).expect("set");
    }
    project.call(&["clean"]).expect(0, &[]);
    assert_eq!(folders(), 0);
}

/// Returns the descriptions of the stored folders.
fn entries(warm: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let stores = below(warm).flat_map(|store| below(&store).collect::<Vec<_>>());
    stores.map(|entry| entry.join("entry.json")).filter(|file| file.is_file()).collect()
}

#[test]
fn a_resumed_job_hashes_the_files_without_the_folders_it_started_with() {
    let gate = tempfile::tempdir().expect("a folder");
    let gate = gate.path().join("open");
    let project = Project::of_jobs(&format!(
        "
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo \"before ${{{{ hashFiles('**/*.js') }}}}\"
      - run: mkdir -p node_modules && touch node_modules/made.js
      - run: echo waits; while [ ! -e '{}' ]; do sleep 0.1; done
      - run: echo \"after ${{{{ hashFiles('**/*.js') }}}}\"
",
        gate.display()
    ));
    project.write("own.js", "");
    project.write("package-lock.json", "{}");
    project.commit();
    let Some(_mounted) = Mounted::new("btrfs", &project.state()) else { return };
    fs::write(&gate, "").expect("written");
    run(&project, &[], 0);
    fs::remove_file(&gate).expect("removed");
    project.run(&["--detach"]).expect(0, &[]);
    until("the step waits", || project.call(&["logs"]).out().contains("waits\n").then_some(()));
    let id = project.show()["id"].as_str().expect("an id").to_owned();
    kill(worker_of(&id));
    fs::write(&gate, "").expect("written");
    project.call(&["resume", "--trust"]).expect(0, &[]);
    let log = project.call(&["logs", &id]).out();
    assert!(log.contains("Warm start: node_modules"), "{log}");
    let hash = |name: &str| {
        let mut lines = log.lines().filter_map(|line| line.trim_start().strip_prefix(name));
        lines.next_back().unwrap_or_else(|| panic!("no `{name}` in {log}")).to_owned()
    };
    assert_eq!(hash("before "), hash("after "));
}

#[test]
fn jobs_start_with_the_dependencies_of_the_last_success_on_btrfs() {
    starts_warm_on("btrfs");
}

#[test]
fn jobs_start_with_the_dependencies_of_the_last_success_on_xfs() {
    starts_warm_on("xfs");
}

#[test]
fn a_virtual_environment_works_in_the_workspace_of_another_run() {
    let project = Project::of_jobs(
        "
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          test -e .venv && .venv/bin/tool && grep -q \"$PWD\" .venv/pyvenv.cfg && echo warm && exit
          mkdir -p .venv/bin
          echo \"command = python -m venv $PWD/.venv\" > .venv/pyvenv.cfg
          printf '#!%s/.venv/bin/sh\\necho it runs\\n' \"$PWD\" > .venv/bin/tool
          chmod +x .venv/bin/tool
          ln -s \"$GITHUB_WORKSPACE/shell\" .venv/bin/sh
          ln -s /bin/sh shell
          .venv/bin/tool
      - run: ln -sf /bin/sh shell
",
    );
    project.write("poetry.lock", "");
    project.commit();
    let Some(_mounted) = Mounted::new("btrfs", &project.state()) else { return };
    run(&project, &[], 0);
    // The interpreter of the stored environment is a file in the workspace that only the steps create, so this checkout
    // must bring it.
    project.write("shell", "");
    fs::remove_file(project.root().join("shell")).expect("removed");
    std::os::unix::fs::symlink("/bin/sh", project.root().join("shell")).expect("linked");
    let log = run(&project, &[], 0);
    assert!(log.contains("it runs\n") && log.contains("warm\n"), "{log}");
}

#[test]
fn a_job_in_a_container_starts_warm_and_links_lead_nowhere() {
    if !has(&["busybox:stable"]) {
        return;
    }
    let project = Project::of_jobs(
        "
  test:
    runs-on: ubuntu-latest
    container: busybox:stable
    steps:
      - uses: actions/checkout@v4
      - run: |
          cat node_modules/made-by || true
          mkdir -p node_modules web
          echo made-by-$GITHUB_RUN_NUMBER > node_modules/made-by
          rm -rf web/node_modules
          ln -s /etc web/node_modules
          ln -sf /etc/passwd node_modules/outside
",
    );
    for name in ["package-lock.json", "web/package-lock.json"] {
        project.write(name, "{}");
    }
    project.commit();
    let Some(_mounted) = Mounted::new("xfs", &project.state()) else { return };
    // An engine in another mount namespace does not see the file system.
    fs::write(project.state().join("mark"), "").expect("written");
    let seen = format!("{}:/seen", project.state().display());
    if docker(&["run", "--rm", "-v", &seen, "busybox:stable", "test", "-e", "/seen/mark"]).is_none() {
        return skip_even_in_ci("the engine does not see file systems that the tests mount");
    }
    run(&project, &[], 0);
    let log = run(&project, &[], 0);
    assert!(log.contains("made-by-1"), "{log}");
    // The link in place of a folder was not stored, and the one in a folder is still a link.
    assert_eq!((log.matches("Warm start").count(), entries(&project.state().join("warm")).len()), (1, 1), "{log}");
}

#[test]
fn the_reason_for_cold_starts_is_logged_once() {
    let project = Project::of_jobs(NODE);
    project.write("package-lock.json", "{}");
    project.commit();
    let first = run(&project, &[], 0);
    if !first.contains("cannot clone files") {
        return skip_even_in_ci("the file system of the tests can clone files");
    }
    assert!(first.contains("Btrfs and XFS can."), "{first}");
    let second = run(&project, &[], 0);
    assert!(second.contains("cold") && !second.contains("cannot clone files"), "{second}");
}
