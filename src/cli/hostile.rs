//! Tests that hostile names, reasons and logs reach a terminal, a graph format or GitHub's runner only as plain text.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use proptest::prelude::*;

use crate::config::{Config, ConfigError};
use crate::launch::SecretError;
use crate::launch::doctor::Finding;
use crate::launch::triggers::{TriggerDecision, TriggerError, TriggerOutcome};
use crate::launch::trust::{Distrust, Untrusted};
use crate::model::{Expected, Preview, PreviewLine, Shown, Summary, Timestamp};
use crate::repo::git::GitError;
use crate::repo::workflows::WorkflowFileError;
use crate::report;
use crate::report::conditions;
use crate::report::style;
use crate::report::style::Style;
use crate::report::testing::Story;
use crate::report::{GitHub, Json, Linear, Lines, Printer, Protocol};
use crate::store::StoreError;
use crate::ui::hostile::{any_text, check, commands};
use crate::ui::terminal_text::TerminalText;
use crate::ui::text::width;
use crate::ui::theme::Glyphs;
use crate::worker::prepare::Refusal;
use crate::workflow;
use crate::workflow::diagram;
use crate::workflow::inputs::InputError;
use crate::workflow::plan::{Plan, PlanContexts, UnknownJob, UnknownLeg};
use crate::workflow::source::Source;

use super::{Exit, Failure, trust};

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
        check(&story.print(&mut Linear::default()))?;
        for style in [Style::new(Glyphs::Unicode, true), Style::new(Glyphs::Ascii, false), Style::linear()] {
            let printers: [Box<dyn Printer>; 4] =
                [Box::new(Lines::new(style)), Box::new(GitHub::new(style)), Box::new(Json), Box::new(Protocol)];
            for mut printer in printers {
                check(&story.print(printer.as_mut()))?;
            }
            let run = story.run();
            check(report::runs::shown(&run, &Expected::default(), style, Timestamp(0)).as_str())?;
            check(conditions::page(&conditions::decided(&run, run.jobs.values(), None), style, Timestamp(0)).as_str())?;
            let listed = report::runs::listed(&[Summary::from(&run)], false, None, style, Timestamp(0));
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
        out.print(&report::runs::shown(&story.run(), &Expected::default(), style, Timestamp(0))).expect("memory");
        out.line(&text).expect("memory");
        prop_assert_eq!(commands(&String::from_utf8(bytes).expect("text")), Vec::<String>::new());
    }

    #[test]
    fn no_plan_passes_on_what_a_terminal_or_a_graph_would_obey(name in any_text()) {
        prop_assume!(!name.contains("${{"));
        let plan = planned(&name);
        check(report::plan::lines(&plan).as_str())?;
        check(report::plan::graph(&plan).svg().as_str())?;
        let mermaid = TerminalText::lines(&diagram::mermaid(&plan));
        check(mermaid.as_str())?;
        prop_assert_eq!(mermaid.as_str().lines().count(), 4, "a graph, two nodes, an edge");
        prop_assert!(mermaid.as_str().lines().all(|line| line.matches('"').count() % 2 == 0 && !line.contains('<')));
        let dot = TerminalText::lines(&diagram::dot(&plan));
        check(dot.as_str())?;
        prop_assert_eq!(dot.as_str().lines().count(), 6, "a header, two nodes, an edge, an end");
    }
    #[test]
    fn no_error_passes_on_what_a_terminal_or_a_runner_would_obey(text in any_text()) {
        let (any, path) = (|| text.clone(), || PathBuf::from(&text));
        let skipped = TriggerDecision { path: path(), name: any(), outcome: TriggerOutcome::Skipped(any()) };
        let unknown = UnknownJob { name: any(), hint: any() };
        let failures: [Failure; 14] = [
            GitError::Failed { what: any(), folder: path(), message: any() }.into(),
            GitError::Misplaced { git_folder: path(), root: path() }.into(),
            ConfigError::Invalid { origin: any(), reason: any() }.into(),
            WorkflowFileError::Unknown { wanted: any(), known: vec![any()], nearest: Some(any()) }.into(),
            TriggerError::NoWorkflows(path()).into(),
            TriggerError::NoEvent { event: any(), near: "push" }.into(),
            TriggerError::AllSkipped { event: any(), skipped: vec![skipped] }.into(),
            Untrusted { root: path(), reason: Distrust::Unknown }.into(),
            StoreError::Damaged { path: path(), reason: any() }.into(),
            Refusal::Event { workflow: any(), event: any(), known: vec![any()] }.into(),
            Refusal::Job { workflow: any(), source: unknown }.into(),
            Refusal::Leg(UnknownLeg { key: any(), value: any(), known: vec![any()] }).into(),
            Refusal::Inputs(InputError::Unknown { name: any(), event: any(), inputs: vec![any()] }.into()).into(),
            SecretError::NotInEnvironment(any()).into(),
        ];
        let mut bytes = Vec::new();
        let mut out = style::Out::read_by_runner(&mut bytes, true);
        for failure in &failures {
            let printed = failure.text();
            check(printed.as_str())?;
            let is_ours = |line: &str| !line.is_empty() && !line.starts_with("  ");
            prop_assert!(!printed.as_str().lines().skip(1).any(is_ours), "a name forges no line: {:?}", printed);
            out.line(printed).expect("memory");
        }
        for style in [Style::new(Glyphs::Unicode, true), Style::new(Glyphs::Ascii, false)] {
            let finding = report::lists::finding("settings", &Finding::Bad(text.clone()), style);
            check(finding.as_str())?;
            prop_assert_eq!(finding.as_str().lines().count(), 1);
            out.line(finding).expect("memory");
            for job in Story::hostile(&text).run().jobs.values() {
                for step in &job.steps {
                    let heading = report::runs::heading(job, step, style);
                    check(heading.as_str())?;
                    prop_assert_eq!(heading.as_str().lines().count(), 1);
                    out.line(heading).expect("memory");
                }
            }
        }
        let named = IndexMap::from([(any(), any())]);
        let mut config = Config::default();
        (config.image, config.runs_on, config.actions) = (any(), named.clone(), named);
        let described = TerminalText::lines(&config.describe());
        check(described.as_str())?;
        out.print(&described).expect("memory");
        prop_assert_eq!(commands(&String::from_utf8(bytes).expect("text")), Vec::<String>::new());
    }

    #[test]
    fn no_diagnostic_passes_on_what_a_terminal_or_a_runner_would_obey(name in any_text(), text in any_text()) {
        let source = Source::new(name, format!("on: push\njobs: {{a: {{runs-on: x, oops: 1}}}}\nname: {text}\n"));
        for found in workflow::parse(&source).diagnostics {
            for colour in [true, false] {
                check(Failure::rendered(Exit::Failed, found.render(&source, colour), colour).text().as_str())?;
            }
        }
        let [annotations, others @ ..] = report::lint::printed(&source);
        let found = commands(annotations.as_str());
        let ours = ["notice", "warning", "error"];
        prop_assert!(found.iter().all(|name| ours.contains(&name.as_str())), "{:?}", found);
        prop_assert_eq!(found.len(), annotations.as_str().lines().count());
        for printed in others.iter().chain([&annotations]) {
            check(printed.as_str())?;
        }
    }

    #[test]
    fn no_preview_passes_on_what_a_terminal_would_obey(text in any_text(), depth in 0_usize..4) {
        let mut preview = Preview::default();
        for is_dangerous in [true, false] {
            preview.push(PreviewLine { text: text.clone(), depth, is_dangerous, shown: Shown::Always });
        }
        let printed = trust::text(&preview, true);
        check(&printed)?;
        let expected = preview.lines(true).len();
        prop_assert_eq!(printed.lines().count(), expected, "a text forges no line");
        prop_assert!(printed.lines().all(|line| width(line) <= Preview::COLUMNS));
    }
}
