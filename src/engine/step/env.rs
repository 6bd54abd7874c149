//! The environment of a step's process, put together from what the machine has and what the run adds.

use std::ffi::{OsStr, OsString};

use indexmap::IndexMap;

/// The machine's environment under the run's own variables, with the job's additions in front of `PATH`.
///
/// The variables go to the process as a list and never through a shell: a shell may drop names such as
/// `INPUT_FETCH-DEPTH`.
#[must_use]
pub(in crate::engine) fn assemble(
    machine: &[(OsString, OsString)],
    own: IndexMap<String, String>,
    additions: &[String],
) -> Vec<(OsString, OsString)> {
    let mut all: IndexMap<OsString, OsString> = machine.iter().cloned().collect();
    all.extend(own.into_iter().map(|(name, value)| (name.into(), value.into())));
    // Neither an empty name nor one with `=`, nor a NUL anywhere, can be passed to a process at all.
    all.retain(|name, value| {
        let (name, value) = (name.as_encoded_bytes(), value.as_encoded_bytes());
        !name.is_empty() && !name.contains(&b'=') && !name.contains(&0) && !value.contains(&0)
    });
    let path = search_path(all.get(OsStr::new("PATH")).map(OsString::as_os_str), additions);
    all.insert("PATH".into(), path);
    all.into_iter().collect()
}

/// Where programs are looked for: the job's additions, then the environment's own `PATH`.
#[must_use]
pub(in crate::engine) fn search_path(own: Option<&OsStr>, additions: &[String]) -> OsString {
    let mut path = OsString::new();
    let own = own.filter(|own| !own.is_empty());
    for folder in additions.iter().map(OsStr::new).chain(own) {
        if !path.is_empty() {
            path.push(":");
        }
        path.push(folder);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_covers_the_machine_and_additions_come_first() {
        let machine = [("PATH".into(), "/bin".into()), ("HOME".into(), "/h".into()), ("A".into(), "machine".into())];
        let own = [("A".to_owned(), "run".to_owned()), ("INPUT_FETCH-DEPTH".to_owned(), "1".to_owned())].into();
        let all = assemble(&machine, own, &["/second".to_owned(), "/first".to_owned()]);
        let get = |name: &str| all.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_string_lossy());
        assert_eq!(get("PATH").as_deref(), Some("/second:/first:/bin"));
        assert_eq!((get("A").as_deref(), get("HOME").as_deref()), (Some("run"), Some("/h")));
        assert_eq!(get("INPUT_FETCH-DEPTH").as_deref(), Some("1"));
    }

    #[test]
    fn what_no_process_can_be_given_is_left_out() {
        let own =
            [("a=b".to_owned(), "1".to_owned()), (String::new(), "1".to_owned()), ("N".to_owned(), "a\0b".to_owned())];
        let all = assemble(&[], own.into(), &[]);
        assert_eq!(all, [(OsString::from("PATH"), OsString::new())]);
    }
}
