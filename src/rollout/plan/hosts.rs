//! The plan over the hosts of a target.

use crate::model::deployment::{DeploymentPlan, EnvironmentSettings, Observed, Plan, PlanStep, Strategy, host_address};
use crate::model::environment::Release;

use super::PlanError;

/// Returns the plan that puts a release into an environment on all hosts of its target. `hosts` has the name and the
/// state of each host; there is no name if the target has only one. `known` returns the release of a commit.
///
/// The first host gets the release with the strategy of the settings, with all pauses and shares of the traffic, and must
/// then be healthy and serve it. On the others the release is known to work: they have the same batches, but no pauses
/// and no shares. If the release still runs on all hosts, their traffic moves at the same time.
///
/// # Errors
/// A host is between two releases, or serves a release that is not known.
pub fn over(
    settings: &EnvironmentSettings,
    hosts: &[(Option<String>, Observed)],
    release: &Release,
    known: impl Fn(&str) -> Option<Release>,
) -> Result<DeploymentPlan, PlanError> {
    let following = following(settings);
    let mut plans = hosts.iter().enumerate().map(|(index, (name, observed))| {
        let settings = if index == 0 { settings } else { &following };
        let planned = super::plan(settings, observed, release, &known);
        let address = settings.target.hosts().get(index).map(|address| host_address(address).to_owned());
        let planned = planned.map(|plan| Plan { host: name.clone(), address, ..plan });
        match name {
            None => planned,
            Some(name) => planned.map_err(|error| PlanError::Host { host: name.clone(), error: Box::new(error) }),
        }
    });
    // A target always has a host; without one, nothing is known to run.
    let mut first = plans.next().unwrap_or_else(|| super::plan(settings, &Observed::default(), release, &known))?;
    let others = plans.collect::<Result<Vec<_>, _>>()?;
    let is_instant = first.is_instant() && others.iter().all(Plan::is_instant);
    if !others.is_empty() && !is_instant {
        let barrier = PlanStep::Healthy { slot: first.new.slot };
        let at = first.parts().0.len();
        first.steps.insert(at, barrier);
    }
    Ok(DeploymentPlan::new(first, others, settings.target.hosts_at_once()))
}

/// Returns the settings for the hosts that follow the first one.
fn following(settings: &EnvironmentSettings) -> EnvironmentSettings {
    let strategy = match &settings.strategy {
        Strategy::BlueGreen { .. } | Strategy::Canary { .. } => Strategy::BlueGreen { pause: None },
        Strategy::Recreate | Strategy::Rolling { .. } => settings.strategy.clone(),
    };
    EnvironmentSettings { strategy, ..settings.clone() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::model::deployment::{HostStep, Slot, SlotState, TargetSettings};
    use crate::rollout::plan::back;
    use crate::rollout::testing::{canary, docker, known, live, release, settings};

    const ROLLING: Strategy = Strategy::Rolling { max_surge: 1, max_unavailable: 0 };

    fn over_hosts(strategy: Strategy, at_once: u32, hosts: &[Observed]) -> (EnvironmentSettings, DeploymentPlan) {
        let target =
            TargetSettings::Docker(crate::model::deployment::DockerSettings { hosts_at_once: at_once, ..docker(2) });
        let settings = EnvironmentSettings { target, ..settings(strategy, 2, &[]) };
        let hosts = hosts.iter().enumerate().map(|(at, host)| (Some(format!("web{}", at + 1)), host.clone()));
        let plan = over(&settings, &hosts.collect::<Vec<_>>(), &release("v2"), known).expect("a plan");
        (settings, plan)
    }

    /// Returns a host on which the other slot serves v1.
    fn green(replicas: u32) -> Observed {
        let mut host = Observed::default();
        *host.slot_mut(Slot::Green) = live("v1", replicas).slot(Slot::Blue).clone();
        host
    }

    /// Returns a host that keeps v2 running in the slot without traffic.
    fn kept() -> Observed {
        let mut host = live("v1", 2);
        let state = SlotState { release: Some(release("v2").sha), replicas: 2, healthy: 2, open: 0, weight: 0 };
        *host.slot_mut(Slot::Green) = state;
        host
    }

    fn words(plan: &DeploymentPlan) -> Vec<String> {
        plan.steps().iter().map(|step| format!("{} {}", step.wave, plan.describe(step))).collect()
    }

    #[test]
    fn the_first_host_is_alone_and_the_others_follow_in_groups_without_pauses() {
        let hosts = [live("v1", 2), green(2), Observed::default(), live("v1", 2)];
        let (_, mut plan) = over_hosts(canary(), 2, &hosts);
        for plan in plan.plans_mut() {
            let stop = PlanStep::Stop { slot: plan.new.slot, keep: 0, after: Duration::from_hours(24) };
            plan.steps.push(stop);
        }
        insta::assert_snapshot!(words(&plan).join("\n"));
        let (_, plan) = over_hosts(ROLLING, 1, &[kept(), kept(), kept()]);
        assert!(plan.is_instant());
        let steps = plan.steps();
        assert!(steps.iter().all(|step| !step.is_barrier) && steps[2].wave == 0, "all hosts switch at the same time");
        assert_eq!(plan.names(0..3).as_deref(), Some("web1, web2 and web3"));
    }

    #[test]
    fn the_plan_of_one_host_is_that_of_a_target_without_hosts() {
        for strategy in [ROLLING, canary(), Strategy::Recreate, Strategy::BlueGreen { pause: None }] {
            let only = EnvironmentSettings {
                keep_old: Duration::from_mins(5),
                auto_stop: Some(Duration::from_hours(1)),
                target: TargetSettings::Docker(docker(2)),
                ..settings(strategy, 2, &[])
            };
            let plan = over(&only, &[(None, live("v1", 2))], &release("v2"), known).expect("a plan");
            let single = super::super::plan(&only, &live("v1", 2), &release("v2"), known).expect("a plan");
            let steps: Vec<PlanStep> = plan.steps().into_iter().map(|step| step.step).collect();
            assert_eq!((steps, plan.names([0])), (single.steps.clone(), None));
            // A position that an older version wrote has the plan of one host.
            let text = serde_json::to_string(&single).expect("JSON");
            assert_eq!(serde_json::from_str::<DeploymentPlan>(&text).expect("read"), plan);
        }
    }

    #[test]
    fn checks_of_hosts_with_one_name_have_the_address_of_each() {
        let hosts = ["ssh://ada@web1:1", "tcp://[fd00::1]:2"].map(str::to_owned).to_vec();
        let target = TargetSettings::Docker(crate::model::deployment::DockerSettings { hosts, ..docker(2) });
        let settings = EnvironmentSettings { target, ..settings(ROLLING, 2, &[]) };
        let hosts = ["a", "b"].map(|name| (Some(name.to_owned()), live("v1", 2)));
        let plan = over(&settings, &hosts, &release("v2"), known).expect("a plan");
        let addresses: Vec<_> = plan.plans().map(|plan| plan.address.as_deref()).collect();
        assert_eq!(addresses, [Some("web1"), Some("[fd00::1]")]);
    }

    #[test]
    fn a_host_between_two_releases_is_named() {
        let mut between = kept();
        between.slot_mut(Slot::Green).open = 2;
        between.slot_mut(Slot::Green).weight = 10;
        let hosts = [(Some("web1".to_owned()), live("v1", 2)), (Some("web2".to_owned()), between)];
        let settings = EnvironmentSettings { target: TargetSettings::Docker(docker(2)), ..settings(ROLLING, 2, &[]) };
        let error = over(&settings, &hosts, &release("v2"), known).expect_err("between").to_string();
        assert!(error.starts_with("web2: production is between two releases"), "{error}");
    }

    /// All fleets of up to three hosts, in each of the states that a host can have before a deployment.
    fn fleets() -> impl Iterator<Item = Vec<Observed>> {
        let states = [live("v1", 2), green(3), Observed::default(), kept()];
        (1..=3_u32).flat_map(move |count| {
            let states = states.clone();
            (0..4_usize.pow(count))
                .map(move |number| (0..count).map(|host| states[number / 4_usize.pow(host) % 4].clone()).collect())
        })
    }

    /// Returns the states of the hosts after steps.
    fn after<'s>(
        hosts: &[Observed],
        steps: impl IntoIterator<Item = &'s HostStep>,
        plan: &DeploymentPlan,
    ) -> Vec<Observed> {
        let mut hosts = hosts.to_vec();
        for step in steps {
            hosts[step.host] = hosts[step.host].after(&step.step, plan.of(step.host));
        }
        hosts
    }

    #[test]
    fn wherever_it_stops_only_one_group_is_between_releases_and_only_changed_hosts_go_back() {
        let strategies = [ROLLING, canary(), Strategy::BlueGreen { pause: None }, Strategy::Recreate];
        let mut checked = 0;
        for (strategy, fleet) in strategies.iter().flat_map(|strategy| fleets().map(move |fleet| (strategy, fleet))) {
            for at_once in 1..=2 {
                let (settings, plan) = over_hosts(strategy.clone(), at_once, &fleet);
                let steps = plan.steps();
                let serves_new = |hosts: &[Observed], host: usize| {
                    let new = &plan.of(host).new;
                    let state = hosts[host].slot(new.slot);
                    state.serving() == 2 && state.weight == 100 && state.release.as_ref() == Some(&new.release.sha)
                };
                let mut done = 0;
                while done < steps.len() {
                    let wave = plan.wave(done);
                    // The worker may die after any of the steps that are carried out at the same time.
                    for in_wave in 0..=wave.len() {
                        let hosts = after(&fleet, &steps[..done + in_wave], &plan);
                        let begun = &steps[..done + wave.len()];
                        let touched: BTreeSet<usize> = begun.iter().map(|step| step.host).collect();
                        let what = || format!("{strategy:?} {at_once} {fleet:?} after {done} + {in_wave}");
                        let group = wave.first().map(|step| step.host).unwrap_or_default();
                        for host in (0..fleet.len()).filter(|host| !touched.contains(host)) {
                            assert_eq!(hosts[host], fleet[host], "{}: host {host} is changed too early", what());
                        }
                        for host in 0..group {
                            let is_late = matches!(wave[0].step, PlanStep::Stop { .. });
                            let is_alone = plan.groups().iter().any(|all| all.contains(&host) && all.contains(&group));
                            assert!(is_alone || is_late || serves_new(&hosts, host), "{}: host {host}", what());
                        }
                        assert!(touched.len() == 1 || plan.is_instant() || serves_new(&hosts, 0), "{}", what());
                        for host in touched {
                            let of_host = plan.of(host);
                            let may_run = begun.iter().any(|step| step.host == host && of_host.starts_new(&step.step));
                            let way = back(&settings, of_host, &hosts[host], may_run);
                            let there = way.iter().fold(hosts[host].clone(), |host, step| host.after(step, of_host));
                            let live = of_host.old.as_ref().map(|old| (old.replicas, old.slot));
                            let serving = live.map(|(_, slot)| (there.slot(slot).serving(), slot));
                            assert_eq!(serving, live, "{}: host {host}", what());
                            checked += 1;
                        }
                    }
                    done += wave.len();
                }
                let hosts = after(&fleet, &steps, &plan);
                assert!((0..fleet.len()).all(|host| serves_new(&hosts, host)), "{strategy:?} {fleet:?}");
            }
        }
        assert!(checked > 10_000, "{checked}");
    }
}
