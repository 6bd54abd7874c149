//! The process of a step from start to end: its output, the signals that end it, and its results.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, sleep_until, timeout};

use crate::engine::cancel::{CancelWatch, Grace, KillReason};
use crate::engine::outlet::StepLog;
use crate::engine::sandbox::{Child, Exit, Interrupt, Launch, Sandbox};
use crate::model::{Conclusion, Event, Signal};

use super::command_files::{CommandFileError, CommandFiles, Left};
use super::context::StepContext;
use super::end::{StepEnd, minutes, rounded};
use super::matcher::Matchers;
use super::output::Output;

/// How long to wait for a killed process to end. A process that waits for a device, or whose container is paused, may
/// never end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for a killed process on a lost machine, which is not expected to respond.
const LOST_TIMEOUT: Duration = Duration::from_secs(1);

/// Time limit for reading the files that a step left.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum time between output and the notification of readers.
const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// Size in bytes of the buffer for reading output.
const PORTION: usize = 256 * 1024;

/// The process of a step, ready to start.
pub(crate) struct StepProcess<'p> {
    /// Program, arguments, working directory, environment.
    pub(crate) launch: &'p Launch,
    /// Where the process runs: in the job's sandbox, or in a separate container of the action.
    pub(crate) sandbox: &'p dyn Sandbox,
    /// Files through which the process passes outputs and variables to later steps.
    pub(crate) command_files: CommandFiles,
    /// Files on this machine that the process needs in the sandbox.
    pub(crate) files: &'p [PathBuf],
    /// Conditions under which the process is ended early.
    pub(crate) limits: Limits,
}

/// Conditions under which a step is ended early.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Whether the step continues in a cancelled job, because its condition still holds.
    pub(crate) survives_cancel: bool,
    /// `timeout-minutes` of the step, for messages; `None` if it has no limit.
    pub(crate) timeout: Option<Duration>,
    /// When the step must end, by its own time limit or by the limit of a composite action around it; `None` if there
    /// is no limit.
    pub(crate) deadline: Option<Instant>,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How the step ended.
    pub(crate) end: StepEnd,
    /// Values that the step set for later steps.
    pub(crate) left: Left,
}

/// The process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", what(program, image.as_deref()))]
pub(crate) struct StartError {
    /// Program; empty for the entrypoint of an image.
    program: PathBuf,
    /// Image of the container in which the program was to run; `None` outside a container.
    image: Option<String>,
    source: io::Error,
}

fn what(program: &Path, image: Option<&str>) -> String {
    let program = program.display().to_string();
    match image {
        Some(image) if program.is_empty() => format!("cannot start the program of the image {image}"),
        Some(image) => format!("cannot start {program} in the image {image}"),
        None => format!("cannot start {program}"),
    }
}

/// Runs a step's process to its end, and reads and removes its command files.
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
    let started = tokio::select! {
        biased;
        started = started => started,
        why = cancel.at_once() => return Ok(Ended { end: ended_early(why, &limits), left: Left::default() }),
    };
    let child = started.map_err(|source| {
        let image = sandbox.image().map(str::to_owned);
        StartError { program: launch.program.clone(), image, source }
    })?;
    if let Some(pgid) = child.group {
        context.outlet.record(Event::ProcessStarted { job: context.job.clone(), step: context.number, pgid });
    }

    let is_true = |name: &str| launch.env.iter().any(|(key, value)| key == name && value.eq_ignore_ascii_case("true"));
    let mut output = Output::new(context, matchers, log, is_true("ACTIONS_ALLOW_UNSECURE_COMMANDS"));
    let observed = observe(child, &mut output, cancel, &limits, context.grace).await;
    let mut left = output.finish();
    let fetched = tokio::select! {
        biased;
        fetched = command_files.fetch(sandbox, &mut left) => fetched,
        _ = cancel.at_once() => Err(CommandFileError::ended()),
    };
    if let Err(error) = fetched {
        left.error.get_or_insert(error.to_string());
    }
    let (mut left, wrong) = collect(command_files, left).await;
    if let Some(reason) = wrong {
        log.write(format!("##[error]{reason}\n").as_bytes());
        left.error.get_or_insert(reason);
    }
    for refused in &left.refused {
        log.write(format!("##[error]{refused}\n").as_bytes());
    }
    let end = observed.end(&limits, left.error.take());
    Ok(Ended { end, left })
}

/// Reads the values that the step left in its files, on a separate thread because a file system may block. Returns them
/// with the error, if any. If reading takes longer than [`COLLECT_TIMEOUT`], the content of the files is dropped.
async fn collect(files: CommandFiles, mut left: Left) -> (Left, Option<String>) {
    if files.remove_untouched() {
        return (left, None);
    }
    let (masked, error) = (left.masked, left.error.clone());
    let reading = spawn_blocking(move || {
        let wrong = files.collect(&mut left).err().map(|error| error.to_string());
        (left, wrong)
    });
    let reason = match timeout(COLLECT_TIMEOUT, reading).await {
        Ok(Ok(collected)) => return collected,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("not done within {} s", COLLECT_TIMEOUT.as_secs()),
    };
    (Left { masked, error, ..Left::default() }, Some(format!("cannot read what the step left: {reason}")))
}

/// How a process ended.
struct Observed {
    exit: io::Result<Exit>,
    /// Why the process was ended early; `None` if it ended by itself.
    killed: Option<KillReason>,
}

/// Waits for a reason to end the process, or to kill it if it is already being ended.
async fn must_end(cancel: &mut CancelWatch, limits: &Limits, killed: Option<KillReason>) -> KillReason {
    if killed.is_some() {
        return cancel.at_once().await;
    }
    cancel.must_end(limits.survives_cancel, limits.deadline).await
}

/// Reads the output of the process until it has ended, and ends the process when necessary.
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
    while exited.is_none() || open || output.is_behind() {
        let signal_at = next_signal.map_or(never, |(_, at)| at);
        tokio::select! {
            biased;
            why = must_end(cancel, limits, killed),
                if (exited.is_none() || output.is_behind()) && !killed.is_some_and(KillReason::is_at_once) =>
            {
                if exited.is_some() {
                    // The process has ended by itself: only its output is cut short.
                    output.stop_matching();
                    continue;
                }
                killed = Some(why);
                let first = match why {
                    KillReason::Forced | KillReason::Lost => Interrupt::Kill,
                    KillReason::StepCancelled => Interrupt::Term,
                    KillReason::TimedOut | KillReason::Cancelled => Interrupt::Int,
                };
                next_signal = Some((first, Instant::now()));
            }
            () = sleep_until(signal_at), if next_signal.is_some() && exited.is_none() => {
                let Some((interrupt, at)) = next_signal.take() else { continue };
                signal(interrupt);
                if interrupt == Interrupt::Kill {
                    output.stop_matching();
                }
                next_signal = match interrupt {
                    Interrupt::Int => Some((Interrupt::Term, at + grace.after_int)),
                    Interrupt::Term if killed == Some(KillReason::StepCancelled) => {
                        Some((Interrupt::Kill, at + grace.after_cancel))
                    }
                    Interrupt::Term => Some((Interrupt::Kill, at + grace.after_term)),
                    Interrupt::Kill => {
                        lost_at = at + if killed == Some(KillReason::Lost) { LOST_TIMEOUT } else { KILL_TIMEOUT };
                        None
                    }
                };
            }
            () = sleep_until(lost_at), if exited.is_none() => {
                exited = Some(Err(io::Error::other("the process did not end after it was killed")));
                open = false;
            }
            status = &mut exit, if exited.is_none() => {
                exited = Some(status);
                close_at = Instant::now() + grace.after_exit;
                if killed.is_some() {
                    output.stop_matching();
                    // Ends the other processes of its group.
                    signal(Interrupt::Kill);
                }
            }
            () = sleep_until(flush_at), if flush_at < never => {
                output.flush();
                flush_at = never;
            }
            () = yield_now(), if output.is_behind() => {
                let began = Instant::now();
                output.catch_up();
                flush_at = flush_at.min(Instant::now() + FLUSH_AFTER);
                // No output was read during this time, so it does not count towards the time for which output may stay
                // open.
                close_at += if exited.is_some() { began.elapsed() } else { Duration::ZERO };
            }
            read = stream.read(&mut portion), if open && !output.is_behind() => match read {
                Ok(0) | Err(_) => open = false,
                Ok(count) => {
                    output.push(&portion[..count]);
                    flush_at = flush_at.min(Instant::now() + FLUSH_AFTER);
                }
            },
            () = sleep_until(close_at), if exited.is_some() && !output.is_behind() => {
                output.warn(&format!(
                    "The step's process has ended, but a process that it started still holds its output: reading \
                     stopped after {} s.",
                    grace.after_exit.as_secs_f64()
                ));
                open = false;
            }
        }
    }
    let exit = exited.unwrap_or_else(|| Err(io::Error::other("the end of the process was not observed")));
    Observed { exit, killed }
}

/// Returns the end of a step whose process was ended, or never started, for this reason.
fn ended_early(why: KillReason, limits: &Limits) -> StepEnd {
    match why {
        KillReason::TimedOut => StepEnd::failed(limits.timeout.map_or_else(
            || "timed out with the step that uses the action".to_owned(),
            |limit| format!("timed out after {} ({} s)", minutes(limit), rounded(limit.as_secs_f64())),
        )),
        KillReason::Cancelled | KillReason::Forced => StepEnd::cancelled(),
        KillReason::StepCancelled => StepEnd::cancelled_by_step(),
        KillReason::Lost => StepEnd::lost(),
    }
}

impl Observed {
    /// Returns the end of the step. `error` is a failure apart from the process, such as an invalid workflow command.
    fn end(self, limits: &Limits, error: Option<String>) -> StepEnd {
        let (exit_code, signal) = match &self.exit {
            Ok(Exit::Code(code)) => (Some(*code), None),
            Ok(Exit::Signal(signal)) => (None, Some(Signal(*signal))),
            Ok(Exit::OutOfMemory) => (None, Some(Signal(9))),
            Err(_) => (None, None),
        };
        let end = match (self.killed, self.exit, error) {
            (Some(why), ..) => ended_early(why, limits),
            (None, Err(error), _) => StepEnd::failed(format!("cannot wait for the process: {error}")),
            (None, Ok(Exit::Code(0)), None) => StepEnd::of(Conclusion::Success),
            (None, Ok(Exit::Code(0)), Some(error)) => StepEnd::failed(error),
            (None, Ok(exit @ Exit::Code(_)), Some(error)) => StepEnd::failed(format!("{exit}; {error}")),
            (None, Ok(exit), _) => StepEnd::failed(exit.to_string()),
        };
        StepEnd { exit_code, signal, ..end }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;
    use crate::engine::cancel::Cancellation;
    use crate::engine::testing::sandbox::{ProcessScript, ScriptedSandbox, write_command_file};
    use crate::engine::testing::{Lines, MemoryOutlet};
    use crate::model::{JobId, StepNumber};

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_mins(1);

    /// A process, and the cancellation requested while it runs.
    struct Case {
        sandbox: ScriptedSandbox,
        limits: Limits,
        /// Cancellation levels requested for the job, and when.
        asks: Vec<(Duration, Cancellation)>,
    }

    struct Seen {
        ended: Result<Ended, StartError>,
        log: String,
        signals: Vec<(Interrupt, Duration)>,
        took: Duration,
    }

    impl Case {
        fn new(sandbox: ScriptedSandbox) -> Self {
            Self { sandbox, limits: Limits::default(), asks: Vec::new() }
        }

        fn of(script: ProcessScript) -> Self {
            Self::new(ScriptedSandbox::always(script))
        }

        fn asked(mut self, after: Duration, asked: Cancellation) -> Self {
            self.asks.push((after, asked));
            self
        }

        fn surviving_cancel(mut self) -> Self {
            self.limits.survives_cancel = true;
            self
        }

        fn limited(mut self, timeout: Duration) -> Self {
            self.limits.timeout = Some(timeout);
            self.limits.deadline = Some(Instant::now() + timeout);
            self
        }

        async fn run(self) -> Seen {
            let home = tempfile::tempdir().expect("a folder");
            let outlet = Arc::<MemoryOutlet>::default();
            let (ask, asked) = watch::channel(Cancellation::None);
            let asks = self.asks;
            let asking = tokio::spawn(async move {
                for (after, asked) in asks {
                    tokio::time::sleep(after).await;
                    ask.send_replace(asked);
                }
                // The job still runs.
                std::future::pending::<()>().await;
            });
            let mut cancel = CancelWatch::new(asked, false, Instant::now() + 60 * MINUTE);
            let context = StepContext {
                job: &JobId::new("a"),
                number: StepNumber(1),
                outlet: &*(Arc::clone(&outlet) as Arc<dyn crate::engine::outlet::Outlet>),
                sandbox: &self.sandbox,
                workspace: home.path(),
                temp: home.path(),
                in_container: false,
                debug: false,
                grace: Grace::default(),
            };
            let command_files = CommandFiles::create(&home.path().join("_temp"), false).expect("made");
            let env = command_files.variables().map(|(name, path)| (name.into(), path.into())).collect();
            let launch = Launch { program: "/bin/x".into(), args: Vec::new(), cwd: "/".into(), env, background: false };
            let process =
                StepProcess { launch: &launch, sandbox: &self.sandbox, command_files, files: &[], limits: self.limits };
            let mut log = Lines::default();
            let began = Instant::now();
            let ended = run(&context, process, &mut cancel, &mut Matchers::default(), &mut log).await;
            let took = began.elapsed();
            asking.abort();
            Seen { ended, log: log.text().to_owned(), signals: self.sandbox.signals(), took }
        }

        async fn end(self) -> StepEnd {
            self.run().await.ended.expect("started").end
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_ends_as_its_process_does() {
        let exits = |exit| Case::of(ProcessScript::exits_with(exit));
        for (exit, conclusion, reason) in [
            (Exit::Code(0), Conclusion::Success, None),
            (Exit::Code(7), Conclusion::Failure, Some("exit code 7")),
            (Exit::Signal(9), Conclusion::Failure, Some("killed by SIGKILL")),
            (Exit::OutOfMemory, Conclusion::Failure, Some("killed: the container ran out of memory")),
        ] {
            let end = exits(exit).end().await;
            assert_eq!((end.conclusion, end.reason.as_deref()), (conclusion, reason), "{exit:?}");
        }
        assert_eq!(exits(Exit::Code(7)).end().await.exit_code, Some(7));
        assert_eq!(exits(Exit::Signal(15)).end().await.signal, Some(Signal(15)));
        assert_eq!(exits(Exit::OutOfMemory).end().await.signal, Some(Signal(9)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_cannot_start_is_named_in_the_error() {
        let sandbox = ScriptedSandbox::new(|_| Err(io::ErrorKind::NotFound.into()));
        let error = Case::new(sandbox).run().await.ended.expect_err("not started");
        assert_eq!(error.to_string(), "cannot start /bin/x: entity not found");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_process_is_signalled_until_it_ends() {
        let (int, term, kill) = (Duration::ZERO, Duration::from_millis(7500), Duration::from_secs(10));
        for (ends_on, expected) in [
            (Interrupt::Int, vec![(Interrupt::Int, int)]),
            (Interrupt::Term, vec![(Interrupt::Int, int), (Interrupt::Term, term)]),
            (Interrupt::Kill, vec![(Interrupt::Int, int), (Interrupt::Term, term), (Interrupt::Kill, kill)]),
        ] {
            let seen = Case::of(ProcessScript::until(ends_on)).asked(SECOND, Cancellation::Cancel).run().await;
            let end = seen.ended.expect("started").end;
            assert_eq!((end.conclusion, end.reason.as_deref()), (Conclusion::Cancelled, Some("cancelled")));
            let after: Vec<_> = seen.signals.iter().map(|(signal, at)| (*signal, at.saturating_sub(SECOND))).collect();
            // The rest of the group is killed after the process has ended.
            let (last, before) = after.split_last().expect("signals");
            assert_eq!((before, last.0), (&expected[..], Interrupt::Kill), "{ends_on:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_forced_cancel_kills_at_once_even_between_signals() {
        let at_once =
            Case::of(ProcessScript::until(Interrupt::Kill)).surviving_cancel().asked(SECOND, Cancellation::Force);
        let seen = at_once.run().await;
        assert_eq!(seen.signals[0], (Interrupt::Kill, SECOND));
        let polite = Case::of(ProcessScript::until(Interrupt::Kill)).asked(SECOND, Cancellation::Cancel);
        let seen = polite.asked(SECOND, Cancellation::Force).run().await;
        assert_eq!(seen.signals[..2], [(Interrupt::Int, SECOND), (Interrupt::Kill, 2 * SECOND)]);
        assert_eq!(seen.ended.expect("started").end.conclusion, Conclusion::Cancelled);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_survives_a_cancel_is_ended_five_minutes_later() {
        let case =
            Case::of(ProcessScript::until(Interrupt::Int)).surviving_cancel().asked(SECOND, Cancellation::Cancel);
        let seen = case.run().await;
        assert_eq!(seen.signals[0], (Interrupt::Int, 5 * MINUTE + SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_times_out_fails_with_its_limit() {
        let end = Case::of(ProcessScript::until(Interrupt::Int)).limited(30 * SECOND).end().await;
        let reason = Some("timed out after 0.5 minutes (30 s)");
        assert_eq!((end.conclusion, end.reason.as_deref()), (Conclusion::Failure, reason));
        let mut inner = Case::of(ProcessScript::until(Interrupt::Int)).limited(30 * SECOND);
        inner.limits.timeout = None;
        let reason = inner.end().await.reason;
        assert_eq!(reason.as_deref(), Some("timed out with the step that uses the action"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_cannot_be_killed_is_abandoned() {
        let seen = Case::of(ProcessScript::unkillable()).asked(SECOND, Cancellation::Force).run().await;
        assert_eq!(seen.took, SECOND + KILL_TIMEOUT);
        assert_eq!(seen.ended.expect("started").end.conclusion, Conclusion::Cancelled);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_on_a_lost_machine_fails_soon_whatever_its_process_does() {
        for script in [ProcessScript::unkillable(), ProcessScript::until(Interrupt::Kill)] {
            let seen = Case::of(script).surviving_cancel().asked(SECOND, Cancellation::Lost).run().await;
            assert!(seen.took <= SECOND + LOST_TIMEOUT, "{:?}", seen.took);
            let end = seen.ended.expect("started").end;
            assert_eq!((end.conclusion, end.reason), (Conclusion::Failure, StepEnd::lost().reason));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn output_that_a_daemon_keeps_open_is_abandoned_with_a_warning() {
        let seen = Case::of(ProcessScript::exits(0).writing("text\n").holding_output(MINUTE)).run().await;
        assert_eq!(seen.took, Grace::default().after_exit);
        assert_eq!(seen.ended.expect("started").end.conclusion, Conclusion::Success);
        assert!(seen.log.starts_with("text\n##[warning]") && seen.log.ends_with("reading stopped after 5 s.\n"));
        let seen = Case::of(ProcessScript::exits(0).holding_output(SECOND)).run().await;
        assert_eq!((seen.took, seen.log.as_str()), (SECOND, ""));
    }

    #[tokio::test(start_paused = true)]
    async fn outputs_of_a_process_are_returned_whatever_its_exit_code() {
        let sandbox = ScriptedSandbox::new(|launch| {
            write_command_file(launch, "GITHUB_OUTPUT", "o=1\n");
            write_command_file(launch, "GITHUB_ENV", "E=2\n");
            write_command_file(launch, "GITHUB_PATH", "/p\n");
            write_command_file(launch, "GITHUB_STATE", "s=3\n");
            write_command_file(launch, "GITHUB_STEP_SUMMARY", "# Hi");
            Ok(ProcessScript::exits(1))
        });
        let Ended { end, left } = Case::new(sandbox).run().await.ended.expect("started");
        assert_eq!(end.exit_code, Some(1));
        assert_eq!((left.outputs["o"].as_str(), left.env["E"].as_str(), left.state["s"].as_str()), ("1", "2", "3"));
        assert_eq!((left.path, left.summary.as_str()), (vec!["/p".to_owned()], "# Hi"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_command_file_fails_a_step_that_would_have_succeeded() {
        for (code, reason) in [
            (0, "GITHUB_ENV: line 1: expected name=value or name<<MARK, found `nonsense`"),
            (3, "exit code 3; GITHUB_ENV: line 1: expected name=value or name<<MARK, found `nonsense`"),
        ] {
            let sandbox = ScriptedSandbox::new(move |launch| {
                write_command_file(launch, "GITHUB_ENV", "nonsense\n");
                Ok(ProcessScript::exits(code))
            });
            let seen = Case::new(sandbox).run().await;
            assert_eq!(seen.ended.expect("started").end.reason.as_deref(), Some(reason));
            assert!(seen.log.starts_with("##[error]GITHUB_ENV: line 1"), "{}", seen.log);
        }
    }
}
