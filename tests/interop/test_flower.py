"""Flower 2.2 over a celeriac worker: its HTTP API, its pages and what its buttons send."""

import urllib.parse

import pytest

from monitored import flower
from processes import wait_until


@pytest.fixture(scope="module")
def site(monitored):
    site = flower(monitored)
    wait_until(lambda: monitored.node in site.json("api/workers", refresh="true"), 30, "Flower knows the worker")
    return site


@pytest.fixture(scope="module")
def task(monitored, site):
    """A task that Flower has seen from its sending to its end."""
    result = monitored.client.send_task("proj.add", (2, 3))
    assert result.get(timeout=20) == 5

    def seen():
        status, text = site.ask(f"api/task/info/{result.id}")
        return status == 200 and '"SUCCESS"' in text

    wait_until(seen, 20, "Flower saw the task")
    return result.id


def path(monitored):
    return urllib.parse.quote(monitored.node)


def test_the_api_lists_workers_with_all_that_was_inspected(monitored, site):
    inspected = {"stats", "active_queues", "registered", "scheduled", "active", "reserved", "revoked", "conf"}

    def all_inspected():
        """Flower asks for each on its own, and leaves out what is not answered within a second."""
        worker = site.json("api/workers", refresh="true", workername=monitored.node)[monitored.node]
        return inspected <= worker.keys() and worker

    worker = wait_until(all_inspected, 30, "Flower has inspected all")
    assert [queue["name"] for queue in worker["active_queues"]] == ["celery", "other"]
    assert "proj.add" in worker["registered"] and worker["stats"]["pool"]["max-concurrency"] == 2
    wait_until(lambda: site.json("api/workers", status="true") == {monitored.node: True}, 20, "its heartbeat is heard")


def test_the_api_tells_of_a_task(monitored, site, task):
    info = site.json(f"api/task/info/{task}")
    told = {name: info[name] for name in ["name", "state", "args", "kwargs", "result", "worker", "retries", "exchange", "routing_key"]}
    assert told == {
        "name": "proj.add",
        "state": "SUCCESS",
        "args": "(2, 3)",
        "kwargs": "{}",
        "result": "5",
        "worker": monitored.node,
        "retries": 0,
        "exchange": "",
        "routing_key": "celery",
    }
    assert info["received"] and info["started"] and info["succeeded"] and info["runtime"] >= 0 and info["root_id"] == task
    assert task in site.json("api/tasks", taskname="proj.add")
    assert "proj.add" in site.json("api/task/types")["task-types"]
    result = site.json(f"api/task/result/{task}")
    assert (result["state"], result["result"]) == ("SUCCESS", 5)


def test_the_api_sends_tasks_and_counts_queues(monitored, site):
    sent = site.post("api/task/send-task/proj.add", body={"args": [1, 2]})
    assert monitored.client.AsyncResult(sent["task-id"]).get(timeout=20) == 3
    lengths = {queue["name"]: queue["messages"] for queue in site.json("api/queues/length")["active_queues"]}
    assert {"celery", "other"} <= lengths.keys() and set(lengths.values()) == {0}


def test_the_pages_show_workers_a_worker_tasks_a_task_and_the_broker(monitored, site, task):
    assert monitored.node in site.page("workers")

    def beaten():
        [row] = [row for row in site.json("workers", json="1")["data"] if row["hostname"] == monitored.node]
        return row["loadavg"] and row

    row = wait_until(beaten, 20, "a heartbeat of the worker is heard")
    assert row["status"] and row["task-succeeded"] >= 1 and len(row["loadavg"]) == 3 and row["sw_ident"] == "celeriac"

    page = site.page(f"worker/{path(monitored)}")
    for shown in ["Max concurrency", "Put guarded by semaphore", "Worker PID", "Prefetch Count", "proj.add", "nvcsw", "worker_prefetch_multiplier"]:
        assert shown in page, shown
    assert 'id="worker-cancel-consumer-celery"' in page and 'id="task-rate-limit-proj.add' in page

    assert "tasks-table" in site.page("tasks")
    table = {"draw": 1, "start": 0, "length": 50, "search[value]": "", "order[0][column]": 0, "columns[0][data]": "name", "order[0][dir]": "asc"}
    rows = site.json("tasks/datatable", **table)["data"]
    [shown] = [row for row in rows if row["uuid"] == task]
    assert (shown["name"], shown["state"], shown["worker"]) == ("proj.add", "SUCCESS", monitored.node)
    page = site.page(f"task/{task}")
    assert "proj.add" in page and "SUCCESS" in page

    page = site.page("broker")
    assert "celery" in page and "other" in page


def test_the_pool_buttons_grow_and_shrink(monitored, site):
    slots = lambda: monitored.client.control.inspect([monitored.node], timeout=5).stats()[monitored.node]["pool"]["max-concurrency"]  # noqa: E731
    assert site.post(f"api/worker/pool/grow/{path(monitored)}", n=2)["message"] == f"Growing '{monitored.node}' worker's pool by 2"
    assert slots() == 4
    assert site.post(f"api/worker/pool/shrink/{path(monitored)}", n=2)["message"] == f"Shrinking '{monitored.node}' worker's pool by 2"
    assert slots() == 2


def test_a_button_that_is_refused_shows_the_worker_s_reason(monitored, site):
    status, text = site.ask(f"api/worker/pool/restart/{path(monitored)}", form={})
    assert (status, text) == (403, f"Failed to restart the '{monitored.node}' pool: ValueError('Pool restarts not enabled')")
    status, text = site.ask(f"api/worker/pool/autoscale/{path(monitored)}", form={"min": 2, "max": 4})
    assert (status, text) == (403, f"Failed to autoscale '{monitored.node}' worker: ValueError('Autoscale not enabled')")


def test_the_autoscale_button_sets_the_limits_of_a_worker_that_scales(monitored, site):
    _, node = monitored.start("scaling", ["elsewhere"], "--autoscale", "3,1")
    wait_until(lambda: node in site.json("api/workers", refresh="true"), 30, "Flower knows it")
    name = urllib.parse.quote(node)
    assert site.post(f"api/worker/pool/autoscale/{name}", min=2, max=5)["message"] == f"Autoscaling '{node}' worker (min=2, max=5)"
    scaler = monitored.client.control.inspect([node], timeout=5).stats()[node]["autoscaler"]
    assert (scaler["min"], scaler["max"]) == (2, 5) and {"current", "qty"} <= scaler.keys()
    assert "Autoscaler options" in site.page(f"worker/{name}")


def test_the_queue_buttons_add_and_cancel_a_consumer(monitored, site):
    queues = lambda: [q["name"] for q in monitored.client.control.inspect([monitored.node], timeout=5).active_queues()[monitored.node]]  # noqa: E731
    assert site.post(f"api/worker/queue/add-consumer/{path(monitored)}", queue="more")["message"] == "add consumer more"
    assert "more" in queues()
    said = site.post(f"api/worker/queue/cancel-consumer/{path(monitored)}", queue="more")["message"]
    assert said == "no longer consuming from more" and "more" not in queues()


def test_the_limit_buttons_set_rate_and_time_limits(monitored, site):
    said = site.post("api/task/timeout/proj.collect", workername=monitored.node, hard=30, soft=10)["message"]
    assert said == "time limits set successfully"
    said = site.post("api/task/rate-limit/proj.collect", workername=monitored.node, ratelimit="200")["message"]
    assert said == "new rate limit set successfully"
    status, text = site.ask("api/task/rate-limit/proj.collect", form={"workername": monitored.node, "ratelimit": "many"})
    assert status == 403 and "Invalid rate limit string" in text


def test_the_revoke_button_revokes_and_terminates(monitored, site):
    waiting = monitored.client.send_task("proj.add", (1, 2), countdown=300)
    running = monitored.client.send_task("proj.part", (1, 30))
    wait_until(lambda: running.id in str(monitored.client.control.inspect(timeout=0.3).active()), 20, "it runs")
    assert site.post(f"api/task/revoke/{waiting.id}")["message"] == f"Revoked '{waiting.id}'"
    site.post(f"api/task/revoke/{running.id}", terminate="true", signal="SIGKILL")
    wait_until(lambda: waiting.state == running.state == "REVOKED", 20, "both are revoked")
    wait_until(lambda: site.json(f"api/task/info/{running.id}")["state"] == "REVOKED", 20, "Flower hears of it")


def test_the_shutdown_button_ends_a_worker(monitored, site):
    worker, node = monitored.start("leaving", ["elsewhere"])
    wait_until(lambda: node in site.json("api/workers", refresh="true"), 30, "Flower knows it")
    assert site.post(f"api/worker/shutdown/{urllib.parse.quote(node)}")["message"] == "Shutting down!"
    wait_until(lambda: not worker.alive(), 20, "it did not shut down")
    wait_until(lambda: site.json("api/workers", status="true").get(node) is False, 20, "Flower shows it as gone")
