//! Plans: the jobs of a workflow with matrices and called workflows expanded, as far as this is possible before the
//! run. A run starts only from a [`Plan`], which has no cycles and no errors.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::diagnostic::{Diagnostic, Severity};
use super::expr::{Contexts, Object};
use super::matrix::Leg;
use super::parse::parse;
use super::planner::{Called, Planner};
use super::source::Source;
use super::syntax::{JobDefinition, Workflow};
use crate::model::{JobId, is_same_name, suggestion};

/// Maximum nesting of called workflows, in levels including the first workflow, as on GitHub.
pub const MAX_CALL_DEPTH: usize = 10;

/// Maximum number of different workflows that a workflow calls directly or indirectly. This is GitHub's limit.
pub const MAX_CALLED: usize = 50;

/// Maximum number of jobs in a run. It bounds the time to plan workflows that call each other many times. GitHub's own
/// limits (256 legs, 50 called workflows) allow fewer jobs in practice.
pub const MAX_JOBS: usize = 20_000;

/// Error of [`Plan::only_legs`]: no leg has this value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no job with `{value}` as the value of `{key}` in its matrix; {}", listed(.known))]
pub struct UnknownLeg {
    /// Key of the matrix.
    pub key: String,
    /// The value.
    pub value: String,
    /// Values of the key in the matrices of the plan.
    pub known: Vec<String>,
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { "no matrix has this key".to_owned() } else { format!("the values are {}", known.join(", ")) }
}

/// The expanded jobs of a workflow.
#[derive(Clone, Debug)]
pub struct Plan {
    workflow: Arc<Workflow>,
    jobs: Vec<PlannedJob>,
    called: Called,
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
    /// The job that calls the workflow of this job; `None` for a job of the run's own workflow.
    pub caller: Option<JobId>,
    /// Prefix of the name: the names of the calling jobs.
    pub name_prefix: String,
    /// Whether the name, without the prefix, has its final form: the leg and all values in the name are known.
    pub is_named: bool,
    /// Number of nested calls that contain the job; 0 for a job of the run's own workflow.
    pub depth: usize,
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
    /// Names of inputs whose values are not known.
    pub unknown_inputs: Vec<String>,
    /// Whether `github` and `vars` have only some of their values. A missing value is then unknown, not empty.
    pub is_partial: bool,
    /// Whether the lookup of called workflows knows every file of the repository, so that a missing file is an error.
    pub knows_every_file: bool,
}

/// The result of looking up a called workflow: its parsed file, or why it could not be fetched.
#[derive(Clone, Debug)]
pub struct Callee {
    /// The file.
    pub source: Arc<Source>,
    /// The workflow; `None` if the file has errors or was not fetched.
    pub workflow: Option<Arc<Workflow>>,
    /// The errors of the file.
    pub errors: Vec<Diagnostic>,
    /// Why a workflow of another repository could not be fetched; `None` for a file that was read.
    pub absent: Option<String>,
}

impl Callee {
    /// Parses a file.
    #[must_use]
    pub fn parse(source: Arc<Source>) -> Self {
        let parsed = parse(&source);
        let errors = parsed.diagnostics.into_iter().filter(|found| found.severity == Severity::Error);
        Self { errors: errors.collect(), workflow: parsed.value.map(Arc::new), source, absent: None }
    }

    /// Creates the result for a workflow of another repository that cannot be fetched. `reason` becomes the error
    /// message at the call.
    #[must_use]
    pub fn absent(name: &str, reason: String) -> Self {
        Self { source: Source::new(name, ""), workflow: None, errors: Vec::new(), absent: Some(reason) }
    }
}

/// Looks up a called workflow by [`callee_name`](super::syntax::callee_name). A plan looks up each name at most once.
pub type CalleeLookup<'c> = dyn Fn(&str) -> Option<Callee> + 'c;

impl Plan {
    /// Plans a workflow together with the workflows that it calls, which `called` looks up.
    ///
    /// # Errors
    /// Errors of matrices and called workflows, each with its source.
    pub fn new(
        workflow: Arc<Workflow>,
        known: &PlanContexts,
        called: &CalleeLookup<'_>,
    ) -> Result<Self, Vec<(Arc<Source>, Diagnostic)>> {
        let mut files = Called::default();
        let mut errors = files.read(&workflow, called, known.knows_every_file);
        let mut planner = Planner::new(known, &files);
        planner.add_all(&workflow, known);
        let (jobs, found) = planner.finish();
        errors.extend(found);
        if errors.is_empty() { Ok(Self { workflow, jobs, called: files }) } else { Err(errors) }
    }

    /// Plans the workflow that `job` calls, once the leg of `job` is known, and adds the jobs to the plan. Returns the
    /// added jobs in file order. `contexts` contains the contexts that the expressions of `job` see: `github`, `vars`,
    /// `inputs`, `needs`, `strategy` and `matrix`.
    ///
    /// # Errors
    /// Errors of matrices and calls, each with its source.
    pub fn add_called(
        &mut self,
        job: &PlannedJob,
        contexts: &Contexts,
    ) -> Result<Vec<PlannedJob>, Vec<(Arc<Source>, Diagnostic)>> {
        let mut planner = Planner::during_run(contexts, &self.called, self.jobs.len());
        planner.add_call(job, contexts);
        let (jobs, errors) = planner.finish();
        if !errors.is_empty() {
            return Err(errors);
        }
        self.jobs.extend(jobs.iter().cloned());
        Ok(jobs)
    }

    /// Returns the workflow that `uses` refers to in the workflow `caller`; `None` if it was not available.
    #[must_use]
    pub fn called(&self, uses: &str, caller: &Workflow) -> Option<&Arc<Workflow>> {
        self.called.get(uses, caller)
    }

    /// Returns the planned workflow.
    #[must_use]
    pub fn workflow(&self) -> &Arc<Workflow> {
        &self.workflow
    }

    /// Returns the jobs in file order. The jobs of a called workflow follow the job that calls it.
    #[must_use]
    pub fn jobs(&self) -> &[PlannedJob] {
        &self.jobs
    }

    /// Restricts the plan to some jobs of the workflow and the jobs that they need. A job is named by its key, which
    /// stands for all its legs, or by its id or name; the case of letters matters only if it distinguishes jobs. A job of
    /// a called workflow stands for the whole call. If `names` is empty, all jobs stay.
    ///
    /// # Errors
    /// The first unknown name.
    pub fn only(mut self, names: &[String]) -> Result<Self, UnknownJob> {
        if names.is_empty() {
            return Ok(self);
        }
        let mut wanted: Vec<JobId> = Vec::new();
        for name in names {
            let known = wanted.len();
            let same: [fn(&str, &str) -> bool; 2] = [|one, other| one == other, is_same_name];
            for is_same in same {
                if wanted.len() == known {
                    let is_meant = |job: &&PlannedJob| job.names().any(|other| is_same(other, name));
                    wanted.extend(self.jobs.iter().filter(is_meant).map(|job| self.outermost(job).id.clone()));
                }
            }
            if wanted.len() == known {
                let own = self.workflow.jobs.iter().map(|job| job.id.value.as_str());
                let names = own.clone().chain(self.jobs.iter().flat_map(PlannedJob::names));
                let hint = suggestion(name, names, "it has", own);
                return Err(UnknownJob { name: name.clone(), hint });
            }
        }
        let mut todo = wanted.clone();
        while let Some(id) = todo.pop() {
            let needs = self.jobs.iter().filter(|job| job.id == id).flat_map(|job| &job.needs);
            let new: Vec<_> = needs.filter(|need| !wanted.contains(need)).cloned().collect();
            wanted.extend(new.iter().cloned());
            todo.extend(new);
        }
        let kept = |job: &PlannedJob| wanted.contains(&self.outermost(job).id);
        self.jobs = self.jobs.iter().filter(|job| kept(job)).cloned().collect();
        Ok(self)
    }

    /// Restricts the plan to the legs whose matrix has these values. A job stays as it is if its matrix has none of the
    /// keys, or is not known yet.
    ///
    /// # Errors
    /// The first value that no leg has.
    pub fn only_legs(mut self, values: &IndexMap<String, String>) -> Result<Self, UnknownLeg> {
        for (key, wanted) in values {
            let value = |job: &PlannedJob| Some(job.leg.as_ref()?.matrix.get(key)?.to_text());
            if !self.jobs.iter().any(|job| value(job).as_ref() == Some(wanted)) {
                let mut known: Vec<_> = self.jobs.iter().filter_map(value).collect();
                known.sort();
                known.dedup();
                return Err(UnknownLeg { key: key.clone(), value: wanted.clone(), known });
            }
            let mut removed: HashSet<JobId> = HashSet::new();
            // The jobs of a called workflow follow the job that calls it.
            self.jobs.retain(|job| {
                let is_other = value(job).is_some_and(|value| value != *wanted);
                let is_removed = is_other || job.caller.as_ref().is_some_and(|caller| removed.contains(caller));
                if is_removed {
                    removed.insert(job.id.clone());
                }
                !is_removed
            });
        }
        Ok(self)
    }

    /// Returns the job of the plan's own workflow that directly or indirectly calls a job; for a job of that workflow,
    /// the job itself.
    fn outermost<'p>(&'p self, job: &'p PlannedJob) -> &'p PlannedJob {
        let caller = job.caller.as_ref().and_then(|caller| self.jobs.iter().find(|job| job.id == *caller));
        caller.map_or(job, |caller| self.outermost(caller))
    }
}

/// Error of [`Plan::only`]: no job has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no job `{name}`{hint}")]
pub struct UnknownJob {
    /// The name as given.
    pub name: String,
    /// The end of the message: the most similar name, or the keys of the workflow's own jobs.
    pub hint: String,
}

impl PlannedJob {
    /// Returns the names that stand for the job.
    fn names(&self) -> impl Iterator<Item = &str> {
        let key = self.caller.is_none().then_some(self.key.as_str());
        [self.id.as_str(), &self.name].into_iter().chain(key)
    }

    /// Returns the index of the leg among all legs of the job; 0 if it is the only one.
    #[must_use]
    pub fn place(&self) -> usize {
        let number = self.id.as_str().rsplit('.').next().and_then(|last| last.parse::<usize>().ok());
        number.map_or(0, |number| number.saturating_sub(1))
    }

    /// Returns the instances of this job for the legs of its matrix, which was not known before. `name` returns the
    /// display name of a leg without its prefix.
    #[must_use]
    pub fn expand(&self, legs: &[Leg], name: impl Fn(usize, &Leg) -> String) -> Vec<Self> {
        let entries = legs.iter().enumerate().map(|(place, leg)| Self {
            id: leg_id(&self.id, place, legs.len()),
            name: format!("{}{}", self.name_prefix, name(place, leg)),
            leg: Some(leg.clone()),
            is_named: true,
            ..self.clone()
        });
        entries.collect()
    }
}

/// Returns the id of a leg: the id of the job for a single leg, otherwise with a number from 1. No job id starts with a
/// digit, so the id of a leg never equals the id of a job in a called workflow.
pub(super) fn leg_id(job: &JobId, place: usize, legs: usize) -> JobId {
    if legs == 1 { job.clone() } else { JobId::new(format!("{job}.{}", place + 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::expr::Value;
    use crate::workflow::parse;

    /// Returns ids and names of the jobs, with `?` for a leg that is not known, or the messages of all errors.
    fn planned(whole: &str, files: &[(&str, &str)], known: &PlanContexts) -> Result<Vec<String>, Vec<String>> {
        let parsed = parse(&Source::new("ci.yml", whole));
        let workflow = parsed.value.unwrap_or_else(|| panic!("{:#?}", parsed.diagnostics));
        let file = |path: &str| {
            files.iter().find(|(name, _)| *name == path).map(|(name, text)| Callee::parse(Source::new(*name, *text)))
        };
        let shown = |job: &PlannedJob| format!("{} {}{}", job.id, job.name, if job.leg.is_none() { " ?" } else { "" });
        match Plan::new(Arc::new(workflow), known, &file) {
            Ok(plan) => Ok(plan.jobs().iter().map(shown).collect()),
            Err(errors) => Err(errors.into_iter().map(|(_, error)| error.message).collect()),
        }
    }

    fn known() -> PlanContexts {
        let github = [("ref".to_owned(), Value::string("r"))].into_iter().collect();
        PlanContexts { github, knows_every_file: true, ..PlanContexts::default() }
    }

    fn errors(called: &str) -> Vec<String> {
        planned("on: push\njobs: {a: {uses: ./w.yml}}\n", &[("w.yml", called)], &known()).err().unwrap_or_default()
    }

    #[test]
    fn workflows_that_call_themselves_are_refused() {
        assert_eq!(errors("on: workflow_call\njobs: {a: {runs-on: x}}\n"), Vec::<String>::new());
        let round = errors("on: workflow_call\njobs: {a: {uses: ./w.yml}}\n");
        assert_eq!(round, ["called workflows form a loop: w.yml → w.yml"]);
        let jobs: Vec<_> = (0..50).map(|job| format!("  j{job}: {{uses: ./w.yml}}\n")).collect();
        let many = errors(&format!("on: workflow_call\njobs:\n{}", jobs.concat()));
        assert!(many.len() <= 100, "at most two errors for each call in the file");
    }

    #[test]
    fn each_position_of_each_file_is_reported_once() {
        let called = "on: workflow_call\njobs: {a: {strategy: {matrix: '${{ github.ref }}'}, runs-on: x}}\n";
        let whole = "on: push\njobs:\n  a: {uses: ./a.yml}\n  b: {uses: ./b.yml}\n  c: {uses: ./b.yml}\n";
        let parsed = parse(&Source::new("ci.yml", whole)).value.expect("a workflow");
        let file = |path: &str| Some(Callee::parse(Source::new(path, called)));
        let errors = Plan::new(Arc::new(parsed), &known(), &file).expect_err("no object");
        let files: Vec<_> = errors.iter().map(|(source, error)| (source.name.as_str(), error.span.line)).collect();
        assert_eq!(files, [("a.yml", 2), ("b.yml", 2)], "{errors:?}");
    }

    #[test]
    fn a_matrix_may_be_made_of_the_inputs_of_a_call_as_far_as_they_are_known() {
        let called = "on: {workflow_call: {inputs: {list: {type: string, required: true}, more: {type: string, default: '[\"${{ github.ref }}\"]'}}}}\n\
                      jobs: {x: {strategy: {matrix: {v: '${{ fromJSON(inputs.list) }}'}}, runs-on: x}, \
                      y: {name: 'y ${{ matrix.v }}', strategy: {matrix: {v: '${{ fromJSON(inputs.more) }}'}}, runs-on: x}}\n";
        let with = |with: &str| {
            let text = format!(
                "on: push\njobs:\n  first: {{runs-on: x}}\n  call: {{needs: first, uses: ./w.yml, with: {{list: '{with}'}}}}\n"
            );
            planned(&text, &[("w.yml", called)], &known()).expect("a plan")[2..].to_vec()
        };
        let y = "call.y call / y r";
        assert_eq!(
            with("[\"${{ github.ref }}\", \"b\"]"),
            ["call.x.1 call / x (r)", "call.x.2 call / x (b)", y],
            "an input that holds an expression"
        );
        assert_eq!(with("[\"${{ needs.first.outputs.o }}\"]"), ["call.x call / x ?", y]);
        let legs = "on: push\njobs: {call: {strategy: {matrix: {l: ['[1]', '[2, 3]']}}, uses: ./w.yml, with: {list: '${{ matrix.l }}'}}}\n";
        let found = planned(legs, &[("w.yml", called)], &known()).expect("a plan");
        assert!(found.contains(&"call.2.x.2 call ([2, 3]) / x (3)".to_owned()), "{found:?}");
        let inner = "on: {workflow_call: {inputs: {list: {type: string}}}}\njobs: {z: {uses: ./w.yml, with: {list: '${{ inputs.list }}'}}}\n";
        let nested = "on: push\njobs: {call: {uses: ./i.yml, with: {list: '[\"${{ github.ref }}\"]'}}}\n";
        let found = planned(nested, &[("w.yml", called), ("i.yml", inner)], &known()).expect("a plan");
        assert!(found.contains(&"call.z.x call / z / x (r)".to_owned()), "{found:?}");
        let dispatched = "on: {workflow_dispatch: {inputs: {l: {}}}}\njobs: {a: {strategy: {matrix: {v: '${{ fromJSON(inputs.l) }}'}}, runs-on: x}}\n";
        let unknown = PlanContexts { unknown_inputs: vec!["L".to_owned()], ..known() };
        assert_eq!(planned(dispatched, &[], &unknown), Ok(vec!["a a ?".to_owned()]));
        let whole = "on: push\njobs: {f: {runs-on: x}, a: {needs: f, strategy: '${{ fromJSON(needs.f.outputs.s) }}', runs-on: x}, \
                     b: {strategy: \"${{ fromJSON('{\\\"matrix\\\": {\\\"v\\\": [1, 2]}}') }}\", runs-on: x}}\n";
        assert_eq!(
            planned(whole, &[], &known()),
            Ok(["f f", "a a ?", "b.1 b (1)", "b.2 b (2)"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn a_job_whose_name_is_blank_has_its_id_as_its_name() {
        let text = "on: push\njobs: {a: {name: '  ', runs-on: x}, b: {name: \"${{ ' ' }}\", runs-on: x}, c: {name: '', runs-on: x}, \
                    d: {name: \"${{ github.none }}\\t\", strategy: {matrix: {v: [1]}}, runs-on: x}}\n";
        let names = ["a a", "b b", "c c", "d d (1)"].map(str::to_owned).to_vec();
        assert_eq!(planned(text, &[], &known()), Ok(names));
    }

    #[test]
    fn a_plan_is_restricted_by_keys_ids_and_names() {
        let whole = "on: push\njobs:\n  lint: {name: Check it, runs-on: x}\n  \
                     test: {needs: lint, strategy: {matrix: {v: [1, 2]}}, runs-on: x}\n  \
                     call: {uses: ./w.yml}\n  pack: {needs: [test, call], runs-on: x}\n";
        let workflow = Arc::new(parse(&Source::new("ci.yml", whole)).value.expect("a workflow"));
        let called = "on: workflow_call\njobs: {lint: {runs-on: x}, inner: {runs-on: x}}\n";
        let file = |path: &str| (path == "w.yml").then(|| Callee::parse(Source::new(path, called)));
        let only = |names: &[&str]| {
            let plan = Plan::new(Arc::clone(&workflow), &known(), &file).expect("a plan");
            let plan = plan.only(&names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
            Ok(plan.jobs().iter().map(|job| job.id.to_string()).collect::<Vec<_>>().join(" "))
        };
        let all = "lint test.1 test.2 call call.lint call.inner pack";
        for (names, expected) in [
            (&[][..], all),
            (&["lint"], "lint"),
            (&["Check it"], "lint"),
            (&["test"], "lint test.1 test.2"),
            (&["test.2"], "lint test.2"),
            (&["test (2)"], "lint test.2"),
            (&["test (2)", "call / inner"], "lint test.2 call call.lint call.inner"),
            (&["call.lint"], "call call.lint call.inner"),
            (&["pack"], all),
        ] {
            assert_eq!(only(names).as_deref(), Ok(expected), "{names:?}");
        }
        let error: Result<_, UnknownJob> = only(&["lint", "inner"]);
        assert_eq!(error.expect_err("unknown").to_string(), "no job `inner`; it has lint, test, call, pack");
    }

    #[test]
    fn a_plan_is_restricted_to_legs_by_values_of_their_matrices() {
        let whole = "on: push\njobs:\n  lint: {runs-on: x}\n  \
                     test: {needs: lint, strategy: {matrix: {os: [a, b], v: [1, 2]}}, runs-on: x}\n  \
                     call: {strategy: {matrix: {os: [a, b]}}, uses: ./w.yml}\n";
        let workflow = Arc::new(parse(&Source::new("ci.yml", whole)).value.expect("a workflow"));
        let called = "on: workflow_call\njobs: {inner: {runs-on: x}}\n";
        let file = |path: &str| (path == "w.yml").then(|| Callee::parse(Source::new(path, called)));
        let only = |values: &[(&str, &str)]| {
            let plan = Plan::new(Arc::clone(&workflow), &known(), &file).expect("a plan");
            let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let plan = plan.only_legs(&values.collect())?;
            Ok::<_, UnknownLeg>(plan.jobs().iter().map(|job| job.id.to_string()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(only(&[("os", "b")]).as_deref(), Ok("lint test.3 test.4 call.2 call.2.inner"));
        assert_eq!(only(&[("os", "a"), ("v", "2")]).as_deref(), Ok("lint test.2 call.1 call.1.inner"));
        let error = only(&[("v", "3")]).expect_err("no such leg").to_string();
        assert!(error.starts_with("no job with `3` as the value of `v` in its matrix; the values are 1, 2"), "{error}");
        let error = only(&[("none", "3")]).expect_err("no such key").to_string();
        assert!(error.ends_with("no matrix has this key"), "{error}");
    }

    #[test]
    fn a_missing_called_workflow_is_an_error_where_every_file_is_known() {
        for uses in ["./none.yml", "$/none.yml"] {
            let text = format!(
                "on: push\njobs: {{f: {{runs-on: x}}, a: {{needs: f, strategy: {{matrix: '${{{{ fromJSON(needs.f.outputs.m) }}}}'}}, uses: {uses}}}}}\n"
            );
            let message = format!("workflow `{uses}` not found");
            assert_eq!(planned(&text, &[], &known()), Err(vec![message]));
            assert!(planned(&text, &[], &PlanContexts::default()).is_ok());
        }
        let remote = "on: push\njobs: {a: {uses: o/r/.github/workflows/w.yml@v1}}\n";
        assert_eq!(planned(remote, &[], &known()), Ok(vec!["a a".to_owned()]));
    }

    #[test]
    fn a_call_whose_legs_were_not_known_gets_its_jobs_when_they_are() {
        let whole = "on: push\njobs: {f: {runs-on: x}, call: {needs: f, strategy: {matrix: {e: '${{ fromJSON(needs.f.outputs.l) }}'}}, \
                     uses: $/w.yml, with: {list: '[\"${{ matrix.e }}\", 1]'}}}\n";
        let called = "on: {workflow_call: {inputs: {list: {type: string}}}}\n\
                      jobs: {x: {strategy: {matrix: {v: '${{ fromJSON(inputs.list) }}'}}, runs-on: x}, y: {needs: x, runs-on: x}}\n";
        let workflow = parse(&Source::new("ci.yml", whole)).value.expect("a workflow");
        let file = |path: &str| (path == "w.yml").then(|| Callee::parse(Source::new(path, called)));
        let mut plan = Plan::new(Arc::new(workflow), &known(), &file).expect("a plan");
        let placeholder = plan.jobs()[1].clone();
        assert!(placeholder.leg.is_none());
        let leg = |value: &str| Leg {
            matrix: Value::object([("e".to_owned(), Value::string(value))].into_iter().collect()),
            suffix: format!(" ({value})"),
        };
        let legs = placeholder.expand(&[leg("one"), leg("two")], |_, leg| format!("call{}", leg.suffix));
        let mut contexts = Contexts::default();
        contexts.set("matrix", legs[1].leg.as_ref().expect("a leg").matrix.clone());
        let jobs = plan.add_called(&legs[1], &contexts).expect("planned");
        let shown: Vec<_> = jobs.iter().map(|job| format!("{} {}", job.id, job.name)).collect();
        assert_eq!(
            shown,
            ["call.2.x.1 call (two) / x (two)", "call.2.x.2 call (two) / x (1)", "call.2.y call (two) / y"]
        );
        assert_eq!(jobs[2].needs.len(), 2);
        assert_eq!(plan.jobs().iter().filter(|job| job.caller.as_ref() == Some(&legs[1].id)).count(), 3);
    }
}
