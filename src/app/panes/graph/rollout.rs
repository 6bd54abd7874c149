//! The picture of a deployment: its steps in a row, and a line for each slot with its share of the traffic.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::MARGIN;
use crate::app::panes::Cx;
use crate::model::deployment::{SlotTraffic, TrafficSample};
use crate::model::environment::EnvironmentDeployment;
use crate::model::{Job, Phase, Run, Step, StepKind};
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

/// Maximum width of a release's title in columns.
const MAX_TITLE: u16 = 20;

/// Width of the name of a slot in columns, and maximum width of the names of a host and its slot.
const SLOT: u16 = 6;
const MAX_NAME: u16 = 22;

/// Minimum and maximum width of a bar in columns.
const BAR: (u16, u16) = (10, 40);

/// Width of the figures of a slot in columns: requests a second, failed requests, and latency.
const FIGURES: u16 = 42;

/// Width of the number of ready replicas in columns.
const READY: u16 = 12;

/// Width of the share of the traffic in columns.
const SHARE: u16 = 6;

/// Length of time over which failed requests are counted.
const COUNTED: Duration = Duration::from_mins(1);

/// Maximum age of an observation that is shown without its age. The target is asked every two seconds at first.
const FRESH: Duration = Duration::from_secs(10);

/// Returns the job of a run that is a deployment of this machine with a plan.
pub(super) fn job(run: &Run) -> Option<&Job> {
    let job = run.jobs.values().next().filter(|_| run.info.is_deployment())?;
    job.steps.iter().any(|step| step.label.is_some()).then_some(job)
}

/// Draws the steps, the current step in words, and the slots.
pub(super) fn draw(cx: &Cx, run: &Run, job: &Job, area: Rect, buffer: &mut Buffer) {
    let area = Rect { x: area.x + MARGIN, width: area.width.saturating_sub(2 * MARGIN), ..area };
    let mut rows = area.y..area.bottom();
    if let Some(y) = rows.next() {
        let mut x = area.x;
        for part in strip(job, area.width, cx) {
            x = text::put(buffer, x, y, area.right().saturating_sub(x), &part.content, part.style);
        }
    }
    if let Some(y) = rows.next() {
        let sentence = sentence(run, job, cx);
        let sentence = text::clip(&sentence, usize::from(area.width), cx.theme.ellipsis());
        text::put(buffer, area.x, y, area.width, &sentence, Style::new());
    }
    let Some(last) = job.traffic.back() else { return };
    if rows.len() > last.slots.len()
        && let Some(y) = rows.next()
    {
        let age = cx.state.now.since(last.at);
        let seen = (age >= FRESH).then(|| format!("observed {} ago", text::ago(age)));
        let counts = last.slots.iter().any(|slot| slot.counters.is_some());
        let counted = counts.then(|| "failed requests: of the last minute".to_owned());
        let who = cx.state.deployment(&run.info.id).filter(|one| !one.creator.is_empty());
        let who = who.map(EnvironmentDeployment::by);
        let seen = seen.into_iter().chain(last.note.clone()).chain(counted).chain(who).collect::<Vec<_>>().join("  ");
        let seen = text::clip(&seen, usize::from(area.width), cx.theme.ellipsis());
        text::put(buffer, area.x, y, area.width, &seen, cx.theme.style(Hue::Dim));
    }
    let title = last.slots.iter().map(|slot| text::columns(&slot.title)).max().unwrap_or_default().min(MAX_TITLE);
    let name = last.slots.iter().map(|slot| text::columns(&name_of(slot))).max().unwrap_or_default();
    let name = name.clamp(SLOT - 1, MAX_NAME) + 1;
    let hidden = last.slots.len().saturating_sub(rows.len());
    if hidden > 0 && !rows.is_empty() {
        rows.end -= 1;
        let more = format!("and {}", text::counted(hidden as u64 + 1, "more slot"));
        text::put(buffer, area.x, rows.end, area.width, &more, cx.theme.style(Hue::Dim));
    }
    for (slot, y) in last.slots.iter().zip(rows) {
        draw_slot(slot, &job.traffic, (name, title), cx, Rect { y, height: 1, ..area }, buffer);
    }
}

/// Steps whose names the row shows.
#[derive(Clone, Copy)]
enum Named {
    All,
    /// The current step, and this many steps on both sides.
    Near(usize),
    None,
}

/// Returns the steps in a row, with as many names as fit. If not even all glyphs fit, returns only the steps around the
/// current one.
fn strip(job: &Job, width: u16, cx: &Cx) -> Vec<Span<'static>> {
    let at = current(job);
    // A glyph for each step and a line between two steps need at least this room.
    let fits = 2 * job.steps.len() <= usize::from(width) + 1;
    let tried: &[Named] =
        if fits { &[Named::All, Named::Near(2), Named::Near(1), Named::Near(0), Named::None] } else { &[] };
    for named in tried {
        let parts = parts(&job.steps, at, *named, cx);
        if parts.iter().map(|part| text::width(&part.content)).sum::<usize>() <= usize::from(width) {
            return parts;
        }
    }
    let room = usize::from(width.saturating_sub(2)).max(1);
    let first = at.saturating_sub(room / 2).min(job.steps.len().saturating_sub(room));
    let glyphs = job.steps.iter().skip(first).take(room).map(|step| glyph(step, cx));
    let end = |is_cut: bool| is_cut.then(|| Span::styled(cx.theme.ellipsis(), cx.theme.style(Hue::Dim)));
    end(first > 0).into_iter().chain(glyphs).chain(end(first + room < job.steps.len())).collect()
}

fn parts(steps: &[Step], at: usize, named: Named, cx: &Cx) -> Vec<Span<'static>> {
    let dim = cx.theme.style(Hue::Dim);
    let is_named = |step: usize| match named {
        Named::All => true,
        Named::Near(most) => step.abs_diff(at) <= most,
        Named::None => false,
    };
    let mut parts = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        if number > 0 {
            let before = if is_named(number - 1) { " " } else { "" };
            let after = if is_named(number) { " " } else { "" };
            // The steps of a rollback follow the ones that it undoes.
            let is_back = step.kind == StepKind::Post && steps[number - 1].kind != StepKind::Post;
            let line = if is_back { cx.theme.pick("┄ back ┄", "- back -") } else { cx.theme.pick("─", "-") };
            parts.push(Span::styled(format!("{before}{line}{after}"), dim));
        }
        parts.push(glyph(step, cx));
        if let Some(label) = step.label.as_ref().filter(|_| is_named(number)) {
            let style = if number == at { cx.theme.heading() } else { dim };
            parts.push(Span::styled(format!(" {label}"), style));
        }
    }
    parts
}

fn glyph(step: &Step, cx: &Cx) -> Span<'static> {
    Span::styled(cx.theme.lamp(&step.phase, cx.state.now.0), cx.theme.phase(&step.phase))
}

/// Returns the index of the current step: the first that runs, else the last that ended, else the first.
fn current(job: &Job) -> usize {
    let runs = |step: &Step| !step.phase.is_done() && step.phase != Phase::Queued;
    let ended = || job.steps.iter().rposition(|step| step.phase.is_done() && step.started.is_some());
    job.steps.iter().position(runs).or_else(ended).unwrap_or_default()
}

/// Returns a sentence about the current step or, for a deployment that has ended, its result and the reason.
fn sentence(run: &Run, job: &Job, cx: &Cx) -> String {
    let Some(step) = job.steps.get(current(job)) else { return String::new() };
    let left = cx.state.open_of(&run.info.id).and_then(|(lane, open)| Some((lane, open.interruption()?)));
    if let Some((lane, interruption)) = left {
        let shares = lane.current_report().and_then(|reported| lane.shares(&reported.observed));
        let shares = shares.map(|shares| format!("; {shares}")).unwrap_or_default();
        return format!("{interruption}: u resumes, B undoes{shares}");
    }
    if job.phase.is_done() {
        let word = cx.theme.look(&job.phase).word;
        let reason = job.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        return format!("{word}{reason}");
    }
    if let Some((live, kept)) = cx.state.kept_by(&run.info.id) {
        let (live, name, slot) = (live.name(), kept.release.name(), kept.slot);
        return format!("{live} is live; {name} still runs in {slot}, {}", kept.short(cx.state.now));
    }
    let time = step.started.map(|started| text::spent(started, step.finished, cx.state.now)).unwrap_or_default();
    let pause = cx.state.pause_of(&run.info.id).map(|pause| format!("  {pause}")).unwrap_or_default();
    format!("step {} of {}: {}  {time}{pause}", step.number, job.steps.len(), step.name)
}

/// Returns the name of a slot, after that of its host if there are several: `web1 blue`.
fn name_of(slot: &SlotTraffic) -> String {
    match &slot.host {
        Some(host) => format!("{host} {}", slot.slot),
        None => slot.slot.to_string(),
    }
}

/// Draws a slot: its release, its replicas, its share of the traffic and, if there is room, its figures with a chart of
/// the requests.
fn draw_slot(
    slot: &SlotTraffic,
    samples: &VecDeque<TrafficSample>,
    (name, title): (u16, u16),
    cx: &Cx,
    area: Rect,
    buffer: &mut Buffer,
) {
    let (theme, state) = (cx.theme, &slot.state);
    let mut x = area.x;
    let mut put = |columns: u16, content: &str, style: Style| {
        let columns = columns.min(area.right().saturating_sub(x));
        text::put(buffer, x, area.y, columns, content, style);
        x += columns;
    };
    let figures = Figures::of(slot, samples);
    let failed = figures.as_ref().map(Figures::failed).unwrap_or_default();
    // The share of the traffic is never cut: with little room, the title of the release is.
    let title = title.min(area.width.saturating_sub(name + 1 + SHARE));
    // The end of the name is the slot.
    let of_slot = name_of(slot);
    put(name, &text::clip_start(&of_slot, usize::from(name - 1), theme.ellipsis()), theme.heading());
    put(title + 1, &text::clip(&slot.title, usize::from(title), theme.ellipsis()), Style::new());
    let room = area.width.saturating_sub(name + title + 1 + SHARE);
    let mut left = room.saturating_sub(READY);
    // With little room, the failed requests are more important than the ready replicas and the bar, and nothing is more
    // important than the share.
    let has_ready = room >= READY && left >= text::columns(&failed);
    if has_ready {
        // A slot without traffic may be drained: its replicas run, and are opened with the traffic.
        let ready = if state.weight > 0 { state.ready() } else { state.healthy.min(state.replicas) };
        let style = theme.style(if ready < state.replicas { Hue::Busy } else { Hue::Dim });
        put(READY, &format!("{ready}/{} ready", state.replicas), style);
    } else {
        left = room;
    }
    let has_room = figures.is_some() && left >= BAR.0 + FIGURES;
    let bar = if has_room { (left - FIGURES).clamp(BAR.0, BAR.1) } else { left.saturating_sub(text::columns(&failed)) };
    let bar = if bar < BAR.0 { 0 } else { bar.min(BAR.1) };
    let full = (u32::from(bar) * u32::from(state.weight)).div_ceil(100) as usize;
    let style = theme.style(if state.weight > 0 { Hue::Accent } else { Hue::Dim });
    put(full as u16, &theme.pick("█", "#").repeat(full), style);
    put(bar - full as u16, &theme.pick("░", ".").repeat(usize::from(bar) - full), theme.style(Hue::Dim));
    put(SHARE, &format!("{:>4} %", state.weight), Style::new());
    let Some(figures) = figures else { return };
    let failed_style = theme.style(if figures.errors > 0 { Hue::Bad } else { Hue::Dim });
    if !has_room {
        // A number that is cut off would be another number.
        let shown = if left >= text::columns(&failed) { failed.as_str() } else { "" };
        return put(text::columns(shown), shown, failed_style);
    }
    put(12, &format!("{:>10.1}/s", figures.rate), Style::new());
    put(18, &format!("{failed:>18}"), failed_style);
    put(12, &format!("{:>7} ms", text::count(figures.latency)), theme.style(Hue::Dim));
    let chart = chart(slot, samples, usize::from(left - bar - FIGURES), theme);
    for (sign, style) in chart {
        put(1, sign, style);
    }
}

/// Returns the samples that count the requests of a slot.
fn counted<'s>(
    slot: &SlotTraffic,
    samples: &'s VecDeque<TrafficSample>,
) -> impl DoubleEndedIterator<Item = &'s TrafficSample> {
    samples.iter().filter(move |sample| sample.slot(slot).is_some_and(|one| one.counters.is_some()))
}

/// Figures of a slot.
struct Figures {
    /// Requests a second, between the last two samples.
    rate: f64,
    /// Requests in the last minute.
    requests: u64,
    /// Failed requests in the last minute.
    errors: u64,
    /// Latency in milliseconds.
    latency: u64,
}

impl Figures {
    /// Returns the figures of a slot; `None` before two samples counted its requests.
    fn of(slot: &SlotTraffic, samples: &VecDeque<TrafficSample>) -> Option<Self> {
        let mut counted = counted(slot, samples).rev();
        let last = counted.next()?;
        let before = counted.next()?;
        let first = counted.take_while(|one| last.at.since(one.at) <= COUNTED).last().unwrap_or(before);
        let (recent, time) = last.since(before, slot)?;
        let (all, _) = last.since(first, slot)?;
        Some(Self {
            rate: recent.requests as f64 / time.as_secs_f64().max(0.001),
            requests: all.requests,
            errors: all.errors,
            latency: u64::try_from(recent.latency().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Describes the failed requests: `  6/12 failed`.
    fn failed(&self) -> String {
        format!("  {}/{} failed", text::count(self.errors), text::count(self.requests.max(self.errors)))
    }
}

/// Returns a chart of the requests a second in the last samples, one column for each. Columns with failed requests have
/// the style of failures.
fn chart(
    slot: &SlotTraffic,
    samples: &VecDeque<TrafficSample>,
    columns: usize,
    theme: Theme,
) -> Vec<(&'static str, Style)> {
    const LEVELS: [(&str, &str); 8] =
        [("▁", "_"), ("▂", "_"), ("▃", "."), ("▄", "."), ("▅", "-"), ("▆", "-"), ("▇", "="), ("█", "#")];
    let counted: Vec<&TrafficSample> = counted(slot, samples).collect();
    let rates = counted.windows(2).filter_map(|pair| {
        let (seen, time) = pair[1].since(pair[0], slot)?;
        Some((seen.requests as f64 / time.as_secs_f64().max(0.001), seen.errors > 0))
    });
    let rates: Vec<(f64, bool)> = rates.collect();
    let shown = &rates[rates.len().saturating_sub(columns)..];
    let most = shown.iter().map(|(rate, _)| *rate).fold(f64::EPSILON, f64::max);
    let sign = |(rate, has_errors): &(f64, bool)| {
        let level = (rate / most * (LEVELS.len() - 1) as f64).round() as usize;
        let (unicode, ascii) = LEVELS[level.min(LEVELS.len() - 1)];
        (theme.pick(unicode, ascii), theme.style(if *has_errors { Hue::Bad } else { Hue::Dim }))
    };
    shown.iter().map(sign).collect()
}
