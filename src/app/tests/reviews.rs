//! Deployments that wait for a review: where they are shown, and the box that answers them.

use super::lanes::{lane, release};
use super::*;
use crate::model::testing::{CANARY, PRODUCTION, STAGING, pending_review, two_reviews};
use crate::model::{PendingReview, RemoteRun, RunInfo};

/// Returns a screen that shows a run with reviews, 31 minutes after its start.
fn waiting_with(width: u16, height: u16, theme: Theme) -> Driver {
    let mut driver = Driver::new(width, height, Theme { motion: false, ..theme });
    let release = past("20261123-101010-aaaa", "Release", Conclusion::Success, START - 86_400_000);
    driver.feed(Feed::Listed { runs: vec![release], more: false, of: None });
    driver.feed(Feed::Opened(header(run())));
    driver.feed(Feed::Records { run: run(), records: two_reviews(Timestamp(START)).records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 1_860_000))).asked();
    driver
}

fn waiting(width: u16, height: u16) -> Driver {
    waiting_with(width, height, Theme { glyphs: Glyphs::Unicode, ..Theme::default() })
}

/// Adds an event to the fixture's run.
fn add(driver: &mut Driver, event: Event) {
    let seq = driver.app.run().expect("shown").seq + 1;
    let record = Record { seq, at: Timestamp(START + 1_860_000), event };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
}

fn review(environments: &[u64], approve: bool, comment: &str) -> Command {
    Command::Review { environments: environments.to_vec(), approve, comment: comment.to_owned() }
}

fn submitted(run: RunId, command: Command) -> Effect {
    Effect::Request(Request::Submit { run, command })
}

#[test]
fn pending_reviews_are_shown_everywhere() {
    for (width, height) in [(80, 24), (120, 40)] {
        for (name, glyphs) in [("unicode", Glyphs::Unicode), ("ascii", Glyphs::Ascii)] {
            let mut driver = waiting_with(width, height, Theme { glyphs, ..Theme::default() });
            insta::assert_snapshot!(format!("{width}x{height}-{name}-waits"), driver.screen());
            driver.press("a");
            let screen = driver.screen();
            assert!(glyphs == Glyphs::Unicode || screen.is_ascii(), "{screen}");
            insta::assert_snapshot!(format!("{width}x{height}-{name}-box"), screen);
        }
    }
    let mut driver = waiting_with(120, 40, Theme { colours: Colours::None, ..Theme::default() });
    driver.press("a");
    for cell in &driver.buffer().content {
        assert_eq!((cell.fg, cell.bg), (ratatui::style::Color::Reset, ratatui::style::Color::Reset));
    }
    driver.press("<esc>");
    let expected = crate::model::Expected { run: Some(std::time::Duration::from_hours(2)), ..Default::default() };
    driver.feed(Feed::Expected { run: run(), expected });
    assert!(!driver.shows("~1:29"), "nobody knows when the review comes: {}", driver.screen());
    assert!(driver.shows("1 waiting") && !driver.shows("1 running"), "{}", driver.screen());
    assert!(driver.shows("1 ok · 3 to review"), "the word of a review: {}", driver.screen());
    driver.press("G");
    let reason = "Deploy waits for a review of production (maria, olu): press `a` to approve or reject it";
    assert!(driver.shows(reason), "{}", driver.screen());
}

#[test]
fn environments_are_chosen_with_a_comment_and_production_by_its_name() {
    let mut driver = waiting(80, 24);
    driver.press("aA");
    assert!(driver.shows("choose an environment with space first") && driver.shows("0 of 3 chosen"));
    driver.press(" j ");
    assert!(driver.shows("1 of 3 chosen") && driver.shows("it cannot be selected"), "{}", driver.screen());
    driver.press("j ");
    assert!(driver.shows("deploys main@3f2c1ab to production; 9c1f2d0 main is live"), "{}", driver.screen());
    driver.press("<enter>ship A jX<enter><enter>");
    assert!(driver.shows("Type production to approve it:"), "{}", driver.screen());
    driver.press("prod<enter>");
    assert!(driver.shows("the name does not match"), "{}", driver.screen());
    driver.press("<esc>");
    assert!(driver.shows("> ship A jX") && !driver.shows("Type production"), "{}", driver.screen());
    driver.press("<enter>production<enter>");
    assert_eq!(driver.asked(), [submitted(run(), review(&[STAGING, PRODUCTION], true, "ship A jX"))]);
    assert!(driver.shows("approval asked"), "{}", driver.screen());
    driver.press("a");
    assert!(driver.shows("review: this was already requested"), "{}", driver.screen());

    let command = review(&[STAGING, PRODUCTION], true, "ship A jX");
    add(&mut driver, Event::Ordered { command, reply: Reply::Accepted, by: None });
    assert!(driver.shows("approval accepted") && driver.shows("◆1"), "{}", driver.screen());
    let environments = vec!["staging".to_owned(), "production".to_owned()];
    let comment = "ship it".to_owned();
    add(&mut driver, Event::Reviewed { environments, approved: true, by: "maria".to_owned(), comment });
    assert!(driver.shows("maria approved staging, production: ship it"), "{}", driver.screen());
    driver.press("a");
    assert!(driver.shows("review: you may not approve your own deployment"), "{}", driver.screen());
    driver.press("7");
    assert!(driver.shows("approval accepted") && driver.shows("maria approved staging"), "{}", driver.screen());
}

#[test]
fn a_small_box_says_what_is_approved_before_it_repeats_its_keys() {
    let mut driver = waiting(40, 10);
    driver.press("a");
    assert!(driver.shows("deploys main@3f2c1ab to staging"), "{}", driver.screen());
    driver.press("jj");
    let screen = driver.screen();
    assert!(screen.contains("to production;") && screen.contains("9c1f2d0 main is live"), "{screen}");
    assert!(screen.contains("A  approve") && screen.contains("comment"), "{screen}");
    driver.press("A");
    assert!(driver.shows("choose an environment"), "the reason has its row: {}", driver.screen());
    driver.resize(40, 16);
    let screen = driver.screen();
    assert!(!screen.lines().any(|line| line.starts_with("│ space: choose") && line.contains('…')), "{screen}");
}

#[test]
fn the_box_names_the_release_that_the_ledger_has_as_live() {
    let mut driver = waiting(80, 24);
    // The run of the live release goes on, because it keeps the former one running.
    driver.feed(Feed::Lanes(vec![lane("production", &[("v1.4.1", 1), ("v1.4.0", 30)])]));
    driver.press("ajj");
    let live = format!("to production; {} is live", release("v1.4.1").title());
    assert!(driver.shows(&live), "{}", driver.screen());
}

#[test]
fn a_rejection_is_sent_and_its_refusal_shown() {
    let mut driver = waiting(120, 40);
    driver.press("a X");
    let command = review(&[STAGING], false, "");
    assert_eq!(driver.asked(), [submitted(run(), command.clone())]);
    driver.press("a ");
    assert!(driver.shows("a review was sent; maria, olu"), "{}", driver.screen());
    driver.press("<esc>");
    let reply = Reply::Rejected { reason: "the server answered 403".to_owned() };
    driver.feed(Feed::Replied { run: run(), command, reply });
    assert!(driver.shows("rejection was refused: the server answered 403"), "{}", driver.screen());
}

#[test]
fn an_open_box_follows_what_others_answer() {
    let mut driver = waiting(80, 24);
    driver.press("ajj A");
    assert!(driver.shows("Type production to approve it:"), "{}", driver.screen());
    let staging = PendingReview { jobs: vec![JobId::new("staging")], ..pending_review(STAGING, "staging", &["olu"]) };
    add(&mut driver, Event::ReviewsPending { environments: vec![staging] });
    assert!(driver.shows("it no longer waits") && driver.shows("0 of 1 chosen"), "{}", driver.screen());
    add(&mut driver, Event::ReviewsPending { environments: Vec::new() });
    assert!(driver.shows("nothing waits for a review any more"), "{}", driver.screen());
    driver.press(" AX<enter><enter><enter>");
    assert_eq!(driver.asked(), []);
}

#[test]
fn a_review_is_unavailable_with_a_reason() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("a");
    assert!(driver.shows("review: no deployment waits for a review"), "{}", driver.screen());
    let mut driver = waiting(80, 24);
    driver.app = driver.app.clone().refusing(Unavailable::ReadOnly);
    driver.press("a");
    assert!(driver.shows("review: the screen is read-only"), "{}", driver.screen());
    let mut driver = waiting(80, 24);
    let mut canary = pending_review(CANARY, "canary", &["maria"]);
    canary.refusal = Some(crate::model::ReviewRefusal::NotReviewer);
    add(&mut driver, Event::ReviewsPending { environments: vec![canary] });
    driver.press("a");
    assert!(driver.shows("review: you are not a reviewer"), "{}", driver.screen());
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Connection(Connection::Replay)).feed(Feed::Opened(header(run())));
    driver.feed(Feed::Records { run: run(), records: two_reviews(Timestamp(START)).records });
    driver.send(Msg::Tick(Timestamp(5_000))).press("a");
    assert!(driver.shows("review: this is a replay"), "{}", driver.screen());
}

#[test]
fn reviews_and_cancellations_go_to_all_marked_runs() {
    let mut driver = waiting(120, 40);
    let other = RunId::new("20261124-021000-cccc");
    let summary = Summary {
        phase: Phase::Running,
        finished: None,
        reviews: vec![pending_review(STAGING, "staging", &["maria"])],
        ..past(other.as_str(), "Deploy", Conclusion::Success, START)
    };
    driver.feed(Feed::Updated(vec![summary]));
    assert!(driver.shows("◆4 to review"), "{}", driver.screen());
    driver.press("1ggmmm");
    assert!(driver.shows("3 marked") && driver.shows("[x] CI"), "{}", driver.screen());
    driver.asked();
    driver.press("a");
    assert!(driver.shows("CI staging") && driver.shows("Deploy staging"), "{}", driver.screen());
    driver.press(" <enter>go<enter><enter>");
    let mut asked = driver.asked();
    asked.sort_by_key(|effect| format!("{effect:?}"));
    let command = review(&[STAGING], true, "go");
    assert_eq!(asked, [submitted(other.clone(), command.clone()), submitted(run(), command)]);
    assert!(driver.shows("1 marked"), "answered runs are unmarked: {}", driver.screen());
    driver.press("s");
    assert!(driver.shows("stop: no marked run: the run has ended"), "{}", driver.screen());
    driver.press("<esc>");
    assert!(!driver.shows("1 marked"), "{}", driver.screen());
    driver.press("ggmms").asked();
    assert!(driver.shows("Cancel the marked runs?") && driver.shows("cancel 2 runs"), "{}", driver.screen());
    driver.press("y");
    let mut asked = driver.asked();
    asked.sort_by_key(|effect| format!("{effect:?}"));
    assert_eq!(asked, [submitted(other, Command::Cancel), submitted(run(), Command::Cancel)]);
}

#[test]
fn a_review_that_starts_to_wait_raises_one_alert() {
    let mut driver = Driver::new(80, 24, Theme::default());
    driver.feed(Feed::Opened(header(run())));
    driver.feed(Feed::Records { run: run(), records: two_reviews(Timestamp(START)).records });
    let is_wait = |alert: &&Effect| matches!(alert, Effect::Alert { why: AlertReason::Waits, .. });
    let alerts: Vec<&Effect> = driver.alerts.iter().filter(is_wait).collect();
    let text = "CI: waits for a review of staging (maria, olu)".to_owned();
    assert_eq!(alerts, [&Effect::Alert { run: run(), why: AlertReason::Waits, text }]);
    assert!(driver.alerts.contains(&Effect::Title("◆3 ●1 cuelight".to_owned())), "{:?}", driver.alerts);
}

#[test]
fn the_log_of_an_ended_job_on_a_server_is_asked_for_once() {
    let mut driver = Driver::new(120, 40, Theme::default());
    let remote = Some(RemoteRun { host: "github.com".to_owned(), id: 7, ..RemoteRun::default() });
    driver.feed(Feed::Opened(RunInfo { remote, ..header(run()) }));
    let mut records = two_reviews(Timestamp(START)).records;
    records.retain(|record| !matches!(record.event, Event::Output { .. }));
    for (seq, record) in (1..).zip(&mut records) {
        record.seq = seq;
    }
    driver.feed(Feed::Records { run: run(), records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 1_000)));
    let logs = |asked: Vec<Effect>| {
        let jobs = asked.into_iter().filter_map(|effect| match effect {
            Effect::Request(Request::LoadLog { job, .. }) => Some(job.to_string()),
            _ => None,
        });
        jobs.collect::<Vec<_>>()
    };
    assert_eq!(logs(driver.asked()), ["build"]);
    driver.press("5");
    assert!(driver.shows("a server reports no services"), "whether any started is not known");
    driver.send(Msg::Tick(Timestamp(START + 2_000)));
    assert_eq!(logs(driver.asked()), Vec::<String>::new(), "it was asked for");
}

#[test]
fn the_review_fits_a_tiny_screen_and_its_footer_has_the_keys() {
    let mut driver = waiting(40, 10);
    driver.press("a");
    let has = |driver: &Driver, texts: &[&str]| {
        for text in texts {
            assert!(driver.shows(text), "{text}: {}", driver.screen());
        }
    };
    has(&driver, &["production", "staging", "comment", "A  approve", "X  reject"]);
    assert_eq!(driver.footer().trim(), "space:choose  A:approve  X:reject");
    driver.press("<down><down><down>");
    assert!(driver.footer().contains("enter:answer"), "{}", driver.screen());
}
