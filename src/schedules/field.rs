//! One field of a crontab: which minutes, hours or days.
//!
//! # Celery
//! `schedules.py: crontab_parser` and `crontab._expand_cronspec`. Difference: what follows a complete part (`1-5x`) is an error.

use super::ScheduleError;

const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A field as it is written: text, a number, or several numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `*/15`, `mon-fri`, `1,13,30-45/2`.
    Text(String),
    /// These numbers.
    Numbers(Vec<u32>),
}

impl Default for Field {
    fn default() -> Self {
        Self::Text("*".to_owned())
    }
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The numbers a field may have: `count` of them, from `first` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// The numbers of a field, sorted, each once, never none.
pub(super) fn expand(field: &Field, range: Range) -> Result<Vec<u32>, ScheduleError> {
    let mut numbers = match field {
        Field::Text(text) => parse(text, range)?,
        Field::Numbers(numbers) => numbers.clone(),
    };
    numbers.sort_unstable();
    numbers.dedup();
    if let Some(wrong) = numbers.iter().find(|number| !range.contains(**number)) {
        let (min, max) = (range.first, range.last());
        return Err(ScheduleError(format!("Invalid crontab pattern.  Valid range is {min}-{max}. '{wrong}' was found.")));
    }
    if numbers.is_empty() { Err(ScheduleError("a field of a crontab without numbers".to_owned())) } else { Ok(numbers) }
}

/// A field as text again.
pub(super) fn spec(field: Field) -> String {
    match field {
        Field::Text(text) => text,
        Field::Numbers(numbers) => numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
    }
}

fn parse(text: &str, range: Range) -> Result<Vec<u32>, ScheduleError> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        if part.is_empty() {
            return Err(ScheduleError("empty part".to_owned()));
        }
        numbers.extend(range.part(part)?);
    }
    Ok(numbers)
}

impl Range {
    fn last(self) -> u32 {
        self.first + self.count - 1
    }

    fn contains(self, number: u32) -> bool {
        (self.first..=self.last()).contains(&number)
    }

    /// `*`, `5`, `1-5`, each perhaps with `/2`.
    fn part(self, part: &str) -> Result<Vec<u32>, ScheduleError> {
        let (numbers, steps) = part.split_once('/').map_or((part, None), |(numbers, steps)| (numbers, Some(steps)));
        let all = match numbers.split_once('-') {
            _ if numbers == "*" => (self.first..=self.last()).collect(),
            // A number has no steps: Celery takes the text for a name it does not know.
            None if steps.is_some() => return Err(unknown(part)),
            None => vec![self.number(numbers)?],
            Some((from, to)) => self.span(self.number(from)?, self.number(to)?),
        };
        match steps {
            None => Ok(all),
            Some("") => Err(ScheduleError("empty filter".to_owned())),
            Some(steps) => match steps.parse() {
                Ok(0) | Err(_) => Err(ScheduleError(format!("{part:?} has no steps"))),
                Ok(steps) => Ok(all.into_iter().step_by(steps).collect()),
            },
        }
    }

    /// From one number to another, around the end if need be.
    fn span(self, from: u32, to: u32) -> Vec<u32> {
        if to < from { (from..=self.last()).chain(self.first..=to).collect() } else { (from..=to).collect() }
    }

    /// A number, or a month or day of the week by its first three letters: a month's are looked for first, wherever it stands.
    fn number(self, text: &str) -> Result<u32, ScheduleError> {
        let name: String = text.chars().take(3).flat_map(char::to_lowercase).collect();
        let place = |names: &[&str]| names.iter().position(|known| *known == name).and_then(|place| u32::try_from(place).ok());
        let named = || place(&MONTHS).map(|month| month + 1).or_else(|| place(&DAYS));
        let number = text.trim().parse().ok().or_else(named).ok_or_else(|| unknown(text))?;
        match number {
            _ if number > self.last() => Err(ScheduleError(format!("Invalid end range: {number} > {}.", self.last()))),
            _ if number < self.first => Err(ScheduleError(format!("Invalid beginning range: {number} < {}.", self.first))),
            _ => Ok(number),
        }
    }
}

fn unknown(text: &str) -> ScheduleError {
    ScheduleError(format!("Invalid weekday literal {text:?}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Range = Range { first: 0, count: 60 };
    const DAY_OF_WEEK: Range = Range { first: 0, count: 7 };
    const MONTH: Range = Range { first: 1, count: 12 };

    fn numbers(text: &str, range: Range) -> Vec<u32> {
        expand(&text.into(), range).unwrap()
    }

    #[test]
    fn a_field_is_read_as_celery_reads_it() {
        assert_eq!(numbers("*/15", MINUTE), [0, 15, 30, 45]);
        assert_eq!(numbers("1-10/4,59", MINUTE), [1, 5, 9, 59]);
        assert_eq!(numbers("55-4", MINUTE), [0, 1, 2, 3, 4, 55, 56, 57, 58, 59], "around the end");
        assert_eq!(numbers("mon-fri", DAY_OF_WEEK), [1, 2, 3, 4, 5]);
        assert_eq!(numbers("Saturday,sun", DAY_OF_WEEK), [0, 6]);
        assert_eq!(numbers("fri-mon", DAY_OF_WEEK), [0, 1, 5, 6]);
        assert_eq!(numbers("*/2", MONTH), [1, 3, 5, 7, 9, 11]);
        assert_eq!(numbers("2-12/2", MONTH), [2, 4, 6, 8, 10, 12]);
        assert_eq!(numbers("january,dec", MONTH), [1, 12]);
        assert_eq!(expand(&Field::Numbers(vec![30, 0, 30]), MINUTE).unwrap(), [0, 30]);
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for text in ["", "1,", "60", "-1", "5/2", "*/0", "*/", "1-", "x", "1-5x", "*x", "*/x", "1.5"] {
            assert!(expand(&text.into(), MINUTE).is_err(), "{text:?}");
        }
        assert!(expand(&"7".into(), DAY_OF_WEEK).is_err(), "Sunday is 0");
        assert!(expand(&"0".into(), MONTH).is_err());
        assert!(expand(&Field::Numbers(vec![]), MINUTE).is_err());
        let wrong = expand(&Field::Numbers(vec![75]), MINUTE).unwrap_err().to_string();
        assert_eq!(wrong, "Invalid crontab pattern.  Valid range is 0-59. '75' was found.");
    }
}
