"""Whether the service says that it can work, and by which id a request is found in its log."""

import http.server
import json
import threading
import uuid

from conftest import Service
from processes import wait_until


class Bucket:
    """As much of S3 as says that nothing is there, until it breaks down."""

    def __init__(self):
        self.works = True
        bucket = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(404 if bucket.works else 403)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()


def test_a_service_whose_store_does_not_answer_is_not_ready(tmp_path):
    bucket = Bucket()
    env = {"CELERIAC_STORE": "s3://bucket/prefix", "AWS_ENDPOINT_URL": bucket.url}
    env |= {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    archive = f'[celeriac.archive]\nurl = "sqlite:{tmp_path / "archive.db"}"\n'
    with Service(tmp_path, env=env, settings=archive) as service:
        expected = {"ready": True, "broker": True, "ledger": True, "store": True, "draining": False}
        # The first time the connection is made, which may take its time.
        wait_until(lambda: service.get("/readyz").json() == expected, 60, "it is ready")
        bucket.works = False
        wait_until(lambda: service.get("/readyz").status_code == 503, 60, "it is not ready")
        assert service.get("/readyz").json() == {**expected, "ready": False, "store": False}


def test_a_request_is_found_in_the_log_by_the_id_its_caller_gave_it(tmp_path):
    with Service(tmp_path, env={"LOG_FORMAT": "json"}) as service:
        assert service.get("/livez", headers={"X-Request-ID": "gateway-7"}).headers["x-request-id"] == "gateway-7"
        made = service.get("/nowhere", headers={"X-Request-ID": "two words"}).headers["x-request-id"]
        assert uuid.UUID(made) and made != service.get("/nowhere").headers["x-request-id"]
        body = {"job_id": "j", "source": {"kind": "path", "path": str(service.document("a.pdf", 1))}}
        assert service.post("/v1/jobs", json=body, headers={"X-Request-ID": "gateway-8"}).status_code == 202
        lines = [json.loads(line) for line in service.output().splitlines() if line.startswith("{")]
        assert {line["msg"] for line in lines if line.get("request_id") == "gateway-8"} >= {"Job j submitted", "audit"}
