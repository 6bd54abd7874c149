//! The rollback of a deployment that failed or was aborted.
//!
//! Only hosts that the deployment has begun to change are restored: the group that was changed last first, because
//! something is wrong there, and the hosts of a group at the same time. A host that cannot be restored does not keep the
//! others from it, not even one that does not answer when the hosts are locked.

use futures_util::future::join_all;

use crate::model::deployment::{EnvironmentSettings, HostStep, Outcome, PlanStep};
use crate::model::{Conclusion, StepKind, StepNumber};
use crate::rollout::outlet::Progress;
use crate::rollout::plan;

use super::controls::Stage;
use super::steps::Failed;
use super::{AfterHalt, Driver, Position, Tools, Trouble, slots};

/// Why a host is not restored.
#[derive(Debug, thiserror::Error)]
enum NotRestored {
    #[error("cannot roll back: {0}")]
    Unobserved(Trouble),
    #[error("the former release is the same commit, so it is not started again")]
    SameCommit,
    #[error("during the rollback, {step} failed: {trouble}")]
    Step { step: String, trouble: Trouble },
    #[error("the rollback was stopped immediately")]
    Stopped,
}

/// A host that is restored.
struct Way {
    host: usize,
    steps: Vec<PlanStep>,
    end: Result<(), NotRestored>,
}

impl Way {
    /// Returns the way of a host that a stopped rollback has not restored.
    fn stopped(host: usize) -> Self {
        Self { host, steps: Vec::new(), end: Err(NotRestored::Stopped) }
    }

    fn is_stopped(&self) -> bool {
        matches!(self.end, Err(NotRestored::Stopped))
    }
}

impl Driver {
    /// Rolls back to the previous release or, if there was none, removes the new release. Returns how the deployment
    /// ended, and why.
    pub(super) async fn back(
        &mut self,
        position: &mut Position,
        reason: String,
        after: AfterHalt,
    ) -> (Outcome, Option<String>) {
        self.controls.stage = Stage::Back;
        // The file stays in the folder of the run, and the reason has words of a person or output of a command.
        position.back = Some(self.tools.outlet.masked(&reason));
        if let Err(error) = position.write(&self.tools.folder) {
            return (Outcome::Failed, Some(format!("{reason}; {error}")));
        }
        let all = position.plan.steps();
        let begun = &all[..all.len().min(position.done + position.wave().len())];
        let is_begun = |host: usize| !position.plan.has_hosts() || begun.iter().any(|step| step.host == host);
        let mut ways: Vec<Way> = Vec::new();
        for group in position.plan.groups().into_iter().rev() {
            let hosts: Vec<usize> = group.filter(|host| is_begun(*host)).collect();
            if ways.iter().any(Way::is_stopped) {
                ways.extend(hosts.into_iter().map(Way::stopped));
            } else if !hosts.is_empty() {
                ways.extend(self.restored(&hosts, position, begun).await);
            }
        }
        let is_untouched =
            after == AfterHalt::Back && position.done == 0 && ways.iter().all(|way| way.steps.is_empty());
        let outcome = match () {
            () if ways.iter().any(|way| way.end.is_err()) => Outcome::Failed,
            () if is_untouched => Outcome::Cancelled,
            () => Outcome::RolledBack,
        };
        (outcome, Some(format!("{reason}; {}", ends(position, &ways))))
    }

    /// Restores hosts at the same time. `begun` has the steps of the plan that were begun.
    async fn restored(&mut self, hosts: &[usize], position: &Position, begun: &[HostStep]) -> Vec<Way> {
        let (mut ways, mut answering) = (Vec::new(), Vec::new());
        for host in hosts.iter().copied() {
            match self.silent.remove(&host) {
                // It is not locked, so another machine may deploy there once it answers again.
                Some(error) => ways.push(way_of(host, Err(error.into()), position)),
                None => answering.push(host),
            }
        }
        let hosts = &*answering;
        let stops: Vec<HostStep> =
            position.wave().into_iter().filter(|step| hosts.contains(&step.host) && is_stop(step, position)).collect();
        // Its step records a failure. The way back begins with what is observed then.
        let stopped = self.back_steps(&stops, position).await;
        if stopped.iter().any(|failed| failed.interrupt().is_some()) {
            ways.extend(hosts.iter().copied().map(Way::stopped));
            return ways;
        }
        let progress = Progress::new(&self.tools.outlet, &self.job, StepNumber(self.announced.len() as u32));
        let Self { tools, subject, controls, .. } = self;
        let (tools, subject) = (&*tools, &*subject);
        let asked = hosts.iter().map(|host| way_back(*host, (tools, &subject.settings), position, begun, &progress));
        let Ok(observed) = controls.during(subject, join_all(asked), false).await else {
            ways.extend(hosts.iter().copied().map(Way::stopped));
            return ways;
        };
        ways.extend(hosts.iter().copied().zip(observed).map(|(host, way)| way_of(host, way, position)));
        let open = ways.iter().filter(|way| way.end.is_ok()).map(|way| (way.host, &*way.steps));
        let steps = HostStep::together(&open.collect::<Vec<_>>());
        for Failed { step, trouble, .. } in self.back_steps(&steps, position).await {
            let plan = position.plan.of(step.host);
            if let Some(way) = ways.iter_mut().find(|way| way.host == step.host) {
                way.end = Err(match trouble {
                    Trouble::Interrupted(_) => NotRestored::Stopped,
                    trouble => NotRestored::Step { step: plan.describe(&step.step), trouble },
                });
            }
        }
        ways
    }

    /// Carries out steps of a rollback. Returns which steps failed, at most one of each host: the host gets no further
    /// steps. After an immediate stop, that is the first step that did not end of each host.
    async fn back_steps(&mut self, steps: &[HostStep], position: &Position) -> Vec<Failed> {
        let first = self.announced.len() as u32 + 1;
        if !steps.is_empty() {
            self.plan_steps(steps, &position.plan, StepKind::Post);
        }
        let numbered: Vec<_> = (first..).map(StepNumber).zip(steps.iter().cloned()).collect();
        let mut all: Vec<Failed> = Vec::new();
        for wave in numbered.chunk_by(|(_, one), (_, next)| one.wave == next.wave) {
            let at = wave.first().map(|(_, step)| step.wave);
            let is_open = |step: &HostStep| all.iter().all(|failed| failed.step.host != step.host);
            let wave: Vec<_> = wave.iter().filter(|(_, step)| is_open(step)).cloned().collect();
            let failed = self.steps(&wave, position, false).await;
            for one in &failed {
                self.finish_step(one.number, Conclusion::Failure, Some(one.trouble.to_string()));
            }
            let interrupt = failed.iter().find_map(Failed::interrupt).cloned();
            all.extend(failed);
            if let Some(interrupt) = interrupt {
                for (number, step) in numbered.iter().filter(|(_, step)| Some(step.wave) > at) {
                    if all.iter().all(|one| one.step.host != step.host) {
                        let trouble = Trouble::Interrupted(interrupt.clone());
                        all.push(Failed { number: *number, step: step.clone(), trouble });
                    }
                }
                break;
            }
        }
        all
    }
}

/// Returns the steps that restore a host.
async fn way_back(
    host: usize,
    (tools, settings): (&Tools, &EnvironmentSettings),
    position: &Position,
    begun: &[HostStep],
    progress: &Progress,
) -> Result<Vec<PlanStep>, Trouble> {
    let plan = position.plan.of(host);
    let observed = tools.targets.of(host).observe(progress).await?;
    slots::check(plan, position.done_on(host), &observed, &tools.known)?;
    let may_run = begun.iter().any(|step| step.host == host && plan.starts_new(&step.step));
    Ok(plan::back(settings, plan, &observed, may_run))
}

/// Whether a step at which a deployment halted stops replicas of the former release. A rollback finishes it first: the
/// stop may still be under way after its worker ended, so the replicas would look as if they ran, get the traffic, and
/// end.
fn is_stop(step: &HostStep, position: &Position) -> bool {
    let plan = position.plan.of(step.host);
    matches!(&step.step, PlanStep::Stop { slot, after, .. } if *slot != plan.new.slot && after.is_zero())
}

fn way_of(host: usize, steps: Result<Vec<PlanStep>, Trouble>, position: &Position) -> Way {
    let plan = position.plan.of(host);
    let is_same = plan.old.as_ref().is_some_and(|old| old.release.sha == plan.new.release.sha);
    match steps {
        Err(trouble) => Way { host, steps: Vec::new(), end: Err(NotRestored::Unobserved(trouble)) },
        Ok(steps) if is_same && steps.iter().any(|step| matches!(step, PlanStep::Start { .. })) => {
            Way { host, steps: Vec::new(), end: Err(NotRestored::SameCommit) }
        }
        Ok(steps) => Way { host, steps, end: Ok(()) },
    }
}

/// Describes what runs after a rollback: `v1 serves again`, or `v1 serves again on web1; web2 was not changed`.
fn ends(position: &Position, ways: &[Way]) -> String {
    let plan = &position.plan;
    let mut ends: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |text: String, host: usize| match ends.iter_mut().find(|(same, _)| *same == text) {
        Some((_, hosts)) => hosts.push(host),
        None => ends.push((text, vec![host])),
    };
    for (host, of_host) in plan.plans().enumerate() {
        let text = match (ways.iter().find(|way| way.host == host).map(|way| &way.end), &of_host.old) {
            (None, _) => "nothing was changed".to_owned(),
            (Some(Err(error)), _) => error.to_string(),
            (Some(Ok(())), Some(old)) => format!("{} serves again", old.release.title()),
            (Some(Ok(())), None) => "the new release was removed".to_owned(),
        };
        add(text, host);
    }
    let texts = ends.into_iter().map(|(text, hosts)| match plan.names(hosts) {
        Some(hosts) => format!("on {hosts}, {text}"),
        None => text,
    });
    texts.collect::<Vec<_>>().join("; ")
}
