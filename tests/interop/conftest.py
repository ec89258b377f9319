"""Fixtures: a throw-away Redis, a plain Celery client, and celeriac workers as a deployment runs them."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

import pytest
from celery import Celery

from pdf import write_pdf
from monitored import Monitored
from processes import TARGET, CeleriacWorker, RedisServer, absent

# One worker for each queue, as render.yaml has them.
QUEUES = ["default", "document_orchestration", "batch_processing", "page_processing", "audio_generation"]


def pytest_configure():
    """A TERM ends the session as Ctrl-C does, so that the servers and workers it started are ended too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def program(variable, path):
    found = Path(os.environ.get(variable, path))
    if not found.exists():
        absent(f"{found} is not built (cargo build --workspace --bins --examples)")
    return found


@pytest.fixture(scope="session")
def celeriac_program():
    return program("CELERIAC_BIN", TARGET / "debug/celeriac")


@pytest.fixture(scope="session")
def interop_worker_program():
    return program("CELERIAC_INTEROP_WORKER", TARGET / "debug/examples/interop_worker")


@pytest.fixture(scope="module")
def monitored(interop_worker_program, tmp_path_factory):
    """A Redis and one celeriac worker for all tests of a module, which monitors look at and change."""
    if not shutil.which("redis-server"):
        absent("redis-server is not installed")
    with Monitored(interop_worker_program, tmp_path_factory.mktemp("monitored")) as monitored:
        yield monitored


@pytest.fixture
def redis(tmp_path):
    if not shutil.which("redis-server"):
        absent("redis-server is not installed")
    with RedisServer(tmp_path) as server:
        yield server.ready()


@pytest.fixture
def client(redis):
    """A plain Celery application that has no tasks of its own: it sends by name."""
    app = Celery("client", broker=redis.broker_url, backend=redis.result_backend)
    yield app
    # Results are collected later than the server ends; then there is nothing left to unsubscribe from.
    app.backend.result_consumer.cancel_for = lambda *_: None
    app.close()


@pytest.fixture
def documents(tmp_path):
    """The folder that the workers may read documents from."""
    folder = tmp_path / "documents"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(redis, tmp_path, documents):
    """What a worker's environment says, in each deployment of the kind: Redis, the store, what may be read."""
    return {
        "CELERY_BROKER_URL": redis.broker_url,
        "CELERY_RESULT_BACKEND": redis.result_backend,
        "CELERIAC_STORAGE_URL": str(tmp_path / "store"),
        "CELERIAC_DOCUMENTS_ALLOWED_PATHS": str(documents),
        "CELERIAC_PDFIUM": str(TARGET / "pdfium/libpdfium.so"),
        "NO_COLOR": "1",
    }


@pytest.fixture
def start_worker(celeriac_program, environment, tmp_path):
    """start_worker(name, queues, …) starts a celeriac worker that is ended after the test."""
    with contextlib.ExitStack() as stack:

        def start(name, queues, concurrency=2, env=None):
            worker = CeleriacWorker(celeriac_program, name, queues, tmp_path, {**environment, **(env or {})}, concurrency)
            return stack.enter_context(worker)

        yield start


@pytest.fixture
def deployment(start_worker):
    """One worker for each queue, by the queue's name."""
    return {queue: start_worker(queue, [queue]) for queue in QUEUES}


@pytest.fixture
def make_pdf(documents):
    """make_pdf(name, pages) writes a document whose every page says its number."""

    def make(name, pages):
        path = documents / name
        write_pdf(path, [[f"Page {page} of the {name} file.", f"The answer on this page is {page * 7}."] for page in range(1, pages + 1)])
        return path

    return make


@pytest.fixture
def real_document(documents):
    """real_document(name) is one of scripts/fetch-inputs, within the folder that workers may read."""

    def copy(name):
        source = TARGET / "inputs" / name
        if not source.exists():
            absent(f"{source} is missing (scripts/fetch-inputs)")
        return Path(shutil.copy(source, documents / name))

    return copy
