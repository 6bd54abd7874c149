//! Prepares `run:` steps: writes the script file, finds the shell, and checks the working directory.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::files::Folder;
use crate::store::space_hint;
use crate::workflow::expr::Scope;
use crate::workflow::template::{Template, TemplateError};

use super::context::StepContext;
use super::invocation::Invocation;
use super::shell::{Shell, ShellError};

/// Definition of a `run:` step, with `defaults.run` applied.
pub(crate) struct Script<'s> {
    /// Id of the step, used in the name of the script file.
    pub(crate) id: &'s str,
    /// `run`.
    pub(crate) body: &'s Template,
    /// `shell`.
    pub(crate) shell: Option<&'s Template>,
    /// `working-directory`.
    pub(crate) working_directory: Option<&'s Template>,
}

/// Why a script cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    /// An expression could not be evaluated.
    #[error("`{key}`: {source}")]
    Evaluate {
        /// Key of the step that holds the expression.
        key: &'static str,
        /// Cause of the failure.
        source: TemplateError,
    },
    /// No shell can be found for the step.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// The script file cannot be written.
    #[error("cannot write the step's script: {}{}", .0, space_hint(.0))]
    Write(#[from] io::Error),
    /// The working directory does not exist.
    #[error("the working directory {} does not exist", .0.display())]
    NoFolder(PathBuf),
    /// The working directory is a file.
    #[error("the working directory {} is not a folder but a file", .0.display())]
    FileInPlace(PathBuf),
}

impl Script<'_> {
    /// Writes the script file and returns the invocation that runs it. `path` is the search path for shells.
    ///
    /// # Errors
    /// See [`ScriptError`].
    pub(crate) async fn invocation(
        &self,
        context: &StepContext<'_>,
        scope: &Scope<'_>,
        path: &OsStr,
    ) -> Result<Invocation, ScriptError> {
        let text = |template: &Template, key| match template.evaluate(scope) {
            Ok(value) => Ok(value.to_text()),
            Err(source) => Err(ScriptError::Evaluate { key, source }),
        };
        let optional = |template: Option<&Template>, key| {
            let text = template.map(|template| text(template, key)).transpose();
            text.map(|text| text.filter(|text| !text.is_empty()))
        };
        let body = text(self.body, "run")?;
        let shell = optional(self.shell, "shell")?;
        let folder = optional(self.working_directory, "working-directory")?;
        let sandbox = context.sandbox;
        let shell = Shell::find(shell.as_deref(), sandbox, path).await?;
        let inside = sandbox.inside(context.workspace);
        let cwd = folder.map_or_else(|| inside.clone(), |folder| inside.join(folder));
        // In a container, only folders of the workspace can be checked here: others may exist only inside the
        // container.
        let outside = sandbox.outside(&cwd);
        if (!context.in_container || outside.starts_with(context.workspace)) && !outside.is_dir() {
            return Err(if outside.exists() { ScriptError::FileInPlace(cwd) } else { ScriptError::NoFolder(cwd) });
        }
        let script = context.temp.join(format!("{}-{}{}", context.number, self.id, shell.extension()));
        let (above, temp) = Folder::above(context.temp)?;
        // An earlier step may have put a link here, which must not be followed.
        let mut file = above.create(&temp.join(script.file_name().unwrap_or_default()))?;
        file.write_all(shell.script(&body).as_ref())?;
        if context.in_container {
            // The container may use another user, who must be able to read the file.
            file.set_permissions(Permissions::from_mode(0o644))?;
        }
        let (program, args) = shell.command(&sandbox.inside(&script));
        Ok(Invocation { program, args, cwd, files: vec![script], script: Some(body), ..Invocation::default() })
    }
}
