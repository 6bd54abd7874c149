//! The screen as a state machine: messages change its state and cause effects, and a function draws the state.
//!
//! [`App::update`] is the only function that changes the screen. It has no access to files, clock or terminal;
//! everything to be done outside is returned as [`Effect`]s. [`App::draw`] changes nothing. So every behaviour of the
//! screen can be tested without a terminal, and the same messages always give the same picture.

pub mod action;
mod actions;
mod alerts;
mod availability;
mod batch;
mod chrome;
mod demo;
mod environments;
mod farewell;
mod feed;
#[cfg(test)]
pub(crate) mod fixture;
mod hints;
mod input;
mod keyed;
pub mod keymap;
mod lane_state;
mod listed;
pub mod msg;
mod overlay;
mod palette;
pub mod panes;
mod prompt;
mod replay;
mod selection;
mod state;
#[cfg(test)]
mod tests;
mod text_input;
mod view;
mod yank;

use std::collections::HashSet;
use std::time::Duration;

use crossterm::event::KeyEventKind;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::model::capabilities::Unavailable;
use crate::model::feed::{Connection, Notice, Request};
use crate::model::{JobId, Phase, RepositoryId, Run, RunId, Summary, Timestamp};
use crate::ui::frame;
use crate::ui::layout;
use crate::ui::layout::{Empty, Panel, Screen, View};
use crate::ui::text;
use crate::ui::theme::Theme;

use batch::Batch;
use keymap::{Key, Keymap};
use msg::{Effect, Msg};
use overlay::Overlay;
use overlay::picker::Picker;
use panes::{Cx, Panes};
use replay::Replay;
use selection::Selection;
use state::{AppState, EventEntry};

/// How long a notice must have been on the screen before the next key dismisses it.
const NOTICE_READ: Duration = Duration::from_millis(700);

/// State of the screen.
#[derive(Clone, Debug)]
pub struct App {
    state: AppState,
    theme: Theme,
    keymap: Keymap,
    area: Rect,
    view: View,
    selection: Selection,
    panes: Panes,
    overlay: Option<Overlay>,
    /// The list of releases in which a release was picked, to open it again if there is no such release.
    picked_from: Option<Picker>,
    /// Keys of an incomplete sequence.
    pressed: Vec<Key>,
    toast: Option<Notice>,
    /// Time at which the notice appeared.
    toast_at: Timestamp,
    /// Time of the last tick. In a replay, too, this is the real time.
    clock: Timestamp,
    /// The run for which records were last requested.
    watched: Option<RunId>,
    /// Jobs, with the number of their attempt, whose logs were requested from a server.
    asked_logs: HashSet<(RunId, JobId, u32)>,
    /// Text of the last search in the logs of a run.
    last_run_search: String,
    /// Id of the last search in the logs of a run.
    last_run_search_id: u64,
    /// Whether a search in the logs of a run is running.
    run_search_active: bool,
    mouse: bool,
    /// Title of the terminal's window.
    window_title: String,
    /// Whether no key was pressed yet.
    is_untouched: bool,
    replay: Option<Replay>,
    /// The last command that was sent to several runs; `None` if there was none.
    batch: Option<Batch>,
}

impl App {
    /// Returns a screen without any run.
    #[must_use]
    pub fn new(theme: Theme, keymap: Keymap) -> Self {
        Self {
            state: AppState::default(),
            theme,
            keymap,
            area: Rect::new(0, 0, 80, 24),
            view: View::default(),
            selection: Selection::default(),
            panes: Panes::default(),
            overlay: None,
            picked_from: None,
            pressed: Vec::new(),
            toast: None,
            toast_at: Timestamp(0),
            clock: Timestamp(0),
            watched: None,
            asked_logs: HashSet::new(),
            last_run_search: String::new(),
            last_run_search_id: 0,
            run_search_active: false,
            mouse: true,
            window_title: String::new(),
            is_untouched: true,
            replay: None,
            batch: None,
        }
    }

    /// Makes the screen refuse every operation, with this reason.
    #[must_use]
    pub fn refusing(mut self, reason: Unavailable) -> Self {
        self.state.refusal = Some(reason);
        self
    }

    /// Makes the screen list only the runs of this repository and of the watched ones, until the user asks for those of
    /// all, and show only its deployments.
    #[must_use]
    pub fn at_home(mut self, repository: RepositoryId) -> Self {
        self.state.home = Some(repository);
        self
    }

    /// Makes the screen list the runs of all repositories, until the user asks for those of this one.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.state.is_everywhere = true;
        self
    }

    /// Makes the screen select this run first.
    #[must_use]
    pub fn showing(mut self, run: RunId) -> Self {
        self.selection.select_run(Some(run));
        self
    }

    /// Whether the picture changes with time, so that ticks are needed.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        let ages = || {
            let is_broken = matches!(self.state.connection, Connection::Stale { .. } | Connection::Offline { .. });
            is_broken || (self.state.polling.is_some() && chrome::has_room_for_polling(self.area.width))
        };
        self.replay.as_ref().map_or_else(|| self.active().next().is_some() || ages(), Replay::is_playing)
    }

    /// Returns how long the picture stays the same if nothing happens, because no age on it grows older. `None` if it
    /// shows no ages, or while it moves anyway.
    #[must_use]
    pub fn is_still_for(&self) -> Option<Duration> {
        if self.is_moving() || self.replay.is_some() {
            return None;
        }
        let screen = self.screen()?;
        let times = screen.panels.iter().flat_map(|(panel, _)| {
            let cx = cx(&self.state, self.theme, self.view, Some(&screen), *panel);
            self.panes.get(*panel).times(&cx, &self.selection)
        });
        let now = self.state.now;
        let stays = |time: Timestamp| {
            if time > now { text::left_stays(time.since(now)) } else { text::ago_stays(now.since(time)) }
        };
        times.map(stays).min()
    }

    /// Returns the runs on the screen that have not completed: the listed ones and the selected one.
    fn active(&self) -> impl Iterator<Item = &Summary> {
        let selected = self.selection.run_id();
        self.state.active().filter(move |run| self.state.is_in_list(run) || selected == Some(&run.info.id))
    }

    /// Whether a glyph pulses, so that ticks are needed four times a second instead of once.
    #[must_use]
    pub fn is_pulsing(&self) -> bool {
        if let Some(replay) = &self.replay {
            return replay.is_playing();
        }
        self.theme.motion && self.active().any(|run| run.phase == Phase::Running)
    }

    /// Returns the summary of the selected run; `None` if no run is selected or the selected one is not listed.
    #[must_use]
    pub fn summary(&self) -> Option<&Summary> {
        self.state.summary(self.selection.run_id()?)
    }

    /// Returns the selected run with its jobs; `None` before its records have arrived.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        self.selection.run(&self.state)
    }

    /// Returns the glyphs and colours.
    #[must_use]
    pub fn theme(&self) -> Theme {
        self.theme
    }

    /// Returns the address of the link marked by a cell's colour; `None` if the colour marks no link.
    #[must_use]
    pub fn address(&self, mark: Color) -> Option<&str> {
        self.panes.log.address(mark)
    }

    /// Handles a message and returns the effects to carry out.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        let toast = self.toast.clone();
        let mut effects = match msg {
            Msg::Tick(now) => {
                self.tick(now);
                Vec::new()
            }
            Msg::Resize(width, height) => {
                self.area = Rect::new(0, 0, width, height);
                if self.screen().is_none() {
                    // The rest of a sequence would not be seen.
                    self.pressed.clear();
                }
                Vec::new()
            }
            Msg::Key(key) if key.kind != KeyEventKind::Release => {
                self.is_untouched = false;
                // A notice that was read is removed; the Events pane keeps it.
                if self.clock.since(self.toast_at) >= NOTICE_READ {
                    self.toast = None;
                }
                self.key(key)
            }
            Msg::Key(_) => Vec::new(),
            Msg::Paste(text) => {
                self.paste(&text);
                Vec::new()
            }
            Msg::Focus(here) => vec![Effect::Request(Request::Attend(here))],
            Msg::Mouse(event) => self.mouse(event),
            Msg::Feed(feed) => self.take_feed(feed),
            Msg::Page(page) => {
                self.panes.log.take_page(page);
                Vec::new()
            }
            Msg::Copied(page) => self.copied(page),
            Msg::LogSearched(result) => {
                self.panes.log.take_matches(&result);
                Vec::new()
            }
            Msg::RunSearched(result) => {
                if let Some(Overlay::RunSearch(search)) = &mut self.overlay {
                    search.take(result, self.theme);
                }
                Vec::new()
            }
        };
        effects.extend(self.sync());
        effects.extend(self.retitle());
        if self.toast != toast {
            self.toast_at = self.clock;
        }
        if let Some(batch) = Batch::of(&effects) {
            self.batch = Some(batch);
        }
        for effect in &effects {
            match effect {
                Effect::Request(Request::Submit { run, command }) => {
                    self.panes.runs.unmark(run);
                    self.state.add_pending(run.clone(), command.clone());
                }
                Effect::Copy(text) => self.show_copied(text),
                _ => {}
            }
        }
        effects
    }

    fn tick(&mut self, now: Timestamp) {
        self.clock = now;
        if self.replay.is_some() {
            return self.tick_replay(now);
        }
        if self.state.opened.0 == 0 {
            self.state.opened = now;
        }
        self.state.now = self.state.now.max(now);
    }

    /// Shows a notice and adds it to the events.
    fn notify(&mut self, notice: Notice) {
        let entry = EventEntry { at: self.state.now, run: None, phase: None, notice: notice.clone() };
        self.state.add_event(entry);
        self.toast = Some(notice);
    }

    /// Updates selection and panes after a change of the state, and returns the effects that fetch missing data.
    fn sync(&mut self) -> Vec<Effect> {
        self.view.empty = Empty {
            services: !panes::has_services(&self.state, self.run()),
            deploys: !panes::has_deployments(&self.state, &self.selection),
        };
        self.view.page = self.panes.deploys.paged(&self.state, &self.selection).is_some();
        // A run of another repository that was named, started or found is listed among the runs of all repositories.
        self.state.is_everywhere |= self.summary().is_some_and(|run| !self.state.is_near(run));
        let screen = self.screen();
        let cx = |panel| cx(&self.state, self.theme, self.view, screen.as_ref(), panel);
        let mut effects = self.panes.sync(cx, &mut self.selection);
        if self.panes.need_older_runs(cx) {
            effects.extend(self.state.request_older().map(Effect::Request));
        }
        if self.selection.run_id() != self.watched.as_ref() {
            self.watched = self.selection.run_id().cloned();
            effects.extend(self.watched.clone().map(|run| Effect::Request(Request::Follow(run))));
        }
        effects.extend(self.missing_log());
        effects.extend(self.sync_run_search());
        self.sync_help();
        effects
    }

    /// Keeps the open help within its list, whose length depends on its search and on the width of the screen.
    fn sync_help(&mut self) {
        let Some(overlay @ Overlay::Help(help)) = &self.overlay else { return };
        let area = frame::inside(overlay.area(self.area));
        let cx = cx(&self.state, self.theme, self.view, None, self.view.focus);
        let rows = help.height(&cx, &self.keymap, self.subject(), area);
        if let Some(Overlay::Help(help)) = &mut self.overlay {
            help.sync(rows, area);
        }
    }

    /// Returns the request for the log of the selected job, if the job has ended on a server, its log is missing here,
    /// and the log of this attempt was not requested before.
    fn missing_log(&mut self) -> Option<Effect> {
        let (run, job) = (self.selection.run(&self.state)?, self.selection.job(&self.state)?);
        if run.info.remote.is_none() || !job.lacks_log() {
            return None;
        }
        let (run, job, attempt) = (run.info.id.clone(), job.id.clone(), job.attempt);
        let asks = self.asked_logs.insert((run.clone(), job.clone(), attempt));
        asks.then_some(Effect::Request(Request::LoadLog { run, job }))
    }

    fn screen(&self) -> Option<Screen> {
        layout::screen(self.area, self.view)
    }

    fn focus(&mut self, panel: Panel) {
        self.view.focus = panel;
        if !matches!(panel, Panel::Log | Panel::Workflows) {
            self.view.above = panel;
        }
    }
}

/// Returns the context that a pane may read.
fn cx<'a>(state: &'a AppState, theme: Theme, view: View, screen: Option<&Screen>, panel: Panel) -> Cx<'a> {
    Cx { state, theme, focused: panel == view.focus, size: panes::size(screen, panel) }
}
