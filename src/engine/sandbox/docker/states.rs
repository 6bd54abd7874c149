//! Container states that podman reports but Docker does not define, so that bollard fails to parse them.

use bollard::errors::Error;
use bollard::models::{ContainerStateStatusEnum as Status, HealthStatusEnum};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// If an answer cannot be parsed, replaces its unknown states and parses it again.
///
/// # Errors
/// The engine does not answer, or the answer cannot be read for another reason.
pub(super) fn read_again<T: DeserializeOwned>(answer: Result<T, Error>) -> Result<T, Error> {
    answer.or_else(|error| {
        let Error::JsonDataError { contents, .. } = &error else { return Err(error) };
        let Ok(mut value) = serde_json::from_str(contents) else { return Err(error) };
        mend(&mut value);
        serde_json::from_value(value).map_err(|_| error)
    })
}

/// Replaces unknown states in the description of one container. From a list of containers, removes the state of each.
fn mend(answer: &mut Value) {
    for container in answer.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        container.remove("State");
        container.remove("Health");
    }
    let Some(state) = answer.get_mut("State").and_then(Value::as_object_mut) else { return };
    let is_running = state.get("Running").and_then(Value::as_bool) == Some(true);
    if let Some(status) = state.get_mut("Status").filter(|status| !is_known::<Status>(status)) {
        // podman's `stopped` is the state between the end of a container and its cleanup.
        *status = (if is_running { Status::RUNNING } else { Status::EXITED }).as_ref().into();
    }
    if let Some(health) = state.get_mut("Health").and_then(|health| health.get_mut("Status"))
        && !is_known::<HealthStatusEnum>(health)
    {
        *health = HealthStatusEnum::NONE.as_ref().into();
    }
}

fn is_known<T: DeserializeOwned>(word: &Value) -> bool {
    T::deserialize(word).is_ok()
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerInspectResponse, ContainerSummary};
    use serde_json::json;

    use super::*;

    /// Returns the result of parsing an answer with bollard.
    fn answer<T: DeserializeOwned>(contents: &Value) -> Result<T, Error> {
        let contents = contents.to_string();
        serde_json::from_str(&contents).map_err(|error: serde_json::Error| Error::JsonDataError {
            message: error.to_string(),
            contents,
            column: 0,
        })
    }

    #[test]
    fn states_of_podman_are_those_of_docker() {
        let cases = [
            (json!({"Status": "stopped", "Running": false, "ExitCode": 3}), Status::EXITED),
            (json!({"Status": "stopped", "ExitCode": 3, "Health": {"Status": "stopped"}}), Status::EXITED),
            (json!({"Status": "degraded", "Running": true, "ExitCode": 3}), Status::RUNNING),
            (json!({"Status": "paused", "ExitCode": 3, "Health": {"Status": "unknown"}}), Status::PAUSED),
        ];
        for (state, status) in cases {
            let found = answer(&json!({"Id": "a", "State": state}));
            assert!(found.is_err(), "Docker has no such state: {state}");
            let found: ContainerInspectResponse = read_again(found).expect("read");
            let state = found.state.expect("a state");
            assert_eq!((state.status, state.exit_code), (Some(status), Some(3)));
        }
        let listed = answer(&json!([{"Id": "a", "State": "stopped"}, {"Id": "b", "State": "running"}]));
        let listed: Vec<ContainerSummary> = read_again(listed).expect("read");
        assert_eq!(listed.iter().filter_map(|one| one.id.as_deref()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn other_answers_stay_as_they_are() {
        let known = read_again(answer::<ContainerInspectResponse>(&json!({"State": {"Status": "exited"}})));
        assert_eq!(known.expect("read").state.expect("a state").status, Some(Status::EXITED));
        let error = read_again(answer::<ContainerInspectResponse>(&json!({"Id": 1, "State": {"Status": "stopped"}})));
        assert!(matches!(error, Err(Error::JsonDataError { .. })));
    }
}
