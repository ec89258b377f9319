//! Scans: the `tesseract` program reads what has no text layer.

use celeriac_tasks::Code;
use celeriac_tasks::page::{Ocr, OcrOptions, clean, needs_ocr};
use celeriac_tasks::render::{Kind, OpenArgs, PageArgs, RenderOptions};

use crate::support::{input, program, renderer};

/// How much of the longer word sequence stands in both, in order.
fn similarity(a: &str, b: &str) -> f64 {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
    let mut row = vec![0u32; b.len() + 1];
    for left in &a {
        let mut before = 0;
        for (at, right) in b.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if left == right { before + 1 } else { above.max(row[at]) };
            before = above;
        }
    }
    f64::from(row[b.len()]) / a.len().max(b.len()).max(1) as f64
}

#[tokio::test]
async fn a_scan_is_read_word_for_word() {
    let (Some(path), Some(truth), true) = (input("linn.pdf"), input("linn.txt"), program("tesseract")) else { return };
    let page = {
        let Some(mut renderer) = renderer() else { return };
        let document = OpenArgs { path, kind: Kind::Pdf, password: None };
        renderer.page(&PageArgs { document, index: 0, render: RenderOptions::default() }).unwrap()
    };
    assert!(needs_ocr(&clean(&page.text), page.has_images));
    let read = Ocr::default().read(&page.image, Some(150)).await.unwrap();
    let same = similarity(&read.text, &std::fs::read_to_string(truth).unwrap());
    assert!(same > 0.9, "{same}: {}", read.text);
    assert!(read.confidence > 0.8, "{}", read.confidence);
}

#[tokio::test]
async fn a_language_that_is_not_installed_is_named() {
    let (Some(picture), true) = (input("linn.png"), program("tesseract")) else { return };
    let ocr = Ocr::new(OcrOptions { languages: "xyz".into(), ..OcrOptions::default() });
    let error = ocr.read(&std::fs::read(picture).unwrap(), None).await.unwrap_err();
    assert_eq!(error.code, Code::OcrUnavailable);
    assert!(error.message.contains("xyz") && error.message.contains("tesseract-ocr-xyz"), "{error}");
}

#[tokio::test]
async fn a_picture_that_is_none_fails_with_the_programs_words() {
    if !program("tesseract") {
        return;
    }
    let error = Ocr::default().read(b"no picture at all", None).await.unwrap_err();
    assert_eq!((error.code, error.retryable()), (Code::OcrFailed, true), "{error}");
}
