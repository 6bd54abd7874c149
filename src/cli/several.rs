//! Commands for several runs: cancel, delete, re-run.

use std::collections::HashSet;

use serde_json::json;

use crate::launch::LATEST;
use crate::launch::commands;
use crate::model::Command;
use crate::report::style;
use crate::store::folder::{RunFolder, RunsDir};
use crate::store::history;
use crate::ui::terminal_text::text;

use super::{Exit, Failure, Outcome, block_on, runs_dir, servers};

/// The runs that a command is about.
#[derive(clap::Args)]
pub(super) struct RunsArg {
    /// The runs: ids, their beginnings or ends, `latest`: the newest run of this repository; or runs on a server: their
    /// numbers, OWNER/REPO/NUMBER or URLs
    #[arg(value_name = "RUN", default_value = LATEST)]
    pub(super) runs: Vec<String>,
    /// Let `latest` be the newest run of all repositories
    // Without a short name: `cancel -a` reads as if it were about all runs.
    #[arg(long)]
    pub(super) all: bool,
    /// The repository on a server, for `latest` or the numbers of runs
    #[arg(long, short = 'R', value_name = "[HOST/]OWNER/NAME", conflicts_with = "all")]
    pub(super) repository: Option<String>,
}

#[derive(clap::Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    runs: RunsArg,
    /// Cancel at once: no further step starts, not even with `always()`
    #[arg(long, short)]
    force: bool,
    /// Print JSON, one object for each run
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct DeleteArgs {
    /// The runs: ids, their beginnings or ends; or runs on a server, which are deleted there, too: their numbers,
    /// OWNER/REPO/NUMBER or URLs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// The repository on a server, for the numbers of runs
    #[arg(long, short = 'R', value_name = "[HOST/]OWNER/NAME")]
    repository: Option<String>,
    /// Delete only the logs on the server; downloaded logs stay
    #[arg(long)]
    logs: bool,
    /// Print JSON, one object for each run
    #[arg(long)]
    json: bool,
}

impl RunsArg {
    /// Finds the folder of the only run. A run on a server is updated.
    pub(super) fn find(&self) -> Result<RunFolder, Failure> {
        let folder = self.locate(&runs_dir()?, &self.runs[0])?;
        servers::refresh(&folder)?;
        Ok(folder)
    }

    /// Finds the folder of one of the runs, without updating it.
    fn locate(&self, runs: &RunsDir, wanted: &str) -> Result<RunFolder, Failure> {
        if let Some(repository) = &self.repository {
            return servers::locate_in(runs, wanted, repository);
        }
        let here = std::env::current_dir().ok().filter(|_| !self.all);
        servers::locate(runs, wanted, here.as_deref())
    }
}

pub(super) fn cancel(args: &CancelArgs) -> Outcome {
    let command = if args.force { Command::ForceCancel } else { Command::Cancel };
    each(&args.runs, "cancelled", args.json, |folder| {
        let origin = history::info(folder)?.origin();
        servers::submit(folder, &command)?;
        Ok(format!("{} is being cancelled: {origin}", folder.id()))
    })
}

pub(super) fn delete(args: &DeleteArgs) -> Outcome {
    let named = RunsArg { runs: args.runs.clone(), all: false, repository: args.repository.clone() };
    each(&named, "deleted", args.json, |folder| {
        let origin = history::info(folder)?.origin();
        if args.logs {
            servers::submit(folder, &Command::DeleteLogs)?;
            return Ok(format!("the logs of {} are deleted at their server: {origin}", folder.id()));
        }
        if history::is_mirror(folder) {
            servers::submit(folder, &Command::Delete)?;
        } else {
            block_on(commands::delete(&folder.runs(), folder.id()))??;
        }
        Ok(format!("{} is deleted: {origin}", folder.id()))
    })
}

/// Applies an operation to several runs, one after another, and prints the results. A failure does not stop the others.
/// `done` is the participle of the operation, for the final count.
pub(super) fn each(
    named: &RunsArg,
    done: &str,
    json: bool,
    mut act: impl FnMut(&RunFolder) -> Result<String, Failure>,
) -> Outcome {
    let runs = runs_dir()?;
    let found = named.runs.iter().map(|name| (name, named.locate(&runs, name)));
    // `latest` and an id may name the same run. All are found first, because a run may be deleted.
    let mut known = HashSet::new();
    let is_new = |(_, found): &(_, Result<RunFolder, Failure>)| {
        found.as_ref().ok().is_none_or(|folder| known.insert(folder.id().clone()))
    };
    let found: Vec<_> = found.filter(is_new).collect();
    let (count, mut accepted, mut worst) = (found.len(), 0, None);
    for (name, found) in found {
        let id = found.as_ref().ok().map(|folder| folder.id().clone());
        let result = found.and_then(|folder| act(&folder));
        if json {
            let reason = result.as_ref().err().map(|failure| failure.message.clone());
            style::json(&json!({"run": id, "name": name, "accepted": reason.is_none(), "reason": reason}))?;
        }
        match result {
            Ok(text) => {
                accepted += 1;
                if !json {
                    style::line(&text!("{}", text))?;
                }
            }
            Err(failure) if count == 1 => return Err(failure),
            Err(failure) => {
                style::complain(&text!("{}: {}", name, failure.message));
                worst.get_or_insert(failure.exit);
            }
        }
    }
    if count > 1 {
        style::notice(&format!("{accepted} of {count} {done}"));
    }
    Ok(worst.unwrap_or(Exit::Success))
}
