//! Notifications to a server that answers as the test wants.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::message::example;
use super::*;
use crate::rollout::testing::Memory;

impl Memory {
    /// Returns the results in order: channel, event, and why it failed.
    fn results(&self) -> Vec<(NotifyChannel, NotifyEvent, Option<String>)> {
        let events = self.0.lock().expect("no panic");
        let results = events.iter().map(|event| match event {
            Event::Notified { channel, about, failure, .. } => (*channel, *about, failure.clone()),
            other => panic!("{other:?}"),
        });
        results.collect()
    }
}

/// A server on this machine, which gives these answers in turn and then the last one again.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/services/T0SECRET/B0", listener.local_addr().expect("bound"));
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (kept, count) = (Arc::clone(&requests), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers, Arc::clone(&kept), Arc::clone(&count)));
            }
        });
        Self { address, requests }
    }

    fn bodies(&self) -> Vec<serde_json::Value> {
        let requests = self.requests.lock().expect("no panic");
        let body = |request: &String| request.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        requests.iter().filter_map(body).map(|body| serde_json::from_str(&body).expect("JSON")).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: &'static [&'static str],
    requests: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicUsize>,
) {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or_default() {
                break;
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read_now) => read.extend_from_slice(&buffer[..read_now]),
        }
    }
    requests.lock().expect("no panic").push(String::from_utf8_lossy(&read).into_owned());
    let answer = answers[count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
    if answer.is_empty() {
        // No answer, and the connection stays open.
        std::future::pending::<()>().await;
    }
    let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await;
}

const OK: &str = "200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &str = "503 Busy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

fn shell(variables: &[(&str, &str)]) -> Shell {
    let path = std::env::vars_os().filter(|(name, _)| name == "PATH");
    let more = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Shell { folder: std::env::temp_dir(), environment: path.chain(more).collect() }
}

fn slack() -> Notify {
    Notify { slack: Some("SLACK_URL".to_owned()), on: NotifyEvent::DEFAULT.to_vec(), ..Notify::default() }
}

/// Sends notifications and returns their results.
async fn sent(settings: &Notify, shell: &Shell, notices: &[Notice]) -> Arc<Memory> {
    let memory = Arc::new(Memory::default());
    let outlet: Arc<dyn Outlet> = memory.clone();
    let mut notifier = Notifier::new(Some(settings), shell, &outlet, &JobId::new("production"));
    for notice in notices {
        notifier.send(notice.clone());
    }
    notifier.finish().await;
    memory
}

#[tokio::test]
async fn slack_gets_one_message_for_each_phase_in_order_and_with_secrets_masked() {
    let server = Server::start(&[OK]).await;
    let shell = shell(&[("SLACK_URL", &server.address)]);
    let notices = [
        example(NotifyEvent::Started, "is being deployed"),
        example(NotifyEvent::Paused, "waits, says hunter2"),
        example(NotifyEvent::Succeeded, "is live"),
    ];
    let memory = sent(&slack(), &shell, &notices).await;
    let texts: Vec<String> =
        server.bodies().iter().map(|body| body["text"].as_str().unwrap_or("").to_owned()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("waits, says ***") && texts[1].contains("is live"), "{texts:?}");
    let expected = [NotifyEvent::Paused, NotifyEvent::Succeeded].map(|about| (NotifyChannel::Slack, about, None));
    assert_eq!(memory.results(), expected);
}

#[tokio::test]
async fn a_document_is_signed_and_the_same_for_each_attempt() {
    let server = Server::start(&[BUSY, OK]).await;
    let shell = shell(&[("HOOK_URL", &server.address), ("HOOK_KEY", "a shared key")]);
    let webhook = Webhook { url: "HOOK_URL".to_owned(), key: Some("HOOK_KEY".to_owned()) };
    let settings = Notify { webhook: Some(webhook), on: vec![NotifyEvent::Failed], ..Notify::default() };
    let memory = sent(&settings, &shell, &[example(NotifyEvent::Failed, "failed: exit code 1")]).await;
    assert_eq!(memory.results(), [(NotifyChannel::Webhook, NotifyEvent::Failed, None)]);
    let requests = server.requests.lock().expect("no panic").clone();
    assert_eq!((requests.len(), &requests[0]), (2, &requests[1]));
    let (head, body) = requests[0].split_once("\r\n\r\n").expect("a request");
    assert!(head.starts_with("POST /services/T0SECRET/B0 HTTP/1.1\r\n"), "{head}");
    let signed = signature("a shared key", body.as_bytes());
    let lines = [
        "x-cuelight-event: failed".to_owned(),
        "x-cuelight-delivery: 20261124-021500-ab12-failed-1700000000000".to_owned(),
        format!("x-cuelight-signature-256: {}", signed.to_str().expect("text")),
        "content-type: application/json".to_owned(),
    ];
    for line in lines {
        assert!(head.lines().any(|one| one.eq_ignore_ascii_case(&line)), "{line} is not in {head}");
    }
    let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(document["command"], "cuelight rollback production");
}

#[tokio::test]
async fn a_server_that_refuses_or_redirects_is_asked_once_and_nothing_of_its_address_is_shown() {
    for (answer, expected) in [
        (
            &["404 Not Found\r\ncontent-length: 38\r\n\r\nno_team: /services/T0SECRET/B0 unknown"][..],
            "the server answered 404 Not Found: no_team: *** unknown",
        ),
        (
            &["302 Found\r\nlocation: https://example.com/other\r\ncontent-length: 0\r\n\r\n"][..],
            "the server redirects (302 Found), which is not followed: the address must be the final one",
        ),
    ] {
        let server = Server::start(answer).await;
        let shell = shell(&[("SLACK_URL", &server.address)]);
        let memory = sent(&slack(), &shell, &[example(NotifyEvent::Succeeded, "is live")]).await;
        let expected = (NotifyChannel::Slack, NotifyEvent::Succeeded, Some(expected.to_owned()));
        assert_eq!((memory.results(), server.bodies().len()), (vec![expected], 1));
    }
}

#[tokio::test]
async fn a_channel_that_cannot_send_says_why_and_does_not_hold_back_the_others() {
    let command = "echo \"$DEPLOY_EVENT $DEPLOY_COMMAND\" > \"$OUT\"".to_owned();
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    let settings = Notify { command: Some(command), terminal: true, ..slack() };
    let shell = shell(&[("OUT", out.to_str().expect("text"))]);
    let memory = sent(&settings, &shell, &[example(NotifyEvent::Failed, "failed")]).await;
    let mut results = memory.results();
    results.sort_by_key(|(channel, ..)| channel.name());
    let why = "the variable SLACK_URL is not set; it was needed when the deployment was started";
    let of = |channel, failure: Option<&str>| (channel, NotifyEvent::Failed, failure.map(str::to_owned));
    let expected =
        [of(NotifyChannel::Command, None), of(NotifyChannel::Slack, Some(why)), of(NotifyChannel::Terminal, None)];
    assert_eq!(results, expected);
    assert_eq!(std::fs::read_to_string(out).expect("sent"), "failed cuelight rollback production\n");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_ends_with_the_deployment() {
    let server = Server::start(&[""]).await;
    let shell = shell(&[("SLACK_URL", &server.address)]);
    let memory = Arc::new(Memory::default());
    let outlet: Arc<dyn Outlet> = memory.clone();
    let mut notifier = Notifier::new(Some(&slack()), &shell, &outlet, &JobId::new("production"));
    let began = Instant::now();
    for about in [NotifyEvent::Paused, NotifyEvent::Succeeded] {
        notifier.send(example(about, "x"));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "sending waits for nothing");
    notifier.finish().await;
    let late = Some("not sent within 10 s after the end of the deployment".to_owned());
    let expected = [NotifyEvent::Paused, NotifyEvent::Succeeded];
    assert_eq!(memory.results(), expected.map(|about| (NotifyChannel::Slack, about, late.clone())));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_tried_three_times() {
    let server = Server::start(&[BUSY]).await;
    let shell = shell(&[("SLACK_URL", &server.address)]);
    let memory = sent(&slack(), &shell, &[example(NotifyEvent::Failed, "failed")]).await;
    let why = Some("the server answered 503 Service Unavailable".to_owned());
    assert_eq!(memory.results(), [(NotifyChannel::Slack, NotifyEvent::Failed, why)]);
    assert_eq!(server.bodies().len(), 3);
}

#[test]
fn pauses_grow_and_those_of_the_server_count_up_to_a_limit() {
    let refused = |after: Option<u64>| {
        let status = http::StatusCode::TOO_MANY_REQUESTS;
        NotifyError::Post(PostError::Refused { status, answer: String::new(), after: after.map(Duration::from_secs) })
    };
    let pauses = [(None, 1, 1), (None, 2, 2), (Some(7), 1, 7), (Some(3600), 1, 30)];
    for (after, number, expected) in pauses {
        assert_eq!(refused(after).pause(number), Duration::from_secs(expected));
    }
}
