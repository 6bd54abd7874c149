//! `rollback` against the fake server: what it undoes and how, what is refused, and what is live afterwards.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::fake_github::material;
use crate::project::until;
use crate::servers::{Said, Watching};

const REPOSITORY: &str = "aura/platform";

/// Returns a repository where the deployment of 1.4.2 to production failed, and 1.4.1 is the last good release.
fn failed() -> Option<Watching> {
    failed_in("deploy-rollback")
}

fn failed_in(scenario: &str) -> Option<Watching> {
    let watching = Watching::new(scenario)?;
    watching.fake.advance(90);
    watching.fake.control("/_fake/do", json!({"do": "approve", "environment": "production", "user": "maria"}));
    watching.fake.advance(120);
    Some(watching)
}

fn rollback(watching: &Watching, args: &[&str]) -> Said {
    watching.cuelight(&[&["rollback", "production", "-R", REPOSITORY], args].concat())
}

fn newest(watching: &Watching) -> Value {
    watching.fake.value(&format!("/repos/{REPOSITORY}/actions/runs?per_page=1"))["workflow_runs"][0].clone()
}

#[test]
fn the_last_good_release_comes_back_by_another_attempt_of_its_job() {
    let Some(watching) = failed() else { return };
    let args = ["rollback", "production", "-R", REPOSITORY, "--yes=production", "--json"];
    let args = [&args[..], &["--from", "v1.4.2"]].concat();
    let child = watching.command("ghp_full", &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("starts");
    let runs = format!("/repos/{REPOSITORY}/actions/runs?per_page=100");
    // The server counts the requests of this test as well, so the run is requested only once.
    until("the change", || (watching.fake.value("/_fake/stats")["mutations"] == 1).then_some(()));
    let run = until("another attempt", || {
        let runs = watching.fake.value(&runs);
        let again = runs["workflow_runs"].as_array()?.iter().find(|run| run["run_attempt"] == 2)?;
        Some(again["id"].clone())
    });
    watching.fake.advance(30);
    let approval = json!({"do": "approve", "run": run, "environment": "production", "user": "olu"});
    watching.fake.control("/_fake/do", approval);
    watching.fake.advance(120);
    let said = Said::from(child.wait_with_output().expect("ends"));
    assert_eq!(said.code, Some(0), "{} {}", said.out, said.error);
    let document: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&document["rolled_back"], &document["live"]["tag"]), (&json!(true), &json!("v1.4.1")), "{document}");
    assert_eq!(document["rollback"]["method"]["rerun"]["job"], "Deploy to production", "{document}");
    // The workflow deploys to staging first.
    let why = "because deploy.yml on v1.4.1 is refused by staging, which takes main, release/*";
    assert_eq!(document["rollback"]["why"], why, "{document}");
    for part in
        ["production: from v1.4.2 d92af2e (failed) to v1.4.1 9093b37", "8 commits are undone", "(#417) (maria)", why]
    {
        assert!(said.error.contains(part), "{part}: {}", said.error);
    }
    // Once the release is live, it is not deployed again.
    let again = rollback(&watching, &["--to", "v1.4.1", "--yes=production"]);
    assert_eq!(again.code, Some(4), "{}", again.error);
    assert!(again.error.contains("v1.4.1 9093b37 is already live in production"), "{}", again.error);
    watching.check_stats();
}

#[test]
fn the_workflow_that_deployed_is_started_again_at_the_tag() {
    let Some(scenarios) = material().map(|folder| folder.join("scenarios")) else { return };
    let edited = tempfile::tempdir().expect("a folder");
    for file in ["_platform.json", "deploy-rollback.json"] {
        let text = fs::read_to_string(scenarios.join(file)).expect("a scenario");
        // Staging accepts tags.
        fs::write(edited.path().join(file), text.replace("\"release/*\"", "\"v*\"")).expect("written");
    }
    let scenario = edited.path().join("deploy-rollback");
    let Some(watching) = failed_in(scenario.to_str().expect("a path")) else { return };
    let args = ["rollback", "production", "-R", REPOSITORY, "--yes=production", "--detach", "--json"];
    let child = watching.command("ghp_full", &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("starts");
    // The server creates the run some time after the request.
    until("the run was started", || {
        watching.fake.advance(1);
        child.try_wait().expect("known")
    });
    let said = Said::from(child.wait_with_output().expect("ends"));
    assert_eq!(said.code, Some(0), "{}", said.error);
    let document: Value = serde_json::from_str(&said.out).expect("JSON");
    let method = &document["rollback"]["method"]["dispatch"];
    assert_eq!((&method["ref"], &method["workflow"]), (&json!("v1.4.1"), &json!(".github/workflows/deploy.yml")));
    assert_eq!(method["inputs"], json!({"environment": "production", "version": "v1.4.1"}));
    let run = newest(&watching);
    assert_eq!((&run["event"], &run["head_branch"]), (&json!("workflow_dispatch"), &json!("v1.4.1")), "{run}");
}

#[test]
fn a_run_whose_jobs_never_started_replaces_nothing() {
    let Some(watching) = failed() else { return };
    let api = &watching.fake.api;
    watching.project.configure(&format!(
        "[github]\napi_url = \"http://{api}\"\n[github.environments.eu]\nworkflow = \"deploy.yml\"\nref = \"main\"\n"
    ));
    let plan = || watching.cuelight(&["rollback", "eu", "-R", REPOSITORY]);
    let before = plan();
    assert!(before.error.contains("eu: from v1.4.2 d92af2e (failed) to v1.4.1 9093b37"), "{}", before.error);
    let run = json!({"do": "run", "workflow": "deploy.yml", "sha": "f".repeat(40), "startup_failure": true});
    watching.fake.control("/_fake/do", run);
    assert_eq!(newest(&watching)["conclusion"], "startup_failure");
    let after = plan();
    assert_eq!((after.code, after.error), (before.code, before.error));
}

#[test]
fn what_is_not_safe_is_refused_before_anything_is_sent() {
    let Some(watching) = failed() else { return };
    let before = newest(&watching)["id"].clone();
    for (args, code, message) in [
        (&[][..], 2, "production is protected: confirm it with --yes=production"),
        (&["--yes=prod"], 2, "confirm it with --yes=production"),
        (&["--from", "v1.4.1", "--yes=production"], 4, "`v1.4.1` is not in production: v1.4.2 d92af2e was deployed"),
        (
            &["--to", "v1.3.0", "--yes=production"],
            3,
            "`v1.3.0` is not known to have succeeded in production: the releases are",
        ),
        (&["--by", "dispatch", "--yes=production"], 4, "deploy.yml on v1.4.1 is refused by staging, which takes"),
        (&["--by", "magic"], 2, "must be `dispatch` or `rerun`"),
    ] {
        let said = rollback(&watching, args);
        assert_eq!(said.code, Some(code), "{args:?}: {}", said.error);
        assert!(said.error.contains(message), "{args:?}: {}", said.error);
    }
    let empty = watching.cuelight(&["rollback", "development", "-R", REPOSITORY, "--yes=development"]);
    assert_eq!(empty.code, Some(4), "{}", empty.error);
    assert!(empty.error.contains("no deployment is live in development"), "{}", empty.error);
    let staging = watching.cuelight(&["rollback", "staging", "-R", REPOSITORY]);
    assert_eq!(staging.code, Some(2), "{}", staging.error);
    assert!(staging.error.contains("not a terminal: confirm the rollback with --yes=staging"), "{}", staging.error);
    let read_only = watching.said("github_pat_read", &["rollback", "staging", "-R", REPOSITORY, "--yes=staging"]);
    assert_eq!(read_only.code, Some(4), "{}", read_only.error);
    assert_eq!(newest(&watching)["id"], before, "nothing was started");
}
