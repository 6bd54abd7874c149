//! Notifications about jobs that deploy to environments of this machine, and the records of their deployments on a server.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use crate::engine::outlet::Outlet as _;
use crate::model::deployment::{Actor, Cause, EnvironmentSettings, NotifyEvent, Outcome, RecordedState};
use crate::model::environment::Release;
use crate::model::{JobId, RunId};
use crate::rollout::ledger::LedgerFile;
use crate::rollout::notify::{Notice, Notifier};
use crate::rollout::outlet::Outlet;
use crate::rollout::recording::{self, BY_JOB, Records, Server, new_deployment};
use crate::rollout::shell::Shell;
use crate::store::clock::now;

use super::deployment_run::Recorder;
use super::outlet::RunOutlet;

/// The notifications about one job, and the record of its deployment.
pub(super) struct JobNotices {
    run: RunId,
    environment: String,
    url: Option<String>,
    release: Release,
    by: String,
    notifier: Notifier,
    recorder: recording::Recorder,
}

impl JobNotices {
    /// Returns the notifications about a job that deploys a release. The values of secrets that they need are masked in
    /// the run from now on. Without `server`, no server records the deployment. Must be called inside a tokio runtime.
    pub(super) fn new(
        (run, job): (&RunId, &JobId),
        settings: &EnvironmentSettings,
        release: &Release,
        by: &Actor,
        (folder, environment): (&Path, &[(OsString, OsString)]),
        (outlet, ledger, server): (&Arc<RunOutlet>, &LedgerFile, Option<Server>),
    ) -> Self {
        if settings.notify.is_some() {
            settings.secrets(environment).for_each(|secret| outlet.add_mask(secret.as_bytes()));
        }
        let shell = Shell { folder: folder.to_owned(), environment: environment.to_vec() };
        let outlet: Arc<dyn Outlet> = Arc::new(Recorder::new(outlet));
        let notifier = Notifier::new(settings.notify.as_ref(), &shell, &outlet, job);
        let new = new_deployment(settings, release, (&Cause::Job, by), (run, Some(job)));
        let records = Records {
            ledger: ledger.clone(),
            outlet,
            run: run.clone(),
            job: job.clone(),
            deploys: Some(job.clone()),
            environment: settings.name.clone(),
            by: by.clone(),
        };
        Self {
            run: run.clone(),
            environment: settings.name.clone(),
            url: settings.url.clone(),
            release: release.clone(),
            by: by.name(),
            notifier,
            // Each attempt of the job is another deployment, so no earlier one can have created it.
            recorder: recording::Recorder::new(server, new, records, true),
        }
    }

    /// Notifies people that the deployment waits for an approval. `why` is the reason from the gate.
    pub(super) fn waits(&mut self, why: &str) {
        self.send(NotifyEvent::Approval, why, &format!("approve {} --run {}", self.environment, self.run));
    }

    /// Notifies people that the job has begun.
    pub(super) fn began(&mut self) {
        self.report(RecordedState::InProgress, "");
        self.send(NotifyEvent::Started, "is being deployed", &format!("attach {}", self.run));
    }

    /// Notifies people how the deployment ended, unless it was cancelled before it began.
    pub(super) fn ended(&mut self, outcome: Outcome, reason: &str) {
        self.report(RecordedState::of_end(outcome), reason);
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

    /// Waits for notifications that are not sent yet, and for the record on the server, for a limited time.
    pub(super) async fn finish(self) {
        tokio::join!(self.notifier.finish(), self.recorder.finish());
    }

    /// Reports a state to the server that records the deployment. One that never began is not recorded there.
    fn report(&self, state: RecordedState, description: &str) {
        self.recorder.report(state, description, self.url.as_deref());
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
            strategy: BY_JOB,
            step: None,
            url: self.url.clone(),
            at: now(),
        });
    }
}
