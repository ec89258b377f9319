"""A large job over a process for each queue and the service, with Redis and a Postgres archive, while each of them is killed.

FULL=1: 500 pages, else 150. SEED: the one that was printed, to have the same deaths again.
"""

import os
import random
import shutil
import signal
import time

import pytest
import redis
import requests
from conftest import PROGRAM, Service
from processes import CeleriacWorker, PostgresServer, RedisServer, absent, wait_until

PAGES = 500 if os.environ.get("FULL") == "1" else 150
QUEUES = ["default", "page_processing", "batch_processing", "document_orchestration", "audio_generation"]
# Those whose work is done within seconds of the beginning: they die by the clock, the others by how far the job is.
EARLY = ["batch_processing", "document_orchestration"]


class Deployment:
    """A worker for each queue, and the service; each can be killed, and is started again."""

    def __init__(self, folder, server, postgres):
        (folder / "in").mkdir()
        self.folder, self.redis = folder, redis.Redis(port=server.port)
        self.env = {
            "CELERY_BROKER_URL": server.broker_url,
            "CELERY_RESULT_BACKEND": server.result_backend,
            "CELERIAC_STORE": str(folder / "store"),
            "DATABASE_URL": postgres.url,
            "NO_COLOR": "1",
        }
        self.service = Service(folder, env=self.env)
        self.workers = {queue: self._worker(queue) for queue in QUEUES}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers.values():
            worker.__exit__()
        self.service.kill_group()

    def _worker(self, queue):
        return CeleriacWorker(PROGRAM, queue, [queue], self.folder, self.env)

    def kill(self, name):
        """Ends a process and its children as the end of a container does, and starts it again."""
        if name == "serve":
            self.service.kill_group()
            self.service = Service(self.folder, env=self.env, port=self.service.port)
        else:
            self.workers[name].kill_group()
            self.workers[name] = self._worker(name)


@pytest.fixture
def deployment(tmp_path):
    if not PostgresServer.program("postgres"):
        absent("Postgres is not installed (scripts/setup postgres)")
    if not shutil.which("espeak-ng"):
        absent("espeak-ng is not installed (scripts/setup system)")
    with PostgresServer().ready() as postgres, RedisServer(tmp_path).ready() as server:
        with Deployment(tmp_path, server, postgres) as deployment:
            yield deployment


def deaths(draw):
    """Who dies, and whether he is due: by the seconds since the job was handed in, and the pages that have ended."""
    due = {queue: (lambda at: lambda seconds, _: seconds >= at)(draw.uniform(0, 3)) for queue in EARLY}
    for name in ("default", "page_processing", "serve"):
        due[name] = (lambda at: lambda _, pages: pages >= at)(draw.randrange(1, PAGES * 9 // 10))
    return due


@pytest.mark.timeout(900)
def test_s0_1_and_s2_22_a_large_job_outlives_the_death_of_every_process_and_its_history_that_of_redis(deployment):
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")
    draw = random.Random(seed)
    waiting = deaths(draw)
    path = deployment.service.document("large.pdf", PAGES)
    body = {"job_id": "large", "source": {"kind": "path", "path": str(path)}, "options": {"summary": True, "audio": True}, "tags": ["kept"]}
    # Until the narration is wanted nobody makes it: so its worker can die over it.
    audio = deployment.workers["audio_generation"]
    wait_until(lambda: audio.check() and " ready." in audio.output(), 60, "the worker of audio is ready")
    audio.signal(signal.SIGSTOP)
    assert deployment.service.post("/v1/jobs", json=body).status_code == 202

    began = time.monotonic()

    def narration_waits():
        job = deployment.service.job("large")
        pages = job["counts"]["ok"] + job["counts"]["cached"]
        assert job["status"] in ("queued", "processing"), job
        for name in [name for name, due in waiting.items() if due(time.monotonic() - began, pages)]:
            del waiting[name]
            print(f"{time.monotonic() - began:6.2f} s, {pages:3} pages: {name} dies")
            deployment.kill(name)
        return sum(deployment.redis.llen(key) for key in deployment.redis.scan_iter("audio_generation*"))

    wait_until(narration_waits, 600, "all pages are there, and the summary")
    assert not waiting, f"{sorted(waiting)} did not die"
    audio.signal(signal.SIGCONT)
    time.sleep(draw.uniform(0, 0.5))
    print(f"{time.monotonic() - began:6.2f} s: audio_generation dies")
    deployment.kill("audio_generation")

    done = deployment.service.job_ended("large", 300)
    print(f"{time.monotonic() - began:6.2f} s: {done['status']}")
    assert (done["status"], done["counts"]["ok"] + done["counts"]["cached"], done["percent"]) == ("completed", PAGES, 100.0)
    whole(deployment.service)

    # Everything in Redis is lost, and the service begins anew.
    wait_until(lambda: deployment.service.get("/v1/history").json()["jobs"], 60, "the job is archived")
    deployment.redis.flushall()
    deployment.kill("serve")
    service = deployment.service
    assert [job["job_id"] for job in service.get("/v1/history", params={"tag": "kept", "q": "large"}).json()["jobs"]] == ["large"]
    assert service.job("large")["counts"] == done["counts"]
    whole(service)
    # And it works on.
    again = service.document("after.pdf", 2)
    job_id = service.post("/v1/jobs", json={"source": {"kind": "path", "path": str(again)}}).json()["job_id"]
    assert service.job_ended(job_id)["status"] == "completed"


def whole(service):
    """The result has each page in its place, a summary, a narration that plays, and the time of each stage (S2.22)."""
    result = service.get("/v1/jobs/large/result").json()
    assert [(page["page"], page["status"]) for page in result["pages"]] == [(page, "ok") for page in range(1, PAGES + 1)]
    assert all(f"This is page {page['page']} of" in page["text"]["content"] for page in result["pages"])
    assert result["summary"]["executive"]
    part = requests.get(service.url + result["audio"]["parts"][0]["url"], timeout=60)
    assert part.status_code == 200 and part.headers["content-type"].startswith("audio/") and len(part.content) > 10_000
    assert all(result["timings"]["stages_ms"][stage] > 0 for stage in ("pages", "audio"))
