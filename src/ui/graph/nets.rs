//! Nets between two layers, and the columns of their vertical lines. A net is the group of lines that share one
//! vertical line.

use std::collections::BTreeMap;

use super::layers::{Item, Layers};

/// Maximum number of items of a layer that are moved one by one because of collisions.
const MOVES: usize = 8;

/// Nets between a layer and the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Nets {
    pub(super) nets: Vec<Net>,
    /// Number of columns for the vertical lines of the nets.
    pub(super) tracks: u16,
}

/// A group of sources that have the same targets.
#[derive(Clone, Debug)]
pub(super) struct Net {
    /// Indexes in the left layer.
    pub(super) sources: Vec<usize>,
    /// Indexes in the right layer.
    pub(super) targets: Vec<usize>,
    /// Column of the vertical line; `None` if the line is straight.
    pub(super) track: Option<u16>,
}

impl Net {
    /// Returns the first and last row of its vertical line; `None` for a net without lines.
    pub(super) fn rows(&self, left: &[Item], right: &[Item]) -> Option<(u16, u16)> {
        let rows = self.ends(left, right);
        rows.fold(None, |rows, row| {
            Some(rows.map_or((row, row), |(top, bottom): (u16, u16)| (top.min(row), bottom.max(row))))
        })
    }

    /// Whether a line of the net starts or ends in a row.
    pub(super) fn touches(&self, row: u16, left: &[Item], right: &[Item]) -> bool {
        self.ends(left, right).any(|end| end == row)
    }

    fn ends<'n>(&'n self, left: &'n [Item], right: &'n [Item]) -> impl Iterator<Item = u16> + 'n {
        let sources = self.sources.iter().map(|source| left[*source].row);
        sources.chain(self.targets.iter().map(|target| right[*target].row))
    }
}

/// Computes the nets between all neighbouring layers. Where their lines would collide, moves items to other rows first.
pub(super) fn route(mut layers: Layers) -> (Layers, Vec<Nets>) {
    let mut nets = Vec::new();
    for layer in 1..layers.items.len() {
        let mut moves = 0;
        nets.push(loop {
            match between(&layers.items[layer - 1], &layers.items[layer]) {
                Ok(found) => break found,
                Err(item) if moves < MOVES => layers.lower(layer, item),
                // Without common rows, lines cannot collide.
                Err(_) if moves == MOVES => layers.separate(layer),
                Err(_) => break Nets::default(),
            }
            moves += 1;
        });
    }
    (layers, nets)
}

/// Returns the nets between two layers; the index of an item in the right layer if lines would collide in its row.
fn between(left: &[Item], right: &[Item]) -> Result<Nets, usize> {
    let mut by_targets: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (source, item) in left.iter().enumerate().filter(|(_, item)| !item.next.is_empty()) {
        let mut targets = item.next.clone();
        targets.sort_unstable();
        targets.dedup();
        by_targets.entry(targets).or_default().push(source);
    }
    let mut nets: Vec<Net> =
        by_targets.into_iter().map(|(targets, sources)| Net { sources, targets, track: None }).collect();
    nets.sort_by_key(|net| net.sources.first().copied());
    // The line of a source must leave its row before another net's line to a target in that row starts.
    let owner: BTreeMap<u16, usize> = nets
        .iter()
        .enumerate()
        .flat_map(|(index, net)| net.sources.iter().map(move |source| (left[*source].row, index)))
        .collect();
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); nets.len()];
    let mut waits = vec![0_usize; nets.len()];
    for (index, net) in nets.iter().enumerate() {
        for target in &net.targets {
            if let Some(first) = owner.get(&right[*target].row).filter(|first| **first != index) {
                after[*first].push(index);
                waits[index] += 1;
            }
        }
    }
    let mut open: Vec<usize> = (0..nets.len()).rev().filter(|net| waits[*net] == 0).collect();
    let mut spans: Vec<(u16, u16, u16)> = Vec::new();
    let mut least = vec![0_u16; nets.len()];
    let mut done = 0;
    while let Some(net) = open.pop() {
        done += 1;
        let Some((top, bottom)) = nets[net].rows(left, right) else { continue };
        // A straight line needs no track. No other line enters its row, because its target is the only one there.
        if top < bottom {
            let mut track = least[net];
            while spans.iter().any(|(taken, from, to)| *taken == track && top <= to + 1 && *from <= bottom + 1) {
                track += 1;
            }
            spans.push((track, top, bottom));
            nets[net].track = Some(track);
        }
        let next = nets[net].track.map_or(0, |track| track + 1);
        for other in std::mem::take(&mut after[net]) {
            least[other] = least[other].max(next);
            waits[other] -= 1;
            if waits[other] == 0 {
                open.push(other);
            }
        }
    }
    if done < nets.len() {
        // Each of the nets that are left waits for another one of them.
        let is_left = |net: &usize| waits[*net] > 0;
        let mut targets =
            (0..nets.len()).filter(is_left).flat_map(|net| nets[net].targets.iter().map(move |to| (net, *to)));
        let blocked =
            targets.find(|(net, to)| owner.get(&right[*to].row).is_some_and(|first| first != net && is_left(first)));
        return Err(blocked.map_or(0, |(_, target)| target));
    }
    let tracks = spans.iter().map(|(track, ..)| track + 1).max().unwrap_or_default();
    Ok(Nets { nets, tracks })
}
