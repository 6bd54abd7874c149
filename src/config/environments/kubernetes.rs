//! Reads the settings of a target in Kubernetes.

use super::super::ConfigError;
use super::table::Table;
use super::target::{check_image, needed};
use crate::model::deployment::{KubernetesSettings, Workload};

/// Maximum length in characters of the name of an object, except for namespaces and containers.
const MAX_NAME: usize = 253;

/// Maximum length in characters of the name of a namespace or container.
const MAX_LABEL: usize = 63;

/// Reads the settings. Names are checked, because they become part of the addresses of requests.
pub(super) fn settings(mut table: Table<'_>) -> Result<KubernetesSettings, ConfigError> {
    let workload = match table.text("rollout")?.map(str::to_owned) {
        Some(_) if table.has("deployment") => {
            return Err(table.wrong("rollout", "cannot be combined with `deployment`: a target has one workload"));
        }
        Some(name) => Workload::Rollout(name),
        None => Workload::Deployment(needed(&mut table, "deployment", "shop")?),
    };
    let key = if matches!(workload, Workload::Rollout(_)) { "rollout" } else { "deployment" };
    check_name(&table, key, Some(workload.name()), MAX_NAME)?;
    let image = needed(&mut table, "image", "registry.example.com/shop:{release}")?;
    check_image(&table, &image)?;
    let container = table.text("container")?.map(str::to_owned);
    check_name(&table, "container", container.as_deref(), MAX_LABEL)?;
    let namespace = table.text("namespace")?.map(str::to_owned);
    check_name(&table, "namespace", namespace.as_deref(), MAX_LABEL)?;
    let context = table.text("context")?.map(str::to_owned);
    let kubeconfig = table.text("kubeconfig")?.map(str::to_owned);
    let replicas = table.number("replicas", 1)?;
    let progress_deadline = table.length("progress_deadline")?;
    if progress_deadline.is_some_and(|deadline| deadline.as_secs() == 0) {
        return Err(table.wrong("progress_deadline", "must be at least 1s"));
    }
    table.finish()?;
    Ok(KubernetesSettings { workload, image, container, namespace, context, kubeconfig, replicas, progress_deadline })
}

/// Checks that a name consists of lower-case letters, digits and `-` and, if `most` allows more than the length of a
/// label, `.`.
fn check_name(table: &Table<'_>, key: &str, name: Option<&str>, most: usize) -> Result<(), ConfigError> {
    let Some(name) = name else { return Ok(()) };
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let may_have = |c: char| is_alphanumeric(c) || c == '-' || (c == '.' && most > MAX_LABEL);
    let is_name = name.len() <= most && name.starts_with(is_alphanumeric) && name.ends_with(is_alphanumeric);
    if is_name && name.chars().all(may_have) {
        return Ok(());
    }
    let signs = if most > MAX_LABEL { ", `-` and `.`" } else { " and `-`" };
    let rule =
        format!("must be a name of lower-case letters, digits{signs} that begins and ends with a letter or digit");
    Err(table.wrong(key, &format!("{rule}, not `{name}`")))
}
