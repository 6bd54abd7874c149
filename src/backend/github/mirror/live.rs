//! The log of a running job, on servers that serve it while it grows.

use crate::model::Job;
use crate::store::folder::RunFolder;

use super::events::Timed;
use super::logs::{LogError, StepLogs};

/// Maximum number of bytes of a line that are held back until the line ends.
const MAX_LINE: usize = 64 * 1024;

/// A log that is split into the logs of its steps as it grows.
pub struct LiveLog {
    logs: StepLogs,
    offset: u64,
    /// The start of an incomplete line.
    rest: Vec<u8>,
}

impl LiveLog {
    /// Starts the logs of a job. Existing logs of the attempt are replaced.
    ///
    /// # Errors
    /// An earlier log cannot be removed.
    pub fn new(folder: &RunFolder, job: &Job) -> Result<Self, LogError> {
        Ok(Self { logs: StepLogs::new(folder, job)?, offset: 0, rest: Vec::new() })
    }

    /// Returns the attempt of the job.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.logs.attempt()
    }

    /// Returns the number of bytes of the text that were added so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Adds the next part of the text, and returns the events about it. `job` must have been fetched after the text, so
    /// that it has the step of every line. An empty text writes the lines that were held back.
    ///
    /// # Errors
    /// A log cannot be written.
    pub fn add(&mut self, job: &Job, text: &[u8]) -> Result<Vec<Timed>, LogError> {
        self.offset += text.len() as u64;
        self.logs.set_job(job);
        self.rest.extend_from_slice(text);
        let whole = memchr::memrchr(b'\n', &self.rest).map_or(0, |newline| newline + 1);
        let whole = if self.rest.len() - whole > MAX_LINE { self.rest.len() } else { whole };
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.logs.add(line, line.ends_with(b"\n"))?;
        }
        self.logs.events(text.is_empty())
    }

    /// Adds complete lines, or parts of a very long one, that the step of the last line wrote. Returns the events about
    /// them, or `None` if it is unclear which step that is.
    ///
    /// # Errors
    /// A log cannot be written.
    pub fn extend<'t>(&mut self, lines: impl Iterator<Item = &'t [u8]>) -> Result<Option<Vec<Timed>>, LogError> {
        if !self.rest.is_empty() || !self.logs.extend(lines)? {
            return Ok(None);
        }
        self.logs.events(false).map(Some)
    }

    /// Ends the logs of a job that has ended, and returns the last events about them.
    ///
    /// # Errors
    /// A log cannot be written.
    pub fn finish(mut self, job: &Job) -> Result<Vec<Timed>, LogError> {
        self.logs.set_job(job);
        if !self.rest.is_empty() {
            self.logs.add(&self.rest, true)?;
        }
        self.logs.finish()
    }
}
