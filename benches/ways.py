"""The ways in which the pages of a document are done, each measured alone.

    floor         PDFium's C API and libjpeg-turbo, in C; nothing is written
    render        celeriac's renderer alone, in as many processes: what the floor does, and a thumbnail; nothing is written
    pypdfium2     a loop in one process of Python: pypdfium2 and Pillow, JPEG and text written
    kreuzberg     a loop in one process over kreuzberg's page iterator, PNG (it has no JPEG) and text written
    celery-batch  Python Celery + pypdfium2 + Pillow, 25 pages a task
    celery-page   the same, one page a task
    process       celeriac process: everything in one program, on the memory broker
    worker        celeriac worker over Redis: tasks.process_document, sent by a Python client
    worker-1      the same, one worker with one slot
    worker-1x2    two such workers

A way does the first `pages` pages at `dpi` on `processes` processes (the loops: on one).
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from celery import chord

import meter
from children import PATIENCE, Child, Redis, program

HERE = Path(__file__).resolve().parent
WAYS = ["floor", "render", "pypdfium2", "kreuzberg", "celery-batch", "celery-page", "process", "worker", "worker-1", "worker-1x2"]
QUEUES = "document_orchestration,batch_processing,page_processing,audio_generation"
WORKER = ["-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-l", "WARNING"]
WORKER += ["--without-gossip", "--without-mingle", "--without-heartbeat", "-c"]


@dataclass
class Job:
    """What is done, and with which programs."""

    file: Path
    celeriac: Path
    pdfium: Path
    floor: Path = None
    render: Path = None
    pages: int = None
    processes: int = os.cpu_count()
    batch_size: int = 25
    dpi: int = 150
    analysis: str = "extractive"
    # Slots of `process`; none: as many as processes.
    slots: int = None
    # More of celeriac's environment.
    env: dict = None


class Bench:
    """One job, done in any of the ways."""

    def __init__(self, job, scratch):
        self.job = job
        self.document = Path(job.file).resolve()
        self.whole = len(pypdfium2.PdfDocument(self.document))
        self.pages = min(job.pages or self.whole, self.whole)
        self.folder = Path(tempfile.mkdtemp(prefix="bench-pages-", dir=scratch)).resolve()

    def run(self, way):
        """One measured run: {pages, wall_s, cpu_s, pss_mib, rss_mib, …}."""
        # Nothing is deleted between the runs: ext4 makes files slowly for a while where many were deleted.
        return getattr(self, way.replace("-", "_"))(Path(tempfile.mkdtemp(prefix=f"{way}-", dir=self.folder)))

    # -- programs that end by themselves ------------------------------------
    def floor(self, scratch):
        return self.bare("floor", [1, self.pages], scratch)

    def render(self, scratch):
        return self.bare("render", [self.pages], scratch)

    def bare(self, name, which, scratch):
        """A program that renders and nothing else, and says at its end how many pages it did."""
        job = self.job
        if not getattr(job, name):
            raise FileNotFoundError(f"the program for {name} is not built; scripts/bench builds it")
        command = [getattr(job, name), job.pdfium, self.document, job.processes, job.batch_size, job.dpi, *which]
        answer = program(command, scratch, {}, self.pages)
        said = json.loads((scratch / "log").read_text().splitlines()[-1])
        assert said["pages"] == self.pages, f"{said['pages']} of {self.pages} pages were done"
        return answer

    def pypdfium2(self, scratch):
        return self.loop("pypdfium2_loop.py", self.document, scratch)

    def kreuzberg(self, scratch):
        # It takes whole documents only.
        return self.loop("kreuzberg_loop.py", self.cut(), scratch)

    def loop(self, name, document, scratch):
        command = [sys.executable, HERE / "peers/loops" / name, document, self.pages, self.job.dpi, scratch]
        return program(command, scratch, {}, self.pages)

    def cut(self):
        """The document's first pages, as a document."""
        if self.pages == self.whole:
            return self.document
        part = self.folder / f"first-{self.pages}.pdf"
        if not part.exists():
            new = pypdfium2.PdfDocument.new()
            new.import_pages(pypdfium2.PdfDocument(self.document), list(range(self.pages)))
            new.save(part)
        return part

    def process(self, scratch):
        job = self.job
        command = [job.celeriac, "process", self.document, "--ocr", "never", "--analysis", job.analysis, "--no-summary"]
        command += ["--concurrency", job.slots or job.processes, "--batch-size", job.batch_size]
        command += ["--pages", f"1-{self.pages}", "-o", scratch / "out", "--format", "json", "--quiet"]
        began = time.time()
        answer = program(command, scratch, self.celeriac_env(scratch), self.pages)
        done = [page.stat().st_mtime for page in (scratch / "store/jobs").glob("*/pages/*/page.json")]
        assert len(done) == self.pages, f"{len(done)} of {self.pages} pages have a record"
        # The kernel's clock of files ticks every few milliseconds.
        answer["first_page_s"] = min(done) - began
        return answer

    # -- workers, whose start is not counted ---------------------------------
    def celery_batch(self, scratch):
        size = self.job.batch_size
        firsts = range(1, self.pages + 1, size)
        return self.celery(scratch, "peer.batch", [(first, min(first + size - 1, self.pages)) for first in firsts])

    def celery_page(self, scratch):
        return self.celery(scratch, "peer.page", [(number,) for number in range(1, self.pages + 1)])

    def celery(self, scratch, task, parts):
        with Redis(scratch) as server:
            env = {**server.env, "PYTHONPATH": str(HERE / "peers/celery_pages")}
            with Child([sys.executable, *WORKER, self.job.processes], scratch, env) as worker:
                client = server.client()
                warm = client.send_task("peer.collect", args=[[]])
                assert warm.get(timeout=60)["pages"] == 0
                header = [client.signature(task, args=[str(self.document), *part, str(scratch), self.job.dpi]) for part in parts]
                body = client.signature("peer.collect")
                return worker.measure(lambda: chord(header, app=client)(body).get(timeout=PATIENCE)["pages"])

    def worker(self, scratch):
        return self.workers(scratch, 1, self.job.slots or self.job.processes)

    def worker_1(self, scratch):
        return self.workers(scratch, 1, 1)

    def worker_1x2(self, scratch):
        return self.workers(scratch, 2, 1)

    def workers(self, scratch, copies, slots):
        with Redis(scratch) as server:
            # A shell, so that several are one tree.
            one = f"'{self.job.celeriac}' worker -Q {QUEUES} -l warning -c {slots}"
            command = ["/bin/sh", "-c", "".join(f"{one} -n w{number}@%h & " for number in range(copies)) + "wait"]
            with Child(command, scratch, {**self.celeriac_env(scratch), **server.env}) as worker:
                client = server.client()
                server.until_served("document_orchestration", copies)
                memory, commands = server.memory(), server.commands()
                answer = worker.measure(lambda: self.send(client))
                answer["redis_growth_kib"] = (server.memory() - memory) / 1024
                answer["redis_commands"] = server.commands() - commands
                return answer

    def send(self, client):
        """Sends the document, waits for it, and returns its pages."""
        kwargs = {"path": str(self.document), "ocr": "never", "analysis": self.job.analysis, "summary": False}
        kwargs["batch_size"] = self.job.batch_size
        if self.pages < self.whole:
            kwargs["pages"] = f"1-{self.pages}"
        result = client.send_task("tasks.process_document", kwargs=kwargs, queue="document_orchestration").get(timeout=PATIENCE)
        assert result["counts"]["ok"] == self.pages, result["counts"]
        return self.pages

    def celeriac_env(self, scratch):
        return {
            "CELERIAC_PDFIUM": str(self.job.pdfium),
            "CELERIAC_STORAGE_URL": str(scratch / "store"),
            "CELERIAC_DOCUMENTS_ALLOWED_PATHS": str(self.document.parent),
            "CELERIAC_DOCUMENTS_DPI": str(self.job.dpi),
            **(self.job.env or {}),
        }
