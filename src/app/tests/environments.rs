//! Environments of a server: their live releases, and rollbacks.

use super::*;
use crate::model::environment::{DeploymentState, Drift, Environment};
use crate::model::rollback::{ChangedCommit, Changes, NoMethod, Rollback, RollbackMethod, RollbackRequest};
use crate::model::testing::deployment_of;
use crate::model::{RemoteRun, RunInfo};

const REPOSITORY: &str = "github.com/aura/platform";

/// Returns the environments of the fixture's repository: a release of production failed, and an earlier one is live.
fn environments() -> Vec<Environment> {
    let at = |hours: u64| Timestamp(START - hours * 3_600_000);
    let production = Environment {
        deployments: vec![
            deployment_of("v1.4.2", DeploymentState::Failure, at(0)),
            deployment_of("v1.4.1", DeploymentState::Success, at(30)),
            deployment_of("v1.4.0", DeploymentState::Inactive, at(90)),
        ],
        drift: Some(Drift { branch: "main".to_owned(), behind: 8, ahead: 0 }),
        ..Environment::named("production")
    };
    let staging = Environment {
        deployments: vec![deployment_of("v1.4.2", DeploymentState::Success, at(1))],
        ..Environment::named("staging")
    };
    vec![production, staging, Environment::named("canary")]
}

/// Returns a screen that shows a run on a server, with the Deploys pane in focus.
fn on_server(width: u16, height: u16, glyphs: Glyphs) -> Driver {
    let mut driver = Driver::new(width, height, Theme { motion: false, glyphs, ..Theme::default() });
    let remote = RemoteRun { host: "github.com".to_owned(), id: 7, ..RemoteRun::default() };
    let info = RunInfo { repository: "aura/platform".to_owned(), remote: Some(remote), ..header(run()) };
    driver.feed(Feed::Opened(info)).feed(Feed::Records { run: run(), records: records() });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 200_000))).press("6");
    driver
}

fn listed(driver: &mut Driver) {
    driver.feed(Feed::Environments { repository: REPOSITORY.to_owned(), environments: environments() });
}

fn asks(driver: &mut Driver) -> usize {
    let request = Effect::Request(Request::ListEnvironments { repository: REPOSITORY.to_owned() });
    driver.asked().iter().filter(|asked| **asked == request).count()
}

#[test]
fn the_environments_of_the_selected_runs_server_are_asked_for_and_shown() {
    let mut driver = on_server(120, 40, Glyphs::Unicode);
    // The environments were requested at the start, and again when the panel got the focus minutes later.
    assert_eq!(asks(&mut driver), 2);
    driver.press(",b");
    assert!(driver.shows("roll-back: no environment on a server is selected"), "{}", driver.screen());
    listed(&mut driver);
    for (width, height) in [(80, 24), (120, 40)] {
        for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
            let mut driver = on_server(width, height, glyphs);
            listed(&mut driver);
            driver.press("z");
            let screen = driver.screen();
            assert!(glyphs == Glyphs::Unicode || screen.is_ascii(), "{screen}");
            for part in ["production", "v1.4.2 failed", "live v1.4.1", "8 behind", "nothing live", "aura/platform"] {
                assert!(screen.contains(part), "{part}: {screen}");
            }
        }
    }
    // The environments are requested again when they are old, and when the run has ended.
    driver.send(Msg::Tick(Timestamp(START + 230_000)));
    assert_eq!(asks(&mut driver), 0);
    driver.send(Msg::Tick(Timestamp(START + 270_000)));
    assert_eq!(asks(&mut driver), 1);
    driver.feed(Feed::Records { run: run(), records: rest() });
    assert_eq!(asks(&mut driver), 1);
}

#[test]
fn a_rollback_is_shown_and_confirmed_by_the_name_of_production() {
    let mut driver = on_server(80, 24, Glyphs::Unicode);
    listed(&mut driver);
    driver.asked();
    driver.press("<enter>");
    assert!(driver.shows("Deployments to production") && driver.shows("last good"), "{}", driver.screen());
    driver.press("j<down><down><enter>");
    let chosen = &environments()[0].deployments[2].release.sha;
    let request = |to: Option<String>| {
        let request = RollbackRequest { environment: "production".to_owned(), to, ..RollbackRequest::default() };
        Effect::Request(Request::PlanRollback { repository: REPOSITORY.to_owned(), request })
    };
    // The letter edits the filter, which then matches nothing.
    assert_eq!(driver.asked(), []);
    driver.press("<backspace><down><down><enter>");
    assert_eq!(driver.asked(), [request(Some(chosen.clone()))]);
    driver.press(",b");
    assert_eq!(driver.asked(), [request(None)]);

    let production = &environments()[0];
    let commit = |subject: &str| ChangedCommit {
        sha: "0123456789".to_owned(),
        subject: subject.to_owned(),
        author: "ines".to_owned(),
    };
    let rollback = Rollback {
        environment: "production".to_owned(),
        is_guarded: true,
        from: production.deployments[0].clone(),
        to: production.deployments[1].clone(),
        changes: Changes { count: Some(14), commits: (0..14).map(|at| commit(&format!("Change {at}"))).collect() },
        method: RollbackMethod::Rerun { run: 33, job: Some("Deploy to production".to_owned()) },
        passed_over: vec![NoMethod::NotByHand("deploy.yml".to_owned())],
    };
    let planned = Feed::RollbackPlanned { repository: REPOSITORY.to_owned(), rollback: Box::new(rollback.clone()) };
    driver.feed(planned.clone());
    let screen = driver.screen();
    for part in [
        "production: from v1.4.2",
        "14 commits are undone:",
        "Change 11 (ines)",
        "and 2 more",
        "This runs job Deploy to production of run 33 again.",
        "  because deploy.yml has no `workflow_dispatch`",
        "type `production` and press Enter",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    driver.press("staging<enter>");
    assert!(driver.shows("Does not match: type `production`") && driver.asked().is_empty(), "{}", driver.screen());
    driver.resize(40, 10);
    assert!(driver.shows("Does not match: type `production`") && !driver.shows("produ…"), "{}", driver.screen());
    driver.resize(80, 24).press("<esc>").feed(planned).press("production<enter>");
    let expected = Request::RollBack { repository: REPOSITORY.to_owned(), rollback: Box::new(rollback) };
    assert_eq!(driver.asked(), [Effect::Request(expected)]);
}

#[test]
fn a_read_only_screen_rolls_nothing_back() {
    let mut driver = on_server(80, 24, Glyphs::Unicode);
    listed(&mut driver);
    driver.app.state.refusal = Some(crate::model::capabilities::Unavailable::ReadOnly);
    driver.asked();
    driver.press(",b");
    assert!(driver.shows("roll-back: the screen is read-only"), "{}", driver.screen());
    driver.press(",h<enter>");
    assert_eq!(driver.asked(), [], "{}", driver.screen());
}
