//! Docker's configuration of a job on this machine.
//!
//! `docker login` writes credentials to the user's configuration, and an action that logs in removes them at its end. On
//! GitHub, that happens on a machine of the job. Here it would log the user out, so each job has a configuration with
//! the user's credentials, which is removed with it.
//!
//! Credentials in a store outside of the file are not copied: where the file names a program for them (`credsStore` or
//! `credHelpers`), `docker login` and `docker logout` of a job change the user's store.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::files;

/// Variable with the folder of the configuration.
pub(super) const VARIABLE: &str = "DOCKER_CONFIG";

/// File of the configuration that `docker login` writes.
const FILE: &str = "config.json";

/// Maximum size of that file in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Creates the configuration of a job in the folder `at`, which must not exist: a copy of the file, and links to
/// everything else in the user's folder, such as plugins and contexts. `environment` is the environment of the user.
///
/// What cannot be read is left out, and named in a warning: few jobs need it.
///
/// # Errors
/// The folder of the job cannot be written.
pub(super) fn create(at: &Path, environment: &[(OsString, OsString)]) -> io::Result<()> {
    fs::create_dir(at)?;
    let Some(users) = of_user(environment) else { return Ok(()) };
    let entries = match fs::read_dir(&users) {
        Ok(entries) => entries,
        Err(error) => {
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                leave_out(&users, &error);
            }
            return Ok(());
        }
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                leave_out(&users, &error);
                break;
            }
        };
        let own = at.join(entry.file_name());
        if entry.file_name() != FILE {
            symlink(entry.path(), own)?;
            continue;
        }
        match files::read(&entry.path(), MAX_BYTES) {
            Ok(content) => files::create_own(&own)?.write_all(&content)?,
            Err(error) => leave_out(&entry.path(), &error),
        }
    }
    Ok(())
}

/// Warns that a part of the user's configuration is missing in that of the job.
fn leave_out(path: &Path, error: &dyn Display) {
    tracing::warn!(path = %path.display(), %error, "cannot read Docker's configuration: the job goes without it");
}

/// Returns the folder of the user's configuration. `None` if the environment does not name it.
fn of_user(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let value = |name: &str| {
        let found = environment.iter().find(|(known, _)| known == OsStr::new(name));
        found.map(|(_, value)| Path::new(value)).filter(|path| path.is_absolute())
    };
    value(VARIABLE).map(Path::to_owned).or_else(|| Some(value("HOME")?.join(".docker")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_copied_and_everything_else_is_linked() {
        let home = tempfile::tempdir().expect("a folder");
        let users = home.path().join(".docker");
        fs::create_dir_all(users.join("cli-plugins")).expect("made");
        fs::write(users.join(FILE), "{}").expect("written");
        let of_home = [("HOME".into(), home.path().into())];
        let at = home.path().join("job");
        create(&at, &of_home).expect("made");
        fs::write(at.join(FILE), "changed").expect("written");
        assert_eq!(fs::read_to_string(users.join(FILE)).expect("there"), "{}");
        assert_eq!(fs::read_link(at.join("cli-plugins")).expect("a link"), users.join("cli-plugins"));

        // A file that cannot be read: a folder, and a link to nothing.
        fs::remove_file(users.join(FILE)).expect("removed");
        for name in ["of-folder", "of-link"] {
            if name == "of-folder" {
                fs::create_dir(users.join(FILE)).expect("made");
            } else {
                fs::remove_dir(users.join(FILE)).expect("removed");
                symlink("/nowhere/config.json", users.join(FILE)).expect("made");
            }
            let at = home.path().join(name);
            create(&at, &of_home).expect("made");
            assert!(at.join(FILE).symlink_metadata().is_err(), "{name}");
            assert!(at.join("cli-plugins").symlink_metadata().is_ok(), "{name}");
        }

        // A folder that the user names, and none at all.
        let other = [("HOME".into(), home.path().into()), (VARIABLE.into(), home.path().join("none").into())];
        for (name, environment) in [("of-other", &other[..]), ("of-none", &[])] {
            let at = home.path().join(name);
            create(&at, environment).expect("made");
            assert_eq!(fs::read_dir(at).expect("there").count(), 0);
        }
    }
}
