//! An engine for tests, which answers requests as the test wants.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::engine::sandbox::docker::client::DockerClient;

/// Starts an engine. `answer` gets the first line of each request, and returns the status and the body of its answer.
/// Without one, the engine answers with its version. With an empty status, it closes the connection without an answer. With the
/// status 101, it keeps the connection open and sends nothing on it.
pub(super) async fn engine(answer: impl Fn(&str) -> Option<(&'static str, String)> + Send + 'static) -> DockerClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = request(&mut stream).await;
            let version = || ("200 OK", r#"{"ApiVersion":"1.41","Version":"1"}"#.to_owned());
            let (status, body) = answer(&request).unwrap_or_else(version);
            if status.is_empty() {
                continue;
            }
            if status.starts_with("101") {
                let head = format!("HTTP/1.1 {status}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).await;
                silent.push(stream);
                continue;
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
            let sent = format!("{head}Content-Length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(sent.as_bytes()).await;
        }
    });
    DockerClient::at(&address).await.expect("an engine")
}

/// Reads a request. Returns its first line.
async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let count = stream.read_buf(&mut bytes).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if count == 0 {
                return String::new();
            }
            continue;
        };
        let length = head.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length:")?.trim().parse::<usize>().ok()
        });
        if count == 0 || body.len() >= length.unwrap_or_default() {
            return head.lines().next().unwrap_or_default().to_owned();
        }
    }
}
