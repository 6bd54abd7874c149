//! Notifications about the deployments to an environment: what is reported, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Settings of the notifications about the deployments to an environment.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notify {
    /// The events that are reported.
    pub on: Vec<NotifyEvent>,
    /// Environment variable with the address of an incoming webhook of Slack.
    #[serde(default)]
    pub slack: Option<String>,
    /// A server that gets each notification as a JSON document.
    #[serde(default)]
    pub webhook: Option<Webhook>,
    /// Command that `sh` runs for each notification.
    #[serde(default)]
    pub command: Option<String>,
    /// Whether to ring the terminals of people who follow the deployment.
    #[serde(default)]
    pub terminal: bool,
}

/// A server that gets notifications. Its address and its key are secrets, so the settings only name their variables.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// Environment variable with the address.
    pub url: String,
    /// Environment variable with the key that signs the documents; `None` if they are not signed.
    #[serde(default)]
    pub key: Option<String>,
}

impl Notify {
    /// Returns the names of the environment variables that the notifications need. All of their values are secrets.
    pub fn variables(&self) -> impl Iterator<Item = &String> {
        let webhook = self.webhook.iter().flat_map(|webhook| std::iter::once(&webhook.url).chain(&webhook.key));
        self.slack.iter().chain(webhook)
    }
}

/// Destination of a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyChannel {
    /// An incoming webhook of Slack.
    Slack,
    /// A server.
    Webhook,
    /// A command.
    Command,
    /// The terminals of people who follow the deployment.
    Terminal,
}

impl NotifyChannel {
    /// Returns the name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Command => "command",
            Self::Terminal => "terminal",
        }
    }
}

impl fmt::Display for NotifyChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An event that people are notified of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyEvent {
    /// A deployment waits for an approval.
    Approval,
    /// A deployment has passed its gates and begins.
    Started,
    /// A deployment waits until a person promotes it.
    Paused,
    /// A release is live; also the end of a rollback that a person asked for.
    Succeeded,
    /// A deployment failed or was aborted, and the former release is live again.
    RolledBack,
    /// A deployment failed, and the state of the environment is not known to be good.
    Failed,
}

impl NotifyEvent {
    /// All events.
    pub const ALL: [Self; 6] =
        [Self::Approval, Self::Started, Self::Paused, Self::Succeeded, Self::RolledBack, Self::Failed];

    /// The events that people are notified of if the settings name none.
    pub const DEFAULT: [Self; 5] = [Self::Approval, Self::Paused, Self::Succeeded, Self::RolledBack, Self::Failed];

    /// Returns the name in settings, which is also the value of `DEPLOY_EVENT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Started => "started",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for NotifyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Returns the result of a notification in one line.
#[must_use]
pub fn notified(channel: NotifyChannel, about: NotifyEvent, message: &str, failure: Option<&str>) -> String {
    match failure {
        None => format!("notified {channel}: {message}"),
        Some(reason) => format!("{channel} was not notified ({about}): {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_deployment_that_an_older_version_started_are_read() {
        let old = r#"{"command":"notify-send hello","on":["failed"]}"#;
        let read: Notify = serde_json::from_str(old).expect("read");
        assert_eq!((read.command.as_deref(), read.on), (Some("notify-send hello"), vec![NotifyEvent::Failed]));
    }
}
