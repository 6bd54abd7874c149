//! The search pattern of a log, as it was typed.

use super::{LineMatcher, LineMatcherError};

/// A search pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// The text or regular expression.
    pub text: String,
    /// Whether the text is a regular expression.
    pub is_regex: bool,
    /// Whether the pattern matches the lines that do not contain it.
    pub inverted: bool,
}

impl Pattern {
    /// Parses `text` or `/expression/`. If `invertible`, a leading `!` inverts the pattern. `None` if there is no text.
    #[must_use]
    pub fn parse(typed: &str, invertible: bool) -> Option<Self> {
        let inverted = invertible && typed.starts_with('!');
        let text = if inverted { &typed[1..] } else { typed };
        let regex = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|text| !text.is_empty());
        let (text, is_regex) = (regex.unwrap_or(text).to_owned(), regex.is_some());
        (!text.is_empty()).then_some(Self { text, is_regex, inverted })
    }

    /// Returns the matcher. An invalid expression is searched for as plain text, and its error is returned together
    /// with the matcher; `None` if there was no such error. The search is case-sensitive if the pattern has a capital
    /// letter.
    ///
    /// # Errors
    /// The text is empty.
    pub fn query(&self) -> Result<(LineMatcher, Option<LineMatcherError>), LineMatcherError> {
        let case = self.text.contains(char::is_uppercase);
        let wrong = match self.is_regex.then(|| LineMatcher::regex(&self.text, case)) {
            Some(Ok(query)) => return Ok((query, None)),
            Some(Err(error)) => Some(error),
            None => None,
        };
        Ok((LineMatcher::literal(&self.text, case)?, wrong))
    }

    /// Returns the pattern as it was typed.
    #[must_use]
    pub fn typed(&self) -> String {
        let not = if self.inverted { "!" } else { "" };
        if self.is_regex { format!("{not}/{}/", self.text) } else { format!("{not}{}", self.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_typed() {
        for (typed, text, is_regex, inverted) in [
            ("two words", "two words", false, false),
            ("/a+b/", "a+b", true, false),
            ("/usr", "/usr", false, false),
            ("//", "//", false, false),
            ("!ok", "ok", false, true),
            ("!/^ok$/", "^ok$", true, true),
        ] {
            let expected = Pattern { text: text.to_owned(), is_regex, inverted };
            let pattern = Pattern::parse(typed, true);
            assert_eq!(pattern.as_ref().map(Pattern::typed).as_deref(), Some(typed));
            assert_eq!(pattern, Some(expected), "{typed}");
        }
        assert_eq!((Pattern::parse("", true), Pattern::parse("!", true)), (None, None));
        assert_eq!(Pattern::parse("!ok", false).map(|pattern| pattern.text), Some("!ok".to_owned()));
    }

    #[test]
    fn case_matters_once_a_capital_is_typed_and_a_wrong_expression_is_text() {
        let found = |typed: &str, line: &str| {
            let (query, wrong) = Pattern::parse(typed, false).expect("something").query().expect("not empty");
            (!query.ranges(line.as_bytes()).is_empty(), wrong.is_some())
        };
        assert_eq!(found("failed", "FAILED"), (true, false));
        assert_eq!(found("Failed", "FAILED"), (false, false));
        assert_eq!(found("/f.iled/", "FAILED"), (true, false));
        assert_eq!(found("/a(/", "a("), (true, true));
    }
}
