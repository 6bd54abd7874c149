//! Releases created by steps, stored in the folder of the run. Nothing is published.
//!
//! Each release is a folder `releases/<id>/` with its description in `release.json` and its files below `assets/`. The
//! file `releases/last-id` contains the last id that was assigned.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// Maximum number of releases of a run.
const MAX_RELEASES: usize = 1000;

/// Maximum number of files of a release. GitHub's limit.
const MAX_ASSETS: usize = 1000;

/// Maximum size in bytes of the description of a release, including the descriptions of its files.
const MAX_DESCRIPTION: u64 = 1024 * 1024;

/// Maximum size in bytes of the descriptions of all releases of a run.
const MAX_DESCRIPTIONS: u64 = 16 * 1024 * 1024;

/// Maximum size in bytes of a file of a release. GitHub's limit.
const MAX_ASSET: u64 = 2 << 30;

/// Maximum size in bytes of the file with the last id.
const MAX_ID: u64 = 32;

/// Fields of a release that requests may set.
const FIELDS: &[&str] = &["tag_name", "target_commitish", "name", "body", "draft", "prerelease"];

/// The releases of a run.
pub(in crate::engine::results) struct Releases {
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    all: Vec<Value>,
    /// Sizes in bytes of the descriptions, by id.
    sizes: HashMap<u64, u64>,
    /// The last id of a release or a file. No id is used twice, not even after its release or file was removed.
    last_id: u64,
}

impl Releases {
    /// Reads the releases of a run, including those of earlier attempts. Skips releases that cannot be read.
    pub(in crate::engine::results) fn new(run: &RunFolder) -> Self {
        let folder = run.path().join("releases");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut all: Vec<Value> = entries.filter_map(|entry| read(&entry.path())).collect();
        all.sort_by_key(id_of);
        let sizes = all.iter().map(|release| (id_of(release), release.to_string().len() as u64)).collect();
        let noted = files::read_own_text(&folder.join("last-id"), MAX_ID).ok().and_then(|id| id.parse().ok());
        let in_use = all.iter().chain(all.iter().flat_map(assets)).map(id_of);
        let last_id = in_use.chain(noted).max().unwrap_or_default();
        Self { folder, state: Mutex::new(State { all, sizes, last_id }) }
    }

    fn place(&self, id: u64) -> PathBuf {
        self.folder.join(id.to_string())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a release, or updates the release `id` if an id is given. Returns the release.
    fn put(&self, id: Option<u64>, given: &Map<String, Value>) -> Result<Value, ServiceError> {
        let mut state = self.state();
        let mut release = if let Some(id) = id {
            state.find(id)?.clone()
        } else {
            let tag = given.get("tag_name").and_then(Value::as_str).unwrap_or_default();
            if tag.is_empty() {
                return Err(ServiceError::Invalid("a release needs a `tag_name`".to_owned()));
            }
            if state.all.len() >= MAX_RELEASES {
                return Err(ServiceError::Invalid(format!("a run has at most {MAX_RELEASES} releases")));
            }
            let created = written(now());
            json!({"id": self.next_id(&mut state)?, "name": tag, "body": "", "draft": false, "prerelease": false,
                   "assets": [], "created_at": created, "published_at": created})
        };
        for field in FIELDS {
            if let Some(value) = given.get(*field) {
                release[*field] = value.clone();
            }
        }
        // As on GitHub, several drafts may be for one tag.
        let is_taken = |other: &Value| !is_draft(other) && other["tag_name"] == release["tag_name"];
        let mut others = state.all.iter().filter(|other| id_of(other) != id_of(&release));
        if !is_draft(&release) && others.any(is_taken) {
            return Err(ServiceError::Duplicate { resource: "Release", field: "tag_name" });
        }
        self.replace(&mut state, release.clone())?;
        Ok(release)
    }

    /// Returns a new id.
    fn next_id(&self, state: &mut State) -> Result<u64, ServiceError> {
        let next = state.last_id + 1;
        make_private(&self.folder)?;
        atomic::write_unsynced(&self.folder.join("last-id"), next.to_string().as_bytes())?;
        state.last_id = next;
        Ok(next)
    }

    /// Writes a release, and replaces its earlier version.
    fn replace(&self, state: &mut State, release: Value) -> Result<(), ServiceError> {
        let (id, text) = (id_of(&release), release.to_string());
        let size = text.len() as u64;
        let others: u64 = state.sizes.iter().filter(|(other, _)| **other != id).map(|(_, size)| size).sum();
        if size > MAX_DESCRIPTION {
            let limit = format!("the description of a release has at most {MAX_DESCRIPTION} bytes");
            return Err(ServiceError::Invalid(limit));
        }
        if others + size > MAX_DESCRIPTIONS {
            let limit = format!("the descriptions of all releases of a run have at most {MAX_DESCRIPTIONS} bytes");
            return Err(ServiceError::Invalid(limit));
        }
        let place = self.place(id);
        make_private(&place)?;
        atomic::write_unsynced(&place.join("release.json"), text.as_bytes())?;
        state.all.retain(|other| id_of(other) != id);
        state.all.push(release);
        state.sizes.insert(id, size);
        Ok(())
    }

    /// Moves the uploaded file `data` into a release. Returns the description of the file.
    fn add(&self, id: u64, name: &str, size: u64, data: &Path) -> Result<Value, ServiceError> {
        let mut state = self.state();
        let mut release = state.with_room(id, name)?.clone();
        let folder = self.place(id).join("assets");
        make_private(&folder)?;
        let asset = json!({"id": self.next_id(&mut state)?, "name": name, "size": size, "state": "uploaded",
                           "created_at": written(now())});
        if let Some(all) = release["assets"].as_array_mut() {
            all.push(asset.clone());
        }
        // Moves the file before its description is written, because a description without its file would be wrong.
        fs::rename(data, folder.join(name))?;
        if let Err(error) = self.replace(&mut state, release) {
            fs::remove_file(folder.join(name))?;
            return Err(error);
        }
        Ok(asset)
    }

    /// Removes a release with its files, or one of its files.
    fn remove(&self, id: u64, asset: Option<&Value>) -> Result<(), ServiceError> {
        let mut state = self.state();
        let mut release = state.find(id)?.clone();
        let Some(asset) = asset else {
            fs::remove_dir_all(self.place(id))?;
            state.all.retain(|other| id_of(other) != id);
            state.sizes.remove(&id);
            return Ok(());
        };
        fs::remove_file(self.place(id).join("assets").join(asset["name"].as_str().unwrap_or_default()))?;
        if let Some(all) = release["assets"].as_array_mut() {
            all.retain(|other| id_of(other) != id_of(asset));
        }
        self.replace(&mut state, release)
    }
}

impl State {
    fn find(&self, id: u64) -> Result<&Value, ServiceError> {
        self.all.iter().find(|release| id_of(release) == id).ok_or(ServiceError::NotFound("release"))
    }

    /// Returns a release, provided that a file of this name can be added to it.
    fn with_room(&self, id: u64, name: &str) -> Result<&Value, ServiceError> {
        let release = self.find(id)?;
        if assets(release).iter().any(|asset| asset["name"] == name) {
            return Err(ServiceError::Duplicate { resource: "ReleaseAsset", field: "name" });
        }
        if assets(release).len() >= MAX_ASSETS {
            return Err(ServiceError::Invalid(format!("a release has at most {MAX_ASSETS} files")));
        }
        Ok(release)
    }
}

/// Reads a release from its folder. Returns `None` if it cannot be read, if its id is not the name of the folder, or if
/// the name of one of its files is invalid: such a name must not become part of a path.
fn read(place: &Path) -> Option<Value> {
    let text = files::read_own(&place.join("release.json"), MAX_DESCRIPTION).ok()?;
    let release: Value = serde_json::from_slice(&text).ok()?;
    let is_here = place.file_name().is_some_and(|name| name == id_of(&release).to_string().as_str());
    let is_file = |asset: &Value| asset["name"].as_str().is_some_and(is_name);
    (is_here && assets(&release).iter().all(is_file)).then_some(release)
}

fn id_of(described: &Value) -> u64 {
    described["id"].as_u64().unwrap_or_default()
}

fn is_draft(release: &Value) -> bool {
    release["draft"] == true
}

fn assets(release: &Value) -> &[Value] {
    release["assets"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Answers a request about releases. `None` if only GitHub can answer it.
pub(super) async fn answer(
    context: &Context<'_>,
    rest: &[&str],
    request: Request<Incoming>,
) -> Result<Option<Answer>, ServiceError> {
    let releases = &context.service.releases;
    let newest_first = || {
        let mut all = releases.state().all.clone();
        all.sort_by_key(|release| std::cmp::Reverse(id_of(release)));
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
            let is_final = |release: &&Value| !is_draft(release) && release["prerelease"] != true;
            json(&linked(context, all.iter().find(is_final).ok_or_else(missing)?))
        }
        (&Method::GET, ["tags", tag @ ..]) => {
            let (all, tag) = (newest_first(), tag.join("/"));
            let found = all.iter().find(|release| release["tag_name"] == tag && !is_draft(release));
            json(&linked(context, found.ok_or_else(missing)?))
        }
        (&Method::POST, []) => {
            let given = read_json(request).await?;
            let release = in_place(|| releases.put(None, &given))?;
            answer::json(StatusCode::CREATED, &linked(context, &release))
        }
        (&Method::POST, ["generate-notes"]) => {
            let given: Map<String, Value> = read_json(request).await?;
            json(&json!({"name": given.get("tag_name"), "body": ""}))
        }
        (&Method::GET, ["assets", id]) => {
            let (release, asset) = asset_of(&releases.state().all, number(id)?)?;
            let name = asset["name"].as_str().unwrap_or_default().to_owned();
            let file = files::open_own(&releases.place(release).join("assets").join(&name))?;
            let size = asset["size"].as_u64().unwrap_or_default();
            Download { file, size, media_type: "application/octet-stream".to_owned(), name: Some(name) }
                .answer(None, true)
        }
        (&Method::DELETE, ["assets", id]) => {
            let (release, asset) = asset_of(&releases.state().all, number(id)?)?;
            in_place(|| releases.remove(release, Some(&asset)))?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, [id]) => json(&linked(context, releases.state().find(number(id)?)?)),
        (&Method::PATCH, [id]) => {
            let (id, given) = (number(id)?, read_json(request).await?);
            let release = in_place(|| releases.put(Some(id), &given))?;
            json(&linked(context, &release))
        }
        (&Method::DELETE, [id]) => {
            in_place(|| releases.remove(number(id)?, None))?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, [id, "assets"]) => {
            let release = linked(context, releases.state().find(number(id)?)?);
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

/// Receives a file and adds it to a release. Returns the description of the file.
async fn upload(context: &Context<'_>, id: u64, name: &str, request: Request<Incoming>) -> Result<Value, ServiceError> {
    // Checked before the data is received, and again by `add`, because another upload may end first.
    context.service.releases.state().with_room(id, name)?;
    // The upload has no job, because all jobs of the run share the token of this request.
    let started = context.service.uploads.start(&format!("release {id} {name}"), MAX_ASSET)?;
    started.upload.put(request.into_body()).await?;
    let (folder, size) = started.upload.finish(None)?;
    in_place(|| context.service.releases.add(id, name, size, &folder.join("data")))
}

fn asset_of(all: &[Value], id: u64) -> Result<(u64, Value), ServiceError> {
    let found = all.iter().find_map(|release| {
        let asset = assets(release).iter().find(|asset| id_of(asset) == id)?;
        Some((id_of(release), asset.clone()))
    });
    found.ok_or(ServiceError::NotFound("file of a release"))
}

/// Returns a copy of the release with its URLs, which depend on the network of the client.
fn linked(context: &Context<'_>, release: &Value) -> Value {
    let (mut release, id) = (release.clone(), id_of(release));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of a run, with its releases.
    struct Case {
        _home: tempfile::TempDir,
        run: RunFolder,
        releases: Releases,
    }

    impl Case {
        fn new() -> Self {
            let home = tempfile::tempdir().expect("a folder");
            let run = RunFolder::at(home.path().join("runs/r"));
            Self { releases: Releases::new(&run), run, _home: home }
        }

        /// Begins the next attempt of the run.
        fn next_attempt(&mut self) {
            self.releases = Releases::new(&self.run);
        }

        fn put(&self, id: Option<u64>, given: &Value) -> Result<u64, String> {
            let put = self.releases.put(id, given.as_object().expect("an object"));
            put.map(|release| id_of(&release)).map_err(|error| error.to_string())
        }

        fn release(&self, tag: &str) -> u64 {
            self.put(None, &json!({"tag_name": tag})).expect("added")
        }

        fn asset(&self, release: u64, name: &str) -> Result<u64, String> {
            let data = self.run.path().join("data");
            fs::create_dir_all(self.run.path()).and_then(|()| fs::write(&data, name)).expect("written");
            let added = self.releases.add(release, name, name.len() as u64, &data);
            added.map(|asset| id_of(&asset)).map_err(|error| error.to_string())
        }

        fn remove(&self, id: u64) {
            self.releases.remove(id, None).expect("removed");
        }
    }

    #[test]
    fn an_id_is_never_given_twice() {
        let mut case = Case::new();
        let first = case.release("v1");
        let asset = case.asset(first, "a").expect("added");
        let described = asset_of(&case.releases.state().all, asset).expect("there").1;
        case.releases.remove(first, Some(&described)).expect("removed");
        let again = case.asset(first, "a").expect("added again");
        case.remove(first);
        let second = case.release("v2");
        case.remove(second);
        case.next_attempt();
        let third = case.release("v3");
        // The file with the last id is lost.
        fs::remove_file(case.run.path().join("releases/last-id")).expect("there");
        case.next_attempt();
        let last = case.release("v4");
        let ids = [first, asset, again, second, third, last];
        assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
    }

    #[test]
    fn descriptions_are_bounded_and_what_is_taken_is_there_in_the_next_attempt() {
        let mut case = Case::new();
        let large = "x".repeat(usize::try_from(MAX_DESCRIPTION).expect("fits"));
        let error = case.put(None, &json!({"tag_name": "v", "body": large})).expect_err("too large");
        assert_eq!(error, "the description of a release has at most 1048576 bytes");
        let id = case.release("v");
        case.put(Some(id), &json!({"name": large})).expect_err("too large, too");
        let fits = &large[..large.len() - 1000];
        case.put(Some(id), &json!({"body": fits})).expect("fits");
        // The descriptions of files count towards the limit.
        let mut names = (0..).map(|number| format!("{number}{}", "n".repeat(200)));
        let error = names.find_map(|name| case.asset(id, &name).err()).expect("too large");
        assert!(error.starts_with("the description of a release has at most"), "{error}");
        for number in 1..16 {
            case.put(None, &json!({"tag_name": number.to_string(), "body": fits})).expect("fits");
        }
        let error = case.put(None, &json!({"tag_name": "16", "body": fits})).expect_err("too many");
        assert_eq!(error, "the descriptions of all releases of a run have at most 16777216 bytes");
        case.next_attempt();
        let state = case.releases.state();
        let kept = state.find(id).expect("kept");
        assert_eq!((state.all.len(), kept["body"].as_str()), (16, Some(fits)));
        let files = fs::read_dir(case.releases.place(id).join("assets")).expect("there").count();
        assert_eq!(assets(kept).len(), files, "no file stays that was refused");
    }

    #[test]
    fn a_description_that_names_another_file_is_not_read() {
        let mut case = Case::new();
        let (own, other) = (case.release("v1"), case.release("v2"));
        for (name, id) in [("../../../../secret", own), ("..", own), ("fine", other)] {
            let asset = json!({"id": 9, "name": name});
            let text = json!({"id": id, "tag_name": "v1", "assets": [asset]}).to_string();
            fs::write(case.releases.place(own).join("release.json"), text).expect("written");
            case.next_attempt();
            let state = case.releases.state();
            assert_eq!(state.all.iter().map(id_of).collect::<Vec<_>>(), [other], "{name} {id}");
        }
    }

    #[test]
    fn the_number_of_releases_and_of_their_files_is_bounded() {
        let case = Case::new();
        let id = case.release("v0");
        let many: Vec<_> = (1..MAX_ASSETS as u64).map(|id| json!({"id": id, "name": id.to_string()})).collect();
        case.releases.state().all[0]["assets"] = Value::Array(many);
        case.asset(id, "0").expect("the last one");
        assert_eq!(case.asset(id, "one-more").expect_err("too many"), "a release has at most 1000 files");
        assert!(case.asset(id, "0").expect_err("taken").contains("already"));
        let error = case.put(None, &json!({"tag_name": "v0"})).expect_err("taken");
        assert_eq!(error, "the field `tag_name` of a Release has a value that another one already has");
        let many: Vec<_> = (2..=MAX_RELEASES as u64).map(|id| json!({"id": id, "assets": []})).collect();
        case.releases.state().all.extend(many);
        let error = case.put(None, &json!({"tag_name": "one-more"})).expect_err("too many");
        assert_eq!(error, "a run has at most 1000 releases");
    }
}
