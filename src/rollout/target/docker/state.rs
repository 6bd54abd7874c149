//! Parses the router's report about its places. The functions are pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::deployment::{Counters, Slot};

/// Bits of the administrative state of a place that is drained by a command, or because the server that it tracks is
/// drained.
const DRAINED: u32 = 0x08 | 0x10;

/// Bit of the administrative state of a place that a command has put into maintenance.
const MAINTENANCE: u32 = 0x01;

/// State of a place that takes traffic: `SRV_ST_RUNNING`.
const RUNNING: u32 = 2;

/// What the router reports about the place of a replica.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Address of the replica; `None` before the router has found it.
    pub(super) address: Option<String>,
    /// Whether the checks of the router succeed.
    pub(super) is_up: bool,
    /// Whether the place gets no new requests, whatever its weight.
    pub(super) is_drained: bool,
    /// Weight.
    pub(super) weight: u32,
    /// Requests in flight.
    pub(super) sessions: u32,
    /// Last check in words: `its check was answered with 503`.
    pub(super) check: String,
    /// Counters of the replica's answers. Their time is added by [`super::latency::Times`].
    pub(super) counters: Counters,
    /// Mean time until an answer began, of the last answers: in the queue, to connect, and to the first byte.
    ///
    /// The router's mean of whole sessions would be wrong: it counts the pauses of clients that keep their connection.
    pub(super) mean: Duration,
}

/// Returns the counters of all replicas of a slot together.
pub(super) fn counters(places: &HashMap<String, Place>, slot: Slot) -> Counters {
    let of_slot = places.iter().filter(|(name, _)| name.starts_with(slot.name()));
    of_slot.fold(Counters::default(), |sum, (_, place)| sum.plus(place.counters))
}

/// Reads the places by name from the answers to `show servers state` and `show stat`. `None` if the answers are
/// malformed.
pub(super) fn places(servers: &str, statistics: &str) -> Option<HashMap<String, Place>> {
    let mut places = saved(servers)?;
    let rows = table(statistics, ',')?;
    for row in rows {
        let Some(place) = row.get("svname").and_then(|name| places.get_mut(*name)) else { continue };
        let number = |name: &str| row.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        place.sessions = u32::try_from(number("scur")).unwrap_or(u32::MAX);
        let answers = ["hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"];
        let answers = answers.into_iter().map(number).sum();
        // An answer that breaks off is in both of the last two columns, or in one. It also has a status, so it counts as
        // two requests, of which at least one failed.
        let failed = number("econ") + number("eresp").max(number("srv_abrt"));
        place.counters =
            Counters { requests: answers + failed, errors: number("hrsp_5xx") + failed, answers, time: Duration::ZERO };
        place.mean = Duration::from_millis(["qtime", "ctime", "rtime"].into_iter().map(number).sum());
        let text = |name: &str| row.get(name).copied().unwrap_or_default();
        place.check = check(text("check_status"), text("check_code"));
    }
    Some(places)
}

/// Reads the places by name, without their checks and counters, from an answer to `show servers state`, or from the file
/// that has one. `None` if it is malformed.
pub(super) fn saved(servers: &str) -> Option<HashMap<String, Place>> {
    let mut places = HashMap::new();
    let rows = table(servers, ' ')?;
    for row in rows {
        let number = |name: &str| row.get(name)?.parse::<u32>().ok();
        let admin = number("srv_admin_state")?;
        let place = Place {
            address: row.get("srv_addr").filter(|address| **address != "-").map(|address| (*address).to_owned()),
            is_up: number("srv_op_state")? == RUNNING,
            is_drained: admin & (DRAINED | MAINTENANCE) != 0,
            weight: number("srv_uweight")?,
            ..Place::default()
        };
        places.insert((*row.get("srv_name")?).to_owned(), place);
    }
    Some(places)
}

/// Returns the result of a check in words. `status` is `HAProxy`'s abbreviation, after `* ` while the next check is in
/// progress, and `code` the status of an HTTP answer. Empty if there was no check.
fn check(status: &str, code: &str) -> String {
    let status = status.trim_start_matches(['*', ' ']);
    let words = match status {
        "" => return String::new(),
        "UNK" | "INI" | "CHECKED" => "it was not checked yet",
        "L4OK" | "L6OK" | "L7OK" | "L7OKC" => "its check succeeded",
        "L4TOUT" => "its check got no connection in time",
        "L4CON" | "SOCKERR" => "its check got no connection",
        "L6TOUT" | "L7TOUT" => "its check got no answer in time",
        "L6RSP" | "L7RSP" => "its check got an answer that is not valid",
        "L7STS" if !code.is_empty() => return format!("its check was answered with {code}"),
        // A later version of the router may have further ones.
        other => return format!("its check ended with {other} {code}").trim_end().to_owned(),
    };
    words.to_owned()
}

/// Whether the process that answered `show info` takes no new requests any more, because another one has taken its place.
pub(super) fn is_stopping(info: &str) -> bool {
    info.lines().any(|line| line.trim() == "Stopping: 1")
}

/// Returns the id of the process that answered `show info`.
pub(super) fn process(info: &str) -> Option<u32> {
    info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

/// Reads a table whose first line has `# ` and the names of the columns.
fn table(text: &str, between: char) -> Option<Vec<HashMap<&str, &str>>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("# "));
    let names: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(between).collect();
    let rows = lines.filter(|line| !line.trim().is_empty());
    Some(rows.map(|line| names.iter().copied().zip(line.split(between)).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answer of `HAProxy` 2.6, without some columns.
    const SERVERS: &str = "1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
3 app 1 blue1 172.18.0.3 2 0 200 0
3 app 2 blue2 172.18.0.4 2 8 56 0
3 app 3 green1 - 0 32 0 0
";
    const STATISTICS: &str =
        "# pxname,svname,scur,econ,eresp,srv_abrt,status,check_status,check_code,hrsp_2xx,hrsp_5xx,qtime,ctime,rtime,ttime,
service,FRONTEND,3,,,,OPEN,,,9,0,,,,,
app,blue1,2,1,3,2,UP,L7OK,200,90,4,1,2,9,5012,
app,blue2,0,0,0,0,DRAIN,L7STS,503,0,0,0,0,0,0,
app,green1,0,0,0,0,MAINT (resolution),,,0,0,0,0,0,0,
";

    #[test]
    fn a_process_that_was_replaced_says_so() {
        let info = |stopping| format!("Name: HAProxy\nVersion: 2.6.12\nStopping: {stopping}\nJobs: 3\n");
        assert!(is_stopping(&info(1)) && !is_stopping(&info(0)) && !is_stopping(""));
        assert_eq!((process("Name: HAProxy\nPid: 24\nUptime: 1s\n"), process(&info(0))), (Some(24), None));
    }

    #[test]
    fn places_have_their_state_and_what_they_answered() {
        let places = places(SERVERS, STATISTICS).expect("two tables");
        let counters = Counters { requests: 98, errors: 8, answers: 94, time: Duration::ZERO };
        let expected = Place {
            address: Some("172.18.0.3".to_owned()),
            is_up: true,
            is_drained: false,
            weight: 200,
            sessions: 2,
            check: "its check succeeded".to_owned(),
            counters,
            mean: Duration::from_millis(12),
        };
        assert_eq!(places["blue1"], expected);
        assert!(
            places["blue2"].is_drained && places["blue2"].check == "its check was answered with 503",
            "{:?}",
            places["blue2"]
        );
        assert_eq!((places["green1"].is_up, &places["green1"].address), (false, &None));
        assert_eq!(super::counters(&places, Slot::Blue).requests, 98);
        let later = Counters { requests: 103, errors: 9, ..counters };
        assert_eq!((later.since(counters).requests, later.since(counters).errors), (5, 1));
        assert_eq!(Counters { requests: 3, errors: 0, ..counters }.since(counters).requests, 3);
        assert_eq!(super::places("Permission denied", STATISTICS), None);
        let saved = saved(SERVERS).expect("a table");
        assert_eq!((saved["blue1"].weight, saved["blue1"].is_up, saved["blue2"].is_drained), (200, true, true));
    }

    #[test]
    fn a_check_of_the_router_is_in_words() {
        assert_eq!(check("* L4TOUT", ""), "its check got no connection in time");
        assert_eq!(check("L4CON", ""), "its check got no connection");
        assert_eq!(check("L7STS", "503"), "its check was answered with 503");
        assert_eq!((check("", ""), check("NEW", "1")), (String::new(), "its check ended with NEW 1".to_owned()));
    }
}
