//! Where a test stands.

use celeriac::config::Settings;
use celeriac_tasks::job::BatchSize;
use celeriac_tasks::ledger::{Ledger, Opened, Opening, Retention, Submission};
use celeriac_tasks::result::Phase;

use crate::redis_server::RedisServer;

/// A ledger, and what it stands on.
pub(crate) struct Ground {
    pub(crate) ledger: Ledger,
    settings: Option<Settings>,
    _server: Option<RedisServer>,
}

impl Ground {
    pub(crate) fn memory() -> Self {
        Self { ledger: Ledger::memory(), settings: None, _server: None }
    }

    pub(crate) fn redis() -> Option<Self> {
        let server = RedisServer::start()?;
        let mut settings = Settings::default();
        settings.result_backend = Some(server.url(1));
        settings.result_backend_transport_options.global_keyprefix = "tenant.".to_owned();
        let ledger = Ledger::open(&settings, Retention::default()).unwrap();
        Some(Self { ledger, settings: Some(settings), _server: Some(server) })
    }

    /// The same ledger, kept so; in memory an empty one.
    pub(crate) fn kept(&self, retention: Retention) -> Ledger {
        match &self.settings {
            Some(settings) => Ledger::open(settings, retention).unwrap(),
            None => Ledger::in_memory(retention),
        }
    }

    /// The same ledger as another process sees it.
    pub(crate) fn other(&self) -> Ledger {
        self.settings.as_ref().map_or_else(|| self.ledger.clone(), |settings| Ledger::open(settings, Retention::default()).unwrap())
    }

    /// A job that was entered, begun and opened.
    pub(crate) async fn running(&self, job_id: &str, pages: u32) {
        self.ledger.begin(job_id, Phase::Upload, Submission::default).await.unwrap();
        self.ledger.opened(job_id, opening(pages)).await.unwrap();
    }
}

/// A document of so many pages, in batches of 25.
pub(crate) fn opening(pages: u32) -> Opening {
    let opened = Opened {
        total_pages: pages,
        threshold: 50,
        batch_size: BatchSize::default(),
        title: Some("Annual Report".into()),
        analyzer: "offline".into(),
        summary: true,
        audio: false,
    };
    Opening { opened, cached: Vec::new(), asked: (1..=pages).collect() }
}
