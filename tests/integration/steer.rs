//! Starts, changes and removes runs and workflows of a server, from the command line and from the screen.

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
    assert!(
        followed.error.contains(&format!("Started deploy.yml on develop: {REPOSITORY}/{id}")),
        "{}",
        followed.error
    );
    watching.check_stats();
}

#[test]
fn a_run_is_found_where_the_answer_to_its_dispatch_is_lost() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    for kind in ["reset_body", "reset"] {
        let fault = json!({"match": "POST .*/dispatches", "kind": kind, "count": 1});
        watching.fake.control("/_fake/faults", fault);
        let args = ["dispatch", "deploy", "-R", REPOSITORY, "--detach", "--json"];
        let sent = watching.command("ghp_full", &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let sent = sent.expect("starts");
        if kind == "reset" {
            // The request was lost. The run that another program dispatches must not be mistaken for it.
            until("the fault", || (watching.fake.value("/_fake/stats")["faults"] == 2).then_some(()));
            let body = json!({"ref": "main"}).to_string();
            let path = format!("/repos/{REPOSITORY}/actions/workflows/deploy.yml/dispatches");
            assert_eq!(watching.fake.send("POST", &path, "application/json", &body).0, 204);
        }
        let before = newest(&watching)["id"].clone();
        // The lost request counts, too.
        changed(&watching, if kind == "reset" { 3 } else { 1 });
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
    assert!(refused.error.contains("enable it with `cuelight workflow enable deploy.yml`"), "{}", refused.error);
    let enabled = workflow(&["enable", "deploy.yml", "--json"]);
    let enabled: Value = serde_json::from_str(&enabled.out).expect("JSON");
    assert_eq!(enabled, json!({"repository": REPOSITORY, "path": ".github/workflows/deploy.yml", "enabled": true}));
    let unknown = workflow(&["disable", "deplo"]);
    assert_eq!((unknown.code, unknown.error.contains("did you mean `deploy`?")), (Some(3), true), "{}", unknown.error);
    let nowhere = watching.cuelight(&["workflow", "list"]);
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.error);
    watching.check_stats();
}

/// Returns the newest run with a conclusion.
fn ended(watching: &Watching, conclusion: &str) -> String {
    let runs = watching.fake.value(&format!("/repos/{REPOSITORY}/actions/runs?per_page=50&status={conclusion}"));
    format!("{REPOSITORY}/{}", runs["workflow_runs"][0]["id"])
}

#[test]
fn what_a_token_may_not_change_is_refused_before_it_is_sent() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    let run = ended(&watching, "failure");
    let private = "not found (404)";
    let lacks = "the token lacks the permission `actions: write`";
    for (token, code, message) in [
        ("ghp_noscope", 3, private),
        ("github_pat_docs", 3, private),
        // The first refusal comes from the server. From then on, the missing right is known.
        ("github_pat_read", 4, "Resource not accessible"),
        ("github_pat_read", 4, lacks),
    ] {
        for args in [&["rerun", &run, "--detach"][..], &["delete", &run], &["delete", &run, "--logs"]] {
            let said = watching.said(token, args);
            assert_eq!(said.code, Some(code), "{token} {args:?}: {}", said.error);
            let is_known = said.error.contains(lacks);
            assert!(said.error.contains(message) || is_known, "{token} {args:?}: {}", said.error);
        }
        let said = watching.said(token, &["dispatch", "deploy", "-R", REPOSITORY]);
        assert_eq!(said.code, Some(code), "{token}: {}", said.error);
    }
    let sent = watching.fake.value("/_fake/requests");
    let sent = sent.as_array().expect("a list").iter().filter(|request| request["method"] != "GET");
    let refused: Vec<_> =
        sent.filter(|request| !request["path"].as_str().is_some_and(|path| path.contains("_fake"))).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    for token in ["ghp_full", "ghp_olu", "ghp_ines", "ghp_admin", "github_pat_write"] {
        let said = watching.said(token, &["rerun", &run, "--detach"]);
        assert_eq!(said.code, Some(0), "{token}: {}", said.error);
        watching.fake.advance(600);
    }
    let number = run.rsplit('/').next().expect("a number");
    let said = watching.cuelight(&["rerun", number, "-R", REPOSITORY, "--detach"]);
    assert!(said.code == Some(0) && said.error.contains("(re-run 6 of 50)"), "{}", said.error);
    let early = watching.cuelight(&["delete", number, "-R", REPOSITORY]);
    assert!(early.code == Some(4) && early.error.contains("the run has not ended"), "{}", early.error);
    assert_eq!(watching.cuelight(&["cancel", number, "-R", REPOSITORY]).code, Some(0));
    let several = watching.cuelight(&["rerun", "7", number, "-R", REPOSITORY]);
    assert!(several.error.contains(" of 2 run again"), "{}", several.error);
    watching.check_stats();
}

#[test]
fn runs_are_force_cancelled_and_deleted_and_several_at_once() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(30);
    let running = newest(&watching);
    let running = format!("{REPOSITORY}/{}", running["id"]);
    let early = watching.cuelight(&["delete", &running]);
    assert_eq!(early.code, Some(4), "{}", early.error);
    assert!(early.error.contains("the run has not ended"), "{}", early.error);
    assert_eq!(watching.cuelight(&["cancel", &running]).code, Some(0));
    let forced = watching.cuelight(&["cancel", &running, "--force", "--json"]);
    assert_eq!(forced.code, Some(0), "{}", forced.error);
    watching.fake.advance(60);
    let shown = watching.cuelight(&["show", &running]);
    assert!(shown.out.contains("cancelled"), "{}", shown.out);
    let journal = watching.cuelight(&["attach", &running, "--json"]).out;
    assert!(journal.contains("\"by\":\"maria\"") && journal.contains("force_cancel"), "who asked, and when: {journal}");

    let logs = watching.cuelight(&["delete", &running, "--logs"]);
    assert_eq!(logs.code, Some(0), "{}", logs.error);
    let path = format!("/repos/{running}").replace(REPOSITORY, &format!("{REPOSITORY}/actions/runs"));
    assert_eq!(watching.fake.send("GET", &format!("{path}/logs"), "application/json", "").0, 410);
    let old = ended(&watching, "success");
    let several = watching.cuelight(&["delete", &running, "aura/platform/5", &old]);
    assert_eq!(several.code, Some(3), "{}{}", several.out, several.error);
    assert!(
        several.error.contains("2 of 3 deleted") && several.error.contains("aura/platform/5: "),
        "{}",
        several.error
    );
    assert_eq!(watching.fake.send("GET", &path, "application/json", "").0, 404);
    let listed = watching.cuelight(&["runs", "-R", REPOSITORY, "--json"]).out;
    for gone in [&running, &old] {
        let number = gone.rsplit('/').next().expect("a number");
        assert!(!listed.contains(number), "{gone}");
        assert_eq!(watching.cuelight(&["show", gone]).code, Some(3));
    }
    watching.check_stats();
}

#[test]
fn caches_of_a_server_are_listed_and_deleted() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    let cache =
        |token: &str, args: &[&str]| watching.said(token, &[&["cache", "--remote", "-R", REPOSITORY], args].concat());
    let listed = cache("ghp_full", &["--json"]);
    assert_eq!(listed.code, Some(0), "{}", listed.error);
    let entries: Vec<Value> = listed.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(entries.len(), 3, "{}", listed.out);
    assert_eq!(
        (&entries[0]["key"], &entries[0]["size"]),
        (&json!("Linux-pip-3f1c"), &json!(48_230_111)),
        "{}",
        entries[0]
    );
    let refused = cache("github_pat_read", &["delete", "Linux-pip-3f1c"]);
    assert_eq!(refused.code, Some(4), "{}", refused.error);
    let unknown = cache("ghp_full", &["delete", "Linux-pip"]);
    assert_eq!(unknown.code, Some(3), "{}", unknown.error);
    assert!(
        unknown.error.contains("no cache entry `Linux-pip`; `cuelight cache --remote` lists them"),
        "{}",
        unknown.error
    );
    let deleted = cache("ghp_full", &["delete", "Linux-pip-3f1c"]);
    assert_eq!(deleted.code, Some(0), "{}", deleted.error);
    assert!(deleted.out.contains("refs/heads/main") && deleted.out.contains("1 entry deleted"), "{}", deleted.out);
    let left = cache("ghp_full", &[]);
    assert!(left.out.contains("Linux-buildx-90ab") && !left.out.contains("Linux-pip-3f1c"), "{}", left.out);
    watching.check_stats();
}

#[test]
fn the_run_of_a_fork_is_approved() {
    let Some(watching) = Watching::new("fleet-small") else { return };
    watching.fake.advance(60);
    let runs = watching.fake.value("/repos/tide/docs/actions/runs?status=action_required");
    let name = format!("tide/docs/{}", runs["workflow_runs"][0]["id"]);
    let early = watching.cuelight(&["reject", "--run", &name]);
    assert_eq!((early.code, early.error.contains("name the environments")), (Some(2), true), "{}", early.error);
    let approved = watching.cuelight(&["approve", "--run", &name]);
    assert_eq!(approved.code, Some(0), "{}", approved.error);
    assert!(approved.out.starts_with("approved the run of passerby/docs by passerby: "), "{}", approved.out);
    watching.fake.advance(300);
    let shown = watching.cuelight(&["show", &name]);
    assert!(shown.out.contains("success"), "{}", shown.out);
    let twice = watching.cuelight(&["approve", "--run", &name]);
    assert_eq!(twice.code, Some(2), "{}", twice.error);
    watching.check_stats();
}

#[test]
fn the_screen_dispatches_cancels_several_and_deletes() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    let mut terminal = watching.screen();
    terminal.wait_for("Run tests");
    terminal.press("S");
    terminal.wait_for("workflow_dispatch  (Deploy)  on aura/platform");
    terminal.press("Deploy\r");
    terminal.wait_for("Dispatch deploy.yml on aura/platform");
    terminal.press("\r");
    changed(&watching, 1);
    let before = newest(&watching)["id"].clone();
    watching.fake.advance(3);
    until("the run", || (newest(&watching)["id"] != before).then_some(()));
    terminal.wait_for("Deploy · Deploy #");
    terminal.press(",d");
    terminal.wait_for("Disable the workflow?");
    terminal.press("y");
    terminal.wait_for("is disabled");
    terminal.press("s");
    terminal.wait_for("Cancel the run?");
    terminal.press("y");
    terminal.wait_for("stopping");
    watching.fake.advance(60);
    terminal.wait_for("cancelled");
    terminal.press("1mm");
    terminal.wait_for("2 marked");
    terminal.press("d");
    terminal.wait_for("Delete the marked runs?");
    terminal.press("y");
    terminal.wait_for("2 of 2 deleted");
    terminal.press("q");
    terminal.ends_restored();
    watching.check_stats();
}
