//! Environments of this machine: the rows of the Deploys pane, and the deployments that are announced.

use super::*;
use crate::model::deployment::{Actor, Cause, Counters, Lock, Observed, Slot, SlotState};
use crate::model::environment::{
    DeploymentSource, DeploymentState, Drift, Environment, EnvironmentDeployment, Release,
};
use crate::model::lane::{Kept, Lane, LaneDeployment, LaneRequest, LaneStep, NoReport, Reported, Requests};
use crate::model::rollback::ChangedCommit;
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
        no_report: None,
        is_asked: false,
        serves: None,
        wanted: 0,
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
        from_unknown: false,
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
            decision: None,
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
    let where_left = interrupted.interruption();
    assert_eq!(where_left.as_deref(), Some("interrupted at step 4/9 (Wait until green is healthy)"));
    assert_eq!(on_its_way("v1.4.2").interruption(), None);
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
    assert!(driver.shows("as before an error in the settings"), "{}", driver.screen());
    driver.press("<enter>");
    assert!(driver.shows("as before an error in the settings: .cuelight.toml:1:15"), "{}", driver.screen());
    driver.feed(Feed::Lanes(lanes()));
    assert!(!driver.shows("as before an error"), "{}", driver.screen());
}

#[test]
fn environments_that_fill_the_pane_say_that_they_are_those_of_before() {
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.press("6");
    let many = (0..40).map(|number| lane(&format!("region-{number}"), &[("v1.4.2", 1)])).collect();
    driver.feed(Feed::Lanes(many));
    assert!(!driver.shows("as before an error"), "{}", driver.screen());
    // The notice about the error would go with the next key.
    driver.feed(Feed::LanesUnreadable(".cuelight.toml:1:15: unknown key".to_owned()));
    driver.press("j");
    assert!(driver.shows("as before an error"), "{}", driver.screen());
}

#[test]
fn a_target_that_does_not_answer_keeps_its_last_report_with_its_age() {
    let silent =
        |name: &str, reported| Lane { reported, no_report: Some(NoReport::NoAnswer), ..lane(name, &[("v1.4.1", 26)]) };
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
    assert!(!silent("a", Some(report.clone())).is_running(&live), "a report that is not current shows nothing");
    report.observed.slot_mut(Slot::Blue).healthy = 1;
    let sick = Lane { reported: Some(report), ..lane("a", &[]) };
    assert!(!sick.is_running(&live), "the plan of a rollback would start replicas");
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
        for (name, part) in ["! never", "! recent", "! old", "✓ answers"].into_iter().zip(parts) {
            let row = screen.lines().find(|line| line.contains(name)).expect("a row");
            assert!(row.contains(part), "{part}: {screen}");
        }
    }
}

#[test]
fn a_lock_is_in_the_row_of_an_environment_to_which_a_deployment_is_on_its_way() {
    let mut production = lanes().remove(2);
    production.lock.as_mut().expect("a lock").until = Some(Timestamp(NOW + HOUR + 90_000));
    for (open, width) in [(None, 60), (None, 80), (Some(on_its_way("v1.4.2")), 80)] {
        let driver = showing(width, 24, Glyphs::Unicode, vec![Lane { open, ..production.clone() }]);
        assert!(driver.shows("locked"), "{}", driver.screen());
    }
    let mut driver = showing(120, 24, Glyphs::Unicode, vec![Lane { reported: None, ..production }]);
    assert!(driver.press("z").shows("locked by ines, 1h1m left: database migration"), "{}", driver.screen());
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
    // The list of releases shows which of them still run, so the targets are asked when it opens.
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let mut without_reports = lanes();
    for lane in &mut without_reports {
        lane.reported = None;
    }
    driver.feed(Feed::Lanes(without_reports)).press("B");
    assert_eq!(asks(&mut driver), 1);
}

/// Returns production with a deployment that is live and keeps the former release running.
pub(super) fn keeping() -> Lane {
    let kept = Kept {
        release: release("v1.4.0"),
        slot: Slot::Blue,
        until: Timestamp(NOW + HOUR - 20_000),
        is_confirmed: true,
    };
    let open = LaneDeployment {
        has_succeeded: true,
        kept: Some(kept),
        step: Some(LaneStep {
            number: 9,
            total: 9,
            name: "Stop blue after 1h".to_owned(),
            is_back: false,
            waits_for_person: false,
            decision: None,
            pause: None,
        }),
        ..on_its_way("v1.4.1")
    };
    let mut lane = lane("production", &[("v1.4.1", 0), ("v1.4.0", 50)]);
    lane.environment.deployments[0].local = Some(run());
    lane.environment.deployments[0].origin.reason = "errors at checkout".to_owned();
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
fn a_release_that_was_live_before_an_interruption_is_no_news_afterwards() {
    let mut live = lane("production", &[("v1.4.0", 50)]);
    live.environment.deployments[0].local = Some(run());
    let mut interrupted = live.clone();
    interrupted.environment.deployments[0].state = DeploymentState::Inactive;
    interrupted.environment.unknown = Some("v1.4.1 was interrupted".to_owned());
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.send(Msg::Tick(Timestamp(NOW))).feed(Feed::Lanes(vec![interrupted]));
    driver.feed(Feed::Lanes(vec![live.clone()]));
    assert!(!driver.shows("is live in"), "{}", driver.screen());
    // Another release serves than the one that is recorded as live.
    let before = lane("production", &[("v1.3.0", 90)]);
    let elsewhere = Lane { serves: Some(release("v1.5.0")), ..live };
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.send(Msg::Tick(Timestamp(NOW))).feed(Feed::Lanes(vec![before])).feed(Feed::Lanes(vec![elsewhere]));
    assert!(!driver.shows("is live in"), "{}", driver.screen());
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
    failing.no_report = Some(NoReport::NoAnswer);
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

/// Returns the requests about environments.
pub(super) fn asked(driver: &mut Driver) -> Vec<LaneRequest> {
    let requests = driver.asked().into_iter().filter_map(|effect| match effect {
        Effect::Request(Request::Lane(request)) => Some(request),
        _ => None,
    });
    requests.collect()
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
fn the_headline_of_an_environment_has_the_sign_and_the_word_of_what_runs() {
    let mut production = lane("production", &[("v1.4.1", 26)]);
    production.reported = Some(reported(0, 1, 0));
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![production.clone()]);
    driver.press("<enter>");
    assert!(driver.shows("✗ down: v1.4.1") && !driver.shows("✓ live"), "{}", driver.screen());
    production.reported = Some(reported(1, 1, 0));
    production.serves = Some(release("v1.5.0"));
    let mut driver = showing(80, 24, Glyphs::Unicode, vec![production]);
    driver.press("<enter>");
    assert!(driver.shows("▌! v1.5.0"), "{}", driver.screen());
    assert!(driver.shows("serves; recorded as live: v1.4.1"), "{}", driver.screen());
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
