//! Prints the output of a job's debugger, as lines for people or as JSON.

use std::io;

use serde_json::{Value, json};

use crate::backend::github::debugger::{Evaluation, Event, Frame, Variable};
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::theme::Hue;

use super::style;
use super::style::{Out, Style};

/// Prints the output of the debugger: for people, or as one JSON object per line on standard output. For people, only
/// results and the standard output of commands are on standard output, so that they can be piped.
#[derive(Clone, Copy)]
pub struct Printer {
    json: bool,
    style: Style,
    errors: Style,
}

impl Printer {
    /// Returns a printer for people, or one that prints JSON.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json, style: Style::of_output(), errors: Style::of_errors() }
    }

    /// Prints an event.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn event(self, event: &Event) -> io::Result<()> {
        if self.json {
            return style::json(&document(event));
        }
        let (output, errors) = event_lines(event, self.style, self.errors);
        errors.iter().for_each(style::notice);
        output.iter().try_for_each(style::line)
    }

    /// Prints a message of this program.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn note(self, document: &Value, line: &TerminalText) -> io::Result<()> {
        if self.json {
            return style::json(document);
        }
        style::notice(line);
        Ok(())
    }

    /// Prints why a line of input is not carried out.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn complain(self, message: &str) -> io::Result<()> {
        if self.json {
            return style::json(&json!({"event": "error", "message": message}));
        }
        style::complain(message);
        Ok(())
    }

    /// Prints the prompt of a terminal, to standard error, because it is not a result.
    pub fn prompt(self) {
        if self.json {
            return;
        }
        let mut stderr = io::stderr().lock();
        // A closed standard error is ignored.
        let _ = Out::new(&mut stderr).print(&text!("> "));
    }

    /// Prints the result of a command, whose output was printed before, and returns whether it succeeded.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn command(self, script: &str, result: &Evaluation) -> io::Result<bool> {
        let Evaluation { text, failed } = result;
        if self.json {
            style::json(&json!({"event": "result", "command": script, "text": text, "failed": failed}))?;
        } else if *failed {
            output(text, self.errors).iter().for_each(style::notice);
        }
        Ok(!failed)
    }

    /// Prints the result of an expression, and returns whether it is valid.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn expression(self, expression: &str, result: &Evaluation) -> io::Result<bool> {
        let Evaluation { text, failed } = result;
        if self.json {
            style::json(&json!({"event": "result", "expression": expression, "text": text, "failed": failed}))?;
        } else if *failed {
            output(text, self.errors).iter().for_each(style::notice);
        } else {
            output(text, self.style).iter().try_for_each(style::line)?;
        }
        Ok(!failed)
    }

    /// Prints variables.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn variables(self, path: &str, variables: &[Variable]) -> io::Result<()> {
        if !self.json {
            return variables.iter().try_for_each(|variable| style::line(&variable_line(variable, self.style)));
        }
        let variable = |variable: &Variable| {
            json!({
                "name": variable.name,
                "value": variable.value,
                "type": variable.kind,
                "has_variables": variable.has_children(),
            })
        };
        let variables: Vec<_> = variables.iter().map(variable).collect();
        style::json(&json!({"event": "variables", "path": path, "variables": variables}))
    }

    /// Prints steps.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn steps(self, steps: &[Frame]) -> io::Result<()> {
        if self.json {
            let names: Vec<_> = steps.iter().map(|step| &step.name).collect();
            return style::json(&json!({"event": "steps", "steps": names}));
        }
        steps.iter().try_for_each(|step| style::line(&step.name))
    }

    /// Prints the list of the commands.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn help(self, help: &str) -> io::Result<()> {
        style::answer(self.json, &json!({"event": "help", "text": help}), &TerminalText::lines(help))
    }

    /// Prints that the job has ended.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn ended(self, code: Option<i64>) -> io::Result<()> {
        let what = match code {
            Some(0) => "The job has succeeded.",
            Some(_) => "The job has failed.",
            None => "The debugger has ended without the result of the job.",
        };
        self.note(&json!({"event": "ended", "exit_code": code}), &text!("{}", what))
    }
}

/// Returns an event as JSON.
fn document(event: &Event) -> Value {
    match event {
        Event::Stopped { description } => json!({"event": "stopped", "description": description}),
        Event::Continued => json!({"event": "continued"}),
        Event::Output { category, text } => json!({"event": "output", "category": category, "text": text}),
        Event::Exited { code } => json!({"event": "exited", "exit_code": code}),
        Event::Terminated => json!({"event": "terminated"}),
        Event::Other { name } => json!({"event": "other", "name": name}),
    }
}

/// Returns an event as lines: those for standard output, and those for standard error.
fn event_lines(event: &Event, style: Style, errors: Style) -> (Vec<TerminalText>, Vec<TerminalText>) {
    match event {
        Event::Stopped { description } => (Vec::new(), vec![errors.bold(text!("{}", description))]),
        Event::Output { category, text } if category == "stdout" => (output(text, style), Vec::new()),
        Event::Output { category, text } if category == "stderr" => (Vec::new(), output(text, errors)),
        // The output is marked, so that it cannot be mistaken for a message of this program.
        Event::Output { text, .. } => {
            let lines = output(text, errors).into_iter().filter(|line| !line.is_empty());
            (Vec::new(), lines.map(|line| errors.paint(Hue::Dim, text!("| {}", line))).collect())
        }
        Event::Continued | Event::Exited { .. } | Event::Terminated | Event::Other { .. } => (Vec::new(), Vec::new()),
    }
}

/// Returns the lines of the output of a job.
fn output(text: &str, style: Style) -> Vec<TerminalText> {
    text.lines().map(|line| TerminalText::log_line(line.as_bytes(), style.colours())).collect()
}

/// Returns a variable as a line.
fn variable_line(variable: &Variable, style: Style) -> TerminalText {
    match variable.value.as_str() {
        value if variable.has_children() => text!("{}  {}", variable.name, style.paint(Hue::Dim, value)),
        value => text!("{} = {}", variable.name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Glyphs;

    #[test]
    fn no_text_of_a_debugger_reaches_the_terminal_as_it_is() {
        let hostile = "\u{1b}]52;c;aGk=\u{7}a\u{1b}[2J\u{202e}\r\nb\u{9b}1m\n";
        for colour in [false, true] {
            let style = Style::new(Glyphs::Unicode, colour);
            for category in ["stdout", "stderr", "console", "\u{1b}[2J"] {
                let event = Event::Output { category: category.to_owned(), text: hostile.to_owned() };
                let (out, errors) = event_lines(&event, style, style);
                assert_eq!(out.is_empty(), category != "stdout");
                let lines: Vec<_> = out.iter().chain(&errors).map(|line| line.plain().into_owned()).collect();
                assert!(
                    lines.iter().all(|line| !line.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}'])),
                    "{lines:?}"
                );
                assert_eq!(lines.len(), 2, "{lines:?}");
            }
            let stopped = Event::Stopped { description: hostile.to_owned() };
            let (_, lines) = event_lines(&stopped, style, style);
            assert_eq!(lines.len(), 1);
            assert!(!lines[0].plain().contains(['\u{1b}', '\n']), "{lines:?}");
        }
    }
}
