//! `runs`, `show` and `logs`: the list of runs, one run, its logs.

use std::io;
use std::path::Path;

use crate::backend::runs::Runs;
use crate::launch;
use crate::model::{EndReason, RepositoryId, Timestamp};
use crate::repo::workflows;
use crate::repo::workflows::WorkflowFileError;
use crate::store::clock::now;
use crate::store::folder::RunFolder;
use crate::store::history;
use crate::store::history::{Filter, StatusFilter};
use crate::store::summaries;

use crate::report::runs as report;
use crate::report::standing::Standing;
use crate::report::style;
use crate::report::style::{Out, Style};
use crate::report::{Linear, LogSelection, is_bad};
use crate::ui::terminal_text::TerminalText;
use crate::ui::terminal_text::text;
use crate::workflow::triggers::event_hint;

use super::{Exit, Failure, Outcome, RunArg, block_on, run, runs_dir, servers, services};

/// Default for `--limit`.
const LIMIT: usize = 20;

#[derive(clap::Args, Default)]
pub(super) struct ListArgs {
    /// Maximum number of runs to show [default: 20]
    #[arg(long, short = 'n', short_alias = 'L', allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Only runs of this workflow: its path, its file with or without extension, or its name
    #[arg(long, short)]
    workflow: Option<String>,
    /// Only runs on this branch or tag
    #[arg(long, short)]
    branch: Option<String>,
    /// Only runs of this event
    #[arg(long, short)]
    event: Option<String>,
    /// Only runs with this status or conclusion: a word that the list shows, or GitHub's
    #[arg(long, short)]
    status: Option<StatusFilter>,
    /// Only runs of this commit: its id or the beginning of it
    #[arg(long, short, value_name = "SHA")]
    commit: Option<String>,
    /// Only runs on servers that this user started
    #[arg(long, short = 'u', value_name = "USER")]
    actor: Option<String>,
    /// Only runs created since then: a date, or an age such as `12h` or `7d`
    #[arg(long, value_parser = history::parse_since)]
    since: Option<Timestamp>,
    /// Only runs of this repository; its server is asked for the newest [default: the known runs of the current folder]
    #[arg(long, short = 'R', value_name = "OWNER/NAME")]
    repository: Option<String>,
    /// Runs of all repositories
    #[arg(long, short = 'a', conflicts_with = "repository")]
    all: bool,
    /// Only runs older than this one: its id, or the beginning or end of its id
    #[arg(long, value_name = "RUN")]
    before: Option<String>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    run: RunArg,
    /// Print the uncommitted changes that the run used
    #[arg(long, conflicts_with = "json")]
    diff: bool,
    /// The attempt with this number, as it was at its end [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    attempt: Option<u32>,
    /// Print one JSON object in one line
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct LogsArgs {
    #[command(flatten)]
    run: RunArg,
    /// Only this job: its id, key or name; JOB/STEP is one of its steps
    #[arg(long, short)]
    job: Option<String>,
    /// Only the step with this number or name
    #[arg(long, short)]
    step: Option<String>,
    /// Only this service of a job: its log is followed while the job runs, and kept afterwards
    #[arg(long, value_name = "NAME", conflicts_with_all = ["step", "failed"])]
    service: Option<String>,
    /// Follow the log of this service of the repository's Compose file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["run", "all", "repository", "job", "step", "failed", "service"])]
    compose: Option<String>,
    /// Only what failed: the lines around the first error of each failed step, and why jobs did not start
    #[arg(long)]
    failed: bool,
    /// With --failed, all lines of each failed step
    #[arg(long, requires = "failed")]
    all_lines: bool,
    /// Follow the run until it ends, as `cuelight attach` does; the log of a service is always followed
    #[arg(long, short, conflicts_with_all = ["failed", "summary"])]
    follow: bool,
    /// The job summaries instead of the logs, in Markdown
    #[arg(long, conflicts_with_all = ["step", "failed", "service", "compose"])]
    summary: bool,
}

impl ListArgs {
    /// Lists the newest runs of this repository, or of all repositories.
    pub(super) fn of(all: bool) -> Self {
        Self { all, ..Self::default() }
    }

    /// Whether only runs of this repository are listed, the one around the current folder.
    fn lists_only(&self, home: Option<&RepositoryId>) -> bool {
        let is_home = |name: &String| {
            // A host may stand before the name of the owner.
            let owner = name.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
            home.is_some_and(|home| home.is_named_like(&RepositoryId::named(&name[owner..])))
        };
        !self.all && self.repository.as_ref().is_none_or(is_home)
    }
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let runs = runs_dir()?;
    let limit = args.limit.unwrap_or(LIMIT);
    let here = std::env::current_dir().ok();
    let home = here.as_deref().filter(|_| !args.all).and_then(launch::home);
    // The files of this folder say nothing about the workflows of other repositories.
    let here = here.filter(|_| args.lists_only(home.as_ref()));
    let path = |name: &str| path_of(name, here.as_deref()?);
    let mut filter = Filter {
        repository: home.clone(),
        workflow: args.workflow.as_ref().map(|name| path(name).unwrap_or_else(|| name.clone())),
        branch: args.branch.clone(),
        event: args.event.clone(),
        status: args.status,
        commit: args.commit.clone(),
        actor: args.actor.clone(),
        since: args.since,
    };
    let unlisted = match &args.repository {
        Some(name) => {
            let asked = block_on(Runs::new(runs.clone()).list(name, &filter, limit))??;
            filter.repository = Some(RepositoryId::named(asked.repository));
            asked.unlisted
        }
        None => None,
    };
    let before = args.before.as_ref().map(|wanted| runs.find(wanted)).transpose()?;
    let page = history::page(&runs, &filter, before.as_ref().map(RunFolder::id), limit)?;
    match unlisted {
        Some(error) if page.runs.is_empty() => return Err(error.into()),
        Some(error) => {
            style::notice(&text!("note: {}; showing the runs that were fetched earlier", Failure::from(error).message));
        }
        None => {}
    }
    if args.json {
        page.runs.iter().try_for_each(|run| style::json(&run.document()))?;
        return Ok(Exit::Success);
    }
    if style::is_linear() && !page.runs.is_empty() {
        style::print(&report::sentences(&page.runs, page.more))?;
        return Ok(Exit::Success);
    }
    if page.runs.is_empty() && !page.more {
        let every = Filter { repository: home.clone().filter(|_| args.repository.is_none()), ..Filter::default() };
        style::line(&match home {
            _ if filter != every || before.is_some() => match meant(args, here.as_deref()) {
                hint if hint.is_empty() => "No run matches.".to_owned(),
                hint => format!("No run matches{hint}"),
            },
            Some(home) => format!(
                "There are no runs of {} yet. `cuelight run` starts one, `cuelight runs --all` lists those of other \
                 repositories.",
                home.name
            ),
            None => "There are no runs yet. `cuelight run` starts one, `cuelight demo` shows one.".to_owned(),
        })?;
        return Ok(Exit::Success);
    }
    style::print(&report::listed(&page.runs, page.more, style::columns(), Style::of_output(), now()))?;
    Ok(Exit::Success)
}

/// Returns the path of a workflow from the root of the repository around a folder, if it is given by its name or by a
/// path as seen from the folder: runs have the files of their workflows. `None` if it is given by its file name, or is
/// not there.
fn path_of(name: &str, here: &Path) -> Option<String> {
    let root = workflows::root_of(here)?;
    let path = workflows::find(Some(name), here, root).ok()?;
    let is_file_name = [path.file_name(), path.file_stem()].contains(&Some(name.as_ref()));
    (!is_file_name).then(|| workflows::relative(&path, root))
}

/// Returns the end of the message that no run matches: the event that is probably meant, or the workflow of the
/// repository around `here`.
fn meant(args: &ListArgs, here: Option<&Path>) -> String {
    let event = args.event.as_deref().map(event_hint).unwrap_or_default();
    let found = || {
        let (name, here) = (args.workflow.as_deref()?, here?);
        Some(workflows::find(Some(name), here, workflows::root_of(here)?))
    };
    match found() {
        Some(Err(WorkflowFileError::Unknown { nearest: Some(near), .. })) if event.is_empty() => {
            format!("; did you mean `{near}`?")
        }
        _ => event,
    }
}

pub(super) fn show(args: &ShowArgs) -> Outcome {
    let folder = args.run.find()?;
    let run = match args.attempt {
        None => history::read(&folder)?,
        Some(attempt) => history::read_attempt(&folder, attempt)?
            .ok_or_else(|| Failure::new(Exit::NotFound, format!("{} has no attempt {attempt}", folder.id())))?,
    };
    if args.diff {
        match history::diff(&folder, run.attempt)? {
            Some(diff) => style::print(&TerminalText::lines(&diff))?,
            None => style::notice(&report::without_diff(&run)),
        }
        return Ok(Exit::Success);
    }
    if args.json {
        style::json(&run.document())?;
        return Ok(Exit::Success);
    }
    if style::is_linear() {
        let mut stdout = io::stdout().lock();
        let mut out = Out::new(&mut stdout);
        Linear::default().whole(&run, &folder, &mut out)?;
        out.flush()?;
        return Ok(Exit::Success);
    }
    let style = Style::of_output();
    let logs = text!("\nlogs: {}\n", folder.logs().display());
    let changes = report::changes(&run, style);
    let expected = history::expected(&folder.runs(), &run)?;
    // Of a deployment without a worker, the ledger knows where it stands and how it is continued or undone.
    let is_left = run.info.is_deployment() && run.reason == Some(EndReason::WorkerLost);
    let state = if is_left { launch::deploy::state_of(&folder)? } else { None };
    let standing = state.as_ref().and_then(|(state, position)| Standing::of(&run, state, position.clone()));
    let standing = standing.map(|standing| text!("\n{}", standing.text(false, style))).unwrap_or_default();
    let page = style.spelled(report::shown(&run, &expected, style, now()));
    style::print(&text!("{}{}{}{}", page, standing, changes, logs))?;
    Ok(Exit::Success)
}

pub(super) fn logs(args: &LogsArgs) -> Outcome {
    if let Some(service) = &args.compose {
        return services::follow_compose(service);
    }
    let follows = args.follow && args.service.is_none();
    if follows && (args.job.is_some() || args.step.is_some()) {
        let message = "--follow prints the logs of all jobs: leave out --job and --step, or print their lines so far \
                       without --follow; the screen (`cuelight RUN`) follows one job";
        return Err(Failure::new(Exit::Usage, message));
    }
    let folder = args.run.locate()?;
    if follows {
        return run::Watch::of(&folder).print(&mut *run::lines());
    }
    if args.summary {
        return summary(&folder, args.job.as_deref());
    }
    let (run, fault) = servers::with_logs(&folder, args.job.as_deref(), args.failed)?;
    let (job, step) = run.job_and_step(args.job.as_deref(), args.step.as_deref());
    let jobs = run.jobs_wanted(job)?;
    if let Some(service) = &args.service {
        return services::print(&folder, &run, &jobs, service);
    }
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut out = Out::new(&mut stdout);
    let selection =
        LogSelection { jobs, is_whole_run: job.is_none(), step, failed: args.failed, all_lines: args.all_lines };
    let printed = selection.print(&run, &folder, Style::of_output(), &mut out)?;
    out.flush()?;
    if let (Some(wanted), false) = (step, printed.found) {
        return Err(run.no_step(wanted).into());
    }
    if let Some(fault) = fault {
        if !printed.any {
            return Err(fault);
        }
        style::notice(&text!("note: {}", fault.message));
    }
    if printed.cut {
        style::notice("--all-lines prints all lines of these steps");
    } else if args.failed && !printed.any && is_bad(&run.phase) {
        style::notice(&format!("{} failed, but the logs of its failed steps are not available", run.info.id));
    } else if args.failed && !printed.any {
        style::notice(&format!("nothing failed in {}", run.info.id));
    } else if !printed.any && run.info.remote.is_some() {
        style::notice(&format!("the logs of {} are not available", run.info.id));
    }
    Ok(Exit::Success)
}

/// Prints the job summaries of a run, or of one of its jobs, as they were written.
fn summary(folder: &RunFolder, job: Option<&str>) -> Outcome {
    if let Some(why) = summaries::missing(folder)? {
        return Err(Failure::new(Exit::NotFound, why));
    }
    let run = history::read(folder)?;
    let found = summaries::list(folder, run.jobs_wanted(run.job_and_step(job, None).0)?)?;
    if found.is_empty() {
        style::notice(&format!("no job of {} wrote a summary", run.info.id));
    }
    found.iter().try_for_each(|summary| style::print(&TerminalText::lines(&summary.markdown)))?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::FromArgMatches;

    use super::*;

    fn logs_args(line: &str) -> LogsArgs {
        let matches = crate::cli::command().try_get_matches_from(line.split(' ')).expect(line);
        LogsArgs::from_arg_matches(matches.subcommand().expect("a command").1).expect(line)
    }

    #[test]
    fn a_followed_run_has_the_logs_of_all_jobs() {
        for line in ["cuelight logs -f --job test", "cuelight logs -f --step 2"] {
            let failure = logs(&logs_args(line)).expect_err(line);
            assert_eq!(failure.exit, Exit::Usage, "{line}");
            assert!(failure.message.contains("without --follow"), "{line}: {}", failure.message);
        }
    }

    #[test]
    fn a_workflow_is_found_as_runs_record_it_and_only_in_its_repository() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("there");
        let below = root.join("src");
        fs::create_dir_all(root.join(workflows::FOLDER)).expect("made");
        fs::create_dir(&below).expect("made");
        let text = "name: Checks\non: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n";
        fs::write(root.join(workflows::FOLDER).join("ci.yml"), text).expect("written");
        let path = || Some(".github/workflows/ci.yml".to_owned());
        for (name, expected) in [
            ("../.github/workflows/ci.yml", path()),
            (".github/workflows/ci.yml", path()),
            ("checks", path()),
            ("ci", None),
            ("ci.yml", None),
            ("deploy", None),
        ] {
            assert_eq!(path_of(name, &below), expected, "{name}");
        }
        let args = |workflow: &str| ListArgs { workflow: Some(workflow.to_owned()), ..ListArgs::default() };
        assert_eq!(meant(&args("cj"), Some(&below)), "; did you mean `ci`?");
        assert_eq!(meant(&args("cj"), None), "");
        let home = RepositoryId::named("octo/app");
        let of = |name: &str| ListArgs { repository: Some(name.to_owned()), ..ListArgs::default() };
        assert!(of("Octo/App").lists_only(Some(&home)) && of("git.example/octo/app").lists_only(Some(&home)));
        assert!(ListArgs::default().lists_only(None) && ListArgs::default().lists_only(Some(&home)));
        assert!(!of("octo/other").lists_only(Some(&home)) && !of("octo/app").lists_only(None));
        assert!(!ListArgs::of(true).lists_only(Some(&home)));
    }
}
