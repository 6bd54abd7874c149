//! Run folders that mirror remote runs. Nothing here sends a request: the inputs are answers of the server, and the
//! outputs are events and files.
//!
//! - [`graph`]: the jobs of a run, from its workflow file and from the server's list
//! - [`events`]: the events that a snapshot adds to a run
//! - [`logs`]: the log of a job, split into the logs of its steps
//! - [`live`]: the log of a running job, if the server provides it
//! - [`folder`]: the run folder
//!
//! A listed run is mirrored as a *stub*, without jobs. Its jobs are added when it is opened; a stub of a completed run
//! then starts over.

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
