//! Everything a key can do: one table of names, words, keys and places.
//!
//! The keymap, the help, the hints in the footer, the configuration's `[keys]` and the README's table of keys all come from [`ACTIONS`].

use std::fmt::Write;

use crate::ui::layout::Panel;

/// What a user means by a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// One row down.
    Down,
    /// One row up.
    Up,
    /// Half a page down.
    HalfDown,
    /// Half a page up.
    HalfUp,
    /// A page down.
    PageDown,
    /// A page up.
    PageUp,
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// To the parent, or sideways.
    Left,
    /// To the child, or sideways.
    Right,
    /// Into what is selected.
    Open,
    /// Out of it.
    Back,
    /// Go to a panel.
    Go(Panel),
    /// Go to the next panel.
    NextPanel,
    /// Go to the panel before.
    PreviousPanel,
    /// Give the panel all of the screen, or take it back.
    Zoom,
    /// Give the panel more of the screen.
    Larger,
    /// Give the panel less of the screen.
    Smaller,
    /// Stay at what happens now.
    Follow,
    /// Wrap long lines.
    Wrap,
    /// Show when lines were written.
    Times,
    /// Search or filter.
    Find,
    /// To the next match.
    NextMatch,
    /// To the match before.
    PreviousMatch,
    /// Show only lines that match.
    Keep,
    /// Search the logs of all steps.
    SearchRun,
    /// To the next group, or step.
    NextGroup,
    /// To the group or step before.
    PreviousGroup,
    /// Fold every group.
    FoldAll,
    /// Unfold every group.
    UnfoldAll,
    /// Mark the line.
    Mark,
    /// To the next mark.
    NextMark,
    /// Select lines.
    Select,
    /// Show the place in an editor.
    Edit,
    /// Show groups of the graph as one node each, or every job of them.
    Unfold,
    /// Show only what failed in the graph, with what led to it and what it holds back.
    FailedOnly,
    /// Light what the end of the run waited for.
    CriticalPath,
    /// Go to the next failure.
    NextError,
    /// Go to the failure before.
    PreviousError,
    /// Find something to do or to go to.
    Palette,
    /// Start a workflow.
    Start,
    /// Run what a change of files fires, or no more.
    WatchFiles,
    /// Stop the run.
    Stop,
    /// Run again.
    Rerun,
    /// Go on with a run whose worker was lost.
    Resume,
    /// Remove the run.
    Delete,
    /// Open a shell where the job runs or failed.
    Shell,
    /// Copy what is selected.
    Yank,
    /// Pause the replay, or go on.
    Play,
    /// A step back in the replay.
    StepBack,
    /// A step on in the replay.
    StepForward,
    /// Replay more slowly.
    Slower,
    /// Replay faster.
    Faster,
    /// Let go of the mouse.
    Mouse,
    /// Draw anew.
    Redraw,
    /// Stop the screen until the shell says to go on.
    Suspend,
    /// What the program says about itself.
    Diagnostics,
    /// The keys.
    Help,
    /// Leave.
    Quit,
}

/// Where a key has its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Context {
    /// In every panel.
    Everywhere,
    /// In one panel, besides what it has everywhere.
    Panel(Panel),
    /// While something is asked or shown on top of the panels. Nothing else has a meaning then.
    Overlay,
}

/// A row of the table.
#[derive(Debug)]
pub struct Entry {
    /// What it is.
    pub action: Action,
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it does, for the help.
    pub doc: &'static str,
    /// One or two words for the footer; empty for what everybody knows.
    pub hint: &'static str,
    /// Its keys, unless the configuration says otherwise.
    pub keys: &'static [&'static str],
    /// Where it has a meaning.
    pub contexts: &'static [Context],
}

const EVERYWHERE: &[Context] = &[Context::Everywhere];
const LOG: &[Context] = &[Context::Panel(Panel::Log)];
const MOTION: &[Context] = &[Context::Everywhere, Context::Overlay];

const fn entry(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    contexts: &'static [Context],
    hint: &'static str,
    doc: &'static str,
) -> Entry {
    Entry { action, name, doc, hint, keys, contexts }
}

/// Every action. Hints come in this order.
pub static ACTIONS: &[Entry] = &[
    entry(Action::Help, "help", &["?", "f1"], EVERYWHERE, "help", "show and search the keys"),
    entry(Action::Palette, "palette", &[":"], EVERYWHERE, "cmd", "find an action, run, job or workflow by its letters"),
    entry(Action::Play, "play", &["space"], EVERYWHERE, "pause", "in a replay: pause, or go on"),
    entry(Action::StepBack, "step-back", &["["], EVERYWHERE, "back", "in a replay: back to the event before"),
    entry(Action::StepForward, "step-forward", &["]"], EVERYWHERE, "on", "in a replay: on to the next event"),
    entry(Action::Slower, "slower", &["<"], EVERYWHERE, "slower", "in a replay: half as fast"),
    entry(Action::Faster, "faster", &[">"], EVERYWHERE, "faster", "in a replay: twice as fast"),
    entry(
        Action::NextError,
        "next-error",
        &["e"],
        EVERYWHERE,
        "next error",
        "go to what went wrong: the next error line, the next failed step",
    ),
    entry(
        Action::PreviousError,
        "previous-error",
        &["E"],
        EVERYWHERE,
        "",
        "go to the error line or failed step before",
    ),
    entry(Action::Follow, "follow", &["f"], EVERYWHERE, "follow", "stay at what runs now and at the end of its log"),
    entry(Action::Start, "start", &["S"], EVERYWHERE, "start", "start a workflow"),
    entry(Action::Stop, "stop", &["s"], EVERYWHERE, "stop", "cancel the run; while it stops: end it at once"),
    entry(
        Action::Rerun,
        "rerun",
        &["r"],
        EVERYWHERE,
        "re-run",
        "run again: failed jobs, all, this job, or this job from a step on",
    ),
    entry(Action::Shell, "shell", &["x"], EVERYWHERE, "shell", "open a shell where the job runs, or failed"),
    entry(Action::Delete, "delete", &["d"], &[Context::Panel(Panel::Runs)], "delete", "remove the run and its logs"),
    entry(Action::Resume, "resume", &["u"], EVERYWHERE, "", "go on with a run whose worker was lost"),
    entry(
        Action::WatchFiles,
        "watch-files",
        &["W"],
        EVERYWHERE,
        "watch",
        "run again whenever files change: what a push of the change fires; or no more",
    ),
    entry(Action::Zoom, "zoom", &["z"], EVERYWHERE, "zoom", "give the panel the whole screen, or take it back"),
    entry(Action::Find, "find", &["/"], EVERYWHERE, "search", "search the log; filter runs, jobs, events"),
    entry(Action::SearchRun, "grep", &["F"], EVERYWHERE, "", "find a text in the logs of all steps of the run"),
    entry(Action::NextMatch, "next-match", &["n"], LOG, "", "go to the next line that matches"),
    entry(Action::PreviousMatch, "previous-match", &["N"], LOG, "", "go to the line before that matches"),
    entry(Action::Keep, "keep", &["&"], LOG, "", "show only lines that match; `!` before it: those that do not"),
    entry(Action::Wrap, "wrap", &["w"], LOG, "wrap", "wrap long lines"),
    entry(Action::Times, "times", &["t"], LOG, "", "show when lines were written, counted from the start of the step"),
    entry(Action::NextGroup, "next-group", &["}"], LOG, "", "go to the next group, or step"),
    entry(Action::PreviousGroup, "previous-group", &["{"], LOG, "", "go to the group or step before"),
    entry(Action::FoldAll, "fold-all", &["-"], LOG, "", "fold every group; enter folds one"),
    entry(Action::UnfoldAll, "unfold-all", &["="], LOG, "", "unfold every group"),
    entry(Action::Mark, "mark", &["m"], LOG, "", "mark the line, or take the mark away"),
    entry(Action::NextMark, "next-mark", &["'"], LOG, "", "go to the next marked line"),
    entry(Action::Select, "select", &["v"], LOG, "", "select lines from here on, to copy them"),
    entry(Action::Yank, "yank", &["y"], EVERYWHERE, "copy", "copy: lines, the error, the run's id, the command"),
    entry(Action::Edit, "edit", &["o"], EVERYWHERE, "", "open the file that the line or the remark names in $EDITOR"),
    entry(
        Action::Unfold,
        "unfold",
        &["-"],
        &[Context::Panel(Panel::Graph)],
        "unfold",
        "show every job of a group, or one node for it",
    ),
    entry(
        Action::FailedOnly,
        "failed-only",
        &["."],
        &[Context::Panel(Panel::Graph)],
        "failed only",
        "show only what failed, what led to it and what it holds back",
    ),
    entry(
        Action::CriticalPath,
        "critical-path",
        &["P"],
        &[Context::Panel(Panel::Graph)],
        "critical path",
        "light the jobs that the end of the run waited for, and tell how long they took",
    ),
    entry(Action::Down, "down", &["j", "down"], MOTION, "", "one row down"),
    entry(Action::Up, "up", &["k", "up"], MOTION, "", "one row up"),
    entry(Action::HalfDown, "half-down", &["ctrl-d"], MOTION, "", "half a page down"),
    entry(Action::HalfUp, "half-up", &["ctrl-u"], MOTION, "", "half a page up"),
    entry(Action::PageDown, "page-down", &["pagedown", "ctrl-f"], MOTION, "", "a page down"),
    entry(Action::PageUp, "page-up", &["pageup", "ctrl-b"], MOTION, "", "a page up"),
    entry(Action::Top, "top", &["g", "home"], MOTION, "", "to the first row"),
    entry(Action::Bottom, "bottom", &["G", "end"], MOTION, "", "to the last row"),
    entry(Action::Left, "left", &["h", "left"], EVERYWHERE, "", "to the parent; in the log: sideways"),
    entry(Action::Right, "right", &["l", "right"], EVERYWHERE, "", "to the first child; in the log: sideways"),
    entry(Action::Open, "open", &["enter"], MOTION, "", "into what is selected; in a question: yes"),
    entry(Action::Back, "back", &["esc"], MOTION, "", "back out; it never quits"),
    entry(Action::Go(Panel::Runs), "runs", &["1"], EVERYWHERE, "", "go to the runs"),
    entry(Action::Go(Panel::Graph), "graph", &["2"], EVERYWHERE, "", "go to the graph"),
    entry(Action::Go(Panel::Jobs), "jobs", &["3"], EVERYWHERE, "", "go to the jobs"),
    entry(Action::Go(Panel::Log), "log", &["4"], EVERYWHERE, "", "go to the log"),
    entry(Action::Go(Panel::Services), "services", &["5"], EVERYWHERE, "", "go to the services"),
    entry(Action::Go(Panel::Deploys), "deploys", &["6"], EVERYWHERE, "", "go to what ran last in each environment"),
    entry(Action::Go(Panel::Events), "events", &["7"], EVERYWHERE, "", "go to the events"),
    entry(Action::NextPanel, "next-panel", &["tab"], EVERYWHERE, "", "go to the next panel"),
    entry(Action::PreviousPanel, "previous-panel", &["backtab"], EVERYWHERE, "", "go to the panel before"),
    entry(Action::Larger, "larger", &["+"], EVERYWHERE, "", "give the panel more of the screen"),
    entry(Action::Smaller, "smaller", &["_"], EVERYWHERE, "", "give the panel less of the screen"),
    entry(Action::Mouse, "mouse", &["M"], EVERYWHERE, "", "let go of the mouse, to select text; or take it again"),
    entry(Action::Redraw, "redraw", &["ctrl-l"], EVERYWHERE, "", "draw the whole screen anew"),
    entry(Action::Suspend, "suspend", &["ctrl-z"], EVERYWHERE, "", "back to the shell until fg"),
    entry(Action::Diagnostics, "diagnostics", &["@"], EVERYWHERE, "", "show what the program says about itself"),
    entry(Action::Quit, "quit", &["q", "ctrl-c"], EVERYWHERE, "quit", "leave the screen; runs may go on"),
];

impl Action {
    /// Whether it has a meaning in a replay alone.
    #[must_use]
    pub fn is_of_replay(self) -> bool {
        matches!(self, Self::Play | Self::StepBack | Self::StepForward | Self::Slower | Self::Faster)
    }

    /// Its row of the table.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        ACTIONS.iter().find(|entry| entry.action == self).expect("a test looks for every action in the table")
    }
}

impl Context {
    /// What a heading calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Panel(panel) => panel.name(),
            Self::Overlay => "Overlay",
        }
    }
}

/// The table of keys for the README, in Markdown.
#[must_use]
pub fn key_table() -> String {
    let mut table = "| Key | Action | What it does |\n|---|---|---|\n".to_owned();
    for entry in ACTIONS {
        let keys: Vec<String> = entry.keys.iter().map(|key| format!("`{key}`")).collect();
        let place = match entry.contexts {
            [Context::Panel(panel)] => format!(" ({})", panel.name()),
            _ => String::new(),
        };
        writeln!(table, "| {} | `{}` | {}{place} |", keys.join(" "), entry.name, entry.doc)
            .expect("writing to a string cannot fail");
    }
    table
}
