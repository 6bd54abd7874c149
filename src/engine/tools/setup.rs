//! The actions that look into the tool cache, and the tools of this machine that are offered to them.

use std::fmt::Write;
use std::path::PathBuf;

use indexmap::IndexMap;

use super::container::Container;
use super::find::installations;
use super::version::Prefix;
use super::{Installation, Tool, Version, cache};
use crate::engine::RunContext;
use crate::engine::actions::reference::Remote;
use crate::engine::outlet::StepLog;
use crate::engine::sandbox::Sandbox;
use crate::model::in_one_line;

/// Name of this machine in messages.
const MACHINE: &str = "this machine";

/// An action that looks into the tool cache.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::engine) struct Setup {
    action: &'static str,
    tool: Tool,
    /// Name of the input that selects the version.
    version: &'static str,
    /// Name of the tool in the cache. Empty for Java, where it depends on the distribution.
    name: &'static str,
}

const fn setup(action: &'static str, tool: Tool, version: &'static str, name: &'static str) -> Setup {
    Setup { action, tool, version, name }
}

/// The actions that look into the tool cache.
const SETUPS: &[Setup] = &[
    setup("actions/setup-python", Tool::Python, "python-version", "Python"),
    setup("actions/setup-node", Tool::Node, "node-version", "node"),
    setup("actions/setup-go", Tool::Go, "go-version", "go"),
    setup("actions/setup-java", Tool::Java, "java-version", ""),
];

/// Names of the distributions of Java in the cache, by the input `distribution`.
const DISTRIBUTIONS: &[(&str, &str)] = &[
    ("adopt", "Adopt-Hotspot"),
    ("adopt-hotspot", "Adopt-Hotspot"),
    ("corretto", "Corretto"),
    ("dragonwell", "Dragonwell"),
    ("liberica", "Liberica"),
    ("microsoft", "Microsoft"),
    ("oracle", "Oracle"),
    ("sapmachine", "SapMachine"),
    ("temurin", "Temurin-Hotspot"),
    ("zulu", "Zulu"),
];

/// Returns the entry of an action in the table. `None` if the action does not look into the tool cache.
pub(in crate::engine) fn of(action: &Remote) -> Option<&'static Setup> {
    SETUPS.iter().find(|setup| action.path.is_empty() && action.repository.eq_ignore_ascii_case(setup.action))
}

impl Setup {
    /// Returns the name of the tool in the cache. `None` for a distribution of Java that is not in the table, and for a
    /// package other than the JDK.
    fn name(&self, inputs: &IndexMap<String, String>) -> Option<String> {
        if self.tool != Tool::Java {
            return Some(self.name.to_owned());
        }
        let package = inputs.get("java-package").map_or("jdk", String::as_str);
        let asked = inputs.get("distribution")?.to_ascii_lowercase();
        let (_, distribution) = DISTRIBUTIONS.iter().find(|(known, _)| *known == asked)?;
        (package == "jdk").then(|| format!("Java_{distribution}_jdk"))
    }

    /// Returns the name of the tool in the cache. `None` if the action requests another architecture, or a distribution
    /// or package that is not supported.
    fn requested(&self, inputs: &IndexMap<String, String>) -> Option<String> {
        let architecture = inputs.get("architecture").map(String::as_str).filter(|arch| !arch.is_empty());
        if architecture.is_some_and(|wanted| wanted != cache::arch()) { None } else { self.name(inputs) }
    }

    /// Returns the version that the action requests, as its input writes it.
    fn version<'i>(&self, inputs: &'i IndexMap<String, String>) -> &'i str {
        inputs.get(self.version).map(String::as_str).unwrap_or_default()
    }

    /// Adds to the cache of a job the versions that the action may want: the newest version that matches its input, or
    /// all versions if the input is not a version prefix. Writes to the log what was added. Returns a message if this
    /// machine has no matching version, and `None` otherwise. Adds nothing and returns `None` if the action requests
    /// another architecture, or a distribution or package that is not supported.
    pub(in crate::engine) async fn offer(
        &self,
        run: &RunContext,
        folder: PathBuf,
        inputs: &IndexMap<String, String>,
        log: &mut dyn StepLog,
    ) -> Option<String> {
        let (name, version) = (self.requested(inputs)?, self.version(inputs));
        let found = installations(run, self.tool).await;
        let prefix = Prefix::parse(version);
        let chosen: Vec<_> = match &prefix {
            Some(prefix) => found.iter().find(|one| prefix.matches(one.version)).into_iter().collect(),
            None => found.iter().collect(),
        };
        for installation in &chosen {
            let Installation { tool, version, home, source, .. } = installation;
            let tool = tool.name();
            let line = match cache::offer(installation, &name, &folder, &run.tool_cache).await {
                Ok(()) => {
                    format!("{tool} {version} of this machine is in the tool cache ({source}: {})\n", home.display())
                }
                Err(error) => format!("##[warning]{tool} {version} of this machine cannot be offered: {error}\n"),
            };
            log.write(line.as_bytes());
        }
        log.flush();
        chosen.is_empty().then(|| missing(MACHINE, self.tool, version, &versions(&found)))
    }

    /// Does the same as [`Self::offer`] for a job in a container. `folder` is its tool cache in the container.
    pub(in crate::engine) async fn offer_in_container(
        &self,
        run: &RunContext,
        sandbox: &dyn Sandbox,
        folder: PathBuf,
        inputs: &IndexMap<String, String>,
        log: &mut dyn StepLog,
    ) -> Option<String> {
        let (name, version) = (self.requested(inputs)?, self.version(inputs));
        let prefix = Prefix::parse(version);
        let fits = |version| prefix.as_ref().is_none_or(|prefix| prefix.matches(version));
        let container = Container { sandbox, cache: folder };
        let offered = container.offer(run, self.tool, &name, prefix.is_none(), fits).await;
        for line in offered.lines {
            log.write(format!("{}\n", in_one_line(&line)).as_bytes());
        }
        log.flush();
        let in_image = offered.missed?;
        let image = sandbox.image().map_or_else(|| "the container".to_owned(), |image| format!("the image {image}"));
        Some(missing(&image, self.tool, version, &in_image))
    }
}

/// Returns the tools of the setup actions among these.
pub(in crate::engine) fn tools<'a>(actions: impl Iterator<Item = &'a Remote>) -> Vec<Tool> {
    let mut tools: Vec<_> = actions.filter_map(of).map(|setup| setup.tool).collect();
    tools.sort_unstable();
    tools.dedup();
    tools
}

fn versions(found: &[Installation]) -> Vec<Version> {
    found.iter().map(|one| one.version).collect()
}

/// Returns the message for a missing version, which lists the versions that `place` has.
fn missing(place: &str, tool: Tool, wanted: &str, found: &[Version]) -> String {
    let mut text = format!("{place} has no {} {wanted}", tool.name());
    let versions: Vec<_> = found.iter().map(ToString::to_string).collect();
    if !versions.is_empty() {
        let _ = write!(text, ", but {}", versions.join(", "));
    }
    text.push_str(if tool == Tool::Python && place != MACHINE {
        "; a Python of this machine does not run in a container: use an image that has this version"
    } else {
        "; `cuelight tools add FOLDER` adds an installation"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::actions::reference::Reference;

    fn setup_of(text: &str) -> Option<&'static Setup> {
        match Reference::parse(text) {
            Ok(Reference::Remote(remote)) => of(&remote),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn setup_actions_are_known_by_their_repository() {
        assert_eq!(setup_of("Actions/Setup-Python@v5").map(|setup| setup.tool), Some(Tool::Python));
        assert_eq!(setup_of("actions/setup-node/sub@v4"), None);
        assert_eq!(setup_of("other/setup-node@v4"), None);
    }

    #[test]
    fn a_java_stands_in_for_the_distribution_that_is_asked_for() {
        let java = setup_of("actions/setup-java@v4").expect("known");
        let name = |distribution: &str, package: &str| {
            let inputs = [("distribution", distribution), ("java-package", package)];
            java.name(&inputs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        };
        assert_eq!(name("temurin", "jdk").as_deref(), Some("Java_Temurin-Hotspot_jdk"));
        assert_eq!((name("temurin", "jre"), name("graalvm", "jdk")), (None, None));
    }

    #[test]
    fn what_is_missing_names_what_is_here_and_the_command_that_adds_more() {
        assert_eq!(
            missing(MACHINE, Tool::Node, "22", &[]),
            "this machine has no Node.js 22; `cuelight tools add FOLDER` adds an installation"
        );
        let here = ["20.1.0".parse().expect("a version")];
        assert!(missing(MACHINE, Tool::Node, "22", &here).starts_with("this machine has no Node.js 22, but 20.1.0; "));
        let python = missing("the image a:1", Tool::Python, "3.9", &["3.11.2".parse().expect("a version")]);
        assert!(
            python.starts_with("the image a:1 has no Python 3.9, but 3.11.2; a Python of this machine does not run")
        );
        assert!(
            missing("the image a:1", Tool::Go, "1.9", &[])
                .ends_with("`cuelight tools add FOLDER` adds an installation")
        );
    }
}
