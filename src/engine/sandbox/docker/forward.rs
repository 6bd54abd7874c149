//! Helper container that makes `localhost` in a job's container lead to services: it runs this program in the network
//! of the job's container. It mounts this program's loader and libraries, so it works with any image.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};

use super::body::mount;
use super::client::{DockerClient, is_running};
use super::labels::Labels;
use crate::engine::sandbox::provider::ProviderError;
use crate::engine::sandbox::shared::SharedFolder;
use crate::engine::services::forward::Route;

/// Folder of this program and its libraries in the helper container.
const FOLDER: &str = "/cuelight";

/// Interval for checking whether the helper is listening.
const READY_POLL: Duration = Duration::from_millis(20);

/// Starts the helper and waits until it listens.
pub(super) async fn start(
    client: &DockerClient,
    labels: &Labels,
    image: &str,
    container: &str,
    routes: &[Route],
) -> Result<(), ProviderError> {
    let program =
        std::env::current_exe().map_err(|error| ProviderError::Failed(format!("cannot find this program: {error}")))?;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let (command, files) = command(&program, &libraries(&maps));
    let mounts = files.iter().map(|(outside, inside)| mount(&SharedFolder::readable(outside, inside))).collect();
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
    let id = client.start(&labels.name(), body).await?;
    loop {
        let lines = client.last_lines(&id, 5).await?;
        if lines.iter().any(|line| line == "ready") {
            return Ok(());
        }
        if !is_running(&client.inspect(&id).await?) {
            return Err(ProviderError::Failed(format!(
                "`localhost` in the job's container cannot lead to the services: {}",
                lines.join("; ")
            )));
        }
        tokio::time::sleep(READY_POLL).await;
    }
}

/// Returns the paths of the shared libraries in a memory map of a process (`/proc/PID/maps`).
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).filter(|file| file.starts_with('/'));
    files.filter(|file| file.contains(".so")).map(PathBuf::from).collect()
}

/// Returns the command that starts this program in the helper, and the files that the helper mounts.
fn command(program: &Path, libraries: &BTreeSet<PathBuf>) -> (Vec<String>, Vec<(PathBuf, String)>) {
    let inside = |file: &Path| format!("{FOLDER}/{}", file.file_name().unwrap_or_default().to_string_lossy());
    let mut files: Vec<_> = libraries.iter().map(|file| (file.clone(), inside(file))).collect();
    let own = format!("{FOLDER}/program");
    files.push((program.to_owned(), own.clone()));
    let loader = libraries.iter().find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("ld-") || name.starts_with("ld.")
    });
    match loader {
        Some(loader) => (vec![inside(loader), "--library-path".to_owned(), FOLDER.to_owned(), own], files),
        None => (vec![own], files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_starts_the_program_with_its_libraries() {
        let maps = "1 r 0 0 0 /usr/bin/cuelight\n2 r 0 0 0 /lib/ld-linux-x86-64.so.2\n3 r 0 0 0 /lib/libc.so.6\n4 r 0 0 0\n5 r 0 0 0 [heap]";
        let (line, files) = command(Path::new("/usr/bin/cuelight"), &libraries(maps));
        assert_eq!(line, ["/cuelight/ld-linux-x86-64.so.2", "--library-path", "/cuelight", "/cuelight/program"]);
        assert_eq!(files.len(), 3);
        let (line, _) = command(Path::new("/usr/bin/cuelight"), &BTreeSet::new());
        assert_eq!(line, ["/cuelight/program"]);
    }
}
