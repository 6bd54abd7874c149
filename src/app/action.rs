//! The actions that keys are bound to: one table of names, help lines, keys and contexts.
//!
//! The keymap, the help, the hints in the footer, `[keys]` in the configuration, and the table of keys in the
//! documentation are all generated from [`ACTIONS`].

use std::sync::LazyLock;

use crate::ui::layout::{PANELS, Panel};

/// An action of the user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Move one row down.
    Down,
    /// Move one row up.
    Up,
    /// Move half a page down.
    HalfDown,
    /// Move half a page up.
    HalfUp,
    /// Move a page down.
    PageDown,
    /// Move a page up.
    PageUp,
    /// Move to the first row.
    Top,
    /// Move to the last row.
    Bottom,
    /// Move to the parent; in the log, scroll left.
    Left,
    /// Move to the first child; in the log, scroll right.
    Right,
    /// Open the selected row.
    Open,
    /// Restore the panel's size, clear its filter, close what is open in it, or go to its parent: the first that
    /// applies.
    Back,
    /// Focus a panel.
    Go(Panel),
    /// Focus the next panel.
    NextPanel,
    /// Focus the previous panel.
    PreviousPanel,
    /// Give the focused panel the whole screen, or restore its size.
    Zoom,
    /// Enlarge the focused panel.
    Larger,
    /// Shrink the focused panel.
    Smaller,
    /// Follow the running step and the end of its log.
    Follow,
    /// Wrap long lines.
    Wrap,
    /// Show the times of lines.
    Times,
    /// Search the log, or filter a list.
    Find,
    /// Go to the next match.
    NextMatch,
    /// Go to the previous match.
    PreviousMatch,
    /// Show only lines that match.
    Keep,
    /// Search the logs of all steps.
    SearchRun,
    /// Go to the next group or step.
    NextGroup,
    /// Go to the previous group or step.
    PreviousGroup,
    /// Fold every group.
    FoldAll,
    /// Unfold every group.
    UnfoldAll,
    /// Mark the line or the run, or remove its mark.
    Mark,
    /// Go to the next marked line.
    NextMark,
    /// Select lines.
    Select,
    /// Open the file that a line names in an editor.
    Edit,
    /// Switch between one node for each group of the graph and one node for each job.
    Unfold,
    /// Show only failed nodes of the graph, with the nodes that lead to them or that they block.
    FailedOnly,
    /// Highlight the critical path.
    CriticalPath,
    /// Go to the next failure.
    NextError,
    /// Go to the previous failure.
    PreviousError,
    /// Go to the first failure.
    FirstError,
    /// Select the newest run.
    NewestRun,
    /// Open the palette.
    Palette,
    /// Start a workflow.
    Start,
    /// Turn watch mode on or off.
    WatchFiles,
    /// Review deployments.
    Review,
    /// Roll the environment back.
    RollBack,
    /// Show the deployments to the environment.
    Deployments,
    /// Deploy a release to the environment of this machine.
    Deploy,
    /// Let the deployment continue after a pause.
    Promote,
    /// Let the deployment wait before its next step.
    PauseDeployment,
    /// Abort the deployment.
    Abort,
    /// Approve or reject the deployment to the environment.
    ReviewDeployment,
    /// Lock the environment.
    Lock,
    /// Unlock the environment.
    Unlock,
    /// Cancel the run, or force-cancel it if it is already being cancelled.
    Stop,
    /// Re-run the run, its failed jobs, or one of its jobs.
    Rerun,
    /// Run the held step, again if it has failed.
    RetryStep,
    /// Go back from the held step to the selected one.
    RetryFromStep,
    /// Copy the user's changed files into the workspace of the held job.
    SyncFiles,
    /// Count the held step as a success, or skip it if it has not run.
    SkipStep,
    /// Go on as without the hold.
    ContinueStep,
    /// Hold failing steps of the run from now on, or stop holding them.
    HoldFailures,
    /// Resume a run whose worker died.
    Resume,
    /// Delete the run.
    Delete,
    /// Delete the logs of the run on its server.
    DeleteLogs,
    /// Enable the workflow of the run on its server.
    EnableWorkflow,
    /// Disable the workflow of the run on its server.
    DisableWorkflow,
    /// Open a shell where the job runs or failed.
    Shell,
    /// Start the selected service of the Compose file.
    StartService,
    /// Stop the selected service of the Compose file.
    StopService,
    /// List the artifacts of the run and the caches of its repository.
    Artifacts,
    /// Show the job summaries of the run.
    Summary,
    /// Choose a text to copy.
    Yank,
    /// Pause the replay, or continue it.
    Play,
    /// Step back in the replay.
    StepBack,
    /// Step forward in the replay.
    StepForward,
    /// Halve the speed of the replay.
    Slower,
    /// Double the speed of the replay.
    Faster,
    /// Release the mouse, or capture it.
    Mouse,
    /// Redraw the screen.
    Redraw,
    /// Suspend the program.
    Suspend,
    /// Show the log of the program itself.
    Diagnostics,
    /// Show the keys.
    Help,
    /// Quit.
    Quit,
}

/// Where a key is active.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Context {
    /// In every panel.
    Everywhere,
    /// In one panel, besides the keys of every panel.
    Panel(Panel),
    /// In an overlay. Keys of panels are not active there.
    Overlay,
}

/// A row of [`ACTIONS`].
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The action.
    pub action: Action,
    /// Name of the action in the configuration.
    pub name: &'static str,
    /// Description for the help.
    pub doc: &'static str,
    /// One or two words for the footer; empty for an action that needs no hint.
    pub hint: &'static str,
    /// Default keys of the action.
    pub keys: &'static [&'static str],
    /// Contexts in which the keys are active.
    pub contexts: &'static [Context],
}

const EVERYWHERE: &[Context] = &[Context::Everywhere];
const LOG: &[Context] = &[Context::Panel(Panel::Log)];
const GRAPH: &[Context] = &[Context::Panel(Panel::Graph)];
const DEPLOYS: &[Context] = &[Context::Panel(Panel::Deploys)];
const SERVICES: &[Context] = &[Context::Panel(Panel::Services)];
const RUNS: &[Context] = &[Context::Panel(Panel::Runs)];
const MARKED: &[Context] = &[Context::Panel(Panel::Log), Context::Panel(Panel::Runs)];
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

/// All actions; those that go to panels come from [`PANELS`]. Hints are drawn in this order.
pub static ACTIONS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let panels = PANELS.iter().map(|info| {
        let (action, name) = (Action::Go(info.panel), info.action);
        Entry { action, name, doc: info.doc, hint: "", keys: info.keys, contexts: EVERYWHERE }
    });
    TABLE.iter().copied().chain(panels).collect()
});

const TABLE: &[Entry] = &[
    entry(Action::Help, "help", &["?", "f1"], EVERYWHERE, "help", "show and search the keys"),
    entry(
        Action::Palette,
        "palette",
        &[":"],
        EVERYWHERE,
        "command",
        "find an action, run, job or workflow by its letters",
    ),
    entry(Action::Play, "play", &["space"], EVERYWHERE, "pause", "in a replay: pause or continue"),
    entry(Action::StepBack, "step-back", &["["], EVERYWHERE, "back", "in a replay: go to the previous event"),
    entry(Action::StepForward, "step-forward", &["]"], EVERYWHERE, "on", "in a replay: go to the next event"),
    entry(Action::Slower, "slower", &["<"], EVERYWHERE, "slower", "in a replay: half the speed"),
    entry(Action::Faster, "faster", &[">"], EVERYWHERE, "faster", "in a replay: double the speed"),
    entry(
        Action::NextError,
        "next-error",
        &["e"],
        EVERYWHERE,
        "next error",
        "go to the next error line, then to the next failed step",
    ),
    entry(
        Action::PreviousError,
        "previous-error",
        &["E"],
        EVERYWHERE,
        "",
        "go to the previous error line or failed step",
    ),
    entry(
        Action::FirstError,
        "first-error",
        &["g f"],
        EVERYWHERE,
        "",
        "go to the first failed step and its first error line",
    ),
    entry(Action::NewestRun, "newest-run", &["g n"], EVERYWHERE, "", "select the newest run"),
    entry(Action::Follow, "follow", &["f"], EVERYWHERE, "follow", "follow what runs now and the end of its log"),
    entry(Action::Start, "start", &["S"], EVERYWHERE, "start", "start a workflow"),
    entry(
        Action::Review,
        "review",
        &["a"],
        EVERYWHERE,
        "review",
        "approve or reject deployments that wait for a review; approve the run of a fork",
    ),
    entry(Action::RetryStep, "retry-step", &["c r"], EVERYWHERE, "", "run the held step again"),
    entry(Action::RetryFromStep, "retry-from-step", &["c f"], EVERYWHERE, "", "run again from the selected step"),
    entry(
        Action::SyncFiles,
        "sync-files",
        &["c u"],
        EVERYWHERE,
        "",
        "bring the files that you changed into the workspace of the held step",
    ),
    entry(
        Action::SkipStep,
        "skip-step",
        &["c s"],
        EVERYWHERE,
        "",
        "count the held step as a success, and run the steps after it",
    ),
    entry(Action::ContinueStep, "continue-step", &["c c"], EVERYWHERE, "", "go on as without the hold"),
    entry(
        Action::HoldFailures,
        "hold-failures",
        &["H"],
        EVERYWHERE,
        "",
        "hold steps of the run that fail from now on; again: let them fail",
    ),
    entry(Action::Stop, "stop", &["s", "c a"], EVERYWHERE, "stop", "cancel the run; while it stops: kill it"),
    entry(
        Action::Rerun,
        "rerun",
        &["r"],
        EVERYWHERE,
        "re-run",
        "re-run failed jobs, all jobs, this job, or this job from a step on",
    ),
    entry(Action::Shell, "shell", &["x", "c x"], EVERYWHERE, "shell", "open a shell where the job runs or failed"),
    entry(
        Action::Artifacts,
        "artifacts",
        &["A"],
        EVERYWHERE,
        "",
        "list the artifacts of the run and the caches of its repository, to download or delete them",
    ),
    entry(Action::Summary, "summary", &["i"], EVERYWHERE, "", "show the job summaries of the run"),
    entry(Action::StartService, "start-service", &["U"], SERVICES, "start", "start the service of the Compose file"),
    entry(Action::StopService, "stop-service", &["K"], SERVICES, "stop", "stop the service of the Compose file"),
    entry(Action::Delete, "delete", &["d"], RUNS, "delete", "delete the run and its logs"),
    entry(Action::DeleteLogs, "delete-logs", &[", l"], EVERYWHERE, "", "delete the logs of the run on its server"),
    entry(
        Action::DisableWorkflow,
        "disable-workflow",
        &[", d"],
        EVERYWHERE,
        "",
        "stop the run's workflow on its server",
    ),
    entry(
        Action::EnableWorkflow,
        "enable-workflow",
        &[", e"],
        EVERYWHERE,
        "",
        "let the run's workflow run again on its server",
    ),
    entry(
        Action::RollBack,
        "roll-back",
        &["B", "D b", ", b"],
        EVERYWHERE,
        "roll back",
        "roll the environment back to an earlier release; on a server to the last other one that succeeded",
    ),
    entry(
        Action::Deployments,
        "deployments",
        &[", h"],
        DEPLOYS,
        "",
        "show the deployments to the environment on a server, to go back to one of them",
    ),
    entry(Action::Deploy, "deploy", &["D d"], EVERYWHERE, "", "deploy a release to the environment"),
    entry(Action::Promote, "promote", &["D p"], EVERYWHERE, "", "let the deployment go on after a pause"),
    entry(
        Action::PauseDeployment,
        "pause-deployment",
        &["D s"],
        EVERYWHERE,
        "",
        "stop the deployment before its next step",
    ),
    entry(Action::Abort, "abort", &["D a"], EVERYWHERE, "", "abort the deployment: the former release comes back"),
    entry(Action::ReviewDeployment, "review-deployment", &["D r"], EVERYWHERE, "", "approve or reject the deployment"),
    entry(Action::Lock, "lock", &["D l"], EVERYWHERE, "", "lock the environment, with a reason"),
    entry(Action::Unlock, "unlock", &["D u"], EVERYWHERE, "", "unlock the environment"),
    entry(Action::Resume, "resume", &["u"], EVERYWHERE, "", "resume a run whose worker died"),
    entry(
        Action::WatchFiles,
        "watch-files",
        &["W"],
        EVERYWHERE,
        "watch",
        "when files change, run what a push of the change would trigger; again: stop that",
    ),
    entry(Action::Zoom, "zoom", &["z"], EVERYWHERE, "zoom", "give the panel the whole screen, or take it back"),
    entry(Action::Find, "find", &["/"], EVERYWHERE, "search", "search the log; filter a list"),
    entry(Action::SearchRun, "grep", &["F"], EVERYWHERE, "", "search the logs of all steps of the run"),
    entry(Action::NextMatch, "next-match", &["n"], LOG, "", "go to the next match"),
    entry(Action::PreviousMatch, "previous-match", &["N"], LOG, "", "go to the previous match"),
    entry(Action::Keep, "keep", &["&"], LOG, "", "show only lines that match, or with `!` those that do not"),
    entry(Action::Wrap, "wrap", &["w"], LOG, "wrap", "wrap long lines"),
    entry(Action::Times, "times", &["t"], LOG, "", "show the times of lines, counted from the start of the step"),
    entry(Action::NextGroup, "next-group", &["}"], LOG, "", "go to the next group or step"),
    entry(Action::PreviousGroup, "previous-group", &["{"], LOG, "", "go to the previous group or step"),
    entry(Action::FoldAll, "fold-all", &["-"], LOG, "", "fold every group; enter folds one"),
    entry(Action::UnfoldAll, "unfold-all", &["="], LOG, "", "unfold every group"),
    entry(
        Action::Mark,
        "mark",
        &["m"],
        MARKED,
        "",
        "mark the line, or remove its mark; in the list of runs: mark runs for `review`, `stop`, `rerun`, `delete`",
    ),
    entry(Action::NextMark, "next-mark", &["'"], LOG, "", "go to the next marked line"),
    entry(Action::Select, "select", &["v"], LOG, "", "select lines from here on, to copy them"),
    entry(Action::Yank, "yank", &["y"], EVERYWHERE, "copy", "copy lines, the error, the id of the run, or the command"),
    entry(Action::Edit, "edit", &["o"], EVERYWHERE, "", "open the file that the line or the error names in $EDITOR"),
    entry(Action::Unfold, "unfold", &["-"], GRAPH, "unfold", "show every job of a group, or one node for them"),
    entry(
        Action::FailedOnly,
        "failed-only",
        &["."],
        GRAPH,
        "failed only",
        "show only failed jobs, what led to them, and what they block",
    ),
    entry(
        Action::CriticalPath,
        "critical-path",
        &["P"],
        GRAPH,
        "critical path",
        "highlight the jobs that the end of the run waited for, with their times",
    ),
    entry(Action::Down, "down", &["j", "down"], MOTION, "", "one row down"),
    entry(Action::Up, "up", &["k", "up"], MOTION, "", "one row up"),
    entry(Action::HalfDown, "half-down", &["ctrl-d"], MOTION, "", "half a page down"),
    entry(Action::HalfUp, "half-up", &["ctrl-u"], MOTION, "", "half a page up"),
    entry(Action::PageDown, "page-down", &["pagedown", "ctrl-f"], MOTION, "", "a page down"),
    entry(Action::PageUp, "page-up", &["pageup", "ctrl-b"], MOTION, "", "a page up"),
    entry(Action::Top, "top", &["g g", "home"], MOTION, "", "to the first row"),
    entry(Action::Bottom, "bottom", &["G", "end", "g e"], MOTION, "", "to the last row"),
    entry(Action::Left, "left", &["h", "left"], EVERYWHERE, "", "to the parent; in the log: scroll left"),
    entry(Action::Right, "right", &["l", "right"], EVERYWHERE, "", "to the first child; in the log: scroll right"),
    entry(Action::Open, "open", &["enter"], MOTION, "", "open what is selected; in a question: yes"),
    entry(Action::Back, "back", &["esc"], MOTION, "", "close what is open; never quits"),
    entry(Action::NextPanel, "next-panel", &["tab"], EVERYWHERE, "", "go to the next panel"),
    entry(Action::PreviousPanel, "previous-panel", &["backtab"], EVERYWHERE, "", "go to the previous panel"),
    entry(Action::Larger, "larger", &["+"], EVERYWHERE, "", "give the panel more of the screen"),
    entry(Action::Smaller, "smaller", &["_"], EVERYWHERE, "", "give the panel less of the screen"),
    entry(Action::Mouse, "mouse", &["M"], EVERYWHERE, "", "release the mouse to select text, or capture it"),
    entry(Action::Redraw, "redraw", &["ctrl-l"], EVERYWHERE, "", "redraw the screen"),
    entry(Action::Suspend, "suspend", &["ctrl-z"], EVERYWHERE, "", "suspend: back to the shell until `fg`"),
    entry(Action::Diagnostics, "diagnostics", &["@"], EVERYWHERE, "", "show the log of the program itself"),
    entry(Action::Quit, "quit", &["q", "ctrl-c"], EVERYWHERE, "quit", "leave the screen; runs can continue"),
];

/// A key that starts several sequences.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    /// The key.
    pub key: &'static str,
    /// Common name of the sequences, for the hint box and the footer.
    pub name: &'static str,
}

/// The prefixes of the default keys.
pub static PREFIXES: &[Prefix] = &[
    Prefix { key: "c", name: "held step" },
    Prefix { key: "g", name: "go to" },
    Prefix { key: "D", name: "deploy" },
    Prefix { key: ",", name: "server" },
];

impl Action {
    /// Whether the action is available only in a replay.
    #[must_use]
    pub fn is_of_replay(self) -> bool {
        matches!(self, Self::Play | Self::StepBack | Self::StepForward | Self::Slower | Self::Faster)
    }

    /// Returns the action's row of the table.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        ACTIONS.iter().find(|entry| entry.action == self).expect("a test looks up every action in the table")
    }
}

impl Context {
    /// Returns the name for headings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Panel(panel) => panel.name(),
            Self::Overlay => "Overlay",
        }
    }
}
