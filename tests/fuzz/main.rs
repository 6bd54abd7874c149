//! Fuzz tests. Mutated files, expressions and patterns must cause neither a panic nor a hang, and runs of generated
//! workflows must follow the rules.
//!
//! Seeds are in this folder and, if it is next to the repository, in the conformance corpus. Each target runs for
//! `CUELIGHT_FUZZ_SECONDS` (default: 1). A failing case is written to a file that the message names.
//! `CUELIGHT_FUZZ_SEED` selects another sequence of cases.

mod drive;
mod run;

use std::cell::LazyCell;
use std::sync::Arc;

use cuelight::workflow::diagnostic::Diagnostic;
use cuelight::workflow::expr::{Contexts, Expr, NoFiles, Scope, Status, Value, Vocabulary};
use cuelight::workflow::pattern::{FilterPattern, deciding_pattern};
use cuelight::workflow::plan::{Plan, PlanContexts};
use cuelight::workflow::source::Source;
use cuelight::workflow::triggers::{ChangedFiles, TriggerEvent, decide};
use cuelight::workflow::{lint, parse, parse_action};

use drive::{Target, files, lines};

/// Checks that diagnostics have a valid position and can be rendered.
fn show(source: &Source, found: &[Diagnostic]) {
    for one in found {
        let (start, end) = (one.span.start as usize, one.span.end as usize);
        assert!(start <= end.max(start) && start <= source.text.len(), "{one:?}");
        assert!(one.span.line >= 1 && one.span.column >= 1 && !one.message.is_empty(), "{one:?}");
    }
    found.iter().take(4).for_each(|one| drop(one.render(source, false)));
}

#[test]
fn workflows() {
    let seeds = files("workflows", &["workflows-ok", "workflows-err", "plan"], "yml");
    Target::new("workflows", seeds).run(|text| {
        let source = Source::new("a.yml", text);
        let parsed = parse(&source);
        show(&source, &parsed.diagnostics);
        let Some(workflow) = parsed.value else { return };
        show(&source, &lint::check(&workflow, None));
        for (name, activity) in [("push", None), ("pull_request", Some("opened"))] {
            let event = TriggerEvent {
                name: name.to_owned(),
                activity: activity.map(str::to_owned),
                git_ref: Some("refs/heads/releases/10".to_owned()),
                workflow: None,
                changes: LazyCell::new(Box::new(|| {
                    ChangedFiles::Since("x".to_owned(), vec!["src/a.js".to_owned(), "docs/b.md".to_owned()])
                })),
            };
            let _ = decide(&workflow, &event);
        }
        if let Ok(plan) = Plan::new(Arc::new(workflow), &PlanContexts::default(), &|_| None) {
            let ids: std::collections::HashSet<_> = plan.jobs().iter().map(|job| &job.id).collect();
            assert_eq!(ids.len(), plan.jobs().len(), "job ids are unique");
        }
    });
}

#[test]
fn manifests() {
    Target::new("manifests", files("actions", &["actions"], "yml")).run(|text| {
        let source = Source::new("action.yml", text);
        show(&source, &parse_action(&source).diagnostics);
    });
}

#[test]
fn expressions() {
    let json = serde_json::json!({
        "github": {"ref": "refs/heads/main", "event": {"labels": [{"name": "a"}, {"name": "b"}], "n": 1.5}},
        "inputs": {"x": true}, "env": {"KEY": "k"}, "matrix": {"k": {"value": null}}, "steps": {}, "needs": {},
    });
    let serde_json::Value::Object(json) = json else { unreachable!("the literal above is an object") };
    let contexts: Contexts = json.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    Target::new("expressions", lines("expressions.txt", "expressions")).run(|text| {
        for parsed in [Expr::parse(text, &Vocabulary::ANY), Expr::condition(text, &Vocabulary::ANY)] {
            let Ok(expr) = parsed else { continue };
            let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
            let value = expr.evaluate(&scope).map(|value| value.to_text());
            let (explained, explanation) = expr.explain(&scope);
            assert_eq!(value.ok(), explained.map(|value| value.to_text()).ok(), "explain and evaluate agree");
            assert!(!explanation.lines().is_empty());
            assert!(Expr::parse(expr.text(), &Vocabulary::ANY).is_ok(), "the text of an expression parses");
        }
    });
}

#[test]
fn globs() {
    Target::new("globs", lines("globs.txt", "")).run(|text| {
        let (pattern, name) = text.split_once('\n').unwrap_or((text, "releases/10/a.js"));
        if let Ok(pattern) = FilterPattern::parse(pattern) {
            let _ = pattern.matches(name);
        }
        let _ = deciding_pattern(text.lines(), name);
    });
}

/// The seeds cover every event, key and form that GitHub documents.
#[test]
fn the_seeds_are_valid() {
    for (name, text) in drive::own("workflows") {
        let source = Source::new(name, text);
        let parsed = parse(&source);
        let rendered: Vec<_> = parsed.diagnostics.iter().map(|found| found.render(&source, false)).collect();
        assert!(parsed.value.is_some(), "{}", rendered.join("\n\n"));
    }
    for (name, text) in drive::own("actions") {
        let source = Source::new(name, text);
        let rendered: Vec<_> =
            parse_action(&source).diagnostics.iter().map(|found| found.render(&source, false)).collect();
        assert!(rendered.is_empty(), "{}", rendered.join("\n\n"));
    }
}
