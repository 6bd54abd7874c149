//! `run.json`: everything that was asked for, so that a run can be planned again from its folder alone.
//!
//! It holds no secret: names of secrets, never values.

use std::fs;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

use super::folder::RunFolder;
use super::{StoreError, atomic};

/// The version of `run.json` that this program writes.
const VERSION: u32 = 1;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSpec {
    /// Version of this document.
    pub version: u32,
    /// Version of the program that made the run.
    pub engine: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// Number of the run among those of its workflow, from 1; see [`super::numbers`].
    pub run_number: u64,
    /// The repository's root.
    pub repository: PathBuf,
    /// `owner/name`.
    pub slug: String,
    /// The workflow's path in the repository.
    pub workflow: String,
    /// Its text, as it was.
    pub text: String,
    /// Texts of the repository's workflows that it calls, by path.
    pub called: IndexMap<String, String>,
    /// The event.
    pub event: String,
    /// Its payload.
    pub payload: serde_json::Value,
    /// The full ref.
    pub git_ref: String,
    /// The commit; empty in a repository without one.
    pub sha: String,
    /// Who asked.
    pub actor: String,
    /// Inputs as given.
    pub inputs: IndexMap<String, String>,
    /// Configuration variables.
    pub vars: IndexMap<String, String>,
    /// Names of the secrets that were given.
    pub secrets: Vec<String>,
    /// Only these jobs, and what they need.
    pub jobs: Vec<String>,
    /// How many jobs at once.
    pub max_parallel: usize,
    /// Run in the repository's own folder.
    pub in_place: bool,
    /// Run every job here, whatever its `runs-on` says.
    pub any_runner: bool,
    /// Sandboxes by label.
    pub runs_on: IndexMap<String, String>,
    /// The sandbox of every job that asks for no container: `host`, `docker`, `docker:image`.
    pub sandbox: Option<String>,
    /// The image of jobs in Docker that name none.
    pub image: String,
    /// Where actions come from, by name: a folder or a server.
    pub actions: IndexMap<String, String>,
    /// Steps in containers are started by a supervisor inside.
    pub supervisor: bool,
    /// What failed jobs in containers leave is kept of so many of them.
    pub keep_failed: usize,
    /// Take actions only from what is kept.
    pub offline: bool,
    /// Keep debug lines.
    pub debug: bool,
}

impl RunSpec {
    /// The short name of the ref.
    #[must_use]
    pub fn ref_name(&self) -> &str {
        let full = self.git_ref.as_str();
        ["refs/heads/", "refs/tags/", "refs/"].iter().find_map(|prefix| full.strip_prefix(prefix)).unwrap_or(full)
    }

    /// Reads the document of a run.
    ///
    /// # Errors
    /// It is missing, damaged, or of a later version.
    pub fn read(folder: &RunFolder) -> Result<Self, StoreError> {
        let path = folder.spec_path();
        let text = fs::read(&path).map_err(StoreError::io("read", &path))?;
        let damaged = |reason: String| StoreError::Damaged { path: path.clone(), reason };
        let spec: Self = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if spec.version > VERSION {
            return Err(damaged(format!("it is of version {}, and this program reads up to {VERSION}", spec.version)));
        }
        Ok(spec)
    }

    /// Writes the document of a run.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<(), StoreError> {
        let path = folder.spec_path();
        let document = Self { version: VERSION, ..self.clone() };
        let text = serde_json::to_vec_pretty(&document).expect("strings and numbers always serialise");
        atomic::write_unsynced(&path, &text).map_err(StoreError::io("write", path))
    }
}
