//! A line of text at the foot of the screen that is typed: what to search for, which lines to keep, how to filter a list.
//!
//! What is typed takes effect with every key. Enter keeps it, Esc takes it back.

use crossterm::event::{KeyCode, KeyEvent};

use crate::model::RunId;
use crate::ui::layout::Panel;

use super::App;
use super::action::{Action, Context};
use super::input::MODIFIERS;
use super::keymap::Key;
use super::overlay::Overlay;
use super::panes::log::Position;
use crate::model::feed::Notice;
use crate::store::logs::pattern::Pattern;

/// Characters that a text may have.
const MOST: usize = 1000;

/// A text that is being typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What for.
    pub kind: Kind,
    /// What was typed.
    pub text: String,
    /// Where the reader of the log was.
    before: Position,
    /// The run that was selected.
    run: Option<RunId>,
}

/// What a text is typed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// To find it in the log.
    Search,
    /// To see only lines of the log with it.
    Keep,
    /// To see only rows of a list with it.
    Filter(Panel),
}

impl Prompt {
    /// The sign before the text.
    #[must_use]
    pub fn sign(&self) -> &'static str {
        if self.kind == Kind::Keep { "&" } else { "/" }
    }

    /// Takes in what is typed or pasted, as far as there is room.
    pub fn add(&mut self, text: &str) {
        let room = MOST.saturating_sub(self.text.chars().count());
        self.text.extend(text.chars().take(room));
    }

    /// What can be typed, in a few words.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.kind {
            Kind::Search => "text, or /expression/",
            Kind::Keep => "text, or /expression/; ! before it: lines without it",
            Kind::Filter(_) => "words that a row must have",
        }
    }
}

impl App {
    /// Begins to type what to search for or to filter by in the focused panel.
    pub(super) fn find(&mut self) {
        let kind = match self.view.focus {
            Panel::Log => Kind::Search,
            panel => Kind::Filter(panel),
        };
        self.ask(kind);
    }

    /// Begins to type.
    pub(super) fn ask(&mut self, kind: Kind) {
        self.overlay = Some(Overlay::Prompt(Prompt {
            kind,
            text: String::new(),
            before: self.log.position(),
            run: self.runs.selected.clone(),
        }));
        self.typed();
    }

    /// A key while something is typed.
    pub(super) fn prompt_key(&mut self, event: KeyEvent) {
        let key = Key::from(event);
        let action = self.keymap.action(Context::Overlay, key);
        let leaves = self.keymap.action(Context::Everywhere, key) == Some(Action::Quit);
        let Some(Overlay::Prompt(prompt)) = &mut self.overlay else { return };
        match (event.code, action) {
            (KeyCode::Char(c), _) if !event.modifiers.intersects(MODIFIERS) => prompt.add(&c.to_string()),
            (KeyCode::Backspace, _) if !prompt.text.is_empty() => drop(prompt.text.pop()),
            (KeyCode::Backspace, _) | (_, Some(Action::Back)) => return self.take_back(),
            (_, Some(Action::Open)) => return self.confirm(),
            _ if leaves => return self.take_back(),
            _ => return,
        }
        self.typed();
    }

    /// What is typed takes effect.
    pub(super) fn typed(&mut self) {
        let Some(Overlay::Prompt(prompt)) = &self.overlay else { return };
        let text = prompt.text.clone();
        match prompt.kind {
            Kind::Search => {
                self.log.return_to(prompt.before);
                // What is wrong with it is told once it is typed to the end.
                self.log.search(Pattern::parse(&text, false));
            }
            Kind::Keep => self.log.keep(Pattern::parse(&text, true)),
            Kind::Filter(panel) => {
                if let Some(filter) = self.filter(panel) {
                    *filter = text;
                }
                if panel == Panel::Runs {
                    self.runs.narrow(&self.facts);
                }
            }
        }
    }

    fn confirm(&mut self) {
        let Some(Overlay::Prompt(prompt)) = self.overlay.take() else { return };
        let pattern = match prompt.kind {
            Kind::Search | Kind::Keep => Pattern::parse(&prompt.text, prompt.kind == Kind::Keep),
            Kind::Filter(_) => None,
        };
        let wrong = match pattern.map(|pattern| pattern.query()) {
            Some(Ok((_, wrong))) => wrong.map(|wrong| wrong.told()),
            Some(Err(error)) => Some(error.to_string()),
            None => None,
        };
        self.toast = wrong.map(Notice::bad).or(self.toast.take());
    }

    fn take_back(&mut self) {
        let Some(Overlay::Prompt(prompt)) = &mut self.overlay else { return };
        prompt.text.clear();
        let (kind, before, run) = (prompt.kind, prompt.before, prompt.run.clone());
        self.typed();
        self.overlay = None;
        if kind == Kind::Filter(Panel::Runs) {
            self.runs.selected = run;
        }
        if matches!(kind, Kind::Search | Kind::Keep) {
            self.log.return_to(before);
        }
    }

    /// The filter of a panel that is a list.
    pub(super) fn filter(&mut self, panel: Panel) -> Option<&mut String> {
        match panel {
            Panel::Runs => Some(&mut self.runs.filter),
            Panel::Graph => Some(&mut self.graph.filter),
            Panel::Jobs => Some(&mut self.jobs.filter),
            Panel::Services => Some(&mut self.services.filter),
            Panel::Deploys => Some(&mut self.deploys.filter),
            Panel::Events => Some(&mut self.events.filter),
            Panel::Log => None,
        }
    }
}
