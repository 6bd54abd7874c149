//! A repository on a host.

use std::fmt;

use super::AddressError;
use super::host::{GITHUB, host_name};

/// A repository on a host, by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Repository {
    /// Name of the host, in lower case.
    pub host: String,
    /// Name of the user or the organization.
    pub owner: String,
    /// Name of the repository.
    pub name: String,
}

/// Maximum length of the name of an owner or a repository.
const MAX_NAME: usize = 100;
/// Host of github.com's SSH server for networks without port 22.
const SSH_OVER_HTTPS: &str = "ssh.github.com";

impl Repository {
    /// Reads `[HOST/]OWNER/REPO` or an address. `default_host` is the host of a name without one: `GH_HOST`, or
    /// github.com.
    ///
    /// # Errors
    /// The text names no repository.
    pub fn parse(text: &str, default_host: Option<&str>) -> Result<Self, AddressError> {
        let wrong = || AddressError::Repository(shown(text));
        let parts: Vec<&str> = text.split('/').collect();
        let found = match parts[..] {
            _ if text.contains("://") || text.contains('@') => Self::of_remote(text),
            [owner, name] => Self::new(default_host.unwrap_or(GITHUB), owner, name),
            [host, owner, name] => Self::new(host, owner, name),
            _ => None,
        };
        found.ok_or_else(wrong)
    }

    /// Reads the address of a git remote: `https://HOST/OWNER/REPO.git`, `ssh://git@HOST/…`, `git://HOST/…`, or
    /// `git@HOST:OWNER/REPO.git`. `None` for a path and for other addresses. `www.` and the port of the host are left
    /// out, and `ssh.github.com` is github.com.
    #[must_use]
    pub fn of_remote(address: &str) -> Option<Self> {
        let address = address.trim();
        let (host, path) = if let Some((scheme, rest)) = address.split_once("://") {
            let scheme = scheme.to_ascii_lowercase();
            let scheme = scheme.strip_prefix("git+").unwrap_or(&scheme);
            if !matches!(scheme, "https" | "http" | "ssh" | "git") {
                return None;
            }
            let (authority, path) = rest.split_once('/')?;
            let host = authority.rsplit('@').next().unwrap_or_default();
            (host.split(':').next().unwrap_or_default(), path.trim_start_matches('/'))
        } else {
            // The form of scp. A path has a slash before the first colon.
            let (host, path) = address.split_once(':').filter(|(host, _)| !host.contains('/'))?;
            (host.rsplit('@').next().unwrap_or_default(), path.trim_start_matches('/'))
        };
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let (owner, name) = path.split_once('/')?;
        Self::new(host, owner, name.strip_suffix(".git").unwrap_or(name))
    }

    /// Returns the repository with these names. `None` if one of them is invalid.
    pub(super) fn new(host: &str, owner: &str, name: &str) -> Option<Self> {
        let host = host_name(host)?;
        let host = host.strip_prefix("www.").unwrap_or(&host);
        let host = if host == SSH_OVER_HTTPS { GITHUB } else { host };
        (is_name(owner) && is_name(name)).then(|| Self {
            host: host.to_owned(),
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Returns `OWNER/REPO`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns the path of the repository in the API.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/repos/{}/{}", self.owner, self.name)
    }
}

/// `OWNER/REPO`, or `HOST/OWNER/REPO` on another host than github.com.
impl fmt::Display for Repository {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host != GITHUB {
            write!(to, "{}/", self.host)?;
        }
        write!(to, "{}/{}", self.owner, self.name)
    }
}

/// Chooses the repository that a checkout belongs to: the one at the remote that `gh repo set-default` has marked, else
/// at `upstream`, `github` or `origin` in this order, else at the first remote. Remotes of hosts that are not in
/// `hosts` are ignored. Each remote is given as name, address, and whether it is marked. `None` if no remote is left.
#[must_use]
pub fn of_remotes(remotes: &[(&str, &str, bool)], hosts: &[&str]) -> Option<Repository> {
    let rank = |name: &str, is_marked: bool| match name {
        _ if is_marked => 0,
        "upstream" => 1,
        "github" => 2,
        "origin" => 3,
        _ => 4,
    };
    let known = remotes.iter().filter_map(|(name, address, is_marked)| {
        let repository = Repository::of_remote(address).filter(|found| hosts.contains(&found.host.as_str()))?;
        Some((rank(name, *is_marked), repository))
    });
    known.min_by_key(|(rank, _)| *rank).map(|(_, repository)| repository)
}

/// Whether a text is a valid name of an owner or a repository. The name becomes part of a path of the API.
fn is_name(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= MAX_NAME && !matches!(text, "." | "..") && text.bytes().all(is_known)
}

/// Prepares a text for display in a message: removes credentials and truncates it to 200 characters.
pub(super) fn shown(text: &str) -> String {
    crate::repo::address::without_credentials(text).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_repositories() {
        for (text, expected) in [
            ("o/r", "github.com/o/r"),
            ("ghe.example/o/r", "ghe.example/o/r"),
            ("GHE.example/O/R.x", "ghe.example/O/R.x"),
            ("https://github.com/o/r", "github.com/o/r"),
            ("https://www.github.com/o/r.git/", "github.com/o/r"),
            ("https://user:secret@ghe.example:8443/o/r.git", "ghe.example/o/r"),
            ("ssh://git@github.com/o/r.git", "github.com/o/r"),
            ("ssh://git@ssh.github.com:443/o/r.git", "github.com/o/r"),
            ("git@ssh.github.com:o/r", "github.com/o/r"),
            ("git@github.com:o/r.git", "github.com/o/r"),
            ("org-1234@github.com:o/r.git", "github.com/o/r"),
            ("git://github.com/o/r", "github.com/o/r"),
            ("git+ssh://git@github.com/o/r", "github.com/o/r"),
            ("HTTPS://GitHub.com/o/r", "github.com/o/r"),
        ] {
            let found = Repository::parse(text, None).expect(text);
            assert_eq!(format!("{}/{}/{}", found.host, found.owner, found.name), expected, "{text}");
        }
        let found = Repository::parse("o/r", Some("ghe.example")).expect("a repository");
        assert_eq!((found.to_string().as_str(), found.path().as_str()), ("ghe.example/o/r", "/repos/o/r"));
    }

    #[test]
    fn hostile_texts_are_no_repository() {
        for text in [
            "",
            "o",
            "/",
            "o/",
            "/r",
            "a/b/c/d",
            "o/..",
            "../r",
            "o/.",
            "o/r\n",
            "o /r",
            "o/r?x",
            "o/r%2f",
            "o\\r/x",
            "https://github.com",
            "https://github.com/o",
            "https://github.com/o/r/actions",
            "https:///o/r",
            "file:///tmp/o/r",
            "/tmp/o/r",
            "./a:b/c",
            "git@:o/r",
            "ext::sh -c x/y",
            "https://github.com/o/r\u{202e}",
            "javascript://github.com/o/r",
            &"x/".repeat(300),
            &format!("o/{}", "r".repeat(101)),
        ] {
            let error = Repository::parse(text, None).expect_err(text);
            assert!(error.to_string().chars().count() < 300, "{error}");
        }
        let secret = Repository::parse("https://u:secret@h/x", None).expect_err("too short");
        assert!(!secret.to_string().contains("secret"));
    }

    #[test]
    fn the_remote_of_a_checkout_is_chosen_as_gh_does() {
        let (origin, upstream) =
            (("origin", "git@github.com:me/r.git", false), ("upstream", "https://github.com/them/r", false));
        let chosen =
            |remotes: &[(&str, &str, bool)]| of_remotes(remotes, &["github.com"]).map(|found| found.full_name());
        assert_eq!(chosen(&[origin, upstream]).as_deref(), Some("them/r"));
        assert_eq!(chosen(&[("x", "git@github.com:x/r", false), origin]).as_deref(), Some("me/r"));
        assert_eq!(chosen(&[("x", "git@github.com:x/r", true), upstream]).as_deref(), Some("x/r"));
        assert_eq!(chosen(&[("origin", "git@gitlab.example:me/r", false), ("x", "/tmp/r", false)]), None);
        assert_eq!(
            of_remotes(&[("origin", "git@ghe.example:me/r", false)], &["ghe.example"]).map(|r| r.host).as_deref(),
            Some("ghe.example")
        );
    }
}
