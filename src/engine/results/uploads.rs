//! Uploads in progress: blocks that arrive in any order and in parallel, and become one file.
//!
//! Uploads are stored in the folder `uploads/` of the run, on the same file system as artifacts and caches, so that a
//! finished upload becomes one of them by a rename. The next worker removes files that a killed worker left there.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::engine::blocking::in_place;
use crate::files;
use crate::store::digest::hexadecimal;
use crate::store::folder::make_private;

use super::error::ServiceError;

/// Number of bytes of a body that are buffered before they are written.
const PORTION: usize = 1024 * 1024;

/// Maximum number of bytes to read and discard if data cannot be stored: the largest block of a client.
const MAX_DISCARDED: usize = 128 * 1024 * 1024;

/// Maximum number of uploads in progress.
const MAX_UPLOADS: usize = 1024;

/// The uploads of an attempt that are in progress.
pub(super) struct Uploads {
    folder: PathBuf,
    open: Mutex<HashMap<String, Arc<Upload>>>,
    next: AtomicU64,
}

/// One upload.
pub(super) struct Upload {
    /// Id of the job that uploads, see [`super::token::TokenIds`].
    pub(super) job: String,
    /// Key of the uploaded data. Only one upload can have it at a time.
    pub(super) name: String,
    folder: PathBuf,
    /// Maximum size in bytes.
    limit: u64,
    /// Number of bytes received so far, including blocks that were sent twice.
    received: AtomicU64,
    next: AtomicU64,
    /// Whether the disk was full, so that the upload was given up.
    is_given_up: AtomicBool,
    /// Offsets of the ranges of which only a part has arrived, or nothing yet.
    unfinished: Mutex<BTreeSet<u64>>,
}

/// An upload by the server itself, or by a client without a job. It ends when this is dropped: even if the client has
/// gone away, so that it can try again.
pub(super) struct ScopedUpload<'u> {
    uploads: &'u Uploads,
    id: String,
    pub(super) upload: Arc<Upload>,
}

impl Drop for ScopedUpload<'_> {
    fn drop(&mut self) {
        self.uploads.end(&self.id);
    }
}

/// Path of incomplete data, which is removed when this is dropped, unless it was moved away.
struct PartialData(PathBuf);

impl Drop for PartialData {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Uploads {
    /// Returns the empty list of uploads of an attempt. Removes files that earlier attempts left in the folder.
    ///
    /// # Errors
    /// The folder cannot be emptied.
    pub(super) fn new(folder: &Path, attempt: u32) -> io::Result<Self> {
        remove(folder)?;
        // Each attempt has a subfolder, because the last connection of an attempt may end after the next attempt has
        // started.
        let folder = folder.join(attempt.to_string());
        Ok(Self { folder, open: Mutex::default(), next: AtomicU64::new(1) })
    }

    /// Starts an upload of at most `limit` bytes. Returns its id.
    ///
    /// # Errors
    /// `name` is already being uploaded, there are too many uploads, or the folder cannot be created.
    pub(super) fn begin(&self, job: &str, name: &str, limit: u64) -> Result<String, ServiceError> {
        let mut open = self.lock();
        // An upload that was given up does not keep its name. Some of its files may remain, because the disk was full.
        for (_, upload) in open.extract_if(|_, upload| upload.name == name && upload.proceed().is_err()) {
            let _ = remove(&upload.folder);
        }
        if open.values().any(|upload| upload.name == name) {
            return Err(ServiceError::Taken("another job is uploading it"));
        }
        if open.len() >= MAX_UPLOADS {
            return Err(ServiceError::Denied("too many uploads at once"));
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let folder = self.folder.join(&id);
        make_private(&folder)?;
        let (received, next) = (AtomicU64::new(0), AtomicU64::new(1));
        let (job, name) = (job.to_owned(), name.to_owned());
        let (is_given_up, unfinished) = (AtomicBool::new(false), Mutex::default());
        let upload = Upload { job, name, folder, limit, received, next, is_given_up, unfinished };
        open.insert(id.clone(), Arc::new(upload));
        Ok(id)
    }

    /// Starts an upload of at most `limit` bytes that belongs to no job.
    ///
    /// # Errors
    /// The same as those of [`Self::begin`].
    pub(super) fn start(&self, name: &str, limit: u64) -> Result<ScopedUpload<'_>, ServiceError> {
        let id = self.begin("", name, limit)?;
        let upload = self.get(&id)?;
        Ok(ScopedUpload { uploads: self, id, upload })
    }

    /// Returns an upload by its id.
    ///
    /// # Errors
    /// There is no such upload.
    pub(super) fn get(&self, id: &str) -> Result<Arc<Upload>, ServiceError> {
        self.lock().get(id).cloned().ok_or(ServiceError::NotFound("upload"))
    }

    /// Returns the upload of a job with this name, and its id.
    ///
    /// # Errors
    /// There is no such upload.
    pub(super) fn named(&self, job: &str, name: &str) -> Result<(String, Arc<Upload>), ServiceError> {
        let open = self.lock();
        let mut found = open.iter().filter(|(_, upload)| upload.job == job && upload.name == name);
        let found = found.next().map(|(id, upload)| (id.clone(), Arc::clone(upload)));
        found.ok_or(ServiceError::NotFound("upload"))
    }

    /// Ends an upload, and removes its remaining files.
    pub(super) fn end(&self, id: &str) {
        if let Some(upload) = self.lock().remove(id)
            && let Err(error) = remove(&upload.folder)
        {
            tracing::warn!(%error, "cannot remove the rest of an upload");
        }
    }

    /// Ends all uploads of a completed job.
    pub(super) fn end_all(&self, job: &str) {
        let of_job: Vec<_> =
            self.lock().iter().filter(|(_, upload)| upload.job == job).map(|(id, _)| id.clone()).collect();
        for id in &of_job {
            self.end(id);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Upload>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        let _ = remove(&self.folder);
        // Fails if another attempt still has uploads.
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

impl Upload {
    /// Receives a block. It replaces an earlier block with the same id once it is complete.
    ///
    /// # Errors
    /// The client closes the connection before the end of the data, the data is too large, or the file system returns
    /// an error.
    pub(super) async fn put_block(&self, id: &[u8], body: impl Body<Data = Bytes> + Unpin) -> Result<(), ServiceError> {
        self.receive_file(body, &self.block(id)).await
    }

    /// Joins the listed blocks, in their order, to form the data of the upload, and then removes the blocks.
    ///
    /// # Errors
    /// A block is missing, or the file system returns an error.
    pub(super) fn commit(&self, blocks: &[Vec<u8>]) -> Result<(), ServiceError> {
        self.proceed()?;
        let part = PartialData(self.part());
        let joined = || {
            let mut whole = File::create_new(&part.0)?;
            for block in blocks {
                // Between two files, `io::copy` lets the kernel copy the data.
                io::copy(&mut files::open_own(&self.block(block))?, &mut whole)?;
            }
            fs::rename(&part.0, self.data())
        };
        joined().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if self.proceed().is_ok() => {
                ServiceError::Invalid("a block of the list was not sent".to_owned())
            }
            _ => self.failed(error),
        })?;
        for block in blocks {
            let _ = fs::remove_file(self.block(block));
        }
        Ok(())
    }

    /// Receives all data of the upload at once.
    ///
    /// # Errors
    /// The same as those of [`Self::put_block`].
    pub(super) async fn put(&self, body: impl Body<Data = Bytes> + Unpin) -> Result<(), ServiceError> {
        self.receive_file(body, &self.data()).await
    }

    /// Receives a range of the data.
    ///
    /// # Errors
    /// The same as those of [`Self::put_block`].
    pub(super) async fn put_range(
        &self,
        offset: u64,
        body: impl Body<Data = Bytes> + Unpin,
    ) -> Result<(), ServiceError> {
        if offset >= self.limit {
            return Err(ServiceError::TooLarge(self.limit));
        }
        self.proceed()?;
        let file = files::update_own(&self.data()).map_err(|error| self.failed(error))?;
        // It stays noted if the client goes away, which ends this call at any point.
        self.unfinished().insert(offset);
        self.receive(body, &file, offset).await?;
        self.unfinished().remove(&offset);
        Ok(())
    }

    /// Receives a part of one of several files that the upload consists of. Bytes of the file after the part stay.
    ///
    /// # Errors
    /// The same as those of [`Self::put_block`].
    pub(super) async fn put_file(
        &self,
        name: &str,
        offset: u64,
        body: impl Body<Data = Bytes> + Unpin,
    ) -> Result<(), ServiceError> {
        self.proceed()?;
        let file = files::update_own(&self.file(name)).map_err(|error| self.failed(error))?;
        self.receive(body, &file, offset).await
    }

    /// Returns the path of one of the files that the upload consists of.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.block(name.as_bytes())
    }

    /// Creates the data of the upload, for a part of the server to write.
    ///
    /// # Errors
    /// The file exists, or cannot be created.
    pub(super) fn create(&self) -> io::Result<File> {
        File::create_new(self.data())
    }

    /// Checks that the uploaded data has `size` bytes, if a size is given. Returns the folder with the file `data`, and
    /// the size of the file in bytes.
    ///
    /// # Errors
    /// Nothing was received, a range has not arrived completely, the data cannot be read, or its size is not `size`.
    pub(super) fn finish(&self, size: Option<u64>) -> Result<(&Path, u64), ServiceError> {
        self.proceed()?;
        let unfinished = self.unfinished().first().copied();
        if let Some(offset) = unfinished {
            // The size alone does not show a hole before a later range.
            return Err(ServiceError::Invalid(format!("the range at byte {offset} was not received to its end")));
        }
        let received = match fs::metadata(self.data()) {
            Ok(data) => data.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ServiceError::Invalid("nothing was uploaded".to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        match size {
            Some(size) if size != received => {
                Err(ServiceError::Invalid(format!("{received} bytes were uploaded, not {size}")))
            }
            _ => Ok((&self.folder, received)),
        }
    }

    async fn receive_file(&self, body: impl Body<Data = Bytes> + Unpin, path: &Path) -> Result<(), ServiceError> {
        self.proceed()?;
        // Also removed if the client goes away, which ends this call at any point.
        let part = PartialData(self.part());
        let file = File::create_new(&part.0).map_err(|error| self.failed(error))?;
        self.receive(body, &file, 0).await?;
        fs::rename(&part.0, path).map_err(|error| self.failed(error))
    }

    /// Returns an error if the upload was given up, see [`Self::failed`].
    fn proceed(&self) -> Result<(), ServiceError> {
        if self.is_given_up.load(Ordering::Relaxed) { Err(ServiceError::DiskFull) } else { Ok(()) }
    }

    /// Returns the reason to refuse data that could not be written. If the disk is full, gives up the upload of a job: it
    /// cannot become whole, and the run needs the space of what has arrived. Several jobs may share an upload without a
    /// job, so that stays.
    fn failed(&self, error: io::Error) -> ServiceError {
        self.proceed().err().unwrap_or_else(|| {
            let error = ServiceError::from(error);
            if matches!(error, ServiceError::DiskFull) && !self.job.is_empty() {
                self.is_given_up.store(true, Ordering::Relaxed);
                // If something stays, it is removed with the upload.
                let _ = remove(&self.folder);
            }
            error
        })
    }

    /// Writes a body into a file, a portion at a time.
    async fn receive(
        &self,
        mut body: impl Body<Data = Bytes> + Unpin,
        file: &File,
        mut offset: u64,
    ) -> Result<(), ServiceError> {
        let mut portion = Vec::new();
        loop {
            let data = match body.frame().await {
                None => None,
                Some(Ok(frame)) => Some(frame.into_data().unwrap_or_else(|_| Bytes::new())),
                Some(Err(_)) => return Err(ServiceError::Interrupted),
            };
            let ended = data.is_none();
            portion.extend_from_slice(&data.unwrap_or_default());
            if portion.len() >= PORTION || (ended && !portion.is_empty()) {
                let size = portion.len() as u64;
                if self.received.fetch_add(size, Ordering::Relaxed) + size > self.limit {
                    discard(body).await;
                    return Err(ServiceError::TooLarge(self.limit));
                }
                if let Err(error) = in_place(|| file.write_all_at(&portion, offset)) {
                    discard(body).await;
                    return Err(self.failed(error));
                }
                offset += size;
                portion.clear();
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn unfinished(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn block(&self, id: &[u8]) -> PathBuf {
        self.folder.join(format!("block-{}", hexadecimal(id)))
    }

    /// Returns a new path for incomplete data.
    fn part(&self) -> PathBuf {
        self.folder.join(format!("part-{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Reads and discards the rest of a body, at most [`MAX_DISCARDED`] bytes, because a client reads the answer only after
/// it has sent everything.
async fn discard(mut body: impl Body<Data = Bytes> + Unpin) {
    let mut left = MAX_DISCARDED;
    while left > 0
        && let Some(Ok(frame)) = body.frame().await
    {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
}

/// Removes a folder if it exists.
fn remove(folder: &Path) -> io::Result<()> {
    files::unless_missing(fs::remove_dir_all(folder))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    fn begun(home: &Path, job: &str) -> (Uploads, Arc<Upload>) {
        let uploads = Uploads::new(&home.join("uploads"), 1).expect("empty");
        let id = uploads.begin(job, "cache", 16 * PORTION as u64).expect("begun");
        let upload = uploads.get(&id).expect("begun");
        (uploads, upload)
    }

    fn names(upload: &Upload) -> Vec<String> {
        let files = fs::read_dir(&upload.folder).expect("a folder").flatten();
        files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn nothing_stays_of_data_that_does_not_become_whole() {
        let home = tempfile::tempdir().expect("a folder");
        let (_uploads, upload) = begun(home.path(), "a");
        let first = Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; PORTION])));
        let body = StreamBody::new(stream::iter([first]).chain(stream::pending()));
        assert!(upload.put_block(b"1", body).now_or_never().is_none(), "more is to come, and its client goes away");
        assert_eq!(names(&upload), Vec::<String>::new());
        upload.put_block(b"1", Full::new(Bytes::from("whole"))).await.expect("received");
        assert_eq!(names(&upload), ["block-31"]);
        let missing = upload.commit(&[b"1".to_vec(), b"2".to_vec()]);
        assert!(matches!(missing, Err(ServiceError::Invalid(_))));
        assert_eq!(names(&upload), ["block-31"]);
        upload.commit(&[b"1".to_vec()]).expect("whole");
        assert_eq!(names(&upload), ["data"]);
    }

    #[tokio::test]
    async fn data_with_a_hole_is_not_whole_although_it_has_its_size() {
        let home = tempfile::tempdir().expect("a folder");
        let (_uploads, upload) = begun(home.path(), "a");
        let first = Ok::<_, Infallible>(Frame::data(Bytes::from("fir")));
        let body = StreamBody::new(stream::iter([first]).chain(stream::pending()));
        assert!(upload.put_range(0, body).now_or_never().is_none(), "its client goes away");
        upload.put_range(6, Full::new(Bytes::from("second"))).await.expect("received");
        let refused = upload.finish(Some(12)).expect_err("a hole").to_string();
        assert_eq!(refused, "the range at byte 0 was not received to its end");
        upload.put_range(0, Full::new(Bytes::from("first "))).await.expect("received");
        let (folder, size) = upload.finish(Some(12)).expect("whole");
        assert_eq!((fs::read_to_string(folder.join("data")).expect("text").as_str(), size), ("first second", 12));
    }

    #[tokio::test]
    async fn an_upload_that_meets_a_full_disk_gives_its_space_back() {
        for (job, is_kept) in [("a", false), ("", true)] {
            let home = tempfile::tempdir().expect("a folder");
            let (uploads, upload) = begun(home.path(), job);
            upload.put_block(b"1", Full::new(Bytes::from("1"))).await.expect("received");
            let full = upload.failed(io::ErrorKind::StorageFull.into());
            assert!(matches!(full, ServiceError::DiskFull), "{full}");
            assert_eq!(upload.folder.exists(), is_kept, "{job}");
            let next = upload.put_block(b"2", Full::new(Bytes::from("2"))).await;
            assert_eq!(matches!(next, Err(ServiceError::DiskFull)), !is_kept, "{job}");
            let joined = upload.commit(&[b"1".to_vec()]);
            assert_eq!(matches!(joined, Err(ServiceError::DiskFull)), !is_kept, "{job}");
            assert_eq!(uploads.begin(job, "cache", 1).is_ok(), !is_kept, "{job}: the name is free again");
        }
    }

    #[test]
    fn the_rest_of_an_upload_that_was_given_up_goes_when_its_name_is_taken_again() {
        let home = tempfile::tempdir().expect("a folder");
        let (uploads, upload) = begun(home.path(), "a");
        upload.failed(io::ErrorKind::StorageFull.into());
        // Its folder could not be removed then.
        fs::create_dir_all(&upload.folder).expect("made");
        fs::write(upload.folder.join("data"), "rest").expect("written");
        uploads.begin("a", "cache", 1).expect("the name is free again");
        assert!(!upload.folder.exists());
    }

    #[test]
    fn an_upload_without_a_job_ends_with_its_request() {
        let home = tempfile::tempdir().expect("a folder");
        let uploads = Uploads::new(&home.path().join("uploads"), 1).expect("empty");
        let started = uploads.start("release 1 app.zip", 10).expect("free");
        assert!(matches!(uploads.start("release 1 app.zip", 10), Err(ServiceError::Taken(_))));
        drop(started);
        uploads.start("release 1 app.zip", 10).expect("its client may try again");
    }
}
