//! Opens paths below a folder: in one system call where the kernel supports it, otherwise component by component.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::folder::Links;

/// Maximum number of attempts to open a path that is renamed meanwhile.
#[cfg(target_os = "linux")]
const ATTEMPTS: usize = 8;

/// Opens a path below a folder. Fails with `Errno::XDEV` if the path leads out of it, or has a link or mount point that
/// `links` refuses. Where the kernel lacks `openat2`, every link is refused, and with [`Links::RefuseMounts`] every
/// path.
pub(super) fn open(
    folder: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        resolve |= match links {
            Links::Within => ResolveFlags::empty(),
            Links::Refuse => ResolveFlags::NO_SYMLINKS,
            Links::RefuseMounts => ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
        };
        for _ in 0..ATTEMPTS {
            match openat2(folder, path, flags, mode, resolve) {
                Err(Errno::AGAIN) => {}
                // Kernels before 5.6 lack the call, and a seccomp filter may forbid it.
                Err(Errno::NOSYS | Errno::PERM) => break,
                Err(Errno::LOOP) if links != Links::Within => return Err(Errno::XDEV.into()),
                opened => return Ok(opened?),
            }
        }
    }
    if links == Links::RefuseMounts { Err(Errno::XDEV.into()) } else { walk(folder, path, flags, mode) }
}

/// Opens a path component by component. Refuses links, even those that stay in the folder.
fn walk(folder: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut names: Vec<&OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir if names.pop().is_some() => {}
            _ => return Err(Errno::XDEV.into()),
        }
    }
    let last = names.pop().unwrap_or(OsStr::new("."));
    let through = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut above: Option<OwnedFd> = None;
    for name in names {
        let next = openat(above.as_ref().map_or(folder, AsFd::as_fd), name, through, Mode::empty());
        above = Some(next.map_err(link)?);
    }
    let opened = openat(above.as_ref().map_or(folder, AsFd::as_fd), last, flags | OFlags::NOFOLLOW, mode);
    Ok(opened.map_err(link)?)
}

/// Maps the error for a link in place of a folder or file to `Errno::XDEV`.
fn link(error: Errno) -> Errno {
    if error == Errno::LOOP { Errno::XDEV } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    #[test]
    fn both_ways_refuse_what_leads_out_and_open_what_does_not() {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().join("root");
        fs::create_dir_all(root.join("a/b")).expect("made");
        fs::write(root.join("a/b/file"), "inner").expect("written");
        fs::write(home.path().join("file"), "outer").expect("written");
        symlink("../file", root.join("up")).expect("linked");
        symlink(home.path(), root.join("absolute")).expect("linked");
        let folder = File::open(&root).expect("opened");
        let one_call =
            |path: &str| open(folder.as_fd(), Path::new(path), OFlags::RDONLY, Mode::empty(), Links::Refuse).map(drop);
        let by_name = |path: &str| {
            walk(folder.as_fd(), Path::new(path), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map(drop)
        };
        for path in ["a/b/file", "a/../a/b/file", "./a", "."] {
            one_call(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            by_name(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        for path in ["../file", "a/../../file", "/etc/passwd", "up", "absolute/file"] {
            one_call(path).expect_err(path);
            by_name(path).expect_err(path);
        }
    }
}
