//! The lines around the panes: the header, the latest notice, the key hints.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::capabilities::Unavailable;
use crate::model::feed::{Connection, Notice, Polling, Trouble, Waits, Watching};
use crate::model::lane::Lane;
use crate::model::{EndReason, Gate, Level, Phase, Run, Summary, Timestamp};
use crate::ui::layout::Panel;
use crate::ui::run_columns::short;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::action::{ACTIONS, Action, Context, Entry, PREFIXES, Prefix};
use super::availability::{Subject, unavailable};
use super::keymap::{Key, Keymap, Lookup};
use super::overlay::Hint;
use super::panes::file_name;
use super::state::{AppState, command_name};

/// Draws the header: the selected run on the left; on the right its state and the state of the program.
pub(super) fn header(
    state: &AppState,
    theme: Theme,
    summary: Option<&Summary>,
    run: Option<&Run>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let parts = summary.map(|summary| parts(state, summary)).unwrap_or_default();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let columns = |right: &[(String, Style)]| right.iter().map(|(text, _)| text::width(text) + 2).sum::<usize>();
    let mut right = status(state, theme, summary, run, area.width, true);
    let whole = text::width(&fitted(&parts, usize::MAX, theme));
    // Signs alone are harder to read than words.
    if area.width < WORDS && whole + columns(&right) + 2 > usize::from(area.width) {
        right = status(state, theme, summary, run, area.width, false);
    }
    let right_width = columns(&right);
    let mut x = area.right().saturating_sub(text::limited(right_width)).max(area.x);
    for (text, style) in &right {
        x = text::put(buffer, x, area.y, area.right().saturating_sub(x), text, *style) + 2;
    }
    if parts.is_empty() {
        text::put(buffer, area.x + 1, area.y, area.width - 1, "cuelight", theme.style(Hue::Accent));
        return;
    }
    let room = usize::from(area.width).saturating_sub(right_width + 2);
    let left = fitted(&parts, room, theme);
    text::put(buffer, area.x + 1, area.y, room as u16, &left, Style::new().add_modifier(Modifier::BOLD));
}

/// Minimum width of a header that always uses words in place of signs.
const WORDS: u16 = 100;

/// Returns the parts of the header's left side: which run is selected.
fn parts(state: &AppState, summary: &Summary) -> Vec<String> {
    let attempt = if summary.attempt > 1 { format!("attempt {}", summary.attempt) } else { String::new() };
    let event = format!("{} {}", summary.info.event, summary.info.version()).trim().to_owned();
    let short = short(summary.info.id.as_str()).to_owned();
    let repository = if state.has_several_repositories() { file_name(&summary.info.repository) } else { "" };
    let workflow = summary.info.numbered().unwrap_or_else(|| file_name(&summary.info.workflow).to_owned());
    let mut parts = vec![repository.to_owned(), summary.name.clone(), workflow, event, attempt, short];
    parts.retain(|part| !part.is_empty());
    parts.dedup();
    parts
}

/// Minimum number of columns in which the beginning of a part of the header is shown. A shorter one says nothing.
const MIN_PART: usize = 10;

/// Joins as many parts of the header as fit. The last one may be clipped.
fn fitted(parts: &[&str], room: usize, theme: Theme) -> String {
    let mut left = String::new();
    for part in parts {
        let dot = if left.is_empty() { "" } else { theme.dot() };
        let rest = room.saturating_sub(text::width(&left) + text::width(dot));
        if text::width(part) > rest && rest < MIN_PART && !left.is_empty() {
            break;
        }
        left.push_str(dot);
        left.push_str(&text::clip(part, rest, theme.ellipsis()));
        if text::width(part) > rest {
            break;
        }
    }
    left
}

/// Returns the parts of the header's right side: replay or read-only, polling, connection, watch mode, workflows with
/// errors, reviews, a lost worker, held failures, the state of the run, pending commands, and the number of errors.
/// Without `has_words`, counts have signs in place of words.
fn status(
    state: &AppState,
    theme: Theme,
    summary: Option<&Summary>,
    run: Option<&Run>,
    columns: u16,
    has_words: bool,
) -> Vec<(String, Style)> {
    let mut parts: Vec<(String, Style)> = Vec::new();
    if let Some(replay) = &state.replay {
        parts.push((replay.clone(), theme.style(Hue::Review)));
    } else if state.refusal() == Some(Unavailable::ReadOnly) {
        parts.push(("READ-ONLY".to_owned(), theme.style(Hue::Review)));
    }
    let polling = state.polling.filter(|_| has_room_for_polling(columns) && state.connection == Connection::Live);
    parts.extend(polling.map(|polling| (polled(polling, state.now, theme), theme.style(Hue::Dim))));
    let is_asked = matches!(state.connection, Connection::Asking { .. });
    let hue = if is_asked { Hue::Dim } else { Hue::Bad };
    parts.extend(connection(&state.connection, state.now).map(|text| (text, theme.style(hue))));
    parts.extend(state.watching.as_ref().map(|watching| (watch_status(watching), theme.style(Hue::Accent))));
    match state.broken.as_slice() {
        [] => {}
        [one] => {
            let errors = text::counted(one.errors as u64, "error");
            parts.push((format!("{} {errors}", file_name(&one.workflow)), theme.style(Hue::Bad)));
        }
        several => parts.push((format!("{} workflows with errors", several.len()), theme.style(Hue::Bad))),
    }
    let reviews = state.reviews().count();
    if reviews > 0 {
        let words = if has_words { " to review" } else { "" };
        parts.push((format!("{}{reviews}{words}", theme.pick("◆", "?")), theme.style(Hue::Review)));
    }
    let Some(summary) = summary else { return parts };
    if summary.reason == Some(EndReason::WorkerLost) {
        let left = state.open_of(&summary.info.id).filter(|(_, open)| open.interruption().is_some());
        let step = left.and_then(|(_, open)| open.step.as_ref());
        let lost = step.map_or_else(
            || "worker lost: u resumes".to_owned(),
            |step| format!("interrupted at {}/{}: u resumes, B undoes", step.number, step.total),
        );
        parts.push((lost, theme.style(Hue::Bad)));
    }
    // In a replay, no step is held any more.
    if has_words && state.replay.is_none() && run.is_some_and(|run| run.holds && !run.phase.is_done()) {
        parts.push(("holds failures".to_owned(), theme.style(Hue::Accent)));
    }
    for command in state.pending(&summary.info.id) {
        parts.push((format!("{} asked", command_name(command)), theme.style(Hue::Review)));
    }
    if let Some((_, kept)) = state.kept_by(&summary.info.id) {
        let (former, time) = (kept.release.name(), kept.short(state.now));
        parts.push((format!("{} live, {former} {time}", theme.pick("✓", "+")), theme.style(Hue::Good)));
        return parts;
    }
    let waiting = state.open_of(&summary.info.id).map(|(lane, _)| lane).filter(|lane| lane.waits_for_person());
    let gate = waiting.map(|lane| Phase::Waiting(Gate::Protection(lane.name().to_owned())));
    let shown = gate.as_ref().unwrap_or(&summary.phase);
    let word = match waiting {
        Some(_) if has_words => "waits for a person",
        Some(_) => "waits",
        None => theme.look(shown).word,
    };
    let lamp = theme.lamp(shown, state.now.0);
    let time = summary.started.map(|started| text::spent(started, summary.finished, state.now));
    // How long a run waits is not known.
    let expected = run.zip(state.expected(&summary.info.id)).filter(|_| summary.phase.is_active());
    let rest = expected.and_then(|(run, expected)| expected.rest_of(run, state.now));
    let rest = rest.map(|rest| format!(", ~{} left", text::spent(state.now, None, state.now.after(rest))));
    let phase = format!("{lamp} {word} {}{}", time.unwrap_or_default(), rest.unwrap_or_default());
    parts.push((phase.trim_end().to_owned(), theme.phase(shown)));
    let steps = run.into_iter().flat_map(|run| run.jobs.values()).flat_map(|job| &job.steps);
    let errors = steps.flat_map(|step| &step.annotations).filter(|note| note.level == Level::Error).count();
    if errors > 0 {
        let shown = if has_words { text::counted(errors as u64, "error") } else { format!("!{errors}") };
        parts.push((shown, theme.style(Hue::Bad)));
    }
    parts
}

/// Whether a header of this width has room for the time of the next poll.
pub(super) fn has_room_for_polling(columns: u16) -> bool {
    columns >= 110
}

/// Returns when servers are polled next, and how many requests are left, if known.
fn polled(polling: Polling, now: Timestamp, theme: Theme) -> String {
    let next = format!("next in {}", text::spent(now, None, polling.next));
    let budget = polling.budget.map(|(left, all)| format!("{} of {}", text::count(left), text::count(all)));
    std::iter::once(next).chain(budget).collect::<Vec<_>>().join(theme.dot())
}

/// Describes the connection; `None` while it is live, and for a replay, which shows its own state.
fn connection(connection: &Connection, now: Timestamp) -> Option<String> {
    match connection {
        Connection::Live | Connection::Replay => None,
        Connection::Asking { server } => Some(format!("asking {server}")),
        Connection::Stale { since, trouble, .. } => {
            let stale = format!("stale {}", text::spent(*since, None, now));
            Some(trouble_word(*trouble, now).map_or_else(|| stale.clone(), |word| format!("{word}, {stale}")))
        }
        Connection::Offline { trouble, .. } => {
            Some(trouble_word(*trouble, now).unwrap_or_else(|| "offline".to_owned()))
        }
    }
}

/// Describes what is wrong with a connection; `None` if the server just does not respond.
fn trouble_word(trouble: Trouble, now: Timestamp) -> Option<String> {
    match trouble {
        Trouble::NoAnswer => None,
        Trouble::Paused { until } => Some(format!("limited for {}", text::spent(now, None, until))),
        Trouble::TokenRefused => Some("token refused".to_owned()),
        Trouble::SsoNeeded => Some("sign-on needed".to_owned()),
    }
}

/// Returns the watched workflow, or the changed files and what their run waits for.
fn watch_status(watching: &Watching) -> String {
    let Some((first, count)) = &watching.changed else {
        return format!("watch {}", watching.workflow.as_deref().unwrap_or("all"));
    };
    let more = if *count > 1 { format!(" +{}", count - 1) } else { String::new() };
    let waits = match watching.waits {
        Waits::ForQuiet(quiet) => format!("starts {}s after the last change", quiet.as_secs_f32()),
        Waits::ForRun => "starts when the run has ended".to_owned(),
    };
    format!("{}{more} changed, {waits}", file_name(first))
}

/// Maximum number of rows of a notice. A long notice covers the rows above its own row.
const MAX_TOAST_ROWS: u16 = 5;

/// Returns the number of columns for the text of a notice, without its glyph.
pub(super) fn toast_columns(area: Rect) -> usize {
    usize::from(area.width.saturating_sub(4).max(1))
}

/// Returns the text of a notice, in several lines if it is too long for one.
fn toast_lines(notice: &Notice, area: Rect) -> Vec<String> {
    if text::width(&notice.text) <= toast_columns(area) {
        return vec![notice.text.clone()];
    }
    text::wrap(&notice.text, toast_columns(area))
}

/// Returns the rows of a notice. A long notice grows upwards from its own row.
pub(super) fn toast_rows(notice: &Notice, area: Rect) -> Rect {
    let height = u16::try_from(toast_lines(notice, area).len())
        .unwrap_or(MAX_TOAST_ROWS)
        .clamp(1, MAX_TOAST_ROWS.min(area.y + 1));
    Rect { y: area.y + 1 - height, height, ..area }
}

/// Draws a notice.
pub(super) fn toast(notice: &Notice, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let style = theme.style(if notice.bad { Hue::Bad } else { Hue::Plain });
    let glyph = if notice.bad { theme.pick("✗ ", "X ") } else { "" };
    let area = toast_rows(notice, area);
    let mut rows = toast_lines(notice, area);
    let rest = rows.split_off(rows.len().min(usize::from(area.height)).saturating_sub(1));
    rows.push(text::clip(&rest.join(" "), toast_columns(area), theme.ellipsis()).into_owned());
    for (y, (number, row)) in (area.y..).zip(rows.iter().enumerate()) {
        (area.left()..area.right()).for_each(|x| buffer[(x, y)].reset());
        let before = if number == 0 { glyph } else { &"  "[..text::width(glyph)] };
        text::put(buffer, area.x + 1, y, area.width - 1, &format!("{before}{row}"), style);
    }
}

/// Actions whose hints come before those of key sequences; with little room, later hints are left out. While a
/// deployment or an environment is selected, the hint for a rollback comes before all of these, and then that for a
/// promotion while a deployment waits for a person. The hint for a held step comes after the first [`BEFORE_HELD`].
const FIRST: [Action; 10] = [
    Action::Help,
    Action::Palette,
    Action::DeployHere,
    Action::Play,
    Action::Review,
    Action::Start,
    Action::Stop,
    Action::Rerun,
    Action::RollBack,
    Action::NextError,
];

/// Number of actions at the beginning of [`FIRST`] that come before the hint for a held step: help and palette.
const BEFORE_HELD: usize = 2;

/// Key with which the sequences for a held step begin.
const HELD: &str = "c";

/// A hint of the footer: an action, and what it does here.
pub(super) type ActionHint = (Action, &'static str);

/// What the hints of the footer depend on.
pub(super) struct Hints<'s> {
    pub(super) context: Context,
    pub(super) subject: Subject<'s>,
    /// Hints that come before those of the table, for what the selected row is opened for.
    pub(super) first: Vec<ActionHint>,
    /// Action whose own hint is left out, because one of [`first`](Self::first) stands for it.
    pub(super) replaced: Option<Action>,
    /// Hints that come after the most important ones of the table, for a selected failure.
    pub(super) of_failure: Vec<ActionHint>,
}

/// Columns of the footer in which a hint is drawn, and its action; `None` for the first key of a sequence.
pub(super) type HintPlace = (Range<u16>, Option<Action>);

/// Draws as many hints of available actions as fit. That for a rollback of the selected environment comes first,
/// because it is needed in a hurry, then that for a promotion for which a deployment waits, then those for help, the
/// palette and a held step; that for quitting comes last. Returns the places of the hints.
pub(super) fn footer(
    state: &AppState,
    theme: Theme,
    keymap: &Keymap,
    hints: Hints<'_>,
    area: Rect,
    buffer: &mut Buffer,
) -> Vec<HintPlace> {
    let Hints { context, subject, first, replaced, of_failure } = hints;
    let is_available = |action: Action| unavailable(action, state, subject).is_none();
    let of_environment = subject.lane.is_some() || subject.in_deploys;
    let waits = subject.lane.is_some_and(Lane::waits_for_person);
    let urgent = [
        of_environment.then_some((Action::RollBack, Action::RollBack.entry().hint)),
        waits.then_some((Action::PromoteHere, "promote")),
    ];
    let urgent: Vec<ActionHint> = urgent.into_iter().flatten().filter(|(action, _)| is_available(*action)).collect();
    let placed = urgent.iter().chain(&first).chain(&of_failure).map(|(action, _)| *action);
    let placed: Vec<Action> = placed.chain(replaced).collect();
    let is_shown = |entry: &&Entry| {
        let here = entry.contexts.contains(&context) || entry.contexts.contains(&Context::Everywhere);
        here && !placed.contains(&entry.action) && !entry.hint.is_empty() && is_available(entry.action)
    };
    let hint_of = |entry: &Entry| match entry.action {
        Action::Play if !state.is_playing => "play",
        _ => entry.hint,
    };
    let key_of = |action: Action| keymap.keys(action).first().map(ToString::to_string);
    let with_key = |entry: &'static Entry| Some((key_of(entry.action)?, hint_of(entry), Some(entry.action)));
    let with_keys = |hints: Vec<ActionHint>| {
        let hints = hints.into_iter().filter_map(|(action, hint)| Some((key_of(action)?, hint, Some(action))));
        hints.collect::<Vec<_>>()
    };
    let of_list = matches!(context, Context::Panel(Panel::Runs | Panel::Workflows)).then_some(Action::Repositories);
    let is_first = |action: &Action| FIRST.contains(action) || of_list == Some(*action);
    let (begin, rest) = FIRST.split_at(BEFORE_HELD);
    let begin = begin.iter().copied().map(Action::entry).filter(is_shown).filter_map(with_key);
    let rest = rest.iter().copied().chain(of_list).map(Action::entry).filter(is_shown).filter_map(with_key);
    // The hint for quitting has its own place.
    let others = ACTIONS.iter().filter(|entry| entry.action != Action::Quit && !is_first(&entry.action));
    let others = others.filter(is_shown).filter_map(with_key);
    let leads_on = |prefix: &&Prefix| {
        let Some(first) = Key::parse(prefix.key) else { return false };
        let Lookup::Prefix(rest) = keymap.lookup(context, &[first]) else { return false };
        // Only actions whose first keys begin with the prefix count: the others have a hint under their first keys.
        let is_shown = |action| {
            let keys = keymap.keys(action).first();
            keys.is_some_and(|keys| keys.keys().first() == Some(&first)) && is_available(action)
        };
        rest.iter().any(|one| is_shown(one.action))
    };
    let prefixes = PREFIXES.iter().filter(leads_on).map(|prefix| (prefix.key.to_owned(), prefix.name, None));
    let (held, prefixes): (Vec<_>, Vec<_>) = prefixes.partition(|(key, ..)| key == HELD);
    let columns = |key: &str, hint: &str| text::width(key) + between(area).len() + text::width(hint) + 2;
    let quit = with_key(Action::Quit.entry());
    let reserved = quit.as_ref().map_or(0, |(key, hint, _)| columns(key, hint));
    let (mut x, mut places) = (area.x + 1, Vec::new());
    let mut put = |key: &str, hint: &str, action: Option<Action>, reserved: usize| {
        if usize::from(x) + columns(key, hint) + reserved > usize::from(area.right()) + 1 {
            return false;
        }
        let drawn = draw_hint(key, hint, x, theme, area, buffer);
        x = drawn.end + 2;
        places.push((drawn, action));
        true
    };
    let hints = with_keys(urgent).into_iter().chain(begin).chain(held).chain(with_keys(first)).chain(rest);
    for (key, hint, action) in hints.chain(with_keys(of_failure)).chain(prefixes).chain(others) {
        if !put(&key, hint, action, reserved) {
            break;
        }
    }
    if let Some((key, hint, action)) = quit {
        put(&key, hint, action, 0);
    }
    places
}

/// Draws the hints of an open overlay, as many as fit. Returns the places of those that are actions.
pub(super) fn overlay_footer(
    hints: &[Hint],
    theme: Theme,
    keymap: &Keymap,
    area: Rect,
    buffer: &mut Buffer,
) -> Vec<HintPlace> {
    let (mut x, mut places) = (area.x + 1, Vec::new());
    for hint in hints {
        let (key, hint, action) = match hint {
            Hint::Key(action, hint) => match keymap.keys(*action).first() {
                Some(key) => (key.to_string(), *hint, Some(*action)),
                None => continue,
            },
            Hint::Note(key, hint) => ((*key).to_owned(), *hint, None),
        };
        if usize::from(x) + text::width(&key) + between(area).len() + text::width(hint) > usize::from(area.right()) {
            break;
        }
        let drawn = draw_hint(&key, hint, x, theme, area, buffer);
        x = drawn.end + 2;
        places.push((drawn, action));
    }
    places
}

/// Returns what stands between a key and its hint.
fn between(footer: Rect) -> &'static str {
    if footer.width < 100 { ":" } else { " " }
}

/// Draws a key and its hint. Returns their columns.
fn draw_hint(key: &str, hint: &str, x: u16, theme: Theme, footer: Rect, buffer: &mut Buffer) -> Range<u16> {
    let mut end = x;
    for (part, style) in
        [(key, theme.style(Hue::Accent)), (between(footer), Style::new()), (hint, theme.style(Hue::Dim))]
    {
        end = text::put(buffer, end, footer.y, footer.width, part, style);
    }
    x..end
}
