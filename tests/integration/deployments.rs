//! Deployments by this machine: a repository with two environments whose replicas are files.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use portable_pty::CommandBuilder;
use serde_json::Value;

use crate::project::{Project, Said, git, until, write_program};
use crate::survival::{kill, worker_of};

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

[environments.live]
strategy = "canary"
canary.steps = ["50%", "pause"]
[environments.live.target]
start = "./start"
stop = "./stop"
weight = 'echo "$DEPLOY_SLOT $DEPLOY_WEIGHT" > $LIVE/weight'
healthy = "true"

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

/// Script that starts replicas. It waits for the file `open` if there is a file `door`.
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

/// Returns the settings with further lines for an environment.
fn settings_with(environment: &str, lines: &str) -> String {
    let heading = format!("[environments.{environment}]\n");
    SETTINGS.replace(&heading, &format!("{heading}{lines}\n"))
}

/// The repository, with the tags v1, v2 and v3.
pub(crate) struct Shop {
    pub(crate) project: Project,
    live: tempfile::TempDir,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
        project.write(".cuelight.toml", SETTINGS);
        for (name, text) in [("start", START), ("stop", STOP)] {
            write_program(&project.root().join(name), text);
        }
        for tag in ["v1", "v2", "v3"] {
            project.commit();
            project.git(&["tag", tag]);
        }
        project.call(&["trust"]).expect(0, &[]);
        Self { project, live: tempfile::tempdir().expect("a folder") }
    }

    /// Replaces the settings, and trusts them.
    pub(crate) fn configure(&self, settings: &str) {
        self.project.write(".cuelight.toml", settings);
        self.project.call(&["trust"]).expect(0, &[]);
    }

    /// Returns a command of the user `ada`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("LIVE", self.live.path()).env("USER", "ada");
        command
    }

    pub(crate) fn call(&self, args: &[&str]) -> Said {
        Said(self.command(args).output().expect("the program starts"))
    }

    /// Returns the command that shows the screen.
    pub(crate) fn in_terminal(&self, args: &[&str]) -> CommandBuilder {
        let mut command = self.project.in_terminal(args);
        command.env("LIVE", self.live.path());
        command.env("USER", "ada");
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.call(args);
        let out = said.out();
        serde_json::from_str(out.lines().next().unwrap_or_default()).unwrap_or_else(|_| panic!("{}", said.text()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.live.path().join(name)
    }

    /// Returns the releases of the replicas of an environment.
    pub(crate) fn running(&self, environment: &str) -> Vec<String> {
        let files = fs::read_dir(self.live.path()).expect("a folder").flatten();
        let of = files.filter(|file| file.file_name().to_string_lossy().starts_with(&format!("{environment}-")));
        // A deployment that goes on removes replicas after they are listed.
        let release = |file: fs::DirEntry| match fs::read_to_string(file.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            read => Some(read.expect("readable").trim().to_owned()),
        };
        of.filter_map(release).collect()
    }

    /// Starts a deployment of v2 whose first step hangs, and kills its worker.
    fn interrupted(&self) -> String {
        self.call(&["deploy", "staging", "v1"]).expect(0, &["v1", "is live"]);
        self.interrupted_in("staging")
    }

    fn interrupted_in(&self, environment: &str) -> String {
        fs::write(self.path("door"), "").expect("written");
        let yes = format!("--yes={environment}");
        let run = self.call(&["deploy", environment, "v2", &yes, "--detach"]).out().trim().to_owned();
        // The file is empty for a moment.
        let number = || fs::read_to_string(self.path("waiting")).ok()?.trim().parse::<i32>().ok();
        let group = until("the first step runs", number);
        kill(worker_of(&run));
        let abort = format!("cuelight abort {environment}");
        self.call(&["deploys"]).expect(0, &["interrupted", "at step 1/", "Start 1 replica of v2 in green", &abort]);
        // The command line of a process that has ended but was not awaited is empty.
        let command = PathBuf::from(format!("/proc/{group}/cmdline"));
        until("what the worker left is ended", || fs::read(&command).unwrap_or_default().is_empty().then_some(()));
        fs::remove_file(self.path("door")).expect("removed");
        run
    }

    /// Deploys v1 to the canary environment, and v2 up to its pause. Returns the run of the canary.
    fn canary(&self) -> String {
        self.call(&["deploy", "live", "v1"]).expect(0, &["v1", "is live"]);
        let run = self.call(&["deploy", "live", "v2", "--detach"]).out().trim().to_owned();
        until("the canary waits", || {
            self.call(&["deploys", "live"]).out().contains("Wait for `cuelight promote`").then_some(())
        });
        assert_eq!(self.running("live").len(), 2, "both releases run");
        run
    }

    /// Returns the file of the ledger.
    fn ledger(&self) -> PathBuf {
        let files = fs::read_dir(self.project.state().join("environments")).expect("a folder").flatten();
        let mut ledgers =
            files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
        ledgers.next().expect("a ledger")
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
    failed.expect(
        1,
        &["step 2/", "(Wait until blue is healthy) failed: the check failed 3 times in a row", "v2", "serves again"],
    );
    assert_eq!(shop.running("staging"), ["v2", "v2"]);
    shop.call(&["rollback", "produktion"]).expect(3, &["no environment `produktion`", "did you mean `production`?"]);
    shop.call(&["rollback"]).expect(2, &["<ENV>", "The environments of this repository: staging, live, production"]);
    let asked = shop.call(&["rollback", "production"]);
    asked.expect(2, &["Undone: 1 commit", "Send 100 % of the traffic to", "confirm it with --yes=production"]);
    let reason = "--reason=errors at checkout";
    shop.call(&["rollback", "production", "--yes=production", reason]).expect(0, &["production: v1 "]);
    assert_eq!(shop.running("production"), ["v1"]);
    let live = shop.json(&["env", "production", "--json"]);
    assert_eq!((&live["live"]["tag"], &live["source"]), (&"v1".into(), &"local".into()));
    assert_eq!(
        (&live["live"]["rollback"], &live["live"]["request_reason"]),
        (&true.into(), &"errors at checkout".into())
    );
    // The reason is not lost once the rollback has succeeded.
    let page = shop.call(&["env", "production"]);
    page.expect(0, &["rollback by ada", "rollback: errors at checkout", "was live"]);
    shop.call(&["deploys", "production"]).expect(0, &["rollback: errors at checkout", "was live"]);
    let listed = shop.json(&["deploys", "production", "--json"]);
    let reasons = (&listed["cause"], &listed["request_reason"], &listed["reason"]);
    assert_eq!(reasons, (&"rollback".into(), &"errors at checkout".into(), &"".into()));
    shop.call(&["env"]).expect(0, &["staging", "v2", "production", "v1", "only tag:v*"]);
    shop.call(&["deploys", "staging"]).expect(0, &["rolled back", "live"]);
    let sentences = shop.call(&["env", "--linear"]);
    sentences.expect(0, &["\nproduction: v1 ", " is live, "]);
    assert!(sentences.out().is_ascii() && !sentences.out().contains("  "), "{}", sentences.text());
    shop.call(&["deploys", "staging", "--linear"]).expect(0, &["staging: v2 ", " is live, ", " was rolled back, "]);
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
fn the_page_of_an_environment_has_what_would_be_next_and_the_commits_of_each_deployment() {
    let shop = Shop::new();
    for tag in ["v1", "v2"] {
        shop.call(&["deploy", "staging", tag]).expect(0, &["is live"]);
    }
    shop.call(&["deploy", "production", "v1", "--yes=production"]).expect(0, &["is live"]);
    let page = shop.call(&["env", "production"]);
    page.expect(0, &["live: v1 ", "next: v2 ", " from staging: 1 commit is new", "rule: only tag:v* may deploy"]);
    let page = shop.json(&["env", "production", "--json"]);
    assert_eq!((&page["next"]["release"]["tag"], &page["next"]["changes"]["count"]), (&"v2".into(), &1.into()));
    let page = shop.json(&["env", "staging", "--json"]);
    assert_eq!((&page["commits"][0]["changes"]["count"], &page["needed"]), (&1.into(), &Value::Array(Vec::new())));
    shop.call(&["env", "staging"]).expect(0, &["1 commit is new:"]);
}

#[test]
fn env_has_the_difference_the_health_and_the_former_release_as_the_screen_does() {
    let shop = Shop::new();
    let status = "[environments.staging.target]\nstatus = 'cat $LIVE/status'\n";
    let settings = settings_with("production", "keep_old = '1h'");
    shop.configure(&settings);
    for tag in ["v1", "v2"] {
        shop.call(&["deploy", "staging", tag]).expect(0, &["is live"]);
        shop.call(&["deploy", "production", tag, "--yes=production"]).expect(0, &["is live"]);
    }
    shop.configure(&settings.replace("[environments.staging.target]\n", status));
    let sha = git(&shop.project.root(), &["rev-parse", "v2"]);
    fs::write(shop.path("status"), format!("green {} 2 1 100\n", sha.trim())).expect("written");
    let is_kept = "still runs, kept for ";
    shop.call(&["env"]).expect(0, &["same as staging", "1/2 healthy", is_kept, "a rollback to it is instant"]);
    shop.call(&["env", "staging"]).expect(0, &["1/2 healthy", ", 1 commit behind "]);
    let page = shop.json(&["env", "production", "--json"]);
    assert!(page["kept"].as_str().is_some_and(|kept| kept.contains(is_kept)), "{page}");
    assert_eq!(page["drift"]["behind"], 0);
    let sign = || {
        let all = shop.call(&["env"]).out();
        let row = all.lines().find(|line| line.contains(" staging ")).unwrap_or_else(|| panic!("{all}"));
        row.chars().next().expect("a sign")
    };
    assert_eq!(sign(), '!');
    // The service is down: no replica is left, or none of those that are left serves.
    for down in ["", "green {} 2 0 0\n"] {
        fs::write(shop.path("status"), down.replace("{}", sha.trim())).expect("written");
        shop.call(&["env"]).expect(0, &["0/2 healthy"]);
        shop.call(&["env", "staging"]).expect(0, &["0/2 healthy"]);
        assert_eq!(sign(), '✗');
    }
    fs::remove_file(shop.path("status")).expect("removed");
    shop.call(&["env"]).expect(0, &["its target reports nothing: "]);
    assert_eq!(sign(), '!');
    let page = shop.json(&["env", "staging", "--json"]);
    assert!(page["health"].is_null() && page["no_report"].is_string(), "{page}");
    // A repeated promotion does not cost the way back.
    let refusal = "`cuelight promote production --stop-kept` would stop the former release";
    for args in [&["promote", "production"][..], &["promote", "production", "--full"]] {
        shop.call(args).expect(4, &["v2 ", "is live already", refusal]);
    }
    assert!(shop.json(&["env", "production", "--json"])["kept"].is_string());
    shop.call(&["promote", "production", "--stop-kept"]).expect(0, &["is live", "no longer instant"]);
}

#[test]
fn a_deployment_says_which_release_it_replaces_as_the_target_reports_it() {
    let shop = Shop::new();
    for tag in ["v1", "v2"] {
        shop.call(&["deploy", "staging", tag]).expect(0, &["is live"]);
    }
    let status = "[environments.staging.target]\nstatus = 'cat $LIVE/status'\n";
    shop.configure(&SETTINGS.replace("[environments.staging.target]\n", status));
    let sha = git(&shop.project.root(), &["rev-parse", "v1"]);
    fs::write(shop.path("status"), format!("blue {} 2 2 100\n", sha.trim())).expect("written");
    // Its health check fails.
    let said = shop.call(&["deploy", "staging", "v3"]).text();
    for part in ["staging: v1 ", " → v3 ", "note: recorded v2 ", ", but v1 "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    fs::remove_file(shop.path("status")).expect("removed");
    let said = shop.call(&["deploy", "staging", "v3"]).text();
    for part in ["staging: unknown → v3 ", "note: cannot determine what is running: ", "; v2 ", " is recorded as live"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_rollback_is_from_the_release_that_the_target_runs() {
    let shop = Shop::new();
    for tag in ["v1", "v2"] {
        shop.call(&["deploy", "staging", tag]).expect(0, &["is live"]);
    }
    let status = "[environments.staging.target]\nstatus = 'cat $LIVE/status'\n";
    shop.configure(&SETTINGS.replace("[environments.staging.target]\n", status));
    let sha = git(&shop.project.root(), &["rev-parse", "v3"]);
    fs::write(shop.path("status"), format!("blue {} 2 2 100\n", sha.trim())).expect("written");
    for args in [&["rollback", "staging", "--from", "v3"][..], &["rollback", "staging", "--to", "v2"]] {
        let said = shop.call(args);
        said.expect(2, &["staging: v3 ", " → v2 ", "recorded v2 ", ", but v3 ", "confirm it with --yes=staging"]);
    }
    shop.call(&["rollback", "staging", "--from", "v2"]).expect(4, &["`v2` is not in staging: v3 "]);
    shop.call(&["rollback", "staging", "--to", "v3"]).expect(4, &["is already live in staging"]);
}

#[test]
fn a_server_that_cannot_record_deployments_is_said_before_one_is_made() {
    let shop = Shop::new();
    shop.configure(&settings_with("staging", "record = 'github'"));
    let note = "deployments to staging cannot be recorded on GitHub";
    shop.call(&["env", "staging"]).expect(0, &["note: ", note]);
    assert!(!shop.call(&["env"]).text().contains(note), "each environment would be asked about, one after another");
}

#[test]
fn only_the_target_of_the_environment_that_is_shown_is_asked() {
    let shop = Shop::new();
    let asked = |name: &str| format!("[environments.{name}.target]\nstatus = 'touch $LIVE/asked-{name}'\n");
    let settings = ["staging", "production"].into_iter().fold(SETTINGS.to_owned(), |settings, name| {
        settings.replace(&format!("[environments.{name}.target]\n"), &asked(name))
    });
    shop.configure(&settings);
    shop.call(&["env", "staging"]).expect(0, &["staging"]);
    assert!(shop.path("asked-staging").exists() && !shop.path("asked-production").exists());
    fs::remove_file(shop.path("asked-staging")).expect("removed");
    // An environment that is at most on a server.
    shop.call(&["env", "elsewhere"]);
    assert!(!shop.path("asked-staging").exists() && !shop.path("asked-production").exists());
    shop.call(&["env"]).expect(0, &["production"]);
    assert!(shop.path("asked-production").exists());
}

#[test]
fn a_locked_environment_is_deployed_to_only_by_an_override() {
    let shop = Shop::new();
    shop.call(&["lock", "staging", "--reason", "migration"]).expect(0, &["staging is locked"]);
    shop.call(&["lock", "staging", "--reason", "again"]).expect(4, &["is already locked by ada@", "migration"]);
    let refused = shop.call(&["deploy", "staging", "v1"]);
    refused.expect(4, &["locked by ada@", "migration; `cuelight unlock staging` opens it"]);
    refused.expect(4, &["in an emergency, `cuelight deploy staging v1 --override --reason TEXT` deploys nevertheless"]);
    shop.call(&["deploy", "staging", "v1", "--override"]).expect(2, &["--reason"]);
    shop.call(&["deploy", "staging", "v1", "--override", "--reason", "hotfix"]).expect(0, &["is live"]);
    shop.call(&["audit"]).expect(0, &["overrode the rules: hotfix", "locked: migration"]);
    shop.call(&["deploys"]).expect(0, &["rules overridden: hotfix"]);
    shop.call(&["unlock", "staging"]).expect(0, &["staging is unlocked"]);
    shop.call(&["unlock", "staging"]).expect(4, &["staging is not locked"]);
    shop.call(&["deploy", "stagin", "v1"]).expect(3, &["no environment `stagin`", "did you mean `staging`?"]);
    let unknown = shop.call(&["env", "stagin"]);
    unknown.expect(3, &["no environment `stagin` in .cuelight.toml", "did you mean `staging`?"]);
    assert!(!unknown.text().contains("there are no environment"), "{}", unknown.text());
    shop.call(&["deploy", "staging", "v9"]).expect(3, &["`v9` is not a tag, branch or commit"]);
    shop.call(&["promote", "staging"]).expect(3, &["no deployment to staging is in progress"]);
}

#[test]
fn a_lock_with_an_end_says_when_it_ends_and_ends_by_itself() {
    let shop = Shop::new();
    let lock = |until: &str| shop.call(&["lock", "staging", "--reason", "migration", "--until", until]);
    lock("18 o'clock").expect(2, &["not a length of time, such as `90s`, `30m`, `2h` or `1h30m`"]);
    lock("2h").expect(0, &["staging is locked for 2h, until ", " UTC: then deployments may begin"]);
    for args in [&["env"][..], &["env", "staging"]] {
        shop.call(args).expect(0, &["locked by ada@", " UTC (1h59m left): migration"]);
    }
    shop.call(&["unlock", "staging"]).expect(0, &["staging is unlocked"]);
    lock("1ms").expect(0, &["staging is locked for 1ms"]);
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["is live"]);
    shop.call(&["lock", "staging", "--reason", "migration"]).expect(0, &["is locked until `cuelight unlock staging`"]);
}

#[test]
fn a_rollback_of_a_first_deployment_that_waits_says_how_to_withdraw_it() {
    let shop = Shop::new();
    shop.configure(&settings_with("staging", "reviewers = ['olu']"));
    let plan = shop.call(&["deploy", "staging", "v1", "--plan"]);
    plan.expect(0, &["first: needs an approval by one of olu"]);
    assert!(!plan.text().contains("cuelight approve"), "nothing waits yet: {}", plan.text());
    let run = shop.call(&["deploy", "staging", "v1", "--detach"]).out().trim().to_owned();
    until("the review is asked for", || {
        let shown = shop.json(&["show", &run, "--json"]);
        shown["reviews"].as_array().is_some_and(|reviews| !reviews.is_empty()).then_some(())
    });
    shop.call(&["rollback", "staging", "--yes=staging"]).expect(4, &["only waits to begin: `cuelight abort staging`"]);
    shop.call(&["abort", "staging"]).expect(0, &[]);
    assert_eq!(ended(&shop, &run), "cancelled");
    shop.call(&["deploys", "staging"]).expect(0, &["cancelled"]);
}

#[test]
fn a_detached_deployment_can_be_approved_by_the_next_command() {
    let shop = Shop::new();
    shop.configure(&settings_with("staging", "reviewers = ['olu']"));
    let run = shop.call(&["deploy", "staging", "v1", "--detach"]).out().trim().to_owned();
    let mut approve = shop.command(&["approve", "staging"]);
    Said(approve.env("USER", "olu").output().expect("the program starts")).expect(0, &["approved staging"]);
    assert_eq!(ended(&shop, &run), "success");
}

#[test]
fn a_deployment_whose_worker_is_killed_is_resumed() {
    let shop = Shop::new();
    let run = shop.interrupted();
    shop.call(&["resume", &run]).expect(0, &[]);
    assert_eq!(shop.running("staging"), ["v2", "v2"]);
    assert_eq!(shop.json(&["env", "staging", "--json"])["live"]["tag"], "v2");
    shop.call(&["rerun", &run]).expect(4, &["a deployment cannot be re-run"]);
}

#[test]
fn every_command_names_what_ends_an_interrupted_deployment() {
    let shop = Shop::new();
    let run = shop.interrupted();
    let ways = format!("`cuelight resume {run}` or `cuelight abort staging`");
    let at = "was interrupted at step 1/";
    for args in [&["env"][..], &["env", "staging"]] {
        shop.call(args).expect(0, &[&ways, at]);
    }
    shop.call(&["explain", &run]).expect(0, &["staging: v2 ", "interrupted at step 1/", &ways]);
    for args in [["promote", "staging"], ["pause", "staging"]] {
        shop.call(&args).expect(4, &[&ways, at]);
    }
    shop.call(&["attach", &run]).expect(1, &[&format!("cuelight resume {run} · cuelight abort staging")]);
    let page = shop.json(&["env", "staging", "--json"]);
    assert!(page["left"].as_str().is_some_and(|left| left.contains(&ways)), "{page}");
    shop.call(&["abort", "staging", "--reason", "not tonight"]).expect(0, &["serves again"]);
    shop.call(&["audit", "staging"]).expect(0, &["staging interrupted", "staging aborted: not tonight"]);
    assert!(!shop.call(&["env", "staging"]).text().contains("cuelight resume"));
    // One that was withdrawn before it began is not the newest deployment, and has brought no commits.
    shop.configure(&settings_with("staging", "reviewers = ['olu']"));
    shop.call(&["deploy", "staging", "v2", "--detach"]).expect(0, &[]);
    shop.call(&["abort", "staging"]).expect(0, &["v2 ", "to staging is withdrawn: nothing was started"]);
    until("it has ended", || shop.call(&["deploys", "staging"]).out().contains("cancelled").then_some(()));
    let page = shop.json(&["env", "staging", "--json"]);
    let commits = page["commits"].as_array().expect("commits");
    assert_eq!(commits.len(), page["deployments"].as_array().expect("deployments").len() - 1, "{page}");
}

#[test]
fn a_worker_that_dies_while_it_keeps_the_former_release_leaves_a_success() {
    let shop = Shop::new();
    shop.configure(&settings_with("production", "keep_old = '1h'"));
    for tag in ["v1", "v2"] {
        shop.call(&["deploy", "staging", tag]).expect(0, &["is live"]);
        shop.call(&["deploy", "production", tag, "--yes=production"]).expect(0, &["is live"]);
    }
    let run = shop.json(&["deploys", "production", "--json"])["run"].as_str().expect("a run").to_owned();
    kill(worker_of(&run));
    let shown = shop.json(&["show", &run, "--json"]);
    assert_eq!((&shown["status"], &shown["reason"]), (&"success".into(), &"worker lost".into()), "{shown}");
    shop.call(&["deploys", "production"]).expect(0, &["live"]);
    shop.call(&["env", "production"]).expect(0, &["live: v2 "]);
    // It can still be resumed, to stop the former release in time.
    shop.call(&["resume", &run, "--yes=production", "--detach"]).expect(0, &[]);
    until("it keeps the former release", || {
        shop.json(&["env", "production", "--json"])["kept"].is_string().then_some(())
    });
    shop.call(&["promote", "production", "--stop-kept"]).expect(0, &["no longer instant"]);
    until("only v2 runs", || (shop.running("production") == ["v2"]).then_some(()));
}

#[test]
fn a_deployment_whose_worker_is_killed_is_aborted() {
    let shop = Shop::new();
    shop.interrupted();
    shop.call(&["abort", "staging", "--reason", "not tonight"]).expect(0, &["aborted by ada@", ": not tonight"]);
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
    // A plan runs nothing of the repository, unless the target is to be asked.
    shop.call(&["deploy", "staging", "v1", "--plan"]).expect(0, &["Start 2 replicas of v1 in blue"]);
    let status = "replicas = 2\nstatus = 'touch $LIVE/asked'\n";
    shop.project.write(".cuelight.toml", &other.replacen("replicas = 2\n", status, 1));
    let why = "The plan runs the status command of the target to see what runs there";
    shop.call(&["deploy", "staging", "v1", "--plan"]).expect(4, &[why, "has changed since it was trusted"]);
    assert!(!shop.path("asked").exists());
    shop.project.write(".cuelight.toml", "[environments.a]\nstrategi = 'rolling'\n");
    shop.call(&["deploy", "a"]).expect(2, &[".cuelight.toml:", "environments.a"]);
}

#[test]
fn a_rollback_aborts_the_canary_on_its_way() {
    let shop = Shop::new();
    let plain = "nothing runs there yet, so this is a plain start; canary begins with the next deployment";
    shop.call(&["deploy", "live", "v1", "--plan"]).expect(0, &[plain]);
    let run = shop.canary();
    assert!(!shop.call(&["deploy", "live", "v2", "--plan"]).text().contains("plain start"));
    shop.call(&["rollback", "live", "--to", "v3", "--yes=live"])
        .expect(4, &["v2 ", "is on its way to live (step ", "`cuelight abort live` brings v1 "]);
    let unconfirmed = shop.call(&["rollback", "live"]);
    unconfirmed.expect(2, &["live: v2 ", "by aborting", &run, "confirm it with --yes=live"]);
    shop.call(&["rollback", "live", "--reason", "errors", "--yes=live"])
        .expect(0, &["aborted by ada@", ": errors; v1 ", "serves again", "live: v1 ", "is recorded as live"]);
    assert_eq!(shop.running("live"), ["v1"]);
    shop.call(&["deploys", "live"]).expect(0, &["rolled back", "live"]);
}

#[test]
fn a_deployment_to_an_environment_between_two_releases_is_refused_before_it_is_recorded() {
    let shop = Shop::new();
    let run = shop.canary();
    kill(worker_of(&run));
    until("the canary is interrupted", || shop.call(&["deploys", "live"]).out().contains("interrupted").then_some(()));
    let before = shop.call(&["audit", "live"]).out();
    let ways = format!("`cuelight resume {run}` or `cuelight abort live`");
    shop.call(&["show", &run]).expect(0, &["v2 ", "interrupted", "at step ", &ways]);
    let (abort, resume) = ("`cuelight abort live` goes back", format!("`cuelight resume {run}` goes on"));
    shop.call(&["env", "live"]).expect(0, &["of the traffic goes to v1, up to ", " % to v2"]);
    for form in ["--detach", "--plan"] {
        shop.call(&["deploy", "live", "v3", form]).expect(4, &["live is between two releases", abort, &resume]);
    }
    assert_eq!(shop.call(&["audit", "live"]).out(), before, "nothing is recorded");
    shop.call(&["abort", "live"]).expect(0, &["serves again"]);
    shop.call(&["deploy", "live", "v3", "--plan"]).expect(0, &["v3"]);
}

#[test]
fn settings_with_a_fault_do_not_keep_anyone_from_a_deployment_that_goes_on() {
    let shop = Shop::new();
    shop.canary();
    shop.project.write(".cuelight.toml", "[environments.live]\nstrategi = 'rolling'\n");
    shop.call(&["lock", "live", "--reason", "broken"]).expect(0, &["live is locked"]);
    shop.call(&["unlock", "live"]).expect(0, &["live is unlocked"]);
    shop.call(&["audit", "live"]).expect(0, &["locked: broken"]);
    shop.call(&["deploys", "live"]).expect(0, &["Wait for `cuelight promote`"]);
    shop.call(&["pause", "live"]).expect(0, &["pauses"]);
    shop.call(&["abort", "lve"]).expect(2, &[".cuelight.toml:"]);
    shop.call(&["rollback", "live", "--yes=live"]).expect(0, &["v1 ", "serves again"]);
    assert_eq!(shop.running("live"), ["v1"]);
    shop.call(&["rollback", "live", "--yes=live"]).expect(2, &[".cuelight.toml:"]);
}

#[test]
fn what_goes_past_rules_or_stops_others_needs_a_reason() {
    let shop = Shop::new();
    shop.call(&["lock", "staging", "--reason", " "]).expect(2, &["a lock needs a reason"]);
    shop.call(&["deploy", "staging", "v1", "--override", "--reason", ""]).expect(2, &["an override needs a reason"]);
    let audit = shop.call(&["audit"]);
    audit.expect(0, &["nothing is recorded yet"]);
    assert!(audit.out().is_empty(), "the words are not part of the output");
}

#[test]
fn a_deployment_to_production_goes_on_only_by_its_name_and_past_no_lock() {
    let shop = Shop::new();
    for tag in ["v1", "v2"] {
        shop.call(&["deploy", "staging", tag]).expect(0, &["is live"]);
    }
    shop.call(&["deploy", "production", "v1", "--yes=production"]).expect(0, &["is live"]);
    let run = shop.interrupted_in("production");
    shop.call(&["resume", &run])
        .expect(2, &["production is a production environment by its name: confirm it with --yes=production"]);
    shop.call(&["lock", "production", "--reason", "incident"]).expect(0, &[]);
    shop.call(&["resume", &run, "--yes=production"])
        .expect(4, &["production is locked by ada@", "incident; `cuelight unlock production` opens it"]);
    assert_eq!(shop.running("production"), ["v1"]);
    shop.call(&["unlock", "production"]).expect(0, &[]);
    shop.call(&["resume", &run, "--yes=production"]).expect(0, &[]);
    assert_eq!(shop.running("production"), ["v2"]);
}

#[test]
fn secrets_that_commands_print_are_written_nowhere() {
    let shop = Shop::new();
    let healthy = "healthy = \"echo the token $REGISTRY_TOKEN and pin $PIN; test $DEPLOY_RELEASE != v3\"";
    let notify = "[environments.staging.notify]\n\
                  command = 'echo $REGISTRY_TOKEN; echo \"$DEPLOY_MESSAGE\" >> $LIVE/messages'\n";
    let settings = SETTINGS.replace("healthy = \"test $DEPLOY_RELEASE != v3\"", healthy);
    let settings = settings.replace("[environments.staging]\n", "[environments.staging]\nsecrets = ['PIN']\n") + notify;
    shop.project.write(".cuelight.toml", &settings);
    shop.project.call(&["trust"]).expect(0, &[]);
    let call = |args: &[&str]| {
        let mut command = shop.command(&[args, &["--reason", "the pin is pin-4711-9c3e"]].concat());
        command.env("REGISTRY_TOKEN", "hunter2-hunter2").env("PIN", "pin-4711-9c3e");
        Said(command.output().expect("the program starts"))
    };
    shop.call(&["env", "staging", "--check"]).expect(1, &["PIN  secret", "missing"]);
    shop.call(&["deploy", "staging", "v9"]).expect(3, &[]);
    call(&["deploy", "staging", "v1"]).expect(0, &["the token *** and pin ***"]);
    // A deployment is no longer followed once it is live, and its message may be sent after that.
    let sent = || fs::read_to_string(shop.path("messages")).unwrap_or_default();
    until("the message is sent", || sent().contains(" is live").then_some(()));
    call(&["deploy", "staging", "v3"]).expect(1, &["the token *** and pin ***"]);
    call(&["lock", "staging"]).expect(0, &[]);
    let audit = shop.call(&["audit", "staging"]).out();
    assert_eq!(audit.matches(": the pin is ***").count(), 3, "two requests and a lock: {audit}");
    let written = String::from_utf8_lossy(&shop.project.everything_written()).into_owned();
    let sent = sent();
    for secret in ["hunter2", "pin-4711-9c3e"] {
        assert!(!written.contains(secret) && !sent.contains(secret), "{secret} is written: {sent}");
    }
    let lines: Vec<&str> = sent.lines().collect();
    let failed = " rolled back: step 2/6 (Wait until green is healthy) failed: the check failed 3 times in a row";
    let is_live = " is live; `cuelight rollback staging`";
    assert!(matches!(lines[..], [live, back] if live.ends_with(is_live) && back.contains(failed)), "{sent}");
}

#[test]
fn lines_of_the_ledger_that_cannot_be_read_are_reported_and_nothing_is_called_live_by_mistake() {
    let shop = Shop::new();
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["is live"]);
    let ledger = shop.ledger();
    let whole = fs::read_to_string(&ledger).expect("there");
    let line = whole.lines().count() + 1;
    fs::write(&ledger, format!("{whole}<<<<<<< ours\n")).expect("written");
    let place = format!("{}:{line} is not an entry of the ledger", ledger.display());
    for args in [["env", "staging"], ["deploys", "staging"], ["audit", "staging"]] {
        shop.call(&args).expect(0, &["warning: ", &place]);
    }
    shop.call(&["env", "staging"]).expect(0, &["the live release is unknown: "]);
    shop.call(&["deploy", "staging", "v2"]).expect(0, &["warning: ", &place, "staging: v2 ", "is live"]);
    let newer = whole.replacen("\"cuelight_ledger\":1", "\"cuelight_ledger\":2", 1);
    fs::write(&ledger, newer).expect("written");
    for args in [vec!["env", "staging"], vec!["deploys"], vec!["audit"], vec!["deploy", "staging", "v1"]] {
        let said = shop.call(&args);
        said.expect(5, &["is of version 2, and this cuelight reads up to version 1"]);
    }
}

#[test]
fn a_rollback_undoes_a_deployment_that_was_interrupted() {
    let shop = Shop::new();
    let run = shop.interrupted();
    shop.call(&["env", "staging"]).expect(0, &["the live release is unknown: the deployment of v2 "]);
    shop.call(&["rollback", "staging", "--yes=staging"])
        .expect(0, &[&format!("by aborting {run}, which stopped halfway"), "serves again", "staging: v1 "]);
    shop.call(&["env", "staging"]).expect(0, &["live: v1 "]);
}

#[test]
fn after_an_interruption_nothing_is_called_live_and_a_later_deployment_closes_it() {
    let shop = Shop::new();
    let run = shop.interrupted();
    shop.call(&["env", "staging"]).expect(0, &["the live release is unknown: the deployment of v2 "]);
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["staging: v1 ", "is live"]);
    let running = shop.running("staging");
    shop.call(&["abort", "staging"]).expect(3, &["no deployment to staging is in progress"]);
    let resumed = shop.call(&["resume", &run]);
    assert!(resumed.text().contains("superseded by a later deployment of v1 "), "{}", resumed.text());
    assert_eq!(shop.running("staging"), running, "nothing is touched");
    shop.call(&["env", "staging"]).expect(0, &["live: v1 "]);
}

/// Creates a shop whose workflow has a job that deploys to staging, and starts its run in the background. The name of
/// the environment differs in case from that of the settings.
fn deploying_job(rules: &str) -> (Shop, String) {
    let shop = Shop::new();
    shop.project.write(".cuelight.toml", &settings_with("staging", rules));
    let job = "{runs-on: ubuntu-latest, environment: Staging, steps: [{run: 'echo to staging; test ! -e $LIVE/bad'}]}";
    shop.project.write(".github/workflows/ci.yml", &format!("on: push\njobs: {{deploy: {job}}}\n"));
    shop.project.commit();
    let run = shop.call(&["run", "--trust", "--detach"]).out().trim().to_owned();
    (shop, run)
}

/// Approves the deployment to staging of a run, as olu.
fn approved_by_olu(shop: &Shop, run: &str) -> Said {
    Said(shop.command(&["approve", "staging", "--run", run]).env("USER", "olu").output().expect("starts"))
}

/// Waits until the run has ended, and returns its conclusion.
fn ended(shop: &Shop, run: &str) -> String {
    until("the run ends", || {
        let shown = shop.json(&["show", run, "--json"]);
        let status = shown["status"].as_str().unwrap_or_default().to_owned();
        ["success", "failure", "cancelled"].contains(&status.as_str()).then_some(status)
    })
}

#[test]
fn a_job_that_deploys_waits_for_its_reviewer_and_is_a_deployment() {
    let (shop, run) = deploying_job("reviewers = ['olu']\nsecrets = ['PIN']");
    let approve = |user: &str| {
        let mut command = shop.command(&["approve", "staging", "--run", &run, "--comment", "ship it: 4711"]);
        Said(command.env("USER", user).env("PIN", "4711").output().expect("the program starts"))
    };
    until("the review is asked for", || {
        let said = approve("eve");
        said.text().contains("you are not a reviewer; the reviewers are olu").then_some(())
    });
    approve("olu").expect(0, &["approved staging"]);
    assert_eq!(ended(&shop, &run), "success");
    shop.call(&["deploys", "staging"]).expect(0, &["live", &run, "approved by olu"]);
    shop.call(&["env", "staging"]).expect(0, &["by ada, approved by olu"]);
    let audit = shop.call(&["audit", "staging"]).out();
    let place = |what: &str| audit.find(what).unwrap_or_else(|| panic!("{what}: {audit}"));
    assert!(place("requested") < place("approved: ship it: ***") && place("approved") < place("began"), "{audit}");
    assert!(place("began") < place("succeeded"), "{audit}");
}

#[test]
fn a_job_that_deploys_waits_for_a_lock_and_its_failure_is_that_of_the_deployment() {
    let (shop, first) = deploying_job("");
    assert_eq!(ended(&shop, &first), "success");
    shop.call(&["lock", "staging", "--reason", "migration"]).expect(0, &[]);
    fs::write(shop.path("bad"), "").expect("written");
    let run = shop.call(&["run", "--trust", "--detach"]).out().trim().to_owned();
    until("the job waits for the lock", || {
        shop.call(&["show", &run, "--json"]).out().contains("staging is locked by ada@").then_some(())
    });
    shop.call(&["unlock", "staging"]).expect(0, &[]);
    assert_eq!(ended(&shop, &run), "failure");
    shop.call(&["deploys", "staging"]).expect(0, &["failed", &run, &first]);
    shop.call(&["env", "staging"]).expect(0, &["the live release is unknown"]);
}

#[test]
fn people_are_notified_of_a_job_that_deploys() {
    let shop = Shop::new();
    let notify = "[environments.staging.notify]\non = ['approval', 'started', 'succeeded', 'failed']\n\
                  command = 'echo \"$DEPLOY_EVENT: $DEPLOY_MESSAGE\" >> $LIVE/messages'\n";
    let rules = settings_with("staging", "reviewers = ['olu']");
    shop.project.write(".cuelight.toml", &(rules + notify));
    // The job changes the command of the notification to one that is not trusted.
    let steps = "[{run: 'sed -i s/messages/stolen/ $SHOP/.cuelight.toml; test ! -e $LIVE/bad'}]";
    let job = format!("{{runs-on: ubuntu-latest, environment: staging, steps: {steps}}}");
    shop.project.write(
        ".github/workflows/ci.yml",
        &format!("on: push\njobs: {{deploy: {job}, later: {{needs: deploy, {}}}}}\n", &job[1..job.len() - 1]),
    );
    shop.project.commit();
    let mut command = shop.command(&["run", "--trust", "--detach"]);
    command.env("SHOP", shop.project.root());
    let run = Said(command.output().expect("starts")).out().trim().to_owned();
    until("both jobs are approved and end", || {
        approved_by_olu(&shop, &run);
        let shown = shop.json(&["show", &run, "--json"]);
        (shown["status"] == "success").then_some(())
    });
    let messages = || fs::read_to_string(shop.path("messages")).unwrap_or_default();
    for expected in ["approval: ", &format!("approve staging --run {run}"), "started: ", "is live"] {
        assert_eq!(messages().matches(expected).count(), 2, "{expected}: {}", messages());
    }
    assert!(!shop.path("stolen").exists(), "a command that was not trusted has run");
}

#[test]
fn a_job_that_deploys_and_loses_its_worker_is_an_interrupted_deployment() {
    let (shop, first) = deploying_job("");
    assert_eq!(ended(&shop, &first), "success");
    let job = "{runs-on: ubuntu-latest, environment: staging, steps: [{run: 'touch $LIVE/in; sleep 60'}]}";
    shop.project.write(".github/workflows/ci.yml", &format!("on: push\njobs: {{deploy: {job}}}\n"));
    shop.project.commit();
    let run = shop.call(&["run", "--trust", "--detach"]).out().trim().to_owned();
    until("the step runs", || shop.path("in").exists().then_some(()));
    shop.call(&["abort", "staging"]).expect(4, &["a job of", &format!("`cuelight cancel {run}` ends it")]);
    shop.call(&["rollback", "staging", "--yes=staging"]).expect(4, &[&format!("`cuelight cancel {run}` ends it")]);
    kill(worker_of(&run));
    shop.call(&["deploys", "staging"]).expect(0, &["interrupted"]);
    shop.call(&["env", "staging"]).expect(0, &["the live release is unknown", "was interrupted before its end"]);
    shop.call(&["audit", "staging"]).expect(0, &[&format!("the worker of its run died: `cuelight resume {run}`")]);
}

#[test]
fn a_job_whose_commit_an_environment_does_not_take_fails_before_it_starts() {
    let (shop, run) = deploying_job("on = 'tag:release-*'");
    assert_eq!(ended(&shop, &run), "failure");
    shop.call(&["show", &run]).expect(0, &["only tag:release-* may be deployed to staging"]);
    assert!(shop.call(&["audit", "staging"]).out().is_empty());
}

#[test]
fn uncommitted_changes_do_not_pass_for_the_tag_of_their_commit() {
    let shop = Shop::new();
    shop.project.git(&["checkout", "--quiet", "v2"]);
    shop.call(&["deploy", "staging", "v2"]).expect(0, &["is live"]);
    shop.project.write("more", "x");
    let refused = "only a commit may be deployed to production, and `more` has changed since v2 ";
    for args in [&["deploy", "production"][..], &["deploy", "production", "v2"]] {
        let args = [args, &["--yes=production"]].concat();
        shop.call(&args).expect(4, &[refused, "commit or stash the changes"]);
    }
    // Another commit than the one that is checked out is refused for its own reasons alone.
    let other = shop.call(&["deploy", "production", "v1", "--yes=production"]);
    assert!(other.code() == 4 && !other.text().contains("has changed"), "{}", other.text());
    let overridden = ["deploy", "production", "--yes=production", "--override", "--reason", "hotfix"];
    shop.call(&overridden).expect(0, &["is live"]);
    shop.call(&["audit", "production"]).expect(0, &["production has uncommitted changes: more", "overrode the rules"]);
    // Where nothing is asked of a release, changes may be tried, but do not count for the environments after it.
    shop.project.commit();
    shop.project.git(&["tag", "v4"]);
    shop.project.write("more", "y");
    shop.call(&["deploy", "staging", "v4"]).expect(0, &["is live"]);
    shop.project.git(&["checkout", "--quiet", "more"]);
    shop.call(&["deploy", "production", "v4", "--yes=production"]).expect(4, &["v4 ", "has not succeeded in staging"]);
    shop.call(&["deploy", "staging", "v4"]).expect(0, &["is live"]);
    shop.call(&["deploy", "production", "v4", "--yes=production"]).expect(0, &["is live"]);
}

#[test]
fn a_job_with_uncommitted_changes_does_not_pass_for_the_tag_of_its_commit() {
    let (shop, first) = deploying_job("on = 'tag:v*'");
    ended(&shop, &first);
    shop.project.git(&["tag", "v9"]);
    shop.call(&["run", "--trust"]).expect(0, &[]);
    shop.project.write("more", "x");
    shop.call(&["run", "--trust"])
        .expect(1, &["only a commit may be deployed to staging, and `more` has changed since v9 "]);
}

#[test]
fn a_file_that_changes_while_a_job_waits_does_not_pass_for_the_commit_of_the_run() {
    let (shop, run) = deploying_job("on = 'push:main'\nreviewers = ['olu']");
    shop.project.write("more", "x");
    until("the review is asked for", || (approved_by_olu(&shop, &run).code() == 0).then_some(()));
    assert_eq!(ended(&shop, &run), "failure");
    shop.call(&["show", &run]).expect(0, &["only a commit may be deployed to staging, and `more` has changed since "]);
    shop.call(&["env", "staging"]).expect(0, &["live: unknown"]);
}

#[test]
fn a_commit_that_comes_while_a_job_waits_does_not_pass_for_the_commit_of_the_run() {
    let (shop, run) = deploying_job("on = 'push:main'\nreviewers = ['olu']");
    shop.project.write("more", "x");
    shop.project.commit();
    until("the review is asked for", || (approved_by_olu(&shop, &run).code() == 0).then_some(()));
    assert_eq!(ended(&shop, &run), "failure");
    shop.call(&["show", &run]).expect(0, &["only a commit may be deployed to staging, and `more` has changed since "]);
    assert!(!shop.call(&["audit", "staging"]).out().contains("began"));
}

#[test]
fn a_file_that_changes_while_a_deployment_waits_does_not_pass_for_its_commit() {
    let shop = Shop::new();
    shop.project.write(".cuelight.toml", &settings_with("staging", "on = 'push:main'\nreviewers = ['olu']"));
    shop.project.commit();
    shop.project.call(&["trust"]).expect(0, &[]);
    let run = shop.call(&["deploy", "staging", "--detach"]).out().trim().to_owned();
    shop.project.write("start", "#!/bin/sh\n");
    until("the review is asked for", || (approved_by_olu(&shop, &run).code() == 0).then_some(()));
    assert_eq!(ended(&shop, &run), "failure");
    shop.call(&["show", &run]).expect(0, &["only a commit may be deployed to staging, and `start` has changed since "]);
    assert!(shop.running("staging").is_empty());
}

#[test]
fn a_job_that_waits_for_a_slot_has_not_begun_and_blocks_no_other_deployment() {
    let (shop, first) = deploying_job("reviewers = ['olu']");
    until("the review is asked for", || (approved_by_olu(&shop, &first).code() == 0).then_some(()));
    assert_eq!(ended(&shop, &first), "success");
    let deploy = "{runs-on: ubuntu-latest, environment: staging, steps: [{run: 'echo to staging'}]}";
    let build =
        "{runs-on: ubuntu-latest, steps: [{run: 'touch $LIVE/in; while [ ! -e $LIVE/go ]; do sleep 0.05; done'}]}";
    let jobs = format!("on: push\njobs: {{deploy: {deploy}, build: {build}}}\n");
    shop.project.write(".github/workflows/ci.yml", &jobs);
    shop.project.commit();
    let run = shop.call(&["run", "--trust", "--detach", "--max-parallel", "1"]).out().trim().to_owned();
    until("the other job has the slot", || shop.path("in").exists().then_some(()));
    until("the review is asked for", || (approved_by_olu(&shop, &run).code() == 0).then_some(()));
    until("the job no longer waits for the review", || {
        let shown = shop.json(&["show", &run, "--json"]);
        shown["reviews"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    let other = ["deploy", "staging", "v1", "--override", "--reason", "hotfix", "--detach"];
    let other = shop.call(&other).out().trim().to_owned();
    assert_eq!(ended(&shop, &other), "success", "the environment is free");
    shop.call(&["lock", "staging", "--reason", "migration"]).expect(0, &[]);
    fs::write(shop.path("go"), "").expect("written");
    until("the job waits for the lock", || {
        shop.call(&["show", &run, "--json"]).out().contains("staging is locked by ada@").then_some(())
    });
    let began = || shop.call(&["audit", "staging"]).out().matches("began").count();
    assert_eq!(began(), 2, "{}", shop.call(&["audit", "staging"]).out());
    shop.call(&["unlock", "staging"]).expect(0, &[]);
    assert_eq!((ended(&shop, &run).as_str(), began()), ("success", 3));
}

#[test]
fn changes_come_into_a_held_job_that_deploys_only_where_rules_take_them() {
    for (rules, code, said) in [
        ("on = 'push:main'", 4, "only a commit may be deployed to staging, and `more` has changed since "),
        ("", 0, "new      more"),
    ] {
        let (shop, first) = deploying_job(rules);
        assert_eq!(ended(&shop, &first), "success");
        let steps = "[{uses: actions/checkout@v4}, {run: 'test -e more'}]";
        let job = format!("{{runs-on: ubuntu-latest, environment: staging, steps: {steps}}}");
        shop.project.write(".github/workflows/ci.yml", &format!("on: push\njobs: {{deploy: {job}}}\n"));
        shop.project.commit();
        let run = shop.call(&["run", "--trust", "--detach", "--on-failure", "hold"]).out().trim().to_owned();
        until("the step is held", || (shop.call(&["held", "list"]).code() == 0).then_some(()));
        shop.project.write("more", "x");
        shop.call(&["held", "sync"]).expect(code, &[said]);
        let is_recorded = shop.call(&["audit", "staging"]).out().contains("has uncommitted changes: more");
        assert_eq!(is_recorded, code == 0);
        shop.call(&["cancel", &run]).expect(0, &[]);
    }
}

#[test]
fn a_failed_deployment_is_explained_at_its_end_and_later() {
    let shop = Shop::new();
    let cause = "likely cause: Wait until blue is healthy: a process ended with an error";
    let failed = shop.call(&["deploy", "staging", "v3"]);
    failed.expect(1, &[cause, "last answer: exit status: 1", "next: `cuelight logs "]);
    // The reason stands at its step and in the last line, and the name of the only job is not cut.
    assert_eq!(failed.text().matches("the check failed 3 times in a row").count(), 2, "{}", failed.text());
    assert!(failed.text().contains("staging: deploy v3 ") && !failed.text().contains('…'), "{}", failed.text());
    shop.call(&["explain"]).expect(0, &[cause, "staging: v3 ", "rolled back"]);
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["is live"]);
    let live = shop.call(&["explain"]);
    live.expect(0, &["staging: v1 ", "live"]);
    assert!(!live.text().contains("likely cause") && !live.text().contains("goes back"), "{}", live.text());
    shop.call(&["deploy", "staging", "v2"]).expect(0, &["is live"]);
    for args in [&["explain"][..], &["explain", "staging"]] {
        shop.call(args).expect(0, &["staging: v2 ", "live", "next: `cuelight rollback staging` goes back"]);
    }
    shop.call(&["explain", "nowhere"]).expect(3, &["there is no run `nowhere`"]);
    let document = shop.json(&["explain", "--json"]);
    assert_eq!(document["deployment"]["next"], "`cuelight rollback staging` goes back");
}

#[test]
fn a_notification_that_is_not_sent_changes_nothing_and_shows_no_address() {
    let shop = Shop::new();
    let notify = "[notify]\nslack = '${SLACK_WEBHOOK_URL}'\non = ['succeeded', 'rolled_back']\n";
    shop.project.write(".cuelight.toml", &(notify.to_owned() + SETTINGS));
    shop.call(&["env", "staging", "--check"]).expect(1, &["SLACK_WEBHOOK_URL  secret", "missing"]);
    shop.project.call(&["trust"]).expect(0, &[]);
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["is live"]);
    // A deployment is no longer followed once it is live, so its record shows the result of a notification.
    let recorded = || {
        let run = shop.json(&["deploys", "staging", "--json"])["run"].as_str().expect("a run").to_owned();
        shop.call(&["attach", &run])
    };
    recorded().expect(0, &["slack was not notified (succeeded): the variable SLACK_WEBHOOK_URL"]);
    // The port of a client: no server can take it, and it refuses connections.
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(server.local_addr().expect("bound")).expect("connected");
    let address = format!("http://{}/services/T0SECRET/B0", client.local_addr().expect("connected"));
    let mut command = shop.command(&["deploy", "staging", "v2"]);
    let said = Said(command.env("SLACK_WEBHOOK_URL", &address).output().expect("the program starts"));
    said.expect(0, &["is live"]);
    recorded().expect(0, &["slack was not notified (succeeded): cannot reach the server"]);
    let written = String::from_utf8_lossy(&shop.project.everything_written()).into_owned();
    assert!(!written.contains("T0SECRET") && !said.text().contains("T0SECRET"), "the address is shown");
}

#[test]
fn an_environment_with_auto_stop_says_when_it_ends_and_stops() {
    let shop = Shop::new();
    let settings = |after: &str| settings_with("staging", &format!("auto_stop = '{after}'"));
    shop.configure(&settings("1h"));
    shop.call(&["deploy", "staging", "v1", "--plan"]).expect(0, &["Stop blue after 1h"]);
    shop.call(&["deploy", "staging", "v1"]).expect(0, &["v1", "is live"]);
    let shown = shop.call(&["env", "staging"]);
    shown.expect(0, &["stops 1h after a deployment: v1 at ", " UTC"]);
    // The deployment that waits is not in the way of others, and takes no commands.
    shop.call(&["promote", "staging"]).expect(3, &["no deployment to staging is in progress"]);
    let run = shop.project.run_id();
    shop.call(&["cancel", &run]).expect(0, &[]);
    until("it no longer waits", || {
        shop.call(&["env", "staging"]).text().contains("but no deployment waits to stop v1").then_some(())
    });
    assert_eq!(shop.running("staging"), ["v1", "v1"]);
    shop.configure(&settings("1ms"));
    shop.call(&["deploy", "staging", "v2"]).expect(0, &[]);
    until("nothing runs", || shop.running("staging").is_empty().then_some(()));
    until("the ledger has the stop", || {
        shop.call(&["audit"]).text().contains("auto_stop, 1ms after the deployment").then_some(())
    });
    shop.call(&["rollback", "staging", "--yes=staging"]).expect(4, &[]);
    shop.call(&["deploy", "staging", "v2", "--plan"]).expect(0, &["nothing → v2"]);
}

#[test]
fn cleaning_keeps_the_deployments_that_are_still_needed() {
    let shop = Shop::new();
    for release in ["v1", "v2", "v1"] {
        shop.call(&["deploy", "staging", release]).expect(0, &["is live"]);
    }
    // The release that is live, and the one to go back to.
    shop.call(&["clean", "--keep", "0"]).expect(0, &["1 run removed"]);
    shop.interrupted_in("staging");
    shop.call(&["clean", "--keep", "0"]).expect(0, &["0 runs removed"]);
    shop.call(&["abort", "staging"]).expect(0, &["serves again"]);
    assert_eq!(shop.running("staging"), ["v1", "v1"]);
    shop.call(&["clean", "--all"]).expect(0, &["3 runs removed"]);
}
