//! Notifications about deployments: to Slack, a server, a command, and the terminals of people who follow.
//!
//! Notifications never hold a deployment back and never change how it ends; its end only waits for them for a limited
//! time. Each channel sends its notifications in order in a separate task, and tries again after an error that may be
//! temporary. Each result is recorded as an event of the run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::model::deployment::{Notify, NotifyChannel, NotifyEvent, Webhook};
use crate::model::{Event, JobId};

use super::outlet::Outlet;
use super::shell::Shell;

mod message;
mod post;
#[cfg(test)]
mod tests;

pub use message::Notice;
use post::{PostError, Poster, SIGNATURE, signature};

/// Maximum number of attempts to send a notification.
const TRIES: u32 = 3;

/// Pause after the first failed attempt. Each later pause is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);

/// Maximum pause that a server can ask for.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Time limit of a command.
const COMMAND_LIMIT: Duration = Duration::from_secs(20);

/// How long the end of a deployment waits for notifications.
const LAST: Duration = Duration::from_secs(10);

/// Header with the name of the event, such as `failed`.
const EVENT: HeaderName = HeaderName::from_static("x-cuelight-event");

/// Header with an id of the notification, the same for every attempt to send it.
const DELIVERY: HeaderName = HeaderName::from_static("x-cuelight-delivery");

/// Why a notification was not sent.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error("the variable {0} is not set; it was needed when the deployment was started")]
    NotSet(String),
    #[error(transparent)]
    Post(#[from] PostError),
    #[error("cannot start `sh`: {0}")]
    Start(std::io::Error),
    #[error("the command failed: {0}")]
    Command(std::process::ExitStatus),
    #[error("the command did not end within {} s", COMMAND_LIMIT.as_secs())]
    TooSlow,
}

impl NotifyError {
    /// Whether another attempt can have another result.
    fn may_pass(&self) -> bool {
        match self {
            Self::NotSet(_) => false,
            Self::Post(error) => error.may_pass(),
            Self::Start(_) | Self::Command(_) | Self::TooSlow => true,
        }
    }

    /// Returns the pause after an attempt with this number.
    fn pause(&self, number: u32) -> Duration {
        let asked = if let Self::Post(error) = self { error.after() } else { None };
        asked.unwrap_or(PAUSE * 2_u32.pow(number - 1)).min(MAX_PAUSE)
    }
}

/// Sends the notifications of one deployment.
pub struct Notifier {
    on: Vec<NotifyEvent>,
    terminal: bool,
    results: Results,
    channels: Vec<(NotifyChannel, mpsc::UnboundedSender<Notice>)>,
    sent: JoinSet<()>,
}

impl Notifier {
    /// Creates a notifier with the settings of an environment. Results are recorded as events of `job`. Must be called
    /// inside a tokio runtime.
    #[must_use]
    pub fn new(settings: Option<&Notify>, shell: &Shell, outlet: &Arc<dyn Outlet>, job: &JobId) -> Self {
        let results = Results { outlet: Arc::clone(outlet), job: job.clone(), pending: Arc::default() };
        let Some(Notify { on, slack, webhook, command, terminal }) = settings.cloned() else {
            return Self { on: Vec::new(), terminal: false, results, channels: Vec::new(), sent: JoinSet::new() };
        };
        let value = |name: String| variable(shell, &name).ok_or(name);
        let ways = [
            slack.map(|name| Way::Slack { url: value(name) }),
            webhook.map(|Webhook { url, key }| Way::Webhook { url: value(url), key: key.map(value) }),
            command.map(|text| Way::Command { text, shell: shell.clone() }),
        ];
        let mut notifier = Self { on, terminal, results, channels: Vec::new(), sent: JoinSet::new() };
        for way in ways.into_iter().flatten() {
            let (sender, receiver) = mpsc::unbounded_channel();
            notifier.channels.push((way.channel(), sender));
            notifier.sent.spawn(send_all(way, receiver, notifier.results.clone()));
        }
        notifier
    }

    /// Whether the settings ask for notifications of an event.
    #[must_use]
    pub fn wants(&self, about: NotifyEvent) -> bool {
        self.on.contains(&about)
    }

    /// Sends a notification over every channel, if the settings name its event. Does not wait until it is sent.
    pub fn send(&mut self, notice: Notice) {
        if !self.wants(notice.about) {
            return;
        }
        let notice = notice.masked(|text| self.results.outlet.masked(text));
        if self.terminal {
            self.results.record(NotifyChannel::Terminal, &notice, None);
        }
        for (channel, sender) in &self.channels {
            self.results.lock().push_back((*channel, notice.clone()));
            // The task of the channel lives as long as the notifier.
            let _ = sender.send(notice.clone());
        }
    }

    /// Waits for pending notifications, for a limited time.
    pub async fn finish(mut self) {
        self.channels.clear();
        let all = async { while self.sent.join_next().await.is_some() {} };
        if timeout(LAST, all).await.is_err() {
            self.sent.shutdown().await;
            let late = format!("not sent within {} s after the end of the deployment", LAST.as_secs());
            let pending: Vec<_> = self.results.lock().drain(..).collect();
            for (channel, notice) in pending {
                self.results.record(channel, &notice, Some(late.clone()));
            }
        }
    }
}

/// Returns the value of a variable of the deployment's environment.
fn variable(shell: &Shell, name: &str) -> Option<String> {
    let (_, value) = shell.environment.iter().rev().find(|(known, _)| known == name)?;
    value.to_str().filter(|value| !value.trim().is_empty()).map(str::to_owned)
}

/// Records results, and holds the notifications that have no result yet.
#[derive(Clone)]
struct Results {
    outlet: Arc<dyn Outlet>,
    job: JobId,
    pending: Arc<Mutex<VecDeque<(NotifyChannel, Notice)>>>,
}

impl Results {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(NotifyChannel, Notice)>> {
        // A panic between two changes leaves no inconsistent state.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, channel: NotifyChannel, notice: &Notice, failure: Option<String>) {
        let (job, message) = (self.job.clone(), notice.headline());
        self.outlet.record(Event::Notified { job, channel, about: notice.about, message, failure });
    }

    fn ended(&self, channel: NotifyChannel, notice: &Notice, result: Result<(), NotifyError>) {
        {
            let mut pending = self.lock();
            let at = pending.iter().position(|(known, _)| *known == channel);
            at.map(|at| pending.remove(at));
        }
        self.record(channel, notice, result.err().map(|error| error.to_string()));
    }
}

/// A value of a variable; the name of the variable if it is not set.
type Value = Result<String, String>;

/// Where a channel sends its notifications.
enum Way {
    Slack { url: Value },
    Webhook { url: Value, key: Option<Value> },
    Command { text: String, shell: Shell },
}

impl Way {
    fn channel(&self) -> NotifyChannel {
        match self {
            Self::Slack { .. } => NotifyChannel::Slack,
            Self::Webhook { .. } => NotifyChannel::Webhook,
            Self::Command { .. } => NotifyChannel::Command,
        }
    }

    /// Sends a notification once. `poster` keeps the connection to the server.
    async fn send(&self, notice: &Notice, poster: &mut Option<Poster>) -> Result<(), NotifyError> {
        let set = |value: &Value| value.clone().map_err(NotifyError::NotSet);
        match self {
            Self::Slack { url } => {
                let body = Bytes::from(notice.slack().to_string());
                Ok(connected(poster, &set(url)?)?.post(&HeaderMap::new(), &body).await?)
            }
            Self::Webhook { url, key } => {
                let body = Bytes::from(notice.document().to_string());
                let mut headers = HeaderMap::new();
                headers.insert(EVENT, HeaderValue::from_static(notice.about.name()));
                let delivery = format!("{}-{}-{}", notice.run, notice.about, notice.at.0);
                headers.extend(HeaderValue::try_from(delivery).ok().map(|value| (DELIVERY, value)));
                if let Some(key) = key {
                    headers.insert(SIGNATURE, signature(&set(key)?, &body));
                }
                Ok(connected(poster, &set(url)?)?.post(&headers, &body).await?)
            }
            Self::Command { text, shell } => {
                let ended = shell.run_unseen(text, &notice.variables(), COMMAND_LIMIT).await;
                match ended.map_err(NotifyError::Start)? {
                    Some(status) if status.success() => Ok(()),
                    Some(status) => Err(NotifyError::Command(status)),
                    None => Err(NotifyError::TooSlow),
                }
            }
        }
    }
}

fn connected<'p>(poster: &'p mut Option<Poster>, url: &str) -> Result<&'p Poster, PostError> {
    if poster.is_none() {
        *poster = Some(Poster::to(url)?);
    }
    Ok(poster.as_ref().expect("it was made above"))
}

/// Sends the notifications of a channel, one after the other.
async fn send_all(way: Way, mut wanted: mpsc::UnboundedReceiver<Notice>, results: Results) {
    let mut poster = None;
    while let Some(notice) = wanted.recv().await {
        let mut number = 1;
        let result = loop {
            match way.send(&notice, &mut poster).await {
                Err(error) if error.may_pass() && number < TRIES => sleep(error.pause(number)).await,
                result => break result,
            }
            number += 1;
        };
        results.ended(way.channel(), &notice, result);
    }
}
