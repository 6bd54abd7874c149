//! A form: what a workflow is started with.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::app::msg::Effect;
use crate::model::feed::{InputKind, Request, StartableWorkflow};
use crate::ui::text;
use crate::ui::theme::Hue;

use crate::app::panes::Cx;

/// Where jobs can be told to run; the first is left to the settings.
const SANDBOXES: [&str; 3] = ["as configured", "host", "docker"];

/// What a workflow is to be started with.
#[derive(Clone, Debug)]
pub(in crate::app) struct Form {
    workflow: String,
    event: String,
    fields: Vec<Field>,
    /// Secrets that the workflow names, and whether they are set.
    secrets: Vec<(String, bool)>,
    /// The field that is filled in.
    pub at: usize,
    /// Somebody wanted to start although a field was empty that must not be.
    tried: bool,
}

/// A field; the last one is the sandbox.
#[derive(Clone, Debug)]
struct Field {
    name: String,
    about: String,
    required: bool,
    kind: InputKind,
    value: String,
}

impl Form {
    /// A form with the defaults filled in.
    #[must_use]
    pub(in crate::app) fn new(offer: &StartableWorkflow, event: &str) -> Self {
        let inputs = offer.inputs.iter().filter(|_| event == "workflow_dispatch").map(|input| {
            let first = match &input.kind {
                InputKind::Choice(choices) => choices.first().cloned().unwrap_or_default(),
                InputKind::Boolean => "false".to_owned(),
                InputKind::Text | InputKind::Number => String::new(),
            };
            Field {
                name: input.name.clone(),
                about: input.about.clone(),
                required: input.required,
                kind: input.kind.clone(),
                value: if input.default.is_empty() { first } else { input.default.clone() },
            }
        });
        let sandbox = Field {
            name: "sandbox".to_owned(),
            about: "where jobs without a container run".to_owned(),
            required: false,
            kind: InputKind::Choice(SANDBOXES.map(str::to_owned).to_vec()),
            value: SANDBOXES[0].to_owned(),
        };
        Self {
            workflow: offer.workflow.clone(),
            event: event.to_owned(),
            fields: inputs.chain([sandbox]).collect(),
            secrets: offer.secrets.clone(),
            at: 0,
            tried: false,
        }
    }

    pub(in crate::app) fn title(&self) -> String {
        format!("Start {} on {}", self.workflow.rsplit('/').next().unwrap_or_default(), self.event)
    }

    pub(in crate::app) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Rows that it takes, those of the text below the fields included.
    pub(in crate::app) fn rows(&self) -> usize {
        self.fields.len() + usize::from(!self.secrets.is_empty()) + 3
    }

    /// A character fills in a text; a space goes on to the next of several values.
    pub(in crate::app) fn character(&mut self, c: char) {
        let Some(field) = self.fields.get_mut(self.at) else { return };
        match &field.kind {
            InputKind::Text => field.value.push(c),
            InputKind::Number if c.is_ascii_digit() || matches!(c, '-' | '.' | 'e') => field.value.push(c),
            InputKind::Number => {}
            InputKind::Boolean | InputKind::Choice(_) if c != ' ' => {}
            InputKind::Boolean => field.value = (field.value != "true").to_string(),
            InputKind::Choice(choices) => {
                let at = choices.iter().position(|choice| *choice == field.value).map_or(0, |at| at + 1);
                field.value = choices.get(at).or(choices.first()).cloned().unwrap_or_default();
            }
        }
    }

    pub(in crate::app) fn backspace(&mut self) {
        if let Some(field) = self.fields.get_mut(self.at)
            && matches!(field.kind, InputKind::Text | InputKind::Number)
        {
            field.value.pop();
        }
    }

    /// The order to start, unless a field is empty that must not be: then that one is filled in next.
    pub(in crate::app) fn confirm(&mut self) -> Option<Effect> {
        self.tried = true;
        if let Some(missing) = self.fields.iter().position(|field| field.required && field.value.is_empty()) {
            self.at = missing;
            return None;
        }
        let (sandbox, inputs) = self.fields.split_last()?;
        Some(Effect::Request(Request::Start {
            workflow: self.workflow.clone(),
            event: self.event.clone(),
            inputs: inputs.iter().map(|field| (field.name.clone(), field.value.clone())).collect(),
            secrets: self.secrets.iter().filter(|(_, set)| *set).map(|(name, _)| name.clone()).collect(),
            sandbox: Some(sandbox.value.clone()).filter(|place| place != SANDBOXES[0]),
        }))
    }

    pub(in crate::app) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        let widest = self.fields.iter().map(|field| text::width(&field.name)).max().unwrap_or_default().min(24) as u16;
        let ellipsis = cx.theme.ellipsis();
        for ((at, field), y) in self.fields.iter().enumerate().zip(area.y..area.bottom()) {
            let here = at == self.at;
            let style = if here { cx.theme.style(Hue::Accent) } else { Style::new() };
            let mark = if here { cx.theme.bar() } else { " " };
            text::put(buffer, area.x, y, 1, mark, style);
            text::put(buffer, area.x + 1, y, widest, &text::clip(&field.name, usize::from(widest), ellipsis), style);
            let x = area.x + widest + 3;
            let room = area.right().saturating_sub(x + 2);
            let (value, cursor) = match &field.kind {
                InputKind::Boolean => (if field.value == "true" { "[x]" } else { "[ ]" }.to_owned(), false),
                InputKind::Choice(_) => (format!("{} {}", field.value, cx.theme.pick("▾", "v")), false),
                InputKind::Text | InputKind::Number => (field.value.clone(), here),
            };
            let x = text::put(buffer, x, y, room, &text::clip(&value, usize::from(room), ellipsis), Style::new());
            if cursor {
                text::put(buffer, x, y, 1, " ", cx.theme.selected());
            }
            if self.tried && field.required && field.value.is_empty() {
                text::put(buffer, x + 2, y, area.right().saturating_sub(x + 2), "is needed", cx.theme.style(Hue::Bad));
            }
        }
        let mut y = area.y + self.fields.len() as u16 + 1;
        let line = |y: u16, line: &str, hue: Hue, buffer: &mut Buffer| {
            let room = area.width.saturating_sub(2);
            if y < area.bottom() {
                text::put(
                    buffer,
                    area.x + 1,
                    y,
                    room,
                    &text::clip(line, usize::from(room), ellipsis),
                    cx.theme.style(hue),
                );
            }
        };
        if !self.secrets.is_empty() {
            let told = |(name, set): &(String, bool)| format!("{name} {}", if *set { "set" } else { "missing" });
            let secrets: Vec<String> = self.secrets.iter().map(told).collect();
            let all = self.secrets.iter().all(|(_, set)| *set);
            line(y, &format!("secrets: {}", secrets.join(", ")), if all { Hue::Plain } else { Hue::Busy }, buffer);
            y += 1;
        }
        let about = self.fields.get(self.at).map(|field| field.about.as_str()).unwrap_or_default();
        let change = self.fields.get(self.at).map(|field| match field.kind {
            InputKind::Boolean | InputKind::Choice(_) => "space: change  ",
            InputKind::Text | InputKind::Number => "",
        });
        line(y, &format!("{}Enter: start  {about}", change.unwrap_or_default()), Hue::Dim, buffer);
    }
}
