"""`celeriac.control_key`: the Python code that docs/security.md shows, against a celeriac and a Python worker on the same queue."""

import os
import subprocess
from pathlib import Path

import pytest
from processes import ROOT, CeleriacWorker, PythonWorker, wait_until

KEY = "canary-control-key-8f31"


@pytest.fixture
def signing(redis, monkeypatch):
    """The application of the documentation."""
    page = Path(ROOT / "docs/security.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    monkeypatch.setenv("CELERIAC_CONTROL_KEY", KEY)
    monkeypatch.setenv("CELERY_BROKER_URL", redis.broker_url)
    names = {}
    exec(code, names)  # noqa: S102 it is ours
    yield names["app"]
    names["app"].close()


@pytest.fixture
def workers(interop_worker_program, environment, tmp_path, client):
    with_key = {**environment, "CELERIAC_CONTROL_KEY": KEY}
    with (
        CeleriacWorker(interop_worker_program, "rust", ["celery"], tmp_path, with_key) as rust,
        PythonWorker("proj", "python", ["celery"], tmp_path, environment) as python,
    ):
        for worker in (rust, python):
            wait_until(lambda w=worker: w.check() and " ready." in w.output(), 60, f"{worker.name} is ready")
        # Python's is ready a moment before it listens.
        wait_until(lambda: len(client.control.ping(timeout=2, limit=2)) == 2, 30, "both answer")
        yield rust, python


def by_name(replies):
    return {node.split("@")[0]: reply for answer in replies or [] for node, reply in answer.items()}


def limit_to(app, rate):
    return by_name(app.control.rate_limit("proj.add", rate, reply=True, timeout=10, limit=2))


def test_a_fleet_obeys_who_signs_and_only_python_workers_obey_anybody(workers, signing, client):
    rust, python = workers

    unsigned = limit_to(client, "10/m")
    assert "needs a signature" in unsigned["rust"]["error"] and unsigned["python"] == {"ok": "new rate limit set successfully"}
    wait_until(lambda: "Refused: the command 'rate_limit' needs a signature" in rust.output(), 10, "it is logged")
    assert limit_to(signing, "20/m") == {name: {"ok": "new rate limit set successfully"} for name in ("rust", "python")}
    assert set(by_name(client.control.ping(timeout=10, limit=2))) == {"rust", "python"}, "who looks needs no key"

    client.control.shutdown()
    assert set(by_name(client.control.ping(timeout=10, limit=1))) == {"rust"}, "only Python's obeyed"
    python.ended()
    signing.control.shutdown(destination=[rust_name(client)])
    assert rust.ended() == 0
    assert KEY not in rust.output()


def test_a_task_is_terminated_by_a_signed_command(workers, signing, client):
    rust, python = workers
    python.stop()
    running = client.send_task("proj.part", kwargs={"x": 1, "seconds": 300})
    wait_until(lambda: running.id in str(client.control.inspect(timeout=5).active()), 20, "it runs")

    client.control.revoke(running.id, terminate=True)
    wait_until(lambda: "Refused: the command 'revoke' needs" in rust.output(), 10, "it is refused")
    signing.control.revoke(running.id, terminate=True)

    wait_until(lambda: running.state == "REVOKED", 20, "it is cut off")


def test_the_command_line_signs(workers, interop_worker_program, environment, tmp_path):
    def said(*words, **variables):
        command = [interop_worker_program, *words]
        environ = {**os.environ, **environment, **variables}
        return subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60).stdout

    limit = ["control", "--timeout", "30", "--json", "rate_limit", "proj.add", "5/m"]
    assert "needs a signature" in said(*limit)
    assert said(*limit, CELERIAC_CONTROL_KEY=KEY).count("new rate limit set successfully") == 2

    shown = said("inspect", "--timeout", "30", "--json", "conf")
    assert "control_key" in shown and KEY not in shown


def rust_name(client):
    (node,) = (node for answer in client.control.ping(timeout=10, limit=1) for node in answer)
    return node
