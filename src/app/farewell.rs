//! Summary that is printed on the normal screen after the user quits.

use crate::model::{Conclusion, Job};
use crate::ui::text;

use super::App;
use super::selection::relevant_step;
use super::state::has_failed;

/// Maximum number of failed jobs in the summary.
const MAX_FAILED: usize = 3;

impl App {
    /// Returns a summary of the selected run in a few lines: its state, its first failed jobs, and the command that
    /// shows it again. Empty if no run is selected, and for a replay, where the displayed moment is not the state of
    /// the run.
    #[must_use]
    pub fn farewell(&self) -> Vec<String> {
        let Some(summary) = self.summary().filter(|_| self.replay.is_none()) else { return Vec::new() };
        let look = self.theme.look(&summary.phase);
        let spent = |started| format!(" {}", text::spent(started, summary.finished, self.state.now));
        let time = summary.started.map(spent).unwrap_or_default();
        let dot = self.theme.dot();
        let info = &summary.info;
        let version = info.version();
        let branch = if version.is_empty() { version } else { format!(" {version}") };
        let mut lines =
            vec![format!("{} {}{dot}{}{branch}{dot}{}{time}", look.glyph, summary.name, info.event, look.word)];
        let failed = |job: &&Job| has_failed(&job.phase);
        for job in self.run().into_iter().flat_map(|run| run.jobs.values()).filter(failed).take(MAX_FAILED) {
            let step = relevant_step(job).filter(|step| step.phase.conclusion() != Some(Conclusion::Success));
            let step = step.map(|step| format!("{}{} {}", self.theme.arrow(), step.number, step.name));
            let allowed = if job.is_allowed_failure() { " (allowed to fail)" } else { "" };
            let glyph = self.theme.look(job.progress()).glyph;
            lines.push(format!("  {glyph} {}{}{allowed}", job.name, step.unwrap_or_default()));
        }
        let verb = if summary.phase.is_done() { "show" } else { "attach" };
        lines.push(format!("  cuelight {verb} {}", info.id));
        lines
    }
}
