//! Starts requested runs, the runs of watch mode, and runs that waited for the answer to the trust question.
//!
//! A run is planned once. The plan that is shown with the trust question is kept and started after the answer, so
//! nothing runs that was not shown.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::launch;
use crate::launch::commands::CommandError;
use crate::launch::trust::Consent;
use crate::launch::trust::Trust;
use crate::launch::{LaunchError, LaunchRequest, Planned, SecretSource, commands};
use crate::model::feed::{Feed, Notice};
use crate::model::lane::LaneRequest;
use crate::model::{Command, Reply, RunId};

use super::watch_mode::{StartedRun, WatchMode};
use super::{Serving, submit};

/// Time between two attempts to cancel a run that does not accept the command.
const CANCEL_RETRY: Duration = Duration::from_secs(1);

/// The event that watch mode simulates.
const PUSH: &str = "push";

/// What starts once the repository is trusted.
pub(super) enum Waiting {
    /// A run.
    Run(Box<Planned>),
    /// Watch mode.
    Watch(Box<WatchMode>, Box<Consent>),
    /// A command that starts another attempt of a run.
    Attempt(RunId, Command, Box<Consent>),
    /// A request about an environment of this machine.
    Lane(LaneRequest, Box<Consent>),
}

impl Waiting {
    fn consent(&mut self) -> &mut Consent {
        match self {
            Self::Run(planned) => planned.consent_mut(),
            Self::Watch(_, consent) | Self::Attempt(_, _, consent) | Self::Lane(_, consent) => consent,
        }
    }
}

impl Serving {
    /// Plans and starts a run, or asks for trust first.
    pub(super) async fn start_requested(&mut self, request: LaunchRequest) {
        match launch::plan(&self.runs, &LaunchRequest { folder: self.folder.clone(), ..request }) {
            Ok(planned) => match planned.consent().trust() {
                Trust::Given => self.start_shown(planned).await,
                Trust::Missing(_) => self.ask_for_trust(Waiting::Run(Box::new(planned))).await,
            },
            Err(error) => self.complain(&error).await,
        }
    }

    /// Starts watch mode, or asks for trust first.
    pub(super) async fn watch_files(&mut self, workflow: Option<String>) {
        let watch = match WatchMode::start(&self.folder, workflow) {
            Ok(watch) => watch,
            Err(error) => return self.complain(&error).await,
        };
        match launch::consent(&self.runs, &watch.repository().root) {
            Ok(consent) => match consent.trust() {
                Trust::Given => self.watch(watch).await,
                Trust::Missing(_) => {
                    self.ask_for_trust(Waiting::Watch(Box::new(watch), Box::new(consent))).await;
                }
            },
            Err(error) => self.complain(&error).await,
        }
    }

    /// Submits a command to a run, and reports the reply. If the command starts another attempt and the repository is
    /// not trusted, asks for trust.
    pub(super) async fn command(&mut self, run: RunId, command: Command) {
        let reply = match commands::submit(&self.runs.folder(run.clone()), &command).await {
            Ok(()) => Reply::Accepted,
            Err(error) => {
                let reason = error.to_string();
                if matches!(error, CommandError::Untrusted(_)) {
                    match launch::consent_of_attempt(&self.runs.folder(run.clone())) {
                        Ok(consent) => {
                            let waiting = Waiting::Attempt(run.clone(), command.clone(), Box::new(consent));
                            self.ask_for_trust(waiting).await;
                        }
                        Err(error) => self.complain(&error).await,
                    }
                }
                Reply::Rejected { reason }
            }
        };
        if matches!(command, Command::Rerun { .. } | Command::RerunWithDebugger { .. } | Command::Resume) {
            self.follow(run.clone());
        }
        self.report(Feed::Replied { run, command, reply }).await;
    }

    /// Asks the user for trust. An earlier unanswered question is dropped.
    pub(super) async fn ask_for_trust(&mut self, mut waiting: Waiting) {
        let preview = waiting.consent().preview();
        let question = self.questions;
        self.questions += 1;
        self.waiting = Some((question, waiting));
        self.report(Feed::Untrusted { question, preview }).await;
    }

    /// Trusts the repository and starts what the question was for. An outdated question only leads to a message.
    pub(super) async fn trust(&mut self, question: u64) {
        let Some((_, mut waiting)) = self.waiting.take_if(|(waiting, _)| *waiting == question) else {
            let notice = Notice::bad("another start was requested meanwhile: try again");
            return self.report(Feed::Notice(notice)).await;
        };
        if let Err(error) = waiting.consent().grant(&self.runs) {
            return self.complain(&error).await;
        }
        match waiting {
            Waiting::Run(planned) => self.start_shown(*planned).await,
            Waiting::Watch(watch, _) => self.watch(*watch).await,
            Waiting::Attempt(run, command, _) => self.command(run, command).await,
            Waiting::Lane(request, _) => self.act_on_lane(request).await,
        }
    }

    /// Starts a run and selects it on the screen.
    async fn start_shown(&mut self, planned: Planned) {
        let unknown = planned.unknown();
        match self.start(planned).await {
            Ok(run) => {
                self.report(Feed::Started(run)).await;
                if let Some(unknown) = unknown {
                    self.report(Feed::Notice(Notice::news(unknown))).await;
                }
            }
            Err(error) => self.complain(&error).await,
        }
    }

    async fn start(&mut self, planned: Planned) -> Result<RunId, LaunchError> {
        let run = launch::start(&self.runs, planned)?.folder.id().clone();
        self.list().await;
        self.follow(run.clone());
        Ok(run)
    }

    async fn watch(&mut self, watch: WatchMode) {
        self.watch_mode = Some(watch);
        self.report_watching().await;
    }

    pub(super) async fn report_watching(&self) {
        self.report(Feed::Watching(self.watch_mode.as_ref().map(WatchMode::state))).await;
    }

    /// Decides which workflows the changed files run, and starts them.
    pub(super) async fn decide(&mut self) {
        let Some(watch) = &mut self.watch_mode else { return };
        match watch.decide() {
            Ok(Some(change)) if change.running().next().is_some() => {
                let errors = change.errors();
                watch.pending = Some(change);
                self.start_pending().await;
                if let Some(errors) = errors {
                    self.report(Feed::Notice(Notice::bad(errors))).await;
                }
            }
            Ok(Some(change)) => {
                // The new decision also covers the files of the pending change.
                watch.pending = None;
                self.report(Feed::Notice(change.why_nothing())).await;
            }
            Ok(None) => {}
            Err(error) => self.complain(&error).await,
        }
        self.report_watching().await;
    }

    /// Cancels the runs that the pending change replaces, and starts its runs once the replaced ones have ended.
    pub(super) async fn start_pending(&mut self) {
        let Some(watch) = &mut self.watch_mode else { return };
        watch.started.retain(|started| self.followed.contains(&started.run));
        let replaced: Vec<(RunId, bool)> =
            watch.replaced().into_iter().map(|started| (started.run.clone(), started.is_cancelled)).collect();
        for (run, _) in replaced.iter().filter(|(_, is_cancelled)| !is_cancelled) {
            if submit(&self.runs.folder(run.clone()), &Command::Cancel).await == Reply::Accepted {
                self.report(Feed::Notice(Notice::news("files changed: the run is cancelled for a new one"))).await;
                let all = self.watch_mode.iter_mut().flat_map(|watch| &mut watch.started);
                all.filter(|started| started.run == *run).for_each(|started| started.is_cancelled = true);
            } else {
                // The worker may not listen yet, or the run may be ending.
                self.retry_at = Some(Instant::now() + CANCEL_RETRY);
            }
        }
        if !replaced.is_empty() {
            return;
        }
        let Some(change) = self.watch_mode.as_mut().and_then(|watch| watch.pending.take()) else { return };
        self.report_watching().await;
        for (number, one) in change.running().enumerate() {
            let text = format!("{} changed: {} starts ({})", change.summary(), one.name, one.reason());
            self.report(Feed::Notice(Notice::news(text))).await;
            let request = LaunchRequest {
                secrets: vec![SecretSource::Named],
                ..self.request(one.path.to_string_lossy().into_owned(), PUSH.to_owned())
            };
            let started = match launch::plan(&self.runs, &request) {
                Ok(planned) => self.start(planned).await,
                Err(error) => Err(error),
            };
            match started {
                Ok(run) => {
                    // The screen shows the first of several runs.
                    if number == 0 {
                        self.report(Feed::Triggered(run.clone())).await;
                    }
                    let started = StartedRun { run, workflow: one.path.clone(), is_cancelled: false };
                    if let Some(watch) = &mut self.watch_mode {
                        watch.started.push(started);
                    }
                }
                Err(error) => self.complain(&error).await,
            }
        }
    }

    /// Reports an error.
    pub(super) async fn complain(&self, error: &impl fmt::Display) {
        self.report(complaint(error)).await;
    }
}

/// Returns the report of the first paragraph of an error, in one line: later paragraphs quote files.
pub(super) fn complaint(error: &impl fmt::Display) -> Feed {
    let text = error.to_string();
    let lines: Vec<&str> = text.split("\n\n").next().unwrap_or_default().lines().map(str::trim).collect();
    Feed::Notice(Notice::bad(lines.join(" ")))
}
