"""R1, R2, R3: workers that are killed."""

import collections

from registry import Found, scenario
from stage import SLOTS, Stage, pause, spread

SECONDS = [0, 0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]


@scenario("R1", "kill -9 during tasks that are acked late", short={"tasks": 400, "kills": 4, "lease": 6}, full={"tasks": 10_000, "kills": 100})
def late(play):
    with Stage(play) as stage:
        pids, _ = kill_again_and_again(stage, "proj.logged")
        found = Found(settled=stage.rest(), lost=len(stage.lost()))
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
        without = [number for number, state in stage.states().items() if state != "SUCCESS"]
        found["without a result"] = len(without)
        found.fault_if(without, f"tasks {without[:10]} have no result")
        extra_runs(stage, pids, found)
        return found


def kill_again_and_again(stage, task):
    """Keeps one worker running and kills it at points drawn from the progress of the whole; returns the process ids of the killed
    and the worker that lives."""
    size, draw = stage.play.size, stage.play.draw
    stage.send(task, [(draw.choice(SECONDS),) for _ in range(size["tasks"])])
    killed = []
    worker = stage.start()
    for entries in sorted(draw.sample(range(10, int(size["tasks"] * 1.7)), size["kills"])):
        stage.progress(entries)
        worker.kill_group()
        killed.append(worker.pid)
        worker = stage.start()
    return killed, worker


def extra_runs(stage, killed, found):
    """Only what a killed worker had begun may run again, and of each worker no more than it has slots."""
    of_killed = collections.Counter()
    for number, begins in stage.oracle.begins().items():
        for before in begins[:-1]:
            of_killed[before.pid] += 1
            found.fault_if(before.pid not in killed, f"task {number} ran again although its worker lived")
    found["kills"] = len(killed)
    found["extra runs"] = sum(of_killed.values())
    found["most extra runs after one kill"] = max(of_killed.values(), default=0)
    found.fault_if(found["most extra runs after one kill"] > SLOTS, f"a kill cost more runs than the worker has slots: {of_killed}")


@scenario("R2", "kill -9 during tasks that are acked early", short={"tasks": 400, "kills": 4, "lease": 6}, full={"tasks": 10_000, "kills": 100})
def early(play):
    with Stage(play) as stage:
        pids, last = kill_again_and_again(stage, "proj.logged_early")
        settled = stage.rest()
        # What is acked early stands nowhere while it runs; a warm stop ends it.
        last.stop()
        found = Found(settled=settled, kills=len(pids), lost=len(stage.lost()))
        begins = stage.oracle.begins()
        # A kill between the ack and the task's first word looks the same as a message that was lost before its run.
        found["lost without a word of theirs"] = sum(number not in begins for number in stage.lost())
        found["run twice"] = sum(len(entries) > 1 for entries in begins.values())
        found.fault_if(found["lost"] > SLOTS * len(pids), "more was lost than ran")
        found.fault_if(found["run twice"], "what was acked ran again")
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        return found


VICTIMS = 3


@scenario("R3", "from a worker's death to the new run of its tasks", short={"rounds": 1, "lease": 6}, full={"rounds": 9})
def delay(play):
    with Stage(play) as stage:
        seconds = []
        for _ in range(play.size["rounds"]):
            seconds += one_round(stage)
        found = Found(samples=len(seconds), **spread(seconds))
        found.fault_if(found["p99"] >= 15, "a dead worker's tasks came back too late")
        return found


def one_round(stage):
    """Kills workers whose slots are all busy; after how many seconds each task began again."""
    draw, victims = stage.play.draw, []
    for _ in range(VICTIMS):
        victims.append(stage.start())
        stage.begun(stage.send("proj.logged", [(60,)] * SLOTS))
    survivor = stage.start(slots=VICTIMS * SLOTS)
    died = {}
    for victim in victims:
        pause(draw.uniform(0, 1))
        victim.kill_group()
        died[victim.pid] = stage.oracle.now()
    numbers = range(len(stage.ids) - VICTIMS * SLOTS, len(stage.ids))
    stage.begun(numbers, patience=60, times=2)
    begins = stage.oracle.begins()
    # Their second runs are of no interest.
    survivor.kill_group()
    stage.broker.flushdb()
    return [begins[number][1].at - died[begins[number][0].pid] for number in numbers]
