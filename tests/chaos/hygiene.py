"""R24: what workers and those who ask them leave behind in Redis."""

import os
import re

from celery import Celery

import bulk
from registry import Found, scenario
from stage import Stage, wait_until
from vitals import QUIET

# What lasts, because somebody owns it: queues and their bindings, what workers hold, and what docs/operations.md names.
OWNED = re.compile(r"celery|_kombu\.binding(_permanent)?\..+|_kombu\.binding_deadlines|unacked|unacked_index|celeriac\..+")
# How many times one client asks before it goes away.
ASKED = 20
# How long what expires by itself may take to be gone.
PATIENCE_S = 60


@scenario(
    "R24",
    "what inspections and results leave behind",
    short={"inspects": 120, "results": 1000},
    full={"inspects": 10_000, "results": 100_000},
)
def leftovers(play):
    size = play.size
    with Stage(play, environment=QUIET) as stage:
        worker = stage.start()
        numbers = bulk.send(stage, [("proj.add", (number, 1)) for number in range(size["results"])])
        answered = inspects(stage, size["inspects"])
        wait_until(lambda: set(bulk.states(stage, numbers)) == {"SUCCESS"}, 600, "every task has a result", poll=0.5)
        found = Found(**answered)
        found["keys at the end of the work"] = stage.broker.dbsize() + stage.results.dbsize()
        gone(stage, found)
        found["members of bindings of replies"] = sum(stage.broker.scard(key) for key in stage.broker.scan_iter("_kombu.binding.reply.*"))
        found["clients of Redis"] = stage.broker.info("clients")["connected_clients"]
        found["the worker answers"] = bool(stage.client.control.ping(timeout=2))
        found.fault_if(found["unanswered"], "a worker that works did not answer")
        found.fault_if(not found["the worker answers"] or not worker.alive(), "the worker has ended")
        return found


def inspects(stage, count):
    """Asks the worker again and again, each client in a process of its own: one waits for its answers, the next does not; and of either
    kind every second one dies without closing anything."""
    figures = {"answered": 0, "unanswered": 0, "abandoned": 0}
    for client in range(count // ASKED):
        waits, dies = client % 2 == 0, client % 4 > 1
        child = os.fork()
        if not child:
            asks(stage.server.broker_url, waits, dies)
        answered = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        figures["answered" if waits else "abandoned"] += answered
        figures["unanswered"] += ASKED - answered
    return figures


def asks(url, waits, dies):
    """The life of a client; ends the process with the number of questions that were answered, or were sent by one that does not wait."""
    answered = 0
    try:
        client = Celery("asking", broker=url)
        connection = client.connection_for_write()
        for command in ("ping", "stats") * (ASKED // 2):
            # The answer to one that does not wait comes when it listens no more, or to its next question.
            timeout = 10 if waits else 0.001
            replies = client.control.broadcast(command, reply=True, timeout=timeout, limit=1, connection=connection)
            answered += bool(replies) or not waits
        if not dies:
            connection.close()
    finally:
        # Nothing of the parent's is closed here.
        os._exit(answered)


def gone(stage, found):
    """Waits until what expires by itself is gone; what then never expires must have an owner."""
    left = lambda: [key for key in names(stage.broker) if key.endswith(".reply.celery.pidbox")]  # noqa: E731
    try:
        wait_until(lambda: not left(), PATIENCE_S, "replies are gone", poll=1)
    except AssertionError:
        found.fault_if(True, f"{len(left())} replies that nobody fetched are still there")
    lasting = {key for base in (stage.broker, stage.results) for key in names(base) if base.ttl(key) == -1}
    orphans = sorted(key for key in lasting if not OWNED.fullmatch(key))
    found["keys that never expire"], found["of them without an owner"] = len(lasting), len(orphans)
    found["their names"] = sorted(lasting)[:12]
    results = list(stage.results.scan_iter("celery-task-meta-*", count=1000))
    found["results"] = len(results)
    found.fault_if(orphans, f"nobody will ever remove {orphans[:5]}")
    found.fault_if(len(results) != len(stage.ids), "results are missing")


def names(base):
    return [key.decode() for key in base.scan_iter("*", count=1000) if not key.startswith(b"celery-task-meta-")]
