//! The artifact service, version 3: the REST protocol of `@actions/artifact` 1, whose clients send each file by itself.
//!
//! Several jobs may add files to one artifact. Whenever a client has sent its files, the artifact is published again:
//! an archive of all files so far, so clients of every version can download it. In the other direction, clients of this
//! version download the files of any archive.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_RANGE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::blocking::in_place;
use crate::files;
use crate::store::artifacts::{Artifact, data};
use crate::store::clock::now;

use super::answer::{self, Answer};
use super::archive;
use super::artifacts::{check_name, key};
use super::error::ServiceError;
use super::links::{Links, Target};
use super::router::{header, parameter, read_json};
use super::service::Service;

/// Paths of the service.
pub(super) const ARTIFACTS: &str = "/_apis/pipelines/workflows/";
pub(super) const CONTAINERS: &str = "/_apis/resources/Containers/";

/// Maximum length of a path in an artifact, in bytes.
const MAX_PATH: usize = 1024;

/// The artifacts of an attempt that clients of version 3 upload.
#[derive(Default)]
pub(super) struct Containers(Mutex<HashMap<String, Arc<Container>>>);

/// An artifact that clients of version 3 upload.
struct Container {
    /// Id of the upload with the files.
    upload: String,
    /// Number of days after which the artifact may be removed.
    days: Option<u64>,
    files: Mutex<BTreeMap<String, Sent>>,
    /// Number of the next file in the upload.
    next: AtomicU64,
    /// Held while the artifact is published.
    publishing: Mutex<()>,
}

/// A file that a client sends in one or several parts.
#[derive(Clone)]
struct Sent {
    /// Name of the file in the upload.
    id: String,
    is_gzip: bool,
    /// End of the last part that was received, in bytes.
    received: u64,
    /// Size of all parts in bytes.
    total: u64,
}

/// The bytes of a file that a part has, and the size of the file: `bytes 0-99/200`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    /// Offset after the last byte.
    end: u64,
    total: u64,
}

impl Part {
    /// Parses a `Content-Range` header. The range of an empty file is `bytes 0--1/0`.
    fn parse(header: &str) -> Option<Self> {
        let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let end = last.parse::<i64>().ok()?.checked_add(1)?;
        Some(Self { first: first.parse().ok()?, end: end.try_into().ok()?, total: total.parse().ok()? })
    }
}

/// The request that creates or finishes an artifact.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    #[serde(default)]
    name: String,
    retention_days: Option<u64>,
}

impl Containers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Container>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self, name: &str) -> Result<Arc<Container>, ServiceError> {
        self.lock().get(name).cloned().ok_or(ServiceError::NotFound("artifact"))
    }

    fn of_upload(&self, id: &str) -> Result<Arc<Container>, ServiceError> {
        let found = self.lock().values().find(|container| container.upload == id).cloned();
        found.ok_or(ServiceError::NotFound("artifact"))
    }
}

impl Container {
    fn new(upload: String, days: Option<u64>) -> Self {
        let (files, next, publishing) = (Mutex::default(), AtomicU64::new(1), Mutex::default());
        Self { upload, days, files, next, publishing }
    }

    /// Notes that a part of a file is about to arrive. Returns the name of the file in the upload.
    ///
    /// With its first part, a file gets a new name there. So nothing of an earlier file at the same path remains in it,
    /// and the earlier one does not change while an archive is written of it.
    fn begin(&self, path: &str, part: Part, is_gzip: bool) -> Result<String, ServiceError> {
        let mut files = self.files();
        if part.first > 0 {
            let begun = files.get(path).map(|sent| sent.id.clone());
            return begun.ok_or_else(|| ServiceError::Invalid(format!("the first part of `{path}` was not sent")));
        }
        if files.len() >= archive::MAX_FILES && !files.contains_key(path) {
            return Err(ServiceError::Invalid(format!("an artifact has at most {} files", archive::MAX_FILES)));
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        files.insert(path.to_owned(), Sent { id: id.clone(), is_gzip, received: 0, total: part.total });
        Ok(id)
    }

    /// Notes that a part of a file has arrived, unless the file is being sent again by now.
    fn end(&self, path: &str, id: &str, part: Part) {
        if let Some(sent) = self.files().get_mut(path).filter(|sent| sent.id == id) {
            sent.received = part.end;
        }
    }

    /// Returns the files that have arrived completely.
    fn whole(&self) -> Vec<(String, Sent)> {
        let files = self.files().clone();
        files.into_iter().filter(|(_, sent)| sent.received == sent.total).collect()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Sent>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a request of a job, whose id in the workflow is `job`. `address` is the address that the client connected
/// to.
pub(super) async fn answer(
    service: &Service,
    job: &str,
    address: &str,
    request: Request<Incoming>,
) -> Result<Answer, ServiceError> {
    let path = request.uri().path().to_owned();
    let keeps_open = request.method() == Method::PUT;
    let base = format!("http://{address}{CONTAINERS}");
    let mut answer = if let Some(container) = path.strip_prefix(CONTAINERS) {
        match *request.method() {
            Method::PUT => receive(service, container, request).await?,
            Method::GET => {
                let links = Links::new(&service.signer, address);
                in_place(|| items(service, container, &links))?
            }
            _ => return Err(ServiceError::BadRoute(path)),
        }
    } else {
        let run = path.strip_prefix(ARTIFACTS).and_then(|rest| rest.strip_suffix("/artifacts"));
        if run != Some(&service.facts.run_id) {
            return Err(ServiceError::NotFound("run"));
        }
        match *request.method() {
            Method::GET => in_place(|| list(service, &base)),
            Method::POST => {
                let description = read_json(request).await?;
                in_place(|| create(service, &description, &base))?
            }
            Method::PATCH => {
                let name = parameter(request.uri(), "artifactName").unwrap_or_default();
                in_place(|| finish(service, &name, job, &base))?
            }
            _ => return Err(ServiceError::BadRoute(path)),
        }
    };
    if !keeps_open {
        // These clients wait three minutes for the end of a connection that stays open.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

/// Creates an artifact, or finds the one that another client of this version has created.
fn create(service: &Service, description: &Description, base: &str) -> Result<Answer, ServiceError> {
    let name = &description.name;
    check_name(name)?;
    let mut all = service.containers.lock();
    let id = if let Some(container) = all.get(name) {
        container.upload.clone()
    } else {
        service.artifacts.check_free(name)?;
        // The upload has no job, because several jobs may add files.
        let upload = service.uploads.begin("", &key(name), service.artifacts.limit())?;
        all.insert(name.clone(), Arc::new(Container::new(upload.clone(), description.retention_days)));
        upload
    };
    Ok(answer::json(StatusCode::CREATED, &described(&id, name, 0, base)))
}

/// Receives a file, or a part of it.
async fn receive(service: &Service, id: &str, request: Request<Incoming>) -> Result<Answer, ServiceError> {
    let container = service.containers.of_upload(id)?;
    let path = parameter(request.uri(), "itemPath").unwrap_or_default();
    let inner = path.split_once('/').map(|(_, inner)| inner).filter(|inner| is_path(inner));
    let inner = inner.ok_or_else(|| ServiceError::Invalid(format!("`{path}` cannot be the path of a file")))?;
    let part = header(&request, CONTENT_RANGE.as_str()).and_then(Part::parse);
    let part = part.ok_or_else(|| ServiceError::Invalid("`Content-Range` is missing or invalid".to_owned()))?;
    let is_gzip = header(&request, CONTENT_ENCODING.as_str()) == Some("gzip");
    let file = container.begin(inner, part, is_gzip)?;
    let upload = service.uploads.get(&container.upload)?;
    upload.put_file(&file, part.first, request.into_body()).await?;
    container.end(inner, &file, part);
    Ok(answer::json(StatusCode::CREATED, &json!({})))
}

/// Whether a text is a path that stays in its folder.
fn is_path(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    text.len() <= MAX_PATH && !text.contains(|c: char| c.is_control() || c == '\\') && text.split('/').all(is_part)
}

/// Publishes the archive of all files of an artifact, in place of an earlier one.
fn finish(service: &Service, name: &str, job: &str, base: &str) -> Result<Answer, ServiceError> {
    let container = service.containers.named(name)?;
    let _turn = container.publishing.lock().unwrap_or_else(PoisonError::into_inner);
    let upload = service.uploads.get(&container.upload)?;
    // Another job may be sending files of the same artifact.
    let whole = container.whole().into_iter();
    let paths: Vec<_> = whole.map(|(path, sent)| (path, upload.file(&sent.id), sent.is_gzip)).collect();
    let staged = service.uploads.start(&format!("archive {name}"), service.artifacts.limit())?;
    let listed = paths.iter().map(|(path, file, is_gzip)| (path.as_str(), file.as_path(), *is_gzip));
    archive::write(listed, &staged.upload.create()?).map_err(refused)?;
    let (folder, size) = staged.upload.finish(None)?;
    let expires = container.days.map(|days| now().after(Duration::from_hours(24 * days.clamp(1, 3650))));
    let size = service.artifacts.replace(name, job, expires, (folder, size))?;
    Ok(answer::json(StatusCode::OK, &described(&container.upload, name, size, base)))
}

/// Returns the reason to refuse an archive: what clients sent is damaged or too large, or the file system returned an
/// error.
fn refused(error: io::Error) -> ServiceError {
    if error.kind() == io::ErrorKind::InvalidData { ServiceError::Invalid(error.to_string()) } else { error.into() }
}

/// Lists the artifacts of the run.
fn list(service: &Service, base: &str) -> Answer {
    let archives = newest(service.artifacts.all());
    let value: Vec<_> = archives.iter().map(|one| described(&one.id.to_string(), &one.name, one.size, base)).collect();
    answer::json(StatusCode::OK, &json!({"count": value.len(), "value": value}))
}

/// Returns the newest artifact of each name, newest first, except single files without an archive. Each attempt may
/// have one of a name, and clients take the first that they find.
fn newest(all: Vec<Artifact>) -> Vec<Artifact> {
    let mut names = HashSet::new();
    all.into_iter().rev().filter(|one| names.insert(one.name.clone()) && one.is_archive()).collect()
}

/// Describes an artifact, with the address of its container.
fn described(container: &str, name: &str, size: u64, base: &str) -> Value {
    let url = format!("{base}{container}");
    json!({"containerId": container, "name": name, "size": size, "type": "actions_storage", "url": url,
           "fileContainerResourceUrl": url, "signedContent": null})
}

/// Lists the files of an artifact, with the links to them.
fn items(service: &Service, id: &str, links: &Links<'_>) -> Result<Answer, ServiceError> {
    let artifact = service.artifacts.get(id.parse().map_err(|_| ServiceError::NotFound("artifact"))?)?;
    let entries = archive::entries(&files::open_own(&data(&service.run, artifact.id))?)?;
    let value = entries.iter().map(|(at, entry)| {
        let kind = if entry.name.ends_with('/') { "folder" } else { "file" };
        json!({"containerId": artifact.id, "path": format!("{}/{}", artifact.name, entry.name), "itemType": kind,
               "status": "created", "fileLength": entry.size,
               "contentLocation": links.read(&Target::File(artifact.id, *at))})
    });
    let value: Vec<Value> = value.collect();
    Ok(answer::json(StatusCode::OK, &json!({"count": value.len(), "value": value})))
}

/// Answers with a file of an artifact. `at` is the position of its entry, see [`archive::entries`].
///
/// # Errors
/// There is no such artifact, or the archive is damaged.
pub(super) fn download(service: &Service, id: u64, at: u64) -> Result<Answer, ServiceError> {
    let artifact = service.artifacts.get(id)?;
    let archive: File = files::open_own(&data(&service.run, artifact.id))?;
    let found = archive::data(&archive, &archive::entry_at(&archive, at)?)?;
    Ok(answer::packed(archive, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::results::uploads::Uploads;
    use crate::model::Timestamp;
    use bytes::Bytes;
    use http_body_util::Full;
    use std::fs;

    #[tokio::test]
    async fn nothing_remains_of_a_file_that_is_sent_again() {
        let home = tempfile::tempdir().expect("a folder");
        let uploads = Uploads::new(&home.path().join("uploads"), 1).expect("empty");
        let container = Container::new(uploads.begin("", "artifact a", 1000).expect("begun"), None);
        let upload = uploads.get(&container.upload).expect("begun");
        let mut names = Vec::new();
        for text in ["long text", "short"] {
            let end = text.len() as u64;
            let part = Part { first: 0, end, total: end };
            let name = container.begin("a.txt", part, false).expect("begun");
            upload.put_file(&name, 0, Full::new(Bytes::from(text))).await.expect("received");
            container.end("a.txt", &name, part);
            names.push(name);
        }
        let whole = container.whole();
        assert_eq!(whole.len(), 1);
        assert_eq!(fs::read_to_string(upload.file(&whole[0].1.id)).expect("there"), "short");
        // An archive may still be written of the earlier one.
        assert_eq!(fs::read_to_string(upload.file(&names[0])).expect("there"), "long text");
        container.end("a.txt", &names[0], Part { first: 0, end: 9, total: 9 });
        assert_eq!(container.whole().len(), 1, "a late part of the earlier file changes nothing");
        let later = Part { first: 5, end: 9, total: 9 };
        container.begin("b.txt", later, false).expect_err("without a first part");
    }

    #[test]
    fn artifacts_are_listed_newest_first_and_once_per_name() {
        let artifact = |id: u64, name: &str, media_type: &str| Artifact {
            id,
            name: name.to_owned(),
            size: 1,
            media_type: media_type.to_owned(),
            digest: None,
            created: Timestamp(0),
            expires: None,
            job: "a".to_owned(),
            attempt: 1,
        };
        let zip = "application/zip";
        let all =
            vec![artifact(1, "a", zip), artifact(2, "b", zip), artifact(3, "c", "text/plain"), artifact(4, "a", zip)];
        let listed: Vec<_> = newest(all).iter().map(|one| one.id).collect();
        assert_eq!(listed, [4, 2]);
    }

    #[test]
    fn parts_have_a_range_and_the_size_of_the_file() {
        for (header, expected) in [
            ("bytes 0-99/200", Some((0, 100, 200))),
            ("bytes 100-199/200", Some((100, 200, 200))),
            ("bytes 0--1/0", Some((0, 0, 0))),
            ("bytes 0--9/0", None),
            ("bytes 0-99/*", None),
            ("lines 0-99/200", None),
        ] {
            let part = expected.map(|(first, end, total)| Part { first, end, total });
            assert_eq!(Part::parse(header), part, "{header}");
        }
    }

    #[test]
    fn paths_stay_in_their_artifact() {
        for path in ["a", "a/b.txt", "a b/é", ".hidden", "..a"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a\\b", "a\nb", &"x".repeat(1025)] {
            assert!(!is_path(path), "{path:?}");
        }
    }
}
