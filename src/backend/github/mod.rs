//! Runs of servers that speak GitHub's REST API: github.com, GitHub Enterprise, Gitea.

pub mod address;
pub mod auth;
pub mod client;
mod hosts;

pub use hosts::{connect, host, hosts};
