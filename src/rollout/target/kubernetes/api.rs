//! Requests to the API server.
//!
//! Every request has a time limit. The retries of the client library are off, because they would also repeat changes,
//! for up to hours. Only [`Cluster::patient`] repeats requests, while the server is unavailable. Every change that it
//! sends names the version of its object, so that no change is made twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::AsyncReadExt;
use http::Method;
use kube::client::AuthError;
use kube::config::{Config, ExecInteractiveMode, KubeConfigOptions, Kubeconfig};
use kube::{Client, Error};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::error::KubernetesFault;
use crate::model::deployment::{KubernetesSettings, written};
use crate::net;
use crate::rollout::outlet::Progress;

/// Time limit of a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Time limit of the first call of a credential plugin, which may ask another server.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(30);

/// How long a request is repeated while the API server is unavailable.
const PATIENCE: Duration = Duration::from_mins(3);

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// A kind of object, named as in the rules of a Role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resource {
    Deployments,
    Rollouts,
    RolloutStatus,
    ReplicaSets,
    Pods,
    Logs,
    Events,
    Leases,
}

impl Resource {
    fn group(self) -> &'static str {
        match self {
            Self::Deployments | Self::ReplicaSets => "apis/apps/v1",
            Self::Rollouts | Self::RolloutStatus => "apis/argoproj.io/v1alpha1",
            Self::Pods | Self::Logs | Self::Events => "api/v1",
            Self::Leases => "apis/coordination.k8s.io/v1",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Deployments => "deployments",
            Self::Rollouts => "rollouts",
            Self::RolloutStatus => "rollouts/status",
            Self::ReplicaSets => "replicasets",
            Self::Pods => "pods",
            Self::Logs => "pods/log",
            Self::Events => "events",
            Self::Leases => "leases",
        }
    }
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    Get,
    List,
    Create,
    Update,
    /// Changes parts of an object, by the operations of a JSON patch.
    Patch,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Get | Self::List => Method::GET,
            Self::Create => Method::POST,
            Self::Update => Method::PUT,
            Self::Patch => Method::PATCH,
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call<'c> {
    verb: Verb,
    resource: Resource,
    /// Name of the object; `None` to list or create objects.
    name: Option<&'c str>,
    /// Parameters, each with its name.
    query: Vec<(&'static str, String)>,
    body: Option<&'c Value>,
}

impl<'c> Call<'c> {
    pub(super) fn get(resource: Resource, name: &'c str) -> Self {
        Self { verb: Verb::Get, resource, name: Some(name), query: Vec::new(), body: None }
    }

    /// Lists the objects that match all parameters.
    pub(super) fn list(resource: Resource, query: Vec<(&'static str, String)>) -> Self {
        Self { verb: Verb::List, resource, name: None, query, body: None }
    }

    /// Sends an object, or the operations of a patch.
    pub(super) fn send(verb: Verb, resource: Resource, name: Option<&'c str>, body: &'c Value) -> Self {
        Self { verb, resource, name, query: Vec::new(), body: Some(body) }
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }

    /// Returns the path in a namespace, with its parameters.
    fn path(&self, namespace: &str) -> String {
        let (plain, sub) = self.resource.name().split_once('/').unwrap_or((self.resource.name(), ""));
        let mut path = format!("/{}/namespaces/{namespace}/{plain}", self.resource.group());
        for part in [self.name, Some(sub).filter(|sub| !sub.is_empty())].into_iter().flatten() {
            path.push('/');
            path.push_str(part);
        }
        for (number, (name, value)) in self.query.iter().enumerate() {
            path.push(if number == 0 { '?' } else { '&' });
            path.push_str(name);
            path.push('=');
            path.push_str(&encoded(value));
        }
        path
    }
}

/// Percent-encodes a value for the query of a URL, except letters, digits and `-._`.
fn encoded(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

/// The namespace of a cluster that the settings name.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) client: Client,
    /// Address of the API server.
    pub(super) server: String,
    /// The namespace.
    pub(super) namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig, and runs its credential plugin, if it has one. `folder` is where relative paths begin.
    /// Nothing is sent.
    pub(super) async fn open(settings: &KubernetesSettings, folder: &Path) -> Result<Self, KubernetesFault> {
        let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &settings.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(expanded(path, folder))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await?
            }
            None => match Config::from_kubeconfig(&options).await {
                Err(kubeconfig) if settings.context.is_none() => {
                    Config::incluster().map_err(|pod| KubernetesFault::NoCluster { kubeconfig, pod })?
                }
                read => read?,
            },
        };
        config.default_retry = false;
        config.connect_timeout = Some(ANSWER_WITHIN);
        // The library compares NO_PROXY with the address of the proxy instead of the server.
        if config.proxy_url.as_ref().is_some_and(is_of_environment) {
            config.proxy_url = net::proxy_for(&config.cluster_url);
        }
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let namespace = settings.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = connected(config, &server).await?;
        Ok(Self { client, server, namespace })
    }

    /// Sends a request once.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, KubernetesFault> {
        let text = self.text(call).await?;
        serde_json::from_str(&text).map_err(|error| refused(call, format!("its answer cannot be read: {error}")))
    }

    /// Sends a request once, and returns the answer as text.
    pub(super) async fn text(&self, call: &Call<'_>) -> Result<String, KubernetesFault> {
        let kind = if call.verb == Verb::Patch { "application/json-patch+json" } else { "application/json" };
        let body = call.body.map(Value::to_string).unwrap_or_default().into_bytes();
        let request = http::Request::builder().method(call.verb.method()).uri(call.path(&self.namespace));
        let request = request.header(http::header::CONTENT_TYPE, kind).body(body);
        let request = request.map_err(|error| refused(call, error.to_string()))?;
        let asked = async {
            let answer = self.client.request_stream(request).await.map_err(|error| self.fault(call, &error))?;
            let mut bytes = Vec::new();
            let read = std::pin::pin!(answer).read_to_end(&mut bytes).await;
            read.map_err(|error| self.unreachable(net::innermost(&error)))?;
            // The log of a container may not be UTF-8.
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let late = |_| Err(self.unreachable(format!("no answer within {}", written(ANSWER_WITHIN))));
        timeout(ANSWER_WITHIN, asked).await.unwrap_or_else(late)
    }

    /// Sends a request. While the API server is unavailable, repeats the request for up to three minutes, and writes
    /// this to the log of the step.
    pub(super) async fn patient<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        progress: &Progress,
    ) -> Result<T, KubernetesFault> {
        let began = Instant::now();
        let mut is_said = false;
        loop {
            match self.ask(call).await {
                Err(error) if error.is_transient() && began.elapsed() < PATIENCE => {
                    if !is_said {
                        progress.say(&format!("{error}; retrying for up to {}", written(PATIENCE)));
                        is_said = true;
                    }
                    sleep(PAUSE).await;
                }
                answer => {
                    if is_said && answer.is_ok() {
                        let gone = Duration::from_secs(began.elapsed().as_secs());
                        progress.say(&format!("the API server answers again after {}", written(gone)));
                    }
                    return answer;
                }
            }
        }
    }

    /// Sends a request: with `patient` as [`Self::patient`] does, otherwise once.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        patient: Option<&Progress>,
    ) -> Result<T, KubernetesFault> {
        match patient {
            Some(progress) => self.patient(call, progress).await,
            None => self.ask(call).await,
        }
    }

    fn unreachable(&self, reason: String) -> KubernetesFault {
        KubernetesFault::Unreachable { server: self.server.clone(), reason }
    }

    fn fault(&self, call: &Call<'_>, error: &Error) -> KubernetesFault {
        let status = match error {
            Error::Api(status) => status,
            Error::HyperError(_) | Error::Service(_) => return self.unreachable(reason_of(error)),
            _ => return refused(call, reason_of(error)),
        };
        let (resource, name) = (call.resource.name(), call.name.unwrap_or_default().to_owned());
        let (server, namespace) = (self.server.clone(), self.namespace.clone());
        match status.code {
            401 => KubernetesFault::Unauthorized { server, reason: status.message.clone() },
            403 if status.message.contains("exceeded quota") => refused(call, status.message.clone()),
            403 => {
                let user = user_of(&status.message);
                KubernetesFault::Forbidden { verb: call.verb.name(), resource, namespace, user }
            }
            // The answer about a missing object names it, the answer about an unknown kind does not.
            404 if call.resource == Resource::Rollouts && !status.message.contains(&format!("\"{name}\"")) => {
                KubernetesFault::NoRollouts { server }
            }
            404 => KubernetesFault::Missing { resource, name, namespace, server },
            409 => KubernetesFault::Conflict { resource, name },
            429 | 500 | 502..=504 => self.unreachable(format!("{} {}", status.code, status.message)),
            _ => refused(call, status.message.clone()),
        }
    }
}

/// Makes a client, which runs the credential plugin of the kubeconfig.
async fn connected(mut config: Config, server: &str) -> Result<Client, KubernetesFault> {
    let failed = |reason| KubernetesFault::Client { server: server.to_owned(), reason };
    if let Some(plugin) = &mut config.auth_info.exec {
        // The plugin must not prompt: this process has no terminal, or the screen uses it.
        plugin.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    let (runtime, (made, making)) = (Handle::current(), oneshot::channel());
    // The library blocks until the plugin ends. A blocked thread of the runtime would keep the program from exiting.
    let thread = std::thread::Builder::new().name("credentials".to_owned()).spawn(move || {
        let _entered = runtime.enter();
        let _ = made.send(Client::try_from(config));
    });
    thread.map_err(|error| failed(format!("cannot start a thread: {error}")))?;
    match timeout(CREDENTIALS_WITHIN, making).await {
        Ok(Ok(made)) => made.map_err(|error| failed(reason_of(&error))),
        Ok(Err(_)) => Err(failed("the settings of the kubeconfig cannot be used".to_owned())),
        Err(_) => Err(failed(format!("the credential plugin did not end within {}", written(CREDENTIALS_WITHIN)))),
    }
}

/// Returns why a request failed. The arguments and the output of a credential plugin are left out, because they may be
/// secret.
fn reason_of(error: &Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        match inner.downcast_ref::<AuthError>() {
            Some(AuthError::AuthExecRun { out, .. }) => return format!("the credential plugin failed: {}", out.status),
            Some(AuthError::AuthExecStart(error)) => {
                return format!("the credential plugin cannot be started: {error}");
            }
            Some(AuthError::AuthExecParse(_)) => return "the credential plugin printed no credentials".to_owned(),
            _ => cause = inner.source(),
        }
    }
    net::innermost(error)
}

pub(super) fn refused(call: &Call<'_>, reason: String) -> KubernetesFault {
    KubernetesFault::Refused { verb: call.verb.name(), resource: call.resource.name(), reason }
}

/// Returns the user that the message of a 403 response names: `… is forbidden: User "viewer" cannot get …`.
fn user_of(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("User \"")?;
    rest.split_once('"').map(|(user, _)| user.to_owned())
}

/// Whether a proxy comes from the environment, not from the kubeconfig.
fn is_of_environment(proxy: &http::Uri) -> bool {
    let values = ["HTTPS_PROXY", "https_proxy"].into_iter().filter_map(|name| std::env::var(name).ok());
    values.filter_map(|value| value.parse::<http::Uri>().ok()).any(|value| value == *proxy)
}

/// Returns the path of a kubeconfig, with the home folder in place of `~`.
fn expanded(path: &str, folder: &Path) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => folder.join(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_request_has_its_group_namespace_name_and_parameters() {
        let call = Call::get(Resource::Logs, "web-1").with("container", "web".to_owned());
        assert_eq!(call.path("shop"), "/api/v1/namespaces/shop/pods/web-1/log?container=web");
        let call = Call::list(Resource::ReplicaSets, vec![("labelSelector", "app=web,tier=a b".to_owned())]);
        assert_eq!(call.path("x"), "/apis/apps/v1/namespaces/x/replicasets?labelSelector=app%3Dweb%2Ctier%3Da%20b");
    }

    #[test]
    fn the_user_is_the_one_whom_the_server_names() {
        let message = "deployments.apps \"web\" is forbidden: User \"viewer\" cannot patch resource \"deployments\" in API \
                       group \"apps\" in the namespace \"default\"";
        assert_eq!(user_of(message).as_deref(), Some("viewer"));
        assert_eq!(user_of("forbidden"), None);
    }
}
