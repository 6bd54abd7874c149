//! The preview of a rollback, which the user confirms by typing `yes` or, if the environment is guarded, its name.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::panes::Cx;
use crate::app::text_input::TextInput;
use crate::model::feed::Request;
use crate::model::rollback::Rollback;
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::body::Body;
use super::{Outcome, input_row};

/// Text that confirms a rollback of an environment that is not guarded.
const YES: &str = "yes";

/// Maximum number of commits to list. The others are only counted.
const MAX_COMMITS: usize = 12;

/// Number of rows below the preview: the prompt and the text input.
const BELOW: usize = 2;

/// The rollback and the typed confirmation.
#[derive(Clone, Debug)]
pub(in crate::app) struct RollbackBox {
    repository: String,
    rollback: Box<Rollback>,
    body: Body,
    typed: TextInput,
    /// Whether the last confirmation did not match.
    is_wrong: bool,
}

impl RollbackBox {
    pub(in crate::app) fn new(repository: String, rollback: Box<Rollback>) -> Self {
        let body = Body::new(lines(&rollback));
        Self { repository, rollback, body, typed: TextInput::default(), is_wrong: false }
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

    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        if action != Action::Open {
            self.body.act(action, height.saturating_sub(BELOW));
            return Outcome::Stays;
        }
        if self.typed.text().trim() != self.expected() {
            self.is_wrong = true;
            return Outcome::Stays;
        }
        let request = Request::RollBack { repository: self.repository.clone(), rollback: self.rollback.clone() };
        Outcome::Closes(vec![Effect::Request(request)])
    }

    /// Returns the number of rows without the border, inside a border of this width.
    pub(super) fn height(&self, columns: u16) -> u16 {
        text::limited(self.body.height(columns) + BELOW)
    }

    /// Draws the box. Returns the visible part of the preview.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let above = area.height.saturating_sub(BELOW as u16);
        let (scroll, y) = self.body.draw(cx, Rect { height: above, ..area }, buffer);
        let (hue, verb) = if self.is_wrong { (Hue::Bad, "Does not match:") } else { (Hue::Dim, "To confirm,") };
        let room = area.width.saturating_sub(2);
        let name = self.expected();
        let forms = [
            format!("{verb} type `{name}` and press Enter; Esc: cancel"),
            format!("{verb} type `{name}` and press Enter"),
            format!("{verb} type `{name}`"),
        ];
        let [.., shortest] = &forms;
        let prompt = forms.iter().find(|form| text::columns(form) <= room).unwrap_or(shortest);
        let prompt = text::clip(prompt, usize::from(room), cx.theme.ellipsis());
        text::put(buffer, area.x + 1, y, room, &prompt, cx.theme.style(hue));
        let below = Rect { y: y + 1, height: area.bottom().saturating_sub(y + 1), ..area };
        input_row(&self.typed, true, cx, below, buffer);
        scroll
    }
}

/// Describes a rollback.
fn lines(rollback: &Rollback) -> Vec<(String, Hue)> {
    let first = [String::new(), format!("{}:", rollback.summary())];
    let method = [String::new(), format!("This {}.", rollback.method.text())];
    let why = rollback.why().map(|why| format!("  {why}"));
    let last = method.into_iter().chain(why).chain([String::new()]);
    let rest = first.into_iter().chain(rollback.changes.lines(MAX_COMMITS)).chain(last);
    [(rollback.title(), Hue::Accent)].into_iter().chain(rest.map(|line| (line, Hue::Plain))).collect()
}
