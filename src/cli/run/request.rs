//! From arguments and the repository to the document of a run.

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::cli::{Exit, Failure, config, triggers};
use crate::repo::git::{GitError, Repository};
use crate::store::folder::RunsDir;
use crate::store::spec::RunSpec;
use crate::worker::outlet::now;
use crate::workflow;
use crate::workflow::schema;
use crate::workflow::source::Source;
use crate::workflow::syntax::JobBody;

use super::Args;

/// Where GitHub looks for workflows.
pub(in crate::cli) const WORKFLOWS: &str = ".github/workflows";

/// A run as it was asked for.
pub(super) struct Request {
    pub(super) repository: Repository,
    pub(super) spec: RunSpec,
    pub(super) secrets: IndexMap<String, String>,
}

pub(super) fn build(args: &Args, folder: &Path) -> Result<Request, Failure> {
    let repository = repository(args, folder)?;
    let config = config::load(Some(&repository.root))?;
    let path = find_workflow(args.workflow.as_deref(), folder, &repository.root)?;
    let text = read(&path)?;
    let name = relative(&path, &repository.root);
    let slug = args.repository.clone().unwrap_or_else(|| repository.slug.clone());
    let inputs = pairs(&args.inputs, "--input")?;
    let payload = payload(args, &repository, &slug, &inputs)?;
    let git_ref = git_ref(&payload, &repository);
    let secrets = secrets(args)?;
    // Whoever names the runner wants every job here, in this folder.
    let host = args.runner.is_some();
    let runs = RunsDir::locate()?;
    let spec = RunSpec {
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        created: now(),
        run_number: runs.list()?.len() as u64 + 1,
        called: called(&name, &text, &repository.root),
        repository: if args.runner.is_some() { folder.to_owned() } else { repository.root.clone() },
        slug,
        workflow: name,
        text,
        event: args.event.clone(),
        inputs: inputs.into_iter().chain(payload_inputs(&payload)).collect(),
        payload,
        git_ref,
        sha: repository.sha.clone(),
        actor: repository.actor.clone(),
        vars: pairs(&args.vars, "--var")?,
        secrets: secrets.keys().cloned().collect(),
        jobs: args.jobs.clone(),
        max_parallel: args.max_parallel.unwrap_or(config.max_parallel),
        runs_on: config.runs_on,
        sandbox: args.sandbox.clone(),
        image: config.image,
        supervisor: config.supervisor,
        keep_failed: config.keep_failed,
        actions: config.actions,
        offline: args.offline || config.offline,
        in_place: args.in_place || host,
        any_runner: host,
        debug: args.debug,
        ..RunSpec::default()
    };
    Ok(Request { repository, spec, secrets })
}

pub(in crate::cli) fn read(path: &Path) -> Result<String, Failure> {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|error| Failure::new(Exit::NotFound, format!("cannot read {}: {error}", path.display())))
}

/// The repository around a folder.
pub(super) fn repository(args: &Args, folder: &Path) -> Result<Repository, Failure> {
    let repository = Repository::discover(folder).or_else(|error| match (&args.runner, &args.repository) {
        // Whoever names the runner and the repository needs no git to find it.
        (Some(_), Some(slug)) => Ok(Repository::unversioned(folder, slug)),
        _ => Err(error),
    });
    repository.map_err(|error| {
        let exit = if matches!(error, GitError::Missing(_)) { Exit::Unavailable } else { Exit::NotFound };
        Failure::new(exit, error.to_string())
    })
}

fn relative(path: &Path, root: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    full.strip_prefix(root).unwrap_or(&full).to_string_lossy().into_owned()
}

/// Finds a workflow: a path, the name of a file in `.github/workflows` with or without its ending, or the `name` that a
/// file there gives itself. Without a name, the only one there is.
pub(in crate::cli) fn find_workflow(wanted: Option<&str>, folder: &Path, root: &Path) -> Result<PathBuf, Failure> {
    let known = workflows(root);
    let list = || {
        let names: Vec<_> =
            known.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy()).collect();
        if names.is_empty() { format!("{WORKFLOWS} has none") } else { format!("{WORKFLOWS} has {}", names.join(", ")) }
    };
    let Some(wanted) = wanted else {
        return match known.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(Failure::new(Exit::NotFound, format!("say which workflow to run: {}", list()))),
        };
    };
    let path = folder.join(wanted);
    if path.is_file() {
        return Ok(path);
    }
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let file = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy() == wanted);
    if let Some(found) = known.iter().find(|path| file(path) || stem(path).as_deref() == Some(wanted)) {
        return Ok(found.clone());
    }
    let named = known.iter().find(|path| {
        let parsed = read(path).ok().map(|text| workflow::parse(&Source::new("", text)));
        let name = parsed.and_then(|parsed| parsed.value).and_then(|workflow| workflow.name);
        name.is_some_and(|name| name.value.eq_ignore_ascii_case(wanted))
    });
    if let Some(found) = named {
        return Ok(found.clone());
    }
    let stems: Vec<_> = known.iter().filter_map(stem).collect();
    let near = schema::nearest(wanted, stems.iter().map(String::as_str));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(Failure::new(Exit::NotFound, format!("there is no workflow `{wanted}`: {}{hint}", list())))
}

/// The files in which GitHub looks for workflows.
pub(in crate::cli) fn workflows(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(WORKFLOWS)).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml"))
        .collect();
    files.sort();
    files
}

/// `NAME=VALUE` arguments.
fn pairs(given: &[String], flag: &str) -> Result<IndexMap<String, String>, Failure> {
    let pairs = given.iter().map(|pair| match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::new(Exit::Usage, format!("{flag} takes NAME=VALUE, not `{pair}`"))),
    });
    pairs.collect()
}

/// Secrets from a file and from arguments, the latter first in importance.
fn secrets(args: &Args) -> Result<IndexMap<String, String>, Failure> {
    let mut secrets = IndexMap::new();
    if let Some(path) = &args.secret_file {
        let text = read(path)?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || {
                let place = format!("{}:{}:1", path.display(), number + 1);
                Failure::new(Exit::Usage, format!("{place}: expected NAME=VALUE"))
            };
            let (name, value) = line.split_once('=').ok_or_else(wrong)?;
            secrets.insert(name.trim().to_owned(), value.trim().trim_matches('"').to_owned());
        }
    }
    for given in &args.secrets {
        let (name, value) = match given.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                if let Ok(value) = std::env::var(given) {
                    (given.as_str(), value)
                } else {
                    let message = format!("--secret {given} has no value, and the environment has no variable {given}");
                    return Err(Failure::new(Exit::Usage, message));
                }
            }
        };
        secrets.insert(name.to_owned(), value);
    }
    Ok(secrets)
}

/// The event's payload: the file that was given, over what is known of every event.
fn payload(
    args: &Args,
    repository: &Repository,
    slug: &str,
    inputs: &IndexMap<String, String>,
) -> Result<Value, Failure> {
    let (owner, name) = slug.split_once('/').unwrap_or(("local", slug));
    let mut payload = json!({
        "ref": repository.git_ref,
        "repository": {"full_name": slug, "name": name, "owner": {"login": owner}},
        "sender": {"login": repository.actor},
    });
    if args.event == "push" {
        payload["after"] = json!(repository.sha);
        payload["head_commit"] = json!({"id": repository.sha});
    }
    if !inputs.is_empty() {
        payload["inputs"] = json!(inputs);
    }
    if let Some(path) = &args.event_path {
        for (key, value) in triggers::payload(path)? {
            payload[key] = value;
        }
    }
    Ok(payload)
}

/// Inputs that the payload brings, as a dispatched event's does.
fn payload_inputs(payload: &Value) -> Vec<(String, String)> {
    let inputs = payload.get("inputs").and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    inputs.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn git_ref(payload: &Value, repository: &Repository) -> String {
    let number =
        payload.get("pull_request").and_then(|request| request.get("number")).or_else(|| payload.get("number"));
    match number.and_then(Value::as_u64) {
        Some(number) => format!("refs/pull/{number}/merge"),
        None => payload.get("ref").and_then(Value::as_str).map_or_else(|| repository.git_ref.clone(), str::to_owned),
    }
}

/// The texts of the repository's workflows that this one calls, however indirectly.
fn called(name: &str, text: &str, root: &Path) -> IndexMap<String, String> {
    let mut texts = IndexMap::new();
    let mut todo = vec![(name.to_owned(), text.to_owned())];
    while let Some((name, text)) = todo.pop() {
        let Some(workflow) = workflow::parse(&Source::new(name, text)).value else { continue };
        for job in &workflow.jobs {
            let JobBody::Call { uses, .. } = &job.body else { continue };
            let Some(path) = uses.value.strip_prefix("./").filter(|path| !texts.contains_key(*path)) else { continue };
            if let Ok(text) = fs::read_to_string(root.join(path)) {
                texts.insert(path.to_owned(), text.clone());
                todo.push((path.to_owned(), text));
            }
        }
    }
    texts
}
