//! Telling others that a job has ended: signed as Standard Webhooks has it, tried again with growing pauses, each try in the job's log.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use celeriac_tasks::ledger::{Chore, Entry, Webhook};
use celeriac_tasks::source::{Guarded, SourceOptions};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Done, LEASE};
use crate::jobs::{Desk, Refusal, view_job};
use crate::metrics::Counters;
use crate::settings::Webhooks;

/// The first pause; each next one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// What can be told of a job.
const EVENTS: [&str; 4] = ["job.completed", "job.partial", "job.failed", "job.cancelled"];

/// Tells.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    secret: Option<Secret>,
    attempts: u32,
    timeout: Duration,
    guard: SourceOptions,
    /// Tries, by their outcome.
    tries: Counters,
}

/// What deliveries are signed with; it is shown nowhere.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A delivery with its headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    id: String,
    timestamp: i64,
    signature: Option<String>,
    body: String,
}

impl Teller {
    pub(crate) fn new(settings: &Webhooks, tries: Counters) -> Self {
        let guard = SourceOptions { allow_private: settings.allow_private, ..SourceOptions::default() };
        Self {
            secret: settings.secret.clone().map(Secret),
            attempts: settings.attempts,
            timeout: settings.timeout.duration().min(LEASE / 2),
            guard,
            tries,
        }
    }

    /// Refuses a webhook that would never be told: what is wrong is said to who asks for it, who hears nothing of it later. A name may
    /// still be refused when it is told, by where it leads then.
    pub(crate) fn check(&self, hook: &Webhook) -> Result<(), Refusal> {
        if let Some(other) = hook.events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
            return Err(Refusal::Invalid(format!("webhook: there is no event {other:?}; there are {}", EVENTS.join(", "))));
        }
        Guarded::check(&hook.url, &self.guard).map_err(|error| Refusal::Invalid(format!("webhook: {}", error.message)))
    }

    /// Does a chore: its detail is the event, and after a `#` how often it was tried.
    pub(super) async fn tell(&self, desk: &Desk, chore: &Chore) -> Result<Done, Refusal> {
        let (event, tries) = chore.detail.split_once('#').unwrap_or((&chore.detail, "0"));
        let tries = tries.parse::<u32>().unwrap_or(0) + 1;
        let Some(entry) = desk.ledger.get(&chore.job_id).await? else { return Ok(Done::Yes) };
        let Some(hook) = entry.submission.webhook.clone() else { return Ok(Done::Yes) };
        let delivery = self.signed(&entry, event, Utc::now().timestamp());
        let told = self.post(&hook.url, &delivery, &self.guard).await;
        let line = match &told {
            Ok(status) => format!("webhook {event}: {status} at try {tries}"),
            Err(why) => format!("webhook {event}: {why} at try {tries}"),
        };
        let outcome = if told.is_ok() { "delivered" } else { "failed" };
        self.tries.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
        desk.ledger.log(&chore.job_id, if told.is_ok() { "info" } else { "warning" }, &line).await?;
        if told.is_ok() || tries >= self.attempts {
            return Ok(Done::Yes);
        }
        let next = Chore { detail: format!("{event}#{tries}"), ..chore.clone() };
        Ok(Done::Again(next, FIRST_PAUSE * 4_u32.saturating_pow(tries - 1)))
    }

    /// What is sent: ids, states and counts, nothing of what the document says.
    fn signed(&self, entry: &Entry, event: &str, timestamp: i64) -> Signed {
        let view = view_job(entry, Utc::now());
        let body = json!({
            "type": event,
            "timestamp": celeriac_tasks::timestamp::format(&Utc::now()),
            "data": {
                "job_id": view.job_id, "status": view.status, "partial_reasons": view.partial_reasons, "counts": view.counts,
                "user_id": view.user_id, "tags": view.tags, "metadata": view.metadata, "times": view.times,
                "result_url": view.links.result,
            },
        });
        // The same for each try of the same end of the same job: receivers drop what they have seen.
        let id = format!("{}-{}-{event}", entry.job_id, entry.runs);
        sign(self.secret.as_ref().map(|secret| secret.0.as_str()), id, timestamp, &body)
    }

    /// An alert, signed as a webhook is.
    pub(super) fn alert(&self, event: &str, name: &str, data: &Value, now: DateTime<Utc>) -> Signed {
        let body = json!({"type": event, "timestamp": celeriac_tasks::timestamp::format(&now), "data": data});
        let id = format!("{event}-{name}-{}", now.timestamp());
        sign(self.secret.as_ref().map(|secret| secret.0.as_str()), id, now.timestamp(), &body)
    }

    /// Sends an alert. Its address is the operator's own and may be anywhere.
    pub(super) async fn post_alert(&self, url: &str, delivery: &Signed) -> Result<u16, String> {
        self.post(url, delivery, &SourceOptions { allow_private: true, ..self.guard.clone() }).await
    }

    /// How often a delivery is tried.
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Posts, within the time one try may take, that of finding the address included.
    async fn post(&self, url: &str, delivery: &Signed, guard: &SourceOptions) -> Result<u16, String> {
        let answer = tokio::time::timeout(self.timeout, self.posted(url, delivery, guard)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s", self.timeout.as_secs_f64())))
    }

    async fn posted(&self, url: &str, delivery: &Signed, guard: &SourceOptions) -> Result<u16, String> {
        let guarded = Guarded::open(url, guard).await.map_err(|error| error.message)?;
        let mut request = guarded
            .post()
            .header("content-type", "application/json")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", delivery.timestamp.to_string());
        if let Some(signature) = &delivery.signature {
            request = request.header("webhook-signature", signature);
        }
        let answer = request.body(delivery.body.clone()).send().await.map_err(|error| error.without_url().to_string())?;
        let status = answer.status().as_u16();
        if answer.status().is_success() { Ok(status) } else { Err(format!("answered {status}")) }
    }
}

/// `v1,` and the HMAC-SHA256 of id, time and body; a secret with the prefix `whsec_` is base64.
fn sign(secret: Option<&str>, id: String, timestamp: i64, body: &Value) -> Signed {
    let body = body.to_string();
    let key = secret.map(|secret| match secret.strip_prefix("whsec_").map(|text| STANDARD.decode(text)) {
        Some(Ok(key)) => key,
        _ => secret.as_bytes().to_vec(),
    });
    let signature = key.and_then(|key| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    });
    Signed { id, timestamp, signature, body }
}

#[cfg(test)]
mod tests {
    use super::super::{TOLD_AT_ONCE, chores};
    use super::*;
    use celeriac_tasks::ledger::{Ending, Retention, Submission};
    use celeriac_tasks::result::JobStatus;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    fn hook(url: &str, events: &[&str]) -> Webhook {
        Webhook { url: url.to_owned(), events: events.iter().map(|event| (*event).to_owned()).collect() }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_holds_up_no_other_and_nothing_is_taken_that_is_not_begun() {
        let desk = Desk::in_memory(&std::env::temp_dir(), Retention::default());
        for job in 0..=2 * TOLD_AT_ONCE {
            let submission = Submission { webhook: Some(hook("https://host/hook", &[])), ..Submission::default() };
            desk.ledger.create(&job.to_string(), submission).await.unwrap();
            let ending = Ending { status: JobStatus::Completed, partial_reasons: Vec::new(), error: None };
            desk.ledger.finish(&job.to_string(), ending).await.unwrap();
        }
        let (told, mut heard) = mpsc::unbounded_channel();
        let work = move |_: Desk, chore: Chore| {
            let told = told.clone();
            async move {
                if chore.job_id == "0" {
                    std::future::pending::<()>().await;
                }
                told.send(chore.job_id).unwrap();
                Ok(Done::Yes)
            }
        };
        let mut upkeep = JoinSet::new();
        upkeep.spawn(chores(desk.clone(), Chore::WEBHOOK, 1, work.clone()));
        while tokio::time::timeout(LEASE, heard.recv()).await.is_ok() {}
        let others = desk.ledger.chores(Chore::WEBHOOK, 1000, Duration::ZERO).await.unwrap();
        assert_eq!(others.len(), 2 * TOLD_AT_ONCE, "they are for whoever has time");
        upkeep.spawn(chores(desk.clone(), Chore::WEBHOOK, TOLD_AT_ONCE, work));
        for _ in 0..2 * TOLD_AT_ONCE {
            assert!(heard.recv().await.is_some());
        }
    }

    #[test]
    fn what_would_never_be_told_is_refused() {
        let teller = |allow_private| Teller::new(&Webhooks { allow_private, ..Webhooks::default() }, Counters::default());
        for (url, events, word) in [
            ("https://host/hook", &["job.completed", "completed"][..], "\"completed\""),
            ("host/hook", &[], "no address"),
            ("http://host/hook", &[], "only https"),
            ("ftp://host/hook", &[], "only https"),
            ("https://user@host/hook", &[], "user"),
            ("https://127.0.0.1/hook", &[], "public internet"),
            ("https://[fd00::1]/hook", &[], "public internet"),
            ("https://localhost/hook", &[], "public internet"),
        ] {
            let refusal = teller(false).check(&hook(url, events)).unwrap_err();
            assert!(matches!(refusal, Refusal::Invalid(_)) && refusal.message().contains(word), "{url}: {refusal:?}");
        }
        assert!(teller(false).check(&hook("https://host/hook", &EVENTS)).is_ok());
        assert!(teller(true).check(&hook("http://10.0.0.1:8080/hook", &[])).is_ok());
        assert!(teller(true).check(&hook("ftp://host/hook", &[])).is_err());
    }

    /// The example of the Standard Webhooks specification's libraries.
    #[test]
    fn a_delivery_is_signed_as_standard_webhooks_has_it() {
        let body = json!({"test": 2432232314_u64});
        let signed =
            sign(Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "msg_p5jXN8AQM9LWM0D4loKWxJek".into(), 1_614_265_330, &body);
        assert_eq!(signed.body, r#"{"test":2432232314}"#);
        // Of the specification's own body, which has a space after the colon.
        let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()).unwrap();
        mac.update(br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#);
        assert_eq!(STANDARD.encode(mac.finalize().into_bytes()), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(sign(None, "id".into(), 1, &body).signature, None);
    }
}
