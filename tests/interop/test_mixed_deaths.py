"""A mixed fleet in which one side is killed, or a Python peer looks for messages that nobody renews."""

import contextlib
import time

import pytest
import redis as redis_client
from celery import chord

from processes import CeleriacWorker, PythonWorker, wait_until

# What one of celeriac's leases lasts here, in seconds; it is renewed four times as often.
LEASE = 8


@pytest.fixture
def start(environment, interop_worker_program, tmp_path):
    """start(side, name) starts a worker of that side which is ended after the test, and waits until it serves."""
    environment = {**environment, "CELERIAC_LEASE": str(LEASE)}
    with contextlib.ExitStack() as stack:

        def worker(side, name, concurrency=2):
            if side == "python":
                started = PythonWorker("proj", name, ["celery"], tmp_path, environment, concurrency)
            else:
                started = CeleriacWorker(interop_worker_program, name, ["celery"], tmp_path, environment, concurrency)
            stack.enter_context(started)
            wait_until(lambda: started.check() and "ready." in started.output(), 60, f"{name} is ready")
            return started

        yield worker


@pytest.fixture
def call(client):
    """call(name, *args) is a signature of one of the tasks that both sides have."""
    return lambda name, *args: client.signature(f"proj.{name}", args=args)


@pytest.fixture
def broker(redis):
    return redis_client.Redis.from_url(redis.broker_url)


def sweep(client, visibility_timeout):
    """What a Python worker does every ten seconds: put back what nobody has renewed for so long."""
    with client.connection_for_read() as connection:
        connection.transport_options["visibility_timeout"] = visibility_timeout
        connection.default_channel.qos.restore_visible()


def begins(worker, result):
    """How often a worker has begun a task, by Celery's own log line, which celeriac keeps."""
    return worker.output().count(f"[{result.id}] received")


def tags(broker):
    """Who holds messages: celeriac's tags say so."""
    names = [tag.decode() for tag in broker.hkeys("unacked")]
    ours = [tag for tag in names if tag.startswith("celeriac:")]
    return {"celeriac": ours, "python": [tag for tag in names if tag not in ours]}


def test_a_chord_ends_right_though_celeriac_dies_in_the_middle_of_it(client, call, start):
    dying, _, _ = start("celeriac", "dying"), start("celeriac", "heir"), start("python", "python")
    result = chord([call("part", n, 0.1) for n in range(150)], app=client)(call("echo"))
    wait_until(lambda: dying.output().count("succeeded") >= 10, 30, "some parts are done", poll=0.01)

    dying.kill_9()

    assert result.get(timeout=60) == [[list(range(150))], {}]


def test_what_celeriac_held_comes_back_to_python_where_only_python_is_left(client, call, start, broker):
    dying = start("celeriac", "dying")
    parts = chord([call("part", n, 4) for n in range(4)], app=client)(call("xsum"))
    wait_until(lambda: len(tags(broker)["celeriac"]) == 2, 20, "celeriac holds two messages")
    dying.kill_9()
    start("python", "python")
    wait_until(lambda: not broker.llen("celery"), 20, "Python has taken what was not held")

    # Its next sweep would do the same, up to ten seconds later.
    wait_until(lambda: sweep(client, 2) or not tags(broker)["celeriac"], 20, "nothing of celeriac's is left", poll=0.3)

    assert parts.get(timeout=30) == 6


def test_what_python_held_comes_back_by_its_own_time_out_and_never_by_celeriac(client, call, start, broker):
    dying = start("python", "dying")
    parts = chord([call("part", n, 4) for n in range(4)], app=client)(call("xsum"))
    wait_until(lambda: len(tags(broker)["python"]) >= 2, 20, "Python holds messages")
    dying.kill_9()
    held = tags(broker)["python"]
    celeriac = start("celeriac", "celeriac")

    # Celeriac looks for orphans several times while it works for longer than its lease.
    call("part", 100, LEASE * 1.5).delay().get(timeout=30)
    assert set(tags(broker)["python"]) == set(held)
    assert "put back" not in celeriac.output()

    # What Python's messages wait for: its visibility_timeout, an hour by default.
    sweep(client, LEASE)
    assert parts.get(timeout=30) == 6


def test_a_task_that_takes_longer_than_pythons_time_out_is_not_delivered_twice(client, call, start, broker):
    celeriac = start("celeriac", "celeriac")
    slow = call("part", 7, LEASE * 1.5).delay()
    wait_until(lambda: tags(broker)["celeriac"], 20, "celeriac holds the message")

    # Longer than three renewals (each a quarter of the lease), shorter than the task.
    while not slow.ready():
        sweep(client, LEASE * 0.9)
        time.sleep(0.05)

    assert slow.get(timeout=30) == 7
    wait_until(lambda: not broker.hlen("unacked"), 10, "the message is acked")
    assert (begins(celeriac, slow), broker.llen("celery")) == (1, 0)


def test_the_same_time_out_takes_a_slow_task_from_python(client, call, start, broker):
    """The counterpart of the test above: the sweep does find what is not renewed."""
    python = start("python", "python")
    slow = call("part", 7, 60).delay()
    wait_until(lambda: begins(python, slow), 20, "Python has begun")

    wait_until(lambda: sweep(client, LEASE / 2) or begins(python, slow) >= 2, 20, "it is delivered a second time")
