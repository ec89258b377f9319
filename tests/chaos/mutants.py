"""Queue elements that nobody should send: what Celery was recorded to write, changed at random by a seed, as `tests/hostile` does."""

import base64
import json

from bulk import fresh_id
from processes import ROOT

VECTORS = ROOT / "tests/fixtures/vectors"
# Words of the wire, and numbers at the edges.
TOKENS = [None, True, [], {}, "", -1, 0.5, 1e308, 10**16, 2**63, 2**64, float("nan"), float("-inf"), "chain", "group", "chord", "chunks",
          "xstarmap", "task", "args", "link_error", "subtask_type", "immutable", "group_index", "countdown", "eta", "__type__", "datetime",
          "2026-11-22T00:34:31.065160+00:00", "compression", "application/x-msgpack", "application/x-bz2", "utf-16", "\ud800"]  # fmt: skip
SNIPPETS = [json.dumps(token).encode() for token in TOKENS] + [b"[[[[", b"\xff", b"\0", b'"', b"}", b"\\ud800", b"1" * 400]


def seeds():
    """Every task message of the recordings, and its own id, in place of which each mutant gets a fresh one."""
    found = {}
    for file in sorted(VECTORS.glob("*.json")):
        collect(json.loads(file.read_text()), found)
    assert len(found) > 100, "the recordings are not where they were"
    return sorted(found.items())


def collect(value, found):
    """Every text of a recording that is an envelope, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            collect(each, found)
    elif isinstance(value, str) and value.startswith('{"body"'):
        id = task_id(value)
        if id:
            found[value] = id


def headers_of(envelope):
    """Protocol 1 can do without."""
    headers = envelope.get("headers")
    return headers if isinstance(headers, dict) else {}


def task_id(text):
    """The id of a task, of protocol 2 or 1; None for what is none."""
    try:
        envelope = json.loads(text)
        headers = headers_of(envelope)
        id = headers["id"] if "task" in headers else json.loads(base64.b64decode(envelope["body"]))["id"]
        return id if isinstance(id, str) else None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


class Mutants:
    """Mutants without end; the same ones from the same chance."""

    def __init__(self, draw):
        self._draw, self._seeds = draw, seeds()

    def next(self):
        draw = self._draw
        text, id = draw.choice(self._seeds)
        text = text.replace(id, fresh_id(draw))
        if draw.random() < 0.15:
            return self._bytes(text.encode())
        value = json.loads(text)
        if draw.random() < 0.5:
            value["body"] = self._body(value["body"])
        else:
            for _ in range(draw.randint(1, 3)):
                value = self._value(value, whole=True)
        return json.dumps(value).encode("utf-8", "surrogatepass")

    def _body(self, body):
        """A body with what is in it changed: its arguments, callbacks, chords."""
        try:
            data = base64.b64decode(body)
            inner = json.loads(data)
        except ValueError:  # Compressed, or no JSON.
            return body[: self._draw.randrange(len(body) + 1)]
        data = json.dumps(self._value(inner, whole=True)).encode() if self._draw.random() < 0.85 else self._bytes(data)
        return base64.b64encode(data).decode()

    def _bytes(self, data):
        draw = self._draw
        start = draw.randrange(len(data) + 1)
        end = min(len(data), start + draw.randrange(64))
        kind = draw.randrange(4)
        if kind == 0:
            return data[:start] + data[end:]
        if kind == 1:
            return data[:start] + draw.choice(SNIPPETS) + data[end:]
        if kind == 2:
            return data[:end] + data[start:]
        return data[:start]

    def _value(self, value, whole=False):
        """Walks down at random and changes what it comes to."""
        draw = self._draw
        if not value or not isinstance(value, (dict, list)) or (not whole and draw.random() < 0.1):
            return draw.choice(TOKENS)
        key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
        kind = draw.random()
        if kind < 0.1:
            del value[key]
        elif kind < 0.15 and isinstance(value, dict):
            value[str(draw.choice(TOKENS))] = draw.choice(TOKENS)
        else:
            value[key] = self._value(value[key])
        return value
