//! Reads, changes and downloads through every fault of the fake server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use cuelight::backend::github::client::{
    Answer, AnswerSource, ApiError, Change, Client, Condition, Form, Freshness, Mutation, Priority,
};
use cuelight::model::feed::Connection;
use serde_json::{Value, json};

use super::fake::Fake;

const RUNS: &str = "/repos/aura/platform/actions/runs?per_page=5";

async fn user(client: &Client, path: &str) -> Result<Answer, ApiError> {
    client.get(path, Freshness::NOW, Priority::User).await
}

async fn poll(client: &Client, path: &str) -> Result<Answer, ApiError> {
    client.get(path, Freshness::NOW, Priority::Background).await
}

fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// Returns the number of the newest run.
async fn newest(client: &Client) -> u64 {
    value(&user(client, RUNS).await.expect("runs"))["workflow_runs"][0]["id"].as_u64().expect("a number")
}

#[tokio::test]
async fn an_unchanged_answer_is_free_and_shared_with_other_processes() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = fake.client("ghp_full", home.path());
    let first = user(&client, RUNS).await.expect("runs");
    assert!(first.changed && first.next.is_some() && first.source == AnswerSource::Charged);
    let again = user(&client, RUNS).await.expect("runs");
    assert_eq!((again.changed, again.source, &again.body), (false, AnswerSource::Confirmed, &first.body));
    assert_eq!(again.next, first.next, "a 304 has no Link header");
    assert_eq!((fake.stat("requests"), fake.stat("not_modified")), (2, 1));

    // Another process of the user: fresh answers cost no request, and others are requested with the same ETag.
    let other = fake.client("ghp_full", home.path());
    let fresh = other.get(RUNS, Freshness(Duration::from_mins(1)), Priority::Background).await.expect("runs");
    assert_eq!((fresh.changed, fresh.source, fake.stat("requests")), (true, AnswerSource::Stored, 2));
    assert_eq!(poll(&other, RUNS).await.expect("runs").source, AnswerSource::Confirmed);
    // A different token shares no answers.
    let stranger = fake.client("ghp_ines", home.path());
    let charged = stranger.get(RUNS, Freshness::ANY, Priority::Background).await.expect("runs");
    assert_eq!(charged.source, AnswerSource::Charged);

    let mut pages = client.pages(RUNS, 3, Freshness::NOW, Priority::User);
    for page in 1..=3 {
        assert!(!pages.is_cut(), "page {page}");
        assert!(pages.next().await.expect("pages").is_some(), "page {page}");
    }
    assert!(pages.next().await.expect("the limit").is_none() && pages.is_cut());
    let file = client.get_as(
        Form::Raw,
        "/repos/aura/platform/contents/.github/workflows/ci.yml",
        Freshness::NOW,
        Priority::User,
    );
    assert!(file.await.expect("a file").body.starts_with(b"name"));
    let rate = client.link().borrow().rate.expect("a rate");
    assert!(rate.limit == 5000 && rate.remaining < 5000);
    // Requests are sent one after another. The request for the counter may be in flight too, together with one that the
    // server has answered but not yet counted as done.
    assert!(fake.stat("max_concurrent") <= 2 && fake.stat("bugs") == 0);
    for entry in fs::read_dir(home.path().join("github/answers")).expect("a folder") {
        let mode = entry.and_then(|entry| entry.metadata()).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_read_is_retried_through_every_passing_fault_and_the_age_is_known_meanwhile() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    for fault in [
        json!({"kind": "status", "status": 502}),
        json!({"kind": "html"}),
        json!({"kind": "reset"}),
        json!({"kind": "reset_body"}),
        json!({"kind": "malformed"}),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let client = fake.client("ghp_full", home.path());
        user(&client, RUNS).await.expect("runs");
        let mut fault = fault;
        fault["match"] = json!("GET /repos/aura/platform/branches");
        fault["count"] = json!(1);
        fake.fault(&fault);
        let mut link = client.link();
        let reading = tokio::spawn({
            let client = client.clone();
            async move { user(&client, "/repos/aura/platform/branches").await }
        });
        let stale = link.wait_for(|state| matches!(state.condition, Condition::Failing { .. })).await.expect("a state");
        assert!(matches!(stale.connection(), Connection::Stale { .. }), "{fault}");
        drop(stale);
        reading.await.expect("ends").unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert_eq!(link.borrow().connection(), Connection::Live, "{fault}");
        fake.heal();
    }
    for fault in ["slow", "slow_body", "nulls", "unknown"] {
        let home = tempfile::tempdir().expect("a folder");
        fake.fault(&json!({"kind": fault, "delay_ms": 50}));
        user(&fake.client("ghp_full", home.path()), RUNS).await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        fake.heal();
    }
    assert_eq!(fake.stat("bugs"), 0);
}

#[tokio::test]
async fn a_poll_gets_the_reason_instead_of_waiting_for_ever() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = fake.client("ghp_full", home.path());
    for (fault, held) in [
        (json!({"kind": "secondary", "retry_after": 60}), "Paused"),
        (json!({"kind": "429", "retry_after": 60}), "Paused"),
        (json!({"kind": "primary"}), "Limited"),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let client = fake.client("ghp_full", home.path());
        user(&client, RUNS).await.expect("runs");
        fake.fault(&fault);
        let error = poll(&client, RUNS).await.expect_err("held");
        assert!(error.is_transient() && format!("{error:?}").contains(held), "{fault}: {error:?}");
        fake.heal();
        // All requests to the host wait, including the user's own requests and those of other processes.
        let before = fake.stat("requests");
        let other = fake.client("ghp_full", home.path());
        for result in [user(&client, RUNS).await, poll(&client, "/user").await, user(&other, RUNS).await] {
            assert!(matches!(result, Err(ApiError::Held(_))), "{fault}");
        }
        assert_eq!(fake.stat("requests"), before, "{fault}");
        assert!(matches!(client.link().borrow().connection(), Connection::Stale { .. }), "{fault}");
        fake.control("POST", "rate", &json!({"remaining": 5000}));
    }
    fake.fault(&json!({"kind": "sso"}));
    let error = poll(&client, RUNS).await.expect_err("sso");
    assert!(
        matches!(error, ApiError::Held(Condition::SsoNeeded { ref url }) if url.starts_with("https://")),
        "{error:?}"
    );
    fake.heal();
    assert!(poll(&client, RUNS).await.is_ok(), "other organizations need no sign-on");
}

#[tokio::test]
async fn a_short_pause_is_waited_for() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = fake.client("ghp_full", home.path());
    fake.fault(&json!({"kind": "secondary", "retry_after": 1, "count": 1}));
    assert!(matches!(poll(&client, RUNS).await, Err(ApiError::Held(Condition::Paused { .. }))));
    poll(&client, RUNS).await.expect("after the pause");
}

#[tokio::test]
async fn a_revoked_token_stops_everything_and_what_is_stored_stays_readable() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = fake.client("ghp_full", home.path());
    user(&client, RUNS).await.expect("runs");
    fake.control("POST", "do", &json!({"do": "revoke", "token": "ghp_full"}));
    assert!(matches!(user(&client, RUNS).await, Err(ApiError::Held(Condition::TokenRefused))));
    let before = fake.stat("requests");
    for _ in 0..3 {
        assert!(matches!(user(&client, RUNS).await, Err(ApiError::Held(Condition::TokenRefused))));
    }
    let post =
        Mutation { change: Change::Post, path: "/repos/aura/platform/actions/runs/1/rerun".to_owned(), body: None };
    assert!(matches!(client.send(&post).await, Err(ApiError::Held(Condition::TokenRefused))));
    assert_eq!(fake.stat("requests"), before, "a refused token is never sent again");
    assert_eq!(client.get(RUNS, Freshness::ANY, Priority::User).await.expect("stored").source, AnswerSource::Stored);
}

#[tokio::test]
async fn refusals_name_the_reason_and_what_is_missing() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = fake.client("github_pat_read", home.path());
    let run = newest(&client).await;
    let error = user(&client, "/repos/aura/nothing").await.expect_err("not found");
    assert_eq!((error.status(), error.is_transient()), (Some(404), false));
    let cancel =
        Mutation { change: Change::Post, path: format!("/repos/aura/platform/actions/runs/{run}/cancel"), body: None };
    let error = client.send(&cancel).await.expect_err("read only");
    assert!(
        matches!(&error, ApiError::Refused { status: 403, needs: Some(needs), .. } if needs.contains("actions")),
        "{error:?}"
    );
    for path in ["no/slash", "//evil.example/x", "/a/../b", "/a b"] {
        assert!(matches!(user(&client, path).await, Err(ApiError::Path(_))), "{path}");
    }
    let anonymous = fake.client("", home.path());
    assert!(user(&anonymous, "/repos/aura/docs").await.is_ok());
    assert_eq!(user(&anonymous, RUNS).await.expect_err("private").status(), Some(404));
}

#[tokio::test]
async fn a_change_is_sent_once_whatever_happens_and_a_second_after_the_last() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = fake.client("ghp_full", home.path());
    let path = "/repos/aura/platform/actions/workflows/ci.yml";
    let change = |what: &str| Mutation { change: Change::Put, path: format!("{path}/{what}"), body: None };
    for fault in ["reset", "status", "reset_body", "html"] {
        fake.fault(&json!({"kind": fault, "status": 502, "match": "PUT ", "count": 1}));
        let before = fake.requests("PUT").len();
        let result = client.send(&change("disable")).await;
        // The answer of this change has no body that could break off.
        let is_doubtful = matches!(result, Err(ApiError::Doubtful { .. }));
        assert!(is_doubtful || (fault == "reset_body" && result.is_ok()), "{fault}: {result:?}");
        assert_eq!(fake.requests("PUT").len(), before + 1, "{fault}: {:?}", fake.requests("PUT"));
        fake.heal();
    }
    // With two processes, changes are sent one after the other, a second apart by the clock of this machine.
    let other = fake.client("ghp_full", home.path());
    let started = std::time::Instant::now();
    let (disable, enable) = (change("disable"), change("enable"));
    let (first, second) = tokio::join!(client.send(&disable), other.send(&enable));
    assert_eq!((first.expect("done").status, second.expect("done").status), (204, 204));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(matches!(
        fake.client("ghp_full", home.path())
            .send(&Mutation { change: Change::Delete, path: "x".to_owned(), body: None })
            .await,
        Err(ApiError::Path(_))
    ));
    assert_eq!(fake.stat("bugs"), 0);
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_is_gone() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = fake.client("ghp_full", home.path());
    drop(fake);
    let error = poll(&client, RUNS).await.expect_err("gone");
    assert!(matches!(error, ApiError::Unreachable { .. }) && error.is_transient(), "{error:?}");
    assert!(matches!(client.link().borrow().connection(), Connection::Offline { .. }));
    let put = Mutation { change: Change::Put, path: "/x".to_owned(), body: None };
    assert!(matches!(client.send(&put).await, Err(ApiError::Unreachable { .. })), "it was not sent");
}

#[tokio::test]
async fn downloads_follow_the_link_without_the_token_and_appear_when_complete() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let client = fake.client("ghp_full", home.path());
    fake.advance(300);
    let run = newest(&client).await;
    let jobs = value(&user(&client, &format!("/repos/aura/platform/actions/runs/{run}/jobs")).await.expect("jobs"));
    let job = &jobs["jobs"][0];
    assert_eq!(job["status"], "completed");
    let path = format!("/repos/aura/platform/actions/jobs/{}/logs", job["id"]);
    let log = home.path().join("job.log");
    let done = client.download(&path, &log, 1 << 20, Priority::User).await.expect("a log");
    let text = fs::read_to_string(&log).expect("a file");
    assert!(text.contains("##[group]") && text.len() as u64 == done.bytes);
    assert_eq!(fs::metadata(&log).expect("a file").permissions().mode() & 0o777, 0o600);

    let other = home.path().join("other.log");
    assert!(matches!(client.download(&path, &other, 10, Priority::User).await, Err(ApiError::TooLarge { limit: 10 })));
    fake.fault(&json!({"kind": "status", "status": 404, "match": "BLOB"}));
    let error = client.download(&path, &other, 1 << 20, Priority::User).await.expect_err("not there yet");
    assert!(matches!(error, ApiError::Refused { status: 404, by_storage: true, .. }), "{error:?}");
    fake.heal();
    let error = client.download("/repos/aura/platform/actions/jobs/1/logs", &other, 1 << 20, Priority::User).await;
    assert!(matches!(error, Err(ApiError::Refused { status: 404, by_storage: false, .. })), "{error:?}");
    let left =
        fs::read_dir(home.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
    assert!(!other.exists() && !left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
    fake.fault(&json!({"kind": "reset", "match": "BLOB", "count": 1}));
    client.download(&path, &other, 1 << 20, Priority::User).await.expect("the second time");
    assert_eq!((fake.stat("blob_auth_refused"), fake.stat("bugs")), (0, 0));
}
