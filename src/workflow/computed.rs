//! Mappings that a single expression may replace as a whole.

use super::expr::{Scope, Value};
use super::source::{Span, Spanned};
use super::template::{Template, TemplateError, TemplateKind};

/// The `strategy` of a job.
#[derive(Debug, Clone)]
pub enum Strategy {
    /// A mapping.
    Written {
        /// `matrix`: a mapping, or one expression for a mapping.
        matrix: Option<Template>,
        /// `fail-fast`.
        fail_fast: Option<Template>,
        /// `max-parallel`.
        max_parallel: Option<Template>,
    },
    /// One expression for a mapping.
    Computed(Template),
}

impl Strategy {
    /// Returns `matrix`; `None` if it is missing or the strategy is one expression.
    #[must_use]
    pub fn matrix(&self) -> Option<&Template> {
        match self {
            Self::Written { matrix, .. } => matrix.as_ref(),
            Self::Computed(_) => None,
        }
    }

    /// Returns the values of all keys, or the expression for the whole strategy.
    pub fn values(&self) -> impl Iterator<Item = &Template> {
        let values = match self {
            Self::Written { matrix, fail_fast, max_parallel } => {
                [matrix.as_ref(), fail_fast.as_ref(), max_parallel.as_ref()]
            }
            Self::Computed(whole) => [Some(whole), None, None],
        };
        values.into_iter().flatten()
    }
}

/// A mapping from names to values, such as `with` or `services`.
#[derive(Debug, Clone)]
pub enum NamedValues {
    /// Every name is written in the file.
    Written(Vec<(Spanned<String>, Template)>),
    /// The whole mapping or some of its names are expressions.
    Computed(Template),
}

impl NamedValues {
    /// Iterates over the written entries. Yields nothing if the mapping or any of its names is an expression.
    pub fn iter(&self) -> std::slice::Iter<'_, (Spanned<String>, Template)> {
        match self {
            Self::Written(entries) => entries.iter(),
            Self::Computed(_) => [].iter(),
        }
    }

    /// Whether every name is written in the file.
    #[must_use]
    pub fn is_written(&self) -> bool {
        matches!(self, Self::Written(_))
    }

    /// Returns the expression for the whole mapping, or the mapping whose names contain expressions; `None` if every
    /// name is written in the file.
    #[must_use]
    pub fn computed(&self) -> Option<&Template> {
        match self {
            Self::Written(_) => None,
            Self::Computed(whole) => Some(whole),
        }
    }

    /// Returns the values of all entries, or the expression for the whole mapping.
    pub fn values(&self) -> impl Iterator<Item = &Template> {
        self.iter().map(|(_, value)| value).chain(self.computed())
    }

    /// Evaluates the mapping. The error contains the name of the entry that failed, if the names are written in the
    /// file.
    ///
    /// # Errors
    /// The first expression that could not be evaluated, or a value for the whole mapping that is not a mapping.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Vec<(String, Value)>, NamedValueError> {
        match self {
            Self::Written(entries) => {
                let values = entries.iter().map(|(name, value)| match value.evaluate(scope) {
                    Ok(value) => Ok((name.value.clone(), value)),
                    Err(error) => Err(NamedValueError { name: Some(name.value.clone()), error }),
                });
                values.collect()
            }
            Self::Computed(whole) => {
                let entries = whole.mapping(scope).map_err(|error| NamedValueError { name: None, error })?;
                Ok(entries.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect())
            }
        }
    }
}

impl<'v> IntoIterator for &'v NamedValues {
    type Item = &'v (Spanned<String>, Template);
    type IntoIter = std::slice::Iter<'v, (Spanned<String>, Template)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// An error while evaluating [`NamedValues`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct NamedValueError {
    /// Name of the entry; `None` for the whole mapping.
    pub name: Option<String>,
    /// The cause.
    #[source]
    pub error: TemplateError,
}

/// `defaults.run`.
#[derive(Debug, Default, Clone)]
pub struct RunDefaults {
    /// `shell`.
    pub shell: Option<Template>,
    /// `working-directory`.
    pub working_directory: Option<Template>,
    /// The whole `run` mapping if it is an expression or has expressions as keys; `None` otherwise. The fields above
    /// apply to the keys that its value lacks.
    pub computed: Option<Template>,
}

impl RunDefaults {
    /// Evaluates [`RunDefaults::computed`], and returns the defaults with its values in place of the written ones.
    ///
    /// # Errors
    /// The expression could not be evaluated, or its value is not a mapping.
    pub fn resolve(&self, scope: &Scope<'_>) -> Result<Self, TemplateError> {
        let Some(computed) = &self.computed else { return Ok(self.clone()) };
        let values = computed.mapping(scope)?;
        let value = |key: &str, written: &Option<Template>| {
            let text = values.get(key).map(Value::to_text).filter(|text| !text.is_empty());
            let text = text.map(|text| Template { span: computed.span, kind: TemplateKind::Text(text.into()) });
            text.or_else(|| written.clone())
        };
        Ok(Self {
            shell: value("shell", &self.shell),
            working_directory: value("working-directory", &self.working_directory),
            computed: None,
        })
    }
}

/// The `concurrency` of a workflow or job.
#[derive(Debug, Clone)]
pub enum Concurrency {
    /// A mapping.
    Written {
        /// `group`.
        group: Template,
        /// `cancel-in-progress`.
        cancel_in_progress: Option<Template>,
        /// `queue`: `single` or `max`.
        queue: Option<Template>,
    },
    /// The name of a group, or an expression for a name or a mapping.
    Short(Template),
}

impl Concurrency {
    /// Returns the span of the group.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Written { group, .. } => group.span,
            Self::Short(group) => group.span,
        }
    }

    /// Returns the values of all keys.
    pub fn values(&self) -> impl Iterator<Item = &Template> {
        let values = match self {
            Self::Written { group, cancel_in_progress, queue } => {
                [Some(group), cancel_in_progress.as_ref(), queue.as_ref()]
            }
            Self::Short(group) => [Some(group), None, None],
        };
        values.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::expr::{Contexts, NoFiles, Status};
    use crate::workflow::source::Source;
    use crate::workflow::syntax::{JobBody, StepAction, StepsJob, Workflow};
    use crate::workflow::{matrix, parse};

    fn workflow(job: &str) -> Workflow {
        let parsed = parse(&Source::new("a.yml", format!("on: push\njobs:\n  a:\n    runs-on: x\n    {job}\n")));
        parsed.value.unwrap_or_else(|| panic!("{job}: {:#?}", parsed.diagnostics))
    }

    fn body(workflow: &Workflow) -> &StepsJob {
        match &workflow.jobs[0].body {
            JobBody::Steps(body) => body,
            JobBody::Call { .. } => panic!("steps"),
        }
    }

    fn evaluated<T>(evaluate: impl FnOnce(&Scope<'_>) -> T) -> T {
        let vars = serde_json::json!({"run": "{\"shell\": \"sh\"}", "with": "{\"a\": \"1\"}", "matrix": "{\"v\": [1, 2]}", "no": "[]"});
        let contexts: Contexts = [("vars", Value::from(vars))].into_iter().collect();
        evaluate(&Scope { contexts: &contexts, status: Status::default(), host: &NoFiles })
    }

    #[test]
    fn with_may_be_written_or_computed_or_both() {
        let with = |with: &str| {
            let workflow = workflow(&format!("steps: [{{uses: ./a, with: {with}}}]"));
            let StepAction::Uses { with, .. } = &body(&workflow).steps[0].action else { panic!("an action") };
            let found = evaluated(|scope| with.evaluate(scope));
            found.map(|pairs| {
                pairs.into_iter().map(|(name, value)| format!("{name}={}", value.to_text())).collect::<Vec<_>>()
            })
        };
        assert_eq!(with("{a: 1, b: x}").expect("values"), ["a=1", "b=x"]);
        assert_eq!(with("'${{ fromJSON(vars.with) }}'").expect("values"), ["a=1"]);
        assert_eq!(with("{b: 2, '${{ insert }}': '${{ fromJSON(vars.with) }}'}").expect("values"), ["b=2", "a=1"]);
        let error = with("'${{ fromJSON(vars.no) }}'").expect_err("an array");
        assert_eq!((error.name.as_deref(), error.to_string().as_str()), (None, "must be a mapping, not Array"));
        let error = with("{a: '${{ fromJSON(vars.nope) }}'}").expect_err("not JSON");
        assert_eq!(error.name.as_deref(), Some("a"));
    }

    #[test]
    fn a_strategy_may_be_computed() {
        let legs = |strategy: &str| {
            let workflow = workflow(&format!("strategy: {strategy}"));
            let legs = evaluated(|scope| matrix::expand(workflow.jobs[0].strategy.as_ref(), scope));
            legs.map(|legs| (legs.fail_fast, legs.legs.len())).map_err(|error| error.to_string())
        };
        assert_eq!(
            legs("\"${{ fromJSON(format('{{\\\"fail-fast\\\": false, \\\"matrix\\\": {0}}}', vars.matrix)) }}\""),
            Ok((false, 2))
        );
        assert_eq!(legs("\"${{ fromJSON('{}') }}\""), Ok((true, 1)));
        assert_eq!(legs("{fail-fast: false, matrix: '${{ fromJSON(vars.matrix) }}'}"), Ok((false, 2)));
        assert_eq!(legs("'${{ fromJSON(vars.no) }}'"), Err("must be a mapping, not Array".to_owned()));
    }

    #[test]
    fn computed_defaults_replace_what_they_name() {
        let workflow = workflow("defaults: {run: '${{ fromJSON(vars.run) }}'}");
        let outer = Template { span: Span::default(), kind: TemplateKind::Text("folder".into()) };
        let defaults = RunDefaults { working_directory: Some(outer), ..body(&workflow).defaults.clone() };
        let resolved = evaluated(|scope| defaults.resolve(scope)).expect("defaults");
        let text = |template: &Option<Template>| template.as_ref().and_then(Template::literal).map(str::to_owned);
        assert_eq!(text(&resolved.shell).as_deref(), Some("sh"));
        assert_eq!(text(&resolved.working_directory).as_deref(), Some("folder"));
    }
}
