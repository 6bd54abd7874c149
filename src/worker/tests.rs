use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::work::{HostedAttempt, Planned};
use super::*;
use crate::model::{Phase, RunInfo, Timestamp};
use crate::store::folder::RunsDir;
use crate::store::spec::WorkflowSpec;

/// Work whose attempts are scripted, in order.
struct Scripted(Mutex<Vec<Script>>);

type Script = Box<dyn FnOnce(AttemptHost) -> BoxFuture<'static, Ended> + Send>;

struct ScriptedAttempt(Script);

impl Work for Scripted {
    fn secrets(&self) -> Vec<String> {
        vec!["hunter2-secret".to_owned()]
    }

    fn attempt(&self, _: &Mode, _: &Run) -> BoxFuture<'static, Planned> {
        let script = self.0.lock().expect("no panic under the lock").pop();
        let planned = script.map(|script| Box::new(ScriptedAttempt(script)) as Box<dyn HostedAttempt>);
        std::future::ready(planned.ok_or_else(|| Rejected("nothing is left".to_owned()))).boxed()
    }

    fn clean_up(&self, _: &Run) {}
}

impl HostedAttempt for ScriptedAttempt {
    fn secrets(&self) -> Vec<String> {
        vec!["token-of-the-attempt".to_owned()]
    }

    fn run(self: Box<Self>, host: AttemptHost) -> BoxFuture<'static, Ended> {
        host.outlet.record(Event::RunStarted { attempt: host.attempt, name: "scripted".to_owned() });
        self.0(host)
    }
}

fn folder() -> (tempfile::TempDir, RunFolder) {
    let home = tempfile::tempdir().expect("a folder");
    let folder = RunsDir::at(home.path()).create(Timestamp(0)).expect("made");
    RunSpec::of_workflow(RunInfo::default(), WorkflowSpec::default()).write(&folder).expect("written");
    (home, folder)
}

fn script<F: Future<Output = Ended> + Send + 'static>(run: impl FnOnce(AttemptHost) -> F + Send + 'static) -> Script {
    Box::new(|host| run(host).boxed())
}

/// Hosts a run with these attempts, in reverse order.
async fn hosted(folder: &RunFolder, scripts: Vec<Script>) -> Run {
    let work = Scripted(Mutex::new(scripts));
    host(folder, Mode::Start, &work).await.expect("hosted");
    history::read(folder).expect("read")
}

fn success() -> Ended {
    Ended { conclusion: Conclusion::Success, reason: None }
}

#[tokio::test]
async fn a_panicking_attempt_ends_the_run_as_a_failure_with_the_message() {
    let (_home, folder) = folder();
    let run = hosted(&folder, vec![script(|_| async { panic!("at hunter2-secret and token-of-the-attempt") })]).await;
    assert_eq!(run.phase, Phase::Done(Conclusion::Failure));
    let reason = run.reason.expect("a reason");
    assert!(matches!(reason, EndReason::Panicked(_)), "{reason:?}");
    assert_eq!(reason.text(), "internal error: the task of the run panicked: at *** and ***");
    assert!(history::unfinished(&folder.runs()).expect("read").is_empty() && !folder.socket().exists());
}

#[tokio::test]
async fn a_panic_of_the_control_server_ends_the_run() {
    let (_home, folder) = folder();
    let info = history::info(&folder).expect("read");
    let store = history::replay(&folder, info.clone()).expect("read");
    let (cancel, mut cancelled) = watch::channel(Cancellation::None);
    let (grown, _) = watch::channel(0);
    let outlet = RunOutlet::open(&folder, info, 1, store, Masker::default(), grown, cancel.clone()).expect("opened");
    let (displace, _displaced) = mpsc::channel(1);
    let (order, _orders) = mpsc::channel(1);
    let (_asked, mut commands) = mpsc::channel(1);
    let mut server = tokio::spawn(async { panic!("no more files") });
    let running = async {
        cancelled.wait_for(|asked| *asked == Cancellation::Force).await.expect("cancelled");
        Ok(Ended { conclusion: Conclusion::Cancelled, reason: None })
    };
    let desk = Desk { outlet: &outlet, cancel: &cancel, displace: &displace, order: &order, takes: |_| false };
    let (ended, next) = desk.answer(running, &mut commands, &mut server).await;
    let reason = ended.reason.expect("a reason").to_string();
    assert_eq!((ended.conclusion, next), (Conclusion::Failure, None));
    assert_eq!(reason, "internal error: the task of the control socket panicked: no more files");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_folder_was_removed_ends_and_leaves_nothing() {
    let (home, folder) = folder();
    let state = home.path().to_owned();
    let waiting = script(move |mut host| async move {
        std::fs::remove_dir_all(state).expect("removed");
        host.cancelled.wait_for(|asked| *asked == Cancellation::Force).await.expect("cancelled");
        let reason = host.outlet.failure().expect("nothing can be recorded");
        assert!(reason.contains("events.jsonl"), "{reason}");
        Ended { conclusion: Conclusion::Cancelled, reason: None }
    });
    host(&folder, Mode::Start, &Scripted(Mutex::new(vec![waiting]))).await.expect("hosted");
    assert!(!home.path().exists());
}

#[tokio::test]
async fn a_requested_attempt_follows_and_a_rejected_one_changes_nothing() {
    let (_home, folder) = folder();
    let socket = folder.socket();
    let rerun = |socket: std::path::PathBuf| {
        script(move |_| async move {
            let rerun = Command::Rerun { what: RerunScope::All, debug: false };
            assert_eq!(
                control::order(&socket, &rerun, control::ORDER_TIMEOUT).await.expect("answered"),
                Reply::Accepted
            );
            success()
        })
    };
    let run = hosted(&folder, vec![rerun(socket.clone()), rerun(socket)]).await;
    assert_eq!((run.attempt, run.phase), (2, Phase::Done(Conclusion::Success)), "the third was rejected");
}

#[tokio::test]
async fn a_run_that_gives_up_its_group_names_the_next_holder() {
    let (_home, folder) = folder();
    let socket = folder.socket();
    let waiting = script(move |mut host| async move {
        let order = Command::Yield { group: "deploy".to_owned(), job: None, to: "r2".to_owned() };
        assert_eq!(control::order(&socket, &order, control::ORDER_TIMEOUT).await.expect("answered"), Reply::Accepted);
        host.cancelled.wait_for(|asked| *asked != Cancellation::None).await.expect("cancelled");
        Ended { conclusion: Conclusion::Cancelled, reason: None }
    });
    let run = hosted(&folder, vec![waiting]).await;
    let reason = EndReason::GroupYielded { group: "deploy".to_owned(), to: "r2".to_owned() };
    assert_eq!((run.phase, run.reason), (Phase::Done(Conclusion::Cancelled), Some(reason)));
}

#[tokio::test]
async fn a_run_of_a_newer_version_is_refused_with_a_reason() {
    let (_home, folder) = folder();
    std::fs::write(folder.spec_path(), r#"{"version": 99}"#).expect("written");
    let carried = carry_out(&folder, Mode::Start, IndexMap::new(), Vec::new(), |_, _| unreachable!("nothing deploys"));
    let error = carried.await.expect_err("newer").to_string();
    assert!(error.contains("is of version 99") && error.contains("update cuelight"), "{error}");
    assert!(!folder.journal().exists());
}
