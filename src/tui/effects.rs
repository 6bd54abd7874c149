//! Reads and searches logs on threads of the blocking pool, so that the screen never waits for a disk.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::app::msg::Msg;
use crate::store::logs::query::{
    LogPage, LogSearch, LogSearchResult, Logs, PageRequest, RunSearch, RunSearchResult, SearchSlot,
};

/// Interval at which a search sends the matches found so far, so that the first matches in a large log are shown at
/// once.
const RESULT_INTERVAL: Duration = Duration::from_millis(50);

/// Number of matches in a log after which the clock is read again. Reading it for each match would be slow if most
/// lines of a large log match.
const MATCHES_PER_CLOCK: usize = 64;

/// Reads a page of a log and sends it as a message.
pub(super) fn load_page(
    logs: &Arc<dyn Logs>,
    request: PageRequest,
    answers: &mpsc::Sender<Msg>,
    answer: impl FnOnce(LogPage) -> Msg + Send + 'static,
) {
    let (logs, answers) = (Arc::clone(logs), answers.clone());
    tokio::task::spawn_blocking(move || {
        // Sending fails once the screen is closed, when the lines are not needed any more.
        let _ = answers.blocking_send(answer(logs.pages(request)));
    });
}

/// The running searches, one per slot, each with its cancellation flag.
#[derive(Debug, Default)]
pub(super) struct Searches(HashMap<SearchSlot, Arc<AtomicBool>>);

impl Searches {
    /// Cancels the search in a slot.
    pub(super) fn cancel(&mut self, slot: SearchSlot) {
        if let Some(cancelled) = self.0.remove(&slot) {
            cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Starts a search in `slot` after cancelling the previous one. Returns its cancellation flag.
    fn begin(&mut self, slot: SearchSlot) -> Arc<AtomicBool> {
        self.cancel(slot);
        let cancelled = Arc::new(AtomicBool::new(false));
        self.0.insert(slot, Arc::clone(&cancelled));
        cancelled
    }

    /// Searches the logs of a run and sends the result in parts.
    pub(super) fn search_run(&mut self, logs: &Arc<dyn Logs>, search: RunSearch, answers: &mpsc::Sender<Msg>) {
        let cancelled = self.begin(SearchSlot::Run);
        let (logs, answers) = (Arc::clone(logs), answers.clone());
        tokio::task::spawn_blocking(move || {
            let is_cancelled = || cancelled.load(Ordering::Relaxed);
            let send = |hits, done| {
                answers.blocking_send(Msg::RunSearched(RunSearchResult { id: search.id, hits, done })).is_ok()
            };
            let (mut part, mut sent) = (Vec::new(), Instant::now());
            let ended = logs.search_run(&search, &is_cancelled, &mut |log, line| {
                part.push((log, line));
                if sent.elapsed() >= RESULT_INTERVAL {
                    sent = Instant::now();
                    if !send(Ok(std::mem::take(&mut part)), false) {
                        return ControlFlow::Break(());
                    }
                }
                if is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if !is_cancelled() {
                // Lines that were found before the error are sent too.
                let last = std::mem::take(&mut part);
                let _ = match ended {
                    Ok(()) => send(Ok(last), true),
                    Err(error) => send(Ok(last), false) && send(Err(error), true),
                };
            }
        });
    }

    /// Searches a log and sends the result in parts.
    pub(super) fn search(&mut self, logs: &Arc<dyn Logs>, search: LogSearch, answers: &mpsc::Sender<Msg>) {
        let cancelled = self.begin(search.slot);
        let (logs, answers) = (Arc::clone(logs), answers.clone());
        tokio::task::spawn_blocking(move || {
            let is_cancelled = || cancelled.load(Ordering::Relaxed);
            let send = |found, done| {
                let result = LogSearchResult { search: search.clone(), found, done };
                answers.blocking_send(Msg::LogSearched(result)).is_ok()
            };
            let (mut part, mut sent) = (Vec::new(), Instant::now());
            let ended = logs.search(&search, &is_cancelled, &mut |line| {
                part.push(line);
                if part.len().is_multiple_of(MATCHES_PER_CLOCK) && sent.elapsed() >= RESULT_INTERVAL {
                    sent = Instant::now();
                    if !send(Ok(std::mem::take(&mut part)), false) {
                        return ControlFlow::Break(());
                    }
                }
                if is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if !is_cancelled() {
                send(ended.map(|()| part), true);
            }
        });
    }
}
