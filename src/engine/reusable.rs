//! Inputs, secrets and outputs of called workflows.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::workflow::expr::{Object, Scope, Value};
use crate::workflow::inputs;
use crate::workflow::inputs::{empty, typed};
use crate::workflow::source::Span;
use crate::workflow::syntax::{CallSecrets, JobBody, JobDefinition, Trigger, Workflow};
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
            (None, Some(default)) => {
                let value = default.evaluate(scope).map_err(|error| format!("input `{name}`: {error}"))?;
                typed(&input.kind, value).map_err(|wrong| format!("default of input `{name}` {wrong}"))?
            }
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
    let given = inputs::given(workflow, event, given, None).map_err(|error| error.to_string())?;
    let mut values = Object::default();
    for input in inputs::declared(workflow, event) {
        let name = &input.name.value;
        let value = match (given.get(name), input.default.as_ref().and_then(Template::literal)) {
            (Some(value), _) => {
                typed(&input.kind, Value::string(value.clone())).map_err(|wrong| format!("input `{name}` {wrong}"))?
            }
            (None, Some(default)) => typed(&input.kind, Value::string(default))
                .map_err(|wrong| format!("default of input `{name}` {wrong}"))?,
            (None, None) => empty(&input.kind),
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn interface(workflow: &Workflow) -> Option<&Trigger> {
    workflow.triggers.iter().find(|trigger| trigger.event.value == "workflow_call")
}

fn line(span: Span) -> String {
    format!("{}:{}", span.line, span.column)
}
