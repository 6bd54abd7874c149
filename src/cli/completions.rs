//! `completions`: completion scripts for shells, generated from the command line definition.

use clap::Command;
use clap_complete::Shell;

use crate::report::style;
use crate::ui::terminal_text::TerminalText;

use super::{Exit, Outcome};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, command: &mut Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "cuelight", &mut script);
    style::print(&TerminalText::lines(&String::from_utf8_lossy(&script)))?;
    Ok(Exit::Success)
}
