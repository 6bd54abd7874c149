//! Programs that the terminal is given to for a while.

use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Signal as Kind, kill_current_process_group};
use tokio::process::Command;
use tokio::signal::unix::Signal;

use crate::model::{JobId, RunId};

/// A program that is to have the terminal.
#[derive(Debug)]
pub(super) struct Child {
    command: Command,
    /// What it says when it fails at once is to be read before the screen comes back.
    speaks: bool,
}

/// A program that fails within this time has said why.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A shell where a job runs or failed: the program itself opens it.
pub(super) fn shell(run: &RunId, job: &JobId, service: Option<&str>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["shell", run.as_str(), job.as_str()]);
    command.args(service.into_iter().flat_map(|service| ["--service", service]));
    Ok(Child { command, speaks: true })
}

/// The user's editor, showing a line of a file.
pub(super) fn editor(path: &Path, line: Option<u32>) -> Child {
    let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let mut command = Command::new(program);
    command.args(words).args(place(program, &path.to_string_lossy(), line));
    Child { command, speaks: false }
}

/// Runs a command of the user that nobody waits for, with the run and what happened in its environment.
pub(super) fn call(command: &str, run: &RunId, text: &str) -> io::Result<()> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("CUELIGHT_RUN", run.as_str()).env("CUELIGHT_MESSAGE", text);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}

/// How an editor is told a file and a line of it.
fn place(program: &str, path: &str, line: Option<u32>) -> Vec<String> {
    let Some(line) = line else { return vec![path.to_owned()] };
    match program.rsplit('/').next().unwrap_or(program) {
        "code" | "codium" | "code-insiders" => vec!["--goto".to_owned(), format!("{path}:{line}")],
        "hx" | "helix" | "zed" | "subl" => vec![format!("{path}:{line}")],
        _ => vec![format!("+{line}"), path.to_owned()],
    }
}

/// Runs a program that has the terminal, and waits for its end. A program that stops itself stops all of us, as a shell
/// expects it of a job. One that does not speak for itself is an error when it fails.
pub(super) async fn run(mut child: Child, stop: &mut Signal) -> Result<(), String> {
    let name = child.command.as_std().get_program().to_string_lossy().into_owned();
    let begun = Instant::now();
    let mut running = child.command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
    let ended = loop {
        tokio::select! {
            ended = running.wait() => break ended.map_err(|error| format!("{name}: {error}"))?,
            _ = stop.recv() => drop(kill_current_process_group(Kind::STOP)),
        }
    };
    if !child.speaks && !ended.success() {
        return Err(format!("{name} ended with {ended}"));
    }
    if child.speaks && !ended.success() && begun.elapsed() < AT_ONCE {
        // A terminal that is gone has nobody who waits.
        let _ = tokio::task::spawn_blocking(|| {
            io::stderr().write_all(b"Enter leads back to the screen. ")?;
            io::stdin().read_line(&mut String::new())
        })
        .await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_are_told_the_line_in_their_own_way() {
        for (program, told) in [
            ("vi", vec!["+3", "a.rs"]),
            ("/usr/bin/nano", vec!["+3", "a.rs"]),
            ("code", vec!["--goto", "a.rs:3"]),
            ("hx", vec!["a.rs:3"]),
        ] {
            assert_eq!(place(program, "a.rs", Some(3)), told);
            assert_eq!(place(program, "a.rs", None), ["a.rs"]);
        }
    }
}
