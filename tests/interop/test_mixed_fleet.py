"""Canvases of every kind over a Python and a celeriac worker: each step in turn on the other side."""

import contextlib

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError

from processes import CeleriacWorker, PythonWorker, RedisServer, wait_until

# The side a canvas begins on; the other one follows.
BOTH_WAYS = pytest.mark.parametrize("first, second", [("python", "celeriac"), ("celeriac", "python")])
SIDES = ("python", "celeriac")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, interop_worker_program):
    """The client of a Python and a celeriac worker, which all tests of this file share: a queue for each, and `celery` for both."""
    folder = tmp_path_factory.mktemp("fleet")
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder)).ready()
        environment = {"CELERY_BROKER_URL": redis.broker_url, "CELERY_RESULT_BACKEND": redis.result_backend}
        stack.enter_context(PythonWorker("proj", "python", ["python", "celery"], folder, environment, 4))
        stack.enter_context(CeleriacWorker(interop_worker_program, "celeriac", ["celeriac", "celery"], folder, environment, 4))
        app = Celery("client", broker=redis.broker_url, backend=redis.result_backend)
        app.backend.result_consumer.cancel_for = lambda *_: None
        for queue in SIDES:
            assert app.signature("proj.add", (2, 3), queue=queue).delay().get(timeout=60) == 5
        yield app
        app.close()


@pytest.fixture
def call(fleet):
    """call(name, *args, on=…) is a signature of one of the tasks that both sides have, for the queue of one side."""

    def signature(name, *args, on, **options):
        return fleet.signature(f"proj.{name}", args=args, queue=on, **options)

    return signature


def value(canvas):
    return canvas.apply_async().get(timeout=30)


@BOTH_WAYS
def test_chords_in_a_chords_header_hand_their_bodies_values_on(fleet, call, first, second):
    inner = [chord([call("add", i, j, on=first) for j in range(3)], call("xsum", on=second), app=fleet) for i in range(3)]

    assert value(chord([*inner, call("add", 50, 50, on=first)], call("xsum", on=first), app=fleet)) == 18 + 100


@BOTH_WAYS
def test_a_chord_between_two_steps_of_a_chain(fleet, call, first, second):
    header = [call("add", n, on=side) for n, side in enumerate((first, second, first, second))]
    middle = chord(header, call("xsum", on=second), app=fleet)

    assert value(chain(call("add", 10, 0, on=first), middle, call("add", 1000, on=first), app=fleet)) == 1046


@BOTH_WAYS
def test_a_group_between_two_steps_of_a_chain_is_a_chord(fleet, call, first, second):
    middle = group([call("add", 1, on=first), call("add", 2, on=second)], app=fleet)

    assert value(chain(call("add", 1, 1, on=second), middle, call("xsum", on=first), app=fleet)) == 7


@BOTH_WAYS
def test_chains_in_a_group_and_a_group_at_the_end_of_a_chain(fleet, call, first, second):
    chains = [chain(call("add", n, 1, on=first), call("add", 10, on=second), app=fleet) for n in range(5)]
    assert value(group(chains, app=fleet)) == [11 + n for n in range(5)]

    end = group([call("add", n, on=second) for n in range(3)], app=fleet)
    assert value(chain(call("add", 1, 1, on=first), end, app=fleet)) == [2, 3, 4]


@BOTH_WAYS
def test_a_header_of_chains_is_joined_in_its_order(fleet, call, first, second):
    header = [chain(call("add", n, 1, on=first), call("add", 10, on=second), app=fleet) for n in range(5)]

    assert value(chord(header, call("echo", on=first), app=fleet)) == [[[11 + n for n in range(5)]], {}]


@BOTH_WAYS
def test_links_are_called_on_the_other_side(fleet, call, first, second):
    links = [call("add", n, on=second) for n in (10, 20)]
    ids = [link.freeze().id for link in links]

    call("add", 1, 1, on=first).apply_async(link=links)

    assert [fleet.AsyncResult(id).get(timeout=30) for id in ids] == [12, 22]


@BOTH_WAYS
def test_an_errback_on_the_other_side_is_told_the_failed_id(fleet, call, first, second):
    errback = call("told", on=second)
    told = errback.freeze()

    failed = call("part", 7, 0, True, on=first).apply_async(link_error=errback)

    assert told.get(timeout=30) == failed.id
    with pytest.raises(ValueError, match="part 7"):
        fleet.AsyncResult(failed.id).get(timeout=30)


@BOTH_WAYS
def test_a_failure_travels_down_the_chain_to_the_other_side(fleet, call, first, second):
    steps = chain(call("part", 7, 0, True, on=first), call("add", 1, on=second), call("add", 1, on=first), app=fleet).apply_async()

    for result in (steps, steps.parent, steps.parent.parent):
        with pytest.raises(ValueError, match="part 7"):
            result.get(timeout=30)


@BOTH_WAYS
def test_a_failed_header_fails_its_body_and_tells_its_errback(fleet, call, first, second):
    errback = call("told", on=first)
    told = errback.freeze()
    header = [call("part", 1, 0, True, on=first), *(call("part", n, 0.05, on=second) for n in range(4))]

    failed = chord(header, app=fleet)(call("xsum", on=second).on_error(errback))

    with pytest.raises(ChordError, match="ValueError.*part 1"):
        fleet.AsyncResult(failed.id).get(timeout=30)
    assert told.get(timeout=30) == failed.id


@BOTH_WAYS
def test_a_failed_chord_in_a_header_fails_the_outer_body_where_celeriac_ends_it(fleet, call, first, second):
    # The slow part ends the inner chord: so slow that Python has told of the other's failure before. Python tells the outer one nothing, and its body waits for ever: Celery's own gap.
    inner = chord([call("part", 1, 0, True, on=first), call("part", 2, 8 if first == "python" else 2, on="celeriac")], call("xsum", on=second), app=fleet)

    failed = chord([inner, call("add", 1, 1, on=second)], app=fleet)(call("xsum", on=first))

    with pytest.raises(ChordError, match="part 1"):
        fleet.AsyncResult(failed.id).get(timeout=30)


@BOTH_WAYS
@pytest.mark.parametrize("kind, expected", [("task", 6), ("chain", 8), ("group", [6, 7]), ("chord", 13)])
def test_a_task_is_replaced_by_a_canvas_for_the_other_side(fleet, call, first, second, kind, expected):
    replaced = call("replaced", kind, 5, second, on=first)
    assert value(replaced) == expected

    next_step = call("echo", on=first)
    assert value(chain(replaced.clone(), next_step, app=fleet)) == [[expected], {}]

    header = [replaced.clone(), call("add", 1, 1, on=second)]
    assert value(chord(header, next_step.clone(), app=fleet)) == [[[expected, 2]], {}]


@BOTH_WAYS
def test_a_part_that_is_retried_counts_once_and_keeps_its_chord(fleet, call, first, second):
    header = [call("flaky", 3, on=first), call("flaky", 2, on=second), call("flaky", 4, on="celery")]

    assert value(chord(header, call("echo", on=second), app=fleet)) == [[[3, 2, 4]], {}]


@BOTH_WAYS
def test_priority_and_lineage_of_a_step_are_what_the_client_said(fleet, call, first, second):
    begin = call("add", 1, 1, on=first)
    step = call("request", on=second, priority=6)
    last = chain(begin, step, app=fleet).apply_async()

    seen = last.get(timeout=30)

    assert (seen["by"], seen["priority"]) == (second, 6)
    assert seen["root_id"] == seen["parent_id"] == last.parent.id


@BOTH_WAYS
def test_stamps_travel_with_every_step_and_callback(fleet, call, first, second):
    link = call("request", on=first)
    linked = link.freeze()
    end = call("request", on=first)
    end.link(link)
    canvas = chain(call("request", on=first), call("request", on=second), end, app=fleet)
    canvas.stamp(trace="t-1", shelf=["a", "b"])
    last = canvas.apply_async()

    for result in (last, last.parent, last.parent.parent, linked):
        seen = result.get(timeout=30)
        assert sorted(seen["stamped_headers"]) == ["shelf", "trace"]
        assert {name: seen["stamps"][name] for name in ("trace", "shelf")} == {"trace": "t-1", "shelf": ["a", "b"]}


@BOTH_WAYS
def test_stamps_stay_on_a_header_and_its_body(fleet, call, first, second):
    canvas = chord([call("request", on=first), call("request", on=second)], call("echo", on=second), app=fleet)
    canvas.stamp(trace="t-2")

    (parts,), _ = value(canvas)

    assert [part["stamps"]["trace"] for part in parts] == ["t-2", "t-2"]


@BOTH_WAYS
def test_parts_whose_results_are_ignored_count(fleet, call, first, second):
    header = [call("add", 1, 1, on=first, ignore_result=True), call("add", 2, 2, on=second, ignore_result=True)]
    result = chord(header, app=fleet)(call("xsum", on=second))

    assert result.get(timeout=30) == 6
    assert [fleet.backend.get(f"celery-task-meta-{part.id}") for part in result.parent.results] == [None, None]


@BOTH_WAYS
@pytest.mark.parametrize("compression", ["zlib", "bzip2"])
def test_compressed_steps_are_read_on_both_sides(fleet, call, first, second, compression):
    steps = [call("add", n, on=side).set(compression=compression) for n, side in ((1, second), (2, first), (3, second))]

    assert value(chain(call("add", 1, 0, on=first).set(compression=compression), *steps, app=fleet)) == 7


def test_a_header_over_both_sides_and_one_queue_is_joined_in_its_order(fleet, call):
    header = [call("add", n, 0, on=("python", "celeriac", "celery")[n % 3]) for n in range(90)]

    assert value(chord(header, call("echo", on="celery"), app=fleet)) == [[list(range(90))], {}]


def test_nothing_is_left_of_chords_but_their_marks(fleet, call):
    result = chord([call("add", n, n, on="celery") for n in range(20)], app=fleet)(call("xsum", on="celery"))
    assert result.get(timeout=30) == 380
    base = f"celery-taskset-meta-{result.parent.id}"

    # The body may be quicker than the closing of its chord.
    wait_until(lambda: fleet.backend.client.get(f"{base}.c") == b"done", 10, "the chord is closed")
    assert fleet.backend.client.keys(f"{base}.*") == [f"{base}.c".encode()]


@pytest.fixture
def waiting(call):
    """waiting() sends a task that waits for its time on each side, and returns both results."""
    return lambda: [call("echo", on=side, countdown=60).delay() for side in SIDES]


def wait_until_held(fleet, results):
    """Waits until a worker of each side holds its message: Python shows it as scheduled, and so does celeriac."""
    ids = {result.id for result in results}

    def held():
        answers = (fleet.control.inspect(timeout=1).scheduled() or {}).values()
        return ids <= {entry["request"]["id"] for entries in answers for entry in entries}

    wait_until(held, 30, "both sides hold their message")


def test_a_revoke_by_id_reaches_both_sides(fleet, waiting):
    results = waiting()
    wait_until_held(fleet, results)

    fleet.control.revoke([result.id for result in results])

    for result in results:
        with pytest.raises(TaskRevokedError):
            result.get(timeout=30)


@BOTH_WAYS
def test_a_revoke_by_stamps_reaches_both_sides(fleet, call, first, second):
    replies = fleet.control.revoke_by_stamped_headers({"tenant": [f"gone from {first}"]}, reply=True, timeout=10, limit=2)
    assert len(replies) == 2
    steps = [call("echo", on=side) for side in (first, second)]
    group_of_both = group(steps, app=fleet)
    group_of_both.stamp(tenant=f"gone from {first}")
    kept = call("echo", on=second)
    kept.stamp(tenant="kept")

    results = group_of_both.apply_async()

    for result in results.results:
        with pytest.raises(TaskRevokedError):
            result.get(timeout=30)
    assert kept.delay().get(timeout=30) == [[], {}]
