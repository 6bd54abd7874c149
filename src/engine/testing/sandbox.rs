//! A sandbox without processes: a function scripts the behaviour of each process.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::locked;
use crate::engine::sandbox::{Child, Exit, Interrupt, Launch, Sandbox};

/// Behaviour of a process in a [`ScriptedSandbox`].
#[derive(Clone)]
pub(crate) struct ProcessScript {
    /// Output written at the start.
    output: Vec<u8>,
    /// Time until the process exits, and how it exits; with `None`, the process runs until a signal ends it.
    exit: Option<(Duration, Exit)>,
    /// Weakest signal that ends the process; with `None`, the process ignores all signals.
    ends_on: Option<Interrupt>,
    /// How long the output stays open after the end.
    holds_output: Duration,
}

impl ProcessScript {
    /// Exits at once.
    pub(crate) fn exits(code: i32) -> Self {
        Self::exits_with(Exit::Code(code))
    }

    /// Ends at once in the given way.
    pub(crate) fn exits_with(exit: Exit) -> Self {
        Self {
            output: Vec::new(),
            exit: Some((Duration::ZERO, exit)),
            ends_on: Some(Interrupt::Int),
            holds_output: Duration::ZERO,
        }
    }

    /// Runs until the given signal or a stronger one.
    pub(crate) fn until(signal: Interrupt) -> Self {
        Self { exit: None, ends_on: Some(signal), ..Self::exits(0) }
    }

    /// Runs forever, whatever the signal.
    pub(crate) fn unkillable() -> Self {
        Self { exit: None, ends_on: None, ..Self::exits(0) }
    }

    /// Exits later, unless a signal ends it before.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        self.exit = self.exit.map(|(_, exit)| (time, exit));
        self
    }

    pub(crate) fn writing(mut self, output: &str) -> Self {
        self.output = output.as_bytes().to_vec();
        self
    }

    pub(crate) fn holding_output(mut self, time: Duration) -> Self {
        self.holds_output = time;
        self
    }
}

/// Behaviour of each process.
type Behaviour = dyn Fn(&Launch) -> io::Result<ProcessScript> + Send + Sync;

/// A sandbox without processes: a function scripts the behaviour of each process.
pub(crate) struct ScriptedSandbox {
    environment: Vec<(OsString, OsString)>,
    script: Box<Behaviour>,
    /// Files for which `fetch` fails: a part of their path, and the error.
    fetch: Option<(&'static str, io::ErrorKind)>,
    state: Mutex<SandboxState>,
}

#[derive(Default)]
struct SandboxState {
    launched: Vec<Vec<(OsString, OsString)>>,
    signals: Arc<Mutex<Vec<(Interrupt, Duration)>>>,
    reaped: Vec<String>,
}

impl ScriptedSandbox {
    pub(crate) fn new(script: impl Fn(&Launch) -> io::Result<ProcessScript> + Send + Sync + 'static) -> Self {
        Self {
            environment: vec![("PATH".into(), "/bin".into())],
            script: Box::new(script),
            fetch: None,
            state: Mutex::default(),
        }
    }

    /// Gives every process the same behaviour.
    pub(crate) fn always(script: ProcessScript) -> Self {
        Self::new(move |_| Ok(script.clone()))
    }

    /// Makes `fetch` fail for files whose path contains `of`.
    pub(crate) fn failing_in_fetch(mut self, of: &'static str, kind: io::ErrorKind) -> Self {
        self.fetch = Some((of, kind));
        self
    }

    /// Returns the value of a variable in every started process, in order.
    pub(crate) fn launched_with(&self, name: &str) -> Vec<Option<String>> {
        let value = |env: &Vec<(OsString, OsString)>| {
            env.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_string_lossy().into_owned())
        };
        locked(&self.state).launched.iter().map(value).collect()
    }

    /// Returns the signals that were sent, with the time since the process started.
    pub(crate) fn signals(&self) -> Vec<(Interrupt, Duration)> {
        let signals = Arc::clone(&locked(&self.state).signals);
        locked(&signals).clone()
    }

    /// Returns the tracking ids whose processes were reaped.
    pub(crate) fn reaped(&self) -> Vec<String> {
        locked(&self.state).reaped.clone()
    }

    fn spawn(&self, launch: &Launch) -> io::Result<Child> {
        locked(&self.state).launched.push(launch.env.clone());
        let script = (self.script)(launch)?;
        let signals = Arc::clone(&locked(&self.state).signals);
        let started = Instant::now();
        let (reader, mut writer) = tokio::io::duplex(1024 * 1024);
        let (signal, mut received) = mpsc::unbounded_channel();
        let (tell, ended) = oneshot::channel();
        tokio::spawn(async move {
            let _ = writer.write_all(&script.output).await;
            let own = async {
                match script.exit {
                    Some((after, exit)) => {
                        sleep(after).await;
                        exit
                    }
                    None => std::future::pending().await,
                }
            };
            let killed = async {
                loop {
                    match received.recv().await {
                        Some(signal) if script.ends_on.is_some_and(|weakest| rank(signal) >= rank(weakest)) => {
                            return Exit::Signal(number(signal));
                        }
                        Some(_) => {}
                        None => std::future::pending().await,
                    }
                }
            };
            let exit = tokio::select! { exit = own => exit, exit = killed => exit };
            let _ = tell.send(exit);
            if script.holds_output > Duration::ZERO {
                sleep(script.holds_output).await;
            }
        });
        let exit = async move { ended.await.map_err(io::Error::other) };
        Ok(Child {
            group: None,
            output: Box::new(reader),
            exit: exit.boxed(),
            signal: Box::new(move |interrupt| {
                locked(&signals).push((interrupt, started.elapsed()));
                let _ = signal.send(interrupt);
            }),
        })
    }
}

fn rank(signal: Interrupt) -> u8 {
    match signal {
        Interrupt::Int => 0,
        Interrupt::Term => 1,
        Interrupt::Kill => 2,
    }
}

fn number(signal: Interrupt) -> i32 {
    match signal {
        Interrupt::Int => 2,
        Interrupt::Term => 15,
        Interrupt::Kill => 9,
    }
}

impl Sandbox for ScriptedSandbox {
    fn describe(&self) -> String {
        "scripted".to_owned()
    }

    fn is_container(&self) -> bool {
        false
    }

    fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    fn find<'a>(&'a self, program: &'a str, _path: &'a OsStr) -> BoxFuture<'a, Option<PathBuf>> {
        ready(Some(Path::new("/bin").join(program))).boxed()
    }

    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, io::Result<Child>> {
        async move { self.spawn(launch) }.boxed()
    }

    fn fetch<'a>(&'a self, path: &'a Path, _limit: u64) -> BoxFuture<'a, io::Result<()>> {
        let failing = self.fetch.filter(|(of, _)| path.to_string_lossy().contains(of));
        ready(failing.map_or(Ok(()), |(_, kind)| Err(kind.into()))).boxed()
    }

    fn reap<'a>(&'a self, tracking_id: &'a str) -> BoxFuture<'a, usize> {
        locked(&self.state).reaped.push(tracking_id.to_owned());
        ready(0).boxed()
    }
}

/// Returns the text of the script that a `run:` step starts.
pub(crate) fn script_of(launch: &Launch) -> String {
    let path = launch.args.last().expect("a script");
    std::fs::read_to_string(path).expect("the script was written")
}

/// Writes to a command file of a process, as the process would.
pub(crate) fn write_command_file(launch: &Launch, name: &str, text: &str) {
    let path = launch.env.iter().find(|(key, _)| key == name).map(|(_, path)| path).expect("a command file");
    std::fs::write(path, text).expect("written");
}
