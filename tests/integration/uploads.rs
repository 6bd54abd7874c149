//! Artifacts and caches that a person adds by hand: clients of npm download and restore them.

use std::fs;

use serde_json::Value;

use crate::held::wait_held;
use crate::project::{Project, until};
use crate::results::{libraries, project};

#[test]
fn an_artifact_that_a_person_adds_is_downloaded_by_a_later_attempt() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  a:
    runs-on: ubuntu-latest
    steps:
      - {if: github.run_attempt == 2, TRY by-hand artifact}}
      - {if: github.run_attempt == 2, TRY by-hand artifact-2}}
";
    let project = project(npm, "push", jobs);
    for (name, text) in [("out/report.txt", "passed"), ("out/deep/data.txt", "data"), ("out/.hidden", "x")] {
        project.write(name, text);
    }
    project.run(&[]).expect(0, &[]);
    let upload = |args: &[&str]| project.call(&[&["artifacts", "upload", "latest"], args].concat());
    upload(&["dist", "none"]).expect(2, &["/none: "]);
    upload(&["a/b", "out"]).expect(2, &["`a/b` cannot be the name of an artifact"]);
    upload(&["dist", "out/deep"]).expect(0, &["dist", "1 artifact"]);
    upload(&["dist", "out"]).expect(2, &["has an artifact `dist` already: --overwrite replaces it"]);
    let added: Value = serde_json::from_str(&upload(&["dist", "out", "--overwrite", "--json"]).out()).expect("JSON");
    assert!(added["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{added}");
    assert_eq!(project.call(&["artifacts", "latest", "--json"]).out().lines().count(), 1, "the other one is replaced");
    project.call(&["rerun", "latest", "--trust"]).expect(0, &["ok by-hand artifact", "ok by-hand artifact-2"]);
    let into = project.root().join("into");
    project.call(&["artifacts", "latest", "--download", "dist", "--dir", "into"]).expect(0, &["dist.zip"]);
    assert!(into.join("dist.zip").exists());
}

#[test]
fn an_artifact_is_added_while_a_step_is_held_and_a_later_step_downloads_it() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  a:
    runs-on: ubuntu-latest
    steps:
      - {TRY own artifact}}
      - run: test -e ../../go
      - {if: always(), TRY by-hand artifact}}
";
    let project = project(npm, "push", jobs);
    project.write("out/report.txt", "passed");
    project.write("out/deep/data.txt", "data");
    let run = project.run(&["--on-failure", "hold", "--detach"]).out().trim().to_owned();
    wait_held(&project);
    project.call(&["artifacts", "upload", &run, "dist", "out"]).expect(0, &["dist"]);
    project.call(&["held", "continue", &run]).expect(0, &[]);
    until("the run ends", || (project.show()["finished"] != Value::Null).then_some(()));
    project.call(&["logs", &run]).expect(0, &["ok own artifact", "ok by-hand artifact"]);
    let listed = project.call(&["artifacts", &run, "--json"]).out();
    let ids: Vec<u64> =
        listed.lines().filter_map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_u64()).collect();
    assert_eq!(ids, [1, 2], "{listed}");
}

#[test]
fn a_cache_that_a_person_adds_is_restored_by_steps_with_the_same_paths() {
    let Some(npm) = libraries() else { return };
    let jobs = "
  a:
    runs-on: ubuntu-latest
    steps:
      - {TRY cached cache}}
      - {TRY cached cache-4, v1: yes}}
";
    let project = project(npm, "push", jobs);
    for (name, text) in [("deps/a.txt", "a"), ("deps/deep/b.txt", "b"), ("lock", "1")] {
        project.write(name, text);
    }
    let upload = |args: &[&str]| project.call(&[&["cache", "upload"], args].concat());
    upload(&["deps-1", "none"]).expect(2, &["none of the paths exists"]);
    upload(&["deps-1", "**/deps"]).expect(2, &["`**/deps` is a pattern"]);
    upload(&["a,b", "deps"]).expect(2, &["it contains a comma"]);
    upload(&["deps-1", "deps", "--remote"]).expect(2, &["only to the cache of the current folder's repository"]);
    upload(&["deps-1", "deps", "lock", "none"]).expect(0, &["note: none does not exist", "deps-1", "refs/heads/"]);
    upload(&["deps-1", "deps", "lock", "none"]).expect(2, &["already: `cuelight cache delete deps-1` removes it"]);
    // Another branch and another compression are other entries.
    upload(&["deps-1", "deps", "lock", "none", "--ref", "topic"]).expect(0, &["refs/heads/topic"]);
    upload(&["deps-1", "deps", "lock", "none", "--compression", "gzip"]).expect(0, &["deps-1"]);
    for name in ["deps", "lock"] {
        let path = project.root().join(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
    }
    project.run(&[]).expect(0, &["ok cached cache", "ok cached cache-4"]);
    assert_eq!(project.call(&["cache", "--json"]).out().lines().count(), 3);
}

#[test]
fn the_files_of_a_cache_entry_are_downloaded_into_a_new_folder() {
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
    project.write("deps/a.txt", "a");
    let call = |args: &[&str]| project.call(&[&["cache"], args].concat());
    let added = call(&["upload", "deps-1", "deps"]);
    added.expect(0, &["deps-1", "used 2"]);
    assert!(!added.out().contains("1970"), "{}", added.out());
    call(&["upload", "deps-1", "deps", "--ref", "topic"]).expect(0, &[]);

    let into = project.home().join("into");
    let dir = into.to_str().expect("text");
    let topic = ["download", "deps-1", "--ref", "topic", "--dir", dir];
    call(&topic).expect(0, &["into/deps-1"]);
    assert_eq!(fs::read_to_string(into.join("deps-1/deps/a.txt")).expect("read"), "a");
    call(&topic).expect(2, &["into/deps-1 exists already"]);
    call(&["download", "deps-1", "--dir", dir, "--archive"])
        .expect(0, &["into/deps-1.tar.", "the newest of 2 entries"]);
    call(&["download", "deps"]).expect(3, &["no cache entry `deps`"]);
    call(&["download", "deps-1", "--remote"]).expect(2, &["cannot be downloaded"]);
}
