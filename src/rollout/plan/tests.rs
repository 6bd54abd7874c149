use super::*;
use crate::model::deployment::{CanaryStep, Check, KubernetesSettings, Pause, Probe, TargetSettings, Timing, Workload};
use crate::rollout::testing::{NO_EFFECT, canary, known, kubernetes, live, release, settings, words};

fn planned(settings: &EnvironmentSettings, observed: &Observed, tag: &str) -> Plan {
    plan(settings, observed, &release(tag), known).expect("a plan")
}

#[test]
fn each_strategy_has_its_steps() {
    let (v1, empty) = (live("v1", 2), Observed::default());
    let rolling = Strategy::Rolling { max_surge: 1, max_unavailable: 0 };
    let blue_green = Strategy::BlueGreen { pause: Some(Pause::Person) };
    let smoke = Some(Check { probe: Probe::Exec("true".to_owned()), timing: Timing::default() });
    let with_smoke =
        EnvironmentSettings { smoke, keep_old: Duration::from_mins(30), ..settings(blue_green.clone(), 2, NO_EFFECT) };
    let cases: Vec<(&str, EnvironmentSettings, &Observed)> = vec![
        ("first", settings(blue_green, 2, NO_EFFECT), &empty),
        ("recreate", settings(Strategy::Recreate, 2, NO_EFFECT), &v1),
        ("rolling", settings(rolling.clone(), 2, NO_EFFECT), &v1),
        ("rolling without router", settings(rolling, 2, &[NO_EFFECT[0], NO_EFFECT[4]]), &v1),
        ("blue-green with smoke test", with_smoke, &v1),
        ("canary", settings(canary(), 10, NO_EFFECT), &v1),
    ];
    let text = cases.into_iter().map(|(name, settings, observed)| {
        format!("{name}:\n  {}\n", words(&planned(&settings, observed, "v2")).join("\n  "))
    });
    insta::assert_snapshot!(text.collect::<String>());
}

#[test]
fn a_release_that_still_runs_only_gets_the_traffic() {
    let settings = EnvironmentSettings { keep_old: Duration::from_mins(30), ..settings(canary(), 2, NO_EFFECT) };
    let forward = planned(&settings, &live("v1", 2), "v2");
    let kept =
        forward.steps[..forward.steps.len() - 1].iter().fold(live("v1", 2), |state, step| state.after(step, &forward));
    let mut back = planned(&settings, &kept, "v1");
    let expected = [
        "Open blue, where v1 still runs, for traffic",
        "Send 100 % of the traffic to blue",
        "Drain green",
        "Stop green after 30m",
    ];
    assert_eq!(words(&back), expected);
    assert!(back.is_instant(), "no replica is started");
    back = planned(&settings, &kept, "v3");
    assert_eq!(words(&back)[0], "Stop blue", "another release takes the slot");
    assert!(!back.is_instant());
    // Replicas that are not healthy are replaced by new ones.
    let mut sick = kept;
    sick.slot_mut(Slot::Blue).healthy = 0;
    back = planned(&settings, &sick, "v1");
    assert!(words(&back)[0] == "Stop blue" && words(&back)[1].starts_with("Start "), "{:?}", words(&back));
    assert!(!back.is_instant());
}

/// Returns an environment whose green slot served `tag` with two replicas, of which none serves any more.
fn down(tag: &str) -> Observed {
    let mut observed = Observed::default();
    *observed.slot_mut(Slot::Green) =
        SlotState { release: Some(release(tag).sha), replicas: 2, healthy: 0, open: 0, weight: 0 };
    observed
}

/// Returns two healthy replicas of a release, without traffic.
fn drained(tag: &str) -> SlotState {
    SlotState { release: Some(release(tag).sha), replicas: 2, healthy: 2, open: 0, weight: 0 }
}

#[test]
fn a_kept_release_only_gets_the_traffic_if_the_live_one_has_ended() {
    let settings = EnvironmentSettings {
        keep_old: Duration::from_mins(10),
        ..settings(Strategy::BlueGreen { pause: None }, 2, NO_EFFECT)
    };
    let mut observed = down("v3");
    *observed.slot_mut(Slot::Blue) = drained("v2");
    let back_to_v2 = planned(&settings, &observed, "v2");
    let expected = [
        "Open blue, where v2 still runs, for traffic",
        "Send 100 % of the traffic to blue",
        "Drain green",
        "Stop green",
    ];
    assert_eq!(words(&back_to_v2), expected, "what has ended is not kept");
    assert!(back_to_v2.is_instant());
    let old = back_to_v2.old.as_ref().expect("v3 was live");
    assert_eq!((old.slot, &old.release, back_to_v2.served()), (Slot::Green, &release("v3"), None));
    // The containers of the live release may be gone altogether.
    *observed.slot_mut(Slot::Green) = SlotState::default();
    let back_to_v2 = planned(&settings, &observed, "v2");
    assert_eq!(words(&back_to_v2), expected[..2]);
    assert!(back_to_v2.is_instant());
    // Another release does not take the place of the one that a person may still go back to.
    let mut observed = down("v3");
    *observed.slot_mut(Slot::Blue) = drained("v2");
    let forward = planned(&settings, &observed, "v1");
    let expected = [
        "Stop green",
        "Start 2 replicas of v1 in green",
        "Wait until green is healthy",
        "Send 100 % of the traffic to green",
        "Stop blue",
    ];
    assert_eq!((words(&forward), forward.old), (expected.map(str::to_owned).to_vec(), None));
}

#[test]
fn what_has_stopped_serving_is_stopped_only_once_the_new_release_serves() {
    let smoke = Some(Check { probe: Probe::Exec("true".to_owned()), timing: Timing::default() });
    let canary = EnvironmentSettings { smoke, ..settings(canary(), 2, NO_EFFECT) };
    let expected = [
        "Start 2 replicas of v2 in blue",
        "Wait until blue is healthy",
        "Smoke test of blue",
        "Send 100 % of the traffic to blue",
        "Drain green",
        "Stop green",
    ];
    let forward = planned(&canary, &down("v3"), "v2");
    assert_eq!(words(&forward), expected);
    assert_eq!(forward.old.map(|old| old.release), Some(release("v3")), "a rollback starts it again");
    let rolling = settings(Strategy::Rolling { max_surge: 1, max_unavailable: 0 }, 2, NO_EFFECT);
    let expected = [
        "Start 1 replica of v2 in blue",
        "Wait until blue is healthy",
        "Send 100 % of the traffic to blue",
        "Drain green",
        "Stop green",
        "Start 2 replicas of v2 in blue",
        "Wait until blue is healthy",
        "Send 100 % of the traffic to blue",
    ];
    assert_eq!(words(&planned(&rolling, &down("v3"), "v2")), expected);
    // The repository may not have the release that has ended: the environment is repaired nevertheless.
    let forward = planned(&rolling, &down("unknown"), "v2");
    assert_eq!(words(&forward).last().map(String::as_str), Some("Stop green"));
    assert_eq!(forward.old, None);
    let recreate = settings(Strategy::Recreate, 2, NO_EFFECT);
    assert_eq!(words(&planned(&recreate, &down("v3"), "v2"))[..2], ["Drain green", "Stop green"]);
}

#[test]
fn no_healthy_replica_is_stopped_before_the_new_release_serves() {
    let slot = |release: Option<&str>, replicas, healthy, open| SlotState {
        release: release.map(|tag| crate::rollout::testing::release(tag).sha),
        replicas,
        healthy,
        open,
        weight: 0,
    };
    let states = [
        SlotState::default(),
        drained("v2"),
        slot(Some("v2"), 2, 1, 0),
        slot(Some("v3"), 2, 0, 0),
        slot(Some("v3"), 2, 0, 1),
        slot(Some("v3"), 2, 0, 2),
        slot(Some("unknown"), 2, 0, 0),
    ];
    let mut checked = 0;
    for settings in cases().map(|case| case.settings).filter(|settings| settings.target.replicas() == Some(2)) {
        for (blue, green) in states.iter().flat_map(|blue| states.iter().map(move |green| (blue, green))) {
            let mut found = Observed::default();
            *found.slot_mut(Slot::Blue) = blue.clone();
            *found.slot_mut(Slot::Green) = green.clone();
            for tag in ["v1", "v2", "v3"] {
                let forward = planned(&settings, &found, tag);
                let what = || format!("{:?} to {tag} from {found:?}: {:?}", settings.strategy, words(&forward));
                let new = forward.new.slot;
                let is_well = |slot: &Slot| found.slot(*slot).healthy == 2;
                let mut state = found.clone();
                for (done, step) in forward.steps.iter().enumerate() {
                    if let PlanStep::Stop { slot, .. } = step
                        && is_well(slot)
                        && !Slot::ALL.iter().all(is_well)
                    {
                        assert!(*slot != new && state.slot(new).serving() == 2, "{}", what());
                    }
                    state = state.after(step, &forward);
                    let way = back(&settings, &forward, &state, starts(&forward, done + 1));
                    let there = way.iter().fold(state.clone(), |there, step| there.after(step, &forward));
                    let former = forward.old.as_ref().map(|old| there.slot(old.slot).serving());
                    assert_eq!((former.unwrap_or(2), there.slot(new).replicas), (2, 0), "{}: {way:?}", what());
                    checked += 1;
                }
                let state = state.slot(new);
                assert_eq!((state.serving(), state.weight), (2, 100), "{}", what());
                assert_eq!(state.release.as_ref(), Some(&release(tag).sha), "{}", what());
            }
        }
    }
    assert!(checked > 1_000, "{checked}");
}

#[test]
fn a_target_that_rolls_by_itself_needs_one_batch_and_keeps_its_number_of_replicas() {
    let target = TargetSettings::Kubernetes(kubernetes());
    let rolling = Strategy::Rolling { max_surge: 1, max_unavailable: 0 };
    let settings = EnvironmentSettings { target, ..settings(rolling, 1, &[]) };
    let forward = planned(&settings, &live("v1", 4), "v2");
    assert_eq!(words(&forward), ["Start 4 replicas of v2 in green", "Wait until green is healthy", "Stop blue"]);
    // Some pods are replaced, and the new ones do not become healthy.
    let mut stuck = live("v1", 2);
    *stuck.slot_mut(Slot::Green) =
        SlotState { release: Some(release("v2").sha), replicas: 3, healthy: 0, open: 3, weight: 0 };
    let way = back(&settings, &forward, &stuck, true).iter().map(|step| forward.describe(step)).collect::<Vec<_>>();
    assert_eq!(way, ["Start 4 replicas of v1 in blue", "Wait until blue is healthy", "Stop green"]);
    // Replicas of another release in the other slot are not stopped first.
    let again = planned(&settings, &stuck, "v3");
    assert_eq!(words(&again)[0], "Start 2 replicas of v3 in green");
    // Without a healthy replica, the existing replicas are still removed only once the new release is healthy.
    let mut dark = live("v1", 2);
    *dark.slot_mut(Slot::Blue) = SlotState { healthy: 0, weight: 0, ..dark.slot(Slot::Blue).clone() };
    let forward = planned(&settings, &dark, "v2");
    assert_eq!(words(&forward), ["Start 1 replica of v2 in green", "Wait until green is healthy", "Stop blue"]);
    let recreate = EnvironmentSettings { strategy: Strategy::Recreate, ..settings };
    let forward = planned(&recreate, &live("v1", 4), "v2");
    assert_eq!(words(&forward), ["Stop blue", "Start 4 replicas of v2 in green", "Wait until green is healthy"]);
}

#[test]
fn a_target_that_rolls_by_itself_and_moves_traffic_starts_what_a_share_needs() {
    let workload = Workload::Rollout("web".to_owned());
    let target = TargetSettings::Kubernetes(KubernetesSettings { workload, ..kubernetes() });
    let steps = [CanaryStep::Weight(20), CanaryStep::Pause(Pause::Person), CanaryStep::Weight(60)];
    let smoke = Some(Check { probe: Probe::Exec("true".to_owned()), timing: Timing::default() });
    let settings =
        EnvironmentSettings { target, smoke, ..settings(Strategy::Canary { steps: steps.to_vec() }, 1, &[]) };
    let forward = planned(&settings, &live("v1", 5), "v2");
    let expected = [
        "Start 1 replica of v2 in green",
        "Send 20 % of the traffic to green",
        "Wait until green is healthy",
        "Smoke test of green",
        "Wait for `cuelight promote`",
        "Send 60 % of the traffic to green",
        "Wait until green is healthy",
        "Send 100 % of the traffic to green",
        "Wait until green is healthy",
        "Stop blue",
    ];
    assert_eq!(words(&forward), expected);
    let blue_green =
        EnvironmentSettings { strategy: Strategy::BlueGreen { pause: Some(Pause::Person) }, smoke: None, ..settings };
    let expected = [
        "Start 5 replicas of v2 in green",
        "Wait until green is healthy",
        "Wait for `cuelight promote`",
        "Send 100 % of the traffic to green",
        "Wait until green is healthy",
        "Stop blue",
    ];
    assert_eq!(words(&planned(&blue_green, &live("v1", 5), "v2")), expected);
    // The pods of v1 still run, without traffic.
    let mut kept = live("v1", 5);
    *kept.slot_mut(Slot::Green) =
        SlotState { release: Some(release("v2").sha), weight: 100, ..kept.slot(Slot::Blue).clone() };
    *kept.slot_mut(Slot::Blue) = SlotState { weight: 0, open: 0, ..kept.slot(Slot::Blue).clone() };
    let expected = [
        "Open blue, where v1 still runs, for traffic",
        "Send 100 % of the traffic to blue",
        "Wait until blue is healthy",
        "Stop green",
    ];
    assert_eq!(words(&planned(&blue_green, &kept, "v1")), expected);
}

#[test]
fn between_two_releases_there_is_no_plan() {
    let settings = settings(canary(), 2, NO_EFFECT);
    let mut between = live("v1", 2);
    *between.slot_mut(Slot::Green) =
        SlotState { release: Some(release("v2").sha), replicas: 1, healthy: 1, open: 1, weight: 10 };
    between.slot_mut(Slot::Blue).weight = 90;
    let error = plan(&settings, &between, &release("v3"), known).expect_err("between").to_string();
    assert!(error.starts_with("production is between two releases: up to 90 % of the traffic goes to blue"), "{error}");
    let error = plan(&settings, &live("unknown", 2), &release("v3"), known).expect_err("unknown").to_string();
    assert!(error.contains("which is not a commit or tag of the repository here"), "{error}");
}

/// Numbers of replicas before and after, and the strategy.
struct Case {
    before: u32,
    settings: EnvironmentSettings,
}

/// All small environments with all strategies that are designed to serve without a gap.
fn cases() -> impl Iterator<Item = Case> {
    let strategies = |replicas: u32| {
        let pairs = (0..=3).flat_map(move |surge| (0..=replicas).map(move |unavailable| (surge, unavailable)));
        let rolling = pairs
            .filter(|(surge, unavailable)| surge + unavailable > 0)
            .map(|(max_surge, max_unavailable)| Strategy::Rolling { max_surge, max_unavailable });
        let canaries = [vec![10, 50], vec![1, 99], vec![25, 33, 75], vec![]]
            .map(|shares| Strategy::Canary { steps: shares.into_iter().map(CanaryStep::Weight).collect() });
        rolling.chain(canaries).chain([Strategy::BlueGreen { pause: None }])
    };
    (1..=5).flat_map(move |replicas| {
        strategies(replicas).flat_map(move |strategy| {
            let settings = settings(strategy, replicas, NO_EFFECT);
            (1..=6).map(move |before| Case { before, settings: settings.clone() })
        })
    })
}

/// Checks that no slot gets more traffic than its replicas can carry, and that no more replicas run than allowed.
fn check(case: &Case, back_to: Option<u32>, state: &Observed, what: &dyn Fn() -> String) {
    let wanted = case.settings.target.replicas().expect("a number");
    let replicas = back_to.unwrap_or(wanted);
    let (surge, unavailable) = match case.settings.strategy {
        Strategy::Rolling { max_surge, max_unavailable } => (max_surge, max_unavailable),
        _ => (case.before.max(replicas), 0),
    };
    let needed = wanted.min(case.before).saturating_sub(unavailable);
    let slots = Slot::ALL.map(|slot| state.slot(slot));
    for slot in slots {
        // Shares are rounded to whole percents.
        let share = u32::from(slot.weight.saturating_sub(1));
        assert!(slot.serving() * 100 >= share * needed, "{}: {state:?}", what());
    }
    assert!(slots.iter().map(|slot| slot.serving()).sum::<u32>() >= needed, "{}: {state:?}", what());
    let most = (wanted.max(case.before) + surge).max(replicas + surge);
    assert!(slots.iter().map(|slot| slot.replicas).sum::<u32>() <= most, "{}: {state:?}", what());
}

/// Whether one of the first steps starts the new release.
fn starts(plan: &Plan, done: usize) -> bool {
    plan.steps[..done].iter().any(|step| plan.starts_new(step))
}

#[test]
fn never_fewer_serve_than_allowed_on_the_way_and_on_the_way_back() {
    let mut checked = 0;
    for case in cases() {
        let forward = planned(&case.settings, &live("v1", case.before), "v2");
        let mut state = live("v1", case.before);
        for done in 0..=forward.steps.len() {
            if done > 0 {
                state = state.after(&forward.steps[done - 1], &forward);
            }
            let what = || format!("{:?} after {done} of {:?}", case.settings.strategy, forward.steps);
            check(&case, None, &state, &what);
            // The rollback is interrupted at every point and started again from there.
            let may_run = starts(&forward, done);
            let way = back(&case.settings, &forward, &state, may_run);
            for interrupted in 0..=way.len() {
                let mut there = state.clone();
                for step in &way[..interrupted] {
                    there = there.after(step, &forward);
                    check(&case, Some(case.before), &there, &|| format!("{} back by {way:?}", what()));
                }
                for step in back(&case.settings, &forward, &there, may_run) {
                    there = there.after(&step, &forward);
                    check(&case, Some(case.before), &there, &|| format!("{} back again by {way:?}", what()));
                    checked += 1;
                }
                let old = there.slot(Slot::Blue);
                let green = there.slot(Slot::Green);
                assert_eq!((old.serving(), old.weight, green.replicas), (case.before, 100, 0), "{}: {way:?}", what());
            }
        }
        let new = state.slot(Slot::Green);
        assert_eq!(
            (new.serving(), new.weight),
            (case.settings.target.replicas().unwrap_or_default(), 100),
            "{:?}",
            forward.steps
        );
        assert_eq!(state.slot(Slot::Blue).replicas, 0, "{:?}", forward.steps);
    }
    assert!(checked > 10_000, "{checked}");
}

#[test]
fn a_recreated_environment_gets_its_former_release_back() {
    let settings = settings(Strategy::Recreate, 2, NO_EFFECT);
    let forward = planned(&settings, &live("v1", 2), "v2");
    let mut state = live("v1", 2);
    for step in &forward.steps {
        state = state.after(step, &forward);
        let there = back(&settings, &forward, &state, false)
            .iter()
            .fold(state.clone(), |there, step| there.after(step, &forward));
        assert_eq!((there.slot(Slot::Blue).serving(), there.slot(Slot::Green).replicas), (2, 0), "{step:?}");
    }
}

#[test]
fn a_first_deployment_that_fails_leaves_nothing() {
    let settings = settings(Strategy::Recreate, 2, NO_EFFECT);
    let forward = planned(&settings, &Observed::default(), "v1");
    let mut state = Observed::default();
    assert_eq!(back(&settings, &forward, &state, false), []);
    assert_eq!(back(&settings, &forward, &state, true).len(), 2, "what an interrupted start left is stopped");
    for step in &forward.steps {
        state = state.after(step, &forward);
        let there = back(&settings, &forward, &state, false)
            .iter()
            .fold(state.clone(), |there, step| there.after(step, &forward));
        assert_eq!(there, Observed::default(), "{step:?}");
    }
}
