//! Finds installations of tools: on `PATH`, in the folders of version managers, and in folders that the user added.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio::process::Command;

use super::{Installation, Tool, Version, added};
use crate::engine::RunContext;
use crate::engine::program;
use crate::engine::program::VERSION_TIMEOUT;
use crate::files;

/// Maximum size in bytes of a file that contains a version.
const MAX_FILE: u64 = 64 * 1024;

/// A version manager, whose folder contains a folder for each installation.
struct Manager {
    tool: Tool,
    /// Name shown to users.
    name: &'static str,
    /// Variable with the folder of the manager; empty if the manager has no such variable.
    variable: &'static str,
    /// Default folder, relative to the home folder.
    default: &'static str,
    /// Folder of the installations, relative to the folder of the manager.
    below: &'static str,
    /// Path of an installation inside its folder.
    inner: &'static str,
}

const fn manager(
    tool: Tool,
    name: &'static str,
    variable: &'static str,
    default: &'static str,
    below: &'static str,
    inner: &'static str,
) -> Manager {
    Manager { tool, name, variable, default, below, inner }
}

/// The supported version managers.
const MANAGERS: &[Manager] = &[
    manager(Tool::Python, "pyenv", "PYENV_ROOT", ".pyenv", "versions", ""),
    manager(Tool::Python, "uv", "UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", "", ""),
    manager(Tool::Python, "mise", "MISE_DATA_DIR", ".local/share/mise", "installs/python", ""),
    manager(Tool::Python, "asdf", "ASDF_DATA_DIR", ".asdf", "installs/python", ""),
    manager(Tool::Node, "nvm", "NVM_DIR", ".nvm", "versions/node", ""),
    manager(Tool::Node, "fnm", "FNM_DIR", ".local/share/fnm", "node-versions", "installation"),
    manager(Tool::Node, "volta", "VOLTA_HOME", ".volta", "tools/image/node", ""),
    manager(Tool::Node, "nodenv", "NODENV_ROOT", ".nodenv", "versions", ""),
    manager(Tool::Node, "mise", "MISE_DATA_DIR", ".local/share/mise", "installs/node", ""),
    manager(Tool::Node, "asdf", "ASDF_DATA_DIR", ".asdf", "installs/nodejs", ""),
    manager(Tool::Go, "goenv", "GOENV_ROOT", ".goenv", "versions", ""),
    manager(Tool::Go, "mise", "MISE_DATA_DIR", ".local/share/mise", "installs/go", ""),
    manager(Tool::Go, "asdf", "ASDF_DATA_DIR", ".asdf", "installs/golang", "go"),
    manager(Tool::Go, "golang.org/dl", "", "sdk", "", ""),
    manager(Tool::Java, "sdkman", "SDKMAN_DIR", ".sdkman", "candidates/java", ""),
    manager(Tool::Java, "mise", "MISE_DATA_DIR", ".local/share/mise", "installs/java", ""),
    manager(Tool::Java, "asdf", "ASDF_DATA_DIR", ".asdf", "installs/java", ""),
];

/// Variables that point to an installation.
const VARIABLES: &[(Tool, &str)] = &[(Tool::Go, "GOROOT"), (Tool::Java, "JAVA_HOME")];

/// System folders that contain a folder for each installation.
const SYSTEM: &[(Tool, &str)] = &[(Tool::Java, "/usr/lib/jvm")];

/// System installations that may not be on `PATH`.
const SYSTEM_HOMES: &[(Tool, &str)] = &[(Tool::Go, "/usr/local/go")];

/// Minor versions of Python 3 to look for on `PATH`, in addition to `python3`.
const PYTHON_MINORS: std::ops::Range<u32> = 6..40;

/// Where installations are searched for.
#[derive(Debug)]
pub struct Search<'s> {
    /// Environment of the user.
    pub environment: &'s [(OsString, OsString)],
    /// Folders of installations that the user added.
    pub added: &'s [PathBuf],
}

impl Search<'_> {
    fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str()).filter(|value| !value.is_empty())
    }

    /// Returns the installations of a tool, newest first. Of each version, returns only the installation that was found
    /// first.
    pub async fn installations(&self, tool: Tool) -> Vec<Installation> {
        let found = self.programs(tool).into_iter().map(|(program, source)| inspect(tool, program, source));
        let mut found: Vec<_> = join_all(found).await.into_iter().flatten().collect();
        // The sort is stable: of equal versions, the first one found comes first.
        found.sort_by_key(|installation| std::cmp::Reverse(installation.version));
        found.dedup_by_key(|installation| installation.version);
        found
    }

    /// Returns the programs of a tool with links resolved, and where they were found, in the order of preference.
    fn programs(&self, tool: Tool) -> Vec<(PathBuf, &'static str)> {
        let mut programs: Vec<(PathBuf, &'static str)> = Vec::new();
        let mut add = |program: PathBuf, source| {
            let Some(program) = real(tool, &program) else { return };
            if !programs.iter().any(|(known, _)| *known == program) {
                programs.push((program, source));
            }
        };
        let of_home = |home: &Path| home.join("bin").join(tool.program());
        for home in self.added {
            add(of_home(home), "added");
        }
        for (_, name) in VARIABLES.iter().filter(|(of, _)| *of == tool) {
            self.variable(name).into_iter().for_each(|home| add(of_home(Path::new(home)), name));
        }
        self.on_path(tool).into_iter().for_each(|program| add(program, "PATH"));
        for manager in MANAGERS.iter().filter(|manager| manager.tool == tool) {
            let own = self.variable(manager.variable).map(PathBuf::from);
            let home = own.or_else(|| Some(Path::new(self.variable("HOME")?).join(manager.default)));
            for folder in home.iter().flat_map(|home| folders(&home.join(manager.below))) {
                add(of_home(&folder.join(manager.inner)), manager.name);
            }
        }
        for home in SYSTEM.iter().filter(|(of, _)| *of == tool).flat_map(|(_, above)| folders(Path::new(above))) {
            add(of_home(&home), "system");
        }
        for (_, home) in SYSTEM_HOMES.iter().filter(|(of, _)| *of == tool) {
            add(of_home(Path::new(home)), "system");
        }
        programs
    }

    /// Returns possible programs of the tool on the search path. Wrapper scripts of version managers are skipped,
    /// because the versions are found in the folders of the managers.
    fn on_path(&self, tool: Tool) -> Vec<PathBuf> {
        let minors = PYTHON_MINORS.filter(|_| tool == Tool::Python).map(|minor| format!("python3.{minor}"));
        let names: Vec<_> = [tool.program().to_owned()].into_iter().chain(minors).collect();
        let folders = std::env::split_paths(self.variable("PATH").unwrap_or_default());
        let own = folders.filter(|folder| folder.is_absolute() && !folder.ends_with("shims"));
        own.flat_map(|folder| names.iter().map(|name| folder.join(name)).collect::<Vec<_>>()).collect()
    }
}

/// Returns the installations of a tool on this machine, newest first.
pub(in crate::engine) async fn installations(run: &RunContext, tool: Tool) -> Vec<Installation> {
    let added = added::list(&run.state);
    Search { environment: run.host.environment(), added: &added }.installations(tool).await
}

/// Returns a program of the tool with links resolved, if it exists. A link to a program with another name leads to a
/// version manager, so it is ignored.
fn real(tool: Tool, program: &Path) -> Option<PathBuf> {
    let program = program.canonicalize().ok().filter(|program| program.is_file())?;
    let name = program.file_name()?.to_str()?;
    name.starts_with(tool.program()).then_some(program)
}

/// Returns the folders in a folder, sorted by name. Empty if the folder cannot be read.
fn folders(above: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(above).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort_unstable();
    folders
}

/// Returns the installations in a folder given by the user.
pub async fn in_folder(home: &Path) -> Vec<Installation> {
    let programs = Tool::ALL.into_iter().filter_map(|tool| {
        let program = real(tool, &home.join("bin").join(tool.program()))?;
        Some(inspect(tool, program, "added"))
    });
    join_all(programs).await.into_iter().flatten().collect()
}

/// Returns the installation that a program belongs to. `None` if its version cannot be determined or is not a release,
/// if a Python installation cannot create virtual environments, or if a Java installation has no compiler.
async fn inspect(tool: Tool, program: PathBuf, source: &'static str) -> Option<Installation> {
    let home = program.parent()?.parent()?.to_owned();
    let version = match tool {
        Tool::Go => go_version(&home)?,
        Tool::Java => java_version(&home)?,
        Tool::Node => printed_version(&program, &["--version"]).await?,
        Tool::Python => {
            let script = "import ensurepip, sys, venv; print(sys.version.split()[0])";
            printed_version(&program, &["-I", "-c", script]).await?
        }
    };
    Some(Installation { tool, version, home, program, source })
}

/// Returns the version that a program prints. `None` if the program fails or prints something else.
async fn printed_version(program: &Path, arguments: &[&str]) -> Option<Version> {
    let done = program::call(Command::new(program).args(arguments), VERSION_TIMEOUT).await.ok()?;
    String::from_utf8_lossy(&done.output).trim().parse().ok().filter(|_| done.status.success())
}

/// Returns the version of a Go installation, from the file `VERSION`: `go1.26.8`.
fn go_version(home: &Path) -> Option<Version> {
    let text = files::read(&home.join("VERSION"), MAX_FILE).ok()?;
    let text = String::from_utf8_lossy(&text).lines().next()?.strip_prefix("go")?.to_owned();
    text.split_whitespace().next()?.parse().ok()
}

/// Returns the version of a JDK, from the file `release`: `JAVA_VERSION="17.0.15"`.
fn java_version(home: &Path) -> Option<Version> {
    let text = files::read(&home.join("release"), MAX_FILE).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
    let version = version.trim_matches('"').split(['_', '-', '+']).next()?;
    version.parse().ok().filter(|_| home.join("bin/javac").exists())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn program(path: &Path, prints: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, format!("#!/bin/sh\necho {prints}\n")).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    fn listed(found: &[Installation]) -> Vec<(String, &'static str)> {
        found.iter().map(|one| (one.version.to_string(), one.source)).collect()
    }

    #[tokio::test]
    async fn installations_are_found_on_the_path_and_in_the_folders_of_version_managers() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |path: &str| home.path().join(path);
        program(&at("usr/bin/node"), "v18.1.0");
        program(&at(".nvm/versions/node/v20.2.0/bin/node"), "v20.2.0");
        program(&at(".nvm/versions/node/v18.1.0/bin/node"), "v18.1.0");
        program(&at(".nvm/versions/node/broken/bin/node"), "nothing");
        program(&at("mise/installs/node/22.0.0/bin/node"), "v22.0.0");
        program(&at("shims/node"), "v1.0.0");
        program(&at("volta/bin/volta-shim"), "v2.0.0");
        symlink("volta-shim", at("volta/bin/node")).expect("linked");
        program(&at("mine/bin/node"), "v21.0.0");
        let path = ["usr/bin", "shims", "volta/bin", "missing"].map(&at);
        let environment = [
            ("HOME".into(), home.path().into()),
            ("PATH".into(), std::env::join_paths(path).expect("a path")),
            ("MISE_DATA_DIR".into(), at("mise").into()),
            ("NVM_DIR".into(), OsString::new()),
        ];
        let added = [at("mine"), at("none")];
        let search = Search { environment: &environment, added: &added };
        let found = search.installations(Tool::Node).await;
        let expected = [("22.0.0", "mise"), ("21.0.0", "added"), ("20.2.0", "nvm"), ("18.1.0", "PATH")];
        assert_eq!(listed(&found), expected.map(|(version, source)| (version.to_owned(), source)));
        assert_eq!(found[3].home, at("usr").canonicalize().expect("there"));
        assert_eq!(listed(&in_folder(&at("mine")).await), [("21.0.0".to_owned(), "added")]);
        assert_eq!(in_folder(&at("none")).await, []);
    }

    #[tokio::test]
    async fn go_and_java_are_known_by_their_files() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |path: &str| home.path().join(path);
        for (program_at, file, text) in [
            ("sdk/go1.25/bin/go", "sdk/go1.25/VERSION", "go1.25.3\ntime 2026-01-01\n"),
            ("sdk/gotip/bin/go", "sdk/gotip/VERSION", "devel go1.27\n"),
            ("jdk/bin/java", "jdk/release", "IMPLEMENTOR=\"X\"\nJAVA_VERSION=\"21\"\n"),
            ("jre/bin/java", "jre/release", "JAVA_VERSION=\"21.0.1\"\n"),
        ] {
            program(&at(program_at), "not asked");
            fs::write(at(file), text).expect("written");
        }
        program(&at("jdk/bin/javac"), "");
        let environment = [("HOME".into(), home.path().into()), ("JAVA_HOME".into(), at("jdk").into())];
        let search = Search { environment: &environment, added: &[at("jre")] };
        let go: Vec<_> = listed(&search.installations(Tool::Go).await);
        assert!(go.contains(&("1.25.3".to_owned(), "golang.org/dl")) && !go.iter().any(|(_, from)| *from == "added"));
        let java = listed(&search.installations(Tool::Java).await);
        assert!(java.contains(&("21.0.0".to_owned(), "JAVA_HOME")), "{java:?}");
    }
}
