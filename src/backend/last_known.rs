//! The last known state of a run on a server that does not respond.

use std::time::Duration;

use tokio::time::timeout;

use crate::store::folder::RunFolder;
use crate::store::history;
use crate::store::spec::RunSpec;

use super::github::client::{ApiError, Condition};
use super::github::poller::{Links, PollError, Poller};

/// How long to wait for the server of a run that is known to have ended.
const ENDED_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until a run is updated. If its server does not respond, returns the error, and the run has its last known
/// state. A run that has ended rarely changes, so that state is then returned instead of waiting for a slow server, or
/// for a second attempt to reach it.
///
/// # Errors
/// The server refuses, or the folder of the run cannot be written.
pub(super) async fn or(
    poller: &Poller,
    folder: &RunFolder,
    updating: impl Future<Output = Result<(), PollError>>,
) -> Result<Option<ApiError>, PollError> {
    let updated = if history::read(folder).is_ok_and(|run| run.phase.is_done()) {
        let spec = RunSpec::read(folder)?;
        let host = spec.work.remote().map(|remote| remote.host.clone()).unwrap_or_default();
        tokio::select! {
            updated = updating => updated,
            error = no_answer(poller, host) => return Ok(Some(error)),
        }
    } else {
        updating.await
    };
    match updated {
        Ok(()) => Ok(None),
        Err(PollError::Api(error)) if error.is_transient() => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// Waits until a request to a server has failed, or until the time is up. Returns the error of the requests that are
/// sent again later, or that there was no answer.
async fn no_answer(poller: &Poller, host: String) -> ApiError {
    let mut links = poller.links();
    let fails = links.wait_for(|links| matches!(condition(links, &host), Some(Condition::Failing { .. })));
    // Only the condition matters. The sender lives as long as the poller.
    let _ = timeout(ENDED_TIMEOUT, fails).await;
    match condition(&poller.links().borrow(), &host) {
        None | Some(Condition::Live) => {
            let reason = format!("no answer for {} s", ENDED_TIMEOUT.as_secs());
            ApiError::Unreachable { host, reason }
        }
        Some(condition) => ApiError::Held(condition.clone()),
    }
}

fn condition<'l>(links: &'l Links, host: &str) -> Option<&'l Condition> {
    links.get(host).map(|server| &server.link.condition)
}
