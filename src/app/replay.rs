//! A past run, seen again: its records are folded up to a moment that moves, forward and back, at any speed.

use crate::model::RunInfo;
use crate::model::{Event, Record, Timestamp};
use crate::ui::text;

use super::App;
use super::action::Action;
use crate::model::feed::Notice;

/// Speeds, in thousandths of the real one.
const SPEEDS: [u64; 9] = [250, 500, 1000, 2000, 4000, 8000, 16_000, 64_000, 256_000];

/// Where in [`SPEEDS`] a replay begins.
const REAL: usize = 2;

/// A run that is seen again.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    header: RunInfo,
    records: Vec<Record>,
    /// The moment that is shown.
    at: Timestamp,
    speed: usize,
    playing: bool,
    /// When the moment was moved last.
    ticked: Timestamp,
}

impl Replay {
    /// A run before its first record.
    fn new(header: RunInfo) -> Self {
        let at = header.created;
        Self { header, records: Vec::new(), at, speed: REAL, playing: true, ticked: Timestamp(0) }
    }

    fn start(&self) -> Timestamp {
        self.records.first().map_or(self.header.created, |record| record.at)
    }

    fn end(&self) -> Timestamp {
        self.records.last().map_or(self.start(), |record| record.at)
    }

    /// Whether time goes on in it.
    pub(super) fn is_playing(&self) -> bool {
        self.playing && !self.records.is_empty()
    }

    /// The moment after the next record that changes more than a log, or before the last one.
    fn step(&self, forward: bool) -> Timestamp {
        let tells = |record: &&Record| !matches!(record.event, Event::Output { .. } | Event::ProcessStarted { .. });
        let mut moments = self.records.iter().filter(tells).map(|record| record.at);
        let next = if forward { moments.find(|at| *at > self.at) } else { moments.rev().find(|at| *at < self.at) };
        next.unwrap_or(if forward { self.end() } else { self.start() })
    }

    /// How it stands, in a few words.
    fn told(&self) -> String {
        let speed = SPEEDS[self.speed] as f64 / 1000.0;
        let (at, all) = (text::duration(self.at.since(self.start())), text::duration(self.end().since(self.start())));
        let word = if self.playing { "replay" } else { "paused" };
        format!("{word} {speed}x {at}/{all}")
    }
}

impl App {
    /// Starts to replay a run. Its records come next.
    pub(super) fn begin_replay(&mut self, header: RunInfo) {
        self.runs.selected = Some(header.id.clone());
        self.replay = Some(Replay::new(header));
        self.rewind();
        self.toast = Some(Notice::news("space: pause  [ ]: a step back or on  < >: slower or faster"));
    }

    /// Takes in records of the run that is replayed.
    pub(super) fn extend_replay(&mut self, records: Vec<Record>) {
        let Some(replay) = &mut self.replay else { return };
        if let (true, Some(first)) = (replay.records.is_empty(), records.first()) {
            replay.at = first.at;
            self.facts.since = first.at;
        }
        replay.records.extend(records);
        self.fold_replay();
    }

    /// Time has passed for whoever watches: it passes in the replay, too.
    pub(super) fn tick_replay(&mut self, now: Timestamp) {
        let Some(replay) = &mut self.replay else { return };
        let passed = now.since(if replay.ticked.0 == 0 { now } else { replay.ticked }).as_millis() as u64;
        replay.ticked = now;
        if replay.is_playing() {
            let to = Timestamp(replay.at.0 + passed.saturating_mul(SPEEDS[replay.speed]) / 1000);
            replay.playing = to < replay.end();
            self.seek(to);
        }
    }

    /// An action that has a meaning in a replay only.
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
            _ => {
                replay.playing = false;
                let to = replay.step(action == Action::StepForward);
                self.seek(to);
            }
        }
        self.tell_replay();
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

    /// Begins anew and folds what came before the moment.
    fn rewind(&mut self) {
        let Some(replay) = &self.replay else { return };
        self.facts.remove(&replay.header.id);
        self.facts.open(replay.header.clone());
        self.toast = None;
        self.fold_replay();
    }

    /// Folds what came up to the moment; what was folded already changes nothing.
    fn fold_replay(&mut self) {
        let Some(replay) = &self.replay else { return };
        let count = replay.records.partition_point(|record| record.at <= replay.at);
        let known = self.facts.run(&replay.header.id).map_or(0, |run| run.seq);
        let first = replay.records.partition_point(|record| record.seq <= known).min(count);
        let news = self.facts.apply(&replay.header.id, &replay.records[first..count]);
        self.facts.now = replay.at;
        self.toast = news.or(self.toast.take());
        self.tell_replay();
    }

    fn tell_replay(&mut self) {
        self.facts.replay = self.replay.as_ref().map(Replay::told);
    }
}
