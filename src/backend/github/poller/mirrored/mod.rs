//! The task of an opened run. It takes the role of the worker for the run's folder.
//!
//! - [`logs`]: the logs of its jobs
//! - [`runners`]: the logs of jobs in progress whose runners are on this machine

mod logs;
mod runners;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::backend::github::client::budget::Polled;
use crate::backend::github::client::{ApiError, Client, Priority};
use crate::backend::github::mirror::events::{Snapshot, Timed, annotations, superseded};
use crate::backend::github::mirror::folder::Mirror;
use crate::backend::github::mirror::graph::Graph;
use crate::backend::github::mirror::logs::LogError;
use crate::backend::github::runner::{JobLog, Line, RunnerError, Runners};
use crate::backend::github::wire::checks::Annotation;
use crate::model::{Command, Event, JobId, Phase, Reply, RunId};
use crate::store::StoreError;
use crate::store::clock::now;
use crate::store::folder::RunsDir;
use crate::store::history;
use crate::store::spec::{RemoteSpec, RunSpec};
use crate::worker::control;
use crate::worker::control::PendingCommand;

use super::fetch::{Fetch, Fetched};
use super::live::{LiveLogs, Tailed};
use super::{PollError, Purpose, order};

use logs::{Loaded, Waiting};
use runners::{RunnerLogs, Sought};

/// Maximum number of commands that wait for an answer.
const MAX_COMMANDS: usize = 16;

/// Requests to the task of a run, with the channel for the result.
pub(super) enum Task {
    /// Mirror the run for this purpose as well, and listen for commands like a worker.
    Serve(Purpose),
    /// Fetch the current state of the run.
    Poll { priority: Priority, done: oneshot::Sender<Result<RunPolled, PollError>> },
    /// Download the logs of these jobs, if they have ended and have no log yet. Without jobs, wait for the downloads in
    /// progress.
    LoadLogs { jobs: Vec<JobId>, done: Loaded },
    /// Append an event to the journal.
    Record { event: Box<Event>, done: oneshot::Sender<Result<(), PollError>> },
}

impl Task {
    /// Replies to a task that is not carried out. The caller may be gone.
    pub(super) fn end(self, result: Result<(), PollError>) {
        match self {
            Self::LoadLogs { done, .. } | Self::Record { done, .. } => drop(done.send(result)),
            Self::Poll { done, .. } => drop(done.send(result.map(|()| RunPolled::default()))),
            Self::Serve(_) => {}
        }
    }
}

/// Result of polling a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct RunPolled {
    pub(super) polled: Polled,
    /// Whether the run has ended.
    pub(super) has_ended: bool,
    /// Whether the run waits, for example for a review, a runner or another run.
    pub(super) waits: bool,
}

/// A run that this process mirrors.
pub(super) struct Mirrored {
    client: Client,
    remote: Arc<RemoteSpec>,
    mirror: Mirror,
    grown: watch::Sender<u64>,
    /// The graph of the workflow file, once it is known.
    graph: Option<Graph>,
    /// Whether the logs of completed jobs are downloaded automatically.
    loads_logs: bool,
    /// Ids of the jobs on the server whose annotations were recorded.
    annotated: HashSet<u64>,
    /// Logs that were requested in this attempt.
    logs: HashSet<JobId>,
    /// Logs that are being downloaded.
    loading: HashSet<JobId>,
    /// Callers that wait for downloads.
    waiting: Vec<Waiting>,
    live: LiveLogs,
    /// The runners on this machine.
    on_this_machine: Arc<Runners>,
    /// The logs of jobs whose runners are on this machine.
    runners: RunnerLogs,
    /// Whether runners are being searched for.
    is_seeking: bool,
    attempt: u32,
    work: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Number of commands that are being sent.
    sending: usize,
    /// Notified when the user has changed the run, so that it is polled soon.
    changed: mpsc::Sender<RunId>,
}

/// Work that has ended.
enum Finished {
    Polled {
        fetched: Result<(Box<Fetched>, Option<Graph>), PollError>,
        tails: Vec<Tailed>,
        /// Last parts of the followed logs whose jobs have just ended.
        last_parts: Vec<Tailed>,
        done: oneshot::Sender<Result<RunPolled, PollError>>,
    },
    /// The reply to a command; `None` if it was not sent, as the client has left.
    Sent {
        command: Command,
        reply: Option<Reply>,
        by: Option<String>,
        answer: oneshot::Sender<Reply>,
    },
    /// The last part of a followed log whose job has ended.
    End(Tailed),
    /// The files of runners on this machine.
    Sought(Sought),
    /// New lines of a log that a runner on this machine writes; `None` if reading panicked.
    Read {
        job: JobId,
        attempt: u32,
        read: Option<(JobLog, Result<Vec<Line>, RunnerError>)>,
    },
    Log {
        job: JobId,
        limit: u64,
        result: Result<(), ApiError>,
        /// Id of the job on the server, and its annotations if they were fetched.
        annotations: (u64, Option<Vec<Annotation>>),
    },
    Split {
        job: JobId,
        attempt: u32,
        result: Result<Vec<Timed>, LogError>,
    },
}

impl Mirrored {
    /// Opens the folder of a run. `None` if another process mirrors it.
    pub(super) fn open(
        runs: &RunsDir,
        client: Client,
        spec: &RunSpec,
        remote: &RemoteSpec,
        on_this_machine: Arc<Runners>,
        changed: mpsc::Sender<RunId>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(mirror) = Mirror::open(runs, spec)? else { return Ok(None) };
        remove_downloads(mirror.folder().path());
        Ok(Some(Self {
            client,
            remote: Arc::new(remote.clone()),
            mirror,
            grown: watch::Sender::new(0),
            graph: None,
            loads_logs: false,
            annotated: HashSet::new(),
            logs: HashSet::new(),
            loading: HashSet::new(),
            waiting: Vec::new(),
            live: LiveLogs::default(),
            on_this_machine,
            runners: RunnerLogs::default(),
            is_seeking: false,
            attempt: 0,
            work: FuturesUnordered::new(),
            sending: 0,
            changed,
        }))
    }

    /// Mirrors the run until the sender of `tasks` is dropped, and then finishes the accepted commands. Ends at once if
    /// the run is deleted.
    pub(super) async fn serve(mut self, mut tasks: mpsc::Receiver<Task>) -> Result<(), StoreError> {
        let (asked, mut commands) = mpsc::channel(MAX_COMMANDS);
        let mut server = None;
        let mut is_removed = false;
        loop {
            tokio::select! {
                task = tasks.recv() => match task {
                    Some(Task::Serve(purpose)) => {
                        self.loads_logs |= purpose == Purpose::Logs;
                        if server.is_none() {
                            server = Some(self.listen(asked.clone())?);
                        }
                    }
                    Some(Task::Poll { priority, done }) => self.poll(priority, done),
                    Some(Task::LoadLogs { jobs, done }) => self.load_logs(&jobs, done),
                    Some(Task::Record { event, done }) => {
                        self.record(*event)?;
                        let _ = done.send(Ok(()));
                    }
                    None => break,
                },
                Some((command, answer)) = commands.recv() => self.obey(command, answer),
                Some(finished) = self.work.next() => {
                    is_removed = !self.take(finished)?;
                    if is_removed {
                        break;
                    }
                }
            }
        }
        drop(asked);
        if server.is_some() && !is_removed {
            // Without the socket, another process that has a command for this run mirrors the run itself.
            let _ = fs::remove_file(self.mirror.folder().socket());
        }
        commands.close();
        while !is_removed && let Some((command, answer)) = commands.recv().await {
            self.obey(command, answer);
        }
        while !is_removed
            && self.sending > 0
            && let Some(finished) = self.work.next().await
        {
            is_removed = !self.take(finished)?;
        }
        drop(commands);
        // Senders that still wait get an error.
        self.work.clear();
        if let Some(server) = server {
            // Ends with the receiver of commands.
            let _ = server.await;
        }
        Ok(())
    }

    fn listen(&self, asked: mpsc::Sender<PendingCommand>) -> Result<JoinHandle<()>, StoreError> {
        let socket = self.mirror.folder().socket();
        let listener = control::bind(&socket).map_err(StoreError::io("open the socket", &socket))?;
        Ok(tokio::spawn(control::serve(listener, asked, self.grown.subscribe(), Arc::new(|_| None))))
    }

    fn poll(&mut self, priority: Priority, done: oneshot::Sender<Result<RunPolled, PollError>>) {
        let (client, remote) = (self.client.clone(), Arc::clone(&self.remote));
        let needs_graph = self.graph.is_none();
        let deploys = self.mirror.run().jobs.values().any(|job| job.environment.is_some());
        let followed = if self.has_live_logs() { self.live.next(&self.mirror) } else { Vec::new() };
        let annotated = self.annotated.clone();
        let polling = async move {
            let fetch = Fetch { client: &client, remote: &remote, priority };
            // Fetched before the snapshot, so that the snapshot has the step of every line.
            let mut tails = Vec::with_capacity(followed.len());
            for tail in followed {
                tails.push(tail.ask(&fetch).await);
            }
            let fetching = async {
                let fetched = fetch.snapshot(deploys, &annotated).await?;
                let graph = if needs_graph {
                    Some(Graph::new(&fetched.run, fetch.workflow(&fetched.run).await?.as_ref()))
                } else {
                    None
                };
                Ok((Box::new(fetched), graph))
            };
            let fetched = fetching.await;
            let mut last_parts = Vec::new();
            if let Ok((fetched, _)) = &fetched {
                for tail in tails.iter().filter(|tailed| fetched.has_ended(tailed.number())).filter_map(Tailed::after) {
                    last_parts.extend(tail.ask_rest(&fetch).await);
                }
            }
            Finished::Polled { fetched, tails, last_parts, done }
        };
        self.work.push(polling.boxed());
    }

    fn obey(&mut self, command: Command, answer: oneshot::Sender<Reply>) {
        match order::request(&command, &self.remote, self.mirror.run()) {
            Ok(request) => {
                let (client, remote, mut answer) = (self.client.clone(), Arc::clone(&self.remote), answer);
                let sending = async move {
                    let by = order::user(&client).await;
                    let reply = order::send(&client, &request, &mut answer).await;
                    if is_removal(&command, reply.as_ref()) {
                        order::renew_list(&client, &remote).await;
                    }
                    Finished::Sent { command, reply, by, answer }
                };
                self.sending += 1;
                self.work.push(sending.boxed());
            }
            Err(reason) => {
                // The client may be gone.
                let _ = answer.send(Reply::Rejected { reason: reason.to_string() });
            }
        }
    }

    /// Handles the result of some work. Returns whether the run still exists.
    fn take(&mut self, finished: Finished) -> Result<bool, StoreError> {
        match finished {
            Finished::Polled { fetched: Ok((fetched, graph)), tails, last_parts, done } => {
                if graph.is_some() {
                    self.graph = graph;
                }
                // The end of a job is recorded after its last line.
                let mut ended: Vec<u64> = last_parts.iter().map(Tailed::number).collect();
                ended.extend(self.ended_on_runners(&fetched));
                let before = (!ended.is_empty()).then(|| fetched.without_ends(&ended));
                self.update(before.as_ref().unwrap_or(&fetched))?;
                for tailed in tails {
                    let events = self.live.add(&self.mirror, tailed);
                    self.append(events)?;
                }
                for tailed in last_parts {
                    let (events, _) = self.live.end(&self.mirror, tailed);
                    self.append(events)?;
                }
                self.feed_runners(&ended)?;
                if before.is_some() {
                    self.update(&fetched)?;
                }
                self.seek_runners(&fetched);
                self.want_logs();
                let run = self.mirror.run();
                let _ = done.send(Ok(RunPolled {
                    polled: Polled { changed: fetched.changed, charged: fetched.charged },
                    has_ended: run.phase.is_done(),
                    waits: matches!(run.phase, Phase::Waiting(_)),
                }));
            }
            Finished::Polled { fetched: Err(error), done, .. } => {
                let _ = done.send(Err(error));
            }
            Finished::Sent { command, reply: Some(reply), answer, .. } if is_removal(&command, Some(&reply)) => {
                let removed = history::remove(self.mirror.folder());
                let _ = answer.send(reply);
                removed?;
                return Ok(false);
            }
            Finished::Sent { command, reply, by, answer } => {
                self.sending -= 1;
                let Some(reply) = reply else { return Ok(true) };
                let _ = answer.send(reply.clone());
                self.record(Event::Ordered { command, reply, by })?;
                let _ = self.changed.try_send(self.mirror.folder().id().clone());
            }
            Finished::End(tailed) => self.take_end(tailed)?,
            Finished::Sought(sought) => self.take_sought(sought)?,
            Finished::Read { job, attempt, read } => self.take_read(job, attempt, read)?,
            Finished::Log { job, limit, result, annotations: (number, annotations) } => {
                if let Some(all) = annotations {
                    self.annotate(number, &all)?;
                }
                self.take_log(job, limit, result);
            }
            Finished::Split { job, attempt, result } => self.take_split(&job, attempt, result)?,
        }
        Ok(true)
    }

    /// Writes fetched data to the folder.
    fn update(&mut self, fetched: &Fetched) -> Result<(), StoreError> {
        let graph = self.graph.get_or_insert_with(|| Graph::new(&fetched.run, None));
        let layout = graph.lay_out(&fetched.jobs, self.mirror.run());
        let snapshot = Snapshot {
            run: &fetched.run,
            jobs: Some((&fetched.jobs, &layout)),
            pending: &fetched.pending,
            approvals: &fetched.approvals,
            groups: &fetched.groups,
            superseded: superseded(&fetched.annotations),
        };
        if !self.mirror.update(&snapshot)?.is_empty() {
            self.grow();
        }
        fetched.annotations.iter().try_for_each(|(job, all)| self.annotate(*job, all))
    }

    /// Records the annotations of a job.
    fn annotate(&mut self, number: u64, all: &[Annotation]) -> Result<(), StoreError> {
        self.annotated.insert(number);
        let run = self.mirror.run();
        let Some(job) = run.jobs.values().find(|job| job.remote == Some(number)).map(|job| job.id.clone()) else {
            return Ok(());
        };
        let events = annotations(run, &job, all);
        self.append(events)
    }

    fn record(&mut self, event: Event) -> Result<(), StoreError> {
        self.append(vec![(now(), event)])
    }

    fn append(&mut self, events: Vec<Timed>) -> Result<(), StoreError> {
        if !self.mirror.append(events)?.is_empty() {
            self.grow();
        }
        Ok(())
    }

    fn grow(&self) {
        self.grown.send_modify(|grown| *grown += 1);
    }
}

/// Whether a command removed the run from its server.
fn is_removal(command: &Command, reply: Option<&Reply>) -> bool {
    (command, reply) == (&Command::Delete, Some(&Reply::Accepted))
}

/// Removes partial downloads of a killed process. Only the process that mirrors a run downloads into its
/// folder.
fn remove_downloads(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_left = |name: &str| {
            name.ends_with(".download")
                || (name.starts_with('.') && Path::new(name).extension().is_some_and(|end| end == "part"))
        };
        if name.to_str().is_some_and(is_left) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
