"""What Redis has on its disk: its append-only file, as one file that is never rewritten."""

import re
from pathlib import Path

# Kept as one file from the first command on: it is the history.
ONE_FILE = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
# Celeriac's leases say whose they are.
MARK = b"celeriac:"
IDS = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ID_OF_TASK = re.compile(rb'"id": ?"([0-9a-f-]{36})"')


def path(stage):
    return Path(stage.play.folder) / "broker/appendonlydir/appendonly.aof.1.incr.aof"


def ids(stage):
    """Every id that Redis has again, in whatever place, when it has read the file."""
    found, transaction = set(), None
    for words in commands(stage):
        here = {id.decode() for word in words for id in IDS.findall(word)}
        if words == [b"MULTI"]:
            transaction = set()
        elif words == [b"EXEC"]:
            found, transaction = found | transaction, None
        elif transaction is None:
            found |= here
        else:
            transaction |= here
    return found


def commands(stage):
    """The commands of the file in their order; one that is cut off at its end does not count."""
    with path(stage).open("rb") as file:
        while words := command(file):
            yield words


def command(file):
    """The next one; nothing where the file ends, be it within a command."""
    words, head = [], file.readline()
    for _ in range(int(head[1:]) if head.endswith(b"\n") else 0):
        if not (size := file.readline()).endswith(b"\n"):
            return []
        word = file.read(int(size[1:]) + 2)
        if len(word) < int(size[1:]) + 2:
            return []
        words.append(word[:-2])
    return words


def owners(stage):
    """Who was the last to hold each message, by its task's id: `celeriac`, `python`, or None where it was never written down.

    Celeriac takes a message and writes it down in one step. Python takes it first: what was taken last and not written down was Python's.
    """
    found = {}
    for name, *words in commands(stage):
        name = name.upper()
        if name in (b"LPUSH", b"RPUSH"):
            found.update((id, None) for id in map(id_of, words[1:]) if id)
        elif name == b"HSET" and words[0] == b"unacked":
            for tag, text in zip(words[1::2], words[2::2]):
                found[id_of(text)] = "celeriac" if tag.startswith(MARK) else "python"
    return found


def id_of(text):
    match = ID_OF_TASK.search(text)
    return match[1].decode() if match else None
