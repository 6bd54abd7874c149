//! Runs of servers that speak GitHub's REST API: github.com, GitHub Enterprise, Gitea.
//!
//! - [`address`], [`auth`], [`client`], `hosts`: which server, as whom, and how it is asked
//! - [`wire`]: the answers of a server as types
//! - [`mirror`]: run folders that mirror remote runs

pub mod address;
pub mod auth;
pub mod client;
mod hosts;
pub mod mirror;
pub mod wire;

pub use hosts::{connect, host, hosts};
