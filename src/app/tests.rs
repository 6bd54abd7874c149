//! Whole screens, keys and what they bring about.

use proptest::prelude::*;
use ratatui::style::Modifier;

use super::fixture::{Driver, START, header, past, records, rest, run};
use super::msg::{Effect, Feed, Msg, Notice, Order};
use super::*;
use crate::model::{Command, Conclusion, Event, Explanation, Order as Again, Outcome, Record, Reply, Timestamp};
use crate::ui::theme::{Colours, Glyphs, Theme};

fn submitted(command: Command) -> Effect {
    Effect::Order(Order::Submit { run: run(), command })
}

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
    let event = Event::Decided { job: "build".into_id(), step: None, explanation };
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
fn without_colours_there_are_none() {
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
    driver.press("gj");
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
fn scrolling_up_lets_go_of_a_followed_log() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("4kk");
    assert!(!driver.shows("FOLLOW"));
    let before = driver.screen();
    let line = before.lines().find(|line| line.contains("scanning module")).expect("log").to_owned();
    let seq = records().len() as u64 + 1;
    let output = crate::model::LineRange { first: 1204, count: 50 };
    let event = Event::Output { job: "security".into_id(), step: crate::model::StepNumber(2), output };
    let record = Record { seq, at: Timestamp(START + 193_000), event };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
    assert!(driver.shows("50 new lines") && driver.shows(&line), "the reading position stays");
    driver.press("G");
    assert!(driver.shows("FOLLOW · 1,254 lines"));
}

trait IntoId {
    fn into_id(self) -> crate::model::JobId;
}

impl IntoId for &str {
    fn into_id(self) -> crate::model::JobId {
        crate::model::JobId::new(self)
    }
}

#[test]
fn cancelling_asks_and_shows_as_asked_until_a_record_confirms() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("s");
    assert!(driver.shows("Cancel the run?"));
    driver.press("n");
    assert_eq!(driver.asked(), []);
    driver.press("s<enter>");
    assert_eq!(driver.asked(), [submitted(Command::Cancel)]);
    assert!(driver.shows("cancel asked") && !driver.shows("stopping"));
    let seq = records().len() as u64 + 1;
    let event = Event::Ordered { command: Command::Cancel, reply: Reply::Accepted };
    let record = Record { seq, at: Timestamp(START + 193_000), event };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
    assert!(!driver.shows("cancel asked") && driver.shows("stopping"));
    driver.press("sy");
    assert_eq!(driver.asked(), [submitted(Command::ForceCancel)]);
}

#[test]
fn a_refusal_is_told() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("sy");
    let reply = Reply::Rejected { reason: "the worker does not answer".to_owned() };
    driver.feed(Feed::Replied { run: run(), command: Command::Cancel, reply });
    assert!(driver.shows("cancel was refused: the worker does not answer") && !driver.shows("cancel asked"));
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("r");
    assert!(driver.shows("rerun: the run has not ended"), "{}", driver.screen());
    driver.feed(Feed::Records { run: run(), records: rest() }).press("s");
    assert!(driver.shows("the run has ended"));
    assert_eq!(driver.asked(), []);
    driver.press("?");
    assert!(driver.shows("(the run has ended)"), "{}", driver.screen());
}

#[test]
fn running_again_offers_what_there_is() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.feed(Feed::Records { run: run(), records: rest() }).press("r");
    driver.asked();
    assert!(driver.shows("2 jobs that did not succeed"));
    driver.press("f");
    assert_eq!(driver.asked(), [submitted(Command::Rerun { what: Again::Failed })]);
    driver.press("rG<esc>");
    assert_eq!(driver.asked(), []);
    driver.press("rj");
    assert_eq!(driver.asked(), [submitted(Command::Rerun { what: Again::Job("test-2".into_id()) })]);
}

#[test]
fn leaving_asks_only_while_something_runs() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("q");
    assert!(driver.shows("Leave?") && driver.shows("CI is still running."));
    driver.press("s");
    assert_eq!(driver.asked(), [Effect::Quit, submitted(Command::Cancel)], "popped from the end");
    driver.press("<ctrl-c><ctrl-c>");
    assert_eq!(driver.asked(), [Effect::Quit]);
    driver.feed(Feed::Records { run: run(), records: rest() }).press("q");
    assert_eq!(driver.asked(), [Effect::Quit]);
}

#[test]
fn a_started_run_is_shown_once_it_is_listed() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("Srel");
    assert!(driver.shows("release.yml  workflow_dispatch") && !driver.shows("ci.yml  push"));
    driver.press("<enter>");
    assert!(driver.shows("Start release.yml on workflow_dispatch") && driver.asked().is_empty());
    driver.press("<enter>");
    assert!(driver.shows("is needed") && driver.asked().is_empty(), "{}", driver.screen());
    driver.press("1.2x<backspace><down> <down> <down>3a<enter>");
    let given = [("version", "1.2"), ("dry", "true"), ("target", "prod"), ("copies", "3")];
    let start = Order::Start {
        workflow: ".github/workflows/release.yml".to_owned(),
        event: "workflow_dispatch".to_owned(),
        inputs: given.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        secrets: Vec::new(),
        sandbox: None,
    };
    assert_eq!(driver.asked(), [Effect::Order(start)]);
    let id = RunId::new("20261124-030000-cccc");
    let listed =
        Summary { phase: Phase::Queued, finished: None, ..past(id.as_str(), "Release", Conclusion::Success, START) };
    driver.feed(Feed::Listed(vec![listed])).feed(Feed::Started(id.clone()));
    assert_eq!(driver.asked(), [Effect::Order(Order::Watch(id.clone()))]);
    assert_eq!(driver.app.runs.selected, Some(id));
}

#[test]
fn the_selected_run_stays_when_others_come() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Opened(header(RunId::new("20261124-040000-dddd"))));
    assert_eq!(driver.app.runs.selected, Some(run()));
    driver.feed(Feed::Removed(run()));
    assert_eq!(driver.app.runs.selected, Some(RunId::new("20261124-040000-dddd")));
}

#[test]
fn help_lists_and_finds_keys() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("4?");
    assert!(driver.shows("Keys: Log") && driver.shows("wrap long lines"));
    driver.press("cancel");
    assert!(driver.shows("cancel the run") && !driver.shows("wrap long lines"));
    driver.press("<backspace>xyz");
    assert!(driver.shows("no key does that"));
    driver.press("<esc>");
    assert!(!driver.shows("Keys:"));
}

#[test]
fn every_action_is_carried_out_without_a_run() {
    for entry in super::action::ACTIONS {
        let mut driver = Driver::new(120, 40, Theme::default());
        for panel in crate::ui::layout::PANELS {
            driver.app.overlay = None;
            driver.app.view.focus = panel;
            driver.app.act(entry.action);
            driver.screen();
        }
    }
}

#[test]
fn clicking_selects_and_the_wheel_scrolls() {
    use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let place = |driver: &Driver, text: &str| {
        let screen = driver.screen();
        let (row, line) = screen.lines().enumerate().find(|(_, line)| line.contains(text)).expect(text);
        let column = line[..line.find(text).expect("it is there")].chars().count();
        (column as u16, row as u16)
    };
    let mouse = |driver: &mut Driver, kind, (column, row)| {
        driver.send(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
    };
    let at = place(&driver, "│ ✓ Release");
    mouse(&mut driver, MouseEventKind::Down(MouseButton::Left), (at.0 + 2, at.1));
    assert_eq!(driver.app.runs.selected, Some(RunId::new("20261123-101010-aaaa")));
    assert_eq!(driver.app.view.focus, Panel::Runs);
    driver.press("k");
    let at = place(&driver, "scanning module");
    mouse(&mut driver, MouseEventKind::ScrollUp, at);
    assert!(!driver.app.log.follows() && driver.app.view.focus == Panel::Runs);
}

#[test]
fn a_hostile_log_stays_in_its_pane() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let before = driver.screen();
    let mut lines = vec!["x".to_owned(); 1200];
    lines.push(format!("\x1b[2J\x1b[1;1H\x1b]0;owned\x07\x1b]52;c;aGk=\x07{}", "w".repeat(90_000)));
    lines.push("\u{202e}日本語\u{200b}\u{feff}\t\t\x1b[31m".repeat(50));
    lines.push("\x1b[?1049l\x1bc\x1b[6n\r\rshort".to_owned());
    lines.push("\u{0}\u{7}\u{8}\u{9b}31m".to_owned());
    driver.log("security", 2, lines);
    // Another step and back, so that the log is loaded anew.
    driver.press("kj");
    let after = driver.screen();
    let outside = |screen: &str| {
        let rows: Vec<String> = screen.lines().map(str::to_owned).collect();
        let log = rows.iter().position(|row| row.contains("4 Log")).expect("a log");
        [&rows[..log], &rows[rows.len() - 3..]].concat()
    };
    assert_eq!(outside(&before)[1..], outside(&after)[1..]);
    for row in after.lines().skip_while(|row| !row.contains("4 Log")).skip(1).take(10) {
        assert!(row.starts_with('│') && row.ends_with('│') || row.starts_with('└'), "{row}");
    }
}

#[test]
fn a_message_of_nothing_new_asks_for_nothing() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.asked();
    let before = driver.screen();
    driver.feed(Feed::Records { run: run(), records: records() });
    driver.feed(Feed::Listed(vec![past("20261123-101010-aaaa", "Release", Conclusion::Success, START - 86_400_000)]));
    assert_eq!((driver.asked(), driver.screen()), (vec![], before));
}

#[test]
fn notices_are_shown_and_kept() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Notice(Notice::bad("the state folder is full")));
    assert!(driver.shows("✗ the state folder is full"));
    driver.press("7");
    assert_eq!(driver.screen().matches("the state folder is full").count(), 2);
}

#[test]
fn services_and_deployments_lead_to_their_job_and_run() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    assert!(driver.shows("5 Services") && driver.shows("✗ app") && driver.shows("unhealthy connec"));
    assert!(driver.shows("postgres") && driver.shows("5432→54321"));
    assert!(driver.shows("production") && driver.shows("9c1f2d0 main"));
    driver.press("5G<enter>");
    assert!(driver.shows("▌✗ Test (3.13)"), "{}", driver.screen());
    driver.press("6k<enter>");
    assert_eq!(driver.app.runs.selected, Some(RunId::new("20261123-101010-aaaa")));
    driver.press("7");
    assert!(driver.shows("7 Events") && !driver.shows("5 Services"));
}

#[test]
fn a_job_whose_image_is_on_its_way_says_so() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let pulled =
        |done| Event::ImagePulled { job: "build".into_id(), image: "redis:7".to_owned(), done, total: 40_000_000 };
    let seq = records().len() as u64 + 1;
    let record = Record { seq, at: Timestamp(START + 193_000), event: pulled(10_000_000) };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
    assert!(driver.shows("waits for the image redis:7: 10 of 40 MB"), "{}", driver.screen());
}

#[test]
fn a_log_is_searched_as_it_is_typed() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("4g/module 77");
    assert!(driver.shows("/module 77") && driver.shows("scanning module 77 "), "{}", driver.screen());
    assert!(driver.shows("/module 77 1/11"));
    driver.press("<enter>nn");
    assert!(driver.shows("/module 77 3/11") && driver.shows("scanning module 771"), "{}", driver.screen());
    driver.press("NN");
    assert!(driver.shows("/module 77 1/11"));
    driver.press("/zzz<esc>");
    assert!(driver.shows("line 77 ") && !driver.shows("/zzz"), "the place is kept: {}", driver.screen());
    driver.press("//module 1.4 /<enter>");
    assert!(driver.shows("//module 1.4 / 1/10"), "{}", driver.screen());
    driver.press("//a(/<enter>");
    assert!(driver.shows("no regular expression, so it is taken as text: unclosed group"), "{}", driver.screen());
    driver.press("<esc>n");
    assert!(driver.shows("nothing is found"));
}

#[test]
fn only_lines_that_match_are_kept_until_esc() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("4&module 120<enter>");
    assert!(driver.shows("&module 120 6") && driver.shows("scanning module 1200") && !driver.shows("module 1199"));
    driver.press("&!ok<enter>");
    assert!(driver.shows("no line matches; Esc shows all"));
    driver.press("<esc>");
    assert!(driver.shows("module 1199"));
}

#[test]
fn lists_are_filtered_with_a_chip() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("1/rel main<enter>");
    assert!(driver.shows("/rel main") && driver.shows("▌✓ Release") && !driver.shows("⊘ CI"));
    driver.press("<esc>");
    assert!(driver.shows("⊘ CI") && !driver.shows("/rel main"));
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("3/scan<enter>");
    assert!(driver.shows("● Security Scan") && !driver.shows("✓ Test (3.12)"), "{}", driver.screen());
}

#[test]
fn errors_are_gone_through_line_by_line() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let lines = (0..500).map(|line| if line % 200 == 40 { format!("E   no {line}") } else { "ok".to_owned() });
    driver.log("test-2", 4, lines.collect());
    driver.press("e");
    assert!(
        driver.shows("error 1/2") && driver.shows("◀ error 1/2") && driver.shows("E   no 40"),
        "{}",
        driver.screen()
    );
    driver.press("e");
    assert!(driver.shows("error 2/2") && driver.shows("E   no 240"));
    driver.press("E");
    assert!(driver.shows("E   no 40"));
}

#[test]
fn lines_are_copied_and_places_opened() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("e").asked();
    driver.press("yl");
    assert_eq!(driver.asked(), [Effect::Copy("E   AssertionError: 401 != 200".to_owned())]);
    assert!(driver.shows("copied: E   AssertionError"));
    driver.press("kkvjjyv");
    let copied = "tests/test_api.py::test_login FAILED\n▸ Captured output\nE   AssertionError: 401 != 200";
    assert_eq!(driver.asked(), [Effect::Copy(copied.to_owned())]);
    assert!(driver.shows("copied 3 lines"));
    driver.press("yc");
    assert_eq!(driver.asked(), [Effect::Copy(format!("cuelight logs {} --job test-2 --step 4", run()))]);
    driver.press("<esc>o");
    let edit = Effect::Edit { run: run(), file: "tests/test_api.py".to_owned(), line: Some(318) };
    assert_eq!(driver.asked(), [edit], "as the annotation says");
}

#[test]
fn groups_fold_and_times_show() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let mut lines: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
    lines[10] = "##[group]Warnings".to_owned();
    lines[15] = "##[endgroup]".to_owned();
    driver.log("test", 4, lines);
    driver.app.jobs.select("test".into_id());
    driver.press("4g-");
    assert!(driver.shows("Test (3.12) › 4 Run tests"), "{}", driver.screen());
    driver.press("}");
    assert!(driver.shows("▸ Warnings (5 lines folded)") && !driver.shows("line 12"), "{}", driver.screen());
    driver.press("<enter>");
    assert!(driver.shows("▾ Warnings") && driver.shows("line 12"));
    driver.press("t");
    assert!(driver.shows("0:00"), "{}", driver.screen());
}

#[test]
fn the_palette_finds_actions_jobs_workflows_and_runs() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.asked();
    driver.press(":zoom<enter>");
    assert!(!driver.shows("1 Runs"), "the panel has the whole screen");
    driver.press("z:job lint<enter>");
    assert!(driver.shows("▌✓ Lint"));
    driver.press(":start ci push<enter>");
    assert!(driver.shows("secrets: TOKEN set, KEY missing"), "{}", driver.screen());
    driver.press("  <enter>");
    let start = Order::Start {
        workflow: ".github/workflows/ci.yml".to_owned(),
        event: "push".to_owned(),
        inputs: Vec::new(),
        secrets: vec!["TOKEN".to_owned()],
        sandbox: Some("docker".to_owned()),
    };
    assert_eq!(driver.asked(), [Effect::Order(start)]);
    driver.press(":run release<enter>");
    assert_eq!(driver.app.runs.selected, Some(RunId::new("20261123-101010-aaaa")));
    driver.press(":xyzzy<enter><esc>");
    assert!(driver.shows("1 Runs"));
}

#[test]
fn a_replay_goes_on_and_back() {
    let mut driver = Driver::new(80, 24, Theme { motion: false, ..Theme::default() });
    driver.app = driver.app.clone().replaying(header(run()), records().into_iter().chain(rest()).collect());
    driver.send(Msg::Resize(80, 24)).send(Msg::Tick(Timestamp(5_000)));
    assert!(driver.shows("replay 1x 0:00/3:22"), "{}", driver.screen());
    driver.send(Msg::Tick(Timestamp(35_000)));
    assert!(driver.shows("replay 1x 0:30/3:22") && driver.shows("● Lint"), "{}", driver.screen());
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
    assert!(driver.shows("replay 4x 0:00/3:22"));
}

#[test]
fn a_read_only_screen_gives_no_orders() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.app = driver.app.clone().read_only();
    driver.asked();
    for key in ["s", "S", "r", "u"] {
        driver.press(key);
        assert!(driver.shows("the screen is read-only") && driver.app.overlay.is_none());
    }
    assert!(driver.shows("READ-ONLY") && !driver.shows("replay"));
    driver.press("qq");
    assert!(driver.asked().contains(&Effect::Quit));
    driver.press(" ");
    assert!(driver.shows("play: this is no replay"));
}

#[test]
fn a_run_is_removed_once_it_has_ended_and_somebody_says_yes() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("1d");
    assert!(driver.shows("delete: the run has not ended"));
    driver.press("j").asked();
    driver.press("d<enter>");
    assert_eq!(driver.asked(), [], "no is the first answer");
    driver.press("dy");
    let removed = RunId::new("20261123-101010-aaaa");
    assert_eq!(driver.asked(), [Effect::Order(Order::Delete(removed.clone()))]);
    driver.feed(Feed::Removed(removed));
    assert!(!driver.shows("Release"));
}

#[test]
fn a_shell_opens_where_a_job_runs_or_failed() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.asked();
    driver.press("x");
    let shell = |job: &str| Effect::Shell { run: run(), job: job.into_id(), service: None };
    assert_eq!(driver.asked(), [shell("security")]);
    driver.press("ex");
    assert_eq!(driver.asked(), [shell("test-2")]);
    driver.press("3gx");
    assert!(driver.shows("shell: the job did not fail"));
    driver.press("5x");
    assert!(driver.shows("shell: services are gone with their job"));
    assert_eq!(driver.asked(), []);
}

#[test]
fn a_failure_calls_and_the_title_counts() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    assert_eq!(driver.calls.pop(), Some(Effect::Title("●1 cuelight".to_owned())));
    driver.calls.clear();
    driver.feed(Feed::Records { run: run(), records: rest() });
    driver.feed(Feed::Records { run: run(), records: rest() });
    driver.calls.sort_by_key(|call| matches!(call, Effect::Title(_)));
    let alert = Effect::Alert { run: run(), text: "CI: failure".to_owned() };
    assert_eq!(driver.calls, [alert, Effect::Title("✗1 cuelight".to_owned())]);
}

/// Something that could happen at any time.
fn anything() -> impl Strategy<Value = Msg> {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let keys = prop_oneof![
        proptest::char::range(' ', '~').prop_map(KeyCode::Char),
        Just(KeyCode::Enter),
        Just(KeyCode::Esc),
        Just(KeyCode::Tab),
        Just(KeyCode::PageUp),
        Just(KeyCode::Backspace),
    ];
    let mouse = prop_oneof![
        Just(MouseEventKind::Down(MouseButton::Left)),
        Just(MouseEventKind::ScrollUp),
        Just(MouseEventKind::ScrollDown),
    ];
    let count = records().len() + rest().len();
    prop_oneof![
        4 => keys.prop_map(|code| Msg::Key(KeyEvent::new(code, KeyModifiers::NONE))),
        2 => (mouse, 0_u16..250, 0_u16..80).prop_map(|(kind, column, row)| {
            Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
        }),
        2 => (1_u16..250, 1_u16..80).prop_map(|(width, height)| Msg::Resize(width, height)),
        2 => (0..count, 0_usize..20).prop_map(|(first, count)| {
            let all: Vec<Record> = records().into_iter().chain(rest()).collect();
            let records = all.into_iter().skip(first).take(count).collect();
            Msg::Feed(Feed::Records { run: run(), records })
        }),
        1 => Just(Msg::Feed(Feed::Removed(run()))),
        1 => Just(Msg::Feed(Feed::Opened(header(run())))),
        1 => (0_u64..10_000_000).prop_map(|past| Msg::Tick(Timestamp(START + past))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happens in whatever order on whatever size, there is a picture.
    #[test]
    fn there_is_always_a_picture(messages in prop::collection::vec(anything(), 1..60), ascii in any::<bool>()) {
        let glyphs = if ascii { Glyphs::Ascii } else { Glyphs::Unicode };
        let mut driver = Driver::showing(80, 24, glyphs);
        for msg in messages {
            match msg {
                Msg::Resize(width, height) => driver.resize(width, height),
                msg => driver.send(msg),
            };
            let screen = driver.screen();
            prop_assert!(!ascii || screen.is_ascii(), "{}", screen);
        }
    }
}
