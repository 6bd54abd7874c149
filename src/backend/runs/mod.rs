//! Runs of this machine and of servers, for a process that performs one operation on a run and ends, such as a
//! subcommand. A run on a server is mirrored first, so that its folder has the current state.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::config::{Config, ConfigError};
use crate::launch;
use crate::launch::commands;
use crate::model::{Command, Conclusion, JobId, RepositoryId, Run, Summary, Wait};
use crate::repo::git;
use crate::repo::git::git;
use crate::repo::workflows;
use crate::store::artifacts::Artifact;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::history::Filter;
use crate::store::spec::RunSpec;
use crate::store::{StoreError, artifacts, history};

use super::commit_watch::{Commit, CommitWatch};
use super::github::address::{AddressError, Repository, RunAddress, Target};
use super::github::client::ApiError;
use super::github::poller::{PollError, Poller, SubmitError};
use super::last_known;

mod error;

pub use error::RunsError;

/// Variable with the default host of repositories, as in `gh`.
const DEFAULT_HOST: &str = "GH_HOST";

/// Variable with the default repository of commands, as in `gh`.
const DEFAULT_REPOSITORY: &str = "GH_REPO";

/// Runs of this machine and of the configured servers. The settings are read when a server is first needed.
pub struct Runs {
    dir: RunsDir,
    poller: OnceLock<Poller>,
}

/// A run that was found.
pub struct Found {
    /// The run's folder.
    pub folder: RunFolder,
    /// Why the folder only has the last known state: the server did not respond. `None` if the state is current.
    pub outdated: Option<ApiError>,
}

/// A run and its logs.
pub struct WithLogs {
    /// The run.
    pub run: Run,
    /// Why the folder only has the last known state; `None` if the state is current.
    pub outdated: Option<ApiError>,
    /// Why the first missing log is not available; `None` if no requested log is missing.
    pub missing: Option<PollError>,
}

/// Result of requesting the newest runs of a repository.
pub struct Listed {
    /// Name of the repository, without the host.
    pub repository: String,
    /// Why its server returned no list; `None` if it returned one.
    pub unlisted: Option<PollError>,
}

impl Runs {
    /// Returns the runs of a state folder and of the servers in the user's settings.
    #[must_use]
    pub fn new(dir: RunsDir) -> Self {
        Self { dir, poller: OnceLock::new() }
    }

    /// Returns the state folder.
    #[must_use]
    pub fn dir(&self) -> &RunsDir {
        &self.dir
    }

    /// Finds a run by its id on this machine, or by its id or URL on a server, and updates it. `latest` and ids on a
    /// server refer to the repository that contains `here`.
    ///
    /// # Errors
    /// No run matches, or its server refuses.
    pub async fn find(&self, wanted: &str, here: Option<&Path>) -> Result<Found, RunsError> {
        let folder = self.locate(wanted, here).await?;
        let outdated = self.refresh(&folder).await?;
        Ok(Found { folder, outdated })
    }

    /// Finds a run like [`Self::find`], for a caller that updates it itself. A server is contacted only for a run that
    /// was never listed.
    ///
    /// # Errors
    /// As for [`Self::find`].
    pub async fn locate(&self, wanted: &str, here: Option<&Path>) -> Result<RunFolder, RunsError> {
        match (launch::find(&self.dir, wanted, here), target(wanted)) {
            (Err(unknown), Some(Ok(Target::Run(address)))) => {
                self.locate_at_server(&address, here).await?.ok_or_else(|| unknown_number(unknown, wanted))
            }
            (Err(_), Some(Ok(Target::PullRequest { repository, number }))) => {
                Err(RunsError::PullRequest { repository, number })
            }
            (Err(_), Some(Err(error))) => Err(self.workflow(wanted, here)?.unwrap_or(RunsError::Address(error))),
            (Err(unknown @ StoreError::NoSuchRun { .. }), None) => {
                Err(self.workflow(wanted, here)?.unwrap_or(RunsError::Store(unknown)))
            }
            (folder, _) => Ok(folder?),
        }
    }

    /// Returns the error for the name of a workflow in place of a run's; `None` if no workflow has this name.
    fn workflow(&self, wanted: &str, here: Option<&Path>) -> Result<Option<RunsError>, StoreError> {
        let repository = here.and_then(|here| git::Repository::discover(here).ok());
        let file = repository.as_ref().zip(here).and_then(|(repository, here)| {
            let file = workflows::find(Some(wanted), here, &repository.root).ok()?;
            let is_workflow = file.starts_with(repository.root.join(workflows::FOLDER));
            is_workflow.then(|| workflows::relative(&file, &repository.root))
        });
        let filter = Filter {
            repository: repository.map(|repository| repository.id()),
            workflow: Some(file.clone().unwrap_or_else(|| wanted.to_owned())),
            ..Filter::default()
        };
        let newest = history::page(&self.dir, &filter, None, 1)?.runs.pop();
        let wanted = wanted.to_owned();
        Ok(match newest {
            Some(newest) => Some(RunsError::Workflow { wanted, newest: newest.info.id }),
            None => file.map(|_| RunsError::NeverRun(wanted)),
        })
    }

    /// Finds a run of the repository `name` (`[HOST/]OWNER/NAME`): `latest`, the newest one that its server lists, or
    /// the id of a run on the server. Other texts are handled like in [`Self::locate`].
    ///
    /// # Errors
    /// No run matches, `name` is not a repository, or its server refuses.
    pub async fn locate_in(&self, wanted: &str, name: &str) -> Result<RunFolder, RunsError> {
        let repository = Repository::parse(name, default_host().as_deref())?;
        if wanted == "latest" {
            let listed = self.poller()?.list(std::slice::from_ref(&repository)).await;
            // If the server does not respond, the last known run is returned.
            return match (self.mirrored(&repository, |_| true)?, listed) {
                (_, Err(error)) if !error.is_transient() => Err(error.into()),
                (Some(folder), _) => Ok(folder),
                (None, Err(error)) => Err(error.into()),
                (None, Ok(())) => Err(RunsError::NoRun(repository)),
            };
        }
        match target(wanted) {
            Some(Ok(Target::Run(address @ RunAddress { repository: None, .. }))) => {
                let address = RunAddress { repository: Some(repository.clone()), ..address };
                self.locate_at_server(&address, None).await?.ok_or(RunsError::NoRun(repository))
            }
            _ => self.locate(wanted, None).await,
        }
    }

    /// Finds the folder of a run on a server, which is contacted if the run is unknown. `None` if only an id was given
    /// outside of a checkout of a known server.
    async fn locate_at_server(
        &self,
        address: &RunAddress,
        here: Option<&Path>,
    ) -> Result<Option<RunFolder>, RunsError> {
        let poller = self.poller()?;
        let repository = match (&address.repository, here) {
            (Some(repository), _) => Some(repository.clone()),
            (None, Some(here)) => poller.checkout(here)?,
            (None, None) => None,
        };
        let Some(repository) = repository else { return Ok(None) };
        match self.mirrored(&repository, |run| run == address.run)? {
            Some(folder) => Ok(Some(folder)),
            None => Ok(Some(poller.find(&repository, address.run).await?)),
        }
    }

    /// Finds the folder of the newest mirrored run of a repository, among the runs whose id on the server matches.
    fn mirrored(
        &self,
        repository: &Repository,
        is_number: impl Fn(u64) -> bool,
    ) -> Result<Option<RunFolder>, StoreError> {
        let of = Filter { repository: Some(RepositoryId::named(repository.full_name())), ..Filter::default() };
        let page = history::page(&self.dir, &of, None, usize::MAX)?;
        let is_wanted = |run: &&Summary| {
            run.info.remote.as_ref().is_some_and(|remote| is_number(remote.id) && remote.host == repository.host)
        };
        Ok(page.runs.iter().find(is_wanted).map(|run| self.dir.folder(run.info.id.clone())))
    }

    /// Updates a run from its server; does nothing for a run of this machine. If the server does not respond, returns
    /// its error, and the folder has the last known state; else returns `None`. For a run that has ended, the server
    /// has 5 s and one attempt to respond.
    ///
    /// # Errors
    /// The server refuses, or the folder cannot be written.
    pub async fn refresh(&self, folder: &RunFolder) -> Result<Option<ApiError>, RunsError> {
        if !history::is_mirror(folder) {
            return Ok(None);
        }
        let poller = self.poller()?;
        Ok(last_known::or(poller, folder, poller.refresh(folder)).await?)
    }

    /// Checks that the server of a run responds, even if another process mirrors the run: the state that it has
    /// recorded may be old.
    ///
    /// # Errors
    /// The server refuses or does not respond.
    pub async fn reach(&self, folder: &RunFolder) -> Result<(), RunsError> {
        if let Some(remote) = RunSpec::read(folder)?.work.remote() {
            let repository = Repository::parse(&format!("{}/{}", remote.host, remote.repository), None)?;
            self.poller()?.find(&repository, remote.id).await?;
        }
        Ok(())
    }

    /// Mirrors a run that the user follows, for as long as `self` lives. Returns `None` for a run of this machine;
    /// otherwise the poller, and the error if the server has not responded yet, for which [`Self::refresh`] has limits.
    ///
    /// # Errors
    /// The server refuses, or the folder cannot be written.
    pub async fn mirror(&self, folder: &RunFolder) -> Result<Option<(Poller, Option<ApiError>)>, RunsError> {
        if !history::is_mirror(folder) {
            return Ok(None);
        }
        let poller = self.poller()?;
        let outdated = last_known::or(poller, folder, poller.open(folder)).await?;
        poller.focus(folder.id()).await;
        Ok(Some((poller.clone(), outdated)))
    }

    /// Updates a run, and downloads the logs of one job (`JOB` or `JOB/STEP`), of all failed jobs, or of all jobs. The
    /// logs of a run of this machine are already there. If the server does not respond, only the existing logs are
    /// returned.
    ///
    /// # Errors
    /// The run has no such job, or its server refuses.
    pub async fn with_logs(&self, folder: &RunFolder, job: Option<&str>, failed: bool) -> Result<WithLogs, RunsError> {
        let outdated = self.refresh(folder).await?;
        let run = history::read(folder)?;
        if !history::is_mirror(folder) || outdated.is_some() {
            return Ok(WithLogs { run, outdated, missing: None });
        }
        let mut jobs = run.jobs_wanted(run.job_and_step(job, None).0)?;
        jobs.retain(|job| job.lacks_log() && (!failed || job.phase.conclusion().is_some_and(Conclusion::is_bad)));
        let jobs: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
        if jobs.is_empty() {
            return Ok(WithLogs { run, outdated, missing: None });
        }
        let missing = self.poller()?.load_logs(folder, &jobs).await.err();
        Ok(WithLogs { run: history::read(folder)?, outdated, missing })
    }

    /// Returns why a run and its jobs wait, as [`Poller::waits`] does. If the server does not respond, details that
    /// only it knows are left out.
    ///
    /// # Errors
    /// The run's folder cannot be read, or the settings are invalid.
    pub async fn waits(&self, folder: &RunFolder) -> Result<Vec<Wait>, RunsError> {
        if !history::is_mirror(folder) {
            return Ok(history::read(folder)?.waits());
        }
        match self.poller()?.waits(folder).await {
            Err(error) if error.is_transient() => Ok(history::read(folder)?.waits()),
            waits => Ok(waits?),
        }
    }

    /// Finds a commit: by its full id; by an abbreviated id in the checkout `here`; or on the server by a branch,
    /// another ref, or a pull request given as `#12`, `pull/12` or its URL. Without `revision`, returns the commit of
    /// the checkout.
    ///
    /// # Errors
    /// The commit does not exist, or `here` is not a checkout of a known server and no `repository` is named.
    pub async fn commit(
        &self,
        repository: Option<&str>,
        revision: Option<&str>,
        here: &Path,
    ) -> Result<Commit, RunsError> {
        let poller = self.poller()?;
        let named = repository.map(|name| Repository::parse(name, default_host().as_deref())).transpose()?;
        let of_url = revision.and_then(|text| Target::parse(text, default_host().as_deref()).ok());
        if let Some(Target::PullRequest { repository, number }) = of_url {
            let sha = poller.commit(&repository, &pull_request(number)).await?;
            return Ok(Commit { repository, sha });
        }
        let is_elsewhere = named.is_some();
        let repository = match named {
            Some(repository) => repository,
            None => self.checkout(here)?,
        };
        let local = |revision: &str| {
            let commit = format!("{revision}^{{commit}}");
            Ok::<_, RunsError>(
                git(here, ["rev-parse", "--verify", "--end-of-options", commit.as_str()])?.trim().to_owned(),
            )
        };
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sha = match revision {
            None => local("HEAD")?,
            Some(text) if text.len() == 40 && is_hex(text) => text.to_ascii_lowercase(),
            Some(text) => match text.strip_prefix('#').or_else(|| text.strip_prefix("pull/")).map(str::parse::<u64>) {
                Some(Ok(number)) => poller.commit(&repository, &pull_request(number)).await?,
                _ if !is_elsewhere && text.len() >= 7 && is_hex(text) => match local(text) {
                    Ok(sha) => sha,
                    Err(_) => poller.commit(&repository, text).await?,
                },
                _ => poller.commit(&repository, text).await?,
            },
        };
        Ok(Commit { repository, sha })
    }

    /// Follows the runs of a commit.
    ///
    /// # Errors
    /// The settings are invalid.
    pub fn watch(&self, commit: Commit) -> Result<CommitWatch, ConfigError> {
        Ok(CommitWatch::new(self.poller()?.clone(), commit))
    }

    /// Sends a command to a run, through its worker or to its server. After a command to a server, all mirroring of
    /// this process has ended.
    ///
    /// # Errors
    /// The command was refused, or did not reach the run.
    pub async fn submit(&self, folder: &RunFolder, command: &Command) -> Result<(), RunsError> {
        if history::is_mirror(folder) {
            let poller = self.poller()?;
            let result = poller.submit(folder, command).await;
            // Finishes the commands that other processes have sent through this one.
            poller.close().await;
            return Ok(result?);
        }
        Ok(commands::submit(folder, command).await.map_err(SubmitError::from)?)
    }

    /// Returns the artifacts of a run.
    ///
    /// # Errors
    /// The run's folder cannot be read, or its server refuses or does not respond.
    pub async fn artifacts(&self, folder: &RunFolder) -> Result<Vec<Artifact>, RunsError> {
        if history::is_mirror(folder) {
            return Ok(self.poller()?.artifacts(folder).await?);
        }
        Ok(artifacts::list(folder)?)
    }

    /// Downloads artifacts of a run into a folder, as [`launch::artifacts::download`] does. Archives are not unpacked.
    ///
    /// # Errors
    /// A name is unknown or a file already exists, in which case nothing is downloaded; or the server refuses or does
    /// not respond.
    pub async fn download(&self, folder: &RunFolder, names: &[String], into: &Path) -> Result<Vec<PathBuf>, RunsError> {
        if !history::is_mirror(folder) {
            return Ok(launch::artifacts::download(folder, names, into)?);
        }
        let poller = self.poller()?;
        let wanted = launch::artifacts::prepare(poller.artifacts(folder).await?, names, into)?;
        let mut files = Vec::new();
        for artifact in &wanted {
            files.push(poller.download(folder, artifact, into).await?);
        }
        Ok(files)
    }

    /// Deletes the artifacts of a run with these names, of all attempts. Returns them.
    ///
    /// # Errors
    /// A name is unknown, in which case nothing is deleted; the run is in progress on this machine; an artifact cannot
    /// be removed; or the server refuses or does not respond.
    pub async fn delete_artifacts(&self, folder: &RunFolder, names: &[String]) -> Result<Vec<Artifact>, RunsError> {
        if !history::is_mirror(folder) {
            return Ok(launch::artifacts::delete(folder, names)?);
        }
        let poller = self.poller()?;
        let unwanted = launch::artifacts::named(poller.artifacts(folder).await?, names)?;
        for artifact in &unwanted {
            poller.delete_artifact(folder, artifact).await?;
        }
        Ok(unwanted)
    }

    /// Requests the newest runs of a repository, given as `[HOST/]OWNER/NAME`, and the newest `most` runs that meet the
    /// conditions of a filter. Sends no request for a name `local/…`, which belongs to a repository without a remote.
    ///
    /// # Errors
    /// The text is not the name of a repository, or the settings are invalid.
    pub async fn list(&self, name: &str, filter: &Filter, most: usize) -> Result<Listed, RunsError> {
        if name.starts_with("local/") {
            return Ok(Listed { repository: name.to_owned(), unlisted: None });
        }
        let repository = Repository::parse(name, default_host().as_deref())?;
        let poller = self.poller()?;
        let listed = match poller.list(std::slice::from_ref(&repository)).await {
            Ok(()) => poller.list_matching(&repository, filter, most).await,
            unlisted => unlisted,
        };
        Ok(Listed { repository: repository.full_name(), unlisted: listed.err() })
    }

    /// Returns the repository that `name` names; without a name, the one that `GH_REPO` names, or else the repository
    /// of the checkout that contains `here`.
    ///
    /// # Errors
    /// The text is not the name of a repository, or no repository is known.
    pub fn repository(&self, name: Option<&str>, here: &Path) -> Result<Repository, RunsError> {
        match name.map(str::to_owned).or_else(|| std::env::var(DEFAULT_REPOSITORY).ok()) {
            Some(name) => Ok(Repository::parse(&name, default_host().as_deref())?),
            None => self.checkout(here),
        }
    }

    /// Returns the repository of the checkout that contains `here`.
    fn checkout(&self, here: &Path) -> Result<Repository, RunsError> {
        let poller = self.poller()?;
        match poller.checkout(here)? {
            Some(repository) => Ok(repository),
            None => Err(RunsError::NoRepository(poller.no_checkout(here)?)),
        }
    }

    /// Returns the poller of the configured servers.
    ///
    /// # Errors
    /// The settings are invalid.
    pub fn poller(&self) -> Result<&Poller, ConfigError> {
        if let Some(poller) = self.poller.get() {
            return Ok(poller);
        }
        let config = Config::load(None)?.github;
        Ok(self.poller.get_or_init(|| Poller::new(self.dir.clone(), config, |name| std::env::var(name).ok())))
    }
}

/// Parses a text as the name of a run on a server. `None` if it does not look like one.
fn target(wanted: &str) -> Option<Result<Target, AddressError>> {
    let is_number = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
    (is_number || wanted.contains('/')).then(|| Target::parse(wanted, default_host().as_deref()))
}

/// Number of digits of the longest number that an id of this machine has: its date. The numbers of GitHub's runs are
/// longer.
const DIGITS_OF_DATE: usize = 8;

/// Returns the error for a number that names no run, outside of a checkout of a known server.
fn unknown_number(unknown: StoreError, number: &str) -> RunsError {
    match unknown {
        unknown @ StoreError::NoSuchRun { .. } if number.len() > DIGITS_OF_DATE => RunsError::NoCheckout(unknown),
        unknown => RunsError::Store(unknown),
    }
}

/// Returns the ref of the newest commit of a pull request.
fn pull_request(number: u64) -> String {
    format!("refs/pull/{number}/head")
}

fn default_host() -> Option<String> {
    std::env::var(DEFAULT_HOST).ok()
}
