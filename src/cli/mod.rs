//! The command line: one file per family of subcommands, headless printers, exit codes.

mod exit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// Watches and controls pipelines from the terminal; runs GitHub Actions workflows on this machine.
#[derive(Parser)]
#[command(version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {}

/// Parses the command line, carries it out, and turns what came of it into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(command) => match command {},
        None => Exit::Success.into(),
    }
}
