//! `trust`, and the question that the first run of a repository asks.

use std::io::IsTerminal;

use crate::launch;
use crate::launch::trust::{Preview, StepPreview, Trust};
use crate::launch::{LaunchRequest, Planned, trust};
use crate::repo::git::Repository;
use crate::store::folder::RunsDir;
use crate::ui::terminal_text::{TerminalText, reveal};

use super::{Exit, Failure, Outcome, style};

/// How many lines of a script are shown, and how many characters of a line.
const EXCERPT_LINES: usize = 3;
const EXCERPT_WIDTH: usize = 100;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Take the trust back
    #[arg(long)]
    revoke: bool,
    /// List the trusted repositories
    #[arg(long, conflicts_with = "revoke")]
    list: bool,
    /// Show what this workflow would run, and ask
    #[arg(long, value_name = "WORKFLOW", conflicts_with_all = ["revoke", "list"])]
    ask: Option<String>,
    /// The event that starts it
    #[arg(long, default_value = "push", requires = "ask")]
    event: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = RunsDir::locate()?;
    if args.list {
        for trusted in trust::list(&runs)? {
            let origin = if trusted.origin.is_empty() { "no origin" } else { &trusted.origin };
            style::line(&format!("{}  {}", trusted.git_folder.display(), reveal(origin)))?;
        }
        return Ok(Exit::Success);
    }
    let folder = std::env::current_dir()?;
    if let Some(workflow) = &args.ask {
        let mut planned = launch::plan(&runs, &LaunchRequest::new(folder, workflow, &args.event))?;
        ask(&runs, &mut planned)?;
        planned.require_trust()?;
        return Ok(Exit::Success);
    }
    let repository = Repository::discover(&folder)?;
    let root = repository.root.display();
    if args.revoke {
        trust::revoke(&runs, &repository)?;
        style::line(&format!("{root} is no longer trusted: its next run asks again."))?;
    } else {
        trust::grant(&runs, &repository)?;
        style::line(&format!("{root} is trusted: its workflows run on this machine without asking."))?;
    }
    Ok(Exit::Success)
}

/// Shows a person at a terminal what would run in a repository that is not trusted, and records the answer if it is yes.
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

/// The preview as text. No control sequence of a file reaches the terminal: it could hide the rest.
fn text(preview: &Preview) -> String {
    let mut text = format!(
        "{} runs for the first time in\n  {}\nIts steps run on this machine, as you:\n\n",
        reveal(&preview.workflow),
        reveal(&preview.root.to_string_lossy())
    );
    for job in &preview.jobs {
        let legs = if job.legs > 1 { format!(" and {} more like it", job.legs - 1) } else { String::new() };
        text.push_str(&format!("  {}{legs}\n", reveal(&job.name)));
        for step in &job.steps {
            match step {
                StepPreview::Action(reference) => text.push_str(&format!("    uses {}\n", reveal(reference))),
                StepPreview::Script(script) => text.push_str(&excerpt(script)),
            }
        }
    }
    text
}

/// The first lines of a script, and how many more there are.
fn excerpt(script: &str) -> String {
    let lines: Vec<_> = script.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().take(EXCERPT_LINES).enumerate() {
        let mark = if number == 0 { '$' } else { ' ' };
        let line: String = reveal(line).chars().take(EXCERPT_WIDTH).collect();
        text.push_str(&format!("    {mark} {}\n", line.trim_end()));
    }
    if lines.len() > EXCERPT_LINES {
        text.push_str(&format!("      and {} more lines\n", lines.len() - EXCERPT_LINES));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::launch::trust::JobPreview;

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
