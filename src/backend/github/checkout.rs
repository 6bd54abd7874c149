//! Finds the repository of a checkout.

use std::path::{Path, PathBuf};

use crate::repo::git::git;

use super::address::{Repository, of_remotes};

/// Why a folder is not a checkout of a repository on a known server.
#[derive(Debug, thiserror::Error)]
pub enum NoCheckout {
    /// The folder is not in a git repository.
    #[error("{} is not in a git repository: change to a checkout", .0.display())]
    Outside(PathBuf),
    /// The repository has no remote.
    #[error("this repository has no remote: `git remote add origin URL` adds one")]
    NoRemote,
    /// No remote is on a known server.
    #[error(
        "no remote of this repository is on a known server, {}: `hosts` in the `[github]` of the settings adds one",
        known.join(", ")
    )]
    UnknownServer {
        /// Host names of the known servers.
        known: Vec<String>,
    },
}

impl NoCheckout {
    /// Returns the reason for a folder for which [`repository`] found none on the hosts `known`.
    pub(super) fn of(folder: &Path, known: Vec<String>) -> Self {
        if git(folder, ["rev-parse", "--git-dir"]).is_err() {
            return Self::Outside(folder.to_owned());
        }
        let has_remote =
            config(folder).is_some_and(|config| entries(&config).iter().any(|(_, what, _)| *what == "url"));
        if has_remote { Self::UnknownServer { known } } else { Self::NoRemote }
    }
}

/// Returns the repository that a checkout belongs to, by the rules of `gh`. `None` outside of repositories, and if no
/// remote is on one of `hosts`.
#[must_use]
pub(super) fn repository(folder: &Path, hosts: &[&str]) -> Option<Repository> {
    of_config(&config(folder)?, hosts)
}

/// Returns the name of the remote of a checkout that points to a repository; `None` if no remote does.
#[must_use]
pub(in crate::backend) fn remote_of(folder: &Path, repository: &Repository) -> Option<String> {
    let config = config(folder)?;
    let is_wanted = |address: &str| Repository::of_remote(address).is_some_and(|found| found == *repository);
    let mut remotes = entries(&config).into_iter().filter(|(_, what, address)| *what == "url" && is_wanted(address));
    remotes.next().map(|(name, ..)| name.to_owned())
}

fn config(folder: &Path) -> Option<String> {
    git(folder, ["config", "-z", "--get-regexp", r"^remote\..*\.(url|gh-resolved)$"]).ok()
}

/// Parses the entries that git prints: each ends with NUL, and has its key and its value on separate lines. Returns for
/// each the name of the remote, the name of its setting, and the value.
fn entries(config: &str) -> Vec<(&str, &str, &str)> {
    let entries = config.split('\0').filter_map(|entry| {
        let (key, value) = entry.split_once('\n')?;
        let (name, what) = key.strip_prefix("remote.")?.rsplit_once('.')?;
        Some((name, what, value))
    });
    entries.collect()
}

fn of_config(config: &str, hosts: &[&str]) -> Option<Repository> {
    let entries = entries(config);
    // The value of `gh-resolved` is `base` for the repository of the remote itself, or the name of another repository.
    let marked = entries.iter().find(|(_, what, _)| *what == "gh-resolved");
    let remotes: Vec<(&str, &str, bool)> = entries
        .iter()
        .filter(|(_, what, _)| *what == "url")
        .map(|(name, _, address)| (*name, *address, marked.is_some_and(|(marked, ..)| marked == name)))
        .collect();
    let chosen = of_remotes(&remotes, hosts)?;
    match marked.filter(|(.., value)| *value != "base") {
        Some((.., other)) => {
            let other = Repository::parse(other, Some(&chosen.host)).ok();
            other.filter(|other| hosts.contains(&other.host.as_str())).or(Some(chosen))
        }
        None => Some(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_and_the_mark_of_gh_are_read() {
        let origin = "remote.origin.url\ngit@github.com:me/r.git\0";
        let dotted = "remote.a.b.url\nhttps://github.com/them/r\0";
        for (config, expected) in [
            (String::new(), None),
            (origin.to_owned(), Some("me/r")),
            (format!("{dotted}{origin}"), Some("me/r")),
            (format!("{origin}{dotted}remote.a.b.gh-resolved\nbase\0"), Some("them/r")),
            (format!("{origin}remote.origin.gh-resolved\nother/r\0"), Some("other/r")),
            (format!("{origin}remote.origin.gh-resolved\n\u{1b}\0"), Some("me/r")),
            (format!("{origin}remote.origin.gh-resolved\nother.example/o/r\0"), Some("me/r")),
            ("remote.origin.url\n/srv/r.git\0remote.x.url\0".to_owned(), None),
        ] {
            let found = of_config(&config, &["github.com"]).map(|repository| repository.to_string());
            assert_eq!(found.as_deref(), expected, "{config:?}");
        }
    }
}
