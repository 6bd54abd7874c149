//! Runs short-lived programs on this machine and collects their output, for example to read a version, create a Python
//! environment, or fetch an action.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, copy, sink};
use tokio::process::Command;
use tokio::time::timeout;

use super::sandbox::Interrupt;
use super::sandbox::host::signal_group;

/// How long a program may take to print its version.
pub(in crate::engine) const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of bytes that are kept of each stream.
const MAX_KEPT: u64 = 64 * 1024;

/// A program that has ended.
pub(in crate::engine) struct Ended {
    pub(in crate::engine) status: ExitStatus,
    /// The first 64 KiB of its standard output. After that, its standard output is closed.
    pub(in crate::engine) output: Vec<u8>,
    /// The first 64 KiB of its standard error. The rest is discarded.
    pub(in crate::engine) messages: Vec<u8>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum CallError {
    /// The program cannot be started, or its output cannot be read.
    #[error(transparent)]
    Start(#[from] io::Error),
    /// The time limit passed. The program and all processes that it started were killed.
    #[error("it did not end within {} s", .0.as_secs())]
    TooSlow(Duration),
}

impl From<CallError> for io::Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Start(error) => error,
            CallError::TooSlow(_) => Self::new(io::ErrorKind::TimedOut, error),
        }
    }
}

/// Calls a program without input, and waits for its end. Dropping the future kills the program and all processes that
/// it started.
///
/// # Errors
/// The program cannot be started, its output cannot be read, or it does not end within `limit`.
pub(in crate::engine) async fn call(command: &mut Command, limit: Duration) -> Result<Ended, CallError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let mut group = Group(child.id());
    let (output, messages) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let output = async { beginning(output).await.map(|(kept, _)| kept) };
        // Reads all messages, because git fails if it cannot write the messages of the server.
        tokio::join!(output, drained(messages), child.wait())
    };
    let (output, messages, status) = timeout(limit, ended).await.map_err(|_| CallError::TooSlow(limit))?;
    // The system may reuse the id of the group from now on.
    group.0 = None;
    Ok(Ended { status: status?, output: output?, messages: messages? })
}

/// Reads a stream to its end. Returns its first [`MAX_KEPT`] bytes.
///
/// # Errors
/// There is no stream, or it cannot be read.
pub(in crate::engine) async fn drained<S: AsyncRead + Unpin>(stream: Option<S>) -> io::Result<Vec<u8>> {
    let (kept, mut rest) = beginning(stream).await?;
    copy(&mut rest, &mut sink()).await?;
    Ok(kept)
}

/// Reads up to [`MAX_KEPT`] bytes of a stream. Returns them with the rest of the stream.
async fn beginning<S: AsyncRead + Unpin>(stream: Option<S>) -> io::Result<(Vec<u8>, S)> {
    let mut stream = stream.ok_or(io::ErrorKind::BrokenPipe)?;
    let mut kept = Vec::new();
    (&mut stream).take(MAX_KEPT).read_to_end(&mut kept).await?;
    Ok((kept, stream))
}

/// The process group of a program. Dropping this value kills the group, as programs leave helper processes behind.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|group| i32::try_from(group).ok()) {
            signal_group(group, Interrupt::Kill);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn what_a_program_prints_is_kept_up_to_a_size() {
        let ended = call(&mut shell("echo out; echo message >&2; exit 3"), Duration::from_mins(1)).await.expect("ends");
        assert_eq!(
            (ended.status.code(), &*ended.output, &*ended.messages),
            (Some(3), &b"out\n"[..], &b"message\n"[..])
        );
        // Endless output and long messages are cut off.
        let ended = call(&mut shell("exec yes"), Duration::from_mins(1)).await.expect("ends");
        assert!(ended.output.len() as u64 == MAX_KEPT && !ended.status.success());
        let script = "head -c 3000000 /dev/zero >&2; echo done";
        let ended = call(&mut shell(script), Duration::from_mins(1)).await.expect("ends");
        assert!(ended.status.success() && ended.messages.len() as u64 == MAX_KEPT && ended.output == b"done\n");
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed_with_all_that_it_started() {
        let home = tempfile::tempdir().expect("a folder");
        let pid = home.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let began = Instant::now();
        let error = call(&mut shell(&script), Duration::from_millis(500)).await.err().expect("too slow");
        assert!(matches!(error, CallError::TooSlow(_)) && began.elapsed() < Duration::from_secs(30));
        let pid = std::fs::read_to_string(pid).expect("started").trim().to_owned();
        // A killed process has no command line until it is reaped.
        let runs = || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty());
        while runs() {
            assert!(began.elapsed() < Duration::from_mins(1), "it runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
