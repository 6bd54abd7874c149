//! The fast way to start a step in a container: a shell that is started once inside the container forks a process for
//! each step.
//!
//! The shell is controlled through FIFOs in a shared folder, without Docker. Starting a step takes about a millisecond
//! instead of 60 ms for `docker exec`, output has the speed of a pipe, and a restart of the engine does not affect
//! running steps. Both sides must share a kernel; if the supervisor does not respond, `docker exec` is used instead.

use std::ffi::OsStr;
use std::fs;
use std::fs::{File, Permissions};
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio::time::{Instant, sleep};

use crate::engine::sandbox::{Child, Exit, Interrupt, Launch};
use crate::files::{Folder, Links};

/// Separates the setup of a process from its program in a script.
const PROGRAM: &str = "# program\n";

/// Script that runs inside the container.
const SCRIPT: &str = include_str!("supervisor.sh");

/// Time limit for a supervisor to start listening. Docker needs 60 to 100 ms to start the process of the supervisor. If
/// the container has another kernel, the supervisor never listens.
const READY: Duration = Duration::from_secs(5);

/// Time limit for the idle supervisor to start a step.
const STARTED: Duration = Duration::from_secs(10);

/// Maximum length in bytes of a line from the supervisor.
const MAX_STATE: usize = 4096;

/// Maximum number of messages that wait to be read. Further ones block the supervisor.
const MAX_PENDING_STATES: usize = 16;

/// Maximum size in bytes of the script that starts a step, when it is read for a shell.
const MAX_LAUNCH: u64 = 16 * 1024 * 1024;

/// A supervisor that is listening.
pub(super) struct Supervisor {
    /// The shared folder. The container may change its content.
    control: Arc<Folder>,
    commands: Mutex<pipe::Sender>,
    signals: Arc<std::sync::Mutex<File>>,
    states: Arc<Mutex<mpsc::Receiver<State>>>,
    next: AtomicU64,
}

/// Folder shared with the container.
#[derive(Clone, Debug)]
pub(super) struct Control {
    /// Path on this machine.
    pub(super) outside: PathBuf,
    /// Path in the container.
    pub(super) inside: PathBuf,
}

/// Message of a supervisor.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Ready,
    Started { number: u64, group: i32 },
    Ended { number: u64, exit: Exit },
}

impl State {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let verb = words.next()?;
        if verb == "ready" {
            return Some(Self::Ready);
        }
        let number = words.next()?.parse().ok()?;
        match verb {
            "started" => Some(Self::Started { number, group: words.next()?.parse().ok()? }),
            "ended" => {
                let code = words.next()?.parse().ok()?;
                let exit = if words.next() == Some("1") { Exit::OutOfMemory } else { Exit::Code(code) };
                Some(Self::Ended { number, exit })
            }
            _ => None,
        }
    }
}

impl Control {
    /// Makes the folder with its FIFOs and the script. Any user of the container may use them.
    pub(super) fn prepare(&self) -> io::Result<Folder> {
        let (above, name) = Folder::above(&self.outside)?;
        let folder = above.make_folders(name)?;
        folder.set_own_mode(0o755)?;
        for name in ["commands", "signals", "states"] {
            folder.make_fifo(name)?;
        }
        let mut script = folder.create(Path::new("supervisor"))?;
        script.write_all(SCRIPT.as_bytes())?;
        script.set_permissions(Permissions::from_mode(0o644))?;
        Ok(folder)
    }

    /// Returns the command to run in the container.
    pub(super) fn command(&self) -> Vec<String> {
        let script = self.inside.join("supervisor");
        ["sh".into(), script.to_string_lossy(), self.inside.to_string_lossy()].map(std::borrow::Cow::into_owned).into()
    }
}

impl Supervisor {
    /// Waits until a supervisor listens. `alive` returns whether its process still runs.
    ///
    /// # Errors
    /// The supervisor has ended, did not respond in time, or lacks a program that it needs.
    pub(super) async fn connect(
        control: Folder,
        alive: impl Fn() -> BoxFuture<'static, bool> + Send,
    ) -> io::Result<Self> {
        let states = pipe::Receiver::from_file(control.fifo_to_read("states")?)?;
        // These FIFOs are opened for reading, too, so that neither side blocks in open. The supervisor sees the end of
        // its FIFO once this process has ended for any reason.
        let commands = pipe::Sender::from_file(control.fifo_to_write("commands")?)?;
        let signals = control.fifo_to_write("signals")?;
        let deadline = Instant::now() + READY;
        let mut looked = Instant::now();
        let mut lines = BufReader::new(states);
        let mut line = String::new();
        // A FIFO without a writer reports the end of file.
        while read_line(&mut lines, &mut line).await? == 0 || !line.ends_with('\n') {
            let now = Instant::now();
            if now > deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no supervisor answered from inside the container",
                ));
            }
            if now.duration_since(looked) > Duration::from_millis(200) {
                looked = now;
                if !alive().await {
                    return Err(io::Error::other("the supervisor ended inside the container"));
                }
            }
            sleep(Duration::from_millis(1)).await;
        }
        if State::parse(line.trim()) != Some(State::Ready) {
            return Err(io::Error::other(format!("the container {}", line.trim())));
        }
        let (say, said) = mpsc::channel(MAX_PENDING_STATES);
        tokio::spawn(listen(lines, say));
        Ok(Self {
            control: Arc::new(control),
            commands: Mutex::new(commands),
            signals: Arc::new(std::sync::Mutex::new(signals)),
            states: Arc::new(Mutex::new(said)),
            next: AtomicU64::new(1),
        })
    }

    /// Whether no process is running. A supervisor runs one process at a time.
    pub(super) fn is_idle(&self) -> bool {
        self.states.try_lock().is_ok()
    }

    /// Starts a process, after the end of the previous one.
    pub(super) async fn start(&self, launch: &Launch) -> io::Result<Child> {
        let mut states = Arc::clone(&self.states).lock_owned().await;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = number.to_string();
        let folder = self.control.make_folders(Path::new(&name))?;
        folder.set_own_mode(0o755)?;
        folder.make_fifo("out")?;
        let output = pipe::Receiver::from_file(folder.fifo_to_read("out")?)?;
        // This fails if the user's quota of pipe memory is used up, which only costs speed.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, super::super::host::PIPE_SIZE);
        let mut file = folder.create(Path::new("launch"))?;
        file.write_all(&script(launch, number))?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        let started = async {
            self.commands.lock().await.write_all(format!("run {number}\n").as_bytes()).await?;
            Ok(tokio::time::timeout(STARTED, next(&mut states, number)).await)
        };
        let started: io::Result<_> = started.await;
        if !matches!(started, Ok(Ok(Some(State::Started { .. })))) {
            // The folder contains the step's environment.
            let _ = self.control.remove_folder(Path::new(&name));
        }
        let group = match started? {
            Ok(Some(State::Started { group, .. })) => group,
            Ok(Some(State::Ended { exit, .. })) => {
                return Err(io::Error::other(format!("the process did not start inside the container ({exit})")));
            }
            Ok(_) => return Err(gone()),
            Err(_) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the supervisor in the container does not answer"));
            }
        };
        let signals = Arc::clone(&self.signals);
        let exit = ended(states, number, Arc::clone(&self.control)).boxed();
        let signal = move |interrupt: Interrupt| {
            // If the supervisor is gone, there is nothing left to signal.
            let _ = signals
                .lock()
                .map(|mut signals| signals.write_all(format!("{} {group}\n", interrupt.name()).as_bytes()));
        };
        Ok(Child { group: None, output: Box::new(output), exit, signal: Box::new(signal) })
    }
}

/// Waits for the end of a process and removes its folder, which contains its environment.
async fn ended(
    mut states: OwnedMutexGuard<mpsc::Receiver<State>>,
    number: u64,
    control: Arc<Folder>,
) -> io::Result<Exit> {
    let end = loop {
        match next(&mut states, number).await {
            Some(State::Ended { exit, .. }) => break Ok(exit),
            Some(_) => {}
            None => break Err(gone()),
        }
    };
    if let Err(error) = control.remove_folder(Path::new(&number.to_string())) {
        tracing::warn!(number, %error, "cannot remove a step's control folder");
    }
    end
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the container was stopped or removed, or its engine died")
}

/// Returns the next message about a process; `None` once the supervisor is gone.
async fn next(states: &mut mpsc::Receiver<State>, wanted: u64) -> Option<State> {
    loop {
        match states.recv().await? {
            State::Started { number, .. } | State::Ended { number, .. } if number != wanted => {}
            State::Ready => {}
            state => return Some(state),
        }
    }
}

/// Forwards messages of the supervisor until it ends.
async fn listen(mut lines: BufReader<pipe::Receiver>, say: mpsc::Sender<State>) {
    let mut line = String::new();
    while read_line(&mut lines, &mut line).await.is_ok_and(|read| read > 0) {
        if let Some(state) = State::parse(line.trim())
            && say.send(state).await.is_err()
        {
            return;
        }
        line.clear();
    }
}

/// Reads a line up to the maximum length of a message, because any process of the container may write to the FIFO.
async fn read_line(lines: &mut BufReader<pipe::Receiver>, line: &mut String) -> io::Result<usize> {
    lines.take(MAX_STATE.saturating_sub(line.len()) as u64).read_line(line).await
}

/// Variables that some shells reserve.
const RESERVED: &[&[u8]] =
    &[b"UID", b"EUID", b"PPID", b"GROUPS", b"SHELLOPTS", b"BASHOPTS", b"BASH_VERSINFO", b"OPTIND"];

/// Returns shell commands that set the environment and folder of the job's newest running step. `None` if no step is
/// running, or its script cannot be read.
#[must_use]
pub(super) fn surroundings(control: &Path) -> Option<String> {
    let steps =
        fs::read_dir(control).ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    let launch = Path::new(&steps.max()?.to_string()).join("launch");
    let text = Folder::open(control).ok()?.read(&launch, Links::Refuse, MAX_LAUNCH).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (place, _) = text.split_once(PROGRAM)?;
    // The first two lines are for the supervisor.
    Some(place.splitn(3, '\n').nth(2)?.to_owned())
}

/// Returns the script that becomes the process. Names that a shell can export are exported. Other names
/// (`INPUT_FETCH-DEPTH`) are passed through `env`, because a shell would drop them.
fn script(launch: &Launch, number: u64) -> Vec<u8> {
    let mut text = format!("echo \"started {number} $$\" >&9\nexec 9>&-\n").into_bytes();
    let mut odd = Vec::new();
    for (name, value) in &launch.env {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        match export(name, value) {
            Some(line) => text.extend_from_slice(&line),
            None => odd.push(quoted(&[name, b"=", value].concat())),
        }
    }
    let cwd = launch.cwd.as_os_str().as_bytes();
    let fault = |text: &str| quoted(&[b"##[error]the working directory ", cwd, text.as_bytes()].concat());
    let cwd = quoted(cwd);
    for part in [
        b"cd ".as_slice(),
        &cwd,
        b" 2>/dev/null || { if [ -e ",
        &cwd,
        b" ]; then echo ",
        &fault(" cannot be entered: it is a file, or its permissions forbid it"),
        b"; else echo ",
        &fault(" does not exist"),
        format!("; fi; exit 1; }}\n{PROGRAM}exec ").as_bytes(),
    ] {
        text.extend_from_slice(part);
    }
    if !odd.is_empty() {
        text.extend_from_slice(b"env ");
        text.extend_from_slice(&odd.join(&b' '));
        text.push(b' ');
    }
    let words = std::iter::once(launch.program.as_os_str()).chain(launch.args.iter().map(OsStr::new));
    let words: Vec<_> = words.map(|word| quoted(word.as_bytes())).collect();
    text.extend_from_slice(&words.join(&b' '));
    text.push(b'\n');
    text
}

/// Returns the shell command that exports a variable, or `None` if the name is reserved or not valid in a shell.
#[must_use]
pub(super) fn export(name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = name.iter();
    let plain = !RESERVED.contains(&name)
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    plain.then(|| [b"export ", name, b"=", &quoted(value), b"\n"].concat())
}

/// Quotes a word for a shell, with single quotes.
#[must_use]
pub(super) fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => text.extend_from_slice(br"'\''"),
            other => text.push(*other),
        }
    }
    text.push(b'\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Starts the script of the supervisor on this machine, without a container. `None` if the shell does not exist.
    async fn supervisor(shell: &str) -> Option<(tempfile::TempDir, Supervisor)> {
        let folder = tempfile::tempdir().expect("a folder");
        let control = Control { outside: folder.path().join("c"), inside: folder.path().join("c") };
        let prepared = control.prepare().expect("prepared");
        let command = control.command();
        let mut words = shell.split(' ');
        let child =
            tokio::process::Command::new(words.next().expect("a shell")).args(words).args(&command[1..]).spawn();
        child.ok()?;
        let supervisor = Supervisor::connect(prepared, || async { true }.boxed()).await.expect("listens");
        Some((folder, supervisor))
    }

    fn launch(script: &str) -> Launch {
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("A", "it's"), ("INPUT_A-B", "x y"), ("N", "1\n2")];
        Launch {
            program: "/bin/sh".into(),
            args: ["-c", script].map(Into::into).into(),
            cwd: std::env::temp_dir(),
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
            background: false,
        }
    }

    async fn run(supervisor: &Supervisor, script: &str) -> (Exit, String) {
        let mut child = supervisor.start(&launch(script)).await.expect("starts");
        let mut text = String::new();
        tokio::time::timeout(LIMIT, child.output.read_to_string(&mut text)).await.expect("ends").expect("read");
        (tokio::time::timeout(LIMIT, child.exit).await.expect("ends").expect("observed"), text)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn steps_run_one_after_the_other_with_their_own_environment() {
        for shell in ["sh", "bash", "busybox sh"] {
            let Some((_folder, supervisor)) = supervisor(shell).await else {
                continue;
            };
            let (exit, said) = run(&supervisor, "echo \"$A|$N\"; exit 7").await;
            assert_eq!((exit, said.as_str()), (Exit::Code(7), "it's|1\n2\n"), "{shell}");
            // A shell would drop this name, so the variable must not pass through one.
            let env = Launch { program: "env".into(), args: Vec::new(), ..launch("") };
            let mut child = supervisor.start(&env).await.expect("starts");
            let mut text = String::new();
            child.output.read_to_string(&mut text).await.expect("read");
            assert!(text.lines().any(|line| line == "INPUT_A-B=x y"), "{shell}: {text}");
            assert_eq!(child.exit.await.expect("observed"), Exit::Code(0));
            assert_eq!(run(&supervisor, "echo next >&2").await, (Exit::Code(0), "next\n".to_owned()));
            let (exit, said) = run(&supervisor, "kill -9 $$").await;
            assert_eq!((exit, said.as_str()), (Exit::Code(137), ""));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_interrupt_reaches_the_whole_group() {
        for shell in ["sh", "bash", "busybox sh"] {
            let Some((_folder, supervisor)) = supervisor(shell).await else { continue };
            let trap = "trap 'echo caught; exit 3' INT; echo on; while :; do sleep 0.05; done";
            let mut child = supervisor.start(&launch(trap)).await.expect("starts");
            let mut line = [0; 3];
            tokio::time::timeout(LIMIT, child.output.read_exact(&mut line)).await.expect("writes").expect("open");
            (child.signal)(Interrupt::Int);
            let mut rest = String::new();
            tokio::time::timeout(LIMIT, child.output.read_to_string(&mut rest)).await.expect("ends").expect("read");
            assert_eq!(rest, "caught\n", "{shell}");
            assert_eq!(child.exit.await.expect("observed"), Exit::Code(3));
        }
    }

    #[test]
    fn messages_are_parsed_and_noise_is_ignored() {
        assert_eq!(State::parse("ready"), Some(State::Ready));
        assert_eq!(State::parse("started 3 41"), Some(State::Started { number: 3, group: 41 }));
        assert_eq!(State::parse("ended 3 7 0"), Some(State::Ended { number: 3, exit: Exit::Code(7) }));
        assert_eq!(State::parse("ended 3 137 1"), Some(State::Ended { number: 3, exit: Exit::OutOfMemory }));
        for noise in ["", "ended", "ended x 1 0", "started 1", "lacks setsid"] {
            assert_eq!(State::parse(noise), None, "{noise}");
        }
    }
}
