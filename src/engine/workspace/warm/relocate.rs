//! Rewrites the paths in a dependency folder that name the folder of the job that made it. Another job has another
//! folder.
//!
//! Links are always rewritten. Files are rewritten only in the virtual environments of Python (PEP 405), whose scripts
//! and settings contain absolute paths.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

use crate::files::{Folder, Links};

/// File that a virtual environment has in its root.
const SETTINGS: &str = "pyvenv.cfg";

/// Maximum size in bytes of a file whose paths are changed. Scripts are far smaller; programs are larger.
const MAX_SIZE: u64 = 1024 * 1024;

/// Returns a path in the folder `from` as the same path in the folder `to`; `None` if the path is not in `from`.
pub(super) fn path(target: &Path, (from, to): (&Path, &Path)) -> Option<PathBuf> {
    let inner = target.strip_prefix(from).ok().filter(|_| from != to && from.is_absolute())?;
    Some(to.join(inner))
}

/// Changes the files of a virtual environment: its settings, its scripts, and the files with which packages are found.
/// Does nothing in other folders.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn environment(root: &Folder, (from, to): (&Path, &Path)) -> io::Result<()> {
    if from == to || root.file(Path::new(SETTINGS), Links::Refuse).is_err() {
        return Ok(());
    }
    let mut files = vec![PathBuf::from(SETTINGS)];
    files.extend(names(root, Path::new("bin")).into_iter().map(|name| Path::new("bin").join(name)));
    for version in names(root, Path::new("lib")) {
        let packages = Path::new("lib").join(version).join("site-packages");
        let finders = names(root, &packages).into_iter().filter(|name| is_finder(name));
        files.extend(finders.map(|name| packages.join(name)));
    }
    for file in files {
        // Links, folders and large files are left as they are.
        let Ok(text) = root.read(&file, Links::Refuse, MAX_SIZE) else { continue };
        let Some(changed) = replaced(&text, from.as_os_str().as_bytes(), to.as_os_str().as_bytes()) else { continue };
        let permissions = root.file(&file, Links::Refuse).map_err(io::Error::from)?.metadata()?.permissions();
        root.write(&file, &changed)?;
        root.set_mode(&file, Permissions::mode(&permissions) & 0o777).map_err(io::Error::from)?;
    }
    Ok(())
}

/// Whether Python reads the file when it starts, to find packages elsewhere.
fn is_finder(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".pth") || name.ends_with(b".egg-link") || name.starts_with(b"__editable__")
}

fn names(root: &Folder, folder: &Path) -> Vec<std::ffi::OsString> {
    let Ok(folder) = root.folder(folder) else { return Vec::new() };
    fs::read_dir(folder.path()).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
}

/// Replaces a path wherever it occurs as a whole. `None` if it does not occur.
fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut changed = Vec::with_capacity(text.len());
    let mut rest = 0;
    for at in memmem::find_iter(text, from) {
        let after = text.get(at + from.len());
        if after.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"-_.".contains(byte)) {
            changed.extend_from_slice(&text[rest..at]);
            changed.extend_from_slice(to);
            rest = at + from.len();
        }
    }
    changed.extend_from_slice(&text[rest..]);
    (rest > 0).then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_paths_of_a_virtual_environment_lead_to_the_new_job() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        let packages = "lib/python3.11/site-packages";
        fs::create_dir_all(at(packages)).and_then(|()| fs::create_dir(at("bin"))).expect("made");
        let script = "#!/old/job/r/r/.venv/bin/python\nprint('/old/jobs', '/old/job')\n";
        for (name, text) in [
            ("pyvenv.cfg", "home = /usr/bin\ncommand = python -m venv /old/job/r/r/.venv\n"),
            ("bin/pip", script),
            (&*format!("{packages}/__editable__.pth"), "/old/job/r/r/src\n"),
            (&*format!("{packages}/module.py"), "'/old/job/r'\n"),
        ] {
            fs::write(at(name), text).expect("written");
        }
        fs::set_permissions(at("bin/pip"), Permissions::from_mode(0o755)).expect("set");
        symlink("/old/job", at("bin/link")).expect("linked");
        let folder = Folder::open(home.path()).expect("opened");
        environment(&folder, (Path::new("/old/job"), Path::new("/new"))).expect("changed");
        let text = |name: &str| fs::read_to_string(at(name)).expect("read");
        assert_eq!(text("pyvenv.cfg"), "home = /usr/bin\ncommand = python -m venv /new/r/r/.venv\n");
        assert_eq!(text("bin/pip"), "#!/new/r/r/.venv/bin/python\nprint('/old/jobs', '/new')\n");
        assert_eq!(fs::metadata(at("bin/pip")).expect("there").permissions().mode() & 0o777, 0o755);
        assert_eq!(text(&format!("{packages}/__editable__.pth")), "/new/r/r/src\n");
        assert_eq!(text(&format!("{packages}/module.py")), "'/old/job/r'\n", "modules are left as they are");
    }

    #[test]
    fn only_links_into_the_folder_of_the_job_are_changed() {
        let roots = (Path::new("/old/job"), Path::new("/new"));
        for (target, expected) in [
            ("/old/job/_tools/python", Some("/new/_tools/python")),
            ("/old/jobs/python", None),
            ("/usr/bin/python", None),
            ("../../a", None),
        ] {
            assert_eq!(path(Path::new(target), roots).as_deref(), expected.map(Path::new), "{target}");
        }
        assert_eq!(path(Path::new("/__w/a"), (Path::new("/__w"), Path::new("/__w"))), None);
    }
}
