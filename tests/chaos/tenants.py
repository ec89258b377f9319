"""Two tenants on one Redis, walled off from each other by a key prefix and a Redis user each."""

import collections
import contextlib
import json

from celery import Celery

import redis
from processes import ROOT
from registry import Found, scenario
from stage import QUEUE, SLOTS, Stage, all_settled, wait_until

NAMES = ("red", "blue")
PASSWORD = "PASSWORD"


class Tenant:
    """One of them: a Redis user that may touch nothing but what bears its prefix, a client and workers under that user."""

    def __init__(self, stage, name):
        self.stage, self.name, self.prefix = stage, name, f"{name}:"
        # As docs/security.md has it.
        lines = (ROOT / "docs/security.md").read_text().splitlines()
        rule = next(line for line in lines if line.startswith("ACL SETUSER celeriac-worker "))
        # Python's workers need more commands than ours, and no other keys or channels.
        more = ["+@all", "-@dangerous", "+info"] if stage.play.worker == "python" else []
        stage.broker.execute_command(*rule.replace("celeriac-worker", name).replace("app:", self.prefix).split(), *more)
        url = f"redis://{name}:{PASSWORD}@127.0.0.1:{stage.server.port}/"
        self._urls = {"CELERY_BROKER_URL": f"{url}0", "CELERY_RESULT_BACKEND": f"{url}1"}
        self.client = Celery(name, broker=f"{url}0", backend=f"{url}1")
        self.client.conf.update(broker_transport_options=self._options(), result_backend_transport_options=self._options())
        self.redis = redis.Redis(port=stage.server.port, username=name, password=PASSWORD)
        self.numbers, self.pids = [], set()

    def _options(self):
        return {"global_keyprefix": self.prefix}

    def start(self):
        options = {"visibility_timeout": 10, **self._options()}
        environment = {
            "CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps(options),
            "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": json.dumps(self._options()),
        }
        worker = self.stage.start(**self._urls, **environment)
        self.pids.add(worker.pid)
        return worker

    def send(self, seconds):
        """Sends tasks to a queue that has the same name for every tenant."""
        stage, theirs = self.stage, self.stage.client
        stage.client = self.client
        try:
            numbers = stage.send("proj.logged", [(each,) for each in seconds])
        finally:
            stage.client = theirs
        self.numbers += numbers
        return numbers

    def rested(self):
        return all_settled(self.stage.broker, QUEUE, prefix=self.prefix)

    def nodes(self):
        """The workers that answer this tenant."""
        return sorted(node for reply in self.client.control.ping(timeout=2) for node in reply)

    def results(self):
        """How many of its own tasks' results it can read."""
        keys = [f"{self.prefix}celery-task-meta-{self.stage.ids[number]}" for number in self.numbers]
        return sum(meta is not None for meta in self.stage.results.mget(keys))


@scenario(
    "tenants",
    "two tenants on one Redis, of whom one's workers are killed",
    short={"tasks": 200, "kills": 1, "lease": 4},
    full={"tasks": 5000, "kills": 20},
)
def tenants(play):
    size, draw = play.size, play.draw
    with Stage(play) as stage, contextlib.ExitStack() as stack:
        red, blue = both = [Tenant(stage, name) for name in NAMES]
        for tenant in both:
            stack.callback(tenant.client.close)
            tenant.client.backend.result_consumer.cancel_for = lambda *_: None
        stage.broker.acl_log_reset()
        worker = red.start()
        blue.start()
        for tenant in both:
            tenant.send(draw.choice((0, 0.01, 0.05)) for _ in range(size["tasks"]))
        for _ in range(size["kills"]):
            held = red.send([1] * SLOTS)
            stage.begun(held, patience=300)
            worker.kill_group()
            # The other's workers have all the time to take what is not theirs.
            wait_until(blue.rested, 300, "the other tenant's work goes on")
            worker = red.start()
        found = Found(settled=rests(both), lost=len(stage.lost()), kills=size["kills"])
        apart(stage, both, found)
        commanded(red, blue, found)
        return found


def rests(both):
    try:
        return wait_until(lambda: all(tenant.rested() for tenant in both), 120, "nothing is left")
    except AssertionError:
        return False


def apart(stage, both, found):
    """What one tenant sent must have run at its own workers alone, and be told to it alone."""
    begins = stage.oracle.begins()
    runs = collections.Counter()
    for tenant in both:
        for number in tenant.numbers:
            runs["own" if {begin.pid for begin in begins[number]} <= tenant.pids else "foreign"] += 1
    found["tasks run by the own workers"], found["by others"] = runs["own"], runs["foreign"]
    found["extra runs"] = sum(len(entries) - 1 for entries in begins.values())
    found["results"] = sum(tenant.results() for tenant in both)
    refused = [(entry["username"], entry["reason"], entry["object"]) for entry in stage.broker.acl_log()]
    found["commands refused to workers and clients"] = len(refused)
    stray = {key for key in [*stage.broker.scan_iter(), *stage.results.scan_iter()] if key.split(b":")[0].decode() not in NAMES}
    found["keys without a prefix"] = len(stray)
    found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
    found.fault_if(not found["settled"], "messages are left that nobody takes")
    found.fault_if(found["by others"], "a tenant's worker took the other's tasks")
    found.fault_if(found["results"] != len(stage.ids), "results are missing")
    found.fault_if(refused, f"workers asked for what is not theirs: {refused[:3]}")
    found.fault_if(stray, f"keys that belong to nobody: {sorted(stray)[:5]}")


def commanded(red, blue, found):
    """Each hears its own workers alone; one that ends all workers ends its own."""
    before = {tenant.name: wait_until(tenant.nodes, 30, "its own workers answer a tenant") for tenant in (red, blue)}
    found["workers that answer"] = {name: len(nodes) for name, nodes in before.items()}
    found.fault_if(set(before["red"]) & set(before["blue"]), "a tenant hears the other's workers")
    found.fault_if(not all(before.values()), "a tenant does not hear its own workers")
    red.client.control.shutdown()
    wait_until(lambda: not red.nodes(), 30, "the tenant's own workers have ended")
    wait_until(lambda: blue.nodes() == before["blue"], 30, "the other tenant's workers live on")
    tries = [("LPUSH", f"{blue.prefix}{QUEUE}", "x"), ("RPOP", f"{blue.prefix}{QUEUE}"), ("HGETALL", f"{blue.prefix}unacked"),
             ("PUBLISH", f"{blue.prefix}/0.celery.pidbox", "x"), ("SET", f"{blue.prefix}celeriac.parked", "x"), ("KEYS", "*"),
             ("SUBSCRIBE", f"{blue.prefix}celery-task-meta-1"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("MONITOR",)]  # fmt: skip
    found["attacks"], found["attacks that Redis let pass"] = len(tries), sum(passes(red.redis, *words) for words in tries)
    found.fault_if(found["attacks that Redis let pass"], "one tenant's user can touch what is the other's")


def passes(client, *words):
    try:
        client.execute_command(*words)
    except redis.exceptions.NoPermissionError:
        return False
    return True
