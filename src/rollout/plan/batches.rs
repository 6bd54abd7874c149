//! Replaces replicas of one slot by replicas of the other, in batches.

use std::time::Duration;

use crate::model::deployment::{PlanStep, Slot};

use super::push;

/// Replicas of two slots, of which one is emptied and the other filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches {
    /// The slot that is emptied.
    pub from: Slot,
    /// Number of replicas of that slot.
    pub from_total: u32,
    /// How many of these replicas take traffic.
    pub from_serving: u32,
    /// Number of replicas of the other slot.
    pub to_total: u32,
    /// How many of these replicas take traffic.
    pub to_serving: u32,
    /// Number of replicas that the other slot has in the end.
    pub replicas: u32,
    /// How many replicas may run beyond `replicas`.
    pub max_surge: u32,
    /// How many of `replicas` may be missing.
    pub max_unavailable: u32,
}

/// Returns the steps that replace the replicas. The step `first` is added after the first new replicas are healthy,
/// before they get traffic.
pub(super) fn steps(batches: Batches, first: Option<PlanStep>) -> Vec<PlanStep> {
    let Batches { from, mut from_total, mut from_serving, mut to_total, mut to_serving, replicas, .. } = batches;
    let to = from.other();
    let mut first = first;
    // Replicas that do not serve now do not count as unavailable.
    let floor = replicas.saturating_sub(batches.max_unavailable).min(from_serving + to_serving);
    let mut steps = Vec::new();
    while from_total > 0 || to_serving < replicas {
        let room = (replicas + batches.max_surge).saturating_sub(from_total + to_total);
        let more = room.min(replicas.saturating_sub(to_total));
        let starts = more > 0 || to_serving < to_total;
        if starts {
            to_total += more;
            push(&mut steps, PlanStep::Start { slot: to, replicas: to_total });
            push(&mut steps, PlanStep::Healthy { slot: to });
            to_serving = to_total;
            steps.extend(first.take());
        }
        let idle = from_total - from_serving.min(from_total);
        let spare = (from_serving + to_serving).saturating_sub(floor);
        let fewer = (idle + spare).min(from_total);
        if !starts && fewer == 0 {
            break;
        }
        let keep = from_total - fewer;
        let (new, all) = (u64::from(to_serving), u64::from(to_serving + keep.min(from_serving)));
        if let Some(percent) = (new * 100).checked_div(all).filter(|percent| *percent > 0) {
            let percent = u8::try_from(percent).unwrap_or(100);
            push(&mut steps, PlanStep::Weight { slot: to, percent });
        }
        if fewer > 0 {
            push(&mut steps, PlanStep::Drain { slot: from, keep });
            push(&mut steps, PlanStep::Stop { slot: from, keep, after: Duration::ZERO });
            from_total = keep;
            from_serving = from_serving.min(keep);
        }
    }
    steps
}
