//! Inputs of an action: `with`, the defaults of the manifest, and the variables made from them.

use indexmap::IndexMap;

use super::error::InputError;
use crate::workflow::expr::{Object, Scope, Value};
use crate::workflow::syntax::{Action, ActionRuns, NamedValues};

/// Evaluates `with`. The keys of the result are in lower case.
///
/// # Errors
/// An input cannot be evaluated.
pub(crate) fn given(with: &NamedValues, scope: &Scope<'_>) -> Result<IndexMap<String, String>, InputError> {
    let values = with.evaluate(scope).map_err(|source| InputError::With { source })?;
    Ok(values.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_text())).collect())
}

/// Returns all inputs of an action: the declared inputs with their given value or default, which may be empty, and
/// given inputs that are not declared.
///
/// # Errors
/// A default cannot be evaluated.
pub(crate) fn inputs(
    action: &Action,
    given: &IndexMap<String, String>,
    scope: &Scope<'_>,
) -> Result<IndexMap<String, String>, InputError> {
    let mut inputs = IndexMap::new();
    for input in &action.inputs {
        let name = input.name.value.to_ascii_lowercase();
        let value = match (given.get(&name), &input.default) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => {
                let value = default.evaluate(scope);
                let value = value.map_err(|source| InputError::Default { name: name.clone(), source })?;
                value.to_text()
            }
            (None, None) => String::new(),
        };
        inputs.insert(input.name.value.clone(), value);
    }
    for (name, value) in given {
        if !inputs.keys().any(|known| known.eq_ignore_ascii_case(name)) {
            inputs.insert(name.clone(), value.clone());
        }
    }
    Ok(inputs)
}

/// Returns the `inputs` context.
pub(crate) fn context(inputs: &IndexMap<String, String>) -> Value {
    let entries = inputs.iter().map(|(name, value)| (name.clone(), Value::string(value.clone())));
    Value::object(entries.collect::<Object>())
}

/// Returns the `INPUT_…` variables. Names are in upper case with underscores for blanks; all other characters stay,
/// including hyphens.
pub(crate) fn variables(inputs: &IndexMap<String, String>) -> IndexMap<String, String> {
    let named = |name: &str| format!("INPUT_{}", name.replace(' ', "_").to_uppercase());
    inputs.iter().map(|(name, value)| (named(name), value.clone())).collect()
}

/// Returns the warnings of GitHub's runner: for unknown and deprecated inputs, and for required ones that are missing.
pub(crate) fn warnings(action: &Action, given: &IndexMap<String, String>) -> Vec<String> {
    let mut warnings = Vec::new();
    let docker = matches!(action.runs, ActionRuns::Docker { .. });
    let is_known = |name: &String| {
        let declared = action.inputs.iter().any(|input| input.name.value.eq_ignore_ascii_case(name));
        declared || (docker && ["entrypoint", "args"].contains(&name.as_str()))
    };
    let unexpected: Vec<_> = given.keys().filter(|name| !is_known(name)).map(|name| format!("'{name}'")).collect();
    if !unexpected.is_empty() {
        let valid: Vec<_> = action.inputs.iter().map(|input| format!("'{}'", input.name.value)).collect();
        warnings.push(format!(
            "Unexpected input(s) {}, valid inputs are [{}]",
            unexpected.join(", "),
            valid.join(", ")
        ));
    }
    for input in &action.inputs {
        let name = &input.name.value;
        let value = given.get(&name.to_ascii_lowercase());
        if let (Some(_), Some(message)) = (value, &input.deprecation) {
            warnings.push(format!("Input '{name}' has been deprecated with message: {message}"));
        }
        if input.required && input.default.is_none() && value.is_none_or(String::is_empty) {
            warnings.push(format!("Input required and not supplied: {name}"));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow;
    use crate::workflow::expr::{Contexts, NoFiles, Status};
    use crate::workflow::source::Source;

    #[test]
    fn inputs_have_defaults_and_become_variables() {
        let text = "name: x\ndescription: x\ninputs:\n  fetch-depth: {description: d, default: 1}\n  my name: {description: d}\n  old: {description: d, deprecationMessage: use new}\n  must: {description: d, required: true}\nruns: {using: node20, main: x.js}\n";
        let action = workflow::parse_action(&Source::new("action.yml", text)).value.expect("an action");
        let given: IndexMap<_, _> = [("old", "1"), ("other", "2")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let contexts = Contexts::default();
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        let all = variables(&inputs(&action, &given, &scope).expect("values"));
        let pairs: Vec<_> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["INPUT_FETCH-DEPTH=1", "INPUT_MY_NAME=", "INPUT_OLD=1", "INPUT_MUST=", "INPUT_OTHER=2"]);
        assert_eq!(
            warnings(&action, &given),
            [
                "Unexpected input(s) 'other', valid inputs are ['fetch-depth', 'my name', 'old', 'must']",
                "Input 'old' has been deprecated with message: use new",
                "Input required and not supplied: must",
            ]
        );
    }
}
