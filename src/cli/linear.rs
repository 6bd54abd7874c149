//! The runs in sentences for a screen reader, instead of the screen.

use std::collections::VecDeque;

use tokio::signal::unix::{SignalKind, signal};

use crate::backend;
use crate::backend::registry;
use crate::backend::registry::Source;
use crate::launch;
use crate::model::feed::Request;
use crate::report::sentences::Sentences;
use crate::store::history;
use crate::store::history::Filter;

use super::{Exit, Failure, Outcome, block_on, config, runs_dir};

/// Number of runs that are printed at the beginning, besides those in progress.
const FIRST: usize = 5;

/// Prints the newest runs and each change of a run, until it is interrupted: of this repository and of those that the
/// screen shows with it, or with `all` of all repositories.
pub(super) fn follow(all: bool) -> Outcome {
    let runs = runs_dir()?;
    let here = std::env::current_dir()?;
    let home = if all { None } else { launch::home(&here) };
    let backend = registry::open(Source::of_user(here, config::load(None)?.github, None)?)?;
    let filter = Filter { repository: home.clone(), ..Filter::default() };
    let newest = history::page(&runs, &filter, None, FIRST)?;
    block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut sentences = Sentences::new(runs, home);
        let mut wanted = VecDeque::from(sentences.begin(&newest.runs, newest.more)?);
        let mut connected = backend::connect(backend);
        loop {
            tokio::select! {
                _ = interrupted.recv() => return Ok(Exit::Cancelled),
                // The backend takes no requests while its reports are not read.
                room = connected.requests.reserve(), if !wanted.is_empty() => {
                    let Ok(room) = room else { break };
                    room.send(Request::Follow(wanted.pop_front().expect("checked above")));
                }
                report = connected.feed.recv() => {
                    let Some(report) = report else { break };
                    wanted.extend(sentences.print(report)?);
                }
            }
        }
        Err(Failure::new(Exit::Unavailable, "the source of the runs has ended"))
    })?
}
