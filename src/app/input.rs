//! Keys and the mouse.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use crate::ui::frame;

use super::action::{Action, Context};
use super::keymap::Key;
use super::msg::Effect;
use super::overlay::{Outcome, Overlay};
use super::{App, cx};

/// Modifiers that make a key more than the character it shows.
pub(super) const MODIFIERS: KeyModifiers = KeyModifiers::CONTROL.union(KeyModifiers::ALT);

impl App {
    pub(super) fn key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let key = Key::from(event);
        let screen = self.area;
        if matches!(self.overlay, Some(Overlay::Prompt(_))) {
            self.prompt_key(event);
            return Vec::new();
        }
        let Some(overlay) = &mut self.overlay else {
            let action = self.keymap.action(Context::Panel(self.view.focus), key);
            return action.map(|action| self.act(action)).unwrap_or_default();
        };
        let height = usize::from(overlay.area(screen).height.saturating_sub(2));
        let quits = self.keymap.action(Context::Everywhere, key) == Some(Action::Quit);
        let typed = match event.code {
            KeyCode::Char(c) if !event.modifiers.intersects(MODIFIERS) => Some(c),
            _ => None,
        };
        let action = self.keymap.action(Context::Overlay, key);
        let outcome = match (typed, action) {
            (Some(c), _) if overlay.wants(c) => overlay.character(c),
            (_, Some(action)) => overlay.act(action, height),
            (None, None) if quits => interrupt(overlay),
            (Some(c), None) => match overlay.character(c) {
                Outcome::Stays if quits => interrupt(overlay),
                outcome => outcome,
            },
            (None, None) => {
                if event.code == KeyCode::Backspace {
                    overlay.backspace();
                }
                Outcome::Stays
            }
        };
        match outcome {
            Outcome::Stays => Vec::new(),
            Outcome::Closes(effects) => {
                self.overlay = None;
                effects
            }
            Outcome::Picked(pick) => {
                self.overlay = None;
                self.pick(pick)
            }
        }
    }

    /// Types pasted text, without control characters, where text is typed.
    pub(super) fn paste(&mut self, text: &str) {
        if let Some(overlay) = self.overlay.as_mut().filter(|overlay| overlay.takes_text()) {
            // A character only ever filters here; none can close the overlay.
            let mut typed = text.chars().filter(|c| !c.is_control());
            let stays = typed.all(|c| matches!(overlay.character(c), Outcome::Stays));
            debug_assert!(stays, "an overlay that takes text stays while it is typed");
        }
        self.typed();
    }

    pub(super) fn mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        let Some(screen) = self.screen().filter(|_| self.overlay.is_none()) else { return Vec::new() };
        let at = Position::new(event.column, event.row);
        let Some((panel, area)) = screen.at(at) else { return Vec::new() };
        let cx = cx(&self.state, self.theme, self.view, Some(&screen), panel);
        let pane = self.panes.get_mut(panel);
        match event.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                let inside = frame::inside(area);
                if inside.contains(at) {
                    let (column, row) = (usize::from(at.x - inside.x), usize::from(at.y - inside.y));
                    pane.click(column, row, &cx, &mut self.selection);
                }
                self.focus(panel);
            }
            // The wheel moves the pane below it, without moving the focus there.
            MouseEventKind::ScrollDown => pane.wheel(true, &cx, &mut self.selection),
            MouseEventKind::ScrollUp => pane.wheel(false, &cx, &mut self.selection),
            _ => {}
        }
        Vec::new()
    }
}

/// Closes an overlay on the key that quits. In the question whether to leave, the key leaves.
fn interrupt(overlay: &Overlay) -> Outcome {
    let leaves = match overlay {
        Overlay::Question(question) => question.choices.iter().find(|choice| choice.effects == [Effect::Quit]),
        _ => None,
    };
    Outcome::Closes(leaves.map(|choice| choice.effects.clone()).unwrap_or_default())
}
