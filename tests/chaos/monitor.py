"""What Redis was told, as its MONITOR says it: every task message that was sent, and by whom; and second copies of them."""

import ast
import base64
import collections
import heapq
import json
import random
import re
import socket
import threading
import time
import uuid

import redis

# `+<time> [<db> <client>] "LPUSH" "<list>" "<text>"`, each argument written as C would write it.
PUSH = re.compile(rb'^\+\S+ \[\d+ (\S+)\] "([LR])PUSH" ("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")', re.IGNORECASE)
# A push to the tail (LPUSH) sends; one to the head (RPUSH) only puts back what a dead worker held.
RESTORED = b"R"


def unescape(argument):
    return ast.literal_eval("b" + argument.decode("latin-1"))


class Sent:
    """The task messages that were sent, by task id: how often, and with which arguments."""

    def __init__(self):
        self.times = collections.Counter()
        self.arguments = collections.defaultdict(list)
        self.restored = 0

    def add(self, envelope):
        headers = envelope["headers"]
        self.times[headers["id"]] += 1
        self.arguments[headers["task"], headers["id"]].append(json.loads(base64.b64decode(envelope["body"]))[0])

    def calls(self, task):
        """The arguments of every message of a task."""
        return [args for (name, _), many in self.arguments.items() if name == task for args in many]


class Monitor(threading.Thread):
    """Reads MONITOR to its end, counts what is sent, and hands each message to `on_sent(list, envelope)`.

    What the client at the address `ignore` pushes does not count: the second copies.
    """

    def __init__(self, port, sent, on_sent, ignore):
        super().__init__(daemon=True)
        self._sent, self._on_sent, self._ignore = sent, on_sent, ignore
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")
        self._lines = self._socket.makefile("rb")
        assert self._lines.readline() == b"+OK\r\n"
        self.failure = None

    def run(self):
        try:
            for line in self._lines:
                push = PUSH.match(line)
                if push and push[1] != self._ignore:
                    self._pushed(push)
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def _pushed(self, push):
        if push[2].upper() == RESTORED:
            self._sent.restored += 1
            return
        text = unescape(push[4])
        try:
            envelope = json.loads(text)
        except ValueError:
            return
        if isinstance(envelope, dict) and "task" in envelope.get("headers", {}):
            self._sent.add(envelope)
            self._on_sent(unescape(push[3]), envelope)


class Duplicator(threading.Thread):
    """Puts second copies into the queue: at once or later, at the tail or the head, with the same delivery tag or a fresh one."""

    def __init__(self, port, share, later, seed):
        super().__init__(daemon=True)
        self._redis = redis.Redis(port=port, single_connection_client=True)
        # MONITOR names a client by its address.
        self.address = self._redis.client_info()["addr"].encode()
        self._share, self._later, self._random = share, later, random.Random(seed)
        self._due = []
        self._changed = threading.Condition()
        self._ending = False
        self.copies = collections.Counter()

    def sent(self, queue, envelope):
        """A message was sent: copy it or not."""
        draw = self._random
        if draw.random() >= self._share:
            return
        kind = (draw.choice(["same tag", "fresh tag"]), draw.choice(["at the tail", "at the head", "later"]))
        if kind[0] == "fresh tag":
            envelope["properties"]["delivery_tag"] = str(uuid.UUID(int=draw.getrandbits(128), version=4))
        due = time.monotonic() + (draw.uniform(0, self._later) if kind[1] == "later" else 0)
        with self._changed:
            heapq.heappush(self._due, (due, draw.random(), kind, queue, json.dumps(envelope)))
            self._changed.notify()

    def waiting(self):
        with self._changed:
            return len(self._due)

    def end(self):
        with self._changed:
            self._ending = True
            self._changed.notify()
        self.join()

    def run(self):
        while (copy := self._next()) is not None:
            kind, queue, text = copy
            (self._redis.rpush if kind[1] == "at the head" else self._redis.lpush)(queue, text)
            self.copies[", ".join(kind)] += 1

    def _next(self):
        with self._changed:
            while not self._ending:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2:]
                self._changed.wait(wait)
        return None
