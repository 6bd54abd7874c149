//! A value of the workflow file that may hold expressions, parsed once and evaluated over a snapshot of contexts.

use std::sync::Arc;

use super::expr::{EvalError, Expr, Object, Scope, Value};
use super::source::Span;

/// A node of the file whose expressions are compiled.
#[derive(Clone, Debug)]
pub struct Template {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: TemplateKind,
}

/// The shapes of a [`Template`].
#[derive(Clone, Debug)]
pub enum TemplateKind {
    /// `null`, `~` or nothing.
    Null,
    /// A YAML 1.2 core boolean.
    Bool(bool),
    /// A number, with the text as written (`3.10` stays readable in messages).
    Number(f64, Arc<str>),
    /// Text without expressions.
    Text(Arc<str>),
    /// One expression and nothing around it; keeps the type of its value.
    Expression(Expr),
    /// Text with expressions in it; always text.
    Interpolated(Vec<Piece>),
    /// A sequence.
    Sequence(Vec<Template>),
    /// A mapping in file order. A key may be an expression, or GitHub's `${{ insert }}`, which stands as text.
    Mapping(Vec<(Template, Template)>),
}

/// A piece of text with expressions in it.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text as it stands.
    Text(Arc<str>),
    /// An expression whose text is put here.
    Expression(Expr),
}

/// Why a template has no value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct TemplateError {
    /// Where in the file.
    pub span: Span,
    /// What went wrong.
    #[source]
    pub error: EvalError,
}

impl Template {
    /// The text of a scalar without expressions, as written.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &self.kind {
            TemplateKind::Text(text) | TemplateKind::Number(_, text) => Some(text),
            TemplateKind::Bool(true) => Some("true"),
            TemplateKind::Bool(false) => Some("false"),
            TemplateKind::Null => Some(""),
            _ => None,
        }
    }

    /// The value over a snapshot of contexts.
    ///
    /// # Errors
    /// The first expression that could not be evaluated, with its place.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, TemplateError> {
        let at = |error| TemplateError { span: self.span, error };
        Ok(match &self.kind {
            TemplateKind::Null => Value::Null,
            TemplateKind::Bool(value) => Value::Bool(*value),
            TemplateKind::Number(value, _) => Value::Number(*value),
            TemplateKind::Text(text) => Value::String(Arc::clone(text)),
            TemplateKind::Expression(expr) => expr.evaluate(scope).map_err(at)?,
            TemplateKind::Interpolated(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(part) => text.push_str(part),
                        Piece::Expression(expr) => text.push_str(&expr.evaluate(scope).map_err(at)?.to_text()),
                    }
                }
                Value::string(text)
            }
            TemplateKind::Sequence(items) => {
                Value::array(items.iter().map(|item| item.evaluate(scope)).collect::<Result<Vec<_>, _>>()?)
            }
            TemplateKind::Mapping(entries) => {
                let mut object = Object::default();
                for (key, value) in entries {
                    match (key.literal(), value.evaluate(scope)?) {
                        // `${{ insert }}` puts the entries of its value here.
                        (Some(key), Value::Object(entries)) if key.starts_with("${{") => {
                            let entries = entries.iter().map(|(name, value)| (name.to_owned(), value.clone()));
                            object.extend(entries);
                        }
                        (Some(key), value) => object.insert(key, value),
                        (None, value) => object.insert(key.evaluate(scope)?.to_text(), value),
                    }
                }
                Value::object(object)
            }
        })
    }
}
