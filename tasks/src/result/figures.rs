//! Measured times and what models cost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StageTimes {
    /// Receiving the source.
    pub upload: u64,
    /// Opening, splitting, rendering.
    pub render: u64,
    /// All pages, from the first start to the last end.
    pub pages: u64,
    /// Putting them together.
    pub aggregate: u64,
    /// Writing the summary.
    pub summary: u64,
    /// Speaking it.
    pub audio: u64,
    /// Telling callers.
    pub notify: u64,
}

/// How long pages took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageMs {
    /// Half took no longer.
    pub p50: u64,
    /// 95 of 100 took no longer.
    pub p95: u64,
    /// The longest.
    pub max: u64,
}

impl PageMs {
    /// Of the pages' milliseconds, in any order.
    #[must_use]
    pub fn of(mut milliseconds: Vec<u64>) -> Self {
        milliseconds.sort_unstable();
        let at = |percent: usize| {
            let rank = (milliseconds.len() * percent).div_ceil(100).max(1) - 1;
            milliseconds.get(rank).copied().unwrap_or(0)
        };
        Self { p50: at(50), p95: at(95), max: at(100) }
    }
}

/// Where the time went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Timings {
    /// From created to finished.
    pub wall_ms: u64,
    /// From created to started.
    pub queue_wait_ms: u64,
    /// By stage.
    pub stages_ms: StageTimes,
    /// By page.
    pub page_ms: PageMs,
    /// Over the stage `pages`.
    pub pages_per_minute: f64,
    /// What was foretold; null when no worker was there to tell from.
    #[serde(default)]
    pub estimate_at_start_s: Option<u64>,
    /// Processor time, where it was measured.
    #[serde(default)]
    pub cpu_ms: Option<u64>,
}

/// What one model took for one thing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ModelUsage {
    /// Name of the model.
    pub model: String,
    /// Tokens sent, cached ones included.
    pub input_tokens: u64,
    /// Of these, taken from the provider's cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// By the price table; null when it does not know the model.
    pub cost_usd: Option<f64>,
    /// Requests made, where more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
}

impl ModelUsage {
    /// Takes in what a further request to the same model took.
    pub fn add(&mut self, other: &Self) {
        let requests = self.requests.unwrap_or(1) + other.requests.unwrap_or(1);
        self.requests = Some(requests);
        self.input_tokens += other.input_tokens;
        self.cached_input_tokens += other.cached_input_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_usd = match (self.cost_usd, other.cost_usd) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
        };
    }
}

/// The sums of one model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TokenSums {
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// By the price table.
    pub cost_usd: f64,
}

/// What language models and speech cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Of those sent, taken from the provider's cache.
    pub cached_input_tokens: u64,
    /// Requests made.
    pub requests: u64,
    /// Of these, repeated ones.
    pub retries: u64,
    /// By the price table.
    pub cost_usd: f64,
    /// Always `USD`.
    pub currency: String,
    /// What the job may cost; null is no limit.
    pub budget_usd: Option<f64>,
    /// By model.
    pub by_model: BTreeMap<String, TokenSums>,
    /// Characters sent to speech.
    pub tts_characters: u64,
    /// The price table the cost was reckoned with.
    pub price_table: Option<String>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            input_tokens: 0,
            output_tokens: 0,
            cached_input_tokens: 0,
            requests: 0,
            retries: 0,
            cost_usd: 0.0,
            currency: "USD".to_owned(),
            budget_usd: None,
            by_model: BTreeMap::new(),
            tts_characters: 0,
            price_table: None,
        }
    }
}

impl Usage {
    /// Takes in what one call took.
    pub fn add(&mut self, call: &ModelUsage) {
        let cost = call.cost_usd.unwrap_or(0.0);
        self.input_tokens += call.input_tokens;
        self.output_tokens += call.output_tokens;
        self.cached_input_tokens += call.cached_input_tokens;
        self.requests += call.requests.unwrap_or(1);
        self.cost_usd += cost;
        let sums = self.by_model.entry(call.model.clone()).or_default();
        sums.input_tokens += call.input_tokens;
        sums.output_tokens += call.output_tokens;
        sums.cost_usd += cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = PageMs::of((1..=100).rev().collect());
        assert_eq!((times.p50, times.p95, times.max), (50, 95, 100));
        assert_eq!(PageMs::of(vec![7]), PageMs { p50: 7, p95: 7, max: 7 });
        assert_eq!(PageMs::of(Vec::new()), PageMs::default());
    }

    #[test]
    fn calls_add_up_by_model() {
        let call = ModelUsage {
            model: "m".to_owned(),
            input_tokens: 10,
            cached_input_tokens: 4,
            output_tokens: 2,
            cost_usd: Some(0.5),
            requests: None,
        };
        let mut usage = Usage::default();
        usage.add(&call);
        usage.add(&ModelUsage { requests: Some(3), cost_usd: None, ..call });
        assert_eq!((usage.input_tokens, usage.requests), (20, 4));
        assert_eq!(usage.by_model["m"].cost_usd, 0.5);
    }
}
