//! Secrets of a run: the sources of their values, and the names that a workflow uses. Values are kept in memory only.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::called::{Called, Others, call, called};
use super::env_file;
use super::env_file::EnvFileError;
use crate::files;
use crate::files::FileError;
use crate::store::StoreError;
use crate::store::spec::RunSpec;
use crate::worker::prepare::TOKEN;
use crate::workflow::expr::{Expr, PathKey};
use crate::workflow::lint;
use crate::workflow::syntax::{CallSecrets, JobBody, Workflow, callee_name};

/// Source of one or several secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A value.
    Value {
        /// The secret's name.
        name: String,
        /// The secret's value.
        value: String,
    },
    /// The environment variable with the secret's name.
    Environment(String),
    /// A file in the form of `.env`.
    File(PathBuf),
    /// The environment variables of all secrets that the workflow names. A variable that is not set is skipped.
    Named,
}

impl SecretSource {
    /// Returns the path of a file with secrets. `None` for any other source.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Value { .. } | Self::Environment(_) | Self::Named => None,
        }
    }
}

/// Leaves out the values, so that they do not get into logs and panics.
impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { name, .. } => f.debug_struct("Value").field("name", name).finish_non_exhaustive(),
            Self::Environment(name) => f.debug_tuple("Environment").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Named => f.write_str("Named"),
        }
    }
}

/// Parses `NAME=VALUE`, or `NAME` for an environment variable.
impl From<&str> for SecretSource {
    fn from(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, value)) => Self::Value { name: name.to_owned(), value: value.to_owned() },
            None => Self::Environment(text.to_owned()),
        }
    }
}

/// Why the secrets of a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set.
    #[error("the secret {0} has no value, and the environment has no variable {0}")]
    NotInEnvironment(String),
    /// The run had this secret, and another attempt needs it again.
    #[error("the run needs the secret {0}: give --secret {0}=VALUE, or set it in the environment")]
    NotGivenAgain(String),
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: FileError,
    },
    /// A line of a file is not in the form of `.env`.
    #[error("{}:{source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line and the cause.
        source: EnvFileError,
    },
    /// The run's folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads all sources but [`SecretSource::Named`]. A later source overrides an earlier one.
pub(super) fn given(sources: &[SecretSource]) -> Result<IndexMap<String, String>, SecretError> {
    let mut secrets = IndexMap::new();
    for source in sources {
        match source {
            SecretSource::Value { name, value } => drop(secrets.insert(name.clone(), value.clone())),
            SecretSource::Environment(name) => {
                let value = env::var(name).map_err(|_| SecretError::NotInEnvironment(name.clone()))?;
                secrets.insert(name.clone(), value);
            }
            SecretSource::File(path) => secrets.extend(in_file(path)?),
            SecretSource::Named => {}
        }
    }
    Ok(secrets)
}

/// Adds the secrets of [`SecretSource::Named`] that have no value yet, if this is one of the sources.
pub(super) fn with_named(
    mut given: IndexMap<String, String>,
    sources: &[SecretSource],
    workflow: &Workflow,
    called: &Called,
) -> IndexMap<String, String> {
    if sources.contains(&SecretSource::Named) {
        for name in named_by(workflow, called) {
            if let Some(value) = in_environment(&name) {
                given.entry(name).or_insert(value);
            }
        }
    }
    given
}

fn in_file(path: &Path) -> Result<IndexMap<String, String>, SecretError> {
    let bytes = files::read_named(path).map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
    env_file::read(&bytes).map_err(|source| SecretError::Malformed { path: path.to_owned(), source })
}

/// Returns the value of a variable that is set and not empty.
fn in_environment(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the secrets for another attempt of a run: the secrets that the run had, from these sources or else from the
/// environment, and any others in the sources.
///
/// # Errors
/// A secret of the run has no value, or a file cannot be read.
pub fn of_run(spec: &RunSpec, sources: &[SecretSource]) -> Result<IndexMap<String, String>, SecretError> {
    let mut secrets = given(sources)?;
    for name in spec.work.workflow().map(|workflow| workflow.secrets.as_slice()).unwrap_or_default() {
        if !secrets.contains_key(name) {
            let value = env::var(name).map_err(|_| SecretError::NotGivenAgain(name.clone()))?;
            secrets.insert(name.clone(), value);
        }
    }
    Ok(secrets)
}

/// Returns the secrets that a workflow of the repository at `root` needs, each with whether the environment has a value
/// for it, in the order of their names. `GITHUB_TOKEN` is not among them: every run has one.
#[must_use]
pub fn needed_by(workflow: &Arc<Workflow>, root: &Path) -> Vec<(String, bool)> {
    let mut names = named_by(workflow, &called(workflow, root, &Others::Unread, &[]));
    names.sort();
    names.into_iter().map(|name| (in_environment(&name).is_some(), name)).map(|(set, name)| (name, set)).collect()
}

/// Returns the names of the secrets that the expressions of a workflow read, each once regardless of case, in the order
/// of the file. Includes the secrets of a called workflow if its caller passes secrets on with `secrets: inherit`.
fn named_by(workflow: &Workflow, called: &Called) -> Vec<String> {
    let mut names = Names::default();
    names.add_workflow(workflow, called, &mut Vec::new());
    names.0
}

#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn add(&mut self, name: &str) {
        if !name.eq_ignore_ascii_case(TOKEN) && !self.0.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            self.0.push(name.to_owned());
        }
    }

    fn add_expression(&mut self, expression: &Expr) {
        for reference in expression.roots() {
            if reference.context.text.eq_ignore_ascii_case("secrets")
                && let Some(PathKey::Name(name, _)) = reference.path.first()
            {
                self.add(name);
            }
        }
    }

    /// Adds the secrets of a workflow. `inherited` has the names of the called workflows that were added already.
    fn add_workflow(&mut self, workflow: &Workflow, called: &Called, inherited: &mut Vec<String>) {
        for expression in lint::outer_expressions(workflow) {
            self.add_expression(expression);
        }
        for job in &workflow.jobs {
            for expression in lint::expressions(job) {
                self.add_expression(expression);
            }
            if let JobBody::Call { secrets: CallSecrets::Inherit, .. } = &job.body
                && let Some(name) = call(job).map(|uses| callee_name(uses, &workflow.source.name))
                && let Some(callee) = called.get(&name).filter(|_| !inherited.contains(&name))
            {
                inherited.push(name);
                let declared = callee.triggers.iter().flat_map(|trigger| &trigger.secrets);
                declared.filter(|(_, required)| *required).for_each(|(name, _)| self.add(&name.value));
                self.add_workflow(callee, called, inherited);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::worker::prepare;

    /// Returns the secrets that a workflow needs, in a repository with these other files.
    fn needed(text: &str, files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(root.path().join(name), text).expect("written");
        }
        let workflow = prepare::parse("ci.yml", text).expect(text);
        needed_by(&workflow, root.path()).into_iter().map(|(name, _)| name).collect()
    }

    fn step(step: &str) -> Vec<String> {
        needed(&format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {step}\n"), &[])
    }

    #[test]
    fn secrets_are_those_that_expressions_read() {
        assert_eq!(step("run: echo ${{ secrets.A }} ${{ secrets['B_2'] }} ${{ SECRETS.c }}"), ["A", "B_2", "c"]);
        assert_eq!(step("{run: x, env: {T: '${{ secrets.A || secrets.a }}'}}"), ["A"]);
        assert_eq!(
            step("{uses: a/b@v1, with: {token: '${{ secrets.GITHUB_TOKEN }}', key: '${{ secrets.KEY }}'}}"),
            ["KEY"]
        );
    }

    #[test]
    fn text_that_only_looks_like_a_secret_is_not_one() {
        assert_eq!(step("run: echo secrets.A # ${{ secrets.B }}"), Vec::<String>::new(), "a comment of the file");
        assert_eq!(step("run: echo ${{ 'secrets.A' }} ${{ env.secrets.B }}"), Vec::<String>::new());
        assert_eq!(step("run: echo ${{ secrets[env.X] }} ${{ toJSON(secrets) }}"), Vec::<String>::new());
    }

    #[test]
    fn every_place_of_a_workflow_counts() {
        let text = "on: push\nenv: {A: '${{ secrets.OUTER }}'}\njobs:\n  a:\n    runs-on: x\n    \
                    container: {image: x, credentials: {username: u, password: '${{ secrets.REGISTRY }}'}}\n    \
                    env: {B: '${{ secrets.JOB }}'}\n    steps: [{run: x, if: \"env.B != ''\"}]\n";
        assert_eq!(needed(text, &[]), ["JOB", "OUTER", "REGISTRY"]);
    }

    #[test]
    fn called_workflows_count_where_secrets_are_inherited() {
        let callee = "on: {workflow_call: {secrets: {DECLARED: {required: true}, OPTIONAL: {required: false}}}}\n\
                      jobs: {a: {runs-on: x, steps: [{run: 'echo ${{ secrets.INNER }}'}]}}\n";
        let caller = |secrets: &str| format!("on: push\njobs: {{a: {{uses: ./b.yml{secrets}}}}}\n");
        let files = [("b.yml", callee)];
        assert_eq!(needed(&caller(", secrets: inherit"), &files), ["DECLARED", "INNER"]);
        assert_eq!(needed(&caller(", secrets: {INNER: '${{ secrets.OUTER }}'}"), &files), ["OUTER"]);
        assert_eq!(needed(&caller(""), &files), Vec::<String>::new());
        let round = "on: [push, workflow_call]\njobs:\n  a: {uses: ./b.yml, secrets: inherit}\n  \
                     b: {runs-on: x, steps: [{run: 'echo ${{ secrets.ROUND }}'}]}\n";
        assert_eq!(needed(round, &[("b.yml", round)]), ["ROUND"]);
    }

    #[test]
    fn later_sources_override_earlier_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets");
        fs::write(&path, "# a comment\n\nexport A = \"from file\" # tail\nB=x=y\n").expect("written");
        let secrets = given(&[SecretSource::File(path.clone()), "A=given".into()]).expect("read");
        assert_eq!((secrets["A"].as_str(), secrets["B"].as_str()), ("given", "x=y"));
        fs::write(&path, "A=1\nno pair\n").expect("written");
        let error = given(&[SecretSource::File(path.clone())]).expect_err("no pair").to_string();
        assert_eq!(error, format!("{}:2:1: expected NAME=VALUE", path.display()));
        let error = given(&["CUELIGHT_NO_SUCH_VARIABLE".into()]).expect_err("not set").to_string();
        assert!(error.ends_with("the environment has no variable CUELIGHT_NO_SUCH_VARIABLE"), "{error}");
    }

    #[test]
    fn a_value_is_not_printed() {
        let source = SecretSource::from("KEY=hunter2");
        assert_eq!(format!("{source:?}"), "Value { name: \"KEY\", .. }");
    }
}
