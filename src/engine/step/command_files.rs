//! The five files through which a step talks to the runner: `GITHUB_ENV`, `_OUTPUT`, `_STATE`, `_PATH` and
//! `_STEP_SUMMARY`. They are fresh for every step, read whatever its exit code was, and removed.
//!
//! Their names differ from step to step, so that a process which outlives its step cannot speak for a later one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

/// What a step leaves for the steps after it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Left {
    pub(in crate::engine) outputs: IndexMap<String, String>,
    pub(in crate::engine) state: IndexMap<String, String>,
    pub(in crate::engine) env: IndexMap<String, String>,
    /// In the order in which they were added.
    pub(in crate::engine) path: Vec<String>,
    pub(in crate::engine) summary: String,
    /// What was refused without failing the step.
    pub(in crate::engine) refused: Vec<String>,
    /// Why the step failed although its process may not have.
    pub(in crate::engine) error: Option<String>,
}

/// GitHub drops a larger summary and fails nothing else for it.
const LARGEST_SUMMARY: u64 = 1024 * 1024;

/// Names of the variables, each also the name of its file.
const FILES: [&str; 5] = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"];

/// The files of one step.
pub(in crate::engine) struct CommandFiles {
    folder: PathBuf,
    /// What no other step's files end in.
    suffix: String,
}

impl CommandFiles {
    /// Makes them, empty.
    ///
    /// # Errors
    /// The temp folder cannot be written, or the machine has no random numbers.
    pub(in crate::engine) fn create(temp: &Path) -> io::Result<Self> {
        let folder = temp.join("_runner_file_commands");
        fs::create_dir_all(&folder)?;
        let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let files = Self { folder, suffix: format!("{random:016x}") };
        for name in FILES {
            File::create(files.path(name))?;
        }
        Ok(files)
    }

    /// The folder that they are in.
    pub(in crate::engine) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lets every user of a container write them, whoever its steps run as.
    pub(in crate::engine) fn open_to_all(&self) {
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        // A file system without modes has none to change.
        let _ = mode(&self.folder, 0o777);
        for name in FILES {
            let _ = mode(&self.path(name), 0o666);
        }
    }

    /// The variables that name them.
    pub(in crate::engine) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        FILES.iter().map(|name| ((*name).to_owned(), self.path(name).to_string_lossy().into_owned()))
    }

    /// Reads what the step left and removes the files.
    ///
    /// # Errors
    /// A file that breaks the grammar, in words with its line; what the others say is taken in all the same.
    pub(in crate::engine) fn collect(self, left: &mut Left) -> Result<(), String> {
        let mut first_error = None;
        let mut fail = |error: String| {
            first_error.get_or_insert(error);
        };
        for line in self.read("GITHUB_PATH").unwrap_or_default().lines().filter(|line| !line.trim().is_empty()) {
            left.path.push(line.to_owned());
        }
        for (name, into) in
            [("GITHUB_ENV", &mut left.env), ("GITHUB_STATE", &mut left.state), ("GITHUB_OUTPUT", &mut left.outputs)]
        {
            if let Err(error) = self.read(name).and_then(|text| pairs(&text, into)) {
                fail(format!("{name}: {error}"));
            }
        }
        let known = left.env.len();
        left.env.retain(|name, _| !name.eq_ignore_ascii_case("NODE_OPTIONS"));
        if left.env.len() < known {
            left.refused.push("GITHUB_ENV: NODE_OPTIONS may not be set for later steps".to_owned());
        }
        match fs::metadata(self.path("GITHUB_STEP_SUMMARY")).map(|file| file.len()) {
            Ok(size) if size > LARGEST_SUMMARY => {
                let dropped =
                    format!("the step's summary is dropped: it has {size} bytes, the limit is {LARGEST_SUMMARY}");
                left.refused.push(dropped);
            }
            _ => left.summary = self.read("GITHUB_STEP_SUMMARY").unwrap_or_default(),
        }
        for name in FILES {
            // The step may have removed it; what cannot be removed goes with the job's temp folder.
            let _ = fs::remove_file(self.path(name));
        }
        first_error.map_or(Ok(()), Err)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}_{}", self.suffix))
    }

    /// A file that the step removed says nothing.
    fn read(&self, name: &str) -> Result<String, String> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    }
}

/// Reads `name=value` lines and `name<<MARK … MARK` blocks. Whichever of `=` and `<<` comes first decides.
///
/// # Errors
/// The first line that is neither, or a block without its end, in words with the line's number. What stands before it
/// is taken in.
fn pairs(text: &str, into: &mut IndexMap<String, String>) -> Result<(), String> {
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        let (line, after) = cut_line(rest);
        rest = after;
        number += 1;
        if line.is_empty() {
            continue;
        }
        let (name, mark) = match (line.find('='), line.find("<<")) {
            (Some(0), _) => return Err(format!("line {number}: no name before `=`")),
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                into.insert(line[..equals].to_owned(), line[equals + 1..].to_owned());
                continue;
            }
            (_, Some(heredoc)) => (&line[..heredoc], &line[heredoc + 2..]),
            _ => return Err(format!("line {number}: expected name=value or name<<MARK, found `{line}`")),
        };
        if name.is_empty() || mark.is_empty() {
            return Err(format!("line {number}: `<<` needs a name before it and a mark after it"));
        }
        let (value, after) = block(rest, mark)
            .ok_or_else(|| format!("line {number}: the value of `{name}` has no end: no line is `{mark}`"))?;
        number += rest[..rest.len() - after.len()].lines().count();
        into.insert(name.to_owned(), value.to_owned());
        rest = after;
    }
    Ok(())
}

/// What stands before the first line that is the mark, without its last newline, and what comes after that line.
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

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut found = IndexMap::new();
        pairs(text, &mut found).map(|()| found.into_iter().collect())
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
        let files = CommandFiles::create(temp).expect("made");
        let paths = files.variables().collect();
        (files, paths)
    }

    #[test]
    fn a_step_leaves_what_it_wrote_and_no_file() {
        let temp = tempfile::tempdir().expect("a folder");
        let (files, paths) = files_of(temp.path());
        for path in paths.values() {
            assert_eq!(fs::read(path).expect("exists"), b"", "{path}");
        }
        let write = |name: &str, bytes: &[u8]| fs::write(&paths[name], bytes).expect("written");
        write("GITHUB_ENV", b"\xef\xbb\xbfA=1\nnode_options=--inspect\nB=\xff\n");
        write("GITHUB_OUTPUT", b"O=1\n");
        write("GITHUB_PATH", b"/one\n\n/two\r\n");
        write("GITHUB_STEP_SUMMARY", b"# Hi");
        fs::remove_file(&paths["GITHUB_STATE"]).expect("removed");
        let mut left = Left::default();
        files.collect(&mut left).expect("nothing fails the step");
        assert!(left.refused.len() == 1 && left.refused[0].contains("NODE_OPTIONS"), "{:?}", left.refused);
        assert_eq!(left.env.keys().collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!((left.env["A"].as_str(), left.env["B"].as_str()), ("1", "\u{fffd}"));
        assert_eq!((left.outputs["O"].as_str(), left.summary.as_str()), ("1", "# Hi"));
        assert_eq!(left.path, ["/one", "/two"]);
        assert!(paths.values().all(|path| !Path::new(path).exists()));
    }

    #[test]
    fn no_step_speaks_for_another() {
        let temp = tempfile::tempdir().expect("a folder");
        let (first, old) = files_of(temp.path());
        first.collect(&mut Left::default()).expect("nothing was written");
        let (second, _) = files_of(temp.path());
        // A daemon of the first step.
        fs::write(&old["GITHUB_OUTPUT"], "late=1\n").expect("written");
        let mut left = Left::default();
        second.collect(&mut left).expect("nothing was written");
        assert!(left.outputs.is_empty());
    }

    #[test]
    fn a_summary_over_the_limit_is_dropped() {
        let temp = tempfile::tempdir().expect("a folder");
        for (size, kept) in [(LARGEST_SUMMARY, true), (LARGEST_SUMMARY + 1, false)] {
            let (files, paths) = files_of(temp.path());
            fs::write(&paths["GITHUB_STEP_SUMMARY"], vec![b'x'; size as usize]).expect("written");
            let mut left = Left::default();
            files.collect(&mut left).expect("nothing fails the step");
            assert_eq!((left.summary.is_empty(), left.refused.is_empty()), (!kept, kept));
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
