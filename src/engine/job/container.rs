//! Evaluates `container:` and `services:` of a job.

use crate::engine::sandbox::container::{ContainerSpec, OptionsSource, Port};
use crate::engine::step::shell;
use crate::workflow::expr::{Scope, Value};
use crate::workflow::source::Source;
use crate::workflow::template::{Template, TemplateError};

/// An invalid definition of a container, with its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub(in crate::engine) struct ContainerError {
    /// `file:line:column`.
    place: String,
    reason: String,
}

/// Evaluates the definition of a container. Returns `None` for an empty image: as on GitHub, no container is started.
///
/// # Errors
/// An expression cannot be evaluated, or a value is invalid for its key.
pub(in crate::engine) fn read(
    name: &str,
    template: &Template,
    scope: &Scope<'_>,
    source: &Source,
) -> Result<Option<ContainerSpec>, ContainerError> {
    let value = template.evaluate(scope).map_err(|error| failed(name, &error, source))?;
    of_value(name, &value, template, source)
}

/// Evaluates `services` whose names are known only after evaluation. A service is `None` if its image is empty.
///
/// # Errors
/// The expression cannot be evaluated, or a value is invalid for its key.
pub(in crate::engine) fn read_all(
    whole: &Template,
    scope: &Scope<'_>,
    source: &Source,
) -> Result<Vec<Option<ContainerSpec>>, ContainerError> {
    let services = whole.mapping(scope).map_err(|error| failed("services", &error, source))?;
    services.iter().map(|(name, value)| of_value(name, value, whole, source)).collect()
}

/// Users that can write to the folders of a job in a container on GitHub: root, and the user of GitHub's runner.
const USERS_ON_GITHUB: [&str; 3] = ["root", "0", "1001"];

/// Returns a line for the log about a container whose options name a user that can write to the folders of the job here,
/// but not on GitHub. `None` if they name no such user; the image may.
pub(in crate::engine) fn remark_about_user(container: &ContainerSpec) -> Option<String> {
    let (mut words, mut user) = (container.options.iter(), None);
    while let Some(word) = words.next() {
        let named = match word.as_str() {
            "--user" | "-u" => words.next().map(String::as_str),
            word => word.strip_prefix("--user=").or_else(|| Some(word.strip_prefix("-u")?.trim_start_matches('='))),
        };
        user = named.or(user);
    }
    let user = user?.split(':').next().filter(|user| !user.is_empty() && !USERS_ON_GITHUB.contains(user))?;
    Some(format!(
        "The container runs as the user {user}, who can write to the folders of the job here. On GitHub, only root and the \
         user 1001 can."
    ))
}

fn failed(name: &str, error: &TemplateError, source: &Source) -> ContainerError {
    let place = format!("{}:{}:{}", source.name, error.span.line, error.span.column);
    ContainerError { place, reason: format!("`{name}`: {error}") }
}

/// Reads an evaluated definition. `template` is the definition as it is written, for positions. Returns `None` if the
/// image is empty.
fn of_value(
    name: &str,
    value: &Value,
    template: &Template,
    source: &Source,
) -> Result<Option<ContainerSpec>, ContainerError> {
    let place = |of: &Template| format!("{}:{}:{}", source.name, of.span.line, of.span.column);
    let part = |key: &str| template.entry(key).unwrap_or(template);
    let Value::Object(object) = value else {
        let container = ContainerSpec { place: place(template), ..ContainerSpec::plain(name, &value.to_text()) };
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
    let ports =
        ports.map_err(|error| ContainerError { place: place(part("ports")), reason: format!("{name}: {error}") })?;
    let mapping = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(given)) => Ok(Some(given)),
        Some(other) => Err(ContainerError {
            place: place(part(key)),
            reason: format!("`{key}` of {name} must be a mapping, not {}", other.kind()),
        }),
    };
    let credentials = mapping("credentials")?.and_then(|given| {
        let field = |key: &str| given.get(key).map(Value::to_text).unwrap_or_default();
        Some((field("username"), field("password"))).filter(|(user, password)| !user.is_empty() || !password.is_empty())
    });
    let env = mapping("env")?.map(|env| Value::Object(env.clone()).texts()).unwrap_or_default();
    let words = |key: &str| {
        shell::cut_closed(&text(key)).map_err(|reason| ContainerError {
            place: place(part(key)),
            reason: format!("`{key}` of {name}: {reason}"),
        })
    };
    let options_source = template.entry("options").map(|options| OptionsSource {
        file: source.name.clone(),
        line: options.span.line,
        column: options.span.column,
        text: source.text.get(options.span.start as usize..).unwrap_or_default().to_owned(),
    });
    Ok(Some(ContainerSpec {
        name: name.to_owned(),
        image: image.strip_prefix("docker://").unwrap_or(&image).to_owned(),
        credentials,
        env: env.into_iter().collect(),
        ports,
        volumes: items("volumes"),
        options: words("options")?,
        entrypoint: words("entrypoint")?,
        command: words("command")?,
        place: place(part("image")),
        options_source,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow;
    use crate::workflow::expr::{Contexts, NoFiles, Status};
    use crate::workflow::syntax::{JobBody, NamedValues};

    fn services(text: &str) -> Vec<Result<Option<ContainerSpec>, ContainerError>> {
        let indented = text.lines().fold(String::new(), |text, line| format!("{text}      {line}\n"));
        of_key(&format!("\n{indented}"))
    }

    fn of_key(services: &str) -> Vec<Result<Option<ContainerSpec>, ContainerError>> {
        let text =
            format!("on: push\njobs:\n  a:\n    runs-on: x\n    services: {services}\n    steps: [{{run: x}}]\n");
        let source = Source::new("ci.yml", text);
        let parsed = workflow::parse(&source);
        let workflow = parsed.value.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
        let JobBody::Steps(body) = &workflow.jobs[0].body else { panic!("steps") };
        let contexts: Contexts =
            [("vars", Value::object(crate::workflow::expr::Object::default()))].into_iter().collect();
        let scope = Scope { contexts: &contexts, status: Status::default(), host: &NoFiles };
        match &body.services {
            NamedValues::Written(services) => {
                services.iter().map(|(name, template)| read(&name.value, template, &scope, &source)).collect()
            }
            NamedValues::Computed(whole) => match read_all(whole, &scope, &source) {
                Ok(services) => services.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            },
        }
    }

    #[test]
    fn a_service_is_evaluated_and_options_keep_their_positions() {
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
    fn services_may_be_one_expression_and_an_empty_image_is_no_service() {
        let computed = |json: &str| of_key(&format!("'${{{{ fromJSON(''{json}'') }}}}'"));
        let found =
            computed(r#"{"db": {"image": "redis:7", "ports": ["6379"]}, "off": {"image": ""}, "plain": "a:1"}"#);
        let found: Vec<_> = found.into_iter().map(|one| one.expect("read")).collect();
        assert_eq!(found.len(), 3);
        let db = found[0].as_ref().expect("one");
        assert_eq!((db.name.as_str(), db.image.as_str(), db.ports.len()), ("db", "redis:7", 1));
        assert_eq!((&found[1], found[2].as_ref().map(|plain| plain.image.as_str())), (&None, Some("a:1")));
        assert_eq!(computed("{}"), []);
        let inserted = of_key("{'${{ insert }}': \"${{ fromJSON('{\\\"db\\\": \\\"a:1\\\"}') }}\", off: {image: ''}}");
        assert_eq!(inserted.iter().filter(|one| matches!(one, Ok(Some(_)))).count(), 1, "{inserted:?}");
        for wrong in ["[]", "\"redis\"", "null"] {
            let found = computed(wrong);
            let reason = found[0].as_ref().expect_err(wrong).to_string();
            assert!(reason.starts_with("ci.yml:5:15: `services`: must be a mapping, not "), "{reason}");
        }
    }

    #[test]
    fn an_invalid_port_is_reported_with_its_position() {
        let found = services("db:\n  image: a\n  ports: [http]");
        assert!(found[0].as_ref().expect_err("not a port").to_string().starts_with("ci.yml:8:"), "{found:?}");
    }

    #[test]
    fn env_and_credentials_may_be_computed_but_must_be_mappings() {
        let found = services("db:\n  image: a\n  env: \"${{ fromJSON('{\\\"A\\\": 1}') }}\"");
        assert_eq!(found[0].clone().expect("read").expect("one").env["A"], "1");
        let whole =
            services("db: {\"${{ insert }}\": \"${{ fromJSON('{\\\"image\\\": \\\"a:1\\\"}') }}\", env: {A: b}}");
        let db = whole[0].clone().expect("read").expect("one");
        assert_eq!((db.image.as_str(), db.env["A"].as_str()), ("a:1", "b"));
        for key in ["env", "credentials"] {
            let found = services(&format!("db:\n  image: a\n  {key}: \"${{{{ fromJSON('[1]') }}}}\""));
            let reason = found[0].as_ref().expect_err(key).to_string();
            assert!(reason.contains(&format!("`{key}` of db must be a mapping, not Array")), "{reason}");
        }
    }

    #[test]
    fn a_user_who_could_write_nowhere_on_github_is_remarked() {
        let remark = |options: &[&str]| {
            let options = options.iter().map(|word| (*word).to_owned()).collect();
            remark_about_user(&ContainerSpec { options, ..ContainerSpec::plain("container", "a:1") })
        };
        for options in [&["--cpus", "1", "--user", "1000:1000"][..], &["--user=1000"], &["-u", "1000"], &["-u1000"]] {
            let remark = remark(options).expect("another user");
            assert!(remark.starts_with("The container runs as the user 1000, who"), "{remark}");
        }
        for options in [&[][..], &["--user", "root"], &["-u=0:5"], &["--user", "1001"], &["--userns", "host"], &["-u"]]
        {
            assert_eq!(remark(options), None, "{options:?}");
        }
    }

    #[test]
    fn an_open_quote_is_an_error() {
        let found = services("db:\n  image: a\n  options: --health-cmd \"ping --health-interval 1s");
        let reason = found[0].as_ref().expect_err("open").to_string();
        assert!(
            reason.ends_with("a double quote is not closed in `--health-cmd \"ping --health-interval 1s`"),
            "{reason}"
        );
    }
}
