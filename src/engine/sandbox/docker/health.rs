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
    since: Instant,
    last: Instant,
    failed: u32,
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
    let now = Instant::now();
    let probe = probes.entry(id.to_owned()).or_insert(Probe { since: now, last: now, failed: 0 });
    if probe.last.elapsed() < duration(check.interval, DEFAULT_INTERVAL) && probe.last != probe.since {
        return None;
    }
    probe.last = now;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let limit = duration(check.timeout, DEFAULT_INTERVAL);
    let (code, output) = match timeout(limit, client.run_quietly(id, &command)).await {
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
    fn a_check_is_a_command_or_a_shell_command() {
        let words = |test: &[&str]| command(&test.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["CMD", "redis-cli", "ping"]), Some(vec!["redis-cli".to_owned(), "ping".to_owned()]));
        assert_eq!(words(&["CMD-SHELL", "a || b"]).map(|words| words[2].clone()), Some("a || b".to_owned()));
        assert_eq!((words(&["NONE"]), words(&[])), (None, None));
    }
}
