//! GitHub's debugger of jobs: a re-run with it, and a conversation with a fake runner that behaves like GitHub's.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};

use crate::project::until;
use crate::servers::{REPOSITORY, Said, Watching};

/// How a fake runner behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    /// Like GitHub's.
    Usual,
    /// It sends control sequences, unknown words, and values of unexpected types.
    Hostile,
    /// It closes the connection in the middle of a command.
    Closes,
    /// It sends a message that is too large.
    Huge,
    /// It ends without the result of the job.
    NoResult,
    /// The tunnel refuses the token.
    Refuses,
}

/// A fake runner behind a web socket, with a record of its requests. It serves one client after another.
struct Runner {
    address: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Values of the `Authorization` header, one for each connection.
    tokens: Vec<String>,
    /// Requests, as `command expression`.
    requests: Vec<String>,
    /// Number of the step before which the job has stopped; `None` before the first client, and after the debugger.
    stopped: Option<usize>,
}

/// The steps of the job.
const STEPS: [&str; 3] = ["Set up job", "Build", "Complete job"];

type Socket = WebSocket<TcpStream>;

impl Runner {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("ws://{}/tunnel", listener.local_addr().expect("an address"));
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                // The library defines the result type.
                #[allow(clippy::result_large_err)]
                let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
                    let token = request.headers().get("authorization").map(|value| value.to_str().expect("text"));
                    seen.lock().expect("seen").tokens.push(token.unwrap_or_default().to_owned());
                    if manner == Manner::Refuses {
                        let mut refusal = ErrorResponse::new(None);
                        *refusal.status_mut() = http::StatusCode::FORBIDDEN;
                        return Err(refusal);
                    }
                    Ok(response)
                };
                if let Ok(mut socket) = accept_hdr(stream, note) {
                    // A client that leaves ends this conversation.
                    let _ = converse(&mut socket, &shared, manner);
                }
            }
        });
        Self { address, seen }
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("seen").requests.clone()
    }

    fn tokens(&self) -> Vec<String> {
        self.seen.lock().expect("seen").tokens.clone()
    }
}

/// Why a conversation ended.
struct Ended;

impl<T: std::error::Error> From<T> for Ended {
    fn from(_: T) -> Self {
        Self
    }
}

fn converse(socket: &mut Socket, seen: &Mutex<Seen>, manner: Manner) -> Result<(), Ended> {
    let stopped = seen.lock().expect("seen").stopped;
    if let Some(step) = stopped {
        stop(socket, step)?;
    }
    loop {
        let Message::Text(text) = socket.read()? else { continue };
        let request: Value = serde_json::from_str(text.as_str())?;
        let command = request["command"].as_str().unwrap_or_default().to_owned();
        let arguments = &request["arguments"];
        let expression = arguments["expression"].as_str().unwrap_or_default();
        seen.lock().expect("seen").requests.push(format!("{command} {expression}").trim().to_owned());
        let step = seen.lock().expect("seen").stopped;
        let body = match command.as_str() {
            "stackTrace" => {
                let at = step.unwrap_or_default();
                let frame =
                    |(at, name): (usize, &&str)| json!({"id": 1000 + at, "name": format!("{name} [Succeeded]")});
                let mut frames: Vec<_> = STEPS[..at].iter().enumerate().map(frame).rev().collect();
                frames.insert(0, json!({"id": 1, "name": format!("{} [running]", STEPS[at]), "line": 0}));
                json!({"stackFrames": frames})
            }
            "scopes" if arguments["frameId"] == 1 => json!({"scopes": [
                {"name": "github", "variablesReference": 1, "namedVariables": 2},
                {"name": "secrets", "variablesReference": 6, "presentationHint": "registers", "namedVariables": 1},
            ]}),
            "variables" => match arguments["variablesReference"].as_u64() {
                Some(1) => json!({"variables": [
                    {"name": "sha", "value": "abc123", "type": "string", "variablesReference": 0},
                    {"name": "event", "value": "Object (1 properties)", "type": "object", "variablesReference": 101},
                ]}),
                Some(6) => json!({"variables": [{"name": "DEPLOY_KEY", "value": "***", "variablesReference": 0}]}),
                _ => json!({"variables": [{"name": "ref", "value": "main\u{1b}[2J", "type": "string"}]}),
            },
            "evaluate" => evaluate(socket, arguments, manner)?,
            _ => json!({}),
        };
        let known = ["initialize", "attach", "configurationDone", "threads", "next", "continue", "disconnect"];
        let success = body != json!({}) || known.contains(&command.as_str());
        let answer = json!({
            "type": "response", "request_seq": request["seq"], "command": command, "success": success, "body": body,
            "message": (!success).then(|| format!("Unsupported command: {command}")),
        });
        send(socket, &answer)?;
        match (command.as_str(), step) {
            ("configurationDone", None) => {
                event(
                    socket,
                    "output",
                    json!({"category": "console", "output": "Actions Debug Console\n\nCommands: …"}),
                )?;
                seen.lock().expect("seen").stopped = Some(0);
                stop(socket, 0)?;
            }
            // When GitHub's runner is initialized again, it forgets that the job is stopped, and ignores `next` and
            // `continue`.
            ("next", Some(step)) => {
                event(socket, "continued", json!({"threadId": 1, "allThreadsContinued": true}))?;
                if step + 1 < STEPS.len() {
                    seen.lock().expect("seen").stopped = Some(step + 1);
                    stop(socket, step + 1)?;
                } else {
                    return end(socket, manner);
                }
            }
            ("continue", Some(_)) => {
                event(socket, "continued", json!({"threadId": 1}))?;
                return end(socket, manner);
            }
            ("disconnect", _) => seen.lock().expect("seen").stopped = None,
            _ => {}
        }
    }
}

/// Evaluates an expression, or runs a command.
fn evaluate(socket: &mut Socket, arguments: &Value, manner: Manner) -> Result<Value, Ended> {
    let expression = arguments["expression"].as_str().unwrap_or_default();
    if arguments["context"] != "repl" {
        let result = match expression {
            "github.sha" => "abc123",
            "secrets.DEPLOY_KEY" => "***",
            _ => return Ok(json!({"result": format!("Evaluation error: {expression}"), "type": "string"})),
        };
        return Ok(json!({"result": result, "type": "string", "variablesReference": 0}));
    }
    match manner {
        Manner::Closes => {
            event(socket, "output", json!({"category": "stdout", "output": "half\n"}))?;
            return Err(Ended);
        }
        Manner::Huge => event(socket, "output", json!({"category": "stdout", "output": "x".repeat(11 << 20)}))?,
        Manner::Hostile => {
            let text = "\u{1b}]0;owned\u{7}\u{1b}[2Jred \u{1b}[31mred\u{202e}\u{9b}2J\n";
            for category in ["stdout", "stderr", "console", "new"] {
                event(socket, "output", json!({"category": category, "output": text}))?;
            }
            event(socket, "output", json!({"output": {"an": "object"}}))?;
            event(socket, "moved", json!([1, 2]))?;
            send(socket, &json!({"type": "request", "command": "runInTerminal", "seq": 1}))?;
            send(socket, &json!({"type": "response", "request_seq": 9_999, "success": true}))?;
        }
        Manner::Usual | Manner::NoResult | Manner::Refuses => {
            event(socket, "output", json!({"category": "console", "output": "$ sh …\n"}))?;
            event(socket, "output", json!({"category": "stdout", "output": "to stdout\n"}))?;
            event(socket, "output", json!({"category": "stderr", "output": "to stderr\n"}))?;
        }
    }
    Ok(if expression.contains("exit 3") {
        json!({"result": "Process completed with exit code 3.", "type": "error"})
    } else {
        json!({"result": "(exit code: 0)", "type": "string", "variablesReference": 0})
    })
}

fn send(socket: &mut Socket, message: &Value) -> Result<(), Ended> {
    Ok(socket.send(Message::text(message.to_string()))?)
}

fn event(socket: &mut Socket, name: &str, body: Value) -> Result<(), Ended> {
    send(socket, &json!({"seq": 1, "type": "event", "event": name, "body": body}))
}

fn stop(socket: &mut Socket, step: usize) -> Result<(), Ended> {
    let description = format!("Stopped before step: {}", STEPS[step]);
    event(socket, "stopped", json!({"reason": "step", "description": description, "threadId": 1}))?;
    event(socket, "output", json!({"category": "console", "output": "\nCommands will run on runner host\n"}))
}

fn end(socket: &mut Socket, manner: Manner) -> Result<(), Ended> {
    event(socket, "terminated", json!({}))?;
    if manner != Manner::NoResult {
        event(socket, "exited", json!({"exitCode": 0}))?;
    }
    socket.close(None)?;
    Err(Ended)
}

/// Returns a server with a job that runs, the debugger enabled, and the name of the run.
fn running() -> Option<(Watching, String)> {
    let watching = Watching::new("ci-failing")?;
    enable(&watching);
    watching.fake.advance(30);
    let run = watching.fake.value(&format!("/repos/{REPOSITORY}/actions/runs?per_page=1"))["workflow_runs"][0].clone();
    let name = format!("{REPOSITORY}/{}", run["id"]);
    Some((watching, name))
}

fn enable(watching: &Watching) {
    watching
        .project
        .configure(&format!("[github]\napi_url = \"http://{}\"\ndebugger = true\n", watching.fake.counted()));
}

/// Runs `shell` with lines of input.
fn shell(watching: &Watching, args: &[&str], input: &str) -> Said {
    let args = [&["shell"], args].concat();
    let mut command = watching.command("ghp_full", &args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    // A program that refuses does not read its input.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("ends").into()
}

#[test]
fn a_stopped_job_is_looked_at_commanded_and_stepped_through() {
    let Some((watching, run)) = running() else { return };
    let runner = Runner::start(Manner::Usual);
    watching.fake.set_debugger(Some(&runner.address));
    let input = ":steps\n:vars\n:vars github\n:vars github.event\n:vars Secrets.deploy_key\n:eval github.sha\n:next\n\
                 echo \"a \\ b\"\n:vars nothing\n";
    let said = shell(&watching, &[&run], input);
    assert_eq!(said.code, Some(1), "the last line failed: {}", said.error);
    let expected = "Set up job [running]\ngithub  (2)\nsecrets  (1)\nsha = abc123\nevent  Object (1 properties)\n\
                    ref = main[2J\nDEPLOY_KEY = ***\nabc123\nto stdout\n";
    assert_eq!(said.out, expected, "only results are on standard output");
    for part in [
        "Connected to the debugger of ",
        "Stopped before step: Set up job\n",
        "| Commands will run on runner host\n",
        "Stopped before step: Build\n",
        "to stderr\n",
        "error: no variable `nothing`",
        "The job stays stopped",
    ] {
        assert!(said.error.contains(part), "{part}: {}", said.error);
    }
    assert!(!said.error.contains("Actions Debug Console"), "its commands differ: {}", said.error);
    let requests = runner.requests();
    assert_eq!(requests[..4], ["threads", "initialize", "attach", "configurationDone"]);
    assert!(requests.contains(&r#"evaluate run("echo \"a \\ b\"")"#.to_owned()), "{requests:?}");

    // A second client continues the conversation of the first one without initializing the runner again.
    let said = shell(&watching, &[&run, "--json"], ":steps\nexit 3\n:continue\n");
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events.len(), lines.len());
    let kinds = |name: &str| lines.iter().filter(|line| line["event"] == name).collect::<Vec<_>>();
    assert_eq!(kinds("steps")[0]["steps"], json!(["Build [running]", "Set up job [Succeeded]"]));
    let result =
        json!({"event": "result", "command": "exit 3", "text": "Process completed with exit code 3.", "failed": true});
    assert_eq!(kinds("result"), [&result]);
    assert_eq!(kinds("ended"), [&json!({"event": "ended", "exit_code": 0})]);
    let again = &runner.requests()[requests.len()..];
    assert_eq!(again, ["threads", "stackTrace", r#"evaluate run("exit 3")"#, "continue"]);
    assert_eq!(runner.tokens(), ["Bearer ghp_full", "Bearer ghp_full"]);
    let written = watching.project.everything_written();
    let has = |text: &str| written.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!has("ghp_full") && !has("/tunnel"), "neither the token nor the tunnel is kept");
}

#[test]
fn a_job_is_left_stopped_or_runs_on_without_the_debugger() {
    let Some((watching, run)) = running() else { return };
    let runner = Runner::start(Manner::Usual);
    watching.fake.set_debugger(Some(&runner.address));
    let left = shell(&watching, &[&run], "true\n:leave\nnever\n");
    assert_eq!(left.code, Some(0), "{}", left.error);
    let stopped = runner.seen.lock().expect("seen").stopped;
    assert_eq!(stopped, Some(0));
    let failed = shell(&watching, &[&run], "exit 3\n\n# a comment\n:help\n");
    assert_eq!(failed.code, Some(1), "only the failed line asked something of the job: {}", failed.error);
    let wrong = shell(&watching, &[&run], ":contiune\n");
    assert_eq!(wrong.code, Some(2), "{}", wrong.error);
    assert!(wrong.error.contains("did you mean `:continue`?"), "{}", wrong.error);
    let ended = shell(&watching, &[&run], ":disconnect\nnever\n");
    assert_eq!(ended.code, Some(0), "{}", ended.error);
    assert!(ended.error.contains("The job runs on without the debugger."), "{}", ended.error);
    let stopped = runner.seen.lock().expect("seen").stopped;
    assert_eq!(stopped, None);
    assert!(!runner.requests().iter().any(|request| request.contains("never")), "{:?}", runner.requests());
}

#[test]
fn a_job_without_a_result_is_no_success() {
    let Some((watching, run)) = running() else { return };
    let runner = Runner::start(Manner::NoResult);
    watching.fake.set_debugger(Some(&runner.address));
    let said = shell(&watching, &[&run], ":continue\n");
    assert_eq!(said.code, Some(5), "{}", said.error);
    assert!(said.error.contains("The debugger has ended without the result of the job."), "{}", said.error);
}

#[test]
fn a_debugger_elsewhere_gets_no_token() {
    let Some((watching, run)) = running() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("set");
    let port = listener.local_addr().expect("an address").port();
    for (address, message) in [
        (format!("wss://127.0.0.1:{port}/"), "the token is only sent to *.devtunnels.ms"),
        (format!("wss://a.devtunnels.ms.localhost:{port}/"), "the token is only sent to *.devtunnels.ms"),
        (format!("ws://devtunnels.ms:{port}/"), "the token is only sent to *.devtunnels.ms"),
        (format!("wss://a.devtunnels.ms:secret@127.0.0.1:{port}/"), "with a user name"),
        (format!("http://127.0.0.1:{port}/"), "only sent over `wss://`"),
        ("nonsense".to_owned(), "invalid address of the debugger"),
    ] {
        watching.fake.set_debugger(Some(&address));
        let said = shell(&watching, &[&run], "true\n");
        assert_eq!(said.code, Some(4), "{address}: {}", said.error);
        assert!(said.error.contains(message) && !said.error.contains("secret"), "{address}: {}", said.error);
        assert!(listener.accept().is_err(), "{address}: nothing connects");
    }
}

#[test]
fn a_debugger_that_refuses_closes_or_floods_is_an_error() {
    let Some((watching, run)) = running() else { return };
    for (manner, code, message) in [
        (Manner::Refuses, 4, "refused the token (403)"),
        (Manner::Closes, 5, "the connection to the debugger broke"),
        (Manner::Huge, 5, "a message of more than 10 MiB"),
    ] {
        let runner = Runner::start(manner);
        watching.fake.set_debugger(Some(&runner.address));
        let said = shell(&watching, &[&run], "make\n");
        assert_eq!(said.code, Some(code), "{manner:?}: {}", said.error);
        let closed = "the debugger closed the connection";
        let is_said = said.error.contains(message) || (manner == Manner::Closes && said.error.contains(closed));
        assert!(is_said && !said.error.contains("ghp_full"), "{manner:?}: {}", said.error);
        assert_eq!(said.out, if manner == Manner::Closes { "half\n" } else { "" }, "{manner:?}");
    }
    // The port of a client: no server can take it, and it refuses connections.
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(server.local_addr().expect("bound")).expect("connected");
    let gone = client.local_addr().expect("connected");
    watching.fake.set_debugger(Some(&format!("ws://{gone}/")));
    let said = shell(&watching, &[&run], "true\n");
    assert_eq!(said.code, Some(5), "{}", said.error);
    assert!(said.error.contains(&format!("cannot reach the debugger at {gone}")), "{}", said.error);
}

#[test]
fn no_text_of_a_debugger_reaches_the_terminal_as_it_is() {
    let Some((watching, run)) = running() else { return };
    let runner = Runner::start(Manner::Hostile);
    watching.fake.set_debugger(Some(&runner.address));
    for args in [&[run.as_str()][..], &[&run, "--json"]] {
        let said = shell(&watching, args, "make\n:vars github.event\n");
        assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
        let printed = said.out + &said.error;
        assert!(!printed.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}']), "{printed:?}");
        assert!(printed.contains("red "), "{printed}");
    }
}

#[test]
fn the_debugger_is_off_until_the_settings_allow_it() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    watching.fake.advance(600);
    let runs = watching.fake.value(&format!("/repos/{REPOSITORY}/actions/runs?per_page=50&status=failure"));
    let run = format!("{REPOSITORY}/{}", runs["workflow_runs"][0]["id"]);
    let off = "set `debugger = true` in the `[github]` of the settings";
    for args in [&["rerun", &run, "--debugger", "--detach"][..], &["shell", &run]] {
        let said = watching.cuelight(args);
        assert_eq!(said.code, Some(4), "{args:?}: {}", said.error);
        assert!(said.error.contains(off), "{args:?}: {}", said.error);
    }
    assert_eq!(watching.fake.changes(), [""; 0], "nothing was sent");
    enable(&watching);
    let ended = watching.cuelight(&["shell", &run]);
    assert_eq!(ended.code, Some(4), "{}", ended.error);
    assert!(ended.error.contains(" --debugger` runs it again with the debugger"), "{}", ended.error);
    let usage = watching.cuelight(&["rerun", &run, "--debugger", "--failed"]);
    assert_eq!(usage.code, Some(2), "{}", usage.error);
    let denied = watching.said("github_pat_read", &["rerun", &run, "--debugger", "--detach"]);
    assert_eq!(denied.code, Some(4), "{}", denied.error);

    let rerun = watching.cuelight(&["rerun", &run, "--debugger", "--detach"]);
    assert_eq!(rerun.code, Some(0), "{}", rerun.error);
    assert!(rerun.error.contains("Its runner waits 15 minutes for a debugger: `cuelight shell "), "{}", rerun.error);
    let changes = watching.fake.changes();
    let sent = changes.last().expect("a change");
    assert!(sent.starts_with(&format!("POST /repos/{REPOSITORY}/actions/jobs/")), "{sent}");
    assert!(sent.ends_with("/rerun {\"enable_debugger\":true}"), "{sent}");
    watching.fake.advance(600);
    let journal = watching.cuelight(&["attach", &run, "--json"]).out;
    assert!(journal.contains("\"rerun_with_debugger\"") && journal.contains("\"by\":\"maria\""), "{journal}");
}

#[test]
fn the_screen_runs_a_job_again_with_the_debugger_and_opens_it() {
    let Some(watching) = Watching::new("ci-failing") else { return };
    enable(&watching);
    watching.fake.advance(600);
    let runner = Runner::start(Manner::Usual);
    watching.fake.set_debugger(Some(&runner.address));
    let mut terminal = watching.screen();
    terminal.wait_for("Run tests");
    terminal.press("r");
    terminal.wait_for("with GitHub's debugger (preview): Test");
    terminal.press("g");
    until("the request", || {
        watching.fake.changes().iter().any(|change| change.contains("enable_debugger")).then_some(())
    });
    watching.fake.advance(10);
    terminal.wait_for("Test started");
    terminal.press("x");
    terminal.wait_for("Stopped before step: Set up job");
    terminal.press(":eval github.sha\r");
    terminal.wait_for("abc123");
    terminal.press(":disconnect\r");
    terminal.wait_for("Test");
    terminal.press("q");
    watching.fake.advance(600);
}
