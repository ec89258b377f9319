"""The oracle of a scenario: a Redis of its own, never harmed, in which tasks themselves write when they begin and when they have ended."""

import collections
from typing import NamedTuple

import redis

from processes import RedisServer

KEY = "log"


class Entry(NamedTuple):
    """What a task has written; the time is the oracle's, in seconds."""

    at: float
    what: str
    number: int
    pid: int


class Oracle(RedisServer):
    """Tasks write `XADD log * begun|ended <number> pid <pid>`; each has a number that was made before anything was started."""

    def __init__(self, folder):
        (folder / "oracle").mkdir()
        super().__init__(folder / "oracle", flags=["--appendonly", "yes"])
        self.ready()
        self._redis = redis.Redis(port=self.port)

    def length(self):
        return self._redis.xlen(KEY)

    def now(self):
        seconds, micros = self._redis.time()
        return seconds + micros / 1e6

    def entries(self, since=None, count=None):
        """Every entry, or those written from a time on."""
        start = "-" if since is None else f"{int(since * 1000)}-0"
        return [_entry(id, fields) for id, fields in self._redis.xrange(KEY, start, count=count)]

    def has_begun(self, number):
        last = self._redis.xrevrange(KEY, count=200)
        return any(_entry(id, fields)[1:3] == ("begun", number) for id, fields in last)

    def begins(self):
        """The begins of each task, in their order, by its number."""
        found = collections.defaultdict(list)
        for entry in self.entries():
            if entry.what == "begun":
                found[entry.number].append(entry)
        return found

    def ended(self):
        """The numbers of those that have ended at least once."""
        return {entry.number for entry in self.entries() if entry.what == "ended"}


def _entry(id, fields):
    (what, number), (_, pid) = fields.items()
    return Entry(int(id.split(b"-")[0]) / 1000, what.decode(), int(number), int(pid))
