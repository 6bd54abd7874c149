//! `demo`: a small project, unpacked from the program, whose pipeline runs for real.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::engine::git;

use super::{Exit, Failure, Outcome, run};

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
    /// Unpack into this folder and leave it there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let (folder, remove) = match &args.keep {
        Some(folder) => (folder.clone(), false),
        None => (std::env::temp_dir().join(format!("cuelight-demo-{}", std::process::id())), true),
    };
    let unpacked = unpack(&folder);
    let outcome = unpacked.and_then(|()| {
        std::env::set_current_dir(&folder)?;
        // The project is ours and was just made: there is nobody to ask about it.
        run::run(&run::Args {
            workflow: Some("pipeline".to_owned()),
            event: "push".to_owned(),
            trust: true,
            ..run::Args::default()
        })
    });
    if remove {
        // The run keeps its own copies; its logs stay with the other runs.
        let _ = fs::remove_dir_all(&folder);
    }
    outcome
}

/// Writes the project and makes it a repository with one commit.
fn unpack(folder: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Unavailable, format!("cannot unpack the demo into {}: {error}", folder.display()))
    };
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(Exit::Usage, format!("{} is not empty: choose another folder", folder.display())));
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
