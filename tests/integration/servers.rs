//! Runs of a server on the command line and on the screen: they are listed, shown and followed, with their logs and
//! commands. Also a server that is gone.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fake_github::{Fake, Way};
use crate::project::{Project, until};
use crate::screen::Terminal;

/// The repository of the fake server.
pub(crate) const REPOSITORY: &str = "aura/platform";

/// A project whose settings name a fake server in place of github.com.
pub(crate) struct Watching {
    pub(crate) fake: Arc<Fake>,
    pub(crate) project: Project,
}

/// Output and exit code of a command.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), error: text(&output.stderr) }
    }
}

impl Watching {
    pub(crate) fn new(scenario: &str) -> Option<Self> {
        Some(Self::of(&Arc::new(Fake::start_now(scenario)?)))
    }

    /// Creates a project that watches a server started with these arguments.
    pub(crate) fn at(scenario: &str, args: &[&str]) -> Option<Self> {
        Some(Self::of(&Arc::new(Fake::start_at(scenario, args)?)))
    }

    /// Creates another project that watches a server.
    pub(crate) fn of(fake: &Arc<Fake>) -> Self {
        let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
        let watching = Self { fake: Arc::clone(fake), project };
        watching.configure();
        watching
    }

    /// Names the server in the settings.
    pub(crate) fn configure(&self) {
        self.project.configure(&format!("[github]\napi_url = \"http://{}\"\n", self.fake.counted()));
    }

    pub(crate) fn command(&self, token: &str, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("GH_TOKEN", token);
        command
    }

    pub(crate) fn said(&self, token: &str, args: &[&str]) -> Said {
        self.command(token, args).output().expect("starts").into()
    }

    pub(crate) fn cuelight(&self, args: &[&str]) -> Said {
        self.said("ghp_full", args)
    }

    /// Opens the screen with the runs of the server's repository.
    pub(crate) fn screen(&self) -> Terminal {
        let mut command = self.project.in_terminal(&[]);
        command.env("GH_TOKEN", "ghp_full");
        command.env("CUELIGHT_GITHUB_REPOSITORIES", REPOSITORY);
        Terminal::start(command, 40, 120)
    }

    /// Returns the newest run of the server, as the list shows it.
    pub(crate) fn newest(&self) -> Value {
        self.listed(REPOSITORY).remove(0)
    }

    /// Returns the runs of a repository of the server, newest first.
    pub(crate) fn listed(&self, repository: &str) -> Vec<Value> {
        let said = self.cuelight(&["runs", "-R", repository, "--json"]);
        assert_eq!(said.code, Some(0), "{}", said.error);
        said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Checks the counters of the server.
    pub(crate) fn check_stats(&self) {
        let stats = self.fake.value("/_fake/stats");
        for name in ["blob_auth_refused", "bugs", "bad_token"] {
            assert_eq!(stats[name], 0, "{name}: {stats}");
        }
        let most = self.fake.most_at_once();
        assert!((1..=2).contains(&most), "{most} requests at once");
    }
}

pub(crate) fn id(run: &Value) -> &str {
    run["id"].as_str().expect("an id")
}

#[test]
fn runs_of_a_server_are_listed_shown_and_searched_by_every_name() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    let run = watching.newest();
    let (id, number) = (id(&run), run["remote"]["id"].as_u64().expect("a number"));
    assert_eq!(run["status"], "failure", "{run}");
    let name = format!("{REPOSITORY}/{number}");
    let url = format!("https://github.com/{REPOSITORY}/actions/runs/{number}");
    for wanted in [id, &name, &url] {
        let shown = watching.cuelight(&["show", wanted]);
        assert_eq!(shown.code, Some(0), "{wanted}: {}", shown.error);
        for part in ["Test           failure", "Build Docker   skipped", "✗  7 Run tests"] {
            assert!(shown.out.contains(part), "{wanted}: {part}: {}", shown.out);
        }
    }
    let bare = number.to_string();
    for (wanted, code, message) in [
        (["show", "latest", "-R", REPOSITORY], 0, "Test           failure"),
        (["show", &bare, "-R", REPOSITORY], 0, "Test           failure"),
        (["explain", "latest", "-R", REPOSITORY], 0, "No job waits."),
        (["show", "7", "-R", REPOSITORY], 3, "404"),
        (["show", "latest", "-R", "aura"], 2, "`aura`"),
    ] {
        let said = watching.cuelight(&wanted);
        assert_eq!(said.code, Some(code), "{wanted:?}: {}", said.error);
        assert!(said.out.contains(message) || said.error.contains(message), "{wanted:?}: {}{}", said.out, said.error);
    }
    let failed = watching.cuelight(&["logs", &url, "--failed"]);
    assert_eq!(failed.code, Some(0), "{}", failed.error);
    assert!(failed.out.starts_with("Test / 7 Run tests\n"), "{}", failed.out);
    assert!(failed.out.ends_with("Error: Process completed with exit code 1.\n"), "{}", failed.out);
    let lint = watching.cuelight(&["logs", id, "--job", "lint"]);
    assert!(lint.out.contains("Lint / 1 Set up job") && !lint.out.contains("Test /"), "{}", lint.out);
    let attached = watching.cuelight(&["attach", id]);
    assert_eq!(attached.code, Some(1), "{}", attached.error);
    assert!(attached.out.contains("✗ failure in"), "{}", attached.out);
    // Each line is below the heading of its step, as in the output of `logs`.
    let lint: Vec<&str> = attached.out.lines().filter_map(|line| line.strip_prefix("Lint          │ ")).collect();
    let at =
        |text: &str| lint.iter().rposition(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {lint:?}"));
    assert!(at("▸ Set up job") < at("Current runner version"), "{lint:?}");
    assert!(at("Current runner version") < at("▸ Complete job"), "{lint:?}");
    assert!(at("▸ Complete job") < at("Cleaning up orphan processes"), "{lint:?}");

    // Names that stand for no run.
    for (wanted, code, message) in [
        ("17000000999", 3, "OWNER/REPO/NUMBER"),
        ("aura/platform/17999999999", 3, "404"),
        ("ghe.example/o/r/5", 2, "ghe.example is not a known server"),
        ("https://github.com/aura/platform/pull/12", 2, "is a pull request"),
        ("https://example.org/x", 2, "https://example.org/x"),
    ] {
        let said = watching.cuelight(&["show", wanted]);
        assert_eq!(said.code, Some(code), "{wanted}: {}", said.error);
        assert!(said.error.contains(message), "{wanted}: {}", said.error);
    }
    let none = watching.cuelight(&["runs", "-R", "aura/none"]);
    assert_eq!(none.code, Some(3), "{} {}", none.out, none.error);
    assert!(none.error.contains("needs a token"), "{}", none.error);
    let ignored = watching.cuelight(&["--read-only", "cancel", id]);
    assert_eq!(ignored.code, Some(2), "{}", ignored.error);
    watching.check_stats();
}

#[test]
fn a_command_asks_for_a_run_once_and_names_a_log_that_is_gone() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    let run = watching.newest();
    let (id, number) = (id(&run), run["remote"]["id"].as_u64().expect("a number"));
    let path = format!("GET /repos/{REPOSITORY}/actions/runs/{number}");
    let asked = |args: &[&str]| {
        let (status, ..) = watching.fake.send("DELETE", "/_fake/requests", "application/json", "");
        assert!(status < 300, "{status}");
        let said = watching.cuelight(args);
        let journal = watching.fake.value("/_fake/requests");
        let requests = journal.as_array().cloned().or_else(|| journal["requests"].as_array().cloned());
        let is_run = |request: &&Value| {
            format!("{} {}", request["method"].as_str().unwrap_or(""), request["path"].as_str().unwrap_or("")) == path
        };
        (requests.expect("a journal").iter().filter(is_run).count(), said)
    };
    watching.fake.control("/_fake/do", serde_json::json!({"do": "expire_logs", "run": number}));
    let (count, gone) = asked(&["logs", id, "--job", "lint"]);
    assert_eq!((count, gone.code), (1, Some(3)), "{} {}", gone.out, gone.error);
    assert!(gone.error.contains("no log of Lint: gone (410)"), "{}", gone.error);
    for args in [&["show", id][..], &["attach", id], &["cancel", id], &["explain", id]] {
        assert_eq!(asked(args).0, 1, "{args:?}");
    }
    watching.check_stats();
}

/// Returns a socket that keeps an address from everything else on this machine, and refuses connections until it listens.
fn refusing(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    Ok(socket)
}

#[test]
fn a_server_that_gives_no_answer_leaves_what_was_known() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    let run = watching.newest();
    let (id, number) = (id(&run).to_owned(), run["remote"]["id"].as_u64().expect("a number"));
    assert_eq!(watching.cuelight(&["logs", &id, "--job", "lint"]).code, Some(0));
    let Watching { fake, project } = watching;
    let address = fake.counted().parse().expect("an address");
    drop(fake);
    let closed = until("the server is gone", || refusing(address).ok());
    let name = format!("{REPOSITORY}/{number}");
    let call = |args: &[&str]| Said::from(project.command(args).env("GH_TOKEN", "ghp_full").output().expect("starts"));
    let known = |args: &[&str], part: &str, note: (&str, &str)| {
        let said = call(args);
        assert_eq!(said.code, Some(0), "{args:?}: {}", said.error);
        assert!(said.out.contains(part), "{args:?}: {}", said.out);
        let notes: Vec<&str> = said.error.lines().collect();
        let [line] = notes.as_slice() else { panic!("{args:?}: {}", said.error) };
        assert!(line.starts_with(note.0) && line.ends_with(note.1), "{args:?}: {line}");
    };
    // A run that has ended is shown instead of waiting for a second attempt to reach its server, which would be sent
    // after 2 s, and a third after 6 s.
    let state = format!("; showing the last known state of {id}");
    let late = ("note: cannot reach 127.0.0.1:", state.as_str());
    for (args, part) in [
        (&["show", &id][..], "Test           failure"),
        (&["show", &name], "Test           failure"),
        (&["logs", &id, "--job", "lint"], "Lint / 1 Set up job"),
    ] {
        let began = Instant::now();
        known(args, part, late);
        assert!(began.elapsed() < Duration::from_secs(6), "{args:?}: {:?}", began.elapsed());
    }
    // A list that is less than 8 s old is not fetched again.
    let (list, earlier) = (["runs", "-R", REPOSITORY], "; showing the runs that were fetched earlier");
    until("the list is fetched again", || call(&list).error.contains(earlier).then_some(()));
    known(&list, "failure", ("note: cannot reach 127.0.0.1:", earlier));
    for args in [&["rerun", &id][..], &["show", "aura/platform/5"]] {
        let said = call(args);
        assert_eq!(said.code, Some(5), "{args:?}: {}", said.error);
    }
    // A server that takes connections alone gives no reason.
    rustix::net::listen(&closed, 8).expect("it takes connections");
    let silence = ("note: cannot reach github.com: no answer for 5 s", state.as_str());
    known(&["show", &id], "Test           failure", silence);
}

#[test]
fn the_screen_says_which_server_has_not_answered_yet() {
    // It takes connections, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
    let address = listener.local_addr().expect("an address");
    project.configure(&format!("[github]\napi_url = \"http://{address}\"\nrepositories = [\"{REPOSITORY}\"]\n"));
    let mut screen = Terminal::start(project.in_terminal(&[]), 24, 80);
    screen.wait_for("asking github.com");
    screen.press("q");
    screen.ends_restored();
}

#[test]
fn a_server_that_is_away_is_named_even_where_another_process_mirrors_the_run() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(30);
    let run = watching.newest();
    let id = id(&run);
    let mut follower = watching.command("ghp_full", &["attach", id]).stdout(Stdio::null()).spawn().expect("starts");
    let socket = watching.project.state().join("runs").join(id).join("control.sock");
    until("the follower", || socket.exists().then_some(()));
    let shown = watching.cuelight(&["show", id]);
    assert_eq!((shown.code, shown.error.as_str()), (Some(0), ""));
    watching.fake.go(Way::Dead);
    let note = format!("; showing the last known state of {id}");
    until("the note", || watching.cuelight(&["show", id]).error.contains(&note).then_some(()));
    watching.fake.go(Way::Open);
    let _ = follower.kill();
    let _ = follower.wait();
}

#[test]
fn runs_on_a_server_are_cancelled_and_run_again() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(30);
    let run = watching.newest();
    let id = id(&run);
    assert_eq!(run["status"], "in_progress", "{run}");
    let early = watching.cuelight(&["rerun", id]);
    assert_eq!(early.code, Some(4), "{}", early.error);
    assert!(early.error.contains("the run has not ended"), "{}", early.error);
    let refused = watching.said("github_pat_read", &["cancel", id]);
    assert_eq!(refused.code, Some(4), "{} {}", refused.out, refused.error);
    // Meanwhile, another process follows the run until its end.
    let follower = watching.command("ghp_full", &["attach", id]).stdout(Stdio::piped()).spawn().expect("starts");
    let cancelled = watching.cuelight(&["cancel", id]);
    assert_eq!(cancelled.code, Some(0), "{}", cancelled.error);
    watching.fake.advance(60);
    let followed = Said::from(follower.wait_with_output().expect("ends"));
    assert_eq!(followed.code, Some(130), "{}", followed.out);
    assert!(followed.out.contains("cancelled"), "{}", followed.out);

    let again = watching.command("ghp_full", &["rerun", id, "--debug"]).stdout(Stdio::piped()).spawn().expect("starts");
    let path = format!("/repos/{REPOSITORY}/actions/runs/{}", run["remote"]["id"]);
    until("another attempt", || (watching.fake.value(&path)["run_attempt"] == 2).then_some(()));
    watching.fake.advance(600);
    let again = Said::from(again.wait_with_output().expect("ends"));
    assert!(matches!(again.code, Some(0 | 1)), "{}", again.out);
    let shown = watching.cuelight(&["show", id]);
    assert!(shown.out.contains("attempt 2"), "{}", shown.out);
    watching.check_stats();
}

#[test]
fn a_deployment_is_approved_at_the_server() {
    let Some(watching) = Watching::new("deploy-approval") else { return };
    watching.fake.advance(300);
    let run = watching.newest();
    let id = id(&run);
    let shown = watching.cuelight(&["show", id]);
    assert!(shown.out.contains("waits for a review of production (maria, olu)"), "{}", shown.out);
    for (token, args, code, message) in [
        ("ghp_full", &["approve", "staging", "--run", id][..], 3, "it waits for production"),
        ("ghp_full", &["approve", "production", "--run", id], 2, "confirm it with --yes=production"),
        ("ghp_ines", &["approve", "production", "--run", id, "--yes=production"], 4, "production"),
        ("ghp_full", &["approve", "--all"], 3, "waits for a review"),
    ] {
        let said = watching.said(token, args);
        assert_eq!(said.code, Some(code), "{token} {args:?}: {}{}", said.out, said.error);
        assert!(said.error.contains(message), "{args:?}: {}", said.error);
    }
    let approve = ["approve", "production", "--run", id, "--yes=production", "--comment", "ship it"];
    let approved = watching.cuelight(&approve);
    assert_eq!(approved.code, Some(0), "{}", approved.error);
    watching.fake.advance(300);
    let twice = watching.cuelight(&approve);
    assert_eq!(twice.code, Some(3), "{}", twice.error);
    let shown = watching.cuelight(&["show", id]);
    assert!(shown.out.contains("Deploy to production  success"), "{}", shown.out);
    assert!(shown.out.contains("maria") && shown.out.contains("ship it"), "{}", shown.out);
    assert_eq!(watching.fake.value("/_fake/stats")["mutations"], 1);
    watching.check_stats();
}

#[test]
fn the_screen_lists_a_repository_of_a_server_and_approves_a_deployment() {
    let Some(watching) = Watching::new("deploy-approval") else { return };
    watching.fake.advance(300);
    let mut terminal = watching.screen();
    terminal.wait_for("◆ Deploy to production");
    terminal.press("a");
    terminal.wait_for("Review deployments");
    terminal.press("A");
    terminal.wait_for("Type production to approve it");
    terminal.press("production\r");
    until("the approval", || (watching.fake.value("/_fake/stats")["mutations"] == 1).then_some(()));
    watching.fake.advance(300);
    terminal.wait_for("Release 1.4.2 succeeded after");
    terminal.press("q");
    terminal.ends_restored();
    watching.check_stats();
}

#[test]
fn all_runs_of_a_commit_are_watched_until_the_last_has_ended() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(30);
    let run = watching.newest();
    let sha = run["sha"].as_str().expect("a commit");
    let watch = |args: &[&str]| {
        let args = [&["watch", sha, "-R", REPOSITORY], args].concat();
        watching.command("ghp_full", &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    };
    let lines = watch(&[]);
    watching.fake.advance(600);
    let lines = Said::from(lines.wait_with_output().expect("ends"));
    assert_eq!(lines.code, Some(1), "{} {}", lines.out, lines.error);
    let of = &sha[..7];
    for part in ["› Test  failure in", "› Lint  success in", &format!("2 runs of {of} of {REPOSITORY}: failure\n")]
    {
        assert!(lines.out.contains(part), "{part}: {}", lines.out);
    }
    assert!(lines.out.lines().all(|line| !line.contains('\u{1b}')), "{}", lines.out);
    let fast = Said::from(watch(&["--fail-fast", "--json"]).wait_with_output().expect("ends"));
    assert_eq!(fast.code, Some(1), "{} {}", fast.out, fast.error);
    let failed: Vec<Value> = fast.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(failed.iter().any(|line| line["job"] == "Test" && line["status"] == "failure"), "{}", fast.out);

    let nothing = "0".repeat(40);
    let none = watching.cuelight(&["watch", &nothing, "-R", REPOSITORY, "--timeout", "1s"]);
    assert_eq!(none.code, Some(6), "{} {}", none.out, none.error);
    assert!(none.error.contains("no run of 0000000 of aura/platform appeared in"), "{}", none.error);
    let unknown = watching.cuelight(&["watch", "no-such-branch", "-R", REPOSITORY]);
    assert_eq!(unknown.code, Some(3), "{}", unknown.error);
    let here = watching.cuelight(&["watch"]);
    assert_eq!(here.code, Some(2), "{}", here.error);
    assert!(here.error.contains("name a repository on a server with -R"), "{}", here.error);
    watching.check_stats();
}

#[test]
fn a_run_that_a_newer_one_replaced_is_not_a_failure() {
    let Some(watching) = Watching::new("fleet-small") else { return };
    watching.fake.advance(10);
    let replaced = watching.listed("tide/web").remove(0);
    let sha = replaced["sha"].as_str().expect("a commit").to_owned();
    watching.fake.advance(600);
    let watched = watching.cuelight(&["watch", &sha, "-R", "tide/web"]);
    assert_eq!(watched.code, Some(0), "{} {}", watched.out, watched.error);
    assert!(watched.out.contains("cancelled") && watched.out.contains("to a newer run"), "{}", watched.out);
}

#[test]
fn runs_that_meet_conditions_are_listed_however_old_they_are() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    let path = format!("/repos/{REPOSITORY}/actions/runs?per_page=100");
    let of = |query: &str| {
        let mut found = Vec::new();
        for page in 1.. {
            let answer = watching.fake.value(&format!("{path}&page={page}{query}"));
            let runs = answer["workflow_runs"].as_array().expect("runs").clone();
            let is_last = runs.len() < 100;
            found.extend(runs);
            if is_last {
                return found;
            }
        }
        unreachable!("the pages end")
    };
    let all = of("");
    let oldest = all.last().expect("a run");
    assert!(all.len() > 40, "more than are listed unasked: {}", all.len());
    let text = |field: &str| oldest[field].as_str().expect("text");
    let (sha, branch, actor) =
        (text("head_sha"), text("head_branch"), oldest["actor"]["login"].as_str().expect("text"));
    let ids = |said: &Said| -> BTreeSet<u64> {
        let runs = said.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        runs.map(|run| run["remote"]["id"].as_u64().expect("a number")).collect()
    };
    for (args, query) in [
        (["--branch", branch], format!("&branch={branch}")),
        (["--event", "push"], "&event=push".to_owned()),
        (["--status", "failure"], "&status=failure".to_owned()),
        (["--actor", actor], format!("&actor={actor}")),
        (["--commit", sha], format!("&head_sha={sha}")),
    ] {
        let expected: BTreeSet<u64> = of(&query).iter().map(|run| run["id"].as_u64().expect("a number")).collect();
        let args = [&["runs", "-R", REPOSITORY, "--json", "-n", "1000"][..], &args].concat();
        let said = watching.cuelight(&args);
        assert_eq!(said.code, Some(0), "{args:?}: {}", said.error);
        let listed = ids(&said);
        assert_eq!(listed, expected, "{args:?}");
        assert!(!listed.is_empty() && listed.len() < all.len(), "{args:?}");
    }
    let date = &all[all.len() / 2]["created_at"].as_str().expect("a time")[..10];
    let later = all.iter().filter(|run| run["created_at"].as_str().expect("a time") >= date);
    let expected: BTreeSet<u64> = later.map(|run| run["id"].as_u64().expect("a number")).collect();
    assert!(expected.len() < all.len(), "{date}");
    let args = ["runs", "-R", REPOSITORY, "--json", "-n", "1000", "--since", date, "--workflow"];
    let listed = |workflow| {
        // The day begins at its midnight in the time zone of this machine.
        let mut command = watching.command("ghp_full", &[&args[..], &[workflow]].concat());
        let said = Said::from(command.env("TZ", "UTC").output().expect("starts"));
        assert_eq!(said.code, Some(0), "{workflow}: {}", said.error);
        ids(&said)
    };
    assert_eq!((listed("ci"), listed("deploy")), (expected, BTreeSet::new()), "since {date}");
    let nothing = watching.cuelight(&["runs", "-R", REPOSITORY, "--actor", "nobody-at-all"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(0), "No run matches.\n"), "{}", nothing.error);
    watching.check_stats();
}

#[test]
fn a_run_that_waits_is_explained_with_what_holds_it() {
    let Some(watching) = Watching::new("blocked-by-review") else { return };
    watching.fake.advance(120);
    let runs = watching.listed("lantern/post");
    let explained = watching.cuelight(&["explain", id(&runs[0])]);
    assert_eq!(explained.code, Some(0), "{}", explained.error);
    for part in [
        "Ship #210 holds the group ship-main (lantern/post/17000000001), since ",
        "and waits for a review of public (olu, rosa)",
        " lantern/post/17000000001\n",
    ] {
        assert!(explained.out.contains(part), "{part}: {}", explained.out);
    }
    let json = watching.cuelight(&["explain", id(&runs[0]), "--json"]);
    let wait: Value = serde_json::from_str(json.out.lines().next().expect("a line")).expect("JSON");
    assert_eq!(wait["wait"]["holder"]["reviews"].as_array().map(Vec::len), Some(0), "only olu and rosa may: {wait}");
    watching.check_stats();

    let Some(watching) = Watching::new("fleet-small") else { return };
    watching.fake.advance(60);
    let run = watching.listed("tide/model").remove(0);
    let explained = watching.cuelight(&["explain", id(&run)]);
    assert!(explained.out.contains("tpu") && explained.out.contains("is offline"), "{}", explained.out);
    watching.check_stats();
}

#[test]
fn a_run_in_progress_is_expected_to_take_as_long_as_the_last_good_ones() {
    let Some(watching) = Watching::new("ci-green") else { return };
    watching.fake.advance(40);
    let runs = watching.listed(REPOSITORY);
    let current = watching.cuelight(&["show", id(&runs[0])]);
    assert!(current.out.contains("in_progress") || current.out.contains("running"), "{}", current.out);
    let is_good = |run: &&Value| run["status"] == "success" && run["workflow"] == runs[0]["workflow"];
    let good = runs.iter().find(is_good).expect("a run that succeeded");
    assert_eq!(watching.cuelight(&["show", id(good)]).code, Some(0));
    let again = watching.cuelight(&["show", id(&runs[0])]);
    assert!(again.out.contains(" left, based on the last successful runs"), "{}", again.out);
}

#[test]
fn artifacts_of_a_server_are_listed_and_downloaded_as_they_are() {
    let Some(watching) = Watching::new("hostile") else { return };
    watching.fake.advance(3_000);
    let has_some = |run: &Value| {
        let said = watching.cuelight(&["artifacts", id(run), "--json"]);
        assert_eq!(said.code, Some(0), "{}", said.error);
        (said.out.lines().count() > 1).then(|| id(run).to_owned())
    };
    let run = watching.listed("mallory/evil").iter().find_map(has_some).expect("a run with artifacts");
    let into = watching.project.home().join("got");
    let download =
        |name: &str| watching.cuelight(&["artifacts", &run, "--dir", into.to_str().expect("text"), "--download", name]);
    let slip = download("slip");
    assert_eq!(slip.code, Some(0), "{}", slip.error);
    assert!(fs::read(into.join("slip.zip")).expect("downloaded").starts_with(b"PK"));
    for (name, code, message) in [
        ("slip", 2, "exists already"),
        ("../../name", 4, "is not a valid file name"),
        ("old", 3, "410"),
        ("none", 3, "no artifact `none`"),
    ] {
        let said = download(name);
        assert_eq!(said.code, Some(code), "{name}: {}", said.error);
        assert!(said.error.contains(message), "{name}: {}", said.error);
    }
    assert_eq!(fs::read_dir(&into).expect("a folder").count(), 1);
    let delete = |name: &str| watching.cuelight(&["artifacts", &run, "--delete", name]);
    let unknown = delete("none");
    assert_eq!(unknown.code, Some(3), "{}", unknown.error);
    let deleted = delete("slip");
    assert_eq!((deleted.code, deleted.out.as_str()), (Some(0), "slip\n"), "{}", deleted.error);
    assert!(!watching.cuelight(&["artifacts", &run]).out.contains("slip"), "it is gone from the server");
    watching.check_stats();
}
