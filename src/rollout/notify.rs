//! Notifications about deployments: a command per event, which never holds a deployment back.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::model::deployment::{Notify, NotifyEvent};

use super::shell::Shell;

/// Maximum number of attempts to send a notification.
const TRIES: u32 = 3;

/// Pause after the first attempt. Later pauses are multiples of it.
const BETWEEN: Duration = Duration::from_secs(1);

/// Time limit of one attempt.
const LIMIT: Duration = Duration::from_secs(20);

/// How long the end of a deployment waits for notifications.
const LAST: Duration = Duration::from_secs(10);

/// Sender of the notifications of one deployment.
pub struct Notifier {
    settings: Option<Notify>,
    shell: Shell,
    sent: JoinSet<()>,
}

impl Notifier {
    /// Returns a notifier with the settings of an environment.
    #[must_use]
    pub fn new(settings: Option<Notify>, shell: Shell) -> Self {
        Self { settings, shell, sent: JoinSet::new() }
    }

    /// Starts to send a notification, if the settings have one for the event. Returns at once.
    pub fn send(&mut self, event: NotifyEvent, message: &str, variables: &[(&'static str, String)]) {
        let Some(settings) = self.settings.as_ref().filter(|settings| settings.on.contains(&event)) else { return };
        let mut variables = variables.to_vec();
        variables.push(("DEPLOY_EVENT", event.name().to_owned()));
        variables.push(("DEPLOY_MESSAGE", message.to_owned()));
        variables.push(("DEPLOY_SLACK", slack(message)));
        let (shell, command) = (self.shell.clone(), settings.command.clone());
        self.sent.spawn(async move {
            for number in 1..=TRIES {
                match shell.run_unseen(&command, &variables, LIMIT).await {
                    Ok(Some(status)) if status.success() => return,
                    Ok(status) => tracing::warn!(number, ?status, "a notification was not sent"),
                    Err(error) => tracing::warn!(number, %error, "a notification was not sent"),
                }
                sleep(BETWEEN * number).await;
            }
        });
    }

    /// Waits for pending notifications, at most ten seconds.
    pub async fn finish(mut self) {
        let _ = timeout(LAST, async { while self.sent.join_next().await.is_some() {} }).await;
    }
}

/// Returns a message as the body of a Slack webhook.
fn slack(message: &str) -> String {
    let escaped = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let block = json!({"type": "section", "text": {"type": "mrkdwn", "text": escaped}});
    json!({"text": escaped, "blocks": [block]}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_notification_is_repeated_until_it_is_sent() {
        let home = tempfile::tempdir().expect("a folder");
        let environment = std::env::vars_os().filter(|(name, _)| name == "PATH").collect();
        let shell = Shell { folder: home.path().to_owned(), environment };
        let command = "echo x >> tries; test $(wc -l < tries) -ge 2 && echo \"$DEPLOY_EVENT $DEPLOY_SLACK\" > sent";
        let settings = Notify { command: command.to_owned(), on: vec![NotifyEvent::Failed] };
        let mut notifier = Notifier::new(Some(settings), shell);
        notifier.send(NotifyEvent::Succeeded, "not wanted", &[]);
        notifier.send(NotifyEvent::Failed, "v2 <failed> \"here\"", &[]);
        notifier.finish().await;
        let sent = std::fs::read_to_string(home.path().join("sent")).expect("sent");
        let body = sent.strip_prefix("failed ").expect("the event");
        let body: serde_json::Value = serde_json::from_str(body).expect("json");
        assert_eq!(body["text"], "v2 &lt;failed&gt; \"here\"");
        assert_eq!(body["blocks"][0]["text"]["type"], "mrkdwn");
        assert_eq!(std::fs::read_to_string(home.path().join("tries")).expect("there"), "x\nx\n");
    }
}
