//! Shells of `run:` steps, with the command lines of GitHub's runner.
//!
//! A command line is split into arguments as in the runner: at blanks outside double quotes. The path of the script is
//! inserted afterwards, so that a path with blanks stays one argument.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::engine::sandbox::Sandbox;

/// The built-in shells: name, arguments (`{0}` is the script), extension of the script's file.
const BUILT_IN: &[(&str, &str, &str)] = &[
    ("bash", "--noprofile --norc -e -o pipefail {0}", ".sh"),
    ("sh", "-e {0}", ".sh"),
    ("python", "{0}", ".py"),
    ("pwsh", r#"-command ". '{0}'""#, ".ps1"),
    ("powershell", r#"-command ". '{0}'""#, ".ps1"),
    ("cmd", r#"/D /E:ON /V:OFF /S /C "CALL {0}""#, ".cmd"),
];

/// A shell that exists in a sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shell {
    program: PathBuf,
    name: String,
    arguments: String,
}

/// Why no shell can be found for a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShellError {
    /// The step names no shell, and none of the default shells is on the search path.
    #[error("no shell is on PATH{}: looked for {}", of(image.as_deref()), names.join(" and "))]
    NoDefault {
        /// The shells that were tried.
        names: &'static [&'static str],
        /// Image whose programs the step sees, if any.
        image: Option<String>,
    },
    /// The step's shell is neither the name of a built-in shell nor a command line with `{0}`.
    #[error("unknown shell `{0}`: use one of {known}, or a command line with `{{0}}` for the script", known = names())]
    Unknown(String),
    /// The program of the step's shell is not on the search path.
    #[error("the shell `{name}` is not on PATH{}: {advice}", of(image.as_deref()))]
    Missing {
        /// Name of the shell.
        name: String,
        /// Image whose programs the step sees, if any.
        image: Option<String>,
        /// Advice on how to fix it.
        advice: String,
    },
}

/// Returns the part of a message that names the image; empty if there is no image.
fn of(image: Option<&str>) -> String {
    image.map(|image| format!(" of the image {image}")).unwrap_or_default()
}

fn names() -> String {
    let names: Vec<_> = BUILT_IN.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
}

impl Shell {
    /// Finds the shell of a step: a built-in shell by its name, or a command line in which `{0}` stands for the script.
    /// A step without `shell` gets the first default shell of the sandbox, usually bash, with only the option `-e`.
    ///
    /// # Errors
    /// `asked` is neither the name of a built-in shell nor a command line with `{0}`, or its program is not on the
    /// search path `path`.
    pub(crate) async fn find(asked: Option<&str>, sandbox: &dyn Sandbox, path: &OsStr) -> Result<Self, ShellError> {
        let Some(asked) = asked.map(str::trim).filter(|asked| !asked.is_empty()) else {
            for name in sandbox.shells() {
                if let Some(program) = sandbox.find(name, path).await {
                    return Ok(Self { program, name: (*name).to_owned(), arguments: "-e {0}".to_owned() });
                }
            }
            let image = sandbox.image().map(str::to_owned);
            return Err(ShellError::NoDefault { names: sandbox.shells(), image });
        };
        let (name, arguments) = asked.split_once(' ').unwrap_or((asked, ""));
        let arguments = match (built_in(name), arguments) {
            (Some((_, arguments, _)), "") => (*arguments).to_owned(),
            (_, own) if own.contains("{0}") => own.to_owned(),
            _ => return Err(ShellError::Unknown(asked.to_owned())),
        };
        let Some(program) = sandbox.find(name, path).await else {
            let instead = if name == "python" { "python3" } else { "pwsh" };
            let exists = sandbox.find(instead, path).await.is_some();
            let image = sandbox.image().map(str::to_owned);
            return Err(ShellError::Missing { name: name.to_owned(), image, advice: advice(name, exists) });
        };
        Ok(Self { program, name: name.to_owned(), arguments })
    }

    /// Returns the extension of the script's file, with its dot; empty if the shell is not one of the built-in shells.
    pub(crate) fn extension(&self) -> &'static str {
        let name = Path::new(&self.name).file_stem().and_then(OsStr::to_str).unwrap_or_default();
        built_in(name).map_or("", |(_, _, extension)| extension)
    }

    /// Returns the text of the script's file: `body`, with the additions that PowerShell and cmd need.
    pub(crate) fn script(&self, body: &str) -> String {
        match self.extension() {
            ".ps1" => format!(
                "$ErrorActionPreference = 'stop'\n{body}\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) {{ exit $LASTEXITCODE }}"
            ),
            ".cmd" => format!("@echo off\r\n{}", body.replace('\n', "\r\n")),
            _ => body.to_owned(),
        }
    }

    /// Returns the program and its arguments for a script.
    pub(crate) fn command(&self, script: &Path) -> (PathBuf, Vec<OsString>) {
        let script = script.to_string_lossy();
        let args = cut(&self.arguments).into_iter().map(|arg| arg.replace("{0}", &script).into()).collect();
        (self.program.clone(), args)
    }
}

/// Returns how to fix a missing shell. `alternative` is whether `python3` exists in place of `python`, or `pwsh` in
/// place of any other shell.
fn advice(name: &str, alternative: bool) -> String {
    match name {
        "python" if alternative => "but python3 is, so write `shell: python3 {0}`, or install python".to_owned(),
        "pwsh" => "install PowerShell or choose another `shell:`".to_owned(),
        "powershell" if alternative => "write `shell: pwsh`".to_owned(),
        "powershell" | "cmd" => "it exists only on Windows; choose another `shell:`".to_owned(),
        _ => format!("install {name} or choose another `shell:`"),
    }
}

/// Splits a command line at blanks. Double quotes keep an argument together; `\"` is a literal quote. An open quote
/// extends to the end of the line, as in GitHub's runner.
pub(crate) fn cut(line: &str) -> Vec<String> {
    parts(line).0
}

/// A command line with a double quote that is not closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a double quote is not closed in `{0}`")]
pub(crate) struct OpenQuote(String);

/// Splits a command line like [`cut`], but rejects open quotes.
///
/// # Errors
/// A double quote is not closed.
pub(crate) fn cut_closed(line: &str) -> Result<Vec<String>, OpenQuote> {
    let (args, open) = parts(line);
    if open { Err(OpenQuote(line.trim().to_owned())) } else { Ok(args) }
}

/// Returns the arguments of a line, and whether a quote is still open at its end.
fn parts(line: &str) -> (Vec<String>, bool) {
    let mut args = Vec::new();
    let mut arg: Option<String> = None;
    let mut quoted = false;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                quoted = !quoted;
                arg.get_or_insert_default();
            }
            '\\' if rest.next_if_eq(&'"').is_some() => arg.get_or_insert_default().push('"'),
            ' ' | '\t' | '\n' | '\r' if !quoted => args.extend(arg.take()),
            _ => arg.get_or_insert_default().push(c),
        }
    }
    args.extend(arg);
    (args, quoted)
}

fn built_in(name: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    BUILT_IN.iter().find(|(known, ..)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox::host::Host;

    /// Finds a shell on this machine.
    fn find(asked: Option<&str>, path: &str) -> Result<Shell, ShellError> {
        futures_util::FutureExt::now_or_never(Shell::find(asked, &Host::new([]), OsStr::new(path))).expect("at once")
    }

    fn line(asked: Option<&str>) -> String {
        let shell = find(asked, "/usr/bin:/bin").expect("found");
        let (program, args) = shell.command(Path::new("/t/s"));
        let name = program.file_name().expect("a file").to_string_lossy().into_owned();
        args.iter().fold(name, |line, arg| format!("{line} {}", arg.to_string_lossy()))
    }

    #[test]
    fn command_lines_match_the_runner() {
        assert_eq!(line(None), "bash -e /t/s");
        assert_eq!(line(Some("bash")), "bash --noprofile --norc -e -o pipefail /t/s");
        assert_eq!(line(Some("sh")), "sh -e /t/s");
        assert_eq!(line(Some("bash {0}")), "bash /t/s");
        assert_eq!(line(Some("env -i sh -x {0}")), "env -i sh -x /t/s");
    }

    #[test]
    fn a_missing_or_unknown_shell_is_an_error_with_advice() {
        let error = |asked| find(Some(asked), "/usr/bin:/bin").expect_err("no shell").to_string();
        assert!(error("fish").contains("{0}"));
        assert!(error("/bin/sh").contains("{0}"));
        assert!(error("no-such-shell {0}").contains("not on PATH: install no-such-shell"));
        assert!(error("./sh {0}").contains("not on PATH"));
        assert!(error("cmd").contains("Windows"));
        assert!(find(None, "/none").expect_err("no shell").to_string().contains("bash and sh"));
        assert!(find(None, "").is_err());
    }

    #[test]
    fn quotes_keep_an_argument_together() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" -e  {0} ", &["-e", "{0}"]),
            (r#"-c "a b; . {0}" x"#, &["-c", "a b; . {0}", "x"]),
            (r#"--name="a b""#, &["--name=a b"]),
            (r#""" '{0}'"#, &["", "'{0}'"]),
            (r#"\"a \x"#, &["\"a", r"\x"]),
            (r#""open end"#, &["open end"]),
        ];
        for (line, expected) in cases {
            assert_eq!(&cut(line), expected, "{line}");
        }
    }

    #[test]
    fn the_path_of_a_script_stays_one_argument() {
        let shell = find(Some(r#"sh -c ". {0}""#), "/usr/bin:/bin").expect("found");
        assert_eq!(shell.command(Path::new("/a b/s")).1, ["-c", ". /a b/s"]);
        let shell = find(Some("sh"), "/usr/bin:/bin").expect("found");
        assert_eq!(shell.command(Path::new("/a b/s")).1, ["-e", "/a b/s"]);
    }

    #[test]
    fn only_scripts_for_powershell_and_cmd_are_changed() {
        let shell = |name: &str| Shell { program: "/p".into(), name: name.into(), arguments: String::new() };
        for (name, extension, script) in [
            ("bash", ".sh", "a\nb"),
            ("/usr/bin/sh", ".sh", "a\nb"),
            ("python", ".py", "a\nb"),
            ("perl", "", "a\nb"),
            ("cmd", ".cmd", "@echo off\r\na\r\nb"),
            (
                "pwsh",
                ".ps1",
                "$ErrorActionPreference = 'stop'\na\nb\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }",
            ),
        ] {
            assert_eq!((shell(name).extension(), shell(name).script("a\nb").as_str()), (extension, script), "{name}");
        }
    }

    #[test]
    fn powershell_gets_its_command_as_one_argument() {
        let shell = Shell { program: "/p".into(), name: "pwsh".into(), arguments: BUILT_IN[3].1.into() };
        assert_eq!(shell.command(Path::new("/t/a.ps1")).1, ["-command", ". '/t/a.ps1'"]);
    }
}
