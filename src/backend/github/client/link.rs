//! State of the link to a server: whether the server responds, and until when no request may be sent.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::files;
use crate::model::Timestamp;
use crate::model::feed::{Connection, Trouble};
use crate::store::atomic;

/// The state of a link and the age of its data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LinkState {
    /// Whether the server responds, and if not, why.
    pub condition: Condition,
    /// Time of the last answer, including answers to earlier processes; `None` before the first.
    pub answered: Option<Timestamp>,
    /// The rate limit, as last reported; `None` if none was reported.
    pub rate: Option<Rate>,
    /// Scopes of the token, as the server reports them; `None` if it reports none, as for fine-grained tokens.
    pub scopes: Option<Vec<String>>,
}

/// The server's rate limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// Number of requests in each period.
    pub limit: u64,
    /// Requests that are left.
    pub remaining: u64,
    /// Time at which the period ends, by the clock of this machine.
    pub reset: Timestamp,
}

/// Whether a server responds, and if not, why.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Condition {
    /// The last request was answered, or none was sent yet.
    #[default]
    Live,
    /// The last requests failed. The next one is sent at `retry`.
    Failing {
        /// The cause, in one line.
        reason: String,
        /// Time of the next request.
        retry: Timestamp,
    },
    /// The rate limit is used up.
    Limited {
        /// Time at which the period ends.
        until: Timestamp,
    },
    /// The server asked for a pause: too many requests in a short time.
    Paused {
        /// End of the pause.
        until: Timestamp,
    },
    /// The token was rejected. Requests fail at once for the next minute.
    TokenRefused,
    /// The organization requires the token to be authorized for single sign-on.
    SsoNeeded {
        /// Address of the page for it; empty if the server named none.
        url: String,
    },
}

impl Condition {
    /// Whether the condition continues after an answer to another request, as a limit, a pause and a rejected token do.
    /// `is_refused` is whether the token was rejected recently.
    fn lasts(&self, now: Timestamp, is_refused: bool) -> bool {
        match self {
            Self::TokenRefused => is_refused,
            Self::Limited { until } | Self::Paused { until } => *until > now,
            Self::Live | Self::Failing { .. } | Self::SsoNeeded { .. } => false,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => to.write_str("connected"),
            Self::Failing { reason, .. } => to.write_str(reason),
            Self::Limited { until } => write!(to, "the request limit is used up until {}", Clock(*until)),
            Self::Paused { until } => write!(to, "the server asked for a pause until {}", Clock(*until)),
            Self::TokenRefused => to.write_str("the token was rejected: `cuelight auth status` shows where it is from"),
            Self::SsoNeeded { url } if url.is_empty() => {
                to.write_str("the organization wants the token to be authorized for single sign-on")
            }
            Self::SsoNeeded { url } => write!(to, "the token must be authorized for single sign-on: {url}"),
        }
    }
}

/// A time of the day, in local time.
struct Clock(Timestamp);

impl fmt::Display for Clock {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.0.instant().to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M"))
    }
}

impl LinkState {
    /// Returns the state as the screen shows it.
    #[must_use]
    pub fn connection(&self) -> Connection {
        let trouble = match self.condition {
            Condition::Live => return Connection::Live,
            Condition::Failing { .. } => Trouble::NoAnswer,
            Condition::Limited { until } | Condition::Paused { until } => Trouble::Paused { until },
            Condition::TokenRefused => Trouble::TokenRefused,
            Condition::SsoNeeded { .. } => Trouble::SsoNeeded,
        };
        let reason = self.condition.to_string();
        match self.answered {
            Some(since) => Connection::Stale { since, trouble, reason },
            None => Connection::Offline { trouble, reason },
        }
    }
}

/// The link of a client, and the rules for when a request may be sent.
pub(super) struct Link {
    state: watch::Sender<LinkState>,
    counts: Mutex<Counts>,
    /// File from which other processes with the same token learn of a limit or a pause.
    shared: PathBuf,
}

#[derive(Default)]
struct Counts {
    /// Number of failures since the last answer.
    failures: u32,
    /// Number of pauses without a given length since the last answer.
    pauses: u32,
    /// Time at which the token was last refused.
    refused: Option<Timestamp>,
}

/// Delay before the next request after the first failure. It doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_secs(2);
/// Longest delay before the next request after a failure.
const LONGEST_DELAY: Duration = Duration::from_mins(1);
/// Length of a pause for which the server names no length. It doubles with each further such pause.
const UNNAMED_PAUSE: Duration = Duration::from_mins(1);
/// Delay before the next request after the token was rejected: a server that is shutting down rejects every token.
const REFUSED_DELAY: Duration = Duration::from_mins(1);
/// Maximum pause, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(65);
/// Maximum size of the shared file, in bytes.
const MAX_SHARED: u64 = 1024;

impl Link {
    /// Creates the link to a server before the first request. `answered` is the time of the newest stored answer.
    pub(super) fn new(shared: PathBuf, answered: Option<Timestamp>) -> Self {
        let state = LinkState { answered, ..LinkState::default() };
        Self { state: watch::Sender::new(state), counts: Mutex::default(), shared }
    }

    pub(super) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// Returns why no request may be sent now, and how long that lasts; `None` if one may be sent. Without a length,
    /// the request fails at once instead of waiting. A pause that another process noted applies, too.
    pub(super) fn hold(&self, now: Timestamp) -> Option<(Option<Duration>, Condition)> {
        let mut condition = self.state.borrow().condition.clone();
        if !matches!(condition, Condition::TokenRefused)
            && let Some(shared) = self.shared_pause(now)
        {
            condition = shared;
        }
        match condition {
            Condition::TokenRefused => self.is_refused(now).then_some((None, condition)),
            Condition::Limited { until } | Condition::Paused { until } | Condition::Failing { retry: until, .. } => {
                let left = until.since(now).min(LONGEST_PAUSE);
                (!left.is_zero()).then_some((Some(left), condition))
            }
            Condition::Live | Condition::SsoNeeded { .. } => None,
        }
    }

    /// Returns a pause that the server imposed on another process with the same token, and makes it the condition of
    /// this link.
    fn shared_pause(&self, now: Timestamp) -> Option<Condition> {
        let text = files::read_own(&self.shared, MAX_SHARED).ok()?;
        let condition: Condition = serde_json::from_slice(&text).ok()?;
        let (Condition::Limited { until } | Condition::Paused { until }) = condition else { return None };
        let left = until.since(now);
        (!left.is_zero() && left <= LONGEST_PAUSE).then(|| {
            self.change(|state| state.condition = condition.clone());
            condition
        })
    }

    /// Notes an answer. It ends a failure, but not a limit, a pause or a rejection of the token that still lasts.
    pub(super) fn answered(&self, now: Timestamp, rate: Option<Rate>) {
        let is_refused = self.is_refused(now);
        {
            let mut counts = self.counts();
            *counts = Counts { refused: counts.refused, ..Counts::default() };
        }
        self.change(|state| {
            state.answered = Some(now);
            state.rate = rate.or(state.rate);
            // An answer may arrive late: its request was sent before the token was rejected or the limit was reached.
            if !state.condition.lasts(now, is_refused) {
                state.condition = Condition::Live;
            }
        });
    }

    /// Notes the scopes of the token, which are separated by commas.
    pub(super) fn scopes(&self, scopes: &str) {
        let scopes: Vec<_> =
            scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        self.change(|state| state.scopes = Some(scopes));
    }

    /// Notes that the server cannot be reached or failed. `dice` is a random number for the jitter.
    pub(super) fn failed(&self, now: Timestamp, reason: &str, dice: u32) {
        let is_refused = self.is_refused(now);
        let failures = {
            let mut counts = self.counts();
            counts.failures = counts.failures.saturating_add(1);
            counts.failures
        };
        let delay = delay(failures, dice);
        self.change(|state| {
            if !state.condition.lasts(now, is_refused) {
                state.condition = Condition::Failing { reason: reason.to_owned(), retry: now.after(delay) };
            }
        });
    }

    /// Notes that the limit is used up, also for other processes with the same token. Returns the new condition.
    pub(super) fn limited(&self, now: Timestamp, rate: Option<Rate>, until: Timestamp) -> Condition {
        let condition = Condition::Limited { until: now.after(until.since(now).clamp(FIRST_DELAY, LONGEST_PAUSE)) };
        self.change(|state| state.rate = rate.or(state.rate));
        self.pause(condition)
    }

    /// Notes that the server asked for a pause, also for other processes with the same token. Returns the new
    /// condition.
    pub(super) fn paused(&self, now: Timestamp, length: Option<Duration>) -> Condition {
        let length = length.unwrap_or_else(|| {
            let mut counts = self.counts();
            counts.pauses = counts.pauses.saturating_add(1);
            UNNAMED_PAUSE * 2_u32.pow(counts.pauses.min(6) - 1)
        });
        self.pause(Condition::Paused { until: now.after(length.clamp(Duration::from_secs(1), LONGEST_PAUSE)) })
    }

    fn pause(&self, condition: Condition) -> Condition {
        if let Ok(text) = serde_json::to_vec(&condition) {
            // If this fails, another process finds out by its own request.
            let _ = atomic::write_unsynced(&self.shared, &text);
        }
        self.change(|state| state.condition = condition.clone());
        condition
    }

    /// Whether the token was rejected recently.
    fn is_refused(&self, now: Timestamp) -> bool {
        self.counts().refused.is_some_and(|at| now.since(at) < REFUSED_DELAY)
    }

    /// Notes that the token was rejected.
    pub(super) fn refused(&self, now: Timestamp) -> Condition {
        self.counts().refused = Some(now);
        self.change(|state| state.condition = Condition::TokenRefused);
        Condition::TokenRefused
    }

    /// Notes that the token must be authorized for single sign-on.
    pub(super) fn sso_needed(&self, url: String) -> Condition {
        let condition = Condition::SsoNeeded { url };
        self.change(|state| state.condition = condition.clone());
        condition
    }

    fn change(&self, change: impl FnOnce(&mut LinkState)) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the delay after a number of failures: 2, 4, 8 .. 60 s, up to a tenth more or less.
fn delay(failures: u32, dice: u32) -> Duration {
    let delay = FIRST_DELAY * 2_u32.pow(failures.clamp(1, 6) - 1);
    delay.min(LONGEST_DELAY).mul_f64(0.9 + 0.2 * f64::from(dice) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> (Link, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        (Link::new(folder.path().join("pause"), None), folder)
    }

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn wait(link: &Link, now: Timestamp) -> Option<u64> {
        link.hold(now).map(|(left, _)| left.map_or(u64::MAX, |left| left.as_secs()))
    }

    #[test]
    fn failures_are_retried_after_growing_delays_and_an_answer_ends_them() {
        let (link, _folder) = link();
        let middle = u32::MAX / 2;
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            link.failed(NOW, "no answer", middle);
            assert_eq!(wait(&link, Timestamp(NOW.0 + 1)), Some(seconds - 1), "{seconds}");
        }
        assert!(matches!(link.watch().borrow().connection(), Connection::Offline { .. }));
        link.answered(NOW, None);
        assert_eq!((wait(&link, NOW), link.watch().borrow().connection()), (None, Connection::Live));
        link.failed(NOW, "no answer", middle);
        let stale = Connection::Stale { since: NOW, trouble: Trouble::NoAnswer, reason: "no answer".to_owned() };
        assert_eq!((link.watch().borrow().connection(), wait(&link, NOW.after(3 * FIRST_DELAY))), (stale, None));
        assert!(delay(1, 0) >= Duration::from_millis(1790) && delay(1, u32::MAX) <= Duration::from_millis(2210));
    }

    #[test]
    fn limits_and_pauses_hold_also_for_other_processes_and_end() {
        let (link, _folder) = link();
        let other = Link::new(link.shared.clone(), Some(NOW));
        link.limited(NOW, None, NOW.after(Duration::from_secs(100)));
        assert_eq!((wait(&link, NOW), wait(&other, NOW)), (Some(100), Some(100)));
        other.failed(NOW, "no answer", 0);
        let known = other.watch().borrow().connection();
        assert!(matches!(known, Connection::Stale { since: NOW, .. }), "the age of what is known: {known:?}");
        link.answered(NOW, None);
        assert_eq!(wait(&link, NOW), Some(100), "a late answer does not end the pause");
        let after = NOW.after(Duration::from_secs(101));
        assert_eq!((wait(&link, after), wait(&other, after)), (None, None));
        link.answered(after, None);
        assert_eq!(link.watch().borrow().connection(), Connection::Live);
        for seconds in [60, 120, 240] {
            link.paused(after, None);
            assert_eq!(wait(&link, after), Some(seconds));
        }
        link.paused(after, Some(Duration::from_secs(1_000_000)));
        assert_eq!(wait(&link, after), Some(3900), "no server can stop us for days");
    }

    #[test]
    fn a_refused_token_is_used_again_after_a_while() {
        let (link, _folder) = link();
        link.refused(NOW);
        link.answered(NOW, None);
        link.failed(NOW, "no answer", 0);
        let before = NOW.after(REFUSED_DELAY.saturating_sub(Duration::from_secs(1)));
        assert_eq!(wait(&link, before), Some(u64::MAX));
        assert!(matches!(link.watch().borrow().connection(), Connection::Stale { .. }));
        let after = NOW.after(REFUSED_DELAY);
        assert_eq!(wait(&link, after), None);
        link.refused(after);
        assert_eq!(wait(&link, after), Some(u64::MAX));
        let again = after.after(REFUSED_DELAY);
        link.answered(again, None);
        assert_eq!(link.watch().borrow().connection(), Connection::Live);
    }
}
