//! Draws the rows of the environments of this machine. A row is one line with as many parts as fit.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::environment::{DeploymentState, Drift, EnvironmentDeployment, Impairment};
use crate::model::lane::{Lane, LaneDeployment, NoReport};
use crate::model::{Conclusion, Gate, Phase, Timestamp};
use crate::ui::text;
use crate::ui::theme::Hue;

use super::super::Cx;
use super::super::list::{ListRow, mark_row};

/// Minimum width in columns of a row that shows a release with its commit.
const WIDE: u16 = 60;

/// Columns between two parts.
const GAP: usize = 2;

/// Minimum age of a target's report for which the age is shown.
const FRESH: Duration = Duration::from_mins(1);

/// Minimum age for which the age is shown if the target no longer reports.
const RECENT: Duration = Duration::from_secs(10);

/// Widths of the columns of the list, which are the same in all rows.
pub(super) struct Columns {
    names: usize,
    releases: usize,
}

impl Columns {
    pub(super) fn of(lanes: &[&Lane], width: u16) -> Self {
        let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or_default();
        Self {
            names: widest(&mut lanes.iter().map(|lane| text::width(lane.name()))),
            releases: widest(&mut lanes.iter().map(|lane| text::width(&live(lane, width)))),
        }
    }
}

/// Returns the phase whose glyph a row shows: the phase of the deployment on its way; else a failure if the newest
/// deployment failed, the live release is unknown, or many of the last requests failed; else the health of the live
/// release; else `None`.
pub(super) fn phase(lane: &Lane) -> Option<Phase> {
    if let Some(open) = lane.on_its_way() {
        return Some(match (open.is_running, &open.waits) {
            (false, _) => Phase::Done(Conclusion::Failure),
            (true, Some(_)) => Phase::Waiting(Gate::Protection(lane.name().to_owned())),
            (true, None) if open.step.is_none() => Phase::Queued,
            (true, None) => Phase::Running,
        });
    }
    let is_failing = lane.requests().is_some_and(|requests| requests.is_failing());
    if lane.environment.unknown.is_some() || failed(lane).is_some() || is_failing {
        return Some(Phase::Done(Conclusion::Failure));
    }
    let conclusion = lane.impairment().map_or(Conclusion::Success, Impairment::conclusion);
    lane.environment.live().map(|_| Phase::Done(conclusion))
}

/// Returns the newest deployment, if it failed or was rolled back; `None` otherwise.
pub(super) fn failed(lane: &Lane) -> Option<&EnvironmentDeployment> {
    let newest = lane.environment.deployments.first()?;
    matches!(newest.state, DeploymentState::Failure | DeploymentState::Error).then_some(newest)
}

/// Describes the live release; in a wide row, with its commit.
fn live(lane: &Lane, width: u16) -> String {
    match lane.environment.live() {
        Some(live) if width >= WIDE => live.release.title(),
        Some(live) => live.release.name().to_owned(),
        None if lane.knows_live() => "nothing live".to_owned(),
        None => "unknown".to_owned(),
    }
}

/// A part of a row, in full and in short.
pub(super) struct Part {
    pub(super) full: String,
    short: String,
    pub(super) hue: Hue,
}

impl Part {
    fn new(full: String, hue: Hue) -> Self {
        Self { short: full.clone(), full, hue }
    }
}

/// Returns the parts after the release, the most important first.
fn parts(lane: &Lane, now: Timestamp) -> Vec<Part> {
    let mut parts = Vec::new();
    // What goes wrong for users comes first.
    parts.extend(
        lane.requests().and_then(|requests| {
            Some(Part { full: requests.failed()?, short: requests.failed_short()?, hue: Hue::Bad })
        }),
    );
    if let Some(open) = lane.on_its_way() {
        let mut part = on_its_way(open);
        if let Some(step) = open.step.as_ref().filter(|_| lane.lock.is_some() && open.is_running) {
            // The name of a step must not push the lock out of a narrow row.
            part.short = format!("{} {}/{}", open.release.name(), step.number, step.total);
        }
        parts.push(part);
    } else if let Some(failed) = failed(lane) {
        let how = if failed.began { "failed" } else { "did not go live" };
        parts.push(Part::new(format!("{} {how}", failed.release.name()), Hue::Bad));
    }
    if let Some(lock) = &lane.lock {
        let why = if lock.reason.is_empty() { String::new() } else { format!(": {}", lock.reason) };
        let left = lock.left(now).map(|left| format!(", {left}")).unwrap_or_default();
        let full = format!("locked by {}{left}{why}", lock.by.user);
        parts.push(Part { full, short: "locked".to_owned(), hue: Hue::Review });
    }
    if let Some(window) = &lane.frozen {
        parts.push(Part { full: format!("frozen {window}"), short: "frozen".to_owned(), hue: Hue::Review });
    }
    if let Some(stops) = lane.stops {
        let left = stops.since(now);
        let left = if left.is_zero() { "now".to_owned() } else { format!("in {}", text::ago(left)) };
        parts.push(Part::new(format!("stops {left}"), Hue::Plain));
    }
    // A report of the health is left out while a deployment changes the environment, because it is out of date.
    if !lane.is_changing() {
        parts.extend(health(lane, now));
        let note = lane.current_report().and_then(|seen| seen.observed.note.clone());
        parts.extend(note.map(|full| {
            let short = full.split([',', ';']).next().unwrap_or_default().to_owned();
            Part { full, short, hue: Hue::Busy }
        }));
    }
    parts.extend(lane.environment.drift.as_ref().map(drift_part));
    let who = lane.environment.live().map(|live| live.creator.as_str()).filter(|who| !who.is_empty());
    parts.extend(who.map(|who| Part::new(format!("by {who}"), Hue::Dim)));
    parts
}

/// Describes what the target reported, and why it reports nothing since. `None` if there is nothing to say.
pub(super) fn health(lane: &Lane, now: Timestamp) -> Option<Part> {
    let reported = lane.reported.as_ref().and_then(|reported| Some((reported, lane.health()?)));
    let Some((reported, (healthy, all))) = reported else {
        let part = |why: &NoReport| Part { full: why.text(), short: why.short().to_owned(), hue: Hue::Bad };
        return lane.no_report.as_ref().map(part);
    };
    let age = now.since(reported.at);
    let least = if lane.no_report.is_some() { RECENT } else { FRESH };
    let age = if age < least { String::new() } else { format!(" {} ago", text::ago(age)) };
    let health = format!("{}{age}", lane.health_text().unwrap_or_default());
    Some(match (&lane.no_report, &lane.serves) {
        (Some(why), _) => {
            let short = format!("{}, {healthy}/{all}{age}", why.short());
            Part { full: format!("{health}, {}", why.since()), short, hue: Hue::Bad }
        }
        (None, Some(serves)) => {
            Part { full: health, short: format!("{} serves, {healthy}/{all}{age}", serves.name()), hue: Hue::Bad }
        }
        (None, None) => Part::new(health, if healthy < all { Hue::Bad } else { Hue::Good }),
    })
}

/// Describes a deployment on its way.
pub(super) fn on_its_way(open: &LaneDeployment) -> Part {
    let release = open.release.name();
    match (&open.step, &open.waits) {
        (Some(step), _) if open.is_running => {
            let back = if step.is_back { "rolling back " } else { "" };
            let pause = step.pause.map(|pause| format!("{pause}: ")).unwrap_or_default();
            Part::new(format!("{release} {pause}{back}{}/{} {}", step.number, step.total, step.name), Hue::Busy)
        }
        (Some(step), _) => Part::new(format!("{release} interrupted at {}/{}", step.number, step.total), Hue::Bad),
        (None, Some(waits)) => {
            Part { full: format!("{release} {waits}"), short: format!("{release} waits"), hue: Hue::Review }
        }
        (None, None) if open.is_running => Part::new(format!("{release} is queued"), Hue::Busy),
        (None, None) => Part::new(format!("{release} was interrupted"), Hue::Bad),
    }
}

/// Describes how far the live release is from that of the preceding environment, or from the checkout: `12 behind
/// staging`.
fn drift_part(drift: &Drift) -> Part {
    Part { full: drift.named(), short: drift.short(), hue: Hue::Dim }
}

/// Returns the parts that fit into `room` columns: as many as possible in their short forms, of which the first ones
/// are then replaced by their full forms while there is room. A first part that calls for action is returned even if it
/// does not fit.
fn fitting(parts: Vec<Part>, room: usize) -> Vec<(String, Hue)> {
    let mut used = 0;
    let mut shown = Vec::new();
    for part in parts {
        let width = text::width(&part.short) + if shown.is_empty() { 0 } else { GAP };
        // A part that calls for action is shown even if it is cut off.
        let is_urgent = shown.is_empty() && !matches!(part.hue, Hue::Dim | Hue::Good);
        if used + width <= room || is_urgent {
            used += width;
            shown.push(part);
        }
    }
    let lengthened = shown.into_iter().map(|part| {
        let more = text::width(&part.full) - text::width(&part.short);
        let is_full = used + more <= room;
        used += if is_full { more } else { 0 };
        (if is_full { part.full } else { part.short }, part.hue)
    });
    lengthened.collect()
}

/// Draws the row of an environment of this machine.
pub(super) fn draw(lane: &Lane, columns: &Columns, selected: bool, cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let now = cx.state.now;
    let phase = phase(lane);
    let age = lane.environment.live().map(|live| text::ago(now.since(live.at()))).unwrap_or_default();
    let row = ListRow {
        indent: 0,
        glyph: phase.as_ref().map_or(" ", |phase| cx.theme.lamp(phase, now.0)),
        style: phase.as_ref().map_or_else(Style::new, |phase| cx.theme.phase(phase)),
        name: lane.name(),
        tab: text::limited(columns.names) + 5,
        remark: "",
        remark_style: Style::new(),
        right: &age,
        selected,
    };
    let Some((x, room)) = row.head(cx, area, buffer) else { return };
    let end = x + room;
    let room = |x: u16| end.saturating_sub(x);
    let release = live(lane, area.width);
    let clipped = text::clip(&release, usize::from(room(x)), cx.theme.ellipsis());
    let hue = if lane.environment.live().is_some() { Hue::Plain } else { Hue::Dim };
    text::put(buffer, x, area.y, room(x), &clipped, cx.theme.style(hue));
    let mut x = x + text::limited(columns.releases) + 2;
    for (part, hue) in fitting(parts(lane, now), usize::from(room(x))) {
        if room(x) < 4 {
            break;
        }
        let clipped = text::clip(&part, usize::from(room(x)), cx.theme.ellipsis());
        x = text::put(buffer, x, area.y, room(x), &clipped, cx.theme.style(hue)) + GAP as u16;
    }
    mark_row(row.selected, cx, area, buffer);
}
