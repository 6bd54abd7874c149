//! Values that complete a command line: runs, workflows, events, inputs, jobs, steps, environments, services and words.
//!
//! Everything is read from files of this machine, and what cannot be read has no values: a shell asks while the user
//! types, so nothing here waits for a server or prints an error.

use std::path::{Path, PathBuf};

use indexmap::IndexSet;

use crate::config::SANDBOXES;
use crate::model::capabilities::{Capabilities, Operation};
use crate::model::{Conclusion, Job, Run, Summary};
use crate::repo::workflows;
use crate::store::folder::locate;
use crate::store::history;
use crate::store::history::{Filter, StatusFilter};
use crate::workflow;
use crate::workflow::inputs;
use crate::workflow::inputs::BY_HAND;
use crate::workflow::lint::RULES;
use crate::workflow::schema::events::NAMES;
use crate::workflow::source::Source;
use crate::workflow::syntax::{InputKind, JobBody, Workflow};

use super::deploy::Deployments;

/// Maximum number of runs: more are not read by a person who chooses one.
const MAX_RUNS: usize = 30;

/// Maximum number of runs that are searched for those that a command is possible for.
const MAX_SEARCHED: usize = 300;

/// A value, and what a person needs to know to choose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The value.
    pub value: String,
    /// Its description; may be empty.
    pub about: String,
}

impl Candidate {
    fn new(value: impl Into<String>, about: impl Into<String>) -> Self {
        Self { value: value.into(), about: about.into() }
    }
}

/// Returns the newest runs of the repository around a folder, or of this machine outside of repositories: those for which
/// one of the operations is possible, as far as this machine knows. Without operations, all of them.
#[must_use]
pub fn runs(folder: &Path, operations: &[Operation]) -> Vec<Candidate> {
    let candidate = |run: &Summary| {
        let (info, name) = (&run.info, &run.name);
        Candidate::new(info.id.as_str(), format!("{name}, {} {}, {}", info.event, info.branch(), run.phase.word()))
    };
    newest(folder, operations).iter().map(candidate).collect()
}

/// Returns the newest runs as [`runs`] does, and the word for the newest of them, if there is one.
#[must_use]
pub fn runs_and_latest(folder: &Path, operations: &[Operation]) -> Vec<Candidate> {
    let mut found = runs(folder, operations);
    if !found.is_empty() {
        found.push(Candidate::new(super::LATEST, "the newest run"));
    }
    found
}

/// Returns the branches and tags of the newest runs.
#[must_use]
pub fn branches(folder: &Path) -> Vec<Candidate> {
    let runs = newest(folder, &[]);
    let names: IndexSet<&str> = runs.iter().map(|run| run.info.branch()).filter(|name| !name.is_empty()).collect();
    names.into_iter().map(|name| Candidate::new(name, "")).collect()
}

/// Returns the places where jobs without a container may run. An image follows a name that ends with `:`.
#[must_use]
pub fn sandboxes() -> Vec<Candidate> {
    let forms = SANDBOXES.iter().flat_map(|(name, takes_image)| {
        [Some((*name).to_owned()), takes_image.then(|| format!("{name}:"))].into_iter().flatten()
    });
    forms.map(|form| Candidate::new(form, "")).collect()
}

/// Returns the jobs of a workflow that have steps, each as `JOB/`; and the steps of the job that `begun` names as
/// `JOB/STEP`. A step is named by its id, or by its name if it has no id.
#[must_use]
pub fn breakpoints(folder: &Path, wanted: Option<&str>, begun: &str) -> Vec<Candidate> {
    let parsed = parsed(folder, wanted);
    let jobs = parsed.iter().flat_map(|workflow| &workflow.jobs).filter_map(|job| match &job.body {
        JobBody::Steps(steps) => Some((job.id.value.as_str(), steps)),
        JobBody::Call { .. } => None,
    });
    let Some((wanted, _)) = begun.split_once('/') else {
        return jobs.map(|(job, _)| Candidate::new(format!("{job}/"), "")).collect();
    };
    let steps = jobs.filter(|(job, _)| *job == wanted).flat_map(|(job, body)| {
        body.steps.iter().filter_map(move |step| {
            let name = step.name.as_ref().and_then(|name| name.literal());
            let id = (!step.has_generated_id()).then_some(step.id.as_str());
            Some(Candidate::new(format!("{job}/{}", id.or(name)?), name.unwrap_or_default()))
        })
    });
    steps.collect()
}

/// Returns the newest runs for which one of the operations is possible. Without operations, all of them.
fn newest(folder: &Path, operations: &[Operation]) -> Vec<Summary> {
    let Ok(runs) = locate() else { return Vec::new() };
    let filter = Filter { repository: super::home(folder), ..Filter::default() };
    let most = if operations.is_empty() { MAX_RUNS } else { MAX_SEARCHED };
    let Ok(page) = history::page(&runs, &filter, None, most) else { return Vec::new() };
    let is_offered = |run: &Summary| operations.is_empty() || operations.iter().any(|one| is_possible(run, *one));
    page.runs.into_iter().filter(is_offered).take(MAX_RUNS).collect()
}

/// Whether an operation on a run may be possible.
fn is_possible(run: &Summary, operation: Operation) -> bool {
    use Operation::{Rerun, RerunFailed, RerunJob, RerunStep, Shell};
    let is_here = run.info.server().is_none();
    match operation {
        // What the server of a run offers is not known here, and the state of the jobs neither.
        Shell => !run.info.is_deployment() && run.phase.conclusion().is_none_or(Conclusion::is_bad),
        // A run of this machine runs again after its current attempt.
        Rerun | RerunFailed | RerunJob | RerunStep if is_here && !run.phase.is_done() => !run.info.is_deployment(),
        _ => Capabilities::of_run(run).check(operation).is_ok(),
    }
}

/// Returns the workflows of the repository around a folder.
#[must_use]
pub fn workflows(folder: &Path) -> Vec<Candidate> {
    let candidate = |path: &PathBuf| {
        let about = workflows::name(path).unwrap_or_default();
        Candidate::new(path.file_stem()?.to_string_lossy(), about).into()
    };
    workflows::root_of(folder).map(workflows::list).unwrap_or_default().iter().filter_map(candidate).collect()
}

/// Returns the jobs of a workflow, or of all workflows of the repository around a folder.
#[must_use]
pub fn jobs_of_workflow(folder: &Path, wanted: Option<&str>) -> Vec<Candidate> {
    let parsed = parsed(folder, wanted);
    let jobs = parsed.iter().flat_map(|workflow| {
        let about = workflow.name.as_ref().map_or("", |name| name.value.as_str());
        workflow.jobs.iter().map(move |job| Candidate::new(job.id.value.as_str(), about))
    });
    jobs.collect()
}

/// Returns the events of a workflow, or of all workflows of the repository around a folder; all of GitHub's if there are
/// no workflows.
#[must_use]
pub fn events(folder: &Path, wanted: Option<&str>) -> Vec<Candidate> {
    let parsed = parsed(folder, wanted);
    let triggers = parsed.iter().flat_map(|workflow| &workflow.triggers);
    let own: IndexSet<&str> = triggers.map(|trigger| trigger.event.value.as_str()).collect();
    if own.is_empty() {
        return NAMES.iter().map(|event| Candidate::new(*event, "")).collect();
    }
    own.into_iter().map(|event| Candidate::new(event, "")).collect()
}

/// Returns the inputs of a workflow, or of all workflows of the repository around a folder, as `NAME=VALUE` for each
/// value that is known, else as `NAME=`.
#[must_use]
pub fn inputs(folder: &Path, wanted: Option<&str>) -> Vec<Candidate> {
    let parsed = parsed(folder, wanted);
    let declared = parsed.iter().flat_map(|workflow| inputs::declared(workflow, BY_HAND));
    let candidates = declared.flat_map(|input| {
        let values = match &input.kind {
            InputKind::Choice(choices) => choices.clone(),
            InputKind::Boolean => vec!["true".to_owned(), "false".to_owned()],
            InputKind::Environment => environments(folder).into_iter().map(|one| one.value).collect(),
            InputKind::String | InputKind::Number => Vec::new(),
        };
        let values = if values.is_empty() { vec![String::new()] } else { values };
        let about = input.description.clone().unwrap_or_default();
        values.into_iter().map(move |value| Candidate::new(format!("{}={value}", input.name.value), about.clone()))
    });
    candidates.collect()
}

/// Returns the words for the state of a run.
#[must_use]
pub fn statuses() -> Vec<Candidate> {
    StatusFilter::words().map(|word| Candidate::new(word, "")).collect()
}

/// Returns the rules of `lint`.
#[must_use]
pub fn rules() -> Vec<Candidate> {
    RULES.iter().map(|rule| Candidate::new(rule.name, rule.summary)).collect()
}

/// Returns the jobs of a run that is named as on the command line; `None` for the newest run.
#[must_use]
pub fn jobs_of_run(folder: &Path, wanted: Option<&str>) -> Vec<Candidate> {
    let Some(run) = run(folder, wanted) else { return Vec::new() };
    let about = |job: &Job| format!("{}, {}", job.name, job.phase.word());
    run.jobs.values().map(|job| Candidate::new(job.id.as_str(), about(job))).collect()
}

/// Returns the steps of a job of a run, by number; without a job those of the first that failed, else of the first.
#[must_use]
pub fn steps(folder: &Path, wanted: Option<&str>, job: Option<&str>) -> Vec<Candidate> {
    let Some(run) = run(folder, wanted) else { return Vec::new() };
    let mut jobs = run.jobs.values();
    let job = match job {
        Some(wanted) => jobs.find(|job| job.is_named(wanted)),
        None => jobs.clone().find(|job| job.has_failed()).or_else(|| jobs.next()),
    };
    let steps = job.into_iter().flat_map(|job| &job.steps);
    steps.map(|step| Candidate::new(step.number.to_string(), &step.name)).collect()
}

/// Returns the services of the jobs of a run.
#[must_use]
pub fn services(folder: &Path, wanted: Option<&str>) -> Vec<Candidate> {
    let Some(run) = run(folder, wanted) else { return Vec::new() };
    let services = run.jobs.values().flat_map(|job| job.services.values().map(move |service| (job, service)));
    services.map(|(job, service)| Candidate::new(&service.name, format!("{}, {}", service.image, job.name))).collect()
}

/// Returns the environments of this machine for the repository around a folder.
#[must_use]
pub fn environments(folder: &Path) -> Vec<Candidate> {
    let Ok(runs) = locate() else { return Vec::new() };
    let Ok(deployments) = Deployments::of(&runs, folder) else { return Vec::new() };
    let Ok(settings) = deployments.all_settings() else { return Vec::new() };
    settings.keys().map(|name| Candidate::new(name, "")).collect()
}

/// Returns a workflow, or all workflows of the repository around a folder, without those that have errors.
fn parsed(folder: &Path, wanted: Option<&str>) -> Vec<Workflow> {
    let Some(root) = workflows::root_of(folder) else { return Vec::new() };
    let files = match wanted {
        Some(_) => workflows::find(wanted, folder, root).into_iter().collect(),
        None => workflows::list(root),
    };
    let parsed = |path: &PathBuf| workflow::parse(&Source::new("", workflows::read(path).ok()?)).value;
    files.iter().filter_map(parsed).collect()
}

fn run(folder: &Path, wanted: Option<&str>) -> Option<Run> {
    let found = super::find(&locate().ok()?, wanted.unwrap_or(super::LATEST), Some(folder)).ok()?;
    history::read(&found).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::model::testing::{info, summary};
    use crate::model::{Phase, RunId, Timestamp};

    #[test]
    fn a_command_is_offered_runs_that_it_is_possible_for() {
        use Operation::{Cancel, Delete, Held, Hold, Rerun, RerunFailed, Resume, Shell};
        let run = |phase: Phase| summary(info(RunId::new("20261124-000000-0001"), Timestamp(0)), "CI", phase);
        let all = [Cancel, Hold, Held, Shell, Rerun, RerunFailed, Delete, Resume];
        for (phase, possible) in [
            (Phase::Running, &[Cancel, Hold, Shell, Rerun, RerunFailed][..]),
            (Phase::Done(Conclusion::Failure), &[Shell, Rerun, RerunFailed, Delete]),
            (Phase::Done(Conclusion::Success), &[Rerun, Delete]),
        ] {
            let run = run(phase);
            let found: Vec<Operation> = all.into_iter().filter(|one| is_possible(&run, *one)).collect();
            assert_eq!(found, possible, "{:?}", run.phase);
        }
    }

    #[test]
    fn events_and_inputs_are_those_of_the_workflow() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let write = |name: &str, on: &str| {
            let folder = root.join(workflows::FOLDER);
            fs::create_dir_all(&folder).expect("made");
            let text = format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n");
            fs::write(folder.join(name), text).expect("written");
        };
        let values = |found: Vec<Candidate>| found.into_iter().map(|one| one.value).collect::<Vec<_>>();
        assert!(values(events(root, None)).contains(&"gollum".to_owned()), "all of them without a workflow");
        write("ci.yml", "[push, pull_request]");
        let given = "{target: {type: choice, options: [dev, prod], description: Where}, loud: {type: boolean}, \
                     note: {type: string}}";
        write("deploy.yml", &format!("{{push: , workflow_dispatch: {{inputs: {given}}}}}"));
        assert_eq!(values(events(root, Some("ci"))), ["push", "pull_request"]);
        assert_eq!(values(events(root, None)), ["push", "pull_request", "workflow_dispatch"]);
        let all = ["target=dev", "target=prod", "loud=true", "loud=false", "note="];
        assert_eq!(values(inputs(root, Some("deploy"))), all);
        assert_eq!(values(inputs(root, None)), all);
        assert_eq!(inputs(root, Some("deploy"))[0].about, "Where");
        assert!(inputs(root, Some("ci")).is_empty());
    }

    #[test]
    fn breakpoints_are_jobs_and_then_their_steps() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        fs::create_dir_all(root.join(workflows::FOLDER)).expect("made");
        let steps = "[{id: a, name: First, run: x}, {name: Second, run: x}, {run: x}]";
        let text = format!(
            "on: push\njobs: {{build: {{runs-on: x, steps: {steps}}}, call: {{uses: ./.github/workflows/x.yml}}}}\n"
        );
        fs::write(root.join(workflows::FOLDER).join("ci.yml"), text).expect("written");
        let offered = |begun: &str| {
            let found = breakpoints(root, Some("ci"), begun);
            found.into_iter().map(|one| one.value).collect::<Vec<_>>()
        };
        assert_eq!(offered(""), ["build/"]);
        assert_eq!(offered("bu"), ["build/"]);
        assert_eq!(offered("build/"), ["build/a", "build/Second"], "a step without id and name has no word");
        assert!(offered("none/").is_empty());
    }

    #[test]
    fn sandboxes_are_those_of_the_settings() {
        let found: Vec<_> = sandboxes().into_iter().map(|one| one.value).collect();
        assert_eq!(found, ["host", "docker", "docker:"]);
    }
}
