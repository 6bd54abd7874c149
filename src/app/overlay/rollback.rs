//! The preview of a rollback, which the user confirms by typing `yes` or, if the environment is guarded, its name.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::panes::Cx;
use crate::app::text_input::TextInput;
use crate::model::feed::Request;
use crate::model::rollback::Rollback;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::{Outcome, input_row};

/// Text that confirms a rollback of an environment that is not guarded.
const YES: &str = "yes";

/// Maximum number of commits to list. The others are only counted.
const MAX_COMMITS: usize = 12;

/// The rollback and the typed confirmation.
#[derive(Clone, Debug)]
pub(in crate::app) struct RollbackBox {
    repository: String,
    rollback: Box<Rollback>,
    typed: TextInput,
    /// Whether the last confirmation did not match.
    is_wrong: bool,
}

impl RollbackBox {
    pub(in crate::app) fn new(repository: String, rollback: Box<Rollback>) -> Self {
        Self { repository, rollback, typed: TextInput::default(), is_wrong: false }
    }

    fn expected(&self) -> &str {
        if self.rollback.is_guarded { &self.rollback.environment } else { YES }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let edits = self.typed.key(key);
        self.is_wrong &= !edits;
        edits
    }

    pub(super) fn paste(&mut self, pasted: &str) {
        self.typed.insert(pasted);
    }

    pub(super) fn act(&mut self, action: Action) -> Outcome {
        if action != Action::Open {
            return Outcome::Stays;
        }
        if self.typed.text().trim() != self.expected() {
            self.is_wrong = true;
            return Outcome::Stays;
        }
        let request = Request::RollBack { repository: self.repository.clone(), rollback: self.rollback.clone() };
        Outcome::Closes(vec![Effect::Request(request)])
    }

    /// Returns the lines above the text input.
    fn lines(&self) -> Vec<String> {
        let rollback = &self.rollback;
        let first = [rollback.title(), String::new(), format!("{}:", rollback.summary())];
        let method = [String::new(), format!("This {}.", rollback.method.text())];
        let why = rollback.why().map(|why| format!("  {why}"));
        let last = method.into_iter().chain(why).chain([String::new()]);
        first.into_iter().chain(rollback.changes.lines(MAX_COMMITS)).chain(last).collect()
    }

    /// Returns the number of rows without the border.
    pub(super) fn height(&self) -> u16 {
        self.lines().len() as u16 + 2
    }

    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let room = usize::from(area.height.saturating_sub(2));
        let mut y = area.y;
        for line in self.lines().iter().take(room) {
            let shown = text::clip(line, usize::from(area.width.saturating_sub(2)), cx.theme.ellipsis());
            let style = if y == area.y { cx.theme.heading() } else { Style::new() };
            text::put(buffer, area.x + 1, y, area.width.saturating_sub(2), &shown, style);
            y += 1;
        }
        let (hue, verb) = if self.is_wrong { (Hue::Bad, "Does not match:") } else { (Hue::Dim, "To confirm,") };
        let prompt = format!("{verb} type `{}` and press Enter; Esc: cancel", self.expected());
        text::put(buffer, area.x + 1, y, area.width.saturating_sub(2), &prompt, cx.theme.style(hue));
        input_row(
            &self.typed,
            true,
            cx,
            Rect { y: y + 1, height: area.bottom().saturating_sub(y + 1), ..area },
            buffer,
        );
    }
}
