//! Tests of the backend with a scripted state folder.

use std::fs;
use std::path::Path;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::backend;
use crate::backend::Connected;
use crate::launch::trust;
use crate::model::feed::Notice;
use crate::model::testing;
use crate::model::testing::run_started as started;
use crate::model::{Conclusion, EndReason, Event, HeldOrder, StepNumber};
use crate::repo::git::{Repository, git};
use crate::store::folder::RunFolder;
use crate::store::journal::JournalWriter;
use crate::store::lock;
use crate::store::spec::{RunSpec, WorkflowSpec};
use crate::worker::control;

/// How long a report may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A state folder, a repository, and a backend that serves them.
struct Scripted {
    home: tempfile::TempDir,
    runs: RunsDir,
    connected: Option<Connected>,
}

impl Scripted {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path().join("state"));
        fs::create_dir_all(home.path().join("repository/.github/workflows")).expect("made");
        Self { home, runs, connected: None }
    }

    fn repository(&self) -> PathBuf {
        self.home.path().join("repository")
    }

    /// Makes the folder a git repository with one workflow.
    fn with_workflow(self) -> Self {
        let root = self.repository();
        let text = "on: push\njobs: {a: {runs-on: x, steps: [{run: echo shown}]}}\n";
        fs::write(root.join(".github/workflows/ci.yml"), text).expect("written");
        git(&root, ["init", "--quiet", "--initial-branch", "main"]).expect("git");
        self
    }

    /// Creates a run at a time, with records of these events.
    fn run(&self, at: u64, events: impl IntoIterator<Item = Event>) -> RunFolder {
        let folder = self.runs.create(Timestamp(at)).expect("made");
        let info = testing::info(folder.id().clone(), Timestamp(at));
        RunSpec::of_workflow(info, WorkflowSpec::default()).write(&folder).expect("written");
        append(&folder, events);
        folder
    }

    /// Starts to serve, and returns the first reports.
    async fn serve(&mut self) -> Vec<Feed> {
        let local = Local::new(self.runs.clone(), self.repository());
        self.connected = Some(backend::connect(Box::new(local)));
        self.until(|report| matches!(report, Feed::Startable(_))).await
    }

    async fn send(&self, request: Request) {
        self.connected.as_ref().expect("served").requests.send(request).await.expect("served");
    }

    async fn next(&mut self) -> Feed {
        let feed = &mut self.connected.as_mut().expect("served").feed;
        tokio::time::timeout(PATIENCE, feed.recv()).await.expect("in time").expect("a report")
    }

    /// Returns the reports up to the first one for which `is_last` holds.
    async fn until(&mut self, is_last: impl Fn(&Feed) -> bool) -> Vec<Feed> {
        let mut reports = Vec::new();
        loop {
            let report = self.next().await;
            let ends = is_last(&report);
            reports.push(report);
            if ends {
                return reports;
            }
        }
    }

    /// Returns the text of the next notice.
    async fn notice(&mut self) -> String {
        match self.until(|report| matches!(report, Feed::Notice(_))).await.pop() {
            Some(Feed::Notice(Notice { text, .. })) => text,
            other => panic!("{other:?}"),
        }
    }
}

fn append(folder: &RunFolder, events: impl IntoIterator<Item = Event>) {
    let mut journal = JournalWriter::open(folder.journal()).expect("opened");
    for event in events {
        journal.append(Timestamp(9), event).expect("written");
    }
}

fn ended(conclusion: Conclusion) -> Event {
    Event::RunFinished { conclusion, reason: None }
}

fn success() -> [Event; 2] {
    [started(1), ended(Conclusion::Success)]
}

/// Returns the ids of the runs in the last page, newest first, and whether there are more.
fn page_of(reports: &[Feed]) -> (Vec<RunId>, bool) {
    let page = reports.iter().rev().find_map(|report| match report {
        Feed::Listed { runs, more, .. } => Some((runs.iter().map(|run| run.info.id.clone()).collect(), *more)),
        _ => None,
    });
    page.expect("a page")
}

/// Starts a worker that holds a run's lock and accepts every command.
fn worker(folder: &RunFolder) -> (fs::File, mpsc::Receiver<control::PendingCommand>, JoinHandle<()>) {
    let lock = lock::take_free(&folder.lock());
    let (orders, ordered) = mpsc::channel(4);
    let (_, growing) = watch::channel(0);
    let listener = control::bind(&folder.socket()).expect("bound");
    (lock, ordered, tokio::spawn(control::serve(listener, orders, growing, Arc::new(|_| None))))
}

#[tokio::test]
async fn runs_are_listed_in_pages() {
    let mut scripted = Scripted::new();
    let mut ids: Vec<RunId> = (1..4).map(|at| scripted.run(at * 1000, success()).id().clone()).collect();
    ids.reverse();
    let reports = scripted.serve().await;
    assert_eq!(page_of(&reports), (ids.clone(), false));
    assert!(matches!(reports.last(), Some(Feed::Startable(workflows)) if workflows.is_empty()));
    assert!(!reports.iter().any(|report| matches!(report, Feed::Connection(_))), "live is the default");
    scripted.send(Request::ListMore { before: ids[0].clone(), limit: 1, of: None }).await;
    let reports = scripted.until(|report| matches!(report, Feed::Listed { more: true, .. })).await;
    assert_eq!(page_of(&reports), (ids[1..2].to_vec(), true));
}

#[tokio::test]
async fn runs_of_other_programs_are_listed_and_removed_ones_reported() {
    let mut scripted = Scripted::new();
    let first = scripted.run(1000, success());
    scripted.serve().await;
    let second = scripted.run(2000, success());
    let is_listed = |report: &Feed| matches!(report, Feed::Listed { runs, .. } if runs.len() == 2);
    let reports = scripted.until(is_listed).await;
    assert_eq!(page_of(&reports).0, [second.id().clone(), first.id().clone()]);
    fs::remove_dir_all(first.path()).expect("removed");
    let reports = scripted.until(|report| matches!(report, Feed::Removed(_))).await;
    assert!(matches!(reports.last(), Some(Feed::Removed(run)) if run == first.id()));
}

#[tokio::test]
async fn a_run_is_followed_and_so_is_a_new_attempt_of_another_program() {
    let mut scripted = Scripted::new();
    let folder = scripted.run(1000, success());
    scripted.serve().await;
    scripted.send(Request::Follow(folder.id().clone())).await;
    let has_end = |report: &Feed| match report {
        Feed::Records { records, .. } => records.iter().any(|record| record.seq == 2),
        _ => false,
    };
    let reports = scripted.until(has_end).await;
    let opened = reports.iter().position(|report| matches!(report, Feed::Opened(info) if info.id == *folder.id()));
    assert!(opened.is_some(), "{reports:?}");
    // Another process runs the attempt: it is visible only in its records and in the state folder.
    append(&folder, [started(2), ended(Conclusion::Failure)]);
    fs::write(scripted.runs.state().join("launched"), folder.id().as_str()).expect("written");
    let is_second = |report: &Feed| match report {
        Feed::Records { records, .. } => records.iter().any(|record| record.seq == 4),
        _ => false,
    };
    scripted.until(is_second).await;
}

#[tokio::test]
async fn a_lost_run_is_closed_while_the_screen_is_open() {
    let mut scripted = Scripted::new();
    let folder = scripted.run(1000, [started(1)]);
    scripted.serve().await;
    let is_closed = |report: &Feed| match report {
        Feed::Listed { runs, .. } => runs.iter().any(|run| run.reason == Some(EndReason::WorkerLost)),
        _ => false,
    };
    scripted.until(is_closed).await;
    assert!(history::read(&folder).expect("read").phase.is_done());
}

#[tokio::test]
async fn commands_are_answered_and_impossible_ones_refused() {
    let mut scripted = Scripted::new();
    let (past, alive) = (scripted.run(1000, success()), scripted.run(2000, [started(1)]));
    let (_lock, mut ordered, _server) = worker(&alive);
    scripted.serve().await;
    let reply = |reports: Vec<Feed>| match reports.into_iter().next_back() {
        Some(Feed::Replied { reply, .. }) => reply,
        other => panic!("{other:?}"),
    };
    let is_reply = |report: &Feed| matches!(report, Feed::Replied { .. });
    scripted.send(Request::Submit { run: past.id().clone(), command: Command::Cancel }).await;
    let refused = reply(scripted.until(is_reply).await);
    assert!(matches!(&refused, Reply::Rejected { reason } if reason.contains("has ended")), "{refused:?}");
    let answering = tokio::spawn(async move {
        let (command, answer) = ordered.recv().await.expect("a command");
        answer.send(Reply::Accepted).expect("awaited");
        (command, ordered)
    });
    scripted.send(Request::Submit { run: alive.id().clone(), command: Command::Cancel }).await;
    assert_eq!(reply(scripted.until(is_reply).await), Reply::Accepted);
    assert_eq!(answering.await.expect("answered").0, Command::Cancel);

    scripted.send(Request::Delete(alive.id().clone())).await;
    let text = scripted.notice().await;
    assert!(text.contains(alive.id().as_str()) && alive.path().is_dir(), "{text}");
    // A process that another test starts has a copy of the run's lock until its exec. The run is in progress meanwhile.
    let mut tries = 0;
    while past.path().exists() {
        assert!(tries < 500, "the run is not deleted");
        tries += 1;
        scripted.send(Request::Delete(past.id().clone())).await;
        let is_answer = |report: &Feed| matches!(report, Feed::Notice(_) | Feed::Removed(_));
        let answer = scripted.until(is_answer).await.pop();
        assert!(!past.path().exists() || matches!(answer, Some(Feed::Notice(_))), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_order_for_a_held_step_waits_until_no_sync_brings_files_to_its_job() {
    let mut scripted = Scripted::new();
    let (job, step) = (JobId::new("a"), StepNumber(1));
    let alive = scripted.run(
        1000,
        [
            started(1),
            Event::JobsPlanned { jobs: vec![testing::outline("a", "a", &[])], replaces: None },
            Event::JobStarted { job: job.clone(), name: "a".to_owned(), sandbox: "host".to_owned(), environment: None },
            Event::StepStarted { job: job.clone(), step, name: "x".to_owned() },
            Event::StepHeld {
                job: job.clone(),
                step,
                reason: Some("exit code 1".to_owned()),
                until: Timestamp(u64::MAX),
            },
        ],
    );
    let note = alive.checkouts(&job);
    fs::create_dir_all(alive.checkpoints()).and_then(|()| fs::write(&note, "[]")).expect("written");
    let (_lock, mut ordered, _server) = worker(&alive);
    let sync_of_another_process = lock::take_free(&note.with_extension("lock"));
    scripted.serve().await;
    let run = alive.id().clone();
    scripted.send(Request::SyncHeld { run: run.clone(), job: job.clone() }).await;
    let command = Command::Held { job, step, order: HeldOrder::Retry };
    scripted.send(Request::Submit { run, command: command.clone() }).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(ordered.try_recv().is_err(), "the files are half brought");
    drop(sync_of_another_process);
    let answering = tokio::spawn(async move {
        let (command, answer) = ordered.recv().await.expect("a command");
        answer.send(Reply::Accepted).expect("awaited");
        (command, ordered)
    });
    let reports = scripted.until(|report| matches!(report, Feed::Replied { .. })).await;
    assert!(matches!(reports.last(), Some(Feed::Replied { reply: Reply::Accepted, .. })), "{reports:?}");
    assert_eq!(answering.await.expect("answered").0, command);
    let is_synced = |report: &Feed| matches!(report, Feed::Notice(notice) if notice.text.contains("not checked out"));
    assert!(reports.iter().any(is_synced), "the sync was ordered first: {reports:?}");
}

#[tokio::test]
async fn nothing_starts_in_a_repository_that_is_not_trusted() {
    let mut scripted = Scripted::new().with_workflow();
    let reports = scripted.serve().await;
    assert!(matches!(reports.last(), Some(Feed::Startable(workflows)) if workflows.len() == 1));
    let start = Request::Start {
        workflow: ".github/workflows/ci.yml".to_owned(),
        event: "push".to_owned(),
        inputs: Vec::new(),
        secrets: Vec::new(),
        sandbox: None,
    };
    let mut questions = Vec::new();
    for request in [start, Request::WatchFiles { workflow: None }] {
        scripted.send(request).await;
        let reports = scripted.until(|report| matches!(report, Feed::Untrusted { .. })).await;
        let Some(Feed::Untrusted { question, preview }) = reports.into_iter().next_back() else { panic!("a question") };
        assert!(preview.lines(false).iter().any(|line| line.contains("echo shown")), "{preview:?}");
        questions.push(question);
    }
    scripted.send(Request::Trust { question: questions[0] }).await;
    assert_eq!(scripted.notice().await, "another start was requested meanwhile: try again");
    assert!(scripted.runs.list().expect("listed").is_empty());
    // The second question is about watch mode, which starts with the answer.
    scripted.send(Request::Trust { question: questions[1] }).await;
    let reports = scripted.until(|report| matches!(report, Feed::Watching(_))).await;
    assert!(matches!(reports.last(), Some(Feed::Watching(Some(_)))));
    scripted.send(Request::StopWatching).await;
    scripted.until(|report| matches!(report, Feed::Watching(None))).await;
}

#[tokio::test]
async fn errors_of_a_workflow_are_reported_in_one_line() {
    let mut scripted = Scripted::new().with_workflow();
    fs::write(scripted.repository().join(".github/workflows/ci.yml"), "on: push\njobs: [\n").expect("written");
    scripted.serve().await;
    let start = Request::Start {
        workflow: "ci.yml".to_owned(),
        event: "push".to_owned(),
        inputs: Vec::new(),
        secrets: Vec::new(),
        sandbox: None,
    };
    scripted.send(start).await;
    let text = scripted.notice().await;
    assert!(text.contains("ci.yml") && !text.contains('\n'), "{text}");
}

#[tokio::test]
async fn a_repository_without_environments_is_reported_once_it_was_read() {
    let is_empty = |report: &Feed| matches!(report, Feed::Lanes(lanes) if lanes.is_empty());
    for mut scripted in [Scripted::new(), Scripted::new().with_workflow()] {
        if !scripted.serve().await.iter().any(is_empty) {
            scripted.until(is_empty).await;
        }
    }
}

#[tokio::test]
async fn a_run_of_watch_mode_is_cancelled_once_for_a_newer_one() {
    let scripted = Scripted::new().with_workflow();
    let root = scripted.repository().canonicalize().expect("there");
    trust::grant(&scripted.runs, &Repository::discover(&root).expect("a repository"), &[]).expect("trusted");
    let alive = scripted.run(1000, [started(1)]);
    let (_lock, mut ordered, _server) = worker(&alive);
    let (feed, mut reports) = mpsc::channel(64);
    let mut serving = Serving::new(Local::new(scripted.runs.clone(), root.clone()), feed);
    let mut watch = WatchMode::start(&root, None).expect("watches");
    watch.started.push(watch_mode::StartedRun {
        run: alive.id().clone(),
        workflow: root.join(".github/workflows/ci.yml"),
        is_cancelled: false,
    });
    serving.watch_mode = Some(watch);
    serving.followed.insert(alive.id().clone());
    fs::write(root.join("a"), "x").expect("written");
    let watch = serving.watch_mode.as_mut().expect("on");
    let quiet = async { while watch.event().await != WatchEvent::Quiet {} };
    tokio::time::timeout(PATIENCE, quiet).await.expect("in time");

    let answering = tokio::spawn(async move {
        let (command, answer) = ordered.recv().await.expect("a command");
        answer.send(Reply::Accepted).expect("awaited");
        (command, ordered)
    });
    serving.decide().await;
    let (command, mut ordered) = answering.await.expect("answered");
    assert_eq!(command, Command::Cancel);
    serving.start_pending().await;
    assert!(ordered.try_recv().is_err(), "it is cancelled once");
    assert!(serving.watch_mode.as_ref().is_some_and(|watch| watch.pending.is_some()), "the run has not ended");
    assert!(matches!(reports.recv().await, Some(Feed::Notice(notice)) if notice.text.contains("is cancelled")));
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_read_makes_the_source_offline() {
    let home = tempfile::tempdir().expect("a folder");
    let state = home.path().join("state");
    fs::write(&state, "not a folder").expect("written");
    let Connected { mut feed, requests, served } =
        backend::connect(Box::new(Local::new(RunsDir::at(&state), Path::new("/").to_owned())));
    let first = feed.recv().await.expect("a report");
    assert!(matches!(first, Feed::Connection(Connection::Offline { .. } | Connection::Stale { .. })), "{first:?}");
    drop(requests);
    while feed.recv().await.is_some() {}
    served.await.expect("ends");
}
