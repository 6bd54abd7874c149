//! `needs`: checks that needed jobs exist and that the needs form no cycle.

use std::collections::{HashMap, HashSet};

use crate::model::nearest;

use super::diagnostic::Diagnostic;
use super::source::Spanned;
use super::syntax::JobDefinition;

/// Maximum number of jobs listed in a hint.
const MAX_LISTED_JOBS: usize = 50;

/// Reports unknown jobs in `needs`, and each cycle once. If every job needs another one, one of these two is the reason.
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
    let mut open: Vec<&JobDefinition> = jobs.iter().collect();
    loop {
        open = without_order(&open);
        let Some(cycle) = cycle(&open) else { return };
        let (job, need) = (&cycle[0].0.id.value, cycle[0].1);
        let name = &need.value;
        let message = if job == name {
            format!("job `{job}` needs itself")
        } else {
            format!("dependency cycle: job `{job}` needs `{name}`, which depends on `{job}`")
        };
        let hint = format!("remove `{name}` from the `needs` of `{job}`, or break the cycle elsewhere");
        diagnostics.push(Diagnostic::error("job-needs", need.span, message).hint(hint));
        // The jobs that only depend on this cycle have no error of their own.
        open.retain(|job| cycle.iter().all(|(member, _)| member.id.value != job.id.value));
    }
}

/// Returns a cycle among jobs that have no order, as its jobs and the need of each that leads to the next one, from the
/// first job of the file on. `None` without jobs.
fn cycle<'j>(jobs: &[&'j JobDefinition]) -> Option<Vec<(&'j JobDefinition, &'j Spanned<String>)>> {
    let next = |job: &'j JobDefinition| {
        job.needs.iter().find_map(|need| {
            let needed = jobs.iter().find(|other| other.id.value == need.value)?;
            Some((need, *needed))
        })
    };
    let mut path: Vec<(&JobDefinition, &Spanned<String>)> = Vec::new();
    let mut job = *jobs.first()?;
    loop {
        if let Some(start) = path.iter().position(|(passed, _)| passed.id.value == job.id.value) {
            let mut cycle = path.split_off(start);
            let line = |(job, _): &(&JobDefinition, _)| job.id.span.start;
            let first = (0..cycle.len()).min_by_key(|at| line(&cycle[*at])).unwrap_or_default();
            cycle.rotate_left(first);
            return Some(cycle);
        }
        // Every job without an order needs another one without an order.
        let (need, needed) = next(job)?;
        path.push((job, need));
        job = needed;
    }
}

/// Returns the jobs that have no topological order: jobs on a cycle, and jobs that depend on one.
fn without_order<'j>(jobs: &[&'j JobDefinition]) -> Vec<&'j JobDefinition> {
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
    jobs.iter().zip(open).filter(|(_, open)| *open > 0).map(|(job, _)| *job).collect()
}
