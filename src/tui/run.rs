//! The event loop.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{Event, EventStream};
use crossterm::queue;
use futures_util::StreamExt;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::app::App;
use crate::app::msg::{Effect, Msg, RenderedPage};
use crate::backend;
use crate::backend::{Backend, Connected};
use crate::model::Timestamp;
use crate::model::feed::{Feed, Notice, Request};
use crate::store::logs::query::Logs;
use crate::ui::text;

use super::alerts::Alerts;
use super::canvas::Canvas;
use super::effects::{Searches, load_page};
use super::foreground;
use super::foreground::Child;
use super::guard::Guard;
use super::hang_up;

/// Options of the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Maximum number of frames per second.
    pub frames: u16,
    /// Whether the mouse is captured at the start.
    pub mouse: bool,
    /// Whether the terminal may scroll rows by itself, which saves bytes.
    pub scroll_region: bool,
    /// What alerts do.
    pub alerts: Alerts,
}

impl Options {
    /// Returns options for this terminal: 30 frames per second, or 10 over SSH.
    #[must_use]
    pub fn detect() -> Self {
        let is_remote = std::env::var_os("SSH_CONNECTION").is_some_and(|value| !value.is_empty());
        Self { frames: if is_remote { 10 } else { 30 }, mouse: true, scroll_region: true, alerts: Alerts::default() }
    }
}

/// Result of a closed screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Whether the user quit. Otherwise the terminal was closed or a signal ended the program. Runs continue in either
    /// case.
    pub left: bool,
    /// A summary of the selected run in a few lines, for the normal screen.
    pub farewell: Vec<String>,
}

/// Why the screen cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The terminal does not support the screen.
    #[error("this terminal cannot show the screen ({reason}); `--headless` prints lines instead")]
    Unsupported {
        /// The missing feature.
        reason: String,
    },
    /// The terminal failed.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] io::Error),
}

/// Returns a layer of a `tracing` subscriber that collects the program's log for the screen.
#[must_use]
pub fn diagnostics<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    // The usual initialisation of `tui_logger` would start a thread that wakes a hundred times a second to move events
    // to the widget. Here they are moved before the widget is drawn.
    tui_logger::set_default_level(tui_logger::LevelFilter::Debug);
    // Events of these crates contain addresses of requests, which may be signed.
    let is_ours = |metadata: &tracing::Metadata<'_>| {
        let of = metadata.target().split("::").next().unwrap_or_default();
        !matches!(of, "bollard" | "h2" | "hyper" | "hyper_rustls" | "hyper_util" | "octocrab" | "rustls" | "tower_http")
    };
    tui_logger::TuiTracingSubscriberLayer.with_filter(filter_fn(is_ours))
}

/// Shows the screen until the user quits or the terminal is closed.
///
/// If the backend ends, the screen stays open with the reports so far. After the screen is closed, the backend has
/// [`LAST_REQUESTS_TIMEOUT`] for the last requests.
///
/// # Errors
/// The terminal cannot show the screen, or fails. It is restored in any case.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn run(app: App, backend: Box<dyn Backend>, options: Options) -> Result<Ending, TuiError> {
    if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        return Err(TuiError::Unsupported { reason: "TERM is dumb".to_owned() });
    }
    let (panicked, panics) = mpsc::unbounded_channel();
    let guard = Guard::take(options.mouse, panicked).map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => TuiError::Unsupported { reason: error.to_string() },
        _ => TuiError::Terminal(error),
    })?;
    hang_up::watch()?;
    let size = crossterm::terminal::size()?;
    let canvas = Canvas::new(io::stdout(), size.0, size.1, options.scroll_region);
    let (answers, answered) = mpsc::channel(8);
    let logs = backend.logs();
    let app = match backend.refusal() {
        Some(reason) => app.refusing(reason),
        None => app,
    };
    let Connected { feed, requests, served } = backend::connect(backend);
    let screen = Loop {
        app,
        canvas,
        guard,
        requests,
        logs,
        answers,
        frame: Duration::from_secs(1) / u32::from(options.frames.max(1)),
        next_frame: Instant::now(),
        dirty: true,
        awaited: 0,
        suspended: false,
        child: None,
        has_focus: true,
        searches: Searches::default(),
        alerts: options.alerts,
        ending: None,
    };
    let ending = screen.run(size, feed, answered, panics).await;
    let _ = tokio::time::timeout(LAST_REQUESTS_TIMEOUT, served).await;
    ending
}

/// State of the event loop.
struct Loop {
    app: App,
    canvas: Canvas<io::Stdout>,
    guard: Guard,
    requests: mpsc::Sender<Request>,
    logs: Arc<dyn Logs>,
    answers: mpsc::Sender<Msg>,
    /// Minimum time between two frames.
    frame: Duration,
    next_frame: Instant,
    dirty: bool,
    /// Number of answers to draw without delay, because the user may be waiting for them.
    awaited: u8,
    /// Whether to suspend the program.
    suspended: bool,
    /// The next program that takes over the terminal; `None` if the screen keeps it.
    child: Option<Child>,
    /// Whether the terminal has the focus; `true` for terminals that do not report it.
    has_focus: bool,
    searches: Searches,
    alerts: Alerts,
    /// Whether the user quit; `None` while the loop runs.
    ending: Option<bool>,
}

/// The signals that the loop handles.
struct Signals {
    terminate: Signal,
    hang_up: Signal,
    stop: Signal,
    go_on: Signal,
    /// This stream is never awaited. Its handler keeps this program alive when keys interrupt the program that has the
    /// terminal.
    _interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let number = |signal: rustix::process::Signal| SignalKind::from_raw(signal.as_raw());
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            stop: signal(number(rustix::process::Signal::TSTP))?,
            go_on: signal(number(rustix::process::Signal::CONT))?,
            _interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// Number of answers (lines, matches) that are drawn without delay after an input of the user.
const AWAITED: u8 = 4;

/// Maximum time for the last requests after the screen is closed.
const LAST_REQUESTS_TIMEOUT: Duration = Duration::from_secs(1);

/// Time by which the wall clock must have gained on the monotonic clock, which stops while the machine sleeps, to
/// conclude that it slept.
const MIN_SLEEP: Duration = Duration::from_secs(10);

/// Minimum time between two frames that only show the growth of ages, so that an idle screen seldom wakes up. An age may
/// be too young by this time.
const AGES_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum number of reports that are handled before a frame is drawn.
const MAX_REPORTS: usize = 64;

impl Loop {
    async fn run(
        mut self,
        size: (u16, u16),
        mut feed: mpsc::Receiver<Feed>,
        mut answered: mpsc::Receiver<Msg>,
        mut panics: mpsc::UnboundedReceiver<String>,
    ) -> Result<Ending, TuiError> {
        let mut signals = Signals::new()?;
        let mut input = EventStream::new();
        let mut feeds = true;
        let mut awake = (SystemTime::now(), Instant::now());
        self.update(Msg::Tick(now()));
        self.update(Msg::Resize(size.0, size.1));
        while self.ending.is_none() && self.guard.is_active() {
            if self.dirty && Instant::now() >= self.next_frame {
                self.draw()?;
            }
            let tick = self.next_tick().map(|wait| Instant::now() + wait);
            tokio::select! {
                biased;
                _ = signals.terminate.recv() => self.ending = Some(false),
                _ = signals.hang_up.recv() => self.ending = Some(false),
                _ = signals.stop.recv() => self.suspended = true,
                _ = signals.go_on.recv() => self.retake()?,
                event = input.next() => match event {
                    Some(event) => self.input(event?),
                    None => self.ending = Some(false),
                },
                Some(answer) = answered.recv() => {
                    if let Some(left) = self.awaited.checked_sub(1) {
                        self.awaited = left;
                        self.next_frame = Instant::now();
                    }
                    self.update(answer);
                }
                report = feed.recv(), if feeds => match report {
                    Some(report) => self.update(Msg::Feed(report)),
                    None => feeds = false,
                },
                Some(panic) = panics.recv() => self.notify(Notice::bad(panic)),
                () = tokio::time::sleep_until(self.next_frame.into()), if self.dirty => {}
                () = until(tick), if !self.dirty => self.dirty = true,
            }
            self.update(Msg::Tick(now()));
            let since = std::mem::replace(&mut awake, (SystemTime::now(), Instant::now()));
            if self.has_focus && has_slept(awake.0.duration_since(since.0).unwrap_or_default(), awake.1 - since.1) {
                // The timers of polls stopped as well.
                self.focus(true);
            }
            for _ in 0..MAX_REPORTS {
                let Ok(report) = feed.try_recv() else { break };
                self.update(Msg::Feed(report));
            }
            if let Some(child) = self.child.take() {
                // The child reads the keys until it ends.
                drop(input);
                self.guard.leave();
                self.focus(false);
                let ended = foreground::run(child, &mut signals.stop).await;
                input = EventStream::new();
                self.retake()?;
                if let Err(error) = ended {
                    self.notify(Notice::bad(error.to_string()));
                }
            }
            if std::mem::take(&mut self.suspended) {
                self.guard.leave();
                // The call may return before the signal stops this thread, so this waits for the signal to continue.
                rustix::process::kill_current_process_group(rustix::process::Signal::STOP).map_err(io::Error::from)?;
                signals.go_on.recv().await;
                self.retake()?;
            }
        }
        self.guard.leave();
        Ok(Ending { left: self.ending.unwrap_or(false), farewell: self.app.farewell() })
    }

    /// Returns how long the picture may stay if nothing happens; `None` if it does not change with time.
    fn next_tick(&self) -> Option<Duration> {
        if self.app.is_moving() {
            return Some(Duration::from_millis(if self.app.is_pulsing() { 250 } else { 1000 }));
        }
        Some(self.app.is_still_for()?.max(AGES_INTERVAL))
    }

    fn input(&mut self, event: Event) {
        // The effect of an input is drawn at once instead of with the next frame.
        self.next_frame = Instant::now();
        self.awaited = AWAITED;
        match event {
            Event::Key(key) => self.update(Msg::Key(key)),
            Event::Mouse(mouse) => self.update(Msg::Mouse(mouse)),
            Event::Resize(width, height) => {
                self.canvas.resize(width, height);
                self.update(Msg::Resize(width, height));
            }
            Event::FocusGained => {
                self.canvas.forget();
                self.dirty = true;
                self.focus(true);
            }
            Event::Paste(text) => self.update(Msg::Paste(text)),
            Event::FocusLost => self.focus(false),
        }
    }

    /// Notes whether the user is looking at the screen.
    fn focus(&mut self, has_focus: bool) {
        self.has_focus = has_focus;
        self.update(Msg::Focus(has_focus));
    }

    /// Passes a message to the app and carries out the effects.
    fn update(&mut self, msg: Msg) {
        self.dirty |= !matches!(msg, Msg::Tick(_));
        for effect in self.app.update(msg) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Request(request) => {
                if let Err(error) = self.requests.try_send(request) {
                    let reason = match error {
                        mpsc::error::TrySendError::Full(_) => "too many requests are pending: try again",
                        mpsc::error::TrySendError::Closed(_) => "the backend has ended",
                    };
                    self.notify(Notice::bad(reason));
                }
            }
            Effect::LoadPage(request) => {
                let theme = self.app.theme();
                load_page(&self.logs, request, &self.answers, move |page| Msg::Page(RenderedPage::new(page, theme)));
            }
            Effect::CopyLines(request) => load_page(&self.logs, request, &self.answers, Msg::Copied),
            Effect::SearchLog(search) => self.searches.search(&self.logs, search, &self.answers),
            Effect::CancelSearch(slot) => self.searches.cancel(slot),
            Effect::SearchRun(search) => self.searches.search_run(&self.logs, search, &self.answers),
            Effect::Shell { run, job, service } => match foreground::shell(&run, &job, service.as_deref()) {
                Ok(shell) => self.child = Some(shell),
                Err(error) => self.notify(Notice::bad(format!("cannot start a shell: {error}"))),
            },
            Effect::FollowService { of, service } => match foreground::service_log(of.as_ref(), &service) {
                Ok(log) => self.child = Some(log),
                Err(error) => self.notify(Notice::bad(format!("cannot follow the log of {service}: {error}"))),
            },
            Effect::Program { arguments, has_screen } => match foreground::program(&arguments, has_screen) {
                Ok(program) => self.child = Some(program),
                Err(error) => self.notify(Notice::bad(format!("cannot start {}: {error}", arguments.join(" ")))),
            },
            Effect::Edit { run: Some(run), file, line } => match self.logs.file(&run, &file) {
                Some(path) => self.child = Some(foreground::editor(&path, line)),
                None => self.notify(Notice::bad(format!("{file} is not in the repository of this run"))),
            },
            Effect::Edit { run: None, file, line } => match foreground::file_here(&file) {
                Some(path) => self.child = Some(foreground::editor(&path, line)),
                None => self.notify(Notice::bad(format!("{file} is not in the repository of this folder"))),
            },
            // Unless tmux is set up for it, tmux drops text that programs send to the clipboard. Its own buffer always
            // works.
            Effect::Copy(text) if std::env::var_os("TMUX").is_some() => {
                let answers = self.answers.clone();
                tokio::spawn(async move {
                    let notice = foreground::copy_with_tmux(&text).await;
                    // The screen may be closed meanwhile.
                    let _ = answers.send(Msg::Feed(Feed::Notice(notice))).await;
                });
            }
            Effect::Copy(text) => {
                let mut bytes = Vec::new();
                queue!(bytes, CopyToClipboard::to_clipboard_from(text)).expect("writing to memory cannot fail");
                self.send(&bytes);
            }
            Effect::CaptureMouse(capture) => {
                let bytes = self.guard.capture_mouse(capture);
                self.send(bytes);
            }
            Effect::Alert { run, why, text } => {
                if let Some(bytes) = self.alerts.bytes(&text) {
                    self.send(bytes.as_bytes());
                }
                let started = self.alerts.command(why).map(|command| foreground::start_command(command, &run, &text));
                if let Some(Err(error)) = started {
                    self.notify(Notice::bad(format!("cannot run the alert command of the settings: {error}")));
                }
            }
            Effect::Title(title) => self.send(format!("\x1b]2;{title}\x07").as_bytes()),
            Effect::Suspend => self.suspended = true,
            Effect::Redraw => self.canvas.forget(),
            Effect::Quit => self.ending = Some(true),
        }
    }

    fn notify(&mut self, notice: Notice) {
        self.update(Msg::Feed(Feed::Notice(notice)));
    }

    /// Sends control sequences. An error is only logged, because drawing the next frame fails anyway if the terminal is
    /// gone.
    fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.canvas.send(bytes) {
            tracing::warn!(%error, "cannot write to the terminal");
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let app = &self.app;
        self.canvas.paint(
            app.moving_rows(),
            |mark| app.address(mark),
            |buffer| {
                app.draw(buffer);
                if let Some(area) = app.diagnostics() {
                    draw_diagnostics(area.intersection(buffer.area), buffer);
                }
            },
        )?;
        self.dirty = false;
        self.next_frame = Instant::now() + self.frame;
        Ok(())
    }

    /// Takes the terminal again after another program used it.
    fn retake(&mut self) -> io::Result<()> {
        self.guard.enter()?;
        let (width, height) = crossterm::terminal::size()?;
        self.canvas.resize(width, height);
        self.update(Msg::Resize(width, height));
        self.focus(true);
        Ok(())
    }
}

/// Draws the log of the program, or that nothing was logged.
fn draw_diagnostics(area: Rect, buffer: &mut Buffer) {
    tui_logger::move_events();
    tui_logger::TuiLoggerWidget::default().render(area, buffer);
    if !area.is_empty() && area.positions().all(|at| buffer[at].symbol() == " ") {
        text::put(buffer, area.x + 1, area.y, area.width.saturating_sub(2), "nothing was logged", Style::new());
    }
}

/// Waits until a time. Never returns without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Whether the machine slept, from the time that passed by the wall clock and by the monotonic clock.
fn has_slept(wall: Duration, monotonic: Duration) -> bool {
    wall.saturating_sub(monotonic) >= MIN_SLEEP
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_lines_is_not_an_empty_box() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 6));
        draw_diagnostics(Rect::new(1, 1, 38, 4), &mut buffer);
        let row: String = (0..40).map(|x| buffer[(x, 1)].symbol()).collect();
        assert!(row.starts_with("  nothing was logged"), "{row}");
    }

    #[test]
    fn only_a_gain_of_the_wall_clock_is_a_sleep() {
        let seconds = Duration::from_secs;
        for (wall, monotonic, slept) in
            [(0, 0, false), (600, 600, false), (600, 595, false), (5, 600, false), (610, 600, true), (86_400, 0, true)]
        {
            assert_eq!(has_slept(seconds(wall), seconds(monotonic)), slept, "{wall} {monotonic}");
        }
    }
}
