//! The address of a job's debugger, which the token is sent to.

use http::Uri;
use http::uri::{Authority, PathAndQuery};

use crate::backend::github::address::Host;
use crate::net::is_loopback;

/// Domain of the tunnels to jobs. Only its subdomains get the token.
const TUNNELS: &str = ".devtunnels.ms";

/// Maximum length of the name of a host in bytes.
const MAX_NAME: usize = 253;

/// The address of a job's debugger: a tunnel of GitHub's, or a server on this machine in a test.
///
/// It can only be made by [`Self::parse`], so that no address gets the token unchecked. It is never printed, because
/// its path and query may give access.
#[derive(Clone)]
pub(super) struct Endpoint {
    is_secure: bool,
    authority: Authority,
    path: PathAndQuery,
}

/// Why an address does not get the token. No message contains the path or the query of the address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text is not an address.
    #[error("the server named an invalid address of the debugger")]
    Malformed,
    /// The scheme is not `wss`.
    #[error("the server named a debugger at `{0}://`: the token is only sent over `wss://`")]
    Scheme(String),
    /// The host is not a tunnel.
    #[error("the server named a debugger at `{0}`: the token is only sent to *.devtunnels.ms")]
    Host(String),
    /// The address has a user name.
    #[error("the server named an address of the debugger with a user name")]
    User,
}

impl Endpoint {
    /// Checks the address of a debugger that a server named. `wss` on `*.devtunnels.ms` is accepted. For tests, `ws` to
    /// this machine is accepted if the API of the server has no TLS.
    ///
    /// # Errors
    /// The token must not be sent to the address.
    pub(super) fn parse(address: &str, server: &Host) -> Result<Self, EndpointError> {
        let address: Uri = address.parse().map_err(|_| EndpointError::Malformed)?;
        let parts = address.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(EndpointError::Malformed);
        };
        if authority.as_str().contains('@') {
            return Err(EndpointError::User);
        }
        let host = authority.host();
        // The library also accepts a port that is not a number.
        if authority.as_str() != host && authority.port_u16().is_none() {
            return Err(EndpointError::Malformed);
        }
        let is_test = server.api().starts_with("http://");
        let scheme = scheme.as_str().to_ascii_lowercase();
        let is_secure = match scheme.as_str() {
            "wss" if is_tunnel(host) => true,
            "ws" if is_test && is_loopback(host) => false,
            "wss" | "ws" if is_test || scheme == "wss" => return Err(EndpointError::Host(host.to_owned())),
            other => return Err(EndpointError::Scheme(other.to_owned())),
        };
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { is_secure, authority, path })
    }

    /// Returns the host, with its port if the address names one.
    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Returns the address to connect to, as `https` or `http`.
    pub(super) fn server(&self) -> Option<Uri> {
        self.uri(if self.is_secure { "https" } else { "http" })
    }

    /// Returns the address of the web socket.
    pub(super) fn socket(&self) -> Option<Uri> {
        self.uri(if self.is_secure { "wss" } else { "ws" })
    }

    fn uri(&self, scheme: &str) -> Option<Uri> {
        Uri::builder().scheme(scheme).authority(self.authority.clone()).path_and_query(self.path.clone()).build().ok()
    }
}

/// Whether a host is a subdomain of the tunnels. Each of its labels consists of letters, digits and hyphens.
fn is_tunnel(host: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let host = host.to_ascii_lowercase();
    host.len() <= MAX_NAME && host.strip_suffix(TUNNELS).is_some_and(|names| names.split('.').all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerKind;

    fn server(api: Option<&str>) -> Host {
        let host = Host::new("github.com", ServerKind::GitHub).expect("a host");
        api.map_or(Ok(host.clone()), |api| host.with_api(api)).expect("an API")
    }

    #[test]
    fn only_tunnels_get_the_token() {
        for (address, server_address, socket) in [
            (
                "wss://abc-4711.uks1.devtunnels.ms/",
                "https://abc-4711.uks1.devtunnels.ms/",
                "wss://abc-4711.uks1.devtunnels.ms/",
            ),
            ("wss://abc.devtunnels.ms", "https://abc.devtunnels.ms/", "wss://abc.devtunnels.ms/"),
            (
                "WSS://ABC.DevTunnels.MS:8443/a?b=c",
                "https://ABC.DevTunnels.MS:8443/a?b=c",
                "wss://ABC.DevTunnels.MS:8443/a?b=c",
            ),
        ] {
            let endpoint = Endpoint::parse(address, &server(None)).expect(address);
            let uris = [endpoint.server(), endpoint.socket()].map(|uri| uri.expect("an address").to_string());
            assert_eq!(uris, [server_address, socket]);
        }
        let scheme = |scheme: &str| EndpointError::Scheme(scheme.to_owned());
        let host = |host: &str| EndpointError::Host(host.to_owned());
        for (address, error) in [
            ("", EndpointError::Malformed),
            ("not an address", EndpointError::Malformed),
            ("/connect", EndpointError::Malformed),
            ("wss://", EndpointError::Malformed),
            ("wss://a.devtunnels.ms:x/", EndpointError::Malformed),
            ("wss://a\\.devtunnels.ms/", EndpointError::Malformed),
            ("ws://a.devtunnels.ms/", scheme("ws")),
            ("ws://127.0.0.1:9/", scheme("ws")),
            ("https://a.devtunnels.ms/", scheme("https")),
            ("wss://evil.example/", host("evil.example")),
            ("wss://devtunnels.ms/", host("devtunnels.ms")),
            ("wss://.devtunnels.ms/", host(".devtunnels.ms")),
            ("wss://a..devtunnels.ms/", host("a..devtunnels.ms")),
            ("wss://evildevtunnels.ms/", host("evildevtunnels.ms")),
            ("wss://a.devtunnels.ms.evil.example/", host("a.devtunnels.ms.evil.example")),
            ("wss://evil.example/a.devtunnels.ms", host("evil.example")),
            ("wss://evil.example?.devtunnels.ms", host("evil.example")),
            ("wss://evil.example#.devtunnels.ms", host("evil.example")),
            ("wss://a_b.devtunnels.ms/", host("a_b.devtunnels.ms")),
            ("wss://127.0.0.1/", host("127.0.0.1")),
            ("wss://a.devtunnels.ms@evil.example/", EndpointError::User),
            ("wss://user:secret@a.devtunnels.ms/", EndpointError::User),
        ] {
            let found = Endpoint::parse(address, &server(None)).err();
            assert_eq!(found, Some(error), "{address}");
        }
    }

    #[test]
    fn a_plain_socket_is_only_for_a_server_on_this_machine() {
        let fake = server(Some("http://127.0.0.1:1"));
        for address in ["ws://127.0.0.1:9/", "ws://localhost:9", "ws://[::1]:9/x"] {
            assert!(Endpoint::parse(address, &fake).is_ok(), "{address}");
            assert!(Endpoint::parse(address, &server(None)).is_err(), "{address}");
        }
        for address in ["ws://127.0.0.1.evil.example/", "ws://a.devtunnels.ms/", "http://127.0.0.1/"] {
            assert!(Endpoint::parse(address, &fake).is_err(), "{address}");
        }
    }
}
