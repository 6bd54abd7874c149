//! State that the panes show: the runs as their records and the backend describe them, and the commands that no record
//! has confirmed yet.

use std::collections::{BTreeMap, HashSet};

use crate::model::capabilities::Unavailable;
use crate::model::deployment::{notified, recorded};
use crate::model::feed::{BrokenWorkflow, Connection, Notice, Polling, Request, StartableWorkflow, Watching};
use crate::model::lane::Lane;
use crate::model::lane_details::LaneDetails;
use crate::model::rights::{Denied, KnownRights, Rights};
use crate::model::{
    Command, Conclusion, DeploymentOrder, EndReason, Event, Expected, HeldOrder, Job, PendingReview, Phase, Record,
    Reply, RepositoryId, RerunScope, Review, Run, RunId, RunInfo, Service, Summary, Timestamp, is_near,
};
use crate::store::runs::RunStore;
use crate::ui::run_columns::file_name;
use crate::ui::text;

use super::environments::ServerEnvironments;
use super::listed::Listed;

/// Number of older runs that are requested at a time.
const PAGE: usize = 200;

/// Number of past events that are always kept. At most twice as many are kept.
const MAX_EVENTS: usize = 500;

/// State that the panes read and never change.
#[derive(Clone, Debug, Default)]
pub(super) struct AppState {
    /// The followed runs, with their jobs.
    store: RunStore,
    /// All listed runs. Ids sort by age.
    summaries: BTreeMap<RunId, Summary>,
    /// Commands sent but not yet confirmed by a record.
    pending: Vec<(RunId, Command)>,
    /// Runs that this screen started, and those that watch mode started for it.
    own: HashSet<RunId>,
    /// Times up to which the user has already been shown the events of runs: those at which the screen began to follow
    /// runs that it had listed.
    seen: BTreeMap<RunId, Timestamp>,
    /// Whether the first page of runs has arrived. Before that, an empty list does not mean that there are no runs.
    pub(super) is_listed: bool,
    /// The loaded part of the runs of all repositories.
    listed: Listed,
    /// The loaded part of the runs of the repository of the working directory.
    listed_here: Listed,
    /// Repositories on servers whose runs are listed beside those of the working directory's: that of the checkout,
    /// which may be a fork, and those in the settings.
    pub(super) watched: Vec<RepositoryId>,
    /// Whether the list shows the runs of all repositories, and not only those of the working directory's and the
    /// watched ones.
    pub(super) is_everywhere: bool,
    /// How long followed runs are expected to take.
    expected: BTreeMap<RunId, Expected>,
    /// Connection of the backend to the source of the runs.
    pub(super) connection: Connection,
    /// When servers are polled next, and how many requests are left; `None` while no server is polled.
    pub(super) polling: Option<Polling>,
    /// Repository of the working directory; `None` outside of repositories.
    pub(super) home: Option<RepositoryId>,
    /// Environments of repositories on servers.
    pub(super) environments: ServerEnvironments,
    /// Environments of this machine.
    pub(super) lanes: Vec<Lane>,
    /// Whether these environments were read, even if there are none.
    pub(super) has_read_lanes: bool,
    /// Why the environments of this machine cannot be read; `None` if they can.
    pub(super) lanes_unreadable: Option<String>,
    /// What is checked out here; `None` while it is being read.
    pub(super) head: Option<String>,
    /// Details of environments of this machine, or why they cannot be read, as far as they were requested.
    pub(super) details: BTreeMap<String, Result<Box<LaneDetails>, String>>,
    /// The workflows here that have errors.
    pub(super) broken: Vec<BrokenWorkflow>,
    /// The workflows that can be started here.
    pub(super) startable: Vec<StartableWorkflow>,
    /// The workflows of servers that can be dispatched, as far as they were requested.
    pub(super) dispatchable: Vec<StartableWorkflow>,
    /// What the token may change in the repositories of servers.
    pub(super) rights: KnownRights,
    /// Past events, the latest last.
    pub(super) events: Vec<EventEntry>,
    /// Services of the Compose file of the current repository.
    pub(super) compose: Vec<Service>,
    /// State of watch mode; `None` while it is off.
    pub(super) watching: Option<Watching>,
    /// State of the replay, for the header; `None` on a live screen.
    pub(super) replay: Option<String>,
    /// Whether the replay goes on by itself.
    pub(super) is_playing: bool,
    /// Why all operations are refused; `None` if the screen accepts operations.
    pub(super) refusal: Option<Unavailable>,
    /// Time of the last tick; in a replay, the displayed moment.
    pub(super) now: Timestamp,
    /// Time at which the screen was opened. Earlier events raise no notice.
    pub(super) opened: Timestamp,
}

/// A line of the Events pane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EventEntry {
    pub(super) at: Timestamp,
    /// The run that the event belongs to; `None` for an event outside of any run.
    pub(super) run: Option<RunId>,
    /// State whose glyph is drawn before the text; `None` for text without a glyph.
    pub(super) phase: Option<Phase>,
    pub(super) notice: Notice,
}

impl AppState {
    /// Stores how long a run is expected to take.
    pub(super) fn expect(&mut self, run: RunId, expected: Expected) {
        self.expected.insert(run, expected);
    }

    /// Returns how long a run is expected to take, if earlier runs allow an estimate. `None` for a deployment that only
    /// keeps the former release running, whose end is fixed, and for one that waits for a person.
    pub(super) fn expected(&self, run: &RunId) -> Option<&Expected> {
        let waits = || self.open_of(run).is_some_and(|(lane, _)| lane.waits_for_person());
        self.expected.get(run).filter(|_| self.kept_by(run).is_none() && !waits())
    }

    /// Returns a followed run; `None` if the run is not followed.
    pub(super) fn run(&self, id: &RunId) -> Option<&Run> {
        self.store.run(id)
    }

    /// Returns all known runs, newest first.
    pub(super) fn summaries(&self) -> impl DoubleEndedIterator<Item = &Summary> {
        self.summaries.values().rev()
    }

    /// Returns the runs that the list shows, newest first: those of the working directory's repository and of the watched
    /// ones, or of all.
    pub(super) fn listed(&self) -> impl DoubleEndedIterator<Item = &Summary> {
        self.summaries().filter(|run| self.is_in_list(run))
    }

    /// Whether the list shows a run, unless a filter hides it.
    pub(super) fn is_in_list(&self, run: &Summary) -> bool {
        self.is_everywhere || self.is_near(run)
    }

    /// Names the repositories whose runs are listed, with the number of those beside the working directory's. `None`
    /// outside of a repository, and in a replay.
    pub(super) fn listed_repositories(&self) -> Option<String> {
        let home = self.home.as_ref().filter(|_| self.replay.is_none())?;
        Some(match (self.is_everywhere, self.others(home), file_name(&home.name)) {
            (true, ..) => "all repositories".to_owned(),
            (_, 0, name) => name.to_owned(),
            (_, others, name) => format!("{name} and {others} watched"),
        })
    }

    /// Returns the number of watched repositories besides that of the working directory.
    fn others(&self, home: &RepositoryId) -> usize {
        self.watched.iter().filter(|watched| !watched.is_named_like(home)).count()
    }

    /// Whether a run belongs to the repository of the working directory, or is on a server and of a watched one. Always
    /// true outside of a repository.
    pub(super) fn is_near(&self, run: &Summary) -> bool {
        is_near(self.home.as_ref(), &self.watched, &run.info)
    }

    /// Whether the listed runs belong to more than one repository, so that each row names its own.
    pub(super) fn has_several_repositories(&self) -> bool {
        let mut names = self.listed().map(|run| run.info.repository.as_str()).filter(|name| !name.is_empty());
        let first = names.next();
        names.any(|name| Some(name) != first)
    }

    /// Whether a run belongs to the repository of the working directory. Always true outside of a repository.
    pub(super) fn is_at_home(&self, run: &Summary) -> bool {
        self.home.as_ref().is_none_or(|home| home.has(&run.info))
    }

    /// Returns a listed run; `None` if the run is not listed.
    pub(super) fn summary(&self, id: &RunId) -> Option<&Summary> {
        self.summaries.get(id)
    }

    /// Returns what the token may change in the repository of a run on a server, if known.
    pub(super) fn rights_of(&self, run: &Summary) -> Option<Rights> {
        self.rights.of(&run.info.remote.as_ref()?.host, &run.info.repository)
    }

    /// Whether runs of a server are listed.
    pub(super) fn has_servers(&self) -> bool {
        self.summaries().any(|run| run.info.remote.is_some())
    }

    /// Whether the tokens may start workflows of the servers with listed runs: an error if none of them may. `None` if
    /// no run of a server is listed.
    pub(super) fn may_start(&self) -> Option<Result<(), Denied>> {
        let remote = self.summaries().filter(|run| run.info.remote.is_some());
        let denied = remote.map(|run| self.rights_of(run).and_then(|rights| rights.actions));
        denied.map(|denied| denied.map_or(Ok(()), Err)).reduce(Result::or)
    }

    /// Returns the commands that were sent to a run and not yet confirmed by a record.
    pub(super) fn pending<'s>(&'s self, id: &'s RunId) -> impl Iterator<Item = &'s Command> {
        self.pending.iter().filter(move |(run, _)| run == id).map(|(_, command)| command)
    }

    /// Returns the listed runs that have not completed.
    pub(super) fn active(&self) -> impl Iterator<Item = &Summary> {
        self.summaries().filter(|run| !run.phase.is_done())
    }

    /// Returns the pending reviews of the listed runs.
    pub(super) fn reviews(&self) -> impl Iterator<Item = &PendingReview> {
        self.summaries().flat_map(|run| &run.reviews)
    }

    /// Whether the backend has runs that are older than the listed ones.
    pub(super) fn has_older(&self) -> bool {
        self.loaded().more
    }

    /// The repository whose runs alone are listed; `None` if those of several repositories may be.
    fn scope(&self) -> Option<&RepositoryId> {
        self.home.as_ref().filter(|home| !self.is_everywhere && self.others(home) == 0)
    }

    fn loaded(&self) -> &Listed {
        if self.scope().is_some() { &self.listed_here } else { &self.listed }
    }

    /// Returns the request for the next page of older runs, and remembers that it was requested. `None` if all runs are
    /// loaded, or if the page was already requested.
    pub(super) fn request_older(&mut self) -> Option<Request> {
        let of = self.scope().cloned();
        let loaded = if of.is_some() { &mut self.listed_here } else { &mut self.listed };
        let oldest = loaded.oldest.as_ref().filter(|_| loaded.more)?;
        if loaded.requested.as_ref() == Some(oldest) {
            return None;
        }
        let before = oldest.clone();
        loaded.requested = Some(before.clone());
        Some(Request::ListMore { before, limit: PAGE, of })
    }

    /// Adds a page of runs to the list: of the repository `of`, or of all repositories. Summaries of followed runs are
    /// not replaced. `more` is whether there are runs older than the last run of the page.
    pub(super) fn list(&mut self, page: Vec<Summary>, more: bool, of: Option<&RepositoryId>) {
        self.is_listed = true;
        if of.is_none() {
            self.listed.take(&page, more);
        }
        self.listed_here.take(&page, more);
        self.update(page);
    }

    /// Updates the summaries of runs. Summaries of followed runs are not replaced.
    pub(super) fn update(&mut self, runs: Vec<Summary>) {
        for summary in runs {
            if self.store.run(&summary.info.id).is_none_or(|run| run.seq == 0) {
                self.summaries.insert(summary.info.id.clone(), summary);
            }
        }
    }

    /// Notes that this screen, or its watch mode, started a run, so that everything in it is news.
    pub(super) fn started(&mut self, run: RunId) {
        self.own.insert(run);
    }

    /// Adds a run without records to the followed runs, and to the list if it is not listed. Earlier events of a listed
    /// run are not announced: the list has shown them, and the user may only be scrolling through the list. Does
    /// nothing for a followed run.
    pub(super) fn open(&mut self, info: RunInfo) {
        let id = info.id.clone();
        let is_first = self.store.run(&id).is_none();
        if is_first && self.summaries.contains_key(&id) && !self.own.contains(&id) {
            self.seen.insert(id.clone(), self.now);
        }
        self.store.open(info);
        if let (false, Some(run)) = (self.summaries.contains_key(&id), self.store.run(&id)) {
            self.summaries.insert(id, Summary::from(run));
        }
    }

    /// Removes a run, with its pending commands and its events.
    pub(super) fn remove(&mut self, id: &RunId) {
        self.store.close(id);
        self.seen.remove(id);
        self.own.remove(id);
        self.summaries.remove(id);
        self.pending.retain(|(run, _)| run != id);
        self.events.retain(|entry| entry.run.as_ref() != Some(id));
    }

    /// Returns why all operations are refused: in a replay, or on a read-only screen; `None` if they are not.
    pub(super) fn refusal(&self) -> Option<Unavailable> {
        self.replay.is_some().then_some(Unavailable::Replay).or(self.refusal)
    }

    /// Whether a record of a run is news to the user: it was written after the screen was opened, and in a run that
    /// this screen did not start, after the screen began to follow it.
    pub(super) fn is_news(&self, run: &RunId, record: &Record) -> bool {
        record.at >= self.opened && self.seen.get(run).is_none_or(|seen| record.at > *seen)
    }

    /// Applies the new ones among the records, adds their events, and returns the last notice that they raise. Commands
    /// that a record confirms are no longer pending.
    pub(super) fn apply(&mut self, id: &RunId, records: &[Record]) -> Option<Notice> {
        let mut latest = None;
        for record in records {
            if self.store.run(id).is_none_or(|run| record.seq <= run.seq) {
                continue;
            }
            self.store.apply(id, record);
            if let Event::Ordered { command, reply, .. } = &record.event {
                // The refusal of a command that another terminal sent is not announced.
                let is_own = self.pending(id).any(|sent| sent == command);
                self.confirm(id, command);
                latest = failed(command, reply).filter(|_| is_own).or(latest);
            }
            match record.event {
                // The start of an attempt confirms the command that started it. The end of an attempt settles all other
                // commands.
                Event::RunStarted { .. } => self.pending.retain(|(run, sent)| run != id || !starts_attempt(sent)),
                Event::RunFinished { .. } => self.pending.retain(|(run, sent)| run != id || starts_attempt(sent)),
                _ => {}
            }
            let run = self.store.run(id).expect("looked up above");
            if let Some((phase, notice)) = notice_of(run, record) {
                if self.is_news(id, record) {
                    latest = Some(notice.clone());
                }
                self.add_event(EventEntry { at: record.at, run: Some(id.clone()), phase: Some(phase), notice });
            }
        }
        if let Some(run) = self.store.run(id) {
            self.summaries.insert(id.clone(), Summary::from(run));
        }
        latest
    }

    /// Adds a command that was sent.
    pub(super) fn add_pending(&mut self, run: RunId, command: Command) {
        self.pending.push((run, command));
    }

    /// Removes a command that was accepted or refused.
    pub(super) fn confirm(&mut self, run: &RunId, command: &Command) {
        self.pending.retain(|(of, sent)| of != run || sent != command);
    }

    /// Adds a line to the Events pane.
    pub(super) fn add_event(&mut self, entry: EventEntry) {
        self.events.push(entry);
        if self.events.len() > 2 * MAX_EVENTS {
            self.events.drain(..MAX_EVENTS);
        }
    }
}

/// Whether a run, job or step has failed, or is held after a failure. Cancelled runs, jobs and steps do not count.
pub(super) fn has_failed(phase: &Phase) -> bool {
    phase.is_held_after_failure()
        || phase.conclusion().is_some_and(|conclusion| conclusion.is_bad() && conclusion != Conclusion::Cancelled)
}

/// Whether a command starts another attempt.
fn starts_attempt(command: &Command) -> bool {
    matches!(command, Command::Rerun { .. } | Command::RerunWithDebugger { .. } | Command::Resume)
}

/// Returns the name of a command, for messages.
pub(super) fn command_name(command: &Command) -> &'static str {
    match command {
        Command::Cancel => "cancel",
        Command::ForceCancel => "force cancel",
        Command::Rerun { what: RerunScope::All, .. } => "re-run of all jobs",
        Command::Rerun { what: RerunScope::Failed, .. } => "re-run of failed jobs",
        Command::Rerun { what: RerunScope::Job(_), .. } => "re-run of a job",
        Command::Rerun { what: RerunScope::Step { .. }, .. } => "re-run from a step",
        Command::RerunWithDebugger { .. } => "re-run of a job with the debugger",
        Command::Resume => "resume",
        Command::Review { approve: true, .. } => "approval",
        Command::Review { approve: false, .. } => "rejection",
        Command::ApproveFork => "approval of a fork's run",
        Command::Deployment { order: DeploymentOrder::Promote { .. }, .. } => "promotion",
        Command::Deployment { order: DeploymentOrder::StopKept, .. } => "stop of the former release",
        Command::Deployment { order: DeploymentOrder::Pause, .. } => "pause",
        Command::Deployment { order: DeploymentOrder::Abort { .. }, .. } => "abort",
        Command::Deployment { order: DeploymentOrder::Review { .. }, .. } => "review",
        Command::Held { order: HeldOrder::Retry, .. } => "retry of the held step",
        Command::Held { order: HeldOrder::RetryFrom(_), .. } => "retry from an earlier step",
        Command::Held { order: HeldOrder::Skip, .. } => "skip of the held step",
        Command::Held { order: HeldOrder::Continue, .. } => "continuation after the held step",
        Command::Synced { .. } => "sync of changed files",
        Command::Hold { on: true } => "hold at failures",
        Command::Hold { on: false } => "end of holds at failures",
        Command::Dispatch { .. } => "dispatch",
        Command::Delete => "removal",
        Command::DeleteLogs => "removal of the logs",
        Command::Yield { .. } => "yield to another run",
        Command::Watch => "watch",
    }
}

/// Returns the notice of a command that was not carried out, or may not have been. `None` if it was accepted.
pub(super) fn failed(command: &Command, reply: &Reply) -> Option<Notice> {
    match reply {
        Reply::Accepted => None,
        Reply::Rejected { reason } => Some(Notice::bad(format!("{} was refused: {reason}", command_name(command)))),
        Reply::Unanswered { reason } => {
            Some(Notice::bad(format!("no response to {}: {reason}", command_name(command))))
        }
    }
}

/// Returns the notice of a record and the state it shows; `None` for records without a notice.
fn notice_of(run: &Run, record: &Record) -> Option<(Phase, Notice)> {
    let name = |job| run.jobs.get(job).map_or_else(|| format!("{job}"), |job| job.name.clone());
    let (phase, notice) = match &record.event {
        Event::RunStarted { name, .. } => {
            // The header has the working tree of the first attempt.
            let attempt = run.named_attempt().filter(|_| run.attempt > 1);
            let attempt = attempt.map(|attempt| format!(", {attempt}")).unwrap_or_default();
            (Phase::Running, Notice::news(format!("{name} started{attempt}")))
        }
        // A deployment by this machine has one job, whose start and end are those of the run.
        Event::JobStarted { .. } if run.info.is_deployment() => return None,
        Event::RunFinished { .. } if run.info.is_deployment() && run.jobs.values().any(|job| job.phase.is_done()) => {
            return None;
        }
        Event::JobStarted { name, .. } => (Phase::Running, Notice::news(format!("{name} started"))),
        Event::JobFinished { job, conclusion, reason, .. } => {
            let known = run.jobs.get(job);
            let phase = known.map_or(Phase::Done(*conclusion), |job| job.progress().clone());
            let took = known.and_then(|job| Some(job.finished?.since(job.started?)));
            let bad = has_failed(&phase);
            let allowed = if known.is_some_and(Job::is_allowed_failure) { " (allowed to fail)" } else { "" };
            let text = ended(&name(job), *conclusion, took, reason.as_deref());
            (phase, Notice { bad, text: format!("{text}{allowed}") })
        }
        Event::StepHeld { job, step, reason, .. } => {
            let job = run.jobs.get(job)?;
            let step = job.steps.iter().find(|held| held.number == *step)?;
            let name = format!("{} › {}", job.name, step.name);
            let notice = match reason {
                Some(reason) => Notice::bad(format!("{name} is held: {reason}")),
                None => Notice::news(format!("{name} is held before it runs")),
            };
            (step.phase.clone(), notice)
        }
        Event::RunFinished { conclusion, reason } => {
            let took = run.finished.and_then(|end| Some(end.since(run.started?)));
            let bad = conclusion.is_bad();
            let reason = reason.as_ref().map(EndReason::text);
            (Phase::Done(*conclusion), Notice { bad, text: ended(&run.name, *conclusion, took, reason.as_deref()) })
        }
        Event::ReviewsPending { environments } if !environments.is_empty() => {
            (environments[0].phase(), Notice::news(format!("{} {}", run.name, PendingReview::reasons(environments))))
        }
        Event::Reviewed { .. } => {
            let review = run.reviewed.last().map(Review::text).unwrap_or_default();
            (run.progress(), Notice::news(review))
        }
        Event::Notified { channel, about, message, failure, .. } => {
            let text = notified(*channel, *about, message, failure.as_deref());
            (run.phase.clone(), Notice { bad: failure.is_some(), text })
        }
        Event::Ordered { command: Command::Synced { job }, reply: Reply::Accepted, .. } => {
            let text = format!("changed files were brought into {}: {}", name(job), run.info.version());
            (run.progress(), Notice::news(text))
        }
        Event::DeploymentRecorded { page, failure, .. } => {
            let text = recorded(page.as_deref(), failure.as_deref());
            (run.phase.clone(), Notice { bad: failure.is_some(), text })
        }
        Event::Ordered { command, reply, .. } => {
            let accepted = || Notice::news(format!("{} accepted", command_name(command)));
            (run.phase.clone(), failed(command, reply).unwrap_or_else(accepted))
        }
        _ => return None,
    };
    Some((phase, notice))
}

/// Describes the end of a run or a job.
fn ended(name: &str, conclusion: Conclusion, took: Option<std::time::Duration>, reason: Option<&str>) -> String {
    let verb = conclusion.verb();
    let took = took.map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{name} {verb}{took}{reason}")
}
