//! Key sequences and text inputs.

use super::*;
use crate::app::keymap::Keymap;
use crate::model::Preview;

#[test]
fn a_prefix_shows_what_can_follow() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    assert!(driver.shows("g go to"), "the footer names the prefix: {}", driver.screen());
    assert!(!driver.app.moving_rows().is_empty());
    driver.press("g");
    insta::assert_snapshot!(driver.screen());
    assert!(driver.app.moving_rows().is_empty(), "the box covers the log");
    driver.press("<esc>");
    assert!(!driver.shows("Esc: cancel") && !driver.shows("not bound"), "{}", driver.screen());
    driver.press("gz");
    assert!(!driver.shows("Esc: cancel") && driver.shows("`g z` is not bound"), "{}", driver.screen());
}

#[test]
fn only_leaving_works_while_the_terminal_is_too_small_to_show_anything() {
    let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
    driver.press("1jg").resize(20, 5).asked();
    let words = driver.screen().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words, "The terminal is too small: needs 30x8; q quits");
    driver.press("dy<enter>sy<enter>:").send(Msg::Paste("trust".to_owned()));
    assert_eq!(driver.asked(), [], "nobody saw a question");
    assert!(driver.app.overlay.is_none() && driver.app.pressed.is_empty());
    for (key, effect) in [("<ctrl-z>", Effect::Suspend), ("<ctrl-l>", Effect::Redraw), ("<ctrl-c>", Effect::Quit)] {
        assert_eq!(driver.press(key).asked(), [effect], "{key}");
    }
    assert_eq!(driver.press("q").asked(), [Effect::Quit], "without the question about the active run");
    driver.resize(10, 2);
    assert!(driver.shows("q quits"), "{}", driver.screen());
    driver.resize(80, 24).press("d");
    assert!(driver.app.overlay.is_some(), "{}", driver.screen());
    assert_eq!(driver.resize(29, 24).press("y").asked(), [], "the question is not on the screen either");
}

#[test]
fn a_prefix_box_fits_on_small_screens_and_in_ascii() {
    for (width, height) in [(30, 8), (40, 10), (80, 24)] {
        let mut driver = Driver::showing(width, height, Glyphs::Ascii);
        driver.press("g");
        let screen = driver.screen();
        assert!(screen.is_ascii() && screen.contains("g  go to"), "{screen}");
        for key in ["f", "n", "g", "e", "r", "x", "l", "q"] {
            let is_shown = |line: &str| line.contains(&format!("| {key} ")) || line.contains(&format!(" {key} "));
            assert!(screen.lines().any(is_shown), "{key}: {screen}");
        }
        assert_eq!(driver.footer().trim().replace(':', " "), "esc cancel", "the other keys of the panel do not work");
    }
}

#[test]
fn sequences_move_and_find_the_first_failure() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("3gg");
    assert!(driver.shows("4 Log · Lint"), "{}", driver.screen());
    driver.press("ge");
    assert!(driver.shows("▌· Build Docker"), "{}", driver.screen());
    driver.press("gf");
    assert!(driver.shows("Test (3.13) › 4 Run tests") && driver.shows("E   AssertionError"), "{}", driver.screen());
    driver.press("1G");
    assert_eq!(driver.app.selection.run_id(), Some(&RunId::new("20261122-101010-bbbb")));
    driver.press("gn");
    assert_eq!(driver.app.selection.run_id(), Some(&run()));
}

#[test]
fn help_lists_sequences_and_finds_them() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("?first row");
    assert!(driver.shows("g g, home") && driver.shows("to the first row"), "{}", driver.screen());
    driver.press("<ctrl-u>g");
    driver.press("<end><pagedown>");
    assert!(driver.shows("g r  "), "a prefix finds its sequences: {}", driver.screen());
    driver.press("<ctrl-u>g e");
    assert!(driver.shows("G, end, g e"), "{}", driver.screen());
}

#[test]
fn sequences_work_in_overlays_without_text() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Records { run: run(), records: rest() });
    driver.asked();
    driver.press("rGg");
    assert!(driver.shows("Re-run") && driver.shows("g  to the first row"), "{}", driver.screen());
    driver.press("g<enter>");
    let failed = Command::Rerun { what: RerunScope::Failed, debug: false };
    assert_eq!(driver.asked(), [Effect::Request(Request::Submit { run: run(), command: failed })]);
}

#[test]
fn sequences_of_the_configuration_are_carried_out() {
    let keymap = Keymap::new([("stop", vec!["ctrl-x s".to_owned()])]).expect("no conflict");
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.app.keymap = keymap;
    driver.press("<ctrl-x>");
    assert!(driver.shows("ctrl-x ─") && driver.shows("cancel the run"), "{}", driver.screen());
    driver.press("s");
    assert!(driver.shows("Cancel the run?"), "{}", driver.screen());
}

#[test]
fn an_overlay_that_opens_by_itself_ends_a_sequence() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    let preview = Preview::default();
    driver.press("g").feed(Feed::Untrusted { question: 7, preview });
    assert!(driver.shows("Not trusted to run") && !driver.shows("Esc: cancel"), "{}", driver.screen());
    driver.press("n");
    assert!(!driver.shows("Not trusted") && !driver.shows("not bound"), "{}", driver.screen());
}

#[test]
fn texts_are_edited_at_the_cursor_wherever_they_are_typed() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("1/rlease main<alt-b><alt-b><right>e");
    assert!(driver.shows("/release main") && driver.shows("▌✓ success  Release"), "{}", driver.screen());
    driver.press("<ctrl-u>");
    assert!(driver.shows("/lease main"), "what is before the cursor is deleted: {}", driver.screen());
    driver.press("<esc>");
    assert_eq!(driver.app.selection.run_id(), Some(&run()), "the selection is as before");
    driver.press(":om<home>zo<enter>");
    assert!(!driver.shows("─┬─"), "zoom: {}", driver.screen());
    driver.press("zF401 ==<left><backspace>!<end> 200");
    assert!(driver.shows("1 in 1 of 13 logs"), "{}", driver.screen());
    driver.press("<esc>F<left>x");
    assert!(driver.shows("> 401 != 20x0"), "a moved cursor edits the previous text: {}", driver.screen());
    driver.press("<esc>Fy");
    assert!(driver.shows("> y"), "typing replaces the previous text: {}", driver.screen());
    driver.press("<esc>?stp<left>o<delete>");
    assert!(driver.shows("> sto"), "{}", driver.screen());
}

#[test]
fn a_form_takes_pasted_text_and_edits_it() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.press("Srel<enter>").send(Msg::Paste("1.2\n.3 beta".to_owned()));
    driver.press("<ctrl-w><backspace><home>v<down> <down><down>");
    driver.send(Msg::Paste("a 1 2".to_owned())).press("-<enter>");
    assert!(driver.shows("12-") && driver.shows("not a number"), "the form stays: {}", driver.screen());
    driver.press("<backspace><left>x3");
    driver.asked();
    driver.press("<enter>");
    let asked = driver.asked();
    let [Effect::Request(Request::Start { inputs, .. })] = asked.as_slice() else { panic!("{asked:?}") };
    let inputs: Vec<_> = inputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(inputs, [("version", "v1.2 .3"), ("dry", "true"), ("target", "dev"), ("copies", "132")]);
}
