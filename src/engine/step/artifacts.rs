//! `GITHUB_ARTIFACTS`: files and images that the steps of a job declare as its products, one per line.
//!
//! A line is a path relative to the workspace, or an image with its digest (`name@sha256:…`); the prefixes `file://`
//! and `oci://` make the kind explicit. Later steps can read all declared artifacts as JSON from the file named by
//! `GITHUB_ARTIFACTS_LIST`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::engine::sandbox::Sandbox;
use crate::files;
use crate::files::{FileError, Folder, Links};
use crate::model::StepNumber;
use crate::store::digest::hexadecimal;

/// Maximum number of artifacts of a job, as on GitHub.
const MAX_ARTIFACTS: usize = 500;

/// Size in bytes of the portions in which files are read.
const PORTION: usize = 64 * 1024;

/// Algorithms of an image's digest, with the number of hexadecimal digits of each.
const ALGORITHMS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// The artifacts that the steps of a job have declared, by name, each with the first step that declared it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Artifacts(Mutex<BTreeMap<String, (StepNumber, Artifact)>>);

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Artifact {
    digest: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
    Oci,
}

/// The list in the form that later steps read.
#[derive(Serialize)]
struct List<'l> {
    version: u32,
    subjects: Vec<Subject<'l>>,
}

#[derive(Serialize)]
struct Subject<'l> {
    name: &'l str,
    #[serde(flatten)]
    artifact: &'l Artifact,
}

/// A rejected line in a declaration of artifacts.
#[derive(Debug, thiserror::Error)]
#[error("GITHUB_ARTIFACTS: line {line}: {fault}")]
pub(in crate::engine) struct ArtifactError {
    line: usize,
    fault: ArtifactFault,
}

#[derive(Debug, thiserror::Error)]
enum ArtifactFault {
    #[error("`=` is reserved")]
    Equals,
    #[error("unknown kind `{0}`: write a path, file://PATH or oci://IMAGE@sha256:DIGEST")]
    Scheme(String),
    #[error("no path after file://")]
    NoPath,
    #[error("an image needs its digest: NAME@sha256:DIGEST, also with sha384 or sha512")]
    NoDigest,
    #[error("cannot read {path}: {source}")]
    File { path: String, source: FileError },
    #[error("the container shares no folder with {0}")]
    NotShared(String),
    #[error("`{name}` was declared with another digest: {known}, now {now}")]
    Conflict { name: String, known: String, now: String },
    #[error("more than {MAX_ARTIFACTS} artifacts of a job")]
    TooMany,
}

/// Where the files of a step are.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Place<'p> {
    /// Sandbox in which the step ran.
    pub(in crate::engine) sandbox: &'p dyn Sandbox,
    /// `GITHUB_WORKSPACE`, on this machine.
    pub(in crate::engine) workspace: &'p Path,
    /// `RUNNER_TEMP`, on this machine.
    pub(in crate::engine) temp: &'p Path,
}

impl Artifacts {
    /// Returns the declared artifacts as JSON, in the form that later steps read.
    pub(in crate::engine) fn list(&self) -> String {
        let declared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let subjects = declared.iter().map(|(name, (_, artifact))| Subject { name, artifact }).collect();
        serde_json::to_string(&List { version: 1, subjects }).unwrap_or_default()
    }

    /// Forgets the artifacts that these steps have declared, because the steps run again.
    pub(in crate::engine) fn forget(&self, steps: RangeInclusive<StepNumber>) {
        let mut declared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        declared.retain(|_, (step, _)| !steps.contains(step));
    }

    /// Adds the artifacts that a step declared. Returns the number of new artifacts, and the total of the job. May
    /// block on the file system.
    ///
    /// # Errors
    /// A line is invalid, contradicts an earlier declaration, or exceeds the limit of a job. In each of these cases, no
    /// artifact is added.
    pub(in crate::engine) fn declare(
        &self,
        text: &str,
        place: Place<'_>,
        step: StepNumber,
    ) -> Result<(usize, usize), ArtifactError> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let read = lines.map(|(at, line)| {
            let found = artifact(line, place).map_err(|fault| ArtifactError { line: at + 1, fault })?;
            Ok((at + 1, found))
        });
        let read: Vec<_> = read.collect::<Result<_, _>>()?;
        let mut declared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = declared.clone();
        for (line, (name, artifact)) in read {
            let fault = match all.get(&name) {
                Some((_, known)) if known.digest == artifact.digest => continue,
                Some((_, known)) => {
                    let (known, now) = (known.digest.clone(), artifact.digest);
                    ArtifactFault::Conflict { name, known, now }
                }
                None if all.len() >= MAX_ARTIFACTS => ArtifactFault::TooMany,
                None => {
                    all.insert(name, (step, artifact));
                    continue;
                }
            };
            return Err(ArtifactError { line, fault });
        }
        let new = all.len() - declared.len();
        *declared = all;
        Ok((new, declared.len()))
    }
}

/// Parses a line, and hashes the file if the line names one. Returns the artifact with its name.
fn artifact(line: &str, place: Place<'_>) -> Result<(String, Artifact), ArtifactFault> {
    if line.contains('=') {
        return Err(ArtifactFault::Equals);
    }
    match line.split_once("://") {
        Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => {
            if path.trim().is_empty() {
                Err(ArtifactFault::NoPath)
            } else {
                file(path, place)
            }
        }
        Some((scheme, named)) if scheme.eq_ignore_ascii_case("oci") => image(named).ok_or(ArtifactFault::NoDigest),
        Some((scheme, _)) if is_scheme(scheme) => Err(ArtifactFault::Scheme(format!("{scheme}://"))),
        _ => image(line).map_or_else(|| file(line, place), Ok),
    }
}

fn is_scheme(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(rest)
}

/// Parses an image with its digest; `None` if the text is something else.
fn image(text: &str) -> Option<(String, Artifact)> {
    let (name, digest) = text.rsplit_once('@').filter(|(name, _)| !name.is_empty())?;
    let (algorithm, digits) = digest.split_once(':')?;
    let (_, count) = ALGORITHMS.iter().find(|(known, _)| *known == algorithm)?;
    let valid = digits.len() == *count && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let digest = format!("{algorithm}:{}", digits.to_ascii_lowercase());
    valid.then(|| (name.to_owned(), Artifact { digest, kind: Kind::Oci }))
}

/// Hashes a file. The name of the artifact is the last part of the path.
fn file(path: &str, place: Place<'_>) -> Result<(String, Artifact), ArtifactFault> {
    let fault = |source| ArtifactFault::File { path: path.to_owned(), source };
    let mut opened = open(path, place)?;
    let mut hash = Sha256::new();
    let mut portion = vec![0; PORTION];
    loop {
        match opened.read(&mut portion).map_err(|error| fault(error.into()))? {
            0 => break,
            read => hash.update(&portion[..read]),
        }
    }
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, Artifact { digest: format!("sha256:{}", hexadecimal(&hash.finalize())), kind: Kind::File }))
}

/// Opens a file that a step named. For a container, only files in the workspace and the temporary folder are read,
/// without following links out of them, because a link in the container may name any file of this machine.
fn open(path: &str, place: Place<'_>) -> Result<File, ArtifactFault> {
    let fault = |source| ArtifactFault::File { path: path.to_owned(), source };
    let Place { sandbox, workspace, temp } = place;
    let outside = sandbox.outside(&sandbox.inside(workspace).join(path));
    if !sandbox.is_container() {
        return files::open(&outside).map_err(fault);
    }
    let below = [workspace, temp].into_iter().find_map(|folder| Some((folder, outside.strip_prefix(folder).ok()?)));
    let (folder, below) = below.ok_or_else(|| ArtifactFault::NotShared(path.to_owned()))?;
    let folder = Folder::open(folder).map_err(|error| fault(error.into()))?;
    folder.file(below, Links::Within).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sandbox::host::Host;
    use std::fs;

    const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    /// Declares the texts of steps, one after the other. Returns the last result.
    fn declared(artifacts: &Artifacts, root: &Path, texts: &[&str]) -> Result<(usize, usize), String> {
        let host = Host::new([]);
        let place = Place { sandbox: &host, workspace: root, temp: root };
        let declare = |text: &&str| artifacts.declare(text, place, StepNumber(2)).map_err(|error| error.to_string());
        texts.iter().map(declare).last().expect("a text")
    }

    #[test]
    fn a_step_that_runs_again_may_declare_other_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let host = Host::new([]);
        let place = Place { sandbox: &host, workspace: root, temp: root };
        let artifacts = Artifacts::default();
        let declare = |name, step| artifacts.declare(name, place, StepNumber(step));
        for (name, step) in [("a", 2), ("b", 3)] {
            fs::write(root.join(name), "first").expect("written");
            declare(name, step).expect("declared");
            fs::write(root.join(name), "second").expect("written");
        }
        declare("b", 3).expect_err("it has another digest");
        artifacts.forget(StepNumber(3)..=StepNumber(3));
        assert_eq!(declare("b", 3).expect("declared"), (1, 2));
        declare("a", 3).expect_err("the second step does not run again");
    }

    #[test]
    fn files_and_images_are_listed_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir(root.join("out")).expect("made");
        fs::write(root.join("out/b.txt"), "hello").expect("written");
        let artifacts = Artifacts::default();
        assert_eq!(artifacts.list(), r#"{"version":1,"subjects":[]}"#);
        let digest = "A".repeat(96);
        let text = format!(
            "# what was made\n\n  out/b.txt\r\nOCI://ghcr.io/o/app:1@sha384:{digest}\nfile://{}\n",
            root.join("out/b.txt").display()
        );
        assert_eq!(declared(&artifacts, root, &[&text]), Ok((2, 2)), "the same file twice is one");
        assert_eq!(declared(&artifacts, root, &["out/b.txt"]), Ok((0, 2)));
        let expected = format!(
            r#"{{"version":1,"subjects":[{{"name":"b.txt","digest":"{HELLO}","kind":"file"}},{{"name":"ghcr.io/o/app:1","digest":"sha384:{}","kind":"oci"}}]}}"#,
            digest.to_lowercase()
        );
        assert_eq!(artifacts.list(), expected);
    }

    #[test]
    fn a_wrong_line_is_named_and_adds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::write(root.join("a"), "hello").expect("written");
        fs::create_dir(root.join("b")).expect("made");
        fs::write(root.join("b/a"), "other").expect("written");
        let artifacts = Artifacts::default();
        for (text, expected) in [
            ("a\nk=v", "line 2: `=` is reserved"),
            ("https://x/y", "line 1: unknown kind `https://`"),
            ("a\n\nfile://", "line 3: no path"),
            ("oci://app:1", "line 1: an image needs its digest"),
            ("oci://app@sha256:123", "line 1: an image needs its digest"),
            ("none", "line 1: cannot read none"),
            ("b", "line 1: cannot read b: a folder"),
            ("a\nb/a", "line 2: `a` was declared with another digest"),
        ] {
            let error = declared(&artifacts, root, &[text]).expect_err(text);
            assert!(error.starts_with(&format!("GITHUB_ARTIFACTS: {expected}")), "{text:?}: {error}");
        }
        assert_eq!(declared(&artifacts, root, &["a"]), Ok((1, 1)));
        let lines: Vec<_> = (0..MAX_ARTIFACTS).map(|n| format!("i{n}@sha256:{}", "0".repeat(64))).collect();
        let many = lines.join("\n");
        assert!(declared(&artifacts, root, &[&many]).expect_err("too many").contains("line 500: more than 500"));
        assert_eq!(declared(&artifacts, root, &[&lines[1..].join("\n")]), Ok((499, 500)));
    }
}
