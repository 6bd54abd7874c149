//! Deployments by this machine: settings of an environment, the plan of a deployment, and the ledger of a repository.
//!
//! This module holds only data. The module `rollout` makes plans, evaluates gates and carries plans out.

mod diagnosis;
mod hosts;
mod ledger;
mod length;
mod notification;
mod plan;
mod recording;
mod settings;
mod state;
mod target;
mod traffic;
mod words;

pub use diagnosis::{Diagnosis, FailureCause, diagnose};
pub use hosts::{DeploymentPlan, HostStep, host_address, host_names};
pub use ledger::{Action, Actor, Cause, Entry, Ledger, Lock, ReleaseImage, UnreadableLine};
pub use length::{parsed, written};
pub use notification::{Notify, NotifyChannel, NotifyEvent, Webhook, notified};
pub use plan::{Observed, Pause, Plan, PlanStep, Slot, SlotState, Versioned};
pub use recording::{RecordOn, RecordedDeployment, RecordedState, recorded};
pub use settings::{
    Analysis, CanaryStep, Check, EnvironmentSettings, Freeze, HOST_PLACE, Needed, Probe, RefRule, RouterLimits,
    Strategy, Timing,
};
pub use state::{DeploymentRecord, EnvironmentState};
pub use target::{
    ComposeSettings, DockerSettings, IMAGE_PLACES, KubernetesSettings, NoTag, ScriptCommand, ScriptSettings,
    TargetSettings, Workload, image_of,
};
pub use traffic::{Counters, SlotTraffic, TrafficSample};

pub use super::environment::Outcome;

/// Name of the event of runs that are deployments.
pub const DEPLOYMENT_EVENT: &str = "deployment";

/// Returns the workflow name of the runs that deploy to an environment.
#[must_use]
pub fn workflow_name(environment: &str) -> String {
    format!("deploy {environment}")
}

/// Returns the environment that is in a name of [`workflow_name`]; the whole name if it is another one.
#[must_use]
pub fn deployed_to(workflow: &str) -> &str {
    workflow.strip_prefix("deploy ").unwrap_or(workflow)
}
