"""`sentinel://`: a Python client and a celeriac worker follow the same master, through its death."""

from contextlib import ExitStack

import pytest
import redis as redis_client
from celery import Celery
from celery.exceptions import TimeoutError
from kombu.exceptions import OperationalError
from processes import CeleriacWorker, PythonWorker, wait_until
from sentinels import MASTER, Watched


@pytest.fixture
def watched(redis, tmp_path):
    with Watched(tmp_path, redis) as watched:
        yield watched


@pytest.fixture
def client(watched):
    app = Celery("client", broker=watched.url(0), backend=watched.url(1))
    app.conf.broker_transport_options = app.conf.result_backend_transport_options = {"master_name": MASTER}
    app.conf.result_backend_always_retry = True
    yield app
    app.backend.result_consumer.cancel_for = lambda *_: None
    app.close()


@pytest.mark.parametrize("change", [Watched.kill, Watched.change_places])
def test_a_python_client_and_a_celeriac_worker_follow_the_master(interop_worker_program, watched, client, tmp_path, change):
    with CeleriacWorker(interop_worker_program, "rust", ["celery"], tmp_path, watched.environment()) as worker:
        wait_until(lambda: worker.check() and " ready." in worker.output(), 30, "the worker is ready")
        assert client.send_task("proj.add", (2, 3)).get(timeout=20) == 5
        assert list(client.control.ping(timeout=20, limit=1)[0]) == [f"rust@{hostname()}"]

        change(watched)

        assert insisted(lambda: client.send_task("proj.add", (20, 22)).get(timeout=10)) == 42
        assert insisted(lambda: client.control.ping(timeout=5, limit=1)), "remote control is heard on the new master"
        assert worker.alive() and "following it" in worker.output()


def test_workers_of_both_languages_share_a_queue(interop_worker_program, watched, client, tmp_path):
    with ExitStack() as stack:
        environment = watched.environment()
        workers = [
            stack.enter_context(CeleriacWorker(interop_worker_program, "rust", ["celery"], tmp_path, environment, 1)),
            stack.enter_context(PythonWorker("proj", "python", ["celery"], tmp_path, environment, 1)),
        ]
        for worker in workers:
            wait_until(lambda w=worker: w.check() and " ready." in w.output(), 60, "the worker is ready")

        # Each takes longer than a message takes on its way: no worker is quick enough to run them all alone.
        parts = [client.send_task("proj.part", (n, 0.1)) for n in range(40)]

        assert [part.get(timeout=20) for part in parts] == list(range(40))
        ran = [worker["total"].get("proj.part", 0) for worker in client.control.inspect(timeout=20, limit=2).stats().values()]
        assert len(ran) == 2 and min(ran) > 0 and sum(ran) == 40, ran


def insisted(call):
    """What a call answers in the end; redis-py tells of the change by an error on each connection that it had, and a broadcast reaches who
    listens at that moment."""

    def answer():
        try:
            return call()
        except (redis_client.RedisError, OperationalError, TimeoutError):
            return None

    return wait_until(answer, 60, "an answer", poll=0.2)


def hostname():
    from socket import gethostname

    return gethostname()
