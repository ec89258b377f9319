//! How urgent a job is: callers' words and numbers, and the steps of Celery's queues, of which 0 is served first (C5).

use std::collections::BTreeMap;

use celeriac_tasks::ledger::Submission;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::settings::Priority;

/// A priority in the settings, as callers write it; one that is none is refused when they are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(crate) struct Level {
    asked: Value,
    step: i64,
}

impl TryFrom<Value> for Level {
    type Error = String;

    fn try_from(asked: Value) -> Result<Self, String> {
        Ok(Self { step: step(Some(&asked))?, asked })
    }
}

impl From<Level> for Value {
    fn from(level: Level) -> Self {
        level.asked
    }
}

impl Level {
    /// What is done when nothing else is to do.
    pub(crate) fn low() -> Self {
        Self { asked: "low".into(), step: 9 }
    }
}

/// Levels by name.
pub(crate) type Levels = BTreeMap<String, Level>;
/// Every user that is not named.
const OTHERS: &str = "*";

impl Priority {
    /// How urgent a job is: as its caller says, or by whose it is, its tags, its kind, the first that says something (S0.19); and no
    /// more urgent than its user may be.
    pub(crate) fn set(&self, submission: &mut Submission) {
        if submission.priority.is_none() {
            submission.priority = self.of(submission).map(|level| level.asked.clone());
        }
        let most = submission.user_id.as_ref().and_then(|user| self.most.get(user)).or_else(|| self.most.get(OTHERS));
        // One that cannot be read was refused before.
        let asked = step(submission.priority.as_ref()).unwrap_or_default();
        if let Some(most) = most.filter(|most| asked < most.step) {
            submission.priority = Some(most.asked.clone());
        }
    }

    fn of(&self, submission: &Submission) -> Option<&Level> {
        let user = submission.user_id.as_ref().and_then(|user| self.users.get(user));
        let tag = || submission.tags.iter().filter_map(|tag| self.tags.get(tag)).min_by_key(|level| level.step);
        let kind = || self.job_types.get(submission.job_type.as_deref().unwrap_or("document"));
        user.or_else(tag).or_else(kind)
    }

    /// The step of what is done again (S1.17): no more urgent than that.
    pub(crate) fn step_again(&self, step: i64) -> i64 {
        step.max(self.again.step)
    }
}

/// The step of a priority as callers write it: `high`, `normal`, `low`, or a number from -10 to 10, greater ones first.
pub(crate) fn step(asked: Option<&Value>) -> Result<i64, String> {
    let wrong = |shown: &str| Err(format!("priority is high, normal, low, or a number from -10 to 10, not {shown}"));
    let number = match asked {
        None | Some(Value::Null) => return Ok(3),
        Some(Value::String(word)) => match word.as_str() {
            "high" => return Ok(0),
            "normal" => return Ok(3),
            "low" => return Ok(9),
            other => other.parse().ok(),
        },
        Some(other) => other.as_i64(),
    };
    match number {
        Some(10) => Ok(0),
        Some(1..=9) => Ok(3),
        Some(-9..=0) => Ok(6),
        Some(-10) => Ok(9),
        _ => wrong(&asked.map(Value::to_string).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(settings: Value) -> Priority {
        serde_json::from_value(settings).unwrap()
    }

    fn set(rules: &Priority, asked: Value) -> Option<Value> {
        let mut submission: Submission = serde_json::from_value(asked).unwrap();
        rules.set(&mut submission);
        submission.priority
    }

    #[test]
    fn s0_19_who_does_not_say_has_the_priority_of_his_jobs_user_tag_or_kind() {
        let rules = rules(
            json!({"users": {"vip": "high"}, "tags": {"nightly": -10, "soon": 5}, "job_types": {"ocr": "low", "document": 1}}),
        );
        for (asked, expected) in [
            (json!({"user_id": "vip", "tags": ["nightly"], "job_type": "ocr"}), json!("high")),
            (json!({"user_id": "ann", "tags": ["nightly"], "job_type": "ocr"}), json!(-10)),
            (json!({"tags": ["nightly", "soon"]}), json!(5)),
            (json!({"job_type": "ocr"}), json!("low")),
            (json!({}), json!(1)),
            (json!({"user_id": "vip", "priority": "low"}), json!("low")),
        ] {
            assert_eq!(set(&rules, asked.clone()), Some(expected), "{asked}");
        }
        assert_eq!(set(&Priority::default(), json!({"job_type": "audio"})), None);
    }

    #[test]
    fn nobody_is_more_urgent_than_he_may_be() {
        let rules = rules(json!({"users": {"guest": "high"}, "most": {"*": "normal", "vip": "high", "guest": "low"}}));
        for (asked, expected) in [
            (json!({"user_id": "ann", "priority": 10}), json!("normal")),
            (json!({"priority": "high"}), json!("normal")),
            (json!({"user_id": "vip", "priority": 10}), json!(10)),
            (json!({"user_id": "guest"}), json!("low")),
            (json!({"user_id": "ann", "priority": -10}), json!(-10)),
        ] {
            assert_eq!(set(&rules, asked.clone()), Some(expected), "{asked}");
        }
    }

    #[test]
    fn s1_17_what_is_done_again_comes_last_unless_the_settings_say_otherwise() {
        let usual = Priority::default();
        assert_eq!([0, 3, 9].map(|step| usual.step_again(step)), [9, 9, 9]);
        let kept = rules(json!({"again": "high"}));
        assert_eq!([0, 3, 9].map(|step| kept.step_again(step)), [0, 3, 9]);
    }

    #[test]
    fn a_rule_that_is_none_is_refused_with_the_settings() {
        let wrong = serde_json::from_value::<Priority>(json!({"users": {"vip": "highest"}})).unwrap_err().to_string();
        assert!(wrong.contains("from -10 to 10") && wrong.contains("highest"), "{wrong}");
    }

    #[test]
    fn words_and_numbers_are_steps_of_the_queue() {
        let of = |value: Value| step(Some(&value));
        assert_eq!(step(None), Ok(3));
        for (value, expected) in [
            (json!("high"), 0),
            (json!("normal"), 3),
            (json!("low"), 9),
            (json!(10), 0),
            (json!(5), 3),
            (json!(0), 6),
            (json!(-3), 6),
            (json!(-10), 9),
            (json!("7"), 3),
        ] {
            assert_eq!(of(value.clone()), Ok(expected), "{value}");
        }
        for value in [json!("urgent"), json!(11), json!(2.5), json!([])] {
            assert!(of(value.clone()).unwrap_err().contains("from -10 to 10"), "{value}");
        }
    }
}
