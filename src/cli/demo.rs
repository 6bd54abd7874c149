//! `demo`: unpacks a small project and runs its pipeline, or with `--deploy` deploys the releases of a service.

use std::path::{Path, PathBuf};

use crate::backend::local::demo::Demo;
use crate::launch;
use crate::launch::demo;
use crate::launch::demo::{DemoError, Project, SERVICE_IMAGE, STOPS, Tour, TourError, is_tour};
use crate::report::style;
use crate::store::folder::RunsDir;
use crate::ui::terminal_text::text;

use super::run::Watch;
use super::screen::Opening;
use super::{Exit, Failure, Outcome, block_on, deploy, run, runs_dir, screen};

/// How the leftovers of the tour of deployments are removed.
const LEFTOVERS: &str = "`cuelight demo --deploy --remove` removes the containers of the demo and all its traces.";

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
#[command(after_help = "A project that was unpacked before is restored. Your changes in it are kept as a commit.")]
pub(super) struct Args {
    /// The project to unpack
    #[arg(long, value_enum, default_value_t)]
    project: Choice,
    /// Deploy a service to three environments in Docker instead: rolling, blue-green, canary, and a release that fails
    #[arg(long, conflicts_with = "project")]
    deploy: bool,
    /// Remove what `demo --deploy` left: its containers, network and images, its folder and the record of its deployments
    #[arg(long, requires = "deploy", conflicts_with = "headless")]
    remove: bool,
    /// Break a test of the project first, to find the error and mend it (not with `--project`)
    #[arg(long = "break", conflicts_with_all = ["deploy", "project"])]
    breaks: bool,
    /// Print lines instead of opening the screen
    #[arg(long)]
    headless: bool,
    /// Unpack into this folder [default: `demo` or `aura` beside the runs]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = runs_dir()?;
    if args.remove {
        return remove(args, &runs);
    }
    if args.deploy {
        return deploy(args, &runs);
    }
    let project = match args.project {
        Choice::Tally => Project::Tally,
        Choice::Aura => Project::Aura,
    };
    // The project is kept, because its run can be re-run, and a run that outlives the screen still needs it.
    let folder = args.into.clone().unwrap_or_else(|| runs.state().join(project.name()));
    if let Some(changes) = project.unpack(&folder)? {
        let folder = folder.display();
        let back = text!("`git -C {} checkout {} -- .` brings them back", folder, changes);
        style::notice(&text!("The project is restored. Your changes in it are the commit {}: {}.", changes, back));
    }
    // The project is part of this program, and everything that the user changes in it is theirs.
    launch::consent(&runs, &folder)?.grant(&runs)?;
    std::env::set_current_dir(&folder)?;
    let broken = args.breaks.then(|| demo::break_test(&folder)).transpose()?;
    let has_service = project == Project::Tally && fetch_service()?;
    if project == Project::Aura {
        warn_of_missing(&runs)?;
    }
    let request = project.request(&folder, has_service);
    let run = run::start(&runs, &request)?;
    if args.headless || !screen::is_possible() {
        let ended = Watch::of(&run).attempt(1).own().print(&mut *run::lines());
        if let Some(file) = broken {
            let file = folder.join(file);
            style::notice(&text!("Mend {}; `cuelight run --watch` there runs again when it is saved.", file.display()));
        } else if style::is_linear() && project == Project::Tally {
            style::notice("`cuelight demo --break` breaks a test of the project, to find the error and mend it.");
        }
        return ended;
    }
    if project == Project::Aura {
        return screen::open(Opening::on(run.id().clone()));
    }
    screen::demo(Demo { request, run: run.id().clone(), is_broken: args.breaks })
}

/// Deploys the releases of a service, one after the other.
fn deploy(args: &Args, runs: &RunsDir) -> Outcome {
    let mut say = |line: &str| style::notice(line);
    let tour = block_on(Tour::prepare(runs, args.into.as_deref(), &mut say))??;
    std::env::set_current_dir(&tour.deployments().repository().root)?;
    tour.open_to_visitors();
    if args.headless || !screen::is_possible() {
        for (environment, release) in STOPS {
            if let Some(waits) = tour.waits_behind(environment)? {
                style::notice(waits.as_str());
            }
            let ended = deploy::start(tour.deployments(), tour.stop(environment, release)?, false, false)?;
            // The last release fails on purpose and is rolled back.
            if ended != Exit::Success && (environment, release) != STOPS[STOPS.len() - 1] {
                return Ok(ended);
            }
        }
        style::notice(LEFTOVERS);
        return Ok(Exit::Success);
    }
    // The result is not needed, because the screen shows what goes wrong. A deployment in progress continues after the
    // screen is closed.
    let first = tour.begin()?;
    let shown = first.id().clone();
    std::thread::spawn(move || tour.go(first));
    let closed = screen::open(Opening::on(shown));
    style::notice(LEFTOVERS);
    closed
}

/// Removes what the tour of deployments left.
fn remove(args: &Args, runs: &RunsDir) -> Outcome {
    let removed = block_on(Tour::remove(runs, args.into.as_deref(), &mut |line| style::notice(line)))??;
    for one in &removed {
        style::line(&text!("removed {}", one))?;
    }
    style::line(if removed.is_empty() {
        "Nothing of the demo's deployments is left."
    } else {
        "Its runs stay in the list: `cuelight clean` removes old ones."
    })?;
    Ok(Exit::Success)
}

/// Prints how the leftovers of the tour are removed, if the repository at `root` is that of the tour.
pub(super) fn note_leftovers(root: &Path) {
    if is_tour(root) {
        style::notice(LEFTOVERS);
    }
}

/// Prints what the larger project needs and is missing here, and what can be seen nevertheless.
fn warn_of_missing(runs: &RunsDir) -> Result<(), Failure> {
    let missing = block_on(demo::missing(runs))?;
    if missing.is_empty() {
        return Ok(());
    }
    style::notice("AURA needs Docker, Python 3.11, Node.js, github.com and pypi.org. Missing here:");
    for one in &missing {
        style::notice(&text!("  {}", one));
    }
    let here = std::env::current_dir()?;
    style::notice(&text!(
        "Its run ends at the first job that needs it. Its graph, its checks and why each job did not run can still be seen:"
    ));
    style::notice(&text!("  cd {} && cuelight plan ci && cuelight lint && cuelight", here.display()));
    style::notice("`cuelight demo` needs none of this.");
    Ok(())
}

/// Fetches the image of the demo's service. Returns whether the demo can run the service, and prints a notice if not.
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

impl From<TourError> for Failure {
    fn from(error: TourError) -> Self {
        match error {
            TourError::Demo(error) => error.into(),
            TourError::Deploy(error) => error.into(),
            error => Self::new(Exit::Unavailable, error.to_string()),
        }
    }
}
