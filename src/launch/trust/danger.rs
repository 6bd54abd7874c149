//! Finds text in workflows that reaches further than a build script needs to.

use crate::engine::step::shell;

/// Strings that suggest that a script fetches code, hides what it runs, gains privileges, or reaches outside the
/// working tree.
const DANGEROUS_WORDS: &[&str] = &[
    "curl",
    "wget",
    "sudo",
    "doas",
    "eval",
    "base64",
    "xxd",
    "| sh",
    "|sh",
    "| bash",
    "|bash",
    "/dev/tcp",
    "ssh",
    "scp",
    "ncat",
    "netcat",
    "nc -",
    "crontab",
    "systemctl",
    "chmod u+s",
    "chmod +s",
    "docker.sock",
    "--privileged",
    "$HOME",
    "~/",
    "BASH_ENV",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "GITHUB_PATH",
    "rm -rf /",
    ".git/",
];

/// Environment variables that make programs load code or find other programs.
const DANGEROUS_VARIABLES: &[&str] = &[
    "BASH_ENV",
    "ENV",
    "PATH",
    "HOME",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "IFS",
    "CDPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "CC",
    "RUSTC_WRAPPER",
    "DOCKER_HOST",
    "CLASSPATH",
];

/// Prefixes of variables that make programs load code or find other programs.
const DANGEROUS_PREFIXES: &[&str] = &["LD_", "DYLD_", "GIT_", "BASH_FUNC_", "npm_config_", "_JAVA_"];

/// Container options that give access to this machine.
const DANGEROUS_OPTIONS: &[&str] = &[
    "--privileged",
    "-v",
    "--volume",
    "--volumes-from",
    "--mount",
    "--device",
    "--pid",
    "--ipc",
    "--net",
    "--network",
    "--uts",
    "--userns",
    "--cap-add",
    "--security-opt",
    "--cgroupns",
    "--cgroup-parent",
    "--gpus",
    "--user",
    "-u",
    "--group-add",
    "--runtime",
    "--sysctl",
    "--log-driver",
    "--log-opt",
];

/// Shells that the runner knows.
pub(super) const KNOWN_SHELLS: &[&str] = &["bash", "sh", "python", "pwsh", "powershell", "cmd"];

/// Whether a part of a script seems to fetch or run code from outside of the repository, or to access anything else
/// there.
pub(super) fn is_in(text: &str) -> bool {
    DANGEROUS_WORDS.iter().any(|word| text.contains(word))
}

/// Whether a variable makes programs load code or find other programs.
pub(super) fn changes_programs(variable: &str) -> bool {
    let upper = variable.to_ascii_uppercase();
    DANGEROUS_VARIABLES.contains(&upper.as_str())
        || DANGEROUS_PREFIXES.iter().any(|prefix| upper.starts_with(&prefix.to_ascii_uppercase()))
}

/// Whether container options give access to this machine.
pub(super) fn opens_container(options: &str) -> bool {
    shell::cut(options).iter().any(|word| {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        let is_short = ["-v", "-u"].iter().any(|short| word.starts_with(short));
        DANGEROUS_OPTIONS.contains(&name) || is_short
    })
}
