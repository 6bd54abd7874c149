//! Runs the commands of environments with `sh`, in the root of the repository.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::outlet::Progress;
use crate::model::RunId;

/// How long a command may take to end after SIGTERM.
const AFTER_TERM: Duration = Duration::from_secs(5);

/// How long output may stay open after a command has ended: a daemon that it started may hold the pipe.
const AFTER_EXIT: Duration = Duration::from_secs(1);

/// Maximum number of bytes of output that are kept for the caller.
const MAX_KEPT: usize = 64 * 1024;

/// Folder and environment in which commands run.
#[derive(Clone, Debug)]
pub struct Shell {
    /// Folder in which commands run.
    pub folder: PathBuf,
    /// Environment variables of commands.
    pub environment: Vec<(OsString, OsString)>,
}

/// Where the standard output of a command goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// To the log of the step.
    Logged,
    /// To the caller.
    Kept,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit status; `None` if the time limit passed.
    pub status: Option<ExitStatus>,
    /// The first 64 KiB of its output, if the output is kept for the caller.
    pub output: Vec<u8>,
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The shell cannot be started.
    #[error("cannot start `sh`: {0}")]
    Start(io::Error),
    /// The command ended with an error.
    #[error("the {name} command failed: {status}")]
    Failed {
        /// Name of the command.
        name: &'static str,
        /// Exit status.
        status: ExitStatus,
    },
    /// The time limit of the command passed.
    #[error("the {name} command did not end within {}", crate::model::deployment::written(*limit))]
    TooSlow {
        /// Name of the command.
        name: &'static str,
        /// The time limit.
        limit: Duration,
    },
}

impl Shell {
    /// Runs a command and waits for its end. Its standard error goes to the log of the step, and its standard output
    /// there or to the caller. After the time limit, the processes get SIGTERM, and are killed at most 5 seconds later.
    /// If the future is dropped, they are killed.
    ///
    /// # Errors
    /// The shell cannot be started, or waiting for it fails.
    pub async fn run(
        &self,
        text: &str,
        variables: &[(&str, String)],
        limit: Duration,
        (progress, output): (&Progress, Output),
    ) -> io::Result<Ended> {
        let mut command = self.command(text, variables);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        if let Some(pid) = group.0 {
            progress.started(pid.as_raw_nonzero().get());
        }
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let mut kept = Vec::new();
        let status = {
            let to = match output {
                Output::Logged => Sink::Log(progress),
                Output::Kept => Sink::Kept(&mut kept),
            };
            let reading = async { tokio::join!(copy(stdout, to), copy(stderr, Sink::Log(progress))) };
            tokio::pin!(reading);
            let waiting = async { timeout(limit, child.wait()).await };
            tokio::pin!(waiting);
            let mut is_read = false;
            let status = loop {
                tokio::select! {
                    status = &mut waiting => break status,
                    _ = &mut reading, if !is_read => is_read = true,
                }
            };
            if status.is_ok() && !is_read {
                let _ = timeout(AFTER_EXIT, &mut reading).await;
            }
            status
        };
        let status = if let Ok(status) = status {
            Some(status?)
        } else {
            group.signal(Signal::TERM);
            tokio::select! {
                _ = child.wait() => {}
                () = sleep(AFTER_TERM) => {}
            }
            group.signal(Signal::KILL);
            let _ = child.wait().await;
            None
        };
        if status.is_some() {
            // Processes that the command left in the background, such as a server, are meant to stay.
            group.forget();
        }
        Ok(Ended { status, output: kept })
    }
}

impl Shell {
    /// Runs a command whose output is not kept. Returns its exit status; `None` if the time limit passed. Processes
    /// that the command has left in the background are killed.
    ///
    /// # Errors
    /// The shell cannot be started, or waiting for it fails.
    pub async fn run_unseen(
        &self,
        text: &str,
        variables: &[(&str, String)],
        limit: Duration,
    ) -> io::Result<Option<ExitStatus>> {
        let mut command = self.command(text, variables);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let ended = timeout(limit, child.wait()).await;
        drop(group);
        ended.ok().transpose()
    }

    fn command(&self, text: &str, variables: &[(&str, String)]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", text])
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0);
        command
    }
}

/// A process group that is killed when it is dropped.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // The processes may have ended.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Kills the process groups of the command that ran when the worker of a deployment died. Processes that earlier
/// commands left in the background keep running, because they may serve. Ids of groups are reused, so groups are
/// recognised by the `DEPLOY_ID` of their first process.
pub fn kill_left(groups: &[i32], deployment: &RunId) {
    let wanted = format!("DEPLOY_ID={deployment}");
    for pid in groups.iter().filter_map(|group| Pid::from_raw(*group)) {
        let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
        let is_ours = environment.is_ok_and(|text| text.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()));
        if is_ours {
            Group(Some(pid)).signal(Signal::KILL);
        }
    }
}

/// Where one stream of a command goes.
enum Sink<'s> {
    Log(&'s Progress),
    Kept(&'s mut Vec<u8>),
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: Sink<'_>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        match &mut to {
            Sink::Log(log) => log.write(&buffer[..count]),
            Sink::Kept(kept) => {
                let room = MAX_KEPT.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&buffer[..room]);
            }
        }
    }
}
