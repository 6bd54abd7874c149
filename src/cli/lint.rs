//! `lint`: checks workflow files and action manifests.

use std::io;
use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::repo::lint;
use crate::repo::lint::Below;
use crate::repo::workflows;
use crate::report::lint::{Format, Linter, ending};
use crate::report::style;
use crate::report::style::{Out, Style};
use crate::ui::terminal_text::TerminalText;
use crate::ui::theme::Colours;
use crate::workflow::lint::{Policy, RULES};
use crate::workflow::sarif;

use super::{Exit, Failure, Outcome};

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

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json, Self::Github, Self::Sarif]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text"),
            Self::Json => PossibleValue::new("json"),
            Self::Github => PossibleValue::new("github"),
            Self::Sarif => PossibleValue::new("sarif").help("One SARIF 2.1.0 log, for code scanning"),
        })
    }
}

/// GitHub's names for the default permissions of a repository's token.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Granted {
    #[value(name = "LimitedRead")]
    LimitedRead,
    #[value(name = "Write")]
    Write,
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
    // Workflows of a repository are checked together with the files that they use. Any other file is checked alone.
    let root = args.root.clone().or_else(|| lint::repository_of(&files)).or(args.files.is_empty().then(PathBuf::new));
    let policy = args.permissions_policy.map(|granted| match granted {
        Granted::LimitedRead => Policy::LimitedRead,
        Granted::Write => Policy::Write,
    });
    let looked_up = root.is_some() || args.refs.is_some();
    let below = looked_up.then(|| Below { root, refs: args.refs.clone(), policy });
    let format = args.format;
    let linter = Linter { format, colour };
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut out = Out::new(&mut stdout);
    let (mut errors, mut warnings) = (0, 0);
    let mut results = Vec::new();
    for (file, checked) in files.iter().zip(lint::files(&files, below.as_ref())) {
        let failed = |error| Failure::new(Exit::NotFound, format!("cannot read {}: {error}", file.display()));
        let (source, checked) = checked.map_err(failed)?;
        let report = linter.report(&source, checked);
        errors += report.errors;
        warnings += report.warnings;
        results.extend(report.results);
        if format == Format::Github { out.commands(&report.text) } else { out.print(&report.text) }?;
    }
    if format == Format::Text {
        out.line(ending(files.len(), errors, warnings))?;
    }
    if format == Format::Sarif {
        out.line(TerminalText::json(&format!("{:#}", sarif::log(results))))?;
    }
    out.flush()?;
    Ok(if errors == 0 { Exit::Success } else { Exit::Failed })
}

/// Prints the explanation of a rule.
fn explain(name: &str) -> Outcome {
    let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        return Err(Failure::new(Exit::NotFound, format!("unknown rule `{name}`; the rules are {}", names.join(", "))));
    };
    style::print(&TerminalText::lines(&format!("{}\n\n{}\n\n{}\n", rule.name, rule.summary, rule.help)))?;
    Ok(Exit::Success)
}
