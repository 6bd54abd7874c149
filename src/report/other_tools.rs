//! Commands and options of other tools, and what they are called here.

/// Names that other tools have for a command, and the command.
pub const NAMES: &[(&str, &str)] = &[
    ("list", "runs"),
    ("ls", "runs"),
    ("ps", "runs"),
    ("status", "runs"),
    ("history", "runs"),
    ("start", "run"),
    ("exec", "run"),
    ("stop", "cancel"),
    ("kill", "cancel"),
    ("rm", "delete"),
    ("remove", "delete"),
    ("retry", "rerun"),
    ("restart", "rerun"),
    ("view", "show"),
    ("inspect", "show"),
    ("log", "logs"),
    ("tail", "attach"),
    ("follow", "attach"),
    ("check", "lint"),
    ("validate", "lint"),
    ("graph", "plan"),
    ("ssh", "shell"),
    ("login", "auth login"),
    ("logout", "auth logout"),
    ("environments", "env"),
    ("undo", "rollback"),
];

/// Options of other tools, with the options of the same meaning, of which a command has at most one.
pub const OPTIONS: &[(&[&str], &[&str])] = &[
    (&["-f"], &["follow", "force", "input"]),
    (&["-w"], &["watch", "follow"]),
    (&["--follow"], &["watch"]),
    (&["--watch"], &["follow"]),
    (&["-l"], &["limit"]),
    (&["-n"], &["limit", "dry-run"]),
    (&["-t"], &["timeout"]),
    (&["-o", "--output"], &["json", "format"]),
    (&["-v", "--verbose"], &["debug"]),
    (&["-F", "--field", "--raw-field"], &["input"]),
    (&["--log-failed"], &["failed"]),
];

/// Advice for an option that reads as if it were about all runs.
const NAME_RUNS: &str = "name the runs; `--all` only lets `latest` be the newest run of all repositories";

/// What to do instead of options of other tools, for commands without such an option: the command, the options and the
/// advice.
pub const ADVICE: &[(&str, &[&str], &str)] = &[
    ("run", &["-f", "-W", "--workflow", "--workflows"], "name the workflow alone: `cuelight run ci`"),
    ("run", &["-l", "--list", "-n", "--dry-run", "--dryrun"], "`cuelight plan` shows what would run"),
    ("run", &["-P", "--platform"], "`--sandbox docker:IMAGE` runs the jobs in an image"),
    ("attach", &["-f", "-w", "--follow", "--watch"], "`cuelight attach` follows the run anyway"),
    ("show", &["-f", "-w", "--follow", "--watch"], "`cuelight attach` follows a run"),
    (
        "show",
        &["-j", "-s", "--job", "--step", "--log", "--log-failed"],
        "`cuelight logs` prints logs, also of one job or step",
    ),
    ("runs", &["-f", "--follow", "--watch"], "`cuelight` shows the runs live, `cuelight attach` follows one"),
    ("logs", &["-n", "-t", "--tail"], "`cuelight logs --failed` prints only the lines around errors"),
    ("cancel", &["-a"], NAME_RUNS),
    ("rerun", &["-a"], NAME_RUNS),
    ("delete", &["-a", "--all"], "name the runs, or remove old ones with `cuelight clean`"),
    ("shell", &["-i", "-t"], "at a terminal the shell is interactive anyway"),
];
