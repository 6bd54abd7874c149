//! The page of an environment of this machine: its state, what would be deployed next, its deployments with their
//! commits, its rules, and the variables that its commands need.
//!
//! The page shows the state of the screen, and details that are requested when it opens, once per [`MAX_AGE`], and when
//! a deployment or a new commit has changed them.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::lane_state::MissingDetails;
use crate::app::msg::Effect;
use crate::app::panes::list::mark_row;
use crate::app::panes::{Cx, motion};
use crate::model::environment::{DeploymentState, EnvironmentDeployment, Impairment, Protection};
use crate::model::feed::Request;
use crate::model::lane::Lane;
use crate::model::lane_details::LaneDetails;
use crate::model::{Conclusion, Phase, RunId, Timestamp};
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::lanes::{failed, health, on_its_way, phase};

/// Maximum age of the details.
const MAX_AGE: Duration = Duration::from_mins(1);

/// Maximum number of commits of the next deployment that are listed; further ones are only counted.
const MAX_NEXT: usize = 8;

/// Maximum number of commits of each earlier deployment that are listed.
const MAX_COMMITS: usize = 3;

/// Columns before the text of a line: a margin, a glyph, and a gap.
const BEFORE: u16 = 3;

/// The page of an environment.
#[derive(Clone, Debug)]
pub(super) struct Page {
    environment: String,
    /// Index of the selected line.
    at: usize,
    /// What the selected line is about, so that it stays selected when lines are added above it; `None` after the user
    /// has moved.
    marked: Option<Mark>,
    /// First line on the screen.
    offset: usize,
    /// What the details were last requested for, and when; `None` before the first request.
    asked: Option<(Version, Timestamp)>,
}

/// What the details of an environment depend on.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Version {
    newest: Option<(Option<RunId>, DeploymentState)>,
    live: Option<String>,
    offered: String,
    is_locked: bool,
    /// Whether a deployment waits for the approval of a person.
    waits_for_review: bool,
}

impl Version {
    fn of(lane: &Lane) -> Self {
        let newest = lane.environment.deployments.first();
        Self {
            newest: newest.map(|newest| (newest.local.clone(), newest.state.clone())),
            live: lane.environment.live().map(|live| live.release.sha.clone()),
            offered: lane.offered.sha.clone(),
            is_locked: lane.lock.is_some(),
            waits_for_review: lane.open.as_ref().is_some_and(|open| open.waits_for_review),
        }
    }
}

impl Page {
    pub(super) fn new(environment: &str) -> Self {
        Self { environment: environment.to_owned(), at: 0, marked: None, offset: 0, asked: None }
    }

    pub(super) fn environment(&self) -> &str {
        &self.environment
    }

    /// Keeps the selected line on the screen. Returns the request for the details, if they are missing or may have
    /// changed.
    pub(super) fn sync(&mut self, lane: &Lane, cx: &Cx) -> Option<Effect> {
        let lines = lines(lane, cx);
        if let Some(at) = self.marked.as_ref().and_then(|mark| mark.find(&lines)) {
            if self.offset > 0 {
                self.offset = (self.offset + at).saturating_sub(self.at);
            }
            self.at = at;
        }
        self.at = self.at.min(lines.len().saturating_sub(1));
        self.offset = cx.scrolled(self.offset, self.at, lines.len());
        self.marked = Mark::of(&lines, self.at);
        let (version, now) = (Version::of(lane), cx.state.now);
        let is_current = self.asked.as_ref().is_some_and(|(asked, at)| *asked == version && now.since(*at) < MAX_AGE);
        if is_current {
            return None;
        }
        self.asked = Some((version, now));
        Some(Effect::Request(Request::DescribeLane { environment: self.environment.clone() }))
    }

    pub(super) fn act(&mut self, action: Action, lane: &Lane, cx: &Cx) {
        let len = lines(lane, cx).len();
        if let Some(to) = motion(action, self.at, len, cx.rows()) {
            (self.at, self.marked) = (to, None);
        }
    }

    /// Selects the line in this row of the screen.
    pub(super) fn click(&mut self, row: usize) {
        (self.at, self.marked) = (self.offset + row, None);
    }

    /// Returns the run of the deployment that the selected line is about; `None` for any other line.
    pub(super) fn run(&self, lane: &Lane, cx: &Cx) -> Option<RunId> {
        lines(lane, cx).into_iter().nth(self.at)?.run
    }

    pub(super) fn scroll(&self, lane: &Lane, cx: &Cx) -> Scroll {
        Scroll { first: self.offset, shown: cx.rows(), all: lines(lane, cx).len() }
    }

    pub(super) fn draw(&self, lane: &Lane, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let lines = lines(lane, cx);
        for ((at, line), y) in lines.iter().enumerate().skip(self.offset).zip(area.y..area.bottom()) {
            line.draw(cx, Rect { y, height: 1, ..area }, buffer);
            mark_row(cx.focused && at == self.at, cx, Rect { y, height: 1, ..area }, buffer);
        }
    }
}

/// Returns the times whose ages the page shows.
pub(super) fn times(lane: &Lane) -> Vec<Timestamp> {
    let deployments = lane.environment.deployments.iter().map(EnvironmentDeployment::at);
    let ends = lane.stops.into_iter().chain(lane.lock.as_ref().and_then(|lock| lock.until));
    deployments.chain(lane.reported.as_ref().map(|reported| reported.at)).chain(ends).collect()
}

/// What a line is about: the section and the deployment that it belongs to, its number among their lines, and its text.
#[derive(Clone, Debug)]
struct Mark {
    section: usize,
    run: Option<RunId>,
    number: usize,
    text: String,
}

impl Mark {
    fn of(lines: &[Line], at: usize) -> Option<Self> {
        let line = lines.get(at)?;
        let number = lines[..at].iter().filter(|one| one.section == line.section && one.run == line.run).count();
        Some(Self { section: line.section, run: line.run.clone(), number, text: line.text.clone() })
    }

    /// Returns the index of the line that is about the same: that with the same text or, as ages change, with the same
    /// number. `None` if the section has no line about the deployment.
    fn find(&self, lines: &[Line]) -> Option<usize> {
        let is_same = |line: &Line| line.section == self.section && line.run == self.run;
        let same: Vec<usize> = (0..lines.len()).filter(|at| is_same(&lines[*at])).collect();
        let with_text = same.iter().find(|at| lines[**at].text == self.text);
        with_text.or_else(|| same.get(self.number)).or(same.last()).copied()
    }
}

/// Returns the line about environments that are shown as they were before their settings could not be read.
pub(super) fn outdated(reason: &str) -> String {
    format!("as before an error in the settings: {reason}")
}

/// A line of the page.
struct Line {
    /// Number of the section, from 0.
    section: usize,
    /// State whose glyph is drawn before the text; `None` for text without a glyph.
    phase: Option<Phase>,
    text: String,
    hue: Hue,
    is_heading: bool,
    /// The run of the deployment that the line is about.
    run: Option<RunId>,
}

impl Line {
    fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        if let Some(phase) = &self.phase {
            text::put(buffer, area.x + 1, area.y, 2, cx.theme.lamp(phase, cx.state.now.0), cx.theme.phase(phase));
        }
        let before = if self.is_heading { 1 } else { BEFORE };
        let style: Style = if self.is_heading { cx.theme.heading() } else { cx.theme.style(self.hue) };
        let room = area.width.saturating_sub(before + 1);
        let shown = text::clip(&self.text, usize::from(room), cx.theme.ellipsis());
        text::put(buffer, area.x + before, area.y, room, &shown, style);
    }
}

/// Lines that are wrapped to a width.
struct Lines {
    columns: usize,
    /// Number of the section that lines are added to.
    section: usize,
    all: Vec<Line>,
}

impl Lines {
    /// Begins a section.
    fn heading(&mut self, heading: &str) {
        self.section += 1;
        let section = self.section;
        for text in ["", heading] {
            let text = text.to_owned();
            self.all.push(Line { section, phase: None, text, hue: Hue::Plain, is_heading: true, run: None });
        }
    }

    fn add(&mut self, text: impl Into<String>, hue: Hue) {
        self.row(None, text.into(), hue, None);
    }

    /// Adds a text, which is wrapped if it is too long. The rows after the first one are indented.
    fn row(&mut self, phase: Option<Phase>, text: String, hue: Hue, run: Option<&RunId>) {
        for (number, text) in text::wrap_indented(&text, self.columns, 2).into_iter().enumerate() {
            let phase = phase.clone().filter(|_| number == 0);
            let section = self.section;
            self.all.push(Line { section, phase, text, hue, is_heading: false, run: run.cloned() });
        }
    }
}

/// Returns the lines of the page.
fn lines(lane: &Lane, cx: &Cx) -> Vec<Line> {
    let columns = usize::from(cx.size.0.saturating_sub(BEFORE + 1)).max(1);
    let mut lines = Lines { columns, section: 0, all: Vec::new() };
    let details = cx.state.details(lane.name());
    if let Some(reason) = &cx.state.lanes_unreadable {
        lines.add(outdated(reason), Hue::Bad);
    }
    state(lane, cx.state.now, &mut lines);
    lines.heading("Next");
    match details {
        Ok(details) if details.is_current(lane) => next(lane, details, &mut lines),
        // If there are details, a deployment has ended since, and they are being read again.
        Ok(_) | Err(MissingDetails::Unread) => lines.add(MissingDetails::READING, Hue::Dim),
        Err(MissingDetails::Unreadable(reason)) => lines.add(reason, Hue::Bad),
    }
    let known = details.ok();
    lines.heading("Deployments, newest first");
    deployments(lane, known, cx.state.now, &mut lines);
    lines.heading("Rules");
    let rules = lane.environment.protection.as_ref().map(Protection::sentences).unwrap_or_default();
    if rules.is_empty() {
        lines.add("none: any release may be deployed at any time", Hue::Dim);
    }
    for rule in rules {
        lines.add(rule, Hue::Plain);
    }
    if let Some(details) = known {
        lines.heading("Secrets and variables");
        needed(details, &mut lines);
    }
    lines.all
}

/// Adds the state of the environment: the deployment on its way, the live release, a later one that failed, the health,
/// and what holds back deployments.
fn state(lane: &Lane, now: Timestamp, lines: &mut Lines) {
    let environment = &lane.environment;
    let is_open = lane.on_its_way().is_some();
    if let Some(open) = lane.on_its_way() {
        let part = on_its_way(open);
        lines.row(phase(lane), format!("on its way: {}", part.full), part.hue, Some(&open.run));
    }
    // The sign of a line belongs to the text of the line: a release that did not go live has its own line.
    let is_bad = environment.unknown.is_some() || lane.requests().is_some_and(|requests| requests.is_failing());
    let health_of_live = lane.impairment().map_or(Conclusion::Success, Impairment::conclusion);
    let end = if is_bad { Conclusion::Failure } else { health_of_live };
    let has_state = environment.live().is_some() || environment.unknown.is_some();
    let own = (!is_open && has_state).then_some(Phase::Done(end));
    match (environment.live(), &environment.unknown) {
        (Some(live), _) => {
            let when = text::past(now.since(live.at()));
            let instead = lane.serves.as_ref().map(|serves| format!("{} serves; ", serves.title())).unwrap_or_default();
            let (word, title) = (lane.live_word(), live.release.title());
            let title = format!("{instead}{word}: {title}, {when}, {}", live.by_and_why());
            lines.row(own, title, Hue::Plain, live.local.as_ref());
        }
        (None, Some(unknown)) => lines.row(own, unknown.clone(), Hue::Bad, None),
        (None, None) if lane.knows_live() => lines.row(own, "no release is live".to_owned(), Hue::Dim, None),
        (None, None) => lines.row(own, "what is live is unknown".to_owned(), Hue::Dim, None),
    }
    if let Some(failed) = failed(lane).filter(|_| !is_open && environment.unknown.is_none()) {
        let when = text::past(now.since(failed.at()));
        let line = format!("{} did not go live, {when}", failed.release.name());
        lines.row(Some(Phase::Done(Conclusion::Failure)), line, Hue::Bad, failed.local.as_ref());
    }
    if let Some(kept) = lane.open.as_ref().and_then(|open| open.kept_text(now, lane.name())) {
        lines.add(kept, Hue::Plain);
    }
    if let Some(failed) = lane.requests().and_then(|requests| requests.failed()) {
        lines.add(format!("requests: {failed}"), Hue::Bad);
    }
    if let Some(health) = health(lane, now) {
        lines.add(health.full, health.hue);
    }
    let note = lane.current_report().and_then(|reported| reported.observed.note.clone());
    if let Some(note) = note {
        lines.add(note, Hue::Busy);
    }
    if let Some(drift) = &environment.drift {
        lines.add(drift.text(), Hue::Plain);
    }
    if let Some(lock) = &lane.lock {
        lines.add(lock.text(now), Hue::Review);
    }
    if let Some(window) = &lane.frozen {
        lines.add(format!("frozen {window}, local time"), Hue::Review);
    }
    if let Some(stops) = lane.stops {
        let left = stops.since(now);
        let left = if left.is_zero() { "now".to_owned() } else { format!("in {}", text::ago(left)) };
        lines.add(format!("stops {left}"), Hue::Plain);
    }
}

/// Adds what would be deployed next, and what would hold it back.
fn next(lane: &Lane, details: &LaneDetails, lines: &mut Lines) {
    let Some(next) = &details.next else {
        return lines.add("the repository has no commits", Hue::Dim);
    };
    lines.add(next.text(), Hue::Plain);
    next.changes.lines(MAX_NEXT).into_iter().for_each(|commit| lines.add(commit, Hue::Dim));
    if lane.has_replaced(&next.release) {
        lines.add("it was live here and was replaced, so no release is selected for you", Hue::Review);
    }
    if !next.is_live {
        next.closed.iter().for_each(|closed| lines.add(closed.clone(), Hue::Review));
    }
}

/// Adds the deployments, with the commits of the newest ones.
fn deployments(lane: &Lane, known: Option<&LaneDetails>, now: Timestamp, lines: &mut Lines) {
    let all = &lane.environment.deployments;
    if all.is_empty() {
        return lines.add("none yet", Hue::Dim);
    }
    let widest = all.iter().map(|one| text::width(&one.release.title())).max().unwrap_or_default();
    for one in all {
        let (title, state, when) = (one.release.title(), one.state_words(), text::past(now.since(one.at())));
        let took = one.took().map(|took| format!(" after {}", text::duration(took))).unwrap_or_default();
        let row = format!("{title:<widest$}  {state}{took}, {when}, {}", one.by_and_why());
        lines.row(Some(one.state.phase(lane.name())), row, Hue::Plain, one.local.as_ref());
        let run = one.local.as_ref();
        let commits = known.zip(run).and_then(|(known, run)| known.commits_of(run, &one.release.sha));
        for line in commits.into_iter().flat_map(|commits| commits.lines(MAX_COMMITS)) {
            lines.row(None, format!("  {line}"), Hue::Dim, run);
        }
    }
}

/// Adds the variables that the commands of the environment need. Their values are never shown.
fn needed(details: &LaneDetails, lines: &mut Lines) {
    if details.needed.is_empty() {
        return lines.add("the settings name none", Hue::Dim);
    }
    let widest = details.needed.iter().map(|one| text::width(&one.name)).max().unwrap_or_default();
    for one in &details.needed {
        let (hue, state) = if one.is_set { (Hue::Good, "set") } else { (Hue::Bad, "missing") };
        lines.add(format!("{:<widest$}  {:<8}  {state}", one.name, one.kind()), hue);
    }
}
