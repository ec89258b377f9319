"""What the service tells Prometheus, by the names that dashboards and rules use."""

import re
import subprocess

import requests
from conftest import PROGRAM, wait_until

# What a rule or a panel may ask of the service.
NAMES = """
celery_queue_length celery_active_worker_count celery_active_process_count celery_worker_up celery_worker_tasks_active
celeriac_jobs celeriac_job_duration_seconds_bucket celeriac_pages_total celeriac_page_stage_seconds_bucket celeriac_pages_per_minute
celeriac_webhook_deliveries_total celeriac_http_requests_total celeriac_http_request_seconds_bucket celeriac_sse_clients
celeriac_dlq_length celeriac_redis_up celeriac_redis_latency_seconds celeriac_redis_memory_bytes celeriac_redis_eviction_policy_ok
celeriac_build_info process_open_fds process_max_fds process_resident_memory_bytes
""".split()


def scraped(service):
    """Series with their values."""
    answer = service.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    lines = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, value in lines}


def test_jobs_pages_workers_and_requests_are_counted(service):
    path = service.document("counted.pdf", 30)
    before = scraped(service)
    job_id = service.post("/v1/jobs", json={"source": {"kind": "path", "path": str(path)}}).json()["job_id"]
    assert service.job_ended(job_id)["status"] == "completed"
    pages = 'celeriac_pages_total{outcome="ok"}'
    wait_until(lambda: scraped(service)[pages] - before[pages] == 30, 20, "all pages are counted")
    after = scraped(service)
    assert {re.split(r"[{ ]", series)[0] for series in after} >= set(NAMES)
    assert after['celeriac_page_stage_seconds_count{stage="page"}'] >= 30
    assert after['celeriac_job_duration_seconds_count{strategy="direct",outcome="completed"}'] >= 1
    assert after['celeriac_jobs{status="completed"}'] >= 1 and after["celeriac_redis_up"] == 1
    assert after['celery_worker_up{hostname="serve"}'] == 1
    assert after['celery_active_worker_count{queue_name="page_processing"}'] == 1
    assert after['celery_queue_length{queue_name="page_processing"}'] == 0
    # By the route's pattern: no id is in any label.
    assert after['celeriac_http_requests_total{route="/v1/jobs/{job_id}",method="GET",status="200"}'] >= 1
    assert not [series for series in after if job_id in series]


def test_what_matches_no_route_is_one_series(service):
    for path in ("/nothing/1", "/nothing/2"):
        assert service.get(path).status_code == 404
    series = [name for name in scraped(service) if 'route="none"' in name and "requests" in name]
    assert series == ['celeriac_http_requests_total{route="none",method="GET",status="404"}']


def test_who_listens_is_counted_while_he_listens(idle):
    path = idle.document("waits.pdf", 1)
    job_id = idle.post("/v1/jobs", json={"source": {"kind": "path", "path": str(path)}}).json()["job_id"]
    with requests.get(f"{idle.url}/v1/jobs/{job_id}/events", stream=True, timeout=30) as stream:
        lines = stream.iter_lines()
        assert next(lines)
        assert scraped(idle)["celeriac_sse_clients"] == 1
    wait_until(lambda: scraped(idle)["celeriac_sse_clients"] == 0, 40, "the listener is gone")


def test_without_redis_it_says_so(tmp_path):
    from conftest import Service
    from processes import RedisServer

    with RedisServer(tmp_path) as redis:
        urls = {"CELERY_BROKER_URL": redis.ready().broker_url, "CELERY_RESULT_BACKEND": redis.result_backend}
        with Service(tmp_path, env=urls) as service:
            assert scraped(service)["celeriac_redis_up"] == 1
            redis.kill_9()
            wait_until(lambda: scraped(service)["celeriac_redis_up"] == 0, 30, "the broker is told as down")
            checked = subprocess.run([PROGRAM, "healthcheck", "--api", service.url], capture_output=True, text=True, timeout=30)
            assert checked.returncode == 1 and "503" in checked.stderr, checked
