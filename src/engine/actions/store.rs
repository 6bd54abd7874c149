//! Actions of other repositories: resolves a reference to a folder on this machine.
//!
//! A version is resolved to a commit once per run. Fetched files are cached by commit, next to a `.completed` marker
//! that is written last, so that an incomplete copy is never used. `[actions]` in the configuration maps a reference to
//! a folder or to another server; with `--offline`, only the cache is used.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::process::Command;
use tokio::sync::{Mutex, OnceCell};

use super::error::{FetchError, GitCallError};
use super::partial::Partial;
use super::reference::Remote;
use crate::engine::program;
use crate::engine::program::CallError;
use crate::files;
use crate::repo::address::without_credentials;
use crate::repo::git;
use crate::repo::git::Access;
use crate::store::{atomic, digest, space_hint_in};

/// Maximum size in bytes of the file that stores the commit of a version.
const MAX_NOTE: u64 = 1024;

/// URL schemes that `[actions]` may use. For any other scheme, git would start a helper program.
const SCHEMES: &[&str] = &["https://", "http://", "ssh://", "file://"];

/// Default server for actions.
const SERVER: &str = "https://github.com";

/// Time limit for resolving a version on a server.
const ASK: Duration = Duration::from_secs(30);
const FETCH: Duration = Duration::from_mins(5);

/// Result of resolving a version, shared by all jobs that use it.
type Resolved = Arc<OnceCell<Result<Fetched, FetchError>>>;

/// Resolver and cache for actions of other repositories.
#[derive(Debug)]
pub struct Store {
    cache: PathBuf,
    /// Folders and servers by `owner/name[/path][@ref]`.
    mapped: IndexMap<String, String>,
    /// Folder to which the paths in `mapped` are relative.
    base: PathBuf,
    offline: bool,
    known: Mutex<HashMap<(String, String), Resolved>>,
}

/// Files of an action's repository at a commit, or in a mapped folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Root of the repository's files, or the mapped folder.
    pub(crate) root: PathBuf,
    /// Folder of the action.
    pub(crate) folder: PathBuf,
    /// The commit; `None` for a mapped folder.
    pub(crate) commit: Option<String>,
    /// Origin for messages: the commit, or the mapped folder.
    pub(crate) origin: String,
    /// Remark for the log that the server does not respond and the last known commit is used; `None` otherwise.
    pub(crate) remark: Option<String>,
}

impl Store {
    /// Creates a store with a cache folder. `mapped` is `[actions]` of the configuration, and `base` the folder to
    /// which its paths are relative.
    #[must_use]
    pub fn new(cache: PathBuf, mapped: IndexMap<String, String>, base: PathBuf, offline: bool) -> Self {
        Self { cache, mapped, base, offline, known: Mutex::default() }
    }

    /// Returns the cache folder.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Whether nothing is fetched.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Whether the configuration maps the action.
    pub(crate) fn is_mapped(&self, action: &Remote) -> bool {
        self.mapping(action).is_some()
    }

    /// Returns the most specific mapping for an action in the configuration. The flag is set if the mapping names the
    /// folder of the action itself, not of its repository.
    fn mapping(&self, action: &Remote) -> Option<(&str, bool)> {
        let Remote { repository, path, version } = action;
        let whole = if path.is_empty() { repository.clone() } else { format!("{repository}/{path}") };
        let names =
            [format!("{whole}@{version}"), whole.clone(), format!("{repository}@{version}"), repository.clone()];
        let found = names.iter().enumerate().find_map(|(place, name)| {
            let mut entries = self.mapped.iter();
            entries.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| (value.as_str(), place < 2))
        });
        found.map(|(value, own)| (value, own && !path.is_empty()))
    }

    /// Returns the folder of an action, fetching it if necessary.
    ///
    /// # Errors
    /// The action is not in the cache and cannot be fetched, or its mapping in the configuration is invalid.
    pub(crate) async fn folder(&self, action: &Remote) -> Result<Fetched, FetchError> {
        self.folder_at(action, None).await
    }

    /// Returns the folder of an action as [`Self::folder`] does, but with the files of `commit` if it is given: the
    /// commit that the version of the action stands for. A mapped folder has no commits.
    ///
    /// # Errors
    /// As for [`Self::folder`].
    pub(crate) async fn folder_at(&self, action: &Remote, commit: Option<&str>) -> Result<Fetched, FetchError> {
        let mapped = self.mapping(action);
        let server = match mapped {
            Some((value, _)) if value.contains("://") => {
                if !SCHEMES.iter().any(|scheme| value.starts_with(scheme)) {
                    return Err(FetchError::Scheme { action: action.to_string(), server: without_credentials(value) });
                }
                value.trim_end_matches('/')
            }
            Some((value, own)) => return self.mapped_folder(action, value, own),
            None => SERVER,
        };
        let version = commit.unwrap_or(&action.version).to_owned();
        let action = &Remote { version, ..action.clone() };
        let key = (format!("{server}/{}", action.repository), action.version.clone());
        let cell = Arc::clone(self.known.lock().await.entry(key).or_default());
        let fetched = cell.get_or_init(|| self.fetch(server, action)).await.clone()?;
        let folder = if action.path.is_empty() { fetched.root.clone() } else { fetched.root.join(&action.path) };
        Ok(Fetched { folder, ..fetched })
    }

    fn mapped_folder(&self, action: &Remote, value: &str, own: bool) -> Result<Fetched, FetchError> {
        let home = || std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let folder = value.strip_prefix("~/").map_or_else(|| self.base.join(value), |rest| home().join(rest));
        let root = folder.clone();
        let folder = if own || action.path.is_empty() { folder } else { folder.join(&action.path) };
        if !folder.is_dir() {
            return Err(FetchError::NotAFolder { action: action.to_string(), folder });
        }
        let origin = format!("mapped to {}", folder.display());
        Ok(Fetched { commit: None, origin, root, folder, remark: None })
    }

    /// Resolves a version to a commit, fetches the files of the commit unless the cache has them, and stores the commit
    /// for later runs that are offline or cannot reach the server.
    async fn fetch(&self, server: &str, action: &Remote) -> Result<Fetched, FetchError> {
        let shown = without_credentials(&format!("{server}/{}", action.repository));
        let home = self.cache.join(folder_of(&without_credentials(server))).join(&action.repository);
        let noted = home.join("refs").join(action.version.replace('/', "%2F"));
        let address = format!("{server}/{}", action.repository);
        let remembered = files::read_own_text(&noted, MAX_NOTE).ok().map(|text| text.trim().to_owned());
        let (commit, remark) = match (is_commit(&action.version), self.offline) {
            (true, _) => (action.version.to_ascii_lowercase(), None),
            (false, true) => match remembered {
                Some(commit) => (commit, None),
                None => return Err(FetchError::Offline(action.to_string())),
            },
            (false, false) => match resolve(&self.cache, &address, &action.version).await {
                Ok(commit) => (commit, None),
                Err(Unresolved::Nothing) => {
                    return Err(FetchError::NoVersion {
                        action: action.to_string(),
                        server: shown,
                        version: action.version.clone(),
                    });
                }
                Err(Unresolved::Unreachable(error)) => match (remembered, error.with_address(&address, &shown)) {
                    (Some(commit), error) => {
                        let remark = format!("{shown} does not respond ({error}): using the last known commit");
                        (commit, Some(remark))
                    }
                    (None, source) => {
                        return Err(FetchError::Unreachable { action: action.to_string(), server: shown, source });
                    }
                },
            },
        };
        let folder = home.join(&commit);
        let mark = home.join(format!("{commit}.completed"));
        if !mark.exists() {
            if self.offline {
                return Err(FetchError::Offline(format!("{action} ({commit})")));
            }
            download(&address, &commit, &folder, &mark).await.map_err(|error| FetchError::Failed {
                action: action.to_string(),
                server: shown.clone(),
                source: error.with_address(&address, &shown),
            })?;
        }
        let note = || -> io::Result<()> {
            fs::create_dir_all(noted.parent().unwrap_or(&home))?;
            atomic::write_unsynced(&noted, commit.as_bytes())
        };
        if let Err(error) = note() {
            tracing::warn!(%error, "cannot remember the action's commit for offline use");
        }
        let origin = format!("commit {}", &commit[..commit.len().min(12)]);
        Ok(Fetched { root: folder.clone(), folder, commit: Some(commit), origin, remark })
    }
}

/// Returns the name of a server's folder in the cache: the host of an https server without a path, or a hash of any
/// other server's URL. The names are therefore unique.
fn folder_of(server: &str) -> String {
    let plain =
        |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'));
    match server.strip_prefix("https://").filter(plain) {
        Some(host) => host.to_owned(),
        None => format!("server-{}", digest::sha256(server.as_bytes(), 16)),
    }
}

/// Whether a version is a commit id.
pub(crate) fn is_commit(version: &str) -> bool {
    matches!(version.len(), 40 | 64) && version.bytes().all(|byte| byte.is_ascii_hexdigit())
}

enum Unresolved {
    Nothing,
    Unreachable(GitCallError),
}

/// Resolves a version to a commit. As on GitHub, tags take precedence over branches; an annotated tag is followed to
/// its commit.
async fn resolve(cache: &Path, address: &str, version: &str) -> Result<String, Unresolved> {
    let names = [format!("refs/tags/{version}^{{}}"), format!("refs/tags/{version}"), format!("refs/heads/{version}")];
    let unwritable = |error: io::Error| Unresolved::Unreachable(GitCallError::Cache { source: Arc::new(error) });
    fs::create_dir_all(cache).map_err(unwritable)?;
    let arguments: Vec<&str> =
        ["ls-remote", "--quiet", "--", address].into_iter().chain(names.iter().map(String::as_str)).collect();
    let said = call(cache, &arguments, ASK).await.map_err(Unresolved::Unreachable)?;
    let found = |name: &str| {
        let mut lines = said.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(_, found)| *found == name).map(|(commit, _)| commit.to_owned())
    };
    names.iter().find_map(|name| found(name)).ok_or(Unresolved::Nothing)
}

/// Fetches a commit into a temporary folder, renames it to `folder` once it is complete, and then creates the marker
/// `mark`.
async fn download(address: &str, commit: &str, folder: &Path, mark: &Path) -> Result<(), GitCallError> {
    let unwritable = |error: io::Error| GitCallError::Cache { source: Arc::new(error) };
    let partial = Partial::create(folder.parent().unwrap_or(folder), commit).map_err(unwritable)?;
    let calls: [&[&str]; 3] = [
        &["init", "--quiet"],
        &["fetch", "--quiet", "--depth", "1", "--no-tags", "--", address, commit],
        &["-c", "core.symlinks=true", "checkout", "--quiet", "--detach", "FETCH_HEAD"],
    ];
    for arguments in calls {
        call(partial.path(), arguments, FETCH).await?;
    }
    let whole = || {
        fs::remove_dir_all(partial.path().join(".git"))?;
        // A folder without a marker is left over from an interrupted fetch.
        if folder.exists() && !mark.exists() {
            fs::remove_dir_all(folder)?;
        }
        match fs::rename(partial.path(), folder) {
            // Another run has fetched it in the meantime.
            Err(_) if mark.exists() => {}
            renamed => renamed?,
        }
        files::create_own(mark).map(drop)
    };
    whole().map_err(unwritable)
}

/// Runs git in a folder of the cache, with the user's credentials and proxies. Repositories that contain the cache or
/// the current folder are ignored, so that git does not use their configuration.
async fn call(folder: &Path, arguments: &[&str], limit: Duration) -> Result<String, GitCallError> {
    let mut command = Command::from(git::command(folder, Access::Trusted));
    command.args(arguments);
    command.env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap_or(folder));
    command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=10");
    let done = program::call(&mut command, limit).await.map_err(|error| match error {
        CallError::Start(error) => GitCallError::Start(Arc::new(error)),
        CallError::TooSlow(limit) => GitCallError::NoAnswer(limit.as_secs()),
    })?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.output).into_owned());
    }
    let said = String::from_utf8_lossy(&done.messages);
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("git failed");
    Err(GitCallError::Failed(format!("{}{}", line.trim_start_matches("fatal: "), space_hint_in(&said))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::actions::reference::Reference;

    fn remote(text: &str) -> Remote {
        match Reference::parse(text) {
            Ok(Reference::Remote(remote)) => remote,
            other => panic!("{other:?}"),
        }
    }

    /// Creates a server with one repository `o/n`: a commit with the tag `v1`, and a newer one on the branch `main`.
    fn server() -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a folder");
        let repository = home.path().join("o/n");
        fs::create_dir_all(repository.join("sub")).expect("made");
        let git = |arguments: &[&str]| {
            let who = ["-c", "user.name=T", "-c", "user.email=t@t"];
            git::git_with(&repository, Access::Trusted, who.iter().chain(arguments)).expect("git");
        };
        git(&["init", "--quiet", "--initial-branch", "main"]);
        git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        fs::write(repository.join("action.yml"), "one").expect("written");
        fs::write(repository.join("sub/action.yml"), "inner").expect("written");
        git(&["add", "."]);
        git(&["commit", "--quiet", "-m", "one"]);
        git(&["tag", "-a", "v1", "-m", "v1"]);
        fs::write(repository.join("action.yml"), "two").expect("written");
        git(&["commit", "--quiet", "-am", "two"]);
        home
    }

    fn store(cache: &Path, to: &str, offline: bool) -> Store {
        let mapped = [("o/n".to_owned(), to.to_owned())].into();
        Store::new(cache.to_owned(), mapped, cache.to_owned(), offline)
    }

    #[tokio::test]
    async fn versions_are_resolved_fetched_once_and_kept_for_offline_use() {
        let (server, cache) = (server(), tempfile::tempdir().expect("a folder"));
        let address = format!("file://{}", server.path().display());
        let online = store(cache.path(), &address, false);
        let tag = online.folder(&remote("o/n@v1")).await.expect("fetched");
        assert_eq!(fs::read_to_string(tag.folder.join("action.yml")).expect("there"), "one");
        assert!(tag.origin.starts_with("commit ") && !tag.folder.join(".git").exists());
        let branch = online.folder(&remote("o/n/sub@main")).await.expect("fetched");
        assert_eq!(fs::read_to_string(branch.folder.join("action.yml")).expect("there"), "inner");
        let error = online.folder(&remote("o/n@v9")).await.expect_err("no such version");
        assert!(error.to_string().contains("has no tag, branch or commit `v9`"), "{error}");

        let offline = store(cache.path(), &address, true);
        assert_eq!(offline.folder(&remote("o/n@v1")).await.expect("kept"), tag);
        let error = offline.folder(&remote("o/n@v2")).await.expect_err("not kept");
        assert!(error.to_string().contains("--offline is set"), "{error}");

        // An unreachable server only adds a remark; a copy without its `.completed` marker is ignored.
        drop(server);
        let again = store(cache.path(), &address, false).folder(&remote("o/n@v1")).await.expect("kept");
        assert!(again.remark.expect("a remark").contains("does not respond"));
        fs::remove_file(format!("{}.completed", tag.folder.display())).expect("there");
        assert!(store(cache.path(), &address, true).folder(&remote("o/n@v1")).await.is_err());
    }

    #[tokio::test]
    async fn the_files_of_a_known_commit_come_without_asking_what_the_version_means() {
        let (server, cache) = (server(), tempfile::tempdir().expect("a folder"));
        let address = format!("file://{}", server.path().display());
        let first = store(cache.path(), &address, false).folder(&remote("o/n@main")).await.expect("fetched");
        let repository = server.path().join("o/n");
        let who = ["-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-m", "three"];
        git::git_with(&repository, Access::Trusted, who).expect("git");
        let now = store(cache.path(), &address, false);
        let (branch, known) = (remote("o/n@main"), first.commit.as_deref());
        assert_ne!(now.folder(&branch).await.expect("fetched").commit.as_deref(), known);
        assert_eq!(now.folder_at(&branch, known).await.expect("kept"), first);
        drop(server);
        assert_eq!(store(cache.path(), &address, false).folder_at(&branch, known).await.expect("kept"), first);
    }

    #[tokio::test]
    async fn a_cancelled_fetch_ends_git_with_its_helpers_and_leaves_no_files() {
        let cache = tempfile::tempdir().expect("a folder");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let store = store(cache.path(), &address, false);
        let action = remote(&format!("o/n@{}", "a".repeat(40)));
        // The server accepts the connection of git's helper but does not respond.
        let mut helper = tokio::select! {
            fetched = store.folder(&action) => panic!("{fetched:?}"),
            accepted = listener.accept() => accepted.expect("a connection").0,
        };
        let names = walkdir::WalkDir::new(cache.path()).into_iter().flatten();
        assert_eq!(names.filter(|entry| entry.path().to_string_lossy().contains("partial")).count(), 0);
        // When the helper ends, it closes its side of the connection.
        let mut request = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut helper, &mut request);
        let _ = tokio::time::timeout(Duration::from_mins(1), read).await.expect("the helper is ended");
    }

    #[test]
    fn every_server_has_a_folder_of_the_cache() {
        let servers =
            ["https://a.example", "http://a.example", "https://a.example/b", "https://a.example_b", "file:///a"];
        let folders: std::collections::HashSet<_> = servers.iter().map(|server| folder_of(server)).collect();
        assert_eq!((folders.len(), folder_of("https://a.example").as_str()), (servers.len(), "a.example"));
        assert!(folders.iter().all(|folder| !folder.contains('/')), "{folders:?}");
    }

    #[tokio::test]
    async fn a_name_may_be_mapped_to_a_folder() {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(home.path().join("mine/sub")).expect("made");
        let store = store(home.path(), "mine", true);
        let folder = |text: &'static str| {
            let store = &store;
            async move { store.folder(&remote(text)).await.map(|found| found.folder).map_err(|error| error.to_string()) }
        };
        assert_eq!(folder("o/n@v1").await, Ok(home.path().join("mine")));
        assert_eq!(folder("O/N/sub@v1").await, Ok(home.path().join("mine/sub")));
        assert!(folder("o/n/none@v1").await.expect_err("no folder").contains("which is not a folder"));
        assert!(store.is_mapped(&remote("o/n@v1")) && !store.is_mapped(&remote("o/m@v1")));
    }
}
