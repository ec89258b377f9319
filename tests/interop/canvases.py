"""Random canvases, and what became of every task of one."""

import json
import re

from celery import chain, chord, group
from celery.result import GroupResult

DEPTH = 3
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def draw(random, depth=DEPTH):
    """A random canvas as nested tuples: ("task" | "fails", number, links), ("chain" | "group", parts), ("chord", parts, body).

    Left out is what celeriac does otherwise than Celery (docs/compat.md): a group in a group, which Celery reverses; a group of one
    with something after it, which it takes for its member; what follows a chord whose body ends in a group, which it runs once for
    each member; a chord's body that is a chain and begins with a group, which gets no values there. Which of several failures a chord
    tells of depends on who is quicker, so one task fails at most.
    """
    while True:
        drawn = draw_any(random, depth)
        if is_fair(drawn) and str(drawn).count("fails") <= 1:
            return drawn


def ends_in_group(drawn):
    kind = drawn[0]
    return kind == "group" or kind == "chord" and ends_in_group(drawn[2]) or kind == "chain" and ends_in_group(drawn[1][-1])


def is_fair(drawn):
    kind, parts = drawn[0], drawn[1]
    if kind == "group":
        return all(part[0] != "group" for part in parts)
    if kind == "chain":
        # A group with something after it is a chord's header, and what comes after it is the body.
        followed = zip(parts, parts[1:], [*parts[2:], None])
        return len(parts) > 1 and all(
            not ends_in_group(part) or part[0] == "group" and len(part[1]) > 1 and not (ends_in_group(body) and rest)
            for part, body, rest in followed
        )
    return kind != "chord" or not (drawn[2][0] == "chain" and drawn[2][1][0][0] == "group")


def draw_any(random, depth):
    kind = random.choice(["chain", "group", "chord", "task"]) if depth else "task"
    if kind == "task":
        links = random.choices(["", "link", "errback", "link errback"], [6, 1, 1, 1])[0]
        return ("fails" if random.random() < 0.08 else "task", random.randrange(100), links)
    parts = tuple(draw(random, depth - 1) for _ in range(random.randint(1, 3)))
    return (kind, parts, draw(random, depth - 1)) if kind == "chord" else (kind, parts)


class Canvas:
    """A drawn canvas, sent to one queue."""

    def __init__(self, app, drawn, queue):
        self._app, self._queue = app, queue
        self._extra = []
        result = self._signature(drawn).apply_async()
        ends = list(walk(result, parents=False))
        # How many of the ids are those of the canvas's end. Others may never be used: a worker that sends a chord makes new ones.
        self.ends = len(ends)
        # In an order that is the same for every queue.
        self.ids = list(dict.fromkeys([*ends, *walk(result), *self._extra]))

    def _signature(self, drawn):
        kind, rest = drawn[0], drawn[1:]
        if kind == "chain":
            return chain(*map(self._signature, rest[0]), app=self._app)
        if kind == "group":
            return group(map(self._signature, rest[0]), app=self._app)
        if kind == "chord":
            return chord([self._signature(part) for part in rest[0]], self._signature(rest[1]), app=self._app)
        number, links = rest
        task = self._call("echo" if kind == "task" else "fails", number)
        if "link" in links.split():
            task.link(self._followed("echo", number))
        if "errback" in links:
            task.link_error(self._followed("told"))
        return task

    def _call(self, name, *args):
        return self._app.signature(f"proj.{name}", args=args, queue=self._queue)

    def _followed(self, name, *args):
        call = self._call(name, *args)
        self._extra.append(call.freeze().id)
        return call

    def end(self):
        """State and result of each task, as JSON, with ids replaced by their place."""
        keys = [f"celery-task-meta-{id}" for id in self.ids]
        return [self._plain(json.loads(meta)) if meta else "PENDING" for meta in self._app.backend.client.mget(keys)]

    def _plain(self, meta):
        text = f"{meta['status']} {json.dumps(meta['result'], sort_keys=True)}"
        for place, id in enumerate(self.ids):
            text = text.replace(id, f"#{place}")
        return UUID.sub("#worker's", text)


def walk(result, parents=True):
    """The ids of a result, its members and what came before it, depth first."""
    if isinstance(result, GroupResult):
        for member in result.results:
            yield from walk(member, parents)
    else:
        yield result.id
    if parents and result.parent is not None:
        yield from walk(result.parent)
