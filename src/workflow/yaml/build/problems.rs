//! Reports errors of the parser at their cause.

use granit_parser::{ErrorKind, ScanError};

use super::{Builder, Position};
use crate::workflow::hints;
use crate::workflow::yaml::Problem;

impl Builder<'_, '_> {
    /// Returns the position of a byte of a line; lines count from 1.
    fn in_line(&self, line: usize, at: usize) -> Position {
        let start: usize = self.body.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let byte = start + at;
        Position { byte, line, column: self.body[start..byte].chars().count() + 1 }
    }

    /// Returns the position of a value that YAML continues on a following, more indented line, such as the `x` of
    /// `runs-on: x` before an indented `steps:`.
    fn value_continued_at(&self, line: usize) -> Option<Position> {
        let indent = |text: &str| text.len() - text.trim_start_matches([' ', '-']).len();
        let lines: Vec<_> = self.body.split_inclusive('\n').take(line).collect();
        let (too_deep, before) = lines.split_last()?;
        let above = before.iter().rposition(|text| !text.trim().is_empty())?;
        let key_end = before[above].find(": ")? + 2;
        let value = key_end + before[above][key_end..].find(|c: char| c != ' ')?;
        (indent(too_deep) > indent(before[above])).then(|| self.in_line(above + 1, value))
    }

    /// Returns the start of the next line, if it is indented with a tab.
    fn tab_below(&self, line: usize) -> Option<Position> {
        let next = self.body.split_inclusive('\n').nth(line)?;
        let blank = &next[..next.len() - next.trim_start().len()];
        blank.contains('\t').then(|| self.in_line(line + 1, 0))
    }

    /// Returns the position of a `${{` in unquoted text of a flow collection, at or before an error. Searches the line
    /// of the error and the line above, because a quote after the braces may hide the end of the line from the parser.
    fn expression_in_flow(&self, error: Position) -> Option<Position> {
        let before = &self.body[..error.byte.min(self.body.len())];
        let here = before.rfind('\n').map_or(0, |at| at + 1);
        let above = before[..here].trim_end().rfind('\n').map_or(0, |at| at + 1);
        [here, above].into_iter().find_map(|start| {
            let line = self.body[start..].lines().next()?;
            let number = self.body[..start].matches('\n').count() + 1;
            let mut found = line.match_indices("${{").map(|(at, _)| at).take_while(|at| start + at <= error.byte);
            let at = found.find(|at| is_unquoted_in_flow(&line[..*at]))?;
            Some(self.in_line(number, at))
        })
    }

    /// Returns the problem of a `-` that is in another column than the items of its list, if the error is in such a
    /// line.
    fn dash_in_wrong_column(&self, place: Position) -> Option<Problem> {
        let lines: Vec<&str> = self.body.lines().take(place.line).collect();
        let (line, before) = lines.split_last()?;
        let is_item = |text: &str| text.trim_start().starts_with("- ") || text.trim() == "-";
        let column = indent(line) + 1;
        // Only the dash itself or the text after it is at the place of the error.
        if !is_item(line) || place.column > column + 2 {
            return None;
        }
        // The search ends at an item, or at a line that ends with a colon, which is taken for the key of the list.
        let ends = |text: &&&str| is_item(text) || text.trim_end().ends_with(':');
        let above = before.iter().rev().find(ends)?;
        let start = indent(above) + 1;
        let (message, hint) = if is_item(above) && column != start {
            (
                format!("`-` is in column {column}, but the item above is in column {start}"),
                format!("start all items of one list in the same column: move this `-` to column {start}"),
            )
        } else if !is_item(above) && column < start {
            let key = above.trim().trim_end_matches(':');
            (
                format!("`-` is in column {column}, left of its key `{key}`"),
                format!("start the items of `{key}` in column {start} or to the right of it"),
            )
        } else {
            return None;
        };
        let dash = self.in_line(place.line, indent(line));
        Some(self.problem(dash, dash, &message, Some(&hint)))
    }

    /// Returns the position of a line without a colon above a line with a key in the same column: the first was meant
    /// to be a key, too.
    fn key_without_colon(&self, line: usize) -> Option<Position> {
        let lines: Vec<_> = self.body.split_inclusive('\n').take(line).collect();
        let (key, before) = lines.split_last()?;
        let above = before.iter().rposition(|text| !text.trim().is_empty())?;
        let text = before[above].trim();
        let is_key = indent(before[above]) == indent(key)
            && !text.contains(':')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.contains(' ');
        is_key.then(|| self.in_line(above + 1, indent(before[above])))
    }

    /// Returns the position of a `[` or `{` that is not closed in the line above, the bracket, and the one that closes it.
    /// `None` if the line has quotes or expressions, in which brackets mean nothing.
    fn bracket_left_open(&self, line: usize) -> Option<(Position, char, char)> {
        let lines: Vec<_> = self.body.split_inclusive('\n').take(line.checked_sub(1)?).collect();
        let above = lines.iter().rposition(|text| !text.trim().is_empty())?;
        let text = lines[above];
        if text.contains(['\'', '"', '#']) || text.contains("${{") {
            return None;
        }
        let (at, open) = text.char_indices().rfind(|(_, c)| matches!(c, '[' | '{'))?;
        let close = if open == '[' { ']' } else { '}' };
        (!text[at..].contains(close)).then(|| (self.in_line(above + 1, at), open, close))
    }

    /// Returns the problem of a `-` without a blank after it, in this line or above it in the same column, among items of a
    /// list.
    fn dash_without_blank(&self, line: usize) -> Option<Problem> {
        let lines: Vec<&str> = self.body.lines().take(line).collect();
        let column = indent(lines.last()?);
        let beside = lines.iter().enumerate().rev().filter(|(_, text)| !text.trim().is_empty());
        let mut beside =
            beside.take_while(|(_, text)| indent(text) >= column).filter(|(_, text)| indent(text) == column);
        let (at, item) = beside.find_map(|(at, text)| {
            let item = text.trim().strip_prefix('-')?;
            item.starts_with(|c: char| c.is_ascii_alphabetic()).then_some((at, item))
        })?;
        let dash = self.in_line(at + 1, column);
        let hint = format!("write a blank after it: `- {}`", item.split_inclusive(':').next().unwrap_or(item));
        Some(self.problem(dash, dash, "a blank is missing after `-`", Some(&hint)))
    }

    /// Returns the problem of a colon without a blank after it in a line whose key is in this column, in bytes from 0.
    fn colon_without_blank(&self, line: usize, column: usize) -> Option<Problem> {
        let text = self.body.lines().nth(line.checked_sub(1)?)?;
        if key_column(text) != column {
            return None;
        }
        let (key, value) = text[column..].split_once(':')?;
        let is_key = key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        // The colon of an address is not one of a key.
        if !is_key || value.is_empty() || value.starts_with([' ', '/', '\t']) {
            return None;
        }
        let colon = self.in_line(line, column + key.len());
        let hint = format!("write a blank after it: `{key}: {}`", value.trim());
        Some(self.problem(colon, colon, &format!("a blank is missing after `{key}:`"), Some(&hint)))
    }

    /// Returns the colon without a blank after it in the line of an error, or in the line above whose key is in the same
    /// column.
    fn colon_without_blank_near(&self, line: usize) -> Option<Problem> {
        let lines: Vec<&str> = self.body.lines().take(line).collect();
        let (here, before) = lines.split_last()?;
        let column = key_column(here);
        self.colon_without_blank(line, column).or_else(|| {
            let above = before.iter().rposition(|text| !text.trim().is_empty())?;
            self.colon_without_blank(above + 1, column)
        })
    }

    /// Returns the problem of a second `: ` in a line, which is in a value without quotes.
    fn colon_in_value(&self, place: Position) -> Option<Problem> {
        let line = self.body.lines().nth(place.line.checked_sub(1)?)?;
        let key = &line[key_column(line)..];
        let (key, _) = key.split_once(": ")?;
        let first = self.in_line(place.line, key_column(line) + key.len());
        let hint = format!("quote the whole value: `{key}: '…'`");
        let message = "a value cannot contain `: ` unless it is quoted";
        (first.byte < place.byte).then(|| self.problem(place, place, message, Some(&hint)))
    }

    pub(super) fn scan_problem(&self, error: &ScanError) -> Problem {
        let place = self.position(error.marker());
        let is_in_block = matches!(
            error.kind(),
            ErrorKind::ExpectedBlockMappingKey
                | ErrorKind::ExpectedBlockSequenceEntry
                | ErrorKind::BlockSequenceEntryNotAllowed
                | ErrorKind::InvalidIndentation
        );
        if is_in_block && let Some(problem) = self.dash_in_wrong_column(place) {
            return problem;
        }
        if is_in_block && let Some(problem) = self.dash_without_blank(place.line) {
            return problem;
        }
        // A key that YAML takes for a part of the value in the line above.
        let is_continued = matches!(error.kind(), ErrorKind::MappingValueNotAllowed);
        if is_continued && let Some(problem) = self.dash_without_blank(place.line.saturating_sub(1)) {
            return problem;
        }
        let is_key = matches!(
            error.kind(),
            ErrorKind::MappingValueNotAllowed | ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey
        );
        if is_key && let Some(problem) = self.colon_without_blank_near(place.line) {
            return problem;
        }
        if let (ErrorKind::MappingValueNotAllowed, Some(value)) = (error.kind(), self.value_continued_at(place.line)) {
            let message = format!("line {} is indented deeper than this key and thus part of its value", place.line);
            return self.problem(value, value, &message, Some("start keys of one mapping in the same column"));
        }
        if let (ErrorKind::MappingValueNotAllowed, Some(key)) = (error.kind(), self.key_without_colon(place.line)) {
            let word = self.body[key.byte..].split(' ').next().unwrap_or_default();
            let message = format!("`:` is missing after `{word}`");
            return self.problem(key, key, &message, Some(&format!("write `{word}: …`")));
        }
        if let (ErrorKind::InvalidIndentation, Some((bracket, open, close))) =
            (error.kind(), self.bracket_left_open(place.line))
        {
            let message = format!("unclosed `{open}`");
            return self.problem(bracket, bracket, &message, Some(&format!("add `{close}` at the end of the line")));
        }
        if let (true, Some(tab)) = (error.info().contains("tab"), self.tab_below(place.line)) {
            return self.problem(
                tab,
                tab,
                "tab used for indentation",
                Some("YAML requires spaces for indentation: replace the tab"),
            );
        }
        if let Some(brace) = self.expression_in_flow(place) {
            let message = "`{` in unquoted text inside `{ }` or `[ ]` starts a mapping";
            let hint = "quote the whole text: `{ run: 'echo ${{ github.ref }}' }`";
            return self.problem(brace, brace, message, Some(hint));
        }
        if let (ErrorKind::MappingValueNotAllowed, Some(problem)) = (error.kind(), self.colon_in_value(place)) {
            return problem;
        }
        let (message, hint) = hints::for_yaml(error.kind());
        let message = message.map_or_else(|| error.info().clone(), str::to_owned);
        let hint = hint.unwrap_or("check indentation, quotes and brackets of this line and the line before");
        self.problem(place, place, &message, Some(hint))
    }
}

/// Returns the number of spaces at the start of a line.
fn indent(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

/// Returns the number of bytes before the key of a line: its blanks, and the dashes of items.
fn key_column(text: &str) -> usize {
    let mut rest = text.trim_start_matches(' ');
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start_matches(' ');
    }
    text.len() - rest.len()
}

/// Whether text after this part of a line is in a flow collection and not in quotes.
fn is_unquoted_in_flow(before: &str) -> bool {
    let Some(scalar) = before.rfind(['{', '[', ',']).max(before.rfind(": ").map(|colon| colon + 1)) else {
        return false;
    };
    let is_in_flow = before.matches(['{', '[']).count() > before.matches(['}', ']']).count();
    is_in_flow && !before[scalar + 1..].trim_start().starts_with(['\'', '"'])
}

#[cfg(test)]
mod tests {
    use crate::workflow::yaml::{Problem, YamlNode};

    fn read(text: &str) -> Result<YamlNode<'_>, Problem> {
        crate::workflow::yaml::read(text).map(|document| document.root)
    }

    #[test]
    fn wrong_indentation_is_reported_at_its_cause() {
        let position = |text: &str| {
            let problem = read(text).expect_err(text);
            (problem.span.line, problem.span.column)
        };
        assert_eq!(position("a:\n  b: c\n   d:\n    - e\n"), (2, 6));
        assert_eq!(position("a:\n  - b: c\n\n     d: e\n"), (2, 8));
        assert_eq!(position("a: b: c\n"), (1, 5));
        assert_eq!(position("a:\n  b: c\n\td:\n"), (3, 1));
    }

    #[test]
    fn a_dash_in_the_wrong_column_is_named() {
        for (text, place, message, hint) in [
            ("a:\n  - b: c\n- d: e\n", (3, 1), "`-` is in column 1, but the item above is in column 3", "column 3"),
            ("a:\n    - b: c\n  - d: e\n", (3, 3), "`-` is in column 3, but the item above is in column 5", "column 5"),
            ("a:\n  - b: c\n    - d: e\n", (3, 5), "`-` is in column 5, but the item above is in column 3", "column 3"),
            ("a:\n  - b: c\n    f: g\n   - d: e\n", (4, 4), "`-` is in column 4, but the item above", "column 3"),
            ("a:\n  b:\n - d: e\n", (3, 2), "`-` is in column 2, left of its key `b`", "column 3 or"),
        ] {
            let problem = read(text).expect_err(text);
            assert_eq!((problem.span.line, problem.span.column), place, "{text}{problem:?}");
            assert!(problem.message.starts_with(message), "{text}{problem:?}");
            assert!(problem.hint.as_ref().is_some_and(|given| given.contains(hint)), "{text}{problem:?}");
        }
        let other = read("a:\n  - b: c: d\n").expect_err("a value with a colon").message;
        assert!(!other.contains('-'), "{other}");
    }

    #[test]
    fn a_missing_blank_is_reported_where_it_is_missing() {
        let dash = "a blank is missing after `-`";
        for (text, place, message) in [
            ("a:\n  - b: c\n  -b: d\n  - b: e\n", (3, 3), dash),
            ("a:\n  -b: c\n  - b: d\n", (2, 3), dash),
            ("a:\n  - b: c\n  -b: d\n    e: f\n", (3, 3), dash),
            ("x:\n  a:\n  - b: c\n    e: f\n  -b: d\n    e: f\n  - b: e\n", (5, 3), dash),
            ("a:\n  - b: c\n    name:x\n    d: e\n", (3, 9), "a blank is missing after `name:`"),
            ("a:\n  - name:x\n    d: e\n", (2, 9), "a blank is missing after `name:`"),
            ("a:\n  - b: c\n    name:x\n", (3, 9), "a blank is missing after `name:`"),
        ] {
            let problem = read(text).expect_err(text);
            assert_eq!((problem.span.line, problem.span.column), place, "{text}{problem:?}");
            assert_eq!(problem.message, message, "{text}{problem:?}");
        }
    }

    #[test]
    fn a_colon_in_a_value_is_said_to_be_one() {
        for (text, hint) in [
            ("a:\n  - name: foo: bar\n", "`name: '…'`"),
            ("a:\n  run: echo a: b # c\n", "`run: '…'`"),
            ("a:\n  b:\n    C: d: e\n", "`C: '…'`"),
            ("a: [x]\nb: c: d\n", "`b: '…'`"),
        ] {
            let problem = read(text).expect_err(text);
            assert_eq!(problem.message, "a value cannot contain `: ` unless it is quoted", "{text}{problem:?}");
            assert!(problem.hint.as_ref().is_some_and(|given| given.contains(hint)), "{text}{problem:?}");
        }
    }

    #[test]
    fn an_open_bracket_is_reported_where_it_opens() {
        let problem = read("a:\n  b: [c, d\n  e: f\n").expect_err("an open bracket");
        assert_eq!((problem.span.line, problem.span.column), (2, 6), "{problem:?}");
        assert_eq!(problem.message, "unclosed `[`");
    }

    #[test]
    fn a_missing_colon_is_reported_at_its_key() {
        let problem = read("a:\n  runs-on ubuntu-latest\n  steps:\n    - b\n").expect_err("no colon");
        assert_eq!((problem.span.line, problem.span.column), (2, 3), "{problem:?}");
        assert_eq!(problem.message, "`:` is missing after `runs-on`");
    }

    #[test]
    fn an_unquoted_expression_in_a_flow_collection_is_the_cause() {
        for (text, place) in [
            ("a: { run: echo \"x=${{ y }}\" }\nb: c\n", (1, 19)),
            ("a:\n  - { b: [ x ${{ y }} ] }\n", (2, 14)),
            ("a: { b: { c: [ { run: echo \"x=${{ y }}\" } ] } }\n", (1, 31)),
            ("a: { b: { c: [ { run: echo \"x=${{ y }}\" } ] } }\n\nd: e\n", (1, 31)),
            ("jobs: { a: { steps: [ { run: 'q', x: a ${{ y }} } ] } }\n", (1, 40)),
        ] {
            let problem = read(text).expect_err(text);
            assert_eq!((problem.span.line, problem.span.column), place, "{text}{problem:?}");
            assert!(problem.message.starts_with("`{` in unquoted text"), "{problem:?}");
        }
        assert!(read("a: { run: 'echo ${{ y }}', b: \"${{ y }}\" }\n").is_ok());
        let other = read("a: [ '${{ x }}'\n").expect_err("an open bracket").message;
        assert!(!other.contains("unquoted"), "{other}");
    }
}
