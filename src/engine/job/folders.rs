//! Folders of a job, and their paths in a container of the job.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::RunContext;
use crate::engine::actions::resolve::Actions;
use crate::engine::sandbox::Sandbox;
use crate::engine::sandbox::host::find_program;
use crate::engine::sandbox::shared;
use crate::engine::sandbox::shared::SharedFolder;
use crate::engine::step::artifacts::Artifacts;
use crate::engine::step::command_files;
use crate::engine::workspace::checkout::objects;
use crate::files::{Folder, unless_missing};
use crate::model::JobId;
use crate::repo::git::common_folder;

/// Path of this machine's Node.js in containers, below the folder in which GitHub's runner provides its programs.
pub(super) const NODE: &str = "/__e/node/bin/node";

/// Name of the home folder in containers, below the folder of the job's temporary files.
pub(super) const HOME: &str = "_github_home";

/// Name of the folder with the configuration of Docker, below the folder of the job's temporary files.
pub(super) const DOCKER_CONFIG: &str = "_docker_config";

/// Name of the folder of temporary files.
const TEMP: &str = "_temp";

/// Name of the folder for communication with the job's container.
const CONTROL: &str = "_control";

/// Name of the folder of the job's tool cache.
pub(super) const TOOLS: &str = "_tools";

/// Name of the folder of actions, in containers.
const ACTIONS: &str = "_actions";

/// Maximum length in bytes of the name of a workspace. GitHub's limit for the name of a repository is 100.
const MAX_NAME: usize = 100;

/// Returns the name for the workspace of a repository: the repository's name, or `work` if that name is too long, could
/// lead out of the folder of the job, or could collide with another folder in it. The name is checked because it comes
/// from the URL of a remote.
fn workspace_name(repository: &str) -> &str {
    let name = repository.rsplit('/').next().unwrap_or_default();
    let is_taken = ["", ".", "..", TEMP, CONTROL, TOOLS, ACTIONS].contains(&name);
    if is_taken || name.len() > MAX_NAME || name.contains('\0') { "work" } else { name }
}

/// How the folders of a job are made.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct FolderOptions {
    /// Whether the workspace and the tool cache keep their files.
    pub(in crate::engine) keep_files: bool,
    /// Whether every user of a container may write to the folders. Has no effect if the job runs in the repository itself:
    /// files of other users would not be given to the user of this machine after the job.
    pub(in crate::engine) open_to_all: bool,
}

/// The folders of a job, on this machine.
pub(in crate::engine) struct Folders {
    /// Parent of the other folders. If the job runs in the repository itself, only `temp` is below it.
    pub(in crate::engine) root: PathBuf,
    /// `RUNNER_WORKSPACE`.
    pub(in crate::engine) parent: PathBuf,
    /// `GITHUB_WORKSPACE`.
    pub(in crate::engine) workspace: PathBuf,
    /// `RUNNER_TEMP`.
    pub(in crate::engine) temp: PathBuf,
}

impl Folders {
    /// Returns the folders of a job. They may not exist yet.
    pub(in crate::engine) fn of(run: &RunContext, job: &JobId) -> Self {
        let name = workspace_name(&run.facts.repository);
        let root = run.work.join(job.as_str());
        let (parent, workspace) = if run.options.in_place {
            (run.repository.parent().unwrap_or(&run.repository).to_owned(), run.repository.clone())
        } else {
            (root.join(name), root.join(name).join(name))
        };
        Self { temp: root.join(TEMP), root, parent, workspace }
    }

    /// Creates the folders, with the event payload and an empty list of artifacts. Empties folders that exist, but never
    /// the repository itself.
    ///
    /// # Errors
    /// A folder cannot be emptied or written, or a link is in its place.
    pub(in crate::engine) fn make(&self, run: &RunContext, options: FolderOptions) -> io::Result<()> {
        fs::create_dir_all(&run.work)?;
        // Refuses a link that an earlier attempt or a step of another job left in the place of one of the folders.
        let root = self.root.strip_prefix(&run.work).map_err(io::Error::other)?;
        let root = Folder::open(&run.work)?.make_folders(root)?;
        let is_open = options.open_to_all && !run.options.in_place;
        let made = self.make_all(&root, run, options.keep_files);
        let made = made.and_then(|()| if is_open { self.open_to_all(&root) } else { Ok(()) });
        made.inspect_err(|_| {
            // The job ends here, so nothing else would remove the files that were already written.
            let _ = fs::remove_dir_all(&self.temp);
            let _ = fs::remove_dir_all(self.control());
        })
    }

    fn make_all(&self, root: &Folder, run: &RunContext, keep: bool) -> io::Result<()> {
        let below = |path: PathBuf| path.strip_prefix(&self.root).map(Path::to_owned).map_err(io::Error::other);
        for folder in [&self.temp, &self.control()] {
            unless_missing(fs::remove_dir_all(folder))?;
        }
        if !keep && !run.options.in_place && self.parent.symlink_metadata().is_ok() {
            // If the folder was replaced with a link, this removes the link, not its target.
            fs::remove_dir_all(&self.parent)?;
        }
        if !keep && self.tools().symlink_metadata().is_ok() {
            fs::remove_dir_all(self.tools())?;
        }
        for folder in [self.home(), self.workflow(), self.commands(), self.control(), self.tools()] {
            root.make_folders(&below(folder)?)?;
        }
        if run.options.in_place {
            fs::create_dir_all(&self.workspace)?;
        } else {
            root.make_folders(&below(self.workspace.clone())?)?;
        }
        // Containers mount this folder even if it is empty. If it cannot be created, their start reports the error.
        let _ = fs::create_dir_all(&run.tool_cache);
        let list = self.commands().join(command_files::ARTIFACTS_LIST);
        root.write(&below(list)?, Artifacts::default().list().as_bytes())?;
        root.write(&below(self.event())?, &serde_json::to_vec(&run.facts.event)?)
    }

    /// Lets every user write to the folders, which are below `root`. GitHub's runner gives them to its own user, so
    /// that a container with any other one can write to none of them.
    fn open_to_all(&self, root: &Folder) -> io::Result<()> {
        for folder in [&self.temp, &self.tools(), &self.parent, &self.workspace] {
            let below = folder.strip_prefix(&self.root).map_err(io::Error::other)?;
            root.make_folders(below)?.open_to_all();
        }
        Ok(())
    }

    /// Returns the path of the event payload.
    pub(super) fn event(&self) -> PathBuf {
        self.workflow().join("event.json")
    }

    /// Returns the folder for communication with the job's container.
    pub(super) fn control(&self) -> PathBuf {
        self.root.join(CONTROL)
    }

    /// Returns the folder of the files through which steps pass values to the runner.
    fn commands(&self) -> PathBuf {
        self.temp.join(command_files::FOLDER)
    }

    /// Returns the tool cache of the job. All runs start programs from the tools that they share, so a container never
    /// writes to those.
    pub(super) fn tools(&self) -> PathBuf {
        self.root.join(TOOLS)
    }

    /// Returns the home folder in containers.
    pub(super) fn home(&self) -> PathBuf {
        self.temp.join(HOME)
    }

    fn workflow(&self) -> PathBuf {
        self.temp.join("_github_workflow")
    }

    /// Returns the folders of this machine that the job's container sees, at the paths of GitHub's runner.
    pub(super) fn shared(&self, run: &RunContext, actions: &Actions) -> Vec<SharedFolder> {
        let mut shared = vec![
            SharedFolder::writable(&self.root, "/__w"),
            SharedFolder::writable(self.tools(), "/__t"),
            SharedFolder::writable(self.home(), "/github/home"),
            SharedFolder::writable(self.workflow(), "/github/workflow"),
        ];
        // Each of these folders is a mount point, so a step cannot replace it with a link, which would redirect this
        // machine and the containers of actions.
        let mut pinned = vec![self.temp.clone(), self.commands(), self.control()];
        if !run.options.in_place {
            pinned.extend([self.parent.clone(), self.workspace.clone()]);
        }
        let root = SharedFolder::writable(&self.root, "/__w");
        shared.extend(pinned.into_iter().map(|path| {
            let inside = shared::inside(std::slice::from_ref(&root), &path);
            SharedFolder::writable(path, inside)
        }));
        if run.options.in_place {
            let name = self.workspace.file_name().unwrap_or(OsStr::new("work"));
            shared.push(SharedFolder::writable(&self.workspace, Path::new("/__w").join(name).join(name)));
        }
        // Shares the whole repository of an action: an action in a subfolder may use files next to it.
        let mut roots: Vec<_> = actions.values().map(|action| (action.root.clone(), action.place())).collect();
        roots.sort_unstable();
        roots.dedup();
        shared.extend(
            roots
                .into_iter()
                .map(|(root, name)| SharedFolder::readable(root, Path::new("/__w").join(ACTIONS).join(name))),
        );
        shared.extend(git_objects(run));
        let node = find_program("node", search_path(&*run.host));
        let node = node.and_then(|node| node.canonicalize().ok()).filter(|_| !actions.is_empty());
        shared.extend(node.map(|node| SharedFolder::readable(node, NODE)));
        shared
    }
}

/// Returns the `PATH` of a sandbox; empty if the sandbox does not set it.
pub(super) fn search_path(sandbox: &dyn Sandbox) -> &OsStr {
    let path = sandbox.environment().iter().find(|(name, _)| name == "PATH");
    path.map_or(OsStr::new(""), |(_, path)| path)
}

/// Returns the folders with the git objects of the run's repository, to which the git folder of a workspace in a
/// container refers by path. A worktree shares them with its main repository. Empty if one of the folders contains
/// other files, or belongs to another repository whose objects the options do not share: the checkout then fails with
/// the reason.
pub(super) fn git_objects(run: &RunContext) -> Vec<SharedFolder> {
    let Ok(common) = common_folder(None, &run.repository) else { return Vec::new() };
    let folders = objects::folders(&common.join("objects")).unwrap_or_default();
    if objects::of_others(&folders, &common, &run.options.git_objects).is_some() {
        return Vec::new();
    }
    folders.into_iter().map(|folder| SharedFolder::readable(&folder, &folder)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::engine::testing::sandbox::{ProcessScript, ScriptedSandbox};
    use crate::engine::testing::{MemoryOutlet, scripted_run};

    #[test]
    fn every_user_of_a_container_may_write_where_steps_write() {
        for (open_to_all, in_place) in [(true, false), (true, true), (false, false)] {
            let home = tempfile::tempdir().expect("a folder");
            let outlet = Arc::new(MemoryOutlet::default());
            let sandbox = Arc::new(ScriptedSandbox::always(ProcessScript::exits(0)));
            let mut run = scripted_run(home.path(), &outlet, &sandbox);
            run.options.in_place = in_place;
            fs::create_dir(&run.repository).expect("made");
            let folders = Folders::of(&run, &JobId::new("a"));
            folders.make(&run, FolderOptions { keep_files: false, open_to_all }).expect("made");
            // Files that other users create in the repository's own folder stay theirs.
            let is_open = open_to_all && !in_place;
            for (path, is_open) in [
                (folders.temp.clone(), is_open),
                (folders.tools(), is_open),
                (folders.workspace.clone(), is_open),
                (folders.parent.clone(), is_open),
                (folders.control(), false),
            ] {
                let mode = fs::metadata(&path).expect("made").permissions().mode() & 0o777;
                assert_eq!(mode == 0o777, is_open, "{}: {mode:o}", path.display());
            }
        }
    }
}
