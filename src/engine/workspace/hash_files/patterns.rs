//! The patterns of `hashFiles`, as `@actions/glob` reads them.

use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::HashError;

/// All patterns of one call, in order.
pub(super) struct Selection {
    patterns: Vec<Pattern>,
}

impl Selection {
    pub(super) fn new(workspace: &Path, arguments: &[String]) -> Result<Self, HashError> {
        let lines = arguments.iter().flat_map(|argument| argument.lines()).map(str::trim);
        let mut patterns = Vec::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let pattern = Pattern::new(workspace, line)?;
            let below = pattern.below()?;
            patterns.push(pattern);
            patterns.extend(below);
        }
        Ok(Self { patterns })
    }

    /// Returns the folders to search, in the order of the patterns. Folders below others or outside the workspace are
    /// omitted.
    pub(super) fn starts(&self, workspace: &Path) -> Vec<PathBuf> {
        let literal: Vec<PathBuf> =
            self.patterns.iter().filter(|pattern| !pattern.negated).map(Pattern::literal_path).collect();
        let mut starts: Vec<PathBuf> = Vec::new();
        for path in &literal {
            let below_another = literal.iter().any(|other| path != other && path.starts_with(other));
            let start = if workspace.starts_with(path) { workspace } else { path };
            if !below_another && start.starts_with(workspace) && !starts.iter().any(|other| other == start) {
                starts.push(start.to_owned());
            }
        }
        starts
    }

    pub(super) fn selects(&self, path: &Path) -> bool {
        let names = names(path);
        self.patterns.iter().fold(false, |selected, pattern| {
            // A pattern can only change the result in one direction.
            if selected == pattern.negated && pattern.selects(&names) { !pattern.negated } else { selected }
        })
    }

    pub(super) fn may_select_below(&self, path: &Path) -> bool {
        let names = names(path);
        self.patterns.iter().any(|pattern| !pattern.negated && !pattern.states(&names).is_empty())
    }
}

fn names(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}

/// A pattern, split into the names of an absolute path.
#[derive(Clone)]
struct Pattern {
    negated: bool,
    /// Whether the pattern ends in `/`, so that it matches only folders, and thus only the files below them.
    folders_only: bool,
    segments: Vec<Segment>,
}

#[derive(Clone)]
enum Segment {
    /// A name of the folder that a relative pattern is based on.
    Base(String),
    /// A name as written.
    Name {
        /// Regular expression for the name.
        regex: Regex,
        /// The name, if it has no wildcards. Used only to find where the search starts.
        literal: Option<String>,
    },
    /// `**`: any number of names.
    Any,
}

impl Pattern {
    fn new(workspace: &Path, line: &str) -> Result<Self, HashError> {
        let mut text = line;
        let mut negated = false;
        while let Some(rest) = text.strip_prefix('!') {
            text = rest.trim();
            negated = !negated;
        }
        if text.is_empty() {
            return Err(HashError::EmptyPattern);
        }
        let mut written: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
        let base = match written.first() {
            _ if text.starts_with('/') => PathBuf::from("/"),
            Some(&".") => {
                written.remove(0);
                workspace.to_owned()
            }
            Some(&"~") => {
                written.remove(0);
                std::env::home_dir().ok_or(HashError::NoHome)?
            }
            _ => workspace.to_owned(),
        };
        let mut segments: Vec<Segment> = names(&base).into_iter().map(Segment::Base).collect();
        for name in written {
            let segment = Segment::new(name)?;
            if matches!(segment.literal(), Some("." | "..")) {
                return Err(HashError::RelativePattern(text.to_owned()));
            }
            segments.push(segment);
        }
        Ok(Self { negated, folders_only: text.ends_with('/'), segments })
    }

    /// Returns the pattern for everything below the folders that this one matches, unless it already ends in `**`.
    fn below(&self) -> Result<Option<Self>, HashError> {
        if !self.folders_only && matches!(self.segments.last(), Some(Segment::Any)) {
            return Ok(None);
        }
        let mut segments = self.segments.clone();
        segments.extend([Segment::new("*")?, Segment::Any]);
        Ok(Some(Self { negated: self.negated, folders_only: false, segments }))
    }

    fn literal_path(&self) -> PathBuf {
        let mut path = PathBuf::from("/");
        for segment in &self.segments {
            let Some(name) = segment.literal() else { break };
            path.push(name);
        }
        path
    }

    fn selects(&self, names: &[String]) -> bool {
        !self.folders_only && self.states(names).contains(&self.segments.len())
    }

    /// Returns every possible number of segments consumed after matching all the names; empty if the names do not
    /// match.
    fn states(&self, names: &[String]) -> Vec<usize> {
        let mut states = self.with_skipped(&[0]);
        for name in names {
            let next: Vec<usize> = states
                .iter()
                .filter_map(|state| match self.segments.get(*state)? {
                    Segment::Base(base) => (base == name).then_some(state + 1),
                    Segment::Name { regex, .. } => regex.is_match(name).then_some(state + 1),
                    Segment::Any => Some(*state),
                })
                .collect();
            states = self.with_skipped(&next);
        }
        states
    }

    /// Adds the states reached by matching `**` with nothing, without duplicates.
    fn with_skipped(&self, states: &[usize]) -> Vec<usize> {
        let mut all = Vec::with_capacity(states.len());
        for state in states {
            let skipped = self.segments[*state..].iter().take_while(|segment| matches!(segment, Segment::Any)).count();
            all.extend(*state..=state + skipped);
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Segment {
    fn new(text: &str) -> Result<Self, HashError> {
        if text == "**" {
            return Ok(Self::Any);
        }
        let regex = Regex::new(&regex(text)).map_err(|error| HashError::Pattern(text.to_owned(), error))?;
        Ok(Self::Name { regex, literal: literal(text) })
    }

    fn literal(&self) -> Option<&str> {
        match self {
            Self::Base(name) => Some(name),
            Self::Name { literal, .. } => literal.as_deref(),
            Self::Any => None,
        }
    }
}

/// Returns the literal name of a segment, or `None` if it has wildcards. A set with a single character counts as that
/// character.
fn literal(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' | '?' => return None,
            '\\' => name.push(rest.next().unwrap_or(c)),
            '[' => {
                let mut set = rest.clone();
                let mut members = String::new();
                let closed = loop {
                    match set.next() {
                        Some(']') => break true,
                        Some('\\') => members.extend(set.next()),
                        Some(member) => members.push(member),
                        None => break false,
                    }
                };
                match (closed, members.chars().count()) {
                    (true, 1) => {
                        name += &members;
                        rest = set;
                    }
                    (true, 2..) => return None,
                    _ => name.push(c),
                }
            }
            _ => name.push(c),
        }
    }
    Some(name)
}

/// Translates a segment to a regular expression.
fn regex(text: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => match class(rest) {
                Some((class, after)) => {
                    regex.push_str(&class);
                    rest = after;
                }
                None => regex.push_str("\\["),
            },
            '\\' if !rest.is_empty() => {
                let (escaped, after) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
                regex.push_str(&regex::escape(escaped));
                rest = after;
            }
            _ => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex + "$"
}

/// Parses the set after a `[` and returns a character class with the remaining text, or `None` if the set is not
/// closed. A `]` in first place is a member; a range from high to low is empty.
fn class(text: &str) -> Option<(String, &str)> {
    let (open, members) = match text.strip_prefix(['!', '^']) {
        Some(members) => ("[^", members),
        None => ("[", text),
    };
    // Starts with an empty class, which matches nothing.
    let mut class = format!("{open}[^\\s\\S]");
    let mut rest = members.chars();
    let mut first = true;
    loop {
        let member = match rest.next()? {
            ']' if !first => return Some((class + "]", rest.as_str())),
            '\\' => rest.next()?,
            member => member,
        };
        first = false;
        let mut range = rest.clone();
        let last = match (range.next(), range.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                rest = range;
                last
            }
            _ => member,
        };
        if member <= last {
            let hexadecimal = |c: char| format!("\\x{{{:x}}}", u32::from(c));
            class.extend([hexadecimal(member), "-".to_owned(), hexadecimal(last)]);
        }
    }
}
