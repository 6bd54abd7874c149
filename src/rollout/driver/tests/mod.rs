//! Deployments with real processes: replicas are files in a folder, and every command leaves a line.

mod faults;
mod hosts;
mod interrupted;
mod people;
mod strategies;
mod targets;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::model::deployment::{
    Analysis, CanaryStep, Check, DeploymentRecord, Entry, EnvironmentState, Notify, NotifyEvent, Observed, Pause,
    Probe, RefRule, ScriptCommand, ScriptSettings, SlotTraffic, Strategy, TargetSettings, Timing,
};
use crate::model::{Command, DeploymentOrder, Reply};
use crate::rollout::outlet::StepLog;
use crate::rollout::target::Target;
use crate::rollout::testing::{release, settings};
use crate::store::clock::now;
use crate::store::folder::RunsDir;

const START: &str = "for i in $(seq $DEPLOY_REPLICAS); do echo $DEPLOY_RELEASE > $DEPLOY_SLOT.$i; done
echo $DEPLOY_SHA > sha.$DEPLOY_SLOT
echo start $DEPLOY_SLOT $DEPLOY_REPLICAS >> calls";
const HEALTHY: &str = "test ! -e bad.$DEPLOY_RELEASE && ls $DEPLOY_SLOT.* > /dev/null";
const WEIGHT: &str = "echo $DEPLOY_SLOT $DEPLOY_WEIGHT > weight; echo weight $DEPLOY_SLOT $DEPLOY_WEIGHT >> calls";
const DRAIN: &str = "echo drain $DEPLOY_SLOT $DEPLOY_KEEP >> calls";
const STOP: &str = "for file in $DEPLOY_SLOT.*; do
  test ${file##*.} -gt $DEPLOY_KEEP 2> /dev/null && rm -f $file
done
echo stop $DEPLOY_SLOT $DEPLOY_KEEP >> calls";

/// Script that reports the existing replicas, with the release of their slot.
const STATUS: &str = "for slot in blue green; do
  replicas=$(ls $slot.* 2> /dev/null | wc -l)
  of=none; share=100; test -e weight && read of share < weight
  test $of = $slot || share=$((100 - share))
  test $replicas -eq 0 || echo $slot $(cat sha.$slot) $replicas $replicas $share
done";

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

    fn masked(&self, text: &str) -> String {
        text.replace("hunter2", "***")
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

/// Queue of one environment, implemented by a lock.
struct OneAtATime(Arc<tokio::sync::Mutex<()>>);

impl Queue for OneAtATime {
    fn wait(&self, _: bool) -> BoxFuture<'_, Result<Turn, QueueError>> {
        let lock = Arc::clone(&self.0);
        async move { Ok(Box::new(lock.lock_owned().await) as Turn) }.boxed()
    }
}

/// Returns the target in front of the one of a host, which runs in a folder.
type Front = Box<dyn Fn(&Path, Arc<dyn Target>) -> Arc<dyn Target>>;

/// A machine with one environment.
struct Rig {
    home: tempfile::TempDir,
    settings: EnvironmentSettings,
    turns: Arc<tokio::sync::Mutex<()>>,
    /// Names of the hosts, each with a folder; empty for a target without hosts.
    hosts: Vec<&'static str>,
    /// The target for the plan, if it differs from the commands that carry it out.
    planned: Option<TargetSettings>,
    /// What stands in front of the targets of hosts.
    front: Option<Front>,
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
        Self { home, settings, turns: Arc::default(), hosts: Vec::new(), planned: None, front: None }
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

    fn state(&self) -> EnvironmentState {
        self.file().read().expect("read").of("production")
    }

    fn record(&self, folder: &RunFolder) -> DeploymentRecord {
        self.state().deployment(folder.id()).expect("requested").clone()
    }

    /// Adds an entry about the environment as a whole.
    fn add(&self, action: Action) {
        let (at, by, environment) = (now(), person("ada"), "production".to_owned());
        let entry = Entry { at, by, environment, deployment: None, job: None, action, reason: "hands off".to_owned() };
        self.file().append(&entry).expect("written");
    }

    /// Requests a deployment by ada.
    fn request(&self, tag: &str, cause: &Cause) -> RunFolder {
        let folder = self.runs().create(Timestamp(1_700_000_000_000)).expect("made");
        let action = Action::Requested { release: release(tag), from: None, cause: cause.clone() };
        let (at, by, environment) = (now(), person("ada"), "production".to_owned());
        let deployment = Some(folder.id().clone());
        self.file()
            .append(&Entry { at, by, environment, deployment, job: None, action, reason: String::new() })
            .expect("written");
        folder
    }

    /// Starts an attempt.
    fn begin(&self, folder: &RunFolder, tag: &str, cause: Cause, begin: Begin) -> Going {
        let memory = Arc::new(Memory::default());
        let environment = std::env::vars_os().filter(|(name, _)| name == "PATH").collect();
        let shell = Shell { folder: self.root(), environment };
        let kept = self.file().observed("production");
        let list = self.root().join("changed");
        let changed = move || Ok(read(&list).lines().map(str::to_owned).collect());
        let tools = Tools {
            folder: folder.clone(),
            attempt: 1,
            outlet: Arc::new(Recorder(Arc::clone(&memory))),
            targets: Arc::new(self.targets(folder, &shell, &kept)),
            shell,
            ledger: self.file(),
            server: None,
            queue: Arc::new(OneAtATime(Arc::clone(&self.turns))),
            known: Arc::new(crate::rollout::testing::known),
            changed: Arc::new(changed),
            minute_of_week: |_| 0,
        };
        let target = self.planned.clone().unwrap_or_else(|| self.settings.target.clone());
        let subject = Subject {
            settings: EnvironmentSettings { target, ..self.settings.clone() },
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

    fn targets(&self, folder: &RunFolder, shell: &Shell, kept: &Path) -> Targets {
        use crate::rollout::target;
        if self.hosts.is_empty() {
            return target::of(&self.settings, folder.id(), shell.clone(), kept.to_owned());
        }
        let hosts: Vec<String> = self.hosts.iter().map(|host| format!("ssh://{host}")).collect();
        Targets::on_hosts(&hosts, |address| {
            let host = address.trim_start_matches("ssh://");
            let shell = Shell { folder: shell.folder.join(host), ..shell.clone() };
            let place = shell.folder.clone();
            let target = target::script_of(&self.settings, folder.id(), shell, kept.with_extension(host));
            match &self.front {
                Some(front) => front(&place, target),
                None => target,
            }
        })
    }

    fn deploy(&self, tag: &str) -> Going {
        self.begin(&self.request(tag, &Cause::Manual), tag, Cause::Manual, Begin::Forward)
    }

    /// Deploys a release that nothing holds back.
    async fn deployed(&self, tag: &str) {
        let end = self.deploy(tag).end.await.expect("no panic");
        assert_eq!(end, DeploymentEnd { conclusion: Conclusion::Success, reason: None });
    }

    /// Waits until the ledger has the end of a deployment, whose worker may still keep a release or report the end.
    async fn ended(&self, folder: &RunFolder) -> Outcome {
        until("the deployment has ended", || self.record(folder).outcome).await
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root().join("calls")).unwrap_or_default();
        fs::remove_file(self.root().join("calls")).ok();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the releases of the replicas, by slot and number, and the traffic.
    fn running(&self) -> String {
        running_in(&self.root())
    }

    fn spoil(&self, tag: &str) {
        fs::write(self.root().join(format!("bad.{tag}")), "").expect("written");
    }
}

impl Going {
    async fn tell(&self, order: DeploymentOrder, by: &str) -> Reply {
        self.command(Command::Deployment { order, by: Some(person(by)) }).await
    }

    async fn command(&self, command: Command) -> Reply {
        let (reply, replied) = oneshot::channel();
        self.order.send((command, reply)).await.expect("it goes on");
        replied.await.expect("answered")
    }

    /// Repeats an order until it is accepted, for at most a minute.
    async fn accepted(&self, order: DeploymentOrder, by: &str) {
        let start = std::time::Instant::now();
        loop {
            let reply = self.tell(order.clone(), by).await;
            if reply == Reply::Accepted {
                return;
            }
            assert!(start.elapsed() < Duration::from_mins(1), "{order:?}: {reply:?}");
            tokio::task::yield_now().await;
        }
    }
}

/// Waits until a condition is true, for at most a minute.
async fn until<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = fact() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Returns the releases of the replicas in a folder, by slot and number, and the traffic.
fn running_in(folder: &Path) -> String {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("blue.") || name.starts_with("green.") {
            all.push(format!("{name}={}", read(&entry.path())));
        }
    }
    all.sort();
    format!("{} weight {}", all.join(" "), read(&folder.join("weight")))
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
