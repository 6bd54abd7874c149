//! What an expression is evaluated over: a snapshot of the contexts, what the status functions answer, and a host for
//! the one function that needs files.

use std::sync::Arc;

use super::object::Object;
use super::value::Value;

/// Everything that evaluation looks at. It changes nothing.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The contexts by name.
    pub contexts: &'a Contexts,
    /// What the status functions answer.
    pub status: Status,
    /// Where files are hashed.
    pub host: &'a dyn Host,
}

/// Contexts by name in the order in which they were set; cloning is cheap and gives a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contexts {
    by_name: Arc<Object>,
}

impl Contexts {
    /// No contexts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a context; snapshots taken before keep what they have.
    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        Arc::make_mut(&mut self.by_name).insert(name, value);
    }

    /// A context by its name in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.by_name.get(name)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.by_name.iter()
    }
}

impl<N: Into<String>> FromIterator<(N, Value)> for Contexts {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(entries: I) -> Self {
        Self { by_name: Arc::new(entries.into_iter().collect()) }
    }
}

/// What `success()`, `failure()` and `cancelled()` answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Nothing before has failed and nothing was cancelled.
    pub success: bool,
    /// Something before has failed.
    pub failure: bool,
    /// The run is being cancelled.
    pub cancelled: bool,
}

impl Default for Status {
    /// Nothing has failed so far.
    fn default() -> Self {
        Self { success: true, failure: false, cancelled: false }
    }
}

/// The files of a job, for `hashFiles`.
pub trait Host: Send + Sync {
    /// The hash over the files that the patterns select, empty if there are none. The arguments are those of
    /// `hashFiles`, options included.
    ///
    /// # Errors
    /// What went wrong, in one line for the user.
    fn hash_files(&self, patterns: &[String]) -> Result<String, String>;
}

/// A [`Host`] without files.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl Host for NoFiles {
    fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
        Err(format!("hashFiles('{}') has no files to look at here", patterns.join("', '")))
    }
}
