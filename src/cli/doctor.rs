//! `doctor`: whether this machine has what runs need, and what the terminal can do.

use std::io::IsTerminal;

use crate::launch::doctor;
use crate::launch::doctor::{Check, Finding};
use crate::report::lists;
use crate::report::style;
use crate::report::style::Style;
use crate::ui::theme::{Colours, Glyphs};

use super::{Exit, Outcome, block_on, config, screen};

pub(super) fn run() -> Outcome {
    let own = [("settings", settings()), ("terminal", terminal())];
    let own = own.into_iter().map(|(subject, finding)| Check { subject, finding });
    let style = Style::of_output();
    let mut exit = Exit::Success;
    for Check { subject, finding } in block_on(doctor::check())?.into_iter().chain(own) {
        if matches!(finding, Finding::Bad(_)) {
            exit = Exit::Failed;
        }
        style::line(&lists::finding(subject, &finding, style))?;
    }
    Ok(exit)
}

fn settings() -> Finding {
    let loaded = config::load(config::repository().as_deref());
    match loaded.and_then(|settings| config::keymap(&settings).map(|_| settings)) {
        Ok(settings) => {
            let jobs = format!("at most {} jobs at once; `cuelight config` prints all settings", settings.max_parallel);
            if settings.docker_socket {
                Finding::Warning(format!("{jobs}; containers get Docker's socket, and with it this machine"))
            } else {
                Finding::Good(jobs)
            }
        }
        Err(failure) => Finding::Bad(failure.message),
    }
}

fn terminal() -> Finding {
    if !std::io::stdout().is_terminal() {
        return Finding::Good("not a terminal: runs are printed as lines".to_owned());
    }
    let style = Style::of_output();
    let colour = if style.colours() == Colours::Terminal { "colours" } else { "no colours" };
    let signs =
        if style.glyphs() == Glyphs::Ascii { "ASCII symbols, as the locale has no UTF-8" } else { "Unicode symbols" };
    match crossterm::terminal::size() {
        Ok((width, height)) if screen::is_possible() => Finding::Good(format!("{width}x{height}, {colour}, {signs}")),
        Ok(_) => Finding::Warning("TERM is not set or `dumb`: runs are printed as lines".to_owned()),
        Err(error) => Finding::Warning(format!("its size is unknown: {error}")),
    }
}
