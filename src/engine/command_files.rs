//! The five files through which a step talks to the runner: `GITHUB_ENV`, `_OUTPUT`, `_STATE`, `_PATH` and
//! `_STEP_SUMMARY`. They are fresh for every step, read whatever its exit code was, and removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

/// What a step leaves for the steps after it.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) outputs: IndexMap<String, String>,
    pub(super) state: IndexMap<String, String>,
    pub(super) env: IndexMap<String, String>,
    /// In the order in which they were added.
    pub(super) path: Vec<String>,
    pub(super) summary: String,
    /// Why the step failed although its process may not have.
    pub(super) error: Option<String>,
}

/// GitHub drops a larger summary and fails nothing else for it.
const LARGEST_SUMMARY: u64 = 1024 * 1024;

/// Names of the variables, each also the name of its file.
const FILES: [&str; 5] = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"];

/// The files of one step.
pub(super) struct CommandFiles {
    folder: PathBuf,
}

impl CommandFiles {
    /// Makes them, empty.
    ///
    /// # Errors
    /// The temp folder cannot be written.
    pub(super) fn create(temp: &Path) -> io::Result<Self> {
        let folder = temp.join("_runner_file_commands");
        fs::create_dir_all(&folder)?;
        let files = Self { folder };
        for name in FILES {
            File::create(files.path(name))?;
        }
        Ok(files)
    }

    /// The variables that name them.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        FILES.iter().map(|name| ((*name).to_owned(), self.path(name).to_string_lossy().into_owned()))
    }

    /// Reads what the step left and removes the files.
    ///
    /// # Errors
    /// A file that breaks the grammar, in words with its line; what the others say is taken in all the same.
    pub(super) fn collect(self, left: &mut Left) -> Result<(), String> {
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
            match self.read(name).and_then(|text| pairs(&text)) {
                Ok(pairs) => into.extend(pairs),
                Err(error) => fail(format!("{name}: {error}")),
            }
        }
        if left.env.shift_remove("NODE_OPTIONS").is_some() {
            fail("GITHUB_ENV: NODE_OPTIONS may not be set for later steps".to_owned());
        }
        match fs::metadata(self.path("GITHUB_STEP_SUMMARY")).map(|file| file.len()) {
            Ok(size) if size > LARGEST_SUMMARY => {
                fail(format!("the step's summary has {size} bytes, and {LARGEST_SUMMARY} is the limit"));
            }
            _ => left.summary = self.read("GITHUB_STEP_SUMMARY").unwrap_or_default(),
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            fail(format!("cannot remove the step's command files: {error}"));
        }
        first_error.map_or(Ok(()), Err)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
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

/// `name=value` lines and `name<<MARK … MARK` blocks. Whichever of `=` and `<<` comes first decides.
///
/// # Errors
/// The first line that is neither, or a block without its end, in words with the line's number.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        let (line, after) = cut_line(rest);
        rest = after;
        number += 1;
        if line.is_empty() {
            continue;
        }
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        match (equals, heredoc) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                if equals == 0 {
                    return Err(format!("line {number}: no name before `=`"));
                }
                pairs.push((line[..equals].to_owned(), line[equals + 1..].to_owned()));
            }
            (_, Some(heredoc)) => {
                let (name, mark) = (&line[..heredoc], &line[heredoc + 2..]);
                if name.is_empty() || mark.is_empty() {
                    return Err(format!("line {number}: `<<` needs a name before it and a mark after it"));
                }
                let opened = number;
                let block = rest;
                let length = loop {
                    if rest.is_empty() {
                        return Err(format!("line {opened}: the value of `{name}` has no end: no line is `{mark}`"));
                    }
                    let (line, after) = cut_line(rest);
                    number += 1;
                    let here = block.len() - rest.len();
                    rest = after;
                    if line == mark {
                        // The newline before the mark is not part of the value.
                        break here.saturating_sub(1);
                    }
                    if !block[..block.len() - rest.len()].ends_with('\n') {
                        return Err(format!("line {opened}: the value of `{name}` has no end: no line is `{mark}`"));
                    }
                };
                pairs.push((name.to_owned(), block[..length].to_owned()));
            }
            _ => return Err(format!("line {number}: expected name=value or name<<MARK, found `{line}`")),
        }
    }
    Ok(pairs)
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

    #[test]
    fn lines_and_blocks() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("a=1\n\nb=\n", &[("a", "1"), ("b", "")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a<<E\none\ntwo\nE\n", &[("a", "one\ntwo")]),
            ("a<<E\nE\n", &[("a", "")]),
            ("a<<E\n\nE", &[("a", "")]),
            ("a=x<<y\n", &[("a", "x<<y")]),
            ("a<<=\n1\n=\n", &[("a", "1")]),
            ("a=1\r\n", &[("a", "1\r")]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            assert_eq!(pairs(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn broken_ones_name_their_line() {
        for (text, line) in [
            ("a=1\nnonsense\n", "line 2"),
            ("=1\n", "line 1"),
            ("a<<\n", "line 1"),
            ("\na<<E\n1\n", "line 2"),
            ("a<<E\n1", "line 1"),
        ] {
            let error = pairs(text).expect_err(text);
            assert!(error.starts_with(line), "{text:?}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a<=E\\n ]{0,40}") {
            let _ = pairs(&text);
        }

        #[test]
        fn a_block_gives_back_what_was_put_in(value in "[a-z=<\\n]{0,40}") {
            let text = format!("name<<__MARK__\n{value}\n__MARK__\n");
            proptest::prop_assert_eq!(pairs(&text), Ok(vec![("name".to_owned(), value)]));
        }
    }
}
