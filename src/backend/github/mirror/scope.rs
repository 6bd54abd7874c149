//! The jobs of a workflow file and of the files that it calls: a tree in which listed jobs are found by
//! name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::JobId;
use crate::workflow::display_names;
use crate::workflow::outline;
use crate::workflow::plan::{Plan, PlannedJob};
use crate::workflow::syntax::{JobBody, JobDefinition, Workflow};
use crate::workflow::template::{Piece, Template, TemplateKind};

use super::graph::id_of;

/// Separates the name of a calling job from the name of a job in the called workflow.
const CALLS: &str = " / ";

/// Maximum nesting depth of calls, the same as in a plan.
const MAX_DEPTH: usize = crate::workflow::plan::MAX_CALL_DEPTH;

/// The workflows that jobs call, by the text of `uses`.
#[derive(Clone, Debug, Default)]
pub(super) struct Called(HashMap<String, Arc<Workflow>>);

impl Called {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut called = HashMap::new();
        let mut todo = vec![Arc::clone(plan.workflow())];
        while let Some(workflow) = todo.pop() {
            for job in &workflow.jobs {
                if let JobBody::Call { uses, .. } = &job.body
                    && !called.contains_key(&uses.value)
                    && let Some(callee) = plan.called(&uses.value, &workflow)
                {
                    called.insert(uses.value.clone(), Arc::clone(callee));
                    todo.push(Arc::clone(callee));
                }
            }
        }
        Self(called)
    }
}

/// A listed job.
#[derive(Clone, Copy)]
pub(super) struct Listed {
    /// Id of the job on the server; `None` for a job of an earlier layout.
    pub(super) id: Option<u64>,
    /// Whether the job was skipped. A skipped job may represent all legs of a job.
    pub(super) is_skipped: bool,
}

/// The jobs of a workflow file. Each leg of a matrix is a separate node.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    nodes: Vec<Node>,
}

/// A job, or one of its legs.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: JobId,
    pub(super) key: String,
    /// Name of the job, after the names of the calling jobs.
    pub(super) full_name: String,
    pub(super) needs: Vec<JobId>,
    pub(super) environment: Option<String>,
    pub(super) caller: Option<JobId>,
    /// Id of the listed job; `None` if none was matched with this one.
    pub(super) remote: Option<u64>,
    /// The job with unknown legs that this leg belongs to; `None` for other jobs.
    pub(super) leg_of: Option<JobId>,
    name: Name,
    definition: Option<Arc<JobDefinition>>,
    /// Whether the legs of the job are not known.
    is_open: bool,
    /// Whether a listed job was matched with this one.
    is_taken: bool,
    calls: Option<Scope>,
}

/// Name of a job without the names of the calling jobs, as far as it is known.
#[derive(Clone, Debug)]
enum Name {
    Known(String),
    /// Literal texts that occur in this order from start to end, with any text in between.
    Pattern(Vec<String>),
}

impl Name {
    /// Returns the name of a job: a pattern if it contains expressions, or if the job has legs.
    fn pattern(definition: &JobDefinition) -> Self {
        let has_legs = definition.strategy.is_some();
        let suffix = |text: &str| {
            if has_legs {
                Self::Pattern(vec![format!("{text} ("), ")".to_owned()])
            } else {
                Self::Known(text.to_owned())
            }
        };
        match definition.name.as_ref().map(|name| &name.kind) {
            Some(TemplateKind::Expression(_)) => Self::Pattern(vec![String::new(), String::new()]),
            Some(TemplateKind::Interpolated(pieces)) => {
                let mut texts = vec![String::new()];
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => texts.last_mut().expect("never empty").push_str(text),
                        Piece::Expression(_) => texts.push(String::new()),
                    }
                }
                Self::Pattern(texts)
            }
            _ => match definition.name.as_ref().and_then(Template::literal).filter(|name| !name.is_empty()) {
                Some(name) => suffix(name),
                None => suffix(&definition.id.value),
            },
        }
    }

    /// Whether this name is known and equals a listed name, which the server may have shortened.
    fn is(&self, name: &str) -> bool {
        let is_whole = |cut: &str| cut.chars().count() == display_names::MAX_NAME_LENGTH - 3 && name.starts_with(cut);
        matches!(self, Self::Known(known) if known == name || known.strip_suffix("...").is_some_and(is_whole))
    }

    /// Returns the number of bytes of a name that the literal texts cover; `None` if the name does not match.
    fn fit(&self, name: &str) -> Option<usize> {
        let Self::Pattern(texts) = self else { return None };
        let [first, between @ .., last] = texts.as_slice() else { return None };
        let mut rest = name.strip_prefix(first.as_str())?;
        for text in between {
            rest = &rest[rest.find(text.as_str())? + text.len()..];
        }
        rest.ends_with(last.as_str()).then(|| texts.iter().map(String::len).sum())
    }
}

/// Returns the name of a job as written in the file. A job that was skipped with all its legs is listed under this
/// name.
fn raw_name(definition: &JobDefinition) -> String {
    let written = definition.name.as_ref().map(display_names::written).filter(|name| !name.is_empty());
    written.unwrap_or_else(|| definition.id.value.clone())
}

impl Scope {
    /// Returns the jobs of a plan that `caller` calls; without a caller, the jobs of the workflow itself.
    pub(super) fn of_plan(plan: &Plan, caller: Option<&JobId>) -> Self {
        let jobs = plan.jobs().iter().filter(|job| job.caller.as_ref() == caller);
        Self { nodes: jobs.map(|job| Node::of_plan(plan, job)).collect() }
    }

    /// Returns the jobs of a workflow that a leg of a job with unknown legs calls.
    fn of_workflow(workflow: &Workflow, caller: &Node, called: &Called, depth: usize) -> Self {
        let id = |key: &str| JobId::new(format!("{}.{key}", caller.id));
        let node = |definition: &Arc<JobDefinition>| {
            let key = definition.id.value.clone();
            let mut node = Node {
                id: id(&key),
                full_name: format!("{}{CALLS}{}", caller.full_name, display_names::provisional_job_name(definition)),
                key,
                needs: definition.needs.iter().map(|need| id(&need.value)).collect(),
                environment: outline::written_deployment(definition),
                caller: Some(caller.id.clone()),
                remote: None,
                leg_of: None,
                name: Name::pattern(definition),
                definition: Some(Arc::clone(definition)),
                is_open: definition.strategy.is_some(),
                is_taken: false,
                calls: None,
            };
            node.call(called, depth);
            node
        };
        Self { nodes: workflow.jobs.iter().map(node).collect() }
    }

    /// Finds the job that a listed job represents, marks it as matched, and adds the leg if it was not known. Returns
    /// its id. If the job was skipped as a whole, returns the ids of all its legs and of the jobs that they call.
    /// `None` if no job matches, or if several match equally well.
    pub(super) fn find(&mut self, name: &str, job: Listed, called: &Called) -> Option<Vec<JobId>> {
        self.find_at(name, job, called, 0)
    }

    fn find_at(&mut self, name: &str, job: Listed, called: &Called, depth: usize) -> Option<Vec<JobId>> {
        if let Some(node) = self.nodes.iter_mut().find(|node| !node.is_taken && node.name.is(name)) {
            return Some(node.take(job));
        }
        if let Some(found) = self.find_callee(name, job, called, depth) {
            return Some(found);
        }
        let raw = |node: &Node| !node.is_taken && node.definition.as_ref().is_some_and(|job| raw_name(job) == name);
        if job.is_skipped && self.nodes.iter().any(raw) {
            let legs = self.nodes.iter_mut().filter(|node| raw(node));
            return Some(legs.flat_map(|leg| leg.take(job)).collect());
        }
        let place = self.best(name)?;
        let place = if self.nodes[place].is_open { self.add_leg(place, name, called, depth) } else { place };
        let node = &mut self.nodes[place];
        node.rename(name);
        Some(node.take(job))
    }

    /// Finds the job that a listed job represents among the jobs called from here.
    fn find_callee(&mut self, name: &str, job: Listed, called: &Called, depth: usize) -> Option<Vec<JobId>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        for (at, _) in name.match_indices(CALLS) {
            let (head, tail) = (&name[..at], &name[at + CALLS.len()..]);
            let calls = |node: &Node| node.is_call();
            let known = self.nodes.iter().position(|node| calls(node) && !node.is_open && node.name.is(head));
            let place = if let Some(place) = known {
                place
            } else {
                let Some(place) = self.best(head).filter(|place| calls(&self.nodes[*place])) else { continue };
                let place = if self.nodes[place].is_open { self.add_leg(place, head, called, depth) } else { place };
                self.nodes[place].rename(head);
                place
            };
            let node = &mut self.nodes[place];
            if let Some(scope) = &mut node.calls
                && let Some(found) = scope.find_at(tail, job, called, depth + 1)
            {
                return Some(found);
            }
            if node.calls.as_ref().is_none_or(|scope| scope.nodes.iter().all(|node| node.definition.is_none())) {
                return Some(vec![node.add_foreign(tail, job)]);
            }
        }
        None
    }

    /// Returns the index of the job whose pattern matches a name best, or of its first leg that is not matched yet.
    /// `None` if several jobs match equally well.
    fn best(&self, name: &str) -> Option<usize> {
        let fits = self.nodes.iter().enumerate().filter(|(_, node)| !node.is_taken || node.is_open);
        let fits: Vec<_> = fits.filter_map(|(place, node)| Some((node.name.fit(name)?, place))).collect();
        let best = fits.iter().map(|(bytes, _)| *bytes).max()?;
        let mut of_best = fits.iter().filter(|(bytes, _)| *bytes == best).map(|(_, place)| *place);
        let first = of_best.next()?;
        // Legs of one job are matched in order. Several jobs that match equally well are ambiguous.
        of_best.all(|other| self.nodes[other].key == self.nodes[first].key).then_some(first)
    }

    /// Adds a leg of a job with unknown legs after its existing legs, and returns its index.
    fn add_leg(&mut self, entry: usize, name: &str, called: &Called, depth: usize) -> usize {
        let id = self.nodes[entry].id.clone();
        let legs = self.nodes.iter().filter(|node| node.leg_of.as_ref() == Some(&id)).count();
        let mut leg = Node {
            id: JobId::new(format!("{id}.{}", legs + 1)),
            leg_of: Some(id),
            is_open: false,
            calls: None,
            name: Name::Known(name.to_owned()),
            ..self.nodes[entry].clone()
        };
        leg.rename(name);
        leg.call(called, depth);
        let place = entry + legs + 1;
        self.nodes.insert(place, leg);
        place
    }

    /// Forgets all matches with listed jobs. Legs and names that were learnt from them stay.
    pub(super) fn free(&mut self) {
        for node in &mut self.nodes {
            (node.is_taken, node.remote) = (false, None);
            if let Some(scope) = &mut node.calls {
                scope.free();
            }
        }
    }

    /// Collects all jobs, each before the jobs that it calls.
    pub(super) fn collect<'s>(&'s self, nodes: &mut Vec<&'s Node>) {
        for node in &self.nodes {
            nodes.push(node);
            if let Some(scope) = &node.calls {
                scope.collect(nodes);
            }
        }
    }
}

impl Node {
    fn of_plan(plan: &Plan, job: &PlannedJob) -> Self {
        let outline = outline::outline(job);
        let is_open = job.leg.is_none();
        let own = job.name.strip_prefix(job.name_prefix.as_str()).unwrap_or(&job.name).to_owned();
        let is_call = matches!(job.definition.body, JobBody::Call { .. });
        Self {
            id: job.id.clone(),
            key: outline.key,
            full_name: outline.name,
            needs: outline.needs,
            environment: outline.environment,
            caller: outline.caller,
            remote: None,
            leg_of: None,
            name: if is_open || !job.is_named { Name::pattern(&job.definition) } else { Name::Known(own) },
            definition: Some(Arc::clone(&job.definition)),
            is_open,
            is_taken: false,
            calls: is_call.then(|| Scope::of_plan(plan, Some(&job.id))),
        }
    }

    fn is_call(&self) -> bool {
        self.definition.as_ref().is_some_and(|definition| matches!(definition.body, JobBody::Call { .. }))
    }

    /// Adds the jobs of the called workflow to a leg that was not in the plan.
    fn call(&mut self, called: &Called, depth: usize) {
        let Some(definition) = &self.definition else { return };
        let JobBody::Call { uses, .. } = &definition.body else { return };
        if self.is_open || depth >= MAX_DEPTH {
            return;
        }
        let workflow = called.0.get(&uses.value);
        self.calls =
            Some(workflow.map(|callee| Scope::of_workflow(callee, self, called, depth + 1)).unwrap_or_default());
    }

    /// Sets the name of a job whose name had unknown parts. The prefix stays.
    fn rename(&mut self, name: &str) {
        let prefix = match (&self.caller, self.full_name.rfind(CALLS)) {
            (Some(_), Some(end)) => self.full_name[..end + CALLS.len()].to_owned(),
            _ => String::new(),
        };
        self.full_name = format!("{prefix}{name}");
        self.name = Name::Known(name.to_owned());
        let full_name = self.full_name.clone();
        for callee in self.calls.iter_mut().flat_map(|scope| &mut scope.nodes) {
            let own = callee.full_name.rsplit(CALLS).next().unwrap_or_default();
            callee.full_name = format!("{full_name}{CALLS}{own}");
        }
    }

    /// Marks a job as found and, if it was skipped as a whole, the jobs that it calls. Returns their ids.
    fn take(&mut self, job: Listed) -> Vec<JobId> {
        (self.is_taken, self.remote) = (true, job.id);
        let mut ids = vec![self.id.clone()];
        if job.is_skipped {
            for callee in self.calls.iter_mut().flat_map(|scope| &mut scope.nodes) {
                ids.extend(callee.take(job));
            }
        }
        ids
    }

    /// Adds a job of a called workflow whose file is not known.
    fn add_foreign(&mut self, name: &str, job: Listed) -> JobId {
        let key = id_of(name);
        let id = JobId::new(format!("{}.{key}", self.id));
        let scope = self.calls.get_or_insert_default();
        if let Some(known) = scope.nodes.iter_mut().find(|node| node.id == id) {
            (known.is_taken, known.remote) = (true, job.id);
            return id;
        }
        scope.nodes.push(Node {
            id: id.clone(),
            key,
            full_name: format!("{}{CALLS}{name}", self.full_name),
            needs: Vec::new(),
            environment: None,
            caller: Some(self.id.clone()),
            remote: job.id,
            leg_of: None,
            name: Name::Known(name.to_owned()),
            definition: None,
            is_open: false,
            is_taken: true,
            calls: None,
        });
        id
    }
}
