//! Clocks, parallel starts and damaged folders. `latest` must be the newest run, and no id or number may be assigned
//! twice.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bounded;
use crate::project::{Project, Said, until};

const QUICK: &str =
    "\n  a: {runs-on: ubuntu-latest, steps: [{run: 'echo id=$GITHUB_RUN_ID number=$GITHUB_RUN_NUMBER'}]}";

fn ids(project: &Project) -> Vec<String> {
    let said = project.call(&["runs", "--json"]);
    let lines = said.out();
    let runs = lines.lines().flat_map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        value.as_array().cloned().unwrap_or_else(|| vec![value])
    });
    runs.map(|run| run["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn of_runs_within_one_second_latest_is_the_newest() {
    let project = Project::of_jobs(QUICK);
    for number in 1..=10 {
        project.run(&["--detach"]).expect(0, &[]);
        let latest = project.show();
        assert_eq!(latest["run_number"].as_u64().or(latest["number"].as_u64()).unwrap_or(number), number, "{latest}");
        let newest = ids(&project).into_iter().next();
        assert_eq!(latest["id"].as_str().map(str::to_owned), newest);
    }
    let listed = ids(&project);
    let mut sorted = listed.clone();
    sorted.sort_by(|a, b| b.cmp(a));
    assert_eq!(listed, sorted);
}

#[test]
fn parallel_starts_share_no_id_and_no_number() {
    let project = Project::of_jobs(QUICK);
    project.call(&["trust"]);
    project.run(&[]).expect(0, &[]);
    let children: Vec<_> = (0..8)
        .map(|_| project.command(&["run"]).stdout(std::process::Stdio::piped()).spawn().expect("starts"))
        .collect();
    let said: Vec<_> = children.into_iter().map(|child| child.wait_with_output().expect("ends")).collect();
    let lines: BTreeSet<_> = said
        .iter()
        .map(|said| {
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            let line =
                text.lines().find(|line| line.contains("id=") && line.contains("number=") && !line.contains('$'));
            line.unwrap_or_else(|| panic!("{text}")).trim().to_owned()
        })
        .collect();
    let part = |name: &str| -> BTreeSet<String> {
        let value = |line: &String| line.split(' ').find_map(|word| word.split_once(name)).expect("there").1.to_owned();
        lines.iter().map(value).collect()
    };
    assert_eq!((part("id=").len(), part("number=").len(), ids(&project).len()), (8, 8, 9), "{lines:?}");
}

#[test]
fn lists_that_are_read_meanwhile_stop_no_start() {
    let project = Project::of_jobs(QUICK);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    project.call(&["runs"]).expect(0, &[]);
                }
            });
        }
        for _ in 0..20 {
            let said = project.run(&["--detach"]);
            if said.code() != 0 {
                ended.store(true, Ordering::Relaxed);
            }
            said.expect(0, &[]);
        }
        ended.store(true, Ordering::Relaxed);
    });
    // A run that was mistaken for a lost one would have failed.
    until("all have passed", || {
        let listed = project.call(&["runs", "--json"]).out();
        assert!(!listed.contains("\"failure\""), "{listed}");
        (listed.matches("\"success\"").count() == 20).then_some(())
    });
}

#[test]
fn damaged_folders_are_listed_as_damaged_and_are_never_latest() {
    let project = Project::of_jobs(QUICK);
    project.run(&[]).expect(0, &[]);
    let good = project.run_folder();
    let runs = good.parent().expect("runs").to_owned();
    let copy = |name: &str| {
        let folder = runs.join(name);
        fs::create_dir(&folder).expect("made");
        for file in ["run.json", "events.jsonl"] {
            fs::copy(good.join(file), folder.join(file)).expect("copied");
        }
        folder
    };
    fs::create_dir(runs.join("29990101-000000-0001")).expect("made");
    fs::remove_file(copy("29990101-000000-0002").join("run.json")).expect("removed");
    fs::write(copy("29990101-000000-0003").join("run.json"), "{\"version\": 2, \"id\"").expect("written");
    fs::write(copy("29990101-000000-0004").join("run.json"), "").expect("written");
    let good = good.file_name().expect("a name").to_string_lossy().into_owned();
    for command in [&["show"][..], &["logs"], &["attach"], &["explain"]] {
        let said = bounded(&project, command);
        assert!(!said.text().contains("29990101"), "{command:?}: {}", said.text());
    }
    assert_eq!(project.show()["id"], good.as_str());
    project.call(&["runs"]).expect(0, &["29990101-000000-0002", "29990101-000000-0003", "29990101-000000-0004"]);
    project.call(&["show", "29990101-000000-0003"]).expect(5, &["is damaged"]);
    project.run(&[]).expect(0, &[]);
}

#[test]
fn a_clock_that_is_set_back_changes_no_order() {
    let library = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1"];
    let Some(library) = library.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        crate::docker::skip("libfaketime is not here");
        return;
    };
    let project = Project::of_jobs(QUICK);
    let mut started = Vec::new();
    for offset in ["+0", "-1h", "-20y", "+1h", "-3d"] {
        let mut command: Command = project.command(&["run", "--trust", "--detach"]);
        command.env("LD_PRELOAD", library).env("FAKETIME", offset);
        // A person sets the wall clock. If the monotonic clock changed too, every wait of the process would be wrong.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        Said(command.output().expect("starts")).expect(0, &[]);
        let newest = until("it is listed", || ids(&project).into_iter().find(|id| !started.contains(id)));
        assert_eq!(ids(&project).first(), Some(&newest), "{offset}");
        started.push(newest);
    }
}
