//! Claims fixed ports of this machine for the services of a job. Jobs on this machine share the ports, so a job waits
//! for a port that the service of another job uses. A port is claimed with a file lock, which the kernel releases when
//! its holder ends.

use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::files::read_own_text;
use crate::store::folder::make_private;
use crate::store::{StoreError, hint, lock};

/// Interval for checking a port that is in use.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long a port may stay in use after its lock was released: the container engine closes it slightly later.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum size in bytes of the text that names the holder of a port.
const MAX_HOLDER: u64 = 64 * 1024;

/// Ports that belong to a job until this value is dropped.
#[derive(Debug, Default)]
pub(in crate::engine) struct Claimed(#[expect(dead_code, reason = "held, not read")] Vec<File>);

/// Why a port cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum ClaimError {
    /// Another program listens on the port.
    #[error(
        "port {port} of this machine is taken by another program ({source}): stop it, or use other ports \
         with --sandbox docker"
    )]
    InUse {
        /// The port.
        port: u16,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The folder of the locks cannot be created.
    #[error("cannot create {}: {source}{}", folder.display(), hint(source))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] StoreError),
}

/// Claims ports in ascending order, so that two jobs that need the same ports cannot block each other. `who` describes
/// this job to jobs that wait for it. `waiting` is called with the reason why this job waits, whenever the awaited port
/// or its holder changes.
///
/// # Errors
/// Another program listens on a port, or a lock in the folder cannot be created.
pub(in crate::engine) async fn claim(
    ports: impl IntoIterator<Item = u16>,
    folder: &Path,
    who: &str,
    mut waiting: impl FnMut(String),
) -> Result<Claimed, ClaimError> {
    let mut ports: Vec<u16> = ports.into_iter().collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() {
        return Ok(Claimed::default());
    }
    make_private(folder).map_err(|source| ClaimError::Folder { folder: folder.to_owned(), source })?;
    let mut claimed = Vec::new();
    for port in ports {
        let mut reported = None;
        let path = folder.join(format!("port-{port}"));
        let file = loop {
            if let Some(file) = lock::take(&path)? {
                break file;
            }
            let holder = holder(&path);
            if reported.as_ref() != Some(&holder) {
                waiting(format!("port {port} of this machine, which {holder} has"));
                reported = Some(holder);
            }
            sleep(POLL_INTERVAL).await;
        };
        // The text is only for messages, so an error is ignored.
        let _ = file.set_len(0).and_then(|()| (&file).write_all(who.as_bytes()));
        wait_until_free(port).await?;
        claimed.push(file);
    }
    Ok(Claimed(claimed))
}

fn holder(path: &Path) -> String {
    let who = read_own_text(path, MAX_HOLDER).unwrap_or_default();
    if who.is_empty() { "another job".to_owned() } else { who }
}

async fn wait_until_free(port: u16) -> Result<(), ClaimError> {
    let mut left = CLOSE_TIMEOUT;
    loop {
        let Err(source) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else { return Ok(()) };
        if left.is_zero() {
            return Err(ClaimError::InUse { port, source });
        }
        sleep(POLL_INTERVAL).await;
        left = left.saturating_sub(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_port_belongs_to_one_job_at_a_time_and_names_its_holder() {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free").local_addr().expect("bound").port();
        let first = claim([port], folder.path(), "job a", |_| panic!("it is free")).await.expect("free");
        let mut reasons = Vec::new();
        {
            let mut second = Box::pin(claim([port], folder.path(), "job b", |reason| reasons.push(reason)));
            assert!((&mut second).now_or_never().is_none());
            tokio::time::sleep(3 * POLL_INTERVAL).await;
            assert!((&mut second).now_or_never().is_none());
            drop(first);
            second.await.expect("free now");
        }
        assert_eq!(reasons, [format!("port {port} of this machine, which job a has")]);
    }

    #[tokio::test]
    async fn each_port_that_is_awaited_is_reported() {
        let folder = tempfile::tempdir().expect("a folder");
        let bound = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free"));
        let mut ports = bound.map(|listener| listener.local_addr().expect("bound").port());
        ports.sort_unstable();
        let [low, high] = ports;
        let hold = async |port| claim([port], folder.path(), "job a", |_| panic!("it is free")).await.expect("free");
        let (first, second) = (hold(low).await, hold(high).await);
        let mut reasons = Vec::new();
        {
            let mut both = Box::pin(claim(ports, folder.path(), "job b", |reason| reasons.push(reason)));
            assert!((&mut both).now_or_never().is_none());
            drop(first);
            assert!(tokio::time::timeout(3 * POLL_INTERVAL, &mut both).await.is_err(), "the other port is in use");
            drop(second);
            both.await.expect("free now");
        }
        assert_eq!(reasons, ports.map(|port| format!("port {port} of this machine, which job a has")));
    }

    #[tokio::test]
    async fn a_port_of_another_program_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
        let port = taken.local_addr().expect("bound").port();
        let error = claim([port], folder.path(), "job a", |_| ()).await.expect_err("taken").to_string();
        assert!(error.contains(&format!("port {port} of this machine is taken by another program")), "{error}");
    }
}
