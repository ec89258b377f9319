//! The compact form of a result: small enough for Celery's result backend and for a webhook, whatever the document's size.
//!
//! It leaves out what is large or can be asked for by page: texts, analyses, tables, images, and the figures of single
//! pages. Every page keeps its slot, its status and its error, so a caller can tell what there is without another call;
//! 1,000 pages take about 70 kB.

use serde_json::Value;

use super::DocumentResult;

/// Fields of a page that stay in the compact form, as far as they say something.
const PAGE_FIELDS: [&str; 7] = ["page", "batch", "label", "status", "from_cache", "error", "warnings"];

impl DocumentResult {
    /// The compact form: what `AsyncResult(job_id).get()` returns.
    ///
    /// # Errors
    /// When a part cannot be written as JSON, which no part built by this crate does.
    pub fn compact(&self) -> Result<Value, serde_json::Error> {
        let mut value = serde_json::to_value(self.without_pages())?;
        let mut pages = Vec::with_capacity(self.pages.len());
        for page in &self.pages {
            let bare = super::PageRecord {
                page: page.page,
                batch: page.batch,
                label: page.label.clone(),
                status: page.status,
                from_cache: page.from_cache,
                error: page.error.clone(),
                warnings: page.warnings.clone(),
                ..super::PageRecord::default()
            };
            let mut fields = serde_json::to_value(bare)?;
            if let Some(map) = fields.as_object_mut() {
                map.retain(|name, value| PAGE_FIELDS.contains(&name.as_str()) && says_something(value));
            }
            pages.push(fields);
        }
        if let Some(map) = value.as_object_mut() {
            map.insert("pages".to_owned(), Value::Array(pages));
            for batch in map.get_mut("batches").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(batch) = batch.as_object_mut() {
                    batch.shift_remove("tasks");
                }
            }
        }
        Ok(value)
    }

    /// A copy of everything but the pages, which are what is large.
    fn without_pages(&self) -> Self {
        Self {
            schema: self.schema.clone(),
            schema_version: self.schema_version.clone(),
            job: self.job.clone(),
            document: self.document.clone(),
            counts: self.counts,
            batches: self.batches.clone(),
            pages: Vec::new(),
            summary: self.summary.clone(),
            entities: self.entities.clone(),
            chunks: self.chunks.clone(),
            audio: self.audio.clone(),
            artifacts: self.artifacts.clone(),
            timings: self.timings.clone(),
            usage: self.usage.clone(),
            errors: self.errors.clone(),
            warnings: self.warnings.clone(),
        }
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
