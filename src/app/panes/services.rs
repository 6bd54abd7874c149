//! Panel 5, Services: the service containers of the selected run's jobs, and the services of the repository's Compose
//! file.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::selection::Selection;
use crate::app::state::AppState;
use crate::model::{Job, JobId, Run, Service, ServiceState};
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::list::{ListRow, filter_chip};
use super::{Cx, Pane, empty, motion};

/// The list of services.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Services {
    /// The selected service: its job, or `None` for a service of the Compose file, and its name.
    pub(in crate::app) selected: Option<(Option<JobId>, String)>,
    filter: String,
    offset: usize,
}

/// A row: a service with its job, or without a job if the service is one of the Compose file.
type Row<'r> = (Option<&'r Job>, &'r Service);

impl Pane for Services {
    fn sync(&mut self, cx: &Cx, selection: &mut Selection) -> Vec<Effect> {
        let run = selection.run(cx.state);
        if !self.listed(cx.state, run).any(|row| self.is_selected(row)) {
            self.selected = None;
            self.select(0, cx.state, run);
        }
        self.offset = cx.scrolled(self.offset, self.at(cx.state, run), self.listed(cx.state, run).count());
        Vec::new()
    }

    fn act(&mut self, action: Action, cx: &Cx, selection: &mut Selection) {
        let run = selection.run(cx.state);
        if let Some(to) = motion(action, self.at(cx.state, run), self.listed(cx.state, run).count(), cx.rows()) {
            self.select(to, cx.state, run);
        }
    }

    fn click(&mut self, _: usize, row: usize, cx: &Cx, selection: &mut Selection) {
        self.select(self.offset + row, cx.state, selection.run(cx.state));
    }

    fn filter(&mut self) -> Option<&mut String> {
        Some(&mut self.filter)
    }

    /// Returns the filter, the number of services, and the number of services that are down.
    fn title_suffix(&self, cx: &Cx, selection: &Selection) -> String {
        let all = || all(cx.state, selection.run(cx.state));
        let bad = all().filter(|(_, service)| service.state.is_bad()).count();
        let count = Some(all().count()).filter(|count| *count > 0).map(|count| count.to_string());
        let bad = (bad > 0).then(|| format!("{bad} down"));
        [filter_chip(&self.filter), count, bad].into_iter().flatten().collect::<Vec<_>>().join(cx.theme.dot())
    }

    fn scroll(&self, cx: &Cx, selection: &Selection) -> Option<Scroll> {
        let all = self.listed(cx.state, selection.run(cx.state)).count();
        Some(Scroll { first: self.offset, shown: cx.rows(), all })
    }

    fn draw(&self, cx: &Cx, selection: &Selection, area: Rect, buffer: &mut Buffer) {
        let run = selection.run(cx.state);
        if all(cx.state, run).next().is_none() {
            let is_remote = run.is_some_and(|run| run.info.remote.is_some());
            let why = if is_remote { "a server reports no services" } else { "no services started" };
            empty(why, cx, area, buffer);
            return;
        }
        let widest = all(cx.state, run).map(|(_, service)| text::width(&service.name)).max().unwrap_or_default();
        let jobs = run.into_iter().flat_map(|run| run.jobs.values()).filter(|job| !job.services.is_empty()).count();
        let several = jobs + usize::from(!cx.state.compose.is_empty()) > 1;
        if self.listed(cx.state, run).next().is_none() {
            empty("no service matches the filter", cx, area, buffer);
        }
        for (y, (job, service)) in (area.y..area.bottom()).zip(self.listed(cx.state, run).skip(self.offset)) {
            let look = cx.theme.service(service.state);
            let is_unknown = service.state == ServiceState::Unknown;
            let detail = service.detail.as_deref().filter(|_| service.state.is_bad() || is_unknown);
            let has_detail = is_unknown || detail.is_some();
            let mut parts = vec![format!("{}{}", look.word, if has_detail { ":" } else { "" })];
            parts.extend(detail.map(|detail| detail.lines().next().unwrap_or_default().to_owned()));
            let ports = service.ports.iter().map(|(inside, outside)| port(inside, outside, cx.theme));
            parts.extend(ports.filter(|_| !service.state.is_bad()));
            parts.extend((service.restarts > 0).then(|| format!("restarts {}", service.restarts)));
            let tab = (text::limited(widest) + 5).min(area.width / 2);
            let mut remark = parts.join(" ");
            // The name of the job is shown if it fits.
            let owner = job.map_or(COMPOSE, |job| &job.name);
            if several && text::width(&remark) + text::width(owner) + 5 + usize::from(tab) <= usize::from(area.width) {
                remark = format!("{remark}{}{owner}", cx.theme.dot());
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
                selected: cx.focused && self.is_selected((job, service)),
            };
            row.draw(cx, Rect { y, height: 1, ..area }, buffer);
        }
    }
}

impl Services {
    fn is_selected(&self, (job, service): Row<'_>) -> bool {
        let of = |of: &Option<JobId>| of.as_ref() == job.map(|job| &job.id);
        self.selected.as_ref().is_some_and(|(job, name)| of(job) && *name == service.name)
    }

    /// Returns the name of the selected service if it is one of the Compose file.
    pub(in crate::app) fn selected_of_compose(&self) -> Option<&str> {
        self.selected.as_ref().filter(|(job, _)| job.is_none()).map(|(_, name)| name.as_str())
    }

    /// Returns the row of the selected service in the list.
    fn at(&self, state: &AppState, run: Option<&Run>) -> usize {
        self.listed(state, run).position(|row| self.is_selected(row)).unwrap_or_default()
    }

    fn select(&mut self, row: usize, state: &AppState, run: Option<&Run>) {
        let selected = self.listed(state, run).nth(row);
        let selected = selected.map(|(job, service)| (job.map(|job| job.id.clone()), service.name.clone()));
        self.selected = selected.or(self.selected.take());
    }

    /// Returns the services that match the filter.
    fn listed<'r>(&'r self, state: &'r AppState, run: Option<&'r Run>) -> impl Iterator<Item = Row<'r>> {
        all(state, run).filter(|(job, service)| {
            let owner = job.map_or(COMPOSE, |job| &job.name);
            text::holds(&self.filter, &[&service.name, &service.image, service.state.word(), owner])
        })
    }
}

/// Whether there are services to show: of the run's jobs, or of the Compose file.
pub(in crate::app) fn has_services(state: &AppState, run: Option<&Run>) -> bool {
    all(state, run).next().is_some()
}

/// Shown in place of the job of a service of the Compose file.
const COMPOSE: &str = "compose";

/// Returns the services of the run's jobs in the order of the workflow, and those of the Compose file.
fn all<'r>(state: &'r AppState, run: Option<&'r Run>) -> impl Iterator<Item = Row<'r>> {
    let jobs = run.into_iter().flat_map(|run| run.jobs.values());
    let of_jobs = jobs.flat_map(|job| job.services.values().map(move |service| (Some(job), service)));
    of_jobs.chain(state.compose.iter().map(|service| (None, service)))
}

/// Formats a port in the container and on this machine: `5432→54321`, or `6379` if they are the same.
fn port(inside: &str, outside: &str, theme: Theme) -> String {
    let inside = inside.strip_suffix("/tcp").unwrap_or(inside);
    if inside == outside { inside.to_owned() } else { format!("{inside}{}{outside}", theme.pick("→", ">")) }
}
