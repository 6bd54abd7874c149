//! Deployments with real processes: replicas are files in a folder, and every command leaves a line.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::model::deployment::{
    Analysis, CanaryStep, Check, DeploymentRecord, Entry, Ledger, Notify, NotifyEvent, Pause, Probe, ScriptCommand,
    ScriptSettings, SlotState, Strategy, Timing,
};
use crate::model::{Command, DeploymentOrder, Reply};
use crate::rollout::outlet::StepLog;
use crate::rollout::target::script::Script;
use crate::rollout::testing::{release, settings};
use crate::store::clock::now;
use crate::store::folder::RunsDir;

const START: &str = "for i in $(seq $DEPLOY_REPLICAS); do echo $DEPLOY_RELEASE > $DEPLOY_SLOT.$i; done
echo start $DEPLOY_SLOT $DEPLOY_REPLICAS >> calls";
const HEALTHY: &str = "test ! -e bad.$DEPLOY_RELEASE && ls $DEPLOY_SLOT.* > /dev/null";
const WEIGHT: &str = "echo $DEPLOY_SLOT $DEPLOY_WEIGHT > weight; echo weight $DEPLOY_SLOT $DEPLOY_WEIGHT >> calls";
const DRAIN: &str = "echo drain $DEPLOY_SLOT $DEPLOY_KEEP >> calls";
const STOP: &str = "for file in $DEPLOY_SLOT.*; do
  test ${file##*.} -gt $DEPLOY_KEEP 2> /dev/null && rm -f $file
done
echo stop $DEPLOY_SLOT $DEPLOY_KEEP >> calls";

const COMMANDS: &[(ScriptCommand, &str)] = &[
    (ScriptCommand::Start, START),
    (ScriptCommand::Healthy, HEALTHY),
    (ScriptCommand::Weight, WEIGHT),
    (ScriptCommand::Drain, DRAIN),
    (ScriptCommand::Stop, STOP),
];

/// Keeps records and logs in memory, and notifies of each record.
#[derive(Default)]
struct Memory {
    events: Mutex<Vec<Event>>,
    logs: Mutex<HashMap<u32, Vec<u8>>>,
    count: watch::Sender<usize>,
}

struct MemoryLog(Arc<Memory>, u32);

struct Recorder(Arc<Memory>);

impl Outlet for Recorder {
    fn record(&self, event: Event) {
        self.0.events.lock().expect("no panic").push(event);
        self.0.count.send_modify(|count| *count += 1);
    }

    fn log(&self, _: &JobId, step: StepNumber) -> Box<dyn StepLog> {
        Box::new(MemoryLog(Arc::clone(&self.0), step.0))
    }
}

impl StepLog for MemoryLog {
    fn write(&mut self, bytes: &[u8]) {
        self.0.logs.lock().expect("no panic").entry(self.1).or_default().extend_from_slice(bytes);
    }

    fn finish(&mut self) {}
}

impl Memory {
    async fn recorded(&self, is_it: impl Fn(&Event) -> bool) {
        let mut count = self.count.subscribe();
        while !self.events.lock().expect("no panic").iter().any(&is_it) {
            count.changed().await.expect("the outlet lives");
        }
    }

    /// Waits until a step has started.
    async fn started(&self, number: u32) {
        self.recorded(|event| matches!(event, Event::StepStarted { step, .. } if step.0 == number)).await;
    }

    fn log(&self) -> String {
        let logs = self.logs.lock().expect("no panic");
        let mut all: Vec<_> = logs.iter().collect();
        all.sort();
        all.into_iter().map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect()
    }
}

/// The turns of one environment: a lock.
struct OneAtATime(Arc<tokio::sync::Mutex<()>>);

impl Queue for OneAtATime {
    fn wait(&self, _: bool) -> BoxFuture<'_, Result<Turn, QueueError>> {
        let lock = Arc::clone(&self.0);
        async move { Ok(Box::new(lock.lock_owned().await) as Turn) }.boxed()
    }
}

/// A machine with one environment.
struct Rig {
    home: tempfile::TempDir,
    settings: EnvironmentSettings,
    turns: Arc<tokio::sync::Mutex<()>>,
}

/// A deployment that was started.
struct Going {
    folder: RunFolder,
    memory: Arc<Memory>,
    order: mpsc::Sender<Asked>,
    stop: watch::Sender<Stop>,
    end: tokio::task::JoinHandle<DeploymentEnd>,
}

fn person(user: &str) -> Actor {
    Actor { user: user.to_owned(), host: "web".to_owned(), email: String::new() }
}

impl Rig {
    fn new(settings: EnvironmentSettings) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("repository")).expect("made");
        Self { home, settings, turns: Arc::default() }
    }

    fn root(&self) -> std::path::PathBuf {
        self.home.path().join("repository")
    }

    fn runs(&self) -> RunsDir {
        RunsDir::at(self.home.path().join("state"))
    }

    fn file(&self) -> LedgerFile {
        LedgerFile::of(&self.runs(), Path::new("/shop/.git"))
    }

    fn ledger(&self) -> Ledger {
        self.file().read().expect("read")
    }

    fn record(&self, folder: &RunFolder) -> DeploymentRecord {
        self.ledger().deployment("production", folder.id()).expect("requested")
    }

    /// Requests a deployment by ada.
    fn request(&self, tag: &str, cause: &Cause) -> RunFolder {
        let folder = self.runs().create(Timestamp(1_700_000_000_000)).expect("made");
        let action = Action::Requested { release: release(tag), from: None, cause: cause.clone() };
        let (at, by, environment) = (now(), person("ada"), "production".to_owned());
        let deployment = Some(folder.id().clone());
        self.file().append(&Entry { at, by, environment, deployment, action, reason: String::new() }).expect("written");
        folder
    }

    /// Starts an attempt.
    fn begin(&self, folder: &RunFolder, tag: &str, cause: Cause, begin: Begin) -> Going {
        let memory = Arc::new(Memory::default());
        let environment = std::env::vars_os().filter(|(name, _)| name == "PATH").collect();
        let shell = Shell { folder: self.root(), environment };
        let kept = self.file().observed("production");
        let tools = Tools {
            folder: folder.clone(),
            attempt: 1,
            outlet: Arc::new(Recorder(Arc::clone(&memory))),
            target: Arc::new(Script::new(self.settings.clone(), folder.id().clone(), shell.clone(), kept)),
            shell,
            ledger: self.file(),
            queue: Arc::new(OneAtATime(Arc::clone(&self.turns))),
            known: Arc::new(crate::rollout::testing::known),
            minute_of_week: |_| 0,
        };
        let subject = Subject {
            settings: self.settings.clone(),
            release: release(tag),
            cause,
            creator: person("ada"),
            worker: person("ada"),
        };
        let (order, orders) = mpsc::channel(8);
        let (stop, stopped) = watch::channel(Stop::No);
        let end = tokio::spawn(carry_out(subject, tools, orders, stopped, begin));
        Going { folder: folder.clone(), memory, order, stop, end }
    }

    fn deploy(&self, tag: &str) -> Going {
        self.begin(&self.request(tag, &Cause::Manual), tag, Cause::Manual, Begin::Forward)
    }

    /// Deploys a release without anything in its way.
    async fn deployed(&self, tag: &str) {
        let end = self.deploy(tag).end.await.expect("no panic");
        assert_eq!(end, DeploymentEnd { conclusion: Conclusion::Success, reason: None });
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root().join("calls")).unwrap_or_default();
        fs::remove_file(self.root().join("calls")).ok();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the releases of the replicas, by slot and number, and the traffic.
    fn running(&self) -> String {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.root()).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("blue.") || name.starts_with("green.") {
                all.push(format!("{name}={}", read(&entry.path())));
            }
        }
        all.sort();
        format!("{} weight {}", all.join(" "), read(&self.root().join("weight")))
    }

    fn spoil(&self, tag: &str) {
        fs::write(self.root().join(format!("bad.{tag}")), "").expect("written");
    }
}

impl Going {
    async fn tell(&self, order: DeploymentOrder, by: &str) -> Reply {
        let (reply, replied) = oneshot::channel();
        let command = Command::Deployment { order, by: Some(person(by)) };
        self.order.send((command, reply)).await.expect("it goes on");
        replied.await.expect("answered")
    }

    /// Repeats an order until it is accepted.
    async fn accepted(&self, order: DeploymentOrder, by: &str) {
        while self.tell(order.clone(), by).await != Reply::Accepted {
            tokio::task::yield_now().await;
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn rolling() -> EnvironmentSettings {
    settings(Strategy::Rolling { max_surge: 1, max_unavailable: 0 }, 2, COMMANDS)
}

fn canary(steps: &[CanaryStep]) -> EnvironmentSettings {
    settings(Strategy::Canary { steps: steps.to_vec() }, 2, COMMANDS)
}

#[tokio::test]
async fn a_rolling_deployment_replaces_replicas_one_by_one() {
    let rig = Rig::new(rolling());
    rig.deployed("v1").await;
    assert_eq!(rig.calls(), ["start blue 2", "weight blue 100"]);
    let going = rig.deploy("v2");
    let (folder, memory) = (going.folder.clone(), Arc::clone(&going.memory));
    going.end.await.expect("no panic");
    assert_eq!(
        rig.calls(),
        [
            "start green 1",
            "weight green 50",
            "drain blue 1",
            "stop blue 1",
            "start green 2",
            "weight green 100",
            "drain blue 0",
            "stop blue 0",
        ]
    );
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100");
    assert_eq!(rig.record(&folder).outcome, Some(Outcome::Succeeded));
    let events = memory.events.lock().expect("no panic");
    let ends: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::StepFinished { step, conclusion, .. } => Some((step.0, *conclusion)),
            _ => None,
        })
        .collect();
    assert_eq!(ends, (1..=10).map(|step| (step, Conclusion::Success)).collect::<Vec<_>>());
    assert!(events.iter().any(|event| matches!(event, Event::ProcessStarted { .. })));
}

#[tokio::test]
async fn a_release_that_is_never_healthy_goes_back_by_itself() {
    for (strategy, step) in [
        (Strategy::Rolling { max_surge: 1, max_unavailable: 0 }, "step 2/10 (Wait until green is healthy)"),
        (Strategy::Rolling { max_surge: 0, max_unavailable: 1 }, "step 4/"),
        (Strategy::BlueGreen { pause: None }, "step 2/5"),
        (Strategy::Recreate, "step 4/5"),
    ] {
        let rig = Rig::new(settings(strategy.clone(), 2, COMMANDS));
        rig.deployed("v1").await;
        rig.spoil("v2");
        let going = rig.deploy("v2");
        let end = going.end.await.expect("no panic");
        let reason = end.reason.expect("a reason");
        assert!(reason.starts_with(step), "{strategy:?}: {reason}");
        assert!(reason.contains("bad 4 times in a row") && reason.ends_with("serves again"), "{reason}");
        assert_eq!(end.conclusion, Conclusion::Failure);
        assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 weight blue 100", "{strategy:?}");
        let record = rig.record(&going.folder);
        assert_eq!(record.outcome, Some(Outcome::RolledBack));
        let live = rig.ledger().live("production").map(|live| live.release);
        assert_eq!(live, Some(release("v1")), "{strategy:?}");
        // What is there is good to deploy to.
        fs::remove_file(rig.root().join("bad.v2")).expect("removed");
        rig.deployed("v2").await;
    }
}

#[tokio::test]
async fn a_smoke_test_that_fails_leaves_the_traffic() {
    let smoke = Check {
        probe: Probe::Exec("echo smoke; exit 3".to_owned()),
        timing: Timing { retries: 0, ..Timing::default() },
    };
    let rig = Rig::new(settings(Strategy::BlueGreen { pause: None }, 1, COMMANDS));
    rig.deployed("v1").await;
    rig.calls();
    let rig = Rig { settings: EnvironmentSettings { smoke: Some(smoke), ..rig.settings.clone() }, ..rig };
    let going = rig.deploy("v2");
    let end = going.end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(
        reason.starts_with("step 3/7 (Smoke test of green) failed: bad once; the last answer: exit status: 3"),
        "{reason}"
    );
    assert_eq!(rig.calls(), ["start green 1", "weight blue 100", "drain green 0", "stop green 0"]);
    assert!(going.memory.log().contains("smoke"), "{}", going.memory.log());
}

#[tokio::test]
async fn a_canary_waits_for_people_who_promote_pause_and_abort() {
    let steps = [CanaryStep::Weight(10), CanaryStep::Pause(Pause::Person)];
    let command = "echo \"$DEPLOY_EVENT $DEPLOY_RELEASE\" >> events".to_owned();
    let notify = Some(Notify { command, on: NotifyEvent::ALL.to_vec() });
    let rig = Rig::new(EnvironmentSettings { notify, ..canary(&steps) });
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v2 weight green 10");
    going.accepted(DeploymentOrder::Promote { full: false }, "olu").await;
    going.end.await.expect("no panic");
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100");
    let going = rig.deploy("v3");
    going.memory.started(4).await;
    going.accepted(DeploymentOrder::Abort { reason: "errors".to_owned() }, "olu").await;
    let end = going.end.await.expect("no panic");
    let title = release("v2").title();
    assert_eq!(end.reason, Some(format!("aborted by olu@web: errors; {title} serves again")));
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100");
    let words: Vec<_> =
        rig.ledger().entries().iter().map(|entry| (entry.by.user.clone(), entry.action.word())).collect();
    let olu = words.into_iter().filter(|(user, _)| user == "olu").map(|(_, word)| word).collect::<Vec<_>>();
    assert_eq!(olu, ["promoted", "aborted"]);
    let mut events: Vec<_> = read(&rig.root().join("events")).lines().map(str::to_owned).collect();
    events.sort();
    assert_eq!(events, ["paused v2", "paused v3", "rolled_back v3", "succeeded v1", "succeeded v2"]);
}

#[tokio::test]
async fn a_canary_that_turns_bad_while_it_is_watched_goes_back() {
    let steps = [CanaryStep::Weight(10), CanaryStep::Pause(Pause::For(Duration::from_mins(1)))];
    let analysis = Analysis {
        probe: Probe::Exec("test ! -e bad.v2".to_owned()),
        every: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
        failures: 2,
    };
    let rig = Rig::new(EnvironmentSettings { analysis: Some(analysis), ..canary(&steps) });
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    rig.spoil("v2");
    let end = going.end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(reason.contains("the new release was bad 2 times while it was watched"), "{reason}");
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 weight blue 100");
}

#[tokio::test]
async fn an_analysis_that_knows_nothing_asks_a_person() {
    let steps = [CanaryStep::Weight(10), CanaryStep::Pause(Pause::For(Duration::from_millis(60)))];
    let analysis = Analysis {
        probe: Probe::Exec("exit 75".to_owned()),
        every: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
        failures: 2,
    };
    let rig = Rig::new(canary(&steps));
    rig.deployed("v1").await;
    let rig = Rig { settings: EnvironmentSettings { analysis: Some(analysis), ..rig.settings.clone() }, ..rig };
    let going = rig.deploy("v2");
    while !going.memory.log().contains("a person decides") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    going.accepted(DeploymentOrder::Promote { full: false }, "olu").await;
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
}

#[tokio::test]
async fn a_worker_that_is_killed_at_any_step_goes_on_or_back() {
    let strategies = [
        Strategy::Recreate,
        Strategy::Rolling { max_surge: 1, max_unavailable: 0 },
        Strategy::Rolling { max_surge: 0, max_unavailable: 1 },
        Strategy::BlueGreen { pause: None },
        Strategy::Canary { steps: vec![CanaryStep::Weight(10), CanaryStep::Weight(50)] },
    ];
    for strategy in strategies {
        for number in 1.. {
            for begin in [Begin::Forward, Begin::Back("aborted".to_owned())] {
                let rig = Rig::new(settings(strategy.clone(), 2, COMMANDS));
                rig.deployed("v1").await;
                let going = rig.deploy("v2");
                let mut end = going.end;
                tokio::select! {
                    biased;
                    () = going.memory.started(number) => {}
                    _ = &mut end => assert!(number as usize > steps_of(&strategy), "{strategy:?} at {number}"),
                }
                if end.is_finished() {
                    break;
                }
                end.abort();
                assert!(end.await.is_err_and(|error| error.is_cancelled()));
                let position = Position::read(&going.folder).expect("read").expect("begun");
                assert_eq!(position.done + 1, number as usize);
                let again = rig.begin(&going.folder, "v2", Cause::Manual, begin.clone());
                let end = again.end.await.expect("no panic");
                let (running, outcome) = match begin {
                    Begin::Forward => ("green.1=v2 green.2=v2 weight green 100", Outcome::Succeeded),
                    Begin::Back(_) => ("blue.1=v1 blue.2=v1 weight blue 100", Outcome::RolledBack),
                };
                assert_eq!(rig.running(), running, "{strategy:?} at {number}: {end:?}");
                let record = rig.record(&going.folder);
                let cancelled = record.outcome == Some(Outcome::Cancelled) && number == 1;
                assert!(record.outcome == Some(outcome) || cancelled, "{strategy:?} at {number}: {record:?}");
            }
            if number as usize > steps_of(&strategy) {
                break;
            }
        }
    }
}

/// Returns the number of steps from v1 to v2.
fn steps_of(strategy: &Strategy) -> usize {
    let mut observed = Observed::default();
    let sha = Some(release("v1").sha);
    *observed.slot_mut(crate::model::deployment::Slot::Blue) =
        SlotState { release: sha, replicas: 2, healthy: 2, open: 2, weight: 100 };
    let settings = settings(strategy.clone(), 2, COMMANDS);
    plan::plan(&settings, &observed, &release("v2"), crate::rollout::testing::known).expect("a plan").steps.len()
}

#[tokio::test]
async fn a_deployment_waits_for_an_approval_by_another_person() {
    let rules = EnvironmentSettings {
        reviewers: vec!["olu".to_owned(), "ada".to_owned()],
        prevent_self_review: true,
        ..rolling()
    };
    let rig = Rig::new(rules);
    let review = |approve| DeploymentOrder::Review { approve, comment: "ship it".to_owned() };
    let waits = |event: &Event| matches!(event, Event::ReviewsPending { environments } if environments.len() == 1);
    let going = rig.deploy("v1");
    going.memory.recorded(waits).await;
    let Reply::Rejected { reason } = going.tell(review(true), "ada").await else { panic!("her own deployment") };
    assert_eq!(reason, "ada@web: you may not approve your own deployment; the reviewers are olu, ada");
    let Reply::Rejected { reason } = going.tell(DeploymentOrder::Promote { full: true }, "olu").await else {
        panic!("not begun")
    };
    assert_eq!(reason, "it has not begun: its gates are closed");
    assert_eq!(going.tell(review(true), "olu").await, Reply::Accepted);
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
    rig.calls();
    let going = rig.deploy("v2");
    going.memory.recorded(waits).await;
    assert_eq!(going.tell(review(false), "olu").await, Reply::Accepted);
    let end = going.end.await.expect("no panic");
    let expected =
        DeploymentEnd { conclusion: Conclusion::Cancelled, reason: Some("rejected by olu@web: ship it".to_owned()) };
    assert_eq!(end, expected);
    assert_eq!((rig.calls(), rig.record(&going.folder).outcome), (Vec::new(), Some(Outcome::Cancelled)));
}

#[tokio::test]
async fn a_kept_release_comes_back_without_a_start() {
    let settings = EnvironmentSettings {
        keep_old: Duration::from_mins(1),
        ..settings(Strategy::BlueGreen { pause: None }, 2, COMMANDS)
    };
    let rig = Rig::new(settings);
    rig.deployed("v1").await;
    let kept = rig.deploy("v2");
    kept.memory.started(5).await;
    while rig.record(&kept.folder).outcome.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v2 green.2=v2 weight green 100");
    rig.calls();
    let folder = rig.request("v1", &Cause::Rollback);
    let back = rig.begin(&folder, "v1", Cause::Rollback, Begin::Forward);
    while rig.record(&folder).outcome.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.calls(), ["start blue 2", "weight blue 100", "drain green 0"]);
    // The deployment that kept v1 does not stop it now that it serves.
    kept.accepted(DeploymentOrder::Promote { full: false }, "ada").await;
    assert_eq!(kept.end.await.expect("no panic").conclusion, Conclusion::Success);
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v2 green.2=v2 weight blue 100");
    assert_eq!(rig.ledger().live("production").map(|live| live.release), Some(release("v1")));
    back.stop.send_replace(Stop::Back);
    assert_eq!(back.end.await.expect("no panic").conclusion, Conclusion::Success, "a cancel ends the wait alone");
}

#[tokio::test]
async fn a_rollback_that_fails_is_left_to_a_person() {
    let rig = Rig::new(rolling());
    rig.deployed("v1").await;
    rig.deployed("v2").await;
    rig.spoil("v1");
    let folder = rig.request("v1", &Cause::Rollback);
    let end = rig.begin(&folder, "v1", Cause::Rollback, Begin::Forward).end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(reason.contains("a rollback is not undone by itself"), "{reason}");
    assert_eq!(rig.record(&folder).outcome, Some(Outcome::Failed));
    // The person brings v2 back.
    let again = rig.begin(&folder, "v1", Cause::Rollback, Begin::Back("aborted by olu".to_owned()));
    again.end.await.expect("no panic");
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_and_an_end_at_once_leaves_everything() {
    let slow = ScriptSettings {
        commands: [(ScriptCommand::Start, "sleep 60".to_owned()), (ScriptCommand::Stop, STOP.to_owned())].into(),
        replicas: 1,
        timeout: Duration::from_millis(50),
    };
    let rig = Rig::new(EnvironmentSettings { target: slow.clone(), ..rolling() });
    let end = rig.deploy("v1").end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(reason.contains("the start command did not end within 50ms"), "{reason}");
    let patient = ScriptSettings { timeout: Duration::from_mins(1), ..slow };
    let rig = Rig::new(EnvironmentSettings { target: patient, ..rolling() });
    let going = rig.deploy("v1");
    going.memory.recorded(|event| matches!(event, Event::ProcessStarted { .. })).await;
    going.stop.send_replace(Stop::AtOnce);
    let end = going.end.await.expect("no panic");
    assert_eq!(end.reason.as_deref(), Some("ended at once at step 1/2: what is there is left as it is"));
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::Failed));
}
