//! Watches runs on servers: lists the runs of repositories, mirrors opened runs, and sends commands.
//!
//! There is one task per server. It polls one resource at a time, in the order of a [`Schedule`], which keeps all
//! requests within the limit of the server. Each opened run has a task as well: it holds the run's lock, listens on its
//! socket as a worker does, and writes what was polled into its folder. A second process that opens the same run only
//! reads.
//!
//! - [`dates`]: when runs were created, for servers that do not report it
//! - [`fetch`]: the requests for one run
//! - `folders`: lists of runs, with the folders of workflow files where the server does not name them
//! - [`host`]: the task of a server
//! - [`live`]: logs of running jobs
//! - `matching`: runs that meet conditions; `caches`: the cache entries of repositories
//! - [`mirrored`]: the task of an opened run
//! - [`order`]: converts commands to requests
//! - `rights`: what the token may change
//! - [`steer`]: workflows: listed, enabled, dispatched
//!
//! [`Schedule`]: super::client::budget::Schedule

mod artifacts;
mod caches;
mod commit;
mod dates;
mod error;
mod fetch;
mod folders;
mod host;
mod live;
mod matching;
mod mirrored;
mod order;
mod rights;
pub mod steer;
mod waits;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::config::GithubConfig;
use crate::launch::commands;
use crate::launch::commands::CommandError;
use crate::model::rights::KnownRights;
use crate::model::{Command, Event, JobId, RunId, Timestamp};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::history;
use crate::store::spec::RunSpec;

use super::address::Repository;
use super::checkout::NoCheckout;
use super::client::{Client, LinkState};
use super::runner::Runners;
use super::wire::runs::Run as WireRun;
use super::{checkout, connect, hosts};

pub use error::{LogFault, PollError, SubmitError, WatchFault};

/// Watches servers until its last clone is dropped. Connects to a server when it is first needed.
#[derive(Clone)]
pub struct Poller(Arc<Shared>);

struct Shared {
    runs: RunsDir,
    config: GithubConfig,
    variable: fn(&str) -> Option<String>,
    hosts: Mutex<HashMap<String, Host>>,
    tasks: Mutex<JoinSet<()>>,
    faults: Arc<watch::Sender<Option<WatchFault>>>,
    links: Arc<watch::Sender<Links>>,
    rights: watch::Sender<KnownRights>,
    /// The runners on this machine.
    runners: Arc<Runners>,
}

/// The state of each server, by name.
pub type Links = BTreeMap<String, ServerState>;

/// The state of a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServerState {
    /// State of the link to the server.
    pub link: LinkState,
    /// Time of the next poll; `None` if none is scheduled.
    pub next: Option<Timestamp>,
}

/// Handle of the task of a server.
#[derive(Clone)]
struct Host {
    asks: mpsc::Sender<Ask>,
    client: Client,
}

/// A request to the task of a server.
enum Ask {
    /// List the runs of these repositories from now on.
    Watch(Vec<Repository>),
    /// Fetch the lists of runs of these repositories now.
    List { repositories: Vec<Repository>, answer: oneshot::Sender<Result<(), PollError>> },
    /// Mirror listed runs without their jobs. Runs without an id or a time are left out.
    Mirror { repository: Repository, runs: Vec<WireRun>, answer: oneshot::Sender<Result<Vec<RunId>, PollError>> },
    /// Find a run by its id.
    Find { repository: Repository, id: u64, answer: oneshot::Sender<Result<RunId, PollError>> },
    /// Mirror a run from now on. Answered once its folder has the current state.
    Open { spec: Box<RunSpec>, purpose: Purpose, answer: oneshot::Sender<Result<(), PollError>> },
    /// Mirror a run from now on, and download the logs of these jobs. Answered once they are downloaded; without jobs,
    /// once the downloads in progress have ended.
    LoadLogs { spec: Box<RunSpec>, jobs: Vec<JobId>, answer: oneshot::Sender<Result<(), PollError>> },
    /// Append an event to the journal of an opened run.
    Record { run: RunId, event: Box<Event>, answer: oneshot::Sender<Result<(), PollError>> },
    /// Set the run that the user is looking at.
    Focus(RunId),
    /// Set from when the user counts as away; `None` while the user is looking at the screen.
    Attend(Option<Timestamp>),
}

/// Purpose of mirroring a run. Each purpose includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Purpose {
    /// The state of the run, for a process that ends soon.
    State,
    /// Changes, and commands that other processes send.
    Changes,
    /// Logs, as soon as they are available.
    Logs,
}

/// Maximum number of attempts to send a command, each through a process that may end meanwhile.
const MAX_SUBMITS: u32 = 4;

/// Maximum number of queued requests to the task of a server.
const MAX_ASKS: usize = 64;

impl Poller {
    /// Returns a poller of the configured servers. `variable` reads environment variables that contain tokens.
    #[must_use]
    pub fn new(runs: RunsDir, config: GithubConfig, variable: fn(&str) -> Option<String>) -> Self {
        let links = Arc::new(watch::Sender::new(Links::new()));
        let rights = watch::Sender::new(KnownRights::default());
        let runners = Arc::new(Runners::new(&config.runners));
        Self(Arc::new(Shared {
            runs,
            config,
            variable,
            hosts: Mutex::default(),
            tasks: Mutex::default(),
            faults: Arc::default(),
            links,
            rights,
            runners,
        }))
    }

    /// Returns a receiver of the state of the link to each connected server and of its changes.
    #[must_use]
    pub fn links(&self) -> watch::Receiver<Links> {
        self.0.links.subscribe()
    }

    /// Returns a receiver of the last fault that ended the mirroring of a run or the listing of a watched repository;
    /// `None` if there was none yet.
    #[must_use]
    pub fn faults(&self) -> watch::Receiver<Option<WatchFault>> {
        self.0.faults.subscribe()
    }

    /// Returns the repository of a checkout, if it is on a configured server.
    ///
    /// # Errors
    /// The settings name an invalid host.
    pub fn checkout(&self, folder: &Path) -> Result<Option<Repository>, PollError> {
        let hosts = hosts(&self.0.config)?;
        let names: Vec<&str> = hosts.iter().map(super::address::Host::name).collect();
        Ok(checkout::repository(folder, &names))
    }

    /// Returns why a folder is not a checkout of a repository on a known server.
    ///
    /// # Errors
    /// The settings name an invalid host.
    pub fn no_checkout(&self, folder: &Path) -> Result<NoCheckout, PollError> {
        let hosts = hosts(&self.0.config)?;
        Ok(NoCheckout::of(folder, hosts.iter().map(|host| host.name().to_owned()).collect()))
    }

    /// Returns the repositories whose runs are listed automatically: the ones in the settings, and the one of a
    /// checkout if there is a token for its server.
    ///
    /// # Errors
    /// The settings name an invalid host or repository.
    pub async fn repositories(&self, folder: &Path) -> Result<Vec<Repository>, PollError> {
        let named = self.0.config.repositories.iter().map(|name| Repository::parse(name, None));
        let mut repositories: Vec<Repository> = named.collect::<Result<_, _>>()?;
        let here = self.checkout(folder)?.filter(|here| !repositories.contains(here));
        if let Some(here) = here {
            match self.host(&here.host).await {
                Ok(host) if host.client.has_token() => repositories.push(here),
                Ok(_) => {}
                // The repositories of the settings are still listed.
                Err(error) => tracing::warn!(%error, repository = %here, "the runs of this checkout are not listed"),
            }
        }
        Ok(repositories)
    }

    /// Polls the lists of the runs of repositories from now on.
    ///
    /// # Errors
    /// The first server that cannot be connected to. The other servers are still watched.
    pub async fn watch(&self, repositories: &[Repository]) -> Result<(), PollError> {
        let mut result = Ok(());
        for (name, repositories) in by_host(repositories) {
            match self.host(&name).await {
                // The task ends with the last copy of this poller.
                Ok(host) => drop(host.asks.send(Ask::Watch(repositories)).await),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// Fetches the newest runs of repositories now, and mirrors them without their jobs. A list that is less than 8 s
    /// old is not fetched again.
    ///
    /// # Errors
    /// The first server that does not respond. The others are still asked.
    pub async fn list(&self, repositories: &[Repository]) -> Result<(), PollError> {
        let mut result = Ok(());
        for (name, repositories) in by_host(repositories) {
            let listed = match self.host(&name).await {
                Ok(host) => host.ask(|answer| Ask::List { repositories, answer }).await,
                Err(error) => Err(error),
            };
            result = result.and(listed);
        }
        result
    }

    /// Fetches a run by its id, mirrors it without its jobs, and returns its folder.
    ///
    /// # Errors
    /// The server does not know the run or gives no answer, or the folder cannot be written.
    pub async fn find(&self, repository: &Repository, id: u64) -> Result<RunFolder, PollError> {
        let repository = repository.clone();
        let host = self.host(&repository.host).await?;
        let found = host.ask(|answer| Ask::Find { repository, id, answer }).await?;
        Ok(self.0.runs.folder(found))
    }

    /// Mirrors a run from now on, and accepts commands for it from every process. Also downloads its logs, and
    /// determines what the token may change. Returns once the run's folder has the current state. Does nothing for a
    /// run of this machine, and does not wait for the state of a run that another process mirrors.
    ///
    /// # Errors
    /// The server gives no answer, or the folder cannot be written.
    pub async fn open(&self, folder: &RunFolder) -> Result<(), PollError> {
        let mirrored = self.mirror(folder, Purpose::Logs).await;
        // A token that may not read the run may not change it either.
        if !mirrored.as_ref().is_err_and(PollError::is_transient) {
            self.learn_of(folder).await?;
        }
        mirrored
    }

    /// Mirrors a run like [`Self::open`], without its logs.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn watch_run(&self, folder: &RunFolder) -> Result<(), PollError> {
        self.mirror(folder, Purpose::Changes).await
    }

    /// Mirrors a run like [`Self::open`], for a process that ends soon: accepts no commands, and downloads no logs
    /// automatically.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn refresh(&self, folder: &RunFolder) -> Result<(), PollError> {
        self.mirror(folder, Purpose::State).await
    }

    /// Ends the tasks of all servers and runs once they have finished the accepted commands, including commands of
    /// other processes.
    pub async fn close(&self) {
        self.0.hosts.lock().await.clear();
        while self.0.tasks.lock().await.join_next().await.is_some() {}
    }

    async fn mirror(&self, folder: &RunFolder, purpose: Purpose) -> Result<(), PollError> {
        let spec = Box::new(RunSpec::read(folder)?);
        let Some(remote) = spec.work.remote() else { return Ok(()) };
        let host = self.host(&remote.host).await?;
        host.ask(|answer| Ask::Open { spec, purpose, answer }).await
    }

    /// Opens a run like [`Self::open`], and sends a command to its server through the process that mirrors the run:
    /// this one, unless another already does.
    ///
    /// # Errors
    /// The server gives no answer, refuses, or the state of the run does not allow the command.
    pub async fn submit(&self, folder: &RunFolder, command: &Command) -> Result<(), SubmitError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.open(folder).await?;
            let unavailable = |reason| CommandError::Unavailable { run: folder.id().clone(), reason };
            self.check(&history::read(folder).map_err(PollError::from)?, command).map_err(unavailable)?;
            match commands::submit(folder, command).await {
                // The process that mirrored the run ended before it accepted the command.
                Err(CommandError::Unwatched { .. }) if attempt < MAX_SUBMITS => {}
                result => return Ok(result?),
            }
        }
    }

    /// Downloads the logs of completed jobs. Returns once they are complete; without jobs, once the downloads in
    /// progress have ended. A run that is not opened is mirrored first. Returns at once if another process mirrors the
    /// run.
    ///
    /// # Errors
    /// The first log that is not available, after all others were tried; or the server of the run does not respond.
    pub async fn load_logs(&self, folder: &RunFolder, jobs: &[JobId]) -> Result<(), PollError> {
        let spec = Box::new(RunSpec::read(folder)?);
        let Some(remote) = spec.work.remote() else { return Ok(()) };
        let host = self.host(&remote.host).await?;
        let jobs = jobs.to_vec();
        host.ask(|answer| Ask::LoadLogs { spec, jobs, answer }).await
    }

    /// Sets the run that the user is looking at, which is polled most often.
    pub async fn focus(&self, run: &RunId) {
        self.tell_all(|| Ask::Focus(run.clone())).await;
    }

    /// Sets from when the user counts as away; `None` while the user is looking at the screen, and everything is
    /// polled. Until that time only opened runs are polled, and less often; from then on only runs in progress. The
    /// other opened runs are then no longer mirrored, so that another process that follows them can do it, until the
    /// user is back.
    pub async fn attend(&self, away_from: Option<Timestamp>) {
        self.tell_all(|| Ask::Attend(away_from)).await;
    }

    /// Sends a request to the tasks of all connected servers.
    async fn tell_all(&self, ask: impl Fn() -> Ask) {
        let hosts: Vec<Host> = self.0.hosts.lock().await.values().cloned().collect();
        for host in hosts {
            // The task ends with the last copy of this poller.
            let _ = host.asks.send(ask()).await;
        }
    }

    /// Returns the client of a server, and connects to the server first if need be. All requests to the server share
    /// its queue and its limits.
    ///
    /// # Errors
    /// The server is not configured, or cannot be connected to.
    pub async fn client(&self, host: &str) -> Result<Client, PollError> {
        Ok(self.host(host).await?.client)
    }

    /// Returns the settings of servers.
    #[must_use]
    pub fn config(&self) -> &GithubConfig {
        &self.0.config
    }

    /// Returns the task of a server, and connects to the server first if need be. Only servers that the user named are
    /// connected to: remotes of repositories and run folders may come from anyone.
    async fn host(&self, name: &str) -> Result<Host, PollError> {
        let shared = &self.0;
        let mut tasks = shared.hosts.lock().await;
        if let Some(host) = tasks.get(name) {
            return Ok(host.clone());
        }
        let known = hosts(&shared.config)?.into_iter().find(|host| host.name() == name);
        let known = known.ok_or_else(|| PollError::UnknownHost(name.to_owned()))?;
        // The screen shows a server that is about to be asked, because the search for a token may take a while.
        shared.links.send_modify(|links| {
            links.entry(name.to_owned()).or_default();
        });
        let connected = connect(known, &shared.config, &shared.runs, &shared.variable).await;
        let (client, _) = connected.inspect_err(|_| {
            shared.links.send_modify(|links| {
                links.remove(name);
            });
        })?;
        let mut link = client.link();
        let (asks, asked) = mpsc::channel(MAX_ASKS);
        let (links, of) = (Arc::clone(&shared.links), name.to_owned());
        let tell = move |next| {
            links.send_if_modified(|links| {
                let server = links.entry(of.clone()).or_default();
                std::mem::replace(&mut server.next, next) != next
            });
        };
        let (runners, faults) = (Arc::clone(&shared.runners), Arc::clone(&shared.faults));
        let serving = host::serve(shared.runs.clone(), client.clone(), runners, asked, faults, tell);
        shared.tasks.lock().await.spawn(serving);
        let (links, of) = (Arc::clone(&shared.links), name.to_owned());
        tokio::spawn(async move {
            // Ends with the client.
            loop {
                let state = link.borrow_and_update().clone();
                links.send_modify(|links| links.entry(of.clone()).or_default().link = state);
                if link.changed().await.is_err() {
                    return;
                }
            }
        });
        let host = Host { asks, client };
        tasks.insert(name.to_owned(), host.clone());
        Ok(host)
    }
}

impl Host {
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Result<T, PollError>>) -> Ask) -> Result<T, PollError> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(ask(answer)).await.map_err(|_| PollError::Gone)?;
        answered.await.unwrap_or(Err(PollError::Gone))
    }
}

fn by_host(repositories: &[Repository]) -> BTreeMap<String, Vec<Repository>> {
    let mut hosts: BTreeMap<String, Vec<Repository>> = BTreeMap::new();
    for repository in repositories {
        hosts.entry(repository.host.clone()).or_default().push(repository.clone());
    }
    hosts
}
