//! What keys, actions and the mouse do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use crate::model::Command;
use crate::ui::frame;
use crate::ui::layout::{PANELS, Panel, Zoom};

use super::action::{Action, Context};
use super::availability::unavailable;
use super::keymap::Key;
use super::msg::Effect;
use super::overlay::{Outcome, Overlay};
use super::panes;
use super::panes::jobs::JobSelection;
use super::prompt::Kind;
use super::{App, height};
use crate::model::feed::{Notice, Request};

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

    /// Carries out an action of the user.
    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        if let Some(reason) = unavailable(action, &self.facts, self.summary()) {
            self.toast = Some(Notice::bad(format!("{}: {reason}", action.entry().name)));
            return Vec::new();
        }
        match action {
            Action::Go(panel) => self.focus(panel),
            Action::NextPanel => self.focus(self.neighbour(1)),
            Action::PreviousPanel => self.focus(self.neighbour(PANELS.len() - 1)),
            Action::Zoom => {
                self.view.zoom = if self.view.zoom == Zoom::Full { Zoom::Normal } else { Zoom::Full };
            }
            Action::Larger => {
                self.view.zoom = if self.view.zoom == Zoom::Normal { Zoom::Half } else { Zoom::Full };
            }
            Action::Smaller => {
                self.view.zoom = if self.view.zoom == Zoom::Full { Zoom::Half } else { Zoom::Normal };
            }
            Action::Open => match self.view.focus {
                Panel::Runs => self.focus(Panel::Jobs),
                Panel::Graph | Panel::Jobs | Panel::Events => self.focus(Panel::Log),
                Panel::Services => {
                    if let Some((job, _)) = self.services.selected.clone() {
                        self.jobs.select(JobSelection { job, step: None });
                        self.focus(Panel::Jobs);
                    }
                }
                Panel::Deploys => {
                    if let Some(run) = self.deploys.run(&self.facts) {
                        self.runs.selected = Some(run);
                        self.focus(Panel::Jobs);
                    }
                }
                Panel::Log => self.log.act(action),
            },
            Action::Back => self.back(),
            Action::Follow => {
                self.log.act(Action::Follow);
                if self.view.focus != Panel::Log {
                    self.jobs.follow = true;
                }
            }
            Action::NextError | Action::PreviousError => self.failure(action),
            Action::Start => self.overlay = Some(self.start_form()),
            Action::WatchFiles if self.facts.watching.is_some() => {
                return vec![Effect::Request(Request::StopWatching)];
            }
            Action::WatchFiles => self.overlay = Some(self.watch_picker()),
            Action::Palette => self.overlay = Some(self.palette()),
            Action::Stop => self.overlay = self.stop_question(),
            Action::Rerun => self.overlay = self.rerun_question(),
            Action::Delete => self.overlay = self.delete_question(),
            Action::Shell => return self.shell(),
            Action::Resume => return self.submit(Command::Resume),
            Action::Yank => self.overlay = self.yank_menu(),
            Action::Edit => return self.edit(),
            Action::Find => self.find(),
            Action::Keep => self.ask(Kind::Keep),
            Action::SearchRun => self.grep(self.grepped.clone()),
            Action::NextMatch | Action::PreviousMatch => {
                if !self.log.step(action == Action::NextMatch) {
                    self.toast = Some(Notice::news("nothing is found"));
                }
            }
            Action::NextGroup | Action::PreviousGroup => self.group(action == Action::NextGroup),
            Action::Play | Action::StepBack | Action::StepForward | Action::Slower | Action::Faster => {
                self.act_in_replay(action);
            }
            Action::Mouse => {
                self.mouse = !self.mouse;
                let text =
                    if self.mouse { "the mouse is taken" } else { "the mouse is let go: select text as you like" };
                self.toast = Some(Notice::news(text));
                return vec![Effect::CaptureMouse(self.mouse)];
            }
            Action::Suspend => return vec![Effect::Suspend],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Diagnostics => self.overlay = Some(Overlay::Diagnostics),
            Action::Help => self.overlay = Some(Overlay::help(Context::Panel(self.view.focus))),
            Action::Quit => return self.quit(),
            _ => self.pane(action),
        }
        Vec::new()
    }

    /// Hands an action to the focused pane.
    fn pane(&mut self, action: Action) {
        let rows = height(self.screen().as_ref(), self.view.focus);
        let run = self.watched.as_ref().and_then(|id| self.facts.run(id));
        match self.view.focus {
            Panel::Runs => self.runs.act(action, &self.facts, rows),
            Panel::Graph => {
                let job = self.jobs.selected.as_ref().map(|place| &place.job);
                if let Some(job) = run.and_then(|run| self.graph.act(action, run, job, rows)) {
                    self.jobs.select(JobSelection { job, step: None });
                }
            }
            Panel::Jobs => {
                if let Some(run) = run {
                    self.jobs.act(action, run, rows);
                }
            }
            Panel::Log => self.log.act(action),
            Panel::Services => {
                if let Some(run) = run {
                    self.services.act(action, run, rows);
                }
            }
            Panel::Deploys => self.deploys.act(action, &self.facts, rows),
            Panel::Events => self.events.act(action, &self.facts, self.watched.as_ref(), rows),
        }
    }

    /// Out of what is shown: from the whole screen to a share of it, from the log to the jobs, from the jobs to the runs.
    fn back(&mut self) {
        if self.view.zoom != Zoom::Normal {
            self.view.zoom = Zoom::Normal;
            return;
        }
        if self.filter(self.view.focus).is_some_and(|filter| !std::mem::take(filter).is_empty()) {
            return;
        }
        match self.view.focus {
            Panel::Log if self.log.back() => {}
            Panel::Log => self.focus(Panel::Jobs),
            Panel::Jobs | Panel::Graph | Panel::Services | Panel::Deploys | Panel::Events => self.focus(Panel::Runs),
            Panel::Runs => {}
        }
    }

    /// To the next line that tells what went wrong in the log of a failed step, and then to the next failed step.
    fn failure(&mut self, action: Action) {
        let forward = action == Action::NextError;
        let failed = self.shown().is_some_and(|(_, _, step)| panes::jobs::has_failed(&step.phase));
        if failed && self.log.error(forward) {
            self.focus(Panel::Log);
            return;
        }
        let run = self.watched.as_ref().and_then(|id| self.facts.run(id));
        let Some(run) = run.filter(|run| panes::jobs::any_failed(run)) else {
            self.toast = Some(Notice::news("nothing has failed"));
            return;
        };
        self.jobs.act(action, run, 1);
        self.log.seek_error(forward);
        self.focus(Panel::Log);
    }

    /// To the next group of the log, or to the next step where there is none.
    fn group(&mut self, forward: bool) {
        let run = self.watched.as_ref().and_then(|id| self.facts.run(id));
        if !self.log.group(forward)
            && let Some(run) = run
        {
            self.jobs.step(run, forward);
        }
    }

    /// The panel that comes `steps` after the focused one among those shown.
    fn neighbour(&self, steps: usize) -> Panel {
        let at = PANELS.iter().position(|panel| *panel == self.view.focus).unwrap_or_default();
        PANELS[(at + steps) % PANELS.len()]
    }

    fn submit(&mut self, command: Command) -> Vec<Effect> {
        let run = self.runs.selected.clone();
        run.map(|run| Effect::Request(Request::Submit { run, command })).into_iter().collect()
    }

    pub(super) fn mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        let Some(screen) = self.screen().filter(|_| self.overlay.is_none()) else { return Vec::new() };
        let Some((panel, area)) = screen.at(Position::new(event.column, event.row)) else { return Vec::new() };
        let row = usize::from(event.row.saturating_sub(area.y + 1));
        let run = self.watched.as_ref().and_then(|id| self.facts.run(id));
        match event.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                let inside = frame::inside(area).contains(Position::new(event.column, event.row));
                match (panel, run) {
                    _ if !inside => {}
                    (Panel::Runs, _) => self.runs.click(row, &self.facts),
                    (Panel::Jobs, Some(run)) => self.jobs.click(row, run),
                    (Panel::Log, _) => self.log.click(row),
                    (Panel::Services, Some(run)) => self.services.click(row, run),
                    (Panel::Deploys, _) => self.deploys.click(row, &self.facts),
                    (Panel::Graph, Some(run)) => {
                        let column = usize::from(event.column.saturating_sub(area.x + 1));
                        if let Some(job) = self.graph.click(column, row, run) {
                            self.jobs.select(JobSelection { job, step: None });
                        }
                    }
                    _ => {}
                }
                self.focus(panel);
            }
            MouseEventKind::ScrollDown => self.wheel(panel, Action::Down),
            MouseEventKind::ScrollUp => self.wheel(panel, Action::Up),
            _ => {}
        }
        Vec::new()
    }

    /// The wheel moves the pane under it, without taking the focus there.
    fn wheel(&mut self, panel: Panel, action: Action) {
        if panel == Panel::Log {
            self.log.wheel(if action == Action::Down { 3 } else { -3 });
        } else {
            let focus = std::mem::replace(&mut self.view.focus, panel);
            self.pane(action);
            self.view.focus = focus;
        }
    }
}

/// Whoever asks to leave once more means it; anything else is only closed.
fn interrupt(overlay: &Overlay) -> Outcome {
    let leaves = match overlay {
        Overlay::Question(question) => question.choices.iter().find(|choice| choice.effects == [Effect::Quit]),
        _ => None,
    };
    Outcome::Closes(leaves.map(|choice| choice.effects.clone()).unwrap_or_default())
}
