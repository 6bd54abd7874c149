//! `demo`: unpacks a small project and runs its pipeline.

use std::path::PathBuf;

use crate::launch::demo;
use crate::launch::demo::{DemoError, Project, SERVICE_IMAGE};
use crate::report::style;

use super::run::Watch;
use super::{Exit, Failure, Outcome, block_on, run, runs_dir, screen};

/// The demo projects.
#[derive(clap::ValueEnum, Clone, Copy, Default)]
enum Choice {
    /// In plain shell: its pipeline needs git and a POSIX shell, and shows a service if Docker answers
    #[default]
    Tally,
    /// A Python service: needs Docker, Python 3.11, Node.js, and actions from github.com
    Aura,
}

#[derive(clap::Args)]
pub(super) struct Args {
    /// The project to unpack
    #[arg(long, value_enum, default_value_t)]
    project: Choice,
    /// Print lines instead of opening the screen
    #[arg(long)]
    headless: bool,
    /// Unpack into this folder [default: `demo` or `aura` beside the runs]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = runs_dir()?;
    let project = match args.project {
        Choice::Tally => Project::Tally,
        Choice::Aura => Project::Aura,
    };
    // The project is kept: its run can be rerun, and a run that outlives the screen still needs it.
    let folder = args.into.clone().unwrap_or_else(|| runs.state().join(project.name()));
    project.unpack(&folder)?;
    std::env::set_current_dir(&folder)?;
    let has_service = project == Project::Tally && fetch_service()?;
    let run = run::start(&runs, &project.request(&folder, has_service))?;
    if args.headless || !screen::is_possible() {
        return Watch::of(&run).attempt(1).own().print(&mut *run::lines());
    }
    screen::open(Some(run.id().clone()), false)
}

/// Whether the demo can run its service.
fn fetch_service() -> Result<bool, Failure> {
    let notice = || style::notice(&format!("Fetching {SERVICE_IMAGE} for the demo's service."));
    Ok(block_on(demo::fetch_service(&notice))?.unwrap_or_else(|error| {
        style::notice(&format!("The demo runs without its service: {error}"));
        false
    }))
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        let exit = if matches!(error, DemoError::Occupied(_)) { Exit::Usage } else { Exit::Unavailable };
        Self::new(exit, error.to_string())
    }
}
