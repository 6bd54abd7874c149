//! Files of the state folder that a step on this machine has replaced. No command may wait for them or follow them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::bounded;
use crate::project::{Project, copy};

/// Entries that a step may put in the place of a file.
const REPLACEMENTS: [&str; 5] = ["fifo", "zero", "link", "sparse", "folder"];

fn replace(path: &Path, by: &str) {
    let _ = fs::remove_file(path);
    match by {
        "fifo" => assert!(Command::new("mkfifo").arg(path).status().expect("starts").success()),
        "zero" => symlink("/dev/zero", path).expect("linked"),
        "link" => symlink(path.with_file_name("private"), path).expect("linked"),
        "sparse" => fs::File::create(path).and_then(|file| file.set_len(300 << 30)).expect("made"),
        _ => fs::create_dir(path).expect("made"),
    }
    fs::write(path.with_file_name("private"), "private-text\n").expect("written");
}

/// Returns the regular files below a folder, without workspaces.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("read").flatten() {
        let kind = entry.file_type().expect("there");
        if kind.is_dir() && entry.file_name() != "work" {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

#[test]
fn no_command_waits_for_or_follows_what_stands_in_the_place_of_a_file() {
    let project = Project::of_jobs(
        "\n  a: {runs-on: ubuntu-latest, steps: [{run: 'echo hello; echo \"# hi\" >> $GITHUB_STEP_SUMMARY'}]}",
    );
    project.run(&[]).expect(0, &[]);
    // A run in Docker has this file.
    fs::write(project.run_folder().join("engine"), "unix:///nowhere").expect("written");
    let (state, whole) = (project.state(), project.home().join("whole"));
    copy(&state, &whole);
    let mut all = Vec::new();
    files(&state, &mut all);
    assert!(all.len() >= 10, "{all:?}");
    for (number, path) in all.iter().enumerate() {
        // Each file is replaced by two of the five entries, and files that every command reads by all of them.
        let often = ["run.json", "events.jsonl", "lock", "engine"].iter().any(|name| path.ends_with(name));
        for by in REPLACEMENTS.iter().cycle().skip(number).take(if often { 5 } else { 2 }) {
            replace(path, by);
            for command in [&["runs"][..], &["show"], &["logs"], &["attach"], &["cancel", "latest"], &["rerun"]] {
                let said = bounded(&project, command);
                let shown = format!("{command:?} with a {by} for {}: {}", path.display(), said.text());
                assert!(!said.text().contains("private-text") && !said.text().contains("panicked"), "{shown}");
                assert!(said.0.status.code().is_some(), "{shown}");
            }
            fs::remove_dir_all(&state).expect("removed");
            copy(&whole, &state);
        }
    }
    replace(&project.run_folder().join("events.jsonl"), "fifo");
    bounded(&project, &["clean", "--all"]);
}

/// Source files that open other files by their path, and the reason why a step cannot create these.
const OPEN_BY_PATH: [(&str, &str); 9] = [
    ("config/mod.rs", "the user's settings"),
    ("engine/sandbox/docker/address.rs", "Docker's settings of the user"),
    ("engine/sandbox/docker/forward.rs", "of the kernel"),
    ("engine/sandbox/host.rs", "of the kernel"),
    ("engine/tools/venv.rs", "in a folder that was made just before, after a look at the source"),
    ("launch/demo/mod.rs", "in the folder of the demo"),
    ("rollout/ledger.rs", "of the kernel"),
    ("rollout/shell.rs", "of the kernel"),
    ("worker/control.rs", "a folder"),
];

#[test]
fn the_source_opens_files_by_their_path_in_few_places() {
    let opens = ["fs::read(", "fs::read_to_string(", "fs::write(", "fs::copy(", "File::open(", "File::create("];
    let code = |text: &str| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    let is_known = |file: &str| OPEN_BY_PATH.iter().any(|(known, _)| *known == file);
    let is_other = |file: &str| {
        file.starts_with("files/") || file.contains("test") || file.ends_with("attacks.rs") || is_known(file)
    };
    for (file, text) in crate::source::texts().into_iter().filter(|(file, _)| !is_other(file)) {
        let found = code(&text).lines().find(|line| opens.iter().any(|open| line.contains(open))).map(str::to_owned);
        assert_eq!(found, None, "{file}: `crate::files` opens what may have been replaced");
    }
}
