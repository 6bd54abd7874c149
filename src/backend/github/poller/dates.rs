//! Creation times of runs, for servers that do not report them.

use std::collections::HashMap;

use crate::backend::github::mirror::folder::RemoteId;
use crate::backend::github::wire::Time;
use crate::backend::github::wire::runs::Run;
use crate::model::{RunId, ServerKind};
use crate::store::StoreError;
use crate::store::clock::now;
use crate::store::folder::RunsDir;
use crate::store::ids;

/// Assigns each run of a Gitea server a creation time that never changes. Gitea reports only the start of the last
/// attempt, so the time in the id of the run's mirror is used; without a mirror, the time of the start, or the current
/// time.
#[derive(Default)]
pub(super) struct Dates {
    /// The mirrors on this machine by the digest of their run; `None` before they are first listed.
    mirrors: Option<HashMap<String, RunId>>,
}

impl Dates {
    /// Adds the creation time to a run of a Gitea server that lacks it.
    ///
    /// # Errors
    /// The folder of runs cannot be read.
    pub(super) fn date(&mut self, runs: &RunsDir, remote: &RemoteId, run: &mut Run) -> Result<(), StoreError> {
        if remote.kind == ServerKind::GitHub || run.created_at.is_some() {
            return Ok(());
        }
        let mirrors = match &mut self.mirrors {
            Some(mirrors) => mirrors,
            none => none.insert(runs.mirrors()?),
        };
        let digest = ids::mirror_digest(&remote.name());
        let mirror = mirrors.entry(digest).or_insert_with(|| {
            let created = run.run_started_at.map_or_else(now, |started| started.0);
            remote.mirror(created)
        });
        run.created_at = Some(Time(ids::id_timestamp(mirror)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn a_run_keeps_its_time_in_every_process_and_attempt() {
        let home = tempfile::tempdir().expect("a folder");
        let runs = RunsDir::at(home.path());
        let remote = |id| RemoteId { host: "h".to_owned(), repository: "o/r".to_owned(), id, kind: ServerKind::Gitea };
        let run = |started: &str| -> Run {
            serde_json::from_value(json!({"id": 7, "run_started_at": started})).expect("a run")
        };
        let dated = |dates: &mut Dates, id, started| {
            let mut run = run(started);
            dates.date(&runs, &remote(id), &mut run).expect("dated");
            run.created_at.expect("a time").0
        };
        let mut dates = Dates::default();
        let first = dated(&mut dates, 7, "2026-11-28T14:14:10Z");
        assert_eq!(first, Timestamp(1_795_875_250_000));
        assert_eq!(dated(&mut dates, 7, "2026-11-28T15:00:00Z"), first);
        std::fs::create_dir_all(runs.folder(remote(7).mirror(first)).path()).expect("a mirror");
        let mut other = Dates::default();
        assert_eq!(dated(&mut other, 7, "2026-11-28T15:00:00Z"), first);
        assert_ne!(dated(&mut other, 8, "2026-11-28T15:00:00Z"), first);
    }
}
