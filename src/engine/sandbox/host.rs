//! The host sandbox: plain processes of this machine, each step's in a process group of its own.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe;
use tokio::process::Command;

use super::{Child, Exit, Interrupt, Launch, Sandbox};

/// The pipe between a step and its reader. 1 MiB is what Linux lets a user have by default
/// (`/proc/sys/fs/pipe-max-size`), and it lets a flood of lines come in large portions.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1024 * 1024;

/// Variables of the user's shell that a runner would not have: access that was not given to the workflow.
const WITHHELD: &[&str] = &["GITHUB_TOKEN", "GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];

/// Runs processes on this machine.
#[derive(Debug)]
pub struct Host {
    environment: Vec<(OsString, OsString)>,
}

impl Host {
    /// A host whose processes start from this environment, less what a runner would not have: tokens of the user, the
    /// variables of an outer run, and our own.
    #[must_use]
    pub fn new(inherited: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let kept = inherited.into_iter().filter(|(name, _)| {
            let name = name.to_string_lossy();
            let outer = ["GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "STATE_", "CUELIGHT_"];
            !outer.iter().any(|prefix| name.starts_with(prefix)) && !WITHHELD.contains(&name.as_ref())
        });
        Self { environment: kept.collect() }
    }
}

impl Sandbox for Host {
    fn describe(&self) -> String {
        "host".to_owned()
    }

    fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    fn start(&self, launch: &Launch) -> io::Result<Child> {
        let (reader, writer) = io::pipe()?;
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::pipe::fcntl_setpipe_size(&reader, PIPE_SIZE) {
            // Only speed is lost: the user's quota of pipe memory may be used up.
            tracing::debug!(%error, "the pipe keeps its default size");
        }
        let mut child = Command::new(&launch.program)
            .args(&launch.args)
            .current_dir(&launch.cwd)
            .env_clear()
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn()?;
        let group = i32::try_from(child.id().unwrap_or_default()).unwrap_or_default();
        let exit = async move { child.wait().await.map(exit) }.boxed();
        let output = Box::new(pipe::Receiver::from_owned_fd(reader.into())?);
        Ok(Child { group, output, exit, signal: Box::new(move |interrupt| signal_group(group, interrupt)) })
    }

    fn reap<'a>(&'a self, tracking_id: &'a str) -> BoxFuture<'a, usize> {
        reap(tracking_id).boxed()
    }
}

fn exit(status: std::process::ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

/// Signals a process group; one that is gone is no error.
pub fn signal_group(group: i32, interrupt: Interrupt) {
    let signal = match interrupt {
        Interrupt::Int => Signal::INT,
        Interrupt::Term => Signal::TERM,
        Interrupt::Kill => Signal::KILL,
    };
    if let Some(pid) = Pid::from_raw(group).filter(|_| group > 1) {
        // The group may have ended between the decision and the call.
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Kills every process of this user whose `RUNNER_TRACKING_ID` begins with the id, whatever group or session it moved
/// to, and says how many there were. Ids end in a slash, so a job's is never the beginning of another's, and a run's is
/// the beginning of all its jobs'.
///
/// A process can start another while we look, so this looks again until it finds none (bounded: a fork bomb is the
/// machine's matter). Where there is no `/proc` it finds nothing.
pub async fn reap(tracking_id: &str) -> usize {
    const ROUNDS: usize = 50;
    // A killed process is listed until the kernel has taken its memory down.
    const PAUSE: Duration = Duration::from_millis(2);
    let wanted = format!("RUNNER_TRACKING_ID={tracking_id}");
    let mut killed = HashSet::new();
    for _ in 0..ROUNDS {
        let found = carriers(wanted.as_bytes());
        if found.is_empty() {
            break;
        }
        for pid in found {
            if let Some(target) = Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(target, Signal::KILL);
                killed.insert(pid);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    killed.len()
}

fn carriers(wanted: &[u8]) -> Vec<i32> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let carries = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted))
    };
    pids.filter(|pid| *pid != own).filter(carries).collect()
}
