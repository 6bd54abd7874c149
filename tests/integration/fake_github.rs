//! The fake GitHub server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cuelight::backend::github::wire::{Field, Page};
use serde_json::{Value, json};

use crate::described;
use crate::docker::skip;

/// Returns the folder of the fake server; `None`, with a remark, if it does not exist.
pub(crate) fn material() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = root.ancestors().map(|above| above.join("shared/github-api")).find(|folder| folder.is_dir());
    if found.is_none() {
        skip("the fake server is not at ../shared/github-api");
    }
    found
}

/// A fake server whose clock stands still until a test moves it.
pub(crate) struct Fake {
    process: Child,
    pub(crate) api: String,
    counter: Counter,
}

/// A proxy between the program and the server that counts the program's requests. Requests of the test do not use it.
struct Counter {
    address: String,
    counts: Arc<Counts>,
}

/// What happens to the requests of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Way {
    /// Requests are answered.
    #[default]
    Open,
    /// The connection ends without an answer.
    Dead,
    /// The answer is not HTTP.
    Garbage,
}

#[derive(Default)]
struct Counts {
    way: Mutex<Way>,
    /// Address of the debugger of every job; `None` if no job has one.
    debugger: Mutex<Option<String>>,
    /// Bodies of the changes that the program sent, as `METHOD /path body`.
    changes: Mutex<Vec<String>>,
    /// The requests that the program sent: method, target and body.
    requests: Mutex<Vec<(String, String, String)>>,
    in_flight: AtomicUsize,
    most: AtomicUsize,
    is_closed: AtomicBool,
}

impl Counter {
    fn start(api: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (counts, api) = (Arc::<Counts>::default(), api.to_owned());
        let counted = Arc::clone(&counts);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if counted.is_closed.load(Ordering::SeqCst) {
                    return;
                }
                let (counts, api) = (Arc::clone(&counted), api.clone());
                // A connection that fails ends here, and the program sees its end.
                std::thread::spawn(move || counts.pass(near, &api));
            }
        });
        Self { address, counts }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.counts.is_closed.store(true, Ordering::SeqCst);
        // This wakes the thread that listens, which then closes the port.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Counts {
    /// Passes the requests of a connection on, all on one connection to the server, and their answers back. A request is
    /// in flight until its answer is there.
    fn pass(&self, near: TcpStream, api: &str) -> Option<()> {
        let mut near = BufReader::new(near);
        let mut far = None;
        loop {
            if near.fill_buf().ok()?.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
                // The beginning of TLS, for example: a server answers it, and does not wait for the end of a line.
                return near.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").ok();
            }
            let (request, true) = message(&mut near) else { return None };
            match *self.way.lock().expect("a way") {
                Way::Open => {}
                Way::Dead => return None,
                Way::Garbage => return near.get_mut().write_all(b"\x15\x03\x01\0\x02\x02\x28").ok(),
            }
            if let Some(answer) = self.debugger(&request) {
                near.get_mut().write_all(&answer).ok()?;
                continue;
            }
            let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let answered = answer(&mut far, api, &request);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            let (answer, is_whole) = answered.ok()?;
            near.get_mut().write_all(&answer).ok().filter(|()| is_whole)?;
        }
    }
}

impl Counts {
    /// Records a request. Returns the answer to a request for the debugger of a job.
    fn debugger(&self, request: &[u8]) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(request);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (what, _) = head.split_once(" HTTP/")?;
        let (method, target) = what.split_once(' ')?;
        let request = (method.to_owned(), target.to_owned(), body.to_owned());
        self.requests.lock().expect("requests").push(request);
        if !what.starts_with("GET ") {
            self.changes.lock().expect("changes").push(format!("{what} {body}"));
        }
        let address = self.debugger.lock().expect("an address").clone().filter(|_| what.ends_with("/debugger"))?;
        let body = json!({"debugger_url": address, "expires_at": null}).to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        Some(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }
}

/// Sends a request on the open connection, or on a new one. Returns the answer, and whether it is whole.
fn answer(far: &mut Option<BufReader<TcpStream>>, api: &str, request: &[u8]) -> std::io::Result<(Vec<u8>, bool)> {
    if far.is_none() {
        *far = Some(BufReader::new(TcpStream::connect(api)?));
    }
    let far = far.as_mut().expect("just opened");
    far.get_mut().write_all(request)?;
    Ok(message(far))
}

/// Reads a message, or what there is of it if the connection ends. Returns whether it is whole, too.
fn message(reader: &mut impl BufRead) -> (Vec<u8>, bool) {
    let (mut text, mut length) = (Vec::new(), 0);
    while !text.ends_with(b"\r\n\r\n") {
        let start = text.len();
        if !reader.read_until(b'\n', &mut text).is_ok_and(|count| count > 0) {
            return (text, false);
        }
        let line = String::from_utf8_lossy(&text[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let read = reader.take(length).read_to_end(&mut text);
    // An error leaves what was read.
    let is_whole = read.is_ok_and(|count| count as u64 == length);
    (text, is_whole)
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if !std::thread::panicking() {
            described::check(&self.counter.counts.requests.lock().expect("requests"));
        }
    }
}

impl Fake {
    pub(crate) fn start(scenario: &str) -> Option<Self> {
        Self::start_at(scenario, &[])
    }

    /// Starts the server with the time of this machine, for tests that depend on the age of runs.
    pub(crate) fn start_now(scenario: &str) -> Option<Self> {
        Self::start_at(scenario, &["--start", "now"])
    }

    pub(crate) fn start_at(scenario: &str, args: &[&str]) -> Option<Self> {
        let folder = material()?;
        let mut process = Command::new("python3")
            .arg(folder.join("fake_github.py"))
            .arg(folder.join("scenarios").join(format!("{scenario}.json")))
            .arg("--manual")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let started: Value = serde_json::from_str(&line).expect("JSON");
        let api = started["api"].as_str().expect("an address").trim_start_matches("http://").to_owned();
        let counter = Counter::start(&api);
        Some(Self { process, api, counter })
    }

    /// Returns the address at which requests are counted.
    pub(crate) fn counted(&self) -> &str {
        &self.counter.address
    }

    /// Sets what happens to the program's requests from now on.
    pub(crate) fn go(&self, way: Way) {
        *self.counter.counts.way.lock().expect("a way") = way;
    }

    /// Sets the address of the debugger that the program gets for every job.
    pub(crate) fn set_debugger(&self, address: Option<&str>) {
        *self.counter.counts.debugger.lock().expect("an address") = address.map(str::to_owned);
    }

    /// Returns the changes that the program has sent, as `METHOD /path body`.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.counter.counts.changes.lock().expect("changes").clone()
    }

    /// Returns the highest number of counted requests that were in flight at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.counter.counts.most.load(Ordering::SeqCst)
    }

    /// Sends a request, and returns status, headers and body.
    pub(crate) fn send(&self, method: &str, path: &str, accept: &str, body: &str) -> (u16, String, Vec<u8>) {
        request(&self.api, method, path, &format!("Authorization: Bearer ghp_full\r\nAccept: {accept}\r\n"), body)
    }

    pub(crate) fn value(&self, path: &str) -> Value {
        let (status, _, body) = self.send("GET", path, "application/json", "");
        assert_eq!(status, 200, "{path}");
        serde_json::from_slice(&body).expect("JSON")
    }

    pub(crate) fn page<T: Field>(&self, path: &str) -> Vec<T> {
        let body = self.value(path);
        let name = body.as_object().and_then(|fields| fields.iter().find(|(_, value)| value.is_array()));
        let name = name.map(|(name, _)| name.clone()).unwrap_or_default();
        let page = Page::<T>::read(body.to_string().as_bytes(), &name).expect("a page");
        assert_eq!(page.list.unreadable, 0, "{path}");
        page.list.items
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let (status, _, body) = self.send("GET", path, "application/vnd.github.raw", "");
        (status == 200).then(|| String::from_utf8(body).expect("text"))
    }

    pub(crate) fn control(&self, path: &str, body: Value) {
        let (status, _, said) = self.send("POST", path, "application/json", &body.to_string());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.control("/_fake/advance", json!({ "seconds": seconds }));
    }
}

pub(crate) fn request(host: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(host).expect("the server listens");
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\nConnection: close\r\n");
    write!(stream, "{head}{headers}Content-Length: {length}\r\n\r\n{body}").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("headers");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head, answer[end + 4..].to_vec())
}
