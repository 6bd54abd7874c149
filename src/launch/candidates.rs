//! Values that complete a command line: runs, workflows, jobs, steps, environments and services.
//!
//! Everything is read from files of this machine, and what cannot be read has no values: a shell asks while the user
//! types, so nothing here waits for a server or prints an error.

use std::path::{Path, PathBuf};

use crate::model::{Job, Run, Summary};
use crate::repo::workflows;
use crate::store::folder::locate;
use crate::store::history;
use crate::store::history::Filter;
use crate::workflow;
use crate::workflow::source::Source;
use crate::workflow::syntax::Workflow;

use super::deploy::Deployments;

/// Maximum number of runs: more are not read by a person who chooses one.
const MAX_RUNS: usize = 30;

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

/// Returns the newest runs of the repository around a folder, or of this machine outside of repositories.
#[must_use]
pub fn runs(folder: &Path) -> Vec<Candidate> {
    let Ok(runs) = locate() else { return Vec::new() };
    let filter = Filter { repository: super::home(folder), ..Filter::default() };
    let Ok(page) = history::page(&runs, &filter, None, MAX_RUNS) else { return Vec::new() };
    let candidate = |run: &Summary| {
        let (info, name) = (&run.info, &run.name);
        Candidate::new(info.id.as_str(), format!("{name}, {} {}, {}", info.event, info.branch(), run.phase.word()))
    };
    page.runs.iter().map(candidate).collect()
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
    let Some(root) = workflows::root_of(folder) else { return Vec::new() };
    let files = match wanted {
        Some(_) => workflows::find(wanted, folder, root).into_iter().collect(),
        None => workflows::list(root),
    };
    let parsed = files.iter().filter_map(|path| parsed(path)).collect::<Vec<_>>();
    let jobs = parsed.iter().flat_map(|workflow| {
        let about = workflow.name.as_ref().map_or("", |name| name.value.as_str());
        workflow.jobs.iter().map(move |job| Candidate::new(job.id.value.as_str(), about))
    });
    jobs.collect()
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

fn parsed(path: &Path) -> Option<Workflow> {
    workflow::parse(&Source::new("", workflows::read(path).ok()?)).value
}

fn run(folder: &Path, wanted: Option<&str>) -> Option<Run> {
    let found = super::find(&locate().ok()?, wanted.unwrap_or(super::LATEST), Some(folder)).ok()?;
    history::read(&found).ok()
}
