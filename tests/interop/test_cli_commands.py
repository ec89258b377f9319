"""Our command line beside Celery's: the same words to the same workers, one in Python and one of ours, and the same answers."""

import json
import os
import subprocess

import pytest

from monitored import HERE, Monitored
from processes import PythonWorker, free_port, wait_until


class Fleet(Monitored):
    """A celeriac worker (`celery`, `other`), a Python worker (`python`), and both command lines."""

    def __enter__(self):
        super().__enter__()
        worker = PythonWorker("proj", "plain", ["python"], self.folder, {**self.environment, "PYTHONPATH": str(HERE)})
        self._stack.enter_context(worker)
        self.python = self.node.replace("watched@", "plain@")
        self.nodes = [self.node, self.python]

        def answers():
            worker.check()
            return len(self.client.control.ping(timeout=0.5)) == 2

        wait_until(answers, 60, "both workers answer a ping")
        return self

    def all(self):
        """Words that ask both nodes: nothing is waited for once both have answered."""
        return ["-d", ",".join(self.nodes), "-t", 10]

    def ended(self, *words, environment=None):
        """How our command line ends, given these words."""
        command = [str(self.program), "-A", "proj", *map(str, words)]
        environment = {**os.environ, **self.environment, **(environment or {})}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL
        )

    def ours(self, *words, status=0):
        """What our command line prints."""
        ended = self.ended(*words)
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def fleet(interop_worker_program, tmp_path_factory):
    with Fleet(interop_worker_program, tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


LASTING = ["ping", "active", "active_queues", "conf", "conf yes", "registered", "registered name", "reserved", "revoked", "scheduled",
           "query_task no-such-id", "report"]


@pytest.mark.parametrize("command", LASTING)
def test_inspect_prints_the_same_json_as_celery_s(fleet, command):
    ours, celery_s = (json.loads(run("inspect", *command.split(), *fleet.all(), "--json")) for run in (fleet.ours, fleet.celery))
    assert sorted(ours) == sorted(fleet.nodes)
    assert ours == celery_s


@pytest.mark.parametrize("command", ["ping", "active_queues", "conf", "registered", "revoked", "report"])
@pytest.mark.parametrize("place", [0, 1], ids=["celeriac", "python"])
def test_inspect_prints_the_same_text_as_celery_s(fleet, place, command):
    words = ["inspect", *command.split(), "-d", fleet.nodes[place], "-t", 10]
    assert fleet.ours(*words) == fleet.celery("--no-color", *words)


def test_figures_that_change_have_the_same_names(fleet):
    ours, celery_s = (json.loads(run("inspect", "stats", *fleet.all(), "-j")) for run in (fleet.ours, fleet.celery))
    for node in fleet.nodes:
        assert list(ours[node]) == list(celery_s[node])
        assert ours[node]["pid"] == celery_s[node]["pid"] and ours[node]["broker"] == celery_s[node]["broker"]
    assert set(json.loads(fleet.ours("inspect", "clock", *fleet.all(), "--json"))) == set(fleet.nodes)
    assert "rusage" in fleet.ours("inspect", "stats", "-d", fleet.python, "-t", 10)


def test_status_counts_who_is_online_and_nobody_is_69(fleet):
    assert sorted(fleet.ours("status", *fleet.all()).split("\n")) == sorted(fleet.celery("status", *fleet.all()).split("\n"))
    words = ("status", "-d", "nobody@nowhere", "-t", "0.5")
    fleet.celery(*words, status=69)
    ended = fleet.ended(*words)
    assert (ended.returncode, ended.stdout, ended.stderr) == (69, "", "error: No nodes replied within time constraint\n")


@pytest.mark.parametrize("place", [0, 1], ids=["celeriac", "python"])
@pytest.mark.parametrize(
    "command",
    [
        "rate_limit proj.add 100/s",
        "rate_limit proj.add 0",
        "rate_limit no.such.task 10/m",
        "rate_limit proj.add often",
        "time_limit proj.add 60 120",
        "time_limit no.such.task 60",
        "add_consumer later",
        "cancel_consumer later",
        "add_consumer feed media topic feed.#",
        "cancel_consumer feed",
        "pool_grow",
        "pool_shrink 1",
        "enable_events",
        "disable_events",
        "heartbeat",
        "autoscale 4 2",
        "revoke an-id",
        "terminate SIGTERM an-id",
        "revoke_by_stamped_headers tenant=t1",
        "pool_restart",
    ],
)
def test_control_says_what_celery_s_says(fleet, place, command):
    words = ["control", *command.split(), "-d", fleet.nodes[place], "-t", "10"]
    # The first time may change something, which the second does not find again.
    fleet.ours(*words)
    assert fleet.ours(*words) == fleet.celery("--no-color", *words)
    assert json.loads(fleet.ours(*words, "--json")) == json.loads(fleet.celery(*words, "--json"))


@pytest.mark.parametrize("words", ["inspect nonsense", "control nonsense", "control rate_limit a b c", "inspect ping now", "inspect"])
def test_wrong_usage_is_2_as_with_celery(fleet, words):
    fleet.ours(*words.split(), status=2)
    if words != "inspect ping now":  # Celery takes no notice of what is too much there.
        fleet.celery(*words.split(), status=2)


@pytest.mark.parametrize("queue", ["celery", "python"])
def test_a_task_is_called_and_its_result_printed_as_celery_prints_it(fleet, queue):
    task_id = fleet.ours("call", "proj.add", "--args", "[2, 3]", "--queue", queue).strip()
    assert fleet.ours("result", task_id) == fleet.celery("result", task_id) == "5\n"
    assert fleet.ours("call", "proj.add", "-a", "[2, 40]", "--queue", queue, "--wait", "--timeout", 30) == "42\n"

    echoed = fleet.ours("call", "proj.echo", "-a", '[{"é": [1.5, null]}]', "-k", '{"z": true}', "--queue", queue).strip()
    assert fleet.ours("result", echoed) == fleet.celery("result", echoed) == "[[{'é': [1.5, None]}], {'z': True}]\n"
    assert json.loads(fleet.ours("result", echoed, "--json"))["result"] == [[{"é": [1.5, None]}], {"z": True}]

    failed = fleet.ended("call", "proj.fails", "-a", '["a", "broken"]', "--queue", queue, "--wait", "--timeout", 30)
    assert failed.returncode == 1 and "ended in FAILURE: ValueError('broken')" in failed.stderr
    later = fleet.ours("call", "proj.add", "-a", "[1, 1]", "--queue", queue, "--countdown", 60).strip()
    assert fleet.ended("result", later, "--timeout", 0.3).returncode == 124
    fleet.ours("control", "revoke", later, "-t", 10)


def test_a_traceback_is_printed_as_celery_prints_it(fleet):
    failed = fleet.client.send_task("proj.fails", ("broken",), queue="python")
    with pytest.raises(ValueError):
        failed.get(timeout=30)
    assert fleet.ours("result", failed.id, "--traceback") == fleet.celery("result", failed.id, "--traceback")


def test_purge_counts_every_priority_and_what_waits_for_its_time(fleet):
    def send(queue, **options):
        return [fleet.client.send_task("proj.add", (1, 1), queue=queue, priority=priority, **options) for priority in (0, 3, 9)]

    send("nobody_serves")
    celery_s = fleet.celery("purge", "-f", "-Q", "nobody_serves")
    send("nobody_serves")
    assert fleet.ours("purge", "-f", "-Q", "nobody_serves") == celery_s == "Purged 3 messages from 1 known task queue.\n"
    assert fleet.ours("purge", "-f", "-Q", "nobody_serves") == fleet.celery("purge", "-f", "-Q", "nobody_serves")

    parked = {result.id for result in send("other", countdown=600)}

    def scheduled():
        entries = json.loads(fleet.ours("inspect", "scheduled", "-d", fleet.node, "-t", 10, "-j"))[fleet.node]
        return parked & {entry["request"]["id"] for entry in entries}

    wait_until(lambda: scheduled() == parked, 20, "all are parked")
    assert json.loads(fleet.ours("purge", "-f", "-Q", "other,nobody_serves", "-X", "nobody_serves", "--json")) == {"other": 3}
    assert not scheduled()

    send("nobody_serves")
    refused = fleet.ended("purge", "-Q", "nobody_serves")
    assert refused.returncode == 2 and "-f does it unasked" in refused.stderr
    fleet.ours("purge", "-f", "-Q", "nobody_serves")


def test_bindings_are_listed_as_celery_lists_them(fleet):
    assert fleet.ours("list", "bindings") == fleet.celery("list", "bindings")


def test_events_of_both_sides_are_printed_until_it_is_interrupted(fleet):
    dump = fleet.run("events", [fleet.program, "-A", "proj", "events", "--json"])
    lines = lambda: [json.loads(line) for line in dump.output().split("\n")[:-1]]
    heard = lambda kind: {event["hostname"] for event in lines() if event["type"] == kind}
    # Asked for heartbeats, both show themselves at once.
    wait_until(lambda: set(fleet.nodes) <= heard("worker-heartbeat"), 20, "both are heard")
    fleet.ours("control", "enable_events", "-t", 10)
    for queue in ("celery", "python"):
        fleet.ours("call", "proj.add", "-a", "[1, 1]", "--queue", queue, "--wait", "--timeout", 30)
    wait_until(lambda: set(fleet.nodes) <= heard("task-succeeded"), 20, "both tell of their tasks")
    dump.signal(2)
    wait_until(lambda: not dump.alive(), 10, "it ends")
    assert dump.stop() == 0


def test_a_broker_that_is_away_is_75(fleet):
    environment = {"CELERY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0"}
    ended = fleet.ended("inspect", "ping", environment=environment)
    assert ended.returncode == 75 and ended.stderr.startswith("error: connection"), ended.stderr


def test_a_worker_that_is_told_to_shut_down_stops_warmly(fleet):
    worker, node = fleet.start("leaving", ["leaving"])
    # As with Celery nobody answers.
    fleet.ours("control", "shutdown", "-d", node, "-t", "0.5", status=69)
    wait_until(lambda: not worker.alive(), 20, "it stops")
    assert worker.stop() == 0
