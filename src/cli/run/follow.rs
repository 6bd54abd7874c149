//! Follows a run until it ends.

use crate::backend::local::follow::Follower;
use crate::launch::commands;
use crate::store::folder::RunFolder;
use crate::store::history;

use crate::cli::printer::{GitHub, Lines, Printer, Printing};
use crate::cli::style::{Style, inside_actions};
use crate::cli::{Exit, Failure, Outcome};

/// Follows a run for people, from this attempt on; inside GitHub Actions in GitHub's form.
pub(in crate::cli) fn follow_as_lines(run: &RunFolder, attempt: u32) -> Outcome {
    let style = Style::of_output();
    if inside_actions() {
        follow(run, attempt, &mut GitHub::new(style))
    } else {
        follow(run, attempt, &mut Lines::new(style))
    }
}

/// Follows a run until it has ended. The first Ctrl-C cancels it, the second one by force, and the third leaves it running.
pub(in crate::cli) fn follow(run: &RunFolder, attempt: u32, printer: &mut dyn Printer) -> Outcome {
    let header = history::info(run)?;
    let mut printing = Printing::new(run, header, attempt, printer);
    crate::cli::block_on(async {
        let mut follower = Follower::new(run.clone());
        let mut interrupts = 0;
        loop {
            tokio::select! {
                records = follower.next() => match records? {
                    Some(records) => printing.records(&records)?,
                    None => break,
                },
                _ = tokio::signal::ctrl_c() => {
                    interrupts += 1;
                    if interrupts > 2 {
                        let message = format!("left the run in progress: cuelight attach {}", run.id());
                        return Err(Failure::new(Exit::Cancelled, message));
                    }
                    // If the run cannot be cancelled it is ending, and the records of its end come next.
                    let _ = commands::cancel(run, interrupts == 2).await;
                }
            }
        }
        Ok::<_, Failure>(())
    })??;
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

/// The last line of the worker's own log.
fn last_words(run: &RunFolder) -> String {
    let log = std::fs::read_to_string(run.worker_log()).unwrap_or_default();
    log.lines().last().unwrap_or("nothing").to_owned()
}
