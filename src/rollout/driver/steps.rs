//! Carries out steps: observes the target, then changes it. Steps on several hosts are carried out at the same time.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until};

use crate::model::deployment::{
    Analysis, DeploymentPlan, HostStep, NotifyEvent, Observed, Pause, Plan, PlanStep, Slot,
};
use crate::model::{Conclusion, Event, JobId, StepNumber};
use crate::rollout::check::{self, Answer, CheckError};
use crate::rollout::outlet::Progress;
use crate::rollout::target::{HostTraffic, Target};

use super::controls::{Interrupt, Stage};
use super::{Driver, Looks, Position, Sampler, Subject, Tools, Trouble, finished, slots};

/// Minimum time between two log lines about answers of the same kind that differ, for instance in the number of requests.
/// A pause may last for days.
const SAY_EVERY: Duration = Duration::from_mins(1);

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
                let waited = self.pause(*pause, &position.plan, first).await;
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
        let Self { tools, subject, job, controls, .. } = self;
        let work = Work { tools, subject, job, position, is_forward };
        let (mut failed, mut done) = (Vec::new(), Vec::new());
        let work = &work;
        let mut going: FuturesUnordered<_> =
            running.iter().map(|one| async move { (one.number, work.carry_out(one).await) }).collect();
        let mut interrupted = None;
        // Once the last one is done, a command is left to what comes next, where it still counts.
        while !going.is_empty() {
            match controls.during(subject, going.next(), is_forward).await {
                Err(interrupt) => {
                    interrupted = Some(interrupt);
                    break;
                }
                Ok(None) => break,
                Ok(Some((number, Ok(reason)))) => {
                    tools.outlet.record(finished(job, number, Conclusion::Success, reason));
                    done.push(number);
                }
                Ok(Some((number, Err(trouble)))) => {
                    failed.push((number, trouble));
                    if is_forward {
                        break;
                    }
                }
            }
        }
        drop(going);
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
        if position.done == 0 {
            self.note_image(&position.plan, &first.progress).await?;
        }
        Ok(())
    }

    /// Waits while a person has paused the deployment.
    async fn wait_while_paused(&mut self, position: &Position, progress: &Progress) -> Result<(), Trouble> {
        if !self.controls.paused {
            return Ok(());
        }
        progress.say("paused by a person: `cuelight promote` continues");
        self.note_paused(position, true);
        self.wait_for_person(&position.plan, progress).await?;
        self.controls.paused = false;
        self.note_paused(position, false);
        Ok(())
    }

    /// Notes in the position whether the deployment waits before its current step, to show it. The deployment goes on
    /// without the note if it cannot be written.
    fn note_paused(&self, position: &Position, is_paused: bool) {
        let noted = Position { is_paused, ..position.clone() }.write(&self.tools.folder);
        if let Err(error) = noted {
            tracing::warn!(%error, "the pause of the deployment is not in its position");
        }
    }

    /// Waits until the deployment is promoted.
    async fn wait_for_person(&mut self, plan: &DeploymentPlan, progress: &Progress) -> Result<(), Trouble> {
        self.controls.stage = Stage::Pause;
        self.controls.promoted = false;
        let mut looks = self.looks(plan).await?;
        while !self.controls.promoted {
            self.controlled_until(looks.next()).await?;
            self.controlled(looks.look(progress)).await.map_err(Trouble::Interrupted)?;
        }
        self.controls.stage = Stage::Step;
        Ok(())
    }

    /// Watches the new release for a time, or until the deployment is promoted. Returns an error once there are too
    /// many bad answers. If all answers of the analysis are unknown, waits until a person decides.
    async fn pause(
        &mut self,
        pause: Pause,
        plans: &DeploymentPlan,
        running: &Running,
    ) -> Result<Option<String>, Trouble> {
        let Running { step: HostStep { host, .. }, progress, .. } = running;
        let plan = plans.of(*host);
        if self.controls.full {
            return Ok(Some("skipped: promoted fully".to_owned()));
        }
        self.controls.stage = Stage::Pause;
        self.controls.promoted = false;
        let end = match pause {
            Pause::For(length) => {
                self.controls.stage = Stage::Watch;
                Some(Instant::now() + length)
            }
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
        let mut said: Option<(Answer, Instant)> = None;
        let mut next = Instant::now() + every;
        let mut looks = self.looks(plans).await?;
        loop {
            if self.controls.promoted {
                self.controls.stage = Stage::Step;
                return Ok(Some("promoted".to_owned()));
            }
            if end.is_some_and(|end| Instant::now() >= end) && !self.controls.paused {
                break;
            }
            let wake = end.filter(|_| !self.controls.paused).map_or(next, |end| end.min(next));
            self.controlled_until(wake.min(looks.next())).await?;
            self.controlled(looks.look(progress)).await.map_err(Trouble::Interrupted)?;
            if Instant::now() < next || self.controls.promoted {
                continue;
            }
            let answer = self.watch(*host, analysis.as_ref(), plan, progress).await?;
            if said.as_ref().is_none_or(|(last, at)| is_news(last, at.elapsed(), &answer)) {
                progress.say(answer.text());
                said = Some((answer.clone(), Instant::now()));
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
            self.wait_for_person(plans, progress).await?;
        }
        self.controls.stage = Stage::Step;
        Ok(None)
    }

    /// Returns the looks at the target during a wait.
    async fn looks(&mut self, plan: &DeploymentPlan) -> Result<Looks, Trouble> {
        let (sampler, targets) = (Sampler::new(&self.tools, &self.job, plan), Arc::clone(&self.tools.targets));
        let reported = self.controlled(targets.traffic()).await.map_err(Trouble::Interrupted)?;
        Ok(Looks::new(sampler, !reported.is_empty()))
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
        host: usize,
        analysis: Option<&Analysis>,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Answer, Trouble> {
        let slot = plan.new.slot;
        let targets = Arc::clone(&self.tools.targets);
        let target = targets.of(host);
        let asked = async {
            match analysis {
                None => target.health(slot, plan, progress).await,
                Some(analysis) => target.check(&analysis.probe, analysis.timeout, slot, plan, progress).await,
            }
        };
        self.controlled(asked).await.map_err(Trouble::Interrupted)
    }
}

/// What the work of steps needs.
struct Work<'w> {
    tools: &'w Tools,
    subject: &'w Subject,
    job: &'w JobId,
    position: &'w Position,
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
                    let answer = target.health(*slot, plan, progress).await;
                    if *is_barrier && matches!(answer, Answer::Good(_)) {
                        served(target, answer, plan, progress).await
                    } else {
                        answer
                    }
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
        Err(error) => {
            let evidence = target.evidence(slot, progress).await;
            let evidence = evidence.map(|evidence| format!("; {evidence}")).unwrap_or_default();
            Err(Trouble::Check { error, evidence })
        }
    }
}

/// Whether an answer of a watched release goes to the log. `last` is the answer that the log has, and `age` its age. An
/// answer that says the same again never does.
fn is_news(last: &Answer, age: Duration, answer: &Answer) -> bool {
    discriminant(last) != discriminant(answer) || (last != answer && age >= SAY_EVERY)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_pause_is_quiet_unless_something_changes() {
        let good = |text: &str| Answer::Good(text.to_owned());
        let bad = Answer::Bad("exit status: 1".to_owned());
        let day = Duration::from_hours(24);
        assert!(!is_news(&good("exit code 0"), day, &good("exit code 0")));
        assert!(is_news(&good("exit code 0"), Duration::ZERO, &bad));
        assert!(!is_news(&bad, day, &bad));
        assert!(!is_news(&good("10 requests"), Duration::from_secs(5), &good("20 requests")));
        assert!(is_news(&good("10 requests"), SAY_EVERY, &good("20 requests")));
    }
}
