//! Environments of this machine: their live releases, and the actions on them.

use super::*;
use crate::model::deployment::{Actor, Cause, Counters, Lock, Observed, Slot, SlotState};
use crate::model::environment::{
    DeploymentSource, DeploymentState, Drift, Environment, EnvironmentDeployment, Release,
};
use crate::model::lane::{
    DeploymentPreview, DeploymentWay, Kept, Lane, LaneDeployment, LaneRequest, LaneStep, Reported, Requests,
};
use crate::model::rollback::{ChangedCommit, Changes};
use crate::model::testing::deployment_of;

pub(super) const HOUR: u64 = 3_600_000;

/// Time at which the screen of these tests shows the lanes.
pub(super) const NOW: u64 = START + 200_000;

pub(super) fn release(tag: &str) -> Release {
    deployment_of(tag, DeploymentState::Success, Timestamp(0)).release
}

fn deployed(tag: &str, state: DeploymentState, hours: u64) -> EnvironmentDeployment {
    let local = Some(RunId::new(format!("20261123-{hours:06}-aaaa")));
    EnvironmentDeployment { local, run: None, ..deployment_of(tag, state, Timestamp(NOW - hours * HOUR)) }
}

/// Returns an environment in which these tags were deployed, the newest first and live.
pub(super) fn lane(name: &str, tags: &[(&str, u64)]) -> Lane {
    let deployments = tags.iter().enumerate().map(|(at, (tag, hours))| {
        deployed(tag, if at == 0 { DeploymentState::Success } else { DeploymentState::Inactive }, *hours)
    });
    Lane {
        environment: Environment {
            deployments: deployments.collect(),
            source: DeploymentSource::Local,
            ..Environment::named(name)
        },
        offered: release("v1.4.3"),
        lock: None,
        frozen: None,
        open: None,
        reported: None,
        is_silent: false,
        stops: None,
    }
}

pub(super) fn reported(healthy: u32, replicas: u32, age: u64) -> Reported {
    let mut observed = Observed::default();
    *observed.slot_mut(Slot::Blue) =
        SlotState { release: Some("sha".to_owned()), replicas, healthy, open: replicas, weight: 100 };
    Reported { observed, at: Timestamp(NOW - age), requests: None }
}

fn drift(branch: &str, behind: u64) -> Drift {
    Drift { branch: branch.to_owned(), behind, ahead: 0 }
}

/// Returns three environments: development is current and healthy, a deployment to staging is in progress, production
/// is locked and lags behind.
pub(super) fn lanes() -> Vec<Lane> {
    let mut development = lane("development", &[("v1.4.3", 1), ("v1.4.2", 30)]);
    development.reported = Some(reported(2, 2, 5_000));
    development.environment.drift = Some(drift("main", 0));
    development.environment.deployments[0].local = Some(RunId::new("20261123-101010-aaaa"));
    let mut staging = lane("staging", &[("v1.4.1", 26), ("v1.4.0", 60)]);
    staging.environment.drift = Some(drift("development", 8));
    staging.open = Some(on_its_way("v1.4.2"));
    let mut production = lane("production", &[("v1.4.0", 50), ("v1.3.9", 90), ("v1.3.8", 200)]);
    production.environment.drift = Some(drift("staging", 12));
    let mut report = reported(1, 2, 300_000);
    report.observed.slot_mut(Slot::Blue).release = Some(release("v1.4.0").sha);
    let release = Some(release("v1.3.9").sha);
    *report.observed.slot_mut(Slot::Green) = SlotState { release, replicas: 2, healthy: 2, open: 0, weight: 0 };
    production.reported = Some(report);
    let by = Actor { user: "ines".to_owned(), host: "web".to_owned(), email: String::new() };
    production.lock =
        Some(Lock { by, since: Timestamp(NOW - HOUR), until: None, reason: "database migration".to_owned() });
    vec![development, staging, production]
}

#[test]
fn the_time_until_an_environment_is_stopped_counts_down() {
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Listed { runs: Vec::new(), more: false, of: None }).send(Msg::Tick(Timestamp(NOW)));
    let stopping = Lane { stops: Some(Timestamp(NOW + 90_500)), ..lane("review", &[("v1.4.1", 26)]) };
    driver.feed(Feed::Lanes(vec![stopping])).press("6");
    assert!(driver.shows("stops in 1m"), "{}", driver.screen());
    assert_eq!(driver.app.is_still_for(), Some(Duration::from_millis(30_501)), "{}", driver.screen());
}

pub(super) fn on_its_way(tag: &str) -> LaneDeployment {
    LaneDeployment {
        run: run(),
        release: release(tag),
        from: Some(release("v1.4.1")),
        cause: Cause::Manual,
        is_running: true,
        has_succeeded: false,
        kept: None,
        step: Some(LaneStep {
            number: 4,
            total: 9,
            name: "Wait until green is healthy".to_owned(),
            is_back: false,
            waits_for_person: false,
            pause: None,
        }),
        waits: None,
        waits_for_review: false,
    }
}

/// Returns a screen with the Deploys pane in focus.
pub(super) fn showing(width: u16, height: u16, glyphs: Glyphs, lanes: Vec<Lane>) -> Driver {
    let mut driver = Driver::showing(width, height, glyphs);
    driver.send(Msg::Tick(Timestamp(NOW))).feed(Feed::Lanes(lanes)).press("6");
    driver
}

#[test]
fn environments_stand_in_the_order_of_releases() {
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        let driver = showing(width, height, Glyphs::Unicode, lanes());
        insta::assert_snapshot!(format!("lanes-{width}x{height}"), driver.screen());
    }
    let driver = showing(80, 24, Glyphs::Ascii, lanes());
    assert!(driver.screen().is_ascii(), "{}", driver.screen());
}

#[test]
fn each_state_of_an_environment_is_one_line() {
    let waiting = LaneDeployment {
        step: None,
        waits: Some("waits for approval by ada".to_owned()),
        waits_for_review: true,
        ..on_its_way("v1.4.2")
    };
    let interrupted = LaneDeployment { is_running: false, ..on_its_way("v1.4.2") };
    let mut failed = lane("failed", &[("v1.4.1", 26)]);
    failed.environment.deployments.insert(0, deployed("v1.4.2", DeploymentState::Failure, 1));
    failed.environment.deployments[0].began = false;
    let mut unknown = lane("unknown", &[]);
    unknown.environment.deployments.insert(0, deployed("v1.4.2", DeploymentState::Failure, 1));
    unknown.environment.unknown = Some("not known what serves".to_owned());
    let all = vec![
        lane("empty", &[]),
        Lane { open: Some(waiting), ..lane("waiting", &[("v1.4.1", 26)]) },
        Lane { open: Some(interrupted), ..lane("interrupted", &[("v1.4.1", 26)]) },
        Lane { frozen: Some("Fri 16:00 - Mon 08:00".to_owned()), ..lane("frozen", &[("v1.4.1", 26)]) },
        failed,
        unknown,
        Lane { stops: Some(Timestamp(NOW + HOUR * 23)), ..lane("stopping", &[("v1.4.1", 26)]) },
    ];
    let driver = showing(80, 24, Glyphs::Unicode, all);
    insta::assert_snapshot!(driver.screen());
}

#[test]
fn an_empty_list_says_whether_environments_were_read() {
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.press("6");
    assert!(driver.shows("start cuelight in one to see them"), "{}", driver.screen());
    driver.press("d");
    assert!(driver.shows("the screen was opened outside of a repository"), "{}", driver.screen());
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.app = driver.app.clone().at_home(crate::model::RepositoryId::named("octo/app"));
    driver.press("6");
    assert!(driver.shows("reading the environments of the repository"), "{}", driver.screen());
    driver.press("d");
    assert!(driver.shows("are still being read"), "{}", driver.screen());
    driver.feed(Feed::Lanes(Vec::new()));
    assert!(driver.shows("no `[environments.NAME]`"), "{}", driver.screen());
}

#[test]
fn settings_with_a_fault_are_not_shown_as_an_empty_list() {
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.press("6");
    assert!(driver.screen().contains("no deployment in these runs"), "{}", driver.screen());
    let reason = ".cuelight.toml:1:15: `environments.staging` has no health check";
    driver.feed(Feed::LanesUnreadable(reason.to_owned()));
    assert_eq!(
        driver.screen().matches("has no health check").count(),
        2,
        "in the pane and as notice: {}",
        driver.screen()
    );
    driver.feed(Feed::Lanes(lanes()));
    assert!(
        !driver.screen().contains("no deployment") && driver.screen().contains("production"),
        "{}",
        driver.screen()
    );
    // Environments that were read before stay.
    driver.feed(Feed::LanesUnreadable(reason.to_owned()));
    assert!(driver.screen().contains("production"), "{}", driver.screen());
}

#[test]
fn a_target_that_does_not_answer_keeps_its_last_report_with_its_age() {
    let silent = |name: &str, reported| Lane { reported, is_silent: true, ..lane(name, &[("v1.4.1", 26)]) };
    let all = vec![
        silent("never", None),
        silent("recent", Some(reported(2, 2, 5_000))),
        silent("old", Some(reported(2, 2, 300_000))),
        Lane { reported: Some(reported(2, 2, 300_000)), ..lane("answers", &[("v1.4.1", 26)]) },
    ];
    let live = all[2].environment.live().expect("a release").release.clone();
    let mut report = reported(2, 2, 0);
    report.observed.slot_mut(Slot::Blue).release = Some(live.sha.clone());
    assert!(Lane { reported: Some(report.clone()), ..lane("a", &[]) }.is_running(&live));
    assert!(!silent("a", Some(report)).is_running(&live), "a report that is not current shows nothing");
    for (keys, parts) in [
        ("", ["no answer", "no answer, 2/2 ", "no answer, 2/2 5m ago", "2/2 healthy 5m ago "]),
        (
            "z",
            [
                "its target does not answer",
                "2/2 healthy, no answer since",
                "2/2 healthy 5m ago, no answer since",
                "2/2 healthy 5m ago ",
            ],
        ),
    ] {
        let mut driver = showing(120, 24, Glyphs::Unicode, all.clone());
        let screen = driver.press(keys).screen();
        for (name, part) in ["✓ never", "✓ recent", "✓ old", "✓ answers"].into_iter().zip(parts) {
            let row = screen.lines().find(|line| line.contains(name)).expect("a row");
            assert!(row.contains(part), "{part}: {screen}");
        }
    }
}

#[test]
fn what_the_controller_of_a_target_says_is_shown_while_nothing_is_on_its_way() {
    let mut lane = lane("live", &[("v1", 1)]);
    let mut report = reported(5, 5, 0);
    report.observed.note = Some("Rollout Paused, CanaryPauseStep".to_owned());
    lane.reported = Some(report);
    let driver = showing(120, 40, Glyphs::Unicode, vec![lane]);
    assert!(driver.shows("5/5 healthy  Rollout Paused  "), "{}", driver.screen());
}

#[test]
fn targets_are_asked_while_the_pane_is_on_the_screen() {
    let asks = |driver: &mut Driver| {
        driver.asked().iter().filter(|asked| **asked == Effect::Request(Request::ListLanes)).count()
    };
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.feed(Feed::Lanes(lanes()));
    assert_eq!(asks(&mut driver), 0, "nothing is asked of machines that are not looked at");
    driver.press("6");
    assert_eq!(asks(&mut driver), 1);
    driver.send(Msg::Tick(Timestamp(NOW + 30_000)));
    assert_eq!(asks(&mut driver), 0);
    driver.send(Msg::Tick(Timestamp(NOW + 70_000)));
    assert_eq!(asks(&mut driver), 1);
    // Beside the focused pane, it is asked less often.
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.send(Msg::Tick(Timestamp(NOW))).feed(Feed::Lanes(lanes()));
    assert_eq!(asks(&mut driver), 1);
    driver.send(Msg::Tick(Timestamp(NOW + 70_000)));
    assert_eq!(asks(&mut driver), 0);
    driver.send(Msg::Tick(Timestamp(NOW + 310_000)));
    assert_eq!(asks(&mut driver), 1);
    // The list of releases tells which of them still run, so the targets are asked when it opens.
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let mut without_reports = lanes();
    for lane in &mut without_reports {
        lane.reported = None;
    }
    driver.feed(Feed::Lanes(without_reports)).press("B");
    assert_eq!(asks(&mut driver), 1);
}

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
        let footer = |driver: &Driver| driver.screen().lines().next_back().unwrap_or_default().trim().to_owned();
        assert!(footer(&driver).starts_with("B:roll back  ?:help"), "{}", driver.screen());
        driver.press("6");
        assert!(footer(&driver).starts_with("B:roll back  ?:help"), "{}", driver.screen());
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
    let report = all[2].reported.take();
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

/// Returns production with a deployment that is live and keeps the former release running.
fn keeping() -> Lane {
    let kept = Kept { release: release("v1.4.0"), slot: Slot::Blue, until: Timestamp(NOW + HOUR - 20_000) };
    let open = LaneDeployment {
        has_succeeded: true,
        kept: Some(kept),
        step: Some(LaneStep {
            number: 9,
            total: 9,
            name: "Stop blue after 1h".to_owned(),
            is_back: false,
            waits_for_person: false,
            pause: None,
        }),
        ..on_its_way("v1.4.1")
    };
    let mut lane = lane("production", &[("v1.4.1", 0), ("v1.4.0", 50)]);
    lane.environment.deployments[0].local = Some(run());
    lane.environment.deployments[0].description = "errors at checkout".to_owned();
    Lane { open: Some(open), ..lane }
}

#[test]
fn a_release_that_goes_live_is_told_and_how_long_a_rollback_is_instant() {
    let before = lane("production", &[("v1.4.0", 50)]);
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.send(Msg::Tick(Timestamp(NOW))).feed(Feed::Lanes(vec![before]));
    assert!(!driver.shows("is live in"), "what was live before is no news: {}", driver.screen());
    driver.feed(Feed::Lanes(vec![keeping()]));
    assert!(driver.shows("v1.4.1 is live in production"), "{}", driver.screen());
    assert!(driver.shows("✓ live, v1.4.0 kept for 59m"), "{}", driver.screen());
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
    assert_eq!(asked(&mut driver), [LaneRequest::Promote { environment, run: run(), full: false }]);
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
fn failed_requests_stand_before_everything_else_in_the_row_of_an_environment() {
    let mut failing = lane("production", &[("v1.4.1", 1)]);
    let counters = Counters { requests: 6, errors: 6, ..Counters::default() };
    let requests = Some(Requests { counters, length: std::time::Duration::from_secs(58) });
    failing.reported = Some(Reported { requests, ..reported(2, 2, 1_000) });
    for width in [60, 80, 120] {
        let driver = showing(width, 24, Glyphs::Unicode, vec![failing.clone()]);
        assert!(driver.shows("✗ production") && driver.shows("6/6 failed"), "{}", driver.screen());
    }
    // After some time without an answer, it is unknown whether they still fail.
    failing.is_silent = true;
    assert!(!showing(80, 24, Glyphs::Unicode, vec![failing]).shows("6/6 failed"));
}

#[test]
fn the_deployments_to_an_environment_are_listed_with_who_when_and_why() {
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![Lane { open: None, ..keeping() }]);
    driver.press(",h");
    assert!(driver.shows("Deployments to production"), "{}", driver.screen());
    assert!(driver.shows("by ines: errors at checkout") && driver.shows("was live"), "{}", driver.screen());
    driver.press("<enter>");
    assert!(asked(&mut driver).is_empty() && driver.app.overlay.is_none(), "{}", driver.screen());
    assert_eq!(driver.app.selection.run_id(), Some(&run()));
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
fn an_environment_leads_to_the_run_of_its_deployment() {
    let mut driver = showing(120, 40, Glyphs::Unicode, lanes());
    driver.press("<enter>");
    assert!(driver.shows("Deploys › development"), "{}", driver.screen());
    driver.press("<enter>");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")));
    driver.press("6<esc>j<enter><enter>");
    assert_eq!(driver.app.selection.run_id(), Some(&run()));
}

pub(super) fn commit(subject: &str) -> ChangedCommit {
    ChangedCommit { sha: "0123456789".to_owned(), subject: subject.to_owned(), author: "ines".to_owned() }
}

/// Returns the preview of a rollback of production to a release that still runs.
fn rollback() -> Feed {
    let preview = DeploymentPreview {
        environment: "production".to_owned(),
        from: Some(release("v1.4.0")),
        to: Some(release("v1.3.9")),
        way: DeploymentWay::RollBack {
            steps: ["Send 100 % of the traffic to blue", "Drain green", "Stop green"].map(str::to_owned).into(),
            is_instant: true,
        },
        changes: Changes { count: Some(14), commits: (0..12).map(|at| commit(&format!("Change {at}"))).collect() },
        notes: Vec::new(),
    };
    Feed::DeploymentPlanned { question: 7, preview: Box::new(preview) }
}

/// Returns the requests about environments.
pub(super) fn asked(driver: &mut Driver) -> Vec<LaneRequest> {
    let requests = driver.asked().into_iter().filter_map(|effect| match effect {
        Effect::Request(Request::Lane(request)) => Some(request),
        _ => None,
    });
    requests.collect()
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
        way: DeploymentWay::Deploy((1..=12).map(|number| format!("Step number {number}")).collect()),
        changes: Changes::default(),
        notes: vec!["waits for an approval by one of ada".to_owned()],
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
    driver.press("Dl<enter>");
    assert!(asked(&mut driver).is_empty() && driver.shows("required"), "{}", driver.screen());
    driver.press("migration<enter>");
    let [environment, reason] = ["development", "migration"].map(str::to_owned);
    assert_eq!(asked(&mut driver), [LaneRequest::Lock { environment, reason }]);
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
    open.step = Some(LaneStep { number: 6, total: 9, name, is_back: false, waits_for_person: true, pause: None });
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
fn the_sign_of_the_live_release_is_its_own_after_a_deployment_that_failed() {
    let mut production = lane("production", &[("v1.4.1", 26)]);
    production.environment.deployments.insert(0, deployed("v1.5.0", DeploymentState::Failure, 1));
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![production]);
    driver.press("<enter>");
    assert!(driver.shows("✓ live: v1.4.1"), "{}", driver.screen());
    assert!(driver.shows("✗ v1.5.0 did not go live, 1h ago"), "{}", driver.screen());
}

#[test]
fn a_deployment_that_waits_for_the_end_of_another_one_says_so_in_place_of_its_steps() {
    let mut driver = showing(80, 24, Glyphs::Unicode, lanes());
    let behind = "v1.4.2 is on its way (step 4/9, Wait until green is healthy); this deployment waits for its end";
    let preview = DeploymentPreview {
        environment: "staging".to_owned(),
        from: Some(release("v1.4.1")),
        to: Some(release("v1.4.3")),
        way: DeploymentWay::Deploy(Vec::new()),
        changes: Changes::default(),
        notes: vec![behind.to_owned()],
    };
    driver.feed(Feed::DeploymentPlanned { question: 3, preview: Box::new(preview) });
    assert!(driver.shows("note: v1.4.2 is on its way"), "{}", driver.screen());
    assert!(driver.shows("The steps are planned once the deployment in progress has ended."), "{}", driver.screen());
}

#[test]
fn a_difference_to_another_environment_has_one_wording_at_every_width() {
    let cases = [(0, 2, "2 ahead of staging"), (12, 0, "12 behind staging"), (8, 2, "8 behind and 2 ahead of staging")];
    for (behind, ahead, expected) in cases {
        let drift = Drift { branch: "staging".to_owned(), behind, ahead };
        assert!(expected.starts_with(&drift.short()) && drift.text().ends_with("staging"), "{drift:?}");
        let mut production = lane("production", &[("v1.4.1", 26)]);
        production.environment.drift = Some(drift);
        production.environment.deployments[0].creator.clear();
        let driver = showing(80, 24, Glyphs::Unicode, vec![production]);
        assert!(driver.shows(expected), "{}", driver.screen());
    }
}

#[test]
fn a_requested_pause_is_shown_before_it_begins() {
    let mut lanes = lanes();
    let step = lanes[1].open.as_mut().and_then(|open| open.step.as_mut()).expect("a step");
    step.pause = Some("pauses after this step");
    let driver = showing(80, 24, Glyphs::Unicode, lanes);
    assert!(driver.shows("v1.4.2 pauses after this step"), "{}", driver.screen());
}
