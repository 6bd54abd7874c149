//! Blocking work on files inside async tasks.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs work that may block on a file system. Other tasks continue, because the thread is temporarily taken out of the
/// runtime. In a single-threaded runtime, and outside a runtime, `work` is called directly, so it may delay the other
/// tasks of the thread.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
