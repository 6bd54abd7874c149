//! `env` against the fake server: rules, what is live, deployments, environments that the settings find in runs, and
//! what a token may not see.

use serde_json::{Value, json};

use crate::servers::Watching;

const REPOSITORY: &str = "aura/platform";

fn document(watching: &Watching, token: &str, args: &[&str]) -> Value {
    let said = watching.said(token, &[&["env", "-R", REPOSITORY, "--json"], args].concat());
    assert_eq!(said.code, Some(0), "{}", said.error);
    serde_json::from_str(&said.out).expect("JSON")
}

fn of<'v>(environments: &'v Value, name: &str) -> &'v Value {
    let all = environments.as_array().expect("a list");
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {environments}"))
}

#[test]
fn what_is_live_is_what_was_observed_to_succeed() {
    let Some(watching) = Watching::new("deploy-rollback") else { return };
    watching.fake.advance(90);
    // 1.4.2 waits for a review of production, so 1.4.1 is live.
    let all = document(&watching, "ghp_full", &[]);
    let (staging, production) = (of(&all, "staging"), of(&all, "production"));
    assert_eq!((&staging["live"]["tag"], &staging["pending"]), (&json!("v1.4.2"), &Value::Null));
    assert_eq!(staging["drift"], json!({"branch": "main", "behind": 0, "ahead": 0}));
    assert_eq!((&production["live"]["tag"], &production["live"]["creator"]), (&json!("v1.4.1"), &json!("ines")));
    assert_eq!((&production["pending"]["tag"], &production["pending"]["state"]), (&json!("v1.4.2"), &json!("pending")));
    assert_eq!(production["drift"]["behind"], 8);
    assert_eq!(of(&all, "development")["live"], Value::Null);
    assert_eq!(of(&all, "canary")["protection"]["apps"], json!(["health-gate"]));
    let shown = watching.cuelight(&["env", "-R", REPOSITORY]);
    assert_eq!(shown.code, Some(0), "{}", shown.error);
    for part in ["v1.4.1 ", "h  ines", "8 behind", "review by maria, olu; only main v*", "nothing live", "health-gate"]
    {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let run = production["pending"]["run"].as_u64().expect("a run");
    let approve = format!("cuelight approve production --run {REPOSITORY}/{run}");
    assert!(shown.out.contains(&approve), "{}", shown.out);

    // The health check of 1.4.2 fails, so it is not live, and 1.4.1 still is.
    watching.fake.control("/_fake/do", json!({"do": "approve", "environment": "production", "user": "maria"}));
    watching.fake.advance(120);
    let one = document(&watching, "ghp_full", &["Production"]);
    assert_eq!((&one["live"]["tag"], &one["pending"]["state"]), (&json!("v1.4.1"), &json!("failure")));
    let states: Vec<&str> =
        one["deployments"].as_array().expect("deployments").iter().filter_map(|one| one["state"].as_str()).collect();
    assert_eq!(states, ["failure", "success", "inactive"]);
    assert_eq!(one["deployments"][2]["succeeded"], true);
    let shown = watching.cuelight(&["env", "production", "-R", REPOSITORY, "-n", "2"]);
    for part in [
        "production  aura/platform\n",
        "by ines, 8 commits behind main\n",
        "rule: only main, v* may deploy\n",
        "rule: review by one of maria, olu, but not by the user who started the run\n",
        "v1.4.2 d92af2e  failed ",
        "v1.4.1 9093b37  live ",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(!shown.out.contains("v1.4.0"), "{}", shown.out);
    let unknown = watching.cuelight(&["env", "prodction", "-R", REPOSITORY]);
    assert_eq!(unknown.code, Some(3), "{}", unknown.error);
    assert!(unknown.error.contains("no environment `prodction`; did you mean `production`?"), "{}", unknown.error);
    watching.check_stats();
    // Unchanged data is requested conditionally, or not at all.
    let before = watching.fake.value("/_fake/stats")["not_modified"].as_u64();
    document(&watching, "ghp_full", &[]);
    assert!(watching.fake.value("/_fake/stats")["not_modified"].as_u64() > before);
}

#[test]
fn deployments_that_no_server_records_are_found_in_runs() {
    let Some(watching) = Watching::new("deploy-rollback") else { return };
    watching.fake.advance(30);
    let api = &watching.fake.api;
    watching.project.configure(&format!(
        "[github]\napi_url = \"http://{api}\"\n\
         [github.environments.\"eu\"]\nworkflow = \"deploy.yml\"\nref = \"v*|main\"\njob = \"image\"\n\
         [github.environments.elsewhere]\nworkflow = \"none.yml\"\n\
         [github.environments.releases]\nworkflow = \"deploy.yml\"\nref = \"v*\"\n"
    ));
    let all = document(&watching, "ghp_full", &[]);
    let eu = of(&all, "eu");
    assert_eq!(eu["source"], json!({"runs": {"workflow": "deploy.yml"}}));
    assert_eq!((&eu["live"]["tag"], &eu["deployments"][1]["state"]), (&json!("v1.4.2"), &json!("inactive")));
    assert!(!all.to_string().contains("elsewhere"), "{all}");
    assert!(!all.to_string().contains("releases"), "no run of a tag: {all}");
    let shown = watching.cuelight(&["env", "eu", "-R", REPOSITORY]);
    assert!(shown.out.contains("taken from the runs of deploy.yml, as configured"), "{}", shown.out);
    watching.project.configure("[github.environments.eu]\nbranch = \"main\"\n");
    let wrong = watching.cuelight(&["env"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.error);
    assert!(
        wrong.error.contains("config.toml:2:1: unknown setting `github.environments.eu.branch`"),
        "{}",
        wrong.error
    );
}

#[test]
fn what_a_token_may_not_see_is_said() {
    let Some(watching) = Watching::new("deploy-approval") else { return };
    watching.fake.advance(60);
    let readable = document(&watching, "github_pat_read", &[]);
    assert_eq!(of(&readable, "production")["live"]["tag"], "v1.4.1");
    let private = watching.said("ghp_noscope", &["env", "-R", REPOSITORY]);
    assert_eq!(private.code, Some(3), "{} {}", private.out, private.error);
    let denied = json!({"match": "/deployments", "kind": "status", "status": 403});
    watching.fake.control("/_fake/faults", denied);
    let all = document(&watching, "ghp_olu", &["production"]);
    assert!(all["unknown"].as_str().is_some_and(|why| why.contains("not allowed (403)")), "{all}");
    let shown = watching.said("ghp_olu", &["env", "-R", REPOSITORY]);
    assert!(shown.out.contains("unknown") && !shown.out.contains("v1.4"), "{}", shown.out);
    let empty = watching.cuelight(&["env", "-R", "aura/docs"]);
    assert_eq!((empty.code, empty.out.as_str()), (Some(0), "aura/docs has no environments\n"), "{}", empty.error);
    let nowhere = watching.cuelight(&["env"]);
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.error);
    let Watching { fake, project } = watching;
    drop(fake);
    let mut gone = project.command(&["env", "-R", REPOSITORY]);
    let gone = gone.env("GH_TOKEN", "ghp_full").output().expect("starts");
    assert_eq!(gone.status.code(), Some(5), "{}", String::from_utf8_lossy(&gone.stderr));
}
