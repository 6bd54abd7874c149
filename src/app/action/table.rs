//! The table of actions: their names, help lines, hints, default keys and contexts.

use std::sync::LazyLock;

use crate::ui::layout::{PANELS, Panel};

use super::{Action, Context, Entry};

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
    entry(Action::SeekBack, "seek-back", &["("], EVERYWHERE, "-10s", "in a replay: go back 10 seconds of the run"),
    entry(Action::SeekForward, "seek-forward", &[")"], EVERYWHERE, "+10s", "in a replay: go on 10 seconds of the run"),
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
    entry(
        Action::Repositories,
        "repositories",
        &["R"],
        EVERYWHERE,
        "all repos",
        "list the runs of all repositories, or again only those of this repository",
    ),
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
        "show the deployments to the environment: what, when, who and why",
    ),
    entry(Action::DeployHere, "deploy-here", &["d"], DEPLOYS, "deploy", "deploy a release to the selected environment"),
    entry(
        Action::PromoteHere,
        "promote-here",
        &["p"],
        EVERYWHERE,
        "",
        "let the selected deployment go on after a pause, or stop it before its next step",
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
    entry(
        Action::Find,
        "find",
        &["/"],
        EVERYWHERE,
        "search",
        "search the log; filter a list; in Runs: find any run by name, branch, commit, id or message",
    ),
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
    entry(Action::Replay, "replay", &["g r"], EVERYWHERE, "", "replay the run on a screen of its own"),
    entry(
        Action::Explain,
        "explain",
        &["g x"],
        EVERYWHERE,
        "",
        "explain why the jobs and steps of the run ran, or did not",
    ),
    entry(Action::Lint, "lint", &["g l"], EVERYWHERE, "", "check the workflows of this repository"),
    entry(Action::Detach, "detach", &["g q"], EVERYWHERE, "", "leave the screen at once; runs continue"),
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
    Prefix { key: "D", name: "deployments" },
    Prefix { key: ",", name: "server" },
];
