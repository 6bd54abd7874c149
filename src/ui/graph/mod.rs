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

/// Maximum sum of the widths of all layers in columns, without the gaps between them.
const MAX_WIDTH: u16 = 30_000;

/// Columns of the gap between two layers, besides one for each vertical line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gaps {
    /// ` ─┬─▶ `.
    #[default]
    Wide,
    /// ` ┬▶ `.
    Narrow,
    /// `┬▶ `, and `▶ ` if nothing branches. For nodes whose first row has space for a line.
    Joined,
}

impl Gaps {
    /// Returns the number of free columns between a node and its line.
    #[must_use]
    pub fn pad(self) -> u16 {
        u16::from(self != Self::Joined)
    }

    /// Returns the number of columns from the first of a line to its first vertical line.
    fn lead(self) -> u16 {
        u16::from(self == Self::Wide)
    }

    /// Returns the number of columns of an arrow.
    fn arrow(self) -> u16 {
        if self == Self::Wide { 2 } else { 1 }
    }
}

/// Free columns between an arrow and its node.
const PAD: u16 = 1;

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
    /// Directions in which the line continues: [`UP`], [`DOWN`], [`LEFT`], [`RIGHT`]; none between two interruptions.
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

/// The order of the nodes and the routes of the lines. They depend on the needs and the heights of the nodes, but not on
/// their widths.
#[derive(Debug)]
pub struct Routes {
    layers: Layers,
    nets: Vec<Nets>,
}

impl Routes {
    /// Computes the routes.
    #[must_use]
    pub fn new(nodes: &[Node]) -> Self {
        let (layers, nets) = nets::route(Layers::new(nodes));
        Self { layers, nets }
    }

    /// Returns the layout of the nodes, which may have other widths than those that the routes were computed for.
    #[must_use]
    pub fn layout(&self, nodes: &[Node], gaps: Gaps) -> Layout {
        let Self { layers, nets } = self;
        // Names and chains of jobs may be of any length, but the total width of all layers must fit into a `u16`.
        let most = MAX_WIDTH / u16::try_from(layers.items.len()).unwrap_or(MAX_WIDTH).max(1);
        let nodes: Vec<Node> =
            nodes.iter().map(|node| Node { width: node.width.min(most.max(1)), ..node.clone() }).collect();
        Layout::draw(&nodes, gaps, layers, nets)
    }
}

impl Layout {
    /// Computes the layout.
    #[must_use]
    pub fn new(nodes: &[Node], gaps: Gaps) -> Self {
        Routes::new(nodes).layout(nodes, gaps)
    }

    fn draw(nodes: &[Node], gaps: Gaps, layers: &Layers, nets: &[Nets]) -> Self {
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
            x += width;
            x += nets.get(number).map_or(0, |nets| layout.gap(nodes, gaps, layers, (number, x), nets));
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

    /// Draws the lines between a layer, whose nodes end before the column `x`, and the next. Returns the width of the gap
    /// between them.
    fn gap(&mut self, nodes: &[Node], gaps: Gaps, layers: &Layers, (layer, x): (usize, u16), nets: &Nets) -> u16 {
        let first_net = self.nets.len();
        let left = &layers.items[layer];
        self.nets.extend(nets.nets.iter().map(|net| {
            let sources = net.sources.iter().map(|source| left[*source].source);
            (sources.collect(), layer)
        }));
        let (column, spread) = (self.columns[layer], 1);
        let mut gap = Gap { nodes, gaps, layers, layer, nets, first_net, column, x, pad: gaps.pad(), spread };
        let mut lines = gap.lines();
        if lines.interrupt() {
            // An interrupted line needs a column on both sides of what it crosses.
            (gap.gaps, gap.spread) = (Gaps::Wide, 2);
            lines = gap.lines();
            lines.interrupt();
        }
        self.cells.extend(lines.cells.into_iter().flatten());
        gap.width()
    }
}

/// The space between a layer and the next.
struct Gap<'l> {
    nodes: &'l [Node],
    gaps: Gaps,
    layers: &'l Layers,
    layer: usize,
    nets: &'l Nets,
    /// Index of the first net in [`Layout::nets`].
    first_net: usize,
    /// First column of the layer.
    column: u16,
    /// First column of the gap.
    x: u16,
    /// Free columns before the lines.
    pad: u16,
    /// Columns from one vertical line to the next.
    spread: u16,
}

impl Gap<'_> {
    fn width(&self) -> u16 {
        let straight = u16::from(self.gaps != Gaps::Joined);
        let tracks = self.nets.tracks.checked_sub(1).map_or(straight, |more| 1 + more * self.spread);
        self.pad + self.gaps.lead() + tracks + self.gaps.arrow() + PAD
    }

    /// Draws all lines. Those of one net join.
    fn lines(&self) -> Lines {
        let (left, right) = (&self.layers.items[self.layer], &self.layers.items[self.layer + 1]);
        let end = self.x + self.width();
        let bottom = left.iter().chain(right).map(|item| item.row + 1).max().unwrap_or_default();
        let mut lines = Lines::new(self.column, end - self.column, bottom);
        for (index, net) in (self.first_net..).zip(&self.nets.nets) {
            let track = net.track.map(|track| self.x + self.pad + self.gaps.lead() + track * self.spread);
            for source in &net.sources {
                let item = &left[*source];
                let start = item.node.map_or(self.x, |node| self.column + self.nodes[node].width + self.pad);
                let part = Part::From { node: item.source, layer: self.layer };
                for x in start..track.unwrap_or(end - PAD - 1) {
                    lines.mark(x, item.row, LEFT | RIGHT, part);
                }
                if let Some(track) = track {
                    lines.mark(track, item.row, LEFT, part);
                }
            }
            for target in &net.targets {
                let item = &right[*target];
                let part = match item.node {
                    Some(node) => Part::To { node },
                    None => Part::From { node: item.source, layer: self.layer + 1 },
                };
                // A line that passes through needs neither a head nor space after it.
                let stop = if item.node.is_some() { end - PAD } else { end };
                for x in track.map_or(end - PAD - 1, |track| track + 1)..stop {
                    lines.mark(x, item.row, LEFT | RIGHT, part);
                }
                if let Some(track) = track {
                    lines.mark(track, item.row, RIGHT, part);
                }
                if item.node.is_some() {
                    lines.head(end - PAD - 1, item.row);
                }
            }
            if let (Some(track), Some((top, bottom))) = (track, net.rows(left, right)) {
                for y in top..=bottom {
                    let up = if y > top { UP } else { 0 };
                    let down = if y < bottom { DOWN } else { 0 };
                    lines.mark(track, y, up | down, Part::Net { net: index });
                    if !net.touches(y, left, right) {
                        lines.passed.push((track, y));
                    }
                }
            }
        }
        lines
    }
}

/// Lines between two layers.
struct Lines {
    /// First column.
    x: u16,
    /// Number of columns.
    width: u16,
    /// The cells of one row after the other, with the directions of all pieces in a cell. The first piece in a cell
    /// determines its part.
    cells: Vec<Option<Cell>>,
    /// Columns and rows where a vertical line passes, and nothing of its net starts or ends.
    passed: Vec<(u16, u16)>,
}

impl Lines {
    fn new(x: u16, width: u16, rows: u16) -> Self {
        Self { x, width, cells: vec![None; usize::from(width) * usize::from(rows)], passed: Vec::new() }
    }

    fn at(&mut self, x: u16, y: u16) -> Option<&mut Option<Cell>> {
        let column = x.checked_sub(self.x).filter(|column| *column < self.width)?;
        self.cells.get_mut(usize::from(y) * usize::from(self.width) + usize::from(column))
    }

    fn mark(&mut self, x: u16, y: u16, directions: u8, part: Part) {
        if let Some(cell) = self.at(x, y) {
            cell.get_or_insert(Cell { x, y, directions: 0, head: false, part }).directions |= directions;
        }
    }

    fn head(&mut self, x: u16, y: u16) {
        if let Some(Some(cell)) = self.at(x, y) {
            cell.head = true;
        }
    }

    /// Interrupts horizontal lines where the vertical line of another net passes, and returns whether there are any. So
    /// a crossing does not look like a joint.
    fn interrupt(&mut self) -> bool {
        let mut found = false;
        for (x, y) in std::mem::take(&mut self.passed) {
            let Some(Some(cell)) = self.at(x, y) else { continue };
            if cell.directions & (LEFT | RIGHT) == 0 {
                continue;
            }
            cell.directions = UP | DOWN;
            found = true;
            for (x, side) in [(x.saturating_sub(1), RIGHT), (x + 1, LEFT)] {
                if let Some(Some(cell)) = self.at(x, y)
                    && cell.directions & (UP | DOWN) == 0
                {
                    cell.directions &= !side;
                }
            }
        }
        found
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
    match (cell.head, cell.directions, glyphs) {
        (true, _, Glyphs::Ascii) => ">",
        (true, _, Glyphs::Unicode) => "▶",
        // Half a line or none is drawn beside a line that crosses.
        (false, 0, _) | (false, LEFT | RIGHT, Glyphs::Ascii) => " ",
        (false, LEFT, Glyphs::Unicode) => "╴",
        (false, RIGHT, Glyphs::Unicode) => "╶",
        (false, directions, glyphs) => joint(directions, glyphs),
    }
}
