//! Document tasks: sources, pages, batches, summaries and narration, written against celeriac's public API as a user would write them.

pub mod analysis;
pub mod error;
pub mod job;
pub mod ledger;
pub mod narration;
pub mod openai;
pub mod page;
pub mod pipeline;
pub mod provider;
pub mod render;
pub mod result;
pub mod source;
pub mod store;
pub mod summary;
pub mod timestamp;
pub mod tls;

pub use error::{Code, DocumentError, ErrorRecord, Stage};
