//! Runs on servers, for commands: which run is meant, and its folder as the server says now.

use std::path::Path;

use crate::backend::github::address::{AddressError, Repository, RunAddress, Target};
use crate::backend::github::poller::{PollError, Poller};
use crate::launch;
use crate::launch::commands;
use crate::model::{Command, Conclusion, JobId, Run, Summary};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::history;
use crate::store::history::Filter;
use crate::ui::terminal_text::text;

use super::{Exit, Failure, block_on, config, style};

/// Host of repositories that are named without one.
const DEFAULT_HOST: &str = "GH_HOST";

/// Finds a run: by its id here, or by its number or URL on a server. A run on a server is brought up to date; if the
/// server gives no answer, a remark says so, and the folder has what was known before.
pub(super) fn find(runs: &RunsDir, wanted: &str, here: Option<&Path>) -> Result<RunFolder, Failure> {
    let folder = match (launch::find(runs, wanted, here), target(wanted)) {
        (Err(unknown), Some(Ok(Target::Run(address)))) => {
            return find_at_server(runs, &address, here)?.ok_or_else(|| {
                let message =
                    format!("{unknown}; a run on a server is named OWNER/REPO/NUMBER outside of its checkout");
                Failure::new(Exit::NotFound, message)
            });
        }
        (Err(_), Some(Ok(Target::PullRequest { repository, number }))) => {
            let message = format!("{repository}#{number} is a pull request: name one of its runs");
            return Err(Failure::new(Exit::Usage, message));
        }
        (Err(_), Some(Err(error))) => return Err(error.into()),
        (folder, _) => folder?,
    };
    refresh(&folder)?;
    Ok(folder)
}

/// Reads a text as the name of a run on a server. `None` if it does not look like one.
fn target(wanted: &str) -> Option<Result<Target, AddressError>> {
    let is_number = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
    let host = std::env::var(DEFAULT_HOST).ok();
    (is_number || wanted.contains('/')).then(|| Target::parse(wanted, host.as_deref()))
}

/// Asks a server for a run, and mirrors what it says. `None` if only a number was given, outside of checkouts of a known
/// server.
fn find_at_server(runs: &RunsDir, address: &RunAddress, here: Option<&Path>) -> Result<Option<RunFolder>, Failure> {
    block_on(async {
        let poller = poller(runs.clone())?;
        let repository = match (&address.repository, here) {
            (Some(repository), _) => Some(repository.clone()),
            (None, Some(here)) => poller.checkout(here)?,
            (None, None) => None,
        };
        let Some(repository) = repository else { return Ok(None) };
        let opened = match poller.find(&repository, address.run).await {
            Ok(folder) => poller.refresh(&folder).await.map(|()| folder),
            Err(error) => Err(error),
        };
        match opened {
            Err(error) if is_transient(&error) => {
                let Some(folder) = known(runs, &repository, address.run)? else { return Err(error.into()) };
                outdated(&folder, &error);
                Ok(Some(folder))
            }
            opened => Ok(Some(opened?)),
        }
    })?
}

/// Finds the folder of a run that was mirrored before.
fn known(runs: &RunsDir, repository: &Repository, number: u64) -> Result<Option<RunFolder>, Failure> {
    let of = Filter { repository: Some(repository.full_name()), ..Filter::default() };
    let page = history::page(runs, &of, None, usize::MAX)?;
    let is_wanted = |run: &&Summary| {
        run.info.remote.as_ref().is_some_and(|remote| remote.id == number && remote.host == repository.host)
    };
    Ok(page.runs.iter().find(is_wanted).map(|run| runs.folder(run.info.id.clone())))
}

/// Asks the server of a run for its state now. Nothing is asked for a run of this machine.
pub(super) fn refresh(folder: &RunFolder) -> Result<(), Failure> {
    if !history::is_mirror(folder) {
        return Ok(());
    }
    known_at_least(folder, block_on(poller(folder.runs())?.refresh(folder))?)
}

/// Returns who mirrors a run, as long as the value lives. `None` for a run of this machine.
pub(super) async fn mirror(folder: &RunFolder) -> Result<Option<Poller>, Failure> {
    if !history::is_mirror(folder) {
        return Ok(None);
    }
    let poller = poller(folder.runs())?;
    // Without an answer, it goes on once the server answers again.
    known_at_least(folder, poller.open(folder).await)?;
    Ok(Some(poller))
}

/// Lets a server that gives no answer pass with a remark: the folder has what was known before.
fn known_at_least(folder: &RunFolder, opened: Result<(), PollError>) -> Result<(), Failure> {
    match opened {
        Err(error) if is_transient(&error) => {
            outdated(folder, &error);
            Ok(())
        }
        opened => Ok(opened?),
    }
}

/// Returns a run after the logs of one job, of all jobs that failed, or of all jobs are downloaded. A run of this machine
/// has them.
pub(super) fn with_logs(folder: &RunFolder, run: Run, job: Option<&str>, failed: bool) -> Result<Run, Failure> {
    if !history::is_mirror(folder) {
        return Ok(run);
    }
    let mut jobs = match job {
        Some(wanted) => run.jobs_named(wanted)?,
        None => run.jobs.values().collect(),
    };
    jobs.retain(|job| !failed || job.phase.conclusion().is_some_and(Conclusion::is_bad));
    let jobs: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    block_on(async {
        let poller = poller(folder.runs())?;
        match poller.refresh(folder).await {
            Ok(()) => poller.load_logs(folder, &jobs).await?,
            // The logs that are here are shown; a remark was made when the run was looked for.
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(Failure::from(error)),
        }
        Ok(())
    })??;
    Ok(history::read(folder)?)
}

/// Sends a command to a run, through its worker or to its server.
pub(super) fn submit(folder: &RunFolder, command: &Command) -> Result<(), Failure> {
    block_on(async {
        if history::is_mirror(folder) {
            return Ok(poller(folder.runs())?.submit(folder, command).await?);
        }
        Ok(commands::submit(folder, command).await?)
    })?
}

/// Asks for the newest runs of a repository. Returns its name without the host, and why its server gave no list, if it did
/// not. The name of a folder, which is that of a repository without a remote, is returned as it is.
pub(super) fn list(runs: &RunsDir, name: &str) -> Result<(String, Option<Failure>), Failure> {
    if name.starts_with("local/") {
        return Ok((name.to_owned(), None));
    }
    let repository = Repository::parse(name, std::env::var(DEFAULT_HOST).ok().as_deref())?;
    let full_name = repository.full_name();
    let listed = block_on(poller(runs.clone())?.list(&[repository]))?;
    Ok((full_name, listed.err().map(Failure::from)))
}

fn poller(runs: RunsDir) -> Result<Poller, Failure> {
    Ok(Poller::new(runs, config::load(None)?.github, |name| std::env::var(name).ok()))
}

/// Whether what was known before is worth showing.
fn is_transient(error: &PollError) -> bool {
    matches!(error, PollError::Api(error) if error.is_transient())
}

fn outdated(folder: &RunFolder, error: &PollError) {
    style::notice(&text!("note: {}; {} is as it was known before", error.to_string(), folder.id()));
}
