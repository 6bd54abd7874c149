//! Panel 2, Graph: the jobs of the selected run as a graph of their needs.
//!
//! The layout is cached until the nodes or the size of the pane change. Most changes of a job's state only change
//! colours, but failed jobs and reviews add rows to a node. The node of the job selected in the Jobs pane is selected:
//! everything connected to it is highlighted, and the rest is dimmed.
//!
//! For a deployment, the pane shows the steps of the plan and the traffic of both slots instead, see [`rollout`].

mod draw;
mod groups;
mod paths;
mod rollout;
mod tree;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::selection::{JobSelection, Selection};
use crate::model::{JobId, Run};
use crate::ui::frame::Scroll;
use crate::ui::graph::{Gaps, Layout, Node, Routes};
use crate::ui::text;

use super::list::filter_chip;
use super::{Cx, Pane, keep_visible, motion};
pub use draw::picture;
use groups::{Group, groups, with_siblings};

/// Minimum width of the graph in columns. A narrower pane shows the jobs as an indented list. On a screen of 100
/// columns, the pane is wider than this.
const GRAPH_FROM: u16 = 56;

/// Columns left free on both sides.
const MARGIN: u16 = 1;

/// Width of a time after a name, in columns.
const TIME: u16 = 6;

/// Maximum width of a name in columns.
const MAX_NAME: u16 = 200;

/// Maximum widths of names in columns and the gaps between the nodes, tried one after the other until the graph fits.
pub(super) const SHORTER: [(u16, Gaps); 9] = [
    (60, Gaps::Wide),
    (36, Gaps::Wide),
    (26, Gaps::Wide),
    (19, Gaps::Wide),
    (14, Gaps::Wide),
    (10, Gaps::Wide),
    (10, Gaps::Narrow),
    (6, Gaps::Wide),
    (6, Gaps::Narrow),
];

/// Maximum widths of names in columns below the glyphs.
const BELOW: [u16; 5] = [10, 8, 6, 4, 3];

/// Maximum number of nodes of a graph that is still shown in full after a job has failed.
const MANY: usize = 100;

/// Detail of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Detail {
    /// Glyph, name, counts and time.
    #[default]
    Full,
    /// Glyph, and this many columns of the name, with these gaps between the nodes.
    Short(u16, Gaps),
    /// Glyph, and this many columns of the name below it. The edges are above the names.
    Below(u16),
    /// The glyph alone.
    Glyph,
}

impl Detail {
    /// Returns all details, the most first.
    fn all() -> impl Iterator<Item = Self> {
        let short = SHORTER.into_iter().map(|(columns, gaps)| Self::Short(columns, gaps));
        let below = BELOW.into_iter().map(Self::Below);
        std::iter::once(Self::Full).chain(short).chain(below).chain([Self::Glyph])
    }

    fn gaps(self) -> Gaps {
        match self {
            Self::Full | Self::Glyph => Gaps::Wide,
            Self::Short(_, gaps) => gaps,
            Self::Below(_) => Gaps::Joined,
        }
    }

    /// Returns the position of a name relative to its glyph.
    fn name(self) -> (u16, u16) {
        if let Self::Below(_) = self { (0, 1) } else { (2, 0) }
    }
}

/// Input of a layout: all nodes in full detail, the same nodes with siblings joined, and the available columns and
/// rows.
type Shape = (Vec<Node>, Option<Vec<Node>>, (u16, u16));

/// The view of the graph.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Graph {
    filter: String,
    offset: (u16, u16),
    unfolded: bool,
    /// Whether the user wants only failed nodes; `None` before the user has chosen, while the number of nodes decides.
    failed_only: Option<bool>,
    /// Whether the critical path is highlighted instead of the nodes connected to the selected job.
    critical: bool,
    /// All groups, including those that are not shown.
    all: Vec<Group>,
    /// Whether any group has failed.
    failed: bool,
    groups: Vec<Group>,
    /// Input of the current layout.
    shape: Shape,
    /// Whether siblings are joined into one node.
    siblings: bool,
    detail: Detail,
    nodes: Vec<Node>,
    layout: Layout,
    area: (u16, u16),
}

impl Pane for Graph {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        self.show(selection.run(cx.state), selection.job_id(), cx.size);
        Vec::new()
    }

    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection) {
        let Some(run) = selection.run(cx.state) else { return };
        match action {
            Action::Unfold => self.unfolded = !self.unfolded,
            Action::FailedOnly => self.failed_only = Some(!self.wants_failed_only()),
            Action::CriticalPath => self.critical = !self.critical,
            _ => {
                if let Some(job) = self.motion(action, run, selection.job_id(), cx.rows()) {
                    selection.select(JobSelection::whole(job));
                }
            }
        }
    }

    fn click(&mut self, column: usize, row: usize, cx: &Cx, selection: &mut Selection) {
        if let Some(job) = selection.run(cx.state).and_then(|run| self.job_at(column, row, run)) {
            selection.select(JobSelection::whole(job));
        }
    }

    fn filter(&mut self) -> Option<&mut String> {
        Some(&mut self.filter)
    }

    fn title(&self, cx: &Cx, selection: &Selection) -> Option<String> {
        rollout::job(selection.run(cx.state)?).map(|_| "Plan".to_owned())
    }

    /// Returns the name of the selected node if only glyphs fit, the filter, whether only failed nodes are shown, and
    /// the duration of the critical path.
    fn title_suffix(&self, cx: &Cx, selection: &Selection) -> String {
        let Some(run) = selection.run(cx.state) else { return String::new() };
        // If only glyphs fit, the border shows the name of the selected job.
        let named = self.index_of(selection.job_id()).filter(|_| self.detail == Detail::Glyph && !self.is_list());
        let failed_only = match (self.is_list(), self.wants_failed_only(), self.failed) {
            (false, true, true) => Some("failed only"),
            (false, true, false) => Some("failed only: nothing has failed"),
            _ => None,
        };
        let path = self.critical.then(|| paths::critical(&self.all, run, cx.state.now)).flatten();
        let parts = [
            named.map(|at| self.groups[at].name.clone()),
            filter_chip(&self.filter),
            failed_only.map(str::to_owned),
            path.map(|path| format!("critical path {}", text::duration(path.took))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(cx.theme.dot())
    }

    /// Returns the visible part of the list in a narrow pane. A graph has a map instead.
    fn scroll(&self, cx: &Cx, selection: &Selection) -> Option<Scroll> {
        let run = selection.run(cx.state).filter(|_| self.is_list())?;
        let all = tree::jobs(run, &self.filter).len();
        Some(Scroll { first: self.offset.1.into(), shown: cx.rows(), all })
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        self.draw_run(cx, selection.run(cx.state), selection.job_id(), area, buffer);
    }
}

impl Graph {
    /// Returns the job that a motion leads to; `None` if the action is not a motion.
    fn motion(&self, action: Action, run: &Run, selected: Option<&JobId>, rows: usize) -> Option<JobId> {
        if self.is_list() {
            let jobs = tree::jobs(run, &self.filter);
            let at = jobs.iter().position(|job| Some(job) == selected).unwrap_or_default();
            return jobs.get(motion(action, at, jobs.len(), rows)?).cloned();
        }
        let at = self.index_of(selected).unwrap_or_default();
        let to = self.neighbour(action, at)?;
        self.groups.get(to)?.job_of_row(0, run)
    }

    fn is_list(&self) -> bool {
        self.area.0 < GRAPH_FROM
    }

    fn index_of(&self, selected: Option<&JobId>) -> Option<usize> {
        self.groups.iter().position(|group| selected.is_some_and(|job| group.jobs.contains(job)))
    }

    /// Returns the node in a direction: left and right along an edge, else to the neighbouring layer, and up and down
    /// within the layer. Returns the same node if there is no other, and `None` if the action is not a motion.
    fn neighbour(&self, action: Action, at: usize) -> Option<usize> {
        let places = &self.layout.places;
        let (x, y) = *places.get(at)?;
        let nearest = |wanted: &dyn Fn(usize) -> bool| {
            (0..places.len()).filter(|node| wanted(*node)).min_by_key(|node| {
                let (column, row) = places[*node];
                (row.abs_diff(y), column.abs_diff(x))
            })
        };
        let layer = |node: usize| self.layout.layers[node];
        let found = match action {
            Action::Left => {
                let needs = &self.layout.needs[at];
                nearest(&|node| needs.contains(&node)).or_else(|| nearest(&|node| layer(node) + 1 == layer(at)))
            }
            Action::Right => {
                let dependants = |node: usize| self.layout.needs[node].contains(&at);
                nearest(&dependants).or_else(|| nearest(&|node| layer(node) == layer(at) + 1))
            }
            Action::Down => nearest(&|node| layer(node) == layer(at) && places[node].1 > y),
            Action::Up => nearest(&|node| layer(node) == layer(at) && places[node].1 < y),
            Action::Top => Some(0),
            Action::Bottom => places.len().checked_sub(1),
            _ => return None,
        };
        Some(found.unwrap_or(at))
    }

    /// Returns the job at a column and row of the pane; `None` if there is no node.
    fn job_at(&self, column: usize, row: usize, run: &Run) -> Option<JobId> {
        if self.is_list() {
            return tree::jobs(run, &self.filter).get(usize::from(self.offset.1) + row).cloned();
        }
        let (x, y) =
            (usize::from(self.offset.0) + column.checked_sub(MARGIN.into())?, usize::from(self.offset.1) + row);
        let hit = self.layout.places.iter().zip(&self.nodes).position(|((left, top), node)| {
            let (left, top) = (usize::from(*left), usize::from(*top));
            (left..left + usize::from(node.width)).contains(&x) && (top..top + usize::from(node.height)).contains(&y)
        })?;
        // The name may be in the row below the glyph.
        let name = usize::from(self.layout.places[hit].1 + self.detail.name().1);
        self.groups[hit].job_of_row(y.saturating_sub(name), run)
    }

    /// Updates the picture after a change of the run. `size` is the number of available columns and rows.
    fn show(&mut self, run: Option<&Run>, selected: Option<&JobId>, size: (u16, u16)) {
        let size = (size.0.saturating_sub(2 * MARGIN), size.1);
        self.area = size;
        let Some(run) = run else {
            let filter = std::mem::take(&mut self.filter);
            let (unfolded, failed_only, critical) = (self.unfolded, self.failed_only, self.critical);
            *self = Self { area: size, filter, unfolded, failed_only, critical, ..Self::default() };
            return;
        };
        if self.is_list() {
            let jobs = tree::jobs(run, &self.filter);
            let at = jobs.iter().position(|job| Some(job) == selected).unwrap_or_default();
            let first = keep_visible(usize::from(self.offset.1), at, jobs.len(), usize::from(size.1));
            self.offset = (0, first as u16);
            return;
        }
        self.groups = groups(run, !self.unfolded);
        self.all.clone_from(&self.groups);
        self.failed = self.groups.iter().any(|group| group.has_failed(run));
        if self.wants_failed_only() && self.failed {
            self.groups = paths::around(std::mem::take(&mut self.groups), |group| group.has_failed(run));
        }
        if !self.filter.is_empty() {
            let filter = self.filter.as_str();
            self.groups = paths::around(std::mem::take(&mut self.groups), |group| group.holds(filter, run));
        }
        self.lay_out(run);
        self.scroll(selected, size);
    }

    /// Updates the layout if the nodes have changed, with the most detail that fits. Siblings are joined into one node
    /// if the picture would otherwise be higher than the pane.
    fn lay_out(&mut self, run: &Run) {
        let folded = if self.unfolded { None } else { with_siblings(&self.groups) };
        let whole = |groups: &[Group]| groups.iter().map(|group| node(group, run, Detail::Full)).collect::<Vec<_>>();
        let shape = (whole(&self.groups), folded.as_deref().map(whole), self.area);
        if shape != self.shape {
            self.shape = shape;
            self.draw_nodes(run);
            self.siblings = folded.is_some() && self.layout.height > self.area.1;
            if let Some(folded) = folded.filter(|_| self.siblings) {
                self.groups = folded;
                self.draw_nodes(run);
            }
        } else if let Some(folded) = folded.filter(|_| self.siblings) {
            self.groups = folded;
        }
    }

    /// Computes the layout with the most detail that fits. If none fits, every node is a glyph.
    fn draw_nodes(&mut self, run: &Run) {
        let mut routed: Option<(Vec<u16>, Routes)> = None;
        for detail in Detail::all() {
            self.detail = detail;
            self.nodes = self.groups.iter().map(|group| node(group, run, detail)).collect();
            // Most details differ only in widths, which the routes do not depend on.
            let heights: Vec<u16> = self.nodes.iter().map(|node| node.height).collect();
            let (_, routes) = match routed.take() {
                Some(same) if same.0 == heights => routed.insert(same),
                _ => routed.insert((heights, Routes::new(&self.nodes))),
            };
            self.layout = routes.layout(&self.nodes, detail.gaps());
            if self.layout.width <= self.area.0 {
                return;
            }
        }
    }

    /// Returns address and length of the layout, to test that it is reused while the nodes stay the same.
    #[cfg(test)]
    pub(in crate::app) fn layouts(&self) -> (*const (u16, u16), usize) {
        (self.layout.places.as_ptr(), self.layout.places.len())
    }

    /// Whether only failed nodes are shown, with the nodes that lead to them or that they block. The user's choice
    /// decides; by default, this is the case for a large graph with failures.
    fn wants_failed_only(&self) -> bool {
        self.failed_only.unwrap_or(self.all.len() > MANY && self.failed)
    }

    fn scroll(&mut self, selected: Option<&JobId>, size: (u16, u16)) {
        let height = self.picture_height(size);
        let Some(at) = self.index_of(selected) else {
            self.offset = (0, 0);
            return;
        };
        let ((x, y), node) = (self.layout.places[at], &self.nodes[at]);
        let visible = |offset: u16, first: u16, length: u16, room: u16, all: u16| {
            let last = first + length.min(room).saturating_sub(1);
            let offset = keep_visible(usize::from(offset), usize::from(last), usize::from(all), usize::from(room));
            keep_visible(offset, usize::from(first), usize::from(all), usize::from(room)) as u16
        };
        self.offset = (
            visible(self.offset.0, x, node.width, size.0, self.layout.width),
            visible(self.offset.1, y, node.height, height, self.layout.height),
        );
    }

    /// Returns the number of rows for the picture. If the picture is larger than the pane, the last row is for the map.
    fn picture_height(&self, size: (u16, u16)) -> u16 {
        let larger = self.layout.width > size.0 || self.layout.height > size.1;
        if larger { size.1.saturating_sub(1).max(1) } else { size.1 }
    }
}

/// Returns the node of a group. Its size depends on names and numbers of jobs and not on their states, except that
/// failed members and reviewers are listed.
fn node(group: &Group, run: &Run, detail: Detail) -> Node {
    let needs = group.needs.clone();
    let name = text::columns(&group.name).min(MAX_NAME);
    let (wrong, more) = group.wrong(run);
    let review = group.review(run).map(|row| text::columns(&row).min(MAX_NAME) + 2);
    let height = 1 + wrong.len() as u16 + u16::from(more > 0) + u16::from(review.is_some());
    let members =
        wrong.iter().map(|job| text::columns(&job.name).min(MAX_NAME) + 4).chain(review).max().unwrap_or_default();
    let many = if group.folded { counted(group.members(run).len()) } else { 0 };
    match detail {
        Detail::Full => Node { width: (2 + name + many + TIME).max(members), height, needs },
        Detail::Short(columns, _) => {
            let own = 2 + name.min(columns) + if group.folded { times(group.members(run).len()) } else { 0 };
            Node { width: own.max(members.min(4 + columns)), height, needs }
        }
        Detail::Below(columns) => {
            let own = name.min(columns) + if group.folded { times(group.members(run).len()) } else { 0 };
            Node { width: own.max(members.min(columns)).max(2), height: height + 1, needs }
        }
        Detail::Glyph => Node { width: 1, height: 1, needs },
    }
}

/// Returns the width of ` ×12 11✓1✗` in columns: the number of members, and how many of them are in each state.
fn counted(members: usize) -> u16 {
    times(members) + 1 + 2 * (members.to_string().len() as u16 + 1)
}

/// Returns the width of ` ×12` in columns.
fn times(members: usize) -> u16 {
    2 + members.to_string().len() as u16
}
