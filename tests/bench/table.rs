//! Helpers for benchmarks that print a table.

use std::time::Duration;

/// Prints a row.
#[expect(clippy::print_stdout, reason = "the benchmark prints a table")]
pub(crate) fn row(what: &str, figure: &str, budget: &str) {
    println!("{what:<62} {figure:<44} {budget}");
}

/// Converts a time to milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the median of some times.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
