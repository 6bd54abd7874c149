//! Jobs on this machine: plain processes, with a process group for each step.
//!
//! Processes inherit the environment of the user, as on a self-hosted runner, except for variables that a runner does
//! not have: see [`Host::new`]. No code runs between fork and exec, so that the standard library can spawn without
//! copying the page tables of the worker.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe;
use tokio::process::Command;

use super::container::ContainerSpec;
use super::network::Network;
use super::provider::{
    Attachments, Base, Containers, FollowedLine, ImageBuild, Machine, MachineSpec, Progress, Provider, ProviderError,
    Requirements, Say, Unmet,
};
use super::shared::SharedFolder;
use super::terminal::{Shell, ShellRequest, Terminal};
use super::{Child, Exit, Interrupt, Launch, Sandbox, run_tracking_id};
use crate::model::Conclusion;
use crate::repo::git;
use crate::store::folder::RunFolder;

/// Size in bytes of the pipe between a step and its reader. 1 MiB is the default limit of Linux
/// (`/proc/sys/fs/pipe-max-size`); with a large pipe, heavy output is read in large portions.
pub(super) const PIPE_SIZE: usize = 1024 * 1024;

/// Maximum number of bytes of a script that are read to find its interpreter.
const MAX_INTERPRETER: u64 = 256;

/// Variables of the user's shell that a runner does not have: they grant access that the workflow was not given.
const TOKENS: &[&str] = &["GH_TOKEN", "GH_ENTERPRISE_TOKEN"];

/// Prefixes of variables that belong to cuelight itself, or to an outer run in which cuelight was started.
const OUTER: &[&str] = &["GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "STATE_", "CUELIGHT_"];

/// Sandbox that runs processes on this machine.
#[derive(Debug)]
pub struct Host {
    environment: Vec<(OsString, OsString)>,
}

impl Host {
    /// Returns a host whose processes start from the given environment, without the variables that a runner does not
    /// have: the user's tokens, variables of an outer run and of cuelight, and variables such as `GIT_DIR`. Git sets
    /// those for hooks, so if a hook ran `cuelight`, the `git commit` of a step would end up in the user's repository.
    #[must_use]
    pub fn new(inherited: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let kept = inherited.into_iter().filter(|(name, _)| {
            let name = name.to_string_lossy();
            let outer = OUTER.iter().any(|prefix| name.starts_with(prefix));
            !outer && !TOKENS.contains(&name.as_ref()) && !git::POINTERS.contains(&name.as_ref())
        });
        Self { environment: kept.collect() }
    }
}

impl Sandbox for Host {
    fn describe(&self) -> String {
        "host".to_owned()
    }

    fn is_container(&self) -> bool {
        false
    }

    fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    fn find<'a>(&'a self, program: &'a str, path: &'a OsStr) -> BoxFuture<'a, Option<PathBuf>> {
        ready(find_program(program, path)).boxed()
    }

    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, io::Result<Child>> {
        ready(spawn(launch).map_err(|error| explained(launch, error))).boxed()
    }

    fn reap<'a>(&'a self, tracking_id: &'a str) -> BoxFuture<'a, usize> {
        reap(tracking_id).boxed()
    }
}

fn spawn(launch: &Launch) -> io::Result<Child> {
    let (reader, writer) = io::pipe()?;
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(&reader, PIPE_SIZE) {
        // The user's quota of pipe memory may be exhausted. This only costs speed.
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
    let signal = Box::new(move |interrupt| signal_group(group, interrupt));
    Ok(Child { group: Some(group), output, exit, signal })
}

/// Finds the first executable file with the given name on a search path. An absolute path is returned as it is, if it
/// is an executable file. Relative paths and folders are skipped, because their meaning depends on the folder in which
/// the step runs.
#[must_use]
pub fn find_program(name: &str, path: &OsStr) -> Option<PathBuf> {
    let executable =
        |file: &PathBuf| file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    match name {
        _ if name.starts_with('/') => Some(PathBuf::from(name)).filter(executable),
        _ if name.is_empty() || name.contains('/') => None,
        _ => folders.map(|folder| folder.join(name)).find(executable),
    }
}

/// Rewrites an error of starting a process so that it names the missing file or folder: the system reports the same
/// error for the program, the interpreter of a script and the working directory.
fn explained(launch: &Launch, error: io::Error) -> io::Error {
    let (cwd, program) = (launch.cwd.display(), launch.program.display());
    let text = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if launch.cwd.exists() && !launch.cwd.is_dir() => {
            format!("the working directory {cwd} is not a folder but a file")
        }
        io::ErrorKind::NotFound if !launch.cwd.exists() => format!("the working directory {cwd} does not exist"),
        io::ErrorKind::NotFound if !launch.program.exists() => format!("{program} does not exist"),
        io::ErrorKind::NotFound => match interpreter(&launch.program) {
            Some(interpreter) => format!("its interpreter {interpreter} does not exist"),
            None => format!("a part of {program} does not exist: {error}"),
        },
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            format!("{program} is neither a program for this machine nor a script that starts with `#!`")
        }
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

/// Returns the interpreter that the first line of a script names. `None` if it names none.
fn interpreter(script: &Path) -> Option<String> {
    let mut start = Vec::new();
    crate::files::open(script).ok()?.take(MAX_INTERPRETER).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    // With Windows line endings, the name of the interpreter ends in `\r`.
    Some(String::from_utf8_lossy(line).trim_matches([' ', '\t']).split([' ', '\t']).next()?.replace('\r', "\\r"))
}

fn exit(status: std::process::ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

/// Signals a process group. A group that no longer exists is not an error.
pub fn signal_group(group: i32, interrupt: Interrupt) {
    let signal = match interrupt {
        Interrupt::Int => Signal::INT,
        Interrupt::Term => Signal::TERM,
        Interrupt::Kill => Signal::KILL,
    };
    if let Some(pid) = Pid::from_raw(group).filter(|_| group > 1) {
        // The group may have ended in the meantime.
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Kills every process of this user whose `RUNNER_TRACKING_ID` starts with the given id, in any session. Returns the
/// number of killed processes. Ids end in a slash, so the id of a job is not a prefix of another job's id, and the id
/// of a run is a prefix of the ids of all its jobs.
///
/// The whole process group is killed: a group belongs to a step or was created by one, so members that dropped the
/// variable belong to the step too. This process and its group are spared.
///
/// Processes can fork in the meantime, so the search is repeated until it finds no process, at most 50 times. Without
/// `/proc` no process is found.
async fn reap(tracking_id: &str) -> usize {
    const ROUNDS: usize = 50;
    // A killed process stays listed until the kernel has released its memory.
    const PAUSE: Duration = Duration::from_millis(2);
    let wanted = format!("RUNNER_TRACKING_ID={tracking_id}");
    let own_group = group_of(rustix::process::getpid());
    let mut killed = HashSet::new();
    for _ in 0..ROUNDS {
        let found = carriers(wanted.as_bytes());
        if found.is_empty() {
            break;
        }
        for pid in found {
            if let Some(group) = group_of(pid).filter(|group| Some(*group) != own_group) {
                signal_group(group.as_raw_nonzero().get(), Interrupt::Kill);
            }
            // The process may have changed its group, or have ended.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            killed.insert(pid);
        }
        tokio::time::sleep(PAUSE).await;
    }
    killed.len()
}

fn carriers(wanted: &[u8]) -> Vec<Pid> {
    let own = rustix::process::getpid();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let carries = |pid: &Pid| {
        let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted))
    };
    pids.filter(|pid| *pid != own).filter(carries).collect()
}

/// Returns the process group of a process. `None` if the process has ended, or if its group was created outside of this
/// container: the kernel then reports 0, which is not the number of a group.
fn group_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The second field is the name of the program in parentheses, which can hold any byte. State, parent and group
    // follow.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let group = stat[after_name..].split(|byte| *byte == b' ').filter(|field| !field.is_empty()).nth(2)?;
    Pid::from_raw(str::from_utf8(group).ok()?.parse().ok()?)
}

/// Provider that runs jobs on this machine. Another provider runs their services and Docker actions.
pub struct HostProvider {
    host: Arc<Host>,
    containers: Arc<dyn Provider>,
}

impl HostProvider {
    /// Returns the provider. `containers` runs the services and Docker actions of its jobs.
    #[must_use]
    pub fn new(host: Arc<Host>, containers: Arc<dyn Provider>) -> Self {
        Self { host, containers }
    }
}

impl Provider for HostProvider {
    fn name(&self) -> &'static str {
        "host"
    }

    fn check(&self) -> BoxFuture<'_, Result<Option<String>, ProviderError>> {
        ready(Ok(None)).boxed()
    }

    fn base(&self, image: Option<&str>, _default_image: &str) -> Option<Base> {
        image.is_none().then_some(Base::Machine)
    }

    fn check_container(&self, container: &ContainerSpec) -> Result<(), ProviderError> {
        self.containers.check_container(container)
    }

    fn prepare<'a>(
        &'a self,
        requirements: &'a Requirements<'a>,
        progress: &'a (dyn Fn(&str, Progress) + Sync),
    ) -> BoxFuture<'a, Result<Option<String>, Vec<Unmet>>> {
        self.containers.prepare(requirements, progress)
    }

    fn machine(&self, spec: MachineSpec) -> Box<dyn Machine> {
        Box::new(HostMachine { host: Arc::clone(&self.host), containers: self.containers.machine(spec) })
    }

    fn fetch_image<'a>(
        &'a self,
        image: &'a str,
        progress: &'a (dyn Fn(Progress) + Sync),
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.containers.fetch_image(image, progress)
    }

    fn shell<'a>(&'a self, request: &'a ShellRequest<'a>) -> BoxFuture<'a, Result<Box<dyn Shell>, ProviderError>> {
        if request.service.is_some() {
            return self.containers.shell(request);
        }
        let shell = HostShell::find(&self.host, request).map(|shell| Box::new(shell) as Box<dyn Shell>);
        ready(shell).boxed()
    }

    fn follow_log<'a>(
        &'a self,
        request: &'a ShellRequest<'a>,
        line: &'a mut FollowedLine<'_>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.containers.follow_log(request, line)
    }

    fn abandon<'a>(&'a self, run: &'a RunFolder, groups: &'a [i32]) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move {
            reap(&run_tracking_id(run)).await;
            // Without `/proc`, processes cannot be found by their variable: the recorded groups are all that is known.
            if !cfg!(target_os = "linux") {
                for group in groups {
                    signal_group(*group, Interrupt::Kill);
                }
            }
            Ok(())
        }
        .boxed()
    }
}

/// This machine as the machine of a job, with the job's containers.
struct HostMachine {
    host: Arc<Host>,
    containers: Box<dyn Machine>,
}

impl Machine for HostMachine {
    fn describe(&self) -> String {
        self.host.describe()
    }

    fn sandbox(&self) -> Option<Arc<dyn Sandbox>> {
        Some(Arc::clone(&self.host) as Arc<dyn Sandbox>)
    }

    fn start<'a>(&'a mut self, say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.containers.start(say)
    }

    fn build_image<'a>(
        &'a self,
        build: &'a ImageBuild<'a>,
        say: &'a mut Say<'_>,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.containers.build_image(build, say)
    }

    fn one_shot<'a>(
        &'a self,
        image: &'a str,
        shared: Vec<SharedFolder>,
    ) -> BoxFuture<'a, Result<Arc<dyn Sandbox>, ProviderError>> {
        self.containers.one_shot(image, shared)
    }

    fn attachments(&self) -> Attachments {
        self.containers.attachments()
    }

    fn network(&self, of: Containers) -> BoxFuture<'_, Result<Option<Network>, ProviderError>> {
        self.containers.network(of)
    }

    fn lost(&self) -> BoxFuture<'_, ProviderError> {
        self.containers.lost()
    }

    fn container_end(&self) -> BoxFuture<'_, ProviderError> {
        self.containers.container_end()
    }

    fn troubles(&self) -> Vec<String> {
        self.containers.troubles()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        ready(Ok(())).boxed()
    }

    fn stop<'a>(&'a mut self, settled: bool, say: &'a mut Say<'_>) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.containers.stop(settled, say)
    }
}

/// A shell with the environment and folder of a step.
struct HostShell {
    env: Vec<(String, String)>,
    cwd: PathBuf,
}

impl HostShell {
    fn find(host: &Host, request: &ShellRequest<'_>) -> Result<Self, ProviderError> {
        let job = request.job;
        let active = job.steps.iter().rev().find(|step| step.phase.is_active());
        let running = || active.and_then(|step| step.process_groups.last()).and_then(|group| of_process(*group));
        let (env, cwd) = if let Some(step) = &request.failed {
            let text = |text: &OsString| text.to_string_lossy().into_owned();
            let machine = host.environment().iter().map(|(name, value)| (text(name), text(value)));
            let own = step.env.iter().map(|(name, value)| (name.clone(), value.clone()));
            (machine.chain(own).collect(), PathBuf::from(&step.cwd))
        } else if let Some(found) = running() {
            found
        } else {
            let failed = job.steps.iter().any(|step| step.phase.conclusion().is_some_and(Conclusion::is_bad));
            let reason = if job.held().next().is_some() || (failed && request.run.job_work(&job.id).exists()) {
                "the environment of its failed step was not recorded"
            } else if failed {
                "its files were removed because its run did not fail"
            } else {
                "it has no running or failed step"
            };
            return Err(ProviderError::Refused(format!("cannot open a shell in {}: {reason}", job.name)));
        };
        if !cwd.is_dir() {
            return Err(ProviderError::NotFound(format!(
                "{} is gone: the workspace of a job is kept only while the job runs, or if it failed",
                cwd.display()
            )));
        }
        Ok(Self { env, cwd })
    }
}

impl Shell for HostShell {
    fn place(&self) -> String {
        format!("{} with the environment of the step", self.cwd.display())
    }

    /// The shell inherits the terminal, so `_terminal` is not used.
    fn run(self: Box<Self>, _terminal: &mut dyn Terminal) -> BoxFuture<'_, Result<i32, ProviderError>> {
        async move {
            let path =
                self.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
            let found = |name: &str| find_program(name, path.as_ref());
            let shell = found("bash").or_else(|| found("sh")).unwrap_or_else(|| PathBuf::from("/bin/sh"));
            let mut command = Command::new(&shell);
            command.env_clear().envs(self.env).current_dir(self.cwd);
            // `TERM` comes from the user's terminal, not from the step. The tracking id is removed, so that the shell
            // survives the end of the job.
            command.env("TERM", std::env::var("TERM").unwrap_or_default()).env_remove("RUNNER_TRACKING_ID");
            let ended = command.status().await;
            let ended =
                ended.map_err(|error| ProviderError::Failed(format!("cannot start {}: {error}", shell.display())))?;
            Ok(ended.code().or_else(|| ended.signal().map(|signal| 128 + signal)).unwrap_or(1))
        }
        .boxed()
    }
}

/// Returns the environment and folder of the leader of a process group. `None` if they cannot be read.
fn of_process(group: i32) -> Option<(Vec<(String, String)>, PathBuf)> {
    let process = Path::new("/proc").join(group.to_string());
    let environ = std::fs::read(process.join("environ")).ok()?;
    let cwd = std::fs::read_link(process.join("cwd")).ok()?;
    let entries = environ.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let pairs =
        entries.filter_map(|entry| Some(entry.split_once('=')).flatten().map(|(a, b)| (a.to_owned(), b.to_owned())));
    Some((pairs.collect(), cwd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    /// Maximum time to wait for any condition.
    const LIMIT: Duration = Duration::from_secs(20);

    fn start(script: &str, mark: &str) -> Child {
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("RUNNER_TRACKING_ID", mark)];
        let launch = Launch {
            program: "/bin/bash".into(),
            args: ["--noprofile", "--norc", "-c", script].map(OsString::from).into(),
            cwd: std::env::temp_dir(),
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
            background: false,
        };
        spawn(&launch).expect("bash starts")
    }

    fn mark(name: &str) -> String {
        format!("cuelight-test/{}/{name}/", std::process::id())
    }

    /// Runs a script and reads all its output.
    async fn run(script: &str) -> (Exit, Vec<u8>) {
        let mut child = start(script, &mark("run"));
        let mut output = Vec::new();
        timeout(LIMIT, child.output.read_to_end(&mut output)).await.expect("ends").expect("read");
        (timeout(LIMIT, child.exit).await.expect("ends").expect("waited for"), output)
    }

    /// Reads one line.
    async fn line(child: &mut Child) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let byte = timeout(LIMIT, child.output.read_u8()).await.expect("writes").expect("open");
            line.push(byte);
        }
        String::from_utf8(line).expect("text").trim().to_owned()
    }

    #[tokio::test]
    async fn a_start_that_fails_names_what_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for (name, text) in [
            ("fine", "#!/bin/sh\n"),
            ("dos", "#!/bin/sh\r\n"),
            ("lost", "#! /no/such/tool -x\n"),
            ("none", "\0not a program"),
        ] {
            std::fs::write(path(name), text).expect("written");
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o755)).expect("set");
        }
        let root = folder.path().to_owned();
        let shown = |name: &str| path(name).display().to_string();
        for (program, cwd, expected) in [
            ("lost", root.clone(), "its interpreter /no/such/tool does not exist".to_owned()),
            ("dos", root.clone(), "its interpreter /bin/sh\\r does not exist".to_owned()),
            ("gone", root.clone(), format!("{} does not exist", shown("gone"))),
            ("fine", path("gone"), format!("the working directory {} does not exist", shown("gone"))),
            ("fine", path("none"), format!("the working directory {} is not a folder but a file", shown("none"))),
            (
                "none",
                root,
                format!("{} is neither a program for this machine nor a script that starts with `#!`", shown("none")),
            ),
        ] {
            let launch = Launch { program: path(program), args: Vec::new(), cwd, env: Vec::new(), background: false };
            let Err(error) = Host::new([]).start(&launch).await else { panic!("{program} started") };
            assert_eq!(error.to_string(), expected, "{program}");
        }
    }

    /// Waits until a process is gone or a zombie.
    async fn gone(pid: &str) {
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let alive = || state().rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'));
        let waits = async {
            while alive() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(LIMIT, waits).await.unwrap_or_else(|_| panic!("{pid} is still there: {}", state()));
    }

    #[tokio::test]
    async fn stdout_and_stderr_are_one_stream_in_order() {
        let (exit, output) = run("for i in 1 2 3; do echo out$i; echo err$i >&2; done; exit 7").await;
        assert_eq!(exit, Exit::Code(7));
        assert_eq!(String::from_utf8_lossy(&output), "out1\nerr1\nout2\nerr2\nout3\nerr3\n");
    }

    #[tokio::test]
    async fn bytes_arrive_unchanged() {
        let (exit, output) = run(r"printf 'a\000b\377\xc3('").await;
        assert_eq!((exit, output.as_slice()), (Exit::Code(0), b"a\0b\xff\xc3(".as_slice()));
    }

    #[tokio::test]
    async fn a_hundred_megabytes_without_a_newline_arrive_completely() {
        let mut child = start("head -c 100000000 /dev/zero | tr '\\0' x", &mark("flood"));
        let (mut count, mut portion) = (0, vec![0; 256 * 1024]);
        loop {
            match timeout(LIMIT, child.output.read(&mut portion)).await.expect("goes on").expect("read") {
                0 => break,
                read => {
                    assert!(portion[..read].iter().all(|byte| *byte == b'x'));
                    count += read;
                }
            }
        }
        assert_eq!(count, 100_000_000);
        assert_eq!(child.exit.await.expect("waited for"), Exit::Code(0));
    }

    #[tokio::test]
    async fn standard_input_is_empty() {
        let (exit, output) = run("cat; read line; echo $?").await;
        assert_eq!((exit, output.as_slice()), (Exit::Code(0), b"1\n".as_slice()));
    }

    #[tokio::test]
    async fn the_signal_that_ended_a_process_is_reported() {
        let (exit, _) = run("kill -SEGV $$").await;
        assert_eq!(exit, Exit::Signal(11));
        let mut child = start("echo ready; exec sleep 300", &mark("signal"));
        assert_eq!(line(&mut child).await, "ready");
        (child.signal)(Interrupt::Term);
        assert_eq!(timeout(LIMIT, child.exit).await.expect("ends").expect("waited for"), Exit::Signal(15));
    }

    #[tokio::test]
    async fn a_group_that_ignores_int_and_term_is_killed() {
        let mut child = start("trap '' INT TERM; sleep 300 & echo $!; while :; do sleep 300; done", &mark("stubborn"));
        let inner = line(&mut child).await;
        (child.signal)(Interrupt::Int);
        (child.signal)(Interrupt::Term);
        // Signals arrive in order, so a process that still answers has survived them.
        assert!(Path::new(&format!("/proc/{inner}")).exists());
        assert!(timeout(Duration::from_millis(100), &mut child.exit).await.is_err(), "it ignores the signals");
        (child.signal)(Interrupt::Kill);
        assert_eq!(timeout(LIMIT, child.exit).await.expect("ends").expect("waited for"), Exit::Signal(9));
        gone(&inner).await;
        // A group that no longer exists is not an error.
        (child.signal)(Interrupt::Kill);
    }

    #[tokio::test]
    async fn a_daemon_may_hold_the_output_after_the_exit() {
        let mut child = start("sleep 300 & echo $!", &mark("daemon"));
        let daemon = line(&mut child).await;
        assert_eq!(timeout(LIMIT, child.exit).await.expect("ends").expect("waited for"), Exit::Code(0));
        let mut byte = [0];
        assert!(timeout(Duration::from_millis(50), child.output.read(&mut byte)).await.is_err(), "it is open");
        assert_eq!(reap(&mark("daemon")).await, 1);
        gone(&daemon).await;
        assert_eq!(timeout(LIMIT, child.output.read(&mut byte)).await.expect("ends").expect("read"), 0);
    }

    #[tokio::test]
    async fn processes_that_left_the_group_or_dropped_the_variable_are_reaped() {
        let script = "setsid sleep 300 & away=$!; env -i sleep 300 & bare=$!; sleep 300 & echo $away $bare $!; wait";
        let mut child = start(script, &mark("reaped"));
        let mut other = start("echo ready; sleep 300", &mark("reaped too"));
        assert_eq!(line(&mut other).await, "ready");
        let pids = line(&mut child).await;
        let pids: Vec<&str> = pids.split(' ').collect();
        // A forked process has the variable from the start but not its new group: wait for `setsid`.
        let moved = async {
            while std::fs::read(format!("/proc/{}/comm", pids[0])).unwrap_or_default() != b"sleep\n" {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(LIMIT, moved).await.expect("moves");
        assert_eq!(reap(&mark("none")).await, 0);
        assert!(reap(&mark("reaped")).await >= 2);
        for pid in pids {
            gone(pid).await;
        }
        assert_eq!(timeout(LIMIT, child.exit).await.expect("ends").expect("waited for"), Exit::Signal(9));
        assert!(timeout(Duration::from_millis(50), &mut other.exit).await.is_err(), "it is not meant");
        (other.signal)(Interrupt::Kill);
        assert_eq!(reap(&mark("reaped")).await, 0);
    }

    #[tokio::test]
    async fn a_failed_start_reports_the_reason() {
        let launch = |program: &str, cwd: &str| Launch {
            program: program.into(),
            args: vec![],
            cwd: cwd.into(),
            env: vec![],
            background: false,
        };
        for (program, cwd) in [("/no/such/program", "/"), ("/bin/sh", "/no/such/folder"), ("/", "/")] {
            assert!(spawn(&launch(program, cwd)).is_err(), "{program} in {cwd}");
        }
    }

    #[tokio::test]
    async fn the_environment_is_exactly_that_of_the_launch() {
        let launch = Launch {
            program: "/usr/bin/env".into(),
            args: vec!["-0".into()],
            cwd: "/".into(),
            env: vec![("INPUT_FETCH-DEPTH".into(), "1\n2".into())],
            background: false,
        };
        let mut child = spawn(&launch).expect("env starts");
        let mut output = Vec::new();
        timeout(LIMIT, child.output.read_to_end(&mut output)).await.expect("ends").expect("read");
        assert_eq!(output, b"INPUT_FETCH-DEPTH=1\n2\0");
    }

    #[test]
    fn variables_that_a_runner_does_not_have_are_removed() {
        let names = [
            "PATH",
            "HOME",
            "GITHUB_TOKEN",
            "GH_TOKEN",
            "GIT_DIR",
            "GIT_INDEX_FILE",
            "GIT_AUTHOR_NAME",
            "RUNNER_TEMP",
            "CUELIGHT_STATE",
            "INPUT_X",
            "AWS_PROFILE",
            "CI",
        ];
        let host = Host::new(names.map(|name| (name.into(), "x".into())));
        let kept: Vec<&OsStr> = host.environment().iter().map(|(name, _)| name.as_os_str()).collect();
        assert_eq!(kept, ["PATH", "HOME", "GIT_AUTHOR_NAME", "AWS_PROFILE", "CI"]);
    }
}
