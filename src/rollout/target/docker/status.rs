//! What Docker knows about a container: its state in the words of `docker ps`, and the evidence of a failure.

use crate::engine::sandbox::docker::client::DockerClient;
use crate::rollout::outlet::Progress;

/// Number of log lines that are kept of a failed container.
const LAST_LINES: usize = 50;

/// Maximum length in characters of a line in a message.
const MAX_LINE: usize = 200;

/// Maximum number of containers whose logs are kept for one failure.
const MAX_EVIDENCE: usize = 3;

/// Whether the process of a container runs. `status` is the state in the words of `docker ps`: `Up 3 seconds (healthy)`.
pub(in crate::rollout::target) fn is_running(status: &str) -> bool {
    status.starts_with("Up")
}

/// Whether the process of a container runs, and its health check succeeds if it has one.
pub(in crate::rollout::target) fn is_well(status: &str) -> bool {
    is_running(status) && !status.contains("unhealthy") && !is_starting(status)
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
        let code = state.exit_code.unwrap_or_default();
        if state.running != Some(true) || state.restarting == Some(true) || code != 0 {
            facts.push(format!("exit code {code}"));
        }
        if state.oom_killed == Some(true) {
            facts.push("out of memory".to_owned());
        }
        if let Some(count) = found.restart_count.filter(|count| *count > 0) {
            facts.push(format!("restarted {count} times"));
        }
        facts.extend(state.error.filter(|error| !error.is_empty()));
        progress.say(&format!("{name}: {}", facts.join(", ")));
        for check in state.health.and_then(|health| health.log).iter().flatten() {
            let output = check.output.as_deref().unwrap_or_default().trim();
            progress.say(&format!("health check, exit code {}: {output}", check.exit_code.unwrap_or_default()));
        }
        let lines = client.last_lines(id, LAST_LINES).await.unwrap_or_default();
        progress.say(&format!("last lines of {name}:"));
        for line in &lines {
            progress.say(line);
        }
        summary.get_or_insert_with(|| {
            let last = lines.iter().rev().find(|line| !line.trim().is_empty());
            let last: String = last.map(|line| line.trim().chars().take(MAX_LINE).collect()).unwrap_or_default();
            let last = if last.is_empty() { String::new() } else { format!("; its last line: {last}") };
            format!("{name}: {}{last}", facts.join(", "))
        });
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_that_of_docker() {
        for (status, expected) in [
            ("Up 3 seconds", (true, true)),
            ("Up 3 seconds (healthy)", (true, true)),
            ("Up 3 seconds (unhealthy)", (true, false)),
            ("Up 1 second (health: starting)", (true, false)),
            ("Restarting (1) 2 seconds ago", (false, false)),
            ("Exited (0) 2 seconds ago", (false, false)),
            ("Created", (false, false)),
        ] {
            assert_eq!((is_running(status), is_well(status)), expected, "{status}");
        }
    }
}
