//! Turns `run.json` into the input of the engine: the plan, and the facts that are known before the first job.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::engine::concurrency::{GroupError, GroupRequest};
use crate::engine::context::RunFacts;
use crate::engine::reusable;
use crate::engine::reusable::DispatchError;
use crate::model::RunInfo;
use crate::repo::git::GitError;
use crate::store::digest::hexadecimal;
use crate::store::ids;
use crate::store::spec::WorkflowSpec;
use crate::workflow;
use crate::workflow::breakpoints::{Breakpoint, BreakpointError};
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::expr::{Contexts, NoFiles, Object, Scope, Status, Value};
use crate::workflow::plan::{Callee, CalleeLookup, Plan, PlanContexts, UnknownJob, UnknownLeg};
use crate::workflow::source::Source;
use crate::workflow::syntax::Workflow;
use crate::workflow::triggers::event_hint;

/// Name of the secret with the token for GitHub.
pub const TOKEN: &str = "GITHUB_TOKEN";

/// Why a run cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The workflow files have errors.
    #[error("{}", quoted(.0))]
    Faults(Vec<(Arc<Source>, Diagnostic)>),
    /// The workflow does not run on the event.
    #[error("{workflow} does not run on `{event}`; its events are {}{}", .known.join(", "), event_hint(.event))]
    Event {
        /// Path of the workflow.
        workflow: String,
        /// The event.
        event: String,
        /// Events of the workflow.
        known: Vec<String>,
    },
    /// The workflow has no such job.
    #[error("{workflow} has {source}")]
    Job {
        /// Path of the workflow.
        workflow: String,
        /// The job.
        source: UnknownJob,
    },
    /// No leg has a requested matrix value.
    #[error(transparent)]
    Leg(#[from] UnknownLeg),
    /// A breakpoint is at no step of the plan.
    #[error(transparent)]
    Breakpoint(#[from] BreakpointError),
    /// The inputs do not fit the workflow.
    #[error(transparent)]
    Inputs(#[from] DispatchError),
    /// Git cannot read the files that another attempt would use. Without them, the attempt would pass for one of an
    /// earlier commit.
    #[error(
        "the files that this attempt would use cannot be read: {0}\nmend the repository and try again, or re-run all jobs \
         with `cuelight rerun` if git lacks the commit of an earlier attempt"
    )]
    WorkingTree(#[source] GitError),
}

/// Returns faults with their source lines.
fn quoted(faults: &[(Arc<Source>, Diagnostic)]) -> String {
    let rendered: Vec<_> = faults.iter().map(|(source, fault)| fault.render(source, false)).collect();
    rendered.join("\n\n")
}

/// A run that is ready to start.
pub struct Prepared {
    /// Jobs of the run.
    pub plan: Plan,
    /// Facts that are known before the first job.
    pub facts: RunFacts,
    /// `run-name`, or the name of the workflow.
    pub name: String,
    /// Concurrency group of the run as a whole. `None` if the workflow does not request one.
    pub turn: Option<GroupRequest>,
    /// Steps before which the run stops.
    pub breakpoints: Vec<Breakpoint>,
}

impl Prepared {
    /// Returns the contexts that are known before the first job: `github`, `inputs` and `vars`.
    #[must_use]
    pub fn contexts(&self) -> Contexts {
        let facts = &self.facts;
        contexts(&PlanContexts {
            github: facts.github(),
            inputs: facts.inputs.clone(),
            vars: object(&facts.vars),
            ..PlanContexts::default()
        })
    }
}

/// Plans a run from its `run.json`. `secrets` maps names to values. If `GITHUB_TOKEN` is not among them, or GitHub's
/// API is answered on this machine, the token of the run is a random one that no server accepts.
///
/// # Errors
/// The workflow has errors, or the request does not fit it.
pub fn prepare(
    info: &RunInfo,
    spec: &WorkflowSpec,
    secrets: IndexMap<String, String>,
    attempt: u32,
) -> Result<Prepared, Refusal> {
    let called = |path: &str| Some(Callee::parse(Source::new(path, spec.called.get(path)?.clone())));
    plan(info, spec, parse(&info.workflow, &spec.text)?, &called, secrets, attempt)
}

/// Parses a workflow under its file name.
///
/// # Errors
/// The file has errors.
pub fn parse(name: &str, text: &str) -> Result<Arc<Workflow>, Refusal> {
    let source = Source::new(name, text);
    let parsed = workflow::parse(&source);
    parsed.value.map(Arc::new).ok_or_else(|| {
        let errors = parsed.diagnostics.into_iter().filter(|found| found.severity == Severity::Error);
        Refusal::Faults(errors.map(|fault| (Arc::clone(&source), fault)).collect())
    })
}

/// Plans a run whose workflow and called workflows are already parsed.
///
/// # Errors
/// A called workflow or a matrix has errors, or the request does not fit the workflow.
pub fn plan(
    info: &RunInfo,
    spec: &WorkflowSpec,
    workflow: Arc<Workflow>,
    called: &CalleeLookup<'_>,
    secrets: IndexMap<String, String>,
    attempt: u32,
) -> Result<Prepared, Refusal> {
    let source = Arc::clone(&workflow.source);
    if !workflow.triggers.iter().any(|trigger| trigger.event.value == info.event) {
        return Err(Refusal::Event {
            workflow: info.workflow.clone(),
            event: info.event.clone(),
            known: workflow.triggers.iter().map(|trigger| trigger.event.value.clone()).collect(),
        });
    }
    let inputs = reusable::dispatch(&workflow, &info.event, &spec.inputs)?;
    let name = workflow.name.as_ref().map_or_else(|| info.workflow.clone(), |name| name.value.clone());
    let facts = RunFacts {
        run_id: run_id(info),
        run_number: spec.run_number,
        attempt,
        repository: info.repository.clone(),
        sha: info.sha.clone(),
        git_ref: spec.git_ref.clone(),
        event_name: info.event.clone(),
        event: spec.payload.clone(),
        actor: spec.actor.clone(),
        workflow: name.clone(),
        workflow_path: info.workflow.clone(),
        token: Some(&secrets).filter(|_| !spec.local_api).and_then(|all| all.get(TOKEN)).cloned().unwrap_or_else(token),
        local_api: spec.local_api,
        secrets,
        vars: spec.vars.clone(),
        inputs: inputs.clone(),
    };
    let known = PlanContexts {
        github: facts.github(),
        inputs,
        vars: object(&spec.vars),
        knows_every_file: true,
        ..PlanContexts::default()
    };
    let plan = Plan::new(workflow, &known, called).map_err(Refusal::Faults)?;
    let plan = plan.only(&spec.jobs).map_err(|source| Refusal::Job { workflow: info.workflow.clone(), source })?;
    let plan = plan.only_legs(&spec.matrix)?;
    let stops = spec.breakpoints.iter().flat_map(|breakpoints| &breakpoints.steps);
    let breakpoints: Result<Vec<_>, _> = stops.map(|text| Breakpoint::of(&plan, text)).collect();
    let breakpoints = breakpoints?.concat();
    let contexts = contexts(&known);
    let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
    let name = run_name(&plan, &scope).unwrap_or(name);
    let turn = plan.workflow().concurrency.as_ref().map(|concurrency| {
        let fault = |error: GroupError| Diagnostic::error("expression", concurrency.span(), error.to_string());
        GroupRequest::new(concurrency, &scope)
            .map_err(|error| Refusal::Faults(vec![(Arc::clone(&source), fault(error))]))
    });
    Ok(Prepared { turn: turn.transpose()?, plan, facts, name, breakpoints })
}

fn run_name(plan: &Plan, scope: &Scope<'_>) -> Option<String> {
    let template = plan.workflow().run_name.as_ref()?;
    template.evaluate(scope).ok().map(|value| value.to_text()).filter(|name| !name.trim().is_empty())
}

/// Returns the contexts for expressions outside jobs.
fn contexts(known: &PlanContexts) -> Contexts {
    [("github", &known.github), ("inputs", &known.inputs), ("vars", &known.vars)]
        .into_iter()
        .map(|(name, object)| (name, Value::object(object.clone())))
        .collect()
}

fn object(texts: &IndexMap<String, String>) -> Object {
    texts.iter().map(|(name, value)| (name.clone(), Value::string(value.clone()))).collect()
}

/// Returns the id of a run as a decimal number, like GitHub's: the same for every attempt, and unique. A copied folder
/// may have any name; the creation time of the run is used instead.
fn run_id(info: &RunInfo) -> String {
    ids::id_number(&info.id).unwrap_or(info.created.0).to_string()
}

/// Returns a stand-in for `github.token`: actions refuse an empty token, and no server accepts this one.
fn token() -> String {
    let mut random = [0; 20];
    // Without randomness the token can be guessed, which is harmless: it grants no access.
    let _ = getrandom::fill(&mut random);
    format!("cls_{}", hexadecimal(&random))
}
