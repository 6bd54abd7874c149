//! The errors of a workflow file, as `cuelight lint` prints them. The list is updated while the file is being edited.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::panes::{Cx, motion};
use crate::model::feed::BrokenWorkflow;
use crate::store::first_error::place_in;
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::Hue;

/// Text that is shown once the workflow has no errors.
const MENDED: &str = "no errors: the workflow can be started with S";

/// The errors of a workflow file and the visible part of them.
#[derive(Clone, Debug)]
pub(in crate::app) struct Faults {
    workflow: String,
    lines: Vec<String>,
    /// Index of the first visible line.
    offset: usize,
}

impl Faults {
    pub(in crate::app) fn new(workflow: &BrokenWorkflow) -> Self {
        let lines = workflow.text.lines().map(str::to_owned).collect();
        Self { workflow: workflow.workflow.clone(), lines, offset: 0 }
    }

    /// Replaces the shown errors with the current ones of the file.
    pub(in crate::app) fn refresh(&mut self, broken: &[BrokenWorkflow]) {
        let now = broken.iter().find(|one| one.workflow == self.workflow);
        self.lines = now.map_or_else(|| vec![MENDED.to_owned()], |one| one.text.lines().map(str::to_owned).collect());
        self.offset = self.offset.min(self.lines.len().saturating_sub(1));
    }

    /// Returns the workflow file, and the line of the first error that is visible or below.
    pub(in crate::app) fn place(&self) -> (String, Option<u32>) {
        let lines = self.lines.iter().skip(self.offset).chain(&self.lines);
        let line = lines.filter_map(|line| place_in(line)).find(|(file, _)| self.workflow.ends_with(file));
        (self.workflow.clone(), line.and_then(|(_, line)| line))
    }

    pub(super) fn act(&mut self, action: Action, height: usize) {
        let last = self.lines.len().saturating_sub(height);
        self.offset = motion(action, self.offset, last + 1, height).unwrap_or(self.offset);
    }

    /// Returns the size in columns and rows, without the border.
    pub(super) fn size(&self) -> (u16, u16) {
        let widest = self.lines.iter().map(|line| text::width(line)).max().unwrap_or_default();
        (widest.clamp(60, 110) as u16 + 2, u16::try_from(self.lines.len()).unwrap_or(u16::MAX))
    }

    pub(super) fn title(&self) -> String {
        self.workflow.clone()
    }

    /// Draws the errors. Returns their visible part.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let room = area.width.saturating_sub(2);
        for (line, y) in self.lines.iter().skip(self.offset).zip(area.y..area.bottom()) {
            let style = if line.starts_with("error") { cx.theme.style(Hue::Bad) } else { Style::new() };
            text::put(buffer, area.x + 1, y, room, &text::clip(line, usize::from(room), cx.theme.ellipsis()), style);
        }
        Scroll { first: self.offset, shown: area.height.into(), all: self.lines.len() }
    }
}
