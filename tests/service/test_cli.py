"""The commands over jobs, beside a service and a worker on one Redis: the same desk without HTTP."""

import json
import os
import subprocess
import time

import pytest
import requests
from conftest import PROGRAM, Process, Service, free_port, wait_until
from processes import RedisServer


class House(Service):
    """A service on a Redis of its own, with a worker unless told otherwise, and the program beside it."""

    def __init__(self, folder, redis, flags=("--with-worker",)):
        self.urls = {"CELERY_BROKER_URL": redis.broker_url, "CELERY_RESULT_BACKEND": redis.result_backend}
        super().__init__(folder, *flags, env=self.urls)

    def environment(self, **more):
        return {**os.environ, **self.urls, "CELERIAC_STORE": str(self.folder / "store"), "NO_COLOR": "1", **more}

    def run(self, *words, **more):
        command = [str(word) for word in (PROGRAM, *words)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(**more), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180
        )

    def told(self, *words, code=0):
        """What a command says as JSON."""
        ran = self.run(*words, "--json")
        assert ran.returncode == code, (words, ran)
        return json.loads(ran.stdout)

    def submitted(self, name, pages, **more):
        answer = self.post("/v1/jobs", json={"source": {"kind": "path", "path": str(self.document(name, pages))}, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()["job_id"]

    def done(self, name, pages, **more):
        job_id = self.submitted(name, pages, **more)
        assert self.job_ended(job_id)["status"] == "completed"
        return job_id


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    with RedisServer(folder) as redis, House(folder, redis.ready()) as running:
        yield running


@pytest.fixture(scope="module")
def done(house):
    """A job of three pages that is done."""
    return house.done("three.pdf", 3, file_name="three.pdf", user_id="ada", tags=["blue"], metadata={"note": "needle"})


def test_a_job_is_found_by_what_is_known_of_it(house, done):
    for words in [("--status", "completed,failed"), ("--user", "ada"), ("--tag", "blue"), ("--search", "NEEDLE")]:
        assert done in [job["job_id"] for job in house.told("jobs", "list", *words)["jobs"]], words
    for words in [("--status", "failed"), ("--user", "bob"), ("--tag", "red"), ("--search", "hay")]:
        assert house.told("jobs", "list", *words)["jobs"] == [], words
    assert house.run("jobs", "list", "-q", "--user", "ada").stdout == f"{done}\n"
    wrong = house.run("jobs", "list", "--status", "asleep")
    assert wrong.returncode == 2 and "there is no state" in wrong.stderr and "cancelled" in wrong.stderr


def test_a_list_goes_on_where_it_ended(house, done):
    other = house.done("one.pdf", 1)
    first = house.told("jobs", "list", "--limit", "1")
    second = house.told("jobs", "list", "--limit", "1", "--cursor", first["next"])
    assert [first["jobs"][0]["job_id"], second["jobs"][0]["job_id"]] == [other, done]


def test_a_job_is_shown_as_the_api_tells_it(house, done):
    assert house.told("jobs", "show", done) == house.job(done) == house.told("monitor", "job", done)
    shown = house.run("jobs", "show", done).stdout
    assert "completed" in shown and "3 of 3 done" in shown and "three.pdf" in shown
    unknown = house.run("jobs", "show", "nobody")
    assert unknown.returncode == 1 and "there is no job nobody" in unknown.stderr and unknown.stdout == ""


def test_a_job_is_watched_to_its_end(house):
    job_id = house.submitted("watched.pdf", 30)
    ran = house.run("jobs", "watch", job_id, "--json")
    assert ran.returncode == 0, ran
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert events[0]["event"] == "snapshot" and events[-1]["event"] == "end" and events[-1]["data"]["status"] == "completed"
    told = [page["n"] for event in events if event["event"] == "pages" for page in event["data"]["pages"] if page["s"] == "o"]
    before = (events[0]["data"]["page_states"] or "").count("o")
    assert len(told) + before >= 30 and set(told) <= set(range(1, 31))
    again = house.run("jobs", "watch", job_id)
    assert again.returncode == 0 and "30 of 30 done" in again.stdout


def test_a_watch_has_an_end_of_its_own(house):
    job_id = house.submitted("slow.pdf", 400)
    ran = house.run("jobs", "watch", job_id, "--timeout", "0.2")
    assert ran.returncode == 124, ran
    assert house.run("monitor", "cancel", job_id).returncode == 0
    cancelled = house.run("jobs", "watch", job_id)
    assert cancelled.returncode == 5 and "cancelled" in cancelled.stdout, cancelled


def test_a_result_is_printed_in_its_forms(house, done):
    whole = house.run("jobs", "result", done)
    assert whole.returncode == 0 and len(json.loads(whole.stdout)["pages"]) == 3
    assert "This is page 2 of three.pdf." in house.run("jobs", "result", done, "--format", "txt", "--pages", "2").stdout
    file = house.folder / "out.md"
    assert house.run("jobs", "result", done, "--format", "md", "-o", file).returncode == 0
    assert "This is page 3 of three.pdf." in file.read_text()
    nowhere = house.run("jobs", "result", done, "-o", house.folder / "none" / "out.json")
    assert nowhere.returncode == 73 and "cannot write" in nowhere.stderr


def test_pages_and_the_log_are_shown(house, done):
    pages = house.run("jobs", "pages", done).stdout.splitlines()
    assert [line.split() for line in pages] == [["1", "ok"], ["2", "ok"], ["3", "ok"]]
    assert house.told("jobs", "pages", done, "--status", "failed")["pages"] == []
    assert house.run("jobs", "pages", done, "--status", "lost").returncode == 2
    log = house.run("jobs", "log", done).stdout
    assert "processing" in log and log.splitlines()[-1].endswith("completed")
    assert [line["event"] for line in house.told("jobs", "log", done)["log"]][-1] == "end"


def test_a_job_is_cancelled_and_goes_on(house):
    job_id = house.submitted("stopped.pdf", 200)
    wait_until(lambda: house.job(job_id)["counts"]["ok"] > 2, 60, "some pages are done", poll=0.05)
    told = house.told("jobs", "cancel", job_id)
    assert [job["job_id"] for job in told["jobs"]] == [job_id] and told["refused"] == []
    assert house.job_ended(job_id)["status"] == "cancelled"
    refused = house.told("jobs", "cancel", job_id, "nobody", code=1)
    assert [one["job_id"] for one in refused["refused"]] == [job_id, "nobody"]
    assert house.run("jobs", "resume", job_id).returncode == 0
    assert house.run("jobs", "watch", job_id, "-q").returncode == 0
    ended = house.job(job_id)
    assert ended["status"] == "completed" and ended["counts"]["cached"] > 0 and ended["runs"] == 2


def test_pages_are_done_again(house):
    job_id = house.done("again.pdf", 4)
    assert house.run("jobs", "retry", job_id, "--pages", "2-3").returncode == 0
    assert house.run("jobs", "watch", job_id, "-q").returncode == 0
    assert house.job(job_id)["page_states"] == "cooc"
    wrong = house.run("jobs", "retry", job_id, "--pages", "nine")
    assert wrong.returncode == 2, wrong


def test_what_cannot_be_undone_asks_first(house):
    job_id = house.done("gone.pdf", 1)
    house.archived(job_id)
    refused = house.run("jobs", "delete", job_id)
    assert refused.returncode == 2 and "-f does it unasked" in refused.stderr
    assert house.job(job_id)["status"] == "completed"
    assert house.run("jobs", "delete", job_id, "--yes").returncode == 0
    assert house.get(f"/v1/jobs/{job_id}").status_code == 404


def test_old_jobs_are_pruned_and_stay_in_the_archive(house):
    job_id = house.done("old.pdf", 1, tags=["old"])
    history = lambda: [job["job_id"] for job in house.told("jobs", "list", "--history", "--tag", "old")["jobs"]]  # noqa: E731
    wait_until(lambda: history() == [job_id], 30, "the job is archived")
    assert job_id not in house.told("jobs", "prune", "--older-than", "1h", "-f")["removed"]
    assert house.run("jobs", "prune", "--older-than", "0s", "--status", "processing", "-f").returncode == 2
    assert house.run("jobs", "prune", "--older-than", "0s").returncode == 2
    assert job_id in house.told("jobs", "prune", "--older-than", "0s", "-f")["removed"]
    assert house.told("jobs", "list", "--tag", "old")["jobs"] == []
    assert history() == [job_id] and house.told("jobs", "show", job_id)["status"] == "completed"


def test_a_job_that_was_cancelled_while_it_waited_is_not_run_though_it_was_pruned(tmp_path):
    with RedisServer(tmp_path) as redis:
        redis.ready()
        with House(tmp_path, redis, flags=()) as house:
            job_id = house.submitted("waits.pdf", 1)
            assert house.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
            house.archived(job_id)
            assert house.told("jobs", "prune", "--older-than", "0s", "-f")["removed"] == [job_id]
        with House(tmp_path, redis) as house:
            after = house.done("after.pdf", 1)
            assert house.job(job_id)["status"] == "cancelled", "the archive still has it"
            assert house.told("jobs", "list")["jobs"][0]["job_id"] == after and len(house.told("jobs", "list")["jobs"]) == 1


def test_a_document_that_waits_for_workers_elsewhere_is_told_of_as_a_job(tmp_path):
    with RedisServer(tmp_path) as redis, House(tmp_path, redis.ready(), flags=()) as idle:
        document = idle.document("waits.pdf", 1)
        ran = idle.run("process", document, "--submit", "--no-wait", "--job-id", "waits")
        assert ran.returncode == 0, ran
        job = idle.told("jobs", "show", "waits")
        assert (job["status"], job["file_name"]) == ("queued", "waits.pdf")
        assert idle.told("jobs", "recover") == {"sent": 0, "ended": 0}


def test_recover_finds_nothing_where_all_is_well(house):
    assert house.told("jobs", "recover") == {"sent": 0, "ended": 0}


def test_the_systems_figures_are_those_of_the_api(house):
    def worker_answers():
        told = house.told("stats")
        return [worker["name"] for worker in told["workers"]] == ["celery@serve"] and told

    told, api = wait_until(worker_answers, 30, "the worker answers"), house.get("/v1/stats").json()
    assert set(told) == set(api) and set(told["queues"]) == set(api["queues"])
    assert "celery@serve" in house.run("monitor", "stats").stdout
    with Process("stats", [PROGRAM, "stats", "--watch", "1", "--json"], house.folder, house.environment()) as watched:
        wait_until(lambda: watched.output().count("\n") >= 2, 30, "stats come again")
        assert all(json.loads(line)["workers"] for line in watched.output().splitlines()[:2])


def test_health_is_told_by_the_code(house):
    def code(*words, **more):
        return house.run("healthcheck", *words, **more).returncode

    # Each gives Redis or the worker a moment to answer.
    wait_until(lambda: code("--api", house.url) == 0, 30, "the service is well")
    wait_until(lambda: code("--worker", "celery@serve") == 0, 30, "its worker is well")
    wait_until(lambda: code(PORT=str(house.port)) == 0, 30, "the service on its port is well")
    began = time.monotonic()
    assert code("--worker", "celery@nobody") == 1
    assert code("--api", f"http://127.0.0.1:{free_port()}") == 1
    # Nothing listens, and the only worker does not bear this host's name.
    assert code(PORT=str(free_port())) == 1
    assert code("--worker", "celery@serve", CELERY_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0") == 1
    assert time.monotonic() - began < 15
    with Process("worker", [PROGRAM, "worker", "-Q", "spare", "-c", "1", "-n", "spare@%h"], house.folder, house.environment()):
        wait_until(lambda: code(PORT=str(free_port())) == 0, 30, "the worker of this host answers")
        wait_until(lambda: code("--worker", "spare@%h") == 0, 30, "it is asked by its name")


def test_without_a_broker_it_may_be_tried_later(house):
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    ran = house.run("jobs", "list", CELERY_BROKER_URL=nowhere, CELERY_RESULT_BACKEND=nowhere)
    assert ran.returncode == 75 and "doctor" in ran.stderr, ran
    memory = house.run("jobs", "list", CELERY_BROKER_URL="memory://", CELERY_RESULT_BACKEND="memory://")
    assert memory.returncode == 78 and "memory of the process" in memory.stderr


def test_schemas_are_printed(house):
    for of in ("result", "job", "config", "event"):
        ran = house.run("schema", of)
        assert ran.returncode == 0 and json.loads(ran.stdout)["$schema"].startswith("https://json-schema.org/"), of


class Dev(Process):
    """`celeriac dev` in a folder of its own."""

    def __init__(self, folder, redis_url, text):
        (folder / ".env").write_text(text)
        self.port = free_port()
        without = {name: value for name, value in os.environ.items() if not name.startswith(("CELERY_", "REDIS_"))}
        (folder / "celery_config.toml").write_text(f'{redis_url}[celeriac.documents]\nallowed_paths = ["{folder}"]\ndpi = 40\n')
        super().__init__("dev", [PROGRAM, "dev", "--port", self.port], folder, without)
        wait_until(lambda: self.check() and "listening on" in self.output(), 60, "dev listens")


def test_s0_10_dev_runs_everything_in_memory_where_no_redis_is(tmp_path):
    # The address of a Redis that is not there, as a default would be.
    from pdf import write_pdf

    write_pdf(tmp_path / "a.pdf", [["one page"]])
    text = f"CELERY_BROKER_URL=memory://\nCELERY_RESULT_BACKEND=memory://\nCELERIAC_STORE={tmp_path / 'kept'}\n"
    with Dev(tmp_path, "", text) as dev:
        assert "messages are on memory://" in dev.output()
        url = f"http://127.0.0.1:{dev.port}"
        answer = requests.post(f"{url}/v1/jobs?wait=60", json={"source": {"kind": "path", "path": str(tmp_path / "a.pdf")}}, timeout=90)
        assert answer.status_code == 200 and answer.json()["status"] == "completed", answer.text
        assert (tmp_path / "kept").is_dir()


def test_s1_5_dev_starts_again_when_its_configuration_changes_and_a_job_on_redis_goes_on(tmp_path):
    from pdf import write_pdf

    write_pdf(tmp_path / "a.pdf", [[f"page {number}"] for number in range(1, 41)])
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis") as redis:
        urls = f'broker_url = "{redis.ready().broker_url}"\nresult_backend = "{redis.result_backend}"\n'
        with Dev(tmp_path, urls, f"CELERIAC_STORE={tmp_path / 'kept'}\n") as dev:
            assert "messages are on redis://" in dev.output()
            url = f"http://127.0.0.1:{dev.port}"
            config, right = tmp_path / "celery_config.toml", (tmp_path / "celery_config.toml").read_text()

            config.write_text(right.replace("dpi = 40", 'dpi = "many"'))
            wait_until(lambda: dev.check() and "nothing changes until this is mended" in dev.output(), 30, "the mistake is told of")
            assert "dpi" in dev.output() and requests.get(f"{url}/readyz", timeout=10).ok, "what runs goes on"

            source = {"kind": "path", "path": str(tmp_path / "a.pdf")}
            job = requests.post(f"{url}/v1/jobs", json={"source": source}, timeout=30).json()["job_id"]
            # A stream of events is no reason to wait: its reader comes back.
            with requests.get(f"{url}/v1/jobs/{job}/events", stream=True, timeout=60) as events:
                next(line for line in events.iter_lines() if b'"s":"o"' in line)
                config.write_text(right + "[celeriac.api]\nread_only = true\n")
                wait_until(lambda: dev.check() and "starting again" in dev.output(), 30, "the change is noticed")
            wait_until(lambda: dev.check() and dev.output().count("listening on") == 2, 30, "it listens again")
            refused = requests.post(f"{url}/v1/jobs", json={"source": source}, timeout=10)
            assert refused.status_code == 403 and "read-only" in refused.text, refused.text
            ended = requests.get(f"{url}/v1/jobs/{job}?wait=60", timeout=90).json()
            assert (ended["status"], ended["counts"]["ok"] + ended["counts"]["cached"]) == ("completed", 40), ended


def test_dev_says_what_is_wrong_in_its_variables(tmp_path):
    (tmp_path / "mine.env").write_text("A=1\nSECRET=hunter2 and more\n")
    ran = subprocess.run([PROGRAM, "dev", "--env-file", "mine.env"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 78 and "mine.env:2" in ran.stderr and "hunter2" not in ran.stderr, ran


def test_the_doctor_names_queues_nobody_takes_from(house):
    def queues():
        checks = json.loads(house.run("doctor", "--json").stdout)["checks"]
        return next((check["status"], check["detail"]) for check in checks if check["name"] == "queues")

    wait_until(lambda: queues()[0] == "ok", 60, "each queue has a worker", poll=0.2)
    assert house.post("/v1/queues/audio_generation/pause").status_code == 202
    wait_until(lambda: queues() == ("warn", "no worker takes from audio_generation"), 60, "it is missed", poll=0.2)
    assert house.post("/v1/queues/audio_generation/resume").status_code == 202
    wait_until(lambda: queues()[0] == "ok", 60, "it is served again", poll=0.2)
