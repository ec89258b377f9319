//! A provider: a service of somebody else's that is asked over the network, such as a language model or a voice.
//!
//! Every call goes through [`Provider::ask`], which leaves alone for a while a provider that fails again and again
//! ([`Breaker`]), and counts what was asked and what came of it ([`Counts`]). Both are this process's own: each worker finds out for itself.

mod breaker;
mod counts;

use std::fmt;
use std::future::Future;
use std::time::Instant;

pub use self::breaker::{Breaker, Circuit, CircuitOptions};
pub use self::counts::Counts;
use self::counts::Status;
use crate::error::{Code, DocumentError, Stage};
use crate::result::ModelUsage;

/// What kind of provider it is: it decides the metrics' names and the errors' code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It reads and writes text.
    Model,
    /// It speaks.
    Speech,
}

impl Kind {
    const fn code(self) -> Code {
        match self {
            Self::Model => Code::LlmFailed,
            Self::Speech => Code::TtsFailed,
        }
    }
}

/// As a sentence begins with it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "the model",
            Self::Speech => "the speech model",
        })
    }
}

/// A provider.
#[derive(Debug)]
pub struct Provider {
    name: &'static str,
    kind: Kind,
    /// The model asked for, as metrics have it.
    model: String,
    breaker: Breaker,
    counts: Counts,
}

impl Provider {
    /// One of this name, as logs and metrics have it, counted there.
    pub fn new(name: &'static str, kind: Kind, model: impl Into<String>, options: CircuitOptions, counts: Counts) -> Self {
        counts.circuit(name, false);
        Self { name, kind, model: model.into(), breaker: Breaker::new(options), counts }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The model that is asked for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether it is asked now.
    pub fn circuit(&self) -> Circuit {
        self.breaker.circuit()
    }

    /// What is counted of it.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether a call would be made now.
    ///
    /// # Errors
    /// While it is left alone: to be tried again after that, and no try of the work itself.
    pub fn ready(&self, stage: Stage) -> Result<(), DocumentError> {
        self.breaker.ready().map_err(|left| self.left_alone(stage, left))
    }

    /// Makes a call, unless the provider is left alone now.
    ///
    /// # Errors
    /// What the call ends in; or as [`Self::ready`].
    pub async fn ask<T>(&self, stage: Stage, call: impl Future<Output = Result<T, DocumentError>>) -> Result<T, DocumentError> {
        let permit = match self.breaker.admit() {
            Ok(permit) => permit,
            Err(left) => {
                self.counts.asked(self.kind, self.name, &self.model, Status::CircuitOpen);
                return Err(self.left_alone(stage, left));
            }
        };
        let begun = Instant::now();
        let answer = call.await;
        let status = answer.as_ref().map_or_else(Status::of, |_| Status::Ok);
        self.counts.asked(self.kind, self.name, &self.model, status);
        self.counts.took(self.kind, self.name, &self.model, begun.elapsed());
        if status == Status::Failed {
            if let Some(wait) = permit.failed() {
                self.counts.circuit(self.name, true);
                let (provider, failures) = (self.name, self.breaker.options().failures);
                tracing::error!(provider, failures, "{} fails; it is left alone for {} s", self.kind, wait.as_secs_f64());
            }
        } else if let Some(downtime) = permit.answered() {
            self.counts.circuit(self.name, false);
            tracing::info!(provider = self.name, downtime = downtime.as_secs_f64(), "{} answers again", self.kind);
        }
        if let Some(wait) = answer.as_ref().err().and_then(DocumentError::retry_after) {
            self.counts.throttled(self.kind, wait);
        }
        answer
    }

    /// Takes in what a model's answer took.
    pub(crate) fn used(&self, usage: &ModelUsage) {
        self.counts.used(self.name, &self.model, usage);
    }

    /// Takes in how many seconds were spoken.
    pub(crate) fn spoke(&self, seconds: f64) {
        self.counts.spoke(self.name, seconds);
    }

    fn left_alone(&self, stage: Stage, left: std::time::Duration) -> DocumentError {
        let message = format!(
            "{} failed {} times in a row and is left alone for now; it is asked again in {:.0} s",
            self.kind,
            self.breaker.options().failures,
            left.as_secs_f64().max(1.0).ceil()
        );
        DocumentError::new(self.kind.code(), stage, message).after(Some(left)).untried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn provider(failures: u32) -> Provider {
        let options = CircuitOptions { failures, wait: Duration::from_secs(30) };
        Provider::new("p", Kind::Model, "m", options, Counts::default())
    }

    async fn ask(provider: &Provider, answer: Result<(), DocumentError>) -> Result<(), DocumentError> {
        provider.ask(Stage::Analyze, async { answer }).await
    }

    fn error(code: Code) -> DocumentError {
        DocumentError::new(code, Stage::Analyze, "no")
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_provider_that_fails_is_left_alone_not_one_that_says_no() {
        let provider = provider(2);
        let says_no =
            [error(Code::LlmRateLimited), error(Code::LlmRefused), error(Code::LlmFailed).permanent(), error(Code::LlmRateLimited)];
        for no in says_no {
            assert_eq!(ask(&provider, Err(no.clone())).await, Err(no));
        }
        assert_eq!(provider.circuit(), Circuit::Closed);
        for _ in 0..2 {
            ask(&provider, Err(error(Code::LlmFailed))).await.unwrap_err();
        }
        assert_eq!(provider.circuit(), Circuit::Open);
        let refused = ask(&provider, Ok(())).await.unwrap_err();
        assert_eq!((refused.code, refused.retryable(), refused.tried()), (Code::LlmFailed, true, false));
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(30)));
        assert!(refused.message.contains("failed 2 times in a row") && refused.message.contains("in 30 s"), "{refused}");
        assert_eq!(provider.ready(Stage::Analyze), Err(refused));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(provider.ready(Stage::Analyze), Ok(()));
        assert_eq!(ask(&provider, Ok(())).await, Ok(()));
        assert_eq!(provider.circuit(), Circuit::Closed);
    }
}
