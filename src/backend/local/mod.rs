//! A backend for the runs of this machine, which it reads from their folders.
//!
//! A watch on the state folder notices runs that other programs start and runs that end, so nothing is polled.
//!
//! - [`follow`]: the records of a run as its worker writes them
//! - `compose`: services of the repository's Compose file
//! - [`demo`]: the offer of the demo
//! - `deployments`: deployments by this machine
//! - `environments`: environments of repositories on servers, and rollbacks
//! - `held`: orders for held steps, and syncs of their files
//! - `lanes`: the environments of this machine
//! - `start`: starting runs, after the trust question
//! - `stored`: artifacts, cache entries and job summaries
//! - `servers`: runs on servers, which a poller writes into folders
//! - `watch_mode`: runs started by changes of files; [`file_watch`] is its form for a command line
//! - `startable`: the workflows of the repository
//! - `fs_watch`: watches on folders

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::launch;
use crate::launch::{LaunchRequest, commands};
use crate::model::feed::{Connection, Feed, Polling, Request, Trouble};
use crate::model::{Command, JobId, Reply, RepositoryId, RunId, Summary, Timestamp};
use crate::store::clock::now;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::history;
use crate::store::history::{Filter, Page};
use crate::store::logs::LogFiles;
use crate::store::logs::query::Logs;

use super::Backend;
use super::github::poller::Poller;
use super::github::workflows::dispatch::Dispatch;
use demo::Demo;
use deployments::ShownDeployment;
use fs_watch::{FolderWatch, WatchError};
use start::Waiting;
use startable::Listed;
use watch_mode::{WatchEvent, WatchMode};

mod compose;
pub mod demo;
mod deployments;
mod environments;
pub mod file_watch;
pub mod follow;
mod fs_watch;
mod held;
mod lanes;
mod servers;
mod start;
mod startable;
mod stored;
#[cfg(test)]
mod tests;
mod watch_mode;

/// Number of runs in the first page: a few screens. The first frame waits for it.
const FIRST_PAGE: usize = 200;

/// Delay from the first change of the state folder until runs are listed, because files appear in bursts.
const LIST_DELAY: Duration = Duration::from_millis(50);

/// The runs of this machine, and the workflows of one repository.
pub struct Local {
    runs: RunsDir,
    folder: PathBuf,
    poller: Option<Poller>,
    demo: Option<Demo>,
}

impl Local {
    /// Returns the runs of a state folder, and the startable workflows of the repository that contains `folder`.
    #[must_use]
    pub fn new(runs: RunsDir, folder: PathBuf) -> Self {
        Self { runs, folder, poller: None, demo: None }
    }

    /// Adds runs on servers: the runs of the repositories in the settings and of this checkout, and every run that is
    /// opened.
    #[must_use]
    pub fn with_servers(self, poller: Poller) -> Self {
        Self { poller: Some(poller), ..self }
    }

    /// Makes `folder` the project of the demo.
    #[must_use]
    pub fn with_demo(self, demo: Option<Demo>) -> Self {
        Self { demo, ..self }
    }
}

impl Backend for Local {
    fn logs(&self) -> Arc<dyn Logs> {
        Arc::new(LogFiles::new(self.runs.clone()))
    }

    fn serve(self: Box<Self>, requests: mpsc::Receiver<Request>, feed: mpsc::Sender<Feed>) -> BoxFuture<'static, ()> {
        Serving::new(*self, feed).serve(requests).boxed()
    }
}

/// State of the backend while it serves.
struct Serving {
    runs: RunsDir,
    folder: PathBuf,
    /// The poller of servers; `None` if only the runs of this machine are shown.
    poller: Option<Poller>,
    /// The demo; `None` if the folder is not that of the demo.
    demo: Option<Demo>,
    /// Whether the offer to break a test is still to be made.
    offers_break: bool,
    /// Whether a run has shown the broken test of the demo, and none that the user has mended it.
    awaits_mend: bool,
    /// Locked while a command is sent to a server, so that commands are sent in the order in which the user gave them.
    turn: Arc<Mutex<()>>,
    feed: mpsc::Sender<Feed>,
    /// The task that closes runs whose worker died. Lists of runs do not wait for it, because a container engine may be
    /// slow.
    closing: Option<JoinHandle<bool>>,
    /// Why the state folder is not watched; `None` if it is.
    unwatched: Option<WatchError>,
    /// Connection to the state folder.
    connection: Connection,
    /// Connection state that was reported last: the state of the connection to the state folder, or to the first server
    /// that does not respond.
    reported: Connection,
    /// Polling state that was reported last.
    polling: Option<Polling>,
    /// When the runs were last listed; `None` if that has not succeeded yet.
    listed_at: Option<Timestamp>,
    /// Runs that were listed and not removed since.
    listed: BTreeSet<RunId>,
    /// The last task for each job with a held step.
    held: HashMap<(RunId, JobId), JoinHandle<()>>,
    followed: HashSet<RunId>,
    follows: JoinSet<RunId>,
    /// Runs on servers that are being opened. They are followed again once they are mirrored.
    opening: JoinSet<RunId>,
    /// The selected run, and the latest attempt of it that was followed.
    selected: Option<(RunId, u32)>,
    /// Number of the next trust question.
    questions: u64,
    /// What the open trust question is for.
    waiting: Option<(u64, Waiting)>,
    /// Watch mode; `None` while it is off.
    watch_mode: Option<WatchMode>,
    /// Time of the next attempt to start the runs of watch mode.
    retry_at: Option<Instant>,
    /// Asks for another look at the environments of this machine; `None` before the runs are listed.
    lanes: Option<mpsc::Sender<()>>,
    /// Ask for the details of environments of this machine, by name, as far as they were requested.
    described: HashMap<String, mpsc::Sender<()>>,
    /// The deployment that was shown last and not confirmed.
    shown: Option<ShownDeployment>,
}

impl Serving {
    fn new(Local { runs, folder, poller, demo }: Local, feed: mpsc::Sender<Feed>) -> Self {
        Self {
            runs,
            folder,
            poller,
            offers_break: demo.as_ref().is_some_and(|demo| !demo.is_broken),
            awaits_mend: false,
            demo,
            turn: Arc::default(),
            feed,
            closing: None,
            unwatched: None,
            connection: Connection::Live,
            reported: Connection::Live,
            polling: None,
            listed_at: None,
            listed: BTreeSet::new(),
            held: HashMap::new(),
            followed: HashSet::new(),
            follows: JoinSet::new(),
            opening: JoinSet::new(),
            selected: None,
            questions: 0,
            waiting: None,
            watch_mode: None,
            retry_at: None,
            lanes: None,
            described: HashMap::new(),
            shown: None,
        }
    }

    /// Carries out requests until the screen is closed.
    async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        let watch = FolderWatch::of_state(self.runs.state()).map_err(|error| self.unwatched = Some(error)).ok();
        self.list().await;
        let workflows = FolderWatch::of_workflows(&self.folder).ok();
        self.list_workflows().await;
        self.watch_compose();
        self.lanes = Some(lanes::report(self.runs.clone(), self.folder.clone(), self.feed.clone()));
        let mut links = self.poller.as_ref().map(Poller::links);
        let mut rights = self.poller.as_ref().map(Poller::rights);
        self.watch_servers();
        self.begin_demo().await;
        let (mut list_at, mut workflows_at) = (None, None);
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.carry_out(request).await,
                    None => return,
                },
                Some(ended) = self.follows.join_next() => {
                    if let Ok(run) = &ended {
                        self.followed.remove(run);
                    }
                    self.list().await;
                    if let Ok(run) = ended {
                        self.lead_demo(&run).await;
                    }
                    self.start_pending().await;
                }
                Some(Ok(opened)) = self.opening.join_next() => self.follow(opened),
                has_closed = finished(&mut self.closing) => {
                    if has_closed {
                        self.list().await;
                    }
                }
                () = changed(watch.as_ref()), if list_at.is_none() => list_at = Some(Instant::now() + LIST_DELAY),
                () = changed(workflows.as_ref()), if workflows_at.is_none() => {
                    workflows_at = Some(Instant::now() + LIST_DELAY);
                }
                () = until(workflows_at) => {
                    workflows_at = None;
                    self.list_workflows().await;
                }
                () = until(list_at) => {
                    list_at = None;
                    self.list().await;
                }
                () = until(self.retry_at) => {
                    self.retry_at = None;
                    self.start_pending().await;
                }
                () = servers::changed(&mut links) => {
                    self.report_connection().await;
                    self.report_polling().await;
                }
                rights = servers::learned(&mut rights) => self.report(Feed::Rights(rights)).await,
                event = watch_event(&mut self.watch_mode) => match event {
                    WatchEvent::Written => self.report_watching().await,
                    WatchEvent::Quiet => self.decide().await,
                },
            }
        }
    }

    /// Reports the workflows of the repository.
    async fn list_workflows(&self) {
        match startable::list(&self.folder) {
            Ok(Listed { startable, broken }) => {
                self.report(Feed::Startable(startable)).await;
                self.report(Feed::Broken(broken)).await;
            }
            Err(error) => self.complain(&error).await,
        }
    }

    /// Sends a report. An error means that the screen is closed and does not need it.
    async fn report(&self, report: Feed) {
        let _ = self.feed.send(report).await;
    }

    async fn carry_out(&mut self, request: Request) {
        match request {
            Request::ListMore { before, limit, of } => self.list_more(&before, limit, of).await,
            Request::Follow(run) => {
                self.selected = Some((run.clone(), 0));
                self.open_mirror(&run);
                self.follow(run);
            }
            Request::LoadLog { run, job } => self.load_log(&run, job),
            Request::Submit { run, command } => {
                if self.is_mirror(&run) {
                    self.ask_server(run, command);
                } else if let Command::Held { job, .. } = &command {
                    self.order_held(&run, &job.clone(), command);
                } else {
                    self.command(run, command).await;
                }
            }
            Request::SyncHeld { run, job } => self.sync_held(&run, &job),
            Request::Start { workflow, event, inputs, secrets, sandbox } => {
                let secrets = secrets.iter().map(|name| name.as_str().into()).collect();
                let inputs = inputs.into_iter().collect();
                let request = self.request(workflow, event);
                self.start_requested(LaunchRequest { inputs, secrets, sandbox, ..request }).await;
            }
            Request::ReadHead => self.read_head(),
            Request::ListDispatchable { run } => self.list_dispatchable(run),
            Request::Dispatch { repository, workflow, git_ref, inputs } => {
                let (git_ref, inputs) = (Some(git_ref), inputs.into_iter().collect());
                self.dispatch(&repository, Dispatch { workflow, git_ref, inputs });
            }
            Request::EnableWorkflow { run, enable } => self.enable_workflow(&run, enable),
            Request::Trust { question } => self.trust(question).await,
            Request::Delete(run) => match commands::delete(&self.runs, &run).await {
                Ok(()) => {
                    self.listed.remove(&run);
                    self.report(Feed::Removed(run)).await;
                }
                Err(error) => self.complain(&error).await,
            },
            Request::Compose { service, starts } => self.order_compose(service, starts),
            Request::ListStored(run) => self.list_stored(run),
            Request::ListSummaries(run) => self.list_summaries(run),
            Request::Download { run, file } => self.download(&run, file),
            Request::DeleteStored { run, file } => self.delete_stored(run, file),
            Request::ListEnvironments { repository } => self.list_environments(repository),
            Request::ListLanes => self.look_at_lanes(),
            Request::DescribeLane { environment } => self.describe_lane(environment),
            Request::Lane(request) => self.act_on_lane(request).await,
            Request::PlanRollback { repository, request } => self.plan_rollback(repository, request),
            Request::RollBack { repository, rollback } => self.roll_back(repository, rollback),
            Request::WatchFiles { workflow } => self.watch_files(workflow).await,
            Request::BreakDemo => self.break_demo().await,
            Request::Attend(here) => self.attend(here),
            Request::StopWatching => {
                self.watch_mode = None;
                self.report_watching().await;
            }
        }
    }

    /// Starts following a run, unless it is followed already.
    fn follow(&mut self, run: RunId) {
        if self.followed.insert(run.clone()) {
            let report = follow::report(self.runs.folder(run.clone()), self.feed.clone());
            self.follows.spawn(report.map(|()| run));
        }
    }

    /// Reports the newest runs, as many as were listed before, and removed ones. Follows a new attempt of the selected
    /// run, and closes runs whose worker died.
    async fn list(&mut self) {
        let limit = self.listed.len().max(FIRST_PAGE);
        let Page { runs, more } = match history::page(&self.runs, &Filter::default(), None, limit) {
            Ok(page) => page,
            Err(error) => {
                let reason = error.to_string();
                return self
                    .connect(match self.listed_at {
                        Some(since) => Connection::Stale { since, trouble: Trouble::NoAnswer, reason },
                        None => Connection::Offline { trouble: Trouble::NoAnswer, reason },
                    })
                    .await;
            }
        };
        let since = now();
        self.listed_at = Some(since);
        let connection = self.unwatched.as_ref().map_or(Connection::Live, |error| Connection::Stale {
            since,
            trouble: Trouble::NoAnswer,
            reason: format!("changes of runs are not noticed: {error}"),
        });
        self.connect(connection).await;
        let known: BTreeSet<RunId> = runs.iter().map(|run| run.info.id.clone()).collect();
        // Runs older than this page were listed before and still exist.
        let (gone, below): (Vec<RunId>, Vec<RunId>) =
            self.listed.difference(&known).cloned().partition(|run| !more || known.first() < Some(run));
        self.listed = known;
        self.listed.extend(below);
        let outside = self.outside(&self.listed);
        let attempt = self.new_attempt(runs.iter().chain(&outside));
        self.report(Feed::Listed { runs, more, of: None }).await;
        if !outside.is_empty() {
            self.report(Feed::Updated(outside)).await;
        }
        for run in gone {
            self.report(Feed::Removed(run)).await;
        }
        if let Some((run, attempt)) = attempt {
            self.selected = Some((run.clone(), attempt));
            self.follow(run);
        }
        if self.closing.is_none() {
            self.closing = Some(tokio::spawn(close_lost(self.runs.clone())));
        }
    }

    /// Returns the current state of runs that are on no page but may have changed: runs in progress, as an old run may
    /// have been re-run, and the selected run.
    fn outside(&self, listed: &BTreeSet<RunId>) -> Vec<Summary> {
        let unfinished = history::unfinished(&self.runs).unwrap_or_default();
        let selected = self.selected.iter().map(|(run, _)| run.clone());
        let outside: BTreeSet<RunId> =
            unfinished.into_iter().chain(selected).filter(|run| !listed.contains(run)).collect();
        let read = outside.into_iter().filter_map(|run| history::read(&self.runs.folder(run)).ok());
        read.map(|run| Summary::from(&run)).collect()
    }

    /// Lists a page of runs that are older than the given one.
    async fn list_more(&mut self, before: &RunId, limit: usize, of: Option<RepositoryId>) {
        let filter = Filter { repository: of.clone(), ..Filter::default() };
        match history::page(&self.runs, &filter, Some(before), limit) {
            Ok(Page { runs, more }) => {
                self.listed.extend(runs.iter().map(|run| run.info.id.clone()));
                self.report(Feed::Listed { runs, more, of }).await;
            }
            Err(error) => self.complain(&error).await,
        }
    }

    /// Sets the state of the connection to the state folder, and reports it if it has changed.
    async fn connect(&mut self, connection: Connection) {
        self.connection = connection;
        self.report_connection().await;
    }

    /// Reports the time of the next poll if it has changed.
    async fn report_polling(&mut self) {
        let polling = self.poller.as_ref().and_then(servers::polling);
        if self.polling != polling {
            self.polling = polling;
            self.report(Feed::Polling(polling)).await;
        }
    }

    async fn report_connection(&mut self) {
        let connection = match &self.connection {
            Connection::Live => self.poller.as_ref().and_then(servers::not_live).unwrap_or_default(),
            broken => broken.clone(),
        };
        if self.reported != connection {
            self.reported = connection.clone();
            self.report(Feed::Connection(connection)).await;
        }
    }

    /// Returns the selected run if it has a newer attempt than the followed one: another program may have started it.
    fn new_attempt<'r>(&self, mut runs: impl Iterator<Item = &'r Summary>) -> Option<(RunId, u32)> {
        let (selected, followed) = self.selected.as_ref()?;
        let run = runs.find(|run| run.info.id == *selected)?;
        (run.attempt > *followed).then(|| (selected.clone(), run.attempt))
    }
}

/// Submits a command to a run, and returns the reply.
async fn submit(folder: &RunFolder, command: &Command) -> Reply {
    match commands::submit(folder, command).await {
        Ok(()) => Reply::Accepted,
        Err(error) => Reply::Rejected { reason: error.to_string() },
    }
}

/// Closes runs whose worker died, and returns whether there were any.
async fn close_lost(runs: RunsDir) -> bool {
    launch::close_lost(&runs).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "runs that lost their worker are not closed");
        0
    }) > 0
}

/// Waits until a point in time, or forever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits until a task ends, removes it, and returns its result. Waits forever without a task.
async fn finished(task: &mut Option<JoinHandle<bool>>) -> bool {
    let result = match task {
        Some(running) => running.await.unwrap_or(false),
        None => std::future::pending().await,
    };
    *task = None;
    result
}

/// Waits until a watched folder changes; forever without a watch.
async fn changed(watch: Option<&FolderWatch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Waits for a change of the files in watch mode, or forever while it is off.
async fn watch_event(watch: &mut Option<WatchMode>) -> WatchEvent {
    match watch {
        Some(watch) => watch.event().await,
        None => std::future::pending().await,
    }
}
