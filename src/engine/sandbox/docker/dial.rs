//! Connects to an engine over its socket, TCP, TLS, or SSH.
//!
//! Over SSH, the user's `ssh` starts `docker system dial-stdio` on the other machine, as the docker CLI does: hosts,
//! keys and jump hosts come from the user's own configuration. `ssh` never prompts, because a worker has no terminal
//! and the screen uses the terminal itself.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, Docker};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tower_service::Service;

use super::address::Endpoint;
use super::client::reason;
use crate::engine::program::drained;

/// How long a Docker engine may take to answer for the first time.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an engine may take to answer over SSH, which has to connect and log in first.
const SSH_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit for the start of an answer, in seconds.
const CALL_TIMEOUT_SECONDS: u64 = 120;
/// Arguments of `ssh` before the host. With `ServerAliveInterval`, `ssh` ends its connection within a minute if the engine
/// has become unreachable. Otherwise a request to it would never end.
const OPTIONS: [&str; 7] = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15"];
/// How many connections may be about to log in at the same time. `sshd` refuses some of more than ten (`MaxStartups`), and a
/// step that starts many replicas needs a connection for each.
const MAX_STARTING: usize = 8;
/// How long a connection counts as one that is about to log in, if nothing comes from the engine. A connection may be opened
/// and not used.
const STARTS_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait for the error messages of an `ssh` after the end of its connection.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why an engine cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("it has no scheme: write unix:///path, tcp://host:port or ssh://user@host")]
    NoScheme,
    #[error("{0}:// is not supported: write unix:///path, tcp://host:port or ssh://user@host")]
    UnknownScheme(String),
    #[error(
        "the address does not name a host: write ssh://user@host, ssh://host:port or ssh://host/path/of/the/socket"
    )]
    NoHost,
    #[error("{} is missing: TLS needs ca.pem, cert.pem and key.pem; set DOCKER_CERT_PATH to their folder, or unset DOCKER_TLS_VERIFY", .0.display())]
    NoCertificate(PathBuf),
    #[error("{}", reason(.0))]
    Api(#[from] Error),
    #[error("{words}")]
    Ssh { words: String },
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
}

/// Connects, and waits until the engine responds.
///
/// # Errors
/// The address is invalid, or no engine responds there.
pub(super) async fn dial(endpoint: &Endpoint) -> Result<Docker, DialError> {
    let version = bollard::API_DEFAULT_VERSION;
    let address = endpoint.address.as_str();
    let (scheme, rest) = address.split_once("://").ok_or(DialError::NoScheme)?;
    let mut over_ssh = None;
    let api = match (scheme, &endpoint.certificates) {
        ("unix", _) => Docker::connect_with_unix(rest, CALL_TIMEOUT_SECONDS, version)?,
        (_, Some(folder)) => {
            let [key, certificate, authority] = ["key.pem", "cert.pem", "ca.pem"].map(|name| folder.join(name));
            if let Some(missing) = [&key, &certificate, &authority].into_iter().find(|path| !path.is_file()) {
                return Err(DialError::NoCertificate(missing.clone()));
            }
            Docker::connect_with_ssl(address, &key, &certificate, &authority, CALL_TIMEOUT_SECONDS, version)?
        }
        ("tcp" | "http", None) => Docker::connect_with_http(address, CALL_TIMEOUT_SECONDS, version)?,
        ("ssh", _) => {
            let dialer = over_ssh.insert(Dialer::to(rest)?);
            let client = Client::builder(TokioExecutor::new()).build(dialer.clone());
            let send = move |request: BollardRequest| {
                let answer = client.request(request);
                async move { Ok(answer.await?) }
            };
            Docker::connect_with_custom_transport(send, Some("http://docker"), CALL_TIMEOUT_SECONDS, version)?
        }
        (other, _) => return Err(DialError::UnknownScheme(other.to_owned())),
    };
    let limit = if over_ssh.is_some() { SSH_TIMEOUT } else { PING_TIMEOUT };
    match (timeout(limit, api.ping()).await, over_ssh) {
        // An older engine refuses the version of the call.
        (Ok(Ok(_) | Err(Error::DockerResponseServerError { .. })), _) => Ok(api),
        (Ok(Err(error)), Some(dialer)) => Err(dialer.error().await.unwrap_or(DialError::Api(error))),
        (Ok(Err(error)), None) => Err(error.into()),
        (Err(_), _) => Err(DialError::Silent(limit)),
    }
}

/// Connector that starts an `ssh` process for each connection. The HTTP client in [`dial`] keeps connections and reuses
/// them.
#[derive(Clone)]
struct Dialer {
    program: &'static str,
    arguments: Arc<[String]>,
    /// Permits for connections that are about to log in.
    starting: Arc<Semaphore>,
    /// Standard error of the last `ssh` that failed.
    words: watch::Sender<String>,
}

impl Dialer {
    /// Parses `[user@]host[:port][/path/of/the/socket]`.
    fn to(address: &str) -> Result<Self, DialError> {
        let (authority, socket) = match address.split_once('/') {
            Some((authority, path)) => (authority, Some(path).filter(|path| !path.is_empty())),
            None => (address, None),
        };
        // An IPv6 address in brackets contains colons.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() && !host.ends_with(':') => (host, Some(port)),
            _ => (authority, None),
        };
        let (user, host) = host.rsplit_once('@').map_or((None, host), |(user, host)| (Some(user), host));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || user.is_some_and(str::is_empty) {
            return Err(DialError::NoHost);
        }
        let mut arguments = OPTIONS.map(str::to_owned).to_vec();
        arguments.extend(user.into_iter().flat_map(|user| ["-l".to_owned(), user.to_owned()]));
        arguments.extend(port.into_iter().flat_map(|port| ["-p".to_owned(), port.to_owned()]));
        arguments.extend(["--", host, "docker"].map(str::to_owned));
        // The shell of the other machine parses the arguments again, so the path is quoted.
        let quoted = |path: &str| format!("'unix:///{}'", path.replace('\'', r"'\''"));
        arguments.extend(socket.into_iter().flat_map(|path| ["--host".to_owned(), quoted(path)]));
        arguments.extend(["system", "dial-stdio"].map(str::to_owned));
        Ok(Self::of("ssh", arguments))
    }

    fn of(program: &'static str, arguments: Vec<String>) -> Self {
        let starting = Arc::new(Semaphore::new(MAX_STARTING));
        Self { program, arguments: arguments.into(), starting, words: watch::Sender::default() }
    }

    /// Starts an `ssh` whose standard input and output are the connection. The process ends when the connection is
    /// closed. `permit` is held until the first answer, which shows that `ssh` has logged in, or until the process ends.
    fn connect(&self, permit: OwnedSemaphorePermit) -> io::Result<UnixStream> {
        let (near, far) = StdStream::pair()?;
        near.set_nonblocking(true)?;
        let watched = UnixStream::from_std(near.try_clone()?)?;
        let far = OwnedFd::from(far);
        let mut child = Command::new(self.program)
            .args(&*self.arguments)
            .stdin(Stdio::from(far.try_clone()?))
            .stdout(Stdio::from(far))
            .stderr(Stdio::piped())
            .spawn()?;
        tokio::spawn(async move {
            let _ = timeout(STARTS_WITHIN, watched.readable()).await;
            drop(permit);
        });
        let stderr = child.stderr.take();
        let words = self.words.clone();
        tokio::spawn(async move {
            // Once its standard error is closed, `ssh` would be killed by its next message.
            let read = drained(stderr).await.unwrap_or_default();
            if child.wait().await.is_ok_and(|status| !status.success()) {
                words.send_replace(String::from_utf8_lossy(&read).into_owned());
            }
        });
        UnixStream::from_std(near)
    }

    /// Returns the message of the last `ssh` that failed. `None` if there is no message within half a second.
    async fn error(&self) -> Option<DialError> {
        // The connection can be closed a moment before `ssh` has ended.
        let mut words = self.words.subscribe();
        let has_words = words.wait_for(|words| !words.trim().is_empty());
        let words = timeout(PATIENCE, has_words).await.ok()?.ok()?.clone();
        let said: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Some(DialError::Ssh { words: said.join("; ") })
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<UnixStream>>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        async move {
            let permit = Arc::clone(&dialer.starting).acquire_owned().await.map_err(io::Error::other)?;
            dialer.connect(permit).map(TokioIo::new)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(address: &str) -> Result<String, DialError> {
        Dialer::to(address).map(|dialer| dialer.arguments[OPTIONS.len()..].join(" "))
    }

    #[tokio::test]
    async fn only_some_connections_log_in_at_the_same_time() {
        let uri = || Uri::from_static("http://docker");
        let mut silent = Dialer::of("sleep", vec!["5".to_owned()]);
        let mut connections = Vec::new();
        for _ in 0..MAX_STARTING {
            connections.push(silent.call(uri()).await.expect("connected"));
        }
        assert!(silent.call(uri()).now_or_never().is_none(), "`sshd` would refuse it");
        // A connection that has ended, or has an answer, is no longer about to log in.
        let mut ends = Dialer::of("true", Vec::new());
        for _ in 0..2 * MAX_STARTING {
            ends.call(uri()).await.expect("connected");
        }
    }

    #[test]
    fn a_connection_to_an_engine_that_is_gone_ends() {
        let dialer = Dialer::to("host").expect("an address");
        assert!(dialer.arguments.windows(2).any(|pair| pair == ["-o", "ServerAliveInterval=15"]));
    }

    #[test]
    fn an_address_becomes_the_arguments_of_ssh() {
        for (address, expected) in [
            ("host", "-- host docker system dial-stdio"),
            ("host/", "-- host docker system dial-stdio"),
            ("build@host:2222", "-l build -p 2222 -- host docker system dial-stdio"),
            ("host/run/user/1/docker.sock", "-- host docker --host 'unix:///run/user/1/docker.sock' system dial-stdio"),
            ("host/a'; touch b", r"-- host docker --host 'unix:///a'\''; touch b' system dial-stdio"),
            ("build@[::1]:22", "-l build -p 22 -- ::1 docker system dial-stdio"),
            ("[::1]", "-- ::1 docker system dial-stdio"),
            // An option is treated as a host name, which ssh cannot find.
            ("-oProxyCommand=touch", "-- -oProxyCommand=touch docker system dial-stdio"),
        ] {
            assert_eq!(arguments(address).expect(address), expected);
        }
        for address in ["", "/path", "@host", "user@", ":22"] {
            assert!(matches!(arguments(address), Err(DialError::NoHost)), "{address}");
        }
    }
}
