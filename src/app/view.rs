//! Draws the whole screen.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::ui::frame;
use crate::ui::frame::Framed;
use crate::ui::layout;
use crate::ui::layout::{PANELS, Panel, PanelInfo, Screen};
use crate::ui::text;

use super::action::{Action, Context};
use super::chrome::{ActionHint, HintPlace, Hints};
use super::keymap::{Continuation, Lookup};
use super::overlay::{Hint, Overlay};
use super::panes::WorkflowRow;
use super::state::has_failed;
use super::{App, chrome, cx, hints};

impl App {
    /// Draws the screen.
    pub fn draw(&self, buffer: &mut Buffer) {
        let area = buffer.area;
        let Some(screen) = layout::screen(area, self.view) else {
            return self.draw_too_small(buffer);
        };
        chrome::header(&self.state, self.theme, self.summary(), self.run(), screen.header, buffer);
        let framed: Vec<Framed> =
            screen.panels.iter().map(|(panel, area)| self.framed(&screen, *panel, *area)).collect();
        frame::draw(&framed, self.theme, buffer);
        for (panel, area) in &screen.panels {
            let cx = cx(&self.state, self.theme, self.view, Some(&screen), *panel);
            self.panes.get(*panel).draw(&cx, &self.selection, frame::inside(*area), buffer);
        }
        let is_covered = self.is_footer_covered(&screen);
        if let Some(notice) = self.toast.as_ref().filter(|_| is_covered || screen.toast.height > 0) {
            chrome::toast(notice, self.theme, toast_area(&screen), buffer);
        }
        if !is_covered {
            self.draw_footer(&screen, buffer);
        }
        if let Some(overlay) = &self.overlay {
            let cx = cx(&self.state, self.theme, self.view, Some(&screen), self.view.focus);
            overlay.draw(&cx, &self.keymap, self.subject(), area, buffer);
        }
        self.draw_menu(&screen, buffer);
    }

    /// Draws the box with the keys that can follow the pressed ones. Returns the places of its actions.
    fn draw_menu(&self, screen: &Screen, buffer: &mut Buffer) -> Vec<(Rect, Action)> {
        let Some(rest) = self.continuations() else { return Vec::new() };
        hints::draw(&self.pressed, &rest, &self.state, self.theme, self.subject(), toast_area(screen), buffer)
    }

    /// Returns the action at a position of the box with the keys that can follow the pressed ones.
    pub(super) fn in_menu_at(&self, at: Position) -> Option<Action> {
        let places = self.draw_menu(&self.screen()?, &mut Buffer::empty(self.area));
        places.into_iter().find(|(place, _)| place.contains(at)).map(|(_, action)| action)
    }

    /// Draws the size that the screen needs, and the key that leaves it, on a terminal that is too small for panels.
    fn draw_too_small(&self, buffer: &mut Buffer) {
        let area = buffer.area;
        let (columns, rows) = layout::SMALLEST;
        let leave = self.keymap.keys(Action::Quit).first().map(|key| format!("{key} quits")).unwrap_or_default();
        let needed = format!("needs {columns}x{rows}; {leave}");
        let forms = [format!("The terminal is too small: {needed}"), needed, leave];
        let fits = |form: &&String| {
            // A word that is broken cannot be read.
            let is_whole = form.split(' ').all(|word| text::columns(word) <= area.width);
            is_whole && text::wrap(form, usize::from(area.width)).len() <= usize::from(area.height)
        };
        let [.., shortest] = &forms;
        let form = forms.iter().find(fits).unwrap_or(shortest);
        for (line, y) in text::wrap(form, usize::from(area.width).max(1)).iter().zip(area.y..area.bottom()) {
            text::put(buffer, area.x, y, area.width, line, Style::new());
        }
    }

    /// Whether a notice is shown in place of the hints, because there is no separate row for it. The hints of a popup and
    /// of a key sequence are never replaced: its keys must be seen.
    fn is_footer_covered(&self, screen: &Screen) -> bool {
        self.toast.is_some() && self.overlay.is_none() && self.pressed.is_empty() && screen.toast.height == 0
    }

    /// Returns the keys that can follow the pressed ones; `None` while no sequence is incomplete.
    fn continuations(&self) -> Option<Vec<Continuation>> {
        if self.pressed.is_empty() {
            return None;
        }
        match self.keymap.lookup(self.context(), &self.pressed) {
            Lookup::Prefix(rest) => Some(rest),
            Lookup::Action(_) | Lookup::Unbound => None,
        }
    }

    /// Draws the hints. Returns their places.
    fn draw_footer(&self, screen: &Screen, buffer: &mut Buffer) -> Vec<HintPlace> {
        if self.continuations().is_some() {
            // The box has the other keys; those of the panel do something else now.
            let hints = [Hint::Key(Action::Back, "cancel")];
            return chrome::overlay_footer(&hints, self.theme, &self.keymap, screen.footer, buffer);
        }
        if let Some(overlay) = &self.overlay {
            return chrome::overlay_footer(overlay.hints(), self.theme, &self.keymap, screen.footer, buffer);
        }
        let context = Context::Panel(self.view.focus);
        let (first, replaced) = self.hints_of_row(Some(screen));
        let hints = Hints { context, subject: self.subject(), first, replaced, of_failure: self.hints_of_failure() };
        chrome::footer(&self.state, self.theme, &self.keymap, hints, screen.footer, buffer)
    }

    /// Returns the action of the hint at a position; `None` if no hint of an action is there.
    pub(super) fn hint_at(&self, at: Position) -> Option<Action> {
        let screen = self.screen()?;
        if !screen.footer.contains(at) || self.is_footer_covered(&screen) {
            return None;
        }
        // Where a hint is depends on the hints before it, so they are drawn once more, but not on the screen.
        let places = self.draw_footer(&screen, &mut Buffer::empty(screen.footer));
        places.into_iter().find(|(columns, _)| columns.contains(&at.x))?.1
    }

    /// Returns the hints of the focused panel about what is selected in it: what Enter does, and what can be done about a
    /// failure.
    pub(super) fn hints_here(&self) -> Vec<ActionHint> {
        let (first, _) = self.hints_of_row(self.screen().as_ref());
        first.into_iter().chain(self.hints_of_failure()).collect()
    }

    /// Returns what Enter does to the selected row, in a panel where this is not to go on to the next panel, and how to
    /// leave the page of an environment. Also returns the action that Enter stands for there, if it has another key.
    fn hints_of_row(&self, screen: Option<&Screen>) -> (Vec<ActionHint>, Option<Action>) {
        if self.view.focus == Panel::Deploys && self.view.page {
            let cx = cx(&self.state, self.theme, self.view, screen, Panel::Deploys);
            let run = self.panes.deploys.page_run(&cx, &self.selection).map(|_| (Action::Open, "open run"));
            return (run.into_iter().chain([(Action::Back, "back")]).collect(), None);
        }
        if self.view.focus != Panel::Workflows {
            return (Vec::new(), None);
        }
        match self.panes.workflows.selected(&self.state) {
            Some(WorkflowRow::Startable(_)) => (vec![(Action::Open, Action::Start.entry().hint)], Some(Action::Start)),
            Some(WorkflowRow::Broken(_)) => (vec![(Action::Open, "errors")], None),
            None => (Vec::new(), None),
        }
    }

    /// Returns what can be done about the selected job or step, if it failed.
    fn hints_of_failure(&self) -> Vec<ActionHint> {
        let failed = match self.selection.step(&self.state) {
            Some((_, step)) => has_failed(&step.phase),
            None => self.selection.job(&self.state).is_some_and(|job| has_failed(&job.phase)),
        };
        if !failed || !matches!(self.view.focus, Panel::Jobs | Panel::Log | Panel::Graph) {
            return Vec::new();
        }
        let edit = self.names_file().then_some((Action::Edit, "open file"));
        edit.into_iter().chain([(Action::Yank, Action::Yank.entry().hint), (Action::SearchRun, "search run")]).collect()
    }

    fn framed(&self, screen: &Screen, panel: Panel, area: Rect) -> Framed {
        let cx = cx(&self.state, self.theme, self.view, Some(screen), panel);
        let pane = self.panes.get(panel);
        let title = pane.title(&cx, &self.selection).unwrap_or_else(|| panel.name().to_owned());
        Framed {
            area,
            tabs: Self::tabs(screen, panel),
            title: format!("{} {title}", panel.number()),
            suffix: pane.title_suffix(&cx, &self.selection),
            short_suffix: pane.short_suffix(&cx, &self.selection),
            scroll: pane.scroll(&cx, &self.selection),
            focused: cx.focused,
        }
    }

    /// Returns the hidden panel whose tab is at a position; `None` if no tab is there.
    pub(super) fn tab_at(&self, screen: &Screen, at: Position) -> Option<Panel> {
        let (panel, area) = screen.at(at).filter(|(_, area)| area.y == at.y)?;
        let framed = self.framed(screen, panel, area);
        let number = frame::tab_at(&framed, self.theme, at.x)?.split(' ').next();
        PANELS.iter().map(|info| info.panel).find(|panel| Some(panel.number()) == number)
    }

    /// Returns the titles of the hidden panels, except the workflows: first those with a smaller number than `panel`,
    /// then those with a larger one. Only the border of one panel shows them: the jobs or, if the jobs are hidden too,
    /// the first panel. For other panels, both lists are empty.
    fn tabs(screen: &Screen, panel: Panel) -> (Vec<String>, Vec<String>) {
        let first = screen.panels.first().map(|(first, _)| *first);
        if Some(panel) != screen.panel(Panel::Jobs).map(|_| Panel::Jobs).or(first) {
            return (Vec::new(), Vec::new());
        }
        let hidden = PANELS.iter().filter(|info| info.panel != Panel::Workflows && screen.panel(info.panel).is_none());
        let (before, after): (Vec<_>, Vec<_>) = hidden.partition(|info| info.panel < panel);
        let titles = |infos: Vec<&PanelInfo>| {
            infos.iter().map(|info| format!("{} {}", info.panel.number(), info.name)).collect()
        };
        (titles(before), titles(after))
    }

    /// Returns the area for the log of the program itself; `None` while it is hidden.
    #[must_use]
    pub fn diagnostics(&self) -> Option<Rect> {
        let overlay = self.overlay.as_ref().filter(|overlay| matches!(overlay, Overlay::Diagnostics))?;
        Some(frame::inside(overlay.area(self.area)))
    }

    /// Returns the rows of the screen that show the log and scroll together; empty while they are covered.
    #[must_use]
    pub fn moving_rows(&self) -> Range<u16> {
        let screen = self.screen().filter(|_| self.overlay.is_none() && self.pressed.is_empty());
        let log = screen.as_ref().and_then(|screen| screen.panel(Panel::Log)).map(frame::inside).unwrap_or_default();
        // A long notice covers the last of these rows.
        let notice = screen.zip(self.toast.as_ref()).map(|(screen, notice)| chrome::toast_rows(notice, screen.toast));
        let end = notice.map_or(log.bottom(), |notice| notice.y.min(log.bottom()));
        log.top()..end.max(log.top())
    }
}

/// Returns the rows of a notice: separate ones or, without any, that of the hints.
fn toast_area(screen: &Screen) -> Rect {
    if screen.toast.height > 0 { screen.toast } else { screen.footer }
}
