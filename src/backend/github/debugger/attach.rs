//! Finds the debugger of a job, and connects to it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::backend::github::client::{ApiError, Client};
use crate::backend::github::poller::Poller;
use crate::launch::shell;
use crate::model::capabilities::Unavailable;
use crate::model::rights::Debugger;
use crate::model::{Job, Run};
use crate::store::folder::RunFolder;
use crate::store::history;

use super::endpoint::Endpoint;
use super::session::Session;
use super::socket::Socket;
use super::{DebuggerError, Report};

/// How long to ask for the debugger of a running job, whose runner first sets the job up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Time between two requests for the state of a job and for its debugger.
const BETWEEN: Duration = Duration::from_secs(5);

/// A debugger that is connected.
pub struct Attached {
    /// Name of the job.
    pub job: String,
    /// The conversation with it.
    pub session: Session,
}

/// Connects to the debugger of a job of a run on GitHub: of the job with this id, key or name, or else of the one that
/// runs or waits for a runner. Waits for a job that has not started, and for up to a minute for the debugger of one
/// that runs. `wait` is called with the reason for the wait, and again whenever the reason changes.
///
/// # Errors
/// The settings, the server or the run do not allow it; the job has ended or runs without the debugger; the server or
/// the debugger do not respond; or the server names a debugger that must not get the token.
pub async fn attach(
    poller: &Poller,
    folder: &RunFolder,
    wanted: Option<&str>,
    wait: &mut dyn FnMut(String),
    report: Report<'_>,
) -> Result<Attached, DebuggerError> {
    let info = history::info(folder)?;
    let unavailable = |reason| DebuggerError::Unavailable { run: folder.id().to_string(), reason };
    let remote = info.remote.as_ref().ok_or_else(|| unavailable(Unavailable::Local))?;
    let client = poller.client(&remote.host).await?;
    match poller.debugger(&client) {
        Debugger::Missing => return Err(unavailable(Unavailable::NoDebugger)),
        Debugger::Off => return Err(unavailable(Unavailable::DebuggerOff)),
        Debugger::Offered => {}
    }
    let authorization = client.authorization().ok_or(DebuggerError::NoToken)?;
    let (mut since, mut reported) = (None, None);
    loop {
        poller.refresh(folder).await?;
        let run = history::read(folder)?;
        let job = job(&run, wanted)?;
        let of = || (folder.id().to_string(), job.name.clone(), job.id.to_string());
        let reason = match (&job.phase, job.remote) {
            (phase, _) if phase.is_done() => {
                let (run, job, job_id) = of();
                return Err(DebuggerError::Ended { run, job, job_id });
            }
            (phase, Some(id)) if phase.is_active() => {
                if let Some(endpoint) = find(&client, &info.repository, id).await? {
                    let socket = Socket::open(&endpoint, authorization).await?;
                    return Ok(Attached { job: job.name.clone(), session: Session::start(socket, report).await? });
                }
                if *since.get_or_insert_with(Instant::now) + PATIENCE < Instant::now() {
                    let (run, job, job_id) = of();
                    return Err(DebuggerError::Missing { run, job, job_id });
                }
                format!("waiting for the debugger of {}", job.name)
            }
            _ => format!("waiting for {} to start", job.name),
        };
        if reported.as_ref() != Some(&reason) {
            wait(reason.clone());
            reported = Some(reason);
        }
        sleep(BETWEEN).await;
    }
}

/// Returns the job with this id, key or name; without a name, the first one that runs, or else the first that waits.
fn job<'r>(run: &'r Run, wanted: Option<&str>) -> Result<&'r Job, DebuggerError> {
    let mut jobs = run.jobs.values();
    match wanted {
        None if !run.jobs.values().any(|job| job.phase.is_active()) => {
            let waiting = jobs.find(|job| !job.phase.is_done());
            waiting.map_or_else(|| Ok(shell::job(run, None)?), Ok)
        }
        wanted => Ok(shell::job(run, wanted)?),
    }
}

/// Asks the server for the debugger of a job. `None` if it names none.
///
/// The published description of the API lacks this request: GitHub's extension of Visual Studio Code sends it.
async fn find(client: &Client, repository: &str, job: u64) -> Result<Option<Endpoint>, DebuggerError> {
    let body = match client.unstored(&format!("/repos/{repository}/actions/jobs/{job}/debugger")).await {
        Err(ApiError::Refused { status: 404, .. }) => return Ok(None),
        body => body?,
    };
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(address) = answer["debugger_url"].as_str() else { return Ok(None) };
    Ok(Some(Endpoint::parse(address, client.host())?))
}
