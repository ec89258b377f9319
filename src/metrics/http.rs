//! A small answerer over HTTP: `/metrics`, `/livez`, `/readyz`, and nothing else.
//!
//! # Celery
//! Has none: celery-exporter is a process of its own, and health is asked by `inspect ping`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// How many may ask at once; more wait.
const CONNECTIONS: usize = 32;
/// How long a question and its answer may take together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before accepting again where it failed: too many open files.
const AGAIN: Duration = Duration::from_millis(200);

/// Who is asked.
#[async_trait]
pub(crate) trait Site: Send + Sync + 'static {
    /// The metrics as text.
    async fn metrics(&self) -> String;

    /// Whether it takes work; if not, why.
    async fn ready(&self) -> Result<(), &'static str>;
}

/// Answers until `stop`.
pub(crate) async fn serve(listener: TcpListener, site: Arc<dyn Site>, stop: CancellationToken) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(open.spawn(converse(stream, Arc::clone(&site)))),
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection for metrics");
                    tokio::time::sleep(AGAIN).await;
                }
            },
        }
    }
}

async fn converse(stream: TcpStream, site: Arc<dyn Site>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(&*site, request.method(), request.uri().path()).await) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let conversation = http.serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, conversation).await {
        tracing::debug!(%error, "a connection for metrics broke off");
    }
}

async fn answer(site: &dyn Site, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let (status, kind, body) = match path {
        _ if !matches!(*method, Method::GET | Method::HEAD) => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned()),
        "/metrics" => (StatusCode::OK, METRICS, site.metrics().await),
        "/livez" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => match site.ready().await {
            Ok(()) => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
        },
        _ => (StatusCode::NOT_FOUND, TEXT, "/metrics, /livez, /readyz\n".to_owned()),
    };
    let response = Response::builder().status(status).header(CONTENT_TYPE, kind);
    let response = if status == StatusCode::METHOD_NOT_ALLOWED { response.header(ALLOW, "GET, HEAD") } else { response };
    response.body(Full::new(Bytes::from(body))).unwrap_or_default()
}
