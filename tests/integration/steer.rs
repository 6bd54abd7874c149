//! Runs and workflows of a server are started, changed and removed, from the command line and from the screen.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::project::until;
use crate::servers::{REPOSITORY, Said, Watching};

/// Waits until the server has taken a number of changes.
fn changed(watching: &Watching, count: u64) {
    until("the change", || (watching.fake.value("/_fake/stats")["mutations"] == count).then_some(()));
}

fn dispatch<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["dispatch"], args, &["-R", REPOSITORY]].concat()
}

fn newest(watching: &Watching) -> Value {
    watching.fake.value(&format!("/repos/{REPOSITORY}/actions/runs?per_page=1"))["workflow_runs"][0].clone()
}

#[test]
fn a_workflow_is_dispatched_with_checked_inputs_and_its_run_followed_to_the_end() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    for (args, code, message) in [
        (&["ci"][..], 4, "ci.yml has no `workflow_dispatch` among its events on `main`: it runs on push, pull_request"),
        (&["nightly"], 4, "nightly.yml is disabled: the repository was not active for 60 days"),
        (&["deply"], 3, "aura/platform has no workflow `deply`; did you mean `deploy`?"),
        (&["deploy", "--ref", "nope"], 3, "`nope` is neither a branch nor a tag"),
        (&["deploy", "--input", "enviroment=qa"], 2, "no input `enviroment`"),
        (&["deploy", "--input", "enviroment=qa"], 2, "did you mean `environment`?"),
        (&["deploy", "--input", "environment=qa"], 2, "must be one of staging, production, not `qa`"),
        (&["rollback"], 2, "the input `environment` is required"),
        (
            &["rollback", "--input", "environment=moon"],
            2,
            "one of canary, development, production, staging, not `moon`",
        ),
    ] {
        let said = watching.cuelight(&dispatch(args));
        assert_eq!(said.code, Some(code), "{args:?}: {}", said.error);
        assert!(said.error.contains(message), "{args:?}: {}", said.error);
    }
    assert_eq!(watching.fake.value("/_fake/stats")["mutations"], 0, "all of it is refused before it is sent");

    let args = dispatch(&["deploy", "--ref", "develop", "--input", "environment=staging"]);
    let following = watching.command("ghp_full", &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let following = following.expect("starts");
    changed(&watching, 1);
    watching.fake.advance(3);
    until("the run", || (newest(&watching)["event"] == "workflow_dispatch").then_some(()));
    let run = newest(&watching);
    assert_eq!((&run["head_branch"], &run["actor"]["login"]), (&json!("develop"), &json!("maria")));
    let id = run["id"].as_u64().expect("an id");
    let cancel = watching.cuelight(&["cancel", &format!("{REPOSITORY}/{id}")]);
    assert_eq!(cancel.code, Some(0), "{}", cancel.error);
    watching.fake.advance(60);
    let followed = Said::from(following.wait_with_output().expect("ends"));
    assert_eq!(followed.code, Some(130), "{}{}", followed.out, followed.error);
    assert!(followed.error.contains(&format!("deploy.yml runs on develop: {REPOSITORY}/{id}")), "{}", followed.error);
    watching.check_stats();
}

#[test]
fn a_run_is_found_where_the_answer_to_its_dispatch_is_lost() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    for (kind, mutations) in [("reset_body", 1), ("reset", 1)] {
        let fault = json!({"match": "POST .*/dispatches", "kind": kind, "count": 1});
        watching.fake.control("/_fake/faults", fault);
        let args = ["dispatch", "deploy", "-R", REPOSITORY, "--detach", "--json"];
        let sent = watching.command("ghp_full", &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let sent = sent.expect("starts");
        if kind == "reset" {
            // The request was lost: the run of another program's dispatch is not taken for a second one.
            until("the fault", || (watching.fake.value("/_fake/stats")["faults"] == 2).then_some(()));
            let body = json!({"ref": "main"}).to_string();
            let path = format!("/repos/{REPOSITORY}/actions/workflows/deploy.yml/dispatches");
            assert_eq!(watching.fake.send("POST", &path, "application/json", &body).0, 204);
        }
        let before = newest(&watching)["id"].clone();
        changed(&watching, if kind == "reset" { mutations + 1 } else { mutations });
        watching.fake.advance(3);
        until("the run", || (newest(&watching)["id"] != before).then_some(()));
        let said = Said::from(sent.wait_with_output().expect("ends"));
        assert_eq!(said.code, Some(0), "{kind}: {}", said.error);
        let printed: Value = serde_json::from_str(&said.out).expect("JSON");
        assert_eq!(printed["run"], format!("{REPOSITORY}/{}", newest(&watching)["id"]), "{kind}");
    }
    watching.check_stats();
}

#[test]
fn workflows_are_listed_disabled_and_enabled() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    let workflow = |args: &[&str]| watching.cuelight(&[&["workflow"], args, &["-R", REPOSITORY]].concat());
    let listed = workflow(&["list"]);
    assert!(listed.out.contains("deploy.yml    Deploy  (active)\n"), "{}", listed.out);
    assert_eq!(workflow(&["disable", "Deploy"]).out, "deploy.yml of aura/platform is disabled\n");
    let refused = watching.cuelight(&["dispatch", "deploy", "-R", REPOSITORY]);
    assert_eq!(refused.code, Some(4), "{}", refused.error);
    assert!(refused.error.contains("`cuelight workflow enable deploy.yml` lets it run"), "{}", refused.error);
    let enabled = workflow(&["enable", "deploy.yml", "--json"]);
    let enabled: Value = serde_json::from_str(&enabled.out).expect("JSON");
    assert_eq!(enabled, json!({"repository": REPOSITORY, "path": ".github/workflows/deploy.yml", "enabled": true}));
    let unknown = workflow(&["disable", "deplo"]);
    assert_eq!((unknown.code, unknown.error.contains("did you mean `deploy`?")), (Some(3), true), "{}", unknown.error);
    let nowhere = watching.cuelight(&["workflow", "list"]);
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.error);
    watching.check_stats();
}
