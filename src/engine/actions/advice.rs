//! Known needs of single actions that this machine may not meet, and what is done in that case. [`ADVICE`] is the whole
//! table. The setup actions, which use the tool cache, have their own table in [`crate::engine::tools`].

use std::ffi::OsString;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::process::Command;

use super::reference::Remote;
use crate::engine::program;
use crate::engine::program::VERSION_TIMEOUT;
use crate::engine::sandbox::host::find_program;

/// Maximum time for pulling the image of a builder.
const PULL_TIMEOUT: Duration = Duration::from_mins(1);

/// A row of the table.
struct Advice {
    /// `owner/name` of the action.
    action: &'static str,
    /// Prefix of the versions to which the row applies; empty for all versions.
    version: &'static str,
    /// When the row applies.
    when: When,
    /// What is done if the row applies.
    then: Then,
    /// What is logged, or added to the reason of a failure.
    message: &'static str,
}

/// When a row applies. Rows about programs and images apply only to steps on this machine.
enum When {
    /// Always.
    Always,
    /// None of these variables of the step has a value.
    Unset(&'static [&'static str]),
    /// The first variable of the step has a value, and the second one has none.
    Without(&'static str, &'static str),
    /// A program is on `PATH`.
    Program(&'static str),
    /// A program is not on `PATH`.
    NoProgram(&'static str),
    /// Docker neither has an image nor can fetch it.
    NoImage(&'static str),
    /// The builder that the step uses has this driver. It is the builder that the input `builder` names, or else the
    /// current one of buildx.
    Driver(&'static str),
    /// Docker has no plugin buildx.
    NoBuildx,
    /// This machine answers requests to GitHub's API.
    LocalApi,
}

/// What is done for an action.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Replaces the action: coverage reports are read on this machine. Does not apply if the configuration maps the
    /// action.
    ReadCoverage,
    /// Logs the message as a warning.
    Warn,
    /// Adds the message to the reason if the step fails. The condition is tested after the failure.
    Explain,
    /// Sets an input to a value, unless the step sets the input.
    Input(&'static str, &'static str),
    /// Sets an input to the address of the API on this machine, unless the step sets the input.
    ApiInput(&'static str),
    /// Withholds the addresses and tokens of the services for caches and artifacts from the action.
    Withhold,
    /// Gives the action addresses of these services that containers of Docker's default network can reach.
    ReachFromContainers,
}

const fn advice(action: &'static str, version: &'static str, when: When, then: Then, message: &'static str) -> Advice {
    Advice { action, version, when, then, message }
}

const BUILDX_IMAGE: &str = "moby/buildkit:buildx-stable-1";

const NO_CACHE_EXPORT: &str = "The driver `docker` of this builder cannot export caches of the type gha, so the step \
                               goes without them.";

const FROM_BUILDER: &str =
    "The builder runs in a container, so it gets addresses of this machine in Docker's network for its cache.";

const NO_BUILDX: &str = "Docker has no plugin buildx here, and the action could not download it, which needs the \
                         network. Install it; the package is docker-buildx or docker-buildx-plugin";

const ADVICE: &[Advice] = &[
    advice(
        "codecov/codecov-action",
        "",
        When::Always,
        Then::ReadCoverage,
        "The coverage is read on this machine and not uploaded to codecov.io. To run the action itself, name its source \
         in `[actions]` of the configuration.",
    ),
    advice(
        "docker/setup-buildx-action",
        "",
        When::NoImage(BUILDX_IMAGE),
        Then::Input("driver", "docker"),
        "The image moby/buildkit:buildx-stable-1 of the default driver is not here and cannot be fetched: the builder \
         has `driver: docker` instead.",
    ),
    advice("docker/setup-buildx-action", "", When::NoBuildx, Then::Explain, NO_BUILDX),
    advice("docker/build-push-action", "", When::Driver("docker"), Then::Withhold, NO_CACHE_EXPORT),
    advice("docker/build-push-action", "", When::Driver("docker-container"), Then::ReachFromContainers, FROM_BUILDER),
    advice("docker/build-push-action", "", When::NoBuildx, Then::Explain, NO_BUILDX),
    advice("docker/bake-action", "", When::Driver("docker"), Then::Withhold, NO_CACHE_EXPORT),
    advice("docker/bake-action", "", When::Driver("docker-container"), Then::ReachFromContainers, FROM_BUILDER),
    advice("docker/bake-action", "", When::NoBuildx, Then::Explain, NO_BUILDX),
    advice(
        "aquasecurity/trivy-action",
        "",
        When::Program("trivy"),
        Then::Input("skip-setup-trivy", "true"),
        "The action uses the trivy of this machine.",
    ),
    advice(
        "aquasecurity/trivy-action",
        "",
        When::NoProgram("trivy"),
        Then::Explain,
        "trivy is not on PATH: the action could not install it, which needs the network. Install trivy",
    ),
    advice(
        "slackapi/slack-github-action",
        "v1",
        When::Without("SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_TYPE"),
        Then::Warn,
        "Without `SLACK_WEBHOOK_TYPE: INCOMING_WEBHOOK`, the action flattens the payload (`blocks.0.text.text`) for \
         Slack's Workflow Builder, and incoming webhooks reject it.",
    ),
    advice(
        "slackapi/slack-github-action",
        "v1",
        When::Unset(&["SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN"]),
        Then::Explain,
        "neither SLACK_WEBHOOK_URL nor SLACK_BOT_TOKEN has a value: is the secret set?",
    ),
    advice(
        "mikepenz/release-changelog-builder-action",
        "",
        When::LocalApi,
        Then::ApiInput("baseUrl"),
        "The action reads tags and commits from this machine.",
    ),
];

impl Advice {
    fn is_about(&self, action: &Remote) -> bool {
        let Remote { repository, path, version } = action;
        path.is_empty() && repository.eq_ignore_ascii_case(self.action) && version.starts_with(self.version)
    }
}

/// Returns the message about the built-in reader of coverage reports, if it can take the place of the action.
pub(in crate::engine) fn reads_coverage(action: &Remote) -> Option<&'static str> {
    let found = ADVICE.iter().find(|row| row.then == Then::ReadCoverage && row.is_about(action));
    found.map(|row| row.message)
}

/// Properties of a step with an action that the conditions of the table test.
pub(in crate::engine) struct Surroundings<'s> {
    /// Inputs that the step sets, in lower case.
    pub(in crate::engine) given: &'s IndexMap<String, String>,
    /// `PATH` of the step; `None` if its action does not run on this machine, but in a container.
    pub(in crate::engine) path: Option<OsString>,
    /// Variables of the step, after those of this machine unless the job runs in a container. The last value of a name
    /// counts.
    pub(in crate::engine) environment: Vec<(OsString, OsString)>,
    /// Whether nothing may be fetched.
    pub(in crate::engine) offline: bool,
    /// Address of GitHub's API on this machine; `None` if GitHub answers.
    pub(in crate::engine) api: Option<String>,
}

/// What the table changes for a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Applied {
    /// Lines for the log.
    pub(in crate::engine) lines: Vec<String>,
    /// Inputs with their values.
    pub(in crate::engine) inputs: Vec<(&'static str, String)>,
    /// Whether the addresses and tokens of the services for caches and artifacts are withheld from the action.
    pub(in crate::engine) withhold: bool,
    /// Whether containers of Docker's default network use the addresses of these services.
    pub(in crate::engine) from_containers: bool,
}

/// Whether the table needs to know the address of GitHub's API for an action.
pub(in crate::engine) fn asks_for_api(action: &Remote) -> bool {
    ADVICE.iter().any(|row| row.is_about(action) && matches!(row.when, When::LocalApi))
}

/// Whether the table has a row for an action.
pub(in crate::engine) fn is_known(action: &Remote) -> bool {
    ADVICE.iter().any(|row| row.is_about(action))
}

/// Returns what the table changes for a step that is about to start.
pub(in crate::engine) async fn apply(action: &Remote, step: &Surroundings<'_>) -> Applied {
    let mut applied = Applied::default();
    // A replaced action does not start, and an explanation is for a failure.
    let is_for_start = |row: &&Advice| !matches!(row.then, Then::ReadCoverage | Then::Explain);
    for row in ADVICE.iter().filter(|row| row.is_about(action)).filter(is_for_start) {
        let input = match row.then {
            Then::Input(name, _) | Then::ApiInput(name) => Some(name),
            _ => None,
        };
        let is_given = input.is_some_and(|name| step.given.contains_key(&name.to_ascii_lowercase()));
        // The condition may fetch an image, so it is not tested in vain.
        if is_given || !row.when.holds(step).await {
            continue;
        }
        let mut line = row.message.to_owned();
        match row.then {
            Then::ReadCoverage | Then::Explain => continue,
            Then::Warn => line.insert_str(0, "##[warning]"),
            Then::Withhold => applied.withhold = true,
            Then::ReachFromContainers => applied.from_containers = true,
            Then::Input(name, value) => applied.inputs.push((name, value.to_owned())),
            Then::ApiInput(name) => applied.inputs.push((name, step.api.clone().unwrap_or_default())),
        }
        applied.lines.push(line);
    }
    applied
}

/// Returns what the table adds to the reason of a step that has failed. `step` describes the step after its failure:
/// the action may have installed a program that was missing before.
pub(in crate::engine) async fn explanation(action: &Remote, step: &Surroundings<'_>) -> Option<String> {
    for row in ADVICE.iter().filter(|row| row.is_about(action) && row.then == Then::Explain) {
        if row.when.holds(step).await {
            return Some(row.message.to_owned());
        }
    }
    None
}

impl When {
    async fn holds(&self, step: &Surroundings<'_>) -> bool {
        let is_set = |name: &str| {
            let value = step.environment.iter().rev().find(|(known, _)| known == name);
            value.is_some_and(|(_, value)| !value.is_empty())
        };
        let on_path = |name: &str| step.path.as_ref().map(|path| find_program(name, path).is_some());
        match self {
            Self::Always => true,
            Self::Unset(names) => !names.iter().any(|name| is_set(name)),
            Self::Without(set, unset) => is_set(set) && !is_set(unset),
            Self::Program(name) => on_path(name) == Some(true),
            Self::NoProgram(name) => on_path(name) == Some(false),
            Self::NoBuildx => {
                step.docker(&["buildx", "version"], VERSION_TIMEOUT).await.is_some_and(|had| had.is_none())
            }
            Self::LocalApi => step.api.is_some(),
            Self::NoImage(image) => {
                // Without Docker, the action itself reports what is missing.
                let inspected = step.docker(&["image", "inspect", "--format", "here", image], VERSION_TIMEOUT).await;
                let is_missing = inspected.is_some_and(|printed| printed.is_none());
                let fetched = async || step.docker(&["pull", "--quiet", image], PULL_TIMEOUT).await.flatten().is_some();
                is_missing && (step.offline || !fetched().await)
            }
            Self::Driver(driver) => {
                let named = step.given.get("builder").map(|name| name.trim()).filter(|name| !name.is_empty());
                let of_step = named.map(|name| format!("--builder={name}"));
                let words: Vec<_> = ["buildx", "inspect"].into_iter().chain(of_step.as_deref()).collect();
                let printed = step.docker(&words, VERSION_TIMEOUT).await.flatten().unwrap_or_default();
                let drivers = printed.lines().filter_map(|line| line.trim().strip_prefix("Driver:"));
                drivers.map(str::trim).any(|found| found == *driver)
            }
        }
    }
}

impl Surroundings<'_> {
    /// Runs the Docker CLI with the environment of the step. Returns its output; `Some(None)` if it fails, and `None`
    /// if it is not installed or the step does not run on this machine.
    async fn docker(&self, args: &[&str], limit: Duration) -> Option<Option<String>> {
        let docker = find_program("docker", self.path.as_ref()?)?;
        let mut command = Command::new(docker);
        command.args(args).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("PATH", self.path.as_ref()?);
        let ended = program::call(&mut command, limit).await.ok().filter(|ended| ended.status.success());
        Some(ended.map(|ended| String::from_utf8_lossy(&ended.output).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::actions::reference::Reference;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn action(text: &str) -> Remote {
        let Ok(Reference::Remote(action)) = Reference::parse(text) else { panic!("{text}") };
        action
    }

    /// Applies the table to a step with these variables and inputs. `programs` are the programs on its `PATH`.
    async fn applied(uses: &str, set: &[(&str, &str)], given: &[&str], programs: &[(&str, &str)]) -> Applied {
        both(uses, set, given, programs).await.0
    }

    /// Returns the explanation if such a step fails.
    async fn explained(uses: &str, set: &[(&str, &str)], programs: &[(&str, &str)]) -> Option<String> {
        both(uses, set, &[], programs).await.1
    }

    async fn both(
        uses: &str,
        set: &[(&str, &str)],
        given: &[&str],
        programs: &[(&str, &str)],
    ) -> (Applied, Option<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, script) in programs {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        }
        let given = given.iter().map(|name| ((*name).to_owned(), "theirs".to_owned())).collect();
        let step = Surroundings {
            given: &given,
            path: Some(folder.path().into()),
            environment: set.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            offline: false,
            api: Some("http://127.0.0.1:1/api/v3".to_owned()),
        };
        (apply(&action(uses), &step).await, explanation(&action(uses), &step).await)
    }

    fn inputs(applied: &Applied) -> Vec<(&str, &str)> {
        applied.inputs.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    #[tokio::test]
    async fn the_builder_falls_back_to_the_driver_of_docker() {
        let uses = "docker/setup-buildx-action@v3";
        let fails = [("docker", "exit 1")];
        let without = applied(uses, &[], &[], &fails).await;
        assert_eq!(inputs(&without), [("driver", "docker")]);
        assert!(without.lines[0].contains("`driver: docker` instead"), "{:?}", without.lines);
        assert_eq!(applied(uses, &[], &["driver"], &fails).await, Applied::default(), "the step decides");
        let home = tempfile::tempdir().expect("a folder");
        let notes = format!("test $1 = buildx || : > {}/asked", home.path().display());
        assert_eq!(applied(uses, &[], &["driver"], &[("docker", &notes)]).await, Applied::default());
        assert!(!home.path().join("asked").exists(), "Docker is not asked in vain");
        assert_eq!(applied(uses, &[], &[], &[("docker", "echo here")]).await, Applied::default(), "the image is here");
        let pulls = [("docker", "test $1 = pull")];
        assert_eq!(applied(uses, &[], &[], &pulls).await, Applied::default(), "the image can be fetched");
        assert_eq!(applied(uses, &[], &[], &[]).await, Applied::default(), "without Docker, the action says so");

        let uses = "docker/build-push-action@v5";
        let prints = |driver: &str| format!("printf 'Name:   default\\nDriver: %s\\n\\nNodes:\\n' {driver}");
        let plain = applied(uses, &[], &[], &[("docker", &prints("docker"))]).await;
        assert!(plain.withhold && plain.lines.len() == 1);
        let own = applied(uses, &[], &[], &[("docker", &prints("docker-container"))]).await;
        assert!(own.from_containers && !own.withhold && own.lines.len() == 1);
        // The builder that the step names is inspected, not the current one.
        let script =
            format!("case $3 in --builder=theirs) {};; *) {};; esac", prints("docker-container"), prints("docker"));
        assert!(applied(uses, &[], &["builder"], &[("docker", &script)]).await.from_containers);
        let remote = applied(uses, &[], &[], &[("docker", &prints("remote"))]).await;
        assert_eq!(remote, Applied::default());
        for uses in ["docker/setup-buildx-action@v3", uses] {
            assert!(explained(uses, &[], &fails).await.is_some_and(|text| text.contains("no plugin buildx")), "{uses}");
            assert_eq!(explained(uses, &[], &[("docker", "exit 0")]).await, None, "{uses}");
        }
        assert!(applied(uses, &[], &[], &[("docker", &script)]).await.withhold);
    }

    #[tokio::test]
    async fn what_trivy_and_slack_lack_is_said() {
        let uses = "aquasecurity/trivy-action@master";
        assert_eq!(inputs(&applied(uses, &[], &[], &[("trivy", "")]).await), [("skip-setup-trivy", "true")]);
        let without = explained(uses, &[], &[]).await;
        assert!(without.is_some_and(|text| text.starts_with("trivy is not on PATH")));
        // The action has installed it, and fails for another reason: trivy found vulnerabilities.
        assert_eq!(explained(uses, &[], &[("trivy", "exit 1")]).await, None);

        let (url, kind) = (("SLACK_WEBHOOK_URL", "http://x"), ("SLACK_WEBHOOK_TYPE", "INCOMING_WEBHOOK"));
        let slack = async |uses: &str, set: &[(&str, &str)]| applied(uses, set, &[], &[]).await;
        let flat = slack("slackapi/slack-github-action@v1.27.1", &[url]).await;
        assert!(flat.lines[0].starts_with("##[warning]Without `SLACK_WEBHOOK_TYPE"), "{:?}", flat.lines);
        assert_eq!(slack("slackapi/slack-github-action@v1", &[url, kind]).await, Applied::default());
        assert_eq!(slack("slackapi/slack-github-action@v2", &[url]).await, Applied::default());
        let unset = [("SLACK_WEBHOOK_URL", "")];
        assert!(slack("slackapi/slack-github-action@v1", &unset).await.lines.is_empty());
        assert!(explained("slackapi/slack-github-action@v1", &unset, &[]).await.is_some());
        let bot = [("SLACK_WEBHOOK_URL", ""), ("SLACK_BOT_TOKEN", "xoxb")];
        assert_eq!(explained("slackapi/slack-github-action@v1", &bot, &[]).await, None);
    }

    #[tokio::test]
    async fn other_actions_and_steps_in_containers_are_left_alone() {
        for uses in ["actions/cache@v4", "docker/build-push-action/inner@v5", "me/codecov-action@v3"] {
            assert!(!is_known(&action(uses)) && reads_coverage(&action(uses)).is_none(), "{uses}");
        }
        assert!(reads_coverage(&action("Codecov/codecov-action@v3")).is_some());
        let changelog = action("mikepenz/release-changelog-builder-action@v4");
        assert!(asks_for_api(&changelog));
        let given = IndexMap::new();
        let step = Surroundings {
            given: &given,
            path: None,
            environment: Vec::new(),
            offline: true,
            api: Some("http://here".to_owned()),
        };
        let remote = apply(&changelog, &step).await;
        assert_eq!(inputs(&remote), [("baseUrl", "http://here")]);
        for uses in ["docker/setup-buildx-action@v3", "docker/build-push-action@v5", "aquasecurity/trivy-action@0.1"] {
            assert_eq!(apply(&action(uses), &step).await, Applied::default(), "{uses}");
            assert_eq!(explanation(&action(uses), &step).await, None, "{uses}");
        }
    }
}
