//! Problem matchers: patterns that turn lines of output into annotations.

use fancy_regex::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

use crate::model::{Annotation, Level};

/// A pattern that runs into this many steps of backtracking counts as a strike; the runner gives a pattern one second.
const BACKTRACK_LIMIT: usize = 100_000;

/// A matcher with this many strikes is removed.
const STRIKES: u32 = 3;

/// The registered matchers of a job, newest first.
#[derive(Debug, Default)]
pub(super) struct Matchers(Vec<Matcher>);

#[derive(Debug)]
struct Matcher {
    owner: String,
    severity: Level,
    patterns: Vec<Pattern>,
    /// How many patterns of a sequence have matched, and what they told.
    at: usize,
    found: Found,
    strikes: u32,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    groups: Groups,
    repeats: bool,
}

#[derive(Debug, Default, Clone)]
struct Found {
    file: Option<String>,
    from_path: Option<String>,
    line: Option<String>,
    column: Option<String>,
    severity: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Deserialize, Default, Clone)]
#[serde(rename_all = "camelCase", default)]
struct Groups {
    file: Option<usize>,
    from_path: Option<usize>,
    line: Option<usize>,
    column: Option<usize>,
    severity: Option<usize>,
    code: Option<usize>,
    message: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    problem_matcher: Vec<Definition>,
}

#[derive(Deserialize)]
struct Definition {
    owner: String,
    #[serde(default)]
    severity: String,
    pattern: Vec<PatternDefinition>,
}

#[derive(Deserialize)]
struct PatternDefinition {
    regexp: String,
    #[serde(default, rename = "loop")]
    repeats: bool,
    #[serde(flatten)]
    groups: Groups,
}

/// The owners that a matcher file defines.
///
/// # Errors
/// It is no matcher file, in words.
pub(super) fn owners(text: &str) -> Result<Vec<String>, String> {
    Ok(read(text)?.problem_matcher.into_iter().map(|definition| definition.owner).collect())
}

fn read(text: &str) -> Result<Document, String> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| format!("not a problem matcher: {error}"))
}

impl Matchers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Registers what a matcher file defines; a known owner is replaced.
    ///
    /// # Errors
    /// It is no matcher file, or a pattern is no regular expression, in words.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        for definition in read(text)?.problem_matcher {
            let matcher = Matcher::new(definition)?;
            self.remove(&matcher.owner);
            self.0.insert(0, matcher);
        }
        Ok(())
    }

    /// Forgets an owner's matcher.
    pub(super) fn remove(&mut self, owner: &str) {
        self.0.retain(|known| !known.owner.eq_ignore_ascii_case(owner));
    }

    /// Reads a line; `exists` says whether a file is one of the workspace. The first matcher that completes wins, and
    /// the others start over.
    pub(super) fn scan(&mut self, line: &str, exists: &dyn Fn(&str) -> bool) -> Option<Annotation> {
        let line = plain(line);
        let mut winner = None;
        for (place, matcher) in self.0.iter_mut().enumerate() {
            if let Some(annotation) = matcher.scan(&line, exists) {
                winner = Some((place, annotation));
                break;
            }
        }
        if let Some((winner, _)) = &winner {
            for (place, matcher) in self.0.iter_mut().enumerate() {
                if place != *winner {
                    matcher.reset();
                }
            }
        }
        self.0.retain(|matcher| matcher.strikes < STRIKES);
        winner.map(|(_, annotation)| annotation)
    }
}

impl Matcher {
    fn new(definition: Definition) -> Result<Self, String> {
        let owner = definition.owner;
        if owner.is_empty() || definition.pattern.is_empty() {
            return Err("a problem matcher needs an owner and at least one pattern".to_owned());
        }
        let mut patterns = Vec::new();
        for pattern in definition.pattern {
            let regex = RegexBuilder::new(&pattern.regexp).backtrack_limit(BACKTRACK_LIMIT).build();
            let regex = regex.map_err(|error| format!("pattern of `{owner}`: {error}"))?;
            patterns.push(Pattern { regex, groups: pattern.groups, repeats: pattern.repeats });
        }
        let severity = level(&definition.severity);
        Ok(Self { owner, severity, patterns, at: 0, found: Found::default(), strikes: 0 })
    }

    fn reset(&mut self) {
        self.at = 0;
        self.found = Found::default();
    }

    fn scan(&mut self, line: &str, exists: &dyn Fn(&str) -> bool) -> Option<Annotation> {
        let last = self.patterns.len() - 1;
        let pattern = &self.patterns[self.at];
        match pattern.regex.captures(line) {
            Err(_) => {
                self.strikes += 1;
                self.reset();
                None
            }
            Ok(None) => {
                // The line may begin a new sequence where it breaks an old one.
                let again = self.at > 0;
                self.reset();
                if again { self.scan(line, exists) } else { None }
            }
            Ok(Some(captures)) => {
                let mut found = self.found.clone();
                found.take(&pattern.groups, &captures);
                if self.at < last {
                    self.at += 1;
                    self.found = found;
                    return None;
                }
                if !pattern.repeats || last == 0 {
                    self.reset();
                }
                found.annotation(self.severity, exists)
            }
        }
    }
}

impl Found {
    fn take(&mut self, groups: &Groups, captures: &Captures<'_>) {
        let text = |group: Option<usize>| {
            let found = captures.get(group?)?.as_str().trim();
            (!found.is_empty()).then(|| found.to_owned())
        };
        let pairs = [
            (&mut self.file, groups.file),
            (&mut self.from_path, groups.from_path),
            (&mut self.line, groups.line),
            (&mut self.column, groups.column),
            (&mut self.severity, groups.severity),
            (&mut self.code, groups.code),
            (&mut self.message, groups.message),
        ];
        for (field, group) in pairs {
            if let Some(found) = text(group) {
                *field = Some(found);
            }
        }
    }

    fn annotation(self, severity: Level, exists: &dyn Fn(&str) -> bool) -> Option<Annotation> {
        let message = self.message?;
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let beside =
            self.from_path.as_deref().and_then(|path| path.rsplit_once('/')).map(|(folder, _)| folder.to_owned());
        let file = self.file.map(|file| match beside {
            Some(folder) if !file.starts_with('/') => format!("{folder}/{file}"),
            _ => file,
        });
        let file = file.filter(|file| exists(file));
        let line = number(self.line).filter(|_| file.is_some());
        Some(Annotation {
            level: self.severity.as_deref().map_or(severity, level),
            message,
            title: self.code,
            column: number(self.column).filter(|_| line.is_some()),
            file,
            line,
            end_line: None,
            end_column: None,
        })
    }
}

fn level(word: &str) -> Level {
    match word.to_ascii_lowercase().as_str() {
        "warning" => Level::Warning,
        "notice" | "info" => Level::Notice,
        _ => Level::Error,
    }
}

/// The line without colour.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let sequence = &rest[at + 2..];
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).map_or(sequence.len(), |end| end + 1);
        rest = &sequence[end..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCC: &str = r#"{"problemMatcher":[{"owner":"gcc","pattern":[{
        "regexp":"^(.+):(\\d+):(\\d+): (warning|error): (.+)$","file":1,"line":2,"column":3,"severity":4,"message":5}]}]}"#;
    const ESLINT: &str = r#"{"problemMatcher":[{"owner":"eslint","pattern":[
        {"regexp":"^([^\\s].*)$","file":1},
        {"regexp":"^\\s+(\\d+):(\\d+)\\s+(error|warning)\\s+(.*)\\s\\s+(.*)$","line":1,"column":2,"severity":3,"message":4,"code":5,"loop":true}]}]}"#;

    fn with(text: &str) -> Matchers {
        let mut matchers = Matchers::default();
        matchers.add(text).expect("a matcher");
        matchers
    }

    #[test]
    fn one_line_with_colours() {
        let found = with(GCC).scan("\u{1b}[1msrc/a.c:3:9: error: no\u{1b}[0m", &|_| true).expect("matches");
        assert_eq!((found.file.as_deref(), found.line, found.column), (Some("src/a.c"), Some(3), Some(9)));
        assert_eq!((found.level, found.message.as_str()), (Level::Error, "no"));
    }

    #[test]
    fn a_file_that_is_not_in_the_workspace_is_left_out_and_the_message_stays() {
        let found = with(GCC).scan("/usr/x.h:3:9: warning: hm", &|_| false).expect("matches");
        assert_eq!((found.file, found.line, found.message.as_str()), (None, None, "hm"));
    }

    #[test]
    fn a_loop_goes_on_until_a_line_breaks_it() {
        let mut matchers = with(ESLINT);
        let mut scan =
            |line: &str| matchers.scan(line, &|_| true).map(|found| (found.file.expect("a file"), found.line));
        assert_eq!(scan("one.js"), None);
        assert_eq!(scan("  1:2  error  bad  rule"), Some(("one.js".into(), Some(1))));
        assert_eq!(scan("  3:4  warning  hm  rule"), Some(("one.js".into(), Some(3))));
        assert_eq!(scan("two.js"), None);
        assert_eq!(scan("  5:6  error  bad  rule"), Some(("two.js".into(), Some(5))));
    }

    #[test]
    fn an_owner_is_replaced_and_removed() {
        let mut matchers = with(GCC);
        matchers.add(GCC).expect("again");
        assert_eq!(matchers.0.len(), 1);
        matchers.remove("GCC");
        assert!(matchers.is_empty());
    }

    #[test]
    fn a_pattern_that_explodes_is_removed_after_three_strikes() {
        let mut matchers = with(
            r#"{"problemMatcher":[{"owner":"x","pattern":[{"regexp":"^(?=(a+)+$)(?!b)(a|aa)+\\1c$","message":1}]}]}"#,
        );
        for _ in 0..STRIKES {
            assert!(!matchers.is_empty());
            assert_eq!(matchers.scan(&"a".repeat(40), &|_| true), None);
        }
        assert!(matchers.is_empty());
    }

    #[test]
    fn what_is_no_matcher_says_so() {
        for text in ["", "{}", r#"{"problemMatcher":[{"owner":"x","pattern":[{"regexp":"("}]}]}"#] {
            assert!(Matchers::default().add(text).is_err(), "{text}");
        }
    }
}
