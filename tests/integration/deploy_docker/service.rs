//! A service with its releases, in an environment in Docker. All its resources are removed at the end of the test.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::docker::{docker, has};
use crate::project::{Project, Said, port_to_publish};
use crate::survival::{try_kill, workers_of};

#[path = "../../bench/page.rs"]
mod page;

pub(super) use page::get;

/// Releases, each with its fault.
const RELEASES: [(&str, &str); 11] = [
    ("v1", ""),
    ("v2", ""),
    ("v3", "errors"),
    ("sick", "sick"),
    ("late", "late"),
    ("ends", "ends"),
    ("breaks", "breaks"),
    ("slow", "slow"),
    ("dies", "dies"),
    ("stays", "stays"),
    ("none", "no image"),
];

pub(super) struct Service {
    pub(super) project: Project,
    /// Name of the service. No other test uses it.
    pub(super) name: String,
    /// Port of the router.
    pub(super) port: u16,
}

impl Service {
    /// Creates the service without a deployed release. `environment` and `target` are settings.
    pub(super) fn new(environment: &str, target: &str) -> Option<Self> {
        if !has(&["cuelight-router:local", "python:3.11-slim", "busybox:local"]) {
            return None;
        }
        let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
        let port = port_to_publish();
        let service = Self { project, name: format!("cuelight-test-{port}"), port };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/deploy_docker/server.py");
        let folder = service.project.home().join("image");
        fs::create_dir_all(&folder).expect("made");
        fs::copy(script, folder.join("server.py")).expect("copied");
        for (tag, fault) in RELEASES {
            service.project.commit();
            service.project.git(&["tag", tag]);
            if fault == "no image" {
                continue;
            }
            // The label makes it another image than that of other tests, which remove theirs.
            let file = format!(
                "FROM python:3.11-slim\nLABEL test={}\nCOPY server.py /\nENV RELEASE={tag} FAULT={fault}\nCMD [\"python3\", \"/server.py\"]\n",
                service.name
            );
            fs::write(folder.join("Dockerfile"), file).expect("written");
            docker(&["build", "-q", "-t", &service.image(tag), &folder.display().to_string()]).expect("built");
        }
        service.settle(environment, target);
        Some(service)
    }

    /// Writes the settings, and trusts them.
    pub(super) fn settle(&self, environment: &str, target: &str) {
        let publish = if target.contains("publish") { String::new() } else { format!("publish = {}\n", self.port) };
        let (name, state) = (&self.name, "interval = '200ms'\nretries = 5");
        let text = format!(
            "[environments.live]\n{environment}\n[environments.live.target]\nkind = 'docker'\nservice = '{name}'\n\
             image = '{name}:{{release}}'\nport = 8080\n{publish}{target}\n\
             [environments.live.health]\nhttp = '/health'\n{state}\n\
             [environments.live.analysis]\nerrors = '1%'\nlatency = '1500ms'\nmin_requests = 20\n"
        );
        self.project.write(".cuelight.toml", &text);
        self.call(&["trust"]).expect(0, &[]);
    }

    /// Returns the name of the image of a release.
    pub(super) fn image(&self, tag: &str) -> String {
        format!("{}:{tag}", self.name)
    }

    /// Returns the name of a container of the environment.
    pub(super) fn container(&self, what: &str) -> String {
        format!("{}-live-{what}", self.name)
    }

    pub(super) fn call(&self, args: &[&str]) -> Said {
        self.project.call(args)
    }

    /// Requests the page; `None` if the request fails.
    pub(super) fn page(&self) -> Option<String> {
        page_at("127.0.0.1", self.port)
    }

    /// Returns the names of the replicas that exist, sorted.
    pub(super) fn running(&self) -> Vec<String> {
        let service = format!("label=dev.cuelight.service={}", self.name);
        let filters = ["--filter", &service, "--filter", "label=dev.cuelight.role=replica"];
        let list = docker(&[&["ps", "-a", "--format", "{{.Names}}"], &filters[..]].concat()).expect("docker answers");
        let mut names: Vec<String> = list.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Returns the full names of replicas.
    pub(super) fn replicas(&self, names: &[&str]) -> Vec<String> {
        names.iter().map(|name| self.container(name)).collect()
    }

    /// Returns the position of a deployment in its plan.
    pub(super) fn position(&self, run: &str) -> Option<Value> {
        let text = fs::read(self.project.state().join("runs").join(run).join("deployment.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether a deployment has ended.
    pub(super) fn has_ended(&self, run: &str) -> bool {
        self.position(run).is_some_and(|position| position["has_ended"] == true)
    }
}

/// Requests the page of a router; `None` if the request fails.
pub(super) fn page_at(address: &str, port: u16) -> Option<String> {
    get(address, port, "/")
}

impl Drop for Service {
    fn drop(&mut self) {
        // A worker that keeps a former release would start the router again.
        let home = self.project.home().display().to_string();
        for worker in workers_of(&home) {
            try_kill(worker);
        }
        let list = docker(&["ps", "-aq", "--filter", &format!("name={}", self.name)]).unwrap_or_default();
        let containers: Vec<&str> = list.lines().collect();
        docker(&[&["rm", "-f", "-v"], &containers[..]].concat());
        docker(&["network", "rm", &format!("{}-live", self.name)]);
        for (tag, _) in RELEASES {
            docker(&["rmi", &self.image(tag)]);
        }
    }
}
