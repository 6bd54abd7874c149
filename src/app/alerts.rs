//! Alerts for a user who is looking at another window: a run failed or started to wait, or a deployment notifies
//! terminals. Also sets the title of the terminal's window.

use crate::model::deployment::{NotifyChannel, NotifyEvent};
use crate::model::feed::Feed;
use crate::model::{Event, Gate, JobId, PendingReview, Phase, Record, RunId, Summary};
use crate::ui::terminal_text;

use super::App;
use super::msg::{AlertReason, Effect};
use super::state::has_failed;

/// The waiting job; `None` if the run itself waits.
type Waiter = Option<JobId>;

/// State of a run before a report is applied, to find out what is new after it.
pub(super) struct Before {
    run: RunId,
    failed: bool,
    waiting: Vec<Waiter>,
    /// Waits that the report starts, except those that the user has already been shown.
    reported: Vec<Waiter>,
    /// Text of the last notification for terminals in the report; `None` if there is none.
    notified: Option<String>,
}

impl App {
    /// Returns the state of the run before a report; `None` if the report is not about records.
    pub(super) fn watch_for_alerts(&self, feed: &Feed) -> Option<Before> {
        let Feed::Records { run, records } = feed else { return None };
        Some(Before {
            run: run.clone(),
            failed: self.has_failed(run),
            waiting: self.waits(run).into_iter().map(|(waiter, _)| waiter).collect(),
            reported: reported_waits(self.news(run, records)),
            notified: notified(self.news(run, records)),
        })
    }

    /// Returns those records of a run that are news to the user.
    fn news<'r>(&self, run: &RunId, records: &'r [Record]) -> impl DoubleEndedIterator<Item = &'r Record> {
        records.iter().filter(move |record| self.state.is_news(run, record))
    }

    /// Returns the alert for what is new since `before`: a failure, else a wait, else a notification for terminals.
    /// `None` if nothing is new.
    pub(super) fn alert(&self, before: Option<Before>) -> Option<Effect> {
        let before = before?;
        let is_new = |waiter: &Waiter| before.reported.contains(waiter) && !before.waiting.contains(waiter);
        let wait = self.waits(&before.run).into_iter().find(|(waiter, _)| is_new(waiter));
        let summary = self.state.summary(&before.run)?;
        let of_run = |what: &str| format!("{}: {what}", summary.name);
        let (why, text) = match wait {
            _ if !before.failed && self.has_failed(&before.run) => {
                (AlertReason::Failed, of_run(self.theme.look(&summary.phase).word))
            }
            Some((_, reason)) => (AlertReason::Waits, of_run(&reason)),
            None => (AlertReason::Notified, before.notified?),
        };
        let text = terminal_text::clean(&text).into_owned();
        Some(Effect::Alert { run: before.run, why, text })
    }

    fn has_failed(&self, run: &RunId) -> bool {
        self.state.summary(run).is_some_and(|run| self.failed_here(run))
    }

    /// Returns the waits in a run, each with its reason: of jobs that wait for a review, in a concurrency group or at a
    /// held step, and of the run itself. Empty if the run has ended.
    fn waits(&self, run: &RunId) -> Vec<(Waiter, String)> {
        let Some(run) = self.state.run(run).filter(|run| !run.phase.is_done()) else { return Vec::new() };
        let gate = |phase: &Phase| match phase {
            Phase::Waiting(gate @ (Gate::Review(_) | Gate::Concurrency { .. } | Gate::Held { .. })) => {
                Some(gate.reason())
            }
            _ => None,
        };
        let own = gate(&run.phase).map(|reason| (None, reason));
        let jobs = run.jobs.values().filter_map(|job| {
            let reason = run.review_of(job).map(PendingReview::reason);
            let held = || job.held().next().and_then(|step| gate(&step.phase));
            Some((Some(job.id.clone()), reason.or_else(held).or_else(|| gate(&job.phase))?))
        });
        own.into_iter().chain(jobs).collect()
    }

    /// Whether a run failed while the screen was open.
    fn failed_here(&self, run: &Summary) -> bool {
        has_failed(&run.phase) && run.finished.is_some_and(|end| end >= self.state.opened)
    }

    /// Returns the effect that sets the window's title, if it changes. A replay never changes it, since it shows the
    /// past.
    pub(super) fn retitle(&mut self) -> Option<Effect> {
        if self.replay.is_some() {
            return None;
        }
        let failed = self.state.summaries().filter(|run| self.failed_here(run)).count();
        let counts = [
            (self.theme.pick("✗", "X"), failed),
            (self.theme.pick("◆", "?"), self.state.reviews().count()),
            (self.theme.pick("●", "*"), self.state.active().count()),
        ];
        let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(glyph, count)| format!("{glyph}{count} "));
        let title = counts.collect::<String>() + "cuelight";
        if title == self.window_title {
            return None;
        }
        self.window_title.clone_from(&title);
        Some(Effect::Title(title))
    }
}

/// Returns the last notification for terminals in these records. Leaves out events for which the screen has its own
/// alerts: reviews and failures.
fn notified<'r>(records: impl DoubleEndedIterator<Item = &'r Record>) -> Option<String> {
    let of_record = |record: &Record| match &record.event {
        Event::Notified {
            channel: NotifyChannel::Terminal,
            about: NotifyEvent::Started | NotifyEvent::Paused | NotifyEvent::Succeeded,
            message,
            ..
        } => Some(message.clone()),
        _ => None,
    };
    records.rev().find_map(of_record)
}

/// Returns the waits that these records start.
fn reported_waits<'r>(records: impl Iterator<Item = &'r Record>) -> Vec<Waiter> {
    let waits = records.flat_map(|record| match &record.event {
        Event::JobWaiting { job, .. } | Event::StepHeld { job, .. } => vec![Some(job.clone())],
        Event::RunWaiting { .. } => vec![None],
        Event::ReviewsPending { environments } => {
            environments.iter().flat_map(|review| review.jobs.iter().cloned().map(Some)).collect()
        }
        _ => Vec::new(),
    });
    waits.collect()
}
