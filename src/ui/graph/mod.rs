//! The graph of jobs: who needs whom, drawn from left to right on a grid of cells.
//!
//! It is a pure function of structure. [`Layout::new`] takes how large each node is and what it needs, and says where nodes
//! and lines are; what a node looks like, and which lines are lit, is asked for when it is drawn. So a status that changes
//! moves nothing.
//!
//! Needs that other needs imply are left out (the transitive reduction). Jobs stand in layers by their longest way from a
//! job that needs nothing; a line over several layers passes through the layers between on a row of its own. Between two
//! layers all sources with the same targets share one vertical line, a *net*, in which everything on the left leads to
//! everything on the right. Lines of two nets that meet are not joined: the horizontal one is broken.

mod layers;
mod nets;
#[cfg(test)]
mod tests;

use super::box_drawing::{DOWN, LEFT, RIGHT, UP, joint};
use super::theme::Glyphs;
use layers::{Item, Layers};
use nets::Nets;

/// Columns between a node and a line, and what an arrow takes.
const PAD: u16 = 1;
const ARROW: u16 = 2;

/// A node as the layout sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its columns.
    pub width: u16,
    /// Its rows; lines go in and out at the first.
    pub height: u16,
    /// The nodes it needs, by their place in the list. Those that would close a circle are ignored.
    pub needs: Vec<usize>,
}

/// Where everything is. Places count from 0 at the upper left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The place of each node: column and row.
    pub places: Vec<(u16, u16)>,
    /// The layer of each node, from 0.
    pub layers: Vec<usize>,
    /// The first column of each layer.
    pub columns: Vec<u16>,
    /// The cells of lines.
    pub cells: Vec<Cell>,
    /// Columns of the whole.
    pub width: u16,
    /// Rows of the whole.
    pub height: u16,
    /// What each node needs, without what is implied.
    pub needs: Vec<Vec<usize>>,
    /// Of each net the nodes that its lines come from, and the layer that they leave.
    pub nets: Vec<(Vec<usize>, usize)>,
}

/// A cell of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its column.
    pub x: u16,
    /// Its row.
    pub y: u16,
    /// Where the line goes on: [`UP`], [`DOWN`], [`LEFT`], [`RIGHT`].
    pub directions: u8,
    /// Whether it is the head of an arrow.
    pub head: bool,
    /// Which needs it stands for.
    pub part: Part,
}

/// Which needs a piece of line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything that needs this node and lies beyond this layer.
    From {
        /// The node that is needed.
        node: usize,
        /// The last layer that is not beyond.
        layer: usize,
    },
    /// Everything that this node needs and that comes through one net.
    To {
        /// The node that needs.
        node: usize,
    },
    /// Everything that leads through a net.
    Net {
        /// Its place in [`Layout::nets`].
        net: usize,
    },
}

impl Layout {
    /// Lays nodes out.
    #[must_use]
    pub fn new(nodes: &[Node]) -> Self {
        let layers = Layers::new(nodes);
        let (layers, nets) = nets::route(layers);
        Self::draw(nodes, &layers, &nets)
    }

    fn draw(nodes: &[Node], layers: &Layers, nets: &[Nets]) -> Self {
        let mut layout = Self { layers: layers.layer.clone(), needs: layers.needs.clone(), ..Self::default() };
        layout.places = vec![(0, 0); nodes.len()];
        let mut x = 0;
        for (number, layer) in layers.items.iter().enumerate() {
            let widths = layer.iter().filter_map(|item| item.node).map(|node| nodes[node].width);
            let width = widths.max().unwrap_or_default();
            layout.columns.push(x);
            for item in layer {
                match item.node {
                    Some(node) => layout.places[node] = (x, item.row),
                    None => layout.horizontal(x, x + width, item, number),
                }
            }
            let gap = nets.get(number).map_or(0, |nets| layout.gap(nodes, layers, number, x, width, nets));
            x += width + gap;
        }
        layout.width = layout.columns.last().map_or(0, |last| {
            let of_last = layers.items.last().into_iter().flatten().filter_map(|item| item.node);
            last + of_last.map(|node| nodes[node].width).max().unwrap_or_default()
        });
        let bottoms = nodes.iter().zip(&layout.places).map(|(node, (_, y))| y + node.height.max(1));
        let lines = layout.cells.iter().map(|cell| cell.y + 1);
        layout.height = bottoms.chain(lines).max().unwrap_or_default();
        layout
    }

    /// The line of a need that passes a layer.
    fn horizontal(&mut self, from: u16, to: u16, item: &Item, layer: usize) {
        let part = Part::From { node: item.source, layer };
        for x in from..to {
            self.cells.push(Cell { x, y: item.row, directions: LEFT | RIGHT, head: false, part });
        }
    }

    /// Draws what is between a layer and the next, and says how wide that is.
    fn gap(&mut self, nodes: &[Node], layers: &Layers, layer: usize, x: u16, width: u16, nets: &Nets) -> u16 {
        let (left, right) = (&layers.items[layer], &layers.items[layer + 1]);
        let tracks = nets.tracks;
        let gap = PAD + 1 + tracks + u16::from(tracks == 0) + ARROW + PAD;
        let first = x + width + PAD + 1;
        let end = x + width + gap;
        // Masks by place, so that pieces of one net join; whose they are is what came last, and heads win.
        let mut cells: std::collections::BTreeMap<(u16, u16), Cell> = std::collections::BTreeMap::new();
        let mut mark = |x: u16, y: u16, directions: u8, part: Part| {
            let cell = cells.entry((y, x)).or_insert(Cell { x, y, directions: 0, head: false, part });
            cell.directions |= directions;
        };
        for net in &nets.nets {
            let index = self.nets.len();
            self.nets.push((net.sources.iter().map(|source| left[*source].source).collect(), layer));
            let track = net.track.map(|track| first + track);
            for source in &net.sources {
                let item = &left[*source];
                let start = item.node.map_or(x + width, |node| x + nodes[node].width + PAD);
                let part = Part::From { node: item.source, layer };
                let stop = track.unwrap_or(end - PAD - 1);
                for x in start..stop {
                    mark(x, item.row, LEFT | RIGHT, part);
                }
                if let Some(track) = track {
                    mark(track, item.row, LEFT, part);
                }
            }
            for target in &net.targets {
                let item = &right[*target];
                let part = match item.node {
                    Some(node) => Part::To { node },
                    None => Part::From { node: item.source, layer: layer + 1 },
                };
                // A line that goes on needs no head, and no space after it.
                let stop = if item.node.is_some() { end - PAD } else { end };
                let start = track.map_or(end - PAD - 1, |track| track + 1);
                for x in start..stop {
                    mark(x, item.row, LEFT | RIGHT, part);
                }
                if let Some(track) = track {
                    mark(track, item.row, RIGHT, part);
                }
            }
            if let (Some(track), Some((top, bottom))) = (track, net.rows(left, right)) {
                for y in top..=bottom {
                    let up = if y > top { UP } else { 0 };
                    let down = if y < bottom { DOWN } else { 0 };
                    mark(track, y, up | down, Part::Net { net: index });
                }
            }
        }
        // Where a vertical line meets a row that is none of its own net's, the row is broken.
        for net in &nets.nets {
            let (Some(track), Some((top, bottom))) = (net.track, net.rows(left, right)) else { continue };
            for y in top + 1..bottom {
                if !net.touches(y, left, right)
                    && let Some(cell) = cells.get_mut(&(y, first + track))
                {
                    cell.directions = UP | DOWN;
                }
            }
        }
        for target in right.iter().filter(|item| item.node.is_some()) {
            if let Some(cell) = cells.get_mut(&(target.row, end - PAD - 1)) {
                cell.head = true;
            }
        }
        self.cells.extend(cells.into_values());
        gap
    }
}

impl Layout {
    /// Whether a cell belongs to one of these needs, each a pair of who is needed and who needs it.
    #[must_use]
    pub fn is_lit(&self, cell: &Cell, lit: &[(usize, usize)]) -> bool {
        lit.iter().any(|(from, to)| match cell.part {
            Part::From { node, layer } => *from == node && self.layers[*to] > layer,
            Part::To { node } => *to == node,
            Part::Net { net } => {
                let (sources, layer) = &self.nets[net];
                sources.contains(from) && self.layers[*to] > *layer
            }
        })
    }
}

/// The sign of a cell.
#[must_use]
pub fn sign(cell: &Cell, glyphs: Glyphs) -> &'static str {
    match (cell.head, glyphs) {
        (true, Glyphs::Ascii) => ">",
        (true, Glyphs::Unicode) => "▶",
        (false, glyphs) => joint(cell.directions, glyphs),
    }
}
