"""The Flask service of examples/flask_service, with celeriac workers behind it, called over HTTP."""

import json
import sys
import urllib.error
import urllib.request

import pytest

from processes import ROOT, Process, free_port, wait_until


class Service(Process):
    def __init__(self, folder, env):
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        application = ROOT / "examples/flask_service/app.py"
        super().__init__("flask", [sys.executable, "-m", "flask", "--app", application, "run", "--port", port], folder, env)

    def call(self, path, body=None, content_type="application/json"):
        """(status, JSON answer) of a GET, or of a POST where there is a body."""
        request = urllib.request.Request(self.url + path, data=body, headers={"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def ready(self):
        def answers():
            self.check()
            try:
                return self.call("/documents/nobody")
            except urllib.error.URLError:
                return None

        assert wait_until(answers, 30, "Flask answers") == (200, {"task_id": "nobody", "state": "PENDING"})
        return self

    def follow(self, task_id):
        """Every answer about a document, until it has ended."""
        answers = []

        def ended():
            status, answer = self.call(f"/documents/{task_id}")
            assert status == 200
            answers.append(answer)
            return answer["state"] in ("SUCCESS", "FAILURE")

        wait_until(ended, 120, "the document ends")
        return answers


@pytest.fixture
def service(environment, documents, tmp_path):
    with Service(tmp_path, {**environment, "UPLOAD_FOLDER": str(documents)}) as service:
        yield service.ready()


def test_a_document_by_its_path_is_processed(service, deployment, make_pdf):
    path = make_pdf("by-path.pdf", 60)

    status, accepted = service.call("/documents", json.dumps({"path": str(path)}).encode())

    assert status == 202
    answers = service.follow(accepted["task_id"])
    assert answers[-1]["state"] == "SUCCESS", answers[-1]
    assert answers[-1]["result"]["counts"]["ok"] == 60
    progress = [answer["progress"] for answer in answers if answer["state"] == "PROGRESS"]
    assert progress and all(step["total"] == 60 for step in progress if step.get("total"))


def test_an_upload_is_processed(service, deployment, make_pdf):
    content = make_pdf("upload.pdf", 4).read_bytes()
    field = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = field % (b"file", b'; filename="upload.pdf"', content) + field % (b"options", b"", b'{"pages": "1-2"}') + b"--b--\r\n"

    status, accepted = service.call("/documents", body, "multipart/form-data; boundary=b")

    assert status == 202
    last = service.follow(accepted["task_id"])[-1]
    assert last["state"] == "SUCCESS", last
    assert last["result"]["counts"]["ok"] == 2
    assert last["result"]["document"]["file_name"] == "upload.pdf"


def test_a_broken_document_is_an_error_with_its_type(service, deployment, documents):
    path = documents / "broken.pdf"
    path.write_bytes(b"%PDF-1.7 and then nothing that a reader could use")

    _, accepted = service.call("/documents", json.dumps({"path": str(path)}).encode())

    last = service.follow(accepted["task_id"])[-1]
    assert last["state"] == "FAILURE"
    assert last["error"]["type"] == "DocumentProcessingError"


@pytest.mark.parametrize("body", [{}, {"path": "a.pdf", "url": "https://example.com/a.pdf"}])
def test_a_call_without_exactly_one_source_is_refused(service, body):
    status, answer = service.call("/documents", json.dumps(body).encode())

    assert status == 400
    assert "say one of" in answer["error"]


def test_a_call_that_is_no_json_object_is_refused(service):
    assert service.call("/documents", b"[1, 2]")[0] == 400
    assert service.call("/documents", b"path=a.pdf")[0] == 400
