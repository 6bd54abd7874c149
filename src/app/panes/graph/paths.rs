//! Paths through the graph: the nodes connected to a node, and the critical path.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use crate::model::{Run, Timestamp};

use super::groups::Group;

/// Highlighted nodes and edges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lit {
    pub(super) nodes: HashSet<usize>,
    /// Edges, each from the needed node to the node that needs it.
    pub(super) needs: Vec<(usize, usize)>,
}

/// The chain of nodes that determined the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Critical {
    /// From the first node to the last.
    pub(super) nodes: Vec<usize>,
    /// Time from the start of the first node to the end of the last.
    pub(super) took: Duration,
}

impl Critical {
    /// Returns the visible nodes of the path, as `shown` maps them, and the edges between them.
    pub(super) fn lit(&self, shown: impl Fn(usize) -> Option<usize>) -> Lit {
        let nodes: Vec<usize> = self.nodes.iter().filter_map(|node| shown(*node)).collect();
        let needs = nodes.windows(2).map(|pair| (pair[0], pair[1])).collect();
        Lit { nodes: nodes.into_iter().collect(), needs }
    }
}

/// Returns the critical path by measured time. It starts at the node that ended last and goes back from each node to
/// whichever of its needs ended last. A running node counts as ending now. `None` before a node has started.
pub(super) fn critical(groups: &[Group], run: &Run, now: Timestamp) -> Option<Critical> {
    // Nodes kept from an earlier attempt did not run in this one.
    let times: Vec<_> = groups.iter().map(|group| group.times(run).filter(|_| group.is_of(run.attempt, run))).collect();
    let end = |node: &usize| times[*node].map(|(_, end)| end.unwrap_or(now));
    let last = |nodes: &mut dyn Iterator<Item = usize>| {
        nodes.filter(|node| times[*node].is_some()).min_by_key(|node| Reverse(end(node)))
    };
    // A node that never started did not delay the run itself, but its needs may have.
    let needs = |node: usize| {
        let (mut found, mut todo, mut seen) = (Vec::new(), groups[node].needs.clone(), HashSet::new());
        while let Some(need) = todo.pop() {
            if !seen.insert(need) {
                continue;
            }
            if times[need].is_some() { found.push(need) } else { todo.extend(&groups[need].needs) }
        }
        found
    };
    let mut nodes = vec![last(&mut (0..groups.len()))?];
    while let Some(before) = nodes.last().and_then(|at| last(&mut needs(*at).into_iter())) {
        // Without this check, a cycle of needs would never end.
        if nodes.contains(&before) {
            break;
        }
        nodes.push(before);
    }
    nodes.reverse();
    let (first, last) = (nodes.first()?, nodes.last()?);
    let took = end(last)?.since(times[*first]?.0);
    Some(Critical { nodes, took })
}

/// Returns all nodes that lead to this one, all that depend on it, and the edges between them.
pub(super) fn through(at: usize, needs: &[Vec<usize>]) -> Lit {
    let (before, after) = reach(at, needs);
    let within = |set: &HashSet<usize>, node: usize| node == at || set.contains(&node);
    let pairs = needs.iter().enumerate().flat_map(|(to, needs)| needs.iter().map(move |from| (*from, to)));
    let needs = pairs.filter(|(from, to)| {
        (within(&before, *from) && within(&before, *to)) || (within(&after, *from) && within(&after, *to))
    });
    Lit { needs: needs.collect(), nodes: before.into_iter().chain(after).chain([at]).collect() }
}

/// Returns the wanted groups, all that lead to them, and all that depend on them.
pub(super) fn around(groups: Vec<Group>, wanted: impl Fn(&Group) -> bool) -> Vec<Group> {
    let needs: Vec<_> = groups.iter().map(|group| group.needs.clone()).collect();
    let mut kept = HashSet::new();
    for index in groups.iter().enumerate().filter(|(_, group)| wanted(group)).map(|(index, _)| index) {
        let (before, after) = reach(index, &needs);
        kept.extend(before.into_iter().chain(after).chain([index]));
    }
    let mut moved = vec![None; groups.len()];
    for (next, index) in (0..groups.len()).filter(|index| kept.contains(index)).enumerate() {
        moved[index] = Some(next);
    }
    let groups = groups.into_iter().enumerate().filter(|(index, _)| kept.contains(index));
    groups
        .map(|(_, group)| Group { needs: group.needs.iter().filter_map(|need| moved[*need]).collect(), ..group })
        .collect()
}

/// Returns the nodes that lead to this one, and the nodes that depend on it.
fn reach(at: usize, needs: &[Vec<usize>]) -> (HashSet<usize>, HashSet<usize>) {
    let follow = |next: &dyn Fn(usize) -> Vec<usize>| {
        let mut found = HashSet::new();
        let mut todo = next(at);
        while let Some(node) = todo.pop() {
            if found.insert(node) {
                todo.extend(next(node));
            }
        }
        found
    };
    let before = follow(&|node| needs[node].clone());
    let after = follow(&|node| (0..needs.len()).filter(|other| needs[*other].contains(&node)).collect());
    (before, after)
}
