"""Several documents as one job (S4.1, S4.7, S4.19): over the memory broker, and over Redis with workers elsewhere."""

import json
import sqlite3
import time

import pytest
from conftest import PROGRAM, Process, Service, wait_until
from processes import RedisServer
from test_cli import House


@pytest.fixture(scope="module", params=["memory", "redis"])
def place(request, tmp_path_factory):
    """A service that works, and where it keeps what it knows."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "memory":
        with Service(folder, "--with-worker") as running:
            yield running
    else:
        with RedisServer(folder) as redis, House(folder, redis.ready()) as running:
            yield running


def paths(service, names, pages=2):
    return [str(service.document(name, pages)) for name in names]


def documents(service, job_id, **which):
    """Everything a list of a job's documents has, page by page."""
    found, cursor = [], None
    while True:
        page = service.get("/v1/jobs", params={"parent": job_id, "limit": 2, **which, **({"cursor": cursor} if cursor else {})}).json()
        found, cursor = found + page["jobs"], page["next"]
        if cursor is None:
            return found


def test_s4_19_a_batch_of_documents_is_one_job(place):
    body = {
        "job_id": "batch", "job_type": "ocr", "priority": 5, "options": {"language": "en", "preprocess": True}, "user_id": "ada", "tags": ["all"],
        "documents": [*paths(place, ["doc1.pdf", "doc2.pdf"]), {"source": {"kind": "path", "path": paths(place, ["doc3.pdf"])[0]}, "tags": ["own"], "options": {"pages": "1"}}],
    }  # fmt: skip
    answer = place.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.headers["location"]) == (202, "/v1/jobs/batch"), answer.text
    assert answer.json()["documents"]["total"] == 3
    done = place.get("/v1/jobs/batch", params={"wait": 60}).json()
    assert (done["status"], done["percent"], done["job_type"], done["processing_strategy"]) == ("completed", 100.0, "ocr", "documents")
    # S4.20: completed_tasks of total_tasks.
    assert (done["counts"]["ok"], done["counts"]["total"]) == (3, 3)
    assert [part["file_name"] for part in done["documents"]["first"]] == ["doc1.pdf", "doc2.pdf", "doc3.pdf"]

    parts = documents(place, "batch")
    assert [part["file_name"] for part in parts] == ["doc1.pdf", "doc2.pdf", "doc3.pdf"]
    assert all(part["parent"] == "batch" and part["priority"] == 5 and part["user_id"] == "ada" for part in parts)
    assert [part["counts"]["ok"] for part in parts] == [2, 2, 1] and parts[2]["tags"] == ["all", "own"]
    assert len(documents(place, "batch", status="completed")) == 3 and documents(place, "batch", status="failed") == []
    whole = [job["job_id"] for job in place.get("/v1/jobs", params={"parent": "none"}).json()["jobs"]]
    assert "batch" in whole and not any("~" in job_id for job_id in whole)
    assert place.post("/v1/jobs", json=body).status_code == 200
    assert len(documents(place, "batch")) == 3, "the same again enters nothing"
    assert place.post("/v1/jobs", json={**body, "documents": body["documents"][:2]}).status_code == 409

    # S4.21: successful, failed, results.
    result = place.get("/v1/jobs/batch/result").json()
    assert (result["successful"], result["failed"], [one["pages"] for one in result["results"]]) == (3, 0, [2, 2, 1])
    text = place.get(result["results"][0]["result"], params={"format": "txt"}).text
    assert "This is page 2 of doc1.pdf." in text
    alltext = place.get("/v1/jobs/batch/result", params={"format": "txt"}).text
    assert text in alltext and "This is page 1 of doc3.pdf." in alltext and alltext.count("\f") == 4
    lines = place.get("/v1/jobs/batch/result", params={"format": "ndjson"}).text.splitlines()
    assert [json.loads(line)["job_id"] for line in lines] == [part["job_id"] for part in parts]
    assert place.get("/v1/jobs/batch/result", params={"pages": "1"}).status_code == 422
    # The kind of job: text, and nothing more.
    assert place.get(result["results"][0]["result"]).json()["summary"] is None


def test_files_of_a_form_are_one_job(place):
    files = [("file", (name, open(place.document(name, 1), "rb"))) for name in ["form1.pdf", "form2.pdf"]]
    answer = place.post("/v1/jobs", params={"wait": 60}, data={"options": '{"summary": false}'}, files=files)
    job = answer.json()
    assert (answer.status_code, job["status"], job["counts"]["total"]) == (200, "completed", 2), answer.text
    assert [part["file_name"] for part in documents(place, job["job_id"])] == ["form1.pdf", "form2.pdf"]


def test_what_fails_is_told_tried_again_alone_and_made_good(place):
    there, missing = place.document("there.pdf", 1), place.folder / "in" / "later.pdf"
    missing.unlink(missing_ok=True)
    answer = place.post("/v1/jobs", params={"wait": 60}, json={"documents": [str(there), str(missing)]})
    job = answer.json()
    assert (job["status"], job["partial_reasons"], job["counts"]["failed"]) == ("partial", ["documents_failed"], 1), answer.text
    result = place.get(f"/v1/jobs/{job['job_id']}/result").json()
    assert (result["successful"], result["failed"]) == (1, 1)
    assert "later.pdf" in result["results"][1]["error"]["message"] and result["results"][1]["result"] is None
    place.document("later.pdf", 1)
    assert place.post(f"/v1/jobs/{job['job_id']}/retry", json={"pages": [1]}).status_code == 422
    assert place.post(f"/v1/jobs/{job['job_id']}/retry").status_code == 202
    again = place.job_ended(job["job_id"])
    assert (again["status"], again["runs"], again["partial_reasons"]) == ("completed", 2, [])
    assert [part["runs"] for part in documents(place, job["job_id"])] == [1, 2], "what was done is not done again"


def test_a_document_that_is_tried_again_by_itself_takes_up_its_job(place):
    job = place.post("/v1/jobs", params={"wait": 60}, json={"documents": paths(place, ["alone1.pdf", "alone2.pdf"], 1)}).json()
    part = documents(place, job["job_id"])[1]["job_id"]
    assert place.post(f"/v1/jobs/{part}/retry", json={"all": True}).status_code == 202
    wait_until(lambda: place.job(job["job_id"])["runs"] == 2, 30, "the whole runs again")
    assert place.job_ended(job["job_id"])["status"] == "completed"


def test_events_of_the_whole_tell_of_each_document(place):
    from test_jobs import frames

    job = place.post("/v1/jobs", json={"documents": paths(place, [f"told{n}.pdf" for n in range(4)], 3)}).json()
    with place.http.get(f"{place.url}/v1/jobs/{job['job_id']}/events", stream=True, timeout=60) as answer:
        told = frames(answer)
    kinds = [kind for _, kind, _ in told]
    assert kinds[0] == "snapshot" and kinds[-1] == "end" and told[-1][2]["status"] == "completed"
    assert "document" in kinds or told[0][2]["status"] == "completed"
    for _, kind, data in told:
        assert kind != "document" or data["job_id"].startswith(job["job_id"] + "~")


def test_a_job_that_is_deleted_while_its_documents_run_stops_them_and_leaves_nothing(place):
    job = place.post("/v1/jobs", json={"documents": paths(place, [f"stop{n}.pdf" for n in range(8)], 100)}).json()["job_id"]
    wait_until(lambda: place.job(job)["counts"]["ok"] > 5, 60, "some pages are done")
    parts = [part["job_id"] for part in documents(place, job)]
    assert place.delete(f"/v1/jobs/{job}").status_code == 204
    files = lambda: [path for path in (place.folder / "store/jobs").glob(f"{job}*/**/*") if path.is_file()]  # noqa: E731
    wait_until(lambda: not files(), 60, "nothing of it is left")
    place.drained()
    assert not files() and all(place.get(f"/v1/jobs/{one}").status_code == 404 for one in [job, *parts])


def test_a_deleted_job_takes_its_documents_along(place):
    job = place.post("/v1/jobs", params={"wait": 60}, json={"documents": paths(place, ["gone1.pdf", "gone2.pdf"], 1)}).json()
    parts = [part["job_id"] for part in documents(place, job["job_id"])]
    place.archived(job["job_id"])
    assert place.delete(f"/v1/jobs/{job['job_id']}").status_code == 204
    for job_id in [job["job_id"], *parts]:
        assert place.get(f"/v1/jobs/{job_id}").status_code == 404
    assert documents(place, job["job_id"]) == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"documents": []}, "documents is empty"),
        ({"documents": ["a.pdf", {"source": {"kind": "path", "path": "b"}, "optons": {}}]}, "documents[1]: unknown field `optons`"),
        ({"documents": ["a.pdf"], "job_type": "fax"}, "there are document, ocr, nlp, validation, preprocessing, audio"),
        ({"documents": ["a.pdf"], "priority": "soon"}, "documents[0]: priority"),
        ({"documents": ["a.pdf"], "source": {"kind": "path", "path": "b"}}, "give one of the two"),
    ],
)
def test_what_makes_no_sense_names_the_document(place, body, word):
    answer = place.post("/v1/jobs", json=body)
    assert answer.status_code == 422 and word in answer.json()["detail"], answer.text


def test_a_stopped_job_stops_its_documents_and_goes_on(idle):
    job_id = idle.post("/v1/jobs", json={"documents": paths(idle, [f"stop{n}.pdf" for n in range(5)], 1)}).json()["job_id"]
    stopped = idle.post(f"/v1/jobs/{job_id}/cancel")
    assert stopped.status_code == 202
    assert idle.job_ended(job_id)["status"] == "cancelled"
    assert [part["status"] for part in documents(idle, job_id)] == ["cancelled"] * 5
    assert idle.post(f"/v1/jobs/{job_id}/cancel").status_code == 409
    assert idle.post(f"/v1/jobs/{job_id}/resume").json()["status"] == "queued"
    assert [part["status"] for part in documents(idle, job_id)] == ["queued"] * 5


def test_s4_1_thousands_of_documents_are_one_submission(tmp_path):
    path = None
    with RedisServer(tmp_path) as redis, House(tmp_path, redis.ready()) as house:
        path = str(house.document("small.pdf", 1))
        begun = time.monotonic()
        answer = house.post("/v1/jobs", json={"job_id": "many", "job_type": "preprocessing", "documents": [path] * 2000})
        took = time.monotonic() - begun
        assert (answer.status_code, answer.json()["documents"]["total"]) == (202, 2000), answer.text
        assert took < 60, "it is answered before all are entered"
        assert len(house.job("many")["documents"]["first"]) == 100
        stopped = house.post("/v1/jobs/many/cancel")
        assert stopped.status_code == 202
        ended = house.job_ended("many", 300)
        counts = ended["counts"]
        assert ended["status"] == "cancelled" and counts["ok"] + counts["failed"] + counts["cancelled"] == 2000, counts
        result = house.get("/v1/jobs/many/result").json()
        assert len(result["results"]) == 2000 and len({one["job_id"] for one in result["results"]}) == 2000
        too_many = house.post("/v1/jobs", json={"documents": [path] * 10_001})
        assert too_many.status_code == 413 and "max_queue_size" in too_many.json()["detail"]


def kept(store, job_id):
    """An entry as Redis has it: its version, and the JSON behind it."""
    version, entry = store.get(f"celeriac:job:{job_id}").split(b" ", 1)
    return int(version), json.loads(entry)


def test_a_service_that_dies_over_the_documents_is_followed_by_another(tmp_path):
    """What is asked is written down before anything is entered, and the list of chores names who is to go on."""
    import redis

    with RedisServer(tmp_path) as server:
        server.ready()
        env = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.result_backend}
        store = redis.Redis(port=server.port, db=1)
        with Service(tmp_path, env=env) as service:
            path = str(service.document("small.pdf", 1))
            service.post("/v1/jobs", json={"job_id": "cut", "documents": [path] * 3})
            # As it is when the service dies after the first: its entry says that not all are entered.
            version, entry = kept(store, "cut")
            written = {**entry["submission"], "documents": None}
            parts = [kept(store, f"cut~{part}")[1]["submission"] for part in (1, 2, 3)]
            for part in ("cut~2", "cut~3"):
                service.delete(f"/v1/jobs/{part}")
        entry["parts"]["entered"] = False
        entry["status"], entry["phase"] = "queued", "upload"
        store.set("celeriac:job:cut", f"{version} {json.dumps(entry)}")
        store.zadd("celeriac:chores:documents", {json.dumps({"j": "cut"}, separators=(",", ":")): 0})
        folder = tmp_path / "store" / "jobs" / "cut"
        folder.mkdir(parents=True, exist_ok=True)
        assert written["fingerprint"] == entry["submission"]["fingerprint"]
        lines = "".join(json.dumps(part) + "\n" for part in parts)
        (folder / f"documents-{entry['submission']['fingerprint']}.jsonl").write_text(lines)
        with Service(tmp_path, env=env):
            wait_until(lambda: kept(store, "cut")[1]["parts"]["entered"], 60, "the rest is entered")
        # Not before: the messages of the parts that were removed are still there.
        with Service(tmp_path, "--with-worker", env=env) as service:
            assert service.job_ended("cut", 60)["counts"]["ok"] == 3


def test_the_archive_keeps_a_job_and_its_documents(tmp_path):
    import redis

    with RedisServer(tmp_path) as server:
        server.ready()
        with House(tmp_path, server) as house:
            job = house.post("/v1/jobs", params={"wait": 60}, json={"documents": paths(house, ["kept1.pdf", "kept2.pdf"], 1)}).json()
            job_id = job["job_id"]

            def archived():
                return len(house.get("/v1/history").json()["jobs"]) == 3

            wait_until(archived, 30, "the job and its documents are archived", poll=0.2)
            redis.Redis(port=server.port).flushall()
            assert house.job(job_id)["counts"]["ok"] == 2
            parts = house.get("/v1/history", params={"parent": job_id}).json()["jobs"]
            assert [part["file_name"] for part in parts] == ["kept1.pdf", "kept2.pdf"]
            assert [job["job_id"] for job in house.get("/v1/history", params={"parent": "none"}).json()["jobs"]] == [job_id]
            result = house.get(f"/v1/jobs/{job_id}/result").json()
            assert (result["successful"], len(result["results"])) == (2, 2)
            assert house.delete(f"/v1/jobs/{job_id}").status_code == 204
            assert house.get("/v1/history").json()["jobs"] == []


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("submitted")
    with RedisServer(folder) as redis, House(folder, redis.ready()) as running:
        yield running


def test_the_command_line_hands_in_one_job_of_several_documents(house):
    for name in ("one.pdf", "two.pdf"):
        house.document(name, 1)
    apart = house.run("jobs", "submit", house.folder / "in", "--job-type", "preprocessing", "--tag", "apart")
    assert apart.returncode == 0 and len(apart.stdout.split()) == 2, apart
    words = ("--together", "--job-id", "pair", "--user", "ada", "--priority", "-5", "--options", '{"summary": false}')
    ran = house.run("jobs", "submit", house.folder / "in" / "one.pdf", house.folder / "in" / "two.pdf", *words)
    assert (ran.returncode, ran.stdout) == (0, "pair\n"), ran
    watched = house.run("jobs", "watch", "pair")
    assert watched.returncode == 0 and "2 of 2 done" in watched.stdout and "one.pdf" in watched.stdout, watched
    assert house.told("jobs", "show", "pair") == house.job("pair")
    listed = house.told("jobs", "list", "--parent", "pair")["jobs"]
    assert [part["file_name"] for part in listed] == ["one.pdf", "two.pdf"] and listed[0]["priority"] == "-5"
    out = house.folder / "pair.json"
    assert house.run("jobs", "result", "pair", "-o", out).returncode == 0
    assert json.loads(out.read_text())["successful"] == 2
    assert house.run("jobs", "result", "pair", "--format", "txt").stdout.count("This is page 1") == 2
    wrong = house.run("jobs", "submit", out)
    assert wrong.returncode == 2 and "neither a PDF nor a PNG" in wrong.stderr, wrong


def test_s0_19_pages_are_as_urgent_as_their_job_and_what_is_done_again_comes_last(tmp_path):
    """Rules by user, tag and kind decide where the caller does not; s1_17: what is tried again goes to the lowest step."""
    import redis

    rules = '[celeriac.priority]\nusers = { vip = "high" }\ntags = { nightly = "low" }\njob_types = { audio = 1 }\nmost = { guest = 0 }\n'
    with RedisServer(tmp_path) as server:
        server.ready()
        env = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.result_backend}
        broker = redis.Redis(port=server.port)
        with Service(tmp_path, env=env, settings=rules) as service:
            asked = [
                ({"user_id": "vip", "tags": ["nightly"]}, 0, "high"),
                ({"user_id": "ann", "tags": ["nightly"]}, 9, "low"),
                ({"user_id": "guest", "priority": "high"}, 6, 0),
                ({"job_type": "audio"}, 3, 1),
            ]
            for more, step, level in asked:
                body = {"source": {"kind": "path", "path": str(service.document("p.pdf", 2))}, "options": {"summary": False, "audio": False}, **more}
                assert service.post("/v1/jobs", json=body).json()["priority"] == level
                assert broker.llen(queue("document_orchestration", step)) == 1, (more, step)
            command = [PROGRAM, "worker", "-Q", "document_orchestration", "-c", "1"]
            worker = {**env, "CELERIAC_STORE": str(tmp_path / "store")}
            with Process("worker", command, tmp_path, worker) as opens:
                waiting = lambda: [broker.llen(queue("page_processing", step)) for step in (0, 3, 6, 9)]  # noqa: E731
                wait_until(lambda: opens.check() and waiting() == [2, 2, 2, 2], 60, "each page has its job's step")
                job_id = service.post("/v1/jobs", json={"source": {"kind": "path", "path": "/nowhere.pdf"}, "user_id": "vip"}).json()["job_id"]
                assert service.job_ended(job_id)["status"] == "failed"
            service.post(f"/v1/jobs/{job_id}/retry")
            assert broker.llen(queue("document_orchestration", 9)) == 1
            service.post(f"/v1/jobs/{job_id}/cancel")
            service.post(f"/v1/jobs/{job_id}/resume")
            assert broker.llen(queue("document_orchestration", 0)) == 1, "what goes on is as urgent as it was"


def queue(name, step):
    """The list of a priority, as kombu names it."""
    return f"{name}\x06\x16{step}" if step else name


def test_sqlite_of_an_earlier_version_gets_what_is_new(tmp_path):
    """An archive that was made before documents could be handed in together is opened and used."""
    store = tmp_path / "store"
    store.mkdir()
    with sqlite3.connect(store / "archive.db") as archive:
        archive.executescript("CREATE TABLE celeriac_job_tags (tag TEXT NOT NULL, job_id TEXT NOT NULL, PRIMARY KEY (tag, job_id));")
    with Service(tmp_path, "--with-worker") as service:
        job = service.post("/v1/jobs", params={"wait": 60}, json={"documents": paths(service, ["old.pdf"], 1)}).json()
        wait_until(lambda: service.get("/v1/history", params={"parent": job["job_id"]}).json()["jobs"], 30, "it is archived", poll=0.2)
