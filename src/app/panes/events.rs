//! Panel 7, Events: events of the selected run and events outside of any run, newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::selection::Selection;
use crate::app::state::{AppState, EventEntry};
use crate::model::Timestamp;
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::list::filter_chip;
use super::{Cx, Pane, empty, motion};

/// The list of events.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Events {
    filter: String,
    offset: usize,
}

impl Pane for Events {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        self.offset = self.offset.min(self.listed(cx.state, selection).count().saturating_sub(cx.rows()));
        Vec::new()
    }

    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection) {
        let len = self.listed(cx.state, selection).count();
        if let Some(to) = motion(action, self.offset, len, cx.rows()) {
            self.offset = to;
        }
    }

    fn filter(&mut self) -> Option<&mut String> {
        Some(&mut self.filter)
    }

    fn title_suffix(&self, _: &Cx, _: &Selection) -> String {
        filter_chip(&self.filter).unwrap_or_default()
    }

    fn scroll(&self, cx: &Cx, selection: &Selection) -> Option<Scroll> {
        let all = self.listed(cx.state, selection).count();
        Some(Scroll { first: self.offset, shown: cx.rows(), all })
    }

    fn times(&self, cx: &Cx, selection: &Selection) -> Vec<Timestamp> {
        self.listed(cx.state, selection).skip(self.offset).take(cx.rows()).map(|entry| entry.at).collect()
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        let mut rows = self.listed(cx.state, selection).skip(self.offset).peekable();
        if rows.peek().is_none() {
            let why = if self.filter.is_empty() { "no events yet" } else { "no event matches the filter" };
            empty(why, cx, area, buffer);
        }
        for (y, entry) in (area.y..area.bottom()).zip(rows) {
            let dim = cx.theme.style(Hue::Dim);
            let ago = format!("{:>4}", text::ago(cx.state.now.since(entry.at)));
            let x = text::put(buffer, area.x + 1, y, area.width.saturating_sub(1), &ago, dim) + 1;
            let room = |x: u16| area.right().saturating_sub(x + 1);
            let x = match &entry.phase {
                Some(phase) => text::put(buffer, x, y, room(x), cx.theme.look(phase).glyph, cx.theme.phase(phase)) + 1,
                None => x,
            };
            let style = cx.theme.style(if entry.notice.bad { Hue::Bad } else { Hue::Plain });
            let shown = text::clip(&entry.notice.text, usize::from(room(x)), cx.theme.ellipsis());
            text::put(buffer, x, y, room(x), &shown, style);
        }
    }
}

impl Events {
    /// Returns the events that match the filter and belong to the selected run or to no run, newest first.
    fn listed<'s>(&'s self, state: &'s AppState, selection: &'s Selection) -> impl Iterator<Item = &'s EventEntry> {
        let run = selection.run_id();
        let matches = move |entry: &&EventEntry| {
            (entry.run.is_none() || entry.run.as_ref() == run) && text::holds(&self.filter, &[&entry.notice.text])
        };
        state.events.iter().rev().filter(matches)
    }
}
