"""Traces: Python's instrumentation of Celery sends, a celeriac worker runs within its trace and tells an OTLP collector."""

import http.server
import json
import threading

import pytest
import redis as redis_client
from celery import chain
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.propagate import extract
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from processes import CeleriacWorker, wait_until


class Collector:
    """A tiny OTLP collector: it keeps the spans that are posted to it."""

    def __init__(self):
        self.spans, self.services = [], set()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/traces"
                for resource in request.resource_spans:
                    for attribute in resource.resource.attributes:
                        if attribute.key == "service.name":
                            collector.services.add(attribute.value.string_value)
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def named(self, name):
        return next((span for span in self.spans if span.name == name), None)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def sent():
    """The spans of this process, whose Celery is instrumented."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    CeleryInstrumentor().instrument(tracer_provider=provider)
    yield lambda name: next(span for span in kept.get_finished_spans() if span.name == name)
    CeleryInstrumentor().uninstrument()
    provider.shutdown()


@pytest.fixture
def worker(environment, interop_worker_program, collector, tmp_path):
    env = {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_SERVICE_NAME": "words", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with CeleriacWorker(interop_worker_program, "traced", ["celery"], tmp_path, env) as worker:
        yield worker


def attributes(span):
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


def known(client):
    """The task as an application knows it that shares its tasks: only then its instrumentation ends the span of a sending."""

    def add(x, y):
        raise NotImplementedError

    return client.task(name="proj.add", shared=False)(add)


def test_a_run_is_within_the_trace_of_its_python_sender(client, worker, collector, sent):
    result = known(client).delay(2, 3)
    assert result.get(timeout=30) == 5

    ran = wait_until(lambda: collector.named("run/proj.add"), 20, "no span of the run")
    sending = sent("apply_async/proj.add").get_span_context()
    assert ran.trace_id.hex() == trace.format_trace_id(sending.trace_id)
    assert ran.parent_span_id.hex() == trace.format_span_id(sending.span_id)
    said = attributes(ran)
    assert said["celery.action"] == "run" and said["celery.task_name"] == "proj.add" and said["celery.state"] == "SUCCESS"
    assert said["messaging.message.id"] == result.id
    assert collector.services == {"words"}


def test_what_a_worker_sends_on_is_within_the_same_trace_for_python(client, worker, collector, sent, redis):
    add = known(client)
    chain(add.s(2, 3), add.s(4).set(queue="later")).delay()

    with redis_client.Redis(port=redis.port, decode_responses=True) as store:
        message = wait_until(lambda: store.lindex("later", 0), 30, "the chain goes on")
    found = trace.get_current_span(extract(json.loads(message)["headers"])).get_span_context()
    sending = sent("apply_async/proj.add").get_span_context()
    assert found.trace_id == sending.trace_id and found.is_remote
    sent_on = wait_until(lambda: collector.named("apply_async/proj.add"), 20, "no span of the sending")
    assert sent_on.span_id.hex() == trace.format_span_id(found.span_id)
    ran = wait_until(lambda: collector.named("run/proj.add"), 20, "no span of the run")
    assert sent_on.parent_span_id == ran.span_id


def test_the_last_spans_are_sent_when_the_worker_stops(client, environment, interop_worker_program, collector, tmp_path):
    env = {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with CeleriacWorker(interop_worker_program, "stopped", ["celery"], tmp_path, env) as worker:
        assert client.send_task("proj.add", (2, 3)).get(timeout=30) == 5
        assert worker.stop() == 0
    assert collector.named("run/proj.add") is not None
    assert collector.services == {"celeriac"}
