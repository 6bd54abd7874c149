//! Breakpoints: steps before which a run stops until a person decides how their jobs go on.

use crate::model::{JobId, StepNumber, nearest};

use super::display_names;
use super::plan::{Plan, PlannedJob};
use super::syntax::{JobBody, Steering, StepAction, StepDefinition};

/// Maximum number of names in the message about an unknown job or step.
const MAX_LISTED: usize = 10;

/// Maximum number of steps that the runner may add before the first step of the file, besides the `pre` phases of
/// actions: "Set up job" and "Initialize containers".
const MAX_RUNNER_STEPS: usize = 2;

/// A step before which a job stops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Breakpoint {
    /// Id of the job in the plan. It stands for all legs of a matrix that is not known yet.
    job: JobId,
    step: Place,
}

/// Which step of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Position among the steps of the file. The steps of a `parallel` group come before the step that contains them.
    Index(usize),
    /// Number in the run, which also counts the steps of the runner. If the step with this number is one of the runner,
    /// the breakpoint is at the first step of the file.
    Number(StepNumber),
}

/// Why a text names no step of a plan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BreakpointError {
    /// The text has no slash.
    #[error("`{0}` names no step: write JOB/STEP, with a name, an id or a number as STEP")]
    Form(String),
    /// No job has the name.
    #[error("no job `{job}` for the breakpoint `{text}`; {}", suggestion(nearest.as_deref(), known))]
    Job {
        /// The breakpoint as given.
        text: String,
        /// The name before the first slash.
        job: String,
        /// The most similar id.
        nearest: Option<String>,
        /// Ids of the jobs with steps.
        known: Vec<String>,
    },
    /// The job has no such step.
    #[error("job `{job}` has no step `{step}`; {}", suggestion(nearest.as_deref(), known))]
    Step {
        /// The job as given.
        job: String,
        /// The step as given.
        step: String,
        /// The most similar id or name.
        nearest: Option<String>,
        /// Names of the steps.
        known: Vec<String>,
    },
}

impl Breakpoint {
    /// Returns the breakpoints that a text of the form `JOB/STEP` names: one for each leg of the job. A job is named by
    /// its id, key or name; a step by its id, its name as written, or its number in the run.
    ///
    /// # Errors
    /// The plan has no such job or step.
    pub fn of(plan: &Plan, text: &str) -> Result<Vec<Self>, BreakpointError> {
        let jobs: Vec<_> = plan.jobs().iter().filter(|job| !steps(job).is_empty()).collect();
        let mut unknown = None;
        // The ids of jobs in called workflows, and all names, may contain slashes.
        for (job, step) in text.match_indices('/').map(|(at, _)| (&text[..at], &text[at + 1..])) {
            let named = |planned: &&&PlannedJob| [planned.id.as_str(), &planned.key, &planned.name].contains(&job);
            let named: Vec<_> = jobs.iter().filter(named).collect();
            let found = named.iter().filter_map(|job| Some(Self { job: job.id.clone(), step: place(job, step)? }));
            let found: Vec<_> = found.collect();
            if !found.is_empty() {
                return Ok(found);
            }
            if let Some(planned) = named.first() {
                unknown.get_or_insert_with(|| unknown_step(planned, job, step));
            }
        }
        let Some((job, _)) = text.split_once('/') else { return Err(BreakpointError::Form(text.to_owned())) };
        Err(unknown.unwrap_or_else(|| {
            let known: Vec<_> = jobs.iter().map(|job| job.id.to_string()).collect();
            let nearest = nearest(job, known.iter().map(String::as_str)).map(str::to_owned);
            BreakpointError::Job { text: text.to_owned(), job: job.to_owned(), nearest, known }
        }))
    }

    /// Whether a job stops before one of its steps. `index` is the position of the step among the steps of the file.
    #[must_use]
    pub fn is_before(&self, job: &JobId, index: usize, step: StepNumber) -> bool {
        let is_leg = |rest: &str| rest.strip_prefix('.').is_some_and(|leg| leg.parse::<usize>().is_ok());
        let rest = job.as_str().strip_prefix(self.job.as_str());
        rest.is_some_and(|rest| rest.is_empty() || is_leg(rest))
            && match self.step {
                Place::Index(wanted) => wanted == index,
                Place::Number(wanted) => wanted == step || (index == 0 && wanted < step),
            }
    }
}

/// Returns the steps of a job, in the order in which they start.
fn steps(job: &PlannedJob) -> Vec<&StepDefinition> {
    let JobBody::Steps(body) = &job.definition.body else { return Vec::new() };
    let mut all = Vec::with_capacity(body.steps.len());
    for step in &body.steps {
        if let StepAction::Steer(Steering::Parallel(inner)) = &step.action {
            all.extend(inner);
        }
        all.push(step);
    }
    all
}

fn place(job: &PlannedJob, wanted: &str) -> Option<Place> {
    let steps = steps(job);
    let is_named = |step: &&StepDefinition| {
        (!step.has_generated_id() && step.id.eq_ignore_ascii_case(wanted)) || display_names::as_written(step) == wanted
    };
    if let Some(index) = steps.iter().position(is_named) {
        return Some(Place::Index(index));
    }
    let number: usize = wanted.parse().ok()?;
    let pres = steps.iter().filter(|step| matches!(step.action, StepAction::Uses { .. })).count();
    let is_possible = (1..=MAX_RUNNER_STEPS + pres + steps.len()).contains(&number);
    is_possible.then_some(Place::Number(StepNumber(number as u32)))
}

fn unknown_step(planned: &PlannedJob, job: &str, step: &str) -> BreakpointError {
    let steps = steps(planned);
    let known: Vec<_> = steps.iter().map(|step| display_names::as_written(step)).collect();
    let ids = steps.iter().filter(|step| !step.has_generated_id()).map(|step| step.id.as_str());
    let nearest = nearest(step, ids.chain(known.iter().map(String::as_str))).map(str::to_owned);
    BreakpointError::Step { job: job.to_owned(), step: step.to_owned(), nearest, known }
}

/// Returns the end of a message: the name that was probably meant, or the known ones.
fn suggestion(nearest: Option<&str>, known: &[String]) -> String {
    if let Some(name) = nearest {
        return format!("did you mean `{name}`?");
    }
    let listed: Vec<_> = known.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
    let more = known.len().saturating_sub(MAX_LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("there are {}{more}", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse;
    use crate::workflow::plan::PlanContexts;
    use crate::workflow::source::Source;

    fn plan() -> Plan {
        let text = "on: push
jobs:
  build:
    runs-on: ubuntu-latest
    strategy: {matrix: {os: [a, b]}}
    steps: [{id: first, run: one}, {name: Unit / fast, run: two}, {run: 'echo ${{ matrix.os }}'}]
  late:
    name: Late job
    needs: build
    runs-on: ubuntu-latest
    strategy: {matrix: {of: '${{ fromJSON(needs.build.outputs.of) }}'}}
    steps: [{parallel: [{id: p, run: p}, {run: q}]}, {run: last}]
";
        let workflow = parse(&Source::new("ci.yml", text)).value.expect("valid");
        Plan::new(workflow.into(), &PlanContexts::default(), &|_| None).expect("planned")
    }

    #[test]
    fn a_step_is_named_by_id_name_or_number_and_its_job_by_id_key_or_name() {
        let plan = plan();
        let at = |text: &str| {
            let found = Breakpoint::of(&plan, text).unwrap_or_else(|error| panic!("{text}: {error}"));
            found.iter().map(|one| (one.job.to_string(), one.step)).collect::<Vec<_>>()
        };
        let index = |job: &str, index| vec![(job.to_owned(), Place::Index(index))];
        let both = |step| vec![("build.1".to_owned(), step), ("build.2".to_owned(), step)];
        for (text, expected) in [
            ("build/first", both(Place::Index(0))),
            ("build/Unit / fast", both(Place::Index(1))),
            ("build/Run echo ${{ matrix.os }}", both(Place::Index(2))),
            ("build/3", both(Place::Number(StepNumber(3)))),
            ("build.2/FIRST", index("build.2", 0)),
            ("late/p", index("late", 0)),
            ("Late job/Run q", index("late", 1)),
            ("late/Parallel group", index("late", 2)),
            ("late/Run last", index("late", 3)),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
    }

    #[test]
    fn an_unknown_job_or_step_is_an_error_with_the_nearest_name() {
        let plan = plan();
        for (text, message) in [
            ("build", "`build` names no step: write JOB/STEP, with a name, an id or a number as STEP"),
            ("lates/p", "no job `lates` for the breakpoint `lates/p`; did you mean `late`?"),
            ("x/p", "no job `x` for the breakpoint `x/p`; there are `build.1`, `build.2`, `late`"),
            ("build/frist", "job `build` has no step `frist`; did you mean `first`?"),
            (
                "build/deploy everything",
                "job `build` has no step `deploy everything`; there are `Run one`, `Unit / fast`, `Run echo ${{ matrix.os }}`",
            ),
            ("build/0", "job `build` has no step `0`; there are `Run one`, `Unit / fast`, `Run echo ${{ matrix.os }}`"),
            ("build/6", "job `build` has no step `6`; there are `Run one`, `Unit / fast`, `Run echo ${{ matrix.os }}`"),
        ] {
            assert_eq!(Breakpoint::of(&plan, text).expect_err(text).to_string(), message);
        }
    }

    #[test]
    fn a_breakpoint_is_for_every_leg_and_the_number_of_a_runner_step_for_the_first_step_of_the_file() {
        let breakpoint = |step| Breakpoint { job: JobId::new("a"), step };
        let number = |number| breakpoint(Place::Number(StepNumber(number)));
        for (one, job, index, step, expected) in [
            (breakpoint(Place::Index(1)), "a", 1, 3, true),
            (breakpoint(Place::Index(1)), "a", 0, 2, false),
            (breakpoint(Place::Index(1)), "a.2", 1, 3, true),
            (breakpoint(Place::Index(1)), "a.b", 1, 3, false),
            (breakpoint(Place::Index(1)), "ab", 1, 3, false),
            (number(3), "a", 1, 3, true),
            (number(3), "a", 2, 4, false),
            (number(1), "a", 0, 2, true),
            (number(1), "a", 1, 3, false),
        ] {
            assert_eq!(one.is_before(&JobId::new(job), index, StepNumber(step)), expected, "{one:?} {job} {index}");
        }
    }
}
