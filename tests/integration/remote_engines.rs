//! Engines on other machines: over SSH and over TCP with TLS.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::docker::{has, nothing_left};
use crate::project::{Project, Said, write_program};

const IMAGES: &[&str] = &["ci-base:local"];

/// A job with a process in a container that writes and reads.
const JOB: &str = "  a:\n    runs-on: ubuntu-latest\n    container: ci-base:local\n    steps:\n      - uses: actions/checkout@v4\n      - run: seq 20000 | tail -n 1; cat file\n      - run: exit 3\n        continue-on-error: true\n";

/// An `ssh` that runs the command on this machine, as the shell of the other machine would, and records its arguments.
const SSH: &str = r#"#!/bin/sh
echo "$@" >> "$SSH_LOG"
[ -z "$SSH_FAILS" ] || { echo "$SSH_FAILS" >&2; exit 255; }
while [ "$1" != -- ]; do shift; done
shift 2
unset DOCKER_HOST
exec sh -c "$*"
"#;

/// A server that terminates TLS, requires a certificate of the client, and passes everything on to the engine's socket.
const TLS_SERVER: &str = r"
import select, socket, ssl, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('server.pem', 'server-key.pem')
context.load_verify_locations('ca.pem')
context.verify_mode = ssl.CERT_REQUIRED
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)

def pass_on(near, far):
    open_ends = [near, far]
    while far in open_ends:
        ready = [near] if near.pending() else select.select(open_ends, [], [])[0]
        for end in ready:
            if data := end.recv(65536):
                (far if end is near else near).sendall(data)
            else:
                open_ends.remove(end)
                if end is near:
                    far.shutdown(socket.SHUT_WR)
    near.settimeout(1)
    near.unwrap()

def serve(raw):
    try:
        with context.wrap_socket(raw, server_side=True) as near, socket.socket(socket.AF_UNIX) as far:
            far.connect('/var/run/docker.sock')
            pass_on(near, far)
    except OSError:
        pass

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

/// Creates an authority, and its certificates for a server and a client, in a folder.
fn make_certificates(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl").current_dir(folder).args(arguments).output().expect("openssl starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let made = |rest: &[&str]| openssl(&[&new, rest].concat());
    made(&["-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem"]);
    let signed = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-addext", "basicConstraints=critical,CA:FALSE", "-addext"];
    let server =
        ["subjectAltName=IP:127.0.0.1", "-subj", "/CN=engine", "-keyout", "server-key.pem", "-out", "server.pem"];
    made(&[&signed[..], &server].concat());
    let client = ["extendedKeyUsage=clientAuth", "-subj", "/CN=client", "-keyout", "key.pem", "-out", "cert.pem"];
    made(&[&signed[..], &client].concat());
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server. Returns it with its address.
fn serve(folder: &Path) -> (Server, String) {
    let mut server = Command::new("python3");
    server.current_dir(folder).args(["-c", TLS_SERVER]).stdout(Stdio::piped());
    let mut server = server.spawn().expect("python starts");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut port).expect("listens");
    (Server(server), format!("tcp://127.0.0.1:{}", port.trim()))
}

fn project() -> Project {
    let project = Project::of_jobs(JOB);
    fs::write(project.root().join("file"), "from here\n").expect("written");
    project
}

#[track_caller]
fn runs_whole(project: &Project, said: &Said) {
    said.expect(0, &["20000", "from here", "exit code 3"]);
    nothing_left(&project.run_id());
}

#[test]
fn a_job_runs_in_a_container_of_an_engine_behind_ssh() {
    if !has(IMAGES) {
        return;
    }
    let programs = tempfile::tempdir().expect("a folder");
    write_program(&programs.path().join("ssh"), SSH);
    let log = programs.path().join("log");
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").expect("set"));
    let run = |project: &Project, address: &str, fails: &str| {
        let mut command = project.command(&["run", "--trust"]);
        command.env("PATH", &path).env("SSH_LOG", &log).env("SSH_FAILS", fails).env("DOCKER_HOST", address);
        Said(command.output().expect("starts"))
    };

    let first = project();
    runs_whole(&first, &run(&first, "ssh://build@far:2222", ""));
    let asked = fs::read_to_string(&log).expect("written");
    let options = "-T -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15";
    let expected = format!("{options} -l build -p 2222 -- far docker system dial-stdio");
    assert!(asked.lines().all(|line| line == expected), "{asked}");
    // Connections are used again. The streams of the three steps and of the archives need one each, and there are few
    // others. Otherwise, each of more than 40 requests would need one.
    assert!(asked.lines().count() <= 20, "{asked}");

    let second = project();
    runs_whole(&second, &run(&second, "ssh://far/var/run/docker.sock", ""));
    let refused = |address: &str, fails: &str| run(&first, address, fails);
    refused("ssh://far", "Host key verification failed.")
        .expect(1, &["ssh://far: Host key verification failed.", "needs a container engine"]);
    refused("ssh://far/no/such.sock", "").expect(1, &["/no/such.sock", "needs a container engine"]);
    refused("ssh://", "").expect(1, &["does not name a host: write ssh://user@host"]);
    refused("telnet://far", "").expect(1, &["telnet:// is not supported: write unix:///path"]);
}

#[test]
fn a_job_runs_in_a_container_of_an_engine_behind_tls() {
    if !has(IMAGES) {
        return;
    }
    let project = project();
    let [own, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    make_certificates(own.path());
    make_certificates(other.path());
    let (_server, address) = serve(own.path());
    let run = |verify: &str, certificates: &Path| {
        let mut command = project.command(&["run", "--trust"]);
        command.env("DOCKER_HOST", &address).env("DOCKER_TLS_VERIFY", verify).env("DOCKER_CERT_PATH", certificates);
        Said(command.output().expect("starts"))
    };

    runs_whole(&project, &run("1", own.path()));
    run("1", other.path()).expect(1, &["needs a container engine", "certificate"]);
    run("", own.path()).expect(1, &["needs a container engine"]);
    let empty = tempfile::tempdir().expect("a folder");
    run("1", empty.path()).expect(1, &["key.pem is missing: TLS needs ca.pem, cert.pem and key.pem"]);
}
