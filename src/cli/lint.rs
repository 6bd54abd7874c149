//! `lint`: checks workflow files and action manifests.

use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::model::nearest;
use crate::repo::lint;
use crate::repo::lint::Below;
use crate::repo::workflows;
use crate::report::lint::{Format, Linter, ending};
use crate::report::style;
use crate::report::style::{Out, Stdout, Style};
use crate::ui::terminal_text::TerminalText;
use crate::workflow::lint::{Policy, RULES};
use crate::workflow::sarif;

use super::{Exit, Failure, Outcome};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Workflows and files to check: a workflow by its file with or without extension, or by its name [default: the
    /// workflows of this repository]
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
            Self::Text => PossibleValue::new("text").help("Each problem with its line of the file"),
            Self::Json => PossibleValue::new("json").help("One JSON object per line"),
            Self::Github => PossibleValue::new("github").help("Annotations for a job on GitHub"),
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
    let here = std::env::current_dir()?;
    let repository = workflows::root_of(&here).unwrap_or(&here);
    let files = chosen(&args.files, &here, repository)?;
    // Workflows of a repository are checked together with the files that they use. Any other file is checked alone.
    let root = args
        .root
        .clone()
        .or_else(|| lint::repository_of(&files))
        .or(args.files.is_empty().then(|| repository.to_owned()));
    let policy = args.permissions_policy.map(|granted| match granted {
        Granted::LimitedRead => Policy::LimitedRead,
        Granted::Write => Policy::Write,
    });
    let looked_up = root.is_some() || args.refs.is_some();
    let below = looked_up.then(|| Below { root, refs: args.refs.clone(), policy });
    let format = args.format;
    let linter = Linter { format, style: Style::of_output() };
    let mut stdout = io::BufWriter::new(Stdout::lock());
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

/// Returns the files to check: the named files as they are named, the named workflows as seen from the folder `here`, or
/// all workflows of the repository.
fn chosen(named: &[PathBuf], here: &Path, repository: &Path) -> Result<Vec<PathBuf>, Failure> {
    if named.is_empty() {
        let folder = repository.join(workflows::FOLDER);
        let files = workflows::files_in(&folder).map_err(|error| {
            let message = format!("cannot read {}: {error}; name the files to check", folder.display());
            Failure::new(Exit::NotFound, message)
        })?;
        return Ok(files.iter().map(|file| workflows::seen_from(file, here)).collect());
    }
    let file = |name: &PathBuf| -> Result<PathBuf, Failure> {
        let is_there = here.join(name).symlink_metadata().is_ok();
        let workflow = name.to_str().filter(|text| !(is_there && workflows::is_file_name(text)));
        match workflow.map(|text| workflows::find(Some(text), here, repository)) {
            Some(Ok(path)) => Ok(workflows::seen_from(&path, here)),
            Some(Err(error)) if !is_there => Err(error.into()),
            Some(Err(_)) | None => Ok(name.clone()),
        }
    };
    named.iter().map(file).collect()
}

/// Prints the explanation of a rule.
fn explain(name: &str) -> Outcome {
    let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
        let names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        // A person may remember one word of the name.
        let by_word = || names.iter().copied().find(|known| nearest(name, known.split('-')).is_some());
        let end = match nearest(name, names.iter().copied()).or_else(by_word) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the rules are {}", names.join(", ")),
        };
        return Err(Failure::new(Exit::NotFound, format!("unknown rule `{name}`; {end}")));
    };
    style::print(&TerminalText::lines(&format!("{}\n\n{}\n\n{}\n", rule.name, rule.summary, rule.help)))?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn workflows_are_named_as_for_run_and_shown_as_seen_from_the_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at(".github/workflows")).expect("made");
        fs::create_dir_all(at("src")).expect("made");
        fs::write(at(".github/workflows/ci.yml"), "").expect("written");
        fs::write(at(".github/workflows/deploy.yaml"), "").expect("written");
        fs::write(at("action.yml"), "").expect("written");
        fs::write(at("deploy"), "#!/bin/sh").expect("written");
        let from = |folder: &str, names: &[&str]| -> Result<Vec<String>, String> {
            let names: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
            let files = chosen(&names, &at(folder), root).map_err(|failure| failure.message)?;
            Ok(files.iter().map(|file| file.display().to_string()).collect())
        };
        let (ci, deploy) = (".github/workflows/ci.yml".to_owned(), ".github/workflows/deploy.yaml".to_owned());
        assert_eq!(from("", &[]), Ok(vec![ci.clone(), deploy.clone()]));
        assert_eq!(from("src", &[]), Ok(vec![format!("../{ci}"), format!("../{deploy}")]));
        for name in ["ci", "ci.yml", ".github/workflows/ci.yml"] {
            assert_eq!(from("", &[name]), Ok(vec![ci.clone()]), "{name}");
            assert_eq!(from("src", &[name]), Ok(vec![format!("../{ci}")]), "{name}");
        }
        assert_eq!(from("", &["deploy", "action.yml"]), Ok(vec![deploy, "action.yml".to_owned()]));
        let absolute = at("action.yml").display().to_string();
        assert_eq!(from("src", &[&absolute]), Ok(vec![absolute.clone()]));
        let error = from("", &["depoly"]).expect_err("a typing error");
        assert!(
            error.starts_with("there is no workflow `depoly`: ") && error.ends_with("did you mean `deploy`?"),
            "{error}"
        );
    }
}
