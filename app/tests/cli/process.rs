//! `process`: a document goes in, a result comes out, and the code says how it went.

use super::*;

/// A PDF of pages that say their number; its cross-reference table is left to the reader to rebuild.
fn pdf(pages: usize) -> Vec<u8> {
    let mut text = String::from("%PDF-1.4\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n");
    let kids: Vec<String> = (0..pages).map(|page| format!("{} 0 R", 4 + 2 * page)).collect();
    text += &format!("2 0 obj <</Type/Pages/Kids[{}]/Count {pages}>> endobj\n", kids.join(" "));
    text += "3 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj\n";
    for page in 0..pages {
        let (object, content) = (4 + 2 * page, 5 + 2 * page);
        let words = format!("BT /F 24 Tf 20 40 Td (This is page number {} of the test.) Tj ET\n", page + 1);
        text += &format!("{object} 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 500 100]/Contents {content} 0 R");
        text += "/Resources<</Font<</F 3 0 R>>>>>> endobj\n";
        text += &format!("{content} 0 obj <</Length {}>> stream\n{words}endstream endobj\n", words.len());
    }
    text += "trailer <</Root 1 0 R>>\n%%EOF\n";
    text.into_bytes()
}

/// A house with a document of so many pages; none where PDFium is not installed.
pub(crate) fn house(pages: usize) -> Option<House> {
    let house = House::new();
    let report = house.run("doctor --json").json();
    let found = report["checks"].as_array().unwrap().iter().any(|check| check["name"] == "pdfium" && check["status"] != "fail");
    if !found {
        assert!(std::env::var_os("CI").is_none(), "PDFium is missing in CI: {report}");
        eprintln!("skipped: PDFium is not installed");
        return None;
    }
    std::fs::write(house.path().join("report.pdf"), pdf(pages)).unwrap();
    Some(house)
}

fn result(house: &House, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(house.path().join(file)).unwrap()).unwrap()
}

#[test]
fn a_document_becomes_a_result_a_text_and_a_summary_of_the_run() {
    let Some(house) = house(60) else { return };
    let ran = house.run("process report.pdf --json -o out --dpi 40 --ocr never");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let job = &ran.json()["jobs"][0];
    assert_eq!((&job["status"], &job["pages"], &job["ok"]), (&"completed".into(), &60.into(), &60.into()));
    assert_eq!(job["files"]["result"], "out/result.json");
    let result = result(&house, "out/result.json");
    assert_eq!(result["job"]["processing_strategy"], "batch_parallel");
    assert_eq!(result["batches"].as_array().unwrap().len(), 3, "60 pages are two batches of 25 and one of 10");
    assert_eq!(result["pages"].as_array().unwrap().len(), 60);
    assert!(result["summary"]["executive"].is_string());
    let text = std::fs::read_to_string(house.path().join("out/document.md")).unwrap();
    assert!(text.contains("page number 37 of the test"), "{text}");
    assert!(ran.err.contains("100 % · 60 of 60 pages") && ran.err.lines().count() < 25, "{}", ran.err);
}

#[test]
fn a_selection_goes_to_standard_output_and_progress_does_not() {
    let Some(house) = house(12) else { return };
    let ran = house.run("process report.pdf --pages 2-4,9 -o - --format json --no-summary --dpi 40");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let result = ran.json();
    let done: Vec<i64> = result["pages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|page| page["status"] == "ok")
        .map(|page| page["page"].as_i64().unwrap())
        .collect();
    assert_eq!((done, &result["counts"]["skipped"]), (vec![2, 3, 4, 9], &8.into()));
    assert!(result["summary"].is_null());
    assert!(!house.path().join("report.celeriac").exists());
}

#[test]
fn a_result_is_written_in_every_form() {
    let Some(house) = house(2) else { return };
    let ran = house.run("process report.pdf -o out --format html --format txt --format ndjson --no-summary --dpi 40");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let read = |file: &str| std::fs::read_to_string(house.path().join("out").join(file)).unwrap();
    assert!(read("document.html").starts_with("<!doctype html>"));
    assert!(read("document.txt").contains("This is page number 2 of the test."));
    assert_eq!(read("pages.ndjson").lines().count(), 2);
}

#[test]
fn a_budget_that_is_used_up_ends_with_6() {
    let Some(house) = house(2) else { return };
    let ran = house.run("process report.pdf --max-cost-usd 0 --json");
    assert_eq!(ran.code, Some(6), "{ran:?}");
    let job = &ran.json()["jobs"][0];
    assert_eq!(job["partial_reasons"], serde_json::json!(["budget"]), "{job}");
    assert!(job["error"].as_str().unwrap().contains("budget"), "{job}");

    let mut uncounted = house.command("process report.pdf --max-cost-usd 1");
    let ran = Ran::new(uncounted.env("OPENAI_API_KEY", "none").output().unwrap());
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("nothing says what gpt-4.1-mini costs"), "{ran:?}");
}

#[test]
fn the_same_job_again_does_only_what_is_missing() {
    let Some(house) = house(3) else { return };
    let page_images = || -> Vec<std::time::SystemTime> {
        let mut folders = vec![house.path().join("celeriac-store")];
        let mut times = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name() == "page.json" {
                    times.push(entry.metadata().unwrap().modified().unwrap());
                }
            }
        }
        times.sort();
        times
    };
    let first = house.run("process report.pdf --resume --dpi 40");
    assert_eq!(first.code, Some(0), "{first:?}");
    let written = page_images();
    assert_eq!(written.len(), 3);
    let again = house.run("process report.pdf --resume --dpi 40 --json");
    assert_eq!((again.code, &again.json()["jobs"][0]["status"]), (Some(0), &"completed".into()));
    assert_eq!(page_images(), written, "a page was done again");
}

#[test]
fn what_is_no_document_fails_with_4_and_says_why() {
    let house = House::with("broken.pdf", "this is no PDF at all");
    let ran = house.run("process broken.pdf --json");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let job = &ran.json()["jobs"][0];
    assert_eq!(job["status"], "failed");
    assert!(job["error"].as_str().is_some_and(|error| !error.is_empty()), "{job}");
}

#[test]
fn wrong_usage_ends_before_anything_is_done() {
    let house = House::with("a.pdf", "x");
    for (line, code) in [
        ("process a.pdf --pages 0-3", 2),
        ("process a.pdf --batch-size some", 2),
        ("process a.pdf a.pdf -o -", 2),
        ("process no.pdf", 1),
        ("process a.pdf -o /proc/no", 73),
    ] {
        let ran = house.run(line);
        assert_eq!(ran.code, Some(code), "{line}: {ran:?}");
        assert!(ran.err.starts_with("error: "), "{line}: {ran:?}");
    }
    assert!(!house.path().join("celeriac-store").exists());
}

#[test]
fn submitting_without_redis_ends_with_75() {
    let house = House::with("a.pdf", "%PDF-1.4 x");
    let ran = house.run(&format!("process a.pdf --submit -b {NOWHERE}"));
    assert_eq!(ran.code, Some(75), "{ran:?}");
}
