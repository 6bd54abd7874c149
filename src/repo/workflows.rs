//! Lists, finds and reads the workflow files of a repository.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::files;
use crate::files::{FileError, Folder, Links};
use crate::model::nearest;
use crate::workflow;
use crate::workflow::source::{NotUtf8, Source, decode};

/// Folder of workflow files, relative to the root of a repository.
pub const FOLDER: &str = ".github/workflows";

/// Why a workflow file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        source: FileError,
    },
    /// The file is not UTF-8.
    #[error("{}: {source}", file.name)]
    NotUtf8 {
        /// The file, with replacement characters.
        file: Arc<Source>,
        /// The invalid byte.
        source: NotUtf8,
    },
    /// The request names no workflow, and the repository does not have exactly one.
    #[error("name the workflow: {}", listed(known))]
    Unnamed {
        /// Names of the files in [`FOLDER`].
        known: Vec<String>,
    },
    /// No workflow has this file name or name.
    #[error(
        "there is no workflow `{wanted}`: {}{}", listed(known),
        nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
    )]
    Unknown {
        /// The requested name.
        wanted: String,
        /// Names of the files in [`FOLDER`].
        known: Vec<String>,
        /// The most similar known name.
        nearest: Option<String>,
    },
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { format!("{FOLDER} is empty") } else { format!("{FOLDER} has {}", known.join(", ")) }
}

/// Maximum size in bytes of a workflow that another one calls.
const MAX_CALLED: u64 = 1024 * 1024;

/// Reads a called workflow of the repository at `root`. `path` is relative to `root`.
///
/// # Errors
/// The file cannot be read, or is outside the repository: a path may contain `..`, and a link may lead to any file of
/// the user.
pub fn read_called(root: &Path, path: &str) -> Result<String, FileError> {
    let bytes = Folder::open(root)?.read(Path::new(path), Links::Within, MAX_CALLED)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the workflow files of the repository at `root`, sorted by name. Empty if the folder cannot be read.
#[must_use]
pub fn list(root: &Path) -> Vec<PathBuf> {
    files_in(&root.join(FOLDER)).unwrap_or_default()
}

/// Returns the YAML files of a folder, sorted.
///
/// # Errors
/// The folder cannot be read.
pub fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_workflow = |path: &PathBuf| path.extension().is_some_and(is_yaml);
    let mut files: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).filter(is_workflow).collect();
    files.sort();
    Ok(files)
}

/// Returns the root of the repository around a folder, found by its folder of workflows without asking git. `None` if
/// the repository has none.
#[must_use]
pub fn root_of(folder: &Path) -> Option<&Path> {
    let has_workflows = |folder: &&Path| folder.join(FOLDER).is_dir();
    folder.ancestors().find(|folder| has_workflows(folder) || folder.join(".git").exists()).filter(has_workflows)
}

/// Whether a name is a path or the name of a YAML file, and not the short or given name of a workflow.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(is_yaml)
}

fn is_yaml(extension: &std::ffi::OsStr) -> bool {
    extension == "yml" || extension == "yaml"
}

/// Returns a path as seen from a folder, with `..` for each folder above it. Both are absolute. If only the root of the
/// file system contains both, returns the path as it is.
#[must_use]
pub fn seen_from(path: &Path, folder: &Path) -> PathBuf {
    let common = folder.ancestors().find(|above| above.parent().is_some() && path.starts_with(above));
    let parts = common.and_then(|common| Some((folder.strip_prefix(common).ok()?, path.strip_prefix(common).ok()?)));
    let Some((up, down)) = parts else { return path.to_owned() };
    up.components().map(|_| Component::ParentDir).collect::<PathBuf>().join(down)
}

/// Finds a workflow by path relative to `folder` or `root`, by name of a file in [`FOLDER`] with or without extension,
/// or by its `name`. A name without extension is that of a workflow even if `folder` has a file of this name. Without
/// `wanted`, returns the only file.
///
/// # Errors
/// No file matches, or `wanted` is missing and there is not exactly one file.
pub fn find(wanted: Option<&str>, folder: &Path, root: &Path) -> Result<PathBuf, WorkflowFileError> {
    let files = list(root);
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let known = || files.iter().filter_map(|path| text(path.file_name())).collect();
    let Some(wanted) = wanted else {
        return match files.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(WorkflowFileError::Unnamed { known: known() }),
        };
    };
    let is_there = |path: &PathBuf| path.exists() && !path.is_dir();
    let by_path = || [folder, root].map(|folder| folder.join(wanted)).into_iter().find(is_there);
    if let Some(path) = Some(wanted).filter(|wanted| is_file_name(wanted)).and_then(|_| by_path()) {
        return Ok(path);
    }
    let is_wanted = |part: Option<String>| part.as_deref() == Some(wanted);
    let by_file = files.iter().find(|path| is_wanted(text(path.file_name())) || is_wanted(text(path.file_stem())));
    let by_name = || files.iter().find(|path| name(path).is_some_and(|name| name.eq_ignore_ascii_case(wanted)));
    if let Some(found) = by_file.or_else(by_name).cloned().or_else(by_path) {
        return Ok(found);
    }
    let stems: Vec<_> = files.iter().filter_map(|path| text(path.file_stem())).collect();
    let nearest = nearest(wanted, stems.iter().map(String::as_str)).map(str::to_owned);
    Err(WorkflowFileError::Unknown { wanted: wanted.to_owned(), known: known(), nearest })
}

/// Returns the `name` of a workflow file. `None` if it has none, cannot be read, or is not a valid workflow.
#[must_use]
pub fn name(path: &Path) -> Option<String> {
    let workflow = workflow::parse(&Source::new("", read(path).ok()?)).value?;
    workflow.name.map(|name| name.value)
}

/// Reads a file as text.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, WorkflowFileError> {
    let bytes = files::read_repository(path)
        .map_err(|source| WorkflowFileError::Unreadable { path: path.to_owned(), source })?;
    match decode(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(source) => {
            let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let root = full.parent().and_then(root_of).unwrap_or(Path::new(""));
            let file = Source::new(relative(&full, root), String::from_utf8_lossy(&bytes));
            Err(WorkflowFileError::NotUtf8 { file, source })
        }
    }
}

/// Returns the path of a file relative to the root of its repository, or the full path if it is outside.
#[must_use]
pub fn relative(path: &Path, root: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    full.strip_prefix(root).unwrap_or(&full).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(&folder).expect("made");
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("written");
        }
        root
    }

    #[test]
    fn a_workflow_is_found_by_path_file_stem_and_name() {
        let text = |name: &str| format!("name: {name}\non: push\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n");
        let root = repository(&[("ci.yml", &text("Checks")), ("deploy.yaml", &text("Ship")), ("notes.md", "")]);
        let root = root.path();
        fs::write(root.join("other.yml"), "").expect("written");
        let found = |wanted: &str| find(Some(wanted), root, root).map(|path| relative(&path, Path::new("/nowhere")));
        for (wanted, file) in [
            ("other.yml", "other.yml"),
            ("ci", "ci.yml"),
            ("ci.yml", "ci.yml"),
            ("deploy", "deploy.yaml"),
            ("checks", "ci.yml"),
            ("SHIP", "deploy.yaml"),
        ] {
            let path = found(wanted).expect(wanted);
            assert!(path.ends_with(file), "{wanted}: {path}");
        }
        let below = root.join(FOLDER);
        let path = find(Some(".github/workflows/ci.yml"), &below, root).expect("a path from the root");
        assert_eq!(path, below.join("ci.yml"));
        let error = found("deplyo").expect_err("a typing error").to_string();
        assert_eq!(
            error,
            "there is no workflow `deplyo`: .github/workflows has ci.yml, deploy.yaml; did you mean `deploy`?"
        );
        let error = find(None, root, root).expect_err("two of them").to_string();
        assert_eq!(error, "name the workflow: .github/workflows has ci.yml, deploy.yaml");
    }

    #[test]
    fn a_script_with_the_name_of_a_workflow_does_not_hide_it() {
        let root = repository(&[("deploy.yml", "")]);
        let root = root.path();
        fs::write(root.join("deploy"), "#!/bin/sh").expect("written");
        fs::write(root.join("Pipeline"), "").expect("written");
        let found = |wanted: &str| find(Some(wanted), root, root).expect(wanted);
        assert_eq!(found("deploy"), root.join(FOLDER).join("deploy.yml"));
        assert_eq!(found("./deploy"), root.join("./deploy"));
        assert_eq!(found("Pipeline"), root.join("Pipeline"), "a file that no workflow has the name of");
    }

    #[test]
    fn a_path_is_seen_from_a_folder_beside_or_below_it() {
        for (path, folder, seen) in [
            ("/home/x/app/.github/workflows/ci.yml", "/home/x/app", ".github/workflows/ci.yml"),
            ("/home/x/app/.github/workflows/ci.yml", "/home/x/app/src/deep", "../../.github/workflows/ci.yml"),
            ("/home/x/other/ci.yml", "/home/x/app", "../other/ci.yml"),
            ("/etc/ci.yml", "/home/x/app", "/etc/ci.yml"),
            ("/ci.yml", "/", "/ci.yml"),
        ] {
            assert_eq!(seen_from(Path::new(path), Path::new(folder)), Path::new(seen), "{path} from {folder}");
        }
    }

    #[test]
    fn the_root_is_the_closest_repository_with_workflows() {
        let root = repository(&[("ci.yml", "")]);
        let root = root.path();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at("src/deep")).expect("made");
        fs::create_dir_all(at("module/.git")).expect("made");
        assert_eq!(root_of(root), Some(root));
        assert_eq!(root_of(&at("src/deep")), Some(root));
        assert_eq!(root_of(&at("module")), None, "the workflows of the outer repository are not its own");
    }

    #[test]
    fn the_only_workflow_needs_no_name() {
        let root = repository(&[("ci.yml", "")]);
        assert_eq!(find(None, root.path(), root.path()).expect("found"), root.path().join(FOLDER).join("ci.yml"));
        let empty = repository(&[]);
        let error = find(None, empty.path(), empty.path()).expect_err("none").to_string();
        assert_eq!(error, "name the workflow: .github/workflows is empty");
    }
}
