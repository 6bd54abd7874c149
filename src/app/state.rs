//! What is known: the fold of all records that came, and the orders that are not confirmed yet.

use std::collections::BTreeMap;

use crate::model::RunInfo;
use crate::model::Summary;
use crate::model::capabilities::Unavailable;
use crate::model::{Command, Conclusion, EndReason, Event, Phase, Record, Reply, Run, RunId, Timestamp};
use crate::store::runs::RunStore;
use crate::ui::text;

use crate::model::feed::{Connection, Notice, StartableWorkflow, Watching};

/// How many past events are kept to be looked at.
const KEPT: usize = 500;

/// What the panes look at and never change.
#[derive(Clone, Debug, Default)]
pub struct AppState {
    /// The runs that are followed, with their jobs.
    store: RunStore,
    /// All runs at a glance. Ids sort by age.
    summaries: BTreeMap<RunId, Summary>,
    /// Orders given and not confirmed by a record.
    asked: Vec<(RunId, Command)>,
    /// Whether the first page of runs has come.
    pub is_listed: bool,
    /// How far the list of runs has come.
    paging: Paging,
    /// The connection of the backend to the source of its runs.
    pub connection: Connection,
    /// The workflows that can be started here.
    pub offers: Vec<StartableWorkflow>,
    /// What happened, the latest last.
    pub happened: Vec<Happened>,
    /// How watch mode stands, while it is on.
    pub watching: Option<Watching>,
    /// How the replay stands, in words, while a past run is seen again.
    pub replay: Option<String>,
    /// Why no operation is carried out at all.
    pub(super) refusal: Option<Unavailable>,
    /// The time as of the latest tick.
    pub now: Timestamp,
    /// When the screen was opened: what happened before is no news.
    pub since: Timestamp,
}

/// The part of the list of runs that has come: all runs down to one of them.
#[derive(Clone, Debug, Default)]
struct Paging {
    /// The oldest run that was listed.
    oldest: Option<RunId>,
    /// Whether the backend has older ones.
    has_more: bool,
    /// The run that older ones were requested for.
    requested: Option<RunId>,
}

impl Paging {
    fn take(&mut self, page: &[Summary], more: bool) {
        let last = page.last().map(|run| &run.info.id).or(self.oldest.as_ref());
        // The end of a page above the oldest run says nothing about what is below that.
        if last <= self.oldest.as_ref() || self.oldest.is_none() {
            self.oldest = last.cloned();
            self.has_more = more;
        }
    }
}

/// Something that happened, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// In which run, when in one.
    pub run: Option<RunId>,
    /// How it is to be shown.
    pub phase: Option<Phase>,
    /// What.
    pub notice: Notice,
}

impl AppState {
    /// A followed run.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.store.run(id)
    }

    /// All runs at a glance, newest first.
    pub fn summaries(&self) -> impl DoubleEndedIterator<Item = &Summary> {
        self.summaries.values().rev()
    }

    /// Whether the runs are of more than one repository, so that it is worth naming.
    pub fn has_several_repositories(&self) -> bool {
        let mut names = self.summaries().map(|run| run.info.repository.as_str()).filter(|name| !name.is_empty());
        let first = names.next();
        names.any(|name| Some(name) != first)
    }

    /// A run at a glance.
    pub fn summary(&self, id: &RunId) -> Option<&Summary> {
        self.summaries.get(id)
    }

    /// What was asked of a run and is not confirmed.
    pub fn asked<'f>(&'f self, id: &'f RunId) -> impl Iterator<Item = &'f Command> {
        self.asked.iter().filter(move |(run, _)| run == id).map(|(_, command)| command)
    }

    /// The runs that have begun and not ended.
    pub fn alive(&self) -> impl Iterator<Item = &Summary> {
        self.summaries().filter(|run| !run.phase.is_done())
    }

    /// Takes in a page of runs, but for those of which more is known.
    pub(super) fn list(&mut self, page: Vec<Summary>, more: bool) {
        self.is_listed = true;
        self.paging.take(&page, more);
        for summary in page {
            if self.store.run(&summary.info.id).is_none_or(|run| run.seq == 0) {
                self.summaries.insert(summary.info.id.clone(), summary);
            }
        }
    }

    /// Returns the run that older ones are to be requested for, once for each; `None` when there are none.
    pub(super) fn request_page(&mut self) -> Option<RunId> {
        let Paging { oldest, has_more, requested } = &mut self.paging;
        if !*has_more || oldest == requested {
            return None;
        }
        requested.clone_from(oldest);
        oldest.clone()
    }

    /// Makes a run known.
    pub(super) fn open(&mut self, header: RunInfo) {
        let id = header.id.clone();
        self.store.open(header);
        if let (false, Some(run)) = (self.summaries.contains_key(&id), self.store.run(&id)) {
            self.summaries.insert(id, Summary::from(run));
        }
    }

    /// Forgets a run.
    pub(super) fn remove(&mut self, id: &RunId) {
        self.store.close(id);
        self.summaries.remove(id);
        self.asked.retain(|(run, _)| run != id);
        self.happened.retain(|happened| happened.run.as_ref() != Some(id));
    }

    /// Returns why no operation is carried out at all.
    pub(super) fn refusal(&self) -> Option<Unavailable> {
        self.replay.is_some().then_some(Unavailable::Replay).or(self.refusal)
    }

    /// Folds records in, and says what of it is news.
    pub(super) fn apply(&mut self, id: &RunId, records: &[Record]) -> Option<Notice> {
        let mut news = None;
        for record in records {
            if self.store.run(id).is_none_or(|run| record.seq <= run.seq) {
                continue;
            }
            self.store.apply(id, record);
            if let Event::Ordered { command, reply } = &record.event {
                self.confirm(id, command);
                if let Reply::Rejected { reason } = reply {
                    news = Some(Notice::bad(format!("{} was refused: {reason}", order(command))));
                }
            }
            match record.event {
                // What was asked for between attempts is under way.
                Event::RunStarted { .. } => self.asked.retain(|(run, what)| run != id || !begins(what)),
                Event::RunFinished { .. } => self.asked.retain(|(run, what)| run != id || begins(what)),
                _ => {}
            }
            let run = self.store.run(id).expect("it was there a moment ago");
            if let Some((phase, notice)) = tell(run, record) {
                if record.at >= self.since {
                    news = Some(notice.clone());
                }
                self.happen(Happened { at: record.at, run: Some(id.clone()), phase: Some(phase), notice });
            }
        }
        if let Some(run) = self.store.run(id) {
            self.summaries.insert(id.clone(), Summary::from(run));
        }
        news
    }

    /// Notes an order that was given.
    pub(super) fn ask(&mut self, run: RunId, command: Command) {
        self.asked.push((run, command));
    }

    /// An order was confirmed or refused.
    pub(super) fn confirm(&mut self, run: &RunId, command: &Command) {
        self.asked.retain(|(asked, what)| asked != run || what != command);
    }

    /// Keeps what happened.
    pub(super) fn happen(&mut self, happened: Happened) {
        self.happened.push(happened);
        if self.happened.len() > 2 * KEPT {
            self.happened.drain(..KEPT);
        }
    }
}

/// Whether an order begins another attempt.
fn begins(command: &Command) -> bool {
    matches!(command, Command::Rerun { .. } | Command::Resume)
}

/// An order in words.
pub fn order(command: &Command) -> &'static str {
    use crate::model::RerunScope;
    match command {
        Command::Cancel => "cancel",
        Command::ForceCancel => "force cancel",
        Command::Rerun { what: RerunScope::All } => "re-run of all jobs",
        Command::Rerun { what: RerunScope::Failed } => "re-run of failed jobs",
        Command::Rerun { what: RerunScope::Job(_) } => "re-run of a job",
        Command::Rerun { what: RerunScope::Step { .. } } => "re-run from a step",
        Command::Resume => "resume",
        Command::Yield { .. } => "yield to another run",
        Command::Watch => "watch",
    }
}

/// What a record says to a person, when it is worth a line.
fn tell(run: &Run, record: &Record) -> Option<(Phase, Notice)> {
    let name = |job| run.jobs.get(job).map_or_else(|| format!("{job}"), |job| job.name.clone());
    let (phase, notice) = match &record.event {
        Event::RunStarted { attempt: 1, name } => (Phase::Running, Notice::news(format!("{name} started"))),
        Event::RunStarted { attempt, name } => {
            (Phase::Running, Notice::news(format!("{name} started, attempt {attempt}")))
        }
        Event::JobStarted { name, .. } => (Phase::Running, Notice::news(format!("{name} started"))),
        Event::JobFinished { job, conclusion, reason, .. } => {
            let phase = Phase::Done(*conclusion);
            let took = run.jobs.get(job).and_then(|job| Some(job.finished?.since(job.started?)));
            let bad = conclusion.is_bad() && *conclusion != Conclusion::Cancelled;
            (phase, Notice { bad, text: ended(&name(job), *conclusion, took, reason.as_deref()) })
        }
        Event::RunFinished { conclusion, reason } => {
            let took = run.finished.and_then(|end| Some(end.since(run.started?)));
            let bad = conclusion.is_bad();
            (
                Phase::Done(*conclusion),
                Notice { bad, text: ended(&run.name, *conclusion, took, reason.as_ref().map(EndReason::text)) },
            )
        }
        Event::Ordered { command, reply: Reply::Accepted } => {
            (run.phase.clone(), Notice::news(format!("{} accepted", order(command))))
        }
        Event::Ordered { command, reply: Reply::Rejected { reason } } => {
            (run.phase.clone(), Notice::bad(format!("{} refused: {reason}", order(command))))
        }
        _ => return None,
    };
    Some((phase, notice))
}

/// How something ended, in words.
fn ended(name: &str, conclusion: Conclusion, took: Option<std::time::Duration>, reason: Option<&str>) -> String {
    let verb = match conclusion {
        Conclusion::Success => "succeeded",
        Conclusion::Failure => "failed",
        Conclusion::Cancelled => "was cancelled",
        Conclusion::Skipped => "was skipped",
        Conclusion::TimedOut => "timed out",
        Conclusion::ActionRequired => "needs action",
        Conclusion::Neutral => "ended",
        Conclusion::Stale => "is stale",
        Conclusion::StartupFailure => "could not start",
    };
    let took = took.map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{name} {verb}{took}{reason}")
}
