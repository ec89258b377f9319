//! How urgent a job is: callers' words and numbers, and the steps of Celery's queues, of which 0 is served first (C5).

use serde_json::Value;

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
