//! ZIP archives of artifacts: written from files that were uploaded one by one, and read one file at a time.
//!
//! Data is never compressed or decompressed here. The compressed part of a gzip file is what a ZIP archive stores, so
//! it is copied as it is, in both directions.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::files;

/// Maximum number of files of an archive. Larger archives need ZIP64, which is not supported.
pub const MAX_FILES: usize = 65_534;

/// Maximum size of a file and of the whole archive in bytes.
pub const MAX_BYTES: u64 = u32::MAX as u64 - 1;

/// Maximum size in bytes of the directory of an archive that is read.
const MAX_DIRECTORY: u64 = 64 * 1024 * 1024;

/// Length of the record at the end of an archive, without a comment, and maximum length of the comment.
const END: u64 = 22;
const MAX_COMMENT: u64 = 65_535;

/// Length of the header of a file, without its name, before its data and in the directory.
const LOCAL: usize = 30;
const CENTRAL: usize = 46;

/// Maximum length of an entry of the directory: its header, and a name, extra fields and a comment.
const MAX_ENTRY: u64 = CENTRAL as u64 + 3 * 65_535;

/// Flag of a name in UTF-8.
const UTF8: u16 = 1 << 11;

/// Methods: stored as it is, and compressed with deflate.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// First bytes of a gzip file without optional fields, from an unknown system.
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Path in the archive. That of a folder ends with a slash.
    pub(super) name: String,
    method: u16,
    checksum: u32,
    packed: u32,
    /// Size of the file in bytes.
    pub(super) size: u32,
    offset: u32,
}

/// The data of a file of an archive: a range of the archive, with bytes before and after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
    /// Whether the three together are a gzip file. If not, they are the file itself.
    pub(super) is_gzip: bool,
}

/// Returns the error for an archive or file that is damaged or not supported.
fn wrong(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn limited(bytes: u64) -> io::Result<u32> {
    let fits = u32::try_from(bytes).ok().filter(|_| bytes <= MAX_BYTES);
    fits.ok_or_else(|| wrong("the archive would have 4 GB or more: split the files over several artifacts"))
}

/// Writes an archive of these files: each with its path in the archive, its file, and whether that is compressed with
/// gzip. Returns the size of the archive in bytes.
///
/// # Errors
/// A file cannot be read, changes meanwhile, is not a gzip file, or the archive cannot be written or is too large.
pub fn write<'f>(files: impl IntoIterator<Item = (&'f str, &'f Path, bool)>, to: &File) -> io::Result<u64> {
    let mut to = BufWriter::new(to);
    let (mut entries, mut offset) = (Vec::new(), 0);
    for (name, path, is_gzip) in files {
        let (entry, data) = packed(name, path, is_gzip, limited(offset)?)?;
        offset += write_local(&entry, data, &mut to)?;
        entries.push(entry);
    }
    let start = limited(offset)?;
    for entry in &entries {
        offset += write_central(entry, &mut to)?;
    }
    let count = u16::try_from(entries.len()).map_err(|_| wrong("too many files"))?;
    let mut end = Vec::from(*b"PK\x05\x06");
    end.extend([0; 4]);
    end.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    end.extend([limited(offset)? - start, start].map(u32::to_le_bytes).concat());
    end.extend([0; 2]);
    to.write_all(&end)?;
    to.flush()?;
    Ok(offset + end.len() as u64)
}

/// Returns the description of a file, with the part of it that the archive holds.
fn packed(name: &str, path: &Path, is_gzip: bool, offset: u32) -> io::Result<(Entry, io::Take<File>)> {
    let mut file = files::open_own(path)?;
    let length = file.metadata()?.len();
    let mut entry =
        Entry { name: name.to_owned(), method: STORED, checksum: 0, packed: limited(length)?, size: 0, offset };
    if is_gzip {
        let header = gzip_header(&file)?;
        let trailer = length.checked_sub(8).filter(|trailer| *trailer >= header);
        let trailer = trailer.ok_or_else(|| wrong("a file was not uploaded to its end"))?;
        entry.method = DEFLATED;
        entry.packed = limited(trailer - header)?;
        [entry.checksum, entry.size] = words(&read_at::<8>(&file, trailer)?);
        file.seek(SeekFrom::Start(header))?;
    } else {
        entry.size = entry.packed;
        (_, entry.checksum) = copy((&file).take(length), &mut io::sink())?;
        file.rewind()?;
    }
    let packed = u64::from(entry.packed);
    Ok((entry, file.take(packed)))
}

/// Returns the length of the header of a gzip file.
fn gzip_header(file: &File) -> io::Result<u64> {
    let damaged = || wrong("a file that was uploaded with gzip is not a gzip file");
    let start = read_at::<10>(file, 0).map_err(|_| damaged())?;
    let [0x1f, 0x8b, 8, flags, ..] = start else { return Err(damaged()) };
    // Clients write none of the optional fields.
    if flags == 0 { Ok(start.len() as u64) } else { Err(damaged()) }
}

/// Writes a file of the archive, with its header. Returns the number of bytes.
fn write_local(entry: &Entry, mut data: io::Take<File>, to: &mut impl Write) -> io::Result<u64> {
    let header = [b"PK\x03\x04".as_slice(), &common(entry), &[0; 2], entry.name.as_bytes()].concat();
    to.write_all(&header)?;
    let packed = u64::from(entry.packed);
    // The header describes the file as it was read for the checksum.
    let is_same = match entry.method {
        STORED => copy(data, to)? == (packed, entry.checksum),
        _ => io::copy(&mut data, to)? == packed,
    };
    if !is_same {
        return Err(wrong(&format!("`{}` changed while it was read: try again once nothing writes to it", entry.name)));
    }
    Ok(header.len() as u64 + packed)
}

fn write_central(entry: &Entry, to: &mut impl Write) -> io::Result<u64> {
    // Made on Unix, by version 2.0; a regular file that everybody may read.
    let attributes = (0o100_644_u32 << 16).to_le_bytes();
    let (made, none) = ([20, 3], [0; 8]);
    let offset = entry.offset.to_le_bytes();
    let name = entry.name.as_bytes();
    let header = [b"PK\x01\x02", &made[..], &common(entry), &none, &attributes, &offset, name].concat();
    to.write_all(&header)?;
    Ok(header.len() as u64)
}

/// Returns the part that both headers of a file have, from the version needed to the length of the name.
fn common(entry: &Entry) -> Vec<u8> {
    // Version 2.0, and the first day of 1980.
    let mut part = [20, UTF8, entry.method, 0, 0x21].map(u16::to_le_bytes).concat();
    part.extend([entry.checksum, entry.packed, entry.size].map(u32::to_le_bytes).concat());
    part.extend(u16::try_from(entry.name.len()).unwrap_or(u16::MAX).to_le_bytes());
    part
}

/// Lists the files of an archive, each with the position of its entry in the archive, in bytes.
///
/// # Errors
/// The file cannot be read, is not an archive, is damaged, or has a part that is not supported.
pub(super) fn entries(archive: &File) -> io::Result<Vec<(u64, Entry)>> {
    let length = archive.metadata()?.len();
    let start = length.saturating_sub(END + MAX_COMMENT);
    let tail = read_range(archive, start, length - start)?;
    let end = tail.windows(4).rposition(|four| four == b"PK\x05\x06").and_then(|at| tail.get(at..at + 20));
    let end = end.ok_or_else(|| wrong("it is no ZIP archive"))?;
    let [size, offset] = words(&end[12..20]);
    let count = usize::from(u16::from_le_bytes([end[10], end[11]]));
    if u64::from(size) > MAX_DIRECTORY || offset == u32::MAX || u64::from(offset) + u64::from(size) > length {
        return Err(wrong("the ZIP archive is damaged, or has files of 4 GB and more"));
    }
    let directory = read_range(archive, u64::from(offset), u64::from(size))?;
    let (mut found, mut rest) = (Vec::new(), &directory[..]);
    let mut at = u64::from(offset);
    while found.len() < count {
        let (entry, length) = entry(rest).ok_or_else(bad_directory)?;
        rest = &rest[length..];
        found.push((at, entry));
        at += length as u64;
    }
    Ok(found)
}

/// Reads the entry at a position that [`entries`] has returned.
///
/// # Errors
/// The file cannot be read, or has no entry there.
pub(super) fn entry_at(archive: &File, at: u64) -> io::Result<Entry> {
    let length = archive.metadata()?.len().saturating_sub(at).min(MAX_ENTRY);
    let (entry, _) = entry(&read_range(archive, at, length)?).ok_or_else(bad_directory)?;
    Ok(entry)
}

fn bad_directory() -> io::Error {
    wrong("the directory of the ZIP archive is damaged")
}

/// Reads an entry of the directory. Returns it with its length.
fn entry(directory: &[u8]) -> Option<(Entry, usize)> {
    let header = directory.get(..CENTRAL)?;
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let [checksum, packed, size] = words(&header[16..28]);
    let [offset] = words(&header[42..46]);
    let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(half(at)));
    let text = directory.get(CENTRAL..CENTRAL + name)?;
    let entry =
        Entry { name: String::from_utf8_lossy(text).into_owned(), method: half(10), checksum, packed, size, offset };
    let length = CENTRAL + name + extra + comment;
    (header.starts_with(b"PK\x01\x02") && directory.len() >= length).then_some((entry, length))
}

/// Finds the data of a file in its archive.
///
/// # Errors
/// The archive cannot be read or is damaged, or the file is compressed in a way that is not supported.
pub(super) fn data(archive: &File, entry: &Entry) -> io::Result<Data> {
    let header = read_at::<LOCAL>(archive, u64::from(entry.offset))?;
    let half = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let first = u64::from(entry.offset) + LOCAL as u64 + half(26) + half(28);
    let end = first + u64::from(entry.packed);
    if !header.starts_with(b"PK\x03\x04") || end > archive.metadata()?.len() {
        return Err(wrong("the ZIP archive is damaged"));
    }
    match entry.method {
        STORED => Ok(Data { first, end, before: Vec::new(), after: Vec::new(), is_gzip: false }),
        DEFLATED => {
            let after = [entry.checksum, entry.size].map(u32::to_le_bytes).concat();
            Ok(Data { first, end, before: GZIP.to_vec(), after, is_gzip: true })
        }
        _ => Err(wrong("the file is not compressed with deflate")),
    }
}

fn read_at<const N: usize>(file: &File, offset: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn read_range(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Reads numbers of four bytes. Numbers that `bytes` does not have are 0.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    }
    words
}

/// Remainders of all bytes, for the CRC-32 of [`copy`].
const REMAINDERS: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { 0xedb8_8320 ^ (rest >> 1) } else { rest >> 1 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

/// Copies bytes to their end. Returns their number and CRC-32.
fn copy(from: impl Read, to: &mut impl Write) -> io::Result<(u64, u32)> {
    let mut reader = BufReader::with_capacity(256 * 1024, from);
    let (mut copied, mut rest) = (0, u32::MAX);
    loop {
        let portion = reader.fill_buf()?;
        if portion.is_empty() {
            return Ok((copied, !rest));
        }
        for byte in portion {
            rest = REMAINDERS[usize::from((rest as u8) ^ byte)] ^ (rest >> 8);
        }
        to.write_all(portion)?;
        let length = portion.len();
        copied += length as u64;
        reader.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_are_read_as_they_were_written() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        // `hello\n` as gzip: 10 bytes of header, the compressed data, and 8 bytes of trailer.
        let body = [0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 0x02, 0x00];
        let trailer = [0x20, 0x30, 0x3a, 0x36, 6, 0, 0, 0];
        let gzip = [&GZIP[..], &body, &trailer].concat();
        fs::write(at("gzip"), &gzip).expect("written");
        fs::write(at("plain"), "hello\n").expect("written");
        fs::write(at("empty"), "").expect("written");
        let (gzip_at, plain, empty) = (at("gzip"), at("plain"), at("empty"));
        let written = [("a/é", gzip_at.as_path(), true), ("b", &plain, false), ("c", &empty, false)];
        let size = write(written, &File::create(at("zip")).expect("made")).expect("written");
        let archive = File::open(at("zip")).expect("there");
        assert_eq!(size, archive.metadata().expect("there").len());
        let found = entries(&archive).expect("an archive");
        for (at, entry) in &found {
            assert_eq!(&entry_at(&archive, *at).expect("an entry"), entry);
        }
        entry_at(&archive, 0).expect_err("no entry of the directory");
        let found: Vec<_> = found.into_iter().map(|(_, entry)| entry).collect();
        let named: Vec<_> = found.iter().map(|entry| (entry.name.as_str(), entry.size)).collect();
        assert_eq!(named, [("a/é", 6), ("b", 6), ("c", 0)]);
        assert_eq!(found[0].checksum, found[1].checksum, "both are the same text");
        let whole = |entry: &Entry| {
            let Data { first, end, before, after, is_gzip } = data(&archive, entry).expect("there");
            (is_gzip, [before, read_range(&archive, first, end - first).expect("read"), after].concat())
        };
        assert_eq!(whole(&found[0]), (true, gzip));
        assert_eq!(whole(&found[1]), (false, b"hello\n".to_vec()));
        assert_eq!(whole(&found[2]), (false, Vec::new()));
    }

    #[test]
    fn a_file_that_changes_between_its_checksum_and_its_copy_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("log");
        let gzip = [&GZIP[..], b"compressed, and its trailer"].concat();
        for (is_gzip, before, after, is_refused) in [
            (false, &b"0123456789"[..], &b"01234"[..], true),
            (false, b"0123456789", b"", true),
            (false, b"0123456789", b"987654321x", true),
            (false, b"0123456789", b"0123456789 and more", false),
            (true, &gzip, &gzip[..12], true),
        ] {
            fs::write(&path, before).expect("written");
            let (entry, data) = packed("log", &path, is_gzip, 0).expect("readable");
            // The same file with other content, as a program leaves it that writes to it.
            fs::write(&path, after).expect("written");
            let mut archive = Vec::new();
            match write_local(&entry, data, &mut archive) {
                Ok(_) => assert!(!is_refused && archive.ends_with(before), "{after:?}"),
                Err(error) => {
                    assert!(is_refused, "{after:?}: {error}");
                    assert_eq!(
                        error.to_string(),
                        "`log` changed while it was read: try again once nothing writes to it"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("x");
        for (content, reason) in [
            (Vec::new(), "no ZIP archive"),
            (b"PK\x05\x06".to_vec(), "no ZIP archive"),
            ([&b"PK\x05\x06"[..], &[0xff; 18]].concat(), "damaged"),
            ([&b"PK\x05\x06"[..], &[0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat(), "damaged"),
        ] {
            fs::write(&path, content).expect("written");
            let error = entries(&File::open(&path).expect("there")).expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
        }
        for cut in ["", "\u{1f}", "hello, this is no gzip file"] {
            fs::write(&path, cut).expect("written");
            let to = File::create(home.path().join("zip")).expect("made");
            write([("a", path.as_path(), true)], &to).expect_err("no gzip file");
        }
    }
}
