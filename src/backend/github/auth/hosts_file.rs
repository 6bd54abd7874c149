//! Tokens in gh's file `hosts.yml`, which is only read.

use std::path::PathBuf;

use serde::Deserialize;

use crate::files;

use super::Token;

/// Maximum size of the file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Entry of a host. Other fields are ignored.
#[derive(Deserialize)]
struct Entry {
    oauth_token: Option<String>,
}

/// Returns the path of the file, located as gh does. `None` if not even `HOME` is set.
pub(super) fn path(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let folder = folder("GH_CONFIG_DIR")
        .or_else(|| Some(folder("XDG_CONFIG_HOME")?.join("gh")))
        .or_else(|| Some(folder("HOME")?.join(".config/gh")));
    folder.map(|folder| folder.join("hosts.yml"))
}

/// Parses the file and returns the token of a host.
pub(super) fn token(text: &str, host: &str) -> Option<Token> {
    entry(text, host).and_then(|(_, token)| token)
}

/// Parses the file and returns whether it has a host.
pub(super) fn has(text: &str, host: &str) -> bool {
    entry(text, host).is_some()
}

/// Returns the entry of a host, whose name matches in any case.
fn entry(text: &str, host: &str) -> Option<(String, Option<Token>)> {
    entries(text).into_iter().find(|(name, _)| name.eq_ignore_ascii_case(host))
}

fn entries(text: &str) -> Vec<(String, Option<Token>)> {
    let Ok(hosts) = serde_yaml::from_str::<serde_yaml::Mapping>(text) else { return Vec::new() };
    let entry = |(name, value): (serde_yaml::Value, serde_yaml::Value)| {
        let entry: Option<Entry> = serde_yaml::from_value(value).ok();
        let token = entry.and_then(|entry| Token::new(&entry.oauth_token?));
        Some((name.as_str()?.to_owned(), token))
    };
    hosts.into_iter().filter_map(entry).collect()
}

/// Reads the file. `None` if it does not exist or cannot be read.
pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let text = files::read(&path(variable)?, MAX_BYTES).ok()?;
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "github.com:\n    users:\n        maria:\n            oauth_token: gho_other\n    git_protocol: ssh\n    \
                        oauth_token: gho_one\n    user: maria\nghe.example:\n    user: m\n";

    #[test]
    fn the_token_of_a_host_is_found() {
        assert!(token(FILE, "GitHub.com").is_some_and(|token| token.expose() == "gho_one"));
        assert!(token(FILE, "ghe.example").is_none() && token(FILE, "other.example").is_none());
        for (host, is_known) in [("GitHub.com", true), ("GHE.example", true), ("other.example", false)] {
            assert_eq!(has(FILE, host), is_known, "{host}");
        }
        for text in ["", "- a", "a: [", "github.com: 5", "github.com:\n  oauth_token: [a]", "5: {}", "&a [*a"] {
            assert!(token(text, "github.com").is_none(), "{text}");
        }
    }

    #[test]
    fn the_path_follows_the_variables_of_gh() {
        let of = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            path(&move |name| set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        assert_eq!(of(&[("GH_CONFIG_DIR", "/g"), ("HOME", "/h")]), Some(PathBuf::from("/g/hosts.yml")));
        assert_eq!(of(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]), Some(PathBuf::from("/x/gh/hosts.yml")));
        assert_eq!(of(&[("GH_CONFIG_DIR", ""), ("HOME", "/h")]), Some(PathBuf::from("/h/.config/gh/hosts.yml")));
        assert_eq!(of(&[]), None);
    }
}
