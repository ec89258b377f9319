"""Remote control and events of a celeriac worker, by the hands of Celery's own client."""

import json
import subprocess
import sys

import pytest

from processes import CeleriacWorker, wait_until


@pytest.fixture
def worker(client, environment, interop_worker_program, tmp_path):
    """A celeriac worker that answers."""
    with CeleriacWorker(interop_worker_program, "controlled", ["celery"], tmp_path, environment) as worker:
        wait_until(lambda: client.control.ping(timeout=0.5), 30, "no answer to ping")
        yield worker


@pytest.fixture
def node(client, worker):
    [reply] = client.control.ping(timeout=10, limit=1)
    [name] = reply
    return name


def test_inspect_shows_what_celery_shows(client, node):
    inspect = client.control.inspect([node], timeout=10)

    assert inspect.ping() == {node: {"ok": "pong"}}
    assert inspect.active() == inspect.reserved() == inspect.scheduled() == {node: []}
    assert "proj.add" in inspect.registered()[node]
    assert inspect.registered("name")[node][0] == "proj.add [name=proj.add]"
    assert [queue["name"] for queue in inspect.active_queues()[node]] == ["celery"]
    stats = inspect.stats()[node]
    assert stats["pool"]["max-concurrency"] == 2 and stats["pid"] in stats["pool"]["processes"]
    assert {"accept_content", "worker_log_color", "broker_heartbeat", "include"} <= set(inspect.conf(with_defaults=True)[node])
    assert "software -> celery:" in inspect.report()[node]["ok"]
    assert inspect.clock()[node]["clock"] > 0


def test_a_task_with_an_eta_is_shown_as_scheduled_and_revoked(client, node):
    result = client.send_task("proj.add", (1, 2), countdown=60)

    inspect = client.control.inspect([node], timeout=10)
    [entry] = wait_until(lambda: inspect.scheduled()[node], 20, "nothing scheduled")
    assert entry["request"]["id"] == result.id and entry["request"]["args"] == [1, 2]

    [reply] = client.control.revoke(result.id, reply=True, timeout=10, limit=1)
    assert reply == {node: {"ok": f"tasks {{'{result.id}'}} flagged as revoked"}}
    assert result.state == "REVOKED"
    assert inspect.revoked() == {node: [result.id]}


def test_a_command_for_others_is_not_answered_and_an_unknown_one_is_an_error(client, node):
    assert not client.control.ping(destination=["nobody@nowhere"], timeout=0.5)
    assert client.control.broadcast("ping", pattern="contr*", matcher="glob", reply=True, timeout=10, limit=1) == [{node: {"ok": "pong"}}]
    assert client.control.broadcast("nonsense", reply=True, timeout=10, limit=1) == [{node: {"error": "KeyError('nonsense')"}}]


def test_a_queue_is_added_and_cancelled(client, node):
    assert client.control.add_consumer("later", reply=True, timeout=10, limit=1) == [{node: {"ok": "add consumer later"}}]
    assert client.send_task("proj.add", (2, 3), queue="later").get(timeout=30) == 5
    assert client.control.cancel_consumer("celery", reply=True, timeout=10, limit=1) == [{node: {"ok": "no longer consuming from celery"}}]
    assert [queue["name"] for queue in client.control.inspect([node], timeout=10).active_queues()[node]] == ["later"]


def test_python_s_event_state_follows_a_task(client, node):
    state = client.events.State()
    with client.connection() as connection:
        receiver = client.events.Receiver(connection, handlers={"*": state.event})
        consumer = receiver.itercapture(limit=None, timeout=20, wakeup=True)
        next(consumer)
        result = client.send_task("proj.add", (2, 3))
        for _ in consumer:
            task = state.tasks.get(result.id)
            seen = state.workers.get(node)
            if task and task.state == "SUCCESS" and seen and seen.sw_ident:
                break
        consumer.close()
    assert (task.name, task.args, task.result, task.worker.hostname) == ("proj.add", "(2, 3)", "5", node)
    assert state.workers[node].sw_ident == "celeriac"


def test_the_command_line_tools_see_it_and_stop_it(client, node, worker, environment):
    def celery(*words):
        command = [sys.executable, "-m", "celery", "-b", environment["CELERY_BROKER_URL"], *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert f"{node}: OK" in celery("status", "-t", "10", "-d", node).stdout
    assert json.loads(celery("inspect", "ping", "-t", "10", "-d", node, "--json").stdout) == {node: {"ok": "pong"}}
    client.control.shutdown()
    wait_until(lambda: not worker.alive(), 20, "it did not shut down")
