//! The text prompt at the bottom of the screen: searches the log, keeps matching lines, or filters a list.
//!
//! The text takes effect with every key. Enter keeps it; Esc undoes it.

use crate::model::feed::Notice;
use crate::store::logs::pattern::Pattern;
use crate::ui::layout::Panel;

use super::overlay::Overlay;
use super::overlay::prompt::{Kind, Prompt};
use super::{App, cx};

impl App {
    /// Opens the prompt that searches or filters the focused panel.
    pub(super) fn find(&mut self) {
        let kind = match self.view.focus {
            Panel::Log => Kind::Search,
            Panel::Deploys if self.view.page => {
                self.toast = Some(Notice::news("a page has nothing to filter"));
                return;
            }
            panel => Kind::Filter(panel),
        };
        self.prompt(kind);
    }

    /// Opens a prompt.
    pub(super) fn prompt(&mut self, kind: Kind) {
        let prompt = Prompt::new(kind, self.panes.log.position(), self.selection.clone());
        self.overlay = Some(Overlay::Prompt(prompt));
        self.typed();
    }

    /// Applies the text of the prompt, if one is open.
    pub(super) fn typed(&mut self) {
        let Some(Overlay::Prompt(prompt)) = &self.overlay else { return };
        let text = prompt.text.text().to_owned();
        match prompt.kind {
            Kind::Search => {
                self.panes.log.return_to(prompt.log_position);
                // An error in the expression is shown only when the user confirms it.
                self.panes.log.search_for(Pattern::parse(&text, false));
            }
            Kind::Keep => self.panes.log.keep_matching(Pattern::parse(&text, true)),
            Kind::Filter(panel) => {
                let cx = cx(&self.state, self.theme, self.view, self.screen().as_ref(), panel);
                let pane = self.panes.get_mut(panel);
                if let Some(filter) = pane.filter() {
                    *filter = text;
                }
                pane.filtered(&cx, &mut self.selection);
            }
        }
    }

    /// Keeps the text of the prompt, and shows the error in its expression, if any.
    pub(super) fn confirm_prompt(&mut self) {
        let Some(Overlay::Prompt(prompt)) = self.overlay.take() else { return };
        let pattern = match prompt.kind {
            Kind::Search | Kind::Keep => Pattern::parse(prompt.text.text(), prompt.kind == Kind::Keep),
            Kind::Filter(_) => None,
        };
        let wrong = match pattern.map(|pattern| pattern.query()) {
            Some(Ok((_, wrong))) => wrong.map(|wrong| wrong.one_line()),
            Some(Err(error)) => Some(error.to_string()),
            None => None,
        };
        self.toast = wrong.map(Notice::bad).or(self.toast.take());
    }

    /// Closes the prompt and undoes the effect of its text.
    pub(super) fn undo_prompt(&mut self) {
        let Some(Overlay::Prompt(prompt)) = &mut self.overlay else { return };
        prompt.text.clear();
        let (kind, log_position, selection) = (prompt.kind, prompt.log_position, prompt.selection.clone());
        self.typed();
        self.overlay = None;
        match kind {
            Kind::Filter(_) => self.selection = selection,
            Kind::Search | Kind::Keep => self.panes.log.return_to(log_position),
        }
    }
}
