//! Whole screens, keys and their effects.

use ratatui::style::Modifier;

use super::fixture::{Driver, START, header, past, records, rest, run, script};
use super::msg::{AlertReason, Effect, Msg};
use super::*;
use crate::model::feed::{Connection, Feed, Notice, Polling, Request, Trouble};
use crate::model::testing::outline;
use crate::model::{Command, Conclusion, Event, Explanation, JobId, Outcome, Record, Reply, RerunScope, Timestamp};
use crate::ui::theme::{Colours, Glyphs, Theme};

mod any_input;
mod demo;
mod environments;
mod graph;
mod held;
mod hints;
mod jobs;
mod keys;
mod lane_orders;
mod lanes;
mod log;
mod orders;
mod popups;
mod releases;
mod reviews;
mod rollout;
mod runs;
mod services;
mod stored;
mod workflows;

#[test]
fn golden_screens() {
    for (width, height) in [(80, 24), (120, 40), (200, 60), (60, 16), (40, 10)] {
        for (name, glyphs) in [("unicode", Glyphs::Unicode), ("ascii", Glyphs::Ascii)] {
            let driver = Driver::showing(width, height, glyphs);
            let screen = driver.screen();
            assert!(glyphs == Glyphs::Unicode || screen.is_ascii(), "{screen}");
            insta::assert_snapshot!(format!("{width}x{height}-{name}"), screen);
        }
    }
}

#[test]
fn steps_that_run_at_once() {
    let mut script = script();
    script.start([outline("build", "Build", &[])].into());
    script.at(1).job("build", "Build", &["Set up job", "Serve", "Lint", "Unit tests", "Wait for all", "Pack"]);
    script.at(1).step("build", 1, "Set up job", 2).at(2).step_end("build", 1, Conclusion::Success);
    script.at(2).step("build", 2, "Serve", 3).at(4).step("build", 3, "Lint", 5).at(9).step("build", 4, "Unit tests", 4);
    script.at(9).step("build", 5, "Wait for all", 0);
    let theme = Theme { glyphs: Glyphs::Unicode, motion: false, ..Theme::default() };
    let mut driver = Driver::new(120, 30, theme);
    for (step, name) in [(2, "serve"), (3, "lint"), (4, "test")] {
        driver.log("build", step, (1..=5).map(|line| format!("{name} {line}")).collect());
    }
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records.clone() });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 20_000)));
    insta::assert_snapshot!(driver.screen());
    let known = script.records.len();
    script.at(21).step_end("build", 4, Conclusion::Success);
    driver.feed(Feed::Records { run: run(), records: script.records[known..].to_vec() });
    assert!(driver.shows("lint 5"), "{}", driver.screen());
    // A cancelled step must not hide a failed one.
    let known = script.records.len();
    script.at(22).step_end("build", 2, Conclusion::Cancelled).step_end("build", 3, Conclusion::Success);
    script.at(22).step_end("build", 5, Conclusion::Success).step("build", 6, "Pack", 1);
    script.at(23).step_end("build", 6, Conclusion::Failure);
    driver.feed(Feed::Records { run: run(), records: script.records[known..].to_vec() });
    assert!(driver.shows("6 Pack ─"), "{}", driver.screen());
}

#[test]
fn a_failed_run_is_a_failure_everywhere() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Records { run: run(), records: rest() });
    insta::assert_snapshot!(driver.screen());
    insta::assert_snapshot!(driver.app.farewell().join("\n"));
}

#[test]
fn a_skipped_job_shows_why_in_place_of_its_log() {
    let operand = |text: &str, value: &str, operands| Explanation {
        text: text.to_owned(),
        outcome: Outcome::Value(value.to_owned()),
        operands,
    };
    let branch = operand("github.ref == 'refs/heads/main'", "false", vec![operand("github.ref", "'x'", Vec::new())]);
    let explanation = operand("success() && (github.ref == 'refs/heads/main')", "false", vec![branch]);
    let seq = records().len() as u64 + 1;
    let event = Event::Decided { job: JobId::new("build"), step: None, explanation };
    let record = Record { seq, at: Timestamp(START + 193_000), event };
    for (glyphs, branch) in [(Glyphs::Unicode, "   └─ github.ref  = 'x'"), (Glyphs::Ascii, "   `- github.ref  = 'x'")]
    {
        let mut driver = Driver::showing(120, 40, glyphs);
        driver.feed(Feed::Records { run: run(), records: vec![record.clone()] }).press("3G");
        assert!(driver.shows("success() && (github.ref == 'refs/heads/main')  = false"), "{}", driver.screen());
        assert!(driver.shows(branch), "{}", driver.screen());
    }
}

#[test]
fn no_colour_is_drawn_without_colours() {
    let mut driver = Driver::new(120, 40, Theme { colours: Colours::None, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: records() }).press("?");
    for cell in &driver.buffer().content {
        assert_eq!((cell.fg, cell.bg), (ratatui::style::Color::Reset, ratatui::style::Color::Reset));
    }
}

#[test]
fn the_selected_row_has_a_bar_and_is_reversed() {
    let driver = Driver::showing(80, 24, Glyphs::Unicode);
    let buffer = driver.buffer();
    let bars: Vec<_> = buffer.content.iter().filter(|cell| cell.symbol() == "▌").collect();
    assert_eq!(bars.len(), 1);
    assert!(bars[0].modifier.contains(Modifier::REVERSED));
}

#[test]
fn the_view_follows_what_runs_until_the_user_moves() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    assert!(driver.shows("4 Log · Security Scan › 2 Scan") && driver.shows("FOLLOW · 1,204 lines"));
    assert!(driver.shows("scanning module 1204"));
    driver.press("ggj");
    assert!(driver.shows("4 Log · Lint › 1 Set up job"));
    driver.feed(Feed::Records { run: run(), records: rest() });
    assert!(driver.shows("4 Log · Lint › 1 Set up job"), "nothing moves under the reader");
    driver.press("f");
    assert!(driver.shows("4 Log · Test (3.13) › 4 Run tests"), "the run has ended: the failure is shown");
}

#[test]
fn one_key_leads_to_the_failure() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("e");
    assert!(driver.shows("Test (3.13) › 4 Run tests") && driver.shows("E   AssertionError: 401 != 200"));
    assert!(driver.shows("Error: Process completed with exit code 1."));
    assert!(!driver.shows("##["));
    driver.press("<esc>");
    assert_eq!(driver.app.view.focus, Panel::Jobs);
}

#[test]
fn the_selected_run_stays_when_others_come() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Opened(header(RunId::new("20261124-040000-dddd"))));
    assert_eq!(driver.app.selection.run_id(), Some(&run()));
    driver.feed(Feed::Removed(run()));
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")), "what takes its row");
}

#[test]
fn help_lists_and_finds_keys() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("4?");
    assert!(driver.shows("Keys: Log") && driver.shows("wrap long lines"));
    driver.press("cancel");
    assert!(driver.shows("cancel the run") && !driver.shows("wrap long lines"));
    driver.press("<backspace>xyz");
    assert!(driver.shows("no matches"));
    driver.press("<esc>");
    assert!(!driver.shows("Keys:"));
}

#[test]
fn every_action_is_carried_out_without_a_run() {
    for entry in super::action::ACTIONS.iter() {
        let mut driver = Driver::new(120, 40, Theme::default());
        for panel in crate::ui::layout::PANELS.map(|info| info.panel) {
            driver.app.overlay = None;
            driver.app.view.focus = panel;
            driver.app.act(entry.action);
            driver.screen();
        }
    }
}

#[test]
fn clicking_selects_and_the_wheel_scrolls() {
    use crossterm::event::{MouseButton, MouseEventKind};
    let down = MouseEventKind::Down(MouseButton::Left);
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let at = driver.place("│ ✓ success    Release");
    driver.mouse(down, (at.0 + 2, at.1));
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")));
    assert_eq!(driver.app.view.focus, Panel::Runs);
    driver.press("k");
    let at = driver.place("scanning module");
    driver.mouse(MouseEventKind::ScrollUp, at);
    assert!(!driver.app.panes.log.follows() && driver.app.view.focus == Panel::Runs);
    let title = driver.place("4 Log");
    driver.mouse(down, title);
    assert_eq!(driver.app.view.focus, Panel::Log, "the border belongs to the panel below it");
    let mut narrow = Driver::showing(80, 24, Glyphs::Unicode);
    for (tab, panel) in [("1 Runs", Panel::Runs), ("7 Events", Panel::Events), ("3 Jobs", Panel::Jobs)] {
        let at = narrow.place(tab);
        narrow.mouse(down, at);
        assert_eq!(narrow.app.view.focus, panel, "{tab}: {}", narrow.screen());
    }
}

#[test]
fn a_message_of_nothing_new_asks_for_nothing() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.asked();
    let before = driver.screen();
    driver.feed(Feed::Records { run: run(), records: records() });
    driver.feed(Feed::Listed {
        runs: vec![past("20261123-101010-aaaa", "Release", Conclusion::Success, START - 86_400_000)],
        more: false,
        of: None,
    });
    assert_eq!((driver.asked(), driver.screen()), (vec![], before));
}

#[test]
fn notices_are_shown_and_kept() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Notice(Notice::bad("the state folder is full")));
    assert!(driver.shows("✗ the state folder is full"));
    driver.press("7");
    assert_eq!(driver.screen().matches("the state folder is full").count(), 2, "it was shown a moment ago");
    driver.send(Msg::Tick(Timestamp(START + 200_000))).press("j");
    assert_eq!(driver.screen().matches("the state folder is full").count(), 1, "seen, and kept among the events");
}

#[test]
fn services_and_deployments_lead_to_their_job_and_run() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    assert!(driver.shows("5 Services") && driver.shows("✗ app") && driver.shows("unhealthy: conn"));
    assert!(driver.shows("postgres") && driver.shows("5432→54321"));
    assert!(driver.shows("production") && driver.shows("9c1f2d0 main"));
    driver.press("5G<enter>");
    assert!(driver.shows("▌✗ Test (3.13)"), "{}", driver.screen());
    driver.press("6k<enter>");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")));
    driver.press("7");
    assert!(driver.shows("┬─ 7 Events ─") && !driver.shows("┬─ 5 Services ─"));
}

#[test]
fn a_job_shows_the_progress_of_its_image() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let pulled =
        |done| Event::ImagePulled { job: JobId::new("build"), image: "redis:7".to_owned(), done, total: 40_000_000 };
    let seq = records().len() as u64 + 1;
    let record = Record { seq, at: Timestamp(START + 193_000), event: pulled(10_000_000) };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
    assert!(driver.shows("waits for the image redis:7: 10 of 40 MB"), "{}", driver.screen());
}

#[test]
fn lists_are_filtered_with_a_chip() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("1/rel main<enter>");
    assert!(driver.shows("/rel main") && driver.shows("▌✓ success  Release") && !driver.shows("⊘ cancelled"));
    driver.press("<esc>");
    assert!(driver.shows("⊘ cancelled  CI") && !driver.shows("/rel main"));
    driver.press("1/status:canc<enter>");
    assert!(
        driver.shows("status:canc") && driver.shows("⊘ cancelled  CI") && !driver.shows("Release  main"),
        "{}",
        driver.screen()
    );
    driver.press("<esc>");
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("1/");
    assert!(driver.shows("words, or status:failure branch:main since:2d"), "{}", driver.screen());
    driver.press("<esc>3/scan<enter>");
    assert!(driver.shows("● Security Scan") && !driver.shows("✓ Test (3.12)"), "{}", driver.screen());
}

#[test]
fn the_palette_finds_actions_jobs_workflows_and_runs() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.asked();
    driver.press(":zoom<enter>");
    assert!(!driver.shows("─┬─"), "the panel has the whole screen");
    driver.press("z:job lint<enter>");
    assert!(driver.shows("▌✓ Lint"));
    driver.press(":start ci push<enter>");
    assert!(driver.shows("secrets: TOKEN set, KEY missing"), "{}", driver.screen());
    driver.press("  <enter>");
    let start = Request::Start {
        workflow: ".github/workflows/ci.yml".to_owned(),
        event: "push".to_owned(),
        inputs: Vec::new(),
        secrets: vec!["TOKEN".to_owned()],
        sandbox: Some("docker".to_owned()),
    };
    assert_eq!(driver.asked().last(), Some(&Effect::Request(start)));
    driver.press(":run release<enter>");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261123-101010-aaaa")));
    driver.press(":xyzzy<enter><esc>");
    assert!(driver.shows("┌─ 1 Runs ─"));
}

#[test]
fn older_runs_are_requested_once_the_list_is_shown_to_its_end() {
    let page = |numbers: std::ops::Range<u32>, more| Feed::Listed {
        runs: numbers.rev().map(|n| past(&format!("20261123-{n:06}-aaaa"), "CI", Conclusion::Success, START)).collect(),
        more,
        of: None,
    };
    let older = |n: u32| {
        let before = RunId::new(format!("20261123-{n:06}-aaaa"));
        Effect::Request(Request::ListMore { before, limit: 200, of: None })
    };
    let requested = |driver: &mut Driver| {
        let mut asked = driver.asked();
        asked.retain(|effect| matches!(effect, Effect::Request(Request::ListMore { .. })));
        asked
    };
    let mut driver = Driver::new(80, 24, Theme::default());
    driver.feed(page(500..700, true)).press("1");
    assert_eq!(requested(&mut driver), [], "the list goes on far below");
    driver.press("G");
    assert_eq!(requested(&mut driver), [older(500)]);
    driver.feed(page(600..701, true)).press("kj");
    assert_eq!(requested(&mut driver), [], "a newer state of the newest runs does not answer the request");
    driver.feed(page(300..500, true)).press("ggG");
    assert_eq!(requested(&mut driver), [older(300)]);
    driver.feed(page(250..300, false)).press("ggG");
    assert_eq!(requested(&mut driver), [], "there are no older runs");
    // A filter that matches few rows requires all runs.
    let mut driver = Driver::new(80, 24, Theme::default());
    driver.feed(page(500..700, true)).press("1/nothing");
    assert_eq!(requested(&mut driver), [older(500)]);
    driver.feed(Feed::Listed { runs: Vec::new(), more: false, of: None }).press("x");
    assert_eq!(requested(&mut driver), []);
}

#[test]
fn the_deploys_pane_looks_through_a_bounded_number_of_runs() {
    let run = |n: u32, name: &str| past(&format!("20261123-{n:06}-aaaa"), name, Conclusion::Success, START);
    let page = |numbers: std::ops::Range<u32>, name: &str| Feed::Listed {
        runs: numbers.rev().map(|n| run(n, name)).collect(),
        more: true,
        of: None,
    };
    let requests = |driver: &mut Driver| {
        let asked = driver.asked();
        asked.iter().filter(|effect| matches!(effect, Effect::Request(Request::ListMore { .. }))).count()
    };
    let mut driver = Driver::new(120, 40, Theme::default());
    driver.feed(page(4_800..5_000, "CI"));
    assert_eq!(requests(&mut driver), 0, "the first page is enough for the list");
    driver.press("6");
    assert!(driver.shows("newest 200 runs") && !driver.shows("production"), "{}", driver.screen());
    assert_eq!(requests(&mut driver), 1);
    driver.feed(page(4_600..4_800, "Release"));
    assert!(driver.shows("newest 400 runs") && driver.shows("production"), "{}", driver.screen());
    for first in (2_000..4_600).rev().step_by(200) {
        driver.feed(page(first - 199..first + 1, "CI"));
    }
    assert_eq!(requests(&mut driver), 8, "2,000 runs are enough");
    driver.feed(Feed::Listed { runs: vec![run(1, "CI")], more: false, of: None });
    assert!(!driver.shows("newest"), "all runs were looked through: {}", driver.screen());
}

#[test]
fn a_wide_header_has_the_next_poll_and_the_requests_that_are_left() {
    let mut driver = Driver::showing(120, 24, Glyphs::Unicode);
    let now = Timestamp(START + 200_000);
    driver.send(Msg::Tick(now));
    let next = Timestamp(now.0 + 12_000);
    driver.feed(Feed::Polling(Some(Polling { next, budget: Some((4_812, 5_000)) })));
    assert!(driver.shows("next in 12s · 4,812 of 5,000"), "{}", driver.screen());
    driver.feed(Feed::Polling(None));
    assert!(!driver.shows("next in"), "{}", driver.screen());
}

#[test]
fn the_age_of_the_data_is_shown_while_the_source_does_not_answer() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    assert!(!driver.shows("stale") && !driver.shows("offline"));
    let reason = "the server does not answer".to_owned();
    let now = Timestamp(START + 200_000);
    driver.send(Msg::Tick(now));
    let since = Timestamp(now.0 - 65_000);
    let trouble = Trouble::NoAnswer;
    driver.feed(Feed::Connection(Connection::Stale { since, trouble, reason: reason.clone() }));
    assert!(driver.shows("stale 1:05") && driver.shows("the server does not answer"), "{}", driver.screen());
    driver.feed(Feed::Connection(Connection::Live));
    assert!(!driver.shows("stale") && driver.shows("connected again"), "{}", driver.screen());
    driver.feed(Feed::Connection(Connection::Asking { server: "github.com".to_owned() }));
    assert!(driver.shows("asking github.com"), "{}", driver.screen());
    driver.feed(Feed::Connection(Connection::Offline { trouble, reason: reason.clone() }));
    assert!(driver.shows("offline") && driver.shows("the server does not answer"), "{}", driver.screen());
    driver.send(Msg::Tick(Timestamp(now.0 + 1_000)));
    for (trouble, expected) in [
        (Trouble::TokenRefused, "token refused, stale 1:06"),
        (Trouble::SsoNeeded, "sign-on needed, stale 1:06"),
        (Trouble::Paused { until: Timestamp(now.0 + 251_000) }, "limited for 4:10, stale 1:06"),
    ] {
        driver.feed(Feed::Connection(Connection::Stale { since, trouble, reason: reason.clone() }));
        assert!(driver.shows(expected), "{expected}: {}", driver.screen());
    }
}

#[test]
fn a_replay_goes_on_and_back() {
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Connection(Connection::Replay)).feed(Feed::Opened(header(run())));
    driver.feed(Feed::Records { run: run(), records: records().into_iter().chain(rest()).collect() });
    driver.send(Msg::Resize(80, 24)).send(Msg::Tick(Timestamp(5_000)));
    assert!(driver.shows("replay 1x 0.0s/3:22"), "{}", driver.screen());
    driver.send(Msg::Tick(Timestamp(35_000)));
    assert!(driver.shows("replay 1x 30s/3:22") && driver.shows("● Lint"), "{}", driver.screen());
    driver.press(">>").send(Msg::Tick(Timestamp(65_000)));
    assert!(driver.shows("replay 4x 2:30/3:22") && driver.shows("✗ Test (3.13)"));
    driver.press("[[[");
    assert!(driver.shows("paused 4x") && !driver.shows("✗ Test (3.13)"), "{}", driver.screen());
    driver.press("]]]").send(Msg::Tick(Timestamp(95_000)));
    assert!(driver.shows("✗ Test (3.13)"));
    driver.press(" ").send(Msg::Tick(Timestamp(195_000)));
    assert!(driver.shows("paused 4x 3:22/3:22") && driver.shows("✗ failure"), "{}", driver.screen());
    driver.press("s");
    assert!(driver.shows("stop: this is a replay"));
    assert_eq!(driver.app.farewell(), Vec::<String>::new());
    assert!(!driver.asked().iter().any(|effect| matches!(effect, Effect::Title(_))));
    driver.press(" ");
    assert!(driver.shows("replay 4x 0.0s/3:22"));
}

#[test]
fn a_replay_shortens_the_time_in_which_nothing_happens_and_says_so() {
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    let mut script = script();
    script.start([outline("build", "Build", &[])].into());
    script.at(1).job("build", "Build", &["Set up job"]).at(2).end(Conclusion::Failure);
    script.at(7_202).event(Event::RunStarted { attempt: 2, name: "CI".to_owned() });
    driver.feed(Feed::Connection(Connection::Replay)).feed(Feed::Opened(header(run())));
    driver.feed(Feed::Records { run: run(), records: script.records });
    driver.send(Msg::Tick(Timestamp(5_000))).send(Msg::Tick(Timestamp(7_500)));
    assert!(driver.shows("replay 1x 2.5s/2:00:02") && !driver.shows("skipped"), "{}", driver.screen());
    driver.send(Msg::Tick(Timestamp(8_000)));
    assert!(driver.shows("replay 1x 1:59:57/2:00:02"), "{}", driver.screen());
    assert!(driver.shows("skipped 1:59:54 in which nothing happened"), "{}", driver.screen());
    driver.send(Msg::Tick(Timestamp(13_000)));
    assert!(driver.shows("attempt 2"), "{}", driver.screen());
}

#[test]
fn a_failure_raises_an_alert_and_the_title_counts() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    assert_eq!(driver.alerts.pop(), Some(Effect::Title("●1 cuelight".to_owned())));
    driver.alerts.clear();
    driver.feed(Feed::Records { run: run(), records: rest() });
    driver.feed(Feed::Records { run: run(), records: rest() });
    driver.alerts.sort_by_key(|alert| matches!(alert, Effect::Title(_)));
    let alert = Effect::Alert { run: run(), why: AlertReason::Failed, text: "CI: failure".to_owned() };
    assert_eq!(driver.alerts, [alert, Effect::Title("✗1 cuelight".to_owned())]);
}

#[test]
fn a_run_that_starts_to_wait_raises_one_alert_and_past_waits_none() {
    use crate::model::Gate;
    let gate = Gate::Concurrency { group: "deploy".to_owned(), holder: "another run".to_owned() };
    let record = |seq: u64, at| Record {
        seq: records().len() as u64 + seq,
        at: Timestamp(at),
        event: Event::JobWaiting { job: JobId::new("build"), gate: gate.clone() },
    };
    let alerts = |driver: &mut Driver| {
        let alerts = std::mem::take(&mut driver.alerts);
        alerts.into_iter().filter(|alert| matches!(alert, Effect::Alert { why: AlertReason::Waits, .. })).count()
    };
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.alerts.clear();
    driver.feed(Feed::Records { run: run(), records: vec![record(1, START + 193_000)] });
    assert_eq!(alerts(&mut driver), 1);
    driver.feed(Feed::Records { run: run(), records: vec![record(2, START + 194_000)] });
    assert_eq!(alerts(&mut driver), 0, "it waits already");
    let mut late = Driver::new(120, 40, Theme::default());
    late.feed(Feed::Opened(header(run())));
    let past = records().into_iter().chain([record(1, START - 1)]).map(|record| Record { at: Timestamp(1), ..record });
    let now = Record { at: Timestamp(START + 1000), ..rest().remove(0) };
    late.feed(Feed::Records { run: run(), records: past.chain([Record { seq: 9999, ..now }]).collect() });
    assert_eq!(alerts(&mut late), 0, "it has waited since before the screen was opened");
}
