//! Sources of tokens, in the order in which they are tried.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::config::HostConfig;
use crate::files;
use crate::store::folder::{RunsDir, make_private};
use crate::store::{StoreError, atomic};

use super::super::address::Host;
use super::{AuthError, CommandFailure, Token, hosts_file};

/// Maximum time of the configured command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum time of `gh auth token`: the keyring may wait for a password that cannot be entered.
const GH_TIMEOUT: Duration = Duration::from_secs(4);
/// Maximum size of a file or an output that holds a token, in bytes.
const MAX_BYTES: u64 = 16 << 10;

/// Where a token comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenSource {
    /// The file in `token_file` of the configuration.
    File(PathBuf),
    /// The command in `token_command` of the configuration.
    Command,
    /// An environment variable.
    Variable(&'static str),
    /// The file `hosts.yml` of gh.
    GhFile,
    /// `gh auth token`, which reads the keyring.
    GhCommand,
    /// `cuelight auth login`.
    Login,
    /// There is no token: requests are anonymous.
    Missing,
}

impl fmt::Display for TokenSource {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(to, "{}", path.display()),
            Self::Command => to.write_str("token_command"),
            Self::Variable(name) => to.write_str(name),
            Self::GhFile => to.write_str("hosts.yml of gh"),
            Self::GhCommand => to.write_str("gh auth token"),
            Self::Login => to.write_str("cuelight auth login"),
            Self::Missing => to.write_str("no token"),
        }
    }
}

/// Variables with tokens for github.com and tenants of ghe.com, in gh's order.
const VARIABLES: &[&str] = &["GH_TOKEN", "GITHUB_TOKEN"];
/// Variables with tokens for all other servers, which never get a token of [`VARIABLES`].
const SERVER_VARIABLES: &[&str] = &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];

/// Returns the token of a host and its source: from the configuration, the environment, gh, or an earlier login. The
/// token is `None` if no source has one.
///
/// # Errors
/// A source in the configuration cannot be read or has no token. Other sources without a token are skipped.
pub async fn find(
    host: &Host,
    settings: &HostConfig,
    state: &RunsDir,
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<(Option<Token>, TokenSource), AuthError> {
    if let Some(path) = &settings.token_file {
        let path = PathBuf::from(path);
        let text =
            files::read(&path, MAX_BYTES).map_err(|source| AuthError::Unreadable { path: path.clone(), source })?;
        let token = Token::new(&String::from_utf8_lossy(&text));
        let token = token.ok_or_else(|| AuthError::NoToken(path.display().to_string()))?;
        return Ok((Some(token), TokenSource::File(path)));
    }
    if let Some(command) = &settings.token_command {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        let failed = |failure| AuthError::Command { host: host.name().to_owned(), failure };
        let printed = output(shell, COMMAND_TIMEOUT).await.map_err(failed)?;
        let token = Token::new(&printed).ok_or_else(|| AuthError::NoToken(format!("the output of `{command}`")))?;
        return Ok((Some(token), TokenSource::Command));
    }
    let variables = if host.is_enterprise_server() { SERVER_VARIABLES } else { VARIABLES };
    let given = variables.iter().find_map(|name| Some((Token::new(&variable(name)?)?, *name)));
    if let Some((token, name)) = given {
        return Ok((Some(token), TokenSource::Variable(name)));
    }
    let stored = || files::read_own_text(&state.github_token(host.name()), MAX_BYTES).ok();
    let gh_file = hosts_file::read(variable);
    if let Some(token) = gh_file.as_ref().and_then(|text| hosts_file::token(text, host.name())) {
        return Ok((Some(token), TokenSource::GhFile));
    }
    // Runs gh only for hosts in its file, because starting it takes a tenth of a second.
    if gh_file.is_some_and(|text| hosts_file::has(&text, host.name()))
        && let Some(token) = ask_gh(host).await
    {
        return Ok((Some(token), TokenSource::GhCommand));
    }
    match stored().and_then(|text| Token::new(&text)) {
        Some(token) => Ok((Some(token), TokenSource::Login)),
        None => Ok((None, TokenSource::Missing)),
    }
}

async fn ask_gh(host: &Host) -> Option<Token> {
    let mut gh = Command::new("gh");
    gh.args(["auth", "token", "--hostname", host.name()]);
    Token::new(&output(gh, GH_TIMEOUT).await.ok()?)
}

/// Runs a command and returns its standard output.
async fn output(mut command: Command, limit: Duration) -> Result<String, CommandFailure> {
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let done = tokio::time::timeout(limit, command.output()).await.map_err(|_| CommandFailure::TimedOut(limit))?;
    let done = done.map_err(|_| CommandFailure::NotStarted)?;
    let is_short = done.stdout.len() as u64 <= MAX_BYTES;
    (done.status.success() && is_short)
        .then(|| String::from_utf8_lossy(&done.stdout).into_owned())
        .ok_or(CommandFailure::Failed)
}

/// Keeps the token of a login, in a file that only its owner may read. Returns its path.
///
/// # Errors
/// The folder cannot be made, or the file cannot be written.
pub fn keep(host: &Host, token: &Token, state: &RunsDir) -> Result<PathBuf, StoreError> {
    let path = state.github_token(host.name());
    let folder = path.parent().unwrap_or(state.state());
    make_private(folder).map_err(StoreError::io("make the folder", folder))?;
    atomic::write(&path, token.expose().as_bytes()).map_err(StoreError::io("write", &path))?;
    Ok(path)
}

/// Removes the token of a login. Returns whether there was one.
///
/// # Errors
/// The file cannot be removed.
pub fn forget(host: &Host, state: &RunsDir) -> Result<bool, StoreError> {
    let path = state.github_token(host.name());
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::ServerKind;

    /// Settings and variables for the token of a host, with a temporary home folder.
    struct Sources {
        home: tempfile::TempDir,
        settings: HostConfig,
        variables: Vec<(&'static str, String)>,
    }

    impl Sources {
        fn new() -> Self {
            let home = tempfile::tempdir().expect("a folder");
            let gh = home.path().display().to_string();
            Self { home, settings: HostConfig::default(), variables: vec![("GH_CONFIG_DIR", gh)] }
        }

        fn write(&self, name: &str, text: &str) -> String {
            let path = self.home.path().join(name);
            fs::write(&path, text).expect("written");
            path.display().to_string()
        }

        async fn find(&self, host: &str) -> Result<(Option<String>, TokenSource), AuthError> {
            let host = Host::new(host, ServerKind::GitHub).expect("a host");
            let variables = self.variables.clone();
            let variable = move |name: &str| {
                variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
            };
            let found = find(&host, &self.settings, &state(self.home.path()), &variable).await?;
            Ok((found.0.map(|token| token.expose().to_owned()), found.1))
        }
    }

    fn state(home: &Path) -> RunsDir {
        RunsDir::at(home.join("state"))
    }

    #[tokio::test]
    async fn the_sources_are_asked_in_order() {
        let mut sources = Sources::new();
        let host = Host::new("github.com", ServerKind::GitHub).expect("a host");
        let found = async |sources: &Sources| {
            let (token, source) = sources.find("github.com").await.expect("found");
            format!("{} {source}", token.unwrap_or_default())
        };
        assert_eq!(found(&sources).await, " no token");
        keep(&host, &Token::new("login").expect("a token"), &state(sources.home.path())).expect("kept");
        assert_eq!(found(&sources).await, "login cuelight auth login");
        sources.write("hosts.yml", "github.com:\n  oauth_token: file\n");
        assert_eq!(found(&sources).await, "file hosts.yml of gh");
        sources.variables.push(("GITHUB_TOKEN", "second".to_owned()));
        assert_eq!(found(&sources).await, "second GITHUB_TOKEN");
        sources.variables.push(("GH_TOKEN", "first".to_owned()));
        assert_eq!(found(&sources).await, "first GH_TOKEN");
        sources.settings.token_command = Some("echo command; echo noise >&2".to_owned());
        assert_eq!(found(&sources).await, "command token_command");
        let path = sources.write("token", "configured\n");
        sources.settings.token_file = Some(path.clone());
        assert_eq!(found(&sources).await, format!("configured {path}"));
        assert!(forget(&host, &state(sources.home.path())).expect("removed"));
        assert!(!forget(&host, &state(sources.home.path())).expect("nothing there"));
    }

    #[tokio::test]
    async fn variables_of_one_kind_of_host_are_not_sent_to_the_other() {
        let mut sources = Sources::new();
        sources.variables.push(("GH_TOKEN", "cloud".to_owned()));
        sources.variables.push(("GITHUB_ENTERPRISE_TOKEN", "server".to_owned()));
        for (host, token) in [("github.com", "cloud"), ("acme.ghe.com", "cloud"), ("ghe.example", "server")] {
            assert_eq!(sources.find(host).await.expect("found").0.as_deref(), Some(token), "{host}");
        }
    }

    #[tokio::test]
    async fn a_configured_source_without_a_token_is_an_error_without_its_output() {
        let mut sources = Sources::new();
        for (command, message) in [
            ("echo secret words; exit 3", "the token command of github.com failed"),
            ("echo two words", "the output of `echo two words` holds no token"),
        ] {
            sources.settings.token_command = Some(command.to_owned());
            let error = sources.find("github.com").await.expect_err(command).to_string();
            assert_eq!(error, message);
        }
        sources.settings.token_file = Some(sources.write("token", ""));
        assert!(matches!(sources.find("github.com").await, Err(AuthError::NoToken(_))));
        sources.settings.token_file = Some("/nowhere/token".to_owned());
        assert!(matches!(sources.find("github.com").await, Err(AuthError::Unreadable { .. })));
    }
}
