//! What kind of job it is (S4.3): what is made of a document unless its options say otherwise.

use serde_json::{Map, Value, json};

/// The kinds, and the options each stands for.
const KINDS: [&str; 6] = ["document", "ocr", "nlp", "validation", "preprocessing", "audio"];

/// The options that a kind of job stands for.
pub(crate) fn options(job_type: &str) -> Result<Map<String, Value>, String> {
    let options = match job_type {
        "document" => json!({}),
        // The text of each page, read by OCR where there is none.
        "ocr" => json!({"ocr": "auto", "analysis": "none", "summary": false, "audio": false}),
        // What the text says.
        "nlp" => json!({"summary": true, "audio": false}),
        // Whether each page can be opened and drawn: small, for nobody looks at it.
        "validation" => json!({"ocr": "never", "analysis": "none", "summary": false, "audio": false, "dpi": 72}),
        // The images of the pages and the text they bring with them, for other programs to go on with.
        "preprocessing" => json!({"ocr": "never", "analysis": "none", "summary": false, "audio": false}),
        "audio" => json!({"summary": true, "audio": true}),
        other => return Err(format!("job_type: there is no {other:?}; there are {}", KINDS.join(", "))),
    };
    Ok(if let Value::Object(options) = options { options } else { Map::new() })
}

/// What other systems write for options of ours (S4.19): `language` with the two letters of a language, where OCR has three, and
/// `preprocess`, which changes nothing, for pages are always prepared.
pub(crate) fn renamed(mut options: Map<String, Value>) -> Map<String, Value> {
    const THREE: [(&str, &str); 12] = [
        ("en", "eng"),
        ("de", "deu"),
        ("fr", "fra"),
        ("es", "spa"),
        ("it", "ita"),
        ("pt", "por"),
        ("nl", "nld"),
        ("pl", "pol"),
        ("sv", "swe"),
        ("da", "dan"),
        ("cs", "ces"),
        ("ru", "rus"),
    ];
    options.remove("preprocess");
    if let Some(language) = options.remove("language") {
        let three = language.as_str().and_then(|two| THREE.iter().find(|(known, _)| *known == two));
        let language = three.map_or(language, |(_, three)| (*three).into());
        options.entry("ocr_languages").or_insert(language);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::job::ProcessDocument;

    #[test]
    fn each_kind_is_a_set_of_options_that_documents_know() {
        for kind in KINDS {
            let options = options(kind).unwrap();
            let call: ProcessDocument = serde_json::from_value(options.clone().into()).unwrap();
            let known = serde_json::to_value(call).unwrap();
            assert!(options.iter().all(|(name, value)| known[name] == *value), "{kind}: {options:?}");
        }
        let wrong = options("fax").unwrap_err();
        assert!(wrong.contains("\"fax\"") && wrong.contains("preprocessing"), "{wrong}");
    }

    #[test]
    fn the_language_of_other_systems_is_that_of_the_ocr() {
        let of = |options: Value| renamed(options.as_object().unwrap().clone());
        assert_eq!(
            Value::from(of(json!({"language": "en", "preprocess": true, "dpi": 72}))),
            json!({"ocr_languages": "eng", "dpi": 72})
        );
        assert_eq!(Value::from(of(json!({"language": "jpn"}))), json!({"ocr_languages": "jpn"}));
        assert_eq!(Value::from(of(json!({"language": "en", "ocr_languages": "deu"}))), json!({"ocr_languages": "deu"}));
    }
}
