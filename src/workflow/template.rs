//! Templates: values of a workflow file with compiled expressions, evaluated over a snapshot of contexts.

use std::sync::Arc;
use std::time::Duration;

use super::expr::{EvalError, Expr, Object, Scope, Value};
use super::source::Span;

/// A value of the file with compiled expressions.
#[derive(Clone, Debug)]
pub struct Template {
    /// Span of the value in the source.
    pub span: Span,
    /// Kind and content.
    pub kind: TemplateKind,
}

/// Kind of a [`Template`].
#[derive(Clone, Debug)]
pub enum TemplateKind {
    /// `null`, `~` or an empty value.
    Null,
    /// A YAML 1.2 core boolean.
    Bool(bool),
    /// A number, with the text as written, so that `3.10` stays `3.10`.
    Number(f64, Arc<str>),
    /// Text without expressions.
    Text(Arc<str>),
    /// A single expression without text around it; its value keeps its type.
    Expression(Expr),
    /// Text with expressions; its value is a string.
    Interpolated(Vec<Piece>),
    /// A sequence.
    Sequence(Vec<Template>),
    /// A mapping in file order. A key may be an expression; GitHub's `${{ insert }}` directive is kept as text.
    Mapping(Vec<(Template, Template)>),
}

/// A piece of interpolated text.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Literal text.
    Text(Arc<str>),
    /// An expression whose value is inserted as text.
    Expression(Expr),
}

/// An error while evaluating a template.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct TemplateError {
    /// Position in the file.
    pub span: Span,
    /// The cause.
    #[source]
    pub error: EvalError,
}

/// An error while evaluating a time limit.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MinutesError {
    /// An expression could not be evaluated.
    #[error("`timeout-minutes`: {0}")]
    Evaluate(#[from] TemplateError),
    /// Zero, negative, or not a number; holds the value as text.
    #[error("`timeout-minutes` must be a number above 0, not `{0}`")]
    NotPositive(String),
}

/// Longest time limit in minutes: a year. It exceeds any real limit, but is small enough for arithmetic on instants.
const MAX_MINUTES: f64 = 525_600.0;

impl Template {
    /// Returns the value of one key of a mapping, as written. `None` if the key is missing or this is not a mapping.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Self> {
        let TemplateKind::Mapping(entries) = &self.kind else { return None };
        entries.iter().find(|(name, _)| name.literal() == Some(key)).map(|(_, value)| value)
    }

    /// Evaluates a mapping of texts such as `env`.
    ///
    /// # Errors
    /// The first expression that could not be evaluated, with its position, or a value that is not a mapping.
    pub fn texts(&self, scope: &Scope<'_>) -> Result<Vec<(String, String)>, TemplateError> {
        self.mapping(scope).map(|object| Value::Object(object).texts())
    }

    /// Evaluates a mapping, or one expression for a mapping.
    ///
    /// # Errors
    /// The first expression that could not be evaluated, with its position, or a value that is not a mapping.
    pub fn mapping(&self, scope: &Scope<'_>) -> Result<Arc<Object>, TemplateError> {
        match self.evaluate(scope)? {
            Value::Object(object) => Ok(object),
            other => Err(TemplateError { span: self.span, error: EvalError::NotMapping(other.kind()) }),
        }
    }

    /// Evaluates a time limit in minutes, fractions allowed. The result is at most a year.
    ///
    /// # Errors
    /// An expression could not be evaluated, or the value is not a positive number.
    pub fn minutes(&self, scope: &Scope<'_>) -> Result<Duration, MinutesError> {
        let value = self.evaluate(scope)?;
        let number = match &value {
            Value::Number(number) => *number,
            Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
            _ => f64::NAN,
        };
        if number.is_finite() && number > 0.0 {
            Ok(Duration::from_secs_f64(number.min(MAX_MINUTES) * 60.0))
        } else {
            Err(MinutesError::NotPositive(value.to_text()))
        }
    }

    /// Returns the text of a scalar without expressions, as written; `None` for any other value.
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

    /// Computes the value over a snapshot of contexts.
    ///
    /// # Errors
    /// The first expression that could not be evaluated, with its position.
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
                        // `${{ insert }}` merges the entries of its value.
                        (Some(key), inserted) if key.starts_with("${{") => {
                            let Value::Object(entries) = inserted else {
                                return Err(TemplateError {
                                    span: value.span,
                                    error: EvalError::NotMapping(inserted.kind()),
                                });
                            };
                            object.extend(entries.iter().map(|(name, value)| (name.to_owned(), value.clone())));
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

#[cfg(test)]
mod tests {
    use super::super::expr::{Contexts, NoFiles, Status};
    use super::*;

    fn text(text: &str) -> Template {
        Template { span: Span::default(), kind: TemplateKind::Text(text.into()) }
    }

    fn number(value: f64) -> Template {
        Template { span: Span::default(), kind: TemplateKind::Number(value, value.to_string().into()) }
    }

    fn evaluated<T>(evaluate: impl FnOnce(&Scope<'_>) -> T) -> T {
        let contexts = Contexts::default();
        evaluate(&Scope { contexts: &contexts, status: Status::default(), host: &NoFiles })
    }

    #[test]
    fn minutes_are_positive_numbers_or_text_that_spells_one() {
        let seconds = |template: Template| evaluated(|scope| template.minutes(scope)).map(|limit| limit.as_secs());
        assert_eq!(seconds(number(0.5)).expect("a limit"), 30);
        assert_eq!(seconds(text(" 2 ")).expect("a limit"), 120);
        assert_eq!(seconds(number(f64::MAX)).expect("a limit"), 525_600 * 60);
        for wrong in [number(0.0), number(-1.0), number(f64::INFINITY), text("soon"), text("")] {
            let error = seconds(wrong).expect_err("not a limit").to_string();
            assert!(error.starts_with("`timeout-minutes` must be a number above 0, not `"), "{error}");
        }
    }

    #[test]
    fn a_mapping_has_entries_and_texts_and_anything_else_is_refused() {
        let entries = vec![(text("name"), text("production")), (text("count"), number(3.0))];
        let mapping = Template { span: Span::default(), kind: TemplateKind::Mapping(entries) };
        assert_eq!(mapping.entry("name").and_then(Template::literal), Some("production"));
        assert!(mapping.entry("url").is_none() && text("name").entry("name").is_none());
        let texts = |template: &Template| evaluated(|scope| template.texts(scope)).expect("evaluated");
        assert_eq!(
            texts(&mapping),
            [("name", "production"), ("count", "3")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        for other in [text("name"), number(1.0)] {
            let error = evaluated(|scope| other.texts(scope)).expect_err("not a mapping").to_string();
            assert!(error.starts_with("must be a mapping, not "), "{error}");
        }
    }
}
