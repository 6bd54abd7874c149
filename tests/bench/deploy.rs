//! Deployments under load, compared with `docker compose up -d` of the same change in the same run.
//!
//! `cargo bench --bench deploy` prints a table; `cargo bench --bench deploy -- --count 200` makes that many deployments
//! with each strategy instead of five. It needs a Docker engine, `wrk`, and the images `cuelight-router:local` and
//! `python:3.11-slim` (`.ci/images`); Compose is measured if it is installed. Nothing is asserted, because machines
//! differ: only the failed requests should be zero everywhere.
//!
//! After Ctrl-C it ends the deployment in progress, and removes what it has started.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, io};

mod compose;
mod load;
mod page;
mod place;
mod table;

use compose::compose;
use load::{Load, Seen};
use page::get;
use place::Place;
use rustix::process::{Pid, Signal, kill_process};
use table::{median, ms, row};

const RELEASES: [&str; 2] = ["v1", "v2"];

/// Maximum number of changes by Compose, whose interruptions are plain after a few.
const COMPOSE_COUNT: usize = 20;

/// Time limit of a change of the page.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Number of answers in a row by one release, after which it has all of the traffic.
const ALL: usize = 20;

/// The service of a release, which also answers slowly below `/slow`.
const SERVER: &str = include_str!("../integration/deploy_docker/server.py");

/// Whether the user wants the measurement to end.
static IS_STOPPED: AtomicBool = AtomicBool::new(false);

fn main() {
    let count = count();
    if let Some(missing) = missing() {
        row("SKIPPED", &missing, "");
        return;
    }
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(tokio::signal::ctrl_c()).expect("signals can be received");
        IS_STOPPED.store(true, Ordering::Relaxed);
    });
    let service = Service::new();
    row(&format!("what, {count} deployments each under load"), "figure (median, 99th percentile)", "budget");
    service.settle("strategy = 'rolling'");
    service.deploy("v1");
    service.strategy("rolling", "strategy = 'rolling'", count);
    service.strategy("blue-green", "strategy = 'blue-green'", count);
    let canary = "strategy = 'canary'\ncanary.steps = ['10%', 'pause 1s', '50%', 'pause 1s']";
    service.strategy("canary, two pauses of 1 s", canary, count);
    service.rollbacks(count);
    service.compose(count.min(COMPOSE_COUNT));
}

/// Returns the number after `--count`, or 5. Cargo adds arguments of its own.
fn count() -> usize {
    let mut args = std::env::args().skip_while(|arg| arg != "--count").skip(1);
    args.next().map_or(5, |count| count.parse().ok().filter(|count| *count > 0).expect("--count takes a number from 1"))
}

/// Returns what is needed and not here, and what to do about it.
fn missing() -> Option<String> {
    if !load::is_installed() {
        return Some("wrk is not installed: apt-get install wrk".to_owned());
    }
    if try_docker(&["version"]).is_none() {
        return Some("no Docker engine answers: .ci/docker starts one".to_owned());
    }
    let mut images = ["cuelight-router:local", "python:3.11-slim"].into_iter();
    let image = images.find(|image| try_docker(&["image", "inspect", image]).is_none())?;
    Some(format!("the image {image} is not here: .ci/images builds it"))
}

/// Runs a command to its end. It does not get the Ctrl-C of the terminal, because what it starts is removed only once
/// it is complete.
fn run(command: &mut Command) -> io::Result<Output> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output()
}

/// Runs a command that must succeed, unless the measurement is to end. Returns its output.
fn succeed(command: &mut Command) -> String {
    assert!(!IS_STOPPED.load(Ordering::Relaxed), "stopped by Ctrl-C");
    checked(run(command).expect("it starts"))
}

/// Returns what a command that must have succeeded has printed.
fn checked(ended: Output) -> String {
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{text}{}", String::from_utf8_lossy(&ended.stderr));
    text
}

/// Returns the output of the docker CLI, or `None` if it fails or is not installed.
fn try_docker(args: &[&str]) -> Option<String> {
    let ended = run(Command::new("docker").args(args)).ok()?;
    ended.status.success().then(|| String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// Returns a port, for names that no other program has. It and the next one are free, and below those that the system
/// chooses for clients.
fn port() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("0.0.0.0", port)).is_ok();
    let first = 20_000 + (std::process::id() % 6_000) as u16 * 2;
    (first..32_000).step_by(2).find(|port| is_free(*port) && is_free(*port + 1)).expect("a free port")
}

/// Returns the time that 99 % of some times do not exceed.
fn percentile_99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// A service with two releases in an environment in Docker. Everything is removed at the end.
struct Service {
    place: Place,
    /// Name of the service and the beginning of all names of its containers.
    name: String,
    /// Port of the router. The next one is that of Compose.
    port: u16,
}

impl Service {
    fn new() -> Self {
        let place = Place::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
        let port = port();
        let service = Self { place, name: format!("cuelight-bench-{port}"), port };
        let folder = service.place.folder.path().join("image");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("server.py"), SERVER).expect("written");
        for release in RELEASES {
            let commit =
                ["-c", "user.name=b", "-c", "user.email=b@b", "commit", "--quiet", "--allow-empty", "-m", release];
            for args in [&commit[..], &["tag", release]] {
                succeed(Command::new("git").arg("-C").arg(service.place.root()).args(args));
            }
            let file = format!(
                "FROM python:3.11-slim\nLABEL bench={}\nCOPY server.py /\nENV RELEASE={release}\n\
                 CMD [\"python3\", \"/server.py\"]\n",
                service.name
            );
            fs::write(folder.join("Dockerfile"), file).expect("written");
            let image = format!("{}:{release}", service.name);
            succeed(Command::new("docker").args(["build", "--quiet", "--tag", &image]).arg(&folder));
        }
        service
    }

    /// Writes the settings, and trusts them.
    fn settle(&self, strategy: &str) {
        let (name, port) = (&self.name, self.port);
        let text = format!(
            "[environments.live]\n{strategy}\n[environments.live.target]\nkind = 'docker'\nservice = '{name}'\n\
             image = '{name}:{{release}}'\nport = 8080\npublish = {port}\nreplicas = 2\n\
             [environments.live.health]\nhttp = '/health'\ninterval = '200ms'\nretries = 5\n\
             [environments.live.analysis]\nerrors = '1%'\nlatency = '1500ms'\nmin_requests = 20\n"
        );
        fs::write(self.place.root().join(".cuelight.toml"), text).expect("written");
        self.cuelight(&["trust"]);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.cuelight(args);
        // Ignores the settings of the user.
        command.env("XDG_CONFIG_HOME", self.place.folder.path().join("config"));
        command
    }

    fn cuelight(&self, args: &[&str]) -> String {
        succeed(&mut self.command(args))
    }

    /// Deploys a release. Returns the time from the start of the command to its end, and what it printed.
    fn deploy(&self, release: &str) -> (Duration, String) {
        let began = Instant::now();
        let said = self.cuelight(&["deploy", "live", release]);
        (began.elapsed(), said)
    }

    /// Returns the release that does not serve.
    fn other(&self) -> &'static str {
        if page(self.port).as_deref() == Some(RELEASES[0]) { RELEASES[1] } else { RELEASES[0] }
    }

    fn strategy(&self, name: &str, settings: &str, count: usize) {
        self.settle(settings);
        let (mut times, mut switches) = (Vec::new(), Vec::new());
        let load = Load::start(self.port);
        for _ in 0..count {
            let (time, said) = self.deploy(self.other());
            times.push(time);
            switches.extend(switch_times(&said));
        }
        report_requests(name, load.stop(), "0 failed");
        report_times(&format!("{name}: a deployment, command to exit"), times, "");
        report_times(&format!("{name}: a change of the weights"), switches, "at most 5 ms");
    }

    /// Deploys the newer release and goes back to the kept one, again and again.
    fn rollbacks(&self, count: usize) {
        self.settle("strategy = 'blue-green'\nkeep_old = '1h'");
        // A rollback goes to a release that was live before the newer one was first.
        let [former, release] = RELEASES;
        if self.other() == former {
            self.deploy(former);
        }
        let (mut times, mut switches) = (Vec::new(), Vec::new());
        let load = Load::start(self.port);
        for _ in 0..count {
            self.deploy(release);
            let mut command = self.command(&["rollback", "live", "--yes=live"]);
            command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
            let began = Instant::now();
            let rollback = command.spawn().expect("it starts");
            times.push(until_all(self.port, former, began));
            let said = checked(rollback.wait_with_output().expect("it ends"));
            switches.extend(switch_times(&said));
        }
        report_requests("deployment and rollback to the kept release", load.stop(), "0 failed");
        report_times("rollback: command to all of the traffic", times, "at most 1 s");
        report_times("rollback: a change of the weights", switches, "at most 5 ms");
    }

    /// Name of the project of Compose.
    fn project(&self) -> String {
        format!("{}-compose", self.name)
    }

    /// Changes the release of a service by Compose, which has one replica, because it publishes the port itself.
    fn compose(&self, count: usize) {
        let Some(words) = compose() else {
            row("Compose", "SKIPPED: Compose is not installed", "");
            return;
        };
        let port = self.port + 1;
        let file = self.place.root().join("docker-compose.yml");
        let text = format!(
            "version: '3.8'\nservices:\n  web:\n    image: '{}:${{RELEASE}}'\n    init: true\n    \
             ports: ['{port}:8080']\n",
            self.name
        );
        fs::write(file, text).expect("written");
        let up = |release: &str| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).args(["up", "-d"]).current_dir(self.place.root());
            command.env("COMPOSE_PROJECT_NAME", self.project()).env("RELEASE", release);
            let began = Instant::now();
            succeed(&mut command);
            until_all(port, release, began)
        };
        up(RELEASES[0]);
        let load = Load::start(port);
        let times = (1..=count).map(|number| up(RELEASES[number % 2])).collect();
        report_requests(&format!("`{} up -d`, {count} times", words.join(" ")), load.stop(), "");
        report_times("the same: command to all of the traffic", times, "");
    }
}

/// Requests the page at a port of this machine; `None` if the request fails.
fn page(port: u16) -> Option<String> {
    get("127.0.0.1", port, "/")
}

/// Waits until all of the traffic goes to a release. Returns the time from `began` to the first of its answers after
/// which no other release answered.
fn until_all(port: u16, release: &str, began: Instant) -> Duration {
    let (mut first, mut answers) = (Duration::ZERO, 0);
    while answers < ALL {
        assert!(began.elapsed() < TIMEOUT, "{release} does not get all of the traffic");
        if page(port).as_deref() != Some(release) {
            answers = 0;
            // A service that is not up refuses at once.
            sleep(Duration::from_millis(1));
            continue;
        }
        if answers == 0 {
            first = began.elapsed();
        }
        answers += 1;
    }
    first
}

/// Returns how long each change of the weights took on the router's socket, from lines such as
/// `green 100 %, blue 0 %, in 0.7 ms` in the output of a deployment.
fn switch_times(said: &str) -> Vec<Duration> {
    let time = |line: &str| {
        let (_, time) = line.trim_end().strip_suffix(" ms")?.rsplit_once(" %, in ")?;
        time.parse().ok().map(|millis: f64| Duration::from_secs_f64(millis / 1e3))
    };
    said.lines().filter_map(time).collect()
}

fn report_requests(what: &str, seen: Seen, budget: &str) {
    let mut figure = format!("{} requests, {} failed", seen.requests(), seen.failed());
    if seen.failed() > 0 {
        let Seen { refused, connect, read, write, late, .. } = seen;
        figure += &format!(" ({refused} status, {connect} connect, {read} read, {write} write, {late} late)");
    }
    row(what, &figure, budget);
}

fn report_times(what: &str, times: Vec<Duration>, budget: &str) {
    if times.is_empty() {
        row(what, "none was reported", budget);
        return;
    }
    let (number, most) = (times.len(), percentile_99(times.clone()));
    row(what, &format!("{:.1} ms, {:.1} ms of {number}", ms(median(times)), ms(most)), budget);
}

impl Drop for Service {
    fn drop(&mut self) {
        // A worker that keeps a former release would start the router again.
        let folder = self.place.folder.path().display().to_string();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let pid = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
            if let Some(pid) = pid
                && command.contains(" worker ")
                && command.contains(&folder)
            {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let named = format!("name={}", self.name);
        let list = try_docker(&["ps", "--all", "--quiet", "--filter", &named]).unwrap_or_default();
        let containers: Vec<&str> = list.lines().collect();
        if !containers.is_empty() {
            try_docker(&[&["rm", "--force", "--volumes"], &containers[..]].concat());
        }
        let list = try_docker(&["network", "ls", "--quiet", "--filter", &named]).unwrap_or_default();
        for network in list.lines() {
            try_docker(&["network", "rm", network]);
        }
        for release in RELEASES {
            try_docker(&["rmi", &format!("{}:{release}", self.name)]);
        }
    }
}
