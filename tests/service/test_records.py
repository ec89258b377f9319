"""What is kept of a finished job in Redis (S3.19), without its pages: its entry and its places in lists."""

import redis
from conftest import Service
from processes import RedisServer, wait_until

JOBS = 20
DAYS = 86_400
# The aim is 1 MB for a thousand jobs; each list that a job stands in takes about 150 bytes, and there are four.
MOST = 1250


def test_s3_19_a_finished_job_takes_little_more_than_a_kilobyte_of_redis(tmp_path):
    # Lists as they are where there are thousands of jobs, not packed as a few are.
    with RedisServer(tmp_path, flags=("--zset-max-listpack-entries", "0")).ready() as server:
        env = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.result_backend, "CELERIAC_RETENTION_ARTIFACTS_AGE": "1"}
        with Service(tmp_path, "--with-worker", env=env) as service:
            path = service.document("kept.pdf", 4)
            body = {"source": {"kind": "path", "path": str(path)}, "options": {"summary": False, "analysis": "none"}}
            results = redis.Redis(port=server.port, db=1, decode_responses=True)

            def kept():
                """Bytes that stay of all finished jobs so far, after as many more have ended."""
                ids = [service.post("/v1/jobs", json=body).json()["job_id"] for _ in range(JOBS)]
                for job_id in ids:
                    assert service.job_ended(job_id)["status"] == "completed"
                chores = ["celeriac:chores:archive", "celeriac:chores:pages"]
                wait_until(lambda: not results.exists(*chores), 60, "they are archived, and their pages removed", poll=0.2)
                own = [key for key in results.scan_iter("celeriac:*") if key.startswith(("celeriac:job:", "celeriac:jobs:", "celeriac:chores:"))]
                stays = [key for key in own if not 0 < results.ttl(key) < 2 * DAYS]
                assert set(ids) <= {key.removeprefix("celeriac:job:") for key in stays}
                return sum(results.memory_usage(key, samples=0) for key in stays)

            # The lists themselves take a few kilobytes, however many jobs are in them.
            first = kept()
            assert (kept() - first) / JOBS < MOST
            # No text of a page is in Redis at all.
            for db in (results, redis.Redis(port=server.port, decode_responses=True)):
                for key in db.scan_iter():
                    assert db.type(key) != "string" or "This is page" not in db.get(key), key
