//! The journal of a run: one record per line, appended and never changed.
//!
//! The first line contains the version. Every later line is a [`Record`]. A line is written with one system call. A
//! crash leaves at worst an incomplete last line: readers wait for the rest of it, and the next writer cuts it off.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};
use crate::model::{Event, Record, Timestamp};

use super::StoreError;

/// Version of the journal that this program writes. Readers skip single records that they do not know, so the version
/// changes only when skipping them would give a wrong view of the run.
const VERSION: u32 = 1;

/// First line of a journal. A journal without a header has version 1.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "cuelight_journal")]
    version: u32,
}

impl Header {
    /// Parses a header; `None` if the line is a record.
    ///
    /// # Errors
    /// The journal has a newer version.
    fn read(line: &[u8], path: &Path) -> Result<Option<Self>, StoreError> {
        match serde_json::from_slice::<Self>(line) {
            Ok(Self { version }) if version > VERSION => {
                Err(StoreError::Newer { path: path.to_owned(), version, supported: VERSION })
            }
            header => Ok(header.ok()),
        }
    }
}

/// Appends records to the journal of a run.
#[derive(Debug)]
pub struct JournalWriter {
    path: PathBuf,
    file: File,
    length: u64,
    /// Whether the file may end in a partial line after `length` that could not be removed yet.
    torn: bool,
    seq: u64,
}

impl JournalWriter {
    /// Opens the journal, creates it if it is missing, and cuts off a last line that was never finished. The caller
    /// holds the run's lock: there is one writer at a time.
    ///
    /// # Errors
    /// The file cannot be read or written, or is of a newer version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let file = files::append_own(&path).map_err(StoreError::io("open", &path))?;
        let mut reader = JournalReader::new(&path);
        let mut seq = 0;
        while let Some(last) = reader.poll()?.iter().map(|record| record.seq).max() {
            seq = last.max(seq);
        }
        let whole = reader.offset;
        if file.metadata().map_err(StoreError::io("read", &path))?.len() > whole {
            file.set_len(whole).map_err(StoreError::io("mend", &path))?;
        }
        let mut writer = Self { path, file, length: whole, torn: false, seq };
        if whole == 0 {
            let mut header = serde_json::to_vec(&Header { version: VERSION }).expect("a number always serialises");
            header.push(b'\n');
            writer.line(&header)?;
        }
        Ok(writer)
    }

    /// Appends an event and returns its record.
    ///
    /// # Errors
    /// The file cannot be written, or the sequence numbers are used up. A partial line is removed again, so the journal
    /// stays valid.
    pub fn append(&mut self, at: Timestamp, event: Event) -> Result<Record, StoreError> {
        Ok(self.append_all(vec![(at, event)])?.remove(0))
    }

    /// Appends events with one write, and returns their records. A concurrent reader, or the next writer after a crash,
    /// sees all of them or only the first ones.
    ///
    /// # Errors
    /// As for [`append`](Self::append). The journal then contains none of the events, unless removing the written part
    /// fails as well; the next append repeats the removal first.
    pub fn append_all(&mut self, events: Vec<(Timestamp, Event)>) -> Result<Vec<Record>, StoreError> {
        let (mut records, mut lines, mut seq) = (Vec::with_capacity(events.len()), Vec::new(), self.seq);
        for (at, event) in events {
            seq = seq.checked_add(1).ok_or_else(|| StoreError::Damaged {
                path: self.path.clone(),
                reason: format!("no sequence number comes after {seq}"),
            })?;
            let record = Record { seq, at, event };
            serde_json::to_writer(&mut lines, &record).expect("a record always serialises");
            lines.push(b'\n');
            records.push(record);
        }
        self.line(&lines)?;
        self.seq = seq;
        Ok(records)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), StoreError> {
        self.take_back()?;
        match self.file.write_all(line) {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.torn = true;
                // If this fails too, it is repeated before the next line is written. Until then, readers wait for the
                // rest of the partial line.
                let _ = self.take_back();
                Err(StoreError::io("write", &self.path)(error))
            }
        }
    }

    fn take_back(&mut self) -> Result<(), StoreError> {
        if self.torn {
            self.file.set_len(self.length).map_err(StoreError::io("mend", &self.path))?;
            self.torn = false;
        }
        Ok(())
    }
}

/// Number of bytes that are read from the file at a time.
const PORTION: usize = 64 * 1024;

/// Number of bytes after which [`JournalReader::poll`] returns the records so far, so that the memory does not depend
/// on the size of the journal.
const BATCH: u64 = 4 * 1024 * 1024;

/// Maximum size in bytes of a journal that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Maximum length of a record in bytes.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// Reads a line without its newline, and returns its length in the file in bytes. A line that is too long for a record
/// is truncated, so that parsing it fails. `None` if the line has no newline yet.
fn read_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    let mut length = 0;
    loop {
        let portion = lines.fill_buf()?;
        if portion.is_empty() {
            return Ok(None);
        }
        let end = memchr::memchr(b'\n', portion);
        let part = &portion[..end.unwrap_or(portion.len())];
        if line.len() <= MAX_LINE {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        length += used as u64;
        lines.consume(used);
        if end.is_some() {
            if line.len() > MAX_LINE {
                line.truncate(1);
            }
            return Ok(Some(length));
        }
    }
}

/// Maximum length of a last record that [`has_ended`] reads, in bytes.
const MAX_LAST_RECORD: u64 = 64 * 1024;

/// Whether the last record of a journal is the end of an attempt. Reads only the end of the file: may return `false`
/// wrongly for a journal with a damaged or an unusually long last record.
#[must_use]
pub fn has_ended(path: &Path) -> bool {
    let tail = || -> io::Result<Vec<u8>> {
        let mut file = files::open_own(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX_LAST_RECORD)))?;
        let mut tail = Vec::new();
        file.take(MAX_LAST_RECORD).read_to_end(&mut tail)?;
        Ok(tail)
    };
    let tail = tail().unwrap_or_default();
    let last = tail.strip_suffix(b"\n").and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    last.and_then(parse).is_some_and(|record| matches!(record.event, Event::RunFinished { .. }))
}

/// Returns all records of a journal.
///
/// # Errors
/// Errors of [`JournalReader::poll`].
pub fn read(path: &Path) -> Result<Vec<Record>, StoreError> {
    let mut reader = JournalReader::new(path);
    let mut all = Vec::new();
    loop {
        let mut records = reader.poll()?;
        if records.is_empty() {
            return Ok(all);
        }
        all.append(&mut records);
    }
}

fn parse(line: &[u8]) -> Option<Record> {
    serde_json::from_slice(line).ok()
}

/// Reads the records of a journal, also while more are appended.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
    skipped: usize,
}

impl JournalReader {
    /// Returns a reader at the beginning. The journal need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, offset: 0, skipped: 0 }
    }

    /// Returns the next records: those since the last call, or some of them if there are many. An empty list means that
    /// there are no further records now. A last line without a newline is left for a later call; a line that cannot be
    /// parsed (damaged, or from a later version) is skipped and counted.
    ///
    /// # Errors
    /// The file exists and cannot be read, or is of a newer version.
    pub fn poll(&mut self) -> Result<Vec<Record>, StoreError> {
        let unreadable = || StoreError::io("read", &self.path);
        let file = match &mut self.file {
            Some(file) => file,
            None => match files::open_own(&self.path) {
                Ok(file) if file.metadata().is_ok_and(|journal| journal.len() > MAX_BYTES) => {
                    return Err(unreadable()(FileError::TooLarge { limit: MAX_BYTES }.into()));
                }
                Ok(file) => self.file.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(unreadable()(error)),
            },
        };
        file.seek(SeekFrom::Start(self.offset)).map_err(unreadable())?;
        let mut lines = BufReader::with_capacity(PORTION, &*file);
        let (mut records, mut line, mut taken) = (Vec::new(), Vec::new(), 0);
        while taken < BATCH || records.is_empty() {
            line.clear();
            let Some(length) = read_line(&mut lines, &mut line).map_err(unreadable())? else { break };
            match parse(&line) {
                Some(record) => records.push(record),
                None if line.is_empty() || Header::read(&line, &self.path)?.is_some() => {}
                None => self.skipped += 1,
            }
            self.offset += length;
            taken += length;
        }
        Ok(records)
    }

    /// Returns the number of skipped lines.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::model::Conclusion;

    fn event(attempt: u32) -> Event {
        Event::RunStarted { attempt, name: "ci".to_owned() }
    }

    fn written(count: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        let mut writer = JournalWriter::open(&path).expect("made");
        for attempt in 1..=count {
            writer.append(Timestamp(u64::from(attempt)), event(attempt)).expect("written");
        }
        (folder, path)
    }

    #[test]
    fn readers_get_each_record_once_and_in_order() {
        let (_folder, path) = written(2);
        let mut reader = JournalReader::new(&path);
        assert_eq!(reader.poll().expect("read").iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(reader.poll().expect("read"), []);
        let mut writer = JournalWriter::open(&path).expect("opened again");
        let end = Event::RunFinished { conclusion: Conclusion::Success, reason: None };
        let record = writer.append(Timestamp(9), end).expect("written");
        assert_eq!((record.seq, reader.poll().expect("read")), (3, vec![record]));
    }

    #[test]
    fn a_journal_cut_at_any_byte_keeps_what_was_whole_and_goes_on() {
        let (_folder, path) = written(3);
        let whole = std::fs::read(&path).expect("read");
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("cut");
            let before = JournalReader::new(&path).poll().expect("read").len();
            let lines = memchr::memchr_iter(b'\n', &whole[..cut]).count();
            assert_eq!(before, lines.saturating_sub(1), "cut at {cut}");
            let mut writer = JournalWriter::open(&path).expect("opened");
            let record = writer.append(Timestamp(9), event(9)).expect("written");
            assert_eq!(record.seq as usize, before + 1);
            let mut reader = JournalReader::new(&path);
            assert_eq!((reader.poll().expect("read").len(), reader.skipped()), (before + 1, 0), "cut at {cut}");
        }
    }

    #[test]
    fn damage_and_news_of_later_versions_are_stepped_over() {
        let (_folder, path) = written(1);
        let mut file = OpenOptions::new().append(true).open(&path).expect("opened");
        file.write_all(b"garbage\n{\"seq\":2,\"at\":1,\"event\":\"invented_later\",\"x\":1}\n").expect("written");
        let mut reader = JournalReader::new(&path);
        let records = reader.poll().expect("read");
        assert_eq!((records.len(), reader.skipped()), (2, 1));
        assert_eq!(records[1].event, Event::Unknown);
    }

    #[test]
    fn a_newer_journal_is_refused_and_one_without_a_version_is_read() {
        let (_folder, path) = written(1);
        let whole = std::fs::read_to_string(&path).expect("text");
        let record = whole.lines().nth(1).expect("a record");
        std::fs::write(&path, format!("{{\"cuelight_journal\":2}}\n{record}\n")).expect("written");
        let error = JournalReader::new(&path).poll().expect_err("newer").to_string();
        assert!(
            error.ends_with("is of version 2, and this cuelight reads up to version 1: update cuelight"),
            "{error}"
        );
        assert!(matches!(JournalWriter::open(&path), Err(StoreError::Newer { version: 2, .. })));
        std::fs::write(&path, format!("{record}\n")).expect("written");
        assert_eq!(JournalReader::new(&path).poll().expect("read").len(), 1);
        assert_eq!(JournalWriter::open(&path).expect("opened").seq, 1);
    }

    #[test]
    fn a_huge_journal_comes_in_portions_and_no_record_is_lost() {
        let (_folder, path) = written(0);
        let mut writer = JournalWriter::open(&path).expect("made");
        let name = "x".repeat(64 * 1024);
        for attempt in 1..=200 {
            writer.append(Timestamp(1), Event::RunStarted { attempt, name: name.clone() }).expect("written");
        }
        let mut reader = JournalReader::new(&path);
        let first = reader.poll().expect("read").len();
        assert!((1..100).contains(&first), "{first}");
        let mut count = first;
        while let more @ 1.. = reader.poll().expect("read").len() {
            count += more;
        }
        assert_eq!((count, read(&path).expect("read").len(), reader.skipped()), (200, 200, 0));
        assert_eq!(JournalWriter::open(&path).expect("opened").seq, 200);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let mut lines = io::Cursor::new([vec![b'x'; MAX_LINE + 10], b"\nnext\nopen".to_vec()].concat());
        let mut line = Vec::new();
        assert_eq!(read_line(&mut lines, &mut line).expect("read"), Some(MAX_LINE as u64 + 11));
        assert!(parse(&line).is_none());
        line.clear();
        assert_eq!(read_line(&mut lines, &mut line).expect("read"), Some(5));
        assert_eq!(line, b"next");
        assert_eq!(read_line(&mut lines, &mut line).expect("read"), None);
    }

    #[test]
    fn after_the_last_sequence_number_nothing_is_written() {
        let (_folder, path) = written(1);
        let text =
            std::fs::read_to_string(&path).expect("text").replace("\"seq\":1,", &format!("\"seq\":{},", u64::MAX));
        std::fs::write(&path, text).expect("written");
        let mut writer = JournalWriter::open(&path).expect("opened");
        let error = writer.append(Timestamp(2), event(2)).expect_err("no number").to_string();
        assert!(error.contains("no sequence number comes after 18446744073709551615"), "{error}");
    }

    #[test]
    fn a_line_that_could_not_be_written_whole_does_not_spoil_the_next() {
        let (_folder, path) = written(2);
        let mut writer = JournalWriter::open(&path).expect("opened");
        let good = std::mem::replace(&mut writer.file, File::open(&path).expect("there"));
        let error = writer.append(Timestamp(3), event(3)).expect_err("it cannot be written to");
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        writer.file = good;
        // As on a full disk, a part of the line was written and could not be removed.
        writer.file.write_all(b"{\"seq\":3,\"at\":3,\"ev").expect("written");
        let mut reader = JournalReader::new(&path);
        assert_eq!(reader.poll().expect("read").len(), 2);
        let record = writer.append(Timestamp(3), event(3)).expect("written");
        assert_eq!((record.seq, reader.poll().expect("read")), (3, vec![record]));
        assert_eq!(reader.skipped(), 0);
    }
}
