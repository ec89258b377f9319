"""A Celery application whose tasks also exist, under the same names, in celeriac's example `interop_worker`."""

import json
import os
import resource
import signal
import socket
import time

from celery import Celery, chain, chord, group

app = Celery("proj", broker=os.environ.get("CELERY_BROKER_URL"), backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.update(task_acks_late=True, broker_connection_retry_on_startup=True, worker_lost_wait=1)
# The variables that celeriac reads for the same settings.
app.conf.worker_prefetch_multiplier = int(os.environ.get("CELERY_WORKER_PREFETCH_MULTIPLIER", 1))
app.conf.worker_soft_shutdown_timeout = float(os.environ.get("CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT", 0))
app.conf.worker_pool_restarts = os.environ.get("CELERY_WORKER_POOL_RESTARTS") == "true"
app.conf.broker_transport_options = json.loads(os.environ.get("CELERY_BROKER_TRANSPORT_OPTIONS", "{}"))
app.conf.result_backend_transport_options = json.loads(os.environ.get("CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS", "{}"))
app.conf.task_track_started = os.environ.get("CELERY_TASK_TRACK_STARTED") == "true"


@app.task(name="proj.add")
def add(x, y):
    return x + y


@app.task(name="proj.xsum")
def xsum(numbers):
    return sum(numbers)


@app.task(name="proj.side")
def side(x):
    """Says which side has run it; the other one says "celeriac"."""
    return [x, "python"]


@app.task(name="proj.collect")
def collect(pairs):
    """The body of a chord of `proj.side`: each side's numbers."""
    return {name: sorted(x for x, by in pairs if by == name) for name in ("python", "celeriac")}


@app.task(name="proj.part")
def part(x, seconds=0, fails=False):
    """Takes its time, then returns its number or fails."""
    time.sleep(seconds)
    if fails:
        raise ValueError(f"part {x}")
    return x


@app.task(name="proj.echo")
def echo(*args, **kwargs):
    return [args, kwargs]


@app.task(name="proj.fails")
def fails(*args):
    """Fails with its last argument."""
    raise ValueError(args[-1])


@app.task(name="proj.told")
def told(task_id):
    """An errback of the old style: of one argument, so both sides send it as a message."""
    return task_id


@app.task(name="proj.flaky", bind=True, max_retries=10)
def flaky(self, failures):
    """Fails until it was retried so often."""
    if self.request.retries < failures:
        raise self.retry(exc=ConnectionError("not yet"), countdown=0.01)
    return self.request.retries


@app.task(name="proj.request", bind=True)
def request(self, *_, **__):
    """Says what its message said of it, and which side has run it."""
    return {
        "by": "python",
        "priority": self.request.delivery_info.get("priority"),
        "retries": self.request.retries,
        "root_id": self.request.root_id,
        "parent_id": self.request.parent_id,
        "stamped_headers": self.request.stamped_headers or [],
        "stamps": self.request.stamps or {},
    }


@app.task(name="proj.replaced", bind=True)
def replaced(self, kind, x, queue):
    """Is replaced by a canvas of this kind, whose tasks go to `queue`."""

    def plus(*args):
        return add.s(*args).set(queue=queue)

    canvases = {
        "task": lambda: plus(x, 1),
        "chain": lambda: chain(plus(x, 1), plus(2)),
        "group": lambda: group(plus(x, 1), plus(x, 2)),
        "chord": lambda: chord([plus(x, 1), plus(x, 2)], xsum.s().set(queue=queue)),
    }
    raise self.replace(canvases[kind]())


@app.task(name="proj.early", acks_late=False)
def early(x, seconds=0, fails=False):
    """As `part`; its message is acked before it runs."""
    return part(x, seconds, fails)


@app.task(name="proj.child_sleeps")
def child_sleeps(seconds):
    """Says in which process it ran."""
    time.sleep(seconds)
    return os.getpid()


@app.task(name="proj.child_exits")
def child_exits(code):
    os._exit(code)


@app.task(name="proj.child_dies")
def child_dies():
    os.abort()


@app.task(name="proj.child_grows")
def child_grows(mib):
    """Keeps so much memory, and says in which process."""
    kept.append(bytearray(mib << 20))
    return os.getpid()


kept = []


def log(port, what, x):
    """An entry of the log that scenarios of tests/chaos are judged by, with the worker that writes it."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"XADD log * {what} {x} pid {os.getppid()}\r\n".encode())
        connection.recv(64)


@app.task(name="proj.logged")
def logged(port, x, seconds):
    """Says in a log of its own when it begins and when it has ended."""
    log(port, "begun", x)
    time.sleep(seconds)
    log(port, "ended", x)
    return x


@app.task(name="proj.logged_early", acks_late=False)
def logged_early(port, x, seconds):
    return logged(port, x, seconds)


@app.task(name="proj.poisoned", reject_on_worker_lost=True, acks_on_failure_or_timeout=False)
def poisoned(port, x, kind):
    """Says in the log that it begins, then kills the process it runs in."""
    log(port, "begun", x)
    if kind == "hang":
        time.sleep(3600)
    if kind in ("exit", "zero"):
        os._exit(3 if kind == "exit" else 0)
    if kind == "oom":
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        bytearray(2 << 30)
    # A stack that is full ends in SIGSEGV.
    numbers = {"abort": signal.SIGABRT, "segv": signal.SIGSEGV, "overflow": signal.SIGSEGV, "ill": signal.SIGILL, "stop": signal.SIGSTOP}
    os.kill(os.getppid() if kind == "worker" else os.getpid(), numbers.get(kind, signal.SIGKILL))
