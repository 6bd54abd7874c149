//! Commands to a deployment in progress.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::model::deployment::{Action, Actor, Entry};
use crate::model::{Command, DeploymentOrder, Reply, RunId};
use crate::rollout::gates;
use crate::rollout::ledger::LedgerFile;
use crate::rollout::outlet::Outlet;
use crate::rollout::target::Targets;
use crate::store::clock::now;

use super::{Subject, Tools};

/// A command with the sender for its reply.
pub type Asked = (Command, oneshot::Sender<Reply>);

/// A request from outside to stop a deployment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Stop {
    /// The deployment is not stopped.
    #[default]
    No,
    /// The deployment rolls back to the previous release.
    Back,
    /// The deployment ends at once and leaves the environment as it is.
    AtOnce,
}

/// Why a deployment is interrupted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Interrupt {
    /// A person aborted or rejected the deployment.
    Back(String),
    /// The run was cancelled: the deployment rolls back, unless the new release has already succeeded.
    Cancelled,
    /// The run of a newer deployment takes the place of this one in the queue.
    Replaced(String),
    /// The deployment ends at once.
    AtOnce,
}

/// Writes the reason, for messages.
impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back(reason) => f.write_str(reason),
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::Replaced(by) => write!(f, "a newer deployment, {by}, took its place in the queue"),
            Self::AtOnce => f.write_str("it was stopped immediately"),
        }
    }
}

/// Current activity of the deployment, as far as commands depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The deployment waits for its gates to open.
    Gates,
    /// The deployment carries out a step.
    Step,
    /// The deployment waits until it is promoted, or for the end of a pause.
    Pause,
    /// The deployment watches the new release for a time.
    Watch,
    /// The release is live, and the deployment keeps the former one running for a time.
    Kept,
    /// The deployment is rolling back.
    Back,
    /// The release is live, and the deployment waits until the environment is to be stopped.
    Live,
}

/// What a deployment needs its turn for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// The steps of the plan: all hosts must answer.
    Forward,
    /// A rollback of the hosts that answer.
    Back,
    /// The stop of a slot some time after the deployment, on the hosts that answer. It waits for as long as another
    /// deployment needs.
    LateStop,
}

/// Receiver of the commands to a deployment, with the state that their answers depend on.
pub(super) struct Controls {
    asked: mpsc::Receiver<Asked>,
    stop: watch::Receiver<Stop>,
    ledger: LedgerFile,
    outlet: Arc<dyn Outlet>,
    targets: Arc<Targets>,
    run: RunId,
    /// Current activity of the deployment.
    pub(super) stage: Stage,
    /// Whether an earlier attempt has passed the gates.
    pub(super) has_begun: bool,
    /// Whether the deployment waits before its next step.
    pub(super) paused: bool,
    /// Whether pauses are skipped.
    pub(super) full: bool,
    /// Whether a command has ended the wait in progress.
    pub(super) promoted: bool,
    /// Why the target waits for the decision of a person within the step in progress; `None` if it does not.
    pub(super) decision: Option<String>,
}

impl Controls {
    pub(super) fn new(asked: mpsc::Receiver<Asked>, stop: watch::Receiver<Stop>, tools: &Tools) -> Self {
        Self {
            asked,
            stop,
            ledger: tools.ledger.clone(),
            outlet: Arc::clone(&tools.outlet),
            targets: Arc::clone(&tools.targets),
            run: tools.folder.id().clone(),
            stage: Stage::Gates,
            has_begun: false,
            paused: false,
            full: false,
            promoted: false,
            decision: None,
        }
    }

    /// Waits for the next command and answers it, or waits for a stop. Returns an interrupt if either interrupts the
    /// deployment.
    pub(super) async fn next(&mut self, subject: &Subject) -> Option<Interrupt> {
        let is_back = self.stage == Stage::Back;
        let counts = |stop: &Stop| *stop == Stop::AtOnce || (*stop == Stop::Back && !is_back);
        let stopped = async {
            let level = self.stop.wait_for(counts).await.map(|stop| *stop).ok();
            match level {
                Some(stop) => stop,
                // The sender is gone: the deployment can no longer be stopped this way.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            level = stopped => Some(match level {
                Stop::AtOnce => Interrupt::AtOnce,
                Stop::Back | Stop::No => Interrupt::Cancelled,
            }),
            asked = self.asked.recv() => match asked {
                Some((command, reply)) => {
                    let was_paused = self.paused;
                    let (answer, interrupt) = match self.answer(&command, subject) {
                        Ok(interrupt) => (Reply::Accepted, interrupt),
                        Err(Refusal(reason)) => (Reply::Rejected { reason }, None),
                    };
                    // Each full promotion counts: the target may have begun to wait again since the last one.
                    let is_full = answer == Reply::Accepted
                        && matches!(
                            command,
                            Command::Deployment { order: DeploymentOrder::Promote { full: true }, .. }
                        );
                    if self.paused == was_paused && !is_full {
                        // The sender of the command may be gone: the attempt is about to end.
                        let _ = reply.send(answer);
                    } else {
                        self.steer_target(was_paused, is_full, reply);
                    }
                    interrupt
                }
                None => std::future::pending().await,
            },
        }
    }

    /// Runs `work` while answering commands. On the way back, only an immediate stop interrupts it.
    pub(super) async fn during<T>(
        &mut self,
        subject: &Subject,
        work: impl Future<Output = T>,
        is_forward: bool,
    ) -> Result<T, Interrupt> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                interrupt = self.next(subject) => match interrupt {
                    Some(interrupt) if is_forward || interrupt == Interrupt::AtOnce => return Err(interrupt),
                    _ => {}
                },
            }
        }
    }

    /// Runs `work` once the deployment has ended. Commands are refused meanwhile, so that their senders do not wait.
    pub(super) async fn refusing<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some((_, reply)) = self.asked.recv() => {
                    // The sender of the command may be gone.
                    let _ = reply.send(Reply::Rejected { reason: HAS_ENDED.to_owned() });
                }
            }
        }
    }

    /// Pauses or resumes the target, or promotes it fully with `is_full`, and then answers the command. `was_paused` is
    /// from before the command.
    fn steer_target(&self, was_paused: bool, is_full: bool, reply: oneshot::Sender<Reply>) {
        let (targets, is_paused) = (Arc::clone(&self.targets), self.paused);
        tokio::spawn(async move {
            let steered = async {
                if is_paused != was_paused {
                    targets.pause(is_paused).await?;
                }
                if is_full { targets.promote_fully().await } else { Ok(()) }
            };
            let answer = match steered.await {
                Ok(()) => Reply::Accepted,
                Err(error) => Reply::Rejected {
                    reason: if is_paused {
                        format!("the deployment pauses before its next step, but the step in progress goes on: {error}")
                    } else {
                        format!("the deployment is promoted, but its target is not: {error}")
                    },
                },
            };
            // The sender of the command may be gone.
            let _ = reply.send(answer);
        });
    }

    /// Carries out a command. Returns an interrupt if the command interrupts the deployment.
    fn answer(&mut self, command: &Command, subject: &Subject) -> Result<Option<Interrupt>, Refusal> {
        match command {
            Command::Deployment { order, by } => self.obey(order, by.as_ref().unwrap_or(&subject.worker), subject),
            Command::Review { approve, comment, .. } => {
                let order = DeploymentOrder::Review { approve: *approve, comment: comment.clone() };
                self.obey(&order, &subject.worker, subject)
            }
            Command::Yield { to, .. } if self.stage == Stage::Gates => Ok(Some(Interrupt::Replaced(to.clone()))),
            Command::Yield { .. } => refused("the deployment has begun and keeps its turn"),
            _ => refused("not a command for a deployment"),
        }
    }

    fn obey(&mut self, order: &DeploymentOrder, by: &Actor, subject: &Subject) -> Result<Option<Interrupt>, Refusal> {
        match (order, self.stage) {
            (DeploymentOrder::Review { approve, comment }, Stage::Gates) => self.review(*approve, comment, by, subject),
            (DeploymentOrder::Review { .. }, _) => refused("the deployment does not wait for a review"),
            (_, Stage::Back) => refused("the deployment is already rolling back"),
            (_, Stage::Live) => refused(&format!(
                "the release is live until it is stopped automatically: `cuelight cancel {}` keeps it running",
                self.run
            )),
            (DeploymentOrder::Abort { reason }, _) => {
                self.record(Action::Aborted, by, reason, subject)?;
                Ok(Some(Interrupt::Back(by_person("aborted", by, reason))))
            }
            (_, Stage::Gates) if self.has_begun => {
                refused("a rule of its environment holds the deployment before it continues; an abort is possible")
            }
            (_, Stage::Gates) => refused("the deployment has not begun: a rule of its environment still holds it"),
            (DeploymentOrder::StopKept, Stage::Kept) => {
                self.record(Action::Promoted { full: false }, by, "the former release is stopped", subject)?;
                self.promoted = true;
                Ok(None)
            }
            (DeploymentOrder::StopKept, _) => refused("no former release is kept running after this deployment"),
            // A repeated promotion must not cost the way back.
            (DeploymentOrder::Promote { .. }, Stage::Kept) => refused(&format!(
                "{} is live already: `cuelight promote {} --stop-kept` would stop the former release, to which a rollback is \
                 instant until then",
                subject.release.title(),
                subject.settings.name
            )),
            (DeploymentOrder::Pause, Stage::Kept) => {
                refused(&format!("{} is live already: there is no step to pause before", subject.release.title()))
            }
            (DeploymentOrder::Promote { full: false }, Stage::Step) if !self.paused => {
                refused(self.decision.as_deref().unwrap_or("the deployment is not paused: nothing to promote"))
            }
            (DeploymentOrder::Promote { full }, _) => {
                self.record(Action::Promoted { full: *full }, by, "", subject)?;
                // A pause that was requested during a watch is taken back, and the watch goes on.
                self.promoted |= *full || !(self.paused && self.stage == Stage::Watch);
                self.paused = false;
                self.full |= *full;
                Ok(None)
            }
            (DeploymentOrder::Pause, _) if self.paused => refused("the deployment is already paused"),
            (DeploymentOrder::Pause, _) => {
                self.record(Action::Paused, by, "", subject)?;
                self.paused = true;
                Ok(None)
            }
        }
    }

    fn review(
        &self,
        approve: bool,
        comment: &str,
        by: &Actor,
        subject: &Subject,
    ) -> Result<Option<Interrupt>, Refusal> {
        if let Some(refusal) = gates::refusal(&subject.settings, &subject.creator, by) {
            let reviewers = subject.settings.reviewers.join(", ");
            return refused(&format!("{}: {refusal}; the reviewers are {reviewers}", by.name()));
        }
        self.record(if approve { Action::Approved } else { Action::Rejected }, by, comment, subject)?;
        if approve {
            return Ok(None);
        }
        Ok(Some(Interrupt::Back(by_person("rejected", by, comment))))
    }

    /// Records a command in the ledger. A command that cannot be recorded is refused.
    fn record(&self, action: Action, by: &Actor, reason: &str, subject: &Subject) -> Result<(), Refusal> {
        let entry = Entry {
            at: now(),
            by: by.clone(),
            environment: subject.settings.name.clone(),
            deployment: Some(self.run.clone()),
            job: None,
            action,
            reason: self.outlet.masked(reason),
        };
        self.ledger.append(&entry).map_err(|error| Refusal(error.to_string()))
    }
}

/// Returns what a person did with the deployment, and why: `aborted by olu@web: errors`.
pub(super) fn by_person(what: &str, by: &Actor, reason: &str) -> String {
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{what} by {}{why}", by.name())
}

/// Why commands are refused after the end of the deployment.
pub(super) const HAS_ENDED: &str =
    "the deployment has ended, and its worker only reports the end: repeat the command in a few seconds";

/// Why a command is refused, as a message.
struct Refusal(String);

fn refused<T>(reason: &str) -> Result<T, Refusal> {
    Err(Refusal(reason.to_owned()))
}
