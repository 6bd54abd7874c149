//! 2 Graph: who needs whom in the selected run, drawn with its lines.
//!
//! Where things are depends on structure alone and is kept until that changes; states only colour it. What is selected
//! among the jobs is selected here: all that it needs and all that needs it is lit, and the rest is dim.

mod draw;
mod groups;
mod paths;
mod tree;

use crate::app::action::Action;
use crate::model::{JobId, Run, Timestamp};
use crate::ui::graph::{Layout, Node};
use crate::ui::text;
use crate::ui::theme::Theme;

use super::{chip, keep_visible, motion};
pub use draw::picture;
use groups::{Group, groups, with_siblings};

/// In fewer columns than these jobs are a list, indented by what they need: a pane of a screen of 100 columns has more.
const DRAWN_FROM: u16 = 56;

/// Columns left free on both sides.
const MARGIN: u16 = 1;

/// Columns that a time takes behind a name.
const TIME: u16 = 6;

/// Columns that names are made shorter to, one after the other, until all fits.
const SHORTER: [u16; 7] = [60, 36, 26, 19, 14, 10, 6];

/// A graph of more nodes than these shows only what failed, once something has.
const MANY: usize = 100;

/// How much of a node is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Detail {
    /// Sign, name, counts and time.
    #[default]
    Whole,
    /// Sign, and as many columns of the name.
    Short(u16),
    /// The sign alone.
    Sign,
}

/// What a layout is made for: all nodes written whole, the same with siblings in one, and the room there is.
type Shape = (Vec<Node>, Option<Vec<Node>>, (u16, u16));

/// The view of the graph.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Words that a job must have to be shown; where it is drawn, with what leads to it and what it holds back.
    pub filter: String,
    offset: (u16, u16),
    unfolded: bool,
    /// Whether only what failed is shown; a large graph decides for itself until somebody says so.
    failed_only: Option<bool>,
    /// Whether the critical path is lit instead of what is connected to the selected job.
    critical: bool,
    /// All groups, those left out included.
    all: Vec<Group>,
    /// Whether one of them has failed.
    failed: bool,
    groups: Vec<Group>,
    /// What the layout was made for.
    shape: Shape,
    /// Whether siblings stand in one node.
    siblings: bool,
    detail: Detail,
    nodes: Vec<Node>,
    layout: Layout,
    area: (u16, u16),
}

impl Graph {
    /// The job to select instead.
    pub(in crate::app) fn act(
        &mut self,
        action: Action,
        run: &Run,
        selected: Option<&JobId>,
        height: usize,
    ) -> Option<JobId> {
        match action {
            Action::Unfold => self.unfolded = !self.unfolded,
            Action::FailedOnly => self.failed_only = Some(!self.wants_failed_only()),
            Action::CriticalPath => self.critical = !self.critical,
            _ => {}
        }
        if self.is_list() {
            let jobs = tree::jobs(run, &self.filter);
            let at = jobs.iter().position(|job| Some(job) == selected).unwrap_or_default();
            return jobs.get(motion(action, at, jobs.len(), height)?).cloned();
        }
        let at = self.place_of(selected).unwrap_or_default();
        let to = self.neighbour(action, at)?;
        self.groups.get(to)?.jobs.first().cloned()
    }

    fn is_list(&self) -> bool {
        self.area.0 < DRAWN_FROM
    }

    fn place_of(&self, selected: Option<&JobId>) -> Option<usize> {
        self.groups.iter().position(|group| selected.is_some_and(|job| group.jobs.contains(job)))
    }

    /// The node in a direction: along the lines to the left and right, among its layer up and down.
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

    /// The job at a place of the pane.
    pub(in crate::app) fn click(&self, column: usize, row: usize, run: &Run) -> Option<JobId> {
        if self.is_list() {
            return tree::jobs(run, &self.filter).get(usize::from(self.offset.1) + row).cloned();
        }
        let (x, y) =
            (usize::from(self.offset.0) + column.checked_sub(MARGIN.into())?, usize::from(self.offset.1) + row);
        let hit = self.layout.places.iter().zip(&self.nodes).position(|((left, top), node)| {
            let (left, top) = (usize::from(*left), usize::from(*top));
            (left..left + usize::from(node.width)).contains(&x) && (top..top + usize::from(node.height)).contains(&y)
        })?;
        self.groups[hit].jobs.first().cloned()
    }

    /// Brings the picture in line with what is known. `size` is the room there is.
    pub(in crate::app) fn settle(&mut self, run: Option<&Run>, selected: Option<&JobId>, size: (u16, u16)) {
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

    /// Lays the nodes out anew if they have changed, with as much written in each as there is room for. Siblings stand in one
    /// node where the picture would be higher than the pane otherwise.
    fn lay_out(&mut self, run: &Run) {
        let folded = if self.unfolded { None } else { with_siblings(&self.groups) };
        let whole = |groups: &[Group]| groups.iter().map(|group| node(group, run, Detail::Whole)).collect::<Vec<_>>();
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

    /// Lays the groups out with as much written in each as fits.
    fn draw_nodes(&mut self, run: &Run) {
        let short = SHORTER.iter().map(|columns| Detail::Short(*columns));
        for detail in std::iter::once(Detail::Whole).chain(short).chain([Detail::Sign]) {
            self.detail = detail;
            self.nodes = self.groups.iter().map(|group| node(group, run, detail)).collect();
            self.layout = Layout::new(&self.nodes);
            if self.layout.width <= self.area.0 {
                return;
            }
        }
    }

    /// What the layout was made from, to see that it is made anew only when that changes.
    #[cfg(test)]
    pub(in crate::app) fn layouts(&self) -> (*const (u16, u16), usize) {
        (self.layout.places.as_ptr(), self.layout.places.len())
    }

    /// Whether only what failed is to be shown, with what led to it and what it holds back: as the user wants it, and otherwise
    /// where a large run has failures to look for.
    fn wants_failed_only(&self) -> bool {
        self.failed_only.unwrap_or(self.all.len() > MANY && self.failed)
    }

    /// What is left out, and how long the critical path took.
    pub(in crate::app) fn remark(&self, run: &Run, selected: Option<&JobId>, theme: Theme, now: Timestamp) -> String {
        // Where only signs fit, the selected one has its name here.
        let named = self.place_of(selected).filter(|_| self.detail == Detail::Sign && !self.is_list());
        let failed_only = match (self.is_list(), self.wants_failed_only(), self.failed) {
            (false, true, true) => Some("failed only"),
            (false, true, false) => Some("failed only: nothing has failed"),
            _ => None,
        };
        let path = self.critical.then(|| paths::critical(&self.all, run, now)).flatten();
        let told = [
            named.map(|at| self.groups[at].name.clone()),
            chip(&self.filter),
            failed_only.map(str::to_owned),
            path.map(|path| format!("critical path {}", text::duration(path.took))),
        ];
        told.into_iter().flatten().collect::<Vec<_>>().join(theme.dot())
    }

    fn scroll(&mut self, selected: Option<&JobId>, size: (u16, u16)) {
        let height = self.picture_height(size);
        let Some(at) = self.place_of(selected) else {
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

    /// Rows for the picture: the last one is for the map where the picture is larger than the pane.
    fn picture_height(&self, size: (u16, u16)) -> u16 {
        let larger = self.layout.width > size.0 || self.layout.height > size.1;
        if larger { size.1.saturating_sub(1).max(1) } else { size.1 }
    }
}

/// How large a group is drawn. It depends on names and numbers of jobs, and not on how they are, but for those that went
/// wrong, which are shown.
fn node(group: &Group, run: &Run, detail: Detail) -> Node {
    let needs = group.needs.clone();
    let name = text::width(&group.name) as u16;
    let (wrong, more) = group.wrong(run);
    let height = 1 + wrong.len() as u16 + u16::from(more > 0);
    let members = wrong.iter().map(|job| text::width(&job.name) as u16 + 4).max().unwrap_or_default();
    let many = if group.folded { counted(group.members(run).len()) } else { 0 };
    match detail {
        Detail::Whole => Node { width: (2 + name + many + TIME).max(members), height, needs },
        Detail::Short(columns) => {
            let own = 2 + name.min(columns) + if group.folded { times(group.members(run).len()) } else { 0 };
            Node { width: own.max(members.min(4 + columns)), height, needs }
        }
        Detail::Sign => Node { width: 1, height: 1, needs },
    }
}

/// Columns for ` ×12 11✓1✗`: the number of members, and how many of them are how.
fn counted(members: usize) -> u16 {
    times(members) + 1 + 2 * (members.to_string().len() as u16 + 1)
}

/// Columns for ` ×12`.
fn times(members: usize) -> u16 {
    2 + members.to_string().len() as u16
}
