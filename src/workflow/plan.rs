//! Plans: the jobs of a workflow with matrices and called workflows expanded, as far as possible before the run. A run
//! starts only from a [`Plan`], which is free of cycles and errors.

use std::collections::HashMap;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Severity};
use super::display_names;
use super::expr::{Contexts, NoFiles, Object, Scope, Status, Value};
use super::matrix;
use super::matrix::Leg;
use super::parse::parse;
use super::source::Source;
use super::syntax::{JobBody, JobDefinition, Workflow};
use super::template::{Piece, Template, TemplateKind};
use crate::model::JobId;

/// Maximum nesting of called workflows, in levels including the first workflow, as on GitHub.
pub const MAX_CALL_DEPTH: usize = 10;

/// Maximum number of jobs in a run. It bounds the time for workflows that call each other many times; GitHub's own limits
/// (256 legs, 50 called workflows) allow fewer in practice.
pub const MAX_JOBS: usize = 20_000;

/// The expanded jobs of a workflow.
#[derive(Clone, Debug)]
pub struct Plan {
    workflow: Arc<Workflow>,
    jobs: Vec<PlannedJob>,
}

/// An instance of a job, or a job whose matrix is not known yet.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// Id of the job in the run.
    pub id: JobId,
    /// Key of the job in its workflow.
    pub key: String,
    /// Display name as far as it is known, prefixed with the names of the calling jobs.
    pub name: String,
    /// The job as written.
    pub definition: Arc<JobDefinition>,
    /// The workflow that contains the job.
    pub workflow: Arc<Workflow>,
    /// Needed jobs, one id for each leg.
    pub needs: Vec<JobId>,
    /// Leg of the job; `None` while its matrix depends on results of other jobs.
    pub leg: Option<Leg>,
    /// The job that calls the workflow of this job.
    pub caller: Option<JobId>,
    /// Prefix of the name: the names of the calling jobs.
    pub name_prefix: String,
}

/// The contexts that are known before a run starts.
#[derive(Clone, Debug, Default)]
pub struct PlanContexts {
    /// The `github` context.
    pub github: Object,
    /// The `inputs` context.
    pub inputs: Object,
    /// The `vars` context.
    pub vars: Object,
}

/// Looks up the text of a called workflow of this repository by its path.
pub type SourceLookup<'c> = dyn Fn(&str) -> Option<Arc<Source>> + 'c;

impl Plan {
    /// Plans a workflow.
    ///
    /// # Errors
    /// Errors of matrices and called workflows, each with its source.
    pub fn new(
        workflow: Arc<Workflow>,
        known: &PlanContexts,
        called: &SourceLookup<'_>,
    ) -> Result<Self, Vec<(Arc<Source>, Diagnostic)>> {
        let mut planner = Planner { known, called, cache: HashMap::new(), jobs: Vec::new(), errors: Vec::new() };
        planner.add(&workflow, None, ("", ""), 0);
        if planner.errors.is_empty() { Ok(Self { workflow, jobs: planner.jobs }) } else { Err(planner.errors) }
    }

    /// The planned workflow.
    #[must_use]
    pub fn workflow(&self) -> &Arc<Workflow> {
        &self.workflow
    }

    /// Jobs in file order; the jobs of a called workflow follow the job that calls it.
    #[must_use]
    pub fn jobs(&self) -> &[PlannedJob] {
        &self.jobs
    }

    /// Restricts the plan to some jobs of the workflow and the jobs that they need. No keys mean all jobs.
    ///
    /// # Errors
    /// The first unknown key.
    pub fn only(mut self, keys: &[String]) -> Result<Self, String> {
        if keys.is_empty() {
            return Ok(self);
        }
        let mut wanted: Vec<String> = Vec::new();
        let mut todo = keys.to_vec();
        while let Some(key) = todo.pop() {
            let job = self.workflow.jobs.iter().find(|job| job.id.value == key).ok_or_else(|| key.clone())?;
            if !wanted.contains(&key) {
                todo.extend(job.needs.iter().map(|need| need.value.clone()));
                wanted.push(key);
            }
        }
        // The first part of an id is the key of a job of the workflow itself.
        let root = |job: &PlannedJob| job.id.as_str().split('.').next().unwrap_or_default().to_owned();
        self.jobs.retain(|job| wanted.contains(&root(job)));
        Ok(self)
    }
}

impl PlannedJob {
    /// The instances of this job, whose matrix was not known, for the legs of the matrix.
    #[must_use]
    pub fn expand(&self, legs: &[Leg]) -> Vec<Self> {
        let entries = legs.iter().enumerate().map(|(place, leg)| Self {
            id: leg_id(&self.id, place, legs.len()),
            name: format!("{}{}", self.name, leg.suffix),
            leg: Some(leg.clone()),
            ..self.clone()
        });
        entries.collect()
    }
}

/// Id of a leg: that of the job for a single leg, otherwise with a number from 1. No job id starts with a digit, so the
/// id of a leg never equals that of a job in a called workflow.
fn leg_id(job: &JobId, place: usize, legs: usize) -> JobId {
    if legs == 1 { job.clone() } else { JobId::new(format!("{job}.{}", place + 1)) }
}

struct Planner<'p> {
    known: &'p PlanContexts,
    called: &'p SourceLookup<'p>,
    cache: HashMap<String, Option<Arc<Workflow>>>,
    jobs: Vec<PlannedJob>,
    errors: Vec<(Arc<Source>, Diagnostic)>,
}

impl Planner<'_> {
    fn add(&mut self, workflow: &Arc<Workflow>, caller: Option<&JobId>, prefixes: (&str, &str), depth: usize) {
        let (id_prefix, name_prefix) = prefixes;
        let mut expanded = Vec::new();
        for definition in &workflow.jobs {
            match self.legs(definition) {
                Ok(legs) => expanded.push((definition, legs)),
                Err(error) => self.errors.push((Arc::clone(&workflow.source), error)),
            }
        }
        let ids: HashMap<&str, Vec<JobId>> = expanded
            .iter()
            .map(|(definition, legs)| {
                let id = JobId::new(format!("{id_prefix}{}", definition.id.value));
                let count = legs.as_ref().map_or(1, Vec::len);
                (definition.id.value.as_str(), (0..count).map(|place| leg_id(&id, place, count)).collect())
            })
            .collect();
        for (definition, legs) in &expanded {
            let key = &definition.id.value;
            let needs = definition.needs.iter().filter_map(|need| ids.get(need.value.as_str()));
            let needs: Vec<JobId> = needs.flatten().cloned().collect();
            for (place, id) in ids[key.as_str()].iter().enumerate() {
                let leg = legs.as_ref().map(|legs| legs[place].clone());
                let name = format!("{name_prefix}{}", self.name(definition, leg.as_ref()));
                let known = leg.is_some();
                self.jobs.push(PlannedJob {
                    id: id.clone(),
                    key: key.clone(),
                    name: name.clone(),
                    definition: Arc::clone(definition),
                    workflow: Arc::clone(workflow),
                    needs: needs.clone(),
                    leg,
                    caller: caller.cloned(),
                    name_prefix: name_prefix.to_owned(),
                });
                if let (JobBody::Call { uses, .. }, true) = (&definition.body, known) {
                    if self.jobs.len() > MAX_JOBS {
                        let message = format!("the called workflows have more than {MAX_JOBS} jobs");
                        self.report(&workflow.source, Diagnostic::error("workflow-call", uses.span, message));
                    } else if depth + 1 >= MAX_CALL_DEPTH {
                        let message = format!("called workflows are nested deeper than {MAX_CALL_DEPTH} levels");
                        self.report(&workflow.source, Diagnostic::error("workflow-call", uses.span, message));
                    } else if let Some(callee) = self.callee(&uses.value) {
                        self.add(&callee, Some(id), (&format!("{id}."), &format!("{name} / ")), depth + 1);
                    }
                }
            }
        }
    }

    /// Records an error, once for each position, however often the workflow is called.
    fn report(&mut self, source: &Arc<Source>, error: Diagnostic) {
        if !self.errors.iter().any(|(_, known)| *known == error) {
            self.errors.push((Arc::clone(source), error));
        }
    }

    /// Parses a called workflow of this repository, once.
    fn callee(&mut self, uses: &str) -> Option<Arc<Workflow>> {
        let path = uses.strip_prefix("./")?;
        if let Some(known) = self.cache.get(path) {
            return known.clone();
        }
        let callee = (self.called)(path).and_then(|source| {
            let parsed = parse(&source);
            let errors = parsed.diagnostics.into_iter().filter(|found| found.severity == Severity::Error);
            self.errors.extend(errors.map(|error| (Arc::clone(&source), error)));
            parsed.value.map(Arc::new)
        });
        self.cache.insert(path.to_owned(), callee.clone());
        callee
    }

    /// The legs of a job; `None` if the matrix depends on results of other jobs.
    fn legs(&self, definition: &JobDefinition) -> Result<Option<Vec<Leg>>, Diagnostic> {
        let strategy = definition.strategy.as_ref();
        let matrix = strategy.and_then(|strategy| strategy.matrix.as_ref());
        if matrix.is_some_and(needs_results) {
            return Ok(None);
        }
        let contexts = self.contexts();
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        match matrix::expand(strategy, &scope) {
            Ok(legs) => Ok(Some(legs.legs)),
            Err(error) => Err(Diagnostic::error("matrix", error.span, error.to_string())),
        }
    }

    fn name(&self, definition: &JobDefinition, leg: Option<&Leg>) -> String {
        let Some(leg) = leg else { return display_names::provisional_job_name(definition) };
        if definition.name.as_ref().is_some_and(needs_results) {
            return display_names::provisional_job_name(definition);
        }
        let mut contexts = self.contexts();
        contexts.set("matrix", leg.matrix.clone());
        contexts.set("strategy", Value::object(Object::default()));
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        display_names::job_name(definition, leg, &scope)
    }

    fn contexts(&self) -> Contexts {
        let known = self.known;
        let contexts = [("github", &known.github), ("inputs", &known.inputs), ("vars", &known.vars)];
        contexts.into_iter().map(|(name, object)| (name, Value::object(object.clone()))).collect()
    }
}

/// Whether a template reads the `needs` context, which is known only when other jobs have ended.
fn needs_results(template: &Template) -> bool {
    let reads =
        |expr: &super::expr::Expr| expr.roots().iter().any(|root| root.context.text.eq_ignore_ascii_case("needs"));
    match &template.kind {
        TemplateKind::Expression(expr) => reads(expr),
        TemplateKind::Interpolated(pieces) => {
            pieces.iter().any(|piece| matches!(piece, Piece::Expression(expr) if reads(expr)))
        }
        TemplateKind::Sequence(items) => items.iter().any(needs_results),
        TemplateKind::Mapping(entries) => entries.iter().any(|(key, value)| needs_results(key) || needs_results(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(called: &str) -> Vec<String> {
        let whole = parse(&Source::new("ci.yml", "on: push\njobs: {a: {uses: ./w.yml}}\n")).value.expect("a workflow");
        let file = |_: &str| Some(Source::new("w.yml", called));
        let errors = Plan::new(Arc::new(whole), &PlanContexts::default(), &file).err().unwrap_or_default();
        errors.into_iter().map(|(_, error)| error.message).collect()
    }

    #[test]
    fn workflows_that_call_themselves_are_refused() {
        assert_eq!(errors("on: workflow_call\njobs: {a: {runs-on: x}}\n"), Vec::<String>::new());
        let round = errors("on: workflow_call\njobs: {a: {uses: ./w.yml}}\n");
        assert_eq!(round, ["called workflows are nested deeper than 10 levels"]);
        let jobs: Vec<_> = (0..50).map(|job| format!("  j{job}: {{uses: ./w.yml}}\n")).collect();
        let many = errors(&format!("on: workflow_call\njobs:\n{}", jobs.concat()));
        assert!(many.len() <= 100, "at most two errors for each call in the file");
    }
}
