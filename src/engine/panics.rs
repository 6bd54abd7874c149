//! Turns panics of tasks into errors, so that a task which panics does not end silently.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::task::JoinError;

/// A panic and its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub(crate) struct Panic(String);

impl Panic {
    /// Returns the panic that ended a task. For a task that was aborted instead, the message is that it was
    /// cancelled.
    pub(crate) fn of(error: JoinError) -> Self {
        error.try_into_panic().map_or_else(|error| Self(error.to_string()), |panic| Self::message(&*panic))
    }

    fn message(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "no message".to_owned()))
    }
}

/// Runs a future and catches a panic. After a panic, state that the future changed may be inconsistent.
pub(crate) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Panic> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| Panic::message(&*panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_message() {
        assert_eq!(caught(async { 1 }).await, Ok(1));
        assert_eq!(caught(async { panic!("one") }).await, Err::<(), _>(Panic("one".to_owned())));
        assert_eq!(caught(async { panic!("{}", 2) }).await, Err::<(), _>(Panic("2".to_owned())));
        let error = tokio::spawn(async { panic!("three") }).await.expect_err("panicked");
        assert_eq!(Panic::of(error).to_string(), "panicked: three");
    }
}
