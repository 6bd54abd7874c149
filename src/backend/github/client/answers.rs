//! Stores answers on disk, for conditional requests: one file per token and URL, shared by all processes of the user.
//!
//! A file holds a line of JSON (URL, `ETag`, next page) and the body. Its modification time is the time of the data, so
//! an unchanged answer needs no write. Files of other tokens are never read: the digest of the token is in the file
//! name.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::Timestamp;
use crate::store::{atomic, digest, folder};

/// Maximum number of answers of all servers and tokens.
const MAX_ANSWERS: usize = 1000;
/// Maximum size of all answers together, in bytes.
const MAX_BYTES: u64 = 200 << 20;
/// Maximum size of one file, in bytes.
const MAX_FILE: u64 = 9 << 20;
/// Number of writes between two checks of the number and size of the files.
const WRITES_BETWEEN_TRIMS: u32 = 64;

pub(super) struct Answers {
    folder: PathBuf,
    owner: String,
    writes: AtomicU32,
}

/// A stored answer.
pub(super) struct Stored {
    pub(super) etag: Option<String>,
    /// Path of the next page; `None` on the last one.
    pub(super) next: Option<String>,
    pub(super) body: Bytes,
    pub(super) at: Timestamp,
    /// Shortest time between two polls, in seconds, that the server asks for.
    pub(super) poll_interval: u64,
}

#[derive(Serialize, Deserialize)]
struct Head {
    url: String,
    etag: Option<String>,
    next: Option<String>,
    #[serde(default)]
    poll_interval: u64,
}

impl Answers {
    /// Opens the cache in `folder` for `owner`, the digest of a token.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(super) fn new(folder: &Path, owner: &str) -> io::Result<Self> {
        folder::make_private(folder)?;
        Ok(Self { folder: folder.to_owned(), owner: owner.to_owned(), writes: AtomicU32::new(0) })
    }

    fn path(&self, url: &str) -> PathBuf {
        self.folder.join(format!("{}-{}", self.owner, digest::sha256(url, 16)))
    }

    /// Returns the stored answer. `None` if the file is missing or damaged.
    pub(super) fn read(&self, url: &str) -> Option<Stored> {
        let path = self.path(url);
        let text = files::read_own(&path, MAX_FILE).ok()?;
        let modified = fs::symlink_metadata(&path).and_then(|file| file.modified()).ok()?;
        let end = memchr::memchr(b'\n', &text)?;
        let head: Head = serde_json::from_slice(&text[..end]).ok().filter(|head: &Head| head.url == url)?;
        let at = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = Timestamp(u64::try_from(at.as_millis()).unwrap_or_default());
        let body = Bytes::from(text).slice(end + 1..);
        Some(Stored { etag: head.etag, next: head.next, body, at, poll_interval: head.poll_interval })
    }

    /// Stores an answer that is not larger than [`MAX_FILE`], and removes the oldest answers after some writes. Errors
    /// are ignored: the next request then fetches the answer again.
    pub(super) fn write(&self, url: &str, stored: &Stored) {
        let (etag, next) = (stored.etag.clone(), stored.next.clone());
        let head = Head { url: url.to_owned(), etag, next, poll_interval: stored.poll_interval };
        let Ok(mut text) = serde_json::to_vec(&head) else { return };
        text.push(b'\n');
        text.extend_from_slice(&stored.body);
        if text.len() as u64 > MAX_FILE {
            return;
        }
        let path = self.path(url);
        if atomic::write_unsynced(&path, &text).is_ok() {
            set_time(&path, stored.at);
        }
        if self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(WRITES_BETWEEN_TRIMS) {
            trim(&self.folder, MAX_ANSWERS, MAX_BYTES);
        }
    }

    /// Returns the time of the newest answer for this owner; `None` if there are no answers.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        let entries = fs::read_dir(&self.folder).ok()?.flatten();
        let ours = entries.filter(|entry| {
            let name = entry.file_name();
            name.to_str().and_then(|name| name.strip_prefix(&self.owner)).is_some_and(|rest| rest.starts_with('-'))
        });
        let newest = ours.filter_map(|entry| entry.metadata().and_then(|file| file.modified()).ok()).max()?;
        u64::try_from(newest.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok().map(Timestamp)
    }

    /// Records that an answer was still valid at a time.
    pub(super) fn confirm(&self, url: &str, at: Timestamp) {
        set_time(&self.path(url), at);
    }
}

fn set_time(path: &Path, at: Timestamp) {
    let time = UNIX_EPOCH + Duration::from_millis(at.0);
    // If this fails, the answer is only fetched again sooner.
    let _ = files::append_own(path).and_then(|file: File| file.set_modified(time));
}

/// Removes the oldest answers until at most `most` files and `bytes` bytes are left.
fn trim(folder: &Path, most: usize, bytes: u64) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut found: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let Ok(file) = entry.metadata() else { continue };
        found.push((file.modified().unwrap_or(UNIX_EPOCH), file.len(), entry.path()));
    }
    found.sort_by_key(|(modified, ..)| Reverse(*modified));
    let mut total = 0;
    for (at, (_, size, path)) in found.iter().enumerate() {
        total += size;
        if at >= most || total > bytes {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::PermissionsExt;

    fn stored(body: &str, at: u64) -> Stored {
        let body = Bytes::from(body.to_owned());
        Stored {
            etag: Some("W/\"1\"".to_owned()),
            next: Some("/x?page=2".to_owned()),
            body,
            at: Timestamp(at),
            poll_interval: 0,
        }
    }

    #[test]
    fn an_answer_is_read_back_by_its_owner_alone_and_its_time_can_be_renewed() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("answers");
        let (ours, theirs) = (Answers::new(&folder, "a").expect("made"), Answers::new(&folder, "b").expect("made"));
        ours.write("https://h/x", &stored("{\"a\":\n1}", 5_000));
        let read = ours.read("https://h/x").expect("stored");
        assert_eq!((&read.body[..], read.at), (b"{\"a\":\n1}".as_slice(), Timestamp(5_000)));
        assert_eq!((read.etag.as_deref(), read.next.as_deref()), (Some("W/\"1\""), Some("/x?page=2")));
        assert_eq!((ours.newest(), theirs.newest()), (Some(Timestamp(5_000)), None));
        assert!(theirs.read("https://h/x").is_none() && ours.read("https://h/y").is_none());
        ours.confirm("https://h/x", Timestamp(9_000));
        assert_eq!(ours.read("https://h/x").expect("stored").at, Timestamp(9_000));
        let path = ours.path("https://h/x");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        fs::write(&path, "{\"url\":").expect("damaged");
        assert!(ours.read("https://h/x").is_none());
    }

    #[test]
    fn the_oldest_answers_are_removed() {
        let home = tempfile::tempdir().expect("a folder");
        let answers = Answers::new(home.path(), "a").expect("made");
        for at in 1..=6 {
            answers.write(&format!("u{at}"), &stored(&"x".repeat(100), at * 1000));
        }
        trim(home.path(), 4, u64::MAX);
        let left =
            |answers: &Answers| (1..=6).filter(|at| answers.read(&format!("u{at}")).is_some()).collect::<Vec<_>>();
        assert_eq!(left(&answers), [3, 4, 5, 6]);
        trim(home.path(), 4, 400);
        assert_eq!(left(&answers), [5, 6]);
    }
}
