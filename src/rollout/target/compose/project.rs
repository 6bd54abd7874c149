//! The project of Compose: its files, and the service as they describe it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use super::error::ComposeFault;
use crate::engine::sandbox::compose::{ComposeError, ComposeProgram, files_in};
use crate::files::cleaned;
use crate::model::deployment::ComposeSettings;
use crate::rollout::shell::Shell;
use crate::workflow::yaml::{self, YamlKind, YamlNode};

/// Separator of the names of files in the environment variable `COMPOSE_FILE`. Unlike the default it is rare in paths.
const SEPARATOR: &str = "|";

/// The files of a project.
pub(super) struct Project {
    /// Folder of the first file, by which Compose names the project.
    pub(super) folder: PathBuf,
    files: Vec<PathBuf>,
    name: Option<String>,
}

/// A service, as the files of its project describe it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Service {
    /// The name of its project; `None` if Compose does not print it, as version 1 does not.
    pub(super) project: Option<String>,
    /// A port of the machine that each container would publish.
    pub(super) publishes: Option<String>,
    /// The name of its only container.
    pub(super) container: Option<String>,
    /// Whether its containers use the network of the machine.
    pub(super) is_on_machine: bool,
    /// Whether it has a health check; `None` if the image decides.
    pub(super) checks_health: Option<bool>,
}

impl Project {
    /// Finds the files of a project: those in the settings or, without any, the files that Compose reads in the root of
    /// the repository.
    pub(super) fn find(settings: &ComposeSettings, shell: &Shell) -> Result<Self, ComposeFault> {
        let root = &shell.folder;
        let files = if settings.files.is_empty() {
            files_in(root)
        } else {
            // As in Compose, which labels containers with these paths.
            settings.files.iter().map(|file| cleaned(&root.join(file))).collect()
        };
        if let Some(missing) = files.iter().find(|file| !file.is_file()) {
            return Err(ComposeFault::NoFile(missing.clone()));
        }
        let Some(first) = files.first() else { return Err(ComposeFault::NoFiles(root.clone())) };
        let folder = first.parent().unwrap_or(root).to_owned();
        Ok(Self { folder, files, name: settings.project.clone() })
    }

    /// Returns the name that Compose gives the project by its folder: the letters, digits, `_` and `-` of the folder's name, in
    /// lower case.
    pub(super) fn name_of_folder(&self) -> String {
        let folder = self.folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || ['_', '-'].contains(c);
        let name: String = folder.chars().filter(is_plain).collect();
        if name.is_empty() { "default".to_owned() } else { name }
    }

    /// Returns the environment variables with which Compose reads the files, and `last` after them. All profiles are
    /// on, because the service may have one, or depend on a service that has. Each call that starts containers names
    /// the service, so no other is started.
    pub(super) fn variables(&self, last: Option<&Path>) -> Vec<(&'static str, String)> {
        let files = self.files.iter().map(PathBuf::as_path).chain(last).map(|file| file.display().to_string());
        let files = files.collect::<Vec<_>>().join(SEPARATOR);
        let name = self.name.iter().map(|name| ("COMPOSE_PROJECT_NAME", name.clone()));
        let separator = SEPARATOR.to_owned();
        let all =
            [("COMPOSE_FILE", files), ("COMPOSE_PATH_SEPARATOR", separator), ("COMPOSE_PROFILES", "*".to_owned())];
        all.into_iter().chain(name).collect()
    }

    /// Lets Compose read a service from its files, with variables and overriding files applied. `limit` is the time
    /// limit of the call.
    pub(super) async fn service(
        &self,
        program: ComposeProgram,
        name: &str,
        shell: &Shell,
        limit: Duration,
    ) -> Result<Service, ComposeFault> {
        let mut command = program.command();
        let environment = shell.environment.iter().map(|(name, value)| (name, value));
        command.arg("config").current_dir(&shell.folder).env_clear().envs(environment).envs(self.variables(None));
        let words = format!("{} config", program.words());
        let printed = in_time(limit, &words, program.run(command, words.clone())).await?;
        let document = yaml::read(&printed).map_err(|problem| ComposeFault::Config(problem.message))?;
        let services = get(&document.root, "services");
        let Some(service) = services.and_then(|services| get(services, name)) else {
            let known = services.map(keys).unwrap_or_default().join(", ");
            return Err(ComposeFault::NoService { service: name.to_owned(), known });
        };
        Ok(Service { project: get(&document.root, "name").and_then(text), ..read(service) })
    }
}

/// Finds the program of Compose, within a time limit.
pub(super) async fn program(limit: Duration) -> Result<ComposeProgram, ComposeFault> {
    in_time(limit, "compose version", ComposeProgram::find()).await
}

/// Waits for a call of Compose. At the time limit, the process is killed.
async fn in_time<T>(
    limit: Duration,
    command: &str,
    call: impl Future<Output = Result<T, ComposeError>>,
) -> Result<T, ComposeFault> {
    let slow = |_| ComposeFault::TooSlow { command: command.to_owned(), limit };
    Ok(timeout(limit, call).await.map_err(slow)??)
}

/// Reads what matters of a service.
fn read(service: &YamlNode<'_>) -> Service {
    let health = get(service, "healthcheck").map(|check| {
        let is_off = get(check, "disable").is_some_and(|off| matches!(off.kind, YamlKind::Bool(true)));
        let test = get(check, "test");
        let first = test.map(|test| items(test).first().map_or_else(|| text(test), text).unwrap_or_default());
        (!is_off, first)
    });
    Service {
        project: None,
        publishes: get(service, "ports").into_iter().flat_map(items).find_map(published),
        container: get(service, "container_name").and_then(text),
        is_on_machine: get(service, "network_mode").and_then(text).as_deref() == Some("host"),
        checks_health: match health {
            Some((true, None)) | None => None,
            Some((is_on, test)) => Some(is_on && test.as_deref() != Some("NONE")),
        },
    }
}

/// Returns the port of the machine of an entry of `ports`. `None` if Docker chooses a free one.
fn published(port: &YamlNode<'_>) -> Option<String> {
    let Some(whole) = text(port) else {
        return get(port, "published").and_then(text).filter(|port| !port.is_empty() && port != "0");
    };
    // `[ADDRESS:][PORT]:CONTAINER`
    let (outside, _) = whole.rsplit_once(':')?;
    let number = outside.rsplit_once(':').map_or(outside, |(_, number)| number);
    Some(number.to_owned()).filter(|port| !port.is_empty() && port != "0")
}

fn get<'n, 's>(node: &'n YamlNode<'s>, key: &str) -> Option<&'n YamlNode<'s>> {
    let YamlKind::Mapping(entries) = &node.kind else { return None };
    entries.iter().find(|(name, _)| text(name).as_deref() == Some(key)).map(|(_, value)| value)
}

fn keys(node: &YamlNode<'_>) -> Vec<String> {
    let YamlKind::Mapping(entries) = &node.kind else { return Vec::new() };
    entries.iter().filter_map(|(name, _)| text(name)).collect()
}

fn items<'n, 's>(node: &'n YamlNode<'s>) -> &'n [YamlNode<'s>] {
    match &node.kind {
        YamlKind::Sequence(items) => items,
        _ => &[],
    }
}

fn text(node: &YamlNode<'_>) -> Option<String> {
    match &node.kind {
        YamlKind::Text(text, _) | YamlKind::Number(_, text) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_files_are_cleaned_as_compose_does_it() {
        for (path, clean) in [
            ("/shop/compose.yaml", "/shop/compose.yaml"),
            ("/shop/../compose.yaml", "/compose.yaml"),
            ("/shop/./deploy//../compose.yaml", "/shop/compose.yaml"),
            ("/shop/../../compose.yaml", "/compose.yaml"),
        ] {
            assert_eq!(cleaned(Path::new(path)), Path::new(clean), "{path}");
        }
    }

    #[tokio::test]
    async fn a_call_of_compose_that_does_not_end_is_an_error() {
        let limit = Duration::from_millis(1);
        let call = std::future::pending::<Result<(), ComposeError>>();
        let error = in_time(limit, "compose config", call).await.expect_err("too slow").to_string();
        assert!(error.starts_with("`compose config` did not end within "), "{error}");
    }

    #[test]
    fn a_project_without_a_name_is_named_by_its_folder() {
        let of =
            |folder: &str| Project { folder: PathBuf::from(folder), files: Vec::new(), name: None }.name_of_folder();
        assert_eq!((of("/srv/My Shop_1.v2"), of("/")), ("myshop_1v2".to_owned(), "default".to_owned()));
    }

    #[test]
    fn all_profiles_are_on() {
        let project = Project { folder: PathBuf::from("/shop"), files: vec!["/shop/compose.yaml".into()], name: None };
        assert!(project.variables(None).contains(&("COMPOSE_PROFILES", "*".to_owned())));
    }

    #[test]
    fn ports_names_and_health_checks_are_read_in_all_forms() {
        let of = |text: &str| read(&yaml::read(text).expect("YAML").root);
        let nothing = Service::default();
        assert_eq!(of("image: a"), nothing);
        for (ports, port) in [
            ("['8080:80']", Some("8080")),
            ("['127.0.0.1:8080:80/tcp']", Some("8080")),
            ("['80', 81]", None),
            ("['127.0.0.1::80']", None),
            ("[{target: 80, published: '8080', mode: ingress}]", Some("8080")),
            ("[{target: 80, published: 8081}]", Some("8081")),
            ("[{target: 80}, {target: 81, published: '0'}]", None),
            ("['80', '9000-9001:81']", Some("9000-9001")),
        ] {
            assert_eq!(of(&format!("ports: {ports}")).publishes.as_deref(), port, "{ports}");
        }
        for (check, expected) in [
            ("{test: ['CMD', 'true'], interval: 30s}", Some(true)),
            ("{test: 'curl -f localhost'}", Some(true)),
            ("{test: ['NONE']}", Some(false)),
            ("{disable: true}", Some(false)),
            ("{interval: 30s}", None),
        ] {
            assert_eq!(of(&format!("healthcheck: {check}")).checks_health, expected, "{check}");
        }
        let named = of("container_name: shop\nnetwork_mode: host\n");
        let expected = Service { container: Some("shop".to_owned()), is_on_machine: true, ..nothing };
        assert_eq!(named, expected);
    }
}
