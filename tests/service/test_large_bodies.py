"""Bodies that are larger than the memory they may take: they go into the store as they come (C14).

FULL=1: five hundred images of 225 KB each, 150 MB of base64 in one body; else a third of it.
"""

import base64
import os
import random
import struct
import zlib

import pytest
from conftest import PROGRAM, Service
from processes import CeleriacWorker, RedisServer

FULL = os.environ.get("FULL") == "1"
PAGES = 500
# Pixels of a side: three bytes each, and nothing of them can be compressed.
SIDE = 274 if FULL else 160
# What a service may grow by while it reads a body: a few pages, and what its allocator keeps.
GROWTH = 16_000_000
QUEUES = ["default", "page_processing", "document_orchestration", "batch_processing", "audio_generation"]


def picture(number):
    """A PNG of noise, another for each number."""
    noise = random.Random(number).randbytes(3 * SIDE * SIDE)
    rows = b"".join(b"\0" + noise[at : at + 3 * SIDE] for at in range(0, len(noise), 3 * SIDE))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


class Body:
    """A body that is made while it is sent; how long it was."""

    def __init__(self, parts):
        self._parts, self.sent = parts, 0

    def __iter__(self):
        for part in self._parts:
            self.sent += len(part)
            yield part


def json_of_images(fields):
    yield b"{" + fields + b'"images_base64": ['
    for number in range(PAGES):
        yield (b", " if number else b"") + b'"' + (b"data:image/png;base64," if number % 2 else b"")
        yield base64.b64encode(picture(number)) + b'"'
    yield b"]}"


def form_of_files(files, megabytes):
    for number in range(files):
        head = f'--edge\r\ncontent-disposition: form-data; name="files"; filename="{number}.pdf"\r\n\r\n%PDF-1.4\n'
        yield head.encode()
        for block in range(megabytes):
            yield random.Random(f"{number} {block}").randbytes(1_000_000)
        yield b"\r\n"
    yield b"--edge--\r\n"


def memory(service, name):
    """A figure of the service's own process, bytes: `VmRSS` is now, `VmHWM` the most since it was started or `measured_from_here`."""
    with open(f"/proc/{service.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(f"{name}:"))


def measured_from_here(service):
    with open(f"/proc/{service.pid}/clear_refs", "w") as refs:
        refs.write("5")
    return memory(service, "VmRSS")


def grown(service, path, body, content_type):
    """Sends a body; the answer, and by how much the service had grown at most."""
    before = measured_from_here(service)
    answer = service.post(path, data=iter(body), headers={"content-type": content_type})
    most = memory(service, "VmHWM") - before
    print(f"{path}: a body of {body.sent / 1e6:.0f} MB, grown by {most / 1e6:.1f} MB from {before / 1e6:.1f} MB")
    return answer, most


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A service whose workers are other processes: what it takes is for the reading of bodies alone."""
    folder = tmp_path_factory.mktemp("large")
    with RedisServer(folder).ready() as redis:
        env = {"CELERY_BROKER_URL": redis.broker_url, "CELERY_RESULT_BACKEND": redis.result_backend}
        with Service(folder, env=env) as service:
            worker_env = {**env, "CELERIAC_STORE": str(folder / "store"), "NO_COLOR": "1"}
            with CeleriacWorker(PROGRAM, "worker", QUEUES, folder, worker_env, 2):
                # Once before anything is measured: what is made on first use is no growth.
                path = service.document("first.pdf", 1)
                service.job_ended(service.post("/v1/jobs", json={"source": {"kind": "path", "path": str(path)}}).json()["job_id"])
                yield service


IMAGES = [
    # S2's own shape, and ours.
    ("/process-large-document", b'"job_id": "s2", "user_id": "u", "num_pages": 500, "file_type": "PDF", ', 200),
    ("/v1/jobs", b'"job_id": "v1", "options": {"summary": false}, ', 202),
]


@pytest.mark.parametrize("path,fields,status", IMAGES)
def test_c14_five_hundred_images_in_one_body_are_read_within_a_few_megabytes(large, path, fields, status):
    body = Body(json_of_images(fields))
    answer, most = grown(large, path, body, "application/json")
    assert answer.status_code == status, answer.text
    assert body.sent > (150_000_000 if FULL else 50_000_000) and most < GROWTH
    done = large.job_ended(answer.json()["job_id"], 600)
    assert (done["status"], done["counts"]["ok"], done["counts"]["total"]) == ("completed", PAGES, PAGES)


def test_c14_large_files_in_one_form_are_read_within_a_few_megabytes(large):
    """S1's shape: several files of nearly all that its route takes, a job for each."""
    body = Body(form_of_files(4, 45))
    answer, most = grown(large, "/api/documents/async-upload", body, "multipart/form-data; boundary=edge")
    assert answer.status_code == 200, answer.text
    assert body.sent > 150_000_000 and most < GROWTH
    for job in answer.json()["jobs"]:
        assert job["size"] > 45_000_000
        assert large.job_ended(job["jobId"])["error"]["code"] == "pdf_corrupt"


FORMS = [
    ("/v1/jobs", "file", 202),
    ("/process-large-document", "file", 200),
    ("/api/documents/async-upload", "files", 200),
    ("/api/process", "file", 200),
]


def test_c14_a_form_is_measured_by_its_files_and_not_as_json(tmp_path):
    settings = "[celeriac.api]\nmax_json_mb = 1\nmax_upload_mb = 3\nasync_upload_max_mb = 3\n"
    with Service(tmp_path, settings=settings) as service:
        for path, field, status in FORMS:
            answer = service.post(path, files={field: ("a.pdf", b"%PDF-1.4\n" + bytes(2_000_000))})
            assert answer.status_code == status, (path, answer.text)
            refused = service.post(path, files={field: ("a.pdf", b"%PDF-1.4\n" + bytes(3_000_000))})
            assert (refused.status_code, refused.json()["code"]) == (413, "too_large"), (path, refused.text)
            assert "3 MB" in refused.json()["detail"]
        # Three of them are more than all of a body of JSON.
        several = service.post("/v1/jobs", files=[("file", (f"{n}.pdf", b"%PDF-1.4\n" + bytes(1_000_000 + n))) for n in range(3)])
        assert several.status_code == 202 and several.json()["documents"]["total"] == 3


def test_c14_a_body_above_its_limit_is_refused_before_it_is_read_to_its_end(tmp_path):
    with Service(tmp_path, settings="[celeriac.api]\nmax_json_mb = 20\n") as service:
        body = Body(json_of_images(b'"job_id": "large", '))
        answer, most = grown(service, "/v1/jobs", body, "application/json")
        assert answer.status_code == 413 and "20 MB" in answer.json()["detail"]
        assert most < GROWTH
