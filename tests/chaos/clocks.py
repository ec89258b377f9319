"""R27: a worker whose clock is minutes away from Redis's.

Of Python's workers only what it says of ETAs counts: `time.sleep` goes wrong under libfaketime, so that their tasks fail.
"""

from pathlib import Path

import bulk
from registry import Found, scenario
from stage import SLOTS, Stage

FAKETIME = "libfaketimeMT.so.1"
# By how much an ETA may be missed by a worker that goes by Redis's clock.
MISSED_S, SHORT_MISSED_S = 0.5, 10
# In seconds; far less than the skew.
DUE_IN, EXPIRES_IN = 2, 60


@scenario(
    "R27",
    "a worker whose clock is minutes ahead of Redis's, or behind it",
    short={"skew": 300, "tasks": 20, "lease": 4},
    full={"skew": 300, "tasks": 1000},
)
def skewed(play):
    assert library(), f"{FAKETIME} is missing: apt-get install faketime"
    with Stage(play) as stage:
        found = Found()
        for sign, name in ((1, "ahead"), (-1, "behind")):
            one_side(stage, sign * play.size["skew"], name, found)
        found.update(settled=stage.rest(), lost=len(stage.lost()))
        found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        return found


def one_side(stage, skew, name, found):
    """One worker with that clock, and one without beside it."""
    first = len(stage.ids)
    wrong = stage.start(LD_PRELOAD=str(library()), FAKETIME=f"{skew:+d}s", FAKETIME_DONT_FAKE_MONOTONIC="1")
    # Those it is alone with: they are all its own.
    found[f"{name}: ETA missed by"], commands = etas(stage)
    found[f"{name}: commands for each task with an ETA"] = commands
    expiring = stage.send("proj.logged", [(0,)] * 5, expires=EXPIRES_IN)
    stage.rest(60)
    long = stage.send("proj.logged", [(stage.lease * 1.6,)] * (2 * SLOTS - 1))
    right = stage.start()
    stage.begun(long)
    ended = stage.rest(60)
    begins = stage.oracle.begins()
    found[f"{name}: run twice while both lived"] = sum(len(begins[number]) > 1 for number in range(first, len(stage.ids)))
    found[f"{name}: came back from the dead after, max"] = came_back(stage, wrong, right)
    ended = stage.rest(60) and ended
    right.kill_group()
    judge(stage, name, expiring, ended, found)


def library():
    """What gives a process another clock; None where it is not installed."""
    return next(Path("/usr/lib").glob(f"*/faketime/{FAKETIME}"), None)


def etas(stage):
    """By how many seconds tasks missed their ETA (less than nothing: too early), and how many commands Redis was given for each."""
    before = stage.broker.info("stats")["total_commands_processed"]
    count = stage.play.size["tasks"]
    due, start = stage.oracle.now() + DUE_IN, len(stage.ids)
    calls = [("proj.logged", (stage.oracle.port, number, 0), due) for number in range(start, start + count)]
    numbers = bulk.send(stage, calls)
    stage.begun(numbers, patience=60 + stage.play.size["skew"])
    commands = (stage.broker.info("stats")["total_commands_processed"] - before) / count
    begins = stage.oracle.begins()
    missed = [begins[number][0].at - due for number in numbers]
    return {"min": round(min(missed), 3), "max": round(max(missed), 3)}, round(commands)


def came_back(stage, wrong, right):
    """Kills the worker with the wrong clock while it runs tasks; how long until they began again, at most. None: not all of them did."""
    # None of them ends before all have begun.
    held = stage.send("proj.logged", [(stage.lease * 3,)] * 2 * SLOTS)
    stage.begun(held)
    mine = [number for number, begins in stage.oracle.begins().items() if number in held and begins[0].pid == wrong.pid]
    died = stage.oracle.now()
    wrong.kill_group()
    try:
        stage.begun(mine, times=2)
    except AssertionError:
        return None
    begins = stage.oracle.begins()
    assert all(begins[number][-1].pid == right.pid for number in mine)
    return round(max(begins[number][1].at - died for number in mine), 2)


def judge(stage, name, expiring, ended, found):
    missed = found[f"{name}: ETA missed by"]
    found.fault_if(not ended, f"{name}: messages were left that nobody took")
    found.fault_if(missed["max"] > stage.play.at_most(MISSED_S, SHORT_MISSED_S), f"{name}: tasks with an ETA were run too late")
    found.fault_if(missed["min"] < -0.05, f"{name}: tasks were run before their ETA")
    found.fault_if(found[f"{name}: run twice while both lived"], f"{name}: a worker that lived lost its tasks")
    unrun = sorted(set(expiring) - stage.oracle.ended())
    found[f"{name}: expired before their time"] = len(unrun)
    found.fault_if(unrun, f"{name}: tasks expired before their time")
    back = found[f"{name}: came back from the dead after, max"]
    found.fault_if(back is None or back > 15, f"{name}: a dead worker's tasks came back too late")
