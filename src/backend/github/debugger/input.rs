//! The lines that a person or a script sends to a debugger.

use crate::model::nearest;

/// A line of input. A line that starts with `:` and a letter is a command for the debugger; any other line is a script
/// that runs in the job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// An empty line, or a comment.
    Empty,
    /// Run this script in the job.
    Run(String),
    /// Evaluate this expression.
    Evaluate(String),
    /// List the variables at this path; the contexts if it is empty.
    Variables(String),
    /// List the stopped step and the ones before it.
    Steps,
    /// Run the step, and stop before the next one.
    Next,
    /// Run the rest of the job.
    Continue,
    /// Close the connection.
    Leave,
    /// End the debugger, and let the job run on.
    Disconnect,
    /// List the commands of the debugger.
    Help,
}

/// Why a line cannot be carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineError {
    /// The name after the colon is not a command.
    #[error("unknown command `:{word}`; {}", near.map_or_else(|| "`:help` lists the commands".to_owned(), |near| format!("did you mean `:{near}`?")))]
    Unknown {
        /// The unknown name.
        word: String,
        /// A command with a similar name; `None` if there is none.
        near: Option<&'static str>,
    },
    /// The command needs an expression.
    #[error("`:eval` needs an expression, such as `:eval github.sha`")]
    NoExpression,
    /// The command takes no argument.
    #[error("`:{0}` takes no argument")]
    Argument(&'static str),
}

/// Commands of the debugger: name, argument and description.
const WORDS: [(&str, &str, &str); 8] = [
    ("steps", "", "list the stopped step and the ones before it"),
    ("vars", " [PATH]", "list the contexts, or the variables in one: `:vars github.event`"),
    ("eval", " EXPRESSION", "evaluate an expression: `:eval github.sha`"),
    ("next", "", "run the step and stop before the next one"),
    ("continue", "", "run the rest of the job without further stops"),
    ("leave", "", "close the connection; a stopped job stays stopped"),
    ("disconnect", "", "end the debugger; the job runs on without it"),
    ("help", "", "list these commands"),
];

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// The command after the colon is unknown, lacks its argument, or takes no argument.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let text = text.trim();
        let command = text.strip_prefix(':').filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
        let Some(command) = command else {
            let is_empty = text.is_empty() || text.starts_with('#');
            return Ok(if is_empty { Self::Empty } else { Self::Run(text.to_owned()) });
        };
        let (word, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let argument = argument.trim();
        let names = || WORDS.iter().map(|(name, ..)| *name);
        let Some(known) = names().find(|name| *name == word) else {
            return Err(LineError::Unknown { word: word.to_owned(), near: nearest(word, names()) });
        };
        let line = match known {
            "vars" => return Ok(Self::Variables(argument.to_owned())),
            "eval" if argument.is_empty() => return Err(LineError::NoExpression),
            "eval" => return Ok(Self::Evaluate(argument.to_owned())),
            "steps" => Self::Steps,
            "next" => Self::Next,
            "continue" => Self::Continue,
            "leave" => Self::Leave,
            "disconnect" => Self::Disconnect,
            _ => Self::Help,
        };
        if argument.is_empty() { Ok(line) } else { Err(LineError::Argument(known)) }
    }

    /// Returns the list of the commands, one per line.
    #[must_use]
    pub fn help() -> String {
        let words = WORDS.iter().map(|(word, argument, meaning)| {
            let command = format!(":{word}{argument}");
            format!("  {command:<18} {meaning}\n")
        });
        let first = format!("  {:<18} {}\n", "COMMAND", "run a command in the job, as a `run:` step does");
        std::iter::once(first).chain(words).collect::<String>().trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_for_the_job_or_for_the_debugger() {
        let run = |script: &str| Ok(Line::Run(script.to_owned()));
        for (text, line) in [
            ("", Ok(Line::Empty)),
            ("  # a comment", Ok(Line::Empty)),
            ("ls -la\n", run("ls -la")),
            (": > file", run(": > file")),
            (":", run(":")),
            ("next", run("next")),
            (":next", Ok(Line::Next)),
            (" :continue \r\n", Ok(Line::Continue)),
            (":leave", Ok(Line::Leave)),
            (":disconnect", Ok(Line::Disconnect)),
            (":steps", Ok(Line::Steps)),
            (":help", Ok(Line::Help)),
            (":vars", Ok(Line::Variables(String::new()))),
            (":vars  github.event ", Ok(Line::Variables("github.event".to_owned()))),
            (":eval ${{ github.sha }}", Ok(Line::Evaluate("${{ github.sha }}".to_owned()))),
            (":eval", Err(LineError::NoExpression)),
            (":next 2", Err(LineError::Argument("next"))),
            (":nxt", Err(LineError::Unknown { word: "nxt".to_owned(), near: Some("next") })),
            (":qwertz", Err(LineError::Unknown { word: "qwertz".to_owned(), near: None })),
        ] {
            assert_eq!(Line::parse(text), line, "{text:?}");
        }
        assert!(Line::help().lines().all(|line| line.len() < 100), "{}", Line::help());
        let unknown = Line::parse(":qwertz").expect_err("unknown").to_string();
        assert_eq!(unknown, "unknown command `:qwertz`; `:help` lists the commands");
    }
}
