//! `shell` for a job on GitHub: a conversation with its debugger, from a terminal or a pipe.

use std::io::{self, IsTerminal};

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::backend::github::debugger::{Attached, DebuggerError, Event, Line, Session, State, attach};
use crate::backend::runs::{Runs, RunsError};
use crate::report::debugger::Printer;
use crate::report::style;
use crate::store::folder::RunFolder;
use crate::ui::terminal_text::text;

use super::{Exit, Failure, Outcome, block_on};

/// Connects to the debugger of a job, and carries out the lines of standard input.
pub(super) fn run(folder: &RunFolder, job: Option<&str>, json: bool) -> Outcome {
    let runs = Runs::new(folder.runs());
    block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        tokio::select! {
            ended = converse(&runs, folder, job, Printer::new(json)) => ended,
            // The conversation is dropped, which closes the connection.
            _ = interrupted.recv() => {
                style::notice(&text!("Left {}. If it has stopped, it stays stopped.", folder.id()));
                Ok(Exit::Cancelled)
            }
        }
    })?
}

async fn converse(runs: &Runs, folder: &RunFolder, job: Option<&str>, printer: Printer) -> Outcome {
    let poller = runs.poller().map_err(RunsError::from)?;
    let mut wait = |reason: String| style::notice(&text!("{} (Ctrl-C to leave)", reason));
    let mut report = |event: Event| printer.event(&event);
    let Attached { job, mut session } = attach(poller, folder, job, &mut wait, &mut report).await?;
    let greeting = text!("Connected to the debugger of {}; `:help` lists its commands.", job);
    printer.note(&json!({"event": "connected", "run": folder.id(), "job": job}), &greeting)?;
    let mut lines = lines();
    let is_interactive = io::stdin().is_terminal();
    let mut last = Exit::Success;
    loop {
        session.wait(&mut report).await?;
        if matches!(session.state(), State::Ended(_)) {
            let code = session.result(&mut report).await;
            printer.ended(code)?;
            return Ok(match code {
                Some(0) => Exit::Success,
                Some(_) => Exit::Failed,
                // An unknown result has the exit code of a lost connection, so that no script takes it for a success.
                None => Exit::Unavailable,
            });
        }
        if is_interactive {
            printer.prompt();
        }
        let line = tokio::select! {
            line = lines.recv() => line,
            // The state of the job may change while no line is entered, for example because the run is cancelled.
            changed = session.attend(&mut report) => {
                changed?;
                continue;
            }
        };
        let Some(line) = line.transpose()? else {
            let again = text!("The job stays stopped: `cuelight shell {}` connects again.", folder.id());
            printer.note(&json!({"event": "left"}), &again)?;
            session.leave().await;
            return Ok(last);
        };
        match Line::parse(&line) {
            Ok(Line::Leave) => {
                session.leave().await;
                return Ok(last);
            }
            Ok(Line::Disconnect) => {
                session.disconnect(&mut report).await?;
                printer.note(&json!({"event": "disconnected"}), &text!("The job runs on without the debugger."))?;
                return Ok(last);
            }
            Ok(parsed) => match carry_out(&parsed, &mut session, printer).await {
                Ok(exit) => last = exit.unwrap_or(last),
                // A refused request does not end the conversation.
                Err(
                    error @ (DebuggerError::Rejected { .. } | DebuggerError::Ignored(_) | DebuggerError::NoVariable(_)),
                ) => {
                    printer.complain(&error.to_string())?;
                    last = Exit::Failed;
                }
                Err(error) => return Err(error.into()),
            },
            // Input from a script ends at an invalid line: its other lines may depend on that line.
            Err(error) if !is_interactive => return Err(Failure::new(Exit::Usage, error.to_string())),
            Err(error) => printer.complain(&error.to_string())?,
        }
    }
}

/// Carries out a line, and prints its result. Returns its exit code; `None` for a line that sends no request, which
/// keeps the exit code of the line before.
async fn carry_out(line: &Line, session: &mut Session, printer: Printer) -> Result<Option<Exit>, DebuggerError> {
    let mut report = |event: Event| printer.event(&event);
    let mut has_succeeded = true;
    match line {
        Line::Run(script) => {
            let result = session.run(script, &mut report).await?;
            has_succeeded = printer.command(script, &result)?;
        }
        Line::Evaluate(text) => {
            let result = session.evaluate(text, &mut report).await?;
            has_succeeded = printer.expression(text, &result)?;
        }
        Line::Variables(path) => printer.variables(path, &session.variables(path, &mut report).await?)?,
        Line::Steps => printer.steps(&session.steps(&mut report).await?)?,
        Line::Next => session.next(&mut report).await?,
        Line::Continue => session.proceed(&mut report).await?,
        Line::Help => {
            printer.help(&Line::help())?;
            return Ok(None);
        }
        Line::Empty | Line::Leave | Line::Disconnect => return Ok(None),
    }
    Ok(Some(if has_succeeded { Exit::Success } else { Exit::Failed }))
}

/// Reads the lines of standard input in a thread, which ends with the process.
fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl From<DebuggerError> for Failure {
    fn from(error: DebuggerError) -> Self {
        let exit = match error {
            DebuggerError::Job(error) => return error.into(),
            DebuggerError::Poll(error) => return error.into(),
            DebuggerError::Api(error) => return error.into(),
            DebuggerError::Store(error) => return error.into(),
            DebuggerError::Output(error) => return error.into(),
            DebuggerError::NoVariable(_) => Exit::NotFound,
            DebuggerError::Unavailable { .. }
            | DebuggerError::Ended { .. }
            | DebuggerError::Missing { .. }
            | DebuggerError::NoToken
            | DebuggerError::Endpoint(_)
            | DebuggerError::Refused { status: 401 | 403, .. }
            | DebuggerError::Rejected { .. }
            | DebuggerError::Ignored(_) => Exit::Rejected,
            DebuggerError::Refused { .. }
            | DebuggerError::Unreachable { .. }
            | DebuggerError::Lost(_)
            | DebuggerError::Closed(_)
            | DebuggerError::Silent(_)
            | DebuggerError::TooLarge
            | DebuggerError::Malformed => Exit::Unavailable,
        };
        Self::new(exit, error.to_string())
    }
}
