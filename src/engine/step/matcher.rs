//! Problem matchers: patterns that turn lines of output into annotations.
//!
//! A matcher is one pattern, or a sequence of patterns for the lines of one message. Several sequences may be in
//! progress at once, because a line can continue one sequence and start another.
//!
//! A step chooses its patterns, so the time to match a line must be bounded. The length of a line, the size of a
//! pattern and the number of patterns are limited, and a time limit stops whatever is still too slow. The size of all
//! patterns of a job is limited to bound their memory.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use fancy_regex::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

use crate::model::{Annotation, Level};

/// Backtracking limit of a pattern. A matcher whose pattern reaches it gets a strike. GitHub's runner limits the time
/// of a pattern to one second instead.
const BACKTRACK_LIMIT: usize = 100_000;

/// Limits in bytes for the size of each compiled part of a pattern. The smallest limit under which all parts compile
/// counts as the size of each.
const PATTERN_SIZES: [usize; 5] = [1024, 16 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024];

/// Maximum size in bytes of all compiled patterns of a job. Patterns that have matched lines take up to 32 times as
/// much memory.
const MAX_PATTERNS_SIZE: usize = 8 * 1024 * 1024;

/// Maximum number of patterns of a matcher.
const MAX_PATTERNS: usize = 20;

/// Maximum number of matchers of a job.
const MAX_MATCHERS: usize = 100;

/// Number of bytes at the start of a line that are matched.
const MAX_MATCHED: usize = 16 * 1024;

/// How long a line may be matched before the remaining matchers are skipped. A matcher that takes this long gets a
/// strike.
const MAX_LINE_TIME: Duration = Duration::from_secs(1);

/// How long the patterns of a file may take to compile.
const MAX_COMPILE_TIME: Duration = Duration::from_secs(5);

/// Number of strikes after which a matcher is removed.
const STRIKES: u32 = 3;

/// An error in the text of a matcher file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MatcherError {
    #[error("not a problem matcher: {0}")]
    Form(#[from] serde_json::Error),
    #[error("a problem matcher has no owner")]
    NoOwner,
    #[error("the owner `{0}` has two problem matchers")]
    SameOwner(String),
    #[error("a job may have at most {MAX_MATCHERS} problem matchers")]
    TooMany,
    #[error("its patterns take more than {} s to compile", MAX_COMPILE_TIME.as_secs())]
    TooSlow,
    #[error("problem matcher `{owner}`: {fault}")]
    Matcher { owner: String, fault: MatcherFault },
}

/// An error in one matcher: a violated rule of GitHub's runner, or an exceeded limit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MatcherFault {
    #[error("unknown severity `{0}`: expected error, warning or notice")]
    Severity(String),
    #[error("`{regexp}`: {source}")]
    Regexp { regexp: String, source: Box<fancy_regex::Error> },
    #[error(
        "the patterns of all problem matchers of a job may take at most {} MiB when they are compiled",
        MAX_PATTERNS_SIZE / 1024 / 1024
    )]
    TooLarge,
    #[error("it has no pattern")]
    NoPattern,
    #[error("it has more than {MAX_PATTERNS} patterns")]
    TooManyPatterns,
    #[error("only the last of several patterns may have `loop`")]
    Loop,
    #[error("the pattern with `loop` needs a group for `message`")]
    LoopWithoutMessage,
    #[error("`{name}` is group {group}, which `{regexp}` does not have")]
    NoGroup { name: &'static str, group: usize, regexp: String },
    #[error("`{0}` has a group twice")]
    Twice(&'static str),
    #[error("no pattern has a group for `message`")]
    NoMessage,
}

/// The registered matchers of a job, newest first.
#[derive(Debug, Default)]
pub(crate) struct Matchers {
    known: Vec<Matcher>,
    /// Owners, in lower case, whose matchers were registered or removed.
    changed: Vec<String>,
}

#[derive(Clone, Debug)]
struct Matcher {
    owner: String,
    severity: Level,
    patterns: Vec<Pattern>,
    /// For each pattern but the last: the captures of the patterns up to this one, if the previous line matched it.
    begun: Vec<Option<Found>>,
    strikes: u32,
}

#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    /// Upper bound of the size in bytes.
    size: usize,
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

/// Numbers of the capture groups of a pattern, by property.
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

/// Returns the owners that the text of a matcher file defines.
///
/// # Errors
/// The text is not a matcher file.
pub(super) fn owners(text: &str) -> Result<Vec<String>, MatcherError> {
    Ok(read(text)?.problem_matcher.into_iter().map(|definition| definition.owner).collect())
}

fn read(text: &str) -> Result<Document, MatcherError> {
    Ok(serde_json::from_str(text.trim_start_matches('\u{feff}'))?)
}

impl Matchers {
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns a copy for a step that runs in parallel with others.
    pub(crate) fn branch(&self) -> Self {
        Self { known: self.known.clone(), changed: Vec::new() }
    }

    /// Applies the registrations and removals that were made in a copy.
    pub(crate) fn join(&mut self, branch: Self) {
        for owner in &branch.changed {
            self.remove(owner);
        }
        let is_new = |matcher: &Matcher| branch.changed.contains(&matcher.owner.to_ascii_lowercase());
        self.known.splice(0..0, branch.known.into_iter().filter(is_new));
    }

    /// Registers the matchers in the text of a matcher file. An existing matcher of the same owner is replaced.
    ///
    /// # Errors
    /// The text is not a matcher file, or one of its matchers violates a rule or exceeds a limit. In these cases, none
    /// of its matchers is registered.
    pub(super) fn add(&mut self, text: &str) -> Result<(), MatcherError> {
        let defined = read(text)?.problem_matcher;
        let mut owners = HashSet::new();
        if let Some(twice) = defined.iter().find(|new| !owners.insert(new.owner.to_ascii_lowercase())) {
            return Err(MatcherError::SameOwner(twice.owner.clone()));
        }
        let kept = self.known.iter().filter(|known| !owners.contains(&known.owner.to_ascii_lowercase()));
        if kept.clone().count() + defined.len() > MAX_MATCHERS {
            return Err(MatcherError::TooMany);
        }
        let mut left =
            MAX_PATTERNS_SIZE - kept.flat_map(|known| &known.patterns).map(|pattern| pattern.size).sum::<usize>();
        let began = Instant::now();
        let mut new = Vec::new();
        for definition in defined {
            if began.elapsed() > MAX_COMPILE_TIME {
                return Err(MatcherError::TooSlow);
            }
            new.push(Matcher::new(definition, &mut left)?);
        }
        for matcher in new {
            self.remove(&matcher.owner);
            self.known.insert(0, matcher);
        }
        Ok(())
    }

    /// Drops the sequences in progress, because they do not continue in another step.
    pub(crate) fn start_over(&mut self) {
        self.known.iter_mut().for_each(|matcher| matcher.begun.fill(None));
    }

    /// Removes an owner's matcher.
    pub(crate) fn remove(&mut self, owner: &str) {
        self.known.retain(|known| !known.owner.eq_ignore_ascii_case(owner));
        self.changed.push(owner.to_ascii_lowercase());
    }

    /// Returns the annotation of the first matcher for which a line completes a message; the other matchers then start
    /// over. `exists` returns whether a file is in the workspace. Removes matchers that were too slow [`STRIKES`]
    /// times.
    pub(crate) fn scan(&mut self, line: &str, exists: &dyn Fn(&str) -> bool) -> Option<Annotation> {
        let line = plain(&line[..line.floor_char_boundary(MAX_MATCHED)]);
        let began = Instant::now();
        let mut before = began;
        let mut annotation = None;
        for place in 0..self.known.len() {
            if before - began > MAX_LINE_TIME {
                break;
            }
            let found = self.known[place].scan(&line);
            let after = Instant::now();
            if after - before > MAX_LINE_TIME {
                self.known[place].strikes += 1;
            }
            before = after;
            let Some(found) = found else { continue };
            for (other, matcher) in self.known.iter_mut().enumerate() {
                if other != place {
                    matcher.begun.fill(None);
                }
            }
            annotation = found.annotation(self.known[place].severity, exists);
            if annotation.is_some() {
                break;
            }
        }
        self.known.retain(|matcher| matcher.strikes < STRIKES);
        annotation
    }
}

impl Matcher {
    /// Compiles the patterns of a matcher, and subtracts their size from `left`, which all patterns of the job share.
    fn new(definition: Definition, left: &mut usize) -> Result<Self, MatcherError> {
        let owner = definition.owner;
        if owner.is_empty() {
            return Err(MatcherError::NoOwner);
        }
        let of = |fault: MatcherFault| MatcherError::Matcher { owner: owner.clone(), fault };
        let severity = match definition.severity.as_str() {
            "" => Level::Error,
            word => level(word).ok_or_else(|| of(MatcherFault::Severity(word.to_owned())))?,
        };
        if definition.pattern.len() > MAX_PATTERNS {
            return Err(of(MatcherFault::TooManyPatterns));
        }
        let patterns = definition.pattern.into_iter().map(|pattern| Pattern::new(pattern, left));
        let patterns = patterns.collect::<Result<Vec<_>, _>>().map_err(of)?;
        check(&patterns).map_err(of)?;
        let begun = vec![None; patterns.len() - 1];
        Ok(Self { owner, severity, patterns, begun, strikes: 0 })
    }

    /// Returns the captures of the message that the line completes; `None` if it completes none. Later patterns are
    /// tried first, so that a line advances a sequence only once.
    fn scan(&mut self, line: &str) -> Option<Found> {
        let last = self.patterns.len() - 1;
        for at in (0..=last).rev() {
            let before = match at.checked_sub(1) {
                None => Found::default(),
                Some(before) => match &self.begun[before] {
                    Some(found) => found.clone(),
                    None => continue,
                },
            };
            let pattern = &self.patterns[at];
            let found = match pattern.regex.captures(line) {
                Err(_) => {
                    self.strikes += 1;
                    self.begun.fill(None);
                    return None;
                }
                Ok(captures) => captures.map(|captures| before.clone().and(&pattern.groups, &captures)),
            };
            if at < last {
                self.begun[at] = found;
            } else if found.is_some() {
                self.begun.fill(None);
                if pattern.repeats {
                    self.begun[at - 1] = Some(before);
                }
                return found;
            } else if at > 0 {
                self.begun[at - 1] = None;
            }
        }
        None
    }
}

impl Pattern {
    fn new(definition: PatternDefinition, left: &mut usize) -> Result<Self, MatcherFault> {
        let regexp = definition.regexp;
        let mut builder = RegexBuilder::new(&regexp);
        builder.backtrack_limit(BACKTRACK_LIMIT);
        let parts = parts(&regexp);
        let mut fault = None;
        for limit in PATTERN_SIZES {
            let size = limit * parts;
            *left = left.checked_sub(size).ok_or(MatcherFault::TooLarge)?;
            match builder.delegate_size_limit(limit).build() {
                Ok(regex) => {
                    return Ok(Self { regex, size, groups: definition.groups, repeats: definition.repeats });
                }
                Err(error) => {
                    *left += size;
                    let is_size = matches!(error, fancy_regex::Error::CompileError(_));
                    fault = Some(error);
                    if !is_size {
                        break;
                    }
                }
            }
        }
        let source = Box::new(fault.expect("there are sizes"));
        Err(MatcherFault::Regexp { regexp, source })
    }
}

/// Returns an upper bound of the number of parts of a pattern that are compiled separately. A pattern with look-around
/// or back-references has several parts, because automata do not support them.
fn parts(regexp: &str) -> usize {
    const BEYOND: [&str; 12] = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "(?(", "(?P=", "(?P>", "++", "*+", "?+", "}+"];
    let is_reference = |pair: &[u8]| pair[0] == b'\\' && (pair[1].is_ascii_digit() || b"kgKG".contains(&pair[1]));
    if BEYOND.iter().any(|it| regexp.contains(it)) || regexp.as_bytes().windows(2).any(is_reference) {
        1 + regexp.bytes().filter(|byte| b"()|\\+*?{".contains(byte)).count()
    } else {
        1
    }
}

impl Groups {
    fn named(&self) -> [(&'static str, Option<usize>); 7] {
        [
            ("file", self.file),
            ("fromPath", self.from_path),
            ("line", self.line),
            ("column", self.column),
            ("severity", self.severity),
            ("code", self.code),
            ("message", self.message),
        ]
    }
}

/// Checks the rules of GitHub's runner for the patterns of a matcher.
fn check(patterns: &[Pattern]) -> Result<(), MatcherFault> {
    let last = patterns.len().checked_sub(1).ok_or(MatcherFault::NoPattern)?;
    let mut found = HashSet::new();
    for (at, pattern) in patterns.iter().enumerate() {
        if pattern.repeats && (at == 0 || at < last) {
            return Err(MatcherFault::Loop);
        }
        if pattern.repeats && pattern.groups.message.is_none() {
            return Err(MatcherFault::LoopWithoutMessage);
        }
        for (name, group) in pattern.groups.named() {
            let Some(group) = group else { continue };
            if group >= pattern.regex.captures_len() {
                return Err(MatcherFault::NoGroup { name, group, regexp: pattern.regex.as_str().to_owned() });
            }
            if !found.insert(name) {
                return Err(MatcherFault::Twice(name));
            }
        }
    }
    if found.contains("message") { Ok(()) } else { Err(MatcherFault::NoMessage) }
}

impl Found {
    /// Adds the captures of another pattern. No two patterns of a matcher capture the same property.
    fn and(mut self, groups: &Groups, captures: &Captures<'_>) -> Self {
        let text =
            |group: Option<usize>| Some(captures.get(group?)?.as_str().to_owned()).filter(|text| !text.is_empty());
        for (field, group) in [
            (&mut self.file, groups.file),
            (&mut self.from_path, groups.from_path),
            (&mut self.line, groups.line),
            (&mut self.column, groups.column),
            (&mut self.severity, groups.severity),
            (&mut self.code, groups.code),
            (&mut self.message, groups.message),
        ] {
            *field = text(group).or(field.take());
        }
        self
    }

    /// Returns the annotation. `None` if there is no message or the severity is unknown; the line is then plain output.
    fn annotation(self, severity: Level, exists: &dyn Fn(&str) -> bool) -> Option<Annotation> {
        let level = self.severity.as_deref().map_or(Some(severity), level)?;
        let message = self.message.filter(|message| !message.trim().is_empty())?;
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let beside = self.from_path.as_deref().and_then(|path| path.rsplit_once('/')).map(|(folder, _)| folder);
        let file = self.file.filter(|file| !file.trim().is_empty()).map(|file| match beside {
            Some(folder) if !folder.is_empty() && !file.starts_with('/') => format!("{folder}/{file}"),
            _ => file,
        });
        let file = file.filter(|file| exists(file));
        // A line number is meaningless without a file.
        let line = number(self.line).filter(|_| file.is_some());
        Some(Annotation {
            level,
            message,
            title: self.code.map(|code| code.trim().to_owned()).filter(|code| !code.is_empty()),
            column: number(self.column).filter(|_| line.is_some()),
            file,
            line,
            end_line: None,
            end_column: None,
        })
    }
}

fn level(word: &str) -> Option<Level> {
    let known = [("error", Level::Error), ("warning", Level::Warning), ("notice", Level::Notice)];
    known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, level)| level)
}

/// Returns the line without the control sequences for colours, and without the start of other `ESC [` sequences.
fn plain(line: &str) -> Cow<'_, str> {
    const BEGIN: &str = "\u{1b}[";
    if !line.contains(BEGIN) {
        return Cow::Borrowed(line);
    }
    let mut parts = line.split(BEGIN);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        plain.push_str(rest.strip_prefix('m').unwrap_or(rest));
    }
    Cow::Owned(plain)
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
        matchers.start_over();
        assert_eq!(matchers.scan("  7:8  error  bad  rule", &|_| true), None);
    }

    #[test]
    fn a_line_may_go_on_with_one_sequence_and_begin_another() {
        let mut matchers = with(
            r#"{"problemMatcher":[{"owner":"x","pattern":[
                {"regexp":"^(a.*)$","file":1},{"regexp":"^(?:a|b)(.*)$","code":1},{"regexp":"^c(.*)$","message":1}]}]}"#,
        );
        let mut scan =
            |line: &str| matchers.scan(line, &|_| true).map(|found| (found.file, found.title, found.message));
        assert_eq!(scan("a1"), None);
        assert_eq!(scan("a2"), None);
        assert_eq!(scan("b3"), None);
        assert_eq!(scan("c4"), Some((Some("a2".into()), Some("3".into()), "4".into())));
        assert_eq!(scan("c5"), None);
    }

    #[test]
    fn what_says_nothing_or_an_unknown_severity_is_left_to_the_next_matcher() {
        let mut matchers = with(
            r#"{"problemMatcher":[{"owner":"any","severity":"notice","pattern":[
            {"regexp":"^(.+)$","message":1}]}]}"#,
        );
        matchers.add(GCC).expect("a matcher");
        matchers
            .add(r#"{"problemMatcher":[{"owner":"info","pattern":[{"regexp":"^(info|error): ?(.*)$","severity":1,"message":2}]}]}"#)
            .expect("a matcher");
        for (line, level, message) in [
            ("info: x", Level::Notice, "info: x"),
            ("error: ", Level::Notice, "error: "),
            ("error: x", Level::Error, "x"),
            ("a.c:1:2: warning: w", Level::Warning, "w"),
        ] {
            let found = matchers.scan(line, &|_| true).expect(line);
            assert_eq!((found.level, found.message.as_str()), (level, message), "{line}");
        }
    }

    #[test]
    fn a_file_relative_to_another() {
        let mut matchers = with(
            r#"{"problemMatcher":[{"owner":"x","pattern":[
            {"regexp":"^(\\S+):(\\S+) (.+)$","file":1,"fromPath":2,"message":3}]}]}"#,
        );
        let mut file = |line: &str| matchers.scan(line, &|_| true).expect(line).file.expect(line);
        assert_eq!(file("a.cs:src/app/app.csproj m"), "src/app/a.cs");
        assert_eq!(file("a.cs:app.csproj m"), "a.cs");
        assert_eq!(file("/w/a.cs:src/app.csproj m"), "/w/a.cs");
    }

    #[test]
    fn only_colours_are_taken_out() {
        for (line, expected) in [
            ("a", "a"),
            ("\u{1b}[1;31mred\u{1b}[0m.", "red."),
            ("\u{1b}[mx\u{1b}[", "x"),
            ("\u{1b}[2Kx", "Kx"),
            ("\u{1b}x", "\u{1b}x"),
        ] {
            assert_eq!(plain(line), expected, "{line:?}");
        }
    }

    /// Patterns from published setup actions: escapes that JavaScript allows must be accepted.
    #[test]
    fn patterns_in_the_wild_are_understood() {
        for (pattern, line) in [
            (r"^\s*(\.{0,2}[\/\\].+\.go):(?:(\d+):(\d+):)? (.*)", "  ./a/b.go:3:4: unused"),
            (
                r"^([^\s].*)[\(:](\d+)[,:](\d+)(?:\):\s+|\s+-\s+)(error|warning|info)\s+(TS\d+)\s*:\s*(.*)$",
                "src/a.ts(1,2): error TS2304: no",
            ),
            (r#"^\s*File\s\"(.*)\",\sline\s(\d+),\sin\s(.*)$"#, "  File \"a.py\", line 3, in f"),
            (r"^(?<file>[a-z]+)\: (?!x)(.*)$", "abc: y"),
        ] {
            let pattern = serde_json::json!({ "regexp": pattern, "message": 1 });
            let text = serde_json::json!({ "problemMatcher": [{ "owner": "x", "pattern": [pattern] }] }).to_string();
            let mut matchers = Matchers::default();
            matchers.add(&text).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(matchers.scan(line, &|_| true).is_some(), "{pattern}");
        }
    }

    #[test]
    fn the_patterns_of_a_job_are_bounded_together() {
        let matchers = |owners: std::ops::Range<usize>, regexp: &str| {
            let pattern = serde_json::json!({ "regexp": regexp });
            let patterns: Vec<_> = (1..20).map(|_| pattern.clone()).collect();
            let last = [serde_json::json!({ "regexp": regexp, "message": 0 })];
            let patterns: Vec<_> = patterns.iter().chain(&last).collect();
            let all: Vec<_> =
                owners.map(|owner| serde_json::json!({ "owner": owner.to_string(), "pattern": patterns })).collect();
            serde_json::json!({ "problemMatcher": all }).to_string()
        };
        let refused = |text: &str| Matchers::default().add(text).expect_err("too large").to_string();
        let is_too_large =
            |text: &str| text.ends_with("all problem matchers of a job may take at most 8 MiB when they are compiled");
        // 2,000 small patterns fit. The same number of large ones does not, whether they are compiled in one part or
        // several.
        with(&matchers(0..100, "x"));
        let gcc = r"^(.+):(\d+):(\d+): (warning|error): (.+)$";
        for regexp in [gcc, r"\w{9}", "x(?!y)z(?=x)", r"(x)(y)[a-z]\1", &r"\p{L}{9}(?=a)".repeat(9000)] {
            let error = refused(&matchers(0..100, regexp));
            assert!(is_too_large(&error), "{regexp}: {error}");
        }
        // Registered patterns count towards the limit, unless they are replaced.
        let mut some = with(&matchers(0..20, gcc));
        some.add(&matchers(0..20, gcc)).expect("replaced");
        let error = some.add(&matchers(20..40, gcc)).expect_err("too many").to_string();
        assert!(is_too_large(&error) && some.known.len() == 20, "{error}");
    }

    #[test]
    fn an_owner_is_replaced_and_removed() {
        let mut matchers = with(GCC);
        matchers.add(GCC).expect("again");
        assert_eq!(matchers.known.len(), 1);
        matchers.remove("GCC");
        assert!(matchers.is_empty());
    }

    #[test]
    fn changes_of_a_branch_are_joined_and_others_stay() {
        let matcher = |owner: &str, regexp: &str| {
            format!(r#"{{"problemMatcher":[{{"owner":"{owner}","pattern":[{{"regexp":"{regexp}","message":0}}]}}]}}"#)
        };
        let mut matchers = with(&matcher("kept", "^kept$"));
        for owner in ["gone", "replaced"] {
            matchers.add(&matcher(owner, "^old$")).expect("added");
        }
        let mut branch = matchers.branch();
        branch.remove("gone");
        branch.add(&matcher("Replaced", "^new$")).expect("added");
        matchers.add(&matcher("later", "^later$")).expect("added");
        matchers.join(branch);
        let owners: Vec<_> = matchers.known.iter().map(|matcher| matcher.owner.as_str()).collect();
        assert_eq!(owners, ["Replaced", "later", "kept"]);
        assert!(matchers.scan("new", &|_| true).is_some() && matchers.scan("old", &|_| true).is_none());
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
    fn a_long_line_is_matched_by_its_start() {
        let mut matchers = with(GCC);
        let long = format!("a.c:1:2: error: {}", "é".repeat(MAX_MATCHED));
        let found = matchers.scan(&long, &|_| true).expect("matches");
        assert_eq!(found.line, Some(1));
        assert!(found.message.len() < MAX_MATCHED, "{}", found.message.len());
    }

    #[test]
    fn patterns_have_a_size_and_a_number() {
        let matcher = |owner: usize, patterns: &[String]| {
            let last = serde_json::json!({ "regexp": "x", "message": 0 });
            let patterns: Vec<_> = patterns.iter().map(|regexp| serde_json::json!({ "regexp": regexp })).collect();
            let all = [patterns, vec![last]].concat();
            serde_json::json!({ "owner": format!("o{owner}"), "pattern": all })
        };
        let file = |matchers: Vec<serde_json::Value>| serde_json::json!({ "problemMatcher": matchers }).to_string();
        let some = |numbers: std::ops::Range<usize>| file(numbers.map(|number| matcher(number, &[])).collect());
        let mut matchers = with(&some(0..MAX_MATCHERS - 1));
        for (text, why) in [
            (some(0..MAX_MATCHERS + 1), "at most 100"),
            (some(200..202), "at most 100"),
            (file(vec![matcher(0, &vec!["x".to_owned(); MAX_PATTERNS])]), "more than 20 patterns"),
            (file(vec![matcher(0, &[r"(\w{100}){100}".to_owned()])]), "error building"),
        ] {
            let error = matchers.add(&text).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
        matchers.add(&some(0..MAX_MATCHERS)).expect("those that are known are replaced");
        assert_eq!(matchers.known.len(), MAX_MATCHERS);
    }

    #[test]
    fn a_file_with_a_fault_is_refused_and_nothing_of_it_is_registered() {
        let one = |body: &str| format!(r#"{{"problemMatcher":[{{"owner":"x",{body}}}]}}"#);
        let ok = r#""pattern":[{"regexp":"(.)","message":1}]"#;
        for (text, said) in [
            (String::new(), "not a problem matcher"),
            ("{}".to_owned(), "not a problem matcher"),
            (one(r#""pattern":[{"regexp":"(","message":0}]"#), "`(`"),
            (one(r#""pattern":[]"#), "no pattern"),
            (one(r#""pattern":[{"regexp":"(.)","file":1}]"#), "message"),
            (one(r#""pattern":[{"regexp":"(.)","message":2}]"#), "group 2"),
            (one(r#""pattern":[{"regexp":"(.)","message":1,"loop":true}]"#), "`loop`"),
            (one(r#""pattern":[{"regexp":"(.)","message":1},{"regexp":"(.)","message":1}]"#), "twice"),
            (one(r#""pattern":[{"regexp":"(.)","message":1},{"regexp":"(.)","file":1,"loop":true}]"#), "`message`"),
            (one(&format!(r#""severity":"info",{ok}"#)), "`info`"),
            (format!(r#"{{"problemMatcher":[{{"owner":"x",{ok}}},{{"owner":"X",{ok}}}]}}"#), "two"),
            (format!(r#"{{"problemMatcher":[{{"owner":"",{ok}}}]}}"#), "owner"),
            (format!(r#"{{"problemMatcher":[{{"owner":"y",{ok}}},{{"owner":"x","pattern":[]}}]}}"#), "no pattern"),
        ] {
            let mut matchers = Matchers::default();
            let error = matchers.add(&text).expect_err(&text).to_string();
            assert!(error.contains(said), "{text}: {error}");
            assert!(matchers.is_empty(), "{text}");
        }
    }
}
