//! The shape asked of a model: a JSON Schema within what "strict" structured output allows, and reading answers of servers
//! that ignore it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The schema of `T`: every field required, none besides, no keyword that strict mode refuses.
pub(super) fn strict<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    tighten(&mut schema);
    schema
}

fn tighten(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for refused in ["$schema", "title", "format", "minimum", "maximum", "default"] {
                if !map.get(refused).is_some_and(Value::is_object) {
                    map.remove(refused);
                }
            }
            let names = map.get("properties").and_then(Value::as_object).map(|properties| {
                let names: Vec<Value> = properties.keys().map(|name| name.clone().into()).collect();
                names
            });
            if let Some(names) = names {
                map.insert("required".to_owned(), names.into());
                map.insert("additionalProperties".to_owned(), false.into());
            }
            map.values_mut().for_each(tighten);
        }
        Value::Array(items) => items.iter_mut().for_each(tighten),
        _ => {}
    }
}

/// Reads an answer: the JSON object in it, whatever stands before, behind or around it.
pub(super) fn read<T: DeserializeOwned>(answer: &str) -> Result<T, serde_json::Error> {
    let whole = serde_json::from_str(answer.trim());
    let (Err(_), Some(from), Some(to)) = (&whole, answer.find('{'), answer.rfind('}')) else { return whole };
    if from > to { whole } else { serde_json::from_str(&answer[from..=to]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
    struct Answer {
        title: String,
        #[serde(default)]
        parts: Vec<Part>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
    struct Part {
        page: Option<u32>,
    }

    #[test]
    fn every_object_of_the_schema_is_closed_and_complete() {
        let schema = strict::<Answer>();
        assert_eq!(schema["required"], serde_json::json!(["title", "parts"]));
        assert!(schema["properties"]["title"].is_object(), "a property called title is no keyword");
        assert_eq!(schema["$defs"]["Part"]["additionalProperties"], false);
        assert!(!schema.to_string().contains("uint32"));
    }

    #[test]
    fn an_answer_is_read_through_fences_and_talk() {
        let wanted = Answer { title: "t".to_owned(), parts: vec![] };
        for answer in
            [r#"{"title":"t"}"#, "```json\n{\"title\":\"t\"}\n```", "Sure! Here it is: {\"title\":\"t\", \"parts\":[]} Enjoy."]
        {
            assert_eq!(read::<Answer>(answer).unwrap(), wanted);
        }
        for answer in ["", "no", "}{", r#"{"titel":"t"}"#] {
            assert!(read::<Answer>(answer).is_err(), "{answer}");
        }
    }
}
