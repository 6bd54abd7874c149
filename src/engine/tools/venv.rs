//! Virtual environments of the Python installations of this machine. Each job gets a separate environment, so that `pip
//! install` changes neither the installation nor the environment of another job.
//!
//! Creating an environment takes seconds, mostly for pip. So one environment of each Python is kept, and copied for
//! each job. The scripts of an environment contain the path of its folder, which is replaced in the copy.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::Installation;
use crate::engine::actions::partial::Partial;
use crate::engine::blocking::in_place;
use crate::engine::program;
use crate::engine::program::CallError;
use crate::files;
use crate::store::digest::sha256;

/// Time limit for creating an environment.
const VENV_TIMEOUT: Duration = Duration::from_mins(2);

/// Maximum size in bytes of a script that contains the path of its folder.
const MAX_SCRIPT: u64 = 1024 * 1024;

/// Why an environment cannot be created.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum VenvError {
    /// `python -m venv` failed.
    #[error("`python -m venv` failed: {0}")]
    Python(String),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Creates a virtual environment of a Python installation in the folder `at`, which must not exist, as a copy of the
/// environment in `kept`. If `kept` has no environment of the installation, creates that one first.
///
/// # Errors
/// The environment cannot be created or copied.
pub(super) async fn make(python: &Installation, kept: &Path, at: &Path) -> Result<(), VenvError> {
    let original = original(python, kept).await?;
    Ok(in_place(|| {
        copy(&original, at)?;
        rename_in_scripts(at, &original, at)
    })?)
}

/// Returns the kept environment of a Python installation, creating it if necessary.
async fn original(python: &Installation, kept: &Path) -> Result<PathBuf, VenvError> {
    let name = format!("{}-{}", python.version, sha256(python.program.as_os_str().as_encoded_bytes(), 8));
    let original = kept.join(&name);
    if original.is_dir() {
        return Ok(original);
    }
    let making = in_place(|| Partial::create(kept, &name))?;
    let mut command = Command::new(&python.program);
    command.args(["-I", "-m", "venv"]).arg(making.path());
    let done = program::call(&mut command, VENV_TIMEOUT).await.map_err(|error| match error {
        CallError::Start(error) => error.into(),
        late @ CallError::TooSlow(_) => VenvError::Python(late.to_string()),
    })?;
    if !done.status.success() {
        let said = [done.output, done.messages].concat();
        let said = String::from_utf8_lossy(&said).lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
        return Err(VenvError::Python(said.unwrap_or_else(|| done.status.to_string())));
    }
    in_place(|| rename_in_scripts(making.path(), making.path(), &original))?;
    match fs::rename(making.path(), &original) {
        // Another job has created it in the meantime.
        Err(_) if original.exists() => Ok(original),
        renamed => Ok(renamed.map(|()| original)?),
    }
}

/// Copies a folder with all its content. Links stay links.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        let below = entry.path().strip_prefix(from).map_err(io::Error::other)?;
        let target = to.join(below);
        let kind = entry.file_type();
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Replaces a path in the scripts of an environment, and in its configuration. Files that are not text stay as they
/// are, as do links and scripts above [`MAX_SCRIPT`].
pub(super) fn rename_in_scripts(environment: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
    let bin = environment.join("bin");
    // The action that installed the environment may have put a link to a folder of the user here.
    let is_folder = bin.symlink_metadata().is_ok_and(|data| data.is_dir());
    let scripts =
        is_folder.then(|| fs::read_dir(bin)).into_iter().flatten().flatten().flatten().map(|entry| entry.path());
    for file in scripts.chain([environment.join("pyvenv.cfg")]) {
        // Skips links and programs.
        let Ok(text) = files::read_own_text(&file, MAX_SCRIPT) else { continue };
        if text.contains(&*from) {
            files::create_own(&file)?.write_all(text.replace(&*from, &to).as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tools::Tool;
    use crate::engine::tools::find::Search;

    #[tokio::test]
    async fn a_copy_has_its_own_pip_and_its_own_packages() {
        let environment: Vec<_> = std::env::vars_os().collect();
        let found = Search { environment: &environment, added: &[] }.installations(Tool::Python).await;
        let Some(python) = found.first() else { return };
        let home = tempfile::tempdir().expect("a folder");
        let (kept, at) = (home.path().join("kept"), home.path().join("job/x64"));
        make(python, &kept, &at).await.expect("made");
        let run = |program: &str, arguments: &[&str]| {
            let done =
                std::process::Command::new(at.join("bin").join(program)).args(arguments).output().expect("starts");
            String::from_utf8_lossy(&done.stdout).trim().to_owned()
        };
        let prefix = run("python", &["-c", "import sys; print(sys.prefix, sys.version.split()[0])"]);
        assert_eq!(prefix, format!("{} {}", at.display(), python.version));
        assert!(run("pip", &["--version"]).contains(&*at.to_string_lossy()));
        let again = home.path().join("other/x64");
        make(python, &kept, &again).await.expect("copied");
        assert!(again.join("bin/pip").is_file());
        assert_eq!(fs::read_dir(&kept).expect("kept").count(), 1, "one environment is kept, and nothing unfinished");
    }

    #[tokio::test]
    async fn an_environment_that_cannot_be_made_leaves_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        let python = Installation {
            tool: Tool::Python,
            version: "3.1.0".parse().expect("a version"),
            home: home.path().to_owned(),
            program: "/bin/false".into(),
            source: "PATH",
        };
        let error = make(&python, &home.path().join("kept"), &home.path().join("at")).await.expect_err("no Python");
        assert!(error.to_string().starts_with("`python -m venv` failed"), "{error}");
        assert_eq!(fs::read_dir(home.path().join("kept")).expect("made").count(), 0);
    }
}
