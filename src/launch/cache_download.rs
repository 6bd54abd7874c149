//! Downloads an entry of the cache of a repository on this machine: the files of its archive, or the archive itself.
//!
//! Clients put absolute paths and paths that begin with `..` into their archives, for folders outside of the workspace.
//! Here these beginnings are left out, and no link is followed, so that all files come to be below the new folder.

use std::fs;
use std::fs::{File, Permissions};
use std::io;
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use tar::EntryType;

use crate::files::{Folder, Links, PartialFile};
use crate::store::StoreError;
use crate::store::cache::CacheEntry;
use crate::store::folder::RunsDir;

use super::caches;
use super::upload::cache::Compression;

/// Maximum length in bytes of the name of the new file or folder, without its extension.
const MAX_NAME: usize = 200;

/// A request for an entry.
#[derive(Clone, Copy, Debug)]
pub struct CacheDownload<'d> {
    /// The whole key.
    pub key: &'d str,
    /// Branch, or full ref, of the entry; `None` for the newest entry of any.
    pub reference: Option<&'d str>,
    /// Folder in which the new file or folder appears. It is created if it is missing.
    pub into: &'d Path,
    /// Whether the archive is written, instead of its files.
    pub is_archive: bool,
}

/// An entry that was downloaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DownloadedCache {
    /// The entry.
    pub entry: CacheEntry,
    /// The new file or folder.
    pub path: PathBuf,
    /// Number of older entries that match the request.
    pub older: usize,
}

/// Why an entry is not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum CacheDownloadError {
    /// No entry matches.
    #[error("no cache entry `{0}`; `cuelight cache` lists them")]
    Unknown(String),
    /// The file or folder exists.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The data is not an archive that is known here.
    #[error("`{0}` is not a tar archive with zstd or gzip: --archive writes its data as it is")]
    NotAnArchive(String),
    /// A path of the archive leads out of the new folder.
    #[error("its path {} leads out of the folder: --archive writes the archive itself", .0.display())]
    Outside(PathBuf),
    /// The archive cannot be decompressed, or ends too early.
    #[error("the archive is damaged")]
    Damaged,
    /// The program that decompresses the archive cannot be run.
    #[error("cannot run `{program}`: {source}")]
    Program {
        /// The program.
        program: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The archive cannot be read, or a file of it cannot be written.
    #[error("cannot unpack the archive: {0}")]
    Unpack(#[from] io::Error),
    /// The cache cannot be read, or a file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes the newest entry that matches a request into a new file or folder with the name of its key. Entries are those
/// of a repository, given as `owner/name`, or of all repositories.
///
/// # Errors
/// No entry matches, the file or folder exists, the data is not an archive, or it cannot be read or written. Nothing is left
/// of an archive that is damaged.
pub fn download(
    runs: &RunsDir,
    repository: Option<&str>,
    wanted: &CacheDownload<'_>,
) -> Result<DownloadedCache, CacheDownloadError> {
    let CacheDownload { key, reference, into, is_archive } = *wanted;
    let scope = reference.map(caches::full_ref);
    let found = caches::open(runs, repository, key, scope.as_deref())?;
    let (mut data, entry, older) = found.ok_or_else(|| CacheDownloadError::Unknown(key.to_owned()))?;
    let compression = compression(&mut data).map_err(StoreError::io("read", "the data of the entry"))?;
    let name = file_name(key);
    let path = into.join(match (is_archive, compression) {
        (false, _) => name,
        (true, Some(Compression::Zstd)) => format!("{name}.tar.zst"),
        (true, Some(Compression::Gzip)) => format!("{name}.tar.gz"),
        (true, None) => format!("{name}.data"),
    });
    if path.symlink_metadata().is_ok() {
        return Err(CacheDownloadError::Exists(path));
    }
    fs::create_dir_all(into).map_err(StoreError::io("make the folder", into))?;
    if is_archive {
        copy(&mut data, &path).map_err(StoreError::io("write", &path))?;
    } else {
        let compression = compression.ok_or_else(|| CacheDownloadError::NotAnArchive(key.to_owned()))?;
        unpack(data, compression, &path)?;
    }
    Ok(DownloadedCache { entry, path, older })
}

/// Copies an archive to a path that does not exist. The new file appears only once it is complete.
fn copy(data: &mut File, path: &Path) -> io::Result<()> {
    let mut part = PartialFile::new(path, 0o666)?;
    io::copy(data, part.file())?;
    part.finish()
}

/// Writes the files of an archive into a new folder, which appears only once it is complete.
fn unpack(data: File, compression: Compression, path: &Path) -> Result<(), CacheDownloadError> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.{random:016x}.part"));
    fs::create_dir(&part).map_err(StoreError::io("make the folder", &part))?;
    let unpacked = extract(data, compression, &part).and_then(|()| Ok(fs::rename(&part, path)?));
    if unpacked.is_err() {
        // The error is more important than a folder that cannot be removed.
        let _ = fs::remove_dir_all(&part);
    }
    unpacked
}

/// Runs the program that decompresses an archive, and writes the files of the archive into an empty folder.
fn extract(data: File, compression: Compression, folder: &Path) -> Result<(), CacheDownloadError> {
    let (program, arguments) = match compression {
        // The clients of some actions use a window of 1 GiB.
        Compression::Zstd => ("zstd", &["-dc", "--long=30"][..]),
        Compression::Gzip => ("gzip", &["-dc"][..]),
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(data).stdout(Stdio::piped()).stderr(Stdio::null());
    let folder = Folder::open(folder)?;
    let unstarted = |source| CacheDownloadError::Program { program, source };
    let mut running = command.spawn().map_err(unstarted)?;
    let archive = running.stdout.as_mut();
    let written = archive.map_or(Err(CacheDownloadError::Damaged), |archive| write_files(archive, &folder));
    if written.is_err() {
        // It may have ended meanwhile.
        let _ = running.kill();
    }
    match running.wait().map_err(unstarted)?.code() {
        Some(0) => written,
        // It was ended here, because of the error.
        None => written.and(Err(CacheDownloadError::Damaged)),
        Some(_) => Err(CacheDownloadError::Damaged),
    }
}

/// Writes the files of an archive into a folder. Other entries than files, folders and links are left out.
fn write_files(archive: &mut impl Read, folder: &Folder) -> Result<(), CacheDownloadError> {
    let mut entries = tar::Archive::new(&mut *archive);
    for entry in entries.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let written = entry.path()?.into_owned();
        let path = below(&written).ok_or(CacheDownloadError::Outside(written))?;
        // The workspace itself has no name.
        let Some(name) = path.file_name().map(Path::new) else { continue };
        let above = path.parent().unwrap_or(Path::new(""));
        match kind {
            EntryType::Directory => drop(folder.make_folders(&path)?),
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or(CacheDownloadError::Damaged)?;
                folder.make_folders(above)?.link(name, &target)?;
            }
            EntryType::Link => {
                let target = entry.link_name()?.ok_or(CacheDownloadError::Damaged)?.into_owned();
                let target = below(&target).ok_or(CacheDownloadError::Outside(target))?;
                let mut from = folder.file(&target, Links::Refuse).map_err(io::Error::from)?;
                let mut file = folder.make_folders(above)?.create(name)?;
                io::copy(&mut from, &mut file)?;
                file.set_permissions(from.metadata()?.permissions())?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut file = folder.make_folders(above)?.create(name)?;
                io::copy(&mut entry, &mut file)?;
                file.set_permissions(Permissions::from_mode(entry.header().mode()? & 0o777))?;
                if let Some(modified) = UNIX_EPOCH.checked_add(Duration::from_secs(entry.header().mtime()?)) {
                    file.set_modified(modified)?;
                }
            }
            _ => {}
        }
    }
    // The program that decompresses the archive must be able to write all of it.
    io::copy(archive, &mut io::sink())?;
    Ok(())
}

/// Returns a path of an archive without what leads out of the workspace at its beginning; `None` if it leads out after
/// that.
fn below(path: &Path) -> Option<PathBuf> {
    let inner = path.components().skip_while(|part| !matches!(part, Component::Normal(_)));
    let names = inner.map(|part| if let Component::Normal(name) = part { Some(name) } else { None });
    names.collect()
}

/// Returns the compression of an archive, by its first bytes; `None` if it is not known.
fn compression(data: &mut File) -> io::Result<Option<Compression>> {
    let mut first = Vec::new();
    data.by_ref().take(4).read_to_end(&mut first)?;
    data.rewind()?;
    Ok(match first.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd] => Some(Compression::Zstd),
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        _ => None,
    })
}

/// Returns the name of a file for a key, which may have any characters.
fn file_name(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.#@+=".contains(c);
    let name: String = key.chars().take(MAX_NAME).map(|c| if is_plain(c) { c } else { '_' }).collect();
    if name.starts_with(['.', '-']) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::store::cache::Cache;

    #[test]
    fn keys_become_names_of_files() {
        for (key, expected) in [
            ("Linux-npm-0a1b", "Linux-npm-0a1b"),
            ("../../etc", "_.._.._etc"),
            ("-rf", "_-rf"),
            ("a/b c\u{202e}", "a_b_c_"),
        ] {
            assert_eq!(file_name(key), expected);
        }
        assert_eq!(file_name(&"é".repeat(500)).len(), MAX_NAME);
    }

    #[test]
    fn the_files_of_an_archive_stay_below_a_new_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        for folder in ["work", "outside", "staged"] {
            fs::create_dir(at(folder)).expect("made");
        }
        fs::write(at("work/a"), "a").expect("written");
        fs::write(at("outside/b"), "b").expect("written");
        let mut tar = Command::new("tar");
        tar.arg("-czPf").arg(at("staged/data")).arg("-C").arg(at("work")).args(["a", "../outside/b"]);
        assert!(tar.arg(at("outside/b")).status().expect("starts").success());
        let archive = fs::read(at("staged/data")).expect("read");
        let entry = CacheEntry {
            key: "deps/1".to_owned(),
            version: "v".to_owned(),
            scope: "refs/heads/main".to_owned(),
            repository: "o/r".to_owned(),
            size: archive.len() as u64,
            created: Timestamp(1),
            ..CacheEntry::default()
        };
        let runs = RunsDir::at(home.path());
        assert!(Cache::of(&runs, "o/r").publish(&entry, &at("staged")).expect("published"));
        fs::write(at("outside/b"), "of now").expect("written");

        let into = at("into");
        let wanted = CacheDownload { key: "deps/1", reference: Some("main"), into: &into, is_archive: false };
        let done = download(&runs, Some("o/r"), &wanted).expect("downloaded");
        assert_eq!((done.path.clone(), done.entry.key.as_str(), done.older), (into.join("deps_1"), "deps/1", 0));
        let read = |path: PathBuf| fs::read_to_string(path).expect("read");
        assert_eq!((read(done.path.join("a")), read(done.path.join("outside/b"))), ("a".to_owned(), "b".to_owned()));
        let absolute = at("outside/b");
        assert_eq!(read(done.path.join(absolute.strip_prefix("/").expect("absolute"))), "b");
        assert_eq!(read(at("outside/b")), "of now");
        assert!(matches!(download(&runs, Some("o/r"), &wanted), Err(CacheDownloadError::Exists(_))));

        let done = download(&runs, None, &CacheDownload { is_archive: true, ..wanted }).expect("downloaded");
        assert_eq!(done.path, into.join("deps_1.tar.gz"));
        assert_eq!(fs::read(done.path).expect("read"), archive);
        for wanted in [CacheDownload { reference: Some("topic"), ..wanted }, CacheDownload { key: "deps", ..wanted }] {
            assert!(matches!(download(&runs, None, &wanted), Err(CacheDownloadError::Unknown(_))), "{wanted:?}");
        }
        assert!(matches!(download(&runs, Some("o/other"), &wanted), Err(CacheDownloadError::Unknown(_))));
    }

    #[test]
    fn paths_stay_below_the_folder_or_are_refused() {
        for (path, expected) in [
            ("./a/./b", Some("a/b")),
            ("../../home/ada/.npm", Some("home/ada/.npm")),
            ("/home/ada", Some("home/ada")),
            ("./", Some("")),
            ("..", Some("")),
            ("a/../b", None),
        ] {
            assert_eq!(below(Path::new(path)), expected.map(PathBuf::from), "{path}");
        }
        let home = tempfile::tempdir().expect("a folder");
        let (into, outside) = (home.path().join("into"), home.path().join("outside"));
        fs::create_dir(&into).and_then(|()| fs::create_dir(&outside)).expect("made");
        let mut archive = tar::Builder::new(Vec::new());
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(EntryType::Symlink);
        link.set_size(0);
        archive.append_link(&mut link, "link", &outside).expect("added");
        let mut file = tar::Header::new_gnu();
        file.set_size(1);
        file.set_mode(0o644);
        archive.append_data(&mut file, "link/file", &b"x"[..]).expect("added");
        let archive = archive.into_inner().expect("whole");
        write_files(&mut &archive[..], &Folder::open(&into).expect("opened")).expect_err("a link is not followed");
        assert_eq!(fs::read_dir(outside).expect("read").count(), 0);
    }

    #[test]
    fn nothing_is_left_of_a_damaged_archive() {
        let home = tempfile::tempdir().expect("a folder");
        let data = home.path().join("data");
        for (bytes, known) in [(&b"\x1f\x8b damaged"[..], true), (b"text", false), (b"", false)] {
            fs::write(&data, bytes).expect("written");
            let mut file = crate::files::open_own(&data).expect("opened");
            assert_eq!(compression(&mut file).expect("read").is_some(), known);
            let into = home.path().join("into");
            unpack(file, Compression::Gzip, &into).expect_err("damaged");
            assert_eq!(fs::read_dir(home.path()).expect("read").count(), 1);
        }
    }
}
