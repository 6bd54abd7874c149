//! Values of inputs: their declared types.

use super::expr::Value;
use super::syntax::InputKind;

/// A value that an input cannot have. Completes "input `x` …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {wanted}, not `{value}`")]
pub struct WrongInput {
    /// What the input takes, with an article.
    pub wanted: String,
    /// The value as text.
    pub value: String,
}

/// Converts a value to the declared type of an input. Text that spells a boolean or a number is one, because expressions
/// with text around them make text.
///
/// # Errors
/// The value is not of that type.
pub fn typed(kind: &InputKind, value: Value) -> Result<Value, WrongInput> {
    let wrong = |wanted: &str, value: &Value| Err(WrongInput { wanted: wanted.to_owned(), value: value.to_text() });
    match kind {
        InputKind::Boolean => match &value {
            Value::Bool(_) => Ok(value),
            Value::String(text) if &**text == "true" => Ok(Value::Bool(true)),
            Value::String(text) if &**text == "false" || text.is_empty() => Ok(Value::Bool(false)),
            _ => wrong("true or false", &value),
        },
        InputKind::Number => match &value {
            Value::Number(_) => Ok(value),
            Value::String(text) => match text.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Number(number)),
                _ => wrong("a number", &value),
            },
            _ => wrong("a number", &value),
        },
        InputKind::Choice(options) => {
            let text = value.to_text();
            if options.contains(&text) { Ok(value) } else { wrong(&format!("one of {}", options.join(", ")), &value) }
        }
        InputKind::String | InputKind::Environment => Ok(Value::string(value.to_text())),
    }
}

/// Value of an input that is not given and has no default.
#[must_use]
pub fn empty(kind: &InputKind) -> Value {
    match kind {
        InputKind::Boolean => Value::Bool(false),
        InputKind::Number => Value::Number(0.0),
        _ => Value::string(""),
    }
}
