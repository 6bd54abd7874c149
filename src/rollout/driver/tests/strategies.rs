//! Deployments that nothing holds back.

use super::*;

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
async fn a_kept_release_comes_back_without_a_start() {
    let settings = EnvironmentSettings {
        keep_old: Duration::from_mins(1),
        ..settings(Strategy::BlueGreen { pause: None }, 2, COMMANDS)
    };
    let rig = Rig::new(settings);
    rig.deployed("v1").await;
    let kept = rig.deploy("v2");
    kept.memory.started(5).await;
    rig.ended(&kept.folder).await;
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v2 green.2=v2 weight green 100");
    rig.calls();
    let folder = rig.request("v1", &Cause::Rollback);
    let back = rig.begin(&folder, "v1", Cause::Rollback, Begin::Forward);
    rig.ended(&folder).await;
    assert_eq!(rig.calls(), ["start blue 2", "weight blue 100", "drain green 0"]);
    // The deployment that kept v1 running ends, and its time does not stop what is kept since.
    assert_eq!(kept.end.await.expect("no panic").conclusion, Conclusion::Success);
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v2 green.2=v2 weight blue 100");
    assert_eq!(rig.state().live().map(|live| live.release.clone()), Some(release("v1")));
    back.stop.send_replace(Stop::Back);
    assert_eq!(back.end.await.expect("no panic").conclusion, Conclusion::Success, "a cancel ends the wait alone");
}

#[tokio::test]
async fn a_release_is_no_longer_kept_once_a_later_deployment_has_taken_its_slot() {
    let settings = EnvironmentSettings {
        keep_old: Duration::from_hours(1),
        ..settings(Strategy::BlueGreen { pause: None }, 2, COMMANDS)
    };
    let rig = Rig::new(settings);
    rig.deployed("v1").await;
    let kept = rig.deploy("v2");
    rig.ended(&kept.folder).await;
    rig.spoil("v3");
    let later = rig.deploy("v3").end.await.expect("no panic");
    assert_eq!(later.conclusion, Conclusion::Failure);
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100");
    let memory = Arc::clone(&kept.memory);
    assert_eq!(kept.end.await.expect("no panic").conclusion, Conclusion::Success);
    let events = memory.events.lock().expect("no panic");
    let last = events.iter().rev().find_map(|event| match event {
        Event::StepFinished { reason, .. } => reason.clone(),
        _ => None,
    });
    assert_eq!(last.as_deref(), Some("used by a later deployment"));
}

#[tokio::test]
async fn an_environment_with_auto_stop_ends_unless_a_later_deployment_has_succeeded() {
    let stopping = |after| EnvironmentSettings { auto_stop: Some(after), ..rolling() };
    let rig = Rig::new(stopping(Duration::from_millis(1)));
    let going = rig.deploy("v1");
    let (folder, memory) = (going.folder.clone(), Arc::clone(&going.memory));
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
    assert_eq!(rig.calls(), ["start blue 2", "weight blue 100", "stop blue 0"]);
    assert!(memory.log().contains("production is stopped 1ms after the deployment"), "{}", memory.log());
    let record = rig.record(&folder);
    assert_eq!((record.outcome, rig.state().live(), rig.state().unknown()), (Some(Outcome::Succeeded), None, None));
    // Nothing runs, so the next release is deployed as the first one was.
    rig.deployed("v2").await;
    assert_eq!(rig.calls(), ["start blue 2", "weight blue 100", "stop blue 0"]);
    let rig = Rig { settings: stopping(Duration::from_hours(1)), ..rig };
    let first = rig.deploy("v1");
    let refusal = loop {
        // Before the release is live, this skips pauses, but never the time until the environment is stopped.
        match first.tell(DeploymentOrder::Promote { full: true }, "ada").await {
            Reply::Rejected { reason } if reason.contains("the release is live") => break reason,
            _ => tokio::task::yield_now().await,
        }
    };
    assert!(refusal.contains(&format!("`cuelight cancel {}`", first.folder.id())), "{refusal}");
    rig.calls();
    let later = rig.deploy("v2");
    assert_eq!(first.end.await.expect("no panic").conclusion, Conclusion::Success, "it has nothing to stop any more");
    until("v2 is live", || rig.state().live().is_some_and(|live| live.release == release("v2")).then_some(())).await;
    later.stop.send_replace(Stop::Back);
    assert_eq!(later.end.await.expect("no panic").conclusion, Conclusion::Success);
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100", "a cancelled run keeps its release running");
}

#[tokio::test]
async fn an_environment_with_auto_stop_ends_although_a_later_deployment_has_failed() {
    let rig = Rig::new(EnvironmentSettings { auto_stop: Some(Duration::from_secs(2)), ..rolling() });
    let first = rig.deploy("v1");
    rig.ended(&first.folder).await;
    rig.spoil("v3");
    let later = rig.deploy("v3").end.await.expect("no panic");
    assert_eq!(later.conclusion, Conclusion::Failure);
    assert_eq!(first.end.await.expect("no panic").conclusion, Conclusion::Success);
    assert!(rig.calls().contains(&"stop blue 0".to_owned()), "{}", rig.running());
}

/// Whether an event is a sample in which green has this share of the traffic.
fn has_share(event: &Event, percent: u8) -> bool {
    let is_it = |slot: &SlotTraffic| slot.slot == Slot::Green && slot.state.weight == percent;
    matches!(event, Event::TrafficObserved { slots, .. } if slots.iter().any(is_it))
}

#[tokio::test]
async fn a_deployment_that_waits_shows_the_share_of_the_step_before_and_what_changes_meanwhile() {
    let commands: Vec<_> = COMMANDS.iter().copied().chain([(ScriptCommand::Status, STATUS)]).collect();
    let steps = [CanaryStep::Weight(10), CanaryStep::Pause(Pause::Person)];
    let rig = Rig::new(settings(Strategy::Canary { steps: steps.to_vec() }, 2, &commands));
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    let events = going.memory.events.lock().expect("no panic").clone();
    assert!(events.iter().any(|event| has_share(event, 10)), "{events:?}");
    // Something else moves the traffic while the deployment waits.
    fs::write(rig.root().join("weight"), "green 40\n").expect("written");
    going.memory.recorded(|event| has_share(event, 40)).await;
    going.accepted(DeploymentOrder::Promote { full: false }, "olu").await;
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
    let last = going.memory.events.lock().expect("no panic").clone();
    let last = last.iter().rev().find(|event| matches!(event, Event::TrafficObserved { .. }));
    assert!(last.is_some_and(|event| has_share(event, 100)), "{last:?}");
}

#[tokio::test]
async fn what_a_deployment_replaces_is_recorded_only_if_the_target_reports_it() {
    let found = |rig: &Rig| -> Vec<Action> {
        let read = rig.file().read().expect("read");
        let actions = read.entries().iter().map(|entry| entry.action.clone());
        actions.filter(|action| matches!(action, Action::Found { .. })).collect()
    };
    let former = |rig: &Rig| rig.state().deployments().next().expect("requested").former();
    let silent = Rig::new(settings(Strategy::Recreate, 2, COMMANDS));
    silent.deployed("v1").await;
    assert_eq!((found(&silent), former(&silent)), (vec![], "unknown".to_owned()), "it has no status command");
    silent.deployed("v2").await;
    assert_eq!((found(&silent), former(&silent)), (vec![], release("v1").title()));
    let commands: Vec<_> = COMMANDS.iter().copied().chain([(ScriptCommand::Status, STATUS)]).collect();
    let reporting = Rig::new(settings(Strategy::Recreate, 2, &commands));
    let none = || Action::Found { release: None };
    reporting.deployed("v1").await;
    assert_eq!((found(&reporting), former(&reporting)), (vec![none()], "nothing".to_owned()));
    reporting.deployed("v2").await;
    assert_eq!((found(&reporting), former(&reporting)), (vec![none()], release("v1").title()));
    // The replicas of v2, which is live according to the ledger, are removed by hand.
    for slot in ["blue", "green"] {
        for number in [1, 2] {
            fs::remove_file(reporting.root().join(format!("{slot}.{number}"))).ok();
        }
    }
    reporting.deployed("v3").await;
    assert_eq!((found(&reporting), former(&reporting)), (vec![none(), none()], "nothing".to_owned()));
}
