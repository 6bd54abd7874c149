//! The cache service in both versions: version 2 is Twirp with JSON, version 1 is a REST API.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Timestamp;
use crate::store::cache::lookup::Lookup;
use crate::store::cache::{Cache, CacheEntry, CacheLimits, MAX_KEY, key_fault};
use crate::store::clock::now;

use super::access::{CacheAccess, CacheMode};
use super::answer;
use super::answer::{Answer, Download};
use super::error::ServiceError;
use super::links::{Links, Target};
use super::numbers::{Number, written};
use super::uploads::{Upload, Uploads};

/// Maximum number of keys of a lookup, as on GitHub.
const MAX_KEYS: usize = 10;

/// Messages for refused saves and restores. Clients recognize their first words and print the text as a warning.
const WRITE_DENIED: &str = "cache write denied: the event of the run, or `cache-mode`, does not allow it";
const READ_DENIED: &str = "cache read denied: `cache-mode` does not allow it";

/// The cache service of a run.
pub(super) struct CacheService {
    cache: Cache,
    repository: String,
    access: CacheAccess,
    limits: CacheLimits,
}

/// A request of any method. Unknown fields are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CacheRequest {
    key: String,
    restore_keys: Vec<String>,
    version: String,
    size_bytes: Option<Number>,
    /// Version 1: size in bytes, sent when an upload begins.
    #[serde(rename = "cacheSize")]
    cache_size: Option<Number>,
    /// Version 1: size in bytes, sent when the upload ends.
    size: Option<Number>,
}

/// The job that sent a request, its permissions, and the parts of the server that are needed to answer it.
pub(super) struct Context<'c> {
    /// Id of the job, see [`super::token::TokenIds`].
    pub(super) job: &'c str,
    /// What the job may do.
    pub(super) mode: CacheMode,
    pub(super) uploads: &'c Uploads,
    pub(super) links: &'c Links<'c>,
}

impl CacheService {
    /// Returns the service of a run, after removing cache entries that exceed the limits.
    pub(super) fn new(cache: Cache, repository: &str, access: CacheAccess, limits: CacheLimits) -> Self {
        let service = Self { cache, repository: repository.to_owned(), access, limits };
        service.evict();
        service
    }

    /// Returns the caches that the run may use.
    pub(super) fn access(&self) -> &CacheAccess {
        &self.access
    }

    /// Handles a method call of version 2.
    ///
    /// # Errors
    /// The method does not exist, the job may not restore, a key or version is invalid, there are too many keys or
    /// uploads, the entry exists or is being uploaded, there is no such upload, its size does not match, or the file
    /// system returns an error. A save that the job's mode does not allow is not an error: its answer has `ok: false`.
    pub(super) fn call(
        &self,
        method: &str,
        request: &CacheRequest,
        context: &Context<'_>,
    ) -> Result<Value, ServiceError> {
        match method {
            "GetCacheEntryDownloadURL" => {
                let keys: Vec<_> = std::iter::once(&request.key).chain(&request.restore_keys).cloned().collect();
                Ok(self.find(&keys, &request.version, context)?.map_or_else(
                    || json!({"ok": false, "signed_download_url": "", "matched_key": ""}),
                    |entry| {
                        let link = context.links.read(&Target::Cache(entry.id()));
                        json!({"ok": true, "signed_download_url": link, "matched_key": entry.key})
                    },
                ))
            }
            "CreateCacheEntry" if !context.mode.writes() => {
                Ok(json!({"ok": false, "signed_upload_url": "", "message": WRITE_DENIED}))
            }
            "CreateCacheEntry" => {
                let upload = self.reserve(request, None, context)?;
                Ok(json!({"ok": true, "signed_upload_url": context.links.write(&Target::Upload(upload))}))
            }
            "FinalizeCacheEntryUpload" => {
                let entry = self.entry(request)?;
                let (id, upload) = context.uploads.named(context.job, &name(&entry))?;
                self.publish(entry, request.size_bytes, &id, &upload, context)?;
                // Clients only print this number. Entries have no numbers, so the id of the upload is sent.
                Ok(json!({"ok": true, "entry_id": id, "message": ""}))
            }
            _ => Err(ServiceError::BadRoute(method.to_owned())),
        }
    }

    /// Answers a lookup of version 1, with status 204 if no entry matches.
    ///
    /// # Errors
    /// The job may not restore, the keys are invalid, or the cache cannot be read.
    pub(super) fn look_up(
        &self,
        keys: &[String],
        version: &str,
        context: &Context<'_>,
    ) -> Result<Answer, ServiceError> {
        let Some(entry) = self.find(keys, version, context)? else { return Ok(answer::empty(StatusCode::NO_CONTENT)) };
        let found = json!({
            "cacheKey": entry.key,
            "scope": entry.scope,
            "cacheVersion": entry.version,
            "creationTime": written(entry.created),
            "archiveLocation": context.links.read(&Target::Cache(entry.id())),
        });
        Ok(answer::json(StatusCode::OK, &found))
    }

    /// Lists, for version 1, the entries that the run may restore and whose keys begin with `prefix`.
    ///
    /// # Errors
    /// The job may not restore, or the cache cannot be read.
    pub(super) fn list(&self, prefix: &str, context: &Context<'_>) -> Result<Answer, ServiceError> {
        check_reads(context)?;
        let mut entries = self.cache.entries()?;
        entries.retain(|entry| self.access.readable.contains(&entry.scope) && entry.key.starts_with(prefix));
        let listed = entries.iter().map(|entry| {
            json!({"cacheKey": entry.key, "scope": entry.scope, "cacheVersion": entry.version, "size": entry.size})
        });
        let listed: Vec<_> = listed.collect();
        Ok(answer::json(StatusCode::OK, &json!({"totalCount": listed.len(), "artifactCaches": listed})))
    }

    /// Starts an upload of version 1.
    ///
    /// # Errors
    /// The job may not save, the key or version is invalid, the entry exists or is being uploaded, the data is too
    /// large, there are too many uploads, or the file system returns an error.
    pub(super) fn begin(&self, request: &CacheRequest, context: &Context<'_>) -> Result<Answer, ServiceError> {
        let upload = self.reserve(request, request.cache_size, context)?;
        let number: u64 = upload.parse().unwrap_or_default();
        Ok(answer::json(StatusCode::CREATED, &json!({"cacheId": number})))
    }

    /// Ends an upload of version 1, and saves the entry.
    ///
    /// # Errors
    /// There is no such upload, it belongs to another job, its size does not match, another run has saved the same
    /// entry meanwhile, or the file system returns an error.
    pub(super) fn end(
        &self,
        upload_id: &str,
        request: &CacheRequest,
        context: &Context<'_>,
    ) -> Result<Answer, ServiceError> {
        let upload = own_upload(upload_id, context)?;
        let mut parts = upload.name.splitn(3, SEPARATOR).skip(1);
        let (Some(version), Some(key)) = (parts.next(), parts.next()) else {
            return Err(ServiceError::NotFound("upload"));
        };
        let entry =
            self.entry(&CacheRequest { key: key.to_owned(), version: version.to_owned(), ..CacheRequest::default() })?;
        self.publish(entry, request.size, upload_id, &upload, context)?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    /// Opens the data of an entry.
    ///
    /// # Errors
    /// There is no such entry, or it cannot be opened.
    pub(super) fn download(&self, id: &str) -> Result<Download, ServiceError> {
        let (file, entry) = self.cache.open(id).ok_or(ServiceError::NotFound("cache entry"))?;
        Ok(Download { file, size: entry.size, media_type: "application/octet-stream".to_owned(), name: None })
    }

    fn find(&self, keys: &[String], version: &str, context: &Context<'_>) -> Result<Option<CacheEntry>, ServiceError> {
        check_reads(context)?;
        if keys.len() > MAX_KEYS {
            return Err(ServiceError::Invalid(format!("more than {MAX_KEYS} keys")));
        }
        keys.iter().try_for_each(|key| check(key))?;
        Ok(self.cache.find(&Lookup { keys, version, scopes: &self.access.readable })?)
    }

    fn reserve(
        &self,
        request: &CacheRequest,
        size: Option<Number>,
        context: &Context<'_>,
    ) -> Result<String, ServiceError> {
        if !context.mode.writes() {
            return Err(ServiceError::Denied(WRITE_DENIED));
        }
        let entry = self.entry(request)?;
        if self.cache.contains(&entry) {
            return Err(ServiceError::Taken("cache entry with the same key, version, and scope already exists"));
        }
        match size {
            Some(size) if size.0 > self.limits.bytes => Err(ServiceError::TooLarge(self.limits.bytes)),
            _ => context.uploads.begin(context.job, &name(&entry), self.limits.bytes),
        }
    }

    fn publish(
        &self,
        mut entry: CacheEntry,
        size: Option<Number>,
        upload_id: &str,
        upload: &Arc<Upload>,
        context: &Context<'_>,
    ) -> Result<(), ServiceError> {
        let (staged, size) = upload.finish(size.map(|size| size.0))?;
        (entry.size, entry.created) = (size, now());
        let published = self.cache.publish(&entry, staged);
        context.uploads.end(upload_id);
        if !published? {
            return Err(ServiceError::Taken("another run saved the same cache entry meanwhile"));
        }
        self.evict();
        Ok(())
    }

    /// Removes entries that exceed the limits.
    fn evict(&self) {
        match self.cache.evict(self.limits, now()) {
            Ok(evicted) => evicted.iter().for_each(|entry| tracing::debug!(key = entry.key, "removed from the cache")),
            Err(error) => tracing::warn!(%error, "cannot remove old cache entries"),
        }
    }

    fn entry(&self, request: &CacheRequest) -> Result<CacheEntry, ServiceError> {
        check(&request.key)?;
        if request.version.is_empty() || request.version.len() > MAX_KEY || request.version.contains(SEPARATOR) {
            return Err(ServiceError::Invalid("`version` is missing or invalid".to_owned()));
        }
        Ok(CacheEntry {
            key: request.key.clone(),
            version: request.version.clone(),
            scope: self.access.own.clone(),
            repository: self.repository.clone(),
            size: 0,
            created: Timestamp::default(),
            used: Timestamp::default(),
        })
    }
}

/// Returns an upload, if it belongs to the job.
///
/// # Errors
/// There is no such upload, or it belongs to another job.
pub(super) fn own_upload(id: &str, context: &Context<'_>) -> Result<Arc<Upload>, ServiceError> {
    let upload = context.uploads.get(id)?;
    if upload.job == context.job { Ok(upload) } else { Err(ServiceError::Denied("the upload belongs to another job")) }
}

/// Checks that the job may restore caches.
///
/// # Errors
/// The job's mode does not allow it.
fn check_reads(context: &Context<'_>) -> Result<(), ServiceError> {
    if context.mode.reads() { Ok(()) } else { Err(ServiceError::Denied(READ_DENIED)) }
}

/// Separates the parts of an upload's key. A version never contains it.
const SEPARATOR: char = '\0';

/// Returns the key under which a cache entry is uploaded.
fn name(entry: &CacheEntry) -> String {
    format!("cache{SEPARATOR}{}{SEPARATOR}{}", entry.version, entry.key)
}

fn check(key: &str) -> Result<(), ServiceError> {
    if key_fault(key).is_some() || key.contains(SEPARATOR) {
        return Err(ServiceError::Invalid(format!("`{key}` cannot be a cache key")));
    }
    Ok(())
}
