//! Targets in front of the commands of a host.

use std::future::ready;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::model::Gate;
use crate::model::deployment::{Plan, PlanStep, ReleaseImage};
use crate::rollout::check::Answer;
use crate::rollout::outlet::Progress;
use crate::rollout::shell::CommandError;
use crate::rollout::target::ReplicaState;

/// Sender of a command, with the sender for its reply.
type Abort = (mpsc::Sender<Asked>, oneshot::Sender<Reply>);

/// A target that does nothing at once. The first step that changes it sends an abort.
struct Hasty(Arc<Mutex<Option<Abort>>>);

impl Target for Hasty {
    fn observe<'t>(&'t self, _: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        ready(Ok(Observed::default())).boxed()
    }

    fn act<'t>(&'t self, _: &'t PlanStep, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Result<(), TargetError>> {
        if let Some((order, reply)) = self.0.lock().expect("no panic").take() {
            let abort = DeploymentOrder::Abort { reason: String::new() };
            let command = Command::Deployment { order: abort, by: Some(person("olu")) };
            assert!(order.try_send((command, reply)).is_ok(), "there is room");
        }
        ready(Ok(())).boxed()
    }

    fn health<'t>(&'t self, _: Slot, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Answer> {
        ready(Answer::Good(String::new())).boxed()
    }

    fn check<'t>(&'t self, _: &'t Probe, _: Duration, _: Slot, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Answer> {
        ready(Answer::Good(String::new())).boxed()
    }
}

/// A target that does nothing at once, and reports an image. It notes whether the ledger has the success by then.
struct Remote {
    ledger: LedgerFile,
    has_ended: Arc<AtomicBool>,
}

impl Target for Remote {
    fn observe<'t>(&'t self, _: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        ready(Ok(Observed::default())).boxed()
    }

    fn running_image<'t>(
        &'t self,
        _: Slot,
        _: &'t Plan,
        _: &'t Progress,
    ) -> BoxFuture<'t, Result<Option<ReleaseImage>, TargetError>> {
        let state = self.ledger.read().expect("read").of("production");
        self.has_ended.store(state.last_success().is_some(), Ordering::Relaxed);
        ready(Ok(Some(ReleaseImage::new("shop:v1".to_owned(), "shop@sha256:1".to_owned())))).boxed()
    }

    fn act<'t>(&'t self, _: &'t PlanStep, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Result<(), TargetError>> {
        ready(Ok(())).boxed()
    }

    fn health<'t>(&'t self, _: Slot, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Answer> {
        ready(Answer::Good(String::new())).boxed()
    }

    fn check<'t>(&'t self, _: &'t Probe, _: Duration, _: Slot, _: &'t Plan, _: &'t Progress) -> BoxFuture<'t, Answer> {
        ready(Answer::Good(String::new())).boxed()
    }
}

/// A host that has a lock: another deployment holds it while there is a file `held`. A file `locked` shows that it is
/// taken. The host does not answer while there is a file `gone`.
struct Guarded {
    target: Arc<dyn Target>,
    folder: PathBuf,
    is_locked: AtomicBool,
}

impl Guarded {
    fn answers(&self) -> Result<(), TargetError> {
        if self.folder.join("gone").exists() {
            return Err(CommandError::Start(std::io::Error::other("no route to host")).into());
        }
        Ok(())
    }
}

impl Target for Guarded {
    fn reach(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        ready(self.answers()).boxed()
    }

    fn observe<'t>(&'t self, progress: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        match self.answers() {
            Ok(()) => self.target.observe(progress),
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    fn act<'t>(
        &'t self,
        step: &'t PlanStep,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<(), TargetError>> {
        assert!(self.is_locked.load(Ordering::Relaxed), "{} is changed without its lock", self.folder.display());
        self.target.act(step, plan, progress)
    }

    fn health<'t>(&'t self, slot: Slot, plan: &'t Plan, progress: &'t Progress) -> BoxFuture<'t, Answer> {
        self.target.health(slot, plan, progress)
    }

    fn check<'t>(
        &'t self,
        probe: &'t Probe,
        limit: Duration,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Answer> {
        self.target.check(probe, limit, slot, plan, progress)
    }

    fn lock<'t>(&'t self, _: &'t str, _: bool) -> BoxFuture<'t, Result<(), TargetError>> {
        async move {
            while self.folder.join("held").exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if self.is_locked.swap(true, Ordering::Relaxed) {
                return Err(TargetError::SameEngine { host: self.folder.display().to_string() });
            }
            fs::write(self.folder.join("locked"), "").expect("written");
            Ok(())
        }
        .boxed()
    }

    fn awaited_lock(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("held")).ok()
    }

    fn unlock(&self) -> BoxFuture<'_, ()> {
        self.is_locked.store(false, Ordering::Relaxed);
        fs::remove_file(self.folder.join("locked")).ok();
        ready(()).boxed()
    }
}

/// A host whose replica is in a state that files name: it has ended if there is a file `ended`, was restarted as often as
/// `restarts` says, ends as often during its start as `crashes` says, and ends between any two looks if there is a file
/// `loops`. On the host `web4`, it ends after the last step if there is a file `late`.
struct Crashing {
    target: Arc<dyn Target>,
    folder: PathBuf,
}

impl Crashing {
    fn number(&self, name: &str) -> u32 {
        read(&self.folder.join(name)).parse().unwrap_or_default()
    }

    fn set(&self, name: &str, number: u32) {
        fs::write(self.folder.join(name), number.to_string()).expect("written");
    }

    fn has(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }
}

impl Target for Crashing {
    fn observe<'t>(&'t self, progress: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        self.target.observe(progress)
    }

    fn act<'t>(
        &'t self,
        step: &'t PlanStep,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<(), TargetError>> {
        let is_last = matches!(step, PlanStep::Stop { slot, keep: 0, .. } if *slot != plan.new.slot);
        if is_last && self.has("late") {
            self.set("ended", 1);
        }
        self.target.act(step, plan, progress)
    }

    fn health<'t>(&'t self, slot: Slot, plan: &'t Plan, progress: &'t Progress) -> BoxFuture<'t, Answer> {
        let crashes = self.number("crashes");
        if crashes > 0 {
            self.set("crashes", crashes - 1);
            self.set("restarts", self.number("restarts") + 1);
            return ready(Answer::Bad("no database".to_owned())).boxed();
        }
        self.target.health(slot, plan, progress)
    }

    fn check<'t>(
        &'t self,
        probe: &'t Probe,
        limit: Duration,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Answer> {
        self.target.check(probe, limit, slot, plan, progress)
    }

    fn replicas<'t>(&'t self, _: &'t Plan) -> BoxFuture<'t, Option<Vec<ReplicaState>>> {
        if self.has("loops") {
            self.set("restarts", self.number("restarts") + 1);
        }
        let state = ReplicaState {
            id: self.folder.display().to_string(),
            restarts: self.number("restarts"),
            is_down: self.has("ended") || self.number("crashes") > 0,
            end: "web-1 has ended".to_owned(),
        };
        ready(Some(vec![state])).boxed()
    }

    fn evidence<'t>(&'t self, _: Slot, _: &'t Progress) -> BoxFuture<'t, Option<String>> {
        ready(Some("web-1: Restarting (7), exit code 7, restarted 3 times; its last line: boom".to_owned())).boxed()
    }
}

/// Returns a machine with four hosts whose replicas may end.
fn crashing(strategy: Strategy) -> Rig {
    let mut rig = hosts::rig(strategy);
    rig.front = Some(Box::new(|folder, target| Arc::new(Crashing { target, folder: folder.to_owned() })));
    rig
}

const CRASHED: &str = "a replica of the new release does not stay up: web-1 has ended; web-1: Restarting (7), exit code 7, \
                       restarted 3 times; its last line: boom; on ";

#[tokio::test]
async fn a_replica_that_ends_while_a_person_is_awaited_takes_the_release_back() {
    let rig = crashing(Strategy::BlueGreen { pause: Some(Pause::Person) });
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(3).await;
    fs::write(rig.root().join("web1").join("ended"), "").expect("written");
    let reason = going.end.await.expect("no panic").reason.expect("a reason");
    assert!(reason.contains(CRASHED), "{reason}");
    assert_eq!(rig.on_hosts(), [hosts::V1; 4]);
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack));
}

#[tokio::test]
async fn a_replica_that_has_ended_after_the_last_step_takes_the_release_back() {
    let rig = crashing(rolling().strategy);
    rig.deployed("v1").await;
    fs::write(rig.root().join("web4").join("late"), "").expect("written");
    let going = rig.deploy("v2");
    let reason = going.end.await.expect("no panic").reason.expect("a reason");
    assert!(reason.starts_with("after the last step, ") && reason.contains(CRASHED), "{reason}");
    assert_eq!(rig.on_hosts(), [hosts::V1; 4]);
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack));
}

#[tokio::test]
async fn a_replica_that_ends_until_its_database_is_there_does_not_fail_the_deployment() {
    for strategy in [rolling().strategy, Strategy::BlueGreen { pause: None }] {
        let rig = crashing(strategy);
        rig.deployed("v1").await;
        for host in ["web1", "web3"] {
            fs::write(rig.root().join(host).join("crashes"), "2").expect("written");
        }
        let end = rig.deploy("v2").end.await.expect("no panic");
        assert_eq!(end, DeploymentEnd { conclusion: Conclusion::Success, reason: None });
        assert_eq!(read(&rig.root().join("web1").join("restarts")), "2");
    }
}

#[tokio::test]
async fn a_replica_that_ends_again_and_again_fails_the_deployment_although_it_is_healthy_in_between() {
    let check =
        "the check failed; last answer: web-1 has ended; web-1: Restarting (7), exit code 7, restarted 3 times; ";
    for (healthy_for, expected) in [(Duration::ZERO, CRASHED), (Duration::from_millis(30), check)] {
        let mut rig = crashing(Strategy::BlueGreen { pause: None });
        rig.deployed("v1").await;
        rig.settings.health.healthy_for = healthy_for;
        fs::write(rig.root().join("web1").join("loops"), "").expect("written");
        let going = rig.deploy("v2");
        let reason = going.end.await.expect("no panic").reason.expect("a reason");
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(rig.on_hosts(), [hosts::V1; 4]);
        assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack));
    }
}

#[tokio::test]
async fn a_restart_during_the_watch_fails_the_deployment_also_if_its_worker_was_gone_meanwhile() {
    for is_interrupted in [false, true] {
        let rig = crashing(Strategy::BlueGreen { pause: Some(Pause::Person) });
        rig.deployed("v1").await;
        let restarts = rig.root().join("web1").join("restarts");
        // Restarts before the release was healthy do not count.
        fs::write(&restarts, "3").expect("written");
        let mut going = rig.deploy("v2");
        going.memory.started(3).await;
        if is_interrupted {
            going.end.abort();
            assert!(going.end.await.is_err_and(|error| error.is_cancelled()));
            going = rig.begin(&going.folder, "v2", Cause::Manual, Begin::Forward);
        }
        fs::write(&restarts, "4").expect("written");
        let reason = going.end.await.expect("no panic").reason.expect("a reason");
        assert!(reason.contains(CRASHED), "{reason}");
        assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack));
    }
}

/// Returns a machine with four hosts that have locks.
fn guarded() -> Rig {
    let mut rig = hosts::rig(Strategy::BlueGreen { pause: None });
    rig.front = Some(Box::new(|folder, target| {
        Arc::new(Guarded { target, folder: folder.to_owned(), is_locked: AtomicBool::new(false) })
    }));
    rig
}

/// Returns a machine with four hosts that have locks. v2 was being deployed when its worker ended: it runs on the first
/// host, and the second and the third are being changed.
async fn left_halfway() -> (Rig, RunFolder) {
    let rig = guarded();
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(10).await;
    going.end.abort();
    assert!(going.end.await.is_err_and(|error| error.is_cancelled()));
    for host in &rig.hosts {
        fs::remove_file(rig.root().join(host).join("locked")).expect("it was locked");
    }
    (rig, going.folder)
}

#[tokio::test]
async fn an_abort_after_an_interruption_restores_the_hosts_that_answer() {
    let (rig, folder) = left_halfway().await;
    let gone = rig.root().join("web2").join("gone");
    fs::write(&gone, "").expect("written");
    // The way forward needs all hosts.
    let end = rig.begin(&folder, "v2", Cause::Manual, Begin::Forward).end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(reason.starts_with("web2: ") && reason.contains("no route to host; it is left at step 9/21 "), "{reason}");
    let back = || rig.begin(&folder, "v2", Cause::Manual, Begin::Back(String::new())).end;
    let reason = back().await.expect("no panic").reason.expect("a reason");
    assert!(reason.starts_with("aborted by ada@web; on web1 and web3, v1 "), "{reason}");
    assert!(reason.contains("; on web2, cannot roll back: ") && reason.contains("no route to host"), "{reason}");
    let running = rig.on_hosts();
    assert_eq!([&*running[0], &*running[2], &*running[3]], [hosts::V1; 3]);
    assert_eq!(rig.record(&folder).outcome, Some(Outcome::Failed));
    // Once it answers again, it goes back, too.
    fs::remove_file(&gone).expect("removed");
    back().await.expect("no panic");
    assert_eq!(rig.on_hosts(), [hosts::V1; 4]);
    assert_eq!(rig.record(&folder).outcome, Some(Outcome::RolledBack));
}

#[tokio::test]
async fn a_former_release_is_stopped_on_the_hosts_that_answer() {
    let mut rig = guarded();
    rig.deployed("v1").await;
    rig.settings.keep_old = Duration::from_hours(1);
    let going = rig.deploy("v2");
    assert_eq!(rig.ended(&going.folder).await, Outcome::Succeeded);
    fs::write(rig.root().join("web2").join("gone"), "").expect("written");
    going.accepted(DeploymentOrder::StopKept, "ada").await;
    let reason = going.end.await.expect("no panic").reason.expect("a reason");
    assert!(reason.contains(" is live, but step 19/21 (web2: ") && reason.contains("no route to host"), "{reason}");
    let running = rig.on_hosts();
    assert_eq!([&*running[0], &*running[2], &*running[3]], [hosts::V2; 3]);
    // Each host has its own end.
    let events = going.memory.events.lock().expect("no panic");
    let ends = events.iter().filter_map(|event| match event {
        Event::StepFinished { step, conclusion, .. } if step.0 > 17 => Some((step.0, *conclusion)),
        _ => None,
    });
    let (done, failed) = (Conclusion::Success, Conclusion::Failure);
    let mut ends: Vec<_> = ends.collect();
    ends.sort_by_key(|(step, _)| *step);
    assert_eq!(ends, [(18, done), (19, failed), (20, done), (21, done)]);
}

#[tokio::test]
async fn an_abort_while_a_host_waits_for_its_lock_is_not_held_back_by_the_locks_of_the_others() {
    let (rig, folder) = left_halfway().await;
    let held = rig.root().join("web2").join("held");
    fs::write(&held, "ada@vm").expect("written");
    let again = rig.begin(&folder, "v2", Cause::Manual, Begin::Forward);
    until("the other host is locked", || rig.root().join("web1").join("locked").exists().then_some(())).await;
    let sentence = "production waits until the lock of ada@vm has ended";
    let says = |event: &Event| matches!(event, Event::JobWaiting { gate: Gate::Rule(said), .. } if said == sentence);
    again.memory.recorded(says).await;
    again.accepted(DeploymentOrder::Abort { reason: String::new() }, "olu").await;
    fs::remove_file(&held).expect("removed");
    let reason = again.end.await.expect("no panic").reason.expect("a reason");
    assert!(reason.starts_with("aborted by olu@web; on web1, web2 and web3, v1 "), "{reason}");
    assert_eq!(rig.on_hosts(), [hosts::V1; 4]);
}

#[tokio::test]
async fn an_abort_that_is_accepted_while_a_step_ends_is_never_lost() {
    let mut accepted = 0;
    for _ in 0..20 {
        let mut rig = Rig::new(settings(Strategy::BlueGreen { pause: None }, 2, COMMANDS));
        rig.hosts = vec!["web1"];
        let abort = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&abort);
        rig.front = Some(Box::new(move |_, _| Arc::new(Hasty(Arc::clone(&shared)))));
        let going = rig.deploy("v1");
        let (reply, mut replied) = oneshot::channel();
        // The deployment runs on this thread, so it has not begun yet.
        *abort.lock().expect("no panic") = Some((going.order.clone(), reply));
        let end = going.end.await.expect("no panic");
        if replied.try_recv() == Ok(Reply::Accepted) {
            accepted += 1;
            assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack), "{end:?}");
        }
    }
    assert!(accepted > 0, "no abort was read");
}

#[tokio::test]
async fn the_ledger_has_the_success_before_the_target_is_asked_for_the_image() {
    let mut rig = Rig::new(settings(Strategy::BlueGreen { pause: None }, 2, COMMANDS));
    rig.hosts = vec!["web1"];
    let has_ended = Arc::new(AtomicBool::new(false));
    let (ledger, noted) = (rig.file(), Arc::clone(&has_ended));
    rig.front = Some(Box::new(move |_, _| Arc::new(Remote { ledger: ledger.clone(), has_ended: Arc::clone(&noted) })));
    let going = rig.deploy("v1");
    let end = going.end.await.expect("no panic");
    assert_eq!(end.conclusion, Conclusion::Success);
    assert!(has_ended.load(Ordering::Relaxed));
    assert_eq!(rig.record(&going.folder).image.map(|image| image.id).as_deref(), Some("shop@sha256:1"));
}

/// A host whose own controller waits for the decision of a person within a health step, while there is a file `undecided`. A
/// full promotion removes the file.
struct Undecided {
    target: Arc<dyn Target>,
    folder: PathBuf,
}

impl Target for Undecided {
    fn observe<'t>(&'t self, progress: &'t Progress) -> BoxFuture<'t, Result<Observed, TargetError>> {
        self.target.observe(progress)
    }

    fn act<'t>(
        &'t self,
        step: &'t PlanStep,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Result<(), TargetError>> {
        self.target.act(step, plan, progress)
    }

    fn health<'t>(&'t self, slot: Slot, plan: &'t Plan, progress: &'t Progress) -> BoxFuture<'t, Answer> {
        let why = self.folder.join("undecided").exists().then(|| "an analysis was inconclusive: --full".to_owned());
        progress.decide(why.clone());
        match why {
            Some(why) => ready(Answer::Paused(why)).boxed(),
            None => self.target.health(slot, plan, progress),
        }
    }

    fn check<'t>(
        &'t self,
        probe: &'t Probe,
        limit: Duration,
        slot: Slot,
        plan: &'t Plan,
        progress: &'t Progress,
    ) -> BoxFuture<'t, Answer> {
        self.target.check(probe, limit, slot, plan, progress)
    }

    fn promote_fully(&self) -> BoxFuture<'_, Result<(), TargetError>> {
        fs::remove_file(self.folder.join("undecided")).ok();
        ready(Ok(())).boxed()
    }
}

#[tokio::test]
async fn a_target_that_waits_for_a_decision_shows_that_the_deployment_waits_for_a_person() {
    let mut rig = hosts::rig(Strategy::BlueGreen { pause: None });
    rig.front = Some(Box::new(|folder, target| Arc::new(Undecided { target, folder: folder.to_owned() })));
    rig.deployed("v1").await;
    let command = "echo \"$DEPLOY_EVENT\" >> events".to_owned();
    let notify = Some(Notify { command: Some(command), on: vec![NotifyEvent::Paused], ..Notify::default() });
    rig.settings.notify = notify;
    let file = rig.root().join("web1").join("undecided");
    for (release, is_promoted) in [("v2", true), ("v3", false)] {
        fs::write(&file, "").expect("written");
        let going = rig.deploy(release);
        let waits = || Position::read(&going.folder).ok().flatten().filter(Position::waits_for_person);
        let position = until("a person is asked", waits).await;
        assert!(position.text().ends_with("; waits for a person"), "{}", position.text());
        let Reply::Rejected { reason } = going.tell(DeploymentOrder::Promote { full: false }, "olu").await else {
            panic!("the controller would wait on")
        };
        assert_eq!(reason, "an analysis was inconclusive: --full");
        if is_promoted {
            going.accepted(DeploymentOrder::Promote { full: true }, "olu").await;
        } else {
            going.accepted(DeploymentOrder::Abort { reason: String::new() }, "olu").await;
            // What is left of the decision does not hold up the way back.
            fs::remove_file(&file).expect("removed");
        }
        let end = going.end.await.expect("no panic");
        assert_eq!(end.conclusion == Conclusion::Success, is_promoted, "{end:?}");
        assert!(!Position::read(&going.folder).expect("read").expect("a position").waits_for_person());
    }
    assert_eq!(read(&rig.root().join("events")), "paused\npaused");
}
