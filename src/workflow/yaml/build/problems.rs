//! Reports errors of the parser at their cause.

use granit_parser::{ErrorKind, ScanError};

use super::{Builder, Position};
use crate::workflow::hints;
use crate::workflow::yaml::Problem;

impl Builder<'_, '_> {
    /// Returns the position of a value that YAML continues on a following, more indented line, such as the `x` of
    /// `runs-on: x` before an indented `steps:`.
    fn value_continued_at(&self, line: usize) -> Option<Position> {
        let indent = |text: &str| text.len() - text.trim_start_matches([' ', '-']).len();
        let lines: Vec<_> = self.body.split_inclusive('\n').take(line).collect();
        let (too_deep, before) = lines.split_last()?;
        let above = before.iter().rposition(|text| !text.trim().is_empty())?;
        let key_end = before[above].find(": ")? + 2;
        let value = key_end + before[above][key_end..].find(|c: char| c != ' ')?;
        let byte = before[..above].iter().map(|text| text.len()).sum::<usize>() + value;
        let column = before[above][..value].chars().count() + 1;
        (indent(too_deep) > indent(before[above])).then_some(Position { byte, line: above + 1, column })
    }

    /// Returns the start of the next line, if it is indented with a tab.
    fn tab_below(&self, line: usize) -> Option<Position> {
        let mut lines = self.body.split_inclusive('\n');
        let byte = lines.by_ref().take(line).map(str::len).sum();
        let next = lines.next()?;
        let blank = &next[..next.len() - next.trim_start().len()];
        blank.contains('\t').then_some(Position { byte, line: line + 1, column: 1 })
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
            Some(Position { byte: start + at, line: number, column: line[..at].chars().count() + 1 })
        })
    }

    pub(super) fn scan_problem(&self, error: &ScanError) -> Problem {
        let place = self.position(error.marker());
        if let (ErrorKind::MappingValueNotAllowed, Some(value)) = (error.kind(), self.value_continued_at(place.line)) {
            let message = format!("line {} is indented deeper than this key and thus part of its value", place.line);
            return self.problem(value, value, &message, Some("start keys of one mapping in the same column"));
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
        let (message, hint) = hints::for_yaml(error.kind());
        let message = message.map_or_else(|| error.info().clone(), str::to_owned);
        let hint = hint.unwrap_or("check indentation, quotes and brackets of this line and the line before");
        self.problem(place, place, &message, Some(hint))
    }
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
