//! Checks a tree against the schema and compiles its expressions, in one pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::expr::{NodeKind as ExprKind, ParseError, Value};
use super::hints;
use super::intern::Compiled;
use super::schema::availability::{Availability, NONE};
use super::schema::{Rule, Shape, nearest};
use super::source::{Source, Span};
use super::template::{Piece, Template, TemplateKind};
use super::yaml::{Node, NodeKind};

/// What GitHub's parser reports is reported under this name.
pub(super) const SYNTAX: &str = "syntax-check";

/// Faults inside `${{ }}`.
pub(super) const EXPRESSION: &str = "expression";

/// Reads trees of one source.
pub(super) struct Reader<'s> {
    source: &'s Source,
    pub(super) diagnostics: Vec<Diagnostic>,
    compiled: Compiled,
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { source, diagnostics: Vec::new(), compiled: Compiled::default() }
    }

    /// The template of a node that must follow the rule. What does not is reported, and read as far as it can be.
    pub(super) fn read(&mut self, node: &Node<'_>, rule: &'static Rule, words: &'static Availability) -> Template {
        let words = rule.words.unwrap_or(words);
        let outer = rule;
        let rule = Self::choose(node, rule);
        let words = rule.words.unwrap_or(words);
        if let Some(template) = self.computed(node, rule, words) {
            return template;
        }
        match (&rule.shape, &node.kind) {
            (Shape::Condition, _) => self.condition(node, words),
            (Shape::Any, _) => self.any(node, words),
            (Shape::Mapping(_), NodeKind::Mapping(entries)) => {
                let kind = TemplateKind::Mapping(self.mapping(node, (outer, rule), entries, words));
                Template { span: node.span, kind }
            }
            (Shape::Mapping(fields), NodeKind::Null) if fields.optional => {
                Template { span: node.span, kind: TemplateKind::Null }
            }
            (Shape::Sequence(item), NodeKind::Sequence(items)) => {
                let items = items.iter().map(|node| self.read(node, item, words)).collect();
                Template { span: node.span, kind: TemplateKind::Sequence(items) }
            }
            (Shape::Text { many: true, .. } | Shape::Word { many: true, .. }, NodeKind::Sequence(items)) => {
                let items = items.iter().map(|node| self.one(node, rule, words)).collect();
                Template { span: node.span, kind: TemplateKind::Sequence(items) }
            }
            _ => self.one(node, rule, words),
        }
    }

    /// The alternative that the node was written as.
    fn choose(node: &Node<'_>, rule: &'static Rule) -> &'static Rule {
        let Shape::OneOf(_) = rule.shape else { return rule };
        let alternatives = rule.alternatives();
        let fits = |rule: &&&'static Rule| match (&rule.shape, &node.kind) {
            (Shape::Any | Shape::Condition, _) => true,
            (Shape::Mapping(_), NodeKind::Mapping(_)) => true,
            (Shape::Mapping(fields), NodeKind::Null) => fields.optional,
            (Shape::Sequence(_), NodeKind::Sequence(_)) => true,
            (Shape::Text { many, .. } | Shape::Word { many, .. }, NodeKind::Sequence(_)) => *many,
            (Shape::Nothing, NodeKind::Null) => true,
            (Shape::Bool, NodeKind::Bool(_)) | (Shape::Number, NodeKind::Number(..)) => true,
            (Shape::Text { .. } | Shape::Word { .. } | Shape::Scalar, kind) => {
                !matches!(kind, NodeKind::Mapping(_) | NodeKind::Sequence(_) | NodeKind::Null)
            }
            _ => false,
        };
        let fitting: Vec<_> = alternatives.iter().filter(fits).copied().collect();
        match (&node.kind, fitting.as_slice()) {
            (NodeKind::Mapping(entries), [_, _, ..]) => {
                let is_told = |rule: &&&'static Rule| {
                    rule.told_by.is_some_and(|(key, values)| {
                        let mut entries =
                            entries.iter().filter(|(name, _)| text_of(name).is_some_and(|name| name == key));
                        entries.any(|(_, value)| text_of(value).is_some_and(|value| values.contains(&value.as_ref())))
                    })
                };
                if let Some(told) = fitting.iter().find(is_told) {
                    return told;
                }
                // As on GitHub, each key in turn leaves those that know it, unless none of those that are left does.
                let mut left = fitting;
                for name in entries.iter().filter_map(|(key, _)| text_of(key)) {
                    let knows = |rule: &&'static Rule| match &rule.shape {
                        Shape::Mapping(fields) => fields.known.iter().any(|field| field.name == name),
                        _ => false,
                    };
                    if left.iter().any(knows) {
                        left.retain(knows);
                    }
                }
                left.first().copied().unwrap_or(rule)
            }
            (_, [first, ..]) => first,
            (NodeKind::Text(..), []) => {
                let computable = alternatives.iter().find(|rule| rule.computed);
                computable.copied().unwrap_or(alternatives[0])
            }
            _ => alternatives[0],
        }
    }

    /// An expression that stands for the whole place.
    fn computed(&mut self, node: &Node<'_>, rule: &Rule, words: &'static Availability) -> Option<Template> {
        let NodeKind::Text(text, _) = &node.kind else { return None };
        if !rule.computed || matches!(rule.shape, Shape::Condition | Shape::Text { .. } | Shape::Any) {
            return None;
        }
        let whole = text.trim();
        one_expression(whole)?;
        Some(self.text(node, whole, words))
    }

    /// A scalar.
    fn one(&mut self, node: &Node<'_>, rule: &Rule, words: &'static Availability) -> Template {
        let template = match &node.kind {
            NodeKind::Mapping(_) | NodeKind::Sequence(_) => {
                self.wrong_kind(node, rule);
                return Template { span: node.span, kind: TemplateKind::Null };
            }
            NodeKind::Text(text, _) => self.text(node, text, words),
            NodeKind::Null => Template { span: node.span, kind: TemplateKind::Null },
            NodeKind::Bool(value) => Template { span: node.span, kind: TemplateKind::Bool(*value) },
            NodeKind::Number(value, text) => {
                Template { span: node.span, kind: TemplateKind::Number(*value, Arc::from(text.as_ref())) }
            }
        };
        let Some(literal) = template.literal() else {
            if !rule.computed {
                self.wrong_kind(node, rule);
            }
            return template;
        };
        match (&rule.shape, &template.kind) {
            (Shape::Text { empty: false, .. } | Shape::Word { .. }, _) if literal.is_empty() => {
                self.error(
                    node.span,
                    format!("`{}` must not be empty", rule.name),
                    "write a value, or leave the key away",
                );
            }
            (Shape::Word { allowed, .. }, _) if !allowed.contains(&literal) => {
                let near = nearest(literal, allowed.iter().copied());
                let hint = near.map_or_else(
                    || format!("it is one of {}", allowed.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.error(node.span, format!("unexpected value `{literal}` for `{}`", rule.name), hint);
            }
            (Shape::Bool, TemplateKind::Bool(_)) | (Shape::Number, TemplateKind::Number(..)) => {}
            (Shape::Nothing, TemplateKind::Null) => {}
            (Shape::Bool | Shape::Number | Shape::Nothing | Shape::Mapping(_) | Shape::Sequence(_), _) => {
                self.wrong_kind(node, rule);
            }
            _ => {}
        }
        template
    }

    fn wrong_kind(&mut self, node: &Node<'_>, rule: &Rule) {
        let wanted = match rule.shape {
            Shape::Bool => "true or false",
            Shape::Number => "a number",
            Shape::Sequence(_) => "a sequence",
            Shape::Mapping(_) => "a mapping",
            Shape::Nothing => "nothing",
            _ => "a string",
        };
        let message = format!("`{}` must be {wanted}, not {}", rule.name, node.kind_name());
        self.error(node.span, message, hints::for_shape(rule, &node.kind));
    }

    fn any(&mut self, node: &Node<'_>, words: &'static Availability) -> Template {
        let kind = match &node.kind {
            NodeKind::Sequence(items) => {
                TemplateKind::Sequence(items.iter().map(|item| self.any(item, words)).collect())
            }
            NodeKind::Mapping(entries) => {
                self.duplicates(entries);
                let entries = entries.iter().map(|(key, value)| {
                    let inserts = text_of(key).is_some_and(|name| is_insert(&name));
                    let key = if inserts { plain_key(key) } else { self.any(key, words) };
                    (key, self.any(value, words))
                });
                TemplateKind::Mapping(entries.collect())
            }
            NodeKind::Text(text, _) => return self.text(node, text, words),
            NodeKind::Null => TemplateKind::Null,
            NodeKind::Bool(value) => TemplateKind::Bool(*value),
            NodeKind::Number(value, text) => TemplateKind::Number(*value, Arc::from(text.as_ref())),
        };
        Template { span: node.span, kind }
    }

    fn mapping(
        &mut self,
        node: &Node<'_>,
        (outer, rule): (&'static Rule, &'static Rule),
        entries: &[(Node<'_>, Node<'_>)],
        words: &'static Availability,
    ) -> Vec<(Template, Template)> {
        let Shape::Mapping(fields) = &rule.shape else { return Vec::new() };
        self.duplicates(entries);
        let mut read = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(name) = text_of(key) else {
                let message = format!("a key of `{}` must be a string, not {}", rule.name, key.kind_name());
                self.error(key.span, message, "write `key: value`; put a key with `[` or `{` in it into quotes");
                continue;
            };
            let known = fields.known.iter().find(|field| field.name == name);
            let Some(rule_of_value) = known.map(|field| field.rule).or(fields.others) else {
                let hint = hints::for_unknown(&name, rule, outer);
                self.error(key.span, format!("unexpected key `{name}` in `{}`", rule.name), hint);
                continue;
            };
            let key = if let Some(field) = known {
                Template { span: key.span, kind: TemplateKind::Text(self.compiled.key(field.name)) }
            } else if is_insert(&name) {
                plain_key(key)
            } else {
                self.text(key, &name, words)
            };
            read.push((key, self.read(value, rule_of_value, words)));
        }
        for field in fields.known.iter().filter(|field| field.required) {
            if !entries.iter().any(|(key, _)| text_of(key).is_some_and(|name| name == field.name)) {
                let message = format!("required key `{}` is missing in `{}`", field.name, rule.name);
                self.error(node.span, message, hints::for_missing(field.name, outer));
            }
        }
        if entries.is_empty() && !fields.optional && fields.known.is_empty() {
            let hint = "write names and values below it, each as `name: value`";
            self.error(node.span, format!("`{}` must not be empty", rule.name), hint);
        }
        read
    }

    /// GitHub compares keys without regard to case.
    fn duplicates(&mut self, entries: &[(Node<'_>, Node<'_>)]) {
        // Most mappings are small, and looking at all pairs costs less than names in one case.
        let names: Vec<_> = entries.iter().map(|(key, _)| text_of(key)).collect();
        let same = |one: &str| names.iter().flatten().filter(|other| other.eq_ignore_ascii_case(one)).count() > 1;
        if names.len() <= 8 && !names.iter().flatten().any(|name| same(name)) {
            return;
        }
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        for (key, _) in entries {
            let Some(name) = text_of(key) else { continue };
            if let Some(first) = seen.get(&name.to_ascii_lowercase()) {
                let message = format!("the key `{name}` is already there, in line {}", first.line);
                self.error(key.span, message, "remove one of the two, or put what stands below them together");
            } else {
                seen.insert(name.to_ascii_lowercase(), key.span);
            }
        }
    }

    /// A condition: an expression with or without `${{ }}` around it.
    fn condition(&mut self, node: &Node<'_>, words: &'static Availability) -> Template {
        let written: &str = match &node.kind {
            NodeKind::Text(text, _) => text,
            NodeKind::Number(_, text) => text,
            NodeKind::Bool(true) => "true",
            NodeKind::Bool(false) => "false",
            NodeKind::Null => "",
            NodeKind::Mapping(_) | NodeKind::Sequence(_) => {
                let message = format!("`if` must be a string, not {}", node.kind_name());
                self.error(node.span, message, "write one expression, with or without `${{ }}` around it");
                ""
            }
        };
        let (text, marked) = match one_expression(written) {
            Some(inside) => (inside, true),
            None if written.contains("${{") => {
                // Text around an expression, be it a blank or the line end of a block, makes it text, and text is true:
                // GitHub evaluates it as `format(…)`.
                let template = self.text(node, written, words);
                return self.always_text(node, template, words);
            }
            None => (written, false),
        };
        let text = text.trim();
        let kind = match self.compiled.expression(text, words, true) {
            Ok(expr) => TemplateKind::Expression(expr),
            Err(error) => {
                self.expression_error(node, (0, marked), text, &error, words);
                TemplateKind::Null
            }
        };
        Template { span: node.span, kind }
    }

    /// A condition of text with expressions in it: always true, as text is.
    fn always_text(&mut self, node: &Node<'_>, template: Template, words: &'static Availability) -> Template {
        let TemplateKind::Interpolated(pieces) = &template.kind else { return template };
        let (mut text, mut arguments) = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Text(part) => text.push_str(&part.replace('{', "{{").replace('}', "}}").replace('\'', "''")),
                Piece::Expression(expr) => {
                    text.push_str(&format!("{{{}}}", arguments.matches('\u{0}').count()));
                    arguments.push_str(&format!("\u{0}, {}", expr.text()));
                }
            }
        }
        let text = format!("format('{text}'{})", arguments.replace('\u{0}', ""));
        match self.compiled.expression(&text, words, true) {
            Ok(expr) => Template { span: node.span, kind: TemplateKind::Expression(expr) },
            Err(error) => {
                self.report(Diagnostic::error(EXPRESSION, node.span, error.to_string()));
                Template { span: node.span, kind: TemplateKind::Null }
            }
        }
    }

    /// Text with or without expressions.
    fn text(&mut self, node: &Node<'_>, text: &str, words: &'static Availability) -> Template {
        let plain = |text: &str| Template { span: node.span, kind: TemplateKind::Text(Arc::from(text)) };
        if !text.contains("${{") {
            return plain(text);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut count = 0;
        while let Some(start) = rest.find("${{") {
            if start > 0 {
                pieces.push(Piece::Text(Arc::from(&rest[..start])));
            }
            let inside = &rest[start + 3..];
            let Some(end) = end_of_expression(inside) else {
                let place = self.nth_expression(node, count);
                let message = "the expression is not closed: `}}` is missing";
                self.report(Diagnostic::error(EXPRESSION, place, message).hint("write `}}` where the expression ends"));
                return plain(text);
            };
            let expression = &inside[..end];
            if words.contexts.is_empty() && words.functions.is_empty() {
                let place = self.nth_expression(node, count);
                let hint = "write the value itself: this key is read before any expression has a value";
                self.report(Diagnostic::error(EXPRESSION, place, "an expression cannot stand here").hint(hint));
                return plain(text);
            }
            match self.compiled.expression(expression, words, false) {
                Ok(expr) if expr.tree().is_none() => {
                    let place = self.nth_expression(node, count);
                    let message = "an expression is expected between `${{` and `}}`";
                    let hint = "write an expression, or leave the marks away";
                    self.report(Diagnostic::error(EXPRESSION, place, message).hint(hint));
                }
                // A text literal is that text: `${{ '${{' }}` is how `${{` is written.
                Ok(expr) => pieces.push(match expr.tree().map(|tree| &tree.kind) {
                    Some(ExprKind::Literal(Value::String(text))) => Piece::Text(Arc::clone(text)),
                    _ => Piece::Expression(expr),
                }),
                Err(error) => self.expression_error(node, (count, true), expression, &error, words),
            }
            count += 1;
            rest = &inside[end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(Arc::from(rest)));
        }
        let kind = match pieces.as_slice() {
            [Piece::Expression(expr)] => TemplateKind::Expression(expr.clone()),
            [Piece::Text(text)] => TemplateKind::Text(Arc::clone(text)),
            _ => TemplateKind::Interpolated(pieces),
        };
        Template { span: node.span, kind }
    }

    /// Where the `count`th `${{` of a node stands: block and quoted text differ from the source in blanks and escapes,
    /// and never in the order of their expressions.
    fn nth_expression(&self, node: &Node<'_>, count: usize) -> Span {
        let (start, end) = (node.span.start as usize, (node.span.end as usize).min(self.source.text.len()));
        let written = self.source.text.get(start..end).unwrap_or_default();
        match written.match_indices("${{").nth(count) {
            Some((at, _)) => self.source.span(start + at, 3),
            None => node.span,
        }
    }

    fn expression_error(
        &mut self,
        node: &Node<'_>,
        (count, marked): (usize, bool),
        text: &str,
        error: &ParseError,
        words: &Availability,
    ) {
        let base = if marked { self.nth_expression(node, count) } else { node.span };
        let mut span = base;
        // The place inside is known where the source spells the expression as it is.
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
        // An expression of several lines is told in one.
        let message = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let hint = hints::for_expression(error, words);
        self.report(Diagnostic { hint, ..Diagnostic::error(EXPRESSION, span, message) });
    }

    fn error(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Diagnostic::error(SYNTAX, span, message).hint(hint));
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

/// The words of a place where nothing says otherwise.
pub(super) static NO_WORDS: &Availability = &NONE;

/// What stands between the marks of a text that is one expression and nothing else.
fn one_expression(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("${{")?;
    let inside = rest.strip_suffix("}}")?;
    (end_of_expression(rest) == Some(inside.len())).then_some(inside)
}

/// Where the `}}` stands that closes an expression: not inside a quoted text.
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

/// A key as it is written.
fn plain_key(key: &Node<'_>) -> Template {
    let text = text_of(key).unwrap_or_default();
    Template { span: key.span, kind: TemplateKind::Text(Arc::from(text.as_ref())) }
}

/// GitHub's directive that puts the entries of the value in the place of the key.
fn is_insert(key: &str) -> bool {
    let inside = key.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    inside.is_some_and(|directive| directive.trim() == "insert")
}

/// A key as text, whatever YAML takes it for.
fn text_of<'n>(node: &'n Node<'_>) -> Option<std::borrow::Cow<'n, str>> {
    match &node.kind {
        NodeKind::Text(text, _) | NodeKind::Number(_, text) => Some(std::borrow::Cow::Borrowed(text.as_ref())),
        NodeKind::Bool(value) => Some(std::borrow::Cow::Borrowed(if *value { "true" } else { "false" })),
        NodeKind::Null => Some(std::borrow::Cow::Borrowed("")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::source::Source;
    use crate::workflow::{parse, parse_action};

    #[test]
    fn one_expression_is_all_of_the_text() {
        assert_eq!(one_expression("${{ a }}"), Some(" a "));
        assert_eq!(one_expression("${{ '}}' }}"), Some(" '}}' "));
        for other in ["${{", "${{}", "${{ a", "${{ a }} ", "${{ a }}${{ b }}", "a", ""] {
            assert_eq!(one_expression(other), None, "{other}");
        }
    }

    /// Marks without anything behind them are refused like any that are not closed.
    #[test]
    fn marks_that_are_cut_off_are_told() {
        for cut in ["${{", "${{}", "x${{"] {
            for place in ["runs-on", "if", "timeout-minutes", "env", "strategy"] {
                let text = format!("on: push\njobs: {{a: {{{place}: '{cut}', runs-on: x}}}}\n");
                assert!(!parse(&Source::new("a.yml", text)).diagnostics.is_empty(), "{place}: {cut}");
            }
            assert!(!parse_action(&Source::new("action.yml", format!("runs: '{cut}'\n"))).diagnostics.is_empty());
        }
    }
}
