//! Run folders that mirror remote runs. Nothing here sends a request: answers of the server come in as values, events and
//! files go out.
//!
//! - [`graph`]: the jobs of a run from its workflow file, and the listed jobs in it
//! - [`events`]: what a snapshot of a run adds to what is known of it
//! - [`logs`]: the log of a job, split into the logs of its steps
//! - [`live`]: the log of a job that runs, where the server has it
//! - [`folder`]: the run folder
//!
//! A run of the list is mirrored as a *stub*, without jobs. When it is opened, its jobs follow: a stub of a run that has
//! ended then starts over.

pub mod events;
pub mod folder;
pub mod graph;
pub mod live;
pub mod logs;

mod jobs;
pub(in crate::backend::github) mod reviews;
mod scope;

#[cfg(test)]
mod tests;
