//! Follows a run until it ends.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::backend::local::follow::Follower;
use crate::launch::commands;
use crate::store::folder::RunFolder;
use crate::store::history;

use crate::cli::printer::{GitHub, Lines, Printer, Printing};
use crate::cli::style::{Style, inside_actions};
use crate::cli::{Exit, Failure, Outcome};

/// Follows a run for people, from this attempt on; inside GitHub Actions with workflow commands.
pub(crate) fn follow_as_lines(run: &RunFolder, attempt: u32) -> Outcome {
    follow(run, attempt, &mut *lines())
}

/// Returns the printer for people; inside GitHub Actions, the printer of workflow commands.
pub(super) fn lines() -> Box<dyn Printer> {
    let style = Style::of_output();
    if inside_actions() { Box::new(GitHub::new(style)) } else { Box::new(Lines::new(style)) }
}

/// How long a force-cancelled run is followed.
const FORCED_END_TIMEOUT: Duration = Duration::from_secs(5);

/// Follows a run until it has ended. The first Ctrl-C cancels it. The second one force-cancels it, and stops following
/// if the end takes long. The third one stops following at once.
pub(crate) fn follow(run: &RunFolder, attempt: u32, printer: &mut dyn Printer) -> Outcome {
    start_and_follow(|| Ok(run.clone()), attempt, printer)
}

/// Starts a run and follows it like [`follow`]. An interrupt in between is not lost.
pub(super) fn start_and_follow(
    start: impl FnOnce() -> Result<RunFolder, Failure>,
    attempt: u32,
    printer: &mut dyn Printer,
) -> Outcome {
    crate::cli::block_on(async {
        // One stream for the whole time, so that no interrupt is lost while records are printed.
        let interrupted = signal(SignalKind::interrupt())?;
        let run = start()?;
        follow_until_end(&run, attempt, printer, interrupted).await
    })?
}

async fn follow_until_end(
    run: &RunFolder,
    attempt: u32,
    printer: &mut dyn Printer,
    mut interrupted: Signal,
) -> Outcome {
    let header = history::info(run)?;
    let mut printing = Printing::new(run, header, attempt, printer);
    let mut follower = Follower::new(run.clone());
    let left = || {
        let message = format!("left the run in progress: cuelight attach {}", run.id());
        Failure::new(Exit::Cancelled, message)
    };
    let mut interrupts = 0;
    let mut orders = FuturesUnordered::new();
    let leave = tokio::time::sleep(Duration::MAX);
    tokio::pin!(leave);
    loop {
        tokio::select! {
            records = follower.next() => match records? {
                Some(records) => printing.records(&records)?,
                None => break,
            },
            _ = interrupted.recv() => {
                interrupts += 1;
                if interrupts > 2 {
                    return Err(left());
                }
                if interrupts == 2 {
                    leave.as_mut().reset(Instant::now() + FORCED_END_TIMEOUT);
                }
                orders.push(commands::cancel(run, interrupts == 2));
            }
            // If the run cannot be cancelled it is ending, and the records of its end come next.
            Some(_) = orders.next() => {}
            () = &mut leave => return Err(left()),
        }
    }
    match printing.end()? {
        Some(conclusion) => Ok(Exit::of(conclusion)),
        None => Err(Failure::new(
            Exit::Unavailable,
            format!(
                "the run's end is not recorded in {}; its worker's log ends with: {}",
                run.path().display(),
                last_words(run)
            ),
        )),
    }
}

/// Returns the last line of the worker's log.
fn last_words(run: &RunFolder) -> String {
    let log = std::fs::read_to_string(run.worker_log()).unwrap_or_default();
    log.lines().last().unwrap_or("nothing").to_owned()
}
