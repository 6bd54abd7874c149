//! The graph of jobs and their needs, drawn from left to right on a grid of cells.
//!
//! [`Layout::new`] is a pure function of the structure. It takes the size and the needs of each node, and returns the
//! positions of nodes and lines; the appearance of nodes and highlighted lines is decided when they are drawn. So a
//! change of status moves nothing unless it changes the size of a node.
//!
//! Needs that other needs imply are left out (the transitive reduction). The layer of a job is the length of the
//! longest path from a job without needs, or further right if that shortens lines; a line over several layers passes
//! through the layers between on a separate row. Between two layers, all sources with the same targets share one
//! vertical line. Such a group is called a *net*, the term for connected pins in circuit routing: everything on its
//! left leads to everything on its right. Where lines of two nets cross, the horizontal one is interrupted.

mod layers;
mod nets;
#[cfg(test)]
mod tests;

use super::box_drawing::{DOWN, LEFT, RIGHT, UP, joint};
use super::theme::Glyphs;
use layers::{Item, Layers};
use nets::Nets;

/// Columns between a node and a line, and columns of an arrow.
const PAD: u16 = 1;
const ARROW: u16 = 2;

/// Maximum sum of the widths of all layers in columns, without the gaps between them.
const MAX_WIDTH: u16 = 30_000;

/// A node, as input of the layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Width in columns.
    pub width: u16,
    /// Height in rows; lines connect to the first row.
    pub height: u16,
    /// Indexes of the nodes that it needs. Needs that would form a cycle are ignored.
    pub needs: Vec<usize>,
}

/// Positions of nodes and lines, from 0 at the upper left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Position of each node: column and row.
    pub places: Vec<(u16, u16)>,
    /// Layer of each node, from 0.
    pub layers: Vec<usize>,
    /// First column of each layer.
    pub columns: Vec<u16>,
    /// Cells of the lines.
    pub cells: Vec<Cell>,
    /// Total number of columns.
    pub width: u16,
    /// Total number of rows.
    pub height: u16,
    /// Needs of each node, without those that other needs imply.
    pub needs: Vec<Vec<usize>>,
    /// Sources of each net, and the layer that they are in.
    pub nets: Vec<(Vec<usize>, usize)>,
}

/// A cell of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Column of the cell.
    pub x: u16,
    /// Row of the cell.
    pub y: u16,
    /// Directions in which the line continues: [`UP`], [`DOWN`], [`LEFT`], [`RIGHT`].
    pub directions: u8,
    /// Whether the cell is an arrow head.
    pub head: bool,
    /// The needs that the cell represents.
    pub part: Part,
}

/// The needs that a piece of line represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All needs for `node` by nodes to the right of `layer`.
    From {
        /// The needed node.
        node: usize,
        /// The layer.
        layer: usize,
    },
    /// All needs of a node through one net.
    To {
        /// The node with the needs.
        node: usize,
    },
    /// All needs through a net.
    Net {
        /// Index in [`Layout::nets`].
        net: usize,
    },
}

impl Layout {
    /// Computes the layout.
    #[must_use]
    pub fn new(nodes: &[Node]) -> Self {
        let layers = Layers::new(nodes);
        let (layers, nets) = nets::route(layers);
        // Names and chains of jobs may be of any length, but the total width of all layers must fit into a `u16`.
        let most = MAX_WIDTH / u16::try_from(layers.items.len()).unwrap_or(MAX_WIDTH).max(1);
        let nodes: Vec<Node> =
            nodes.iter().map(|node| Node { width: node.width.min(most.max(1)), ..node.clone() }).collect();
        Self::draw(&nodes, &layers, &nets)
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

    /// Draws the horizontal line of an item that passes through a layer.
    fn horizontal(&mut self, from: u16, to: u16, item: &Item, layer: usize) {
        let part = Part::From { node: item.source, layer };
        for x in from..to {
            self.cells.push(Cell { x, y: item.row, directions: LEFT | RIGHT, head: false, part });
        }
    }

    /// Draws the lines between a layer and the next. Returns the width of the gap between the layers.
    fn gap(&mut self, nodes: &[Node], layers: &Layers, layer: usize, x: u16, width: u16, nets: &Nets) -> u16 {
        let (left, right) = (&layers.items[layer], &layers.items[layer + 1]);
        let tracks = nets.tracks;
        let gap = PAD + 1 + tracks + u16::from(tracks == 0) + ARROW + PAD;
        let first = x + width + PAD + 1;
        let end = x + width + gap;
        // The cells by position, with the directions of all pieces in a cell, so that pieces of one net join. The first
        // piece in a cell determines its part.
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
                // A line that passes through needs neither a head nor space after it.
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
        // Where a vertical line crosses a row of another net, the row is interrupted.
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
    /// Whether a cell belongs to one of these needs, given as pairs of needed node and dependant.
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

/// Returns the character of a cell.
#[must_use]
pub fn sign(cell: &Cell, glyphs: Glyphs) -> &'static str {
    match (cell.head, glyphs) {
        (true, Glyphs::Ascii) => ">",
        (true, Glyphs::Unicode) => "▶",
        (false, glyphs) => joint(cell.directions, glyphs),
    }
}
