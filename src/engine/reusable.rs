//! Inputs, secrets and outputs of called workflows, and inputs of runs that a person starts.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::workflow::expr::{Contexts, Object, Scope, Value};
use crate::workflow::inputs;
use crate::workflow::inputs::{InputError, WrongInput, empty, typed};
use crate::workflow::source::Span;
use crate::workflow::syntax::{CallSecrets, JobBody, JobDefinition, Trigger, Workflow};
use crate::workflow::template::{Template, TemplateError};

/// Why a called workflow cannot start, or has no outputs. Positions are `line:column`, preceded by the file if it
/// differs from the caller's.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The job has steps instead of calling a workflow.
    #[error("the job calls no workflow")]
    NoCall,
    /// The called workflow is not on this machine.
    #[error("the workflow it calls is not on this machine")]
    Elsewhere,
    /// `workflow_call` is not among the events of the called workflow.
    #[error("{0} has no `workflow_call` among its events, so it cannot be called")]
    NotCallable(String),
    /// An input or its default cannot be evaluated.
    #[error("input `{name}`: {source}")]
    Input { name: String, source: TemplateError },
    /// The value of an input has the wrong type.
    #[error("{position}: input `{name}` {source}")]
    InputType { position: String, name: String, source: WrongInput },
    /// The default of an input has another type.
    #[error("default of {0}")]
    Default(#[from] DefaultError),
    /// A required input has no value.
    #[error("{workflow} needs the input `{name}`")]
    NoInput { workflow: String, name: String },
    /// A secret cannot be evaluated.
    #[error("secret `{name}`: {source}")]
    Secret { name: String, source: TemplateError },
    /// A required secret has no value.
    #[error("{workflow} needs the secret `{name}`")]
    NoSecret { workflow: String, name: String },
    /// An output cannot be evaluated.
    #[error("{position}: output `{name}`: {source}")]
    Output { position: String, name: String, source: TemplateError },
}

/// Why the inputs of a manually started run are invalid.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The inputs do not fit the workflow.
    #[error(transparent)]
    Given(#[from] InputError),
    /// A given value has the wrong type.
    #[error("input `{name}` {source}")]
    Type {
        /// Name of the input.
        name: String,
        /// The type that the input takes, and the wrong value.
        source: WrongInput,
    },
    /// The default of an input has another type.
    #[error("default of {0}")]
    Default(#[from] DefaultError),
}

/// The default of an input does not have the type of the input.
#[derive(Debug, thiserror::Error)]
#[error("input `{name}` {source}")]
pub struct DefaultError {
    /// Name of the input.
    name: String,
    /// The type that the input takes, and the wrong value.
    source: WrongInput,
}

/// Inputs and secrets of a called workflow.
#[derive(Debug)]
pub(super) struct Call {
    /// The `inputs` context, converted to the declared types.
    pub(super) inputs: Value,
    /// Secrets by name.
    pub(super) secrets: IndexMap<String, String>,
}

/// Contexts of the caller that the default of an input can use, in addition to the inputs of the called workflow.
const SHARED: [&str; 2] = ["github", "vars"];

/// Evaluates the `with` and `secrets` of the calling job in its `scope`, and checks them against the declarations of
/// the called workflow. The default of an input can use the inputs that are declared before it.
///
/// # Errors
/// The workflow cannot be called, an input or secret is missing, or a value has the wrong type or cannot be evaluated.
pub(super) fn bind(
    caller: &JobDefinition,
    callee: &Arc<Workflow>,
    scope: &Scope<'_>,
    secrets: &IndexMap<String, String>,
) -> Result<Call, CallError> {
    let JobBody::Call { uses, with, secrets: passed } = &caller.body else {
        return Err(CallError::NoCall);
    };
    let Some(interface) = interface(callee) else {
        return Err(CallError::NotCallable(uses.value.clone()));
    };
    let shared = SHARED.into_iter().filter_map(|name| Some((name, scope.contexts.get(name)?.clone())));
    let mut own: Contexts = shared.collect();
    let mut inputs = Object::default();
    for input in &interface.inputs {
        own.set("inputs", Value::object(inputs.clone()));
        let own = Scope { contexts: &own, ..*scope };
        let name = &input.name.value;
        let failed = |source| CallError::Input { name: name.clone(), source };
        let given = with.iter().find(|(key, _)| key.value.eq_ignore_ascii_case(name));
        let value = match (given, &input.default) {
            (Some((key, value)), _) => typed(&input.kind, value.evaluate(scope).map_err(failed)?)
                .map_err(|source| CallError::InputType { position: line(key.span), name: name.clone(), source })?,
            (None, Some(default)) => typed(&input.kind, default.evaluate(&own).map_err(failed)?)
                .map_err(|source| DefaultError { name: name.clone(), source })?,
            (None, None) if input.required => {
                return Err(CallError::NoInput { workflow: uses.value.clone(), name: name.clone() });
            }
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
                let failed = |source| CallError::Secret { name: name.value.clone(), source };
                let value = value.evaluate(scope).map_err(failed)?;
                own.insert(name.value.clone(), value.to_text());
            }
            own
        }
    };
    own.retain(|_, value| !value.is_empty());
    for (name, required) in &interface.secrets {
        if *required && !own.keys().any(|given| given.eq_ignore_ascii_case(&name.value)) {
            return Err(CallError::NoSecret { workflow: uses.value.clone(), name: name.value.clone() });
        }
    }
    Ok(Call { inputs: Value::object(inputs), secrets: own })
}

/// Evaluates the outputs of the called workflow. `scope` must contain the `jobs` context of that workflow.
///
/// # Errors
/// An output cannot be evaluated.
pub(super) fn outputs(callee: &Arc<Workflow>, scope: &Scope<'_>) -> Result<IndexMap<String, String>, CallError> {
    let declared = interface(callee).map(|interface| interface.outputs.as_slice()).unwrap_or_default();
    let entries = declared.iter().map(|(name, value)| match value.evaluate(scope) {
        Ok(value) => Ok((name.value.clone(), value.to_text())),
        Err(source) => Err(CallError::Output {
            position: format!("{}:{}", callee.source.name, line(name.span)),
            name: name.value.clone(),
            source,
        }),
    });
    entries.collect()
}

/// Returns the `inputs` context of a run that a person starts: the given values or the defaults, converted to the
/// declared types.
///
/// # Errors
/// An input is missing, unknown, or of the wrong type.
pub fn dispatch(workflow: &Workflow, event: &str, given: &IndexMap<String, String>) -> Result<Object, DispatchError> {
    let given = inputs::given(workflow, event, given, None)?;
    let mut values = Object::default();
    for input in inputs::declared(workflow, event) {
        let name = &input.name.value;
        let value = match (given.get(name), input.default.as_ref().and_then(Template::literal)) {
            (Some(value), _) => typed(&input.kind, Value::string(value.clone()))
                .map_err(|source| DispatchError::Type { name: name.clone(), source })?,
            (None, Some(default)) => typed(&input.kind, Value::string(default))
                .map_err(|source| DefaultError { name: name.clone(), source })?,
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
