//! Hostile names, reasons and logs: they reach a terminal, a graph format or GitHub's runner only as plain text.

use std::sync::Arc;

use proptest::prelude::*;

use crate::model::{Summary, Timestamp};
use crate::ui::terminal_text::is_unsafe;
use crate::ui::theme::Glyphs;
use crate::workflow;
use crate::workflow::plan::{Plan, PlanContexts};
use crate::workflow::source::Source;

use super::printer::testing::Story;
use super::printer::{GitHub, Json, Lines, Printer, Protocol};
use super::style::Style;
use super::{explain, plan, runs, style};

/// Returns text that an attacker could write.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = [
        "\u{1b}[31m",
        "\u{1b}[2J",
        "\u{1b}]0;title\u{7}",
        "\u{1b}]52;c;aGk=\u{7}",
        "\u{1b}",
        "\u{9b}31m",
        "\u{90}",
        "\u{7f}",
        "\u{0}",
        "\n",
        "\r",
        "\r\n",
        "\t",
        " ",
        "\n::error::forged",
        "::set-env name=A::b",
        "##[error]forged",
        "##[add-path]/x",
        "::stop-commands::x",
        "%0A::error::x",
        "\u{202e}",
        "\u{2066}",
        "\u{61c}",
        "\u{200b}",
        "\u{200d}",
        "\u{feff}",
        "\u{e0041}",
        "\u{e007f}",
        "\u{2028}",
        "\u{fe0f}",
        "\u{1f3ff}",
        "\u{3164}",
        "\u{ad}",
        "name",
        "日本",
        "é",
        "\"",
        "\\",
        "<script>",
        "];",
        "-->",
    ];
    let piece = prop_oneof![4 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// Checks that the output contains only text, line ends, tabs and our own colours.
fn check(printed: &str) -> Result<(), TestCaseError> {
    let sequence = regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern");
    let rest = sequence.replace_all(printed, "");
    let bad = rest.chars().find(|c| is_unsafe(*c) && !matches!(c, '\n' | '\t'));
    prop_assert_eq!(bad, None, "in {:?}", printed);
    Ok(())
}

/// Returns the commands that GitHub's runner would find in these lines.
fn commands(printed: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut stopped: Option<String> = None;
    for line in printed.lines() {
        let modern = line.trim_start().strip_prefix("::").and_then(|rest| rest.split_once("::"));
        let old = line.split_once("##[").and_then(|(_, rest)| rest.split_once(']'));
        let Some((head, data)) = modern.or(old) else { continue };
        let name = head.split(' ').next().unwrap_or_default().to_owned();
        match &stopped {
            Some(token) if *token == name => stopped = None,
            Some(_) => {}
            None if name == "stop-commands" => stopped = Some(data.to_owned()),
            None => found.push(name),
        }
    }
    found
}

fn planned(name: &str) -> Plan {
    let escaped = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\U{:08x}", u32::from(c)) };
    let quoted = format!("\"{}\"", name.chars().map(escaped).collect::<String>());
    let steps = format!("[{{run: 'true', name: {quoted}}}]");
    let condition = format!("\"'{}' != ''\"", name.chars().filter(|c| *c != '\'').map(escaped).collect::<String>());
    let job = format!("name: {quoted}, runs-on: x, steps: {steps}");
    let text = format!("on: push\njobs:\n  a: {{{job}}}\n  b: {{needs: a, if: {condition}, {job}}}\n");
    let parsed = workflow::parse(&Source::new("ci.yml", text)).value.expect("a workflow");
    Plan::new(Arc::new(parsed), &PlanContexts::default(), &|_| None).expect("a plan")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_printer_passes_on_what_a_terminal_would_obey(text in any_text()) {
        let story = Story::hostile(&text);
        for style in [Style::new(Glyphs::Unicode, true), Style::new(Glyphs::Ascii, false)] {
            let printers: [Box<dyn Printer>; 4] =
                [Box::new(Lines::new(style)), Box::new(GitHub::new(style)), Box::new(Json), Box::new(Protocol)];
            for mut printer in printers {
                check(&story.print(printer.as_mut()))?;
            }
            let run = story.run();
            check(runs::shown(&run, style).as_str())?;
            check(explain::page(&explain::decided(run.jobs.values(), None), style).as_str())?;
            let listed = runs::listed(&[Summary::from(&run)], false, style, Timestamp(0));
            check(listed.as_str())?;
            prop_assert_eq!(listed.as_str().lines().count(), 1, "a name forges no line");
        }
        for line in story.print(&mut Json).lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON stays JSON");
            prop_assert!(value["event"].is_string());
        }
    }

    #[test]
    fn no_name_is_a_command_to_the_runner(text in any_text()) {
        let story = Story::hostile(&text);
        let style = Style::new(Glyphs::Unicode, false);
        let printed = story.print_to(&mut GitHub::new(style), true);
        let ours = ["notice", "error"];
        prop_assert_eq!(commands(&printed), ours, "{}", printed);
        let printers: [Box<dyn Printer>; 3] = [Box::new(Lines::new(style)), Box::new(Json), Box::new(Protocol)];
        for mut printer in printers {
            prop_assert_eq!(commands(&story.print_to(printer.as_mut(), true)), Vec::<String>::new());
        }
        let mut bytes = Vec::new();
        let mut out = style::Out::read_by_runner(&mut bytes, true);
        out.print(&runs::shown(&story.run(), style)).expect("memory");
        out.line(&text).expect("memory");
        prop_assert_eq!(commands(&String::from_utf8(bytes).expect("text")), Vec::<String>::new());
    }

    #[test]
    fn no_plan_passes_on_what_a_terminal_or_a_graph_would_obey(name in any_text()) {
        prop_assume!(!name.contains("${{"));
        let plan = planned(&name);
        check(plan::lines(&plan).as_str())?;
        check(plan::graph(&plan).svg().as_str())?;
        let mermaid = plan::mermaid(&plan);
        check(mermaid.as_str())?;
        prop_assert_eq!(mermaid.as_str().lines().count(), 4, "a graph, two nodes, an edge");
        prop_assert!(mermaid.as_str().lines().all(|line| line.matches('"').count() % 2 == 0 && !line.contains('<')));
        let dot = plan::dot(&plan);
        check(dot.as_str())?;
        prop_assert_eq!(dot.as_str().lines().count(), 6, "a header, two nodes, an edge, an end");
    }
}
