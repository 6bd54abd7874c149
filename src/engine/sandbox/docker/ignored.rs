//! Files that `.dockerignore` excludes from a build context, by the rules of Docker's documentation.
//!
//! Crates for `.gitignore` cannot be used, because its rules differ: here, every pattern starts at the root of the
//! context, and the last pattern that matches a path or one of its parent folders decides.

use std::path::Path;

use regex::bytes::Regex;

use crate::files::{FileError, Folder, Links};

/// Name of the file.
const FILE: &str = ".dockerignore";

/// Maximum size of the file in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Why the ignore patterns of a context are invalid.
#[derive(Debug, thiserror::Error)]
pub(super) enum IgnoreError {
    #[error("cannot read {name}: {source}")]
    File { name: String, source: FileError },
    #[error("{name}:{line}: `{pattern}` is not a pattern")]
    Pattern { name: String, line: usize, pattern: String },
}

/// Patterns of paths that are excluded from a context. The default excludes nothing.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    patterns: Vec<Pattern>,
    /// Names that are always sent, because Docker itself reads these files.
    always: Vec<String>,
}

#[derive(Debug)]
struct Pattern {
    paths: Regex,
    /// Whether the pattern starts with `!`, so that matching paths are included again.
    is_exception: bool,
}

impl Ignored {
    /// Reads the patterns of a context: `DOCKERFILE.dockerignore` if it exists, or `.dockerignore`.
    ///
    /// # Errors
    /// A file cannot be read, is not a regular file of the context, is larger than [`MAX_FILE`], or has an invalid
    /// pattern.
    pub(super) fn of_context(context: &Folder, dockerfile: &str) -> Result<Self, IgnoreError> {
        let failed = |name: &str, source| IgnoreError::File { name: name.to_owned(), source };
        let always = vec![dockerfile.to_owned(), FILE.to_owned()];
        for name in [format!("{dockerfile}{FILE}"), FILE.to_owned()] {
            match context.read(Path::new(&name), Links::Within, MAX_FILE) {
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(failed(&name, error)),
                Ok(text) => return Ok(Self { patterns: patterns(&name, &String::from_utf8_lossy(&text))?, always }),
            }
        }
        Ok(Self { patterns: Vec::new(), always })
    }

    /// Whether a path of the context is excluded.
    pub(super) fn has(&self, path: &Path) -> bool {
        if self.always.iter().any(|name| path == Path::new(name)) {
            return false;
        }
        let above: Vec<_> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        let matches =
            |pattern: &Pattern| above.iter().any(|path| pattern.paths.is_match(path.as_os_str().as_encoded_bytes()));
        let last = self.patterns.iter().rev().find(|pattern| matches(pattern));
        last.is_some_and(|pattern| !pattern.is_exception)
    }

    /// Whether an excluded folder may contain paths that are included again.
    pub(super) fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_exception)
    }
}

fn patterns(name: &str, text: &str) -> Result<Vec<Pattern>, IgnoreError> {
    let mut all = Vec::new();
    for (line, text) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let pattern = text.trim();
        if text.starts_with('#') || pattern.is_empty() {
            continue;
        }
        let wrong = || IgnoreError::Pattern { name: name.to_owned(), line: line + 1, pattern: pattern.to_owned() };
        let exception = pattern.strip_prefix('!');
        let cleaned = clean(exception.unwrap_or(pattern).trim()).ok_or_else(wrong)?;
        let paths = Regex::new(&expression(&cleaned)).map_err(|_| wrong())?;
        all.push(Pattern { paths, is_exception: exception.is_some() });
    }
    Ok(all)
}

/// Normalizes a pattern like Go's `filepath.Clean`: removes `.`, redundant slashes, and each `..` with the folder
/// before it. Returns `.` if nothing is left, and `None` if the pattern is empty.
fn clean(pattern: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let cleaned = if parts.is_empty() { ".".to_owned() } else { parts.join("/") };
    (!pattern.is_empty()).then_some(cleaned)
}

/// Returns the regular expression of the paths that a pattern matches.
fn expression(pattern: &str) -> String {
    let mut text = "(?s-u)^".to_owned();
    let mut left = pattern.chars().peekable();
    let escaped = |c: char| regex::escape(&c.to_string());
    while let Some(c) = left.next() {
        match c {
            '*' if left.next_if_eq(&'*').is_some() => {
                let _ = left.next_if_eq(&'/');
                text.push_str(if left.peek().is_none() { ".*" } else { "(?:.*/)?" });
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("(?u:[^/])"),
            '[' => {
                text.push_str("(?u:[");
                if left.next_if_eq(&'^').is_some() {
                    text.push('^');
                }
                while let Some(inner) = left.next() {
                    match inner {
                        ']' => break,
                        '\\' => text.extend(left.next().map(escaped)),
                        '-' => text.push('-'),
                        inner => text.push_str(&escaped(inner)),
                    }
                }
                text.push_str("])");
            }
            '\\' => text.push_str(&escaped(left.next().unwrap_or('\\'))),
            other => text.push_str(&escaped(other)),
        }
    }
    text.push('$');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str) -> Ignored {
        Ignored { patterns: patterns(FILE, text).expect("patterns"), always: Vec::new() }
    }

    #[test]
    fn patterns_match_as_dockers_documentation_says() {
        // Patterns from the documentation, with paths that match and paths that do not.
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("*/temp*", &["somedir/temporary.txt", "somedir/temp"], &["temp", "a/b/temp"]),
            ("*/*/temp*", &["somedir/subdir/temporary.txt"], &["somedir/temp", "a/b/c/temp"]),
            ("temp?", &["tempa", "tempb", "tempü"], &["temp", "tempab", "a/tempa"]),
            ("**/*.go", &["a.go", "a/b.go", "a/b/c.go"], &["a.goo", "a/go"]),
            ("*.md", &["README.md"], &["docs/README.md"]),
            ("/foo/bar", &["foo/bar", "foo/bar/x"], &["foo", "x/foo/bar"]),
            ("foo/bar", &["foo/bar"], &["foo", "x/foo/bar"]),
            ("foo/", &["foo", "foo/a/b"], &["foobar"]),
            ("./a//b/../c", &["a/c", "a/c/d"], &["a/b"]),
            ("**", &["a", "a/b/.c"], &[]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b"]),
            ("a/**/z", &["a/z", "a/b/c/z"], &["a/bz", "z"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "-x"]),
            ("[^a-c]x", &["dx"], &["ax"]),
            (r"\*x", &["*x"], &["ax"]),
            ("a.b+(c)|{d}$^", &["a.b+(c)|{d}$^"], &["aXb+(c)|{d}$^"]),
            ("# a comment\n\n  # no comment ", &["# no comment"], &["# a comment"]),
            (".", &[], &["a"]),
        ];
        for (pattern, matched, others) in cases {
            let ignored = ignored(pattern);
            for path in *matched {
                assert!(ignored.has(Path::new(path)), "{pattern}: {path}");
            }
            for path in *others {
                assert!(!ignored.has(Path::new(path)), "{pattern}: {path}");
            }
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let readmes = ["README.md", "README-secret.md", "other.md"];
        let left = |text: &str| {
            let ignored = ignored(text);
            readmes.into_iter().filter(|path| ignored.has(Path::new(path))).collect::<Vec<_>>()
        };
        assert_eq!(left("*.md\n!README.md"), ["README-secret.md", "other.md"]);
        assert_eq!(left("*.md\n!README*.md\nREADME-secret.md"), ["README-secret.md", "other.md"]);
        assert_eq!(left("*.md\nREADME-secret.md\n!README*.md"), ["other.md"]);
        let folder = ignored("docs\n!docs/keep");
        assert!(folder.has(Path::new("docs/x")) && !folder.has(Path::new("docs/keep/y")) && folder.has_exceptions());
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_line() {
        for (text, message) in
            [("a\n!", ".dockerignore:2: `!` is not a pattern"), ("[z-a]", ".dockerignore:1: `[z-a]` is not a pattern")]
        {
            assert_eq!(patterns(FILE, text).expect_err("wrong").to_string(), message);
        }
    }
}
