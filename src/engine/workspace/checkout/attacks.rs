//! What a repository that was not made by git, or one that holds git, may try through a checkout.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;

use super::git_folder::Objects;
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
    // No disk has the place for its copy.
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
    // A job on this machine reads them anyway.
    case.check_out(&request(Objects::Linked, &[])).expect("linked");
    // By a link in place of the repository's objects, and through a chain.
    fs::remove_file(own.join("info/alternates")).expect("there");
    case.repository("middle", "file");
    case.write("middle/.git/objects/info/alternates", &format!("{}\n", other.display()));
    borrow(&case.at("middle/.git/objects"));
    refused(&[case.at("middle")]);
    fs::remove_dir_all(&own).expect("removed");
    symlink(&other, &own).expect("linked");
    refused(&[]);
}
