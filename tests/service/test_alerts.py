"""Alerts of the service itself: told once, signed, and once more when it is over."""

import base64
import hashlib
import hmac
import http.server
import json
import threading

import pytest
from conftest import PROGRAM, Process, Service, free_port, wait_until
from processes import RedisServer

SECRET = "whsec_" + base64.b64encode(b"a secret of the test's own").decode()
QUEUES = "default,page_processing,document_orchestration,batch_processing,audio_generation"


class Ear:
    """Takes what is posted; refuses as often as it is told to."""

    def __init__(self):
        ear, self.heard, self.refuse = self, [], 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                refused = ear.refuse > 0
                ear.refuse -= refused
                if not refused:
                    ear.heard.append((dict(self.headers), body))
                self.send_response(503 if refused else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/alerts"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self):
        return [(json.loads(body)["type"], json.loads(body)["data"]["rule"]) for _, body in self.heard]


@pytest.fixture
def ear():
    ear = Ear()
    yield ear
    ear.server.shutdown()
    ear.server.server_close()


def test_queues_without_a_worker_are_told_once_by_two_services_and_once_more_when_one_comes(tmp_path, ear):
    ear.refuse = 1
    settings = f'[features]\nalerts = true\n[celeriac.alerts]\nurl = "{ear.url}"\nevery = 0.3\n'
    with RedisServer(tmp_path) as redis:
        urls = {"CELERY_BROKER_URL": redis.ready().broker_url, "CELERY_RESULT_BACKEND": redis.result_backend}
        env = {**urls, "CELERIAC_WEBHOOK_SECRET": SECRET}
        with Service(tmp_path, env=env, settings=settings) as one, Service(tmp_path, env=env, settings=settings) as other:
            path = one.document("lonely.pdf", 1)
            job_id = one.post("/v1/jobs", json={"source": {"kind": "path", "path": str(path)}}).json()["job_id"]
            wait_until(lambda: ear.told(), 60, "the alert is told")
            worker = [PROGRAM, "worker", "-Q", QUEUES, "-c", "1", "-n", "late@%h"]
            with Process("late", worker, tmp_path, {**env, "CELERIAC_STORE": str(tmp_path / "store")}):
                assert other.job_ended(job_id)["status"] == "completed"
                wait_until(lambda: len(ear.told()) >= 2, 60, "its end is told")
            assert ear.told() == [("alert.firing", "no_worker"), ("alert.resolved", "no_worker")]
    headers, body = ear.heard[0]
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(b"a secret of the test's own", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert "no worker serves it" in json.loads(body)["data"]["text"]


def test_a_redis_that_is_gone_is_told(tmp_path, ear):
    settings = f'[features]\nalerts = true\n[celeriac.alerts]\nurl = "{ear.url}"\nevery = 0.3\n'
    port = free_port()
    with RedisServer(tmp_path, port) as redis:
        urls = {"CELERY_BROKER_URL": redis.ready().broker_url, "CELERY_RESULT_BACKEND": redis.result_backend}
        with Service(tmp_path, env=urls, settings=settings):
            redis.kill_9()
            wait_until(lambda: ("alert.firing", "redis_unreachable") in ear.told(), 90, "the alert is told")
            with RedisServer(tmp_path, port) as again:
                again.ready()
                wait_until(lambda: ear.told()[-1:] == [("alert.resolved", "redis_unreachable")], 90, "its end is told")
    assert len(ear.told()) == 2
