//! Which job may start next: a pure state machine over the graph of `needs`.
//!
//! A *node* is one job of one workflow file, within one call of that workflow. A *leg* is one job of a node's matrix.
//! Once all the needs of a node have ended, the scheduler asks the engine to decide about it ([`Decision::Decide`]),
//! because its `if` and its matrix are expressions. The engine answers with [`Scheduler::expand`], or with
//! [`Scheduler::add_finished`] if no leg starts. The legs then start one by one as the slots of the machine and the
//! matrix's `max-parallel` allow: there are no stages. A leg that calls a workflow holds no slot; the legs of the
//! called workflow do, and the calling leg ends after them.
//!
//! Nothing here reads a clock or evaluates an expression, so a table can test every rule.

use std::collections::VecDeque;

use crate::model::{Conclusion, JobId};

/// Id of a node in the scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct NodeId(usize);

impl NodeId {
    /// Returns the index of the node, in the order in which nodes were added.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// What the engine must do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// All needs of the node have ended: evaluate its `if` and matrix, then call `expand`, or `add_finished` if no leg
    /// starts.
    Decide(NodeId),
    /// Start the leg.
    Start(NodeId, JobId),
    /// The leg, whose task waited without its slot, has one again.
    Resume(JobId),
    /// End the first leg, because the second leg, which belongs to the same matrix, failed and `fail-fast` is set.
    Cancel(JobId, JobId),
    /// Every node of the workflow that the leg called has ended: evaluate its outputs, then call `finished`.
    Complete(NodeId, JobId),
    /// The first leg will not start, because the second leg, which belongs to the same matrix, failed and `fail-fast`
    /// is set. There is no second leg if the run or the calling leg was cancelled instead.
    Drop(JobId, Option<JobId>),
}

/// How a leg ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Conclusion of the leg.
    pub conclusion: Conclusion,
    /// Whether `continue-on-error` lets other jobs run as if the leg had succeeded.
    pub allowed_failure: bool,
}

/// Limits that a matrix sets for its legs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Whether a failed leg cancels the others.
    pub fail_fast: bool,
    /// Maximum number of legs that run at once; `None` means no limit.
    pub max_parallel: Option<usize>,
}

#[derive(Debug)]
struct Node {
    needs: Vec<NodeId>,
    caller: Option<(NodeId, JobId)>,
    calls: bool,
    limits: Limits,
    state: State,
    legs: Vec<Leg>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum State {
    Blocked,
    Deciding,
    Expanded,
    Skipped,
}

#[derive(Debug)]
struct Leg {
    id: JobId,
    state: LegState,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum LegState {
    Queued,
    /// Waits for a concurrency group.
    Held,
    /// Holds its concurrency group and waits for a slot.
    Admitted,
    Running,
    /// Its task waits for the rules of an environment or is held, and takes no slot.
    Parked,
    /// Its task has waited, and wants a slot again.
    Returning,
    Done(Ending),
}

impl LegState {
    /// Whether the leg has started and not ended.
    fn has_begun(self) -> bool {
        matches!(self, Self::Running | Self::Parked | Self::Returning)
    }
}

/// The graph and its progress.
#[derive(Debug)]
pub struct Scheduler {
    nodes: Vec<Node>,
    slots: usize,
    cancelled: bool,
    turns: VecDeque<Decision>,
}

impl Scheduler {
    /// Creates a scheduler that runs at most `slots` legs at once on this machine (at least one).
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { nodes: Vec::new(), slots: slots.max(1), cancelled: false, turns: VecDeque::new() }
    }

    /// Adds a node. [`Self::set_needs`] sets its needs. `calls` means that its legs call a workflow; `caller` is the
    /// leg that called the workflow of the node.
    pub fn add(&mut self, calls: bool, caller: Option<(NodeId, JobId)>) -> NodeId {
        self.nodes.push(Node {
            needs: Vec::new(),
            caller,
            calls,
            limits: Limits { fail_fast: false, max_parallel: None },
            state: State::Blocked,
            legs: Vec::new(),
        });
        NodeId(self.nodes.len() - 1)
    }

    /// Sets the nodes that a node waits for.
    pub fn set_needs(&mut self, node: NodeId, needs: Vec<NodeId>) {
        self.nodes[node.0].needs = needs;
    }

    /// Ends a node without starting a leg: each of `legs` has ended in an earlier attempt, or is skipped or failed.
    pub fn add_finished(&mut self, node: NodeId, legs: Vec<(JobId, Ending)>) {
        let node = &mut self.nodes[node.0];
        node.state = if legs.iter().all(|(_, ending)| ending.conclusion == Conclusion::Skipped) {
            State::Skipped
        } else {
            State::Expanded
        };
        node.legs = legs.into_iter().map(|(id, ending)| Leg { id, state: LegState::Done(ending) }).collect();
    }

    /// Returns the next decision; `None` if the engine has nothing to do until another method changes the graph.
    pub fn next_decision(&mut self) -> Option<Decision> {
        if self.turns.is_empty() {
            self.advance();
        }
        self.turns.pop_front()
    }

    /// Whether every node has ended and no decision is pending.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.turns.is_empty() && (0..self.nodes.len()).all(|node| self.result(NodeId(node)).is_some())
    }

    /// Skips a node, which then has no legs.
    pub fn skip(&mut self, node: NodeId) {
        self.nodes[node.0].state = State::Skipped;
    }

    /// Sets the legs of a node. A node without legs (an empty dynamic matrix) counts as skipped.
    pub fn expand(&mut self, node: NodeId, legs: Vec<JobId>, limits: Limits) {
        let node = &mut self.nodes[node.0];
        node.state = if legs.is_empty() { State::Skipped } else { State::Expanded };
        node.limits = limits;
        node.legs = legs.into_iter().map(|id| Leg { id, state: LegState::Queued }).collect();
    }

    /// Makes a leg that was about to start wait for a concurrency group. The leg takes no slot while it waits.
    pub fn hold(&mut self, id: &JobId) {
        self.change(id, LegState::Running, LegState::Held);
    }

    /// Makes a leg that waited for a group ready: it starts as soon as a slot is free.
    pub fn admit(&mut self, id: &JobId) {
        self.change(id, LegState::Held, LegState::Admitted);
    }

    /// Takes the slot of a running leg, which waits for the rules of an environment or is held.
    pub fn park(&mut self, id: &JobId) {
        self.change(id, LegState::Running, LegState::Parked);
    }

    /// Lets a parked leg go on as soon as a slot is free, before any leg that has not started.
    pub fn unpark(&mut self, id: &JobId) {
        self.change(id, LegState::Parked, LegState::Returning);
    }

    fn change(&mut self, id: &JobId, from: LegState, to: LegState) {
        let mut legs = self.nodes.iter_mut().flat_map(|node| &mut node.legs);
        if let Some(leg) = legs.find(|leg| leg.id == *id && leg.state == from) {
            leg.state = to;
        }
    }

    /// Updates the graph after the end of a leg. If it failed and `fail-fast` is set, the other legs of the matrix are
    /// cancelled or dropped.
    pub fn finished(&mut self, id: &JobId, ending: Ending) {
        let Some(node) = self.nodes.iter_mut().find(|node| node.legs.iter().any(|leg| leg.id == *id)) else { return };
        for leg in node.legs.iter_mut().filter(|leg| leg.id == *id) {
            leg.state = LegState::Done(ending);
        }
        let failed = matches!(ending.conclusion, Conclusion::Failure | Conclusion::TimedOut) && !ending.allowed_failure;
        if failed && node.limits.fail_fast {
            for leg in &mut node.legs {
                match leg.state {
                    LegState::Running | LegState::Parked | LegState::Returning => {
                        self.turns.push_back(Decision::Cancel(leg.id.clone(), id.clone()));
                    }
                    LegState::Queued | LegState::Held | LegState::Admitted => {
                        leg.state =
                            LegState::Done(Ending { conclusion: Conclusion::Cancelled, allowed_failure: false });
                        self.turns.push_back(Decision::Drop(leg.id.clone(), Some(id.clone())));
                    }
                    LegState::Done(_) => {}
                }
            }
        }
    }

    /// Cancels the run: legs that have not started are dropped, and nodes that are decided later see `cancelled()` as
    /// true. The engine ends the running legs.
    pub fn cancel(&mut self) {
        self.cancelled = true;
        self.drop_waiting(|_| true);
    }

    /// Cancels a leg that calls a workflow: drops the legs of that workflow's nodes that have not started.
    pub fn cancel_called(&mut self, caller: &JobId) {
        self.drop_waiting(|node| node.caller.as_ref().is_some_and(|(_, id)| id == caller));
    }

    fn drop_waiting(&mut self, of: impl Fn(&Node) -> bool) {
        for node in self.nodes.iter_mut().filter(|node| of(node)) {
            let waits = |leg: &&mut Leg| !leg.state.has_begun() && !matches!(leg.state, LegState::Done(_));
            for leg in node.legs.iter_mut().filter(waits) {
                leg.state = LegState::Done(Ending { conclusion: Conclusion::Cancelled, allowed_failure: false });
                self.turns.push_back(Decision::Drop(leg.id.clone(), None));
            }
        }
    }

    /// Returns `needs.<job>.result` of a node, or `None` until it has ended.
    #[must_use]
    pub fn result(&self, node: NodeId) -> Option<Conclusion> {
        let node = &self.nodes[node.0];
        match node.state {
            State::Blocked | State::Deciding => None,
            State::Skipped => Some(Conclusion::Skipped),
            State::Expanded => {
                let mut worst = Conclusion::Skipped;
                for leg in &node.legs {
                    let LegState::Done(ending) = leg.state else { return None };
                    let counted = match ending.conclusion {
                        _ if ending.allowed_failure => Conclusion::Success,
                        Conclusion::TimedOut => Conclusion::Failure,
                        other => other,
                    };
                    if badness(counted) > badness(worst) {
                        worst = counted;
                    }
                }
                Some(worst)
            }
        }
    }

    /// Returns the direct needs of a node.
    #[must_use]
    pub fn needs(&self, node: NodeId) -> &[NodeId] {
        &self.nodes[node.0].needs
    }

    /// Returns the results of all direct and indirect needs of a node, as `success()` and `failure()` check them.
    #[must_use]
    pub fn ancestors(&self, node: NodeId) -> Vec<Conclusion> {
        let mut seen = vec![false; self.nodes.len()];
        let mut todo: Vec<NodeId> = self.nodes[node.0].needs.clone();
        let mut results = Vec::new();
        while let Some(next) = todo.pop() {
            if !std::mem::replace(&mut seen[next.0], true) {
                results.extend(self.result(next));
                todo.extend(&self.nodes[next.0].needs);
            }
        }
        results
    }

    fn advance(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if node.state == State::Blocked && node.needs.iter().all(|need| self.result(*need).is_some()) {
                self.nodes[index].state = State::Deciding;
                self.turns.push_back(Decision::Decide(NodeId(index)));
            }
        }
        if !self.turns.is_empty() {
            return;
        }
        self.complete_calls();
        self.start_legs();
    }

    /// Completes the calling legs whose called nodes have all ended.
    fn complete_calls(&mut self) {
        for index in 0..self.nodes.len() {
            if !self.nodes[index].calls {
                continue;
            }
            for leg in &self.nodes[index].legs {
                let mut called = self
                    .nodes
                    .iter()
                    .enumerate()
                    .filter(|(_, node)| node.caller.as_ref().is_some_and(|(_, id)| *id == leg.id));
                if leg.state == LegState::Running && called.all(|(place, _)| self.result(NodeId(place)).is_some()) {
                    self.turns.push_back(Decision::Complete(NodeId(index), leg.id.clone()));
                }
            }
        }
    }

    fn start_legs(&mut self) {
        let mut free = self.slots.saturating_sub(self.holding_slots());
        for leg in self.nodes.iter_mut().flat_map(|node| &mut node.legs) {
            if free > 0 && leg.state == LegState::Returning {
                free -= 1;
                leg.state = LegState::Running;
                self.turns.push_back(Decision::Resume(leg.id.clone()));
            }
        }
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let begun = |leg: &&Leg| !matches!(leg.state, LegState::Queued | LegState::Done(_));
            let begun = node.legs.iter().filter(begun).count();
            let mut allowed = node.limits.max_parallel.unwrap_or(usize::MAX).saturating_sub(begun);
            for leg in &mut node.legs {
                match leg.state {
                    _ if free == 0 && !node.calls => break,
                    LegState::Queued if allowed > 0 => allowed -= 1,
                    LegState::Admitted => {}
                    _ => continue,
                }
                if !node.calls {
                    free -= 1;
                }
                leg.state = LegState::Running;
                self.turns.push_back(Decision::Start(NodeId(index), leg.id.clone()));
            }
        }
    }

    fn holding_slots(&self) -> usize {
        let legs = self.nodes.iter().filter(|node| !node.calls).flat_map(|node| &node.legs);
        legs.filter(|leg| leg.state == LegState::Running).count()
    }

    /// Whether the run was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Returns the legs that have started and not ended.
    pub fn running(&self) -> impl Iterator<Item = (NodeId, &JobId)> {
        self.nodes.iter().enumerate().flat_map(|(index, node)| {
            let legs = node.legs.iter().filter(|leg| leg.state.has_begun());
            legs.map(move |leg| (NodeId(index), &leg.id))
        })
    }
}

/// Ranks the results of legs: the worst one is the result of their node.
fn badness(conclusion: Conclusion) -> u8 {
    match conclusion {
        Conclusion::Skipped => 0,
        Conclusion::Success | Conclusion::Neutral => 1,
        Conclusion::Cancelled | Conclusion::Stale => 2,
        Conclusion::Failure | Conclusion::TimedOut | Conclusion::ActionRequired | Conclusion::StartupFailure => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Conclusion::{Cancelled, Failure, Skipped, Success};

    const ALL: Limits = Limits { fail_fast: true, max_parallel: None };

    fn ids(key: &str, count: usize) -> Vec<JobId> {
        (1..=count).map(|leg| JobId::new(format!("{key}-{leg}"))).collect()
    }

    fn ends(conclusion: Conclusion) -> Ending {
        Ending { conclusion, allowed_failure: false }
    }

    /// Collects all decisions. Every `Decide` expands to the number of legs given for the node.
    fn turns(scheduler: &mut Scheduler, legs: &[usize], limits: Limits) -> Vec<Decision> {
        let mut taken = Vec::new();
        while let Some(turn) = scheduler.next_decision() {
            if let Decision::Decide(node) = &turn {
                scheduler.expand(*node, ids(&format!("n{}", node.0), legs[node.0]), limits);
            } else {
                taken.push(turn);
            }
        }
        taken
    }

    fn started(turns: &[Decision]) -> Vec<String> {
        let names = turns.iter().filter_map(|turn| match turn {
            Decision::Start(_, id) => Some(id.to_string()),
            _ => None,
        });
        names.collect()
    }

    /// Nodes 0 ← 1 ← 2, with an independent node 3.
    fn chain(slots: usize) -> Scheduler {
        let mut scheduler = Scheduler::new(slots);
        let nodes: Vec<_> = (0..4).map(|_| scheduler.add(false, None)).collect();
        scheduler.set_needs(nodes[1], vec![nodes[0]]);
        scheduler.set_needs(nodes[2], vec![nodes[1]]);
        scheduler
    }

    #[test]
    fn a_node_is_decided_when_its_needs_have_ended_and_not_before() {
        let mut scheduler = chain(8);
        assert_eq!(started(&turns(&mut scheduler, &[1; 4], ALL)), ["n0-1", "n3-1"]);
        scheduler.finished(&JobId::new("n0-1"), ends(Success));
        assert_eq!(started(&turns(&mut scheduler, &[1; 4], ALL)), ["n1-1"]);
        assert!(!scheduler.is_done());
    }

    #[test]
    fn a_parked_leg_leaves_its_slot_to_another_and_comes_back_before_those_that_wait() {
        let mut scheduler = Scheduler::new(1);
        for _ in 0..3 {
            scheduler.add(false, None);
        }
        let id = |node: usize| JobId::new(format!("n{node}-1"));
        assert_eq!(started(&turns(&mut scheduler, &[1; 3], ALL)), ["n0-1"]);
        scheduler.park(&id(0));
        assert_eq!(started(&turns(&mut scheduler, &[1; 3], ALL)), ["n1-1"]);
        scheduler.unpark(&id(0));
        assert_eq!(turns(&mut scheduler, &[1; 3], ALL), []);
        scheduler.finished(&id(1), ends(Success));
        assert_eq!(turns(&mut scheduler, &[1; 3], ALL), [Decision::Resume(id(0))]);
        scheduler.park(&id(0));
        assert_eq!(started(&turns(&mut scheduler, &[1; 3], ALL)), ["n2-1"]);
        scheduler.cancel();
        assert_eq!(turns(&mut scheduler, &[1; 3], ALL), [], "what has begun is not dropped");
        assert_eq!(scheduler.running().count(), 2);
    }

    #[test]
    fn slots_limit_the_running_legs_and_a_free_slot_is_used_at_once() {
        let mut scheduler = Scheduler::new(2);
        scheduler.add(false, None);
        assert_eq!(started(&turns(&mut scheduler, &[4], ALL)), ["n0-1", "n0-2"]);
        scheduler.finished(&JobId::new("n0-2"), ends(Success));
        assert_eq!(started(&turns(&mut scheduler, &[4], ALL)), ["n0-3"]);
    }

    #[test]
    fn a_leg_that_waits_for_a_group_takes_no_slot() {
        let mut scheduler = Scheduler::new(1);
        scheduler.add(false, None);
        let id = |leg: usize| ids("n0", 3)[leg - 1].clone();
        assert_eq!(started(&turns(&mut scheduler, &[3], ALL)), ["n0-1"]);
        scheduler.hold(&id(1));
        assert_eq!(started(&turns(&mut scheduler, &[3], ALL)), ["n0-2"]);
        scheduler.admit(&id(1));
        assert_eq!(started(&turns(&mut scheduler, &[3], ALL)), Vec::<String>::new());
        scheduler.finished(&id(2), ends(Success));
        assert_eq!(started(&turns(&mut scheduler, &[3], ALL)), ["n0-1"]);
        scheduler.hold(&id(1));
        assert_eq!(started(&turns(&mut scheduler, &[3], ALL)), ["n0-3"]);
        scheduler.finished(&id(3), ends(Failure));
        assert_eq!(turns(&mut scheduler, &[3], ALL), [Decision::Drop(id(1), Some(id(3)))]);
        assert!(scheduler.is_done());
    }

    #[test]
    fn max_parallel_is_a_sliding_window() {
        let mut scheduler = Scheduler::new(8);
        scheduler.add(false, None);
        let limits = Limits { fail_fast: false, max_parallel: Some(2) };
        assert_eq!(started(&turns(&mut scheduler, &[3], limits)).len(), 2);
        scheduler.finished(&JobId::new("n0-1"), ends(Failure));
        assert_eq!(started(&turns(&mut scheduler, &[3], limits)), ["n0-3"]);
    }

    #[test]
    fn fail_fast_cancels_running_legs_and_drops_queued_ones() {
        let mut scheduler = Scheduler::new(2);
        let node = scheduler.add(false, None);
        turns(&mut scheduler, &[3], ALL);
        let failed = JobId::new("n0-1");
        scheduler.finished(&failed, ends(Failure));
        assert_eq!(
            turns(&mut scheduler, &[3], ALL),
            [Decision::Cancel(JobId::new("n0-2"), failed.clone()), Decision::Drop(JobId::new("n0-3"), Some(failed))]
        );
        scheduler.finished(&JobId::new("n0-2"), ends(Cancelled));
        assert_eq!(scheduler.result(node), Some(Failure));
        assert!(scheduler.is_done());
    }

    #[test]
    fn an_allowed_failure_neither_fails_fast_nor_blocks_dependent_jobs() {
        let mut scheduler = Scheduler::new(2);
        let node = scheduler.add(false, None);
        turns(&mut scheduler, &[2], ALL);
        scheduler.finished(&JobId::new("n0-1"), Ending { conclusion: Failure, allowed_failure: true });
        assert_eq!(turns(&mut scheduler, &[2], ALL), []);
        scheduler.finished(&JobId::new("n0-2"), ends(Success));
        assert_eq!(scheduler.result(node), Some(Success));
    }

    #[test]
    fn ancestors_include_indirect_needs() {
        let mut scheduler = chain(8);
        turns(&mut scheduler, &[1; 4], ALL);
        scheduler.finished(&JobId::new("n0-1"), ends(Failure));
        let Some(Decision::Decide(one)) = scheduler.next_decision() else { panic!("node 1 is decided") };
        scheduler.skip(one);
        let Some(Decision::Decide(two)) = scheduler.next_decision() else { panic!("node 2 is decided") };
        assert_eq!(scheduler.ancestors(two), [Skipped, Failure]);
    }

    #[test]
    fn cancel_drops_waiting_legs_and_still_decides_undecided_nodes() {
        let mut scheduler = chain(1);
        turns(&mut scheduler, &[1; 4], ALL);
        scheduler.cancel();
        assert_eq!(turns(&mut scheduler, &[1; 4], ALL), [Decision::Drop(JobId::new("n3-1"), None)]);
        scheduler.finished(&JobId::new("n0-1"), ends(Cancelled));
        assert!(matches!(scheduler.next_decision(), Some(Decision::Decide(_))), "an `always()` job may still run");
    }

    #[test]
    fn a_calling_leg_holds_no_slot_and_completes_after_the_called_jobs() {
        let mut scheduler = Scheduler::new(1);
        let call = scheduler.add(true, None);
        assert_eq!(scheduler.next_decision(), Some(Decision::Decide(call)));
        let id = JobId::new("call");
        scheduler.expand(call, vec![id.clone()], ALL);
        assert_eq!(scheduler.next_decision(), Some(Decision::Start(call, id.clone())));
        let inner = scheduler.add(false, Some((call, id.clone())));
        assert_eq!(scheduler.next_decision(), Some(Decision::Decide(inner)));
        scheduler.expand(inner, vec![JobId::new("call.inner")], ALL);
        assert_eq!(scheduler.next_decision(), Some(Decision::Start(inner, JobId::new("call.inner"))));
        assert_eq!(scheduler.next_decision(), None);
        scheduler.finished(&JobId::new("call.inner"), ends(Failure));
        assert_eq!(scheduler.next_decision(), Some(Decision::Complete(call, id.clone())));
        scheduler.finished(&id, ends(Failure));
        assert!(scheduler.is_done());
    }

    proptest::proptest! {
        /// For any graph, matrices and order in which legs end: every leg ends, at most as many legs run at once as
        /// there are slots, and no leg starts before its needs have ended.
        #[test]
        fn every_graph_ends(
            widths in proptest::collection::vec(0_usize..4, 1..12),
            edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..24),
            endings in proptest::collection::vec(0_u8..3, 64),
            slots in 1_usize..4,
        ) {
            let mut scheduler = Scheduler::new(slots);
            let nodes: Vec<_> = widths.iter().map(|_| scheduler.add(false, None)).collect();
            let needs = |node: usize| -> Vec<NodeId> {
                let before = edges.iter().filter(|(from, to)| *to == node && from < to);
                before.map(|(from, _)| nodes[*from]).collect()
            };
            for (place, node) in nodes.iter().enumerate() {
                scheduler.set_needs(*node, needs(place));
            }
            let mut running: Vec<JobId> = Vec::new();
            let mut endings = endings.into_iter().cycle();
            for _ in 0..1000 {
                while let Some(turn) = scheduler.next_decision() {
                    match turn {
                        Decision::Decide(node) => {
                            assert!(needs(node.0).iter().all(|need| scheduler.result(*need).is_some()));
                            scheduler.expand(node, ids(&format!("n{}", node.0), widths[node.0]), ALL);
                        }
                        Decision::Start(_, id) => running.push(id),
                        Decision::Cancel(..) | Decision::Drop(..) => {}
                        Decision::Complete(..) | Decision::Resume(_) => panic!("nothing calls or waits"),
                    }
                    assert!(running.len() <= slots);
                }
                let Some(id) = running.pop() else { break };
                let conclusion = [Success, Failure, Cancelled][endings.next().expect("cycles") as usize];
                scheduler.finished(&id, ends(conclusion));
            }
            assert!(scheduler.is_done());
        }
    }
}
