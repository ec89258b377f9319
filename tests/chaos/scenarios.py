#!/usr/bin/env python3
"""Tries to make workers lose work: each scenario harms a worker, Redis or the way between them, and says what came of it.

The scenarios have the names of the page docs/reliability.md. Each can be played with celeriac workers or with Python's, on the same
messages, from the same seed. What a scenario is judged by is written down by the tasks themselves, in a Redis that is never harmed.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
import bombs  # noqa: E402, F401
import clocks  # noqa: E402, F401
import deploys  # noqa: E402, F401
import fairness  # noqa: E402, F401
import failover  # noqa: E402, F401
import hostile  # noqa: E402, F401
import hygiene  # noqa: E402, F401
import killed  # noqa: E402, F401
import mixed  # noqa: E402, F401
import paused  # noqa: E402, F401
import points  # noqa: E402, F401
import poison  # noqa: E402, F401
import replay  # noqa: E402, F401
import revoked  # noqa: E402, F401
import taken_away  # noqa: E402, F401
import tenants  # noqa: E402, F401
import timed  # noqa: E402, F401
import unsynced  # noqa: E402, F401
import volume  # noqa: E402, F401
from registry import SCENARIOS, Found  # noqa: E402
from stage import TARGET, Play  # noqa: E402


def options(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(SCENARIOS)}; none: all")
    parser.add_argument("--full", action="store_true", help="the long forms, as docs/reliability.md tells of them")
    parser.add_argument("--set", action="append", default=[], metavar="SIZE=NUMBER", help="another size: tasks=100, kills=3")
    parser.add_argument("--worker", choices=["celeriac", "python"], default="celeriac")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=TARGET / "chaos.json", help="where the figures go")
    parser.add_argument("--worker-program", type=lambda path: Path(path).absolute(), default=TARGET / "debug/examples/interop_worker")
    chosen = parser.parse_args(words)
    unknown = [name for name in chosen.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return chosen


def run(name, chosen, folder):
    """Plays one scenario; its figures."""
    title, short, full, play = SCENARIOS[name]
    size = dict(full if chosen.full else short)
    size.update((key, float(value) if "." in value else int(value)) for key, value in (pair.split("=") for pair in chosen.set))
    setting = Play(folder, size, chosen.seed, not chosen.full, chosen.worker, chosen.worker_program)
    began = time.monotonic()
    try:
        found = play(setting)
    except AssertionError as waited:
        # What a scenario waits for in vain is its fault, whoever's workers they are.
        found = Found()
        found.fault_if(True, str(waited).splitlines()[0])
    machine, build = setting.machine()
    head = {"scenario": name, "title": title, "worker": chosen.worker, "seed": chosen.seed, "machine": machine, "build": build}
    return {**head, "size": size, **found, "seconds": round(time.monotonic() - began, 1), "faults": found.faults}


def main(words=None):
    chosen = options(words)
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {chosen.seed}", file=sys.stderr, flush=True)
    played = []
    for name in chosen.names or SCENARIOS:
        with tempfile.TemporaryDirectory(prefix=f"chaos-{name}-") as folder:
            figures = run(name, chosen, Path(folder))
        played.append(figures)
        # After each: who interrupts a long run keeps what it has found.
        chosen.json.write_text(json.dumps(played, indent=1) + "\n")
        show(figures)
    # What Python's workers lose is a figure; what ours lose is a fault.
    return 1 if chosen.worker == "celeriac" and any(figures["faults"] for figures in played) else 0


def show(figures):
    print(f"{'FAIL' if figures['faults'] else 'PASS'} {figures['scenario']} {figures['title']} ({figures['worker']})")
    for name, value in figures.items():
        if name not in ("scenario", "title", "worker", "faults"):
            print(f"     {name:32} {value}")
    for fault in figures["faults"][:20]:
        print(f"     FAULT {fault}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
