//! `options:` of a container: the arguments of `docker create`, defined in one table.
//!
//! Names and values are the same as in Docker's command line reference. Options that GitHub does not support
//! (`--network`), that cuelight sets itself (`--name`), or that only make sense in a terminal are refused with the
//! reason.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigLogConfig, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use crate::engine::sandbox::container::{Port, PortError};

/// An invalid option, with the reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OptionError {
    /// The invalid word, as written.
    pub word: String,
    /// Reason, and how to fix it.
    pub fault: OptionFault,
}

/// Why an option cannot be used, and how to fix it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OptionFault {
    #[error("unknown container option `{written}`{}", near.as_ref().map(|near| format!("; did you mean `--{near}`?")).unwrap_or_default())]
    Unknown { written: String, near: Option<String> },
    #[error("`{0}` is not an option: write a value after its option, and put a value with blanks in double quotes")]
    NotAnOption(String),
    #[error("`--{name}` cannot be used here: {reason}")]
    Refused { name: &'static str, reason: &'static str },
    #[error("`--{name}` needs a value")]
    NoValue { name: &'static str },
    #[error("`--{name}` {takes}, not `{value}`")]
    Value { name: &'static str, takes: Takes, value: String },
}

/// What the value of an option must be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Takes {
    #[error("takes {0}")]
    Form(&'static str),
    #[error("takes a port: {0}")]
    Port(PortError),
}

/// Syntax and effect of an option.
struct Entry {
    /// Long name.
    name: &'static str,
    /// Short name, if it has one.
    letter: Option<char>,
    act: Act,
}

enum Act {
    /// Takes no value; `--name=false` unsets it.
    Switch(fn(&mut ContainerCreateBody, bool)),
    /// Takes any value.
    Text(fn(&mut ContainerCreateBody, &str)),
    /// Takes a value that is validated.
    Value(fn(&mut ContainerCreateBody, &str) -> Result<(), Takes>),
    /// Is refused for this reason.
    Refused(&'static str),
}

use Act::{Refused, Switch, Text, Value};

const fn long(name: &'static str, act: Act) -> Entry {
    Entry { name, letter: None, act }
}

const fn both(name: &'static str, letter: char, act: Act) -> Entry {
    Entry { name, letter: Some(letter), act }
}

/// All options, by name.
static OPTIONS: &[Entry] = &[
    long("add-host", Text(|body, value| list(&mut host(body).extra_hosts, value))),
    long("blkio-weight", Value(|body, value| number(value).map(|n| host(body).blkio_weight = Some(n)))),
    long("cap-add", Text(|body, value| list(&mut host(body).cap_add, value))),
    long("cap-drop", Text(|body, value| list(&mut host(body).cap_drop, value))),
    long("cgroup-parent", Text(|body, value| text(&mut host(body).cgroup_parent, value))),
    long(
        "cgroupns",
        Value(|body, value| {
            host(body).cgroupns_mode = Some(match value {
                "host" => HostConfigCgroupnsModeEnum::HOST,
                "private" => HostConfigCgroupnsModeEnum::PRIVATE,
                _ => return Err(Takes::Form("`host` or `private`")),
            });
            Ok(())
        }),
    ),
    long("cpu-period", Value(|body, value| number(value).map(|n| host(body).cpu_period = Some(n)))),
    long("cpu-quota", Value(|body, value| number(value).map(|n| host(body).cpu_quota = Some(n)))),
    both("cpu-shares", 'c', Value(|body, value| number(value).map(|n| host(body).cpu_shares = Some(n)))),
    long(
        "cpus",
        Value(|body, value| {
            let cpus: f64 = number(value)?;
            host(body).nano_cpus = Some((cpus * 1e9) as i64);
            Ok(())
        }),
    ),
    long("cpuset-cpus", Text(|body, value| text(&mut host(body).cpuset_cpus, value))),
    long("cpuset-mems", Text(|body, value| text(&mut host(body).cpuset_mems, value))),
    long("device", Value(device)),
    long("dns", Text(|body, value| list(&mut host(body).dns, value))),
    long("dns-option", Text(|body, value| list(&mut host(body).dns_options, value))),
    long("dns-opt", Text(|body, value| list(&mut host(body).dns_options, value))),
    long("dns-search", Text(|body, value| list(&mut host(body).dns_search, value))),
    long("domainname", Text(|body, value| text(&mut body.domainname, value))),
    long("entrypoint", Text(|body, value| list(&mut body.entrypoint, value))),
    both("env", 'e', Text(|body, value| list(&mut body.env, value))),
    long("env-file", Refused("set the variables in `env:` instead")),
    long("expose", Text(|body, value| list(&mut body.exposed_ports, &with_protocol(value)))),
    long("gpus", Value(gpus)),
    long("group-add", Text(|body, value| list(&mut host(body).group_add, value))),
    long(
        "health-cmd",
        Value(|body, value| {
            health(body).test = Some(vec!["CMD-SHELL".to_owned(), value.to_owned()]);
            Ok(())
        }),
    ),
    long("health-interval", Value(|body, value| duration(value).map(|n| health(body).interval = Some(n)))),
    long("health-retries", Value(|body, value| number(value).map(|n| health(body).retries = Some(n)))),
    long("health-start-interval", Value(|body, value| duration(value).map(|n| health(body).start_interval = Some(n)))),
    long("health-start-period", Value(|body, value| duration(value).map(|n| health(body).start_period = Some(n)))),
    long("health-timeout", Value(|body, value| duration(value).map(|n| health(body).timeout = Some(n)))),
    both("hostname", 'h', Text(|body, value| text(&mut body.hostname, value))),
    long("init", Switch(|body, on| host(body).init = Some(on))),
    both("interactive", 'i', Switch(|body, on| body.open_stdin = Some(on))),
    long("ip", Refused("addresses belong to the network of the job")),
    long("ipc", Text(|body, value| text(&mut host(body).ipc_mode, value))),
    both("label", 'l', Text(label)),
    long("link", Refused("services reach each other by name")),
    long("log-driver", Text(|body, value| text(&mut log(body).typ, value))),
    long(
        "log-opt",
        Value(|body, value| {
            let (name, value) = pair(value, "name=value")?;
            log(body).config.get_or_insert_default().insert(name, value);
            Ok(())
        }),
    ),
    both("memory", 'm', Value(|body, value| bytes(value).map(|n| host(body).memory = Some(n)))),
    long("memory-reservation", Value(|body, value| bytes(value).map(|n| host(body).memory_reservation = Some(n)))),
    long("memory-swap", Value(|body, value| bytes(value).map(|n| host(body).memory_swap = Some(n)))),
    long("memory-swappiness", Value(|body, value| number(value).map(|n| host(body).memory_swappiness = Some(n)))),
    long("name", Refused("cuelight sets the name of the container")),
    long("network", Refused("GitHub does not support it: each job has its own network")),
    long("net", Refused("GitHub does not support it: each job has its own network")),
    long("network-alias", Refused("services are reached by their key")),
    long("no-healthcheck", Switch(|body, on| health(body).test = on.then(|| vec!["NONE".to_owned()]))),
    long("oom-kill-disable", Switch(|body, on| host(body).oom_kill_disable = Some(on))),
    long("oom-score-adj", Value(|body, value| number(value).map(|n| host(body).oom_score_adj = Some(n)))),
    long("pid", Text(|body, value| text(&mut host(body).pid_mode, value))),
    long("pids-limit", Value(|body, value| number(value).map(|n| host(body).pids_limit = Some(n)))),
    long("privileged", Switch(|body, on| host(body).privileged = Some(on))),
    both("publish", 'p', Value(publish)),
    both("publish-all", 'P', Switch(|body, on| host(body).publish_all_ports = Some(on))),
    long("pull", Refused("an image is pulled only if it does not exist")),
    long("read-only", Switch(|body, on| host(body).readonly_rootfs = Some(on))),
    long("restart", Value(restart)),
    long("rm", Refused("containers are removed at the end of the job")),
    long("runtime", Text(|body, value| text(&mut host(body).runtime, value))),
    long("security-opt", Text(|body, value| list(&mut host(body).security_opt, value))),
    long("shm-size", Value(|body, value| bytes(value).map(|n| host(body).shm_size = Some(n)))),
    long("stop-signal", Text(|body, value| text(&mut body.stop_signal, value))),
    long("stop-timeout", Value(|body, value| number(value).map(|n| body.stop_timeout = Some(n)))),
    long(
        "storage-opt",
        Value(|body, value| {
            let (name, value) = pair(value, "name=value")?;
            host(body).storage_opt.get_or_insert_default().insert(name, value);
            Ok(())
        }),
    ),
    long(
        "sysctl",
        Value(|body, value| {
            let (name, value) = pair(value, "name=value")?;
            host(body).sysctls.get_or_insert_default().insert(name, value);
            Ok(())
        }),
    ),
    long(
        "tmpfs",
        Value(|body, value| {
            let (folder, how) = value.split_once(':').unwrap_or((value, ""));
            host(body).tmpfs.get_or_insert_default().insert(folder.to_owned(), how.to_owned());
            Ok(())
        }),
    ),
    both("tty", 't', Switch(|body, on| body.tty = Some(on))),
    long("ulimit", Value(ulimit)),
    both("user", 'u', Text(|body, value| text(&mut body.user, value))),
    long("userns", Text(|body, value| text(&mut host(body).userns_mode, value))),
    long("uts", Text(|body, value| text(&mut host(body).uts_mode, value))),
    both("volume", 'v', Text(volume)),
    long("volumes-from", Text(|body, value| list(&mut host(body).volumes_from, value))),
    both("workdir", 'w', Text(|body, value| text(&mut body.working_dir, value))),
];

/// Applies options to the description of a container.
///
/// # Errors
/// The first word that is unknown, refused, or has an invalid value.
pub(super) fn apply(words: &[String], body: &mut ContainerCreateBody) -> Result<(), OptionError> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let fail = |fault| OptionError { word: word.clone(), fault };
        let (entry, attached) = find(word).map_err(fail)?;
        let name = entry.name;
        let wrong = |value: &str, takes| fail(OptionFault::Value { name, takes, value: value.to_owned() });
        match &entry.act {
            Refused(reason) => return Err(fail(OptionFault::Refused { name, reason })),
            Switch(act) => match attached {
                None | Some("true") => act(body, true),
                Some("false") => act(body, false),
                Some(other) => return Err(wrong(other, Takes::Form("`true` or `false`"))),
            },
            Text(_) | Value(_) => {
                let value = match attached {
                    Some(value) => value,
                    None => rest.next().ok_or_else(|| fail(OptionFault::NoValue { name }))?,
                };
                match &entry.act {
                    Text(act) => act(body, value),
                    Value(act) => act(body, value).map_err(|takes| wrong(value, takes))?,
                    Switch(_) | Refused(_) => {}
                }
            }
        }
    }
    Ok(())
}

/// Finds the option of a word, and the value attached to it.
fn find(word: &str) -> Result<(&'static Entry, Option<&str>), OptionFault> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let found = OPTIONS.iter().find(|entry| entry.name == name).map(|entry| (entry, value));
        return found.ok_or_else(|| unknown(&format!("--{name}"), name));
    }
    let mut letters = word.strip_prefix('-').unwrap_or_default().chars();
    let Some(letter) = letters.next() else {
        return Err(OptionFault::NotAnOption(word.to_owned()));
    };
    let found = OPTIONS.iter().find(|entry| entry.letter == Some(letter));
    let rest = letters.as_str();
    let attached = Some(rest.strip_prefix('=').unwrap_or(rest)).filter(|rest| !rest.is_empty());
    found.map(|entry| (entry, attached)).ok_or_else(|| unknown(word, ""))
}

fn unknown(written: &str, name: &str) -> OptionFault {
    let near = crate::model::nearest(name, OPTIONS.iter().map(|entry| entry.name));
    OptionFault::Unknown { written: written.to_owned(), near: near.map(str::to_owned) }
}

fn host(body: &mut ContainerCreateBody) -> &mut HostConfig {
    body.host_config.get_or_insert_default()
}

fn health(body: &mut ContainerCreateBody) -> &mut HealthConfig {
    body.healthcheck.get_or_insert_default()
}

fn log(body: &mut ContainerCreateBody) -> &mut HostConfigLogConfig {
    host(body).log_config.get_or_insert_default()
}

fn text(place: &mut Option<String>, value: &str) {
    *place = Some(value.to_owned());
}

fn list(place: &mut Option<Vec<String>>, value: &str) {
    place.get_or_insert_default().push(value.to_owned());
}

fn number<N: std::str::FromStr>(value: &str) -> Result<N, Takes> {
    value.parse().map_err(|_| Takes::Form("a number"))
}

fn pair(value: &str, form: &'static str) -> Result<(String, String), Takes> {
    let pair = value.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or(Takes::Form(form))
}

fn label(body: &mut ContainerCreateBody, value: &str) {
    let (name, value) = value.split_once('=').unwrap_or((value, ""));
    body.labels.get_or_insert_default().insert(name.to_owned(), value.to_owned());
}

/// Parses a duration in Go's notation (`1m30s`, `500ms`), in nanoseconds.
fn duration(value: &str) -> Result<i64, Takes> {
    const UNITS: [(&str, f64); 6] = [("ms", 1e6), ("us", 1e3), ("ns", 1.0), ("h", 3.6e12), ("m", 6e10), ("s", 1e9)];
    let wrong = || Takes::Form("a time such as `10s`, `500ms` or `1m30s`");
    let (mut total, mut rest) = (0.0, value);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let amount: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let (unit, nanoseconds) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit)).ok_or_else(wrong)?;
        total += amount * nanoseconds;
        rest = &rest[digits + unit.len()..];
    }
    if value.is_empty() { Err(wrong()) } else { Ok(total as i64) }
}

/// Parses an amount of memory (`512m`, `2g`, `64kb`), in bytes; `-1` means unlimited.
fn bytes(value: &str) -> Result<i64, Takes> {
    let wrong = || Takes::Form("an amount such as `512m` or `2g`");
    let lower = value.to_ascii_lowercase();
    let amount = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match amount.as_bytes().last() {
        Some(b'k') => (&amount[..amount.len() - 1], 10),
        Some(b'm') => (&amount[..amount.len() - 1], 20),
        Some(b'g') => (&amount[..amount.len() - 1], 30),
        Some(b't') => (&amount[..amount.len() - 1], 40),
        _ => (amount, 0),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    Ok((number * f64::from(2_i32).powi(shift)) as i64)
}

fn device(body: &mut ContainerCreateBody, value: &str) -> Result<(), Takes> {
    let parts: Vec<_> = value.split(':').collect();
    let (outside, inside, how) = match parts.as_slice() {
        [outside] => (*outside, *outside, "rwm"),
        [outside, inside] if inside.starts_with('/') => (*outside, *inside, "rwm"),
        [outside, how] => (*outside, *outside, *how),
        [outside, inside, how] => (*outside, *inside, *how),
        _ => return Err(Takes::Form("a device and its path in the container")),
    };
    host(body).devices.get_or_insert_default().push(DeviceMapping {
        path_on_host: Some(outside.to_owned()),
        path_in_container: Some(inside.to_owned()),
        cgroup_permissions: Some(how.to_owned()),
    });
    Ok(())
}

fn gpus(body: &mut ContainerCreateBody, value: &str) -> Result<(), Takes> {
    let count = if value == "all" { -1 } else { number(value).map_err(|_| Takes::Form("`all` or a number"))? };
    host(body).device_requests.get_or_insert_default().push(DeviceRequest {
        count: Some(count),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    });
    Ok(())
}

fn publish(body: &mut ContainerCreateBody, value: &str) -> Result<(), Takes> {
    let port = Port::parse(value).map_err(Takes::Port)?;
    let inside = port.inside();
    list(&mut body.exposed_ports, &inside);
    let binding = PortBinding { host_ip: port.address, host_port: port.outside.map(|number| number.to_string()) };
    let bindings = host(body).port_bindings.get_or_insert_with(HashMap::new);
    bindings.entry(inside).or_default().get_or_insert_default().push(binding);
    Ok(())
}

fn restart(body: &mut ContainerCreateBody, value: &str) -> Result<(), Takes> {
    let (name, count) = value.split_once(':').unwrap_or((value, "0"));
    let name = match name {
        "no" => RestartPolicyNameEnum::NO,
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => return Err(Takes::Form("`no`, `always`, `unless-stopped` or `on-failure[:count]`")),
    };
    let maximum_retry_count = number(count).map(|count: i64| Some(count).filter(|count| *count > 0))?;
    host(body).restart_policy = Some(RestartPolicy { name: Some(name), maximum_retry_count });
    Ok(())
}

fn ulimit(body: &mut ContainerCreateBody, value: &str) -> Result<(), Takes> {
    let (name, limits) = pair(value, "name=soft[:hard]")?;
    let (soft, hard) = limits.split_once(':').unwrap_or((&limits, &limits));
    let limit = ResourcesUlimits { name: Some(name), soft: Some(number(soft)?), hard: Some(number(hard)?) };
    host(body).ulimits.get_or_insert_default().push(limit);
    Ok(())
}

/// Adds a bind mount for `source:target[:mode]`, or an anonymous volume for a path alone.
fn volume(body: &mut ContainerCreateBody, value: &str) {
    if value.contains(':') { list(&mut host(body).binds, value) } else { list(&mut body.volumes, value) }
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<ContainerCreateBody, OptionError> {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        let mut body = ContainerCreateBody::default();
        apply(&words, &mut body).map(|()| body)
    }

    #[test]
    fn the_options_of_a_health_check_are_read_in_both_forms() {
        let body = read("--health-cmd pg_isready --health-interval=10s --health-timeout 1m0.5s --health-retries 5");
        let health = body.expect("options").healthcheck.expect("a check");
        assert_eq!(health.test, Some(vec!["CMD-SHELL".to_owned(), "pg_isready".to_owned()]));
        assert_eq!(
            (health.interval, health.timeout, health.retries),
            (Some(10_000_000_000), Some(60_500_000_000), Some(5))
        );
    }

    #[test]
    fn short_options_switches_and_lists() {
        let body =
            read("-u 1001:2 -eA=1 -e B=2 --init --privileged=false -m 512m --tmpfs /t:size=1m -v /a:/b:ro -v /c")
                .expect("options");
        assert_eq!(body.user.as_deref(), Some("1001:2"));
        assert_eq!(body.env, Some(vec!["A=1".to_owned(), "B=2".to_owned()]));
        let host = body.host_config.expect("some");
        assert_eq!((host.init, host.privileged, host.memory), (Some(true), Some(false), Some(536_870_912)));
        assert_eq!(host.tmpfs.expect("one")["/t"], "size=1m");
        assert_eq!((host.binds, body.volumes), (Some(vec!["/a:/b:ro".to_owned()]), Some(vec!["/c".to_owned()])));
    }

    #[test]
    fn ports_devices_limits_and_restarts() {
        let body =
            read("-p 127.0.0.1:8080:80 --device /dev/fuse --ulimit nofile=10:20 --restart on-failure:3 --cpus 1.5")
                .expect("options");
        let host = body.host_config.expect("some");
        let binding = &host.port_bindings.expect("one")["80/tcp"].clone().expect("one")[0];
        assert_eq!((binding.host_ip.as_deref(), binding.host_port.as_deref()), (Some("127.0.0.1"), Some("8080")));
        assert_eq!(host.devices.expect("one")[0].path_in_container.as_deref(), Some("/dev/fuse"));
        assert_eq!(host.ulimits.expect("one")[0].hard, Some(20));
        assert_eq!(host.restart_policy.expect("one").maximum_retry_count, Some(3));
        assert_eq!(host.nano_cpus, Some(1_500_000_000));
    }

    #[test]
    fn errors_name_the_word_and_the_fix() {
        for (words, word, reason) in [
            ("--helth-cmd x", "--helth-cmd", "unknown container option `--helth-cmd`; did you mean `--health-cmd`?"),
            ("--network host", "--network", "`--network` cannot be used here: GitHub does not support it"),
            ("--memory lots", "--memory", "`--memory` takes an amount such as `512m` or `2g`, not `lots`"),
            ("--health-interval 10", "--health-interval", "takes a time such as `10s`"),
            ("--user", "--user", "`--user` needs a value"),
            ("--init=perhaps", "--init=perhaps", "takes `true` or `false`, not `perhaps`"),
            ("isready", "isready", "`isready` is not an option"),
            ("-Z", "-Z", "unknown container option `-Z`"),
        ] {
            let error = read(words).expect_err(words);
            assert_eq!(error.word, word);
            let shown = error.fault.to_string();
            assert!(shown.contains(reason), "{words}: {shown}");
        }
    }

    #[test]
    fn names_are_unique() {
        for (index, entry) in OPTIONS.iter().enumerate() {
            for other in &OPTIONS[index + 1..] {
                assert!(entry.name != other.name && (entry.letter.is_none() || entry.letter != other.letter));
            }
        }
    }
}
