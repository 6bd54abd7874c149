//! Lock of an environment against deployments from other machines: `flock` in the container of the router.
//!
//! A process in that container holds the lock, and its input is a connection of this process. When this process ends,
//! for whatever reason, the connection closes and the lock is released. No stale lock remains.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::error::DockerFault;
use super::tunnel::Tunnel;
use crate::engine::sandbox::docker::client::{DockerClient, DockerError};

/// Script that takes the lock and holds it until its input ends, or prints who holds the lock.
const SCRIPT: &str = r#"exec 9>>/run/cuelight.lock
if flock -n 9; then
  printf '%s' "$1" >/run/cuelight.owner
  echo locked
  exec cat
fi
echo "held by $(cat /run/cuelight.owner)""#;

/// Maximum number of attempts. The lock of a killed process is released only after a moment.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// How long an attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// A lock that is held, until its connection ends.
pub(super) struct Lock {
    tunnel: Tunnel,
    owner: String,
}

impl Lock {
    /// Takes the lock in the router's container. `owner` is shown to others who want the lock. With `is_patient`, waits
    /// for as long as another process holds it.
    pub(super) async fn take(
        client: &DockerClient,
        router: &str,
        owner: &str,
        is_patient: bool,
    ) -> Result<Self, DockerFault> {
        let mut tries = 0;
        loop {
            let attempt = async {
                let mut tunnel = Tunnel::open(client, router, &["sh", "-c", SCRIPT, "sh", owner]).await?;
                let printed = tunnel.read(|output| output.contains(&b'\n')).await;
                Ok::<_, DockerError>((tunnel, printed))
            };
            let silent = || DockerFault::Silent { router: router.to_owned(), limit: ATTEMPT_TIMEOUT };
            let (tunnel, printed) = timeout(ATTEMPT_TIMEOUT, attempt).await.map_err(|_| silent())??;
            let text = String::from_utf8_lossy(&printed.output);
            let text = text.trim();
            if text == "locked" {
                return Ok(Self { tunnel, owner: owner.to_owned() });
            }
            if !text.starts_with("held by") {
                let answer = format!("{text} {}", String::from_utf8_lossy(&printed.errors).trim());
                let (router, command) = (router.to_owned(), "flock".to_owned());
                return Err(DockerFault::Command { router, command, answer: answer.trim().to_owned() });
            }
            tries += 1;
            if !is_patient && tries >= TRIES {
                return Err(DockerFault::Locked(text.to_owned()));
            }
            sleep(PAUSE).await;
        }
    }

    /// Makes sure before a change that no other deployment has the lock. If the connection has ended, because a line was cut
    /// or the engine was restarted, takes the lock again. If nobody can be asked, the change itself tells why.
    pub(super) async fn confirm(&mut self, client: &DockerClient, router: &str) -> Result<(), DockerFault> {
        if !self.tunnel.has_ended() {
            return Ok(());
        }
        match Self::take(client, router, &self.owner, false).await {
            Ok(again) => *self = again,
            // The engine has not noticed the end of the connection yet.
            Err(DockerFault::Locked(by)) if by.contains(&self.owner) => {}
            Err(DockerFault::Locked(by)) => return Err(DockerFault::LockLost(by)),
            Err(error) => tracing::warn!(%error, "the lock of the environment cannot be taken again"),
        }
        Ok(())
    }

    /// Releases the lock.
    pub(super) async fn release(self) {
        // If the engine does not answer, the end of the connection releases the lock.
        let _ = timeout(ATTEMPT_TIMEOUT, self.tunnel.close()).await;
    }
}
