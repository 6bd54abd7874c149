//! Inputs, secrets and outputs of called workflows.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::workflow::expr::{Object, Scope, Value};
use crate::workflow::source::Span;
use crate::workflow::syntax::{CallSecrets, InputKind, JobBody, JobDefinition, Trigger, Workflow};
use crate::workflow::template::Template;

/// Inputs and secrets of a called workflow.
#[derive(Debug)]
pub(super) struct Call {
    /// The `inputs` context, converted to the declared types.
    pub(super) inputs: Value,
    /// Secrets by name.
    pub(super) secrets: IndexMap<String, String>,
}

/// Matches the `with` and `secrets` of the calling job with the declarations of the called workflow.
///
/// # Errors
/// A message with its position: the workflow cannot be called, an input or secret is missing, or a value has the wrong
/// type or cannot be evaluated.
pub(super) fn bind(
    caller: &JobDefinition,
    callee: &Arc<Workflow>,
    scope: &Scope<'_>,
    secrets: &IndexMap<String, String>,
) -> Result<Call, String> {
    let JobBody::Call { uses, with, secrets: passed } = &caller.body else {
        return Err("the job calls no workflow".to_owned());
    };
    let Some(interface) = interface(callee) else {
        return Err(format!("{} has no `workflow_call` among its events, so it cannot be called", uses.value));
    };
    let mut inputs = Object::default();
    for input in &interface.inputs {
        let name = &input.name.value;
        let given = with.iter().find(|(key, _)| key.value.eq_ignore_ascii_case(name));
        let value = match (given, &input.default) {
            (Some((key, value)), _) => {
                let value = value.evaluate(scope).map_err(|error| format!("input `{name}`: {error}"))?;
                typed(&input.kind, value).map_err(|wrong| format!("{}: input `{name}` {wrong}", line(key.span)))?
            }
            (None, Some(default)) => default.evaluate(scope).map_err(|error| format!("input `{name}`: {error}"))?,
            (None, None) if input.required => return Err(format!("{} needs the input `{name}`", uses.value)),
            (None, None) => empty(&input.kind),
        };
        inputs.insert(name.clone(), value);
    }
    let mut own = match passed {
        CallSecrets::None => IndexMap::new(),
        CallSecrets::Inherit => secrets.clone(),
        CallSecrets::Named(named) => {
            let mut own = IndexMap::new();
            for (name, value) in named {
                let value = value.evaluate(scope).map_err(|error| format!("secret `{}`: {error}", name.value))?;
                own.insert(name.value.clone(), value.to_text());
            }
            own
        }
    };
    own.retain(|_, value| !value.is_empty());
    for (name, required) in &interface.secrets {
        if *required && !own.keys().any(|given| given.eq_ignore_ascii_case(&name.value)) {
            return Err(format!("{} needs the secret `{}`", uses.value, name.value));
        }
    }
    Ok(Call { inputs: Value::object(inputs), secrets: own })
}

/// Evaluates the outputs of the called workflow. `scope` has its `jobs` context.
///
/// # Errors
/// A message about the output that cannot be evaluated.
pub(super) fn outputs(callee: &Arc<Workflow>, scope: &Scope<'_>) -> Result<IndexMap<String, String>, String> {
    let declared = interface(callee).map(|interface| interface.outputs.as_slice()).unwrap_or_default();
    let entries = declared.iter().map(|(name, value)| match value.evaluate(scope) {
        Ok(value) => Ok((name.value.clone(), value.to_text())),
        Err(error) => Err(format!("{}:{}: output `{}`: {error}", callee.source.name, line(name.span), name.value)),
    });
    entries.collect()
}

/// Returns the `inputs` context of a run that a person starts: the given values, else the defaults, converted to the
/// declared types.
///
/// # Errors
/// A message about an input that is missing, unknown, or of the wrong type.
pub fn dispatch(workflow: &Workflow, event: &str, given: &IndexMap<String, String>) -> Result<Object, String> {
    let trigger = workflow.triggers.iter().find(|trigger| trigger.event.value == event);
    let declared = trigger.map(|trigger| trigger.inputs.as_slice()).unwrap_or_default();
    if let Some(unknown) =
        given.keys().find(|name| !declared.iter().any(|input| input.name.value.eq_ignore_ascii_case(name)))
    {
        let names: Vec<_> = declared.iter().map(|input| input.name.value.as_str()).collect();
        let known =
            if names.is_empty() { "it has no inputs".to_owned() } else { format!("it has {}", names.join(", ")) };
        return Err(format!("the workflow has no input `{unknown}` for the event `{event}`: {known}"));
    }
    let mut inputs = Object::default();
    for input in declared {
        let name = &input.name.value;
        let given = given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = match (given, input.default.as_ref().and_then(Template::literal)) {
            (Some(value), _) => {
                typed(&input.kind, Value::string(value.clone())).map_err(|wrong| format!("input `{name}` {wrong}"))?
            }
            (None, Some(default)) => typed(&input.kind, Value::string(default))
                .map_err(|wrong| format!("default of input `{name}` {wrong}"))?,
            (None, None) if input.required => {
                return Err(format!("the input `{name}` is required: give it with --input {name}=VALUE"));
            }
            (None, None) => empty(&input.kind),
        };
        inputs.insert(name.clone(), value);
    }
    Ok(inputs)
}

fn interface(workflow: &Workflow) -> Option<&Trigger> {
    workflow.triggers.iter().find(|trigger| trigger.event.value == "workflow_call")
}

/// Converts a value to the declared type. Text that spells a boolean or a number is accepted, as expressions produce
/// text.
///
/// # Errors
/// The rest of a sentence that starts with "input `x`".
pub(super) fn typed(kind: &InputKind, value: Value) -> Result<Value, String> {
    let wrong = |wanted: &str, value: &Value| Err(format!("must be {wanted}, not `{}`", value.to_text()));
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
                Ok(number) => Ok(Value::Number(number)),
                Err(_) => wrong("a number", &value),
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

/// Returns the value of an input that was not given and has no default.
pub(super) fn empty(kind: &InputKind) -> Value {
    match kind {
        InputKind::Boolean => Value::Bool(false),
        InputKind::Number => Value::Number(0.0),
        _ => Value::string(""),
    }
}

fn line(span: Span) -> String {
    format!("{}:{}", span.line, span.column)
}
