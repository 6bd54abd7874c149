//! Writes a log.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::index;
use super::index::{Entry, RESOLUTION, SPACING};
use super::reader::LogReader;
use crate::files;
use crate::model::{LineRange, Timestamp};
use crate::store::StoreError;

/// Appends to one step's log. There must be only one writer at a time. The first append creates the file, or continues
/// an existing one: its last line, unless the writer [starts a new line](Self::on_new_line).
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    /// Number of newlines written.
    lines: u64,
    /// Whether the last byte was not a newline.
    open_line: bool,
    /// Last entry.
    last: Option<Entry>,
    index: IndexFile,
    /// Whether an existing log continues on a new line.
    on_new_line: bool,
    /// Entries that are not written yet.
    pending: Vec<u8>,
}

/// State of the index file.
#[derive(Debug)]
enum IndexFile {
    /// Not created yet: the first entry is held back until there is a second one, which most logs never need.
    Unneeded,
    /// Created.
    Open(File),
    /// Could not be written. Readers scan instead.
    GivenUp,
}

impl LogWriter {
    /// Returns a writer of the log at this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file: None,
            bytes: 0,
            lines: 0,
            open_line: false,
            last: None,
            index: IndexFile::Unneeded,
            on_new_line: false,
            pending: Vec::new(),
        }
    }

    /// Makes the writer end the last line of an existing log, which another writer has finished, before it appends.
    #[must_use]
    pub fn on_new_line(self) -> Self {
        Self { on_new_line: true, ..self }
    }

    /// Appends bytes and returns the new lines. An incomplete line does not count yet. `now` is the time of the output.
    ///
    /// # Errors
    /// Some bytes could not be written. The bytes before them stay in the log.
    pub fn append(&mut self, bytes: &[u8], now: Timestamp) -> Result<LineRange, StoreError> {
        if bytes.is_empty() {
            return Ok(LineRange { first: self.lines, count: 0 });
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let first = self.lines;
        let mut rest = bytes;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(StoreError::io("write", &self.path)(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.account(&rest[..count], now);
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io("write", &self.path)(error)),
            }
        }
        self.file = Some(file);
        Ok(LineRange { first, count: self.lines - first })
    }

    /// Returns the number of complete lines.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Ends the log: a last line without its newline counts as a line.
    #[must_use]
    pub fn finish(&mut self) -> LineRange {
        let count = u64::from(std::mem::take(&mut self.open_line));
        let first = self.lines;
        self.lines += count;
        LineRange { first, count }
    }

    fn open(&mut self) -> Result<File, StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let append = || files::append_own(&self.path);
        let file = append().or_else(|error| match error.kind() {
            // This is the first log of its job. Creating the folder only on failure saves a system call for every other
            // log.
            io::ErrorKind::NotFound => fs::create_dir_all(folder).and_then(|()| append()),
            _ => Err(error),
        });
        let file = file.map_err(StoreError::io("create", &self.path))?;
        if file.metadata().is_ok_and(|log| log.len() > 0)
            && let Some(reader) = LogReader::open(&self.path)?
        {
            self.continue_from(&reader);
            if self.on_new_line && self.open_line {
                (&file).write_all(b"\n").map_err(StoreError::io("write", &self.path))?;
                (self.bytes, self.lines, self.open_line) = (self.bytes + 1, self.lines + 1, false);
            }
        }
        Ok(file)
    }

    fn continue_from(&mut self, reader: &LogReader) {
        self.bytes = reader.bytes();
        self.lines = reader.newlines();
        self.open_line = reader.ends_open();
        self.last = reader.index().last();
        self.pending = reader.index().to_bytes();
        // The file may have been torn, missing or behind, so it is rewritten. A reader that has the old file open scans
        // the log from here.
        let _ = fs::remove_file(index::path_of(&self.path));
        self.write_index();
    }

    /// Updates the counters, and adds entries for the written text.
    fn account(&mut self, text: &[u8], now: Timestamp) {
        for part in text.chunks(SPACING as usize) {
            let is_due = self.last.is_none_or(|last| {
                let age = last.time.map_or(u64::MAX, |time| now.0.saturating_sub(time.0));
                self.bytes - last.offset >= SPACING || age >= RESOLUTION
            });
            if is_due {
                let entry = Entry { line: self.lines, offset: self.bytes, time: Some(now) };
                if !matches!(self.index, IndexFile::GivenUp) {
                    self.pending.extend(entry.to_bytes());
                }
                self.last = Some(entry);
            }
            self.lines += memchr::memchr_iter(b'\n', part).count() as u64;
            self.bytes += part.len() as u64;
        }
        self.open_line = text.last().is_some_and(|byte| *byte != b'\n');
        self.write_index();
    }

    /// Writes pending entries. If that fails, the index is removed and readers scan the log instead.
    fn write_index(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let path = index::path_of(&self.path);
        let written = match &mut self.index {
            IndexFile::GivenUp => return,
            IndexFile::Unneeded if self.pending.len() <= Entry::SIZE => return,
            IndexFile::Unneeded => files::append_own(&path).and_then(|mut file| {
                file.write_all(&self.pending)?;
                self.index = IndexFile::Open(file);
                Ok(())
            }),
            IndexFile::Open(file) => file.write_all(&self.pending),
        };
        self.pending.clear();
        if written.is_err() {
            self.index = IndexFile::GivenUp;
            let _ = fs::remove_file(path);
        }
    }
}
