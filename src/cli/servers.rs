//! Access to runs on servers, for subcommands. If a server does not respond and the last known state of a run is
//! enough, the functions only print a note to standard error.

use std::path::Path;

use crate::backend::github::address::Repository;
use crate::backend::github::client::ApiError;
use crate::backend::github::poller::Poller;
use crate::backend::runs::{Found, Runs, RunsError, WithLogs};
use crate::model::{Command, Run};
use crate::report::style;
use crate::store::folder::{RunFolder, RunsDir};
use crate::ui::terminal_text::text;

use super::{Failure, block_on, mistakes, runs_dir};

/// Finds a run by its id on this machine, or by its number or URL on a server, and updates it.
pub(super) fn find(runs: &RunsDir, wanted: &str, here: Option<&Path>) -> Result<RunFolder, Failure> {
    let Found { folder, outdated } = block_on(Runs::new(runs.clone()).find(wanted, here))??;
    note(&folder, outdated.as_ref());
    Ok(folder)
}

/// Finds a run as [`find`] does, by the first word of a command line. A word that names neither a run nor a workflow may be
/// meant as a command.
pub(super) fn find_word(runs: &RunsDir, word: &str, here: Option<&Path>) -> Result<RunFolder, Failure> {
    let Found { folder, outdated } =
        block_on(Runs::new(runs.clone()).find(word, here))?.map_err(|error| match error {
            RunsError::Workflow { .. } | RunsError::NeverRun(_) => error.into(),
            error => mistakes::no_run(word, error.into()),
        })?;
    note(&folder, outdated.as_ref());
    Ok(folder)
}

/// Finds a run like [`find`] without updating it, for a command that does so itself.
pub(super) fn locate(runs: &RunsDir, wanted: &str, here: Option<&Path>) -> Result<RunFolder, Failure> {
    Ok(block_on(Runs::new(runs.clone()).locate(wanted, here))??)
}

/// Finds a run of a repository given by name without updating it, for a command that does so itself.
pub(super) fn locate_in(runs: &RunsDir, wanted: &str, repository: &str) -> Result<RunFolder, Failure> {
    Ok(block_on(Runs::new(runs.clone()).locate_in(wanted, repository))??)
}

/// Updates a run from its server; does nothing for a run on this machine.
pub(super) fn refresh(folder: &RunFolder) -> Result<(), Failure> {
    let outdated = block_on(Runs::new(folder.runs()).refresh(folder))??;
    note(folder, outdated.as_ref());
    Ok(())
}

/// Checks that the server of a run responds.
pub(super) fn reach(folder: &RunFolder) -> Result<(), Failure> {
    Ok(block_on(Runs::new(folder.runs()).reach(folder))??)
}

/// Mirrors a run on a server for as long as the value lives. `None` for a run of this machine.
pub(super) async fn mirror(folder: &RunFolder) -> Result<Option<Poller>, Failure> {
    let Some((poller, outdated)) = Runs::new(folder.runs()).mirror(folder).await? else { return Ok(None) };
    note(folder, outdated.as_ref());
    Ok(Some(poller))
}

/// Updates a run, and downloads the logs of one job, of all failed jobs, or of all jobs. Returns the run, and why the
/// first missing log is not available.
pub(super) fn with_logs(
    folder: &RunFolder,
    job: Option<&str>,
    failed: bool,
) -> Result<(Run, Option<Failure>), Failure> {
    let WithLogs { run, outdated, missing } = block_on(Runs::new(folder.runs()).with_logs(folder, job, failed))??;
    note(folder, outdated.as_ref());
    Ok((run, missing.map(Failure::from)))
}

/// Sends requests to the server of a repository: the repository `name`, else that of `GH_REPO` or of the current
/// folder. Returns the repository and the answer.
pub(super) fn ask<T, E>(
    name: Option<&str>,
    ask: impl AsyncFnOnce(&Poller, &Repository) -> Result<T, E>,
) -> Result<(Repository, T), Failure>
where
    Failure: From<E>,
{
    let (runs, here) = (Runs::new(runs_dir()?), std::env::current_dir()?);
    block_on(async {
        let repository = runs.repository(name, &here)?;
        let answer = ask(runs.poller().map_err(RunsError::from)?, &repository).await?;
        Ok((repository, answer))
    })?
}

/// Whether neither `name` nor `GH_REPO` names a repository, and the current folder is not a checkout of one on a known
/// server.
pub(super) fn lacks_repository(name: Option<&str>) -> bool {
    let (Ok(runs), Ok(here)) = (runs_dir(), std::env::current_dir()) else { return false };
    matches!(Runs::new(runs).repository(name, &here), Err(RunsError::NoRepository(_)))
}

/// Sends a command to a run, through its worker or to its server.
pub(super) fn submit(folder: &RunFolder, command: &Command) -> Result<(), Failure> {
    Ok(block_on(Runs::new(folder.runs()).submit(folder, command))??)
}

fn note(folder: &RunFolder, outdated: Option<&ApiError>) {
    if let Some(error) = outdated {
        style::notice(&text!("note: {}; showing the last known state of {}", error.to_string(), folder.id()));
    }
}
