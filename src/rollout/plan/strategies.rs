//! The steps of each strategy.

use std::time::Duration;

use crate::model::deployment::{CanaryStep, EnvironmentSettings, PlanStep, Strategy, Versioned};

use super::batches::{self, Batches};
use super::{Supports, push};

/// Returns the steps that put `new` in place of `old`. The slot of `new` is empty.
pub(super) fn steps(settings: &EnvironmentSettings, new: &Versioned, old: Option<&Versioned>) -> Vec<PlanStep> {
    let (slot, replicas) = (new.slot, new.replicas);
    let smoke = settings.smoke.as_ref().map(|_| PlanStep::Check { slot });
    let start = |replicas| [PlanStep::Start { slot, replicas }, PlanStep::Healthy { slot }];
    let rolls = Supports::of(settings).rolls;
    // A target that rolls by itself starts the replicas that a share of the traffic needs.
    let weight = |percent| {
        let healthy = rolls.then_some(PlanStep::Healthy { slot });
        [PlanStep::Weight { slot, percent }].into_iter().chain(healthy)
    };
    let Some(old) = old else {
        let begin = start(replicas).into_iter().chain(smoke);
        return begin.chain([PlanStep::Weight { slot, percent: 100 }]).collect();
    };
    let retire = [
        PlanStep::Drain { slot: old.slot, keep: 0 },
        PlanStep::Stop { slot: old.slot, keep: 0, after: settings.keep_old },
    ];
    match &settings.strategy {
        Strategy::Recreate => {
            let stop = PlanStep::Stop { slot: old.slot, keep: 0, after: Duration::ZERO };
            let begin = [PlanStep::Drain { slot: old.slot, keep: 0 }, stop].into_iter().chain(start(replicas));
            begin.chain(smoke).chain([PlanStep::Weight { slot, percent: 100 }]).collect()
        }
        Strategy::Rolling { max_surge, max_unavailable } => {
            let all = replicas.max(old.replicas);
            let (max_surge, max_unavailable) = Supports::of(settings).batch(*max_surge, *max_unavailable, all);
            let batches = Batches {
                from: old.slot,
                from_total: old.replicas,
                from_serving: old.replicas,
                to_total: 0,
                to_serving: 0,
                replicas,
                max_surge,
                max_unavailable,
            };
            batches::steps(batches, smoke)
        }
        Strategy::BlueGreen { pause } => {
            let begin = start(replicas).into_iter().chain(smoke.clone());
            let switch = pause.map(PlanStep::Pause).into_iter().chain(weight(100));
            begin.chain(switch).chain(smoke).chain(retire).collect()
        }
        Strategy::Canary { steps: canary } if rolls => {
            let mut steps = vec![PlanStep::Start { slot, replicas: share(replicas, first_share(canary)) }];
            let mut smoke = smoke;
            for step in canary {
                match step {
                    CanaryStep::Weight(percent) => {
                        steps.extend(weight(*percent));
                        steps.extend(smoke.take());
                    }
                    CanaryStep::Pause(pause) => steps.push(PlanStep::Pause(*pause)),
                }
            }
            steps.extend(weight(100));
            steps.extend(retire);
            steps
        }
        Strategy::Canary { steps: canary } => {
            let mut steps = Vec::new();
            let mut running = 0;
            for step in canary {
                match step {
                    CanaryStep::Weight(percent) => {
                        let wanted = share(replicas, *percent);
                        if wanted > running {
                            steps.extend(start(wanted));
                            if running == 0 {
                                steps.extend(smoke.clone());
                            }
                            running = wanted;
                        }
                        push(&mut steps, PlanStep::Weight { slot, percent: *percent });
                    }
                    CanaryStep::Pause(pause) => steps.push(PlanStep::Pause(*pause)),
                }
            }
            if running < replicas {
                steps.extend(start(replicas));
            }
            push(&mut steps, PlanStep::Weight { slot, percent: 100 });
            steps.extend(retire);
            steps
        }
    }
}

/// Returns the first share of a canary in percent.
fn first_share(steps: &[CanaryStep]) -> u8 {
    steps.iter().find_map(|step| step.share()).unwrap_or(100)
}

/// Returns the number of replicas that carry a share of the traffic: at least 1.
fn share(replicas: u32, percent: u8) -> u32 {
    (replicas * u32::from(percent)).div_ceil(100).max(1)
}

/// Returns the steps that put `new` in place of a release of which no replica serves. Shares of the traffic and pauses
/// have no purpose then: the new release gets all the traffic as soon as it is healthy.
pub(super) fn revival(settings: &EnvironmentSettings, new: &Versioned, old: &Versioned) -> Vec<PlanStep> {
    let smoke = settings.smoke.as_ref().map(|_| PlanStep::Check { slot: new.slot });
    match &settings.strategy {
        Strategy::Recreate => steps(settings, new, Some(old)),
        Strategy::Rolling { max_surge, max_unavailable } => {
            let batches = Batches {
                from: old.slot,
                from_total: old.replicas,
                from_serving: 0,
                to_total: 0,
                to_serving: 0,
                replicas: new.replicas,
                max_surge: *max_surge,
                max_unavailable: *max_unavailable,
            };
            batches::steps(batches, smoke)
        }
        Strategy::BlueGreen { .. } | Strategy::Canary { .. } => {
            let retire = [
                PlanStep::Drain { slot: old.slot, keep: 0 },
                PlanStep::Stop { slot: old.slot, keep: 0, after: Duration::ZERO },
            ];
            steps(settings, new, None).into_iter().chain(retire).collect()
        }
    }
}

/// Returns the steps that move the traffic to a release that still runs. The former release runs on for `keep_old`.
/// `is_drained` is whether the release has drained replicas, and `rolls` whether the target changes replicas by itself.
pub(super) fn switch(
    new: &Versioned,
    old: Option<&Versioned>,
    keep_old: Duration,
    (is_drained, rolls): (bool, bool),
) -> Vec<PlanStep> {
    let open = is_drained.then_some(PlanStep::Start { slot: new.slot, replicas: new.replicas });
    let healthy = rolls.then_some(PlanStep::Healthy { slot: new.slot });
    let retire = old.into_iter().flat_map(|old| {
        let stop = PlanStep::Stop { slot: old.slot, keep: 0, after: keep_old };
        [PlanStep::Drain { slot: old.slot, keep: 0 }, stop]
    });
    open.into_iter().chain([PlanStep::Weight { slot: new.slot, percent: 100 }]).chain(healthy).chain(retire).collect()
}
