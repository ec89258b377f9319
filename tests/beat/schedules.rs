//! What Celery 5.7 says of random schedules near changes of the clock, as `tests/fixtures/schedules/make.py` recorded it.

use celeriac::schedules::{Interval, Moment, Schedule, Zone};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

struct Case {
    schedule: Schedule,
    last: DateTime<Utc>,
    at: Moment,
    is_due: bool,
    next: i64,
    remaining: i64,
}

fn case(line: &str) -> Case {
    let [zone, spec, last, now, deadline, is_due, next, remaining]: [Value; 8] = serde_json::from_str(line).unwrap();
    let instant = |micros: &Value| DateTime::from_timestamp_micros(micros.as_i64().unwrap()).unwrap();
    let spec = spec.as_array().unwrap();
    let schedule = match spec.as_slice() {
        [seconds, relative] => Schedule::Interval(Interval::new(seconds.as_f64().unwrap(), relative.as_bool().unwrap()).unwrap()),
        fields => Schedule::crontab(&fields.iter().map(|field| field.as_str().unwrap()).collect::<Vec<_>>().join(" ")).unwrap(),
    };
    let zone: Zone = zone.as_str().unwrap().parse().unwrap();
    let at = Moment { now: instant(&now), zone, deadline: deadline.as_i64().map(TimeDelta::seconds) };
    Case {
        schedule,
        last: instant(&last),
        at,
        is_due: is_due.as_bool().unwrap(),
        next: next.as_i64().unwrap(),
        remaining: remaining.as_i64().unwrap(),
    }
}

/// Another file of such lines, for a longer comparison than the recorded one.
#[allow(clippy::disallowed_methods, reason = "a file is told to a test by the environment, there is no other way")]
fn recorded() -> String {
    let path = std::env::var("CELERIAC_SCHEDULES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schedules/celery-5.7.jsonl").to_owned());
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn random_schedules_are_due_when_celery_says_so() {
    let (mut same, mut storms) = (0, 0);
    for line in recorded().lines() {
        let Case { schedule, last, at, is_due, next, remaining } = case(line);
        let due = schedule.is_due(last, &at);
        let ours = (due.is_due, due.next.num_microseconds().unwrap());
        // Where Celery's next run is not after its last, or after now, it would be sent without end: there, and only there, we differ.
        let celerys = at.now + TimeDelta::microseconds(remaining);
        if celerys <= last || (is_due && next == 0) {
            assert!(ours.1 > 0, "{line}: {ours:?}");
            storms += 1;
            continue;
        }
        assert_eq!(ours, (is_due, next), "{line}");
        same += 1;
    }
    assert!(same > 2_500 && storms < same / 10, "{same} the same, {storms} storms");
}
