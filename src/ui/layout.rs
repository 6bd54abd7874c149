//! Where everything is on a screen of a given size.
//!
//! The log always takes whole rows of the screen: a terminal can then move a followed log up by itself, which costs
//! a twentieth of the bytes of drawing it anew. Neighbouring panes share a border, so their areas overlap by one.

use ratatui::layout::{Position, Rect};

/// A panel, by the number that its title shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Panel {
    /// 1: the runs.
    Runs,
    /// 2: who needs whom.
    Graph,
    /// 3: jobs, and the steps of the selected one.
    #[default]
    Jobs,
    /// 4: what the selected step wrote.
    Log,
    /// 5: the containers beside the jobs.
    Services,
    /// 6: what ran last in each environment.
    Deploys,
    /// 7: what happened, newest first.
    Events,
}

/// Every panel, in the order of their numbers.
pub const PANELS: [Panel; 7] =
    [Panel::Runs, Panel::Graph, Panel::Jobs, Panel::Log, Panel::Services, Panel::Deploys, Panel::Events];

impl Panel {
    /// The number in its title.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Runs => 1,
            Self::Graph => 2,
            Self::Jobs => 3,
            Self::Log => 4,
            Self::Services => 5,
            Self::Deploys => 6,
            Self::Events => 7,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Runs => "Runs",
            Self::Graph => "Graph",
            Self::Jobs => "Jobs",
            Self::Log => "Log",
            Self::Services => "Services",
            Self::Deploys => "Deploys",
            Self::Events => "Events",
        }
    }
}

/// How much of the screen the focused panel gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Zoom {
    /// Its share.
    #[default]
    Normal,
    /// More than half.
    Half,
    /// All of it.
    Full,
}

/// What a screen is laid out for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// The panel that keys go to.
    pub focus: Panel,
    /// The panel above the log where there is room for one only: the last focused one that is not the log.
    pub above: Panel,
    /// How much the focused panel gets.
    pub zoom: Zoom,
}

/// A screen cut into areas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Screen {
    /// Where am I, and in what state.
    pub header: Rect,
    /// The panels shown and their areas with borders.
    pub panels: Vec<(Panel, Rect)>,
    /// The latest news; empty where there is no room, and then it replaces the hints.
    pub toast: Rect,
    /// Key hints.
    pub footer: Rect,
}

/// Nothing can be told on less.
pub const SMALLEST: (u16, u16) = (30, 8);

/// Below this, one panel is shown at a time.
const SEVERAL: (u16, u16) = (60, 16);

/// From this many columns on, two panels stand side by side above the log.
const TWO_COLUMNS: u16 = 100;

/// From this many columns on, the upper row has three panels.
const THREE_COLUMNS: u16 = 160;

/// Two boxes with a row each, one above the other.
const TWO_BOXES: u16 = 5;

/// Cuts a screen into areas; `None` when it is too small to tell anything.
#[must_use]
pub fn screen(area: Rect, view: View) -> Option<Screen> {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return None;
    }
    let single = area.width < SEVERAL.0 || area.height < SEVERAL.1;
    let toast = u16::from(!single);
    let body = Rect { y: area.y + 1, height: area.height - 2 - toast, ..area };
    let panels = if single || view.zoom == Zoom::Full {
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

/// Two panels side by side, three below them, and the log. With much room, services and deployments are on the right
/// instead, and the events take their place; with less, the events take it as long as they are looked at.
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
    if three {
        let (runs, rest) = columns(top, 24);
        let (graph, right) = columns(rest, 66);
        let (jobs, events) = columns(middle, 45);
        panels.extend([(Panel::Runs, runs), (Panel::Graph, graph), (Panel::Jobs, jobs), (Panel::Events, events)]);
        if right.height < TWO_BOXES {
            panels.push((if view.above == Panel::Deploys { Panel::Deploys } else { Panel::Services }, right));
        } else {
            let (services, deploys) = rows(right, 50);
            panels.extend([(Panel::Services, services), (Panel::Deploys, deploys)]);
        }
    } else {
        let (runs, graph) = columns(top, 38);
        let (jobs, right) = columns(middle, if view.above == Panel::Events { 55 } else { 44 });
        panels.extend([(Panel::Runs, runs), (Panel::Graph, graph), (Panel::Jobs, jobs)]);
        if view.above == Panel::Events {
            panels.push((Panel::Events, right));
        } else {
            let (services, deploys) = columns(right, 50);
            panels.extend([(Panel::Services, services), (Panel::Deploys, deploys)]);
        }
    }
    panels.push((Panel::Log, below));
    panels
}

/// The log's share of the height, in percent.
fn share(zoom: Zoom, normal: u16, half: u16) -> u16 {
    if zoom == Zoom::Half { half } else { normal }
}

/// Cuts an area into an upper and a lower one, which gets `lower` percent; they share a border.
fn rows(area: Rect, lower: u16) -> (Rect, Rect) {
    let below = (area.height * lower / 100).clamp(3, area.height.saturating_sub(2).max(3));
    let above = area.height - below + 1;
    (Rect { height: above, ..area }, Rect { y: area.y + above - 1, height: below, ..area })
}

/// Cuts an area into a left one, which gets `left` percent, and a right one; they share a border.
fn columns(area: Rect, left: u16) -> (Rect, Rect) {
    let width = (area.width * left / 100).max(3);
    (Rect { width, ..area }, Rect { x: area.x + width - 1, width: area.width - width + 1, ..area })
}

impl Screen {
    /// Where a panel is, when it is shown.
    #[must_use]
    pub fn panel(&self, panel: Panel) -> Option<Rect> {
        self.panels.iter().find(|(shown, _)| *shown == panel).map(|(_, area)| *area)
    }

    /// The panel under a place.
    #[must_use]
    pub fn at(&self, place: Position) -> Option<(Panel, Rect)> {
        self.panels.iter().copied().find(|(_, area)| area.contains(place))
    }
}

/// A box in the middle of an area, as large as asked for and as there is room.
#[must_use]
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn view(focus: Panel, above: Panel, zoom: Zoom) -> View {
        View { focus, above: if above == Panel::Log { Panel::Jobs } else { above }, zoom }
    }

    proptest! {
        #[test]
        fn panels_cover_the_body_and_overlap_by_borders_only(
            width in 1_u16..320, height in 1_u16..120, focus in 0..PANELS.len(), above in 0..PANELS.len(), zoom in 0_usize..3,
        ) {
            let area = Rect::new(0, 0, width, height);
            let zoom = [Zoom::Normal, Zoom::Half, Zoom::Full][zoom];
            let view = view(PANELS[focus], PANELS[above], zoom);
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

    #[test]
    fn a_zoomed_panel_has_all_of_it() {
        let view = View { focus: Panel::Log, above: Panel::Jobs, zoom: Zoom::Full };
        let screen = screen(Rect::new(0, 0, 120, 40), view).expect("large enough");
        assert_eq!(screen.panels, [(Panel::Log, Rect::new(0, 1, 120, 37))]);
    }
}
