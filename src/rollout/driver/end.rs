//! Ends a deployment: writes its entry in the ledger and its records, and sends its notifications.

use std::mem;

use indexmap::IndexMap;

use crate::model::deployment::{Action, Cause, Entry, NotifyEvent, Outcome, RecordedState};
use crate::model::{Conclusion, Event};
use crate::rollout::notify::Notice;
use crate::store::StoreError;
use crate::store::clock::now;
use crate::store::folder::RunFolder;

use super::{DeploymentEnd, Driver, Position, Subject, Trouble};

impl Driver {
    /// Returns how the deployment ended, according to the ledger. `None` if it has not ended, or the ledger cannot be
    /// read.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let state = self.tools.ledger.read().ok()?.of(&self.subject.settings.name);
        state.deployment(self.run_id())?.outcome
    }

    /// Adds an entry of the worker to the ledger.
    pub(super) fn append(&self, action: Action, reason: String) -> Result<(), StoreError> {
        self.tools.ledger.append(&self.entry(action, &reason))
    }

    /// Returns an entry of the worker for the ledger.
    pub(super) fn entry(&self, action: Action, reason: &str) -> Entry {
        Entry {
            at: now(),
            by: self.subject.worker.clone(),
            environment: self.subject.settings.name.clone(),
            deployment: Some(self.run_id().clone()),
            job: None,
            action,
            reason: self.tools.outlet.masked(reason),
        }
    }

    /// Records the end of the deployment, gives up its turn, and sends and awaits its notifications.
    pub(super) async fn end(mut self, outcome: Outcome, mut reason: Option<String>) -> DeploymentEnd {
        let mut conclusion = match outcome {
            Outcome::Succeeded if reason.is_none() => Conclusion::Success,
            Outcome::Cancelled => Conclusion::Cancelled,
            Outcome::Succeeded | Outcome::RolledBack | Outcome::Failed | Outcome::Interrupted => Conclusion::Failure,
        };
        if self.outcome() != Some(outcome) {
            self.notify_end(outcome, reason.as_deref());
            if let Err(error) = self.append(Action::Ended { outcome }, reason.clone().unwrap_or_default()) {
                conclusion = Conclusion::Failure;
                let how = reason.unwrap_or_else(|| format!("{} is live", self.subject.release.title()));
                reason = Some(format!("{how}; the ledger lacks this end: {error}"));
            }
            self.report_state(RecordedState::of_end(outcome), reason.as_deref().unwrap_or_default());
        }
        // Readers of the ledger do not wait for a target that answers slowly.
        if conclusion == Conclusion::Success
            && let Some(position) = self.position()
        {
            self.note_running_image(&position.plan).await;
        }
        let environment_url = self.subject.settings.url.clone().filter(|_| outcome == Outcome::Succeeded);
        self.record(Event::JobFinished {
            job: self.job.clone(),
            conclusion,
            allowed_failure: false,
            reason: reason.clone(),
            outputs: IndexMap::new(),
            environment_url,
        });
        if outcome == Outcome::Succeeded {
            self.remove_old_images().await;
        }
        self.leave().await;
        let Self { mut controls, notifier, recorder, .. } = self;
        controls.refusing(async { tokio::join!(notifier.finish(), recorder.finish()) }).await;
        DeploymentEnd { conclusion, reason }
    }

    /// Reports a state of the deployment to the server that records it, too.
    pub(super) fn report_state(&self, state: RecordedState, description: &str) {
        self.recorder.report(state, description, self.subject.settings.url.as_deref());
    }

    /// Notifies people of the end, unless the deployment was cancelled or interrupted, or its success was already notified.
    pub(super) fn notify_end(&mut self, outcome: Outcome, reason: Option<&str>) {
        // A success whose release is kept is notified before the end. The ledger may have lost it since.
        if outcome == Outcome::Succeeded && mem::replace(&mut self.has_notified, true) {
            return;
        }
        let (environment, run) = (&self.subject.settings.name, self.run_id());
        let (event, command) = match outcome {
            Outcome::Succeeded => (NotifyEvent::Succeeded, format!("rollback {environment}")),
            Outcome::RolledBack => (NotifyEvent::RolledBack, format!("explain {run}")),
            // Without a position, nothing was changed, so there is nothing to roll back.
            Outcome::Failed if self.position().is_none() => (NotifyEvent::Failed, format!("explain {run}")),
            Outcome::Failed => (NotifyEvent::Failed, format!("rollback {environment}")),
            Outcome::Cancelled | Outcome::Interrupted => return,
        };
        let what = match (event, &self.subject.cause) {
            (NotifyEvent::Succeeded, Cause::Rollback) => "is live: the rollback is done".to_owned(),
            (NotifyEvent::Succeeded, _) => "is live".to_owned(),
            _ => format!("{}: {}", outcome.word(), reason.unwrap_or_default()),
        };
        self.notify(event, &what, &command);
    }

    /// Returns the position in the plan; `None` before there is a plan.
    fn position(&self) -> Option<Position> {
        Position::read(&self.tools.folder).ok().flatten()
    }

    /// Notifies people. `what` follows the name of the release in the message, and `command` follows `cuelight`.
    pub(super) fn notify(&mut self, about: NotifyEvent, what: &str, command: &str) {
        if !self.notifier.wants(about) {
            return;
        }
        let notice = notice(&self.subject, &self.tools.folder, (about, what, command));
        self.notifier.send(notice);
    }
}

/// Returns a notice about a deployment, with what happened and the command to act.
pub(super) fn notice(
    subject: &Subject,
    folder: &RunFolder,
    (about, what, command): (NotifyEvent, &str, &str),
) -> Notice {
    let Subject { settings, release, cause, creator, .. } = subject;
    Notice {
        about,
        environment: settings.name.clone(),
        run: folder.id().clone(),
        release: release.clone(),
        cause: cause.clone(),
        by: creator.name(),
        what: what.to_owned(),
        command: format!("cuelight {command}"),
        strategy: settings.strategy.name(),
        step: Position::read(folder).ok().flatten().as_ref().map(Position::step),
        url: settings.url.clone(),
        at: now(),
    }
}

/// Returns how and why a deployment ended that could not begin, or could not continue after it was interrupted at
/// `left`.
pub(super) fn not_begun(trouble: &Trouble, left: Option<&str>) -> (Outcome, Option<String>) {
    let outcome = match (trouble, left) {
        (Trouble::Superseded(_), _) | (Trouble::Interrupted(_), None) => {
            return (Outcome::Cancelled, Some(trouble.to_string()));
        }
        (Trouble::Interrupted(_), Some(_)) => Outcome::Interrupted,
        _ => Outcome::Failed,
    };
    let now = left.map_or_else(|| "nothing was changed".to_owned(), |left| format!("it is left at {left}"));
    (outcome, Some(format!("{trouble}; {now}")))
}
