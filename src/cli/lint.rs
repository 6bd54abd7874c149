//! `lint`: checks workflow files and action manifests.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use serde_json::json;

use crate::model::{Annotation, Level};
use crate::repo::lint;
#[cfg(test)]
use crate::repo::lint::check;
use crate::repo::lint::{Below, Checked};
use crate::repo::workflows;
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::ui::text::counted;
use crate::ui::theme::Colours;
use crate::workflow::diagnostic::{Diagnostic, Severity};
use crate::workflow::lint::{Policy, RULES};
use crate::workflow::sarif;
use crate::workflow::source::Source;

use super::printer::command;
use super::style::{Out, Style};
use super::{Exit, Failure, Outcome, style};

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
    let files = if args.files.is_empty() {
        let folder = std::env::current_dir()?.join(workflows::FOLDER);
        workflows::files_in(&folder).map_err(|error| {
            let message = format!("cannot read {}: {error}; name the files to check", folder.display());
            Failure::new(Exit::NotFound, message)
        })?
    } else {
        args.files.clone()
    };
    let colour = Style::of_output().colours() == Colours::Terminal;
    // The workflows of a repository are checked with what they use; any other file is looked at alone.
    let root = args.root.clone().or_else(|| lint::repository_of(&files)).or(args.files.is_empty().then(PathBuf::new));
    let policy = args.permissions_policy.map(|granted| match granted {
        Granted::LimitedRead => Policy::LimitedRead,
        Granted::Write => Policy::Write,
    });
    let looked_up = root.is_some() || args.refs.is_some();
    let below = looked_up.then(|| Below { root, refs: args.refs.clone(), policy });
    let linter = Linter { format: args.format, colour };
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut out = Out::new(&mut stdout);
    let mut errors = 0;
    let mut results = Vec::new();
    for (file, checked) in files.iter().zip(lint::files(&files, below.as_ref())) {
        let failed = |error| Failure::new(Exit::NotFound, format!("cannot read {}: {error}", file.display()));
        let (source, checked) = checked.map_err(failed)?;
        let report = linter.report(&source, checked);
        errors += report.errors;
        results.extend(report.results);
        if args.format == Format::Github { out.commands(&report.text) } else { out.print(&report.text) }?;
    }
    if args.format == Format::Text && errors == 0 {
        out.line(text!("{} checked, no errors", counted(files.len() as u64, "file")))?;
    }
    if args.format == Format::Sarif {
        out.line(TerminalText::json(&format!("{:#}", sarif::log(results))))?;
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

/// The report about a file.
#[derive(Default)]
struct Report {
    text: TerminalText,
    results: Vec<serde_json::Value>,
    errors: usize,
}

/// How files are reported.
struct Linter {
    format: Format,
    colour: bool,
}

impl Linter {
    fn report(&self, source: &Arc<Source>, Checked { found, is_complete, .. }: Checked) -> Report {
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
                Format::Sarif => report.results.push(sarif::result(&found, source)),
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
    let with =
        |format, colour| Linter { format, colour }.report(source, check(std::path::Path::new("ci.yml"), source, None));
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
