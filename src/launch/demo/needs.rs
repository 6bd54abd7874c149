//! What the larger project needs of this machine, and what of it is missing.

use std::time::Duration;

use futures_util::future::join_all;
use http::Uri;

use crate::engine::sandbox::providers::Providers;
use crate::engine::tools::Tool;
use crate::launch::tools;
use crate::net;
use crate::store::folder::RunsDir;

/// Version of Python in its workflow.
const PYTHON: &str = "3.11";

/// Servers that its actions and its Python packages come from.
const SERVERS: [(&str, &str); 2] = [
    ("https://github.com", "the actions of its pipeline come from there, unless they are in the cache"),
    ("https://pypi.org", "its tools and libraries come from there"),
];

/// Maximum time to connect to a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns what the project needs and is missing, one line for each; empty if nothing is.
pub async fn missing(runs: &RunsDir) -> Vec<String> {
    let mut missing = Vec::new();
    let providers = Providers::of_this_process();
    if let Err(error) = providers.containers().check().await {
        missing.push(format!("Docker, for its services and its image: {error}"));
    }
    let found = tools::list(runs).await;
    let is_python = |version: &str| version.strip_prefix(PYTHON).is_some_and(|rest| rest.starts_with('.'));
    if !found.iter().any(|one| one.tool == Tool::Python && is_python(&one.version.to_string())) {
        missing.push(format!("Python {PYTHON}: `cuelight tools` lists what is found, and can add a folder"));
    }
    if !found.iter().any(|one| one.tool == Tool::Node) {
        missing.push("Node.js, for JavaScript actions".to_owned());
    }
    let reached = SERVERS.map(|(server, _)| net::connect(Uri::from_static(server), CONNECT_TIMEOUT));
    for ((server, why), reached) in SERVERS.into_iter().zip(join_all(reached).await) {
        if let Err(error) = reached {
            missing.push(format!("{server} cannot be reached ({error}): {why}"));
        }
    }
    missing
}
