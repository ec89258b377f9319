"""Canvases that the example `client` sends from Rust, run by a plain Python worker; their results come back into Rust."""

import json
import os
import subprocess

import pytest
import redis as redis_client
from celery import Celery, group
from celery.result import GroupResult

from conftest import program
from processes import TARGET, PythonWorker, RedisServer, wait_until

PAGE_FAILED = {"state": "FAILURE", "type": "OutOfPaper", "module": "rust_calls", "args": ["tray 2", 7], "traceback": True}

RESULTS = {
    "task": 5,
    "kwargs": 7,
    "partial": 7,
    "chain": 20,
    "immutable": 4,
    "group": [2, 4, 6],
    "nested_group": [2, 4, 6],
    "group_of_chains": [4, 12],
    "chord": 12,
    "empty_chord": 0,
    "chord_of_chains": 16,
    "chord_of_groups": 12,
    "chord_of_chains_that_end_in_groups": [[4, 6], 10],
    "chord_with_a_chain_as_body": 120,
    "chord_with_a_group_as_body": [12, [2, 4, 6]],
    "nested_chords": 3800,
    "chain_with_group": 100,
    "chain_that_ends_in_a_group": [4, 6],
    "two_groups_in_a_chain": 30,
    "map": [3, 1, 2],
    "starmap": [3, 7],
    "chunks": [[0, 2], [4, 6], [8]],
    "skewed_chunks": [[0, 2], [4, 6]],
    "chunks_in_a_chain": [[0, 2], [4, 6]],
    "msgpack": ["a", "é", "😀"],
    "zlib": "compressed",
    "bzip2": "compressed",
    "lzma": "compressed",
    "zstd": 4,
    "replaced": 60,
    "ignored": None,
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """A Python worker over a Redis of its own; fleet(name) is what the Rust client prints of a canvas."""
    folder = tmp_path_factory.mktemp("fleet")
    rust_client = program("CELERIAC_CLIENT", TARGET / "debug/examples/client")
    with RedisServer(folder) as server:
        environment = {"CELERY_BROKER_URL": server.ready().broker_url, "CELERY_RESULT_BACKEND": server.result_backend}
        with PythonWorker("rust_calls", "python", ["celery"], folder, environment) as worker:

            def run(*arguments):
                worker.check()
                command = [str(rust_client), *arguments]
                ended = subprocess.run(command, capture_output=True, text=True, timeout=90, env={**os.environ, **environment})
                assert ended.returncode == 0, f"{arguments}: {ended.stderr}\n{worker.output()[-4000:]}"
                return json.loads(ended.stdout)

            run.environment = environment
            run.broker = redis_client.Redis.from_url(server.broker_url, decode_responses=True)
            run.results = redis_client.Redis.from_url(server.result_backend, decode_responses=True)
            # Who is not up yet does not hear a revoke.
            assert run("task") == {"result": 5}
            yield run


def noted(fleet, key, count):
    """What the Python tasks have written down under a key, once so many are there."""
    wait_until(lambda: fleet.broker.llen(key) >= count, 20, f"{count} under {key}")
    found = [json.loads(text) for text in fleet.broker.lrange(key, 0, -1)]
    fleet.broker.delete(key)
    return found


def failure(answer):
    found = answer["failure"]
    return found.pop("task_id"), found


@pytest.mark.parametrize("name", RESULTS)
def test_a_canvas_from_rust_runs_on_python_and_its_result_comes_back(fleet, name):
    assert fleet(name) == {"result": RESULTS[name]}


def test_callbacks_of_a_task_and_of_a_chord_are_called_with_its_value(fleet):
    assert fleet("link") == {"result": 4}
    assert noted(fleet, "noted", 2) == [4, 4]
    assert fleet("link_of_a_chord") == {"result": 12}
    assert noted(fleet, "noted", 1) == [12]


def test_an_exception_of_python_reaches_rust_with_class_module_and_arguments(fleet):
    task_id, found = failure(fleet("link_error"))
    assert found == PAGE_FAILED
    assert noted(fleet, "told", 1) == [task_id], "and its errback was called with its id"


def test_a_failed_header_fails_the_chord_and_tells_its_errback(fleet):
    task_id, found = failure(fleet("link_error_of_a_chord"))
    assert (found["type"], found["module"]) == ("ChordError", "celery.exceptions")
    assert "OutOfPaper('tray 2', 7)" in found["args"][0]
    assert noted(fleet, "told", 1) == [task_id]


@pytest.mark.parametrize("name", ["failed_chain", "failed_group"])
def test_a_failed_part_fails_the_whole_with_its_own_exception(fleet, name):
    assert failure(fleet(name))[1] == PAGE_FAILED


def test_a_call_of_an_unknown_task_and_one_that_came_too_late_are_told_apart(fleet):
    unknown = failure(fleet("unknown"))[1]
    assert (unknown["state"], unknown["type"], unknown["args"]) == ("FAILURE", "NotRegistered", ["calls.no_such_task"])
    expired = failure(fleet("expired"))[1]
    assert (expired["state"], expired["type"], expired["args"]) == ("REVOKED", "TaskRevokedError", ["expired"])


def test_stamps_reach_every_task_and_callback(fleet):
    request = fleet("stamps")["result"]
    assert (request["stamps"], sorted(request["stamped_headers"])) == ({"tenant": "t1", "tags": ["a", "b"]}, ["tags", "tenant"])
    assert fleet("stamps_of_links") == {"result": 4}
    assert noted(fleet, "noted_stamps", 1) == [{"tenant": "t2"}]
    answer = fleet("stamps_of_a_chord")
    assert "result" in answer, answer
    (header,) = answer["result"]
    assert header["stamps"] == {"named": "calls.request"}
    assert noted(fleet, "noted_stamps", 1) == [{"body": True, "named": "calls.noted_stamps"}]


def test_options_of_a_call_reach_the_worker(fleet):
    plain = fleet("priority")["result"]
    assert (plain["priority"], plain["exchange"], plain["routing_key"]) == (6, "", "celery")
    assert plain["own_root"] and plain["answers_to"]
    assert fleet("limits")["result"]["timelimit"] == [30, 20]
    shown = fleet("shown")["result"]
    assert (shown["argsrepr"], shown["shadow"], shown["custom"]) == ("('***',)", "a secret call", [1, 2])
    for name in ("countdown", "eta"):
        assert fleet(name)["result"]["eta"], name


def test_a_result_is_waited_for_as_long_as_is_said(fleet):
    assert fleet("time_out") == [True, 2, True]


def test_a_group_is_saved_restored_and_forgotten(fleet):
    assert fleet("group_result") == [[2, 4, 6, 8], 4, 0]


def test_a_result_leads_to_those_before_it_and_to_its_children(fleet):
    assert fleet("relatives") == [12, 4, 2, True, True]
    assert fleet("by_name") == 7


def test_tasks_are_revoked_before_they_begin_while_they_run_and_by_their_stamps(fleet):
    answers = fleet("revoke")
    assert all("failure" in answer for answer in answers), answers
    ended = [failure(answer)[1] for answer in answers]
    assert [(end["state"], end["type"], end["args"][0]) for end in ended] == [
        ("REVOKED", "TaskRevokedError", "revoked"),
        ("REVOKED", "TaskRevokedError", "terminated"),
        ("REVOKED", "TaskRevokedError", "terminated"),
    ]


def test_a_group_that_one_side_saved_is_restored_by_the_other(fleet):
    app = Celery("client", broker=fleet.environment["CELERY_BROKER_URL"], backend=fleet.environment["CELERY_RESULT_BACKEND"])
    sent = group([app.signature("calls.add", args=(n, n)) for n in range(3)], app=app).apply_async()
    sent.save()
    assert fleet("restore", sent.id) == [0, 2, 4]
    assert GroupResult.restore(fleet("save"), app=app).get(timeout=30) == [2, 4]
    app.backend.result_consumer.cancel_for = lambda *_: None
    app.close()
