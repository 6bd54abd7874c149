//! Runs of servers that speak GitHub's REST API: github.com, GitHub Enterprise, Gitea.
//!
//! - [`address`], [`auth`], [`client`], `hosts`: servers, accounts and requests
//! - [`wire`]: the server's answers as types
//! - [`mirror`]: run folders that mirror remote runs
//! - [`runner`]: self-hosted runners on this machine, and the logs that they write
//! - [`poller`]: decides when to request what, and writes the mirrors
//! - [`workflows`]: the workflows of a repository: listed, enabled, started
//! - [`debugger`]: GitHub's debugger of running jobs
//! - [`recording`]: deployments by this machine, recorded on GitHub
//! - [`environments`]: the environments of a repository, and what is live in them

pub mod address;
pub mod auth;
pub(in crate::backend) mod checkout;
pub mod client;
pub mod debugger;
pub mod environments;
mod hosts;
pub mod mirror;
pub mod poller;
pub mod recording;
pub mod runner;
pub mod wire;
pub mod workflows;

pub use hosts::{connect, host, hosts};
