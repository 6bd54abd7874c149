//! Finds out why a deployment failed, by fixed rules for its reason and for the last lines of its log.

use serde::Serialize;

/// A cause that the rules recognise. Causes that explain others come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// A process was killed for lack of memory.
    OutOfMemory,
    /// The registry of the image cannot be reached.
    RegistryUnreachable,
    /// The image of the release does not exist, or may not be pulled.
    ImageMissing,
    /// The user may not do in the cluster what a deployment needs.
    Forbidden,
    /// A quota of the namespace leaves no room for the pods.
    QuotaExceeded,
    /// No node of the cluster has room for a pod.
    Unschedulable,
    /// A secret or configuration that a pod names does not exist.
    ConfigMissing,
    /// A variable that a command or a container needs has no value.
    VariableMissing,
    /// A file may not be read, written or executed.
    PermissionDenied,
    /// A program or file that a command names does not exist.
    CommandMissing,
    /// Another process listens on the port.
    PortTaken,
    /// The health check asks for a path that the service does not have.
    ProbePath,
    /// An analysis of a Rollout failed, so its controller aborted the release.
    AnalysisFailed,
    /// The service ends and is started again and again.
    CrashLoop,
    /// The service has ended once and was started again.
    Restarted,
    /// A process ended with an error.
    Exited,
    /// The health check is answered with an error.
    ProbeStatus,
    /// Nothing listens on the port that the health check probes.
    PortClosed,
}

use FailureCause::{
    AnalysisFailed, CommandMissing, ConfigMissing, CrashLoop, Exited, Forbidden, ImageMissing, OutOfMemory,
    PermissionDenied, PortClosed, PortTaken, ProbePath, ProbeStatus, QuotaExceeded, RegistryUnreachable, Restarted,
    Unschedulable, VariableMissing,
};

/// Texts by which a cause is recognised, in lower case. Exit codes and answers of probes are parsed instead.
const TEXTS: &[(FailureCause, &[&str])] = &[
    (OutOfMemory, &["out of memory", "oomkilled", "cannot allocate memory", "outofmemoryerror"]),
    (
        ImageMissing,
        &[
            "cannot pull ",
            "pull access denied",
            "manifest unknown",
            "no such image",
            "manifest for ",
            "errimagepull",
            "imagepullbackoff",
            "errimageneverpull",
            "invalidimagename",
        ],
    ),
    (Forbidden, &["restricted: "]),
    (QuotaExceeded, &["exceeded quota"]),
    (Unschedulable, &["unschedulable: ", "failedscheduling"]),
    (ConfigMissing, &["createcontainerconfigerror"]),
    (
        VariableMissing,
        &[
            "of target.env is not set here",
            ": unbound variable",
            ": parameter not set",
            ": parameter null or not set",
            "keyerror: '",
            "environment variable not set",
            "missing environment variable",
            "missing required environment variable",
        ],
    ),
    (PermissionDenied, &["permission denied", "eacces", "operation not permitted", "access is denied"]),
    (CommandMissing, &["command not found", ": not found", "executable file not found", "no such file or directory"]),
    (PortTaken, &["address already in use", "port is already allocated", "eaddrinuse"]),
    (AnalysisFailed, &["\" assessed failed", "\" assessed error"]),
    (CrashLoop, &["restarting (", "crashloopbackoff"]),
    (Restarted, &["restarted once", "has ended and was started again"]),
    (PortClosed, &["connection refused", "cannot connect to ", "econnrefused"]),
];

/// Texts, in lower case, of lines about an image that is pulled.
const PULLS: &[&str] = &["cannot pull ", "failed to pull", "pulling image", "failed to resolve reference", "/v2/"];

/// Texts, in lower case, by which a connection that fails is recognised.
const UNREACHABLE: &[&str] = &[
    "no such host",
    "name resolution",
    "server misbehaving",
    "network is unreachable",
    "no route to host",
    "i/o timeout",
    "tls handshake timeout",
    "client.timeout exceeded",
    "context deadline exceeded",
    "request canceled while waiting for connection",
    "connect: connection refused",
];

/// Maximum length in characters of the evidence.
const MAX_EVIDENCE: usize = 300;

/// Why a deployment failed, as far as its record shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnosis {
    /// The cause.
    pub cause: FailureCause,
    /// The line that shows it.
    pub evidence: String,
    /// The image, registry or variable that the cause is about; `None` if the line does not name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// Finds out why a deployment failed from the reason of its failed step and from the last lines of the step's log. A
/// cause that explains others wins over a symptom, the reason over the log, and a later line of the log over an earlier
/// one. `None` if no rule applies.
#[must_use]
pub fn diagnose(reason: &str, log: &[String]) -> Option<Diagnosis> {
    let lines = reason.lines().chain(log.iter().rev().map(String::as_str));
    let found = lines.filter_map(|line| Some((causes(line).into_iter().min()?, line)));
    let (cause, line) = found.min_by_key(|(cause, _)| cause.is_symptom())?;
    let evidence = line.trim().chars().take(MAX_EVIDENCE).collect();
    Some(Diagnosis { cause, evidence, subject: subject(cause, line) })
}

impl FailureCause {
    /// Whether the cause is only a symptom of a failure: other causes explain it.
    fn is_symptom(self) -> bool {
        self >= CrashLoop
    }
}

impl Diagnosis {
    /// Returns the cause as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let subject = |name: &str, other: &str| match &self.subject {
            Some(subject) => format!("{name} {subject}"),
            None => other.to_owned(),
        };
        match self.cause {
            OutOfMemory => "a process was killed, probably because memory ran out".to_owned(),
            RegistryUnreachable => {
                let registry = subject("the registry", "its registry");
                format!("the image is not there, and {registry} cannot be reached")
            }
            ImageMissing => format!("{} does not exist, or may not be pulled", subject("the image", "the image")),
            Forbidden => "the user may not do in the cluster what the deployment needs".to_owned(),
            QuotaExceeded => "a quota of the namespace leaves no room for the pods".to_owned(),
            Unschedulable => "no node of the cluster has room for a pod".to_owned(),
            ConfigMissing => "a secret or configuration that the pods name does not exist".to_owned(),
            VariableMissing => format!("{} has no value", subject("the variable", "a variable")),
            PermissionDenied => "permission to a file or program is missing".to_owned(),
            CommandMissing => "a program or file does not exist".to_owned(),
            PortTaken => "another process listens on the port".to_owned(),
            ProbePath => "the health check asks for a path that the service does not have".to_owned(),
            AnalysisFailed => "an analysis of the Rollout failed".to_owned(),
            CrashLoop => "the service ends and is started again and again".to_owned(),
            Restarted => "the service ended once and was started again".to_owned(),
            Exited => "a process ended with an error".to_owned(),
            ProbeStatus => "the health check is answered with an error".to_owned(),
            PortClosed => "nothing listens on the port that the health check asks".to_owned(),
        }
    }

    /// Returns what to do next, with the command for it.
    #[must_use]
    pub fn next(&self, environment: &str, run: &str) -> String {
        let logs = format!("`cuelight logs {run} --failed`");
        match (self.cause, &self.subject) {
            (OutOfMemory, _) => format!("give it more memory; {logs} shows what it printed last"),
            (RegistryUnreachable, _) => format!(
                "build the image there, or check the network of the machine that pulls it and the registry in its name; \
                 {logs} shows the whole answer"
            ),
            (ImageMissing, Some(image)) => {
                format!("build and push it; `docker pull {image}` shows what the registry says")
            }
            (ImageMissing, None) => format!("build and push it; {logs} names it"),
            (Forbidden, _) => {
                "`kubectl auth can-i --list` shows what the user may do: grant what is missing".to_owned()
            }
            (QuotaExceeded, _) => {
                "`kubectl describe quota` shows what is used: raise it, or lower max_surge".to_owned()
            }
            (Unschedulable, _) => "`kubectl describe nodes` shows what is free: add a node, or ask for less".to_owned(),
            (ConfigMissing, _) => format!("create it; {logs} names it"),
            (VariableMissing, _) => {
                format!(
                    "set it where the deployment is started; `cuelight env {environment} --check` lists what is missing"
                )
            }
            (PermissionDenied, _) => {
                format!(
                    "{logs} names it; a script needs `chmod +x`, and a folder must be open to the user of its container"
                )
            }
            (CommandMissing, _) => format!("{logs} names it; install it, or correct the command in .cuelight.toml"),
            (PortTaken, _) => "`ss -ltnp` shows what listens there: stop it, or set another port".to_owned(),
            (AnalysisFailed, _) => "`kubectl describe analysisruns` shows what was measured".to_owned(),
            (ProbePath, _) => format!(
                "set http in [environments.{environment}.health] to a path that the service answers; {logs} shows what it answered"
            ),
            (CrashLoop | Restarted | Exited, _) => format!("{logs} shows what it printed last"),
            (ProbeStatus, _) => format!("the service runs but is not healthy; {logs} shows what it printed"),
            (PortClosed, _) => format!(
                "let the service listen on 0.0.0.0 and on the port of the settings, or give it more time with start_period; {logs} \
                 shows what it printed"
            ),
        }
    }
}

/// Returns the causes that a line shows.
fn causes(line: &str) -> Vec<FailureCause> {
    let lower = line.to_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    let mut causes: Vec<_> = TEXTS.iter().filter(|(_, texts)| has(texts)).map(|(cause, _)| *cause).collect();
    causes.extend((has(PULLS) && has(UNREACHABLE)).then_some(RegistryUnreachable));
    causes.extend(number_after(&lower, "restarted ").filter(|count| *count > 1).map(|_| CrashLoop));
    let codes =
        ["exit code ", "exit status: ", "exited ("].into_iter().filter_map(|before| number_after(&lower, before));
    causes.extend(codes.filter_map(|code| match code {
        0 => None,
        126 => Some(PermissionDenied),
        127 => Some(CommandMissing),
        137 => Some(OutOfMemory),
        _ => Some(Exited),
    }));
    if lower.contains("signal: 9 (sigkill)") {
        causes.push(OutOfMemory);
    }
    let of_kubelet = number_after(&lower, "probe failed with statuscode: ");
    causes
        .extend(status_of_probe(line).or(of_kubelet).map(|status| if status == 404 { ProbePath } else { ProbeStatus }));
    causes
}

/// Returns the number that follows a text.
fn number_after(line: &str, before: &str) -> Option<u32> {
    let (_, after) = line.split_once(before)?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Returns the status of a bad answer in the description of a probe: `GET http://x/health: 404`.
fn status_of_probe(line: &str) -> Option<u32> {
    let (_, after) = line.split_once("GET ")?;
    number_after(after, ": ").filter(|status| (400..600).contains(status))
}

/// Returns the image, registry or variable that a line names and that the cause is about.
fn subject(cause: FailureCause, line: &str) -> Option<String> {
    let word =
        |text: &str| text.split_whitespace().next().map(|word| word.trim_matches([':', '\'', '"', ',']).to_owned());
    let after = |before: &str| line.split_once(before).and_then(|(_, after)| word(after));
    let before = |after: &str| {
        line.split_once(after).and_then(|(before, _)| before.split([' ', ':']).next_back().map(str::to_owned))
    };
    let found = match cause {
        ImageMissing => {
            let known =
                ["cannot pull ", "No such image: ", "pull access denied for ", "pulling image \"", "unpack image \""];
            known.into_iter().find_map(after)
        }
        RegistryUnreachable => {
            let of_url = line.split_once("https://").or_else(|| line.split_once("http://"));
            let host = of_url.and_then(|(_, after)| after.split(['/', '"', ' ']).next().map(str::to_owned));
            host.or_else(|| after("lookup "))
        }
        VariableMissing => after("the variable ")
            .or_else(|| before(": unbound variable"))
            .or_else(|| before(": parameter "))
            .or_else(|| after("KeyError: ")),
        _ => None,
    };
    found.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_read_from_the_reason_or_the_log_with_its_evidence() {
        for (reason, log, expected) in [
            (
                "cannot pull shop:v9: manifest for shop:v9 not found: manifest unknown",
                &[][..],
                Some((ImageMissing, Some("shop:v9"))),
            ),
            (
                "cannot pull shop:v9: Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io on \
                 10.0.0.2:53: no such host",
                &[],
                Some((RegistryUnreachable, Some("registry-1.docker.io"))),
            ),
            (
                "cannot pull shop:v9: dial tcp: lookup registry.example.com: i/o timeout",
                &[],
                Some((RegistryUnreachable, Some("registry.example.com"))),
            ),
            ("last answer: GET http://shop:8080/up: connect: connection refused", &[], Some((PortClosed, None))),
            (
                "the start command failed: exit status: 1",
                &["Error: No such image: shop:v9"],
                Some((ImageMissing, Some("shop:v9"))),
            ),
            (
                "the variable DATABASE_URL of target.env is not set here: set it where the deployment is started",
                &[],
                Some((VariableMissing, Some("DATABASE_URL"))),
            ),
            ("web-1: Readiness probe failed: HTTP probe failed with statuscode: 404", &[], Some((ProbePath, None))),
            (
                "RolloutAborted: Metric \"errors\" assessed Failed due to failed (1) > failureLimit (0)",
                &[],
                Some((AnalysisFailed, None)),
            ),
            (
                "the start command failed: exit status: 2",
                &["sh: 1: TOKEN: parameter not set"],
                Some((VariableMissing, Some("TOKEN"))),
            ),
            (
                "the start command failed: exit status: 1",
                &["./up: line 3: TOKEN: unbound variable"],
                Some((VariableMissing, Some("TOKEN"))),
            ),
            (
                "bad 3 times in a row; last answer: x is Restarting (1)",
                &["KeyError: 'API_KEY'"],
                Some((VariableMissing, Some("API_KEY"))),
            ),
            ("bad 3 times in a row; last answer: GET shop-1:8080/up: 404", &[], Some((ProbePath, None))),
            ("bad 3 times in a row; last answer: GET http://localhost/up: 503", &[], Some((ProbeStatus, None))),
            (
                "bad 3 times in a row; last answer: shop-1:8080 (10.0.0.2:8080): Connection refused; shop-1: Up 3 seconds",
                &[],
                Some((PortClosed, None)),
            ),
            ("bad once; last answer: cannot connect to localhost:9: refused", &[], Some((PortClosed, None))),
            (
                "bad 3 times in a row; last answer: x is Restarting (3) 1 second ago; x: exit code 3, restarted 4 times",
                &["listening"],
                Some((CrashLoop, None)),
            ),
            (
                "last answer: GET x:8080/up: Connection refused; x: Up Less than a second, restarted 2 times; its last line: bye",
                &[],
                Some((CrashLoop, None)),
            ),
            (
                "x has ended and was started again; x: Up 5 seconds, exit code 7, restarted once; its last line: bye",
                &[],
                Some((Restarted, None)),
            ),
            (
                "x has ended and was started again; x: Up 1 second, exit code 7, restarted 2 times; its last line: bye",
                &[],
                Some((CrashLoop, None)),
            ),
            ("x: Exited (3) 2 seconds ago, exit code 3; its last line: bye", &[], Some((Exited, None))),
            ("x: Restarting (137), exit code 137, out of memory, restarted 2 times", &[], Some((OutOfMemory, None))),
            ("the start command failed: signal: 9 (SIGKILL)", &[], Some((OutOfMemory, None))),
            ("the start command failed: exit status: 126", &[], Some((PermissionDenied, None))),
            (
                "x: restarted 3 times; its last line: PermissionError: [Errno 13] Permission denied: '/data'",
                &[],
                Some((PermissionDenied, None)),
            ),
            (
                "the start command failed: exit status: 127",
                &["sh: 1: kubectl: not found"],
                Some((CommandMissing, None)),
            ),
            (
                "cannot start x: driver failed: Bind for 0.0.0.0:80 failed: port is already allocated",
                &[],
                Some((PortTaken, None)),
            ),
            ("the start command failed: exit status: 4", &["done"], Some((Exited, None))),
            (
                "last answer: 1 of 3 pods updated; web-1: ImagePullBackOff: Back-off pulling image \"shop:v9\"",
                &[],
                Some((ImageMissing, Some("shop:v9"))),
            ),
            (
                "web-1: CrashLoopBackOff: back-off 10s restarting failed container, exit code 3, restarted 2 times",
                &[],
                Some((CrashLoop, None)),
            ),
            (
                "not healthy within 1m; FailedCreate: pods \"web-\" is forbidden: exceeded quota: few, requested: pods=1",
                &[],
                Some((QuotaExceeded, None)),
            ),
            ("web-1: Unschedulable: 0/3 nodes are available", &[], Some((Unschedulable, None))),
            ("web-1: CreateContainerConfigError: secret \"db\" not found", &[], Some((ConfigMissing, None))),
            ("restricted: viewer may not patch deployments in the namespace shop", &[], Some((Forbidden, None))),
            ("aborted by ada@web: errors", &["Up 3 seconds, exit code 0"], None),
        ] {
            let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
            let found = diagnose(reason, &log);
            let found = found.as_ref().map(|found| (found.cause, found.subject.as_deref()));
            assert_eq!(found, expected, "{reason} {log:?}");
        }
    }

    #[test]
    fn the_last_line_of_a_log_that_explains_is_the_evidence_and_each_cause_has_a_next_command() {
        let log = ["open /a: permission denied", "open /b: permission denied", "bye"].map(str::to_owned);
        let found = diagnose("the start command failed: exit status: 1", &log).expect("a cause");
        assert_eq!(found.evidence, "open /b: permission denied");
        let all = [
            OutOfMemory,
            RegistryUnreachable,
            ImageMissing,
            Forbidden,
            QuotaExceeded,
            Unschedulable,
            ConfigMissing,
            VariableMissing,
            PermissionDenied,
            CommandMissing,
            PortTaken,
            ProbePath,
            CrashLoop,
            Restarted,
            Exited,
            ProbeStatus,
            PortClosed,
        ];
        for cause in all {
            let diagnosis = Diagnosis { cause, evidence: String::new(), subject: None };
            assert!(diagnosis.next("production", "r1").contains('`'), "{cause:?}");
        }
    }
}
