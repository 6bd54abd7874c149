//! Health checks for engines that do not carry them out: the check's command is run in the service's container, as an
//! engine would run it.

use std::collections::HashMap;

use crate::model::ServiceState;

use super::super::sandbox::docker::engine::Engine;

/// What an engine assumes of a check that does not say how often it may fail.
const RETRIES: u32 = 3;

/// Asks each service that is starting how it is. `failures` counts, by container; `known` says how a service is, `tell`
/// hears of one that is healthy now, or failed as often as it may.
pub(super) async fn probe(
    engine: &Engine,
    ids: &HashMap<String, String>,
    failures: &mut HashMap<String, u32>,
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
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let Ok((code, said)) = engine.run_quietly(id, &command).await else { continue };
        let said = said.trim().lines().last().map(str::to_owned);
        if code == 0 {
            tell(name, ServiceState::Healthy, said);
            continue;
        }
        let failed = failures.entry(id.clone()).or_default();
        *failed += 1;
        let allowed = check.retries.and_then(|retries| u32::try_from(retries).ok()).filter(|retries| *retries > 0);
        if *failed >= allowed.unwrap_or(RETRIES) {
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
