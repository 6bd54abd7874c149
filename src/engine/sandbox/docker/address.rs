//! Addresses of Docker engines, and the certificates for those that are reached over TLS.

use std::path::{Path, PathBuf};

use crate::store::digest;

/// Address of a Docker engine, with its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `unix:///path`, `tcp://host:port` or `ssh://[user@]host[:port][/path/of/the/socket]`.
    pub(super) address: String,
    /// Folder with `ca.pem`, `cert.pem` and `key.pem`, if the engine is reached over TLS.
    pub(super) certificates: Option<PathBuf>,
}

impl Endpoint {
    /// Returns the endpoint with an address. If it is one of the user's endpoints, it includes the certificates.
    pub(super) fn at(address: &str) -> Self {
        let known = candidates().into_iter().find(|endpoint| endpoint.address == address);
        known.unwrap_or_else(|| Self { address: address.to_owned(), certificates: None })
    }
}

/// Returns the endpoints to try, in the order of preference.
pub(super) fn candidates() -> Vec<Endpoint> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    if let Some(address) = set("DOCKER_HOST") {
        // As in the docker CLI, `DOCKER_TLS_VERIFY` enables TLS, and the certificates are in `~/.docker` by default.
        let secure = set("DOCKER_TLS_VERIFY").filter(|_| is_tcp(&address));
        let default = || home.clone().unwrap_or_default().join(".docker");
        let certificates = secure.map(|_| set("DOCKER_CERT_PATH").map_or_else(default, PathBuf::from));
        return vec![Endpoint { address, certificates }];
    }
    if let Some(endpoint) = home.and_then(|home| context(&home, set("DOCKER_CONTEXT"))) {
        return vec![endpoint];
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let own = |socket: &str| own.as_ref().map(|folder| folder.join(socket));
    let default = PathBuf::from("/var/run/docker.sock");
    let sockets = [
        Some(default.clone()),
        own("docker.sock"),
        own("podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ];
    let endpoint = |socket: PathBuf| Endpoint { address: format!("unix://{}", socket.display()), certificates: None };
    let existing: Vec<_> = sockets.into_iter().flatten().filter(|socket| socket.exists()).map(endpoint).collect();
    if existing.is_empty() { vec![endpoint(default)] } else { existing }
}

/// Whether an address uses TCP, which can be encrypted.
fn is_tcp(address: &str) -> bool {
    ["tcp://", "http://", "https://"].iter().any(|scheme| address.starts_with(scheme))
}

/// Returns the endpoint of the docker CLI's current context, unless it is the default one. The CLI stores a context and
/// its certificates in folders named by the SHA-256 of the context's name.
fn context(home: &Path, named: Option<String>) -> Option<Endpoint> {
    let read = |path: PathBuf| serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).ok()?).ok();
    let docker = home.join(".docker");
    let named =
        named.or_else(|| Some(read(docker.join("config.json"))?.get("currentContext")?.as_str()?.to_owned()))?;
    if named == "default" {
        return None;
    }
    let folder = digest::sha256(named, 32);
    let meta = read(docker.join("contexts/meta").join(&folder).join("meta.json"))?;
    let address = meta.get("Endpoints")?.get("docker")?.get("Host")?.as_str()?.to_owned();
    let certificates = docker.join("contexts/tls").join(&folder).join("docker");
    let certificates = Some(certificates).filter(|folder| is_tcp(&address) && folder.is_dir());
    Some(Endpoint { address, certificates })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_of_the_docker_cli_is_used() {
        let home = tempfile::tempdir().expect("a folder");
        let docker = home.path().join(".docker");
        let folder = digest::sha256("work", 32);
        let meta = docker.join("contexts/meta").join(&folder);
        std::fs::create_dir_all(&meta).expect("made");
        std::fs::write(docker.join("config.json"), r#"{"currentContext":"work"}"#).expect("written");
        let host = |address: &str| {
            let text = format!(r#"{{"Endpoints":{{"docker":{{"Host":"{address}"}}}}}}"#);
            std::fs::write(meta.join("meta.json"), text).expect("written");
        };
        host("tcp://10.0.0.1:1");
        let plain = Endpoint { address: "tcp://10.0.0.1:1".to_owned(), certificates: None };
        assert_eq!(context(home.path(), None), Some(plain));
        assert_eq!(context(home.path(), Some("default".to_owned())), None);
        assert_eq!(context(home.path(), Some("other".to_owned())), None);

        let certificates = docker.join("contexts/tls").join(&folder).join("docker");
        std::fs::create_dir_all(&certificates).expect("made");
        assert_eq!(context(home.path(), None).and_then(|found| found.certificates), Some(certificates));
        host("ssh://build@10.0.0.1");
        let over_ssh = Endpoint { address: "ssh://build@10.0.0.1".to_owned(), certificates: None };
        assert_eq!(context(home.path(), None), Some(over_ssh));
    }
}
