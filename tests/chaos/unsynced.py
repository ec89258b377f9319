"""R7: Redis that forgets the last second, as with `appendfsync everysec` when its machine loses power."""

import os
import time

import aof
from registry import Found, scenario
from stage import PYTHON_VISIBILITY_TIMEOUT, Stage, impatient, spread

FLAGS = (*aof.ONE_FILE, "--appendfsync", "everysec")
# Some run for so long that Redis forgets under their hands that they were taken.
SECONDS = [0, 0, 0.005, 0.01, 0.02, 0.05] * 5 + [3]
# So many messages wait at most, so that of those of the last second some wait, some run and some have ended; and one is sent at least
# every so many seconds, for four that run long let nothing else through.
WAITING, SENT_EVERY = 20, 0.1
# A task says that it has ended a little before its ack is on the disk.
SETTLING = 0.3


@scenario(
    "R7",
    "Redis is killed, and a second of its AOF is gone with it",
    short={"kills": 2, "between": 2, "cut": 1.0, "lease": 4},
    full={"kills": 20, "between": 4, "cut": 1.0},
)
def unsynced(play):
    size, draw = play.size, play.draw
    with Stage(play, FLAGS) as stage:
        # For a Python worker; celeriac has leases.
        sweeping = impatient(PYTHON_VISIBILITY_TIMEOUT)
        worker, gone, killed, resumed = stage.start(**sweeping), set(), [], []
        for _ in range(size["kills"]):
            sizes = load(stage, draw.uniform(1, size["between"]))
            killed.append(stage.oracle.now())
            stage.stop_server("kill")
            # What is gone are the writes since then.
            since = max(byte for at, byte in sizes if at <= sizes[-1][0] - size["cut"])
            gone |= forget(stage, since)
            healed = stage.start_server()
            stage.send("proj.logged", [(0,)] * 10)
            resumed.append(stage.resumed(healed))
            if resumed[-1] is None:
                worker.kill_group()
                worker = stage.start(**sweeping)
        found = Found(tasks=len(stage.ids), settled=stage.rest())
        found["lost by Redis"] = len(gone)
        judge(stage, gone, killed, found)
        found["worker ended or stood still"] = resumed.count(None)
        found.update({f"resumed after, {name}": value for name, value in spread(s for s in resumed if s is not None).items()})
        found.fault_if(not gone, "Redis has lost nothing: the scenario did not happen")
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        found.fault_if(found["worker ended or stood still"], "the worker ended or stood still")
        return found


def load(stage, seconds):
    """Sends for so long, one message after the other has been accepted; how long the AOF was at which time."""
    sizes, sent, end = [], 0.0, time.monotonic() + seconds + stage.play.size["cut"]
    while time.monotonic() < end:
        if stage.broker.llen("celery") < WAITING or time.monotonic() - sent > SENT_EVERY:
            stage.send("proj.logged", [(stage.play.draw.choice(SECONDS),)])
            sent = time.monotonic()
        # Redis writes to the file before it answers.
        sizes.append((time.monotonic(), aof.path(stage).stat().st_size))
    return sizes


def forget(stage, size):
    """Cuts the file; the numbers of the tasks of which nothing is left there."""
    before = aof.ids(stage)
    os.truncate(aof.path(stage), size)
    left = aof.ids(stage)
    return {number for number, id in enumerate(stage.ids) if id in before and id not in left}


def judge(stage, gone, killed, found):
    """Whatever is left of a task on the disk must have run to its end, and must not run again if its ack is left, too."""
    lost = set(stage.lost())
    found["lost"] = len(lost)
    found["lost though Redis had it"] = len(lost - gone)
    found["lost by Redis, and run before"] = len(gone - lost)
    found["lost by Redis while they ran"] = len(gone & lost & set(stage.oracle.begins()))
    without = {number for number, state in stage.states().items() if state != "SUCCESS"} - gone
    found["without a result though Redis had it"] = len(without)
    found["extra runs"] = sum(len(begins) - 1 for begins in stage.oracle.begins().values())
    again = acked_and_run_again(stage, killed)
    found["acked for good and run again"] = len(again)
    found.fault_if(lost - gone, f"tasks {sorted(lost - gone)[:10]} were lost, and Redis had them")
    found.fault_if(without, f"tasks {sorted(without)[:10]} have no result")
    found.fault_if(again, f"tasks {again[:10]} ran again, and their ack was on the disk")


def acked_and_run_again(stage, killed):
    """The numbers of tasks that began again although they had ended well before what a kill made Redis forget."""
    first_end, again, forgotten = {}, [], stage.play.size["cut"] + SETTLING
    for entry in stage.oracle.entries():
        if entry.what == "ended":
            first_end.setdefault(entry.number, entry.at)
        elif (ended := first_end.get(entry.number)) and not any(ended <= at <= min(entry.at, ended + forgotten) for at in killed):
            again.append(entry.number)
    return again
