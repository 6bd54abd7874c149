//! Deployments of a service of a Compose file.

use std::fs;
use std::process::Command;

use crate::docker::{docker, has, skip_even_in_ci};
use crate::project::{Project, Said, port_to_publish, until};
use crate::survival::{kill_workers_of, try_kill, workers_of};

#[path = "../bench/compose.rs"]
mod compose;

use compose::compose;

/// Releases, each an image. The health check of `sick` fails, the one of `late` never has a result, and `ends` ends.
const RELEASES: [&str; 6] = ["hand", "v1", "v2", "sick", "late", "ends"];

/// A repository with a Compose file. Everything is removed at the end of the test.
struct Shop {
    project: Project,
    /// Name of the images and of the project of Compose. No other test uses it.
    name: String,
}

impl Shop {
    /// Creates the repository, whose service has these further lines in the Compose file. `None` without Docker or
    /// Compose.
    fn new(lines: &str) -> Option<Self> {
        if !has(&["busybox:local"]) {
            return None;
        }
        if compose().is_none() {
            skip_even_in_ci("Compose is not installed");
            return None;
        }
        let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
        let port = port_to_publish();
        let shop = Self { project, name: format!("cuelight-compose-{port}") };
        let folder = shop.project.home().join("image");
        fs::create_dir_all(&folder).expect("made");
        let text = format!(
            "version: '3.8'\nservices:\n  shop:\n    build: .\n    image: {}\n    init: true\n    volumes: [/data]\n    \
             stop_grace_period: 1s\n    depends_on: [db]\n    healthcheck:\n      interval: 1s\n      retries: 2\n      \
             test: ['CMD-SHELL', '[ $$RELEASE != late ] || sleep 60; [ $$RELEASE != sick ]']\n      timeout: 50s\n{}\n  \
             db: {{image: 'busybox:local', init: true, command: sleep 1000}}\n",
            shop.image("hand"),
            lines.replace("PORT", &port.to_string())
        );
        shop.project.write("docker-compose.yml", &text);
        shop.project.write(".env", &format!("COMPOSE_PROJECT_NAME={}\n", shop.name));
        for tag in RELEASES {
            shop.project.commit();
            shop.project.git(&["tag", tag]);
            let command = if tag == "ends" { "echo no database; exit 3" } else { "exec sleep 1000" };
            let file = format!("FROM busybox:local\nENV RELEASE={tag}\nCMD [\"sh\", \"-c\", \"{command}\"]\n");
            fs::write(folder.join("Dockerfile"), file).expect("written");
            docker(&["build", "-q", "-t", &shop.image(tag), &folder.display().to_string()]).expect("built");
        }
        Some(shop)
    }

    fn settle(&self, environment: &str, target: &str) {
        let text = format!(
            "[environments.live]\n{environment}\n[environments.live.target]\nkind = 'compose'\nservice = 'shop'\n\
             image = '{}:{{release}}'\n{target}\n[environments.live.health]\ninterval = '200ms'\nretries = 5\n",
            self.name
        );
        self.project.write(".cuelight.toml", &text);
        self.call(&["trust"]).expect(0, &[]);
    }

    fn image(&self, tag: &str) -> String {
        format!("{}:{tag}", self.name)
    }

    fn call(&self, args: &[&str]) -> Said {
        self.project.call(args)
    }

    /// Returns the name of the container that is the lock.
    fn lock(&self) -> String {
        format!("cuelight-lock-{}.shop", self.name)
    }

    /// Runs Compose by hand.
    fn compose(&self, args: &[&str]) {
        let words = compose().expect("installed");
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(args).current_dir(self.project.root());
        let ended = command.output().expect("it starts");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    /// Lists the containers of a service, running or not, in this format of the docker CLI, sorted.
    fn containers(&self, service: &str, format: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let service = format!("label=com.docker.compose.service={service}");
        let list = docker(&["ps", "-a", "--filter", &project, "--filter", &service, "--format", format]);
        let mut lines: Vec<String> = list.expect("docker answers").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Returns the releases of the containers of the service that run.
    fn running(&self) -> Vec<String> {
        let found = self.containers("shop", "{{.State}} {{.ID}}");
        let ids = found.iter().filter_map(|line| line.strip_prefix("running "));
        let of = |id: &str| docker(&["exec", id, "sh", "-c", "echo $RELEASE"]).unwrap_or_default();
        let mut releases: Vec<String> = ids.map(of).collect();
        releases.sort();
        releases
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for worker in workers_of(&self.project.home().display().to_string()) {
            try_kill(worker);
        }
        let label = format!("label=com.docker.compose.project={}", self.name);
        let list = docker(&["ps", "-aq", "--filter", &label]).unwrap_or_default();
        let containers: Vec<&str> = list.lines().collect();
        docker(&[&["rm", "-f", "-v"], &containers[..]].concat());
        docker(&["network", "rm", &format!("{}_default", self.name)]);
        docker(&["rm", "-f", &self.lock()]);
        for tag in RELEASES {
            docker(&["rmi", &self.image(tag)]);
        }
    }
}

#[test]
fn a_service_that_was_started_by_hand_is_adopted_and_its_image_returns_if_the_release_fails() {
    let Some(shop) = Shop::new("    ports: ['127.0.0.1:PORT:80']") else { return };
    shop.settle("strategy = 'recreate'", "");
    shop.compose(&["up", "-d", "--no-build"]);
    let database = shop.containers("db", "{{.ID}}");
    let id = shop.containers("shop", "{{.ID}}").concat();
    docker(&["exec", &id, "touch", "/data/order"]).expect("written");
    shop.call(&["deploy", "live", "v1", "--plan"])
        .expect(0, &[" image → v1", "Stop blue", "Start 1 replica of v1 in green"]);
    let failed = shop.call(&["deploy", "live", "sick"]);
    failed.expect(1, &["(unhealthy)", "image serves again"]);
    assert_eq!(shop.running(), ["hand"]);
    // Without the image, nothing is stopped.
    docker(&["rmi", &shop.image("v2")]).expect("removed");
    shop.call(&["deploy", "live", "v2"]).expect(1, &["v2", "image serves again"]);
    assert_eq!(shop.running(), ["hand"]);
    shop.call(&["deploy", "live", "v1"]).expect(0, &["shop", "v1", "is live"]);
    assert_eq!(shop.running(), ["v1"]);
    let id = shop.containers("shop", "{{.ID}}").concat();
    docker(&["exec", &id, "test", "-e", "/data/order"]).expect("Compose has kept the volume of the container");
    // The image that was adopted is a release to go back to, as any other.
    shop.call(&["audit"]).expect(0, &["requested v1 ", "found", "image was live, as the target reported it"]);
    shop.call(&["rollback", "live", "--yes=live"]).expect(0, &["v1", " → ", "image", "is live"]);
    assert_eq!(shop.running(), ["hand"]);
    shop.call(&["deploy", "live", "v1"]).expect(0, &["v1", "is live"]);
    assert_eq!(shop.running(), ["v1"]);
    let failed = shop.call(&["deploy", "live", "ends"]);
    failed.expect(1, &["exit code 3", "its last line: no database", "v1", "serves again"]);
    assert_eq!((shop.running(), shop.containers("shop", "{{.ID}}").len()), (vec!["v1".to_owned()], 1));
    assert_eq!(shop.containers("db", "{{.ID}}"), database, "other services are left alone");
    // The labels show what runs, even without the state folder.
    fs::remove_dir_all(shop.project.state()).expect("removed");
    shop.call(&["trust"]).expect(0, &[]);
    shop.call(&["deploy", "live", "hand", "--plan"]).expect(0, &["Stop green", "Start 1 replica of hand in blue"]);
}

#[test]
fn replicas_without_a_published_port_are_replaced_one_after_the_other() {
    let Some(shop) = Shop::new("") else { return };
    shop.settle("strategy = 'rolling'", "replicas = 2");
    shop.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    assert_eq!(shop.running(), ["v1", "v1"]);
    shop.call(&["deploy", "live", "v2"]).expect(0, &["Stop blue to 1", "is live"]);
    assert_eq!((shop.running(), shop.containers("shop", "{{.ID}}").len()), (vec!["v2".to_owned(); 2], 2));
    shop.call(&["deploy", "live", "sick"]).expect(1, &["(unhealthy)", "v2", "serves again"]);
    assert_eq!((shop.running(), shop.containers("shop", "{{.ID}}").len()), (vec!["v2".to_owned(); 2], 2));
    shop.call(&["rollback", "live", "--yes=live"]).expect(0, &["v1", "is live"]);
    assert_eq!(shop.running(), ["v1", "v1"]);
    // After a crash in the middle, the containers show what is to be undone.
    let run = shop.call(&["deploy", "live", "late", "--detach"]).out().trim().to_owned();
    until("the new release runs", || shop.running().contains(&"late".to_owned()).then_some(()));
    kill_workers_of(&run);
    shop.call(&["abort", "live"]).expect(0, &[]);
    until("v1 serves alone", || (shop.running() == ["v1", "v1"]).then_some(()));
}

#[test]
fn deployments_of_one_project_from_two_machines_do_not_meet() {
    let Some(shop) = Shop::new("") else { return };
    shop.settle("strategy = 'rolling'", "project = 'PROJECT'".replace("PROJECT", &shop.name).as_str());
    shop.project.call_elsewhere(&["trust"]).expect(0, &[]);
    shop.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let is_locked = || docker(&["container", "inspect", &shop.lock()]).is_some();
    until("the lock is released at the end", || (!is_locked()).then_some(()));
    // Its health check has no result for a minute.
    let run = shop.call(&["deploy", "live", "late", "--detach"]).out().trim().to_owned();
    until("the new release runs", || shop.running().contains(&"late".to_owned()).then_some(()));
    let refused = shop.project.call_elsewhere(&["deploy", "live", "v2"]);
    refused.expect(1, &["another deployment to the environment is in progress (held by ", &run]);
    assert_eq!(shop.running(), ["late", "v1"]);
    // The lock of a killed worker expires; until then, its deployment continues at once.
    kill_workers_of(&run);
    assert!(is_locked());
    shop.call(&["abort", "live"]).expect(0, &[]);
    until("v1 serves alone", || (shop.running() == ["v1"]).then_some(()));
    shop.project.call_elsewhere(&["deploy", "live", "v2"]).expect(0, &["is live"]);
    assert_eq!((shop.running(), is_locked()), (vec!["v2".to_owned()], false));
}

#[test]
fn of_two_deployments_that_begin_at_once_on_two_machines_exactly_one_gets_the_lock() {
    let Some(shop) = Shop::new("") else { return };
    shop.settle("strategy = 'rolling'", "project = 'PROJECT'".replace("PROJECT", &shop.name).as_str());
    shop.project.call_elsewhere(&["trust"]).expect(0, &[]);
    shop.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let is_locked = || docker(&["container", "inspect", &shop.lock()]).is_some();
    until("the lock is released at the end", || (!is_locked()).then_some(()));
    let call = |machine: usize, args: &[&str]| match machine {
        0 => shop.call(args),
        _ => shop.project.call_elsewhere(args),
    };
    let [refused, won] = std::thread::scope(|scope| {
        // The health check of the release has no result for a minute, so the winner does not end by itself.
        let start = |machine| Some(scope.spawn(move || call(machine, &["deploy", "live", "late"])));
        let mut going = [0, 1].map(start);
        let refused = until("one of both is refused", || {
            going.iter().position(|one| one.as_ref().is_some_and(std::thread::ScopedJoinHandle::is_finished))
        });
        let winner = 1 - refused;
        until("the winner is aborted", || call(winner, &["abort", "live"]).0.status.success().then_some(()));
        [refused, winner].map(|at| going[at].take().expect("not joined yet").join().expect("no panic"))
    });
    refused.expect(1, &["another deployment to the environment is in progress (held by ", "@"]);
    won.expect(1, &["aborted by ", "v1", "serves again"]);
    until("v1 serves alone", || (shop.running() == ["v1"]).then_some(()));
    assert_eq!(shop.containers("shop", "{{.ID}}").len(), 1);
    until("the lock is released at the end", || (!is_locked()).then_some(()));
}

#[test]
fn containers_of_the_project_from_another_folder_are_not_overlooked() {
    let Some(shop) = Shop::new("") else { return };
    if compose().is_some_and(|words| words.len() == 1) {
        // Version 1 does not print the name of the project.
        skip_even_in_ci("Compose is of version 1");
        return;
    }
    shop.settle("strategy = 'rolling'", "");
    let (project, place) = (&shop.name, "/srv/elsewhere");
    let labels = [
        format!("com.docker.compose.project={project}"),
        "com.docker.compose.service=shop".to_owned(),
        format!("com.docker.compose.project.working_dir={place}"),
    ];
    let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
    docker(&[&["run", "-d", "--init"], &labels[..], &["busybox:local", "sleep", "1000"]].concat()).expect("it runs");
    let refused = shop.call(&["deploy", "live", "v1"]);
    refused.expect(1, &[place, &format!("write project = \"{project}\" in the target")]);
}

#[test]
fn what_compose_cannot_deliver_is_refused_before_anything_changes() {
    let Some(shop) = Shop::new("    ports: ['127.0.0.1:PORT:80']") else { return };
    shop.settle("strategy = 'rolling'", "");
    for args in [&["deploy", "live", "v1", "--plan"][..], &["deploy", "live", "v1"]] {
        let said = shop.call(args);
        said.expect(if args.len() > 3 { 4 } else { 1 }, &["shop publishes port ", "use the strategy `recreate`"]);
    }
    shop.settle("strategy = 'recreate'", "files = 'other.yaml'");
    shop.call(&["deploy", "live", "v1"]).expect(1, &["target.files names ", "other.yaml, which does not exist"]);
    let text = "services:\n  web: {image: 'busybox:local'}\n";
    shop.project.write("other.yaml", text);
    shop.call(&["deploy", "live", "v1"]).expect(1, &["has no service `shop`: target.service must be one of web"]);
    let text = "services:\n  shop: {image: 'busybox:local', container_name: shop}\n";
    shop.project.write("other.yaml", text);
    shop.settle("strategy = 'rolling'", "files = 'other.yaml'");
    shop.call(&["deploy", "live", "v1"]).expect(1, &["shop has container_name: shop"]);
    shop.settle("strategy = 'recreate'", "files = 'other.yaml'");
    shop.call(&["deploy", "live", "v1"]).expect(1, &["shop has no health check: write `healthcheck`"]);
    assert_eq!(shop.containers("shop", "{{.ID}}"), Vec::<String>::new());
    // Without the program, the error names what is missing.
    let bin = shop.project.home().join("bin");
    fs::create_dir_all(&bin).expect("made");
    let which = Command::new("sh").args(["-c", "command -v git"]).output().expect("a shell");
    let git = String::from_utf8_lossy(&which.stdout).trim().to_owned();
    std::os::unix::fs::symlink(git, bin.join("git")).expect("linked");
    let said = shop.project.call_with("PATH", &bin, &["deploy", "live", "v1", "--plan"]);
    said.expect(4, &["neither `docker compose` nor `docker-compose` is installed here"]);
}
