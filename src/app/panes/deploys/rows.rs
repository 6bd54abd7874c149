//! Draws the rows of environments that this machine does not deploy to: those of a server, and those of the listed
//! runs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::panes::Cx;
use crate::app::panes::list::ListRow;
use crate::model::environment::{Drift, Environment as ServerEnvironment};
use crate::model::{Conclusion, Gate, PendingReview, Phase};
use crate::ui::text;
use crate::ui::theme::Hue;

use super::{Environment, page, version};

/// Draws an environment of a server.
pub(super) fn server(row: &ServerEnvironment, tab: u16, selected: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let newest = row.pending().or(row.deployments.first());
    let phase = newest.map_or(Phase::Done(Conclusion::Neutral), |newest| newest.state.phase(&row.name));
    // The pending deployment comes first, because the user may act on it.
    let pending = row.pending().map(|newest| format!("{} {}", newest.release.name(), newest.state_words()));
    let live = row.live().map(|live| format!("live {}", live.release.title()));
    let nothing = || if row.unknown.is_some() { "not shown" } else { "nothing live" }.to_owned();
    let drift = row.drift.as_ref().map(Drift::short);
    let parts = pending.into_iter().chain([live.unwrap_or_else(nothing)]).chain(drift);
    let age = row.live().or(newest).map(|one| text::ago(cx.state.now.since(one.at())));
    let line = ListRow {
        indent: 0,
        glyph: if newest.is_some() { cx.theme.lamp(&phase, cx.state.now.0) } else { " " },
        style: cx.theme.phase(&phase),
        name: &row.name,
        tab,
        remark: &parts.collect::<Vec<_>>().join("  "),
        remark_style: cx.theme.style(Hue::Dim),
        right: &age.unwrap_or_default(),
        selected,
    };
    line.draw(cx, area, buffer);
}

/// Draws the line below this number of rows with environments that are shown as they were before. Draws nothing without
/// a row for it.
pub(super) fn outdated(reason: &str, above: u16, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    if above < area.height {
        let (line, room) = (page::outdated(reason), area.width.saturating_sub(2));
        let line = text::clip(&line, usize::from(room), cx.theme.ellipsis());
        text::put(buffer, area.x + 1, area.y + above, room, &line, cx.theme.style(Hue::Bad));
    }
}

/// Draws an environment that was found in the listed runs.
pub(super) fn found(row: &Environment, tab: u16, selected: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let (run, deployment) = row.latest;
    let mut parts = vec![version(run)];
    match (&deployment.phase, row.live) {
        (Phase::Done(Conclusion::Success), _) => parts.extend(deployment.url.clone()),
        (Phase::Done(_), Some((live, _))) => parts.push(format!("live {}", version(live))),
        (Phase::Waiting(Gate::Review(_)), live) => {
            let is_here = |review: &&PendingReview| review.environment == row.name;
            let reviewers = run.reviews.iter().find(is_here).map(|review| review.reviewers.join(", "));
            let reviewers = reviewers.filter(|names| !names.is_empty());
            let review = reviewers.map_or("needs review".to_owned(), |names| format!("review by {names}"));
            // The review comes first, because the user may act on it.
            parts.insert(0, review);
            parts.extend(live.map(|(live, _)| format!("live {}", version(live))));
        }
        (phase, Some((live, _))) => {
            parts.push(format!("{}, live {}", cx.theme.look(phase).word, version(live)));
        }
        (phase, None) => parts.push(cx.theme.look(phase).word.to_owned()),
    }
    let ago = deployment.at.map(|at| text::ago(cx.state.now.since(at))).unwrap_or_default();
    let line = ListRow {
        indent: 0,
        glyph: cx.theme.lamp(&deployment.phase, cx.state.now.0),
        style: cx.theme.phase(&deployment.phase),
        name: row.name,
        tab,
        remark: &parts.join("  "),
        remark_style: cx.theme.style(Hue::Dim),
        right: &ago,
        selected,
    };
    line.draw(cx, area, buffer);
}
