#!/usr/bin/env python3
"""Chords under chaos: celeriac workers are killed one after the other, and messages are delivered twice at random.

Each chord must send its body exactly once with the right values, or, if a part of its header fails, its errback exactly once and
never its body. The messages are counted by MONITOR, the values compared with an oracle in this program's memory.

A share of the chords fails; a share of the parts are chains of two. The clients' chords are plain Celery 5.7.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis
from celery import Celery, chain, chord

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from monitor import Duplicator, Monitor, Sent  # noqa: E402
from processes import TARGET, CeleriacWorker, PythonWorker, RedisServer, all_settled, wait_until  # noqa: E402

QUEUE = "celery"
CONCURRENCY = 4


def options(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chords", type=int, default=1000)
    parser.add_argument("--parts", type=int, default=20, help="parts of each header")
    parser.add_argument("--workers", type=int, default=3, help="celeriac workers; all of them are killed again and again")
    parser.add_argument("--python-workers", type=int, default=0, help="Python workers on the same queue; they are not killed")
    parser.add_argument("--kill-every", type=float, default=1.0, metavar="SECONDS", help="0 kills nobody")
    parser.add_argument("--pause", type=float, default=0.0, metavar="0..1", help="share of kills that only stop for a while")
    parser.add_argument("--duplicate", type=float, default=1.0, metavar="0..1", help="share of messages that get a second copy")
    parser.add_argument("--later", type=float, default=10.0, metavar="SECONDS", help="a late copy comes so much later at most")
    parser.add_argument("--failing", type=float, default=0.2, metavar="0..1", help="share of chords of which a part fails")
    parser.add_argument("--chains", type=float, default=0.1, metavar="0..1", help="share of parts that are chains of two tasks")
    parser.add_argument("--patience", type=float, default=60.0, metavar="SECONDS", help="without a chord's end: it hangs")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=TARGET / "chord-chaos.json", help="where the figures go")
    parser.add_argument("--worker-program", type=Path, default=TARGET / "debug/examples/interop_worker")
    return parser.parse_args(words)


class Chords:
    """The chords that were sent, and what each must come to."""

    def __init__(self, client, chosen):
        self._client, self._chosen, self._random = client, chosen, random.Random(chosen.seed)
        # By the body's id: the header's values, or None where a part fails.
        self.expected = {}

    def send(self):
        for _ in range(self._chosen.chords):
            self._send_one()

    def _send_one(self):
        draw, chosen = self._random, self._chosen
        values = [draw.randrange(1000) for _ in range(chosen.parts)]
        failing = draw.randrange(chosen.parts) if draw.random() < chosen.failing else None
        header = [self._part(value, fails=index == failing) for index, value in enumerate(values)]
        body = self._call("xsum").on_error(self._call("told"))
        result = chord(header, app=self._client)(body)
        self.expected[result.id] = None if failing is not None else values

    def _part(self, value, fails):
        draw = self._random
        seconds = draw.choice([0, 0, 0.005, 0.01, 0.02, 0.1])
        if draw.random() >= self._chosen.chains:
            return self._call("part", value, seconds, fails)
        second = self._call("part", 0, True) if fails else self._call("add", 1)
        return chain(self._call("part", value - 1, seconds), second, app=self._client)

    def _call(self, name, *args):
        return self._client.signature(f"proj.{name}", args=args, queue=QUEUE)


# How long a worker that is only stopped stands still: longer than a claim (6 s), at times longer than a lease (12 s).
PAUSE = (3, 16)


class Fleet:
    """The workers; one of celeriac's at a time is killed and at once started again, or stopped and let go on later."""

    def __init__(self, chosen, folder, environment):
        self._chosen, self._folder, self._environment = chosen, folder, environment
        self._random = random.Random(chosen.seed + 1)
        self._ending = threading.Event()
        self._disturber = threading.Thread(target=self._disturb, daemon=True)
        self.python = [
            PythonWorker("proj", f"python{n}", [QUEUE], folder, environment, CONCURRENCY) for n in range(chosen.python_workers)
        ]
        self.celeriac = [self._start(n) for n in range(chosen.workers)]
        # When the stopped ones go on, by their number.
        self._paused = {}
        self.kills = self.pauses = 0

    def _start(self, n):
        return CeleriacWorker(self._chosen.worker_program, f"celeriac{n}", [QUEUE], self._folder, self._environment, CONCURRENCY)

    def _disturb(self):
        while not self._ending.wait(self._chosen.kill_every):
            self._go_on(time.monotonic())
            running = [n for n in range(len(self.celeriac)) if n not in self._paused]
            if not running:
                continue
            n = self._random.choice(running)
            self.celeriac[n].check()
            if self._random.random() < self._chosen.pause:
                self.celeriac[n].signal(signal.SIGSTOP)
                self._paused[n] = time.monotonic() + self._random.uniform(*PAUSE)
                self.pauses += 1
            else:
                self.celeriac[n].kill_9()
                self.celeriac[n].__exit__()
                self.celeriac[n] = self._start(n)
                self.kills += 1

    def _go_on(self, now):
        for n in [n for n, until in self._paused.items() if until <= now]:
            self.celeriac[n].signal(signal.SIGCONT)
            del self._paused[n]

    def __enter__(self):
        if self._chosen.kill_every > 0 and self.celeriac:
            self._disturber.start()
        return self

    def leave_alone(self):
        self._ending.set()
        if self._disturber.is_alive():
            self._disturber.join()
        self._go_on(float("inf"))

    def __exit__(self, *_):
        self.leave_alone()
        for worker in [*self.celeriac, *self.python]:
            worker.__exit__()


def wait_for_ends(chords, results, patience):
    """Waits until every chord has ended; those that hang, if nothing ends for so long."""
    open_ids, last = set(chords.expected), time.monotonic()
    while open_ids and time.monotonic() - last < patience:
        ids = sorted(open_ids)
        metas = zip(ids, results.mget([f"celery-task-meta-{id}" for id in ids]))
        ended = {id for id, meta in metas if meta and json.loads(meta)["status"] in ("SUCCESS", "FAILURE")}
        if ended:
            open_ids -= ended
            last = time.monotonic()
        time.sleep(0.5)
    return open_ids


def wait_for_quiet(broker, duplicator, patience):
    """Waits until every copy was delivered and every message acked."""

    def quiet():
        # What was sent last is seen, and copied, a moment later.
        return not duplicator.waiting() and all_settled(broker, QUEUE) and not duplicator.waiting()

    wait_until(quiet, patience, "the queue is empty and every message acked")


def faults(chords, sent, results):
    """Every way in which a chord did not come to what it must."""
    told = [args[0] for args in sent.calls("proj.told")]
    found = []
    for id, values in chords.expected.items():
        meta = json.loads(results.get(f"celery-task-meta-{id}") or "{}")
        bodies, errbacks = sent.times[id], told.count(id)
        if (bodies, errbacks) != ((0, 1) if values is None else (1, 0)):
            found.append(f"{id}: {bodies} bodies and {errbacks} errbacks were sent, values {values}")
        if values is None:
            if meta.get("status") != "FAILURE" or meta["result"]["exc_type"] != "ChordError":
                found.append(f"{id}: must fail with ChordError, is {meta}")
            continue
        if meta.get("status") != "SUCCESS" or meta["result"] != sum(values):
            found.append(f"{id}: must be {sum(values)}, is {meta}")
        for args in sent.arguments["proj.xsum", id]:
            if args != [values]:
                found.append(f"{id}: the body was sent with {args}, must be {[values]}")
    return found


def run(chosen, folder):
    """One run; its figures."""
    began = time.monotonic()
    with RedisServer(folder) as server:
        server.ready()
        sent = Sent()
        duplicator = Duplicator(server.port, chosen.duplicate, chosen.later, chosen.seed + 2)
        monitor = Monitor(server.port, sent, duplicator.sent, duplicator.address)
        duplicator.start()
        monitor.start()
        broker, results = redis.Redis.from_url(server.broker_url), redis.Redis.from_url(server.result_backend)
        client = Celery("client", broker=server.broker_url, backend=server.result_backend)
        # Results are collected later than the server ends; then there is nothing left to unsubscribe from.
        client.backend.result_consumer.cancel_for = lambda *_: None
        chords = Chords(client, chosen)
        environment = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.result_backend, "RUST_LOG": "warn"}
        with Fleet(chosen, folder, environment) as fleet:
            chords.send()
            hanging = wait_for_ends(chords, results, chosen.patience)
            seconds = time.monotonic() - began
            # The last copies come after the last chord has ended: they must start nothing again, under kills too.
            wait_until(lambda: not duplicator.waiting(), chosen.later + 30, "all copies are delivered")
            fleet.leave_alone()
            wait_for_quiet(broker, duplicator, chosen.patience)
            duplicator.end()
            found = [f"{id}: hangs" for id in hanging] + faults(chords, sent, results)
            assert monitor.failure is None, monitor.failure
            return {
                "seed": chosen.seed,
                "chords": len(chords.expected),
                "chords that must fail": sum(values is None for values in chords.expected.values()),
                "parts a chord": chosen.parts,
                "celeriac workers": chosen.workers,
                "python workers": chosen.python_workers,
                "kills": fleet.kills,
                "pauses": fleet.pauses,
                "messages sent": sum(sent.times.values()),
                "second copies": sum(duplicator.copies.values()),
                "second copies, by kind": dict(duplicator.copies),
                "messages put back": sent.restored,
                "dead letters": broker.hlen("celeriac.dead_letters"),
                "bodies sent": sum(sent.times[id] for id in chords.expected),
                "errbacks sent": len(sent.calls("proj.told")),
                "chords that hang": len(hanging),
                "seconds to the last end": round(seconds, 1),
                "faults": found,
            }


def main(words=None):
    chosen = options(words)
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {chosen.seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="chord-chaos-") as folder:
        figures = run(chosen, Path(folder))
    chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    for name, value in figures.items():
        if not isinstance(value, (list, dict)):
            print(f"{name:24} {value}")
    for fault in figures["faults"]:
        print(f"FAULT {fault}")
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
