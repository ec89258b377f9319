"""A service with a worker in the same process, on the memory broker, and a folder of documents it may read."""

import os
import sys
from pathlib import Path

import pytest
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from pdf import write_pdf  # noqa: E402
from processes import TARGET, Process, free_port, wait_until  # noqa: E402

PROGRAM = Path(os.environ.get("CELERIAC_BIN", TARGET / "debug/celeriac"))
MEMORY = {"CELERY_BROKER_URL": "memory://", "CELERY_RESULT_BACKEND": "memory://"}


class Service(Process):
    """`celeriac serve`."""

    def __init__(self, folder, *flags, env=None, settings="", documents="", port=None):
        folder = Path(folder)
        (folder / "in").mkdir(exist_ok=True)
        (folder / "celery_config.toml").write_text(
            f'[celeriac.documents]\nallowed_paths = ["{folder / "in"}"]\ndpi = 40\nocr = "never"\n{documents}{settings}'
        )
        self.folder, self.port = folder, port or free_port()
        command = [PROGRAM, "serve", "--port", str(self.port), *flags]
        environment = {**MEMORY, "CELERIAC_STORE": str(folder / "store"), **(env or {})}
        super().__init__("serve", command, folder, environment)
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = requests.Session()
        wait_until(lambda: self.check() and self._listens(), 60, "the service listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()
        self.stop()

    def _listens(self):
        try:
            return requests.get(f"{self.url}/livez", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def get(self, path, **options):
        return self.http.get(self.url + path, timeout=60, **options)

    def post(self, path, **options):
        return self.http.post(self.url + path, timeout=120, **options)

    def delete(self, path, **options):
        return self.http.delete(self.url + path, timeout=60, **options)

    def archived(self, job_id):
        """Waits until an ended job is in the archive: its row comes up to a second after its end."""
        jobs = lambda: self.get("/v1/history", params={"limit": 100}).json()["jobs"]  # noqa: E731
        wait_until(lambda: any(job["job_id"] == job_id for job in jobs()), 30, f"{job_id} is archived")

    def drained(self):
        """Waits until no message waits."""
        queues = lambda: self.get("/v1/stats").json()["queues"]  # noqa: E731
        wait_until(lambda: not any(queue["waiting"] for queue in queues().values()), 30, "nothing waits")

    def document(self, name, pages):
        """A PDF in the folder that may be read; its path."""
        path = self.folder / "in" / name
        write_pdf(path, [[f"This is page {page} of {name}.", "It says that the answer is forty-two."] for page in range(1, pages + 1)])
        return path

    def job(self, job_id):
        answer = self.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def job_ended(self, job_id, seconds=120):
        """The job once it has ended."""
        terminal = {"completed", "partial", "failed", "cancelled"}
        wait_until(lambda: self.job(job_id)["status"] in terminal, seconds, f"job {job_id} ends", poll=0.1)
        return self.job(job_id)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("service"), "--with-worker") as running:
        yield running


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """A service nobody works for."""
    with Service(tmp_path_factory.mktemp("idle")) as running:
        yield running


def same_shape(answer, documented):
    """Whether an answer has every field of a documented one, of the same type; it may have more."""
    assert set(documented) <= set(answer), f"{sorted(set(documented) - set(answer))} are missing"
    for name, value in documented.items():
        if isinstance(value, dict):
            same_shape(answer[name], value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            same_shape(answer[name][0], value[0])
        elif answer[name] is not None:
            kind = (int, float) if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value)
            assert isinstance(answer[name], kind), f"{name}: {answer[name]!r} is not like {value!r}"


