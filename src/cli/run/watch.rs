//! `run --watch`: runs workflows, and again whenever files of the repository change.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use crate::backend::local::file_watch::{FileChange, FileWatch, FileWatchError};
use crate::launch;
use crate::launch::triggers::{TriggerDecision, TriggerError};
use crate::launch::{LaunchRequest, commands};
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
    /// The only workflow to run, whatever changed, because it does not run on a push; `None` for those that a push of the
    /// change would run.
    always: Option<PathBuf>,
    queue: VecDeque<PathBuf>,
}

/// Runs the workflows of the request, waits for a change of files, and runs what a push of the change would run. Ends
/// with Ctrl-C.
pub(super) fn run(runs: &RunsDir, args: &Args, request: LaunchRequest) -> Outcome {
    let repository = request.repository()?;
    let root = repository.root.as_path();
    let named = request.workflow.as_deref().map(|wanted| workflows::find(Some(wanted), &request.folder, root));
    let named = named.transpose()?;
    // Watches before the first run, so that no change during it is missed.
    let mut watch = FileWatch::start(root, named.as_deref().map(|path| workflows::relative(path, root)))?;
    let first = match &named {
        Some(path) => [path.clone()].into(),
        None => super::on_event(runs, &request, &repository)?.map(paths).or_else(|error| match error {
            // The next change may run something.
            TriggerError::AllSkipped { .. } => {
                style::notice(&TerminalText::paragraph(&error.to_string()));
                Ok(VecDeque::new())
            }
            other => Err(other),
        })?,
    };
    let always = named.filter(|_| request.event.as_deref().is_some_and(|event| event != launch::PUSH));
    let mut watching = Watching { runs, args, request, always, queue: first };
    block_on(async { watching.serve(&mut watch).await })?
}

fn paths(decisions: Vec<TriggerDecision>) -> VecDeque<PathBuf> {
    decisions.into_iter().map(|decision| decision.path).collect()
}

impl Watching<'_> {
    async fn serve(&mut self, watch: &mut FileWatch) -> Outcome {
        let mut interrupted = signal(SignalKind::interrupt())?;
        loop {
            while let Some(workflow) = self.queue.pop_front() {
                match self.run_one(&workflow, watch).await {
                    Ok(Exit::Cancelled) => return Ok(Exit::Cancelled),
                    Ok(_) => {}
                    // A run that is left in progress, or nobody who could be asked for trust, ends the command. Anything
                    // else, such as an error in the workflow file, can be mended while files are watched.
                    Err(failure) if matches!(failure.exit, Exit::Cancelled | Exit::Rejected) => return Err(failure),
                    Err(failure) => style::complain(&failure.text()),
                }
            }
            style::notice("Waiting for a change of files; Ctrl-C ends.");
            tokio::select! {
                change = watch.change() => self.take(change, None),
                _ = interrupted.recv() => return Ok(Exit::Cancelled),
            };
        }
    }

    /// Runs a workflow, and cancels the run if a change runs the workflow again.
    async fn run_one(&mut self, workflow: &Path, watch: &mut FileWatch) -> Outcome {
        let request = LaunchRequest { workflow: Some(workflow.to_string_lossy().into_owned()), ..self.request.clone() };
        let planned = plan(self.runs, &request)?;
        if request.event.is_none() && planned.info().event != launch::PUSH {
            self.always = Some(workflow.to_owned());
        }
        let folder = launch::start(self.runs, planned)?.folder;
        let mut printer = printer(self.args.json);
        let following = follow_own(&folder, &mut *printer);
        tokio::pin!(following);
        let mut is_replaced = false;
        loop {
            tokio::select! {
                ended = &mut following => {
                    return ended.map(|exit| if is_replaced { Exit::Success } else { exit });
                }
                change = watch.change() => {
                    if self.take(change, Some(workflow)) && !is_replaced {
                        // If the command fails, the run is just ending.
                        is_replaced = commands::cancel(&folder, false).await.is_ok();
                    }
                }
            }
        }
    }

    /// Adds the workflows that a change runs to the queue, and prints what follows from it. Returns whether the change
    /// runs the workflow `current` again.
    fn take(&mut self, change: Result<FileChange, FileWatchError>, current: Option<&Path>) -> bool {
        let FileChange { files, mut runs, errors, why_nothing } = match change {
            Ok(change) => change,
            Err(error) => {
                style::complain(&TerminalText::paragraph(&error.to_string()));
                return false;
            }
        };
        let names: Vec<String> = match self.always.clone() {
            Some(workflow) => {
                runs.clear();
                let name = workflow.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.add(workflow);
                vec![name]
            }
            None => runs.iter().map(|one| one.name.clone()).collect(),
        };
        for one in runs {
            self.add(one.path);
        }
        match errors {
            // The reason names the errors.
            Some(_) if names.is_empty() => {
                style::complain(&text!("{}", why_nothing));
                return false;
            }
            Some(errors) => style::complain(&text!("{}", errors)),
            None if names.is_empty() => {
                style::notice(&text!("{}", why_nothing));
                return false;
            }
            None => {}
        }
        style::notice(&text!("{} changed: {} runs", files, names.join(", ")));
        current.is_some_and(|current| self.queue.iter().any(|queued| queued == current))
    }

    fn add(&mut self, workflow: PathBuf) {
        if !self.queue.contains(&workflow) {
            self.queue.push_back(workflow);
        }
    }
}

impl From<FileWatchError> for Failure {
    fn from(error: FileWatchError) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}
