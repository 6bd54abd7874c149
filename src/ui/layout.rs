//! Layout of the screen.
//!
//! The log always takes whole rows of the screen. The terminal can then scroll a followed log, which takes a small part
//! of the bytes of redrawing it. Neighbouring panes share a border, so their areas overlap by one cell.

use ratatui::layout::{Position, Rect};

/// A panel of the screen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Panel {
    /// Workflows of the repository. They take the whole screen.
    Workflows,
    /// Runs.
    Runs,
    /// Jobs of a run as a graph.
    Graph,
    /// Jobs of a run, and the steps of the selected one.
    #[default]
    Jobs,
    /// Output of a step.
    Log,
    /// Service containers of a run.
    Services,
    /// Latest deployment to each environment.
    Deploys,
    /// Events, newest first.
    Events,
}

/// Names and keys of a panel.
#[derive(Clone, Copy, Debug)]
pub struct PanelInfo {
    /// The panel.
    pub panel: Panel,
    /// Title in its border.
    pub name: &'static str,
    /// Name of the action that focuses it.
    pub action: &'static str,
    /// Keys that focus it. The first is the number in its title.
    pub keys: &'static [&'static str],
    /// Description of its keys for the help.
    pub doc: &'static str,
}

const fn info(
    panel: Panel,
    keys: &'static [&'static str],
    name: &'static str,
    action: &'static str,
    doc: &'static str,
) -> PanelInfo {
    PanelInfo { panel, name, action, keys, doc }
}

/// All panels, in the order of their numbers.
pub const PANELS: [PanelInfo; 8] = [
    info(Panel::Workflows, &["0"], "Workflows", "workflows", "go to the workflows of this repository"),
    info(Panel::Runs, &["1"], "Runs", "runs", "go to the runs"),
    info(Panel::Graph, &["2"], "Graph", "graph", "go to the graph"),
    info(Panel::Jobs, &["3"], "Jobs", "jobs", "go to the jobs"),
    info(Panel::Log, &["4"], "Log", "log", "go to the log"),
    info(Panel::Services, &["5"], "Services", "services", "go to the services"),
    info(Panel::Deploys, &["6"], "Deploys", "deploys", "go to the latest deployment to each environment"),
    info(Panel::Events, &["7"], "Events", "events", "go to the events"),
];

impl Panel {
    /// Returns the names and keys of the panel.
    #[must_use]
    pub fn info(self) -> &'static PanelInfo {
        PANELS.iter().find(|info| info.panel == self).expect("a test looks up every panel")
    }

    /// Returns the number in its title.
    #[must_use]
    pub fn number(self) -> &'static str {
        self.info().keys[0]
    }

    /// Returns the title in its border.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }
}

/// Share of the screen for the focused panel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Zoom {
    /// The normal share.
    #[default]
    Normal,
    /// More than half of the screen.
    Half,
    /// The whole screen.
    Full,
}

/// Input of the layout, besides the size of the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// Panel with the focus: it receives keys.
    pub focus: Panel,
    /// Panel above the log if there is room for only one: the last focused panel other than the log.
    pub above: Panel,
    /// Share of the focused panel.
    pub zoom: Zoom,
    /// Panels that have nothing to show. The other panels get their room, unless the empty panel is
    /// [`above`](Self::above).
    pub empty: Empty,
    /// Whether the Deploys panel shows the page of one environment, which takes the whole screen.
    pub page: bool,
}

impl View {
    /// Whether a panel gives its room to the others.
    fn hides(self, panel: Panel) -> bool {
        let is_empty = match panel {
            Panel::Services => self.empty.services,
            Panel::Deploys => self.empty.deploys,
            _ => false,
        };
        is_empty && self.above != panel
    }
}

/// Panels that have nothing to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Empty {
    /// There are no services.
    pub services: bool,
    /// There are no deployments.
    pub deploys: bool,
}

/// Areas of a screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Screen {
    /// The selected run and its state.
    pub header: Rect,
    /// Panels on the screen, and their areas including borders.
    pub panels: Vec<(Panel, Rect)>,
    /// Latest notice. Empty if there is no room for it; the notice then replaces the key hints.
    pub toast: Rect,
    /// Key hints.
    pub footer: Rect,
}

/// Minimum columns and rows of a screen with panels.
pub const SMALLEST: (u16, u16) = (30, 8);

/// Minimum columns and rows to show several panels.
const SEVERAL: (u16, u16) = (60, 16);

/// Minimum columns to show panels side by side above the log.
const TWO_COLUMNS: u16 = 100;

/// Minimum columns to show three panels in the upper row.
const THREE_COLUMNS: u16 = 160;

/// Minimum number of rows for two panels on top of each other, with one row inside each.
const TWO_BOXES: u16 = 5;

/// Whether a screen has room for one panel only. The notice then takes the place of the key hints.
fn is_single(area: Rect) -> bool {
    area.width < SEVERAL.0 || area.height < SEVERAL.1
}

/// Divides a screen into areas. `None` if it is smaller than [`SMALLEST`].
#[must_use]
pub fn screen(area: Rect, view: View) -> Option<Screen> {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return None;
    }
    let single = is_single(area);
    let toast = u16::from(!single);
    let body = between(area);
    let is_page = view.focus == Panel::Workflows || (view.page && view.focus == Panel::Deploys);
    let panels = if single || view.zoom == Zoom::Full || is_page {
        vec![(view.focus, body)]
    } else if area.width < TWO_COLUMNS {
        let log = if view.focus == Panel::Log { 75 } else { 33 };
        let (above, below) = rows(body, share(view.zoom, 60, log));
        vec![(view.above, above), (Panel::Log, below)]
    } else {
        wide(body, view)
    };
    Some(Screen {
        header: Rect { height: 1, ..area },
        panels,
        toast: Rect { y: area.bottom() - 1 - toast, height: toast, ..area },
        footer: Rect { y: area.bottom() - 1, height: 1, ..area },
    })
}

/// Places the panels of a screen with several columns: runs and graph at the top, jobs below them, and the log at the
/// bottom. A very wide screen has services and deployments beside the graph, and events beside the jobs; if there is
/// room for only one of services and deployments, services are shown unless `view.above` is deployments. A narrower
/// screen has services and deployments beside the jobs, or instead only the panel `view.above`, if it is events or
/// deployments. Services and deployments that are empty give their room to the other panels.
fn wide(body: Rect, view: View) -> Vec<(Panel, Rect)> {
    let log = if view.focus == Panel::Log { 75 } else { 33 };
    let (above, below) = rows(body, share(view.zoom, 45, log));
    let three = body.width >= THREE_COLUMNS;
    let upper = match (view.zoom, view.focus) {
        (Zoom::Half, Panel::Runs | Panel::Graph) => 70,
        (Zoom::Half, Panel::Services | Panel::Deploys) if three => 70,
        (Zoom::Half, Panel::Jobs | Panel::Services | Panel::Deploys | Panel::Events) => 30,
        _ => 50,
    };
    let (top, middle) = rows(above, 100 - upper);
    let mut panels = Vec::with_capacity(PANELS.len());
    let shown: Vec<Panel> = [Panel::Services, Panel::Deploys].into_iter().filter(|panel| !view.hides(*panel)).collect();
    if three {
        // All columns of the list need more room than a glance at the states and names of the newest runs.
        let (runs, rest) = columns(top, if view.focus == Panel::Runs { 46 } else { 30 });
        let (graph, right) = if shown.is_empty() { (rest, Rect::default()) } else { columns(rest, 66) };
        let (jobs, events) = columns(middle, 45);
        panels.extend([(Panel::Runs, runs), (Panel::Graph, graph), (Panel::Jobs, jobs), (Panel::Events, events)]);
        match shown.as_slice() {
            [] => {}
            [one] => panels.push((*one, right)),
            _ if right.height < TWO_BOXES => {
                panels.push((if view.above == Panel::Deploys { Panel::Deploys } else { Panel::Services }, right));
            }
            _ => {
                let (services, deploys) = rows(right, 50);
                panels.extend([(Panel::Services, services), (Panel::Deploys, deploys)]);
            }
        }
    } else {
        let (runs, graph) = columns(top, 38);
        panels.extend([(Panel::Runs, runs), (Panel::Graph, graph)]);
        let beside = match view.above {
            Panel::Events | Panel::Deploys => vec![view.above],
            _ => shown,
        };
        if beside.is_empty() {
            panels.push((Panel::Jobs, middle));
        } else {
            let (jobs, right) = columns(middle, if view.above == Panel::Events { 55 } else { 44 });
            panels.push((Panel::Jobs, jobs));
            if let [one] = beside.as_slice() {
                panels.push((*one, right));
            } else {
                let (services, deploys) = columns(right, 50);
                panels.extend([(Panel::Services, services), (Panel::Deploys, deploys)]);
            }
        }
    }
    panels.push((Panel::Log, below));
    panels
}

/// Returns the height of the log, in percent.
fn share(zoom: Zoom, normal: u16, half: u16) -> u16 {
    if zoom == Zoom::Half { half } else { normal }
}

/// Splits an area into an upper and a lower part. The lower part gets `lower` percent. The parts share a border.
fn rows(area: Rect, lower: u16) -> (Rect, Rect) {
    let below = (area.height * lower / 100).clamp(3, area.height.saturating_sub(2).max(3));
    let above = area.height - below + 1;
    (Rect { height: above, ..area }, Rect { y: area.y + above - 1, height: below, ..area })
}

/// Splits an area into a left and a right part. The left part gets `left` percent. The parts share a border.
fn columns(area: Rect, left: u16) -> (Rect, Rect) {
    let width = (area.width * left / 100).max(3);
    (Rect { width, ..area }, Rect { x: area.x + width - 1, width: area.width - width + 1, ..area })
}

impl Screen {
    /// Returns the area of a panel, if it is on the screen.
    #[must_use]
    pub fn panel(&self, panel: Panel) -> Option<Rect> {
        self.panels.iter().find(|(shown, _)| *shown == panel).map(|(_, area)| *area)
    }

    /// Returns the panel at a position, with its area; `None` outside of the panels. A border that two panels share
    /// belongs to the one whose title it has.
    #[must_use]
    pub fn at(&self, position: Position) -> Option<(Panel, Rect)> {
        let there = || self.panels.iter().copied().filter(move |(_, area)| area.contains(position));
        there().find(|(_, area)| area.y == position.y).or_else(|| there().next())
    }
}

/// Minimum columns beside a popup. With fewer, it takes the whole width: a strip of the screen beside it would show
/// only the ends of texts.
const BESIDE: u16 = 8;

/// Minimum rows above and below a popup. With fewer, it takes the whole height.
const BENEATH: u16 = 3;

/// Returns the rows of a screen between the header and the notice.
#[must_use]
pub fn between(area: Rect) -> Rect {
    let notice = u16::from(!is_single(area));
    Rect { y: area.y + area.height.min(1), height: area.height.saturating_sub(2 + notice), ..area }
}

/// Returns the area of a popup of this size, borders included: in the middle of the screen, between the header and the
/// notice, or over all rows but that of the hints if it needs more. If only a strip of the screen remained visible beside
/// it, it takes that too.
#[must_use]
pub fn popup(area: Rect, width: u16, height: u16) -> Rect {
    let above_hints = Rect { height: area.height.saturating_sub(1), ..area };
    let body = if height > between(area).height { above_hints } else { between(area) };
    let spread = |wanted: u16, room: u16, least: u16| if wanted + 2 * least > room { room } else { wanted };
    let (width, height) =
        (spread(width.min(body.width), body.width, BESIDE), spread(height.min(body.height), body.height, BENEATH));
    Rect { x: body.x + (body.width - width) / 2, y: body.y + (body.height - height) / 2, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn view(focus: Panel, above: Panel, zoom: Zoom) -> View {
        View { focus, above: if above == Panel::Log { Panel::Jobs } else { above }, zoom, ..View::default() }
    }

    #[test]
    fn the_list_of_runs_gets_room_on_a_very_wide_screen_while_it_has_the_focus() {
        let area = Rect::new(0, 0, 200, 60);
        let width = |focus| {
            let screen = screen(area, view(focus, Panel::Jobs, Zoom::Normal)).expect("large enough");
            screen.panel(Panel::Runs).expect("shown").width
        };
        assert_eq!((width(Panel::Jobs), width(Panel::Runs)), (60, 92));
    }

    proptest! {
        #[test]
        fn panels_cover_the_body_and_overlap_by_borders_only(
            width in 1_u16..320, height in 1_u16..120, focus in 0..PANELS.len(), above in 0..PANELS.len(), zoom in 0_usize..3,
            services in any::<bool>(), deploys in any::<bool>(),
        ) {
            let area = Rect::new(0, 0, width, height);
            let zoom = [Zoom::Normal, Zoom::Half, Zoom::Full][zoom];
            let view = View { empty: Empty { services, deploys }, ..view(PANELS[focus].panel, PANELS[above].panel, zoom) };
            let Some(screen) = screen(area, view) else {
                prop_assert!(width < SMALLEST.0 || height < SMALLEST.1);
                return Ok(());
            };
            for (at, (panel, one)) in screen.panels.iter().enumerate() {
                prop_assert_eq!(one.intersection(area), *one);
                prop_assert!(one.width >= 3 && one.height >= 3, "{:?} {:?}", panel, one);
                prop_assert!(one.y > screen.header.y && one.bottom() <= screen.toast.y);
                let inner = super::super::frame::inside(*one);
                for (_, other) in screen.panels.iter().skip(at + 1) {
                    prop_assert!(inner.intersection(super::super::frame::inside(*other)).is_empty());
                    prop_assert!(inner.intersection(*other).is_empty(), "{:?} {:?}", one, other);
                }
                if *panel == Panel::Log {
                    prop_assert_eq!(one.width, width);
                }
            }
            prop_assert_eq!(screen.footer.bottom(), height);
        }
    }

    proptest! {
        #[test]
        fn the_focused_panel_is_on_the_screen(width in 1_u16..320, height in 1_u16..120, zoom in 0_usize..3) {
            let zoom = [Zoom::Normal, Zoom::Half, Zoom::Full][zoom];
            for PanelInfo { panel, .. } in &PANELS {
                let above = if *panel == Panel::Log { Panel::Runs } else { *panel };
                let empty = Empty { services: true, deploys: true };
                let view = View { empty, ..view(*panel, above, zoom) };
                if let Some(screen) = screen(Rect::new(0, 0, width, height), view) {
                    prop_assert!(screen.panels.iter().any(|(shown, _)| shown == panel), "{:?}", panel);
                }
            }
        }
    }

    #[test]
    fn panels_are_numbered_in_their_order() {
        let numbers = PANELS.map(|info| (info.panel.number(), info.panel.name()));
        assert_eq!(numbers, PANELS.map(|info| (info.keys[0], info.name)));
        assert!(PANELS.is_sorted_by(|one, other| one.panel < other.panel && one.keys[0] < other.keys[0]));
    }

    #[test]
    fn a_zoomed_panel_fills_the_screen() {
        let view = View { focus: Panel::Log, above: Panel::Jobs, zoom: Zoom::Full, ..View::default() };
        let screen = screen(Rect::new(0, 0, 120, 40), view).expect("large enough");
        assert_eq!(screen.panels, [(Panel::Log, Rect::new(0, 1, 120, 37))]);
    }
}
