//! The terminal's mode. A [`Guard`] makes the terminal raw and shows the alternate screen. Dropping it restores the
//! terminal.
//!
//! The terminal is restored however the program ends, even by a panic. The panic hook restores it before the message is
//! printed, so that the message stays readable. A panic of another thread is only reported to the screen.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::event::{DisableFocusChange, EnableFocusChange};
use crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, queue};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc::UnboundedSender;

/// Enables reports of clicks and the wheel (mode 1000) with decimal positions (mode 1006). Movement is not reported,
/// because it would wake the program and cost bytes on a slow line.
const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const NO_MOUSE: &[u8] = b"\x1b[?1006l\x1b[?1000l";

/// Sequences that save the title of the window and restore it (xterm's window operations).
const SAVE_TITLE: &[u8] = b"\x1b[22;2t";
const RESTORE_TITLE: &[u8] = b"\x1b[23;2t";

/// Gives the cursor the form of the terminal's settings again (DECSCUSR).
const CURSOR_STYLE: &[u8] = b"\x1b[0 q";

/// Exclusive use of the terminal.
#[derive(Debug)]
pub struct Guard {
    active: Arc<AtomicBool>,
    mouse: bool,
    /// The mode of the terminal before the screen took it.
    before: Termios,
}

impl Guard {
    /// Takes the terminal for the screen, which this thread must draw, and installs a panic hook. With `mouse`, also
    /// captures the mouse. `panics` gets the message of each panic of another thread.
    ///
    /// # Errors
    /// Input or output is not a terminal, or setting its mode fails.
    pub fn take(mouse: bool, panics: UnboundedSender<String>) -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "input and output must be a terminal"));
        }
        let before = tcgetattr(io::stdin())?;
        let guard = Self { active: Arc::new(AtomicBool::new(false)), mouse, before };
        let active = Arc::clone(&guard.active);
        let before = std::panic::take_hook();
        let screen = thread::current().id();
        std::panic::set_hook(Box::new(move |panic| {
            if thread::current().id() != screen && active.load(Ordering::SeqCst) {
                let text = panic.payload_as_str().unwrap_or("a panic without a message");
                let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
                let message = format!("a bug in cuelight: {text}{}", place.unwrap_or_default());
                tracing::error!("{message}");
                // The receiver is gone once the screen is closed.
                let _ = panics.send(message);
                return;
            }
            if active.swap(false, Ordering::SeqCst) {
                restore();
            }
            before(panic);
        }));
        guard.enter()?;
        Ok(guard)
    }

    /// Takes the terminal again after [`Guard::leave`], or after another program used it.
    ///
    /// # Errors
    /// Setting the mode of the terminal fails.
    pub fn enter(&self) -> io::Result<()> {
        // The other program may have died in raw mode, so the mode from before is set again first. The raw mode is then
        // set again as well, even if this program was only continued by a signal and never left it.
        terminal::disable_raw_mode()?;
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before)?;
        terminal::enable_raw_mode()?;
        self.active.store(true, Ordering::SeqCst);
        let mut bytes = SAVE_TITLE.to_vec();
        queue!(bytes, EnterAlternateScreen, cursor::Hide, EnableBracketedPaste, EnableFocusChange)?;
        if self.mouse {
            bytes.extend_from_slice(MOUSE);
        }
        let mut out = io::stdout();
        out.write_all(&bytes)?;
        out.flush()
    }

    /// Restores the terminal; does nothing if it has already been restored. [`Guard::enter`] takes it again.
    pub fn leave(&self) {
        if self.active.swap(false, Ordering::SeqCst) {
            restore();
        }
    }

    /// Whether the terminal is raw and on the alternate screen; `false` after [`Guard::leave`], or after a panic of the
    /// thread that draws the screen.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::SeqCst)
    }

    /// Captures the mouse or releases it. Returns the bytes to send to the terminal.
    pub fn capture_mouse(&mut self, capture: bool) -> &'static [u8] {
        self.mouse = capture;
        if capture { MOUSE } else { NO_MOUSE }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Undoes everything that [`Guard::enter`] and drawing do, in one write. Errors are ignored, because nothing is left to
/// report them with.
fn restore() {
    // An unfinished frame, a scroll region, a style and the form of the cursor may be left over.
    let mut bytes = b"\x1b[?2026l\x1b[r\x1b[m".to_vec();
    bytes.extend_from_slice(CURSOR_STYLE);
    bytes.extend_from_slice(NO_MOUSE);
    bytes.extend_from_slice(RESTORE_TITLE);
    let _ = queue!(bytes, DisableFocusChange, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let mut out = io::stdout();
    let _ = out.write_all(&bytes).and_then(|()| out.flush());
    let _ = terminal::disable_raw_mode();
}
