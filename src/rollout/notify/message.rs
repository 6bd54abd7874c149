//! The content of a notification, in the format of each channel.

use serde_json::{Value, json};

use crate::model::deployment::{Cause, NotifyEvent};
use crate::model::environment::Release;
use crate::model::{RunId, Timestamp};

/// Maximum number of characters of a block of text: Slack refuses more than 3,000, and escaping lengthens a text.
const MAX_BLOCK: usize = 2000;

/// A notification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The event that the notification reports.
    pub about: NotifyEvent,
    /// Name of the environment.
    pub environment: String,
    /// The run of the deployment.
    pub run: RunId,
    /// The release.
    pub release: Release,
    /// Why the release is deployed.
    pub cause: Cause,
    /// Who asked for the deployment.
    pub by: String,
    /// What happened. Follows the name of the release in the message.
    pub what: String,
    /// Command to act on the event, or to see its details.
    pub command: String,
    /// Name of the strategy.
    pub strategy: &'static str,
    /// Number of the current step and total number of steps; `None` before there is a plan.
    pub step: Option<(usize, usize)>,
    /// URL of the deployed application.
    pub url: Option<String>,
    /// Time of the event.
    pub at: Timestamp,
}

/// The parts of a notification.
struct Parts<'n> {
    /// The first line.
    first: &'n str,
    /// The command, unless the first line names it.
    command: Option<&'n str>,
    /// The other lines.
    more: Option<&'n str>,
}

impl Notice {
    fn parts(&self) -> Parts<'_> {
        let (first, more) = self.what.split_once('\n').map_or((&*self.what, None), |(first, more)| (first, Some(more)));
        Parts { first, command: Some(&*self.command).filter(|command| !first.contains(command)), more }
    }

    /// Returns the notification as text. The first line contains what happened and how to act.
    #[must_use]
    pub fn message(&self) -> String {
        let Parts { first, command, more } = self.parts();
        let command = command.map(|command| format!("; `{command}`")).unwrap_or_default();
        let more = more.map(|more| format!("\n{more}")).unwrap_or_default();
        format!("{}: {} {first}{command}{more}", self.environment, self.release.title())
    }

    /// Returns the notification in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        self.message().lines().next().unwrap_or_default().to_owned()
    }

    /// Returns the notification as the body of a request to an incoming webhook of Slack. Each notification is a
    /// separate message, because these webhooks cannot change earlier messages. The last block shows the progress of
    /// the deployment.
    #[must_use]
    pub fn slack(&self) -> Value {
        let section = |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
        let Parts { first, command, more } = self.parts();
        let subject = escaped(&format!("{}: {} {first}", self.environment, self.release.title()));
        let mut blocks = vec![section(subject)];
        if let Some(more) = more {
            blocks.push(section(format!("```{}```", escaped(more))));
        }
        if let Some(command) = command {
            blocks.push(section(format!("`{}`", escaped(command))));
        }
        let step = self.step.map(|(step, all)| format!("step {step} of {all}"));
        let facts = [Some(self.strategy.to_owned()), step, Some(format!("by {}", self.by)), Some(self.run.to_string())];
        let mut facts = facts.into_iter().flatten().map(|fact| escaped(&fact)).collect::<Vec<_>>().join(" · ");
        if let Some(url) = &self.url {
            facts.push_str(&format!(" · {}", escaped(url)));
        }
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": facts}]}));
        json!({"text": escaped(&self.headline()), "blocks": blocks})
    }

    /// Returns the notification as the JSON document that is sent to a webhook's server.
    #[must_use]
    pub fn document(&self) -> Value {
        let step = self.step.map(|(step, all)| json!({"number": step, "of": all}));
        json!({
            "version": 1, "event": self.about, "environment": self.environment, "deployment": self.run,
            "release": self.release, "cause": self.cause, "by": self.by, "message": self.message(),
            "command": self.command, "strategy": self.strategy, "step": step, "url": self.url, "at": self.at,
        })
    }

    /// Returns the environment variables of a command that notifies people.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DEPLOY_EVENT", self.about.name().to_owned()),
            ("DEPLOY_MESSAGE", self.message()),
            ("DEPLOY_COMMAND", self.command.clone()),
            ("DEPLOY_SLACK", self.slack().to_string()),
            ("DEPLOY_ENVIRONMENT", self.environment.clone()),
            ("DEPLOY_ID", self.run.to_string()),
            ("DEPLOY_RELEASE", self.release.name().to_owned()),
            ("DEPLOY_SHA", self.release.sha.clone()),
            ("DEPLOY_URL", self.url.clone().unwrap_or_default()),
        ]
    }

    /// Returns the notification with every text changed by `mask`.
    #[must_use]
    pub fn masked(mut self, mask: impl Fn(&str) -> String) -> Self {
        let texts =
            [&mut self.environment, &mut self.by, &mut self.what, &mut self.command, &mut self.release.reference];
        let optional = [&mut self.url, &mut self.release.tag];
        for text in texts.into_iter().chain(optional.into_iter().flatten()) {
            *text = mask(text);
        }
        self
    }
}

/// Escapes the three characters that have a meaning in Slack's markup, and truncates the text to the size of a block.
fn escaped(text: &str) -> String {
    let short: String = text.chars().take(MAX_BLOCK).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;") + dots
}

#[cfg(test)]
pub(super) fn example(about: NotifyEvent, what: &str) -> Notice {
    Notice {
        about,
        environment: "production".to_owned(),
        run: RunId::new("20261124-021500-ab12"),
        release: crate::rollout::testing::release("v2"),
        cause: Cause::Manual,
        by: "ada@web".to_owned(),
        what: what.to_owned(),
        command: "cuelight rollback production".to_owned(),
        strategy: "canary",
        step: Some((4, 9)),
        url: Some("https://app.example.com".to_owned()),
        at: Timestamp(1_700_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_command_to_act_and_slack_gets_text_and_blocks() {
        let notice = example(NotifyEvent::Failed, "failed: <b> & step 2\nlast lines\n<!channel>");
        let title = notice.release.title();
        assert_eq!(
            notice.message(),
            format!("production: {title} failed: <b> & step 2; `cuelight rollback production`\nlast lines\n<!channel>")
        );
        let slack = notice.slack();
        assert_eq!(
            slack["text"],
            format!("production: {title} failed: &lt;b&gt; &amp; step 2; `cuelight rollback production`")
        );
        let blocks = slack["blocks"].as_array().expect("blocks");
        let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"]["text"].as_str()).collect();
        assert_eq!(
            texts,
            [
                &*format!("production: {title} failed: &lt;b&gt; &amp; step 2"),
                "```last lines\n&lt;!channel&gt;```",
                "`cuelight rollback production`"
            ]
        );
        assert_eq!(
            blocks[3]["elements"][0]["text"],
            "canary · step 4 of 9 · by ada@web · 20261124-021500-ab12 · https://app.example.com"
        );
        let document = notice.document();
        assert_eq!((&document["event"], &document["step"]["number"]), (&json!("failed"), &json!(4)));
        assert_eq!(document["command"], "cuelight rollback production");
    }

    #[test]
    fn a_long_reason_fits_into_a_block_of_slack() {
        let slack = example(NotifyEvent::Failed, &format!("failed\n{}", "x".repeat(50_000))).slack();
        for block in slack["blocks"].as_array().expect("blocks") {
            assert!(block.to_string().chars().count() < 3000);
        }
    }
}
