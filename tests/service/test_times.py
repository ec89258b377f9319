"""How times are written (C7): kept in milliseconds of UTC, told in seconds where S1 has seconds, and as RFC 3339 with +00:00 everywhere else."""

import json
import re
import sqlite3
import time
from datetime import datetime, timedelta

import pytest
import redis
from conftest import Service
from processes import RedisServer, wait_until

WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?\+00:00")
LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


def values(answer, name=""):
    """Every value of a JSON document that is no list or object, with the name it stands under."""
    if isinstance(answer, dict):
        for key, value in answer.items():
            yield from values(value, key)
    elif isinstance(answer, list):
        for value in answer:
            yield from values(value, name)
    else:
        yield name, answer


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A service on Redis with a job that has ended, and its server."""
    folder = tmp_path_factory.mktemp("times")
    with RedisServer(folder).ready() as server:
        env = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.broker_url}
        with Service(folder, "--with-worker", env=env) as service:
            with service.document("times.pdf", 60).open("rb") as file:
                told = service.post("/api/documents/async-upload", files=[("files", ("times.pdf", file))]).json()
            job_id = told["jobs"][0]["jobId"]
            service.job_ended(job_id)
            wait_until(lambda: service.get("/v1/history").json()["jobs"], 30, "the job is archived")
            yield service, server, job_id


def test_c7_every_time_that_is_told_is_rfc_3339_with_its_offset(told):
    service, _, job_id = told
    job = f"/v1/jobs/{job_id}"
    routes = ["/v1/jobs", "/v1/history", "/v1/stats", "/v1/audit", "/batch-stats", job, f"{job}/result", f"{job}/pages", f"{job}/pages/1"]
    routes += [f"{job}/log", f"{job}/tasks", f"/batch-status/{job_id}", f"/api/jobs/status?jobId={job_id}", "/api/pipeline/process"]
    seen = set()
    for route in routes:
        answer = service.get(route)
        assert answer.status_code == 200, answer.text
        for name, value in values(answer.json()):
            if isinstance(value, str) and LIKE_A_TIME.match(value):
                assert WRITTEN.fullmatch(value), f"{route}: {name} is {value}"
                assert abs(datetime.now().astimezone() - datetime.fromisoformat(value)) < timedelta(hours=1)
                seen.add((route, name))
            # No time is a bare number.
            assert not (isinstance(value, (int, float)) and 1e9 < value < 1e13 and name != "memory_bytes"), f"{route}: {name} is {value}"
    expected = {(job, "created"), (job, "finished"), (f"{job}/log", "at"), ("/v1/audit", "at"), ("/v1/stats", "timestamp")}
    assert seen >= expected | {(f"/api/jobs/status?jobId={job_id}", "createdAt"), (f"{job}/result", "created"), ("/v1/history", "finished")}


def test_c7_the_end_that_is_foretold_too(tmp_path):
    with Service(tmp_path, "--with-worker") as service:
        path = service.document("foretold.pdf", 400)
        service.post("/process-large-document", json={"job_id": "foretold", "path": str(path), "num_pages": 400})
        foretold = wait_until(lambda: service.get("/batch-status/foretold").json()["estimated_completion_iso"], 60, "its end is foretold")
        assert WRITTEN.fullmatch(foretold)
        service.post("/cancel-job/foretold")


def test_c7_s1s_times_are_whole_seconds(told):
    service, _, job_id = told
    status = service.get("/api/documents/async-upload", params={"jobId": job_id}).json()
    times = [status["createdAt"], status["processedAt"], status["finishedAt"]]
    assert all(type(at) is int and abs(time.time() - at) < 3600 for at in times) and times == sorted(times)
    finished = datetime.fromisoformat(service.job(job_id)["times"]["finished"])
    assert status["finishedAt"] == int(finished.timestamp())


def test_c7_they_are_kept_in_milliseconds(told):
    service, server, job_id = told
    finished = round(datetime.fromisoformat(service.job(job_id)["times"]["finished"]).timestamp() * 1000)
    client = redis.Redis(port=server.port, decode_responses=True)
    _, _, entry = client.get(f"celeriac:job:{job_id}").partition(" ")
    kept = json.loads(entry)["times"]
    assert kept["f"] == finished and all(type(at) is int for at in kept.values())
    with sqlite3.connect(service.folder / "store/archive.db") as archive:
        assert archive.execute("SELECT finished_ms FROM celeriac_jobs WHERE job_id = ?", [job_id]).fetchone() == (finished,)
