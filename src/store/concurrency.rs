//! Concurrency groups of this machine: one holder of a group runs, and the others queue behind it.
//!
//! A run or job that needs a group puts a ticket into one folder of the state folder. The ticket is a file named by the
//! group and a number, and contains the [`Holder`]. Its process holds the kernel's lock on the file as long as it
//! lives. So the ticket of a killed process is recognised, and the next process that looks at the queue removes it. The
//! owner of the ticket with the lowest number in a group runs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::{JobId, RunId};

use super::digest;
use super::folder::{RunsDir, private};
use super::{StoreError, lock};

/// Maximum size of a ticket in bytes.
const MAX_TICKET: u64 = 64 * 1024;

/// Name of the lock file that is held while a ticket gets its number.
const NUMBERING: &str = "lock";

/// Concurrency groups of one state folder.
#[derive(Clone, Debug)]
pub struct ConcurrencyGroups {
    folder: PathBuf,
}

/// The owner of a ticket: a run, or a job of one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// The job; `None` for the run as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

/// Position in the queue of a group. Dropping the ticket gives up the position.
#[derive(Debug)]
pub struct Ticket {
    folder: PathBuf,
    group: String,
    number: u64,
    /// Lock on the ticket's file, held as long as the ticket exists.
    _held: File,
}

/// Owners of the tickets in front of a ticket.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ahead {
    /// Owners that are alive, in order: the first one runs. If empty, the ticket's owner runs.
    pub living: Vec<Holder>,
    /// Owners that died without leaving the queue. Each is reported once, to one of the tickets behind it.
    pub dead: Vec<Holder>,
}

impl ConcurrencyGroups {
    /// Returns the groups in a state folder.
    #[must_use]
    pub fn at(runs: &RunsDir) -> Self {
        Self { folder: runs.concurrency() }
    }

    /// Joins the queue of a group. Groups belong to a repository, which is identified by its folder. Names of groups
    /// are compared without case, as on GitHub.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn enter(&self, repository: &Path, group: &str, who: &Holder) -> Result<Ticket, StoreError> {
        private().recursive(true).create(&self.folder).map_err(StoreError::io("make the folder", &self.folder))?;
        let group = name(repository, group);
        let numbering = self.folder.join(NUMBERING);
        let _one_at_a_time = lock::wait(&numbering)?;
        let last = tickets(&self.folder, &group)?.last().copied();
        let number = last.map_or(1, |last| last + 1);
        let path = self.folder.join(file(&group, number));
        let text = serde_json::to_vec(who).expect("texts always serialise");
        files::create_own(&path).and_then(|mut file| file.write_all(&text)).map_err(StoreError::io("write", &path))?;
        // No other process reads this ticket before it is locked, because later tickets get their numbers only
        // afterwards.
        match lock::take(&path)? {
            Some(held) => Ok(Ticket { folder: self.folder.clone(), group, number, _held: held }),
            None => Err(StoreError::Damaged { path, reason: "another process locked it".to_owned() }),
        }
    }
}

impl Ticket {
    /// Returns the owners of the tickets before this one, and removes the tickets of dead owners.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn ahead(&self) -> Result<Ahead, StoreError> {
        let mut ahead = Ahead::default();
        for number in tickets(&self.folder, &self.group)?.into_iter().filter(|number| *number < self.number) {
            let path = self.folder.join(file(&self.group, number));
            let alive = lock::is_held(&path);
            // The file of a ticket that was given up meanwhile is gone.
            let Some(member) =
                files::read_own(&path, MAX_TICKET).ok().and_then(|text| serde_json::from_slice(&text).ok())
            else {
                continue;
            };
            if alive {
                ahead.living.push(member);
            } else if fs::remove_file(&path).is_ok() {
                ahead.dead.push(member);
            }
        }
        Ok(ahead)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // A ticket that cannot be removed counts as the ticket of a dead process once its lock is released, which has
        // the same effect.
        let _ = fs::remove_file(self.folder.join(file(&self.group, self.number)));
    }
}

/// Returns the prefix of a group's file names.
fn name(repository: &Path, group: &str) -> String {
    let mut whole = repository.as_os_str().as_encoded_bytes().to_vec();
    whole.push(b'\n');
    whole.extend_from_slice(group.to_lowercase().as_bytes());
    digest::sha256(whole, 12)
}

fn file(group: &str, number: u64) -> String {
    format!("{group}-{number}")
}

/// Returns the ticket numbers of a group, in order.
fn tickets(folder: &Path, group: &str) -> Result<Vec<u64>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read the folder", folder)(error)),
    };
    let number = |name: String| name.strip_prefix(group)?.strip_prefix('-')?.parse().ok();
    let mut numbers: Vec<u64> =
        entries.flatten().filter_map(|entry| number(entry.file_name().into_string().ok()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(run: &str) -> Holder {
        Holder { run: RunId::new(run), job: None }
    }

    #[test]
    fn turns_come_in_order_and_groups_do_not_mix() {
        let state = tempfile::tempdir().expect("a folder");
        let groups = ConcurrencyGroups::at(&RunsDir::at(state.path()));
        let enter = |group: &str, run: &str| groups.enter(Path::new("/r"), group, &member(run)).expect("in line");
        let (first, second, third) = (enter("Deploy", "1"), enter("deploy", "2"), enter("DEPLOY", "3"));
        let living = |ticket: &Ticket| ticket.ahead().expect("readable").living;
        assert_eq!(living(&first), []);
        assert_eq!(living(&third), [member("1"), member("2")]);
        drop(second);
        assert_eq!(living(&third), [member("1")]);
        drop(first);
        assert_eq!(living(&third), []);
        let elsewhere = groups.enter(Path::new("/other"), "deploy", &member("4")).expect("in line");
        assert_eq!((living(&elsewhere), living(&enter("test", "5"))), (vec![], vec![]));
    }

    #[test]
    fn dead_holders_are_reported_once_and_block_no_waiter() {
        let state = tempfile::tempdir().expect("a folder");
        let groups = ConcurrencyGroups::at(&RunsDir::at(state.path()));
        let dead = groups.enter(Path::new("/r"), "g", &member("dead")).expect("in line");
        let path = dead.folder.join(file(&dead.group, dead.number));
        let left = fs::read(&path).expect("a ticket");
        drop(dead);
        fs::write(&path, left).expect("written");
        let next = groups.enter(Path::new("/r"), "g", &member("next")).expect("in line");
        assert_eq!(next.ahead().expect("readable"), Ahead { living: vec![], dead: vec![member("dead")] });
        assert_eq!(next.ahead().expect("readable"), Ahead::default());
        assert!(next.number > 1, "numbers only grow while a ticket exists");
    }
}
