//! Parses hosts, repositories and runs from user input, git remotes and URLs.
//!
//! The functions are pure: the environment and the remotes are arguments.

mod host;
mod repository;
mod run;

pub(in crate::backend::github) use host::is_safe;
pub use host::{GITHUB, Host};
pub use repository::{Repository, of_remotes};
pub use run::{RunAddress, Target};

/// Why a text is not an address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Not the name of a host.
    #[error("invalid host name `{0}`")]
    Host(String),
    /// Not the name of a repository.
    #[error("invalid repository `{0}`; expected OWNER/REPO, HOST/OWNER/REPO or a URL")]
    Repository(String),
    /// Not the name of a run.
    #[error("invalid run `{0}`; expected a number, OWNER/REPO/NUMBER or a URL")]
    Run(String),
    /// Not the base address of an API.
    #[error("invalid API URL `{0}`; expected https://, or http:// on this machine")]
    Api(String),
}

/// Escapes a path for a URL; slashes stay.
pub(in crate::backend::github) fn escaped(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Escapes a name for one segment of a URL's path.
pub(in crate::backend::github) fn segment(name: &str) -> String {
    escaped(name).replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::{escaped, segment};

    #[test]
    fn names_are_escaped_and_paths_stay() {
        assert_eq!(escaped(".github/workflows/a b?#%ü.yml"), ".github/workflows/a%20b%3F%23%25%C3%BC.yml");
        assert_eq!(segment("eu/prod 1"), "eu%2Fprod%201");
    }
}
