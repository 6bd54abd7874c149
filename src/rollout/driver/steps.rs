//! Carries out steps: observes the target, then changes it. Steps on several hosts are carried out at the same time.

use std::sync::Mutex;

use futures_util::future::select_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::model::deployment::{HostStep, NotifyEvent, Observed, Plan, PlanStep, Slot};
use crate::model::{Conclusion, Event, JobId, StepNumber};
use crate::rollout::check::{self, Answer, CheckError};
use crate::rollout::outlet::Progress;
use crate::rollout::target::{HostTraffic, Target};

use super::controls::Interrupt;
use super::end::notice;
use super::restarts::{self, Restarts, evidence};
use super::{Driver, Position, Sampler, Subject, Tools, Trouble, finished, slots};

/// A step that did not succeed.
pub(super) struct Failed {
    pub(super) number: StepNumber,
    pub(super) step: HostStep,
    pub(super) trouble: Trouble,
}

impl Failed {
    /// Returns what interrupted the step, if that is why it did not succeed.
    pub(super) fn interrupt(&self) -> Option<&Interrupt> {
        match &self.trouble {
            Trouble::Interrupted(interrupt) => Some(interrupt),
            _ => None,
        }
    }
}

/// A step in progress.
pub(super) struct Running {
    number: StepNumber,
    pub(super) step: HostStep,
    pub(super) progress: Progress,
}

/// What happens next while steps are carried out.
enum Next {
    /// A step has ended; `None` if none is left.
    Ended(Option<(StepNumber, End)>),
    /// A step begins to wait for the decision of a person, or no longer does.
    Decision,
}

/// Waits until a step begins to wait for the decision of a person, or no longer does.
async fn decision_changed(decisions: &mut [watch::Receiver<Option<String>>]) {
    // The senders are in the steps, which live for longer.
    let _ = select_all(decisions.iter_mut().map(|decision| decision.changed().boxed())).await;
}

/// How a step ended: why nothing was to be done, if so, or why it failed.
pub(super) type End = Result<Option<String>, Trouble>;

/// Returns the ends of steps that succeeded for the same reason.
pub(super) fn all_ended(running: &[Running], reason: Option<&str>) -> Vec<End> {
    running.iter().map(|_| Ok(reason.map(str::to_owned))).collect()
}

impl Driver {
    /// Carries out steps at the same time, on different hosts, and records their start and, if they succeeded, their
    /// end. Returns those that failed. On the way forward, the first failure ends the others. Only an immediate stop
    /// interrupts steps of a rollback.
    pub(super) async fn steps(
        &mut self,
        wave: &[(StepNumber, HostStep)],
        position: &Position,
        is_forward: bool,
    ) -> Vec<Failed> {
        let start = |(number, step): &(StepNumber, HostStep)| {
            let (number, step) = (*number, step.clone());
            let progress = Progress::new(&self.tools.outlet, &self.job, number);
            self.record(Event::StepStarted {
                job: self.job.clone(),
                step: number,
                name: position.plan.describe(&step),
            });
            Running { number, step, progress }
        };
        let mut running: Vec<Running> = wave.iter().map(start).collect();
        let Some(first) = running.first() else { return Vec::new() };
        if is_forward && let Err(trouble) = self.prepare(first, position).await {
            return self.ended_early(running, trouble);
        }
        let waited = match &first.step.step {
            PlanStep::Pause(pause) if is_forward => {
                let waited = self.pause(*pause, position, first).await;
                waited.map(|reason| Some(all_ended(&running, reason.as_deref())))
            }
            PlanStep::Stop { after, .. } if !after.is_zero() && is_forward => {
                self.keep(&running, *after, &position.plan).await.map(Some)
            }
            _ => Ok(None),
        };
        match waited {
            Ok(Some(ends)) => return self.ended(running, ends),
            Ok(None) => {}
            Err(trouble) => return self.ended_early(running, trouble),
        }
        let mut decisions: Vec<_> = running.iter().map(|one| one.progress.decision()).collect();
        let Self { tools, subject, job, controls, restarts, notifier, .. } = self;
        let work = Work { tools, subject, job, position, restarts, is_forward };
        let (mut failed, mut done) = (Vec::new(), Vec::new());
        let work = &work;
        let mut going: FuturesUnordered<_> =
            running.iter().map(|one| async move { (one.number, work.carry_out(one).await) }).collect();
        let mut interrupted = None;
        // Once the last one is done, a command is left to what comes next, where it still counts.
        while !going.is_empty() {
            let next = async {
                tokio::select! {
                    ended = going.next() => Next::Ended(ended),
                    () = decision_changed(&mut decisions) => Next::Decision,
                }
            };
            match controls.during(subject, next, is_forward).await {
                Err(interrupt) => {
                    interrupted = Some(interrupt);
                    break;
                }
                // A rollback does not wait for people.
                Ok(Next::Decision) if !is_forward => {}
                Ok(Next::Decision) => {
                    let decision = decisions.iter().find_map(|decision| decision.borrow().clone());
                    let position = Position { decision: decision.clone(), ..position.clone() };
                    if let Err(error) = position.write(&tools.folder) {
                        tracing::warn!(%error, "the wait of the deployment is not in its position");
                    }
                    let is_asked = controls.decision.is_some();
                    if let Some(why) = decision.as_deref().filter(|_| !is_asked && notifier.wants(NotifyEvent::Paused))
                    {
                        let command = format!("promote {} --full", subject.settings.name);
                        notifier.send(notice(subject, &tools.folder, (NotifyEvent::Paused, why, &command)));
                    }
                    controls.decision = decision;
                }
                Ok(Next::Ended(None)) => break,
                Ok(Next::Ended(Some((number, Ok(reason))))) => {
                    tools.outlet.record(finished(job, number, Conclusion::Success, reason));
                    done.push(number);
                }
                Ok(Next::Ended(Some((number, Err(trouble))))) => {
                    failed.push((number, trouble));
                    if is_forward {
                        break;
                    }
                }
            }
        }
        drop(going);
        controls.decision = None;
        running.retain(|one| !done.contains(&one.number));
        let mut all = Vec::new();
        for (number, trouble) in failed {
            if let Some(at) = running.iter().position(|one| one.number == number) {
                let Running { number, step, .. } = running.remove(at);
                all.push(Failed { number, step, trouble });
            }
        }
        match interrupted {
            Some(interrupt) if is_forward => all.extend(self.ended_early(running, Trouble::Interrupted(interrupt))),
            // Of a rollback, each host has its own end.
            Some(interrupt) => all.extend(running.into_iter().map(|Running { number, step, .. }| {
                let trouble = Trouble::Interrupted(interrupt.clone());
                Failed { number, step, trouble }
            })),
            None => self.cancel(running),
        }
        all
    }

    /// Records the end of each step. Returns the first one that failed, whose end the caller records.
    fn ended(&self, running: Vec<Running>, ends: Vec<End>) -> Vec<Failed> {
        let mut first = None;
        for (Running { number, step, .. }, end) in running.into_iter().zip(ends) {
            match end {
                Ok(reason) => self.finish_step(number, Conclusion::Success, reason),
                Err(trouble) if first.is_none() => first = Some(Failed { number, step, trouble }),
                Err(trouble) => self.finish_step(number, Conclusion::Failure, Some(trouble.to_string())),
            }
        }
        first.into_iter().collect()
    }

    /// Returns the failure of steps that ended together: of the first one. The others are recorded as cancelled.
    fn ended_early(&self, running: Vec<Running>, trouble: Trouble) -> Vec<Failed> {
        let mut running = running.into_iter();
        let first = running.next().map(|Running { number, step, .. }| Failed { number, step, trouble });
        self.cancel(running);
        first.into_iter().collect()
    }

    /// Records that steps ended because another one, on another host, did not succeed.
    fn cancel(&self, running: impl IntoIterator<Item = Running>) {
        for one in running {
            self.finish_step(one.number, Conclusion::Cancelled, Some("ended with the step of another host".to_owned()));
        }
    }

    /// Waits while the deployment is paused and, before the first step, fetches the image.
    async fn prepare(&mut self, first: &Running, position: &Position) -> Result<(), Trouble> {
        self.wait_while_paused(position, &first.progress).await?;
        self.check_replicas(position, &first.progress).await?;
        if position.done == 0 {
            self.note_image(&position.plan, &first.progress).await?;
        }
        Ok(())
    }

    /// Sleeps until `wake` while answering commands. Returns early after each command.
    pub(super) async fn controlled_until(&mut self, wake: Instant) -> Result<(), Trouble> {
        tokio::select! {
            () = sleep_until(wake) => Ok(()),
            interrupt = self.controls.next(&self.subject) => interrupt.map_or(Ok(()), |interrupt| Err(Trouble::Interrupted(interrupt))),
        }
    }
}

/// What the work of steps needs.
struct Work<'w> {
    tools: &'w Tools,
    subject: &'w Subject,
    job: &'w JobId,
    position: &'w Position,
    restarts: &'w Mutex<Restarts>,
    is_forward: bool,
}

impl Work<'_> {
    /// Carries out a step on its host. Returns why nothing was to be done, if so.
    async fn carry_out(&self, running: &Running) -> Result<Option<String>, Trouble> {
        let Running { step: HostStep { host, step, is_barrier, .. }, progress, .. } = running;
        let (target, plan) = (self.tools.targets.of(*host), self.position.plan.of(*host));
        match step {
            PlanStep::Start { .. } | PlanStep::Weight { .. } | PlanStep::Drain { .. } | PlanStep::Stop { .. } => {
                return self.change(*host, step, plan, progress).await;
            }
            PlanStep::Healthy { slot } => {
                let ask = || async {
                    let mut answer = target.health(*slot, plan, progress).await;
                    if *is_barrier && matches!(answer, Answer::Good(_)) {
                        answer = served(target, answer, plan, progress).await;
                    }
                    if self.is_forward && *slot == plan.new.slot {
                        answer = restarts::checked(target, plan, answer, self.restarts).await;
                    }
                    answer
                };
                let checked = check::until_good(&self.subject.settings.health, || ask().boxed(), progress).await;
                explained(checked, target, *slot, progress).await?;
                target.act(step, plan, progress).await?;
            }
            PlanStep::Check { slot } => {
                let Some(smoke) = &self.subject.settings.smoke else { return Ok(None) };
                let ask = || target.check(&smoke.probe, smoke.timing.timeout, *slot, plan, progress);
                let checked = check::until_good(&smoke.timing, ask, progress).await;
                explained(checked, target, *slot, progress).await?;
            }
            PlanStep::Pause(_) => {}
        }
        Ok(None)
    }

    /// Carries out a step that changes the target, unless it is done already. Returns an error if something else has
    /// changed the target.
    async fn change(
        &self,
        host: usize,
        step: &PlanStep,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Option<String>, Trouble> {
        let target = self.tools.targets.of(host);
        let sampler = Sampler::new(self.tools, self.job, &self.position.plan);
        match target.observe(progress).await {
            Ok(observed) => {
                // A sample has the slots of all hosts, and this is only one of them.
                if !self.tools.targets.has_hosts() {
                    let sample = HostTraffic { host: None, observed: observed.clone(), counters: None };
                    sampler.record(&[sample]);
                }
                slots::check(plan, self.position.done_on(host), &observed, &self.tools.known)?;
                // A rollback skips no step, because an interrupted command may have left more than the target reports.
                if self.is_forward && is_so(step, plan, &observed) {
                    progress.say("nothing to do");
                    return Ok(Some("nothing to do".to_owned()));
                }
            }
            // The target was observed when the rollback began. Restoring the service matters more than observing the
            // target again.
            Err(error) if !self.is_forward => progress.say(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
        target.act(step, plan, progress).await?;
        // What the screen shows must not be from before the step, because the next one may wait for long.
        sampler.look(progress).await;
        Ok(None)
    }
}

/// Returns a good answer of a host only if the host serves the new release, to all of its requests and with all
/// replicas.
async fn served(target: &dyn Target, good: Answer, plan: &Plan, progress: &Progress) -> Answer {
    let new = &plan.new;
    match target.observe(progress).await {
        Err(error) if error.is_unanswered() => Answer::Unknown(error.to_string()),
        Err(error) => Answer::Bad(error.to_string()),
        Ok(observed) => match observed.slot(new.slot) {
            state if state.weight == 100 && state.serving() >= new.replicas => good,
            state => Answer::Bad(format!(
                "{}: {} of {} replicas serve {} % of the traffic",
                new.slot,
                state.serving(),
                new.replicas,
                state.weight
            )),
        },
    }
}

/// Adds the target's evidence about the replicas to the error of a check.
async fn explained(
    checked: Result<(), CheckError>,
    target: &dyn Target,
    slot: Slot,
    progress: &Progress,
) -> Result<(), Trouble> {
    match checked {
        Ok(()) => Ok(()),
        Err(error) => Err(Trouble::Check { error, evidence: evidence(target, slot, progress).await }),
    }
}

/// Whether the target is known to be in the state that a step leads to.
fn is_so(step: &PlanStep, plan: &Plan, observed: &Observed) -> bool {
    let is_reported = match step {
        PlanStep::Start { slot, replicas } => {
            let state = observed.slot(*slot);
            let is_release = state.release.as_deref() == plan.release(*slot).map(|release| release.sha.as_str());
            is_release && state.replicas >= *replicas && state.open >= *replicas
        }
        PlanStep::Weight { slot, percent } => {
            observed.slot(*slot).weight == *percent && observed.slot(slot.other()).weight == 100 - percent
        }
        PlanStep::Drain { slot, keep } => observed.slot(*slot).open <= *keep,
        PlanStep::Stop { slot, keep, .. } => observed.slot(*slot).replicas <= *keep,
        PlanStep::Healthy { .. } | PlanStep::Check { .. } | PlanStep::Pause(_) => false,
    };
    is_reported && observed.is_certain()
}
