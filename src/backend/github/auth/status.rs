//! Status of the account at a host, for `cuelight auth status`.

use serde::Serialize;

use crate::config::HostConfig;
use crate::store::folder::RunsDir;

use super::super::address::Host;
use super::super::client::{Client, Freshness, Priority, Rate};
use super::{AuthError, find};

/// The account at a host. It holds no token.
#[derive(Debug, Serialize)]
pub struct HostStatus {
    /// Name of the host.
    pub host: String,
    /// Base address of its API.
    pub api: String,
    /// Where the token comes from; empty if looking for it failed.
    pub source: String,
    /// Name of the account; `None` without a token, or if the host did not answer.
    pub account: Option<String>,
    /// Scopes of the token; `None` if it has none, like fine-grained tokens, or if the host did not respond.
    pub scopes: Option<Vec<String>>,
    /// The rate limit; `None` if the server did not report it.
    pub rate: Option<Rate>,
    /// Why a field is missing, in one line.
    pub problem: Option<String>,
}

/// Finds the token of a host and requests the account that it belongs to; without a token, requests only the rate
/// limit. An error is reported in [`HostStatus::problem`].
pub async fn status(
    host: &Host,
    settings: &HostConfig,
    state: &RunsDir,
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
) -> HostStatus {
    let mut status = HostStatus {
        host: host.name().to_owned(),
        api: host.api().to_owned(),
        source: String::new(),
        account: None,
        scopes: None,
        rate: None,
        problem: None,
    };
    if let Err(error) = ask(host, settings, state, variable, &mut status).await {
        status.problem = Some(error.to_string());
    }
    status
}

async fn ask(
    host: &Host,
    settings: &HostConfig,
    state: &RunsDir,
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
    status: &mut HostStatus,
) -> Result<(), AuthError> {
    let (token, source) = find(host, settings, state, variable).await?;
    status.source = source.to_string();
    let client = Client::new(host.clone(), token.as_ref(), state)?;
    let path = if token.is_some() { "/user" } else { "/rate_limit" };
    let answer = client.get(path, Freshness::NOW, Priority::User).await;
    let link = client.link().borrow().clone();
    status.rate = link.rate;
    status.scopes = link.scopes;
    let body: serde_json::Value = serde_json::from_slice(&answer?.body).unwrap_or_default();
    status.account = body.get("login").and_then(|login| login.as_str()).map(str::to_owned);
    Ok(())
}
