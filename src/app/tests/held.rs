//! Steps that are held.

use std::time::Duration;

use super::*;
use crate::app::fixture::script;
use crate::model::{Expected, HeldOrder, StepNumber};

/// Returns a screen with two jobs: the second step of one is held since second 9, and the other runs.
fn held(width: u16, height: u16) -> Driver {
    let mut script = script();
    script.start([outline("test", "Test", &[]), outline("lint", "Lint", &[])].into());
    script.at(1).job("test", "Test", &["Set up job", "Unit tests", "Pack"]);
    script.at(1).step("test", 1, "Set up job", 2).at(2).step_end("test", 1, Conclusion::Success);
    script.at(1).job("lint", "Lint", &["Set up job"]).step("lint", 1, "Set up job", 2);
    script.at(3).step("test", 2, "Unit tests", 5);
    let (job, step, reason) = (JobId::new("test"), StepNumber(2), Some("exit code 1".to_owned()));
    script.at(9).event(Event::StepHeld { job, step, reason, until: Timestamp(START + 1_809_000) });
    let mut driver = Driver::new(width, height, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 20_000)));
    driver.asked();
    driver
}

fn submitted(command: Command) -> Vec<Effect> {
    vec![Effect::Request(Request::Submit { run: run(), command })]
}

/// Adds an accepted command to the journal of the run.
fn accept(driver: &mut Driver, seq: u64, command: Command) {
    let event = Event::Ordered { command, reply: Reply::Accepted, by: None };
    let record = Record { seq, at: Timestamp(START + 21_000), event };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
}

#[test]
fn a_held_step_is_visible_in_the_header_the_lists_and_the_hints() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut driver = held(width, height);
        driver.press("3ggj");
        insta::assert_snapshot!(format!("{width}x{height}"), driver.screen());
        driver.press("c");
        assert!(driver.shows("c  held step") && driver.shows("run the held step again"), "{}", driver.screen());
        driver.press("<esc>e");
        assert!(driver.shows("Test › 2 Unit tests"), "a held step failed: {}", driver.screen());
    }
    let driver = Driver::showing(120, 40, Glyphs::Unicode);
    assert!(!driver.shows("held"), "{}", driver.screen());
}

#[test]
fn a_narrow_footer_has_the_keys_for_a_held_step() {
    let driver = held(60, 16);
    let footer = driver.footer();
    assert!(footer.contains("c:held step"), "{footer}");
}

#[test]
fn no_end_is_estimated_while_a_person_is_waited_for() {
    let mut driver = held(120, 40);
    let jobs = [("Test".to_owned(), Duration::from_mins(1))].into();
    driver.feed(Feed::Expected { run: run(), expected: Expected { run: Some(Duration::from_mins(1)), jobs } });
    assert!(!driver.shows("~"), "{}", driver.screen());
    accept(&mut driver, 100, Command::Held { job: JobId::new("test"), step: StepNumber(2), order: HeldOrder::Retry });
    let event = Event::StepReleased { job: JobId::new("test"), step: StepNumber(2), order: Some(HeldOrder::Retry) };
    driver.feed(Feed::Records { run: run(), records: vec![Record { seq: 101, at: Timestamp(START + 22_000), event }] });
    assert!(driver.shows("~40s left"), "{}", driver.screen());
}

#[test]
fn keys_say_how_the_job_of_a_held_step_goes_on() {
    let order = |order| submitted(Command::Held { job: JobId::new("test"), step: StepNumber(2), order });
    for (keys, expected) in [("cr", HeldOrder::Retry), ("cs", HeldOrder::Skip), ("cc", HeldOrder::Continue)] {
        // From the step itself, its job, or another job of the run.
        for place in ["3gg", "3ggj", "3G"] {
            let mut driver = held(80, 24);
            driver.press(place).asked();
            driver.press(keys);
            assert_eq!(driver.asked(), order(expected), "{place} {keys}");
        }
    }
    let mut driver = held(80, 24);
    driver.press("cu");
    let sync = Request::SyncHeld { run: run(), job: JobId::new("test") };
    assert_eq!(driver.asked(), [Effect::Request(sync)]);
    driver.press("3ggcx");
    assert!(matches!(driver.asked().as_slice(), [Effect::Shell { .. }]));
    driver.press("ca");
    assert!(driver.shows("Cancel the run?"));

    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("cr");
    assert!(driver.shows("retry-step: no step of the job is held"), "{}", driver.screen());
    assert_eq!(driver.asked(), []);
}

#[test]
fn a_key_sends_the_held_job_back_to_the_selected_step() {
    let mut driver = held(80, 24);
    // The first step of the job that the held one belongs to.
    driver.press("3ggj").asked();
    driver.press("cf");
    let order = HeldOrder::RetryFrom(StepNumber(1));
    assert_eq!(driver.asked(), submitted(Command::Held { job: JobId::new("test"), step: StepNumber(2), order }));
    // The job itself, the held step and another job are not earlier steps.
    for place in ["3gg", "3ggjj", "3G"] {
        let mut driver = held(80, 24);
        driver.press(place).asked();
        driver.press("cf");
        assert_eq!(driver.asked(), [], "{place}");
        assert!(driver.shows("select a step before the held one"), "{place}: {}", driver.screen());
    }
}

#[test]
fn a_step_that_is_held_before_it_runs_has_not_failed() {
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    let mut script = script();
    script.start([outline("test", "Test", &[])].into());
    script.at(1).job("test", "Test", &["Set up job", "Unit tests"]);
    script.at(1).step("test", 1, "Set up job", 2).at(2).step_end("test", 1, Conclusion::Success);
    let (job, step, until) = (JobId::new("test"), StepNumber(2), Timestamp(START + 1_809_000));
    script.at(9).event(Event::StepHeld { job, step, reason: None, until });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 20_000)));
    driver.asked();
    driver.press("3gg");
    assert!(driver.shows("held before it runs, 29:49 left"), "{}", driver.screen());
    driver.press("e");
    assert!(driver.shows("nothing has failed"), "{}", driver.screen());
    driver.press("cc");
    let order = HeldOrder::Continue;
    assert_eq!(driver.asked(), submitted(Command::Held { job: JobId::new("test"), step, order }));
}

#[test]
fn a_key_turns_the_hold_of_failed_steps_on_and_off() {
    let mut driver = held(80, 24);
    driver.press("H");
    assert_eq!(driver.asked(), submitted(Command::Hold { on: true }));
    assert!(driver.shows("hold at failures asked"), "{}", driver.screen());
    accept(&mut driver, 100, Command::Hold { on: true });
    assert!(!driver.shows("hold at failures asked") && driver.shows("holds failures  ‖ held"), "{}", driver.screen());
    driver.press("H");
    assert_eq!(driver.asked(), submitted(Command::Hold { on: false }));
    accept(&mut driver, 101, Command::Hold { on: false });
    driver.press("H");
    assert_eq!(driver.asked(), submitted(Command::Hold { on: true }));

    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.feed(Feed::Records { run: run(), records: rest() }).asked();
    driver.press("H");
    assert!(driver.shows("hold-failures: the run has ended"), "{}", driver.screen());
    assert_eq!(driver.asked(), []);
}

#[test]
fn a_step_that_is_held_alerts_and_is_a_notice() {
    let mut driver = held(120, 40);
    let (job, step, reason) = (JobId::new("lint"), StepNumber(1), Some("exit code 7".to_owned()));
    let event = Event::StepHeld { job, step, reason, until: Timestamp(START + 1_809_000) };
    let record = Record { seq: 100, at: Timestamp(START + 21_000), event };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
    assert!(driver.shows("Lint › Set up job is held: exit code 7"), "{}", driver.screen());
    let is_alert = |effect: &Effect| match effect {
        Effect::Alert { why: AlertReason::Waits, text, .. } => text.contains("exit code 7"),
        _ => false,
    };
    assert_eq!(driver.alerts.iter().filter(|alert| is_alert(alert)).count(), 1);
}
