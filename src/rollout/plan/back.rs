//! The rollback from any point of a plan to the release that was live before it.

use std::time::Duration;

use crate::model::deployment::{EnvironmentSettings, Observed, Plan, PlanStep, Strategy};

use super::Supports;
use super::batches::{self, Batches};

/// Returns the steps that lead from the observed state back to the previous release: all of its replicas serve, and no
/// replica of the new release runs. Returns no steps if this is already so. If there was no previous release, the steps
/// only remove the new one.
///
/// `may_run` is whether replicas of the new release may run, and get traffic, although the target does not report them,
/// because a command was interrupted.
#[must_use]
pub fn back(settings: &EnvironmentSettings, plan: &Plan, observed: &Observed, may_run: bool) -> Vec<PlanStep> {
    let supports = Supports::of(settings);
    let new = plan.new.slot;
    let there = observed.slot(new);
    let clear = |drain: bool| {
        let drain = drain.then_some(PlanStep::Drain { slot: new, keep: 0 });
        let stop = PlanStep::Stop { slot: new, keep: 0, after: Duration::ZERO };
        drain.into_iter().chain([stop])
    };
    let is_there = there.replicas > 0;
    let mut steps: Vec<PlanStep> = match &plan.old {
        None if is_there || may_run => clear(there.weight > 0 || may_run).collect(),
        None => Vec::new(),
        Some(old) => {
            let state = observed.slot(old.slot);
            let wanted = old.replicas;
            let serve = PlanStep::Weight { slot: old.slot, percent: 100 };
            let open = [PlanStep::Start { slot: old.slot, replicas: wanted }, PlanStep::Healthy { slot: old.slot }];
            if state.ready() >= wanted || (state.healthy >= wanted && state.replicas >= wanted) {
                let opened = open.into_iter().take(usize::from(state.open < wanted));
                let serve = (state.weight < 100 || may_run).then_some(serve);
                let clear = (is_there || may_run).then(|| clear(true)).into_iter().flatten();
                opened.chain(serve).chain(clear).collect()
            } else if settings.strategy == Strategy::Recreate {
                let clear = (is_there || may_run).then(|| clear(true)).into_iter().flatten();
                clear.chain(open).chain([serve]).collect()
            } else {
                let (max_surge, max_unavailable) = match settings.strategy {
                    Strategy::Rolling { max_surge, max_unavailable } => {
                        supports.batch(max_surge, max_unavailable, wanted.max(there.replicas))
                    }
                    // All replicas of both releases may run beside each other.
                    _ => (wanted, 0),
                };
                let batches = Batches {
                    from: new,
                    from_total: there.replicas,
                    from_serving: supports.serving(there),
                    to_total: state.replicas,
                    to_serving: supports.serving(state),
                    replicas: wanted,
                    max_surge,
                    max_unavailable,
                };
                batches::steps(batches, None)
            }
        }
    };
    let stop = PlanStep::Stop { slot: new, keep: 0, after: Duration::ZERO };
    if may_run && !steps.contains(&stop) {
        steps.push(stop);
    }
    steps.retain(|step| supports.has(step));
    steps
}
