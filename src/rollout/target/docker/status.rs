//! What Docker knows about a container: its state in the words of `docker ps`, and the evidence of a failure.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use futures_util::future::{pending, try_join_all};
use tokio::time::timeout;

use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::rollout::outlet::Progress;
use crate::rollout::target::replica::ReplicaState;
use crate::store::clock::now;

/// Number of log lines that are kept of a failed container.
const LAST_LINES: usize = 50;

/// Maximum length in characters of a line in a message.
const MAX_LINE: usize = 200;

/// Maximum number of containers whose logs are kept for one failure.
const MAX_EVIDENCE: usize = 3;

/// How long the engine may take for each of its earlier events.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(1);

/// Events of a container after which other replicas serve than before. Checks and commands in a container are not among
/// them, so that to ask what runs is not a change itself.
const CHANGES: [&str; 8] = ["start", "die", "oom", "destroy", "pause", "unpause", "rename", "health_status"];

/// Waits until a container with these labels, each as `name=value`, starts, ends, or changes its health, without asking the
/// engine repeatedly. Also ends when the engine closes the connection. Never ends if the engine refuses to report events.
pub(in crate::rollout::target) async fn changed(client: &DockerClient, labels: Vec<String>) {
    let filters =
        [("type", vec!["container".to_owned()]), ("label", labels), ("event", CHANGES.map(str::to_owned).into())];
    let filters: HashMap<String, Vec<String>> =
        filters.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
    let options = EventsOptions { filters: Some(filters), ..EventsOptions::default() };
    let mut events = pin!(client.api().events(Some(options)));
    if let Some(Err(Error::DockerResponseServerError { .. })) = events.next().await {
        pending::<()>().await;
    }
}

/// Whether the process of a container runs. `status` is the state in the words of `docker ps`: `Up 3 seconds (healthy)`.
pub(in crate::rollout::target) fn is_running(status: &str) -> bool {
    status.starts_with("Up")
}

/// Whether the process of a container runs, and its health check succeeds if it has one.
pub(in crate::rollout::target) fn is_well(status: &str) -> bool {
    is_running(status) && !status.contains("unhealthy") && !is_starting(status) && !is_paused(status)
}

/// Whether somebody has paused a container, so that it answers nothing.
pub(in crate::rollout::target) fn is_paused(status: &str) -> bool {
    status.contains("(Paused)")
}

/// Whether the process of a container has ended, also if the engine is about to start it again.
pub(in crate::rollout::target) fn has_ended(status: &str) -> bool {
    ["Exited", "Restarting", "Dead"].iter().any(|word| status.starts_with(word))
}

/// Number of restarts by the engine from which on a container counts as one that is started again and again. The first
/// restart may follow a single fault.
const LOOP: u32 = 2;

/// Whether the engine may be starting a container again and again: it is about to start it, or has started it less than a
/// minute ago. That is also the longest time for which an engine waits between two starts. The age is the one in the words
/// of `docker ps`, so that the clock of the engine's machine counts.
fn is_unsettled(status: &str) -> bool {
    status.starts_with("Restarting") || (is_running(status) && status.contains(" second"))
}

/// Whether the engine starts a container again and again. This is so while it runs between two ends, and while it does not.
/// `restarts` is the number of restarts by the engine.
pub(in crate::rollout::target) fn is_looping(status: &str, restarts: u32) -> bool {
    restarts >= LOOP && is_unsettled(status)
}

/// Returns how often the engine has started containers again, by id. Those that have run for a minute are left out, and so are
/// those that are removed meanwhile.
///
/// # Errors
/// The engine does not answer.
pub(in crate::rollout::target) async fn restarts<'c>(
    client: &DockerClient,
    containers: impl Iterator<Item = Suspect<'c>>,
) -> Result<HashMap<String, u32>, DockerError> {
    let unsettled = containers.filter(|one| is_unsettled(one.status));
    let asked = unsettled.map(|Suspect { id, .. }| async move {
        match client.inspect(id).await {
            Ok(found) => Ok(Some((id.to_owned(), restarts_of(found.restart_count)))),
            Err(DockerError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// Returns the number of restarts in the answer of an engine. The engine counts only the restarts after an end of the process,
/// and not those after its own restart.
fn restarts_of(count: Option<i64>) -> u32 {
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
}

/// Describes containers that the engine starts again and again, each with its number of restarts. `None` without any.
pub(in crate::rollout::target) fn looping_note<'c>(containers: impl Iterator<Item = (&'c str, u32)>) -> Option<String> {
    let all: Vec<String> = containers.map(|(name, restarts)| format!("{name} ({restarts} restarts)")).collect();
    (!all.is_empty()).then(|| format!("started again and again: {}", all.join(", ")))
}

/// Whether the health check of a container has no result yet.
pub(in crate::rollout::target) fn is_starting(status: &str) -> bool {
    status.contains("health: starting")
}

/// A container, for evidence of a failure.
pub(in crate::rollout::target) struct Suspect<'c> {
    /// Id.
    pub(in crate::rollout::target) id: &'c str,
    /// Name.
    pub(in crate::rollout::target) name: &'c str,
    /// State in the words of `docker ps`.
    pub(in crate::rollout::target) status: &'c str,
}

/// Returns which containers have ended, or were restarted by the engine. `None` if the engine does not answer. Containers
/// that are removed meanwhile are left out.
pub(in crate::rollout::target) async fn replicas<'c>(
    client: &DockerClient,
    containers: impl Iterator<Item = Suspect<'c>>,
) -> Option<Vec<ReplicaState>> {
    let mut all = Vec::new();
    for Suspect { id, name, status } in containers {
        let found = match client.inspect(id).await {
            Ok(found) => found,
            Err(DockerError::Missing { .. }) => continue,
            Err(_) => return None,
        };
        let restarts = restarts_of(found.restart_count);
        let is_down = has_ended(status);
        let end = if is_down { "has ended" } else { "has ended and was started again" };
        all.push(ReplicaState { id: id.to_owned(), restarts, is_down, end: format!("{name} {end}") });
    }
    Some(all)
}

/// Returns the id of the first container that has ended, or was restarted by the engine: it may be well again for a moment.
pub(in crate::rollout::target) async fn first_ended<'c>(
    client: &DockerClient,
    containers: impl Iterator<Item = Suspect<'c>>,
) -> Option<String> {
    let all = replicas(client, containers).await?;
    all.into_iter().find(|one| one.is_down || one.restarts > 0).map(|one| one.id)
}

/// Returns the exit code with which the process of a container ended last. The state of a container that runs again no
/// longer has it, but the engine keeps its last events for a while.
async fn last_exit_code(client: &DockerClient, id: &str) -> Option<i64> {
    let filters = [("container", id), ("event", "die")].map(|(name, value)| (name.to_owned(), vec![value.to_owned()]));
    let now = now().0;
    // Without an end, the engine would wait for further events.
    let until = format!("{}.{:03}", now / 1_000, now % 1_000);
    let options = EventsOptions { since: Some("0".to_owned()), until: Some(until), filters: Some(filters.into()) };
    let mut events = pin!(client.api().events(Some(options)));
    let mut code = None;
    while let Ok(Some(Ok(event))) = timeout(EVENTS_TIMEOUT, events.next()).await {
        let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
        code = attributes.get("exitCode").and_then(|code| code.parse().ok()).or(code);
    }
    code
}

/// Describes the last end of a container that the engine starts again and again: `web-1 ended last with exit code 7; its last
/// line: panic: no database`. `None` if neither is known.
pub(in crate::rollout::target) async fn last_end(client: &DockerClient, of: Suspect<'_>) -> Option<String> {
    let found = client.inspect(of.id).await.ok()?;
    let state = found.state.unwrap_or_default();
    let code = match state.exit_code.filter(|code| *code != 0) {
        Some(code) => Some(code),
        None => last_exit_code(client, of.id).await,
    };
    // A process that runs again has printed lines about its start, which do not show why it ended before.
    let again = state.started_at.filter(|_| state.running == Some(true) && state.restarting != Some(true));
    let mut lines = match again.and_then(|at| at.parse::<jiff::Timestamp>().ok()) {
        Some(again) => client.lines_before(of.id, again, LAST_LINES).await.unwrap_or_default(),
        None => Vec::new(),
    };
    if lines.is_empty() {
        lines = client.last_lines(of.id, LAST_LINES).await.unwrap_or_default();
    }
    let code = code.map(|code| format!("{} ended last with exit code {code}", of.name));
    let line = last_of(&lines).map(|line| format!("its last line: {line}"));
    let facts: Vec<String> = code.into_iter().chain(line).collect();
    (!facts.is_empty()).then(|| facts.join("; "))
}

/// Returns the last line that is not empty, shortened for a message.
fn last_of(lines: &[String]) -> Option<String> {
    let last = lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty())?;
    Some(last.chars().take(MAX_LINE).collect())
}

/// Writes the state, the health checks and the last log lines of containers to the log of a step. Returns a summary of
/// the first one that can be inspected; `None` if there is none.
pub(in crate::rollout::target) async fn evidence<'c>(
    client: &DockerClient,
    suspects: impl Iterator<Item = Suspect<'c>>,
    progress: &Progress,
) -> Option<String> {
    let mut summary = None;
    for Suspect { id, name, status } in suspects.take(MAX_EVIDENCE) {
        let Ok(found) = client.inspect(id).await else { continue };
        let state = found.state.unwrap_or_default();
        let mut facts = vec![status.to_owned()];
        let restarts = found.restart_count.filter(|count| *count > 0);
        let mut code = state.exit_code.filter(|code| *code != 0);
        if code.is_none() && restarts.is_some() {
            code = last_exit_code(client, id).await;
        }
        let is_down = state.running != Some(true) || state.restarting == Some(true);
        facts.extend(code.or(is_down.then_some(0)).map(|code| format!("exit code {code}")));
        if state.oom_killed == Some(true) {
            facts.push("out of memory".to_owned());
        }
        facts.extend(restarts.map(|count| match count {
            1 => "restarted once".to_owned(),
            count => format!("restarted {count} times"),
        }));
        facts.extend(state.error.filter(|error| !error.is_empty()));
        progress.say(&format!("{name}: {}", facts.join(", ")));
        for check in state.health.and_then(|health| health.log).iter().flatten() {
            let output = check.output.as_deref().unwrap_or_default().trim();
            progress.say(&format!("health check, exit code {}: {output}", check.exit_code.unwrap_or_default()));
        }
        // A process that runs again has printed lines about its start, which do not show why it ended before.
        let again = state.started_at.filter(|_| restarts.is_some() && !is_down);
        let mut lines = match again.and_then(|at| at.parse::<jiff::Timestamp>().ok()) {
            Some(again) => client.lines_before(id, again, LAST_LINES).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let before = if lines.is_empty() { "" } else { " before it was started again" };
        if lines.is_empty() {
            lines = client.last_lines(id, LAST_LINES).await.unwrap_or_default();
        }
        if lines.iter().all(|line| line.trim().is_empty()) {
            progress.say(&format!("{name} wrote nothing"));
            lines.clear();
        } else {
            progress.say(&format!("last lines of {name}{before}:"));
        }
        for line in &lines {
            progress.say(line);
        }
        summary.get_or_insert_with(|| {
            let last = last_of(&lines).map(|last| format!("; its last line: {last}")).unwrap_or_default();
            format!("{name}: {}{last}", facts.join(", "))
        });
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::target::docker::testing::engine;

    #[test]
    fn the_state_is_that_of_docker() {
        for (status, expected) in [
            ("Up 3 seconds", (true, true)),
            ("Up 3 seconds (healthy)", (true, true)),
            ("Up 3 seconds (unhealthy)", (true, false)),
            ("Up 1 second (health: starting)", (true, false)),
            ("Up 3 minutes (Paused)", (true, false)),
            ("Restarting (1) 2 seconds ago", (false, false)),
            ("Exited (0) 2 seconds ago", (false, false)),
            ("Created", (false, false)),
        ] {
            assert_eq!((is_running(status), is_well(status)), expected, "{status}");
            let has_begun = status != "Created";
            assert_eq!(has_ended(status), has_begun && !is_running(status), "{status}");
        }
    }

    #[tokio::test]
    async fn a_change_of_a_container_is_reported_by_the_engine_and_a_refusal_is_none() {
        let client = engine(|request| {
            let died = r#"{"Type":"container","Action":"die","Actor":{"ID":"1","Attributes":{}},"time":1}"#;
            request.contains("/events").then(|| ("200 OK", format!("{died}\n")))
        });
        let client = client.await;
        let labels = || vec!["dev.cuelight.service=web".to_owned()];
        timeout(Duration::from_secs(20), changed(&client, labels())).await.expect("the engine has reported an end");
        let refuses = |request: &str| {
            request.contains("/events").then(|| ("403 Forbidden", r#"{"message":"no events here"}"#.to_owned()))
        };
        let client = engine(refuses).await;
        let waits = timeout(Duration::from_millis(500), changed(&client, labels())).await;
        assert!(waits.is_err(), "a refusal is no change, after which the target would be asked in vain");
    }

    #[tokio::test]
    async fn the_last_end_of_a_container_that_is_started_again_has_its_exit_code() {
        let client = engine(|request| {
            let state = r#"{"Id":"1","State":{"Running":false,"Restarting":true,"ExitCode":7}}"#;
            if request.contains("/logs") {
                return Some(("404 Not Found", r#"{"message":"no log"}"#.to_owned()));
            }
            request.contains("/containers/1/json").then(|| ("200 OK", state.to_owned()))
        });
        let client = client.await;
        let end = last_end(&client, Suspect { id: "1", name: "web-1", status: "Restarting (7) 1 second ago" }).await;
        assert_eq!(end.as_deref(), Some("web-1 ended last with exit code 7"));
        let lines = ["starts", "  panic: no database ", ""].map(str::to_owned);
        assert_eq!(last_of(&lines).as_deref(), Some("panic: no database"));
        assert_eq!(last_of(&[String::new()]), None);
    }

    #[test]
    fn a_container_that_ends_again_and_again_is_that_also_while_it_runs() {
        for status in ["Restarting (3) 1 second ago", "Up Less than a second", "Up 1 second", "Up 59 seconds (healthy)"]
        {
            assert!(is_looping(status, 2), "{status}");
            assert!(!is_looping(status, 1), "{status}: it has ended once");
        }
        for status in
            ["Up About a minute", "Up 2 minutes (unhealthy)", "Up 3 weeks", "Exited (1) 2 seconds ago", "Created"]
        {
            assert!(!is_looping(status, 9), "{status}");
        }
        let note = looping_note([("web-1", 7), ("web-2", 2)].into_iter());
        assert_eq!(note.as_deref(), Some("started again and again: web-1 (7 restarts), web-2 (2 restarts)"));
        assert_eq!(looping_note([].into_iter()), None);
    }
}
