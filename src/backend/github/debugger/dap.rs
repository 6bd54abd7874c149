//! Messages of the Debug Adapter Protocol, as GitHub's runner sends and accepts them.
//!
//! Fields that are missing, of another type or unknown never make a message unreadable: the protocol is a preview.

use serde_json::{Value, json};

/// A message of the debugger.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Incoming {
    /// The answer to a request.
    Answer(Answer),
    /// An event.
    Event(Event),
    /// A message of an unknown type.
    Other,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Answer {
    /// Number of the request.
    pub(super) request: u64,
    /// The body, or the message with which the request is refused.
    pub(super) result: Result<Value, String>,
}

/// An event of the job or the debugger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The job has stopped before a step, or at its end.
    Stopped {
        /// Description of the place, from the debugger; may be empty.
        description: String,
    },
    /// The job continues.
    Continued,
    /// Output of a command, or a message of the debugger.
    Output {
        /// Where it was written: `stdout`, `stderr`, `console`, or an unknown category.
        category: String,
        /// The text, with its line ends.
        text: String,
    },
    /// The job has ended.
    Exited {
        /// 0 if the job succeeded; `None` if the debugger does not say.
        code: Option<i64>,
    },
    /// The debugger has ended. The job may go on without it.
    Terminated,
    /// An unknown event.
    Other {
        /// Name of the event; may be empty.
        name: String,
    },
}

/// A step of the job: the one before or in which the job has stopped, or one that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Id of the frame. The frame of the stopped step is the first in a list.
    pub(super) id: i64,
    /// Name of the step, with its state in brackets.
    pub name: String,
}

/// A variable of a context, or a context itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value as text. Secrets are masked by the runner.
    pub value: String,
    /// Type of the value, such as `string`; may be empty.
    pub kind: String,
    /// Reference for requesting the variables inside this one; `None` if there are none.
    pub(super) children: Option<i64>,
}

impl Variable {
    /// Whether this variable contains variables.
    #[must_use]
    pub fn has_children(&self) -> bool {
        self.children.is_some()
    }
}

/// The result of an expression or a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evaluation {
    /// The result as text. Secrets are masked by the runner.
    pub text: String,
    /// Whether the expression is invalid, or the command failed.
    pub failed: bool,
}

/// Returns a request as text. `number` is its sequence number.
pub(super) fn request(number: u64, command: &str, arguments: &Value) -> String {
    json!({"seq": number, "type": "request", "command": command, "arguments": arguments}).to_string()
}

/// Reads a message. `None` if the text is not a JSON object.
pub(super) fn parse(text: &str) -> Option<Incoming> {
    let mut message: Value = serde_json::from_str(text).ok().filter(Value::is_object)?;
    Some(match message["type"].as_str() {
        Some("response") => {
            let succeeded = message["success"] == true;
            let body = message["body"].take();
            let result = if succeeded { Ok(body) } else { Err(refusal(&message, &body)) };
            Incoming::Answer(Answer { request: message["request_seq"].as_u64().unwrap_or_default(), result })
        }
        Some("event") => Incoming::Event(event(&message)),
        _ => Incoming::Other,
    })
}

/// Returns the reason of a failed response: its `message` or, without one, the error in its body.
fn refusal(message: &Value, body: &Value) -> String {
    let short = message["message"].as_str();
    short.or_else(|| body["error"]["format"].as_str()).unwrap_or_default().to_owned()
}

fn event(message: &Value) -> Event {
    let body = &message["body"];
    match message["event"].as_str() {
        Some("stopped") => {
            let description = body["description"].as_str().or_else(|| body["reason"].as_str());
            Event::Stopped { description: description.unwrap_or_default().to_owned() }
        }
        Some("continued") => Event::Continued,
        Some("output") => {
            Event::Output { category: field(body, "category", "console"), text: field(body, "output", "") }
        }
        Some("exited") => Event::Exited { code: body["exitCode"].as_i64() },
        Some("terminated") => Event::Terminated,
        name => Event::Other { name: name.unwrap_or_default().to_owned() },
    }
}

/// Returns a field as text. A value that is not a string is returned as JSON, and a missing one as `otherwise`.
fn field(value: &Value, name: &str, otherwise: &str) -> String {
    match &value[name] {
        Value::Null => otherwise.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Reads the steps of an answer to `stackTrace`.
pub(super) fn frames(body: &Value) -> Vec<Frame> {
    let frame = |value: &Value| Frame { id: value["id"].as_i64().unwrap_or_default(), name: field(value, "name", "") };
    items(body, "stackFrames").map(frame).collect()
}

/// Reads the contexts of an answer to `scopes`.
pub(super) fn scopes(body: &Value) -> Vec<Variable> {
    let scope = |value: &Value| Variable {
        name: field(value, "name", ""),
        value: value["namedVariables"].as_u64().map(|count| format!("({count})")).unwrap_or_default(),
        kind: "context".to_owned(),
        children: reference(value),
    };
    items(body, "scopes").map(scope).collect()
}

/// Reads the variables of an answer to `variables`.
pub(super) fn variables(body: &Value) -> Vec<Variable> {
    let variable = |value: &Value| Variable {
        name: field(value, "name", ""),
        value: field(value, "value", ""),
        kind: field(value, "type", ""),
        children: reference(value),
    };
    items(body, "variables").map(variable).collect()
}

/// Reads an answer to `evaluate`.
pub(super) fn evaluation(body: &Value) -> Evaluation {
    let text = field(body, "result", "");
    // The runner reports an invalid expression in the text of the result, not as a failed response.
    let failed = body["type"] == "error" || text.starts_with("Evaluation error: ");
    Evaluation { text, failed }
}

fn items<'v>(body: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    body[name].as_array().into_iter().flatten()
}

fn reference(value: &Value) -> Option<i64> {
    value["variablesReference"].as_i64().filter(|reference| *reference > 0)
}

/// Returns the expression with which the runner runs a script in the job, as a step does.
pub(super) fn run_expression(script: &str) -> String {
    format!("run(\"{}\")", script.replace('\\', "\\\\").replace('"', "\\\""))
}
