"""Results that are too large for Redis: a Python client of celeriac workers."""

import json
import urllib.request

import pytest

from processes import CeleriacWorker, wait_until

LARGE = "é" * 20_000


@pytest.fixture
def worker(interop_worker_program, environment, tmp_path, client):
    """start(**settings): a worker that stores results of up to 4096 bytes."""
    started = []

    def start(**settings):
        flags = [f"celeriac.{name}={value}" for name, value in {"max_result_bytes": 4096, **settings}.items()]
        started.append(CeleriacWorker(interop_worker_program, "large", ["celery"], tmp_path, environment, flags=flags).__enter__())
        wait_until(lambda: client.control.ping(timeout=0.5), 30, "the worker")
        return started[0]

    yield start
    for process in started:
        process.__exit__()


def test_a_python_client_is_told_how_large_a_result_is_and_what_to_do(client, worker):
    worker()
    with pytest.raises(Exception, match="at most 4096 are stored") as raised:
        client.send_task("proj.echo", (LARGE,)).get(timeout=20)
    assert type(raised.value).__name__ == "TooLarge"


def test_a_python_client_reads_a_spilled_result_where_the_reference_says(client, worker, tmp_path):
    worker(large_results="spill", result_store=tmp_path / "results")
    value = client.send_task("proj.echo", (LARGE,)).get(timeout=20)
    if isinstance(value, dict) and "$celeriac" in value:
        reference = value["$celeriac"]
        with urllib.request.urlopen(value["$celeriac"]["ref"]) as file:
            value = json.load(file)
    assert value == [[LARGE], {}]
    assert reference["bytes"] == (tmp_path / "results" / f"{reference['sha256']}.json").stat().st_size
    small = client.send_task("proj.echo", (1,)).get(timeout=20)
    assert small == [[1], {}]
