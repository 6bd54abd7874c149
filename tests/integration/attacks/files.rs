//! Files of a repository that never end, never begin, or do not fit into memory.

use std::fs;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::project::Project;

const GOOD: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n";

/// Maximum time for reading a file. Reading an endless file takes longer, and more memory than there is.
const LIMIT: Duration = Duration::from_mins(1);

/// Creates a trap at a path.
type Trap = fn(&Path);

/// Traps in place of a file, each with the message about it.
const TRAPS: [(&str, Trap); 4] = [
    ("a link that is absolute or leads out of", |path| symlink("/dev/zero", path).expect("linked")),
    ("a FIFO, not a regular file", |path| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo starts");
        assert!(made.success());
    }),
    ("larger than the limit", |path| {
        File::create(path).and_then(|file| file.set_len(300 << 30)).expect("made");
    }),
    ("symbolic links", |path| symlink(path.file_name().expect("a name"), path).expect("linked")),
];

/// Runs the program with little memory. Returns its exit code and output.
fn call(project: &Project, args: &[&str]) -> (Option<i32>, String) {
    let mut command = project.command(args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let started = Instant::now();
    while child.try_wait().expect("waits").is_none() {
        if started.elapsed() > LIMIT {
            child.kill().expect("killed");
            panic!("`{}` does not end", args.join(" "));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let done = child.wait_with_output().expect("it has ended");
    (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

#[track_caller]
fn refused(project: &Project, args: &[&str], expected: i32, words: &[&str]) {
    let (code, text) = call(project, args);
    assert_eq!(code, Some(expected), "`{}`: {text}", args.join(" "));
    for word in words {
        assert!(text.contains(word), "`{}`: `{word}` is not in:\n{text}", args.join(" "));
    }
}

fn replaced(project: &Project, name: &str, trap: Trap) -> PathBuf {
    let path = project.root().join(name);
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    trap(&path);
    path
}

#[test]
fn a_workflow_that_is_no_file_is_refused_in_words() {
    let project = Project::new(GOOD);
    project.call(&["trust"]).expect(0, &[]);
    for (reason, trap) in TRAPS {
        replaced(&project, ".github/workflows/ci.yml", trap);
        let looks: [&[&str]; 7] = [
            &["lint"],
            &["lint", ".github/workflows/ci.yml"],
            &["plan"],
            &["plan", "ci"],
            &["run"],
            &["run", "ci"],
            &["run", "ci.yml", "--trust"],
        ];
        for args in looks {
            refused(&project, args, 3, &["ci.yml", reason]);
        }
    }
}

#[test]
fn a_link_out_of_the_repository_shows_no_line_of_its_target() {
    let project = Project::new(GOOD);
    project.call(&["trust"]).expect(0, &[]);
    let outer = project.home().join("outer");
    fs::write(&outer, "on: push\nsecret: [very\n").expect("written");
    let above = outer.parent().and_then(|above| above.parent()).expect("folders");
    let absolute: &dyn Fn(&Path) = &|path| symlink(&outer, path).expect("linked");
    let through_a_folder: &dyn Fn(&Path) = &|path| {
        let _ = fs::remove_file(project.root().join("up"));
        symlink(above, project.root().join("up")).expect("linked");
        let below = outer.strip_prefix(above).expect("below");
        symlink(Path::new("../../up").join(below), path).expect("linked");
    };
    for trap in [absolute, through_a_folder] {
        let path = project.root().join(".github/workflows/ci.yml");
        fs::remove_file(&path).expect("there");
        trap(&path);
        let looks: [&[&str]; 9] = [
            &["lint"],
            &["lint", "--format", "json"],
            &["lint", ".github/workflows/ci.yml"],
            &["plan"],
            &["plan", "ci"],
            &["plan", "ci", "--format", "json"],
            &["run", "ci", "--trust"],
            &["run"],
            &["explain", "ci"],
        ];
        for args in looks {
            let (code, text) = call(&project, args);
            assert!(!matches!(code, None | Some(0 | 101)), "`{}` ended with {code:?}: {text}", args.join(" "));
            assert!(!text.contains("very"), "`{}`: {text}", args.join(" "));
        }
        for args in [&["lint"][..], &["plan", "ci"], &["run", "ci", "--trust"]] {
            refused(&project, args, 3, &["ci.yml", "a link that is absolute or leads out of"]);
        }
        // The settings are another such file.
        let settings = project.root().join(".cuelight.toml");
        symlink(&outer, &settings).expect("linked");
        for args in [&["config"][..], &["run", "ci", "--trust"], &["trust"], &["env"]] {
            refused(&project, args, 2, &[".cuelight.toml", "a link that is absolute or leads out of"]);
            assert!(!call(&project, args).1.contains("very"));
        }
        fs::remove_file(&settings).expect("there");
    }
}

#[test]
fn settings_that_are_no_file_are_refused_in_words() {
    let project = Project::new(GOOD);
    for (reason, trap) in TRAPS {
        replaced(&project, ".cuelight.toml", trap);
        for (args, code) in [(&["config"][..], 2), (&["run", "ci", "--trust"], 2), (&["doctor"], 1), (&["trust"], 2)] {
            refused(&project, args, code, &[".cuelight.toml", reason]);
        }
    }
}

#[test]
fn called_workflows_and_actions_that_are_no_files_end_nothing() {
    let text = "on: push\njobs:\n  a: {uses: ./.github/workflows/called.yml}\n  b: {runs-on: ubuntu-latest, steps: [{uses: ./act}]}\n";
    let project = Project::new(text);
    for (_, trap) in TRAPS {
        replaced(&project, ".github/workflows/called.yml", trap);
        replaced(&project, "act/action.yml", trap);
        for args in [&["lint"][..], &["plan", "ci"], &["run", "ci"], &["trust", "--ask"]] {
            let (code, text) = call(&project, args);
            assert!(!matches!(code, None | Some(101)), "`{}` ended with {code:?}: {text}", args.join(" "));
        }
    }
}

#[test]
fn git_links_that_are_no_files_are_not_read() {
    let project = Project::new(GOOD);
    fs::remove_dir_all(project.root().join(".git")).expect("removed");
    for (_, trap) in TRAPS {
        replaced(&project, ".git", trap);
        let (code, text) = call(&project, &["run", "ci"]);
        assert!(!matches!(code, None | Some(0 | 101)), "{code:?}: {text}");
    }
}

#[test]
fn files_of_a_repository_are_read_in_one_place() {
    // Number of times that each source file may read a file of the program itself, or a file that a person names.
    const ALLOWED: [(&str, usize); 4] =
        [("launch/demo/mod.rs", 1), ("cli/run/follow.rs", 1), ("config/mod.rs", 1), ("launch/trust/mod.rs", 1)];
    let rooms = ["backend/", "cli/", "config/", "launch/", "repo/"];
    let reads = ["fs::read(", "fs::read_to_string(", "File::open("];
    for (file, text) in crate::source::texts() {
        if !rooms.iter().any(|room| file.starts_with(room))
            || file.ends_with("tests.rs")
            || file.contains("/tests/")
            || file.ends_with("testing.rs")
        {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let count: usize = reads.iter().map(|read| code.matches(read).count()).sum();
        let allowed = ALLOWED.iter().find(|(name, _)| *name == file).map_or(0, |(_, count)| *count);
        assert!(
            count <= allowed,
            "{file} reads {count} files by itself: files of a repository go through crate::files"
        );
    }
}
