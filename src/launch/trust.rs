//! Trust: a workflow is a program, and on the host it can do everything that the user can.
//!
//! Trust belongs to a repository: the path of its git folder, that folder's identity on the disk (another clone at the
//! same path is another repository), and the address of its origin.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{JobPreview, Preview, StepPreview};
use crate::repo::git::{Access, Repository};
use crate::store::folder::RunsDir;
use crate::store::{StoreError, atomic};
use crate::workflow::display_names::provisional_job_name;
use crate::workflow::expr::Expr;
use crate::workflow::plan::Plan;
use crate::workflow::syntax::{JobBody, JobDefinition, Steering, StepAction, StepDefinition};
use crate::workflow::template::{Piece, Template, TemplateKind};

/// A trusted repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// The folder of objects and refs.
    pub git_folder: PathBuf,
    device: u64,
    inode: u64,
    /// The address of its origin; empty without one.
    pub origin: String,
}

/// Whether a repository may run on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Trusted.
    Given,
    /// Not trusted.
    Missing(Distrust),
}

/// Why a repository may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It was never trusted.
    #[error("it is not trusted to run on this machine")]
    Unknown,
    /// Its origin has changed since it was trusted.
    #[error("its origin has changed since it was trusted")]
    OtherOrigin,
    /// Another repository was trusted at its path.
    #[error("it is not the repository that was trusted at this path")]
    OtherRepository,
}

/// The repository is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}: look at its workflows, then run `cuelight trust` there, or give --trust for this run", root.display())]
pub struct Untrusted {
    /// The root of the repository.
    pub root: PathBuf,
    /// The reason.
    pub reason: Distrust,
}

impl Trusted {
    fn new(repository: &Repository) -> Result<Self, StoreError> {
        let folder = &repository.common;
        let data = fs::metadata(folder).map_err(StoreError::io("look at", folder))?;
        let origin = repository.origin.clone();
        Ok(Self { git_folder: folder.clone(), device: data.dev(), inode: data.ino(), origin })
    }
}

/// Returns whether a repository may run.
///
/// # Errors
/// The list of trusted repositories or the repository cannot be read.
pub fn of(runs: &RunsDir, repository: &Repository) -> Result<Trust, StoreError> {
    let own = Trusted::new(repository)?;
    let known = list(runs)?.into_iter().find(|trusted| trusted.git_folder == own.git_folder);
    Ok(match known {
        Some(known) if known == own => Trust::Given,
        Some(known) if known.origin != own.origin => Trust::Missing(Distrust::OtherOrigin),
        Some(_) => Trust::Missing(Distrust::OtherRepository),
        None => Trust::Missing(Distrust::Unknown),
    })
}

/// Returns git's access for a repository. A repository whose trust cannot be read is not trusted.
#[must_use]
pub fn access(runs: &RunsDir, repository: &Repository) -> Access {
    if matches!(of(runs, repository), Ok(Trust::Given)) { Access::Trusted } else { Access::Guarded }
}

/// Records that a repository is trusted from now on.
///
/// # Errors
/// The state folder cannot be read or written.
pub fn grant(runs: &RunsDir, repository: &Repository) -> Result<(), StoreError> {
    let own = Trusted::new(repository)?;
    let mut all = list(runs)?;
    all.retain(|trusted| trusted.git_folder != own.git_folder);
    all.push(own);
    write(runs, &all)
}

/// Records that a repository is no longer trusted.
///
/// # Errors
/// The state folder cannot be read or written.
pub fn revoke(runs: &RunsDir, repository: &Repository) -> Result<(), StoreError> {
    let mut all = list(runs)?;
    all.retain(|trusted| trusted.git_folder != repository.common);
    write(runs, &all)
}

/// Returns the trusted repositories.
///
/// # Errors
/// The list cannot be read.
pub fn list(runs: &RunsDir) -> Result<Vec<Trusted>, StoreError> {
    let path = path(runs);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| StoreError::Damaged { path, reason: format!("{error}; remove it to be asked again") }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

fn path(runs: &RunsDir) -> PathBuf {
    runs.trust()
}

fn write(runs: &RunsDir, all: &[Trusted]) -> Result<(), StoreError> {
    let path = path(runs);
    fs::create_dir_all(runs.state()).map_err(StoreError::io("make the folder", runs.state()))?;
    let text = serde_json::to_vec_pretty(all).expect("paths and numbers serialise");
    atomic::write(&path, &text).map_err(StoreError::io("write", path))
}

/// Returns a preview of a plan.
pub(super) fn preview(workflow: &str, root: &Path, plan: &Plan) -> Preview {
    let mut seen = HashSet::new();
    let mut jobs = Vec::new();
    for job in plan.jobs().iter().filter(|job| seen.insert((&job.key, &job.caller))) {
        let legs = plan.jobs().iter().filter(|other| other.key == job.key && other.caller == job.caller).count();
        jobs.push(JobPreview { name: job.name.clone(), legs, steps: steps_of(&job.definition) });
        if job.leg.is_none() {
            add_called(&job.definition, &job.name, plan, &mut Vec::new(), &mut jobs);
        }
    }
    Preview { workflow: workflow.to_owned(), root: root.display().to_string(), jobs }
}

/// Adds the jobs of a workflow that a job calls, which are planned only when the job's legs are known. `shown` has
/// the workflows that were added already.
fn add_called<'p>(
    job: &'p JobDefinition,
    name: &str,
    plan: &'p Plan,
    shown: &mut Vec<&'p str>,
    found: &mut Vec<JobPreview>,
) {
    let JobBody::Call { uses, .. } = &job.body else { return };
    let Some(called) = plan.called(&uses.value).filter(|_| !shown.contains(&uses.value.as_str())) else { return };
    shown.push(&uses.value);
    for inner in &called.jobs {
        let name = format!("{name} / {}", provisional_job_name(inner));
        found.push(JobPreview { name: name.clone(), legs: 1, steps: steps_of(inner) });
        add_called(inner, &name, plan, shown, found);
    }
}

fn steps_of(job: &JobDefinition) -> Vec<StepPreview> {
    let mut steps = Vec::new();
    if let JobBody::Steps(body) = &job.body {
        add_steps(&body.steps, &mut steps);
    }
    steps
}

fn add_steps(steps: &[StepDefinition], found: &mut Vec<StepPreview>) {
    for step in steps {
        match &step.action {
            StepAction::Uses { reference, .. } => found.push(StepPreview::Action(reference.value.clone())),
            StepAction::Run { script, .. } => found.push(StepPreview::Script(written(script))),
            StepAction::Steer(Steering::Parallel(inner)) => add_steps(inner, found),
            StepAction::Steer(_) => {}
        }
    }
}

/// Returns a script as written in the file, with its expressions.
fn written(script: &Template) -> String {
    let expression = |expression: &Expr| format!("${{{{ {} }}}}", expression.text().trim());
    match &script.kind {
        TemplateKind::Expression(only) => expression(only),
        TemplateKind::Interpolated(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.to_string(),
                Piece::Expression(inner) => expression(inner),
            })
            .collect(),
        _ => script.literal().unwrap_or_default().to_owned(),
    }
}
