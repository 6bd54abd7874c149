//! Help, palette and forms: their columns, headings and scroll marks, and what they cover.

use super::*;
use crate::app::action::{ACTIONS, Context, Entry};
use crate::ui::layout;
use ratatui::layout::Rect;

#[test]
fn golden_popups() {
    for (width, height) in [(80, 24), (120, 40), (200, 60), (60, 16)] {
        for (name, keys) in [
            ("help", "?"),
            ("help-search", "?fold"),
            ("palette", ":"),
            ("palette-search", ":re"),
            ("form", "Srel<enter>"),
        ] {
            let mut driver = Driver::showing(width, height, Glyphs::Unicode);
            driver.press(keys);
            insta::assert_snapshot!(format!("{name}-{width}x{height}"), driver.screen());
        }
    }
}

#[test]
fn rows_of_lists_fields_and_answers_of_questions_can_be_clicked() {
    use crossterm::event::{MouseButton, MouseEventKind};
    let mouse = |driver: &mut Driver, kind, text: &str| {
        let at = driver.place(text);
        driver.mouse(kind, at);
    };
    let down = MouseEventKind::Down(MouseButton::Left);
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("1jd").asked();
    mouse(&mut driver, down, "Delete the run?");
    assert!(driver.app.overlay.is_some(), "the border is not an answer: {}", driver.screen());
    mouse(&mut driver, down, "n  keep it");
    assert!(driver.app.overlay.is_none() && driver.asked().is_empty(), "{}", driver.screen());
    driver.press("d");
    mouse(&mut driver, down, "y  delete it");
    assert!(driver.app.overlay.is_none() && !driver.asked().is_empty(), "{}", driver.screen());
    driver.press("k:job");
    mouse(&mut driver, down, "job Test (3.12)");
    assert!(driver.app.overlay.is_some(), "the first click selects: {}", driver.screen());
    mouse(&mut driver, down, "job Test (3.12)");
    assert!(driver.app.overlay.is_none() && driver.shows("▌✓ Test (3.12)"), "{}", driver.screen());
    driver.press("Srel<enter>");
    mouse(&mut driver, down, "copies");
    assert!(driver.shows("the copies"), "{}", driver.screen());
    driver.press("<esc>g");
    mouse(&mut driver, down, "go to the first failed step");
    assert!(driver.shows("E   AssertionError") && !driver.shows("Esc: cancel"), "{}", driver.screen());
    driver.press("?");
    let first = driver.screen();
    mouse(&mut driver, MouseEventKind::ScrollDown, "Keys: ");
    assert_ne!(driver.screen(), first, "the wheel scrolls the help");
}

#[test]
fn no_row_of_the_help_is_cut() {
    for (width, height) in [(120, 40), (80, 24), (60, 16), (40, 10)] {
        let mut driver = Driver::showing(width, height, Glyphs::Unicode);
        driver.press("?");
        let (mut seen, mut last) = (String::new(), String::new());
        while driver.screen() != last {
            last = driver.screen();
            assert!(!last.lines().any(|line| line.starts_with('│') && line.contains('…')), "{last}");
            seen.push_str(&last);
            driver.press("<down>");
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let seen: HashSet<String> = seen
            .split_whitespace()
            .flat_map(|word| [word, word.trim_matches(['│', '┃']), word.trim_end_matches(',')])
            .map(str::to_owned)
            .collect();
        let is_listed = |entry: &&Entry| {
            let here = [Context::Everywhere, Context::Panel(Panel::Jobs)];
            !entry.action.is_of_replay() && here.iter().any(|context| entry.contexts.contains(context))
        };
        for entry in ACTIONS.iter().filter(is_listed) {
            let key = driver.app.keymap.keys(entry.action).first().map(ToString::to_string).unwrap_or_default();
            let missing: Vec<String> = words(&format!("{key} {} {}", entry.name, entry.doc))
                .into_iter()
                .filter(|word| !seen.contains(word))
                .collect();
            assert!(missing.is_empty(), "{width}x{height}: {missing:?} of {}", entry.name);
        }
        driver.press("<up>");
        assert_ne!(driver.screen(), last, "the end was not passed");
    }
}

#[test]
fn a_narrow_footer_has_the_keys_that_start_and_run_again() {
    for (width, height) in [(60, 16), (80, 24)] {
        let mut driver = Driver::showing(width, height, Glyphs::Unicode);
        driver
            .feed(Feed::Records { run: run(), records: rest() })
            .send(Msg::Tick(Timestamp(START + 300_000)))
            .press("k");
        let footer = driver.footer();
        for hint in ["?:help", "::command", "S:start", "r:re-run", "e:next error", "q:quit"] {
            assert!(footer.contains(hint), "{hint}: {footer}");
        }
    }
}

#[test]
fn a_form_says_how_each_field_is_changed() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("Srel<enter>");
    for hint in ["type:a text", "space:on, off", "left, right:change", "type:a number", "left, right:change"] {
        let footer = driver.footer();
        assert!(footer.contains(hint) && footer.starts_with(" enter:start  esc:close"), "{hint}: {footer}");
        driver.press("<down>");
    }
}

#[test]
fn the_keys_of_a_replay_are_listed_only_in_a_replay() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("?step-back");
    assert!(driver.shows("no matches"), "{}", driver.screen());
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Connection(Connection::Replay)).feed(Feed::Opened(header(run())));
    driver.feed(Feed::Records { run: run(), records: records().into_iter().chain(rest()).collect() });
    driver.send(Msg::Tick(Timestamp(5_000))).press("?");
    assert!(driver.shows("│ Replay ") && driver.shows("step-back"), "{}", driver.screen());
}

#[test]
fn the_search_of_the_help_finds_the_keys_of_other_panels() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("3?");
    assert!(driver.shows("Here: Jobs") && !driver.shows("In Log"), "{}", driver.screen());
    driver.press("fold every");
    assert!(driver.shows("In Log") && driver.shows("fold-all"), "{}", driver.screen());
}

#[test]
fn a_long_popup_has_a_scroll_mark_that_moves() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("?");
    let marks = |driver: &Driver| {
        let buffer = driver.buffer();
        (0..24).filter(|y| buffer[(79, *y)].symbol() == "┃").collect::<Vec<u16>>()
    };
    let first = marks(&driver);
    assert!(!first.is_empty() && first[0] == 2, "{}", driver.screen());
    for _ in 0..20 {
        driver.press("<pagedown>");
    }
    let last = marks(&driver);
    assert_eq!((last.len(), last.last()), (first.len(), Some(&20)), "{}", driver.screen());
}

#[test]
fn a_list_that_is_longer_than_its_panel_has_a_scroll_mark() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    let runs = (0..40).map(|n| past(&format!("20261110-1010{n:02}-{n:04}"), "CI", Conclusion::Success, START - n));
    driver.feed(Feed::Listed { runs: runs.collect(), more: false, of: None }).press("1");
    assert!(driver.shows("┃"), "{}", driver.screen());
    driver.press("/failure");
    assert!(!driver.shows("┃"), "{}", driver.screen());
}

#[test]
fn a_popup_leaves_no_strip_of_the_screen() {
    for (width, height) in [(30, 8), (60, 16), (80, 24), (120, 40), (200, 60)] {
        let screen = Rect::new(0, 0, width, height);
        for wanted in 1..=width {
            for rows in 1..=height {
                let popup = layout::popup(screen, wanted, rows);
                assert_eq!(popup.intersection(screen), popup);
                let (left, right) = (popup.x, width - popup.right());
                assert!(left == right || left + 1 == right, "{popup:?}");
                assert!(left == 0 || left >= 8, "{popup:?} on {width} columns");
                let around = height - popup.height;
                assert!(around <= 3 || around >= 8, "{popup:?} on {height} rows");
            }
        }
    }
}

#[test]
fn the_footer_follows_the_popup() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    assert!(driver.footer().ends_with("q:quit"), "{}", driver.footer());
    driver.press(":");
    assert_eq!(driver.footer(), " type:filter  enter:choose  esc:close");
    driver.press("<esc>?");
    assert_eq!(driver.footer(), " type:search  up, down:scroll  esc:close");
}

#[test]
fn choices_of_a_form_show_their_place_and_go_both_ways() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("Srel<enter><down><down>");
    assert!(driver.shows("◂ dev ▸ 1/2"), "{}", driver.screen());
    for (key, shown) in
        [("<right>", "◂ prod ▸ 2/2"), ("<right>", "◂ dev ▸ 1/2"), ("<left>", "◂ prod ▸ 2/2"), (" ", "◂ dev ▸ 1/2")]
    {
        driver.press(key);
        assert!(driver.shows(shown), "{}", driver.screen());
    }
    let mut driver = Driver::showing(80, 24, Glyphs::Ascii);
    driver.press("Srel<enter>");
    assert!(driver.shows("< dev > 1/2") && driver.screen().is_ascii(), "{}", driver.screen());
}

#[test]
fn the_cursor_of_the_log_lights_its_whole_row_and_a_match_stands_out() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("4gg/module 3 <enter>");
    let buffer = driver.buffer();
    let is_lit = |x: u16, y: u16| buffer[(x, y)].modifier.contains(Modifier::REVERSED);
    let row = (0..24).rev().find(|y| buffer[(1, *y)].symbol() == "▌").expect("a cursor");
    let text: String = (1..79).map(|x| buffer[(x, row)].symbol()).collect();
    let at = 1 + text[..text.find("module 3").expect("a match")].chars().count() as u16;
    for x in 1..79 {
        assert_eq!(is_lit(x, row), !(at..at + 9).contains(&x), "column {x} of {text}");
    }
    assert!((1..79).all(|x| !is_lit(x, row + 1)), "the row below is not lit");
}

#[test]
fn every_text_field_knows_the_usual_keys() {
    for opens in ["1/", "4/", "4&", ":", "?", "F", "Srel<enter>"] {
        for (keys, shown) in [
            ("one two<ctrl-u>x", "x"),
            ("one two<ctrl-w>x", "one x"),
            ("two<home>x", "xtwo"),
            ("two<home><end>x", "twox"),
            ("two<ctrl-a>x<ctrl-e>y", "xtwoy"),
            ("two<home><delete>x", "xwo"),
            ("one two<alt-b>x", "one xtwo"),
            ("one two<ctrl-left>x", "one xtwo"),
        ] {
            let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
            driver.press(opens).press(keys);
            assert!(driver.shows(shown), "{opens} {keys}: {}", driver.screen());
        }
    }
}

#[test]
fn the_help_names_the_signs_of_jobs() {
    for (glyphs, signs) in [(Glyphs::Unicode, "✗ failed, ! allowed"), (Glyphs::Ascii, "X failed, ! allowed")] {
        let mut driver = Driver::showing(80, 24, glyphs);
        driver.press("?cancelled");
        assert!(driver.shows("Signs of jobs") && driver.shows(signs), "{}", driver.screen());
    }
}
