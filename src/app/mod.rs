//! The screen as a value: messages in, effects out, and a picture of what is true now.
//!
//! [`App::update`] is the only thing that changes it, touches no file, clock or terminal, and says what is to be done as [`Effect`]s.
//! [`App::draw`] changes nothing. So every behaviour of the screen is tested without a terminal, and the same records
//! always give the same picture.

pub mod action;
mod alerts;
mod availability;
mod input;
pub mod keymap;
pub mod msg;
mod overlay;
mod palette;
pub mod panes;
pub mod prompt;
mod replay;
pub mod state;
mod view;
mod yank;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

use crossterm::event::KeyEventKind;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::model::Summary;
use crate::model::capabilities::Unavailable;
use crate::model::{Conclusion, Job, Phase, Reply, Run, RunId, Step, Timestamp};
use crate::ui::frame;
use crate::ui::layout;
use crate::ui::layout::{Panel, Screen, View};
use crate::ui::text;
use crate::ui::theme::Theme;

use crate::model::feed::{Connection, Feed, Notice, Request};
use crate::store::logs::query::LogKey;
use keymap::Keymap;
use msg::{Effect, Msg};
use overlay::{Outcome, Overlay};
use panes::chrome;
use panes::deploys::Deploys;
use panes::events::Events;
use panes::graph::Graph;
use panes::jobs::Jobs;
use panes::log::Log;
use panes::runs::Runs;
use panes::services::Services;
use replay::Replay;
use state::{AppState, Happened};

/// What was told for so long was seen.
const SEEN: Duration = Duration::from_millis(700);

/// How many older runs are listed at a time.
const PAGE: usize = 200;

/// Everything that the screen knows and shows.
#[derive(Clone, Debug)]
pub struct App {
    facts: AppState,
    theme: Theme,
    keymap: Keymap,
    area: Rect,
    view: View,
    runs: Runs,
    graph: Graph,
    jobs: Jobs,
    log: Log,
    services: Services,
    deploys: Deploys,
    events: Events,
    overlay: Option<Overlay>,
    toast: Option<Notice>,
    /// When it was told, by the clock.
    told_at: Timestamp,
    /// The time as of the latest tick, also while another one is seen again.
    clock: Timestamp,
    /// The run that is followed.
    watched: Option<RunId>,
    /// What was looked for in the logs of a run last.
    grepped: String,
    /// Whether it is looked for now.
    grepping: bool,
    mouse: bool,
    /// The name of the terminal's window.
    title: String,
    /// The run that is seen again, when one is.
    replay: Option<Replay>,
}

impl App {
    /// A screen that knows nothing yet.
    #[must_use]
    pub fn new(theme: Theme, keymap: Keymap) -> Self {
        Self {
            facts: AppState::default(),
            theme,
            keymap,
            area: Rect::new(0, 0, 80, 24),
            view: View::default(),
            runs: Runs::default(),
            graph: Graph::default(),
            jobs: Jobs::default(),
            log: Log::default(),
            services: Services::default(),
            deploys: Deploys::default(),
            events: Events::default(),
            overlay: None,
            toast: None,
            told_at: Timestamp(0),
            clock: Timestamp(0),
            watched: None,
            grepped: String::new(),
            grepping: false,
            mouse: true,
            title: String::new(),
            replay: None,
        }
    }

    /// Carries out no operation, for this reason.
    #[must_use]
    pub fn refusing(mut self, reason: Unavailable) -> Self {
        self.facts.refusal = Some(reason);
        self
    }

    /// Shows the newest run of this repository first, as `owner/name`.
    #[must_use]
    pub fn at_home(mut self, repository: String) -> Self {
        self.runs.home = Some(repository);
        self
    }

    /// Shows this run from the start, instead of the newest.
    #[must_use]
    pub fn showing(mut self, run: RunId) -> Self {
        self.runs.selected = Some(run);
        self
    }

    /// Whether time changes the picture, so that ticks are needed.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.replay.as_ref().map_or(self.facts.alive().next().is_some(), Replay::is_playing)
    }

    /// Whether something pulses, so that ticks are needed four times a second instead of once.
    #[must_use]
    pub fn is_pulsing(&self) -> bool {
        if let Some(replay) = &self.replay {
            return replay.is_playing();
        }
        self.theme.motion && self.facts.alive().any(|run| run.phase == Phase::Running)
    }

    /// The selected run at a glance.
    #[must_use]
    pub fn summary(&self) -> Option<&Summary> {
        self.facts.summary(self.runs.selected.as_ref()?)
    }

    /// The selected run with its jobs, once its records came.
    #[must_use]
    pub fn run(&self) -> Option<&Run> {
        self.facts.run(self.runs.selected.as_ref()?)
    }

    /// How it is drawn.
    #[must_use]
    pub fn theme(&self) -> Theme {
        self.theme
    }

    /// Where the program's record about itself is to be drawn, when it is shown.
    #[must_use]
    pub fn diagnostics(&self) -> Option<Rect> {
        let overlay = self.overlay.as_ref().filter(|overlay| matches!(overlay, Overlay::Diagnostics))?;
        Some(frame::inside(overlay.area(self.area)))
    }

    /// The rows of the screen that hold the log, which move together.
    #[must_use]
    pub fn moving_rows(&self) -> Range<u16> {
        let log = self.screen().and_then(|screen| screen.panel(Panel::Log)).filter(|_| self.overlay.is_none());
        let inside = log.map(frame::inside).unwrap_or_default();
        // Long news covers the last of them.
        let news =
            self.screen().zip(self.toast.as_ref()).map(|(screen, notice)| chrome::toast_rows(notice, screen.toast));
        let end = news.map_or(inside.bottom(), |news| news.y.min(inside.bottom()));
        inside.top()..end.max(inside.top())
    }

    /// Where a link leads, by what stands for it in a cell.
    #[must_use]
    pub fn address(&self, mark: Color) -> Option<&str> {
        self.log.address(mark)
    }

    /// The selected run in a few lines, to be left behind on the normal screen. A replay leaves none: where it stopped is
    /// not how the run is.
    #[must_use]
    pub fn farewell(&self) -> Vec<String> {
        let Some(summary) = self.summary().filter(|_| self.replay.is_none()) else { return Vec::new() };
        let look = self.theme.look(&summary.phase);
        let end = summary.finished.unwrap_or(self.facts.now);
        let time = summary.started.map(|start| format!(" {}", text::duration(end.since(start)))).unwrap_or_default();
        let dot = self.theme.dot();
        let place =
            if summary.info.ref_name.is_empty() { String::new() } else { format!(" {}", summary.info.ref_name) };
        let mut lines =
            vec![format!("{} {}{dot}{}{place}{dot}{}{time}", look.glyph, summary.name, summary.info.event, look.word)];
        let bad = |job: &&Job| panes::jobs::has_failed(&job.phase);
        for job in self.run().into_iter().flat_map(|run| run.jobs.values()).filter(bad).take(3) {
            let step =
                panes::jobs::interesting(job).filter(|step| step.phase.conclusion() != Some(Conclusion::Success));
            let step = step.map(|step| format!("{}{} {}", self.theme.arrow(), step.number, step.name));
            lines.push(format!("  {} {}{}", self.theme.look(&job.phase).glyph, job.name, step.unwrap_or_default()));
        }
        let verb = if summary.phase.is_done() { "show" } else { "attach" };
        lines.push(format!("  cuelight {verb} {}", summary.info.id));
        lines
    }

    /// Takes in what happened and says what is to be done.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        let told = self.toast.clone();
        let mut effects = match msg {
            Msg::Tick(now) if self.replay.is_some() => {
                self.clock = now;
                self.tick_replay(now);
                Vec::new()
            }
            Msg::Tick(now) => {
                self.clock = now;
                if self.facts.since.0 == 0 {
                    self.facts.since = now;
                }
                self.facts.now = self.facts.now.max(now);
                Vec::new()
            }
            Msg::Resize(width, height) => {
                self.area = Rect::new(0, 0, width, height);
                Vec::new()
            }
            Msg::Key(key) if key.kind != KeyEventKind::Release => {
                // What was told was seen by whoever goes on; it is kept among the events.
                if self.clock.since(self.told_at) >= SEEN {
                    self.toast = None;
                }
                self.key(key)
            }
            Msg::Key(_) => Vec::new(),
            Msg::Paste(text) => {
                if let Some(overlay) = self.overlay.as_mut().filter(|overlay| overlay.takes_text()) {
                    // Characters only ever filter here; none of them can close the overlay.
                    let mut typed = text.chars().filter(|c| !c.is_control());
                    let stays = typed.all(|c| matches!(overlay.character(c), Outcome::Stays));
                    debug_assert!(stays, "an overlay that takes text stays while it is typed");
                }
                self.typed();
                Vec::new()
            }
            Msg::Mouse(event) => self.mouse(event),
            Msg::Feed(feed) => self.news(feed),
            Msg::Page(read) => {
                self.log.take(read);
                Vec::new()
            }
            Msg::Copied(page) => self.copied(page),
            Msg::LogSearched(scanned) => {
                self.log.found(&scanned);
                Vec::new()
            }
            Msg::RunSearched(grepped) => {
                if let Some(Overlay::Matches(matches)) = &mut self.overlay {
                    matches.take(grepped, self.theme);
                }
                Vec::new()
            }
        };
        effects.extend(self.settle());
        effects.extend(self.retitle());
        if self.toast != told {
            self.told_at = self.clock;
        }
        for effect in &effects {
            match effect {
                Effect::Request(Request::Submit { run, command }) => self.facts.ask(run.clone(), command.clone()),
                Effect::Copy(text) => self.tell_copied(text),
                _ => {}
            }
        }
        effects
    }

    fn feed(&mut self, feed: Feed) {
        match feed {
            Feed::Listed { runs, more } => self.facts.list(runs, more),
            // Whoever is in the middle of something is not taken elsewhere.
            Feed::Started(_) if self.overlay.is_some() => {}
            Feed::Started(run) => {
                self.runs.selected = Some(run);
                self.focus(Panel::Jobs);
            }
            // Whoever reads is not taken away from it; the run is in the list.
            Feed::Triggered(run) => {
                if self.overlay.is_none() && self.log.follows() {
                    self.runs.selected = Some(run);
                }
            }
            Feed::Opened(header) if self.facts.connection == Connection::Replay => self.begin_replay(header),
            Feed::Opened(header) => self.facts.open(header),
            Feed::Records { records, .. } if self.replay.is_some() => self.extend_replay(records),
            Feed::Records { run, records } => {
                let news = self.facts.apply(&run, &records);
                self.toast = news.or(self.toast.take());
            }
            Feed::Removed(run) => {
                let name = self.facts.summary(&run).map(|run| run.name.clone()).unwrap_or_default();
                self.facts.remove(&run);
                self.tell(Notice::news(format!("removed {name} {run}")));
            }
            Feed::Replied { run, command, reply } => {
                if let Reply::Rejected { reason } = reply {
                    self.facts.confirm(&run, &command);
                    self.tell(Notice::bad(format!("{} was refused: {reason}", state::order(&command))));
                }
            }
            Feed::Startable(offers) => self.facts.offers = offers,
            Feed::Untrusted { .. } if self.overlay.is_some() => {
                self.tell(Notice::bad("not started: not trusted to run here; start it again to decide"));
            }
            Feed::Untrusted { workflow, event, start } => {
                self.overlay = Some(overlay::dialogs::trust(workflow, event, start));
            }
            Feed::Watching(watching) => self.facts.watching = watching,
            Feed::Connection(connection) => {
                let notice = connection.reason().map(Notice::bad);
                let again = (self.facts.connection.reason().is_some() && notice.is_none())
                    .then(|| Notice::news("connected again: what is shown is up to date"));
                self.facts.connection = connection;
                if let Some(notice) = notice.or(again) {
                    self.tell(notice);
                }
            }
            Feed::Notice(notice) => self.tell(notice),
        }
    }

    /// Shows a notice and keeps it among the events.
    fn tell(&mut self, notice: Notice) {
        let happened = Happened { at: self.facts.now, run: None, phase: None, notice: notice.clone() };
        self.facts.happen(happened);
        self.toast = Some(notice);
    }

    /// Brings what is shown in line with what is known, and says what is missing for it.
    fn settle(&mut self) -> Vec<Effect> {
        let screen = self.screen();
        let height = |panel| height(screen.as_ref(), panel);
        let mut effects = Vec::new();
        self.runs.settle(&self.facts, height(Panel::Runs));
        effects.extend(self.next_page(height(Panel::Runs)).map(Effect::Request));
        if self.runs.selected != self.watched {
            self.watched.clone_from(&self.runs.selected);
            self.jobs = Jobs::default();
            effects.extend(self.watched.clone().map(|run| Effect::Request(Request::Follow(run))));
        }
        let run = self.watched.as_ref().and_then(|id| self.facts.run(id));
        self.jobs.settle(run, height(Panel::Jobs));
        let job = self.jobs.selected.as_ref().map(|place| &place.job);
        self.graph.settle(run, job, size(screen.as_ref(), Panel::Graph));
        self.services.settle(run, height(Panel::Services));
        self.deploys.settle(&self.facts, height(Panel::Deploys));
        self.events.settle(&self.facts, self.watched.as_ref(), height(Panel::Events));
        let (key, lines) = match self.shown() {
            Some((run, job, step)) => {
                let key =
                    LogKey { run: run.info.id.clone(), job: job.id.clone(), attempt: job.attempt, step: step.number };
                (Some(key), step.lines)
            }
            None => (None, 0),
        };
        effects.extend(self.log.settle(key, lines, height(Panel::Log) as u16));
        effects.extend(self.settle_grep());
        effects
    }

    /// The request for older runs, once the list is shown almost to its end.
    fn next_page(&mut self, height: usize) -> Option<Request> {
        if self.runs.rows_below(&self.facts, height) > height {
            return None;
        }
        let before = self.facts.request_page()?;
        Some(Request::ListMore { before, limit: PAGE })
    }

    /// The step whose log is shown, with its job and run.
    fn shown(&self) -> Option<(&Run, &Job, &Step)> {
        let run = self.run()?;
        let place = self.jobs.selected.as_ref()?;
        let job = run.jobs.get(&place.job)?;
        let step = match place.step {
            Some(number) => job.steps.iter().find(|step| step.number == number),
            None => panes::jobs::interesting(job),
        };
        Some((run, job, step?))
    }

    fn screen(&self) -> Option<Screen> {
        layout::screen(self.area, self.view)
    }

    fn focus(&mut self, panel: Panel) {
        self.view.focus = panel;
        if panel != Panel::Log {
            self.view.above = panel;
        }
    }
}

/// The columns and rows inside a panel; as good as none where it is not shown.
fn size(screen: Option<&Screen>, panel: Panel) -> (u16, u16) {
    let area = screen.and_then(|screen| screen.panel(panel)).map(frame::inside).unwrap_or_default();
    (area.width, area.height.max(1))
}

/// The rows inside a panel; 1 where it is not shown.
fn height(screen: Option<&Screen>, panel: Panel) -> usize {
    let area = screen.and_then(|screen| screen.panel(panel));
    area.map_or(1, |area| usize::from(frame::inside(area).height.max(1)))
}
