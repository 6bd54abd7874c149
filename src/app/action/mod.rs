//! The actions that keys are bound to: one table of names, help lines, keys and contexts.
//!
//! The keymap, the help, the hints in the footer, `[keys]` in the configuration, and the table of keys in the
//! documentation are all generated from [`ACTIONS`].

mod table;

use crate::ui::layout::Panel;

pub use table::{ACTIONS, PREFIXES, Prefix};

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
    /// List the runs of all repositories, or only those of this one.
    Repositories,
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
    /// Deploy a release to the environment that is selected in the Deploys pane.
    DeployHere,
    /// Let the deployment continue after a pause.
    Promote,
    /// Let the deployment to the environment that is selected in the Deploys pane continue after a pause, or wait
    /// before its next step.
    PromoteHere,
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
    /// Go back ten seconds in the replay.
    SeekBack,
    /// Go on ten seconds in the replay.
    SeekForward,
    /// Step back in the replay.
    StepBack,
    /// Step forward in the replay.
    StepForward,
    /// Halve the speed of the replay.
    Slower,
    /// Double the speed of the replay.
    Faster,
    /// Replay the selected run.
    Replay,
    /// Explain the conditions of the selected run.
    Explain,
    /// Check the workflows of this repository.
    Lint,
    /// Leave the screen while runs continue.
    Detach,
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

impl Action {
    /// Whether the action is available only in a replay.
    #[must_use]
    pub fn is_of_replay(self) -> bool {
        matches!(
            self,
            Self::Play
                | Self::StepBack
                | Self::StepForward
                | Self::SeekBack
                | Self::SeekForward
                | Self::Slower
                | Self::Faster
        )
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
