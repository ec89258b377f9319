"""The native API: handing in, watching, results, pages, stopping, going on, and what outlives Redis."""

import contextlib
import json
import os
import re
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from conftest import Service
from processes import RedisServer, wait_until


def frames(answer, until="end"):
    """Server-sent events as (id, event, data) until one of a kind."""
    told, event = [], {}
    for line in answer.iter_lines(decode_unicode=True):
        if line == "":
            if "data" in event:
                told.append((event.get("id"), event["event"], json.loads(event["data"])))
                if event["event"] == until:
                    return told
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value
    return told


def submit(service, name, pages, **more):
    path = service.document(name, pages)
    answer = service.post("/v1/jobs", json={"source": {"kind": "path", "path": str(path)}, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()["job_id"]


def test_a_job_is_handed_in_by_reference_and_told_of(service):
    path = service.document("ref.pdf", 3)
    body = {"job_id": "by-ref", "source": {"kind": "path", "path": str(path)}, "tags": ["a"], "metadata": {"k": 1}, "user_id": "u"}
    answer = service.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.headers["location"]) == (202, "/v1/jobs/by-ref")
    done = service.get("/v1/jobs/by-ref", params={"wait": 60}).json()
    assert (done["status"], done["percent"], done["page_states"]) == ("completed", 100.0, "ooo")
    assert (done["tags"], done["metadata"], done["user_id"]) == (["a"], {"k": 1}, "u")
    assert done["times"]["created"].endswith("+00:00")
    assert service.post("/v1/jobs", json=body).status_code == 200
    assert service.post("/v1/jobs", json={**body, "tags": []}).status_code == 409
    assert service.get("/v1/jobs/nobody").status_code == 404


def test_a_file_in_a_form_is_a_job_and_can_be_waited_for(service):
    path = service.document("form2.pdf", 2)
    fields = {"options": json.dumps({"summary": False}), "tags": "x, y", "priority": "high"}
    with path.open("rb") as file:
        answer = service.post("/v1/jobs", params={"wait": 60}, data=fields, files={"file": ("../../form2.pdf", file)})
    job = answer.json()
    assert (answer.status_code, job["status"], job["file_name"], job["tags"]) == (200, "completed", "form2.pdf", ["x", "y"])


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({}, 422, "source is missing"),
        ({"source": {"kind": "floppy"}}, 422, "unknown variant"),
        ({"source": {"kind": "path", "path": "a"}, "priority": "soon"}, 422, "priority"),
        ({"source": {"kind": "path", "path": "a"}, "deadline_s": -1}, 422, "deadline_s"),
        ({"source": {"kind": "path", "path": "a"}, "options": {"pages": "0"}}, 422, "pages"),
        ({"source": {"kind": "path", "path": "a"}, "job_id": ""}, 422, "job_id"),
    ],
)
def test_what_makes_no_sense_is_a_problem_with_words(service, body, status, word):
    answer = service.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert word in answer.json()["detail"]


def test_c8_the_same_key_and_the_same_words_are_the_same_job(idle):
    source = {"kind": "path", "path": str(idle.document("key.pdf", 1))}
    key = {"Idempotency-Key": "4f1c-key"}
    first = idle.post("/v1/jobs", json={"source": source}, headers=key)
    assert first.status_code == 202, first.text
    job_id = first.json()["job_id"]
    for again in (idle.post("/v1/jobs", json={"source": source}, headers=key), idle.post("/v1/jobs", json={"source": source, "idempotency": "4f1c-key"})):
        assert (again.status_code, again.json()["job_id"]) == (200, job_id), again.text
    assert idle.post("/v1/jobs", json={"source": source, "tags": ["other"]}, headers=key).status_code == 409
    assert idle.post("/v1/jobs", json={"source": source}, headers={"Idempotency-Key": "another"}).json()["job_id"] != job_id
    form = {"data": {"idempotency": "form"}, "files": {"file": ("key.pdf", Path(source["path"]).read_bytes())}}
    assert [idle.post("/v1/jobs", **form).status_code for _ in range(2)] == [202, 200]
    assert idle.post("/v1/jobs", json={"source": source, "idempotency": "two"}, headers=key).status_code == 422
    assert idle.post("/v1/jobs", json={"source": source}, headers={"Idempotency-Key": "a b"}).status_code == 422


@pytest.mark.parametrize("price,status", [("", 422), ('[celeriac.analysis.prices."gpt-4.1"]\ninput = 2.0\noutput = 8.0\n', 202)])
def test_a_limit_in_money_is_taken_where_a_price_is_known(tmp_path, price, status):
    env = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    with Service(tmp_path, env=env, settings=price) as service:
        body = {"source": {"kind": "path", "path": str(service.document("a.pdf", 1))}, "max_cost_usd": 0.5}
        parts = {"documents": [body["source"]["path"]], "max_cost_usd": 0.5}
        for asked in (body, parts):
            answer = service.post("/v1/jobs", json=asked)
            assert answer.status_code == status, answer.text
            assert status == 202 or '[celeriac.analysis.prices."gpt-4.1-mini"]' in answer.json()["detail"]
        # Nothing that costs is asked, or tokens are what counts.
        for free in ({"options": {"analysis": "extractive"}}, {"max_cost_usd": None, "max_tokens": 1000}):
            assert service.post("/v1/jobs", json={**body, **free}).status_code == 202
        assert service.post("/v1/jobs", json={**body, "job_id": "later", "max_cost_usd": None}).status_code == 202
        assert service.post("/v1/jobs/later/cancel").status_code == 202
        assert service.post("/v1/jobs/later/resume", json={"max_cost_usd": 0.5}).status_code == status


def test_what_the_service_does_not_know_is_refused_by_its_name(idle):
    source = {"kind": "path", "path": str(idle.document("unknown.pdf", 1))}
    for wrong in ({"webhok": {}}, {"max_cost": 1}, {"webhook": {"url": "https://a", "event": []}}, {"deadline_s": "soon"}):
        refused = idle.post("/v1/jobs", json={"source": source, **wrong})
        assert refused.status_code == 422 and refused.json()["detail"].startswith(next(iter(wrong))), refused.text
    form = {"data": {"request": '{"job_id": "x"}'}, "files": {"file": ("a.pdf", Path(source["path"]).read_bytes())}}
    refused = idle.post("/v1/jobs", **form)
    assert refused.status_code == 422 and "unknown field `request`" in refused.json()["detail"], refused.text
    assert idle.get("/v1/jobs", params={"q": "unknown.pdf"}).json()["jobs"] == []


def test_events_tell_a_job_from_a_snapshot_to_its_end(service):
    job_id = submit(service, "events.pdf", 60)
    with service.get(f"/v1/jobs/{job_id}/events", stream=True) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
        told = frames(answer)
    assert told[0][1] == "snapshot" and told[-1][1] == "end"
    assert told[-1][2]["status"] == "completed"
    states = list(told[0][2]["page_states"].ljust(60, "."))
    for _, event, data in told[1:]:
        if event == "snapshot":
            states = list(data["page_states"])
        for page in data.get("pages", []) if event == "pages" else []:
            states[page["n"] - 1] = page["s"]
    assert states == ["o"] * 60
    # Who comes back gets what he missed, and nothing twice.
    seen = [id for id, *_ in told if id]
    middle = seen[len(seen) // 2]
    with service.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": middle}, stream=True) as answer:
        again = frames(answer)
    assert again[-1][1] == "end" and all(tuple(map(int, id.split("-"))) > tuple(map(int, middle.split("-"))) for id, *_ in again if id)


def test_the_result_and_its_pages_in_every_form(service):
    job_id = submit(service, "forms.pdf", 3, tags=["t"], metadata={"k": "v"})
    service.job_ended(job_id)
    result = service.get(f"/v1/jobs/{job_id}/result").json()
    assert (result["schema_version"], result["counts"]["ok"], len(result["pages"])) == ("1.0", 3, 3)
    assert (result["job"]["tags"], result["job"]["metadata"]) == (["t"], {"k": "v"})
    image = result["pages"][1]["image"]
    assert image["url"] == f"/v1/jobs/{job_id}/pages/2/image?v={image['sha256'][:16]}"
    chosen = service.get(f"/v1/jobs/{job_id}/result", params={"pages": "2-"}).json()
    assert [page["page"] for page in chosen["pages"]] == [2, 3]
    markdown = service.get(f"/v1/jobs/{job_id}/result", params={"format": "md"})
    assert markdown.headers["content-type"].startswith("text/markdown") and "This is page 2 of forms.pdf." in markdown.text
    lines = service.get(f"/v1/jobs/{job_id}/result", params={"format": "ndjson"}).text.splitlines()
    assert [json.loads(line)["page"] for line in lines] == [1, 2, 3]
    assert service.get(f"/v1/jobs/{job_id}/result", params={"format": "docx"}).status_code in (400, 422)
    named = lambda include: service.get(f"/v1/jobs/{job_id}/result", params={"include": include})  # noqa: E731
    assert [page["text"] for page in named("pages").json()["pages"]] == [None] * 3
    assert "This is page 3" in named("text").json()["pages"][2]["text"]["content"]
    assert (named("entities").json()["pages"], named("entities").json()["counts"]) == ([], result["counts"])
    assert named("pages,images").status_code == 422

    pages = service.get(f"/v1/jobs/{job_id}/pages", params={"from": 2, "fields": "status"}).json()
    assert pages["pages"] == [{"page": 2, "status": "ok"}, {"page": 3, "status": "ok"}]
    assert "This is page 3" in service.get(f"/v1/jobs/{job_id}/pages/3/text").text
    assert service.get(f"/v1/jobs/{job_id}/pages/9").status_code == 404


def test_a_job_that_has_not_changed_is_not_sent_again(service):
    job_id = submit(service, "tagged.pdf", 1)
    service.job_ended(job_id)
    known = service.get(f"/v1/jobs/{job_id}").headers["etag"]
    again = service.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": f"W/{known}"})
    assert (again.status_code, again.content) == (304, b"")
    assert service.post(f"/v1/jobs/{job_id}/retry", json={"all": True}).status_code == 202
    service.job_ended(job_id)
    answer = service.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": known})
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


def test_pages_that_are_there_are_told_line_by_line_while_the_job_runs(service):
    job_id = submit(service, "lines.pdf", 3)
    service.job_ended(job_id)
    assert service.post("/v1/queues/page_processing/pause").ok
    try:
        assert service.post(f"/v1/jobs/{job_id}/retry", json={"pages": [2]}).status_code == 202
        wait_until(lambda: service.job(job_id)["counts"]["cached"] == 2, 60, "page 2 waits")
        so_far = lambda form: service.get(f"/v1/jobs/{job_id}/result", params={"partial": "true", "format": form})  # noqa: E731
        assert so_far("ndjson").headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line)["page"] for line in so_far("ndjson").text.splitlines()] == [1, 3]
        assert [page["page"] for page in so_far("json").json()["pages"]] == [1, 3]
        assert so_far("md").status_code == 422
    finally:
        assert service.post("/v1/queues/page_processing/resume").ok
    service.job_ended(job_id)


def test_images_are_served_whole_in_part_and_not_again(service):
    job_id = submit(service, "image.pdf", 1)
    service.job_ended(job_id)
    url = f"/v1/jobs/{job_id}/pages/1/image"
    whole = service.get(url)
    assert (whole.status_code, whole.headers["content-type"], whole.content[:2]) == (200, "image/jpeg", b"\xff\xd8")
    part = service.get(url, headers={"Range": "bytes=2-9"})
    assert (part.status_code, part.content) == (206, whole.content[2:10])
    assert part.headers["content-range"] == f"bytes 2-9/{len(whole.content)}"
    assert service.get(url, headers={"Range": "bytes=99999999-"}).status_code == 416
    assert service.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert len(service.get(url, params={"w": 160}).content) < len(whole.content)
    # What is at this address may be another after the next run; what is at one that names its content may not.
    assert whole.headers["cache-control"] == "private, no-cache"
    image = service.get(f"/v1/jobs/{job_id}/pages/1").json()["image"]
    for named in (image["url"], image["thumb_url"]):
        assert "immutable" in service.get(named).headers["cache-control"]
    assert service.get(image["url"]).content == whole.content
    assert len(service.get(image["thumb_url"]).content) < len(whole.content)


def test_what_is_not_kept_any_more_is_gone_and_what_never_was_is_not_found(tmp_path):
    with Service(tmp_path, "--with-worker", settings="[celeriac.retention]\nartifacts_age = 0.1\n") as service:
        job_id = submit(service, "gone.pdf", 2)
        service.job_ended(job_id)
        wait_until(lambda: service.get(f"/v1/jobs/{job_id}/pages").status_code == 410, 60, "the pages are removed")
        for rest in ("/pages/1", "/pages/2/image", "/pages/1/image?w=160", "/pages/2/text"):
            answer = service.get(f"/v1/jobs/{job_id}{rest}")
            assert (answer.status_code, answer.json()["code"]) == (410, "gone"), rest
            assert service.get(f"/v1/jobs/nobody{rest}").status_code == 404
        assert service.get(f"/v1/jobs/{job_id}/pages/3/image").status_code == 404
        assert service.get(f"/v1/jobs/{job_id}/pages", params={"status": "f"}).json()["pages"] == []
        assert service.get(f"/v1/jobs/{job_id}/result").json()["counts"]["ok"] == 2


def test_jobs_are_listed_page_by_page_and_found(service):
    ids = [submit(service, f"list{n}.pdf", 1, tags=["listed"], user_id="lister") for n in range(3)]
    first = service.get("/v1/jobs", params={"tag": "listed", "limit": 2}).json()
    rest = service.get("/v1/jobs", params={"tag": "listed", "limit": 2, "cursor": first["next"]}).json()
    assert [job["job_id"] for job in first["jobs"] + rest["jobs"]] == ids[::-1] and rest["next"] is None
    assert [job["job_id"] for job in service.get("/v1/jobs", params={"q": "LIST1"}).json()["jobs"]] == [ids[1]]
    assert service.get("/v1/jobs", params={"status": "nonsense"}).status_code == 422
    for job_id in ids:
        service.job_ended(job_id)


def test_a_job_is_tried_again_and_deleted(service):
    job_id = submit(service, "again.pdf", 3)
    assert service.post(f"/v1/jobs/{job_id}/retry").status_code == 409 or service.job_ended(job_id)
    service.job_ended(job_id)
    assert service.post(f"/v1/jobs/{job_id}/retry", json={"pages": [9]}).status_code == 422
    runs = service.job(job_id)["runs"]
    again = service.post(f"/v1/jobs/{job_id}/retry", json={"pages": [2]})
    assert again.status_code == 202
    wait_until(lambda: service.job(job_id)["runs"] == runs + 1, 30, "the next run begins")
    done = service.job_ended(job_id)
    assert (done["status"], done["page_states"]) == ("completed", "coc")
    service.archived(job_id)
    assert service.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert service.get(f"/v1/jobs/{job_id}").status_code == 404
    assert service.get(f"/v1/jobs/{job_id}/pages/1/image").status_code == 404


def test_a_job_whose_deadline_has_come_goes_on_with_another(service):
    job_id = submit(service, "late.pdf", 2, deadline_s=0.001)
    assert service.job_ended(job_id)["partial_reasons"] == ["deadline"]
    for body in [None, {"max_tokens": 5}]:
        refused = service.post(f"/v1/jobs/{job_id}/resume", json=body)
        assert refused.status_code == 409 and "deadline" in refused.text
    assert service.post(f"/v1/jobs/{job_id}/resume", json={"deadline_s": -1}).status_code == 422
    assert service.post(f"/v1/jobs/{job_id}/retry", json={"all": True, "deadline_s": 600}).status_code == 202
    assert service.job_ended(job_id)["status"] == "completed"


def test_a_job_that_is_archived_while_it_is_deleted_does_not_come_back(service):
    job_id = submit(service, "late.pdf", 1)
    service.job_ended(job_id)
    service.archived(job_id)
    with contextlib.closing(sqlite3.connect(service.folder / "store/archive.db", timeout=30)) as archive:
        row = archive.execute("SELECT * FROM celeriac_jobs WHERE job_id = ?", [job_id]).fetchone()
        assert service.delete(f"/v1/jobs/{job_id}").status_code == 204
        # As another service does that had read the job before it was deleted.
        archive.execute(f"INSERT INTO celeriac_jobs VALUES ({', '.join('?' * len(row))})", row)
        archive.commit()
    wait_until(lambda: service.get(f"/v1/jobs/{job_id}").status_code == 404, 30, "it is gone for good")


def test_a_job_that_is_deleted_while_it_runs_stops_and_leaves_nothing(service):
    job_id = submit(service, "deleted.pdf", 400)
    wait_until(lambda: service.job(job_id)["counts"]["ok"] > 5, 60, "some pages are done")
    assert service.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert service.get(f"/v1/jobs/{job_id}").status_code == 404
    assert service.post(f"/v1/jobs/{job_id}/cancel").status_code == 404
    kept = service.folder / "store/jobs" / job_id
    wait_until(lambda: not any(path.is_file() for path in kept.rglob("*")), 60, "nothing of it is left")
    service.drained()
    assert len(re.findall(r"tasks.process_page\[.*succeeded", service.output())) < 300, "its pages did not run"
    assert job_id not in [job["job_id"] for job in service.get("/v1/jobs", params={"limit": 100}).json()["jobs"]]
    again = submit(service, "deleted.pdf", 2, job_id=job_id)
    assert again == job_id and service.job_ended(job_id)["status"] == "completed"


def test_a_job_that_is_deleted_while_it_waits_is_not_run(tmp_path):
    with RedisServer(tmp_path) as server:
        server.ready()
        env = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.result_backend}
        with Service(tmp_path, env=env) as service:
            gone = submit(service, "gone.pdf", 2)
            assert service.delete(f"/v1/jobs/{gone}").status_code == 204
        with Service(tmp_path, "--with-worker", env=env) as service:
            kept = submit(service, "kept.pdf", 2)
            assert service.job_ended(kept)["status"] == "completed"
            assert service.get(f"/v1/jobs/{gone}").status_code == 404
            assert [job["job_id"] for job in service.get("/v1/jobs").json()["jobs"]] == [kept]
            assert not list((tmp_path / "store/jobs").glob(f"{gone}/**/*.json")), "nothing was written"


def test_the_document_of_a_deleted_job_goes_and_that_of_one_that_waits_stays_to_be_read(tmp_path):
    with RedisServer(tmp_path) as server:
        server.ready()
        env = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.result_backend}
        with Service(tmp_path, env=env) as service:
            jobs = {}
            for name in ("gone.pdf", "kept.pdf"):
                with service.document(name, 1).open("rb") as file:
                    jobs[name] = service.post("/v1/jobs", files={"file": (name, file)}).json()["job_id"]
            assert service.delete(f"/v1/jobs/{jobs['gone.pdf']}").status_code == 204
        sources = lambda: list((tmp_path / "store/documents").glob("*/source"))  # noqa: E731
        assert len(sources()) == 2
        # As if they had been handed in two days ago; a service looks as it starts.
        for file in (tmp_path / "store/documents").glob("*/*"):
            os.utime(file, (time.time() - 2 * 86_400,) * 2)
        with Service(tmp_path, env=env):
            wait_until(lambda: len(sources()) == 1, 60, "the document of the deleted job goes")
        with Service(tmp_path, "--with-worker", env=env) as service:
            assert service.job_ended(jobs["kept.pdf"])["status"] == "completed"


def test_the_document_of_the_api_names_every_route_of_it(service):
    document = service.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    for route in ("/v1/jobs", "/v1/jobs/{job_id}", "/v1/jobs/{job_id}/events", "/v1/jobs/{job_id}/result", "/v1/stats", "/livez"):
        assert route in document["paths"], route
    assert service.get("/nowhere").json()["code"] == "not_found"


def test_an_estimate_is_made_and_nothing_is_queued(idle):
    answer = idle.post("/v1/estimate", json={"pages": 500}).json()
    assert answer["seconds"] is None and answer["warning"] == "no worker consumes page_processing"


class Receiver:
    """Keeps what is posted to it, and answers as told."""

    def __init__(self, *answers):
        import http.server

        self.got, answers = [], list(answers)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(answers.pop(0) if answers else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_webhooks_are_signed_tried_again_and_told_in_the_log(tmp_path):
    import base64
    import hashlib
    import hmac

    receiver = Receiver(500)
    settings = "[celeriac.webhooks]\nallow_private = true\nsecret = \"s3cret-of-the-hook\"\n"
    with Service(tmp_path, "--with-worker", settings=settings) as service:
        job_id = submit(service, "hook.pdf", 1, webhook={"url": receiver.url})
        service.job_ended(job_id)
        wait_until(lambda: len(receiver.got) == 2, 60, "a second try")
        headers, body = receiver.got[1]
        told = json.loads(body)
        assert (told["type"], told["data"]["job_id"], told["data"]["counts"]["ok"]) == ("job.completed", job_id, 1)
        assert "This is page" not in body.decode()
        headers = {name.lower(): value for name, value in headers.items()}
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = hmac.new(b"s3cret-of-the-hook", signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
        assert headers["webhook-id"] == {name.lower(): v for name, v in receiver.got[0][0].items()}["webhook-id"]
        assert "s3cret" not in service.output()


def test_a_webhook_that_would_never_be_told_is_refused_when_it_is_asked_for(service):
    body = {"source": {"kind": "path", "path": str(service.document("never.pdf", 1))}}
    for hook in [{"url": "http://127.0.0.1:1/x"}, {"url": "https://127.0.0.1:1/x"}, {"url": "https://host/x", "events": ["completed"]}]:
        answer = service.post("/v1/jobs", json={**body, "webhook": hook})
        assert answer.status_code == 422 and answer.json()["detail"].startswith("webhook: "), answer.text


def test_a_webhook_whose_name_leads_to_a_private_address_is_not_told(tmp_path):
    receiver = Receiver()
    with Service(tmp_path, "--with-worker", settings="[celeriac.webhooks]\nattempts = 1\n") as service:
        # Only where it leads says that it is this machine's.
        url = receiver.url.replace("http://127.0.0.1", "https://ip6-localhost")
        job_id = submit(service, "hook.pdf", 1, webhook={"url": url})
        service.job_ended(job_id)
        wait_until(lambda: "webhook job.completed: " in json.dumps(service.get(f"/v1/jobs/{job_id}/log").json()), 60, "the log tells of it")
        assert receiver.got == []


def test_history_outlives_a_redis_that_was_emptied(tmp_path):
    import redis

    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis").ready() as server:
        env = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.broker_url}
        with Service(tmp_path, "--with-worker", env=env) as service:
            job_id = submit(service, "history.pdf", 3, tags=["kept"], user_id="ann")
            service.job_ended(job_id)
            wait_until(lambda: service.get("/v1/history").json()["jobs"], 30, "the job is archived", poll=0.2)
            redis.Redis(port=server.port).flushall()
            found = service.get("/v1/history", params={"tag": "kept", "user_id": "ann", "q": "history"}).json()["jobs"]
            assert [job["job_id"] for job in found] == [job_id]
            assert service.job(job_id)["status"] == "completed"
            assert service.get(f"/v1/jobs/{job_id}/result").json()["counts"]["ok"] == 3
