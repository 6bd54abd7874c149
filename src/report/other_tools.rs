//! Commands and options of other tools, and what they are called here. Also the messages about unknown ones.

use crate::launch::LATEST;
use crate::model::nearest;

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

/// Whether a word can only name a run: `latest`, an id or a part of one, or an address.
pub fn is_of_run(word: &str) -> bool {
    let is_id = word.len() >= 4 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word == LATEST || word.contains('/') || is_id || is_number
}

/// Returns the command that a word means or resembles, of those with these names; `None` if there is none, and for a word
/// that names a run.
pub fn meant<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if is_of_run(word) {
        return None;
    }
    let meant = NAMES.iter().find(|(name, _)| *name == word).map(|(_, command)| *command);
    meant.or_else(|| nearest(word, names))
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
