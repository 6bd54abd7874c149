//! A Rollout of Argo Rollouts: its strategy, and what its controller reports. The functions are pure.
//!
//! The controller replaces the pods by the steps of the Rollout's manifest. The strategy of the environment must be the
//! same, so that the plan of a deployment shows what happens, and the controller must not continue before the plan does:
//! [`Rollout::refusal`].

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::model::deployment::{CanaryStep, EnvironmentSettings, Pause, Strategy, written};

/// Annotation of a `ReplicaSet`: the number of the revision.
pub(super) const REVISION: &str = "rollout.argoproj.io/revision";

/// Label that the controller adds to the template of a `ReplicaSet`.
pub(super) const HASH: &str = "rollouts-pod-template-hash";

/// How long the old pods run on after a switch of `blueGreen`, unless the manifest says otherwise.
const SCALE_DOWN_DELAY: Duration = Duration::from_secs(30);

/// What `maxSurge` and `maxUnavailable` are, unless the manifest says otherwise.
const QUARTER: &str = "25%";

/// The part of a Rollout that a Deployment does not have.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Rollout {
    spec: Spec,
    pub(super) status: Status,
}

#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    strategy: RolloutStrategy,
    /// Object from which the pods are taken instead of the template.
    workload_ref: Option<Value>,
}

#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RolloutStrategy {
    canary: Option<Canary>,
    blue_green: Option<BlueGreen>,
}

#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Canary {
    /// Steps, each an object with one key that names what it does.
    steps: Vec<Value>,
    traffic_routing: Option<Value>,
    max_surge: Option<Value>,
    max_unavailable: Option<Value>,
}

#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlueGreen {
    auto_promotion_enabled: Option<bool>,
    auto_promotion_seconds: u64,
    scale_down_delay_seconds: Option<u64>,
}

/// Status of a Rollout, as its controller last reported it.
#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    pub(super) abort: bool,
    pause_conditions: Option<Vec<PauseCondition>>,
    controller_pause: bool,
    /// Hash of the current template.
    pub(super) current_pod_hash: String,
    /// Hash of the template that served before and serves again after an abort.
    #[serde(rename = "stableRS")]
    stable: String,
    current_step_index: Option<usize>,
    phase: String,
    message: String,
    canary: CanaryStatus,
    blue_green: BlueGreenStatus,
}

#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default)]
struct PauseCondition {
    reason: String,
}

#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CanaryStatus {
    /// Shares that the router of the Rollout confirmed.
    weights: Option<Weights>,
    current_step_analysis_run_status: Option<AnalysisRun>,
    current_background_analysis_run_status: Option<AnalysisRun>,
}

#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default)]
struct Weights {
    canary: Share,
    stable: Share,
}

#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Share {
    weight: u32,
    pod_template_hash: String,
}

#[derive(Clone, Default, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BlueGreenStatus {
    /// Hash of the template that gets the traffic.
    active_selector: String,
    pre_promotion_analysis_run_status: Option<AnalysisRun>,
    post_promotion_analysis_run_status: Option<AnalysisRun>,
}

/// An analysis of the controller.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(default)]
struct AnalysisRun {
    name: String,
    status: String,
    message: String,
}

/// State of a Rollout that has a new template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The new template has all traffic.
    Healthy,
    /// The controller waits at a step, or before a switch, until the Rollout is promoted or a time has passed.
    Waits,
    /// An analysis was inconclusive, so a person decides.
    Inconclusive,
    /// The Rollout was aborted, its deadline has passed, or its manifest is invalid.
    Degraded,
    /// The controller carries out a step.
    Progressing,
}

impl Rollout {
    /// Returns the phase. The caller has made sure that the controller has seen the last change.
    pub(super) fn phase(&self, current: &str) -> Phase {
        let status = &self.status;
        if status.controller_pause && self.pauses().next().is_none() {
            // Promoted, and the controller has not noticed yet.
            return Phase::Progressing;
        }
        match &*status.phase {
            "Healthy" => Phase::Healthy,
            "Paused" if self.pauses().any(|reason| reason.starts_with("Inconclusive")) => Phase::Inconclusive,
            "Paused" => Phase::Waits,
            // Right after an undo, the message may still be about the release that was undone.
            "Degraded" if status.abort || status.message.starts_with("InvalidSpec") => Phase::Degraded,
            "Degraded" if status.message.contains(&format!("\"{current}\"")) => Phase::Degraded,
            _ => Phase::Progressing,
        }
    }

    fn pauses(&self) -> impl Iterator<Item = &str> {
        self.status.pause_conditions.iter().flatten().map(|condition| &*condition.reason)
    }

    /// Whether the Rollout gives shares of the traffic to a new release step by step.
    pub(super) fn has_steps(&self) -> bool {
        !self.steps().is_empty()
    }

    fn steps(&self) -> &[Value] {
        self.spec.strategy.canary.as_ref().map(|canary| &*canary.steps).unwrap_or_default()
    }

    /// Whether the current template is the one that an abort would keep.
    pub(super) fn is_stable(&self) -> bool {
        self.status.stable == self.status.current_pod_hash
    }

    /// Returns the share of the traffic of the pods of a template in percent. `None` if the Rollout distributes the
    /// traffic only by the numbers of pods.
    pub(super) fn weight(&self, hash: &str) -> Option<u8> {
        let status = &self.status;
        if self.spec.strategy.blue_green.is_some() {
            return Some(if status.blue_green.active_selector == hash { 100 } else { 0 });
        }
        self.spec.strategy.canary.as_ref()?.traffic_routing.as_ref()?;
        let shares = status.canary.weights.as_ref().map(|weights| [&weights.canary, &weights.stable]);
        let Some(shares) = shares else { return Some(if status.stable == hash { 100 } else { 0 }) };
        let shares = shares.iter().filter(|share| share.pod_template_hash == hash);
        let percent = shares.fold(0, |sum: u32, share| sum.saturating_add(share.weight));
        Some(u8::try_from(percent.min(100)).unwrap_or(100))
    }

    /// Whether the controller has begun to give the current template a share of the traffic, or has given it more
    /// already.
    pub(super) fn has_begun(&self, percent: u8) -> bool {
        let status = &self.status;
        if self.spec.strategy.blue_green.is_some() {
            return status.blue_green.active_selector == status.current_pod_hash;
        }
        let is_share = |step: &Value| step["setWeight"].as_u64() == Some(percent.into());
        let steps = self.steps();
        let first = steps.iter().position(is_share).unwrap_or(steps.len());
        self.is_stable() || status.current_step_index.is_some_and(|index| index >= first)
    }

    /// Describes the state of a Rollout whose release is not fully promoted, or that is degraded: its step, why it waits,
    /// and its analyses. `None` if there is nothing to say.
    pub(super) fn note(&self) -> Option<String> {
        let status = &self.status;
        if status.phase == "Healthy" || status.phase.is_empty() {
            return None;
        }
        let mut parts = vec![format!("Rollout {}", status.phase)];
        parts.extend(Some(status.message.clone()).filter(|message| !message.is_empty()));
        if let Some(index) = status.current_step_index.filter(|index| *index < self.steps().len() && !self.is_stable())
        {
            let steps = self.steps();
            parts.push(format!("step {} of {}: {}", index + 1, steps.len(), described(&steps[index])));
        }
        let runs = [
            &status.canary.current_step_analysis_run_status,
            &status.canary.current_background_analysis_run_status,
            &status.blue_green.pre_promotion_analysis_run_status,
            &status.blue_green.post_promotion_analysis_run_status,
        ];
        parts.extend(runs.into_iter().flatten().map(|run| {
            let message = if run.message.is_empty() { String::new() } else { format!(" ({})", run.message) };
            format!("analysis {} {}{message}", run.name, run.status)
        }));
        Some(parts.join(", "))
    }

    /// Returns how the Rollout differs from the strategy of an environment, as the end of a sentence that begins
    /// with its name. `None` if both agree. `replicas` is the number of pods.
    pub(super) fn refusal(&self, settings: &EnvironmentSettings, replicas: u32) -> Option<String> {
        let strategy = &self.spec.strategy;
        if self.spec.workload_ref.is_some() {
            return Some(
                "takes its pods from another object (workloadRef): write the template into the Rollout".to_owned(),
            );
        }
        match (&settings.strategy, &strategy.canary, &strategy.blue_green) {
            (Strategy::BlueGreen { pause }, _, Some(own)) => own.refusal(*pause, settings),
            (Strategy::Rolling { max_surge, max_unavailable }, Some(canary), None) if canary.steps.is_empty() => {
                canary.refuses_batches((*max_surge, *max_unavailable), replicas)
            }
            (Strategy::Canary { steps }, Some(canary), None) if !canary.steps.is_empty() => {
                let keeps = canary.traffic_routing.is_some() || settings.keep_old.is_zero();
                let early = "removes old pods step by step, because it has no trafficRouting: remove keep_old";
                let early = (!keeps).then(|| early.to_owned());
                let refused = canary.refuses_total().or_else(|| canary.refuses_steps(steps));
                refused.or_else(|| canary.refuses_shares(steps, replicas)).or(early)
            }
            (other, canary, _) => {
                let is_rolling = canary.as_ref().is_some_and(|canary| canary.steps.is_empty());
                let (own, name) = match canary {
                    None => ("the strategy blueGreen", "blue-green"),
                    Some(_) if is_rolling => ("the strategy canary without steps", "rolling"),
                    Some(_) => ("the strategy canary", "canary"),
                };
                let wanted = other.name();
                Some(format!(
                    "has {own}, and the environment `{wanted}`: write strategy = \"{name}\", or change the Rollout"
                ))
            }
        }
    }
}

impl BlueGreen {
    fn refusal(&self, pause: Option<Pause>, settings: &EnvironmentSettings) -> Option<String> {
        let delay = self.scale_down_delay_seconds.map_or(SCALE_DOWN_DELAY, Duration::from_secs);
        let is_automatic = self.auto_promotion_enabled.unwrap_or(true) || self.auto_promotion_seconds > 0;
        let after = is_automatic.then(|| Duration::from_secs(self.auto_promotion_seconds));
        // The controller counts from when the new pods are ready, and the plan from the beginning of its pause.
        let early = after.and_then(|after| match pause {
            Some(Pause::Person) => Some("the pause"),
            Some(Pause::For(length)) if after <= length => Some("the pause"),
            // No time limits the smoke test as a whole.
            _ => settings.smoke.is_some().then_some("the smoke test"),
        });
        if let Some(early) = early {
            return Some(format!(
                "may promote by itself before the end of {early}: set autoPromotionEnabled: false, and no autoPromotionSeconds"
            ));
        }
        (settings.keep_old > delay).then(|| {
            let (delay, keep) = (written(delay), written(settings.keep_old));
            format!("removes old pods after {delay}, and keep_old is {keep}: set scaleDownDelaySeconds, or a shorter keep_old")
        })
    }
}

impl Canary {
    /// Returns `maxSurge` and `maxUnavailable` as numbers of pods.
    fn batch(&self, replicas: u32) -> (u32, u32) {
        let part = |value: &Option<Value>, is_up: bool| -> u32 {
            let text = value.as_ref().map_or_else(|| QUARTER.to_owned(), |value| value.to_string().replace('"', ""));
            match text.strip_suffix('%').map(str::parse::<u32>) {
                Some(Ok(percent)) if is_up => (replicas * percent).div_ceil(100),
                Some(Ok(percent)) => replicas * percent / 100,
                _ => text.parse().unwrap_or_default(),
            }
        };
        match (part(&self.max_surge, true), part(&self.max_unavailable, false)) {
            (0, 0) => (0, 1),
            batch => batch,
        }
    }

    fn refuses_batches(&self, wanted: (u32, u32), replicas: u32) -> Option<String> {
        let (surge, unavailable) = self.batch(replicas);
        let what = "write these in max_surge and max_unavailable, or change the Rollout";
        ((surge, unavailable) != wanted).then(|| {
            format!("replaces its pods with maxSurge {surge} and maxUnavailable {unavailable} of {replicas}: {what}")
        })
    }

    /// Compares the shares and pauses with those of the environment. Other steps, such as an analysis, are the
    /// controller's own.
    fn refuses_steps(&self, steps: &[CanaryStep]) -> Option<String> {
        let own: Vec<&Value> = self.steps.iter().filter(|step| !is_end(step) && is_shared(step)).collect();
        let agree = own.len() == steps.len() && own.iter().zip(steps).all(|(own, step)| agrees(own, step));
        if agree {
            let early = own.iter().zip(steps).find_map(|(own, step)| too_short(own, step))?;
            return Some(format!(
                "may end its pause of {} before the environment does: write `pause: {{}}` into the Rollout, or a shorter pause \
                 in canary.steps",
                written(early)
            ));
        }
        let own: Vec<String> = own.into_iter().map(|step| format!("\"{}\"", described(step))).collect();
        let own = own.join(", ");
        Some(format!(
            "has the steps {own}, and the environment others: write canary.steps = [{own}], or change the Rollout"
        ))
    }

    /// Checks that shares of the traffic are percentages.
    fn refuses_total(&self) -> Option<String> {
        let total = self.traffic_routing.as_ref()?.get("maxTrafficWeight").filter(|total| !total.is_null())?;
        (total.as_u64() != Some(100)).then(|| {
            format!("has shares of {total} instead of percentages: remove maxTrafficWeight from its trafficRouting")
        })
    }

    /// Checks that the numbers of pods can make up each share, if no router does.
    fn refuses_shares(&self, steps: &[CanaryStep], replicas: u32) -> Option<String> {
        if self.traffic_routing.is_some() {
            return None;
        }
        let (surge, _) = self.batch(replicas);
        // The controller adds at most one pod to make up a share.
        let totals = replicas..=replicas + surge.min(1);
        let mut possible: Vec<u32> =
            totals.flat_map(|all| (1..all).map(move |new| (100 * new + all / 2) / all)).collect();
        possible.sort_unstable();
        possible.dedup();
        let wrong =
            steps.iter().filter_map(|step| step.share().map(u32::from)).find(|share| !possible.contains(share))?;
        let possible: Vec<String> = possible.iter().map(|percent| format!("{percent}%")).collect();
        let possible = if possible.is_empty() { "none".to_owned() } else { possible.join(", ") };
        let pods = if replicas == 1 { "1 pod".to_owned() } else { format!("{replicas} pods") };
        Some(format!(
            "has no trafficRouting, so shares are numbers of its {pods}: {wrong}% is not possible; possible: {possible}"
        ))
    }
}

/// Whether a step gives all traffic to the new release, which a plan does at its end anyway.
fn is_end(step: &Value) -> bool {
    step["setWeight"].as_u64().is_some_and(|percent| percent >= 100)
}

/// Whether a step has a counterpart in the settings of an environment.
fn is_shared(step: &Value) -> bool {
    step.get("setWeight").is_some() || step.get("pause").is_some()
}

/// Whether a step of a Rollout is that of an environment, apart from the lengths of pauses that both limit.
fn agrees(own: &Value, step: &CanaryStep) -> bool {
    let is_pause = own.get("pause").is_some();
    let length = own.pointer("/pause/duration").filter(|length| !length.is_null());
    match step {
        CanaryStep::Weight(percent) => own["setWeight"].as_u64() == Some(u64::from(*percent)),
        CanaryStep::Pause(Pause::Person) => is_pause && length.is_none(),
        CanaryStep::Pause(Pause::For(_)) => is_pause && length.is_none_or(|length| duration(length).is_some()),
    }
}

/// Returns the length of a pause of a Rollout that may end before the environment's; `None` for any other step.
fn too_short(own: &Value, step: &CanaryStep) -> Option<Duration> {
    let CanaryStep::Pause(Pause::For(wanted)) = step else { return None };
    // The controller's pause begins before the plan sees it, so one of the same length ends earlier.
    duration(own.pointer("/pause/duration")?).filter(|length| length <= wanted)
}

/// Returns a step of a Rollout as the settings of an environment write it. A step without counterpart is its name.
fn described(step: &Value) -> String {
    if let Some(percent) = step["setWeight"].as_u64() {
        return format!("{percent}%");
    }
    if step.get("pause").is_some() {
        return match step.pointer("/pause/duration").filter(|length| !length.is_null()) {
            None => "pause".to_owned(),
            Some(length) => match duration(length) {
                Some(length) => format!("pause {}", written(length)),
                None => format!("pause {length}"),
            },
        };
    }
    step.as_object().and_then(|step| step.keys().next()).cloned().unwrap_or_default()
}

/// Returns the duration of a pause: a number of seconds, or numbers with units, such as `1h30m`.
fn duration(value: &Value) -> Option<Duration> {
    let Some(text) = value.as_str() else { return value.as_u64().map(Duration::from_secs) };
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (mut rest, mut all) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        let number: u64 = number.parse().ok()?;
        all += match unit {
            "h" => Duration::from_hours(number),
            "m" => Duration::from_mins(number),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        rest = after;
    }
    Some(all)
}
