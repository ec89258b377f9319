"""How many pages of a document run at once, over all workers (S2.4); also while one of them dies."""

import re

from conftest import PROGRAM, Process, Service, wait_until
from processes import RedisServer

QUEUES = "default,page_processing,document_orchestration,batch_processing,audio_generation"
MOST = 3


def running(job):
    """How many pages run, by the states run by run: `25o3r12q`."""
    return sum(int(count or 1) for count, state in re.findall(r"(\d*)([a-z.])", job["page_states"]) if state == "r")


def test_two_workers_never_run_more_pages_of_a_document_than_allowed_and_none_is_lost_with_one_of_them(tmp_path):
    with RedisServer(tmp_path) as redis:
        env = {"CELERY_BROKER_URL": redis.ready().broker_url, "CELERY_RESULT_BACKEND": redis.result_backend}
        with Service(tmp_path, env=env) as service:
            env["CELERIAC_STORE"] = str(tmp_path / "store")
            worker = [PROGRAM, "worker", "-Q", QUEUES, "-c", "4", "-n"]
            with Process("one", [*worker, "one@%h"], tmp_path, env) as one, Process("two", [*worker, "two@%h"], tmp_path, env):
                path = service.document("wide.pdf", 60)
                asked = {"source": {"kind": "path", "path": str(path)}, "options": {"page_parallelism": MOST, "summary": False}}
                job_id = service.post("/v1/jobs", json=asked).json()["job_id"]
                seen = []

                def look(ends):
                    job = service.job(job_id)
                    seen.append(running(job))
                    return ends(job)

                wait_until(lambda: look(lambda job: job["counts"]["ok"] >= 5), 120, "some pages are done", poll=0.01)
                one.kill_9()
                wait_until(lambda: look(lambda job: job["status"] == "completed"), 180, "the job ends", poll=0.01)
                assert service.job(job_id)["counts"]["ok"] == 60
                assert max(seen) <= MOST and max(seen) > 1, sorted(set(seen))
