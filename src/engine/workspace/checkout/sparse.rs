//! `sparse-checkout`: checks out only some of the files.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::Request;
use super::error::CheckoutError;

/// Selection of the files in the copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::engine) struct Sparse {
    /// Folders in cone mode, and patterns in the syntax of `.gitignore` otherwise.
    pub(in crate::engine) patterns: Vec<String>,
    /// Whether the patterns are folders: then the copy also has the files beside and above them.
    pub(in crate::engine) cone: bool,
}

impl Sparse {
    /// Sets the patterns of a git folder. Entries of its index that the patterns exclude are marked.
    pub(super) fn set(&self, target: &Path, request: &Request) -> Result<(), CheckoutError> {
        let mode = if self.cone { "--cone" } else { "--no-cone" };
        let set = ["sparse-checkout", "set", mode, "--"].into_iter().chain(self.patterns.iter().map(String::as_str));
        request.git_trusted(target, set)?;
        Ok(())
    }

    /// Returns the files of a list that belong to the copy. Git decides about tracked files. In cone mode, a new file
    /// belongs to the copy if its folder does. Without cone mode, all new files belong to the copy.
    pub(super) fn choose(
        &self,
        target: &Path,
        files: Vec<PathBuf>,
        request: &Request,
    ) -> Result<Vec<PathBuf>, CheckoutError> {
        let (mut tracked, mut left_out) = (HashSet::new(), HashSet::new());
        // Names that are not valid UTF-8 differ from those in the list, so their files count as new.
        for entry in request.git(target, ["ls-files", "-t", "-z"])?.split('\0') {
            let Some((tag, name)) = entry.split_once(' ') else { continue };
            let name = PathBuf::from(OsString::from_vec(name.as_bytes().to_vec()));
            if tag == "S" {
                left_out.insert(name.clone());
            }
            tracked.insert(name);
        }
        let is_new_in_cone = |file: &PathBuf| !tracked.contains(file) && (!self.cone || self.is_in_cone(file));
        let has = |file: &PathBuf| (tracked.contains(file) && !left_out.contains(file)) || is_new_in_cone(file);
        Ok(files.into_iter().filter(has).collect())
    }

    fn is_in_cone(&self, file: &Path) -> bool {
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut folders = self.patterns.iter().map(|pattern| Path::new(pattern.trim_matches('/')));
        folder.as_os_str().is_empty() || folders.any(|cone| folder.starts_with(cone) || cone.starts_with(folder))
    }
}
