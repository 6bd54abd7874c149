//! `trust`, and the trust question before the first run of a repository.

use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

use crate::config::Config;
use crate::launch;
use crate::launch::trust;
use crate::launch::trust::{Consent, Trust};
use crate::model::Preview;
use crate::repo::git::Repository;
use crate::report::lists;
use crate::report::style;
use crate::report::style::Style;
use crate::store::folder::{RunFolder, RunsDir};
use crate::ui::terminal_text::{TerminalText, reveal};

use super::{Exit, Failure, Outcome, runs_dir};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Show what would run and ask, instead of trusting at once
    #[arg(long, conflicts_with_all = ["revoke", "list"])]
    ask: bool,
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
        let listed = trust::list(&runs)?;
        if listed.is_empty() {
            style::notice("no repository is trusted; `cuelight trust` trusts the one of this folder");
        }
        for trusted in listed {
            style::line(&lists::trusted(&trusted, Style::of_output()))?;
        }
        return Ok(Exit::Success);
    }
    let folder = std::env::current_dir()?;
    if args.ask {
        let mut consent = launch::consent(&runs, &folder)?;
        if !is_terminal() {
            style::print(&TerminalText::lines(&text(&consent.preview(), true)))?;
            return Err(Failure::new(Exit::Rejected, "not a terminal: `cuelight trust` trusts without a question"));
        }
        ask(&runs, &mut consent)?;
        consent.require()?;
        return trusted(&consent.repository().root);
    }
    let repository = Repository::discover(&folder)?;
    if args.revoke {
        trust::revoke(&runs, &repository)?;
        style::line(&format!("{} is no longer trusted: its next run asks again.", repository.root.display()))?;
        return Ok(Exit::Success);
    }
    let config = Config::load(Some(&repository.root))?;
    trust::grant(&runs, &repository, config.named_by_repository())?;
    trusted(&repository.root)
}

fn trusted(root: &std::path::Path) -> Outcome {
    style::line(&format!("{} is trusted: its workflows run on this machine without asking.", root.display()))?;
    Ok(Exit::Success)
}

fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Shows a user at a terminal what would run in an untrusted repository, and records the answer if it is yes.
pub(super) fn ask(runs: &RunsDir, consent: &mut Consent) -> Result<(), Failure> {
    if *consent.trust() == Trust::Given || !is_terminal() {
        return Ok(());
    }
    let preview = consent.preview();
    style::print(&TerminalText::lines(&text(&preview, false)))?;
    loop {
        style::print(&TerminalText::lines(question(&preview)))?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "v" => show(&TerminalText::lines(&text(&preview, true)))?,
            "y" | "yes" => return Ok(consent.grant(runs)?),
            _ => return Ok(()),
        }
    }
}

/// Asks the trust question before another attempt of a run.
pub(super) fn ask_again(folder: &RunFolder) -> Result<(), Failure> {
    if !is_terminal() {
        return Ok(());
    }
    ask(&folder.runs(), &mut launch::consent_of_attempt(folder)?)
}

/// Returns the question below the preview.
fn question(preview: &Preview) -> &'static str {
    if preview.is_cut() {
        "\nTrust this repository? [y/N, v shows everything] "
    } else {
        "\nTrust this repository? [y/N] "
    }
}

/// Returns the preview as text. No control sequence of a file reaches the terminal, because it could hide the rest of
/// the text.
pub(super) fn text(preview: &Preview, whole: bool) -> String {
    preview.lines(whole).iter().map(|line| reveal(line) + "\n").collect()
}

/// Shows a text in the user's pager (`PAGER`, by default `less`). Prints it if the pager cannot be started, and for a
/// screen reader, because a pager redraws the whole terminal.
fn show(text: &TerminalText) -> Result<(), Failure> {
    if style::is_linear() {
        return Ok(style::print(text)?);
    }
    let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let pager = pager.unwrap_or_else(|| "less".to_owned());
    let mut words = pager.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("less"));
    command.args(words).env("LESSSECURE", "1").stdin(Stdio::piped());
    let Ok(mut running) = command.spawn() else { return Ok(style::print(text)?) };
    if let Some(mut stdin) = running.stdin.take() {
        // The user may close the pager before the end of the text.
        let _ = stdin.write_all(text.as_str().as_bytes());
    }
    running.wait()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::model::{PreviewLine, Shown};

    use super::*;

    #[test]
    fn what_would_run_is_shown_and_nothing_hides_it() {
        let mut preview = Preview::default();
        let lines = [
            ("/p\nq", 0, false, Shown::Always),
            ("a\u{1b}[2J (1)", 1, false, Shown::Always),
            ("$ echo ${{ github.ref }}", 2, false, Shown::Always),
            ("  curl evil \u{202e}", 2, true, Shown::InWhole),
            ("  five", 2, false, Shown::InWhole),
            ("and 1 more line", 2, false, Shown::InSummary),
        ];
        for (text, depth, is_dangerous, shown) in lines {
            preview.push(PreviewLine { text: text.to_owned(), depth, is_dangerous, shown });
        }
        insta::assert_snapshot!("summary", text(&preview, false) + question(&preview));
        assert!(text(&preview, true).contains("five"));
    }
}
