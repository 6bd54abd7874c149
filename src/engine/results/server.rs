//! The listeners of the server.
//!
//! One listener is on loopback, which containers cannot reach. Each container network has another listener, on the
//! address that this machine has in the network. A listener accepts only clients of its network, because other machines
//! can send packets to any address of this machine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::engine::sandbox::network::Network;

use super::router;
use super::service::Service;

/// Maximum time that a client may take to send the head of a request, and that a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_mins(5);

/// Maximum number of concurrent connections of a listener.
const MAX_CONNECTIONS: usize = 512;

/// Pause after a system error, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts a listener, which ends when `tasks` is dropped. Returns its address.
///
/// # Errors
/// The address does not belong to this machine, or no port is free.
pub(super) async fn listen(
    service: &Arc<Service>,
    network: Network,
    tasks: &mut JoinSet<()>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((network.address, 0)).await?;
    let address = listener.local_addr()?;
    tasks.spawn(accept(Arc::clone(service), listener, address, network));
    Ok(address)
}

async fn accept(service: Arc<Service>, listener: TcpListener, address: SocketAddr, network: Network) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((_, peer)) if !network.contains(peer.ip()) => {
                tracing::debug!(%peer, "refused a client of another network");
            }
            Ok((stream, _)) => {
                connections.spawn(serve(Arc::clone(&service), stream, address));
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(service: Arc<Service>, stream: TcpStream, address: SocketAddr) {
    // Most answers are small, and clients wait for them, so they are sent without delay.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let answered = router::answer(Arc::clone(&service), address.to_string(), request);
        async move { Ok::<_, std::convert::Infallible>(answered.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::engine::results::access::CacheAccess;
    use crate::engine::results::artifacts::ArtifactService;
    use crate::engine::results::caches::CacheService;
    use crate::engine::results::token::Signer;
    use crate::engine::results::uploads::Uploads;
    use crate::engine::testing;
    use crate::store::cache::{Cache, CacheLimits};
    use crate::store::folder::RunFolder;

    /// Sends a request, and returns the answer.
    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let mut answer = String::new();
        // The client notices the closed connection either when it sends or when it receives.
        let sent = stream.write_all(b"GET /none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let read = stream.read_to_string(&mut answer).await;
        if sent.and(read).is_ok() { answer } else { String::new() }
    }

    #[tokio::test]
    async fn a_client_of_another_network_gets_no_answer() {
        let state = tempfile::tempdir().expect("a folder");
        let (run, facts) = (RunFolder::at(state.path().join("runs/r")), testing::facts());
        let cache = Cache::of(&run.runs(), "o/r");
        let service = Arc::new(Service::new(
            run.clone(),
            Signer::new().expect("randomness"),
            Uploads::new(&run.uploads(), 1).expect("empty"),
            ArtifactService::new(run, 1, 1).expect("empty"),
            CacheService::new(cache, "o/r", CacheAccess::of(&facts), CacheLimits::default()),
            facts,
            state.path().to_owned(),
        ));
        let mut tasks = JoinSet::new();
        let own = listen(&service, Network::LOOPBACK, &mut tasks).await.expect("listens");
        assert!(ask(own).await.starts_with("HTTP/1.1 404"), "a client of this machine");
        let other = Network { address: Ipv4Addr::new(127, 0, 0, 5).into(), prefix: 32 };
        let other = listen(&service, other, &mut tasks).await.expect("listens");
        assert_eq!(ask(other).await, "");
        drop(tasks);
        while TcpStream::connect(own).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
