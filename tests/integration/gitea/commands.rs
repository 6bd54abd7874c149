//! Runs of every kind on the command line.

use serde_json::{Value, json};

use crate::project::until;
use crate::servers::Said;

use super::{REPOSITORY, Rig, name, part, statuses};

#[test]
fn runs_of_every_kind_are_listed_followed_and_shown() {
    let Some(rig) = Rig::start() else { return };
    let listed = rig.expect(0, &["runs", "-R", REPOSITORY]);
    assert!(listed.lines().count() >= 13 && listed.contains("Fix the answer"), "{listed}");
    let dispatch = |workflow| ["dispatch", workflow, "-R", REPOSITORY];

    part(&rig.expect(0, &dispatch("quick.yml")), "✓ success in");
    let quick = rig.newest();
    assert_eq!((&quick["status"], &quick["remote"]["workflow"]), (&json!("success"), &json!("Quick")), "{quick}");
    let quick = rig.show(&name(&quick));
    assert_eq!(statuses(&quick), [("Lint", "success"), ("Test", "success"), ("Build", "success")]);
    let needs: Vec<&Value> = quick["jobs"].as_array().expect("jobs").iter().map(|job| &job["needs"]).collect();
    assert_eq!(needs, [&json!([]), &json!(["lint"]), &json!(["lint", "test"])], "its workflow file is found");
    part(&rig.expect(0, &["logs", "latest", "-R", REPOSITORY, "--job", "test"]), "test 5 ... ok\n");
    part(&rig.expect(0, &["artifacts", &name(&rig.newest())]), "dist");

    part(&rig.expect(0, &dispatch("matrix.yml")), "✓ success in");
    let matrix = rig.show(&name(&rig.newest()));
    assert_eq!(statuses(&matrix).len(), 9, "{matrix}");
    assert!(statuses(&matrix).contains(&("test (macos, 3.12)", "success")), "{matrix}");

    part(&rig.expect(0, &dispatch("wide.yml")), "✓ success in");
    let run = name(&rig.newest());
    let wide = rig.show(&run);
    let all: Vec<String> = (1..=60).map(|number| format!("shard ({number})")).collect();
    assert_eq!(statuses(&wide), all.iter().map(|shard| (shard.as_str(), "success")).collect::<Vec<_>>());
    part(&rig.expect(0, &["logs", &run, "--job", "shard (60)"]), "\nshard 60\n");

    part(&rig.expect(1, &dispatch("failing.yml")), "✗ failure in");
    let run = name(&rig.newest());
    let failing = rig.show(&run);
    let flaky = "Flaky (green from the second attempt)";
    let ended =
        [("good", "success"), ("bad", "failure"), (flaky, "failure"), ("after", "skipped"), ("notify", "success")];
    let found = statuses(&failing);
    assert!(found.len() == 5 && ended.iter().all(|job| found.contains(job)), "{found:?}");
    let failed = rig.expect(0, &["logs", &run, "--failed"]);
    assert!(failed.contains("Error: deliberate") && !failed.contains("fine"), "{failed}");
}

#[test]
fn the_log_of_a_running_job_is_followed() {
    let Some(rig) = Rig::start() else { return };
    let long = rig.expect(0, &["dispatch", "long.yml", "-R", REPOSITORY, "--input", "seconds=15"]);
    assert!(part(&long, "tick 1 of 15") < part(&long, "✓ Count"), "it grows while the step runs: {long}");
    assert!(part(&long, "tick 15 of 15") < part(&long, "✓ Next"), "{long}");
    assert!(!long.contains("protection rules"), "{long}");
    let ticks = long.lines().filter(|line| line.contains("tick ")).count();
    // The command that is printed before the output also has the word.
    assert_eq!(ticks, 16, "each line is there once: {long}");

    let run = rig.dispatch("long.yml", &["seconds=6"]);
    let following = [rig.follow(&run), rig.follow(&run)].map(|follower| follower.wait_with_output().expect("ends"));
    for said in following.map(Said::from) {
        assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
        assert!(part(&said.out, "tick 1 of 6") < part(&said.out, "✓ success in"), "{}", said.out);
    }
    let logs = rig.expect(0, &["logs", &run, "--job", "slow"]);
    assert!(part(&logs, "tick 1 of 6") < part(&logs, "tidy, success"), "{logs}");
}

#[test]
fn a_workflow_is_dispatched_with_checked_inputs() {
    let Some(rig) = Rig::start() else { return };
    let dispatch = |inputs: &[&'static str]| {
        let inputs = inputs.iter().flat_map(|input| ["--input", *input]);
        ["dispatch", "dispatch.yml", "-R", REPOSITORY].into_iter().chain(inputs).collect::<Vec<_>>()
    };
    let before = rig.requests("/dispatches");
    // The server would take all of these.
    part(&rig.expect(2, &dispatch(&["environment=production"])), "the input `version` is required");
    let choice = "must be one of staging, production, not `moon`";
    part(&rig.expect(2, &dispatch(&["version=v9", "environment=moon"])), choice);
    part(&rig.expect(2, &dispatch(&["version=v9", "enviroment=staging"])), "did you mean `environment`?");
    part(&rig.expect(4, &["dispatch", "ci.yml", "-R", REPOSITORY]), "has no `workflow_dispatch` among its events");
    assert_eq!(rig.requests("/dispatches"), before, "nothing was sent");
    let good = rig.expect(0, &dispatch(&["version=v9", "environment=production", "dry_run=false"]));
    part(&good, "Deploy v9 to production");
    part(&good, "version=v9 env=production dry=false");
    part(&rig.expect(1, &dispatch(&["version=v10", "fail=true"])), "✗ failure in");
    let workflow = |what, code| rig.expect(code, &["workflow", what, "dispatch.yml", "-R", REPOSITORY]);
    part(&workflow("disable", 0), "is disabled");
    part(&rig.expect(4, &dispatch(&["version=v9"])), "enable it with `cuelight workflow enable dispatch.yml`");
    part(&workflow("enable", 0), "is enabled");
    let tag = rig.expect(0, &[&dispatch(&["version=v11"])[..], &["--ref", "v1.0.0"]].concat());
    part(&tag, "Deploy v11 to staging");
}

#[test]
fn a_job_without_a_runner_is_explained() {
    let Some(rig) = Rig::start() else { return };
    let stuck = rig.dispatch("stuck.yml", &[]);
    let why = rig.expect(0, &["explain", &stuck]);
    part(&why, "gpu  waits for a runner with self-hosted, gpu: no runner of the repository has these labels");
    assert!(!why.contains("cuelight cancel"), "the server has none: {why}");
    part(&rig.expect(0, &["runs", "-R", REPOSITORY]), "waits for a runner");
    assert_eq!(statuses(&rig.show(&stuck)), [("gpu", "queued")]);
    let before = rig.requests("/cancel");
    part(&rig.expect(4, &["cancel", &stuck]), "Gitea's API cannot cancel runs");
    assert_eq!(rig.requests("/cancel"), before, "it is not asked");
    part(&rig.expect(4, &["delete", &stuck]), "the run has not ended");
    part(&rig.expect(4, &["rerun", &stuck, "--detach"]), "the run has not ended");
}

#[test]
fn runs_are_repeated_and_deleted() {
    let Some(rig) = Rig::start() else { return };
    part(&rig.expect(1, &["dispatch", "failing.yml", "-R", REPOSITORY]), "✗ failure in");
    let failing = name(&rig.newest());
    part(&rig.expect(1, &["rerun", &failing, "--failed"]), "attempt 2");
    let shown = rig.show(&failing);
    let flaky = "Flaky (green from the second attempt)";
    assert!(shown["attempt"] == 2 && statuses(&shown).contains(&(flaky, "success")), "{shown}");
    part(&rig.expect(1, &["rerun", &failing, "--job", "bad"]), "attempt 3");
    // Its jobs now have different numbers of starts, but belong to one attempt.
    part(&rig.expect(1, &["rerun", &failing]), "attempt 4");
    let shown = rig.show(&failing);
    assert!(shown["attempt"] == 4 && statuses(&shown).contains(&("good", "success")), "{shown}");
    let before = rig.requests("/rerun");
    part(&rig.expect(4, &["rerun", &failing, "--debug", "--detach"]), "Gitea's API does not offer this");
    assert_eq!(rig.requests("/rerun"), before, "the server would ignore it");

    // A job that waits to be repeated does not have the result of the last attempt.
    let long = rig.dispatch("long.yml", &["seconds=6"]);
    until("the end", || (rig.show(&long)["status"] == "success").then_some(()));
    rig.expect(0, &["rerun", &long, "--detach"]);
    let repeated = until("its second attempt", || Some(rig.show(&long)).filter(|run| run["status"] == "in_progress"));
    assert_eq!(repeated["attempt"], 2, "{repeated}");
    assert_eq!(statuses(&repeated), [("Slow", "in_progress"), ("Next", "waiting")], "{repeated}");
    part(&rig.expect(4, &["delete", &long]), "the run has not ended");
    until("the end", || (rig.show(&long)["status"] == "success").then_some(()));
    part(&rig.expect(0, &["logs", &long, "--job", "slow"]), "attempt 2, runner: rig-runner");

    let deleted = rig.expect(0, &["delete", &long, &failing]);
    assert_eq!(deleted.matches(" is deleted: ").count(), 2, "{deleted}");
    for gone in [&long, &failing] {
        part(&rig.expect(3, &["show", gone]), "404");
        part(&rig.expect(3, &["delete", gone]), "404");
    }
    let listed = rig.expect(0, &["runs", "-R", REPOSITORY, "--json"]);
    assert!(!listed.contains("\"Long\"") && !listed.contains("\"attempt\":4"), "{listed}");
}
