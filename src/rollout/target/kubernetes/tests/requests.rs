//! Tests with an API server that answers from a Deployment in memory, and of credential plugins.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;

use super::*;
use crate::rollout::testing::{Said, live};

/// The objects of the API server, and its simulated failures.
#[derive(Default)]
struct State {
    deployment: Value,
    sets: Value,
    pods: Value,
    lease: Option<Value>,
    /// Log of every container.
    log: Vec<u8>,
    /// Number of changes of leases that the server still answers with 503.
    blips: u32,
    /// Whether another deployment takes the lease at the next change of the Deployment, which the server answers with
    /// 409.
    is_taken: bool,
    /// Addresses of all requests, with their methods.
    asked: String,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

impl Server {
    fn of((deployment, sets): (Value, Value)) -> Self {
        Self(Arc::new(Mutex::new(State { deployment, sets, ..State::default() })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    fn target(&self) -> KubernetesTarget {
        let shell = Shell { folder: std::env::temp_dir(), environment: Vec::new() };
        let id = RunId::new("run-1");
        let target = KubernetesTarget::new(environment(ROLLING), kubernetes(), id, shell);
        let client = Client::new(self.clone(), "default");
        let cluster = Cluster { client, server: "https://rig".to_owned(), namespace: "default".to_owned() };
        KubernetesTarget { cluster: OnceCell::new_with(Some(cluster)), ..target }
    }

    /// Gives all pods to the current template, as the controller does at the end of a rollout.
    fn roll(&self) {
        let mut state = self.state();
        let mut set = state.sets[0].clone();
        set["metadata"]["uid"] = json!("new");
        set["metadata"]["name"] = json!("web-new");
        set["spec"] = json!({"replicas": 3, "template": state.deployment["spec"]["template"]});
        set["status"] = json!({"replicas": 3, "availableReplicas": 3});
        state.sets = json!([set]);
    }
}

impl State {
    /// Gives the lease to another deployment.
    fn give_lease_away(&mut self) {
        let lease = self.lease.as_mut().expect("a lease");
        lease["spec"]["holderIdentity"] = json!("run-2");
        lease["metadata"]["annotations"] = json!({});
    }

    fn answer(&mut self, method: &Method, address: &str, body: &Value) -> (u16, Vec<u8>) {
        let _ = writeln!(self.asked, "{method} {address}");
        let failure = |code: u16| (code, json!({"status": "Failure", "message": "no", "code": code}));
        let (code, answer) = match (method.as_str(), address) {
            ("GET", path) if path.contains("/log?") => return (200, self.log.clone()),
            ("GET", path) if path.contains("/pods?") => (200, json!({"items": self.pods})),
            ("GET", path) if path.contains("/events?") => (200, json!({"items": []})),
            ("GET", path) if path.contains("/replicasets") => (200, json!({"items": self.sets})),
            ("GET", path) if path.contains("/leases") => match &self.lease {
                Some(lease) => (200, lease.clone()),
                None => failure(404),
            },
            ("PUT" | "POST", path) if path.contains("/leases") => {
                let exists = self.lease.is_some();
                if self.blips > 0 {
                    self.blips -= 1;
                    failure(503)
                } else if exists != (method == Method::PUT) {
                    failure(if exists { 409 } else { 404 })
                } else {
                    self.lease = Some(body.clone());
                    (200, body.clone())
                }
            }
            ("PATCH", _) if self.is_taken => {
                self.is_taken = false;
                self.give_lease_away();
                failure(409)
            }
            ("PATCH", _) => {
                carry_out(&mut self.deployment, body);
                let generation = self.deployment["metadata"]["generation"].as_u64().expect("a number") + 1;
                self.deployment["metadata"]["generation"] = json!(generation);
                self.deployment["status"]["observedGeneration"] = json!(generation);
                (200, self.deployment.clone())
            }
            _ => (200, self.deployment.clone()),
        };
        (code, answer.to_string().into_bytes())
    }
}

impl tower_service::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.expect("a body");
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (code, answer) = server.state().answer(&parts.method, &parts.uri.to_string(), &body);
            Ok(Response::builder().status(code).body(Body::from(answer)).expect("an answer"))
        }
        .boxed()
    }
}

const START: PlanStep = PlanStep::Start { slot: Slot::Green, replicas: 3 };

#[tokio::test(start_paused = true)]
async fn a_deployment_that_lost_its_lock_changes_nothing_after_a_conflict() {
    let server = Server::of(recorded("steady"));
    let (target, said) = (server.target(), Said::default());
    target.lock("olu", false).await.expect("it is free");
    server.state().is_taken = true;
    let error = target.act(&START, &plan(), &said.progress()).await.expect_err("it is lost");
    assert_eq!(
        error.to_string(),
        "the lock of the environment was lost to another deployment (held by run-2): nothing more is changed"
    );
    assert_eq!(server.state().asked.matches("PATCH").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_lost_its_lock_does_not_pause_the_rollout() {
    let server = Server::of(recorded("steady"));
    let target = server.target();
    target.lock("olu", false).await.expect("it is free");
    target.pause(true).await.expect("the lock is held");
    server.state().give_lease_away();
    let error = target.pause(false).await.expect_err("it is lost");
    assert_eq!(
        error.to_string(),
        "the lock of the environment was lost to another deployment (held by run-2): nothing more is changed"
    );
    assert_eq!(server.state().deployment["spec"]["paused"], true);
    assert_eq!(server.state().asked.matches("PATCH").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_renewed_after_a_blip_and_made_again_if_somebody_deleted_it() {
    let server = Server::of(recorded("steady"));
    let (target, said) = (server.target(), Said::default());
    target.lock("olu", false).await.expect("it is free");
    let holder = || server.state().lease.as_ref().map(|lease| lease["spec"]["holderIdentity"].clone());
    server.state().blips = 2;
    target.act(&START, &plan(), &said.progress()).await.expect("it is patient");
    assert!(said.text().contains("no answer from the API server"), "{}", said.text());
    server.state().lease = None;
    target.act(&START, &plan(), &said.progress()).await.expect("it makes the lease again");
    assert_eq!(holder(), Some(json!("run-1")));
    server.state().lease = None;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(holder(), Some(json!("run-1")), "a renewal makes it again");
}

#[tokio::test(start_paused = true)]
async fn pods_that_take_long_to_end_do_not_fail_the_start_of_the_next_ones() {
    let server = Server::of(recorded("steady"));
    let (target, said) = (server.target(), Said::default());
    // The server has no ReplicaSet for the new template, as with the strategy `recreate` until all former pods have
    // ended.
    target.act(&START, &plan(), &said.progress()).await.expect("the controller has seen the change");
    server.state().deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    let answer = target.health(Slot::Green, &plan(), &said.progress()).await;
    assert_eq!(answer, Answer::Unknown("the former pods end first".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn only_the_release_of_the_plan_is_healthy() {
    let server = Server::of(recorded("steady"));
    let (target, said) = (server.target(), Said::default());
    let done = Answer::Good("green: 3 pods are updated and available".to_owned());
    target.act(&START, &plan(), &said.progress()).await.expect("changed");
    server.roll();
    assert_eq!(target.health(Slot::Green, &plan(), &said.progress()).await, done);
    server.state().deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("rig/web:v3");
    server.roll();
    let other = Answer::Hopeless("the Deployment web was set to another release meanwhile".to_owned());
    assert_eq!(target.health(Slot::Green, &plan(), &said.progress()).await, other);
    // A former release that this program did not deploy has no commit, only the name in its image.
    let server = Server::of(recorded("steady"));
    let target = server.target();
    let mut found = live("v1", 3);
    found.slot_mut(Slot::Blue).release = Some("v1".to_owned());
    let plan = Plan { found, ..plan() };
    let done = Answer::Good("blue: 3 pods are updated and available".to_owned());
    assert_eq!(target.health(Slot::Blue, &plan, &said.progress()).await, done);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_is_reported_after_an_outage_of_the_server_counts_only_once_its_time_has_passed_again() {
    let server = Server::of(half_way());
    server.state().pods = json!([]);
    let (target, said) = (server.target(), Said::default());
    let is_hopeless =
        async || matches!(target.health(Slot::Green, &plan(), &said.progress()).await, Answer::Hopeless(_));
    assert!(is_hopeless().await);
    let error = KubernetesFault::Unreachable { server: "https://rig".to_owned(), reason: "refused".to_owned() };
    assert!(matches!(target.answer(Err(error)), Answer::Unknown(_)));
    let answer = target.health(Slot::Green, &plan(), &said.progress()).await;
    let Answer::Unknown(text) = answer else { panic!("not an answer about the pods: {answer:?}") };
    assert!(text.contains("the API server was unavailable, so the progress deadline is counted again"), "{text}");
    sleep(Duration::from_secs(6)).await;
    assert!(is_hopeless().await);
}

#[tokio::test]
async fn the_log_of_a_container_is_limited_and_may_be_anything() {
    let server = Server::of(recorded("stalled"));
    let all: Value = serde_json::from_str(RECORDED).expect("JSON");
    server.state().pods = all["pods"].clone();
    server.state().log = [&b"x".repeat(5_000)[..], b"\nno port \xff\n"].concat();
    let (target, said) = (server.target(), Said::default());
    let summary = target.evidence(Slot::Blue, &said.progress()).await.expect("a pod is ill");
    assert!(summary.ends_with("its last line: no port \u{fffd}"), "{summary}");
    let asked = server.state().asked.clone();
    assert!(asked.contains("tailLines=50&limitBytes=65536"), "{asked}");
    let longest = said.text().lines().map(str::len).max();
    assert_eq!(longest, Some(2_000));
}

/// Opens a cluster whose kubeconfig runs `script` as its credential plugin. Returns the error.
async fn refused(script: &str) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "IfAvailable", "command": "sh",
        "args": ["-c", script], "env": [{"name": "TOKEN", "value": "hunter2"}]
    }});
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "rig",
        "clusters": [{"name": "rig", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "rig", "user": user}],
        "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "rig"}}]
    });
    std::fs::write(home.path().join("config"), kubeconfig.to_string()).expect("written");
    let settings = KubernetesSettings { kubeconfig: Some("config".to_owned()), ..kubernetes() };
    Cluster::open(&settings, home.path()).await.err().map(|error| error.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn a_credential_plugin_that_fails_is_told_without_its_secrets() {
    let failed = "cannot connect to Kubernetes at http://127.0.0.1:1: the credential plugin ";
    let said = refused("echo $TOKEN; echo $TOKEN >&2; exit 3").await;
    assert_eq!(said, format!("{failed}failed: exit status: 3"));
    assert_eq!(refused("echo \"{token: [$TOKEN\"").await, format!("{failed}printed no credentials"));
}

#[tokio::test(start_paused = true)]
async fn a_credential_plugin_that_hangs_is_given_up() {
    let said = refused("exec sleep 3").await;
    let expected = "cannot connect to Kubernetes at http://127.0.0.1:1: the credential plugin did not end within 30s";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn the_image_is_the_one_that_the_nodes_report() {
    let server = Server::of(recorded("steady"));
    let (target, said) = (server.target(), Said::default());
    let (plan, progress) = (plan(), said.progress());
    target.act(&START, &plan, &progress).await.expect("changed");
    server.roll();
    let container = server.state().deployment["spec"]["template"]["spec"]["containers"][0]["name"].clone();
    let pod = |name: &str, ready: bool, image: &str| {
        json!({
            "metadata": {"name": name, "uid": name, "ownerReferences": [{"uid": "new"}]},
            "status": {"containerStatuses": [
                {"name": container, "ready": ready, "imageID": image},
                {"name": "sidecar", "ready": true, "imageID": "sidecar@sha256:9"},
            ]},
        })
    };
    let image = async || {
        let found = target.running_image(Slot::Green, &plan, &progress).await.expect("answered");
        found.map(|image| (image.name, image.id))
    };
    server.state().pods = json!([pod("a", false, "rig/web@sha256:1"), pod("b", true, "")]);
    assert_eq!(image().await, None, "no node has reported the image of a ready container");
    let [moved, first] = ["docker-pullable://rig/web@sha256:2", "rig/web@sha256:1"];
    let all = [("a", moved), ("b", first), ("c", first), ("d", "rig/web@sha256:3")];
    server.state().pods = all.map(|(name, image)| pod(name, true, image)).into_iter().collect();
    assert_eq!(image().await, Some(("rig/web:v2".to_owned(), "rig/web@sha256:1".to_owned())));
    for image in ["rig/web@sha256:2", "rig/web@sha256:3"] {
        let other = format!("1 of 4 pods run {image}, and 2 run rig/web@sha256:1");
        assert!(said.text().contains(&other), "{}", said.text());
    }
    let other = target.running_image(Slot::Blue, &plan, &progress).await.expect("answered");
    assert_eq!(other, None, "the release was replaced");
}
