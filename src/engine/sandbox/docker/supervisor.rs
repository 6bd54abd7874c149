//! The fast way to start a step in a container: one shell inside it, started once, forks each step.
//!
//! It is controlled through FIFOs in a shared folder, without Docker: starting a step takes about a millisecond instead
//! of 60 ms for `docker exec`, output has the speed of a pipe, and a restart of the engine while the container runs
//! does not matter. Both sides must share a kernel; if the supervisor does not answer, `docker exec` is used instead.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::fs::{CWD, Mode};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio::time::{Instant, sleep};

use crate::engine::sandbox::{Child, Exit, Interrupt, Launch};

/// Separates the setup of a process from its program in a script.
const PROGRAM: &str = "# program\n";

/// Script that runs inside the container.
const SCRIPT: &str = include_str!("supervisor.sh");

/// Time limit for a supervisor to start listening. Docker needs 60 to 100 ms to start its process; on another kernel it
/// never listens.
const READY: Duration = Duration::from_secs(5);

/// Time limit for a step to start: the supervisor is idle then.
const STARTED: Duration = Duration::from_secs(10);

/// A supervisor that is listening.
pub(super) struct Supervisor {
    control: Control,
    commands: Mutex<pipe::Sender>,
    signals: Arc<std::sync::Mutex<fs::File>>,
    states: Arc<Mutex<mpsc::UnboundedReceiver<State>>>,
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
    /// Creates the folder with its FIFOs and the script. Any user of the container may use them.
    pub(super) fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.outside)?;
        for name in ["commands", "signals", "states"] {
            make_fifo(&self.outside.join(name))?;
        }
        fs::write(self.script(), SCRIPT)
    }

    fn script(&self) -> PathBuf {
        self.outside.join("supervisor")
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
    /// The supervisor ended or did not answer in time.
    pub(super) async fn connect(
        control: Control,
        alive: impl Fn() -> BoxFuture<'static, bool> + Send,
    ) -> io::Result<Self> {
        let states = pipe::OpenOptions::new().open_receiver(control.outside.join("states"))?;
        // Opened for reading too, so that neither side blocks on open. The supervisor reads end of file once this
        // process is gone, for whatever reason.
        let commands = pipe::OpenOptions::new().read_write(true).open_sender(control.outside.join("commands"))?;
        let signals = fs::OpenOptions::new().read(true).write(true).open(control.outside.join("signals"))?;
        let deadline = Instant::now() + READY;
        let mut looked = Instant::now();
        let mut lines = BufReader::new(states);
        let mut line = String::new();
        // Before its writer has opened it, a FIFO reads as if at its end.
        while lines.read_line(&mut line).await? == 0 || !line.ends_with('\n') {
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
        let (say, said) = mpsc::unbounded_channel();
        tokio::spawn(listen(lines, say));
        Ok(Self {
            control,
            commands: Mutex::new(commands),
            signals: Arc::new(std::sync::Mutex::new(signals)),
            states: Arc::new(Mutex::new(said)),
            next: AtomicU64::new(1),
        })
    }

    /// Starts a process. The previous one must have ended: the steps of a job run one after the other.
    pub(super) async fn start(&self, launch: &Launch) -> io::Result<Child> {
        let mut states = Arc::clone(&self.states).lock_owned().await;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.control.outside.join(number.to_string());
        fs::create_dir(&folder)?;
        make_fifo(&folder.join("out"))?;
        let output = pipe::OpenOptions::new().open_receiver(folder.join("out"))?;
        // Only costs speed if the user's quota of pipe memory is exhausted.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, super::super::host::PIPE_SIZE);
        fs::write(folder.join("launch"), script(launch, number))?;
        let started = async {
            self.commands.lock().await.write_all(format!("run {number}\n").as_bytes()).await?;
            Ok(tokio::time::timeout(STARTED, next(&mut states, number)).await)
        };
        let started: io::Result<_> = started.await;
        if !matches!(started, Ok(Ok(Some(State::Started { .. })))) {
            // The folder contains the step's environment.
            let _ = fs::remove_dir_all(&folder);
        }
        let group = match started? {
            Ok(Some(State::Started { group, .. })) => group,
            Ok(Some(State::Ended { exit, .. })) => {
                return Err(io::Error::other(format!("the process did not start inside the container: {exit:?}")));
            }
            Ok(_) => return Err(gone()),
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the container does not start processes")),
        };
        let signals = Arc::clone(&self.signals);
        let exit = ended(states, number, folder).boxed();
        let signal = move |interrupt: Interrupt| {
            use std::io::Write;
            // If the supervisor is gone, so are its processes.
            let _ = signals
                .lock()
                .map(|mut signals| signals.write_all(format!("{} {group}\n", interrupt.name()).as_bytes()));
        };
        Ok(Child { group: None, output: Box::new(output), exit, signal: Box::new(signal) })
    }
}

/// Waits for the end of a process and removes its folder, which contains its environment.
async fn ended(
    mut states: OwnedMutexGuard<mpsc::UnboundedReceiver<State>>,
    number: u64,
    folder: PathBuf,
) -> io::Result<Exit> {
    let end = loop {
        match next(&mut states, number).await {
            Some(State::Ended { exit, .. }) => break Ok(exit),
            Some(_) => {}
            None => break Err(gone()),
        }
    };
    if let Err(error) = fs::remove_dir_all(&folder) {
        tracing::warn!(folder = %folder.display(), %error, "cannot remove a step's control folder");
    }
    end
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the container was stopped or removed, or its engine died")
}

/// Returns the next message about a process; `None` once the supervisor is gone.
async fn next(states: &mut mpsc::UnboundedReceiver<State>, wanted: u64) -> Option<State> {
    loop {
        match states.recv().await? {
            State::Started { number, .. } | State::Ended { number, .. } if number != wanted => {}
            State::Ready => {}
            state => return Some(state),
        }
    }
}

/// Passes on the messages of the supervisor until it is gone.
async fn listen(mut lines: BufReader<pipe::Receiver>, say: mpsc::UnboundedSender<State>) {
    let mut line = String::new();
    while lines.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if let Some(state) = State::parse(line.trim())
            && say.send(state).is_err()
        {
            return;
        }
        line.clear();
    }
}

fn make_fifo(path: &Path) -> io::Result<()> {
    rustix::fs::mkfifoat(CWD, path, Mode::from_raw_mode(0o666))?;
    // The umask may have removed permissions.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
}

/// Variables that some shells reserve.
const RESERVED: &[&[u8]] =
    &[b"UID", b"EUID", b"PPID", b"GROUPS", b"SHELLOPTS", b"BASHOPTS", b"BASH_VERSINFO", b"OPTIND"];

/// Returns shell commands that set the environment and folder of the job's newest step.
#[must_use]
pub(super) fn surroundings(control: &Path) -> Option<String> {
    let steps =
        fs::read_dir(control).ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    let text = fs::read_to_string(control.join(steps.max()?.to_string()).join("launch")).ok()?;
    let (place, _) = text.split_once(PROGRAM)?;
    // The first two lines are for the supervisor.
    Some(place.splitn(3, '\n').nth(2)?.to_owned())
}

/// Returns the script that becomes the process. Names that a shell can export are exported; others
/// (`INPUT_FETCH-DEPTH`) are passed through `env`, as a shell would drop them.
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
    text.extend_from_slice(b"cd ");
    text.extend_from_slice(&quoted(launch.cwd.as_os_str().as_bytes()));
    text.extend_from_slice(format!(" || exit 1\n{PROGRAM}exec ").as_bytes());
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

    /// Starts a supervisor on this machine, with the same script.
    async fn supervisor(shell: &str) -> Option<(tempfile::TempDir, Supervisor)> {
        let folder = tempfile::tempdir().expect("a folder");
        let control = Control { outside: folder.path().join("c"), inside: folder.path().join("c") };
        control.prepare().expect("prepared");
        let command = control.command();
        let mut words = shell.split(' ');
        let child =
            tokio::process::Command::new(words.next().expect("a shell")).args(words).args(&command[1..]).spawn();
        child.ok()?;
        let supervisor = Supervisor::connect(control, || async { true }.boxed()).await.expect("listens");
        Some((folder, supervisor))
    }

    fn launch(script: &str) -> Launch {
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("A", "it's"), ("INPUT_A-B", "x y"), ("N", "1\n2")];
        Launch {
            program: "/bin/sh".into(),
            args: ["-c", script].map(Into::into).into(),
            cwd: std::env::temp_dir(),
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
        }
    }

    async fn run(supervisor: &Supervisor, script: &str) -> (Exit, String) {
        let mut child = supervisor.start(&launch(script)).await.expect("starts");
        let mut text = String::new();
        tokio::time::timeout(LIMIT, child.output.read_to_string(&mut text)).await.expect("ends").expect("read");
        (tokio::time::timeout(LIMIT, child.exit).await.expect("ends").expect("told"), text)
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
            assert_eq!(child.exit.await.expect("told"), Exit::Code(0));
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
            assert_eq!(child.exit.await.expect("told"), Exit::Code(3));
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
