//! Runs on servers, for commands: a server that gives no answer is noted on standard error.

use std::path::Path;

use crate::backend::github::client::ApiError;
use crate::backend::github::poller::Poller;
use crate::backend::runs::{Found, Runs};
use crate::model::{Command, Run};
use crate::store::folder::{RunFolder, RunsDir};
use crate::ui::terminal_text::text;

use super::{Failure, block_on, style};

/// Finds a run by its id here, or by its number or URL on a server, and brings it up to date.
pub(super) fn find(runs: &RunsDir, wanted: &str, here: Option<&Path>) -> Result<RunFolder, Failure> {
    let Found { folder, outdated } = block_on(Runs::new(runs.clone()).find(wanted, here))??;
    note(&folder, outdated.as_ref());
    Ok(folder)
}

/// Brings a run on a server up to date.
pub(super) fn refresh(folder: &RunFolder) -> Result<(), Failure> {
    let outdated = block_on(Runs::new(folder.runs()).refresh(folder))??;
    note(folder, outdated.as_ref());
    Ok(())
}

/// Mirrors a run on a server for as long as the value lives. `None` for a run of this machine.
pub(super) async fn mirror(folder: &RunFolder) -> Result<Option<Poller>, Failure> {
    let Some((poller, outdated)) = Runs::new(folder.runs()).mirror(folder).await? else { return Ok(None) };
    note(folder, outdated.as_ref());
    Ok(Some(poller))
}

/// Returns a run after the logs of one job, of all jobs that failed, or of all jobs are downloaded.
pub(super) fn with_logs(folder: &RunFolder, run: Run, job: Option<&str>, failed: bool) -> Result<Run, Failure> {
    Ok(block_on(Runs::new(folder.runs()).with_logs(folder, run, job, failed))??)
}

/// Sends a command to a run, through its worker or to its server.
pub(super) fn submit(folder: &RunFolder, command: &Command) -> Result<(), Failure> {
    Ok(block_on(Runs::new(folder.runs()).submit(folder, command))??)
}

fn note(folder: &RunFolder, outdated: Option<&ApiError>) {
    if let Some(error) = outdated {
        style::notice(&text!("note: {}; {} is as it was known before", error.to_string(), folder.id()));
    }
}
