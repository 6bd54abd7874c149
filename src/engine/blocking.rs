//! Work that waits for files, beside tasks that must go on meanwhile.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does work that may wait for a file system. Other tasks go on, as the thread is taken out of the runtime meanwhile.
/// Outside a runtime, and in one with a single thread, it is a plain call.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
