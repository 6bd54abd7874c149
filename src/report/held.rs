//! Lines about steps that are held.

use crate::launch::held::Changes;
use crate::model::{EndReason, Gate, HeldOrder, Job, JobId, Phase, Run, RunId, Step, StepNumber};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::theme::Hue;

use super::ending::first_line;
use super::style::Style;

/// Returns a line for each file that was copied into the workspace of a job, deleted from it, or kept there.
pub fn changes(job: &Job, changes: &Changes, style: Style) -> Vec<TerminalText> {
    let Changes { new, changed, deleted, kept } = changes;
    let parts = [(new, "new"), (changed, "changed"), (deleted, "deleted"), (kept, "kept")];
    let lines = parts.into_iter().flat_map(|(paths, word)| {
        paths.iter().map(move |path| {
            let path = path.to_string_lossy();
            if style.is_linear() {
                text!("{}: {} file, {}", job.name, word, path)
            } else {
                text!("{} › {:<7}  {}", job.name, word, path)
            }
        })
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { vec![text!("{} has all your changes", job.name)] } else { lines }
}

/// Returns the lines about a held step in the output of its run: its name, until when it is held, and the commands that end
/// the hold. Each has a line, because a terminal of 80 columns would break the id of the run in a longer one.
pub fn waiting(run: &RunId, job: &JobId, step: &Step, style: Style) -> Vec<TerminalText> {
    let Phase::Waiting(gate) = &step.phase else { return Vec::new() };
    let shell = text!("cuelight shell {} --job {}", run, job);
    // A retry finds the files as they are in the job: what was mended in the user's own files must be brought first.
    let commands = if reason(step).is_some() {
        [shell, text!("cuelight held retry {} --sync, skip or continue", run)]
    } else {
        [shell, text!("cuelight held continue {}, skip or retry", run)]
    };
    let commands = commands.map(|command| style.paint(Hue::Dim, command));
    [text!("{}: {}", step.name, gate.reason())].into_iter().chain(commands).collect()
}

/// Returns the sentence about a step that is held, without its job: `step 3, Test, failed and is held until …: exit code 1`.
/// Empty if the step is not held.
pub(super) fn announcement(step: &Step) -> TerminalText {
    let Phase::Waiting(Gate::Held { reason, until }) = &step.phase else { return TerminalText::default() };
    let (number, name, until) = (step.number, &step.name, until.clock());
    if let Some(reason) = reason {
        text!("step {}, {}, failed and is held until {}: {}", number, name, until, first_line(reason))
    } else {
        text!("step {}, {}, is held before it runs, until {}", number, name, until)
    }
}

/// Returns the sentence about the commands that end the hold of a step, and about the one that opens a shell in its job.
pub(super) fn ways(run: &RunId, job: &JobId, step: &Step) -> TerminalText {
    let shell = text!("`cuelight shell {} --job {}` opens a shell in its job", run, job);
    if reason(step).is_some() {
        text!(
            "next: `cuelight held retry {} --sync` runs the step again with the files that you changed, `cuelight held skip {}` \
             counts it as a success, `cuelight held continue {}` lets it fail, {}",
            run,
            run,
            run,
            shell
        )
    } else {
        text!("next: `cuelight held continue {}` runs the step, `cuelight held skip {}` skips it, {}", run, run, shell)
    }
}

/// Returns what to do about a run whose worker was lost, which ends every hold. `None` for other runs.
pub fn lost(run: &Run) -> Option<String> {
    let id = &run.info.id;
    let is_lost = run.reason == Some(EndReason::WorkerLost);
    is_lost.then(|| format!("the worker of {id} was lost: `cuelight resume {id}` continues the run"))
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

/// Returns the line about a held step in the list of the steps that are held in several runs.
pub fn listed(run: &RunId, job: &Job, step: &Step, style: Style) -> TerminalText {
    let line = line(job, step, None, style);
    if style.is_linear() { text!("{}, run {}", line, run) } else { text!("{}  {}", run, line) }
}

/// Returns the line about a held step: why it is held, or with `order` what happens to it now.
pub fn line(job: &Job, step: &Step, order: Option<HeldOrder>, style: Style) -> TerminalText {
    let (reason, is_linear) = (reason(step), style.is_linear());
    let of = if is_linear {
        text!("{}: step {}, {},", job.name, step.number, step.name)
    } else {
        text!("{} › {}", job.name, step.name)
    };
    let what = match (order, reason) {
        (None, _) if is_linear => return text!("{}: {}", job.name, announcement(step)),
        (None, Some(reason)) => return text!("{}  {}", of, reason),
        (None, None) => return text!("{}  held before it runs", of),
        (Some(HeldOrder::RetryFrom(from)), _) if is_linear => {
            return text!("{}: runs again from step {}, {}", job.name, from, name(job, from));
        }
        (Some(HeldOrder::RetryFrom(from)), _) => {
            return text!("{} runs again from {}", job.name, name(job, from));
        }
        (Some(HeldOrder::Retry), Some(_)) => "runs again",
        (Some(HeldOrder::Retry | HeldOrder::Continue), None) => "runs",
        (Some(HeldOrder::Skip), Some(_)) => "counts as a success",
        (Some(HeldOrder::Skip), None) => "is skipped",
        (Some(HeldOrder::Continue), Some(_)) => "fails",
    };
    text!("{} {}", of, what)
}

fn name(job: &Job, number: StepNumber) -> &str {
    job.steps.iter().find(|step| step.number == number).map_or("", |step| &step.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::Story;
    use crate::ui::theme::Glyphs;

    #[test]
    fn a_screen_reader_gets_sentences_about_held_steps() {
        let mut story = Story::new(&["broken", "sleeper"]);
        story.hold("broken", 3, "Bad step", Some("exit code 1"));
        story.hold("sleeper", 2, "Sleep long", None);
        let (run, style) = (story.run(), Style::linear());
        let said = |job: &str, order: Option<HeldOrder>, style: Style| {
            let job = &run.jobs[&JobId::new(job)];
            line(job, job.held().next().expect("held"), order, style).as_str().to_owned()
        };
        let until = "until 1970-01-01 00:30 UTC";
        let failed = format!("broken: step 3, Bad step, failed and is held {until}: exit code 1");
        assert_eq!(said("broken", None, style), failed);
        assert_eq!(said("broken", Some(HeldOrder::Retry), style), "broken: step 3, Bad step, runs again");
        assert_eq!(said("sleeper", Some(HeldOrder::Skip), style), "sleeper: step 2, Sleep long, is skipped");
        let from = Some(HeldOrder::RetryFrom(StepNumber(3)));
        assert_eq!(said("broken", from, style), "broken: runs again from step 3, Bad step");
        let normal = Style::new(Glyphs::Unicode, false);
        assert_eq!(said("broken", Some(HeldOrder::Retry), normal), "broken › Bad step runs again");
        assert_eq!(said("sleeper", None, normal), "sleeper › Sleep long  held before it runs");
        let job = &run.jobs[&JobId::new("broken")];
        let in_list = listed(&run.info.id, job, job.held().next().expect("held"), style);
        assert_eq!(in_list.as_str(), format!("{failed}, run {}", run.info.id));
        // The line of the run's output names the step, which has no heading before it runs.
        let sleeper = &run.jobs[&JobId::new("sleeper")];
        let lines = waiting(&run.info.id, &sleeper.id, sleeper.held().next().expect("held"), normal);
        assert_eq!(lines[0].as_str(), format!("Sleep long: held before it runs, {until}"));
        let broken = &run.jobs[&JobId::new("broken")];
        let lines = waiting(&run.info.id, &broken.id, broken.held().next().expect("held"), normal);
        assert_eq!(lines[2].as_str(), format!("cuelight held retry {} --sync, skip or continue", run.info.id));
    }
}
