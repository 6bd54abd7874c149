//! Assigns nodes to layers, orders each layer, and assigns rows.

use std::collections::{BTreeMap, HashSet};

use super::Node;

/// Number of sweeps over the layers, forth and back in turn, to improve their order.
const SWEEPS: usize = 6;

/// Number of orders from which the sweeps start in a small graph.
const STARTS: usize = 12;

/// Maximum number of items of a small graph.
const SMALL: usize = 100;

/// An item of a layer: a node, or a line that passes through the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Index of the node; `None` for a line that passes through.
    pub(super) node: Option<usize>,
    /// Index of the node, or of the source of the line.
    pub(super) source: usize,
    /// First row.
    pub(super) row: u16,
    /// Height in rows.
    pub(super) height: u16,
    /// Indexes of the connected items in the next layer.
    pub(super) next: Vec<usize>,
}

/// Nodes in layers, with the lines that pass through them.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub(super) items: Vec<Vec<Item>>,
    /// Layer of each node.
    pub(super) layer: Vec<usize>,
    /// Needs of each node, without those that other needs imply.
    pub(super) needs: Vec<Vec<usize>>,
}

impl Layers {
    pub(super) fn new(nodes: &[Node]) -> Self {
        let order = order(nodes);
        let needs = reduced(nodes, &order);
        let dependants = dependants(&needs);
        let layer = layered(&needs, &dependants, &order);
        let mut layers = Self { items: Vec::new(), layer, needs };
        layers.fill(nodes, &dependants);
        layers.sort();
        layers.assign_rows();
        layers
    }

    /// Creates the items in the order of the nodes, and connects them.
    fn fill(&mut self, nodes: &[Node], dependants: &[Vec<usize>]) {
        let count = self.layer.iter().max().map_or(0, |last| last + 1);
        self.items = vec![Vec::new(); count];
        let mut place = vec![0; nodes.len()];
        for (node, layer) in self.layer.iter().enumerate() {
            place[node] = self.items[*layer].len();
            let height = nodes[node].height.max(1);
            self.items[*layer].push(Item { node: Some(node), source: node, row: 0, height, next: Vec::new() });
        }
        for (source, targets) in dependants.iter().enumerate() {
            let Some(last) = targets.iter().map(|target| self.layer[*target]).max() else { continue };
            // A source has one line to all its targets. The line ends at the farthest target.
            let mut at = (self.layer[source], place[source]);
            for layer in self.layer[source] + 1..=last {
                for target in targets.iter().filter(|target| self.layer[**target] == layer) {
                    self.items[at.0][at.1].next.push(place[*target]);
                }
                if layer < last {
                    let passing = self.items[layer].len();
                    self.items[layer].push(Item { node: None, source, row: 0, height: 1, next: Vec::new() });
                    self.items[at.0][at.1].next.push(passing);
                    at = (layer, passing);
                }
            }
        }
    }

    /// Sorts each layer so that few lines cross. Sweeps forth and back over the layers improve an order until they are
    /// stuck, so they start from several orders: that of the nodes first, and in a small graph from shuffled ones.
    fn sort(&mut self) {
        let mut fewest = self.crossings();
        let mut best = self.items.clone();
        let starts = if self.items.iter().map(Vec::len).sum::<usize>() <= SMALL { STARTS } else { 1 };
        for start in 0..starts {
            if fewest == 0 {
                break;
            }
            if start > 0 {
                self.shuffle(start);
            }
            for sweep in 0..SWEEPS {
                if fewest == 0 {
                    break;
                }
                self.sweep(sweep % 2 == 0);
                let crossings = self.crossings();
                if crossings < fewest {
                    fewest = crossings;
                    best.clone_from(&self.items);
                }
            }
        }
        self.items = best;
    }

    /// Shuffles each layer. The numbers depend only on that of the start, so that a layout is always the same.
    fn shuffle(&mut self, start: usize) {
        // The multiplier of a linear congruential generator by Knuth (MMIX).
        let mut state = start as u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for layer in 0..self.items.len() {
            let mut order: Vec<usize> = (0..self.items[layer].len()).collect();
            for at in (1..order.len()).rev() {
                order.swap(at, random(at + 1));
            }
            self.reorder(layer, &order);
        }
    }

    /// Sorts each layer by the mean position of the connected items in the previous layer if `forth` is set, otherwise
    /// in the next layer. Items without connections keep their place, and ties their order.
    fn sweep(&mut self, forth: bool) {
        let count = self.items.len();
        let numbers: Vec<usize> =
            if forth { (1..count).collect() } else { (0..count.saturating_sub(1)).rev().collect() };
        for layer in numbers {
            let mut sums = vec![(0, 0); self.items[layer].len()];
            if forth {
                for (at, item) in self.items[layer - 1].iter().enumerate() {
                    for next in &item.next {
                        sums[*next].0 += at;
                        sums[*next].1 += 1;
                    }
                }
            } else {
                for (sum, item) in sums.iter_mut().zip(&self.items[layer]) {
                    *sum = (item.next.iter().sum(), item.next.len());
                }
            }
            let mut sorted: Vec<usize> = (0..sums.len()).filter(|at| sums[*at].1 > 0).collect();
            sorted.sort_by(|a, b| (sums[*a].0 * sums[*b].1).cmp(&(sums[*b].0 * sums[*a].1)));
            let mut sorted = sorted.into_iter();
            let order = (0..sums.len()).map(|at| if sums[at].1 > 0 { sorted.next().unwrap_or(at) } else { at });
            self.reorder(layer, &order.collect::<Vec<_>>());
        }
    }

    /// Counts the crossings of lines between neighbouring layers. Lines of one net do not cross each other.
    fn crossings(&self) -> usize {
        self.items.windows(2).map(|pair| crossings(&pair[0], pair[1].len())).sum()
    }

    /// Moves the items of a layer into this order of their indexes.
    fn reorder(&mut self, layer: usize, order: &[usize]) {
        let mut moved = vec![0; order.len()];
        for (to, from) in order.iter().enumerate() {
            moved[*from] = to;
        }
        let mut old: Vec<Option<Item>> = std::mem::take(&mut self.items[layer]).into_iter().map(Some).collect();
        self.items[layer] = order.iter().filter_map(|from| old[*from].take()).collect();
        if layer > 0 {
            for item in &mut self.items[layer - 1] {
                for next in &mut item.next {
                    *next = moved[*next];
                }
            }
        }
    }

    /// Assigns each item a row near its connected items, in the order of its layer. Chains of items become straight
    /// lines.
    fn assign_rows(&mut self) {
        for layer in &mut self.items {
            let mut row = 0;
            for item in layer {
                item.row = row;
                row += item.height;
            }
        }
        let mut rows: Vec<Vec<i32>> =
            self.items.iter().map(|layer| layer.iter().map(|item| i32::from(item.row)).collect()).collect();
        for forth in [true, false, true] {
            let count = self.items.len();
            let numbers: Vec<usize> =
                if forth { (1..count).collect() } else { (0..count.saturating_sub(1)).rev().collect() };
            for layer in numbers {
                let mut near: Vec<Vec<i32>> = vec![Vec::new(); self.items[layer].len()];
                if forth {
                    for (item, row) in self.items[layer - 1].iter().zip(&rows[layer - 1]) {
                        item.next.iter().for_each(|next| near[*next].push(*row));
                    }
                } else {
                    for (near, item) in near.iter_mut().zip(&self.items[layer]) {
                        near.extend(item.next.iter().map(|next| rows[layer + 1][*next]));
                    }
                }
                let median = |(mut near, own): (Vec<i32>, &i32)| {
                    near.sort_unstable();
                    // The mean of the two medians: using only one of them would pull every layer in the same direction.
                    let middle = [near.len().saturating_sub(1) / 2, near.len() / 2].map(|at| near.get(at).copied());
                    let [Some(upper), Some(lower)] = middle else { return *own };
                    (upper + lower).div_euclid(2)
                };
                let wanted: Vec<i32> = near.into_iter().zip(&rows[layer]).map(median).collect();
                let heights: Vec<i32> = self.items[layer].iter().map(|item| i32::from(item.height)).collect();
                rows[layer] = fitted(&wanted, &heights);
            }
        }
        let top = rows.iter().flatten().min().copied().unwrap_or_default();
        for (layer, rows) in self.items.iter_mut().zip(rows) {
            for (item, row) in layer.iter_mut().zip(rows) {
                item.row = u16::try_from(row - top).unwrap_or(u16::MAX);
            }
        }
    }

    /// Moves an item of a layer one row down, and the items below with it.
    pub(super) fn lower(&mut self, layer: usize, item: usize) {
        for item in &mut self.items[layer][item..] {
            item.row = item.row.saturating_add(1);
        }
    }

    /// Moves the items of a layer down to rows in which no line leaves the layer before.
    pub(super) fn separate(&mut self, layer: usize) {
        let (before, after) = self.items.split_at_mut(layer);
        let taken: HashSet<u16> =
            before[layer - 1].iter().filter(|item| !item.next.is_empty()).map(|item| item.row).collect();
        let mut free = 0;
        for item in &mut after[0] {
            item.row = item.row.max(free);
            while taken.contains(&item.row) {
                item.row += 1;
            }
            free = item.row.saturating_add(item.height);
        }
    }
}

/// Counts the pairs of lines that start in one order in a layer and end in the other in the next, which has this many
/// items. Pairs with the same start or end, and pairs of one net, do not cross.
fn crossings(left: &[Item], right: usize) -> usize {
    // A Fenwick tree: the number of lines so far by their end.
    let mut ends = vec![0_usize; right + 1];
    let (mut lines, mut found) = (0, 0);
    let mut nets: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for item in left {
        let mut next = item.next.clone();
        next.sort_unstable();
        for end in &next {
            let mut at = end + 1;
            let mut not_below = 0;
            while at > 0 {
                not_below += ends[at];
                at &= at - 1;
            }
            found += lines - not_below;
        }
        for end in &next {
            let mut at = end + 1;
            while at <= right {
                ends[at] += 1;
                at += at & at.wrapping_neg();
            }
        }
        lines += next.len();
        *nets.entry(next).or_default() += 1;
    }
    let pairs = |count: usize| count * count.saturating_sub(1) / 2;
    let within: usize = nets.iter().map(|(ends, starts)| pairs(*starts) * pairs(ends.len())).sum();
    found - within
}

/// Returns rows as close as possible to the wanted ones without overlap. Neighbours that want the same rows are grouped
/// around the mean of these rows.
fn fitted(wanted: &[i32], heights: &[i32]) -> Vec<i32> {
    // Once the heights of the items above are subtracted, the rows only have to be non-decreasing.
    let before: Vec<i32> = heights
        .iter()
        .scan(0, |sum, height| {
            let own = *sum;
            *sum += height;
            Some(own)
        })
        .collect();
    let nearest = |sum: i64, count: i64| (2 * sum + count - 1).div_euclid(2 * count);
    let mut pools: Vec<(i64, i64)> = Vec::new();
    for (wanted, before) in wanted.iter().zip(&before) {
        pools.push((i64::from(wanted - before), 1));
        while let [.., (sum, count), (next, more)] = pools.as_slice()
            && nearest(*sum, *count) > nearest(*next, *more)
        {
            let pooled = (sum + next, count + more);
            pools.truncate(pools.len() - 2);
            pools.push(pooled);
        }
    }
    let levels = pools.iter().flat_map(|(sum, count)| std::iter::repeat_n(nearest(*sum, *count), *count as usize));
    levels.zip(before).map(|(level, before)| level as i32 + before).collect()
}

/// Returns the nodes in topological order. Needs that form a cycle are ignored.
fn order(nodes: &[Node]) -> Vec<usize> {
    let mut waiting: Vec<usize> = (0..nodes.len()).collect();
    let mut placed = vec![false; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    while !waiting.is_empty() {
        let before = order.len();
        waiting.retain(|node| {
            let free = nodes[*node].needs.iter().all(|need| *need >= nodes.len() || need == node || placed[*need]);
            if free {
                placed[*node] = true;
                order.push(*node);
            }
            !free
        });
        if order.len() == before {
            let node = waiting.remove(0);
            placed[node] = true;
            order.push(node);
        }
    }
    order
}

/// Returns the needs of each node without those that other needs imply (the transitive reduction).
fn reduced(nodes: &[Node], order: &[usize]) -> Vec<Vec<usize>> {
    let words = nodes.len().div_ceil(64);
    let mut above = vec![vec![0_u64; words]; nodes.len()];
    let mut place = vec![0; nodes.len()];
    for (at, node) in order.iter().enumerate() {
        place[*node] = at;
    }
    let mut needs = vec![Vec::new(); nodes.len()];
    for node in order {
        let mut own: Vec<usize> = nodes[*node].needs.clone();
        own.retain(|need| *need < nodes.len() && place[*need] < place[*node]);
        // Sort the latest need first, because it may imply the others.
        own.sort_unstable_by_key(|need| std::cmp::Reverse(place[*need]));
        own.dedup();
        let mut reached = vec![0_u64; words];
        for need in own {
            if reached[need / 64] & (1 << (need % 64)) == 0 {
                needs[*node].push(need);
            }
            reached[need / 64] |= 1 << (need % 64);
            for (word, more) in reached.iter_mut().zip(&above[need]) {
                *word |= more;
            }
        }
        needs[*node].sort_unstable();
        above[*node] = reached;
    }
    needs
}

/// Returns the dependants of each node, in the order of the nodes.
fn dependants(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut dependants = vec![Vec::new(); needs.len()];
    for (node, needs) in needs.iter().enumerate() {
        for need in needs {
            dependants[*need].push(node);
        }
    }
    dependants
}

/// Returns the layer of each node: the layer after its last need. A node with needs, but more dependants, moves right
/// to the layer before its first dependant, because that shortens more lines than it lengthens.
fn layered(needs: &[Vec<usize>], dependants: &[Vec<usize>], order: &[usize]) -> Vec<usize> {
    let mut layer = vec![0; needs.len()];
    for node in order {
        layer[*node] = needs[*node].iter().map(|need| layer[*need] + 1).max().unwrap_or_default();
    }
    for node in order.iter().rev() {
        let first = dependants[*node].iter().map(|other| layer[*other]).min();
        if let Some(first) = first.filter(|_| !needs[*node].is_empty() && dependants[*node].len() > needs[*node].len())
        {
            layer[*node] = layer[*node].max(first - 1);
        }
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_near_the_wanted_ones_and_never_overlap() {
        assert_eq!(fitted(&[0, 5, 5], &[1, 1, 1]), [0, 4, 5]);
        assert_eq!(fitted(&[3, 3, 3], &[1, 1, 1]), [2, 3, 4]);
        assert_eq!(fitted(&[0, 0], &[3, 1]), [-2, 1]);
        assert_eq!(fitted(&[], &[]), [0; 0]);
    }

    #[test]
    fn implied_needs_have_no_line() {
        let node = |needs: &[usize]| Node { width: 1, height: 1, needs: needs.to_vec() };
        let nodes = [node(&[]), node(&[0]), node(&[1, 0]), node(&[3, 9])];
        let needs = reduced(&nodes, &order(&nodes));
        assert_eq!(needs, [vec![], vec![0], vec![1], vec![]]);
    }
}
