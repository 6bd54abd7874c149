//! A form with the inputs of a workflow that is to be started.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::action::Action;
use crate::app::msg::Effect;
use crate::app::panes::{Cx, file_name, keep_visible, motion};
use crate::app::text_input::{MODIFIERS, TextInput};
use crate::config::SANDBOXES;
use crate::model::feed::{InputKind, Request, StartableWorkflow};
use crate::ui::frame::Scroll;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use super::drawn::Drawn;
use super::{Hint, Outcome};

/// Choice that leaves the sandbox to the settings.
const AS_CONFIGURED: &str = "as configured";

/// Maximum width of field names in columns.
const NAMES: usize = 24;

/// A form with the inputs of a workflow.
#[derive(Clone, Debug)]
pub(in crate::app) struct Form {
    workflow: String,
    /// Name of the workflow.
    name: String,
    event: String,
    /// The repository on a server in which the workflow is dispatched; `None` if it runs on this machine.
    repository: Option<String>,
    /// The inputs; the last field is the sandbox, or the branch or tag for a dispatch.
    fields: Vec<Field>,
    /// Secrets that the workflow reads, each with whether it is set.
    secrets: Vec<(String, bool)>,
    /// Index of the focused field.
    selected: usize,
    /// Whether the user tried to start the workflow while a field was invalid.
    tried: bool,
    drawn: Drawn,
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    about: String,
    required: bool,
    kind: InputKind,
    /// Value before it was changed: the default of the input.
    initial: String,
    value: TextInput,
}

impl Field {
    /// Returns why the value is invalid; `None` if it is valid.
    fn fault(&self) -> Option<&'static str> {
        let value = self.value.text();
        match self.kind {
            _ if value.is_empty() => self.required.then_some("required"),
            InputKind::Number if !value.parse().is_ok_and(f64::is_finite) => Some("not a number"),
            _ => None,
        }
    }

    fn is_text(&self) -> bool {
        matches!(self.kind, InputKind::Text | InputKind::Number)
    }

    /// Whether a character can be part of the value.
    fn accepts(&self, c: char) -> bool {
        match self.kind {
            InputKind::Text => true,
            InputKind::Number => c.is_ascii_digit() || matches!(c, '-' | '.' | 'e'),
            InputKind::Boolean | InputKind::Choice(_) => false,
        }
    }

    /// Changes to the next or the previous choice, around the ends.
    fn cycle(&mut self, forward: bool) {
        let next = match &self.kind {
            InputKind::Text | InputKind::Number => return,
            InputKind::Boolean => (self.value.text() != "true").to_string(),
            InputKind::Choice(choices) => {
                let count = choices.len();
                let at = choices.iter().position(|choice| choice == self.value.text());
                let to = at.map_or(0, |at| (at + if forward { 1 } else { count - 1 }) % count);
                choices.get(to).cloned().unwrap_or_default()
            }
        };
        self.value = TextInput::from(next);
    }

    /// Returns the value of a field that is not a text: a box, or the choice with its place among the choices.
    fn shown(&self, theme: Theme) -> String {
        let value = self.value.text();
        match &self.kind {
            InputKind::Text | InputKind::Number => String::new(),
            InputKind::Boolean => if value == "true" { "[x]" } else { "[ ]" }.to_owned(),
            InputKind::Choice(choices) => {
                let (before, after) = (theme.pick("◂", "<"), theme.pick("▸", ">"));
                let place = choices.iter().position(|choice| choice == value).map(|at| at + 1);
                let place = place.map_or_else(|| "-".to_owned(), |place| place.to_string());
                format!("{before} {value} {after} {place}/{}", choices.len())
            }
        }
    }
}

impl Form {
    /// Returns a form with the default values. Only the event `workflow_dispatch` has inputs.
    pub(in crate::app) fn new(workflow: &StartableWorkflow, event: &str) -> Self {
        let inputs = workflow.inputs.iter().filter(|_| event == "workflow_dispatch").map(|input| {
            let first = match &input.kind {
                InputKind::Choice(choices) => choices.first().cloned().unwrap_or_default(),
                InputKind::Boolean => "false".to_owned(),
                InputKind::Text | InputKind::Number => String::new(),
            };
            let value = if input.default.is_empty() { first } else { input.default.clone() };
            Field {
                name: input.name.clone(),
                about: input.about.clone(),
                required: input.required,
                kind: input.kind.clone(),
                initial: value.clone(),
                value: TextInput::from(value),
            }
        });
        let sandboxes = SANDBOXES.iter().map(|(name, _)| *name);
        let sandboxes = [AS_CONFIGURED].into_iter().chain(sandboxes).map(str::to_owned).collect();
        let field = |name: &str, about: &str, kind, value: &str| Field {
            name: name.to_owned(),
            about: about.to_owned(),
            required: workflow.server.is_some(),
            kind,
            initial: value.to_owned(),
            value: TextInput::from(value.to_owned()),
        };
        let last = if let Some(server) = &workflow.server {
            field("ref", "the branch or tag to run on", InputKind::Text, &server.branch)
        } else {
            let about = "where jobs without a container run";
            field("sandbox", about, InputKind::Choice(sandboxes), AS_CONFIGURED)
        };
        Self {
            workflow: workflow.workflow.clone(),
            name: workflow.name.clone(),
            event: event.to_owned(),
            repository: workflow.server.as_ref().map(|server| server.repository.clone()),
            fields: inputs.chain([last]).collect(),
            secrets: workflow.secrets.clone(),
            selected: 0,
            tried: false,
            drawn: Drawn::default(),
        }
    }

    pub(super) fn title(&self) -> String {
        let file = file_name(&self.workflow);
        match &self.repository {
            Some(repository) => format!("Dispatch {file} on {repository}"),
            None => format!("Start {file} on {}", self.event),
        }
    }

    /// Returns the number of rows, including those below the fields.
    pub(super) fn rows(&self) -> usize {
        self.facts(None).len() + self.fields.len() + usize::from(!self.secrets.is_empty()) + 3
    }

    /// Whether the form shows what is checked out.
    pub(in crate::app) fn shows_head(&self) -> bool {
        self.repository.is_none() && self.fields.len() == 1
    }

    /// Returns what starts, for a workflow without inputs. `head` is what is checked out, once it is known.
    fn facts(&self, head: Option<&str>) -> Vec<(&'static str, String)> {
        if self.fields.len() > 1 {
            return Vec::new();
        }
        let file = file_name(&self.workflow);
        let workflow = if self.name == self.workflow { file.to_owned() } else { format!("{} ({file})", self.name) };
        let head = self.shows_head().then(|| ("ref", head.unwrap_or("reading the repository").to_owned()));
        [("workflow", workflow), ("event", self.event.clone())].into_iter().chain(head).collect()
    }

    /// Edits a text, or changes a choice on space, left and right. Returns `false` for a key that is left to the key
    /// bindings.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let Some(field) = self.fields.get_mut(self.selected) else { return false };
        match key.code {
            KeyCode::Char(c) if !key.modifiers.intersects(MODIFIERS) => {
                if field.accepts(c) {
                    field.value.key(key);
                } else if c == ' ' {
                    field.cycle(true);
                }
                true
            }
            KeyCode::Left | KeyCode::Right if !field.is_text() => {
                field.cycle(key.code == KeyCode::Right);
                true
            }
            _ => field.is_text() && field.value.key(key),
        }
    }

    /// Returns the hints for the footer, the most important first.
    pub(super) fn hints(&self) -> &'static [Hint] {
        const START: Hint = Hint::Key(Action::Open, "start");
        const FIELD: Hint = Hint::Note("up, down", "field");
        const CLOSE: Hint = Hint::Key(Action::Back, "close");
        match self.fields.get(self.selected).map(|field| &field.kind) {
            Some(InputKind::Boolean) => &[START, CLOSE, Hint::Note("space", "on, off"), FIELD],
            Some(InputKind::Choice(_)) => &[START, CLOSE, Hint::Note("left, right", "change"), FIELD],
            Some(InputKind::Number) => &[START, CLOSE, Hint::Note("type", "a number"), FIELD],
            Some(InputKind::Text) | None => &[START, CLOSE, Hint::Note("type", "a text"), FIELD],
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        if let Some(field) = self.fields.get_mut(self.selected) {
            let accepted: String = text.chars().filter(|c| field.accepts(*c)).collect();
            field.value.insert(&accepted);
        }
    }

    pub(super) fn act(&mut self, action: Action, height: usize) -> Outcome {
        if action == Action::Open {
            return self.confirm().map_or(Outcome::Stays, |start| Outcome::Closes(vec![start]));
        }
        self.selected = motion(action, self.selected, self.fields.len(), height).unwrap_or(self.selected);
        Outcome::Stays
    }

    /// Selects the field that is drawn in a row of the screen.
    pub(super) fn click(&mut self, y: u16) {
        self.selected = self.drawn.at(y).unwrap_or(self.selected);
    }

    /// Returns the request to start the workflow. If a field is invalid, selects the first such field and returns
    /// `None`.
    fn confirm(&mut self) -> Option<Effect> {
        self.tried = true;
        if let Some(at) = self.fields.iter().position(|field| field.fault().is_some()) {
            self.selected = at;
            return None;
        }
        let (last, inputs) = self.fields.split_last()?;
        if let Some(repository) = &self.repository {
            // Optional inputs with their default values are left out, because the server adds them.
            let changed = inputs.iter().filter(|field| field.required || field.value.text() != field.initial);
            return Some(Effect::Request(Request::Dispatch {
                repository: repository.clone(),
                workflow: self.workflow.clone(),
                git_ref: last.value.text().to_owned(),
                inputs: changed.map(|field| (field.name.clone(), field.value.text().to_owned())).collect(),
            }));
        }
        Some(Effect::Request(Request::Start {
            workflow: self.workflow.clone(),
            event: self.event.clone(),
            inputs: inputs.iter().map(|field| (field.name.clone(), field.value.text().to_owned())).collect(),
            secrets: self.secrets.iter().filter(|(_, set)| *set).map(|(name, _)| name.clone()).collect(),
            sandbox: Some(last.value.text().to_owned()).filter(|sandbox| sandbox != AS_CONFIGURED),
        }))
    }

    /// Draws the form. Returns the visible part of its fields.
    pub(super) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) -> Scroll {
        let facts = self.facts(cx.state.head.as_deref());
        let names = self.fields.iter().map(|field| text::width(&field.name));
        let names = names.chain(facts.iter().map(|(name, _)| name.len())).max().unwrap_or_default().min(NAMES) as u16;
        for ((name, fact), y) in facts.iter().zip(area.y..area.bottom()) {
            text::put(buffer, area.x + 1, y, names, name, cx.theme.style(Hue::Dim));
            let x = area.x + names + 3;
            let room = area.right().saturating_sub(x + 1);
            let shown = text::clip(fact, usize::from(room), cx.theme.ellipsis());
            text::put(buffer, x, y, room, &shown, Style::new());
        }
        // The fields scroll; the lines below them stay.
        let below = 2 + usize::from(!self.secrets.is_empty());
        let room = usize::from(area.height).saturating_sub(facts.len() + below).max(1).min(self.fields.len());
        let offset = keep_visible(0, self.selected, self.fields.len(), room);
        let top = area.y + facts.len() as u16;
        self.drawn.clear();
        for ((at, field), y) in self.fields.iter().enumerate().skip(offset).take(room).zip(top..area.bottom()) {
            self.drawn.push(y..y + 1, at);
            self.draw_field(field, at == self.selected, names, cx, Rect { y, height: 1, ..area }, buffer);
        }
        let mut y = top + room as u16 + 1;
        let mut line = |line: &str, hue: Hue| {
            let room = area.width.saturating_sub(2);
            if y < area.bottom() {
                let shown = text::clip(line, usize::from(room), cx.theme.ellipsis());
                text::put(buffer, area.x + 1, y, room, &shown, cx.theme.style(hue));
            }
            y += 1;
        };
        if !self.secrets.is_empty() {
            let state = |(name, set): &(String, bool)| format!("{name} {}", if *set { "set" } else { "missing" });
            let secrets: Vec<String> = self.secrets.iter().map(state).collect();
            let all = self.secrets.iter().all(|(_, set)| *set);
            line(&format!("secrets: {}", secrets.join(", ")), if all { Hue::Plain } else { Hue::Busy });
        }
        if let Some(field) = self.fields.get(self.selected) {
            match field.fault().filter(|_| self.tried) {
                Some(fault) => line(&format!("{} is {fault}", field.name), Hue::Bad),
                None => line(&field.about, Hue::Dim),
            }
        }
        Scroll { first: offset, shown: room, all: self.fields.len() }
    }

    fn draw_field(&self, field: &Field, selected: bool, names: u16, cx: &Cx, row: Rect, buffer: &mut Buffer) {
        let ellipsis = cx.theme.ellipsis();
        let style = if selected { cx.theme.style(Hue::Accent) } else { Style::new() };
        let mark = if selected { cx.theme.bar() } else { " " };
        text::put(buffer, row.x, row.y, 1, mark, style);
        text::put(buffer, row.x + 1, row.y, names, &text::clip(&field.name, usize::from(names), ellipsis), style);
        let x = row.x + names + 3;
        let room = row.right().saturating_sub(x + 2);
        let value = field.shown(cx.theme);
        let end = if field.is_text() {
            field.value.draw(selected, cx.theme, Rect { x, width: room, ..row }, buffer)
        } else {
            text::put(buffer, x, row.y, room, &text::clip(&value, usize::from(room), ellipsis), Style::new())
        };
        if let Some(fault) = field.fault() {
            let room = row.right().saturating_sub(end + 2);
            let hue = if self.tried { Hue::Bad } else { Hue::Dim };
            if text::width(fault) <= usize::from(room) {
                text::put(buffer, end + 2, row.y, room, fault, cx.theme.style(hue));
            }
        }
    }
}
