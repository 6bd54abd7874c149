//! The configured hosts, and their clients.

use crate::config::{GithubConfig, HostConfig};
use crate::store::folder::RunsDir;

use super::address::{AddressError, GITHUB, Host, Repository};
use super::auth::{self, AuthError, TokenSource};
use super::client::Client;

/// Returns a host with its configured settings.
///
/// # Errors
/// The name, or the configured address of the API, is invalid.
pub fn host(name: &str, config: &GithubConfig) -> Result<Host, AddressError> {
    let settings = config.host(name);
    let host = Host::new(name, settings.kind)?;
    let of_github = config.api_url.as_ref().filter(|_| host.name() == GITHUB);
    match settings.api_url.as_ref().or(of_github) {
        Some(api) => host.with_api(api),
        None => Ok(host),
    }
}

/// Returns all hosts of the configuration: github.com, hosts with settings, and hosts of repositories.
///
/// # Errors
/// A name or an address in the configuration is invalid.
pub fn hosts(config: &GithubConfig) -> Result<Vec<Host>, AddressError> {
    let mut names = vec![GITHUB.to_owned()];
    names.extend(config.hosts.keys().map(|name| name.to_ascii_lowercase()));
    for repository in &config.repositories {
        names.push(Repository::parse(repository, None)?.host);
    }
    let mut hosts: Vec<Host> = Vec::new();
    for name in names {
        if hosts.iter().all(|known| known.name() != name) {
            hosts.push(host(&name, config)?);
        }
    }
    Ok(hosts)
}

/// Creates a client of a host, with the token found in the configuration, the environment, gh, or an earlier login.
/// Create one client per host: it owns the queue of requests.
///
/// # Errors
/// A configured source of a token cannot be read or has no token, or the client cannot be made.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn connect(
    host: Host,
    config: &GithubConfig,
    state: &RunsDir,
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<(Client, TokenSource), AuthError> {
    let settings: HostConfig = config.host(host.name());
    let (token, source) = auth::find(&host, &settings, state, variable).await?;
    Ok((Client::new(host, token.as_ref(), state)?, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerKind;

    #[test]
    fn hosts_come_from_settings_and_repositories() {
        let mut config =
            GithubConfig { repositories: vec!["o/r".into(), "ghe.example/o/r".into()], ..GithubConfig::default() };
        config.api_url = Some("http://127.0.0.1:1".to_owned());
        let gitea = HostConfig { kind: ServerKind::Gitea, ..HostConfig::default() };
        config.hosts.insert("git.example".to_owned(), gitea);
        let apis: Vec<_> = hosts(&config).expect("hosts").iter().map(|host| host.api().to_owned()).collect();
        assert_eq!(apis, ["http://127.0.0.1:1", "https://git.example/api/v1", "https://ghe.example/api/v3"]);
        config.api_url = Some("http://evil.example".to_owned());
        assert!(matches!(hosts(&config), Err(AddressError::Api(_))));
    }
}
