//! Starts git, or prepares the calls that other modules start: all of them begin with [`command`].
//!
//! The configuration of a repository can name programs: a file system monitor, hooks, filters of files, the server side
//! of a fetch. Cloning does not copy the configuration. An archive of a repository contains it, however, and so does a
//! bare repository among the files of a clone, which git uses when it runs in that folder. Therefore each guarded call
//! overrides every setting that could start a program.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use super::GitError;
use super::readable::waited_for;

/// Access that git has to programs and servers named by a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Git starts no program that the repository names, and fetches nothing.
    Guarded,
    /// The repository is trusted: git filters files and fetches objects, as in the user's own calls. Hooks and file
    /// system monitors stay off: no call needs them.
    Trusted,
}

/// Cancellation flag for git calls, and for other work that a thread waits for.
#[derive(Clone, Debug, Default)]
pub struct Abort(Arc<AtomicBool>);

impl Abort {
    /// Cancels the calls in progress, and calls that start later.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work was cancelled.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Time between two checks of an [`Abort`].
const ABORT_INTERVAL: Duration = Duration::from_millis(50);

/// Settings of every call. Git before 2.38 ignores the first one, so [`super::Repository::discover`] checks as well.
const ALWAYS: [&str; 6] = [
    "safe.bareRepository=explicit",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "submodule.recurse=false",
    "diff.orderFile=/dev/null",
    "log.showSignature=false",
];

/// Settings of guarded calls. No protocol is allowed, so git fetches nothing and starts no program of a transport. The
/// programs are disabled as well, in case a protocol is still used.
const GUARDED: [&str; 12] = [
    "protocol.allow=never",
    "core.sshCommand=false",
    "core.gitProxy=false",
    "core.askPass=false",
    "core.editor=false",
    "core.alternateRefsCommand=false",
    "credential.helper=",
    "gpg.program=false",
    "gpg.ssh.program=false",
    "gpg.x509.program=false",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// Variables of guarded calls. Git before 2.44 ignores the first one; the second one then makes a fetch fail before a
/// program starts.
const GUARDED_VARIABLES: [(&str, &str); 4] = [
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_SSH_COMMAND", "false"),
    ("GIT_ASKPASS", "false"),
];

/// Commands that read no files of the working tree through filters.
const WITHOUT_FILTERS: [&str; 10] = [
    "--version",
    "check-ignore",
    "config",
    "describe",
    "for-each-ref",
    "hash-object",
    "log",
    "ls-files",
    "merge-base",
    "rev-parse",
];

/// Name of an environment variable that is always empty: the value of all settings of filters. They are passed with
/// `--config-env`, because `-c` would split a setting's name at a `=`.
const EMPTY: &str = "CUELIGHT_EMPTY";

/// Variables that point git at a repository, as git sets them for its hooks. They are removed from calls about another
/// repository.
pub const POINTERS: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_QUARANTINE_PATH",
];

/// Returns a git call in a folder, without its command. It never prompts, has no input and starts no pager.
#[must_use]
pub fn command(folder: &Path, access: Access) -> Command {
    let mut command = Command::new("git");
    for pointer in POINTERS {
        command.env_remove(pointer);
    }
    command.arg("--no-pager").arg("-C").arg(folder).stdin(Stdio::null());
    command.envs([("GIT_OPTIONAL_LOCKS", "0"), ("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C")]);
    let guarded: &[&str] = if access == Access::Guarded { &GUARDED } else { &[] };
    for setting in ALWAYS.iter().chain(guarded) {
        command.args(["-c", setting]);
    }
    if access == Access::Guarded {
        command.envs(GUARDED_VARIABLES);
    }
    command
}

/// Runs git in a folder with [`Access::Guarded`], and returns its output.
///
/// # Errors
/// Git cannot be started, or the command failed or took too long.
pub fn git<A: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = A>) -> Result<String, GitError> {
    git_with(folder, Access::Guarded, args)
}

/// Runs git in a folder and returns its output.
///
/// # Errors
/// Git cannot be started, or the command failed or took too long.
pub fn git_with<A: AsRef<OsStr>>(
    folder: &Path,
    access: Access,
    args: impl IntoIterator<Item = A>,
) -> Result<String, GitError> {
    git_until(None, folder, access, args)
}

/// Runs git in a folder until it has ended or is interrupted, and returns its output.
///
/// # Errors
/// Git cannot be started, or the command failed, took too long or was interrupted.
pub fn git_until<A: AsRef<OsStr>>(
    abort: Option<&Abort>,
    folder: &Path,
    access: Access,
    args: impl IntoIterator<Item = A>,
) -> Result<String, GitError> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = run_until(abort, folder, access, &args)?;
    text_of(folder, &args, &output)
}

/// Runs git in a folder until it has ended or is interrupted, and returns the first `limit` bytes of its output, and at
/// most one portion more. Git is killed if it prints more. A failed command is not an error.
///
/// # Errors
/// Git cannot be started, took too long or was interrupted.
pub fn git_capped<A: AsRef<OsStr>>(
    abort: Option<&Abort>,
    folder: &Path,
    access: Access,
    args: impl IntoIterator<Item = A>,
    limit: usize,
) -> Result<Vec<u8>, GitError> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    Ok(run_capped(abort, None, folder, access, &args, limit)?.stdout)
}

/// Runs git in a folder with `index` in place of the repository's index, and returns its output.
///
/// # Errors
/// Git cannot be started, or the command failed or took too long.
pub fn git_on_index<A: AsRef<OsStr>>(
    index: &Path,
    folder: &Path,
    access: Access,
    args: impl IntoIterator<Item = A>,
) -> Result<String, GitError> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = run_capped(None, Some(index), folder, access, &args, usize::MAX)?;
    text_of(folder, &args, &output)
}

/// Returns the output of a call if it succeeded.
fn text_of(folder: &Path, args: &[OsString], output: &Output) -> Result<String, GitError> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(folder, args, output))
    }
}

pub(super) fn run(folder: &Path, access: Access, args: &[OsString]) -> Result<Output, GitError> {
    run_until(None, folder, access, args)
}

pub(super) fn run_until(
    abort: Option<&Abort>,
    folder: &Path,
    access: Access,
    args: &[OsString],
) -> Result<Output, GitError> {
    run_capped(abort, None, folder, access, args, usize::MAX)
}

fn run_capped(
    abort: Option<&Abort>,
    index: Option<&Path>,
    folder: &Path,
    access: Access,
    args: &[OsString],
    most: usize,
) -> Result<Output, GitError> {
    let is_quick = args.first().is_some_and(|first| QUICK.iter().any(|known| first == known));
    let limit = match access {
        _ if is_quick => QUICK_LIMIT,
        Access::Guarded => GUARDED_LIMIT,
        Access::Trusted => TRUSTED_LIMIT,
    };
    let mut culprit = None;
    let unfinished = || {
        let (what, folder) = (words(args), folder.to_owned());
        if abort.is_some_and(Abort::is_set) {
            GitError::Interrupted { what, folder }
        } else {
            GitError::TooSlow { what, folder, limit }
        }
    };
    let mut command = prepared(abort, folder, access, args)?;
    command.envs(index.map(|index| ("GIT_INDEX_FILE", index)));
    let mut is_stuck = || {
        culprit = waited_for(folder);
        culprit.is_some()
    };
    let ended = output(&mut command, limit, most, abort, &mut is_stuck).map_err(GitError::Missing)?;
    ended.ok_or_else(|| culprit.unwrap_or_else(unfinished))
}

/// Commands that only read git's own files, and their time limit.
const QUICK: [&str; 4] = ["--version", "config", "rev-parse", "symbolic-ref"];
const QUICK_LIMIT: Duration = Duration::from_secs(20);

/// Time after which a call is checked for files that may block it.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// Time limit of a guarded call, which only reads files of this machine.
const GUARDED_LIMIT: Duration = Duration::from_mins(1);

/// Time limit of a call in a trusted repository, which may fetch.
const TRUSTED_LIMIT: Duration = Duration::from_mins(15);

/// Size in bytes of the portions in which output is read.
const PORTION: usize = 64 * 1024;

/// Runs a command until it ends or has printed at least `most` bytes to its standard output. `None` if it was killed:
/// after the time limit, on an abort, or because `is_stuck`, which is called once after [`STUCK_AFTER`], returned true.
fn output(
    command: &mut Command,
    limit: Duration,
    most: usize,
    abort: Option<&Abort>,
    is_stuck: &mut dyn FnMut() -> bool,
) -> io::Result<Option<Output>> {
    if abort.is_some() {
        // In a separate process group, a filter or a fetch that git has started can be killed with it.
        command.process_group(0);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + limit;
    let mut ask_at = Some(Instant::now() + STUCK_AFTER);
    let streams = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    let mut open: Vec<(usize, File)> =
        streams.into_iter().flatten().enumerate().map(|(at, pipe)| (at, File::from(pipe))).collect();
    let mut printed = [Vec::new(), Vec::new()];
    let mut portion = vec![0; PORTION];
    // Both streams are polled: a thread for each would cost more than most calls.
    while !open.is_empty() && printed[0].len() < most {
        let now = Instant::now();
        let ask = ask_at.take_if(|at| *at <= now).is_some();
        if now >= deadline || abort.is_some_and(Abort::is_set) || (ask && is_stuck()) {
            break;
        }
        let left = ask_at.unwrap_or(deadline).min(deadline) - now;
        let left = if abort.is_some() { left.min(ABORT_INTERVAL) } else { left };
        let mut pipes: Vec<_> = open.iter().map(|(_, pipe)| PollFd::new(pipe, PollFlags::IN)).collect();
        match poll(&mut pipes, Some(&Timespec::try_from(left).map_err(io::Error::other)?)) {
            Err(Errno::INTR) | Ok(0) => continue,
            polled => polled?,
        };
        let ready: Vec<bool> = pipes.iter().map(|pipe| !pipe.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        open.retain_mut(|(at, pipe)| {
            let read = if ready.next() == Some(true) { pipe.read(&mut portion).unwrap_or(0) } else { return true };
            printed[*at].extend_from_slice(&portion[..read]);
            read > 0
        });
    }
    let has_all = open.is_empty() || printed[0].len() >= most;
    if !open.is_empty() {
        if let Some(group) = abort.and(Pid::from_raw(child.id().cast_signed())) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        child.kill()?;
    }
    let status = child.wait()?;
    let [stdout, stderr] = printed;
    Ok(has_all.then_some(Output { status, stdout, stderr }))
}

fn words(args: &[OsString]) -> String {
    args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Returns a complete git command. A guarded one runs no filters.
fn prepared(abort: Option<&Abort>, folder: &Path, access: Access, args: &[OsString]) -> Result<Command, GitError> {
    let mut command = command(folder, access);
    let has_filters = !args.first().is_some_and(|first| WITHOUT_FILTERS.iter().any(|known| first == known));
    if access == Access::Guarded && has_filters {
        command.env(EMPTY, "");
        for name in filters(abort, folder)? {
            let mut setting = OsString::from("--config-env=");
            setting.push(name);
            setting.push("=");
            setting.push(EMPTY);
            command.arg(setting);
        }
    }
    command.args(args);
    Ok(command)
}

/// Returns the names of the settings of all filters. Empty values disable them: an empty command filters nothing, and
/// an empty `required` is false.
fn filters(abort: Option<&Abort>, folder: &Path) -> Result<Vec<OsString>, GitError> {
    let names = ["config", "-z", "--name-only", "--get-regexp", r"^filter\..*\.(clean|smudge|process|required)$"];
    let listed = run_until(abort, folder, Access::Guarded, &names.map(OsString::from))?;
    let names = listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
}

pub(super) fn failed(folder: &Path, args: &[OsString], output: &Output) -> GitError {
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    GitError::Failed { what: words(args), folder: folder.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_end_is_killed() {
        let output = |command: &mut Command, limit: Duration, most: usize, abort: Option<&Abort>| {
            output(command, limit, most, abort, &mut || false).expect("starts")
        };
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; exec sleep 1000"]);
        assert!(output(&mut command, Duration::from_millis(100), usize::MAX, None).is_none());
        let ended =
            output(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), GUARDED_LIMIT, usize::MAX, None);
        let ended = ended.expect("ends");
        assert_eq!((ended.status.code(), &*ended.stdout, &*ended.stderr), (Some(3), &b"out\n"[..], &b"err\n"[..]));
        let endless = output(Command::new("yes").arg("more"), GUARDED_LIMIT, 100_000, None).expect("capped");
        assert!((100_000..100_000 + PORTION).contains(&endless.stdout.len()), "{}", endless.stdout.len());
        let abort = Abort::default();
        let interrupted = std::thread::scope(|scope| {
            let waits =
                scope.spawn(|| output(Command::new("sleep").arg("1000"), GUARDED_LIMIT, usize::MAX, Some(&abort)));
            abort.set();
            waits.join().expect("no panic")
        });
        assert!(interrupted.is_none());
        // Prints more than a pipe holds, on both streams at once.
        let script = "head -c 300000 /dev/zero >&2 & head -c 300000 /dev/zero; wait";
        let both = output(Command::new("sh").args(["-c", script]), GUARDED_LIMIT, usize::MAX, None).expect("ends");
        assert_eq!((both.stdout.len(), both.stderr.len()), (300_000, 300_000));
    }

    #[test]
    fn a_call_that_is_stuck_is_killed_and_one_that_is_slow_goes_on() {
        let mut asked = 0;
        let mut sleep = Command::new("sleep");
        let stuck = output(sleep.arg("1000"), GUARDED_LIMIT, usize::MAX, None, &mut || {
            asked += 1;
            true
        });
        assert!(stuck.expect("starts").is_none());
        let slow = output(Command::new("sh").args(["-c", "sleep 3"]), GUARDED_LIMIT, usize::MAX, None, &mut || {
            asked += 1;
            false
        });
        assert!(slow.expect("starts").is_some());
        assert_eq!(asked, 2);
    }
}
