//! Interprets the status and the headers of an answer, and the body of a refusal.

use std::time::Duration;

use crate::model::Timestamp;

use super::link::Rate;
use super::transport::Incoming;

/// What an answer means for the request and for the link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The request was carried out: 2xx.
    Done,
    /// The stored answer is still valid: 304.
    NotModified,
    /// The resource is elsewhere.
    Redirect,
    /// The limit of requests is used up until this time.
    Limited(Timestamp),
    /// The server asks for a pause, with its length if given.
    Paused(Option<Duration>),
    /// The token is not accepted.
    TokenRefused,
    /// The token must be authorized for single sign-on, on this page.
    SsoNeeded(String),
    /// The request is refused: another 4xx.
    Refused,
    /// The server failed: 5xx, or a status that HTTP does not define.
    Failed,
}

/// The parts of an answer that determine the verdict.
pub(super) struct Facts<'a> {
    pub(super) status: u16,
    /// Returns the value of a header.
    pub(super) header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Body of a refusal; empty if it is too large, and for other answers.
    pub(super) body: &'a [u8],
    /// Whether the request had a token.
    pub(super) has_token: bool,
    pub(super) now: Timestamp,
}

/// Maximum period of the rate limit in milliseconds: an hour, plus a tolerance for clocks.
const LONGEST_PERIOD: u64 = 3_700_000;

/// Returns the verdict about an answer.
pub(super) fn verdict(facts: &Facts<'_>) -> Verdict {
    match facts.status {
        200..=299 => Verdict::Done,
        304 => Verdict::NotModified,
        301 | 302 | 303 | 307 | 308 => Verdict::Redirect,
        401 if facts.has_token => Verdict::TokenRefused,
        403 | 429 => refusal(facts),
        400..=499 => Verdict::Refused,
        _ => Verdict::Failed,
    }
}

fn refusal(facts: &Facts<'_>) -> Verdict {
    let header = facts.header;
    if let Some(sso) = header("x-github-sso") {
        return Verdict::SsoNeeded(sso_page(sso));
    }
    if let Some(after) = header("retry-after").and_then(|after| after.trim().parse().ok()) {
        return Verdict::Paused(Some(Duration::from_secs(after)));
    }
    let rate = rate(header, facts.now);
    if let Some(rate) = rate.filter(|rate| rate.remaining == 0) {
        return Verdict::Limited(rate.reset);
    }
    let body = String::from_utf8_lossy(facts.body).to_ascii_lowercase();
    if facts.status == 429 || body.contains("secondary rate limit") || body.contains("abuse detection") {
        return Verdict::Paused(None);
    }
    Verdict::Refused
}

/// Returns the page in `required; url=https://…`, if it is an https address.
fn sso_page(header: &str) -> String {
    let pages = header.split(';').filter_map(|part| part.trim().strip_prefix("url="));
    let is_page = |page: &&str| page.starts_with("https://") && page.bytes().all(|byte| byte.is_ascii_graphic());
    pages.filter(is_page).map(str::to_owned).next().unwrap_or_default()
}

/// Returns the rate limit in the headers of an answer; `None` if one of them is missing. The reset is a time of the
/// server's clock, which may differ from this machine's by minutes, so the time until then is measured from the `Date`
/// header; from this machine's clock if that header is missing or more than a period away from the reset.
pub(super) fn rate<'a>(header: &dyn Fn(&str) -> Option<&'a str>, now: Timestamp) -> Option<Rate> {
    let number = |name: &str| header(name).and_then(|value| value.trim().parse::<u64>().ok());
    let (limit, remaining) = (number("x-ratelimit-limit")?, number("x-ratelimit-remaining")?);
    let reset = number("x-ratelimit-reset")?.saturating_mul(1000);
    let date = header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let date = date.and_then(|date| u64::try_from(date.timestamp().as_millisecond()).ok());
    let clocks = [date.unwrap_or(now.0), now.0];
    let left = clocks.into_iter().filter(|clock| reset.abs_diff(*clock) <= LONGEST_PERIOD);
    let left = left.map(|clock| reset.saturating_sub(clock)).next().unwrap_or(LONGEST_PERIOD);
    Some(Rate { limit, remaining, reset: Timestamp(now.0.saturating_add(left)) })
}

/// Longest time between two polls that a server may ask for, in seconds.
const LONGEST_POLL_INTERVAL: u64 = 3600;

/// Returns the shortest time between two polls of the same path that the server asks for, in seconds; 0 if it names
/// none.
pub(super) fn poll_interval(incoming: &Incoming) -> u64 {
    let seconds = incoming.header("x-poll-interval").and_then(|seconds| seconds.trim().parse::<u64>().ok());
    seconds.unwrap_or_default().min(LONGEST_POLL_INTERVAL)
}

/// Returns the address of the next page in a `Link` header.
pub(super) fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (address, rest) = part.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = rest.split(';').any(|field| matches!(field.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn of(status: u16, headers: &[(&str, &str)], body: &str) -> Verdict {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        verdict(&Facts { status, header: &header, body: body.as_bytes(), has_token: true, now: NOW })
    }

    #[test]
    fn statuses_and_headers_decide() {
        let used_up =
            [("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000100")];
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (status, headers, body, expected) in [
            (200, &[][..], "", Verdict::Done),
            (204, &[], "", Verdict::Done),
            (304, &[], "", Verdict::NotModified),
            (302, &[], "", Verdict::Redirect),
            (401, &[], "", Verdict::TokenRefused),
            (403, &[], "Resource not accessible by personal access token", Verdict::Refused),
            (403, &[("retry-after", "7")], "", Verdict::Paused(seconds(7))),
            (429, &[("retry-after", "7")], "", Verdict::Paused(seconds(7))),
            (429, &[], "", Verdict::Paused(None)),
            (403, &[], "You have exceeded a secondary rate limit", Verdict::Paused(None)),
            (403, &used_up, "", Verdict::Limited(Timestamp(NOW.0 + 100_000))),
            (403, &[("x-github-sso", "required; url=https://h/sso")], "", Verdict::SsoNeeded("https://h/sso".into())),
            (403, &[("x-github-sso", "required; url=javascript:x")], "", Verdict::SsoNeeded(String::new())),
            (404, &used_up, "", Verdict::Refused),
            (422, &[], "", Verdict::Refused),
            (500, &[], "", Verdict::Failed),
            (502, &[("retry-after", "7")], "", Verdict::Failed),
            (999, &[], "", Verdict::Failed),
        ] {
            assert_eq!(of(status, headers, body), expected, "{status} {headers:?} {body}");
        }
        let anonymous = Facts { status: 401, header: &|_| None, body: b"", has_token: false, now: NOW };
        assert_eq!(verdict(&anonymous), Verdict::Refused);
    }

    #[test]
    fn the_reset_holds_whatever_the_clocks_say() {
        let left = |date: Option<&str>, reset: &str| {
            let headers = [
                ("x-ratelimit-limit", Some("5000")),
                ("x-ratelimit-remaining", Some("1")),
                ("x-ratelimit-reset", Some(reset)),
                ("date", date),
            ];
            let header = |name: &str| headers.iter().find(|(known, _)| *known == name).and_then(|(_, value)| *value);
            rate(&header, NOW).expect("a rate").reset.since(NOW).as_secs()
        };
        // The clock of this machine is at 22:13:20.
        assert_eq!(left(Some("Tue, 14 Nov 2023 22:13:20 GMT"), "1700000100"), 100);
        assert_eq!(left(Some("Tue, 14 Nov 2023 22:18:20 GMT"), "1700000400"), 100, "the server is 5 minutes ahead");
        assert_eq!(left(None, "1700000100"), 100);
        assert_eq!(left(Some("Thu, 01 Jan 1970 00:00:00 GMT"), "1700000100"), 100);
        assert_eq!(left(Some("Tue, 14 Nov 2023 22:13:20 GMT"), "9900000100"), LONGEST_PERIOD / 1000);
        assert_eq!(left(Some("nonsense"), "1"), LONGEST_PERIOD / 1000);
        assert_eq!(left(Some("Tue, 14 Nov 2023 22:13:20 GMT"), "1699999000"), 0, "it has passed");
    }

    #[test]
    fn the_next_page_is_found_among_the_links() {
        let link = "<https://h/x?page=1>; rel=\"prev\", <https://h/x?page=3>; rel=\"next\", <https://h/x?page=9>; rel=\"last\"";
        assert_eq!(next_page(link), Some("https://h/x?page=3"));
        for none in
            ["", "<", "<>", "<https://h/x>; rel=\"last\"", "https://h/x; rel=\"next\"", ",,,", "<a; rel=\"next\""]
        {
            assert_eq!(next_page(none), None, "{none}");
        }
    }
}
