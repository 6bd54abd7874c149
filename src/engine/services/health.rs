//! Health checks for engines that do not carry them out: the check's command is run in the service's container, as an
//! engine would run it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::model::ServiceState;

use crate::engine::sandbox::docker::client::DockerClient;

/// What an engine assumes of a check that does not say how often it may fail.
const RETRIES: u32 = 3;

/// How often an engine checks, and how long a check may take, when nothing is said.
const INTERVAL: Duration = Duration::from_secs(30);

/// When a service was asked, and how often its check failed.
pub(super) struct Asked {
    since: Instant,
    last: Instant,
    failed: u32,
}

/// Asks each service that is starting how it is. `asked` remembers, by container; `known` says how a service is, `tell`
/// hears of one that is healthy now, or failed as often as it may.
pub(super) async fn probe(
    engine: &DockerClient,
    ids: &HashMap<String, String>,
    asked: &mut HashMap<String, Asked>,
    tell: impl Fn(&str, ServiceState, Option<String>),
    known: impl Fn(&str) -> Option<ServiceState>,
) {
    for (id, name) in ids {
        if known(name) != Some(ServiceState::Starting) {
            continue;
        }
        let Ok(found) = engine.inspect(id).await else { continue };
        let Some(check) = found.config.and_then(|config| config.healthcheck) else { continue };
        let Some(command) = command(check.test.as_deref().unwrap_or_default()) else { continue };
        let lasts = |nanoseconds: Option<i64>, otherwise: Duration| {
            let given = nanoseconds.and_then(|time| u64::try_from(time).ok()).filter(|time| *time > 0);
            given.map_or(otherwise, Duration::from_nanos)
        };
        let now = Instant::now();
        let own = asked.entry(id.clone()).or_insert(Asked { since: now, last: now, failed: 0 });
        if own.last.elapsed() < lasts(check.interval, INTERVAL) && own.last != own.since {
            continue;
        }
        own.last = now;
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let limit = lasts(check.timeout, INTERVAL);
        let (code, said) = match timeout(limit, engine.run_quietly(id, &command)).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => continue,
            Err(_) => (1, format!("no answer within {} s", limit.as_secs())),
        };
        let said = said.trim().lines().last().map(str::to_owned);
        if code == 0 {
            tell(name, ServiceState::Healthy, said);
            continue;
        }
        if own.since.elapsed() >= lasts(check.start_period, Duration::ZERO) {
            own.failed += 1;
        }
        let allowed = check.retries.and_then(|retries| u32::try_from(retries).ok()).filter(|retries| *retries > 0);
        if own.failed >= allowed.unwrap_or(RETRIES) {
            tell(name, ServiceState::Unhealthy, said);
        }
    }
}

/// The words of a check: `CMD` is followed by them, `CMD-SHELL` by a line for a shell.
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
    fn checks_are_words_or_a_line_for_a_shell() {
        let words = |test: &[&str]| command(&test.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["CMD", "redis-cli", "ping"]), Some(vec!["redis-cli".to_owned(), "ping".to_owned()]));
        assert_eq!(words(&["CMD-SHELL", "a || b"]).map(|words| words[2].clone()), Some("a || b".to_owned()));
        assert_eq!((words(&["NONE"]), words(&[])), (None, None));
    }
}
