//! Typed ids. Selections and messages hold ids, never indexes, so they stay valid when a list changes.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Id of a run on this machine, and name of the run's folder. It starts with the time (`20261124-021530-4f3a`), so ids
/// sort by age.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct RunId(Arc<str>);

/// Id of a job within its run: the job's key in the workflow file, `key.2` for the second leg of a matrix, and
/// `caller.callee` for a job of a called workflow. It is a valid file name and the name of the job's log folder.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Arc<str>);

/// Number of a step in its job, counted from 1 ("Set up job"), like GitHub's `number`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
#[serde(transparent)]
pub struct StepNumber(pub u32);

macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// Creates an id from a valid text.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }

            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

text_id!(RunId);
text_id!(JobId);

impl fmt::Display for StepNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
