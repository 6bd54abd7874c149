//! Deployments to several hosts: each is a folder with its own replicas.

use super::*;
use crate::rollout::testing::docker;

const HOSTS: [&str; 4] = ["web1", "web2", "web3", "web4"];

/// Returns a machine whose environment has four hosts. After the first, two are changed at the same time.
pub(super) fn rig(strategy: Strategy) -> Rig {
    let docker = crate::model::deployment::DockerSettings { hosts_at_once: 2, ..docker(2) };
    let scripts = settings(strategy, 2, COMMANDS);
    let rig = Rig { hosts: HOSTS.to_vec(), ..Rig::new(scripts) };
    for host in HOSTS {
        fs::create_dir(rig.root().join(host)).expect("made");
    }
    Rig { planned: Some(TargetSettings::Docker(docker)), ..rig }
}

impl Rig {
    /// Returns what runs on each host.
    pub(super) fn on_hosts(&self) -> Vec<String> {
        HOSTS.iter().map(|host| running_in(&self.root().join(host))).collect()
    }

    fn spoil_on(&self, host: &str, tag: &str) {
        fs::write(self.root().join(host).join(format!("bad.{tag}")), "").expect("written");
    }
}

pub(super) const V1: &str = "blue.1=v1 blue.2=v1 weight blue 100";
pub(super) const V2: &str = "green.1=v2 green.2=v2 weight green 100";

#[tokio::test]
async fn a_bad_release_stops_at_the_barrier_and_no_other_host_is_touched() {
    let rig = rig(Strategy::BlueGreen { pause: None });
    rig.deployed("v1").await;
    assert_eq!(rig.on_hosts(), [V1; 4]);
    for host in HOSTS {
        fs::remove_file(rig.root().join(host).join("calls")).expect("written");
    }
    rig.spoil_on("web1", "v2");
    let end = rig.deploy("v2").end.await.expect("no panic");
    let reason = end.reason.expect("a reason");
    assert!(reason.starts_with("step 2/21 (web1: Wait until green is healthy) failed: the check failed"), "{reason}");
    let ends = "on web1, v1 32 serves again; on web2, web3 and web4, nothing was changed";
    let ends = ends.replace("v1 32", &release("v1").title());
    assert!(reason.ends_with(&ends), "{reason}");
    assert_eq!(rig.on_hosts(), [V1; 4]);
    for host in &HOSTS[1..] {
        assert!(!rig.root().join(host).join("calls").exists(), "{host}");
    }
}

#[tokio::test]
async fn a_host_that_fails_takes_all_that_were_changed_back() {
    for strategy in [rolling().strategy, Strategy::Recreate, Strategy::BlueGreen { pause: None }] {
        let rig = rig(strategy.clone());
        rig.deployed("v1").await;
        fs::remove_file(rig.root().join("web4").join("calls")).expect("written");
        rig.spoil_on("web3", "v2");
        let going = rig.deploy("v2");
        let reason = going.end.await.expect("no panic").reason.expect("a reason");
        assert!(reason.contains("(web3: Wait until green is healthy) failed"), "{reason}");
        assert!(reason.contains("on web1, web2 and web3, v1 "), "{reason}");
        assert!(reason.ends_with("on web4, nothing was changed"), "{reason}");
        assert_eq!(rig.on_hosts(), [V1; 4], "{strategy:?}");
        assert!(!rig.root().join("web4").join("calls").exists());
        assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack));
    }
}

#[tokio::test]
async fn a_worker_that_is_killed_at_any_step_on_any_host_goes_on_or_back() {
    let strategies = [rolling().strategy, Strategy::Recreate, Strategy::Canary { steps: vec![CanaryStep::Weight(10)] }];
    for strategy in strategies {
        for number in (1..).step_by(3) {
            let mut is_over = false;
            for begin in [Begin::Forward, Begin::Back("aborted".to_owned())] {
                let rig = rig(strategy.clone());
                rig.deployed("v1").await;
                let going = rig.deploy("v2");
                let mut end = going.end;
                tokio::select! {
                    biased;
                    () = going.memory.started(number) => {}
                    _ = &mut end => {}
                }
                is_over = end.is_finished();
                if is_over {
                    break;
                }
                end.abort();
                assert!(end.await.is_err_and(|error| error.is_cancelled()));
                let position = Position::read(&going.folder).expect("read").expect("begun");
                let wave = position.wave();
                assert!(position.done < number as usize && number as usize <= position.done + wave.len());
                let host = position.plan.names(wave.iter().map(|step| step.host)).expect("several hosts");
                assert!(position.text().contains(&format!(" on {host}, ")), "{}", position.text());
                let again = rig.begin(&going.folder, "v2", Cause::Manual, begin.clone());
                let end = again.end.await.expect("no panic");
                let running = if begin == Begin::Forward { V2 } else { V1 };
                assert_eq!(rig.on_hosts(), [running; 4], "{strategy:?} at {number}: {end:?}");
            }
            if is_over {
                assert!(number > 20, "{number} is too few");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_host_that_no_longer_answers_does_not_keep_the_others_from_going_back() {
    let mut rig = rig(Strategy::BlueGreen { pause: None });
    let gone = "if test -e gone; then echo no route to host >&2; exit 1; fi";
    let commands = COMMANDS.iter().map(|(command, text)| (*command, format!("{gone}; {text}")));
    let commands = commands.chain([(ScriptCommand::Status, format!("{gone}\n{STATUS}"))]).collect();
    rig.settings.target =
        TargetSettings::Script(ScriptSettings { commands, replicas: 2, timeout: Duration::from_secs(10) });
    rig.deployed("v1").await;
    // Before the first change, nothing is changed.
    let gone = rig.root().join("web2").join("gone");
    fs::write(&gone, "").expect("written");
    let reason = rig.deploy("v2").end.await.expect("no panic").reason.expect("a reason");
    assert!(reason.starts_with("cannot determine what is running: web2: "), "{reason}");
    assert!(reason.ends_with("nothing was changed"), "{reason}");
    fs::remove_file(&gone).expect("removed");
    // It goes away once it has the new release.
    let healthy = "touch ../web2/gone; test -e bad.none";
    let script = rig.root().join("web3").join("then");
    fs::write(script, healthy).expect("written");
    let TargetSettings::Script(scripts) = &mut rig.settings.target else { panic!("scripts") };
    scripts.commands.insert(ScriptCommand::Healthy, format!("if test -e then; then sh then; else {HEALTHY}; fi"));
    let going = rig.deploy("v2");
    let reason = going.end.await.expect("no panic").reason.expect("a reason");
    assert!(reason.contains("on web2, cannot roll back: "), "{reason}");
    assert!(reason.contains("on web1 and web3, v1 "), "{reason}");
    let running = rig.on_hosts();
    assert_eq!((running[0].as_str(), running[2].as_str(), running[3].as_str()), (V1, V1, V1), "{reason}");
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::Failed));
    // Once it answers again, it goes back, too.
    fs::remove_file(&gone).expect("removed");
    let again = rig.begin(&going.folder, "v2", Cause::Manual, Begin::Back("aborted".to_owned()));
    let end = again.end.await.expect("no panic");
    assert_eq!(rig.on_hosts(), [V1; 4], "{end:?}");
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::RolledBack));
}

#[tokio::test]
async fn an_immediate_stop_of_a_rollback_names_each_host_that_is_not_restored() {
    let mut rig = rig(Strategy::BlueGreen { pause: None });
    let start = format!("if test -e hang.$DEPLOY_RELEASE; then touch hangs; sleep 60; fi\n{START}");
    let mut commands = COMMANDS.to_vec();
    commands[0] = (ScriptCommand::Start, &start);
    rig.settings.target = settings(Strategy::Recreate, 2, &commands).target;
    rig.deployed("v1").await;
    rig.spoil_on("web4", "v2");
    let slow = rig.root().join("web2");
    fs::write(slow.join("hang.v1"), "").expect("written");
    let going = rig.deploy("v2");
    until("the command hangs", || slow.join("hangs").exists().then_some(())).await;
    going.stop.send_replace(Stop::AtOnce);
    let reason = going.end.await.expect("no panic").reason.expect("a reason");
    let title = release("v1").title();
    let ends = format!("; on web1, web2 and web3, the rollback was stopped immediately; on web4, {title} serves again");
    assert!(reason.ends_with(&ends), "{reason}");
    let running = rig.on_hosts();
    assert_eq!((&*running[0], &*running[3]), (V2, V1));
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::Failed));
}

#[tokio::test]
async fn a_host_that_another_machine_has_changed_is_left_and_the_others_go_back() {
    let mut rig = rig(Strategy::BlueGreen { pause: None });
    rig.settings.target =
        settings(Strategy::Recreate, 2, &[COMMANDS, &[(ScriptCommand::Status, STATUS)]].concat()).target;
    rig.deployed("v1").await;
    rig.settings.strategy = Strategy::BlueGreen { pause: Some(Pause::Person) };
    let going = rig.deploy("v2");
    going.memory.started(1).await;
    let taken = rig.root().join("web4");
    for (file, text) in [("green.1", "v3"), ("sha.green", release("v3").sha.as_str())] {
        fs::write(taken.join(file), format!("{text}\n")).expect("written");
    }
    going.accepted(DeploymentOrder::Promote { full: false }, "olu").await;
    let reason = going.end.await.expect("no panic").reason.expect("a reason");
    let (v1, v2, v3) = (release("v1").title(), release("v2").title(), release("v3").title());
    let found = format!("green holds {v3}, and not {v2}: something else deploys there");
    assert!(reason.contains(&format!("(web4: Start 2 replicas of v2 in green) failed: {found}")), "{reason}");
    let ends = format!("; on web1, web2 and web3, {v1} serves again; on web4, cannot roll back: {found}");
    assert!(reason.contains(&ends), "{reason}");
    let running = rig.on_hosts();
    assert_eq!(running[..3], [V1; 3]);
    assert_eq!(running[3], "blue.1=v1 blue.2=v1 green.1=v3 weight blue 100");
    assert_eq!(rig.record(&going.folder).outcome, Some(Outcome::Failed));
}

#[tokio::test]
async fn a_former_release_is_kept_on_all_hosts_and_switched_to_at_once() {
    let mut rig = rig(Strategy::BlueGreen { pause: None });
    rig.deployed("v1").await;
    rig.settings.keep_old = Duration::from_hours(1);
    let going = rig.deploy("v2");
    assert_eq!(rig.ended(&going.folder).await, Outcome::Succeeded);
    assert!(!going.end.is_finished());
    let both = "blue.1=v1 blue.2=v1 green.1=v2 green.2=v2 weight green 100";
    assert_eq!(rig.on_hosts(), [both; 4]);
    let position = Position::read(&going.folder).expect("read").expect("begun");
    assert_eq!(position.kept(Timestamp(0)).expect("kept").release, release("v1"));
    let folder = rig.request("v1", &Cause::Rollback);
    let back = rig.begin(&folder, "v1", Cause::Rollback, Begin::Forward);
    assert_eq!(rig.ended(&folder).await, Outcome::Succeeded);
    let position = Position::read(&folder).expect("read").expect("begun");
    assert!(position.plan.is_instant() && position.plan.groups().len() == 1);
    let switched = "blue.1=v1 blue.2=v1 green.1=v2 green.2=v2 weight blue 100";
    assert_eq!(rig.on_hosts(), [switched; 4]);
    // The release that was left is stopped on all hosts.
    back.accepted(DeploymentOrder::StopKept, "ada").await;
    assert_eq!(back.end.await.expect("no panic").reason, None);
    assert_eq!(rig.on_hosts(), [V1; 4]);
}
