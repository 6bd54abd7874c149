//! Prepares the first step: passes the gates, waits in the queue, and makes the plan.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, timeout};

use crate::model::deployment::{Action, DeploymentPlan, DeploymentRecord, NotifyEvent, Outcome, Plan};
use crate::model::environment::{Release, title_of};
use crate::model::{Event, Gate, JobId, PendingReview, StepNumber};
use crate::repo::uncommitted::named;
use crate::rollout::gates::{self, Closed, GateFacts, GateKind};
use crate::rollout::ledger::LOOK_EVERY;
use crate::rollout::outlet::{Outlet, Progress};
use crate::rollout::plan;
use crate::rollout::target::Targets;
use crate::store::StoreError;
use crate::store::clock::now;

use super::controls::{Interrupt, Purpose, Stage, by_person};
use super::restarts::Restarts;
use super::{Begin, Driver, Position, Trouble};

impl Driver {
    /// Passes the gates, waits for the turn, makes the plan and writes it. Returns an interrupt if the attempt is to
    /// begin with a rollback, because there is nothing to roll back.
    pub(super) async fn enter(&mut self, begin: Begin) -> Result<Position, Trouble> {
        if let Begin::Back(reason) = begin {
            return Err(Trouble::Interrupted(Interrupt::Back(by_person("aborted", &self.subject.worker, &reason))));
        }
        self.pass_gates_in_turn().await?;
        let progress = Progress::new(&self.tools.outlet, &self.job, StepNumber(1));
        let targets = Arc::clone(&self.tools.targets);
        let observed = self.controlled(targets.observe(&progress)).await.map_err(Trouble::Interrupted)?;
        let hosts = observed.map_err(Trouble::Unobserved)?;
        let known = Arc::clone(&self.tools.known);
        let mut plan = plan::over(&self.subject.settings, &hosts, &self.subject.release, |sha| known(sha))?;
        let checked = self.controlled(targets.can_carry_out(&plan)).await;
        checked.map_err(Trouble::Interrupted)??;
        self.note_former_images(&mut plan)?;
        let position = Position {
            plan,
            done: 0,
            back: None,
            has_ended: false,
            is_paused: false,
            is_undecided: false,
            decision: None,
            restarts: Restarts::default(),
        };
        position.write(&self.tools.folder)?;
        Ok(position)
    }

    /// Records which release the target served when the plan was made, or that it served none, unless the ledger knows that.
    /// Hosts that served different ones are left out, and so is a target that does not report what it runs.
    pub(super) fn note_found(&mut self, plan: &DeploymentPlan) -> Result<(), StoreError> {
        if !self.subject.settings.target.reports() {
            return Ok(());
        }
        let found = plan.plans().find_map(Plan::served);
        if found.is_none() && plan.former().is_some() {
            // It has ended, but it may have been live until then: what the ledger has remains.
            return Ok(());
        }
        let sha = |release: &Release| release.sha.clone();
        let of_all = plan.plans().all(|of| of.served().map(sha) == found.map(sha));
        let state = self.latest.state()?;
        let live = state.live().map(|live| sha(&live.release));
        let is_known = state.knows_live() && live == found.map(sha);
        if is_known || !of_all {
            return Ok(());
        }
        let text = format!("{} was live, as the target reported it", title_of(found, true));
        // An earlier attempt may have recorded it, and ended before its first step was done.
        self.tools.ledger.append_once(self.entry(Action::Found { release: found.cloned() }, &text))
    }

    /// Passes the gates and waits for the turn again, after an interruption. A rollback needs only the turn. A
    /// pause that a person has requested is kept until the deployment is promoted. Returns an error if a later deployment
    /// has begun since.
    pub(super) async fn enter_again(&mut self, mut position: Position, begin: Begin) -> Result<Position, Trouble> {
        if let Begin::Back(reason) = begin {
            let why = by_person("aborted", &self.subject.worker, &reason);
            position.back.get_or_insert_with(|| self.tools.outlet.masked(&why));
        }
        if position.back.is_none() {
            match self.pass_gates_in_turn().await {
                // The deployment has already begun, so its changes are undone.
                Err(Trouble::Interrupted(Interrupt::Back(reason))) => {
                    position.back = Some(self.tools.outlet.masked(&reason));
                }
                passed => passed?,
            }
        }
        if self.turn.is_none() {
            self.controls.stage = Stage::Back;
            self.wait_for_turn(Purpose::Back).await?;
        }
        self.check_superseded()?;
        if position.back.is_none() {
            let record = self.latest.state()?.deployment(self.tools.folder.id());
            let is_open = |record: &&DeploymentRecord| record.outcome != Some(Outcome::Succeeded);
            self.controls.paused = record.filter(is_open).is_some_and(|record| record.paused);
            if !self.controls.paused {
                // A person has promoted the deployment, but its worker may have died before the target was resumed.
                self.tools.targets.pause(false).await?;
            }
        }
        Ok(position)
    }

    /// Waits until every gate is open and the deployment has its turn.
    async fn pass_gates_in_turn(&mut self) -> Result<(), Trouble> {
        loop {
            self.pass_gates().await?;
            self.wait_for_turn(Purpose::Forward).await?;
            if self.closed_gates()?.is_empty() {
                return self.check_files();
            }
            // A gate was closed meanwhile, for instance by a lock: the turn is free for others until the gate opens.
            self.leave().await;
        }
    }

    /// Checks the files that commands use again, because the user may have changed them while the deployment waited.
    fn check_files(&mut self) -> Result<(), Trouble> {
        let files = (self.tools.changed)()?;
        if files.is_empty() {
            return Ok(());
        }
        let state = self.latest.state()?;
        if !state.deployment(self.tools.folder.id()).is_some_and(|record| record.overridden) {
            gates::check_files(&self.subject.settings, &self.subject.release, &files)?;
        }
        Ok(self.tools.ledger.append_once(self.entry(Action::Changed, &named(&files)))?)
    }

    /// Waits for the turn among the deployments of this machine, then takes the lock that also holds back deployments
    /// from other machines.
    pub(super) async fn wait_for_turn(&mut self, purpose: Purpose) -> Result<(), Trouble> {
        let is_patient = purpose == Purpose::LateStop;
        let queue = Arc::clone(&self.tools.queue);
        let turn = self.controlled(async move { queue.wait(is_patient).await }).await.map_err(Trouble::Interrupted)?;
        let turn = turn?;
        let by = &self.subject.worker;
        let owner = format!("{} since {}, deployment {}", by.name(), now().clock(), self.run_id());
        let (targets, outlet) = (Arc::clone(&self.tools.targets), Arc::clone(&self.tools.outlet));
        let (job, environment) = (self.job.clone(), self.subject.settings.name.clone());
        let locking = async {
            match purpose {
                Purpose::Forward => {
                    let locking = targets.lock(&owner, is_patient);
                    reported(locking, &targets, &outlet, (&job, &environment)).await.map(|()| BTreeMap::new())
                }
                Purpose::Back | Purpose::LateStop => targets.lock_answering(&owner, is_patient).await,
            }
        };
        let locked = self.controlled(locking).await;
        if locked.is_err() {
            // The hosts that were locked until then would keep the rollback of this very deployment waiting.
            targets.unlock().await;
        }
        self.silent = locked.map_err(Trouble::Interrupted)??;
        // Keeps the turn only once the lock is held, too, so that a rollback that begins meanwhile waits for the lock
        // again.
        self.turn = Some(turn);
        Ok(())
    }

    /// Lets other deployments have their turn.
    pub(super) async fn leave(&mut self) {
        self.tools.targets.unlock().await;
        self.turn = None;
    }

    /// Waits until every gate is open.
    async fn pass_gates(&mut self) -> Result<(), Trouble> {
        self.controls.stage = Stage::Gates;
        let mut reported: Option<Vec<Closed>> = None;
        loop {
            let closed = self.closed_gates()?;
            let key = |all: &[Closed]| all.iter().map(|one| (one.kind, one.until)).collect::<Vec<_>>();
            if reported.as_deref().map(key) != Some(key(&closed)) {
                self.report(&closed, reported.as_deref());
                reported = Some(closed.clone());
            }
            if closed.is_empty() {
                return Ok(());
            }
            self.controlled_until(Instant::now() + LOOK_EVERY).await?;
        }
    }

    fn closed_gates(&mut self) -> Result<Vec<Closed>, StoreError> {
        let state = self.latest.state()?;
        let at = now();
        Ok(gates::closed(&GateFacts {
            settings: &self.subject.settings,
            state,
            record: state.deployment(self.tools.folder.id()),
            now: at,
            minute_of_week: (self.tools.minute_of_week)(at),
        }))
    }

    /// Records which gates are closed, and notifies people if an approval is newly missing.
    fn report(&mut self, closed: &[Closed], before: Option<&[Closed]>) {
        let environment = self.subject.settings.name.clone();
        let approval = |all: &[Closed]| all.iter().find(|one| one.kind == GateKind::Approval).cloned();
        let missing = approval(closed);
        if let Some(approval) = missing.as_ref().filter(|_| before.and_then(approval).is_none()) {
            let command = format!("approve {environment} --run {}", self.run_id());
            self.notify(NotifyEvent::Approval, &approval.sentence, &command);
        }
        let review = missing.map(|_| PendingReview {
            id: 1,
            environment: environment.clone(),
            reviewers: self.subject.settings.reviewers.clone(),
            refusal: None,
            wait_until: None,
            since: None,
            jobs: vec![self.job.clone()],
        });
        if before.is_some() || review.is_some() {
            self.record(Event::ReviewsPending { environments: review.into_iter().collect() });
        }
        if let Some(first) = closed.first() {
            self.record(Event::JobWaiting { job: self.job.clone(), gate: first.gate(&environment) });
        }
    }
}

/// Waits for the locks of targets, and meanwhile records whose lock holds back the deployment.
async fn reported<T>(
    locking: impl Future<Output = T>,
    targets: &Targets,
    outlet: &Arc<dyn Outlet>,
    (job, environment): (&JobId, &str),
) -> T {
    let mut locking = pin!(locking);
    let mut reported = None;
    loop {
        if let Ok(locked) = timeout(LOOK_EVERY, locking.as_mut()).await {
            return locked;
        }
        let holder = targets.awaited_lock();
        if let Some(holder) = holder.as_ref().filter(|_| holder != reported) {
            let sentence = format!("{environment} waits until the lock of {holder} has ended");
            outlet.record(Event::JobWaiting { job: job.clone(), gate: Gate::Rule(sentence) });
        }
        reported = holder;
    }
}
