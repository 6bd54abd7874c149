//! Makes `localhost:PORT` in a job's container lead to services, which have separate network namespaces.
//!
//! [`routes`] assigns ports of `localhost` to services; [`serve`] relays the connections. `cuelight forward` calls
//! [`serve`] in a helper container that shares the network of the job's container.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::engine::sandbox::container::{ContainerSpec, Protocol};

/// A port of `localhost` and the service it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Port to listen on.
    pub port: u16,
    /// `host:port` of the service.
    pub to: String,
}

/// An invalid route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid route `{0}`: write 6379=redis:6379")]
pub struct RouteError(String);

impl Route {
    /// Parses `6379=redis:6379`.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let route =
            text.split_once('=').and_then(|(port, to)| Some(Self { port: port.parse().ok()?, to: to.to_owned() }));
        route.ok_or_else(|| RouteError(text.to_owned()))
    }
}

/// Ports of `localhost`, by name of the service and port of its container.
pub type Reached = HashMap<(String, u16), u16>;

/// Assigns the ports of `localhost` for services. A fixed port keeps its number; any other port gets the number of the
/// container's port, or the next free one. Only TCP ports get a route.
#[must_use]
pub fn routes(services: &[ContainerSpec]) -> (Vec<Route>, Reached) {
    let ports = services.iter().flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    let ports = ports.filter(|(_, port)| port.protocol == Protocol::Tcp);
    let (mut routes, mut reached) = (Vec::<Route>::new(), Reached::new());
    let (fixed, free): (Vec<_>, Vec<_>) = ports.partition(|(_, port)| port.outside.is_some());
    for (service, port) in fixed.into_iter().chain(free) {
        if reached.contains_key(&(service.name.clone(), port.inside)) && port.outside.is_none() {
            continue;
        }
        let mut outside = port.outside.unwrap_or(port.inside);
        while port.outside.is_none() && routes.iter().any(|route| route.port == outside) {
            outside = outside.checked_add(1).unwrap_or(1024);
        }
        routes.push(Route { port: outside, to: format!("{}:{}", service.name, port.inside) });
        reached.insert((service.name.clone(), port.inside), outside);
    }
    (routes, reached)
}

/// Relays connections until the process is ended. `ready` is called once all ports are open.
///
/// # Errors
/// A port cannot be opened, for example because it is in use.
pub async fn serve(routes: &[Route], mut ready: impl FnMut()) -> std::io::Result<()> {
    let mut served = tokio::task::JoinSet::new();
    for route in routes {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, route.port)).await?;
        served.spawn(relay(listener, route.to.clone()));
        // The container may have no IPv6.
        if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, route.port)).await {
            served.spawn(relay(listener, route.to.clone()));
        }
    }
    ready();
    while served.join_next().await.is_some() {}
    Ok(())
}

async fn relay(listener: TcpListener, to: String) {
    while let Ok((mut near, _)) = listener.accept().await {
        let to = to.clone();
        tokio::spawn(async move {
            // If the service is not listening yet, the connection is closed, as if it had been refused.
            if let Ok(mut far) = TcpStream::connect(&to).await {
                let _ = near.set_nodelay(true);
                let _ = far.set_nodelay(true);
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox::container::Port;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn routes_are_parsed() {
        assert_eq!(Route::parse("6379=redis:6380"), Ok(Route { port: 6379, to: "redis:6380".to_owned() }));
        assert!(Route::parse("6379").is_err() && Route::parse("x=y:1").is_err());
    }

    #[tokio::test]
    async fn connections_are_relayed_to_the_service() {
        let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("free");
        let to = service.local_addr().expect("bound").to_string();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("free").local_addr().expect("bound").port();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        tokio::spawn(async move {
            serve(&[Route { port, to }], || {
                let _ = sender.take().map(|sender| sender.send(()));
            })
            .await
            .expect("serves");
        });
        receiver.await.expect("ready");
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("listens");
        client.write_all(b"ping").await.expect("sent");
        let (mut server, _) = service.accept().await.expect("reached");
        let mut text = [0; 4];
        server.read_exact(&mut text).await.expect("read");
        server.write_all(b"pong").await.expect("answered");
        client.read_exact(&mut text).await.expect("read");
        assert_eq!(&text, b"pong");
    }

    fn container(name: &str, ports: &[&str]) -> ContainerSpec {
        let mut container = ContainerSpec::plain(name, "x");
        container.ports = ports.iter().map(|port| Port::parse(port).expect("a port")).collect();
        container
    }

    #[test]
    fn fixed_ports_keep_their_number_and_others_move() {
        let (routes, reached) =
            routes(&[container("a", &["5432"]), container("b", &["5432:5432"]), container("c", &["80:8080"])]);
        let found: Vec<_> = routes.iter().map(|route| format!("{}={}", route.port, route.to)).collect();
        assert_eq!(found, ["5432=b:5432", "80=c:8080", "5433=a:5432"]);
        assert_eq!(reached[&("a".to_owned(), 5432)], 5433);
    }
}
