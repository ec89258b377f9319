"""Servers that are not as they should be, and what a worker says of them at its start."""

import pytest

from processes import CeleriacWorker, RedisServer, free_port, wait_until


@pytest.fixture
def worker_on(interop_worker_program, tmp_path):
    """worker_on(*flags): a worker on a Redis that is started with these flags."""
    started = []

    def start(*flags):
        redis = RedisServer(tmp_path, flags=flags).__enter__().ready()
        started.append(redis)
        urls = {"CELERY_BROKER_URL": redis.broker_url, "CELERY_RESULT_BACKEND": redis.result_backend, "NO_COLOR": "1"}
        started.append(CeleriacWorker(interop_worker_program, "worker", ["celery"], tmp_path, urls).__enter__())
        return started[-1]

    yield start
    for process in reversed(started):
        process.__exit__()


def test_an_eviction_policy_is_warned_of_at_the_start(worker_on):
    worker = worker_on("--maxmemory", "200mb", "--maxmemory-policy", "allkeys-lru")
    wait_until(lambda: worker.check() and worker.output().count("VANISH") == 2, 30, "a warning for broker and results")
    line = next(line for line in worker.output().splitlines() if "VANISH" in line)
    assert "WARN" in line and "allkeys-lru" in line and "CONFIG SET maxmemory-policy noeviction" in line, line


def test_a_worker_on_a_cluster_ends_at_once_with_a_clear_sentence(worker_on):
    worker = worker_on("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    code = worker.ended(30)
    assert code not in (0, 75), "trying later does not help"
    assert "a node of a Redis Cluster" in worker.output() and "CROSSSLOT" not in worker.output(), worker.output()
