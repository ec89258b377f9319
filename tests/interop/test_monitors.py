"""Each command of Python Celery's command line against a celeriac worker."""

import json
import sys
import time

import pytest

from processes import wait_until

INSPECTED = {
    "active": list,
    "active_queues": list,
    "clock": {"clock": int},
    "conf": dict,
    "memdump": str,
    "memsample": str,
    "ping": {"ok": "pong"},
    "registered": list,
    "report": {"ok": str},
    "reserved": list,
    "revoked": list,
    "scheduled": list,
    "stats": dict,
}

REFUSED = {
    ("autoscale", 4, 2): "ValueError('Autoscale not enabled')",
    ("rate_limit", "no.such", "1/s"): "unknown task",
    ("rate_limit", "proj.add", "ten"): "Invalid rate limit string: ValueError(\"could not convert string to float: 'ten'\")",
    ("time_limit", "no.such", 1, 2): "unknown task",
    ("pool_restart",): "ValueError('Pool restarts not enabled')",
    ("election",): "TypeError(\"election() missing 2 required positional arguments: 'id' and 'topic'\")",
}


def fits(value, shape):
    """Whether a value is of a type, or a map whose members fit, or just this."""
    if isinstance(shape, type):
        return isinstance(value, shape)
    if isinstance(shape, dict):
        return isinstance(value, dict) and value.keys() == shape.keys() and all(fits(value[key], shape[key]) for key in shape)
    return value == shape


def test_status_sees_it_and_nobody_else(monitored):
    assert f"{monitored.node}: OK" in monitored.celery("status", "-t", 5)
    assert "No nodes replied within time constraint" in monitored.celery("status", "-d", "nobody@nowhere", "-t", 0.2, status=69)


@pytest.mark.parametrize("command", INSPECTED)
def test_inspect_answers_in_celery_s_shape(monitored, command):
    reply = monitored.inspect(command)
    assert fits(reply, INSPECTED[command]), reply


def test_inspect_stats_has_the_members_of_celery_s_with_their_types(monitored):
    monitored.client.send_task("proj.add", (1, 2)).get(timeout=20)
    stats = monitored.inspect("stats")
    assert {"total", "pid", "clock", "uptime", "pool", "broker", "prefetch_count", "rusage"} <= stats.keys()
    assert stats["total"]["proj.add"] >= 1 and isinstance(stats["clock"], str) and isinstance(stats["uptime"], int)
    pool = stats["pool"]
    assert len(pool["processes"]) == pool["max-concurrency"] == 2 and set(pool["processes"]) == {stats["pid"]}
    assert (pool["max-tasks-per-child"], pool["put-guarded-by-semaphore"], pool["timeouts"]) == ("N/A", True, [0, 0])
    assert fits(pool["writes"], {"total": int, "avg": str, "all": str, "raw": str, "strategy": "fair", "inqueues": dict})
    assert pool["writes"]["total"] == sum(stats["total"].values()) and pool["writes"]["inqueues"] == {"total": 2, "active": 0}
    broker = ["hostname", "userid", "virtual_host", "port", "insist", "ssl", "transport", "connect_timeout", "transport_options"]
    broker += ["login_method", "uri_prefix", "heartbeat", "failover_strategy", "alternates", "credential_provider"]
    assert sorted(stats["broker"]) == sorted(broker)
    assert (stats["broker"]["port"], stats["broker"]["virtual_host"]) == (monitored.redis.port, "0")
    assert len(stats["rusage"]) == 16


def test_inspect_objgraph_says_what_is_missing(monitored):
    assert monitored.inspect("objgraph") == {"error": "ImportError('Requires the objgraph library')"}


def test_inspect_query_task_finds_a_task_that_runs_and_one_that_waits(monitored):
    running = monitored.client.send_task("proj.part", (1, 120))
    later = monitored.client.send_task("proj.add", (1, 2), countdown=300)

    def found():
        reply = monitored.client.control.inspect([monitored.node], timeout=5).query_task([running.id, later.id, "nothing"])
        return len(reply[monitored.node]) == 2 and running.id in reply[monitored.node]

    wait_until(found, 10, "both are found")
    reply = monitored.inspect("query_task", running.id, later.id, "nothing")
    assert {task: place for task, (place, _) in reply.items()} == {running.id: "active", later.id: "scheduled"}
    assert reply[running.id][1]["name"] == "proj.part" and reply[running.id][1]["args"] == [1, 120]
    assert [task["id"] for task in monitored.inspect("active")] == [running.id]
    [entry] = monitored.inspect("scheduled")
    assert entry["request"]["id"] == later.id and entry["priority"] == 6
    assert monitored.control("terminate", "KILL", running.id, later.id) == {"ok": f"terminate: {running.id}"}
    wait_until(lambda: later.state == running.state == "REVOKED", 10, "both are revoked")
    assert {running.id, later.id} <= set(monitored.inspect("revoked"))


def test_an_unknown_command_is_refused_with_the_known_ones(monitored):
    said = monitored.celery("inspect", "nonsense", status=2)
    assert "active, active_queues, clock, conf, memdump, memsample, objgraph, ping, query_task" in said


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: words[0])
def test_control_refuses_in_celery_s_words(monitored, words):
    assert monitored.control(*words) == {"error": REFUSED[words]}


def test_control_grows_and_shrinks_the_pool(monitored):
    assert monitored.control("pool_grow", 2) == {"ok": "pool will grow"}
    assert monitored.inspect("stats")["pool"]["max-concurrency"] == 4
    assert monitored.control("pool_shrink", 2) == {"ok": "pool will shrink"}
    assert monitored.inspect("stats")["pool"]["max-concurrency"] == 2


def test_control_adds_and_cancels_a_consumer(monitored):
    assert monitored.control("add_consumer", "more") == {"ok": "add consumer more"}
    assert monitored.client.send_task("proj.add", (2, 3), queue="more").get(timeout=20) == 5
    assert "more" in [queue["name"] for queue in monitored.inspect("active_queues")]
    assert monitored.control("cancel_consumer", "more") == {"ok": "no longer consuming from more"}
    assert "more" not in [queue["name"] for queue in monitored.inspect("active_queues")]


def test_control_sets_limits(monitored):
    assert monitored.control("time_limit", "proj.collect", 10, 20) == {"ok": "time limits set successfully"}
    assert monitored.control("rate_limit", "proj.collect", "10/s") == {"ok": "new rate limit set successfully"}
    [shown] = [task for task in monitored.inspect("registered", "rate_limit") if task.startswith("proj.collect")]
    assert shown == "proj.collect [rate_limit=10/s]"
    assert monitored.control("rate_limit", "proj.collect", "0") == {"ok": "rate limit disabled successfully"}


def test_control_switches_events_and_beats(monitored):
    assert monitored.control("enable_events") == {"ok": "task events already enabled"}
    assert monitored.control("disable_events") == {"ok": "task events disabled"}
    assert monitored.control("disable_events") == {"ok": "task events already disabled"}
    assert monitored.control("enable_events") == {"ok": "task events enabled"}
    assert monitored.control("heartbeat") is None


def test_control_revokes_by_id_and_by_stamp(monitored):
    assert monitored.control("revoke", "gone") == {"ok": "tasks {'gone'} flagged as revoked"}
    assert monitored.control("terminate", "KILL", "gone") == {"ok": "terminate: tasks unknown"}
    said = monitored.control("revoke_by_stamped_headers", "tenant=t9")
    assert said == {"ok": "headers {'tenant': 't9'} flagged as revoked, but not terminated"}


def test_control_shuts_a_worker_down(monitored):
    worker, node = monitored.start("leaving", ["elsewhere"])
    monitored.celery("control", "shutdown", "-d", node, "-t", 0.2, status=69)
    wait_until(lambda: not worker.alive(), 20, "it did not shut down")
    assert worker.stop() == 0


def test_call_and_result_run_a_task_and_show_what_it_returned(monitored):
    task = monitored.celery("call", "proj.add", "-a", "[2, 3]").strip()
    wait_until(lambda: monitored.client.AsyncResult(task).state == "SUCCESS", 20, "the task ends")
    assert monitored.celery("result", task).strip() == "5"


def test_purge_empties_a_queue(monitored):
    monitored.client.send_task("proj.add", (1, 2), queue="unread", priority=9)
    monitored.client.send_task("proj.add", (1, 2), queue="unread")
    assert "Purged 2 messages from 1 known task queue" in monitored.celery("purge", "-f", "-Q", "unread")


def test_list_bindings_shows_the_queues_it_serves(monitored):
    rows = [line.split() for line in monitored.celery("list", "bindings").splitlines()]
    assert ["celery", "celery", "celery"] in rows


def test_report_and_graph_of_workers_are_printed(monitored):
    assert "transport:redis" in monitored.celery("report")
    graph = monitored.celery("graph", "workers")
    assert f'"{monitored.node}" [' in graph and '"thr-2"' in graph


def test_events_dump_tells_the_life_of_a_task(monitored):
    dump = monitored.run("dump", [sys.executable, "-u", "-m", "celery", "-A", "proj", "events", "--dump"])

    def watches():
        dump.check()
        monitored.client.send_task("proj.add", (1, 1))
        time.sleep(0.2)
        return "task succeeded" in dump.output()

    wait_until(watches, 30, "the dump hears of tasks")
    task = monitored.client.send_task("proj.fails", ("no",)).id
    # The client tells that it has sent a task after it has, so that this may be the last that is heard.
    for step in ["sent", "received", "started", "failed"]:
        wait_until(lambda: f"task {step}: proj.fails({task}" in dump.output(), 10, f"it tells that the task was {step}")  # noqa: B023
    assert "ValueError('no')" in dump.output()
    wait_until(lambda: f"{monitored.node} [" in dump.output() and " heartbeat" in dump.output(), 10, "and of the worker's heart")
    dump.stop()


def test_the_python_client_s_own_inspect_of_every_worker_is_answered_at_once(monitored):
    begun = time.monotonic()
    scheduled = monitored.client.control.inspect([monitored.node], timeout=60).scheduled()
    # It did not wait for others that might answer too.
    assert json.dumps(scheduled) and time.monotonic() - begun < 30
