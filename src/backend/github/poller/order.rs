//! Converts commands of the user to requests.

use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use crate::backend::github::address::Host;
use crate::backend::github::client::{ApiError, Change, Client, Freshness, Mutation, Priority};
use crate::backend::github::wire::gitea;
use crate::backend::github::wire::repository::User;
use crate::model::capabilities::Unavailable;
use crate::model::{Command, Reply, RerunScope, Run, ServerKind};
use crate::store::spec::RemoteSpec;

/// Number of newest runs that are listed of each repository.
pub(super) const LISTED: usize = 30;

/// Returns the request of a command for a run, or why it cannot be sent.
pub(super) fn request(command: &Command, remote: &RemoteSpec, run: &Run) -> Result<Mutation, Unavailable> {
    let of_run = |below: &str| run_path(remote) + below;
    let post = |path: String, body| Ok(Mutation { change: Change::Post, path, body });
    match command {
        Command::Cancel => post(of_run("/cancel"), None),
        Command::ForceCancel => post(of_run("/force-cancel"), None),
        Command::Rerun { debug: true, .. } if remote.server == ServerKind::Gitea => Err(Unavailable::NotOffered),
        Command::Rerun { what, debug } => {
            let body = debug.then(|| json!({"enable_debug_logging": true}));
            match what {
                RerunScope::All => post(of_run("/rerun"), body),
                RerunScope::Failed => post(of_run("/rerun-failed-jobs"), body),
                RerunScope::Job(id) => {
                    let job = run.jobs.get(id).and_then(|job| job.remote).ok_or(Unavailable::JobNotStarted)?;
                    post(
                        match remote.server {
                            ServerKind::GitHub => format!("/repos/{}/actions/jobs/{job}/rerun", remote.repository),
                            ServerKind::Gitea => gitea::rerun_of_job(&remote.repository, remote.id, job),
                        },
                        body,
                    )
                }
                RerunScope::Step { .. } => Err(Unavailable::Remote),
            }
        }
        Command::RerunWithDebugger { .. } if !has_debugger(remote) => Err(Unavailable::NoDebugger),
        Command::RerunWithDebugger { job } => {
            let job = run.jobs.get(job).and_then(|job| job.remote).ok_or(Unavailable::JobNotStarted)?;
            let path = format!("/repos/{}/actions/jobs/{job}/rerun", remote.repository);
            post(path, Some(json!({"enable_debugger": true})))
        }
        Command::Review { environments, approve, comment } => {
            let state = if *approve { "approved" } else { "rejected" };
            let body = json!({"environment_ids": environments, "state": state, "comment": comment});
            post(of_run("/pending_deployments"), Some(body))
        }
        Command::ApproveFork => post(of_run("/approve"), None),
        Command::Delete => Ok(Mutation { change: Change::Delete, path: of_run(""), body: None }),
        Command::DeleteLogs => Ok(Mutation { change: Change::Delete, path: of_run("/logs"), body: None }),
        Command::Deployment { .. } => Err(Unavailable::NotDeployment),
        Command::Held { .. } | Command::Hold { .. } | Command::Synced { .. } => Err(Unavailable::HoldsHere),
        Command::Dispatch { .. } | Command::Resume | Command::Yield { .. } | Command::Watch => Err(Unavailable::Remote),
    }
}

/// Whether the server of a run has a debugger. A server without one might ignore the request for the debugger, and run
/// the job without stops.
fn has_debugger(remote: &RemoteSpec) -> bool {
    Host::new(&remote.host, remote.server).is_ok_and(|host| host.has_debugger())
}

/// Returns the path of a run.
pub(super) fn run_path(remote: &RemoteSpec) -> String {
    format!("/repos/{}/actions/runs/{}", remote.repository, remote.id)
}

/// Maximum age of the cached name of the token's user.
const KNOWN_USER: Freshness = Freshness(Duration::from_hours(24));

/// Returns the name of the token's user; `None` if the server does not name one, as for the token of an app, or does
/// not answer.
pub(super) async fn user(client: &Client) -> Option<String> {
    let answer = client.get("/user", KNOWN_USER, Priority::User).await.ok()?;
    serde_json::from_slice::<User>(&answer.body).ok()?.login
}

/// Fetches the list of runs now, so that no process gets a cached list with a run that was removed.
pub(super) async fn renew_list(client: &Client, remote: &RemoteSpec) {
    if let Err(error) = client.get(&list_path(&remote.repository), Freshness::NOW, Priority::User).await {
        tracing::debug!(%error, "the list of runs is not renewed");
    }
}

/// Returns the path of the newest runs of a repository, which is named as `owner/name`.
pub(super) fn list_path(repository: &str) -> String {
    format!("/repos/{repository}/actions/runs?per_page={LISTED}")
}

/// Sends a request when its turn has come, and returns the reply for the user. `None` if the client that sent the
/// command is gone by then: it treats the command as unanswered, and may send it again.
pub(super) async fn send(client: &Client, request: &Mutation, asked: &mut oneshot::Sender<Reply>) -> Option<Reply> {
    let ready = tokio::select! {
        biased;
        () = asked.closed() => return None,
        ready = client.ready(request) => ready,
    };
    let sent = match ready {
        Ok(ready) => ready.send().await,
        Err(error) => Err(error),
    };
    Some(match sent {
        Ok(_) => Reply::Accepted,
        Err(error @ ApiError::Doubtful { .. }) => {
            Reply::Unanswered { reason: format!("{error}; look at the run before you do it again") }
        }
        Err(
            error @ (ApiError::Refused { .. } | ApiError::Path(_) | ApiError::TooLarge { .. } | ApiError::Redirect(_)),
        ) => Reply::Rejected { reason: error.to_string() },
        Err(error) => Reply::Unanswered { reason: error.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::Value;
    use tokio::net::TcpListener;

    use super::*;
    use crate::model::testing;
    use crate::model::{JobId, RunId, Timestamp};
    use crate::store::folder::RunsDir;
    use crate::store::runs::RunStore;

    #[tokio::test]
    async fn a_command_whose_sender_left_is_not_sent_after_others() {
        let home = tempfile::tempdir().expect("a folder");
        // This listener never answers.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let api = format!("http://{}", listener.local_addr().expect("an address"));
        let host = Host::new("github.com", ServerKind::GitHub).and_then(|host| host.with_api(&api)).expect("a host");
        let client = Client::new(host, None, &RunsDir::at(home.path())).expect("a client");
        let reads = ["/one", "/two"].map(|path| {
            let client = client.clone();
            tokio::spawn(async move { client.get(path, Freshness::NOW, Priority::Background).await.map(drop) })
        });
        let _in_flight = [listener.accept().await.expect("a read"), listener.accept().await.expect("a read")];
        let (mut asked, sender) = oneshot::channel();
        let cancel = Mutation { change: Change::Post, path: "/cancel".to_owned(), body: None };
        let sending = send(&client, &cancel, &mut asked);
        let (reply, ()) = tokio::join!(sending, async {
            tokio::task::yield_now().await;
            drop(sender);
        });
        assert_eq!(reply, None);
        reads.iter().for_each(tokio::task::JoinHandle::abort);
    }

    /// Returns GitHub's description of its API. If it is not available, prints a remark and returns `None`.
    fn description() -> Option<Value> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let name = "shared/github-api/openapi-actions.json";
        let text = root.ancestors().find_map(|above| fs::read(above.join(name)).ok());
        if text.is_none() {
            eprintln!("skipped: GitHub's description of its API is not at ../{name}");
        }
        serde_json::from_slice(&text?).ok()
    }

    /// Returns the described operation that matches a request.
    fn operation<'d>(description: &'d Value, mutation: &Mutation) -> Option<&'d Value> {
        let method = match mutation.change {
            Change::Post => "post",
            Change::Put => "put",
            Change::Delete => "delete",
        };
        let parts: Vec<&str> = mutation.path.split('/').collect();
        let is = |pattern: &str| {
            let pattern: Vec<&str> = pattern.split('/').collect();
            let same = |(one, part): (&&str, &&str)| one == part || (one.starts_with('{') && !part.is_empty());
            pattern.len() == parts.len() && pattern.iter().zip(&parts).all(same)
        };
        let paths = description["paths"].as_object()?;
        paths.iter().find(|(path, operations)| is(path) && !operations[method].is_null()).map(|(_, all)| &all[method])
    }

    /// Returns why a value does not match a schema.
    fn fault(value: &Value, schema: &Value) -> Option<String> {
        let is_of_type = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_u64() || value.is_i64(),
            _ => true,
        };
        if !is_of_type {
            return Some(format!("{value} is not of the type {}", schema["type"]));
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            return Some(format!("{value} is not one of {}", schema["enum"]));
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let missing = required.filter(|name| value.get(name).is_none()).map(|name| format!("`{name}` is missing"));
        let fields = value.as_object().into_iter().flatten();
        let unknown = |name: &str| {
            let known = schema["properties"].as_object();
            known.is_some_and(|known| !known.contains_key(name)).then(|| format!("`{name}` is unknown"))
        };
        let of_field = |(name, value): (&String, &Value)| unknown(name).or(fault(value, &schema["properties"][name]));
        let items = value.as_array().into_iter().flatten().filter_map(|item| fault(item, &schema["items"]));
        missing.chain(fields.filter_map(of_field)).chain(items).next()
    }

    #[test]
    fn every_command_is_a_request_that_the_api_describes() {
        let Some(description) = description() else { return };
        let (id, job) = (RunId::new("20260101-000000-aaaa"), JobId::new("build"));
        let mut store = RunStore::default();
        store.open(testing::info(id.clone(), Timestamp(0)));
        for record in testing::two_reviews(Timestamp(0)).records {
            store.apply(&id, &record);
        }
        let mut run = store.run(&id).expect("opened").clone();
        run.jobs.get_mut(&job).expect("a job").remote = Some(7);
        let host = "github.com".to_owned();
        let remote = RemoteSpec { host, repository: "o/r".to_owned(), id: 1, ..RemoteSpec::default() };
        let debugger = Command::RerunWithDebugger { job: job.clone() };
        let reruns = [RerunScope::All, RerunScope::Failed, RerunScope::Job(job)];
        let reruns =
            reruns.iter().flat_map(|what| [true, false].map(|debug| Command::Rerun { what: what.clone(), debug }));
        let review = |approve| Command::Review { environments: vec![1, 2], approve, comment: "ship it".to_owned() };
        let others = [
            debugger.clone(),
            Command::Cancel,
            Command::ForceCancel,
            Command::ApproveFork,
            Command::Delete,
            Command::DeleteLogs,
        ];
        for command in reruns.chain([review(true), review(false)]).chain(others) {
            let mutation = request(&command, &remote, &run).expect("a request");
            let operation = operation(&description, &mutation);
            let operation = operation.unwrap_or_else(|| panic!("no operation for {mutation:?}"));
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            match &mutation.body {
                Some(body) => assert_eq!(fault(body, schema), None, "{mutation:?}"),
                None => assert!(operation["requestBody"]["required"] != true, "{mutation:?} needs a body"),
            }
        }
        let enterprise = RemoteSpec { host: "github.example".to_owned(), ..remote.clone() };
        assert_eq!(request(&debugger, &enterprise, &run), Err(Unavailable::NoDebugger));
        let gitea = RemoteSpec { server: ServerKind::Gitea, ..remote };
        let rerun = |debug| request(&Command::Rerun { what: RerunScope::All, debug }, &gitea, &run);
        assert!(rerun(false).is_ok());
        assert_eq!(rerun(true), Err(Unavailable::NotOffered), "it would ignore that");
        assert_eq!(request(&debugger, &gitea, &run), Err(Unavailable::NoDebugger));
    }
}
