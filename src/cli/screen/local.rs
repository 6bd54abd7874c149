//! The screen's counterpart: carries its orders to workers and brings back records.
//!
//! Runs that others start, and runs that end, are noticed by a watch on the state folder, so nothing is polled.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::model::feed::{Connection, Feed, Notice, Request};
use crate::model::{Command, Reply, RunId, Timestamp};
use crate::store::folder::RunsDir;
use crate::store::history::{Filter, Page};
use crate::store::logs::LogFiles;
use crate::store::logs::query::Logs;
use crate::store::{StoreError, history};
use crate::worker::attach::Follower;
use crate::worker::outlet::now;

use super::at;
use super::fs_watch::StateFolderWatch;
use super::startable::offers;
use super::watch_mode::{Started, WatchEvent, WatchMode};
use crate::cli::Failure;
use crate::launch;
use crate::launch::trust::Trust;
use crate::launch::{LaunchRequest, Planned, SecretSource, commands};

/// How many runs are listed at first.
const FIRST_PAGE: usize = 1000;

/// So long is waited for more files to appear in the state folder.
const SETTLE: Duration = Duration::from_millis(50);

/// A run that refuses to be cancelled is asked again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// The runs of this machine.
pub(super) struct Local {
    runs: RunsDir,
}

impl Local {
    pub(super) fn new(runs: RunsDir) -> Self {
        Self { runs }
    }
}

impl Backend for Local {
    fn logs(&self) -> Arc<dyn Logs> {
        Arc::new(LogFiles::new(self.runs.clone()))
    }

    fn serve(self: Box<Self>, requests: mpsc::Receiver<Request>, feed: mpsc::Sender<Feed>) -> BoxFuture<'static, ()> {
        Serving::new(self.runs, feed).serve(requests).boxed()
    }
}

/// The backend at work.
struct Serving {
    runs: RunsDir,
    news: mpsc::Sender<Feed>,
    followed: HashSet<RunId>,
    /// The runs that were listed, down to the oldest one that was requested.
    listed: BTreeSet<RunId>,
    /// The connection that was reported last.
    connection: Connection,
    /// When the runs were listed last.
    listed_at: Timestamp,
    /// The run that the user looks at.
    looked_at: Option<RunId>,
    /// The latest attempt of it that was seen.
    attempt: u32,
    tasks: JoinSet<RunId>,
    /// Watch mode, while it is on.
    on_change: Option<WatchMode>,
    /// When to look again whether what is pending can be started.
    launch_at: Option<Instant>,
}

/// Waits until something has happened to the files that are watched, if any are.
async fn happened(on_change: &mut Option<WatchMode>) -> WatchEvent {
    match on_change {
        Some(on_change) => on_change.happened().await,
        None => std::future::pending().await,
    }
}

impl Serving {
    fn new(runs: RunsDir, news: mpsc::Sender<Feed>) -> Self {
        Self {
            runs,
            news,
            followed: HashSet::new(),
            listed: BTreeSet::new(),
            connection: Connection::Live,
            listed_at: Timestamp(0),
            looked_at: None,
            attempt: 0,
            tasks: JoinSet::new(),
            on_change: None,
            launch_at: None,
        }
    }

    /// Carries out orders until the screen is gone.
    async fn serve(mut self, mut orders: mpsc::Receiver<Request>) {
        let state = StateFolderWatch::watch(self.runs.state());
        self.list().await;
        match offers() {
            Ok(offers) => self.tell(Feed::Startable(offers)).await,
            Err(reason) => self.tell(Feed::Notice(Notice::bad(reason))).await,
        }
        if let Err(error) = std::fs::create_dir_all(self.runs.runs()) {
            let text = format!("nothing can be started: cannot make {}: {error}", self.runs.runs().display());
            self.tell(Feed::Notice(Notice::bad(text))).await;
        }
        // Files appear in bursts; the list is read once for all of them.
        let mut list_at = None;
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.carry_out(order).await,
                    None => return,
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(run) = ended {
                        self.followed.remove(&run);
                    }
                    self.list().await;
                    self.launch().await;
                }
                () = state.changed(), if list_at.is_none() => list_at = Some(Instant::now() + SETTLE),
                () = at(list_at) => {
                    list_at = None;
                    self.list().await;
                }
                () = at(self.launch_at) => {
                    self.launch_at = None;
                    self.launch().await;
                }
                happened = happened(&mut self.on_change) => match happened {
                    WatchEvent::Written => self.tell_watching().await,
                    WatchEvent::Quiet => self.fire().await,
                },
            }
        }
    }

    async fn tell(&self, news: Feed) {
        // A screen that is gone needs no news.
        let _ = self.news.send(news).await;
    }

    /// Reports the state of the connection, if it changed.
    async fn connect(&mut self, connection: Connection) {
        if self.connection != connection {
            self.connection = connection.clone();
            self.tell(Feed::Connection(connection)).await;
        }
    }

    /// The newest runs, as many as were listed before or more.
    async fn newest(&self) -> Result<Page, StoreError> {
        launch::close_lost(&self.runs).await?;
        history::page(&self.runs, &Filter::default(), None, self.listed.len().max(FIRST_PAGE))
    }

    /// Lists the runs that were listed before and those that are new.
    async fn list(&mut self) {
        let Page { runs: summaries, more } = match self.newest().await {
            Ok(page) => page,
            Err(error) => {
                let reason = error.to_string();
                let since = self.listed_at;
                let lost =
                    if since.0 == 0 { Connection::Offline { reason } } else { Connection::Stale { since, reason } };
                return self.connect(lost).await;
            }
        };
        self.listed_at = now();
        self.connect(Connection::Live).await;
        let known: BTreeSet<RunId> = summaries.iter().map(|run| run.info.id.clone()).collect();
        // Runs that were listed before and are below this page are still there.
        let (gone, below): (Vec<RunId>, Vec<RunId>) =
            self.listed.difference(&known).cloned().partition(|run| !more || known.first() < Some(run));
        self.listed = known;
        self.listed.extend(below);
        // A new attempt of the run that is looked at may have been started by another program.
        let again = summaries.iter().find(|run| Some(&run.info.id) == self.looked_at.as_ref());
        let again = again.filter(|run| run.attempt > self.attempt).map(|run| (run.info.id.clone(), run.attempt));
        self.tell(Feed::Listed { runs: summaries, more }).await;
        for run in gone {
            self.tell(Feed::Removed(run)).await;
        }
        if let Some((run, attempt)) = again {
            self.attempt = attempt;
            self.follow(run);
        }
    }

    /// Lists runs older than one.
    async fn list_more(&mut self, before: &RunId, limit: usize) {
        match history::page(&self.runs, &Filter::default(), Some(before), limit) {
            Ok(Page { runs, more }) => {
                self.listed.extend(runs.iter().map(|run| run.info.id.clone()));
                self.tell(Feed::Listed { runs, more }).await;
            }
            Err(error) => self.tell(Feed::Notice(Notice::bad(error.to_string()))).await,
        }
    }

    async fn carry_out(&mut self, order: Request) {
        match order {
            Request::ListMore { before, limit } => self.list_more(&before, limit).await,
            Request::Follow(run) => {
                (self.looked_at, self.attempt) = (Some(run.clone()), 0);
                self.follow(run);
            }
            Request::Submit { run, command } => {
                let reply = self.submit(&run, &command).await;
                if matches!(command, Command::Rerun { .. } | Command::Resume) {
                    self.follow(run.clone());
                }
                self.tell(Feed::Replied { run, command, reply }).await;
            }
            Request::Delete(run) => match commands::delete(&self.runs, &run).await {
                Ok(()) => {
                    self.listed.remove(&run);
                    self.tell(Feed::Removed(run)).await;
                }
                Err(error) => self.tell(Feed::Notice(Notice::bad(error.to_string()))).await,
            },
            Request::Start { .. } => self.start_asked(order).await,
            Request::WatchFiles { workflow } => self.watch_files(workflow).await,
            Request::StopWatching => {
                self.on_change = None;
                self.tell_watching().await;
            }
        }
    }

    /// Begins to watch, or asks first whether the repository is to be trusted.
    async fn watch_files(&mut self, workflow: Option<String>) {
        let started =
            WatchMode::start(workflow.clone()).and_then(|on_change| Ok((on_change.is_trusted(&self.runs)?, on_change)));
        match started {
            Ok((true, on_change)) => {
                self.on_change = Some(on_change);
                self.tell_watching().await;
            }
            Ok((false, on_change)) => {
                // Whatever is looked at, the answer is for the repository.
                let looked_at = workflow.clone().or_else(|| on_change.any_workflow()).unwrap_or_default();
                let start = Request::WatchFiles { workflow };
                self.tell(Feed::Untrusted { workflow: looked_at, event: "push".to_owned(), start }).await;
            }
            Err(failure) => self.complain(&failure).await,
        }
    }

    /// Starts what was asked for, or asks first whether the repository is to be trusted.
    async fn start_asked(&mut self, order: Request) {
        let Request::Start { workflow, event, inputs, secrets, sandbox } = order.clone() else { return };
        let failure = match self.planned(&workflow, &event, inputs, &secrets, sandbox) {
            Ok(planned) if *planned.trust() == Trust::Given => match self.start(planned).await {
                Ok(run) => return self.tell(Feed::Started(run)).await,
                Err(failure) => failure,
            },
            Ok(_) => return self.tell(Feed::Untrusted { workflow, event, start: order }).await,
            Err(failure) => failure,
        };
        self.complain(&failure).await;
    }

    fn planned(
        &self,
        workflow: &str,
        event: &str,
        inputs: Vec<(String, String)>,
        secrets: &[String],
        sandbox: Option<String>,
    ) -> Result<Planned, Failure> {
        let secrets = secrets.iter().map(|text| text.as_str().into()).collect();
        let inputs = inputs.into_iter().collect();
        let request = LaunchRequest::new(std::env::current_dir()?, workflow, event);
        Ok(launch::plan(&self.runs, &LaunchRequest { inputs, secrets, sandbox, ..request })?)
    }

    async fn start(&mut self, planned: Planned) -> Result<RunId, Failure> {
        let run = launch::start(&self.runs, planned)?.folder.id().clone();
        self.list().await;
        self.follow(run.clone());
        Ok(run)
    }

    /// Tells the first paragraph of what is wrong: what follows quotes files.
    async fn complain(&self, failure: &Failure) {
        let first = failure.message.split("\n\n").next().unwrap_or_default();
        let lines: Vec<&str> = first.lines().map(str::trim).collect();
        self.tell(Feed::Notice(Notice::bad(lines.join(" ")))).await;
    }

    async fn tell_watching(&self) {
        self.tell(Feed::Watching(self.on_change.as_ref().map(WatchMode::told))).await;
    }

    /// Decides what the changed files fire, and starts it.
    async fn fire(&mut self) {
        let Some(on_change) = &mut self.on_change else { return };
        let decided = on_change.decide();
        match decided {
            Ok(Some(change)) if change.fires().next().is_some() => {
                let broken = change.decided.iter().filter(|one| one.is_broken());
                let broken: Vec<String> = broken.map(|one| format!("{}: {}", one.name, one.reason())).collect();
                on_change.pending = Some(change);
                self.launch().await;
                if !broken.is_empty() {
                    self.tell(Feed::Notice(Notice::bad(broken.join("; ")))).await;
                }
            }
            Ok(Some(change)) => {
                // It is of all that was pending, too.
                on_change.pending = None;
                let broken = change.decided.iter().find(|one| one.is_broken());
                let why = match (broken, change.decided.as_slice()) {
                    (Some(one), _) | (None, [one]) => format!(". {}: {}", one.name, one.reason()),
                    (None, all) => format!(" of {} workflows", all.len()),
                };
                let text = format!("{} fires nothing{why}", change.what());
                self.tell(Feed::Notice(Notice::news(text))).await;
            }
            Ok(None) => {}
            Err(failure) => self.complain(&failure).await,
        }
        self.tell_watching().await;
    }

    /// Starts what is pending, once the runs that it overtakes have ended.
    async fn launch(&mut self) {
        let Some(on_change) = &mut self.on_change else { return };
        on_change.runs.retain(|started| self.followed.contains(&started.run));
        let overtaken: Vec<(RunId, bool)> =
            on_change.overtaken().map(|started| (started.run.clone(), started.overtaken)).collect();
        for (run, _) in overtaken.iter().filter(|(_, was_asked)| !was_asked) {
            if self.submit(run, &Command::Cancel).await == Reply::Accepted {
                self.tell(Feed::Notice(Notice::news("files changed: the run is cancelled for a new one"))).await;
                let all = self.on_change.iter_mut().flat_map(|on_change| &mut on_change.runs);
                all.filter(|started| started.run == *run).for_each(|started| started.overtaken = true);
            } else {
                // It may not listen yet, or be ending by somebody else's order.
                self.launch_at = Some(Instant::now() + AGAIN);
            }
        }
        if !overtaken.is_empty() {
            return;
        }
        let Some(change) = self.on_change.as_mut().and_then(|on_change| on_change.pending.take()) else { return };
        self.tell_watching().await;
        for (number, one) in change.fires().enumerate() {
            let workflow = one.path.to_string_lossy();
            let secrets = vec![SecretSource::Named];
            let request = LaunchRequest { secrets, ..LaunchRequest::new(".", workflow, "push") };
            let text = format!("{} fires {}: {}", change.what(), one.name, one.reason());
            self.tell(Feed::Notice(Notice::news(text))).await;
            let started = match launch::plan(&self.runs, &request) {
                Ok(planned) => self.start(planned).await,
                Err(error) => Err(error.into()),
            };
            match started {
                Ok(run) => {
                    // The first of several is the one to look at.
                    if number == 0 {
                        self.tell(Feed::Triggered(run.clone())).await;
                    }
                    let started = Started { run, workflow: one.path.clone(), overtaken: false };
                    if let Some(on_change) = &mut self.on_change {
                        on_change.runs.push(started);
                    }
                }
                Err(failure) => self.complain(&failure).await,
            }
        }
    }

    async fn submit(&self, run: &RunId, command: &Command) -> Reply {
        match commands::submit(&self.runs.folder(run.clone()), command).await {
            Ok(()) => Reply::Accepted,
            Err(error) => Reply::Rejected { reason: error.to_string() },
        }
    }

    /// Sends all records of a run, and new ones until it has ended.
    fn follow(&mut self, run: RunId) {
        if !self.followed.insert(run.clone()) {
            return;
        }
        let (folder, news) = (self.runs.folder(run.clone()), self.news.clone());
        self.tasks.spawn(async move {
            let header = match history::info(&folder) {
                Ok(header) => header,
                Err(error) => {
                    let _ = news.send(Feed::Notice(Notice::bad(error.to_string()))).await;
                    return run;
                }
            };
            if news.send(Feed::Opened(header)).await.is_err() {
                return run;
            }
            let mut follower = Follower::new(folder);
            loop {
                let news_of_run = match follower.next().await {
                    Ok(Some(records)) => Feed::Records { run: run.clone(), records },
                    Ok(None) => return run,
                    Err(error) => Feed::Notice(Notice::bad(error.to_string())),
                };
                let over = matches!(news_of_run, Feed::Notice(_));
                if news.send(news_of_run).await.is_err() || over {
                    return run;
                }
            }
        });
    }
}
