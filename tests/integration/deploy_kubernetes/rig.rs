//! A Deployment or a Rollout of a real API server, in a separate namespace that is removed at the end of the test.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::docker::skip_even_in_ci;
use crate::project::{Project, Said, until};
use crate::survival::{try_kill, workers_of};

/// Releases; the images of the rig are named after them. In the rig without pods, `slow` becomes ready after a while,
/// `bad` and `crash` never, and all others at once.
const RELEASES: [&str; 7] = ["v1", "v2", "v3", "slow", "bad", "crash", "none"];

static COUNT: AtomicU32 = AtomicU32::new(0);

pub(super) struct Rig {
    pub(super) project: Project,
    /// The namespace.
    pub(super) namespace: String,
    kubeconfig: PathBuf,
    /// Kind of the workload `web`, in lower case.
    kind: &'static str,
}

impl Rig {
    /// Creates the Deployment `web` with three pods of `v1`. `None` if `CUELIGHT_K8S`, the kubeconfig of a rig, is not
    /// set.
    pub(super) fn new(environment: &str, target: &str) -> Option<Self> {
        Self::of(environment, target, MANIFEST, false)
    }

    /// Creates the Deployment for a test that needs running pods. `None` also if the rig has no node on which pods run.
    pub(super) fn with_pods(environment: &str, target: &str) -> Option<Self> {
        Self::of(environment, target, MANIFEST, true)
    }

    /// Creates the Rollout `web` with five pods of `v1` and this strategy. `None` also if the rig has no Argo Rollouts.
    pub(super) fn with_rollout(environment: &str, target: &str, strategy: &str) -> Option<Self> {
        Self::of(environment, target, &ROLLOUT.replace("STRATEGY", strategy), false)
    }

    fn of(environment: &str, target: &str, manifest: &str, needs_pods: bool) -> Option<Self> {
        let Some(kubeconfig) = std::env::var_os("CUELIGHT_K8S").map(PathBuf::from) else {
            skip_even_in_ci("CUELIGHT_K8S does not name the kubeconfig of a rig");
            return None;
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("cuelight-test-{}-{number}", std::process::id());
        let project = Project::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: echo hi}]}}\n");
        let kind = if manifest.contains("kind: Rollout") { "rollout" } else { "deployment" };
        let rig = Self { project, namespace, kubeconfig, kind };
        if kind == "rollout" && rig.kubectl(&["get", "crd", "rollouts.argoproj.io"]).is_none() {
            skip_even_in_ci("the rig has no Argo Rollouts");
            return None;
        }
        if needs_pods && rig.kubectl(&["get", "nodes", "-o", "name"]).is_none_or(|nodes| nodes.is_empty()) {
            skip_even_in_ci("the rig has no node on which pods run");
            return None;
        }
        rig.kubectl(&["create", "namespace", &rig.namespace]).expect("the rig of CUELIGHT_K8S answers");
        rig.apply(&manifest.replace("TEMPLATE", TEMPLATE));
        for tag in RELEASES {
            rig.project.commit();
            rig.project.git(&["tag", tag]);
        }
        rig.settle(environment, target);
        until("v1 runs", || (rig.field("{.status.availableReplicas}") == rig.field("{.spec.replicas}")).then_some(()));
        Some(rig)
    }

    /// Writes the settings, and trusts them.
    pub(super) fn settle(&self, environment: &str, target: &str) {
        let (namespace, kubeconfig) = (&self.namespace, self.kubeconfig.display());
        let own = if target.contains("kubeconfig") { String::new() } else { format!("kubeconfig = '{kubeconfig}'\n") };
        let text = format!(
            "[environments.live]\n{environment}\n[environments.live.target]\nkind = 'kubernetes'\n{} = 'web'\n\
             image = 'rig/web:{{release}}'\nnamespace = '{namespace}'\n{own}{target}\n\
             [environments.live.health]\ninterval = '200ms'\nretries = 1000\ndeadline = '2m'\n",
            self.kind
        );
        self.project.write(".cuelight.toml", &text);
        self.call(&["trust"]).expect(0, &[]);
    }

    pub(super) fn call(&self, args: &[&str]) -> Said {
        self.project.call(args)
    }

    /// Returns the output of kubectl, or `None` if it fails.
    pub(super) fn kubectl(&self, args: &[&str]) -> Option<String> {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["-n", &self.namespace]).args(args);
        let done = command.output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// Applies a manifest.
    pub(super) fn apply(&self, manifest: &str) {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["-n", &self.namespace, "apply", "-f", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("kubectl starts");
        child.stdin.take().expect("piped").write_all(manifest.as_bytes()).expect("written");
        assert!(child.wait().expect("it ends").success(), "{manifest}");
    }

    /// Returns a field of the workload.
    pub(super) fn field(&self, path: &str) -> String {
        self.kubectl(&["get", self.kind, "web", "-o", &format!("jsonpath={path}")]).unwrap_or_default()
    }

    /// Returns the image of the workload.
    pub(super) fn image(&self) -> String {
        self.field("{.spec.template.spec.containers[0].image}")
    }

    /// Returns the images of the `ReplicaSets` that have pods, with their numbers.
    pub(super) fn running(&self) -> Vec<(String, u64)> {
        let list = self.kubectl(&["get", "replicasets", "-o", "json"]).expect("ReplicaSets");
        let list: Value = serde_json::from_str(&list).expect("JSON");
        let sets = list["items"].as_array().expect("a list").iter();
        let image = |set: &Value| set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().map(str::to_owned);
        let all = sets.filter_map(|set| Some((image(set)?, set["spec"]["replicas"].as_u64()?)));
        all.filter(|(_, replicas)| *replicas > 0).collect()
    }

    /// Returns the number of `ReplicaSets`, with or without pods.
    pub(super) fn revisions(&self) -> usize {
        self.kubectl(&["get", "replicasets", "-o", "name"]).expect("ReplicaSets").lines().count()
    }

    /// Waits until a release has all pods.
    pub(super) fn settled(&self, release: &str, replicas: u64) {
        let expected = vec![(format!("rig/web:{release}"), replicas)];
        until(&format!("{release} runs alone"), || (self.running() == expected).then_some(()));
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

    /// Waits until a deployment has ended.
    #[track_caller]
    pub(super) fn ended(&self, run: &str) {
        until("it has ended", || self.has_ended(run).then_some(()));
    }

    /// Starts a deployment and waits until this number of its steps is done. Returns its run.
    pub(super) fn begun(&self, release: &str, done: u64) -> String {
        let run = self.call(&["deploy", "live", release, "--detach"]).out().trim().to_owned();
        until("the step", || self.position(&run).filter(|position| position["done"].as_u64() >= Some(done)));
        run
    }

    /// Calls the program as on another machine, with a separate state folder.
    pub(super) fn elsewhere(&self, args: &[&str]) -> Said {
        self.project.call_elsewhere(args)
    }

    /// Starts a proxy for the API server, and returns it with a kubeconfig that leads through it.
    pub(super) fn proxy(&self) -> (Proxy, PathBuf) {
        let text = fs::read_to_string(&self.kubeconfig).expect("a kubeconfig");
        let (_, rest) = text.split_once("https://").expect("an address");
        let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        let proxy = Proxy::new(&address);
        let path = self.project.home().join("kubeconfig");
        fs::write(&path, text.replace(&address, &format!("127.0.0.1:{}", proxy.port))).expect("written");
        (proxy, path)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for worker in workers_of(&self.project.home().display().to_string()) {
            try_kill(worker);
        }
        // The rig without pods has no garbage collector, so objects are not deleted with their owner.
        for kind in [self.kind, "replicasets", "pods"] {
            self.kubectl(&["delete", kind, "--all", "--wait=false", "--grace-period=0", "--force"]);
        }
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

/// A proxy that forwards connections until it is cut.
pub(super) struct Proxy {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Proxy {
    fn new(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (is_cut, server) = (Arc::new(AtomicBool::new(false)), server.to_owned());
        let cut = Arc::clone(&is_cut);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&server) else { continue };
                if cut.load(Ordering::Relaxed) {
                    continue;
                }
                let pair = |stream: &TcpStream| stream.try_clone().expect("cloned");
                let (to_server, to_client, cut) = (pair(&server), pair(&client), Arc::clone(&cut));
                std::thread::spawn(move || {
                    while !cut.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    let _ = to_server.shutdown(Shutdown::Both);
                    let _ = to_client.shutdown(Shutdown::Both);
                });
                let (mut from, mut to) = (pair(&client), pair(&server));
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (mut from, mut to) = (server, client);
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        });
        Self { port, is_cut }
    }

    /// Ends all connections, and refuses new ones, or forwards connections again.
    pub(super) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

/// The pods of the workload, in the place of `TEMPLATE` in both manifests.
const TEMPLATE: &str = "  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: web
        image: rig/web:v1
        imagePullPolicy: IfNotPresent
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, failureThreshold: 2}
";

const MANIFEST: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  progressDeadlineSeconds: 60
  selector: {matchLabels: {app: web}}
TEMPLATE";

const ROLLOUT: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: next}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 5
  progressDeadlineSeconds: 60
  selector: {matchLabels: {app: web}}
  strategy:
    STRATEGY
TEMPLATE";
