//! `tools`: the languages on this machine that the `actions/setup-…` actions find.

use std::path::PathBuf;

use serde::Serialize;

use crate::launch::tools;
use crate::launch::tools::{Installation, ToolsError};
use crate::report::lists;
use crate::report::style;
use crate::report::style::Style;

use super::{Exit, Failure, Outcome, block_on, runs_dir};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON object per line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the installations: on PATH, of version managers, and those that were added
    List,
    /// Add the installations in a folder
    Add {
        /// The folder that contains `bin`
        folder: PathBuf,
    },
    /// Remove an added folder from the list; its files stay
    Remove {
        /// The folder
        folder: PathBuf,
    },
}

/// An installation in JSON.
#[derive(Serialize)]
struct Document<'i> {
    tool: &'static str,
    version: String,
    folder: &'i std::path::Path,
    source: &'static str,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = runs_dir()?;
    let found = match &args.command {
        None | Some(Command::List) => block_on(tools::list(&runs))?,
        Some(Command::Add { folder }) => block_on(tools::add(&runs, folder))??,
        Some(Command::Remove { folder }) => {
            tools::remove(&runs, folder)?;
            return Ok(Exit::Success);
        }
    };
    if args.json {
        for Installation { tool, version, home, source, .. } in &found {
            style::json(&Document { tool: tool.name(), version: version.to_string(), folder: home, source })?;
        }
    } else if found.is_empty() {
        style::notice("no Python, Node.js, Go or Java found; `cuelight tools add FOLDER` adds an installation");
    } else {
        style::print(&lists::installations(&found, Style::of_output()))?;
    }
    Ok(Exit::Success)
}

impl From<ToolsError> for Failure {
    fn from(error: ToolsError) -> Self {
        match error {
            ToolsError::Store(error) => error.into(),
            ToolsError::Nothing(_) | ToolsError::NotAdded(_) => Self::new(Exit::NotFound, error.to_string()),
            ToolsError::Path(_) => Self::new(Exit::Usage, error.to_string()),
        }
    }
}
