//! Configuration of the router. It has a place (a `server` of `HAProxy`) for every possible replica, whose container
//! the router finds by name.

use std::fmt::Write;
use std::time::Duration;

use crate::model::deployment::{DockerSettings, Probe, Slot};

use super::names::Names;

/// Port on which the router listens in its container.
pub(super) const PORT: u16 = 8080;

/// Port of the router's command socket, which is reachable only inside its container.
pub(super) const COMMANDS: u16 = 9999;

/// How many processes may hold a connection to the command socket: one for each deployment that is in progress or keeps
/// its former release. `HAProxy` accepts 10 by default, and leaves further ones without an answer.
const MAX_CONNECTIONS: u32 = 1000;

/// Name of the backend.
pub(super) const BACKEND: &str = "app";

/// File with the weights, which a restarted router reads.
pub(super) const STATE: &str = "/var/lib/cuelight-router.state";

/// Interval between two health checks of a replica by the router.
pub(super) const CHECK_EVERY: Duration = Duration::from_millis(200);

/// The number of places of a slot is a multiple of this.
const PLACES: u32 = 4;

/// Returns the configuration, with places for at least `replicas` replicas in each slot.
///
/// `limit` is the time limit of a health check, for the router as for cuelight. Without it `HAProxy` takes its interval
/// for the limit: replicas that are all slow for a moment would be down, and nothing would be served.
pub(super) fn text(
    settings: &DockerSettings,
    health: Option<&Probe>,
    limit: Duration,
    names: &Names,
    replicas: u32,
) -> String {
    let mut text = format!(
        "global
  stats socket ipv4@127.0.0.1:{COMMANDS} level admin
  stats timeout 1h
  stats maxconn {MAX_CONNECTIONS}
  server-state-file {STATE}
  hard-stop-after {}s
  user nobody
  group nogroup
resolvers docker
  nameserver dns 127.0.0.11:53
  timeout resolve 500ms
  timeout retry 500ms
  hold valid 500ms
  hold nx 500ms
  hold other 500ms
defaults
  mode http
  load-server-state-from-file global
  option forwardfor
  option redispatch
  retries 3
  retry-on conn-failure empty-response
  timeout connect 2s
  timeout check {}ms
  timeout queue 10s
  timeout client 5m
  timeout server 5m
  timeout tunnel 1h
  timeout http-request 10s
  timeout http-keep-alive 10s
frontend service
  bind :{PORT}
  http-request disable-l7-retry unless METH_GET
  default_backend {BACKEND}
backend {BACKEND}
  balance roundrobin
",
        settings.drain.as_secs().max(1),
        limit.as_millis().max(1)
    );
    // Writing to a `String` cannot fail.
    if let Some(Probe::Path(path)) = health {
        let host = &settings.service;
        let _ = writeln!(text, "  option httpchk");
        let _ = writeln!(text, "  http-check send meth GET uri '{path}' ver HTTP/1.1 hdr Host '{host}'");
        let _ = writeln!(text, "  http-check expect status 200-399");
    }
    let _ = writeln!(
        text,
        "  default-server check inter {}ms fall 2 rise 1 resolvers docker resolve-prefer ipv4 init-addr last,none weight 0",
        CHECK_EVERY.as_millis()
    );
    let places = replicas.max(1).next_multiple_of(PLACES);
    for slot in Slot::ALL {
        for number in 1..=places {
            let _ =
                writeln!(text, "  server {} {}:{}", place(slot, number), names.replica(slot, number), settings.port);
        }
    }
    text
}

/// Returns the name of a place in commands of the router.
pub(super) fn server(place: &str) -> String {
    format!("{BACKEND}/{place}")
}

/// Returns the name of the place of a replica.
pub(super) fn place(slot: Slot, number: u32) -> String {
    format!("{slot}{number}")
}
