//! Asking a language model behind OpenAI's interface: OpenAI itself, or a local server that speaks the same.
//!
//! One [`OpenAi`] a process. A call is one question with one typed answer; it is asked a second time only when the answer
//! does not have the asked-for shape. Repeating after a busy or failing server is left to the task: the error says whether it
//! may help and how long to wait.

mod error;
mod http;
mod schema;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::analysis::Offline;
use crate::error::{Code, DocumentError, Stage};
use crate::provider::{Counts, Kind, Provider};
use crate::result::ModelUsage;
use http::{Once, Wait};

pub use settings::{Price, Settings};

/// Rises whenever prompts or what is made of the answers change: part of the cache key of pages.
pub const OPENAI_VERSION: &str = "1";

/// The model, and the voice behind the same interface, as logs and metrics name them.
const MODEL: &str = "openai";
const SPEECH: &str = "openai-speech";

/// A language model that can be asked.
#[derive(Debug)]
pub struct OpenAi {
    client: Client<OpenAIConfig>,
    settings: Settings,
    offline: Offline,
    wait: Wait,
    provider: Arc<Provider>,
    /// Set once the server has refused a JSON schema: then the schema stands in the prompt only.
    schema_refused: AtomicBool,
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Where in the work it is asked.
    pub stage: Stage,
    /// Name of the answer's shape.
    pub name: &'a str,
    /// What the model is to do.
    pub task: &'a str,
    /// What it is to do it with.
    pub material: &'a str,
    /// A JPEG to look at.
    pub image: Option<&'a [u8]>,
}

/// A chat completion as far as it is looked at; everything else may be missing or strange.
#[derive(Debug, Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Tokens>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<CachedTokens>,
}

#[derive(Debug, Default, Deserialize)]
struct CachedTokens {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl OpenAi {
    /// A client for `settings`. Nothing is sent yet.
    ///
    /// # Errors
    /// When no HTTP client can be made of the settings.
    pub fn new(settings: Settings) -> Result<Self, DocumentError> {
        crate::tls::use_ring();
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(std::time::Duration::from_secs(10)))
            .build()
            .map_err(|error| DocumentError::new(Code::LlmFailed, Stage::Analyze, format!("no HTTP client: {error}")).permanent())?;
        // Both are set, so that the library does not look for them in the environment.
        let mut config = OpenAIConfig::new().with_api_key(settings.api_key.clone().unwrap_or_default());
        config = config
            .with_api_base(settings.base_url.as_deref().unwrap_or(async_openai::config::OPENAI_API_BASE).trim_end_matches('/'));
        let wait = Wait::default();
        let client = Client::build(http.clone(), config).with_http_service(Once { client: http, wait: wait.clone() });
        let provider = Provider::new(MODEL, Kind::Model, settings.model.as_str(), settings.circuit, Counts::default());
        let (offline, schema_refused) = (Offline::new(), AtomicBool::new(false));
        Ok(Self { client, settings, offline, wait, provider: Arc::new(provider), schema_refused })
    }

    /// The model's name.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.settings.model
    }

    /// How it is reached.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The client itself, for speech. It sends each request once.
    #[must_use]
    pub fn client(&self) -> &Client<OpenAIConfig> {
        &self.client
    }

    /// The model as a provider: whether it is asked now, and what is counted of it.
    #[must_use]
    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// The voice behind the same interface, which fails for itself.
    #[must_use]
    pub fn speech(&self, model: &str) -> Provider {
        Provider::new(SPEECH, Kind::Speech, model, self.settings.circuit, self.provider.counts().clone())
    }

    /// The judge of words that stands behind the model.
    pub(crate) fn offline(&self) -> &Offline {
        &self.offline
    }

    /// Asks, and reads the answer as a `T`; asks once more when the answer is not one.
    pub(crate) async fn ask<T>(&self, question: Question<'_>) -> Result<(T, ModelUsage), DocumentError>
    where
        T: DeserializeOwned + JsonSchema,
    {
        let schema = schema::strict::<T>();
        let mut messages = first_messages(&question, &schema);
        let mut used: Option<ModelUsage> = None;
        let mut wrong = String::new();
        for _ in 0..2 {
            let completion = self.complete(&question, &messages, &schema).await?;
            let usage = self.usage(&completion);
            self.provider.used(&usage);
            match &mut used {
                Some(sum) => sum.add(&usage),
                None => used = Some(usage),
            }
            let answer = answer(completion, question.stage)?;
            match schema::read::<T>(&answer.0) {
                Ok(read) => return Ok((read, used.unwrap_or_default())),
                Err(error) if answer.1 => wrong = format!("the answer was cut off: {error}"),
                Err(error) => wrong = error.to_string(),
            }
            messages.push(json!({"role": "assistant", "content": answer.0}));
            let again = format!("That is not a JSON object of the asked-for shape ({wrong}). Answer with the JSON object only.");
            messages.push(json!({"role": "user", "content": again}));
        }
        Err(DocumentError::new(
            Code::LlmBadJson,
            question.stage,
            format!("{} did not answer in the asked-for shape: {wrong}", self.model()),
        ))
    }

    /// One completion; without the schema when the server does not take one.
    async fn complete(&self, question: &Question<'_>, messages: &[Value], schema: &Value) -> Result<Completion, DocumentError> {
        let with_schema = !self.schema_refused.load(Ordering::Relaxed);
        let request = self.request(question.name, messages, with_schema.then_some(schema));
        let completion = async {
            match self.client.chat().create_byot(request).await {
                Err(error) if with_schema && refuses_schema(&error) => {
                    self.schema_refused.store(true, Ordering::Relaxed);
                    self.client.chat().create_byot(self.request(question.name, messages, None)).await
                }
                answered => answered,
            }
        };
        self.provider
            .ask(question.stage, async {
                let completion: Result<Completion, OpenAIError> = completion.await;
                completion.map_err(|error| error::document_error(&error, question.stage, &self.wait))
            })
            .await
    }

    fn request(&self, name: &str, messages: &[Value], schema: Option<&Value>) -> Value {
        let mut request = json!({"model": self.settings.model, "messages": messages, "stream": false});
        if let Some(schema) = schema {
            let shape = json!({"name": name, "strict": true, "schema": schema});
            request["response_format"] = json!({"type": "json_schema", "json_schema": shape});
        }
        if let Some(limit) = self.settings.max_output_tokens {
            request["max_completion_tokens"] = limit.into();
        }
        request
    }

    fn usage(&self, completion: &Completion) -> ModelUsage {
        let none = Tokens::default();
        let tokens = completion.usage.as_ref().unwrap_or(&none);
        let cached = tokens.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
        let usage = ModelUsage {
            model: completion.model.clone().unwrap_or_else(|| self.settings.model.clone()),
            input_tokens: tokens.prompt_tokens,
            cached_input_tokens: cached.unwrap_or(0),
            output_tokens: tokens.completion_tokens,
            cost_usd: None,
            requests: Some(1),
        };
        self.settings.reckon(usage)
    }
}

/// What the model is told first. The schema stands in the prompt too, for servers that ignore it elsewhere.
fn first_messages(question: &Question<'_>, schema: &Value) -> Vec<Value> {
    let task =
        format!("{}\n\nAnswer with one JSON object that satisfies this JSON Schema, and nothing else:\n{schema}", question.task);
    let content = match question.image {
        None => json!(question.material),
        Some(image) => {
            let url = format!("data:image/jpeg;base64,{}", STANDARD.encode(image));
            json!([{"type": "text", "text": question.material}, {"type": "image_url", "image_url": {"url": url}}])
        }
    };
    vec![json!({"role": "system", "content": task}), json!({"role": "user", "content": content})]
}

/// The text of the answer and whether it was cut off; a refusal is an error.
fn answer(completion: Completion, stage: Stage) -> Result<(String, bool), DocumentError> {
    let refused =
        |why: &str| DocumentError::new(Code::LlmRefused, stage, format!("the model declined to answer: {}", http::shortened(why)));
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err(DocumentError::new(Code::LlmFailed, stage, "the model gave no answer"));
    };
    if let Some(why) = choice.message.refusal.filter(|why| !why.is_empty()) {
        return Err(refused(&why));
    }
    let reason = choice.finish_reason.unwrap_or_default();
    if reason == "content_filter" {
        return Err(refused("its content filter stopped it"));
    }
    Ok((choice.message.content.unwrap_or_default(), reason == "length"))
}

/// Whether the server does not know JSON schemas.
fn refuses_schema(error: &OpenAIError) -> bool {
    let OpenAIError::ApiError(answer) = error else { return false };
    let said = answer.api_error.message.to_lowercase();
    let param = answer.api_error.param.as_deref().unwrap_or_default();
    matches!(answer.status_code.as_u16(), 400 | 404 | 415 | 422 | 501)
        && (param.starts_with("response_format") || said.contains("response_format") || said.contains("json_schema"))
}
