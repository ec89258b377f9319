"""R11, R12: tasks that kill the process they run in."""

import collections

from registry import Found, scenario
from stage import SLOTS, Stage, wait_until

KINDS = ["abort", "segv", "ill", "overflow", "exit", "zero", "kill", "oom", "hang", "stop"]
LIMIT = 3
DEAD_LETTERS = "celeriac.dead_letters"
# Of what a neighbour takes. A child that hangs or stands still is ended by this limit, in seconds.
NEIGHBOUR, TIME_LIMIT = 0.05, 3


@scenario("R11", "children that die of their task", short={"neighbours": 200}, full={"neighbours": 4000})
def children(play):
    with Stage(play) as stage:
        stage.start(CELERIAC_MAX_DELIVERIES=str(LIMIT))
        alone = neighbours(stage, play.size["neighbours"])
        poisoned = {kind: stage.send("proj.poisoned", [(kind,)], time_limit=TIME_LIMIT)[0] for kind in KINDS}
        beside = neighbours(stage, play.size["neighbours"])
        found = Found(settled=stage.rest(60))
        found["neighbours a second, alone"] = round(play.size["neighbours"] / alone, 1)
        found["neighbours a second, beside"] = round(play.size["neighbours"] / beside, 1)
        found["their share, %"] = round(100 * alone / beside)
        begins = stage.oracle.begins()
        found["deliveries"] = {kind: len(begins[number]) for kind, number in poisoned.items()}
        judge(stage, poisoned.values(), found)
        found.fault_if(not found["settled"], "a poisoned message is run again and again")
        found.fault_if(set(found["deliveries"].values()) != {LIMIT}, f"each must run {LIMIT} times")
        # The ten kinds take 6 s of one slot, and some starts of children: little in a long run, much in a short one.
        found.fault_if(play.size["neighbours"] >= 2000 and found["their share, %"] < 90, "the neighbours were slowed down")
        return found


def neighbours(stage, count):
    """Runs so many short tasks; the seconds they took altogether."""
    began = stage.oracle.now()
    numbers = set(stage.send("proj.logged", [(NEIGHBOUR,)] * count))
    wait_until(lambda: numbers <= stage.oracle.ended(), 300, "the neighbours have ended", poll=0.05)
    ends = [entry.at for entry in stage.oracle.entries(began) if entry.what == "ended" and entry.number in numbers]
    return max(ends) - began


def judge(stage, poisoned, found):
    """What was given up must be the poison, all of it, and have a result that says so; everything else must have ended."""
    states = stage.states()
    innocent = set(range(len(stage.ids))) - set(poisoned)
    found["dead letters"] = stage.broker.hlen(DEAD_LETTERS)
    found["poison with the state FAILURE"] = sum(states[number] == "FAILURE" for number in poisoned)
    found["innocents without a result"] = sum(states[number] != "SUCCESS" for number in innocent)
    found.fault_if(found["dead letters"] != len(poisoned), f"{len(poisoned)} dead letters were expected")
    found.fault_if(found["poison with the state FAILURE"] != len(poisoned), "poison that was given up has no state that says so")
    found.fault_if(found["innocents without a result"], "innocent tasks were given up too")


@scenario(
    "R12",
    "a task that takes the whole worker along, which is started again each time",
    short={"innocents": 3, "seconds": 2, "lease": 4},
    full={"innocents": 3, "seconds": 5},
)
def workers(play):
    with Stage(play) as stage:
        innocents = stage.send("proj.logged", [(play.size["seconds"],)] * play.size["innocents"])
        worker = stage.start(CELERIAC_MAX_DELIVERIES=str(LIMIT))
        stage.begun(innocents)
        (poisoned,) = stage.send("proj.poisoned", [("worker",)])
        restarts = 0
        while restarts < 2 * LIMIT:
            # The worker dies, or gives the poison up.
            wait_until(lambda: not worker.alive() or stage.states()[poisoned], 60, "the poison works or is given up")
            if worker.alive():
                break
            worker.kill_group()
            restarts += 1
            worker = stage.start(CELERIAC_MAX_DELIVERIES=str(LIMIT))
        found = Found(settled=stage.rest(60), restarts=restarts)
        runs = collections.Counter({number: len(begins) for number, begins in stage.oracle.begins().items()})
        found["runs of the poison"] = runs[poisoned]
        found["runs of each innocent"] = sorted(runs[number] for number in innocents)
        judge(stage, [poisoned], found)
        found.fault_if(restarts != LIMIT, f"the poison must end {LIMIT} workers, and no more")
        found.fault_if(not found["settled"], "messages are left")
        return found


assert SLOTS > 3, "the innocents and the poison run side by side"
