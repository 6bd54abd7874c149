//! Fetches the data of one run, and the list of runs of a repository.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;

use crate::backend::github::address::Repository;
use crate::backend::github::client::budget::Polled;
use crate::backend::github::client::{Answer, AnswerSource, ApiError, Client, Freshness, Priority};
use crate::backend::github::mirror::graph::{WorkflowFiles, calls};
use crate::backend::github::wire::checks::Annotation;
use crate::backend::github::wire::deployments::{Approval, PendingDeployment};
use crate::backend::github::wire::repository::ConcurrencyGroup;
use crate::backend::github::wire::runs::{Job, Run};
use crate::backend::github::wire::words::Status;
use crate::backend::github::wire::{Field, List, Page, gitea};
use crate::backend::github::workflows::Calls;
use crate::model::ServerKind;
use crate::store::clock::now;
use crate::store::spec::RemoteSpec;

use super::{PollError, folders, order};

/// Maximum number of pages of a list. Lists of jobs are the longest: GitHub allows 256 jobs in a matrix and a few
/// thousand in a run.
const MAX_PAGES: usize = 40;

/// Maximum age of a stored list that is used without a request. Another process may have fetched it.
const SHARED_LIST: Freshness = Freshness(Duration::from_secs(8));

/// Maximum number of failed jobs whose annotations are fetched automatically, and of pages of annotations per job.
const MAX_ANNOTATED: usize = 20;
const MAX_ANNOTATION_PAGES: usize = 3;

/// The parts of a run, as a server describes them.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) run: Run,
    pub(super) jobs: Vec<Job>,
    pub(super) pending: Vec<PendingDeployment>,
    pub(super) approvals: Vec<Approval>,
    pub(super) groups: Vec<ConcurrencyGroup>,
    /// Annotations of jobs that did not succeed, by the id of the job.
    pub(super) annotations: Vec<(u64, Vec<Annotation>)>,
    /// Whether anything differs from the previous fetch.
    pub(super) changed: bool,
    /// Number of requests that were charged.
    pub(super) charged: u32,
}

impl Fetched {
    /// Whether a job has ended.
    pub(super) fn has_ended(&self, job: u64) -> bool {
        self.jobs.iter().any(|one| one.id == Some(job) && one.status == Some(Status::Completed))
    }

    /// Returns the parts as if these jobs, and the run, had not ended yet.
    pub(super) fn without_ends(&self, jobs: &[u64]) -> Self {
        let mut before = self.clone();
        (before.run.status, before.run.conclusion) = (Some(Status::InProgress), None);
        for job in before.jobs.iter_mut().filter(|job| job.id.is_some_and(|id| jobs.contains(&id))) {
            (job.status, job.conclusion, job.completed_at) = (Some(Status::InProgress), None, None);
        }
        before.annotations.clear();
        before
    }
}

/// Fetches data of one run from its server.
pub(super) struct Fetch<'f> {
    pub(super) client: &'f Client,
    pub(super) remote: &'f RemoteSpec,
    pub(super) priority: Priority,
}

impl Fetch<'_> {
    /// Fetches the run, the jobs of its newest attempt, and what it waits for. Reviews are fetched while it waits, and
    /// at the end of a run that `deploys`. Annotations are fetched for at most 20 jobs that did not succeed and are not
    /// in `annotated`.
    pub(super) async fn snapshot(&self, deploys: bool, annotated: &HashSet<u64>) -> Result<Fetched, PollError> {
        let mut cost = Cost::default();
        let mut run: Run = self.one(&self.run_path(""), &mut cost).await?;
        let attempt = run.run_attempt.unwrap_or(1).max(1);
        let mut jobs: Vec<Job> =
            self.all("jobs", &self.run_path(&format!("/attempts/{attempt}/jobs?per_page=100")), &mut cost).await?;
        let now = now();
        run.settle(now);
        for job in &mut jobs {
            job.settle(now);
        }
        if self.remote.server == ServerKind::Gitea {
            gitea::complete(&mut run, &mut jobs);
        }
        let is = |status: Status| {
            run.status.as_ref() == Some(&status) || jobs.iter().any(|job| job.status.as_ref() == Some(&status))
        };
        let (waits, pends) = (is(Status::Waiting), is(Status::Pending));
        let pending = if waits {
            optional(self.all("pending_deployments", &self.run_path("/pending_deployments"), &mut cost).await)?
        } else {
            Vec::new()
        };
        let approvals = if waits || (deploys && run.status == Some(Status::Completed)) {
            optional(self.all("approvals", &self.run_path("/approvals"), &mut cost).await)?
        } else {
            Vec::new()
        };
        let groups = if pends {
            optional(self.all("concurrency_groups", &self.run_path("/concurrency_groups"), &mut cost).await)?
        } else {
            Vec::new()
        };
        let mut annotations = Vec::new();
        let bad = |job: &&Job| job.conclusion.as_ref().is_some_and(|ending| ending.conclusion().0.is_bad());
        let bad = jobs.iter().filter(bad).filter_map(|job| job.id).filter(|id| !annotated.contains(id));
        for job in bad.take(MAX_ANNOTATED) {
            annotations.push((job, self.annotations_at(job, &mut cost).await?));
        }
        Ok(Fetched { run, jobs, pending, approvals, groups, annotations, changed: cost.changed, charged: cost.charged })
    }

    /// Fetches the workflow file of a run at its commit, and the workflows of the same repository that it calls,
    /// directly or indirectly. `None` if the server has no such file, or the token may not read it.
    pub(super) async fn workflow(&self, run: &Run) -> Result<Option<WorkflowFiles>, PollError> {
        let path = run.workflow_path();
        let (Some(sha), false) = (run.head_sha.as_deref(), path.is_empty()) else { return Ok(None) };
        let Some(text) = self.file(path, sha).await? else { return Ok(None) };
        let (mut called, mut todo) = (IndexMap::new(), Calls::default());
        todo.add(calls(path, &text));
        while let Some(path) = todo.next_path() {
            if let Some(text) = self.file(&path, sha).await? {
                todo.add(calls(&path, &text));
                called.insert(path, text);
            }
        }
        Ok(Some(WorkflowFiles { path: path.to_owned(), text, called }))
    }

    /// Fetches the annotations of a job.
    pub(super) async fn annotations(&self, job: u64) -> Result<Vec<Annotation>, PollError> {
        self.annotations_at(job, &mut Cost::default()).await
    }

    async fn annotations_at(&self, job: u64, cost: &mut Cost) -> Result<Vec<Annotation>, PollError> {
        let path = format!("{}/check-runs/{job}/annotations?per_page=100", self.repository());
        optional(self.pages("annotations", &path, MAX_ANNOTATION_PAGES, cost).await)
    }

    /// Downloads the log of a job.
    pub(super) async fn log(&self, job: u64, into: &Path, limit: u64) -> Result<(), ApiError> {
        self.client.download(&self.log_path(job), into, limit, self.priority).await.map(drop)
    }

    /// Fetches the log of a running job from an offset on.
    pub(super) async fn tail(&self, job: u64, from: u64) -> Result<Bytes, ApiError> {
        self.client.tail(&self.log_path(job), from, self.priority).await
    }

    fn log_path(&self, job: u64) -> String {
        format!("{}/actions/jobs/{job}/logs", self.repository())
    }

    /// Returns the text of a file at a commit. The file never changes, so it is fetched only once. `None` if it does
    /// not exist, or if the token may not read it.
    async fn file(&self, path: &str, sha: &str) -> Result<Option<String>, PollError> {
        match self.client.file(&self.repository(), path, sha, Freshness::ANY, self.priority).await {
            Err(error) if error.is_transient() => Err(error.into()),
            // The token may not read it.
            Err(_) => Ok(None),
            found => Ok(found?),
        }
    }

    async fn one<T: Field>(&self, path: &str, cost: &mut Cost) -> Result<T, PollError> {
        let answer = self.client.get(path, Freshness::NOW, self.priority).await?;
        cost.add(&answer);
        serde_json::from_slice(&answer.body).map_err(|_| self.malformed("a run"))
    }

    async fn all<T: Field + PartialEq>(&self, name: &str, path: &str, cost: &mut Cost) -> Result<Vec<T>, PollError> {
        self.pages(name, path, MAX_PAGES, cost).await
    }

    /// Fetches at most `most` pages of a list whose array is called `name`. A page without new elements ends the list,
    /// because a server may return links to further pages forever.
    async fn pages<T: Field + PartialEq>(
        &self,
        name: &str,
        path: &str,
        most: usize,
        cost: &mut Cost,
    ) -> Result<Vec<T>, PollError> {
        let mut pages = self.client.pages(path, most, Freshness::NOW, self.priority);
        let mut items = Vec::new();
        while let Some(answer) = pages.next().await? {
            cost.add(&answer);
            let page = Page::read(&answer.body, name).ok_or_else(|| self.malformed("a list"))?;
            let List { items: found, unreadable, cut } = page.list;
            if unreadable > 0 {
                tracing::debug!(path, unreadable, "elements of a list cannot be read");
            }
            if cut > 0 {
                tracing::warn!(path, cut, "a page of a list is cut");
            }
            if found.iter().all(|item| items.contains(item)) {
                break;
            }
            items.extend(found);
        }
        if pages.is_cut() {
            tracing::warn!(path, items = items.len(), "a list has more pages than are read");
        }
        Ok(items)
    }

    fn malformed(&self, what: &'static str) -> PollError {
        PollError::Malformed { host: self.remote.host.clone(), what }
    }

    fn repository(&self) -> String {
        format!("/repos/{}", self.remote.repository)
    }

    fn run_path(&self, below: &str) -> String {
        order::run_path(self.remote) + below
    }
}

/// A list of runs.
pub(super) struct Listed {
    /// The runs; `None` if nothing has changed.
    pub(super) runs: Option<Vec<Run>>,
    pub(super) polled: Polled,
}

/// Fetches the newest runs of a repository.
pub(super) async fn list(client: &Client, repository: &Repository, priority: Priority) -> Result<Listed, PollError> {
    let answer = client.get(&order::list_path(&repository.full_name()), SHARED_LIST, priority).await?;
    let runs = if answer.changed {
        let mut runs = folders::listed(client, repository, &answer.body, priority).await?;
        runs.truncate(order::LISTED);
        Some(runs)
    } else {
        None
    };
    Ok(Listed {
        runs,
        polled: Polled { changed: answer.changed, charged: u32::from(answer.source == AnswerSource::Charged) },
    })
}

/// Number of charged requests, and whether any answer has changed.
#[derive(Default)]
struct Cost {
    changed: bool,
    charged: u32,
}

impl Cost {
    fn add(&mut self, answer: &Answer) {
        self.changed |= answer.changed;
        self.charged += u32::from(answer.source == AnswerSource::Charged);
    }
}

/// Treats a resource that the server does not have, or the token may not read, as empty.
fn optional<T>(result: Result<Vec<T>, PollError>) -> Result<Vec<T>, PollError> {
    match result {
        Err(PollError::Api(ApiError::Refused { status: 403 | 404 | 422, .. })) => Ok(Vec::new()),
        result => result,
    }
}
