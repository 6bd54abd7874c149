//! Orders to the environments of this machine: the keys that give them, their dialogs, and why some are refused.

use super::lanes::{NOW, asked, commit, keeping, lane, lanes, on_its_way, release, reported, showing};
use super::*;
use crate::model::deployment::Slot;
use crate::model::lane::{DeploymentPreview, DeploymentWay, Lane, LaneDeployment, LaneRequest, LaneStep, Reported};
use crate::model::rollback::Changes;

/// Returns the environments, and production as the environment that the selected run deployed to.
fn deployed_by_the_run() -> Vec<Lane> {
    let mut lanes = lanes();
    lanes[1].open = None;
    lanes[2].environment.deployments[0].local = Some(run());
    lanes
}

#[test]
fn the_key_to_go_back_comes_first_where_a_deployment_or_an_environment_is_selected() {
    for width in [60, 80] {
        let mut driver = Driver::showing(width, 24, Glyphs::Unicode);
        driver.send(Msg::Tick(Timestamp(NOW)));
        assert!(!driver.shows("B:roll back"), "{}", driver.screen());
        driver.feed(Feed::Lanes(deployed_by_the_run()));
        assert!(driver.footer().trim().starts_with("B:roll back  ?:help"), "{}", driver.screen());
        driver.press("6");
        assert!(driver.footer().trim().starts_with("B:roll back  ?:help"), "{}", driver.screen());
        // From a cold start, the release of the selected run is rolled back with B, Enter, the name and Enter.
        driver.press("3B<enter>");
        let [environment, to] = ["production".to_owned(), release("v1.3.9").sha];
        assert_eq!(asked(&mut driver), [LaneRequest::PlanRollback { environment, to: Some(to) }]);
    }
}

#[test]
fn without_a_selected_environment_the_user_picks_one() {
    let mut all = deployed_by_the_run();
    all[2].environment.deployments[0].local = None;
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.send(Msg::Tick(Timestamp(NOW))).feed(Feed::Lanes(all));
    assert!(driver.shows("B:roll back"), "{}", driver.screen());
    driver.press("B");
    insta::assert_snapshot!(driver.screen());
    // Production comes first.
    driver.press("<enter>");
    assert!(driver.shows("Roll back production, v1.4.0"), "{}", driver.screen());
}

#[test]
fn the_open_list_of_releases_shows_which_still_run_and_keeps_the_selected_row() {
    let mut all = deployed_by_the_run();
    // The target is asked after the list was opened.
    let report = all[2].reported.take().map(|report| Reported { at: Timestamp(NOW), ..report });
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.send(Msg::Tick(Timestamp(NOW))).feed(Feed::Lanes(all.clone())).press("B");
    assert!(!driver.shows("still running, instant") && driver.shows("live 40h, until 2d ago"), "{}", driver.screen());
    // The older release still runs, and moves before the selected one.
    all[2].reported = report;
    all[2].reported.as_mut().expect("taken").observed.slot_mut(Slot::Green).release = Some(release("v1.3.8").sha);
    driver.press("<down><up><down>").feed(Feed::Lanes(all));
    assert!(driver.shows("still running, instant"), "{}", driver.screen());
    driver.press("<enter>");
    let [environment, to] = ["production".to_owned(), release("v1.3.8").sha];
    assert_eq!(asked(&mut driver), [LaneRequest::PlanRollback { environment, to: Some(to) }]);
}

#[test]
fn the_end_of_an_instant_rollback_is_asked_for_with_no_first() {
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![keeping()]);
    driver.press("Dp");
    insta::assert_snapshot!(driver.screen());
    driver.press("<enter>");
    assert!(asked(&mut driver).is_empty(), "Enter keeps it: {}", driver.screen());
    driver.press("Dpy");
    let environment = "production".to_owned();
    assert_eq!(asked(&mut driver), [LaneRequest::StopKept { environment, run: run() }]);
}

#[test]
fn a_dialog_about_a_deployment_closes_when_the_deployment_goes_on() {
    let mut on_its_way = keeping();
    let open = on_its_way.open.as_mut().expect("open");
    (open.has_succeeded, open.kept) = (false, None);
    for keys in ["Da", "Dp"] {
        let mut driver = showing(80, 24, Glyphs::Unicode, vec![on_its_way.clone()]);
        driver.press(keys).feed(Feed::Lanes(vec![keeping()])).press("<enter>");
        assert!(asked(&mut driver).is_empty(), "{keys}: {}", driver.screen());
        let mut driver = showing(80, 24, Glyphs::Unicode, vec![on_its_way.clone()]);
        driver.press(keys).feed(Feed::Lanes(vec![keeping()]));
        assert!(driver.shows("nothing was done to production"), "{keys}: {}", driver.screen());
    }
}

#[test]
fn a_release_that_was_rolled_back_is_not_offered_again() {
    let mut back = lane("production", &[("v1.4.0", 1), ("v1.4.1", 2), ("v1.4.0", 50), ("v1.3.9", 90)]);
    back.offered = release("v1.4.1");
    let mut report = reported(2, 2, 0);
    report.observed.slot_mut(Slot::Green).release = Some(release("v1.4.1").sha);
    report.observed.slot_mut(Slot::Green).replicas = 2;
    back.reported = Some(report);
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![back]);
    driver.press("Dd<enter>");
    assert!(asked(&mut driver).is_empty() && driver.shows("reading the history"), "{}", driver.screen());
    // Nor is it the first to go back to, although it still runs.
    driver.press("<esc>B<enter>");
    let [environment, to] = ["production".to_owned(), release("v1.3.9").sha];
    assert_eq!(asked(&mut driver), [LaneRequest::PlanRollback { environment, to: Some(to) }]);
}

#[test]
fn what_the_live_release_has_replaced_is_listed_but_must_be_selected() {
    let replaced = lane("production", &[("v1.4.0", 1), ("v1.4.1", 2), ("v1.4.0", 50)]);
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![replaced]);
    driver.press("B<enter>");
    assert!(driver.shows("Roll back production, v1.4.0") && driver.shows("v1.4.1"), "{}", driver.screen());
    assert!(driver.app.overlay.is_some() && asked(&mut driver).is_empty(), "nothing is offered: {}", driver.screen());
    driver.press("<down><enter>");
    let [environment, to] = ["production".to_owned(), release("v1.4.1").sha];
    assert_eq!(asked(&mut driver), [LaneRequest::PlanRollback { environment, to: Some(to) }]);
}

/// Returns the preview of a rollback of production to a release that still runs.
fn rollback() -> Feed {
    let preview = DeploymentPreview {
        environment: "production".to_owned(),
        from: Some(release("v1.4.0")),
        to: Some(release("v1.3.9")),
        former_unknown: false,
        way: DeploymentWay::RollBack {
            steps: ["Send 100 % of the traffic to blue", "Drain green", "Stop green"].map(str::to_owned).into(),
            is_instant: true,
        },
        changes: Changes { count: Some(14), commits: (0..12).map(|at| commit(&format!("Change {at}"))).collect() },
        notes: Vec::new(),
    };
    Feed::DeploymentPlanned { question: 7, preview: Box::new(preview) }
}

#[test]
fn production_is_rolled_back_in_five_keys_and_its_name() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let mut driver = Driver::showing(width, height, Glyphs::Unicode);
        driver.send(Msg::Tick(Timestamp(NOW))).feed(Feed::Lanes(lanes()));
        driver.press("6GB");
        insta::assert_snapshot!(format!("rollback-picker-{width}x{height}"), driver.screen());
        driver.press("<enter>");
        let environment = "production".to_owned();
        let to = Some(release("v1.3.9").sha);
        assert_eq!(asked(&mut driver), [LaneRequest::PlanRollback { environment, to }]);
        driver.feed(rollback());
        insta::assert_snapshot!(format!("rollback-{width}x{height}"), driver.screen());
        driver.press("<enter>");
        assert!(asked(&mut driver).is_empty() && driver.shows("type `production` to confirm"), "{}", driver.screen());
        driver.press("staging<enter>");
        assert!(asked(&mut driver).is_empty() && driver.shows("does not match `production`"), "{}", driver.screen());
        driver.press("<esc>").feed(rollback()).press("production<enter>");
        assert_eq!(asked(&mut driver), [LaneRequest::Start { question: 7, reason: String::new() }]);
        driver.feed(rollback()).press("production<down>errors at checkout<enter>");
        let reason = "errors at checkout".to_owned();
        assert_eq!(asked(&mut driver), [LaneRequest::Start { question: 7, reason }]);
    }
}

#[test]
fn a_deployment_is_requested_with_the_release_of_the_environment_before_and_shown_first() {
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    driver.press("Dd");
    assert!(driver.shows("Deploy to development, v1.4.3") && driver.shows("▌ v1.4.3"), "{}", driver.screen());
    driver.press("<enter>");
    let plan = |release: &str| LaneRequest::Plan { environment: "development".to_owned(), release: release.to_owned() };
    assert_eq!(asked(&mut driver), [plan("v1.4.3")]);
    driver.press("dtopic<enter>");
    assert_eq!(asked(&mut driver), [plan("topic")]);
    let preview = DeploymentPreview {
        environment: "development".to_owned(),
        from: None,
        to: Some(release("v1.4.3")),
        former_unknown: false,
        way: DeploymentWay::Deploy((1..=12).map(|number| format!("Step number {number}")).collect()),
        changes: Changes::default(),
        notes: vec!["needs an approval by one of ada".to_owned()],
    };
    driver.feed(Feed::DeploymentPlanned { question: 3, preview: Box::new(preview) });
    insta::assert_snapshot!("deploy-80x24", driver.screen());
    driver.press("<enter>");
    assert_eq!(asked(&mut driver), [LaneRequest::Start { question: 3, reason: String::new() }]);
}

#[test]
fn a_deployment_on_its_way_is_promoted_paused_and_aborted() {
    let environment = || "staging".to_owned();
    let mut driver = showing(120, 40, Glyphs::Unicode, lanes());
    driver.press("jDp");
    assert!(driver.shows("v1.4.2") && driver.shows("step 4/9, Wait until green is healthy"), "{}", driver.screen());
    driver.press("f");
    assert_eq!(asked(&mut driver), [LaneRequest::Promote { environment: environment(), run: run(), full: true }]);
    driver.press("ps");
    assert_eq!(asked(&mut driver), [LaneRequest::Pause { environment: environment(), run: run() }]);
    driver.press("Dp<enter>Ds");
    let [promote, pause] = [
        LaneRequest::Promote { environment: environment(), run: run(), full: false },
        LaneRequest::Pause { environment: environment(), run: run() },
    ];
    assert_eq!(asked(&mut driver), [promote, pause]);
    driver.press("Daslow<enter>");
    let reason = "slow".to_owned();
    assert_eq!(asked(&mut driver), [LaneRequest::Abort { environment: environment(), run: run(), reason }]);
    // A rollback while the deployment is in progress aborts it, too.
    driver.press("B");
    assert!(driver.shows("by aborting v1.4.2"), "{}", driver.screen());
    driver.press("<enter>");
    assert_eq!(asked(&mut driver), [LaneRequest::PlanRollback { environment: environment(), to: None }]);
    // The keys also work in the Jobs pane while the run of the deployment is selected.
    driver.press("3Ds");
    assert_eq!(asked(&mut driver), [LaneRequest::Pause { environment: environment(), run: run() }]);
}

#[test]
fn an_environment_is_locked_with_a_reason_and_unlocked() {
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    driver.press("Dl");
    assert_eq!(driver.footer(), " enter:lock  esc:close");
    driver.press("<enter>");
    assert!(asked(&mut driver).is_empty() && driver.shows("required"), "{}", driver.screen());
    driver.press("migration<down>soon<enter>");
    let fault = "not a length of time, such as 90m or 2h";
    assert!(asked(&mut driver).is_empty() && driver.shows(fault), "{}", driver.screen());
    driver.press("<backspace><backspace><backspace><backspace><enter>");
    let lock = |length| {
        let [environment, reason] = ["development", "migration"].map(str::to_owned);
        LaneRequest::Lock { environment, reason, length }
    };
    assert_eq!(asked(&mut driver), [lock(None)]);
    driver.press("Dlmigration<down>1h30m<enter>");
    assert_eq!(asked(&mut driver), [lock(Some(std::time::Duration::from_mins(90)))]);
    driver.press("GDl");
    assert!(driver.shows("lock: production: it is locked already"), "{}", driver.screen());
    driver.press("Du");
    assert!(driver.shows("locked by ines@web since") && driver.shows("database migration"), "{}", driver.screen());
    driver.press("<enter>");
    let (environment, reason) = ("production".to_owned(), String::new());
    assert_eq!(asked(&mut driver), [LaneRequest::Unlock { environment, reason }]);
}

#[test]
fn what_cannot_be_done_is_listed_with_its_reason() {
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    driver.press("D");
    insta::assert_snapshot!("hints-80x24", driver.screen());
    let screen = driver.screen();
    assert_eq!(screen.matches("no deployment to it is in progress").count(), 1, "{screen}");
    assert!(!screen.lines().any(|line| line.ends_with("…│") || line.contains("… │")), "{screen}");
    driver.press("<esc>");
    for (keys, reason) in [
        ("Dp", "promote: development: no deployment to it is in progress"),
        ("p", "promote: development: no deployment to it is in progress"),
        ("Da", "abort: development: no deployment to it is in progress"),
        ("Du", "unlock: development: it is not locked"),
        ("Dr", "review-deployment: development: no deployment waits for a review"),
        ("a", "review-deployment: development: no deployment waits for a review"),
        ("s", "abort: development: no deployment to it is in progress"),
    ] {
        driver.press(keys);
        assert!(driver.shows(reason), "{keys}: {}", driver.screen());
    }
    let fresh = vec![lane("fresh", &[]), lane("first", &[("v1", 1)])];
    let unknown = {
        let mut unknown = lane("unknown", &[("v1", 1)]);
        unknown.environment.unknown = Some("not known what serves".to_owned());
        unknown
    };
    let mut driver = showing(80, 24, Glyphs::Unicode, fresh.into_iter().chain([unknown]).collect());
    for (keys, reason) in [
        ("B", "roll-back: fresh: no release is live in it"),
        ("jB", "roll-back: first: no earlier release is known to have succeeded in it"),
        ("jB", "roll-back: unknown: it is not known what is live"),
    ] {
        driver.press(keys);
        assert!(driver.shows(reason), "{keys}: {}", driver.screen());
    }
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.app = driver.app.clone().at_home(crate::model::RepositoryId::named("octo/app"));
    driver.feed(Feed::Lanes(Vec::new())).press("Dd");
    assert!(driver.shows("deploy: no environment of this machine is selected"), "{}", driver.screen());
    for keys in ["6d", "p", "Dd"] {
        driver.press(keys);
        assert!(driver.shows("no environments in .cuelight.toml: see `cuelight config"), "{keys}: {}", driver.screen());
    }
}

#[test]
fn a_read_only_screen_changes_no_environment() {
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    driver.app.state.refusal = Some(crate::model::capabilities::Unavailable::ReadOnly);
    for keys in ["Dd", "d", "Dl", "jDp", "p", "Ds", "Da", "Dr", "GB", "Db", "Du", "a"] {
        driver.press(keys);
        assert!(driver.app.overlay.is_none() && driver.shows("the screen is read-only"), "{keys}: {}", driver.screen());
    }
    driver.press(",h<enter>");
    assert!(asked(&mut driver).is_empty(), "{}", driver.screen());
}

#[test]
fn a_deployment_that_waits_is_reviewed() {
    let mut lanes = lanes();
    let waiting = LaneDeployment {
        step: None,
        waits: Some("waits for approval by ada".to_owned()),
        waits_for_review: true,
        ..on_its_way("v1.4.2")
    };
    lanes[1].open = Some(waiting);
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes);
    driver.press("ja");
    assert!(driver.shows("Review deployments"), "{}", driver.screen());
}

#[test]
fn keys_in_the_list_act_on_the_selected_environment_and_not_on_the_selected_run() {
    // The selected run is the deployment to staging.
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    assert!(!driver.shows("s:stop"), "{}", driver.screen());
    for keys in ["s", "Da", "Ds"] {
        driver.press(keys);
        assert!(driver.app.overlay.is_none(), "{keys}: {}", driver.screen());
        assert!(driver.shows(": development: no deployment to it is in progress"), "{keys}: {}", driver.screen());
    }
    driver.press("j");
    assert!(driver.shows("s:stop"), "{}", driver.screen());
    driver.press("sslow<enter>");
    let (environment, reason) = ("staging".to_owned(), "slow".to_owned());
    assert_eq!(asked(&mut driver), [LaneRequest::Abort { environment, run: run(), reason }]);
    // Marked runs do not change that.
    driver.press("1m6ggs");
    assert!(driver.app.overlay.is_none(), "{}", driver.screen());
    assert!(driver.shows("abort: development: no deployment to it is in progress"), "{}", driver.screen());
}

#[test]
fn the_key_that_promotes_is_offered_once_a_deployment_waits_for_a_person() {
    let mut lanes = lanes();
    let open = lanes[1].open.as_mut().expect("open");
    let name = "Wait for `cuelight promote`".to_owned();
    open.step = Some(LaneStep {
        number: 6,
        total: 9,
        name,
        is_back: false,
        waits_for_person: true,
        decision: None,
        pause: None,
    });
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes);
    assert!(!driver.shows("p:promote"), "{}", driver.screen());
    driver.press("j");
    assert!(driver.shows("B:roll back  p:promote  ?:help"), "{}", driver.screen());
    // The selected run is that of the deployment.
    driver.press("3");
    assert!(driver.shows("B:roll back  p:promote  ?:help"), "{}", driver.screen());
    driver.press("p<enter>");
    let environment = "staging".to_owned();
    assert_eq!(asked(&mut driver), [LaneRequest::Promote { environment, run: run(), full: false }]);
}

#[test]
fn a_decision_about_an_inconclusive_analysis_offers_only_a_full_promotion() {
    let mut lanes = lanes();
    let open = lanes[1].open.as_mut().expect("open");
    let step = open.step.as_mut().expect("a step");
    step.waits_for_person = true;
    step.decision = Some("Rollout Paused, InconclusiveAnalysisRun".to_owned());
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes);
    driver.press("jp");
    assert!(
        driver.shows("InconclusiveAnalysisRun") && !driver.shows("continue past this pause"),
        "{}",
        driver.screen()
    );
    driver.press("<enter>");
    let environment = "staging".to_owned();
    assert_eq!(asked(&mut driver), [LaneRequest::Promote { environment, run: run(), full: true }]);
}

#[test]
fn a_deployment_that_waits_for_the_end_of_another_one_says_so_in_place_of_its_steps() {
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    let behind = "v1.4.2 is on its way (step 4/9, Wait until green is healthy); this deployment waits for its end";
    let preview = DeploymentPreview {
        environment: "staging".to_owned(),
        from: Some(release("v1.4.1")),
        to: Some(release("v1.4.3")),
        former_unknown: false,
        way: DeploymentWay::Deploy(Vec::new()),
        changes: Changes::default(),
        notes: vec![behind.to_owned()],
    };
    driver.feed(Feed::DeploymentPlanned { question: 3, preview: Box::new(preview) });
    assert!(driver.shows("note: v1.4.2 is on its way"), "{}", driver.screen());
    assert!(driver.shows("The steps are planned once the deployment in progress has ended."), "{}", driver.screen());
}
