#!/usr/bin/env python3
"""TERMs under load: one celeriac worker after the other is told to stop while its slots are busy, and another takes its place.

Each must have left with 0 within its grace; nothing may be lost, and nothing that has finished may run again. What runs is written down
by the tasks themselves in a Redis of its own; the numbers of the tasks are made before anything is started.

Most tasks are short; some are longer than the grace, so that they are cut off and handed back. All are acked late.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis
from celery import Celery

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from oracle import Oracle  # noqa: E402
from processes import TARGET, CeleriacWorker, RedisServer, all_settled, wait_until  # noqa: E402

QUEUE = "celery"
CONCURRENCY = 4
# So many messages wait at any time.
WAITING = 20
IDLE_SECONDS = 0.2


def options(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terms", type=int, default=50, help="TERMs under load")
    parser.add_argument("--idle", type=int, default=10, help="TERMs of idle workers before that")
    parser.add_argument("--grace", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--longest", type=float, default=6.0, metavar="SECONDS", help="the longest of the usual tasks")
    parser.add_argument("--overlong-every", type=int, default=8, metavar="N", help="one of N TERMs meets a task longer than the grace")
    parser.add_argument("--tasks", type=int, default=100_000, help="numbers made up front; more than are needed")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=TARGET / "term-drill.json", help="where the figures go")
    parser.add_argument("--worker-program", type=Path, default=TARGET / "debug/examples/interop_worker")
    return parser.parse_args(words)


class Load(threading.Thread):
    """Keeps messages waiting, until it is told to end."""

    def __init__(self, client, broker, log_port, chosen):
        super().__init__(daemon=True)
        self._client, self._broker, self._port, self._chosen = client, broker, log_port, chosen
        self._random = random.Random(chosen.seed)
        self._numbers = iter(range(chosen.tasks))
        self._ending = threading.Event()
        # The results, by the task's number.
        self.sent = {}

    def send(self, seconds):
        number = next(self._numbers)
        signature = self._client.signature("proj.logged", args=(self._port, number, seconds), queue=QUEUE)
        self.sent[number] = signature.freeze()
        signature.apply_async()
        return number

    def run(self):
        draw = self._random
        while not self._ending.wait(0.02):
            for _ in range(WAITING - self._broker.llen(QUEUE)):
                self.send(draw.choice([0, 0, 0.002, 0.01, 0.1, 0.3, draw.uniform(0, self._chosen.longest)]))

    def end(self):
        self._ending.set()
        self.join()


class Stop(threading.Thread):
    """A TERM, and how long the worker takes to leave."""

    def __init__(self, worker, grace):
        super().__init__(daemon=True)
        self._worker, self._grace = worker, grace
        self.code = self.seconds = None
        self.start()

    def run(self):
        begun = time.monotonic()
        self.code = self._worker.stop(self._grace * 2)
        self.seconds = time.monotonic() - begun

    def ended(self):
        """Waits for the end; how many runs were cut off."""
        self.join()
        output = self._worker.output()
        assert self.code == 0, f"{self._worker.name} ended with {self.code}:\n{output[-3000:]}"
        self._worker.__exit__()
        return output.count("was cut off: cold shutdown")


class Workers:
    """Starts one after the other, and ends them all."""

    def __init__(self, chosen, folder, environment):
        self._chosen, self._folder, self._environment = chosen, folder, environment
        self._all = []

    def start(self):
        name = f"worker{len(self._all)}"
        worker = CeleriacWorker(self._chosen.worker_program, name, [QUEUE], self._folder, self._environment, CONCURRENCY)
        self._all.append(worker)
        wait_until(lambda: worker.check() and " ready." in worker.output(), 30, f"{name} is ready")
        return worker

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self._all:
            worker.__exit__()


def idle_stops(workers, chosen):
    seconds = []
    for _ in range(chosen.idle):
        stop = Stop(workers.start(), chosen.grace)
        stop.ended()
        seconds.append(stop.seconds)
    return seconds


def busy_stops(workers, load, log, chosen):
    """The seconds of each stop under load, and how many runs were cut off altogether.

    One worker is left alone, so that what is longer than the grace ends at some time; so is the last.
    """
    seconds, cut = [], 0
    workers.start()
    worker = workers.start()
    for n in range(chosen.terms):
        wait_until(lambda: worker.output().count(" received") > CONCURRENCY, 60, "the worker is busy")
        if n % chosen.overlong_every == chosen.overlong_every - 1:
            overlong = load.send(chosen.grace * 1.5)
            wait_until(lambda: log.has_begun(overlong), 60, "the overlong task runs")
        stop, worker = Stop(worker, chosen.grace), workers.start()
        cut += stop.ended()
        seconds.append(stop.seconds)
        print(f"{n + 1:3} of {chosen.terms}: {stop.seconds:6.2f} s", file=sys.stderr, flush=True)
    return seconds, cut


def wait_for_rest(load, broker, patience):
    """Waits until nothing is queued, parked or leased any more."""
    wait_until(lambda: all_settled(broker, QUEUE), patience, "everything is settled")


def faults(load, results, log, chosen, idle, busy, cut):
    """What must not be."""
    entries = log.entries()
    ended, again = set(), []
    for entry in entries:
        if entry.number in ended:
            again.append(entry.number)
        if entry.what == "ended":
            ended.add(entry.number)
    metas = {number: results.get(f"celery-task-meta-{result.id}") for number, result in load.sent.items()}
    lost = [number for number, meta in metas.items() if not meta or json.loads(meta)["status"] != "SUCCESS"]
    begun = sum(entry.what == "begun" for entry in entries)
    found = [f"task {number} was lost" for number in lost] + [f"task {number} ran again after it had finished" for number in again]
    found += [f"an idle worker took {seconds:.3f} s" for seconds in idle if seconds >= IDLE_SECONDS]
    found += [f"a worker took {seconds:.2f} s" for seconds in busy if seconds >= chosen.grace]
    if begun - len(load.sent) > cut:
        found.append(f"{begun - len(load.sent)} runs were begun again, and {cut} cut off")
    return found, {"lost": len(lost), "finished and run again": len(again), "cut off and begun again": begun - len(load.sent)}


def spread(seconds):
    return {
        "min": round(min(seconds), 3),
        "p50": round(statistics.median(seconds), 3),
        "p95": round(sorted(seconds)[int(len(seconds) * 0.95)], 3),
        "max": round(max(seconds), 3),
    }


def run(chosen, folder):
    """One run; its figures."""
    (folder / "broker").mkdir()
    with RedisServer(folder / "broker") as server, Oracle(folder) as log:
        server.ready()
        broker, results = redis.Redis.from_url(server.broker_url), redis.Redis.from_url(server.result_backend)
        client = Celery("client", broker=server.broker_url, backend=server.result_backend)
        # Results are collected later than the server ends; then there is nothing left to unsubscribe from.
        client.backend.result_consumer.cancel_for = lambda *_: None
        environment = {
            "CELERY_BROKER_URL": server.broker_url,
            "CELERY_RESULT_BACKEND": server.result_backend,
            "CELERIAC_SHUTDOWN_GRACE": str(chosen.grace),
        }
        load = Load(client, broker, log.port, chosen)
        with Workers(chosen, folder, environment) as workers:
            idle = idle_stops(workers, chosen)
            load.start()
            busy, cut = busy_stops(workers, load, log, chosen)
            load.end()
            wait_for_rest(load, broker, chosen.grace * 10)
            found, counts = faults(load, results, log, chosen, idle, busy, cut)
        return {
            "seed": chosen.seed,
            "grace": chosen.grace,
            "terms under load": len(busy),
            "tasks": len(load.sent),
            **{f"idle, {name}": value for name, value in spread(idle).items()},
            **{f"busy, {name}": value for name, value in spread(busy).items()},
            "cut off": cut,
            **counts,
            "faults": found,
        }


def main(words=None):
    chosen = options(words)
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {chosen.seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="term-drill-") as folder:
        figures = run(chosen, Path(folder))
    chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    for name, value in figures.items():
        if not isinstance(value, list):
            print(f"{name:24} {value}")
    for fault in figures["faults"]:
        print(f"FAULT {fault}")
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
