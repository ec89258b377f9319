//! What else is known of a job: the tasks that did it, and who was told of its end.

use celeriac_tasks::ledger::Entry;
use celeriac_tasks::result::DocumentResult;
use celeriac_tasks::source::without_secrets;

use super::events::{History, Line};
use super::words::NOTHING;

/// How deliveries of webhooks begin in a job's log.
const DELIVERY: &str = "webhook ";

/// A webhook.
#[derive(Debug, PartialEq)]
pub(super) struct Hook {
    pub(super) place: String,
    pub(super) events: String,
    pub(super) tries: Vec<Line>,
}

/// A page's task.
#[derive(Debug, PartialEq)]
pub(super) struct Task {
    pub(super) page: u32,
    pub(super) id: String,
    pub(super) worker: String,
    pub(super) attempts: u32,
}

/// The webhook of a job, with each try as its log has it.
pub(super) fn hook(entry: &Entry, history: &History) -> Option<Hook> {
    let hook = entry.submission.webhook.as_ref()?;
    Some(Hook {
        place: place(&hook.url),
        events: if hook.events.is_empty() { "each end".to_owned() } else { hook.events.join(", ") },
        tries: history.lines().into_iter().filter(|line| line.text.starts_with(DELIVERY)).collect(),
    })
}

/// An address without what may be secret in it.
fn place(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(url) => without_secrets(address) + if url.query().is_some() { "?…" } else { "" },
        Err(_) => NOTHING.to_owned(),
    }
}

/// The tasks that did the pages, as far as they are known.
pub(super) fn tasks(result: Option<&DocumentResult>) -> Vec<Task> {
    let pages = result.into_iter().flat_map(|result| &result.pages);
    let task = |page: &celeriac_tasks::result::PageRecord| {
        Some(Task {
            page: page.page,
            id: page.task_id.clone()?,
            worker: page.worker.clone().unwrap_or_else(|| NOTHING.to_owned()),
            attempts: page.attempts,
        })
    };
    pages.filter_map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::ledger::{Submission, Webhook};

    #[test]
    fn a_webhook_is_shown_without_its_secrets() {
        let url = "https://me:pass@hooks.example/in?token=canary#canary".to_owned();
        let submission = Submission { webhook: Some(Webhook { url, events: Vec::new() }), ..Submission::default() };
        let entry = Entry::new("j", submission, chrono::Utc::now());
        let hook = hook(&entry, &History::default()).unwrap();
        assert_eq!((hook.place.as_str(), hook.events.as_str()), ("https://hooks.example/in?…", "each end"));
    }
}
