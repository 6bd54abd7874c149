//! What the token may change in a repository, determined when a run of the repository is opened, and before its
//! workflows or caches are changed.

use std::time::Duration;

use tokio::sync::watch;

use crate::backend::github::address::Repository;
use crate::backend::github::client::{ApiError, Client, Freshness, Priority};
use crate::backend::github::wire::gitea;
use crate::backend::github::wire::repository::Repository as WireRepository;
use crate::model::capabilities::{Capabilities, Operation, RunState, Unavailable};
use crate::model::rights::{Debugger, Denied, KnownRights, Permission, Rights};
use crate::model::{Command, Run, ServerKind};
use crate::store::clock::now;
use crate::store::folder::RunFolder;
use crate::store::history;

use super::{PollError, Poller};

/// Maximum age of a cached answer about a repository.
const KNOWN: Freshness = Freshness(Duration::from_mins(10));

/// Scope of a classic token that allows every change, and the scope that allows them in public repositories only.
const SCOPES: [&str; 2] = ["repo", "public_repo"];

impl Poller {
    /// Returns a receiver of the rights in each repository for which they have been determined, and of their changes.
    #[must_use]
    pub fn rights(&self) -> watch::Receiver<KnownRights> {
        self.0.rights.subscribe()
    }

    /// Checks a command against the state of a run, the rights of the token and the limits of the server.
    ///
    /// # Errors
    /// Why the command would be refused.
    pub(super) fn check(&self, run: &Run, command: &Command) -> Result<(), Unavailable> {
        let Some(operation) = Operation::of(command) else { return Ok(()) };
        let host = run.info.remote.as_ref().map(|remote| remote.host.as_str()).unwrap_or_default();
        let rights = self.0.rights.borrow().of(host, &run.info.repository);
        // Unknown rights allow every operation, but the setting for the debugger is always known.
        if operation == Operation::RerunWithDebugger && rights.is_none() && !self.config().debugger {
            return Err(Unavailable::DebuggerOff);
        }
        Capabilities { run: Some(RunState::from(run)), rights, now: Some(now()), ..Capabilities::default() }
            .check(operation)
    }

    /// Checks whether the token may change and start workflows of a repository.
    ///
    /// # Errors
    /// The server gives no answer, or the token may not.
    pub async fn check_workflows(&self, repository: &Repository) -> Result<(), PollError> {
        let denied = self.learn(repository).await?.actions;
        denied.map_or(Ok(()), |denied| Err(PollError::Denied { repository: repository.to_string(), denied }))
    }

    /// Determines the rights in the repository of a run. They stay unknown if the server does not respond.
    pub(super) async fn learn_of(&self, folder: &RunFolder) -> Result<(), PollError> {
        let info = history::info(folder)?;
        let Some(remote) = &info.remote else { return Ok(()) };
        let Ok(repository) = Repository::parse(&info.repository, Some(&remote.host)) else { return Ok(()) };
        if let Err(error) = self.learn(&repository).await {
            tracing::debug!(%repository, %error, "what the token may change is not known");
        }
        Ok(())
    }

    async fn learn(&self, repository: &Repository) -> Result<Rights, PollError> {
        let client = self.client(&repository.host).await?;
        let debugger = self.debugger(&client);
        let rights = Rights { debugger, ..rights(&client, repository).await? };
        self.0.rights.send_if_modified(|known| known.insert(&repository.host, &repository.full_name(), rights));
        Ok(rights)
    }

    /// Returns whether jobs can run with the debugger of a client's server.
    pub(in crate::backend::github) fn debugger(&self, client: &Client) -> Debugger {
        if !client.host().has_debugger() {
            Debugger::Missing
        } else if self.config().debugger {
            Debugger::Offered
        } else {
            Debugger::Off
        }
    }
}

/// Determines what the token of a client may change, from the role of its user and the scopes of a classic token; on
/// Gitea from the answer to a request that needs the scope for changes. A permission that a fine-grained token lacks
/// only shows when a change is refused.
async fn rights(client: &Client, repository: &Repository) -> Result<Rights, PollError> {
    let path = repository.path();
    let answer = match client.get(&path, KNOWN, Priority::Visible).await {
        Err(ApiError::Refused { status: 403, message, .. }) if gitea::lacks_read_scope(&message) => {
            let denied = Some(Denied::Scope(gitea::READ_SCOPE));
            return Ok(Rights { actions: denied, deployments: denied, ..Rights::default() });
        }
        answer => answer?,
    };
    let malformed = |_| PollError::Malformed { host: repository.host.clone(), what: "a repository" };
    let found: WireRepository = serde_json::from_slice(&answer.body).map_err(malformed)?;
    let is_github = client.host().kind() == ServerKind::GitHub;
    let scopes = client.link().borrow().scopes.clone().filter(|_| is_github);
    let [all, public] = SCOPES;
    let has_scope = |scope: &String| scope == all || (scope == public && found.private == Some(false));
    let may_push = found.permissions.as_ref().is_none_or(|permissions| permissions.push != Some(false));
    let of_all = if !client.has_token() {
        Some(Denied::NoToken)
    } else if found.archived == Some(true) {
        Some(Denied::Archived)
    } else if scopes.is_some_and(|scopes| !scopes.iter().any(has_scope)) {
        Some(Denied::Scope(all))
    } else if !may_push {
        Some(Denied::Role)
    } else {
        None
    };
    if of_all.is_none() {
        client.probe(&path, Priority::Visible).await?;
    }
    let lacks = |permission| if is_github { Denied::Permission(permission) } else { Denied::Scope(gitea::WRITE_SCOPE) };
    let denied = |permission| of_all.or_else(|| client.was_denied(&path, permission).then(|| lacks(permission)));
    let (actions, deployments) = (denied(Permission::Actions), denied(Permission::Deployments));
    Ok(Rights { actions, deployments, limits_reruns: is_github, ..Rights::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GithubConfig;
    use crate::model::{Conclusion, JobId, Phase, RemoteRun, RunId, RunInfo, Timestamp, testing};
    use crate::store::folder::RunsDir;
    use crate::store::runs::RunStore;

    #[test]
    fn the_debugger_stays_off_where_the_rights_are_not_known() {
        let id = RunId::new("20260101-000000-aaaa");
        let remote = Some(RemoteRun { host: "github.com".to_owned(), ..RemoteRun::default() });
        let mut store = RunStore::default();
        store.open(RunInfo { remote, ..testing::info(id.clone(), Timestamp(0)) });
        let mut run = store.run(&id).expect("opened").clone();
        run.phase = Phase::Done(Conclusion::Failure);
        let home = tempfile::tempdir().expect("a folder");
        let command = Command::RerunWithDebugger { job: JobId::new("build") };
        for (debugger, expected) in [(false, Err(Unavailable::DebuggerOff)), (true, Ok(()))] {
            let config = GithubConfig { debugger, ..GithubConfig::default() };
            let poller = Poller::new(RunsDir::at(home.path()), config, |_| None);
            assert_eq!(poller.check(&run, &command), expected);
        }
    }
}
