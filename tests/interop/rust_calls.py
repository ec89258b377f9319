"""A Celery application that serves what the example `client` sends from Rust: plain Python tasks, none of them made for a foreign caller."""

import json
import os
import time

import redis
from celery import Celery

BROKER = os.environ.get("CELERY_BROKER_URL")

app = Celery("rust_calls", broker=BROKER, backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.update(accept_content=["json", "msgpack"], broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)


class OutOfPaper(Exception):
    """An error of the application's own, with two arguments."""


@app.task(name="calls.add")
def add(x, y):
    return x + y


@app.task(name="calls.sub")
def sub(x, y):
    return x - y


@app.task(name="calls.mul")
def mul(x, y):
    return x * y


@app.task(name="calls.xsum")
def xsum(numbers):
    return sum(numbers)


@app.task(name="calls.ident")
def ident(x):
    return x


@app.task(name="calls.sleep", track_started=True)
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task(name="calls.print_page")
def print_page(page):
    raise OutOfPaper("tray 2", page)


@app.task(name="calls.replaced", bind=True)
def replaced(self, x, y):
    raise self.replace(add.si(x, y) | mul.s(10))


@app.task(name="calls.request", bind=True)
def request(self, *_args, **_kwargs):
    """What reached the worker beside the arguments."""
    wanted = ["argsrepr", "kwargsrepr", "shadow", "timelimit", "stamped_headers", "stamps", "retries", "eta", "expires", "ignore_result"]
    found = {name: getattr(self.request, name, None) for name in wanted}
    properties = self.request.properties or {}
    found["priority"] = self.request.delivery_info["priority"]
    found["routing_key"] = self.request.delivery_info["routing_key"]
    found["exchange"] = self.request.delivery_info["exchange"]
    found["custom"] = self.request.get("custom")
    found["own_root"] = self.request.root_id == self.request.id
    found["answers_to"] = bool(properties.get("reply_to")) and properties.get("correlation_id") == self.request.id
    return found


def note(key, value):
    client = redis.Redis.from_url(BROKER)
    client.rpush(key, json.dumps(value))
    client.close()


@app.task(name="calls.noted")
def noted(value):
    note("noted", value)


@app.task(name="calls.noted_stamps", bind=True)
def noted_stamps(self, _value):
    note("noted_stamps", self.request.stamps)


@app.task(name="calls.told")
def told(task_id):
    """An errback of the old style: its one argument is the id of the task that failed."""
    note("told", task_id)
