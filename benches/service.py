#!/usr/bin/env python3
"""Measures the HTTP service and prints Markdown tables. Each part has a Redis, a service and a worker of its own.

    latency  handing in by reference, and asking for a job's state, while a large job runs at all times; both at a steady pace
    record   what Redis keeps of a finished job, by kind of key, and for how long
    sse      how long the pages of a job take while many clients are told of each, beside nobody; in turns, ratios within a round
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import redis

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/interop"))
import meter  # noqa: E402
from pdf import write_pdf  # noqa: E402
from processes import CeleriacWorker, Process, RedisServer, free_port, wait_until  # noqa: E402

PARTS = ["latency", "record", "sse"]
QUEUES = ["default", "page_processing", "batch_processing", "document_orchestration", "audio_generation"]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ENDED = {"completed", "partial", "failed", "cancelled"}
# What the project holds itself to (S3.19 and the specification's own figures).
SUBMIT_MS, STATUS_MS, RECORD_BYTES, SLOWER = 10, 5, 1024, 0.05


class Client:
    """One connection that is kept, without a library's own time in the figures."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method, path, body=None):
        """The answer, and how many milliseconds it took from the first byte sent to the last one read."""
        data = None if body is None else json.dumps(body)
        began = time.perf_counter()
        self._connection.request(method, path, data, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        took = (time.perf_counter() - began) * 1000
        assert answer.status < 400, f"{method} {path}: {answer.status} {text[:500]}"
        return json.loads(text), took


class Deployment:
    """Redis, the service, a worker for all queues."""

    def __init__(self, options, **env):
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-service-")))
        self.redis = self._stack.enter_context(RedisServer(self.folder)).ready()
        env = {
            "CELERY_BROKER_URL": self.redis.broker_url,
            "CELERY_RESULT_BACKEND": self.redis.result_backend,
            "CELERIAC_STORE": str(self.folder / "store"),
            "CELERIAC_PDFIUM": str(options.pdfium),
            "CELERIAC_DOCUMENTS_ALLOWED_PATHS": str(self.folder),
            "CELERIAC_DOCUMENTS_DPI": str(options.dpi),
            "CELERIAC_DOCUMENTS_OCR": "never",
            "NO_COLOR": "1",
            "RUST_LOG": "warn",
            **env,
        }
        self.port = free_port()
        serve = [options.celeriac, "serve", "--port", self.port]
        self.service = self._stack.enter_context(Process("serve", serve, self.folder, env))
        worker = CeleriacWorker(options.celeriac, "bench", QUEUES, self.folder, env, options.processes)
        self.worker = self._stack.enter_context(worker)
        wait_until(lambda: self.service.check() and self._listens(), 60, "the service listens")
        self.large, self.small = self.folder / "large.pdf", self.folder / "small.pdf"
        write_pdf(self.large, [[f"Page {page} of a large document.", "It says what it says."] for page in range(1, options.pages + 1)])
        write_pdf(self.small, [["One page."]])
        # What is made on first use is not measured.
        self.ended(self.submit(Client(self.port), self.small)[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def submit(self, client, path, **more):
        body = {"source": {"kind": "path", "path": str(path)}, **more}
        job, took = client.ask("POST", "/v1/jobs", body)
        return job["job_id"], took

    def ended(self, job_id):
        client = Client(self.port)
        while (job := client.ask("GET", f"/v1/jobs/{job_id}?wait=30")[0])["status"] not in ENDED:
            self.worker.check()
        assert job["status"] == "completed", job
        return job


# -- latency ----------------------------------------------------------------

HAND_IN, STATE = "hand in by reference", "state of a job"

class Busy:
    """A large job that runs at all times: when one has ended, the next one is handed in."""

    def __init__(self, deployment):
        self._deployment, self._over, self.job_id, self.jobs = deployment, threading.Event(), None, 0
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        client = Client(self._deployment.port)
        while not self._over.is_set():
            job_id, _ = self._deployment.submit(client, self._deployment.large, priority="high", options={"summary": False})
            while (job := client.ask("GET", f"/v1/jobs/{job_id}")[0])["status"] not in ENDED:
                if job["counts"]["ok"]:
                    self.job_id = job_id
                    self._begun.set()
                time.sleep(0.05)
            self.jobs += 1

    def __enter__(self):
        self._thread.start()
        assert self._begun.wait(120), "the large job does not begin"
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def paced(count, per_second, ask):
    """Asks so often at a steady pace, and gives how many milliseconds each took."""
    took, began = [], time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        took.append(ask())
    return took


def latency(options):
    with Deployment(options) as deployment, Busy(deployment) as busy:
        submitter, asker, figures = Client(deployment.port), Client(deployment.port), {}

        def submit():
            return deployment.submit(submitter, deployment.small, priority="low", options={"summary": False})[1]

        def status():
            return asker.ask("GET", f"/v1/jobs/{busy.job_id}")[1]

        def run(name, ask):
            figures[name] = paced(options.requests, options.per_second, ask)

        threads = [threading.Thread(target=run, args=pair) for pair in ((HAND_IN, submit), (STATE, status))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    limits = {HAND_IN: SUBMIT_MS, STATE: STATUS_MS}
    print(f"\n{options.requests} requests each, {options.per_second} a second, while a job of {options.pages} pages ran ({busy.jobs + 1} after each other)\n")
    print("| request | median, ms | 95 %, ms | 99 %, ms | maximum, ms |\n|---|---:|---:|---:|---:|")
    for name in limits:
        took = figures[name]
        print(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in spread(took))} |")
    print()
    for name, most in limits.items():
        judged(f"{name}, 95 %", spread(figures[name])[1], most, "ms")
    return figures


def spread(took):
    cut = statistics.quantiles(took, n=100, method="inclusive")
    return cut[49], cut[94], cut[98], max(took)


# -- record -----------------------------------------------------------------


def record(options):
    # Images and texts of pages are removed at once instead of after a week: their removal is noted until then.
    with Deployment(options, CELERIAC_RETENTION_ARTIFACTS_AGE="1") as deployment:
        client, ids = Client(deployment.port), []
        for number in range(options.jobs):
            ids.append(deployment.submit(client, deployment.small, file_name=f"document-{number:04}.pdf")[0])
        for job_id in ids:
            deployment.ended(job_id)
        results = redis.Redis(port=deployment.redis.port, db=1)
        wait_until(lambda: not any(results.exists(f"celeriac:chores:{kind}") for kind in ("archive", "pages")), 300, "all is done", poll=0.5)
        kinds = {}
        for db in (0, 1):
            kinds.update(measured(redis.Redis(port=deployment.redis.port, db=db), db))
    print(f"\nWhat Redis keeps of a finished job of one page with its summary, over {options.jobs} of them\n")
    print("| key | keys a job | bytes a job | is gone after |\n|---|---:|---:|---|")
    for (kind, _), (keys, size, ttl) in sorted(kinds.items(), key=lambda item: -item[1][1]):
        print(f"| `{kind}` | {keys / options.jobs:.2f} | {size / options.jobs:.0f} | {gone(ttl)} |")
    own = {kind: figures for kind, figures in kinds.items() if kind[0].startswith(("celeriac:job:", "celeriac:jobs:", "celeriac:chores:"))}
    stays = sum(size for _, size, ttl in own.values() if ttl is None or ttl > 2 * 86_400) / options.jobs
    print(f"\n{sum(size for _, size, _ in kinds.values()) / options.jobs:.0f} bytes a job at first; its own keys and its places in lists that stay for longer than two days have {stays:.0f}\n")
    judged("kept of a finished job", stays, RECORD_BYTES, "bytes")
    return {kind: {"keys": keys, "bytes": size, "ttl": ttl} for (kind, _), (keys, size, ttl) in kinds.items()}


def measured(server, db):
    """By kind of key: how many there are, their bytes, the longest time that one of them has left (`None`: for ever)."""
    kinds = {}
    for key in server.scan_iter(count=1000):
        kind = UUID.sub("ID", key.decode(errors="replace"))
        left = server.ttl(key)
        keys, size, ttl = kinds.get((kind, db), (0, 0, 0))
        longest = None if left < 0 or ttl is None else max(ttl, left)
        kinds[kind, db] = (keys + 1, size + server.memory_usage(key, samples=0), longest)
    return kinds


def gone(ttl):
    return "with the job" if ttl is None else f"{ttl / 86_400:.1f} days" if ttl > 86_400 else f"{ttl / 3600:.1f} hours"


# -- sse --------------------------------------------------------------------


class Watchers:
    """So many clients that read a job's events and do nothing else with them."""

    def __init__(self, port, job_id, count):
        self.bytes, self._over = 0, threading.Event()
        self._selector = selectors.DefaultSelector()
        request = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(request)
            self._selector.register(connection, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over.is_set() and self._selector.get_map():
            for key, _ in self._selector.select(0.2):
                data = key.fileobj.recv(1 << 16)
                self.bytes += len(data)
                if not data:
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()

    def end(self):
        self._over.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()


def sse(options):
    rounds = []
    with Deployment(options) as deployment:
        one_round(deployment, 0)
        for number in range(options.rounds):
            order = (0, options.clients) if number % 2 else (options.clients, 0)
            figures = {clients: one_round(deployment, clients) for clients in order}
            rounds.append((figures[0], figures[options.clients]))
    print(f"\nA job of {options.pages} pages, alone and with {options.clients} clients on its events, {options.rounds} rounds\n")
    print("| round | pages alone, s | pages watched, s | ratio | service's CPU alone, s | watched, s | MB told |\n|---:|---:|---:|---:|---:|---:|---:|")
    for number, (alone, watched) in enumerate(rounds, 1):
        cells = [alone["pages_s"], watched["pages_s"], watched["pages_s"] / alone["pages_s"], alone["cpu_s"], watched["cpu_s"], watched["told_mb"]]
        print(f"| {number} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    slower = statistics.median(watched["pages_s"] / alone["pages_s"] for alone, watched in rounds) - 1
    print()
    judged(f"pages slower by {options.clients} watchers, median", slower, SLOWER, "")
    return rounds


def one_round(deployment, clients):
    client = Client(deployment.port)
    cpu = meter.cpu(deployment.service.pid)
    job_id, _ = deployment.submit(client, deployment.large, options={"summary": False})
    watchers = Watchers(deployment.port, job_id, clients)
    job = deployment.ended(job_id)
    cpu = meter.cpu(deployment.service.pid) - cpu
    watchers.end()
    at = {name: datetime.fromisoformat(time) for name, time in job["times"].items() if time}
    return {"pages_s": (at["pages_done"] - at["started"]).total_seconds(), "cpu_s": cpu, "told_mb": watchers.bytes / 1e6}


# ---------------------------------------------------------------------------


def judged(what, got, most, unit):
    print(f"{'reached' if got <= most else 'MISSED '}  {what}: {got:.3g} {unit} (at most {most})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="which (default: all)")
    parser.add_argument("--pages", type=int, default=500, help="of the large job")
    parser.add_argument("--dpi", type=int, default=150)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="the worker's slots")
    parser.add_argument("--requests", type=int, default=1000, help="of each kind, for `latency`")
    parser.add_argument("--per-second", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=1000, help="finished jobs, for `record`")
    parser.add_argument("--clients", type=int, default=200, help="for `sse`")
    parser.add_argument("--rounds", type=int, default=15, help="for `sse`")
    parser.add_argument("--celeriac", required=True, help="the program celeriac")
    parser.add_argument("--pdfium", required=True, help="libpdfium.so")
    parser.add_argument("--out", help="also writes every figure into this JSON file")
    options = parser.parse_args()
    options.celeriac, options.pdfium = Path(options.celeriac).resolve(), Path(options.pdfium).resolve()
    parts = options.parts.split(",")
    for part in parts:
        if part not in PARTS:
            parser.error(f"no such part: {part} ({', '.join(PARTS)})")
    figures = {part: globals()[part](options) for part in parts}
    print(f"\nload of this machine at the end: {' '.join(open('/proc/loadavg').read().split()[:3])}; {os.cpu_count()} cores")
    if options.out:
        Path(options.out).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
