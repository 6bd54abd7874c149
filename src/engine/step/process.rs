//! A step's process from start to end: environment, command files, output, the ladder of signals.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep_until};

use crate::model::{Conclusion, Event, Signal};
use crate::workflow::expr::Value;

use super::command_files::CommandFiles;
use super::env;
use super::output::Output;
use super::{Ran, StepEnd, StepScope, Steps, Task};
use crate::engine::cancel::{CancelWatch, KillReason};
use crate::engine::checkpoint::FailedStep;
use crate::engine::context;
use crate::engine::outlet::StepLog;
use crate::engine::sandbox::{Child, Exit, Interrupt, Launch, Sandbox};

/// What to run. Its paths are as the processes of its place see them.
#[derive(Default)]
pub(in crate::engine) struct Invocation {
    pub(in crate::engine) program: PathBuf,
    pub(in crate::engine) args: Vec<OsString>,
    pub(in crate::engine) cwd: PathBuf,
    /// `INPUT_…` and `STATE_…`.
    pub(in crate::engine) variables: IndexMap<String, String>,
    /// What the `github` context says besides.
    pub(in crate::engine) github: Vec<(&'static str, String)>,
    /// Where it runs, when that is not where the job's steps do.
    pub(in crate::engine) sandbox: Option<Arc<dyn Sandbox>>,
    /// Files of this machine that it needs and that were written for it.
    pub(in crate::engine) files: Vec<PathBuf>,
}

/// The pauses between INT, TERM and KILL, as GitHub's runner makes them.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// Between INT and TERM.
    pub after_int: Duration,
    /// Between TERM and KILL.
    pub after_term: Duration,
    /// How long output may stay open after the process has ended, as a daemon that it started may hold it.
    pub after_exit: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self {
            after_int: Duration::from_millis(7500),
            after_term: Duration::from_millis(2500),
            after_exit: Duration::from_secs(5),
        }
    }
}

/// How long a process that was killed may take to end: one that waits for a device, or whose container is paused, may not
/// end at all.
const UNKILLABLE: Duration = Duration::from_secs(10);

/// How long written output may wait before readers are told.
const TELL_AFTER: Duration = Duration::from_millis(50);

/// Portions in which output is read; a pipe holds up to 1 MiB.
const PORTION: usize = 256 * 1024;

/// Runs a process as the step, and takes in what it left behind.
pub(in crate::engine) async fn execute(
    steps: &mut Steps<'_>,
    frame: &StepScope,
    task: &Task<'_>,
    invocation: &Invocation,
    log: &mut dyn StepLog,
) -> Ran {
    let place = steps.place;
    let files = match CommandFiles::create(&place.temp) {
        Ok(files) => files,
        Err(error) => return Ran::failed(format!("cannot make the step's command files: {error}")),
    };
    if place.is_container() {
        files.open_to_all();
    }
    let launch = launch(steps, frame, task, invocation, &files);
    let sandbox = invocation.sandbox.clone().unwrap_or_else(|| Arc::clone(&place.sandbox));
    let started = async {
        for file in invocation.files.iter().map(PathBuf::as_path).chain([files.folder()]) {
            sandbox.send(file).await?;
        }
        sandbox.start(&launch).await
    };
    let child = match started.await {
        Ok(child) => child,
        Err(error) => return Ran::failed(format!("cannot start {}: {error}", invocation.program.display())),
    };
    if let Some(pgid) = child.group {
        let (job, step) = (place.id.clone(), task.number);
        place.shared.outlet.record(Event::ProcessStarted { job, step, pgid });
    }

    let allowed = |name: &str| launch.env.iter().any(|(key, value)| key == name && value.eq_ignore_ascii_case("true"));
    let unsecure = allowed("ACTIONS_ALLOW_UNSECURE_COMMANDS");
    let mut output = Output::new(place, task.number, &mut steps.matchers, log, unsecure);
    let driven = drive(child, &mut output, &mut steps.stop, task, place.shared.options.grace).await;
    let mut left = output.finish();
    if let Err(error) = sandbox.fetch(files.folder()).await {
        left.error.get_or_insert(format!("what the step left cannot be brought here: {error}"));
    }
    if let Err(reason) = files.collect(&mut left) {
        log.write(format!("##[error]{reason}\n").as_bytes());
        left.error.get_or_insert(reason);
    }
    for refused in &left.refused {
        log.write(format!("##[error]{refused}\n").as_bytes());
    }
    steps.take_in(task.number, &mut left);
    let end = driven.end(task, left.error);
    if end.outcome == Conclusion::Failure && invocation.sandbox.is_none() {
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        let own = launch.env.iter().filter(|entry| !sandbox.environment().contains(entry));
        let env = own.map(|(name, value)| (text(name), text(value))).collect();
        steps.failed = Some(FailedStep { env, cwd: text(launch.cwd.as_os_str()) });
    }
    Ran { outputs: left.outputs, state: left.state, ..Ran::of(end) }
}

/// The whole environment, weakest first: the machine's, the job's and step's `env`, the action's inputs and state, and
/// what the runner itself sets.
fn launch(
    steps: &Steps<'_>,
    frame: &StepScope,
    task: &Task<'_>,
    invocation: &Invocation,
    files: &CommandFiles,
) -> Launch {
    let place = steps.place;
    let mut own = steps.env.clone();
    own.extend(task.ready.overlay.clone());
    own.extend(invocation.variables.clone());
    let mut github = frame.action.as_ref().map_or_else(|| place.github.clone(), |action| action.github.clone());
    github.insert("action".to_owned(), Value::string(task.step.id.clone()));
    for (name, value) in &invocation.github {
        github.insert((*name).to_owned(), Value::string(value.clone()));
    }
    own.extend(context::github_variables(&github));
    own.extend(context::runner_variables(&place.runner));
    let sandbox = invocation.sandbox.as_ref().unwrap_or(&place.sandbox);
    if invocation.sandbox.is_some() {
        // What the job's steps call a path is not what a container of an action calls it.
        for value in own.values_mut().filter(|value| value.starts_with('/')) {
            *value = text(&sandbox.inside(&place.sandbox.outside(Path::new(value.as_str()))));
        }
    }
    own.extend(files.variables().map(|(name, path)| (name, text(&sandbox.inside(Path::new(&path))))));
    own.insert("RUNNER_TRACKING_ID".to_owned(), place.tracking_id.clone());
    own.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    own.entry("CI".to_owned()).or_insert_with(|| "true".to_owned());
    // Folders that were added to the job's PATH are none of a container's own.
    let additions = if invocation.sandbox.is_some() { &[] } else { steps.path.as_slice() };
    let env = env::assemble(sandbox.environment(), own, additions);
    Launch { program: invocation.program.clone(), args: invocation.args.clone(), cwd: invocation.cwd.clone(), env }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Waits for a reason to end the process, or, once it is being ended politely, to end it at once.
async fn must_stop(stop: &mut CancelWatch, task: &Task<'_>, ended: Option<KillReason>) -> KillReason {
    if ended.is_some() {
        stop.forced().await;
        return KillReason::Forced;
    }
    stop.must_end(task.ready.survives_cancel, task.deadline).await
}

/// How a process ended, and why if it was ended.
struct Driven {
    exit: std::io::Result<Exit>,
    ended: Option<KillReason>,
}

/// Reads the process's output until it has ended, and ends it when it must be.
async fn drive(child: Child, output: &mut Output<'_>, stop: &mut CancelWatch, task: &Task<'_>, grace: Grace) -> Driven {
    let Child { group: _, output: mut stream, exit, signal } = child;
    tokio::pin!(exit);
    let mut portion = vec![0; PORTION];
    let mut open = true;
    let mut exited = None;
    let mut ended = None;
    let mut next_signal: Option<(Interrupt, Instant)> = None;
    let far = Instant::now() + Duration::from_hours(8760);
    let (mut tell_at, mut give_up_at) = (far, far);
    let mut lost_at = far;
    while exited.is_none() || open {
        let next_at = next_signal.map_or(far, |(_, at)| at);
        tokio::select! {
            biased;
            why = must_stop(stop, task, ended), if exited.is_none() && ended != Some(KillReason::Forced) => {
                ended = Some(why);
                let first = if why == KillReason::Forced { Interrupt::Kill } else { Interrupt::Int };
                next_signal = Some((first, Instant::now()));
            }
            () = sleep_until(next_at), if next_signal.is_some() && exited.is_none() => {
                let Some((interrupt, at)) = next_signal.take() else { continue };
                signal(interrupt);
                next_signal = match interrupt {
                    Interrupt::Int => Some((Interrupt::Term, at + grace.after_int)),
                    Interrupt::Term => Some((Interrupt::Kill, at + grace.after_term)),
                    Interrupt::Kill => {
                        lost_at = at + UNKILLABLE;
                        None
                    }
                };
            }
            () = sleep_until(lost_at), if exited.is_none() => {
                exited = Some(Err(std::io::Error::other("it was killed, and its end was not told")));
                open = false;
            }
            status = &mut exit, if exited.is_none() => {
                exited = Some(status);
                give_up_at = Instant::now() + grace.after_exit;
                if ended.is_some() {
                    // What the process left in its group was asked to end with it.
                    signal(Interrupt::Kill);
                }
            }
            read = stream.read(&mut portion), if open => match read {
                Ok(0) | Err(_) => open = false,
                Ok(count) => {
                    output.push(&portion[..count]);
                    tell_at = tell_at.min(Instant::now() + TELL_AFTER);
                }
            },
            () = sleep_until(tell_at), if tell_at < far => {
                output.tell();
                tell_at = far;
            }
            () = sleep_until(give_up_at), if exited.is_some() => {
                output.note("The step's process has ended, but something it started still holds its output: reading stopped after 5 s.");
                open = false;
            }
        }
    }
    Driven { exit: exited.unwrap_or(Ok(Exit::Code(0))), ended }
}

impl Driven {
    fn end(self, task: &Task<'_>, error: Option<String>) -> StepEnd {
        let (exit_code, signal) = match &self.exit {
            Ok(Exit::Code(code)) => (Some(*code), None),
            Ok(Exit::Signal(signal)) => (None, Some(Signal(*signal))),
            Ok(Exit::OutOfMemory) => (None, Some(Signal(9))),
            Err(_) => (None, None),
        };
        let told =
            |conclusion, reason: Option<String>| StepEnd { exit_code, signal, reason, ..StepEnd::of(conclusion) };
        let failed = |reason: String| told(Conclusion::Failure, Some(reason));
        match (self.ended, self.exit, error) {
            (Some(KillReason::TimedOut), ..) => {
                let limit = task.ready.timeout.map(|limit| limit.as_secs_f64());
                failed(limit.map_or_else(
                    || "timed out with the step that uses the action".to_owned(),
                    |limit| format!("timed out after {} minutes ({limit} s)", limit / 60.0),
                ))
            }
            (Some(KillReason::Cancelled | KillReason::Forced), ..) => {
                told(Conclusion::Cancelled, Some("cancelled".to_owned()))
            }
            (None, Err(error), _) => failed(format!("its end could not be observed: {error}")),
            (None, Ok(Exit::Signal(number)), _) => failed(format!("killed by {}", Signal(number).name())),
            (None, Ok(Exit::OutOfMemory), _) => failed("killed as the container's memory was used up".to_owned()),
            (None, Ok(Exit::Code(0)), None) => told(Conclusion::Success, None),
            (None, Ok(Exit::Code(0)), Some(error)) => failed(error),
            (None, Ok(Exit::Code(code)), error) => {
                let told = error.map(|error| format!("; {error}")).unwrap_or_default();
                failed(format!("exit code {code}{told}"))
            }
        }
    }
}
