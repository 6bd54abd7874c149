//! Selects the cache entry for the keys of a step.

use super::CacheEntry;

/// Request for a cache entry.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'l> {
    /// Keys, best first: the key itself, then the restore keys.
    pub keys: &'l [String],
    /// Version, a digest of the cached paths and the compression. Entries of other versions do not match.
    pub version: &'l str,
    /// Refs whose entries may be read, best first: the ref of the run, the base of its pull request, the default
    /// branch.
    pub scopes: &'l [String],
}

/// Returns the entry for a lookup, as GitHub chooses it. Scopes are tried in order, and within a scope keys in order.
/// For each key, an exact match is preferred to the newest entry whose name begins with the key. `None` if no entry
/// matches.
#[must_use]
pub fn best<'e>(entries: &'e [CacheEntry], lookup: &Lookup<'_>) -> Option<&'e CacheEntry> {
    let of_scope = |scope: &'e str| {
        let own: Vec<_> =
            entries.iter().filter(|entry| entry.scope == scope && entry.version == lookup.version).collect();
        lookup.keys.iter().find_map(|key| {
            let exact = own.iter().copied().find(|entry| entry.key == *key);
            exact.or_else(|| {
                let begun = own.iter().copied().filter(|entry| entry.key.starts_with(key.as_str()));
                begun.max_by_key(|entry| entry.created)
            })
        })
    };
    lookup.scopes.iter().find_map(|scope| {
        let known = entries.iter().find(|entry| entry.scope == *scope)?;
        of_scope(&known.scope)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    const MAIN: &str = "refs/heads/main";
    const TOPIC: &str = "refs/heads/topic";

    #[test]
    fn entries_are_chosen_by_scope_then_by_key_then_by_age() {
        // Key, version, scope, time of creation.
        let entries = [
            ("npm-1", "v", MAIN, 1),
            ("npm-2", "v", MAIN, 2),
            ("npm-3", "other", MAIN, 3),
            ("npm-1", "v", TOPIC, 4),
            ("pip-a#2", "v", TOPIC, 5),
        ];
        let entries = entries.map(|(key, version, scope, created)| CacheEntry {
            key: key.to_owned(),
            version: version.to_owned(),
            scope: scope.to_owned(),
            created: Timestamp(created),
            ..CacheEntry::default()
        });
        for (keys, scopes, expected) in [
            (&["npm-1"][..], &[MAIN][..], Some(1)),
            (&["npm-2"], &[MAIN], Some(2)),
            // Entries of other versions do not count.
            (&["npm-3"], &[MAIN], None),
            // The newest of several entries whose names begin with the key.
            (&["npm-"], &[MAIN], Some(2)),
            // A key is tried as a prefix before the next key.
            (&["npm", "npm-1"], &[MAIN], Some(2)),
            (&["none", "npm-1"], &[MAIN], Some(1)),
            (&["pip-a"], &[TOPIC], Some(5)),
            // A prefix match in its own scope comes before an exact match in another one.
            (&["npm-2", "npm-"], &[TOPIC, MAIN], Some(4)),
            (&["npm-2"], &[TOPIC, MAIN], Some(2)),
            // Entries of other branches cannot be read.
            (&["npm-1"], &["refs/heads/other", MAIN], Some(1)),
            (&["pip-a#2"], &[MAIN], None),
            (&[], &[MAIN], None),
        ] {
            let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
            let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            let found = best(&entries, &Lookup { keys: &keys, version: "v", scopes: &scopes });
            assert_eq!(found.map(|entry| entry.created.0), expected, "{keys:?} in {scopes:?}");
        }
    }
}
