//! Reads and mirrors lists of runs. Adds the folders of workflow files and the names of workflows, for servers that
//! report a run's workflow by its file name alone.

use std::time::Duration;

use crate::backend::github::address::Repository;
use crate::backend::github::client::{Client, Freshness, Priority};
use crate::backend::github::wire::repository::Workflow;
use crate::backend::github::wire::runs::Run;
use crate::backend::github::wire::{Page, gitea};
use crate::model::{RunId, ServerKind};

use super::{Ask, Host, PollError};

/// Maximum age of the cached list of a repository's workflows.
const KNOWN: Freshness = Freshness(Duration::from_mins(10));

impl Host {
    /// Mirrors the runs in a server's list, without their jobs. Returns them in the order of the list.
    pub(super) async fn mirror_listed(
        &self,
        repository: &Repository,
        body: &[u8],
        priority: Priority,
    ) -> Result<Vec<RunId>, PollError> {
        let runs = listed(&self.client, repository, body, priority).await?;
        self.ask(|answer| Ask::Mirror { repository: repository.clone(), runs, answer }).await
    }
}

/// Returns the runs in a server's list with complete workflow paths.
pub(super) async fn listed(
    client: &Client,
    repository: &Repository,
    body: &[u8],
    priority: Priority,
) -> Result<Vec<Run>, PollError> {
    let malformed = || PollError::Malformed { host: repository.host.clone(), what: "a list of runs" };
    let mut runs = Page::read(body, "workflow_runs").ok_or_else(malformed)?.list.items;
    complete(client, repository, &mut runs, priority).await;
    Ok(runs)
}

/// Completes runs of a Gitea server with the folder that their repository uses for workflows, and with the names of
/// their workflows. If the server does not list the workflows, the runs stay as they are; a workflow that it does not
/// list is called by its file.
pub(super) async fn complete(client: &Client, repository: &Repository, runs: &mut [Run], priority: Priority) {
    if client.host().kind() != ServerKind::Gitea || runs.is_empty() {
        return;
    }
    let path = format!("{}/actions/workflows?per_page=100", repository.path());
    let answer = match client.get(&path, KNOWN, priority).await {
        Ok(answer) => answer,
        Err(error) => return tracing::debug!(%repository, %error, "the folder of the workflows is not known"),
    };
    let Some(page) = Page::<Workflow>::read(&answer.body, "workflows") else { return };
    let workflows = page.list.items;
    let known: Vec<String> = workflows.iter().filter_map(|workflow| workflow.path.clone()).collect();
    for run in runs {
        if let Some(path) = gitea::path_in(run.workflow_path(), &known) {
            run.path = Some(path);
        }
        let path = run.workflow_path();
        let listed = workflows.iter().find(|workflow| workflow.path.as_deref() == Some(path));
        let name = listed.and_then(|workflow| workflow.name.clone()).filter(|name| !name.is_empty());
        let file = path.rsplit('/').next().unwrap_or_default().to_owned();
        run.name = run.name.take().or(name).or(Some(file));
    }
}
