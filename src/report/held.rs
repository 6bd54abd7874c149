//! Lines about failed steps that are held.

use crate::launch::held::Changes;
use crate::model::{Gate, HeldOrder, Job, JobId, Phase, RunId, Step};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::theme::Hue;

use super::style::Style;

/// Returns a line for each file that was copied into the workspace of a job, deleted from it, or kept there.
pub fn changes(job: &Job, changes: &Changes) -> Vec<TerminalText> {
    let Changes { new, changed, deleted, kept } = changes;
    let parts = [(new, "new"), (changed, "changed"), (deleted, "deleted"), (kept, "kept")];
    let lines = parts.into_iter().flat_map(|(paths, word)| {
        paths.iter().map(move |path| text!("{} › {:<7}  {}", job.name, word, path.to_string_lossy()))
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { vec![text!("{} has all your changes", job.name)] } else { lines }
}

/// Returns the line about a held step in the output of its run: until when it is held, and the commands that end the
/// hold.
pub fn waiting(run: &RunId, job: &JobId, step: &Step, style: Style) -> TerminalText {
    let Phase::Waiting(gate) = &step.phase else { return text!("") };
    let commands = text!("cuelight shell {} {} · cuelight held retry {}, skip or continue", run, job, run);
    text!("{}  {}", gate.reason(), style.paint(Hue::Dim, style.spelled(commands)))
}

/// Returns why a held step failed; empty if the step is not held.
pub fn reason(step: &Step) -> &str {
    match &step.phase {
        Phase::Waiting(Gate::Held { reason, .. }) => reason,
        _ => "",
    }
}

/// Returns the line that confirms whether failing steps of a run are held from now on.
pub fn turned(run: &RunId, on: bool) -> TerminalText {
    if on { text!("steps of {} that fail are held", run) } else { text!("steps of {} that fail end their jobs", run) }
}

/// Returns the line about a held step: why it failed, or with `order` what happens to it now.
pub fn line(job: &Job, step: &Step, order: Option<HeldOrder>) -> TerminalText {
    match order {
        None => text!("{} › {}  {}", job.name, step.name, reason(step)),
        Some(HeldOrder::Retry) => text!("{} › {} runs again", job.name, step.name),
        Some(HeldOrder::Skip) => text!("{} › {} counts as a success", job.name, step.name),
        Some(HeldOrder::Continue) => text!("{} › {} fails", job.name, step.name),
    }
}
