//! The question whether a repository may run here: what would run, and the record of the answer.

use std::path::Path;
use std::sync::Arc;

use crate::launch::LaunchError;
use crate::model::{Preview, RunInfo};
use crate::repo::git::Repository;
use crate::store::StoreError;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::spec::{RunSpec, WorkflowSpec};
use crate::workflow::plan::Plan;

use super::{Distrust, Trust, Untrusted, preview};

/// The trust question about a repository. Everything that starts a run asks it: `run`, another attempt, watch mode and
/// `trust --ask`.
#[derive(Clone, Debug)]
pub struct Consent {
    pub(super) repository: Repository,
    /// The settings of the repository that the answer covers, as lines of TOML.
    pub(super) settings: Vec<String>,
    pub(super) trust: Trust,
    /// What would run.
    pub(super) subjects: Vec<Subject>,
    /// The folder of the run that gets another attempt, and its document. `None` if the question is about no attempt.
    pub(super) attempt: Option<Box<(RunFolder, RunInfo, WorkflowSpec)>>,
}

/// A workflow that would run.
#[derive(Clone, Debug)]
pub(in crate::launch) struct Subject {
    /// Path of the workflow file, from the root of the repository.
    pub(in crate::launch) name: String,
    /// The planned jobs; the error if the workflow cannot be planned.
    pub(in crate::launch) plan: Result<Arc<Plan>, Arc<LaunchError>>,
    /// Sandbox of jobs without a container, if the request names one.
    pub(in crate::launch) sandbox: Option<String>,
}

impl Consent {
    /// Returns the root of the repository.
    pub(in crate::launch) fn root(&self) -> &Path {
        &self.repository.root
    }

    /// Returns the question about a repository.
    pub(in crate::launch) fn new(
        repository: Repository,
        settings: Vec<String>,
        trust: Trust,
        subjects: Vec<Subject>,
    ) -> Self {
        Self { repository, settings, trust, subjects, attempt: None }
    }

    /// Returns the question about another attempt of a run. Granting it also accepts the folder of the run.
    pub(in crate::launch) fn of_attempt(self, folder: RunFolder, info: RunInfo, spec: WorkflowSpec) -> Self {
        Self { attempt: Some(Box::new((folder, info, spec))), ..self }
    }

    /// Returns the repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Whether the repository may run.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Checks that the repository may run.
    ///
    /// # Errors
    /// The repository is not trusted.
    pub fn require(&self) -> Result<(), Untrusted> {
        match self.trust {
            Trust::Given => Ok(()),
            Trust::Missing(reason) => Err(Untrusted { root: self.repository.root.clone(), reason }),
        }
    }

    /// Returns what would run, for the person who is asked.
    #[must_use]
    pub fn preview(&self) -> Preview {
        preview::of(self)
    }

    /// Records that the repository is trusted from now on. For another attempt of a run, also writes the document that
    /// was shown to the folder of the run. For a run with `any_runner`, which needs no trusted repository, writes only
    /// the document.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn grant(&mut self, runs: &RunsDir) -> Result<(), StoreError> {
        if let Some((folder, info, spec)) = self.attempt.as_deref() {
            // Accept the document that was shown, even if the folder has changed since.
            RunSpec::of_workflow(info.clone(), spec.clone()).write(folder)?;
        }
        if !self.attempt.as_deref().is_some_and(|(_, _, spec)| spec.any_runner) {
            super::grant(runs, &self.repository, &self.settings)?;
        }
        self.trust = Trust::Given;
        Ok(())
    }

    /// Returns why the repository may not run; `None` if it may.
    pub(super) fn reason(&self) -> Option<Distrust> {
        match self.trust {
            Trust::Given => None,
            Trust::Missing(reason) => Some(reason),
        }
    }
}
