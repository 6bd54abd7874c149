//! Reads who is notified of deployments, from `[notify]` and `[environments.NAME.notify]`.

use super::super::ConfigError;
use super::table::Table;
use crate::model::deployment::{Notify, NotifyEvent, Webhook};
use crate::model::nearest;

/// Reads a table of notifications.
pub(super) fn notify(mut table: Table<'_>) -> Result<Notify, ConfigError> {
    let mut on = Vec::new();
    for name in table.texts("on")? {
        let event = NotifyEvent::ALL.into_iter().find(|event| event.name() == name);
        on.push(event.ok_or_else(|| {
            let names = NotifyEvent::ALL.map(NotifyEvent::name);
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {}", names.join(", ")),
            };
            table.wrong("on", &format!("has `{name}`, which is unknown; {hint}"))
        })?);
    }
    if on.is_empty() {
        on.extend(NotifyEvent::DEFAULT);
    }
    let slack = variable(&mut table, "slack", "SLACK_WEBHOOK_URL")?;
    let url = variable(&mut table, "webhook", "DEPLOY_WEBHOOK_URL")?;
    let key = variable(&mut table, "webhook_key", "DEPLOY_WEBHOOK_KEY")?;
    if key.is_some() && url.is_none() {
        return Err(table.wrong("webhook_key", "has no effect without `webhook`"));
    }
    let webhook = url.map(|url| Webhook { url, key });
    let command = table.text("command")?.map(str::to_owned);
    let terminal = table.boolean("terminal")?.unwrap_or_default();
    let lacks = table.lacks("has no destination: write slack, webhook, command or terminal = true");
    table.finish()?;
    if slack.is_none() && webhook.is_none() && command.is_none() && !terminal {
        return Err(lacks);
    }
    Ok(Notify { on, slack, webhook, command, terminal })
}

/// Reads the name of an environment variable with a secret, written as `${NAME}`. Any other text may be the secret
/// itself, so the error does not repeat it.
fn variable(table: &mut Table<'_>, key: &'static str, example: &str) -> Result<Option<String>, ConfigError> {
    let Some(text) = table.text(key)? else { return Ok(None) };
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let wrong = || {
        let reason = format!(
            "must name an environment variable, such as `${{{example}}}`: its value is a secret, which must not be in a file"
        );
        table.wrong(key, &reason)
    };
    name.filter(is_name).map(|name| Some(name.to_owned())).ok_or_else(wrong)
}
