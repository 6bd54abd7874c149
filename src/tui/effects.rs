//! Carrying out what the screen asks for. Nothing here makes the screen wait: files are read on threads of their own.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::app::msg::{LogKey, Msg, Page, PageRequest};
use crate::store::folder::RunsDir;
use crate::store::logs::LogReader;

/// Where lines of logs come from.
pub trait Logs: Send + Sync + 'static {
    /// The lines that are wanted, fewer at the end of the log. May block.
    ///
    /// # Errors
    /// The log cannot be read, and why, in words.
    fn page(&self, request: &PageRequest) -> Result<Vec<Vec<u8>>, String>;
}

/// The logs in the folders of runs on this machine.
#[derive(Debug)]
pub struct LogFiles {
    runs: RunsDir,
    /// The log that was read last: most requests are for the same one.
    last: Mutex<Option<(LogKey, LogReader)>>,
}

impl LogFiles {
    /// The logs of these runs.
    #[must_use]
    pub fn new(runs: RunsDir) -> Self {
        Self { runs, last: Mutex::new(None) }
    }
}

impl Logs for LogFiles {
    fn page(&self, request: &PageRequest) -> Result<Vec<Vec<u8>>, String> {
        // A reader lost to a panic of another thread is only opened again.
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let reader = match last.take() {
            Some((key, reader)) if key == request.key => Some(reader),
            _ => {
                let LogKey { run, job, attempt, step } = &request.key;
                let path = self.runs.folder(run.clone()).log(job, *attempt, *step);
                LogReader::open(path).map_err(|error| error.to_string())?
            }
        };
        let Some(mut reader) = reader else { return Ok(Vec::new()) };
        let page = reader.page(request.first, request.count).map_err(|error| error.to_string())?;
        *last = Some((request.key.clone(), reader));
        Ok(page.lines)
    }
}

/// Reads lines and sends them back as a message.
pub(super) fn load_page<L: Logs>(logs: &Arc<L>, request: PageRequest, answers: &mpsc::Sender<Msg>) {
    let (logs, answers) = (Arc::clone(logs), answers.clone());
    tokio::task::spawn_blocking(move || {
        let lines = logs.page(&request);
        // When nobody listens the screen is gone, and so is the wish for these lines.
        let _ = answers.blocking_send(Msg::Page(Page { request, lines }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, StepNumber, Timestamp};
    use crate::store::logs::LogWriter;

    #[test]
    fn pages_come_from_the_run_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        let folder = runs.create(Timestamp(0)).expect("made");
        let key = LogKey { run: folder.id().clone(), job: JobId::new("a"), attempt: 1, step: StepNumber(2) };
        let files = LogFiles::new(runs);
        let request = |first| PageRequest { key: key.clone(), first, count: 2 };
        assert_eq!(files.page(&request(0)), Ok(Vec::new()), "a silent step has no file");
        let mut writer = LogWriter::new(folder.log(&key.job, 1, key.step));
        writer.append(b"one\ntwo\nthree\n", Timestamp(1)).expect("written");
        assert_eq!(files.page(&request(1)), Ok(vec![b"two".to_vec(), b"three".to_vec()]));
        writer.append(b"four\n", Timestamp(2)).expect("written");
        assert_eq!(files.page(&request(2)), Ok(vec![b"three".to_vec(), b"four".to_vec()]));
    }
}
