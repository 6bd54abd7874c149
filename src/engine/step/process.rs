//! A step's process from start to end: its output, the signals that end it, and what it leaves behind.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until};

use crate::engine::cancel::{CancelWatch, Grace, KillReason};
use crate::engine::outlet::StepLog;
use crate::engine::sandbox::{Child, Exit, Interrupt, Launch, Sandbox};
use crate::model::{Conclusion, Event, Signal};

use super::command_files::{CommandFiles, Left};
use super::context::StepContext;
use super::end::StepEnd;
use super::matcher::Matchers;
use super::output::Output;

/// How long a killed process may take to end. One that waits for a device, or whose container is paused, may never end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long written output may wait before readers learn of it.
const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// Size of the portions in which output is read, in bytes. A pipe holds up to 1 MiB.
const PORTION: usize = 256 * 1024;

/// A step's process that is about to start.
pub(crate) struct StepProcess<'p> {
    /// Program, arguments, folder, environment.
    pub(crate) launch: &'p Launch,
    /// Where it runs: the job's sandbox, or the action's own container.
    pub(crate) sandbox: &'p dyn Sandbox,
    /// Through which it reports what it leaves for later steps.
    pub(crate) command_files: CommandFiles,
    /// Files on this machine that it needs in the sandbox.
    pub(crate) files: &'p [PathBuf],
    /// When it is ended.
    pub(crate) limits: Limits,
}

/// When a step is ended before it ends by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Whether it goes on in a cancelled job, as its condition holds there too.
    pub(crate) survives_cancel: bool,
    /// Its own `timeout-minutes`.
    pub(crate) timeout: Option<Duration>,
    /// When it must have ended: by its own timeout or, inside a composite action, that of a step around it.
    pub(crate) deadline: Option<Instant>,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How the step ended.
    pub(crate) end: StepEnd,
    /// What it left for later steps.
    pub(crate) left: Left,
}

/// The process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {}: {source}", program.display())]
pub(crate) struct StartError {
    program: PathBuf,
    source: io::Error,
}

/// Runs a step's process to its end.
///
/// # Errors
/// The process could not be started.
pub(crate) async fn run(
    context: &StepContext<'_>,
    process: StepProcess<'_>,
    cancel: &mut CancelWatch,
    matchers: &mut Matchers,
    log: &mut dyn StepLog,
) -> Result<Ended, StartError> {
    let StepProcess { launch, sandbox, command_files, files, limits } = process;
    let started = async {
        for file in files.iter().map(PathBuf::as_path).chain([command_files.folder()]) {
            sandbox.send(file).await?;
        }
        sandbox.start(launch).await
    };
    let child = started.await.map_err(|source| StartError { program: launch.program.clone(), source })?;
    if let Some(pgid) = child.group {
        context.outlet.record(Event::ProcessStarted { job: context.job.clone(), step: context.number, pgid });
    }

    let is_true = |name: &str| launch.env.iter().any(|(key, value)| key == name && value.eq_ignore_ascii_case("true"));
    let mut output = Output::new(context, matchers, log, is_true("ACTIONS_ALLOW_UNSECURE_COMMANDS"));
    let observed = observe(child, &mut output, cancel, &limits, context.grace).await;
    let mut left = output.finish();
    if let Err(error) = sandbox.fetch(command_files.folder()).await {
        left.error.get_or_insert(format!("cannot fetch what the step left: {error}"));
    }
    if let Err(reason) = command_files.collect(&mut left) {
        log.write(format!("##[error]{reason}\n").as_bytes());
        left.error.get_or_insert(reason);
    }
    for refused in &left.refused {
        log.write(format!("##[error]{refused}\n").as_bytes());
    }
    let end = observed.end(&limits, left.error.take());
    Ok(Ended { end, left })
}

/// What was seen of the end of a process.
struct Observed {
    exit: io::Result<Exit>,
    /// Why it was killed, if it was.
    killed: Option<KillReason>,
}

/// Waits for a reason to end the process or, once it is being ended politely, to kill it.
async fn must_end(cancel: &mut CancelWatch, limits: &Limits, killed: Option<KillReason>) -> KillReason {
    if killed.is_some() {
        cancel.forced().await;
        return KillReason::Forced;
    }
    cancel.must_end(limits.survives_cancel, limits.deadline).await
}

/// Reads the process's output until it has ended, and ends it when it must end.
async fn observe(
    child: Child,
    output: &mut Output<'_>,
    cancel: &mut CancelWatch,
    limits: &Limits,
    grace: Grace,
) -> Observed {
    let Child { group: _, output: mut stream, exit, signal } = child;
    tokio::pin!(exit);
    let mut portion = vec![0; PORTION];
    let mut open = true;
    let mut exited = None;
    let mut killed = None;
    let mut next_signal: Option<(Interrupt, Instant)> = None;
    let never = Instant::now() + Duration::from_hours(8760);
    let (mut flush_at, mut close_at, mut lost_at) = (never, never, never);
    while exited.is_none() || open {
        let signal_at = next_signal.map_or(never, |(_, at)| at);
        tokio::select! {
            biased;
            why = must_end(cancel, limits, killed), if exited.is_none() && killed != Some(KillReason::Forced) => {
                killed = Some(why);
                let first = if why == KillReason::Forced { Interrupt::Kill } else { Interrupt::Int };
                next_signal = Some((first, Instant::now()));
            }
            () = sleep_until(signal_at), if next_signal.is_some() && exited.is_none() => {
                let Some((interrupt, at)) = next_signal.take() else { continue };
                signal(interrupt);
                next_signal = match interrupt {
                    Interrupt::Int => Some((Interrupt::Term, at + grace.after_int)),
                    Interrupt::Term => Some((Interrupt::Kill, at + grace.after_term)),
                    Interrupt::Kill => {
                        lost_at = at + KILL_TIMEOUT;
                        None
                    }
                };
            }
            () = sleep_until(lost_at), if exited.is_none() => {
                exited = Some(Err(io::Error::other("it was killed, and did not end")));
                open = false;
            }
            status = &mut exit, if exited.is_none() => {
                exited = Some(status);
                close_at = Instant::now() + grace.after_exit;
                if killed.is_some() {
                    // What the process left in its group must end with it.
                    signal(Interrupt::Kill);
                }
            }
            read = stream.read(&mut portion), if open => match read {
                Ok(0) | Err(_) => open = false,
                Ok(count) => {
                    output.push(&portion[..count]);
                    flush_at = flush_at.min(Instant::now() + FLUSH_AFTER);
                }
            },
            () = sleep_until(flush_at), if flush_at < never => {
                output.flush();
                flush_at = never;
            }
            () = sleep_until(close_at), if exited.is_some() => {
                output.warn(&format!(
                    "The step's process has ended, but a process that it started still holds its output: reading \
                     stopped after {} s.",
                    grace.after_exit.as_secs_f64()
                ));
                open = false;
            }
        }
    }
    Observed { exit: exited.unwrap_or(Ok(Exit::Code(0))), killed }
}

impl Observed {
    /// Returns how the step ended. `error` is why it failed although its process may not have.
    fn end(self, limits: &Limits, error: Option<String>) -> StepEnd {
        let (exit_code, signal) = match &self.exit {
            Ok(Exit::Code(code)) => (Some(*code), None),
            Ok(Exit::Signal(signal)) => (None, Some(Signal(*signal))),
            Ok(Exit::OutOfMemory) => (None, Some(Signal(9))),
            Err(_) => (None, None),
        };
        let end = match (self.killed, self.exit, error) {
            (Some(KillReason::TimedOut), ..) => StepEnd::failed(limits.timeout.map_or_else(
                || "timed out with the step that uses the action".to_owned(),
                |limit| {
                    let seconds = limit.as_secs_f64();
                    format!("timed out after {} minutes ({seconds} s)", seconds / 60.0)
                },
            )),
            (Some(KillReason::Cancelled | KillReason::Forced), ..) => StepEnd::cancelled(),
            (None, Err(error), _) => StepEnd::failed(format!("its end could not be observed: {error}")),
            (None, Ok(Exit::Signal(number)), _) => StepEnd::failed(format!("killed by {}", Signal(number).name())),
            (None, Ok(Exit::OutOfMemory), _) => StepEnd::failed("killed as the container's memory was used up"),
            (None, Ok(Exit::Code(0)), None) => StepEnd::of(Conclusion::Success),
            (None, Ok(Exit::Code(0)), Some(error)) => StepEnd::failed(error),
            (None, Ok(Exit::Code(code)), None) => StepEnd::failed(format!("exit code {code}")),
            (None, Ok(Exit::Code(code)), Some(error)) => StepEnd::failed(format!("exit code {code}; {error}")),
        };
        StepEnd { exit_code, signal, ..end }
    }
}
