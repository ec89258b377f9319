"""Chains and chords whose tasks run partly on Python and partly on celeriac workers."""

import contextlib

import pytest
import redis as redis_client
from celery import chain, chord, group

from processes import CeleriacWorker, PythonWorker, wait_until


@pytest.fixture
def call(client):
    """call(name, *args, queue=…) is a signature of one of the tasks that both sides have."""

    def signature(name, *args, queue):
        return client.signature(f"proj.{name}", args=args, queue=queue)

    return signature


@pytest.fixture
def sides(call, environment, interop_worker_program, tmp_path):
    """A Python and a celeriac worker that serve the same tasks: each its own queue, and one queue together."""
    with contextlib.ExitStack() as stack:
        python = PythonWorker("proj", "python", ["python", "shared"], tmp_path, environment)
        celeriac = CeleriacWorker(interop_worker_program, "celeriac", ["celeriac", "shared"], tmp_path, environment)
        workers = [stack.enter_context(python), stack.enter_context(celeriac)]
        # Both serve before a test begins, or the first one up would do everything.
        for queue, worker in (("python", python), ("celeriac", celeriac)):
            assert call("add", 2, 3, queue=queue).apply_async().get(timeout=60) == 5, worker.output()
        yield workers


def runs(workers, task, task_id):
    """How often a task was begun, over all workers, by Celery's own log line, which celeriac keeps."""
    return sum(worker.output().count(f"Task {task}[{task_id}] received") for worker in workers)


@pytest.mark.parametrize("body_queue", ["python", "celeriac"])
def test_a_chord_over_both_sides_calls_its_body_once(client, call, sides, body_queue):
    header = [call("add", i, i, queue="python" if i % 2 else "celeriac") for i in range(100)]

    result = chord(header, app=client)(call("xsum", queue=body_queue))

    assert result.get(timeout=60) == sum(2 * i for i in range(100))
    assert runs(sides, "proj.xsum", result.id) == 1


def test_a_chord_over_one_queue_that_both_sides_serve_calls_its_body_once(client, call, sides):
    header = [call("side", i, queue="shared") for i in range(400)]

    result = chord(header, app=client)(call("collect", queue="shared"))

    by_side = result.get(timeout=120)
    assert sorted(by_side["python"] + by_side["celeriac"]) == list(range(400))
    assert by_side["python"] and by_side["celeriac"], "one side did everything"
    assert runs(sides, "proj.collect", result.id) == 1


def test_results_of_a_group_over_both_sides_are_in_the_groups_order(client, call, sides):
    header = [call("side", i, queue="python" if i % 3 else "celeriac") for i in range(30)]

    result = group(header, app=client).apply_async()

    assert result.get(timeout=60) == [[i, "python" if i % 3 else "celeriac"] for i in range(30)]


def test_a_chain_crosses_from_side_to_side(client, call, sides):
    steps = [call("add", 10, queue=queue) for queue in ("celeriac", "python", "celeriac")]

    result = chain(call("add", 1, 1, queue="python"), *steps, app=client).apply_async()

    assert result.get(timeout=60) == 32


def test_nothing_stays_unacked_when_all_is_done(call, sides, redis):
    assert call("add", 1, 1, queue="shared").apply_async().get(timeout=60) == 2

    broker = redis_client.Redis.from_url(redis.broker_url)
    wait_until(lambda: not broker.hlen("unacked") and not broker.zcard("unacked_index"), 20, "unacked is empty")
