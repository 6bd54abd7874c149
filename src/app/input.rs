//! Handles keys, pasted text and the mouse.

use crossterm::event::{KeyCode, KeyEvent, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use crate::model::feed::Notice;
use crate::ui::frame;

use super::action::{Action, Context};
use super::keymap::{Key, Lookup};
use super::msg::Effect;
use super::overlay::{Outcome, Overlay};
use super::{App, cx};

impl App {
    /// Handles a key: text for an open overlay, a part of a sequence, or the keys of an action.
    pub(super) fn key(&mut self, event: KeyEvent) -> Vec<Effect> {
        if self.screen().is_none() {
            return self.key_unseen(event);
        }
        if self.pressed.is_empty()
            && let Some(outcome) = self.overlay_key(event)
        {
            return outcome;
        }
        self.pressed.push(Key::from(event));
        let context = self.context();
        match self.keymap.lookup(context, &self.pressed) {
            Lookup::Prefix(_) => Vec::new(),
            Lookup::Action(action) => {
                self.pressed.clear();
                if self.overlay.is_some() { self.act_in_overlay(action) } else { self.act(action) }
            }
            Lookup::Unbound => {
                let is_sequence = self.pressed.len() > 1;
                let pressed = std::mem::take(&mut self.pressed);
                if is_sequence {
                    self.cancel_sequence(&pressed);
                    return Vec::new();
                }
                if self.overlay.is_none() {
                    return Vec::new();
                }
                match self.keymap.action(Context::Everywhere, Key::from(event)) {
                    Some(Action::Quit) => self.quit_overlay(),
                    Some(Action::Suspend) => self.act(Action::Suspend),
                    _ => {
                        if let Some(Overlay::Trust(trust)) = &mut self.overlay {
                            trust.mistyped(event);
                        }
                        Vec::new()
                    }
                }
            }
        }
    }

    /// Handles a key while the terminal is too small to show anything. Only leaving, suspending and redrawing work:
    /// everything else would act on what is not visible. Runs go on, because the question about them cannot be shown.
    fn key_unseen(&mut self, event: KeyEvent) -> Vec<Effect> {
        self.pressed.push(Key::from(event));
        let works = |action: Action| matches!(action, Action::Quit | Action::Suspend | Action::Redraw);
        let found = self.keymap.lookup(Context::Everywhere, &self.pressed);
        if matches!(&found, Lookup::Prefix(rest) if rest.iter().any(|one| works(one.action))) {
            return Vec::new();
        }
        self.pressed.clear();
        match found {
            Lookup::Action(Action::Quit) => vec![Effect::Quit],
            Lookup::Action(action) if works(action) => self.act(action),
            Lookup::Action(_) | Lookup::Prefix(_) | Lookup::Unbound => Vec::new(),
        }
    }

    /// Returns the context in which keys are looked up.
    pub(super) fn context(&self) -> Context {
        if self.overlay.is_some() { Context::Overlay } else { Context::Panel(self.view.focus) }
    }

    /// Cancels a sequence that is not bound. Shows a notice, unless the last key means to go back or to quit.
    fn cancel_sequence(&mut self, pressed: &[Key]) {
        let last = pressed.last().and_then(|key| self.keymap.action(Context::Panel(self.view.focus), *key));
        if !matches!(last, Some(Action::Back | Action::Quit)) {
            let keys: Vec<String> = pressed.iter().map(ToString::to_string).collect();
            self.toast = Some(Notice::news(format!("`{}` is not bound", keys.join(" "))));
        }
    }

    /// Passes a key to the open overlay. `None` if there is no overlay, or if the overlay leaves the key to the key
    /// bindings.
    fn overlay_key(&mut self, event: KeyEvent) -> Option<Vec<Effect>> {
        let overlay = self.overlay.as_mut()?;
        if let Overlay::Prompt(prompt) = overlay
            && prompt.text.text().is_empty()
            && event.code == KeyCode::Backspace
        {
            self.undo_prompt();
            return Some(Vec::new());
        }
        // The key that opens a file is bound in panels only.
        if matches!(overlay, Overlay::Faults(_))
            && self.keymap.action(Context::Panel(self.view.focus), Key::from(event)) == Some(Action::Edit)
        {
            return Some(self.act_in_overlay(Action::Edit));
        }
        let outcome = overlay.key(event)?;
        self.typed();
        Some(self.finish(outcome))
    }

    fn act_in_overlay(&mut self, action: Action) -> Vec<Effect> {
        let screen = self.area;
        match (&mut self.overlay, action) {
            (Some(Overlay::Prompt(_)), Action::Open) => self.confirm_prompt(),
            (Some(Overlay::Prompt(_)), Action::Back) => self.undo_prompt(),
            (Some(Overlay::Faults(faults)), Action::Edit) => {
                let (file, line) = faults.place();
                return vec![Effect::Edit { run: None, file, line }];
            }
            (Some(overlay), _) => {
                let height = usize::from(overlay.area(screen).height.saturating_sub(2));
                let outcome = overlay.act(action, height);
                return self.finish(outcome);
            }
            (None, _) => {}
        }
        Vec::new()
    }

    /// Handles the key that quits: closes the overlay. In the dialog about quitting, it quits.
    fn quit_overlay(&mut self) -> Vec<Effect> {
        let effects = match &self.overlay {
            Some(Overlay::Prompt(_)) => {
                self.undo_prompt();
                return Vec::new();
            }
            Some(Overlay::Question(question)) => question.quits().unwrap_or_default(),
            _ => Vec::new(),
        };
        self.overlay = None;
        effects
    }

    fn finish(&mut self, outcome: Outcome) -> Vec<Effect> {
        match outcome {
            Outcome::Stays => Vec::new(),
            Outcome::Closes(effects) => {
                if matches!(self.overlay.take(), Some(Overlay::Trust(_))) && effects.is_empty() {
                    self.toast = Some(Notice::news("nothing was started: the repository is not trusted"));
                }
                effects
            }
            Outcome::Picked(pick) => {
                // A release that was typed may not exist: its list then opens again.
                self.picked_from = match self.overlay.take() {
                    Some(Overlay::Picker(list)) if list.deploys() => Some(list),
                    _ => None,
                };
                self.pick(pick)
            }
        }
    }

    /// Inserts pasted text into the active text input.
    pub(super) fn paste(&mut self, text: &str) {
        if self.screen().is_none() {
            return;
        }
        if let Some(overlay) = &mut self.overlay {
            overlay.paste(text);
            self.typed();
        }
    }

    pub(super) fn mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        let at = Position::new(event.column, event.row);
        if event.kind == MouseEventKind::Down(MouseButton::Left)
            && !self.pressed.is_empty()
            && self.screen().is_some_and(|screen| screen.footer.contains(at))
        {
            // The only hint cancels the sequence.
            self.pressed.clear();
            return Vec::new();
        }
        if event.kind == MouseEventKind::Down(MouseButton::Left)
            && let Some(action) = self.in_menu_at(at).or_else(|| self.hint_at(at))
        {
            self.pressed.clear();
            return if self.overlay.is_some() { self.act_in_overlay(action) } else { self.act(action) };
        }
        let Some(screen) = self.screen() else { return Vec::new() };
        if let Some(overlay) = &mut self.overlay {
            let area = overlay.area(self.area);
            let height = usize::from(area.height.saturating_sub(2));
            let outcome = match event.kind {
                MouseEventKind::Down(MouseButton::Left) if frame::inside(area).contains(at) => overlay.click(at.y),
                MouseEventKind::ScrollDown => overlay.wheel(true, height),
                MouseEventKind::ScrollUp => overlay.wheel(false, height),
                _ => return Vec::new(),
            };
            self.pressed.clear();
            return self.finish(outcome);
        }
        if event.kind == MouseEventKind::Down(MouseButton::Left)
            && let Some(hidden) = self.tab_at(&screen, at)
        {
            self.pressed.clear();
            self.focus(hidden);
            return Vec::new();
        }
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
                self.pressed.clear();
                self.focus(panel);
            }
            // The wheel scrolls the pane under the pointer, without focusing it.
            MouseEventKind::ScrollDown => pane.wheel(true, &cx, &mut self.selection),
            MouseEventKind::ScrollUp => pane.wheel(false, &cx, &mut self.selection),
            _ => {}
        }
        Vec::new()
    }
}
