//! Text in place of a log without lines: the reason, and how a condition was evaluated.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::panes::{Cx, empty};
use crate::app::selection::Selection;
use crate::app::state::AppState;
use crate::model::{Conclusion, Explanation, Gate, PendingReview, Phase, Run, RunInfo, RunnerLog, ServerKind};
use crate::ui::text;
use crate::ui::theme::Hue;

/// Returns why there are no lines, then the evaluation of the condition that decided it, if any.
pub(super) fn lines(state: &AppState, selection: &Selection) -> Vec<String> {
    let (why, explanation) = match (selection.step(state), selection.job(state)) {
        (Some((_, step)), _) if step.lines > 0 => ("loading".to_owned(), None),
        (Some((_, step)), _) => {
            let why = match selection.run(state) {
                Some(Run { info: RunInfo { remote: Some(remote), .. }, .. }) => {
                    let log = selection.job(state).and_then(|job| job.runner_log.as_ref());
                    on_server(remote.kind, &step.name, &step.phase, step.reason.as_deref(), log)
                }
                _ => reason(&step.name, &step.phase, step.reason.as_deref()),
            };
            let quiet = step.started.filter(|_| step.phase.is_active());
            let quiet = quiet.map(|started| format!(", for {}", text::spent(started, None, state.now)));
            (why + &quiet.unwrap_or_default(), step.explanation.as_ref())
        }
        (None, Some(job)) => {
            let review = selection.run(state).and_then(|run| run.review_of(job));
            let why = match review {
                Some(review) => format!("{} {}: {}", job.name, review.reason(), answer(review)),
                None => reason(&job.name, &job.phase, job.reason.as_deref()),
            };
            (why, job.explanation.as_ref())
        }
        (None, None) => match selection.run(state).map(|run| (&run.name, &run.phase)) {
            Some((name, phase @ Phase::Waiting(_))) => (reason(name, phase, None), None),
            _ => ("no job is selected".to_owned(), None),
        },
    };
    let tree = explanation.map(Explanation::lines).unwrap_or_default();
    std::iter::once(why).chain(tree).collect()
}

/// Returns how the user can answer a review, or why the user cannot.
fn answer(review: &PendingReview) -> String {
    review.refusal.map_or_else(|| "press `a` to approve or reject it".to_owned(), |refusal| refusal.to_string())
}

/// Returns why a step of a run on a server has no lines. GitHub has no log of a job before the job ends; Gitea has, and
/// so has a runner on this machine.
fn on_server(kind: ServerKind, name: &str, phase: &Phase, why: Option<&str>, log: Option<&RunnerLog>) -> String {
    match (phase, why) {
        (Phase::Running | Phase::Stopping, _) if kind == ServerKind::GitHub => match log {
            None => format!("{name} runs: its log is available when the job has ended"),
            Some(RunnerLog { runner, unavailable: None }) => {
                format!("{name} runs: the runner {runner} on this machine has not written its lines yet")
            }
            Some(RunnerLog { runner, unavailable: Some(why) }) => format!(
                "{name} runs: its log is available when the job has ended; not from the runner {runner} here: {why}"
            ),
        },
        (Phase::Done(conclusion), None) if *conclusion != Conclusion::Skipped => {
            format!("{name} printed nothing, or its log is not here yet")
        }
        _ => reason(name, phase, why),
    }
}

fn reason(name: &str, phase: &Phase, reason: Option<&str>) -> String {
    match (phase, reason) {
        (Phase::Done(_), Some(reason)) => format!("{name}: {reason}"),
        (Phase::Done(_), None) => format!("{name} printed nothing"),
        (Phase::Running | Phase::Stopping, _) => format!("{name} has printed nothing yet"),
        (Phase::Waiting(gate @ Gate::Concurrency { .. }), _) => format!("pending: {}", gate.reason()),
        (Phase::Waiting(gate), _) if *gate != Gate::Needs => format!("{name}: {}", gate.reason()),
        (Phase::Queued | Phase::Waiting(_), _) => format!("{name} has not started"),
    }
}

/// Draws the reason alone in the middle, or the reason at the top with the evaluation below it.
pub(super) fn draw(lines: &[String], cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let [why, tree @ ..] = lines else { return };
    if tree.is_empty() || area.height < 3 {
        return empty(why, cx, area, buffer);
    }
    let columns = area.width.saturating_sub(2);
    let rows = std::iter::once((why, cx.theme.style(Hue::Dim))).chain(tree.iter().map(|line| (line, Style::new())));
    for ((line, style), y) in rows.zip(area.top()..area.bottom()) {
        let line = line.replace("├─", cx.theme.pick("├─", "|-")).replace("└─", cx.theme.pick("└─", "`-"));
        let line = line.replace('│', cx.theme.pick("│", "|"));
        let shown = text::clip(&line, usize::from(columns), cx.theme.ellipsis());
        text::put(buffer, area.x + 1, y, columns, &shown, style);
    }
}
