//! The workflows of a repository on a server: lists, enables, disables and dispatches them.
//!
//! - [`dispatch`]: validates the inputs against the file at the ref, and starts a run
//! - [`attach`]: finds the run that a dispatch started

mod attach;
pub mod dispatch;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::model::nearest;
use crate::workflow::inputs;
use crate::workflow::inputs::BY_HAND;
use crate::workflow::parse_partial;
use crate::workflow::plan::MAX_CALLED;
use crate::workflow::source::Source;
use crate::workflow::syntax::{InputDefinition, Workflow};

use super::address::{Repository, escaped};
use super::client::{ApiError, Change, Client, Freshness, Mutation, Priority};
use super::wire::deployments::Environment;
use super::wire::{Field, Page, repository as wire};

/// Maximum number of pages of workflows or environments: 1,000 of each.
const MAX_PAGES: usize = 10;

/// Maximum number of workflow files that are read for a list.
const MAX_READ: usize = 50;

/// Maximum age of cached data about a repository: its default branch, and its workflows for the screen.
const KNOWN: Freshness = Freshness(Duration::from_mins(10));

/// A workflow on a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerWorkflow {
    /// Name; the path of the file if the workflow has no name.
    pub name: String,
    /// Path of the file.
    pub path: String,
    /// Id; `None` if the server has no ids for workflows.
    pub id: Option<u64>,
    /// Whether the workflow is active.
    pub state: WorkflowState,
}

/// State of a workflow on a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WorkflowState {
    /// The workflow runs on its events.
    Active,
    /// Disabled by a user.
    Disabled,
    /// Disabled by the server, because the repository was not active for 60 days.
    Inactive,
    /// Disabled in this fork.
    Fork,
    /// The workflow file was removed.
    Deleted,
    /// A state unknown to this version, in the server's word.
    Other(String),
}

impl WorkflowState {
    fn of(word: Option<&str>) -> Self {
        match word {
            Some("active") | None => Self::Active,
            Some("disabled_manually") => Self::Disabled,
            Some("disabled_inactivity") => Self::Inactive,
            Some("disabled_fork") => Self::Fork,
            Some("deleted") => Self::Deleted,
            Some(other) => Self::Other(other.to_owned()),
        }
    }

    /// Returns the server's word for the state.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled_manually",
            Self::Inactive => "disabled_inactivity",
            Self::Fork => "disabled_fork",
            Self::Deleted => "deleted",
            Self::Other(word) => word,
        }
    }

    /// Returns a description for users.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Inactive => "disabled: the repository was not active for 60 days",
            Self::Fork => "disabled in this fork",
            Self::Deleted => "deleted",
            Self::Other(word) => word,
        }
    }
}

/// A workflow that can be dispatched, as declared by its file on the default branch.
#[derive(Clone, Debug)]
pub struct Dispatchable {
    /// The workflow.
    pub workflow: ServerWorkflow,
    /// Inputs of the workflow.
    pub inputs: Vec<InputDefinition>,
}

/// Why a workflow of a server cannot be found, changed or started.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// The server gives no answer, or refuses.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The answer is not what the API describes.
    #[error("{host} sent an answer without {what}")]
    Malformed {
        /// Name of the server.
        host: String,
        /// The missing part of the answer.
        what: &'static str,
    },
    /// The repository has no such workflow.
    #[error("{repository} has no workflow `{wanted}`{}", suggestion(.wanted, .files))]
    Unknown {
        /// The repository.
        repository: String,
        /// The name that was given.
        wanted: String,
        /// Names of the repository's workflow files.
        files: Vec<String>,
    },
    /// Several workflows have the name.
    #[error("several workflows are named `{wanted}`: name one by its file: {}", .files.join(", "))]
    Ambiguous {
        /// The name that was given.
        wanted: String,
        /// Names of the files of these workflows.
        files: Vec<String>,
    },
}

fn suggestion(wanted: &str, files: &[String]) -> String {
    let stems = files.iter().map(|file| stem(file));
    match (nearest(wanted, files.iter().map(String::as_str).chain(stems)), files) {
        (Some(near), _) => format!("; did you mean `{near}`?"),
        (None, []) => "; it has none".to_owned(),
        (None, files) => format!("; it has {}", files.join(", ")),
    }
}

/// Returns the name of a workflow's file without its folder.
#[must_use]
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

impl ServerWorkflow {
    fn of(workflow: wire::Workflow) -> Option<Self> {
        let path = workflow.path?;
        Some(Self {
            name: workflow.name.filter(|name| !name.is_empty()).unwrap_or_else(|| path.clone()),
            state: WorkflowState::of(workflow.state.as_deref()),
            id: workflow.id,
            path,
        })
    }

    /// Returns the name of the workflow's file, which identifies the workflow in request paths on every server.
    #[must_use]
    pub fn file(&self) -> &str {
        file_name(&self.path)
    }
}

/// The files of called workflows that are still to be read. Each file is read once, and at most [`MAX_CALLED`] are.
#[derive(Default)]
pub(super) struct Calls {
    todo: Vec<String>,
    seen: HashSet<String>,
}

impl Calls {
    /// Adds the paths that a file calls.
    pub(super) fn add(&mut self, paths: Vec<String>) {
        for path in paths {
            if self.seen.len() < MAX_CALLED && self.seen.insert(path.clone()) {
                self.todo.push(path);
            }
        }
    }

    /// Returns the next path to read; `None` if all are read.
    pub(super) fn next_path(&mut self) -> Option<String> {
        self.todo.pop()
    }
}

/// The workflows of one repository.
pub struct Workflows<'c> {
    client: &'c Client,
    repository: &'c Repository,
}

impl<'c> Workflows<'c> {
    /// Returns the workflows of a repository. No request is sent.
    #[must_use]
    pub fn of(client: &'c Client, repository: &'c Repository) -> Self {
        Self { client, repository }
    }

    /// Lists the workflows. Workflows without a file in the repository, such as Dependabot's, are left out.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn list(&self, freshness: Freshness) -> Result<Vec<ServerWorkflow>, WorkflowError> {
        let path = format!("{}/actions/workflows?per_page=100", self.repository.path());
        let found: Vec<wire::Workflow> = self.all("workflows", &path, freshness, "a list of workflows").await?;
        let found = found.into_iter().filter_map(ServerWorkflow::of);
        Ok(found.filter(|workflow| !workflow.path.starts_with("dynamic/")).collect())
    }

    /// Finds a workflow by its id, path, file name with or without extension, or name.
    ///
    /// # Errors
    /// There is no such workflow or more than one, or the server does not respond.
    pub async fn find(&self, wanted: &str) -> Result<ServerWorkflow, WorkflowError> {
        let mut all = self.list(Freshness::NOW).await?;
        let is_file = |workflow: &ServerWorkflow| {
            let file = workflow.file();
            workflow.id.is_some_and(|id| id.to_string() == wanted)
                || workflow.path == wanted
                || file == wanted
                || stem(file) == wanted
        };
        let is_named = |workflow: &ServerWorkflow| workflow.name.eq_ignore_ascii_case(wanted);
        if let Some(at) = all.iter().position(is_file) {
            return Ok(all.swap_remove(at));
        }
        let files = |some: &mut dyn Iterator<Item = &ServerWorkflow>| some.map(|one| one.file().to_owned()).collect();
        match all.iter().filter(|one| is_named(one)).count() {
            0 => Err(WorkflowError::Unknown {
                repository: self.repository.to_string(),
                wanted: wanted.to_owned(),
                files: files(&mut all.iter()),
            }),
            1 => Ok(all.swap_remove(all.iter().position(is_named).expect("counted"))),
            _ => Err(WorkflowError::Ambiguous {
                wanted: wanted.to_owned(),
                files: files(&mut all.iter().filter(|one| is_named(one))),
            }),
        }
    }

    /// Enables or disables a workflow.
    ///
    /// # Errors
    /// The server refuses, or it is unknown whether the change was made.
    pub async fn enable(&self, workflow: &ServerWorkflow, enable: bool) -> Result<(), WorkflowError> {
        let what = if enable { "enable" } else { "disable" };
        let mutation = Mutation { change: Change::Put, path: self.path_of(workflow, what), body: None };
        self.client.send(&mutation).await?;
        Ok(())
    }

    /// Lists the workflows that can be dispatched, based on their files on a branch. Only the first 50 active workflows
    /// are read. The data may be up to ten minutes old.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn dispatchable(&self, branch: &str) -> Result<Vec<Dispatchable>, WorkflowError> {
        let mut found = Vec::new();
        let all = self.list(KNOWN).await?.into_iter().filter(|workflow| workflow.state == WorkflowState::Active);
        for workflow in all.take(MAX_READ) {
            let Some(text) = self.file(&workflow.path, branch, KNOWN).await? else { continue };
            if text.triggers.iter().any(|trigger| trigger.event.value == BY_HAND) {
                let inputs = inputs::declared(&text, BY_HAND).to_vec();
                found.push(Dispatchable { workflow, inputs });
            }
        }
        Ok(found)
    }

    /// Returns the default branch.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn default_branch(&self) -> Result<String, WorkflowError> {
        let answer = self.client.get(&self.repository.path(), KNOWN, Priority::User).await?;
        let repository: wire::Repository = self.parsed(&answer.body, "a repository")?;
        repository.default_branch.ok_or_else(|| self.malformed("a default branch"))
    }

    /// Returns the names of the environments; `None` if the token may not read them.
    ///
    /// # Errors
    /// The server gives no answer.
    pub async fn environments(&self) -> Result<Option<BTreeSet<String>>, WorkflowError> {
        let path = format!("{}/environments?per_page=100", self.repository.path());
        match self.all::<Environment>("environments", &path, KNOWN, "a list of environments").await {
            Ok(found) => Ok(Some(found.into_iter().filter_map(|environment| environment.name).collect())),
            Err(WorkflowError::Api(error)) if error.is_transient() => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Returns the workflow file at a ref; `None` if it does not exist or cannot be parsed. Errors in the file are
    /// ignored as long as it can be parsed, because the server decides whether the workflow runs.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn file(
        &self,
        path: &str,
        git_ref: &str,
        freshness: Freshness,
    ) -> Result<Option<Workflow>, WorkflowError> {
        let text = self.client.file(&self.repository.path(), path, git_ref, freshness, Priority::User).await?;
        Ok(text.and_then(|text| parse_partial(&Source::new(path, text)).0))
    }

    /// Returns the workflows of the repository that a workflow calls at a ref, directly or indirectly, by their paths.
    /// Files that are not there are left out. At most [`MAX_CALLED`] files are requested.
    ///
    /// # Errors
    /// The server gives no answer, or refuses.
    pub async fn called(&self, workflow: &Workflow, git_ref: &str) -> Result<HashMap<String, Workflow>, WorkflowError> {
        let (mut called, mut calls) = (HashMap::new(), Calls::default());
        calls.add(workflow.local_calls());
        while let Some(path) = calls.next_path() {
            if let Some(found) = self.file(&path, git_ref, Freshness::NOW).await? {
                calls.add(found.local_calls());
                called.insert(path, found);
            }
        }
        Ok(called)
    }

    fn path_of(&self, workflow: &ServerWorkflow, what: &str) -> String {
        format!("{}/actions/workflows/{}/{what}", self.repository.path(), escaped(workflow.file()))
    }

    /// Returns the elements of all pages of a list whose array has this name.
    async fn all<T: Field>(
        &self,
        name: &str,
        path: &str,
        freshness: Freshness,
        what: &'static str,
    ) -> Result<Vec<T>, WorkflowError> {
        let mut pages = self.client.pages(path, MAX_PAGES, freshness, Priority::User);
        let mut items = Vec::new();
        while let Some(answer) = pages.next().await? {
            items.extend(Page::read(&answer.body, name).ok_or_else(|| self.malformed(what))?.list.items);
        }
        Ok(items)
    }

    fn parsed<T: DeserializeOwned>(&self, body: &[u8], what: &'static str) -> Result<T, WorkflowError> {
        serde_json::from_slice(body).map_err(|_| self.malformed(what))
    }

    fn malformed(&self, what: &'static str) -> WorkflowError {
        WorkflowError::Malformed { host: self.repository.host.clone(), what }
    }
}
