"""The password of a document is known to the store, beside the job's files, and to nobody else."""

import base64
import re
import subprocess
import threading
from pathlib import Path

import redis
from conftest import PROGRAM, Service
from processes import RedisServer, wait_until

CANARY = "canary-password-6d3f"
JOBS = ("one", "many", "s2", "cli")
ENCRYPTED = Path(__file__).resolve().parents[2] / "tasks/tests/fixtures/encrypted.pdf"


class Monitor:
    """Every command that Redis is sent: messages, events, entries and lists are among them."""

    def __init__(self, port):
        self._client = redis.Redis(port=port)
        self._monitor = self._client.monitor()
        self._monitor.__enter__()
        self.seen = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for command in self._monitor.listen():
            self.seen.append(command["command"])
            if "the end of it" in command["command"]:
                return

    def all(self):
        """Everything that was seen, and what bodies of messages and events say."""
        self._client.echo("the end of it")
        self._thread.join(60)
        assert not self._thread.is_alive()
        said = "\n".join(self.seen)
        bodies = (base64.b64decode(body[: len(body) // 4 * 4]) for body in re.findall(r"[A-Za-z0-9+/]{24,}", said))
        return "\n".join([said, *(body.decode(errors="replace") for body in bodies)])


def files_with(folder, text):
    return [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_password_is_in_no_message_entry_archive_export_event_or_log(tmp_path):
    with RedisServer(tmp_path).ready() as server:
        env = {
            "CELERY_BROKER_URL": server.broker_url,
            "CELERY_RESULT_BACKEND": server.result_backend,
            "CELERIAC_STORE": str(tmp_path / "store"),
            "CELERIAC_LOG_LEVEL": "debug",
        }
        with Service(tmp_path, "--with-worker", env=env) as service:
            monitor = Monitor(server.port)
            path = str(service.document("plain.pdf", 1))
            source, options = {"kind": "path", "path": path}, {"password": CANARY, "summary": False}
            answers = [
                service.post("/v1/jobs", json={"job_id": "one", "source": source, "options": options}),
                service.post("/v1/jobs", json={"job_id": "many", "documents": [{"source": source, "options": options}]}),
                service.post("/process-large-document", json={"job_id": "s2", "path": path, "password": CANARY}),
            ]
            assert [answer.status_code for answer in answers] == [202, 202, 200], [answer.text for answer in answers]
            again = service.post("/v1/jobs", json={"job_id": "one", "source": source, "options": options})
            other = service.post("/v1/jobs", json={"job_id": "one", "source": source, "options": {**options, "password": "other"}})
            assert (again.status_code, other.status_code) == (200, 409)

            def run(*words):
                environment = {**env, "PATH": "/usr/bin:/bin"}
                return subprocess.run([PROGRAM, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

            by_command = run("process", path, "--submit", "--no-wait", "--job-id", "cli", "--password", CANARY, "--no-summary")
            assert by_command.returncode == 0, by_command.stderr
            wait_until(lambda: service.get("/v1/jobs/cli").status_code == 200, 60, "it is begun")
            for job_id in JOBS:
                assert service.job_ended(job_id)["status"] == "completed"
                service.archived(job_id)
            export = run("jobs", "export")
            assert export.returncode == 0 and '"one"' in export.stdout, export.stderr
            told = "".join(service.get(f"/v1/jobs/one{what}").text for what in ("", "/log", "/tasks", "/result", "/events"))
            said = {"export": export.stdout + export.stderr, "api": told, "log": service.output(), "redis": monitor.all()}
            assert "plain.pdf" in said["redis"] and "task-received" in said["redis"]
            assert not [where for where, text in said.items() if CANARY in text]
            # The folder of the job has it, the archive beside the jobs has not.
            assert {path.parts[0] for path in files_with(tmp_path / "store", CANARY)} == {"jobs"}
            for job_id in JOBS:
                assert service.delete(f"/v1/jobs/{job_id}").status_code == 204
            wait_until(lambda: not files_with(tmp_path, CANARY), 60, "it goes with the job")


def test_a_password_opens_the_document_each_time_it_is_asked_for(service):
    path = service.folder / "in" / ENCRYPTED.name
    path.write_bytes(ENCRYPTED.read_bytes())
    body = {"job_id": "encrypted", "source": {"kind": "path", "path": str(path)}, "options": {"password": "secret", "summary": False}}
    assert service.post("/v1/jobs", json=body).status_code == 202
    assert service.job_ended("encrypted")["status"] == "completed"
    # Another document in its place: all but the password is made anew.
    path.write_bytes(ENCRYPTED.read_bytes() + b"\n%\n")
    for _ in range(2):
        answer = service.post("/v1/jobs/encrypted/retry", json={"all": True})
        assert answer.status_code == 202, answer.text
        assert service.job_ended("encrypted")["status"] == "completed"
