//! The terminal: the loop that turns input and reports into messages, carries out effects, and draws.
//!
//! [`run()`] owns the terminal until it returns. It waits for the next signal, key, page of a log or report of the
//! backend, passes all that has arrived to [`App::update`](crate::app::App::update), and draws. The number of frames
//! per second is limited, but the effect of an input is drawn at once. There is no timer while nothing on the screen
//! changes with time. Each frame is one write.
//!
//! - [`offscreen`]: the screen as a picture, without a terminal
//! - [`shell_terminal`]: the terminal of a shell in a job's environment

mod alerts;
mod canvas;
mod effects;
mod foreground;
mod guard;
mod hang_up;
pub mod offscreen;
mod run;
pub mod shell_terminal;

pub use alerts::Alerts;
pub use canvas::Canvas;
pub use guard::Guard;
pub use run::{Ending, Options, TuiError, diagnostics, run};
