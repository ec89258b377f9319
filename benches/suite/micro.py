"""The part `micro`: the micro-benchmarks of benches/micro, whose output (divan's) is read."""

import os
import re
import subprocess

UNITS = {"ps": 1e-3, "ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}
TIME = r"([\d.]+) (ps|ns|µs|ms|s)"
# `├─ name   fastest │ slowest │ median │ mean │ samples │ iters`
NAME = re.compile(r"^(?P<indent>[│ ]*)[├╰]─ (?P<name>\S+)\s+(?P<rest>.*)$")
TIMES = re.compile(rf"^{TIME}\s+│ {TIME}\s+│ {TIME}\s+│ {TIME}\s+│")


class Micro:
    """Runs one of the two programs; a piece has as many rows as the program has benchmarks."""

    pieces = {"runtime": ["all"], "pages": ["all"]}

    def __init__(self, setup):
        self.setup = setup

    def rows(self, piece):
        """{benchmark: figures}"""
        quick = ["--sample-count", "5", "--max-time", "0.2"] if self.setup.quick else []
        env = {**os.environ, "CELERIAC_PDFIUM": str(self.setup.programs["pdfium"]), "BENCH_PDF": str(self.setup.inputs / "octave.pdf")}
        command = [*self.setup.micro, "--bench", piece, "--", "--color", "never", *quick]
        answer = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1200)
        if answer.returncode != 0:
            raise RuntimeError(answer.stderr[-1000:])
        return read(answer.stdout)

    def close(self):
        pass


def read(output):
    """{benchmark, or benchmark(argument): {fastest_ns, median_ns, allocations}} of divan's tree."""
    rows, parent, last, counts = {}, None, None, False
    for text in output.splitlines():
        found = NAME.match(text)
        if found:
            inner = bool(found["indent"].strip("\n"))
            times = TIMES.match(found["rest"])
            if not times:
                parent = found["name"]
                continue
            last = f"{parent}({found['name']})" if inner and parent else found["name"]
            value, unit = float(times[1]), times[2]
            rows[last] = {"fastest_ns": value * UNITS[unit], "median_ns": float(times[5]) * UNITS[times[6]]}
            counts = False
        elif last and "alloc:" in text and "dealloc" not in text and "max" not in text:
            counts = True
        elif last and counts:
            # The first line below `alloc:` has the numbers of allocations, by the same columns: fastest, slowest, median, …
            columns = [column.strip() for column in text.lstrip("│ ").split("│")]
            rows[last]["allocations"] = float(columns[2])
            counts = False
    return rows


def line(figures):
    """A row in a few words."""
    return f"median {figures['median_ns']:,.0f} ns"
