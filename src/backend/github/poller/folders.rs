//! Folders of workflow files, where a server names the file of a run alone.

use std::time::Duration;

use crate::backend::github::address::Repository;
use crate::backend::github::client::{Client, Freshness, Priority};
use crate::backend::github::wire::repository::Workflow;
use crate::backend::github::wire::runs::Run;
use crate::backend::github::wire::{Page, gitea};
use crate::model::ServerKind;

/// Age up to which the folder of a repository's workflows is known.
const KNOWN: Freshness = Freshness(Duration::from_mins(10));

/// Completes the paths of runs by the folder that their repository has its workflows in. A server that does not name
/// them leaves the paths as they are.
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
    let known: Vec<String> = page.list.items.into_iter().filter_map(|workflow| workflow.path).collect();
    for run in runs {
        if let Some(path) = gitea::path_in(run.workflow_path(), &known) {
            run.path = Some(path);
        }
    }
}
