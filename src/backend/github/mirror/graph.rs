//! The graph of a remote run: its jobs and their needs, from the workflow files at the run's commit and the server's
//! list of jobs.
//!
//! Servers list jobs without their needs, and GitHub hides a job until its needs have ended. So the jobs and needs come
//! from the workflow files, and listed jobs are matched to them by name. Jobs with the same name are matched in order.
//! A listed job that matches no job of the files, or the name patterns of several jobs equally well, is laid out
//! separately, without needs. A note reports the number of such jobs, or why the files cannot be used.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::backend::github::wire;
use crate::backend::github::wire::words::Ending;
use crate::model::{JobId, JobOutline, Run};
use crate::store::digest::sha256;
use crate::workflow::expr::{Object, Value};
use crate::workflow::inputs::BY_HAND;
use crate::workflow::parse_partial;
use crate::workflow::plan::{Callee, Plan, PlanContexts};
use crate::workflow::source::Source;
use crate::workflow::syntax::Workflow;

use super::scope::{Called, Listed, Node, Scope};

/// The texts of a run's workflow files at its commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowFiles {
    /// Path of the workflow file.
    pub path: String,
    /// Text of the workflow file.
    pub text: String,
    /// Texts of the workflows of the same repository that it calls, directly or indirectly, by path.
    pub called: IndexMap<String, String>,
}

/// Returns the paths of the workflows of the same repository that a workflow file calls. Empty if the text cannot be
/// parsed.
#[must_use]
pub fn calls(path: &str, text: &str) -> Vec<String> {
    parse_partial(&Source::new(path, text)).0.map(|workflow| workflow.local_calls()).unwrap_or_default()
}

/// The jobs of a run, as defined in its workflow file.
#[derive(Debug)]
pub struct Graph {
    root: Scope,
    called: Called,
    /// Why the jobs of the file are not known; `None` if they are.
    fault: Option<String>,
}

/// The jobs of a run, from the workflow file and from the server's list.
#[derive(Debug, Default)]
pub struct Layout {
    /// All jobs, in the order of the file; jobs that are not in the file come last.
    pub jobs: Vec<JobOutline>,
    /// The jobs that each listed job represents, by its id: one job, or all legs of a job that was skipped as a whole.
    pub listed: HashMap<u64, Vec<JobId>>,
    /// Legs of matrices that the file alone does not determine, by the id of the job that stands for the whole matrix
    /// until its legs are listed.
    pub legs: IndexMap<JobId, Vec<JobId>>,
    /// Remarks for the user, one line each: why the file cannot be used, or how many jobs are not in it.
    pub notes: Vec<String>,
}

impl Graph {
    /// Plans the jobs of a run from its workflow files. The graph is empty if there is no file, or if it cannot be
    /// parsed or planned. Errors in a file are ignored as long as its jobs can be read, because the server did start
    /// the run.
    #[must_use]
    pub fn new(run: &wire::runs::Run, files: Option<&WorkflowFiles>) -> Self {
        let empty = |fault: String| Self { root: Scope::default(), called: Called::default(), fault: Some(fault) };
        let Some(files) = files else { return empty("the workflow file is not known".to_owned()) };
        let Some(workflow) = parse_partial(&Source::new(&*files.path, &*files.text)).0.map(Arc::new) else {
            return empty(format!("{} cannot be read", files.path));
        };
        let callee = |path: &str| {
            let source = Source::new(path, &**files.called.get(path)?);
            let workflow = parse_partial(&source).0.map(Arc::new);
            Some(Callee { source, workflow, errors: Vec::new(), absent: None })
        };
        match Plan::new(Arc::clone(&workflow), &contexts(run, &workflow), &callee) {
            Ok(plan) => Self { root: Scope::of_plan(&plan, None), called: Called::of(&plan), fault: None },
            Err(errors) => {
                let first = errors.first().map(|(_, error)| error.message.clone()).unwrap_or_default();
                empty(format!("{} cannot be planned: {first}", files.path))
            }
        }
    }

    /// Lays out the jobs of one attempt. `known` is the run with its previous layout, whose jobs keep their ids.
    #[must_use]
    pub fn lay_out(&self, listed: &[wire::runs::Job], known: &Run) -> Layout {
        let mut root = self.root.clone();
        let mut layout = Layout::default();
        // Jobs that were matched before are matched again in the same order, so that they get the same ids.
        for job in known.jobs.values().filter(|job| job.remote.is_some()) {
            root.find(&job.name, Listed { id: None, is_skipped: false }, &self.called);
        }
        root.free();
        let mut jobs: Vec<_> = listed.iter().filter_map(|job| Some((job.id?, job))).collect();
        jobs.sort_unstable_by_key(|(id, job)| (job.created_at, *id));
        let mut apart = Apart::default();
        for (id, job) in jobs {
            let name = job.name.as_deref().unwrap_or_default();
            let is_skipped = job.conclusion == Some(Ending::Skipped);
            let found = root.find(name, Listed { id: Some(id), is_skipped }, &self.called);
            layout.listed.insert(id, found.unwrap_or_else(|| vec![apart.add(name, id)]));
        }
        let mut nodes = Vec::new();
        root.collect(&mut nodes);
        layout.legs = legs(&nodes);
        layout.jobs = outlines(&nodes, &layout.legs);
        let count = apart.jobs.len();
        layout.jobs.extend(apart.jobs);
        layout
            .notes
            .extend(self.fault.iter().map(|fault| format!("{fault}: jobs are shown in the order of their start")));
        if self.fault.is_none() && count > 0 {
            let jobs = if count == 1 { "1 job is".to_owned() } else { format!("{count} jobs are") };
            layout.notes.push(format!("{jobs} not in the workflow file and therefore shown separately"));
        }
        layout
    }
}

/// Jobs that are not in the file.
#[derive(Default)]
struct Apart {
    jobs: Vec<JobOutline>,
}

impl Apart {
    /// Adds a job. Its id depends on its name, so that the same job of another attempt has the same id.
    fn add(&mut self, name: &str, remote: u64) -> JobId {
        let base = id_of(name);
        let same = self.jobs.iter().filter(|job| job.key == base).count();
        let id = JobId::new(if same == 0 { base.clone() } else { format!("{base}.{}", same + 1) });
        self.jobs.push(JobOutline {
            id: id.clone(),
            key: base,
            name: name.to_owned(),
            needs: Vec::new(),
            environment: None,
            caller: None,
            remote: Some(remote),
        });
        id
    }
}

/// Maximum length of the readable part of an id that is made of a name, in characters.
const LONGEST_SLUG: usize = 40;

/// Returns an id derived from a name with arbitrary characters. It ends in a digest, so that it differs from the ids of
/// the jobs of a file.
pub(super) fn id_of(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = name.chars().take(LONGEST_SLUG).map(plain).collect();
    let slug = slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    let slug = if slug.starts_with(|c: char| c.is_ascii_alphabetic()) { slug } else { format!("job-{slug}") };
    format!("{}-{}", slug.trim_end_matches('-'), sha256(name, 3))
}

/// Returns the legs of each job whose legs are not known from the file alone.
fn legs(nodes: &[&Node]) -> IndexMap<JobId, Vec<JobId>> {
    let mut legs: IndexMap<JobId, Vec<JobId>> = IndexMap::new();
    for node in nodes {
        if let Some(entry) = &node.leg_of {
            legs.entry(entry.clone()).or_default().push(node.id.clone());
        }
    }
    legs
}

/// Returns the outlines of the jobs. Jobs whose legs are known are replaced by the legs.
fn outlines(nodes: &[&Node], legs: &IndexMap<JobId, Vec<JobId>>) -> Vec<JobOutline> {
    let shown = nodes.iter().filter(|node| !legs.contains_key(&node.id));
    let outline = |node: &&Node| {
        let needs = node.needs.iter().flat_map(|need| match legs.get(need) {
            Some(legs) => legs.clone(),
            None => vec![need.clone()],
        });
        JobOutline {
            id: node.id.clone(),
            key: node.key.clone(),
            name: node.full_name.clone(),
            needs: needs.collect(),
            environment: node.environment.clone(),
            caller: node.caller.clone(),
            remote: node.remote,
        }
    };
    shown.map(outline).collect()
}

/// Returns the parts of the contexts that the server reports. The API returns neither the inputs of a dispatch nor the
/// variables of a run.
fn contexts(run: &wire::runs::Run, workflow: &Workflow) -> PlanContexts {
    let user = |user: &Option<wire::repository::User>| user.as_ref().and_then(|user| user.login.clone());
    let repository = run.repository.as_ref().and_then(|repository| repository.full_name.clone());
    let owner = repository.as_ref().and_then(|name| name.split_once('/')).map(|(owner, _)| owner.to_owned());
    let event = run.event.clone();
    let is_of_ref = event.as_deref().is_some_and(|event| !event.starts_with("pull_request"));
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let known = [
        ("event_name", event.clone()),
        ("sha", run.head_sha.clone().filter(|_| is_of_ref)),
        ("ref_name", run.head_branch.clone().filter(|_| is_of_ref)),
        ("repository", repository),
        ("repository_owner", owner),
        ("actor", user(&run.actor)),
        ("triggering_actor", user(&run.triggering_actor)),
        ("workflow", run.name.clone()),
        ("run_id", number(run.id)),
        ("run_number", number(run.run_number)),
        ("run_attempt", run.run_attempt.map(|attempt| attempt.to_string())),
    ];
    let github: Object =
        known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::string(value?)))).collect();
    let dispatch = workflow.triggers.iter().find(|trigger| trigger.event.value == BY_HAND);
    let inputs = dispatch.filter(|_| event.as_deref() == Some(BY_HAND)).into_iter();
    let unknown_inputs = inputs.flat_map(|trigger| &trigger.inputs).map(|input| input.name.value.clone()).collect();
    PlanContexts { github, unknown_inputs, is_partial: true, ..PlanContexts::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{RunId, Timestamp, testing};
    use crate::store::runs::RunStore;

    fn run(event: &str) -> wire::runs::Run {
        let value = json!({"id": 1, "event": event, "path": "ci.yml", "head_branch": "main", "run_attempt": 1});
        serde_json::from_value(value).expect("a run")
    }

    fn nothing() -> Run {
        let mut store = RunStore::default();
        store.open(testing::info(RunId::new("r"), Timestamp(0)));
        store.run(&RunId::new("r")).expect("open").clone()
    }

    fn job(id: u64, name: &str, conclusion: Option<&str>) -> wire::runs::Job {
        let status = if conclusion.is_some() { "completed" } else { "queued" };
        serde_json::from_value(json!({"id": id, "name": name, "status": status, "conclusion": conclusion}))
            .expect("a job")
    }

    /// Lays out listed jobs. Returns id, name, needs and listed job of each job, and the notes.
    fn laid_out(jobs: &str, called: &[(&str, &str)], listed: &[(u64, &str)]) -> (Vec<String>, Vec<String>) {
        let called = called.iter().map(|(path, jobs)| {
            ((*path).to_owned(), format!("on: {{workflow_call: {{inputs: {{v: {{type: string}}}}}}}}\njobs:\n{jobs}"))
        });
        let text = format!("on: {{workflow_dispatch: {{inputs: {{to: {{type: string}}}}}}}}\njobs:\n{jobs}");
        let files = WorkflowFiles { path: "ci.yml".to_owned(), text, called: called.collect() };
        let graph = Graph::new(&run("workflow_dispatch"), Some(&files));
        let listed: Vec<_> = listed.iter().map(|(id, name)| job(*id, name, None)).collect();
        let layout = graph.lay_out(&listed, &nothing());
        let needs = |job: &JobOutline| job.needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let remote = |job: &JobOutline| job.remote.map(|id| id.to_string()).unwrap_or_default();
        let line = |job: &JobOutline| format!("{} | {} | {} | {}", job.id, job.name, needs(job), remote(job));
        (layout.jobs.iter().map(line).collect(), layout.notes)
    }

    #[test]
    fn jobs_are_found_by_name_key_and_leg_and_hidden_ones_come_from_the_file() {
        let jobs = "  lint: {name: Lint it, runs-on: x}\n\
                    \x20 test: {needs: lint, strategy: {matrix: {os: [a, b], n: [1]}}, runs-on: x}\n\
                    \x20 push: {needs: test, name: 'Push to ${{ matrix.to }}', strategy: {matrix: {to: [hub]}}, runs-on: x}\n";
        let (jobs, notes) = laid_out(jobs, &[], &[(7, "test (b, 1)"), (5, "Lint it"), (6, "test (a, 1)")]);
        assert_eq!(
            jobs,
            [
                "lint | Lint it |  | 5",
                "test.1 | test (a, 1) | lint | 6",
                "test.2 | test (b, 1) | lint | 7",
                "push | Push to hub | test.1 test.2 | "
            ]
        );
        assert_eq!(notes, Vec::<String>::new());
    }

    #[test]
    fn legs_that_the_file_does_not_give_take_the_place_of_their_job() {
        let jobs = "  list: {runs-on: x}\n\
                    \x20 test: {needs: list, strategy: {matrix: '${{ fromJSON(needs.list.outputs.m) }}'}, runs-on: x}\n\
                    \x20 last: {needs: test, runs-on: x}\n";
        let expected = ["list | list |  | 1", "test | test | list | ", "last | last | test | "];
        assert_eq!(laid_out(jobs, &[], &[(1, "list")]).0, expected);
        let expected = [
            "list | list |  | 1",
            "test.1 | test (a) | list | 2",
            "test.2 | test (b) | list | 3",
            "last | last | test.1 test.2 | ",
        ];
        assert_eq!(laid_out(jobs, &[], &[(3, "test (b)"), (1, "list"), (2, "test (a)")]).0, expected);
    }

    #[test]
    fn names_with_unknown_values_are_found_by_what_is_known_of_them() {
        let jobs = "  a: {name: 'Deploy to ${{ inputs.to }}', runs-on: x}\n\
                    \x20 b: {name: 'Deploy ${{ vars.WHAT }} at once', needs: a, runs-on: x}\n";
        let (jobs, notes) = laid_out(jobs, &[], &[(1, "Deploy to production"), (2, "Deploy it at once")]);
        assert_eq!(jobs, ["a | Deploy to production |  | 1", "b | Deploy it at once | a | 2"]);
        assert_eq!(notes, Vec::<String>::new());
    }

    #[test]
    fn a_name_that_fits_two_jobs_or_none_is_not_guessed() {
        let jobs = "  a: {name: '${{ inputs.to }}', runs-on: x}\n  b: {name: '${{ vars.B }}', needs: a, runs-on: x}\n";
        let (jobs, notes) = laid_out(jobs, &[], &[(1, "production")]);
        assert_eq!(jobs.len(), 3);
        assert!(jobs[2].starts_with("production-") && jobs[2].ends_with(" | production |  | 1"), "{jobs:?}");
        assert_eq!(notes, ["1 job is not in the workflow file and therefore shown separately"]);
    }

    #[test]
    fn jobs_of_called_workflows_are_found_below_their_callers() {
        let inner = ("inner.yml", "  x: {runs-on: x}\n  y: {needs: x, name: Why, runs-on: x}\n");
        let outer = ("outer.yml", "  again: {uses: ./inner.yml}\n");
        let jobs = "  call: {name: Call, uses: ./outer.yml}\n\
                    \x20 each: {needs: call, strategy: {matrix: {v: [1, 2]}}, uses: ./inner.yml}\n\
                    \x20 last: {needs: each, runs-on: x}\n";
        let (jobs, notes) =
            laid_out(jobs, &[inner, outer], &[(1, "Call / again / x"), (2, "each (2) / Why"), (3, "each (1) / x")]);
        assert_eq!(
            jobs,
            [
                "call | Call |  | ",
                "call.again | Call / again |  | ",
                "call.again.x | Call / again / x |  | 1",
                "call.again.y | Call / again / Why | call.again.x | ",
                "each.1 | each (1) | call | ",
                "each.1.x | each (1) / x |  | 3",
                "each.1.y | each (1) / Why | each.1.x | ",
                "each.2 | each (2) | call | ",
                "each.2.x | each (2) / x |  | ",
                "each.2.y | each (2) / Why | each.2.x | 2",
                "last | last | each.1 each.2 | "
            ]
        );
        assert_eq!(notes, Vec::<String>::new());
    }

    #[test]
    fn callers_with_unknown_legs_and_foreign_files_get_the_jobs_that_are_listed() {
        let inner = ("inner.yml", "  x: {runs-on: x}\n  y: {needs: x, runs-on: x}\n");
        let jobs = "  list: {runs-on: x}\n\
                    \x20 each: {needs: list, strategy: {matrix: '${{ fromJSON(needs.list.outputs.m) }}'}, uses: ./inner.yml}\n\
                    \x20 far: {uses: o/r/.github/workflows/w.yml@v1}\n";
        let (jobs, _) = laid_out(jobs, &[inner], &[(1, "each (a) / x"), (2, "each (b) / y"), (3, "far / build it")]);
        assert_eq!(
            jobs[..7],
            [
                "list | list |  | ",
                "each.1 | each (a) | list | ",
                "each.1.x | each (a) / x |  | 1",
                "each.1.y | each (a) / y | each.1.x | ",
                "each.2 | each (b) | list | ",
                "each.2.x | each (b) / x |  | ",
                "each.2.y | each (b) / y | each.2.x | 2"
            ]
        );
        assert_eq!(jobs[7], "far | far |  | ");
        assert!(jobs[8].starts_with("far.build-it-") && jobs[8].ends_with(" | far / build it |  | 3"), "{jobs:?}");
    }

    #[test]
    fn a_matrix_that_was_skipped_as_one_stands_for_all_its_legs() {
        let jobs = "  test: {name: 'T ${{ matrix.n }}', strategy: {matrix: {n: [1, 2]}}, runs-on: x}\n";
        let files = WorkflowFiles {
            path: "ci.yml".to_owned(),
            text: format!("on: push\njobs:\n{jobs}"),
            ..WorkflowFiles::default()
        };
        let graph = Graph::new(&run("push"), Some(&files));
        let layout = graph.lay_out(&[job(1, "T ${{ matrix.n }}", Some("skipped"))], &nothing());
        assert_eq!(layout.listed[&1], [JobId::new("test.1"), JobId::new("test.2")]);
        assert_eq!(layout.jobs.len(), 2);
    }

    #[test]
    fn without_a_readable_file_jobs_are_laid_out_in_their_order_and_a_note_says_so() {
        for files in
            [None, Some(WorkflowFiles { path: "ci.yml".to_owned(), text: "on: [".to_owned(), ..Default::default() })]
        {
            let graph = Graph::new(&run("push"), files.as_ref());
            let layout =
                graph.lay_out(&[job(2, "b/../c", None), job(1, "b/../c", None), job(3, "\u{1b}[2J", None)], &nothing());
            let ids: Vec<_> = layout.jobs.iter().map(|job| job.id.as_str()).collect();
            assert_eq!(ids.len(), 3);
            assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))));
            assert_eq!(format!("{}.2", ids[0]), ids[1]);
            assert!(layout.notes[0].ends_with(": jobs are shown in the order of their start"), "{:?}", layout.notes);
        }
    }
}
