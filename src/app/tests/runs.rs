//! The list of runs: which runs it has, where it begins, and which events are announced.

use super::*;
use crate::model::RepositoryId;

const HERE: &str = "20261123-101010-aaaa";
const ELSEWHERE: &str = "20261125-101010-cccc";

/// Returns a run of the repository `octo/other`, in which the screen was not opened.
fn elsewhere(id: &str) -> crate::model::Summary {
    let mut run = past(id, "CI", Conclusion::Success, START);
    "octo/other".clone_into(&mut run.info.repository);
    run
}

/// Returns a screen that was opened in the repository `octo/app`, with these runs.
fn at_home(runs: Vec<crate::model::Summary>, more: bool) -> Driver {
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.app = driver.app.clone().at_home(RepositoryId::named("octo/app"));
    driver.feed(Feed::Listed { runs, more, of: None });
    driver
}

#[test]
fn a_repository_without_runs_shows_its_workflows_and_how_the_others_are_listed() {
    let mut driver = at_home(vec![elsewhere(ELSEWHERE)], false);
    assert_eq!((driver.app.selection.run_id(), driver.app.view.focus), (None, Panel::Workflows));
    driver.press("1");
    assert!(driver.shows("R lists the runs of all"), "{}", driver.screen());
    driver.press("R");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new(ELSEWHERE)));
    let mut outside = Driver::showing(80, 24, Glyphs::Unicode);
    outside.press("R");
    assert!(outside.shows("repositories: the screen was opened outside of a repository"), "{}", outside.screen());
}

#[test]
fn the_screen_can_begin_with_the_runs_of_all_repositories() {
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.app = driver.app.clone().at_home(RepositoryId::named("octo/app")).everywhere();
    let runs = vec![elsewhere(ELSEWHERE), past(HERE, "Release", Conclusion::Success, START)];
    driver.feed(Feed::Listed { runs, more: false, of: None });
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new(ELSEWHERE)));
    assert!(driver.shows("Runs of all repositories"), "{}", driver.screen());
    driver.press("R");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new(HERE)));
    assert!(driver.shows("Runs of app"), "{}", driver.screen());
}

#[test]
fn a_run_of_another_repository_that_is_named_is_listed() {
    let mut driver = at_home(vec![elsewhere(ELSEWHERE), past(HERE, "Release", Conclusion::Success, START)], false);
    assert!(driver.shows("Runs of app"), "{}", driver.screen());
    driver.press(":cccc<enter>");
    assert!(driver.shows("Runs of all repositories") && driver.shows("▌✓ "), "{}", driver.screen());
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new(ELSEWHERE)));
}

#[test]
fn watched_repositories_on_servers_are_listed_beside_the_own_one() {
    let mut watched = elsewhere(ELSEWHERE);
    watched.info.remote = Some(crate::model::RemoteRun { number: 7, ..Default::default() });
    let mut driver = at_home(vec![watched, elsewhere("20261124-101010-bbbb")], false);
    assert_eq!((driver.app.selection.run_id(), driver.app.view.focus), (None, Panel::Workflows));
    driver.feed(Feed::Watched(vec![RepositoryId::named("octo/other")]));
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new(ELSEWHERE)));
    assert_eq!(driver.app.view.focus, Panel::Jobs);
    driver.press("1z");
    assert!(driver.shows("Runs of app and 1 watched") && !driver.shows("bbbb"), "{}", driver.screen());
    driver.press("R");
    assert!(driver.shows("Runs of all repositories") && driver.shows("bbbb"), "{}", driver.screen());
}

#[test]
fn older_runs_are_requested_of_the_listed_repositories() {
    let asked = |driver: &mut Driver| {
        let asked = driver.asked().into_iter().filter_map(|effect| match effect {
            Effect::Request(Request::ListMore { before, of, .. }) => Some((before.to_string(), of)),
            _ => None,
        });
        asked.collect::<Vec<_>>()
    };
    let home = || Some(RepositoryId::named("octo/app"));
    let mut driver = at_home(vec![elsewhere(ELSEWHERE), past(HERE, "Release", Conclusion::Success, START)], true);
    assert_eq!(asked(&mut driver), [(HERE.to_owned(), home())]);
    let older = past("20261001-101010-dddd", "CI", Conclusion::Success, START);
    driver.feed(Feed::Listed { runs: vec![older], more: false, of: home() });
    assert_eq!(asked(&mut driver), [], "there are no older ones of this repository");
    driver.press("R");
    assert_eq!(asked(&mut driver), [(HERE.to_owned(), None)], "those of the others begin below the first page");
}

#[test]
fn a_list_that_was_hidden_begins_with_the_newest_run() {
    let id = |n: u64| format!("20261123-{n:06}-aaaa");
    let runs = (0..40).rev().map(|n| past(&id(n), "CI", Conclusion::Success, START - 60_000 * (40 - n)));
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.app = driver.app.clone().showing(RunId::new(id(36)));
    driver.feed(Feed::Listed { runs: runs.collect(), more: false, of: None }).press("3");
    assert!(driver.app.screen().is_some_and(|screen| screen.panel(Panel::Runs).is_none()), "{}", driver.screen());
    driver.press("1");
    let first = |driver: &Driver| driver.screen().lines().nth(2).unwrap_or_default().to_owned();
    assert!(first(&driver).contains(" 1m ago"), "{}", driver.screen());
    driver.press("G3").press("1");
    assert!(driver.shows("40m ago"), "{}", driver.screen());
}

#[test]
fn what_happened_in_a_run_before_the_user_came_to_it_is_not_told() {
    let mut listed = past(run().as_str(), "CI", Conclusion::Failure, START);
    listed.finished = Some(Timestamp(START + 202_000));
    let records = || -> Vec<Record> { records().into_iter().chain(rest()).collect() };
    let showing = || {
        let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
        driver.feed(Feed::Listed { runs: vec![listed.clone()], more: false, of: None });
        driver.send(Msg::Tick(Timestamp(START + 300_000)));
        driver
    };
    let mut passed = showing();
    passed.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: records() });
    assert!(!passed.shows("CI failed after"), "{}", passed.screen());
    assert!(!passed.alerts.iter().any(|alert| matches!(alert, Effect::Alert { .. })), "{:?}", passed.alerts);
    passed.press("7");
    assert!(passed.shows("CI failed after"), "the events keep it: {}", passed.screen());
    let again = Record {
        seq: records().len() as u64 + 1,
        at: Timestamp(START + 310_000),
        event: Event::RunStarted { attempt: 2, name: "CI".to_owned() },
    };
    // The backend reports the run again with each new attempt.
    passed.press("3").send(Msg::Tick(Timestamp(START + 312_000))).feed(Feed::Opened(header(run())));
    passed.feed(Feed::Records { run: run(), records: vec![again] });
    assert!(passed.shows("CI started, attempt 2"), "it happens while the user looks: {}", passed.screen());
    // The end of a run that the user started is reported, however late its records are read.
    let mut started = showing();
    started.feed(Feed::Started(run())).feed(Feed::Opened(header(run())));
    started.feed(Feed::Records { run: run(), records: records() });
    assert!(started.shows("CI failed after"), "{}", started.screen());
}

#[test]
fn repositories_are_compared_without_the_case_of_their_names() {
    let mut driver = at_home(vec![past(HERE, "Release", Conclusion::Success, START)], false);
    driver.feed(Feed::Watched(vec![RepositoryId::named("Octo/App")]));
    assert!(driver.shows("Runs of app") && !driver.shows("watched"), "{}", driver.screen());
}

#[test]
fn a_hidden_run_neither_keeps_the_screen_awake_nor_its_mark() {
    let mut hidden = elsewhere(ELSEWHERE);
    (hidden.phase, hidden.finished) = (Phase::Running, None);
    let mut driver = at_home(vec![hidden, past(HERE, "Release", Conclusion::Success, START)], false);
    assert!(!driver.app.is_moving() && !driver.app.is_pulsing(), "{}", driver.screen());
    driver.press("1R");
    assert!(driver.app.is_moving(), "{}", driver.screen());
    driver.press("ggmm");
    assert!(driver.shows("2 marked"), "{}", driver.screen());
    driver.press("R");
    assert!(driver.shows("1 marked"), "{}", driver.screen());
}

#[test]
fn an_idle_screen_changes_only_when_an_age_grows() {
    let seconds = |driver: &Driver| driver.app.is_still_for().map(|still| still.as_secs());
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Listed { runs: Vec::new(), more: false, of: None });
    assert_eq!(seconds(&driver), None, "there are no ages: {}", driver.screen());
    let mut release = past(HERE, "Release", Conclusion::Success, START - 90_000);
    release.deployments.clear();
    let runs = vec![release];
    driver.feed(Feed::Listed { runs, more: false, of: None });
    assert!(driver.shows("1m ago") && seconds(&driver) == Some(30), "{:?} {}", seconds(&driver), driver.screen());
    driver.send(Msg::Tick(Timestamp(START + 30_000)));
    assert!(driver.shows("2m ago") && seconds(&driver) == Some(60), "{:?} {}", seconds(&driver), driver.screen());
    driver.send(Msg::Tick(Timestamp(START + 7_200_000 - 90_000)));
    assert!(driver.shows("2h ago") && seconds(&driver) == Some(3600), "{:?} {}", seconds(&driver), driver.screen());
    driver.feed(Feed::Opened(header(run())));
    assert_eq!(seconds(&driver), None, "a run in progress moves the screen anyway");
}
