//! Why a run or a job waits, in one sentence, and what ends the wait.

use std::fmt;

use serde::Serialize;

use super::{Gate, Job, JobId, Phase, Run, ServerKind, Timestamp};

/// A run or a job that waits.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Wait {
    /// The job; `None` for the run as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Name of the job or the run.
    pub name: String,
    /// Reason for which the run or job waits.
    #[serde(flatten)]
    pub cause: WaitCause,
}

/// What a run or a job waits for. `None` in a field means that it is not known.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "waits_for", rename_all = "snake_case")]
pub enum WaitCause {
    /// Jobs that have not ended.
    Needs {
        /// The jobs, with their states.
        jobs: Vec<OpenNeed>,
    },
    /// A runner.
    Runner {
        /// Labels that it must have.
        labels: Vec<String>,
        /// Runners of the repository with all of these labels.
        runners: Option<Vec<MatchingRunner>>,
    },
    /// A concurrency group.
    Group {
        /// Name of the group; empty if it is not known.
        group: String,
        /// The run that holds it.
        holder: Option<GroupHolder>,
        /// Number of runs and jobs ahead of this one, including the holder.
        ahead: Option<usize>,
    },
    /// A review of an environment.
    Review {
        /// Name of the environment.
        environment: String,
        /// Users and teams, one of whom must approve.
        reviewers: Vec<String>,
        /// Why the user may not review; `None` if the user may.
        refusal: Option<String>,
        /// Time since which the review is pending.
        since: Option<Timestamp>,
    },
    /// The wait timer of an environment.
    Timer {
        /// Name of the environment.
        environment: String,
        /// End of the timer.
        until: Timestamp,
    },
    /// Rules of an environment that are neither reviews nor timers.
    Rules {
        /// Name of the environment.
        environment: String,
        /// Apps that decide.
        apps: Option<Vec<String>>,
    },
    /// Another reason, in words.
    Other {
        /// What the run or job waits for.
        what: String,
    },
}

/// A job that another one needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OpenNeed {
    /// Name of the job.
    pub name: String,
    /// State of the job, in GitHub's word.
    pub status: &'static str,
}

/// A runner with the labels that a job wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MatchingRunner {
    /// Name of the runner.
    pub name: String,
    /// Whether the runner is connected to the server.
    pub online: bool,
    /// Whether the runner runs another job.
    pub busy: bool,
}

/// The run that holds a concurrency group.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct GroupHolder {
    /// The run as commands name it: `owner/name/17000000001`, or its id on this machine. Empty if it is not known.
    pub run: String,
    /// Name of the run, with the name of the job that holds the group, if it is a job.
    pub name: String,
    /// Time since which the holder runs; `None` if it is not known.
    pub since: Option<Timestamp>,
    /// What the holder itself waits for; `None` if it does not wait, or if it is not known.
    pub waits_for: Option<String>,
    /// Names of the environments whose review the holder waits for.
    pub reviews: Vec<String>,
}

impl Run {
    /// Returns why the run and its jobs wait, as far as their records show it. If the run as a whole waits, and its
    /// jobs wait at most for needed jobs, only the run is returned.
    #[must_use]
    pub fn waits(&self) -> Vec<Wait> {
        let of_run = match &self.phase {
            Phase::Waiting(gate) if self.jobs.values().all(|job| !is_open(job)) => {
                let cause = self.cause(gate, None);
                Some(Wait { job: None, name: self.name.clone(), cause })
            }
            _ => None,
        };
        if let Some(wait) = of_run {
            return vec![wait];
        }
        let of_jobs = self.jobs.values().filter(|job| job.attempt == self.attempt).filter_map(|job| {
            let gate = match &job.phase {
                Phase::Waiting(gate) => gate,
                Phase::Queued if self.open_needs(job).is_empty() => return None,
                Phase::Queued => &Gate::Needs,
                _ => return None,
            };
            Some(Wait { job: Some(job.id.clone()), name: job.name.clone(), cause: self.cause(gate, Some(job)) })
        });
        of_jobs.collect()
    }

    fn open_needs(&self, job: &Job) -> Vec<OpenNeed> {
        let needs = job.needs.iter().filter_map(|id| self.jobs.get(id)).filter(|need| !need.phase.is_done());
        needs.map(|need| OpenNeed { name: need.name.clone(), status: need.phase.word() }).collect()
    }

    fn cause(&self, gate: &Gate, job: Option<&Job>) -> WaitCause {
        let review = match job {
            Some(job) => self.review_of(job),
            None => self.reviews.first(),
        };
        match gate {
            Gate::Needs => WaitCause::Needs { jobs: job.map(|job| self.open_needs(job)).unwrap_or_default() },
            Gate::Runner(labels) => WaitCause::Runner { labels: labels.clone(), runners: None },
            Gate::Concurrency { group, holder } => {
                let named = GroupHolder { run: String::new(), name: holder.clone(), ..GroupHolder::default() };
                let holder = (!holder.is_empty()).then_some(named);
                WaitCause::Group { group: group.clone(), holder, ahead: None }
            }
            Gate::Review(environment) => WaitCause::Review {
                environment: environment.clone(),
                reviewers: review.map(|review| review.reviewers.clone()).unwrap_or_default(),
                refusal: review.and_then(|review| review.refusal).map(|refusal| refusal.to_string()),
                since: review.and_then(|review| review.since),
            },
            Gate::Timer { environment, until } => WaitCause::Timer { environment: environment.clone(), until: *until },
            Gate::Protection(environment) => WaitCause::Rules { environment: environment.clone(), apps: None },
            Gate::Capacity | Gate::Resource(_) | Gate::Rule(_) | Gate::Held { .. } | Gate::Other(_) => {
                WaitCause::Other { what: gate.reason() }
            }
        }
    }
}

fn is_open(job: &Job) -> bool {
    matches!(&job.phase, Phase::Waiting(gate) if *gate != Gate::Needs)
}

impl WaitCause {
    /// Returns the command that ends the wait; `None` if there is none. `run` is the waiting run, as commands name it,
    /// and `server` the kind of its server.
    #[must_use]
    pub fn remedy(&self, run: &str, server: Option<ServerKind>) -> Option<String> {
        let cancel = |run: &str| server.is_none_or(ServerKind::can_cancel).then(|| format!("cuelight cancel {run}"));
        match self {
            Self::Review { environment, refusal: None, .. } => {
                Some(format!("cuelight approve '{environment}' --run {run}"))
            }
            Self::Group { holder: Some(holder), .. } if !holder.run.is_empty() => match holder.reviews.first() {
                Some(environment) => Some(format!("cuelight approve '{environment}' --run {}", holder.run)),
                None => cancel(&holder.run),
            },
            Self::Runner { .. } | Self::Rules { .. } | Self::Timer { .. } => cancel(run),
            _ => None,
        }
    }
}

impl fmt::Display for WaitCause {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs { jobs } if jobs.is_empty() => to.write_str("waits for its turn"),
            Self::Needs { jobs } => {
                let jobs = jobs.iter().map(|job| format!("{} ({})", job.name, job.status)).collect::<Vec<_>>();
                write!(to, "needs {}", jobs.join(", "))
            }
            Self::Runner { labels, runners } => {
                to.write_str(&Gate::Runner(labels.clone()).reason())?;
                runners.as_ref().map_or(Ok(()), |runners| to.write_str(&of_runners(runners)))
            }
            Self::Group { group, holder, ahead } => {
                let group =
                    if group.is_empty() { "its concurrency group".to_owned() } else { format!("the group {group}") };
                match holder {
                    None => write!(to, "another run holds {group}")?,
                    Some(GroupHolder { run, name, since, waits_for, .. }) => {
                        write!(to, "{name} holds {group}")?;
                        if !run.is_empty() {
                            write!(to, " ({run})")?;
                        }
                        if let Some(since) = since {
                            write!(to, ", since {}", since.clock())?;
                        }
                        if let Some(reason) = waits_for {
                            write!(to, ", and {reason}")?;
                        }
                    }
                }
                match ahead {
                    Some(ahead) if *ahead > 1 => write!(to, "; {ahead} are ahead of this one"),
                    _ => Ok(()),
                }
            }
            Self::Review { environment, reviewers, refusal, .. } => {
                let reviewers =
                    if reviewers.is_empty() { String::new() } else { format!(" ({})", reviewers.join(", ")) };
                write!(to, "waits for a review of {environment}{reviewers}")?;
                refusal.as_ref().map_or(Ok(()), |refusal| write!(to, "; {refusal}"))
            }
            Self::Timer { environment, until } => {
                write!(to, "waits for the timer of {environment} until {}", until.clock())
            }
            Self::Rules { environment, apps } => {
                to.write_str(&Gate::Protection(environment.clone()).reason())?;
                match apps.as_deref() {
                    Some(apps @ [_, ..]) => write!(to, ", which {} decides", apps.join(", ")),
                    _ => Ok(()),
                }
            }
            Self::Other { what } => to.write_str(what),
        }
    }
}

/// Describes the runners that could take a job.
fn of_runners(runners: &[MatchingRunner]) -> String {
    let names = |wanted: fn(&&MatchingRunner) -> bool| {
        runners.iter().filter(wanted).map(|runner| runner.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (offline, busy) = (names(|runner| !runner.online), names(|runner| runner.online && runner.busy));
    let free = names(|runner| runner.online && !runner.busy);
    match (runners.is_empty(), free.is_empty(), busy.is_empty()) {
        (true, ..) => ": no runner of the repository has these labels".to_owned(),
        (_, false, _) => format!(": {free} could take it"),
        (_, _, false) => format!(": {busy} is busy"),
        _ => format!(": {offline} is offline"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(online: bool, busy: bool) -> MatchingRunner {
        MatchingRunner { name: "tpu-1".to_owned(), online, busy }
    }

    #[test]
    fn each_cause_is_a_sentence() {
        let wants = |runners| WaitCause::Runner { labels: vec!["tpu".to_owned()], runners };
        let holder = GroupHolder {
            run: "o/r/7".to_owned(),
            name: "Ship #210".to_owned(),
            since: Some(Timestamp(0)),
            waits_for: Some("waits for a review of public (olu)".to_owned()),
            reviews: vec!["public".to_owned()],
        };
        let group = |ahead| WaitCause::Group { group: "ship".to_owned(), holder: Some(holder.clone()), ahead };
        let review = |refusal: Option<&str>| WaitCause::Review {
            environment: "prod".to_owned(),
            reviewers: vec!["olu".to_owned()],
            refusal: refusal.map(str::to_owned),
            since: None,
        };
        let need = OpenNeed { name: "Test".to_owned(), status: "in_progress" };
        let held = "Ship #210 holds the group ship (o/r/7), since 1970-01-01 00:00 UTC, and waits for a review of public (olu)";
        for (cause, sentence, remedy) in [
            (WaitCause::Needs { jobs: vec![need] }, "needs Test (in_progress)", None),
            (wants(None), "waits for a runner with tpu", Some("cuelight cancel r")),
            (
                wants(Some(Vec::new())),
                "waits for a runner with tpu: no runner of the repository has these labels",
                Some("cuelight cancel r"),
            ),
            (
                wants(Some(vec![runner(false, false)])),
                "waits for a runner with tpu: tpu-1 is offline",
                Some("cuelight cancel r"),
            ),
            (
                wants(Some(vec![runner(true, true)])),
                "waits for a runner with tpu: tpu-1 is busy",
                Some("cuelight cancel r"),
            ),
            (group(Some(1)), held, Some("cuelight approve 'public' --run o/r/7")),
            (
                group(Some(3)),
                format!("{held}; 3 are ahead of this one").as_str(),
                Some("cuelight approve 'public' --run o/r/7"),
            ),
            (review(None), "waits for a review of prod (olu)", Some("cuelight approve 'prod' --run r")),
            (review(Some("you are not a reviewer")), "waits for a review of prod (olu); you are not a reviewer", None),
            (
                WaitCause::Rules { environment: "canary".to_owned(), apps: Some(vec!["health".to_owned()]) },
                "waits for the protection rules of canary, which health decides",
                Some("cuelight cancel r"),
            ),
        ] {
            assert_eq!((cause.to_string().as_str(), cause.remedy("r", None).as_deref()), (sentence, remedy));
        }
    }
}
