//! The message with which a server gave a job to a runner. The runner writes it to the log of the process that carries
//! out the job, `_diag/Worker_<time>-utc.log`, without secrets.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::files::{Folder, Links};

use super::{RemoteJob, RunnerError};

/// Text before the message.
const MARK: &[u8] = b"Job message:";

/// Number of bytes of a log in which the message must start and end. Messages have some hundred kilobytes at most.
const MAX_READ: u64 = 8 << 20;

/// Maximum number of logs that are read, the newest first. A log of more than 8 MB goes on in a second file, which has no
/// message.
const MAX_LOGS: usize = 3;

/// Maximum number of files that are listed in a folder of a runner.
pub(super) const MAX_FILES: usize = 20_000;

/// Properties of a job in a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JobMessage {
    /// Id of the timeline that the records of the job belong to.
    pub(super) timeline: String,
    /// Id of the record of the job in the timeline.
    pub(super) job: String,
    /// Name of the job.
    pub(super) name: String,
    /// Id of the job in the API of the server. Older servers do not send it.
    pub(super) check_run: Option<u64>,
    server: String,
    repository: String,
    run: String,
    attempt: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    timeline: Timeline,
    job_id: String,
    #[serde(default)]
    job_display_name: String,
    context_data: Contexts,
}

#[derive(Deserialize)]
struct Timeline {
    id: String,
}

#[derive(Deserialize)]
struct Contexts {
    github: Value,
    #[serde(default)]
    job: Value,
}

impl JobMessage {
    /// Reads the newest message in the folder `_diag` of a runner. `path` is its path.
    pub(super) fn newest(diagnostics: &Folder, path: &Path) -> Result<Self, RunnerError> {
        let mut logs = worker_logs(path)?;
        // The names contain the time of the start.
        logs.sort_unstable_by(|one, other| other.cmp(one));
        for log in logs.iter().take(MAX_LOGS) {
            let file = match diagnostics.file(log, Links::Refuse) {
                Err(error) if error.is_missing() => continue,
                opened => opened.map_err(RunnerError::unreadable(path.join(log)))?,
            };
            let mut text = Vec::new();
            file.take(MAX_READ).read_to_end(&mut text).map_err(RunnerError::unreadable(path.join(log)))?;
            if let Some(at) = memchr::memmem::find(&text, MARK) {
                // The message may not be whole yet.
                return Self::parse(&text[at + MARK.len()..]).ok_or_else(|| RunnerError::NoJob(path.to_owned()));
            }
        }
        Err(RunnerError::NoJob(path.to_owned()))
    }

    /// Parses the message at the start of a text.
    fn parse(text: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::Deserializer::from_slice(text).into_iter().next()?.ok()?;
        let github = |key| entry(&wire.context_data.github, key).and_then(Value::as_str).unwrap_or_default().to_owned();
        // The runner writes every number with a fraction.
        let check_run = entry(&wire.context_data.job, "check_run_id").and_then(Value::as_f64);
        let check_run = check_run.filter(|id| *id >= 1.0 && id.fract() == 0.0 && *id < (1_u64 << 53) as f64);
        Some(Self {
            check_run: check_run.map(|id| id as u64),
            name: wire.job_display_name,
            server: github("server_url"),
            repository: github("repository"),
            run: github("run_id"),
            attempt: github("run_attempt"),
            timeline: id(wire.timeline.id)?,
            job: id(wire.job_id)?,
        })
    }

    /// Whether the message is about a job of the same attempt of the same run.
    pub(super) fn is_of_run(&self, job: &RemoteJob) -> bool {
        let host = self.server.split_once("://").map_or("", |(_, host)| host).trim_end_matches('/');
        host.eq_ignore_ascii_case(&job.host)
            && self.repository.eq_ignore_ascii_case(&job.repository)
            && self.run == job.run.to_string()
            && self.attempt == job.attempt.to_string()
    }
}

/// Returns the names of the logs of the processes that carried out jobs.
fn worker_logs(path: &Path) -> Result<Vec<PathBuf>, RunnerError> {
    let entries = std::fs::read_dir(path).map_err(RunnerError::unreadable(path))?;
    let names = entries.take(MAX_FILES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with("Worker_") && name.ends_with("-utc.log")).map(PathBuf::from).collect())
}

/// Returns an entry of a context, in which the runner writes a dictionary as a list of keys and values.
fn entry<'v>(context: &'v Value, key: &str) -> Option<&'v Value> {
    context["d"].as_array()?.iter().find(|pair| pair["k"] == key).map(|pair| &pair["v"])
}

/// Returns an id that can be part of a file's name.
fn id(text: String) -> Option<String> {
    let is_id = text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then_some(text)
}
