//! `approve` and `reject` on a run of a server that another program mirrors. That program answers on a real control
//! socket.

use std::fs::File;
use std::process::Output;
use std::thread;

use cuelight::launch;
use cuelight::model::testing::{PRODUCTION, STAGING, two_reviews};
use cuelight::model::{Command, Event, Reply, RunInfo, Timestamp};
use cuelight::store::clock::now;
use cuelight::store::folder::{RunFolder, RunsDir};
use cuelight::store::history;
use cuelight::store::journal::JournalWriter;
use cuelight::store::spec::{RemoteSpec, RunSpec};
use cuelight::worker::control;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::project::Project;

/// A run that waits for reviews, in the state folder of a project.
struct Waiting {
    project: Project,
    folder: RunFolder,
    lock: File,
}

impl Waiting {
    fn new() -> Self {
        let project = Project::of_jobs("  a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n");
        let (folder, lock) = RunsDir::at(project.state()).create_locked(now()).expect("made");
        let info = RunInfo {
            repository: launch::home(&project.root()).expect("a repository").name,
            workflow: ".github/workflows/deploy.yml".to_owned(),
            event: "push".to_owned(),
            created: now(),
            ..RunInfo::default()
        };
        let remote = RemoteSpec {
            host: "github.com".to_owned(),
            repository: info.repository.clone(),
            id: 17_000_000_001,
            ..RemoteSpec::default()
        };
        RunSpec::of_remote(info, remote).write(&folder).expect("written");
        history::begin(&folder).expect("marked");
        let mut journal = JournalWriter::open(folder.journal()).expect("made");
        for record in two_reviews(Timestamp(now().0 - 3_700_000)).records {
            journal.append(record.at, record.event).expect("written");
        }
        Self { project, folder, lock }
    }

    /// Acts as the program that watches the run: answers one command, and records it with the answer. Returns the
    /// command.
    fn answer(&self, reply: &Reply) -> thread::JoinHandle<Command> {
        let (folder, reply) = (self.folder.clone(), reply.clone());
        let (listening, listens) = std::sync::mpsc::channel();
        let watcher = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = control::bind(&folder.socket()).expect("binds");
                listening.send(()).expect("the test waits");
                let (asked, mut commands) = mpsc::channel::<control::PendingCommand>(1);
                let (_grow, grown) = watch::channel(0);
                let server = tokio::spawn(control::serve(listener, asked, grown, std::sync::Arc::new(|_| None)));
                let (command, answer) = commands.recv().await.expect("a command");
                let mut journal = JournalWriter::open(folder.journal()).expect("opened");
                let event = Event::Ordered { command: command.clone(), reply: reply.clone(), by: None };
                journal.append(now(), event).expect("written");
                answer.send(reply).expect("the client waits");
                drop(commands);
                server.await.expect("ends");
                command
            })
        });
        listens.recv().expect("it listens");
        watcher
    }

    fn cuelight(&self, args: &[&str]) -> Output {
        self.project.command(args).output().expect("starts")
    }

    /// Runs a command, and returns its exit code and standard error.
    fn fails(&self, args: &[&str]) -> (Option<i32>, String) {
        let done = self.cuelight(args);
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    }

    fn id(&self) -> &str {
        self.folder.id().as_str()
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_review_is_sent_to_the_program_that_watches_the_run() {
    let run = Waiting::new();
    let watcher = run.answer(&Reply::Accepted);
    let done =
        run.cuelight(&["approve", "staging", "production", "--yes=production", "--comment", "ship it", "--json"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let answer: Value = serde_json::from_str(&printed(&done)).expect("JSON");
    let expected = json!({
        "run": run.id(), "environments": ["staging", "production"], "approve": true, "comment": "ship it",
        "accepted": true, "reason": null,
    });
    assert_eq!(answer, expected);
    let command =
        Command::Review { environments: vec![STAGING, PRODUCTION], approve: true, comment: "ship it".to_owned() };
    assert_eq!(watcher.join().expect("ends"), command);
    assert!(printed(&run.cuelight(&["show", run.id()])).contains("waits for a review of canary"));
    let (code, message) = run.fails(&["approve", "staging"]);
    assert_eq!(code, Some(3), "{message}");

    let watcher = run.answer(&Reply::Rejected { reason: "the server answered 403".to_owned() });
    let waiting = two_reviews(now()).records.pop().expect("the pending reviews");
    JournalWriter::open(run.folder.journal()).expect("opened").append(now(), waiting.event).expect("written");
    let done = run.cuelight(&["reject", "--all", "--yes=production", "--run", run.id(), "--json"]);
    let answer: Value = serde_json::from_str(&printed(&done)).expect("JSON");
    assert_eq!((done.status.code(), &answer["accepted"]), (Some(4), &json!(false)));
    assert_eq!(
        (&answer["reason"], &answer["environments"]),
        (&json!("the server answered 403"), &json!(["staging", "production"]))
    );
    assert!(matches!(watcher.join().expect("ends"), Command::Review { approve: false, .. }));
}

#[test]
fn a_review_that_is_not_possible_is_refused_in_words() {
    let run = Waiting::new();
    let id = run.id();
    for (args, code, message) in [
        (&["approve", "stagin"][..], 3, "no environment `stagin` of ID waits for a review; did you mean `staging`?"),
        (
            &["approve", "qa"],
            3,
            "no environment `qa` of ID waits for a review; it waits for staging, canary, production",
        ),
        (&["approve", "canary"], 4, "canary: you may not approve your own deployment"),
        (
            &["approve", "production"],
            2,
            "production is a production environment by its name: confirm it with --yes=production",
        ),
        (&["reject", "production", "--yes=prod"], 2, "confirm it with --yes=production"),
        (&["approve"], 2, "name the environments, or give --all"),
    ] {
        let (found, error) = run.fails(args);
        assert_eq!(found, Some(code), "{args:?}: {error}");
        assert!(error.contains(&message.replace("ID", id)), "{args:?}: {error}");
    }
    let shown = printed(&run.cuelight(&["show", run.id()]));
    assert!(shown.contains("waits for a review of production (maria, olu) for 1:"), "{shown}");
    assert!(shown.contains(&format!("cuelight approve production --run {id}")), "{shown}");
    assert!(shown.contains("you may not approve your own deployment"), "{shown}");
    let explained = printed(&run.cuelight(&["explain", run.id(), "production"]));
    assert!(explained.contains(&format!("cuelight approve production --run {id}")), "{explained}");
    let listed = printed(&run.cuelight(&["runs"]));
    assert!(listed.contains("needs review") && listed.contains("staging (maria, olu) for 1:"), "{listed}");
    let document: Value = serde_json::from_str(&printed(&run.cuelight(&["show", run.id(), "--json"]))).expect("JSON");
    assert_eq!(document["status"], "waiting");
    let canary = &document["reviews"][1];
    assert_eq!((&canary["environment"], &canary["may_review"]), (&json!("canary"), &json!(false)));
    assert_eq!(canary["refusal"], "you may not approve your own deployment");

    // Now no run waits.
    let Waiting { project, folder, lock } = run;
    let ended = Event::RunFinished { conclusion: cuelight::model::Conclusion::Success, reason: None };
    JournalWriter::open(folder.journal()).expect("opened").append(now(), ended).expect("written");
    history::finish(&folder, &history::read(&folder).expect("read")).expect("finished");
    drop(lock);
    for (args, message) in [
        (&["approve", "staging"][..], "waits for a review"),
        (&["approve", "staging", "--run", folder.id().as_str()], "the run has ended"),
        (&["approve", "--all", "--run", "20200101"], "no run"),
    ] {
        let done = project.command(args).output().expect("starts");
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(3), "{args:?}: {error}");
        assert!(error.contains(message), "{args:?}: {error}");
    }
}
