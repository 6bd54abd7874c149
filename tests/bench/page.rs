//! Requests the page of a service on this machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Time that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests the page at a port; `None` if the request fails.
pub(crate) fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}
