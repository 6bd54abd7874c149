//! Commands and options of other tools, and what they are called here. Also the messages about unknown ones.

use crate::launch::LATEST;
use crate::model::{nearest, nearest_within};

/// Names that other tools have for a command, and what follows `cuelight` for the same: a command, an option, or nothing
/// for the screen.
pub const NAMES: &[(&[&str], &str)] = &[
    (&["list", "ls", "ps", "status", "stats", "history"], "runs"),
    (&["start", "test", "build", "up", "bench"], "run"),
    (&["trigger"], "dispatch"),
    (&["stop", "kill", "down"], "cancel"),
    (&["rm", "remove"], "delete"),
    (&["retry", "restart"], "rerun"),
    (&["continue"], "resume"),
    (&["view", "inspect", "describe", "get", "info", "open", "jobs", "job", "steps", "pods"], "show"),
    (&["log"], "logs"),
    (&["tail", "follow", "events", "wait"], "attach"),
    (&["check", "validate", "verify", "clippy"], "lint"),
    (&["graph", "dag", "tree", "diff"], "plan"),
    (&["exec", "ssh", "sh", "bash", "debug"], "shell"),
    (&["prune", "gc", "cleanup"], "clean"),
    (&["workflows"], "workflow list"),
    (&["enable"], "workflow enable"),
    (&["disable"], "workflow disable"),
    (&["download", "cp"], "artifacts"),
    (&["environment", "environments", "vars", "variable", "variables", "releases"], "env"),
    (&["secret", "secrets"], "env NAME --check"),
    (&["apply", "ship"], "deploy"),
    (&["deployments", "rollout"], "deploys"),
    (&["undo", "revert"], "rollback"),
    (&["accept", "allow", "lgtm", "review"], "approve"),
    (&["deny", "decline"], "reject"),
    (&["whoami", "account", "accounts"], "auth"),
    (&["login"], "auth login"),
    (&["logout"], "auth logout"),
    (&["settings", "options"], "config"),
    (&["completion"], "completions"),
    (&["version"], "--version"),
    (&["top", "ui", "tui", "dashboard"], ""),
];

/// Names that other tools have for what this one does not do, and that resemble a command of another meaning.
const WITHOUT_COMMAND: &[&str] = &["upgrade", "update", "undeploy", "dist", "patch", "init"];

/// Commands that decide what may run. They are never suggested because of similar letters: a person who mistyped
/// another word would be led to allow something.
const DECISIONS: &[&str] = &["trust", "approve", "reject", "unlock"];

/// Minimum length of a name of another tool that is compared by its letters, in bytes.
const MIN_COMPARED: usize = 4;

/// Minimum length of words that resemble a name in which two letters differ, in bytes.
const MIN_TWO_EDITS: usize = 8;

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

/// Whether a word can only name a run: `latest`, an id or a part of one, or an address.
pub fn is_of_run(word: &str) -> bool {
    let is_id = word.len() >= 4 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word == LATEST || word.contains('/') || is_id || is_number
}

/// Returns what follows `cuelight` in the command that a word means or resembles, where these are the names of the
/// commands; `None` if there is none, and for a word that names a run.
pub fn meant<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if is_of_run(word) || WITHOUT_COMMAND.contains(&word) {
        return None;
    }
    let others = || NAMES.iter().flat_map(|(others, meant)| others.iter().map(move |other| (*other, *meant)));
    if let Some((_, meant)) = others().find(|(other, _)| *other == word) {
        return Some(meant);
    }
    let others = others().filter(|(other, _)| other.len() >= MIN_COMPARED);
    let known = names.map(|name| (name, name)).chain([(LATEST, LATEST)]).chain(others);
    let known: Vec<_> = known.filter(|(_, meant)| !DECISIONS.contains(meant)).collect();
    // Short words of different meaning often differ in two letters only.
    let edits = if word.len() < MIN_TWO_EDITS { 1 } else { 2 };
    let near = nearest_within(word, known.iter().map(|(name, _)| *name), edits)?;
    known.iter().find(|(name, _)| *name == near).map(|(_, meant)| *meant)
}

/// Returns the message about a word that names neither a run nor a command. `meant` follows `cuelight` in the command
/// that is probably meant.
pub fn unknown_word(word: &str, meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("`{word}` is neither a command nor a run; {}", suggestion("cuelight", meant)),
        None => format!("`{word}` is neither a command nor a run: `cuelight --help` lists the commands"),
    }
}

/// Returns the message about a word with arguments that is no command. `program` is how the command line begins.
pub fn unknown_command(word: &str, program: &str, meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("there is no command `{word}`; {}", suggestion(program, meant)),
        None => format!("there is no command `{word}`: `cuelight --help` lists the commands"),
    }
}

/// Returns the question whether a command is meant. Help is only about commands, so options and the screen have none.
fn suggestion(program: &str, meant: &str) -> String {
    let program = if meant.is_empty() || meant.starts_with('-') { "cuelight" } else { program };
    format!("did you mean `{}`?", format!("{program} {meant}").trim_end())
}

/// Returns the message about an option that a command does not have: the option that is probably meant, or what to do
/// instead. `name` is the name of the command, or empty for the program, and `longs` are its long options.
pub fn unknown_option(name: &str, option: &str, longs: &[&str]) -> String {
    if let Some((.., advice)) = ADVICE.iter().find(|(of, options, _)| *of == name && options.contains(&option)) {
        return format!("unknown option `{option}`: {advice}");
    }
    let longs = || longs.iter().copied();
    let same = OPTIONS.iter().filter(|(options, _)| options.contains(&option)).flat_map(|(_, same)| *same);
    let same = same.copied().find(|same| longs().any(|long| long == *same));
    let begun = || option.strip_prefix("--").filter(|begun| !begun.is_empty());
    let begins = || longs().find(|long| begun().is_some_and(|begun| long.starts_with(begun)));
    match same.or_else(begins).or_else(|| nearest(begun()?, longs())) {
        Some(near) => format!("unknown option `{option}`; did you mean `--{near}`?"),
        None if name.is_empty() => format!("unknown option `{option}`: `cuelight --help` lists the options"),
        None => format!("unknown option `{option}`: `cuelight {name} --help` lists the options"),
    }
}
