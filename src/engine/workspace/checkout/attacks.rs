//! Attacks on a checkout by a crafted repository, or by a repository that blocks git.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::files::{Target, copy_files};
use super::git_folder::{Objects, Origin, add_submodule};
use super::{Abort, CheckedOut, CheckoutError, Request, Submodules, check_out};
use crate::repo::git::git;

/// A repository, and folders beside it.
struct Case {
    home: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self { home: tempfile::tempdir().expect("a folder") };
        case.repository("from", "file");
        case
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).expect("written");
    }

    /// Creates a repository with one file, and returns its commit.
    fn repository(&self, name: &str, file: &str) -> String {
        git(self.home.path(), ["init", "-q", "-b", "main", name]).expect("git init");
        self.write(&format!("{name}/{file}"), "text");
        git(&self.at(name), ["add", "."]).expect("git add");
        git(&self.at(name), ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "x"]).expect("git commit");
        git(&self.at(name), ["rev-parse", "HEAD"]).expect("git rev-parse").trim().to_owned()
    }

    fn check_out(&self, request: &Request) -> Result<CheckedOut, CheckoutError> {
        check_out(&self.at("from"), &self.at("w"), request)
    }
}

#[test]
fn an_interrupted_checkout_leaves_the_workspace_as_it_is() {
    let case = Case::new();
    fs::create_dir(case.at("w")).expect("made");
    case.write("w/made", "1");
    let abort = Abort::default();
    abort.set();
    for wanted in [None, Some("main".to_owned())] {
        let request = Request { wanted, abort: abort.clone(), ..Request::default() };
        assert!(matches!(case.check_out(&request), Err(CheckoutError::Interrupted)));
    }
    assert!(case.at("w/made").is_file());
}

#[test]
fn a_checkout_that_copies_a_large_file_is_interrupted() {
    let case = Case::new();
    // The file is larger than any disk that could hold its copy.
    fs::File::create(case.at("from/sparse")).and_then(|file| file.set_len(1 << 42)).expect("made");
    let abort = Abort::default();
    let request = Request { abort: abort.clone(), ..Request::default() };
    thread::scope(|scope| {
        let checkout = scope.spawn(|| case.check_out(&request));
        while !case.at("w/sparse").exists() && !checkout.is_finished() {
            thread::yield_now();
        }
        abort.set();
        checkout.join().expect("no panic").expect_err("interrupted");
    });
}

#[test]
fn a_submodule_elsewhere_on_the_machine_is_left_empty() {
    let case = Case::new();
    let commit = case.repository("private", "secret");
    let entry = format!("160000,{commit},a");
    case.write("from/.gitmodules", "[submodule \"a\"]\n\tpath = a\n\turl = x\n");
    git(&case.at("from"), ["update-index", "--add", "--cacheinfo", &entry]).expect("git update-index");
    fs::create_dir(case.at("from/a")).expect("made");
    case.write("from/a/.git", &format!("gitdir: {}\n", case.at("private/.git").display()));
    let request = Request { submodules: Submodules::Recursive, objects: Objects::Borrowed, ..Request::default() };
    let done = case.check_out(&request).expect("checked out");
    assert!(done.warnings[0].contains("the submodule a is left empty: its git folder"), "{:?}", done.warnings);
    assert!(!case.at("w/a/secret").exists() && !case.at("w/a/.git").exists());
    fs::remove_dir_all(case.at("from/a")).expect("removed");
    symlink("../private", case.at("from/a")).expect("linked");
    let done = case.check_out(&request).expect("checked out");
    assert!(done.warnings[0].contains("the submodule a is left empty: its git folder"), "{:?}", done.warnings);
    assert!(case.at("w/a").is_symlink());
}

#[test]
fn a_list_of_submodules_that_is_a_link_is_not_read() {
    let case = Case::new();
    let commit = case.repository("private", "secret");
    case.write("list", "[submodule \"a\"]\n\tpath = a\n\turl = https://token@example.com/x\n");
    symlink("../list", case.at("from/.gitmodules")).expect("linked");
    git(&case.at("from"), ["update-index", "--add", "--cacheinfo", &format!("160000,{commit},a")]).expect("added");
    let done = case.check_out(&Request { submodules: Submodules::Direct, ..Request::default() }).expect("checked out");
    assert!(done.warnings[0].contains("without an entry in .gitmodules"), "{:?}", done.warnings);
}

#[test]
fn a_container_reads_the_objects_of_another_repository_only_where_the_user_allows_it() {
    let case = Case::new();
    case.repository("private", "secret");
    let (own, other) = (case.at("from/.git/objects"), case.at("private/.git/objects"));
    let borrow =
        |folder: &std::path::Path| case.write("from/.git/objects/info/alternates", &format!("{}\n", folder.display()));
    let request =
        |objects, git_objects: &[PathBuf]| Request { objects, git_objects: git_objects.to_vec(), ..Request::default() };
    let refused = |git_objects: &[PathBuf]| {
        let error = case.check_out(&request(Objects::Borrowed, git_objects)).expect_err("refused").to_string();
        assert!(error.contains(&other.display().to_string()) && error.contains("`docker.git_objects`"), "{error}");
    };
    borrow(&other);
    refused(&[]);
    refused(&[case.at("from"), case.at("elsewhere"), case.at("priv")]);
    for allowed in ["private", "private/.git/objects", ""] {
        case.check_out(&request(Objects::Borrowed, &[case.at(allowed)])).expect(allowed);
    }
    // A job on this machine can read the objects anyway.
    case.check_out(&request(Objects::Linked, &[])).expect("linked");
    // Objects of other repositories are also found through a chain of repositories, and behind a link in place of the
    // objects folder.
    fs::remove_file(own.join("info/alternates")).expect("there");
    case.repository("middle", "file");
    case.write("middle/.git/objects/info/alternates", &format!("{}\n", other.display()));
    borrow(&case.at("middle/.git/objects"));
    refused(&[case.at("middle")]);
    fs::remove_dir_all(&own).expect("removed");
    symlink(&other, &own).expect("linked");
    refused(&[]);
}

/// Puts a FIFO or a link in the place of a file. The second path is a file of the user.
type Trap = fn(&Path, &Path);

const TRAPS: [Trap; 4] = [
    |path, _| {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o600)).expect("made");
    },
    |path, precious| symlink(precious, path).expect("linked"),
    |path, precious| symlink(precious.with_file_name("new"), path).expect("linked"),
    |path, _| symlink("/dev/full", path).expect("linked"),
];

/// Runs work, and panics unless the work ends within a minute.
fn bounded(work: impl FnOnce() + Send + 'static) {
    let (ended, end) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        let _ = ended.send(());
    });
    assert_ne!(end.recv_timeout(Duration::from_mins(1)), Err(mpsc::RecvTimeoutError::Timeout), "it waits");
    worker.join().expect("no panic");
}

#[test]
fn what_a_process_puts_in_the_place_of_a_file_is_neither_written_nor_waited_for() {
    const OF_GIT: [&str; 6] = ["HEAD", "config", "packed-refs", "shallow", "index", "objects/info/alternates"];
    for trap in TRAPS {
        bounded(move || {
            let case = Case::new();
            case.write("precious", "kept");
            let commit = git(&case.at("from"), ["rev-parse", "HEAD"]).expect("git rev-parse");
            case.write("from/.git/shallow", &commit);
            let request = Request { objects: Objects::Borrowed, ..Request::default() };
            let target = Target::open(&case.at("w"), false).expect("made");
            target.git_folder().and_then(|folder| folder.make_folders(Path::new("objects/info"))).expect("made");
            let planted = || {
                for name in OF_GIT {
                    let _ = fs::remove_file(case.at("w/.git").join(name));
                    trap(&case.at("w/.git").join(name), &case.at("precious"));
                }
                let _ = fs::remove_file(case.at("w/file"));
                trap(&case.at("w/file"), &case.at("precious"));
            };
            planted();
            let origin = Origin::of(&case.at("from"), &request).expect("a repository");
            origin.write(&case.at("from"), &target, None, &request).expect("written");
            origin.copy_index(&target, &request.abort).expect("copied");
            let copied = copy_files(&case.at("from"), target.folder(), &["file".into()], &request).expect("copied");
            assert_eq!(copied.files.len(), 1);
            for name in OF_GIT.map(|name| format!(".git/{name}")).iter().map(String::as_str).chain(["file"]) {
                let kind = case.at("w").join(name).symlink_metadata().expect(name).file_type();
                assert!(kind.is_file(), "{name}: {kind:?}");
            }
            planted();
            // `add_submodule` reads the file, too.
            add_submodule(&target, "a", "x").expect_err("refused");
            assert_eq!(fs::read_to_string(case.at("precious")).expect("there"), "kept");
            assert!(!case.at("new").exists());
        });
    }
}

#[test]
fn a_link_in_the_place_of_a_folder_leads_nowhere() {
    let case = Case::new();
    fs::create_dir(case.at("outer")).expect("made");
    let request = Request::default();
    let origin = Origin::of(&case.at("from"), &request).expect("a repository");
    for linked in [".git", ".git/objects", ".git/refs"] {
        let target = Target::open(&case.at("w"), false).expect("made");
        fs::create_dir_all(case.at("w").join(linked).parent().expect("a parent")).expect("made");
        symlink(case.at("outer"), case.at("w").join(linked)).expect("linked");
        let written = origin.write(&case.at("from"), &target, None, &request);
        written.and_then(|()| origin.bring_objects(&target, &request)).expect_err(linked);
        assert_eq!(fs::read_dir(case.at("outer")).expect("there").count(), 0, "{linked}");
    }
    // The same for a link in a folder of the files, and for a link in place of the copy itself.
    let target = Target::open(&case.at("w"), false).expect("made");
    symlink(case.at("outer"), case.at("w/sub")).expect("linked");
    fs::create_dir(case.at("from/sub")).expect("made");
    case.write("from/sub/file", "1");
    copy_files(&case.at("from"), target.folder(), &["sub/file".into()], &request).expect_err("a link");
    fs::rename(case.at("w"), case.at("moved")).expect("moved");
    symlink(case.at("outer"), case.at("w")).expect("linked");
    copy_files(&case.at("from"), target.folder(), &["file".into()], &request).expect("copied to where it was");
    assert!(case.at("moved/file").is_file() && fs::read_dir(case.at("outer")).expect("there").count() == 0);
}
