//! Lines about steps that are held.

use crate::launch::held::Changes;
use crate::model::{Gate, HeldOrder, Job, JobId, Phase, RunId, Step, StepNumber};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::theme::Hue;

use super::ending::first_line;
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

/// Returns the lines about a held step in the output of its run: its name, until when it is held, and the commands that end
/// the hold. Each has a line, because a terminal of 80 columns would break the id of the run in a longer one.
pub fn waiting(run: &RunId, job: &JobId, step: &Step, style: Style) -> Vec<TerminalText> {
    let Phase::Waiting(gate) = &step.phase else { return Vec::new() };
    let ways = if reason(step).is_some() { ["retry", "skip or continue"] } else { ["continue", "skip or retry"] };
    let commands =
        [text!("cuelight shell {} --job {}", run, job), text!("cuelight held {} {}, {}", ways[0], run, ways[1])];
    let commands = commands.map(|command| style.paint(Hue::Dim, command));
    [text!("{}: {}", step.name, gate.reason())].into_iter().chain(commands).collect()
}

/// Returns the sentence about a step that is held, without its job: `step 3, Test, failed and is held until …: exit code 1`.
/// Empty if the step is not held.
pub(super) fn announcement(step: &Step) -> TerminalText {
    let Phase::Waiting(Gate::Held { reason, until }) = &step.phase else { return TerminalText::default() };
    let (number, name, until) = (step.number, &step.name, until.clock());
    match reason {
        Some(reason) => {
            text!("step {}, {}, failed and is held until {}: {}", number, name, until, first_line(reason))
        }
        None => text!("step {}, {}, is held before it runs, until {}", number, name, until),
    }
}

/// Returns the sentence about the commands that end the hold of a step, and about the one that opens a shell in its job.
pub(super) fn ways(run: &RunId, job: &JobId, step: &Step) -> TerminalText {
    let shell = text!("`cuelight shell {} --job {}` opens a shell in its job", run, job);
    if reason(step).is_some() {
        text!(
            "next: `cuelight held retry {}` runs the step again, `cuelight held skip {}` counts it as a success, `cuelight held \
             continue {}` lets it fail, {}",
            run,
            run,
            run,
            shell
        )
    } else {
        text!("next: `cuelight held continue {}` runs the step, `cuelight held skip {}` skips it, {}", run, run, shell)
    }
}

/// Returns why a held step failed; `None` if the step has not run or is not held.
pub fn reason(step: &Step) -> Option<&str> {
    match &step.phase {
        Phase::Waiting(Gate::Held { reason, .. }) => reason.as_deref(),
        _ => None,
    }
}

/// Returns the line that confirms whether failing steps of a run are held from now on.
pub fn turned(run: &RunId, on: bool) -> TerminalText {
    if on { text!("steps of {} that fail are held", run) } else { text!("steps of {} that fail end their jobs", run) }
}

/// Returns the line about a held step: why it is held, or with `order` what happens to it now.
pub fn line(job: &Job, step: &Step, order: Option<HeldOrder>) -> TerminalText {
    let reason = reason(step);
    let what = match (order, reason) {
        (None, Some(reason)) => return text!("{} › {}  {}", job.name, step.name, reason),
        (None, None) => return text!("{} › {}  held before it runs", job.name, step.name),
        (Some(HeldOrder::RetryFrom(from)), _) => {
            return text!("{} runs again from {}", job.name, name(job, from));
        }
        (Some(HeldOrder::Retry), Some(_)) => "runs again",
        (Some(HeldOrder::Retry | HeldOrder::Continue), None) => "runs",
        (Some(HeldOrder::Skip), Some(_)) => "counts as a success",
        (Some(HeldOrder::Skip), None) => "is skipped",
        (Some(HeldOrder::Continue), Some(_)) => "fails",
    };
    text!("{} › {} {}", job.name, step.name, what)
}

fn name(job: &Job, number: StepNumber) -> &str {
    job.steps.iter().find(|step| step.number == number).map_or("", |step| &step.name)
}
