"""Dead letters on the command line of a program that is built on the library."""

import json
import os
import subprocess

import pytest
import redis as redis_client

from processes import Process, wait_until

HASH, INDEX = "celeriac.dead_letters", "celeriac.dead_letters_index"


@pytest.fixture
def raw(redis):
    return redis_client.Redis(port=redis.port, decode_responses=True)


@pytest.fixture
def dlq(interop_worker_program, environment, tmp_path):
    """dlq(words…) runs our command line; the process that has ended."""

    def run(*words):
        command = [str(interop_worker_program), "dlq", *map(str, words)]
        environ = {**os.environ, **environment}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environ, cwd=tmp_path, stdin=subprocess.DEVNULL
        )

    return run


def envelope(task, number):
    headers = {"task": task, "id": f"task-{number}", "redelivered": True, "x-delivery-count": 5, "x-run-alone": 4, "retries": 2}
    properties = {"delivery_info": {"exchange": "", "routing_key": "pages", "redelivered": True}, "delivery_tag": str(number)}
    return json.dumps({"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json",
                       "headers": headers, "properties": {**properties, "body_encoding": "base64"}})


def bury(pipeline, number, task="proj.add", reason="delivered 5 times", queue="pages", age=0, now=0):
    letter = {"queue": queue, "reason": reason, "nodename": "w1@host", "deliveries": 5, "time": "2026-01-02T03:04:05+00:00",
              "envelope": envelope(task, number)}
    pipeline.hset(HASH, f"letter-{number}", json.dumps(letter))
    pipeline.zadd(INDEX, {f"letter-{number}": now - age})


@pytest.fixture
def three(raw):
    now = int(raw.time()[0])
    bury(raw, 1, age=7200, now=now)
    bury(raw, 2, task="proj.other", reason="its retries are used up", age=60, now=now)
    bury(raw, 3, queue="audio", now=now)


def test_letters_are_listed_and_shown(three, dlq):
    listed = dlq("list")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.startswith("2026-01-02 03:04:05Z  audio  proj.add[task-3]\n    delivered 5 times\n    id: letter-3\n")
    assert listed.stdout.endswith("3 of 3 dead letters.\n")
    found = json.loads(dlq("list", "--json", "--task", "proj.add", "--older", "1h").stdout)
    assert (found["total"], [letter["task_id"] for letter in found["letters"]]) == (3, ["task-1"])
    found = json.loads(dlq("list", "--json", "--skip", 1, "--limit", 1).stdout)
    assert [letter["id"] for letter in found["letters"]] == ["letter-2"]
    for name in ("letter-2", "task-2"):
        shown = json.loads(dlq("show", name, "--json").stdout)
        assert (shown["reason"], shown["queue"], shown["node"]) == ("its retries are used up", "pages", "w1@host")
        assert json.loads(shown["message"])["headers"]["task"] == "proj.other"
    assert "reason      its retries are used up\n" in dlq("show", "letter-2").stdout


def test_what_is_not_there_and_what_is_not_said_have_their_codes(three, dlq, raw):
    missing = dlq("show", "nobody")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("error: there is no dead letter nobody · ")
    assert dlq("requeue", "-f", "nobody").returncode == 1
    unnamed = dlq("discard", "-f")
    assert (unnamed.returncode, "--all" in unnamed.stderr) == (2, True)
    unasked = dlq("requeue", "--all")
    assert (unasked.returncode, "-f does it unasked" in unasked.stderr) == (2, True)
    assert dlq("requeue", "--all", "--task", "x", "-f").returncode == 2
    assert dlq("discard", "--task", "nobody", "-f").stdout == "0 dead letters discarded.\n"
    assert raw.hlen(HASH) == 3


def test_letters_are_requeued_and_discarded_as_they_are_named(three, dlq, raw):
    done = dlq("requeue", "--queue", "pages", "--reason", "DELIVERED", "--yes")
    assert (done.returncode, done.stdout) == (0, "1 dead letter requeued.\n"), done.stderr
    assert done.stderr == "Back to their queues: 1 dead letter\n  1 from pages: proj.add\n"
    [text] = raw.lrange("pages", 0, -1)
    headers = json.loads(text)["headers"]
    assert headers == {"task": "proj.add", "id": "task-1", "retries": 0}
    done = dlq("discard", "-f", "--json", "task-2", "letter-3")
    assert json.loads(done.stdout) == {"discarded": 2, "left": 0}
    assert (raw.hlen(HASH), raw.zcard(INDEX)) == (0, 0)


def test_what_cannot_go_back_stays_and_is_told(three, dlq, raw):
    raw.set("audio", "no queue")
    done = dlq("requeue", "--all", "-f")
    assert (done.returncode, done.stdout) == (3, "2 dead letters requeued.\n")
    assert "1 stayed" in done.stderr
    assert raw.hkeys(HASH) == ["letter-3"]


def test_a_kill_in_the_middle_of_10_000_loses_and_doubles_nothing(dlq, raw, interop_worker_program, environment, tmp_path):
    count = 10_000
    with raw.pipeline() as pipeline:
        for number in range(count):
            bury(pipeline, number, now=number)
        pipeline.execute()
    kills = 0
    while raw.hlen(HASH):
        before = raw.llen("pages")
        command = [interop_worker_program, "dlq", "requeue", "--all", "-f"]
        with Process(f"dlq-{kills}", command, tmp_path, environment) as process:
            wait_until(lambda: raw.llen("pages") > before or not process.alive(), 60, "some went", poll=0)
            process.kill_9()
        kills += 1
        # One look: what the killed command had sent may still be carried out.
        with raw.pipeline() as look:
            pages, letters, index = look.lrange("pages", 0, -1).hvals(HASH).zcard(INDEX).execute()
        went = [json.loads(text)["headers"]["id"] for text in pages]
        kept = [json.loads(json.loads(text)["envelope"])["headers"]["id"] for text in letters]
        assert len(went) + len(kept) == len({*went, *kept}) == count
        assert index == len(kept)
        if kills == 5:
            dlq("requeue", "--all", "-f")
    assert kills > 1, "no kill came in the middle"
    assert raw.llen("pages") == count
