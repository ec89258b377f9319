//! What runs when: the table of periodic tasks.
//!
//! # Celery
//! Answers to `beat_schedule` (`beat.py: ScheduleEntry`) and `schedules.py: maybe_schedule`. A schedule is a number of seconds, a table of
//! what `timedelta` or `crontab` take in Python, or a line of `crontab(5)`. Differences: an entry may name a `timezone` of its own; solar
//! schedules and functions as arguments (`BeatLazyFunc`) have no form in a file.

use indexmap::IndexMap;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map as Table, Value as Json};

use crate::protocol::{Map, Signature, Value};
use crate::schedules::{Crontab, Field, Fields, Schedule, ScheduleError, Zone};

/// Seconds of what `timedelta` takes.
const UNITS: [(&str, f64); 7] = [
    ("weeks", 604_800.0),
    ("days", 86_400.0),
    ("hours", 3_600.0),
    ("minutes", 60.0),
    ("seconds", 1.0),
    ("milliseconds", 1e-3),
    ("microseconds", 1e-6),
];
const FIELDS: [&str; 5] = ["minute", "hour", "day_of_week", "day_of_month", "month_of_year"];
const FORMS: &str = "write seconds, { crontab = \"0 4 * * *\" }, { minute = 0, hour = 4 } or { minutes = 5 }";

/// One periodic task.
#[derive(Debug, Clone, PartialEq)]
pub struct BeatEntry {
    /// The task's name.
    pub task: String,
    /// When it runs.
    pub schedule: Schedule,
    /// Its positional arguments.
    pub args: Vec<Value>,
    /// Its keyword arguments.
    pub kwargs: Map,
    /// How it is sent: `queue`, `expires`, `priority`, …
    pub options: Map,
    /// The zone its schedule is meant in; none: the setting `timezone`.
    pub timezone: Option<Zone>,
}

impl BeatEntry {
    /// A call at these times.
    pub fn new(schedule: Schedule, call: Signature) -> Self {
        let Signature { task, args, kwargs, options, .. } = call;
        Self { task, schedule, args, kwargs, options, timezone: None }
    }

    /// What is sent.
    pub fn call(&self) -> Signature {
        let (args, kwargs, options) = (self.args.clone(), self.kwargs.clone(), self.options.clone());
        Signature { args, kwargs, options, ..Signature::new(&*self.task) }
    }
}

/// All periodic tasks by their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct BeatSchedule(IndexMap<String, BeatEntry>);

impl BeatSchedule {
    /// Adds one, or replaces that of the same name.
    pub fn insert(&mut self, name: impl Into<String>, entry: BeatEntry) {
        self.0.insert(name.into(), entry);
    }

    /// Each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BeatEntry)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// True when nothing is scheduled.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    task: String,
    schedule: Json,
    #[serde(default)]
    args: Vec<Value>,
    #[serde(default)]
    kwargs: Map,
    #[serde(default)]
    options: Map,
    #[serde(default)]
    relative: bool,
    timezone: Option<Zone>,
}

impl<'de> Deserialize<'de> for BeatSchedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entries = IndexMap::new();
        for (name, value) in Option::<Table<String, Json>>::deserialize(deserializer)?.unwrap_or_default() {
            let entry = entry(value).map_err(|error| D::Error::custom(format!("{name:?}: {error}")))?;
            entries.insert(name, entry);
        }
        Ok(Self(entries))
    }
}

fn entry(value: Json) -> Result<BeatEntry, ScheduleError> {
    let written = Written::deserialize(value).map_err(|error| ScheduleError::new(error.to_string()))?;
    let schedule = match schedule(&written.schedule)? {
        Schedule::Interval(interval) => Schedule::Interval(interval.relative(written.relative)),
        crontab => crontab,
    };
    let Written { task, args, kwargs, options, timezone, .. } = written;
    Ok(BeatEntry { task, schedule, args, kwargs, options, timezone })
}

fn schedule(value: &Json) -> Result<Schedule, ScheduleError> {
    match value {
        Json::Number(seconds) => Schedule::every(seconds.as_f64().unwrap_or(f64::NAN)),
        // A number may come out of a variable of the environment, as text.
        Json::String(text) => text.trim().parse().map_or_else(|_| Schedule::crontab(text), Schedule::every),
        Json::Object(table) => match table.get("crontab") {
            Some(Json::String(line)) if table.len() == 1 => Schedule::crontab(line),
            Some(Json::Object(fields)) if table.len() == 1 => crontab(fields),
            _ => of_table(table),
        },
        _ => Err(ScheduleError::new(format!("this is no schedule: {FORMS}"))),
    }
}

fn of_table(table: &Table<String, Json>) -> Result<Schedule, ScheduleError> {
    let all_in = |known: &[&str]| !table.is_empty() && table.keys().all(|key| known.contains(&key.as_str()));
    if ["solar", "event", "lat", "lon"].iter().any(|key| table.contains_key(*key)) {
        return Err(ScheduleError::new("solar schedules are not supported: write a crontab, or run `celery beat` for this entry"));
    }
    if all_in(&FIELDS) {
        return crontab(table);
    }
    if !all_in(&UNITS.map(|(unit, _)| unit)) {
        return Err(ScheduleError::new(format!("this is no schedule: {FORMS}")));
    }
    let mut seconds = 0.0;
    for (unit, length) in UNITS {
        if let Some(count) = table.get(unit) {
            seconds += length * count.as_f64().ok_or_else(|| ScheduleError::new(format!("{unit} is a number")))?;
        }
    }
    Schedule::every(seconds)
}

fn crontab(table: &Table<String, Json>) -> Result<Schedule, ScheduleError> {
    if let Some(unknown) = table.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(ScheduleError::new(format!("a crontab has no {unknown:?}: its fields are {}", FIELDS.join(", "))));
    }
    let field = |name: &str| table.get(name).map_or_else(|| Ok(Field::default()), |value| field(name, value));
    let [minute, hour, day_of_week, day_of_month, month_of_year] = FIELDS.map(field);
    let fields = Fields {
        minute: minute?,
        hour: hour?,
        day_of_week: day_of_week?,
        day_of_month: day_of_month?,
        month_of_year: month_of_year?,
    };
    Ok(Schedule::Crontab(Crontab::new(fields)?))
}

fn field(name: &str, value: &Json) -> Result<Field, ScheduleError> {
    let number = |value: &Json| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let wrong = || ScheduleError::new(format!("{name} is a number, a list of numbers, or text such as \"*/15\" or \"mon-fri\""));
    match value {
        Json::String(text) => Ok(Field::Text(text.clone())),
        Json::Array(values) => Ok(Field::Numbers(values.iter().map(number).collect::<Option<_>>().ok_or_else(wrong)?)),
        one => Ok(Field::Numbers(vec![number(one).ok_or_else(wrong)?])),
    }
}

/// In the form it may be written in.
impl Serialize for BeatEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("task", &self.task)?;
        match &self.schedule {
            Schedule::Interval(interval) => map.serialize_entry("schedule", &interval.seconds())?,
            Schedule::Crontab(crontab) => {
                map.serialize_entry("schedule", &serde_json::json!({ "crontab": crontab.specs().join(" ") }))?;
            }
        }
        map.serialize_entry("args", &self.args)?;
        map.serialize_entry("kwargs", &self.kwargs)?;
        map.serialize_entry("options", &self.options)?;
        if matches!(&self.schedule, Schedule::Interval(interval) if interval.is_relative()) {
            map.serialize_entry("relative", &true)?;
        }
        if let Some(zone) = &self.timezone {
            map.serialize_entry("timezone", zone)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn read(schedule: Json) -> Result<Schedule, String> {
        let table = json!({ "e": { "task": "t", "schedule": schedule } });
        let schedule = from_value::<BeatSchedule>(table).map_err(|error| error.to_string())?;
        Ok(schedule.iter().next().unwrap().1.schedule.clone())
    }

    #[test]
    fn a_schedule_is_written_in_many_forms() {
        let nightly = Schedule::crontab("0 4 * * mon-fri").unwrap();
        for written in [
            json!("0 4 * * mon-fri"),
            json!({ "crontab": "0 4 * * mon-fri" }),
            json!({ "minute": "0", "hour": "4", "day_of_week": "mon-fri" }),
            json!({ "crontab": { "minute": "0", "hour": "4", "day_of_week": "mon-fri" } }),
        ] {
            assert_eq!(read(written.clone()).unwrap(), nightly, "{written}");
        }
        for written in [json!(90), json!(90.0), json!("90"), json!({ "seconds": 90 }), json!({ "minutes": 1, "seconds": 30 })] {
            assert_eq!(read(written.clone()).unwrap(), Schedule::every(90.0).unwrap(), "{written}");
        }
        let hours = read(json!({ "minute": 0, "hour": [4, 16] })).unwrap();
        assert_eq!(hours.to_string(), "<crontab: 0 4,16 * * * (m/h/dM/MY/d)>");
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_its_entry_and_a_reason() {
        for (written, reason) in [
            (json!(0), "0 seconds are no interval"),
            (json!(true), "this is no schedule"),
            (json!({}), "this is no schedule"),
            (json!({ "minute": 0, "seconds": 5 }), "this is no schedule"),
            (json!({ "hour": 24 }), "Valid range is 0-23"),
            (json!({ "hour": true }), "hour is a number, a list of numbers"),
            (json!({ "crontab": { "week": 1 } }), "a crontab has no \"week\""),
            (json!({ "crontab": "every day" }), "\"every day\" is no crontab"),
            (json!({ "solar": "sunset", "lat": 52.5, "lon": 13.4 }), "solar schedules are not supported"),
        ] {
            let error = read(written.clone()).unwrap_err();
            assert!(error.starts_with("\"e\": ") && error.contains(reason), "{written}: {error}");
        }
    }

    #[test]
    fn an_entry_is_shown_as_it_may_be_written() {
        let table = json!({ "e": {
            "task": "t", "schedule": 90.0, "args": [1, "a"], "kwargs": { "k": null }, "options": { "queue": "q", "expires": 60 },
            "relative": true, "timezone": "Europe/Berlin",
        } });
        let schedule: BeatSchedule = from_value(table.clone()).unwrap();
        assert_eq!(serde_json::to_value(&schedule).unwrap(), table);
        let unknown = json!({ "e": { "task": "t", "schedule": 1, "argz": [] } });
        assert!(from_value::<BeatSchedule>(unknown).unwrap_err().to_string().contains("unknown field `argz`"));
    }
}
