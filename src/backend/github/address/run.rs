//! A run on a host, named by its id or by a URL.

use super::AddressError;
use super::repository::{Repository, shown};

/// What the user named: a run, or a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A run.
    Run(RunAddress),
    /// A pull request.
    PullRequest {
        /// The repository.
        repository: Repository,
        /// Number of the pull request.
        number: u64,
    },
}

/// A run, and the attempt or job that was named with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunAddress {
    /// The repository; `None` if only the id of the run was given.
    pub repository: Option<Repository>,
    /// Id of the run.
    pub run: u64,
    /// Number of the attempt; `None` if none was named.
    pub attempt: Option<u32>,
    /// Id of the job; `None` if none was named.
    pub job: Option<u64>,
}

impl Target {
    /// Reads the id of a run, `[HOST/]OWNER/REPO/ID`, or the URL of a run, an attempt, a job or a pull request.
    /// `default_host` is the host of a repository that is named without one.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str, default_host: Option<&str>) -> Result<Self, AddressError> {
        let found = match text.split_once("://") {
            Some((scheme, rest)) if matches!(scheme.to_ascii_lowercase().as_str(), "https" | "http") => of_url(rest),
            Some(_) => None,
            None => of_name(text, default_host),
        };
        found.ok_or_else(|| AddressError::Run(shown(text)))
    }
}

fn of_name(text: &str, default_host: Option<&str>) -> Option<Target> {
    let Some((repository, run)) = text.rsplit_once('/') else {
        return Some(Target::Run(RunAddress { repository: None, run: number(text)?, attempt: None, job: None }));
    };
    let run = number(run)?;
    let repository = Some(Repository::parse(repository, default_host).ok()?);
    Some(Target::Run(RunAddress { repository, run, attempt: None, job: None }))
}

fn of_url(rest: &str) -> Option<Target> {
    let path = rest.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').collect();
    let [host, owner, name, page @ ..] = parts.as_slice() else { return None };
    // Drops the user and the port: host names here have neither.
    let host = host.rsplit('@').next()?.split(':').next()?;
    let repository = Repository::new(host, owner, name)?;
    let run = |run: &str, attempt: Option<&str>, job: Option<&str>| {
        let attempt = attempt.map(|text| number(text).and_then(|attempt| u32::try_from(attempt).ok()));
        let job = job.map(number);
        if attempt == Some(None) || job == Some(None) {
            return None;
        }
        let (run, attempt, job) = (number(run)?, attempt.flatten(), job.flatten());
        Some(Target::Run(RunAddress { repository: Some(repository.clone()), run, attempt, job }))
    };
    match *page {
        // Pages of a run: its summary, workflow file, usage.
        ["actions", "runs", id] | ["actions", "runs", id, "workflow" | "usage" | "summary"] => run(id, None, None),
        ["actions", "runs", id, "job" | "jobs", job] => run(id, None, Some(job)),
        ["actions", "runs", id, "attempts", attempt] => run(id, Some(attempt), None),
        ["actions", "runs", id, "attempts", attempt, "job" | "jobs", job] => run(id, Some(attempt), Some(job)),
        ["pull" | "pulls", id] | ["pull" | "pulls", id, "checks" | "files" | "commits"] => {
            Some(Target::PullRequest { number: number(id)?, repository })
        }
        _ => None,
    }
}

/// Parses a positive number written in digits only.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_number_name_and_every_url() {
        for (text, repository, run, attempt, job) in [
            ("17000000049", None, 17_000_000_049, None, None),
            ("o/r/5", Some("o/r"), 5, None, None),
            ("ghe.example/o/r/5", Some("ghe.example/o/r"), 5, None, None),
            ("https://github.com/o/r/actions/runs/5", Some("o/r"), 5, None, None),
            ("https://github.com/o/r/actions/runs/5/?pr=3#summary-1", Some("o/r"), 5, None, None),
            ("https://github.com/o/r/actions/runs/5/workflow", Some("o/r"), 5, None, None),
            ("https://github.com/o/r/actions/runs/5/job/7#step:3:1", Some("o/r"), 5, None, Some(7)),
            ("https://github.com/o/r/actions/runs/5/attempts/2", Some("o/r"), 5, Some(2), None),
            ("https://ghe.example/o/r/actions/runs/5/attempts/2/job/7", Some("ghe.example/o/r"), 5, Some(2), Some(7)),
            ("http://git.example:3000/o/r/actions/runs/5/jobs/7", Some("git.example/o/r"), 5, None, Some(7)),
        ] {
            let Ok(Target::Run(found)) = Target::parse(text, None) else { panic!("{text}") };
            let of = found.repository.map(|repository| repository.to_string());
            assert_eq!((of.as_deref(), found.run, found.attempt, found.job), (repository, run, attempt, job), "{text}");
        }
        let Ok(Target::PullRequest { repository, number }) =
            Target::parse("https://github.com/o/r/pull/12/checks", None)
        else {
            panic!("a pull request")
        };
        assert_eq!((repository.to_string().as_str(), number), ("o/r", 12));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "0",
            "-1",
            "+5",
            "5 ",
            "1e3",
            "99999999999999999999",
            "o/5",
            "a/b/c/d/5",
            "o/r/x",
            "latest",
            "https://github.com/o/r",
            "https://github.com/o/r/actions/runs",
            "https://github.com/o/r/actions/runs/x",
            "https://github.com/o/r/actions/runs/5/job/x",
            "https://github.com/o/r/actions/runs/5/attempts/99999999999",
            "https://github.com/o/../actions/runs/5",
            "https://github.com/o/r/issues/5",
            "ftp://github.com/o/r/actions/runs/5",
            "https:///o/r/actions/runs/5",
            "https://gith\u{1b}ub.com/o/r/actions/runs/5",
            "https://github.com/o/r/actions/runs/5/../../6",
        ] {
            assert!(Target::parse(text, None).is_err(), "{text:?}");
        }
    }
}
