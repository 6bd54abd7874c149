//! The first line of a failed log that says what is wrong.
//!
//! The last `##[error]` of a step is mostly its exit code. What people look for is what a compiler or a test printed:
//! such lines are ranked, the first of the best rank wins, and the exit code never does.

use std::sync::LazyLock;

use regex::Regex;

/// Patterns by rank, best first. Each is what well-known tools print.
const RANKED: &[&str] = &[
    // Compilers and linters with a place: rustc, gcc, clang, go, tsc, ruff, mypy, eslint.
    r"^error(\[\w+\])?: |^\S+:\d+(:\d+)?:? (fatal )?error\b|^\S+\(\d+,\d+\): error\b|^\S+\.\w+:\d+:\d+: \w",
    // Assertions and failed tests: pytest, cargo, go, jest, TAP, junit.
    r"^E   +\S|^AssertionError|^assertion .* failed|panicked at|^--- FAIL|^FAILED\b|^FAIL\b|^not ok\b|✕ |✗ ",
    // Tools that say error plainly.
    r"(?i)^npm ERR!|^fatal: |^error: |^ERROR\b|\bError: |^Traceback|command not found|No such file or directory|^make: \*\*\*",
    // Anything that was marked as an error.
    r"^##\[error\]",
];

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    RANKED.iter().map(|pattern| Regex::new(pattern).expect("the patterns are written here")).collect()
});

/// Finds the line as the log is read: feed it every line in order.
#[derive(Debug, Default)]
pub struct FirstError {
    best: Option<(usize, u64, String)>,
    last: Option<(u64, String)>,
}

impl FirstError {
    /// Looks at a line.
    pub fn look(&mut self, number: u64, line: &str) {
        let line = plain(line);
        let line = line.trim_end();
        let text = line.trim_start_matches("##[error]");
        if text.trim().is_empty()
            || is_exit_code(text)
            || line.starts_with("##[group]")
            || line.starts_with("##[endgroup]")
        {
            return;
        }
        self.last = Some((number, text.trim().to_owned()));
        let limit = self.best.as_ref().map_or(PATTERNS.len(), |(rank, ..)| *rank);
        if let Some(rank) = PATTERNS.iter().take(limit).position(|pattern| pattern.is_match(line)) {
            self.best = Some((rank, number, text.trim().to_owned()));
        }
    }

    /// The best line that looks like an error, and its number.
    #[must_use]
    pub fn best(&self) -> Option<(u64, String)> {
        self.best.as_ref().map(|(_, number, line)| (*number, line.clone()))
    }

    /// The best line, else the last one that said anything.
    #[must_use]
    pub fn found(&self) -> Option<(u64, String)> {
        self.best().or_else(|| self.last.clone())
    }
}

fn is_exit_code(text: &str) -> bool {
    text.starts_with("Process completed with exit code") || text.starts_with("exit code ")
}

/// The line without control sequences.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let end = rest[at + 2..].find(|c: char| ('@'..='~').contains(&c)).map_or(rest.len(), |end| at + 3 + end);
        rest = &rest[end.min(rest.len())..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(log: &str) -> Option<String> {
        let mut finder = FirstError::default();
        log.lines().enumerate().for_each(|(number, line)| finder.look(number as u64, line));
        finder.found().map(|(_, line)| line)
    }

    #[test]
    fn what_is_wrong_is_found_and_the_exit_code_is_not() {
        for (log, expected) in [
            (
                "collecting\n\u{1b}[31mE   assert 1 == 2\u{1b}[0m\nFAILED tests/a.py::b\n##[error]Process completed with exit code 1.",
                Some("E   assert 1 == 2"),
            ),
            ("building\nsrc/a.c:3:1: error: no\n##[error]Something", Some("src/a.c:3:1: error: no")),
            ("error[E0308]: mismatched types\n  --> a.rs", Some("error[E0308]: mismatched types")),
            ("npm ERR! missing script", Some("npm ERR! missing script")),
            ("a\nb\n##[error]no coverage", Some("no coverage")),
            ("a\nsome last words\n\n", Some("some last words")),
            ("", None),
        ] {
            assert_eq!(first(log).as_deref(), expected, "{log}");
        }
    }
}
