//! Tests of syncs with real repositories.

use std::os::unix::fs::symlink;

use super::*;
use crate::engine::workspace::checkout::{Request, Submodules, check_out};
use crate::repo::git::{git, git_with};

fn sync(note: &Path, repository: &Path, force: bool) -> Result<Changes, SyncError> {
    Checkouts::lock(note)?.ok_or(SyncError::NotCheckedOut)?.sync(repository, force)
}

struct Case {
    home: tempfile::TempDir,
    from: PathBuf,
    to: PathBuf,
}

impl Case {
    /// Checks out a repository with these files into the workspace of a job.
    fn new(files: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::create_dir(&from).expect("made");
        git(&from, ["init", "-q", "-b", "main"]).expect("git init");
        let case = Self { home, from, to };
        for name in files {
            case.user(name, "1");
        }
        let tracked = files.iter().copied().filter(|name| !["gone", "sub/c"].contains(name));
        git(&case.from, ["add", "--"].into_iter().chain(tracked)).expect("git add");
        case.check_out(Source::WorkingTree);
        case
    }

    fn check_out(&self, source: Source) {
        tick();
        self.check_out_now(&self.to, source, false);
        tick();
    }

    /// Checks out into a folder, and does not wait for the clock of the file system.
    fn check_out_now(&self, to: &Path, source: Source, keep_files: bool) {
        self.check_out_during(to, source, keep_files, || ());
    }

    /// Checks out into a folder, and calls `and` before the checkout has ended.
    fn check_out_during(&self, to: &Path, source: Source, keep_files: bool, and: impl FnOnce()) {
        let begun = Begun::now();
        let request = Request { keep_files, submodules: Submodules::Direct, ..Request::default() };
        let files = check_out(&self.from, to, &request).expect("checked out").files;
        and();
        let filled = Filled { begun, folder: to.to_owned(), source, files };
        filled.record(&self.note(), self.home.path(), false, false).expect("noted");
    }

    fn note(&self) -> PathBuf {
        self.home.path().join("state/a.json")
    }

    fn user(&self, name: &str, text: &str) {
        put(&self.from.join(name), text);
    }

    fn job(&self, name: &str, text: &str) {
        put(&self.to.join(name), text);
    }

    fn copy(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.to.join(name)).ok()
    }

    /// Returns the new, changed, deleted and kept files of a sync.
    fn sync(&self, force: bool) -> [String; 4] {
        let Changes { new, changed, deleted, kept } =
            sync(&self.note(), &self.from, force).expect("brought up to date");
        [new, changed, deleted, kept].map(|mut paths| {
            paths.sort();
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        })
    }
}

/// Waits until the clock of the file system has moved on.
fn tick() {
    sleep(2 * TICK);
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
}

fn done(new: &str, changed: &str, deleted: &str, kept: &str) -> [String; 4] {
    [new, changed, deleted, kept].map(str::to_owned)
}

#[test]
fn files_that_changed_after_a_checkout_are_lacking_until_they_are_brought() {
    let case = Case::new(&["a", "b", "c"]);
    case.user("b", "2");
    fs::remove_file(case.from.join("c")).expect("removed");
    let lacking = |end: u64| {
        let checkouts = Checkouts::lock(&case.note()).expect("locked").expect("checked out");
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        checkouts.lacking(&case.from, names, Timestamp(end)).expect("read")
    };
    assert_eq!(lacking(u64::MAX), ["b", "c"]);
    assert_eq!(lacking(0), [""; 0], "the checkout runs again");
    sync(&case.note(), &case.from, false).expect("synced");
    assert_eq!(lacking(u64::MAX), [""; 0], "all were brought");
}

#[test]
fn only_what_the_user_changed_is_brought() {
    let case = Case::new(&["a", "b", "sub/c", "gone", "sub/gone", "run.sh", ".gitignore"]);
    assert_eq!(case.sync(false), done("", "", "", ""));
    case.job("b", "job");
    case.job("made/by/job", "job");
    case.user("a", "2");
    case.user("deep/new/file", "2");
    fs::remove_file(case.from.join("gone")).expect("removed");
    fs::remove_file(case.from.join("sub/gone")).expect("removed");
    fs::set_permissions(case.from.join("run.sh"), Permissions::from_mode(0o755)).expect("set");
    symlink("a", case.from.join("link")).expect("linked");
    case.user(".gitignore", "ignored\nsub/c\n");
    case.user("ignored", "2");
    // The user's file is now ignored, but the copy has it.
    case.user("sub/c", "2");
    let expected = done("deep/new/file link", ".gitignore a run.sh sub/c", "gone sub/gone", "");
    assert_eq!(case.sync(false), expected);
    let copies = ["a", "b", "sub/c", "deep/new/file", "gone", "ignored", "made/by/job"].map(|name| case.copy(name));
    let copies = copies.each_ref().map(|text| text.as_deref().unwrap_or("-"));
    assert_eq!(copies, ["2", "job", "2", "2", "-", "-", "job"]);
    assert_eq!(fs::read_link(case.to.join("link")).expect("a link"), Path::new("a"));
    assert_eq!(fs::metadata(case.to.join("run.sh")).expect("there").mode() & 0o111, 0o111);
    assert_eq!(case.sync(false), done("", "", "", ""), "nothing has changed since");
    fs::remove_file(case.from.join("deep/new/file")).expect("removed");
    case.user("a", "3");
    assert_eq!(case.sync(false), done("", "a", "deep/new/file", ""), "what was brought is not of the job");
}

#[test]
fn what_the_job_changed_is_named_and_overwritten_only_by_force() {
    let case = Case::new(&["a", "b", "c", "d/e", "same"]);
    for name in ["a", "b", "c"] {
        case.job(name, "job");
    }
    case.job("same", "2");
    fs::remove_dir_all(case.to.join("d")).expect("removed");
    put(&case.home.path().join("elsewhere/e"), "precious");
    symlink(case.home.path().join("elsewhere"), case.to.join("d")).expect("linked");
    for name in ["a", "d/e", "same"] {
        case.user(name, "2");
    }
    fs::remove_file(case.from.join("b")).expect("removed");
    // Only the job changed `c`. It changed `same` in the same way as the user.
    assert_eq!(case.sync(false), done("", "", "", "a b d/e"));
    assert_eq!((case.copy("a").as_deref(), case.copy("b").as_deref()), (Some("job"), Some("job")));
    assert_eq!(case.sync(true), done("d/e", "a", "b", ""));
    assert_eq!((case.copy("a").as_deref(), case.copy("c").as_deref()), (Some("2"), Some("job")));
    assert_eq!(case.copy("d/e").as_deref(), Some("2"));
    assert_eq!(fs::read_to_string(case.home.path().join("elsewhere/e")).expect("there"), "precious");
    // The job changes a file that was brought, and the user does not.
    case.job("a", "again");
    assert_eq!(case.sync(false), done("", "", "", ""));
    case.user("a", "3");
    assert_eq!(case.sync(false), done("", "", "", "a"));
}

#[test]
fn a_link_in_place_of_the_checkout_leads_nowhere() {
    let case = Case::new(&["a", "gone"]);
    put(&case.home.path().join("elsewhere/precious"), "1");
    fs::rename(&case.to, case.home.path().join("moved")).expect("moved");
    symlink(case.home.path().join("elsewhere"), &case.to).expect("linked");
    case.user("a", "2");
    fs::remove_file(case.from.join("gone")).expect("removed");
    sync(&case.note(), &case.from, true).expect_err("the folder is a link");
    let in_workspace =
        Filled { begun: Begun::now(), folder: case.to.clone(), source: Source::WorkingTree, files: vec![] };
    fs::remove_file(case.note()).expect("removed");
    in_workspace.record(&case.note(), &case.to, false, false).expect("noted");
    case.user("a", "3");
    sync(&case.note(), &case.from, true).expect_err("the workspace itself is a link");
    let names = fs::read_dir(case.home.path().join("elsewhere")).expect("a folder").flatten();
    assert_eq!(names.map(|entry| entry.file_name()).collect::<Vec<_>>(), ["precious"]);
}

#[test]
fn a_sync_that_fails_halfway_names_what_it_brought() {
    let case = Case::new(&["a", "gone"]);
    let second = case.home.path().join("second");
    case.check_out_now(&second, Source::WorkingTree, false);
    fs::rename(&second, case.home.path().join("moved")).expect("moved");
    symlink(case.home.path(), &second).expect("linked");
    tick();
    case.user("a", "2");
    fs::remove_file(case.from.join("gone")).expect("removed");
    let error = sync(&case.note(), &case.from, false).expect_err("the second folder is a link").to_string();
    assert!(error.starts_with("cannot bring ") && error.ends_with("changed: a; deleted: gone"), "{error}");
    // What was brought is noted: it does not count as changed by the job.
    case.user("a", "3");
    let error = sync(&case.note(), &case.from, false).expect_err("still a link").to_string();
    assert!(error.ends_with("changed: a"), "{error}");

    let source = io::Error::from(io::ErrorKind::StorageFull);
    let full = SyncError::File { path: "b".into(), source }.to_string();
    assert!(full.contains("`cuelight clean` removes old runs"), "{full}");
}

#[test]
fn the_files_of_a_folder_that_the_user_renamed_are_brought() {
    let case = Case::new(&["src/a/x", "src/a/deep/y", "src/z"]);
    fs::rename(case.from.join("src/a"), case.from.join("src/b")).expect("renamed");
    assert_eq!(case.sync(false), done("src/b/deep/y src/b/x", "", "src/a/deep/y src/a/x", ""));
    assert_eq!(case.copy("src/b/deep/y").as_deref(), Some("1"));
    assert_eq!(case.sync(false), done("", "", "", ""));
    // Files that the job deleted stay deleted.
    fs::remove_file(case.to.join("src/z")).expect("removed");
    assert_eq!(case.sync(false), done("", "", "", ""));
}

#[test]
fn a_copy_of_a_commit_or_on_another_machine_is_refused() {
    let case = Case::new(&["a"]);
    case.check_out(Source::Commit("v1".to_owned()));
    let refusal = || sync(&case.note(), &case.from, true).expect_err("refused").to_string();
    assert!(refusal().contains("has checked out v1"), "{}", refusal());
    let (folder, source) = (case.to.clone(), Source::WorkingTree);
    let filled = Filled { begun: Begun::now(), folder, source, files: Vec::new() };
    filled.record(&case.note(), case.home.path(), true, true).expect("noted");
    assert!(refusal().contains("Docker engine"), "{}", refusal());
    fs::remove_file(case.note()).expect("removed");
    assert_eq!(refusal(), "the job has not checked out this repository");
}

#[test]
fn what_the_job_made_before_or_after_a_checkout_that_keeps_files_stays() {
    let case = Case::new(&["a", "nested/own"]);
    case.job("built", "job");
    tick();
    case.check_out_now(&case.to, Source::WorkingTree, true);
    tick();
    case.user("a", "2");
    assert_eq!(case.sync(false), done("", "a", "", ""));
    assert_eq!(case.copy("built").as_deref(), Some("job"));
}

#[test]
fn what_the_job_makes_while_a_checkout_runs_stays() {
    let case = Case::new(&["a"]);
    case.check_out_during(&case.to, Source::WorkingTree, true, || case.job("built", "job"));
    tick();
    case.user("a", "2");
    assert_eq!(case.sync(true), done("", "a", "", ""));
    assert_eq!(case.copy("built").as_deref(), Some("job"));
}

#[test]
fn what_the_job_moved_stays() {
    let case = Case::new(&["src/a/x", "src/y", "sub/c"]);
    fs::rename(case.to.join("src/a"), case.to.join("moved")).expect("moved");
    fs::rename(case.to.join("src/y"), case.to.join("y")).expect("moved");
    case.user("src/a/x", "2");
    // A file that the user deleted is deleted only where the checkout put it.
    fs::remove_file(case.from.join("sub/c")).expect("removed");
    fs::create_dir(case.to.join("copies")).expect("made");
    fs::rename(case.to.join("sub"), case.to.join("copies/sub")).expect("moved");
    assert_eq!(case.sync(true), done("src/a/x", "", "", ""));
    let copies = ["moved/x", "y", "copies/sub/c", "src/a/x", "src/y"].map(|name| case.copy(name));
    assert_eq!(copies.each_ref().map(|text| text.as_deref().unwrap_or("-")), ["1", "1", "1", "2", "-"]);
}

#[test]
fn a_checkout_in_another_one_that_keeps_files_stays() {
    let case = Case::new(&["a", "b/c"]);
    case.check_out_now(&case.to.join("inner"), Source::WorkingTree, false);
    case.job("inner/built", "job");
    // The steps of two checkouts may run at once.
    let parallel = || case.check_out_now(&case.to.join("late"), Source::WorkingTree, false);
    case.check_out_during(&case.to, Source::WorkingTree, true, parallel);
    tick();
    assert_eq!(case.sync(false), done("", "", "", ""));
    case.user("a", "2");
    fs::remove_file(case.from.join("b/c")).expect("removed");
    assert_eq!(case.sync(false), done("", "a a a", "b/c b/c b/c", ""), "each checkout has these files");
    assert_eq!(case.copy("inner/built").as_deref(), Some("job"));
}

#[test]
fn files_of_submodules_are_brought_as_far_as_the_copy_has_them() {
    let case = Case::new(&["a"]);
    let other = case.home.path().join("other");
    for name in ["b", "c", "d"] {
        put(&other.join(name), "1");
    }
    let who = ["-c", "user.name=A", "-c", "user.email=a@b"];
    git(&other, ["init", "-q"]).expect("git init");
    git(&other, ["add", "."]).expect("git add");
    git(&other, who.into_iter().chain(["commit", "-qm", "x"])).expect("git commit");
    let other = other.to_str().expect("a text");
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other, "sub"];
    git_with(&case.from, crate::repo::git::Access::Trusted, add).expect("git submodule add");
    case.check_out(Source::WorkingTree);
    case.user("sub/b", "2");
    case.user("sub/d", "2");
    case.job("sub/d", "job");
    case.job("sub/made", "job");
    fs::remove_file(case.from.join("sub/c")).expect("removed");
    assert_eq!(case.sync(false), done("", "sub/b", "sub/c", "sub/d"));
    assert_eq!((case.copy("sub/b").as_deref(), case.copy("sub/made").as_deref()), (Some("2"), Some("job")));
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_leaves_no_part_of_it() {
    let case = Case::new(&["mem"]);
    // Reading the first bytes of the process's memory fails.
    let repository = Path::new("/proc/self");
    let user = repository.join("mem").symlink_metadata().expect("there");
    let mut all = Checkouts::lock(&case.note()).expect("free").expect("there").read().expect("read");
    let (changes, absent) = (&mut Changes::default(), HashSet::new());
    let mut sync = Sync { repository, checkout: &mut all[0], force: true, changes, absent };
    let to = Folder::open(&case.to).expect("there");
    sync.bring(&to, Path::new("mem"), &user).expect_err("it cannot be read");
    assert!(!case.to.join("mem").exists());
}

#[test]
fn what_the_job_made_at_the_moment_before_a_checkout_stays() {
    let case = Case::new(&["a"]);
    case.job("built", "job");
    case.check_out_now(&case.to, Source::WorkingTree, true);
    tick();
    assert_eq!(case.sync(false), done("", "", "", ""));
    assert_eq!(case.copy("built").as_deref(), Some("job"));
}

#[test]
fn what_the_job_makes_at_the_moment_after_a_checkout_stays() {
    let case = Case::new(&["a"]);
    case.check_out_now(&case.to, Source::WorkingTree, false);
    case.job("built", "job");
    case.job("a", "job");
    tick();
    case.user("a", "2");
    assert_eq!(case.sync(false), done("", "", "", "a"));
    assert_eq!(case.copy("built").as_deref(), Some("job"));
}

#[test]
fn a_checkout_that_another_one_removed_is_forgotten() {
    let case = Case::new(&["a", "sub/b"]);
    for name in ["inner", "sub"] {
        case.check_out_now(&case.to.join(name), Source::WorkingTree, false);
    }
    case.check_out(Source::WorkingTree);
    case.user("a", "2");
    assert_eq!(case.sync(false), done("", "a", "", ""));
    assert_eq!(case.copy("sub/a"), None, "the folder is part of the other checkout by now");
    // The job removes a checkout itself.
    case.check_out_now(&case.to.join("inner"), Source::WorkingTree, false);
    fs::remove_dir_all(case.to.join("inner")).expect("removed");
    case.user("a", "3");
    assert_eq!(case.sync(false), done("", "a", "", ""));
}

#[test]
fn a_folder_in_place_of_a_file_is_brought_unless_the_job_changed_the_file() {
    let case = Case::new(&["a", "b", "c"]);
    case.job("b", "job");
    for name in ["a", "b", "c"] {
        fs::remove_file(case.from.join(name)).expect("removed");
    }
    case.user("a/x", "2");
    case.user("b/x", "2");
    fs::create_dir(case.from.join("c")).expect("made");
    assert_eq!(case.sync(false), done("a/x", "", "a c", "b b/x"));
    assert_eq!((case.copy("a/x").as_deref(), case.copy("b").as_deref()), (Some("2"), Some("job")));
    assert_eq!(case.sync(true), done("b/x", "", "b", ""));
    assert_eq!(case.sync(false), done("", "", "", ""));
}

#[test]
fn a_file_in_place_of_a_folder_is_brought_unless_the_job_changed_files_in_it() {
    let case = Case::new(&["a/x", "b/x", "b/y", "c/x", "d/x"]);
    case.job("b/x", "job");
    case.job("c/deep/made", "job");
    for name in ["a", "b", "c", "d"] {
        fs::remove_dir_all(case.from.join(name)).expect("removed");
    }
    for name in ["a", "b", "c"] {
        case.user(name, "2");
    }
    symlink("a", case.from.join("d")).expect("linked");
    assert_eq!(case.sync(false), done("a d", "", "a/x b/y c/x d/x", "b b/x c"));
    assert_eq!((case.copy("a").as_deref(), case.copy("d").as_deref()), (Some("2"), Some("2")));
    assert_eq!((case.copy("b/x").as_deref(), case.copy("c/deep/made").as_deref()), (Some("job"), Some("job")));
    assert_eq!(case.sync(true), done("b c", "", "b/x", ""));
    assert_eq!((case.copy("b").as_deref(), case.copy("c").as_deref()), (Some("2"), Some("2")));
}

#[test]
fn one_sync_runs_at_a_time() {
    let case = Case::new(&["a"]);
    case.user("a", "2");
    let other = crate::store::lock::take_free(&case.note().with_extension("lock"));
    std::thread::scope(|scope| {
        let synced = scope.spawn(|| case.sync(false));
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!((synced.is_finished(), case.copy("a").as_deref()), (false, Some("1")));
        drop(other);
        assert_eq!(synced.join().expect("ends"), done("", "a", "", ""));
    });
}

#[test]
fn a_file_that_vanishes_costs_the_job_nothing() {
    let case = Case::new(&["a"]);
    let from = case.from.join("a");
    let user = from.symlink_metadata().expect("there");
    fs::remove_file(&from).expect("removed");
    let mut all = Checkouts::lock(&case.note()).expect("free").expect("there").read().expect("read");
    let (changes, absent) = (&mut Changes::default(), HashSet::new());
    let mut sync = Sync { repository: &case.from, checkout: &mut all[0], force: true, changes, absent };
    let to = Folder::open(&case.to).expect("there");
    sync.bring(&to, Path::new("a"), &user).expect_err("it is missing");
    assert_eq!(case.copy("a").as_deref(), Some("1"));
}

#[test]
fn a_part_of_the_files_stays_a_part() {
    let case = Case::new(&["a", "b"]);
    fs::remove_file(case.to.join("b")).expect("removed");
    case.check_out(Source::Sparse);
    fs::remove_file(case.to.join("b")).expect("removed");
    for name in ["a", "b", "new"] {
        case.user(name, "2");
    }
    assert_eq!(case.sync(false), done("", "a", "", ""));
}
