//! The palette: everything that can be done or gone to, found by a few of its letters.

use crate::ui::layout::Panel;

use super::App;
use super::action::{ACTIONS, Action, Context};
use super::msg::Effect;
use super::overlay::form::Form;
use super::overlay::log_search::Matches;
use super::overlay::{Overlay, Pick, Picker};
use super::selection::JobSelection;
use crate::model::feed::{Notice, Request};

impl App {
    /// Actions that mean something here, the jobs of the run, workflows that can be started, and all runs.
    pub(super) fn palette(&self) -> Overlay {
        let here = Context::Panel(self.view.focus);
        let means = |context: &Context| *context == here || *context == Context::Everywhere;
        // What moves a selection is no order.
        let actions = ACTIONS.iter().filter(|entry| {
            entry.action != Action::Palette
                && (!entry.action.is_of_replay() || self.state.replay.is_some())
                && entry.contexts.iter().any(means)
                && !entry.contexts.contains(&Context::Overlay)
        });
        let actions = actions.map(|entry| {
            let key = self.keymap.keys(entry.action).first().map(|key| format!("  ({key})")).unwrap_or_default();
            (format!("{}  {}{key}", entry.name, entry.doc), Pick::Act(entry.action))
        });
        let jobs = self.run().into_iter().flat_map(|run| run.jobs.values());
        let jobs = jobs.map(|job| (format!("job {}", job.name), Pick::Job(job.id.clone())));
        let runs = self.state.summaries().map(|run| {
            let label = format!("run {}  {} {}  {}", run.name, run.info.ref_name, run.info.event, run.info.id);
            (label, Pick::Run(run.info.id.clone()))
        });
        let rows = actions.chain(jobs).chain(self.starts("start ")).chain(runs).collect();
        Overlay::Picker(Picker { title: "Do or go to".to_owned(), filter: String::new(), commands: true, rows, at: 0 })
    }

    /// Every workflow on every event that starts it.
    pub(super) fn starts<'a>(&'a self, verb: &'a str) -> impl Iterator<Item = (String, Pick)> {
        self.state.startable.iter().flat_map(move |offer| {
            offer.events.iter().map(move |event| {
                let file = offer.workflow.rsplit('/').next().unwrap_or_default();
                let name = if offer.name == offer.workflow { String::new() } else { format!("  ({})", offer.name) };
                (format!("{verb}{file}  {event}{name}"), Pick::Fill(Form::new(offer, event)))
            })
        })
    }

    /// Looks for a text in the logs of all steps of the run.
    pub(super) fn search_run(&mut self, typed: String) {
        let matches = self.run().map(|run| Matches::new(run, typed, self.theme));
        match matches {
            Some(matches) => self.overlay = Some(Overlay::Matches(matches)),
            None => self.toast = Some(Notice::bad("grep: no run is selected")),
        }
    }

    /// Begins the search that is typed, and ends one that nobody looks at any more.
    pub(super) fn sync_run_search(&mut self) -> Option<Effect> {
        let Some(Overlay::Matches(matches)) = &mut self.overlay else {
            return std::mem::take(&mut self.run_search_active)
                .then_some(Effect::CancelSearch(crate::store::logs::query::SearchSlot::Run));
        };
        self.last_run_search.clone_from(&matches.typed);
        let begins = matches.ask().map(Effect::SearchRun);
        let goes_on = std::mem::replace(&mut self.run_search_active, matches.is_looking());
        // What is typed no more is looked for no more.
        let ends = (goes_on && matches.typed.is_empty())
            .then_some(Effect::CancelSearch(crate::store::logs::query::SearchSlot::Run));
        begins.or(ends)
    }

    /// What was picked is done or gone to.
    pub(super) fn pick(&mut self, pick: Pick) -> Vec<Effect> {
        match pick {
            Pick::Fill(form) => self.overlay = Some(Overlay::Form(form)),
            Pick::Act(action) => return self.act(action),
            Pick::Run(run) => {
                self.selection.select_run(Some(run));
                self.focus(Panel::Jobs);
            }
            Pick::Job(job) => {
                self.panes.jobs.clear_filter();
                self.selection.select(JobSelection::whole(job));
                self.focus(Panel::Jobs);
            }
            Pick::Watch(workflow) => return vec![Effect::Request(Request::WatchFiles { workflow })],
            Pick::SearchRun(text) => self.search_run(text),
            Pick::Line { log, line, pattern } => {
                self.panes.jobs.clear_filter();
                self.selection.select_run(Some(log.run));
                self.selection.select(JobSelection { job: log.job, step: Some(log.step) });
                self.panes.log.jump_to_line(line, pattern);
                self.focus(Panel::Log);
            }
        }
        Vec::new()
    }
}

/// What is typed whole: `grep TEXT`.
pub(super) fn command(typed: &str) -> Option<(String, Pick)> {
    let text = typed.strip_prefix("grep ").map(str::trim_start).filter(|text| !text.is_empty())?;
    Some((format!("find {text} in the logs of all steps"), Pick::SearchRun(text.to_owned())))
}

/// How well a text fits what was typed, the higher the better; `None` when its letters do not come in the text in their
/// order. A text that holds it whole fits best, most of all at the start of a word.
pub(super) fn fit(typed: &str, text: &str) -> Option<i32> {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (typed, text) = (lower(typed), lower(text));
    let typed: Vec<char> = typed.into_iter().filter(|c| *c != ' ').collect();
    let (mut fit, mut next, mut last) = (0, 0, None);
    for wanted in typed {
        let starts = |at: usize| at == 0 || !text[at - 1].is_alphanumeric();
        let found = |at: &usize| text[*at] == wanted;
        // Where the letter goes on from the one before, or else where a word begins with it, or anywhere.
        let at = (next..text.len().min(next + 1)).find(|at| last.is_some() && found(at));
        let at = at.or_else(|| (next..text.len()).find(|at| found(at) && starts(*at)));
        let at = at.or_else(|| (next..text.len()).find(found))?;
        fit += if last == at.checked_sub(1) && last.is_some() { 5 } else { 0 } + if starts(at) { 3 } else { 0 };
        fit -= i32::from(last.is_none() && at > 0);
        (next, last) = (at + 1, Some(at));
    }
    Some(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_found_in_their_order_and_words_fit_best() {
        for (typed, text, found) in
            [("", "ci.yml", true), ("cpush", "ci.yml  push", true), ("PU", "push", true), ("hsup", "push", false)]
        {
            assert_eq!(fit(typed, text).is_some(), found, "{typed} in {text}");
        }
        let best = |typed: &str, texts: &[&str]| {
            let best = texts.iter().max_by_key(|text| fit(typed, text));
            best.map(|text| (*text).to_owned())
        };
        assert_eq!(best("stop", &["job Shared top", "stop  cancel the run"]).as_deref(), Some("stop  cancel the run"));
        assert_eq!(best("ts", &["job Contests", "job Test Scan"]).as_deref(), Some("job Test Scan"));
    }
}
