//! Diagnostics of workflow files, as text, JSON, GitHub's commands or SARIF.

use std::sync::Arc;

use serde_json::json;

use crate::model::{Annotation, Level};
use crate::repo::lint::Checked;
#[cfg(test)]
use crate::repo::lint::check;
use crate::ui::terminal_text::{TerminalText, text};
use crate::ui::text::counted;
use crate::ui::theme::Colours;
#[cfg(test)]
use crate::ui::theme::Glyphs;
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::sarif;
use crate::workflow::source::Source;

use super::github::command;
use super::style::Style;

/// Format of reports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people, with the part of the file.
    Text,
    /// One JSON object per line.
    Json,
    /// Workflow commands of GitHub.
    Github,
    /// One SARIF 2.1.0 log, for code scanning.
    Sarif,
}

/// What is not checked in a file whose structure has errors: these rules need the whole workflow.
const UNCHECKED: &str = "because of these errors, contexts and types in expressions, inputs of actions and called \
                         workflows, permissions and scripts were not checked; fix the errors and check again";

/// The report about a file.
#[derive(Default)]
pub struct Report {
    /// The text to print.
    pub text: TerminalText,
    /// Results for a SARIF log.
    pub results: Vec<serde_json::Value>,
    /// Number of errors.
    pub errors: usize,
    /// Number of warnings.
    pub warnings: usize,
}

/// Settings for reports about files.
pub struct Linter {
    /// Format of the reports.
    pub format: Format,
    /// Style of text.
    pub style: Style,
}

impl Linter {
    /// Returns the report about a file.
    pub fn report(&self, source: &Arc<Source>, Checked { found, is_complete, .. }: Checked) -> Report {
        let mut report = Report::default();
        for found in found {
            report.errors += usize::from(found.severity == Severity::Error);
            report.warnings += usize::from(found.severity == Severity::Warning);
            match self.format {
                Format::Text if self.style.is_linear() => {
                    report.text.push_line(&TerminalText::lines(&found.sentence(source)));
                }
                Format::Text => {
                    let colour = self.style.colours() == Colours::Terminal;
                    let rendered = found.render(source, colour);
                    let rendered =
                        if colour { TerminalText::coloured(&rendered) } else { TerminalText::lines(&rendered) };
                    report.text.push_line(&text!("{}\n", rendered));
                }
                Format::Json => report.text.push_line(&TerminalText::json(&line(&found, source).to_string())),
                Format::Github => report.text.push_line(&command(&annotation(&found, source))),
                Format::Sarif => report.results.push(sarif::result(&found, source)),
            }
        }
        if self.format == Format::Text && !is_complete {
            let end = if self.style.is_linear() { "" } else { "\n" };
            report.text.push_line(&text!("{}: {}{}", source.name, UNCHECKED, TerminalText::lines(end)));
        }
        report
    }
}

/// Returns the line after the reports about this many files: the numbers of errors and warnings.
pub fn ending(files: usize, errors: usize, warnings: usize) -> TerminalText {
    let count = |number: usize, noun: &str| counted(number as u64, noun);
    let errors = if errors == 0 { "no errors".to_owned() } else { count(errors, "error") };
    let warnings = if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
    text!("{} checked, {}{}", count(files, "file"), errors, warnings)
}

/// Returns the output of every format for a file. GitHub's runner reads the first one.
#[cfg(test)]
pub fn printed(source: &Arc<Source>) -> [TerminalText; 5] {
    let with = |format, colour| {
        let style = Style::new(Glyphs::Unicode, colour);
        Linter { format, style }.report(source, check(std::path::Path::new("ci.yml"), source, None))
    };
    let log = TerminalText::json(&format!("{:#}", sarif::log(with(Format::Sarif, false).results)));
    let text = |format, colour| with(format, colour).text;
    [text(Format::Github, false), text(Format::Text, false), text(Format::Text, true), text(Format::Json, false), log]
}

/// Returns a diagnostic as a JSON object.
fn line(found: &Diagnostic, source: &Source) -> serde_json::Value {
    json!({
        "file": source.name, "line": found.span.line, "col": found.span.column,
        "severity": found.severity.word(), "rule": found.rule, "message": found.message, "hint": found.hint,
    })
}

/// Returns a diagnostic as an annotation of its file on GitHub.
fn annotation(found: &Diagnostic, source: &Source) -> Annotation {
    Annotation {
        level: match found.severity {
            Severity::Info => Level::Notice,
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        },
        message: found.message.clone(),
        title: None,
        file: Some(source.name.clone()),
        line: Some(found.span.line),
        end_line: None,
        column: Some(found.span.column),
        end_column: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_syntax_errors_says_what_was_not_checked() {
        let text = |text: &str| printed(&Source::new("ci.yml", text))[1].plain().into_owned();
        let broken = text("on: push\njobs: {a: {runs-on: x, run-on: y, steps: 1}}\n");
        assert!(broken.contains("ci.yml: because of these errors, contexts and types in expressions, "), "{broken}");
        let whole = text("on: push\njobs: {a: {runs-on: ubuntu-latest, if: github.nosuch, steps: [{run: 'true'}]}}\n");
        assert!(!whole.contains("were not checked"), "{whole}");
    }

    #[test]
    fn a_fault_is_one_sentence_for_a_screen_reader() {
        let source = Source::new("ci.yml", "on: push\njobs: {a: {runs-on: x, run-on: y, steps: 1}}\n");
        let checked = check(std::path::Path::new("ci.yml"), &source, None);
        let faults = checked.found.len();
        let report = Linter { format: Format::Text, style: Style::linear() }.report(&source, checked);
        let lines: Vec<&str> = report.text.as_str().lines().collect();
        assert!(faults > 0 && lines.len() == faults + 1, "{lines:#?}");
        assert!(lines[..faults].iter().all(|line| line.starts_with("error: ci.yml, line 2, column ")), "{lines:#?}");
        assert!(lines[faults].starts_with("ci.yml: because of these errors"), "{lines:#?}");
        assert!(!report.text.as_str().contains(['|', '^']), "{lines:#?}");
    }

    #[test]
    fn the_last_line_counts_errors_and_warnings() {
        assert_eq!(ending(1, 0, 0).as_str(), "1 file checked, no errors");
        assert_eq!(ending(2, 0, 1).as_str(), "2 files checked, no errors, 1 warning");
        assert_eq!(ending(2, 1, 2).as_str(), "2 files checked, 1 error, 2 warnings");
    }
}
