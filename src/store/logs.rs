//! Logs of steps: plain append-only files with a sparse index beside them.
//!
//! A log holds exactly the bytes that were to be shown. Its index has an entry about every 64 KiB, which leads a reader
//! to any line of a file of gigabytes with one seek and one short scan, and tells the time of a line to within an
//! entry. The index can always be made again from the log, so a missing or torn one costs only time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::model::{LineRange, Timestamp};

use super::StoreError;

/// An index entry is written once this many bytes came since the last.
const STRIDE: u64 = 64 * 1024;

/// Line, byte and time, little-endian.
const ENTRY: usize = 24;

/// Bytes read at a time when a file is scanned.
const PORTION: usize = 1024 * 1024;

/// What a reader gets of one line at the most, in bytes; no screen shows more.
pub const LONGEST_SHOWN: usize = 64 * 1024;

/// The index file of a log.
fn index_path(log: &Path) -> PathBuf {
    log.with_extension("idx")
}

/// Appends to one step's log. The files are made when the first byte comes.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    files: Option<(File, File)>,
    bytes: u64,
    lines: u64,
    indexed: u64,
    /// Whether the last byte was not a newline.
    open_line: bool,
}

impl LogWriter {
    /// A writer of a log that does not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), files: None, bytes: 0, lines: 0, indexed: 0, open_line: false }
    }

    /// Appends bytes and says which lines are new; a line begun and not ended is none yet.
    ///
    /// # Errors
    /// The file cannot be written. What was written before stays.
    pub fn append(&mut self, bytes: &[u8], now: Timestamp) -> Result<LineRange, StoreError> {
        let first = self.lines;
        if bytes.is_empty() {
            return Ok(LineRange { first, count: 0 });
        }
        if self.files.is_none() {
            self.files = Some(self.create()?);
            self.index(now)?;
        }
        let (log, _) = self.files.as_mut().expect("made above");
        log.write_all(bytes).map_err(StoreError::io("write", &self.path))?;
        self.bytes += bytes.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.open_line = bytes.last() != Some(&b'\n');
        if self.bytes - self.indexed >= STRIDE && !self.open_line {
            self.index(now)?;
        }
        Ok(LineRange { first, count: self.lines - first })
    }

    /// Ends the log: a last line without its newline counts as a line.
    #[must_use]
    pub fn finish(&mut self) -> LineRange {
        let count = u64::from(std::mem::take(&mut self.open_line));
        let first = self.lines;
        self.lines += count;
        LineRange { first, count }
    }

    fn create(&self) -> Result<(File, File), StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(StoreError::io("make the folder", folder))?;
        let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let log = open(&self.path).map_err(StoreError::io("make", &self.path))?;
        let index = index_path(&self.path);
        let index = open(&index).map_err(StoreError::io("make", &index))?;
        Ok((log, index))
    }

    /// Notes where the next line begins.
    fn index(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let (_, index) = self.files.as_mut().expect("made before the first byte");
        let mut entry = [0; ENTRY];
        for (place, number) in [self.lines, self.bytes, now.0].into_iter().enumerate() {
            entry[place * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        index.write_all(&entry).map_err(StoreError::io("write", index_path(&self.path)))?;
        self.indexed = self.bytes;
        Ok(())
    }
}

/// A place that the index knows: a line and the byte where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    line: u64,
    byte: u64,
    time: Timestamp,
}

/// Some lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The number of the first line.
    pub first: u64,
    /// The lines, without their newlines, each cut at [`LONGEST_SHOWN`].
    pub lines: Vec<Vec<u8>>,
}

/// Reads one step's log while it grows.
#[derive(Debug)]
pub struct LogReader {
    file: File,
    path: PathBuf,
    marks: Vec<Mark>,
}

impl LogReader {
    /// Opens a log; `None` when the step has written nothing.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Option<Self>, StoreError> {
        let path = path.into();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let mut reader = Self { file, path, marks: Vec::new() };
        reader.refresh();
        Ok(Some(reader))
    }

    /// Takes in what the index has gained.
    pub fn refresh(&mut self) {
        let mut index = Vec::new();
        let known = (self.marks.len() * ENTRY) as u64;
        if let Ok(file) = File::open(index_path(&self.path)) {
            let mut rest = io::BufReader::new(OffsetReader { file: &file, at: known });
            // A torn or missing index only means longer scans.
            let _ = rest.read_to_end(&mut index);
        }
        let number = |entry: &[u8], place: usize| {
            u64::from_le_bytes(entry[place * 8..][..8].try_into().expect("an entry has three numbers of 8 bytes"))
        };
        self.marks.extend(index.chunks_exact(ENTRY).map(|entry| Mark {
            line: number(entry, 0),
            byte: number(entry, 1),
            time: Timestamp(number(entry, 2)),
        }));
    }

    /// How many lines the log has now; a last line without its newline counts.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines(&mut self) -> Result<u64, StoreError> {
        self.refresh();
        let start = self.marks.last().copied().unwrap_or(Mark { line: 0, byte: 0, time: Timestamp(0) });
        let (mut line, mut ends) = (start.line, true);
        self.scan(start.byte, |bytes, _| {
            line += memchr::memchr_iter(b'\n', bytes).count() as u64;
            ends = bytes.last() == Some(&b'\n');
            true
        })?;
        Ok(line + u64::from(!ends))
    }

    /// `count` lines from `first` on, or as many as there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&mut self, first: u64, count: usize) -> Result<Page, StoreError> {
        self.refresh();
        let start = self.mark_before(first);
        let mut page = Page { first, lines: Vec::new() };
        let mut line = start.line;
        let mut current: Vec<u8> = Vec::new();
        let mut begun = false;
        self.scan(start.byte, |bytes, _| {
            let mut rest = bytes;
            while !rest.is_empty() {
                let end = memchr::memchr(b'\n', rest);
                let text = &rest[..end.unwrap_or(rest.len())];
                if line >= first {
                    let room = LONGEST_SHOWN.saturating_sub(current.len());
                    current.extend_from_slice(&text[..text.len().min(room)]);
                    begun = true;
                }
                let Some(end) = end else { break };
                if line >= first {
                    page.lines.push(std::mem::take(&mut current));
                    begun = false;
                    if page.lines.len() == count {
                        return false;
                    }
                }
                line += 1;
                rest = &rest[end + 1..];
            }
            true
        })?;
        if begun && page.lines.len() < count {
            page.lines.push(current);
        }
        Ok(page)
    }

    /// About when a line was written: the time of the index entry before it.
    #[must_use]
    pub fn time(&self, line: u64) -> Option<Timestamp> {
        Some(self.mark_before(line).time).filter(|time| time.0 > 0)
    }

    /// Calls `found` with the number of every line that `matches` accepts, from `first` on, until it says `false`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn search(
        &mut self,
        first: u64,
        matches: &dyn Fn(&[u8]) -> bool,
        found: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), StoreError> {
        self.refresh();
        let start = self.mark_before(first);
        let mut line = start.line;
        let mut torn: Vec<u8> = Vec::new();
        let mut more = true;
        self.scan(start.byte, |bytes, _| {
            let mut rest = bytes;
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let whole = if torn.is_empty() {
                    matches(&rest[..end])
                } else {
                    torn.extend_from_slice(&rest[..end]);
                    let whole = matches(&torn);
                    torn.clear();
                    whole
                };
                if whole && line >= first && !found(line) {
                    more = false;
                    return false;
                }
                line += 1;
                rest = &rest[end + 1..];
            }
            let room = PORTION.saturating_sub(torn.len());
            torn.extend_from_slice(&rest[..rest.len().min(room)]);
            true
        })?;
        if more && !torn.is_empty() && line >= first && matches(&torn) {
            found(line);
        }
        Ok(())
    }

    fn mark_before(&self, line: u64) -> Mark {
        let after = self.marks.partition_point(|mark| mark.line <= line);
        let start = Mark { line: 0, byte: 0, time: Timestamp(0) };
        after.checked_sub(1).map_or(start, |place| self.marks[place])
    }

    /// Hands over the file's bytes from a place on, in portions, until `take` says `false`.
    fn scan(&self, from: u64, mut take: impl FnMut(&[u8], u64) -> bool) -> Result<(), StoreError> {
        let mut portion = vec![0; PORTION.min(64 * 1024)];
        let mut at = from;
        loop {
            let count = self.file.read_at(&mut portion, at).map_err(StoreError::io("read", &self.path))?;
            if count == 0 || !take(&portion[..count], at) {
                return Ok(());
            }
            at += count as u64;
            if count == portion.len() && portion.len() < PORTION {
                // Short pages need one small read; long scans earn a larger portion.
                portion.resize(PORTION, 0);
            }
        }
    }
}

/// Reads a file from a place on without moving its cursor.
struct OffsetReader<'f> {
    file: &'f File,
    at: u64,
}

impl Read for OffsetReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(portions: &[Vec<u8>]) -> (tempfile::TempDir, PathBuf, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("logs/a/002.log");
        let mut writer = LogWriter::new(&path);
        let mut told = 0;
        for (at, portion) in portions.iter().enumerate() {
            let range = writer.append(portion, Timestamp(at as u64 + 1)).expect("written");
            assert_eq!(range.first, told);
            told += range.count;
        }
        told += writer.finish().count;
        (folder, path, told)
    }

    #[test]
    fn a_silent_step_has_no_file() {
        let (_folder, path, told) = written(&[Vec::new()]);
        assert_eq!(told, 0);
        assert!(!path.exists() && LogReader::open(&path).expect("no error").is_none());
    }

    #[test]
    fn any_line_of_a_long_log_is_found_with_and_without_its_index() {
        let lines: Vec<Vec<u8>> = (0..60_000).map(|line| format!("line {line}\n").into_bytes()).collect();
        let (_folder, path, told) = written(&lines);
        assert_eq!(told, 60_000);
        for _ in 0..2 {
            let mut reader = LogReader::open(&path).expect("there").expect("written");
            assert_eq!(reader.lines().expect("read"), 60_000);
            assert_eq!(reader.page(59_999, 5).expect("read").lines, [b"line 59999".to_vec()]);
            assert_eq!(reader.page(31_234, 1).expect("read").lines, [b"line 31234".to_vec()]);
            assert_eq!(reader.page(70_000, 1).expect("read").lines, Vec::<Vec<u8>>::new());
            let mut found = Vec::new();
            let matches = |line: &[u8]| line.ends_with(b"999");
            reader
                .search(58_000, &matches, &mut |line| {
                    found.push(line);
                    found.len() < 2
                })
                .expect("read");
            assert_eq!(found, [58_999, 59_999]);
            fs::remove_file(index_path(&path)).unwrap_or_default();
        }
    }

    #[test]
    fn a_line_without_end_is_cut_for_readers_and_kept_on_disk() {
        let (_folder, path, told) = written(&vec![vec![b'x'; 100_000]; 30]);
        assert_eq!((told, fs::metadata(&path).expect("there").len()), (1, 3_000_000));
        let mut reader = LogReader::open(&path).expect("there").expect("written");
        let page = reader.page(0, 10).expect("read");
        assert_eq!((page.lines.len(), page.lines[0].len(), reader.lines().expect("read")), (1, LONGEST_SHOWN, 1));
    }

    proptest! {
        #[test]
        fn pages_are_those_of_the_whole_text(
            portions in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..30), 0..20),
            first in 0_u64..20, count in 1_usize..10,
        ) {
            let text: Vec<u8> = portions.concat();
            let mut expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|line| line.is_empty()) {
                expected.pop();
            }
            let (_folder, path, told) = written(&portions);
            prop_assert_eq!(told as usize, expected.len());
            if let Some(mut reader) = LogReader::open(&path).expect("readable") {
                prop_assert_eq!(reader.lines().expect("read") as usize, expected.len());
                let page = reader.page(first, count).expect("read");
                let expected: Vec<_> = expected.iter().skip(first as usize).take(count).map(|line| line.to_vec()).collect();
                prop_assert_eq!(page.lines, expected);
            }
        }
    }
}
