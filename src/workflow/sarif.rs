//! Diagnostics as SARIF 2.1.0 (OASIS), the format that GitHub's code scanning reads.

use serde_json::{Value as Json, json};

use super::diagnostic::{Diagnostic, Severity};
use super::lint::RULES;
use super::source::Source;

/// Returns a SARIF log with a single run, which contains these results and the descriptions of all rules.
#[must_use]
pub fn log(results: Vec<Json>) -> Json {
    let rules = RULES.iter().map(
        |rule| json!({ "id": rule.name, "shortDescription": { "text": rule.summary }, "help": { "text": rule.help } }),
    );
    let driver = json!({
        "name": "cuelight", "version": env!("CARGO_PKG_VERSION"), "rules": rules.collect::<Vec<_>>(),
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    })
}

/// Converts a diagnostic to a SARIF result.
#[must_use]
pub fn result(found: &Diagnostic, source: &Source) -> Json {
    let level = if found.severity == Severity::Info { "note" } else { found.severity.word() };
    let hint = found.hint.as_ref().map(|hint| format!("\n{hint}")).unwrap_or_default();
    let region = json!({ "startLine": found.span.line, "startColumn": found.span.column });
    let place = json!({ "artifactLocation": { "uri": source.name }, "region": region });
    json!({
        "ruleId": found.rule, "level": level, "message": { "text": format!("{}{hint}", found.message) },
        "locations": [{ "physicalLocation": place }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::{lint, parse};

    #[test]
    fn a_log_names_rules_that_it_has() {
        let source = Source::new("a.yml", "on: push\njobs: {a: {runs-on: ubuntu-oldest, steps: [{run: x}]}}\n");
        let workflow = parse(&source).value.expect("a workflow");
        let log = log(lint::check(&workflow, None).iter().map(|found| result(found, &source)).collect());
        let run = &log["runs"][0];
        assert_eq!(run["results"][0]["ruleId"], "runner-label");
        assert_eq!(run["results"][0]["level"], "warning");
        let place = &run["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a.yml");
        assert_eq!(place["region"], json!({ "startLine": 2, "startColumn": 21 }));
        let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
        assert!(rules.iter().any(|rule| rule["id"] == "runner-label"));
    }
}
