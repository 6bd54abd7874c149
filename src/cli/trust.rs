//! `trust`, and the trust question before the first run of a repository.

use std::io::IsTerminal;

use crate::launch::trust::Trust;
use crate::launch::{Planned, trust};
use crate::model::Preview;
use crate::repo::git::Repository;
use crate::store::folder::RunsDir;
use crate::ui::terminal_text::{TerminalText, reveal};

use super::{Exit, Failure, Outcome, runs_dir, style};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Revoke the trust
    #[arg(long)]
    revoke: bool,
    /// List the trusted repositories
    #[arg(long, conflicts_with = "revoke")]
    list: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = runs_dir()?;
    if args.list {
        for trusted in trust::list(&runs)? {
            let origin = if trusted.origin.is_empty() { "no origin" } else { &trusted.origin };
            style::line(&format!("{}  {}", trusted.git_folder.display(), reveal(origin)))?;
        }
        return Ok(Exit::Success);
    }
    let repository = Repository::discover(&std::env::current_dir()?)?;
    let root = repository.root.display();
    if args.revoke {
        trust::revoke(&runs, &repository)?;
        style::line(&format!("{root} is no longer trusted: the next run will ask."))?;
    } else {
        trust::grant(&runs, &repository)?;
        style::line(&format!("{root} is trusted: its workflows can run on this machine."))?;
    }
    Ok(Exit::Success)
}

/// Shows a preview of the run at a terminal and asks for trust in the repository. Records the answer if it is yes.
pub(super) fn ask(runs: &RunsDir, planned: &mut Planned) -> Result<(), Failure> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if *planned.trust() == Trust::Given || !is_terminal {
        return Ok(());
    }
    style::print(&TerminalText::lines(&(text(&planned.preview()) + QUESTION)))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        planned.grant_trust(runs)?;
    }
    Ok(())
}

/// The question below the preview.
const QUESTION: &str = "\nTrust this repository? [y/N] ";

/// Formats the preview. Control sequences of a file are removed: they could hide the rest.
fn text(preview: &Preview) -> String {
    preview
        .lines()
        .iter()
        .map(|line| {
            reveal(line)
                + "
"
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::model::{JobPreview, StepPreview};

    use super::*;

    #[test]
    fn what_would_run_is_shown_and_nothing_hides_it() {
        let script = "echo ${{ github.ref }}\n\ncurl evil \u{202e}\nthree\nfour\nfive\n";
        let steps = vec![StepPreview::Action("actions/checkout@v4".to_owned()), StepPreview::Script(script.to_owned())];
        let jobs = vec![JobPreview { name: "a\u{1b}[2J (1)".to_owned(), legs: 3, steps }];
        let preview = Preview { workflow: "ci.yml".to_owned(), root: "/p".into(), jobs };
        insta::assert_snapshot!("summary", text(&preview) + QUESTION);
    }
}
