//! Reading a log by its keys.

use super::*;
use crate::app::selection::JobSelection;
use crate::model::{LineRange, StepNumber};

#[test]
fn scrolling_up_stops_following() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("4kk");
    assert!(!driver.shows("FOLLOW"));
    let before = driver.screen();
    let line = before.lines().find(|line| line.contains("scanning module")).expect("log").to_owned();
    let seq = records().len() as u64 + 1;
    let output = LineRange { first: 1204, count: 50 };
    let event = Event::Output { job: JobId::new("security"), step: StepNumber(2), output };
    let record = Record { seq, at: Timestamp(START + 193_000), event };
    driver.feed(Feed::Records { run: run(), records: vec![record] });
    assert!(driver.shows("50 new lines") && driver.shows(&line), "the reading position stays");
    driver.press("G");
    assert!(driver.shows("FOLLOW · 1,254 lines"));
}

#[test]
fn a_hostile_log_stays_in_its_pane() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let before = driver.press("kj").screen();
    let mut lines = vec!["x".to_owned(); 1200];
    lines.push(format!("\x1b[2J\x1b[1;1H\x1b]0;owned\x07\x1b]52;c;aGk=\x07{}", "w".repeat(90_000)));
    lines.push("\u{202e}日本語\u{200b}\u{feff}\t\t\x1b[31m".repeat(50));
    lines.push("\x1b[?1049l\x1bc\x1b[6n\r\rshort".to_owned());
    lines.push("\u{0}\u{7}\u{8}\u{9b}31m".to_owned());
    driver.log("security", 2, lines);
    // Go to another step and back, so that the log is loaded again.
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
fn a_log_is_searched_as_it_is_typed() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("4gg/module 77");
    assert!(driver.shows("/module 77") && driver.shows("scanning module 77 "), "{}", driver.screen());
    assert!(driver.shows("/module 77 1/11"));
    driver.press("<enter>nn");
    assert!(driver.shows("/module 77 3/11") && driver.shows("scanning module 771"), "{}", driver.screen());
    driver.press("NN");
    assert!(driver.shows("/module 77 1/11"));
    driver.press("/zzz<esc>");
    assert!(driver.shows("line 77 ") && !driver.shows("/zzz"), "the place is kept: {}", driver.screen());
    driver.press("//module 1.4 /<enter>");
    assert!(driver.shows("/module 1.4 / 1/10"), "{}", driver.screen());
    driver.press("//a(/<enter>");
    assert!(driver.shows("not a regular expression: unclosed group"), "{}", driver.screen());
    driver.press("<esc>n");
    assert!(driver.shows("no match"));
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
fn errors_are_visited_line_by_line() {
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
    assert!(driver.shows("E   no 40") && !driver.shows("nothing else has failed"), "{}", driver.screen());
    driver.press("ee");
    assert!(driver.shows("nothing else has failed in this run"), "{}", driver.screen());
}

#[test]
fn lines_are_copied_and_places_opened() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("e").asked();
    driver.press("yl");
    assert_eq!(driver.asked(), [Effect::Copy("E   AssertionError: 401 != 200".to_owned())]);
    assert!(driver.shows("sent to the terminal's clipboard: E   AssertionError"));
    driver.press("kkvjjyv");
    let copied = "tests/test_api.py::test_login FAILED\n▸ Captured output\nE   AssertionError: 401 != 200";
    assert_eq!(driver.asked(), [Effect::Copy(copied.to_owned())]);
    assert!(driver.shows("sent to the terminal's clipboard: 3 lines"));
    driver.press("yc");
    assert_eq!(driver.asked(), [Effect::Copy(format!("cuelight logs {} --job test-2 --step 4", run()))]);
    driver.press("<esc>o");
    let edit = Effect::Edit { run: Some(run()), file: "tests/test_api.py".to_owned(), line: Some(318) };
    assert_eq!(driver.asked(), [edit], "the file of the annotation");
}

#[test]
fn groups_fold_and_times_show() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let mut lines: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
    lines[10] = "##[group]Warnings".to_owned();
    lines[15] = "##[endgroup]".to_owned();
    driver.log("test", 4, lines);
    driver.app.selection.select(JobSelection::whole(JobId::new("test")));
    driver.press("4gg-");
    assert!(driver.shows("Test (3.12) › 4 Run tests"), "{}", driver.screen());
    driver.press("}");
    assert!(driver.shows("▸ Warnings (5 lines folded)") && !driver.shows("line 12"), "{}", driver.screen());
    driver.press("<enter>");
    assert!(driver.shows("▾ Warnings") && driver.shows("line 12"));
    driver.press("t");
    assert!(driver.shows("0.0s"), "{}", driver.screen());
}

#[test]
fn all_logs_are_searched_while_typing_and_enter_opens_a_line() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("F");
    assert!(driver.shows("Lines of all steps") && driver.shows("text, or /expression/"), "{}", driver.screen());
    driver.press("401 != 200");
    assert!(driver.shows("1 in 1 of 13 logs") && driver.shows("Test (3.13) › 4 Run tests"), "{}", driver.screen());
    driver.press(&"<backspace>".repeat(10));
    driver.press("/module 12.4|FAILED/");
    assert!(driver.shows("2 in 2 of 13 logs"), "{}", driver.screen());
    driver.press("<down><enter>");
    assert!(driver.shows("4 Log · Security Scan › 2 Scan") && driver.shows("line 1,204"), "{}", driver.screen());
    assert!(driver.shows("/module 12.4|FAILED/ 1/1"), "it is looked for there: {}", driver.screen());
    // The previous search is available again, also through its command in the palette.
    driver.press("F");
    assert!(driver.shows("2 in 2 of 13 logs"));
    driver.press("<esc>:grep scanning<enter>");
    assert!(driver.shows("1,000+ in 1 of 13 logs"), "{}", driver.screen());
    driver.press("<esc>:grep /(/<enter>");
    assert!(driver.shows("no line of any step matches") || driver.shows("unclosed group"), "{}", driver.screen());
}

#[test]
fn the_notice_of_a_long_copied_line_has_one_row() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.app.show_copied(&"word ".repeat(60));
    let screen = driver.screen();
    assert_eq!(screen.lines().filter(|line| line.contains("word word")).count(), 1, "{screen}");
    assert!(screen.contains("sent to the terminal's clipboard: word") && screen.contains("?:help"), "{screen}");
}

#[test]
fn enter_goes_to_no_line_that_was_not_on_the_screen() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("Fscanning<enter>");
    assert!(driver.shows("Lines of all steps"), "{}", driver.screen());
    driver.press("<enter>");
    assert!(!driver.shows("Lines of all steps"), "{}", driver.screen());
}

#[test]
fn the_key_that_suspends_works_in_every_box() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.asked();
    for opens in ["F", "?", ":", "Srel<enter>"] {
        driver.press(opens).asked();
        driver.press("<ctrl-z>");
        assert_eq!(driver.asked(), [Effect::Suspend], "{opens}");
        driver.press("<esc>");
    }
}

#[test]
fn a_search_ends_with_its_box() {
    let mut app = Driver::showing(120, 40, Glyphs::Unicode).app;
    let mut press = |keys: &str| {
        let keys = crate::app::keymap::typed(keys).expect("keys");
        keys.into_iter().flat_map(|key| app.update(Msg::Key(key))).collect::<Vec<_>>()
    };
    let begun = press("Fx");
    assert!(matches!(begun.as_slice(), [Effect::SearchRun(grep)] if grep.logs.len() == 13), "{begun:?}");
    assert_eq!(press("<esc>"), [Effect::CancelSearch(crate::store::logs::query::SearchSlot::Run)]);
    assert_eq!(press("F<esc>").len(), 2, "it starts again, and ends");
}

#[test]
fn a_quiet_step_has_the_time_since_its_last_output() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    assert!(driver.shows("quiet for 2:28 · FOLLOW · 1,204 lines"), "{}", driver.screen());
    let event = Event::LineGrew { job: JobId::new("security"), step: StepNumber(2), line: 1204, bytes: 3 };
    let record = Record { seq: records().len() as u64 + 1, at: Timestamp(START + 193_000), event };
    driver.feed(Feed::Records { run: run(), records: vec![record] }).send(Msg::Tick(Timestamp(START + 202_000)));
    assert!(!driver.shows("quiet") && driver.shows("FOLLOW · 1,205 lines"), "{}", driver.screen());
    driver.send(Msg::Tick(Timestamp(START + 203_000)));
    assert!(driver.shows("quiet for 10s"), "{}", driver.screen());
    driver.feed(Feed::Records {
        run: run(),
        records: rest().into_iter().map(|record| Record { seq: record.seq + 1, ..record }).collect(),
    });
    assert!(!driver.shows("quiet"), "{}", driver.screen());
}

#[test]
fn the_end_of_a_line_that_is_being_written_is_shown_while_the_log_is_followed() {
    for (width, columns) in [(60, 60), (80, 80)] {
        let mut driver = Driver::showing(width, 24, Glyphs::Unicode);
        let dots: String = (1..=100).map(|dot| dot.to_string() + ".").collect();
        let mut lines: Vec<_> = (1..=1204).map(|line| format!("line {line}")).collect();
        lines.push(format!("begins 日本語{dots}"));
        driver.log("security", 2, lines);
        let event = Event::LineGrew { job: JobId::new("security"), step: StepNumber(2), line: 1204, bytes: 300 };
        let record = Record { seq: records().len() as u64 + 1, at: Timestamp(START + 193_000), event };
        driver.feed(Feed::Records { run: run(), records: vec![record] });
        let screen = driver.screen();
        let row = screen.lines().find(|row| row.contains("98.99.100.")).unwrap_or_else(|| panic!("{screen}"));
        assert!(row.contains('…') && !row.contains("begins") && crate::ui::text::width(row) == columns, "{row}");
        driver.press("4k");
        assert!(!driver.shows("98.99.100.") && driver.shows("begins"), "{}", driver.screen());
    }
}

#[test]
fn a_step_without_output_has_the_time_since_its_start() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let job = JobId::new("security");
    let started = |step| Event::StepStarted { job: job.clone(), step, name: "Wait".to_owned() };
    let finished = crate::model::testing::step_finished("security", 2, Conclusion::Success, 0, None);
    let seq = records().len() as u64 + 1;
    let events = [finished, started(StepNumber(90))];
    let records = (seq..).zip(events).map(|(seq, event)| Record { seq, at: Timestamp(START + 193_000), event });
    driver.feed(Feed::Records { run: run(), records: records.collect() });
    assert!(driver.shows("Wait has printed nothing yet, for "), "{}", driver.screen());
}
