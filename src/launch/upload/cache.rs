//! Adds an entry to the cache of a repository.

use std::fs;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::config::{Config, ConfigError};
use crate::engine::results::cache_identity;
use crate::files;
use crate::launch::caches::full_ref;
use crate::launch::request::cache_limits;
use crate::repo::git::{GitError, Repository};
use crate::repo::history::default_branch;
use crate::store::StoreError;
use crate::store::cache::{Cache, CacheEntry, key_fault};
use crate::store::clock::now;
use crate::store::digest::sha256;
use crate::store::folder::RunsDir;

use super::Staging;

/// Length in bytes of the digest that identifies paths and compression.
const VERSION: usize = 32;

/// Maximum number of bytes of the errors of `tar` that are read: the first line is shown.
const MAX_ERRORS: u64 = 4096;

/// Text at the end of what clients digest.
const SALT: &str = "1.0";

/// Compression of an archive. A client restores only archives with the compression that it would use itself: Zstandard
/// where the program `zstd` is installed, else gzip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
}

impl Compression {
    /// Returns the compression that clients use on this machine.
    #[must_use]
    pub fn here() -> Self {
        let mut zstd = Command::new("zstd");
        zstd.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if zstd.status().is_ok_and(|status| status.success()) { Self::Zstd } else { Self::Gzip }
    }

    /// Returns the name that clients digest.
    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd-without-long",
            Self::Gzip => "gzip",
        }
    }

    /// Returns the arguments of `tar`.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Zstd => &["--use-compress-program", "zstdmt"],
            Self::Gzip => &["-z"],
        }
    }
}

/// An entry to add.
#[derive(Clone, Debug)]
pub struct CacheUpload<'u> {
    /// Key.
    pub key: &'u str,
    /// Paths, written as in the `path` of the step that restores them: relative to the root of the repository,
    /// absolute, or with `~/`.
    pub paths: &'u [String],
    /// Branch, or full ref, whose runs and pull requests can restore the entry. `None` for the default branch, whose
    /// entries all runs can restore.
    pub reference: Option<&'u str>,
    /// Version of the entry; `None` for that of the paths and the compression.
    pub version: Option<&'u str>,
    /// Compression; `None` for that of this machine.
    pub compression: Option<Compression>,
}

/// An entry that was added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadedCache {
    /// The entry.
    pub entry: CacheEntry,
    /// Paths that do not exist, and are therefore not in the entry.
    pub missing: Vec<String>,
}

/// Why an entry is not added.
#[derive(Debug, thiserror::Error)]
pub enum CacheUploadError {
    /// The key is invalid.
    #[error("not a key: {0}")]
    Key(&'static str),
    /// A path is a pattern.
    #[error("`{0}` is a pattern: name the paths that it matches, and with --version the version of the step's paths")]
    Pattern(String),
    /// None of the paths exists.
    #[error("none of the paths exists below {}", .0.display())]
    NothingThere(PathBuf),
    /// The entry exists.
    #[error("the cache has `{key}` for {scope} already: `cuelight cache delete {key}` removes it")]
    Taken {
        /// The key.
        key: String,
        /// The ref.
        scope: String,
    },
    /// Another process adds an entry to a cache.
    #[error("another upload is in progress: try again once it has ended")]
    Busy,
    /// The archive is larger than the cache may be.
    #[error("the archive has more than {limit} bytes, the maximum of the cache")]
    TooLarge {
        /// Maximum size of the cache in bytes.
        limit: u64,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive with `tar`: {0}")]
    Tar(io::Error),
    /// `tar` failed.
    #[error("`tar` failed: {0}")]
    Failed(String),
    /// The folder is not in a repository.
    #[error(transparent)]
    Repository(#[from] GitError),
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds an entry to the cache of the repository around a folder, as `actions/cache` saves it at the root of the
/// repository: a step with the same paths and the key restores it. Removes entries beyond the limits of the cache.
///
/// # Errors
/// The key is invalid or taken, a path is a pattern, no path exists, another upload is in progress, `tar` fails, the
/// archive is too large, or the folder is not in a repository.
pub fn add(runs: &RunsDir, folder: &Path, upload: &CacheUpload<'_>) -> Result<UploadedCache, CacheUploadError> {
    if let Some(fault) = key_fault(upload.key) {
        return Err(CacheUploadError::Key(fault));
    }
    let repository = Repository::discover(folder)?;
    let limits = cache_limits(&Config::load(Some(&repository.root))?);
    let compression = upload.compression.unwrap_or_else(Compression::here);
    let home = std::env::home_dir().unwrap_or_default();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for path in upload.paths {
        let name = archived(path, &repository.root, &home)?;
        if repository.root.join(&name).symlink_metadata().is_ok() {
            found.push(name);
        } else {
            missing.push(path.clone());
        }
    }
    if found.is_empty() {
        return Err(CacheUploadError::NothingThere(repository.root));
    }
    let created = now();
    let mut entry = CacheEntry {
        key: upload.key.to_owned(),
        version: upload.version.map_or_else(|| version(upload.paths, compression), str::to_owned),
        scope: scope(upload.reference, &repository),
        repository: repository.slug.clone(),
        size: 0,
        created,
        // As for a client, the upload counts as the first use.
        used: created,
    };
    let cache = Cache::of(runs, &cache_identity(&repository.slug, &repository.root));
    let taken = |entry: CacheEntry| Err(CacheUploadError::Taken { key: entry.key, scope: entry.scope });
    if cache.contains(&entry) {
        return taken(entry);
    }
    let staging = Staging::below(&runs.uploads())?.ok_or(CacheUploadError::Busy)?;
    let content = staging.path().join("content");
    fs::create_dir(&content).map_err(StoreError::io("make the folder", &content))?;
    let archive = Archive { folder: &content, limit: limits.bytes };
    entry.size = pack(&found, &repository.root, compression, (staging.path(), &archive))?;
    if !cache.publish(&entry, &content)? {
        return taken(entry);
    }
    // The entry is there, and the next eviction removes the others.
    if let Err(error) = cache.evict(limits, now()) {
        tracing::warn!(%error, "entries beyond the limits of the cache are not removed");
    }
    Ok(UploadedCache { entry, missing })
}

/// Returns the version of an entry: a digest of the paths as written and of the compression.
fn version(paths: &[String], compression: Compression) -> String {
    let parts: Vec<&str> = paths.iter().map(String::as_str).chain([compression.name(), SALT]).collect();
    sha256(parts.join("|"), VERSION)
}

/// Returns the full ref whose runs restore an entry.
fn scope(reference: Option<&str>, repository: &Repository) -> String {
    match reference {
        Some(name) => full_ref(name),
        None => match default_branch(&repository.root) {
            Some(branch) => format!("refs/heads/{branch}"),
            None => repository.git_ref.clone(),
        },
    }
}

/// Returns the path of an entry of the archive: relative to the workspace for a path in it, else absolute, because the
/// workspaces of jobs are in other folders.
fn archived(path: &str, root: &Path, home: &Path) -> Result<PathBuf, CacheUploadError> {
    if path.starts_with('!') || path.contains(['*', '?', '[', '\n']) {
        return Err(CacheUploadError::Pattern(path.to_owned()));
    }
    let whole = match path.strip_prefix('~') {
        Some(below) if below.is_empty() || below.starts_with('/') => home.join(below.trim_start_matches('/')),
        _ => root.join(path),
    };
    let clean = files::cleaned(&whole);
    Ok(match clean.strip_prefix(root) {
        // The name of an option for `tar` would start with a hyphen.
        Ok(below) => Path::new(".").join(below),
        Err(_) => clean,
    })
}

/// An archive to write.
struct Archive<'a> {
    /// Folder of the archive, which becomes its file `data`.
    folder: &'a Path,
    /// Maximum size in bytes.
    limit: u64,
}

/// Writes an archive of paths below `root`. `notes` is a folder for a list of the paths and the errors of `tar`.
/// Returns the size of the archive in bytes.
fn pack(
    paths: &[PathBuf],
    root: &Path,
    compression: Compression,
    (notes, archive): (&Path, &Archive<'_>),
) -> Result<u64, CacheUploadError> {
    use std::os::unix::ffi::OsStrExt;

    let (list, errors, data) = (notes.join("paths"), notes.join("errors"), archive.folder.join("data"));
    let lines: Vec<u8> = paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\n"].concat()).collect();
    let listed = files::create_own(&list).and_then(|mut file| file.write_all(&lines));
    listed.map_err(StoreError::io("write", &list))?;
    let mut tar = Command::new("tar");
    tar.args(["--posix", "-cf", "-", "-P", "-C"]).arg(root).arg("--files-from").arg(&list);
    tar.args(compression.arguments()).stdin(Stdio::null()).stdout(Stdio::piped());
    // A second pipe could fill while the archive is read.
    tar.stderr(files::create_own(&errors).map_err(StoreError::io("write", &errors))?);
    let mut to = files::create_own(&data).map_err(StoreError::io("write", &data))?;
    let mut tar = tar.spawn().map_err(CacheUploadError::Tar)?;
    let size = copy(&mut tar, archive.limit, &mut to);
    if !matches!(size, Ok(size) if size <= archive.limit) {
        // It may have ended meanwhile.
        let _ = tar.kill();
    }
    let status = tar.wait().map_err(CacheUploadError::Tar)?;
    let size = size.map_err(StoreError::io("write", &data))?;
    if size > archive.limit {
        return Err(CacheUploadError::TooLarge { limit: archive.limit });
    }
    if status.success() {
        return Ok(size);
    }
    let mut printed = Vec::new();
    // Without its errors, the status is shown.
    let _ = files::open_own(&errors).and_then(|file| file.take(MAX_ERRORS).read_to_end(&mut printed));
    let printed = String::from_utf8_lossy(&printed).trim().lines().next().unwrap_or_default().to_owned();
    Err(CacheUploadError::Failed(if printed.is_empty() { status.to_string() } else { printed }))
}

/// Copies the output of a program up to the first byte beyond `limit`, and closes it. Returns the number of bytes.
fn copy(program: &mut Child, limit: u64, to: &mut File) -> io::Result<u64> {
    let Some(output) = program.stdout.take() else { return Ok(0) };
    io::copy(&mut output.take(limit.saturating_add(1)), to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests that the client computes, with `crypto.createHash('sha256').update(parts.join('|'))`.
    #[test]
    fn a_version_is_that_of_the_client() {
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        for (of, compression, text) in [
            (paths(&["cached"]), Compression::Zstd, "cached|zstd-without-long|1.0"),
            (paths(&["~/.npm", "node_modules"]), Compression::Gzip, "~/.npm|node_modules|gzip|1.0"),
        ] {
            assert_eq!(version(&of, compression), sha256(text, 32));
        }
        assert_eq!(
            version(&paths(&["cached"]), Compression::Gzip),
            "eea1444c592cdb007bf394011a273a7d7b4b37274a5b513c8a3d5e1a0b9b080a",
            "as a client of npm has printed it"
        );
    }

    #[test]
    fn paths_are_relative_to_the_workspace_where_that_is_possible() {
        let (root, home) = (Path::new("/repo"), Path::new("/home/ada"));
        for (path, expected) in [
            ("node_modules", "./node_modules"),
            ("./dist/", "./dist"),
            ("-x", "./-x"),
            ("a/../b", "./b"),
            ("/repo/c", "./c"),
            (".", "."),
            ("../outside", "/outside"),
            ("~/.npm", "/home/ada/.npm"),
            ("~", "/home/ada"),
            ("~x", "./~x"),
        ] {
            assert_eq!(archived(path, root, home).expect(path), Path::new(expected), "{path}");
        }
        for pattern in ["**/node_modules", "!dist", "a?", "[ab]"] {
            assert!(matches!(archived(pattern, root, home), Err(CacheUploadError::Pattern(_))), "{pattern}");
        }
    }

    #[test]
    fn an_archive_ends_at_the_limit_and_errors_of_tar_are_shown() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        for folder in ["root", "notes", "content"] {
            fs::create_dir(at(folder)).expect("made");
        }
        // It takes no space here, but `tar` writes all of it.
        File::create(at("root/large")).and_then(|file| file.set_len(1 << 30)).expect("made");
        fs::write(at("root/small"), "12").expect("written");
        let pack = |path: &str, limit| {
            let (notes, content) = (at("notes"), at("content"));
            let archive = Archive { folder: &content, limit };
            pack(&[PathBuf::from(path)], &at("root"), Compression::Gzip, (&notes, &archive))
        };
        let size = || files::own_size(&at("content/data")).expect("there");
        assert_eq!(pack("./small", 1 << 20).expect("packed"), size());
        assert!(size() > 20, "an archive");
        assert!(matches!(pack("./large", 1000), Err(CacheUploadError::TooLarge { limit: 1000 })));
        assert_eq!(size(), 1001, "nothing more is written");
        let error = pack("./none", 1 << 20).expect_err("no file").to_string();
        assert!(error.starts_with("`tar` failed: ") && error.contains("./none"), "{error}");
    }
}
