//! Deployments whose worker dies.

use super::*;
use crate::rollout::testing::{known, live};

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

#[tokio::test]
async fn what_was_found_live_is_recorded_once_whenever_the_worker_is_killed() {
    let commands: Vec<_> = COMMANDS.iter().copied().chain([(ScriptCommand::Status, STATUS)]).collect();
    let rig = Rig::new(settings(Strategy::Recreate, 2, &commands));
    // Another machine has deployed v1.
    for file in ["blue.1", "blue.2"] {
        fs::write(rig.root().join(file), "v1\n").expect("written");
    }
    fs::write(rig.root().join("sha.blue"), release("v1").sha).expect("written");
    fs::write(rig.root().join("weight"), "blue 100\n").expect("written");
    let going = rig.deploy("v2");
    going.memory.started(1).await;
    going.end.abort();
    assert!(going.end.await.is_err_and(|error| error.is_cancelled()));
    let again = rig.begin(&going.folder, "v2", Cause::Manual, Begin::Forward);
    assert_eq!(again.end.await.expect("no panic").conclusion, Conclusion::Success);
    let read = rig.file().read().expect("read");
    let found: Vec<_> = read.entries().iter().filter(|entry| matches!(entry.action, Action::Found { .. })).collect();
    let expected = Action::Found { release: Some(release("v1")) };
    assert_eq!(found.iter().map(|entry| &entry.action).collect::<Vec<_>>(), [&expected]);
    assert_eq!(rig.record(&going.folder).former(), release("v1").title());
    // It can be returned to, although no deployment from here has put it there.
    let back = rig.state().shown(now());
    let (_, to) = back.rollback(&crate::model::rollback::RollbackRequest::default()).expect("a release");
    assert_eq!(to.release, release("v1"));
}

/// Returns the number of steps from v1 to v2.
fn steps_of(strategy: &Strategy) -> usize {
    let settings = settings(strategy.clone(), 2, COMMANDS);
    crate::rollout::plan::plan(&settings, &live("v1", 2), &release("v2"), known).expect("a plan").steps.len()
}

/// What comes after an interruption.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Next {
    Resume,
    Abort,
    Replace,
}

/// Kills the deployment of v2 when its command for an action has done its work but has not ended. `None` if the
/// deployment never runs that command.
async fn killed_in(rig: &Rig, action: &str) -> Option<RunFolder> {
    let hang = rig.root().join(format!("hang.{action}"));
    fs::write(&hang, "").expect("written");
    let going = rig.deploy("v2");
    let hangs = rig.root().join("hangs");
    until("the command hangs", || (hangs.exists() || going.end.is_finished()).then_some(())).await;
    fs::remove_file(&hang).expect("removed");
    if !hangs.exists() {
        return None;
    }
    going.end.abort();
    assert!(going.end.await.is_err_and(|error| error.is_cancelled()));
    Some(going.folder)
}

#[tokio::test]
async fn after_a_command_that_was_interrupted_one_release_is_left_whatever_comes_next() {
    let hang = "\nif [ -e hang.$DEPLOY_ACTION ]; then touch hangs; sleep 60; fi";
    let commands = COMMANDS.iter().map(|(command, text)| (*command, format!("{text}{hang}"))).collect::<Vec<_>>();
    let commands: Vec<_> = commands.iter().map(|(command, text)| (*command, text.as_str())).collect();
    let strategies = [
        Strategy::Recreate,
        Strategy::Rolling { max_surge: 1, max_unavailable: 0 },
        Strategy::BlueGreen { pause: None },
    ];
    let (back, forward) = ("blue.1=v1 blue.2=v1 weight blue 100", "green.1=v2 green.2=v2 weight green 100");
    for strategy in strategies {
        for action in ["start", "weight", "drain", "stop"] {
            for next in [Next::Resume, Next::Abort, Next::Replace] {
                let case = format!("{strategy:?} {action} {next:?}");
                let rig = Rig::new(settings(strategy.clone(), 2, &commands));
                rig.deployed("v1").await;
                let folder = killed_in(&rig, action).await.unwrap_or_else(|| panic!("{case}"));
                let again = |begin| rig.begin(&folder, "v2", Cause::Manual, begin).end;
                let (end, expected) = match next {
                    Next::Resume => (again(Begin::Forward).await, forward),
                    Next::Abort => (again(Begin::Back("aborted".to_owned())).await, back),
                    Next::Replace => {
                        let end = rig.deploy("v3").end.await;
                        let reason = end.as_ref().ok().and_then(|end| end.reason.clone()).unwrap_or_default();
                        if reason.contains("between two releases") {
                            (again(Begin::Back("aborted".to_owned())).await, back)
                        } else {
                            assert_eq!(reason, "", "{case}");
                            let slot = if rig.running().starts_with("blue") { "blue" } else { "green" };
                            let expected = format!("{slot}.1=v3 {slot}.2=v3 weight {slot} 100");
                            assert_eq!(rig.running(), expected, "{case}");
                            continue;
                        }
                    }
                };
                assert_eq!(rig.running(), expected, "{case}: {end:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_deployment_that_goes_on_waits_for_a_lock_and_can_be_aborted_or_left_there() {
    let hang = format!("{WEIGHT}\nif [ -e hang.weight ]; then touch hangs; sleep 60; fi");
    let mut commands = COMMANDS.to_vec();
    commands[2] = (ScriptCommand::Weight, &hang);
    let rig = Rig::new(settings(Strategy::BlueGreen { pause: None }, 2, &commands));
    rig.deployed("v1").await;
    let folder = killed_in(&rig, "weight").await.expect("it moves traffic");
    rig.add(Action::Locked { until: None });
    let waits = |event: &Event| matches!(event, Event::JobWaiting { .. });
    let again = rig.begin(&folder, "v2", Cause::Manual, Begin::Forward);
    again.memory.recorded(waits).await;
    let Reply::Rejected { reason } = again.tell(DeploymentOrder::Pause, "olu").await else { panic!("it waits") };
    assert!(reason.starts_with("a rule of its environment holds the deployment before it continues"), "{reason}");
    again.stop.send_replace(Stop::Back);
    let end = again.end.await.expect("no panic");
    let left = "it was cancelled; it is left at step 3/5, Send 100 % of the traffic to green";
    assert_eq!((end.conclusion, end.reason.as_deref()), (Conclusion::Failure, Some(left)));
    assert_eq!(rig.record(&folder).outcome, Some(Outcome::Interrupted));
    assert!(rig.state().unknown().is_some(), "it is halfway still");
    let again = rig.begin(&folder, "v2", Cause::Manual, Begin::Forward);
    again.memory.recorded(waits).await;
    again.accepted(DeploymentOrder::Abort { reason: String::new() }, "olu").await;
    let end = again.end.await.expect("no panic");
    assert_eq!(end.reason, Some(format!("aborted by olu@web; {} serves again", release("v1").title())));
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 weight blue 100");
    assert_eq!(rig.state().live().map(|live| live.release.clone()), Some(release("v1")));
}

#[tokio::test]
async fn who_resumed_or_aborted_a_deployment_after_its_worker_died_is_recorded_and_a_pause_is_kept() {
    let rig = Rig::new(canary(&[CanaryStep::Weight(10), CanaryStep::Pause(Pause::For(Duration::from_hours(1)))]));
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    going.accepted(DeploymentOrder::Pause, "olu").await;
    going.end.abort();
    assert!(going.end.await.is_err_and(|error| error.is_cancelled()));
    let again = rig.begin(&going.folder, "v2", Cause::Manual, Begin::Forward);
    until("it is still paused", || again.memory.log().contains("paused by a person").then_some(())).await;
    assert!(rig.record(&going.folder).paused);
    again.accepted(DeploymentOrder::Promote { full: true }, "olu").await;
    assert_eq!(again.end.await.expect("no panic").conclusion, Conclusion::Success);
    assert!(!rig.record(&going.folder).paused);
    let going = rig.deploy("v3");
    going.memory.started(4).await;
    going.end.abort();
    assert!(going.end.await.is_err_and(|error| error.is_cancelled()));
    let again = rig.begin(&going.folder, "v3", Cause::Manual, Begin::Back("errors".to_owned()));
    let title = release("v2").title();
    let reason = again.end.await.expect("no panic").reason;
    assert_eq!(reason, Some(format!("aborted by ada@web: errors; {title} serves again")));
    let ledger = rig.file().read().expect("read");
    let by_people = |entry: &&Entry| matches!(entry.action, Action::Resumed | Action::Aborted);
    let by_people = ledger.entries().iter().filter(by_people);
    let by_people: Vec<_> =
        by_people.map(|entry| (entry.action.word(), entry.by.name(), entry.reason.as_str())).collect();
    let ada = || "ada@web".to_owned();
    assert_eq!(by_people, [("resumed", ada(), ""), ("aborted", ada(), "errors")]);
}

#[tokio::test]
async fn a_deployment_that_is_resumed_at_its_gates_is_not_interrupted_any_more() {
    let rig = Rig::new(EnvironmentSettings { reviewers: vec!["olu".to_owned()], ..rolling() });
    let waits = |event: &Event| matches!(event, Event::ReviewsPending { environments } if environments.len() == 1);
    let going = rig.deploy("v1");
    going.memory.recorded(waits).await;
    going.end.abort();
    assert!(going.end.await.is_err_and(|error| error.is_cancelled()));
    // What the next command records about a worker that has died.
    let (at, by, environment) = (now(), person("ada"), "production".to_owned());
    let (deployment, action) = (Some(going.folder.id().clone()), Action::Ended { outcome: Outcome::Interrupted });
    let (job, reason) = (None, "interrupted".to_owned());
    rig.file().append(&Entry { at, by, environment, deployment, job, action, reason }).expect("written");
    assert_eq!(rig.record(&going.folder).state_words(false), "interrupted");
    let again = rig.begin(&going.folder, "v1", Cause::Manual, Begin::Forward);
    again.memory.recorded(waits).await;
    let record = rig.record(&going.folder);
    assert_eq!((record.state_words(false).as_str(), record.end_reason.as_str()), ("waiting", ""));
    again.accepted(DeploymentOrder::Review { approve: true, comment: String::new() }, "olu").await;
    assert_eq!(again.end.await.expect("no panic").conclusion, Conclusion::Success);
}
