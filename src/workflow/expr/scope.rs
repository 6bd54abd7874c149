//! The inputs of evaluation: a snapshot of the contexts, the job status, and a host for `hashFiles`.

use std::sync::Arc;

use super::object::Object;
use super::value::Value;

/// Everything that evaluation reads.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The contexts by name.
    pub contexts: &'a Contexts,
    /// Results of the status functions.
    pub status: Status,
    /// The files for `hashFiles`.
    pub host: &'a dyn Host,
}

/// Contexts by name, in insertion order. Cloning is cheap and yields a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contexts {
    by_name: Arc<Object>,
}

impl Contexts {
    /// Creates an empty set of contexts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a context. Snapshots taken before keep the old value.
    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        Arc::make_mut(&mut self.by_name).insert(name, value);
    }

    /// Returns the context with a name, in any case; `None` if it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.by_name.get(name)
    }

    /// Returns the names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.by_name.iter()
    }
}

impl<N: Into<String>> FromIterator<(N, Value)> for Contexts {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(entries: I) -> Self {
        Self { by_name: Arc::new(entries.into_iter().collect()) }
    }
}

/// Results of `success()`, `failure()` and `cancelled()`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Whether no earlier step or needed job failed or was cancelled.
    pub success: bool,
    /// Whether an earlier step or needed job failed.
    pub failure: bool,
    /// Whether the run is being cancelled.
    pub cancelled: bool,
}

impl Default for Status {
    /// Returns the status before the first failure.
    fn default() -> Self {
        Self { success: true, failure: false, cancelled: false }
    }
}

/// Why files cannot be hashed, as a message in one line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct HashFilesError(pub String);

/// The files of a job, for `hashFiles`.
pub trait Host: Send + Sync {
    /// Returns the hash over the files that match the patterns; empty if no file matches. The patterns are the
    /// arguments of `hashFiles`, options included.
    ///
    /// # Errors
    /// A pattern or option is invalid, or a file cannot be read.
    fn hash_files(&self, patterns: &[String]) -> Result<String, HashFilesError>;
}

/// A [`Host`] without files.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl Host for NoFiles {
    fn hash_files(&self, patterns: &[String]) -> Result<String, HashFilesError> {
        Err(HashFilesError(format!("hashFiles('{}') has no files here", patterns.join("', '"))))
    }
}
