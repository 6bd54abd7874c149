//! The terminal's mode: raw and on its other screen exactly as long as a [`Guard`] lives.
//!
//! Whatever ends the program, a panic included, the terminal is given back as it was. The panic hook gives it back
//! before the message is printed, so that the message stays readable.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::event::{DisableFocusChange, EnableFocusChange};
use crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, queue};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Clicks and the wheel (mode 1000) with places as text (mode 1006). Moves are of no interest, and would wake the
/// program and cost a slow line bytes.
const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const NO_MOUSE: &[u8] = b"\x1b[?1006l\x1b[?1000l";

/// Puts the title of the window aside, and takes it back (of xterm's window operations).
const KEEP_TITLE: &[u8] = b"\x1b[22;2t";
const GIVE_TITLE: &[u8] = b"\x1b[23;2t";

/// Whoever holds it holds the terminal.
#[derive(Debug)]
pub struct Guard {
    active: Arc<AtomicBool>,
    mouse: bool,
    /// The terminal's mode before it was taken.
    before: Termios,
}

impl Guard {
    /// Takes the terminal, with its mouse if wanted.
    ///
    /// # Errors
    /// Input or output is no terminal, or the terminal refuses.
    pub fn take(mouse: bool) -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "input and output must be a terminal"));
        }
        let before = tcgetattr(io::stdin())?;
        let guard = Self { active: Arc::new(AtomicBool::new(false)), mouse, before };
        let active = Arc::clone(&guard.active);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if active.swap(false, Ordering::SeqCst) {
                restore();
            }
            before(panic);
        }));
        guard.enter()?;
        Ok(guard)
    }

    /// Takes the terminal again after [`Guard::leave`], or after somebody else had it.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn enter(&self) -> io::Result<()> {
        // Whoever had it meanwhile may have died in raw mode, and that is not what is to be restored.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before)?;
        terminal::enable_raw_mode()?;
        self.active.store(true, Ordering::SeqCst);
        let mut bytes = KEEP_TITLE.to_vec();
        queue!(bytes, EnterAlternateScreen, cursor::Hide, EnableBracketedPaste, EnableFocusChange)?;
        if self.mouse {
            bytes.extend_from_slice(MOUSE);
        }
        let mut out = io::stdout();
        out.write_all(&bytes)?;
        out.flush()
    }

    /// Gives the terminal back. Called twice, it does nothing the second time.
    pub fn leave(&self) {
        if self.active.swap(false, Ordering::SeqCst) {
            restore();
        }
    }

    /// Whether the terminal is still held: a panic of any thread gives it back.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::SeqCst)
    }

    /// Takes the mouse or lets it go; the bytes that do it.
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

/// Undoes everything that [`Guard::enter`] and drawing do, in one write. Errors have nobody left to hear them.
fn restore() {
    // An unfinished frame, a scroll region and a style may be left over.
    let mut bytes = b"\x1b[?2026l\x1b[r\x1b[m".to_vec();
    bytes.extend_from_slice(NO_MOUSE);
    bytes.extend_from_slice(GIVE_TITLE);
    let _ = queue!(bytes, DisableFocusChange, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let mut out = io::stdout();
    let _ = out.write_all(&bytes).and_then(|()| out.flush());
    let _ = terminal::disable_raw_mode();
}
