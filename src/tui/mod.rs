//! The terminal: the loop that turns keys and records into messages, carries out effects, and draws.
//!
//! [`run()`] owns the terminal until it returns. It waits for whatever comes first (a signal, a key, lines of a log, news
//! of runs), hands all that is there to [`App::update`](crate::app::App::update), and draws at most once per frame; while nothing runs there is
//! no timer at all. Each frame is one write.

mod alerts;
mod canvas;
mod effects;
mod foreground;
mod guard;
mod run;

pub use alerts::Alerts;
pub use canvas::Canvas;
pub use guard::Guard;
pub use run::{Ending, Options, TuiError, diagnostics, run};
