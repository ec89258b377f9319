"""Jobs leave as lines of text and come into another archive (S4.32, S4.34); results as a page to read; queues emptied by admins alone."""

import json
from html.parser import HTMLParser

import pytest
import requests
from conftest import Service
from processes import RedisServer
from test_access import ADMIN, KEYS, OPERATE, bearer, refused
from test_cli import House, house  # noqa: F401


@pytest.fixture(scope="module")
def done(house):
    return house.done("two.pdf", 2, file_name="<b>two</b> & more.pdf", user_id="ada", tags=["blue"])


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_jobs_are_exported_and_come_into_a_fresh_archive_however_often(house, done, tmp_path):
    failed = house.post("/v1/jobs", params={"wait": 60}, json={"source": {"kind": "path", "path": "/nowhere.pdf"}}).json()
    assert failed["status"] == "failed"
    copy = house.folder / "jobs.jsonl"
    ran = house.run("jobs", "export", "-o", copy)
    assert ran.returncode == 0 and "2 jobs exported" in ran.stderr, ran
    exported = {line["entry"]["id"]: line for line in lines(copy.read_text())}
    assert set(exported) == {done, failed["job_id"]}
    assert len(exported[done]["result"]["pages"]) == 2 and exported[failed["job_id"]]["result"] is None
    assert [line["entry"]["id"] for line in lines(house.run("jobs", "export", "--tag", "blue").stdout)] == [done]

    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis") as redis, House(tmp_path, redis.ready()) as fresh:
        assert fresh.told("jobs", "import", copy) == {"imported": 2, "known": 0, "older": 0, "unfinished": 0}
        assert fresh.told("jobs", "import", copy) == {"imported": 0, "known": 2, "older": 0, "unfinished": 0}
        there = {job["job_id"]: job["status"] for job in fresh.get("/v1/history").json()["jobs"]}
        assert there == {done: "completed", failed["job_id"]: "failed"}
        text = fresh.get(f"/v1/jobs/{done}/result", params={"format": "txt"}).text
        assert text == house.get(f"/v1/jobs/{done}/result", params={"format": "txt"}).text and "This is page 2 of two.pdf." in text
        again = fresh.run("jobs", "export")
        assert {line["entry"]["id"] for line in lines(again.stdout)} == set(exported)


def test_what_is_no_export_is_refused_with_its_line(house, done):
    broken = house.folder / "broken.jsonl"
    broken.write_text(house.run("jobs", "export", "--tag", "blue").stdout + '{"job": 1}\n')
    ran = house.run("jobs", "import", broken)
    assert ran.returncode == 1 and "line 2" in ran.stderr and "no job of" in ran.stderr, ran


class Page(HTMLParser):
    """What is opened is closed again; what it says."""

    EMPTY = {"meta", "br", "hr", "img", "link"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        self.text += data


def test_a_result_is_a_page_to_read(house, done):
    answer = house.get(f"/v1/jobs/{done}/result", params={"format": "html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = Page(answer.text)
    assert page.open == [] and "<b>two</b> & more.pdf" in page.text, "what a name says is no markup"
    assert all(f"This is page {number} of two.pdf." in page.text for number in (1, 2))
    assert [attrs["id"] for tag, attrs in page.seen if tag == "section"] == ["p1", "p2"]
    assert not any(tag == "script" for tag, _ in page.seen)
    assert house.run("jobs", "result", done, "--format", "html").stdout.rstrip() == answer.text.rstrip()


def test_several_documents_are_a_page_of_links(house):
    paths = [str(house.document(name, 1)) for name in ("one.pdf", "other.pdf")]
    job = house.post("/v1/jobs", params={"wait": 60}, json={"documents": paths}).json()
    page = Page(house.get(f"/v1/jobs/{job['job_id']}/result", params={"format": "html"}).text)
    links = [attrs["href"] for tag, attrs in page.seen if tag == "a"]
    assert page.open == [] and "2 of 2 documents" in page.text and len(links) == 2
    assert [f"This is page 1 of {name}." in house.get(link).text for name, link in zip(("one.pdf", "other.pdf"), links)] == [True, True]


def test_a_queue_is_emptied_by_an_admin_who_writes_its_name(tmp_path):
    with Service(tmp_path, env={"CELERIAC_API_KEYS": KEYS}) as service:

        def ask(path, key, body):
            return requests.post(service.url + path, json=body, headers=bearer(key), timeout=60)

        source = {"kind": "path", "path": str(service.document("p.pdf", 1))}
        jobs = [ask("/v1/jobs", OPERATE, {"source": source}).json()["job_id"] for _ in range(3)]
        queue = "/v1/queues/document_orchestration/purge"
        refused(ask(queue, OPERATE, {"confirm": "document_orchestration"}), 403, "admin")
        refused(ask(queue, ADMIN, {"confirm": "yes"}), 422, "document_orchestration")
        refused(ask(queue, ADMIN, {}), 422, "confirm")
        refused(ask("/v1/queues/nobody/purge", ADMIN, {"confirm": "nobody"}), 404, "nobody")
        assert ask(queue, ADMIN, {"confirm": "document_orchestration"}).json() == {"queue": "document_orchestration", "purged": 3}
        assert ask(queue, ADMIN, {"confirm": "document_orchestration"}).json()["purged"] == 0
        again = requests.post(f"{service.url}/v1/jobs/{jobs[0]}/cancel", headers=bearer(OPERATE), timeout=60)
        assert again.status_code == 202, "what was thrown away can be stopped"
