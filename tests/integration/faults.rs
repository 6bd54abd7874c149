//! A server that fails in every way for minutes. No command that watches it may end, nothing may be done twice, and the
//! final state must be true.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::thread::{scope, sleep};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_github::Way;
use crate::project::until;
use crate::servers::{REPOSITORY, Said, Watching, id};

/// Every kind of fault of the fake server.
const FAULTS: [&str; 13] = [
    "status",
    "html",
    "secondary",
    "429",
    "primary",
    "sso",
    "slow",
    "slow_body",
    "reset",
    "reset_body",
    "malformed",
    "nulls",
    "unknown",
];

/// Share of the requests that fail.
const RATE: f64 = 0.3;

/// Number of times that the server's clock is moved during each kind of fault. The next constant is the number of
/// seconds. Together they are five minutes.
const MOVES: u64 = 5;
const SECONDS: u64 = 5;

/// Time between two moves of the clock.
const PAUSE: Duration = Duration::from_millis(250);

/// Number of requests that fail in each way, at least.
const FAILURES: u64 = 4;

/// Maximum difference between the clocks of a server and of this machine.
const CLOCKS: Duration = Duration::from_mins(5);

/// Returns a state without times, lines and ids of this machine: name, state and steps of each job of the current
/// attempt.
fn outline(run: &Value) -> Value {
    let steps = |job: &Value| {
        let steps = job["steps"].as_array().into_iter().flatten();
        steps.map(|step| json!([step["number"], step["name"], step["status"]])).collect::<Vec<_>>()
    };
    let jobs = run["jobs"].as_array().into_iter().flatten();
    let jobs: BTreeMap<&str, Value> =
        jobs.map(|job| (job["name"].as_str().unwrap_or(""), json!([job["status"], steps(job)]))).collect();
    json!({"status": run["status"], "attempt": run["attempt"], "jobs": jobs})
}

/// Returns the state of a run that a program with this state folder shows.
fn shown(watching: &Watching, run: &str) -> Value {
    let said = watching.cuelight(&["show", run, "--json"]);
    assert_eq!(said.code, Some(0), "{run}: {}", said.error);
    serde_json::from_str(&said.out).expect("JSON")
}

/// Returns the requested changes by path, each with the status of its answer.
fn changes(watching: &Watching) -> BTreeMap<String, Vec<u64>> {
    let journal = watching.fake.value("/_fake/requests");
    let mut changes = BTreeMap::<String, Vec<u64>>::new();
    for request in journal.as_array().expect("a journal").iter().filter(|request| request["method"] != "GET") {
        let path = request["path"].as_str().expect("a path").to_owned();
        changes.entry(path).or_default().push(request["status"].as_u64().expect("a status"));
    }
    changes
}

/// Returns the number of requests that failed.
fn failures(watching: &Watching) -> u64 {
    watching.fake.value("/_fake/stats")["faults"].as_u64().expect("a number")
}

#[test]
fn nothing_ends_and_nothing_is_done_twice_while_a_server_fails_in_every_way() {
    let Some(watching) = Watching::at("ci-failing", &["--start", "now", "--rate-window", "2"]) else { return };
    watching.fake.advance(5);
    let listed = watching.listed(REPOSITORY);
    let run = id(&listed[0]).to_owned();
    assert_eq!(listed[0]["status"], "in_progress", "{}", listed[0]);
    let mut ended = listed.iter().filter(|run| run["status"] == "success");
    let looked_at = listed.iter().find(|run| run["status"] == "failure").expect("a run that failed");

    let mut screen = watching.screen();
    screen.wait_for("● running");
    let follower = watching.command("ghp_full", &["attach", &run]).stdout(Stdio::piped()).spawn().expect("starts");

    let mut reruns: Vec<(u64, Child)> = Vec::new();
    for kind in FAULTS {
        let fault =
            json!({"match": " /", "kind": kind, "rate": RATE, "status": 502, "retry_after": 1, "delay_ms": 100});
        watching.fake.control("/_fake/faults", fault);
        let old = ended.next().expect("runs that succeeded");
        let mut again = watching.command("ghp_full", &["rerun", id(old), "--detach"]);
        let again = again.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        reruns.push((old["remote"]["id"].as_u64().expect("a number"), again));
        let before = failures(&watching);
        for _ in 0..MOVES {
            watching.fake.advance(SECONDS);
            sleep(PAUSE);
        }
        // A machine that is slow has sent fewer requests by now.
        until(kind, || {
            let is_enough = failures(&watching) >= before + FAILURES;
            is_enough.then_some(()).or_else(|| {
                let said = watching.cuelight(&["show", id(looked_at)]);
                assert_eq!(said.code, Some(0), "{kind}: {}", said.error);
                None
            })
        });
        let (status, ..) = watching.fake.send("DELETE", "/_fake/faults", "application/json", "");
        assert!(status < 300, "{status}");
        // The screen accepts keys meanwhile.
        screen.press("1/zz");
        screen.wait_for("/zz");
        // The filter is cleared and confirmed. Escape would be read together with the next key.
        screen.press("\u{15}\r");
    }
    // This is the oldest run, far from the selected one: the screen does not mirror it.
    let other = id(ended.next_back().expect("another run")).to_owned();
    let answers: Vec<(u64, Said)> =
        reruns.into_iter().map(|(run, child)| (run, child.wait_with_output().expect("ends").into())).collect();

    // First the connection breaks off, then the server does not speak HTTP. The screen shows the age of its data.
    // Selecting another run requests that run at once.
    for way in [Way::Dead, Way::Garbage] {
        watching.fake.go(way);
        screen.press("1j");
        screen.wait_for("stale ");
        let (watching, other) = (&watching, other.as_str());
        // Beside each other: each takes seconds.
        scope(|scope| {
            for (args, note) in [
                (vec!["show", other], "; showing the last known state of "),
                (vec!["runs", "-R", REPOSITORY], "; showing the runs that were fetched earlier"),
            ] {
                // Data that the screen received a moment ago is used until the server may be asked again.
                let failed = move || {
                    let said = watching.cuelight(&args);
                    assert_eq!(said.code, Some(0), "{way:?} {args:?}: {}", said.error);
                    assert!(said.error.is_empty() || said.error.contains(note), "{way:?} {args:?}: {}", said.error);
                    said.error.contains(note).then_some(())
                };
                scope.spawn(move || until(note, failed));
            }
        });
        watching.fake.go(Way::Open);
        screen.press("1k");
        screen.wait_for("connected again");
    }
    // The name of the first server cannot be resolved, and the second does not speak TLS.
    for (api, reason) in [
        ("https://github.cuelight.invalid".to_owned(), "cannot reach github.cuelight.invalid: "),
        (format!("https://{}", watching.fake.counted()), "cannot reach 127.0.0.1:"),
    ] {
        watching.project.configure(&format!("[github]\napi_url = \"{api}\"\n"));
        for (args, code, message) in [
            (&["runs", "-R", REPOSITORY][..], 0, reason),
            (&["show", &other], 0, "; showing the last known state of "),
            (&["rerun", &other, "--detach"], 5, reason),
        ] {
            let said = watching.cuelight(args);
            assert_eq!(said.code, Some(code), "{api} {args:?}: {}{}", said.out, said.error);
            assert!(said.error.contains(message), "{api} {args:?}: {}", said.error);
        }
    }
    watching.configure();

    // The clock of the server is now minutes ahead, and everything ends.
    watching.fake.advance(900);
    let followed = Said::from(follower.wait_with_output().expect("ends"));
    assert_eq!(followed.code, Some(1), "{}{}", followed.out, followed.error);
    assert!(followed.out.contains("✗ failure in"), "{}", followed.out);
    screen.wait_for("✗ failure");
    screen.press("q");
    screen.ends_restored();

    let changes = changes(&watching);
    assert!(changes.values().all(|answers| answers.len() == 1), "each change was sent once: {changes:?}");
    let mut accepted = 0;
    for (number, said) in &answers {
        let path = format!("/repos/{REPOSITORY}/actions/runs/{number}/rerun");
        let sent = changes.get(&path).map_or(0, |answers| answers[0]);
        assert!(matches!(said.code, Some(0 | 5)), "{number}: {}{}", said.out, said.error);
        assert!(said.code != Some(0) || sent == 201, "{number}: {sent} {}", said.error);
        accepted += usize::from(said.code == Some(0));
    }
    assert!(accepted >= FAULTS.len() / 3, "{accepted} of {} were carried out", FAULTS.len());

    // The known state is the same as the state that a new user sees.
    let newcomer = Watching::of(&watching.fake);
    let states = |watching: &Watching| -> BTreeSet<String> {
        let runs = watching.listed(REPOSITORY);
        runs.iter().map(|run| json!([run["remote"]["id"], run["status"], run["attempt"]]).to_string()).collect()
    };
    until("the same list", || (states(&watching) == states(&newcomer)).then_some(()));
    let watched = [&listed[0], looked_at].map(|run| run["remote"]["id"].as_u64().expect("a number"));
    for number in answers.iter().map(|(number, _)| *number).chain(watched) {
        let name = format!("{REPOSITORY}/{number}");
        assert_eq!(outline(&shown(&watching, &name)), outline(&shown(&newcomer, &name)), "{name}");
        let truth = watching.fake.value(&format!("/repos/{REPOSITORY}/actions/runs/{number}"));
        assert!(truth["run_attempt"].as_u64().is_some_and(|attempt| attempt <= 2), "{truth}");
    }
    let stats = watching.fake.value("/_fake/stats");
    assert_eq!((&stats["blob_auth_refused"], &stats["bugs"]), (&json!(0), &json!(0)), "{stats}");
}

#[test]
fn a_server_whose_clock_is_five_minutes_off_is_followed_to_the_end() {
    let now = jiff::Timestamp::now();
    for start in [now - CLOCKS, now + CLOCKS] {
        let start = start.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let Some(watching) = Watching::at("ci-green", &["--start", &start]) else { return };
        watching.fake.advance(5);
        let run = watching.newest();
        assert_eq!(run["status"], "in_progress", "{start}: {run}");
        let follower =
            watching.command("ghp_full", &["attach", id(&run)]).stdout(Stdio::piped()).spawn().expect("starts");
        watching.fake.advance(900);
        let followed = Said::from(follower.wait_with_output().expect("ends"));
        assert_eq!(followed.code, Some(0), "{start}: {}", followed.out);
        let shown = watching.cuelight(&["show", id(&run)]);
        assert!(shown.code == Some(0) && shown.error.is_empty(), "{start}: {}", shown.error);
        watching.check_stats();
    }
}
