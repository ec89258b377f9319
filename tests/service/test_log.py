"""The lines that people search the log for (S4.33), in the log's text form."""

import re

import pytest
from conftest import Service, wait_until


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """What a service with a worker wrote about a job that went well and one that did not."""
    env = {"CELERIAC_PERFORMANCE_INTERVAL": "0.5", "LOG_LEVEL": "DEBUG"}
    with Service(tmp_path_factory.mktemp("log"), "--with-worker", env=env) as service:
        good, bad = service.document("good.pdf", 2), service.folder / "in" / "bad.pdf"
        bad.write_bytes(b"%PDF-1.4 and nothing more")
        for path, status in ((good, "completed"), (bad, "failed")):
            job_id = service.post("/v1/jobs", json={"source": {"kind": "path", "path": str(path)}}).json()["job_id"]
            assert service.job_ended(job_id)["status"] == status
        lines = "Performance metrics", "ERROR.*Failed"
        wait_until(lambda: all(re.search(line, service.output()) for line in lines), 20, "a line of figures, and of the failure")
        yield service.output()


@pytest.mark.parametrize("phrase", ["Worker.*started successfully", "Job.*submitted", "ERROR.*Failed", "Performance metrics"])
def test_the_log_has_the_lines_that_are_searched_for(log, phrase):
    found = [line for line in log.splitlines() if re.search(phrase, line)]
    assert found and all(re.match(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: [A-Z]+/MainProcess\] ", line) for line in found), found


def test_the_line_of_figures_says_what_was_done(log):
    line = re.search(r"Performance metrics: (\d+) tasks ended, \d+ failed, \d+ to be retried; [\d.]+ a second, [\d.]+ s each (.*)", log)
    assert line and all(f"{name}=" in line[2] for name in ("running", "slots", "cpu", "memory_free")), line


def test_without_monitoring_there_is_none(tmp_path):
    with Service(tmp_path, "--with-worker", env={"CELERIAC_PERFORMANCE_INTERVAL": "0"}) as service:
        path = service.document("quiet.pdf", 1)
        job_id = service.post("/v1/jobs", json={"source": {"kind": "path", "path": str(path)}}).json()["job_id"]
        assert service.job_ended(job_id)["status"] == "completed"
        assert "started successfully" in service.output() and "Performance metrics" not in service.output()
