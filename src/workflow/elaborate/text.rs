//! Elaborates scalars with expressions, and conditions.

use std::sync::Arc;

use super::{EXPRESSION, Elaborator};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::expr::{ExprKind, MAX_LENGTH, ParseError, Value};
use crate::workflow::hints;
use crate::workflow::schema::availability::Availability;
use crate::workflow::source::Span;
use crate::workflow::template::{Piece, Template, TemplateKind};
use crate::workflow::yaml::{TextStyle, YamlKind, YamlNode};

impl Elaborator<'_> {
    /// Elaborates a condition: an expression with or without `${{ }}` around it.
    pub(super) fn condition(&mut self, node: &YamlNode<'_>, availability: &'static Availability) -> Template {
        let written: &str = match &node.kind {
            YamlKind::Text(text, _) => text,
            YamlKind::Number(_, text) => text,
            YamlKind::Bool(true) => "true",
            YamlKind::Bool(false) => "false",
            YamlKind::Null => "",
            YamlKind::Mapping(_) | YamlKind::Sequence(_) => {
                let message = format!("`if` must be a string, not {}", node.kind_name());
                self.error(node.span, message, "write one expression, with or without `${{ }}` around it");
                ""
            }
        };
        let is_literal = matches!(node.kind, YamlKind::Text(_, TextStyle::Literal));
        let (text, marked) = match one_expression(written) {
            _ if is_literal => (written, false),
            Some(inside) => (inside, true),
            None if written.contains("${{") => {
                // Any text around an expression, even a space or the newline of a block scalar, makes the condition a
                // string, and a non-empty string is true: GitHub evaluates it as `format(…)`.
                let template = self.text(node, written, availability);
                return self.always_text(node, template, availability);
            }
            None => (written, false),
        };
        let text = text.trim();
        let kind = match self.interner.expression(text, availability, true) {
            Ok(expr) => TemplateKind::Expression(expr),
            Err(error) => {
                self.expression_error(node, (0, marked), text, &error, availability);
                TemplateKind::Null
            }
        };
        Template { span: node.span, kind }
    }

    /// Compiles a condition that has text around its expressions into a call of `format(…)`, as GitHub does. The value
    /// of the condition is a string, which is true unless it is empty.
    fn always_text(
        &mut self,
        node: &YamlNode<'_>,
        template: Template,
        availability: &'static Availability,
    ) -> Template {
        let TemplateKind::Interpolated(pieces) = &template.kind else { return template };
        let (mut text, mut arguments) = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Text(part) => text.push_str(&part.replace('{', "{{").replace('}', "}}").replace('\'', "''")),
                Piece::Expression(expr) => {
                    text.push_str(&format!("{{{}}}", arguments.matches('\u{0}').count()));
                    arguments.push_str(&format!("\u{0}, {}", expr.text().trim()));
                }
            }
        }
        let text = format!("format('{text}'{})", arguments.replace('\u{0}', ""));
        match self.interner.expression(&text, availability, true) {
            Ok(expr) => Template { span: node.span, kind: TemplateKind::Expression(expr) },
            Err(error) => {
                self.report(Diagnostic::error(EXPRESSION, node.span, error.to_string()));
                Template { span: node.span, kind: TemplateKind::Null }
            }
        }
    }

    /// Elaborates text with or without expressions.
    pub(super) fn text(&mut self, node: &YamlNode<'_>, text: &str, availability: &'static Availability) -> Template {
        let plain = |text: &str| Template { span: node.span, kind: TemplateKind::Text(Arc::from(text)) };
        if !text.contains("${{") || matches!(node.kind, YamlKind::Text(_, TextStyle::Literal)) {
            return plain(text);
        }
        let mut pieces = Vec::new();
        let mut joined = JOINED_FRAME.len();
        let mut rest = text;
        let mut count = 0;
        while let Some(start) = rest.find("${{") {
            if start > 0 {
                pieces.push(Piece::Text(Arc::from(&rest[..start])));
                joined += joined_length(&rest[..start]);
            }
            let inside = &rest[start + 3..];
            let Some(end) = end_of_expression(inside) else {
                let place = self.nth_expression(node, count);
                let message = "unclosed expression: `}}` is missing";
                self.report(
                    Diagnostic::error(EXPRESSION, place, message).hint("add `}}` at the end of the expression"),
                );
                return plain(text);
            };
            let expression = &inside[..end];
            if availability.contexts.is_empty() && availability.functions.is_empty() {
                let place = self.nth_expression(node, count);
                let hint = "write a literal value: this key is read before expressions are evaluated";
                self.report(Diagnostic::error(EXPRESSION, place, "expressions are not allowed here").hint(hint));
                return plain(text);
            }
            match self.interner.expression(expression, availability, false) {
                Ok(expr) if expr.tree().is_none() => {
                    let place = self.nth_expression(node, count);
                    let message = "expected an expression between `${{` and `}}`";
                    let hint = "write an expression, or remove the `${{ }}`";
                    self.report(Diagnostic::error(EXPRESSION, place, message).hint(hint));
                }
                // A string literal is plain text: `${{ '${{' }}` is the way to write `${{`.
                Ok(expr) => pieces.push(match expr.tree().map(|tree| &tree.kind) {
                    Some(ExprKind::Literal(Value::String(text))) => Piece::Text(Arc::clone(text)),
                    _ => Piece::Expression(expr),
                }),
                Err(error) => self.expression_error(node, (count, true), expression, &error, availability),
            }
            // In the joined form, each expression adds a placeholder such as `{0}` to the text, and itself after a
            // comma.
            joined += format!("{{{count}}}, ").len() + units(expression.trim());
            count += 1;
            rest = &inside[end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(Arc::from(rest)));
            joined += joined_length(rest);
        }
        if pieces.len() > 1 && joined > MAX_LENGTH {
            let message = format!("the text with its expressions has {joined} characters; GitHub allows {MAX_LENGTH}");
            let hint = "move a script to a file, or pass values through `env` and write no `${{ }}` in it";
            self.report(Diagnostic::error(EXPRESSION, node.span, message).hint(hint));
        }
        let kind = match pieces.as_slice() {
            [Piece::Expression(expr)] => TemplateKind::Expression(expr.clone()),
            [Piece::Text(text)] => TemplateKind::Text(Arc::clone(text)),
            _ => TemplateKind::Interpolated(pieces),
        };
        Template { span: node.span, kind }
    }

    /// Returns the span of the `${{` with this number (from 0) in a node. Block and quoted scalars differ from the
    /// source in whitespace and escapes, but not in the order of their expressions.
    fn nth_expression(&self, node: &YamlNode<'_>, count: usize) -> Span {
        let (start, end) = (node.span.start as usize, (node.span.end as usize).min(self.source.text.len()));
        let written = self.source.text.get(start..end).unwrap_or_default();
        match written.match_indices("${{").nth(count) {
            Some((at, _)) => self.source.span(start + at, 3),
            None => node.span,
        }
    }

    fn expression_error(
        &mut self,
        node: &YamlNode<'_>,
        (count, marked): (usize, bool),
        text: &str,
        error: &ParseError,
        availability: &Availability,
    ) {
        let base = if marked { self.nth_expression(node, count) } else { node.span };
        let mut span = base;
        // The position within the expression is known only if the source spells the expression in the same way.
        let from = base.start as usize;
        let ahead = self.source.text.get(from..).unwrap_or_default();
        let trimmed = text.trim();
        let limit = ahead.len().min(text.len() + 64);
        if let (Some(at), Some(place)) = (error.at, ahead.get(..limit).and_then(|near| near.find(trimmed))) {
            let lead = text.len() - text.trim_start().len();
            if !trimmed.is_empty() && at.start >= lead {
                span = self.source.span(from + place + at.start - lead, at.end - at.start);
            }
        }
        // A message has one line, even for an expression of several lines.
        let message = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let hint = hints::for_expression(error, availability);
        self.report(Diagnostic { hint, ..Diagnostic::error(EXPRESSION, span, message) });
    }
}

/// The frame of the call into which GitHub converts text with expressions, such as `format('text {0}', expression)`.
const JOINED_FRAME: &str = "format('')";

/// Returns the length of text inside the string literal of [`JOINED_FRAME`], in which quotes and braces are doubled.
fn joined_length(text: &str) -> usize {
    units(text) + text.matches(['\'', '{', '}']).count()
}

/// Returns the length in UTF-16 units.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Returns the text between `${{` and `}}`, if the whole text is one expression.
pub(super) fn one_expression(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("${{")?;
    let inside = rest.strip_suffix("}}")?;
    (end_of_expression(rest) == Some(inside.len())).then_some(inside)
}

/// Returns the offset of the `}}` that closes an expression; a `}}` in a string literal does not count. `None` if the
/// expression is not closed.
fn end_of_expression(text: &str) -> Option<usize> {
    let mut quoted = false;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b'}' if !quoted && bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::source::Source;
    use crate::workflow::{parse, parse_action};

    #[test]
    fn one_expression_covers_the_whole_text() {
        assert_eq!(one_expression("${{ a }}"), Some(" a "));
        assert_eq!(one_expression("${{ '}}' }}"), Some(" '}}' "));
        for other in ["${{", "${{}", "${{ a", "${{ a }} ", "${{ a }}${{ b }}", "a", ""] {
            assert_eq!(one_expression(other), None, "{other}");
        }
    }

    #[test]
    fn truncated_expressions_are_reported() {
        for cut in ["${{", "${{}", "x${{"] {
            for place in ["runs-on", "if", "timeout-minutes", "env", "strategy"] {
                let text = format!("on: push\njobs: {{a: {{{place}: '{cut}', runs-on: x}}}}\n");
                assert!(!parse(&Source::new("a.yml", text)).diagnostics.is_empty(), "{place}: {cut}");
            }
            assert!(!parse_action(&Source::new("action.yml", format!("runs: '{cut}'\n"))).diagnostics.is_empty());
        }
    }

    #[test]
    fn text_with_expressions_is_limited_as_a_whole() {
        let parsed = |run: &str| {
            let text = format!("on: push\njobs: {{a: {{runs-on: x, steps: [{{run: '{run}'}}]}}}}\n");
            parse(&Source::new("a.yml", text)).diagnostics.len()
        };
        let long = |length: usize| "a".repeat(length);
        // `format('{0}', github.sha)` adds 25 characters.
        assert_eq!(parsed(&format!("{}${{{{ github.sha }}}}", long(21_000 - 25))), 0);
        assert_eq!(parsed(&format!("{}${{{{ github.sha }}}}", long(21_000 - 24))), 1);
        assert_eq!(parsed(&long(30_000)), 0, "text without expressions has no limit");
        assert_eq!(parsed(&format!("{}${{{{ github.sha }}}}", "{".repeat(10_600))), 1, "braces are doubled");
    }

    #[test]
    fn a_condition_with_text_around_expressions_is_text() {
        use crate::workflow::expr::{Contexts, NoFiles, Scope, Status};
        use crate::workflow::syntax::JobBody;
        for (condition, runs) in [
            ("\"${{ false }}\"", false),
            ("\" ${{ false }}\"", true),
            ("\"${{ 'fa' }}${{ 'lse' }}\"", true),
            ("\"${{ false }}${{ '' }}\"", true),
            ("\"${{ '' }}${{ null }}\"", false),
            ("\"true && ${{ false }}\"", true),
            ("\"! ${{ true }}\"", true),
            ("|\n          ${{ false }}", true),
            (">-\n          ${{ false }}", false),
            ("\"${{ 'false' }}\"", false),
            ("\"${{ '1 == 2' }}\"", false),
            ("\"${{ '' }}\"", true),
            ("\"${{ 'true' }}\"", true),
        ] {
            let text =
                format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - if: {condition}\n        run: x\n");
            let parsed = parse(&Source::new("a.yml", text));
            let workflow = parsed.value.unwrap_or_else(|| panic!("{condition}: {:?}", parsed.diagnostics));
            let JobBody::Steps(body) = &workflow.jobs[0].body else { panic!("steps") };
            let contexts = Contexts::default();
            let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
            assert_eq!(body.steps[0].condition.decide(&scope).0, Ok(runs), "{condition}");
        }
    }
}
