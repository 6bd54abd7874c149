//! 2 Graph: who needs whom in the selected run, drawn with its lines.
//!
//! Where things are depends on structure alone and is kept until that changes; states only colour it. What is selected
//! among the jobs is selected here: all that it needs and all that needs it is lit, and the rest is dim.

mod groups;
mod indented;

use std::collections::HashSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::action::Action;
use crate::model::{Conclusion, Job, JobId, Phase, Run};
use crate::ui::graph::{self as drawing, Layout, Node};
use crate::ui::text;
use crate::ui::theme::{Glyphs, Hue};

use super::{Cx, empty, keep_visible, motion};
use groups::{Group, groups};

/// In fewer columns than these jobs are a list, indented by what they need: a pane of a screen of 100 columns has more.
const DRAWN_FROM: u16 = 56;

/// Columns left free on both sides.
const MARGIN: u16 = 1;

/// Columns that a time takes behind a name.
const TIME: u16 = 6;

/// Columns of a name that was made short.
const SHORT: usize = 12;

/// How much of a node is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Detail {
    /// Sign, name, counts and time.
    #[default]
    Whole,
    /// Sign and the beginning of the name.
    Short,
    /// The sign alone.
    Sign,
}

/// The view of the graph.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    offset: (u16, u16),
    unfolded: bool,
    failed_only: bool,
    detail: Detail,
    groups: Vec<Group>,
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
            Action::FailedOnly => self.failed_only = !self.failed_only,
            _ => {}
        }
        if self.is_list() {
            let jobs = indented::jobs(run);
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
            return indented::jobs(run).get(usize::from(self.offset.1) + row).cloned();
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
            *self = Self { area: size, unfolded: self.unfolded, failed_only: self.failed_only, ..Self::default() };
            return;
        };
        if self.is_list() {
            let jobs = indented::jobs(run);
            let at = jobs.iter().position(|job| Some(job) == selected).unwrap_or_default();
            let first = keep_visible(usize::from(self.offset.1), at, jobs.len(), usize::from(size.1));
            self.offset = (0, first as u16);
            return;
        }
        self.groups = groups(run, !self.unfolded);
        if self.failed_only {
            self.keep_failed(run);
        }
        for detail in [Detail::Whole, Detail::Short, Detail::Sign] {
            let nodes: Vec<Node> = self.groups.iter().map(|group| node(group, run, detail)).collect();
            if nodes != self.nodes || detail != self.detail {
                self.layout = Layout::new(&nodes);
                (self.nodes, self.detail) = (nodes, detail);
            }
            if self.layout.width <= size.0 {
                break;
            }
        }
        self.scroll(selected, size);
    }

    /// Leaves what failed, all that led to it, and all that it holds back.
    fn keep_failed(&mut self, run: &Run) {
        let bad = |group: &Group| {
            let end = group.phase(run).conclusion();
            end.is_some_and(|end| end.is_bad() && end != Conclusion::Cancelled)
        };
        let mut kept: HashSet<usize> = (0..self.groups.len()).filter(|place| bad(&self.groups[*place])).collect();
        if kept.is_empty() {
            return;
        }
        let failed = kept.clone();
        for place in failed {
            let (before, after) =
                reach(place, &self.groups.iter().map(|group| group.needs.clone()).collect::<Vec<_>>());
            kept.extend(before.into_iter().chain(after));
        }
        let mut moved = vec![None; self.groups.len()];
        for (next, place) in (0..self.groups.len()).filter(|place| kept.contains(place)).enumerate() {
            moved[place] = Some(next);
        }
        let groups = std::mem::take(&mut self.groups).into_iter().enumerate();
        self.groups = groups
            .filter(|(place, _)| kept.contains(place))
            .map(|(_, group)| Group { needs: group.needs.iter().filter_map(|need| moved[*need]).collect(), ..group })
            .collect();
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

    pub(in crate::app) fn draw(
        &self,
        cx: &Cx,
        run: Option<&Run>,
        selected: Option<&JobId>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let Some(run) = run.filter(|run| !run.jobs.is_empty()) else {
            return empty("no jobs are planned yet", cx, area, buffer);
        };
        if self.is_list() {
            return indented::draw(usize::from(self.offset.1), cx, run, selected, area, buffer);
        }
        let height = self.picture_height((area.width.saturating_sub(2 * MARGIN), area.height));
        let picture = Rect { x: area.x + MARGIN, width: area.width.saturating_sub(2 * MARGIN), height, ..area };
        let at = self.place_of(selected).filter(|_| cx.focused);
        let (before, after) = at.map(|at| reach(at, &self.layout.needs)).unwrap_or_default();
        let is_lit = |node: usize| at.is_none_or(|at| at == node || before.contains(&node) || after.contains(&node));
        let lit: Vec<(usize, usize)> = match at {
            None => Vec::new(),
            Some(at) => {
                let in_line = |set: &HashSet<usize>, node: usize| node == at || set.contains(&node);
                let needs = self.layout.needs.iter().enumerate();
                let pairs = needs.flat_map(|(to, needs)| needs.iter().map(move |from| (*from, to)));
                pairs
                    .filter(|(from, to)| {
                        (in_line(&before, *from) && in_line(&before, *to))
                            || (in_line(&after, *from) && in_line(&after, *to))
                    })
                    .collect()
            }
        };
        let dim = cx.theme.style(Hue::Dim);
        let mut pen = Pen { picture, offset: self.offset, buffer: &mut *buffer };
        for cell in &self.layout.cells {
            let style = if at.is_some() && !self.layout.is_lit(cell, &lit) { dim } else { Style::new() };
            pen.put((cell.x, cell.y), 1, drawing::sign(cell, cx.theme.glyphs), style);
        }
        for place in 0..self.groups.len() {
            self.group(cx, run, place, (at == Some(place), is_lit(place)), &mut pen);
        }
        if height < area.height {
            self.map(cx, run, Rect { y: area.y + height, height: 1, ..area }, buffer);
        }
    }

    fn group(&self, cx: &Cx, run: &Run, place: usize, (selected, lit): (bool, bool), pen: &mut Pen) {
        let ((x, y), node, group) = (self.layout.places[place], &self.nodes[place], &self.groups[place]);
        let phase = group.phase(run);
        let fade = if lit { Style::new() } else { cx.theme.style(Hue::Dim) };
        let own = if lit { cx.theme.phase(&phase) } else { fade };
        pen.put((x, y), 1, cx.theme.lamp(&phase, cx.facts.now.0), own);
        if self.detail == Detail::Sign {
            if selected {
                pen.restyle((x, y), node.width, cx.theme.selected());
            }
            return;
        }
        let label = label(group, run, self.detail, cx);
        let label = text::clip(&label, usize::from(node.width.saturating_sub(2)), cx.theme.ellipsis());
        pen.put((x + 2, y), node.width - 2, &label, fade);
        // What is left of the room for a time belongs to the line that goes on.
        let end = x + 2 + text::width(&label) as u16;
        let goes_on = self.layout.needs.iter().any(|needs| needs.contains(&place));
        if goes_on && end + 1 < x + node.width + 1 {
            let line = if cx.theme.glyphs == Glyphs::Ascii { "-" } else { "─" };
            for column in end + 1..=x + node.width {
                pen.put((column, y), 1, line, fade);
            }
        }
        if selected {
            pen.restyle((x, y), 2 + text::width(&label) as u16, cx.theme.selected());
        }
        let (wrong, more) = group.wrong(run);
        for (row, job) in (y + 1..).zip(&wrong) {
            pen.put((x + 2, row), 1, cx.theme.look(&job.phase).glyph, cx.theme.phase(&job.phase));
            let name = text::clip(&job.name, usize::from(node.width.saturating_sub(4)), cx.theme.ellipsis());
            pen.put((x + 4, row), node.width.saturating_sub(4), &name, fade);
        }
        if more > 0 {
            let text = format!("and {more} more");
            let row = y + 1 + wrong.len() as u16;
            pen.put((x + 4, row), node.width.saturating_sub(4), &text, cx.theme.style(Hue::Dim));
        }
    }

    /// A strip of the layers, each coloured by the worst in it, with what is shown between brackets.
    fn map(&self, cx: &Cx, run: &Run, area: Rect, buffer: &mut Buffer) {
        let shown = |layer: usize| {
            let first = self.layout.columns[layer];
            let last = self.layout.columns.get(layer + 1).map_or(self.layout.width, |next| next.saturating_sub(1));
            last > self.offset.0 && first < self.offset.0 + area.width
        };
        let mut x = area.x + 1;
        let mut open = false;
        for layer in 0..self.layout.columns.len() {
            if shown(layer) != open {
                open = !open;
                x = text::put(buffer, x, area.y, 1, if open { "[" } else { "]" }, Style::new());
            }
            let of_layer = self.groups.iter().enumerate().filter(|(place, _)| self.layout.layers[*place] == layer);
            let phases: Vec<_> = of_layer.map(|(_, group)| group.phase(run)).collect();
            let worst = phases.iter().max_by_key(|phase| match phase.conclusion() {
                Some(end) if end.is_bad() => 3,
                None if phase.is_active() => 2,
                None => 1,
                Some(_) => 0,
            });
            if let Some(phase) = worst {
                x = text::put(buffer, x, area.y, 1, cx.theme.look(phase).glyph, cx.theme.phase(phase));
            }
        }
        if open {
            x = text::put(buffer, x, area.y, 1, "]", Style::new());
        }
        let rows = format!(
            "  rows {}-{} of {}",
            self.offset.1 + 1,
            (self.offset.1 + self.picture_height(self.area)).min(self.layout.height),
            self.layout.height
        );
        text::put(buffer, x, area.y, area.right().saturating_sub(x), &rows, cx.theme.style(Hue::Dim));
    }
}

/// Draws in the coordinates of the whole picture, of which a part is in sight.
struct Pen<'a> {
    /// Where on the screen the picture is.
    picture: Rect,
    /// What of the picture is in the upper left corner.
    offset: (u16, u16),
    buffer: &'a mut Buffer,
}

impl Pen<'_> {
    /// Writes at a place of the picture, as far as that is in sight.
    fn put(&mut self, (x, y): (u16, u16), columns: u16, what: &str, style: Style) {
        let (picture, offset) = (self.picture, self.offset);
        let Some(row) = y.checked_sub(offset.1).filter(|row| *row < picture.height) else { return };
        if let Some(column) = x.checked_sub(offset.0) {
            if column < picture.width {
                let room = columns.min(picture.width - column);
                text::put(self.buffer, picture.x + column, picture.y + row, room, what, style);
            }
        } else {
            // It begins left of what is shown.
            let hidden = usize::from(offset.0 - x);
            let rest: String = what.chars().skip(hidden).collect();
            let room = columns.saturating_sub(hidden as u16).min(picture.width);
            text::put(self.buffer, picture.x, picture.y + row, room, &rest, style);
        }
    }

    fn restyle(&mut self, (x, y): (u16, u16), columns: u16, style: Style) {
        let (picture, offset) = (self.picture, self.offset);
        let left = x.saturating_sub(offset.0);
        let right = (x + columns).saturating_sub(offset.0).min(picture.width);
        if let Some(row) = y.checked_sub(offset.1).filter(|row| *row < picture.height) {
            let style = style.remove_modifier(Modifier::DIM);
            self.buffer.set_style(Rect::new(picture.x + left, picture.y + row, right.saturating_sub(left), 1), style);
        }
    }
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
        Detail::Short => Node { width: 2 + name.min(SHORT as u16) + many.min(4), height: 1, needs },
        Detail::Sign => Node { width: 1, height: 1, needs },
    }
}

/// Columns for ` ×12 11✓1✗`: the number of members, and how many of them are how.
fn counted(members: usize) -> u16 {
    let digits = members.to_string().len() as u16;
    3 + digits + 2 * (digits + 1)
}

/// What is written behind a group's sign.
fn label(group: &Group, run: &Run, detail: Detail, cx: &Cx) -> String {
    let members = group.members(run);
    let times = if cx.theme.glyphs == Glyphs::Ascii { "x" } else { "×" };
    let many = if group.folded { format!(" {times}{}", members.len()) } else { String::new() };
    if detail == Detail::Short {
        return format!("{}{many}", text::clip(&group.name, SHORT, cx.theme.ellipsis()));
    }
    let mut label = format!("{}{many}", group.name);
    if group.folded {
        let count = |wanted: &dyn Fn(&Job) -> bool| members.iter().filter(|job| wanted(job)).count();
        let good = count(&|job| job.phase.conclusion() == Some(Conclusion::Success) || job.allowed_failure);
        let bad = count(&|job| !job.allowed_failure && job.phase.conclusion().is_some_and(Conclusion::is_bad));
        let looks = [(good, Conclusion::Success), (bad, Conclusion::Failure)];
        let shown = looks.iter().filter(|(count, _)| *count > 0 && *count < members.len());
        for (place, (count, end)) in shown.enumerate() {
            let glyph = cx.theme.look(&Phase::Done(*end)).glyph;
            label = format!("{label}{}{count}{glyph}", if place == 0 { " " } else { "" });
        }
    }
    let started = members.iter().filter_map(|job| job.started).min();
    let ended =
        members.iter().map(|job| job.finished).collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max());
    let running = members.iter().any(|job| job.phase.is_active());
    match (started, ended) {
        (Some(started), Some(ended)) => format!("{label} {}", text::duration(ended.since(started))),
        (Some(started), None) if running => format!("{label} {}", text::duration(cx.facts.now.since(started))),
        _ => label,
    }
}
