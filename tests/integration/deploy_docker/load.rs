//! Deployments under load: eight clients, half of which keep their connections open, and requests that take two
//! seconds.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::service::Service;

/// Answers and failures that the clients saw.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Sends requests until the load is stopped.
    fn client(&self, at: (&str, u16), path: &str, is_kept: bool) {
        let mut open = None;
        while !self.stop.load(Ordering::Relaxed) {
            match request(&mut open, at, path, is_kept) {
                Ok(()) => drop(self.answered.fetch_add(1, Ordering::Relaxed)),
                Err(error) => {
                    open = None;
                    self.failures.lock().expect("no panic").push(format!("{path}: {error}"));
                }
            }
        }
    }
}

/// Sends a request on the open connection, or on a new one.
fn request(open: &mut Option<BufReader<TcpStream>>, at: (&str, u16), path: &str, is_kept: bool) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    if open.is_none() {
        let stream = TcpStream::connect(at).map_err(text)?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(text)?;
        *open = Some(BufReader::new(stream));
    }
    let reader = open.as_mut().expect("just opened");
    let how = if is_kept { "keep-alive" } else { "close" };
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: {how}\r\n\r\n");
    reader.get_mut().write_all(head.as_bytes()).map_err(text)?;
    let (mut status, mut length) = (String::new(), 0);
    reader.read_line(&mut status).map_err(text)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).map_err(text)? == 0 {
            return Err(format!("the answer ends in its head after `{}`", status.trim()));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| line.clone())?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).map_err(text)?;
    if !is_kept {
        *open = None;
    }
    if status.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(status.trim().to_owned()) }
}

/// Runs the clients, spread over routers, while `work` runs. Returns the number of answers and the failures.
pub(super) fn under_load(routers: &[(&str, u16)], work: impl FnOnce()) -> (usize, Vec<String>) {
    let load = Load::default();
    std::thread::scope(|scope| {
        for client in 0..8 {
            // Each router has clients of each kind.
            let (load, at) = (&load, routers[(client / 2 + client) % routers.len()]);
            scope.spawn(move || match client {
                0 => load.client(at, "/slow", true),
                1 => load.client(at, "/slow", false),
                _ => load.client(at, "/", client % 2 == 0),
            });
        }
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        load.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = worked {
            std::panic::resume_unwind(panic);
        }
    });
    let failures = load.failures.into_inner().expect("no panic");
    (load.answered.into_inner() + failures.len(), failures)
}

#[test]
fn every_strategy_and_a_rollback_lose_no_request() {
    let Some(service) = Service::new("strategy = 'rolling'", "replicas = 2") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    let mut all = 0;
    for (name, strategy) in [
        ("rolling", "strategy = 'rolling'"),
        ("canary", "strategy = 'canary'\ncanary.steps = ['10%', 'pause 1s', '50%', 'pause 1s']"),
        ("blue-green", "strategy = 'blue-green'\nkeep_old = '1m'"),
    ] {
        service.settle(strategy, "replicas = 2");
        let release = if service.page().as_deref() == Some("v1") { "v2" } else { "v1" };
        let (requests, failures) = under_load(&[("127.0.0.1", service.port)], || {
            service.call(&["deploy", "live", release]).expect(0, &["is live"]);
        });
        eprintln!("{name}: {requests} requests, {} failed", failures.len());
        assert_eq!(failures, Vec::<String>::new(), "{name}: of {requests} requests");
        assert_eq!(service.page().as_deref(), Some(release));
        all += requests;
    }
    // The former release is kept for a minute.
    let former = if service.page().as_deref() == Some("v1") { "v2" } else { "v1" };
    let took = Mutex::new(None);
    let (requests, failures) = under_load(&[("127.0.0.1", service.port)], || {
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| service.call(&["rollback", "live", "--yes=live"]).expect(0, &["is live"]).code());
            while service.page().as_deref() != Some(former) {
                assert!(began.elapsed() < Duration::from_mins(1), "the rollback does not end");
            }
            *took.lock().expect("no panic") = Some(began.elapsed());
            for _ in 0..20 {
                assert_eq!(service.page().as_deref(), Some(former), "all of the traffic");
            }
        });
    });
    let took = took.into_inner().expect("no panic").expect("a time");
    eprintln!(
        "rollback: {requests} requests, {} failed, {} ms to the former release",
        failures.len(),
        took.as_millis()
    );
    assert_eq!(failures, Vec::<String>::new(), "rollback: of {requests} requests");
    assert!(all + requests > 500, "{all} requests are too few to show anything");
}

#[test]
fn a_bad_canary_is_aborted_whatever_is_wrong_with_it() {
    let canary = "strategy = 'canary'\ncanary.steps = ['10%', 'pause 30s', '50%']";
    let Some(service) = Service::new(canary, "replicas = 2") else { return };
    service.call(&["deploy", "live", "v1"]).expect(0, &["is live"]);
    for (release, reason) in [
        ("v3", "% errors"),
        ("breaks", "% errors"),
        ("slow", "more than 1s500ms"),
        ("dies", "exit code 3"),
        ("sick", "/health: 500"),
    ] {
        let (requests, failures) = under_load(&[("127.0.0.1", service.port)], || {
            let failed = service.call(&["deploy", "live", release]);
            failed.expect(1, &[reason, "v1", "serves again"]);
        });
        eprintln!("{release}: {requests} requests, {} failed: {:?}", failures.len(), failures.first());
        // The number of failures depends on the speed of the machine: 8 to 12 in a thousand on two busy processors.
        assert!(failures.len() * 20 <= requests, "{release}: {} of {requests} failed", failures.len());
        match release {
            "v3" | "breaks" => assert!(!failures.is_empty(), "{requests} requests"),
            "slow" | "sick" => assert_eq!(failures, Vec::<String>::new(), "{release}"),
            // How many requests meet a release that dies depends on the moment.
            _ => {}
        }
        assert_eq!((service.page().as_deref(), service.running().len()), (Some("v1"), 2));
    }
    // The end of the release is noticed even without requests.
    let failed = service.call(&["deploy", "live", "dies"]);
    failed.expect(1, &["has ended", "exit code 3", "its last line: dies listens", "v1", "serves again"]);
    assert_eq!((service.page().as_deref(), service.running().len()), (Some("v1"), 2));
}
