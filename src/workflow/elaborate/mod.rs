//! Elaboration: checks a YAML tree against the schema and compiles its expressions, in one pass.
//!
//! This module checks the tree; [`text`] compiles the expressions of scalars and conditions.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::nearest;

use super::diagnostic::Diagnostic;
use super::hints;
use super::intern::Interner;
use super::schema::availability::{Availability, NONE};
use super::schema::{ANY, Schema, Shape};
use super::source::{Source, Span};
use super::template::{Template, TemplateKind};
use super::yaml::{TextStyle, YamlKind, YamlNode};

mod text;

use text::one_expression;

/// Rule name of syntax errors.
pub(super) const SYNTAX: &str = "syntax-check";

/// Rule name of errors inside `${{ }}`.
pub(super) const EXPRESSION: &str = "expression";

/// Elaborates the tree of one source.
pub(super) struct Elaborator<'s> {
    source: &'s Source,
    pub(super) diagnostics: Vec<Diagnostic>,
    interner: Interner,
    /// The key whose value is being read, for messages.
    key: String,
}

impl<'s> Elaborator<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { source, diagnostics: Vec::new(), interner: Interner::default(), key: String::new() }
    }

    /// Elaborates a node that must follow the schema. Reports errors, and returns the valid parts of the node.
    pub(super) fn read(
        &mut self,
        node: &YamlNode<'_>,
        schema: &'static Schema,
        availability: &'static Availability,
    ) -> Template {
        let availability = schema.availability.unwrap_or(availability);
        let outer = schema;
        let schema = Self::choose(node, schema);
        let availability = schema.availability.unwrap_or(availability);
        if let Some(template) = self.whole_expression(node, schema, availability) {
            return template;
        }
        match (&schema.shape, &node.kind) {
            (Shape::Condition, _) => self.condition(node, availability),
            (Shape::Any, _) => self.any(node, availability),
            (Shape::Mapping(_), YamlKind::Mapping(entries)) => {
                let kind = TemplateKind::Mapping(self.mapping(node, (outer, schema), entries, availability));
                Template { span: node.span, kind }
            }
            (Shape::Mapping(fields), YamlKind::Null) if fields.optional => {
                Template { span: node.span, kind: TemplateKind::Null }
            }
            (Shape::Sequence(item), YamlKind::Sequence(items)) => {
                let items = self.items(items, |own, node| own.read(node, item, availability));
                Template { span: node.span, kind: TemplateKind::Sequence(items) }
            }
            (Shape::Text { many: true, .. } | Shape::Word { many: true, .. }, YamlKind::Sequence(items)) => {
                let items = self.items(items, |own, node| own.one(node, schema, availability));
                Template { span: node.span, kind: TemplateKind::Sequence(items) }
            }
            _ => self.one(node, schema, availability),
        }
    }

    /// Elaborates the items of a sequence. The index of each item is part of its key in messages.
    fn items(&mut self, items: &[YamlNode<'_>], read: impl Fn(&mut Self, &YamlNode<'_>) -> Template) -> Vec<Template> {
        let key = self.key.clone();
        let items = items.iter().enumerate().map(|(index, node)| {
            self.key = format!("{key}[{index}]");
            read(self, node)
        });
        let items = items.collect();
        self.key = key;
        items
    }

    /// Selects the alternative of the schema that fits the form of the node.
    fn choose(node: &YamlNode<'_>, schema: &'static Schema) -> &'static Schema {
        let Shape::OneOf(_) = schema.shape else { return schema };
        let alternatives = schema.alternatives();
        let fits = |schema: &&&'static Schema| match (&schema.shape, &node.kind) {
            (Shape::Any | Shape::Condition, _) => true,
            (Shape::Mapping(_), YamlKind::Mapping(_)) => true,
            (Shape::Mapping(fields), YamlKind::Null) => fields.optional,
            (Shape::Sequence(_), YamlKind::Sequence(_)) => true,
            (Shape::Text { many, .. } | Shape::Word { many, .. }, YamlKind::Sequence(_)) => *many,
            (Shape::Nothing, YamlKind::Null) => true,
            (Shape::Bool, YamlKind::Bool(_)) | (Shape::Number, YamlKind::Number(..)) => true,
            (Shape::Text { .. } | Shape::Word { .. } | Shape::Scalar, kind) => {
                !matches!(kind, YamlKind::Mapping(_) | YamlKind::Sequence(_) | YamlKind::Null)
            }
            _ => false,
        };
        let fitting: Vec<_> = alternatives.iter().filter(fits).copied().collect();
        match (&node.kind, fitting.as_slice()) {
            (YamlKind::Mapping(entries), [_, _, ..]) => {
                let is_selected = |schema: &&&'static Schema| {
                    schema.selected_by.is_some_and(|(key, values)| {
                        let mut entries =
                            entries.iter().filter(|(name, _)| text_of(name).is_some_and(|name| name == key));
                        entries.any(|(_, value)| text_of(value).is_some_and(|value| values.contains(&value.as_ref())))
                    })
                };
                if let Some(selected) = fitting.iter().find(is_selected) {
                    return selected;
                }
                // As on GitHub, each key in turn narrows the choice to the alternatives that have this key, if any of
                // the remaining alternatives has it.
                let mut left = fitting;
                for name in entries.iter().filter_map(|(key, _)| text_of(key)) {
                    let knows = |schema: &&'static Schema| match &schema.shape {
                        Shape::Mapping(fields) => fields.known.iter().any(|field| field.name == name),
                        _ => false,
                    };
                    if left.iter().any(knows) {
                        left.retain(knows);
                    }
                }
                left.first().copied().unwrap_or(schema)
            }
            (_, [first, ..]) => first,
            (YamlKind::Text(..), []) => {
                let computable = alternatives.iter().find(|schema| schema.accepts_expression);
                computable.copied().unwrap_or(alternatives[0])
            }
            _ => alternatives[0],
        }
    }

    /// Compiles an expression in place of a whole mapping, sequence or typed scalar; `None` for any other value.
    fn whole_expression(
        &mut self,
        node: &YamlNode<'_>,
        schema: &Schema,
        availability: &'static Availability,
    ) -> Option<Template> {
        let YamlKind::Text(text, style) = &node.kind else { return None };
        if *style == TextStyle::Literal
            || !schema.accepts_expression
            || matches!(schema.shape, Shape::Condition | Shape::Text { .. } | Shape::Any)
        {
            return None;
        }
        let whole = text.trim();
        one_expression(whole)?;
        Some(self.text(node, whole, availability))
    }

    /// Elaborates a scalar.
    fn one(&mut self, node: &YamlNode<'_>, schema: &Schema, availability: &'static Availability) -> Template {
        let template = match &node.kind {
            YamlKind::Mapping(_) | YamlKind::Sequence(_) => {
                self.wrong_kind(node, schema);
                return Template { span: node.span, kind: TemplateKind::Null };
            }
            YamlKind::Text(text, _) => self.text(node, text, availability),
            YamlKind::Null => Template { span: node.span, kind: TemplateKind::Null },
            YamlKind::Bool(value) => Template { span: node.span, kind: TemplateKind::Bool(*value) },
            YamlKind::Number(value, text) => {
                Template { span: node.span, kind: TemplateKind::Number(*value, Arc::from(text.as_ref())) }
            }
        };
        let Some(literal) = template.literal() else {
            if !schema.accepts_expression {
                self.wrong_kind(node, schema);
            }
            return template;
        };
        match (&schema.shape, &template.kind) {
            (Shape::Text { empty: false, .. } | Shape::Word { .. }, _) if literal.is_empty() => {
                let message = format!("`{}` must not be empty", self.subject(schema));
                self.error(node.span, message, "write a value, or remove the key");
            }
            (Shape::Word { allowed, .. }, _) if !allowed.contains(&literal) => {
                let near = nearest(literal, allowed.iter().copied());
                let hint = near.map_or_else(
                    || format!("expected one of {}", allowed.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("unexpected value `{literal}` for `{}`", self.subject(schema));
                self.error(node.span, message, hint);
            }
            (Shape::Bool, TemplateKind::Bool(_)) | (Shape::Number, TemplateKind::Number(..)) => {}
            (Shape::Nothing, TemplateKind::Null) => {}
            (Shape::Bool | Shape::Number | Shape::Nothing | Shape::Mapping(_) | Shape::Sequence(_), _) => {
                self.wrong_kind(node, schema);
            }
            _ => {}
        }
        template
    }

    fn wrong_kind(&mut self, node: &YamlNode<'_>, schema: &Schema) {
        let wanted = match schema.shape {
            Shape::Bool => "a boolean",
            Shape::Number => "a number",
            Shape::Sequence(_) => "a sequence",
            Shape::Mapping(_) => "a mapping",
            Shape::Nothing => "empty",
            _ => "a string",
        };
        let message = format!("`{}` must be {wanted}, not {}", self.subject(schema), node.kind_name());
        self.error(node.span, message, hints::for_shape(schema, &node.kind));
    }

    /// Returns the subject of a message about a value: its key, or the name of its schema at the root of the file.
    fn subject<'m>(&'m self, schema: &'m Schema) -> &'m str {
        if self.key.is_empty() { schema.name } else { &self.key }
    }

    fn any(&mut self, node: &YamlNode<'_>, availability: &'static Availability) -> Template {
        let kind = match &node.kind {
            YamlKind::Sequence(items) => {
                TemplateKind::Sequence(items.iter().map(|item| self.any(item, availability)).collect())
            }
            YamlKind::Mapping(entries) => {
                self.duplicates(entries);
                let entries = entries.iter().map(|(key, value)| {
                    let inserts = text_of(key).is_some_and(|name| is_insert(&name));
                    let key = if inserts { plain_key(key) } else { self.any(key, availability) };
                    (key, self.any(value, availability))
                });
                TemplateKind::Mapping(entries.collect())
            }
            YamlKind::Text(text, _) => return self.text(node, text, availability),
            YamlKind::Null => TemplateKind::Null,
            YamlKind::Bool(value) => TemplateKind::Bool(*value),
            YamlKind::Number(value, text) => TemplateKind::Number(*value, Arc::from(text.as_ref())),
        };
        Template { span: node.span, kind }
    }

    fn mapping(
        &mut self,
        node: &YamlNode<'_>,
        (outer, schema): (&'static Schema, &'static Schema),
        entries: &[(YamlNode<'_>, YamlNode<'_>)],
        availability: &'static Availability,
    ) -> Vec<(Template, Template)> {
        let Shape::Mapping(fields) = &schema.shape else { return Vec::new() };
        self.duplicates(entries);
        let mut read = Vec::with_capacity(entries.len());
        let mut has_computed_key = false;
        let mut is_misspelled = false;
        for (key, value) in entries {
            let Some(name) = text_of(key) else {
                let message = format!("a key of `{}` must be a string, not {}", schema.name, key.kind_name());
                self.error(key.span, message, "write `key: value`; quote a key that contains `[` or `{`");
                continue;
            };
            if name == MERGE {
                let hint = "write the entries themselves, or use an alias for the whole mapping";
                self.error(key.span, "GitHub does not support the YAML merge key `<<`", hint);
                has_computed_key = true;
                continue;
            }
            let known = fields.known.iter().find(|field| field.name == name);
            // As on GitHub, a key may be an expression if one expression may replace the whole mapping.
            let computed = known.is_none() && name.contains("${{") && !availability.contexts.is_empty();
            has_computed_key |= computed;
            let others = fields.others.or(computed.then_some(&ANY));
            let Some(value_schema) = known.map(|field| field.schema).or(others) else {
                is_misspelled |= hints::misspells_required(&name, outer);
                let hint = hints::for_unknown(&name, schema, outer);
                self.error(key.span, format!("unexpected key `{name}` in `{}`", schema.name), hint);
                continue;
            };
            let key = if let Some(field) = known {
                Template { span: key.span, kind: TemplateKind::Text(self.interner.key(field.name)) }
            } else if is_insert(&name) {
                plain_key(key)
            } else {
                self.text(key, &name, availability)
            };
            let outer_key = std::mem::replace(&mut self.key, name.into_owned());
            read.push((key, self.read(value, value_schema, availability)));
            self.key = outer_key;
        }
        // A misspelled required key may be any of the missing ones, also that of another alternative, so none is reported
        // beside it.
        for field in fields.known.iter().filter(|field| field.required && !has_computed_key && !is_misspelled) {
            if !entries.iter().any(|(key, _)| text_of(key).is_some_and(|name| name == field.name)) {
                let message = format!("required key `{}` is missing in `{}`", field.name, schema.name);
                self.error(node.span, message, hints::for_missing(field.name, outer));
            }
        }
        if entries.is_empty() && !fields.optional && fields.known.is_empty() {
            let hint = "add entries, each as `name: value`";
            self.error(node.span, format!("`{}` must not be empty", schema.name), hint);
        }
        read
    }

    /// Reports duplicate keys. Like GitHub, ignores case.
    fn duplicates(&mut self, entries: &[(YamlNode<'_>, YamlNode<'_>)]) {
        // In a small mapping, comparing all pairs is cheaper than building a map of lower-case keys.
        let names: Vec<_> = entries.iter().map(|(key, _)| text_of(key)).collect();
        let same = |one: &str| names.iter().flatten().filter(|other| other.eq_ignore_ascii_case(one)).count() > 1;
        if names.len() <= 8 && !names.iter().flatten().any(|name| same(name)) {
            return;
        }
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        for (key, _) in entries {
            let Some(name) = text_of(key) else { continue };
            if let Some(first) = seen.get(&name.to_ascii_lowercase()) {
                let message = format!("duplicate key `{name}`; first defined in line {}", first.line);
                self.error(key.span, message, "remove one of the two, or merge their values");
            } else {
                seen.insert(name.to_ascii_lowercase(), key.span);
            }
        }
    }

    fn error(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Diagnostic::error(SYNTAX, span, message).hint(hint));
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

/// YAML's merge key.
const MERGE: &str = "<<";

/// Availability at the root of a file, which allows no expressions.
pub(super) static NO_EXPRESSIONS: &Availability = &NONE;

/// Returns a key as plain text.
fn plain_key(key: &YamlNode<'_>) -> Template {
    let text = text_of(key).unwrap_or_default();
    Template { span: key.span, kind: TemplateKind::Text(Arc::from(text.as_ref())) }
}

/// Whether a key is GitHub's `${{ insert }}` directive, which merges the entries of its value into the mapping.
fn is_insert(key: &str) -> bool {
    let inside = key.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    inside.is_some_and(|directive| directive.trim() == "insert")
}

/// Returns a scalar as text, whatever its type; `None` for a mapping or sequence.
fn text_of<'n>(node: &'n YamlNode<'_>) -> Option<std::borrow::Cow<'n, str>> {
    match &node.kind {
        YamlKind::Text(text, _) | YamlKind::Number(_, text) => Some(std::borrow::Cow::Borrowed(text.as_ref())),
        YamlKind::Bool(value) => Some(std::borrow::Cow::Borrowed(if *value { "true" } else { "false" })),
        YamlKind::Null => Some(std::borrow::Cow::Borrowed("")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::workflow::parse;
    use crate::workflow::source::Source;

    #[test]
    fn messages_name_the_key() {
        let message = |text: &str| {
            let found = parse(&Source::new("a.yml", text)).diagnostics;
            found.into_iter().map(|found| found.message).next().unwrap_or_default()
        };
        for (job, expected) in [
            ("{runs-on: x, steps: [{uses: a/b@v1, with: {fetch: [1]}}]}", "`fetch` must be a string, not a sequence"),
            ("{uses: ./w.yml, with: {list: [a]}}", "`list` must be a string, not a sequence"),
            ("{runs-on: x, env: {A: {b: c}}}", "`A` must be a string, not a mapping"),
            ("{runs-on: x, steps: [x]}", "`steps[0]` must be a mapping, not a string"),
            ("{runs-on: [x, [y]]}", "`runs-on[1]` must be a string, not a sequence"),
            ("{runs-on: x, services: {db: [1]}}", "`db` must be a string, not a sequence"),
        ] {
            assert_eq!(message(&format!("on: push\njobs: {{a: {job}}}\n")), expected);
        }
        let input = "on: {workflow_call: {inputs: {a: {type: string, required: 'yes'}}}}\njobs: {a: {runs-on: x}}\n";
        assert_eq!(message(input), "`required` must be a boolean, not a string");
    }

    #[test]
    fn a_merge_key_is_explained() {
        for text in [
            "on: push\njobs: {a: &a {runs-on: x}, b: {<<: *a}}\n",
            "on: push\nenv: {<<: {A: b}}\njobs: {a: {runs-on: x}}\n",
            "on: push\njobs: {<<: {a: {runs-on: x}}}\n",
        ] {
            let found = parse(&Source::new("a.yml", text)).diagnostics;
            assert!(found.len() == 1 && found[0].message.contains("merge key `<<`"), "{text}{found:?}");
        }
    }
}
