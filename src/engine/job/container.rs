//! `container:` and `services:` of a job, evaluated: what is to be started, before anything is asked of an engine.

use indexmap::IndexMap;

use crate::workflow::expr::{Scope, Value};
use crate::workflow::source::Source;
use crate::workflow::template::Template;

/// A container as the workflow describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// `container`, or the service's key.
    pub name: String,
    /// The image.
    pub image: String,
    /// User and password for the image's registry.
    pub credentials: Option<(String, String)>,
    /// `env`.
    pub env: IndexMap<String, String>,
    /// `ports`.
    pub ports: Vec<Port>,
    /// `volumes`.
    pub volumes: Vec<String>,
    /// `options`, cut into words.
    pub options: Vec<String>,
    /// `entrypoint`, cut into words.
    pub entrypoint: Vec<String>,
    /// `command`, cut into words.
    pub command: Vec<String>,
    /// Where the image stands: `file:line:column`.
    pub place: String,
    /// Where the options stand, and the text of the file from there on, to find a word's own place.
    written: Option<Written>,
}

#[derive(Clone, Debug, PartialEq)]
struct Written {
    file: String,
    line: u32,
    column: u32,
    text: String,
}

/// A port of a container, and where it is reached from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The address to listen on, where one is given.
    pub address: Option<String>,
    /// The port outside; none means any that is free.
    pub outside: Option<u16>,
    /// The port of the container.
    pub inside: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

impl Port {
    /// Reads `8080`, `80:8080`, `127.0.0.1:80:8080`, each also with `/udp`.
    ///
    /// # Errors
    /// It is none of these, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no port: write 8080, 80:8080 or 127.0.0.1:80:8080, and /udp behind it");
        let (numbers, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "tcp"));
        let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
        if !["tcp", "udp", "sctp"].contains(&protocol) {
            return Err(wrong());
        }
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
        Ok(Self { address, outside, inside: number(inside)?, protocol: protocol.to_owned() })
    }

    /// The container's side as engines write it: `5432/tcp`.
    #[must_use]
    pub fn inside(&self) -> String {
        format!("{}/{}", self.inside, self.protocol)
    }
}

impl Container {
    /// A container of an image and nothing else.
    #[must_use]
    pub fn plain(name: &str, image: &str) -> Self {
        Self { name: name.to_owned(), image: image.to_owned(), ..Self::default() }
    }

    /// Evaluates a definition. `None` when its image is empty: GitHub then starts none.
    ///
    /// # Errors
    /// With its place: an expression without a value, a port that is none, a value of the wrong shape.
    pub(in crate::engine) fn read(
        name: &str,
        template: &Template,
        scope: &Scope<'_>,
        source: &Source,
    ) -> Result<Option<Self>, String> {
        let place = |of: &Template| format!("{}:{}:{}", source.name, of.span.line, of.span.column);
        let value = template
            .evaluate(scope)
            .map_err(|error| format!("{}:{}:{}: `{name}`: {error}", source.name, error.span.line, error.span.column))?;
        let part = |key: &str| template.entry(key).unwrap_or(template);
        let Value::Object(object) = &value else {
            let container = Self { place: place(template), ..Self::plain(name, &value.to_text()) };
            return Ok((!container.image.is_empty()).then_some(container));
        };
        let text = |key: &str| object.get(key).map(Value::to_text).unwrap_or_default();
        let image = text("image");
        if image.is_empty() {
            return Ok(None);
        }
        let items = |key: &str| match object.get(key) {
            Some(Value::Array(items)) => items.iter().map(Value::to_text).filter(|item| !item.is_empty()).collect(),
            Some(Value::Null) | None => Vec::new(),
            Some(other) => vec![other.to_text()],
        };
        let ports = items("ports").iter().map(|port| Port::parse(port)).collect::<Result<Vec<_>, _>>();
        let ports = ports.map_err(|reason| format!("{}: {name}: {reason}", place(part("ports"))))?;
        let credentials = object.get("credentials").and_then(|credentials| match credentials {
            Value::Object(given) => {
                let field = |key: &str| given.get(key).map(Value::to_text).unwrap_or_default();
                Some((field("username"), field("password")))
                    .filter(|(user, password)| !user.is_empty() || !password.is_empty())
            }
            _ => None,
        });
        let words = |key: &str| {
            crate::engine::step::shell::cut_closed(&text(key))
                .map_err(|reason| format!("{}: `{key}` of {name}: {reason}", place(part(key))))
        };
        let options = template.entry("options");
        let written = options.map(|options| Written {
            file: source.name.clone(),
            line: options.span.line,
            column: options.span.column,
            text: source.text.get(options.span.start as usize..).unwrap_or_default().to_owned(),
        });
        Ok(Some(Self {
            name: name.to_owned(),
            image: image.strip_prefix("docker://").unwrap_or(&image).to_owned(),
            credentials,
            env: object.get("env").map(Value::texts).unwrap_or_default().into_iter().collect(),
            ports,
            volumes: items("volumes"),
            options: words("options")?,
            entrypoint: words("entrypoint")?,
            command: words("command")?,
            place: place(part("image")),
            written,
        }))
    }

    /// Where a word of the options stands in the file; the options themselves when it came from an expression.
    #[must_use]
    pub fn place_of(&self, word: &str) -> String {
        let Some(written) = &self.written else { return self.place.clone() };
        let found = written.text.find(word).map(|at| {
            let before = &written.text[..at];
            let newlines = before.matches('\n').count() as u32;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u32 + 1;
            if newlines == 0 { (written.line, written.column + column - 1) } else { (written.line + newlines, column) }
        });
        let (line, column) = found.unwrap_or((written.line, written.column));
        format!("{}:{line}:{column}", written.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow;
    use crate::workflow::expr::{Contexts, NoFiles, Status};
    use crate::workflow::syntax::JobBody;

    fn services(text: &str) -> Vec<Result<Option<Container>, String>> {
        let indented = text.lines().fold(String::new(), |text, line| format!("{text}      {line}\n"));
        let text = format!("on: push\njobs:\n  a:\n    runs-on: x\n    services:\n{indented}    steps: [{{run: x}}]\n");
        let source = Source::new("ci.yml", text);
        let parsed = workflow::parse(&source);
        let workflow = parsed.value.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
        let JobBody::Steps(body) = &workflow.jobs[0].body else { panic!("steps") };
        let contexts: Contexts =
            [("vars", Value::object(crate::workflow::expr::Object::default()))].into_iter().collect();
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        body.services.iter().map(|(name, template)| Container::read(&name.value, template, &scope, &source)).collect()
    }

    #[test]
    fn ports_are_read_as_docker_writes_them() {
        let port = |text| Port::parse(text).map(|port| (port.address, port.outside, port.inside, port.protocol));
        assert_eq!(port("5432"), Ok((None, None, 5432, "tcp".to_owned())));
        assert_eq!(port("80:8080/udp"), Ok((None, Some(80), 8080, "udp".to_owned())));
        assert_eq!(port("127.0.0.1:80:8080"), Ok((Some("127.0.0.1".to_owned()), Some(80), 8080, "tcp".to_owned())));
        assert_eq!(port("127.0.0.1::8080"), Ok((Some("127.0.0.1".to_owned()), None, 8080, "tcp".to_owned())));
        for wrong in ["", "http", "0", "70000", "80:", "80/http", "1:2:3:x"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_service_is_read_whole_and_an_option_knows_its_place() {
        let found = services(
            "db:\n  image: postgres:15-alpine\n  env: {POSTGRES_USER: aura}\n  ports: ['5432:5432', 8080]\n  options: >-\n    --health-cmd \"pg_isready -q\"\n    --health-interval 10s\nnone: {image: '${{ vars.none }}'}\nplain: {image: 'docker://redis:7'}",
        );
        let db = found[0].clone().expect("read").expect("one");
        assert_eq!((db.image.as_str(), db.env["POSTGRES_USER"].as_str()), ("postgres:15-alpine", "aura"));
        assert_eq!(db.ports.iter().map(Port::inside).collect::<Vec<_>>(), ["5432/tcp", "8080/tcp"]);
        assert_eq!(db.options, ["--health-cmd", "pg_isready -q", "--health-interval", "10s"]);
        assert_eq!(db.place, "ci.yml:7:16");
        assert_eq!(db.place_of("--health-interval"), "ci.yml:12:11");
        assert_eq!(found[1], Ok(None));
        assert_eq!(found[2].clone().expect("read").expect("one").image, "redis:7");
    }

    #[test]
    fn a_port_that_is_none_is_told_with_its_place() {
        let found = services("db:\n  image: a\n  ports: [http]");
        assert!(found[0].as_ref().expect_err("no port").starts_with("ci.yml:8:"), "{found:?}");
    }

    #[test]
    fn a_quote_that_nothing_closes_would_swallow_the_options_behind_it() {
        let found = services("db:\n  image: a\n  options: --health-cmd \"ping --health-interval 1s");
        let reason = found[0].as_ref().expect_err("open");
        assert!(
            reason.ends_with("a double quote is not closed in `--health-cmd \"ping --health-interval 1s`"),
            "{reason}"
        );
    }
}
