//! The client of servers that speak GitHub's API, against the stateful fake server.

mod auth;
mod client;
mod fake;
mod hostile;
mod runner;
