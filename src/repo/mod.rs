//! The user's repository: what git knows of it, and which of its files an event changed.

pub mod changed;
pub mod git;
