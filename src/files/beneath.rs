//! Opens paths below a folder: in one system call where the kernel supports it, otherwise component by component.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
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
        let next = open_entry(above.as_ref().map_or(folder, AsFd::as_fd), name, through, Mode::empty());
        above = Some(next?);
    }
    Ok(open_entry(above.as_ref().map_or(folder, AsFd::as_fd), last, flags | OFlags::NOFOLLOW, mode)?)
}

/// Opens an entry of a folder with `flags` that refuse links. Fails with `Errno::XDEV` if the entry is a link.
fn open_entry(folder: BorrowedFd<'_>, name: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let is_link = || {
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
    };
    openat(folder, name, flags, mode).map_err(|error| match error {
        Errno::LOOP => Errno::XDEV,
        // Where a folder is wanted, Linux reports a link like a file.
        Errno::NOTDIR if is_link() => Errno::XDEV,
        other => other,
    })
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
        let is = |errno: Errno| Some(errno.raw_os_error());
        for (path, errno) in [
            ("../file", Errno::XDEV),
            ("a/../../file", Errno::XDEV),
            ("/etc/passwd", Errno::XDEV),
            ("up", Errno::XDEV),
            ("up/file", Errno::XDEV),
            ("absolute/file", Errno::XDEV),
            ("absolute/root/a/b/file", Errno::XDEV),
            ("a/b/file/more", Errno::NOTDIR),
            ("a/missing/file", Errno::NOENT),
        ] {
            assert_eq!(one_call(path).expect_err(path).raw_os_error(), is(errno), "{path}");
            assert_eq!(by_name(path).expect_err(path).raw_os_error(), is(errno), "{path}");
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for (path, errno) in [("absolute", Errno::XDEV), ("up", Errno::XDEV), ("a/b/file", Errno::NOTDIR)] {
            let one_call = open(folder.as_fd(), Path::new(path), flags, Mode::empty(), Links::Refuse);
            let by_name = walk(folder.as_fd(), Path::new(path), flags, Mode::empty());
            for opened in [one_call, by_name] {
                assert_eq!(opened.expect_err(path).raw_os_error(), is(errno), "{path} as a folder");
            }
        }
    }
}
