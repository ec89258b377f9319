//! The language model and the voice of the document tasks, made from the settings.

use std::collections::BTreeMap;

use celeriac::cli::{Exit, Failure};
use celeriac_tasks::job;
use celeriac_tasks::narration::{AudioFormat, NarrationOptions};
use celeriac_tasks::openai::{OpenAi, Price, Settings};
use celeriac_tasks::provider::{CircuitOptions, Provider};

use crate::settings::{Analysis, Audio};

/// The model's client, where pages or summaries are to be made by one: a key or an address is there, and nobody said otherwise.
pub(crate) fn openai(analysis: &Analysis) -> Result<Option<OpenAi>, Failure> {
    let configured = analysis.api_key.is_some() || analysis.base_url.is_some();
    let wanted = match analysis.provider.as_str() {
        "openai" if !configured => {
            return Err(Failure::new(Exit::Config, "celeriac.analysis.provider is openai, but there is no key and no address")
                .fix("set OPENAI_API_KEY or OPENAI_BASE_URL, or the provider to extractive"));
        }
        "openai" | "auto" => configured,
        _ => false,
    };
    if !wanted {
        return Ok(None);
    }
    let prices: Result<BTreeMap<String, Price>, _> = serde_json::from_value(analysis.prices.clone().into());
    let prices = prices.map_err(|error| Failure::new(Exit::Config, "celeriac.analysis.prices").why(error))?;
    let settings = Settings {
        base_url: analysis.base_url.clone(),
        api_key: analysis.api_key.clone(),
        model: analysis.model.clone(),
        vision: analysis.vision,
        timeout: analysis.timeout.duration(),
        prices,
        circuit: CircuitOptions { failures: analysis.circuit_failures, wait: analysis.circuit_wait.duration() },
        ..Settings::default()
    };
    OpenAi::new(settings).map(Some).map_err(|error| Failure::new(Exit::Config, "the language model").why(error.message))
}

/// The model, if nothing says what it costs: then a job's limit in money would be none.
pub(crate) fn unpriced(analysis: &Analysis) -> Option<String> {
    let model = &analysis.model;
    // A price may stand for the names that begin with it, and be of a version of the model by its full name.
    let known = analysis.prices.keys().any(|name| model.starts_with(name.as_str()) || name.starts_with(model.as_str()));
    (!known).then(|| model.clone())
}

/// Says why a limit in money would never count: the job asks a model, as it was said or as the analyzer does, and nothing says what that
/// costs.
pub(crate) fn countable(unpriced: Option<&str>, analyzer: &str, said: Option<&str>) -> Result<(), String> {
    let asks = said.map_or_else(|| analyzer.starts_with("openai:"), |said| said == job::Analysis::Openai.as_str());
    match unpriced.filter(|_| asks) {
        Some(model) => Err(format!(
            "max_cost_usd: nothing says what {model} costs; set [celeriac.analysis.prices.\"{model}\"], or give max_tokens"
        )),
        None => Ok(()),
    }
}

/// The voice of the speech API, where summaries are to be spoken by it.
pub(crate) fn speech(audio: &Audio, openai: Option<&OpenAi>) -> Option<Provider> {
    let wanted = matches!(audio.provider.as_str(), "openai" | "auto");
    openai.filter(|_| wanted).map(|openai| openai.speech(&audio.model))
}

/// How summaries are spoken and encoded.
pub(crate) fn narration(audio: &Audio) -> NarrationOptions {
    NarrationOptions {
        espeak: audio.espeak.clone().into(),
        voice: audio.voice.clone(),
        format: audio.format.parse::<AudioFormat>().ok(),
        ..NarrationOptions::default()
    }
}
