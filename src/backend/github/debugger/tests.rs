//! Tests of the protocol and of a conversation, without a network. Tests with a server are in
//! `tests/integration/debugger.rs`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::dap::{self, Answer, Incoming, run_expression};
use super::socket::{MAX_MESSAGE, SILENCE, Socket, limits};
use super::{DebuggerError, Evaluation, Event, Session, State};

#[test]
fn messages_are_read_whatever_they_lack_or_add() {
    let stopped = |text: &str| Some(Incoming::Event(Event::Stopped { description: text.to_owned() }));
    let output = |category: &str, text: &str| {
        Some(Incoming::Event(Event::Output { category: category.to_owned(), text: text.to_owned() }))
    };
    let exited = |code| Some(Incoming::Event(Event::Exited { code }));
    let other = |name: &str| Some(Incoming::Event(Event::Other { name: name.to_owned() }));
    let answer = |request, result: Result<Value, &str>| {
        Some(Incoming::Answer(Answer { request, result: result.map_err(str::to_owned) }))
    };
    for (text, expected) in [
        (
            r#"{"type":"event","event":"stopped","body":{"reason":"step","description":"Stopped before step: Build"}}"#,
            stopped("Stopped before step: Build"),
        ),
        (r#"{"type":"event","event":"stopped","body":{"reason":"entry"}}"#, stopped("entry")),
        (r#"{"type":"event","event":"stopped"}"#, stopped("")),
        (r#"{"type":"event","event":"continued","body":{"threadId":1}}"#, Some(Incoming::Event(Event::Continued))),
        (r#"{"type":"event","event":"output","body":{"output":"a\n"}}"#, output("console", "a\n")),
        (r#"{"type":"event","event":"output","body":{"category":"new","output":7}}"#, output("new", "7")),
        (r#"{"type":"event","event":"output","body":[1]}"#, output("console", "")),
        (r#"{"type":"event","event":"exited","body":{"exitCode":1}}"#, exited(Some(1))),
        (r#"{"type":"event","event":"exited","body":{"exitCode":"1"}}"#, exited(None)),
        (r#"{"type":"event","event":"terminated"}"#, Some(Incoming::Event(Event::Terminated))),
        (r#"{"type":"event","event":"telemetry","seq":9}"#, other("telemetry")),
        (r#"{"type":"event"}"#, other("")),
        (
            r#"{"type":"response","request_seq":3,"success":true,"command":"x","body":{"a":1}}"#,
            answer(3, Ok(json!({"a": 1}))),
        ),
        (r#"{"type":"response","request_seq":3,"success":true}"#, answer(3, Ok(Value::Null))),
        (r#"{"type":"response","request_seq":3,"success":false,"message":"no"}"#, answer(3, Err("no"))),
        (r#"{"type":"response","request_seq":3,"body":{"error":{"format":"long"}}}"#, answer(3, Err("long"))),
        (r#"{"type":"response","request_seq":"3","success":false}"#, answer(0, Err(""))),
        (r#"{"type":"request","command":"runInTerminal"}"#, Some(Incoming::Other)),
        ("{}", Some(Incoming::Other)),
        ("[]", None),
        ("null", None),
        ("", None),
        ("{\"type\":\"event\"", None),
    ] {
        assert_eq!(dap::parse(text), expected, "{text}");
    }
    assert_eq!(dap::parse(&"[".repeat(100_000)), None, "deeply nested");
}

#[test]
fn results_are_read_whatever_they_lack_or_add() {
    let body = json!({"variables": [
        {"name": "sha", "value": "abc", "type": "string", "variablesReference": 0, "lazy": true},
        {"name": "event", "value": "Object (2 properties)", "type": "object", "variablesReference": 101},
        {"name": 7, "value": null},
    ]});
    let found = dap::variables(&body);
    let read: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.value.as_str(), one.has_children())).collect();
    assert_eq!(read, [("sha", "abc", false), ("event", "Object (2 properties)", true), ("7", "", false)]);
    for body in [json!(null), json!({}), json!({"variables": 1}), json!([])] {
        assert!(dap::variables(&body).is_empty() && dap::scopes(&body).is_empty() && dap::frames(&body).is_empty());
    }
    for (body, text, failed) in [
        (json!({"result": "abc", "type": "string"}), "abc", false),
        (json!({"result": "(exit code: 0)", "type": "string"}), "(exit code: 0)", false),
        (
            json!({"result": "Process completed with exit code 3.", "type": "error"}),
            "Process completed with exit code 3.",
            true,
        ),
        (json!({"result": "Evaluation error: x", "type": "string"}), "Evaluation error: x", true),
        (json!({"result": 3}), "3", false),
        (json!(null), "", false),
    ] {
        assert_eq!(dap::evaluation(&body), Evaluation { text: text.to_owned(), failed }, "{body}");
    }
}

/// Reads the script of a `run("…")` as GitHub's runner does: a backslash quotes the next character.
fn script_of(expression: &str) -> Option<String> {
    let inner = expression.strip_prefix("run(")?.strip_suffix(')')?.strip_prefix('"')?;
    let (mut script, mut characters) = (String::new(), inner.chars());
    loop {
        match characters.next()? {
            '\\' => script.push(characters.next()?),
            '"' => return characters.next().is_none().then_some(script),
            c => script.push(c),
        }
    }
}

proptest! {
    #[test]
    fn any_script_reaches_the_runner_unchanged(script in "(?s).{0,200}") {
        let text = dap::request(7, "evaluate", &json!({"expression": run_expression(&script)}));
        prop_assert!(!text.contains('\n'), "one message has one line");
        let request: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!((&request["seq"], &request["type"]), (&json!(7), &json!("request")));
        let expression = request["arguments"]["expression"].as_str().expect("text");
        prop_assert_eq!(script_of(expression), Some(script));
    }

    #[test]
    fn no_message_stops_the_program(text in "(?s).{0,200}", kind in "response|event|x", name in "[a-z]{0,12}") {
        let _ = dap::parse(&text);
        let framed = json!({"type": kind, "event": name, "command": name, "body": {"output": text}}).to_string();
        prop_assert!(dap::parse(&framed).is_some());
        let _ = super::Line::parse(&text);
    }
}

/// The runner's end of a conversation.
type Runner = WebSocketStream<DuplexStream>;

async fn pair() -> (Socket<DuplexStream>, Runner) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let client = WebSocketStream::from_raw_socket(near, Role::Client, Some(limits())).await;
    (Socket::over(client), WebSocketStream::from_raw_socket(far, Role::Server, None).await)
}

/// Answers requests like the runner until one is named `until`, and returns their names. Requests with a reply in
/// `replies` get its messages before their answer.
async fn serve(runner: &mut Runner, until: &str, replies: &[(&str, Value)]) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(Ok(message)) = runner.next().await {
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(text.as_str()).expect("JSON");
        let command = request["command"].as_str().expect("a name").to_owned();
        for (_, event) in replies.iter().filter(|(name, _)| *name == command) {
            runner.send(Message::text(event.to_string())).await.expect("sent");
        }
        let answer = json!({
            "type": "response", "request_seq": request["seq"], "success": true, "command": command, "body": {},
        });
        runner.send(Message::text(answer.to_string())).await.expect("sent");
        seen.push(command.clone());
        if command == until {
            break;
        }
    }
    seen
}

fn stopped() -> Value {
    json!({"type": "event", "event": "stopped", "body": {"description": "Stopped before step: Build"}})
}

#[tokio::test]
async fn a_job_that_is_stopped_already_is_not_initialized_again() {
    let mut ignore = |_: Event| Ok(());
    for (replies, expected) in [
        (vec![], vec!["threads", "initialize", "attach", "configurationDone"]),
        (vec![("threads", stopped())], vec!["threads"]),
    ] {
        let (socket, mut runner) = pair().await;
        let last = *expected.last().expect("a request");
        let (session, seen) = tokio::join!(Session::start(socket, &mut ignore), serve(&mut runner, last, &replies));
        assert_eq!(seen, expected);
        let is_stopped = matches!(session.expect("started").state(), State::Stopped(_));
        assert_eq!(is_stopped, !replies.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_runner_ignores_is_an_error() {
    let mut ignore = |_: Event| Ok(());
    let (socket, mut runner) = pair().await;
    let stop = [("threads", stopped())];
    let (session, _) = tokio::join!(Session::start(socket, &mut ignore), serve(&mut runner, "threads", &stop));
    let mut session = session.expect("started");
    let (error, _) = tokio::join!(session.next(&mut ignore), serve(&mut runner, "next", &[]));
    assert!(matches!(error, Err(DebuggerError::Ignored("next"))), "{error:?}");
    assert!(matches!(session.state(), State::Stopped(_)));
    let goes_on = [("next", json!({"type": "event", "event": "continued"})), ("next", stopped())];
    let (done, _) = tokio::join!(session.next(&mut ignore), serve(&mut runner, "next", &goes_on));
    done.expect("the next step");
}

#[tokio::test]
async fn a_job_whose_debugger_refuses_to_go_on_stays_stopped() {
    let mut ignore = |_: Event| Ok(());
    let (socket, mut runner) = pair().await;
    let stop = [("threads", stopped())];
    let (session, _) = tokio::join!(Session::start(socket, &mut ignore), serve(&mut runner, "threads", &stop));
    let mut session = session.expect("started");
    let refusing = async {
        let Some(Ok(Message::Text(text))) = runner.next().await else { panic!("no request") };
        let request: Value = serde_json::from_str(text.as_str()).expect("JSON");
        let refusal = json!({"type": "response", "request_seq": request["seq"], "success": false, "message": "busy"});
        runner.send(Message::text(refusal.to_string())).await.expect("sent");
    };
    let (error, ()) = tokio::join!(session.next(&mut ignore), refusing);
    assert!(matches!(error, Err(DebuggerError::Rejected { request: "next", .. })), "{error:?}");
    assert!(matches!(session.state(), State::Stopped(_)), "{:?}", session.state());
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_the_program_was_stopped_is_no_silence() {
    let (mut socket, mut runner) = pair().await;
    tokio::time::advance(10 * SILENCE).await;
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        runner.send(Message::text("{}")).await
    };
    let (received, sent) = tokio::join!(socket.receive(), later);
    sent.expect("sent");
    assert_eq!(received.expect("a message"), "{}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_debugger_is_left() {
    let mut ignore = |_: Event| Ok(());
    let (socket, _runner) = pair().await;
    let before = Instant::now();
    let error = Session::start(socket, &mut ignore).await.err();
    assert!(matches!(error, Some(DebuggerError::Silent(_))), "{error:?}");
    assert_eq!(before.elapsed(), Duration::from_secs(30));

    // A command may run for hours, as long as the debugger answers pings.
    let (socket, mut runner) = pair().await;
    let stop = [("threads", stopped())];
    let (session, _) = tokio::join!(Session::start(socket, &mut ignore), serve(&mut runner, "threads", &stop));
    let mut session = session.expect("started");
    let before = Instant::now();
    let hours = Duration::from_hours(3);
    let alive = async {
        let reading = async { while runner.next().await.is_some() {} };
        let _ = tokio::time::timeout(hours, reading).await;
    };
    let (error, ()) = tokio::join!(session.run("sleep 9999", &mut ignore), alive);
    assert!(matches!(error, Err(DebuggerError::Silent(SILENCE))), "{error:?}");
    assert!(before.elapsed() > hours && before.elapsed() < hours + 2 * SILENCE, "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_message_without_measure_ends_the_conversation() {
    let mut ignore = |_: Event| Ok(());
    let (socket, mut runner) = pair().await;
    let huge = "x".repeat(MAX_MESSAGE + 1);
    // The other end closes the connection in the middle.
    let sending = async {
        let _ = runner.send(Message::text(huge)).await;
    };
    let (started, ()) = tokio::join!(
        async {
            // The connection must be dropped for the sender to end.
            Session::start(socket, &mut ignore).await.err()
        },
        sending
    );
    assert!(matches!(started, Some(DebuggerError::TooLarge)), "{started:?}");
    let (socket, mut runner) = pair().await;
    let (started, sent) =
        tokio::join!(Session::start(socket, &mut ignore), runner.send(Message::text("not of the protocol")));
    sent.expect("sent");
    assert!(matches!(started.err(), Some(DebuggerError::Malformed)));
}
