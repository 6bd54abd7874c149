//! The target of `assets/deploy`: containers behind `HAProxy`, under load.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::docker::{docker, has};
use crate::project::{Project, Said, until};

const SETTINGS: &str = r#"
[environments.live]
strategy = "blue-green"
[environments.live.target]
start = "./docker"
healthy = "./docker"
weight = "./docker"
drain = "./docker"
stop = "./docker"
status = "./docker"
replicas = 2
[environments.live.health]
interval = "100ms"
"#;

/// A service behind its router. Everything of it is removed in the end.
struct Service {
    project: Project,
    name: String,
    port: u16,
}

impl Service {
    fn new() -> Self {
        let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/deploy");
        fs::copy(assets.join("docker"), project.root().join("docker")).expect("copied");
        project.write(".cuelight.toml", SETTINGS);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let service = Self { project, name: format!("cuelight-test-{port}"), port };
        let router = assets.join("router").display().to_string();
        docker(&["build", "-q", "--build-arg", "BASE=python:3.11-slim", "-t", &service.image("router"), &router])
            .expect("the router is built");
        for tag in ["v1", "v2"] {
            service.project.commit();
            service.project.git(&["tag", tag]);
            let folder = service.project.home().join(tag);
            fs::create_dir_all(folder.join("www")).expect("made");
            fs::write(folder.join("www/index.html"), tag).expect("written");
            fs::write(folder.join("www/health"), "ok").expect("written");
            let file =
                "FROM busybox:local\nCOPY www /www\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";
            fs::write(folder.join("Dockerfile"), file).expect("written");
            let folder = folder.display().to_string();
            docker(&["build", "-q", "-t", &service.image(tag), &folder]).expect("the service is built");
        }
        service.call(&["trust"]).expect(0, &[]);
        service
    }

    fn image(&self, tag: &str) -> String {
        format!("{}:{tag}", self.name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("SERVICE", &self.name).env("PUBLISH", self.port.to_string());
        command.env("ROUTER_IMAGE", self.image("router")).env("DOCKER_RUN", "--init");
        command
    }

    fn call(&self, args: &[&str]) -> Said {
        Said(self.command(args).output().expect("the program starts"))
    }

    /// Requests the page; `None` if the request fails.
    fn page(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let list = docker(&["ps", "-aq", "--filter", &format!("name={}", self.name)]).unwrap_or_default();
        for container in list.lines() {
            docker(&["rm", "-f", container]);
        }
        docker(&["network", "rm", &self.name]);
        for tag in ["router", "v1", "v2"] {
            docker(&["rmi", &self.image(tag)]);
        }
    }
}

#[test]
fn a_release_replaces_another_and_comes_back_under_load_without_a_failed_request() {
    if !has(&["busybox:local", "python:3.11-slim"]) {
        return;
    }
    let service = Service::new();
    service.call(&["deploy", "live", "v1"]).expect(0, &["v1", "is live"]);
    assert_eq!(service.page().as_deref(), Some("v1"));
    let (stop, failed, answered) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let counter = if service.page().is_some() { &answered } else { &failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let deployed = service.call(&["deploy", "live", "v2"]);
        let page = service.page();
        let back = service.call(&["rollback", "live", "--yes=live"]);
        stop.store(true, Ordering::Relaxed);
        deployed.expect(0, &["live: v2", "is live"]);
        assert_eq!(page.as_deref(), Some("v2"));
        back.expect(0, &["live: v1", "is live"]);
    });
    assert_eq!(service.page().as_deref(), Some("v1"));
    let (failed, answered) = (failed.into_inner(), answered.into_inner());
    assert!(failed == 0 && answered > 50, "{failed} of {answered} failed");
    // The containers are the truth: without the state folder, the next deployment finds what runs.
    fs::remove_dir_all(service.project.state().join("environments")).expect("removed");
    service.call(&["deploy", "live", "v2"]).expect(0, &["Stop blue", "is live"]);
    until("the old replicas are gone", || {
        let running = docker(&["ps", "--format", "{{.Names}}", "--filter", &format!("name={}-", service.name)])?;
        (running.lines().count() == 3).then_some(())
    });
}
