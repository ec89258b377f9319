//! How a model is reached and what it costs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::provider::CircuitOptions;
use crate::result::ModelUsage;

/// What a model costs, in US dollars a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Price {
    /// Tokens sent.
    pub input: f64,
    /// Tokens sent that the provider had in its cache; as `input` where absent.
    #[serde(default)]
    pub cached_input: Option<f64>,
    /// Tokens received.
    pub output: f64,
}

/// How a model is reached and what it costs.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// Where the interface is, such as `http://127.0.0.1:11434/v1`; OpenAI's own where absent.
    pub base_url: Option<String>,
    /// The key; local servers need none.
    pub api_key: Option<String>,
    /// The model's name.
    pub model: String,
    /// Whether pages are sent as images too. Otherwise only their text is sent.
    pub vision: bool,
    /// What one request may take.
    pub timeout: Duration,
    /// Characters of text that one request may hold.
    pub max_input_chars: usize,
    /// Tokens that one answer may hold; the model's own limit where absent.
    pub max_output_tokens: Option<u32>,
    /// Requests at a time while one document is summarised.
    pub at_once: usize,
    /// Prices by model; a name also stands for the names that begin with it.
    pub prices: BTreeMap<String, Price>,
    /// When it is left alone because it fails, and for how long.
    pub circuit: CircuitOptions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: None,
            api_key: None,
            model: "gpt-4o-mini".to_owned(),
            vision: false,
            timeout: Duration::from_secs(120),
            max_input_chars: 24_000,
            max_output_tokens: None,
            at_once: 4,
            prices: BTreeMap::new(),
            circuit: CircuitOptions::default(),
        }
    }
}

/// Without the key.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("base_url", &self.base_url)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .field("model", &self.model)
            .field("vision", &self.vision)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reckons what a call cost; leaves it open where the price is not known.
    pub(super) fn reckon(&self, mut usage: ModelUsage) -> ModelUsage {
        let named = self.prices.iter().filter(|(name, _)| usage.model.starts_with(name.as_str()));
        if let Some((_, price)) = named.max_by_key(|(name, _)| name.len()) {
            let fresh = usage.input_tokens.saturating_sub(usage.cached_input_tokens);
            let cached = price.cached_input.unwrap_or(price.input);
            let cost =
                fresh as f64 * price.input + usage.cached_input_tokens as f64 * cached + usage.output_tokens as f64 * price.output;
            usage.cost_usd = Some(cost / 1_000_000.0);
        }
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_matching_name_gives_the_price() {
        let price = |input| Price { input, cached_input: Some(0.5), output: 4.0 };
        let prices = [("m".to_owned(), price(9.0)), ("m-large".to_owned(), price(2.0))].into();
        let settings = Settings { prices, ..Settings::default() };
        let usage = ModelUsage {
            model: "m-large-2026".to_owned(),
            input_tokens: 3_000_000,
            cached_input_tokens: 2_000_000,
            output_tokens: 1_000_000,
            ..ModelUsage::default()
        };
        assert_eq!(settings.reckon(usage.clone()).cost_usd, Some(2.0 + 1.0 + 4.0));
        assert_eq!(settings.reckon(ModelUsage { model: "other".to_owned(), ..usage }).cost_usd, None);
    }

    #[test]
    fn the_key_is_never_printed() {
        let settings = Settings { api_key: Some("sk-secret".to_owned()), ..Settings::default() };
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
