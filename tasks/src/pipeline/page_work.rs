//! The work on one page: render and read it in a child, OCR where it has no text, analyse it, and write its files; the record last.

use std::time::{Duration, Instant};

use celeriac::task::Context;
use sha2::{Digest, Sha256};

use super::documents::Documents;
use super::ending::tries;
use super::page::call_failed;
use crate::analysis::Analyzed;
use crate::error::{Code, DocumentError, Stage};
use crate::job::{Analysis, JobRecord};
use crate::page::{OcrMode, clean, needs_ocr, words};
use crate::render::{self, PageArgs, PageOut};
use crate::result::{PageImage, PageRecord, PageSize, PageStatus, PageText, PageTimes, TextSource, Warning};
use crate::store::{Key, PageFile, json};

/// Does the page and gives its record, which is written.
pub(super) async fn work(ctx: &Context, documents: &Documents, job: &JobRecord, page: u32) -> Result<PageRecord, DocumentError> {
    let begun = Instant::now();
    let mut work = Work { documents, job, page, times: PageTimes::default(), warnings: Vec::new() };
    let rendered = work.render(ctx).await?;
    let read = work.read(&rendered).await?;
    let analyzed = work.analyze(&rendered, &read.0).await?;
    let image = work.store(&rendered, &read.0, &analyzed).await?;
    work.times.total = milliseconds(begun.elapsed());
    let record = work.record(ctx, rendered, read, analyzed, image);
    documents.put_page(&job.job.job_id, &record).await?;
    Ok(record)
}

/// A page being worked on.
struct Work<'a> {
    documents: &'a Documents,
    job: &'a JobRecord,
    page: u32,
    times: PageTimes,
    warnings: Vec<Warning>,
}

impl Work<'_> {
    async fn render(&mut self, ctx: &Context) -> Result<PageOut, DocumentError> {
        let begun = Instant::now();
        let (document, index) = self.job.open_args(&self.documents.store, self.page).await?;
        self.times.fetch = milliseconds(begun.elapsed());
        let affinity = document.path.to_string_lossy().into_owned();
        let arguments = PageArgs { document, index, render: self.job.render };
        let call = ctx.isolated(&render::PAGE, arguments).affinity(affinity).time_limit(self.documents.defaults.page_timeout);
        let rendered = call.await.map_err(|error| call_failed(&error, Stage::Render, self.documents))??;
        self.times.render = rendered.times.render / 1000;
        self.times.extract = rendered.times.extract / 1000;
        if rendered.reduced {
            self.warn("image_reduced", "the page is too large for the resolution asked for; its image is smaller");
        }
        Ok(rendered)
    }

    /// The page's text: its own, or what OCR reads where it has none.
    async fn read(&mut self, rendered: &PageOut) -> Result<(PageText, PageStatus), DocumentError> {
        let own = clean(&rendered.text);
        let wanted = match self.job.wanted.ocr {
            OcrMode::Always => true,
            OcrMode::Auto => needs_ocr(&own, rendered.has_images),
            OcrMode::Never => false,
        };
        if !wanted {
            let source = if own.is_empty() { TextSource::None } else { TextSource::TextLayer };
            return Ok((page_text(own, source, 1.0), PageStatus::Ok));
        }
        let begun = Instant::now();
        let dpi = rendered.dpi.map(|dpi| dpi.round() as u32);
        let read = self.documents.ocr.with_languages(&self.job.wanted.ocr_languages).read(&rendered.image, dpi).await;
        self.times.ocr = milliseconds(begun.elapsed());
        match read {
            Ok(read) if read.text.is_empty() => Ok((page_text(own, TextSource::None, 0.0), PageStatus::Ok)),
            Ok(read) => Ok((page_text(read.text, TextSource::Ocr, read.confidence), PageStatus::Ok)),
            Err(error) if error.code == Code::OcrUnavailable => {
                self.warn("ocr_unavailable", &error.message);
                let status = if own.is_empty() { PageStatus::NeedsOcr } else { PageStatus::Ok };
                Ok((page_text(own, TextSource::None, 0.0), status))
            }
            Err(error) => Err(error),
        }
    }

    async fn analyze(&mut self, rendered: &PageOut, text: &PageText) -> Result<Option<Analyzed>, DocumentError> {
        let begun = Instant::now();
        let analyzed = match (self.job.wanted.analysis, &self.documents.openai) {
            (Analysis::None, _) => None,
            (Analysis::Openai, Some(openai)) => Some(openai.page(self.page, &text.content, &rendered.image).await?),
            (Analysis::Openai, None) => {
                let message = "analysis by a model was asked for, but no OPENAI_API_KEY or OPENAI_BASE_URL is set";
                return Err(DocumentError::new(Code::LlmFailed, Stage::Analyze, message).permanent());
            }
            (Analysis::Extractive, _) => Some(self.documents.offline().page(self.page, &text.content, None)),
        };
        self.times.analyze = milliseconds(begun.elapsed());
        Ok(analyzed)
    }

    /// Writes everything but the record.
    async fn store(
        &mut self,
        rendered: &PageOut,
        text: &PageText,
        analyzed: &Option<Analyzed>,
    ) -> Result<PageImage, DocumentError> {
        let begun = Instant::now();
        let key = |file| Key::page(&self.job.job.job_id, self.page, file);
        let (image, thumb) = (key(PageFile::Image)?, key(PageFile::Thumb)?);
        let mut files = vec![
            (image.clone(), rendered.image.clone()),
            (thumb.clone(), rendered.thumb.clone()),
            (key(PageFile::Text)?, text.content.clone().into_bytes().into()),
        ];
        if let Some(analyzed) = analyzed {
            files.push(json::file(key(PageFile::Digest)?, &analyzed.digest)?);
        }
        self.documents.store.put_all(files).await?;
        self.times.store = milliseconds(begun.elapsed());
        let sha256 = Sha256::digest(&rendered.image).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(PageImage {
            url: image.as_str().to_owned(),
            thumb_url: Some(thumb.as_str().to_owned()),
            width: rendered.width,
            height: rendered.height,
            dpi: rendered.dpi.map(|dpi| dpi.round() as u32),
            format: "jpeg".to_owned(),
            bytes: Some(rendered.image.len() as u64),
            sha256,
        })
    }

    fn record(
        self,
        ctx: &Context,
        rendered: PageOut,
        (text, status): (PageText, PageStatus),
        analyzed: Option<Analyzed>,
        image: PageImage,
    ) -> PageRecord {
        let unit = if rendered.dpi.is_some() { "pt" } else { "px" };
        let (width, height) = (f64::from(rendered.size.0), f64::from(rendered.size.1));
        let analyzed = analyzed.unwrap_or_default();
        let read_by_model = analyzed.text.map(|read| page_text(read, TextSource::Vlm, 0.9)).filter(|_| text.content.is_empty());
        PageRecord {
            page: self.page,
            batch: self.job.batch_of(self.page),
            label: rendered.label,
            status,
            size: Some(PageSize { width, height, unit: unit.to_owned(), rotation: rendered.rotation }),
            image: Some(image),
            text: Some(PageText { language: analyzed.language, chunks: Some(analyzed.chunks), ..read_by_model.unwrap_or(text) }),
            markdown: analyzed.markdown,
            analysis: (self.job.wanted.analysis != Analysis::None).then_some(analyzed.analysis),
            warnings: self.warnings,
            attempts: tries(ctx),
            task_id: Some(ctx.request().id().to_owned()),
            worker: Some(ctx.request().hostname.clone()),
            times_ms: Some(self.times),
            usage: analyzed.usage,
            ..PageRecord::default()
        }
    }

    fn warn(&mut self, code: &str, message: &str) {
        self.warnings.push(Warning { code: code.to_owned(), message: message.to_owned(), pages: vec![self.page] });
    }
}

fn page_text(content: String, source: TextSource, confidence: f64) -> PageText {
    PageText {
        source,
        chars: u32::try_from(content.chars().count()).unwrap_or(u32::MAX),
        words: words(&content),
        content,
        confidence,
        ..PageText::default()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
