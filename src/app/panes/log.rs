//! 4 Log: what a step wrote. The pane holds one window of lines, however long the log is.
//!
//! The reading position never moves by itself: the log is followed until the reader scrolls up, and then the border
//! tells how many lines came since. While lines are on their way the window before them stays on the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::{LogKey, Page, PageRequest};
use crate::ui::log::{Line, Mark};
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::{Cx, empty, motion};

/// Columns that one press of a key moves sideways.
const SIDEWAYS: usize = 16;

/// The view of one log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    key: Option<LogKey>,
    /// How many lines the log has.
    lines: u64,
    window: Option<Window>,
    /// What was asked for and has not come, and how long the log was known to be then.
    asked: Option<(PageRequest, u64)>,
    /// The first line shown, unless the end is followed.
    top: u64,
    /// Whether the reader let go of the end.
    held: bool,
    /// How many lines there were when the reader let go.
    seen: u64,
    /// The first column shown.
    left: usize,
    wrap: bool,
    /// Lines that fit into the pane.
    height: u64,
}

/// Lines that were loaded.
#[derive(Clone, Debug)]
struct Window {
    request: PageRequest,
    /// How long the log was known to be when they were asked for.
    of: u64,
    lines: Result<Vec<Line>, String>,
}

impl Window {
    fn end(&self) -> u64 {
        self.request.first + self.lines.as_ref().map_or(0, Vec::len) as u64
    }

    /// Whether these lines are there, or were asked for when the log was as long as now.
    fn covers(&self, first: u64, end: u64, lines: u64) -> bool {
        let asked = self.request.first + self.request.count as u64;
        self.request.first <= first && (self.end() >= end || (self.of == lines && asked >= end))
    }
}

impl Log {
    /// Whether the end is followed.
    #[must_use]
    pub fn follows(&self) -> bool {
        !self.held
    }

    /// Which log is shown.
    #[must_use]
    pub fn key(&self) -> Option<&LogKey> {
        self.key.as_ref()
    }

    /// Scrolls, follows, wraps.
    pub(in crate::app) fn act(&mut self, action: Action) {
        match action {
            Action::Left => self.left = self.left.saturating_sub(SIDEWAYS),
            Action::Right if !self.wrap => self.left = (self.left + SIDEWAYS).min(self.widest()),
            Action::Wrap => {
                self.wrap = !self.wrap;
                self.left = 0;
            }
            Action::Follow | Action::Bottom => self.held = false,
            _ => {
                let last = self.lines.saturating_sub(self.height);
                let Some(to) = motion(action, self.top as usize, last as usize + 1, self.height as usize) else {
                    return;
                };
                self.scroll_to(to as u64);
            }
        }
    }

    /// Scrolls by rows, as the wheel does.
    pub(in crate::app) fn wheel(&mut self, rows: i64) {
        self.scroll_to(self.top.saturating_add_signed(rows).min(self.lines.saturating_sub(self.height)));
    }

    fn scroll_to(&mut self, top: u64) {
        if !self.held && top < self.top {
            self.held = true;
            self.seen = self.lines;
        }
        self.top = top;
        // Whoever scrolls down to the end wants to stay there.
        self.held &= top < self.lines.saturating_sub(self.height);
    }

    /// Brings the view in line with what is selected, and says which lines are missing.
    pub(in crate::app) fn settle(&mut self, key: Option<LogKey>, lines: u64, height: u16) -> Option<PageRequest> {
        if key != self.key {
            *self = Self { key, wrap: self.wrap, ..Self::default() };
        }
        self.lines = lines;
        self.height = u64::from(height.max(1));
        let last = lines.saturating_sub(self.height);
        if !self.held || self.top > last {
            self.top = last;
        }
        let end = (self.top + self.height).min(lines);
        let covered = self.window.as_ref().is_some_and(|window| window.covers(self.top, end, lines));
        if covered || lines == 0 || self.asked.is_some() {
            return None;
        }
        let request = PageRequest {
            key: self.key.clone()?,
            first: self.top.saturating_sub(self.height),
            count: 3 * self.height as usize,
        };
        self.asked = Some((request.clone(), lines));
        Some(request)
    }

    /// Takes in lines, if they are those that were asked for.
    pub(in crate::app) fn take(&mut self, page: Page, theme: Theme) {
        let Some((_, of)) = self.asked.take_if(|(asked, _)| *asked == page.request) else { return };
        let lines = page.lines.map(|lines| lines.iter().map(|line| Line::parse(line, theme)).collect());
        self.window = Some(Window { request: page.request, of, lines });
    }

    /// How much there is and what of it is shown.
    pub(in crate::app) fn remark(&self, active: bool, theme: Theme) -> String {
        let mut parts = Vec::new();
        if self.held {
            let new = self.lines.saturating_sub(self.seen);
            if new > 0 {
                parts.push(format!("{} new {}", text::count(new), if new == 1 { "line" } else { "lines" }));
            }
            parts.push(format!("line {}", text::count(self.top + 1)));
        } else if active {
            parts.push("FOLLOW".to_owned());
        }
        if self.wrap {
            parts.push("wrap".to_owned());
        }
        if self.left > 0 {
            parts.push(format!("column {}", self.left + 1));
        }
        if self.key.is_some() {
            parts.push(text::counted(self.lines, "line"));
        }
        parts.join(theme.dot())
    }

    /// Draws the lines; `nothing` is said in their place when there are none.
    pub(in crate::app) fn draw(&self, cx: &Cx, nothing: &[String], area: Rect, buffer: &mut Buffer) {
        let window = match &self.window {
            Some(window) if self.lines > 0 => window,
            _ => return absence(nothing, cx, area, buffer),
        };
        let lines = match &window.lines {
            // The file may be ahead of the records; what they have not told is not shown yet.
            Ok(lines) => &lines[..lines.len().min(self.lines.saturating_sub(window.request.first) as usize)],
            Err(error) => return empty(error, cx, area, buffer),
        };
        if lines.is_empty() {
            return absence(nothing, cx, area, buffer);
        }
        let digits = self.lines.to_string().len().max(4) as u16;
        let gutter = if area.width > 30 { digits + 3 } else { 1 };
        let text = Rect { x: area.x + gutter, width: area.width.saturating_sub(gutter + 1), ..area };
        let first = window.request.first;
        let mut number = self.first_drawn(lines, first, text);
        let mut y = area.y;
        while y < area.bottom() {
            let Some(line) = lines.get((number - first) as usize) else { break };
            if gutter > 1 {
                let shown = format!("{:>width$}", number + 1, width = usize::from(digits));
                text::put(buffer, area.x + 1, y, digits, &shown, cx.theme.style(Hue::Dim));
            }
            let rows = if self.wrap { line.rows(text.width) } else { 1 };
            for row in 0..rows {
                if y < area.bottom() {
                    let left = self.left + row * usize::from(text.width);
                    line.draw(Rect { y, height: 1, ..text }, left, buffer);
                    if !self.wrap && line.mark != Mark::EndGroup && line.width() > left + usize::from(text.width) {
                        text::put(buffer, text.right(), y, 1, cx.theme.ellipsis(), cx.theme.style(Hue::Dim));
                    }
                    y += 1;
                }
            }
            number += 1;
        }
    }

    /// The number of the first line to draw: what was scrolled to, or what ends at the last row.
    fn first_drawn(&self, lines: &[Line], first: u64, area: Rect) -> u64 {
        let height = usize::from(area.height);
        let fitting = if self.wrap {
            let mut rows = 0;
            let fits = |line: &&Line| {
                rows += line.rows(area.width);
                rows <= height
            };
            lines.iter().rev().take_while(fits).count().max(1)
        } else {
            height
        };
        let last = first + lines.len().saturating_sub(fitting) as u64;
        if self.held { self.top.clamp(first, last) } else { last }
    }

    /// The widest line that is loaded.
    fn widest(&self) -> usize {
        let lines = self.window.as_ref().and_then(|window| window.lines.as_ref().ok());
        lines.map_or(0, |lines| lines.iter().map(Line::width).max().unwrap_or_default().saturating_sub(1))
    }
}

/// Says why there is no log: in the middle, or with what there is to say about it from the top.
fn absence(told: &[String], cx: &Cx, area: Rect, buffer: &mut Buffer) {
    let [why, tree @ ..] = told else { return };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, RunId, StepNumber};

    fn key(step: u32) -> LogKey {
        LogKey { run: RunId::new("r"), job: JobId::new("j"), attempt: 1, step: StepNumber(step) }
    }

    /// Answers a request as the store does.
    fn answer(log: &mut Log, request: PageRequest, lines: u64) {
        let end = (request.first + request.count as u64).min(lines);
        let text = (request.first..end).map(|line| format!("line {}", line + 1).into_bytes()).collect();
        log.take(Page { request, lines: Ok(text) }, Theme::default());
    }

    #[test]
    fn following_asks_for_what_is_new_and_only_once() {
        let mut log = Log::default();
        assert_eq!(log.settle(Some(key(1)), 0, 10), None);
        let request = log.settle(Some(key(1)), 100, 10).expect("lines are missing");
        assert_eq!((request.first, request.count), (80, 30));
        assert_eq!(log.settle(Some(key(1)), 120, 10), None, "one request at a time");
        answer(&mut log, request, 100);
        let request = log.settle(Some(key(1)), 120, 10).expect("more lines came meanwhile");
        assert_eq!(request.first, 100);
        answer(&mut log, request, 120);
        assert_eq!(log.settle(Some(key(1)), 120, 10), None);
    }

    #[test]
    fn scrolling_up_lets_go_and_scrolling_down_takes_hold() {
        let mut log = Log::default();
        let request = log.settle(Some(key(1)), 100, 10).expect("lines are missing");
        answer(&mut log, request, 100);
        log.act(Action::Up);
        assert!(!log.follows());
        log.settle(Some(key(1)), 150, 10);
        assert_eq!(log.top, 89, "the reading position stays");
        assert_eq!(log.remark(true, Theme::default()), "50 new lines · line 90 · 150 lines");
        log.act(Action::Bottom);
        log.settle(Some(key(1)), 150, 10);
        assert_eq!((log.top, log.follows()), (140, true));
        log.act(Action::Top);
        log.act(Action::PageDown);
        assert_eq!((log.top, log.follows()), (9, false));
    }

    #[test]
    fn another_log_begins_anew_and_late_lines_are_dropped() {
        let mut log = Log::default();
        let late = log.settle(Some(key(1)), 100, 10).expect("lines are missing");
        let request = log.settle(Some(key(2)), 5, 10).expect("of the other log");
        answer(&mut log, late, 100);
        assert!(log.window.is_none());
        answer(&mut log, request, 5);
        assert_eq!(log.window.as_ref().map(Window::end), Some(5));
    }

    #[test]
    fn a_log_shorter_than_promised_is_not_asked_for_again() {
        let mut log = Log::default();
        let request = log.settle(Some(key(1)), 100, 10).expect("lines are missing");
        answer(&mut log, request, 90);
        assert_eq!(log.settle(Some(key(1)), 100, 10), None);
        assert!(log.settle(Some(key(1)), 101, 10).is_some());
    }
}
