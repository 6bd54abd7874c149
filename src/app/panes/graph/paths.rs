//! Ways through the graph: what leads to a job and what it leads to, and what the end of a run waited for.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use crate::model::{Run, Timestamp};

use super::groups::Group;

/// What stands out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lit {
    /// The nodes.
    pub(super) nodes: HashSet<usize>,
    /// The needs, each as who is needed and who needs it.
    pub(super) needs: Vec<(usize, usize)>,
}

/// What the end of a run waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Critical {
    /// The nodes, in their order.
    pub(super) nodes: Vec<usize>,
    /// From the start of the first to the end of the last.
    pub(super) took: Duration,
}

impl Critical {
    /// Its nodes, and the needs between them, as far as they are shown.
    pub(super) fn lit(&self, shown: impl Fn(usize) -> Option<usize>) -> Lit {
        let nodes: Vec<usize> = self.nodes.iter().filter_map(|node| shown(*node)).collect();
        let needs = nodes.windows(2).map(|pair| (pair[0], pair[1])).collect();
        Lit { nodes: nodes.into_iter().collect(), needs }
    }
}

/// The critical path by measured time: from what ended last (what runs ends now) back to that of its needs which ended
/// last, and so on. Nothing before something has begun.
pub(super) fn critical(groups: &[Group], run: &Run, now: Timestamp) -> Option<Critical> {
    // What an earlier attempt did was there from the start.
    let times: Vec<_> = groups.iter().map(|group| group.times(run).filter(|_| group.is_of(run.attempt, run))).collect();
    let end = |node: &usize| times[*node].map(|(_, end)| end.unwrap_or(now));
    let last = |nodes: &mut dyn Iterator<Item = usize>| {
        nodes.filter(|node| times[*node].is_some()).min_by_key(|node| Reverse(end(node)))
    };
    // What never began held nobody up by itself: what it needed did.
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
        // Needs that close a circle would never end.
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

/// All that leads to a node and all that it leads to.
pub(super) fn through(at: usize, needs: &[Vec<usize>]) -> Lit {
    let (before, after) = reach(at, needs);
    let within = |set: &HashSet<usize>, node: usize| node == at || set.contains(&node);
    let pairs = needs.iter().enumerate().flat_map(|(to, needs)| needs.iter().map(move |from| (*from, to)));
    let needs = pairs.filter(|(from, to)| {
        (within(&before, *from) && within(&before, *to)) || (within(&after, *from) && within(&after, *to))
    });
    Lit { needs: needs.collect(), nodes: before.into_iter().chain(after).chain([at]).collect() }
}

/// Leaves the groups that are wanted, all that leads to them, and all that they hold back.
pub(super) fn around(groups: Vec<Group>, wanted: impl Fn(&Group) -> bool) -> Vec<Group> {
    let needs: Vec<_> = groups.iter().map(|group| group.needs.clone()).collect();
    let mut kept = HashSet::new();
    for place in groups.iter().enumerate().filter(|(_, group)| wanted(group)).map(|(place, _)| place) {
        let (before, after) = reach(place, &needs);
        kept.extend(before.into_iter().chain(after).chain([place]));
    }
    let mut moved = vec![None; groups.len()];
    for (next, place) in (0..groups.len()).filter(|place| kept.contains(place)).enumerate() {
        moved[place] = Some(next);
    }
    let groups = groups.into_iter().enumerate().filter(|(place, _)| kept.contains(place));
    groups
        .map(|(_, group)| Group { needs: group.needs.iter().filter_map(|need| moved[*need]).collect(), ..group })
        .collect()
}

/// Everything that leads to a node, and everything that it leads to.
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
