//! Ids of runs, which sort by the time of creation.

use crate::model::{RunId, Timestamp};

use super::digest::sha256;

/// Form of the id of a run of this machine: `YYYYMMDD-HHMMSS-xxxx` in UTC. These ids only grow within a state folder,
/// so that sorting ids sorts runs by the order in which they were created.
const ID_FORM: &[u8] = b"00000000-000000-xxxx";

/// Form of the id of a mirror, see [`mirror_id`].
pub(super) const MIRROR_ID_FORM: &[u8] = b"00000000-000000-xxxxxxxxxxxx";

/// Length of the time in an id, in bytes.
pub(super) const ID_TIME: usize = 15;

/// Returns an id that is greater than `last`. If the current second is not later than the one in `last` (several runs
/// in a second, or a clock that was set back), the id has the time of `last`, and its last part is increased by one. If
/// that part is at its maximum, the id has the time of the next second.
#[must_use]
pub fn new_id(now: Timestamp, last: Option<&RunId>) -> RunId {
    // The number is in the lower half of the range, which leaves room for more runs in the same second.
    let random = getrandom::u32().unwrap_or(std::process::id()) & 0x7fff;
    let new = |time: &str, part: u32| RunId::new(format!("{time}-{part:04x}"));
    let time = id_time(now);
    let Some(last) = last.filter(|last| is_local_id(last.as_str()) && last.as_str()[..ID_TIME] >= *time) else {
        return new(&time, random);
    };
    let (then, part) = last.as_str().split_at(ID_TIME);
    match u32::from_str_radix(&part[1..], 16).unwrap_or(u32::MAX) {
        part @ ..0xffff => new(then, part + 1),
        _ => new(&id_time(Timestamp(id_timestamp(last).0 + 1000)), random),
    }
}

/// Returns the id of the mirror of a run on a server. It depends on its arguments alone, so that every process finds
/// the folder of a remote run without an index. `name` is the run's name among all servers, `HOST/OWNER/REPOSITORY/ID`;
/// its digest has 48 bits, so two runs have the same id only if they were created in the same second and their digests
/// collide.
#[must_use]
pub fn mirror_id(name: &str, created: Timestamp) -> RunId {
    RunId::new(format!("{}-{}", id_time(created), mirror_digest(name)))
}

/// Returns the last part of the id of a mirror, which depends on the run's name alone.
#[must_use]
pub fn mirror_digest(name: &str) -> String {
    let digits = MIRROR_ID_FORM.len() - ID_TIME - 1;
    sha256(name, digits / 2)
}

/// Returns the id of a run of this machine as a number that is unique in the state folder and grows with the ids:
/// `github.run_id`. `None` if the name of the folder is the id of a mirror, or not a run's id.
#[must_use]
pub fn id_number(id: &RunId) -> Option<u64> {
    let part = is_local_id(id.as_str()).then(|| u64::from_str_radix(&id.as_str()[ID_TIME + 1..], 16).ok())??;
    Some((id_timestamp(id).0 / 1000) << 16 | part)
}

/// Returns the time part of an id, `YYYYMMDD-HHMMSS`. Ids of earlier runs sort before this text.
pub(super) fn id_time(at: Timestamp) -> String {
    at.instant().strftime("%Y%m%d-%H%M%S").to_string()
}

/// Returns the time in an id; 1970 if the id has no time.
#[must_use]
pub fn id_timestamp(id: &RunId) -> Timestamp {
    let text = id.as_str().get(..ID_TIME).unwrap_or_default();
    let time =
        jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", text).and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
    let milliseconds = time.map(|time| time.timestamp().as_millisecond()).unwrap_or_default();
    Timestamp(u64::try_from(milliseconds).unwrap_or_default())
}

/// Whether the name of an entry in the folder of all runs is the id of a run.
pub(super) fn is_run_id(name: &str) -> bool {
    is_local_id(name) || (name.len() == MIRROR_ID_FORM.len() && fits(name, MIRROR_ID_FORM))
}

/// Whether a name is the id of a run of this machine.
fn is_local_id(name: &str) -> bool {
    name.len() == ID_FORM.len() && fits(name, ID_FORM)
}

/// Whether a text can be the beginning of an id but not the end of a local one: a shorter text could be either.
pub(super) fn is_id_prefix(text: &str) -> bool {
    (5..=MIRROR_ID_FORM.len()).contains(&text.len()) && fits(text, MIRROR_ID_FORM)
}

fn fits(text: &str, form: &[u8]) -> bool {
    text.bytes().zip(form).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => byte == *form,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_the_end_of_an_id_is_not_taken_for_its_beginning() {
        let id = new_id(Timestamp(1_700_000_000_000), None);
        for length in 1..20 {
            let (start, end) = (&id.as_str()[..length], &id.as_str()[20 - length..]);
            assert_eq!(is_id_prefix(start), length >= 5, "{start}");
            assert!(!is_id_prefix(end), "{end}");
        }
    }

    #[test]
    fn ids_and_their_numbers_only_grow_whatever_the_clock_does() {
        let mut last = new_id(Timestamp(1_700_000_000_000), None);
        // The clock stays within one second, is set back by an hour and by 50 years, and then advances again.
        let clock = [0, 0, 400, 999, -3_600_000, -1_500_000_000_000, -1, 1_000, 0, 5_000_000];
        for ahead in clock {
            let now = Timestamp(1_700_000_000_000_u64.saturating_add_signed(ahead));
            let next = new_id(now, Some(&last));
            assert!(next > last && id_number(&next) > id_number(&last), "{last} {next}");
            assert!(is_run_id(next.as_str()) && id_timestamp(&next) >= Timestamp(now.0 / 1000 * 1000), "{next}");
            last = next;
        }
        let full = RunId::new("20261231-235959-ffff");
        let next = new_id(Timestamp(0), Some(&full));
        assert!(next > full && next.as_str().starts_with("20270101-000000-"), "{next}");
        assert!(id_number(&next) > id_number(&full) && id_number(&RunId::new("copy")).is_none());
    }

    #[test]
    fn the_id_of_a_mirror_depends_on_its_run_alone_and_sorts_by_age() {
        let at = Timestamp(1_700_000_000_000);
        let id = mirror_id("github.com/octo/app/1", at);
        assert_eq!(id, mirror_id("github.com/octo/app/1", at));
        assert!(id != mirror_id("github.com/octo/app/2", at) && id != mirror_id("other.example/octo/app/1", at));
        assert!(is_run_id(id.as_str()) && id_number(&id).is_none() && id_timestamp(&id) == at, "{id}");
        assert!(id < new_id(Timestamp(at.0 + 1_000), None) && id > new_id(Timestamp(at.0 - 1_000), None));
        let next = new_id(at, Some(&id));
        assert!(id_number(&next).is_some(), "a mirror is not the last run of this machine: {next}");
    }
}
