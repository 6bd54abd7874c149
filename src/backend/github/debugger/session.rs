//! A conversation with the debugger of a job.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::net::Connection;

use super::dap::{self, Answer, Evaluation, Event, Frame, Incoming, Variable};
use super::socket::Socket;
use super::{DebuggerError, Report};

/// Maximum time until the debugger answers a request that runs nothing in the job.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum time from the end of the debugger to the result of the job.
const RESULT_TIMEOUT: Duration = Duration::from_secs(2);

/// Id of the only thread in the runner's protocol: the job.
const THREAD: i64 = 1;

/// Start of the help that the runner prints for its own console, whose commands differ from those of this program.
const CONSOLE_HELP: &str = "Actions Debug Console";

/// A conversation with the debugger of a job. Dropping it closes the connection; a stopped job then stays stopped,
/// until another client connects.
pub struct Session<S = Connection> {
    socket: Socket<S>,
    /// Number of the last request.
    number: u64,
    state: State,
    /// Whether an event has shown that the job continues since the last `next` or `continue`.
    went_on: bool,
}

/// State of the job, as far as the debugger has reported it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// The job runs, or has not reached its first step.
    Running,
    /// The job has stopped, for instance before a step. Holds the description from the debugger.
    Stopped(String),
    /// The job has ended. Holds 0 if it succeeded; `None` if the debugger ended without a result.
    Ended(Option<i64>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Starts a conversation, or continues one that an earlier client left.
    ///
    /// When a client connects to a stopped job, the runner reports the stop before it reads a request. The runner must
    /// not be initialized again then: it would forget that the job is stopped, and ignore `next` and `continue`.
    pub(super) async fn start(socket: Socket<S>, report: Report<'_>) -> Result<Self, DebuggerError> {
        let mut session = Self { socket, number: 0, state: State::Running, went_on: false };
        // The runner answers `threads` in every state. Another debugger may refuse it before it is initialized.
        match session.ask("threads", json!({}), report).await {
            Ok(_) | Err(DebuggerError::Rejected { .. }) => {}
            Err(error) => return Err(error),
        }
        if session.state != State::Running {
            return Ok(session);
        }
        let client = json!({
            "clientID": "cuelight",
            "clientName": "cuelight",
            "adapterID": "github-actions",
            "linesStartAt1": true,
            "columnsStartAt1": true,
            "pathFormat": "path",
            "supportsVariableType": true,
        });
        session.ask("initialize", client, report).await?;
        session.ask("attach", json!({}), report).await?;
        session.ask("configurationDone", json!({}), report).await?;
        Ok(session)
    }

    /// Returns the state of the job.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Waits until the job has stopped or ended.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn wait(&mut self, report: Report<'_>) -> Result<(), DebuggerError> {
        while self.state == State::Running {
            self.attend(report).await?;
        }
        Ok(())
    }

    /// Waits for a message, and applies it if it is an event. May be dropped at any time without losing a message.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn attend(&mut self, report: Report<'_>) -> Result<(), DebuggerError> {
        match self.receive().await? {
            Incoming::Event(event) => self.happened(event, report),
            Incoming::Answer(_) | Incoming::Other => Ok(()),
        }
    }

    /// Returns the exit code of a job that has ended: 0 if it succeeded, `None` if the debugger does not report it
    /// within two seconds.
    pub async fn result(&mut self, report: Report<'_>) -> Option<i64> {
        let telling = async {
            while self.state == State::Ended(None) {
                self.attend(report).await?;
            }
            Ok::<_, DebuggerError>(())
        };
        // The connection often closes after the result, or instead of it.
        let _ = timeout(RESULT_TIMEOUT, telling).await;
        if let State::Ended(code) = self.state { code } else { None }
    }

    /// Runs the step before which the job has stopped, and stops before the next one. Returns once the job has stopped
    /// there or has ended.
    ///
    /// # Errors
    /// The debugger refuses, or the connection broke.
    pub async fn next(&mut self, report: Report<'_>) -> Result<(), DebuggerError> {
        self.resume("next", report).await
    }

    /// Runs the rest of the job without further stops. Returns once it has ended.
    ///
    /// # Errors
    /// The debugger refuses, or the connection broke.
    pub async fn proceed(&mut self, report: Report<'_>) -> Result<(), DebuggerError> {
        self.resume("continue", report).await
    }

    async fn resume(&mut self, request: &'static str, report: Report<'_>) -> Result<(), DebuggerError> {
        // The stop at the next step may be reported before the answer.
        let stopped = std::mem::replace(&mut self.state, State::Running);
        self.went_on = false;
        if let Err(error) = self.ask(request, json!({"threadId": THREAD}), report).await {
            // After a refused request the job is still stopped, unless an event has shown that it continues.
            if !self.went_on {
                self.state = stopped;
            }
            return Err(error);
        }
        // The runner accepts the request even if the job does not wait for one and the request has no effect, so only
        // an event shows that the job continues.
        let going_on = async {
            while !self.went_on {
                self.attend(report).await?;
            }
            Ok::<_, DebuggerError>(())
        };
        let Ok(went_on) = timeout(ANSWER_TIMEOUT, going_on).await else {
            self.state = stopped;
            return Err(DebuggerError::Ignored(request));
        };
        went_on?;
        self.wait(report).await
    }

    /// Evaluates an expression in the stopped step, with or without `${{ }}`.
    ///
    /// # Errors
    /// The debugger refuses or gives no answer, or the connection broke. An invalid expression is not an error.
    pub async fn evaluate(&mut self, expression: &str, report: Report<'_>) -> Result<Evaluation, DebuggerError> {
        let arguments = json!({"expression": expression, "context": "watch"});
        Ok(dap::evaluation(&self.ask("evaluate", arguments, report).await?))
    }

    /// Runs a script in the job, with the variables of the stopped step. Its output is reported as it comes. Waits for
    /// as long as it runs: the protocol has no way to stop it.
    ///
    /// # Errors
    /// The debugger refuses, or the connection broke. A script that fails is not an error.
    pub async fn run(&mut self, script: &str, report: Report<'_>) -> Result<Evaluation, DebuggerError> {
        let arguments = json!({"expression": dap::run_expression(script), "context": "repl"});
        Ok(dap::evaluation(&self.request("evaluate", arguments, report).await?))
    }

    /// Returns the stopped step, and the steps that have ended, the last one first.
    ///
    /// # Errors
    /// The debugger refuses or gives no answer, or the connection broke.
    pub async fn steps(&mut self, report: Report<'_>) -> Result<Vec<Frame>, DebuggerError> {
        Ok(dap::frames(&self.ask("stackTrace", json!({"threadId": THREAD}), report).await?))
    }

    /// Returns the variables at a path, such as `github.event`: the contexts for an empty path, and the variable itself
    /// if it contains no variables.
    ///
    /// # Errors
    /// No variable has this path; or the debugger refuses or gives no answer, or the connection broke.
    pub async fn variables(&mut self, path: &str, report: Report<'_>) -> Result<Vec<Variable>, DebuggerError> {
        let frame = self.steps(report).await?.first().map_or(1, |frame| frame.id);
        let mut found = dap::scopes(&self.ask("scopes", json!({"frameId": frame}), report).await?);
        let mut rest = path;
        while !rest.is_empty() {
            let (variable, after) = child(&found, rest).ok_or_else(|| DebuggerError::NoVariable(path.to_owned()))?;
            rest = after;
            let Some(reference) = variable.children else {
                let is_last = rest.is_empty();
                return if is_last { Ok(vec![variable]) } else { Err(DebuggerError::NoVariable(path.to_owned())) };
            };
            let arguments = json!({"variablesReference": reference});
            found = dap::variables(&self.ask("variables", arguments, report).await?);
        }
        Ok(found)
    }

    /// Ends the debugger and closes the connection: the job runs on without it.
    ///
    /// # Errors
    /// The debugger refuses or gives no answer, or the connection broke.
    pub async fn disconnect(mut self, report: Report<'_>) -> Result<(), DebuggerError> {
        let ended = self.ask("disconnect", json!({"terminateDebuggee": false}), report).await;
        self.socket.close().await;
        ended.map(drop)
    }

    /// Closes the connection. A stopped job stays stopped.
    pub async fn leave(self) {
        self.socket.close().await;
    }

    /// Sends a request that the debugger answers at once, and returns the body of the answer.
    async fn ask(
        &mut self,
        request: &'static str,
        arguments: Value,
        report: Report<'_>,
    ) -> Result<Value, DebuggerError> {
        let asking = self.request(request, arguments, report);
        timeout(ANSWER_TIMEOUT, asking).await.unwrap_or(Err(DebuggerError::Silent(ANSWER_TIMEOUT)))
    }

    async fn request(
        &mut self,
        request: &'static str,
        arguments: Value,
        report: Report<'_>,
    ) -> Result<Value, DebuggerError> {
        self.number += 1;
        self.socket.send(dap::request(self.number, request, &arguments)).await?;
        loop {
            match self.receive().await? {
                Incoming::Answer(Answer { request: number, result }) if number == self.number => {
                    return result.map_err(|reason| DebuggerError::Rejected { request, reason });
                }
                Incoming::Event(event) => self.happened(event, report)?,
                Incoming::Answer(_) | Incoming::Other => {}
            }
        }
    }

    async fn receive(&mut self) -> Result<Incoming, DebuggerError> {
        dap::parse(&self.socket.receive().await?).ok_or(DebuggerError::Malformed)
    }

    /// Updates the state for an event, and reports the event.
    fn happened(&mut self, event: Event, report: Report<'_>) -> Result<(), DebuggerError> {
        self.went_on |= !matches!(event, Event::Output { .. } | Event::Other { .. });
        match &event {
            Event::Stopped { description } => self.state = State::Stopped(description.clone()),
            Event::Continued if !matches!(self.state, State::Ended(_)) => self.state = State::Running,
            // The runner sends the exit code after the end of the debugger.
            Event::Terminated if !matches!(self.state, State::Ended(_)) => self.state = State::Ended(None),
            Event::Exited { code } => self.state = State::Ended(*code),
            Event::Output { category, text } if category == "console" && text.starts_with(CONSOLE_HELP) => {
                return Ok(());
            }
            Event::Continued | Event::Terminated | Event::Output { .. } | Event::Other { .. } => {}
        }
        Ok(report(event)?)
    }
}

/// Returns the variable with which a path starts, and the rest of the path. Names are compared ignoring case, as in
/// expressions, and may contain dots. Elements of a list are named `[0]`.
fn child<'p>(variables: &[Variable], path: &'p str) -> Option<(Variable, &'p str)> {
    let after = |name: &str| {
        let start = path.get(..name.len()).filter(|_| !name.is_empty())?;
        let rest = path[name.len()..].strip_prefix('.').or_else(|| {
            let rest = &path[name.len()..];
            (rest.is_empty() || rest.starts_with('[')).then_some(rest)
        });
        rest.filter(|_| start.eq_ignore_ascii_case(name))
    };
    let named = variables.iter().filter_map(|variable| Some((variable, after(&variable.name)?)));
    named.max_by_key(|(variable, _)| variable.name.len()).map(|(variable, rest)| (variable.clone(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_starts_with_the_longest_name_that_fits() {
        let named =
            |name: &str| Variable { name: name.to_owned(), value: String::new(), kind: String::new(), children: None };
        let variables = ["env", "env.local", "Événement", "[0]", ""].map(named);
        for (path, expected) in [
            ("env", Some(("env", ""))),
            ("ENV.PATH", Some(("env", "PATH"))),
            ("env.local", Some(("env.local", ""))),
            ("env.local.x", Some(("env.local", "x"))),
            ("env[0].name", Some(("env", "[0].name"))),
            ("[0].name", Some(("[0]", "name"))),
            ("Événement", Some(("Événement", ""))),
            ("environment", None),
            ("É", None),
            (".", None),
        ] {
            let found = child(&variables, path);
            let found = found.as_ref().map(|(variable, rest)| (variable.name.as_str(), *rest));
            assert_eq!(found, expected, "{path}");
        }
    }
}
