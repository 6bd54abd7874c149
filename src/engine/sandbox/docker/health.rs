//! Health checks for engines that do not run them: runs the command of the check in the container of the service, as
//! Docker would.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::client::DockerClient;
use crate::model::ServiceState;

/// Number of failures before a service is unhealthy. Docker's default.
const DEFAULT_RETRIES: u32 = 3;

/// Docker's default for both the interval between two checks and the time limit of a check.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);

/// Progress of the checks of one service.
pub(super) struct Probe {
    /// Time of the first check, from which the start period is counted.
    since: Instant,
    /// When the last check ended. `None` before the end of the first one.
    last: Option<Instant>,
    failed: u32,
}

impl Probe {
    fn new(now: Instant) -> Self {
        Self { since: now, last: None, failed: 0 }
    }

    /// Whether a check is due: the first one at once, and each further one when `interval` has passed since the end of
    /// the last one, as in Docker.
    fn is_due(&self, interval: Duration, now: Instant) -> bool {
        self.last.is_none_or(|last| now.duration_since(last) >= interval)
    }
}

/// Runs the check of a service if it is due. Returns the new state and the last line of output once the service is
/// healthy, or has failed the allowed number of times.
pub(super) async fn probe(
    client: &DockerClient,
    id: &str,
    probes: &mut HashMap<String, Probe>,
) -> Option<(ServiceState, Option<String>)> {
    let check = client.inspect(id).await.ok()?.config?.healthcheck?;
    let command = command(check.test.as_deref().unwrap_or_default())?;
    let duration = |nanoseconds: Option<i64>, default: Duration| {
        let given = nanoseconds.and_then(|time| u64::try_from(time).ok()).filter(|time| *time > 0);
        given.map_or(default, Duration::from_nanos)
    };
    let probe = probes.entry(id.to_owned()).or_insert_with(|| Probe::new(Instant::now()));
    if !probe.is_due(duration(check.interval, DEFAULT_INTERVAL), Instant::now()) {
        return None;
    }
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let limit = duration(check.timeout, DEFAULT_INTERVAL);
    let done = timeout(limit, client.run_quietly(id, &command)).await;
    probe.last = Some(Instant::now());
    let (code, output) = match done {
        Ok(done) => done.ok()?,
        Err(_) => (1, format!("no answer within {} s", limit.as_secs())),
    };
    let output = output.trim().lines().last().map(str::to_owned);
    if code == 0 {
        return Some((ServiceState::Healthy, output));
    }
    if probe.since.elapsed() >= duration(check.start_period, Duration::ZERO) {
        probe.failed += 1;
    }
    let allowed = check.retries.and_then(|retries| u32::try_from(retries).ok()).filter(|retries| *retries > 0);
    (probe.failed >= allowed.unwrap_or(DEFAULT_RETRIES)).then_some((ServiceState::Unhealthy, output))
}

/// Returns the command of a check: `CMD` is followed by its words, `CMD-SHELL` by a shell command. `None` if there is
/// no check.
fn command(test: &[String]) -> Option<Vec<String>> {
    match test.split_first() {
        Some((kind, words)) if kind == "CMD" => Some(words.to_vec()),
        Some((kind, [line, ..])) if kind == "CMD-SHELL" => Some(["sh", "-c", line].map(str::to_owned).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_kept_from_the_first_check_on() {
        let (start, interval) = (Instant::now(), Duration::from_secs(30));
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut probe = Probe::new(start);
        assert!(probe.is_due(interval, start), "the first check");
        for ended in [start, after(31)] {
            probe.last = Some(ended);
            let due = [1, 29, 30].map(|seconds| probe.is_due(interval, ended + Duration::from_secs(seconds)));
            assert_eq!(due, [false, false, true]);
        }
    }

    #[test]
    fn a_check_is_a_command_or_a_shell_command() {
        let words = |test: &[&str]| command(&test.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["CMD", "redis-cli", "ping"]), Some(vec!["redis-cli".to_owned(), "ping".to_owned()]));
        assert_eq!(words(&["CMD-SHELL", "a || b"]).map(|words| words[2].clone()), Some("a || b".to_owned()));
        assert_eq!((words(&["NONE"]), words(&[])), (None, None));
    }
}
