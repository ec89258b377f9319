"""What a caller may name as a source: the public internet by https, files in the folders that are allowed, keys of the store."""

import os
import select
import socket
import threading

import pytest
from conftest import Service
from pdf import write_pdf
from processes import wait_until

WORD = "canaryword"


class Canary:
    """Listens on three addresses of this machine under one port, and counts who connects. Nobody should."""

    ADDRESSES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")]

    def __init__(self):
        self.port, self.connections, self._listeners = 0, [], []
        for family, address in self.ADDRESSES:
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, self.port))
            except OSError:  # A machine without IPv6.
                assert family == socket.AF_INET6
                continue
            listener.listen()
            self.port = listener.getsockname()[1]
            self._listeners.append(listener)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while True:
            ready, _, _ = select.select([*self._listeners, self._woken], [], [])
            for listener in ready:
                if listener is self._woken:
                    return
                connection, peer = listener.accept()
                self.connections.append((listener.getsockname()[0], peer[0]))
                connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._wake.close()
        self._thread.join()
        for listener in [*self._listeners, self._woken]:
            listener.close()


# PORT is the canary's.
URLS = """
http://127.0.0.1:PORT/a.pdf
https://127.0.0.1:PORT/a.pdf
https://127.0.0.2:PORT/a.pdf
https://127.1:PORT/a.pdf
https://127.0.1:PORT/a.pdf
https://2130706433:PORT/a.pdf
https://0x7f000001:PORT/a.pdf
https://0x7f.0.0.1:PORT/a.pdf
https://017700000001:PORT/a.pdf
https://0177.0.0.1:PORT/a.pdf
https://0:PORT/a.pdf
https://0.0.0.0:PORT/a.pdf
https://127.0.0.1.:PORT/a.pdf
https://localhost:PORT/a.pdf
https://LOCALHOST:PORT/a.pdf
https://localhost.:PORT/a.pdf
https://a.localhost:PORT/a.pdf
https://[::1]:PORT/a.pdf
https://[::]:PORT/a.pdf
https://[::ffff:127.0.0.1]:PORT/a.pdf
https://[::ffff:7f00:2]:PORT/a.pdf
https://[::7f00:1]:PORT/a.pdf
https://[64:ff9b::7f00:1]:PORT/a.pdf
https://[2002:7f00:1::]:PORT/a.pdf
https://user:password@127.0.0.1:PORT/a.pdf
https://8.8.8.8@127.0.0.1:PORT/a.pdf
https://127.0.0.1:PORT\\@8.8.8.8/a.pdf
https:\\\\127.0.0.1:PORT/a.pdf
https:/127.0.0.1:PORT/a.pdf
https://①②⑦.⓪.⓪.①:PORT/a.pdf
https://127。0。0。1:PORT/a.pdf
redis://127.0.0.1:PORT/
gopher://127.0.0.1:PORT/_GET
ftp://127.0.0.1:PORT/a.pdf
dict://127.0.0.1:PORT/info
file:///etc/passwd
file://localhost/etc/passwd
data:application/pdf;base64,JVBERi0xLjQK
javascript:alert(1)
//127.0.0.1:PORT/a.pdf
https://
https://10.0.0.5/a.pdf
https://172.16.9.9/a.pdf
https://192.168.1.1/a.pdf
https://100.64.0.1/a.pdf
https://169.254.169.254/latest/meta-data/
https://[::ffff:a9fe:a9fe]/latest/meta-data/
https://[fd00:ec2::254]/latest/meta-data/
https://169.254.170.2/v2/credentials
https://168.63.129.16/
https://[fe80::1]/a.pdf
https://224.0.0.1/a.pdf
https://255.255.255.255/a.pdf
""".split()


def handed_in(service, source):
    """The id of a job with this source; `None` where it was refused at once."""
    answer = service.post("/v1/jobs", json={"source": source})
    if answer.status_code == 422:
        return None
    assert answer.status_code == 202, answer.text
    return answer.json()["job_id"]


def refused(service, job_id):
    """Whether a job failed because its source is refused, and nothing of the document came to light."""
    job = service.job_ended(job_id)
    assert service.get(f"/v1/jobs/{job_id}/result").status_code == 409
    assert WORD not in str(job)
    return (job["status"], job["error"]["code"]) == ("failed", "source_refused")


def test_no_address_but_those_of_the_public_internet_is_spoken_to(service):
    assert len(URLS) >= 40
    with Canary() as canary:
        urls = [url.replace("PORT", str(canary.port)) for url in URLS]
        jobs = {url: handed_in(service, {"kind": "url", "url": url}) for url in urls}
        assert [url for url, job_id in jobs.items() if job_id and not refused(service, job_id)] == []
        assert canary.connections == []


def test_the_canary_sees_who_comes(tmp_path):
    """Where it is allowed, the same request reaches it: the test above can fail."""
    with Canary() as canary, Service(tmp_path, "--with-worker", documents="allow_loopback_http = true\n") as service:
        job_id = handed_in(service, {"kind": "url", "url": f"http://127.0.0.2:{canary.port}/a.pdf"})
        wait_until(lambda: canary.connections, 60, "the canary is reached")
        assert canary.connections[0] == ("127.0.0.2", "127.0.0.1")
        service.post(f"/v1/jobs/{job_id}/cancel")


@pytest.fixture(scope="module")
def outside(service):
    """A document beside the allowed folder, and ways that lead to it."""
    folder, allowed = service.folder, service.folder / "in"
    write_pdf(folder / "secret.pdf", [[f"The {WORD} is here."]])
    (folder / "in-truth").mkdir()
    write_pdf(folder / "in-truth" / "secret.pdf", [[f"The {WORD} is here."]])
    (allowed / "link.pdf").symlink_to(folder / "secret.pdf")
    (allowed / "relative.pdf").symlink_to("../secret.pdf")
    (allowed / "folder").symlink_to(folder)
    (allowed / "chain.pdf").symlink_to(allowed / "link.pdf")
    os.mkfifo(allowed / "pipe.pdf")
    write_pdf(allowed / "good.pdf", [["A good page."]])
    return allowed


PATHS = [
    "/etc/passwd",
    "../../etc/passwd",
    "../secret.pdf",
    "secret.pdf",
    "in/../secret.pdf",
    "IN/../secret.pdf",
    "IN/./.././secret.pdf",
    "IN//..//secret.pdf",
    "IN/../in-truth/secret.pdf",
    "IN-truth/secret.pdf",
    "IN/none/../../secret.pdf",
    "IN/good.pdf/../../secret.pdf",
    "IN/link.pdf",
    "IN/relative.pdf",
    "IN/chain.pdf",
    "IN/folder/secret.pdf",
    "IN/folder/in/../secret.pdf",
    "IN/pipe.pdf",
    "IN/good.pdf\0",
    "IN/good.pdf\0/../../secret.pdf",
    "IN/..\\secret.pdf\0",
    "..\\..\\secret.pdf",
    "%2e%2e/secret.pdf",
    "file:///etc/passwd",
    "~/secret.pdf",
    "/proc/self/environ",
    "/proc/self/cwd/../../../etc/passwd",
    "/proc/self/fd/0",
    "/dev/zero",
    "/dev/stdin",
    "",
    "/",
    "..",
]


def test_no_file_but_those_in_the_allowed_folders_is_read(service, outside):
    paths = [path.replace("IN", str(outside), 1) for path in PATHS]
    jobs = {path: handed_in(service, {"kind": "path", "path": path}) for path in paths}
    assert [path for path, job_id in jobs.items() if job_id and not refused(service, job_id)] == []
    good = handed_in(service, {"kind": "path", "path": str(outside / "good.pdf")})
    assert service.job_ended(good)["status"] == "completed"


KEYS = [
    "../secret.pdf",
    "../../etc/passwd",
    "/etc/passwd",
    "jobs/../../secret.pdf",
    "a/../../secret.pdf",
    "..",
    "a//b",
    "./a",
    "%2e%2e/secret.pdf",
    "a\0b",
    "..\\secret.pdf",
    "",
]


def test_no_key_leads_out_of_the_store(service, outside):
    jobs = {key: handed_in(service, {"kind": "store_key", "key": key}) for key in KEYS}
    assert [key for key, job_id in jobs.items() if job_id and not refused(service, job_id)] == []


ESCAPES = ["..", ".", "...", "../../escape", "a/../../escape", "/escape", "a/b", "..%2fescape", "a\\b", "%00", "a?b", "a#b", "a b", "a\nb"]


def test_no_name_of_a_job_leads_out_of_its_folder(service, outside):
    before = {path for path in service.folder.rglob("*") if "store" not in path.parts}
    for job_id in ESCAPES:
        answer = service.post("/v1/jobs", json={"job_id": job_id, "source": {"kind": "path", "path": str(outside / "good.pdf")}})
        assert answer.status_code == 422 and "job_id" in answer.json()["detail"], f"{job_id}: {answer.text}"
    for asked in ("..%2f..%2fsecret.pdf", "%2e%2e", "..%2f..%2f..%2f..%2fetc%2fpasswd", "a%00b"):
        for rest in ("", "/result", "/pages", "/pages/1", "/pages/1/image", "/pages/1/text", "/audio/1"):
            answer = service.get(f"/v1/jobs/{asked}{rest}")
            assert answer.status_code in (404, 422), f"{asked}{rest}: {answer.status_code}"
    after = {path for path in service.folder.rglob("*") if "store" not in path.parts}
    assert after - before == set()


@pytest.mark.parametrize("name,shown", [("../../evil.pdf", "evil.pdf"), ("/etc/cron.d/evil.pdf", "evil.pdf"), ("a\\..\\evil.pdf", "evil.pdf")])
def test_a_file_is_not_put_where_its_name_says(service, name, shown):
    with service.document("upload.pdf", 1).open("rb") as file:
        answer = service.post("/v1/jobs", files={"file": (name, file, "application/pdf")})
    assert answer.status_code == 202 and answer.json()["file_name"] == shown
    assert service.job_ended(answer.json()["job_id"])["status"] == "completed"
    assert [path for path in service.folder.rglob("evil.pdf")] == []
