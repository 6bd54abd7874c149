//! Checks: health probes, and how often and how long they must succeed.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::model::deployment::{Plan, Probe, Slot, Timing};

use super::outlet::Progress;
use super::shell::{Output, Shell};

mod streak;

pub use streak::{CheckError, Streak, Verdict};

/// Exit code of a command that cannot tell good from bad: `EX_TEMPFAIL` of `sysexits.h`.
pub(in crate::rollout) const UNKNOWN: i64 = 75;

/// Result of a probe, with a description of what was observed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The probe succeeded.
    Good(String),
    /// The probe failed.
    Bad(String),
    /// Neither good nor bad: too little is known.
    Unknown(String),
    /// The probe failed, and no later probe can succeed.
    Hopeless(String),
    /// A person has paused the target, and the time until it continues does not count.
    Paused(String),
}

impl Answer {
    /// Returns the description.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Good(text) | Self::Bad(text) | Self::Unknown(text) | Self::Hopeless(text) | Self::Paused(text) => {
                text
            }
        }
    }
}

/// Runs a probe of a slot once, with the environment variables that commands of checks have. `of` is the name of the
/// environment, the slot, and the plan that is carried out.
pub async fn ask_of_slot(
    probe: &Probe,
    limit: Duration,
    shell: &Shell,
    of: (&str, Slot, &Plan),
    progress: &Progress,
) -> Answer {
    let (environment, slot, plan) = of;
    let probe = probe.on_host(host(plan));
    ask(&probe, limit, shell, (slot.name(), &variables(environment, slot, plan)), progress).await
}

/// Returns the address of a plan's host. Plans of earlier versions have only its name.
fn host(plan: &Plan) -> &str {
    plan.address.as_deref().or(plan.host.as_deref()).unwrap_or_default()
}

/// Returns the environment variables of a check's command.
fn variables(environment: &str, slot: Slot, plan: &Plan) -> Vec<(&'static str, String)> {
    let release = plan.release(slot);
    vec![
        ("DEPLOY_ENVIRONMENT", environment.to_owned()),
        ("DEPLOY_HOST", host(plan).to_owned()),
        ("DEPLOY_SLOT", slot.name().to_owned()),
        ("DEPLOY_SHA", release.map(|release| release.sha.clone()).unwrap_or_default()),
        ("DEPLOY_RELEASE", release.map(|release| release.name().to_owned()).unwrap_or_default()),
    ]
}

/// Runs a probe once. `variables` is the environment of a command; `slot` replaces `{slot}` in an address. A probe that
/// needs a router is unknown.
pub async fn ask(
    probe: &Probe,
    limit: Duration,
    shell: &Shell,
    (slot, variables): (&str, &[(&str, String)]),
    progress: &Progress,
) -> Answer {
    let filled = |text: &str| text.replace("{slot}", slot);
    let asked = async {
        match probe {
            Probe::Http(url) => http(&filled(url)).await,
            Probe::Tcp(address) => match TcpStream::connect(filled(address)).await {
                Ok(_) => Answer::Good(format!("connected to {}", filled(address))),
                Err(error) => failed(&format!("cannot connect to {}", filled(address)), &error),
            },
            Probe::Exec(command) => match shell.run(command, variables, limit, (progress, Output::Logged)).await {
                // The command was not asked.
                Err(error) => Answer::Unknown(format!("cannot start `sh`: {error}")),
                Ok(ended) => match ended.status {
                    None => Answer::Bad(format!("did not finish within {}", crate::model::deployment::written(limit))),
                    Some(status) if status.success() => Answer::Good("exit code 0".to_owned()),
                    Some(status) if status.code().map(i64::from) == Some(UNKNOWN) => {
                        Answer::Unknown("exit code 75".to_owned())
                    }
                    Some(status) => Answer::Bad(status.to_string()),
                },
            },
            Probe::Path(_) | Probe::Router(_) => Answer::Unknown("the target has no router".to_owned()),
        }
    };
    // A command has its own time limit, after which its processes are terminated properly.
    let late = || Answer::Bad(format!("no answer within {}", crate::model::deployment::written(limit)));
    match probe {
        Probe::Exec(_) => asked.await,
        _ => timeout(limit, asked).await.unwrap_or_else(|_| late()),
    }
}

/// Returns the answer for a connection that failed. Without a network on this machine, nothing is known about the other end.
fn failed(what: &str, error: &io::Error) -> Answer {
    let text = format!("{what}: {error}");
    match error.kind() {
        io::ErrorKind::NetworkDown | io::ErrorKind::NetworkUnreachable => Answer::Unknown(text),
        _ => Answer::Bad(text),
    }
}

/// Maximum length in bytes of a status line.
const MAX_STATUS_LINE: usize = 512;

/// Sends a `GET` request to an address, and judges the status of the answer.
async fn http(url: &str) -> Answer {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, path.to_owned()));
    let address = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let request = request(authority, &format!("/{path}"));
    let answered = async {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut line = Vec::new();
        while line.len() < MAX_STATUS_LINE && !line.contains(&b'\n') {
            let mut buffer = [0; 128];
            match stream.read(&mut buffer).await? {
                0 => break,
                count => line.extend_from_slice(&buffer[..count]),
            }
        }
        io::Result::Ok(line)
    };
    match answered.await {
        Err(error) => failed(&format!("GET {url}"), &error),
        Ok(line) => judge(url, &line),
    }
}

/// Returns a `GET` request for a path. It asks the server to close the connection after the answer.
pub(super) fn request(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: cuelight\r\nAccept: */*\r\nConnection: close\r\n\r\n")
}

/// Judges the beginning of an answer to [`request`].
pub(super) fn judge(url: &str, answer: &[u8]) -> Answer {
    let answer = String::from_utf8_lossy(answer);
    let line = answer.lines().next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1)?.parse::<u16>().ok());
    match status {
        Some(status @ 200..400) => Answer::Good(format!("GET {url}: {status}")),
        Some(status) => Answer::Bad(format!("GET {url}: {status}")),
        None if answer.is_empty() => Answer::Bad(format!("GET {url}: no answer")),
        None => Answer::Bad(format!("GET {url}: the answer is not HTTP")),
    }
}

/// Repeats a probe until it has succeeded for long enough.
///
/// # Errors
/// The probe failed too often in a row, or had not succeeded for long enough when the deadline passed.
pub async fn until_good<'a>(
    timing: &Timing,
    mut ask: impl FnMut() -> BoxFuture<'a, Answer> + Send,
    progress: &Progress,
) -> Result<(), CheckError> {
    let began = Instant::now();
    let mut streak = Streak::default();
    let mut seen: Option<Answer> = None;
    let (mut paused, mut last) = (Duration::ZERO, began);
    loop {
        let answer = ask().await;
        if matches!(answer, Answer::Paused(_)) {
            paused += last.elapsed();
        }
        last = Instant::now();
        if seen.as_ref() != Some(&answer) {
            progress.say(answer.text());
        }
        let verdict = streak.feed(timing, &answer, began.elapsed().saturating_sub(paused));
        seen = Some(answer);
        match verdict {
            Verdict::Passed => return Ok(()),
            Verdict::Failed(error) => return Err(error),
            Verdict::Open => {}
        }
        sleep(timing.interval.max(Duration::from_millis(10))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_this_machine_cannot_make_tells_nothing_about_the_other_end() {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, NetworkDown, NetworkUnreachable};
        let answer = |kind: io::ErrorKind| failed("GET http://shop", &kind.into());
        for kind in [ConnectionRefused, ConnectionReset] {
            assert!(matches!(answer(kind), Answer::Bad(_)), "{kind:?}");
        }
        for kind in [NetworkDown, NetworkUnreachable] {
            assert!(matches!(answer(kind), Answer::Unknown(_)), "{kind:?}");
        }
    }
}
