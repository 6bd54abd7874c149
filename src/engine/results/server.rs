//! The listeners of the server.
//!
//! One listens on loopback. A container cannot reach it, so there is one more for each network of containers, on the
//! address that this machine has in it. Each accepts only clients of its network: another machine can send to any address
//! of this one.

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

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum number of connections at once of a listener.
const MAX_CONNECTIONS: usize = 512;

/// Pause after an error of the system, as of too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Starts to listen. The listener ends when `tasks` is dropped. Returns its address.
///
/// # Errors
/// The address is not one of this machine, or no port is free.
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
    // Answers are small, and clients wait for them.
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
