//! Builders for tests of deployments.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::model::deployment::{
    CanaryStep, DockerSettings, EnvironmentSettings, KubernetesSettings, Observed, Pause, Plan, ScriptCommand,
    ScriptSettings, Slot, SlotState, Strategy, TargetSettings, Timing, Workload,
};
use crate::model::environment::Release;
use crate::model::{Event, JobId, StepNumber};

use super::outlet::{Outlet, Progress, StepLog};

/// Outlet that keeps events in memory, with a secret masked. It has no logs of steps.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Mutex<Vec<Event>>);

impl Outlet for Memory {
    fn record(&self, event: Event) {
        self.0.lock().expect("no panic").push(event);
    }

    fn log(&self, _: &JobId, _: StepNumber) -> Box<dyn StepLog> {
        unreachable!("nothing here has a log")
    }

    fn masked(&self, text: &str) -> String {
        text.replace("hunter2", "***")
    }
}

/// Outlet that keeps the log of a step in memory. It drops events.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    pub(crate) fn progress(&self) -> Progress {
        let outlet: Arc<dyn Outlet> = Arc::new(self.clone());
        Progress::new(&outlet, &JobId::new("production"), StepNumber(1))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Outlet for Said {
    fn record(&self, _: Event) {}

    fn log(&self, _: &JobId, _: StepNumber) -> Box<dyn StepLog> {
        Box::new(self.clone())
    }

    fn masked(&self, text: &str) -> String {
        text.to_owned()
    }
}

impl StepLog for Said {
    fn write(&mut self, bytes: &[u8]) {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
    }

    fn finish(&mut self) {}
}

/// Returns the release of a tag. Each tag has a different commit.
pub(crate) fn release(tag: &str) -> Release {
    let sha = tag.bytes().map(|byte| format!("{byte:02x}")).rev().collect::<String>() + "abcdef0123456789";
    Release { sha, reference: tag.to_owned(), tag: Some(tag.to_owned()) }
}

/// Returns the settings of an environment whose target has all of these commands.
pub(crate) fn settings(strategy: Strategy, replicas: u32, commands: &[(ScriptCommand, &str)]) -> EnvironmentSettings {
    EnvironmentSettings {
        name: "production".to_owned(),
        on: Vec::new(),
        after: Vec::new(),
        reviewers: Vec::new(),
        prevent_self_review: false,
        wait: Duration::ZERO,
        freeze: Vec::new(),
        strategy,
        keep_old: Duration::ZERO,
        auto_stop: None,
        url: None,
        target: TargetSettings::Script(ScriptSettings {
            commands: commands.iter().map(|(command, text)| (*command, (*text).to_owned())).collect(),
            replicas,
            timeout: Duration::from_secs(10),
        }),
        health: Timing { interval: Duration::from_millis(10), retries: 3, ..Timing::default() },
        health_check: None,
        smoke: None,
        analysis: None,
        notify: None,
        record: None,
        secrets: Vec::new(),
        variables: Vec::new(),
    }
}

/// All commands of a target, which do nothing.
pub(crate) const NO_EFFECT: &[(ScriptCommand, &str)] = &[
    (ScriptCommand::Start, ":"),
    (ScriptCommand::Healthy, ":"),
    (ScriptCommand::Weight, ":"),
    (ScriptCommand::Drain, ":"),
    (ScriptCommand::Stop, ":"),
];

/// Returns the settings of a target in Docker.
pub(crate) fn docker(replicas: u32) -> DockerSettings {
    DockerSettings {
        service: "shop".to_owned(),
        image: "shop:{release}".to_owned(),
        replicas,
        port: 8080,
        publish: 8080,
        network: None,
        variables: Vec::new(),
        drain: Duration::from_secs(1),
        router: "cuelight-router:local".to_owned(),
        hosts: Vec::new(),
        hosts_at_once: 1,
        keep_images: None,
    }
}

/// Returns the settings of a target in Kubernetes.
pub(crate) fn kubernetes() -> KubernetesSettings {
    KubernetesSettings {
        workload: Workload::Deployment("web".to_owned()),
        image: "rig/web:{release}".to_owned(),
        container: None,
        namespace: None,
        context: None,
        kubeconfig: None,
        replicas: None,
        progress_deadline: None,
    }
}

/// Returns a state in which a release serves from the blue slot.
pub(crate) fn live(tag: &str, replicas: u32) -> Observed {
    let mut observed = Observed::default();
    *observed.slot_mut(Slot::Blue) =
        SlotState { release: Some(release(tag).sha), replicas, healthy: replicas, open: replicas, weight: 100 };
    observed
}

/// Returns the release of a commit of one of the tags `v1`, `v2` and `v3`.
pub(crate) fn known(sha: &str) -> Option<Release> {
    ["v1", "v2", "v3"].map(release).into_iter().find(|release| release.sha == sha)
}

/// A canary with two shares.
pub(crate) fn canary() -> Strategy {
    Strategy::Canary {
        steps: vec![
            CanaryStep::Weight(10),
            CanaryStep::Pause(Pause::For(Duration::from_millis(50))),
            CanaryStep::Weight(50),
            CanaryStep::Pause(Pause::Person),
        ],
    }
}

/// Returns the steps of a plan in words, one a line.
pub(crate) fn words(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| plan.describe(step)).collect()
}
