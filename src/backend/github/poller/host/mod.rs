//! The task of one server: decides what to request next.
//!
//! - `lists`: runs that are listed or looked up

mod lists;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Duration, sleep};

use crate::backend::github::address::Repository;
use crate::backend::github::client::budget::{Attention, Kind, Polled, Schedule};
use crate::backend::github::client::{ApiError, Client, Freshness, Priority};
use crate::backend::github::mirror::folder::RemoteId;
use crate::backend::github::runner::Runners;
use crate::backend::github::wire::runs::Run as WireRun;
use crate::model::{RunId, ServerKind, Timestamp};
use crate::store::clock::now;
use crate::store::folder::RunsDir;
use crate::store::spec::{RemoteSpec, RunSpec};

use super::dates::Dates;
use super::fetch::Listed;
use super::mirrored::{Mirrored, RunPolled, Task};
use super::{Ask, PollError, Purpose, WatchFault, order};

/// Age up to which an answer to another process shows that the server responds.
const RECENT: Freshness = Freshness(Duration::from_secs(8));

/// Number of opened runs above which a completed one is closed, because each keeps files open.
const MAX_OPENED: usize = 32;

/// Maximum number of queued tasks for a run.
const MAX_TASKS: usize = 8;

/// Maximum number of queued notifications about changes by the user.
const MAX_CHANGES: usize = 64;

/// A polled resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Key {
    /// The newest runs of a repository.
    List(Repository),
    /// An opened run.
    Run(RunId),
}

/// An opened run.
struct Opened {
    tasks: mpsc::Sender<Task>,
    /// Whether the user asked to open it.
    is_wanted: bool,
    /// Purpose for which its task mirrors it.
    purpose: Purpose,
    /// State at the last poll.
    last: RunPolled,
}

type Answering = oneshot::Sender<Result<(), PollError>>;

/// Work that has ended.
enum Done {
    Lists {
        lists: Vec<(Repository, Result<Listed, PollError>)>,
        answer: Option<Answering>,
    },
    Run {
        run: RunId,
        result: Result<RunPolled, PollError>,
        answer: Option<Answering>,
    },
    Found {
        repository: Repository,
        result: Result<Box<WireRun>, PollError>,
        answer: oneshot::Sender<Result<RunId, PollError>>,
    },
}

struct Host {
    runs: RunsDir,
    client: Client,
    /// The runners on this machine.
    runners: Arc<Runners>,
    schedule: Schedule<Key>,
    opened: HashMap<RunId, Opened>,
    /// Runs mirrored by another process, until that process ends.
    held: HashMap<RunId, Box<RunSpec>>,
    focus: Option<RunId>,
    /// Time from which the user counts as away; `None` while the user is at the screen, and once the user is away.
    away_from: Option<Timestamp>,
    /// Opened runs that are not mirrored while the user is away.
    released: Vec<(Box<RunSpec>, Purpose)>,
    /// The listed runs as they were when their stubs were last written. Only changed runs are written again.
    seen: HashMap<RemoteId, WireRun>,
    dates: Dates,
    /// The scheduled poll in progress. There is at most one, so that requests of the user need not wait for several
    /// polls.
    polling: Option<Key>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    changed: mpsc::Sender<RunId>,
    /// The tasks of opened runs.
    mirrors: JoinSet<Result<(), WatchFault>>,
    faults: Arc<watch::Sender<Option<WatchFault>>>,
    /// Watched repositories whose runs the server refuses to list, as was reported.
    unlisted: HashSet<Repository>,
}

/// Serves requests until their last sender is dropped, and then finishes the commands for opened runs. Calls `tell`
/// with the time of the next poll.
pub(super) async fn serve(
    runs: RunsDir,
    client: Client,
    runners: Arc<Runners>,
    mut asks: mpsc::Receiver<Ask>,
    faults: Arc<watch::Sender<Option<WatchFault>>>,
    tell: impl Fn(Option<Timestamp>) + Send,
) {
    let (changed, mut changes) = mpsc::channel(MAX_CHANGES);
    let mut host = Host {
        runs,
        client,
        runners,
        schedule: Schedule::default(),
        opened: HashMap::new(),
        held: HashMap::new(),
        focus: None,
        away_from: None,
        released: Vec::new(),
        seen: HashMap::new(),
        dates: Dates::default(),
        polling: None,
        work: FuturesUnordered::new(),
        changed,
        mirrors: JoinSet::new(),
        faults,
        unlisted: HashSet::new(),
    };
    loop {
        host.leave_when_away();
        host.start_due();
        let next = host.next();
        if host.polling.is_none() {
            tell(host.schedule.next());
        }
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => host.answer(ask),
                None => break,
            },
            Some(ended) = host.mirrors.join_next() => host.report(ended),
            Some(done) = host.work.next() => host.finish(done),
            Some(run) = changes.recv() => host.wake(run),
            () = sleep(next.unwrap_or(Duration::MAX)), if next.is_some() => {}
        }
    }
    // Callers that still wait get an error.
    host.work.clear();
    host.opened.clear();
    while let Some(ended) = host.mirrors.join_next().await {
        host.report(ended);
    }
}

impl Host {
    /// Reports why the task of a run ended. Its callers get [`PollError::Gone`].
    fn report(&self, ended: Result<Result<(), WatchFault>, JoinError>) {
        match ended {
            Ok(Ok(())) => tracing::debug!("a run is no longer mirrored"),
            Ok(Err(fault)) => {
                tracing::error!(%fault, "a run is no longer mirrored");
                self.faults.send_replace(Some(fault));
            }
            // The panic hook prints the panic itself.
            Err(panic) => tracing::error!(%panic, "a run is no longer mirrored"),
        }
    }

    /// Starts the poll that is due, unless one is in progress.
    fn start_due(&mut self) {
        if self.polling.is_some() {
            return;
        }
        let Some(key) = self.schedule.due(now()) else { return };
        let priority = match &key {
            Key::Run(run) if self.focus.as_ref() == Some(run) => Priority::Visible,
            _ => Priority::Background,
        };
        match &key {
            Key::List(repository) => self.poll_lists(vec![repository.clone()], priority, None),
            Key::Run(run) => match self.held.get(run).cloned() {
                // The other process may have ended. If not, it has polled the run meanwhile.
                Some(spec) => {
                    self.schedule.polled(&key, Some(Polled::default()), now(), u32::MAX / 2);
                    return self.open(&spec, true, Purpose::Logs, None);
                }
                None => self.poll_run(run.clone(), priority, None),
            },
        }
        self.polling = Some(key);
    }

    /// If too many runs are open, closes a completed one that is not focused.
    fn close_one(&mut self) {
        if self.opened.len() < MAX_OPENED {
            return;
        }
        let is_idle = |(run, opened): &(&RunId, &Opened)| opened.last.has_ended && self.focus.as_ref() != Some(run);
        if let Some(run) = self.opened.iter().find(is_idle).map(|(run, _)| run.clone()) {
            self.opened.remove(&run);
            self.schedule.forget(&Key::Run(run));
        }
    }

    /// Returns the time until the next poll is due, or until the user counts as away. `None` while a poll is in
    /// progress, or if nothing is watched.
    fn next(&self) -> Option<Duration> {
        let next = self.schedule.next().into_iter().chain(self.away_from).min();
        let next = next.filter(|_| self.polling.is_none())?;
        Some(next.since(now()).max(Duration::from_millis(1)))
    }

    /// Sets whether the user is looking at the screen. Mirrors the released runs again when the user is back.
    fn attend(&mut self, away_from: Option<Timestamp>) {
        self.away_from = away_from;
        let attention = if away_from.is_none() { Attention::Here } else { Attention::Elsewhere };
        self.schedule.attend(attention, now());
        if attention == Attention::Here {
            for (spec, purpose) in std::mem::take(&mut self.released) {
                self.open(&spec, true, purpose, None);
            }
        }
    }

    /// Once the user counts as away, stops mirroring the runs that are not in progress. The time is that of the wall
    /// clock, so that a user whose machine slept meanwhile is away before anything is polled.
    fn leave_when_away(&mut self) {
        if self.away_from.take_if(|from| *from <= now()).is_none() {
            return;
        }
        self.schedule.attend(Attention::Away, now());
        let is_idle = |opened: &Opened| opened.last.waits || opened.last.has_ended;
        for (run, opened) in self.opened.extract_if(|_, opened| is_idle(opened)) {
            // Runs that the user did not open are opened by their list again.
            if opened.is_wanted {
                match RunSpec::read(&self.runs.folder(run.clone())) {
                    Ok(spec) => self.released.push((Box::new(spec), opened.purpose)),
                    // The folder was deleted, and nothing is left to mirror.
                    Err(error) => tracing::debug!(%run, %error, "a run is not mirrored again"),
                }
            }
            self.schedule.forget(&Key::Run(run));
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Watch(repositories) => {
                for repository in repositories {
                    self.schedule.watch(Key::List(repository), Kind::RunList, now());
                }
            }
            Ask::List { repositories, answer } => self.poll_lists(repositories, Priority::User, Some(answer)),
            Ask::Find { repository, id, answer } => self.find(repository, id, answer),
            Ask::Mirror { repository, runs, answer } => {
                let found = runs.into_iter().map(|run| self.listed(&repository, run));
                // The caller may be gone.
                let _ = answer.send(found.filter(|run| !matches!(run, Err(PollError::Malformed { .. }))).collect());
            }
            Ask::Open { spec, purpose, answer } => {
                self.open(&spec, true, purpose, Some(answer));
            }
            Ask::LoadLogs { spec, jobs, answer } => {
                if !self.opened.contains_key(&spec.info.id) {
                    self.open(&spec, true, Purpose::State, None);
                }
                self.pass_on(&spec.info.id, Task::LoadLogs { jobs, done: answer });
            }
            Ask::Record { run, event, answer } => self.pass_on(&run, Task::Record { event, done: answer }),
            Ask::Attend(away_from) => self.attend(away_from),
            Ask::Focus(run) => {
                let before = self.focus.replace(run.clone());
                for run in before.iter().chain([&run]) {
                    self.pace(run);
                }
            }
        }
    }

    /// Mirrors a run from now on, and polls it. If another process mirrors the run, only checks from time to time
    /// whether that process has ended; a caller that wants the state also gets an error if the server does not respond.
    fn open(&mut self, spec: &RunSpec, is_wanted: bool, purpose: Purpose, answer: Option<Answering>) {
        let Some(remote) = spec.work.remote() else { return };
        let run = spec.info.id.clone();
        if let Some(opened) = self.opened.get_mut(&run) {
            opened.is_wanted |= is_wanted;
        } else {
            let (client, runners) = (self.client.clone(), Arc::clone(&self.runners));
            match Mirrored::open(&self.runs, client, spec, remote, runners, self.changed.clone()) {
                Ok(Some(mirrored)) => {
                    let (tasks, asked) = mpsc::channel(MAX_TASKS);
                    let id = run.clone();
                    self.mirrors.spawn(async move {
                        mirrored.serve(asked).await.map_err(|error| WatchFault::Run { run: id, error: Arc::new(error) })
                    });
                    self.held.remove(&run);
                    self.close_one();
                    self.opened.insert(
                        run.clone(),
                        Opened { tasks, is_wanted, purpose: Purpose::State, last: RunPolled::default() },
                    );
                }
                Ok(None) => {
                    if is_wanted {
                        self.held.insert(run.clone(), Box::new(spec.clone()));
                        self.schedule.watch(Key::Run(run), Kind::VisibleRun, now());
                    }
                    match answer {
                        Some(answer) if purpose == Purpose::State => self.reach(remote, answer),
                        answer => done(answer, Ok(())),
                    }
                    return;
                }
                Err(error) => return done(answer, Err(error.into())),
            }
        }
        if let Some(opened) = self.opened.get_mut(&run).filter(|opened| opened.purpose < purpose) {
            // The channel has room: only a few tasks of a run are queued at a time.
            if opened.tasks.try_send(Task::Serve(purpose)).is_ok() {
                opened.purpose = purpose;
            }
        }
        let priority = if answer.is_some() { Priority::User } else { Priority::Background };
        self.poll_run(run, priority, answer);
    }

    /// Answers whether the server of a run responds, for a run that another process mirrors. Sends no request if that
    /// process had an answer within [`RECENT`].
    fn reach(&self, remote: &RemoteSpec, answer: Answering) {
        let (client, path) = (self.client.clone(), order::run_path(remote));
        tokio::spawn(async move {
            let asked = client.get(&path, RECENT, Priority::User).await;
            done(Some(answer), asked.map(drop).map_err(PollError::from));
        });
    }

    fn poll_run(&mut self, run: RunId, priority: Priority, answer: Option<Answering>) {
        let Some(tasks) = self.opened.get(&run).map(|opened| opened.tasks.clone()) else {
            self.schedule.forget(&Key::Run(run));
            return done(answer, Err(PollError::Gone));
        };
        let polling = async move {
            let (done, polled) = oneshot::channel();
            let result = match tasks.send(Task::Poll { priority, done }).await {
                Ok(()) => polled.await.unwrap_or(Err(PollError::Gone)),
                Err(_) => Err(PollError::Gone),
            };
            Done::Run { run, result, answer }
        };
        self.work.push(polling.boxed());
    }

    /// Forwards a task to the task of an opened run.
    fn pass_on(&mut self, run: &RunId, task: Task) {
        match self.opened.get(run).map(|opened| opened.tasks.clone()) {
            Some(tasks) => drop(tokio::spawn(async move {
                if let Err(unsent) = tasks.send(task).await {
                    unsent.0.end(Err(PollError::Gone));
                }
            })),
            // The process that mirrors the run downloads its logs and writes its journal.
            None => task.end(Ok(())),
        }
    }

    fn finish(&mut self, finished: Done) {
        if let Some(rate) = self.client.link().borrow().rate {
            self.schedule.limit(rate, now());
        }
        match finished {
            Done::Lists { lists, answer } => {
                let mut result = Ok(());
                for (repository, listed) in lists {
                    let listed = listed.map(|listed| self.list(&repository, listed));
                    self.polled(Key::List(repository.clone()), listed.as_ref().ok().copied());
                    let listed = listed.map(drop);
                    if answer.is_some() {
                        result = result.and(listed);
                    } else {
                        self.report_list(repository, listed);
                    }
                }
                done(answer, result);
            }
            Done::Run { run, result, answer } => {
                let polled = result.as_ref().ok().map(|polled| polled.polled);
                match &result {
                    Ok(polled) => {
                        if let Some(opened) = self.opened.get_mut(&run) {
                            opened.last = *polled;
                        }
                    }
                    Err(
                        PollError::Gone
                        | PollError::Store(_)
                        | PollError::Api(ApiError::Refused { status: 404 | 410, .. }),
                    ) => drop(self.opened.remove(&run)),
                    Err(error) => tracing::debug!(%run, %error, "a run was not polled"),
                }
                // `pace` comes first because it starts watching a run that was just opened, and `polled` ignores runs
                // that are not watched.
                self.pace(&run);
                self.polled(Key::Run(run), polled);
                done(answer, result.map(drop));
            }
            Done::Found { repository, result, answer } => {
                let found = result.and_then(|run| Ok(self.stub(&repository, *run)?.0.info.id));
                let _ = answer.send(found);
            }
        }
    }

    fn polled(&mut self, key: Key, polled: Option<Polled>) {
        if self.polling.as_ref() == Some(&key) {
            self.polling = None;
        }
        let dice = getrandom::u32().unwrap_or(u32::MAX / 2);
        self.schedule.polled(&key, polled, now(), dice);
    }

    /// Sets how often an opened run is polled, and closes a completed run that the user did not open.
    fn pace(&mut self, run: &RunId) {
        let key = Key::Run(run.clone());
        let Some(opened) = self.opened.get(run) else {
            if !self.held.contains_key(run) {
                self.schedule.forget(&key);
            }
            return;
        };
        let is_focused = self.focus.as_ref() == Some(run);
        let RunPolled { has_ended, waits, .. } = opened.last;
        let kind = match (has_ended, is_focused) {
            (true, false) => {
                if !opened.is_wanted {
                    self.opened.remove(run);
                }
                return self.schedule.forget(&key);
            }
            (true, true) => Kind::Background,
            // Without a rate limit, the start of a job that waits for its runner is seen at once.
            (false, true) if self.client.host().kind() == ServerKind::Gitea => Kind::LiveRun,
            (false, _) if waits => Kind::Waiting,
            (false, true) => Kind::FocusedRun,
            (false, false) => Kind::VisibleRun,
        };
        self.schedule.watch_known(key, kind, now());
    }

    /// Polls an opened run soon, because it has changed. A completed run may have been re-run.
    fn wake(&mut self, run: RunId) {
        if let Some(opened) = self.opened.get_mut(&run) {
            opened.last.has_ended = false;
            self.pace(&run);
            self.schedule.changed_by_user(&Key::Run(run), now());
        }
    }
}

/// Sends the result to the caller, who may be gone.
fn done(answer: Option<Answering>, result: Result<(), PollError>) {
    if let Some(answer) = answer {
        let _ = answer.send(result);
    }
}
