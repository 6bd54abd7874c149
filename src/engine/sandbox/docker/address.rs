//! Addresses of Docker engines.

use std::path::{Path, PathBuf};

use crate::store::digest;

/// Returns the addresses to try, best first.
pub(super) fn candidates() -> Vec<String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(host) = set("DOCKER_HOST") {
        return vec![host];
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    if let Some(host) = home.and_then(|home| context(Path::new(&home), set("DOCKER_CONTEXT"))) {
        return vec![host];
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let own = |socket: &str| own.as_ref().map(|folder| folder.join(socket));
    let sockets = [
        Some(PathBuf::from("/var/run/docker.sock")),
        own("docker.sock"),
        own("podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ];
    let address = |socket: PathBuf| format!("unix://{}", socket.display());
    let existing: Vec<_> = sockets.iter().flatten().filter(|socket| socket.exists()).cloned().map(address).collect();
    if existing.is_empty() { vec!["unix:///var/run/docker.sock".to_owned()] } else { existing }
}

/// Returns the address of the docker CLI's current context, unless it is the default one. The CLI stores a context in a
/// folder named by the SHA-256 of the context's name.
fn context(home: &Path, named: Option<String>) -> Option<String> {
    let read = |path: PathBuf| serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).ok()?).ok();
    let docker = home.join(".docker");
    let named =
        named.or_else(|| Some(read(docker.join("config.json"))?.get("currentContext")?.as_str()?.to_owned()))?;
    if named == "default" {
        return None;
    }
    let meta = read(docker.join("contexts/meta").join(digest::sha256(named, 32)).join("meta.json"))?;
    Some(meta.get("Endpoints")?.get("docker")?.get("Host")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_of_the_docker_cli_is_used() {
        let home = tempfile::tempdir().expect("a folder");
        let docker = home.path().join(".docker");
        let meta = docker.join("contexts/meta").join(digest::sha256("work", 32));
        std::fs::create_dir_all(&meta).expect("made");
        std::fs::write(docker.join("config.json"), r#"{"currentContext":"work"}"#).expect("written");
        std::fs::write(meta.join("meta.json"), r#"{"Endpoints":{"docker":{"Host":"tcp://10.0.0.1:1"}}}"#)
            .expect("written");
        assert_eq!(context(home.path(), None).as_deref(), Some("tcp://10.0.0.1:1"));
        assert_eq!(context(home.path(), Some("default".to_owned())), None);
        assert_eq!(context(home.path(), Some("other".to_owned())), None);
    }
}
