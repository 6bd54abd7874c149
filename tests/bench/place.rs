//! A temporary project for a measurement.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A temporary repository with a separate state folder.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(workflow: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        let path = place.root().join(".github/workflows/ci.yml");
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, workflow).expect("written");
        for args in
            [&["init", "-q"][..], &["add", "-A"], &["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "x"]]
        {
            let done = Command::new("git").arg("-C").arg(place.root()).args(args).status().expect("git starts");
            assert!(done.success());
        }
        place
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn cuelight(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cuelight"));
        command
            .args(args)
            .current_dir(self.root())
            .env("CUELIGHT_STATE_DIR", self.state())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}
