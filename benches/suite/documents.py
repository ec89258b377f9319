"""The part `documents`: the same pages in each of the ways of benches/ways.py, and what leading them costs."""

import statistics
from pathlib import Path

import pypdfium2

from ways import Bench, Job

EVERY = ["floor", "render", "celery-batch", "celery-page", "process", "worker", "pypdfium2", "kreuzberg"]
LED = ["floor", "process", "worker"]
PIECES = {
    "octave": EVERY,
    "pgfmanual": EVERY,
    "debian-reference.ja": EVERY,
    "scan": EVERY,
    "fullrefman": ["floor", "celery-batch", "process", "worker"],
    "scaling": ["worker-1", "worker-1x2"],
    "first": ["process"],
    "orchestration-small": LED,
    "orchestration-medium": LED,
    "orchestration-large": LED,
}
# Pages of a piece: in a run, and in a try.
PAGES = {
    "octave": (500, 30),
    "pgfmanual": (500, 30),
    "debian-reference.ja": (272, 20),
    "scan": (60, 6),
    "fullrefman": (2415, 60),
    "scaling": (400, 20),
    "first": (60, 4),
    "orchestration-small": (100, 10),
    "orchestration-medium": (1000, 60),
    "orchestration-large": (10_000, 120),
}
# How often the way to the first page is gone in one round.
FIRSTS = 5


class Documents:
    """Measures a document in a way."""

    pieces = PIECES

    def __init__(self, setup):
        self.setup = setup
        self.made = {}

    def run(self, piece, way):
        bench = self.bench(piece)
        if piece == "first":
            return firsts(bench, way, 2 if self.setup.quick else FIRSTS)
        return per_page(bench.run(way))

    def close(self):
        pass

    def bench(self, piece):
        """The same for all rounds: its scratch folder goes with the run's."""
        if piece not in self.made:
            pages = PAGES[piece][self.setup.quick]
            led = piece.startswith("orchestration")
            # Empty pages at the lowest resolution, no analysis: what is left is the leading itself.
            light = {"dpi": 36, "analysis": "none"} if led else {}
            job = Job(file=self.file(piece, pages), pages=pages, **self.setup.programs, **light)
            self.made[piece] = Bench(job, self.setup.scratch)
        return self.made[piece]

    def file(self, piece, pages):
        if piece.startswith("orchestration"):
            return blank(self.setup.scratch / f"{piece}.pdf", pages)
        if piece == "scan":
            return repeated(self.setup.inputs / "linn.pdf", self.setup.scratch / "scan.pdf", pages)
        name = {"scaling": "octave", "first": "octave"}.get(piece, piece)
        return self.setup.inputs / f"{name}.pdf"


def per_page(figures):
    """With what one page cost."""
    pages = figures["pages"]
    figures |= {"cpu_ms_per_page": figures["cpu_s"] * 1000 / pages, "wall_ms_per_page": figures["wall_s"] * 1000 / pages}
    if "redis_commands" in figures:
        figures["redis_commands_per_page"] = figures["redis_commands"] / pages
    return figures


def firsts(bench, way, times):
    """The way to the first page, gone several times."""
    seconds = [bench.run(way)["first_page_s"] for _ in range(times)]
    return {"pages": bench.pages, "first_page_s": statistics.median(seconds), "slowest_s": max(seconds), "times": times}


def blank(path, pages):
    """A document of empty pages."""
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(612, 792)
    document.save(path)
    return path


def repeated(source, path, pages):
    """A scan of so many pages: the pages of one, again and again."""
    document, scan = pypdfium2.PdfDocument.new(), pypdfium2.PdfDocument(source)
    while len(document) < pages:
        document.import_pages(scan)
    document.save(path)
    return Path(path)


def line(figures):
    """A run in a few words."""
    if "first_page_s" in figures and "wall_s" not in figures:
        return f"first page after {figures['first_page_s']:.3f} s"
    return (
        f"{figures['pages']} pages in {figures['wall_s']:.1f} s, {figures['cpu_s']:.1f} CPU-s, "
        f"{figures['pages_per_cpu_s']:.1f} pages/CPU-s, {figures['pss_mib']:.0f} MiB"
    )
