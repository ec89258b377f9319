//! The HTTP service: requests by route, how long they took, and who listens to events.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Counters, Histograms, Metrics, added};

/// What is counted of requests.
#[derive(Debug)]
pub(crate) struct Http {
    requests: Counters,
    seconds: Histograms,
    listeners: Gauge,
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

impl Http {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            requests: added(registry, "celeriac_http_requests", "Requests that were answered", Counters::default()),
            seconds: added(
                registry,
                "celeriac_http_request_seconds",
                "How long an answer took to begin",
                Histograms::new_with_constructor(seconds),
            ),
            listeners: added(registry, "celeriac_sse_clients", "Who listens to events now", Gauge::default()),
        }
    }

    fn answered(&self, route: &str, method: &Method, response: &Response, began: Instant) {
        // A caller can make up methods; each would be a series.
        let method = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS => {
                method.as_str()
            }
            _ => "other",
        };
        let mut labels = vec![("route", route.to_owned()), ("method", method.to_owned())];
        self.seconds.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
        labels.push(("status", response.status().as_str().to_owned()));
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a listener for as long as he listens.
    fn listening(&self, response: Response) -> Response {
        let listens =
            response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if !listens {
            return response;
        }
        let listener = Listener::new(&self.listeners);
        let (parts, body) = response.into_parts();
        // He goes with the stream.
        let stream = futures::stream::unfold((body.into_data_stream(), listener), |(mut stream, listener)| async move {
            Some((stream.next().await?, (stream, listener)))
        });
        Response::from_parts(parts, Body::from_stream(stream))
    }
}

/// Counted until it is dropped.
struct Listener(Gauge);

impl Listener {
    fn new(listeners: &Gauge) -> Self {
        listeners.inc();
        Self(listeners.clone())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Around every route: counts and measures.
pub(crate) async fn measured(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    // The pattern, not the path: ids in it would each be a series.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let (method, began) = (request.method().clone(), Instant::now());
    let response = next.run(request).await;
    metrics.http().answered(&route, &method, &response, began);
    metrics.http().listening(response)
}
