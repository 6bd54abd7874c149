//! Follows a run until it ends.

use std::io::{self, IsTerminal};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::backend::local::follow::Follower;
use crate::launch::commands;
use crate::report::style;
use crate::report::style::{Style, inside_actions, is_linear};
use crate::report::{GitHub, Json, Linear, Lines, Printer, Printing, Silent};
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::ui::terminal_text::text;

use crate::cli::servers;
use crate::cli::{Exit, Failure, Outcome};

/// Returns the printer for people; inside GitHub Actions, the printer of workflow commands.
pub(crate) fn lines() -> Box<dyn Printer> {
    if is_linear() {
        return Box::new(Linear::default());
    }
    let style = Style::of_output();
    if inside_actions() { Box::new(GitHub::new(style)) } else { Box::new(Lines::new(style)) }
}

/// Returns the printer of records as JSON lines, or the printer for people.
pub(crate) fn printer(json: bool) -> Box<dyn Printer> {
    if json { Box::new(Json) } else { lines() }
}

/// Returns the printer for people, or with `json` one that prints nothing.
pub(crate) fn unless(json: bool) -> Box<dyn Printer> {
    if json { Box::new(Silent) } else { lines() }
}

/// Note after the first interrupt.
const CANCELLING: &str =
    "cancelling; Ctrl-C again ends it at once (to leave a run in progress: Ctrl-\\, or `run --detach`)";

/// How long to wait for the end of a force-cancelled run.
const FORCED_END_TIMEOUT: Duration = Duration::from_secs(5);

/// What an interrupt means for a followed run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    /// The first Ctrl-C cancels the run. The second one force-cancels it, and stops following if the run does not end
    /// soon. The third one stops following at once.
    Cancels,
    /// Ctrl-C stops following, and the run continues.
    Detaches,
}

/// When to stop following a run before its end.
#[derive(Clone, Copy)]
struct Until<'u> {
    /// What Ctrl-C means.
    interrupt: Interrupt,
    /// Whether following may stop although the run continues.
    is_enough: &'u dyn Fn() -> bool,
    /// Whether the first job that fails cancels the run.
    fails_fast: bool,
}

impl Until<'_> {
    /// Follow the run to its end.
    const END: Self = Until { interrupt: Interrupt::Detaches, is_enough: &|| false, fails_fast: false };
}

/// A run that is printed until its current attempt has ended. Ctrl-C leaves it in progress.
pub(crate) struct Watch<'w> {
    run: &'w RunFolder,
    attempt: Option<u32>,
    until: Until<'w>,
}

impl<'w> Watch<'w> {
    /// Returns a watch of the current attempt of a run.
    pub(crate) fn of(run: &'w RunFolder) -> Self {
        Self { run, attempt: None, until: Until::END }
    }

    /// Makes the watch begin with the attempt of this number.
    pub(crate) fn attempt(self, attempt: u32) -> Self {
        Self { attempt: Some(attempt), ..self }
    }

    /// Makes Ctrl-C cancel the run, which this command started. Ctrl-\ leaves it in progress.
    pub(crate) fn own(self) -> Self {
        Self { until: Until { interrupt: Interrupt::Cancels, ..self.until }, ..self }
    }

    /// Makes the watch cancel the run as soon as a job has failed. The run then counts as failed.
    pub(crate) fn fail_fast(self) -> Self {
        Self { until: Until { fails_fast: true, ..self.until }, ..self }
    }

    /// Makes the watch end, with success, as soon as `is_enough` returns true, even if the run continues.
    pub(crate) fn until(self, is_enough: &'w dyn Fn() -> bool) -> Self {
        Self { until: Until { is_enough, ..self.until }, ..self }
    }

    /// Prints the run until it has ended.
    pub(crate) fn print(self, printer: &mut dyn Printer) -> Outcome {
        let Self { run, attempt, until } = self;
        let start = || Ok(run.clone());
        crate::cli::block_on(async { until_end(start, attempt, printer, until).await })?
    }
}

/// Starts a run and follows it until it has ended, as [`follow_own`] does.
pub(super) fn start_and_follow(
    start: impl FnOnce() -> Result<RunFolder, Failure>,
    printer: &mut dyn Printer,
) -> Outcome {
    crate::cli::block_on(async { follow_own(start, printer).await })?
}

/// Starts a run and follows it until it has ended. Ctrl-C cancels the run, even while it is being started; Ctrl-\
/// leaves it in progress.
pub(super) async fn follow_own(
    start: impl FnOnce() -> Result<RunFolder, Failure>,
    printer: &mut dyn Printer,
) -> Outcome {
    let until = Until { interrupt: Interrupt::Cancels, ..Until::END };
    until_end(start, Some(1), printer, until).await
}

async fn until_end(
    start: impl FnOnce() -> Result<RunFolder, Failure>,
    attempt: Option<u32>,
    printer: &mut dyn Printer,
    Until { interrupt, is_enough, fails_fast }: Until<'_>,
) -> Outcome {
    // The signal streams are created once, so that no interrupt is lost while records are printed.
    let (mut interrupted, mut quit) = (signal(SignalKind::interrupt())?, signal(SignalKind::quit())?);
    let run = &start()?;
    let mirrored = servers::mirror(run).await?;
    let header = history::info(run)?;
    let attempt = attempt.map_or_else(|| history::read(run).map(|run| run.attempt), Ok)?;
    let mut printing = Printing::new(run, header, attempt, printer);
    let mut follower = Follower::new(run.clone());
    let left = || Failure::note(Exit::Cancelled, format!("still running: cuelight attach {}", run.id()));
    let (mut interrupts, mut has_failed) = (0, false);
    let mut orders = FuturesUnordered::new();
    let leave = tokio::time::sleep(Duration::MAX);
    tokio::pin!(leave);
    loop {
        tokio::select! {
            records = follower.next() => {
                let Some(records) = records? else { break };
                printing.records(&records)?;
                if fails_fast && !has_failed && printing.has_failed_job() && !printing.has_ended() {
                    has_failed = true;
                    interrupts = interrupts.max(1);
                    printing.make_room()?;
                    style::notice("a job failed: the run is cancelled");
                    orders.push(commands::cancel(run, false));
                }
                // Without a person at a terminal, the command ends at a hold. A script can answer later with `cuelight
                // held`. Records that are not read yet may end the hold.
                while printing.is_held() && !io::stdout().is_terminal() {
                    let more = follower.poll()?;
                    if more.is_empty() {
                        printing.make_room()?;
                        return Ok(Exit::Held);
                    }
                    printing.records(&more)?;
                }
                if !printing.has_ended() && is_enough() {
                    printing.make_room()?;
                    return Ok(Exit::Success);
                }
                if let Some(poller) = mirrored.as_ref().filter(|_| printing.has_ended()) {
                    // The logs of the last jobs arrive after the end of the run.
                    let loaded = tokio::select! {
                        loaded = poller.load_logs(run, &[]) => loaded,
                        _ = interrupted.recv() => Ok(()),
                        _ = quit.recv() => Ok(()),
                    };
                    if let Err(error) = loaded {
                        style::notice(&text!("note: {}", error.to_string()));
                    }
                    printing.records(&follower.poll()?)?;
                    break;
                }
            }
            _ = quit.recv() => {
                printing.make_room()?;
                return Err(left());
            }
            _ = interrupted.recv() => {
                printing.make_room()?;
                interrupts += 1;
                if interrupts > 2 || interrupt == Interrupt::Detaches {
                    return Err(left());
                }
                if interrupts == 1 {
                    style::notice(CANCELLING);
                } else {
                    leave.as_mut().reset(Instant::now() + FORCED_END_TIMEOUT);
                }
                orders.push(commands::cancel(run, interrupts == 2));
            }
            // If the cancel command fails, the run is just ending, and the records of its end follow.
            Some(_) = orders.next() => {}
            () = &mut leave => {
                printing.make_room()?;
                return Err(left());
            }
        }
    }
    match printing.end()? {
        Some(_) if has_failed => Ok(Exit::Failed),
        Some(conclusion) => Ok(Exit::of(conclusion)),
        None => Err(Failure::new(
            Exit::Unavailable,
            format!(
                "the worker stopped before it recorded the end of the run in {}; its log ends with: {}",
                run.path().display(),
                commands::last_words(run)
            ),
        )),
    }
}
