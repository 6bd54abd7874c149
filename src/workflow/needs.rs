//! `needs`: checks that needed jobs exist and that the needs form no cycle.

use std::collections::{HashMap, HashSet};

use crate::model::nearest;

use super::diagnostic::Diagnostic;
use super::syntax::JobDefinition;

/// Maximum number of jobs listed in a hint.
const MAX_LISTED_JOBS: usize = 50;

/// Reports unknown jobs in `needs`, workflows in which no job can start, and cycles.
pub(super) fn check(jobs: &[JobDefinition], diagnostics: &mut Vec<Diagnostic>) {
    let known: HashSet<&str> = jobs.iter().map(|job| job.id.value.as_str()).collect();
    for job in jobs {
        for need in &job.needs {
            if !known.contains(need.value.as_str()) {
                let message = format!("job `{}` needs unknown job `{}`", job.id.value, need.value);
                let names: Vec<_> = jobs.iter().map(|job| job.id.value.as_str()).take(MAX_LISTED_JOBS).collect();
                let hint = match nearest(&need.value, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the jobs are {}", names.join(", ")),
                };
                diagnostics.push(Diagnostic::error("job-needs", need.span, message).hint(hint));
            }
        }
    }
    if let (Some(first), true) = (jobs.first(), jobs.iter().all(|job| !job.needs.is_empty())) {
        let message = "no job can start: every job needs another job";
        let hint = "remove `needs` from the first job";
        diagnostics.push(Diagnostic::error("job-needs", first.id.span, message).hint(hint));
    }
    let left = without_order(jobs);
    let names: HashSet<_> = left.iter().map(|job| job.id.value.as_str()).collect();
    for job in &left {
        if let Some(need) = job.needs.iter().find(|need| names.contains(need.value.as_str())) {
            let (job, need_name) = (&job.id.value, &need.value);
            let message = format!("dependency cycle: job `{job}` needs `{need_name}`, which depends on `{job}`");
            let hint = format!("remove `{need_name}` from the `needs` of `{job}`, or break the cycle elsewhere");
            diagnostics.push(Diagnostic::error("job-needs", need.span, message).hint(hint));
        }
    }
}

/// Returns the jobs that have no topological order: jobs on a cycle, and jobs that depend on one.
fn without_order(jobs: &[JobDefinition]) -> Vec<&JobDefinition> {
    let places: HashMap<&str, usize> =
        jobs.iter().enumerate().map(|(place, job)| (job.id.value.as_str(), place)).collect();
    let needs = |job: &JobDefinition| -> Vec<usize> {
        job.needs.iter().filter_map(|need| places.get(need.value.as_str()).copied()).collect()
    };
    let mut open: Vec<usize> = jobs.iter().map(|job| needs(job).len()).collect();
    let mut needed_by = vec![Vec::new(); jobs.len()];
    for (place, job) in jobs.iter().enumerate() {
        for need in needs(job) {
            needed_by[need].push(place);
        }
    }
    let mut ready: Vec<usize> = (0..jobs.len()).filter(|place| open[*place] == 0).collect();
    while let Some(place) = ready.pop() {
        for next in std::mem::take(&mut needed_by[place]) {
            open[next] -= 1;
            if open[next] == 0 {
                ready.push(next);
            }
        }
    }
    jobs.iter().zip(open).filter(|(_, open)| *open > 0).map(|(job, _)| job).collect()
}
