//! Shells of `run:` steps, with the command lines of GitHub's runner.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The built-in shells: name, arguments (`{0}` is the script), extension of the script's file.
const BUILT_IN: &[(&str, &str, &str)] = &[
    ("bash", "--noprofile --norc -e -o pipefail {0}", ".sh"),
    ("sh", "-e {0}", ".sh"),
    ("python", "{0}", ".py"),
    ("pwsh", "-command . '{0}'", ".ps1"),
    ("powershell", "-command . '{0}'", ".ps1"),
    ("cmd", "/D /E:ON /V:OFF /S /C CALL {0}", ".cmd"),
];

/// A shell that was found on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shell {
    program: PathBuf,
    name: String,
    arguments: String,
}

impl Shell {
    /// The shell that a step asks for: bash (else sh) with `-e` alone when it asks for none, a built-in one by name,
    /// or a command line of its own in which `{0}` stands for the script.
    ///
    /// # Errors
    /// It is no shell, or it is not on the machine; in words.
    pub(super) fn find(asked: Option<&str>, path: &OsStr) -> Result<Self, String> {
        let Some(asked) = asked.map(str::trim).filter(|asked| !asked.is_empty()) else {
            let found = ["bash", "sh"].iter().find_map(|name| Some((*name, find_program(name, path)?)));
            let (name, program) = found.ok_or("neither bash nor sh is on PATH")?;
            return Ok(Self { program, name: name.to_owned(), arguments: "-e {0}".to_owned() });
        };
        let (name, arguments) = asked.split_once(' ').unwrap_or((asked, ""));
        let arguments = match (built_in(name), arguments) {
            (Some((_, arguments, _)), "") => (*arguments).to_owned(),
            (_, own) if own.contains("{0}") => own.to_owned(),
            _ => {
                let known: Vec<_> = BUILT_IN.iter().map(|(name, ..)| *name).collect();
                return Err(format!(
                    "`shell: {asked}` is none of {} and has no `{{0}}` for the script",
                    known.join(", ")
                ));
            }
        };
        let program = find_program(name, path)
            .ok_or_else(|| format!("the shell `{name}` is not on PATH: install it or choose another `shell:`"))?;
        Ok(Self { program, name: name.to_owned(), arguments })
    }

    /// The extension of the script's file, with its dot.
    pub(super) fn extension(&self) -> &'static str {
        let name = Path::new(&self.name).file_stem().and_then(OsStr::to_str).unwrap_or_default();
        built_in(name).map_or("", |(_, _, extension)| extension)
    }

    /// The script as its file holds it.
    pub(super) fn script(&self, body: &str) -> String {
        match self.extension() {
            ".ps1" => format!(
                "$ErrorActionPreference = 'stop'\n{body}\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) {{ exit $LASTEXITCODE }}"
            ),
            ".cmd" => format!("@echo off\r\n{}", body.replace('\n', "\r\n")),
            _ => body.to_owned(),
        }
    }

    /// The program and its arguments for a script.
    pub(super) fn command(&self, script: &Path) -> (PathBuf, Vec<OsString>) {
        let script = script.to_string_lossy();
        // PowerShell takes its command as one argument.
        let args = match self.arguments.split_once("-command ") {
            Some((_, command)) => vec!["-command".into(), command.replace("{0}", &script).into()],
            None => self.arguments.split_whitespace().map(|arg| arg.replace("{0}", &script).into()).collect(),
        };
        (self.program.clone(), args)
    }
}

fn built_in(name: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    BUILT_IN.iter().find(|(known, ..)| *known == name)
}

/// The first executable file of this name on a search path; a name with a slash is a path itself.
pub(super) fn find_program(name: &str, path: &OsStr) -> Option<PathBuf> {
    let executable =
        |file: &PathBuf| file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(executable);
    }
    std::env::split_paths(path).map(|folder| folder.join(name)).find(executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(asked: Option<&str>) -> String {
        let shell = Shell::find(asked, OsStr::new("/usr/bin:/bin")).expect("found");
        let (program, args) = shell.command(Path::new("/t/s"));
        let name = program.file_name().expect("a file").to_string_lossy().into_owned();
        args.iter().fold(name, |line, arg| format!("{line} {}", arg.to_string_lossy()))
    }

    #[test]
    fn command_lines_are_those_of_the_runner() {
        assert_eq!(line(None), "bash -e /t/s");
        assert_eq!(line(Some("bash")), "bash --noprofile --norc -e -o pipefail /t/s");
        assert_eq!(line(Some("sh")), "sh -e /t/s");
        assert_eq!(line(Some("bash {0}")), "bash /t/s");
        assert_eq!(line(Some("env -i sh -x {0}")), "env -i sh -x /t/s");
    }

    #[test]
    fn what_is_no_shell_here_says_so() {
        let error = |asked| Shell::find(Some(asked), OsStr::new("/usr/bin:/bin")).expect_err("no shell");
        assert!(error("fish").contains("{0}"));
        assert!(error("no-such-shell {0}").contains("not on PATH"));
    }

    #[test]
    fn powershell_gets_its_command_as_one_argument() {
        let shell = Shell { program: "/p".into(), name: "pwsh".into(), arguments: BUILT_IN[3].1.into() };
        assert_eq!(shell.command(Path::new("/t/a.ps1")).1, ["-command", ". '/t/a.ps1'"]);
        assert_eq!(shell.extension(), ".ps1");
    }
}
