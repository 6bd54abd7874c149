//! The hints of the footer: what they name, and that they can be clicked.

use super::*;
use crate::app::fixture::script;
use crate::model::feed::{BrokenWorkflow, StartableWorkflow, Waits, Watching};
use crate::model::testing::{annotation, job_finished, step_finished};
use crate::model::{Preview, StepNumber};
use crossterm::event::{MouseButton, MouseEventKind};

fn workflow(file: &str, events: &[&str]) -> StartableWorkflow {
    StartableWorkflow {
        workflow: format!(".github/workflows/{file}"),
        server: None,
        name: "Deploy to staging".to_owned(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        inputs: Vec::new(),
        secrets: vec![("TOKEN".to_owned(), true)],
        jobs: Vec::new(),
    }
}

fn start_page(width: u16, height: u16) -> Driver {
    let mut driver = Driver::new(width, height, Theme { motion: false, ..Theme::default() });
    let text = "error: unknown key `job`\n  --> .github/workflows/bad.yml:7:3\n".to_owned();
    let broken = BrokenWorkflow { workflow: ".github/workflows/bad.yml".to_owned(), errors: 1, text };
    driver.feed(Feed::Startable(vec![workflow("ci.yml", &["push"]), workflow("deploy.yml", &["push"])]));
    driver.feed(Feed::Broken(vec![broken])).feed(Feed::Listed { runs: Vec::new(), more: false, of: None });
    driver
}

/// Clicks the first place of a text in the last row.
fn click(driver: &mut Driver, text: &str) {
    let footer = driver.footer();
    let at = footer.find(text).unwrap_or_else(|| panic!("{text} is not in: {footer}"));
    let (column, row) = (footer[..at].chars().count() as u16, driver.buffer().area.height - 1);
    driver.mouse(MouseEventKind::Down(MouseButton::Left), (column, row));
}

#[test]
fn the_start_page_says_that_enter_starts_the_selected_workflow_as_the_key_of_the_action_does() {
    let mut driver = start_page(80, 24);
    assert!(driver.footer().contains("enter:start") && !driver.footer().contains("S:start"), "{}", driver.footer());
    for keys in ["j<enter>", "<esc>S"] {
        driver.press(keys);
        assert!(driver.shows("Start deploy.yml on push"), "{keys}: {}", driver.screen());
    }
    driver.press("<esc>j");
    assert!(driver.footer().contains("enter:errors"), "{}", driver.footer());
}

#[test]
fn the_help_of_a_panel_lists_the_keys_of_its_hints() {
    let here = |driver: &Driver| {
        let screen = driver.screen();
        let rows = screen.lines().skip_while(|line| !line.contains(" Here: ")).skip(1).take(4);
        rows.collect::<Vec<_>>().join("\n")
    };
    for (width, height) in [(80, 24), (40, 10)] {
        let mut driver = start_page(width, height);
        for (keys, hint) in [("?", "start"), ("<esc>jj?", "errors")] {
            driver.press(keys);
            let rows = here(&driver);
            assert!(rows.contains(" enter") && rows.contains(" open") && rows.contains(hint), "{}", driver.screen());
            assert!(!driver.shows("only the keys that work everywhere"), "{}", driver.screen());
        }
    }
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Records { run: run(), records: rest() }).press("e?");
    let rows = here(&driver);
    assert!(rows.contains("yank") && rows.contains("search run"), "what to do about a failure: {}", driver.screen());
}

#[test]
fn a_workflow_without_inputs_is_confirmed_with_its_name_event_and_ref() {
    let mut driver = start_page(80, 24);
    driver.press("<enter>");
    assert!(driver.shows("ref       reading the repository"), "{}", driver.screen());
    assert_eq!(driver.asked().last(), Some(&Effect::Request(Request::ReadHead)));
    driver.feed(Feed::Head("main@b835125+2".to_owned()));
    insta::assert_snapshot!("confirm-80x24", driver.screen());
    driver.press("<enter>");
    assert!(matches!(driver.asked().last(), Some(Effect::Request(Request::Start { event, .. })) if event == "push"));
    let mut narrow = start_page(40, 10);
    narrow.press("<enter>").feed(Feed::Head("main@b835125+2".to_owned()));
    insta::assert_snapshot!("confirm-40x10", narrow.screen());
}

#[test]
fn forms_and_dialogs_fit_a_tiny_screen() {
    let mut driver = Driver::showing(40, 10, Glyphs::Unicode);
    driver.press("Srel<enter>");
    let mut shown = String::new();
    for _ in 0..5 {
        assert!(driver.footer().contains("enter:start  esc:close"), "{}", driver.screen());
        shown.push_str(&driver.screen());
        driver.press("<down>");
    }
    for field in ["version", "dry", "target", "copies", "sandbox", "where jobs without a"] {
        assert!(shown.contains(field), "{field}: {shown}");
    }
    driver.feed(Feed::Records { run: run(), records: rest() }).press("<esc>r");
    let screen = driver.screen();
    assert!(screen.contains("esc:close"), "{screen}");
    insta::assert_snapshot!("rerun-40x10", screen);
    driver.press("<esc>").feed(Feed::Untrusted { question: 1, preview: Preview::default() });
    for hint in ["y:trust", "n:not now", "v:show all"] {
        assert!(driver.footer().contains(hint), "{}", driver.screen());
    }
}

/// Returns a screen with a job whose second step failed with an annotation.
fn failed(width: u16, height: u16) -> Driver {
    let mut script = script();
    script.start([outline("test", "Test", &[]), outline("pack", "Pack", &[])].into());
    script.at(1).job("test", "Test", &["Set up job", "Compile"]).job("pack", "Pack", &["Set up job"]);
    script.at(2).step("test", 2, "Compile", 3).event(Event::Annotated {
        job: JobId::new("test"),
        step: StepNumber(2),
        annotation: annotation("src/a.c", 3, "wrong"),
    });
    script.at(3).event(step_finished("test", 2, Conclusion::Failure, 1, Some("exit code 1")));
    script.event(job_finished("test", Conclusion::Failure, None));
    let mut driver = Driver::new(width, height, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
    driver.app = driver.app.clone().showing(run());
    driver.send(Msg::Tick(Timestamp(START + 30_000)));
    driver
}

#[test]
fn a_failure_offers_the_file_the_text_and_the_search() {
    let mut driver = failed(120, 40);
    driver.press("e");
    for hint in ["o open file", "y copy", "F search run"] {
        assert!(driver.footer().contains(hint), "{hint}: {}", driver.footer());
    }
    assert!(driver.shows("1 error"), "the header has room for words: {}", driver.screen());
    driver.press("3G");
    assert!(!driver.footer().contains("open file"), "nothing failed here: {}", driver.footer());
    let header = |driver: &Driver| driver.screen().lines().next().unwrap_or_default().to_owned();
    assert!(header(&failed(80, 24)).ends_with("  1 error"), "here, too: {}", header(&failed(80, 24)));
    let mut narrow = failed(60, 16);
    narrow.press("e");
    assert!(narrow.screen().lines().next().is_some_and(|header| header.contains("!1")), "{}", narrow.screen());
    narrow.resize(80, 24).press("?!2");
    assert!(narrow.shows("In the header") && narrow.shows("2 errors were reported"), "{}", narrow.screen());
}

#[test]
fn hints_can_be_clicked() {
    let mut driver = failed(120, 40);
    click(&mut driver, "? help");
    assert!(driver.shows("Keys: "), "{}", driver.screen());
    click(&mut driver, "esc close");
    assert!(!driver.shows("Keys: "), "{}", driver.screen());
    click(&mut driver, ": command");
    assert!(driver.shows("Do or go to"), "{}", driver.screen());
}

#[test]
fn the_errors_of_a_workflow_are_opened_in_the_editor() {
    let mut driver = start_page(80, 24);
    driver.press("G<enter>");
    assert!(driver.footer().contains("o:open file"), "{}", driver.screen());
    driver.asked();
    let edit = Effect::Edit { run: None, file: ".github/workflows/bad.yml".to_owned(), line: Some(7) };
    driver.press("o");
    assert_eq!(driver.asked(), [edit]);
    assert!(driver.shows("unknown key"), "the errors stay, and change with the file: {}", driver.screen());
}

#[test]
fn watch_mode_says_that_it_is_on_and_off() {
    let mut driver = Driver::showing(120, 40, Glyphs::Unicode);
    driver.feed(Feed::Watching(Some(Watching { workflow: None, changed: None, waits: Waits::ForRun })));
    assert!(driver.shows("watch mode is on: when files change"), "{}", driver.screen());
    driver.feed(Feed::Watching(None));
    assert!(driver.shows("watch mode is off"), "{}", driver.screen());
}

#[test]
fn commands_of_the_program_are_in_the_palette() {
    let mut driver = failed(120, 40);
    driver.asked();
    let id = run().to_string();
    for (typed, arguments, has_screen) in [
        ("replay", vec!["replay".to_owned(), id.clone()], true),
        ("explain", vec!["explain".to_owned(), id, "pack".to_owned()], false),
        ("lint", vec!["lint".to_owned()], false),
    ] {
        driver.press(&format!(":{typed}<enter>"));
        assert_eq!(driver.asked(), [Effect::Program { arguments, has_screen }]);
    }
    driver.press(":detach<enter>");
    assert_eq!(driver.asked(), [Effect::Quit], "although the run goes on");
}

#[test]
fn the_filter_of_jobs_finds_what_their_rows_show() {
    let mut driver = failed(120, 40);
    driver.press("3/exit");
    assert!(driver.footer().contains("Filter jobs /exit"), "{}", driver.footer());
    let has = |driver: &Driver, job: &str| {
        let rows = [format!("│ ✗ {job} "), format!("│▌✗ {job} ")];
        driver.screen().lines().any(|line| rows.iter().any(|row| line.starts_with(row)))
    };
    let rows = |driver: &Driver| driver.screen().lines().filter(|line| line.starts_with("│ ● Pack")).count();
    assert!(has(&driver, "Test") && rows(&driver) == 0, "{}", driver.screen());
    for (filter, expected) in
        [("status:failed", true), ("status:running", false), ("error src", true), ("nothing", false)]
    {
        driver.press(&format!("<ctrl-u>{filter}"));
        assert_eq!(has(&driver, "Test"), expected, "{filter}: {}", driver.screen());
    }
    driver.press("<esc>1/");
    assert!(driver.footer().contains("Filter runs /"), "{}", driver.footer());
    driver.press("<esc>4/");
    assert!(driver.footer().contains("Search log /"), "{}", driver.footer());
}

#[test]
fn the_keys_of_a_replay_say_what_they_do_now() {
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Connection(Connection::Replay)).feed(Feed::Opened(header(run())));
    driver.feed(Feed::Records { run: run(), records: records().into_iter().chain(rest()).collect() });
    driver.send(Msg::Resize(120, 40)).send(Msg::Tick(Timestamp(5_000))).send(Msg::Tick(Timestamp(35_000)));
    assert!(driver.footer().contains("space pause") && driver.footer().contains("( -10s"), "{}", driver.footer());
    driver.press(" ");
    assert!(driver.footer().contains("space play") && driver.shows("paused 1x 30s/3:22"), "{}", driver.screen());
    driver.press("))");
    assert!(driver.shows("paused 1x 50s/3:22"), "{}", driver.screen());
    driver.press("(((((((");
    assert!(driver.shows("paused 1x 0.0s/3:22"), "{}", driver.screen());
}

#[test]
fn on_a_light_background_every_colour_is_dark() {
    use crate::ui::theme::Background;
    use ratatui::style::Color;
    for (width, height) in [(80, 24), (60, 16)] {
        for keys in ["", "3", "6", "2", "0", "?", ":", "q", "r", "S", "y"] {
            let mut driver = failed(width, height);
            driver.app.theme.background = Background::Light;
            driver.press(keys);
            for cell in &driver.buffer().content {
                // Those of the theme that have a contrast of at least 4.5 to white.
                let is_dark =
                    matches!(cell.fg, Color::Reset | Color::Indexed(18 | 20 | 24 | 25 | 28 | 53 | 60 | 90 | 130 | 160));
                assert!(is_dark && cell.bg == Color::Reset, "{keys}: {:?} on {:?}", cell.fg, cell.bg);
            }
        }
    }
}
