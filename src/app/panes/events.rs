//! 7 Events: what happened while the screen was open, and in the runs it followed; the latest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::state::{AppState, Happened};
use crate::model::RunId;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::{Cx, chip, empty, motion};

/// The list of events.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// Words that an event must have to be listed.
    pub filter: String,
    offset: usize,
}

impl Events {
    /// Scrolls.
    pub(in crate::app) fn act(&mut self, action: Action, facts: &AppState, run: Option<&RunId>, height: usize) {
        let len = self.told(facts, run).count();
        if let Some(to) = motion(action, self.offset, len, height) {
            self.offset = to;
        }
    }

    pub(in crate::app) fn settle(&mut self, facts: &AppState, run: Option<&RunId>, height: usize) {
        self.offset = self.offset.min(self.told(facts, run).count().saturating_sub(height));
    }

    pub(in crate::app) fn draw(&self, cx: &Cx, run: Option<&RunId>, area: Rect, buffer: &mut Buffer) {
        let mut rows = self.told(cx.facts, run).skip(self.offset).peekable();
        if rows.peek().is_none() {
            let why = if self.filter.is_empty() { "nothing happened yet" } else { "nothing has all of these words" };
            empty(why, cx, area, buffer);
        }
        for (y, happened) in (area.y..area.bottom()).zip(rows) {
            let dim = cx.theme.style(Hue::Dim);
            let ago = format!("{:>4}", text::ago(cx.facts.now.since(happened.at)));
            let x = text::put(buffer, area.x + 1, y, area.width.saturating_sub(1), &ago, dim) + 1;
            let room = |x: u16| area.right().saturating_sub(x + 1);
            let x = match &happened.phase {
                Some(phase) => text::put(buffer, x, y, room(x), cx.theme.look(phase).glyph, cx.theme.phase(phase)) + 1,
                None => x,
            };
            let style = cx.theme.style(if happened.notice.bad { Hue::Bad } else { Hue::Plain });
            let shown = text::clip(&happened.notice.text, usize::from(room(x)), cx.theme.ellipsis());
            text::put(buffer, x, y, room(x), &shown, style);
        }
    }

    /// What shows that the list is filtered.
    pub(in crate::app) fn remark(&self) -> String {
        chip(&self.filter).unwrap_or_default()
    }

    /// What happened in this run and outside of any, the latest first.
    fn told<'f>(&'f self, facts: &'f AppState, run: Option<&'f RunId>) -> impl Iterator<Item = &'f Happened> {
        let here = move |happened: &&Happened| {
            (happened.run.is_none() || happened.run.as_ref() == run)
                && text::holds(&self.filter, &[&happened.notice.text])
        };
        facts.happened.iter().rev().filter(here)
    }
}
