//! `cuelight auth`: accounts, origins of tokens, and the login with a code.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use super::fake::Fake;

/// Runs `cuelight auth` with only these environment variables.
fn auth(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cuelight"));
    command.arg("auth").args(arguments).current_dir(home).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("XDG_CONFIG_HOME", home).env("CUELIGHT_STATE_DIR", home.join("state"));
    command.envs(variables.iter().copied()).output().expect("the program starts")
}

fn settings(home: &Path, text: &str) {
    fs::create_dir_all(home.join("cuelight")).expect("made");
    fs::write(home.join("cuelight/config.toml"), text).expect("written");
}

#[test]
fn the_account_its_source_its_scopes_and_the_limit_are_shown_and_never_the_token() {
    let Some(fake) = Fake::start("ci-green", &[]) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let shown = |variables: &[(&str, &str)]| {
        let api = [("CUELIGHT_GITHUB_API_URL", fake.api.as_str())];
        let done = auth(home.path(), &["status", "--json"], &[&api, variables].concat());
        let text = String::from_utf8(done.stdout).expect("text");
        assert!(!text.contains("ghp_"), "{text}");
        (done.status.code(), serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    };
    let (code, status) = shown(&[("GH_TOKEN", "ghp_full")]);
    assert_eq!((code, &status["account"], &status["source"]), (Some(0), &"maria".into(), &"GH_TOKEN".into()));
    assert_eq!(status["scopes"], serde_json::json!(["repo", "workflow", "read:org"]));
    assert_eq!(status["rate"]["limit"], 5000);
    let (code, status) = shown(&[("GH_TOKEN", "github_pat_read")]);
    assert_eq!((code, &status["scopes"]), (Some(0), &Value::Null), "a fine-grained token has no scopes");
    let (code, status) = shown(&[]);
    assert_eq!((code, &status["account"], &status["source"]), (Some(0), &Value::Null, &"no token".into()));
    let (code, status) = shown(&[("GH_TOKEN", "ghp_wrong")]);
    assert_eq!(code, Some(5));
    assert!(status["problem"].as_str().is_some_and(|problem| problem.contains("the token was rejected")), "{status}");
    let plain = auth(home.path(), &["status"], &[("CUELIGHT_GITHUB_API_URL", &fake.api), ("GITHUB_TOKEN", "ghp_full")]);
    let plain = String::from_utf8(plain.stdout).expect("text");
    assert!(
        plain.contains("maria") && plain.contains("GITHUB_TOKEN") && plain.contains("repo, workflow, read:org"),
        "{plain}"
    );
}

#[test]
fn settings_of_hosts_are_checked() {
    let home = tempfile::tempdir().expect("a folder");
    let fails = |text: &str, message: &str| {
        settings(home.path(), text);
        let done = auth(home.path(), &["status"], &[]);
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && error.contains(message), "{text}: {error}");
    };
    fails("[github]\napi_url = 'http://evil.example'\n", "invalid API URL `http://evil.example`");
    fails("[github.hosts.'a b']\nkind = 'gitea'\n", "invalid host name `a b`");
    fails("[github.hosts.'git.example']\nkind = 'gitlab'\n", "must be `github` or `gitea`, not `gitlab`");
    fails("[github]\nrepositories = ['x']\n", "config.toml:2:1");
}

/// Starts a server for the login, which gives these answers in order. Returns its address and the requests that it got.
fn login_server(answers: Vec<&'static str>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let page = address.clone();
    let serve = move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a client");
            requests.push(request(&mut stream));
            let body = answer.replace("PAGE", &page);
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).expect("answered");
        }
        requests
    };
    (address, thread::spawn(serve))
}

/// Reads a whole request.
fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).expect("a request");
        text.extend_from_slice(&part[..read]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return whole;
            }
        }
        assert!(read > 0, "the request breaks off: {whole}");
    }
}

#[test]
fn a_login_with_a_code_is_kept_for_its_owner_alone_and_can_be_removed() {
    let home = tempfile::tempdir().expect("a folder");
    let (address, server) = login_server(vec![
        r#"{"device_code": "d", "user_code": "ABCD-1234", "verification_uri": "PAGE/login/device", "expires_in": 900, "interval": 0}"#,
        r#"{"error": "authorization_pending"}"#,
        r#"{"error": "slow_down", "interval": 0}"#,
        r#"{"access_token": "gho_device", "token_type": "bearer", "scope": "repo"}"#,
    ]);
    settings(home.path(), &format!("[github.hosts.'github.com']\nclient_id = 'app'\napi_url = '{address}'\n"));
    let done = auth(home.path(), &["login"], &[]);
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && text.contains("ABCD-1234") && text.contains("/login/device"), "{text}");
    assert!(!text.contains("gho_device"), "{text}");
    let requests = server.join().expect("ends");
    assert!(requests[0].starts_with("POST /login/device/code ") && requests[0].contains("\"client_id\":\"app\""));
    assert!(
        requests[1].starts_with("POST /login/oauth/access_token ") && requests[1].contains("\"device_code\":\"d\"")
    );
    let path = home.path().join("state/github/tokens/github.com");
    assert_eq!(fs::read_to_string(&path).expect("a token"), "gho_device");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(auth(home.path(), &["logout"], &[]).status.code(), Some(0));
    assert_eq!((path.exists(), auth(home.path(), &["logout"], &[]).status.code()), (false, Some(3)));
}

#[test]
fn a_login_that_is_refused_or_misled_keeps_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let code = r#"{"device_code": "d", "user_code": "ABCD", "verification_uri": "PAGE/login/device", "interval": 0}"#;
    for (answers, message) in [
        (vec![code, r#"{"error": "access_denied"}"#], "it was refused on the page"),
        (vec![code, r#"{"error": "expired_token"}"#], "the code was not entered in time"),
        (vec![code, "<html>"], "cannot be read"),
        (vec![r#"{"error": "incorrect_client_credentials"}"#], "incorrect_client_credentials"),
        (
            vec![r#"{"device_code": "d", "user_code": "A", "verification_uri": "https://evil.example/"}"#],
            "cannot be read",
        ),
    ] {
        let (address, server) = login_server(answers);
        settings(home.path(), &format!("[github.hosts.'github.com']\nclient_id = 'app'\napi_url = '{address}'\n"));
        let done = auth(home.path(), &["login"], &[]);
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(4) && error.contains(message), "{message}: {error}");
        server.join().expect("ends");
    }
    settings(home.path(), "");
    let done = auth(home.path(), &["login"], &[]);
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(2) && error.contains("client_id"), "{error}");
    assert!(!home.path().join("state/github/tokens").exists());
}
