//! `doctor`: checks what runs need on this machine, and what the terminal supports.

use crate::launch::doctor;
use crate::launch::doctor::{Check, Finding};
use crate::report::lists;
use crate::report::style;
use crate::report::style::Style;

use super::{Exit, Outcome, block_on, config, screen};

pub(super) fn run() -> Outcome {
    let own = [("settings", settings()), ("terminal", lists::terminal(screen::is_possible()))];
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
                Finding::Warning(format!("{jobs}; containers get Docker's socket, and with it access to this machine"))
            } else {
                Finding::Good(jobs)
            }
        }
        Err(failure) => Finding::Bad(failure.message),
    }
}
