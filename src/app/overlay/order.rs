//! A box that shows what an order to an environment of this machine would do, with fields for the texts that the order
//! needs: a reason, the name of a production environment.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::panes::{Cx, motion};
use crate::app::text_input::TextInput;
use crate::model::deployment::parsed;
use crate::model::environment::{Release, title_of};
use crate::model::feed::Request;
use crate::model::lane::{DeploymentPreview, DeploymentWay, Lane, LaneRequest};
use crate::model::{Command, DeploymentOrder, RunId, Summary, Timestamp, is_production};
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::Hue;

use super::body::Body;
use super::drawn::Drawn;
use super::{Hint, Outcome, fitting};

/// Maximum numbers of new commits, of undone ones, and of steps to list; further ones are only counted.
const MAX_NEW: usize = 8;
const MAX_UNDONE: usize = 4;
const MAX_STEPS: usize = 9;

/// Columns of the labels of fields, with the gap after them.
const LABELS: u16 = 10;

/// Label of the field for the reason.
const REASON: &str = "reason";

/// An order and the texts that the user types for it.
#[derive(Clone, Debug)]
pub(in crate::app) struct OrderBox {
    title: String,
    body: Body,
    fields: Vec<Field>,
    order: Order,
    /// Index of the focused field.
    focused: usize,
    drawn: Drawn,
}

/// An order without the texts that the user types into the fields.
#[derive(Clone, Debug)]
enum Order {
    /// Confirms the preview with this number. If it is that of an abort, also has the environment.
    Start(u64, Option<String>),
    Abort(String, RunId),
    /// Aborts the deployment of a run to an environment that the screen does not list.
    AbortRun(RunId),
    Lock(String),
    Unlock(String),
}

#[derive(Clone, Debug)]
struct Field {
    label: &'static str,
    input: TextInput,
    rule: Rule,
    /// Whether the user tried to send the order with this text, which is not valid.
    is_refused: bool,
}

/// What a field must contain.
#[derive(Clone, Debug)]
enum Rule {
    Anything,
    Something,
    /// A length of time, or nothing.
    Length,
    /// The name of the environment.
    Name(String),
}

impl Field {
    fn new(label: &'static str, rule: Rule) -> Self {
        Self { label, input: TextInput::default(), rule, is_refused: false }
    }

    /// Returns why the text is not valid.
    fn fault(&self) -> Option<String> {
        let text = self.input.text().trim();
        match &self.rule {
            Rule::Anything => None,
            Rule::Something => text.is_empty().then(|| "required".to_owned()),
            Rule::Length if text.is_empty() || parsed(text).is_some() => None,
            Rule::Length => Some("not a length of time, such as 90m or 2h".to_owned()),
            Rule::Name(name) if text == name => None,
            Rule::Name(name) if text.is_empty() || !self.is_refused => Some(format!("type `{name}` to confirm")),
            Rule::Name(name) => Some(format!("does not match `{name}`")),
        }
    }

    /// Returns why the text is not valid, in fewer words if all do not fit into a number of columns.
    fn fault_within(&self, columns: u16) -> Option<String> {
        let fault = self.fault()?;
        match &self.rule {
            Rule::Name(_) if text::columns(&fault) <= columns => Some(fault),
            Rule::Name(_) if self.is_refused && !self.input.text().trim().is_empty() => {
                Some("does not match".to_owned())
            }
            Rule::Name(name) => Some(format!("type `{name}`")),
            Rule::Length if text::columns(&fault) > columns => Some("such as 2h".to_owned()),
            Rule::Anything | Rule::Something | Rule::Length => Some(fault),
        }
    }
}

impl OrderBox {
    fn new(title: String, lines: Vec<(String, Hue)>, fields: Vec<Field>, order: Order) -> Self {
        Self { title, body: Body::new(lines), fields, order, focused: 0, drawn: Drawn::default() }
    }

    /// Returns the box that shows what a deployment or a rollback would do, and that the user confirms.
    pub(in crate::app) fn start(question: u64, preview: &DeploymentPreview) -> Self {
        let name = &preview.environment;
        let title = match preview.way {
            DeploymentWay::Deploy(_) => format!("Deploy to {name}"),
            DeploymentWay::RollBack { .. } | DeploymentWay::Abort => format!("Roll back {name}"),
        };
        // The user types the same names as on the command line, because Enter alone is pressed too easily when the box
        // appears.
        let typed = match preview.way {
            DeploymentWay::Deploy(_) => guarded(name),
            DeploymentWay::RollBack { .. } | DeploymentWay::Abort => Some(name_field(name)),
        };
        let fields = typed.into_iter().chain([Field::new(REASON, Rule::Anything)]).collect();
        let aborts = matches!(preview.way, DeploymentWay::Abort).then(|| name.clone());
        Self::new(title, lines(preview), fields, Order::Start(question, aborts))
    }

    /// Returns the box that confirms an abort of the open deployment; `None` if no deployment is open.
    pub(in crate::app) fn abort(lane: &Lane) -> Option<Self> {
        let (open, name) = (lane.open.as_ref()?, lane.name());
        let back = open.former();
        let mut lines =
            vec![(format!("{name}: {} is being deployed; an abort restores {back}", open.release.title()), Hue::Plain)];
        lines.extend(
            open.step.as_ref().map(|step| (format!("step {}/{}, {}", step.number, step.total, step.name), Hue::Dim)),
        );
        lines.push((String::new(), Hue::Plain));
        let fields = guarded(name).into_iter().chain([Field::new(REASON, Rule::Anything)]).collect();
        Some(Self::new(
            format!("Abort the deployment to {name}"),
            lines,
            fields,
            Order::Abort(name.to_owned(), open.run.clone()),
        ))
    }

    /// Returns the box that confirms an abort of the deployment of a run, if the screen does not list its environment.
    pub(in crate::app) fn abort_of(run: &Summary, environment: &str) -> Self {
        let version = run.info.version();
        let head = format!("{environment}: {version} is being deployed; an abort restores the former release");
        let fields = guarded(environment).into_iter().chain([Field::new(REASON, Rule::Anything)]).collect();
        Self::new(
            format!("Abort the deployment to {environment}"),
            vec![(head, Hue::Plain), (String::new(), Hue::Plain)],
            fields,
            Order::AbortRun(run.info.id.clone()),
        )
    }

    /// Returns the form for the reason to lock an environment, and for how long, or, if it is locked, to unlock it.
    pub(in crate::app) fn lock(lane: &Lane, now: Timestamp) -> Self {
        let name = lane.name();
        match &lane.lock {
            None => {
                let lines = vec![
                    ("No deployment begins until it is unlocked.".to_owned(), Hue::Plain),
                    ("After a time in `until`, such as 90m or 2h, the lock ends by itself.".to_owned(), Hue::Dim),
                    (String::new(), Hue::Plain),
                ];
                Self::new(
                    format!("Lock {name}"),
                    lines,
                    vec![Field::new(REASON, Rule::Something), Field::new("until", Rule::Length)],
                    Order::Lock(name.to_owned()),
                )
            }
            Some(lock) => {
                let lines = vec![(lock.text(now), Hue::Plain), (String::new(), Hue::Plain)];
                Self::new(
                    format!("Unlock {name}"),
                    lines,
                    vec![Field::new(REASON, Rule::Anything)],
                    Order::Unlock(name.to_owned()),
                )
            }
        }
    }

    /// Returns the environment of this machine whose deployment the order aborts; `None` for any other order.
    pub(super) fn aborts(&self) -> Option<&str> {
        match &self.order {
            Order::Abort(environment, _) | Order::Start(_, Some(environment)) => Some(environment),
            Order::Start(_, None) | Order::AbortRun(_) | Order::Lock(_) | Order::Unlock(_) => None,
        }
    }

    pub(super) fn title(&self) -> String {
        self.title.clone()
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let Some(field) = self.fields.get_mut(self.focused) else { return false };
        let edits = field.input.key(key);
        field.is_refused &= !edits;
        edits
    }

    pub(super) fn paste(&mut self, text: &str) {
        if let Some(field) = self.fields.get_mut(self.focused) {
            field.input.insert(text);
        }
    }

    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        if action != Action::Open {
            let above = height.saturating_sub(self.below());
            if self.body.act(action, above) {
                return Outcome::Stays;
            }
            self.focused = motion(action, self.focused, self.fields.len(), self.fields.len()).unwrap_or(self.focused);
            return Outcome::Stays;
        }
        if let Some(faulty) = self.fields.iter().position(|field| field.fault().is_some()) {
            self.focused = faulty;
            self.fields[faulty].is_refused = true;
            return Outcome::Stays;
        }
        Outcome::Closes(vec![Effect::Request(self.request())])
    }

    /// Focuses the field that is drawn in a row of the screen.
    pub(super) fn click(&mut self, y: u16) {
        self.focused = self.drawn.at(y).unwrap_or(self.focused);
    }

    fn request(&self) -> Request {
        let reason = self.fields.iter().find(|field| field.label == REASON);
        let text = reason.map(|field| field.input.text().trim().to_owned()).unwrap_or_default();
        let length = self.fields.iter().find(|field| matches!(field.rule, Rule::Length));
        Request::Lane(match self.order.clone() {
            Order::AbortRun(run) => {
                let order = DeploymentOrder::Abort { reason: text };
                return Request::Submit { run, command: Command::Deployment { order, by: None } };
            }
            Order::Start(question, _) => LaneRequest::Start { question, reason: text },
            Order::Abort(environment, run) => LaneRequest::Abort { environment, run, reason: text },
            Order::Lock(environment) => LaneRequest::Lock {
                environment,
                reason: text,
                length: length.and_then(|field| parsed(field.input.text())),
            },
            Order::Unlock(environment) => LaneRequest::Unlock { environment, reason: text },
        })
    }

    /// Returns what Enter does.
    fn verb(&self) -> &'static str {
        match self.order {
            Order::Start(..) => "do it",
            Order::Abort(..) | Order::AbortRun(_) => "abort",
            Order::Lock(_) => "lock",
            Order::Unlock(_) => "unlock",
        }
    }

    /// Returns the hints for the footer.
    pub(super) fn hints(&self) -> &'static [Hint] {
        const CLOSE: Hint = Hint::Key(Action::Back, "close");
        const SCROLL: Hint = Hint::Note("pagedown, pageup", "scroll");
        match self.order {
            Order::Start(..) => &[Hint::Key(Action::Open, "do it"), CLOSE, SCROLL],
            Order::Abort(..) | Order::AbortRun(_) => &[Hint::Key(Action::Open, "abort"), CLOSE, SCROLL],
            Order::Lock(_) => &[Hint::Key(Action::Open, "lock"), CLOSE],
            Order::Unlock(_) => &[Hint::Key(Action::Open, "unlock"), CLOSE],
        }
    }

    /// Returns the number of rows below the text: the fields, and the hint.
    fn below(&self) -> usize {
        self.fields.len() + 1
    }

    /// Returns the number of rows without the border, inside a border of this width.
    pub(super) fn height(&self, columns: u16) -> u16 {
        text::limited(self.body.height(columns) + self.below())
    }

    /// Draws the box. Returns the visible part of its text.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let room = area.width.saturating_sub(2);
        let above = area.height.saturating_sub(text::limited(self.below()));
        let (scroll, mut y) = self.body.draw(cx, Rect { height: above, ..area }, buffer);
        self.drawn.clear();
        for (at, field) in self.fields.iter().enumerate() {
            if y >= area.bottom() {
                return scroll;
            }
            self.drawn.push(y..y + 1, at);
            let is_focused = at == self.focused;
            let style = if is_focused { cx.theme.style(Hue::Accent) } else { Style::new() };
            text::put(buffer, area.x + 1, y, LABELS, field.label, style);
            let x = area.x + 1 + LABELS;
            let input = Rect { x, y, width: area.right().saturating_sub(x + 1), height: 1 };
            let end = field.input.draw(is_focused, cx.theme, input, buffer);
            let is_name = matches!(field.rule, Rule::Name(_));
            let room = area.right().saturating_sub(end + 3);
            if let Some(fault) = field.fault_within(room).filter(|_| field.is_refused || is_name) {
                let hue = if field.is_refused { Hue::Bad } else { Hue::Dim };
                let fault = text::clip(&fault, usize::from(room), cx.theme.ellipsis());
                text::put(buffer, end + 2, y, room, &fault, cx.theme.style(hue));
            }
            y += 1;
        }
        let verb = self.verb();
        let other = if self.fields.len() > 1 { "  Up, Down: other field" } else { "" };
        let hint = format!("Enter: {verb}  Esc: cancel{other}");
        let hint = fitting(&hint, room);
        let y = y.min(area.bottom().saturating_sub(1));
        text::put(buffer, area.x + 1, y, room, &hint, cx.theme.style(Hue::Dim));
        scroll
    }
}

/// Returns the field for the name of a production environment; `None` for any other environment.
fn guarded(name: &str) -> Option<Field> {
    is_production(name).then(|| name_field(name))
}

/// Returns the field in which the name of an environment must be typed.
fn name_field(name: &str) -> Field {
    Field::new("name", Rule::Name(name.to_owned()))
}

/// Describes what a deployment or a rollback would do.
fn lines(preview: &DeploymentPreview) -> Vec<(String, Hue)> {
    let title = |release: Option<&Release>| title_of(release, !preview.former_unknown);
    let (from, to) = (title(preview.from.as_ref()), title(preview.to.as_ref()));
    let head = format!("{}: from {from} to {to}", preview.environment);
    let mut lines = vec![(head, Hue::Accent)];
    let is_back = !matches!(preview.way, DeploymentWay::Deploy(_));
    let changes = preview.changes.described(is_back, if is_back { MAX_UNDONE } else { MAX_NEW });
    lines.extend(changes.into_iter().map(|line| (line, Hue::Plain)));
    let steps: &[String] = match &preview.way {
        DeploymentWay::Deploy(steps) | DeploymentWay::RollBack { steps, .. } => steps,
        DeploymentWay::Abort => &[],
    };
    lines.push(match &preview.way {
        DeploymentWay::Deploy(steps) if steps.is_empty() => {
            ("The steps are planned once the deployment in progress has ended.".to_owned(), Hue::Plain)
        }
        DeploymentWay::Abort => ("By aborting the deployment in progress.".to_owned(), Hue::Good),
        DeploymentWay::RollBack { is_instant: true, .. } => {
            ("It still runs, so this only moves the traffic:".to_owned(), Hue::Good)
        }
        _ => ("Steps:".to_owned(), Hue::Plain),
    });
    lines.extend((1..).zip(steps).take(MAX_STEPS).map(|(number, step)| (format!("  {number} {step}"), Hue::Plain)));
    if let Some(more @ 1..) = steps.len().checked_sub(MAX_STEPS) {
        lines.push((format!("  and {more} more"), Hue::Dim));
    }
    lines.extend(preview.notes.iter().map(|note| (format!("note: {note}"), Hue::Review)));
    lines.push((String::new(), Hue::Plain));
    lines
}
