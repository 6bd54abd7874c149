//! Builds a [`Plan`](super::plan::Plan): expands matrices and called workflows as far as their values are known.
//!
//! Before a run, the results of needed jobs are unknown, and so are the inputs computed from them. A job that depends
//! on such a value is planned as a single job, and expanded when the value is known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::display_names;
use super::expr::{Contexts, Expr, NoFiles, Object, PathKey, Scope, Status, Value};
use super::inputs;
use super::matrix;
use super::matrix::{Leg, Legs};
use super::plan::{Callee, CalleeLookup, MAX_CALL_DEPTH, MAX_CALLED, MAX_JOBS, PlanContexts, PlannedJob, leg_id};
use super::source::{Source, Spanned};
use super::syntax::{JobBody, JobDefinition, Workflow, callee_name, local_path, resolve_call};
use super::template::{Piece, Template, TemplateKind};
use crate::model::JobId;

type Errors = Vec<(Arc<Source>, Diagnostic)>;

/// The workflows that a workflow calls directly or indirectly, by [`callee_name`].
#[derive(Clone, Debug, Default)]
pub(super) struct Called(HashMap<String, Arc<Workflow>>);

impl Called {
    /// Reads all workflows that a workflow calls directly or indirectly. Returns the errors of these files, an error
    /// for each call that could not be fetched or exceeds [`MAX_CALLED`], and, if `complete`, an error for each missing
    /// file of the repository.
    pub(super) fn read(&mut self, workflow: &Arc<Workflow>, files: &CalleeLookup<'_>, complete: bool) -> Errors {
        let mut errors = Errors::new();
        let mut seen: HashSet<String> = HashSet::new();
        let mut todo = vec![Arc::clone(workflow)];
        while let Some(caller) = todo.pop() {
            for uses in caller.jobs.iter().filter_map(|job| call(job)) {
                let name = callee_name(&uses.value, &caller.source.name);
                if !seen.insert(name.clone()) {
                    continue;
                }
                if seen.len() == MAX_CALLED + 1 {
                    let message = format!("more than {MAX_CALLED} workflows are called");
                    errors.push((Arc::clone(&caller.source), Diagnostic::error("workflow-call", uses.span, message)));
                }
                let Some(Callee { source, workflow, errors: found, absent }) = files(&name) else {
                    // Without a network, workflows of other repositories are often not known.
                    if complete && local_path(&resolve_call(&uses.value, &caller.source.name)).is_some() {
                        errors.push((Arc::clone(&caller.source), missing(uses)));
                    }
                    continue;
                };
                if let Some(callee) = workflow {
                    todo.push(Arc::clone(&callee));
                    self.0.insert(name, callee);
                } else if let Some(reason) = absent {
                    errors.push((Arc::clone(&caller.source), Diagnostic::error("workflow-call", uses.span, reason)));
                } else {
                    errors.extend(found.into_iter().map(|error| (Arc::clone(&source), error)));
                }
            }
        }
        errors
    }

    pub(super) fn get(&self, uses: &str, caller: &Workflow) -> Option<&Arc<Workflow>> {
        self.0.get(&callee_name(uses, &caller.source.name))
    }
}

/// Returns the error for a called workflow that does not exist.
pub(super) fn missing(uses: &Spanned<String>) -> Diagnostic {
    let message = format!("workflow `{}` not found", uses.value);
    let hint = "called workflows are in `.github/workflows`: `./.github/workflows/file.yml`";
    Diagnostic::error("workflow-call", uses.span, message).hint(hint)
}

fn call(job: &JobDefinition) -> Option<&Spanned<String>> {
    match &job.body {
        JobBody::Call { uses, .. } => Some(uses),
        JobBody::Steps(_) => None,
    }
}

/// The contexts that the expressions of one workflow see, and the inputs that have no value yet.
struct Known {
    contexts: Contexts,
    /// Names of inputs without a value, in lower case.
    unknown_inputs: HashSet<String>,
    needs: bool,
    /// Whether values that `github` and `vars` lack are unknown.
    is_partial: bool,
}

/// Position of the jobs of a workflow in the run.
struct Place<'p> {
    caller: Option<&'p JobId>,
    id_prefix: &'p str,
    name_prefix: &'p str,
    depth: usize,
    /// Names of the files from the run's workflow to the workflow of these jobs.
    chain: &'p [String],
}

pub(super) struct Planner<'p> {
    github: Value,
    vars: Value,
    called: &'p Called,
    /// Number of jobs that were planned before.
    before: usize,
    jobs: Vec<PlannedJob>,
    errors: Errors,
}

impl<'p> Planner<'p> {
    pub(super) fn new(known: &PlanContexts, called: &'p Called) -> Self {
        let (github, vars) = (Value::object(known.github.clone()), Value::object(known.vars.clone()));
        Self { github, vars, called, before: 0, jobs: Vec::new(), errors: Errors::new() }
    }

    /// Returns a planner for jobs that are added during a run. `contexts` contains `github` and `vars`.
    pub(super) fn during_run(contexts: &Contexts, called: &'p Called, before: usize) -> Self {
        let context = |name: &str| contexts.get(name).cloned().unwrap_or(Value::Null);
        let (github, vars) = (context("github"), context("vars"));
        Self { github, vars, called, before, jobs: Vec::new(), errors: Errors::new() }
    }

    pub(super) fn finish(self) -> (Vec<PlannedJob>, Errors) {
        (self.jobs, self.errors)
    }

    /// Plans all jobs of the run's workflow.
    pub(super) fn add_all(&mut self, workflow: &Arc<Workflow>, known: &PlanContexts) {
        let unknown_inputs = known.unknown_inputs.iter().map(|name| name.to_ascii_lowercase()).collect();
        let contexts = self.contexts(known.inputs.clone());
        let known = Known { contexts, unknown_inputs, needs: false, is_partial: known.is_partial };
        self.add(
            workflow,
            &known,
            &Place {
                caller: None,
                id_prefix: "",
                name_prefix: "",
                depth: 0,
                chain: std::slice::from_ref(&workflow.source.name),
            },
        );
    }

    /// Plans the workflow that a job calls. `contexts` contains all contexts that the expressions of the job see.
    pub(super) fn add_call(&mut self, job: &PlannedJob, contexts: &Contexts) {
        let known =
            Known { contexts: contexts.clone(), unknown_inputs: HashSet::new(), needs: true, is_partial: false };
        self.add_callee(job, &known, std::slice::from_ref(&job.workflow.source.name));
    }

    fn add(&mut self, workflow: &Arc<Workflow>, known: &Known, place: &Place<'_>) {
        let Place { caller, id_prefix, name_prefix, depth, chain } = *place;
        let mut expanded = Vec::new();
        for definition in &workflow.jobs {
            match known.legs(definition) {
                Ok(legs) => expanded.push((definition, legs)),
                Err(error) => self.report(&workflow.source, error),
            }
        }
        let ids: HashMap<&str, Vec<JobId>> = expanded
            .iter()
            .map(|(definition, legs)| {
                let id = JobId::new(format!("{id_prefix}{}", definition.id.value));
                let count = legs.as_ref().map_or(1, |legs| legs.legs.len());
                (definition.id.value.as_str(), (0..count).map(|place| leg_id(&id, place, count)).collect())
            })
            .collect();
        for (definition, legs) in &expanded {
            let key = &definition.id.value;
            let needs = definition.needs.iter().filter_map(|need| ids.get(need.value.as_str()));
            let needs: Vec<JobId> = needs.flatten().cloned().collect();
            for (index, id) in ids[key.as_str()].iter().enumerate() {
                let leg = legs.as_ref().map(|legs| legs.legs[index].clone());
                let of_leg = match (legs, &leg) {
                    (Some(legs), Some(leg)) => Some(known.of_leg(legs, index, leg)),
                    _ => None,
                };
                let name = match (&of_leg, &leg) {
                    (Some(known), Some(leg)) => known.name(definition, leg),
                    _ => display_names::provisional_job_name(definition),
                };
                let job = PlannedJob {
                    id: id.clone(),
                    key: key.clone(),
                    name: format!("{name_prefix}{name}"),
                    definition: Arc::clone(definition),
                    workflow: Arc::clone(workflow),
                    needs: needs.clone(),
                    leg,
                    caller: caller.cloned(),
                    name_prefix: name_prefix.to_owned(),
                    is_named: of_leg.as_ref().is_some_and(|known| known.names(definition)),
                    depth,
                };
                self.jobs.push(job.clone());
                if let Some(known) = of_leg {
                    self.add_callee(&job, &known, chain);
                }
            }
        }
    }

    /// Plans the workflow that a job calls, if it calls one.
    fn add_callee(&mut self, job: &PlannedJob, known: &Known, chain: &[String]) {
        let JobBody::Call { uses, with, .. } = &job.definition.body else { return };
        let source = &job.workflow.source;
        if self.before + self.jobs.len() > MAX_JOBS {
            let message = format!("the called workflows have more than {MAX_JOBS} jobs");
            self.report(source, Diagnostic::error("workflow-call", uses.span, message));
        } else if job.depth + 1 >= MAX_CALL_DEPTH {
            let message = format!("called workflows are nested deeper than {MAX_CALL_DEPTH} levels");
            self.report(source, Diagnostic::error("workflow-call", uses.span, message));
        } else if let Some(callee) = self.called.get(&uses.value, &job.workflow) {
            let chain = [chain, std::slice::from_ref(&callee.source.name)].concat();
            if let Some(first) = chain[..chain.len() - 1].iter().position(|outer| *outer == callee.source.name) {
                let message = format!("called workflows form a loop: {}", chain[first..].join(" → "));
                return self.report(source, Diagnostic::error("workflow-call", uses.span, message));
            }
            let known = self.inputs(callee, with, known);
            let (id_prefix, name_prefix) = (format!("{}.", job.id), format!("{} / ", job.name));
            let place = Place {
                caller: Some(&job.id),
                id_prefix: &id_prefix,
                name_prefix: &name_prefix,
                depth: job.depth + 1,
                chain: &chain,
            };
            self.add(callee, &known, &place);
        }
    }

    /// Returns the contexts of a called workflow: its inputs, as far as their values are known. A value that cannot be
    /// evaluated counts as unknown here; it is an error only when the job starts.
    fn inputs(&self, callee: &Workflow, with: &[(Spanned<String>, Template)], caller: &Known) -> Known {
        let known = |values: &Object, unknown: &[&str]| Known {
            contexts: self.contexts(values.clone()),
            unknown_inputs: unknown.iter().map(|name| name.to_ascii_lowercase()).collect(),
            needs: false,
            is_partial: caller.is_partial,
        };
        let default = |value: &Template, values: &Object, unknown: &[&str]| known(values, unknown).evaluate(value);
        let declared = inputs::declared(callee, "workflow_call");
        let (values, unknown) = inputs::of_call(declared, with, |value| caller.evaluate(value), default);
        known(&values, &unknown)
    }

    /// Records an error. Each position of a file is reported only once, however often the workflow is called.
    fn report(&mut self, source: &Arc<Source>, error: Diagnostic) {
        if !self.errors.iter().any(|(file, known)| file.name == source.name && *known == error) {
            self.errors.push((Arc::clone(source), error));
        }
    }

    fn contexts(&self, inputs: Object) -> Contexts {
        let contexts =
            [("github", self.github.clone()), ("inputs", Value::object(inputs)), ("vars", self.vars.clone())];
        contexts.into_iter().collect()
    }
}

impl Known {
    fn scope(&self) -> Scope<'_> {
        Scope { contexts: &self.contexts, status: Status::default(), host: &NoFiles }
    }

    /// Returns the value of a template; `None` if it is not known or cannot be evaluated.
    fn evaluate(&self, template: &Template) -> Option<Value> {
        (!self.is_unknown(template)).then(|| template.evaluate(&self.scope()).ok()).flatten()
    }

    /// Returns the legs of a job; `None` if they are not known.
    fn legs(&self, definition: &JobDefinition) -> Result<Option<Legs>, Diagnostic> {
        let strategy = definition.strategy.as_ref();
        if strategy.is_some_and(|strategy| strategy.values().any(|value| self.is_unknown(value))) {
            return Ok(None);
        }
        match matrix::expand(strategy, &self.scope()) {
            Ok(legs) => Ok(Some(legs)),
            Err(error) => Err(Diagnostic::error("matrix", error.span, error.to_string())),
        }
    }

    /// Returns a copy with the contexts `matrix` and `strategy` of one leg.
    fn of_leg(&self, legs: &Legs, index: usize, leg: &Leg) -> Self {
        let mut contexts = self.contexts.clone();
        contexts.set("matrix", leg.matrix.clone());
        contexts.set("strategy", legs.strategy(index));
        Self { contexts, unknown_inputs: self.unknown_inputs.clone(), needs: self.needs, is_partial: self.is_partial }
    }

    /// Whether all values in the name of a job are known.
    fn names(&self, definition: &JobDefinition) -> bool {
        !definition.name.as_ref().is_some_and(|name| self.is_unknown(name))
    }

    fn name(&self, definition: &JobDefinition, leg: &Leg) -> String {
        if !self.names(definition) {
            return display_names::provisional_job_name(definition);
        }
        display_names::job_name(definition, leg, &self.scope())
    }

    /// Whether a template reads a value that is not known yet.
    fn is_unknown(&self, template: &Template) -> bool {
        match &template.kind {
            TemplateKind::Expression(expr) => self.reads_unknown(expr),
            TemplateKind::Interpolated(pieces) => {
                pieces.iter().any(|piece| matches!(piece, Piece::Expression(expr) if self.reads_unknown(expr)))
            }
            TemplateKind::Sequence(items) => items.iter().any(|item| self.is_unknown(item)),
            TemplateKind::Mapping(entries) => {
                entries.iter().any(|(key, value)| self.is_unknown(key) || self.is_unknown(value))
            }
            _ => false,
        }
    }

    fn reads_unknown(&self, expr: &Expr) -> bool {
        expr.roots().iter().any(|root| match root.context.text.to_ascii_lowercase().as_str() {
            "needs" => !self.needs,
            context @ ("github" | "vars") if self.is_partial => match (self.contexts.get(context), root.path.first()) {
                (Some(Value::Object(known)), Some(PathKey::Name(name, _))) => known.get(name).is_none(),
                _ => true,
            },
            "inputs" => match root.path.first() {
                Some(PathKey::Name(name, _)) => self.unknown_inputs.contains(&name.to_ascii_lowercase()),
                _ => !self.unknown_inputs.is_empty(),
            },
            _ => false,
        })
    }
}
