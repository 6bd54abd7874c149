//! Reports values of containers that Docker or GitHub does not accept.

use super::{jobs_with_steps, span_of};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::parse::get;
use crate::workflow::syntax::Workflow;
use crate::workflow::template::{Template, TemplateKind};

/// Options of `docker create` that GitHub sets itself.
const RESERVED: &[&str] = &["--network", "--net", "--entrypoint"];

/// Reports options that GitHub does not support, and ports and volumes that Docker cannot read.
pub(super) fn check(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    for job in jobs_with_steps(workflow) {
        for container in job.container.iter().chain(job.services.iter().map(|(_, service)| service)) {
            if let Some(options) = get(container, "options") {
                reserved(workflow, options, found);
            }
            for port in items(get(container, "ports")) {
                let Some(text) = port.literal().filter(|text| !is_port(text)) else { continue };
                let message = format!("`{text}` is not a port");
                let hint = "write `container`, `host:container` or `host:container/udp`, each a number from 1 to 65535";
                found.push(Diagnostic::warning("container", port.span, message).hint(hint));
            }
            for volume in items(get(container, "volumes")) {
                let Some(text) = volume.literal().filter(|text| !is_volume(text)) else { continue };
                let message = format!("`{text}` is not a volume");
                let hint = "write `source:/path`, with an absolute path in the container; `source` is a name or an absolute path";
                found.push(Diagnostic::warning("container", volume.span, message).hint(hint));
            }
        }
    }
}

fn reserved(workflow: &Workflow, options: &Template, found: &mut Vec<Diagnostic>) {
    let words = options.literal().unwrap_or_default().split_whitespace();
    let names = words.map(|word| word.split('=').next().unwrap_or(word));
    for name in names.filter(|name| RESERVED.contains(name)) {
        let message = format!("GitHub does not support the option `{name}`");
        let hint = "remove it: the containers of a job share a network, in which each is reachable by its name";
        let location = span_of(&workflow.source, options.span, name);
        found.push(Diagnostic::warning("container", location, message).hint(hint));
    }
}

fn items(sequence: Option<&Template>) -> &[Template] {
    match sequence.map(|sequence| &sequence.kind) {
        Some(TemplateKind::Sequence(items)) => items,
        _ => &[],
    }
}

/// Whether a text is `[[address:]host:]container[/protocol]`, with ranges such as `8000-8010`.
fn is_port(text: &str) -> bool {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let mut parts = ports.rsplit(':');
    let container = parts.next().is_some_and(is_range);
    // An empty host port means that Docker chooses one.
    let host = parts.next().is_none_or(|host| host.is_empty() || is_range(host));
    container && host && matches!(protocol.to_ascii_lowercase().as_str(), "tcp" | "udp" | "sctp")
}

fn is_range(text: &str) -> bool {
    text.split('-').count() <= 2 && text.split('-').all(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether a text is `[source:]target[:mode]`. The target must be absolute, and the source absolute or the name of a
/// volume.
fn is_volume(text: &str) -> bool {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [target] => target.starts_with('/'),
        [target, mode] if is_mode(mode) => target.starts_with('/'),
        [source, target] => is_source(source) && target.starts_with('/'),
        [source, target, _] => is_source(source) && target.starts_with('/'),
        _ => false,
    }
}

fn is_mode(text: &str) -> bool {
    matches!(text, "ro" | "rw" | "z" | "Z")
}

fn is_source(text: &str) -> bool {
    text.starts_with('/')
        || (text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_volumes_are_read_as_docker_reads_them() {
        for good in ["80", "8080:80", "127.0.0.1:8080:80", "53:53/udp", "8000-8010:8000-8010", ":80", "::1:80:80"] {
            assert!(is_port(good), "{good}");
        }
        for bad in ["http", "80:http", "0", "70000", "80:80/icmp", "80:", "1-2-3", ""] {
            assert!(!is_port(bad), "{bad}");
        }
        for good in ["/data", "/data:ro", "name:/data", "/a/b:/data:ro", "my_vol.1:/d:rw"] {
            assert!(is_volume(good), "{good}");
        }
        for bad in ["data", "./a:/data", "name:data", "a:b:c:d", ":/data", ""] {
            assert!(!is_volume(bad), "{bad}");
        }
    }
}
