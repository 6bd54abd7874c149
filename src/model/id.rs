//! Typed ids. Selections and messages hold ids, never indexes, so a list that grows never moves what they mean.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Names a run on this machine. Time-ordered text (`20261124-021530-4f3a`), so sorting ids sorts runs by age, and it
/// is the name of the run's folder.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct RunId(Arc<str>);

/// Names a job within its run: the job's id in the workflow file, `id.2` for the second leg of a matrix, and
/// `caller.callee` for a job of a called workflow. It is safe as a file name and the name of the job's log folder.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Arc<str>);

/// A step's place in the order its job shows, from 1 ("Set up job"), as in GitHub's `number`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Debug)]
#[serde(transparent)]
pub struct StepNumber(pub u32);

macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// Wraps text that is already known to be an id.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }

            /// The id as text.
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
