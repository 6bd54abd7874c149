//! `localhost:PORT` inside a job's container.
//!
//! Services are containers beside the job's, each with a network of its own, so what listens on `localhost` there has to
//! be something in the job's network: this program, started in a helper container that shares the network of the job's.
//! It comes with the loader and the libraries that it runs with here, so any image will do.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::engine::sandbox::docker::body::mount;
use crate::engine::sandbox::docker::client::DockerClient;
use crate::engine::sandbox::docker::labels::Labels;
use crate::engine::sandbox::shared::SharedFolder;

/// Where the helper finds this program and what it runs with.
const FOLDER: &str = "/cuelight";

/// A port of `localhost` and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The port that is listened on.
    pub port: u16,
    /// `host:port` of the service.
    pub to: String,
}

impl Route {
    /// Reads `6379=redis:6379`.
    ///
    /// # Errors
    /// It has another form, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let route =
            text.split_once('=').and_then(|(port, to)| Some(Self { port: port.parse().ok()?, to: to.to_owned() }));
        route.ok_or_else(|| format!("`{text}` is no route: write 6379=redis:6379"))
    }
}

/// Serves routes until the process is ended. It says `ready` once all of them are listened on.
///
/// # Errors
/// A port is taken.
pub async fn serve(routes: &[Route], mut ready: impl FnMut()) -> std::io::Result<()> {
    let mut served = tokio::task::JoinSet::new();
    for route in routes {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, route.port)).await?;
        served.spawn(relay(listener, route.to.clone()));
        // A container may have no IPv6.
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
            // A service that does not listen yet looks here as it would there: the connection is closed.
            if let Ok(mut far) = TcpStream::connect(&to).await {
                let _ = near.set_nodelay(true);
                let _ = far.set_nodelay(true);
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

/// Starts the helper and waits until it listens.
pub(in crate::engine) async fn start(
    engine: &DockerClient,
    labels: &Labels,
    image: &str,
    container: &str,
    routes: &[Route],
) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let (command, files) = command(&program, &libraries(&maps));
    let mounts = files.iter().map(|(here, there)| mount(&SharedFolder::readable(here, there))).collect();
    let arguments = routes.iter().map(|route| format!("{}={}", route.port, route.to));
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(command),
        cmd: Some(["forward".to_owned()].into_iter().chain(arguments).collect()),
        user: Some("0".to_owned()),
        labels: Some(labels.all()),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            network_mode: Some(format!("container:{container}")),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let id = engine.start(&labels.name(), body).await.map_err(|error| error.to_string())?;
    loop {
        let said = engine.last_lines(&id, 5).await.map_err(|error| error.to_string())?;
        if said.iter().any(|line| line == "ready") {
            return Ok(());
        }
        let found = engine.inspect(&id).await.map_err(|error| error.to_string())?;
        if found.state.and_then(|state| state.running) != Some(true) {
            return Err(format!("`localhost` in the job's container cannot lead to the services: {}", said.join("; ")));
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The shared libraries that a process has, from its map of memory.
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).filter(|file| file.starts_with('/'));
    files.filter(|file| file.contains(".so")).map(PathBuf::from).collect()
}

/// The command that starts this program in the helper, and the files that must be there.
fn command(program: &Path, libraries: &BTreeSet<PathBuf>) -> (Vec<String>, Vec<(PathBuf, String)>) {
    let there = |file: &Path| format!("{FOLDER}/{}", file.file_name().unwrap_or_default().to_string_lossy());
    let mut files: Vec<_> = libraries.iter().map(|file| (file.clone(), there(file))).collect();
    let inside = format!("{FOLDER}/program");
    files.push((program.to_owned(), inside.clone()));
    let loader = libraries.iter().find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("ld-") || name.starts_with("ld.")
    });
    match loader {
        Some(loader) => (vec![there(loader), "--library-path".to_owned(), FOLDER.to_owned(), inside], files),
        None => (vec![inside], files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn routes_are_read() {
        assert_eq!(Route::parse("6379=redis:6380"), Ok(Route { port: 6379, to: "redis:6380".to_owned() }));
        assert!(Route::parse("6379").is_err() && Route::parse("x=y:1").is_err());
    }

    #[test]
    fn the_loader_starts_the_program_with_the_libraries_it_has_here() {
        let maps = "1 r 0 0 0 /usr/bin/cuelight\n2 r 0 0 0 /lib/ld-linux-x86-64.so.2\n3 r 0 0 0 /lib/libc.so.6\n4 r 0 0 0\n5 r 0 0 0 [heap]";
        let (line, files) = command(Path::new("/usr/bin/cuelight"), &libraries(maps));
        assert_eq!(line, ["/cuelight/ld-linux-x86-64.so.2", "--library-path", "/cuelight", "/cuelight/program"]);
        assert_eq!(files.len(), 3);
        let (line, _) = command(Path::new("/usr/bin/cuelight"), &BTreeSet::new());
        assert_eq!(line, ["/cuelight/program"]);
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_at_the_service() {
        let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("free");
        let to = service.local_addr().expect("bound").to_string();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("free").local_addr().expect("bound").port();
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        tokio::spawn(async move {
            serve(&[Route { port, to }], || {
                let _ = tell.take().map(|tell| tell.send(()));
            })
            .await
            .expect("serves");
        });
        told.await.expect("ready");
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("listens");
        client.write_all(b"ping").await.expect("sent");
        let (mut server, _) = service.accept().await.expect("reached");
        let mut text = [0; 4];
        server.read_exact(&mut text).await.expect("read");
        server.write_all(b"pong").await.expect("answered");
        client.read_exact(&mut text).await.expect("read");
        assert_eq!(&text, b"pong");
    }
}
