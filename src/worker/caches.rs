//! Caches of files that are fetched for a run and kept for later runs. They may be removed at any time.

use std::path::PathBuf;

use crate::store::folder::{RunFolder, make_private};

/// Name of the cache of actions.
pub const ACTIONS: &str = "actions";

/// Name of the cache of tools that actions install.
pub(super) const TOOLS: &str = "tools";

/// Returns the folder of a cache that all runs share. `None` if there is no home folder, or if the path is not UTF-8,
/// because steps get it as text.
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let home = directories::ProjectDirs::from("", "", "cuelight")?;
    home.cache_dir().to_str().map(|cache| PathBuf::from(cache).join(name))
}

/// Returns the folder of a cache for a run: the shared one or, if there is none, one in the folder of the run. Creates
/// the parent folder of the cache.
pub(super) fn of_run(name: &str, folder: &RunFolder) -> PathBuf {
    let cache = shared(name).unwrap_or_else(|| folder.path().join(name));
    if let Some(home) = cache.parent() {
        // If this fails, writing to the cache reports the error.
        let _ = make_private(home);
    }
    cache
}
