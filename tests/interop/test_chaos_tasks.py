"""The tasks of the conformance worker that die on purpose: each costs what Celery says it costs, and nothing else."""

import redis as redis_client
import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from conftest import program
from processes import TARGET, Process, wait_until


@pytest.fixture
def start_chaos(redis, tmp_path):
    """start_chaos(name, **environment) starts a conformance worker that is ended after the test."""
    path = program("CELERIAC_CONFORMANCE_WORKER", TARGET / "debug/examples/conformance_worker")
    workers = []

    def start(name, **environment):
        env = {
            "TEST_BROKER": redis.broker_url,
            "TEST_BACKEND": redis.result_backend,
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(redis.port),
            "CONCURRENCY": "2",
            "QUEUES": "celery",
            "NODENAME": f"{name}@%h",
            **environment,
        }
        worker = Process(name, [path], tmp_path, env)
        workers.append(worker)
        worker.__enter__()
        return worker

    yield start
    for worker in workers:
        worker.__exit__()


@pytest.mark.parametrize(
    ("task", "kwargs"),
    [("chaos.abort", {}), ("chaos.segv", {}), ("chaos.exit", {"code": 3}), ("chaos.kill_child", {"key": "deaths"})],
)
def test_a_child_that_dies_is_a_lost_worker_of_its_call_alone(client, redis, start_chaos, task, kwargs):
    worker = start_chaos("chaos")
    dying = client.send_task(task, kwargs=kwargs)
    with pytest.raises(WorkerLostError):
        dying.get(timeout=20)
    if kwargs.get("key"):
        assert redis_client.Redis(port=redis.port).lrange("deaths", 0, -1) == [dying.id.encode()]
    assert client.send_task("t.integration.tasks.add", (1, 2)).get(timeout=20) == 3
    assert worker.check()


def test_a_child_that_hangs_is_killed_at_its_limit_and_one_that_allocates_is_not(client, start_chaos):
    start_chaos("chaos")
    with pytest.raises(TimeLimitExceeded):
        client.send_task("chaos.hang", kwargs={"seconds": 60}, time_limit=1).get(timeout=20)
    assert client.send_task("chaos.alloc", kwargs={"mib": 8}).get(timeout=20) == 8 << 20


def test_a_child_that_dies_each_time_is_run_again_until_it_is_given_up(client, redis, start_chaos):
    start_chaos("chaos", CELERY_TASK_REJECT_ON_WORKER_LOST="true", CELERIAC_MAX_DELIVERIES="3")
    with pytest.raises(WorkerLostError):
        client.send_task("chaos.kill_child", kwargs={"key": "deaths"}).get(timeout=30)
    assert redis_client.Redis(port=redis.port).llen("deaths") == 3


def test_a_worker_that_kills_itself_gives_its_message_to_the_next(client, redis, start_chaos):
    first = start_chaos("first", WORKER_SETTINGS='{"celeriac": {"lease": 1.0}}')
    task = client.send_task("chaos.kill_worker", kwargs={"key": "deaths"})
    wait_until(lambda: not first.alive(), 20, "the worker has killed itself")
    start_chaos("second", WORKER_SETTINGS='{"celeriac": {"lease": 1.0, "max_deliveries": 1}}')
    with pytest.raises(WorkerLostError):
        task.get(timeout=30)
    assert redis_client.Redis(port=redis.port).llen("deaths") == 1
