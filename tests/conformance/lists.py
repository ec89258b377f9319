"""The lists of test ids: which are run, which are not and why, and how long each took with the Python worker."""

import fnmatch
import os


def short_id(nodeid):
    return nodeid.split("t/integration/", 1)[-1]


def read_list(path):
    if not path or not os.path.exists(path):
        return []
    with open(path) as file:
        return [line.rstrip("\n") for line in file if line.strip() and not line.lstrip().startswith("#")]


def conditions(concurrency, nodes):
    """The conditions of deselect.txt that hold."""
    held = {"always": True, "concurrency>1": concurrency > 1, "nodes>1": nodes > 1}
    return {name for name, holds in held.items() if holds}


def read_deselect(path, conditions):
    """Pattern and reason of each entry whose condition holds."""
    for line in read_list(path):
        pattern, when, reason = (part.strip() for part in line.split("|", 2))
        if when in conditions:
            yield pattern, reason


def matches(name, pattern):
    # Ids have [brackets], so only * is special here.
    if name == pattern or name.startswith((pattern + "::", pattern + "[")):
        return True
    return "*" in pattern and fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def read_reference(path):
    seconds = {}
    for line in read_list(path):
        outcome, took, _, name, *_ = line.split("\t")
        if outcome == "passed":
            seconds[name] = float(took)
    return seconds
