//! Lists the environments of repositories on servers, and rolls them back.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::backend::github::address::Repository;
use crate::backend::github::client::Priority;
use crate::backend::github::environments::rollback::RollbackError;
use crate::backend::github::environments::{EnvironmentError, Environments};
use crate::backend::github::poller::{PollError, Poller};
use crate::model::Summary;
use crate::model::feed::{Feed, Notice};
use crate::model::rollback::{Rollback, RollbackRequest};
use crate::store::history;

use super::Serving;

impl Serving {
    /// Lists the environments of a repository.
    pub(super) fn list_environments(&self, repository: String) {
        self.with_environments(repository, Priority::Visible, |_, repository, environments| {
            let listed =
                async move { Ok(Feed::Environments { repository, environments: environments.all(true).await? }) };
            listed.boxed()
        });
    }

    /// Decides what a rollback would do, and reports it.
    pub(super) fn plan_rollback(&self, repository: String, request: RollbackRequest) {
        self.with_environments(repository, Priority::User, move |_, repository, environments| {
            let planned = async move {
                let rollback = Box::new(environments.rollback(&request).await?);
                Ok(Feed::RollbackPlanned { repository, rollback })
            };
            planned.boxed()
        });
    }

    /// Rolls back an environment, and shows the run.
    pub(super) fn roll_back(&self, repository: String, rollback: Box<Rollback>) {
        let feed = self.feed.clone();
        self.with_environments(repository, Priority::User, move |poller, _, environments| {
            let begun = async move {
                let started = environments.roll_back(&poller, &rollback).await?;
                let run = history::read(&started.folder)?;
                // The screen may be closed.
                let _ = feed.send(Feed::Updated(vec![Summary::from(&run)])).await;
                Ok(Feed::Started(run.info.id))
            };
            begun.boxed()
        });
    }

    /// Runs an operation on the environments of a repository in a separate task, as servers may be slow, and reports
    /// the result. An error is reported for an action of the user, and otherwise only logged.
    fn with_environments(
        &self,
        repository: String,
        priority: Priority,
        act: impl FnOnce(Poller, String, Environments) -> BoxFuture<'static, Result<Feed, RollbackError>> + Send + 'static,
    ) {
        let (Some(poller), feed) = (self.poller.clone(), self.feed.clone()) else { return };
        tokio::spawn(async move {
            let done = async {
                let named = Repository::parse(&repository, None).map_err(PollError::from);
                let named = named.map_err(EnvironmentError::from)?;
                let environments = Environments::of(&poller, named, priority).await?;
                act(poller.clone(), repository, environments).await
            };
            let report = match done.await {
                Ok(report) => report,
                Err(error) if priority == Priority::Visible => {
                    return tracing::debug!(%error, "the environments of a repository are not listed");
                }
                Err(error) => Feed::Notice(Notice::bad(error.to_string())),
            };
            // The screen may be closed.
            let _ = feed.send(report).await;
        });
    }
}
