//! `run --watch`: runs workflows, and again whenever files of the repository change.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::backend::local::file_watch::{FileChange, FileWatch, FileWatchError};
use crate::launch;
use crate::launch::triggers::{TriggerDecision, TriggerError};
use crate::launch::{LaunchRequest, Planned, commands};
use crate::repo::git::Repository;
use crate::repo::workflows;
use crate::report::style;
use crate::store::folder::RunsDir;
use crate::ui::terminal_text::{TerminalText, text};

use crate::cli::{Exit, Failure, Outcome, block_on};

use super::follow::follow_own;
use super::{Args, plan, printer};

/// The workflows to run, the next one first.
struct Watching<'w> {
    runs: &'w RunsDir,
    args: &'w Args,
    request: LaunchRequest,
    root: PathBuf,
    rule: Rule,
    queue: VecDeque<PathBuf>,
    /// The state of the repository in which nothing ran, as it was printed last; `None` after a run.
    said: Option<String>,
    /// Whether the last line says that a change of files is waited for.
    is_waiting: bool,
}

/// Which workflows a change of files runs.
enum Rule {
    /// Those that a push of the change would run.
    Push,
    /// Those that the event of the request runs at that time, which is not a push.
    Event,
    /// This one, whatever changed, because it does not run on a push.
    Always(PathBuf),
}

/// Runs the workflows of the request, waits for a change of files, and runs what the change runs. Ends with Ctrl-C.
pub(super) fn run(runs: &RunsDir, args: &Args, mut request: LaunchRequest) -> Outcome {
    let repository = request.repository()?;
    let root = repository.root.clone();
    let named = request.workflow.as_deref().map(|wanted| workflows::find(Some(wanted), &request.folder, &root));
    let named = named.transpose()?;
    // Watches before the first run, so that no change during it is missed.
    let mut watch = FileWatch::start(&root, named.as_deref().map(|path| workflows::relative(path, &root)))?;
    if named.is_none() {
        request.event.get_or_insert_with(|| launch::PUSH.to_owned());
    }
    let is_push = request.event.as_deref().is_none_or(|event| event == launch::PUSH);
    let queue = match &named {
        Some(path) => vec![path.clone()],
        None => match paths_on_event(runs, &request, &repository) {
            Err(skipped) if !skipped.is_error() => {
                style::notice(&skipped.text());
                Vec::new()
            }
            paths => paths?,
        },
    };
    let rule = match named {
        _ if is_push => Rule::Push,
        Some(path) => Rule::Always(path),
        None => Rule::Event,
    };
    let mut watching = Watching { runs, args, request, root, rule, queue: queue.into(), said: None, is_waiting: false };
    block_on(async { watching.serve(&mut watch).await })?
}

/// Returns the workflows that the event of a request runs. If it runs none, the failure is not an error: the next change
/// may run something.
fn paths_on_event(runs: &RunsDir, request: &LaunchRequest, repository: &Repository) -> Result<Vec<PathBuf>, Failure> {
    match super::on_event(runs, request, repository, &request.payload.read()?) {
        Ok(decisions) => Ok(paths(decisions)),
        Err(error @ TriggerError::AllSkipped { .. }) => Err(Failure::note(Exit::NotFound, error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn paths(decisions: Vec<TriggerDecision>) -> Vec<PathBuf> {
    decisions.into_iter().map(|decision| decision.path).collect()
}

/// Ctrl-C and Ctrl-\, which end the command whatever it is doing. During a run they also mean what they mean for `run`.
struct EndSignals {
    interrupted: Signal,
    quit: Signal,
}

impl EndSignals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupted: signal(SignalKind::interrupt())?, quit: signal(SignalKind::quit())? })
    }

    /// Waits for one that came since the last call.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

/// Whether a change of files, or another moment, may mend the cause of a failure. Nothing does if the state folder or a
/// program cannot be used; and a run that is left in progress is to be left.
fn is_mendable(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Failed | Exit::Usage | Exit::NotFound | Exit::Rejected)
}

impl Watching<'_> {
    async fn serve(&mut self, watch: &mut FileWatch) -> Outcome {
        let mut signals = EndSignals::new()?;
        loop {
            while let Some(workflow) = self.queue.pop_front() {
                (self.said, self.is_waiting) = (None, false);
                let planned = tokio::select! {
                    biased;
                    () = signals.next() => return Ok(Exit::Cancelled),
                    planned = self.plan(&workflow) => planned,
                };
                let ended = match planned {
                    Ok(planned) => {
                        // Without trust nothing ever runs, and the user was asked if there is one to ask.
                        planned.consent().require()?;
                        Box::pin(self.follow(planned, &workflow, watch)).await
                    }
                    Err(failure) => Err(failure),
                };
                if style::is_closed() {
                    // Nobody reads what further runs would print.
                    return ended;
                }
                match ended {
                    // The run may have been cancelled for a newer one, or from elsewhere.
                    Ok(_) => {}
                    Err(failure) if is_mendable(&failure) => style::complain(&failure.text()),
                    Err(failure) => return Err(failure),
                }
                if signals.next().now_or_never().is_some() {
                    return Ok(Exit::Cancelled);
                }
            }
            if !self.is_waiting {
                style::notice("Waiting for a change of files; Ctrl-C ends.");
                self.is_waiting = true;
            }
            tokio::select! {
                change = watch.change() => self.take(change, None),
                () = signals.next() => return Ok(Exit::Cancelled),
            };
        }
    }

    /// Plans a run on a separate thread, because the trust question waits for an answer, and an action may be fetched.
    /// If the returned future is dropped, the thread ends with the program.
    async fn plan(&self, workflow: &Path) -> Result<Planned, Failure> {
        let workflow = Some(workflow.to_string_lossy().into_owned());
        let request = LaunchRequest { workflow, ..self.request.clone() };
        let (runs, (alive, ended)) = (self.runs.clone(), oneshot::channel::<()>());
        let planning = thread::spawn(move || {
            let _alive = alive;
            plan(&runs, &request)
        });
        // The other half of the channel is dropped when the thread ends.
        let _ = ended.await;
        planning.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Starts a run and follows it until it has ended. Cancels it if a change runs the workflow again.
    async fn follow(&mut self, planned: Planned, workflow: &Path, watch: &mut FileWatch) -> Outcome {
        if self.request.event.is_none() && planned.info().event != launch::PUSH {
            self.rule = Rule::Always(workflow.to_owned());
        }
        let (runs, started) = (self.runs, OnceCell::new());
        let start = || {
            let folder = launch::start(runs, planned)?.folder;
            Ok(started.get_or_init(|| folder).clone())
        };
        let mut printer = printer(self.args.json);
        let following = follow_own(start, &mut *printer);
        tokio::pin!(following);
        let mut is_replaced = false;
        loop {
            tokio::select! {
                // The run starts before a change is taken.
                biased;
                ended = &mut following => return ended,
                change = watch.change() => {
                    if self.take(change, Some(workflow)) && !is_replaced && let Some(folder) = started.get() {
                        // If the command fails, the run is just ending.
                        is_replaced = commands::cancel(folder, false).await.is_ok();
                    }
                }
            }
        }
    }

    /// Adds the workflows that a change runs to the queue, and prints what follows from it. Returns whether the change
    /// runs the workflow `current` again.
    fn take(&mut self, change: Result<FileChange, FileWatchError>, current: Option<&Path>) -> bool {
        let FileChange { files, runs, errors, why_nothing, lacks_workflow } = match change {
            Ok(change) => change,
            Err(error) => {
                self.say(&error.to_string(), &TerminalText::paragraph(&error.to_string()), true);
                return false;
            }
        };
        let runs = match &self.rule {
            Rule::Always(workflow) => vec![workflow.clone()],
            Rule::Event => match self.paths_now() {
                Ok(runs) => runs,
                Err(failure) => {
                    self.say(&failure.message, &failure.text(), failure.is_error());
                    return false;
                }
            },
            Rule::Push if runs.is_empty() => {
                // Where there is no workflow, it is the same for all files.
                let state = if lacks_workflow { "" } else { &why_nothing };
                self.say(state, &text!("{}", why_nothing), errors.is_some());
                return false;
            }
            Rule::Push => {
                if let Some(errors) = errors {
                    style::complain(&text!("{}", errors));
                }
                paths(runs)
            }
        };
        if runs.is_empty() {
            return false;
        }
        let names: Vec<String> = runs.iter().map(|path| workflows::relative(path, &self.root)).collect();
        let verb = if names.len() == 1 { "runs" } else { "run" };
        style::notice(&text!("{} changed: {} {}", files, names.join(", "), verb));
        for workflow in runs {
            if !self.queue.contains(&workflow) {
                self.queue.push_back(workflow);
            }
        }
        current.is_some_and(|current| self.queue.iter().any(|queued| queued == current))
    }

    /// Prints why a change runs nothing, once for each state of the repository: not again until `state` differs, or
    /// something has run.
    fn say(&mut self, state: &str, text: &TerminalText, is_error: bool) {
        if self.said.as_deref() == Some(state) {
            return;
        }
        (self.said, self.is_waiting) = (Some(state.to_owned()), false);
        if is_error {
            style::complain(text);
        } else {
            style::notice(text);
        }
    }

    /// Returns what the event of the request runs in the present state of the repository.
    fn paths_now(&self) -> Result<Vec<PathBuf>, Failure> {
        paths_on_event(self.runs, &self.request, &self.request.repository()?)
    }
}

impl From<FileWatchError> for Failure {
    fn from(error: FileWatchError) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}
