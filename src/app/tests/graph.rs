//! The graph: layout and filters.

use super::*;
use crate::app::fixture::script;
use crate::model::testing::{Script, outline};

/// Returns the script of a run with parallel jobs, two of which failed, and a first job that all of them need.
fn wide(jobs: usize) -> Script {
    let names: Vec<String> = (0..jobs).map(|job| format!("part-{job:03}")).collect();
    let parts = names.iter().map(|name| outline(name, name, &["first"]));
    let mut script = script();
    script.start(std::iter::once(outline("first", "first", &[])).chain(parts).collect());
    script.job("first", "first", &[]).at(3).job_end("first", Conclusion::Success);
    for (at, name) in names.iter().enumerate() {
        let end = if at == 7 || at == 9 { Conclusion::Failure } else { Conclusion::Success };
        script.at(4).job(name, name, &[]).at(5 + at as u64).job_end(name, end);
    }
    script
}

#[test]
fn the_critical_path_is_lit_with_its_times() {
    let mut driver = Driver::showing(200, 60, Glyphs::Unicode);
    driver.feed(Feed::Records { run: run(), records: rest() }).press("2P");
    assert!(driver.shows("critical path 3:20"), "{}", driver.screen());
    let buffer = driver.buffer();
    let dim = |text: &str| {
        let screen = driver.screen();
        let (row, line) = screen.lines().enumerate().find(|(row, line)| *row > 1 && line.contains(text)).expect(text);
        let column = line[..line.find(text).expect(text)].chars().count();
        buffer[(column as u16, row as u16)].modifier.contains(Modifier::DIM)
    };
    assert_eq!((dim("Security Scan 2:39"), dim("Test (3.12) 59s")), (false, true), "{}", driver.screen());
    driver.press("P");
    assert!(!driver.shows("critical path 3"));
}

#[test]
fn a_large_graph_shows_what_failed_until_all_is_requested() {
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: wide(120).records }).press("2");
    assert!(driver.shows("failed only ─") && driver.shows("part-007"), "{}", driver.screen());
    assert!(!driver.screen().lines().take(18).any(|line| line.contains("part-010")), "{}", driver.screen());
    driver.press(".");
    assert!(!driver.shows("failed only ─"));
    let mut small = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    small.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: wide(20).records }).press("2");
    assert!(!small.shows("failed only ─"), "{}", small.screen());
}

#[test]
fn siblings_share_a_node_without_room_for_each() {
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: wide(20).records }).press("2");
    assert!(driver.shows("part-000... ×20 18✓2✗") && driver.shows("✗ part-007"), "{}", driver.screen());
    driver.press("-");
    assert!(!driver.shows("..."), "{}", driver.screen());
    driver.press("-z").resize(120, 60);
    assert!(!driver.shows("...") && driver.shows("part-019"), "{}", driver.screen());
}

#[test]
fn every_list_is_filtered_by_words_and_shows_them() {
    for (keys, chip, shown, hidden) in [
        ("2/build<enter>", "/build", "Build Docker", ""),
        ("5/unh app<enter>", "/unh app", "app", "redis"),
        ("6/production<enter>", "/production", "production", "staging"),
        ("5/nothing<enter>", "/nothing", "no service matches the filter", "redis"),
        ("6/nothing<enter>", "/nothing", "no environment matches the filter", "staging"),
        ("2/nothing<enter>", "/nothing", "no job matches the filter", ""),
    ] {
        let mut driver = Driver::showing(160, 48, Glyphs::Unicode);
        driver.press(keys);
        assert!(driver.shows(chip) && driver.shows(shown), "{keys}: {}", driver.screen());
        assert!(hidden.is_empty() || !driver.shows(hidden), "{keys}: {}", driver.screen());
        driver.press("<esc>");
        assert!(!driver.shows(chip), "{keys}: {}", driver.screen());
    }
}

#[test]
fn a_changed_state_keeps_the_layout_of_a_large_graph() {
    let mut driver = Driver::new(100, 30, Theme { motion: false, ..Theme::default() });
    let mut script = wide(60);
    let last = script.records.len() - 10;
    let rest = script.records.split_off(last);
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records }).press("2z.");
    let before = driver.app.panes.graph.layouts();
    driver.feed(Feed::Records { run: run(), records: rest });
    assert_eq!(driver.app.panes.graph.layouts(), before);
}

#[test]
fn names_of_any_length_are_drawn() {
    for length in [1_000, 65_535, 70_000] {
        let long = "x".repeat(length);
        let mut script = script();
        script.start(vec![outline("a", &long, &[]), outline("b", &long, &["a"])]);
        script.job("a", &long, &[]).at(3).job_end("a", Conclusion::Failure);
        let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
        driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records });
        for keys in ["2", "-", "3", "z"] {
            driver.press(keys);
            assert!(driver.shows("xxxx"), "{length} {keys}: {}", driver.screen());
        }
    }
}

#[test]
fn a_chain_of_ten_jobs_keeps_its_names() {
    let names = ["lint", "unit", "build", "image", "scan", "push", "stage", "smoke", "deploy", "verify"];
    let mut script = script();
    script.start((0..10).map(|at| outline(names[at], names[at], &names[at.saturating_sub(1)..at])).collect());
    let mut driver = Driver::new(120, 40, Theme { motion: false, ..Theme::default() });
    driver.feed(Feed::Opened(header(run()))).feed(Feed::Records { run: run(), records: script.records }).press("2");
    let screen = driver.screen();
    let graph = screen.lines().skip(1).take(4).map(|line| line.chars().skip(44).collect::<String>() + "\n");
    insta::assert_snapshot!("chain-in-panel", graph.collect::<String>());
    driver.press("z");
    insta::assert_snapshot!("chain-zoomed", driver.screen().lines().take(4).collect::<Vec<_>>().join("\n"));
}
