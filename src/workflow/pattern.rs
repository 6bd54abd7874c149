//! Patterns of `branches`, `tags` and `paths`: GitHub's globs, as described in the "filter pattern cheat sheet" of its
//! page on workflow syntax.

/// Why a text is not a filter pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `?` or `+` without a character or character class before it.
    #[error("`{0}` has no character to repeat")]
    NothingToRepeat(char),
    /// A backslash at the end.
    #[error("nothing follows the `\\` at the end")]
    NothingEscaped,
    /// A character class without `]`.
    #[error("`[` is not closed")]
    Unclosed,
    /// A character class without characters.
    #[error("`[]` has no characters")]
    EmptyClass,
    /// A range of characters whose end is before its start.
    #[error("the range `{0}-{1}` is reversed")]
    ReversedRange(char, char),
}

/// A filter pattern, without a leading `!`.
#[derive(Debug, Clone)]
pub struct FilterPattern {
    atoms: Vec<Atom>,
}

/// An element of a pattern. Its index is the state of the matcher before the element.
#[derive(Debug, Clone)]
enum Atom {
    /// One character.
    One(CharSet),
    /// Zero or one character.
    Maybe(CharSet),
    /// Any number of characters.
    Any(CharSet),
    /// `**/` at the start of a path segment: any number of folders. It is followed by [`Atom::Inside`].
    Folders,
    /// The state within folders: any character keeps it, and `/` also leaves it.
    Inside,
}

/// A set of characters.
#[derive(Debug, Clone)]
enum CharSet {
    Is(char),
    /// Inclusive ranges.
    In(Vec<(char, char)>),
    NotSlash,
    All,
}

impl CharSet {
    fn has(&self, c: char) -> bool {
        match self {
            Self::Is(one) => *one == c,
            Self::In(ranges) => ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)),
            Self::NotSlash => c != '/',
            Self::All => true,
        }
    }
}

impl FilterPattern {
    /// Parses a pattern. `*` matches anything except `/`, and `**` anything. `?` matches zero or one of the preceding
    /// character, and `+` one or more. `[…]` matches one of its characters, and `\` escapes the next character.
    ///
    /// # Errors
    /// The first problem in the pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut atoms = Vec::new();
        let mut rest = text;
        // Whether `?` or `+` may follow.
        let mut repeatable = false;
        while let Some(next) = rest.chars().next() {
            let at_folder = rest.len() == text.len() || text[..text.len() - rest.len()].ends_with('/');
            rest = &rest[next.len_utf8()..];
            let one = match next {
                '*' => {
                    if let (Some(after), true) = (rest.strip_prefix("*/"), at_folder) {
                        atoms.extend([Atom::Folders, Atom::Inside]);
                        rest = after;
                    } else if let Some(after) = rest.strip_prefix('*') {
                        atoms.push(Atom::Any(CharSet::All));
                        rest = after;
                    } else {
                        atoms.push(Atom::Any(CharSet::NotSlash));
                    }
                    repeatable = false;
                    continue;
                }
                '?' | '+' => {
                    let Some(Atom::One(set)) = atoms.pop_if(|_| repeatable) else {
                        return Err(PatternError::NothingToRepeat(next));
                    };
                    if next == '?' {
                        atoms.push(Atom::Maybe(set));
                    } else {
                        atoms.extend([Atom::One(set.clone()), Atom::Any(set)]);
                    }
                    repeatable = false;
                    continue;
                }
                '[' => {
                    let (set, after) = class(rest)?;
                    rest = after;
                    set
                }
                '\\' => {
                    let escaped = rest.chars().next().ok_or(PatternError::NothingEscaped)?;
                    rest = &rest[escaped.len_utf8()..];
                    CharSet::Is(escaped)
                }
                plain => CharSet::Is(plain),
            };
            atoms.push(Atom::One(one));
            repeatable = true;
        }
        Ok(Self { atoms })
    }

    /// Whether the pattern matches a whole name or path. Takes time proportional to the product of both lengths.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let end = self.atoms.len();
        let mut states = vec![false; end + 1];
        self.enter(&mut states, 0);
        for c in name.chars() {
            let mut next = vec![false; end + 1];
            for (place, atom) in self.atoms.iter().enumerate().filter(|(place, _)| states[*place]) {
                match atom {
                    Atom::One(set) | Atom::Maybe(set) if set.has(c) => self.enter(&mut next, place + 1),
                    Atom::Any(set) if set.has(c) => self.enter(&mut next, place),
                    Atom::Folders | Atom::Inside => {
                        let inside = if matches!(atom, Atom::Folders) { place + 1 } else { place };
                        next[inside] = true;
                        if c == '/' {
                            self.enter(&mut next, inside + 1);
                        }
                    }
                    _ => {}
                }
            }
            states = next;
        }
        states[end]
    }

    /// Enters a state and all states that can be reached from it without another character.
    fn enter(&self, states: &mut [bool], place: usize) {
        let mut place = place;
        while !std::mem::replace(&mut states[place], true) {
            match self.atoms.get(place) {
                Some(Atom::Maybe(_) | Atom::Any(_)) => place += 1,
                Some(Atom::Folders) => place += 2,
                _ => return,
            }
        }
    }
}

/// Parses a character class after its `[`. Returns the class and the rest of the text.
fn class(rest: &str) -> Result<(CharSet, &str), PatternError> {
    let end = rest.find(']').ok_or(PatternError::Unclosed)?;
    let inner: Vec<char> = rest[..end].chars().collect();
    if inner.is_empty() {
        return Err(PatternError::EmptyClass);
    }
    let mut ranges = Vec::new();
    let mut place = 0;
    while place < inner.len() {
        let first = inner[place];
        match inner.get(place + 1..place + 3) {
            Some(['-', last]) if *last < first => {
                return Err(PatternError::ReversedRange(first, *last));
            }
            Some(['-', last]) => {
                ranges.push((first, *last));
                place += 3;
            }
            _ => {
                ranges.push((first, first));
                place += 1;
            }
        }
    }
    Ok((CharSet::In(ranges), &rest[end + 1..]))
}

/// Returns the pattern that decides whether a list includes a name, and `false` if that pattern starts with `!`. The
/// patterns apply in order: a pattern includes the names that it matches, and one with `!` excludes names that an
/// earlier pattern included. `None` if no pattern includes the name. Invalid patterns match nothing; lint reports them.
#[must_use]
pub fn deciding_pattern<'p>(patterns: impl IntoIterator<Item = &'p str>, name: &str) -> Option<(&'p str, bool)> {
    let mut found = None;
    for written in patterns {
        let (text, wanted) = written.strip_prefix('!').map_or((written, true), |text| (text, false));
        // A pattern that would not change the result is skipped.
        if wanted == found.is_some_and(|(_, chosen)| chosen) {
            continue;
        }
        if (wanted || found.is_some()) && FilterPattern::parse(text).is_ok_and(|pattern| pattern.matches(name)) {
            found = Some((written, wanted));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of GitHub's cheat sheet.
    #[test]
    fn patterns_match_as_documented() {
        for (pattern, matching, other) in [
            ("feature/*", &["feature/my-branch", "feature/your-branch"][..], &["feature/a/b", "feature"][..]),
            ("feature/**", &["feature/beta-a/my-branch", "feature/mona/the/octocat"], &["other/a"]),
            ("main", &["main"], &["mains", "a/main"]),
            ("*", &["main", "releases"], &["all/the/branches"]),
            ("**", &["all/the/branches", "every/tag"], &[]),
            ("*feature", &["mona-feature", "feature", "ver-10-feature"], &["feature-1"]),
            ("v2*", &["v2", "v2.0", "v2.9"], &["v1"]),
            ("v[12].[0-9]+.[0-9]+", &["v1.10.1", "v2.0.0"], &["v3.0.0", "v1.0"]),
            ("*.jsx?", &["page.js", "page.jsx"], &["page.jsxx", "a/page.js"]),
            ("**.js", &["index.js", "js/index.js", "src/js/app.js"], &["index.ts"]),
            ("docs/*", &["docs/README.md"], &["docs/a/b.md"]),
            ("docs/**/*.md", &["docs/README.md", "docs/mona/hello-world.md"], &["docs/a.txt"]),
            ("**/docs/**", &["docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"], &["docs2/a"]),
            ("**/README.md", &["README.md", "js/README.md"], &["xREADME.md"]),
            ("**/*src/**", &["a/src/app.js", "my-src/code/js/app.js"], &["a/b"]),
            (r"a\*b", &["a*b"], &["axb"]),
            ("[-a^]x", &["-x", "^x", "ax"], &["bx"]),
        ] {
            let parsed = FilterPattern::parse(pattern).expect(pattern);
            for name in matching {
                assert!(parsed.matches(name), "{pattern} matches {name}");
            }
            for name in other {
                assert!(!parsed.matches(name), "{pattern} does not match {name}");
            }
        }
    }

    #[test]
    fn invalid_patterns_have_a_message() {
        for (pattern, words) in [
            ("*+", "repeat"),
            ("?a", "repeat"),
            ("a++", "repeat"),
            ("v[9-1]", "reversed"),
            ("[a", "closed"),
            ("[]", "no characters"),
            ("a\\", "follows"),
        ] {
            let error = FilterPattern::parse(pattern).expect_err(pattern).to_string();
            assert!(error.contains(words), "{pattern}: {error}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let patterns = ["releases/**", "!releases/**-alpha", "releases/x-alpha"];
        for (name, expected) in [
            ("releases/10", Some(("releases/**", true))),
            ("releases/beta/3-alpha", Some(("!releases/**-alpha", false))),
            ("releases/x-alpha", Some(("releases/x-alpha", true))),
            ("main", None),
        ] {
            assert_eq!(deciding_pattern(patterns, name), expected, "{name}");
        }
        assert_eq!(deciding_pattern(["!a", "**"], "a"), Some(("**", true)), "the order matters");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(pattern in "\\PC{0,40}", name in "\\PC{0,40}") {
            if let Ok(pattern) = FilterPattern::parse(&pattern) {
                let _ = pattern.matches(&name);
            }
        }
    }
}
