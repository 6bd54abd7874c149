//! Deployments that fail.

use super::*;

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
        assert!(reason.contains("the check failed 4 times in a row") && reason.ends_with("serves again"), "{reason}");
        assert_eq!(end.conclusion, Conclusion::Failure);
        assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 weight blue 100", "{strategy:?}");
        let record = rig.record(&going.folder);
        assert_eq!(record.outcome, Some(Outcome::RolledBack));
        let live = rig.state().live().map(|live| live.release.clone());
        assert_eq!(live, Some(release("v1")), "{strategy:?}");
        // The environment can be deployed to again.
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
        reason.starts_with("step 3/7 (Smoke test of green) failed: the check failed once; last answer: exit status: 3"),
        "{reason}"
    );
    assert_eq!(rig.calls(), ["start green 1", "weight blue 100", "drain green 0", "stop green 0"]);
    assert!(going.memory.log().contains("smoke"), "{}", going.memory.log());
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
    assert!(reason.contains("the new release failed its analysis 2 times"), "{reason}");
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 weight blue 100");
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
    assert!(reason.contains("a failed rollback is not undone automatically"), "{reason}");
    assert_eq!(rig.record(&folder).outcome, Some(Outcome::Failed));
    // The person brings v2 back.
    let again = rig.begin(&folder, "v1", Cause::Rollback, Begin::Back("it failed".to_owned()));
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
    let rig = Rig::new(EnvironmentSettings { target: TargetSettings::Script(slow.clone()), ..rolling() });
    let end = rig.deploy("v1").end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(reason.contains("the start command did not end within 50ms"), "{reason}");
    let patient = ScriptSettings { timeout: Duration::from_mins(1), ..slow };
    let rig = Rig::new(EnvironmentSettings { target: TargetSettings::Script(patient), ..rolling() });
    let going = rig.deploy("v1");
    going.memory.recorded(|event| matches!(event, Event::ProcessStarted { .. })).await;
    going.stop.send_replace(Stop::AtOnce);
    let end = going.end.await.expect("no panic");
    assert_eq!(end.reason.as_deref(), Some("stopped immediately at step 1/2: the environment is left as it is"));
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::Failed));
}

/// Settings with these commands, and with one that records the notifications.
fn with(strategy: Strategy, more: &[(ScriptCommand, &str)]) -> EnvironmentSettings {
    let command = "echo \"$DEPLOY_EVENT $DEPLOY_MESSAGE\" >> events".to_owned();
    let notify = Some(Notify { command: Some(command), on: NotifyEvent::DEFAULT.to_vec(), ..Notify::default() });
    EnvironmentSettings { notify, ..settings(strategy, 2, &[COMMANDS, more].concat()) }
}

#[tokio::test]
async fn a_slot_that_another_machine_has_changed_is_left_as_it_is() {
    let steps = vec![CanaryStep::Weight(10), CanaryStep::Pause(Pause::Person)];
    for order in [DeploymentOrder::Promote { full: false }, DeploymentOrder::Abort { reason: "errors".to_owned() }] {
        let rig = Rig::new(with(Strategy::Canary { steps: steps.clone() }, &[(ScriptCommand::Status, STATUS)]));
        rig.deployed("v1").await;
        let going = rig.deploy("v2");
        going.memory.started(4).await;
        for (file, text) in [("green.1", "v3"), ("sha.green", release("v3").sha.as_str()), ("weight", "green 100")] {
            fs::write(rig.root().join(file), format!("{text}\n")).expect("written");
        }
        rig.calls();
        going.accepted(order.clone(), "olu").await;
        let end = going.end.await.expect("no panic");
        let reason = end.reason.expect("a reason");
        let (v2, v3) = (release("v2").title(), release("v3").title());
        let taken =
            format!("green holds {v3}, and not {v2}: something else deploys there; its traffic and replicas stay");
        assert!(reason.contains(&taken), "{order:?}: {reason}");
        assert_eq!((rig.calls(), end.conclusion), (Vec::new(), Conclusion::Failure), "{order:?}");
        assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v3 weight green 100");
        assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::Failed));
        assert!(rig.state().unknown().is_some(), "what serves is not known");
    }
}

#[tokio::test]
async fn what_fails_before_the_first_step_is_a_failure_that_people_are_notified_of() {
    for (status, expected) in [
        ("exit 3", "cannot determine what is running: the status command failed: exit status: 3; nothing was changed"),
        (
            "echo blue 0000000 2 2 100",
            "production serves 0000000, which is not a commit or tag of the repository here: fetch it, so that a rollback is \
             possible; nothing was changed",
        ),
    ] {
        let rig = Rig::new(with(Strategy::BlueGreen { pause: None }, &[(ScriptCommand::Status, status)]));
        let going = rig.deploy("v1");
        let end = going.end.await.expect("no panic");
        assert_eq!((end.conclusion, end.reason.as_deref()), (Conclusion::Failure, Some(expected)));
        assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::Failed));
        assert_eq!((rig.calls(), rig.state().unknown()), (Vec::new(), None), "nothing was changed");
        let title = release("v1").title();
        assert_eq!(
            read(&rig.root().join("events")),
            format!("failed production: {title} failed: {expected}; `cuelight explain {}`", going.folder.id())
        );
    }
}

#[tokio::test]
async fn a_first_step_that_fails_is_a_failure_that_people_are_notified_of() {
    let commands = [COMMANDS[0], COMMANDS[1], (ScriptCommand::Stop, "./missing hunter2")];
    let command = "echo \"$DEPLOY_EVENT\" >> events".to_owned();
    let notify = Some(Notify { command: Some(command), on: NotifyEvent::DEFAULT.to_vec(), ..Notify::default() });
    let rig = Rig::new(EnvironmentSettings { notify, ..settings(Strategy::Recreate, 2, &commands) });
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    let end = going.end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(reason.starts_with("step 1/3 (Stop blue) failed: the stop command failed: exit status: 127"), "{reason}");
    assert_eq!((end.conclusion, rig.record(&going.folder).outcome), (Conclusion::Failure, Some(Outcome::RolledBack)));
    assert_eq!(read(&rig.root().join("events")), "succeeded\nrolled_back");
}

#[tokio::test]
async fn an_end_that_the_ledger_lacks_is_a_failure_that_says_so() {
    let replace = format!("{WEIGHT}\nfor file in ../state/environments/*.jsonl; do rm $file; mkdir $file; done");
    let mut commands = COMMANDS.to_vec();
    commands[2] = (ScriptCommand::Weight, &replace);
    let rig = Rig::new(settings(Strategy::BlueGreen { pause: None }, 1, &commands));
    let end = rig.deploy("v1").end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    let expected = format!("{} is live; the ledger lacks this end: cannot write ", release("v1").title());
    assert!(end.conclusion == Conclusion::Failure && reason.starts_with(&expected), "{reason}");
}

#[tokio::test]
async fn a_former_release_that_cannot_be_stopped_leaves_the_new_one_live() {
    let mut commands = COMMANDS.to_vec();
    commands[4] = (ScriptCommand::Stop, "exit 1");
    let keep_old = Duration::from_millis(10);
    let rig = Rig::new(EnvironmentSettings { keep_old, ..settings(Strategy::BlueGreen { pause: None }, 1, &commands) });
    rig.deployed("v1").await;
    let end = rig.deploy("v2").end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(reason.contains("is live, but step 5/5 (Stop blue after 10ms) failed"), "{reason}");
    assert_eq!(end.conclusion, Conclusion::Failure);
    assert_eq!(rig.state().live().map(|live| live.release.clone()), Some(release("v2")));
    assert_eq!(rig.running(), "blue.1=v1 green.1=v2 weight green 100");
}

#[tokio::test]
async fn a_deployment_that_has_ended_refuses_commands_while_it_reports_the_end() {
    let command = "while test -e hold; do sleep 0.01; done".to_owned();
    let notify = Some(Notify { command: Some(command), on: NotifyEvent::DEFAULT.to_vec(), ..Notify::default() });
    let rig = Rig::new(EnvironmentSettings { notify, ..rolling() });
    rig.spoil("v1");
    let hold = rig.root().join("hold");
    fs::write(&hold, "").expect("written");
    let going = rig.deploy("v1");
    rig.ended(&going.folder).await;
    let reply = going.tell(DeploymentOrder::Abort { reason: String::new() }, "olu").await;
    assert_eq!(reply, Reply::Rejected { reason: controls::HAS_ENDED.to_owned() });
    fs::remove_file(&hold).expect("removed");
    going.end.await.expect("no panic");
}

#[tokio::test]
async fn a_release_that_is_live_stays_if_the_ledger_cannot_be_read_while_the_former_one_is_kept() {
    let keep_old = Duration::from_hours(1);
    let rig = Rig::new(EnvironmentSettings { keep_old, ..with(Strategy::BlueGreen { pause: None }, &[]) });
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    rig.ended(&going.folder).await;
    let (ledgers, aside) = (rig.runs().environments(), rig.home.path().join("aside"));
    fs::rename(&ledgers, &aside).expect("moved");
    fs::write(&ledgers, "").expect("written");
    // Any command lets the wait look at the ledger, unless it has done so already and ended.
    let command = Command::Deployment { order: DeploymentOrder::Pause, by: Some(person("olu")) };
    let _ = going.order.send((command, oneshot::channel().0)).await;
    let reason = going.end.await.expect("no panic").reason.expect("a reason");
    assert!(reason.starts_with(&format!("{} is live, but step ", release("v2").title())), "{reason}");
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v2 green.2=v2 weight green 100");
    let events = read(&rig.root().join("events"));
    assert_eq!(events.matches("succeeded ").count(), 2, "one for each release: {events}");
    fs::remove_file(&ledgers).and_then(|()| fs::rename(&aside, &ledgers)).expect("moved back");
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn a_promotion_gives_no_traffic_to_a_release_that_has_failed_since_its_last_answer() {
    for full in [false, true] {
        let strategy = |pause| settings(Strategy::BlueGreen { pause }, 2, COMMANDS);
        let mut rig = Rig::new(strategy(None));
        rig.deployed("v1").await;
        // The next answer would come after the promotion.
        let health = Timing { interval: Duration::from_hours(1), retries: 1, ..Timing::default() };
        rig.settings = EnvironmentSettings { health, ..strategy(Some(Pause::Person)) };
        let going = rig.deploy("v2");
        until("a person is asked", || going.memory.log().contains("waits for a person").then_some(())).await;
        rig.spoil("v2");
        rig.calls();
        going.accepted(DeploymentOrder::Promote { full }, "olu").await;
        let end = going.end.await.expect("no panic");
        assert_eq!(end.conclusion, Conclusion::Failure, "{end:?}");
        assert!(!rig.calls().contains(&"weight green 100".to_owned()), "{full}");
        assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack), "{end:?}");
        assert!(rig.running().starts_with("blue.1=v1 blue.2=v1"), "{}", rig.running());
    }
}
