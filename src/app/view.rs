//! The picture.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::model::{Explanation, Gate, Phase};
use crate::ui::frame;
use crate::ui::frame::Framed;
use crate::ui::layout;
use crate::ui::layout::Panel;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::App;
use super::action::Context;
use super::panes::{Cx, chrome};

impl App {
    /// Draws the whole screen.
    pub fn draw(&self, buffer: &mut Buffer) {
        let area = buffer.area;
        let Some(screen) = layout::screen(area, self.view) else {
            let text = text::clip("too small", usize::from(area.width), "");
            text::put(buffer, area.x, area.y, area.width, &text, self.theme.style(Hue::Dim));
            return;
        };
        let cx = |panel| Cx { facts: &self.facts, theme: self.theme, focused: panel == self.view.focus };
        let here = cx(self.view.focus);
        chrome::header(&here, self.summary(), self.run(), screen.header, buffer);
        let framed: Vec<Framed> = screen.panels.iter().map(|(panel, area)| self.framed(*panel, *area)).collect();
        frame::draw(&framed, self.theme, buffer);
        let job = self.jobs.selected.as_ref().map(|place| &place.job);
        for (panel, area) in &screen.panels {
            let inside = frame::inside(*area);
            match panel {
                Panel::Runs => self.runs.draw(&cx(*panel), inside, buffer),
                Panel::Graph => self.graph.draw(&cx(*panel), self.run(), job, inside, buffer),
                Panel::Jobs => self.jobs.draw(&cx(*panel), self.run(), inside, buffer),
                Panel::Log => {
                    let start = self.shown().and_then(|(_, _, step)| step.started);
                    self.log.draw(&cx(*panel), &self.no_log(), start, inside, buffer);
                }
                Panel::Services => self.services.draw(&cx(*panel), self.run(), inside, buffer),
                Panel::Deploys => self.deploys.draw(&cx(*panel), inside, buffer),
                Panel::Events => self.events.draw(&cx(*panel), self.watched.as_ref(), inside, buffer),
            }
        }
        if screen.toast.height > 0 {
            chrome::toast(&here, self.toast.as_ref(), screen.toast, buffer);
        }
        match &self.toast {
            Some(notice) if screen.toast.height == 0 => chrome::toast(&here, Some(notice), screen.footer, buffer),
            _ => {
                let context = Context::Panel(self.view.focus);
                chrome::footer(&here, &self.keymap, context, self.summary(), screen.footer, buffer);
            }
        }
        if let Some(overlay) = &self.overlay {
            overlay.draw(&here, &self.keymap, self.summary(), area, buffer);
        }
    }

    fn framed(&self, panel: Panel, area: Rect) -> Framed {
        let shown = self.shown();
        let title = match (panel, shown) {
            (Panel::Log, Some((_, job, step))) => {
                let into = self.theme.arrow();
                // Of a long name the step's, too, is to be seen.
                let job = text::clip_middle(&job.name, usize::from(area.width / 3), self.theme.ellipsis());
                format!("Log{}{job}{into}{} {}", self.theme.dot(), step.number, step.name)
            }
            _ => panel.name().to_owned(),
        };
        let remark = match (panel, self.run()) {
            (Panel::Runs, _) => self.runs.remark(&self.facts, self.theme),
            (Panel::Graph, Some(run)) => {
                let job = self.jobs.selected.as_ref().map(|place| &place.job);
                self.graph.remark(run, job, self.theme, self.facts.now)
            }
            (Panel::Jobs, Some(run)) => self.jobs.remark(run, self.theme),
            (Panel::Events, _) => self.events.remark(),
            (Panel::Deploys, _) => self.deploys.remark(),
            (Panel::Services, Some(run)) => self.services.remark(run, self.theme),
            (Panel::Log, _) => {
                let active = shown.is_some_and(|(_, _, step)| step.phase.is_active());
                self.log.remark(active, self.theme)
            }
            _ => String::new(),
        };
        Framed { area, title: format!("{} {title}", panel.number()), remark, focused: panel == self.view.focus }
    }

    /// Why there are no lines to show and, below that, why the condition held or not.
    fn no_log(&self) -> Vec<String> {
        let job = self.jobs.selected.as_ref().and_then(|place| self.run()?.jobs.get(&place.job));
        let told = |name: &str, phase: &Phase, reason: Option<&str>| match (phase, reason) {
            (Phase::Done(_), Some(reason)) => format!("{name}: {reason}"),
            (Phase::Done(_), None) => format!("{name} wrote nothing"),
            (Phase::Running | Phase::Stopping, _) => format!("{name} has written nothing yet"),
            (Phase::Waiting(gate @ Gate::Concurrency { .. }), _) => format!("pending: {}", gate.reason()),
            (Phase::Queued | Phase::Waiting(_), _) => format!("{name} has not begun"),
        };
        let (why, explanation) = match (self.shown(), job) {
            (Some((_, _, step)), _) if step.lines > 0 => ("loading".to_owned(), None),
            (Some((_, _, step)), _) => {
                (told(&step.name, &step.phase, step.reason.as_deref()), step.explanation.as_ref())
            }
            (None, Some(job)) => (told(&job.name, &job.phase, job.reason.as_deref()), job.explanation.as_ref()),
            (None, None) => match self.run().map(|run| (&run.name, &run.phase)) {
                Some((name, phase @ Phase::Waiting(_))) => (told(name, phase, None), None),
                _ => ("no job is selected".to_owned(), None),
            },
        };
        let tree = explanation.map(Explanation::lines).unwrap_or_default();
        std::iter::once(why).chain(tree).collect()
    }
}
