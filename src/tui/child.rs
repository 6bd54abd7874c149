//! Programs that the terminal is given to for a while.

use std::path::Path;

use rustix::process::{Signal as Kind, kill_current_process_group};
use tokio::process::Command;
use tokio::signal::unix::Signal;

/// The user's editor, showing a line of a file.
pub(super) fn editor(path: &Path, line: Option<u32>) -> Command {
    let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let mut command = Command::new(program);
    command.args(words).args(place(program, &path.to_string_lossy(), line));
    command
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

/// Runs a program that has the terminal, and waits for its end; one that does not succeed is an error in words. A program that stops itself stops all of us, as a shell
/// expects it of a job.
pub(super) async fn run(mut command: Command, stop: &mut Signal) -> Result<(), String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
    loop {
        tokio::select! {
            ended = child.wait() => {
                let status = ended.map_err(|error| format!("{name}: {error}"))?;
                return if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}")) };
            }
            _ = stop.recv() => drop(kill_current_process_group(Kind::STOP)),
        }
    }
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
