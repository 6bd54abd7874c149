//! For whoever looks elsewhere: a call when a run fails, and a window title that counts.

use crate::model::RunId;
use crate::store::history::Summary;
use crate::ui::text;

use super::App;
use super::msg::{Effect, Feed};
use super::panes::jobs::has_failed;

impl App {
    /// Takes in news, and calls when a run has failed by them.
    pub(super) fn news(&mut self, feed: Feed) -> Vec<Effect> {
        let run = match &feed {
            Feed::Records { run, .. } => Some(run.clone()),
            _ => None,
        };
        let failed = |app: &Self, run: &RunId| app.facts.summary(run).is_some_and(|run| app.failed_here(run));
        let before = run.as_ref().is_some_and(|run| failed(self, run));
        self.feed(feed);
        let fails = run.filter(|run| !before && failed(self, run));
        let alert = fails.and_then(|run| {
            let summary = self.facts.summary(&run)?;
            let word = self.theme.look(&summary.phase).word;
            let text = text::clean(&format!("{}: {word}", summary.name)).into_owned();
            Some(Effect::Alert { run, text })
        });
        alert.into_iter().collect()
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
