//! 5 Services: the containers beside the jobs of the selected run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::model::{Job, JobId, Run, Service};
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::{Cx, ListRow, chip, empty, keep_visible, motion};

/// The list of services.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// The selected one: its job, and its key in the workflow.
    pub selected: Option<(JobId, String)>,
    /// Words that a service must have to be listed.
    pub filter: String,
    offset: usize,
}

impl Services {
    /// Moves the selection.
    pub(in crate::app) fn act(&mut self, action: Action, run: &Run, height: usize) {
        if let Some(to) = motion(action, self.at(run), self.listed(run).count(), height) {
            self.select(to, run);
        }
    }

    /// Selects what is in a row of the pane.
    pub(in crate::app) fn click(&mut self, row: usize, run: &Run) {
        self.select(self.offset + row, run);
    }

    pub(in crate::app) fn settle(&mut self, run: Option<&Run>, height: usize) {
        let Some(run) = run else {
            *self = Self { filter: std::mem::take(&mut self.filter), ..Self::default() };
            return;
        };
        if !self.listed(run).any(|(job, service)| self.is_selected(job, service)) {
            self.selected = None;
            self.select(0, run);
        }
        self.offset = keep_visible(self.offset, self.at(run), self.listed(run).count(), height);
    }

    /// How many are healthy, and how many are not.
    pub(in crate::app) fn remark(&self, run: &Run, theme: Theme) -> String {
        let bad = all(run).filter(|(_, service)| service.state.is_bad()).count();
        let count = Some(all(run).count()).filter(|count| *count > 0).map(|count| count.to_string());
        let bad = (bad > 0).then(|| format!("{bad} down"));
        [chip(&self.filter), count, bad].into_iter().flatten().collect::<Vec<_>>().join(theme.dot())
    }

    pub(in crate::app) fn draw(&self, cx: &Cx, run: Option<&Run>, area: Rect, buffer: &mut Buffer) {
        let Some(run) = run.filter(|run| all(run).next().is_some()) else {
            empty("no service has been started", cx, area, buffer);
            return;
        };
        let widest = all(run).map(|(_, service)| text::width(&service.name)).max().unwrap_or_default();
        let several = run.jobs.values().filter(|job| !job.services.is_empty()).count() > 1;
        if self.listed(run).next().is_none() {
            empty("no service has all of these words", cx, area, buffer);
        }
        for (y, (job, service)) in (area.y..area.bottom()).zip(self.listed(run).skip(self.offset)) {
            let look = cx.theme.service(service.state);
            let mut parts = vec![look.word.to_owned()];
            let detail = service.detail.as_deref().filter(|_| service.state.is_bad());
            parts.extend(detail.map(|detail| detail.lines().next().unwrap_or_default().to_owned()));
            let ports = service.ports.iter().map(|(inside, outside)| port(inside, outside, cx.theme));
            parts.extend(ports.filter(|_| !service.state.is_bad()));
            parts.extend((service.restarts > 0).then(|| format!("restarts {}", service.restarts)));
            let tab = (widest as u16 + 5).min(area.width / 2);
            let mut remark = parts.join(" ");
            // The job is named where there is room for it.
            if several
                && text::width(&remark) + text::width(&job.name) + 5 + usize::from(tab) <= usize::from(area.width)
            {
                remark = format!("{remark}{}{}", cx.theme.dot(), job.name);
            }
            let row = ListRow {
                indent: 0,
                glyph: look.glyph,
                style: cx.theme.style(look.hue),
                name: &service.name,
                tab,
                remark: &remark,
                remark_style: cx.theme.style(if service.state.is_bad() { Hue::Bad } else { Hue::Dim }),
                right: "",
                selected: cx.focused && self.is_selected(job, service),
            };
            row.draw(cx, Rect { y, height: 1, ..area }, buffer);
        }
    }

    fn is_selected(&self, job: &Job, service: &Service) -> bool {
        self.selected.as_ref().is_some_and(|(of, name)| *of == job.id && *name == service.name)
    }

    fn at(&self, run: &Run) -> usize {
        self.listed(run).position(|(job, service)| self.is_selected(job, service)).unwrap_or_default()
    }

    fn select(&mut self, row: usize, run: &Run) {
        let selected = self.listed(run).nth(row).map(|(job, service)| (job.id.clone(), service.name.clone()));
        self.selected = selected.or(self.selected.take());
    }

    /// The services that the filter lets through.
    fn listed<'r>(&'r self, run: &'r Run) -> impl Iterator<Item = (&'r Job, &'r Service)> {
        all(run).filter(|(job, service)| {
            text::holds(&self.filter, &[&service.name, &service.image, service.state.word(), &job.name])
        })
    }
}

/// All services with their jobs, in the order of the workflow.
fn all(run: &Run) -> impl Iterator<Item = (&Job, &Service)> {
    run.jobs.values().flat_map(|job| job.services.values().map(move |service| (job, service)))
}

/// Where a port leads: `5432→54321`, and `6379` where it is the same on both sides.
fn port(inside: &str, outside: &str, theme: Theme) -> String {
    let inside = inside.strip_suffix("/tcp").unwrap_or(inside);
    if inside == outside { inside.to_owned() } else { format!("{inside}{}{outside}", theme.pick("→", ">")) }
}
