//! Probes of a replica, and the meaning of their answers.

use std::time::Duration;

use tokio::time::timeout;

use super::replicas::Replica;
use super::tunnel::Tunnel;
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};
use crate::model::deployment::{Counters, Probe, RouterLimits, Slot, written};
use crate::rollout::check::{self, Answer};

/// Time within which a refused connection is expected to fail. A connection that is still open then counts as accepted.
const REFUSED_AFTER: Duration = Duration::from_millis(200);

/// Exit code of a command if the engine reports none, because the connection was lost before its end.
const NO_CODE: i64 = -1;

/// Maximum number of bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// Judges Docker's own state of a replica.
pub(super) fn docker(replica: &Replica) -> Answer {
    let text = format!("{} is {}", replica.name, replica.status);
    match () {
        () if replica.is_well() => Answer::Good(text),
        () if replica.is_starting() => Answer::Unknown(text),
        () => Answer::Bad(text),
    }
}

/// Probes a replica once, through the network of the router or with a command in its container. Without a probe of
/// these kinds, the port of the replica must be open.
pub(super) async fn replica(
    client: &DockerClient,
    router: &str,
    replica: &Replica,
    port: u16,
    probe: Option<&Probe>,
    limit: Duration,
) -> Answer {
    let name = &replica.name;
    let asked = async {
        match probe {
            Some(Probe::Path(path)) => get(client, router, name, port, path).await,
            Some(Probe::Exec(command)) => match client.run_quietly(&replica.id, &["sh", "-c", command]).await? {
                (0, _) => Ok(Answer::Good(format!("{name}: exit code 0"))),
                (check::UNKNOWN, _) => Ok(Answer::Unknown(format!("{name}: exit code {}", check::UNKNOWN))),
                (NO_CODE, _) => Ok(Answer::Unknown(format!("{name}: the engine reports no exit code"))),
                (code, output) => {
                    let last = output.trim().lines().last().unwrap_or_default();
                    Ok(Answer::Bad(format!("{name}: exit code {code} {last}").trim_end().to_owned()))
                }
            },
            _ => connect(client, router, name, port).await,
        }
    };
    let error = match timeout(limit, asked).await {
        Ok(Ok(answer)) => return answer,
        Ok(Err(error)) => error,
        // It is not known yet whether the service or the engine hangs.
        Err(_) => match client.ping().await {
            Ok(()) => return Answer::Bad(format!("{name}: no answer within {}", written(limit))),
            Err(error) => error,
        },
    };
    let is_unanswered = DockerError::is_unanswered(&error);
    if is_unanswered { Answer::Unknown(format!("{name}: {error}")) } else { Answer::Bad(error.to_string()) }
}

async fn get(client: &DockerClient, router: &str, name: &str, port: u16, path: &str) -> Result<Answer, DockerError> {
    let mut tunnel = Tunnel::open(client, router, &["nc", name, &port.to_string()]).await?;
    // Errors are ignored here, because the output shows whether the connection was refused.
    let _ = tunnel.send(&check::request(name, path)).await;
    // Reads the whole answer, because a service may report an error if its answer is not read.
    let printed = tunnel.read(|output| output.len() > MAX_ANSWER).await;
    let url = format!("{name}:{port}{path}");
    if printed.output.is_empty() && !printed.errors.is_empty() {
        return Ok(Answer::Bad(format!("GET {url}: {}", first_line(&printed.errors))));
    }
    if printed.output.is_empty() {
        // The output also ends when the connection to the engine does.
        client.ping().await?;
    }
    Ok(check::judge(&url, &printed.output))
}

async fn connect(client: &DockerClient, router: &str, name: &str, port: u16) -> Result<Answer, DockerError> {
    let mut tunnel = Tunnel::open(client, router, &["nc", name, &port.to_string()]).await?;
    match timeout(REFUSED_AFTER, tunnel.read(|output| !output.is_empty())).await {
        Ok(printed) if printed.output.is_empty() && !printed.errors.is_empty() => {
            Ok(Answer::Bad(format!("{name}:{port}: {}", first_line(&printed.errors))))
        }
        Ok(printed) if !printed.output.is_empty() => Ok(Answer::Good(format!("connected to {name}:{port}"))),
        Ok(_) | Err(_) => {
            // The service has closed the connection or waits for a request, or the engine has closed its connection or hangs.
            client.ping().await?;
            Ok(Answer::Good(format!("connected to {name}:{port}")))
        }
    }
}

fn first_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().next().unwrap_or_default().trim_start_matches("nc: ").to_owned()
}

/// Judges the counters that the router reports for a slot.
pub(super) fn judge(slot: Slot, limits: RouterLimits, seen: Counters) -> Answer {
    let (Counters { requests, errors, .. }, latency) = (seen, seen.latency());
    let percent = (errors * 10_000).checked_div(requests).unwrap_or_default();
    let noun = if requests == 1 { "request" } else { "requests" };
    let text = format!(
        "{slot}: {requests} {noun}, {}.{:02} % errors, {} ms",
        percent / 100,
        percent % 100,
        latency.as_millis()
    );
    let least = u64::from(limits.min_requests);
    // The errors are too many even for the minimum number of requests.
    let is_faulty = errors * 10_000 > u64::from(limits.errors) * requests.max(least);
    let is_slow = requests >= least && limits.latency.is_some_and(|most| latency > most);
    match () {
        () if is_faulty && requests < least => Answer::Bad(format!("{text}: too many even for {least} requests")),
        () if is_faulty => Answer::Bad(text),
        () if is_slow => Answer::Bad(format!("{text}, more than {}", written(limits.latency.unwrap_or_default()))),
        () if requests < least => Answer::Unknown(format!("{text}: less than {least} requests")),
        () => Answer::Good(text),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::rollout::target::docker::testing::engine;

    fn one() -> Replica {
        Replica {
            id: "abc".to_owned(),
            name: "shop-live-blue-1".to_owned(),
            slot: Slot::Blue,
            number: 1,
            sha: "v1".to_owned(),
            deployment: String::new(),
            image: String::new(),
            address: None,
            status: "Up 3 minutes".to_owned(),
            restarts: 0,
        }
    }

    #[tokio::test]
    async fn a_connection_is_unknown_if_the_engine_gives_no_answer_after_it_was_begun() {
        for is_lost in [true, false] {
            let has_begun = AtomicBool::new(false);
            let answer = move |request: &str| match () {
                () if request.contains("/start") => {
                    has_begun.store(true, Ordering::Relaxed);
                    Some(("101 UPGRADED", String::new()))
                }
                () if request.contains("/exec") => Some(("201 Created", r#"{"Id":"abc"}"#.to_owned())),
                () if is_lost && has_begun.load(Ordering::Relaxed) => Some(("", String::new())),
                () => None,
            };
            let client = engine(answer).await;
            let answer = replica(&client, "router", &one(), 80, None, Duration::from_secs(5)).await;
            if is_lost {
                assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
            } else {
                assert_eq!(answer, Answer::Good("connected to shop-live-blue-1:80".to_owned()));
            }
        }
    }

    #[tokio::test]
    async fn a_probe_is_unknown_if_the_engine_gives_no_answer_and_bad_if_it_refuses() {
        let one = one();
        let probes = [None, Some(Probe::Path("/health".to_owned())), Some(Probe::Exec("true".to_owned()))];
        for probe in &probes {
            let asked = async |status: &'static str| {
                let answer =
                    move |request: &str| request.contains("/exec").then(|| (status, r#"{"message":"no"}"#.to_owned()));
                let client = engine(answer).await;
                replica(&client, "router", &one, 80, probe.as_ref(), Duration::from_secs(5)).await
            };
            let broken = asked("").await;
            assert!(matches!(&broken, Answer::Unknown(text) if text.contains("no answer")), "{probe:?}: {broken:?}");
            for status in ["409 Conflict", "404 Not Found", "500 Internal Server Error"] {
                let refused = asked(status).await;
                assert!(matches!(refused, Answer::Bad(_)), "{probe:?}, {status}: {refused:?}");
            }
        }
    }

    #[test]
    fn a_release_is_bad_as_soon_as_its_errors_cannot_be_few_enough() {
        let limits = RouterLimits { errors: 100, latency: Some(Duration::from_millis(500)), min_requests: 200 };
        let judged = |requests, errors, millis| {
            judge(
                Slot::Green,
                limits,
                Counters { requests, errors, answers: requests, time: Duration::from_millis(millis * requests) },
            )
        };
        let text = |text: &str| format!("green: {text}");
        assert_eq!(judged(10, 0, 1), Answer::Unknown(text("10 requests, 0.00 % errors, 1 ms: less than 200 requests")));
        // Two errors are 1 % of 200 requests.
        assert!(matches!(judged(10, 2, 1), Answer::Unknown(_)));
        assert_eq!(
            judged(10, 3, 1),
            Answer::Bad(text("10 requests, 30.00 % errors, 1 ms: too many even for 200 requests"))
        );
        assert_eq!(judged(400, 4, 500), Answer::Good(text("400 requests, 1.00 % errors, 500 ms")));
        assert!(matches!(judged(400, 5, 1), Answer::Bad(_)));
        assert_eq!(judged(400, 0, 501), Answer::Bad(text("400 requests, 0.00 % errors, 501 ms, more than 500ms")));
        assert!(matches!(judged(20, 0, 501), Answer::Unknown(_)));
    }
}
