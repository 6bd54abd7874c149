//! Reads windows of a log by line number.

use std::fs::{File, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use super::index;
use super::index::{Index, SPACING};
use crate::files::{self, FileError};
use crate::model::{LineRange, Timestamp};
use crate::store::StoreError;

/// Maximum number of bytes that are read of one line. The rest of a longer line is not read, because no screen shows it
/// and a line may have 100 MB. If the line is a progress bar, the part after its last carriage return is read.
pub const LONGEST_SHOWN: usize = 64 * 1024;

/// A line of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// Number of the line, from 0.
    pub number: u64,
    /// Bytes of the line without the newline, cut at [`LONGEST_SHOWN`], with control sequences as they were printed.
    pub bytes: &'a [u8],
    /// Length of the line in the file, in bytes.
    pub length: u64,
}

/// A window of lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Number of the first line.
    pub first: u64,
    /// The lines, without their newlines, each cut at [`LONGEST_SHOWN`].
    pub lines: Vec<Vec<u8>>,
}

/// Reads one step's log, also while it grows.
///
/// Methods with `&self` describe the log as of the last [`refresh`](Self::refresh). Methods with `&mut self` refresh
/// first.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    file: File,
    index_file: Option<File>,
    index: Index,
    /// Number of bytes of the log that are known.
    bytes: u64,
    newlines: u64,
    /// Whether the log ends in a line without a newline.
    ends_open: bool,
}

impl LogReader {
    /// Opens a log. `None` if the step has written nothing.
    ///
    /// # Errors
    /// The log exists and cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Option<Self>, StoreError> {
        let path = path.into();
        let Some(file) = open(&path)? else { return Ok(None) };
        let mut reader = Self::of(path, file);
        reader.refresh()?;
        Ok(Some(reader))
    }

    fn of(path: PathBuf, file: File) -> Self {
        Self { path, file, index_file: None, index: Index::new(), bytes: 0, newlines: 0, ends_open: false }
    }

    /// Reads what was appended, and returns whether anything was. The cost depends only on the new part: its index
    /// entries are read, and only the bytes after the last of them are scanned.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn refresh(&mut self) -> Result<bool, StoreError> {
        let mut log = self.file.metadata().map_err(StoreError::io("read", &self.path))?;
        let mut is_anew = false;
        // The log of a job on a server is replaced by the whole log once the job has ended.
        if log.nlink() == 0
            && let Some(file) = open(&self.path)?
        {
            let found = file.metadata().map_err(StoreError::io("read", &self.path))?;
            if !is_same(&log, &found) {
                *self = Self::of(std::mem::take(&mut self.path), file);
                (log, is_anew) = (found, true);
            }
        }
        let len = log.len();
        if len < self.bytes {
            // The log was truncated: all known positions are invalid.
            let file = self.file.try_clone().map_err(StoreError::io("read", &self.path))?;
            *self = Self::of(std::mem::take(&mut self.path), file);
            is_anew = true;
        }
        if len == self.bytes {
            return Ok(is_anew);
        }
        let index_path = index::path_of(&self.path);
        if self.index_file.is_none() {
            self.index_file = open(&index_path)?;
        }
        if let Some(index_file) = &self.index_file {
            self.index.read(index_file, len).map_err(StoreError::io("read", &index_path))?;
        }
        self.index.found(0, 0);
        let (mut offset, mut newlines) = (self.bytes, self.newlines);
        if let Some(known) = self.index.last().filter(|known| known.offset > offset && known.offset < len) {
            (offset, newlines) = (known.offset, known.line);
        }
        let mut buffer = vec![0; usize::try_from(len - offset).unwrap_or(usize::MAX).min(4 * SPACING as usize)];
        while offset < len {
            let wanted = usize::try_from(len - offset).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.read(&mut buffer[..wanted], offset)?;
            if read == 0 {
                break;
            }
            for part in buffer[..read].chunks(SPACING as usize) {
                newlines += memchr::memchr_iter(b'\n', part).count() as u64;
                offset += part.len() as u64;
                self.index.found(newlines, offset);
            }
            self.ends_open = buffer[read - 1] != b'\n';
        }
        (self.bytes, self.newlines) = (offset, newlines);
        Ok(true)
    }

    /// Returns the number of lines that the log has now; a last line without its newline counts.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn lines(&mut self) -> Result<u64, StoreError> {
        self.refresh()?;
        Ok(self.known_lines())
    }

    /// Calls `act` with each line of a range, without its newline and cut at [`LONGEST_SHOWN`]. Lines past the end of
    /// the log are left out.
    ///
    /// # Errors
    /// The log cannot be read, or `act` fails.
    pub fn for_each_line(&mut self, range: LineRange, act: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.refresh().map_err(io::Error::other)?;
        let (mut left, mut acted) = (range.count, Ok(()));
        if left > 0 {
            let visited = self.visit(range.first, |line| {
                left -= 1;
                acted = act(line.bytes);
                if left == 0 || acted.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            visited.map_err(io::Error::other)?;
        }
        acted
    }

    /// Returns `count` lines from `first` on, or fewer at the end of the log.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn page(&mut self, first: u64, count: usize) -> Result<Page, StoreError> {
        self.refresh()?;
        let mut page = Page { first, lines: Vec::new() };
        if count > 0 {
            self.visit(first, |line| {
                page.lines.push(line.bytes.to_vec());
                if page.lines.len() == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        Ok(page)
    }

    /// Returns when a line was written, to about a second; `None` where the index has no time, as in a log of less than
    /// 64 KiB that was written within a second.
    #[must_use]
    pub fn time(&self, line: u64) -> Option<Timestamp> {
        self.index.time_of(line)
    }

    /// Passes the lines from `first` on to `each`, one at a time, until `each` breaks.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn visit(&self, first: u64, mut each: impl FnMut(Line<'_>) -> ControlFlow<()>) -> Result<(), StoreError> {
        let Some(mut start) = self.seek(first)? else { return Ok(()) };
        let mut number = first;
        let mut offset = start;
        // The beginning of a line that continues in the next read.
        let mut begun: Vec<u8> = Vec::new();
        let mut buffer = vec![0; SPACING as usize];
        while offset < self.bytes {
            let wanted = usize::try_from(self.bytes - offset).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.read(&mut buffer[..wanted], offset)?;
            if read == 0 {
                break;
            }
            let mut rest = &buffer[..read];
            while let Some(newline) = memchr::memchr(b'\n', rest) {
                let end = offset + newline as u64;
                let bytes = if begun.is_empty() {
                    &rest[..newline.min(LONGEST_SHOWN)]
                } else {
                    keep(&mut begun, &rest[..newline]);
                    &begun[..]
                };
                if each(Line { number, bytes, length: end - start }).is_break() {
                    return Ok(());
                }
                begun.clear();
                number += 1;
                offset = end + 1;
                start = offset;
                rest = &rest[newline + 1..];
            }
            keep(&mut begun, rest);
            offset += rest.len() as u64;
            if begun.len() == LONGEST_SHOWN
                && let Some(known) = self.index.last_within(number).filter(|known| known.offset > offset)
            {
                offset = known.offset;
            }
        }
        if !begun.is_empty() {
            let _ = each(Line { number, bytes: &begun, length: offset - start });
        }
        Ok(())
    }

    /// Returns the offset of a line. `None` if it does not exist.
    pub(super) fn seek(&self, line: u64) -> Result<Option<u64>, StoreError> {
        if line >= self.known_lines() {
            return Ok(None);
        }
        let known = self.index.before(line);
        let (mut offset, mut missing) = (known.offset, line - known.line);
        let mut buffer = vec![0; if missing > 0 { SPACING as usize } else { 0 }];
        while missing > 0 {
            let read = self.read(&mut buffer, offset)?;
            if read == 0 {
                return Ok(None);
            }
            for newline in memchr::memchr_iter(b'\n', &buffer[..read]) {
                missing -= 1;
                if missing == 0 {
                    return Ok(Some(offset + newline as u64 + 1));
                }
            }
            offset += read as u64;
        }
        Ok(Some(offset))
    }

    fn known_lines(&self) -> u64 {
        self.newlines + u64::from(self.ends_open)
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn newlines(&self) -> u64 {
        self.newlines
    }

    pub(super) fn ends_open(&self) -> bool {
        self.ends_open
    }

    /// Reads bytes of the log from an offset on.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        read_at(&self.file, buffer, offset).map_err(StoreError::io("read", &self.path))
    }
}

/// Maximum size in bytes of a log that is read.
const MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// Whether both are about the same file. Some file systems report no links for a file that exists, so only this shows
/// whether a log was replaced.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Opens a file. `None` if it does not exist.
fn open(path: &std::path::Path) -> Result<Option<File>, StoreError> {
    match files::open_own(path) {
        Ok(file) if file.metadata().is_ok_and(|log| log.len() > MAX_BYTES) => {
            Err(StoreError::io("read", path)(FileError::TooLarge { limit: MAX_BYTES }.into()))
        }
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Appends to the start of a line, up to the limit. If a longer line has a carriage return, the text before it is
/// dropped, because the line is a progress bar and a terminal shows only its last state.
fn keep(begun: &mut Vec<u8>, mut more: &[u8]) {
    if more.len() > LONGEST_SHOWN - begun.len() {
        // A carriage return at the end of the line belongs to the line end.
        let inside = &more[..more.len().saturating_sub(1)];
        if let Some(last) = memchr::memrchr(b'\r', inside) {
            begun.clear();
            more = &more[last + 1..];
        }
    }
    begun.extend_from_slice(&more[..more.len().min(LONGEST_SHOWN - begun.len())]);
}

/// Reads at an offset; repeats reads that a signal interrupted.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_log_is_replaced_only_by_another_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        fs::write(&path, "one\n").expect("written");
        let file = File::open(&path).expect("readable");
        fs::remove_file(&path).expect("removed");
        let log = file.metadata().expect("open");
        assert_eq!(log.nlink(), 0);
        assert!(is_same(&log, &file.metadata().expect("open")), "no links do not make it another file");
        fs::write(&path, "two\n").expect("written");
        assert!(!is_same(&log, &fs::metadata(&path).expect("there")));
    }
}
