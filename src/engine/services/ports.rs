//! Fixed ports of this machine. Jobs on the host share them, so a job that wants one which another job's service has
//! waits for it; the lock is the kernel's, and goes with whoever held it.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::store::lock;

/// How often a port that is taken is looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// How long a port may still be taken after its holder has let go: the engine closes it in its own time.
const SETTLE: Duration = Duration::from_secs(3);

/// Ports that are this job's until it is dropped.
#[derive(Debug, Default)]
pub(in crate::engine) struct Claimed(#[expect(dead_code, reason = "held, not read")] Vec<File>);

/// Claims ports in order, so that two who want the same ones never wait for each other. `who` is told to whoever waits
/// for them; `waiting` hears why this job waits, each time the reason changes.
///
/// # Errors
/// In words: a port is taken by another program, or the folder cannot be written.
pub(in crate::engine) async fn claim(
    ports: impl IntoIterator<Item = u16>,
    folder: &Path,
    who: &str,
    mut waiting: impl FnMut(String),
) -> Result<Claimed, String> {
    let mut ports: Vec<u16> = ports.into_iter().collect();
    ports.sort_unstable();
    ports.dedup();
    if ports.is_empty() {
        return Ok(Claimed::default());
    }
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut claimed = Vec::new();
    let mut told = None;
    for port in ports {
        let path = folder.join(format!("port-{port}"));
        let file = loop {
            match lock::take(&path) {
                Ok(Some(file)) => break file,
                Ok(None) => {
                    let holder = holder(&path);
                    if told.as_ref() != Some(&holder) {
                        waiting(format!("port {port} of this machine, which {holder} has"));
                        told = Some(holder);
                    }
                    sleep(LOOK).await;
                }
                Err(error) => return Err(error.to_string()),
            }
        };
        // Who holds it is for people only.
        let _ = file.set_len(0).and_then(|()| (&file).write_all(who.as_bytes()));
        is_free(port).await?;
        claimed.push(file);
    }
    Ok(Claimed(claimed))
}

fn holder(path: &PathBuf) -> String {
    let who = fs::read_to_string(path).unwrap_or_default();
    if who.is_empty() { "another job".to_owned() } else { who }
}

async fn is_free(port: u16) -> Result<(), String> {
    let mut left = SETTLE;
    loop {
        let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else { return Ok(()) };
        if left.is_zero() {
            return Err(format!(
                "port {port} of this machine is taken by another program ({error}): stop it, or give the job ports of \
                 its own with --sandbox docker"
            ));
        }
        sleep(LOOK).await;
        left = left.saturating_sub(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_port_is_one_jobs_at_a_time_and_who_has_it_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free").local_addr().expect("bound").port();
        let first = claim([port], folder.path(), "job a", |_| panic!("nobody has it")).await.expect("free");
        let mut told = Vec::new();
        {
            let mut second = Box::pin(claim([port], folder.path(), "job b", |why| told.push(why)));
            assert!((&mut second).now_or_never().is_none());
            tokio::time::sleep(3 * LOOK).await;
            assert!((&mut second).now_or_never().is_none());
            drop(first);
            second.await.expect("free now");
        }
        assert_eq!(told, [format!("port {port} of this machine, which job a has")]);
    }

    #[tokio::test]
    async fn a_port_of_another_program_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
        let port = taken.local_addr().expect("bound").port();
        let error = claim([port], folder.path(), "job a", |_| ()).await.expect_err("taken");
        assert!(error.contains(&format!("port {port} of this machine is taken by another program")), "{error}");
    }
}
