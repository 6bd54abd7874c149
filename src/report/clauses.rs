//! States in words, each with its reason, as parts of sentences for a screen reader. What the word of a state says is not
//! repeated by its reason.

use crate::model::{Gate, Job, JobState, PendingReview, Phase, Run};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::{count, counted};

use super::ending::first_line;
use super::style::Style;

/// Maximum number of names of jobs in a line or a sentence.
pub(super) const MAX_NAMES: usize = 3;

/// Beginning of the reasons of gates that are about what is waited for.
const WAITS: &str = "waits ";

/// Returns a state with the time that it took and its reason: `waiting for a free slot`, `failure in 3s, exit code 1`.
pub(super) fn state(phase: &Phase, time: &TerminalText, reason: Option<&str>, style: Style) -> TerminalText {
    let word = style.word(phase);
    match phase {
        Phase::Waiting(Gate::Needs) => text!("{} for jobs that it needs", word),
        Phase::Waiting(Gate::Review(environment)) => text!("{} of {}", word, environment),
        Phase::Waiting(Gate::Held { reason: Some(reason), until }) => {
            text!("{} until {}, a step failed: {}", word, until.clock(), first_line(reason))
        }
        Phase::Waiting(Gate::Held { reason: None, until }) => text!("{} before a step, until {}", word, until.clock()),
        Phase::Waiting(gate) => {
            let reason = gate.reason();
            if let Some(what) = reason.strip_prefix(WAITS) {
                text!("{} {}", word, what)
            } else {
                text!("{}, {}", word, reason)
            }
        }
        _ => {
            let reason = reason.map(first_line).filter(|reason| !reason.is_empty() && *reason != word);
            text!("{}{}{}", word, *time, reason.map(|reason| text!(", {}", reason)).unwrap_or_default())
        }
    }
}

/// Returns the state of what waits at a gate, as [`state`] does.
pub(super) fn waiting(gate: &Gate, style: Style) -> TerminalText {
    state(&Phase::Waiting(gate.clone()), &TerminalText::default(), None, style)
}

/// Returns the state of a run, as [`state`] does. Reviews of other jobs than those in progress are named with the same word
/// as the state of a run that only waits for them.
pub(super) fn of_run(
    phase: &Phase,
    reviews: &[PendingReview],
    time: &TerminalText,
    reason: Option<&str>,
    style: Style,
) -> TerminalText {
    let [first, others @ ..] = reviews else { return state(phase, time, reason, style) };
    let pending = if others.is_empty() {
        waiting(&first.gate(), style)
    } else {
        let names: Vec<&str> = reviews.iter().map(|review| review.environment.as_str()).collect();
        text!("{} of {}", style.word(&Phase::Waiting(Gate::Review(String::new()))), joined(&names, "and"))
    };
    match phase {
        Phase::Waiting(Gate::Review(_) | Gate::Timer { .. } | Gate::Protection(_)) => pending,
        _ if phase.is_active() => text!("{}{}, {}", style.word(phase), *time, pending),
        _ => state(phase, time, reason, style),
    }
}

/// Returns the state of a job with held steps: `held, step 3, Bad step, exit code 1, until 2026-11-24 10:30 UTC`.
pub(super) fn held(job: &Job, style: Style) -> TerminalText {
    let mut steps = Vec::new();
    for step in job.held() {
        let Phase::Waiting(Gate::Held { reason, until }) = &step.phase else { continue };
        let why = reason.as_deref().map_or("before it runs", first_line);
        steps.push(format!("step {}, {}, {why}, until {}", step.number, step.name, until.clock()));
    }
    text!("{}, {}", style.word(job.progress()), steps.join("; "))
}

/// Returns the number of jobs in each state as the end of a sentence: `, 12 jobs succeeded, 1 failed, 1 was skipped`. Empty
/// for a run of one job, whose state is that of the run.
pub(super) fn tally(run: &Run) -> String {
    if run.jobs.len() < 2 {
        return String::new();
    }
    let mut counts = String::new();
    for (state, number) in run.tally() {
        let noun = if counts.is_empty() { counted(number as u64, "job") } else { count(number as u64) };
        let is_one = number == 1;
        let verb = match state {
            JobState::Ok => "succeeded",
            JobState::Running if is_one => "is running",
            JobState::Running => "are running",
            JobState::Held if is_one => "is held",
            JobState::Held => "are held",
            JobState::Review if is_one => "needs a review",
            JobState::Review => "need a review",
            JobState::Failed => "failed",
            JobState::Allowed if is_one => "failed and was allowed to",
            JobState::Allowed => "failed and were allowed to",
            JobState::Skipped if is_one => "was skipped",
            JobState::Skipped => "were skipped",
            JobState::Cancelled if is_one => "was cancelled",
            JobState::Cancelled => "were cancelled",
            JobState::Waiting if is_one => "waits",
            JobState::Waiting => "wait",
        };
        counts += &format!(", {noun} {verb}");
    }
    counts
}

/// Returns the first names of a list for a sentence: `a, b and c`, `a, b, c and 57 more`.
pub(super) fn first_names<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let names: Vec<&str> = names.take(MAX_NAMES).collect();
    if more == 0 { joined(&names, "and") } else { format!("{} and {more} more", names.join(", ")) }
}

/// Joins names with commas, and the last one with a word: `maria, ines or olu`.
pub(super) fn joined(names: &[&str], word: &str) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [several @ .., last] => format!("{} {word} {last}", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::pending_review;
    use crate::model::{Conclusion, Timestamp};
    use crate::report::testing::Story;

    #[test]
    fn a_reason_does_not_repeat_the_word_of_its_state() {
        let until = Timestamp(0);
        let held = |reason: Option<&str>| Gate::Held { reason: reason.map(str::to_owned), until };
        let group = Gate::Concurrency { group: "g".to_owned(), holder: String::new() };
        for (phase, reason, expected) in [
            (Phase::Done(Conclusion::Cancelled), Some("cancelled"), "cancelled in 2s"),
            (Phase::Done(Conclusion::Failure), Some("exit code 1\nmore"), "failure in 2s, exit code 1"),
            (Phase::Done(Conclusion::Success), None, "success in 2s"),
            (Phase::Waiting(Gate::Needs), None, "waiting for jobs that it needs"),
            (Phase::Waiting(Gate::Capacity), None, "waiting for a free slot"),
            (Phase::Waiting(Gate::Runner(vec!["tpu".to_owned()])), None, "queued for a runner with tpu"),
            (Phase::Waiting(Gate::Review("prod".to_owned())), Some("waits"), "needs review of prod"),
            (Phase::Waiting(Gate::Rule("prod is locked".to_owned())), None, "waiting, prod is locked"),
            (Phase::Waiting(group), None, "pending, another run holds the group g"),
            (
                Phase::Waiting(held(Some("exit code 1"))),
                Some("failed and held"),
                "held until 1970-01-01 00:00 UTC, a step failed: exit code 1",
            ),
            (Phase::Waiting(held(None)), None, "held before a step, until 1970-01-01 00:00 UTC"),
        ] {
            assert_eq!(state(&phase, &text!(" in 2s"), reason, Style::linear()).as_str(), expected, "{phase:?}");
        }
        let reviews = [pending_review(1, "staging", &["olu"]), pending_review(2, "prod", &["olu"])];
        let several = of_run(&reviews[0].phase(), &reviews, &text!(""), None, Style::linear());
        assert_eq!(several.as_str(), "needs review of staging and prod");
        let busy = of_run(&Phase::Running, &reviews[..1], &text!(""), Some("waits"), Style::linear());
        assert_eq!(busy.as_str(), "running, needs review of staging");
    }

    #[test]
    fn jobs_are_counted_in_words() {
        let mut run = Story::new(&["a", "b", "c", "d"]).run();
        let ends = [Conclusion::Success, Conclusion::Success, Conclusion::Failure, Conclusion::Skipped];
        for (job, end) in run.jobs.values_mut().zip(ends) {
            job.phase = Phase::Done(end);
        }
        assert_eq!(tally(&run), ", 2 jobs succeeded, 1 failed, 1 was skipped");
        assert_eq!(tally(&Story::new(&["a"]).run()), "");
    }

    #[test]
    fn a_long_list_of_names_ends_with_a_number() {
        assert_eq!(first_names(["a", "b", "c"].into_iter()), "a, b and c");
        assert_eq!(first_names(["a", "b", "c", "d", "e"].into_iter()), "a, b, c and 2 more");
    }
}
