//! Releases that steps make: records in the folder of the run. Nothing is published.
//!
//! Each is a folder `releases/<id>/` with its description in `release.json` and its files below `assets/`.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};

use crate::engine::blocking::in_place;
use crate::files;
use crate::store::artifacts::is_name;
use crate::store::atomic;
use crate::store::clock::now;
use crate::store::folder::{RunFolder, make_private};

use super::super::answer::{self, Answer, Download};
use super::super::error::ServiceError;
use super::super::numbers::written;
use super::super::router::{parameter, read_json};
use super::{Context, json, page, plain};

/// Maximum size of a description in bytes.
const MAX_DESCRIPTION: u64 = 8 * 1024 * 1024;

/// Maximum size in bytes of a file of a release. GitHub's limit.
const MAX_ASSET: u64 = 2 << 30;

/// Fields of a release that requests may set.
const FIELDS: &[&str] = &["tag_name", "target_commitish", "name", "body", "draft", "prerelease"];

/// The releases of a run.
pub(in crate::engine::results) struct Releases {
    folder: PathBuf,
    all: Mutex<Vec<Value>>,
}

impl Releases {
    /// Returns the releases of a run, with those of its earlier attempts.
    pub(in crate::engine::results) fn new(run: &RunFolder) -> Self {
        let folder = run.path().join("releases");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let read = |path: PathBuf| serde_json::from_slice(&files::read_own(&path, MAX_DESCRIPTION).ok()?).ok();
        let mut all: Vec<Value> = entries.filter_map(|entry| read(entry.path().join("release.json"))).collect();
        all.sort_by_key(|release| release["id"].as_u64());
        Self { folder, all: Mutex::new(all) }
    }

    fn place(&self, id: u64) -> PathBuf {
        self.folder.join(id.to_string())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a release, or changes the one with this id. Returns it.
    fn put(&self, id: Option<u64>, given: &Map<String, Value>) -> Result<Value, ServiceError> {
        let mut all = self.lock();
        let mut release = if let Some(id) = id {
            find(&all, id)?.clone()
        } else {
            let tag = given.get("tag_name").and_then(Value::as_str).unwrap_or_default();
            if tag.is_empty() {
                return Err(ServiceError::Invalid("a release needs a `tag_name`".to_owned()));
            }
            let next = all.iter().filter_map(|release| release["id"].as_u64()).max().unwrap_or_default() + 1;
            let created = written(now());
            json!({"id": next, "name": tag, "body": "", "draft": false, "prerelease": false, "assets": [],
                       "created_at": created, "published_at": created})
        };
        for field in FIELDS {
            if let Some(value) = given.get(*field) {
                release[*field] = value.clone();
            }
        }
        self.write(&release)?;
        all.retain(|other| other["id"] != release["id"]);
        all.push(release.clone());
        Ok(release)
    }

    fn write(&self, release: &Value) -> Result<(), ServiceError> {
        let place = self.place(release["id"].as_u64().unwrap_or_default());
        make_private(&place)?;
        Ok(atomic::write_unsynced(&place.join("release.json"), release.to_string().as_bytes())?)
    }

    /// Adds a file that was uploaded to a folder.
    fn add(&self, id: u64, name: &str, size: u64, data: &std::path::Path) -> Result<Value, ServiceError> {
        let mut all = self.lock();
        let next = all.iter().flat_map(assets).filter_map(|asset| asset["id"].as_u64()).max().unwrap_or_default() + 1;
        let mut release = find(&all, id)?.clone();
        if assets(&release).iter().any(|asset| asset["name"] == name) {
            return Err(ServiceError::Taken("the release has a file of this name already"));
        }
        let folder = self.place(id).join("assets");
        make_private(&folder)?;
        fs::rename(data, folder.join(name))?;
        let asset = json!({"id": next, "name": name, "size": size, "state": "uploaded", "created_at": written(now())});
        if let Some(all) = release["assets"].as_array_mut() {
            all.push(asset.clone());
        }
        self.write(&release)?;
        all.retain(|other| other["id"] != release["id"]);
        all.push(release);
        Ok(asset)
    }

    /// Removes a release with its files, or the file of one.
    fn remove(&self, id: u64, asset: Option<&Value>) -> Result<(), ServiceError> {
        let mut all = self.lock();
        let mut release = find(&all, id)?.clone();
        match asset {
            None => fs::remove_dir_all(self.place(id))?,
            Some(asset) => {
                fs::remove_file(self.place(id).join("assets").join(asset["name"].as_str().unwrap_or_default()))?;
                if let Some(all) = release["assets"].as_array_mut() {
                    all.retain(|other| other["id"] != asset["id"]);
                }
                self.write(&release)?;
            }
        }
        all.retain(|other| other["id"] != release["id"]);
        all.extend(asset.map(|_| release));
        Ok(())
    }
}

fn find(all: &[Value], id: u64) -> Result<&Value, ServiceError> {
    all.iter().find(|release| release["id"].as_u64() == Some(id)).ok_or(ServiceError::NotFound("release"))
}

fn assets(release: &Value) -> &[Value] {
    release["assets"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Answers a request about releases; `None` if only GitHub can.
pub(super) async fn answer(
    context: &Context<'_>,
    rest: &[&str],
    request: Request<Incoming>,
) -> Result<Option<Answer>, ServiceError> {
    let releases = &context.service.releases;
    let newest_first = || {
        let mut all = releases.lock().clone();
        all.sort_by_key(|release| std::cmp::Reverse(release["id"].as_u64()));
        all
    };
    let missing = || ServiceError::NotFound("release");
    let number = |text: &str| text.parse::<u64>().map_err(|_| missing());
    let uri = request.uri().clone();
    let answer = match (request.method(), rest) {
        (&Method::GET, []) => {
            let all: Vec<_> = newest_first().iter().map(|release| linked(context, release)).collect();
            page(&all, &uri, &context.base, plain)
        }
        (&Method::GET, ["latest"]) => {
            let all = newest_first();
            let is_final = |release: &&Value| release["draft"] != true && release["prerelease"] != true;
            json(&linked(context, all.iter().find(is_final).ok_or_else(missing)?))
        }
        (&Method::GET, ["tags", tag @ ..]) => {
            let (all, tag) = (newest_first(), tag.join("/"));
            json(&linked(context, all.iter().find(|release| release["tag_name"] == tag).ok_or_else(missing)?))
        }
        (&Method::POST, []) => {
            let release = releases.put(None, &read_json(request).await?)?;
            answer::json(StatusCode::CREATED, &linked(context, &release))
        }
        (&Method::POST, ["generate-notes"]) => {
            let given: Map<String, Value> = read_json(request).await?;
            json(&json!({"name": given.get("tag_name"), "body": ""}))
        }
        (&Method::GET, ["assets", id]) => {
            let (release, asset) = asset_of(&releases.lock(), number(id)?)?;
            let name = asset["name"].as_str().unwrap_or_default().to_owned();
            let file = files::open_own(&releases.place(release).join("assets").join(&name))?;
            let size = asset["size"].as_u64().unwrap_or_default();
            Download { file, size, media_type: "application/octet-stream".to_owned(), name: Some(name) }
                .answer(None, true)
        }
        (&Method::DELETE, ["assets", id]) => {
            let (release, asset) = asset_of(&releases.lock(), number(id)?)?;
            in_place(|| releases.remove(release, Some(&asset)))?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, [id]) => json(&linked(context, find(&releases.lock(), number(id)?)?)),
        (&Method::PATCH, [id]) => {
            let release = releases.put(Some(number(id)?), &read_json(request).await?)?;
            json(&linked(context, &release))
        }
        (&Method::DELETE, [id]) => {
            in_place(|| releases.remove(number(id)?, None))?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, [id, "assets"]) => {
            let release = linked(context, find(&releases.lock(), number(id)?)?);
            page(assets(&release), &uri, &context.base, plain)
        }
        (&Method::POST, [id, "assets"]) => {
            let name = parameter(&uri, "name").filter(|name| is_name(name));
            let name = name.ok_or_else(|| ServiceError::Invalid("the file needs a `name`".to_owned()))?;
            answer::json(StatusCode::CREATED, &upload(context, number(id)?, &name, request).await?)
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// Receives a file of a release.
async fn upload(context: &Context<'_>, id: u64, name: &str, request: Request<Incoming>) -> Result<Value, ServiceError> {
    let uploads = &context.service.uploads;
    // The token is that of all jobs of the run.
    let started = uploads.begin("", &format!("release {id} {name}"), MAX_ASSET)?;
    let received = async {
        let upload = uploads.get(&started)?;
        upload.put(request.into_body()).await?;
        let (folder, size) = upload.finish(None)?;
        in_place(|| context.service.releases.add(id, name, size, &folder.join("data")))
    };
    let received = received.await;
    uploads.end(&started);
    received
}

fn asset_of(all: &[Value], id: u64) -> Result<(u64, Value), ServiceError> {
    let found = all.iter().find_map(|release| {
        let asset = assets(release).iter().find(|asset| asset["id"].as_u64() == Some(id))?;
        Some((release["id"].as_u64()?, asset.clone()))
    });
    found.ok_or(ServiceError::NotFound("file of a release"))
}

/// Adds the addresses, which depend on the network of the client.
fn linked(context: &Context<'_>, release: &Value) -> Value {
    let (mut release, id) = (release.clone(), release["id"].as_u64().unwrap_or_default());
    let place = context.service.releases.place(id);
    let url = format!("{}/repos/{}/releases", context.base, context.name);
    for asset in release["assets"].as_array_mut().into_iter().flatten() {
        let file = place.join("assets").join(asset["name"].as_str().unwrap_or_default());
        asset["url"] = json!(format!("{url}/assets/{}", asset["id"]));
        asset["browser_download_url"] = json!(format!("file://{}", file.display()));
    }
    release["url"] = json!(format!("{url}/{id}"));
    release["assets_url"] = json!(format!("{url}/{id}/assets"));
    release["upload_url"] = json!(format!("{url}/{id}/assets{{?name,label}}"));
    release["html_url"] = json!(format!("file://{}", place.display()));
    release
}
