//! A server and the address of its API.

use http::Uri;

use crate::model::ServerKind;
use crate::net::is_loopback;

use super::AddressError;

/// A server that speaks GitHub's REST API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    name: String,
    api: String,
    kind: ServerKind,
}

/// Name of github.com, the host of repositories that are named without a host if no other default is set.
pub const GITHUB: &str = "github.com";

/// Maximum length of a host's name.
const MAX_NAME: usize = 253;

impl Host {
    /// Returns the host with its usual API: `https://api.github.com`, `https://api.TENANT.ghe.com`, else `/api/v3` on
    /// an Enterprise Server and `/api/v1` on a Gitea.
    ///
    /// # Errors
    /// `name` is not the name of a host, which has neither a scheme nor a port.
    pub fn new(name: &str, kind: ServerKind) -> Result<Self, AddressError> {
        let name = host_name(name).ok_or_else(|| AddressError::Host(name.to_owned()))?;
        let api = match kind {
            ServerKind::Gitea => format!("https://{name}/api/v1"),
            ServerKind::GitHub if name == GITHUB => format!("https://api.{name}"),
            ServerKind::GitHub if is_tenant(&name) => format!("https://api.{name}"),
            ServerKind::GitHub => format!("https://{name}/api/v3"),
        };
        Ok(Self { name, api, kind })
    }

    /// Returns the host with another API.
    ///
    /// # Errors
    /// `api` is neither an https address nor an http address on this machine; or it has a user, a query, a fragment, or
    /// a `.` or `..` segment.
    pub fn with_api(self, api: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::Api(crate::repo::address::without_credentials(api));
        let base = api.trim_end_matches('/');
        let address: Uri = base.parse().map_err(|_| wrong())?;
        let is_plain = !base.contains(['@', '?', '#', '\\']) && !has_dots(address.path());
        if !is_plain || !is_safe(&address) {
            return Err(wrong());
        }
        Ok(Self { api: base.to_owned(), ..self })
    }

    /// Returns the name, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the base address of the API, without a slash at its end.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Returns the host that API requests connect to, with its port if it has one.
    #[must_use]
    pub fn authority(&self) -> String {
        let api: Option<Uri> = self.api.parse().ok();
        api.and_then(|api| api.into_parts().authority).map_or_else(|| self.name.clone(), |found| found.to_string())
    }

    /// Returns the kind of the server.
    #[must_use]
    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// Whether the server is neither github.com nor a tenant of ghe.com, but a GitHub Enterprise Server or a Gitea.
    /// Tokens of github.com are never sent to it.
    #[must_use]
    pub fn is_enterprise_server(&self) -> bool {
        self.name != GITHUB && !is_tenant(&self.name)
    }

    /// Whether jobs of the server can run with GitHub's debugger.
    #[must_use]
    pub fn has_debugger(&self) -> bool {
        self.kind == ServerKind::GitHub && !self.is_enterprise_server()
    }

    /// Returns the address of the web pages, without a slash at its end. For an http API on this machine, it has the
    /// host and port of the API.
    #[must_use]
    pub fn web(&self) -> String {
        let api: Option<Uri> = self.api.parse().ok();
        match api.and_then(|api| api.into_parts().authority) {
            Some(authority) if self.api.starts_with("http://") => format!("http://{authority}"),
            _ => format!("https://{}", self.name),
        }
    }

    /// Returns the address of a path of the API, such as `/repos/o/r/actions/runs?per_page=1`. `None` if the path does
    /// not start with exactly one slash, contains a `.` or `..` segment, or has a fragment or characters that are not
    /// allowed in a URL.
    #[must_use]
    pub fn uri(&self, path: &str) -> Option<Uri> {
        let is_path = path.starts_with('/') && !path.starts_with("//") && !path.contains(['#', '\\']);
        let before_query = path.split('?').next().unwrap_or_default();
        if !is_path || has_dots(before_query) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        format!("{}{path}", self.api).parse().ok()
    }

    /// Returns the path of an address of this API, as [`Self::uri`] takes it. `None` if it belongs to another server or
    /// is invalid.
    #[must_use]
    pub fn path_of(&self, address: &str) -> Option<String> {
        let path = address.strip_prefix(&self.api)?;
        self.uri(path).map(|_| path.to_owned())
    }
}

/// Whether a request may go to an address: https, or http on this machine, without a user name.
pub(in crate::backend::github) fn is_safe(address: &Uri) -> bool {
    let Some(host) = address.host().filter(|host| !host.is_empty()) else { return false };
    let has_user = address.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match address.scheme_str() {
        _ if has_user => false,
        Some("https") => true,
        Some("http") => is_loopback(host),
        _ => false,
    }
}

fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."))
}

/// Returns the name in lower case. `None` if it is invalid: it may have at most 253 bytes, and its parts between dots
/// are letters, digits, hyphens and underscores, not empty, and do not start with a hyphen.
pub(super) fn host_name(text: &str) -> Option<String> {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (text.len() <= MAX_NAME && text.split('.').all(is_part)).then(|| text.to_ascii_lowercase())
}

fn is_tenant(name: &str) -> bool {
    name.strip_suffix(".ghe.com").is_some_and(|tenant| !tenant.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_host_has_its_api() {
        for (name, kind, api, is_server) in [
            ("github.com", ServerKind::GitHub, "https://api.github.com", false),
            ("GitHub.com", ServerKind::GitHub, "https://api.github.com", false),
            ("acme.ghe.com", ServerKind::GitHub, "https://api.acme.ghe.com", false),
            ("git.acme.example", ServerKind::GitHub, "https://git.acme.example/api/v3", true),
            ("ghe.com", ServerKind::GitHub, "https://ghe.com/api/v3", true),
            ("git.acme.example", ServerKind::Gitea, "https://git.acme.example/api/v1", true),
        ] {
            let host = Host::new(name, kind).expect(name);
            assert_eq!((host.api(), host.is_enterprise_server()), (api, is_server), "{name}");
        }
        for name in
            ["", ".", "a..b", "host:80", "a/b", "https://a", "a b", "a@b", "-a", "a\n", "é.com", &"a.".repeat(200)]
        {
            assert!(Host::new(name, ServerKind::GitHub).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_api_is_https_or_on_this_machine() {
        let host = || Host::new("git.example", ServerKind::GitHub).expect("a host");
        for (api, web) in [
            ("https://git.example/api/v3/", "https://git.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80/api/v3", "http://[::1]:80"),
            ("http://localhost:1/api/v1", "http://localhost:1"),
        ] {
            let host = host().with_api(api).expect(api);
            assert_eq!((host.api(), host.web().as_str()), (api.trim_end_matches('/'), web));
        }
        for api in [
            "http://git.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "ftp://a",
            "https://",
            "https://user:secret@git.example",
            "https://git.example/?a=b",
            "https://git.example/../x",
            "git.example",
            "//git.example",
            "",
        ] {
            let error = host().with_api(api).expect_err(api);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_path_stays_below_the_api() {
        let host = Host::new("git.example", ServerKind::GitHub).expect("a host");
        let uri = host.uri("/repos/o/r?per_page=1&q=a%20b").expect("a path");
        assert_eq!(uri.to_string(), "https://git.example/api/v3/repos/o/r?per_page=1&q=a%20b");
        for path in
            ["", "repos", "//evil.example/x", "/a/../b", "/a/%2E%2e/b", "/a b", "/a\r\nX: y", "/a#b", "\\a", "@evil"]
        {
            assert!(host.uri(path).is_none(), "{path:?}");
        }
        assert_eq!(host.path_of("https://git.example/api/v3/user?page=2").as_deref(), Some("/user?page=2"));
        for other in [
            "https://evil.example/api/v3/user",
            "https://git.example/api/v3@evil/",
            "https://git.example/api/v33/x",
            "",
        ] {
            assert!(host.path_of(other).is_none(), "{other}");
        }
    }
}
