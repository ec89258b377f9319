"""A Celery application whose tasks also exist, under the same names, in celeriac's example `interop_worker`."""

import os

from celery import Celery

app = Celery("proj", broker=os.environ.get("CELERY_BROKER_URL"), backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)


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
