//! Reads the target of an environment, and the probes of its checks.

use std::time::Duration;

use indexmap::IndexMap;

use super::super::ConfigError;
use super::kubernetes;
use super::table::Table;
use crate::model::deployment::{
    ComposeSettings, DockerSettings, HOST_PLACE, IMAGE_PLACES, Probe, ScriptCommand, ScriptSettings, TargetSettings,
};
use crate::model::nearest;

/// Maximum number of replicas of a release in Docker. The router has a server entry for each of them, which it resolves
/// and checks.
const MAX_REPLICAS: u32 = 64;

/// Default image of the router, which `assets/deploy/router` builds.
pub(super) const ROUTER: &str = "cuelight-router:local";

/// Minimum number of releases whose images are kept: the live one, and the one before it.
const MIN_IMAGES: u32 = 2;

/// Names of the kinds of targets.
const KINDS: [&str; 4] = ["docker", "compose", "kubernetes", "script"];

/// Reads the target.
pub(super) fn target(mut table: Table<'_>) -> Result<TargetSettings, ConfigError> {
    match table.text("kind")? {
        None | Some("script") => script(table).map(TargetSettings::Script),
        Some("docker") => docker(table).map(TargetSettings::Docker),
        Some("compose") => compose(table).map(TargetSettings::Compose),
        Some("kubernetes") => kubernetes::settings(table).map(TargetSettings::Kubernetes),
        Some(other) => {
            let near = nearest(other, KINDS);
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let known = "`docker`, `compose`, `kubernetes` or `script`";
            Err(table.wrong("kind", &format!("must be {known}, not `{other}`{hint}")))
        }
    }
}

fn script(mut table: Table<'_>) -> Result<ScriptSettings, ConfigError> {
    let mut commands = IndexMap::new();
    for command in ScriptCommand::ALL {
        if let Some(text) = table.text(command.name())? {
            commands.insert(command, text.to_owned());
        }
    }
    let replicas = table.number("replicas", 1)?.unwrap_or(1);
    let timeout = table.length_or("timeout", Duration::from_mins(10))?;
    // An unknown key may be a mistyped name of one that is missing.
    table.finish()?;
    let missing = [ScriptCommand::Start, ScriptCommand::Stop].into_iter().filter(|it| !commands.contains_key(it));
    let missing: Vec<_> = missing.map(|command| format!("no `{}`", command.name())).collect();
    if !missing.is_empty() {
        return Err(table.lacks(&format!("has {} command", missing.join(" and "))));
    }
    Ok(ScriptSettings { commands, replicas, timeout })
}

/// Reads a required text of the target.
pub(super) fn needed(table: &mut Table<'_>, key: &'static str, example: &str) -> Result<String, ConfigError> {
    let text = table.text(key)?.map(str::to_owned);
    let lacks = || table.lacks(&format!("has no `{key}`: write it, such as {key} = \"{example}\""));
    text.ok_or_else(|| table.misspelled(key).unwrap_or_else(lacks))
}

fn docker(mut table: Table<'_>) -> Result<DockerSettings, ConfigError> {
    let service = service(&mut table)?;
    let image = needed(&mut table, "image", "registry.example.com/shop:{release}")?;
    check_image(&table, &image)?;
    let replicas = table.number("replicas", 1)?.unwrap_or(1);
    if replicas > MAX_REPLICAS {
        return Err(table.wrong("replicas", &format!("must be at most {MAX_REPLICAS}, not `{replicas}`")));
    }
    let (port, publish) = (port(&mut table, "port")?, port(&mut table, "publish")?);
    let port = port.ok_or_else(|| table.lacks("has no `port`: write the one that the service listens on"))?;
    let publish = publish.ok_or_else(|| table.lacks("has no `publish`: write the port on which the router listens"))?;
    let network = table.text("network")?.map(str::to_owned);
    if let Some(name) = network.as_deref().filter(|name| !is_name(name) || ["host", "none", "bridge"].contains(name)) {
        return Err(table.wrong("network", &format!("must be the name of a network for the service, not `{name}`")));
    }
    let variables = table.owned_texts("env")?;
    if let Some(wrong) = variables.iter().find(|line| line.is_empty() || line.starts_with('=') || line.contains('\0')) {
        return Err(table.wrong("env", &format!("must have `NAME=VALUE` or `NAME`, not `{wrong}`")));
    }
    let drain = table.length_or("drain", Duration::from_secs(30))?;
    let router = table.text("router")?.unwrap_or(ROUTER).to_owned();
    let (hosts, hosts_at_once) = hosts(&mut table)?;
    let keep_images = table.number("keep_images", MIN_IMAGES)?;
    table.finish()?;
    Ok(DockerSettings {
        service,
        image,
        replicas,
        port,
        publish,
        network,
        variables,
        drain,
        router,
        hosts,
        hosts_at_once,
        keep_images,
    })
}

/// Reads the addresses of the engines, and how many of them are changed at the same time.
fn hosts(table: &mut Table<'_>) -> Result<(Vec<String>, u32), ConfigError> {
    let is_list = table.has("hosts");
    if let Some(only) = table.lone_text("hosts") {
        return Err(table.wrong("hosts", &format!("must be a list: write hosts = [\"{only}\"]")));
    }
    let key = if is_list { "hosts" } else { "host" };
    let hosts: Vec<String> = if is_list {
        table.owned_texts("hosts")?
    } else {
        table.text("host")?.map(str::to_owned).into_iter().collect()
    };
    if is_list && table.text("host")?.is_some() {
        return Err(table.wrong("host", "is set as well as `hosts`: write all addresses in hosts"));
    }
    if is_list && hosts.is_empty() {
        let example = "hosts = [\"ssh://deploy@web1\", \"ssh://deploy@web2\"]";
        return Err(table.wrong(key, &format!("is empty: write {example}, or leave it out for the engine of docker")));
    }
    for (at, address) in hosts.iter().enumerate() {
        let rest = ["unix://", "tcp://", "ssh://"].iter().find_map(|scheme| address.strip_prefix(scheme));
        if rest.is_none_or(str::is_empty) {
            let reason = format!("must be unix:///path, tcp://host:port or ssh://host, not `{address}`");
            return Err(table.wrong(key, &reason));
        }
        if hosts[..at].contains(address) {
            return Err(table.wrong(key, &format!("has `{address}` twice: each engine is one host")));
        }
    }
    let at_once = table.number("hosts_at_once", 1)?;
    if at_once.is_some() && hosts.len() < 2 {
        return Err(table.wrong("hosts_at_once", "has no effect without several `hosts`"));
    }
    Ok((hosts, at_once.unwrap_or(1)))
}

/// Reads the name of the service, after which containers are named.
fn service(table: &mut Table<'_>) -> Result<String, ConfigError> {
    let service = needed(table, "service", "shop")?;
    if is_name(&service) {
        return Ok(service);
    }
    let reason = format!("must be letters, digits, `-`, `_` and `.`, not `{service}`: containers are named after it");
    Err(table.wrong("service", &reason))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn compose(mut table: Table<'_>) -> Result<ComposeSettings, ConfigError> {
    let service = service(&mut table)?;
    let image = needed(&mut table, "image", "registry.example.com/shop:{release}")?;
    check_image(&table, &image)?;
    let files = table.owned_texts("files")?;
    let project = table.text("project")?.map(str::to_owned);
    // The rule of Compose.
    let is_project = |name: &str| is_name(name) && !name.contains('.') && !name.chars().any(|c| c.is_ascii_uppercase());
    if let Some(name) = project.as_deref().filter(|name| !is_project(name)) {
        let reason = format!("must be lower-case letters, digits, `-` and `_`, not `{name}`");
        return Err(table.wrong("project", &reason));
    }
    let replicas = table.number("replicas", 1)?;
    if let Some(replicas) = replicas.filter(|replicas| *replicas > MAX_REPLICAS) {
        return Err(table.wrong("replicas", &format!("must be at most {MAX_REPLICAS}, not `{replicas}`")));
    }
    let timeout = table.length_or("timeout", Duration::from_mins(10))?;
    let keep_images = table.number("keep_images", MIN_IMAGES)?;
    table.finish()?;
    Ok(ComposeSettings { service, image, files, project, replicas, timeout, keep_images })
}

/// Checks that the name of the image depends on the release, and that its placeholders are known.
pub(super) fn check_image(table: &Table<'_>, image: &str) -> Result<(), ConfigError> {
    let mut rest = image;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(table.wrong("image", &format!("has a `{{` without its `}}`: `{image}`")));
        };
        let place = format!("{{{name}}}");
        if !IMAGE_PLACES.contains(&&*place) {
            let hint = match nearest(&place, IMAGE_PLACES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {}", IMAGE_PLACES.join(", ")),
            };
            return Err(table.wrong("image", &format!("has `{place}`, which is unknown; {hint}")));
        }
        rest = after;
    }
    if rest.len() == image.len() {
        let reason = format!("must have one of {}: a rollback needs the image of its release", IMAGE_PLACES.join(", "));
        return Err(table.wrong("image", &reason));
    }
    Ok(())
}

fn port(table: &mut Table<'_>, key: &'static str) -> Result<Option<u16>, ConfigError> {
    let Some(number) = table.number(key, 1)? else { return Ok(None) };
    let wrong = || table.wrong(key, &format!("must be a port from 1 to 65535, not `{number}`"));
    u16::try_from(number).map(Some).map_err(|_| wrong())
}

/// Reads the probe of a table: one of `http`, `tcp` and `exec`. `None` if the table has none of them.
pub(super) fn probe(table: &mut Table<'_>, target: &TargetSettings) -> Result<Option<Probe>, ConfigError> {
    let http = table.text("http")?.map(str::to_owned);
    let has_network = matches!(target, TargetSettings::Docker(_));
    let is_path = |url: &String| has_network && url.starts_with('/');
    if let Some(url) = http.as_ref().filter(|url| !url.starts_with("http://") && !is_path(url)) {
        let path = if has_network { "a path such as `/health`, or " } else { "" };
        return Err(table.wrong("http", &format!("must be {path}an address with http://, not `{url}`")));
    }
    if let Some(url) = http.as_ref().filter(|url| url.contains(|c: char| c.is_whitespace() || c.is_control())) {
        return Err(table.wrong("http", &format!("must not have spaces: `{}`", url.escape_debug())));
    }
    let tcp = table.text("tcp")?.map(str::to_owned);
    let is_port = |address: &String| address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if let Some(address) = tcp.as_ref().filter(|address| !is_port(address) && !address.contains('{')) {
        return Err(table.wrong("tcp", &format!("must be HOST:PORT, not `{address}`")));
    }
    let exec = table.text("exec")?.map(str::to_owned);
    let http = http.map(|url| if is_path(&url) { Probe::Path(url) } else { Probe::Http(url) });
    let mut all = [http, tcp.map(Probe::Tcp), exec.map(Probe::Exec)].into_iter().flatten();
    let first = all.next();
    if all.next().is_some() {
        return Err(table.lacks("has more than one of http, tcp and exec"));
    }
    let of_host = match &first {
        Some(Probe::Http(address)) => Some(("http", address)),
        Some(Probe::Tcp(address)) => Some(("tcp", address)),
        _ => None,
    };
    let has_hosts = target.hosts().len() > 1;
    if let Some((key, address)) = of_host.filter(|(_, address)| has_hosts && !address.contains(HOST_PLACE)) {
        let what = "the target has several hosts, and each is asked: write {host} where the address names the host";
        return Err(table.wrong(key, &format!("is always `{address}`: {what}")));
    }
    Ok(first)
}
