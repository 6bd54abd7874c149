//! The user's repository: facts from git, the files that an event changed, and its workflow files.

pub mod address;
pub mod changed;
pub mod git;
pub mod history;
pub mod lint;
pub mod snapshot;
pub mod uncommitted;
pub mod workflows;
