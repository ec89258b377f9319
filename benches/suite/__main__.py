"""Measures everything, in turn, and writes docs/performance.md. scripts/bench sets up what this needs and calls it."""

import argparse
import importlib
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SUITE = Path(__file__).resolve().parent
ROOT = SUITE.parent.parent
sys.path[:0] = [str(SUITE.parent), str(SUITE.parent / "celery")]

import machine  # noqa: E402
import report  # noqa: E402
import targets  # noqa: E402
from results import PARTS, Part  # noqa: E402


@dataclass
class Setup:
    """Where everything is."""

    quick: bool
    port: int
    worker_command: str
    # The paths that ways.Job takes: celeriac, pdfium, floor, render.
    programs: dict
    inputs: Path
    scratch: Path
    # The command that runs the micro-benchmarks.
    micro: list


def say(words):
    print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--pieces", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--port", type=int, default=6404)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--page", type=Path, default=ROOT / "docs/performance.md")
    parser.add_argument("--absent", action="append", default=[], metavar="WAY=WHY")
    parser.add_argument("--worker-command")
    for name in ("celeriac", "pdfium", "floor", "render"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--inputs", type=Path, default=ROOT / "target/inputs")
    parser.add_argument("--bullmq", type=Path, default=ROOT / "target/bench/bullmq")
    parser.add_argument("--micro", default="")
    options = parser.parse_args()
    options.only, options.pieces = options.only.split(","), [piece for piece in options.pieces.split(",") if piece]
    for name in options.only:
        if name not in PARTS:
            parser.error(f"no such part: {name} ({', '.join(PARTS)})")
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def main():
    options = arguments()
    # So that workers and servers end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not options.report:
        scratch = Path(tempfile.mkdtemp(prefix="suite-", dir=options.results)).resolve()
        try:
            known = {piece for name in options.only for piece in measure_part(name, options, scratch)}
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if unknown := [piece for piece in options.pieces if piece not in known]:
            sys.exit(f"no such piece: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    page = the_page(options)
    verdicts = report.write(page, {name: Part.load(options.results, name) for name in PARTS})
    print(report.target_table(verdicts))
    counts = {word: sum(v.verdict == word for v in verdicts) for word in ("reached", "above the floor", "below the ceiling", "missed")}
    unknown = sum(v.value is None for v in verdicts)
    print(f"\n{', '.join(f'{count} {word}' for word, count in counts.items() if count)}; {unknown} not measured. The report: {page}")


def the_page(options):
    """A try writes its report beside its figures, and leaves the project's alone."""
    if not options.quick:
        return options.page
    shutil.copy(options.page, options.results / options.page.name)
    return options.results / options.page.name


def measure_part(name, options, scratch):
    """Measures a part; the pieces it has."""
    part = begun(name, options)
    part.data |= {"machine": machine.describe(ROOT, options.bullmq), "rounds": options.rounds, "absent": {}}
    programs = {key: path.resolve() for key in ("celeriac", "pdfium", "floor", "render") if (path := getattr(options, key)) and path.exists()}
    setup = Setup(options.quick, options.port, options.worker_command, programs, options.inputs.resolve(), scratch, options.micro.split())
    module = importlib.import_module(name)
    # Runtime, Documents, Model, Micro
    meter = getattr(module, name.capitalize())(setup)
    note_absent(part, meter, options.absent)
    began = time.monotonic()
    try:
        if name == "micro":
            run_micro(part, meter, module.line)
        else:
            pieces = {piece: ways for piece, ways in meter.pieces.items() if piece in (options.pieces or meter.pieces)}
            run_rounds(part, pieces, meter, module.line, options.rounds)
    finally:
        meter.close()
    say(f"{name}: {time.monotonic() - began:.0f} s")
    return meter.pieces


def note_absent(part, meter, absent):
    """Of all that is not here, what this part would measure."""
    measured = {*meter.pieces, *(way for ways in meter.pieces.values() for way in ways)}
    for name, _, why in (word.partition("=") for word in absent):
        if name in measured:
            part.absent(name, why)


def begun(name, options):
    """The part as it is begun: empty, as it was left, or without the pieces that are measured again."""
    if not options.resume and not options.pieces:
        return Part.fresh(options.results, name)
    part = Part.load(options.results, name)
    if not options.resume:
        part.forget(options.pieces)
    return part


def run_rounds(part, pieces, meter, line, rounds):
    """Piece by piece and way by way, and all of it again: what a noisy machine does, it does to all."""
    for number in range(1, rounds + 1):
        for piece, ways in pieces.items():
            for way in ways:
                if way in part.data["absent"] or piece in part.data["absent"] or part.has(number, piece, way):
                    continue
                measure(part, number, piece, way, meter, line)


def measure(part, number, piece, way, meter, line):
    began = time.monotonic()
    try:
        figures = meter.run(piece, way)
    # A way that fails here is told in the report; the others go on.
    except Exception as error:
        part.add(number, piece, way, error=f"{type(error).__name__}: {error}"[:500])
        return say(f"{part.name} {number}  {piece:20} {way:14} FAILED: {error}"[:400])
    part.add(number, piece, way, figures)
    say(f"{part.name} {number}  {piece:20} {way:14} {time.monotonic() - began:5.1f} s  {line(figures)}")


def run_micro(part, meter, line):
    """Once: divan takes its own rounds."""
    part.data["rounds"] = 1
    for piece in meter.pieces:
        if part.measured(piece):
            continue
        part.forget([piece])
        try:
            rows = meter.rows(piece)
        except Exception as error:
            part.add(1, piece, "all", error=f"{type(error).__name__}: {error}"[:500])
            say(f"micro  {piece} FAILED: {error}"[:400])
            continue
        for way, figures in rows.items():
            part.add(1, piece, way, figures)
            say(f"micro  {piece:8} {way:60} {line(figures)}")


if __name__ == "__main__":
    main()
