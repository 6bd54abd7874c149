//! The list of jobs.

use super::*;
use crate::app::fixture::script;
use crate::model::JobOutline;
use crate::model::testing::{job_finished, step_finished};

/// Returns a screen with ten legs of a matrix between two other jobs. All legs but the last fail for one reason.
fn legs() -> Driver {
    let ids: Vec<String> = (1..=10).map(|leg| format!("test-{leg}")).collect();
    let outlines = ids
        .iter()
        .enumerate()
        .map(|(at, id)| JobOutline { key: "test".to_owned(), ..outline(id, &format!("test ({})", at + 1), &[]) });
    let (lint, pack) = (outline("lint", "Lint", &[]), outline("pack", "Pack", &[]));
    let mut script = script();
    script.start([lint].into_iter().chain(outlines).chain([pack]).collect());
    script.at(1).job("lint", "Lint", &[]).at(2).job_end("lint", Conclusion::Success);
    for (at, id) in ids.iter().enumerate() {
        script
            .at(3)
            .job(id, &format!("test ({})", at + 1), &["Set up job", "Run"])
            .step(id, 2, "Run", 3)
            .at(4 + at as u64);
        let (code, end) = if at < 9 { (1, Conclusion::Failure) } else { (0, Conclusion::Success) };
        let reason = (code == 1).then_some("exit code 1");
        script.event(step_finished(id, 2, end, code, reason)).event(job_finished(id, end, reason));
    }
    script.at(20).event(job_finished("pack", Conclusion::Skipped, Some("the condition is false")));
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 30_000))).press("3");
    driver
}

#[test]
fn legs_that_failed_alike_share_a_row_until_one_is_selected() {
    let mut driver = legs();
    driver.press("gg");
    insta::assert_snapshot!(driver.screen());
    driver.press("j");
    insta::assert_snapshot!(driver.screen());
    driver.press("jj");
    let selected = |driver: &Driver| driver.app.selection.job_selection().map(|row| (row.job.to_string(), row.step));
    assert_eq!(selected(&driver), Some(("test-1".to_owned(), Some(crate::model::StepNumber(2)))));
    driver.press("j");
    assert_eq!(selected(&driver), Some(("test-2".to_owned(), None)));
    driver.press("kk");
    assert_eq!(selected(&driver), Some(("lint".to_owned(), None)), "the heading is passed over");
    driver.press("/test (2)<enter>");
    assert!(driver.shows("✗ test (2)   exit code 1"), "{}", driver.screen());
}

#[test]
fn a_filter_counts_its_jobs_and_keeps_the_cursor_on_one_of_them() {
    let mut driver = legs();
    driver.press("gg/pack");
    assert!(driver.shows("▌") && driver.shows("/pack · 1/12"), "{}", driver.screen());
    let selected = |driver: &Driver| driver.app.selection.job_id().map(ToString::to_string);
    assert_eq!(selected(&driver).as_deref(), Some("pack"));
    driver.press("<esc>");
    assert_eq!(selected(&driver).as_deref(), Some("lint"), "the selection before the filter");
    driver.press("/test<enter>");
    assert!(driver.shows("/test · 10/12") && selected(&driver).as_deref() == Some("test-1"), "{}", driver.screen());
}

#[test]
fn every_job_is_counted_once() {
    use Conclusion::{ActionRequired, Cancelled, Failure, Neutral, Skipped, Stale, StartupFailure, Success, TimedOut};
    let ends = [Success, Neutral, Failure, TimedOut, StartupFailure, Skipped, Cancelled, Stale, ActionRequired];
    let ids: Vec<String> = (0..=ends.len()).map(|job| format!("job-{job}")).collect();
    let mut script = script();
    script.start(ids.iter().map(|id| outline(id, id, &[])).collect());
    for (id, end) in ids.iter().zip(ends) {
        script.at(1).job(id, id, &[]).event(job_finished(id, end, None));
    }
    let mut allowed = job_finished("job-9", Failure, None);
    if let Event::JobFinished { allowed_failure, .. } = &mut allowed {
        *allowed_failure = true;
    }
    script.job("job-9", "job-9", &[]).event(allowed);
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 30_000)));
    let counts = "2 ok · 1 to review · 3 failed · 1 allowed · 1 skipped · 2 cancelled";
    assert!(driver.shows(counts), "{}", driver.screen());
}

#[test]
fn the_job_of_a_visible_step_is_always_visible() {
    use crossterm::event::{MouseButton, MouseEventKind};
    let names: Vec<String> = (1..=30).map(|step| format!("Step number {step}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut script = script();
    script.start((1..=200).map(|leg| outline(&format!("test-{leg}"), &format!("test ({leg})"), &[])).collect());
    script.at(1).job("test-90", "test (90)", &names);
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 30_000))).press("3/test (90)<enter><esc>");
    let selected = |driver: &Driver| driver.app.selection.job_selection().and_then(|row| row.step);
    for step in 1..=30 {
        driver.press("j");
        assert_eq!(selected(&driver), Some(crate::model::StepNumber(step)));
        let screen = driver.screen();
        assert!(screen.contains(" test (90) ") && screen.contains(&format!("Step number {step} ")), "{screen}");
    }
    driver.press("kkkkkkkkkkkkkkk");
    let screen = driver.screen();
    assert!(screen.contains(" test (90) ") && screen.contains("Step number 15 "), "{screen}");
    driver.mouse(MouseEventKind::Down(MouseButton::Left), (8, 2));
    assert_eq!(selected(&driver), None, "the row at the top is that of the job: {}", driver.screen());
}

#[test]
fn the_end_of_a_run_selects_the_failed_job_and_not_a_leg_that_its_failure_cancelled() {
    let mut script = script();
    script.start(vec![outline("leg-1", "leg (1)", &[]), outline("leg-2", "leg (2)", &[])]);
    for (id, name) in [("leg-1", "leg (1)"), ("leg-2", "leg (2)")] {
        script.at(1).job(id, name, &["Run"]).step(id, 1, "Run", 1);
    }
    for (id, end) in [("leg-2", Conclusion::Failure), ("leg-1", Conclusion::Cancelled)] {
        script.at(2).step_end(id, 1, end).job_end(id, end);
    }
    script.end(Conclusion::Failure);
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 30_000)));
    let selected = driver.app.selection.job_selection().map(|row| (row.job.to_string(), row.step));
    assert_eq!(selected, Some(("leg-2".to_owned(), Some(crate::model::StepNumber(1)))), "{}", driver.screen());
}

#[test]
fn real_failures_are_visited_before_allowed_ones() {
    use Conclusion::Failure;
    let mut script = script();
    script.start(vec![outline("fuzz", "Fuzz", &[]), outline("test", "Test", &[])]);
    let mut allowed = job_finished("fuzz", Failure, None);
    if let Event::JobFinished { allowed_failure, .. } = &mut allowed {
        *allowed_failure = true;
    }
    script.at(1).job("fuzz", "Fuzz", &[]).event(allowed);
    script.job("test", "Test", &[]).event(job_finished("test", Failure, None));
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 30_000))).press("gf");
    let selected = |driver: &Driver| driver.app.selection.job_selection().map(|row| row.job.to_string());
    assert_eq!(selected(&driver).as_deref(), Some("test"));
    assert!(!driver.shows("this failure is allowed"), "{}", driver.screen());
    driver.press("e");
    assert_eq!(selected(&driver).as_deref(), Some("fuzz"));
    assert!(driver.shows("this failure is allowed"), "{}", driver.screen());
}
