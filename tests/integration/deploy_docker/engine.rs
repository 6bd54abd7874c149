//! A second Docker engine: another host, with its own network and address.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::docker::skip_even_in_ci;
use crate::project::port_to_publish;

/// An engine that is stopped, with all that it runs, at the end of the test.
pub(super) struct Engine {
    home: tempfile::TempDir,
    /// Name of its network namespace.
    namespace: String,
    /// Address of its ports.
    pub(super) address: String,
    process: Option<Child>,
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let done = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

impl Engine {
    /// Starts an engine in a network namespace. `None` where it cannot be started, which is reported.
    pub(super) fn start() -> Option<Self> {
        if run("id", &["-u"]).as_deref() != Some("0") {
            skip_even_in_ci("only root can start a second engine");
            return None;
        }
        if let Some(missing) = ["dockerd", "ip", "nsenter"].iter().find(|program| run("which", &[program]).is_none()) {
            skip_even_in_ci(&format!("a second engine needs {missing}"));
            return None;
        }
        // A port makes names and addresses that no other test has.
        let number = port_to_publish();
        let [high, low] = number.to_be_bytes();
        let net = |last: u8| format!("10.231.{high}.{}", (low & !3) + last);
        let namespace = format!("cuelight-{number}");
        let (here, there) = (format!("cue{number}a"), format!("cue{number}b"));
        let ip = |line: &str| run("ip", &line.split(' ').collect::<Vec<_>>());
        let mut engine = Self {
            home: tempfile::tempdir().expect("a folder"),
            namespace: namespace.clone(),
            address: net(2),
            process: None,
        };
        for line in [
            format!("netns add {namespace}"),
            format!("link add {here} type veth peer name {there} netns {namespace}"),
            format!("addr add {}/30 dev {here}", net(1)),
            format!("link set {here} up"),
            format!("-n {namespace} addr add {}/30 dev {there}", net(2)),
            format!("-n {namespace} link set {there} up"),
            format!("-n {namespace} link set lo up"),
        ] {
            if ip(&line).is_none() {
                skip_even_in_ci(&format!("a second engine needs a network of its own: `ip {line}` failed"));
                return None;
            }
        }
        engine.go_on();
        Some(engine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Returns the address of its API.
    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.path("second.sock").display())
    }

    /// Starts the engine, and waits until it answers.
    pub(super) fn go_on(&mut self) {
        let log = fs::File::create(self.path("log")).expect("made");
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace)).arg("dockerd").args(["-H", &self.host()]);
        for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(option).arg(self.path(name));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        self.process = Some(command.spawn().expect("nsenter starts"));
        for _ in 0..300 {
            if self.docker(&["version"]).is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("the second engine does not answer: {}", fs::read_to_string(self.path("log")).unwrap_or_default());
    }

    /// Stops the engine, and all containers with it.
    pub(super) fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        run("kill", &["-TERM", &process.id().to_string()]);
        process.wait().expect("ended");
    }

    /// Returns the output of the docker CLI, or `None` if it fails.
    pub(super) fn docker(&self, arguments: &[&str]) -> Option<String> {
        run("docker", &[&["-H", &self.host()], arguments].concat())
    }

    /// Copies images of the first engine.
    pub(super) fn load(&self, images: &[String]) {
        let mut save = Command::new("docker");
        save.arg("save").args(images).stdout(Stdio::piped());
        let mut save = save.spawn().expect("docker starts");
        let mut load = Command::new("docker");
        load.args(["-H", &self.host(), "load", "-q"]).stdin(save.stdout.take().expect("piped")).stdout(Stdio::null());
        assert!(load.status().expect("docker starts").success(), "{images:?} are not loaded");
        assert!(save.wait().expect("ended").success(), "{images:?} are not saved");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.process.is_some() {
            let list = self.docker(&["ps", "-aq"]).unwrap_or_default();
            let containers: Vec<&str> = list.lines().collect();
            self.docker(&[&["rm", "-f", "-v"], &containers[..]].concat());
        }
        self.stop();
        run("ip", &["netns", "del", &self.namespace]);
    }
}
