//! The artifacts and job summaries of a run, and the cache entries of its repository, as user interfaces list them.

use super::Timestamp;

/// A file that a step stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredFile {
    /// Whether it is an artifact or a cache entry.
    pub kind: StoredKind,
    /// Identifies the file among those of its kind, whatever their names: the id of the artifact in its run, or the
    /// folders of the cache and of its entry.
    pub id: String,
    /// Name of the artifact, or key of the cache entry.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// When it was stored.
    pub created: Timestamp,
    /// Id of the job that uploaded the artifact, or short name of the ref of the cache entry.
    pub source: String,
}

/// What the steps of a job wrote to `GITHUB_STEP_SUMMARY`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobSummary {
    /// Name of the job.
    pub job: String,
    /// The text, in Markdown.
    pub markdown: String,
}

/// Kind of a stored file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoredKind {
    /// An artifact of a run on this machine, which can be downloaded and deleted.
    Artifact,
    /// An artifact of a run on a server, which can be downloaded and deleted.
    RemoteArtifact,
    /// An entry of the cache of the repository, which can be deleted.
    Cache,
}

impl StoredKind {
    /// Returns the word for the kind.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Artifact | Self::RemoteArtifact => "artifact",
            Self::Cache => "cache",
        }
    }
}
