"""Periodic tasks: schedulers that are killed, schedulers within workers, and Python workers that run what was sent."""

import contextlib
import json
import random
import signal
import time
from datetime import datetime

import pytest
import redis as redis_client

from processes import CeleriacWorker, Process, PythonWorker, wait_until

STATES, LEAD = "celeriac.beat.entries", "celeriac.beat.lead"

CONFIG = """
[celeriac]
lease = 1.5

[beat_schedule.quick]
task = "proj.add"
schedule = {interval}
args = [2, 3]
options = {{ queue = "{queue}", expires = 600 }}

[beat_schedule.nightly]
task = "proj.add"
schedule = {{ crontab = "0 4 * * mon-fri" }}
timezone = "Europe/Berlin"
"""


class Beat(Process):
    """`celeriac beat`."""

    def __init__(self, program, name, folder, env, *flags):
        super().__init__(name, [program, "beat", "-n", f"{name}@here", "-l", "debug", *flags], folder, env)


@pytest.fixture
def store(redis):
    with redis_client.Redis(port=redis.port, decode_responses=True) as store:
        yield store


@pytest.fixture
def configured(environment, tmp_path):
    """configured(interval, queue) is the environment of a deployment with a quick and a nightly task."""

    def write(interval, queue):
        path = tmp_path / "beat.toml"
        path.write_text(CONFIG.format(interval=interval, queue=queue))
        return {**environment, "CELERIAC_CONFIG": str(path)}

    return write


def state(store, entry="quick"):
    found = store.hget(STATES, entry)
    return found and json.loads(found)


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def leader(store, beats):
    """The scheduler that leads, when one does."""
    lead = store.get(LEAD)
    return lead and beats.get(lead.split(" ")[1].partition("@")[0])


def messages(store, queue):
    return [json.loads(text) for text in store.lrange(queue, 0, -1)]


def test_every_tick_is_sent_once_while_leaders_are_killed(celeriac_program, configured, store, tmp_path):
    interval = 4
    environment, seed = configured(interval, "ticks"), random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        beats = {}

        def start(number):
            name = f"beat{number}"
            beats[name] = stack.enter_context(Beat(celeriac_program, name, tmp_path, environment))

        start(0)
        start(1)
        wait_until(lambda: leader(store, beats), 30, "nobody leads")
        for number in range(2, 10):
            leads = wait_until(lambda: leader(store, beats), 10, "nobody leads")
            begun = wait_until(lambda: state(store), 10, "nothing is recorded")
            # Some die anywhere, some in the very moment they send.
            due = (seconds(begun["last_run_at"]) - time.time()) % interval
            pause = due + chance.uniform(-0.02, 0.02) if number % 2 else chance.uniform(0, interval)
            time.sleep(max(0, pause))
            leads.kill_9()
            start(number)
        wait_until(lambda: leader(store, beats), 10, "nobody leads after the last was killed")
        sent = state(store)["total_run_count"]
        wait_until(lambda: state(store)["total_run_count"] > sent, 2 * interval, "the last leader sends nothing")
        for beat in beats.values():
            if beat.alive():
                wait_until(lambda beat=beat: "beat: Starting..." in beat.output(), 20, f"{beat.name} has begun")
                assert beat.stop() == 0

    last, all_sent = state(store), messages(store, "ticks")
    passed = (seconds(last["last_run_at"]) - seconds(last["first_seen_at"])) / interval
    ids = {message["headers"]["id"] for message in all_sent}
    assert passed == pytest.approx(round(passed), abs=1e-3), "ticks lie on a grid"
    assert len(ids) == len(all_sent) == last["total_run_count"] == round(passed), (last, len(all_sent))
    assert state(store, "nightly")["total_run_count"] == 0
    assert all(message["headers"]["celery_beat_task"] is True for message in all_sent)


def test_a_python_worker_runs_what_is_sent(celeriac_program, configured, store, redis, client, tmp_path):
    environment = configured(1, "python")
    with Beat(celeriac_program, "beat", tmp_path, environment, "--pidfile", "beat.pid") as beat:
        with PythonWorker("proj", "runs", ["python"], tmp_path, environment):
            results = redis_client.Redis(port=redis.port, db=1, decode_responses=True)
            done = lambda: [key for key in results.scan_iter("celery-task-meta-*") if json.loads(results.get(key))["status"] == "SUCCESS"]
            keys = wait_until(lambda: len(done()) >= 2 and done(), 60, "nothing is run")
            assert {json.loads(results.get(key))["result"] for key in keys} == {5}
        assert (tmp_path / "beat.pid").read_text().strip() == str(beat._process.pid)
        beat.signal(signal.SIGINT)
        assert beat.stop() == 0
    assert not (tmp_path / "beat.pid").exists()
    assert "Scheduler: Sending due task quick (proj.add)" in beat.output()
    assert store.get(LEAD) is None, "it gave the lead up"


def test_workers_with_a_scheduler_send_each_tick_once(celeriac_program, configured, store, tmp_path):
    environment = configured(1, "ticks")
    with contextlib.ExitStack() as stack:
        for name in ["one", "two"]:
            worker = CeleriacWorker(celeriac_program, name, ["other"], tmp_path, environment, flags=["-B", "-s", "ignored"])
            stack.enter_context(worker)
        wait_until(lambda: (state(store) or {}).get("total_run_count", 0) >= 5, 60, "nothing is sent")
        ids = [message["headers"]["id"] for message in messages(store, "ticks")]
        assert len(ids) == len(set(ids)) and abs(len(ids) - state(store)["total_run_count"]) <= 1


def test_a_scheduler_answers_a_ping_when_it_is_to(celeriac_program, configured, client, tmp_path):
    with Beat(celeriac_program, "pinged", tmp_path, configured(60, "ticks"), "--enable-remote-control"):
        answer = wait_until(lambda: client.control.inspect(timeout=0.5).ping(), 30, "no answer to ping")
        assert answer == {"pinged@here": {"ok": "pong"}}
        assert client.control.inspect(timeout=0.5).stats() is None, "it answers nothing else"


def test_a_schedule_that_cannot_be_is_refused_at_the_start(celeriac_program, environment, tmp_path):
    (tmp_path / "beat.toml").write_text('[beat_schedule.dusk]\ntask = "t"\nschedule = { solar = "sunset", lat = 1, lon = 2 }\n')
    with Beat(celeriac_program, "refused", tmp_path, {**environment, "CELERIAC_CONFIG": "beat.toml"}) as beat:
        wait_until(lambda: not beat.alive(), 20, "it runs")
        assert "solar schedules are not supported" in beat.output() and "dusk" in beat.output()
