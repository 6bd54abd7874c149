//! The environment of a step's process, layer by layer.
//!
//! To add a layer, give [`Layers`] a field, add a row to the table in [`environment`], and fill the field in
//! `Steps::environment` of `job/steps/execute.rs`. A layer that sets `PATH` also belongs in `Steps::search_path` there,
//! which finds the shell.

use std::ffi::{OsStr, OsString};

use indexmap::IndexMap;

use crate::engine::context::{github_variables, runner_variables};
use crate::workflow::expr::Object;

/// Sources of the environment of a step's process.
pub(in crate::engine) struct Layers<'l> {
    /// Environment of the sandbox: of this machine, or of the container's image.
    pub(in crate::engine) sandbox: &'l [(OsString, OsString)],
    /// Variables of the job's configuration of this machine. The workflow may override them.
    pub(in crate::engine) machine: &'l [(&'static str, String)],
    /// `env` of the workflow and the job, and variables that earlier steps wrote to `GITHUB_ENV`.
    pub(in crate::engine) job: &'l IndexMap<String, String>,
    /// `env` of the step, merged over `env` of the steps around it.
    pub(in crate::engine) step: &'l IndexMap<String, String>,
    /// Variables that the action adds: `INPUT_…`, `STATE_…`.
    pub(in crate::engine) action: &'l IndexMap<String, String>,
    /// The `github` context, for `GITHUB_…`.
    pub(in crate::engine) github: &'l Object,
    /// The `runner` context, for `RUNNER_…`.
    pub(in crate::engine) runner: &'l Object,
    /// Addresses and tokens of the services for actions.
    pub(in crate::engine) services: &'l [(&'static str, String)],
    /// Settings of git for the services, in addition to those in the environment: keys and values.
    pub(in crate::engine) git: &'l [(String, String)],
    /// Paths of the command files in the sandbox: `GITHUB_ENV`, `GITHUB_OUTPUT` and so on.
    pub(in crate::engine) command_files: &'l [(String, String)],
    /// `RUNNER_TRACKING_ID`, used to find processes that outlive their step.
    pub(in crate::engine) tracking_id: &'l str,
    /// Folders that earlier steps wrote to `GITHUB_PATH`, newest first.
    pub(in crate::engine) path: &'l [String],
    /// Translates a value that starts with a slash from a path of the job's sandbox to a path of the process's sandbox.
    /// `None` if the process runs in the job's sandbox.
    pub(in crate::engine) translate: Option<&'l dyn Fn(&str) -> String>,
}

/// Returns the complete environment of a step's process, without variables that the operating system would reject.
///
/// All these variables reach the process, including names such as `INPUT_FETCH-DEPTH`, which a shell would drop.
#[must_use]
pub(in crate::engine) fn environment(layers: &Layers<'_>) -> Vec<(OsString, OsString)> {
    let owned =
        |map: &IndexMap<String, String>| map.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let fixed = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    // Lowest priority first: later rows override earlier ones.
    let named = |list: &[(&'static str, String)]| {
        list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Vec<_>>()
    };
    let table: [(Paths, Vec<(String, String)>); 11] = [
        (Paths::AsTheyAre, fixed("CI", "true")),
        (Paths::AsTheyAre, named(layers.machine)),
        (Paths::OfTheJob, owned(layers.job)),
        (Paths::OfTheJob, owned(layers.step)),
        (Paths::OfTheJob, owned(layers.action)),
        (Paths::OfTheJob, github_variables(layers.github)),
        (Paths::OfTheJob, runner_variables(layers.runner)),
        (Paths::AsTheyAre, named(layers.services)),
        (Paths::AsTheyAre, layers.command_files.to_vec()),
        (Paths::AsTheyAre, fixed("RUNNER_TRACKING_ID", layers.tracking_id)),
        (Paths::AsTheyAre, fixed("GITHUB_ACTIONS", "true")),
    ];
    let mut all: IndexMap<OsString, OsString> = layers.sandbox.iter().cloned().collect();
    for (paths, variables) in table {
        let translate = layers.translate.filter(|_| paths == Paths::OfTheJob);
        all.extend(variables.into_iter().map(|(name, value)| match translate {
            Some(translate) if value.starts_with('/') => (name.into(), translate(&value).into()),
            _ => (name.into(), value.into()),
        }));
    }
    add_git_settings(&mut all, layers.git);
    if let Some(host) = layers.services.iter().find_map(|(_, value)| host(value)) {
        reach_directly(&mut all, host);
    }
    // The operating system rejects empty names, names with `=`, and NUL in names or values.
    all.retain(|name, value| {
        let (name, value) = (name.as_encoded_bytes(), value.as_encoded_bytes());
        !name.is_empty() && !name.contains(&b'=') && !name.contains(&0) && !value.contains(&0)
    });
    let path = search_path(all.get(OsStr::new("PATH")).map(OsString::as_os_str), layers.path);
    all.insert("PATH".into(), path);
    all.into_iter().collect()
}

/// Adds settings of git after those that the environment contains already, such as those of the workflow.
fn add_git_settings(all: &mut IndexMap<OsString, OsString>, settings: &[(String, String)]) {
    const COUNT: &str = "GIT_CONFIG_COUNT";
    if settings.is_empty() {
        return;
    }
    let known = all.get(OsStr::new(COUNT)).and_then(|count| count.to_str()?.parse::<u16>().ok());
    let mut count = known.map_or(0, usize::from);
    for (key, value) in settings {
        all.insert(format!("GIT_CONFIG_KEY_{count}").into(), key.into());
        all.insert(format!("GIT_CONFIG_VALUE_{count}").into(), value.into());
        count += 1;
    }
    all.insert(COUNT.into(), count.to_string().into());
}

/// Returns the host of the address of a service; `None` if the text is not an `http` address.
fn host(address: &str) -> Option<&str> {
    let (host, _) = address.strip_prefix("http://")?.split_once('/')?;
    host.rsplit_once(':').map(|(host, _)| host)
}

/// Excludes a host from the proxy if the environment sets one, because the host is this machine.
fn reach_directly(all: &mut IndexMap<OsString, OsString>, host: &str) {
    let has_proxy = |name: &str| all.get(OsStr::new(name)).is_some_and(|proxy| !proxy.is_empty());
    if !["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].into_iter().any(has_proxy) {
        return;
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let value = all.entry(name.into()).or_default();
        if !value.is_empty() {
            value.push(",");
        }
        value.push(host);
    }
}

/// Which sandbox the paths in the values of a layer belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paths {
    /// The sandbox of the job.
    OfTheJob,
    /// The sandbox of the process.
    AsTheyAre,
}

/// Returns the search path for programs: folders that steps added, then the `PATH` of the environment.
#[must_use]
pub(in crate::engine) fn search_path(own: Option<&OsStr>, added: &[String]) -> OsString {
    let mut path = OsString::new();
    let own = own.filter(|own| !own.is_empty());
    for folder in added.iter().map(OsStr::new).chain(own) {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(folder);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::expr::Value;

    type Pairs = &'static [(&'static str, &'static str)];

    type Set = fn(&mut Given, Pairs);

    /// Input of a test, with one field for each layer.
    #[derive(Default)]
    struct Given {
        sandbox: Pairs,
        job: Pairs,
        step: Pairs,
        action: Pairs,
        github: Pairs,
        runner: Pairs,
        services: &'static [(&'static str, &'static str)],
        git: Pairs,
        files: Pairs,
        path: &'static [&'static str],
        translated: bool,
    }

    fn texts(pairs: Pairs) -> IndexMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn object(pairs: Pairs) -> Object {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
    }

    fn all(given: &Given) -> IndexMap<String, String> {
        let sandbox: Vec<_> =
            given.sandbox.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        let files: Vec<_> = texts(given.files).into_iter().collect();
        let path: Vec<_> = given.path.iter().map(|folder| (*folder).to_owned()).collect();
        let translate = |path: &str| format!("/inside{path}");
        let environment = environment(&Layers {
            sandbox: &sandbox,
            machine: &[],
            job: &texts(given.job),
            step: &texts(given.step),
            action: &texts(given.action),
            github: &object(given.github),
            runner: &object(given.runner),
            services: &given.services.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>(),
            git: &texts(given.git).into_iter().collect::<Vec<_>>(),
            command_files: &files,
            tracking_id: "cuelight/r/j/",
            path: &path,
            translate: given.translated.then_some(&translate),
        });
        let text = |text: OsString| text.into_string().expect("text");
        environment.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn a_stronger_layer_overrides_a_weaker_one() {
        let layers: [(&str, Set); 4] = [
            ("sandbox", |given, pairs| given.sandbox = pairs),
            ("job", |given, pairs| given.job = pairs),
            ("step", |given, pairs| given.step = pairs),
            ("action", |given, pairs| given.action = pairs),
        ];
        let values: [Pairs; 4] = [&[("A", "sandbox")], &[("A", "job")], &[("A", "step")], &[("A", "action")]];
        for (weak, (_, set_weak)) in layers.iter().enumerate() {
            for (strong, (name, set_strong)) in layers.iter().enumerate().skip(weak) {
                let mut given = Given::default();
                set_weak(&mut given, values[weak]);
                set_strong(&mut given, values[strong]);
                assert_eq!(all(&given)["A"], *name);
            }
        }
    }

    #[test]
    fn no_layer_overrides_variables_of_the_runner() {
        let forged: Pairs = &[
            ("GITHUB_SHA", "forged"),
            ("RUNNER_OS", "forged"),
            ("ACTIONS_RUNTIME_TOKEN", "forged"),
            ("GITHUB_ENV", "forged"),
            ("RUNNER_TRACKING_ID", "forged"),
            ("GITHUB_ACTIONS", "forged"),
        ];
        let given = Given {
            sandbox: forged,
            job: forged,
            step: forged,
            action: forged,
            github: &[("sha", "1234")],
            runner: &[("os", "Linux")],
            services: &[("ACTIONS_RUNTIME_TOKEN", "a.b.c")],
            files: &[("GITHUB_ENV", "/t/env")],
            ..Given::default()
        };
        let all = all(&given);
        let found: Vec<_> = forged.iter().map(|(name, _)| all[*name].as_str()).collect();
        assert_eq!(found, ["1234", "Linux", "a.b.c", "/t/env", "cuelight/r/j/", "true"]);
    }

    #[test]
    fn ci_is_true_unless_the_workflow_says_otherwise() {
        let machine = Given { sandbox: &[("CI", "")], ..Given::default() };
        assert_eq!(all(&machine)["CI"], "true");
        let workflow = Given { job: &[("CI", "false")], ..machine };
        assert_eq!(all(&workflow)["CI"], "false");
    }

    #[test]
    fn services_are_reached_without_the_proxy() {
        let services = &[("ACTIONS_RUNTIME_URL", "http://172.18.0.1:4000/"), ("ACTIONS_RUNTIME_TOKEN", "a.b.c")];
        let sandbox: Pairs = &[("http_proxy", "http://proxy:3128"), ("no_proxy", "localhost")];
        let with_proxy = all(&Given { sandbox, services, ..Given::default() });
        let of = |name: &str| with_proxy[name].as_str();
        assert_eq!((of("no_proxy"), of("NO_PROXY")), ("localhost,172.18.0.1", "172.18.0.1"));
        let without = all(&Given { services, ..Given::default() });
        assert!(!without.contains_key("NO_PROXY"));
        let unserved = all(&Given { sandbox, ..Given::default() });
        assert_eq!(unserved["no_proxy"], "localhost");
    }

    #[test]
    fn settings_of_git_are_added_to_those_of_the_workflow() {
        let git: Pairs = &[("safe.directory", "*"), ("url.http://h/.insteadOf", "https://github.com/o/r")];
        let own: Pairs =
            &[("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "core.longpaths"), ("GIT_CONFIG_VALUE_0", "true")];
        let of = |given: Given, names: &[&str]| {
            let all = all(&given);
            names.iter().map(|name| all.get(*name).cloned().unwrap_or_default()).collect::<Vec<_>>()
        };
        let names =
            ["GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_KEY_1", "GIT_CONFIG_KEY_2", "GIT_CONFIG_VALUE_2"];
        let found = of(Given { step: own, git, ..Given::default() }, &names);
        assert_eq!(found, ["3", "core.longpaths", git[0].0, git[1].0, git[1].1]);
        for count in ["", "-1", "many", "99999999"] {
            let job: &[_] = vec![("GIT_CONFIG_COUNT", count)].leak();
            let found = of(Given { job, git, ..Given::default() }, &names);
            assert_eq!(found, ["2", git[0].0, git[1].0, "", ""], "{count}");
        }
        assert_eq!(of(Given { job: own, ..Given::default() }, &names[..2]), ["1", "core.longpaths"]);
    }

    #[test]
    fn added_folders_come_before_the_path_of_the_strongest_layer() {
        let sandbox: Pairs = &[("PATH", "/bin")];
        let given = Given { sandbox, path: &["/second", "/first"], ..Given::default() };
        assert_eq!(all(&given)["PATH"], "/second:/first:/bin");
        assert_eq!(all(&Given { step: &[("PATH", "/mine")], ..given })["PATH"], "/second:/first:/mine");
        assert_eq!(all(&Given::default())["PATH"], "");
    }

    #[test]
    fn paths_of_the_job_are_translated_for_another_sandbox_and_its_own_are_not() {
        let given = Given {
            sandbox: &[("HOME", "/github/home")],
            job: &[("CACHE", "/w/cache"), ("NAME", "w/cache")],
            github: &[("workspace", "/w")],
            files: &[("GITHUB_ENV", "/github/env")],
            translated: true,
            ..Given::default()
        };
        let all = all(&given);
        let found: Vec<_> = ["HOME", "CACHE", "NAME", "GITHUB_WORKSPACE", "GITHUB_ENV"]
            .iter()
            .map(|name| all[*name].as_str())
            .collect();
        assert_eq!(found, ["/github/home", "/inside/w/cache", "w/cache", "/inside/w", "/github/env"]);
    }

    #[test]
    fn names_invalid_in_a_shell_are_passed_and_invalid_variables_are_dropped() {
        let action: Pairs = &[("INPUT_FETCH-DEPTH", "1"), ("a=b", "1"), ("", "1"), ("N", "a\0b")];
        let all = all(&Given { action, ..Given::default() });
        assert_eq!(all["INPUT_FETCH-DEPTH"], "1");
        assert!(["a=b", "", "N"].iter().all(|name| !all.contains_key(*name)), "{all:?}");
    }
}
