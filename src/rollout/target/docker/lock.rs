//! Lock of an environment against deployments from other machines: `flock` in the container of the router.
//!
//! A process in that container holds the lock, and its input is a connection of this process. When this process ends,
//! for whatever reason, the connection closes and the lock is released. No stale lock remains.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

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

/// How long it may take to get the lock again whose connection has ended: the engine may be starting, or still take the
/// connection for open.
const RETAKE_TIMEOUT: Duration = Duration::from_secs(20);

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

    /// Whether the lock is no longer held, because a line was cut, or the router or the engine was restarted.
    pub(super) fn has_ended(&mut self) -> bool {
        self.tunnel.has_ended()
    }

    /// Takes a lock again that has ended. Waits until the engine answers and has noticed the end of the connection, at most
    /// [`RETAKE_TIMEOUT`]. Fails if another deployment has the lock.
    pub(super) async fn take_again(&mut self, client: &DockerClient, router: &str) -> Result<(), DockerFault> {
        let end = Instant::now() + RETAKE_TIMEOUT;
        loop {
            match Self::take(client, router, &self.owner, false).await {
                Ok(again) => {
                    *self = again;
                    return Ok(());
                }
                Err(DockerFault::Locked(by)) if !by.contains(&self.owner) => return Err(DockerFault::LockLost(by)),
                Err(error) if Instant::now() >= end => return Err(error),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Releases the lock.
    pub(super) async fn release(self) {
        // If the engine does not answer, the end of the connection releases the lock.
        let _ = timeout(ATTEMPT_TIMEOUT, self.tunnel.close()).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::rollout::target::docker::testing::engine;

    #[tokio::test]
    async fn nothing_is_changed_if_a_lock_that_has_ended_cannot_be_taken_again() {
        let full = |request: &str| {
            let error = ("500 Internal Server Error", r#"{"message":"no space left on device"}"#.to_owned());
            request.contains("/containers/").then_some(error)
        };
        let client = engine(full).await;
        // Whatever the engine answers, it takes no time.
        tokio::time::pause();
        let owner = "ada@web".to_owned();
        let mut open = Lock { tunnel: Tunnel::of(tokio::io::sink(), stream::pending()), owner: owner.clone() };
        assert!(!open.has_ended());
        let mut ended = Lock { tunnel: Tunnel::of(tokio::io::sink(), stream::empty()), owner };
        assert!(ended.has_ended());
        assert!(ended.take_again(&client, "router").await.is_err());
    }
}
