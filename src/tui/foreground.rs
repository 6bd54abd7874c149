//! Programs that take over the terminal for a while, and commands that run in the background.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use rustix::process::{Signal as Kind, kill_current_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::model::feed::Notice;
use crate::model::{JobId, RunId};
use crate::store::logs::source_file;

/// A program that takes over the terminal.
#[derive(Debug)]
pub(super) struct Child {
    command: Command,
    /// Whether the program prints its own errors. The screen then does not report them. If the program fails at once,
    /// the screen waits for Enter before it covers them.
    prints_errors: bool,
    /// Whether the screen waits for Enter before it covers what the program printed.
    waits: bool,
}

/// Why a foreground program failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForegroundError {
    /// The program could not be started.
    #[error("cannot start {program}: {error}")]
    Start { program: String, error: io::Error },
    /// Waiting for the program failed.
    #[error("cannot wait for {program}: {error}")]
    Wait { program: String, error: io::Error },
    /// The program failed.
    #[error("{program} failed ({status})")]
    Failed { program: String, status: ExitStatus },
}

/// Maximum running time with which a program counts as failed at once. The user must then press Enter, because the
/// program has just printed an error that the user has not read yet.
const EARLY_FAILURE: Duration = Duration::from_secs(2);

/// Returns a shell in the environment of a job, or in a service container, opened by this program's `shell` command.
pub(super) fn shell(run: &RunId, job: &JobId, service: Option<&str>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["shell", run.as_str(), "--job", job.as_str()]);
    command.args(service.map(|service| format!("--service={service}")));
    Ok(Child { command, prints_errors: true, waits: false })
}

/// Returns a command of this program. Unless it shows a screen itself, the screen waits for Enter after it.
pub(super) fn program(arguments: &[String], has_screen: bool) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(Child { command, prints_errors: true, waits: !has_screen })
}

/// Returns this program's `logs` command, which follows the log of a running service: of a job, or of the Compose file.
pub(super) fn service_log(of: Option<&(RunId, JobId)>, service: &str) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("logs");
    match of {
        Some((run, job)) => command.args([run.as_str(), "--job", job.as_str()]).arg(format!("--service={service}")),
        None => command.arg(format!("--compose={service}")),
    };
    Ok(Child { command, prints_errors: true, waits: false })
}

/// Returns the user's editor (`VISUAL`, `EDITOR` or `vi`), which opens a file, at a line if given.
pub(super) fn editor(path: &Path, line: Option<u32>) -> Child {
    let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let mut command = Command::new(program);
    command.args(words).args(file_arguments(program, &path.to_string_lossy(), line));
    Child { command, prints_errors: false, waits: false }
}

/// Returns a file of the repository around the working directory; `None` if there is none.
pub(super) fn file_here(name: &str) -> Option<PathBuf> {
    std::env::current_dir().ok()?.ancestors().find_map(|root| source_file(root, name))
}

/// Starts a command of the settings in the background, with the id of the run and a message in its environment.
pub(super) fn start_command(command: &str, run: &RunId, text: &str) -> io::Result<()> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("CUELIGHT_RUN", run.as_str()).env("CUELIGHT_MESSAGE", text);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}

/// Returns the arguments that open a file in an editor, at a line if given.
fn file_arguments(program: &str, path: &str, line: Option<u32>) -> Vec<String> {
    let Some(line) = line else { return vec![path.to_owned()] };
    match program.rsplit('/').next().unwrap_or(program) {
        "code" | "codium" | "code-insiders" => vec!["--goto".to_owned(), format!("{path}:{line}")],
        "hx" | "helix" | "zed" | "subl" => vec![format!("{path}:{line}")],
        _ => vec![format!("+{line}"), path.to_owned()],
    }
}

/// Runs a program in the terminal and waits for its end. If the program stops itself, this program stops too, as job
/// control of the shell requires. If a program that prints its errors fails at once, or the screen would cover what it
/// printed, waits for Enter.
///
/// # Errors
/// The program cannot be started or waited for, or it failed without printing why.
pub(super) async fn run(mut child: Child, stop: &mut Signal) -> Result<(), ForegroundError> {
    let program = child.command.as_std().get_program().to_string_lossy().into_owned();
    let started = Instant::now();
    let mut running = match child.command.spawn() {
        Ok(running) => running,
        Err(error) => return Err(ForegroundError::Start { program, error }),
    };
    let status = loop {
        tokio::select! {
            ended = running.wait() => match ended {
                Ok(status) => break status,
                Err(error) => return Err(ForegroundError::Wait { program, error }),
            },
            _ = stop.recv() => drop(kill_current_process_group(Kind::STOP)),
        }
    };
    if !status.success() && !child.prints_errors {
        return Err(ForegroundError::Failed { program, status });
    }
    if child.waits || (!status.success() && started.elapsed() < EARLY_FAILURE) {
        // If this fails, the terminal is gone and the screen ends anyway.
        let _ = wait_for_return().await;
    }
    Ok(())
}

/// Meaning of a key while the screen waits for the user to have read what a program printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Return,
    Suspend,
}

impl Answer {
    /// Returns the meaning of a key; `None` if it has none.
    fn of(key: KeyEvent) -> Option<Self> {
        match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
            _ if key.kind == KeyEventKind::Release => None,
            (KeyCode::Char('z'), true) => Some(Self::Suspend),
            (KeyCode::Char('c'), true) | (KeyCode::Char('q'), false) | (KeyCode::Enter | KeyCode::Esc, _) => {
                Some(Self::Return)
            }
            _ => None,
        }
    }

    /// Asks the user, in raw mode: the terminal would otherwise pass keys on only after Enter. Blocks the thread.
    fn ask() -> io::Result<Self> {
        io::stderr().write_all(b"\nPress Enter to return to the screen. ")?;
        enable_raw_mode()?;
        let answer = loop {
            match event::read() {
                Ok(Event::Key(key)) => {
                    if let Some(answer) = Self::of(key) {
                        break Ok(answer);
                    }
                }
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        disable_raw_mode()?;
        answer
    }
}

/// Waits until the user wants to return to the screen. Can be suspended meanwhile.
async fn wait_for_return() -> io::Result<()> {
    let mut go_on = signal(SignalKind::from_raw(Kind::CONT.as_raw()))?;
    while tokio::task::spawn_blocking(Answer::ask).await?? == Answer::Suspend {
        // The call may return before the signal stops this thread, so this waits for the signal to continue.
        kill_current_process_group(Kind::STOP)?;
        go_on.recv().await;
    }
    Ok(())
}

/// Copies a text to the newest buffer of tmux and, if tmux is set up for it, to the clipboard of the terminal. Returns
/// a notice about the result.
pub(super) async fn copy_with_tmux(text: &str) -> Notice {
    if load_into_tmux(&["-w", "-"], text).await.is_ok_and(|status| status.success()) {
        Notice::news("copied to the buffer of tmux (paste: prefix ]) and to the clipboard of its terminal")
    } else if load_into_tmux(&["-"], text).await.is_ok_and(|status| status.success()) {
        Notice::news("copied to the buffer of tmux (paste: prefix ])")
    } else {
        Notice::bad("not copied: tmux refused the text")
    }
}

async fn load_into_tmux(args: &[&str], text: &str) -> io::Result<ExitStatus> {
    let mut command = Command::new("tmux");
    command.arg("load-buffer").args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn()?;
    if let Some(mut stdin) = running.stdin.take() {
        stdin.write_all(text.as_bytes()).await?;
    }
    running.wait().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_whose_name_begins_with_a_dash_is_no_flag() {
        let (run, job) = (RunId::new("20261124-000000-0001"), JobId::new("a"));
        let last = |child: io::Result<Child>| {
            let child = child.expect("the path of this program");
            child.command.as_std().get_args().last().map(|argument| argument.to_string_lossy().into_owned())
        };
        assert_eq!(last(service_log(None, "-x")).as_deref(), Some("--compose=-x"));
        assert_eq!(last(service_log(Some(&(run.clone(), job.clone())), "-x")).as_deref(), Some("--service=-x"));
        assert_eq!(last(shell(&run, &job, Some("-x"))).as_deref(), Some("--service=-x"));
    }

    #[test]
    fn every_key_that_leaves_a_box_returns_to_the_screen() {
        let answers = |keys: &str| crate::app::keymap::typed(keys).expect("keys").into_iter().map(Answer::of);
        assert!(answers("q<enter><esc><ctrl-c>").all(|answer| answer == Some(Answer::Return)));
        assert!(answers("<ctrl-z>").all(|answer| answer == Some(Answer::Suspend)));
        assert!(answers("xz<tab><ctrl-q>").all(|answer| answer.is_none()));
    }

    #[test]
    fn each_editor_gets_the_line_in_its_own_syntax() {
        for (program, arguments) in [
            ("vi", vec!["+3", "a.rs"]),
            ("/usr/bin/nano", vec!["+3", "a.rs"]),
            ("code", vec!["--goto", "a.rs:3"]),
            ("hx", vec!["a.rs:3"]),
        ] {
            assert_eq!(file_arguments(program, "a.rs", Some(3)), arguments);
            assert_eq!(file_arguments(program, "a.rs", None), ["a.rs"]);
        }
    }
}
