"""Fail-points: a worker is killed at each of its commands to Redis in turn, before it or between it and its answer."""

import collections
import functools
import hashlib
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import aof
from bulk import fresh_id
from celery import chain, chord
from proxy import Counter
from registry import Found, scenario
from stage import PYTHON_VISIBILITY_TIMEOUT, QUEUE, Stage, impatient, spread, wait_until

from processes import ROOT

FLAGS = (*aof.ONE_FILE, "--appendfsync", "no")
SLOTS = 2
DEAD_LETTERS = "celeriac.dead_letters"
BEFORE, AFTER = "before", "after"
# How long a worker may take to come to its last command, and all tasks to their end.
PATIENCE = 30
# These are sent again by design: a retry, and what was parked for its ETA.
SENT_AGAIN = {"retried", "with an ETA"}


@scenario(
    "points",
    "kill -9 at each command to Redis, before it and between it and its answer",
    short={"points": 6, "lanes": 6, "lease": 2, "eta": 1},
    full={"points": 0, "lanes": 6, "lease": 2, "eta": 1},
)
def points(play):
    size = play.size
    alone = play_point(play, Point(0, BEFORE))
    assert not alone.faults, f"without a kill: {alone.faults}"
    commands = len(alone.commands)
    every = [Point(*point) for point in itertools.product(range(1, commands + 1), (BEFORE, AFTER))]
    drawn = play.draw.sample(every, size["points"]) if size["points"] else every
    with ThreadPoolExecutor(size["lanes"]) as lanes:
        played = list(lanes.map(lambda point: play_point(play, point), drawn))
    return told(commands, played)


@dataclass
class Point:
    """A worker's death at its command of this number (0: none), and what came of it."""

    number: int
    side: str
    commands: list = field(default_factory=list)
    reached: bool = False
    seconds: float = 0.0
    extra_runs: int = 0
    faults: list = field(default_factory=list)

    def __str__(self):
        return f"{self.side} command {self.number}, {label(self.commands)}"


def play_point(play, point):
    """Plays one point on servers of its own."""
    folder = play.folder / f"{point.number}-{point.side}"
    folder.mkdir()
    with Stage(replace(play, folder=folder), FLAGS) as stage, Counter(stage.server.port, point.number, point.side == BEFORE) as way:
        work = Work(stage)
        worker = stage.start(ready=False, slots=SLOTS, **sweeping(), **stage.urls(way.port))
        if point.number:
            point.reached = way.ended.wait(PATIENCE)
            worker.kill_group()
            killed = time.monotonic()
            stage.start(ready=False, slots=SLOTS, **sweeping())
        point.faults += work.faults()
        if point.number:
            point.seconds = time.monotonic() - killed
        point.commands = way.commands
        point.extra_runs = sum(len(begins) - 1 for begins in stage.oracle.begins().values())
    return point


def sweeping():
    """For a Python worker; celeriac has leases."""
    return impatient(PYTHON_VISIBILITY_TIMEOUT)


class Work:
    """A task for each thing that can follow one, and what must come of them."""

    def __init__(self, stage):
        self._stage = stage
        stage.client.conf.result_backend = stage.server.result_backend
        # Nobody waits here: a client that has subscribed looks for its server long after the stage is over.
        stage.client.backend.result_consumer.consume_from = lambda *_: None
        # By id: what it is, and the state it must end in.
        self._names, self._states = {}, {}
        self._send()

    def _send(self):
        app = self._stage.client
        self._logged("plain").apply_async()
        self._call("retried", "flaky", 1).apply_async()
        self._call("failing", "fails", "on purpose", state="FAILURE").on_error(self._call("errback", "told")).apply_async()
        self._logged("with an ETA").apply_async(countdown=self._stage.play.size["eta"])
        chain([self._logged(f"link {n}") for n in range(3)], app=app).apply_async()
        chord([self._logged(f"part {n}") for n in range(3)], app=app)(self._logged("body"))

    def _logged(self, name):
        """A task that says in the oracle's log when it has ended."""
        stage = self._stage
        call = self._call(name, "logged", stage.oracle.port, len(stage.ids), 0).set(immutable=True)
        stage.ids.append(call.id)
        return call

    def _call(self, name, task, *args, state="SUCCESS"):
        id = fresh_id(self._stage.play.draw)
        self._names[id], self._states[id] = name, state
        return self._stage.client.signature(f"proj.{task}", args=args, task_id=id, queue=QUEUE)

    def faults(self):
        """Waits until all has come to its end, and says what has not or has not as it should."""
        stage = self._stage
        try:
            wait_until(lambda: self._stored() == self._states, PATIENCE, "each task has its result", poll=0.02)
        except AssertionError:
            pass
        settled, stored = stage.rest(PATIENCE), self._stored()
        without = [f"{name}: {stored[id]}" for id, name in self._names.items() if stored[id] != self._states[id]]
        lost = [self._names[stage.ids[number]] for number in stage.lost()]
        sent = self._sent()
        again = [f"{name}: {sent[id]}" for id, name in self._names.items() if sent[id] != 1 and name not in SENT_AGAIN]
        found = {
            "messages are left": [] if settled else [left(stage)],
            "never ended": lost,
            "have another result": without,
            "were not sent once": again,
            "dead letters": [id.decode() for id in stage.broker.hkeys(DEAD_LETTERS)],
        }
        return [f"{words}: {', '.join(what)}" for words, what in found.items() if what]

    def _stored(self):
        metas = self._stage.results.mget([f"celery-task-meta-{id}" for id in self._states])
        return {id: json.loads(meta)["status"] if meta else None for id, meta in zip(self._states, metas)}

    def _sent(self):
        """How often each message was sent. What a dead worker held comes back by the other end of the list, and does not count."""
        pushes = (words for words in aof.commands(self._stage) if words[0].upper() == b"LPUSH")
        return collections.Counter(id for words in pushes for id in map(aof.id_of, words[2:]))


def left(stage):
    broker = stage.broker
    return f"{broker.llen(QUEUE)} queued, {broker.hlen('unacked')} unacked, {broker.zcard('celeriac.parked_index')} parked"


def label(commands):
    """What a worker's last command was: its name, or that of its script."""
    name, *words = commands[-1]
    if name.upper() != b"EVALSHA":
        return name.decode()
    return scripts().get(words[0].decode(), "script")


@functools.cache
def scripts():
    """The names of celeriac's scripts, by the hash they are called with; some stand behind a common part."""
    common, found = (ROOT / "src/connection/results.lua").read_bytes() + b"\n", {}
    for path in (ROOT / "src").rglob("*.lua"):
        for text in (path.read_bytes(), common + path.read_bytes()):
            found[hashlib.sha1(text).hexdigest()] = f"script {path.stem}"
    return found


def told(commands, played):
    reached = [point for point in played if point.reached]
    found = Found(commands=commands, points=len(played), kills=len(reached))
    found["with something left or wrong"] = sum(bool(point.faults) for point in played)
    found["extra runs"] = sum(point.extra_runs for point in played)
    found["most extra runs after one kill"] = max(point.extra_runs for point in played)
    found.update({f"from kill to the end of all, {name}": value for name, value in spread(point.seconds for point in reached).items()})
    found["killed at"] = dict(collections.Counter(label(point.commands) for point in reached).most_common())
    found.fault_if(found["most extra runs after one kill"] > SLOTS, "a kill cost more runs than the worker has slots")
    found.fault_if(len(reached) < len(played) * 0.9, "too few points were reached: the scenario did not happen")
    for point in played:
        found.fault_if(point.faults, f"{point}: {'; '.join(point.faults)}")
    return found
