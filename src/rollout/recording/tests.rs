//! Deployments recorded on a server that answers as the test wants.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use futures_util::FutureExt;
use tokio::time::sleep;

use super::*;
use crate::model::Timestamp;
use crate::model::deployment::Outcome;
use crate::rollout::testing::{Memory, release, settings};
use crate::store::folder::RunsDir;

/// How the server answers a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Good,
    /// The request is carried out, but its answer is lost.
    Lost,
    Down,
    Refuses,
}

/// A server that numbers deployments from 1.
#[derive(Default)]
struct Fake {
    host: String,
    /// Answers to the next changes; later ones are good.
    answers: Mutex<VecDeque<Answer>>,
    created: Mutex<Vec<NewDeployment>>,
    reported: Mutex<Vec<(u64, Status)>>,
    searches: Mutex<u32>,
}

impl Fake {
    fn answering(answers: &[Answer]) -> Arc<Self> {
        Arc::new(Self {
            host: "github.example".to_owned(),
            answers: Mutex::new(answers.iter().copied().collect()),
            ..Self::default()
        })
    }

    fn answer(&self) -> (bool, Result<(), ServerError>) {
        match self.answers.lock().expect("no panic").pop_front().unwrap_or(Answer::Good) {
            Answer::Good => (true, Ok(())),
            Answer::Lost => (true, Err(ServerError::Temporary("the answer was lost".into()))),
            Answer::Down => (false, Err(ServerError::Temporary("no answer".into()))),
            Answer::Refuses => (false, Err(ServerError::Permanent("not allowed to hunter2".into()))),
        }
    }

    fn states(&self) -> Vec<String> {
        let reported = self.reported.lock().expect("no panic");
        reported.iter().map(|(id, status)| format!("{id} {}", status.state.word())).collect()
    }
}

impl DeploymentServer for Fake {
    fn host(&self) -> &str {
        &self.host
    }

    fn repository(&self) -> String {
        "o/r".to_owned()
    }

    fn page(&self, environment: &str) -> String {
        format!("https://github.example/o/r/{environment}")
    }

    fn find<'s>(
        &'s self,
        wanted: &'s NewDeployment,
        others: &'s [u64],
    ) -> BoxFuture<'s, Result<Option<u64>, ServerError>> {
        *self.searches.lock().expect("no panic") += 1;
        let created = self.created.lock().expect("no panic");
        let mut found = (1..).zip(&*created).filter(|(id, one)| one.run == wanted.run && !others.contains(id));
        let id = found.next().map(|(id, _)| id);
        async move { Ok(id) }.boxed()
    }

    fn create<'s>(&'s self, new: &'s NewDeployment) -> BoxFuture<'s, Result<u64, ServerError>> {
        let (is_done, answer) = self.answer();
        let mut created = self.created.lock().expect("no panic");
        if is_done {
            created.push(new.clone());
        }
        let id = created.len() as u64;
        async move { answer.map(|()| id) }.boxed()
    }

    fn report<'s>(&'s self, id: u64, status: &'s Status) -> BoxFuture<'s, Result<(), ServerError>> {
        let (is_done, answer) = self.answer();
        if is_done {
            self.reported.lock().expect("no panic").push((id, status.clone()));
        }
        async move { answer }.boxed()
    }
}

/// A ledger with a requested deployment.
struct Rig {
    home: tempfile::TempDir,
    ledger: LedgerFile,
    memory: Arc<Memory>,
    environment: String,
}

impl Rig {
    fn new(environment: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let ledger = LedgerFile::of(&RunsDir::at(home.path()), Path::new("/shop/.git"));
        Self { home, ledger, memory: Arc::default(), environment: environment.to_owned() }
    }

    /// Returns the file of the ledger, which has a request already.
    fn file(&self) -> PathBuf {
        let entries = fs::read_dir(RunsDir::at(self.home.path()).environments()).expect("a folder");
        let mut files = entries.map(|entry| entry.expect("an entry").path());
        files.find(|file| file.extension().is_some_and(|extension| extension == "jsonl")).expect("a ledger")
    }

    /// Returns where the records of a run go, and adds the request of its deployment.
    fn requested(&self, run: &str) -> Records {
        let outlet: Arc<dyn Outlet> = Arc::clone(&self.memory) as Arc<dyn Outlet>;
        let (run, job, by) = (RunId::new(run), JobId::new(&self.environment), Actor::default());
        let (ledger, environment) = (self.ledger.clone(), self.environment.clone());
        let records = Records { ledger, outlet, run, job, deploys: None, environment, by };
        let action = Action::Requested { release: release("v1"), from: None, cause: Cause::Manual };
        add(&records, action);
        records
    }

    fn new_deployment(&self, records: &Records) -> NewDeployment {
        let mut settings = settings(crate::model::deployment::Strategy::Recreate, 1, &[]);
        settings.name.clone_from(&self.environment);
        new_deployment(&settings, &release("v1"), (&Cause::Manual, &Actor::default()), (&records.run, None))
    }

    fn recorder(&self, records: &Records, server: &Arc<Fake>, is_first: bool) -> Recorder {
        Self::recorder_of(self.new_deployment(records), records, server, is_first)
    }

    fn recorder_of(new: NewDeployment, records: &Records, server: &Arc<Fake>, is_first: bool) -> Recorder {
        let server = Arc::clone(server);
        let connect: Server = Box::new(move || {
            let server: Arc<dyn DeploymentServer> = Arc::clone(&server) as Arc<dyn DeploymentServer>;
            async move { Ok(server) }.boxed()
        });
        Recorder::new(Some(connect), new, records.clone(), is_first)
    }

    fn record(&self, run: &str) -> DeploymentRecord {
        let state = self.ledger.read().expect("read").of(&self.environment);
        state.deployment(&RunId::new(run)).expect("requested").clone()
    }

    /// Returns the events in words.
    fn events(&self) -> Vec<String> {
        let events = self.memory.0.lock().expect("no panic");
        let text = |event: &Event| match event {
            Event::DeploymentRecorded { page, failure, .. } => {
                crate::model::deployment::recorded(page.as_deref(), failure.as_deref())
            }
            other => panic!("{other:?}"),
        };
        events.iter().map(text).collect()
    }
}

fn add(records: &Records, action: Action) {
    records.append(action, "").expect("written");
}

async fn settled() {
    // The task of the recorder runs while this one waits. The clock of the test is not the real one.
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_created_once_and_its_states_follow() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[]));
    let records = rig.requested("r1");
    let recorder = rig.recorder(&records, &server, true);
    recorder.report(RecordedState::InProgress, "", Some("https://app"));
    settled().await;
    assert_eq!(rig.record("r1").recorded.and_then(|known| known.state), Some(RecordedState::InProgress));
    recorder.report(RecordedState::Failure, &format!("hunter2 {}", "x".repeat(200)), Some("https://app"));
    recorder.finish().await;
    assert_eq!(
        (server.states(), *server.searches.lock().expect("no panic")),
        (vec!["1 in_progress".to_owned(), "1 failure".to_owned()], 0)
    );
    let status = server.reported.lock().expect("no panic")[1].1.clone();
    assert!(status.description.starts_with("*** xx") && status.description.chars().count() == MAX_DESCRIPTION);
    assert_eq!(status.url.as_deref(), Some("https://app"));
    assert_eq!(rig.events(), ["the deployment is recorded on GitHub: https://github.example/o/r/staging"]);
    let record = rig.record("r1");
    assert_eq!((record.not_recorded, record.recorded.map(|known| known.id)), (None, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_asked_again_and_noted_once() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[Answer::Down, Answer::Down, Answer::Lost]));
    let records = rig.requested("r1");
    let recorder = rig.recorder(&records, &server, true);
    recorder.report(RecordedState::InProgress, "", None);
    settled().await;
    assert_eq!(rig.record("r1").not_recorded.as_deref(), Some("no answer"));
    recorder.report(RecordedState::Success, "", None);
    recorder.finish().await;
    // The creation whose answer was lost is found, and only the newest state is reported.
    assert_eq!((server.created.lock().expect("no panic").len(), server.states()), (1, vec!["1 success".to_owned()]));
    assert_eq!(
        rig.events(),
        [
            "the deployment is not recorded on GitHub: no answer",
            "the deployment is not recorded on GitHub: the answer was lost",
            "the deployment is recorded on GitHub: https://github.example/o/r/staging",
        ]
    );
    assert_eq!(rig.record("r1").not_recorded, None);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_deployment_waits_only_for_a_while() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[Answer::Down; 99]));
    let recorder = rig.recorder(&rig.requested("r1"), &server, true);
    recorder.report(RecordedState::InProgress, "", None);
    settled().await;
    recorder.finish().await;
    let late = "no success within 10 s after the end of the deployment: no answer";
    assert_eq!(rig.record("r1").not_recorded.as_deref(), Some(late));
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_delays_neither_a_new_state_nor_the_end_of_a_deployment() {
    for (has_new, downs, state) in [(true, 7, "1 success"), (false, 8, "1 in_progress")] {
        let (rig, server) = (Rig::new("staging"), Fake::answering(&vec![Answer::Down; downs]));
        let recorder = rig.recorder(&rig.requested("r1"), &server, true);
        recorder.report(RecordedState::InProgress, "", None);
        // The pause after the seventh attempt, 63 s after the first one, is a minute.
        sleep(Duration::from_secs(64)).await;
        if has_new {
            recorder.report(RecordedState::Success, "", None);
        }
        recorder.finish().await;
        assert_eq!(server.states(), [state]);
        assert_eq!(rig.record("r1").not_recorded, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_state_is_not_sent_again_but_the_next_one_is() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[Answer::Good, Answer::Refuses]));
    let recorder = rig.recorder(&rig.requested("r1"), &server, true);
    recorder.report(RecordedState::InProgress, "", None);
    sleep(MAX_PAUSE * 2).await;
    assert_eq!(server.states(), Vec::<String>::new());
    assert_eq!(rig.record("r1").not_recorded.as_deref(), Some("not allowed to ***"));
    recorder.report(RecordedState::Success, "", None);
    recorder.finish().await;
    assert_eq!(server.states(), ["1 success"]);
    assert_eq!(
        rig.events(),
        [
            "the state of the deployment is not recorded on GitHub: not allowed to ***",
            "the deployment is recorded on GitHub: https://github.example/o/r/staging",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_written_for_a_while_ends_no_reports_and_repeats_none() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[]));
    let records = rig.requested("r1");
    let recorder = rig.recorder(&records, &server, true);
    let (file, aside) = (rig.file(), rig.home.path().join("aside"));
    // A folder has the place of the file.
    fs::rename(&file, &aside).expect("moved");
    fs::create_dir(&file).expect("created");
    recorder.report(RecordedState::InProgress, "", None);
    sleep(PAUSE * 2).await;
    fs::remove_dir(&file).expect("empty");
    fs::rename(&aside, &file).expect("moved");
    recorder.report(RecordedState::Success, "", None);
    recorder.finish().await;
    assert_eq!(server.states(), ["1 in_progress", "1 success"]);
    assert_eq!(rig.record("r1").recorded.and_then(|known| known.state), Some(RecordedState::Success));
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_finds_what_a_killed_one_created() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[]));
    let records = rig.requested("r1");
    // The worker was killed before the id was in the ledger.
    server.created.lock().expect("no panic").push(rig.new_deployment(&records));
    let recorder = rig.recorder(&records, &server, false);
    recorder.report(RecordedState::InProgress, "", None);
    recorder.finish().await;
    assert_eq!(
        (server.created.lock().expect("no panic").len(), server.states()),
        (1, vec!["1 in_progress".to_owned()])
    );
    // The next attempt knows the id from the ledger, and the state that the server has.
    let recorder = rig.recorder(&records, &server, false);
    recorder.report(RecordedState::InProgress, "", None);
    settled().await;
    recorder.report(RecordedState::Success, "", None);
    recorder.finish().await;
    assert_eq!(*server.searches.lock().expect("no panic"), 1);
    assert_eq!(server.states(), ["1 in_progress", "1 success"]);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_never_began_is_not_recorded() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[]));
    let recorder = rig.recorder(&rig.requested("r1"), &server, true);
    recorder.report(RecordedState::Inactive, "rejected", None);
    recorder.finish().await;
    assert_eq!((server.created.lock().expect("no panic").len(), rig.events()), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_commit_is_not_recorded_and_needs_no_request() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[]));
    let records = rig.requested("r1");
    let (sha, release) = (format!("sha256:{}", "a".repeat(64)), "aaaaaaa".to_owned());
    let new = NewDeployment { sha, release, ..rig.new_deployment(&records) };
    let recorder = Rig::recorder_of(new, &records, &server, false);
    recorder.report(RecordedState::InProgress, "", None);
    settled().await;
    recorder.report(RecordedState::Success, "", None);
    recorder.finish().await;
    let requests = (*server.searches.lock().expect("no panic"), server.created.lock().expect("no panic").len());
    assert_eq!((requests, server.states()), ((0, 0), Vec::new()));
    let why = "aaaaaaa is an image whose commit is not known, and GitHub records only deployments of commits";
    assert_eq!(rig.events(), [format!("the deployment is not recorded on GitHub: {why}")]);
}

#[tokio::test(start_paused = true)]
async fn two_jobs_of_a_run_are_two_deployments_on_the_server() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[]));
    let of_run = rig.requested("r1");
    let mut going = Vec::new();
    for job in ["eu", "us"] {
        let records = Records { job: JobId::new(job), deploys: Some(JobId::new(job)), ..of_run.clone() };
        add(&records, Action::Requested { release: release("v1"), from: None, cause: Cause::Job });
        add(&records, Action::Began);
        let new = NewDeployment { job: Some(JobId::new(job)), ..rig.new_deployment(&records) };
        let recorder = Rig::recorder_of(new, &records, &server, true);
        recorder.report(RecordedState::InProgress, "", None);
        settled().await;
        going.push((job, records, recorder));
    }
    for (_, records, recorder) in going {
        add(&records, Action::Ended { outcome: Outcome::Succeeded });
        recorder.report(RecordedState::Success, "", None);
        recorder.finish().await;
    }
    let created: Vec<_> = server.created.lock().expect("no panic").iter().map(|new| new.job.clone()).collect();
    assert_eq!(created, [Some(JobId::new("eu")), Some(JobId::new("us"))]);
    let state = rig.ledger.read().expect("read").of("staging");
    let known = |job: &str| state.of_job(&RunId::new("r1"), &JobId::new(job)).expect("requested").recorded.clone();
    let (eu, us) = (known("eu").expect("recorded"), known("us").expect("recorded"));
    assert_eq!((eu.id, us.id, us.state), (1, 2, Some(RecordedState::Success)));
    // The entries about the jobs are not about the run.
    let of_run = state.deployments().find(|record| record.job.is_none()).expect("requested");
    assert_eq!(of_run.recorded, None);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_runs_again_does_not_take_the_deployment_of_its_earlier_attempt() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[]));
    let job = JobId::new("deploy");
    let records = Records { job: job.clone(), deploys: Some(job.clone()), ..rig.requested("r1") };
    let new = NewDeployment { job: Some(job), ..rig.new_deployment(&records) };
    for is_again in [false, true] {
        add(&records, Action::Requested { release: release("v1"), from: None, cause: Cause::Job });
        add(&records, Action::Began);
        if is_again {
            // The first try to create the second deployment fails, so that the next one searches for it.
            server.answers.lock().expect("no panic").push_back(Answer::Down);
        }
        let recorder = Rig::recorder_of(new.clone(), &records, &server, true);
        recorder.report(RecordedState::InProgress, "", None);
        settled().await;
        add(&records, Action::Ended { outcome: Outcome::Succeeded });
        recorder.report(RecordedState::Success, "", None);
        recorder.finish().await;
    }
    assert_eq!(server.states(), ["1 in_progress", "1 success", "2 success", "1 inactive"]);
    let state = rig.ledger.read().expect("read").of("staging");
    let of_job = state.deployments().filter(|record| record.job.is_some());
    let recorded: Vec<_> = of_job.filter_map(|record| record.recorded.as_ref()).collect();
    let recorded: Vec<_> = recorded.into_iter().map(|known| (known.id, known.state)).collect();
    assert_eq!(recorded, [(2, Some(RecordedState::Success)), (1, Some(RecordedState::Inactive))]);
}

#[tokio::test(start_paused = true)]
async fn the_server_gets_the_states_of_older_deployments_that_it_lacks() {
    for environment in ["staging", "production"] {
        let (rig, server) = (Rig::new(environment), Fake::answering(&[]));
        for (run, end, reported) in [
            ("r1", Outcome::Succeeded, Some(RecordedState::Success)),
            // Its worker was killed: another process has recorded the end, and only in the ledger.
            ("r2", Outcome::Interrupted, None),
            ("r3", Outcome::Succeeded, Some(RecordedState::Success)),
        ] {
            let records = rig.requested(run);
            add(&records, Action::Began);
            let recorder = rig.recorder(&records, &server, true);
            recorder.report(RecordedState::InProgress, "", None);
            settled().await;
            add(&records, Action::Ended { outcome: end });
            if let Some(state) = reported {
                recorder.report(state, "", None);
            }
            recorder.finish().await;
        }
        assert_eq!(
            server.states(),
            ["1 in_progress", "1 success", "2 in_progress", "3 in_progress", "2 error", "3 success", "1 inactive"],
            "{environment}"
        );
        let states = ["r1", "r2"].map(|run| rig.record(run).recorded.and_then(|known| known.state));
        assert_eq!(states, [Some(RecordedState::Inactive), Some(RecordedState::Error)]);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_rollback_the_former_deployment_is_a_success_again_on_the_server() {
    let (rig, server) = (Rig::new("staging"), Fake::answering(&[]));
    // The second release is live, and is rolled back while the first one is kept.
    for (run, ends) in [("r1", &[Outcome::Succeeded][..]), ("r2", &[Outcome::Succeeded, Outcome::RolledBack])] {
        let records = rig.requested(run);
        add(&records, Action::Began);
        let recorder = rig.recorder(&records, &server, true);
        recorder.report(RecordedState::InProgress, "", None);
        settled().await;
        for outcome in ends {
            add(&records, Action::Ended { outcome: *outcome });
            recorder.report(RecordedState::of_end(*outcome), "", Some("https://app"));
            settled().await;
        }
        recorder.finish().await;
    }
    assert_eq!(
        server.states(),
        ["1 in_progress", "1 success", "2 in_progress", "2 success", "1 inactive", "2 failure", "1 success"]
    );
    let reported = server.reported.lock().expect("no panic");
    let urls: Vec<_> = reported[4..].iter().map(|(_, status)| status.url.as_deref()).collect();
    assert_eq!(urls, [None, Some("https://app"), Some("https://app")]);
}

#[tokio::test]
async fn without_a_server_nothing_is_recorded() {
    let rig = Rig::new("staging");
    let records = rig.requested("r1");
    let recorder = Recorder::new(None, rig.new_deployment(&records), records, true);
    recorder.report(RecordedState::InProgress, "", None);
    recorder.finish().await;
    assert_eq!((rig.record("r1").recorded, rig.record("r1").created > Timestamp(0)), (None, true));
}
