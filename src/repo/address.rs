//! Addresses of remote repositories.

/// Returns an address without its credentials, which must not be stored, shown or given to steps. The user of an SSH
/// address stays, because it is part of the location.
#[must_use]
pub fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let Some((user, host)) = host.rsplit_once('@') else { return address.to_owned() };
    let user = match user.split_once(':') {
        _ if scheme.starts_with("http") || scheme.starts_with("ftp") => None,
        Some((user, _)) => Some(user),
        None => Some(user),
    };
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    format!("{scheme}://{user}{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_left_out_and_the_rest_stays() {
        for (address, expected) in [
            ("https://token@github.com/o/r.git", "https://github.com/o/r.git"),
            ("https://user:pass@host:8443/o/r", "https://host:8443/o/r"),
            ("https://user:p@ss@host/o/r", "https://host/o/r"),
            ("http://x-access-token:t@host", "http://host"),
            ("ssh://git@host/o/r", "ssh://git@host/o/r"),
            ("ssh://git:secret@host:22/o/r", "ssh://git@host:22/o/r"),
            ("git@github.com:o/r.git", "git@github.com:o/r.git"),
            ("https://host/o/r@v1", "https://host/o/r@v1"),
            ("../other", "../other"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(address), expected);
        }
    }
}
