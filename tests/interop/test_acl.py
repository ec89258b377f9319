"""Worker and producer under the Redis users that docs/security.md documents: both work, and neither can do what it has no need of."""

import contextlib

import pytest
import redis as redis_client
from celery import Celery, chord
from kombu.exceptions import OperationalError

from processes import ROOT, CeleriacWorker, wait_until

PREFIX = {"global_keyprefix": "app:"}
CONFIG = '[broker_transport_options]\nglobal_keyprefix = "app:"\n[result_backend_transport_options]\nglobal_keyprefix = "app:"\n'


@pytest.fixture
def admin(redis):
    """The server's own user, after both documented ones were made."""
    admin = redis_client.Redis(port=redis.port, decode_responses=True)
    lines = [line for line in (ROOT / "docs/security.md").read_text().splitlines() if line.startswith("ACL SETUSER ")]
    assert [line.split()[2] for line in lines] == ["celeriac-worker", "celeriac-producer"]
    for line in lines:
        admin.execute_command(*line.split())
    admin.acl_log_reset()
    return admin


@pytest.fixture
def worker(admin, redis, interop_worker_program, environment, tmp_path):
    (tmp_path / "celery_config.toml").write_text(CONFIG)
    urls = {
        name: environment[name].replace("redis://", "redis://celeriac-worker:PASSWORD@")
        for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND")
    }
    with CeleriacWorker(interop_worker_program, "walled", ["celery"], tmp_path, {**environment, **urls}) as worker:
        yield worker


@pytest.fixture
def producer(redis):
    """A Python application that has no more rights than to send and to read results."""
    url = redis.broker_url.replace("redis://", "redis://celeriac-producer:PASSWORD@")
    results = redis.result_backend.replace("redis://", "redis://celeriac-producer:PASSWORD@")
    app = Celery("client", broker=url, backend=results)
    app.conf.update(broker_transport_options=PREFIX, result_backend_transport_options=PREFIX, task_send_sent_event=True)
    with contextlib.closing(app):
        yield app
        app.backend.result_consumer.cancel_for = lambda *_: None


def refusals(admin):
    return [(entry["username"], entry["reason"], entry["object"]) for entry in admin.acl_log()]


def test_a_worker_and_a_python_producer_work_under_the_documented_users(worker, producer, admin):
    add = producer.signature("proj.add")
    assert [add.delay(number, 1).get(timeout=30) for number in range(10)] == list(range(1, 11))
    assert add.apply_async((1, 1), countdown=1, priority=9).get(timeout=30) == 2
    with pytest.raises(Exception, match="too bad"):
        producer.send_task("proj.fails", args=["too bad"]).get(timeout=30)
    body = chord([producer.signature("proj.add", (n, n), app=producer) for n in range(5)], app=producer)(
        producer.signature("proj.xsum", app=producer)
    )
    assert body.get(timeout=30) == 20
    assert refusals(admin) == []
    assert "NOPERM" not in worker.output() and "no permissions" not in worker.output(), worker.output()


def test_a_worker_under_its_user_is_seen_and_told(worker, producer, admin, redis):
    operator = Celery("operator", broker=redis.broker_url, backend=redis.result_backend)
    operator.conf.update(broker_transport_options=PREFIX)
    with contextlib.closing(operator):
        [[node]] = wait_until(lambda: operator.control.ping(timeout=0.5), 30, "the worker answers")
        assert operator.control.inspect([node], timeout=10).stats()[node]["total"] == {}
        operator.control.revoke("nobody", destination=[node])
        operator.control.shutdown(destination=[node])
        assert worker.ended() == 0
    assert refusals(admin) == []


def test_a_producer_can_neither_command_workers_nor_touch_what_they_hold(worker, producer, admin, redis):
    producer.signature("proj.add").delay(1, 1).get(timeout=30)
    with pytest.raises((OperationalError, redis_client.exceptions.NoPermissionError)):
        producer.control.broadcast("shutdown")
    own = redis_client.Redis(port=redis.port, username="celeriac-producer", password="PASSWORD")
    for command in (["HGETALL", "app:unacked"], ["LRANGE", "app:celery", 0, -1], ["LPUSH", "app:unacked", "x"], ["KEYS", "*"],
                    ["SET", "app:celery-task-meta-1", "{}"], ["PUBLISH", "app:/0.celery.pidbox", "x"], ["FLUSHALL"]):
        with pytest.raises(redis_client.exceptions.NoPermissionError):
            own.execute_command(*command)
    theirs = redis_client.Redis(port=redis.port, username="celeriac-worker", password="PASSWORD")
    for command in (["GET", "other:key"], ["LPUSH", "celery", "x"], ["KEYS", "*"], ["FLUSHALL"], ["CONFIG", "GET", "*"]):
        with pytest.raises(redis_client.exceptions.NoPermissionError):
            theirs.execute_command(*command)
    assert producer.signature("proj.add").delay(1, 1).get(timeout=30) == 2
    worker.check()
