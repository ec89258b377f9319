"""Random canvases come to the same end on Python workers, on celeriac workers, and on both together."""

import contextlib
import os
import random

import pytest
import redis as redis_client
from celery import Celery

from canvases import Canvas, draw
from processes import CeleriacWorker, PythonWorker, RedisServer, all_settled, wait_until

FLEETS = ("python", "celeriac", "mixed")
# RANDOM_CANVASES=1000 CANVAS_SEED=7 tries others than a day's run does.
COUNT = int(os.environ.get("RANDOM_CANVASES", 60))
SEED = int(os.environ.get("CANVAS_SEED", 1))


@pytest.fixture
def client(tmp_path, interop_worker_program):
    """The client of three fleets, each with a queue of its own."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(RedisServer(tmp_path)).ready()
        environment = {"CELERY_BROKER_URL": redis.broker_url, "CELERY_RESULT_BACKEND": redis.result_backend}
        for queue in ("python", "mixed"):
            stack.enter_context(PythonWorker("proj", f"python-{queue}", [queue], tmp_path, environment, 2))
        for queue in ("celeriac", "mixed"):
            stack.enter_context(CeleriacWorker(interop_worker_program, f"celeriac-{queue}", [queue], tmp_path, environment, 2))
        app = Celery("client", broker=redis.broker_url, backend=redis.result_backend)
        app.backend.result_consumer.cancel_for = lambda *_: None
        app.broker_client = redis_client.Redis.from_url(redis.broker_url)
        for queue in FLEETS:
            for _ in range(4):
                assert app.signature("proj.add", (2, 3), queue=queue).delay().get(timeout=60) == 5
        yield app
        app.close()


def test_a_random_canvas_ends_the_same_on_every_fleet(client):
    drawn = [draw(random.Random(f"{SEED} {n}")) for n in range(COUNT)]
    sent = [{fleet: Canvas(client, canvas, fleet) for fleet in FLEETS} for canvas in drawn]

    wait_until(lambda: all_settled(client.broker_client, *FLEETS), 120, "everything is done")

    different = []
    for n, (canvas, by_fleet) in enumerate(zip(drawn, sent)):
        ends = [by_fleet[fleet].end() for fleet in FLEETS]
        rows = [
            f"  #{place}: {dict(zip(FLEETS, row))}"
            for place, row in enumerate(zip(*ends, strict=True))
            if not agree(*row, is_end=place < by_fleet["celeriac"].ends)
        ]
        if rows:
            different.append("\n".join([f"canvas {n} of seed {SEED}: {canvas}", *rows]))
    assert not different, f"{len(different)} of {COUNT} differ\n" + "\n".join(different)


def agree(python, celeriac, mixed, is_end):
    """The same end everywhere; but where a failure leaves a task of Python's without an end for ever, celeriac's ends."""
    if python == "PENDING" and is_end:
        return celeriac.startswith("FAILURE") and (mixed == "PENDING" or mixed.startswith("FAILURE"))
    return python == celeriac == mixed or python == "PENDING" and mixed in (python, celeriac)
