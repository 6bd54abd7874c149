//! Parses the `cron` key of a schedule: five fields, as GitHub's page on the `schedule` event describes them and as its
//! published parser reads them.

use std::collections::BTreeSet;

/// Why a schedule is invalid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CronError {
    /// The schedule does not have five fields.
    #[error("{0} {noun} instead of five", noun = if *.0 == 1 { "field" } else { "fields" })]
    Fields(usize),
    /// The last number of a range is below its first.
    #[error("the {field} range `{range}` is reversed")]
    Reversed {
        /// Name of the field.
        field: &'static str,
        /// The range, as written.
        range: String,
    },
    /// A number is invalid, or outside the range of its field.
    #[error("invalid {field} `{number}`: the range is {least} to {most}")]
    Number {
        /// Name of the field.
        field: &'static str,
        /// The number, as written.
        number: String,
        /// Smallest number of the field.
        least: u32,
        /// Largest number of the field.
        most: u32,
    },
    /// The step is not a number from 1 to the largest number of its field.
    #[error("invalid step `/{step}` of the {field}")]
    Step {
        /// Name of the field.
        field: &'static str,
        /// The step, as written.
        step: String,
    },
}

/// Names that a field accepts in place of numbers. The first name stands for the smallest number.
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: its name, the range of its numbers, and the names that it accepts in place of numbers.
struct CronField {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [CronField; 5] = [
    CronField { name: "minute", least: 0, most: 59, names: &[] },
    CronField { name: "hour", least: 0, most: 23, names: &[] },
    CronField { name: "day of the month", least: 1, most: 31, names: &[] },
    CronField { name: "month", least: 1, most: 12, names: MONTHS },
    CronField { name: "day of the week", least: 0, most: 6, names: DAYS },
];

/// Checks the syntax of a schedule.
///
/// # Errors
/// The first problem in the schedule.
pub fn check(cron: &str) -> Result<(), CronError> {
    let written: Vec<&str> = cron.split(' ').filter(|field| !field.is_empty()).collect();
    if written.len() != FIELDS.len() {
        return Err(CronError::Fields(written.len()));
    }
    written.iter().zip(&FIELDS).try_for_each(|(written, field)| field.numbers(written).map(drop))
}

/// Returns the shortest time between two runs in the same hour or in successive hours, in minutes. `None` if there are
/// no such runs, or the first two fields are invalid.
#[must_use]
pub fn interval(cron: &str) -> Option<u32> {
    let mut written = cron.split(' ').filter(|field| !field.is_empty());
    let minutes = FIELDS[0].numbers(written.next()?).ok()?;
    let hours = FIELDS[1].numbers(written.next()?).ok()?;
    let within = minutes.iter().zip(minutes.iter().skip(1)).map(|(before, after)| after - before);
    let one_after_another = hours.iter().any(|hour| hours.contains(&((hour + 1) % 24)));
    let across = (minutes.first()? + 60 - minutes.last()?, one_after_another);
    within.chain(across.1.then_some(across.0)).min()
}

impl CronField {
    /// Parses a list of `*`, `a` or `a-b`, each with an optional `/step`.
    fn numbers(&self, written: &str) -> Result<BTreeSet<u32>, CronError> {
        let mut numbers = BTreeSet::new();
        for part in written.split(',') {
            let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (self.least, self.most),
                Some((first, last)) => (self.number(first)?, self.number(last)?),
                None if step.is_some() => (self.number(range)?, self.most),
                None => (self.number(range)?, self.number(range)?),
            };
            if last < first {
                return Err(CronError::Reversed { field: self.name, range: range.to_owned() });
            }
            let step = step.map_or(Ok(1), |step| self.step(step))?;
            numbers.extend((first..=last).step_by(step));
        }
        Ok(numbers)
    }

    fn number(&self, written: &str) -> Result<u32, CronError> {
        let lower = written.to_ascii_lowercase();
        let named = self.names.iter().position(|name| *name == lower).map(|place| place as u32 + self.least);
        let number = named.or_else(|| written.parse().ok().filter(|_| !written.starts_with('+')));
        number.filter(|number| (self.least..=self.most).contains(number)).ok_or_else(|| CronError::Number {
            field: self.name,
            number: written.to_owned(),
            least: self.least,
            most: self.most,
        })
    }

    fn step(&self, written: &str) -> Result<usize, CronError> {
        let step = written.parse().ok().filter(|step| (1..=self.most as usize).contains(step));
        step.ok_or_else(|| CronError::Step { field: self.name, step: written.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_have_five_fields_of_numbers_names_ranges_and_steps() {
        for good in ["* * * * *", "*/5 0-23/2 1,15 JAN-mar sun", "0  0 31 12 6", "5-10,20 * * * MON-FRI", "59 23 * * 0"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, words) in [
            ("", "0 fields instead of five"),
            ("@daily", "1 field instead of five"),
            ("* * * *", "4 fields instead of five"),
            ("60 * * * *", "invalid minute `60`: the range is 0 to 59"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of the month"),
            ("* * * foo *", "invalid month `foo`"),
            ("* * * * 7", "invalid day of the week `7`: the range is 0 to 6"),
            ("10-5 * * * *", "the minute range `10-5` is reversed"),
            ("*/0 * * * *", "invalid step `/0`"),
            ("*/x * * * *", "invalid step `/x`"),
            ("1,,2 * * * *", "invalid minute ``"),
            ("? * * * *", "`?`"),
            ("+5 * * * *", "`+5`"),
        ] {
            let message = check(bad).expect_err(bad).to_string();
            assert!(message.contains(words), "{bad}: {message}");
        }
    }

    #[test]
    fn the_interval_is_the_shortest_between_two_runs() {
        for (cron, minutes) in [
            ("*/5 * * * *", Some(5)),
            ("0,2 * * * *", Some(2)),
            ("58,1 * * * *", Some(3)),
            ("58,1 3 * * *", Some(57)),
            ("0 3 * * *", None),
            ("x", None),
        ] {
            assert_eq!(interval(cron), minutes, "{cron}");
        }
    }
}
