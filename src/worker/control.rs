//! Control socket of a run: receives commands, sends replies, and wakes readers of the journal.
//!
//! A client sends one [`Command`] as a line of JSON. Every command except `Watch` is answered with one [`Reply`] line.
//! `Watch` keeps the connection open and receives one byte whenever the journal has grown; the byte only means that the
//! journal should be read, so a slow reader misses nothing and never blocks the run. End of file on a watch means that
//! the worker has ended. A `Question` is also answered with one line.
//!
//! Only the user who owns the run can connect: the socket has mode 0600 in a folder of mode 0700, and the user id of
//! the peer is checked as well.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::RecvFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::engine::checkpoint::FailedStep;
use crate::model::{Command, JobId, Reply};

/// Returns the environment of the held or last failed step of a job, with its secrets. `None` if no step has failed.
pub type Environments = Arc<dyn Fn(&JobId) -> Option<FailedStep> + Send + Sync>;

/// A question to the worker of a run. Its answer may contain secrets, so it is not recorded.
#[derive(Serialize, Deserialize)]
#[serde(tag = "question", rename_all = "snake_case")]
enum Question {
    /// The environment of the held or last failed step of a job.
    Environment {
        /// The job.
        job: JobId,
    },
}

/// Maximum size in bytes of the environment of a step in an answer.
const MAX_ENVIRONMENT: u64 = 16 * 1024 * 1024;

/// A command with the sender for its reply.
pub type PendingCommand = (Command, oneshot::Sender<Reply>);

/// Maximum length in bytes of a socket path. Linux allows 107 bytes, macOS 103.
const LONGEST_ADDRESS: usize = 100;

/// Maximum number of bytes to read from a connection: all commands of a client, or a reply. This keeps a client from
/// filling the worker's memory.
const LONGEST_ORDER: u64 = 64 * 1024;

/// Time limit for the answer of a worker. A worker answers at once, unless it is stopped or its disk hangs.
pub const ORDER_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the socket. Replaces the socket of a dead worker, which is safe because the caller holds the run's lock.
///
/// # Errors
/// The old socket cannot be removed, or the new one cannot be created.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = with_short_address(path, |address| UnixListener::bind(address))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers clients until the receiver of commands is closed. Commands sent before that are still answered.
pub async fn serve(
    listener: UnixListener,
    orders: mpsc::Sender<PendingCommand>,
    grown: watch::Receiver<u64>,
    environments: Environments,
) {
    let mut clients = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted && is_same_user(&stream) {
                    clients.spawn(client(stream, orders.clone(), grown.clone(), Arc::clone(&environments)));
                }
            }
            Some(ended) = clients.join_next() => {
                // A client that disconnects is not an error. A panic is passed on to the host, which ends the run.
                if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
                    std::panic::resume_unwind(panic);
                }
            }
            () = orders.closed() => break,
        }
    }
    while clients.join_next().await.is_some() {}
}

fn is_same_user(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

async fn client(
    stream: UnixStream,
    orders: mpsc::Sender<PendingCommand>,
    mut grown: watch::Receiver<u64>,
    environments: Environments,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LONGEST_ORDER)).lines();
    // A line that arrived while the previous command was carried out.
    let mut early = None;
    loop {
        let line = if early.is_some() {
            early.take()
        } else {
            tokio::select! {
                line = lines.next_line() => line?,
                () = orders.closed() => None,
            }
        };
        let Some(line) = line else { return Ok(()) };
        if let Ok(Question::Environment { job }) = serde_json::from_str(&line) {
            let environments = Arc::clone(&environments);
            let found = spawn_blocking(move || environments(&job)).await.map_err(io::Error::other)?;
            let mut answer = serde_json::to_vec(&found).map_err(io::Error::other)?;
            answer.push(b'\n');
            write.write_all(&answer).await?;
            continue;
        }
        let reply = match serde_json::from_str::<Command>(&line) {
            Ok(Command::Watch) => {
                // The first byte means that the watch has started: earlier records are already in the journal.
                loop {
                    write.write_all(b"\n").await?;
                    tokio::select! {
                        Ok(()) = grown.changed() => {}
                        // The client sees the end of the file, which means that the worker has ended.
                        () = orders.closed() => return Ok(()),
                    }
                }
            }
            // The client gave up while this process was stopped, and reported that the worker does not answer: the
            // command must not be carried out later.
            Ok(_) if has_left(lines.get_ref().get_ref().get_ref().as_ref()) => return Ok(()),
            Ok(command) => {
                let mut asking = std::pin::pin!(ask(command, &orders));
                loop {
                    tokio::select! {
                        reply = &mut asking => break reply,
                        // A client that disconnects withdraws its command, as far as that is possible.
                        line = lines.next_line(), if early.is_none() => match line? {
                            Some(line) => early = Some(line),
                            None => return Ok(()),
                        },
                    }
                }
            }
            Err(error) => Reply::Rejected { reason: format!("invalid command: {error}") },
        };
        let mut line = serde_json::to_vec(&reply).map_err(io::Error::other)?;
        line.push(b'\n');
        write.write_all(&line).await?;
    }
}

/// Whether a client has closed its end of the connection, and everything that it sent was read.
fn has_left(client: &UnixStream) -> bool {
    // Asks the system, because tokio's view of the socket may be outdated.
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    rustix::net::recv(client, &mut [0], flags).is_ok_and(|(read, _)| read == 0)
}

async fn ask(command: Command, orders: &mpsc::Sender<PendingCommand>) -> Reply {
    let (answer, answered) = oneshot::channel();
    let ended = || Reply::Rejected { reason: "the run has ended".to_owned() };
    if orders.send((command, answer)).await.is_err() {
        return ended();
    }
    answered.await.unwrap_or_else(|_| ended())
}

/// Sends a command to the worker of a run and waits for the reply.
///
/// # Errors
/// No worker listens, or it does not answer within `limit`, or ended before it answered.
pub async fn order(path: &Path, command: &Command, limit: Duration) -> io::Result<Reply> {
    exchange(path, command, LONGEST_ORDER, limit).await
}

/// Asks the worker of a run for the environment of the held or last failed step of a job, with its secrets. `None` if no
/// step has failed.
///
/// # Errors
/// No worker listens, it does not answer within [`ORDER_TIMEOUT`] or ended before it answered, or its version does not
/// know the question.
pub async fn environment(path: &Path, job: &JobId) -> io::Result<Option<FailedStep>> {
    exchange(path, &Question::Environment { job: job.clone() }, MAX_ENVIRONMENT, ORDER_TIMEOUT).await
}

/// Sends a line and reads the answer, of at most `size` bytes, within `limit`.
async fn exchange<T: DeserializeOwned>(
    path: &Path,
    question: &impl Serialize,
    size: u64,
    limit: Duration,
) -> io::Result<T> {
    let exchanged = async {
        let stream = connect(path).await?;
        let (read, mut write) = stream.into_split();
        let mut line = serde_json::to_vec(question).map_err(io::Error::other)?;
        line.push(b'\n');
        write.write_all(&line).await?;
        let mut answer = String::new();
        BufReader::new(read.take(size)).read_line(&mut answer).await?;
        serde_json::from_str(&answer)
            .map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "the worker ended before it answered"))
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()));
    timeout(limit, exchanged).await.unwrap_or_else(|_| Err(late()))
}

/// A subscription to the growth of a journal.
#[derive(Debug)]
pub struct Watch(UnixStream);

impl Watch {
    /// Subscribes at the worker.
    ///
    /// # Errors
    /// No worker listens.
    pub async fn start(path: &Path) -> io::Result<Self> {
        let mut stream = connect(path).await?;
        let mut line = serde_json::to_vec(&Command::Watch).map_err(io::Error::other)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        Ok(Self(stream))
    }

    /// Waits until the journal has grown, and returns `true`. Returns `false` once the worker has ended.
    pub async fn grown(&mut self) -> bool {
        let mut nudges = [0; 256];
        matches!(self.0.read(&mut nudges).await, Ok(count) if count > 0)
    }
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (address, _folder) = short_address(path)?;
    UnixStream::connect(address).await
}

fn with_short_address<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (address, _folder) = short_address(path)?;
    act(&address)
}

/// Returns a path of the same file that is short enough for a socket address. A path that is too long is replaced by
/// one through a descriptor of its folder, which must stay open while the path is used.
fn short_address(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().as_bytes().len() <= LONGEST_ADDRESS {
        return Ok((path.to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a socket path"));
    };
    let folder = File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((short, Some(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_environments() -> Environments {
        Arc::new(|_| None)
    }

    #[tokio::test]
    async fn the_socket_answers_with_the_environment_of_a_step() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let listener = bind(&path).expect("binds");
        let (orders, mut asked) = mpsc::channel::<PendingCommand>(1);
        let (_grow, grown) = watch::channel(0);
        let env = [("LONG".to_owned(), "x".repeat(100_000))].into();
        let step = FailedStep { env, cwd: "/w".to_owned(), script: None };
        let known = step.clone();
        let environments: Environments = Arc::new(move |job: &JobId| (job.as_str() == "a").then(|| known.clone()));
        let server = tokio::spawn(serve(listener, orders, grown, environments));
        assert_eq!(environment(&path, &JobId::new("a")).await.expect("answered"), Some(step));
        assert_eq!(environment(&path, &JobId::new("b")).await.expect("answered"), None);
        assert!(asked.try_recv().is_err(), "it is not a command");
        server.abort();
    }

    #[tokio::test]
    async fn commands_are_answered_and_watchers_see_growth_and_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("x".repeat(120));
        fs::create_dir(&deep).expect("a folder");
        for path in [folder.path().join("control.sock"), deep.join("control.sock")] {
            let listener = bind(&path).expect("binds");
            assert_eq!(fs::metadata(&path).expect("exists").permissions().mode() & 0o777, 0o600);
            let (orders, mut asked) = mpsc::channel::<PendingCommand>(4);
            let (grow, grown) = watch::channel(0);
            let server = tokio::spawn(serve(listener, orders, grown, no_environments()));
            let answering = tokio::spawn(async move {
                let (command, answer) = asked.recv().await.expect("an order");
                answer.send(Reply::Accepted).expect("the client waits");
                (command, asked)
            });
            assert_eq!(order(&path, &Command::Cancel, ORDER_TIMEOUT).await.expect("answers"), Reply::Accepted);
            let (command, asked) = answering.await.expect("ends");
            assert_eq!(command, Command::Cancel);

            let mut watch = Watch::start(&path).await.expect("listens");
            assert!(watch.grown().await, "the watch stands");
            grow.send(1).expect("a watcher is connected");
            assert!(watch.grown().await);
            drop(asked);
            server.await.expect("ends once the receiver is closed");
            assert!(!watch.grown().await, "the worker is gone");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_does_not_answer_delays_no_command() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        // Clients can connect, but nothing reads what they send.
        let _listener = bind(&path).expect("binds");
        let error = order(&path, &Command::Cancel, ORDER_TIMEOUT).await.expect_err("no answer");
        assert_eq!(error.to_string(), "no answer within 10 s");
    }

    #[tokio::test]
    async fn an_order_that_was_given_up_is_not_carried_out_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        // As with a stopped worker, the sent command waits in the socket.
        let listener = bind(&path).expect("binds");
        let mut gone = UnixStream::connect(&path).await.expect("connects");
        let line = serde_json::to_string(&Command::ForceCancel).expect("JSON") + "\n";
        gone.write_all(line.as_bytes()).await.expect("sends");
        drop(gone);
        let (orders, mut asked) = mpsc::channel::<PendingCommand>(1);
        let (_grow, grown) = watch::channel(0);
        let server = tokio::spawn(serve(listener, orders, grown, no_environments()));
        let patient = tokio::spawn(async move { order(&path, &Command::Cancel, ORDER_TIMEOUT).await });
        let (command, answer) = asked.recv().await.expect("an order");
        assert_eq!(command, Command::Cancel);
        answer.send(Reply::Accepted).expect("the client waits");
        assert_eq!(patient.await.expect("ends").expect("answered"), Reply::Accepted);
        assert!(asked.try_recv().is_err());
        server.abort();
    }

    #[tokio::test]
    async fn a_client_that_gives_up_takes_back_the_command_that_waits() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let listener = bind(&path).expect("binds");
        let (orders, mut asked) = mpsc::channel::<PendingCommand>(1);
        let (_grow, grown) = watch::channel(0);
        let server = tokio::spawn(serve(listener, orders, grown, no_environments()));
        let impatient = tokio::spawn(async move { order(&path, &Command::Cancel, ORDER_TIMEOUT).await });
        let (_, mut answer) = asked.recv().await.expect("an order");
        assert!(!answer.is_closed());
        impatient.abort();
        answer.closed().await;
        server.abort();
    }

    #[tokio::test]
    async fn an_invalid_command_is_rejected_with_a_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        let listener = bind(&path).expect("binds");
        let (orders, _asked) = mpsc::channel(1);
        let (_grow, grown) = watch::channel(0);
        let server = tokio::spawn(serve(listener, orders, grown, no_environments()));
        let mut stream = UnixStream::connect(&path).await.expect("listens");
        stream.write_all(b"rm -rf\n").await.expect("sends");
        let mut answer = String::new();
        BufReader::new(&mut stream).read_line(&mut answer).await.expect("answers");
        assert!(answer.contains("invalid command"), "{answer}");
        server.abort();
    }
}
