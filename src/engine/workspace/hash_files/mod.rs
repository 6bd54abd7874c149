//! `hashFiles`: a hash over the files of a workspace that match patterns.
//!
//! Follows the runner's script and `@actions/glob`. Patterns, one per line, are applied in order; `!` excludes files
//! again, `#` starts a comment, and everything below a selected folder is selected too. `*`, `?`, `[…]` and `**` are
//! special; a leading dot is not, and case matters. Files are visited depth-first, in byte order of their names,
//! starting at the literal prefix of each pattern. The result is the SHA-256 of the files' SHA-256 digests, or an empty
//! string if there are no files. Only files inside the workspace count.

mod patterns;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::engine::blocking::in_place;
use crate::engine::cancel::CancelWatch;
use crate::files::{FileError, Folder, Links};
use crate::store::digest::hexadecimal;
use crate::workflow::expr::{HashFilesError, Host};

use patterns::Selection;

/// Time limit for hashing (`_hashFileTimeoutSeconds` of the runner).
const TIMEOUT: Duration = Duration::from_mins(2);

/// The only option of `hashFiles`; it must be the first argument.
const FOLLOW_LINKS: &str = "--follow-symbolic-links";

/// Why files cannot be hashed. The messages about patterns are the same as in GitHub's runner.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum HashError {
    #[error("Invalid glob option {0}, available option: '{FOLLOW_LINKS}'.")]
    Option(String),
    #[error("pattern cannot be empty")]
    EmptyPattern,
    #[error("Unable to determine HOME directory")]
    NoHome,
    #[error("Invalid pattern '{0}'. Relative pathing '.' and '..' is not allowed.")]
    RelativePattern(String),
    #[error("Invalid pattern '{0}'. {1}")]
    Pattern(String, regex::Error),
    #[error(transparent)]
    Workspace(io::Error),
    #[error("{}: {fault}", path.display())]
    File { path: PathBuf, fault: FileError },
    #[error("it did not finish within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    #[error("the job was cancelled")]
    Cancelled,
    #[error("the time limit of the job passed")]
    JobTimedOut,
    #[error("the files of the job are on another machine, that of its container engine")]
    Elsewhere,
}

impl HashError {
    fn file(path: &Path, fault: impl Into<FileError>) -> Self {
        Self::File { path: path.to_owned(), fault: fault.into() }
    }
}

/// Check that returns an error with the reason once hashing must stop.
type GoOn<'a> = &'a dyn Fn() -> Result<(), HashError>;

/// Files of a job, for expressions.
#[derive(Clone, Debug)]
pub struct WorkspaceFiles {
    root: PathBuf,
    cancel: Option<CancelWatch>,
    /// Whether the files that the job changes are on another machine.
    elsewhere: bool,
    /// Folders that are left out, relative to `root`.
    skipped: Vec<PathBuf>,
}

impl WorkspaceFiles {
    /// Returns the files below a folder.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), cancel: None, elsewhere: false, skipped: Vec::new() }
    }

    /// Returns the same files, which can no longer be read once the job is cancelled or its time limit passes. Steps of
    /// a job that was already cancelled may read them until the job is over.
    #[must_use]
    pub(in crate::engine) fn until_cancelled(self, cancel: CancelWatch) -> Self {
        Self { cancel: Some(cancel), ..self }
    }

    /// Returns the same files. If they are `elsewhere`, hashing fails, because the files here may be outdated.
    #[must_use]
    pub(in crate::engine) fn of_machine(self, elsewhere: bool) -> Self {
        Self { elsewhere, ..self }
    }

    /// Returns the same files without those in the given folders, whose paths are relative.
    #[must_use]
    pub(in crate::engine) fn without(self, skipped: Vec<PathBuf>) -> Self {
        Self { skipped, ..self }
    }
}

impl Host for WorkspaceFiles {
    fn hash_files(&self, patterns: &[String]) -> Result<String, HashFilesError> {
        let deadline = Instant::now() + TIMEOUT;
        let cancel = self.cancel.clone().map(|mut cancel| (cancel.is_cancelled(), RefCell::new(cancel)));
        let go_on = || {
            if self.elsewhere {
                return Err(HashError::Elsewhere);
            }
            if Instant::now() > deadline {
                return Err(HashError::TimedOut);
            }
            if let Some((was_cancelled, cancel)) = &cancel {
                let mut cancel = cancel.borrow_mut();
                if cancel.is_over() || (!was_cancelled && cancel.is_cancelled()) {
                    return Err(if cancel.timed_out() { HashError::JobTimedOut } else { HashError::Cancelled });
                }
            }
            Ok(())
        };
        in_place(|| hash_files(&self.root, &self.skipped, patterns, &go_on))
    }
}

/// Returns the hash over the files below `workspace` that the arguments of `hashFiles` select, in hexadecimal; empty if
/// they select no file. Files in the folders `skipped`, relative to `workspace`, are left out.
///
/// Fails for an unknown option, a pattern that leaves its folder, an unreadable file, after two minutes, and if `go_on`
/// returns an error.
fn hash_files(
    workspace: &Path,
    skipped: &[PathBuf],
    arguments: &[String],
    go_on: GoOn<'_>,
) -> Result<String, HashFilesError> {
    let (follow_links, patterns) = match arguments.split_first() {
        Some((first, rest)) if first.starts_with("--") => {
            if !first.eq_ignore_ascii_case(FOLLOW_LINKS) {
                return Err(HashFilesError(HashError::Option(first.clone()).to_string()));
            }
            (true, rest)
        }
        _ => (false, arguments),
    };
    hash_selected(workspace, skipped, patterns, follow_links, go_on).map_err(|reason| {
        let patterns = patterns.join(", ");
        HashFilesError(format!(
            "hashFiles('{patterns}') failed. Fail to hash files under directory '{}': {reason}",
            workspace.display()
        ))
    })
}

/// Returns the paths of the files below `workspace` that patterns of `hashFiles` select, relative to it.
///
/// # Errors
/// A pattern is invalid, a folder cannot be read, or it takes longer than two minutes.
pub(in crate::engine) fn selected(workspace: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, HashError> {
    let deadline = Instant::now() + TIMEOUT;
    let go_on = || if Instant::now() > deadline { Err(HashError::TimedOut) } else { Ok(()) };
    let workspace = workspace.canonicalize().map_err(HashError::Workspace)?;
    let selection = Selection::new(&workspace, patterns)?;
    let mut found = Vec::new();
    for start in selection.starts(&workspace) {
        for path in Walk::new(&selection, &[], false, start, &go_on) {
            found.extend(path?.strip_prefix(&workspace).ok().map(Path::to_owned));
        }
    }
    Ok(found)
}

fn hash_selected(
    workspace: &Path,
    skipped: &[PathBuf],
    patterns: &[String],
    follow_links: bool,
    go_on: GoOn<'_>,
) -> Result<String, HashError> {
    go_on()?;
    let workspace = workspace.canonicalize().map_err(HashError::Workspace)?;
    let folder = Folder::open(&workspace).map_err(HashError::Workspace)?;
    let selection = Selection::new(&workspace, patterns)?;
    let skipped: Vec<_> = skipped.iter().map(|folder| workspace.join(folder)).collect();
    let mut digests = Sha256::new();
    let mut found = false;
    for start in selection.starts(&workspace) {
        for path in Walk::new(&selection, &skipped, follow_links, start, go_on) {
            let path = path?;
            let failed = |fault: FileError| HashError::file(&path, fault);
            // A link that is not followed may still lead to a folder.
            if fs::metadata(&path).map_err(|error| failed(error.into()))?.is_dir() {
                continue;
            }
            let below = path.strip_prefix(&workspace).map_err(|_| failed(FileError::Outside))?;
            digests.update(digest(folder.file(below, Links::Within).map_err(failed)?, &path, go_on)?);
            found = true;
        }
    }
    Ok(if found { hexadecimal(&digests.finalize()) } else { String::new() })
}

/// Selected files below a folder, in order.
struct Walk<'a> {
    selection: &'a Selection,
    /// Paths of folders that are left out.
    skipped: &'a [PathBuf],
    follow_links: bool,
    /// Real paths of the folders from the start to the current one, to detect cycles of links.
    ancestors: Vec<PathBuf>,
    /// Paths still to visit, the next one last, with their depth.
    waiting: Vec<(PathBuf, usize)>,
    go_on: GoOn<'a>,
}

impl<'a> Walk<'a> {
    fn new(
        selection: &'a Selection,
        skipped: &'a [PathBuf],
        follow_links: bool,
        start: PathBuf,
        go_on: GoOn<'a>,
    ) -> Self {
        Self { selection, skipped, follow_links, ancestors: Vec::new(), waiting: vec![(start, 0)], go_on }
    }

    /// Visits a path. Returns whether it is a selected file. Adds the entries of a folder to the waiting paths, unless
    /// none of them can be selected.
    fn visit(&mut self, path: &Path, level: usize) -> Result<bool, HashError> {
        (self.go_on)()?;
        if self.skipped.iter().any(|folder| path.starts_with(folder)) {
            return Ok(false);
        }
        let failed = |error: io::Error| HashError::file(path, error);
        let metadata = if self.follow_links { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let metadata = match metadata {
            // A start that does not exist, or a dangling link.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            metadata => metadata.map_err(failed)?,
        };
        if !metadata.is_dir() {
            return Ok(self.selection.selects(path));
        }
        if !self.selection.may_select_below(path) {
            return Ok(false);
        }
        if self.follow_links {
            let place = path.canonicalize().map_err(failed)?;
            self.ancestors.truncate(level);
            if self.ancestors.contains(&place) {
                return Ok(false);
            }
            self.ancestors.push(place);
        }
        let mut children = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            (self.go_on)()?;
            children.push(entry.map_err(failed)?.path());
        }
        children.sort_unstable_by(|one, other| other.file_name().cmp(&one.file_name()));
        self.waiting.extend(children.into_iter().map(|child| (child, level + 1)));
        Ok(false)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<PathBuf, HashError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((path, level)) = self.waiting.pop() {
            match self.visit(&path, level) {
                Ok(true) => return Some(Ok(path)),
                Ok(false) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

fn digest(mut file: File, path: &Path, go_on: GoOn<'_>) -> Result<impl AsRef<[u8]>, HashError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        go_on()?;
        match file.read(&mut buffer).map_err(|error| HashError::file(path, error))? {
            0 => return Ok(hash.finalize()),
            length => hash.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;
    use tokio::sync::watch;

    use super::*;
    use crate::engine::cancel::Cancellation;

    fn workspace(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    /// Returns the expected hash over files whose content is their name.
    fn hash_of(files: &[&str]) -> String {
        if files.is_empty() {
            return String::new();
        }
        let mut digests = Sha256::new();
        for file in files {
            digests.update(Sha256::digest(file));
        }
        hexadecimal(&digests.finalize())
    }

    fn hash(folder: &Path, arguments: &[&str]) -> Result<String, String> {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        hash_files(folder, &[], &arguments, &|| Ok(())).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_noticed_while_nothing_is_selected() {
        let names: Vec<String> = (0..200).flat_map(|n| [format!("many/{n}"), format!("deep/{n}/x")]).collect();
        let folder = workspace(&names.iter().map(String::as_str).collect::<Vec<_>>());
        // Each link leads to all the others: with links followed, the walk would practically never end.
        fs::create_dir(folder.path().join("maze")).unwrap();
        for n in 0..12 {
            symlink(".", folder.path().join(format!("maze/{n}"))).unwrap();
            fs::create_dir(folder.path().join(format!("maze/d{n}"))).unwrap();
            for other in 0..12 {
                symlink(format!("../d{other}"), folder.path().join(format!("maze/d{n}/{other}"))).unwrap();
            }
        }
        for (arguments, steps) in [
            (&["many/none*"][..], 100),
            (&["deep/**/none"], 100),
            (&["deep/**/none"], 300),
            (&["--follow-symbolic-links", "maze/**/none"], 100_000),
        ] {
            let left = std::cell::Cell::new(steps);
            let go_on = || {
                left.set(left.get() - 1);
                if left.get() > 0 { Ok(()) } else { Err(HashError::TimedOut) }
            };
            let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
            let error = hash_files(folder.path(), &[], &arguments, &go_on).expect_err("a limit");
            assert!(error.to_string().contains("did not finish within"), "{error}");
            assert_eq!(left.get(), 0, "noticed at once");
        }
    }

    #[test]
    fn patterns_select_files_in_order() {
        let folder = workspace(&[".hid", "a.txt", "b/.x/c.txt", "b/a.txt", "b/z.rs", "b.txt", "[q].txt", "d/e/f.rs"]);
        for (patterns, files) in [
            (&["a.txt"][..], &["a.txt"][..]),
            (&["./a.txt"], &["a.txt"]),
            (&["A.txt"], &[]),
            (&["b.txt", "a.txt"], &["b.txt", "a.txt"]),
            (&["b.txt", "a.txt", "b.txt"], &["b.txt", "a.txt"]),
            (&["b.txt\n# no\n\n a.txt "], &["b.txt", "a.txt"]),
            (&["*.txt"], &["[q].txt", "a.txt", "b.txt"]),
            (&["?.txt"], &["a.txt", "b.txt"]),
            (&["[!b].txt"], &["a.txt"]),
            (&["[a-b].txt"], &["a.txt", "b.txt"]),
            (&["[b].txt"], &["b.txt"]),
            (&["[[]q].txt"], &["[q].txt"]),
            (&["[z-a].txt"], &[]),
            (&["*.t[]x]t"], &["[q].txt", "a.txt", "b.txt"]),
            (&["*.t[!]]t"], &["[q].txt", "a.txt", "b.txt"]),
            (&["*.t[--z]t"], &["[q].txt", "a.txt", "b.txt"]),
            (&["[q.txt", "[q[]].txt"], &[]),
            (&["\\[q].txt"], &["[q].txt"]),
            (&["**/*.rs"], &["b/z.rs", "d/e/f.rs"]),
            (&["b"], &["b/.x/c.txt", "b/a.txt", "b/z.rs"]),
            (&["b/"], &["b/.x/c.txt", "b/a.txt", "b/z.rs"]),
            (&["b/**"], &["b/.x/c.txt", "b/a.txt", "b/z.rs"]),
            (&["b/*"], &["b/.x/c.txt", "b/a.txt", "b/z.rs"]),
            (&["a.txt/"], &[]),
            (&["a.txt/**"], &["a.txt"]),
            (&["d/**/f.rs"], &["d/e/f.rs"]),
            (&["d/e/**/f.rs"], &["d/e/f.rs"]),
            (&["d/**/*.rs", "**/*.rs"], &["b/z.rs", "d/e/f.rs"]),
            (&["**/*.txt", "!b"], &["[q].txt", "a.txt", "b.txt"]),
            (&["!b", "**/*.txt"], &["[q].txt", "a.txt", "b/.x/c.txt", "b/a.txt", "b.txt"]),
            (&["**/*.txt", "!**/a.txt", "b/a.txt"], &["[q].txt", "b/.x/c.txt", "b/a.txt", "b.txt"]),
            (&["!!a.txt"], &["a.txt"]),
            (&["**/.*"], &[".hid", "b/.x/c.txt"]),
            (&["{a,b}.txt"], &[]),
            (&["none/**"], &[]),
            (&["/etc/passwd", "~/none"], &[]),
            (&[], &[]),
        ] {
            assert_eq!(hash(folder.path(), patterns), Ok(hash_of(files)), "{patterns:?}");
        }
    }

    #[test]
    fn the_hash_is_over_the_digests() {
        // Computed by the runner's script for two files that contain their names.
        let folder = workspace(&["a.txt", "b.txt"]);
        let expected = "ef39e90b9da484576cbaf25ccb2631cb6e1439b182cd5d8d17038991f2212cd1";
        assert_eq!(hash(folder.path(), &["*.txt"]), Ok(expected.to_owned()));
    }

    #[test]
    fn folders_of_a_warm_start_do_not_count() {
        let folder = workspace(&["package-lock.json", "node_modules/a/package-lock.json", "web/package-lock.json"]);
        let files = WorkspaceFiles::at(folder.path());
        let hash = |files: &WorkspaceFiles, pattern: &str| files.hash_files(&[pattern.to_owned()]).expect("hashed");
        let own = hash_of(&["package-lock.json", "web/package-lock.json"]);
        assert_ne!(hash(&files, "**/package-lock.json"), own);
        let files = files.without(vec!["node_modules".into(), "web/node_modules".into()]);
        assert_eq!(hash(&files, "**/package-lock.json"), own);
        assert_eq!(hash(&files, "node_modules/**"), "");
    }

    #[test]
    fn absolute_patterns_are_limited_to_the_workspace() {
        let folder = workspace(&["a.txt"]);
        let root = folder.path().canonicalize().unwrap();
        for pattern in [format!("{}/*.txt", root.display()), format!("{}/**/a.txt", root.parent().unwrap().display())] {
            assert_eq!(hash(folder.path(), &[&pattern]), Ok(hash_of(&["a.txt"])), "{pattern}");
        }
    }

    #[test]
    fn links_to_folders_are_followed_on_request_without_cycles() {
        let folder = workspace(&["real/a.txt"]);
        symlink("real", folder.path().join("link")).unwrap();
        symlink("..", folder.path().join("real/up")).unwrap();
        assert_eq!(hash(folder.path(), &["link/*"]), Ok(String::new()));
        assert_eq!(hash(folder.path(), &["**/*.txt"]), Ok(hash_of(&["real/a.txt"])));
        let followed = hash(folder.path(), &["--Follow-Symbolic-Links", "link/*.txt"]);
        assert_eq!(followed, Ok(hash_of(&["real/a.txt"])));
        // `link/up` is the workspace, which contains `link` and `real` again.
        fs::write(folder.path().join("b.txt"), "b.txt").unwrap();
        let followed = hash(folder.path(), &["--follow-symbolic-links", "link/**"]);
        assert_eq!(followed, Ok(hash_of(&["real/a.txt", "b.txt"])));
    }

    #[test]
    fn a_dangling_link_is_an_error_only_if_it_is_read() {
        let folder = workspace(&["a.txt"]);
        symlink("nowhere", folder.path().join("b.txt")).unwrap();
        assert_eq!(hash(folder.path(), &["--follow-symbolic-links", "*.txt"]), Ok(hash_of(&["a.txt"])));
        let error = hash(folder.path(), &["*.txt"]).unwrap_err();
        assert!(error.starts_with("hashFiles('*.txt') failed."), "{error}");
    }

    #[test]
    fn faults_are_reported() {
        let folder = workspace(&[]);
        for (arguments, fault) in [
            (&["--all", "*"][..], "Invalid glob option --all"),
            (&["../a"], "Relative pathing '.' and '..' is not allowed."),
            (&["a/./b"], "Relative pathing '.' and '..' is not allowed."),
            (&["!"], "pattern cannot be empty"),
        ] {
            let error = hash(folder.path(), arguments).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
        assert!(hash(&folder.path().join("none"), &["*"]).is_err());
    }

    #[test]
    fn a_deadline_ends_the_work_also_inside_a_file() {
        let folder = workspace(&["a.txt"]);
        File::create(folder.path().join("large")).and_then(|file| file.set_len(300 << 30)).unwrap();
        for portions in [0, 3] {
            let left = std::cell::Cell::new(portions);
            let go_on = || {
                let now = left.get();
                left.set(now - 1);
                if now == 0 { Err(HashError::TimedOut) } else { Ok(()) }
            };
            let error = hash_files(folder.path(), &[], &["large".to_owned()], &go_on).unwrap_err().to_string();
            assert!(error.ends_with("it did not finish within 120 seconds"), "{error}");
        }
    }

    #[test]
    fn a_job_that_must_end_at_once_ends_the_work() {
        let folder = workspace(&["a.txt"]);
        let (ask, asked) = watch::channel(Cancellation::Cancel);
        let cancel = CancelWatch::new(asked, false, tokio::time::Instant::now() + TIMEOUT);
        let files = WorkspaceFiles::at(folder.path()).until_cancelled(cancel);
        let hash = || files.hash_files(&["*".to_owned()]);
        assert!(hash().is_ok(), "steps of a cancelled job may still run");
        ask.send(Cancellation::Force).unwrap();
        assert!(hash().unwrap_err().to_string().ends_with("the job was cancelled"));
    }

    #[test]
    fn the_time_limit_of_the_job_ends_work_that_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::File::create(folder.path().join("endless")).and_then(|file| file.set_len(900 << 30)).expect("made");
        let (_ask, asked) = watch::channel(Cancellation::None);
        let cancel = CancelWatch::new(asked, false, tokio::time::Instant::now() + Duration::from_millis(50));
        let files = WorkspaceFiles::at(folder.path()).until_cancelled(cancel);
        let error = files.hash_files(&["*".to_owned()]).expect_err("ended").to_string();
        assert!(error.ends_with("the time limit of the job passed"), "{error}");
    }

    #[test]
    fn files_of_another_machine_are_not_hashed_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = WorkspaceFiles::at(folder.path()).of_machine(true);
        for pattern in ["*", "none"] {
            let error = files.hash_files(&[pattern.to_owned()]).expect_err(pattern).to_string();
            assert!(
                error.ends_with("the files of the job are on another machine, that of its container engine"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_regular_files_of_the_workspace_are_read() {
        let home = workspace(&["secret", "w/a.txt", "w/folder/b.txt"]);
        let folder = home.path().join("w");
        symlink("a.txt", folder.join("within")).unwrap();
        assert_eq!(hash(&folder, &["within"]), Ok(hash_of(&["w/a.txt"])));
        symlink(home.path(), folder.join("folder-outside")).unwrap();
        assert_eq!(hash(&folder, &["folder-outside"]), Ok(String::new()));
        symlink("../secret", folder.join("out")).unwrap();
        symlink("/dev/zero", folder.join("zero")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        for (pattern, fault) in [
            ("out", "leads out of its folder"),
            ("zero", "leads out of its folder"),
            ("fifo", "a FIFO, not a regular file"),
        ] {
            let error = hash(&folder, &[pattern]).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
        let error = hash(&folder, &["--follow-symbolic-links", "folder-outside/secret"]).unwrap_err();
        assert!(error.contains("leads out of its folder"), "{error}");
    }
}
