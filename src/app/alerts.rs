//! For whoever looks elsewhere: a call when a run fails or waits, and a window title that counts.

use crate::model::Summary;
use crate::model::{Event, Gate, JobId, Phase, Record, RunId, Timestamp};
use crate::ui::text;

use super::App;
use super::msg::{AlertReason, Effect};
use super::panes::jobs::has_failed;
use crate::model::feed::Feed;

impl App {
    /// Takes in news, and calls when a run has failed by them, or it or one of its jobs begins to wait.
    pub(super) fn news(&mut self, feed: Feed) -> Vec<Effect> {
        let (run, gates) = match &feed {
            Feed::Records { run, records } => (Some(run.clone()), new_gates(records, self.facts.since)),
            _ => (None, Vec::new()),
        };
        let stands = |app: &Self| run.as_ref().map(|run| (app.has_failed(run), app.waits(run))).unwrap_or_default();
        let (had_failed, waited) = stands(self);
        self.feed(feed);
        let (fails, waits) = stands(self);
        let is_new = |who: &Option<JobId>| gates.contains(who) && !waited.iter().any(|(before, _)| before == who);
        let begins = waits.into_iter().find(|(who, _)| is_new(who));
        let Some(summary) = run.and_then(|run| self.facts.summary(&run)) else { return Vec::new() };
        let (why, what) = match begins {
            _ if !had_failed && fails => (AlertReason::Failed, self.theme.look(&summary.phase).word.to_owned()),
            Some((_, reason)) => (AlertReason::Waits, reason),
            None => return Vec::new(),
        };
        let text = text::clean(&format!("{}: {what}", summary.name)).into_owned();
        vec![Effect::Alert { run: summary.info.id.clone(), why, text }]
    }

    fn has_failed(&self, run: &RunId) -> bool {
        self.facts.summary(run).is_some_and(|run| self.failed_here(run))
    }

    /// The jobs of a run that wait for a person or for their turn in a concurrency group, and for what; the run itself has no
    /// job.
    fn waits(&self, run: &RunId) -> Vec<(Option<JobId>, String)> {
        let gate = |phase: &Phase| match phase {
            Phase::Waiting(gate @ (Gate::Review(_) | Gate::Concurrency { .. })) => Some(gate.reason()),
            _ => None,
        };
        let Some(run) = self.facts.run(run).filter(|run| !run.phase.is_done()) else { return Vec::new() };
        let own = gate(&run.phase).map(|reason| (None, reason));
        let jobs = run.jobs.values().filter_map(|job| Some((Some(job.id.clone()), gate(&job.phase)?)));
        own.into_iter().chain(jobs).collect()
    }

    /// Whether a run failed while the screen was open.
    fn failed_here(&self, run: &Summary) -> bool {
        has_failed(&run.phase) && run.finished.is_some_and(|end| end >= self.facts.since)
    }

    /// The window's title, when it is another one than before.
    pub(super) fn retitle(&mut self) -> Option<Effect> {
        // What is seen again in a replay does not happen now.
        if self.replay.is_some() {
            return None;
        }
        let failed = self.facts.summaries().filter(|run| self.failed_here(run)).count();
        let counts = [(self.theme.pick("✗", "X"), failed), (self.theme.pick("●", "*"), self.facts.alive().count())];
        let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(glyph, count)| format!("{glyph}{count} "));
        let title = counts.collect::<String>() + "cuelight";
        if title == self.title {
            return None;
        }
        self.title.clone_from(&title);
        Some(Effect::Title(title))
    }
}

/// The jobs that begin to wait by these records, since a moment; the run itself has no job.
fn new_gates(records: &[Record], since: Timestamp) -> Vec<Option<JobId>> {
    let gates = records.iter().filter(|record| record.at >= since).filter_map(|record| match &record.event {
        Event::JobWaiting { job, .. } => Some(Some(job.clone())),
        Event::RunWaiting { .. } => Some(None),
        _ => None,
    });
    gates.collect()
}
