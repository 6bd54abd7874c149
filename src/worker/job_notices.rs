//! Notifications about jobs that deploy to environments of this machine.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use crate::engine::outlet::Outlet as _;
use crate::model::deployment::{Cause, EnvironmentSettings, NotifyEvent, Outcome};
use crate::model::environment::Release;
use crate::model::{JobId, RunId};
use crate::rollout::notify::{Notice, Notifier};
use crate::rollout::outlet::Outlet;
use crate::rollout::shell::Shell;
use crate::store::clock::now;

use super::deployment_run::Recorder;
use super::outlet::RunOutlet;

/// Strategy that notifications name: the steps of the job decide how the release is deployed.
const STRATEGY: &str = "job";

/// The notifications about one job.
pub(super) struct JobNotices {
    run: RunId,
    environment: String,
    url: Option<String>,
    release: Release,
    by: String,
    notifier: Notifier,
}

impl JobNotices {
    /// Returns the notifications about a job that deploys a release. The values of secrets that they need are masked in
    /// the run from now on. Must be called inside a tokio runtime.
    pub(super) fn new(
        (run, job): (&RunId, &JobId),
        settings: &EnvironmentSettings,
        release: &Release,
        by: String,
        (folder, environment): (&Path, &[(OsString, OsString)]),
        outlet: &Arc<RunOutlet>,
    ) -> Self {
        if settings.notify.is_some() {
            settings.secrets(environment).for_each(|secret| outlet.add_mask(secret.as_bytes()));
        }
        let shell = Shell { folder: folder.to_owned(), environment: environment.to_vec() };
        let recorder: Arc<dyn Outlet> = Arc::new(Recorder::new(outlet));
        Self {
            run: run.clone(),
            environment: settings.name.clone(),
            url: settings.url.clone(),
            release: release.clone(),
            by,
            notifier: Notifier::new(settings.notify.as_ref(), &shell, &recorder, job),
        }
    }

    /// Notifies people that the deployment waits for an approval. `why` is the reason from the gate.
    pub(super) fn waits(&mut self, why: &str) {
        self.send(NotifyEvent::Approval, why, &format!("approve {} --run {}", self.environment, self.run));
    }

    /// Notifies people that the job has begun.
    pub(super) fn began(&mut self) {
        self.send(NotifyEvent::Started, "is being deployed", &format!("attach {}", self.run));
    }

    /// Notifies people how the deployment ended, unless it was cancelled before it began.
    pub(super) fn ended(&mut self, outcome: Outcome, reason: &str) {
        match outcome {
            Outcome::Succeeded => {
                self.send(NotifyEvent::Succeeded, "is live", &format!("rollback {}", self.environment));
            }
            Outcome::Failed => {
                self.send(NotifyEvent::Failed, &format!("failed: {reason}"), &format!("explain {}", self.run));
            }
            Outcome::RolledBack | Outcome::Cancelled | Outcome::Interrupted => {}
        }
    }

    /// Waits for notifications that are not sent yet, for a limited time.
    pub(super) async fn finish(self) {
        self.notifier.finish().await;
    }

    fn send(&mut self, about: NotifyEvent, what: &str, command: &str) {
        self.notifier.send(Notice {
            about,
            environment: self.environment.clone(),
            run: self.run.clone(),
            release: self.release.clone(),
            cause: Cause::Job,
            by: self.by.clone(),
            what: what.to_owned(),
            command: format!("cuelight {command}"),
            strategy: STRATEGY,
            step: None,
            url: self.url.clone(),
            at: now(),
        });
    }
}
