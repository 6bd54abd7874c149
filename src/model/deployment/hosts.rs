//! The plan of a deployment to a target with one or more hosts.
//!
//! The first host gets the release alone. Its last step is a barrier: the others follow only once it serves the release
//! and is healthy. They follow in groups, whose hosts are changed at the same time, step by step. If the release still
//! runs on all hosts, so that only the traffic moves, all hosts are one group.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::plan::{Plan, PlanStep};
use crate::model::environment::Release;

/// The plan of a deployment: the plan of each host, and the order of their steps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeploymentPlan {
    /// The plan of the first host, or of a target without hosts.
    #[serde(flatten)]
    first: Plan,
    /// The plans of the other hosts, in the order of the settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<Plan>,
    /// Number of other hosts in a group.
    #[serde(default = "one")]
    hosts_at_once: u32,
}

fn one() -> u32 {
    1
}

/// A step of a plan on one of its hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostStep {
    /// Index of the host.
    pub host: usize,
    /// The step.
    pub step: PlanStep,
    /// Steps with the same number are carried out at the same time, on different hosts.
    pub wave: usize,
    /// Whether it is the last step on the first host before the others are changed.
    pub is_barrier: bool,
}

impl From<Plan> for DeploymentPlan {
    /// Returns the plan of a target with one host.
    fn from(first: Plan) -> Self {
        Self { first, others: Vec::new(), hosts_at_once: 1 }
    }
}

impl DeploymentPlan {
    /// Returns the plan of a target with several hosts. Groups have `hosts_at_once` hosts.
    #[must_use]
    pub fn new(first: Plan, others: Vec<Plan>, hosts_at_once: u32) -> Self {
        Self { first, others, hosts_at_once }
    }

    /// Returns the plan of the first host.
    #[must_use]
    pub fn first(&self) -> &Plan {
        &self.first
    }

    /// Returns the plans of all hosts, in order.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Returns the release that the deployment replaces; of several hosts, that of the first one that has any. `None` if
    /// none has.
    #[must_use]
    pub fn former(&self) -> Option<&Release> {
        self.plans().find_map(|plan| plan.old.as_ref()).map(|old| &old.release)
    }

    /// Returns the release that a deployment replaces, and whether it is known which one that is. `live` is the release that
    /// is live according to the ledger, and whether the ledger knows that. A target that `reports` what it runs was asked
    /// for the plan, and counts more than the ledger. The plan for any other target only has what was deployed from this
    /// machine.
    #[must_use]
    pub fn replaced<'r>(
        plan: Option<&'r Self>,
        reports: bool,
        live: (Option<&'r Release>, bool),
    ) -> (Option<&'r Release>, bool) {
        match plan {
            Some(plan) if reports => (plan.former(), true),
            Some(plan) => {
                let former = plan.former().or(live.0);
                (former, live.1 || former.is_some())
            }
            None => live,
        }
    }

    /// Returns the release that the deployment replaces on a host although it is not `live`, the release that the ledger has
    /// as live: it was not deployed from here. `None` if each host that runs a release runs that one.
    #[must_use]
    pub fn unrecorded(&self, live: &Release) -> Option<&Release> {
        let old = self.plans().filter_map(|plan| plan.old.as_ref());
        old.map(|old| &old.release).find(|release| release.sha != live.sha)
    }

    /// Returns what the hosts said about their state when the plan was made, such as why they serve nothing.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.plans().filter_map(|plan| plan.found.note.as_deref())
    }

    /// Returns mutable references to the plans of all hosts, in order.
    pub fn plans_mut(&mut self) -> impl Iterator<Item = &mut Plan> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }

    /// Returns the plan of a host; that of the first one if there is no host with this index.
    #[must_use]
    pub fn of(&self, host: usize) -> &Plan {
        self.plans().nth(host).unwrap_or(&self.first)
    }

    /// Whether the target has several hosts.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        !self.others.is_empty()
    }

    /// Returns the groups of hosts that are changed at the same time, by index.
    #[must_use]
    pub fn groups(&self) -> Vec<Range<usize>> {
        let (all, size) = (self.others.len() + 1, self.hosts_at_once.max(1) as usize);
        if self.is_instant() {
            return std::iter::once(0..all).collect();
        }
        let others = (1..all).step_by(size).map(|first| first..all.min(first + size));
        std::iter::once(0..1).chain(others).collect()
    }

    /// Returns the steps of all hosts in order. Releases that are stopped some time after the deployment are stopped
    /// last, on all hosts at the same time.
    #[must_use]
    pub fn steps(&self) -> Vec<HostStep> {
        let plans: Vec<&Plan> = self.plans().collect();
        let mut steps: Vec<HostStep> = Vec::new();
        let groups = self.groups();
        for (number, group) in groups.iter().cloned().enumerate() {
            let of_group: Vec<_> = group.map(|host| (host, plans[host].parts().0)).collect();
            zip(&of_group, &mut steps);
            if let Some(last) = steps.last_mut() {
                last.is_barrier = number == 0 && groups.len() > 1;
            }
        }
        for is_new in [false, true] {
            let wave = next_wave(&steps);
            for (host, plan) in plans.iter().enumerate() {
                let late = plan.parts().1.iter().filter(|step| plan.stops_new(step) == is_new);
                steps.extend(late.map(|step| HostStep { host, step: step.clone(), wave, is_barrier: false }));
            }
        }
        steps
    }

    /// Returns the steps that are carried out at the same time after the first `done` steps. Empty at the end.
    #[must_use]
    pub fn wave(&self, done: usize) -> Vec<HostStep> {
        let steps = self.steps();
        let rest = steps.get(done..).unwrap_or_default();
        let Some(first) = rest.first() else { return Vec::new() };
        rest.iter().take_while(|step| step.wave == first.wave).cloned().collect()
    }

    /// Whether two steps belong to the same group of hosts, or both to the end, when releases are stopped on all hosts.
    #[must_use]
    pub fn is_same_group(&self, one: &HostStep, other: &HostStep) -> bool {
        let group = |step: &HostStep| {
            let is_late = step.step.late_stop().is_some();
            (!is_late).then(|| self.groups().into_iter().position(|group| group.contains(&step.host)))
        };
        group(one) == group(other)
    }

    /// Whether no step has to start a replica, so that the traffic only moves.
    #[must_use]
    pub fn is_instant(&self) -> bool {
        self.plans().all(Plan::is_instant)
    }

    /// Returns the names of hosts: `web1`, `web1 and web2`. `None` if the target has only one host.
    #[must_use]
    pub fn names(&self, hosts: impl IntoIterator<Item = usize>) -> Option<String> {
        let names: Vec<&str> = hosts.into_iter().filter_map(|host| self.of(host).host.as_deref()).collect();
        let (last, rest) = names.split_last()?;
        Some(if rest.is_empty() { (*last).to_owned() } else { format!("{} and {last}", rest.join(", ")) })
    }

    /// Returns a step in words, after its host if there are several: `web1: Wait until green is healthy`.
    #[must_use]
    pub fn describe(&self, step: &HostStep) -> String {
        let words = self.words(step);
        match &self.of(step.host).host {
            Some(host) => format!("{host}: {words}"),
            None => words,
        }
    }

    /// Returns a step in words, without its host.
    #[must_use]
    pub fn words(&self, step: &HostStep) -> String {
        let barrier = if step.is_barrier { ", before the other hosts follow" } else { "" };
        format!("{}{barrier}", self.of(step.host).describe(&step.step))
    }

    /// Returns a step in a few characters, after its host if there are several: `web1 green 10 %`.
    #[must_use]
    pub fn label(&self, step: &HostStep) -> String {
        let label = if step.is_barrier { "barrier".to_owned() } else { step.step.label() };
        match &self.of(step.host).host {
            Some(host) => format!("{host} {label}"),
            None => label,
        }
    }
}

/// Appends steps of several hosts, the first ones of all hosts before the second ones.
fn zip(of_hosts: &[(usize, &[PlanStep])], steps: &mut Vec<HostStep>) {
    let longest = of_hosts.iter().map(|(_, steps)| steps.len()).max().unwrap_or_default();
    for at in 0..longest {
        let wave = next_wave(steps);
        let now = of_hosts.iter().filter_map(|(host, steps)| Some((*host, steps.get(at)?.clone())));
        steps.extend(now.map(|(host, step)| HostStep { host, step, wave, is_barrier: false }));
    }
}

fn next_wave(steps: &[HostStep]) -> usize {
    steps.last().map_or(0, |last| last.wave + 1)
}

impl HostStep {
    /// Returns the steps of several hosts in the order in which they are carried out, the first ones of all hosts at the
    /// same time.
    #[must_use]
    pub fn together(of_hosts: &[(usize, &[PlanStep])]) -> Vec<Self> {
        let mut steps = Vec::new();
        zip(of_hosts, &mut steps);
        steps
    }
}

/// Returns a short, unique name for each address of an engine: `web1` for `ssh://deploy@web1`, and `local` for a socket of
/// this machine. Names that would not be unique are longer.
#[must_use]
pub fn host_names(addresses: &[String]) -> Vec<String> {
    let all: Vec<[&str; 3]> = addresses.iter().map(|address| names_of(address)).collect();
    let unique = |names: &[&str; 3]| {
        let is_unique = |at: &usize| all.iter().filter(|other| other[*at] == names[*at]).count() == 1;
        names[(0..2).find(is_unique).unwrap_or(2)].to_owned()
    };
    all.iter().map(unique).collect()
}

/// Returns names of an address, the shortest first: the host, the host with its port, and all without the scheme. For a
/// socket: `local`, its file and its path.
fn names_of(address: &str) -> [&str; 3] {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    if scheme == "unix" {
        return ["local", rest.rsplit('/').next().unwrap_or(rest), rest];
    }
    let host = host_address(address);
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    [plain.unwrap_or(host), place_of(rest), rest]
}

/// Returns the host and the port of an address without its scheme.
fn place_of(rest: &str) -> &str {
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, place)| place)
}

/// Returns the host of an engine's address, for connections to what the engine publishes: without user and port, an IPv6
/// address in brackets, and 127.0.0.1 for a socket of this machine.
#[must_use]
pub fn host_address(address: &str) -> &str {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    if scheme == "unix" {
        return "127.0.0.1";
    }
    let place = place_of(rest);
    let end = match place.find(']') {
        Some(end) if place.starts_with('[') => end + 1,
        _ => place.find(':').unwrap_or(place.len()),
    };
    &place[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_host_has_no_user_and_no_port() {
        for (engine, address) in [
            ("ssh://deploy@web1", "web1"),
            ("ssh://deploy@web2:2222/run/docker.sock", "web2"),
            ("tcp://10.0.0.5:2376", "10.0.0.5"),
            ("tcp://[fd00::1]:2376", "[fd00::1]"),
            ("ssh://a@[fd00::1]", "[fd00::1]"),
            ("unix:///run/docker.sock", "127.0.0.1"),
            ("tcp://]:1", "]"),
        ] {
            assert_eq!(host_address(engine), address);
        }
    }

    #[test]
    fn names_of_hosts_are_short_and_unique() {
        let names = |all: &[&str]| host_names(&all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["ssh://deploy@web1", "ssh://web2:2222/run/docker.sock"]), ["web1", "web2"]);
        assert_eq!(names(&["unix:///run/docker.sock", "tcp://10.0.0.5:2376"]), ["local", "10.0.0.5"]);
        assert_eq!(names(&["tcp://[fd00::1]:2376", "ssh://a@web1"]), ["fd00::1", "web1"]);
        assert_eq!(names(&["tcp://web1:1", "tcp://web1:2", "ssh://web2"]), ["web1:1", "web1:2", "web2"]);
        assert_eq!(names(&["unix:///run/docker.sock", "unix:///run/b.sock"]), ["docker.sock", "b.sock"]);
        assert_eq!(names(&["unix:///a/docker.sock", "unix:///b/docker.sock"]), ["/a/docker.sock", "/b/docker.sock"]);
        assert_eq!(names(&["ssh://a@web1", "ssh://b@web1"]), ["a@web1", "b@web1"]);
    }
}
