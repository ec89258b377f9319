//! The tasks of the document pipeline, as a user of celeriac's public API writes them.
//!
//! ```text
//! process_document ── replaces itself by ─▶ chord( process_batch × n ─▶ aggregate_document ) ─▶ summarize_document ─▶ generate_audio
//!                                                    └─ replaces itself by ─▶ chord( process_page × 25 ─▶ collect_batch )
//! ```
//!
//! Of a document that may have few pages at work at once, batches and pages run in lanes side by side ([`lanes`]). Messages carry a job's id
//! and numbers of pages and batches. Pages are durable one by one: a task that runs again finds what is done.

mod aggregate;
mod audio;
mod batch;
mod document;
mod documents;
mod ending;
mod lanes;
mod page;
mod page_work;
mod summary;

use std::time::Duration;

use celeriac::app::AppBuilder;
use celeriac::config::{Rate, RateScope};
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::Value;
use celeriac::task::{Backoff, Context};

use crate::provider::Provider;
pub use documents::{Defaults, Documents};
pub use page::PageRef;

/// The names of the tasks.
pub mod names {
    /// Opens a document and splits it.
    pub const DOCUMENT: &str = "tasks.process_document";
    /// A batch of pages.
    pub const BATCH: &str = "tasks.process_batch";
    /// What a batch came to.
    pub const COLLECT: &str = "tasks.collect_batch";
    /// One page.
    pub const PAGE: &str = "tasks.process_page";
    /// All pages in one result.
    pub const AGGREGATE: &str = "tasks.aggregate_document";
    /// The summary.
    pub const SUMMARIZE: &str = "tasks.summarize_document";
    /// The narration.
    pub const AUDIO: &str = "tasks.generate_audio";
    /// What is called where a task on which the whole job depends ends in a way it could not enter itself: its worker was lost, its
    /// time was up. An errback, not a task.
    pub const FAILED: &str = "tasks.document_failed";
}

const ORCHESTRATION: &str = "document_orchestration";
const BATCHES: &str = "batch_processing";
const PAGES: &str = "page_processing";
const AUDIO: &str = "audio_generation";

/// The queues, in the order one worker for all of them serves them: what ends work comes before what begins it.
pub const QUEUES: [&str; 5] = [AUDIO, ORCHESTRATION, PAGES, BATCHES, "default"];

/// The tasks that messages name, and the queue of each where no route says otherwise.
pub const TASKS: [(&str, &str); 7] = [
    (names::DOCUMENT, ORCHESTRATION),
    (names::BATCH, BATCHES),
    (names::COLLECT, BATCHES),
    (names::PAGE, PAGES),
    (names::AGGREGATE, ORCHESTRATION),
    (names::SUMMARIZE, ORCHESTRATION),
    (names::AUDIO, AUDIO),
];

/// How often a page, a summary or a narration is tried.
pub(crate) const RETRIES: u32 = 3;

/// The figure of `inspect stats` that says of each provider what its circuit is.
pub const CIRCUITS: &str = "circuits";

/// What a worker tells of the providers that its tasks ask.
fn told(app: &mut AppBuilder, documents: &Documents) {
    let providers = documents.providers();
    if let Some(counts) = providers.first().map(|provider| provider.counts().clone()) {
        app.metrics(move |registry| {
            counts.register(registry);
            counts.register_circuit(registry);
        });
    }
    app.stat(CIRCUITS, move || {
        let circuit = |provider: &std::sync::Arc<Provider>| (provider.name().to_owned(), provider.circuit().as_str().into());
        Value::Map(providers.iter().map(circuit).collect())
    });
}

/// How long work waits between its tries.
const BACKOFF: Backoff = Backoff { base: Duration::from_secs(2), max: Duration::from_secs(120), jitter: true };

/// A call that is as urgent as the task that makes it: all work of a job is, not only its first task.
pub(crate) fn as_urgent(ctx: &Context, call: Signature) -> Signature {
    call.priority(ctx.request().priority())
}

/// Registers the tasks.
pub fn register(app: &mut AppBuilder, documents: Documents) {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    app.task(names::DOCUMENT, document::process_document)
        .queue(ORCHESTRATION)
        .acks_late()
        .time_limit(minutes(30))
        .retries(RETRIES, BACKOFF);
    app.task(names::BATCH, batch::process_batch).queue(BATCHES).acks_late().time_limit(minutes(5)).retries(RETRIES, BACKOFF);
    app.task(names::COLLECT, batch::collect_batch).queue(BATCHES).acks_late().time_limit(minutes(5)).retries(RETRIES, BACKOFF);
    let page = app.task(names::PAGE, page::process_page).queue(PAGES).acks_late().time_limit(minutes(10)).retries(RETRIES, BACKOFF);
    // What a page came to is its record in the store and its part of the chord; a thousand results more would only fill Redis.
    page.ignore_result().store_errors_even_if_ignored().short_cut(page::left_out);
    if let Some(pages) = documents.pages_per_minute {
        page.rate_limit(Rate::per_minute(pages), RateScope::Cluster);
    }
    app.task(names::AGGREGATE, aggregate::aggregate_document)
        .queue(ORCHESTRATION)
        .acks_late()
        .time_limit(minutes(30))
        .retries(RETRIES, BACKOFF);
    app.task(names::SUMMARIZE, summary::summarize_document)
        .queue(ORCHESTRATION)
        .acks_late()
        .time_limit(minutes(60))
        .retries(RETRIES, BACKOFF);
    app.task(names::AUDIO, audio::generate_audio).queue(AUDIO).acks_late().time_limit(minutes(60)).retries(RETRIES, BACKOFF);
    app.errback(names::FAILED, ending::document_failed);
    told(app, &documents);
    app.state(documents);
}
