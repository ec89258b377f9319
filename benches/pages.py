#!/usr/bin/env python3
"""Measures how fast pages of a document are done, against the floor and against Python Celery, and prints a Markdown table.

Every way does the same pages on the same number of processes, one after the other, ROUNDS times; ratios are taken within a
round, so that a noisy machine hits all of them, and their median is printed. CPU is that of the whole tree of processes.

    floor         PDFium's C API and libjpeg-turbo, in C; nothing is written
    celery-batch  Python Celery + pypdfium2 + Pillow, 25 pages a task
    celery-page   the same, one page a task
    process       celeriac process: everything in one program, on the memory broker
    worker        celeriac worker over Redis: tasks.process_document, sent by a Python client
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pypdfium2
import redis
from celery import Celery, chord

import meter

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers/celery_pages"))
WAYS = ["floor", "celery-batch", "celery-page", "process", "worker"]
QUEUES = "document_orchestration,batch_processing,page_processing,audio_generation"


class Bench:
    def __init__(self, options):
        self.options = options
        self.document = Path(options.file).resolve()
        self.pages = options.pages or len(pypdfium2.PdfDocument(self.document))
        self.folder = Path(tempfile.mkdtemp(prefix="bench-pages-", dir=options.scratch)).resolve()

    def run(self, way):
        """One measured run: {pages, wall_s, cpu_s, pss_mib, rss_mib, …}."""
        # Nothing is deleted between the runs: ext4 makes files slowly for a while where many were deleted.
        return getattr(self, way.replace("-", "_"))(Path(tempfile.mkdtemp(prefix=f"{way}-", dir=self.folder)))

    # -- the ways -----------------------------------------------------------
    def floor(self, _):
        options = self.options
        command = [options.floor, options.pdfium, self.document, options.processes, options.batch_size, options.dpi, 1, self.pages]
        began = time.monotonic()
        child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        with meter.MemoryWatch(child.pid) as memory:
            answer = json.loads(child.stdout.read())
            assert child.wait() == 0, "the floor failed"
        answer["wall_s"] = time.monotonic() - began
        return figures(answer["pages"], answer["wall_s"], answer["cpu_s"], memory)

    def celery_batch(self, scratch):
        size = self.options.batch_size
        firsts = range(1, self.pages + 1, size)
        return self.celery(scratch, "peer.batch", [(first, min(first + size - 1, self.pages)) for first in firsts])

    def celery_page(self, scratch):
        return self.celery(scratch, "peer.page", [(number,) for number in range(1, self.pages + 1)])

    def celery(self, scratch, task, parts):
        with Redis(scratch) as server:
            env = {**server.env, "PYTHONPATH": str(HERE / "peers/celery_pages")}
            command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", self.options.processes]
            command += ["-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
            with Child(command, scratch, env) as worker:
                client = server.client()
                warm = client.send_task("peer.collect", args=[[]])
                assert warm.get(timeout=60)["pages"] == 0
                header = [client.signature(task, args=[str(self.document), *part, str(scratch), self.options.dpi]) for part in parts]
                return worker.measure(lambda: chord(header, app=client)(client.signature("peer.collect")).get(timeout=1800)["pages"])

    def process(self, scratch):
        out = scratch / "out"
        command = [self.options.celeriac, "process", self.document, "--ocr", "never", "--analysis", self.options.analysis]
        command += ["--no-summary", "--concurrency", self.options.processes, "--batch-size", self.options.batch_size]
        command += ["--pages", f"1-{self.pages}", "-o", out, "--format", "json"]
        began = time.monotonic()
        with Child(command, scratch, self.celeriac_env(scratch)) as child:
            with meter.MemoryWatch(child.pid) as memory:
                code, cpu = child.wait()
        wall = time.monotonic() - began
        assert code == 0, f"celeriac process ended with {code}:\n{child.output()[-2000:]}"
        return figures(self.pages, wall, cpu, memory)

    def worker(self, scratch):
        with Redis(scratch) as server:
            command = [self.options.celeriac, "worker", "-Q", QUEUES, "-c", self.options.processes, "-l", "warning"]
            with Child(command, scratch, {**self.celeriac_env(scratch), **server.env}) as worker:
                client = server.client()
                before = server.memory()

                def job():
                    kwargs = {"path": str(self.document), "ocr": "never", "analysis": self.options.analysis, "summary": False}
                    if self.options.pages:
                        kwargs["pages"] = f"1-{self.pages}"
                    result = client.send_task("tasks.process_document", kwargs=kwargs, queue="document_orchestration").get(timeout=1800)
                    assert result["counts"]["ok"] == self.pages, result["counts"]
                    return self.pages

                answer = worker.measure(job)
                answer["redis_growth_kib"] = (server.memory() - before) / 1024
                return answer

    def celeriac_env(self, scratch):
        return {
            "CELERIAC_PDFIUM": str(self.options.pdfium),
            "CELERIAC_STORAGE_URL": str(scratch / "store"),
            "CELERIAC_DOCUMENTS_ALLOWED_PATHS": str(self.document.parent),
            "CELERIAC_DOCUMENTS_DPI": str(self.options.dpi),
        }


def figures(pages, wall, cpu, memory):
    return {
        "pages": pages,
        "wall_s": wall,
        "cpu_s": cpu,
        "pages_per_s": pages / wall,
        "pages_per_cpu_s": pages / cpu,
        "pss_mib": memory.peak_pss_mib,
        "rss_mib": memory.peak_process_rss_mib,
        "pss_over_time": memory.pss_over_time,
    }


class Child:
    """A program in a group of its own, ended with it."""

    def __init__(self, command, folder, env):
        self.log = Path(folder) / "log"
        self._output = self.log.open("wb")
        self._process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def wait(self):
        """(exit code, CPU seconds of it and of all that it waited for)."""
        _, status, used = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode, used.ru_utime + used.ru_stime

    def measure(self, job):
        """Figures of a worker that is up, while `job` runs; its start is not counted. `job` returns the pages."""
        with meter.MemoryWatch(self.pid) as memory:
            began, cpu = time.monotonic(), meter.cpu(self.pid)
            try:
                pages = job()
            except Exception:
                sys.stderr.write(self.output()[-3000:])
                raise
            wall, cpu = time.monotonic() - began, meter.cpu(self.pid) - cpu
        return figures(pages, wall, cpu, memory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.returncode is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
        self._output.close()


class Redis(Child):
    """A throw-away Redis on a free port."""

    def __init__(self, folder):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        folder = Path(folder) / "redis"
        folder.mkdir()
        super().__init__(["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], folder, {})
        url = f"redis://127.0.0.1:{self.port}"
        self.env = {"CELERY_BROKER_URL": f"{url}/0", "CELERY_RESULT_BACKEND": f"{url}/1"}
        self._redis = redis.Redis(port=self.port)
        end = time.monotonic() + 20
        while True:
            try:
                self._redis.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def client(self):
        return Celery("bench", broker=self.env["CELERY_BROKER_URL"], backend=self.env["CELERY_RESULT_BACKEND"])

    def memory(self):
        return self._redis.info("memory")["used_memory"]


def median(results, way, key):
    values = [result[key] for result in results.get(way, []) if key in result]
    return statistics.median(values) if values else None


def ratio(results, way, other, key):
    pairs = zip(results.get(way, []), results.get(other, []))
    ratios = [one[key] / two[key] for one, two in pairs if two[key]]
    return f"{statistics.median(ratios):.2f}" if ratios else "–"


def table(results, options):
    print(f"\n{options.file}, {options.dpi} dpi, {options.processes} processes, {options.rounds} round(s), medians; analysis {options.analysis}\n")
    print("| way | pages/s | pages per CPU-s | of floor | × celery-batch | × celery-page | PSS MiB | largest process RSS MiB | Redis + KiB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for way in options.ways:
        growth = median(results, way, "redis_growth_kib")
        ratios = [ratio(results, way, other, "pages_per_cpu_s") for other in ("floor", "celery-batch", "celery-page")]
        cells = [f"{median(results, way, 'pages_per_s'):.1f}", f"{median(results, way, 'pages_per_cpu_s'):.1f}", *ratios]
        cells += [f"{median(results, way, 'pss_mib'):.0f}", f"{median(results, way, 'rss_mib'):.0f}"]
        cells.append(f"{growth:.0f}" if growth is not None else "")
        print(f"| {way} | {' | '.join(cells)} |")
    targets(results)


def targets(results):
    """The figures that the project holds itself to; each only where both of its sides were measured."""
    for way in ("process", "worker"):
        for other, key, least in (
            ("floor", "pages_per_s", 0.80),
            ("celery-batch", "pages_per_cpu_s", 1.3),
            ("celery-page", "pages_per_cpu_s", 2.5),
        ):
            got = ratio(results, way, other, key)
            if got != "–":
                print(f"{'reached' if float(got) >= least else 'MISSED '}  {way} / {other}, {key}: {got} (at least {least})")
        got = ratio(results, way, "celery-batch", "pss_mib")
        if got != "–":
            print(f"{'reached' if float(got) <= 0.5 else 'MISSED '}  {way} / celery-batch, pss_mib: {got} (at most 0.5)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--ways", default=",".join(WAYS), help="which, in this order (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--batch-size", type=int, default=25)
    parser.add_argument("--dpi", type=int, default=150)
    parser.add_argument("--pages", type=int, help="only the first so many")
    parser.add_argument("--analysis", default="extractive", help="what celeriac does beside: extractive or none")
    parser.add_argument("--pdfium", required=True, help="libpdfium.so")
    parser.add_argument("--floor", required=True, help="the program pages_floor")
    parser.add_argument("--celeriac", required=True, help="the program celeriac")
    parser.add_argument("--scratch", help="where stores and logs go meanwhile (default: the system's temporary folder)")
    parser.add_argument("--out", help="also writes every figure into this JSON file")
    options = parser.parse_args()
    options.ways = options.ways.split(",")
    # The ways run in folders of their own.
    options.pdfium, options.floor, options.celeriac = (Path(p).resolve() for p in (options.pdfium, options.floor, options.celeriac))
    for way in options.ways:
        if way not in WAYS:
            parser.error(f"no such way: {way} ({', '.join(WAYS)})")

    bench, results = Bench(options), {}
    try:
        for number in range(1, options.rounds + 1):
            for way in options.ways:
                result = bench.run(way)
                results.setdefault(way, []).append(result)
                print(
                    f"round {number}  {way:13} {result['pages']} pages in {result['wall_s']:.1f} s, {result['cpu_s']:.1f} CPU-s, "
                    f"{result['pages_per_cpu_s']:.1f} pages/CPU-s, {result['pss_mib']:.0f} MiB",
                    file=sys.stderr,
                )
    finally:
        shutil.rmtree(bench.folder, ignore_errors=True)
    if options.out:
        Path(options.out).write_text(json.dumps(results, indent=1))
    table(results, options)


if __name__ == "__main__":
    main()
