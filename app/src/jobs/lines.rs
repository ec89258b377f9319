//! Whose turn is next in a queue.

use celeriac::broker::Waiting;
use celeriac::protocol::{DecodeOptions, Envelope, Message};
use celeriac_tasks::ledger::Entry;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Desk, Result};

/// A job whose work is next at some step of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct NextJob {
    /// Its id.
    pub(crate) job_id: String,
    /// What its document is called.
    pub(crate) name: String,
    /// How long ago it was queued, seconds.
    pub(crate) seconds: u64,
}

impl Desk {
    /// Of the jobs whose turn is next at some priority of a queue, the one that was queued first.
    pub(super) async fn oldest(&self, queue: &str) -> Result<Option<NextJob>> {
        let mut oldest: Option<(DateTime<Utc>, Entry)> = None;
        for job_id in self.app.broker().waiting(queue).await?.iter().filter_map(job_of) {
            // What is next may belong to nobody we know, or to a job that was removed.
            let Some(entry) = self.ledger.get(&job_id).await? else { continue };
            let Some(since) = entry.times.queued.or(entry.times.created) else { continue };
            if oldest.as_ref().is_none_or(|(at, _)| since < *at) {
                oldest = Some((since, entry));
            }
        }
        Ok(oldest.map(|(since, entry)| NextJob {
            name: entry.submission.file_name.unwrap_or_else(|| entry.job_id.clone()),
            job_id: entry.job_id,
            seconds: u64::try_from((Utc::now() - since).num_seconds()).unwrap_or_default(),
        }))
    }
}

/// The job of the message that is next; all of the pipeline's bear its id.
fn job_of(waiting: &Waiting) -> Option<String> {
    let envelope = Envelope::parse(waiting.next.as_ref()?).ok()?;
    let message = Message::decode(envelope, &DecodeOptions::default()).ok()?;
    message.kwargs.get("job_id")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(text: &str) -> Waiting {
        Waiting { step: 0, count: 1, next: Some(text.to_owned().into()) }
    }

    #[test]
    fn a_message_says_whose_it_is() {
        // [[], {"job_id": "j", "page": 3}, {}]
        let body = r#"[[], {\"job_id\": \"j\", \"page\": 3}, {}]"#;
        let text = format!(
            r#"{{"body": "{body}", "content-type": "application/json", "content-encoding": "utf-8", "headers": {{"task": "t", "id": "i"}}, "properties": {{}}}}"#
        );
        assert_eq!(job_of(&waiting(&text)).as_deref(), Some("j"));
        for other in [r#"{"body": "x"}"#, "no envelope", &text.replace("job_id", "other")] {
            assert_eq!(job_of(&waiting(other)), None, "{other}");
        }
        assert_eq!(job_of(&Waiting { step: 0, count: 1, next: None }), None);
    }
}
