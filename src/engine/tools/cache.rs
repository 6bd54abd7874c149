//! The tool cache of a job: `RUNNER_TOOL_CACHE`, in the layout of `@actions/tool-cache`.
//!
//! A tool is a folder `NAME/VERSION/ARCH`. It is complete once the file `ARCH.complete` exists beside it. The cache of
//! a job starts with links to the shared tools of all runs. Tools that an action downloads become shared when the job
//! ends, unlike tools that this machine offers, which are marked by `ARCH.offered`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::venv::{VenvError, copy, rename_in_scripts};
use super::{Installation, Tool, Version, venv};
use crate::engine::blocking::in_place;
use crate::files::{Folder, create_own, unless_missing};

/// Name of the folder in the shared cache with the Python environments that are copied for jobs.
const ENVIRONMENTS: &str = ".environments";

/// Programs of npm, each with its script relative to `lib/node_modules`.
const NPM: &[(&str, &str)] = &[("npm", "npm/bin/npm-cli.js"), ("npx", "npm/bin/npx-cli.js")];

/// Returns the name of this machine's processor in the tool cache.
pub(super) fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86" => "ia32",
        "arm" => "arm",
        _ => "x64",
    }
}

/// Location of a tool in a cache.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// Folder of the tool, relative to the cache.
    folder: PathBuf,
}

impl Entry {
    fn beside(&self, cache: &Path, ending: &str) -> PathBuf {
        let mut name = self.folder.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        cache.join(&self.folder).with_file_name(name)
    }

    /// Whether the tool is complete.
    fn is_complete(&self, cache: &Path) -> bool {
        self.beside(cache, ".complete").is_file() && cache.join(&self.folder).is_dir()
    }

    /// Creates the parent folder of the tool.
    fn make_above(&self, cache: &Path) -> io::Result<()> {
        cache.join(&self.folder).parent().map_or(Ok(()), fs::create_dir_all)
    }

    fn mark(&self, cache: &Path, ending: &str) -> io::Result<()> {
        create_own(&self.beside(cache, ending)).map(drop)
    }
}

/// Returns the complete tools of a cache.
fn entries(cache: &Path) -> Vec<Entry> {
    let marks = walkdir::WalkDir::new(cache).min_depth(3).max_depth(3).into_iter();
    let visible =
        marks.filter_entry(|entry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b"."));
    let complete = visible.flatten().filter_map(|entry| {
        let path = entry.path().strip_prefix(cache).ok()?;
        let is_mark = path.extension() == Some(OsStr::new("complete"));
        Some(Entry { folder: path.with_extension("") }).filter(|entry| is_mark && entry.is_complete(cache))
    });
    complete.collect()
}

/// Returns the complete versions of a tool in a cache for this machine's processor, newest first, each with its folder
/// relative to the cache.
pub(super) fn versions(cache: &Path, name: &str) -> Vec<(Version, PathBuf)> {
    let parse = |entry: Entry| {
        let version = entry.folder.strip_prefix(name).ok()?.parent()?.to_str()?.parse().ok()?;
        (entry.folder.file_name()? == arch()).then_some((version, entry.folder))
    };
    let mut found: Vec<_> = entries(cache).into_iter().filter_map(parse).collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found
}

/// Adds links to the shared tools to the cache of a job, except for tools that it already has.
///
/// # Errors
/// The folder cannot be written.
pub(in crate::engine) fn begin(cache: &Path, shared: &Path) -> io::Result<()> {
    for entry in entries(shared).into_iter().filter(|entry| !entry.is_complete(cache)) {
        entry.make_above(cache)?;
        symlink(shared.join(&entry.folder), cache.join(&entry.folder))?;
        entry.mark(cache, ".complete")?;
    }
    Ok(())
}

/// Shares the tools that the actions of a job have installed: moves them to the shared cache, and leaves links to them
/// in the cache of the job. A tool that cannot be moved stays in the cache of the job.
pub(in crate::engine) fn end(cache: &Path, shared: &Path) {
    for entry in entries(cache) {
        let own = cache.join(&entry.folder);
        let is_new =
            own.symlink_metadata().is_ok_and(|data| data.is_dir()) && !entry.beside(cache, ".offered").exists();
        if is_new && let Err(error) = keep(&entry, cache, shared) {
            tracing::debug!(tool = %own.display(), %error, "a tool is not kept for later runs");
        }
    }
}

fn keep(entry: &Entry, cache: &Path, shared: &Path) -> io::Result<()> {
    let (own, kept) = (cache.join(&entry.folder), shared.join(&entry.folder));
    entry.make_above(shared)?;
    fs::rename(&own, &kept)?;
    symlink(&kept, &own)?;
    rename_in_scripts(&kept, &own, &kept)?;
    entry.mark(shared, ".complete")
}

/// Why a tool cannot be offered.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum OfferError {
    /// The Python environment cannot be created.
    #[error(transparent)]
    Environment(#[from] VenvError),
    /// A file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Adds an installation of this machine to the cache of a job as the tool `name`, unless the cache already has this
/// version.
///
/// # Errors
/// The Python environment cannot be created, or a file cannot be written.
pub(super) async fn offer(
    installation: &Installation,
    name: &str,
    cache: &Path,
    shared: &Path,
) -> Result<(), OfferError> {
    let entry = Entry { folder: Path::new(name).join(installation.version.to_string()).join(arch()) };
    let at = cache.join(&entry.folder);
    let is_there = in_place(|| {
        if entry.is_complete(cache) {
            return Ok(true);
        }
        entry.make_above(cache)?;
        unless_missing(fs::remove_dir_all(&at)).map(|()| false)
    })?;
    if is_there {
        return Ok(());
    }
    match installation.tool {
        Tool::Python => venv::make(installation, &shared.join(ENVIRONMENTS), &at).await?,
        Tool::Node => in_place(|| node(installation, &at))?,
        // Go and Java never write to their own folder.
        Tool::Go | Tool::Java => symlink(&installation.home, &at)?,
    }
    entry.mark(cache, ".offered")?;
    Ok(entry.mark(cache, ".complete")?)
}

/// Creates a folder with a link to Node.js and a copy of its npm, which installs packages into that folder.
fn node(node: &Installation, at: &Path) -> io::Result<()> {
    let (bin, modules) = (at.join("bin"), at.join("lib/node_modules"));
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(&modules)?;
    symlink(&node.program, bin.join("node"))?;
    let npm = node.home.join("lib/node_modules/npm");
    if npm.is_dir() {
        copy(&npm, &modules.join("npm"))?;
        // Without a prefix, npm uses the folder of the program, which is behind a link. In the npm of a system, this
        // file may be a link to the settings of all users, which must not change.
        Folder::open(&modules.join("npm"))?
            .write(Path::new("npmrc"), format!("prefix={}\n", at.display()).as_bytes())?;
        for (program, script) in NPM {
            symlink(Path::new("../lib/node_modules").join(script), bin.join(program))?;
        }
    }
    let beside = node.program.parent().unwrap_or(&node.home);
    for program in ["npm", "npx", "corepack"].map(|program| (beside.join(program), bin.join(program))) {
        if program.0.exists() && program.1.symlink_metadata().is_err() {
            symlink(program.0, program.1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a tool to a cache: a script that names its own folder.
    fn add(cache: &Path, name: &str) -> PathBuf {
        let folder = cache.join(name);
        fs::create_dir_all(folder.join("bin")).expect("made");
        fs::write(folder.join("bin/tool"), format!("#!{}/bin/x\n", folder.display())).expect("written");
        let entry = Entry { folder: PathBuf::from(name) };
        entry.mark(cache, ".complete").expect("marked");
        folder
    }

    #[test]
    fn a_job_starts_with_the_tools_of_all_runs_and_leaves_them_what_it_downloaded() {
        let home = tempfile::tempdir().expect("a folder");
        let (shared, job) = (home.path().join("shared"), home.path().join("job"));
        add(&shared, "node/20.1.0/x64");
        fs::create_dir_all(shared.join("node/18.0.0/x64")).expect("made, and not complete");
        begin(&job, &shared).expect("linked");
        begin(&job, &shared).expect("linked again");
        assert_eq!(entries(&job), [Entry { folder: "node/20.1.0/x64".into() }]);
        let downloaded = add(&job, "Python/3.12.1/x64");
        add(&job, "Python/3.11.7/x64");
        Entry { folder: "Python/3.11.7/x64".into() }.mark(&job, ".offered").expect("marked");
        // An action made a link to programs of the user.
        let (users, linked) = (home.path().join("bin"), add(&job, "node/22.1.0/x64"));
        fs::rename(linked.join("bin"), &users).expect("moved");
        symlink(&users, linked.join("bin")).expect("linked");
        end(&job, &shared);
        let own = fs::read_to_string(users.join("tool")).expect("there");
        assert_eq!(own, format!("#!{}/bin/x\n", linked.display()), "it stays as it is");
        let kept = shared.join("Python/3.12.1/x64");
        let script = fs::read_to_string(kept.join("bin/tool")).expect("moved");
        assert_eq!(script, format!("#!{}/bin/x\n", kept.display()));
        assert_eq!(fs::read_link(&downloaded).expect("a link"), kept);
        assert_eq!(entries(&shared).len(), 3);
    }

    #[tokio::test]
    async fn packages_of_npm_are_installed_beside_an_offered_node() {
        let home = tempfile::tempdir().expect("a folder");
        let users = home.path().join("users");
        for file in ["bin/node", "lib/node_modules/npm/bin/npm-cli.js", "bin/corepack"] {
            fs::create_dir_all(users.join(file).parent().expect("a folder")).expect("made");
            fs::write(users.join(file), "x").expect("written");
        }
        fs::write(home.path().join("npmrc"), "of all users").expect("written");
        symlink(home.path().join("npmrc"), users.join("lib/node_modules/npm/npmrc")).expect("linked");
        let installation = Installation {
            tool: Tool::Node,
            version: "20.1.0".parse().expect("a version"),
            home: users.clone(),
            program: users.join("bin/node"),
            source: "nvm",
        };
        let (job, shared) = (home.path().join("job"), home.path().join("shared"));
        for _ in 0..2 {
            offer(&installation, "node", &job, &shared).await.expect("offered");
        }
        let at = job.join("node/20.1.0").join(arch());
        assert_eq!(fs::read_link(at.join("bin/node")).expect("a link"), users.join("bin/node"));
        assert_eq!(fs::read_link(at.join("bin/corepack")).expect("a link"), users.join("bin/corepack"));
        let npm = at.join("bin/npm").canonicalize().expect("there");
        assert!(npm.starts_with(job.canonicalize().expect("there")));
        let prefix = fs::read_to_string(at.join("lib/node_modules/npm/npmrc")).expect("written");
        assert_eq!(prefix, format!("prefix={}\n", at.display()));
        assert_eq!(fs::read_to_string(home.path().join("npmrc")).expect("there"), "of all users");
        assert!(users.join("lib/node_modules/npm/npmrc").is_symlink());
        end(&job, &shared);
        assert!(!shared.exists(), "what is offered stays in the job");
    }
}
