"""Workers told to be larger, smaller or to end, and what admins are told of the service itself."""

from urllib.parse import quote

import pytest
from conftest import PROGRAM, Process, Service, wait_until
from processes import RedisServer
from test_cli import House

OWN = "celery@serve"


def tell(service, worker, what, body=None):
    return service.post(f"/v1/workers/{quote(worker, safe='')}/{what}", json=body)


def slots(service):
    (worker,) = service.get("/v1/workers").json()["workers"]
    assert (worker["name"], worker["autoscale"]) == (OWN, None)
    return worker["slots"]


@pytest.fixture(scope="module")
def working(tmp_path_factory):
    settings = '[celeriac.webhooks]\nsecret = "canary-of-the-webhooks"\n'
    with Service(tmp_path_factory.mktemp("operate"), "--with-worker", settings=settings) as service:
        wait_until(lambda: len(service.get("/v1/workers").json()["workers"]) == 1, 30, "the worker answers")
        yield service


def test_a_worker_grows_and_shrinks(working):
    before = slots(working)
    grown = tell(working, OWN, "grow", {"n": 3})
    assert (grown.status_code, grown.json()) == (200, {"worker": OWN, "said": "pool will grow"})
    assert slots(working) == before + 3
    assert tell(working, OWN, "shrink", {"n": 2}).status_code == 200
    assert tell(working, OWN, "shrink").status_code == 200, "by one where nothing is said"
    assert slots(working) == before


def test_what_a_worker_cannot_do_is_refused_in_its_words(working):
    for what, body, status, word in [
        ("shrink", {"n": 1000}, 409, "one must stay"),
        ("autoscale", {"min": 1, "max": 4}, 409, "Autoscale not enabled"),
        ("autoscale", {"min": 5, "max": 4}, 422, "max is at least min"),
        ("grow", {"n": 0}, 422, "at least 1"),
        ("shutdown", None, 409, "end the service instead"),
    ]:
        refused = tell(working, OWN, what, body)
        assert refused.status_code == status and word in refused.json()["detail"], (what, refused.text)
    for what in ("grow", "shrink", "shutdown"):
        refused = tell(working, "celery@nowhere", what)
        assert refused.status_code == 404 and "no worker celery@nowhere answers" in refused.json()["detail"], refused.text


def test_an_admin_is_told_how_the_service_is_set_up_without_its_secrets(working):
    answer = working.get("/v1/settings")
    told = answer.json()
    settings = {setting["name"]: setting for setting in told["settings"]}
    assert settings["celeriac.documents.dpi"]["value"] == 40 and "celery_config.toml" in settings["celeriac.documents.dpi"]["origin"]
    assert settings["celeriac.documents.dpi"]["default"] is False and settings["task_default_queue"]["default"] is True
    assert settings["celeriac.webhooks.secret"]["value"] == "********" and "canary" not in answer.text
    assert told["file"] == "celery_config.toml" and told["default_queue"]


def test_the_doctor_looks_where_the_service_runs(working):
    told = working.get("/v1/doctor").json()
    found = {check["name"]: check["status"] for check in told["checks"]}
    assert {"redis", "pdfium", "ocr", "store", "analysis"} <= set(found), found
    assert told["ok"] == ("fail" not in found.values()) and found["store"] == "ok"


def test_a_service_without_an_archive_says_so(working, tmp_path):
    bucket = {"CELERIAC_STORE": "s3://bucket/prefix", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_REGION": "us-east-1",
              "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}  # fmt: skip
    with Service(tmp_path, env=bucket) as service:
        assert "finished jobs are not archived" in service.output()
    assert "not archived" not in working.output()


def test_a_queue_tells_what_waits_by_priority(working):
    queues = working.get("/v1/queues").json()["queues"]
    assert set(queues["page_processing"]["priorities"].values()) == {0} and queues["page_processing"]["oldest"] is None


def serving(service):
    """Which queues each worker takes from."""
    return {worker["name"].split("@")[0]: worker["queues"] for worker in service.get("/v1/workers").json()["workers"]}


def test_a_queue_is_resumed_by_those_who_took_from_it_and_nobody_else(tmp_path):
    pages, voices = "page_processing", "audio_generation"
    with RedisServer(tmp_path) as redis, House(tmp_path, redis.ready(), flags=()) as house:
        worker = lambda name, queue: Process(  # noqa: E731
            name, [PROGRAM, "worker", "-Q", queue, "-c", "1", "-n", f"{name}@%h"], tmp_path, house.environment()
        )
        with worker("pages", pages), worker("voices", voices):
            wait_until(lambda: serving(house) == {"pages": [pages], "voices": [voices]}, 60, "both answer")
            refused = house.post(f"/v1/queues/{pages}/resume")
            assert refused.status_code == 409 and "is not paused" in refused.json()["detail"], refused.text
            for _ in range(2):
                assert house.post(f"/v1/queues/{pages}/pause").status_code == 202, "also once more"
                wait_until(lambda: serving(house) == {"pages": [], "voices": [voices]}, 30, "nobody takes pages")
            assert house.post(f"/v1/queues/{pages}/resume").status_code == 202
            wait_until(lambda: serving(house)["pages"] == [pages], 30, "pages are taken again")
            assert serving(house) == {"pages": [pages], "voices": [voices]}
            assert house.post(f"/v1/queues/{pages}/resume").status_code == 409, "once"
            refused = house.post("/v1/queues/default/pause")
            assert refused.status_code == 409 and "no worker takes from default" in refused.json()["detail"], refused.text
