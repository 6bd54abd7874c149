//! `demo`: a small project, unpacked from the program, whose pipeline runs for real.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::timeout;

use crate::engine::sandbox::providers::Providers;
use crate::launch::LaunchRequest;
use crate::repo::git;
use crate::store::folder::RunsDir;

use super::{Exit, Failure, Outcome, run, screen, style};

/// A file of a project: its path, its text, and whether it is a program.
type File = (&'static str, &'static str, bool);

/// A small project in plain shell: its pipeline needs nothing else.
const TALLY: &[File] = &[
    (".github/workflows/pipeline.yml", include_str!("../../assets/demo/.github/workflows/pipeline.yml"), false),
    (".github/actions/measure/action.yml", include_str!("../../assets/demo/.github/actions/measure/action.yml"), false),
    ("README.md", include_str!("../../assets/demo/README.md"), false),
    ("bin/tally", include_str!("../../assets/demo/bin/tally"), true),
    ("tests/run", include_str!("../../assets/demo/tests/run"), true),
    ("tests/fixtures/sonnet.txt", include_str!("../../assets/demo/tests/fixtures/sonnet.txt"), false),
    ("tests/fixtures/empty.txt", "", false),
    ("tests/fixtures/numbers.txt", include_str!("../../assets/demo/tests/fixtures/numbers.txt"), false),
];

/// A Python service whose pipeline has services, builds an image and uses actions of other repositories.
const AURA: &[File] = &[
    (".dockerignore", include_str!("../../assets/aura/.dockerignore"), false),
    (".github/workflows/ci.yml", include_str!("../../assets/aura/.github/workflows/ci.yml"), false),
    (".gitignore", include_str!("../../assets/aura/.gitignore"), false),
    ("Dockerfile", include_str!("../../assets/aura/Dockerfile"), false),
    ("README.md", include_str!("../../assets/aura/README.md"), false),
    ("config/aura.toml", include_str!("../../assets/aura/config/aura.toml"), false),
    ("docker-compose.yml", include_str!("../../assets/aura/docker-compose.yml"), false),
    ("pyproject.toml", include_str!("../../assets/aura/pyproject.toml"), false),
    ("requirements.txt", include_str!("../../assets/aura/requirements.txt"), false),
    ("src/__init__.py", "", false),
    ("src/config.py", include_str!("../../assets/aura/src/config.py"), false),
    ("src/main.py", include_str!("../../assets/aura/src/main.py"), false),
    ("src/queue.py", include_str!("../../assets/aura/src/queue.py"), false),
    ("src/server.py", include_str!("../../assets/aura/src/server.py"), false),
    ("src/store.py", include_str!("../../assets/aura/src/store.py"), false),
    ("src/worker.py", include_str!("../../assets/aura/src/worker.py"), false),
    ("tests/__init__.py", "", false),
    ("tests/conftest.py", include_str!("../../assets/aura/tests/conftest.py"), false),
    ("tests/test_config.py", include_str!("../../assets/aura/tests/test_config.py"), false),
    ("tests/test_server.py", include_str!("../../assets/aura/tests/test_server.py"), false),
    ("tests/test_services.py", include_str!("../../assets/aura/tests/test_services.py"), false),
    ("tests/test_worker.py", include_str!("../../assets/aura/tests/test_worker.py"), false),
];

/// The image of the plain demo's service, and how long it may take to come here.
const SERVICE: &str = "redis:7-alpine";
const PATIENCE: Duration = Duration::from_mins(1);

/// The projects that can be unpacked.
#[derive(clap::ValueEnum, Clone, Copy, Default, PartialEq, Eq)]
enum Project {
    /// In plain shell: its pipeline needs git and a POSIX shell, and shows a service where an engine answers
    #[default]
    Tally,
    /// A Python service: needs Docker, python 3.11, node, and its actions from github.com
    Aura,
}

#[derive(clap::Args)]
pub(super) struct Args {
    /// Which project
    #[arg(long, value_enum, default_value_t)]
    project: Project,
    /// Print lines instead of opening the screen
    #[arg(long)]
    headless: bool,
    /// Unpack into this folder [default: `demo` or `aura` beside the runs]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = RunsDir::locate()?;
    let (files, name, workflow) = match args.project {
        Project::Tally => (TALLY, "demo", "pipeline"),
        Project::Aura => (AURA, "aura", "ci"),
    };
    // The project stays: its run can be run again, and a run that outlives the screen still needs it.
    let folder = args.into.clone().unwrap_or_else(|| runs.state().join(name));
    unpack(&folder, files)?;
    std::env::set_current_dir(&folder)?;
    let vars = if args.project == Project::Tally { service()? } else { IndexMap::new() };
    // The project is part of this program, so it needs no trust.
    let request = LaunchRequest { vars, trust: true, ..LaunchRequest::new(&folder, workflow, "push") };
    let run = run::start(&runs, &request)?;
    if args.headless || !screen::is_possible() {
        return run::follow_as_lines(&run, 1);
    }
    screen::open(Some(run.id().clone()), false)
}

/// Returns the variable that lets the demo run a service, if the provider of containers answers and has the image, or can
/// fetch it.
fn service() -> Result<IndexMap<String, String>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let providers = Providers::of_this_process();
    let fetched = runtime.block_on(async {
        if providers.containers().check().await.is_err() {
            return None;
        }
        let notice = Once::new();
        let progress = |_| notice.call_once(|| style::notice(&format!("Fetching {SERVICE} for the demo's service.")));
        let fetched = timeout(PATIENCE, providers.containers().fetch_image(SERVICE, &progress)).await;
        Some(fetched.map_or_else(
            |_| Err(format!("it took longer than {} s", PATIENCE.as_secs())),
            |fetched| fetched.map_err(|error| error.to_string()),
        ))
    });
    match fetched {
        Some(Ok(())) => return Ok([("SERVICE_IMAGE".to_owned(), SERVICE.to_owned())].into()),
        Some(Err(reason)) => style::notice(&format!("The demo runs without its service: {reason}")),
        None => {}
    }
    Ok(IndexMap::new())
}

/// Writes the project and makes it a repository with one commit; one that is there already is left as it is.
fn unpack(folder: &Path, files: &[File]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Unavailable, format!("cannot unpack the demo into {}: {error}", folder.display()))
    };
    let is_ours = |(name, text, _): &File| fs::read_to_string(folder.join(name)).is_ok_and(|found| found == *text);
    if files.iter().all(is_ours) && folder.join(".git").exists() {
        return Ok(());
    }
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        let message =
            format!("{} holds something else: choose another folder with --into, or remove it", folder.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    for (name, text, program) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        fs::write(&path, text).map_err(failed)?;
        if *program {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
    }
    let commit = || {
        git::git(folder, ["init", "--quiet", "--initial-branch", "main"])?;
        git::git(folder, ["add", "--all"])?;
        let who = ["-c", "user.name=cuelight", "-c", "user.email=demo@cuelight.invalid"];
        let what = ["commit", "--quiet", "--no-gpg-sign", "--message", "Begin"];
        git::git(folder, who.into_iter().chain(what))
    };
    commit().map(drop).map_err(|error| Failure::new(Exit::Unavailable, error.to_string()))
}
