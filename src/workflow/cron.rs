//! `cron` of a schedule: five fields, after GitHub's page on the `schedule` event and the parser that it publishes.

use std::collections::BTreeSet;

/// The names that stand for numbers in a field, the first one for its lowest.
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: what it is called, its numbers, and their names.
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

/// Whether a schedule can be kept.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn check(cron: &str) -> Result<(), String> {
    let written: Vec<&str> = cron.split(' ').filter(|field| !field.is_empty()).collect();
    if written.len() != FIELDS.len() {
        let noun = if written.len() == 1 { "field" } else { "fields" };
        return Err(format!("it has {} {noun}, and a schedule has five", written.len()));
    }
    written.iter().zip(&FIELDS).try_for_each(|(written, field)| field.numbers(written).map(drop))
}

/// The shortest time between two runs of a schedule in minutes, as far as its minutes and hours tell.
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
    /// The numbers that are written: `*`, `a`, `a-b`, each with `/step`, in a list.
    fn numbers(&self, written: &str) -> Result<BTreeSet<u32>, String> {
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
                return Err(format!("the {} `{range}` goes backwards", self.name));
            }
            let step = step.map_or(Ok(1), |step| self.step(step))?;
            numbers.extend((first..=last).step_by(step));
        }
        Ok(numbers)
    }

    fn number(&self, written: &str) -> Result<u32, String> {
        let lower = written.to_ascii_lowercase();
        let named = self.names.iter().position(|name| *name == lower).map(|place| place as u32 + self.least);
        let number = named.or_else(|| written.parse().ok().filter(|_| !written.starts_with('+')));
        number
            .filter(|number| (self.least..=self.most).contains(number))
            .ok_or_else(|| format!("`{written}` is no {}: there are {} to {}", self.name, self.least, self.most))
    }

    fn step(&self, written: &str) -> Result<usize, String> {
        let step = written.parse().ok().filter(|step| (1..=self.most as usize).contains(step));
        step.ok_or_else(|| format!("`/{written}` is no step of the {}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_five_fields_of_numbers_names_ranges_and_steps() {
        for good in ["* * * * *", "*/5 0-23/2 1,15 JAN-mar sun", "0  0 31 12 6", "5-10,20 * * * MON-FRI", "59 23 * * 0"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, words) in [
            ("", "has 0 fields"),
            ("@daily", "has 1 field,"),
            ("* * * *", "has 4 fields"),
            ("60 * * * *", "`60` is no minute: there are 0 to 59"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of the month"),
            ("* * * foo *", "`foo` is no month"),
            ("* * * * 7", "day of the week: there are 0 to 6"),
            ("10-5 * * * *", "goes backwards"),
            ("*/0 * * * *", "`/0` is no step"),
            ("*/x * * * *", "`/x` is no step"),
            ("1,,2 * * * *", "`` is no minute"),
            ("? * * * *", "`?`"),
            ("+5 * * * *", "`+5`"),
        ] {
            let told = check(bad).expect_err(bad);
            assert!(told.contains(words), "{bad}: {told}");
        }
    }

    #[test]
    fn intervals_are_the_shortest_there_is() {
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
