//! Replay of a past run. Its records are folded up to a moment that moves forward or back at any speed.

use std::time::Duration;

use crate::model::RunInfo;
use crate::model::{Event, Record, Timestamp};
use crate::ui::text;

use super::App;
use super::action::Action;
use crate::model::feed::Notice;

/// Speeds in thousandths of real time.
const SPEEDS: [u64; 9] = [250, 500, 1000, 2000, 4000, 8000, 16_000, 64_000, 256_000];

/// Index of real time in [`SPEEDS`].
const NORMAL_SPEED: usize = 2;

/// Time of the run by which the replay jumps.
const SEEK: Duration = Duration::from_secs(10);

/// Maximum time to wait for the next record. The rest of a longer gap between two records is skipped.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// A replayed run.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    info: RunInfo,
    records: Vec<Record>,
    /// The displayed moment.
    at: Timestamp,
    speed: usize,
    playing: bool,
    /// Time of the last tick.
    ticked: Timestamp,
}

impl Replay {
    /// Returns a replay before its first record.
    fn new(info: RunInfo) -> Self {
        let at = info.created;
        Self { info, records: Vec::new(), at, speed: NORMAL_SPEED, playing: true, ticked: Timestamp(0) }
    }

    fn start(&self) -> Timestamp {
        self.records.first().map_or(self.info.created, |record| record.at)
    }

    fn end(&self) -> Timestamp {
        self.records.last().map_or(self.start(), |record| record.at)
    }

    /// Whether the replay is playing.
    pub(super) fn is_playing(&self) -> bool {
        self.playing && !self.records.is_empty()
    }

    /// Returns the moment of the next or previous record that changes more than a log; without one, the end or the
    /// start.
    fn step(&self, forward: bool) -> Timestamp {
        let of_logs = |event: &Event| {
            matches!(event, Event::Output { .. } | Event::LineGrew { .. } | Event::ProcessStarted { .. })
        };
        let is_event = |record: &&Record| !of_logs(&record.event);
        let mut moments = self.records.iter().filter(is_event).map(|record| record.at);
        let next = if forward { moments.find(|at| *at > self.at) } else { moments.rev().find(|at| *at < self.at) };
        next.unwrap_or(if forward { self.end() } else { self.start() })
    }

    /// Returns the moment that follows after some real time, and the length of the skipped time, if any. Of a gap
    /// without records, all but the last [`MAX_WAIT`] is skipped.
    fn after(&self, passed: Duration) -> (Timestamp, Option<Duration>) {
        let of_run = |real: Duration| (real.as_millis() as u64).saturating_mul(SPEEDS[self.speed]) / 1000;
        let to = self.at.0.saturating_add(of_run(passed));
        let next = self.records.partition_point(|record| record.at <= self.at);
        let latest = self.records.get(next).map_or(to, |next| next.at.0.saturating_sub(of_run(MAX_WAIT)));
        if latest <= to {
            (Timestamp(to), None)
        } else {
            (Timestamp(latest), Some(Timestamp(latest).since(Timestamp(to))))
        }
    }

    /// Returns the state of the replay, for the header.
    fn status(&self) -> String {
        let speed = SPEEDS[self.speed] as f64 / 1000.0;
        let (at, all) = (text::duration(self.at.since(self.start())), text::duration(self.end().since(self.start())));
        let word = if self.playing { "replay" } else { "paused" };
        format!("{word} {speed}x {at}/{all}")
    }
}

impl App {
    /// Starts the replay of a run, whose records arrive later, and shows the keys of the replay.
    pub(super) fn start_replay(&mut self, info: RunInfo) {
        self.selection.select_run(Some(info.id.clone()));
        self.replay = Some(Replay::new(info));
        self.rewind();
        self.toast = Some(Notice::news(
            "space: pause  [ ]: one event back or on  ( ): 10 seconds back or on  < >: slower or faster",
        ));
    }

    /// Adds records of the replayed run.
    pub(super) fn extend_replay(&mut self, records: Vec<Record>) {
        let Some(replay) = &mut self.replay else { return };
        if let (true, Some(first)) = (replay.records.is_empty(), records.first()) {
            replay.at = first.at;
            self.state.opened = first.at;
        }
        replay.records.extend(records);
        self.fold_replay();
    }

    /// Moves the displayed moment by the elapsed time, at the speed of the replay. Pauses the replay at its end.
    pub(super) fn tick_replay(&mut self, now: Timestamp) {
        let Some(replay) = &mut self.replay else { return };
        let passed = now.since(if replay.ticked.0 == 0 { now } else { replay.ticked });
        replay.ticked = now;
        if replay.is_playing() {
            let (to, skipped) = replay.after(passed);
            replay.playing = to < replay.end();
            self.seek(to);
            if let Some(skipped) = skipped {
                let text = format!("skipped {} in which nothing happened", text::duration(skipped));
                self.toast = Some(Notice::news(text));
            }
        }
    }

    /// Carries out an action that is available in a replay only.
    pub(super) fn act_in_replay(&mut self, action: Action) {
        let Some(replay) = &mut self.replay else { return };
        match action {
            Action::Play if replay.at >= replay.end() => {
                replay.playing = true;
                let start = replay.start();
                self.seek(start);
            }
            Action::Play => replay.playing = !replay.playing,
            Action::Slower => replay.speed = replay.speed.saturating_sub(1),
            Action::Faster => replay.speed = (replay.speed + 1).min(SPEEDS.len() - 1),
            Action::SeekBack | Action::SeekForward => {
                let (at, length) = (replay.at, SEEK.as_millis() as u64);
                let to = if action == Action::SeekBack { at.0.saturating_sub(length) } else { at.0 + length };
                self.seek(Timestamp(to));
            }
            _ => {
                replay.playing = false;
                let to = replay.step(action == Action::StepForward);
                self.seek(to);
            }
        }
        self.show_replay_status();
    }

    fn seek(&mut self, to: Timestamp) {
        let Some(replay) = &mut self.replay else { return };
        let before = replay.at;
        replay.at = to.clamp(replay.start(), replay.end());
        if replay.at < before {
            self.rewind();
        } else {
            self.fold_replay();
        }
    }

    /// Opens the run again without records, and folds its records up to the displayed moment.
    fn rewind(&mut self) {
        let Some(replay) = &self.replay else { return };
        self.state.remove(&replay.info.id);
        self.state.open(replay.info.clone());
        self.toast = None;
        self.fold_replay();
    }

    /// Folds the records up to the displayed moment, except those that are already folded.
    fn fold_replay(&mut self) {
        let Some(replay) = &self.replay else { return };
        let count = replay.records.partition_point(|record| record.at <= replay.at);
        let known = self.state.run(&replay.info.id).map_or(0, |run| run.seq);
        let first = replay.records.partition_point(|record| record.seq <= known).min(count);
        let news = self.state.apply(&replay.info.id, &replay.records[first..count]);
        self.state.now = replay.at;
        self.toast = news.or(self.toast.take());
        self.show_replay_status();
    }

    fn show_replay_status(&mut self) {
        self.state.replay = self.replay.as_ref().map(Replay::status);
        self.state.is_playing = self.replay.as_ref().is_some_and(|replay| replay.playing);
    }
}
