//! Description of a container in a workflow, independent of the provider that runs it.

use std::fmt;

use indexmap::IndexMap;

/// A container to run: `container:` or an entry of `services:`, with all expressions evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerSpec {
    /// Name: `container`, or the key of the service.
    pub name: String,
    /// `image`.
    pub image: String,
    /// User and password for the registry of the image; `None` if the workflow does not name them.
    pub credentials: Option<(String, String)>,
    /// `env`.
    pub env: IndexMap<String, String>,
    /// `ports`.
    pub ports: Vec<Port>,
    /// `volumes`.
    pub volumes: Vec<String>,
    /// `options`, split into words.
    pub options: Vec<String>,
    /// `entrypoint`, split into words.
    pub entrypoint: Vec<String>,
    /// `command`, split into words.
    pub command: Vec<String>,
    /// Position of the image in the workflow: `file:line:column`. Empty if the workflow does not name the image.
    pub place: String,
    /// Position of the options in the workflow. `None` if it is not known.
    pub options_source: Option<OptionsSource>,
}

/// Position of `options` in a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionsSource {
    /// Name of the file.
    pub file: String,
    /// Line on which the options start, counted from 1.
    pub line: u32,
    /// Column at which the options start, counted from 1.
    pub column: u32,
    /// Text of the file from that position on.
    pub text: String,
}

impl ContainerSpec {
    /// Returns a container with an image and no other settings.
    #[must_use]
    pub fn plain(name: &str, image: &str) -> Self {
        Self { name: name.to_owned(), image: image.to_owned(), ..Self::default() }
    }

    /// Returns the position of a word of the options: `file:line:column`. For a word that came from an expression,
    /// returns the position of the options; without [`Self::options_source`], the position of the image.
    #[must_use]
    pub fn place_of(&self, word: &str) -> String {
        let Some(source) = &self.options_source else { return self.place.clone() };
        let found = source.text.find(word).map(|at| {
            let before = &source.text[..at];
            let newlines = before.matches('\n').count() as u32;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u32 + 1;
            if newlines == 0 { (source.line, source.column + column - 1) } else { (source.line + newlines, column) }
        });
        let (line, column) = found.unwrap_or((source.line, source.column));
        format!("{}:{line}:{column}", source.file)
    }
}

/// A port of a container, and the port outside that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Address to listen on. `None` if the workflow does not name one.
    pub address: Option<String>,
    /// Port outside the container, or `None` for any free port.
    pub outside: Option<u16>,
    /// Port inside the container.
    pub inside: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// Protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// An invalid port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a port: write 8080, 80:8080 or 127.0.0.1:80:8080, optionally followed by /udp")]
pub struct PortError(String);

impl Port {
    /// Parses `8080`, `80:8080`, `127.0.0.1:80:8080` or `127.0.0.1::8080`, each also with `/tcp`, `/udp` or `/sctp`.
    ///
    /// # Errors
    /// The text has none of these forms.
    pub fn parse(text: &str) -> Result<Self, PortError> {
        let wrong = || PortError(text.to_owned());
        let (numbers, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(wrong()),
        };
        let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
        let (before, inside) =
            numbers.rsplit_once(':').map_or((None, numbers), |(before, inside)| (Some(before), inside));
        let (address, outside) = match before {
            None => (None, None),
            Some(before) => match before.rsplit_once(':') {
                None => (None, Some(number(before)?)),
                Some((address, outside)) => {
                    let outside = if outside.is_empty() { None } else { Some(number(outside)?) };
                    (Some(address.trim_matches(['[', ']']).to_owned()), outside)
                }
            },
        };
        Ok(Self { address, outside, inside: number(inside)?, protocol })
    }

    /// Returns the port inside the container with its protocol: `5432/tcp`.
    #[must_use]
    pub fn inside(&self) -> String {
        format!("{}/{}", self.inside, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_parsed_in_the_forms_of_docker() {
        let port = |text| Port::parse(text).map(|port| (port.address, port.outside, port.inside, port.protocol));
        assert_eq!(port("5432"), Ok((None, None, 5432, Protocol::Tcp)));
        assert_eq!(port("80:8080/udp"), Ok((None, Some(80), 8080, Protocol::Udp)));
        assert_eq!(port("127.0.0.1:80:8080"), Ok((Some("127.0.0.1".to_owned()), Some(80), 8080, Protocol::Tcp)));
        assert_eq!(port("127.0.0.1::8080"), Ok((Some("127.0.0.1".to_owned()), None, 8080, Protocol::Tcp)));
        for wrong in ["", "http", "0", "70000", "80:", "80/http", "1:2:3:x"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }
}
