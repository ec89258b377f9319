"""Messages by the hundred thousand: written without a client, and pushed many at once."""

import base64
import json
import uuid
from datetime import datetime, timezone

from stage import QUEUE

EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
# Messages of one LPUSH.
PAGE = 1000


def body(args, embed=EMBED):
    return json.dumps([args, {}, embed]).encode()


def message(id, task, data, queue=QUEUE, eta=None, **headers):
    """The text of a message as a Python client writes it; `eta` in seconds."""
    due = eta and datetime.fromtimestamp(eta, timezone.utc).isoformat()
    headers = {"lang": "py", "task": task, "id": id, "root_id": id, "parent_id": None, "group": None, "eta": due, "expires": None,
               "retries": 0, "timelimit": [None, None], "argsrepr": "", "kwargsrepr": "{}", "origin": "chaos", **headers}  # fmt: skip
    info = {"exchange": "", "routing_key": queue}
    properties = {"correlation_id": id, "reply_to": id, "delivery_mode": 2, "delivery_info": info, "priority": 0,
                  "body_encoding": "base64", "delivery_tag": id}  # fmt: skip
    envelope = {"body": base64.b64encode(data).decode(), "content-encoding": "utf-8", "content-type": "application/json",
                "headers": headers, "properties": properties}  # fmt: skip
    return json.dumps(envelope)


def fresh_id(draw):
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def send(stage, calls, queue=QUEUE):
    """Sends calls, each a task, its arguments and perhaps its ETA; returns their numbers."""
    first, texts = len(stage.ids), []
    for task, args, *eta in calls:
        id = fresh_id(stage.play.draw)
        stage.ids.append(id)
        texts.append(message(id, task, body(args), queue, *eta))
        if len(texts) == PAGE:
            push(stage.broker, texts, queue)
            texts = []
    push(stage.broker, texts, queue)
    return range(first, len(stage.ids))


def push(broker, texts, queue=QUEUE):
    if texts:
        broker.lpush(queue, *texts)


def states(stage, numbers):
    """How many of these tasks have which state."""
    counts = {}
    for start in range(0, len(numbers), PAGE):
        keys = [f"celery-task-meta-{stage.ids[number]}" for number in numbers[start : start + PAGE]]
        for meta in stage.results.mget(keys):
            state = json.loads(meta)["status"] if meta else None
            counts[state] = counts.get(state, 0) + 1
    return counts


def held(stage, name):
    """The texts of what lies in a hash of deliveries: `unacked`, or the parked ones."""
    for _, entry in stage.broker.hscan_iter(name, count=PAGE):
        try:
            yield json.loads(entry)[0]
        except (ValueError, LookupError):  # What is no JSON lies there as it came.
            yield entry


def waiting_ids(stage, queue=QUEUE):
    """The ids of all tasks that are queued, held or parked."""
    found = set()
    for name in ("unacked", "celeriac.parked"):
        found |= {envelope["headers"]["id"] for envelope in held(stage, name)}
    for start in range(0, stage.broker.llen(queue), PAGE):
        found |= {json.loads(text)["headers"]["id"] for text in stage.broker.lrange(queue, start, start + PAGE - 1)}
    return found
