//! What documents are made into, and with what: `[celeriac.documents]`, `[celeriac.analysis]`, `[celeriac.audio]`, `[celeriac.storage]`.

use celeriac::config::{Kind, Seconds, Var};
use celeriac_tasks::job::BatchSize;
use serde_json::{Map, Value as Json};

const LATER: &str = "it comes with later versions";

celeriac::settings! {
    /// How documents are opened, split, rendered and read.
    pub(crate) struct Documents at "celeriac.documents" {
        /// Documents with more pages than this are split into batches.
        large_document_threshold: u32 = 50, Kind::Integer(0, 1_000_000);
        /// Pages a batch: a number from 1 to 200, or `auto`.
        batch_size: BatchSize = BatchSize::default(), Kind::Any;
        /// How many pages of one document are worked on at once, on all workers together; 0: as many as there are slots.
        page_parallelism: u32 = 6, Kind::Integer(0, 10_000);
        /// Dots an inch of the page images.
        dpi: u16 = 150, Kind::Integer(36, 600);
        /// The quality of the page images.
        jpeg_quality: u8 = 85, Kind::Integer(1, 100);
        /// The most pixels a page is rendered with.
        max_pixels: u32 = 40_000_000, Kind::Integer(10_000, 400_000_000);
        /// The width of a thumbnail.
        thumbnail_width: u16 = 160, Kind::Integer(16, 1000);
        /// The most pages a document may have; 0: any number.
        max_pages: u32 = 0, Kind::Integer(0, 10_000_000);
        /// The most megabytes a document may have.
        max_document_mb: u64 = 500, Kind::Integer(1, 1_000_000);
        /// Folders a worker may read documents from.
        allowed_paths: Vec<String> = Vec::new(), Kind::Names;
        /// Whether `http` on this very machine may be fetched; private networks stay closed.
        allow_loopback_http: bool = false, Kind::Flag;
        /// When pages are read by OCR: where there is no text, always, or never.
        ocr: String = "auto".into(), Kind::Choice(&["auto", "always", "never"]);
        /// The languages for OCR.
        ocr_languages: String = "eng".into(), Kind::Text;
        /// The OCR program.
        tesseract: String = "tesseract".into(), Kind::Text;
        /// How long the OCR of one page may take.
        ocr_timeout: Seconds = Seconds::new(120.0), Kind::Seconds;
        /// The PDFium library, or the folder it is in; none: it is searched.
        pdfium: Option<String> = None, Kind::Text, env: &[Var::Is("CELERIAC_PDFIUM"), Var::Is("PDFIUM_LIB")];
        /// After how long rendering one page is given up.
        page_timeout: Seconds = Seconds::new(60.0), Kind::Seconds;
        /// How many seconds pages that run may go on after their job was cancelled; then they are ended.
        cancel_grace: Seconds = Seconds::new(5.0), Kind::Seconds;
        /// Whether a summary is made.
        summary: bool = true, Kind::Flag;
    }
}

celeriac::settings! {
    /// How pages are analysed.
    pub(crate) struct Analysis at "celeriac.analysis" {
        /// `extractive` works offline, `openai` with a language model, `auto` takes the model if there is a key, `none` does nothing.
        provider: String = "auto".into(), Kind::Choice(&["auto", "extractive", "openai", "none"]);
        /// The model.
        model: String = "gpt-4.1-mini".into(), Kind::Text, env: &[Var::Is("OPENAI_MODEL")];
        /// The address of an OpenAI-compatible API; none: OpenAI's own.
        base_url: Option<String> = None, Kind::Url, env: &[Var::Is("OPENAI_BASE_URL")];
        /// The key.
        api_key: Option<String> = None, Kind::Text, env: &[Var::Is("OPENAI_API_KEY")], secret: true;
        /// Whether pages are sent as images, not as text.
        vision: bool = false, Kind::Flag;
        /// With a model: how many pages may begin a minute on all workers together, each of which asks it once; none: as many as can.
        rpm: Option<u32> = None, Kind::Integer(1, 4_294_967_295);
        /// The most tokens a minute.
        tpm: Option<u64> = None, Kind::Integer(1, i64::MAX), inert: LATER;
        /// How long one request may take.
        timeout: Seconds = Seconds::new(120.0), Kind::Seconds;
        /// After how many failures in a row the model is left alone for a while, each worker judging for itself; 0: never. Pages wait
        /// meanwhile, and that is no try of theirs. The same holds for the speech model.
        circuit_failures: u32 = 5, Kind::Integer(0, 1_000_000);
        /// For how many seconds; then one call is made, and what comes of it decides.
        circuit_wait: Seconds = Seconds::new(30.0), Kind::Seconds;
        /// The most a job may cost.
        max_cost_usd_per_job: Option<f64> = None, Kind::Number, inert: LATER;
        /// What a million tokens cost: `[celeriac.analysis.prices.MODEL] input = 0.4, output = 1.6`.
        prices: Map<String, Json> = Map::new(), Kind::Mapping;
    }
}

celeriac::settings! {
    /// How summaries are narrated.
    pub(crate) struct Audio at "celeriac.audio" {
        /// Whether every document is narrated.
        enabled: bool = false, Kind::Flag;
        /// `espeak` works offline, `openai` by its API, `auto` takes the API if there is a key.
        provider: String = "auto".into(), Kind::Choice(&["auto", "espeak", "openai"]);
        /// The voice; none: one for the document's language.
        voice: Option<String> = None, Kind::Text;
        /// The model, with `openai`.
        model: String = "gpt-4o-mini-tts".into(), Kind::Text;
        /// The form of the audio; MP3 and Opus need an encoder program, `auto` is MP3 where there is one and WAV elsewhere.
        format: String = "auto".into(), Kind::Choice(&["auto", "wav", "mp3", "opus"]);
        /// The offline speech program.
        espeak: String = "espeak-ng".into(), Kind::Text;
    }
}

celeriac::settings! {
    /// Where documents, pages and results are kept.
    pub(crate) struct Storage at "celeriac.storage" {
        /// A folder, `file:///folder`, or `s3://bucket/prefix`.
        url: String = "./celeriac-store".into(), Kind::Url, env: &[Var::Is("CELERIAC_STORE")];
        /// The folder for half-written and downloaded files of a remote store; none: the system's.
        spool: Option<String> = None, Kind::Text;
        /// Another server that speaks S3: MinIO, R2, Supabase.
        endpoint: Option<String> = None, Kind::Url, env: &[Var::Is("AWS_ENDPOINT_URL_S3"), Var::Is("AWS_ENDPOINT_URL")];
        /// The region.
        region: Option<String> = None, Kind::Text, env: &[Var::Is("AWS_REGION"), Var::Is("AWS_DEFAULT_REGION")];
        /// The access key's id.
        access_key_id: Option<String> = None, Kind::Text, env: &[Var::Is("AWS_ACCESS_KEY_ID")];
        /// The access key's secret.
        secret_access_key: Option<String> = None, Kind::Text, env: &[Var::Is("AWS_SECRET_ACCESS_KEY")], secret: true;
    }
}
