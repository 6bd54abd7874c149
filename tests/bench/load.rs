//! Load on a service by `wrk`: eight clients, of which three keep their connections, three open one for each request,
//! and two send requests that take two seconds.
//!
//! How `wrk` counts, and what follows from it:
//!
//! - `requests` are the answers, including those with an error status. Requests without an answer are only in the socket
//!   errors, so the number of requests that were sent is the sum of both.
//! - A request that is late is counted when its answer arrives. Its default limit would count each request of two
//!   seconds.
//! - Requests in flight when it is stopped are not counted at all. So the load goes on for a while after the last change.
//! - It never waits between two requests, so a kept connection that is closed costs a request, and is a read error. But a
//!   server that closes a connection must have said so in its answer, or the next request is lost by the server's fault.
//! - A refused connection is a write error, and is tried again at once, so one interruption can be thousands of errors. The
//!   number says little, except whether it is zero.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Time that a request may take.
const TIMEOUT: &str = "30s";

/// Time that the load goes on after the last change, so that each request that was in flight then is counted: a slow
/// request takes two seconds.
const AFTER: Duration = Duration::from_secs(4);

/// Processes that send requests until they are stopped. They are killed if this is dropped before.
pub(crate) struct Load {
    generators: Vec<Child>,
}

/// What clients saw.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Number of answers, including those with an error status.
    pub(crate) answers: u64,
    /// Number of answers with a status from 400.
    pub(crate) refused: u64,
    /// Number of connections that could not be opened.
    pub(crate) connect: u64,
    /// Number of connections that ended before the answer.
    pub(crate) read: u64,
    /// Number of requests that could not be sent.
    pub(crate) write: u64,
    /// Number of answers after [`TIMEOUT`].
    pub(crate) late: u64,
}

impl Seen {
    /// Returns the number of requests.
    pub(crate) fn requests(&self) -> u64 {
        self.answers + self.connect + self.read + self.write
    }

    /// Returns the number of requests that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.refused + self.late + self.connect + self.read + self.write
    }

    /// Reads the report of `wrk`; `None` if it is not one.
    fn read(report: &str) -> Option<Self> {
        let mut seen = Self::default();
        let mut is_complete = false;
        for line in report.lines().map(str::trim) {
            if let Some((count, _)) = line.split_once(" requests in ") {
                seen.answers = count.parse().ok()?;
                is_complete = true;
            } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses: ") {
                seen.refused = count.parse().ok()?;
            } else if let Some(errors) = line.strip_prefix("Socket errors: ") {
                for error in errors.split(", ") {
                    let (kind, count) = error.split_once(' ')?;
                    let field = match kind {
                        "connect" => &mut seen.connect,
                        "read" => &mut seen.read,
                        "write" => &mut seen.write,
                        "timeout" => &mut seen.late,
                        _ => return None,
                    };
                    *field = count.parse().ok()?;
                }
            }
        }
        is_complete.then_some(seen)
    }

    fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.refused += other.refused;
        self.connect += other.connect;
        self.read += other.read;
        self.write += other.write;
        self.late += other.late;
    }
}

/// Whether `wrk` is installed.
pub(crate) fn is_installed() -> bool {
    // It has no command that succeeds without a server.
    Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

impl Load {
    /// Starts to send requests to a port of this machine, where a server must answer already.
    pub(crate) fn start(port: u16) -> Self {
        let mut load = Self { generators: Vec::new() };
        for (clients, path, close) in [("3", "", false), ("3", "", true), ("2", "slow", false)] {
            let mut wrk = Command::new("wrk");
            wrk.args(["--threads", "1", "--connections", clients, "--duration", "24h", "--timeout", TIMEOUT]);
            if close {
                wrk.args(["--header", "Connection: close"]);
            }
            wrk.arg(format!("http://127.0.0.1:{port}/{path}"));
            wrk.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            load.generators.push(wrk.spawn().expect("wrk starts"));
        }
        // A signal before it listens for signals would end it without a report.
        sleep(Duration::from_millis(500));
        load
    }

    /// Stops the clients once what was in flight is answered. Returns what they saw.
    pub(crate) fn stop(mut self) -> Seen {
        sleep(AFTER);
        for generator in &self.generators {
            kill_process(Pid::from_child(generator), Signal::INT).expect("wrk runs");
        }
        let mut all = Seen::default();
        for generator in self.generators.drain(..) {
            let ended = generator.wait_with_output().expect("wrk ends");
            let report = String::from_utf8_lossy(&ended.stdout);
            let errors = String::from_utf8_lossy(&ended.stderr);
            all.add(Seen::read(&report).unwrap_or_else(|| panic!("wrk: {errors}{report}")));
        }
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for generator in &mut self.generators {
            // It may have ended.
            let _ = generator.kill();
            let _ = generator.wait();
        }
    }
}
