"""celery-exporter scrapes a celeriac worker."""

import os
import re
import sys
from pathlib import Path

import pytest

from conftest import absent
from monitored import exporter
from processes import wait_until

INSTALLED = Path(sys.prefix) / "celery-exporter"


@pytest.fixture(scope="module")
def site(monitored):
    folder = Path(os.environ.get("CELERY_EXPORTER", INSTALLED))
    if not folder.exists():
        absent(f"{folder} is missing (scripts/setup python)")
    return exporter(monitored, folder)


def scrape(site):
    """The value of each line, by its name and labels. A scrape asks every worker, for two seconds."""
    lines = [line.rsplit(" ", 1) for line in site.page("metrics").splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def value(scraped, name, /, **labels):
    """The value of the only line of this name with these labels; None where there is none."""
    wanted = {f'{label}="{text}"' for label, text in labels.items()}
    found = [number for line, number in scraped.items() if re.split("[{]", line)[0] == name and all(label in line for label in wanted)]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_a_scrape_counts_tasks_workers_and_queues(monitored, site):
    host = monitored.node.split("@")[1]
    wait_until(lambda: value(scrape(site), "celery_worker_up", hostname=host) == 1, 20, "it hears the worker's heart")

    monitored.client.send_task("proj.add", (2, 3)).get(timeout=20)
    monitored.client.send_task("proj.flaky", (1,)).get(timeout=20)
    monitored.client.send_task("proj.fails", ("no",)).get(timeout=20, propagate=False)

    def counted(scraped, step, task, **labels):
        return value(scraped, f"celery_task_{step}_total", name=task, hostname=host, queue_name="celery", **labels)

    def all_ended():
        scraped = scrape(site)
        return scraped if counted(scraped, "failed", "proj.fails", exception="ValueError") else None

    scraped = wait_until(all_ended, 20, "the failure is counted")
    for step in ["received", "started", "succeeded"]:
        assert counted(scraped, step, "proj.add") == 1, step
    assert counted(scraped, "retried", "proj.flaky") == 1 and counted(scraped, "received", "proj.flaky") == 2
    assert value(scraped, "celery_task_sent_total", name="proj.add", queue_name="celery") == 1
    assert value(scraped, "celery_task_runtime_count", name="proj.add", hostname=host, queue_name="celery") == 1
    for queue in ["celery", "other"]:
        assert value(scraped, "celery_active_worker_count", queue_name=queue) == 1
        assert value(scraped, "celery_active_process_count", queue_name=queue) == 2


def test_a_running_task_and_a_waiting_message_are_counted(monitored, site):
    host = monitored.node.split("@")[1]
    running = [monitored.client.send_task("proj.part", (1, 30)) for _ in range(4)]
    wait_until(lambda: value(scrape(site), "celery_worker_tasks_active", hostname=host) == 2, 20, "the heartbeat says 2")
    # Two slots, a window of two: the other two wait in the queue.
    assert value(scrape(site), "celery_queue_length", queue_name="celery") == 2
    for task in running:
        monitored.client.control.revoke(task.id, terminate=True, reply=True)
    wait_until(lambda: value(scrape(site), "celery_queue_length", queue_name="celery") == 0, 20, "none waits any more")
    wait_until(lambda: value(scrape(site), "celery_worker_tasks_active", hostname=host) == 0, 20, "none runs any more")


def test_a_worker_that_left_is_down(monitored, site):
    worker, node = monitored.start("leaving", ["elsewhere"])
    host = node.split("@")[1]
    wait_until(lambda: value(scrape(site), "celery_active_worker_count", queue_name="elsewhere") == 1, 20, "it is seen")
    assert worker.stop() == 0
    # The label is the host, and the other worker on it lives: its next heartbeat says so.
    wait_until(lambda: value(scrape(site), "celery_active_worker_count", queue_name="elsewhere") == 0, 20, "it is gone")
    wait_until(lambda: value(scrape(site), "celery_worker_up", hostname=host) == 1, 20, "the other one is up")
