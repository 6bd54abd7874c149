//! The fake server: one process per test, on loopback, whose clock stands still until it is advanced.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cuelight::backend::github::address::Host;
use cuelight::backend::github::auth::Token;
use cuelight::backend::github::client::Client;
use cuelight::model::ServerKind;
use cuelight::store::folder::RunsDir;
use serde_json::{Value, json};

use crate::docker::skip;

/// The fake server. It ends when this value is dropped.
pub(crate) struct Fake {
    process: Child,
    /// Base address of its API.
    pub(crate) api: String,
    address: String,
}

/// Returns the folder of the fake server: `shared` beside the repository, or beside a folder around it.
fn folder() -> Option<PathBuf> {
    let around = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
    around.map(|folder| folder.join("shared/github-api")).find(|folder| folder.join("fake_github.py").exists())
}

impl Fake {
    /// Starts a scenario. `None` if the fake server or python3 does not exist; the test is then skipped.
    pub(crate) fn start(scenario: &str, flags: &[&str]) -> Option<Self> {
        let Some(folder) = folder() else {
            skip("the fake server of GitHub's API is not here");
            return None;
        };
        let mut command = Command::new("python3");
        command.arg(folder.join("fake_github.py")).arg(folder.join(format!("scenarios/{scenario}.json")));
        command.args(["--manual", "--start", "now"]).args(flags).stdout(Stdio::piped());
        let Ok(mut process) = command.spawn() else {
            skip("python3 is not here");
            return None;
        };
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let started: Value = serde_json::from_str(&line).expect("JSON");
        let api = started["api"].as_str().expect("an address").to_owned();
        let address = api.strip_prefix("http://").expect("http").to_owned();
        Some(Self { process, api, address })
    }

    /// Returns the host whose API the server is.
    pub(crate) fn host(&self) -> Host {
        Host::new("github.com", ServerKind::GitHub).and_then(|host| host.with_api(&self.api)).expect("a host")
    }

    /// Returns a client with a token, or without one if it is empty.
    pub(crate) fn client(&self, token: &str, state: &Path) -> Client {
        Client::new(self.host(), Token::new(token).as_ref(), &RunsDir::at(state)).expect("a client")
    }

    /// Sends a request to a control endpoint.
    pub(crate) fn control(&self, method: &str, what: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let body = body.to_string();
        let length = body.len();
        let head = format!(
            "{method} /_fake/{what} HTTP/1.1\r\nHost: fake\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + &body).as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{what}: {error}: {answer}"))
    }

    /// Moves the clock.
    pub(crate) fn advance(&self, seconds: u64) {
        self.control("POST", "advance", &json!({ "seconds": seconds }));
    }

    /// Adds a fault.
    pub(crate) fn fault(&self, fault: &Value) {
        self.control("POST", "faults", fault);
    }

    /// Removes all faults.
    pub(crate) fn heal(&self) {
        self.control("DELETE", "faults", &Value::Null);
    }

    /// Returns a counter.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.control("GET", "stats", &Value::Null)[name].as_u64().unwrap_or_default()
    }

    /// Returns the requests to the API that contain a text, each as `METHOD /path STATUS`.
    pub(crate) fn requests(&self, text: &str) -> Vec<String> {
        let journal = self.control("GET", "requests", &Value::Null);
        let line = |entry: &Value| {
            format!(
                "{} {} {}",
                entry["method"].as_str().unwrap_or_default(),
                entry["path"].as_str().unwrap_or_default(),
                entry["status"]
            )
        };
        journal.as_array().into_iter().flatten().map(line).filter(|line| line.contains(text)).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
