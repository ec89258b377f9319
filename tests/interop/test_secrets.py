"""A canary: secrets in URLs, settings and arguments are nowhere in what a worker says of itself."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import urllib.request

import pytest
import redis as redis_client
from celery import Celery

from processes import Process, free_port, wait_until

BROKER, BACKEND, SETTING, ARGUMENT = "canary-broker-7b1f", "canary-backend-93ce", "canary-setting-5d20", 7391550268114
CANARIES = [BROKER, BACKEND, SETTING, str(ARGUMENT)]
CONFIG = f"""
worker_send_task_events = true
security_key_password = "{SETTING}"
[broker_transport_options.sentinel_kwargs]
password = "{SETTING}"
"""


class Place:
    """A server that asks for passwords, a worker at its most talkative, and whoever listens to it."""

    def __init__(self, program, redis, environment, folder, stack):
        admin = redis_client.Redis(port=redis.port)
        for user, password in (("one", BROKER), ("two", BACKEND)):
            admin.execute_command("ACL", "SETUSER", user, "on", f">{password}", "~*", "&*", "+@all")
        (folder / "celery_config.toml").write_text(CONFIG)
        self.environment = {
            **environment,
            "CELERY_BROKER_URL": redis.broker_url.replace("redis://", f"redis://one:{BROKER}@"),
            "CELERY_RESULT_BACKEND": redis.result_backend.replace("redis://", f"redis://two:{BACKEND}@"),
            "CELERIAC_METRICS_ADDR": f"127.0.0.1:{free_port()}",
        }
        self.program, self.folder = program, folder
        self.client = Celery("client", broker=redis.broker_url, backend=redis.result_backend)
        self.events = []
        self.receiver = None
        receiving = threading.Thread(target=self.receive, daemon=True)
        receiving.start()
        wait_until(lambda: self.receiver, 30, "a listener is there")
        stack.callback(receiving.join)
        stack.callback(setattr, self.receiver, "should_stop", True)
        command = [program, "worker", "-Q", "celery", "-c", 1, "-n", "talks@%h", "-E", "-l", "debug"]
        self.worker = Process("talks", command, folder, self.environment)
        stack.callback(self.worker.__exit__, None, None, None)
        wait_until(lambda: self.worker.check() and self.client.control.ping(timeout=0.3), 30, "the worker answers")
        wait_until(lambda: self.events, 30, "its events are heard")

    def receive(self):
        with self.client.connection() as connection:
            self.receiver = self.client.events.Receiver(connection, handlers={"*": self.events.append})
            self.receiver.capture(limit=None, wakeup=True)

    def run(self, program, *words):
        """What a command line says, on either stream."""
        ended = subprocess.run([str(program), *words], capture_output=True, text=True, timeout=60, cwd=self.folder,
                               env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL)
        return ended.stdout + ended.stderr

    def saw(self, kind, task_id):
        return any(event["type"] == kind and event.get("uuid") == task_id for event in self.events)


@pytest.fixture
def place(interop_worker_program, redis, environment, tmp_path):
    with contextlib.ExitStack() as stack:
        yield Place(interop_worker_program, redis, environment, tmp_path, stack)


def assert_silent(said):
    for where, text in said.items():
        found = [canary for canary in CANARIES if canary in text]
        assert not found, f"{where} tells {found}: …{text[max(0, text.index(found[0]) - 200):][:400]}…"


def test_no_secret_is_told_anywhere(place, celeriac_program):
    hidden = {"argsrepr": "***", "kwargsrepr": "***"}
    parked = place.client.send_task("proj.part", args=[ARGUMENT], countdown=600, **hidden)
    failing = place.client.send_task("proj.no_such_task", args=[ARGUMENT], **hidden)
    wait_until(lambda: parked.id in str(place.client.control.inspect().scheduled()), 30, "one is parked")
    wait_until(lambda: failing.state == "FAILURE", 30, "one fails")
    # From here on its only slot is taken, and it fetches what it may run soon.
    running = place.client.send_task("proj.part", args=[ARGUMENT], kwargs={"seconds": 600}, **hidden)
    wait_until(lambda: place.saw("task-started", running.id), 30, "the task runs")
    waiting = place.client.send_task("proj.part", args=[ARGUMENT], **hidden)

    said = {}
    for command in ("conf", "stats", "report", "active", "reserved", "scheduled"):
        said[f"inspect {command}"] = place.run(place.program, "inspect", command, "--json", "-t", "10")
        assert "talks@" in said[f"inspect {command}"], said[f"inspect {command}"]
    said["inspect conf yes"] = place.run(place.program, "inspect", "conf", "yes", "--json")
    said["inspect query_task"] = place.run(place.program, "inspect", "query_task", running.id, waiting.id, "--json")
    assert running.id in said["inspect active"] and "***" in said["inspect active"]
    said["report"] = place.run(place.program, "report")
    said["config show"] = place.run(celeriac_program, "config", "show", "--origin")
    assert "broker_url" in said["config show"], said["config show"]
    address = place.environment["CELERIAC_METRICS_ADDR"]
    said["metrics"] = urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()
    place.worker.signal(signal.SIGUSR1)
    wait_until(lambda: f"state: running proj.part[{running.id}]" in place.worker.output(), 30, "the dump is written")

    # Those that have not begun go first: one that came into the freed slot would tell its result, its own argument.
    place.client.control.revoke([waiting.id, parked.id])
    place.client.control.revoke(running.id, terminate=True)
    wait_until(lambda: place.saw("task-revoked", running.id), 30, "it was terminated")
    redis_client.Redis.from_url(place.client.conf.broker_url).execute_command("CLIENT", "KILL", "USER", "one")
    place.worker.stop(60)
    said["log"] = place.worker.output()
    assert "proj.no_such_task" in said["log"] and "DEBUG" in said["log"]
    said["events"] = json.dumps(place.events, default=str)
    assert running.id in said["events"] and "***" in said["events"]
    assert_silent(said)


def test_a_broker_that_refuses_the_password_is_told_without_it(place, redis):
    redis_client.Redis(port=redis.port).execute_command("ACL", "SETUSER", "one", "resetpass", ">other")
    said = place.run(place.program, "status", "-t", "0.5")
    assert said.startswith("error: "), said
    assert_silent({"status": said})


def test_arguments_that_do_not_fit_are_refused_without_being_repeated(place):
    """What serde says of a value that has the wrong type would repeat it."""
    sent = place.client.send_task("proj.add", args=[f"word {ARGUMENT}", 1], argsrepr="***", kwargsrepr="***")
    wait_until(lambda: place.saw("task-failed", sent.id), 30, "it fails")
    assert_silent({"log": place.worker.output(), "events": json.dumps(place.events, default=str)})
