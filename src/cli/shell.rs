//! `shell`: a shell where a job runs, or ran until it failed, with the environment of its step.

use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::engine::checkpoint::FailedStep;
use crate::engine::job::preflight;
use crate::engine::sandbox::Sandbox;
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::engine::sandbox::docker::interactive::{Input, Session};
use crate::engine::sandbox::docker::owned::Labels;
use crate::engine::sandbox::docker::supervisor::{export, quoted, surroundings};
use crate::engine::sandbox::host::{Host, find_program};
use crate::engine::services::service_role;
use crate::model::{Conclusion, Job};
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::history;

use crate::worker::checkpoints;

use super::{Exit, Failure, Outcome, commands, runs, style};

/// The better shell of those that most images have, as an interactive one.
const SHELL: &str = "command -v bash >/dev/null 2>&1 && exec bash || exec sh";

#[derive(clap::Args)]
#[command(
    after_help = "Of a failed job in a container its files are kept for a day (`docker.keep_failed` of the configuration
says of how many); services are gone with it. What is piped into the command is run as a script."
)]
pub(super) struct Args {
    /// The run's id, its beginning or end, or `latest`
    run: String,
    /// The job: its id, key or name
    job: String,
    /// In the container of this service of a running job
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// A secret that the run had, for the step's environment; without a value it is taken from the environment
    #[arg(long = "secret", short, value_name = "NAME[=VALUE]")]
    secrets: Vec<String>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let folders = RunsDir::locate()?;
    let folder = folders.find(&args.run)?;
    let run = history::read(&folder)?;
    let job = runs::job(&run, &args.job)?;
    let in_container =
        args.service.is_some() || job.sandbox.as_deref().is_some_and(|place| place.starts_with("docker"));
    let place = Place { runs: &folders, folder: &folder, job, args };
    match (in_container, job.phase.is_active(), job.phase.is_done()) {
        (_, false, false) => Err(Failure::new(Exit::Rejected, format!("{} has not started", job.name))),
        (true, ..) => place.container(),
        (false, ..) => place.host(),
    }
}

/// Where the shell is to be opened.
struct Place<'p> {
    runs: &'p RunsDir,
    folder: &'p RunFolder,
    job: &'p Job,
    args: &'p Args,
}

impl Place<'_> {
    fn work(&self) -> PathBuf {
        self.folder.work().join(self.job.id.as_str())
    }

    /// What the last step that failed ran with, besides what its place has.
    fn failed_step(&self) -> Result<Option<FailedStep>, Failure> {
        let last = checkpoints::read(&self.folder.checkpoint(&self.job.id)).pop();
        let Some(step) = last.and_then(|last| last.failed) else { return Ok(None) };
        if !step.needs_secrets() {
            return Ok(Some(step));
        }
        let secrets = commands::secrets(self.folder, &self.args.secrets)?;
        Ok(Some(step.opened(&secrets)))
    }

    /// The engine that the run used.
    async fn engine(&self) -> Result<DockerClient, DockerError> {
        match std::fs::read_to_string(self.folder.path().join(preflight::ENGINE)) {
            Ok(address) => DockerClient::at(&address).await,
            Err(_) => DockerClient::find().await,
        }
    }

    /// A shell on this machine.
    fn host(&self) -> Outcome {
        let active = self.job.steps.iter().rev().find(|step| step.phase.is_active());
        let running = active.and_then(|step| step.process_groups.last().copied());
        let running = running.and_then(|group| of_process(&format!("/proc/{group}")));
        let (env, cwd) = if let Some(found) = running {
            found
        } else if let Some(step) = self.failed_step()? {
            let host = Host::new(std::env::vars_os());
            let text = |text: &OsString| text.to_string_lossy().into_owned();
            let machine = host.environment().iter().map(|(name, value)| (text(name), text(value)));
            (machine.chain(step.env).collect(), PathBuf::from(step.cwd))
        } else {
            let failed = self.job.steps.iter().any(|step| step.phase.conclusion().is_some_and(Conclusion::is_bad));
            let why = if failed {
                "its files went with its run, which had not failed"
            } else {
                "no step of it runs or failed"
            };
            let message = format!("{}: {why}: there is nothing to stand in", self.job.name);
            return Err(Failure::new(Exit::Rejected, message));
        };
        if !cwd.is_dir() {
            let message =
                format!("{} is gone: the workspace of a job stays only while it runs or when it failed", cwd.display());
            return Err(Failure::new(Exit::NotFound, message));
        }
        style::notice(&format!("A shell in {} with the environment of the step; leave it with exit.", cwd.display()));
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
        let found = |name: &str| find_program(name, path.as_ref());
        let shell = found("bash").or_else(|| found("sh")).unwrap_or_else(|| PathBuf::from("/bin/sh"));
        let mut command = Command::new(&shell);
        command.env_clear().envs(env).current_dir(cwd);
        // The terminal is the user's, not the step's; and nothing of this outlives the job by its mark.
        command.env("TERM", std::env::var("TERM").unwrap_or_default()).env_remove("RUNNER_TRACKING_ID");
        let ended = command.status()?;
        Ok(ended_with(ended.code().or_else(|| ended.signal().map(|signal| 128 + signal)).unwrap_or(1)))
    }

    /// A shell in the job's container, or in what is kept of it.
    fn container(&self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let done = runtime.block_on(async {
            let engine = self.engine().await.map_err(unavailable)?;
            let (state, run) = (self.runs.state(), self.folder.id().as_str());
            let labels = Labels::new(state, run, self.job.id.as_str());
            let role = self.args.service.as_ref().map_or_else(|| "job".to_owned(), |name| service_role(name));
            let name = labels.of(&role).name();
            if self.job.phase.is_active() {
                let found = engine.owned(state, Some(run), Some(self.job.id.as_str())).await.map_err(unavailable)?;
                let Some(container) = found.iter().find(|thing| thing.name == name) else {
                    return Err(Failure::new(
                        Exit::NotFound,
                        format!("{} has no container for `{role}` now", self.job.name),
                    ));
                };
                let step = self.args.service.is_none().then(|| surroundings(&self.work().join("_control"))).flatten();
                return self.open(&engine, &container.id, step.unwrap_or_default()).await;
            }
            if self.args.service.is_some() {
                return Err(Failure::new(Exit::Rejected, "services are gone with their job"));
            }
            let step = self.failed_step()?.map(|step| script(&step)).unwrap_or_default();
            let opened = engine.open_kept(run, self.job.id.as_str(), &labels.of("shell")).await;
            let container = opened.map_err(|error| match error {
                DockerError::Missing { .. } => Failure::new(
                    Exit::NotFound,
                    format!(
                        "nothing is kept of {}: only jobs that failed are kept, the newest few, for a day",
                        self.job.name
                    ),
                ),
                other => unavailable(other),
            })?;
            let done = self.open(&engine, &container, step).await;
            engine.remove(&container).await.map_err(unavailable)?;
            done
        });
        // The thread that reads standard input waits for a key that may never come.
        runtime.shutdown_background();
        done
    }

    async fn open(&self, engine: &DockerClient, container: &str, step: String) -> Outcome {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        style::notice(&format!("A shell in the container of {}; leave it with exit.", self.job.name));
        let term = format!("TERM={}", std::env::var("TERM").unwrap_or_default());
        let session = Session {
            container: container.to_owned(),
            command: vec!["sh".to_owned(), "-c".to_owned(), format!("{step}\n{SHELL}")],
            env: if terminal { vec![term] } else { Vec::new() },
            cwd: None,
            terminal,
        };
        let (type_in, typed) = mpsc::channel(64);
        std::thread::spawn({
            let type_in = type_in.clone();
            move || read(&type_in)
        });
        let sizes = terminal.then(|| tokio::spawn(watch_size(type_in)));
        let raw = terminal.then(Raw::enter).transpose()?;
        let mut out = std::io::stdout();
        let done = engine.interact(session, typed, |bytes| {
            // A terminal that is gone ends the session by its end of input.
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        });
        let code = done.await;
        drop(raw);
        if let Some(sizes) = sizes {
            sizes.abort();
        }
        Ok(ended_with(i32::try_from(code.map_err(unavailable)?).unwrap_or(1)))
    }
}

/// The terminal passes every key on while this lives.
struct Raw;

impl Raw {
    fn enter() -> std::io::Result<Self> {
        crossterm::terminal::enable_raw_mode().map(|()| Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

fn unavailable(error: DockerError) -> Failure {
    Failure::new(Exit::Unavailable, error.to_string())
}

/// What the shell ended with: a failure of it is no failure of ours, but scripts want to know.
fn ended_with(code: i32) -> Exit {
    if code == 0 { Exit::Success } else { Exit::Failed }
}

/// Environment and folder of a process of this machine.
fn of_process(path: &str) -> Option<(Vec<(String, String)>, PathBuf)> {
    let environ = std::fs::read(Path::new(path).join("environ")).ok()?;
    let cwd = std::fs::read_link(Path::new(path).join("cwd")).ok()?;
    let entries = environ.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let pairs =
        entries.filter_map(|entry| Some(entry.split_once('=')).flatten().map(|(a, b)| (a.to_owned(), b.to_owned())));
    Some((pairs.collect(), cwd))
}

/// A script that makes a shell stand where a step stood.
fn script(step: &FailedStep) -> String {
    let exports = step.env.iter().filter_map(|(name, value)| export(name.as_bytes(), value.as_bytes()));
    let mut text = exports.collect::<Vec<_>>().concat();
    // A folder that is gone leaves the shell in the image's own.
    text.extend([b"cd ", quoted(step.cwd.as_bytes()).as_slice(), b" 2>/dev/null\n"].concat());
    String::from_utf8_lossy(&text).into_owned()
}

fn read(type_in: &mpsc::Sender<Input>) {
    let mut bytes = [0; 4096];
    let mut stdin = std::io::stdin();
    loop {
        let input = match stdin.read(&mut bytes) {
            Ok(0) | Err(_) => Input::End,
            Ok(count) => Input::Bytes(bytes[..count].to_vec()),
        };
        let ended = matches!(input, Input::End);
        if type_in.blocking_send(input).is_err() || ended {
            return;
        }
    }
}

async fn watch_size(type_in: mpsc::Sender<Input>) {
    let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
    loop {
        if let Ok((width, height)) = crossterm::terminal::size()
            && type_in.send(Input::Resized(width, height)).await.is_err()
        {
            return;
        }
        if changed.recv().await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_stood_in_by_a_script() {
        let env = [("A", "it's"), ("INPUT_A-B", "dropped"), ("N", "1\n2")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let text = script(&FailedStep { env, cwd: "/__w/a b".to_owned() });
        assert_eq!(text, "export A='it'\\''s'\nexport N='1\n2'\ncd '/__w/a b' 2>/dev/null\n");
    }
}
