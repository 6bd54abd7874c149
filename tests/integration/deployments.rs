//! Deployments by this machine: a repository with two environments whose replicas are files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::project::{Project, Said, until};
use crate::survival::{kill, pids};

const SETTINGS: &str = r#"
[environments.staging]
strategy = "rolling"
[environments.staging.target]
start = "./start"
stop = "./stop"
healthy = "test $DEPLOY_RELEASE != v3"
replicas = 2
[environments.staging.health]
interval = "10ms"
retries = 2

[environments.production]
on = "tag:v*"
after = ["staging"]
strategy = "blue-green"
[environments.production.target]
start = "./start"
stop = "./stop"
weight = 'echo "$DEPLOY_SLOT $DEPLOY_WEIGHT" > $LIVE/weight'
healthy = "true"
"#;

/// Waits for the file `open` if there is a file `door`.
const START: &str = r#"#!/bin/sh
if [ -e "$LIVE/door" ]; then
  echo $$ > "$LIVE/waiting"
  while [ ! -e "$LIVE/open" ]; do sleep 0.05; done
fi
for i in $(seq $DEPLOY_REPLICAS); do echo "$DEPLOY_RELEASE" > "$LIVE/$DEPLOY_ENVIRONMENT-$DEPLOY_SLOT.$i"; done
echo "started $DEPLOY_REPLICAS of $DEPLOY_RELEASE"
"#;

const STOP: &str = r#"#!/bin/sh
for file in "$LIVE/$DEPLOY_ENVIRONMENT-$DEPLOY_SLOT".*; do
  if [ "${file##*.}" -gt "$DEPLOY_KEEP" ] 2> /dev/null; then rm -f "$file"; fi
done
"#;

/// The repository, with the tags v1, v2 and v3.
struct Shop {
    project: Project,
    live: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
        project.write(".cuelight.toml", SETTINGS);
        for (name, text) in [("start", START), ("stop", STOP)] {
            project.write(name, text);
            let path = project.root().join(name);
            let done = Command::new("chmod").arg("+x").arg(path).status().expect("chmod starts");
            assert!(done.success());
        }
        for tag in ["v1", "v2", "v3"] {
            project.commit();
            project.git(&["tag", tag]);
        }
        project.call(&["trust"]).expect(0, &[]);
        Self { project, live: tempfile::tempdir().expect("a folder") }
    }

    fn call(&self, args: &[&str]) -> Said {
        let mut command = self.project.command(args);
        command.env("LIVE", self.live.path()).env("USER", "ada");
        Said(command.output().expect("the program starts"))
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.call(args);
        let out = said.out();
        serde_json::from_str(out.lines().next().unwrap_or_default()).unwrap_or_else(|_| panic!("{}", said.text()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.live.path().join(name)
    }

    /// Returns the releases of the replicas of an environment.
    fn running(&self, environment: &str) -> Vec<String> {
        let files = fs::read_dir(self.live.path()).expect("a folder").flatten();
        let of = files.filter(|file| file.file_name().to_string_lossy().starts_with(&format!("{environment}-")));
        of.map(|file| fs::read_to_string(file.path()).expect("readable").trim().to_owned()).collect()
    }

    /// Starts a deployment of v2 whose first step hangs, and kills its worker.
    fn interrupted(&self) -> String {
        self.call(&["deploy", "staging", "v1"]).expect(0, &["v1", "is live"]);
        fs::write(self.path("door"), "").expect("written");
        let run = self.call(&["deploy", "staging", "v2", "--detach"]).out().trim().to_owned();
        until("the first step runs", || self.path("waiting").exists().then_some(()));
        let workers = pids(|command| command.contains("worker") && command.contains(&run));
        assert_eq!(workers.len(), 1, "one worker");
        kill(workers[0]);
        let group: i32 = fs::read_to_string(self.path("waiting")).expect("a number").trim().parse().expect("a number");
        self.call(&["deploys"])
            .expect(0, &["interrupted", "at step 1/", "Start 1 replica of v2", "cuelight abort staging"]);
        // Of a process that has ended and is not waited for, the command line is empty.
        let command = PathBuf::from(format!("/proc/{group}/cmdline"));
        until("what the worker left is ended", || fs::read(&command).unwrap_or_default().is_empty().then_some(()));
        fs::remove_file(self.path("door")).expect("removed");
        run
    }
}

#[test]
fn a_release_goes_through_its_environments_and_back() {
    let shop = Shop::new();
    let refused = shop.call(&["deploy", "production", "v1", "--yes=production"]);
    refused.expect(4, &["has not succeeded in staging: deploy it there first with `cuelight deploy staging"]);
    let plan = shop.json(&["deploy", "production", "v1", "--plan", "--json"]);
    assert!(plan["gates"][0].as_str().expect("a gate").contains("has not succeeded in staging"), "{plan}");
    let plan = shop.json(&["deploy", "staging", "v1", "--plan", "--json"]);
    let steps: Vec<_> = plan["steps"].as_array().expect("steps").iter().map(|step| step["text"].clone()).collect();
    assert_eq!(steps, ["Start 2 replicas of v1 in blue", "Wait until blue is healthy"]);
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["started 2 of v1", "staging: v1 "]);
    let unconfirmed = shop.call(&["deploy", "production", "v1"]);
    unconfirmed.expect(2, &["production is a production environment by its name: confirm it with --yes=production"]);
    shop.call(&["deploy", "production", "v1", "--yes=production"]).expect(0, &["production: v1 ", "is live"]);
    shop.call(&["deploy", "staging", "v2"]).expect(0, &["is live"]);
    shop.call(&["deploy", "production", "v2", "--yes=production"]).expect(0, &["is live"]);
    assert_eq!(
        (shop.running("staging"), shop.running("production")),
        (vec!["v2".to_owned(); 2], vec!["v2".to_owned()])
    );
    let failed = shop.call(&["deploy", "staging", "v3"]);
    failed.expect(1, &["step 2/", "(Wait until blue is healthy) failed: bad 3 times in a row", "v2", "serves again"]);
    assert_eq!(shop.running("staging"), ["v2", "v2"]);
    shop.call(&["rollback", "production", "--yes=production"]).expect(0, &["production: v1 "]);
    assert_eq!(shop.running("production"), ["v1"]);
    let live = shop.json(&["env", "production", "--json"]);
    assert_eq!((&live["live"]["tag"], &live["source"]), (&"v1".into(), &"local".into()));
    shop.call(&["env"]).expect(0, &["staging", "v2", "production", "v1", "only tag:v*"]);
    shop.call(&["deploys", "staging"]).expect(0, &["rolled back", "live"]);
    let audit = shop.call(&["audit", "--csv"]).out();
    let rows: Vec<_> =
        audit.lines().map(|line| line.split(',').skip(3).take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[0], "environment action");
    assert!(
        rows.ends_with(&[
            "staging rolled back".to_owned(),
            "production requested rollback".to_owned(),
            "production began".to_owned(),
            "production succeeded".to_owned(),
        ]),
        "{rows:?}"
    );
}

#[test]
fn a_locked_environment_is_deployed_to_only_by_an_override() {
    let shop = Shop::new();
    shop.call(&["lock", "staging", "--reason", "migration"]).expect(0, &["staging is locked"]);
    shop.call(&["lock", "staging", "--reason", "again"]).expect(4, &["is already locked by ada@", "migration"]);
    let refused = shop.call(&["deploy", "staging", "v1"]);
    refused.expect(4, &["locked by ada@", "migration; `cuelight unlock staging` opens it"]);
    shop.call(&["deploy", "staging", "v1", "--override"]).expect(2, &["--reason"]);
    shop.call(&["deploy", "staging", "v1", "--override", "--reason", "hotfix"]).expect(0, &["is live"]);
    shop.call(&["audit"]).expect(0, &["overrode the rules: hotfix", "locked: migration"]);
    shop.call(&["unlock", "staging"]).expect(0, &["staging is unlocked"]);
    shop.call(&["unlock", "staging"]).expect(4, &["staging is not locked"]);
    shop.call(&["deploy", "stagin", "v1"]).expect(3, &["no environment `stagin`", "did you mean `staging`?"]);
    shop.call(&["deploy", "staging", "v9"]).expect(3, &["`v9` is not a tag, branch or commit"]);
    shop.call(&["promote", "staging"]).expect(3, &["no deployment to staging is in progress"]);
}

#[test]
fn a_deployment_whose_worker_is_killed_is_resumed() {
    let shop = Shop::new();
    let run = shop.interrupted();
    shop.call(&["resume", &run]).expect(0, &[]);
    assert_eq!(shop.running("staging"), ["v2", "v2"]);
    assert_eq!(shop.json(&["env", "staging", "--json"])["live"]["tag"], "v2");
    shop.call(&["rerun", &run]).expect(4, &["a deployment does not run again"]);
}

#[test]
fn a_deployment_whose_worker_is_killed_is_aborted() {
    let shop = Shop::new();
    shop.interrupted();
    shop.call(&["abort", "staging", "--reason", "not tonight"])
        .expect(0, &["aborted after an interruption: not tonight"]);
    assert_eq!(shop.running("staging"), ["v1", "v1"]);
    assert_eq!(shop.json(&["env", "staging", "--json"])["live"]["tag"], "v1");
    shop.call(&["deploy", "staging", "v2"]).expect(0, &["is live"]);
}

#[test]
fn what_a_repository_deploys_with_is_trusted_first() {
    let shop = Shop::new();
    let other = SETTINGS.replace("healthy = \"true\"", "healthy = \"true; echo changed\"");
    shop.project.write(".cuelight.toml", &other);
    let refused = shop.call(&["deploy", "staging", "v1"]);
    refused.expect(4, &["its .cuelight.toml has changed since it was trusted"]);
    assert!(shop.running("staging").is_empty());
    shop.project.write(".cuelight.toml", "[environments.a]\nstrategi = 'rolling'\n");
    shop.call(&["deploy", "a"]).expect(2, &[".cuelight.toml:", "environments.a"]);
}

#[test]
fn after_an_interruption_nothing_is_called_live_and_a_later_deployment_closes_it() {
    let shop = Shop::new();
    let run = shop.interrupted();
    shop.call(&["env", "staging"]).expect(0, &["not known what serves: the deployment of v2 "]);
    shop.call(&["rollback", "staging", "--yes=staging"])
        .expect(3, &["not known what serves", "`cuelight deploy staging v1 "]);
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["staging: v1 ", "is live"]);
    let running = shop.running("staging");
    shop.call(&["abort", "staging"]).expect(3, &["no deployment to staging is in progress"]);
    let resumed = shop.call(&["resume", &run]);
    assert!(resumed.text().contains("a later deployment, of v1 "), "{}", resumed.text());
    assert_eq!(shop.running("staging"), running, "nothing is touched");
    shop.call(&["env", "staging"]).expect(0, &["live: v1 "]);
}
