"""What a scenario is played on: a Redis that may be harmed, an oracle that may not, and workers of one language or the other."""

import json
import os
import platform
import random
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import redis
from celery import Celery

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))
from oracle import Oracle  # noqa: E402
from processes import TARGET, CeleriacWorker, Process, PythonWorker, RedisServer, all_settled, wait_until  # noqa: E402

QUEUE = "celery"
SLOTS = 4
# Each write is on disk before Redis answers: what it has accepted outlives it.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
# kombu gives back what a dead worker held after an hour. Nobody can wait for that here.
PYTHON_VISIBILITY_TIMEOUT = 10


@dataclass
class Play:
    """One scenario that is played: with what, how large, by which chance.

    Where time is measured the short form is lenient: it is played beside other tests.
    """

    folder: Path
    size: dict
    seed: int
    short: bool = True
    worker: str = "celeriac"
    worker_program: Path = TARGET / "debug/examples/interop_worker"
    draw: random.Random = field(init=False)

    def __post_init__(self):
        self.draw = random.Random(self.seed)

    def at_most(self, seconds, short):
        """What a time is held to in the long form, and in the short one."""
        return short if self.short else seconds

    def machine(self):
        build = self.worker_program.parts[-3] if self.worker != "python" else platform.python_version()
        return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}", build


class Stage:
    """Servers, tasks with numbers and ids made up front, and workers; all are ended with the `with` block."""

    def __init__(self, play, flags=(), environment=None):
        self.play, self._flags = play, flags
        self.lease = play.size.get("lease", 12)
        (play.folder / "broker").mkdir()
        self.oracle = Oracle(play.folder)
        self.server = RedisServer(play.folder / "broker", flags=flags).ready()
        self.broker, self.results = redis.Redis(port=self.server.port, db=0), redis.Redis(port=self.server.port, db=1)
        self.client = Celery("client", broker=self.server.broker_url)
        self._environment = {**self.urls(self.server.port), "RUST_LOG": "info", "NO_COLOR": "1", **(environment or {})}
        self._workers = []
        # Task ids by number: a task that was lost is one of these that nobody has seen.
        self.ids = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self._workers:
            worker.__exit__()
        self.client.close()
        self.server.__exit__()
        self.oracle.__exit__()

    @staticmethod
    def urls(port):
        return {"CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0", "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{port}/1"}

    def send(self, task, calls, queue=QUEUE, **options):
        """Sends a task once for each tuple of arguments that follow the port and the number; returns the numbers."""
        first = len(self.ids)
        self.ids += [str(uuid.UUID(int=self.play.draw.getrandbits(128), version=4)) for _ in calls]
        with self.client.producer_or_acquire() as producer:
            for number, arguments in enumerate(calls, first):
                args = (self.oracle.port, number, *arguments)
                self.client.send_task(task, args, task_id=self.ids[number], queue=queue, producer=producer, **options)
        return range(first, len(self.ids))

    def start(self, kind=None, queue=QUEUE, slots=SLOTS, ready=True, **environment):
        """Starts a worker, and waits until it is ready."""
        kind = kind or self.play.worker
        name = f"{kind}{len(self._workers)}"
        environment = {**self._environment, **environment}
        if kind == "python":
            timeout = {"visibility_timeout": PYTHON_VISIBILITY_TIMEOUT}
            environment = {"CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps(timeout), **environment}
            worker = PythonWorker("proj", name, [queue], self.play.folder, environment, slots)
        else:
            environment = {"CELERIAC_LEASE": str(self.lease), **environment}
            worker = CeleriacWorker(self.play.worker_program, name, [queue], self.play.folder, environment, slots)
        self._workers.append(worker)
        if ready:
            wait_until(lambda: worker.check() and " ready." in worker.output(), 60, f"{name} is ready")
        return worker

    def command(self, *words):
        """Begins a command of celeriac's program."""
        command = Process(f"command{len(self._workers)}", [self.play.worker_program, *words], self.play.folder, self._environment)
        self._workers.append(command)
        return command

    def stop_server(self, how):
        """Ends Redis, by `kill` or `term`."""
        if how == "kill":
            self.server.kill_9()
        else:
            self.server.stop()
        self.server.__exit__()

    def start_server(self, *flags):
        """Starts Redis again with what is on its disk; returns the time from which on it accepted."""
        self.server = RedisServer(self.play.folder / "broker", self.server.port, (*self._flags, *flags)).ready()
        return self.oracle.now()

    def progress(self, entries, patience=120):
        """Waits until the oracle has so many entries."""
        wait_until(lambda: self.oracle.length() >= entries, patience, f"{entries} entries", poll=0.003)

    def begun(self, numbers, patience=60, times=1):
        """Waits until each of the tasks has begun so often."""

        def all_begun():
            begins = self.oracle.begins()
            return all(len(begins[number]) >= times for number in numbers)

        wait_until(all_begun, patience, f"tasks {numbers} have begun {times} times")

    def rest(self, patience=120):
        """Waits until nothing is queued, parked or held; whether that came."""
        try:
            wait_until(lambda: all_settled(self.broker, QUEUE), patience, "nothing is left")
        except AssertionError:
            return False
        return True

    def states(self):
        """The state of each task's result, by its number."""
        metas = self.results.mget([f"celery-task-meta-{id}" for id in self.ids])
        return {number: json.loads(meta)["status"] if meta else None for number, meta in enumerate(metas)}

    def lost(self):
        """The numbers of tasks that were sent and never ended."""
        return sorted(set(range(len(self.ids))) - self.oracle.ended())

    def resumed(self, since, patience=60):
        """After how many seconds a task that began after that time had ended; None if none did."""

        def first():
            begun = set()
            for entry in self.oracle.entries(since, 5000):
                if entry.what == "begun":
                    begun.add(entry.number)
                elif entry.number in begun:
                    return entry
            return None

        try:
            return wait_until(first, patience, "a task begins and ends", poll=0.01).at - since
        except AssertionError:
            return None


def impatient(seconds):
    """What has a Python worker look every second for what nobody has renewed for so long. By default it looks every 100 seconds."""
    options = {"visibility_timeout": seconds, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    return {"CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps(options)}


def went_on(stage, found, resumed, ends, at):
    """Judges workers that were to outlive harms: nothing lost, each with its result, the same process, and on within two seconds.

    They wait for up to 1.5 seconds between two tries.
    """
    found["worker ended or stood still"] = ends
    found.update({f"resumed after, {name}": value for name, value in spread(resumed).items()})
    found["extra runs"] = sum(len(begins) - 1 for begins in stage.oracle.begins().values())
    without = [number for number, state in stage.states().items() if state != "SUCCESS"]
    found["without a result"] = len(without)
    found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
    found.fault_if(without, f"tasks {without[:10]} have no result")
    found.fault_if(not found["settled"], "messages are left that nobody takes")
    found.fault_if(ends, "the worker ended or stood still")
    found.fault_if(resumed and found[f"resumed after, {at}"] >= stage.play.at_most(2, short=10), "the worker took too long to go on")
    return found


def spread(seconds):
    """Median, 99th percentile and maximum."""
    ordered = sorted(seconds)
    if not ordered:
        return {"p50": None, "p99": None, "max": None}
    at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 3)}


def rss_mb(pid):
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def pause(seconds):
    """Lets time pass that belongs to the scenario: how long a fault lasts, or which moment was drawn. Never a wait for something."""
    time.sleep(seconds)
