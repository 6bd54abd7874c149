//! Who may run here: a workflow is somebody's program, and on the host it can do what its user can.
//!
//! The first run of a repository says what would run and asks. The answer is bound to the repository: the place of its
//! git folder, that folder's identity on the disk (another clone at the same place is another repository), and the
//! address of its origin.

use std::fs;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::git::{self, Repository};
use crate::store::StoreError;
use crate::store::folder::RunsDir;
use crate::workflow::plan::Plan;
use crate::workflow::syntax::{JobBody, StepAction};

use super::{Exit, Failure, Outcome, style};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Take the trust back
    #[arg(long)]
    revoke: bool,
    /// List the trusted repositories
    #[arg(long, conflicts_with = "revoke")]
    list: bool,
}

/// A trusted repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trusted {
    git_folder: PathBuf,
    device: u64,
    inode: u64,
    origin: String,
}

impl Trusted {
    fn of(repository: &Repository) -> Result<Self, Failure> {
        let folder = &repository.common;
        let data = fs::metadata(folder).map_err(StoreError::io("look at", folder))?;
        let origin = git::git(&repository.root, ["config", "--get", "remote.origin.url"]).unwrap_or_default();
        Ok(Self { git_folder: folder.clone(), device: data.dev(), inode: data.ino(), origin: origin.trim().to_owned() })
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = RunsDir::locate()?;
    if args.list {
        for trusted in read(&runs)? {
            style::line(&trusted.git_folder.display().to_string())?;
        }
        return Ok(Exit::Success);
    }
    let repository = here()?;
    let own = Trusted::of(&repository)?;
    let mut all = read(&runs)?;
    all.retain(|trusted| trusted.git_folder != own.git_folder);
    if args.revoke {
        write(&runs, &all)?;
        style::line(&format!("{} is not trusted any more: its next run asks again.", repository.root.display()))?;
    } else {
        all.push(own);
        write(&runs, &all)?;
        style::line(&format!(
            "{} is trusted: its workflows run on this machine without asking.",
            repository.root.display()
        ))?;
    }
    Ok(Exit::Success)
}

fn here() -> Result<Repository, Failure> {
    let folder = std::env::current_dir()?;
    Repository::discover(&folder).map_err(|error| Failure::new(Exit::NotFound, error.to_string()))
}

/// Lets a run go on only in a trusted repository; on a terminal it asks.
pub(super) fn require(repository: &Repository, plan: &Plan) -> Result<(), Failure> {
    let runs = RunsDir::locate()?;
    let own = Trusted::of(repository)?;
    let mut all = read(&runs)?;
    if all.contains(&own) {
        return Ok(());
    }
    let refused = || {
        let advice = "look at its workflows, then run `cuelight trust` there, or give --trust for this run";
        let message = format!("{} is not trusted to run on this machine: {advice}", repository.root.display());
        Failure::new(Exit::Rejected, message)
    };
    // While the screen has the terminal there is no line to answer on.
    let on_screen = crossterm::terminal::is_raw_mode_enabled().unwrap_or(false);
    if on_screen || !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(refused());
    }
    style::print(&summary(repository, plan))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Err(refused());
    }
    all.retain(|trusted| trusted.git_folder != own.git_folder);
    all.push(own);
    write(&runs, &all)
}

/// What would run, in words.
fn summary(repository: &Repository, plan: &Plan) -> String {
    let mut text = format!(
        "{} runs for the first time in\n  {}\nIts steps run on this machine, as you:\n\n",
        plan.workflow().source.name,
        repository.root.display()
    );
    for job in plan.jobs() {
        text.push_str(&format!("  {}\n", job.name));
        let JobBody::Steps(body) = &job.definition.body else { continue };
        for step in &body.steps {
            let what = match &step.action {
                StepAction::Uses { reference, .. } => format!("uses {}", reference.value),
                StepAction::Run { script, .. } => {
                    let script = script.literal().unwrap_or("a script with expressions");
                    format!("$ {}", script.trim().lines().next().unwrap_or_default())
                }
            };
            text.push_str(&format!("    {what}\n"));
        }
    }
    text.push_str("\nTrust this repository? [y/N] ");
    text
}

fn path(runs: &RunsDir) -> PathBuf {
    runs.state().join("trust.json")
}

fn read(runs: &RunsDir) -> Result<Vec<Trusted>, StoreError> {
    let path = path(runs);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| StoreError::Damaged { path, reason: format!("{error}; remove it to be asked again") }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

fn write(runs: &RunsDir, all: &[Trusted]) -> Result<(), Failure> {
    let path = path(runs);
    make(runs.state()).map_err(StoreError::io("make the folder", runs.state()))?;
    let text = serde_json::to_vec_pretty(all).expect("paths and numbers serialise");
    let fresh = path.with_extension("new");
    let written =
        fs::File::create(&fresh).and_then(|mut file| file.write_all(&text)).and_then(|()| fs::rename(&fresh, &path));
    Ok(written.map_err(StoreError::io("write", path))?)
}

fn make(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}
