//! The tool cache of a job in a container.
//!
//! A program of this machine does not start in every container, so a setup action is offered first what the image has.
//! Tools that earlier runs downloaded, and Node.js, Go and Java of this machine, are mounted without write access, and
//! offered only if they start in the container. A Python of this machine is not offered: it needs libraries of its
//! system.
//!
//! Everything in the cache is created by scripts in the container. If this machine wrote there, a link that a step left
//! in the cache could redirect it to other files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::find::installations;
use super::{Installation, Tool, Version, cache};
use crate::engine::RunContext;
use crate::engine::program::drained;
use crate::engine::sandbox::shared::SharedFolder;
use crate::engine::sandbox::{Exit, Launch, Sandbox};

/// Folder of GitHub's runner for programs that the container only reads. The tools are mounted below it.
const EXTERNALS: &str = "/__e";

/// Script that prints one line for each installation of a tool in the image: its version, a space, and the program of
/// Python and Node.js or the folder of Go and Java.
const LIST: &str = r#"
case $1 in
Python)
  programs=python3 minor=6
  while [ $minor -lt 40 ]; do programs="$programs python3.$minor"; minor=$((minor + 1)); done
  for program in $programs; do
    command -v $program >/dev/null || continue
    $program -I -c 'import ensurepip, sys, venv; print(sys.version.split()[0], sys.executable)'
  done;;
Node.js) node -p 'process.version + " " + process.execPath';;
Go) root=$(go env GOROOT) && version=$(go env GOVERSION) && echo "${version#go} $root";;
Java)
  root=${JAVA_HOME:-$(javac=$(readlink -f "$(command -v javac)"); echo "${javac%/bin/javac}")}
  echo "$(sed -n 's/^JAVA_VERSION="\([0-9.]*\).*/\1/p' "$root/release") $root";;
esac 2>/dev/null"#;

/// Script that adds an installation to the cache, and fails if its program does not start. Its arguments are the tool,
/// the installation as in [`LIST`], the folder in the cache, and the folder that the scripts of a downloaded Python
/// name; without that, Python is an installation for which a virtual environment is created.
const ADD: &str = r#"
set -e
tool=$1 from=$2 at=$3 named=$4
trap 'test -e "$at.complete" || rm -rf "$at"' EXIT
rm -rf "$at"
mkdir -p "${at%/*}"
case $tool in
Python)
  if [ -z "$named" ]; then
    "$from" -I -m venv "$at"
  else
    cp -RP "$from" "$at"
    for file in "$at"/bin/*; do
      if [ -f "$file" ] && [ ! -L "$file" ] && [ "$(head -c 2 "$file" | tr -d '\0')" = '#!' ]; then
        sed -i "1s|$named|$at|" "$file"
      fi
    done
  fi
  LD_LIBRARY_PATH=$at/lib "$at/bin/python3" -c 'import ssl';;
Node.js)
  npm=${from%/bin/node}/lib/node_modules/npm
  mkdir -p "$at/bin" "$at/lib/node_modules"
  ln -s "$from" "$at/bin/node"
  if [ -d "$npm" ]; then
    cp -R "$npm" "$at/lib/node_modules/npm"
    rm -f "$at/lib/node_modules/npm/npmrc"
    echo "prefix=$at" > "$at/lib/node_modules/npm/npmrc"
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$at/bin/npm"
    ln -s ../lib/node_modules/npm/bin/npx-cli.js "$at/bin/npx"
  fi
  "$at/bin/node" --version >/dev/null;;
Go)
  ln -s "$from" "$at"
  env -u GOROOT "$at/bin/go" list fmt >/dev/null;;
Java)
  ln -s "$from" "$at"
  "$at/bin/javac" -version >/dev/null 2>&1;;
esac
: > "$at.complete""#;

/// An installation that can be added to the cache of a job in a container.
struct Candidate {
    version: Version,
    /// Installation in the container, as the script [`ADD`] takes it.
    from: PathBuf,
    /// Folder that the scripts of a downloaded Python name.
    named: Option<PathBuf>,
    origin: Origin,
}

/// Where an installation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The image of the container.
    Image,
    /// An earlier run, which downloaded it.
    EarlierRun,
    /// This machine.
    Machine,
}

impl Origin {
    /// Returns the words for messages.
    fn words(self) -> &'static str {
        match self {
            Self::Image => "the image",
            Self::EarlierRun => "an earlier run",
            Self::Machine => "this machine",
        }
    }
}

/// The container of a job, and its tool cache.
pub(super) struct Container<'c> {
    pub(super) sandbox: &'c dyn Sandbox,
    /// Path of the tool cache in the container.
    pub(super) cache: PathBuf,
}

/// Why an installation is not in the cache of a job in a container.
#[derive(Debug, thiserror::Error)]
enum AddError {
    /// Its program does not start in the container. Holds the last line that the script printed.
    #[error("{0}")]
    Failed(String),
    /// The script cannot be run.
    #[error(transparent)]
    Script(#[from] std::io::Error),
}

/// What was added to the cache of a job in a container.
pub(super) struct Offered {
    /// Lines for the log.
    pub(super) lines: Vec<String>,
    /// Versions that the image has, if none was added.
    pub(super) missed: Option<Vec<Version>>,
}

/// Returns the folders of this machine that a container needs for tools: those that earlier runs downloaded, and the
/// installations of `tools`.
pub(in crate::engine) async fn folders(run: &RunContext, tools: &[Tool]) -> Vec<SharedFolder> {
    if tools.is_empty() {
        return Vec::new();
    }
    let mut folders = vec![SharedFolder::readable(&run.tool_cache, downloaded())];
    for tool in tools.iter().filter(|tool| **tool != Tool::Python) {
        for found in installations(run, *tool).await {
            let at = place(&found);
            if *tool == Tool::Node {
                let npm = found.home.join("lib/node_modules/npm");
                folders.extend(npm.is_dir().then(|| SharedFolder::readable(npm, at.join("lib/node_modules/npm"))));
                folders.push(SharedFolder::readable(found.program, at.join("bin/node")));
            } else {
                folders.push(SharedFolder::readable(found.home, at));
            }
        }
    }
    folders
}

/// Returns the path in containers of the tools that earlier runs downloaded.
fn downloaded() -> PathBuf {
    Path::new(EXTERNALS).join("tools")
}

/// Returns the path in containers of an installation of this machine.
fn place(installation: &Installation) -> PathBuf {
    let name = installation.tool.program();
    Path::new(EXTERNALS).join(name).join(installation.version.to_string())
}

/// Returns the installation in a folder as the script [`ADD`] takes it.
fn installed(tool: Tool, folder: PathBuf) -> PathBuf {
    if tool == Tool::Node { folder.join("bin/node") } else { folder }
}

impl Container<'_> {
    /// Adds to the cache, as the tool `name`, the newest version for which `fits` returns true: of the image, downloaded
    /// by an earlier run, or of this machine. With `all`, adds every version of the image for which it returns true.
    pub(super) async fn offer(
        &self,
        run: &RunContext,
        tool: Tool,
        name: &str,
        all: bool,
        fits: impl Fn(Version) -> bool,
    ) -> Offered {
        let of_image = self.of_image(tool).await;
        let in_image: Vec<_> = of_image.iter().map(|one| one.version).collect();
        let mut candidates = of_image;
        // An engine on another machine has no mounts.
        if self.sandbox.inside(&run.tool_cache) == downloaded() {
            candidates.extend(of_earlier_runs(run, tool, name));
            if tool != Tool::Python {
                let found = installations(run, tool).await;
                candidates.extend(found.iter().map(|one| Candidate {
                    version: one.version,
                    from: installed(tool, place(one)),
                    named: None,
                    origin: Origin::Machine,
                }));
            }
        }
        let (mut lines, mut added) = (Vec::new(), false);
        for candidate in candidates.into_iter().filter(|candidate| fits(candidate.version)) {
            if added && !(all && candidate.origin == Origin::Image) {
                continue;
            }
            let Candidate { version, from, origin, .. } = &candidate;
            let (title, from, origin) = (tool.name(), from.display(), origin.words());
            match self.add(tool, name, &candidate).await {
                Ok(()) => {
                    added = true;
                    lines.push(format!("{title} {version} of {origin} is in the tool cache ({from})"));
                }
                Err(reason) => {
                    lines.push(format!("{title} {version} of {origin} cannot be offered in this container: {reason}"));
                }
            }
        }
        Offered { lines, missed: (!added).then_some(in_image) }
    }

    /// Returns the installations that the image has, newest first.
    async fn of_image(&self, tool: Tool) -> Vec<Candidate> {
        let printed = self.script(LIST, &[tool.name().into()]).await.map(|(_, printed)| printed).unwrap_or_default();
        let listed = printed.lines().filter_map(|line| {
            let (version, from) = line.split_once(' ')?;
            Some(Candidate { version: version.parse().ok()?, from: from.into(), named: None, origin: Origin::Image })
        });
        let mut found: Vec<_> = listed.filter(|one| one.from.is_absolute()).collect();
        found.sort_by_key(|one| std::cmp::Reverse(one.version));
        found.dedup_by_key(|one| one.version);
        found
    }

    /// Adds an installation to the cache, if its program starts in the container.
    async fn add(&self, tool: Tool, name: &str, candidate: &Candidate) -> Result<(), AddError> {
        let at = self.cache.join(name).join(candidate.version.to_string()).join(cache::arch());
        let named = candidate.named.clone().unwrap_or_default();
        let arguments = [tool.name().into(), candidate.from.clone().into(), at.into(), named.into()];
        match self.script(ADD, &arguments).await? {
            (Exit::Code(0), _) => Ok(()),
            (_, printed) => Err(AddError::Failed(printed.lines().last().unwrap_or("it does not start").to_owned())),
        }
    }

    /// Runs a shell script in the container. Returns how it ended, and the first 64 KiB that it printed.
    async fn script(&self, text: &str, arguments: &[OsString]) -> std::io::Result<(Exit, String)> {
        let words = ["-c".into(), text.into(), "sh".into()];
        let launch = Launch {
            program: "sh".into(),
            args: words.into_iter().chain(arguments.iter().cloned()).collect(),
            cwd: "/".into(),
            env: self.sandbox.environment().to_vec(),
            background: false,
        };
        let child = self.sandbox.start(&launch).await?;
        let (printed, exit) = tokio::join!(drained(Some(child.output)), child.exit);
        Ok((exit?, String::from_utf8_lossy(&printed?).into_owned()))
    }
}

/// Returns the tools that earlier runs downloaded, newest first.
fn of_earlier_runs(run: &RunContext, tool: Tool, name: &str) -> Vec<Candidate> {
    let candidate = |version: Version, folder: PathBuf| {
        let from = installed(tool, downloaded().join(&folder));
        let named = (tool == Tool::Python).then(|| run.tool_cache.join(folder));
        Candidate { version, from, named, origin: Origin::EarlierRun }
    };
    cache::versions(&run.tool_cache, name).into_iter().map(|(version, folder)| candidate(version, folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox::host::Host;
    use std::fs;

    /// The scripts run on this machine in place of a container: they need only a shell.
    async fn script(text: &str, path: &Path, arguments: &[&Path]) -> (Exit, String) {
        let system = std::env::var("PATH").expect("a path");
        let host = Host::new([("PATH".into(), format!("{}:{system}", path.display()).into())]);
        let container = Container { sandbox: &host, cache: PathBuf::new() };
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_os_str().to_owned()).collect();
        container.script(text, &arguments).await.expect("runs")
    }

    fn program(path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    #[tokio::test]
    async fn an_image_lists_its_own_tools() {
        let home = tempfile::tempdir().expect("a folder");
        let bin = home.path().join("bin");
        program(&bin.join("node"), "echo v99.1.0 /opt/node/bin/node");
        program(&bin.join("go"), "case $2 in GOROOT) echo /opt/go;; *) echo go1.99.2;; esac");
        program(&bin.join("python3"), "echo 3.99.1 /opt/python3");
        program(&bin.join("javac"), "");
        fs::write(home.path().join("release"), "X=1\nJAVA_VERSION=\"99.0.1_5\"\n").expect("written");
        for (tool, expected) in [
            ("Node.js", "v99.1.0 /opt/node/bin/node\n".to_owned()),
            ("Go", "1.99.2 /opt/go\n".to_owned()),
            ("Java", format!("99.0.1 {}\n", home.path().canonicalize().expect("there").display())),
        ] {
            assert_eq!(script(LIST, &bin, &[Path::new(tool)]).await.1, expected);
        }
        let (_, pythons) = script(LIST, &bin, &[Path::new("Python")]).await;
        assert!(pythons.starts_with("3.99.1 /opt/python3\n"), "{pythons}");
    }

    #[tokio::test]
    async fn what_does_not_start_is_not_in_the_cache() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, at) = (home.path().join("from"), home.path().join("cache/node/20.1.0/x64"));
        let complete = home.path().join("cache/node/20.1.0/x64.complete");
        program(&from.join("bin/node"), "echo no such library >&2; exit 127");
        let arguments = [Path::new("Node.js"), &from.join("bin/node"), &at, Path::new("")];
        let (exit, printed) = script(ADD, home.path(), &arguments).await;
        assert_eq!((exit, printed.as_str()), (Exit::Code(127), "no such library\n"));
        assert!(!at.exists() && !complete.exists());

        program(&from.join("bin/node"), "echo v20.1.0");
        fs::create_dir_all(from.join("lib/node_modules/npm")).expect("made");
        assert_eq!(script(ADD, home.path(), &arguments).await.0, Exit::Code(0));
        assert!(complete.is_file() && at.join("bin/npm").symlink_metadata().is_ok());
        let prefix = fs::read_to_string(at.join("lib/node_modules/npm/npmrc")).expect("written");
        assert_eq!(prefix, format!("prefix={}\n", at.display()));
    }

    #[tokio::test]
    async fn scripts_of_a_downloaded_python_name_their_new_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let (from, at) = (home.path().join("from"), home.path().join("cache/Python/3.99.1/x64"));
        program(&from.join("bin/python3"), "exit 0");
        program(&from.join("bin/pip"), "");
        fs::write(from.join("bin/pip"), "#!/kept/bin/python3\nprint('/kept')\n").expect("written");
        let arguments = [Path::new("Python"), &from, &at, Path::new("/kept")];
        assert_eq!(script(ADD, home.path(), &arguments).await.0, Exit::Code(0));
        let pip = fs::read_to_string(at.join("bin/pip")).expect("copied");
        assert_eq!(pip, format!("#!{}/bin/python3\nprint('/kept')\n", at.display()));
    }
}
