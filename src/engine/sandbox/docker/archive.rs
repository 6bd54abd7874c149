//! Streamed tar archives of files and folders, which copy files to and from an engine on another machine and transfer
//! build contexts.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::ignored::Ignored;
use crate::files::{FileError, Folder, Links};

/// Maximum total size in bytes of the files in an archive that is sent.
pub(super) const MAX_BYTES: u64 = 2 << 30;

/// Size in bytes of a part of an archive.
const PART: usize = 64 * 1024;

/// Maximum number of parts that wait to be received.
const MAX_PENDING_PARTS: usize = 8;

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    #[error(transparent)]
    Walk(#[from] walkdir::Error),
    #[error("cannot pack {}: {source}", path.display())]
    File { path: PathBuf, source: FileError },
    #[error("its files exceed the limit of {MAX_BYTES} bytes at {}", path.display())]
    TooLarge { path: PathBuf },
    #[error("cannot write the archive: {0}")]
    Write(#[from] io::Error),
}

/// An archive that is being written.
pub(super) struct Packing(JoinHandle<Result<Vec<PathBuf>, PackError>>);

impl Packing {
    /// Waits for the end, and returns the files that were skipped because they are neither regular files nor folders
    /// nor links.
    ///
    /// # Errors
    /// A file could not be packed, so the archive is incomplete. It is not an error if the receiver stopped
    /// reading.
    pub(super) async fn end(self) -> Result<Vec<PathBuf>, PackError> {
        match self.0.await.map_err(io::Error::other)? {
            Err(PackError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Vec::new()),
            packed => packed,
        }
    }
}

/// Packs a file under its name, or the content of a folder as [`pack_folder`] does.
pub(super) fn pack(path: &Path) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Packing) {
    let path = path.to_owned();
    packed(
        move |parts| {
            if path.is_dir() { folder(&Folder::open(&path)?, &Ignored::default(), parts) } else { file(&path, parts) }
        },
    )
}

/// Packs the content of a folder except ignored files: folders, links, and regular files of at most [`MAX_BYTES`] bytes
/// in total.
pub(super) fn pack_folder(
    root: Folder,
    ignored: Ignored,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Packing) {
    packed(move |parts| folder(&root, &ignored, parts))
}

/// Returns the parts of an archive that is written in the background.
fn packed(
    pack: impl FnOnce(&mut BufWriter<Parts>) -> Result<Vec<PathBuf>, PackError> + Send + 'static,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Packing) {
    let (sender, receiver) = mpsc::channel(MAX_PENDING_PARTS);
    let packing = spawn_blocking(move || {
        let mut parts = BufWriter::with_capacity(PART, Parts(sender.clone()));
        let packed = pack(&mut parts);
        if let Err(error) = &packed {
            // Without the error, the receiver would take the end of the parts for the end of the archive.
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
        packed
    });
    let parts = futures_util::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    (parts, Packing(packing))
}

fn folder(folder: &Folder, ignored: &Ignored, parts: impl Write) -> Result<Vec<PathBuf>, PackError> {
    // Reads through the open folder, because a step may replace the folder at its path in the meantime.
    let root = folder.path();
    let mut archive = tar::Builder::new(parts);
    archive.follow_symlinks(false);
    let mut left = MAX_BYTES;
    let mut skipped = Vec::new();
    let mut entries = walkdir::WalkDir::new(&root).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let Ok(name) = entry.path().strip_prefix(&root) else { continue };
        if ignored.has(name) {
            if entry.file_type().is_dir() && !ignored.has_exceptions() {
                entries.skip_current_dir();
            }
            continue;
        }
        if entry.file_type().is_dir() || entry.file_type().is_symlink() {
            archive.append_path_with_name(entry.path(), name)?;
            continue;
        }
        // A running step may replace this entry, so its type and size are read from the open file.
        let file = match folder.file(name, Links::Refuse) {
            Err(FileError::NotRegular(_)) => {
                skipped.push(name.to_owned());
                continue;
            }
            Err(source) => return Err(PackError::File { path: name.to_owned(), source }),
            Ok(file) => file,
        };
        append(&mut archive, name, file, &mut left)?;
    }
    archive.into_inner()?.flush()?;
    Ok(skipped)
}

fn file(path: &Path, parts: impl Write) -> Result<Vec<PathBuf>, PackError> {
    let failed = |source| PackError::File { path: path.to_owned(), source };
    let (above, name) = Folder::above(path).map_err(|error| failed(error.into()))?;
    let mut archive = tar::Builder::new(parts);
    append(&mut archive, name, above.file(name, Links::Refuse).map_err(failed)?, &mut { MAX_BYTES })?;
    archive.into_inner()?.flush()?;
    Ok(Vec::new())
}

/// Appends a file, and subtracts its size from `left`.
fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &Path,
    file: std::fs::File,
    left: &mut u64,
) -> Result<(), PackError> {
    let metadata = file.metadata()?;
    let size = metadata.len();
    *left = left.checked_sub(size).ok_or_else(|| PackError::TooLarge { path: name.to_owned() })?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&metadata);
    // As in `tar`, a file that grows in the meantime is cut, and a file that shrinks is padded.
    Ok(archive.append_data(&mut header, name, file.chain(io::repeat(0)).take(size))?)
}

/// Unpacks an archive from the engine that contains the file or folder `path`, of at most `limit` bytes, into the
/// parent folder of `path`. FIFOs, devices, entries with another name, and entries that lead out of the parent folder
/// are skipped.
///
/// # Errors
/// The engine does not send the whole archive, it is too large, or it cannot be written.
pub(super) async fn unpack<E: Into<io::Error>>(
    mut parts: impl Stream<Item = Result<Bytes, E>> + Unpin,
    path: &Path,
    limit: u64,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(MAX_PENDING_PARTS);
    let to = path.to_owned();
    let unpacking = spawn_blocking(move || entries(Received { receiver, part: Bytes::new() }, &to, limit));
    // Leaves room for headers and padding, which make up most of the archive of a small file.
    let (mut left, mut fault) = (limit.saturating_add(PART as u64), None);
    while let Some(part) = parts.next().await {
        let part = part.map_err(Into::into).and_then(|part: Bytes| {
            left = left.checked_sub(part.len() as u64).ok_or_else(|| too_large(path, limit))?;
            Ok(part)
        });
        match part {
            Ok(part) => {
                if sender.send(part).await.is_err() {
                    // The unpacking has failed, and its result has the reason.
                    break;
                }
            }
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let unpacked = unpacking.await.map_err(io::Error::other)?;
    fault.map_or(unpacked, Err)
}

fn entries(archive: impl Read, path: &Path, limit: u64) -> io::Result<()> {
    let (Some(into), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut archive = tar::Archive::new(archive);
    archive.set_preserve_permissions(true);
    let mut left = limit;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let is_special = kind.is_fifo() || kind.is_character_special() || kind.is_block_special();
        if is_special
            || entry.path()?.components().next().map(|first| first.as_os_str().to_owned()).as_deref() != Some(name)
        {
            continue;
        }
        left = left.checked_sub(entry.size()).ok_or_else(|| too_large(path, limit))?;
        entry.unpack_in(into)?;
    }
    Ok(())
}

fn too_large(path: &Path, limit: u64) -> io::Error {
    let name = path.file_name().unwrap_or(OsStr::new("/")).display();
    io::Error::new(io::ErrorKind::FileTooLarge, format!("{name} is larger than the limit of {limit} bytes"))
}

/// Writer that sends the bytes of an archive to its receiver.
struct Parts(mpsc::Sender<io::Result<Bytes>>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reader of the received parts of an archive.
struct Received {
    receiver: mpsc::Receiver<Bytes>,
    part: Bytes,
}

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.receiver.blocking_recv() {
                Some(part) => self.part = part,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.part.len());
        self.part.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    /// Packs a file or folder, and returns the archive and the skipped files.
    async fn packed(path: &Path, ignored: Ignored) -> Result<(Vec<u8>, Vec<PathBuf>), String> {
        let (parts, packing): (futures_util::stream::BoxStream<'_, _>, _) = if path.is_dir() {
            let (parts, packing) = pack_folder(Folder::open(path).expect("a folder"), ignored);
            (Box::pin(parts), packing)
        } else {
            let (parts, packing) = pack(path);
            (Box::pin(parts), packing)
        };
        let parts: Vec<_> = parts.collect().await;
        let whole = parts.iter().all(Result::is_ok);
        let skipped = packing.end().await.map_err(|error| error.to_string())?;
        assert!(whole);
        Ok((parts.into_iter().flat_map(|part| part.expect("whole").to_vec()).collect(), skipped))
    }

    async fn unpacked(archive: Vec<u8>, path: &Path, limit: u64) -> io::Result<()> {
        let parts = archive.chunks(1000).map(|part| Ok::<_, io::Error>(Bytes::copy_from_slice(part)));
        unpack(futures_util::stream::iter(parts.collect::<Vec<_>>()), path, limit).await
    }

    fn names(archive: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().expect("an archive").map(|entry| entry.expect("an entry"));
        entries.map(|entry| entry.path().expect("a path").display().to_string()).collect()
    }

    /// Returns an archive of a file or folder with its name, as the engine sends it.
    fn sent(path: &Path) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        archive.follow_symlinks(false);
        let name = path.file_name().expect("a name");
        if path.is_dir() { archive.append_dir_all(name, path) } else { archive.append_path_with_name(path, name) }
            .expect("packed");
        archive.into_inner().expect("packed")
    }

    #[tokio::test]
    async fn what_the_engine_sends_is_unpacked_at_its_place() {
        let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::create_dir(from.path().join("a")).expect("made");
        fs::write(from.path().join("a/b"), "text").expect("written");
        std::os::unix::fs::symlink("b", from.path().join("a/link")).expect("linked");
        unpacked(sent(&from.path().join("a")), &to.path().join("a"), 1000).await.expect("unpacked");
        assert_eq!(fs::read_to_string(to.path().join("a/link")).expect("there"), "text");
        unpacked(sent(&from.path().join("a/b")), &to.path().join("b"), 4).await.expect("unpacked");
        assert_eq!(fs::read_to_string(to.path().join("b")).expect("there"), "text");
        // The name of the entry differs from the requested one.
        unpacked(sent(&from.path().join("a/b")), &to.path().join("c/b/x"), 4).await.expect("skipped");
        assert!(!to.path().join("c").exists());
    }

    #[tokio::test]
    async fn what_is_larger_than_its_limit_is_neither_kept_in_memory_nor_written() {
        let to = tempfile::tempdir().expect("a folder");
        let mut header = tar::Header::new_gnu();
        header.set_path("big").expect("a path");
        header.set_size(300 << 30);
        header.set_cksum();
        let refused = "big is larger than the limit of 1000 bytes";
        // The size is detected from the header or, if the header is wrong, from the number of received bytes.
        let announced = unpacked(header.as_bytes().to_vec(), &to.path().join("big"), 1000).await;
        assert_eq!(announced.expect_err("too large").to_string(), refused);
        let endless = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[0; 512])));
        let endless =
            futures_util::stream::iter([Ok(Bytes::copy_from_slice(tar::Header::new_gnu().as_bytes()))]).chain(endless);
        let received = unpack(Box::pin(endless), &to.path().join("big"), 1000).await;
        received.expect_err("no archive");
        assert!(!to.path().join("big").exists());
    }

    #[tokio::test]
    async fn a_small_archive_of_a_large_file_with_holes_is_refused() {
        let to = tempfile::tempdir().expect("a folder");
        let octal = |field: &mut [u8; 12], value: u64| field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
        let mut header = tar::Header::new_gnu();
        header.set_path("big").expect("a path");
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(512);
        let holes = header.as_gnu_mut().expect("of GNU");
        octal(&mut holes.realsize, 7 << 30);
        octal(&mut holes.sparse[0].offset, (7 << 30) - 512);
        octal(&mut holes.sparse[0].numbytes, 512);
        header.set_cksum();
        let archive = [header.as_bytes(), &[b'x'; 512][..], &[0; 1024]].concat();
        let error = unpacked(archive, &to.path().join("big"), 1 << 20).await.expect_err("too large");
        assert_eq!(error.to_string(), "big is larger than the limit of 1048576 bytes");
        assert!(!to.path().join("big").exists());
    }

    #[tokio::test]
    async fn a_context_has_files_folders_and_links_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let at = |name: &str| from.path().join(name);
        fs::create_dir_all(at("a/empty")).expect("made");
        fs::write(at("a/b"), "text").expect("written");
        fs::write(at(&"long".repeat(40)), "long").expect("written");
        std::os::unix::fs::symlink("/dev/zero", at("a/link")).expect("linked");
        let pipe = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("a/queue"), pipe).expect("made");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
        let (archive, skipped) = packed(from.path(), Ignored::default()).await.expect("packed");
        assert_eq!(skipped, [Path::new("a/queue"), Path::new("socket")]);
        tar::Archive::new(archive.as_slice()).unpack(to.path()).expect("unpacked");
        assert_eq!(fs::read_to_string(to.path().join("a/b")).expect("there"), "text");
        assert_eq!(fs::read_to_string(to.path().join("long".repeat(40))).expect("there"), "long");
        assert_eq!(fs::read_link(to.path().join("a/link")).expect("a link"), Path::new("/dev/zero"));
        assert!(to.path().join("a/empty").is_dir());

        let refused = async || packed(from.path(), Ignored::default()).await.expect_err("refused");
        for name in ["big", "bigger"] {
            File::create(at(name)).and_then(|file| file.set_len(300 << 30)).expect("made");
        }
        assert_eq!(refused().await, "its files exceed the limit of 2147483648 bytes at big");
        fs::remove_file(at("big")).expect("removed");
        assert_eq!(refused().await, "its files exceed the limit of 2147483648 bytes at bigger");
        let (one, _) = packed(&at("a/b"), Ignored::default()).await.expect("packed");
        assert_eq!(names(&one), ["b"]);
    }

    #[tokio::test]
    async fn a_folder_that_was_opened_is_packed_whatever_is_at_its_path_now() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        for name in ["context/a", "secret/b"] {
            fs::create_dir_all(at(name).parent().expect("a parent")).expect("made");
            fs::write(at(name), "x").expect("written");
        }
        let context = Folder::open(&at("context")).expect("opened");
        fs::rename(at("context"), at("moved")).expect("moved");
        std::os::unix::fs::symlink(at("secret"), at("context")).expect("linked");
        let (parts, packing) = pack_folder(context, Ignored::default());
        let parts: Vec<_> = parts.map(|part| part.expect("whole")).collect().await;
        assert_eq!(packing.end().await.expect("packed"), Vec::<PathBuf>::new());
        assert_eq!(names(&parts.concat()), ["a"]);
    }

    #[tokio::test]
    async fn what_is_ignored_is_neither_packed_nor_counted_nor_entered() {
        let from = tempfile::tempdir().expect("a folder");
        let at = |name: &str| from.path().join(name);
        for name in ["Dockerfile", "keep", "node_modules/a", "node_modules/b/c", "docs/a.md", "docs/README.md"] {
            fs::create_dir_all(at(name).parent().expect("a parent")).expect("made");
            fs::write(at(name), "x").expect("written");
        }
        File::create(at("node_modules/big")).and_then(|file| file.set_len(300 << 30)).expect("made");
        let context = |patterns: &str| {
            fs::write(at(".dockerignore"), patterns).expect("written");
            Ignored::of_context(&Folder::open(from.path()).expect("a folder"), "Dockerfile").expect("read")
        };
        let (archive, _) =
            packed(from.path(), context("node_modules\ndocs\nDockerfile\n.dockerignore")).await.expect("packed");
        assert_eq!(names(&archive), [".dockerignore", "Dockerfile", "keep"]);
        let (archive, _) = packed(from.path(), context("*\n!docs/README.md")).await.expect("packed");
        assert_eq!(names(&archive), [".dockerignore", "Dockerfile", "docs/README.md"]);
        fs::write(at("Dockerfile.dockerignore"), "node_modules\ndocs").expect("written");
        let (archive, _) = packed(from.path(), context("keep")).await.expect("packed");
        assert_eq!(names(&archive), [".dockerignore", "Dockerfile", "Dockerfile.dockerignore", "keep"]);
    }
}
