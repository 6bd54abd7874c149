//! For whoever looks elsewhere: a call when a run fails or waits for a person, and a window title that counts.

use crate::model::{Gate, Job, Phase, RunId};
use crate::store::history::Summary;
use crate::ui::text;

use super::App;
use super::msg::{Call, Effect, Feed};
use super::panes::jobs::has_failed;

impl App {
    /// Takes in news, and calls when a run has failed by them, or a job waits for a person.
    pub(super) fn news(&mut self, feed: Feed) -> Vec<Effect> {
        let run = match &feed {
            Feed::Records { run, .. } => Some(run.clone()),
            _ => None,
        };
        let stands = |app: &Self| run.as_ref().map_or((false, 0), |run| (app.has_failed(run), app.waiting(run)));
        let (failed, waiting) = stands(self);
        self.feed(feed);
        let (fails, waits) = stands(self);
        let why = match (!failed && fails, waits > waiting) {
            (true, _) => Call::Failed,
            (false, true) => Call::Waits,
            (false, false) => return Vec::new(),
        };
        let Some(summary) = run.and_then(|run| self.facts.summary(&run)) else { return Vec::new() };
        let word = match why {
            Call::Failed => self.theme.look(&summary.phase).word,
            Call::Waits => "needs review",
        };
        let text = text::clean(&format!("{}: {word}", summary.name)).into_owned();
        vec![Effect::Alert { run: summary.id.clone(), why, text }]
    }

    fn has_failed(&self, run: &RunId) -> bool {
        self.facts.summary(run).is_some_and(|run| self.failed_here(run))
    }

    /// How many jobs of a run wait for a person, as far as that is news.
    fn waiting(&self, run: &RunId) -> usize {
        let waits = |job: &&Job| matches!(job.phase, Phase::Waiting(Gate::Review(_)));
        let run = self.facts.run(run).filter(|run| !run.phase.is_done());
        run.map_or(0, |run| run.jobs.values().filter(waits).count())
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
