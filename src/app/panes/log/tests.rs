use super::*;
use crate::model::{JobId, RunId, StepNumber, Timestamp};
use crate::store::logs::query::LogPage;
use crate::store::logs::query::{LogSearch, RawLine};
use crate::ui::theme::Theme;

fn key(step: u32) -> LogKey {
    LogKey { run: RunId::new("r"), job: JobId::new("j"), attempt: 1, step: StepNumber(step) }
}

/// Syncs the pane, answers its searches with these lines, and returns the lines that it requests.
fn settle(log: &mut Log, step: u32, lines: u64) -> Option<PageRequest> {
    let mut wanted = None;
    for effect in log.show(Some(key(step)), Size { lines, open: 0 }, (80, 10)) {
        match effect {
            Effect::LoadPage(request) => wanted = Some(request),
            Effect::SearchLog(scan) => answer_scan(log, scan, lines),
            other => assert!(matches!(other, Effect::CancelSearch(_)), "{other:?}"),
        }
    }
    wanted
}

/// Answers a search as for a log in which every tenth line starts a group of four lines, every seventh line matches
/// every pattern, and every fortieth line from 5 on is an error.
fn answer_scan(log: &mut Log, scan: LogSearch, lines: u64) {
    let fits = |line: &u64| match scan.slot {
        SearchSlot::Groups => line.is_multiple_of(10),
        SearchSlot::GroupEnds => line % 10 == 3,
        SearchSlot::Search | SearchSlot::Keep => line.is_multiple_of(7),
        SearchSlot::Errors | SearchSlot::Run => line % 40 == 5,
    };
    let found = scan.lines.clone().take_while(|line| *line < lines).filter(fits).collect();
    log.take_matches(&LogSearchResult { search: scan, found: Ok(found), done: true });
}

/// Answers a request as the store does.
fn answer(log: &mut Log, request: PageRequest, lines: u64) {
    let numbers = request.lines.iter().cloned().flatten().filter(|number| *number < lines);
    let text = |number| RawLine { number, bytes: format!("line {}", number + 1).into_bytes(), time: None };
    let lines = Ok(numbers.map(text).collect());
    log.take_page(RenderedPage::new(LogPage { request, lines }, Theme::default()));
}

fn lines(request: &PageRequest) -> Vec<u64> {
    request.lines.iter().cloned().flatten().collect()
}

fn shown(log: &Log) -> Vec<u64> {
    let rows = log.rows();
    (0..log.height).map(|row| rows.line(rows.row(log.top) + row)).collect()
}

#[test]
fn following_asks_for_what_is_new_and_only_once() {
    let mut log = Log::default();
    assert_eq!(settle(&mut log, 1, 0), None);
    let request = settle(&mut log, 1, 100).expect("lines are missing");
    assert_eq!(lines(&request), (80..100).collect::<Vec<_>>());
    assert_eq!(settle(&mut log, 1, 120), None, "one request at a time");
    answer(&mut log, request, 100);
    let request = settle(&mut log, 1, 120).expect("more lines came meanwhile");
    assert_eq!(lines(&request), (100..120).collect::<Vec<_>>());
    answer(&mut log, request, 120);
    assert_eq!(settle(&mut log, 1, 120), None);
}

#[test]
fn moving_up_lets_go_and_moving_down_takes_hold() {
    let mut log = Log::default();
    let request = settle(&mut log, 1, 100).expect("lines are missing");
    answer(&mut log, request, 100);
    log.handle(Action::Up);
    assert!(!log.follows());
    settle(&mut log, 1, 150);
    assert_eq!((log.top, log.cursor), (90, 98), "the reading position stays");
    assert_eq!(log.status(None, Timestamp(0), Theme::default()), "50 new lines · line 99 · 150 lines");
    log.handle(Action::Bottom);
    settle(&mut log, 1, 150);
    assert_eq!((log.top, log.follows()), (140, true));
    log.handle(Action::Top);
    settle(&mut log, 1, 150);
    log.handle(Action::PageDown);
    settle(&mut log, 1, 150);
    assert_eq!((log.top, log.cursor, log.follows()), (0, 9, false));
    log.scroll_by(3);
    settle(&mut log, 1, 150);
    assert_eq!((log.top, log.cursor), (3, 9));
    log.scroll_by(200);
    assert!(log.follows(), "the end is taken hold of");
}

#[test]
fn another_log_starts_from_its_end_and_late_lines_are_dropped() {
    let mut log = Log::default();
    let late = settle(&mut log, 1, 100).expect("lines are missing");
    let request = settle(&mut log, 2, 5).expect("of the other log");
    answer(&mut log, late, 100);
    assert!(log.window.is_none());
    answer(&mut log, request, 5);
    assert!(log.window.as_ref().is_some_and(|window| window.line(4).is_some()));
}

#[test]
fn a_log_shorter_than_promised_is_not_asked_for_again() {
    let mut log = Log::default();
    let request = settle(&mut log, 1, 100).expect("lines are missing");
    answer(&mut log, request, 90);
    assert_eq!(settle(&mut log, 1, 100), None);
    assert!(settle(&mut log, 1, 101).is_some());
}

#[test]
fn folded_groups_are_one_row_and_what_is_sought_opens_them() {
    let mut log = Log::default();
    settle(&mut log, 1, 30);
    log.handle(Action::FoldAll);
    log.handle(Action::Top);
    settle(&mut log, 1, 30);
    assert_eq!(shown(&log), [0, 4, 5, 6, 7, 8, 9, 10, 14, 15]);
    log.toggle_group();
    settle(&mut log, 1, 30);
    assert_eq!(shown(&log), (0..10).collect::<Vec<_>>());
    assert!(log.go_to_group(true) && log.cursor == 10);
    log.search_for(Pattern::parse("x", false));
    // The first call requests the search, and the second carries out the jump to its match.
    settle(&mut log, 1, 30);
    settle(&mut log, 1, 30);
    assert_eq!(log.cursor, 14);
    assert!(log.go_to_match(true) && log.go_to_match(true) && log.cursor == 28);
    assert!(log.go_to_match(true) && log.cursor == 0, "it comes round");
    settle(&mut log, 2, 30);
    assert_eq!(shown(&log).last(), Some(&29), "another log is folded too");
    assert!(log.groups.folded && log.search.is_some());
}

#[test]
fn errors_are_gone_through_and_then_there_are_no_more() {
    let mut log = Log::default();
    settle(&mut log, 1, 100);
    assert!(log.go_to_error(true));
    settle(&mut log, 1, 100);
    settle(&mut log, 1, 100);
    assert_eq!(
        (log.cursor, log.status(None, Timestamp(0), Theme::default())),
        (5, "error 1/3 · line 6 · 100 lines".to_owned())
    );
    assert!(log.go_to_error(true) && log.go_to_error(true) && log.cursor == 85);
    assert!(!log.go_to_error(true) && log.go_to_error(false) && log.cursor == 45);
    assert_eq!(lines(&log.excerpt(5).expect("an error")), (40..51).collect::<Vec<_>>());
}

#[test]
fn kept_lines_are_the_only_ones_and_selections_are_made_of_them() {
    let mut log = Log::default();
    settle(&mut log, 1, 100);
    log.keep_matching(Pattern::parse("x", true));
    settle(&mut log, 1, 100);
    let request = settle(&mut log, 1, 100);
    assert_eq!(shown(&log), [35, 42, 49, 56, 63, 70, 77, 84, 91, 98]);
    assert!(request.is_none(), "one is on its way");
    log.handle(Action::Select);
    log.handle(Action::Up);
    assert_eq!(log.selection().map(|(request, _)| request.lines), Some(vec![91..92, 98..99]));
    assert!(log.close() && log.close() && !log.close());
}

#[test]
fn marks_are_gone_to() {
    let mut log = Log::default();
    settle(&mut log, 1, 100);
    for line in [3, 50] {
        log.go(line);
        log.handle(Action::Mark);
    }
    log.handle(Action::NextMark);
    assert_eq!(log.cursor, 3);
    log.handle(Action::Mark);
    log.handle(Action::NextMark);
    log.handle(Action::NextMark);
    assert_eq!(log.cursor, 50);
}

#[test]
fn the_readers_place_outlives_a_pattern_that_finds_nothing_yet() {
    let mut log = Log::default();
    settle(&mut log, 1, 100);
    log.go(42);
    let before = log.position();
    log.keep_matching(Pattern::parse("x", true));
    log.show(Some(key(1)), Size { lines: 100, open: 0 }, (80, 10));
    assert_eq!(log.position(), before);
    settle(&mut log, 1, 100);
    log.keep_matching(None);
    settle(&mut log, 1, 100);
    assert_eq!(log.position(), before);
}

#[test]
fn a_jump_is_to_a_line_that_is_shown() {
    let mut log = Log::default();
    settle(&mut log, 1, 100);
    log.keep_matching(Pattern::parse("x", true));
    settle(&mut log, 1, 100);
    log.handle(Action::Top);
    // The kept lines include the matches of the search here, so the next match is one of them.
    log.search_for(Pattern::parse("y", false));
    settle(&mut log, 1, 100);
    assert!(log.go_to_match(true) && log.cursor == 7 && log.keep.is_some());
    log.go(8);
    assert!(log.keep.is_none(), "the line was kept back");
}

#[test]
fn answers_to_a_search_that_was_asked_for_again_are_not_mixed() {
    let mut log = Log::default();
    settle(&mut log, 1, 100);
    let asked = |log: &mut Log| {
        log.search_for(Pattern::parse("x", false));
        let effects = log.show(Some(key(1)), Size { lines: 100, open: 0 }, (80, 10));
        let scan = effects.into_iter().find_map(|effect| match effect {
            Effect::SearchLog(scan) => Some(scan),
            _ => None,
        });
        scan.expect("a search")
    };
    let (first, second) = (asked(&mut log), asked(&mut log));
    log.take_matches(&LogSearchResult { search: first, found: Ok(vec![7]), done: true });
    assert!(log.search.as_ref().is_some_and(|search| search.matches.found.is_empty()));
    log.take_matches(&LogSearchResult { search: second, found: Ok(vec![7, 14]), done: true });
    assert_eq!(log.search.as_ref().map(|search| search.matches.found.clone()), Some(vec![7, 14]));
}

#[test]
fn a_selection_stays_what_it_is_at_the_end_of_the_log() {
    let mut log = Log::default();
    settle(&mut log, 1, 100);
    log.go(95);
    log.handle(Action::Select);
    log.handle(Action::Bottom);
    settle(&mut log, 1, 100);
    settle(&mut log, 1, 200);
    assert_eq!(log.selection().map(|(request, _)| lines(&request)), Some((95..100).collect()));
    log.go(3000);
    settle(&mut log, 1, 5000);
    assert_eq!(log.selection().map(|(_, more)| more), Some(2906 - copy::MAX_COPIED));
}

/// Answers a request with lines of this text.
fn answer_with(log: &mut Log, request: PageRequest, lines: &[&str]) {
    let raw =
        lines.iter().zip(0..).map(|(text, number)| RawLine { number, bytes: text.as_bytes().to_vec(), time: None });
    log.take_page(RenderedPage::new(LogPage { request, lines: Ok(raw.collect()) }, Theme::default()));
}

fn log_of(texts: &[&str]) -> Log {
    let mut log = Log::default();
    let request = settle(&mut log, 1, texts.len() as u64).expect("lines are missing");
    answer_with(&mut log, request, texts);
    settle(&mut log, 1, texts.len() as u64);
    log
}

#[test]
fn a_wrapped_line_that_is_taller_than_the_pane_is_read_to_its_end() {
    // The pane has 10 rows of 72 columns, so the line has 14 rows.
    let long = "x".repeat(1000);
    let mut log = log_of(&["first", &long, "last"]);
    log.handle(Action::Wrap);
    log.handle(Action::Top);
    settle(&mut log, 1, 3);
    let mut seen = Vec::new();
    for _ in 0..6 {
        log.handle(Action::Down);
        settle(&mut log, 1, 3);
        seen.push((log.cursor, log.rows_above()));
    }
    assert_eq!(seen, [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0)]);
    log.handle(Action::Up);
    assert_eq!((log.cursor, log.rows_above()), (1, 4), "from below, the end of the line is shown first");
    log.handle(Action::PageUp);
    assert_eq!((log.cursor, log.rows_above()), (1, 0));
    log.scroll_by(3);
    assert_eq!((log.cursor, log.rows_above()), (1, 3));
    log.handle(Action::Up);
    log.handle(Action::Bottom);
    settle(&mut log, 1, 3);
    assert_eq!((log.cursor, log.follows()), (2, true));

    let mut log = log_of(&["first", &long]);
    log.handle(Action::Wrap);
    settle(&mut log, 1, 2);
    assert_eq!((log.follows(), log.rows_above()), (true, 4), "the end that is followed is the end of the line");
    log.handle(Action::Up);
    assert_eq!((log.follows(), log.cursor, log.rows_above()), (false, 1, 3));
}

#[test]
fn a_match_far_to_the_side_is_brought_into_view() {
    let far = format!("{}日本 needle {}", "x".repeat(1000), "y".repeat(100));
    let near = format!("needle {}", "x".repeat(500));
    let texts = [far.as_str(), "none", "none", "none", "none", "none", "none", &near];
    let mut log = log_of(&texts);
    log.search_for(Pattern::parse("needle", false));
    let find = |log: &mut Log| {
        // Every seventh line matches.
        settle(log, 1, 8);
        settle(log, 1, 8);
        (log.cursor, log.left, log.rows_above())
    };
    assert_eq!(find(&mut log), (0, 995, 0), "ten columns before the match");
    log.go_to_match(true);
    assert_eq!(find(&mut log), (7, 0, 0), "back to the start of the line");
    log.handle(Action::Wrap);
    log.go_to_match(true);
    assert_eq!(find(&mut log), (0, 0, 6), "the match is in row 14 of 16");
}

#[test]
fn a_line_without_its_newline_is_loaded_again_when_it_grows() {
    let mut log = Log::default();
    let mut loads = |open| {
        let effects = log.show(Some(key(1)), Size { lines: 3, open }, (80, 10));
        let loads = effects.into_iter().find_map(|effect| match effect {
            Effect::LoadPage(request) => Some(request),
            _ => None,
        });
        loads.map(|request| answer(&mut log, request, 3))
    };
    assert!(loads(1).is_some());
    assert!(loads(1).is_none(), "it is loaded");
    assert!(loads(2).is_some());
    assert!(loads(0).is_some(), "its end may have come with more text");
    assert!(loads(0).is_none());
}
