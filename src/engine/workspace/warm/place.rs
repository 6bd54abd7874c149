//! What must be the same for a job to start with the dependency folders of another run, besides the lock files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;

use indexmap::IndexMap;

use crate::engine::sandbox::host::find_program;
use crate::model::JobId;
use crate::store::digest::sha256;
use crate::workflow::expr::Contexts;

/// Programs of this machine whose version decides whether dependencies work: those that build or load them.
const PROGRAMS: &[&str] = &["node", "python3", "ruby"];

/// Contexts from which a job may take the versions of its tools.
const CONTEXTS: &[&str] = &["matrix", "inputs", "vars"];

/// The definition of a job and its machine. A changed job may build its dependencies with other tools, so it does not
/// use the folders of its earlier runs.
pub(in crate::engine) struct Place<'p> {
    /// Path of the run's workflow.
    pub(in crate::engine) workflow: &'p str,
    /// Text of the workflow that contains the job.
    pub(in crate::engine) text: &'p str,
    /// Id of the job.
    pub(in crate::engine) job: &'p JobId,
    /// Values of the job's expressions.
    pub(in crate::engine) contexts: &'p Contexts,
    /// Environment variables that the user gave to all steps.
    pub(in crate::engine) env: &'p IndexMap<String, String>,
    /// Description of the machine.
    pub(in crate::engine) machine: String,
    /// Id of the image in which the steps run; `None` for steps on this machine.
    pub(in crate::engine) image: Option<&'p str>,
    /// `PATH` of steps on this machine; `None` for steps in a container, whose programs are those of the image.
    pub(in crate::engine) path: Option<&'p OsStr>,
}

impl Place<'_> {
    /// Returns the digest of the definition and the machine.
    pub(in crate::engine) fn digest(&self) -> String {
        let Self { workflow, text, job, contexts, env, machine, image, path } = self;
        let processor = std::env::consts::ARCH;
        let image = image.unwrap_or_default();
        let mut all = format!("{workflow}\0{job}\0{machine}\0{image}\0{processor}\0{}", sha256(text, 32));
        for name in CONTEXTS {
            let value = contexts.get(name).map(|value| value.to_json().to_string()).unwrap_or_default();
            all.push_str(&format!("\0{name}\0{value}"));
        }
        for (name, value) in *env {
            all.push_str(&format!("\0{name}={value}"));
        }
        for program in PROGRAMS {
            all.push_str(&format!("\0{program}\0{}", path.and_then(|path| version(program, path)).unwrap_or_default()));
        }
        sha256(all, 32)
    }
}

/// Returns a text that differs between versions of a program: its path with links resolved, its size and its
/// modification time. Starts no process.
fn version(program: &str, path: &OsStr) -> Option<String> {
    let real = find_program(program, path)?.canonicalize().ok()?;
    let data = fs::metadata(&real).ok()?;
    Some(format!("{} {} {}", real.display(), data.size(), data.mtime()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::expr::{Object, Value};
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn another_definition_image_or_program_is_another_place() {
        let bin = tempfile::tempdir().expect("a folder");
        for name in ["python3.11", "python3.12"] {
            fs::write(bin.path().join(name), "").expect("written");
            fs::set_permissions(bin.path().join(name), fs::Permissions::from_mode(0o755)).expect("set");
        }
        let python = |version: &str| {
            let _ = fs::remove_file(bin.path().join("python3"));
            symlink(version, bin.path().join("python3")).expect("linked");
        };
        python("python3.11");
        let job = JobId::new("test");
        let leg = |python: &str| {
            let mut contexts = Contexts::new();
            let object: Object = [("python".to_owned(), Value::string(python.to_owned()))].into_iter().collect();
            contexts.set("matrix", Value::object(object));
            contexts
        };
        let (old, new, none) = (leg("3.11"), leg("3.12"), IndexMap::new());
        let some = [("PYTHON".to_owned(), "3.12".to_owned())].into();
        let place = |text, contexts, env, image| {
            let path = Some(bin.path().as_os_str());
            let machine = "docker node:20".to_owned();
            Place { workflow: "ci.yml", text, job: &job, contexts, env, machine, image, path }.digest()
        };
        let first = place("python-version: 3.11", &old, &none, Some("sha256:1"));
        assert_eq!(first, place("python-version: 3.11", &old, &none, Some("sha256:1")));
        let others = [
            place("python-version: 3.12", &old, &none, Some("sha256:1")),
            place("python-version: 3.11", &new, &none, Some("sha256:1")),
            place("python-version: 3.11", &old, &some, Some("sha256:1")),
            place("python-version: 3.11", &old, &none, Some("sha256:2")),
        ];
        python("python3.12");
        let upgraded = place("python-version: 3.11", &old, &none, Some("sha256:1"));
        for other in others.iter().chain([&upgraded]) {
            assert_ne!(*other, first);
        }
    }
}
