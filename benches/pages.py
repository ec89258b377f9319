#!/usr/bin/env python3
"""Measures how fast pages of one document are done in some of the ways of `ways.py`, and prints a Markdown table.

Every way does the same pages, one after the other, ROUNDS times; ratios are taken within a round, so that a noisy machine hits
all of them, and their median is printed. CPU is that of the whole tree of processes. scripts/bench holds the result to targets.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
from pathlib import Path

import ways

BESIDE = ("floor", "celery-batch", "celery-page")


def median(results, way, key):
    values = [result[key] for result in results.get(way, []) if result.get(key) is not None]
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
        ratios = [ratio(results, way, other, "pages_per_cpu_s") for other in BESIDE]
        cells = [f"{median(results, way, 'pages_per_s'):.1f}", f"{median(results, way, 'pages_per_cpu_s'):.1f}", *ratios]
        cells += [f"{median(results, way, 'pss_mib'):.0f}", f"{median(results, way, 'rss_mib'):.0f}"]
        cells.append(f"{growth:.0f}" if growth is not None else "")
        print(f"| {way} | {' | '.join(cells)} |")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--ways", default="floor,celery-batch,celery-page,process,worker", help=f"which, in this order, of {','.join(ways.WAYS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--batch-size", type=int, default=25)
    parser.add_argument("--dpi", type=int, default=150)
    parser.add_argument("--pages", type=int, help="only the first so many")
    parser.add_argument("--analysis", default="extractive", help="what celeriac does beside: extractive or none")
    parser.add_argument("--pdfium", type=Path, required=True, help="libpdfium.so")
    parser.add_argument("--floor", type=Path, required=True, help="the program pages_floor")
    parser.add_argument("--render", type=Path, help="the program pages_render of benches/micro")
    parser.add_argument("--celeriac", type=Path, required=True, help="the program celeriac")
    parser.add_argument("--scratch", help="where stores and logs go meanwhile (default: the system's temporary folder)")
    parser.add_argument("--out", type=Path, help="also writes every figure into this JSON file")
    options = parser.parse_args()
    options.ways = options.ways.split(",")
    for way in options.ways:
        if way not in ways.WAYS:
            parser.error(f"no such way: {way} ({', '.join(ways.WAYS)})")
    return options


def main():
    options = arguments()
    # The ways run in folders of their own.
    programs = {name: path.resolve() for name in ("pdfium", "floor", "render", "celeriac") if (path := getattr(options, name))}
    same = {name: getattr(options, name) for name in ("pages", "processes", "batch_size", "dpi", "analysis")}
    bench, results = ways.Bench(ways.Job(file=options.file, **programs, **same), options.scratch), {}
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
        options.out.write_text(json.dumps(results, indent=1))
    table(results, options)


if __name__ == "__main__":
    main()
