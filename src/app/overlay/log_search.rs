//! Lines of all logs of a run that match what is typed: found while it is typed, and gone to with Enter.

use std::sync::atomic::{AtomicU64, Ordering};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::action::Action;
use crate::model::Run;
use crate::store::logs::pattern::Pattern;
use crate::store::logs::query::{LogKey, MAX_RUN_HITS, RunSearch, RunSearchResult};
use crate::ui::log::Line;
use crate::ui::text;
use crate::ui::theme::{Hue, Theme};

use crate::app::panes::{Cx, keep_visible, motion};

/// Columns of the names of job and step.
const NAMES: u16 = 30;

/// How many searches were asked for.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// A search in the logs of a run.
#[derive(Clone, Debug)]
pub(in crate::app) struct Matches {
    /// What was typed.
    pub(in crate::app) typed: String,
    /// Whether that is from the last time: typing begins anew.
    is_old: bool,
    /// The logs that are looked at, in order, each with the names of its job and step.
    logs: Vec<(LogKey, u64, String)>,
    /// The search that is shown, and the pattern that it is for.
    asked: Option<(u64, Pattern)>,
    hits: Vec<Hit>,
    at: usize,
    done: bool,
    error: Option<String>,
}

/// A line that was found.
#[derive(Clone, Debug)]
struct Hit {
    log: usize,
    number: u64,
    line: Line,
}

impl Matches {
    /// A search in what the steps of a run wrote up to now.
    pub(in crate::app) fn new(run: &Run, typed: String, theme: Theme) -> Self {
        let steps = run.jobs.values().flat_map(|job| job.steps.iter().map(move |step| (job, step)));
        let wrote = steps.filter(|(_, step)| step.lines > 0);
        let logs = wrote.map(|(job, step)| {
            let key = LogKey { run: run.info.id.clone(), job: job.id.clone(), attempt: job.attempt, step: step.number };
            (key, step.lines, format!("{}{}{} {}", job.name, theme.arrow(), step.number, step.name))
        });
        Self {
            is_old: !typed.is_empty(),
            typed,
            logs: logs.collect(),
            asked: None,
            hits: Vec::new(),
            at: 0,
            done: true,
            error: None,
        }
    }

    /// A character was typed.
    pub(in crate::app) fn character(&mut self, c: char) {
        if std::mem::take(&mut self.is_old) {
            self.typed.clear();
        }
        self.typed.push(c);
    }

    /// The last character is taken back.
    pub(in crate::app) fn backspace(&mut self) {
        self.is_old = false;
        self.typed.pop();
    }

    /// The search to begin, when something else is typed than is looked for; nothing typed looks for nothing.
    pub(in crate::app) fn ask(&mut self) -> Option<RunSearch> {
        let pattern = Pattern::parse(&self.typed, false);
        if pattern.as_ref() == self.asked.as_ref().map(|(_, asked)| asked) {
            return None;
        }
        (self.hits, self.at, self.error) = (Vec::new(), 0, None);
        let id = ASKED.fetch_add(1, Ordering::Relaxed);
        self.done = pattern.is_none();
        self.asked = pattern.map(|pattern| (id, pattern));
        let (id, pattern) = self.asked.clone()?;
        let logs = self.logs.iter().map(|(key, lines, _)| (key.clone(), *lines)).collect();
        Some(RunSearch { id, pattern, logs })
    }

    /// Whether a search goes on.
    pub(in crate::app) fn is_looking(&self) -> bool {
        !self.done
    }

    /// Takes in what was found, if it was looked for here.
    pub(in crate::app) fn take(&mut self, grepped: RunSearchResult, theme: Theme) {
        if self.asked.as_ref().is_none_or(|(id, _)| *id != grepped.id) {
            return;
        }
        self.done = grepped.done;
        match grepped.hits {
            Ok(hits) => self.hits.extend(hits.into_iter().map(|(log, text)| Hit {
                log,
                number: text.number,
                line: Line::parse(&text.bytes, theme),
            })),
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    pub(in crate::app) fn act(&mut self, action: Action, height: usize) {
        self.at = motion(action, self.at, self.hits.len(), height).unwrap_or(self.at);
    }

    /// The log and the line that are selected, and what was looked for.
    pub(in crate::app) fn selected(&self) -> Option<(LogKey, u64, Pattern)> {
        let hit = self.hits.get(self.at)?;
        Some((self.logs.get(hit.log)?.0.clone(), hit.number, self.asked.as_ref()?.1.clone()))
    }

    /// How many there are, and in how many steps.
    pub(in crate::app) fn remark(&self) -> String {
        if self.asked.is_none() {
            return text::counted(self.logs.len() as u64, "log");
        }
        let mut steps: Vec<usize> = self.hits.iter().map(|hit| hit.log).collect();
        steps.dedup();
        let more = if self.done && self.hits.len() < MAX_RUN_HITS { "" } else { "+" };
        let count = text::count(self.hits.len() as u64);
        format!("{count}{more} in {} of {}", steps.len(), text::counted(self.logs.len() as u64, "log"))
    }

    pub(in crate::app) fn draw(&self, cx: &Cx, area: Rect, buffer: &mut Buffer) {
        super::typed(&self.typed, cx, area, buffer);
        let list = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        let (query, wrong) = match self.asked.as_ref().map(|(_, pattern)| pattern.query()) {
            Some(Ok((query, wrong))) => (Some(query), wrong.map(|wrong| wrong.told())),
            _ => (None, None),
        };
        let nothing = || match (&self.asked, self.done) {
            (None, _) => "text, or /expression/".to_owned(),
            (Some(_), true) => "no line of any step matches".to_owned(),
            (Some(_), false) => "looking".to_owned(),
        };
        let told = self.error.clone().or(wrong).or_else(|| self.hits.is_empty().then(nothing));
        let mut y = list.y;
        if let Some(told) = told {
            let room = list.width.saturating_sub(2);
            let shown = text::clip(&told, usize::from(room), cx.theme.ellipsis());
            y = (y + 1).min(list.bottom());
            text::put(buffer, list.x + 1, y - 1, room, &shown, cx.theme.style(Hue::Dim));
        }
        let list = Rect { y, height: list.bottom() - y, ..list };
        let names = if list.width > 3 * NAMES { NAMES } else { list.width / 3 };
        let offset = keep_visible(0, self.at, self.hits.len(), usize::from(list.height));
        for ((at, hit), y) in self.hits.iter().enumerate().skip(offset).zip(list.y..list.bottom()) {
            let first = at == offset || self.hits[at - 1].log != hit.log;
            let name = self.logs.get(hit.log).map(|(.., name)| name.as_str()).filter(|_| first).unwrap_or_default();
            let name = text::clip(name, usize::from(names), cx.theme.ellipsis());
            text::put(buffer, list.x + 1, y, names, &name, cx.theme.style(Hue::Accent));
            let number = format!("{:>6}", hit.number + 1);
            let x = text::put(buffer, list.x + names + 2, y, 9, &number, cx.theme.style(Hue::Dim)) + 2;
            let ranges = query.as_ref().map(|query| query.ranges(hit.line.text().as_bytes())).unwrap_or_default();
            let marked = Style::new().add_modifier(Modifier::REVERSED);
            let room = Rect { x, y, width: list.right().saturating_sub(x + 1), height: 1 };
            hit.line.marked(&ranges[..ranges.len().min(8)], marked).draw(room, 0, buffer);
            if at == self.at {
                let gutter = Rect { y, height: 1, width: x.saturating_sub(list.x + 1), ..list };
                buffer.set_style(gutter.intersection(buffer.area), cx.theme.selected());
                text::put(buffer, list.x, y, 1, cx.theme.bar(), Style::new());
            }
        }
    }
}
