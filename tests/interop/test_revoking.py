"""Revoking before, during and after a run, on a Python and on a celeriac worker, and while no worker lives; mingling of both."""

import contextlib
import os
import subprocess

import pytest
import redis as redis_client
from celery import Celery

from processes import CeleriacWorker, PythonWorker, RedisServer, wait_until

SIDES = ["python", "celeriac"]


class Fleet:
    """A Redis, a client, and workers that are started one by one."""

    def __init__(self, stack, folder, program):
        self._stack, self._folder, self.program = stack, folder, program
        self._started = 0
        self.redis = stack.enter_context(RedisServer(folder)).ready()
        self.environment = {"CELERY_BROKER_URL": self.redis.broker_url, "CELERY_RESULT_BACKEND": self.redis.result_backend}
        self.app = Celery("client", broker=self.redis.broker_url, backend=self.redis.result_backend)
        self.app.backend.result_consumer.cancel_for = lambda *_: None
        stack.callback(self.app.close)

    def command(self, *words):
        """Runs a command of our program, away from anybody's configuration file."""
        env = {**os.environ, **self.environment}
        return subprocess.run([self.program, *words], env=env, cwd=self._folder, capture_output=True, text=True, timeout=60)

    def start(self, side, name=None, queues=None, concurrency=1, flags=()):
        """Starts a worker of this side, and gives its process and node when it answers."""
        name, queues = name or side, queues or [side]
        if side == "python":
            worker = PythonWorker("proj", name, queues, self._folder, self.environment, concurrency, flags)
        else:
            worker = CeleriacWorker(self.program, name, queues, self._folder, self.environment, concurrency, flags)
        self._stack.enter_context(worker)
        self._started += 1

        def answers():
            worker.check()
            # All of them are waited for: a reply that nobody waited for would be taken for one to the next command.
            nodes = [node for reply in self.app.control.ping(timeout=2, limit=self._started) for node in reply]
            return next((node for node in nodes if node.startswith(f"{name}@")), None)

        return worker, wait_until(answers, 60, f"{name} answers")

    def stored(self, task):
        """What is stored of a task now, whatever a result has read before."""
        result = self.app.AsyncResult(task)
        return result.state, str(result.result)

    def revoked(self, node):
        return self.app.control.inspect([node], timeout=20).revoked()[node]

    def place(self, task, node):
        """Where a worker has the task."""
        found = self.app.control.inspect([node], timeout=20).query_task(task)[node]
        return found[task][0] if found else None


@pytest.fixture
def empty_fleet(tmp_path, interop_worker_program):
    with contextlib.ExitStack() as stack:
        yield Fleet(stack, tmp_path, interop_worker_program)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, interop_worker_program):
    """One worker of each side, each with one slot and a queue of its own."""
    with contextlib.ExitStack() as stack:
        fleet = Fleet(stack, tmp_path_factory.mktemp("fleet"), interop_worker_program)
        fleet.nodes = {side: fleet.start(side)[1] for side in SIDES}
        yield fleet


@pytest.mark.parametrize("side", SIDES)
def test_a_task_that_was_revoked_before_it_was_sent_is_not_run(fleet, side):
    task = f"before-{side}"
    fleet.app.control.revoke(task, reply=True, timeout=20, limit=2)
    result = fleet.app.send_task("proj.add", (1, 2), task_id=task, queue=side)
    wait_until(lambda: result.state == "REVOKED", 20, "it is revoked")
    assert fleet.app.send_task("proj.add", (1, 2), queue=side).get(timeout=20) == 3
    assert result.state == "REVOKED"
    assert all(task in fleet.revoked(node) for node in fleet.nodes.values())


@pytest.mark.parametrize("side", SIDES)
def test_a_task_that_is_revoked_while_it_waits_is_not_run_and_one_that_runs_goes_on(fleet, side):
    running = fleet.app.send_task("proj.part", (7, 10), queue=side)
    wait_until(lambda: fleet.place(running.id, fleet.nodes[side]) == "active", 20, "it runs")
    waiting = fleet.app.send_task("proj.add", (1, 2), queue=side)
    fleet.app.control.revoke([running.id, waiting.id], reply=True, timeout=20, limit=2)
    wait_until(lambda: waiting.state == "REVOKED", 20, "the other is revoked")
    # Meanwhile a worker that does not run it has stored it as revoked, as Celery's do.
    wait_until(lambda: fleet.stored(running.id) == ("SUCCESS", "7"), 40, "the one that runs ends")


@pytest.mark.parametrize("side", SIDES)
def test_a_running_task_is_terminated_and_its_slot_is_free(fleet, side):
    running = fleet.app.send_task("proj.part", (7, 60), queue=side)
    wait_until(lambda: fleet.place(running.id, fleet.nodes[side]) == "active", 20, "it runs")
    replies = fleet.app.control.revoke(running.id, terminate=True, signal="SIGKILL", reply=True, timeout=20, limit=2)
    said = {node: reply["ok"] for answer in replies for node, reply in answer.items()}
    other = "celeriac" if side == "python" else "python"
    assert said == {fleet.nodes[side]: f"terminate: {running.id}", fleet.nodes[other]: "terminate: tasks unknown"}
    # The other worker stores it as revoked, too, if it has looked before this one stored that it was terminated.
    wait_until(lambda: fleet.stored(running.id) in [("REVOKED", "terminated"), ("REVOKED", "revoked")], 20, "it is revoked")
    assert fleet.app.send_task("proj.add", (1, 2), queue=side).get(timeout=30) == 3


@pytest.mark.parametrize("side", SIDES)
def test_a_task_that_has_ended_keeps_its_result(fleet, side):
    result = fleet.app.send_task("proj.add", (1, 2), queue=side)
    assert result.get(timeout=20) == 3
    fleet.app.control.revoke(result.id, reply=True, timeout=20, limit=2)
    assert fleet.app.AsyncResult(result.id).state == "SUCCESS"


@pytest.mark.parametrize("side", SIDES)
def test_tasks_are_revoked_by_a_stamp(fleet, side):
    stamp = f"tenant-{side}"
    fleet.app.control.revoke_by_stamped_headers({"tenant": [stamp]}, reply=True, timeout=20, limit=2)

    def send(tenant):
        signature = fleet.app.signature("proj.add", (1, 2), queue=side)
        return signature.apply_async(stamped_headers=["tenant"], tenant=tenant, headers={"stamps": {"tenant": [tenant]}})

    revoked = send(stamp)
    assert send("another").get(timeout=20) == 3
    wait_until(lambda: revoked.state == "REVOKED", 20, "it is revoked")


@pytest.mark.parametrize("side", SIDES)
def test_a_query_shows_where_each_task_is(fleet, side):
    later = fleet.app.send_task("proj.add", (1, 2), queue=side, countdown=60)
    wait_until(lambda: fleet.place(later.id, fleet.nodes[side]) == "scheduled", 20, "it is scheduled")
    running = fleet.app.send_task("proj.part", (7, 10), queue=side)
    wait_until(lambda: fleet.place(running.id, fleet.nodes[side]) == "active", 20, "it runs")
    shown = fleet.app.control.inspect([fleet.nodes[side]], timeout=20).query_task([running.id, later.id, "nothing"])
    assert {task: place for task, (place, _) in shown[fleet.nodes[side]].items()} == {running.id: "active", later.id: "scheduled"}
    fleet.app.control.revoke(later.id, reply=True, timeout=20, limit=2)
    assert running.get(timeout=40) == 7


def test_what_was_revoked_outlives_every_worker(empty_fleet):
    first, _ = empty_fleet.start("celeriac", "first")
    tasks = [f"task-{number}" for number in range(1000)]
    empty_fleet.app.control.revoke(tasks, reply=True, timeout=20, limit=1)
    assert first.stop() == 0
    results = [empty_fleet.app.send_task("proj.echo", (task,), task_id=task, queue="celeriac") for task in tasks]
    _, node = empty_fleet.start("celeriac", "second")
    wait_until(lambda: all(result.state == "REVOKED" for result in results), 60, "all are revoked")
    assert empty_fleet.app.control.inspect([node], timeout=20).stats()[node]["total"] == {}
    assert sorted(empty_fleet.revoked(node)) == sorted(tasks)


def test_a_task_is_revoked_while_no_worker_lives(empty_fleet):
    result = empty_fleet.app.send_task("proj.add", (1, 2), queue="celeriac")
    ended = empty_fleet.command("control", "-t", "1", "revoke", result.id)
    assert ended.returncode == 69, ended.stdout + ended.stderr
    empty_fleet.start("celeriac")
    wait_until(lambda: result.state == "REVOKED", 20, "it is revoked")
    keys = redis_client.Redis(port=empty_fleet.redis.port)
    assert keys.zcard("celeriac.revoked") == 1 and 10_000 < keys.ttl("celeriac.revoked") <= 10_800


def test_a_parked_task_that_is_revoked_is_discarded_when_it_is_due(empty_fleet):
    first, _ = empty_fleet.start("celeriac", "first")
    result = empty_fleet.app.send_task("proj.add", (1, 2), queue="celeriac", countdown=10)
    keys = redis_client.Redis(port=empty_fleet.redis.port)
    wait_until(lambda: keys.zcard("celeriac.parked_index") == 1, 20, "it is parked")
    assert first.stop() == 0
    assert empty_fleet.command("control", "-t", "1", "revoke", result.id).returncode == 69, "nobody is there to answer"
    empty_fleet.start("celeriac", "second")
    wait_until(lambda: result.state == "REVOKED" and keys.zcard("celeriac.parked_index") == 0, 30, "it is discarded")


# Both ask once, and wait a second for the answer.
@pytest.mark.flaky(reruns=2)
@pytest.mark.parametrize("first, second", [("python", "celeriac"), ("celeriac", "python")])
def test_a_worker_that_starts_learns_from_its_neighbours(empty_fleet, first, second):
    _, elder = empty_fleet.start(first, "elder")
    # To this node alone, so that nothing is kept on the broker.
    empty_fleet.app.control.revoke("known", destination=[elder], reply=True, timeout=20)
    _, younger = empty_fleet.start(second, "younger")
    wait_until(lambda: empty_fleet.revoked(younger) == ["known"], 10, "the younger knows")


def test_an_older_worker_learns_from_one_that_starts(empty_fleet):
    # A Python worker hears what was kept on the broker from the first celeriac worker that starts.
    _, elder = empty_fleet.start("python", "elder")
    now = redis_client.Redis(port=empty_fleet.redis.port).time()[0] * 1000
    redis_client.Redis(port=empty_fleet.redis.port).zadd("celeriac.revoked", {"kept": now})
    empty_fleet.start("celeriac", "younger")
    wait_until(lambda: empty_fleet.revoked(elder) == ["kept"], 10, "the elder knows")


def test_a_worker_that_was_told_not_to_mingle_asks_nobody(empty_fleet):
    _, elder = empty_fleet.start("celeriac", "elder")
    empty_fleet.app.control.revoke("known", destination=[elder], reply=True, timeout=20)
    _, younger = empty_fleet.start("celeriac", "younger", flags=["--without-mingle"])
    assert empty_fleet.revoked(younger) == []
