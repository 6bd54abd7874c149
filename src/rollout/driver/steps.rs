//! Carries out single steps: observes the target, then changes it.

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::model::deployment::{Analysis, NotifyEvent, Observed, Pause, Plan, PlanStep, Slot};
use crate::model::{Conclusion, Event, StepNumber};
use crate::rollout::check::{self, Answer, CheckError};
use crate::rollout::outlet::Progress;
use crate::rollout::target::Target;

use super::controls::{Interrupt, Stage};
use super::{Driver, Position, Sampler, Trouble};

/// Minimum time between two log lines about answers of the same kind.
const SAY_EVERY: Duration = Duration::from_secs(5);

impl Driver {
    /// Carries out a step and records its start and, if it succeeded, its end. Only an immediate stop interrupts a step
    /// of a rollback.
    pub(super) async fn step(
        &mut self,
        step: &PlanStep,
        position: &Position,
        number: StepNumber,
        is_forward: bool,
    ) -> Result<(), Trouble> {
        let plan = &position.plan;
        let progress = Progress::new(&self.tools.outlet, &self.job, number);
        self.record(Event::StepStarted { job: self.job.clone(), step: number, name: plan.describe(step) });
        if is_forward {
            self.wait_while_paused(&progress).await?;
            if position.done == 0 {
                self.note_image(plan, &progress).await?;
            }
        }
        let reason = match step {
            PlanStep::Pause(pause) => self.pause(*pause, plan, &progress).await?,
            PlanStep::Stop { slot, after, .. } if !after.is_zero() && is_forward => {
                self.keep(step, *slot, *after, plan, &progress).await?
            }
            PlanStep::Start { .. } | PlanStep::Weight { .. } | PlanStep::Drain { .. } | PlanStep::Stop { .. } => {
                self.change(step, position, &progress, is_forward).await?
            }
            PlanStep::Healthy { slot } => {
                let (target, timing) = (Arc::clone(&self.tools.target), self.subject.settings.health);
                let work = async {
                    let checked = check::until_good(&timing, || target.health(*slot, plan, &progress), &progress).await;
                    explained(checked, &*target, *slot, &progress).await?;
                    Ok(target.act(step, plan, &progress).await?)
                };
                self.worked(work, is_forward).await.map(|()| None)?
            }
            PlanStep::Check { slot } => {
                self.smoke_test(*slot, plan, &progress, is_forward).await?;
                None
            }
        };
        self.finish_step(number, Conclusion::Success, reason);
        Ok(())
    }

    async fn smoke_test(
        &mut self,
        slot: Slot,
        plan: &Plan,
        progress: &Progress,
        is_forward: bool,
    ) -> Result<(), Trouble> {
        let Some(smoke) = self.subject.settings.smoke.clone() else { return Ok(()) };
        let target = Arc::clone(&self.tools.target);
        let ask = || target.check(&smoke.probe, smoke.timing.timeout, slot, plan, progress);
        let work = async {
            let checked = check::until_good(&smoke.timing, ask, progress).await;
            explained(checked, &*target, slot, progress).await
        };
        self.worked(work, is_forward).await
    }

    /// Carries out a step that changes the target, unless it is done already. Returns an error if something else has
    /// changed the target.
    async fn change(
        &mut self,
        step: &PlanStep,
        position: &Position,
        progress: &Progress,
        is_forward: bool,
    ) -> Result<Option<String>, Trouble> {
        let target = Arc::clone(&self.tools.target);
        let observed = self.worked(async { Ok(target.observe(progress).await?) }, is_forward).await;
        match observed {
            Ok(observed) => {
                Sampler::new(&self.tools, &self.job, &position.plan).record(&observed, None);
                self.check_slots(position, &observed)?;
                // A rollback skips no step, because an interrupted command may have left more than the target reports.
                if is_forward && is_so(step, &position.plan, &observed) {
                    progress.say("nothing to do");
                    return Ok(Some("nothing to do".to_owned()));
                }
            }
            // The target was observed when the rollback began. Restoring the service matters more than observing the
            // target again.
            Err(Trouble::Target(error)) if !is_forward => progress.say(&error.to_string()),
            Err(error) => return Err(error),
        }
        let work = async { Ok(target.act(step, &position.plan, progress).await?) };
        self.worked(work, is_forward).await.map(|()| None)
    }

    /// Waits for the work of a step while answering commands.
    pub(super) async fn worked<T>(
        &mut self,
        work: impl Future<Output = Result<T, Trouble>>,
        is_forward: bool,
    ) -> Result<T, Trouble> {
        if is_forward {
            self.controlled(work).await.map_err(Trouble::Interrupted)?
        } else {
            self.uninterrupted(work).await
        }
    }

    /// Runs a step of a rollback: only an immediate stop interrupts it.
    async fn uninterrupted<T>(&mut self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                // The driver refuses other commands, with the reason.
                interrupt = self.controls.next(&self.subject) => {
                    if let Some(Interrupt::AtOnce) = interrupt {
                        return Err(Trouble::Interrupted(Interrupt::AtOnce));
                    }
                }
            }
        }
    }

    /// Waits while a person has paused the deployment.
    async fn wait_while_paused(&mut self, progress: &Progress) -> Result<(), Trouble> {
        if !self.controls.paused {
            return Ok(());
        }
        progress.say("paused by a person: `cuelight promote` continues");
        self.wait_for_person().await?;
        self.controls.paused = false;
        Ok(())
    }

    /// Waits until the deployment is promoted.
    async fn wait_for_person(&mut self) -> Result<(), Trouble> {
        self.controls.stage = Stage::Pause;
        self.controls.promoted = false;
        while !self.controls.promoted {
            if let Some(interrupt) = self.controls.next(&self.subject).await {
                return Err(Trouble::Interrupted(interrupt));
            }
        }
        self.controls.stage = Stage::Step;
        Ok(())
    }

    /// Watches the new release for a time, or until the deployment is promoted. Returns an error once there are too
    /// many bad answers. If all answers of the analysis are unknown, waits until a person decides.
    async fn pause(&mut self, pause: Pause, plan: &Plan, progress: &Progress) -> Result<Option<String>, Trouble> {
        if self.controls.full {
            return Ok(Some("skipped: promoted fully".to_owned()));
        }
        self.controls.stage = Stage::Pause;
        self.controls.promoted = false;
        let end = match pause {
            Pause::For(length) => Some(Instant::now() + length),
            Pause::Person => {
                self.ask_person("waits for a person", progress);
                None
            }
        };
        let analysis = self.subject.settings.analysis.clone();
        let default = self.subject.settings.health;
        let (every, most) = analysis
            .as_ref()
            .map_or((default.interval, default.retries.max(1)), |analysis| (analysis.every, analysis.failures));
        let (mut bad, mut good, mut unknown) = (0, 0, 0);
        let mut said: Option<(Discriminant<Answer>, Instant)> = None;
        let mut next = Instant::now() + every;
        loop {
            if self.controls.promoted {
                self.controls.stage = Stage::Step;
                return Ok(Some("promoted".to_owned()));
            }
            if end.is_some_and(|end| Instant::now() >= end) && !self.controls.paused {
                break;
            }
            let wake = end.filter(|_| !self.controls.paused).map_or(next, |end| end.min(next));
            self.controlled_until(wake).await?;
            if Instant::now() < next || self.controls.promoted {
                continue;
            }
            let answer = self.watch(analysis.as_ref(), plan, progress).await?;
            let kind = discriminant(&answer);
            if said.is_none_or(|(last, at)| last != kind || at.elapsed() >= SAY_EVERY) {
                progress.say(answer.text());
                said = Some((kind, Instant::now()));
            }
            match answer {
                Answer::Good(_) => good += 1,
                Answer::Unknown(_) | Answer::Paused(_) => unknown += 1,
                Answer::Hopeless(last) => return Err(Trouble::Analysis { count: bad + 1, last }),
                Answer::Bad(last) => {
                    bad += 1;
                    if bad >= most {
                        // Requests fail until the traffic is moved back, so the rollback begins without another check.
                        return Err(Trouble::Analysis { count: bad, last });
                    }
                }
            }
            next = Instant::now() + every;
        }
        if analysis.is_some() && good == 0 && unknown > 0 {
            self.ask_person(&format!("all {unknown} answers are unknown, so a person decides"), progress);
            self.wait_for_person().await?;
        }
        self.controls.stage = Stage::Step;
        Ok(None)
    }

    /// Notifies people that the deployment waits for a person, with the commands to decide.
    fn ask_person(&mut self, why: &str, progress: &Progress) {
        let name = self.subject.settings.name.clone();
        let waits = format!("{why}: `cuelight promote {name}` or `cuelight abort {name}`");
        progress.say(&waits);
        self.notify(NotifyEvent::Paused, &waits, &format!("promote {name}"));
    }

    /// Sleeps until `wake` while answering commands. Returns early after each command.
    pub(super) async fn controlled_until(&mut self, wake: Instant) -> Result<(), Trouble> {
        tokio::select! {
            () = sleep_until(wake) => Ok(()),
            interrupt = self.controls.next(&self.subject) => interrupt.map_or(Ok(()), |interrupt| Err(Trouble::Interrupted(interrupt))),
        }
    }

    /// Probes the new release once.
    async fn watch(
        &mut self,
        analysis: Option<&Analysis>,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Answer, Trouble> {
        let slot = plan.new.slot;
        let target = Arc::clone(&self.tools.target);
        let asked = async {
            match analysis {
                None => target.health(slot, plan, progress).await,
                Some(analysis) => target.check(&analysis.probe, analysis.timeout, slot, plan, progress).await,
            }
        };
        self.controlled(asked).await.map_err(Trouble::Interrupted)
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
        Err(error) => {
            let evidence = target.evidence(slot, progress).await;
            let evidence = evidence.map(|evidence| format!("; {evidence}")).unwrap_or_default();
            Err(Trouble::Check { error, evidence })
        }
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
