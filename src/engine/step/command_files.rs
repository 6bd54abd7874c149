//! The files through which a step passes values to the runner: `GITHUB_ENV`, `_OUTPUT`, `_STATE`, `_PATH`,
//! `_STEP_SUMMARY` and `_ARTIFACTS`. Each step gets new files. They are read after the step, whatever its exit code,
//! and then removed.
//!
//! Their names differ from step to step, so that a process that outlives its step cannot write into the files of a
//! later one.

use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use indexmap::IndexMap;

use crate::engine::sandbox::Sandbox;
use crate::files::{FileError, Folder, Links};

/// Values that a step sets for later steps, and errors in them.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) outputs: IndexMap<String, String>,
    pub(crate) state: IndexMap<String, String>,
    pub(crate) env: IndexMap<String, String>,
    /// Folders for the search path, in the order in which they were added.
    pub(crate) path: Vec<String>,
    pub(crate) summary: String,
    /// Lines that declare artifacts.
    pub(crate) artifacts: String,
    /// Whether the step masked a value that was not a secret before.
    pub(crate) masked: bool,
    /// Messages about values that were rejected without failing the step.
    pub(crate) refused: Vec<String>,
    /// Why the step fails even if its process succeeds; `None` if no error was found.
    pub(crate) error: Option<String>,
}

impl Left {
    /// Notes that the summary cannot be read. As on GitHub, the step does not fail.
    fn refuse_summary(&mut self, error: &dyn std::error::Error) {
        self.refused.push(format!("the step's summary is dropped: {error}"));
    }
}

/// Why a file of a step cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {fault}")]
pub(crate) struct CommandFileError {
    /// Name of the variable that contains the path of the file.
    name: &'static str,
    fault: CommandFileFault,
}

impl CommandFileError {
    /// Returns the error for command files that were not fetched before the job was ended.
    pub(crate) fn ended() -> Self {
        Self { name: "GITHUB_OUTPUT", fault: CommandFileFault::Ended }
    }
}

#[derive(Debug, thiserror::Error)]
enum CommandFileFault {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] FileError),
    #[error("cannot be fetched from the machine of the step: {0}")]
    NotFetched(io::Error),
    #[error("cannot be fetched from the machine of the step: the job was ended")]
    Ended,
    #[error("line {line}: {fault}")]
    Line { line: usize, fault: LineFault },
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum LineFault {
    #[error("no name before `=`")]
    NoName,
    #[error("expected name=value or name<<MARK, found `{0}`")]
    NotAPair(String),
    #[error("`<<` needs a name before it and a mark after it")]
    NoMark,
    #[error("the value of `{name}` is not terminated: no line is `{mark}`")]
    NoEnd { name: String, mark: String },
}

/// Maximum size of a summary in bytes. GitHub drops a larger one without failing the step.
const MAX_SUMMARY: u64 = 1024 * 1024;

/// Maximum size of the declaration of artifacts in bytes. GitHub fails the step for a larger one.
const MAX_ARTIFACTS: u64 = 1024 * 1024;

/// Variable with the path of the file in which a step may declare artifacts. The file is not created in advance,
/// because few steps write to it.
const ARTIFACTS: &str = "GITHUB_ARTIFACTS";

/// Name of the variable with the path of the list of artifacts that the earlier steps of the job have declared. The
/// file has the same name.
pub(crate) const ARTIFACTS_LIST: &str = "GITHUB_ARTIFACTS_LIST";

/// Maximum size in bytes of each of the other files. GitHub limits all outputs of a job to 1 MiB.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Name of the folder of the files, below the folder of the job's temporary files.
pub(crate) const FOLDER: &str = "_runner_file_commands";

/// Variables with the paths of the files that are created before the step. The name of each file begins with the name
/// of its variable.
const FILES: [&str; 5] = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_PATH", SUMMARY];

/// Variable with the path of the file of the summary.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// The files of one step. A step may replace them with links or other files, so they are opened relative to the parent
/// of the temporary folder, without following links.
pub(crate) struct CommandFiles {
    /// Parent of the folder of temporary files.
    root: Folder,
    /// Path of the files' folder, below `root`.
    below: PathBuf,
    folder: PathBuf,
    /// Suffix of the files' names, different for every step.
    suffix: String,
}

impl CommandFiles {
    /// Creates empty files for all variables except `GITHUB_ARTIFACTS`. With `any_user`, every user of a container may
    /// write to them.
    ///
    /// # Errors
    /// The folder of temporary files cannot be written or is a link, or no random numbers are available.
    pub(crate) fn create(temp: &Path, any_user: bool) -> io::Result<Self> {
        let (root, name) = Folder::above(temp)?;
        let below = name.join(FOLDER);
        let folder = root.make_folders(&below)?;
        let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let files = Self { root, below, folder: temp.join(FOLDER), suffix: format!("{random:016x}") };
        if any_user {
            folder.set_own_mode(0o777)?;
        }
        for name in FILES {
            let file = folder.create(Path::new(&files.name(name)))?;
            if any_user {
                file.set_permissions(Permissions::from_mode(0o666))?;
            }
        }
        Ok(files)
    }

    /// Returns the folder of the files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies the files from the sandbox to this machine, each up to its maximum size. A file that the step removed is
    /// not an error. A summary that cannot be copied is only noted in [`Left::refused`].
    ///
    /// # Errors
    /// A file cannot be copied, or is larger than its limit; the error names the first one.
    pub(crate) async fn fetch(&self, sandbox: &dyn Sandbox, left: &mut Left) -> Result<(), CommandFileError> {
        let fetch = async |name: &'static str| {
            let limit = match name {
                SUMMARY => MAX_SUMMARY,
                ARTIFACTS => MAX_ARTIFACTS,
                _ => MAX_FILE,
            };
            (name, sandbox.fetch(&self.folder.join(self.name(name)), limit).await)
        };
        let mut first_error = None;
        for (name, fetched) in join_all(FILES.into_iter().chain([ARTIFACTS]).map(fetch)).await {
            match fetched {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let fault = CommandFileFault::NotFetched(error);
                    if name == SUMMARY {
                        left.refuse_summary(&fault);
                        // A part of the file may have arrived.
                        let _ = self.root.remove(&self.below.join(self.name(name)));
                    } else {
                        first_error.get_or_insert(CommandFileError { name, fault });
                    }
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Returns the environment variables with the paths of the files.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let path = |name: &str| self.folder.join(self.name(name)).to_string_lossy().into_owned();
        let list = self.folder.join(ARTIFACTS_LIST).to_string_lossy().into_owned();
        let files = FILES.iter().chain([&ARTIFACTS]).map(move |name| ((*name).to_owned(), path(name)));
        files.chain([(ARTIFACTS_LIST.to_owned(), list)])
    }

    /// Removes the files if the step did not write to any of them, and returns whether it removed them. Never blocks on
    /// a file system that a step mounted, so most steps need no other thread.
    pub(crate) fn remove_untouched(&self) -> bool {
        let Ok(folder) = self.root.folder_at_once(&self.below) else { return false };
        let is_empty = |name: &str| matches!(folder.size_at_once(Path::new(&self.name(name))), Ok(0));
        let no_artifacts =
            || folder.size_at_once(Path::new(&self.name(ARTIFACTS))).is_err_and(|error| error.is_missing());
        let untouched = FILES.iter().all(|name| is_empty(name)) && no_artifacts();
        untouched && FILES.iter().all(|name| folder.remove(Path::new(&self.name(name))).is_ok())
    }

    /// Reads what the step wrote and removes the files. May block on the file system.
    ///
    /// # Errors
    /// A file has a syntax error or cannot be read; the error names the first one. The content of the other files is
    /// still used. A summary that cannot be read is only noted in [`Left::refused`].
    pub(crate) fn collect(self, left: &mut Left) -> Result<(), CommandFileError> {
        let opened = self.root.folder(&self.below).ok();
        // If the folder cannot be opened, each file is read by its path from the root, which reports the error of that
        // file.
        let (folder, below) = opened.as_ref().map_or((&self.root, &*self.below), |folder| (folder, Path::new("")));
        let read = |name: &str, limit| read(folder, &below.join(self.name(name)), limit);
        let mut first_error = None;
        match read("GITHUB_PATH", MAX_FILE) {
            Ok(text) => left.path.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned)),
            Err(error) => first_error = Some(CommandFileError { name: "GITHUB_PATH", fault: error.into() }),
        }
        for (name, into) in
            [("GITHUB_ENV", &mut left.env), ("GITHUB_STATE", &mut left.state), ("GITHUB_OUTPUT", &mut left.outputs)]
        {
            let text = read(name, MAX_FILE).map_err(CommandFileFault::from);
            if let Err(fault) = text.and_then(|text| pairs(&text, into)) {
                first_error.get_or_insert(CommandFileError { name, fault });
            }
        }
        for (variable, into) in [("GITHUB_ENV", &mut left.env), ("GITHUB_STATE", &mut left.state)] {
            into.retain(|name, value| {
                let fits = !name.contains('\0') && !value.contains('\0');
                if !fits {
                    let name = name.replace('\0', "\u{fffd}");
                    left.refused.push(format!("{variable}: `{name}` is dropped: a variable cannot contain a NUL byte"));
                }
                fits
            });
        }
        let known = left.path.len();
        left.path.retain(|folder| !folder.contains('\0'));
        if left.path.len() < known {
            left.refused.push("GITHUB_PATH: a folder is dropped: a path cannot contain a NUL byte".to_owned());
        }
        let known = left.env.len();
        left.env.retain(|name, _| !name.eq_ignore_ascii_case("NODE_OPTIONS"));
        if left.env.len() < known {
            left.refused.push("GITHUB_ENV: NODE_OPTIONS may not be set for later steps".to_owned());
        }
        match read(SUMMARY, MAX_SUMMARY) {
            Ok(text) => left.summary = text,
            Err(error) => left.refuse_summary(&error),
        }
        match read(ARTIFACTS, MAX_ARTIFACTS) {
            Ok(text) => {
                if !text.is_empty() {
                    let _ = folder.remove(&below.join(self.name(ARTIFACTS)));
                }
                left.artifacts = text;
            }
            Err(error) => drop(first_error.get_or_insert(CommandFileError { name: ARTIFACTS, fault: error.into() })),
        }
        for name in FILES {
            // The step may have removed the file. A file that cannot be removed now is removed with the job's temporary
            // folder.
            let _ = folder.remove(&below.join(self.name(name)));
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Replaces a file in the folder that all steps of a job share.
    ///
    /// # Errors
    /// The file cannot be written, or a step replaced the folder with a link.
    pub(crate) fn replace(temp: &Path, name: &str, text: &str) -> io::Result<()> {
        let (root, below) = Folder::above(temp)?;
        root.create(&below.join(FOLDER).join(name))?.write_all(text.as_bytes())
    }

    fn name(&self, name: &str) -> String {
        format!("{name}_{}", self.suffix)
    }
}

/// Returns the text of a file; empty if the step removed it.
fn read(folder: &Folder, path: &Path, limit: u64) -> Result<String, FileError> {
    match folder.read(path, Links::Refuse, limit) {
        Ok(bytes) => Ok(decoded(&bytes)),
        Err(error) if error.is_missing() => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Decodes a file like GitHub's runner: as UTF-8, or as UTF-16 if it starts with a byte order mark, as written by
/// Windows PowerShell. Invalid bytes become U+FFFD.
fn decoded(bytes: &[u8]) -> String {
    match bytes {
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        text => String::from_utf8_lossy(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)).into_owned(),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().copied().map(unit).chain((!odd.is_empty()).then_some(0xfffd)).collect();
    String::from_utf16_lossy(&units)
}

/// Parses `name=value` lines and `name<<MARK … MARK` blocks. The first `=` or `<<` in a line decides between them.
///
/// # Errors
/// A line has neither of the two forms, a name is missing, or a block has no end. The pairs before the error are still
/// added to `into`.
fn pairs(text: &str, into: &mut IndexMap<String, String>) -> Result<(), CommandFileFault> {
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        let (line, after) = cut_line(rest);
        rest = after;
        number += 1;
        if line.is_empty() {
            continue;
        }
        let fault = |fault| CommandFileFault::Line { line: number, fault };
        let (name, mark) = match (line.find('='), line.find("<<")) {
            (Some(0), _) => return Err(fault(LineFault::NoName)),
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                into.insert(line[..equals].to_owned(), line[equals + 1..].to_owned());
                continue;
            }
            (_, Some(heredoc)) => (&line[..heredoc], &line[heredoc + 2..]),
            _ => return Err(fault(LineFault::NotAPair(line.to_owned()))),
        };
        if name.is_empty() || mark.is_empty() {
            return Err(fault(LineFault::NoMark));
        }
        let no_end = || fault(LineFault::NoEnd { name: name.to_owned(), mark: mark.to_owned() });
        let (value, after) = block(rest, mark).ok_or_else(no_end)?;
        number += rest[..rest.len() - after.len()].lines().count();
        into.insert(name.to_owned(), value.to_owned());
        rest = after;
    }
    Ok(())
}

/// Splits a text at the first line that is the mark, and returns the parts before and after that line; `None` if there
/// is no such line. The newline before the mark belongs to neither part.
fn block<'t>(text: &'t str, mark: &str) -> Option<(&'t str, &'t str)> {
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = cut_line(rest);
        if line == mark {
            let value = &text[..text.len() - rest.len()];
            return Some((value.strip_suffix('\n').unwrap_or(value), after));
        }
        rest = after;
    }
    None
}

fn cut_line(text: &str) -> (&str, &str) {
    match text.split_once('\n') {
        Some((line, rest)) => (line, rest),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut found = IndexMap::new();
        pairs(text, &mut found).map(|()| found.into_iter().collect()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn lines_and_blocks() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("a=1\n\nb=\n", &[("a", "1"), ("b", "")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a<<E\none\ntwo\nE\n", &[("a", "one\ntwo")]),
            ("a<<E\nE\n", &[("a", "")]),
            ("a<<E\n\nE", &[("a", "")]),
            ("a<<E\n\n\nE\n", &[("a", "\n")]),
            ("a<<E\nEE\n E\nE\nb=2", &[("a", "EE\n E"), ("b", "2")]),
            ("a=x<<y\n", &[("a", "x<<y")]),
            ("a<<=\n1\n=\n", &[("a", "1")]),
            ("a=1\r\n", &[("a", "1\r")]),
            ("a=1\na=2\n", &[("a", "2")]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            assert_eq!(read(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn broken_ones_name_their_line() {
        for (text, line) in [
            ("a=1\nnonsense\n", "line 2"),
            ("=1\n", "line 1"),
            ("a<<\n", "line 1"),
            ("<<E\nE\n", "line 1"),
            ("\na<<E\n1\n", "line 2"),
            ("a<<E\n1", "line 1"),
            ("a<<E\r\n1\nE\n", "line 1"),
            ("a<<E\n\n2\nE\nnonsense", "line 5"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(line), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_stands_before_a_broken_line_counts() {
        let mut found = IndexMap::new();
        pairs("a=1\nnonsense\nb=2", &mut found).expect_err("nonsense");
        assert_eq!(found, [("a".to_owned(), "1".to_owned())].into());
    }

    fn files_of(temp: &Path) -> (CommandFiles, IndexMap<String, String>) {
        let files = CommandFiles::create(&temp.join("_temp"), false).expect("made");
        let paths = files.variables().collect();
        (files, paths)
    }

    #[test]
    fn a_step_leaves_what_it_wrote_and_no_file() {
        let temp = tempfile::tempdir().expect("a folder");
        let (files, paths) = files_of(temp.path());
        for name in FILES {
            assert_eq!(fs::read(&paths[name]).expect("exists"), b"", "{name}");
        }
        let write = |name: &str, bytes: &[u8]| fs::write(&paths[name], bytes).expect("written");
        write("GITHUB_ENV", b"\xef\xbb\xbfA=1\nnode_options=--inspect\nB=\xff\n");
        write("GITHUB_OUTPUT", b"O=1\n");
        write("GITHUB_PATH", b"/one\n\n/two\r\n");
        write("GITHUB_STEP_SUMMARY", b"# Hi");
        write("GITHUB_ARTIFACTS", b"out/a\n");
        fs::remove_file(&paths["GITHUB_STATE"]).expect("removed");
        let mut left = Left::default();
        files.collect(&mut left).expect("nothing fails the step");
        assert!(left.refused.len() == 1 && left.refused[0].contains("NODE_OPTIONS"), "{:?}", left.refused);
        assert_eq!(left.env.keys().collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!((left.env["A"].as_str(), left.env["B"].as_str()), ("1", "\u{fffd}"));
        assert_eq!((left.outputs["O"].as_str(), left.summary.as_str()), ("1", "# Hi"));
        assert_eq!((left.path, left.artifacts.as_str()), (vec!["/one".to_owned(), "/two".to_owned()], "out/a\n"));
        assert!(paths.values().all(|path| !Path::new(path).exists()));
    }

    #[test]
    fn only_files_that_no_step_wrote_are_removed_unread() {
        type Change<'c> = &'c dyn Fn(&IndexMap<String, String>);
        let changes: [(Change<'_>, bool); 5] = [
            (&|_| {}, true),
            (&|paths| fs::write(&paths["GITHUB_OUTPUT"], "O=1").expect("written"), false),
            (&|paths| fs::write(&paths["GITHUB_ARTIFACTS"], "a").expect("written"), false),
            (&|paths| fs::remove_file(&paths["GITHUB_ENV"]).expect("removed"), false),
            (
                &|paths| {
                    fs::remove_file(&paths["GITHUB_PATH"]).expect("removed");
                    symlink("/dev/null", &paths["GITHUB_PATH"]).expect("linked");
                },
                false,
            ),
        ];
        for (number, (change, untouched)) in changes.into_iter().enumerate() {
            let temp = tempfile::tempdir().expect("a folder");
            let (files, paths) = files_of(temp.path());
            change(&paths);
            assert_eq!(files.remove_untouched(), untouched, "{number}");
            assert_eq!(Path::new(&paths["GITHUB_STATE"]).exists(), !untouched, "{number}");
        }
    }

    #[test]
    fn a_byte_order_mark_decides_the_encoding() {
        let wide = |unit: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
            format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect()
        };
        for bytes in [
            wide(u16::to_le_bytes, "k=v\u{e9}\u{1f600}\nm<<E\n1\n2\nE\n"),
            wide(u16::to_be_bytes, "k=v\u{e9}\u{1f600}\nm<<E\n1\n2\nE\n"),
            "\u{feff}k=v\u{e9}\u{1f600}\nm<<E\n1\n2\nE\n".into(),
        ] {
            let temp = tempfile::tempdir().expect("a folder");
            let (files, paths) = files_of(temp.path());
            for name in ["GITHUB_OUTPUT", "GITHUB_ENV"] {
                fs::write(&paths[name], &bytes).expect("written");
            }
            fs::write(&paths["GITHUB_PATH"], wide(u16::to_le_bytes, "/a\r\n/b")).expect("written");
            let mut left = Left::default();
            files.collect(&mut left).expect("read");
            for found in [&left.outputs, &left.env] {
                assert_eq!((found["k"].as_str(), found["m"].as_str()), ("v\u{e9}\u{1f600}", "1\n2"));
            }
            assert_eq!(left.path, ["/a", "/b"]);
        }
        assert_eq!(decoded(b"\xff\xfea\0b"), "a\u{fffd}", "half a unit");
    }

    #[test]
    fn what_no_environment_can_have_is_dropped_in_words() {
        let temp = tempfile::tempdir().expect("a folder");
        let (files, paths) = files_of(temp.path());
        for name in ["GITHUB_ENV", "GITHUB_STATE"] {
            fs::write(&paths[name], "a\0b=1\nc<<E\n1\0\nE\nd=2\n").expect("written");
        }
        fs::write(&paths["GITHUB_PATH"], "/a\0\n/b\n").expect("written");
        let mut left = Left::default();
        files.collect(&mut left).expect("nothing fails the step");
        for found in [&left.env, &left.state] {
            assert_eq!(*found, IndexMap::from([("d".to_owned(), "2".to_owned())]));
        }
        assert_eq!((left.path, left.refused.len()), (vec!["/b".to_owned()], 5));
        assert_eq!(left.refused[0], "GITHUB_ENV: `a\u{fffd}b` is dropped: a variable cannot contain a NUL byte");
    }

    #[test]
    fn no_step_speaks_for_another() {
        let temp = tempfile::tempdir().expect("a folder");
        let (first, old) = files_of(temp.path());
        first.collect(&mut Left::default()).expect("nothing was written");
        let (second, _) = files_of(temp.path());
        // A daemon of the first step writes to the old file.
        fs::write(&old["GITHUB_OUTPUT"], "late=1\n").expect("written");
        let mut left = Left::default();
        second.collect(&mut left).expect("nothing was written");
        assert!(left.outputs.is_empty());
    }

    #[test]
    fn a_summary_over_the_limit_is_dropped() {
        let temp = tempfile::tempdir().expect("a folder");
        for (size, kept) in [(MAX_SUMMARY, true), (MAX_SUMMARY + 1, false)] {
            let (files, paths) = files_of(temp.path());
            fs::write(&paths["GITHUB_STEP_SUMMARY"], vec![b'x'; size as usize]).expect("written");
            let mut left = Left::default();
            files.collect(&mut left).expect("nothing fails the step");
            assert_eq!((left.summary.is_empty(), left.refused.is_empty()), (!kept, kept));
        }
    }

    #[test]
    fn what_a_step_puts_in_their_place_neither_holds_nor_fills_nor_reaches_anything() {
        type Replace<'r> = &'r dyn Fn(&str);
        let temp = tempfile::tempdir().expect("a folder");
        fs::write(temp.path().join("secret"), "STOLEN=1\n").expect("written");
        let fifo = |path: &str| {
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o600)).expect("made");
        };
        let sparse = |path: &str| fs::File::create(path).and_then(|file| file.set_len(300 << 30)).expect("made");
        let replaced: [(Replace<'_>, &str); 6] = [
            (&fifo, "a FIFO, not a regular file"),
            (&sparse, "larger than the limit of 16777216 bytes"),
            (&|path| symlink("/dev/zero", path).expect("linked"), "the path leads out of its folder"),
            (&|path| symlink("../../secret", path).expect("linked"), "the path leads out of its folder"),
            (&|path| symlink(path, path).expect("linked"), "the path leads out of its folder"),
            (&|path| fs::create_dir(path).expect("made"), "a folder, not a regular file"),
        ];
        for name in FILES {
            for (replace, reason) in replaced {
                let (files, paths) = files_of(temp.path());
                fs::remove_file(&paths[name]).expect("removed");
                replace(&paths[name]);
                let mut left = Left::default();
                let collected = files.collect(&mut left);
                assert!(left.env.is_empty() && left.outputs.is_empty() && left.summary.is_empty(), "{name}");
                let error = collected.as_ref().err().map(ToString::to_string);
                let found = format!("{error:?} {:?}", left.refused);
                let reason =
                    reason.replace("16777216", if name == "GITHUB_STEP_SUMMARY" { "1048576" } else { "16777216" });
                assert!(found.contains(&reason), "{name}: {found}");
                assert_eq!(collected.is_ok(), name == "GITHUB_STEP_SUMMARY", "{name}: {found}");
            }
        }
    }

    #[test]
    fn a_folder_that_is_a_link_is_neither_written_nor_opened_to_others() {
        let temp = tempfile::tempdir().expect("a folder");
        let outer = temp.path().join("outer");
        fs::create_dir(&outer).expect("made");
        fs::set_permissions(&outer, Permissions::from_mode(0o700)).expect("set");
        for link in ["_temp/_runner_file_commands", "_temp"] {
            let _ = fs::remove_dir_all(temp.path().join("_temp"));
            let link = temp.path().join(link);
            fs::create_dir_all(link.parent().expect("a parent")).expect("made");
            symlink(&outer, &link).expect("linked");
            assert!(CommandFiles::create(&temp.path().join("_temp"), true).is_err(), "{}", link.display());
            assert_eq!(fs::metadata(&outer).expect("there").permissions().mode() & 0o777, 0o700);
            assert_eq!(fs::read_dir(&outer).expect("there").count(), 0);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a<=E\\n ]{0,40}") {
            let _ = read(&text);
        }

        #[test]
        fn blocks_give_back_what_was_put_in(values in proptest::collection::vec("[a-z=<\\r\\n]{0,40}", 0..4)) {
            let pairs: Vec<_> = values.into_iter().enumerate().map(|(at, value)| (format!("n{at}"), value)).collect();
            let blocks: Vec<_> =
                pairs.iter().map(|(name, value)| format!("{name}<<__MARK__\n{value}\n__MARK__\n")).collect();
            proptest::prop_assert_eq!(read(&blocks.concat()), Ok(pairs));
        }
    }
}
