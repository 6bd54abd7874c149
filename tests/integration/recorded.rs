//! Deployments by this machine that the fake server records, too.

use std::fs;

use serde_json::{Value, json};

use crate::deployments::Shop;
use crate::fake_github::{Fake, Way};
use crate::project::{Said, git, until};
use crate::survival::{kill, worker_of};

const SETTINGS: &str = r#"
[environments.staging]
record = "github"
url = "https://staging.example.com"
[environments.staging.target]
start = "./start"
stop = "./stop"
healthy = "test $DEPLOY_RELEASE != v3"
[environments.staging.health]
interval = "10ms"
retries = 2

[environments.production]
record = "github"
[environments.production.target]
start = "./start"
stop = "./stop"
healthy = "true"
"#;

/// A repository whose remote is on the fake server, which has the commits of its tags v1 and v3.
struct Recorded {
    shop: Shop,
    fake: Fake,
}

impl Recorded {
    fn new() -> Option<Self> {
        let fake = Fake::start_now("ci-green")?;
        let shop = Shop::new();
        shop.project.git(&["remote", "add", "origin", "https://github.com/aura/platform.git"]);
        shop.configure(SETTINGS);
        shop.project.configure(&format!("[github]\napi_url = \"http://{}\"\n", fake.counted()));
        let recorded = Self { shop, fake };
        for tag in ["v1", "v3"] {
            recorded.push(tag);
        }
        Some(recorded)
    }

    /// Gives the server the commit of a tag.
    fn push(&self, tag: &str) {
        let sha = git(&self.shop.project.root(), &["rev-parse", tag]);
        self.fake.control("/_fake/do", json!({"do": "push", "sha": sha.trim()}));
    }

    fn said(&self, token: Option<&str>, args: &[&str]) -> Said {
        let mut command = self.shop.command(args);
        if let Some(token) = token {
            command.env("GH_TOKEN", token);
        }
        Said(command.output().expect("the program starts"))
    }

    fn call(&self, args: &[&str]) -> Said {
        self.said(Some("ghp_full"), args)
    }

    /// Returns the deployments that the server has, oldest first, each with its states, oldest first.
    fn on_server(&self) -> Vec<(Value, Vec<String>)> {
        let mut all = self.fake.value("/repos/aura/platform/deployments?per_page=100");
        let mine = all.as_array_mut().expect("a list").drain(..).rev().filter(|one| one["payload"] != json!({}));
        let states = |one: &Value| {
            let path = format!("/repos/aura/platform/deployments/{}/statuses", one["id"]);
            let states = self.fake.value(&path);
            let states = states.as_array().expect("a list").iter().rev();
            states.map(|one| one["state"].as_str().expect("a state").to_owned()).collect()
        };
        mine.map(|one| (states(&one), one)).map(|(states, one)| (one, states)).collect()
    }

    fn newest(&self, environment: &str) -> Value {
        let out = self.call(&["deploys", environment, "--json"]).out();
        serde_json::from_str(out.lines().next().unwrap_or_default()).expect("JSON")
    }

    /// Waits until the worker of the newest deployment has ended.
    fn ended(&self, environment: &str) -> Value {
        let run = self.newest(environment)["run"].as_str().expect("a run").to_owned();
        let show = || serde_json::from_str::<Value>(&self.call(&["show", &run, "--json"]).out()).expect("JSON");
        until("the run ends", || Some(show()).filter(|run| run["finished"] != Value::Null));
        self.newest(environment)
    }
}

#[test]
fn a_deployment_a_failure_and_a_rollback_are_recorded_with_their_states() {
    let Some(recorded) = Recorded::new() else { return };
    recorded.call(&["deploy", "staging", "v1"]).expect(0, &["is live"]);
    let newest = recorded.ended("staging");
    let [(first, states)] = &recorded.on_server()[..] else { panic!("{:?}", recorded.on_server()) };
    assert_eq!(states, &["in_progress", "success"]);
    assert_eq!((&first["sha"], &first["environment"]), (&newest["release"]["sha"], &json!("staging")));
    assert_eq!(
        (&first["description"], &first["production_environment"]),
        (&json!("v1: recreate by ada"), &json!(false))
    );
    assert_eq!((&first["payload"]["cuelight_run"], &first["task"]), (&newest["run"], &json!("deploy")));
    let create = recorded.fake.changes().into_iter().find(|change| change.contains("/deployments ")).expect("created");
    assert!(create.contains("\"auto_merge\":false") && create.contains("\"required_contexts\":[]"), "{create}");
    let status = recorded.fake.value(&format!("/repos/aura/platform/deployments/{}/statuses", first["id"]));
    assert_eq!(status[0]["environment_url"], "https://staging.example.com");
    let page = "deployments/activity_log?environments_filter=staging";
    let known = &newest["recorded"];
    assert_eq!(
        (&known["id"], &known["state"], &known["server"]),
        (&first["id"], &json!("success"), &json!("github.com"))
    );
    assert!(known["page"].as_str().is_some_and(|url| url.ends_with(page)), "{known}");
    let run = newest["run"].as_str().expect("a run");
    let shown: Value = serde_json::from_str(&recorded.call(&["show", run, "--json"]).out()).expect("JSON");
    assert_eq!(shown["jobs"][0]["deployment_page"], known["page"]);

    recorded.push("v2");
    recorded.call(&["deploy", "staging", "v2"]).expect(0, &["is live"]);
    recorded.ended("staging");
    recorded.call(&["deploy", "staging", "v3"]).expect(1, &["serves again"]);
    recorded.ended("staging");
    recorded.call(&["rollback", "staging", "--to", "v1", "--yes=staging"]).expect(0, &["is live"]);
    recorded.ended("staging");
    let all = recorded.on_server();
    let states: Vec<_> = all.iter().map(|(_, states)| states.join(" ")).collect();
    assert_eq!(
        states,
        ["in_progress success inactive", "in_progress success inactive", "in_progress failure", "in_progress success"]
    );
    assert_eq!(all[3].0["description"], "v1: rollback by ada");
    let failed = recorded.fake.value(&format!("/repos/aura/platform/deployments/{}/statuses", all[2].0["id"]));
    let why = failed[0]["description"].as_str().expect("a description");
    assert!(
        why.starts_with("step 3/3 (Wait until ") && why.ends_with("serves again") && why.chars().count() <= 140,
        "{why}"
    );
    recorded.call(&["audit", "staging"]).expect(0, &["was recorded as success"]);
}

#[test]
fn a_job_that_deploys_is_recorded_as_a_deployment_is() {
    let Some(recorded) = Recorded::new() else { return };
    let job = |name: &str, run: &str| {
        format!("  {name}:\n    runs-on: ubuntu-latest\n    environment: staging\n    steps: [{{run: {run}}}]\n")
    };
    let workflow =
        format!("on: push\njobs:\n{}{}    needs: ship\n", job("ship", "echo shipped"), job("again", "exit 1"));
    recorded.shop.project.write(".github/workflows/ship.yml", &workflow);
    recorded.shop.project.commit();
    recorded.push("HEAD");
    recorded.call(&["run", "ship.yml", "--trust"]).expect(1, &[]);
    let all = recorded.on_server();
    // A job may end before its beginning is reported.
    let last: Vec<_> = all.iter().filter_map(|(_, states)| states.last()).collect();
    assert_eq!(last, ["success", "failure"]);
    let jobs: Vec<_> = all.iter().map(|(one, _)| one["payload"]["cuelight_job"].clone()).collect();
    assert_eq!(jobs, ["ship", "again"]);
    let description = all[0].0["description"].as_str().expect("a description");
    assert!(description.ends_with(": job by ada"), "{description}");
    let shown: Value = serde_json::from_str(&recorded.call(&["show", "--json"]).out()).expect("JSON");
    let page = shown["jobs"][0]["deployment_page"].as_str().unwrap_or_default();
    assert!(page.ends_with("deployments/activity_log?environments_filter=staging"), "{shown}");
    recorded.call(&["audit", "staging"]).expect(0, &["was recorded as success", "was recorded as failure"]);
}

#[test]
fn a_server_that_refuses_or_is_gone_changes_no_deployment() {
    let Some(recorded) = Recorded::new() else { return };
    // The commit of v2 is not pushed.
    recorded.call(&["deploy", "staging", "v2"]).expect(0, &["is live"]);
    let newest = recorded.ended("staging");
    let why = newest["not_recorded"].as_str().expect("a reason");
    assert!(
        why.starts_with("commit ") && why.ends_with("is not on github.com: push it before it is deployed"),
        "{why}"
    );
    assert_eq!(newest["recorded"], Value::Null);
    let run = newest["run"].as_str().expect("a run");
    recorded.call(&["attach", run]).expect(0, &["note: the deployment is not recorded on GitHub: commit "]);
    // A token that may not write.
    recorded.said(Some("github_pat_read"), &["deploy", "staging", "v1"]).expect(0, &["is live"]);
    let why = recorded.ended("staging")["not_recorded"].as_str().expect("a reason").to_owned();
    assert!(why.contains("not allowed (403)") && !why.contains("github_pat_read"), "{why}");
    assert_eq!(recorded.on_server(), []);
    recorded.fake.go(Way::Dead);
    recorded.call(&["deploy", "staging", "v3"]).expect(1, &["serves again"]);
    let why = recorded.ended("staging")["not_recorded"].as_str().expect("a reason").to_owned();
    assert!(why.starts_with("no success within 10 s after the end of the deployment"), "{why}");
}

#[test]
fn what_cannot_be_recorded_is_said_before_the_deployment() {
    let Some(recorded) = Recorded::new() else { return };
    let note =
        ".cuelight.toml:3:1: deployments to staging cannot be recorded on GitHub: there is no token for github.com";
    recorded.said(None, &["env", "staging", "--check"]).expect(0, &[note]);
    recorded.said(None, &["deploy", "staging", "v1", "--plan"]).expect(0, &[note, "Start 1 replica"]);
    recorded.said(None, &["deploy", "staging", "v1"]).expect(0, &[note, "is live"]);
    let why = recorded.ended("staging")["not_recorded"].as_str().expect("a reason").to_owned();
    assert!(why.starts_with("there is no token for github.com"), "{why}");
    recorded.shop.project.git(&["remote", "remove", "origin"]);
    let mistake =
        ".cuelight.toml:3:1: deployments to staging cannot be recorded on GitHub: this repository has no remote";
    for args in [
        &["deploy", "staging", "v2", "--trust"][..],
        &["deploy", "staging", "v2", "--plan", "--trust"],
        &["env", "staging", "--check"],
    ] {
        recorded.call(args).expect(2, &[mistake]);
    }
    // A rollback goes on: what is broken must not keep anyone from it.
    recorded.call(&["rollback", "staging", "--yes=staging"]).expect(4, &["no earlier release"]);
    recorded.shop.project.write(".cuelight.toml", &SETTINGS.replace("record = \"github\"", "record = 'gitlab'"));
    recorded
        .call(&["env", "staging", "--check"])
        .expect(2, &[".cuelight.toml:3:1: `environments.staging.record` must be `github`"]);
}

#[test]
fn a_deployment_whose_worker_is_killed_is_recorded_once() {
    let Some(recorded) = Recorded::new() else { return };
    let path = |name: &str| recorded.shop.path(name);
    let killed = |tag: &str| {
        fs::write(path("door"), "").expect("written");
        let deploy = ["deploy", "production", tag, "--yes=production", "--detach"];
        let run = recorded.call(&deploy).out().trim().to_owned();
        until("the server has the deployment", || {
            (recorded.newest("production")["recorded"]["state"] == "in_progress").then_some(())
        });
        until("the first step runs", || path("waiting").exists().then_some(()));
        kill(worker_of(&run));
        run
    };
    let run = killed("v1");
    recorded.call(&["deploys"]).expect(0, &["interrupted", "at step 1/"]);
    fs::remove_file(path("door")).expect("removed");
    recorded.call(&["resume", &run, "--yes=production"]).expect(0, &[]);
    recorded.ended("production");
    let states = || recorded.on_server().into_iter().map(|(_, states)| states.join(" ")).collect::<Vec<_>>();
    assert_eq!(states(), ["in_progress success"]);

    // A worker that is killed while its deployment is only in the request: the next deployment reports its end.
    recorded.push("v2");
    fs::remove_file(path("waiting")).expect("removed");
    killed("v2");
    fs::remove_file(path("door")).expect("removed");
    recorded.call(&["deploy", "production", "v3", "--yes=production"]).expect(0, &["is live"]);
    recorded.ended("production");
    assert_eq!(states()[1..], ["in_progress error", "in_progress success"]);
    assert_eq!(recorded.on_server()[0].0["production_environment"], true);
}
