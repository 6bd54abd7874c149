//! Panel 5, Services: the service containers of the selected run's jobs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::selection::{JobSelection, Selection};
use crate::model::{Job, JobId, Run, Service};
use crate::ui::layout::Panel;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::list::{ListRow, filter_chip};
use super::{Cx, Pane, empty, keep_visible, motion};

/// The list of services.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Services {
    /// The selected service: its job, and its key in the workflow.
    pub(in crate::app) selected: Option<(JobId, String)>,
    filter: String,
    offset: usize,
}

impl Pane for Services {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        let Some(run) = selection.run(cx.state) else {
            *self = Self { filter: std::mem::take(&mut self.filter), ..Self::default() };
            return Vec::new();
        };
        if !self.listed(run).any(|(job, service)| self.is_selected(job, service)) {
            self.selected = None;
            self.select(0, run);
        }
        self.offset = keep_visible(self.offset, self.at(run), self.listed(run).count(), cx.rows());
        Vec::new()
    }

    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection) {
        let Some(run) = selection.run(cx.state) else { return };
        if let Some(to) = motion(action, self.at(run), self.listed(run).count(), cx.rows()) {
            self.select(to, run);
        }
    }

    fn click(&mut self, _: usize, row: usize, cx: &Cx, selection: &mut Selection) {
        selection.run(cx.state).into_iter().for_each(|run| self.select(self.offset + row, run));
    }

    fn open(&mut self, _: &Cx, selection: &mut Selection) -> Option<Panel> {
        let (job, _) = self.selected.clone()?;
        selection.select(JobSelection::whole(job));
        Some(Panel::Jobs)
    }

    fn filter(&mut self) -> Option<&mut String> {
        Some(&mut self.filter)
    }

    /// Returns the filter, the number of services, and the number of services that are down.
    fn title_suffix(&self, cx: &Cx, selection: &Selection) -> String {
        let Some(run) = selection.run(cx.state) else { return String::new() };
        let bad = all(run).filter(|(_, service)| service.state.is_bad()).count();
        let count = Some(all(run).count()).filter(|count| *count > 0).map(|count| count.to_string());
        let bad = (bad > 0).then(|| format!("{bad} down"));
        [filter_chip(&self.filter), count, bad].into_iter().flatten().collect::<Vec<_>>().join(cx.theme.dot())
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        let selected = selection.run(cx.state);
        let Some(run) = selected.filter(|run| all(run).next().is_some()) else {
            let is_remote = selected.is_some_and(|run| run.info.remote.is_some());
            let why = if is_remote { "a server reports no services" } else { "no services started" };
            empty(why, cx, area, buffer);
            return;
        };
        let widest = all(run).map(|(_, service)| text::width(&service.name)).max().unwrap_or_default();
        let several = run.jobs.values().filter(|job| !job.services.is_empty()).count() > 1;
        if self.listed(run).next().is_none() {
            empty("no service matches the filter", cx, area, buffer);
        }
        for (y, (job, service)) in (area.y..area.bottom()).zip(self.listed(run).skip(self.offset)) {
            let look = cx.theme.service(service.state);
            let mut parts = vec![look.word.to_owned()];
            let detail = service.detail.as_deref().filter(|_| service.state.is_bad());
            parts.extend(detail.map(|detail| detail.lines().next().unwrap_or_default().to_owned()));
            let ports = service.ports.iter().map(|(inside, outside)| port(inside, outside, cx.theme));
            parts.extend(ports.filter(|_| !service.state.is_bad()));
            parts.extend((service.restarts > 0).then(|| format!("restarts {}", service.restarts)));
            let tab = (text::limited(widest) + 5).min(area.width / 2);
            let mut remark = parts.join(" ");
            // The name of the job is shown if it fits.
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
}

impl Services {
    fn is_selected(&self, job: &Job, service: &Service) -> bool {
        self.selected.as_ref().is_some_and(|(of, name)| *of == job.id && *name == service.name)
    }

    /// Returns the row of the selected service in the list.
    fn at(&self, run: &Run) -> usize {
        self.listed(run).position(|(job, service)| self.is_selected(job, service)).unwrap_or_default()
    }

    fn select(&mut self, row: usize, run: &Run) {
        let selected = self.listed(run).nth(row).map(|(job, service)| (job.id.clone(), service.name.clone()));
        self.selected = selected.or(self.selected.take());
    }

    /// Returns the services that match the filter.
    fn listed<'r>(&'r self, run: &'r Run) -> impl Iterator<Item = (&'r Job, &'r Service)> {
        all(run).filter(|(job, service)| {
            text::holds(&self.filter, &[&service.name, &service.image, service.state.word(), &job.name])
        })
    }
}

/// Returns all services with their jobs, in the order of the workflow.
fn all(run: &Run) -> impl Iterator<Item = (&Job, &Service)> {
    run.jobs.values().flat_map(|job| job.services.values().map(move |service| (job, service)))
}

/// Formats a port in the container and on this machine: `5432→54321`, or `6379` if they are the same.
fn port(inside: &str, outside: &str, theme: Theme) -> String {
    let inside = inside.strip_suffix("/tcp").unwrap_or(inside);
    if inside == outside { inside.to_owned() } else { format!("{inside}{}{outside}", theme.pick("→", ">")) }
}
