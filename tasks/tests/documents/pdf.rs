//! PDFs: text wherever it stands, colours in their order, and everything that can be wrong with a file.

use celeriac_tasks::Code;
use celeriac_tasks::render::{Kind, OpenArgs, OutlineEntry, PageArgs, RenderOptions, Renderer};

use crate::support::{decoded, input, one_page, open, page, pdf, renderer, stored};

#[test]
fn text_on_a_page_whose_box_begins_far_from_the_origin_is_complete() {
    let Some(mut renderer) = renderer() else { return };
    let text = "BT /F1 12 Tf 1072 1700 Td (Thirty-five characters of plain text) Tj ET";
    let page = page(&mut renderer, Kind::Pdf, &one_page("/MediaBox [1000 1000 1612 1792]", text), 0).unwrap();
    assert_eq!(page.text, "Thirty-five characters of plain text");
    assert_eq!((page.size, page.width, page.height), ((612.0, 792.0), 1275, 1650));
}

#[test]
fn text_on_a_rotated_page_is_complete_and_the_picture_is_turned() {
    let Some(mut renderer) = renderer() else { return };
    let text = "BT /F1 12 Tf 72 700 Td (A line that runs past the right edge of the box if it is not turned) Tj ET";
    let page = page(&mut renderer, Kind::Pdf, &one_page("/MediaBox [0 0 612 792] /Rotate 90", text), 0).unwrap();
    assert_eq!(page.text, "A line that runs past the right edge of the box if it is not turned");
    assert_eq!((page.rotation, page.size, page.width, page.height), (90, (792.0, 612.0), 1650, 1275));
    assert!(!page.has_images && !page.reduced);
}

#[test]
fn red_stays_red_and_the_page_fills_its_picture() {
    let Some(mut renderer) = renderer() else { return };
    // Red at the top left, blue at the bottom right: also shows that nothing is drawn small in a corner.
    let content = "1 0 0 rg 0 396 306 396 re f 0 0 1 rg 306 0 306 396 re f";
    let page = page(&mut renderer, Kind::Pdf, &one_page("/MediaBox [0 0 612 792]", content), 0).unwrap();
    for (jpeg, width, height) in [(&page.image, 1275, 1650), (&page.thumb, 160, 207)] {
        let picture = decoded(jpeg);
        assert_eq!(picture.dimensions(), (width, height));
        let close = |x: u32, y: u32, wanted: [u8; 3]| {
            let found = picture.get_pixel(x, y).0;
            assert!(found.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) < 12), "at {x},{y}: {found:?}, not {wanted:?}");
        };
        close(width / 4, height / 4, [255, 0, 0]);
        close(width * 3 / 4, height * 3 / 4, [0, 0, 255]);
        close(width / 4, height * 3 / 4, [255, 255, 255]);
    }
}

#[test]
fn a_page_larger_than_any_memory_is_rendered_small_and_says_so() {
    let Some(mut renderer) = renderer() else { return };
    let bomb = stored(Kind::Pdf, &one_page("/MediaBox [0 0 14400 14400]", "0 0 1 rg 0 0 14400 14400 re f"));
    let render = RenderOptions { max_pixels: 1_000_000, ..RenderOptions::default() };
    let page = renderer.page(&PageArgs { document: bomb.args.clone(), index: 0, render }).unwrap();
    assert_eq!((page.width, page.height, page.reduced), (1000, 1000, true));
    assert!(page.dpi.unwrap() < 6.0);
    let thin = stored(Kind::Pdf, &one_page("/MediaBox [0 0 14400 0.01]", ""));
    let page = renderer.page(&PageArgs { document: thin.args.clone(), index: 0, render }).unwrap();
    assert!(page.height >= 1 && page.width <= 65_500);
}

#[test]
fn a_pdf_without_pages_is_broken() {
    let Some(mut renderer) = renderer() else { return };
    let objects = ["<< /Type /Catalog /Pages 2 0 R >>".to_owned(), "<< /Type /Pages /Kids [] /Count 0 >>".to_owned()];
    let error = open(&mut renderer, Kind::Pdf, &pdf(&objects, "")).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::PdfCorrupt, "the PDF has no pages"));
}

#[test]
fn an_encrypted_pdf_opens_with_its_password_only() {
    let Some(mut renderer) = renderer() else { return };
    let mut document = stored(Kind::Pdf, include_bytes!("../fixtures/encrypted.pdf"));
    let error = renderer.open(&document.args).unwrap_err();
    assert_eq!(error.code, Code::PdfEncrypted);
    assert!(error.message.contains("give its password"), "{error}");
    document.args.password = Some("guess".into());
    let error = renderer.open(&document.args).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::PdfEncrypted, "the PDF is encrypted and the password is wrong"));
    assert!(!error.retryable());
    document.args.password = Some("secret".into());
    assert!(renderer.open(&document.args).unwrap().pdf.unwrap().encrypted);
    let render = RenderOptions::default();
    let page = renderer.page(&PageArgs { document: document.args.clone(), index: 0, render }).unwrap();
    assert_eq!(page.text, "Only for those who know");
}

#[test]
fn files_that_only_begin_like_a_pdf_are_broken_not_fatal() {
    let Some(mut renderer) = renderer() else { return };
    let whole = one_page("/MediaBox [0 0 612 792]", "BT /F1 12 Tf 72 700 Td (whole) Tj ET");
    let noise: Vec<u8> =
        b"%PDF-1.7\n".iter().copied().chain((0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)).collect();
    for (what, bytes) in
        [("header", &whole[..12]), ("a tenth", &whole[..whole.len() / 10]), ("nothing", &[][..]), ("noise", &noise)]
    {
        let error = open(&mut renderer, Kind::Pdf, bytes).unwrap_err();
        assert_eq!(error.code, Code::PdfCorrupt, "{what}: {error}");
    }
    assert_eq!(open(&mut renderer, Kind::Pdf, &whole).unwrap().pages, 1, "and the next document is served");
}

#[test]
fn a_page_that_is_not_there_fails_alone() {
    let Some(mut renderer) = renderer() else { return };
    let bytes = one_page("/MediaBox [0 0 612 792]", "");
    let error = page(&mut renderer, Kind::Pdf, &bytes, 7).unwrap_err();
    assert_eq!((error.code, error.page), (Code::PageRenderFailed, Some(8)));
    assert!(page(&mut renderer, Kind::Pdf, &bytes, 0).is_ok());
}

#[test]
fn title_labels_outline_and_sizes_are_told() {
    let Some(mut renderer) = renderer() else { return };
    let objects: Vec<String> = [
        "<< /Type /Catalog /Pages 2 0 R /Outlines 5 0 R /PageLabels << /Nums [0 << /S /r >> 1 << /S /D /P (A-) >>] >> /MarkInfo << /Marked true >> >>",
        "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 /MediaBox [0 0 612 792] >>",
        "<< /Type /Page /Parent 2 0 R >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>",
        "<< /First 6 0 R /Last 7 0 R /Count 2 >>",
        "<< /Title (Overview) /Parent 5 0 R /Next 7 0 R /First 8 0 R /Last 8 0 R /Count 1 /Dest [3 0 R /Fit] >>",
        "<< /Title (The  end) /Parent 5 0 R /Prev 6 0 R /A << /S /GoTo /D [4 0 R /Fit] >> >>",
        // Its next entry is itself: an outline that never ends.
        "<< /Title (Inside) /Parent 6 0 R /Dest [4 0 R /Fit] /Next 8 0 R >>",
        "<< /Title (Annual Report) /Author (A. Writer) >>",
    ]
    .map(str::to_owned)
    .into();
    let document = stored(Kind::Pdf, &pdf(&objects, "/Info 9 0 R"));
    let opened = renderer.open(&document.args).unwrap();
    assert_eq!((opened.pages, opened.title.as_deref(), opened.authors), (2, Some("Annual Report"), vec!["A. Writer".to_owned()]));
    assert_eq!(opened.sizes, [(612.0, 792.0), (300.0, 200.0)]);
    let info = opened.pdf.unwrap();
    assert_eq!((info.version.as_deref(), info.encrypted, info.tagged), (Some("1.7"), false, true));
    let entry = |title: &str, page, level| OutlineEntry { title: title.into(), page: Some(page), level };
    assert_eq!(info.outline[..2], [entry("Overview", 1, 1), entry("Inside", 2, 2)]);
    assert!(info.outline.len() <= 2000);
    let render = RenderOptions::default();
    let label =
        |renderer: &mut Renderer, index| renderer.page(&PageArgs { document: document.args.clone(), index, render }).unwrap().label;
    assert_eq!(label(&mut renderer, 0).as_deref(), Some("i"));
    assert_eq!(label(&mut renderer, 1).as_deref(), Some("A-1"));
}

#[test]
fn a_page_with_a_picture_and_no_text_is_told_apart() {
    let Some(mut renderer) = renderer() else { return };
    let picture = "q 200 0 0 200 100 100 cm BI /W 2 /H 2 /CS /G /BPC 8 ID \x01\x02\x03\x04 EI Q";
    assert!(page(&mut renderer, Kind::Pdf, &one_page("/MediaBox [0 0 612 792]", picture), 0).unwrap().has_images);
    assert!(!page(&mut renderer, Kind::Pdf, &one_page("/MediaBox [0 0 612 792]", ""), 0).unwrap().has_images);
}

#[test]
fn a_document_stays_open_for_its_next_page() {
    let Some(mut renderer) = renderer() else { return };
    let document = stored(Kind::Pdf, &one_page("/MediaBox [0 0 612 792]", ""));
    let args = PageArgs { document: document.args.clone(), index: 0, render: RenderOptions::default() };
    assert!(renderer.page(&args).unwrap().times.open > 0);
    // The file may even be gone: the child holds it.
    std::fs::remove_file(&document.args.path).unwrap();
    assert_eq!(renderer.page(&args).unwrap().times.open, 0);
}

#[test]
fn a_document_is_opened_anew_now_and_then_so_that_what_was_read_of_it_goes() {
    let Some(mut renderer) = renderer() else { return };
    let document = stored(Kind::Pdf, &one_page("/MediaBox [0 0 612 792]", ""));
    let render = RenderOptions { dpi: 20, ..RenderOptions::default() };
    let mut page = || renderer.page(&PageArgs { document: document.args.clone(), index: 0, render }).unwrap().times.open;
    let opened: Vec<usize> = (0..500).filter(|_| page() > 0).collect();
    // The less often the longer it takes to open.
    assert!(opened[0] == 0 && opened.len() >= 2 && opened.is_sorted_by(|one, next| next - one >= 64), "{opened:?}");
}

#[test]
fn without_pdfium_images_work_and_pdfs_say_what_is_missing() {
    let mut renderer = Renderer::new(None);
    let error = open(&mut renderer, Kind::Pdf, &one_page("", "")).unwrap_err();
    assert!(error.message.contains("scripts/get-pdfium"), "{error}");
    assert_eq!(page(&mut renderer, Kind::Png, &crate::images::png(3, 2), 0).unwrap().width, 3);
}

#[test]
fn a_japanese_manual_gives_its_text() {
    let (Some(mut renderer), Some(path)) = (renderer(), input("debian-reference.ja.pdf")) else { return };
    let document = OpenArgs { path, kind: Kind::Pdf, password: None };
    assert_eq!(renderer.open(&document).unwrap().pages, 272);
    let mut text = String::new();
    for index in [0, 20, 21, 22] {
        let render = RenderOptions { dpi: 20, ..RenderOptions::default() };
        text += &renderer.page(&PageArgs { document: document.clone(), index, render }).unwrap().text;
    }
    let kana = text.chars().filter(|c| ('\u{3040}'..='\u{30ff}').contains(c)).count();
    assert!(text.contains("リファレンス") && kana > 500, "{kana} kana");
}

#[test]
fn a_public_corpus_of_odd_files_ends_in_pages_or_errors() {
    let Some(mut renderer) = renderer() else { return };
    for (name, wanted) in
        [("cardinal.pdf", Ok(4)), ("multipage.pdf", Ok(6)), ("hugemono.pdf", Ok(1)), ("invalid.pdf", Err(Code::PdfCorrupt))]
    {
        let Some(path) = input(name) else { return };
        let document = OpenArgs { path, kind: Kind::Pdf, password: None };
        let opened = renderer.open(&document);
        assert_eq!(opened.as_ref().map(|opened| opened.pages).map_err(|error| error.code), wanted, "{name}");
        let render = RenderOptions { max_pixels: 500_000, ..RenderOptions::default() };
        for index in 0..opened.map_or(0, |opened| opened.pages) {
            let page = renderer.page(&PageArgs { document: document.clone(), index, render }).unwrap();
            assert!(page.width * page.height <= 500_000 && page.has_images, "{name} {index}");
        }
    }
}
