//! The workflows of the repository, which are the first screen without runs.

use super::*;
use crate::model::feed::{BrokenWorkflow, StartableJob, StartableWorkflow};

fn workflow(file: &str, name: &str, events: &[&str], jobs: &[(&str, &[usize])]) -> StartableWorkflow {
    let jobs = jobs.iter().map(|(name, needs)| StartableJob { name: (*name).to_owned(), needs: needs.to_vec() });
    StartableWorkflow {
        workflow: format!(".github/workflows/{file}"),
        server: None,
        name: name.to_owned(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        inputs: Vec::new(),
        secrets: vec![("TOKEN".to_owned(), true), ("KEY".to_owned(), false)],
        jobs: jobs.collect(),
    }
}

fn workflows() -> Vec<StartableWorkflow> {
    let jobs: &[(&str, &[usize])] =
        &[("Lint", &[]), ("Test", &[0]), ("Security Scan", &[0]), ("Build Docker", &[1, 2])];
    vec![
        workflow("ci.yml", "CI", &["push", "pull_request"], jobs),
        workflow("deploy.yml", ".github/workflows/deploy.yml", &["workflow_dispatch"], &[("deploy", &[])]),
    ]
}

fn broken() -> Vec<BrokenWorkflow> {
    vec![BrokenWorkflow {
        workflow: ".github/workflows/release.yml".to_owned(),
        errors: 2,
        text: "error: x".to_owned(),
    }]
}

/// Returns a screen of a repository without runs.
fn first(width: u16, height: u16, glyphs: Glyphs) -> Driver {
    let mut driver = Driver::new(width, height, Theme { glyphs, motion: false, ..Theme::default() });
    driver.feed(Feed::Startable(workflows())).feed(Feed::Broken(broken()));
    driver.feed(Feed::Listed { runs: Vec::new(), more: false, of: None });
    driver
}

#[test]
fn without_runs_the_screen_shows_what_can_be_started() {
    for (width, height) in [(60, 16), (80, 24), (120, 40), (200, 60)] {
        insta::assert_snapshot!(format!("workflows-{width}x{height}"), first(width, height, Glyphs::Unicode).screen());
    }
    let ascii = first(80, 24, Glyphs::Ascii).screen();
    assert!(ascii.is_ascii(), "{ascii}");
    let mut nothing = Driver::new(80, 24, Theme::default());
    nothing.feed(Feed::Listed { runs: Vec::new(), more: false, of: None });
    assert!(nothing.shows("no workflow to start") && nothing.shows("`cuelight demo`"), "{}", nothing.screen());
}

#[test]
fn a_workflow_is_started_from_its_row() {
    let mut driver = first(120, 40, Glyphs::Unicode);
    driver.press("<enter>");
    assert!(driver.shows("Start CI as for") && driver.shows("pull_request"), "{}", driver.screen());
    driver.press("<esc>j<enter>");
    assert!(driver.shows("deploy.yml") && driver.shows("sandbox"), "{}", driver.screen());
    driver.press("<esc>j<enter>");
    assert!(driver.shows("error: x"), "{}", driver.screen());
}

#[test]
fn the_first_run_takes_the_place_of_the_workflows_unless_the_user_is_there() {
    let run = || past("20261123-101010-aaaa", "CI", Conclusion::Success, START);
    let listed = || Feed::Listed { runs: vec![run()], more: false, of: None };
    let mut driver = first(120, 40, Glyphs::Unicode);
    driver.feed(listed());
    assert!(driver.shows("┌─ 1 Runs ─"), "{}", driver.screen());
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.press("6").feed(Feed::Listed { runs: Vec::new(), more: false, of: None });
    assert!(driver.shows("┬─ 6 Deploys ─"), "the user has gone elsewhere: {}", driver.screen());
    let mut driver = first(120, 40, Glyphs::Unicode);
    driver.press("j").feed(listed());
    assert!(!driver.shows("─┬─"), "the user has moved in the list: {}", driver.screen());
    driver.press("<esc>");
    assert!(driver.shows("┌─ 1 Runs ─"), "{}", driver.screen());
    driver.press("0");
    assert!(driver.shows("✓ ci.yml"), "the last run of the workflow: {}", driver.screen());
}
