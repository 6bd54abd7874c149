//! Commands of the user as requests to a server.

use serde_json::json;

use crate::backend::github::client::{ApiError, Change, Client, Mutation};
use crate::model::capabilities::Unavailable;
use crate::model::{Command, Reply, RerunScope, Run};
use crate::store::spec::RemoteSpec;

/// Returns the request of a command for a run, or why there is none.
pub(super) fn request(command: &Command, remote: &RemoteSpec, run: &Run) -> Result<Mutation, Unavailable> {
    let of_run = |what: &str| format!("/repos/{}/actions/runs/{}/{what}", remote.repository, remote.id);
    let post = |path: String, body| Ok(Mutation { change: Change::Post, path, body });
    match command {
        Command::Cancel => post(of_run("cancel"), None),
        Command::ForceCancel => post(of_run("force-cancel"), None),
        Command::Rerun { what, debug } => {
            let body = debug.then(|| json!({"enable_debug_logging": true}));
            match what {
                RerunScope::All => post(of_run("rerun"), body),
                RerunScope::Failed => post(of_run("rerun-failed-jobs"), body),
                RerunScope::Job(id) => {
                    let job = run.jobs.get(id).and_then(|job| job.remote).ok_or(Unavailable::JobNotStarted)?;
                    post(format!("/repos/{}/actions/jobs/{job}/rerun", remote.repository), body)
                }
                RerunScope::Step { .. } => Err(Unavailable::Remote),
            }
        }
        Command::Review { environments, approve, comment } => {
            let state = if *approve { "approved" } else { "rejected" };
            let body = json!({"environment_ids": environments, "state": state, "comment": comment});
            post(of_run("pending_deployments"), Some(body))
        }
        Command::Resume | Command::Yield { .. } | Command::Watch => Err(Unavailable::Remote),
    }
}

/// Sends a request, and returns the answer for the user.
pub(super) async fn send(client: &Client, request: &Mutation) -> Reply {
    match client.send(request).await {
        Ok(_) => Reply::Accepted,
        Err(error @ ApiError::Doubtful { .. }) => {
            Reply::Rejected { reason: format!("{error}; look at the run before you do it again") }
        }
        Err(error) => Reply::Rejected { reason: error.to_string() },
    }
}
