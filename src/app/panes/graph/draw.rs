//! Draws the graph.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::{Conclusion, Job, JobId, Phase, Run, Timestamp};
use crate::ui::graph as drawing;
use crate::ui::text;
use crate::ui::theme::{Glyphs, Hue, Theme};

use super::groups::Group;
use super::paths;
use super::paths::Lit;
use super::{Detail, Graph, MARGIN, rollout, tree};
use crate::app::panes::{Cx, empty};
use crate::app::state::AppState;

impl Graph {
    pub(super) fn draw_run(
        &self,
        cx: &Cx,
        run: Option<&Run>,
        selected: Option<&JobId>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let Some(run) = run.filter(|run| !run.jobs.is_empty()) else {
            return empty("no jobs planned yet", cx, area, buffer);
        };
        if let Some(job) = rollout::job(run) {
            return rollout::draw(cx, run, job, area, buffer);
        }
        if self.is_list() {
            return tree::draw(usize::from(self.offset.1), &self.filter, cx, run, selected, area, buffer);
        }
        if self.groups.is_empty() {
            return empty("no job matches the filter", cx, area, buffer);
        }
        let height = self.picture_height((area.width.saturating_sub(2 * MARGIN), area.height));
        let picture = Rect { x: area.x + MARGIN, width: area.width.saturating_sub(2 * MARGIN), height, ..area };
        let at = self.index_of(selected).filter(|_| cx.focused);
        let lit = self.lit(run, at, cx.state.now);
        let dim = cx.theme.style(Hue::Dim);
        let mut pen = Pen { picture, offset: self.offset, buffer: &mut *buffer };
        for cell in &self.layout.cells {
            let is_lit = lit.as_ref().is_none_or(|lit| self.layout.is_lit(cell, &lit.needs));
            let style = if is_lit { Style::new() } else { dim };
            pen.put((cell.x, cell.y), 1, drawing::sign(cell, cx.theme.glyphs), style);
        }
        for (index, name) in names(&self.groups, self.detail, cx).iter().enumerate() {
            let is_found = self.filter.is_empty() || self.groups[index].holds(&self.filter, run);
            let is_lit = is_found && lit.as_ref().is_none_or(|lit| lit.nodes.contains(&index));
            self.group(cx, run, (index, name), (at == Some(index), is_lit), &mut pen);
        }
        if height < area.height {
            self.map(cx, run, Rect { y: area.y + height, height: 1, ..area }, buffer);
        }
    }

    /// Returns the highlighted nodes and edges: the critical path, or everything connected to the selected node. `None`
    /// if nothing is highlighted; then nothing is dimmed either.
    fn lit(&self, run: &Run, at: Option<usize>, now: Timestamp) -> Option<Lit> {
        if self.critical {
            // The path also leads through groups that are not shown.
            let shown = |node: usize| {
                let job = self.all[node].jobs.first()?;
                self.groups.iter().position(|group| group.jobs.contains(job))
            };
            return paths::critical(&self.all, run, now).map(|path| path.lit(shown));
        }
        at.map(|at| paths::through(at, &self.layout.needs))
    }

    fn group(&self, cx: &Cx, run: &Run, (index, name): (usize, &str), (selected, lit): (bool, bool), pen: &mut Pen) {
        let ((x, y), node, group) = (self.layout.places[index], &self.nodes[index], &self.groups[index]);
        let phase = group.phase(run);
        let fade = if lit { Style::new() } else { cx.theme.style(Hue::Dim) };
        // The glyph of the state keeps its colour in a dimmed node.
        pen.put((x, y), 1, cx.theme.lamp(&phase, cx.state.now.0), cx.theme.phase(&phase));
        if self.detail == Detail::Glyph {
            if selected {
                pen.restyle((x, y), node.width, cx.theme.selected());
            }
            return;
        }
        let (right, below) = self.detail.name();
        let room = node.width.saturating_sub(right);
        let label = label(group, name, run, self.detail, cx);
        let label = text::clip(&label, usize::from(room), cx.theme.ellipsis());
        pen.put((x + right, y + below), room, &label, fade);
        // The edge continues through columns that the first row of the node does not need.
        let end = if below == 0 { x + right + text::columns(&label) } else { x + 1 };
        let goes_on = self.layout.needs.iter().any(|needs| needs.contains(&index));
        if goes_on {
            let line = if cx.theme.glyphs == Glyphs::Ascii { "-" } else { "─" };
            for column in end + 1..x + node.width + self.detail.gaps().pad() {
                pen.put((column, y), 1, line, fade);
            }
        }
        if selected {
            pen.restyle((x, y), end - x, cx.theme.selected());
            pen.restyle((x + right, y + below), text::columns(&label), cx.theme.selected());
        }
        let (wrong, more) = group.wrong(run);
        let (first, indent) = (y + 1 + below, 4 - 2 * below);
        let room = node.width.saturating_sub(indent);
        let names: Vec<&str> = wrong.iter().map(|job| job.name.as_str()).collect();
        let names = text::clip_apart(&names, usize::from(room), cx.theme.ellipsis());
        for (row, (job, name)) in (first..).zip(wrong.iter().zip(&names)) {
            pen.put((x + indent - 2, row), 1, cx.theme.look(job.progress()).glyph, cx.theme.phase(job.progress()));
            pen.put((x + indent, row), room, name, fade);
        }
        if let Some(review) = group.review(run) {
            let room = node.width.saturating_sub(right);
            let shown = text::clip(&review, usize::from(room), cx.theme.ellipsis());
            pen.put((x + right, first), room, &shown, cx.theme.style(Hue::Review));
        }
        if more > 0 {
            let text = format!("and {more} more");
            pen.put((x + indent, first + wrong.len() as u16), room, &text, cx.theme.style(Hue::Dim));
        }
    }

    /// Draws one glyph for each layer, for the worst state in it, and the numbers of the visible rows. Brackets enclose
    /// the layers that are on the screen.
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
            let of_layer = self.groups.iter().enumerate().filter(|(index, _)| self.layout.layers[*index] == layer);
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

/// Returns a picture of a run's whole graph in the most detail that fits into this many columns. If there are too few
/// columns for a graph, the picture is a list. If the graph does not fit even as glyphs, the picture is wider.
#[must_use]
pub fn picture(run: &Run, theme: Theme, columns: u16) -> Buffer {
    let mut graph = Graph { failed_only: Some(false), ..Graph::default() };
    graph.show(Some(run), None, (columns, u16::MAX));
    let (width, height) = if graph.is_list() {
        (columns, run.jobs.len() as u16)
    } else {
        (graph.layout.width + 2 * MARGIN, graph.layout.height)
    };
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    let area = buffer.area;
    let cx = Cx { state: &AppState::default(), theme, focused: false, size: (columns, u16::MAX) };
    graph.draw_run(&cx, Some(run), None, area, &mut buffer);
    buffer
}

/// Draws in the coordinates of the whole picture and clips to its visible part.
struct Pen<'a> {
    /// Area of the screen that shows a part of the picture.
    picture: Rect,
    /// Column and row of the picture at the area's upper left corner.
    offset: (u16, u16),
    buffer: &'a mut Buffer,
}

impl Pen<'_> {
    /// Writes at a column and row of the picture, clipped to the area.
    fn put(&mut self, (x, y): (u16, u16), columns: u16, what: &str, style: Style) {
        let (picture, offset) = (self.picture, self.offset);
        let Some(row) = y.checked_sub(offset.1).filter(|row| *row < picture.height) else { return };
        if let Some(column) = x.checked_sub(offset.0) {
            if column < picture.width {
                let room = columns.min(picture.width - column);
                text::put(self.buffer, picture.x + column, picture.y + row, room, what, style);
            }
        } else {
            // The text starts left of the area.
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

/// Returns the names of the groups, clipped to the detail in a way that they can be told apart.
fn names(groups: &[Group], detail: Detail, cx: &Cx) -> Vec<String> {
    let whole = groups.iter().map(|group| group.name.as_str());
    match detail {
        Detail::Short(columns, _) | Detail::Below(columns) => {
            text::clip_apart(&whole.collect::<Vec<_>>(), usize::from(columns), cx.theme.ellipsis())
        }
        Detail::Full | Detail::Glyph => whole.map(str::to_owned).collect(),
    }
}

/// Returns the text after a group's glyph, from the group's name as shown.
fn label(group: &Group, name: &str, run: &Run, detail: Detail, cx: &Cx) -> String {
    let members = group.members(run);
    let times = if cx.theme.glyphs == Glyphs::Ascii { "x" } else { "×" };
    let many = if group.folded { format!(" {times}{}", members.len()) } else { String::new() };
    let mut label = format!("{name}{many}");
    if let Detail::Short(..) | Detail::Below(_) = detail {
        return label;
    }
    if group.folded {
        let count = |wanted: &dyn Fn(&Job) -> bool| members.iter().filter(|job| wanted(job)).count();
        let good = count(&|job| job.phase.conclusion() == Some(Conclusion::Success) || job.allowed_failure);
        let bad = count(&|job| !job.allowed_failure && job.phase.conclusion().is_some_and(Conclusion::is_bad));
        let looks = [(good, Conclusion::Success), (bad, Conclusion::Failure)];
        let shown = looks.iter().filter(|(count, _)| *count > 0 && *count < members.len());
        for (index, (count, end)) in shown.enumerate() {
            let glyph = cx.theme.look(&Phase::Done(*end)).glyph;
            label = format!("{label}{}{count}{glyph}", if index == 0 { " " } else { "" });
        }
    }
    match group.times(run) {
        Some((started, ended)) if ended.is_some() || members.iter().any(|job| job.phase.is_active()) => {
            format!("{label} {}", text::spent(started, ended, cx.state.now))
        }
        _ => label,
    }
}
