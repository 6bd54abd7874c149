//! What benchmarks that print a table share.

use std::time::Duration;

/// Prints a row.
#[expect(clippy::print_stdout, reason = "the table is what the benchmark is for")]
pub(crate) fn say(what: &str, figure: &str, budget: &str) {
    println!("{what:<62} {figure:<44} {budget}");
}

/// A time in milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The time in the middle.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
