"""Unique tasks as a Python service asks for them: one of a kind at a time, and no lock that outlives a killed worker."""

import contextlib
import json
import os
import signal

import pytest
import redis as redis_client
from celery import chain, chord
from celery.exceptions import ChordError, Reject

from processes import CeleriacWorker, wait_until

# What a lease lasts here, in seconds.
LEASE = 8


@pytest.fixture
def start(environment, interop_worker_program, tmp_path):
    """start(name) starts a worker that is ended after the test, and waits until it serves."""
    with contextlib.ExitStack() as stack:

        def worker(name, concurrency=2):
            env = {**environment, "CELERIAC_LEASE": str(LEASE)}
            started = stack.enter_context(CeleriacWorker(interop_worker_program, name, ["celery"], tmp_path, env, concurrency))
            wait_until(lambda: started.check() and "ready." in started.output(), 60, f"{name} is ready")
            return started

        yield worker


@pytest.fixture
def broker(redis):
    return redis_client.Redis.from_url(redis.broker_url, decode_responses=True)


@pytest.fixture
def logged(client, redis):
    """logged(seconds) sends a task that takes so long and writes when it begins and ends; there is one of it at a time."""

    def send(seconds, name="proj.logged", **options):
        kwargs = {"port": redis.port, "x": 1, "seconds": seconds}
        return client.send_task(name, kwargs=kwargs, **(options or {"headers": {"unique_key": "invoice-17"}}))

    return send


def log(broker):
    """What the tasks have written, in its order."""
    return [(next(iter(entry.items()))[0], int(entry["pid"])) for _, entry in broker.xrange("log")]


def keys(broker):
    return broker.keys("*celeriac.unique.*")


def is_duplicate_of(result, holder):
    with pytest.raises(Reject) as refused:
        result.get(timeout=20)
    assert refused.value.reason == f"duplicate of {holder.id}"
    return True


def test_of_a_thousand_calls_with_one_key_one_runs_though_its_worker_is_killed(redis, broker, logged, start):
    # So long that all the others are refused while one runs.
    results = [logged(10) for _ in range(1000)]
    for name in ("one", "two"):
        start(name)
    [(_, pid)] = wait_until(lambda: log(broker), 20, "one runs", poll=0.01)

    os.kill(pid, signal.SIGKILL)

    stored = redis_client.Redis.from_url(redis.result_backend)
    names = [f"celery-task-meta-{result.id}" for result in results]
    wait_until(lambda: all(stored.mget(names)), 180, "all have ended")
    metas = [json.loads(meta) for meta in stored.mget(names)]
    [holder] = [meta["task_id"] for meta in metas if meta["status"] == "SUCCESS"]
    reasons = [meta["result"]["exc_message"][0] for meta in metas if meta["status"] == "FAILURE"]
    assert reasons == [f"duplicate of {holder}"] * 999
    assert [what for what, _ in log(broker)] == ["begun", "begun", "ended"], "it ran again where it had died, and nothing beside it"
    assert keys(broker) == []
    assert logged(0).get(timeout=20) == 1


def test_a_killed_run_that_was_acked_early_holds_its_key_for_a_lease(broker, logged, start):
    dying = start("dying")
    first = logged(60, "proj.logged_early")
    wait_until(lambda: log(broker), 20, "it runs")
    start("heir")
    dying.kill_9()
    assert is_duplicate_of(logged(0, "proj.logged_early"), first)
    assert keys(broker) == ["celeriac.unique.proj.logged_early(invoice-17)"]

    def runs_again():
        result = logged(0, "proj.logged_early")
        return result.get(timeout=20, propagate=False) == 1

    wait_until(runs_again, LEASE + 10, "its lease has run out")
    wait_until(lambda: not keys(broker) and not broker.zcard("unacked_index"), 10, "nothing is left of either")


def test_whoever_waits_for_a_duplicate_hears_of_it_and_may_wait_for_the_first(client, broker, logged, start):
    start("worker", concurrency=4)
    first = logged(20)
    wait_until(lambda: log(broker), 20, "it runs")
    duplicate = logged(0, unique_key="invoice-17")
    assert is_duplicate_of(duplicate, first)
    refused = client.signature("proj.logged", kwargs={"port": 0, "x": 2, "seconds": 0}, headers={"unique_key": "invoice-17"}, immutable=True)
    echo = client.signature("proj.echo")
    assert is_duplicate_of(chain(refused, echo, app=client)(), first)
    # Of the member or of the body, whichever the client looks at first.
    with pytest.raises((ChordError, Reject), match=f"duplicate of {first.id}"):
        chord([echo.clone((1,)), refused], app=client)(echo).get(timeout=20)
    told = refused.clone().apply_async(link_error=client.signature("proj.told", task_id="told"))
    assert is_duplicate_of(told, first)
    assert client.AsyncResult("told").get(timeout=20) == told.id
    other = logged(0, headers={"unique_key": "invoice-18"})
    assert (other.get(timeout=20), first.state) == (1, "PENDING"), "another key keeps nobody out"
    assert client.AsyncResult(duplicate.result.reason.removeprefix("duplicate of ")).get(timeout=60) == 1
    assert logged(0, headers={"unique_key": "invoice-17", "unique_for": 1}).get(timeout=20) == 1
    with pytest.raises(ValueError, match="unique_key must be a text of 1 to 1024 bytes, not 17"):
        logged(0, headers={"unique_key": 17}).get(timeout=20)
