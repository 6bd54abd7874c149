//! The event loop.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{Event, EventStream};
use crossterm::queue;
use futures_util::StreamExt;
use ratatui::widgets::Widget;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::app::App;
use crate::app::msg::{Effect, Msg, RenderedPage};
use crate::backend;
use crate::backend::{Backend, Connected};
use crate::model::Timestamp;
use crate::model::feed::{Feed, Notice, Request};
use crate::store::logs::query::Logs;

use super::alerts::Alerts;
use super::canvas::Canvas;
use super::effects::{Searches, load_page};
use super::foreground;
use super::foreground::Child;
use super::guard::Guard;

/// How the screen is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Frames a second at the most: 30, and 10 over a slow line.
    pub frames: u16,
    /// Whether the mouse is taken at the start.
    pub mouse: bool,
    /// Whether the terminal may be asked to move rows.
    pub scroll_region: bool,
    /// Whom to call, and when not to.
    pub alerts: Alerts,
}

impl Options {
    /// What fits the terminal: few frames when it is at the end of an SSH line.
    #[must_use]
    pub fn detect() -> Self {
        let far = std::env::var_os("SSH_CONNECTION").is_some_and(|value| !value.is_empty());
        Self { frames: if far { 10 } else { 30 }, mouse: true, scroll_region: true, alerts: Alerts::default() }
    }
}

/// How the screen ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Whether the user left. Otherwise the terminal was closed or the program told to end; runs go on either way.
    pub left: bool,
    /// The selected run in a few lines, for the normal screen.
    pub farewell: Vec<String>,
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The terminal cannot show one.
    #[error("this terminal cannot show the screen ({reason}); `--headless` prints lines instead")]
    Unsupported {
        /// What is missing.
        reason: String,
    },
    /// The terminal failed.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] io::Error),
}

/// Takes in what the program records about itself; the screen shows it. Install it as a layer of the subscriber.
#[must_use]
pub fn diagnostics<S>() -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    // The crate's own initialisation would start a thread that wakes a hundred times a second; events are moved when
    // they are drawn instead.
    tui_logger::set_default_level(tui_logger::LevelFilter::Debug);
    tui_logger::TuiTracingSubscriberLayer
}

/// Shows the screen until the user leaves or the terminal goes away.
///
/// If the backend ends the screen stays, with what was reported. The requests that the user made last are still carried
/// out, as far as that takes less than a second.
///
/// # Errors
/// The terminal cannot show a screen, or fails. It is given back in any case.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn run(app: App, backend: Box<dyn Backend>, options: Options) -> Result<Ending, TuiError> {
    if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        return Err(TuiError::Unsupported { reason: "TERM is dumb".to_owned() });
    }
    let guard = Guard::take(options.mouse).map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => TuiError::Unsupported { reason: error.to_string() },
        _ => TuiError::Terminal(error),
    })?;
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
        scans: Searches::default(),
        alerts: options.alerts,
        ending: None,
    };
    let ending = screen.run(size, feed, answered).await;
    let _ = tokio::time::timeout(LAST_REQUESTS_TIMEOUT, served).await;
    ending
}

/// Everything the loop owns.
struct Loop {
    app: App,
    canvas: Canvas<io::Stdout>,
    guard: Guard,
    requests: mpsc::Sender<Request>,
    logs: Arc<dyn Logs>,
    answers: mpsc::Sender<Msg>,
    /// The least time between two frames.
    frame: Duration,
    next_frame: Instant,
    dirty: bool,
    /// So many answers are drawn at once: the user did something, and may wait for them.
    awaited: u8,
    /// The user wants the shell back for a while.
    suspended: bool,
    /// A program that the terminal is to be given to for a while.
    child: Option<Child>,
    scans: Searches,
    alerts: Alerts,
    /// Whether the user left, once the loop is to end.
    ending: Option<bool>,
}

/// The signals that concern a terminal program.
struct Signals {
    terminate: Signal,
    hang_up: Signal,
    stop: Signal,
    go_on: Signal,
    /// Never asked for: that somebody listens keeps the program alive when keys interrupt what it gave the terminal to.
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

/// Answers (lines, matches) that are drawn at once after something the user did.
const AWAITED: u8 = 4;

/// How long the backend may take for the last requests once the screen is closed.
const LAST_REQUESTS_TIMEOUT: Duration = Duration::from_secs(1);

/// News taken in before a frame is drawn, at the most.
const BATCHES: usize = 64;

impl Loop {
    async fn run(
        mut self,
        size: (u16, u16),
        mut feed: mpsc::Receiver<Feed>,
        mut answered: mpsc::Receiver<Msg>,
    ) -> Result<Ending, TuiError> {
        let mut signals = Signals::new()?;
        let mut input = EventStream::new();
        let mut feeds = true;
        self.update(Msg::Tick(now()));
        self.update(Msg::Resize(size.0, size.1));
        while self.ending.is_none() && self.guard.is_active() {
            if self.dirty && Instant::now() >= self.next_frame {
                self.draw()?;
            }
            let tick = Instant::now() + Duration::from_millis(if self.app.is_pulsing() { 250 } else { 1000 });
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
                news = feed.recv(), if feeds => match news {
                    Some(news) => self.update(Msg::Feed(news)),
                    None => feeds = false,
                },
                () = tokio::time::sleep_until(self.next_frame.into()), if self.dirty => {}
                () = tokio::time::sleep_until(tick.into()), if self.app.is_moving() && !self.dirty => self.dirty = true,
            }
            self.update(Msg::Tick(now()));
            for _ in 0..BATCHES {
                let Ok(news) = feed.try_recv() else { break };
                self.update(Msg::Feed(news));
            }
            if let Some(child) = self.child.take() {
                // Keys are the child's meanwhile.
                drop(input);
                self.guard.leave();
                let ended = foreground::run(child, &mut signals.stop).await;
                input = EventStream::new();
                self.retake()?;
                if let Err(error) = ended {
                    self.tell(Notice::bad(error));
                }
            }
            if std::mem::take(&mut self.suspended) {
                self.guard.leave();
                // The signal need not have stopped this thread when the call returns, so going on is waited for.
                rustix::process::kill_current_process_group(rustix::process::Signal::STOP).map_err(io::Error::from)?;
                signals.go_on.recv().await;
                self.retake()?;
            }
        }
        self.guard.leave();
        Ok(Ending { left: self.ending.unwrap_or(false), farewell: self.app.farewell() })
    }

    fn input(&mut self, event: Event) {
        // What the user does is seen at once, however short ago the last frame was.
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
            }
            Event::Paste(text) => self.update(Msg::Paste(text)),
            Event::FocusLost => {}
        }
    }

    /// Hands over a message and carries out what comes of it.
    fn update(&mut self, msg: Msg) {
        self.dirty |= !matches!(msg, Msg::Tick(_));
        for effect in self.app.update(msg) {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Request(order) => {
                if let Err(error) = self.requests.try_send(order) {
                    let reason = match error {
                        mpsc::error::TrySendError::Full(_) => "too many requests are pending: try again",
                        mpsc::error::TrySendError::Closed(_) => "the backend has ended",
                    };
                    self.tell(Notice::bad(reason));
                }
            }
            Effect::LoadPage(request) => {
                let theme = self.app.theme();
                load_page(&self.logs, request, &self.answers, move |page| Msg::Page(RenderedPage::new(page, theme)));
            }
            Effect::CopyLines(request) => load_page(&self.logs, request, &self.answers, Msg::Copied),
            Effect::SearchLog(scan) => self.scans.search(&self.logs, scan, &self.answers),
            Effect::CancelSearch(place) => self.scans.cancel(place),
            Effect::SearchRun(grep) => self.scans.search_run(&self.logs, grep, &self.answers),
            Effect::Shell { run, job, service } => match foreground::shell(&run, &job, service.as_deref()) {
                Ok(shell) => self.child = Some(shell),
                Err(error) => self.tell(Notice::bad(format!("cannot start a shell: {error}"))),
            },
            Effect::Edit { run, file, line } => match self.logs.file(&run, &file) {
                Some(path) => self.child = Some(foreground::editor(&path, line)),
                None => self.tell(Notice::bad(format!("{file} is not in the repository of this run"))),
            },
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
                if let Some(Err(error)) = self.alerts.command(why).map(|command| foreground::call(command, &run, &text))
                {
                    self.tell(Notice::bad(format!("the command of the settings for this cannot be run: {error}")));
                }
            }
            Effect::Title(title) => self.send(format!("\x1b]2;{title}\x07").as_bytes()),
            Effect::Suspend => self.suspended = true,
            Effect::Redraw => self.canvas.forget(),
            Effect::Quit => self.ending = Some(true),
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.update(Msg::Feed(Feed::Notice(notice)));
    }

    /// A terminal that takes nothing any more is noticed with the next frame.
    fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.canvas.send(bytes) {
            tracing::warn!(%error, "the terminal takes nothing");
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
                    tui_logger::move_events();
                    tui_logger::TuiLoggerWidget::default().render(area.intersection(buffer.area), buffer);
                }
            },
        )?;
        self.dirty = false;
        self.next_frame = Instant::now() + self.frame;
        Ok(())
    }

    /// Takes the terminal again, whatever happened to it meanwhile.
    fn retake(&mut self) -> io::Result<()> {
        self.guard.enter()?;
        let (width, height) = crossterm::terminal::size()?;
        self.canvas.resize(width, height);
        self.update(Msg::Resize(width, height));
        Ok(())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}
