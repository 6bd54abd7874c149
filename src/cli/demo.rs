//! `demo`: a small project, unpacked from the program, whose pipeline runs for real.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::engine::git;

use crate::store::folder::RunsDir;

use super::{Exit, Failure, Outcome, run, screen};

/// The project: paths, texts, and whether a file is a program.
const FILES: &[(&str, &str, bool)] = &[
    (".github/workflows/pipeline.yml", include_str!("../../assets/demo/.github/workflows/pipeline.yml"), false),
    (".github/actions/measure/action.yml", include_str!("../../assets/demo/.github/actions/measure/action.yml"), false),
    ("README.md", include_str!("../../assets/demo/README.md"), false),
    ("bin/tally", include_str!("../../assets/demo/bin/tally"), true),
    ("tests/run", include_str!("../../assets/demo/tests/run"), true),
    ("tests/fixtures/sonnet.txt", include_str!("../../assets/demo/tests/fixtures/sonnet.txt"), false),
    ("tests/fixtures/empty.txt", "", false),
    ("tests/fixtures/numbers.txt", include_str!("../../assets/demo/tests/fixtures/numbers.txt"), false),
];

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print lines instead of opening the screen
    #[arg(long)]
    headless: bool,
    /// Unpack into this folder [default: `demo` beside the runs]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let runs = RunsDir::locate()?;
    // The project stays: its run can be run again, and a run that outlives the screen still needs it.
    let folder = args.into.clone().unwrap_or_else(|| runs.state().join("demo"));
    unpack(&folder)?;
    std::env::set_current_dir(&folder)?;
    // The project is ours: there is nobody to ask about it.
    let pipeline = Some("pipeline".to_owned());
    let request = run::Args { workflow: pipeline, event: "push".to_owned(), trust: true, ..run::Args::default() };
    if args.headless || !screen::is_possible() {
        return run::run(&request);
    }
    let run = run::begin(&runs, &request)?;
    screen::open(Some(run.id().clone()))
}

/// Writes the project and makes it a repository with one commit; one that is there already is left as it is.
fn unpack(folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Unavailable, format!("cannot unpack the demo into {}: {error}", folder.display()))
    };
    let is_ours =
        |(name, text, _): &(&str, &str, bool)| fs::read_to_string(folder.join(name)).is_ok_and(|found| found == *text);
    if FILES.iter().all(is_ours) && folder.join(".git").exists() {
        return Ok(());
    }
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        let message =
            format!("{} holds something else: choose another folder with --into, or remove it", folder.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    for (name, text, program) in FILES {
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
        let what = ["commit", "--quiet", "--no-gpg-sign", "--message", "Count words"];
        git::git(folder, who.into_iter().chain(what))
    };
    commit().map(drop).map_err(|error| Failure::new(Exit::Unavailable, error.to_string()))
}
