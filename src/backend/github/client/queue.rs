//! The queue in front of a server: limits the requests in flight, and sends the user's own requests first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Priority of a request, highest first. Requests of one priority are sent in the order in which they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Priority {
    /// An action of the user.
    User,
    /// A poll of what is on the screen.
    Visible,
    /// A poll of what is not on the screen.
    Background,
}

pub(super) struct Queue {
    state: Mutex<State>,
}

struct State {
    free: usize,
    next: u64,
    waiting: BTreeMap<(Priority, u64), oneshot::Sender<Permit>>,
}

/// Permission to send one request. Dropping it lets the next request start.
pub(super) struct Permit {
    queue: Arc<Queue>,
}

impl Queue {
    /// Makes a queue for at most `most` requests in flight.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: most, next: 0, waiting: BTreeMap::new() }) })
    }

    /// Waits for a permit.
    pub(super) async fn enter(self: &Arc<Self>, priority: Priority) -> Permit {
        let receiver = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Permit { queue: Arc::clone(self) };
            }
            let (sender, receiver) = oneshot::channel();
            let number = state.next;
            state.next += 1;
            state.waiting.insert((priority, number), sender);
            receiver
        };
        match receiver.await {
            Ok(permit) => permit,
            // The queue, which this call keeps alive, owns the senders.
            Err(_) => unreachable!("a waiting request is dropped with the queue alone"),
        }
    }

    fn release(self: &Arc<Self>) {
        let next = {
            let mut state = self.state();
            let next = state.waiting.pop_first();
            state.free += usize::from(next.is_none());
            next
        };
        if let Some((_, waiting)) = next {
            // If the waiting request was dropped, the permit is dropped here and passed on.
            let _ = waiting.send(Permit { queue: Arc::clone(self) });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queue.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::task::yield_now;

    #[tokio::test]
    async fn two_at_once_and_the_user_first() {
        let queue = Queue::new(2);
        let (first, second) = (queue.enter(Priority::Background).await, queue.enter(Priority::Background).await);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, priority) in [
            ("poll", Priority::Background),
            ("shown", Priority::Visible),
            ("key", Priority::User),
            ("key 2", Priority::User),
        ] {
            let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let permit = queue.enter(priority).await;
                order.lock().expect("a list").push(name);
                drop(permit);
            }));
            yield_now().await;
        }
        let gone = tasks.remove(2);
        gone.abort();
        assert!(gone.await.is_err());
        assert!(order.lock().expect("a list").is_empty());
        drop(first);
        for task in tasks {
            task.await.expect("ends");
        }
        assert_eq!(*order.lock().expect("a list"), ["key 2", "shown", "poll"]);
        drop(second);
        assert_eq!(queue.state().free, 2);
    }
}
