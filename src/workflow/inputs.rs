//! Checks the values that a user gives for inputs, and converts values to the declared types of inputs.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::model::nearest;

use super::expr::{Object, Value};
use super::source::Spanned;
use super::syntax::{InputDefinition, InputKind, Workflow};
use super::template::Template;

/// The event of a workflow that a person starts with inputs.
pub const BY_HAND: &str = "workflow_dispatch";

/// An invalid value of an input. The message completes "input `x` …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {wanted}, not `{value}`")]
pub struct WrongInput {
    /// Description of the accepted values, such as "a number" or "one of a, b".
    pub wanted: String,
    /// The value as text.
    pub value: String,
}

/// An error in the inputs that a user gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The workflow has no input of this name.
    #[error("the workflow has no input `{name}` for the event `{event}`: {}", known(.inputs, .name))]
    Unknown {
        /// The name as given.
        name: String,
        /// The event.
        event: String,
        /// Names of the declared inputs.
        inputs: Vec<String>,
    },
    /// A required input has no value and no default.
    #[error("the input `{0}` is required: give it with --input {0}=VALUE")]
    Missing(String),
    /// A value is not of the declared type.
    #[error("input `{name}` {wrong}")]
    Wrong {
        /// Name of the input.
        name: String,
        /// The accepted values and the given one.
        wrong: WrongInput,
    },
}

fn known(inputs: &[String], name: &str) -> String {
    match (inputs, nearest(name, inputs.iter().map(String::as_str))) {
        ([], _) => "it has no inputs".to_owned(),
        (_, Some(near)) => format!("did you mean `{near}`?"),
        (_, None) => format!("it has {}", inputs.join(", ")),
    }
}

/// Checks the inputs that a user gives for an event, and returns them under their declared names, without defaults.
/// `environments` contains the names of the repository's environments; `None` if they are unknown.
///
/// # Errors
/// An input is unknown, missing, of the wrong type, or not one of `environments`.
pub fn given(
    workflow: &Workflow,
    event: &str,
    given: &IndexMap<String, String>,
    environments: Option<&BTreeSet<String>>,
) -> Result<IndexMap<String, String>, InputError> {
    let declared = declared(workflow, event);
    let is_declared = |name: &&String| declared.iter().any(|input| input.name.value.eq_ignore_ascii_case(name));
    if let Some(name) = given.keys().find(|name| !is_declared(name)) {
        let inputs = declared.iter().map(|input| input.name.value.clone()).collect();
        return Err(InputError::Unknown { name: name.clone(), event: event.to_owned(), inputs });
    }
    let mut checked = IndexMap::new();
    for input in declared {
        let name = &input.name.value;
        match given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some((_, value)) => {
                let wrong = |wrong| InputError::Wrong { name: name.clone(), wrong };
                let value = match (&input.kind, environments) {
                    (InputKind::Environment, Some(names)) if !names.contains(value) => {
                        let names: Vec<&str> = names.iter().map(String::as_str).collect();
                        let wanted = format!("one of {}", names.join(", "));
                        return Err(wrong(WrongInput { wanted, value: value.clone() }));
                    }
                    (kind, _) => typed(kind, Value::string(value.clone())).map(|_| value).map_err(wrong)?,
                };
                checked.insert(name.clone(), value.clone());
            }
            None if input.required && input.default.as_ref().and_then(Template::literal).is_none() => {
                return Err(InputError::Missing(name.clone()));
            }
            None => {}
        }
    }
    Ok(checked)
}

/// Returns the inputs that a workflow declares for an event.
#[must_use]
pub fn declared<'w>(workflow: &'w Workflow, event: &str) -> &'w [InputDefinition] {
    let trigger = workflow.triggers.iter().find(|trigger| trigger.event.value == event);
    trigger.map(|trigger| trigger.inputs.as_slice()).unwrap_or_default()
}

/// Converts a value to the declared type of an input. Text that spells a boolean or a number is accepted, because an
/// expression with text around it is always a string. Empty text is `false` for a boolean.
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

/// Returns the value of an input that is not given and has no default.
#[must_use]
pub fn empty(kind: &InputKind) -> Value {
    match kind {
        InputKind::Boolean => Value::Bool(false),
        InputKind::Number => Value::Number(0.0),
        _ => Value::string(""),
    }
}

/// Returns the inputs of a called workflow as far as their values are known before the run, and the names of the
/// others. `given` evaluates a value in the `with` of the caller. `default` evaluates a default, which sees only the
/// inputs that are declared before it, and no inputs of the caller.
#[must_use]
pub fn of_call<'w>(
    declared: &'w [InputDefinition],
    with: &[(Spanned<String>, Template)],
    given: impl Fn(&Template) -> Option<Value>,
    default: impl Fn(&Template, &Object, &[&str]) -> Option<Value>,
) -> (Object, Vec<&'w str>) {
    let (mut values, mut unknown) = (Object::default(), Vec::new());
    for input in declared {
        let name = input.name.value.as_str();
        let written = with.iter().find(|(key, _)| key.value.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = match (written, &input.default) {
            (Some(value), _) => given(value),
            (None, Some(value)) => default(value, &values, &unknown),
            (None, None) => Some(empty(&input.kind)),
        };
        match value.and_then(|value| typed(&input.kind, value).ok()) {
            Some(value) => values.insert(name, value),
            None => unknown.push(name),
        }
    }
    (values, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse::parse;
    use crate::workflow::source::Source;

    #[test]
    fn given_inputs_are_checked_against_their_declaration() {
        let text = "on:\n  workflow_dispatch:\n    inputs:\n      Target: {type: choice, options: [dev, qa], default: dev}\n      \
                    count: {type: number, required: true}\n      dry: {type: boolean}\n      env: {type: environment}\n\
                    jobs:\n  a:\n    runs-on: x\n    steps:\n      - run: 'true'\n";
        let workflow = parse(&Source::new("w.yml", text)).value.expect("a workflow");
        let environments = BTreeSet::from(["blue".to_owned(), "green".to_owned()]);
        let check = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            given(&workflow, "workflow_dispatch", &pairs, Some(&environments)).map_err(|error| error.to_string())
        };
        let checked = check(&[("target", "qa"), ("COUNT", "3"), ("env", "blue")]).expect("valid");
        let names: Vec<_> = checked.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(names, ["Target=qa", "count=3", "env=blue"], "under their declared names, without defaults");
        for (pairs, message) in [
            (
                &[("targt", "qa"), ("count", "1")][..],
                "no input `targt` for the event `workflow_dispatch`: did you mean `Target`?",
            ),
            (&[("nonsense", "1")], "it has Target, count, dry, env"),
            (&[("target", "qa")], "the input `count` is required: give it with --input count=VALUE"),
            (&[("count", "many")], "input `count` must be a number, not `many`"),
            (&[("count", "1"), ("target", "prod")], "input `Target` must be one of dev, qa, not `prod`"),
            (&[("count", "1"), ("dry", "maybe")], "input `dry` must be true or false, not `maybe`"),
            (&[("count", "1"), ("env", "red")], "input `env` must be one of blue, green, not `red`"),
        ] {
            let error = check(pairs).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
    }
}
