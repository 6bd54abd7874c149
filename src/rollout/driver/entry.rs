//! The gates of a deployment: it waits until all of them are open.

use std::time::Duration;

use tokio::time::sleep;

use crate::model::deployment::NotifyEvent;
use crate::model::{Event, PendingReview};
use crate::rollout::gates::{self, Closed, GateFacts, GateKind};
use crate::store::StoreError;
use crate::store::clock::now;

use super::controls::Stage;
use super::{Driver, Trouble};

/// Time between two looks at the ledger while a gate is closed: another process may open it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Driver {
    /// Waits until every gate is open.
    pub(super) async fn pass_gates(&mut self) -> Result<(), Trouble> {
        let mut reported: Option<Vec<Closed>> = None;
        loop {
            let closed = self.closed_gates()?;
            let key = |all: &[Closed]| all.iter().map(|one| (one.kind, one.until)).collect::<Vec<_>>();
            if reported.as_deref().map(key) != Some(key(&closed)) {
                self.report(&closed, reported.is_some());
                reported = Some(closed.clone());
            }
            if closed.is_empty() {
                return Ok(());
            }
            self.controls.stage = Stage::Gates;
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                interrupt = self.controls.next(&self.subject) => {
                    if let Some(interrupt) = interrupt {
                        return Err(Trouble::Interrupted(interrupt));
                    }
                }
            }
        }
    }

    fn closed_gates(&self) -> Result<Vec<Closed>, StoreError> {
        let ledger = self.tools.ledger.read()?;
        let record = ledger.deployment(&self.subject.settings.name, self.run_id());
        let at = now();
        Ok(gates::closed(&GateFacts {
            settings: &self.subject.settings,
            ledger: &ledger,
            record: record.as_ref(),
            now: at,
            minute_of_week: (self.tools.minute_of_week)(at),
        }))
    }

    /// Records which gates are closed.
    fn report(&mut self, closed: &[Closed], was_held: bool) {
        let environment = self.subject.settings.name.clone();
        if let Some(approval) = closed.iter().find(|one| one.kind == GateKind::Approval) {
            self.notify(NotifyEvent::Approval, &approval.sentence);
        }
        let review = closed.iter().find(|one| one.kind == GateKind::Approval).map(|_| PendingReview {
            id: 1,
            environment: environment.clone(),
            reviewers: self.subject.settings.reviewers.clone(),
            refusal: None,
            wait_until: None,
            since: None,
            jobs: vec![self.job.clone()],
        });
        if was_held || review.is_some() {
            self.record(Event::ReviewsPending { environments: review.into_iter().collect() });
        }
        if let Some(first) = closed.first() {
            self.record(Event::JobWaiting { job: self.job.clone(), gate: first.gate(&environment) });
        }
    }
}
