//! People who approve, promote, pause, abort and replace deployments.

use super::*;

#[tokio::test]
async fn a_canary_waits_for_people_who_promote_pause_and_abort() {
    let steps = [CanaryStep::Weight(10), CanaryStep::Pause(Pause::Person)];
    let command = "echo \"$DEPLOY_EVENT $DEPLOY_RELEASE\" >> events".to_owned();
    let notify = Some(Notify { command: Some(command), on: NotifyEvent::DEFAULT.to_vec(), ..Notify::default() });
    let rig = Rig::new(EnvironmentSettings { notify, ..canary(&steps) });
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v2 weight green 10");
    going.accepted(DeploymentOrder::Promote { full: false }, "olu").await;
    going.end.await.expect("no panic");
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100");
    let going = rig.deploy("v3");
    going.memory.started(4).await;
    going.accepted(DeploymentOrder::Abort { reason: "errors".to_owned() }, "olu").await;
    let end = going.end.await.expect("no panic");
    let title = release("v2").title();
    assert_eq!(end.reason, Some(format!("aborted by olu@web: errors; {title} serves again")));
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100");
    let words: Vec<_> = rig
        .file()
        .read()
        .expect("read")
        .entries()
        .iter()
        .map(|entry| (entry.by.user.clone(), entry.action.word()))
        .collect();
    let olu = words.into_iter().filter(|(user, _)| user == "olu").map(|(_, word)| word).collect::<Vec<_>>();
    assert_eq!(olu, ["promoted", "aborted"]);
    let mut events: Vec<_> = read(&rig.root().join("events")).lines().map(str::to_owned).collect();
    events.sort();
    assert_eq!(events, ["paused v2", "paused v3", "rolled_back v3", "succeeded v1", "succeeded v2"]);
}

#[tokio::test]
async fn a_command_that_cannot_be_recorded_does_nothing() {
    let rig = Rig::new(canary(&[CanaryStep::Weight(10), CanaryStep::Pause(Pause::Person)]));
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    let (ledgers, aside) = (rig.runs().environments(), rig.home.path().join("aside"));
    fs::rename(&ledgers, &aside).expect("moved");
    fs::write(&ledgers, "").expect("written");
    let promote = DeploymentOrder::Promote { full: true };
    for order in [promote.clone(), DeploymentOrder::Pause, DeploymentOrder::Abort { reason: "errors".to_owned() }] {
        let Reply::Rejected { reason } = going.tell(order.clone(), "olu").await else { panic!("{order:?}") };
        assert!(reason.contains("cannot "), "{reason}");
    }
    fs::remove_file(&ledgers).and_then(|()| fs::rename(&aside, &ledgers)).expect("moved back");
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 green.1=v2 weight green 10");
    going.accepted(promote, "olu").await;
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
}

/// An analysis by this command, with two bad answers allowed.
fn analysis(command: &str) -> Analysis {
    Analysis {
        probe: Probe::Exec(command.to_owned()),
        every: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
        failures: 2,
    }
}

#[tokio::test]
async fn an_analysis_that_knows_nothing_asks_a_person() {
    let steps = [CanaryStep::Weight(10), CanaryStep::Pause(Pause::For(Duration::from_millis(60)))];
    let analysis = Some(analysis("exit 75"));
    let rig = Rig::new(canary(&steps));
    rig.deployed("v1").await;
    let rig = Rig { settings: EnvironmentSettings { analysis, ..rig.settings.clone() }, ..rig };
    let going = rig.deploy("v2");
    until("a person is asked", || going.memory.log().contains("a person decides").then_some(())).await;
    going.accepted(DeploymentOrder::Promote { full: false }, "olu").await;
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
}

#[tokio::test]
async fn a_release_is_watched_while_its_analysis_knows_nothing_and_a_person_is_awaited() {
    let steps = [CanaryStep::Weight(10), CanaryStep::Pause(Pause::For(Duration::from_millis(60)))];
    let rig = Rig::new(canary(&steps));
    rig.deployed("v1").await;
    let analysis = Some(analysis("test ! -e errors || exit 1; exit 75"));
    let rig = Rig { settings: EnvironmentSettings { analysis, ..rig.settings.clone() }, ..rig };
    let going = rig.deploy("v2");
    until("a person is asked", || going.memory.log().contains("bad answers still roll back").then_some(())).await;
    let position = Position::read(&going.folder).expect("read").expect("it has begun");
    assert!(position.waits_for_person() && position.text().ends_with("waits for a person"), "{}", position.text());
    let paused = position.text_with_pause(true);
    assert!(paused.ends_with("; pauses after this step"), "{paused}");
    assert_eq!(position.text_with_pause(false), position.text());
    fs::write(rig.root().join("errors"), "").expect("written");
    let end = going.end.await.expect("no panic");
    let reason = end.reason.expect("it failed");
    assert!(reason.contains("failed its analysis 2 times") && reason.ends_with("serves again"), "{reason}");
    assert_eq!(rig.running(), "blue.1=v1 blue.2=v1 weight blue 100");
    assert!(!Position::read(&going.folder).expect("read").expect("a position").waits_for_person());
}

#[tokio::test]
async fn a_release_is_watched_while_a_person_has_paused_its_deployment() {
    let weight = format!("{WEIGHT}\nwhile [ -e hold ]; do sleep 0.01; done");
    let mut commands = COMMANDS.to_vec();
    commands[2] = (ScriptCommand::Weight, &weight);
    let canary = Strategy::Canary { steps: vec![CanaryStep::Weight(10), CanaryStep::Weight(50)] };
    let rig = Rig::new(settings(canary, 2, &commands));
    rig.deployed("v1").await;
    let analysis = Some(analysis("test ! -e errors"));
    let rig = Rig { settings: EnvironmentSettings { analysis, ..rig.settings.clone() }, ..rig };
    fs::write(rig.root().join("hold"), "").expect("written");
    let going = rig.deploy("v2");
    going.memory.started(3).await;
    going.accepted(DeploymentOrder::Pause, "olu").await;
    fs::remove_file(rig.root().join("hold")).expect("removed");
    going.memory.started(4).await;
    fs::write(rig.root().join("errors"), "").expect("written");
    let reason = going.end.await.expect("no panic").reason.expect("it failed");
    assert!(reason.contains("failed its analysis 2 times") && reason.ends_with("serves again"), "{reason}");
}

#[tokio::test]
async fn a_deployment_waits_for_an_approval_by_another_person() {
    let rules = EnvironmentSettings {
        reviewers: vec!["olu".to_owned(), "ada".to_owned()],
        prevent_self_review: true,
        ..rolling()
    };
    let rig = Rig::new(rules);
    let review = |approve| DeploymentOrder::Review { approve, comment: "ship it".to_owned() };
    let waits = |event: &Event| matches!(event, Event::ReviewsPending { environments } if environments.len() == 1);
    let going = rig.deploy("v1");
    going.memory.recorded(waits).await;
    let Reply::Rejected { reason } = going.tell(review(true), "ada").await else { panic!("her own deployment") };
    assert_eq!(reason, "ada@web: you may not approve your own deployment; the reviewers are olu, ada");
    let Reply::Rejected { reason } = going.tell(DeploymentOrder::Promote { full: true }, "olu").await else {
        panic!("not begun")
    };
    assert_eq!(reason, "the deployment has not begun: a rule of its environment still holds it");
    assert_eq!(going.tell(review(true), "olu").await, Reply::Accepted);
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
    rig.calls();
    let going = rig.deploy("v2");
    going.memory.recorded(waits).await;
    assert_eq!(going.tell(review(false), "olu").await, Reply::Accepted);
    let end = going.end.await.expect("no panic");
    let expected =
        DeploymentEnd { conclusion: Conclusion::Cancelled, reason: Some("rejected by olu@web: ship it".to_owned()) };
    assert_eq!(end, expected);
    assert_eq!((rig.calls(), rig.record(&going.folder).outcome), (Vec::new(), Some(Outcome::Cancelled)));
}

#[tokio::test]
async fn what_a_person_says_is_recorded_without_secrets() {
    let rig = Rig::new(EnvironmentSettings { reviewers: vec!["olu".to_owned()], ..rolling() });
    let going = rig.deploy("v1");
    going
        .memory
        .recorded(|event| matches!(event, Event::ReviewsPending { environments } if environments.len() == 1))
        .await;
    let review = DeploymentOrder::Review { approve: false, comment: "hunter2 is out".to_owned() };
    assert_eq!(going.tell(review, "olu").await, Reply::Accepted);
    going.end.await.expect("no panic");
    let ledger = rig.file().read().expect("read");
    let reasons: Vec<&str> = ledger.entries().iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(reasons, ["", "*** is out", "rejected by olu@web: *** is out"]);
}

#[tokio::test]
async fn no_file_has_a_secret_that_a_person_wrote_in_a_reason() {
    let rig = Rig::new(canary(&[CanaryStep::Weight(10), CanaryStep::Pause(Pause::Person)]));
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    going.accepted(DeploymentOrder::Abort { reason: "bad hunter2".to_owned() }, "olu").await;
    going.end.await.expect("no panic");
    let position = Position::read(&going.folder).expect("read").expect("begun");
    assert_eq!(position.back.as_deref(), Some("aborted by olu@web: bad ***"));
    // The same for one whose worker was killed.
    let going = rig.deploy("v3");
    going.memory.started(4).await;
    going.end.abort();
    assert!(going.end.await.is_err_and(|error| error.is_cancelled()));
    let again = rig.begin(&going.folder, "v3", Cause::Manual, Begin::Back("bad hunter2".to_owned()));
    again.end.await.expect("no panic");
    let with_secret = files_in(rig.runs().state()).into_iter().filter(|file| read(file).contains("hunter2"));
    assert_eq!(with_secret.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
}

/// Returns the files in a folder and in the folders in it.
fn files_in(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_deployment_in_the_queue_gives_its_place_to_a_newer_one_and_says_so() {
    let rig = Rig::new(canary(&[CanaryStep::Weight(10), CanaryStep::Pause(Pause::Person)]));
    let give_way = || Command::Yield { group: "deploy production".to_owned(), job: None, to: "run-2".to_owned() };
    let held = Arc::clone(&rig.turns).lock_owned().await;
    let going = rig.deploy("v1");
    assert_eq!(going.command(give_way()).await, Reply::Accepted);
    let end = going.end.await.expect("no panic");
    let reason = "a newer deployment, run-2, took its place in the queue";
    assert_eq!(end, DeploymentEnd { conclusion: Conclusion::Cancelled, reason: Some(reason.to_owned()) });
    assert_eq!(rig.record(&going.folder).end_reason, reason);
    drop(held);
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    let Reply::Rejected { reason } = going.command(give_way()).await else { panic!("it has begun") };
    assert_eq!(reason, "the deployment has begun and keeps its turn");
    going.end.abort();
}

#[tokio::test]
async fn a_lock_that_comes_while_a_deployment_waits_for_its_turn_holds_it_and_leaves_the_turn_to_others() {
    let rig = Rig::new(rolling());
    let held = Arc::clone(&rig.turns).lock_owned().await;
    let going = rig.deploy("v1");
    rig.add(Action::Locked { until: None });
    drop(held);
    going.memory.recorded(|event| matches!(event, Event::JobWaiting { .. })).await;
    let turn = tokio::time::timeout(Duration::from_secs(10), rig.turns.lock()).await.expect("the turn is free");
    rig.add(Action::Unlocked);
    drop(turn);
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
}

#[tokio::test]
async fn files_that_change_while_a_deployment_waits_are_refused_or_recorded() {
    let rules =
        EnvironmentSettings { on: vec![RefRule::Tag("v*".to_owned())], reviewers: vec!["olu".to_owned()], ..rolling() };
    let rig = Rig::new(rules);
    let approve = DeploymentOrder::Review { approve: true, comment: String::new() };
    let going = rig.deploy("v1");
    going.accepted(approve.clone(), "olu").await;
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
    rig.calls();
    let changed = |files: &str| fs::write(rig.root().join("changed"), files).expect("written");
    let (first, second) = (rig.deploy("v2"), rig.request("v3", &Cause::Manual));
    changed("start\nstop\n");
    first.accepted(approve, "olu").await;
    let end = first.end.await.expect("no panic");
    let refused = "only a commit may be deployed to production, and `start` and `stop` have changed since v2 ";
    assert!(end.reason.as_deref().is_some_and(|why| why.starts_with(refused) && why.ends_with("nothing was changed")));
    assert_eq!((end.conclusion, rig.calls()), (Conclusion::Failure, Vec::new()));
    assert!(
        !rig.record(&first.folder).has_changes
            && rig.state().live().is_some_and(|live| live.release.sha == release("v1").sha)
    );
    // An override of the rules covers changed files as well, and the ledger records the files.
    let overrode = Entry {
        at: now(),
        by: person("ada"),
        environment: "production".to_owned(),
        deployment: Some(second.id().clone()),
        job: None,
        action: Action::Overrode,
        reason: "hotfix".to_owned(),
    };
    rig.file().append(&overrode).expect("written");
    let end = rig.begin(&second, "v3", Cause::Manual, Begin::Forward).end.await.expect("no panic");
    assert_eq!((end.conclusion, rig.record(&second).has_changes), (Conclusion::Success, true));
}

#[tokio::test]
async fn an_abort_while_the_former_release_is_kept_waits_for_its_turn() {
    for is_superseded in [false, true] {
        let settings = settings(Strategy::BlueGreen { pause: None }, 2, COMMANDS);
        let rig = Rig::new(EnvironmentSettings { keep_old: Duration::from_hours(1), ..settings });
        rig.deployed("v1").await;
        let going = rig.deploy("v2");
        assert_eq!(rig.ended(&going.folder).await, Outcome::Succeeded);
        // Another deployment has the turn.
        let turn = Arc::clone(&rig.turns).lock_owned().await;
        going.accepted(DeploymentOrder::Abort { reason: String::new() }, "olu").await;
        if is_superseded {
            let (at, by, environment) = (now(), person("ada"), "production".to_owned());
            let deployment = Some(rig.request("v3", &Cause::Manual).id().clone());
            let (job, action, reason) = (None, Action::Began, String::new());
            rig.file().append(&Entry { at, by, environment, deployment, job, action, reason }).expect("written");
        }
        drop(turn);
        let reason = going.end.await.expect("no panic").reason.expect("a reason");
        let (how, running, outcome) = if is_superseded {
            let later = release("v3").title();
            let why = format!("superseded by a later deployment of {later}: the environment is left as it is");
            let both = "blue.1=v1 blue.2=v1 green.1=v2 green.2=v2 weight green 100";
            (format!("cannot roll back: {why}"), both, Outcome::Succeeded)
        } else {
            let how = format!("{} serves again", release("v1").title());
            (how, "blue.1=v1 blue.2=v1 weight blue 100", Outcome::RolledBack)
        };
        assert_eq!(reason, format!("aborted by olu@web; {how}"));
        assert_eq!((rig.running().as_str(), rig.record(&going.folder).outcome), (running, Some(outcome)));
    }
}

#[tokio::test]
async fn a_promotion_takes_back_the_pause_that_was_requested_during_a_watch_and_does_not_end_the_watch() {
    let rig = Rig::new(canary(&[CanaryStep::Weight(10), CanaryStep::Pause(Pause::For(Duration::from_hours(1)))]));
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    let promote = DeploymentOrder::Promote { full: false };
    going.accepted(DeploymentOrder::Pause, "olu").await;
    assert!(rig.record(&going.folder).paused);
    assert_eq!(going.tell(promote.clone(), "olu").await, Reply::Accepted);
    assert!(!rig.record(&going.folder).paused);
    assert_eq!(going.tell(DeploymentOrder::Abort { reason: "errors".to_owned() }, "olu").await, Reply::Accepted);
    let memory = Arc::clone(&going.memory);
    going.end.await.expect("no panic");
    let is_watch = |event: &&Event| matches!(event, Event::StepFinished { step, .. } if step.0 == 4);
    let events = memory.events.lock().expect("no panic").clone();
    let end = events.iter().find(is_watch);
    let is_cut = matches!(end, Some(Event::StepFinished { conclusion: Conclusion::Cancelled, .. }));
    assert!(is_cut, "the abort ends the watch, and not the promotion: {end:?}");
    // Without such a request, a promotion ends the watch.
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    going.accepted(promote, "olu").await;
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
}

#[tokio::test]
async fn the_former_release_is_stopped_only_by_an_order_of_its_own() {
    let steps = [CanaryStep::Weight(10), CanaryStep::Pause(Pause::Person)];
    let rig = Rig::new(EnvironmentSettings { keep_old: Duration::from_hours(1), ..canary(&steps) });
    rig.deployed("v1").await;
    let going = rig.deploy("v2");
    going.memory.started(4).await;
    let Reply::Rejected { reason } = going.tell(DeploymentOrder::StopKept, "olu").await else { panic!("not live") };
    assert_eq!(reason, "no former release is kept running after this deployment");
    // A full promotion is about pauses, and not about the time for which the former release is kept.
    going.accepted(DeploymentOrder::Promote { full: true }, "olu").await;
    assert_eq!(rig.ended(&going.folder).await, Outcome::Succeeded);
    for full in [false, true] {
        let refusal = loop {
            match going.tell(DeploymentOrder::Promote { full }, "olu").await {
                Reply::Rejected { reason } if reason.contains("is live already") => break reason,
                _ => tokio::task::yield_now().await,
            }
        };
        assert!(refusal.contains("`cuelight promote production --stop-kept`"), "{refusal}");
    }
    assert!(rig.running().starts_with("blue.1=v1 "), "{}", rig.running());
    going.accepted(DeploymentOrder::StopKept, "olu").await;
    assert_eq!(going.end.await.expect("no panic").conclusion, Conclusion::Success);
    assert_eq!(rig.running(), "green.1=v2 green.2=v2 weight green 100");
}
