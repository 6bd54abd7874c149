//! `lint`: checks workflow files and action manifests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::ValueEnum;
use serde_json::json;

use crate::files;
use crate::model::{Annotation, Level};
use crate::repo::workflows;
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::text::counted;
use crate::ui::theme::Colours;
use crate::workflow;
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::lint;
use crate::workflow::lint::RULES;
use crate::workflow::source::{Source, decode};

use super::printer::command;
use super::style::{Out, Style};
use super::{Exit, Failure, Outcome, style};

/// Minimum number of files per thread: starting a thread takes as long as checking this many files of the usual size.
const FILES_PER_THREAD: usize = 8;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Files to check [default: the workflows of this repository]
    files: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Explain a rule: what it reports, why it matters and what to write instead
    #[arg(long, value_name = "RULE", conflicts_with = "files")]
    explain: Option<String>,
    /// Look up local actions and workflows below this folder
    #[arg(long, hide = true)]
    root: Option<PathBuf>,
    /// Folder of called workflows of other repositories, as DIR/owner/repo/path@ref
    #[arg(long, hide = true)]
    refs: Option<PathBuf>,
    /// Default permissions of the token
    #[arg(long, hide = true)]
    permissions_policy: Option<Granted>,
}

/// GitHub's names for the default permissions of a repository's token.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Granted {
    #[value(name = "LimitedRead")]
    LimitedRead,
    #[value(name = "Write")]
    Write,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Github,
    /// One SARIF 2.1.0 log, for code scanning
    Sarif,
}

pub(super) fn run(args: &Args) -> Outcome {
    if let Some(name) = &args.explain {
        return explain(name);
    }
    let files = if args.files.is_empty() { own_workflows()? } else { args.files.clone() };
    let colour = Style::of_output().colours() == Colours::Terminal;
    // The workflows of a repository are checked with what they use; any other file is looked at alone.
    let root = args.root.clone().or_else(|| around(&files)).or(args.files.is_empty().then(PathBuf::new));
    let policy = args.permissions_policy.map(|granted| match granted {
        Granted::LimitedRead => lint::Policy::LimitedRead,
        Granted::Write => lint::Policy::Write,
    });
    let looked_up = root.is_some() || args.refs.is_some();
    let below = looked_up.then(|| Below { root, refs: args.refs.clone(), policy });
    let linter = Linter { format: args.format, colour, below: below.as_ref() };
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut out = Out::new(&mut stdout);
    let mut errors = 0;
    let mut results = Vec::new();
    for report in linter.all(&files) {
        let report = report?;
        errors += report.errors;
        results.extend(report.results);
        if args.format == Format::Github { out.commands(&report.text) } else { out.print(&report.text) }?;
    }
    if args.format == Format::Text && errors == 0 {
        out.line(text!("{} checked, no errors", counted(files.len() as u64, "file")))?;
    }
    if args.format == Format::Sarif {
        out.line(TerminalText::json(&format!("{:#}", sarif(results))))?;
    }
    out.flush()?;
    Ok(if errors == 0 { Exit::Success } else { Exit::Failed })
}

/// Prints the page of a rule.
fn explain(name: &str) -> Outcome {
    let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        return Err(Failure::new(Exit::NotFound, format!("unknown rule `{name}`; the rules are {}", names.join(", "))));
    };
    style::print(&TerminalText::lines(&format!("{}\n\n{}\n\n{}\n", rule.name, rule.summary, rule.help)))?;
    Ok(Exit::Success)
}

/// The environment of the files: the repository, and called workflows of other repositories.
struct Below {
    root: Option<PathBuf>,
    refs: Option<PathBuf>,
    policy: Option<lint::Policy>,
}

impl lint::Files for Below {
    fn read(&self, path: &str) -> Option<String> {
        files::read_text(&self.root.as_ref()?.join(path)).ok()
    }

    fn is_complete(&self) -> bool {
        self.root.is_some()
    }

    fn called(&self, uses: &str) -> Option<String> {
        files::read_text(&self.refs.as_ref()?.join(uses)).ok()
    }

    fn policy(&self) -> Option<lint::Policy> {
        self.policy
    }
}

/// The report about a file.
#[derive(Default)]
struct Report {
    text: TerminalText,
    results: Vec<serde_json::Value>,
    errors: usize,
}

/// How files are checked and reported.
struct Linter<'l> {
    format: Format,
    colour: bool,
    below: Option<&'l Below>,
}

impl Linter<'_> {
    /// Checks the files on all processors, and returns the reports in the order of the files.
    fn all(&self, files: &[PathBuf]) -> Vec<Result<Report, Failure>> {
        let threads =
            thread::available_parallelism().map_or(1, usize::from).min(files.len().div_ceil(FILES_PER_THREAD));
        let next = AtomicUsize::new(0);
        let work = || {
            let places = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            let mine = places.map_while(|place| Some((place, self.one(files.get(place)?))));
            mine.collect::<Vec<_>>()
        };
        let mut reports = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut reports = work();
            for other in others {
                match other.join() {
                    Ok(theirs) => reports.extend(theirs),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            reports
        });
        reports.sort_unstable_by_key(|(place, _)| *place);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    fn one(&self, file: &Path) -> Result<Report, Failure> {
        let failed = |error| Failure::new(Exit::NotFound, format!("cannot read {}: {error}", file.display()));
        let bytes = files::read_repository(file).map_err(failed)?;
        let source = Source::new(file.to_string_lossy(), String::from_utf8_lossy(&bytes));
        let checked = match decode(&bytes) {
            Ok(_) => check(file, &source, self.below.map(|below| below as &dyn lint::Files)),
            Err(wrong) => {
                let message = format!("the byte 0x{:02X} is not UTF-8", wrong.byte);
                let error = Diagnostic::error("syntax-check", source.span(wrong.at, 0), message);
                Checked { found: vec![error.hint("save the file as UTF-8")], is_complete: false }
            }
        };
        Ok(self.report(&source, checked))
    }

    fn report(&self, source: &Arc<Source>, Checked { found, is_complete }: Checked) -> Report {
        let mut report = Report::default();
        for found in found {
            report.errors += usize::from(found.severity == Severity::Error);
            match self.format {
                Format::Text => {
                    let rendered = found.render(source, self.colour);
                    let rendered =
                        if self.colour { TerminalText::coloured(&rendered) } else { TerminalText::lines(&rendered) };
                    report.text.push_line(&text!("{}\n", rendered));
                }
                Format::Json => report.text.push_line(&TerminalText::json(&line(&found, source).to_string())),
                Format::Github => report.text.push_line(&command(&annotation(&found, source))),
                Format::Sarif => report.results.push(result(&found, source)),
            }
        }
        if self.format == Format::Text && !is_complete {
            report
                .text
                .push_line(&text!("{}: only the syntax was checked; fix it to see the other errors\n", source.name));
        }
        report
    }
}

/// What every format prints about a file, the one that GitHub's runner reads first.
#[cfg(test)]
pub(super) fn printed(source: &Arc<Source>) -> [TerminalText; 5] {
    let with = |format, colour| {
        Linter { format, colour, below: None }.report(source, check(Path::new("ci.yml"), source, None))
    };
    let log = TerminalText::json(&format!("{:#}", sarif(with(Format::Sarif, false).results)));
    let text = |format, colour| with(format, colour).text;
    [text(Format::Github, false), text(Format::Text, false), text(Format::Text, true), text(Format::Json, false), log]
}

/// What was found in a file.
struct Checked {
    /// Diagnostics in the order of the file.
    found: Vec<Diagnostic>,
    /// Whether all rules were applied: syntax errors prevent that.
    is_complete: bool,
}

fn check(file: &Path, source: &Arc<Source>, files: Option<&dyn lint::Files>) -> Checked {
    let (mut found, advice) = if is_manifest(file) {
        (workflow::parse_action(source).diagnostics, Some(lint::check_action(source)))
    } else {
        let parsed = workflow::parse(source);
        (parsed.diagnostics, parsed.value.as_ref().map(|workflow| lint::check(workflow, files)))
    };
    let is_complete = advice.is_some();
    found.extend(advice.into_iter().flatten());
    found.sort_by_key(|found| (found.span.line, found.span.column));
    Checked { found, is_complete }
}

/// Returns the root of the repository in which all files are workflows.
fn around(files: &[PathBuf]) -> Option<PathBuf> {
    let root = |file: &PathBuf| {
        let file = std::path::absolute(file).ok()?;
        let folder = file.parent().filter(|folder| folder.ends_with(workflows::FOLDER))?;
        folder.ancestors().nth(2).map(Path::to_owned)
    };
    let first = root(files.first()?)?;
    (first.join(".git").exists() && files.iter().all(|file| root(file).as_ref() == Some(&first))).then_some(first)
}

/// Whether a file is an action manifest. In the folder of workflows, every file is a workflow.
fn is_manifest(file: &Path) -> bool {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let named = file.file_name().is_some_and(|name| name == "action.yml" || name == "action.yaml");
    named && !file.parent().is_some_and(|folder| folder.ends_with(workflows::FOLDER))
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

/// Returns a log of one run as defined by the SARIF 2.1.0 standard of OASIS, with the pages of all rules.
fn sarif(results: Vec<serde_json::Value>) -> serde_json::Value {
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

/// Returns a diagnostic as a SARIF result.
fn result(found: &Diagnostic, source: &Source) -> serde_json::Value {
    let level = if found.severity == Severity::Info { "note" } else { found.severity.word() };
    let hint = found.hint.as_ref().map(|hint| format!("\n{hint}")).unwrap_or_default();
    let region = json!({ "startLine": found.span.line, "startColumn": found.span.column });
    let place = json!({ "artifactLocation": { "uri": source.name }, "region": region });
    json!({
        "ruleId": found.rule, "level": level, "message": { "text": format!("{}{hint}", found.message) },
        "locations": [{ "physicalLocation": place }],
    })
}

/// Returns the workflows of the repository around the current folder.
fn own_workflows() -> Result<Vec<PathBuf>, Failure> {
    let folder = std::env::current_dir()?.join(".github/workflows");
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        Failure::new(Exit::NotFound, format!("cannot read {}: {error}; name the files to check", folder.display()))
    })?;
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml");
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_yaml).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sarif_log_names_rules_that_it_has() {
        let source = Source::new("a.yml", "on: push\njobs: {a: {runs-on: ubuntu-oldest}}\n");
        let results: Vec<_> =
            check(Path::new("a.yml"), &source, None).found.iter().map(|found| result(found, &source)).collect();
        let log = sarif(results);
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
