//! Objects of Git LFS, with which a checkout in a container fills large files.
//!
//! Of the protocol, the batch API with the transfer `basic` is served, and only for downloads: of the objects that Git
//! LFS has brought into the user's repository. A job on this machine takes them from the repository itself.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::files;
use crate::files::Folder;
use crate::repo::git::{GitError, common_folder, git};

use super::answer;
use super::answer::{Answer, Download};
use super::error::ServiceError;
use super::links::{Links, Target, is_object_id};

/// Path of all requests, below that of the repository.
pub(super) const PATH: &str = "/info/lfs/";

/// Path of the batch API, below that of the repository.
pub(super) const BATCH: &str = "/info/lfs/objects/batch";

/// Media type of the answers.
const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// Why uploads are refused. Git LFS prints the message.
const READ_ONLY: &str = "objects of Git LFS are not taken here: push them to the server of the repository";

/// A request about several objects. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
struct Batch {
    operation: String,
    #[serde(default)]
    objects: Vec<RequestedObject>,
}

/// An object that a client asks for.
#[derive(Debug, Deserialize)]
struct RequestedObject {
    oid: String,
    size: u64,
}

/// The objects that Git LFS has brought into the user's repository.
pub(super) struct LfsObjects {
    repository: PathBuf,
    /// Folder of the objects, once git has named it. It may not exist.
    folder: OnceLock<PathBuf>,
}

impl LfsObjects {
    pub(super) fn of(repository: PathBuf) -> Self {
        Self { repository, folder: OnceLock::new() }
    }

    /// Answers a request of the batch API, with links to the objects that the repository has.
    ///
    /// # Errors
    /// The request cannot be read, or is for an upload.
    pub(super) fn batch(&self, links: &Links<'_>, request: &[u8]) -> Result<Answer, ServiceError> {
        let mut answer = answer::json(StatusCode::OK, &self.described(links, request)?);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        Ok(answer)
    }

    fn described(&self, links: &Links<'_>, request: &[u8]) -> Result<Value, ServiceError> {
        let batch: Batch = serde_json::from_slice(request)
            .map_err(|error| ServiceError::Invalid(format!("not a valid request: {error}")))?;
        if batch.operation != "download" {
            return Err(ServiceError::Denied(READ_ONLY));
        }
        // Found once for the whole request: if git fails, it is not started again for each object.
        let (folder, objects) = (self.folder(), self.open());
        let described = batch.objects.iter().map(|RequestedObject { oid, size }| {
            let found =
                objects.as_ref().and_then(|objects| open(objects, oid)).is_some_and(|(_, found)| found == *size);
            if found {
                let link = links.read(&Target::Object(oid.clone()));
                json!({"oid": oid, "size": size, "authenticated": true, "actions": {"download": {"href": link}}})
            } else {
                let missing = match folder {
                    Some(folder) => format!("it is not in {}", folder.display()),
                    None => "git does not name the folder of the objects".to_owned(),
                };
                let message = format!("{missing}, run `git lfs pull` in {}", self.repository.display());
                json!({"oid": oid, "size": size, "error": {"code": 404, "message": message}})
            }
        });
        let described: Vec<_> = described.collect();
        Ok(json!({"transfer": "basic", "objects": described, "hash_algo": "sha256"}))
    }

    /// Opens an object by its id.
    ///
    /// # Errors
    /// The repository does not have it.
    pub(super) fn download(&self, id: &str) -> Result<Download, ServiceError> {
        let found = self.open().and_then(|objects| open(&objects, id));
        let (file, size) = found.ok_or(ServiceError::NotFound("object of Git LFS"))?;
        Ok(Download { file, size, media_type: "application/octet-stream".to_owned(), name: None })
    }

    /// Opens the folder of the objects. `None` if it does not exist, or if git does not name it.
    fn open(&self) -> Option<Folder> {
        Folder::open(self.folder()?).ok()
    }

    /// Returns the folder in which Git LFS keeps the objects. `None` if git does not name it.
    fn folder(&self) -> Option<&Path> {
        if let Some(known) = self.folder.get() {
            return Some(known);
        }
        let found = folder_of(&self.repository).ok()?;
        Some(self.folder.get_or_init(|| found))
    }
}

/// Returns the folder in which Git LFS keeps the objects of a repository: `objects` in the folder that `lfs.storage`
/// names, relative to the git folder, or in `lfs` there.
fn folder_of(repository: &Path) -> Result<PathBuf, GitError> {
    let storage = git(repository, ["config", "--type=path", "--default", "", "--get", "lfs.storage"])?;
    let storage = Some(storage.trim_end_matches('\n')).filter(|storage| !storage.is_empty()).unwrap_or("lfs");
    Ok(common_folder(None, repository)?.join(storage).join("objects"))
}

/// Opens an object. Returns it with its size in bytes. `None` if it is not there, or if the id is invalid.
fn open(objects: &Folder, id: &str) -> Option<(File, u64)> {
    if !is_object_id(id) {
        return None;
    }
    let file = objects.file(&Path::new(&id[..2]).join(&id[2..4]).join(id), files::Links::Refuse).ok()?;
    let size = file.metadata().ok()?.len();
    Some((file, size))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::engine::results::token::Signer;
    use crate::engine::testing;

    #[test]
    fn objects_of_the_repository_are_served_and_the_others_named_with_the_remedy() {
        let root = tempfile::tempdir().expect("a folder");
        testing::git(root.path(), &["init", "-q"]);
        let here = "0a1b".repeat(16);
        let linked = "0a1c".repeat(16);
        let folder = root.path().join(".git/lfs/objects/0a");
        for name in ["1b", "1c"] {
            fs::create_dir_all(folder.join(name)).expect("made");
        }
        fs::write(folder.join("1b").join(&here), "large").expect("written");
        symlink("/etc/passwd", folder.join("1c").join(&linked)).expect("linked");
        let size_of_linked = fs::metadata("/etc/passwd").expect("there").len();

        let signer = Signer::new().expect("randomness");
        let links = Links::new(&signer, "127.0.0.1:80");
        let objects = LfsObjects::of(root.path().to_owned());
        let ask = |operation: &str, asked: &[(&str, u64)]| {
            let asked: Vec<_> = asked.iter().map(|(oid, size)| json!({"oid": oid, "size": size})).collect();
            let request = json!({"operation": operation, "transfers": ["basic"], "objects": asked});
            objects.described(&links, request.to_string().as_bytes())
        };
        let upper = here.to_uppercase();
        let asked = [
            (here.as_str(), 5),
            (here.as_str(), 6),
            (linked.as_str(), size_of_linked),
            (upper.as_str(), 5),
            ("../../config", 1),
        ];
        let answer = ask("download", &asked).expect("answered");
        let link = answer["objects"][0]["actions"]["download"]["href"].as_str().expect("a link");
        assert!(link.starts_with(&format!("http://127.0.0.1:80/blobs/lfs/{here}?sig=")), "{link}");
        for at in 1..asked.len() {
            let error = &answer["objects"][at]["error"];
            assert_eq!(error["code"], 404, "{at}");
            assert!(error["message"].as_str().is_some_and(|text| text.contains("`git lfs pull` in ")), "{error}");
        }
        let mut text = String::new();
        let Ok(mut found) = objects.download(&here) else { panic!("it is there") };
        found.file.read_to_string(&mut text).expect("text");
        assert_eq!((text.as_str(), found.size), ("large", 5));
        assert!(objects.download(&linked).is_err());
        assert!(matches!(ask("upload", &[(here.as_str(), 5)]), Err(ServiceError::Denied(_))));
        assert!(matches!(objects.described(&links, b"{}"), Err(ServiceError::Invalid(_))));
    }

    #[test]
    fn a_repository_without_objects_has_none() {
        let root = tempfile::tempdir().expect("a folder");
        testing::git(root.path(), &["init", "-q"]);
        let objects = LfsObjects::of(root.path().to_owned());
        assert!(matches!(objects.download(&"0".repeat(64)), Err(ServiceError::NotFound(_))));
    }

    #[test]
    fn objects_are_where_the_settings_of_git_lfs_name() {
        let (root, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        testing::git(root.path(), &["init", "-q"]);
        let id = "0a1b".repeat(16);
        let absolute = outside.path().to_str().expect("UTF-8");
        for (storage, folder) in [("shared", root.path().join(".git/shared")), (absolute, outside.path().to_owned())] {
            testing::git(root.path(), &["config", "lfs.storage", storage]);
            let objects = LfsObjects::of(root.path().to_owned());
            assert!(objects.download(&id).is_err(), "{storage}");
            let folder = folder.join("objects/0a/1b");
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join(&id), "large").expect("written");
            assert!(objects.download(&id).is_ok_and(|found| found.size == 5), "{storage}");
        }
    }
}
